/* SPDX-License-Identifier: MIT
 *
 * snap.c - taking a snapshot: from the file that is made to the file that is listed (L5).
 *
 * DESIGN
 *   docs/design/0005. The calls of nitro.h, in their order; each leaves something that free_snap can take
 *   apart. Until `finish` has listed the file nothing that exists has been changed, so whatever fails ends
 *   with a file that is removed.
 *
 * NOT HERE  the walk (snap_walk.c), what writers do (snap_save.c), the folder's lists (logsnap.c).
 */
#include "snap.h"

#include "err.h"
#include "mutant.h"
#include "store.h"

#include <errno.h>

/* Lock holds in one call, so that the gate is held for a tenth of a millisecond or so. */
#define GATHER_HOLDS 16u

static void set64(uint64_t *word, uint64_t v) { __atomic_store_n(word, v, __ATOMIC_RELAXED); }

/* ---- buffers -----------------------------------------------------------------------------------*/

/* Calls fn for each large entry of a buffer, oldest first. */
typedef int large_fn(struct nk_snap *n, const struct nk_snap_large *l, const uint8_t *key);

static int each_large(struct nk_snap *n, struct nk_snap_buf *b, large_fn *fn) {
    const uint8_t *at = b->p + b->cap;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < b->large; i++) {
        struct nk_snap_large l;
        at -= sizeof l;
        memcpy(&l, at, sizeof l);
        at -= l.key_bytes;
        if (rc == NITRO_OK) rc = fn(n, &l, at);
    }
    return rc;
}

static int drop_large(struct nk_snap *n, const struct nk_snap_large *l, const uint8_t *key) {
    (void)key;
    nk_big_release(n->db, l->big);
    return NITRO_OK;
}

static int write_large(struct nk_snap *n, const struct nk_snap_large *l, const uint8_t *key) {
    struct nk_snaprec r = {.key = key,
                           .value = l->big->data,
                           .key_bytes = (uint32_t)l->key_bytes,
                           .value_bytes = (uint32_t)l->big->bytes,
                           .version = l->version,
                           .expire_ms = l->expire_ms,
                           .large = true};
    return nk_snapwrite_large(&n->file, &r);
}

static void empty(struct nk_snap *n, struct nk_snap_buf *b) {
    (void)each_large(n, b, drop_large);
    b->front = b->back = b->large = 0;
    set64(&b->held, 0);
}

static bool make_buf(struct nk_snap *n, struct nk_snap_buf *b, uint64_t bytes) {
    b->p = nk_mem_map(n->db->mem, bytes, NK_PAGE);
    if (b->p != NULL) b->cap = bytes;
    return b->p != NULL;
}

static void free_buf(struct nk_snap *n, struct nk_snap_buf *b) {
    if (b->p == NULL) return;
    empty(n, b);
    nk_mem_unmap(n->db->mem, b->p, b->cap);
    b->p = NULL;
}

/* ---- beginning and end of a struct nk_snap -----------------------------------------------------*/

/* What is counted of the buffers: the stage is touched as far as a block and a lock hold reach. */
#define BUFFER_BYTES (2u * NK_SNAP_HALF + 2u * NK_SNAP_BLOCK)

static void free_snap(struct nk_snap **np) {
    struct nk_snap *n = *np;
    *np = NULL;
    if (n == NULL) return;
    struct nk_db *db = n->db;
    if (n->inited) nk_snapwrite_fini(&n->file);
    if (n->fd >= 0)
        (void)db->folder->vfs->close(db->folder->vfs->ctx, n->fd); /* synced, or given up */
    free_buf(n, &n->stage);
    free_buf(n, &n->half[0]);
    free_buf(n, &n->half[1]);
    nk_db_used_add(db, -(int64_t)BUFFER_BYTES);
    set64(&db->snap_buffers, 0);
    set64(&db->snap_keys, 0);
    set64(&db->snap_bytes, 0);
    nk_mem_free(db->mem, n, sizeof *n);
}

static struct nk_snap *new_snap(struct nk_db *db, enum nitro_compression compression) {
    struct nk_snap *n = nk_mem_zalloc(db->mem, sizeof *n);
    if (n == NULL) return NULL;
    n->db = db;
    n->compression = compression;
    n->fd = -1;
    nk_db_used_add(db, BUFFER_BYTES);
    set64(&db->snap_buffers, BUFFER_BYTES);
    if (!make_buf(n, &n->stage, NK_SNAP_STAGE) || !make_buf(n, &n->half[0], NK_SNAP_HALF_MAX) ||
        !make_buf(n, &n->half[1], NK_SNAP_HALF_MAX))
        free_snap(&n);
    return n;
}

static int may_begin(const struct nk_db *db, enum nitro_compression compression,
                     struct nitro_err *err) {
    if (db->folder == NULL)
        return nk_err_set(err, NITRO_EUNSUPPORTED, 0,
                          "take a snapshot: the store has no data folder to put it into");
    if (nk_db_loading(db))
        return nk_err_set(err, NITRO_ELOADING, 0, "take a snapshot of %s: it is still being loaded",
                          db->folder->dir);
    if (!nk_store_snapshots(db))
        return nk_err_set(
            err, NITRO_EUNSUPPORTED, 0,
            "take a snapshot of %s: its values lie in data files (mode bitcask), to which "
            "a snapshot gets links",
            db->folder->dir);
    if (compression > NITRO_COMPRESSION_ZSTD)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "take a snapshot of %s: no compression has number %u", db->folder->dir,
                          (unsigned)compression);
    if (db->snap != NULL)
        return nk_err_set(err, NITRO_EBUSY, 0, "take a snapshot of %s: one is under way",
                          db->folder->dir);
    if (db->log != NULL &&
        __atomic_load_n(&db->log->view.status, __ATOMIC_ACQUIRE) == NITRO_LOG_FAILED)
        return nk_err_set(err, NITRO_EREADONLY, 0,
                          "take a snapshot of %s: its log has failed, so what it would hold can't "
                          "become durable; restart when the disk is sound",
                          db->folder->dir);
    return NITRO_OK;
}

int nitro_snapshot_prepare(nitro_store *store, enum nitro_compression compression,
                           struct nitro_err *err) {
    struct nk_db *db = &store->db;
    int rc = may_begin(db, compression, err);
    if (rc != NITRO_OK) return rc;
    struct nk_snap *n = new_snap(db, compression);
    if (n == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "take a snapshot of %s: no memory for its buffers",
                          db->folder->dir);
    rc = nk_log_snap_create(db->folder, &n->number, &n->salt, &n->fd, err);
    if (rc != NITRO_OK) {
        free_snap(&n);
        return rc;
    }
    db->snap = n;
    return NITRO_OK;
}

/* ---- the cut -----------------------------------------------------------------------------------*/

/* The newest version that a segment without a log has given out. */
static uint64_t newest_version(const struct nk_seg *s) {
    return (s->next_version - 1) * s->db->segments + s->index;
}

void nitro_snapshot_begin(nitro_store *store, int64_t now_ms, uint64_t *lsn) {
    struct nk_db *db = &store->db;
    struct nk_snap *n = db->snap;
    (void)now_ms;
    NK_ASSERT(n != NULL && !n->begun);
    uint64_t s_max = db->log != NULL ? db->log->view.appended : 0;
    for (uint32_t i = 0; i < db->segments; i++) {
        struct nk_seg *s = &db->seg[i];
        s->snap_cut = db->log != NULL ? NK_MUTATE(65, s_max / 2, s_max) : newest_version(s);
        s->snap_pos = s->snap_fnv_pos = 0;
        if (db->log == NULL) s_max = nk_max_u64(s_max, s->snap_cut);
    }
    db->snap_seg = 0;
    n->lsn = s_max;
    n->begun = true;
    *lsn = s_max;
}

/* ---- gather and write --------------------------------------------------------------------------*/

/* So full that one more lock hold could make it more than a block: a small rest in a block of its own compresses
 * badly, and of every two blocks one part of a load would get the large one. */
#define FULL_BYTES (NK_SNAP_BLOCK - 65536u)

static bool full(const struct nk_snap_buf *b) {
    return b->front >= FULL_BYTES || NK_GET(b->held) >= NK_SNAP_STAGE_HELD;
}

/* Whether a write is worth it. The half that writers don't fill is always to be written. */
static bool to_write(const struct nk_snap *n) {
    return full(&n->stage) || !nk_snap_buf_empty(&n->half[!n->filling]);
}

/* Takes what writers have saved, if it is a block or `all` is asked for; the other half is empty. */
static void swap_halves(struct nk_snap *n, bool all) {
    nk_spin_lock(&n->side); /* the holder copies one entry */
    const struct nk_snap_buf *b = &n->half[n->filling];
    if (full(b) || b->back > 0 || (all && b->front > 0)) n->filling = !n->filling;
    nk_spin_unlock(&n->side);
}

/* The host may pause before it writes, unless writers have filled a good part of what they can fill. */
static int write_next(const struct nk_snap *n) {
    const struct nk_snap_buf *mine = &n->half[!n->filling], *theirs = &n->half[n->filling];
    uint64_t theirs_now = __atomic_load_n(&theirs->front, __ATOMIC_RELAXED);
    return mine->front + mine->back + theirs_now > NK_SNAP_HALF / 4 ? NITRO_GATHERED_MUCH
                                                                    : NITRO_GATHERED_SOME;
}

int nitro_snapshot_gather(nitro_store *store) {
    struct nk_snap *n = store->db.snap;
    NK_ASSERT(n != NULL && n->begun);
    if (to_write(n)) return write_next(n);
    swap_halves(n, false);
    enum nk_snap_walked walked = NK_SNAP_ON;
    for (uint32_t i = 0; i < GATHER_HOLDS && walked == NK_SNAP_ON && !full(&n->stage); i++)
        walked = nk_snap_walk(n);
    if (walked == NK_SNAP_ON || walked == NK_SNAP_BUSY)
        return to_write(n) ? write_next(n) : NITRO_GATHERED_NONE;
    /* Behind the last segment's end nobody saves anything more, so this is all. */
    if (walked == NK_SNAP_END && nk_snap_buf_empty(&n->half[!n->filling])) swap_halves(n, true);
    return to_write(n) || !nk_snap_buf_empty(&n->stage) ? write_next(n) : NITRO_GATHERED_ALL;
}

static int cannot(const struct nk_snap *n, int code, struct nitro_err *err) {
    int sys = n->file.sys;
    const char *dir = n->db->folder->dir;
    if (code == NITRO_ENOMEM)
        return nk_err_set(err, code, 0, "write a snapshot of %s: out of memory", dir);
    if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
        return nk_err_set(
            err, NITRO_ELOGFULL, sys,
            "write a snapshot of %s: no room on the disk; the older snapshot and the log "
            "stay as they are",
            dir);
    return nk_err_set(err, NITRO_EIO, sys,
                      "write a snapshot of %s: %s; the older snapshot and the log stay as they are",
                      dir, strerror(sys));
}

/* Empties a buffer, and gives back the memory of a half that a large batch has filled. A hint: if it fails, the end
 * of the snapshot does it. */
static void recycle(struct nk_snap *n, struct nk_snap_buf *b) {
    bool large = b->cap == NK_SNAP_HALF_MAX && b->front + b->back > NK_SNAP_HALF;
    uint64_t whole_pages = b->front & ~(uint64_t)(NK_PAGE - 1);
    empty(n, b);
    if (large) (void)nk_mem_advise(n->db->mem, b->p, whole_pages, NITRO_ADVISE_DISCARD);
}

static int write_buf(struct nk_snap *n, struct nk_snap_buf *b) {
    int rc = NITRO_OK;
    if (b->front > 0) rc = nk_snapwrite_records(&n->file, b->p, b->front);
    if (rc == NITRO_OK) rc = each_large(n, b, write_large);
    recycle(n, b);
    return rc;
}

static int open_file(struct nk_snap *n) {
    struct nk_log *l = n->db->folder;
    struct nk_snap_head h = {
        .wal_off = l->wal_off, .number = n->number, .salt = n->salt, .lsn = n->lsn};
    memcpy(h.store, l->store, sizeof h.store);
    n->inited = true;
    return nk_snapwrite_init(&n->file, l->vfs, l->mem, n->fd, &h, n->compression);
}

int nitro_snapshot_write(nitro_store *store, struct nitro_err *err) {
    struct nk_db *db = &store->db;
    struct nk_snap *n = db->snap;
    int rc = n->inited ? NITRO_OK : open_file(n);
    if (rc == NITRO_OK) rc = write_buf(n, &n->half[!n->filling]);
    if (rc == NITRO_OK) rc = write_buf(n, &n->stage);
    set64(&db->snap_keys, n->file.foot.keys);
    set64(&db->snap_bytes, n->file.at);
    return rc == NITRO_OK ? rc : cannot(n, rc, err);
}

/* ---- the end -----------------------------------------------------------------------------------*/

static void tell(const struct nk_snap *n, const struct nk_snap_foot *f, uint64_t bytes,
                 struct nitro_snapshot_info *out) {
    *out = (struct nitro_snapshot_info){.number = n->number,
                                        .lsn = n->lsn,
                                        .time_ms = f->time_ms,
                                        .keys = f->keys,
                                        .raw_bytes = f->raw_bytes,
                                        .bytes = bytes,
                                        .hash_a = f->hash_a,
                                        .hash_b = f->hash_b};
}

int nitro_snapshot_finish(nitro_store *store, int64_t now_ms, struct nitro_snapshot_info *out,
                          struct nitro_err *err) {
    struct nk_db *db = &store->db;
    struct nk_snap *n = db->snap;
    if (db->log != NULL && nk_log_durable(db->log) < NK_MUTATE(66, 0, n->lsn))
        return nk_err_set(
            err, NITRO_EARGUMENT, 0,
            "list a snapshot of %s: the log is durable up to LSN %llu only, not up to %llu",
            db->folder->dir, (unsigned long long)nk_log_durable(db->log),
            (unsigned long long)n->lsn);
    int rc = n->inited ? NITRO_OK : open_file(n); /* the store is empty */
    if (rc == NITRO_OK) rc = nk_snapwrite_finish(&n->file, now_ms < 1 ? 1 : now_ms);
    if (rc != NITRO_OK) return cannot(n, rc, err);
    struct nk_snap_foot foot = n->file.foot;
    uint64_t bytes = nk_round_up(foot.end, NK_SECTOR) + NK_SECTOR;
    rc = nk_log_snap_install(db->folder, &foot, n->lsn, bytes, err);
    if (rc != NITRO_OK) return rc;
    tell(n, &foot, bytes, out);
    free_snap(&db->snap);
    return NITRO_OK;
}

/* Nobody owes anything any more. False: a segment was locked. */
static bool let_go(struct nk_db *db) {
    for (uint32_t i = 0; i < db->segments; i++) {
        struct nk_seg *s = &db->seg[i];
        if (s->snap_cut == 0) continue;
        if (!nk_seg_lock(s)) return false;
        s->snap_cut = 0;
        nk_seg_unlock(s);
    }
    __atomic_store_n(&db->snap_garbage, NULL, __ATOMIC_RELEASE);
    return true;
}

int nitro_snapshot_abort(nitro_store *store) {
    struct nk_db *db = &store->db;
    if (db->folder != NULL && db->folder->files != NULL) nk_log_link_stop(db->folder);
    if (db->snap == NULL) return NITRO_OK;
    if (!let_go(db)) return NITRO_EBUSY;
    uint64_t number = db->snap->number;
    free_snap(&db->snap);
    nk_log_snap_discard(db->folder, number);
    return NITRO_OK;
}

/* The file stays, as if the process had been killed; a start removes it. */
void nk_snap_close(struct nk_db *db) {
    db->snap_garbage = NULL;
    free_snap(&db->snap);
}

void nitro_snapshot_progress(const nitro_store *s, uint64_t *keys, uint64_t *bytes) {
    *keys = NK_GET(s->db.snap_keys);
    *bytes = NK_GET(s->db.snap_bytes);
}
