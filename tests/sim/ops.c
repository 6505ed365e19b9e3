/* SPDX-License-Identifier: MIT
 *
 * ops.c - single operations of a world: on the store, checked against the model (see world.h).
 *
 * A call that finds no room in the log, or in the side buffer of a snapshot, makes some and tries
 * again, as a host does; other operations may run inside (see SIDE BY SIDE), so what is expected is
 * worked out anew before every try.
 */
#include "world.h"
#include "image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_TRIES 12u
#define BATCH_MAX 8u

/* ---- room and refusals -------------------------------------------------------------------------*/

/* again: there was no room, some was made, the call is to be repeated. */
static bool again(struct sim_world *w, int rc, uint64_t need, unsigned *tries) {
    if (rc == NITRO_EBUSY) return ++*tries <= ROOM_TRIES && sim_do_snapshot_drain(w);
    if (rc != NITRO_ELOGFULL || w->view->status != NITRO_LOG_OK) return false;
    if ((w->busy & SIM_BUSY_FILL) != 0 || ++*tries > ROOM_TRIES) return false;
    sim_do_fill(w, need);
    if ((w->busy & SIM_BUSY_WRITE) == 0 && !sim_disk_is_off(w->disk)) sim_do_write(w);
    return !sim_disk_is_off(w->disk);
}

/* unread: a value that lies in a file can't be read, and no wonder. */
static bool unread(const struct sim_world *w, int rc) {
    if (!w->traits.bitcask) return false;
    return (rc == NITRO_EIO && sim_world_log_may_fail(w)) || (rc == NITRO_ENOMEM && w->no_memory);
}

/* refused: the call says that it did nothing, and may. */
static bool refused(struct sim_world *w, int rc) {
    if (unread(w, rc)) return true;
    switch (rc) {
    case NITRO_EBUSY:
        if (w->snap.stage != SIM_GATHER && w->snap.stage != SIM_GATHERED)
            sim_fail(w, "busy, but no snapshot is under way");
        return true;
    case NITRO_ELOGFULL:
        if (w->view->status == NITRO_LOG_OK && w->busy == 0 && !w->no_memory &&
            !sim_disk_is_off(w->disk))
            sim_fail(w, "no room in the log after %u fills", ROOM_TRIES);
        return true;
    case NITRO_EREADONLY:
        if (w->view->status != NITRO_LOG_FAILED)
            sim_fail(w, "read-only, but the log has not failed");
        return true;
    case NITRO_ESHUTDOWN:
        if (!w->stop_tried) sim_fail(w, "shutting down, but nobody has asked for it");
        return true;
    case NITRO_ENOMEM:
        if (!w->no_memory) sim_fail(w, "out of memory, but there is enough");
        return true;
    default:
        return false;
    }
}

static void expect(const struct sim_world *w, unsigned key, int rc, int want) {
    if (rc == want) return;
    sim_data_fail(w, key, w->model.now[key].shown, "answered \"%s\" instead of \"%s\"",
                  nitro_strerror(rc), nitro_strerror(want));
}

/* ---- promises ----------------------------------------------------------------------------------*/

static void promise(struct sim_world *w, unsigned key, uint64_t gate, uint64_t lsn, bool wrote) {
    if (w->wal_off) return;
    if (w->promises == w->promises_cap) {
        w->promises_cap = w->promises_cap == 0 ? 64 : w->promises_cap * 2;
        w->promise = sim_need(realloc(w->promise, w->promises_cap * sizeof *w->promise));
    }
    uint8_t level = (uint8_t)(NITRO_LEVEL_NEVER + test_rng_below(&w->rng, 3));
    w->promise[w->promises++] = (struct sim_promise){gate, lsn, key, level, wrote};
}

/* looked: an answer has shown the key as it is; its gate says when the answer may go out. */
static void looked(struct sim_world *w, unsigned key, uint64_t gate) {
    promise(w, key, gate, w->model.now[key].shown, false);
}

/* must_be_new: without a log versions of different segments have no order. */
static void must_be_new(const struct sim_world *w, unsigned key, uint64_t lsn) {
    const struct sim_model *m = &w->model;
    uint64_t floor = w->wal_off ? m->floor : m->newest;
    if (lsn <= floor || lsn <= m->now[key].version)
        sim_data_fail(w, key, lsn, "given twice: the newest LSN so far is %" PRIu64, m->newest);
    for (size_t i = m->base_count; w->wal_off && i < m->count; i++)
        if (m->effect[i].lsn == lsn)
            sim_data_fail(w, key, lsn, "given twice, first to key %u", m->effect[i].key);
}

static void add_effect(struct sim_world *w, struct sim_effect e) {
    static const char *const names[] = {"put", "delete", "expire", "flush"};
    e.made_ms = (w->busy & SIM_BUSY_WRITE) != 0 ? w->write_ms : w->now_ms;
    if (w->wal_off) e.last = SIM_NEVER;
    sim_model_add(&w->model, &e);
    sim_trace(w,
              "%" PRIu64 " %s key %u, %u bytes, expiry %" PRId64 ", batch to %" PRIu64
              ", now %" PRId64,
              e.lsn, names[e.kind], e.key, e.value.bytes, e.expire_ms, e.last, w->now_ms);
}

static void happened(struct sim_world *w, const struct sim_effect *e) {
    bool has_version = e->kind != SIM_FLUSH || !w->wal_off;
    if (has_version) must_be_new(w, e->key, e->lsn);
    add_effect(w, *e);
    promise(w, e->key, e->last, e->lsn, true);
}

/* ---- single keys -------------------------------------------------------------------------------*/

struct set_args {
    unsigned key;
    struct sim_value value;
    unsigned flags;
    uint64_t expected;
    int64_t expire_ms;
};

static int set_outcome(const struct sim_world *w, const struct set_args *a) {
    const struct sim_cell *c = &w->model.now[a->key];
    bool live = sim_cell_live(c, w->now_ms);
    if ((a->flags & NITRO_SET_NX) != 0 && live) return NITRO_ENOTSTORED;
    if ((a->flags & NITRO_SET_XX) != 0 && !live) return NITRO_ENOTSTORED;
    if ((a->flags & NITRO_SET_CAS) == 0) return NITRO_OK;
    bool same = a->expected == 0 ? !live : live && c->version == a->expected;
    return same ? NITRO_OK : NITRO_EVERSION;
}

static void set(struct sim_world *w, const struct set_args *a) {
    static uint8_t value[SIM_VALUE_MAX];
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(a->key, key), bytes;
    unsigned tries = 0;
    struct nitro_info info = {0};
    int rc, want;
    do {
        w->doing = "set";
        bytes = sim_value_fill(&a->value, value);
        want = set_outcome(w, a);
        rc = nitro_set(w->store, w->now_ms, key, n, value, bytes, a->flags, a->expected,
                       a->expire_ms, &info);
    } while (again(w, rc, nitro_log_need(n, bytes), &tries));
    if (refused(w, rc)) return;
    expect(w, a->key, rc, want);
    const struct sim_cell *c = &w->model.now[a->key];
    if (rc != NITRO_OK) {
        looked(w, a->key, info.shown_lsn);
        return;
    }
    bool keeps = (a->flags & NITRO_SET_KEEPTTL) != 0 && sim_cell_live(c, w->now_ms);
    happened(w, &(struct sim_effect){.kind = SIM_PUT,
                                     .key = a->key,
                                     .lsn = info.version,
                                     .last = info.version,
                                     .value = a->value,
                                     .expire_ms = keeps ? c->expire_ms : a->expire_ms});
}

void sim_do_set(struct sim_world *w, unsigned key, struct sim_value value, int64_t expire_ms) {
    set(w, &(struct set_args){.key = key, .value = value, .expire_ms = expire_ms});
}

void sim_do_delete(struct sim_world *w, unsigned k) {
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(k, key);
    unsigned tries = 0;
    struct nitro_info info = {0};
    int rc, want;
    do {
        w->doing = "delete";
        want = sim_cell_live(&w->model.now[k], w->now_ms) ? NITRO_OK : NITRO_ENOTFOUND;
        rc = nitro_delete(w->store, w->now_ms, key, n, &info);
    } while (again(w, rc, nitro_log_need(n, 0), &tries));
    if (refused(w, rc)) return;
    expect(w, k, rc, want);
    if (rc != NITRO_OK)
        looked(w, k, info.shown_lsn);
    else
        happened(w, &(struct sim_effect){
                        .kind = SIM_DELETE, .key = k, .lsn = info.version, .last = info.version});
}

void sim_do_incr(struct sim_world *w, unsigned k, int64_t delta) {
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(k, key);
    unsigned tries = 0;
    struct nitro_info info = {0};
    const struct sim_cell *c = &w->model.now[k];
    int64_t result = 0;
    int rc, want;
    do {
        w->doing = "incr";
        bool live = sim_cell_live(c, w->now_ms);
        want = live && !c->value.is_number ? NITRO_ENOTNUMBER : NITRO_OK;
        rc = nitro_incr(w->store, w->now_ms, key, n, delta, &result, &info);
    } while (again(w, rc, nitro_log_need(n, 20), &tries));
    if (refused(w, rc)) return;
    expect(w, k, rc, want);
    if (rc != NITRO_OK) {
        looked(w, k, info.shown_lsn);
        return;
    }
    bool live = sim_cell_live(c, w->now_ms);
    int64_t sum = (live ? c->value.number : 0) + delta;
    if (result != sum)
        sim_data_fail(w, k, info.version, "incremented to %" PRId64 " instead of %" PRId64, result,
                      sum);
    happened(w, &(struct sim_effect){.kind = SIM_PUT,
                                     .key = k,
                                     .lsn = info.version,
                                     .last = info.version,
                                     .value = {.is_number = true, .number = sum},
                                     .expire_ms = live ? c->expire_ms : 0});
}

void sim_do_expire(struct sim_world *w, unsigned k, int64_t expire_ms) {
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(k, key);
    unsigned tries = 0;
    struct nitro_info info = {0};
    const struct sim_cell *c = &w->model.now[k];
    int rc, want;
    bool gone;
    do {
        w->doing = "expire";
        want = sim_cell_live(c, w->now_ms) ? NITRO_OK : NITRO_ENOTFOUND;
        gone = expire_ms != 0 && expire_ms <= w->now_ms;
        rc = nitro_expire(w->store, w->now_ms, key, n, expire_ms, &info);
    } while (again(w, rc, nitro_log_need(n, w->traits.bitcask ? SIM_VALUE_MAX : 0), &tries));
    if (refused(w, rc)) return;
    expect(w, k, rc, want);
    bool same = rc == NITRO_OK && info.version == c->version && expire_ms == c->expire_ms;
    if (rc != NITRO_OK || same)
        looked(w, k, info.shown_lsn);
    else
        happened(w, &(struct sim_effect){.kind = gone ? SIM_DELETE : SIM_EXPIRE,
                                         .key = k,
                                         .lsn = info.version,
                                         .last = info.version,
                                         .expire_ms = expire_ms});
}

void sim_do_get(struct sim_world *w, unsigned k) {
    static uint8_t value[SIM_VALUE_MAX];
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(k, key);
    struct nitro_info info = {0};
    const struct sim_cell *c = &w->model.now[k];
    w->doing = "get";
    int rc = nitro_get(w->store, w->now_ms, key, n, value, sizeof value, &info);
    bool live = sim_cell_live(c, w->now_ms);
    if (unread(w, rc)) return;
    expect(w, k, rc, live ? NITRO_OK : NITRO_ENOTFOUND);
    if (live && (info.version != c->version || info.expire_ms != c->expire_ms ||
                 !sim_value_is(&c->value, value, info.bytes)))
        sim_data_fail(w, k, c->version, "read as version %" PRIu64 " of %" PRIu64 " bytes",
                      info.version, info.bytes);
    looked(w, k, info.shown_lsn);
}

/* A scan shows every key, so the newest effect on any of them. */
void sim_do_scan(struct sim_world *w) {
    w->doing = "scan";
    uint64_t gate = sim_world_scan(w);
    unsigned newest = 0;
    for (unsigned k = 1; k < SIM_KEYS; k++)
        if (w->model.now[k].shown > w->model.now[newest].shown) newest = k;
    looked(w, newest, gate);
}

void sim_do_flush(struct sim_world *w) {
    unsigned tries = 0;
    struct nitro_info info = {0};
    int rc;
    do {
        w->doing = "flush";
        rc = nitro_flush(w->store, &info);
    } while (again(w, rc, nitro_log_need(0, 0), &tries));
    if (refused(w, rc)) return;
    expect(w, 0, rc, NITRO_OK);
    happened(w, &(struct sim_effect){.kind = SIM_FLUSH, .lsn = info.version, .last = info.version});
}

/* ---- batches -----------------------------------------------------------------------------------*/

struct batch {
    struct nitro_op op[BATCH_MAX];
    struct sim_value value[BATCH_MAX];
    unsigned key[BATCH_MAX];
    unsigned count;
    uint8_t keys[BATCH_MAX][SIM_KEY_BYTES_MAX];
    uint8_t *values; /* owned */
    uint64_t need;
};

static void batch_make(struct sim_world *w, struct batch *b, const unsigned *keys, unsigned count,
                       uint32_t bytes) {
    *b = (struct batch){.count = count};
    b->values = sim_need(malloc((size_t)count * (bytes + 8) + 8));
    for (unsigned i = 0; i < count; i++) {
        struct nitro_op *op = &b->op[i];
        b->key[i] = keys[i];
        b->value[i] = sim_bytes(w, bytes);
        op->key = b->keys[i];
        op->key_bytes = sim_key(keys[i], b->keys[i]);
        op->remove = test_rng_below(&w->rng, 4) == 0;
        if (!op->remove) {
            uint8_t *at = b->values + (size_t)i * (bytes + 8);
            op->value_bytes = sim_value_fill(&b->value[i], at);
            op->value = at;
            if (test_rng_below(&w->rng, 4) == 0) op->expire_ms = w->now_ms + 1000000;
        }
        b->need += nitro_log_need(op->key_bytes, op->value_bytes);
    }
}

/* batch_version: of a key after the batch, or 0 if the batch has removed it. */
static uint64_t batch_version(struct sim_world *w, unsigned k, bool removed, uint64_t before,
                              uint64_t last) {
    uint8_t key[SIM_KEY_BYTES_MAX];
    struct nitro_info info = {0};
    struct test_mem mem = w->mem; /* this question is not what is being tested */
    test_mem_fail(&w->mem, 0, 0);
    int rc = nitro_get(w->store, w->now_ms, key, sim_key(k, key), NULL, 0, &info);
    w->mem.calls = mem.calls;
    w->mem.fail_first = mem.fail_first;
    w->mem.fail_last = mem.fail_last;
    if (rc != (removed ? NITRO_ENOTFOUND : NITRO_OK))
        sim_data_fail(w, k, last, "%s by a batch, and then: %s", removed ? "removed" : "put",
                      nitro_strerror(rc));
    if (removed) return 0;
    if (info.version <= before || info.version > last)
        sim_data_fail(w, k, info.version, "not a version of its batch, which ends at %" PRIu64,
                      last);
    return info.version;
}

/* batch_happened: of repeated keys the last one counts. A delete gets the first LSN it may have;
 * one that has found nothing is no effect. */
static void batch_happened(struct sim_world *w, const struct batch *b, uint64_t last) {
    uint64_t before = w->wal_off ? w->model.floor : w->model.newest;
    for (unsigned i = 0; i < b->count; i++) {
        bool again_later = false;
        for (unsigned j = i + 1; j < b->count; j++) again_later |= b->key[j] == b->key[i];
        if (again_later) continue;
        struct sim_effect e = {.kind = b->op[i].remove ? SIM_DELETE : SIM_PUT,
                               .key = b->key[i],
                               .lsn = w->wal_off ? 0 : before + 1,
                               .last = last,
                               .value = b->value[i],
                               .expire_ms = b->op[i].expire_ms};
        uint64_t version = batch_version(w, b->key[i], e.kind == SIM_DELETE, before, last);
        if (version != 0) e.lsn = version;
        if (version == 0 && !sim_cell_live(&w->model.now[e.key], w->now_ms)) continue;
        if (version != 0 && w->wal_off) must_be_new(w, e.key, version);
        add_effect(w, e);
        promise(w, e.key, last, last, true);
    }
    if (!w->wal_off) w->model.newest = last; /* also of a batch that has left no trace */
}

static bool batch_changes(const struct sim_world *w, const struct batch *b) {
    for (unsigned i = 0; i < b->count; i++)
        if (!b->op[i].remove || sim_cell_live(&w->model.now[b->key[i]], w->now_ms)) return true;
    return false;
}

void sim_do_batch(struct sim_world *w, const unsigned *keys, unsigned count, uint32_t bytes) {
    struct batch *b = sim_need(malloc(sizeof *b));
    unsigned tries = 0;
    struct nitro_info info = {0};
    int rc;
    bool changes;
    batch_make(w, b, keys, count, bytes);
    do {
        w->doing = "batch";
        changes = batch_changes(w, b);
        rc = nitro_write(w->store, w->now_ms, b->op, count, &info);
    } while (again(w, rc, b->need, &tries));
    if (!refused(w, rc)) {
        expect(w, keys[0], rc, NITRO_OK);
        if (changes && !w->wal_off) must_be_new(w, keys[0], info.shown_lsn);
        uint64_t last = w->wal_off ? SIM_NEVER : info.shown_lsn;
        if (last > w->model.newest) batch_happened(w, b, last);
    }
    free(b->values);
    free(b);
}

/* ---- moves --------------------------------------------------------------------------------------*/

static int move_outcome(const struct sim_world *w, unsigned from, unsigned to, unsigned flags) {
    if (!sim_cell_live(&w->model.now[from], w->now_ms)) return NITRO_ENOTFOUND;
    bool taken = sim_cell_live(&w->model.now[to], w->now_ms);
    return (flags & NITRO_MOVE_NX) != 0 && taken ? NITRO_ENOTSTORED : NITRO_OK;
}

/* moved: a put of the target, and behind it, in the same batch, the delete of the source. */
static void moved(struct sim_world *w, unsigned from, unsigned to, bool keep, uint64_t last) {
    const struct sim_cell *c = &w->model.now[from];
    uint64_t before = w->wal_off ? w->model.floor : w->model.newest;
    if (w->wal_off)
        last = SIM_NEVER;
    else
        must_be_new(w, to, last);
    struct sim_effect put = {
        .kind = SIM_PUT, .key = to, .last = last, .value = c->value, .expire_ms = c->expire_ms};
    put.lsn = batch_version(w, to, false, before, last);
    if (w->wal_off) must_be_new(w, to, put.lsn);
    if (!w->wal_off && put.lsn != (keep ? last : last - 1))
        sim_data_fail(w, to, put.lsn, "moved, but its version is another one");
    add_effect(w, put);
    if (!keep) {
        batch_version(w, from, true, before, last);
        add_effect(
            w, (struct sim_effect){
                   .kind = SIM_DELETE, .key = from, .lsn = w->wal_off ? 0 : last, .last = last});
        promise(w, from, last, last, true);
    }
    promise(w, to, last, last, true);
}

void sim_do_move(struct sim_world *w, unsigned from, unsigned to, unsigned flags) {
    uint8_t source[SIM_KEY_BYTES_MAX], target[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(from, source), m = sim_key(to, target);
    unsigned tries = 0;
    struct nitro_info info = {0};
    int rc, want;
    do {
        w->doing = "move";
        want = move_outcome(w, from, to, flags);
        rc = nitro_move(w->store, w->now_ms, source, n, target, m, flags, &info);
    } while (again(w, rc, nitro_log_need(m, SIM_VALUE_MAX) + nitro_log_need(n, 0), &tries));
    if (refused(w, rc)) return;
    expect(w, from, rc, want);
    if (rc == NITRO_OK && from != to) {
        moved(w, from, to, (flags & NITRO_MOVE_KEEP) != 0, info.shown_lsn);
        return;
    }
    looked(w, from, info.shown_lsn);
    if (rc == NITRO_ENOTSTORED) looked(w, to, info.shown_lsn);
}

/* ---- the log -----------------------------------------------------------------------------------*/

static void log_result(const struct sim_world *w, const char *what, int rc,
                       const struct nitro_err *err) {
    if (rc == NITRO_OK) return;
    if (rc == NITRO_ENOMEM && w->no_memory) return;
    if (rc == NITRO_EIO && sim_world_log_may_fail(w)) return;
    sim_fail(w, "%s: %s: %s", what, nitro_strerror(rc), err->msg);
}

void sim_do_write(struct sim_world *w) {
    struct nitro_err err = {0};
    uint64_t before = w->view->written;
    w->doing = "log write";
    w->busy |= SIM_BUSY_WRITE;
    w->write_ms = w->now_ms;
    int rc = nitro_log_write(w->store, w->now_ms, &err);
    w->busy &= ~SIM_BUSY_WRITE;
    if (rc == NITRO_OK && !w->wal_off)
        sim_model_framed(&w->model, before, w->view->written, w->write_ms);
    log_result(w, "nitro_log_write", rc, &err);
}

void sim_do_sync(struct sim_world *w) {
    struct nitro_err err = {0};
    w->doing = "log sync";
    w->busy |= SIM_BUSY_SYNC;
    int rc = nitro_log_sync(w->store, &err);
    w->busy &= ~SIM_BUSY_SYNC;
    log_result(w, "nitro_log_sync", rc, &err);
}

void sim_do_fill(struct sim_world *w, uint64_t need) {
    struct nitro_err err = {0};
    w->doing = "log fill";
    w->busy |= SIM_BUSY_FILL;
    int rc = nitro_log_fill(w->store, need, &err);
    w->busy &= ~SIM_BUSY_FILL;
    /* It may also have failed meanwhile, in a sync that ran beside this. */
    if (rc == NITRO_ELOGFULL && (w->view->status != NITRO_LOG_OK || w->no_memory)) return;
    log_result(w, "nitro_log_fill", rc, &err);
}

void sim_do_note(struct sim_world *w) {
    struct nitro_err err = {0};
    w->doing = "log note";
    w->busy |= SIM_BUSY_SYNC;
    int rc = nitro_log_note(w->store, &err);
    w->busy &= ~SIM_BUSY_SYNC;
    log_result(w, "nitro_log_note", rc, &err);
}

/* ---- drawing an operation ----------------------------------------------------------------------*/

struct sim_value sim_bytes(struct sim_world *w, uint32_t bytes) {
    uint64_t seed = test_rng_next(&w->rng);
    bool packs = w->traits.value_compression != NITRO_COMPRESSION_NONE;
    return (struct sim_value){.seed = seed, .bytes = bytes, .repeats = packs && seed % 2 == 0};
}

static struct sim_value draw_value(struct sim_world *w) {
    uint64_t r = test_rng_below(&w->rng, 64);
    if (r == 0 && w->traits.big_values)
        return sim_bytes(w, test_rng_below(&w->rng, 2) == 0 ? 70000 : 200000);
    if (r < 4 || (w->traits.heavy && r < 40)) return sim_bytes(w, 5000);
    if (r < 8) return sim_bytes(w, 0);
    if (r < 20)
        return (struct sim_value){.is_number = true,
                                  .number = (int64_t)test_rng_below(&w->rng, 2000000) - 1000000};
    return sim_bytes(w, 1 + (uint32_t)test_rng_below(&w->rng, 100));
}

static unsigned draw_key(struct sim_world *w) {
    return (unsigned)test_rng_below(&w->rng, SIM_KEYS);
}

static int64_t draw_expiry(struct sim_world *w) {
    uint64_t r = test_rng_below(&w->rng, 8);
    if (r < 5) return 0;
    return w->now_ms + (r == 5 ? 1 + (int64_t)test_rng_below(&w->rng, 40) : 1000000000);
}

static void step_set(struct sim_world *w) {
    struct set_args a = {.key = draw_key(w), .value = draw_value(w), .expire_ms = draw_expiry(w)};
    uint64_t r = test_rng_below(&w->rng, 16);
    if (r == 0) a.flags = NITRO_SET_NX;
    if (r == 1) a.flags = NITRO_SET_XX;
    if (r == 2) a.flags = NITRO_SET_KEEPTTL;
    if (r == 3) a.flags = NITRO_SET_CAS;
    if (r == 2) a.expire_ms = 0;
    if (r == 3) a.expected = w->model.now[a.key].version + test_rng_below(&w->rng, 2);
    set(w, &a);
}

static void step_batch(struct sim_world *w) {
    unsigned keys[BATCH_MAX], count = 1 + (unsigned)test_rng_below(&w->rng, BATCH_MAX);
    for (unsigned i = 0; i < count; i++) keys[i] = draw_key(w);
    uint64_t r = test_rng_below(&w->rng, 16);
    uint32_t bytes = r == 0 ? (w->traits.big_values ? 70000 : 5000) : (uint32_t)r * 7;
    sim_do_batch(w, keys, count, bytes);
}

static void step_move(struct sim_world *w) {
    static const unsigned flags[] = {0, 0, NITRO_MOVE_KEEP, NITRO_MOVE_NX,
                                     NITRO_MOVE_KEEP | NITRO_MOVE_NX};
    unsigned from = draw_key(w), to = draw_key(w);
    if (w->traits.big_values && test_rng_below(&w->rng, 8) == 0)
        sim_do_set(w, from, sim_bytes(w, 70000),
                   draw_expiry(w)); /* these are moved in another way */
    sim_do_move(w, from, to, flags[test_rng_below(&w->rng, 5)]);
}

static void step_expire(struct sim_world *w) {
    int64_t at = draw_expiry(w);
    if (test_rng_below(&w->rng, 8) == 0) at = w->now_ms - 1;
    sim_do_expire(w, draw_key(w), at);
}

static void step_background(struct sim_world *w) {
    static const enum nitro_step_kind kinds[] = {NITRO_STEP_EXPIRE, NITRO_STEP_EXPIRE,
                                                 NITRO_STEP_FREE, NITRO_STEP_RECLAIM};
    struct nitro_step_result r;
    enum nitro_step_kind kind = kinds[test_rng_below(&w->rng, 4)];
    w->doing = "background step";
    int rc = nitro_step(w->store, kind, w->now_ms, 64, &r);
    if (rc != NITRO_OK) sim_fail(w, "nitro_step: %s", nitro_strerror(rc));
}

static void step_log(struct sim_world *w) {
    uint64_t r = test_rng_below(&w->rng, 16);
    if (r < 7 && (w->busy & SIM_BUSY_WRITE) == 0) sim_do_write(w);
    if (r >= 7 && r < 13 && (w->busy & SIM_BUSY_SYNC) == 0) sim_do_sync(w);
    if (r >= 13 && r < 15 && (w->busy & SIM_BUSY_FILL) == 0) sim_do_fill(w, 0);
    if (r == 15 && (w->busy & SIM_BUSY_SYNC) == 0) sim_do_note(w);
}

/* step_folder: what a host does about snapshots. */
static void step_folder(struct sim_world *w) {
    uint64_t r = test_rng_below(&w->rng, 32);
    unsigned snap = w->traits.bitcask ? SIM_BUSY_FILL : SIM_BUSY_SNAP;
    if (r == 0 && (w->busy & snap) == 0)
        sim_do_abort(w);
    else if (r < 4 && (w->busy & SIM_BUSY_FILL) == 0)
        sim_do_retain(w);
    else if (r == 4 && (w->busy & SIM_BUSY_FILL) == 0)
        sim_do_folder(w);
    else
        sim_do_snapshot_step(w);
}

/* step_files: what a host does about the data files. */
static void step_files(struct sim_world *w) {
    uint64_t r = test_rng_below(&w->rng, 32);
    if (r == 0 && (w->busy & SIM_BUSY_FILL) == 0)
        sim_do_roll(w);
    else if (r == 1 && (w->busy & SIM_BUSY_FILL) == 0)
        sim_do_retain(w);
    else
        sim_do_merge_step(w);
}

/* step_host: false if this step is for a request. */
static bool step_host(struct sim_world *w) {
    const struct sim_traits *t = &w->traits;
    if (t->snaps > 0 && test_rng_below(&w->rng, 32) < t->snaps)
        step_folder(w);
    else if (t->merges > 0 && test_rng_below(&w->rng, 32) < t->merges)
        step_files(w);
    else if (t->restores > 0 && w->busy == 0 && test_rng_below(&w->rng, 64) < t->restores)
        sim_do_restore(w);
    else if (test_rng_below(&w->rng, 16) < t->eager && !w->wal_off)
        step_log(w);
    else
        return false;
    return true;
}

bool sim_world_step(struct sim_world *w) {
    w->operations++;
    w->now_ms += (int64_t)test_rng_below(&w->rng, 4);
    if (step_host(w)) return !sim_disk_is_off(w->disk);
    uint64_t r = test_rng_below(&w->rng, 64);
    if (r < 24)
        step_set(w);
    else if (r < 30)
        sim_do_delete(w, draw_key(w));
    else if (r < 36)
        sim_do_incr(w, draw_key(w), (int64_t)test_rng_below(&w->rng, 19) - 9);
    else if (r < 41)
        step_expire(w);
    else if (r < 45)
        step_batch(w);
    else if (r < 49)
        step_move(w);
    else if (r < 60)
        sim_do_get(w, draw_key(w));
    else if (r < 61)
        sim_do_scan(w);
    else if (r < 63)
        step_background(w);
    else if (test_rng_below(&w->rng, 4) == 0)
        sim_do_flush(w);
    return !sim_disk_is_off(w->disk);
}
