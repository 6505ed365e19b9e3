/* SPDX-License-Identifier: MIT
 *
 * past.h - for the tests of nitro_restore: a store whose every effect is noted with its LSN and its time, so
 * that its contents at any moment of its past are known.
 *
 * A record's time is that of the frame that it is written with: of the next write_log. So effects have no
 * time until then.
 */
#ifndef PAST_H
#define PAST_H

#include <inttypes.h>

#include "check_rig.h"

#define PAST_KEYS 48u
#define PAST_MAX 6000u
#define PAST_VALUE_MAX 90000u

/* ---- effects -----------------------------------------------------------------------------------*/

enum past_kind { PAST_PUT, PAST_DELETE, PAST_EXPIRE, PAST_FLUSH };

struct past_effect {
    enum past_kind kind;
    unsigned key, value;
    int64_t expire_ms;
    uint64_t lsn, last; /* last of its batch */
    int64_t time_ms;    /* 0 = not written yet */
};

/* What a key holds at some moment. */
struct past_item {
    unsigned value; /* 0 = nothing */
    int64_t expire_ms;
    uint64_t version;
};

struct past {
    struct test_mem mem;
    struct rig rig;
    struct nitro_options opt;
    char base[40], dir[48], new_dir[48]; /* the latter two lie in the first */
    nitro_store *store;
    int64_t now_ms;
    struct test_rng rng;
    struct past_effect effect[PAST_MAX];
    unsigned count;
    struct nitro_snapshot_info snap[64]; /* all that were ever taken */
    unsigned snaps;
};

static inline size_t past_key(unsigned key, char out[16]) {
    return (size_t)snprintf(out, 16, "key-%u", key);
}

/* Some are empty, most are short, a few are larger than what an entry holds. */
static inline size_t past_value(unsigned value, char *out) {
    size_t n = value % 97 == 13 ? 66000 + value % 20000 : (size_t)value * 37 % 700;
    for (size_t i = 0; i < n; i++) out[i] = (char)(value + i);
    return n;
}

static inline void past_note(struct past *p, enum past_kind kind, unsigned key, unsigned value,
                             int64_t expire_ms, uint64_t lsn, uint64_t last) {
    assert_true(p->count < PAST_MAX);
    p->effect[p->count++] = (struct past_effect){
        .kind = kind, .key = key, .value = value, .expire_ms = expire_ms, .lsn = lsn, .last = last};
}

/* past_at: the contents behind all batches that end up to LSN n. What has expired is still there. */
static inline void past_at(const struct past *p, uint64_t n, struct past_item item[PAST_KEYS]) {
    memset(item, 0, PAST_KEYS * sizeof *item);
    for (unsigned i = 0; i < p->count && p->effect[i].last <= n; i++) {
        const struct past_effect *e = &p->effect[i];
        struct past_item *it = &item[e->key];
        if (e->kind == PAST_FLUSH)
            memset(item, 0, PAST_KEYS * sizeof *item);
        else if (e->kind == PAST_EXPIRE)
            *it = (struct past_item){it->value, e->expire_ms, e->lsn};
        else
            *it = (struct past_item){e->value, e->expire_ms, e->lsn};
    }
}

/* past_reached: the newest LSN of a whole batch up to n; its time in *ms. */
static inline uint64_t past_reached(const struct past *p, uint64_t n, int64_t *ms) {
    uint64_t lsn = 0;
    *ms = 0;
    for (unsigned i = 0; i < p->count && p->effect[i].last <= n; i++) {
        lsn = p->effect[i].last;
        *ms = p->effect[i].time_ms;
    }
    return lsn;
}

/* past_reached_time: the end of the longest run of effects none of which is later. */
static inline uint64_t past_reached_time(const struct past *p, int64_t ms) {
    uint64_t lsn = 0;
    for (unsigned i = 0; i < p->count && p->effect[i].time_ms <= ms; i++) lsn = p->effect[i].last;
    return lsn;
}

/* ---- the store ---------------------------------------------------------------------------------*/

static inline int past_load(struct past *p, const struct nitro_options *opt,
                            struct nitro_err *err) {
    struct nitro_recovery found;
    int64_t newest;
    int rc = nitro_open(opt, &p->store, err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(p->store, p->now_ms, &found, err);
    for (uint32_t i = 0; i < 3 && rc == NITRO_OK; i++) rc = nitro_recover_load(p->store, i, 3, err);
    for (uint32_t i = 0; i < 2 && rc == NITRO_OK; i++)
        rc = nitro_recover_replay(p->store, i, 2, err);
    if (rc == NITRO_OK) rc = nitro_recover_finish(p->store, p->now_ms, &newest, err);
    if (rc != NITRO_OK) nitro_close(&p->store);
    return rc;
}

static inline void past_start(struct past *p, const struct nitro_options *opt) {
    struct nitro_err err = {0};
    int rc = past_load(p, opt, &err);
    if (rc != NITRO_OK) fail_msg("start %s: code %d: %s", opt->dir, rc, err.msg);
}

static inline void past_write(struct past *p) {
    struct nitro_err err;
    assert_int_equal(nitro_log_write(p->store, p->now_ms, &err), NITRO_OK);
    assert_int_equal(nitro_log_sync(p->store, &err), NITRO_OK);
    for (unsigned i = p->count; i > 0 && p->effect[i - 1].time_ms == 0; i--)
        p->effect[i - 1].time_ms = p->now_ms;
}

static inline void past_room(struct past *p, uint64_t bytes) {
    struct nitro_err err;
    past_write(p);
    assert_int_equal(nitro_log_fill(p->store, bytes, &err), NITRO_OK);
}

/* past_put: one key, or `count` neighbours as a batch. */
static inline void past_put(struct past *p, unsigned key, unsigned count, int64_t expire_ms) {
    static char values[3][PAST_VALUE_MAX];
    char keys[3][16];
    struct nitro_op ops[3] = {{0}};
    struct nitro_info info;
    uint64_t need = 0;
    for (unsigned i = 0; i < count; i++) {
        ops[i] = (struct nitro_op){.key = keys[i], .value = values[i], .expire_ms = expire_ms};
        ops[i].key_bytes = past_key(key + i, keys[i]);
        ops[i].value_bytes = past_value(p->count + i + 1, values[i]);
        need += nitro_log_need(ops[i].key_bytes, ops[i].value_bytes);
    }
    int rc;
    while ((rc = nitro_write(p->store, p->now_ms, ops, count, &info)) == NITRO_ELOGFULL)
        past_room(p, need);
    assert_int_equal(rc, NITRO_OK);
    uint64_t first = info.version - count + 1;
    for (unsigned i = 0; i < count; i++)
        past_note(p, PAST_PUT, key + i, p->count + 1, expire_ms, first + i, info.version);
}

static inline void past_delete(struct past *p, unsigned key) {
    char text[16];
    struct nitro_info info;
    size_t n = past_key(key, text);
    int rc;
    while ((rc = nitro_delete(p->store, p->now_ms, text, n, &info)) == NITRO_ELOGFULL)
        past_room(p, nitro_log_need(n, 0));
    if (rc == NITRO_OK) past_note(p, PAST_DELETE, key, 0, 0, info.version, info.version);
}

static inline void past_expire(struct past *p, unsigned key, int64_t expire_ms) {
    char text[16];
    struct nitro_info info;
    size_t n = past_key(key, text);
    int rc;
    while ((rc = nitro_expire(p->store, p->now_ms, text, n, expire_ms, &info)) == NITRO_ELOGFULL)
        past_room(p, nitro_log_need(n, PAST_VALUE_MAX)); /* its value may be logged, too */
    if (rc == NITRO_OK) past_note(p, PAST_EXPIRE, key, 0, expire_ms, info.version, info.version);
}

static inline void past_flush(struct past *p) {
    struct nitro_info info;
    int rc;
    while ((rc = nitro_flush(p->store, &info)) == NITRO_ELOGFULL) past_room(p, 100);
    assert_int_equal(rc, NITRO_OK);
    past_note(p, PAST_FLUSH, 0, 0, 0, info.version, info.version);
}

/* past_work: so many operations, the clock going on and the log written every few of them. */
static inline void past_work(struct past *p, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        unsigned what = (unsigned)test_rng_below(&p->rng, 100);
        unsigned key = (unsigned)test_rng_below(&p->rng, PAST_KEYS - 3);
        int64_t soon = p->now_ms + 1 + (int64_t)test_rng_below(&p->rng, 4000);
        if (what < 50)
            past_put(p, key, 1, what < 12 ? soon : 0);
        else if (what < 70)
            past_put(p, key, 3, what < 55 ? soon : 0);
        else if (what < 85)
            past_delete(p, key);
        else if (what < 99)
            past_expire(p, key, what < 90 ? 0 : soon);
        else if (p->count % 7 == 0)
            past_flush(p);
        if (test_rng_below(&p->rng, 3) == 0) past_write(p);
        p->now_ms += (int64_t)test_rng_below(&p->rng, 40);
    }
    past_write(p);
}

/* past_snapshot: of the store as it is; nothing happens meanwhile. */
static inline void past_snapshot(struct past *p) {
    struct nitro_err err = {0};
    uint64_t lsn;
    int more;
    past_write(p);
    int rc = nitro_snapshot_prepare(p->store, (enum nitro_compression)(p->snaps % 3), &err);
    assert_int_equal(rc, NITRO_OK);
    nitro_snapshot_begin(p->store, p->now_ms, &lsn);
    while ((more = nitro_snapshot_gather(p->store)) != 0)
        if ((more & NITRO_GATHERED_SOME) != 0)
            assert_int_equal(nitro_snapshot_write(p->store, &err), NITRO_OK);
    assert_true(p->snaps < sizeof p->snap / sizeof p->snap[0]);
    rc = nitro_snapshot_finish(p->store, p->now_ms, &p->snap[p->snaps++], &err);
    if (rc != NITRO_OK) fail_msg("snapshot: %s", err.msg);
}

static inline void past_retain(struct past *p, int64_t keep_ms, uint64_t keep_bytes) {
    struct nitro_err err = {0};
    int rc = nitro_retain(p->store, p->now_ms, keep_ms, keep_bytes, &err);
    if (rc != NITRO_OK) fail_msg("retain: %s", err.msg);
}

/* past_stop: in good order, or as if the process had been killed. */
static inline void past_stop(struct past *p, bool clean) {
    struct nitro_err err;
    if (clean) assert_int_equal(nitro_log_stop(p->store, p->now_ms, &err), NITRO_OK);
    nitro_close(&p->store);
}

/* past_live: some lives of a store, with snapshots now and then. What is dropped of them is up to keep_ms. */
static inline void past_live(struct past *p, unsigned ops, int64_t keep_ms) {
    for (unsigned life = 0; life < 4; life++) {
        past_start(p, &p->opt);
        for (unsigned i = 0; i < 5; i++) {
            past_work(p, ops / 20);
            if (i % 2 == life % 2) past_snapshot(p);
            past_retain(p, keep_ms, 0);
        }
        past_stop(p, life % 2 == 0);
        p->now_ms += 1000;
    }
}

/* past_check: the store that is open holds what the past held at LSN n, as of now_ms. Keys that had run out at
 * `reached_ms` are gone; those that have since then are gone too, or there without an expiry (`keep`). */
static inline void past_check(struct past *p, uint64_t n, int64_t reached_ms, int64_t now_ms,
                              bool keep) {
    static char got[PAST_VALUE_MAX], want[PAST_VALUE_MAX];
    struct past_item item[PAST_KEYS];
    struct nitro_stats stats;
    uint64_t keys = 0;
    past_at(p, n, item);
    for (unsigned k = 0; k < PAST_KEYS; k++) {
        char key[16];
        struct nitro_info info;
        struct past_item *it = &item[k];
        bool out = it->expire_ms != 0 && it->expire_ms <= now_ms;
        bool kept = out && keep && it->expire_ms > reached_ms;
        bool there = it->value != 0 && (!out || kept);
        int rc = nitro_get(p->store, now_ms, key, past_key(k, key), got, sizeof got, &info);
        if (rc != (there ? NITRO_OK : NITRO_ENOTFOUND))
            fail_msg("LSN %" PRIu64 ": key %u: code %d, but it was %s", n, k, rc,
                     there ? "there" : "not there");
        keys += there;
        if (!there) continue;
        size_t bytes = past_value(it->value, want);
        if (info.bytes != bytes || memcmp(got, want, bytes) != 0 || info.version != it->version ||
            info.expire_ms != (kept ? 0 : it->expire_ms))
            fail_msg("LSN %" PRIu64 ": key %u is not what it was", n, k);
    }
    nitro_stats(p->store, &stats);
    assert_int_equal(stats.keys, keys);
}

/* past_restore: that must get through. */
static inline struct nitro_restore_result past_restore(const struct nitro_restore_options *o) {
    struct nitro_restore_result r;
    struct nitro_err err = {0};
    int rc = nitro_restore(o, &r, &err);
    if (rc != NITRO_OK) fail_msg("restore %s: code %d: %s", o->from, rc, err.msg);
    return r;
}

/* ---- setup -------------------------------------------------------------------------------------*/

static inline int past_setup(void **state) {
    struct past *p = calloc(1, sizeof *p);
    assert_non_null(p);
    test_mem_init(&p->mem);
    rig_init(&p->rig);
    strcpy(p->base, "/tmp/nitro-test-past-XXXXXX");
    assert_non_null(mkdtemp(p->base));
    snprintf(p->dir, sizeof p->dir, "%s/old", p->base);
    snprintf(p->new_dir, sizeof p->new_dir, "%s/new", p->base);
    p->opt = test_options(&p->mem, 4);
    p->opt.dir = p->dir;
    p->opt.vfs = &p->rig.vfs;
    p->opt.log_file_bytes = 65536;
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) p->opt.log_seed[i] = (uint8_t)(i * 3 + 7);
    p->now_ms = TEST_NOW;
    test_rng_init(&p->rng, "past");
    *state = p;
    return 0;
}

static inline void past_remove(const char *dir) {
    if (access(dir, F_OK) != 0) return;
    folder_empty(dir);
    assert_int_equal(rmdir(dir), 0);
}

static inline int past_teardown(void **state) {
    struct past *p = *state;
    nitro_close(&p->store);
    test_mem_check_empty(&p->mem);
    assert_int_equal(p->rig.handles, 0);
    past_remove(p->new_dir);
    past_remove(p->dir);
    assert_int_equal(rmdir(p->base), 0);
    free(p);
    return 0;
}

#endif
