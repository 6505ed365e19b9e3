/* SPDX-License-Identifier: MIT
 *
 * recover_finish.c - the last step of recovery, the only one that changes the folder (L4).
 *
 * ORDER  (each step is durable before the next; a crash between two leaves a folder that recovers to the same)
 *   1. CONTROL, then MANIFEST, if the store is new; else MANIFEST anew.
 *   2. the tail, if there is one: a blank file, listed; its records; its header, used. Now the chain goes
 *      through it, and the old file ends at W.
 *   3. the file for appends: blank, listed, used, with its first LSN. So an LSN that is given out from here
 *      on is never given again, even if nothing of it reaches the disk.
 *   4. CONTROL knows that everything is durable.
 *   5. What nothing refers to any more: superseded, blank and empty files, the tail in its old place.
 */
#include "frame.h"
#include "recover.h"
#include "mutant.h"

#define STAGE_BYTES 65536u

/* ---- a new store -------------------------------------------------------------------------------*/

/* Replaces a whole small file in one step and keeps it open in *fd. */
static int install(struct nk_log *l, const char *tmp, const char *name, const uint8_t *p, size_t n,
                   int *fd) {
    unsigned flags = NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE;
    int f = nk_vfs_open(l->vfs, l->dirfd, tmp, flags);
    if (f < 0) return f;
    int rc = nk_vfs_write(l->vfs, f, p, n, 0, "create: write");
    if (rc == 0) rc = nk_vfs_truncate(l->vfs, f, n, "create: truncate");
    if (rc == 0) rc = nk_vfs_sync(l->vfs, f, "create: sync");
    if (rc == 0) rc = l->vfs->rename(l->vfs->ctx, l->dirfd, tmp, name, "create: rename");
    if (rc == 0) rc = nk_vfs_dir_sync(l->vfs, l->dirfd, "create: sync folder");
    if (rc != 0) {
        (void)l->vfs->close(l->vfs->ctx, f); /* the failure is being reported */
        return rc;
    }
    *fd = f;
    return 0;
}

static void close_manifest(struct nk_log *l) {
    if (l->manifest_fd >= 0) (void)l->vfs->close(l->vfs->ctx, l->manifest_fd); /* it is replaced */
    l->manifest_fd = -1;
}

static int create_store(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    uint8_t control[NK_CONTROL_BYTES] = {0}, manifest[NK_MANIFEST_HEADER];
    nk_store64(l->store, nk_log_salt(l));
    nk_store64(l->store + 8, nk_log_salt(l));
    l->control = (struct nk_control){.sequence = 2, .time_ms = now_ms};
    memcpy(l->control.store, l->store, sizeof l->store);
    nk_control_encode(&l->control, control);
    struct nk_manifest_head h = {.mode = NK_MODE_MEMORY, .salt = nk_log_salt(l)};
    memcpy(h.store, l->store, sizeof h.store);
    nk_manifest_head_encode(&h, manifest);
    int rc =
        install(l, NK_PATH_CONTROL_TMP, NK_PATH_CONTROL, control, sizeof control, &l->control_fd);
    if (rc == 0)
        rc = install(l, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST, manifest, sizeof manifest,
                     &l->manifest_fd);
    if (rc != 0)
        return nk_err_set(err, NITRO_EIO, -rc, "create a store in %s: %s", l->dir, strerror(-rc));
    l->manifest_salt = h.salt;
    l->manifest_at = NK_MANIFEST_HEADER;
    l->manifest_seq = 1;
    l->next_lsn = 1;
    return NITRO_OK;
}

/* MANIFEST anew, with the files that are listed. What is there now may be a page that a failed sync has left in
 * the cache and not on the disk; what is appended behind it would follow a gap after a power cut. Also after
 * a clean stop: the sync may have failed in a start since then that did not get through. */
static int rewrite_manifest(struct nk_log *l, struct nitro_err *err) {
    uint64_t edits = l->live_count + 2u;
    size_t bytes = NK_MANIFEST_HEADER + edits * NK_MANIFEST_EDIT;
    uint8_t *p = nk_mem_zalloc(l->mem, bytes);
    if (p == NULL) return nk_err_set(err, NITRO_ENOMEM, 0, "recover %s: out of memory", l->dir);
    struct nk_manifest_head h = {.mode = NK_MODE_MEMORY, .salt = nk_log_salt(l)};
    memcpy(h.store, l->store, sizeof h.store);
    nk_manifest_head_encode(&h, p);
    struct nk_manifest_edit e = {.op = NK_MANIFEST_ADD, .kind = NK_FILE_LOG};
    uint64_t at = NK_MANIFEST_HEADER, last = l->next_number - 1;
    for (uint64_t i = 0; i < edits; i++) {
        bool listed = i < l->live_count;
        if (!listed && (last == 0 ||
                        (i == l->live_count && l->live_count > 0 && l->live[i - 1].number == last)))
            break; /* else the last number that was ever used, added and removed: it is not used again */
        e.op = i == edits - 1 ? NK_MANIFEST_REMOVE : NK_MANIFEST_ADD;
        e.number = listed ? l->live[i].number : last;
        e.salt = listed ? l->live[i].salt : h.salt;
        e.sequence = i + 1;
        nk_manifest_edit_encode(&e, at, h.salt, p + at);
        at += NK_MANIFEST_EDIT;
    }
    close_manifest(l);
    int rc = install(l, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST, p, (size_t)at, &l->manifest_fd);
    nk_mem_free(l->mem, p, bytes);
    if (rc != 0)
        return nk_err_set(err, NITRO_EIO, -rc, "write %s/%s anew: %s", l->dir, NK_PATH_MANIFEST,
                          strerror(-rc));
    l->manifest_salt = h.salt;
    l->manifest_at = at;
    l->manifest_seq = at / NK_MANIFEST_EDIT;
    return NITRO_OK;
}

/* ---- the tail ----------------------------------------------------------------------------------*/

/* Writes records to a new file, gathering small ones. */
struct copy {
    struct nk_log *l;
    struct nk_log_file *f;
    uint8_t *stage;
    size_t used;
    uint64_t at;       /* offset of stage[0] in the file */
    uint64_t frame_at; /* of the frame's header */
    struct nk_frame_head frame;
    int rc; /* first failure, -errno */
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

/* The records of one file in (W, last], frame by frame. */
static int copy_file(struct copy *c, const struct nk_live *f, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = nk_live_scan(c->l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    uint64_t last = nk_live_last(c->l, (uint32_t)(f - c->l->live)), first = c->l->durable + 1;
    while ((rc = nk_logscan_frame(&s)) == NITRO_OK && s.lsn <= last) {
        if (s.frame.first_lsn + s.frame.count <= first) {
            nk_logscan_skip(&s);
            continue;
        }
        copy_frame_begin(c, s.frame.time_ms);
        struct nk_placed rec;
        while (s.lsn <= last && (rc = nk_logscan_record(&s, true, &rec)) == NITRO_OK)
            if (rec.r.lsn >= first) copy_record(c, &rec.r);
        copy_frame_end(c);
        if (s.lsn > last || rc != NITRO_ENOTFOUND) break;
    }
    if (s.lsn > last || rc == NITRO_ENOTFOUND) rc = NITRO_OK;
    if (rc == NITRO_ECORRUPT)
        rc = nk_recover_damage(c->l, err, f->number, s.at, s.lsn, "it was valid a moment ago");
    else if (rc != NITRO_OK)
        rc = nk_live_scan_failed(c->l, err, f, &s, rc);
    nk_live_scan_end(c->l, &s);
    return rc;
}

/* The newest file on the chain that holds a record up to `lsn`; 0 = none. */
static uint64_t file_before(const struct nk_log *l, uint64_t lsn) {
    uint64_t number = 0;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (nk_live_last(l, i) != 0 && l->live[i].head.first_lsn <= lsn) number = l->live[i].number;
    return number;
}

/* From now on the file is used. */
static int use(struct nk_log *l, struct nk_log_file *f, int64_t now_ms, struct nitro_err *err) {
    int rc = nk_log_header_write(l, f, f->prev_last_lsn, now_ms);
    if (rc == 0) rc = nk_vfs_sync(l->vfs, f->fd, "recovery: sync header");
    if (rc == 0) return NITRO_OK;
    return nk_log_fail(l, err, rc, "cannot write the header of", f->number);
}

static int write_tail(struct nk_log *l, struct copy *c, int64_t now_ms, struct nitro_err *err) {
    for (uint32_t i = 0; i < l->live_count; i++) {
        if (nk_live_last(l, i) <= l->durable) continue;
        int rc = copy_file(c, &l->live[i], err);
        if (rc != NITRO_OK) return rc;
    }
    copy_flush(c);
    if (c->rc == 0) c->rc = nk_vfs_sync(l->vfs, c->f->fd, "tail: sync");
    if (c->rc != 0) return nk_log_fail(l, err, c->rc, "cannot write the tail to", c->f->number);
    return use(l, c->f, now_ms, err);
}

/* The LSN of the tail's first record: W + 1, unless LSNs jumped there. */
static uint64_t tail_first(const struct nk_log *l) {
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (nk_live_last(l, i) > l->durable)
            first = nk_min_u64(first, nk_max_u64(l->durable + 1, l->live[i].head.first_lsn));
    return first;
}

/* Writes (W, last] anew; *number is the new file's. */
static int save_tail(struct nk_log *l, int64_t now_ms, uint64_t *number, struct nitro_err *err) {
    struct copy c = {.l = l, .at = NK_SECTOR};
    c.stage = nk_mem_alloc(l->mem, STAGE_BYTES);
    if (c.stage == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "recover %s: out of memory", l->dir);
    int rc = nk_log_create(l, 2 * NK_LOG_RESERVE, &c.f, err);
    if (rc == NITRO_OK) {
        c.f->first_lsn = NK_MUTATE(27, l->durable + 1, tail_first(l));
        c.f->prev_last_lsn = l->durable;
        c.f->prev_number = file_before(l, l->durable);
        *number = c.f->number;
        rc = write_tail(l, &c, now_ms, err);
        nk_log_file_free(l, &c.f);
    }
    nk_mem_free(l->mem, c.stage, STAGE_BYTES);
    return rc;
}

/* ---- the file for appends ----------------------------------------------------------------------*/

static int open_current(struct nk_log *l, uint64_t before, int64_t now_ms, struct nitro_err *err) {
    struct nk_log_file *f = NULL;
    uint64_t room = nk_min_u64(NK_LOG_FIRST_STEP, l->file_bytes) + NK_LOG_RESERVE;
    int rc = nk_log_create(l, room, &f, err);
    if (rc != NITRO_OK) return rc;
    f->first_lsn = l->next_lsn;
    f->prev_number = before;
    f->prev_last_lsn = l->last_lsn;
    l->cur = l->unsynced = l->writing = f;
    l->at = NK_SECTOR;
    l->fill_at = 0;
    /* Until the file holds something, it is not what a next one follows. */
    l->used_number = NK_MUTATE(28, f->number, before);
    l->used_lsn = l->last_lsn;
    return use(l, f, now_ms, err);
}

/* ---- cleaning up -------------------------------------------------------------------------------*/

static int drop_file(struct nk_log *l, const struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = nk_log_edit(l, NK_MANIFEST_REMOVE, f->number, f->salt, err);
    if (rc != NITRO_OK) return rc;
    nk_path_log(f->number, name);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "recovery: remove file");
    return NITRO_OK;
}

/* Cuts a file behind its last record that counts. */
static int cut_file(struct nk_log *l, const struct nk_live *f, uint64_t end,
                    struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    int fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ | NITRO_FILE_WRITE);
    int rc = fd < 0 ? fd : nk_vfs_truncate(l->vfs, fd, end, "recovery: cut tail");
    if (fd >= 0) (void)l->vfs->close(l->vfs->ctx, fd); /* what it cuts is not needed either way */
    return rc == 0 ? NITRO_OK : nk_log_fail(l, err, rc, "cannot cut the tail of", f->number);
}

static int clean_up(struct nk_log *l, uint64_t durable, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_live *f = &l->live[i];
        uint64_t last = nk_live_last(l, i);
        bool void_now = last == 0 || f->head.first_lsn > durable;
        int rc = NITRO_OK;
        if (void_now)
            rc = drop_file(l, f, err);
        else if (f->end != 0 && !l->clean)
            rc = cut_file(l, f, last <= durable ? f->end : f->keep_end, err);
        if (rc != NITRO_OK) return rc;
    }
    for (uint32_t i = 0; i < l->orphan_count; i++) {
        nk_path_log(l->orphans[i], name);
        (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "recovery: remove orphan");
    }
    if (!l->tmp_seen) return NITRO_OK;
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, NK_PATH_CONTROL_TMP, "recovery: remove tmp");
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, NK_PATH_MANIFEST_TMP, "recovery: remove tmp");
    return NITRO_OK;
}

/* ---- entry -------------------------------------------------------------------------------------*/

int nk_recover_finish(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    uint64_t durable = l->found.durable_lsn;
    l->durable = durable; /* what was served of it */
    if (now_ms > l->newest_ms) l->newest_ms = now_ms;
    l->view.status = NITRO_LOG_OK;
    int rc = NITRO_OK;
    if (l->created)
        rc = create_store(l, l->newest_ms, err);
    else if (NK_MUTATE(29, false, true))
        rc = rewrite_manifest(l, err);
    uint64_t before = file_before(l, l->last_lsn);
    if (rc == NITRO_OK && l->last_lsn > NK_MUTATE(19, UINT64_MAX, durable))
        rc = save_tail(l, l->newest_ms, &before, err);
    if (rc == NITRO_OK) rc = open_current(l, before, l->newest_ms, err);
    if (rc == NITRO_OK)
        rc = nk_log_control(l, l->last_lsn, l->cur->number, 0, false, l->newest_ms, err);
    if (rc == NITRO_OK) rc = clean_up(l, durable, err);
    if (rc != NITRO_OK) return rc;
    l->view.appended = l->view.written = l->view.durable = l->last_lsn;
    l->view.control = l->last_lsn;
    return NITRO_OK;
}
