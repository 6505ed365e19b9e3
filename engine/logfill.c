/* SPDX-License-Identifier: MIT
 *
 * logfill.c - files of the log: creating them, room ahead of the appends, MANIFEST and CONTROL (L4).
 *
 * DESIGN
 *   Appends use only space that is allocated, initialised and synced. Overwriting such space needs no change
 *   of the file's metadata, so a sync writes the data and nothing else; and a full disk is met here,
 *   before anything was logged. While groups are small the space is filled with zeros; above
 *   NK_GROUP_LARGE bytes a sync it is only allocated, because filling would cost more than it gains.
 *   The next file is filled step by step, as far as the current one is used. Filling it does not disturb
 *   the syncs of the current one; only the first file of a start has to be filled while it is in use.
 *
 *   A file comes to be in this order: blank header, room, sync, sync of the folder, listed in MANIFEST, sync
 *   of that; and only then is it used. So a file that holds anything is listed, and an unlisted one
 *   that says it is used is a sign of damage.
 *
 * FAILURE  No space is not a failure: NITRO_ELOGFULL, healed by a later call. Everything else is final.
 */
#include "recover.h"

#include "frame.h"
#include "hash.h"
#include "mutant.h"

uint64_t nk_log_salt(struct nk_log *l) {
    struct nk_sip_key key = {l->salts.k0, l->salts.k1};
    uint64_t v, n = l->salts.n++;
    do v = nk_hash_sip13(&key, (const uint8_t *)&n, sizeof n);
    while (v == 0);
    return v;
}

void nk_log_file_free(struct nk_log *l, struct nk_log_file **fp) {
    struct nk_log_file *f = *fp;
    *fp = NULL;
    if (f == NULL) return;
    /* What matters was synced; a close that fails can lose nothing that was promised. */
    if (f->fd >= 0) (void)l->vfs->close(l->vfs->ctx, f->fd);
    if (f->fill_fd >= 0) (void)l->vfs->close(l->vfs->ctx, f->fill_fd);
    nk_mem_free(l->mem, f, sizeof *f);
}

int nk_log_check(const struct nk_log *l, struct nitro_err *err) {
    if (__atomic_load_n(&l->view.status, __ATOMIC_ACQUIRE) != NITRO_LOG_FAILED) return NITRO_OK;
    if (err != NULL) nk_log_error(l, err);
    return NITRO_EIO;
}

/* ---- MANIFEST and CONTROL ----------------------------------------------------------------------*/

/* What an edit is for, as the file calls say it. */
struct edit_why {
    const char *write, *sync;
};
static const struct edit_why *edit_why(const struct nk_manifest_edit *e) {
    static const struct edit_why why[][2] = {
        [NK_FILE_LOG] = {{"manifest: add", "manifest: sync add"},
                         {"manifest: remove", "manifest: sync remove"}},
        [NK_FILE_SNAP] = {{"manifest: add snapshot", "manifest: sync add snapshot"},
                          {"manifest: remove snapshot", "manifest: sync remove snapshot"}},
        [NK_FILE_DATA] = {{"manifest: add data", "manifest: sync add data"},
                          {"manifest: remove data", "manifest: sync remove data"}}};
    return &why[e->kind][e->op == NK_MANIFEST_REMOVE];
}

int nk_log_edit(struct nk_log *l, const struct nk_manifest_edit *edit, struct nitro_err *err) {
    uint8_t buf[NK_MANIFEST_EDIT];
    struct nk_manifest_edit e = *edit;
    e.sequence = l->manifest_seq;
    const struct edit_why *why = edit_why(&e);
    if (e.op == NK_MANIFEST_ADD && !nk_folder_reserve(l, e.kind))
        return nk_err_set(err, NITRO_ENOMEM, 0, "list a file in %s/%s: out of memory", l->dir,
                          NK_PATH_MANIFEST);
    nk_manifest_edit_encode(&e, l->manifest_at, l->manifest_salt, buf);
    int rc = nk_vfs_write(l->vfs, l->manifest_fd, buf, sizeof buf, l->manifest_at, why->write);
    if (nk_log_is_full(rc))
        return nk_err_set(err, NITRO_ELOGFULL, -rc, "no room on the disk for an entry of %s/%s",
                          l->dir, NK_PATH_MANIFEST);
    if (rc == 0) rc = nk_vfs_sync(l->vfs, l->manifest_fd, why->sync);
    if (rc != 0) return nk_log_fail(l, err, rc, "cannot write to", 0);
    l->manifest_at += sizeof buf;
    l->manifest_seq++;
    rc = nk_folder_edit(l, &e);
    NK_ASSERT(rc == NITRO_OK); /* it concerns a file that we have made, or that is listed */
    return NITRO_OK;
}

/* What lists a log file, or removes it from the list. */
static int edit_log(struct nk_log *l, enum nk_manifest_op op, const struct nk_log_file *f,
                    struct nitro_err *err) {
    struct nk_manifest_edit e = {
        .op = op, .kind = NK_FILE_LOG, .number = f->number, .salt = f->salt};
    return nk_log_edit(l, &e, err);
}

int nk_log_control(struct nk_log *l, uint64_t durable_lsn, uint64_t file, uint64_t end, bool clean,
                   int64_t now_ms, struct nitro_err *err) {
    uint8_t slot[NK_CONTROL_SLOT];
    struct nk_control c = {.clean = clean,
                           .sequence = l->control.sequence + 1,
                           .durable_lsn = durable_lsn,
                           .file = file,
                           .end = end,
                           .time_ms = now_ms,
                           .keys = __atomic_load_n(&l->keys, __ATOMIC_RELAXED)};
    memcpy(c.store, l->store, sizeof c.store);
    nk_control_encode(&c, slot);
    int rc =
        nk_vfs_write(l->vfs, l->control_fd, slot, sizeof slot, (c.sequence & 1) * NK_CONTROL_SLOT,
                     clean ? "control: clean" : "control: note");
    if (rc == 0)
        rc = nk_vfs_sync(l->vfs, l->control_fd,
                         clean ? "control: sync clean" : "control: sync note");
    if (rc != 0) return nk_log_fail(l, err, rc, "cannot write CONTROL for", file);
    l->control = c;
    __atomic_store_n(&l->view.control, durable_lsn, __ATOMIC_RELEASE);
    return NITRO_OK;
}

int nk_log_note(struct nk_log *l, struct nitro_err *err) {
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    uint64_t durable = NK_MUTATE(11, nk_log_written(l), nk_log_durable(l));
    if (durable == l->control.durable_lsn && !l->control.clean) return NITRO_OK;
    /* only a sync closes files, and none runs beside this */
    const struct nk_log_file *writing = __atomic_load_n(&l->writing, __ATOMIC_ACQUIRE);
    uint64_t file = writing != NULL ? writing->number : l->control.file;
    return nk_log_control(l, durable, file, 0, false, l->newest_ms, err);
}

/* ---- room --------------------------------------------------------------------------------------*/

/* Whether room is written with zeros: while groups are small. */
static bool filled(const struct nk_log *l) {
    return __atomic_load_n(&l->group_bytes, __ATOMIC_RELAXED) <= NK_GROUP_LARGE;
}

/* How far the window is to run ahead. Room that is only allocated costs one commit of the file system's journal, however
 * much it is. */
static uint64_t step_of(const struct nk_log *l) {
    if (filled(l)) return l->step;
    return nk_max_u64(l->step, nk_min_u64(NK_LOG_ALLOC_STEP, l->file_bytes / 4));
}

/* Beyond which offset of the current file the host is asked for a fill. Under the lock. */
static void set_fill_at(struct nk_log *l, uint64_t step) {
    const struct nk_log_file *f = l->cur;
    uint64_t keep = NK_LOG_RESERVE + NK_LOG_FOOTER_ROOM;
    if (f->window_end >= f->limit + keep)
        f = l->prepared; /* it is followed as far as the current one is used */
    if (f == NULL)
        l->fill_at = 0;
    else if (f->window_end >= f->limit + keep)
        l->fill_at = UINT64_MAX;
    else /* when half of a step is used, so that the next one is worth its sync */
        l->fill_at = f->window_end > keep + step / 2 ? f->window_end - keep - step / 2 : 0;
}

/* Room from the end of the window up to `to`, without saying so yet. 0 or -errno. */
static int make_room(struct nk_log *l, struct nk_log_file *f, uint64_t to) {
    uint64_t from = f->window_end, n = to - from;
    bool zero = filled(l);
    int rc = nk_vfs_alloc(l->vfs, f->fill_fd, from, n, "window: alloc");
    if (rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL)
        zero = true; /* a file system that can't: writing zeros finds out about its room, too */
    else if (rc != 0)
        return rc;
    if (zero) rc = nk_vfs_zero(l->vfs, f->fill_fd, from, n, "window: zero");
    return rc;
}

/* Extends a file's window to `to`, or less far but at least to `least`. */
static int extend(struct nk_log *l, struct nk_log_file *f, uint64_t least, uint64_t to,
                  struct nitro_err *err) {
    int rc;
    least = nk_round_up(least, NK_PAGE);
    to = nk_max_u64(least, nk_round_up(to, NK_PAGE));
    for (;;) {
        rc = make_room(l, f, to);
        if (!nk_log_is_full(rc) || to <= least) break;
        to = nk_max_u64(least, to - nk_round_up((to - f->window_end) / 2, NK_PAGE));
    }
    if (nk_log_is_full(rc))
        return nk_err_set(
            err, NITRO_ELOGFULL, -rc,
            "no room on the disk for %llu more bytes of log in %s; writes are refused "
            "until there is",
            (unsigned long long)(to - f->window_end), l->dir);
    if (rc == 0) rc = nk_vfs_sync(l->vfs, f->fill_fd, "window: sync");
    if (rc != 0) return nk_log_fail(l, err, rc, "cannot get room for", f->number);
    nk_spin_lock(&l->lock);
    f->window_end = to;
    nk_spin_unlock(&l->lock);
    struct nk_live *listed = nk_folder_find(l, f->number);
    if (listed != NULL) listed->size = to;
    return NITRO_OK;
}

/* ---- files -------------------------------------------------------------------------------------*/

static int write_header(struct nk_log *l, const struct nk_log_header *h, int fd, const char *why) {
    uint8_t sector[NK_SECTOR];
    nk_log_header_encode(h, sector);
    return nk_vfs_write(l->vfs, fd, sector, sizeof sector, 0, why);
}

int nk_log_header_write(struct nk_log *l, const struct nk_log_file *f, uint64_t durable_lsn,
                        int64_t now_ms) {
    uint64_t known = nk_min_u64(durable_lsn, f->prev_last_lsn);
    struct nk_log_header h = {.used = 1,
                              .number = f->number,
                              .salt = f->salt,
                              .first_lsn = f->first_lsn,
                              .prev_number = f->prev_number,
                              .prev_last_lsn = f->prev_last_lsn,
                              .durable_lsn = NK_MUTATE(10, f->prev_last_lsn, known),
                              .time_ms = now_ms};
    memcpy(h.store, l->store, sizeof h.store);
    return write_header(l, &h, f->fd, "log: used header");
}

/* Opens a new file and writes its blank header. 0 or -errno. */
static int open_blank(struct nk_log *l, struct nk_log_file *f, const char *name) {
    unsigned flags = NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL;
    f->fd = nk_vfs_open(l->vfs, l->dirfd, name, flags);
    if (f->fd < 0) return f->fd;
    f->fill_fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ | NITRO_FILE_WRITE);
    if (f->fill_fd < 0) return f->fill_fd;
    struct nk_log_header h = {.number = f->number, .salt = f->salt, .time_ms = l->newest_ms};
    memcpy(h.store, l->store, sizeof h.store);
    return write_header(l, &h, f->fill_fd, "log: blank header");
}

/* Where the log is the data, entries will refer to the file: it gets a slot, with a handle for reading. 0, -errno, or
 * NITRO_ELOGFULL: none is left, but for merges and the next start. */
static int take_slot(struct nk_log *l, struct nk_log_file *f, const char *name) {
    if (l->files == NULL) return 0;
    if (l->cur != NULL && l->files->count >= NK_LOC_SLOTS - NK_FILES_RESERVE) return NITRO_ELOGFULL;
    int fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return fd;
    f->slot = nk_files_add(l->files, f->number, NK_FILE_LOG, f->salt, fd);
    if (f->slot != 0) return 0;
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    return NITRO_ELOGFULL;
}

int nk_log_no_slot(const struct nk_log *l, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ELOGFULL, 0,
                      "%s has %u data files, and there cannot be more: let merges run (nitrokv "
                      "merge), or raise --max-file-size",
                      l->dir, l->files->count);
}

int nk_log_no_handle(const struct nk_log *l, int rc, struct nitro_err *err) {
    if (l->files == NULL)
        return nk_err_set(
            err, NITRO_ELOGFULL, -rc,
            "no handle for the next log file in %s: %s; raise the limit of open files "
            "(ulimit -n, LimitNOFILE), or lower --max-clients",
            l->dir, strerror(-rc));
    return nk_err_set(
        err, NITRO_ELOGFULL, -rc,
        "no handle for one more data file in %s, which has %u: %s; raise the limit of "
        "open files (ulimit -n, LimitNOFILE), or --max-file-size",
        l->dir, l->files->count, strerror(-rc));
}

/* Gives up a file that holds nothing: its handles and its slot. */
static void forget(struct nk_log *l, struct nk_log_file **f) {
    if ((*f)->slot != 0) nk_files_drop(l->files, (*f)->slot);
    nk_log_file_free(l, f);
}

/* A file that did not come to be; nothing refers to it. What can't be removed is removed at a start. */
static void discard(struct nk_log *l, struct nk_log_file **f, const char *name) {
    forget(l, f);
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "log: discard");
}

/* The file, blank, with its room and its slot; not listed yet. After an error the rest of it is to be discarded. */
static int make_blank(struct nk_log *l, struct nk_log_file *f, const char *name, uint64_t room,
                      struct nitro_err *err) {
    int rc = open_blank(l, f, name);
    if (rc == 0) rc = take_slot(l, f, name);
    if (rc == NITRO_ELOGFULL) return nk_log_no_slot(l, err);
    if (rc == -EMFILE || rc == -ENFILE) return nk_log_no_handle(l, rc, err);
    if (nk_log_is_full(rc))
        return nk_err_set(err, NITRO_ELOGFULL, -rc, "no room on the disk for %s/%s", l->dir, name);
    if (rc != 0) return nk_log_fail(l, err, rc, "cannot create", f->number);
    int code = extend(l, f, nk_min_u64(room, NK_LOG_RESERVE * 2), room, err);
    if (code != NITRO_OK) return code;
    rc = nk_vfs_dir_sync(l->vfs, l->dirfd, "log: sync folder");
    return rc == 0 ? NITRO_OK : nk_log_fail(l, err, rc, "cannot sync the folder of", f->number);
}

int nk_log_create(struct nk_log *l, uint64_t room, struct nk_log_file **out,
                  struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_file *f = nk_mem_zalloc(l->mem, sizeof *f);
    if (f == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "cannot prepare a log file: out of memory");
    *f = (struct nk_log_file){.fd = -1,
                              .fill_fd = -1,
                              .number = l->next_number++,
                              .salt = nk_log_salt(l),
                              .window_end = NK_SECTOR,
                              .limit = l->file_bytes};
    nk_path_log(f->number, name);
    int code = make_blank(l, f, name, room, err);
    bool listed = code == NITRO_OK;
    if (listed) code = edit_log(l, NK_MANIFEST_ADD, f, err);
    if (code == NITRO_OK) {
        struct nk_live *live = nk_folder_find(l, f->number);
        live->size = f->window_end;
        live->slot = f->slot;
        *out = f;
    } else if (listed && code == NITRO_EIO) {
        forget(l, &f); /* it may be listed, so it must stay */
    } else {
        discard(l, &f, name);
    }
    return code;
}

/* ---- fill --------------------------------------------------------------------------------------*/

/* What a fill starts from. */
struct goal {
    struct nk_log_file *cur, *prepared;
    uint64_t at, need, keep, step;
};

/* Room in the current file: for `need` if that can be in it, and for a step ahead if less than half of one is
 * left. */
static int fill_current(struct nk_log *l, const struct goal *g, uint64_t need,
                        struct nitro_err *err) {
    struct nk_log_file *f = g->cur;
    uint64_t cap = f->limit + g->keep;
    uint64_t least = g->at + NK_FRAME_HEADER + need + g->keep;
    if (f->window_end >= cap || f->window_end >= least + g->step / 2) return NITRO_OK;
    least = nk_min_u64(cap, nk_max_u64(least, f->window_end + NK_PAGE));
    return extend(l, f, least, nk_min_u64(cap, least + g->step), err);
}

/* The next file: there, with room for `need`, and filled as far as the current one is used. */
static int fill_prepared(struct nk_log *l, const struct goal *g, struct nitro_err *err) {
    struct nk_log_file *f = g->prepared;
    uint64_t least = nk_round_up(NK_SECTOR + NK_FRAME_HEADER + g->need + g->keep, NK_PAGE);
    if (f == NULL) {
        int rc =
            nk_log_create(l, nk_max_u64(least, nk_min_u64(l->step, NK_LOG_FIRST_STEP)), &f, err);
        if (rc != NITRO_OK) return rc;
        f->limit = nk_max_u64(l->file_bytes, least - g->keep);
        nk_spin_lock(&l->lock);
        l->prepared = f;
        nk_spin_unlock(&l->lock);
        return NITRO_OK;
    }
    nk_spin_lock(&l->lock);
    f->limit = nk_max_u64(f->limit, least - g->keep);
    nk_spin_unlock(&l->lock);
    uint64_t cap = f->limit + g->keep;
    if (f->window_end >= nk_min_u64(cap, nk_max_u64(least, g->at + g->step / 2))) return NITRO_OK;
    uint64_t to = nk_min_u64(cap, nk_max_u64(least, g->at + g->step));
    /* in steps, so that this never takes long, but for a need that is larger */
    to = nk_max_u64(least, nk_min_u64(to, f->window_end + g->step));
    return extend(l, f, nk_max_u64(nk_min_u64(least, to), f->window_end + NK_PAGE), to, err);
}

/* Whether a record of g->need bytes could be appended now; `got` if room has been got, which others may have
 * used already. Ends the state FULL then. */
static bool satisfied(struct nk_log *l, const struct goal *g, bool got) {
    uint64_t bytes = NK_FRAME_HEADER + nk_max_u64(g->need, 1);
    nk_spin_lock(&l->lock);
    const struct nk_log_file *p = l->prepared;
    bool here = l->at + bytes + g->keep <= l->cur->window_end;
    bool next = p != NULL && NK_SECTOR + bytes + g->keep <= p->window_end;
    if (here || next || got) {
        set_fill_at(l, g->step);
        l->wanted = NK_LOG_STEP_MIN;
        if (l->view.status == NITRO_LOG_FULL)
            __atomic_store_n(&l->view.status, NITRO_LOG_OK, __ATOMIC_RELEASE);
    }
    nk_spin_unlock(&l->lock);
    return here || next || got;
}

/* What there is too little of, by the error that says so. */
static uint32_t lack_of(const struct nitro_err *why) {
    if (why->sys == EMFILE || why->sys == ENFILE) return NITRO_LACK_HANDLES;
    return why->sys == 0 ? NITRO_LACK_FILES : NITRO_LACK_ROOM;
}

static int note_full(struct nk_log *l, uint64_t need, const struct nitro_err *why) {
    uint32_t lack = lack_of(why);
    nk_spin_lock(&l->lock);
    l->wanted = nk_min_u64(nk_max_u64(need, l->wanted), NK_LOG_FIRST_STEP);
    if (l->view.status == NITRO_LOG_OK ||
        (l->view.status == NITRO_LOG_FULL && l->view.full != lack)) {
        l->err = *why;
        __atomic_store_n(&l->view.full, lack, __ATOMIC_RELAXED);
        __atomic_store_n(&l->view.status, NITRO_LOG_FULL, __ATOMIC_RELEASE);
    }
    nk_spin_unlock(&l->lock);
    return NITRO_ELOGFULL;
}

int nk_log_prepare(struct nk_log *l, struct nitro_err *err) {
    struct goal g = {.keep = NK_LOG_RESERVE + NK_LOG_FOOTER_ROOM};
    nk_spin_lock(&l->lock);
    g.prepared = l->prepared;
    nk_spin_unlock(&l->lock);
    return g.prepared != NULL ? NITRO_OK : fill_prepared(l, &g, err);
}

int nk_log_fill(struct nk_log *l, uint64_t need, struct nitro_err *err) {
    struct nitro_err why = {.code = NITRO_OK};
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    __atomic_store_n(&l->view.fill, 0, __ATOMIC_RELEASE);
    nk_spin_lock(&l->lock);
    if (l->view.status == NITRO_LOG_FULL) need = nk_max_u64(need, l->wanted);
    struct goal g = {.cur = l->cur,
                     .prepared = l->prepared,
                     .at = l->at,
                     .need = need,
                     .keep = NK_LOG_RESERVE + NK_LOG_FOOTER_ROOM,
                     .step = step_of(l)};
    l->filling = g.cur;
    nk_spin_unlock(&l->lock);
    bool here = g.at + NK_FRAME_HEADER + need <= g.cur->limit;
    rc = fill_current(l, &g, here ? need : 0, &why);
    if (rc == NITRO_OK && g.cur->window_end >= g.cur->limit + g.keep) here = false;
    if (rc != NITRO_EIO && (!here || rc == NITRO_ELOGFULL)) rc = fill_prepared(l, &g, &why);
    nk_spin_lock(&l->lock);
    l->filling = NULL;
    nk_spin_unlock(&l->lock);
    if (rc != NITRO_EIO && satisfied(l, &g, rc == NITRO_OK)) rc = NITRO_OK;
    if (rc == NITRO_ELOGFULL) rc = note_full(l, need, &why);
    if (rc != NITRO_OK && err != NULL) *err = why;
    __atomic_fetch_add(&l->view.room_seq, 1, __ATOMIC_RELEASE);
    return rc;
}

/* ---- clean stop --------------------------------------------------------------------------------*/

static int remove_prepared(struct nk_log *l, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_file *f = l->prepared;
    if (f == NULL) return NITRO_OK;
    int rc = edit_log(l, NK_MANIFEST_REMOVE, f, err);
    if (rc != NITRO_OK) return rc;
    nk_path_log(f->number, name);
    forget(l, &l->prepared);
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "log: remove prepared");
    return NITRO_OK;
}

/* The footer in the first whole sector behind the frames, and nothing behind it. 0 or -errno. */
static int write_footer(struct nk_log *l, const struct nk_log_file *f, uint64_t end) {
    uint8_t sector[NK_SECTOR];
    uint64_t at = nk_round_up(end, NK_SECTOR);
    struct nk_log_footer foot = {
        .number = f->number, .salt = f->salt, .end = end, .last_lsn = l->used_lsn};
    nk_log_footer_encode(&foot, sector);
    int rc = nk_vfs_write(l->vfs, f->fd, sector, sizeof sector, at, "stop: footer");
    if (rc == 0) rc = nk_vfs_truncate(l->vfs, f->fd, at + NK_SECTOR, "stop: truncate");
    return rc == 0 ? nk_vfs_sync(l->vfs, f->fd, "stop: sync") : rc;
}

/* Appends may have gone on in a file that nothing was appended to (nk_log_roll): it is used now, because the log ends in
 * it. The footer's sync is its header's, too. 0 or -errno. */
static int use_current(struct nk_log *l, int64_t now_ms) {
    struct nk_log_file *f = l->cur;
    if (f->first_lsn != 0) return 0;
    f->first_lsn = l->next_lsn;
    f->prev_number = l->used_number;
    f->prev_last_lsn = l->used_lsn;
    return nk_log_header_write(l, f, nk_log_durable(l), now_ms);
}

int nk_log_stop(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    if (l->wal_off) return NITRO_OK; /* there is no log whose end could be marked */
    int rc = nk_log_write(l, now_ms, err);
    if (rc == NITRO_OK) rc = NK_MUTATE(12, NITRO_OK, nk_log_sync(l, err));
    if (rc != NITRO_OK) return rc;
    l->stopped = true;
    rc = remove_prepared(l, err);
    if (rc != NITRO_OK) return rc;
    struct nk_log_file *f = l->cur;
    int sys = use_current(l, now_ms);
    if (sys == 0) sys = write_footer(l, f, l->at);
    if (sys != 0) return nk_log_fail(l, err, sys, "cannot close", f->number);
    return nk_log_control(l, l->used_lsn, f->number, l->at, true, now_ms, err);
}
