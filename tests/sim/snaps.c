/* SPDX-License-Identifier: MIT
 *
 * snaps.c - snapshots of a world, piece by piece, and what they must hold (see world.h). Those of mode bitcask: links.c.
 *
 * WHAT   A snapshot is taken as a host does it; between any two pieces, and inside their file calls,
 *        all other operations may run. When one is finished its file is read back from a disk of its
 *        own, and compared with what the model was when the snapshot began:
 *          - every record is a key's value, expiry and version of that moment, and no key comes twice;
 *          - every key that had not expired by then is there;
 *          - nitro_verify and the answer of finish say the same;
 *          - with a log its LSN is durable.
 */
#include "image.h"
#include "snapfile.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 10000u /* of one snapshot; the walk ends long before */

/* ---- refusals ----------------------------------------------------------------------------------*/

/* may_fail: whether the disk, the memory or the log excuse that. */
static bool may_fail(const struct sim_world *w, int rc) {
    switch (rc) {
    case NITRO_EIO:
        return sim_world_log_may_fail(w) || w->view->status == NITRO_LOG_FAILED;
    case NITRO_ELOGFULL:
        return sim_world_log_may_fail(w) || sim_disk_is_limited(w->disk);
    case NITRO_ENOMEM:
        return w->no_memory;
    case NITRO_EREADONLY:
        return w->view->status == NITRO_LOG_FAILED;
    default:
        return false;
    }
}

/* Only a list of files that could not be written ends the log. */
bool sim_snapshot_check(const struct sim_world *w, const char *what, int rc,
                        const struct nitro_err *err, uint32_t status_before) {
    if (rc != NITRO_OK && !may_fail(w, rc))
        sim_fail(w, "%s: %s: %s", what, nitro_strerror(rc), err->msg);
    if (rc != NITRO_OK && err->msg[0] == '\0') sim_fail(w, "%s failed, and does not say why", what);
    bool failed = status_before != NITRO_LOG_FAILED && w->view->status == NITRO_LOG_FAILED;
    bool listing = strcmp(sim_disk_faulted_file(w->disk), "MANIFEST") == 0;
    if (failed && !w->traits.nest && !sim_disk_is_off(w->disk) && !listing)
        sim_fail(w, "%s has ended the log, though only %s could not be written", what,
                 sim_disk_faulted_file(w->disk));
    return rc == NITRO_OK;
}

/* ---- reading a file back -----------------------------------------------------------------------*/

struct reading {
    const struct sim_world *w;
    struct nk_snapread r;
    uint8_t *value;
    uint64_t seen; /* a bit for each key */
};

static void check_record(struct reading *g, struct nk_snaprec *rec) {
    const struct sim_world *w = g->w;
    unsigned k = sim_world_key(rec->key, rec->key_bytes);
    if (k == SIM_KEYS) sim_data_fail(w, 0, rec->version, "a snapshot has a key that nobody wrote");
    const struct sim_cell *c = &w->snap.cell[k];
    if ((g->seen >> k & 1) != 0) sim_data_fail(w, k, rec->version, "twice in one snapshot");
    g->seen |= UINT64_C(1) << k;
    if (!c->present)
        sim_data_fail(w, k, rec->version, "in a snapshot of LSN %" PRIu64 ", but was not there",
                      w->snap.lsn);
    if (rec->version != c->version || rec->expire_ms != c->expire_ms)
        sim_data_fail(w, k, c->version,
                      "in a snapshot as version %" PRIu64 ", expiry %" PRId64
                      " instead of %" PRId64,
                      rec->version, rec->expire_ms, c->expire_ms);
    const uint8_t *value = rec->value;
    uint32_t bytes = rec->value_bytes;
    if (rec->large && bytes <= SIM_VALUE_MAX) {
        if (nk_snapread_value(&g->r, rec, g->value) != NITRO_OK)
            sim_data_fail(w, k, c->version, "its value cannot be read back: %s", g->r.what);
        value = g->value;
    }
    if (bytes > SIM_VALUE_MAX || !sim_value_is(&c->value, value, bytes))
        sim_data_fail(w, k, c->version, "another value in a snapshot, of %" PRIu32 " bytes", bytes);
}

static void check_records(const struct sim_world *w, const struct nitro_vfs *vfs, int fd,
                          uint64_t bytes) {
    struct reading g = {.w = w, .value = sim_need(malloc(SIM_VALUE_MAX))};
    struct nk_snaprec rec;
    struct test_mem mem;
    test_mem_init(&mem);
    int rc = nk_snapread_open(&g.r, vfs, &mem.table, fd, bytes);
    while (rc == NITRO_OK && (rc = nk_snapread_next(&g.r, false, &rec)) == NITRO_OK)
        check_record(&g, &rec);
    if (rc != NITRO_ENOTFOUND)
        sim_data_fail(w, 0, w->snap.lsn, "a finished snapshot cannot be read back: %s at %" PRIu64,
                      g.r.what, g.r.bad_at);
    for (unsigned k = 0; k < SIM_KEYS; k++)
        if ((g.seen >> k & 1) == 0 && sim_cell_live(&w->snap.cell[k], w->snap.now_ms))
            sim_data_fail(w, k, w->snap.cell[k].version, "not in the snapshot of LSN %" PRIu64,
                          w->snap.lsn);
    nk_snapread_close(&g.r);
    test_mem_check_empty(&mem);
    free(g.value);
}

static void same(const struct sim_world *w, const char *what, uint64_t told, uint64_t verified) {
    if (told != verified)
        sim_fail(w, "the snapshot's %s is %" PRIu64 ", and a verification says %" PRIu64, what,
                 told, verified);
}

/* check_file: copies the file to a disk where nothing fails, so that looking has no consequences. */
static void check_file(const struct sim_world *w, const struct nitro_snapshot_info *info) {
    char name[SIM_NAME_MAX], path[SIM_NAME_MAX + 8];
    struct sim_file file;
    struct test_mem mem;
    struct nitro_snapshot_info found;
    struct nitro_err err = {0};
    uint64_t bad = 0;
    (void)snprintf(name, sizeof name, "%010" PRIu64 ".snap", info->number);
    (void)snprintf(path, sizeof path, "data/%s", name);
    if (!sim_disk_find(w->disk, name, &file))
        sim_fail(w, "the snapshot is finished, and %s is not there", name);
    struct sim_disk *d = sim_disk_new(1);
    sim_disk_put(d, name, file.data, file.bytes);
    const struct nitro_vfs *vfs = sim_disk_vfs(d);
    test_mem_init(&mem);
    int rc = nitro_verify(path, &mem.table, vfs, NULL, NULL, &found, &bad, &err);
    if (rc != NITRO_OK)
        sim_data_fail(w, 0, info->lsn, "a finished snapshot is not sound: %s", err.msg);
    test_mem_check_empty(&mem);
    same(w, "LSN", info->lsn, found.lsn);
    same(w, "number", info->number, found.number);
    same(w, "number of keys", info->keys, found.keys);
    same(w, "size", info->bytes, found.bytes);
    same(w, "content hash", info->hash_a ^ info->hash_b, found.hash_a ^ found.hash_b);
    int dir = vfs->dir_open(vfs->ctx, "data", 0);
    int fd = vfs->open(vfs->ctx, dir, name, NITRO_FILE_READ);
    check_records(w, vfs, fd, file.bytes);
    (void)vfs->close(vfs->ctx, fd);
    (void)vfs->dir_close(vfs->ctx, dir);
    sim_disk_free(&d);
}

/* ---- the pieces --------------------------------------------------------------------------------*/

static void prepare(struct sim_world *w, enum nitro_compression compression) {
    struct nitro_err err = {0};
    uint32_t status = w->view->status;
    w->doing = "snapshot prepare";
    enum sim_phase phase = w->phase;
    w->phase = SIM_SNAPSHOT;
    w->busy |= SIM_BUSY_FILL | SIM_BUSY_SNAP;
    int rc = nitro_snapshot_prepare(w->store, compression, &err);
    w->busy &= ~(SIM_BUSY_FILL | SIM_BUSY_SNAP);
    w->phase = phase;
    if (sim_snapshot_check(w, w->doing, rc, &err, status)) w->snap.stage = SIM_PREPARED;
}

static void begin(struct sim_world *w) {
    struct sim_snap *s = &w->snap;
    w->doing = "snapshot begin";
    s->count = w->model.count;
    s->now_ms = w->now_ms;
    memcpy(s->cell, w->model.now, sizeof s->cell);
    nitro_snapshot_begin(w->store, w->now_ms, &s->lsn);
    s->stage = SIM_GATHER;
    sim_trace(w, "snapshot begins, LSN %" PRIu64, s->lsn);
    if (!w->wal_off && s->lsn != w->view->appended)
        sim_fail(w, "a snapshot of LSN %" PRIu64 ", but %" PRIu64 " is appended", s->lsn,
                 w->view->appended);
    for (unsigned k = 0; k < SIM_KEYS; k++)
        if (s->cell[k].present && s->cell[k].version > s->lsn)
            sim_fail(w, "a snapshot of LSN %" PRIu64 ", but key %u has version %" PRIu64, s->lsn, k,
                     s->cell[k].version);
}

/* expire: time passes, and what runs out goes before the walk comes to it. The store looks once a second. */
static void expire(struct sim_world *w) {
    struct nitro_step_result r;
    w->doing = "expiry during a walk";
    w->now_ms += 1000;
    int rc = nitro_step(w->store, NITRO_STEP_EXPIRE, w->now_ms, 64, &r);
    if (rc != NITRO_OK) sim_fail(w, "nitro_step: %s", nitro_strerror(rc));
}

static void gather(struct sim_world *w) {
    if (test_rng_below(&w->rng, 8) == 0) expire(w);
    w->doing = "snapshot gather";
    int rc = nitro_snapshot_gather(w->store);
    if (rc < 0 || rc > 3) sim_fail(w, "nitro_snapshot_gather returns %d", rc);
    if (rc == 0) w->snap.stage = SIM_WHOLE;
    if ((rc & NITRO_GATHERED_SOME) != 0) w->snap.stage = SIM_GATHERED;
}

static void write_piece(struct sim_world *w) {
    struct nitro_err err = {0};
    uint32_t status = w->view->status;
    w->doing = "snapshot write";
    enum sim_phase phase = w->phase;
    w->phase = SIM_SNAPSHOT;
    w->busy |= SIM_BUSY_SNAP;
    int rc = nitro_snapshot_write(w->store, &err);
    w->busy &= ~SIM_BUSY_SNAP;
    w->phase = phase;
    if (sim_snapshot_check(w, w->doing, rc, &err, status))
        w->snap.stage = SIM_GATHER;
    else
        sim_do_abort(w);
}

static void finished(struct sim_world *w, const struct nitro_snapshot_info *info) {
    struct sim_snap *s = &w->snap;
    sim_trace(w, "snapshot %" PRIu64 " of LSN %" PRIu64 " is finished", info->number, info->lsn);
    s->stage = SIM_IDLE;
    if (info->lsn != s->lsn)
        sim_fail(w, "a snapshot of LSN %" PRIu64 " says that it is of %" PRIu64, s->lsn, info->lsn);
    if (!w->wal_off && w->view->durable < s->lsn)
        sim_data_fail(w, 0, s->lsn, "a snapshot was finished, though durable is %" PRIu64,
                      w->view->durable);
    if (info->time_ms < s->now_ms)
        sim_fail(w, "a snapshot of time %" PRId64 " says %" PRId64, s->now_ms, info->time_ms);
    w->taken = (struct sim_taken){true, info->number, info->lsn, s->count};
    w->maybe.set = false;
    sim_model_covered(&w->model, s->count, info->lsn, info->time_ms);
    check_file(w, info);
}

static void finish(struct sim_world *w) {
    struct nitro_err err = {0};
    struct nitro_snapshot_info info = {0};
    uint32_t status = w->view->status;
    bool early = !w->wal_off && w->view->durable < w->snap.lsn;
    w->doing = "snapshot finish";
    w->maybe = (struct sim_taken){true, 0, w->snap.lsn, w->snap.count};
    enum sim_phase phase = w->phase;
    w->phase = SIM_SNAPSHOT;
    w->busy |= SIM_BUSY_FILL | SIM_BUSY_SNAP;
    int rc = nitro_snapshot_finish(w->store, w->now_ms, &info, &err);
    w->busy &= ~(SIM_BUSY_FILL | SIM_BUSY_SNAP);
    w->phase = phase;
    if (rc == NITRO_OK) {
        finished(w, &info);
        return;
    }
    if (!early) (void)sim_snapshot_check(w, w->doing, rc, &err, status);
    sim_do_abort(w);
}

void sim_do_abort(struct sim_world *w) {
    w->doing = "snapshot abort";
    enum sim_phase phase = w->phase;
    w->phase = SIM_SNAPSHOT;
    w->busy |= SIM_BUSY_SNAP;
    int rc = nitro_snapshot_abort(w->store);
    w->busy &= ~SIM_BUSY_SNAP;
    w->phase = phase;
    if (rc != NITRO_OK) sim_fail(w, "nitro_snapshot_abort: %s", nitro_strerror(rc));
    w->snap.stage = SIM_IDLE;
}

/* may_finish: what a host waits for; once in a while it does not. */
static bool may_finish(struct sim_world *w) {
    if ((w->busy & SIM_BUSY_FILL) != 0) return false;
    return w->wal_off || w->view->durable >= w->snap.lsn || test_rng_below(&w->rng, 16) == 0;
}

void sim_do_snapshot_step(struct sim_world *w) {
    if ((w->busy & SIM_BUSY_SNAP) != 0) return;
    if (w->traits.bitcask) {
        sim_link_step(w);
        return;
    }
    switch (w->snap.stage) {
    case SIM_IDLE:
        if ((w->busy & SIM_BUSY_FILL) == 0)
            prepare(w, (enum nitro_compression)test_rng_below(&w->rng, NITRO_COMPRESSION_ZSTD + 1));
        break;
    case SIM_PREPARED:
        begin(w);
        break;
    case SIM_GATHER:
        gather(w);
        break;
    case SIM_GATHERED:
        write_piece(w);
        break;
    case SIM_WHOLE:
        if (may_finish(w)) finish(w);
        break;
    }
}

bool sim_do_snapshot_drain(struct sim_world *w) {
    enum sim_stage stage = w->snap.stage;
    if ((w->busy & SIM_BUSY_SNAP) != 0 || (stage != SIM_GATHER && stage != SIM_GATHERED))
        return false;
    sim_do_snapshot_step(w);
    return !sim_disk_is_off(w->disk);
}

bool sim_do_snapshot(struct sim_world *w, enum nitro_compression compression) {
    if (sim_disk_is_off(w->disk)) return false;
    if (w->traits.bitcask) return sim_link_all(w);
    if (w->snap.stage == SIM_IDLE) prepare(w, compression);
    uint64_t number = w->taken.number;
    unsigned pieces = 0;
    while (w->snap.stage != SIM_IDLE && !sim_disk_is_off(w->disk)) {
        if (++pieces > PIECES_MAX) sim_fail(w, "a snapshot does not come to an end");
        if (w->snap.stage == SIM_WHOLE && !w->wal_off && w->view->durable < w->snap.lsn) {
            sim_do_write(w);
            sim_do_sync(w);
            if (w->view->durable < w->snap.lsn) {
                sim_do_abort(w);
                return false;
            }
        }
        sim_do_snapshot_step(w);
    }
    return w->taken.set && w->taken.number != number;
}

/* ---- retention ---------------------------------------------------------------------------------*/

/* reach_by_time: the newest LSN that may have been the state at that time. */
static uint64_t reach_by_time(const struct sim_world *w, int64_t since_ms) {
    uint64_t reach = w->model.origin_lsn;
    for (size_t i = 0; i < w->model.count && w->model.effect[i].made_ms <= since_ms; i++)
        reach = w->model.effect[i].last;
    return reach;
}

/* reach_by_bytes: from there on the log has at most so many bytes, frames' headers included. */
static uint64_t reach_by_bytes(const struct sim_world *w, uint64_t bytes) {
    uint64_t sum = 0;
    for (size_t i = w->model.count; i > 0; i--) {
        const struct sim_effect *e = &w->model.effect[i - 1];
        sum += nitro_log_need(SIM_KEY_BYTES_MAX, e->value.is_number ? 20 : e->value.bytes) + 64;
        if (sum > bytes) return e->last;
    }
    return w->model.origin_lsn;
}

/* note_reach: what the host asks for now must be kept from now on; what it did not ask for before may be
 * gone. */
static void note_reach(struct sim_world *w, int64_t keep_ms, uint64_t keep_bytes) {
    uint64_t reach = SIM_NEVER;
    if (keep_ms > 0) reach = reach_by_time(w, w->now_ms - keep_ms);
    if (keep_bytes > 0) {
        uint64_t bytes = reach_by_bytes(w, keep_bytes);
        if (bytes < reach) reach = bytes;
    }
    if (reach > w->reach) w->reach = reach;
}

/* note_data_reach: the same in mode bitcask. What a merge has replaced goes when both limits let it; how many bytes
 * of it lie behind a point is not told. */
static void note_data_reach(struct sim_world *w, int64_t keep_ms, uint64_t keep_bytes) {
    if (w->traits.merges == 0 || keep_bytes == UINT64_MAX) return;
    note_reach(w, w->traits.retain ? keep_ms : 0, 0);
}

/* draw_budget: in mode bitcask mostly a few files, so that what goes is there in part for a while. */
static uint32_t draw_budget(struct sim_world *w) {
    if (!w->traits.bitcask) return UINT32_MAX;
    return (uint32_t[]){1, 2, 5, UINT32_MAX}[test_rng_below(&w->rng, 4)];
}

void sim_do_retain(struct sim_world *w) {
    struct nitro_err err = {0};
    uint32_t status = w->view->status, files = draw_budget(w), more;
    int64_t keep_ms = w->wal_off ? 0 : w->traits.keep_ms;
    uint64_t keep_bytes = w->wal_off ? 0 : w->traits.keep_bytes;
    if (w->traits.bitcask)
        note_data_reach(w, keep_ms, keep_bytes);
    else
        note_reach(w, keep_ms, keep_bytes);
    w->older.set = false;
    w->doing = "retain";
    enum sim_phase phase = w->phase;
    w->phase = SIM_DROP;
    w->busy |= SIM_BUSY_FILL;
    int rc = nitro_retain_some(w->store, w->now_ms, keep_ms, keep_bytes, files, &more, &err);
    w->busy &= ~SIM_BUSY_FILL;
    w->phase = phase;
    (void)sim_snapshot_check(w, w->doing, rc, &err, status);
}

void sim_do_folder(struct sim_world *w) {
    struct nitro_err err = {0};
    struct nitro_folder f = {0};
    w->doing = "folder state";
    int rc = nitro_folder_state(w->store, &f, &err);
    if (rc != NITRO_OK && may_fail(w, rc)) return;
    if (rc != NITRO_OK) sim_fail(w, "nitro_folder_state: %s: %s", nitro_strerror(rc), err.msg);
    if (w->traits.bitcask) {
        sim_link_folder(w, &f); /* how far back it goes, a restore says */
        return;
    }
    if (w->taken.set && f.newest.number < w->taken.number)
        sim_fail(w, "the newest snapshot is %" PRIu64 ", and the folder knows %" PRIu64,
                 w->taken.number, f.newest.number);
    if (f.oldest_lsn > w->reach)
        sim_data_fail(w, 0, w->reach, "must be restorable, but the folder goes back to %" PRIu64,
                      f.oldest_lsn);
}
