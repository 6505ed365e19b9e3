/* SPDX-License-Identifier: MIT
 *
 * logdata.c - log files that are the data: sealing them, merged files in their place, hints (L4).
 *
 * ORDER  (a crash between two steps leaves a folder that recovers to the same)
 *   1. Appends go on in the next file. The one that they leave becomes durable to its end.
 *   2. It is sealed: the room behind its last record is cut off. Whether that reaches the disk or not, its records are the
 *      same; a start cuts it again.
 *   3. NNNNNNNNNN.data is made, written and synced. Nothing refers to it: a start removes it.
 *   4. When what has made the records dead that it leaves out is durable (the caller's business), the folder is synced,
 *      then MANIFEST lists the file. From here on it stands for the LSNs of its inputs, and a start does not read them any
 *      more, though they are still there.
 *   5. When no entry refers to an input any more, it goes: out of MANIFEST, durably, and then out of the folder; before
 *      that it gets a second name in `retained`, durably, if the past is to be kept (logold.c). So
 *      whatever is listed is there, and the pieces that are listed hold each LSN that counts at every moment.
 *   A failure up to step 4 harms nothing but the merge. In steps 4 and 5 MANIFEST may hold what nobody knows then: a
 *   failure there is one of the log (nk_log_edit).
 *
 *   Hints are not in this order. One is written under another name and gets its own when it is complete; nothing is
 *   synced, because who reads it believes only what is valid and belongs to its file.
 *
 * THREADS  The filler's alone, but for nk_log_hint_open. Where the fields of a slot are shared with writers and syncers
 *   (log.c), the log's lock is taken.
 */
#include "recover.h"
#include "mutant.h"

/* A failure that harms nothing that is there. */
static int cannot(const struct nk_log *l, struct nitro_err *err, int rc, const char *what,
                  const char *name) {
    return nk_err_set(err, nk_log_is_full(rc) ? NITRO_ELOGFULL : NITRO_EIO, -rc,
                      "%s %s/%s: %s; all data is as it was", what, l->dir, name, strerror(-rc));
}

/* ---- sealing -----------------------------------------------------------------------------------*/

int nk_log_roll(struct nk_log *l, uint64_t *lsn, struct nitro_err *err) {
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    nk_spin_lock(&l->lock);
    uint64_t number = l->cur->number, last = l->used_lsn;
    uint32_t slot = l->cur->slot;
    bool empty = l->at == NK_SECTOR;
    nk_spin_unlock(&l->lock);
    if (!empty) {
        rc = nk_log_prepare(l, err);
        if (rc != NITRO_OK) return rc;
        nk_spin_lock(&l->lock);
        /* Appends may have gone on by themselves meanwhile. If not, the prepared file is there still. */
        if (l->cur->number == number) nk_log_go_on(l);
        last = nk_file_at(l->files, slot)->last_lsn; /* sealed by nobody but this thread */
        nk_spin_unlock(&l->lock);
    }
    if (lsn != NULL) *lsn = last;
    return NITRO_OK;
}

uint32_t nk_log_current(struct nk_log *l) {
    nk_spin_lock(&l->lock);
    uint32_t slot = l->cur->slot;
    nk_spin_unlock(&l->lock);
    return slot;
}

void nk_log_slot_seal(struct nk_log *l, uint32_t slot, uint64_t first_lsn, uint64_t last_lsn,
                      uint64_t end) {
    struct nk_file *s = nk_file_at(l->files, slot);
    s->last_lsn = last_lsn;
    s->end = end;
    s->sealed = true;
    __atomic_store_n(&s->first_lsn, first_lsn, __ATOMIC_RELEASE);
    __atomic_store_n(&s->written, UINT64_MAX, __ATOMIC_RELEASE);
    __atomic_store_n(&s->durable, UINT64_MAX, __ATOMIC_RELEASE);
}

/* Whether appends have left the file, and all of it is durable. */
static bool is_over(struct nk_log *l, const struct nk_live *f) {
    const struct nk_file *s = nk_file_at(l->files, f->slot);
    if (f->slot == 0 || s->sealed) return false; /* sealed by nobody but this thread */
    nk_spin_lock(&l->lock);
    bool over = s->end != 0 && s->durable == UINT64_MAX;
    nk_spin_unlock(&l->lock);
    return over;
}

/* The syncer may have the file in its list still, until it has synced a newer one. It tells the slot nothing new: that may
 * belong to another file soon. */
static void detach(struct nk_log *l, uint32_t slot) {
    nk_spin_lock(&l->lock);
    for (struct nk_log_file *f = l->unsynced; f != NULL; f = f->next)
        if (f->slot == slot) f->slot = 0;
    nk_spin_unlock(&l->lock);
}

/* Appends have passed a file without using it, because a record was too large for its room. */
static int drop_blank(struct nk_log *l, const struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    uint32_t slot = f->slot;
    struct nk_manifest_edit e = {
        .op = NK_MANIFEST_REMOVE, .kind = NK_FILE_LOG, .number = f->number, .salt = f->salt};
    nk_path_log(f->number, name);
    int rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    detach(l, slot);
    nk_files_drop(l->files, slot);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "seal: remove blank");
    return NITRO_OK;
}

static int seal(struct nk_log *l, struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_header h = {0};
    struct nk_file *s = nk_file_at(l->files, f->slot);
    uint64_t size = 0;
    nk_path_log(f->number, name);
    int rc = nk_folder_header(l, f->number, &h, &size, err);
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    if (rc != NITRO_OK || !h.used || h.first_lsn != s->first_lsn || h.salt != f->salt)
        return nk_err_set(err, NITRO_EIO, 0,
                          "seal %s/%s: its header does not read as it was written; check the disk, "
                          "and see: nitrokv check %s",
                          l->dir, name, l->dir);
    rc = nk_live_cut(l, f, s->end, "seal: truncate");
    if (rc != 0) return cannot(l, err, rc, "cut the unused room of", name);
    detach(l, f->slot);
    f->head = h;
    f->last_lsn = s->last_lsn;
    f->on_chain = true;
    nk_log_slot_seal(l, f->slot, h.first_lsn, s->last_lsn, s->end);
    nk_files_map(l->files, f->slot);
    return NITRO_OK;
}

int nk_log_seal(struct nk_log *l, uint32_t *sealed, struct nitro_err *err) {
    int rc = nk_log_check(l, err);
    *sealed = 0;
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK && *sealed == 0;) {
        struct nk_live *f = &l->live[i];
        if (!is_over(l, f)) {
            i++;
        } else if (nk_file_at(l->files, f->slot)->end == NK_SECTOR) {
            rc = drop_blank(l, f, err); /* the next one moves to its place in the list */
        } else {
            rc = seal(l, f, err);
            if (rc == NITRO_OK) *sealed = f->slot;
        }
    }
    return rc;
}

/* ---- pieces ------------------------------------------------------------------------------------*/

/* The pieces, in no order. */
struct pieces {
    struct nk_piece *out;
    uint32_t cap, count;
};

static void add_piece(struct pieces *p, const struct nk_piece *piece) {
    if (p->count < p->cap) p->out[p->count] = *piece;
    p->count++;
}

/* sift: the piece at this place goes down to where neither below it is larger. */
static void sift(struct nk_piece *p, uint32_t at, uint32_t count) {
    struct nk_piece down = p[at];
    for (uint32_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && p[below].first_lsn < p[below + 1].first_lsn) below++;
        if (p[below].first_lsn <= down.first_lsn) break;
        p[at] = p[below];
    }
    p[at] = down;
}

/* sort: by LSN; heapsort, because merged files have no order, there may be tens of thousands, and the log's filler waits. */
static void sort(struct nk_piece *p, uint32_t count) {
    uint32_t i = 1;
    while (i < count && p[i - 1].first_lsn <= p[i].first_lsn) i++;
    if (i >= count) return; /* never merged */
    for (uint32_t at = count / 2; at-- > 0;) sift(p, at, count);
    for (uint32_t last = count; last-- > 1;) {
        struct nk_piece largest = p[0];
        p[0] = p[last];
        p[last] = largest;
        sift(p, 0, last);
    }
}

uint32_t nk_log_pieces(const struct nk_log *l, struct nk_piece *out, uint32_t cap) {
    struct pieces p = {.out = out, .cap = cap};
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_live *f = &l->live[i];
        if (f->slot == 0 || !f->on_chain || !nk_file_at(l->files, f->slot)->sealed) continue;
        add_piece(&p, &(struct nk_piece){.kind = NK_FILE_LOG,
                                         .number = f->number,
                                         .salt = f->salt,
                                         .first_lsn = f->head.first_lsn,
                                         .last_lsn = nk_file_at(l->files, f->slot)->last_lsn,
                                         .prev_last_lsn = f->head.prev_last_lsn,
                                         .size = f->size,
                                         .slot = f->slot});
    }
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_log_data *d = &l->data[i];
        if (!d->on_chain) continue;
        add_piece(&p, &(struct nk_piece){.kind = NK_FILE_DATA,
                                         .number = d->number,
                                         .salt = d->salt,
                                         .first_lsn = d->head.first_lsn,
                                         .last_lsn = d->head.last_lsn,
                                         .prev_last_lsn = d->head.prev_last_lsn,
                                         .size = d->head.end,
                                         .slot = d->slot});
    }
    NK_ASSERT(cap == 0 || p.count <= cap);
    if (cap != 0) sort(out, p.count);
    return p.count;
}

/* ---- merged files ------------------------------------------------------------------------------*/

int nk_log_data_create(struct nk_log *l, uint64_t *number, uint64_t *salt, int *fd,
                       struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    uint64_t n = l->next_number++;
    nk_path_data(n, name);
    int f = nk_vfs_open(l->vfs, l->dirfd, name,
                        NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    if (f == -EMFILE || f == -ENFILE) return nk_log_no_handle(l, f, err);
    if (f < 0) return cannot(l, err, f, "make", name);
    *number = n;
    *salt = nk_log_salt(l);
    *fd = f;
    return NITRO_OK;
}

/* A slot for a merged file that is complete. */
static int take_slot(struct nk_log *l, const struct nk_data_header *h, const char *name,
                     uint32_t *slot, struct nitro_err *err) {
    int fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ);
    if (fd == -EMFILE || fd == -ENFILE) return nk_log_no_handle(l, fd, err);
    if (fd < 0) return cannot(l, err, fd, "open", name);
    *slot = nk_files_add(l->files, h->number, NK_FILE_DATA, h->salt, fd);
    if (*slot == 0) {
        (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
        return nk_log_no_slot(l, err);
    }
    nk_log_slot_seal(l, *slot, h->first_lsn, h->last_lsn, h->end);
    nk_files_map(l->files, *slot);
    return NITRO_OK;
}

/* What lies in the interval of a new merged file is not read any more. */
static void supersede(struct nk_log *l, const struct nk_data_header *h) {
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].on_chain && nk_data_holds(h, l->live[i].head.first_lsn))
            l->live[i].on_chain = false;
    for (uint32_t i = 0; i < l->data_count; i++)
        if (l->data[i].number != h->number && nk_data_holds(h, l->data[i].head.first_lsn))
            l->data[i].on_chain = false;
}

int nk_log_data_install(struct nk_log *l, const struct nk_data_header *h, uint32_t *slot,
                        struct nitro_err *err) {
    char name[NK_PATH_MAX];
    uint32_t got = 0;
    struct nk_log_data d = {.number = h->number, .salt = h->salt, .head = *h};
    struct nk_manifest_edit e = nk_data_edit(NK_MANIFEST_ADD, &d);
    nk_path_data(h->number, name);
    int rc = nk_log_check(l, err);
    if (rc == NITRO_OK) rc = take_slot(l, h, name, &got, err);
    if (rc != NITRO_OK) return rc;
    int sys = NK_MUTATE(80, 0, nk_vfs_dir_sync(l->vfs, l->dirfd, "data: sync folder"));
    rc = sys == 0 ? nk_log_edit(l, &e, err) : cannot(l, err, sys, "sync the folder of", name);
    if (rc != NITRO_OK) {
        nk_files_drop(l->files, got);
        return rc;
    }
    supersede(l, h);
    struct nk_log_data *listed = nk_folder_find_data(l, h->number);
    listed->head = *h;
    listed->on_chain = true;
    listed->slot = *slot = got;
    return NITRO_OK;
}

void nk_log_data_discard(struct nk_log *l, uint64_t number) {
    char name[NK_PATH_MAX];
    /* MANIFEST may list it, if it was that which has failed. */
    if (nk_log_check(l, NULL) != NITRO_OK) return;
    nk_path_data(number, name);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "data: discard");
}

/* ---- what has been replaced --------------------------------------------------------------------*/

/* The superseded piece with this slot: the edit that removes it, its name and why it goes. */
static const char *find_removed(const struct nk_log *l, uint32_t slot, struct nk_manifest_edit *e,
                                char *name) {
    for (uint32_t i = 0; i < l->data_count; i++) {
        if (l->data[i].slot != slot) continue;
        NK_ASSERT(!l->data[i].on_chain);
        *e = nk_data_edit(NK_MANIFEST_REMOVE, &l->data[i]);
        nk_path_data(e->number, name);
        return "merge: remove data";
    }
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_live *f = &l->live[i];
        if (f->slot != slot) continue;
        NK_ASSERT(!f->on_chain && nk_file_at(l->files, slot)->sealed);
        *e = (struct nk_manifest_edit){
            .op = NK_MANIFEST_REMOVE, .kind = NK_FILE_LOG, .number = f->number, .salt = f->salt};
        nk_path_log(e->number, name);
        return "merge: remove log";
    }
    return NULL;
}

int nk_log_piece_remove(struct nk_log *l, uint32_t slot, int64_t keep_ms, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_manifest_edit e;
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    const char *why = find_removed(l, slot, &e, name);
    NK_ASSERT(why != NULL);
    if (keep_ms > 0) rc = nk_log_old_keep(l, e.kind, e.number, keep_ms, err);
    if (rc != NITRO_OK) return rc;
    if (NK_MUTATE(81, true, false)) (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, why);
    rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    nk_log_hint_remove(l, e.number);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, why);
    nk_files_drop(l->files, slot);
    rc = nk_folder_shorten(l, err);
    return rc == NITRO_ENOMEM ? NITRO_OK : rc; /* the next one shortens MANIFEST */
}

/* ---- hints -------------------------------------------------------------------------------------*/

int nk_log_hint_create(struct nk_log *l, uint64_t number, int *fd, struct nitro_err *err) {
    char tmp[NK_PATH_MAX];
    nk_path_hint_tmp(number, tmp);
    int f =
        nk_vfs_open(l->vfs, l->dirfd, tmp, NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    if (f < 0) return cannot(l, err, f, "make", tmp);
    /* the rest of one that could not be removed */
    int rc = nk_vfs_truncate(l->vfs, f, 0, "hint: truncate");
    if (rc != 0) {
        (void)l->vfs->close(l->vfs->ctx, f); /* the failure is being reported */
        return cannot(l, err, rc, "empty", tmp);
    }
    *fd = f;
    return NITRO_OK;
}

int nk_log_hint_install(struct nk_log *l, uint64_t number, struct nitro_err *err) {
    char tmp[NK_PATH_MAX], name[NK_PATH_MAX];
    nk_path_hint_tmp(number, tmp);
    nk_path_hint(number, name);
    int rc = l->vfs->rename(l->vfs->ctx, l->dirfd, tmp, name, "hint: rename");
    if (rc != 0) return cannot(l, err, rc, "rename", tmp);
    uint32_t slot = nk_files_find(l->files, number);
    if (slot != 0) nk_file_at(l->files, slot)->hinted = true;
    return NITRO_OK;
}

void nk_log_hint_discard(struct nk_log *l, uint64_t number) {
    char tmp[NK_PATH_MAX];
    nk_path_hint_tmp(number, tmp);
    /* one that stays is removed at the next start */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, tmp, "hint: discard");
}

void nk_log_hint_remove(struct nk_log *l, uint64_t number) {
    char name[NK_PATH_MAX];
    nk_path_hint(number, name);
    /* one that stays belongs to no file that is listed, and is removed at the next start */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "hint: remove");
}

int nk_log_hint_open(const struct nk_log *l, uint64_t number, int *fd, uint64_t *size) {
    char name[NK_PATH_MAX];
    nk_path_hint(number, name);
    int f = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ);
    if (f < 0) return f == -ENOENT ? NITRO_ENOTFOUND : NITRO_EIO;
    int64_t n = l->vfs->size(l->vfs->ctx, f);
    if (n < 0) {
        (void)l->vfs->close(l->vfs->ctx, f); /* only read */
        return NITRO_EIO;
    }
    *fd = f;
    *size = (uint64_t)n;
    return NITRO_OK;
}
