/* SPDX-License-Identifier: MIT
 *
 * recover_finish.c - the last step of recovery, the only one that changes the folder (L4).
 *
 * ORDER  (each step is durable before the next; a crash between two leaves a folder that recovers to the same)
 *   1. CONTROL, then MANIFEST, if the store is new; else MANIFEST anew.
 *   2. the tail, if there is one: a blank file, listed; its records; its header, used. Now the chain goes
 *      through it, and the old file ends at W.
 *      Where the log is the data it may take several files, since locations reach no further (loc.h). All of
 *      them get their records first. Then the headers, the last file's first: a start that finds one that is used
 *      behind one that is blank goes back to what is older than both (folder_chain.c), so the old tail counts
 *      until the header of the first of them says that it is used; and then all of the new one is there.
 *   3. the file for appends: blank, listed, used, with its first LSN. So an LSN that is given out from here
 *      on is never given again, even if nothing of it reaches the disk. With --wal off it stays empty,
 *      and its first LSN lies so far beyond the first version that the next start begins behind all that
 *      this one will give out before it has taken a snapshot.
 *   4. CONTROL knows that everything is durable.
 *   5. (nk_recover_clean, when entries that refer to records of the tail, if there are such, refer to their new place)
 *      What nothing refers to any more: superseded, blank and empty files, the tail in its old place,
 *      unfinished snapshots, and finished ones that were not listed. Logs that a snapshot holds, and older
 *      snapshots, stay: what goes of them is for nk_log_retain to say.
 */
#include "frame.h"
#include "recover.h"
#include "mutant.h"

#define STAGE_BYTES 65536u

/* ---- the tail ----------------------------------------------------------------------------------*/

/* Writes records to new files, one after the other, gathering small ones. */
struct copy {
    struct nk_log *l;
    struct nk_log_file *f; /* NULL: none yet */
    uint64_t
        limit; /* a frame that would end beyond goes to the next file, unless it is the first */
    uint8_t *stage;
    size_t used;
    uint64_t at;       /* offset of stage[0] in the file */
    uint64_t frame_at; /* of the frame's header */
    struct nk_frame_head frame;
    uint64_t before,
        last; /* number of the file before, and the last LSN so far: what the next one follows */
    int rc;   /* first failure, -errno */
};

static void copy_write(struct copy *c, const void *p, size_t n) {
    if (c->rc == 0 && n > 0) c->rc = nk_vfs_write(c->l->vfs, c->f->fd, p, n, c->at, "tail: write");
    c->at += n;
}

static void copy_flush(struct copy *c) {
    size_t n = c->used;
    c->used = 0;
    copy_write(c, c->stage, n);
}

static void copy_bytes(struct copy *c, const void *p, size_t n) {
    if (n > STAGE_BYTES - c->used) copy_flush(c);
    if (n > STAGE_BYTES) {
        copy_write(c, p, n);
        return;
    }
    if (n > 0) memcpy(c->stage + c->used, p, n);
    c->used += n;
}

static void copy_record(struct copy *c, const struct nk_record *r) {
    uint8_t head[NK_REC_HEAD_MAX];
    uint64_t offset = c->at + c->used;
    if (c->frame.count++ == 0) c->frame.first_lsn = r->lsn;
    c->last = r->lsn;
    uint32_t n =
        nk_record_head(r, nk_record_body_crc(r), c->f->first_lsn, offset, c->f->salt, head);
    copy_bytes(c, head, n);
    copy_bytes(c, r->key, r->key_bytes);
    copy_bytes(c, r->value, r->value_bytes);
}

static void copy_frame_begin(struct copy *c, int64_t time_ms) {
    static const uint8_t none[NK_FRAME_HEADER];
    c->frame = (struct nk_frame_head){.time_ms = time_ms, .durable_lsn = c->l->durable};
    c->frame_at = c->at + c->used;
    copy_bytes(c, none, sizeof none);
}

/* The header in its place; a frame without records is taken back. */
static void copy_frame_end(struct copy *c) {
    uint8_t head[NK_FRAME_HEADER];
    uint64_t end = c->at + c->used;
    if (c->frame.count == 0) {
        c->used -= NK_FRAME_HEADER; /* nothing has been added behind it */
        return;
    }
    copy_flush(c);
    c->frame.bytes = (uint32_t)(end - c->frame_at - NK_FRAME_HEADER);
    nk_frame_encode(&c->frame, c->frame_at, c->f->salt, head);
    if (c->rc == 0)
        c->rc = nk_vfs_write(c->l->vfs, c->f->fd, head, sizeof head, c->frame_at, "tail: frame");
}

/* All of the file is durable but its header, which is blank still. The list has what that will say. */
static int end_file(struct copy *c, struct nitro_err *err) {
    struct nk_log *l = c->l;
    struct nk_log_file *f = c->f;
    copy_flush(c);
    if (c->rc == 0) c->rc = nk_vfs_sync(l->vfs, f->fd, "tail: sync");
    if (c->rc != 0) return nk_log_fail(l, err, c->rc, "cannot write the tail to", f->number);
    struct nk_live *listed = nk_folder_find(l, f->number);
    listed->head.first_lsn = f->first_lsn;
    listed->head.prev_number = f->prev_number;
    listed->head.prev_last_lsn = f->prev_last_lsn;
    listed->last_lsn = c->last;
    listed->end = c->at;
    listed->size = nk_max_u64(listed->size, c->at);
    c->before = f->number;
    nk_log_file_free(l, &c->f);
    return NITRO_OK;
}

/* The next frame goes to this file, or to the next one. `first`: LSN of its first record; `bytes`: its records, at
 * most. The tail may begin behind a jump: then that is not W + 1. */
static int place_frame(struct copy *c, uint64_t first, uint64_t bytes, struct nitro_err *err) {
    struct nk_log *l = c->l;
    uint64_t at = c->at + c->used;
    if (c->f != NULL && (at == NK_SECTOR || at + NK_FRAME_HEADER + bytes <= c->limit))
        return NITRO_OK;
    bool begins = c->f == NULL;
    int rc = begins ? NITRO_OK : end_file(c, err);
    if (rc == NITRO_OK) rc = nk_log_create(l, 2 * NK_LOG_RESERVE, &c->f, err);
    if (rc != NITRO_OK) return rc;
    c->f->first_lsn = begins ? NK_MUTATE(27, c->last + 1, first) : first;
    c->f->prev_number = c->before;
    c->f->prev_last_lsn = c->last;
    c->at = NK_SECTOR;
    if (l->tail_number == 0) l->tail_number = c->f->number;
    return NITRO_OK;
}

/* The records of one frame up to `last`, without those below `first`. */
static int copy_frame(struct copy *c, struct nk_logscan *s, uint64_t first, uint64_t last) {
    struct nk_placed rec;
    int rc = NITRO_OK;
    copy_frame_begin(c, s->frame.time_ms);
    while (s->lsn <= last && (rc = nk_logscan_record(s, s->lsn > c->l->base.lsn, &rec)) == NITRO_OK)
        if (rec.r.lsn >= first) copy_record(c, &rec.r);
    copy_frame_end(c);
    return rc == NITRO_ENOTFOUND ? NITRO_OK : rc; /* the frame's end */
}

/* The records of listed file i in (W, last], frame by frame. */
static int copy_file(struct copy *c, uint32_t i, struct nitro_err *err) {
    struct nk_logscan s;
    const struct nk_live f = c->l->live[i]; /* the list may move */
    uint64_t last = nk_live_last(c->l, i), first = c->l->durable + 1, next;
    int placed = NITRO_OK, rc = nk_live_scan(c->l, &f, &s, err);
    if (rc != NITRO_OK) return rc;
    rc = nk_logscan_seek(&s, c->l->base.lsn + 1, &next);
    while (rc == NITRO_OK && (rc = nk_logscan_frame(&s)) == NITRO_OK && s.lsn <= last) {
        if (s.frame.first_lsn + s.frame.count <= first) {
            nk_logscan_skip(&s);
            continue;
        }
        placed = place_frame(c, nk_max_u64(s.lsn, first), s.frame.bytes, err);
        if (placed != NITRO_OK) break;
        rc = copy_frame(c, &s, first, last);
        if (s.lsn > last) break;
    }
    if (s.lsn > last || rc == NITRO_ENOTFOUND) rc = NITRO_OK;
    if (placed != NITRO_OK)
        rc = placed;
    else if (rc == NITRO_ECORRUPT)
        rc = nk_recover_damage(c->l, err, f.number, s.at, s.lsn, "it was valid a moment ago");
    else if (rc != NITRO_OK)
        rc = nk_live_scan_failed(c->l, err, &f, &s, rc);
    nk_live_scan_end(c->l, &s);
    return rc;
}

/* The newest file on the chain that holds a record up to `lsn`, or stands for one; 0 = none. */
static uint64_t file_before(const struct nk_log *l, uint64_t lsn) {
    uint64_t number = 0, first = 0;
    for (uint32_t i = 0; i < l->live_count; i++) {
        if (nk_live_last(l, i) == 0 || l->live[i].head.first_lsn > lsn) continue;
        number = l->live[i].number;
        first = l->live[i].head.first_lsn;
    }
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_data_header *h = &l->data[i].head;
        if (!l->data[i].on_chain || h->first_lsn > lsn || h->first_lsn <= first) continue;
        number = h->number;
        first = h->first_lsn;
    }
    return number;
}

/* From now on the file is used. `durable`: what is, then. */
static int use(struct nk_log *l, struct nk_log_file *f, uint64_t durable, int64_t now_ms,
               struct nitro_err *err) {
    int rc = nk_log_header_write(l, f, durable, now_ms);
    if (rc == 0) rc = nk_vfs_sync(l->vfs, f->fd, "recovery: sync header");
    if (rc != 0) return nk_log_fail(l, err, rc, "cannot write the header of", f->number);
    struct nk_log_header *known = &nk_folder_find(l, f->number)->head;
    known->used = 1;
    known->first_lsn = f->first_lsn;
    known->prev_number = f->prev_number;
    known->prev_last_lsn = f->prev_last_lsn;
    known->time_ms = now_ms;
    if (f->slot != 0)
        __atomic_store_n(&nk_file_at(l->files, f->slot)->first_lsn, f->first_lsn, __ATOMIC_RELEASE);
    return NITRO_OK;
}

/* A file of the tail: its header says what the list knows of it already. */
static int use_tail(struct nk_log *l, const struct nk_live *t, int64_t now_ms,
                    struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_file f = {.number = t->number,
                            .salt = t->salt,
                            .slot = t->slot,
                            .first_lsn = t->head.first_lsn,
                            .prev_number = t->head.prev_number,
                            .prev_last_lsn = t->head.prev_last_lsn};
    nk_path_log(f.number, name);
    f.fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ | NITRO_FILE_WRITE);
    if (f.fd < 0) return nk_log_fail(l, err, f.fd, "cannot open the tail in", f.number);
    int rc = use(l, &f, l->durable, now_ms, err);
    (void)l->vfs->close(l->vfs->ctx, f.fd); /* what matters was synced */
    return rc;
}

static int write_tail(struct nk_log *l, struct copy *c, struct nitro_err *err) {
    for (uint32_t i = 0, n = l->live_count; i < n; i++) {
        if (nk_live_last(l, i) <= l->durable) continue;
        int rc = copy_file(c, i, err);
        if (rc != NITRO_OK) return rc;
    }
    return c->f != NULL ? end_file(c, err) : NITRO_OK;
}

/* All of it is written. From the last file to the first: see ORDER. */
static int use_tails(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    int rc = NITRO_OK;
    uint32_t first = l->live_count;
    while (first > 0 && l->live[first - 1].number >= l->tail_number) first--;
    for (uint32_t n = l->live_count - first, i = 0; i < n && rc == NITRO_OK; i++)
        rc = use_tail(l, &l->live[first + NK_MUTATE(95, i, n - 1 - i)], now_ms, err);
    for (uint32_t i = first; i < l->live_count && rc == NITRO_OK; i++)
        nk_recover_tail(l, &l->live[i]);
    return rc;
}

/* Writes (W, last] anew. */
static int save_tail(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    struct copy c = {.l = l, .before = file_before(l, l->durable), .last = l->durable};
    c.limit = l->files != NULL ? l->file_bytes : UINT64_MAX;
    c.stage = nk_mem_alloc(l->mem, STAGE_BYTES);
    if (c.stage == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "recover %s: out of memory", l->dir);
    int rc = write_tail(l, &c, err);
    nk_log_file_free(l, &c.f); /* after an error */
    nk_mem_free(l->mem, c.stage, STAGE_BYTES);
    return rc == NITRO_OK && l->tail_number != 0 ? use_tails(l, now_ms, err) : rc;
}

/* ---- the file for appends ----------------------------------------------------------------------*/

static int open_current(struct nk_log *l, uint64_t before, int64_t now_ms, struct nitro_err *err) {
    struct nk_log_file *f = NULL;
    uint64_t room = nk_min_u64(NK_LOG_FIRST_STEP, l->file_bytes) + NK_LOG_RESERVE;
    int rc = nk_log_create(l, l->wal_off ? NK_PAGE : room, &f, err);
    if (rc != NITRO_OK) return rc;
    f->first_lsn = l->next_lsn + (l->wal_off ? NK_LSN_ROOM : 0);
    f->prev_number = before;
    f->prev_last_lsn = l->last_lsn;
    l->cur = l->unsynced = l->writing = f;
    l->at = NK_SECTOR;
    l->fill_at = 0;
    /* Until the file holds something, it is not what a next one follows. */
    l->used_number = NK_MUTATE(28, f->number, before);
    l->used_lsn = l->last_lsn;
    return use(l, f, l->last_lsn, now_ms, err);
}

/* ---- cleaning up -------------------------------------------------------------------------------*/

static int drop_file(struct nk_log *l, const struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    uint32_t slot = f->slot;
    struct nk_manifest_edit e = {
        .op = NK_MANIFEST_REMOVE, .kind = NK_FILE_LOG, .number = f->number, .salt = f->salt};
    nk_path_log(f->number, name);
    int rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    if (slot != 0) nk_files_drop(l->files, slot);
    if (l->files != NULL) nk_log_hint_remove(l, e.number);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "recovery: remove file");
    return NITRO_OK;
}

int nk_live_cut(struct nk_log *l, struct nk_live *f, uint64_t end, const char *why) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    int fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ | NITRO_FILE_WRITE);
    int rc = fd < 0 ? fd : nk_vfs_truncate(l->vfs, fd, end, why);
    if (fd >= 0) (void)l->vfs->close(l->vfs->ctx, fd); /* what it cuts is not needed either way */
    if (rc == 0) f->size = end;
    return rc;
}

/* Cuts a file behind its last record that counts. */
static int cut_file(struct nk_log *l, struct nk_live *f, uint64_t end, struct nitro_err *err) {
    if (nk_log_is_shared(l, f)) return NITRO_OK;
    int rc = nk_live_cut(l, f, end, "recovery: cut tail");
    return rc == 0 ? NITRO_OK : nk_log_fail(l, err, rc, "cannot cut the tail of", f->number);
}

/* The files that were there before this start made one. */
static int clean_logs(struct nk_log *l, struct nitro_err *err) {
    uint64_t durable = l->durable, made = l->tail_number != 0 ? l->tail_number : l->cur->number;
    for (uint32_t i = 0; i < l->live_count && l->live[i].number < made;) {
        struct nk_live *f = &l->live[i];
        uint64_t last = nk_live_last(l, i);
        bool void_now = last == 0 || f->head.first_lsn > durable;
        int rc = NITRO_OK;
        if (void_now && nk_folder_merged(l, f) && !nk_recover_keep(l, NK_FILE_LOG, f->number))
            void_now = false; /* until the next start */
        else if (void_now)
            rc = drop_file(l, f, err); /* the next one moves to its place in the list */
        else if (f->end != 0 && !l->clean)
            rc = cut_file(l, f, last <= durable ? f->end : f->keep_end, err);
        if (rc != NITRO_OK) return rc;
        i += !void_now;
    }
    return NITRO_OK;
}

static const char *why_orphan(enum nk_path_kind kind) {
    switch (kind) {
    case NK_PATH_IS_LOG:
        return "recovery: remove orphan";
    case NK_PATH_IS_DATA:
        return "recovery: remove data";
    case NK_PATH_IS_HINT:
    case NK_PATH_IS_HINT_TMP:
        return "recovery: remove hint";
    default:
        return "recovery: remove snapshot";
    }
}

int nk_recover_clean(struct nk_log *l, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = clean_logs(l, err);
    if (rc == NITRO_OK) rc = nk_recover_seal(l, err);
    if (rc != NITRO_OK) return rc;
    if (l->files != NULL) {
        uint32_t budget = UINT32_MAX;
        bool more = false;
        nk_log_links_drop(l, &budget, &more);
    }
    for (uint32_t i = 0; i < l->orphan_count; i++) {
        nk_orphan_path(&l->orphans[i], name);
        (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, why_orphan(l->orphans[i].kind));
    }
    if (!l->tmp_seen) return NITRO_OK;
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, NK_PATH_CONTROL_TMP, "recovery: remove tmp");
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, NK_PATH_MANIFEST_TMP, "recovery: remove tmp");
    return NITRO_OK;
}

/* ---- entry -------------------------------------------------------------------------------------*/

int nk_recover_finish(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    uint64_t durable = l->found.durable_lsn;
    NK_ASSERT(!l->read_only);
    l->durable = durable; /* what was served of it */
    if (now_ms > l->newest_ms) l->newest_ms = now_ms;
    l->view.status = NITRO_LOG_OK;
    int rc = NITRO_OK;
    if (l->created)
        rc = nk_folder_create(l, l->newest_ms, err);
    else if (NK_MUTATE(29, false, true))
        rc = nk_folder_relist(l, err);
    uint64_t before = file_before(l, l->last_lsn);
    if (rc == NITRO_OK && l->last_lsn > NK_MUTATE(19, UINT64_MAX, durable))
        rc = save_tail(l, l->newest_ms, err);
    if (l->tail_number != 0) before = l->live[l->live_count - 1].number;
    if (rc == NITRO_OK) rc = open_current(l, before, l->newest_ms, err);
    if (rc == NITRO_OK)
        rc = nk_log_control(l, l->last_lsn, l->cur->number, 0, false, l->newest_ms, err);
    if (rc != NITRO_OK) return rc;
    l->since = l->found.bytes;
    l->view.appended = l->view.written = l->view.durable = l->last_lsn;
    l->view.control = l->last_lsn;
    return NITRO_OK;
}
