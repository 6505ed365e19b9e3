/* SPDX-License-Identifier: MIT
 *
 * test_snap.c - a snapshot holds exactly what the store held at its cut, whatever happens meanwhile.
 *
 * Every case runs operations between the pieces of a snapshot and keeps what each key was at the cut. Then
 * the file is read back: each record must be a key of the cut with its value, expiry and version, and none may
 * be missing or come twice. Keys that had expired by the cut, but were still there, may be in it or not.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collide.h"
#include "db.h"
#include "snap.h"
#include "snapfile.h"
#include "support.h"

#define KEYS 6000u
#define BITS 13u /* of colliding keys: 8,192 */
#define FIRST_LARGE 100000u
#define TRIES 100000u

struct slot {
    bool live;
    uint32_t tag, bytes;
    int64_t expire_ms;
    uint64_t version;
};

struct world {
    struct test_rng rng;
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    char dir[64];
    int64_t now_ms;
    bool collide; /* keys from KEYS / 2 on have equal hashes */
    bool begun;
    uint64_t lsn;
    int64_t cut_ms;
    struct slot now[KEYS], cut[KEYS];
    uint8_t key[KEYS][128];
    uint8_t value[FIRST_LARGE + 300000];
};

/* ---- the store ---------------------------------------------------------------------------------*/

static void recover(struct world *w) {
    struct nitro_err err = {0};
    struct nitro_recovery found;
    int64_t newest;
    if (nitro_recover_scan(w->store, w->now_ms, &found, &err) != NITRO_OK) fail_msg("%s", err.msg);
    if (nitro_recover_load(w->store, 0, 1, &err) != NITRO_OK) fail_msg("%s", err.msg);
    if (nitro_recover_replay(w->store, 0, 1, &err) != NITRO_OK) fail_msg("%s", err.msg);
    if (nitro_recover_finish(w->store, w->now_ms, &newest, &err) != NITRO_OK)
        fail_msg("%s", err.msg);
}

static struct world *world_open(const char *what, uint32_t segments, bool wal_off, bool collide) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_rng_init(&w->rng, what);
    test_mem_init(&w->mem);
    snprintf(w->dir, sizeof w->dir, "/tmp/nitrokv-snap-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->now_ms = TEST_NOW;
    w->collide = collide;
    w->opt = test_options(&w->mem, segments);
    w->opt.dir = w->dir;
    w->opt.log_file_bytes = 1u << 20;
    w->opt.wal_off = wal_off;
    w->store = test_open(&w->opt);
    recover(w);
    return w;
}

static void world_close(struct world *w) {
    char command[128];
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    snprintf(command, sizeof command, "rm -r %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

static size_t key_of(const struct world *w, uint32_t i, uint8_t *out) {
    if (w->collide && i >= KEYS / 2) return collide_key(w->opt.seed, BITS, i, out);
    return (size_t)snprintf((char *)out, 64, "key:%u:%.*s", i, (int)(i % 40),
                            "0123456789012345678901234567890123456789");
}

static void value_of(uint32_t tag, uint32_t bytes, uint8_t *out) {
    for (uint32_t i = 0; i < bytes; i++) out[i] = (uint8_t)((tag * 2654435761u + i * 40503u) >> 11);
}

/* Room in the log, or in the side buffer: what a host does when it is told to come again. */
static void make_room(struct world *w, int rc, uint64_t need) {
    struct nitro_err err;
    if (rc == NITRO_ELOGFULL) {
        assert_int_equal(nitro_log_write(w->store, w->now_ms, &err), NITRO_OK);
        assert_int_equal(nitro_log_fill(w->store, need, &err), NITRO_OK);
    } else {
        assert_int_equal(rc, NITRO_EBUSY);
        assert_true(w->begun);
        if ((nitro_snapshot_gather(w->store) & NITRO_GATHERED_SOME) != 0)
            assert_int_equal(nitro_snapshot_write(w->store, &err), NITRO_OK);
    }
}

static void set(struct world *w, uint32_t i, uint32_t bytes, int64_t expire_ms) {
    uint8_t key[128];
    struct nitro_info info;
    size_t n = key_of(w, i, key);
    uint32_t tag = (uint32_t)test_rng_next(&w->rng);
    value_of(tag, bytes, w->value);
    int rc, tries = 0;
    while ((rc = nitro_set(w->store, w->now_ms, key, n, w->value, bytes, 0, 0, expire_ms, &info)) !=
           NITRO_OK) {
        make_room(w, rc, nitro_log_need(n, bytes));
        assert_true(++tries < (int)TRIES);
    }
    w->now[i] = (struct slot){true, tag, bytes, expire_ms, info.version};
}

static bool live(const struct slot *s, int64_t now_ms) {
    return s->live && (s->expire_ms == 0 || s->expire_ms > now_ms);
}

static void delete (struct world *w, uint32_t i) {
    uint8_t key[128];
    size_t n = key_of(w, i, key);
    int rc, tries = 0;
    int want = live(&w->now[i], w->now_ms) ? NITRO_OK : NITRO_ENOTFOUND;
    while ((rc = nitro_delete(w->store, w->now_ms, key, n, NULL)) != want) {
        make_room(w, rc, nitro_log_need(n, 0));
        assert_true(++tries < (int)TRIES);
    }
    if (want == NITRO_OK) w->now[i].live = false;
}

static void expire(struct world *w, uint32_t i, int64_t expire_ms) {
    uint8_t key[128];
    struct nitro_info info;
    size_t n = key_of(w, i, key);
    int rc, tries = 0;
    int want = live(&w->now[i], w->now_ms) ? NITRO_OK : NITRO_ENOTFOUND;
    while ((rc = nitro_expire(w->store, w->now_ms, key, n, expire_ms, &info)) != want) {
        make_room(w, rc, nitro_log_need(n, 0));
        assert_true(++tries < (int)TRIES);
    }
    if (want != NITRO_OK) return;
    w->now[i].expire_ms = expire_ms;
    w->now[i].version = info.version;
}

/* A batch of neighbours: all of them, or none. */
static void batch(struct world *w, uint32_t first, uint32_t count) {
    struct nitro_op item[64];
    static uint8_t keys[64][128];
    uint32_t tag = (uint32_t)test_rng_next(&w->rng), tries = 0;
    struct nitro_info info;
    uint8_t value[200];
    assert_true(count <= 64);
    value_of(tag, sizeof value, value);
    for (uint32_t k = 0; k < count; k++)
        item[k] = (struct nitro_op){.key = keys[k],
                                    .key_bytes = key_of(w, first + k, keys[k]),
                                    .value = value,
                                    .value_bytes = sizeof value};
    int rc;
    while ((rc = nitro_write(w->store, w->now_ms, item, count, &info)) != NITRO_OK) {
        make_room(w, rc, count * nitro_log_need(128, sizeof value));
        assert_true(++tries < TRIES);
    }
    for (uint32_t k = 0; k < count; k++) {
        struct nitro_info got;
        assert_int_equal(nitro_get(w->store, w->now_ms, keys[k], item[k].key_bytes, NULL, 0, &got),
                         NITRO_OK);
        w->now[first + k] = (struct slot){true, tag, sizeof value, 0, got.version};
    }
}

static void flush(struct world *w) {
    int rc, tries = 0;
    while ((rc = nitro_flush(w->store, NULL)) != NITRO_OK) {
        make_room(w, rc, 100);
        assert_true(++tries < (int)TRIES);
    }
    memset(w->now, 0, sizeof w->now);
}

static void step(struct world *w, enum nitro_step_kind kind) {
    struct nitro_step_result r;
    assert_int_equal(nitro_step(w->store, kind, w->now_ms, 64, &r), NITRO_OK);
}

/* ---- a snapshot --------------------------------------------------------------------------------*/

static void begin(struct world *w, enum nitro_compression how) {
    struct nitro_err err;
    if (nitro_snapshot_prepare(w->store, how, &err) != NITRO_OK) fail_msg("%s", err.msg);
    nitro_snapshot_begin(w->store, w->now_ms, &w->lsn);
    memcpy(w->cut, w->now, sizeof w->cut);
    w->cut_ms = w->now_ms;
    w->begun = true;
}

/* One piece; false when that was the last. */
static bool piece(struct world *w) {
    struct nitro_err err;
    int more = nitro_snapshot_gather(w->store);
    if ((more & NITRO_GATHERED_SOME) != 0)
        assert_int_equal(nitro_snapshot_write(w->store, &err), NITRO_OK);
    return more != 0;
}

static uint32_t index_of(const struct world *w, const uint8_t *key, uint32_t bytes) {
    unsigned i;
    char text[128];
    uint8_t want[128];
    if (bytes > 4 && memcmp(key, "key:", 4) == 0) {
        memcpy(text, key, bytes);
        text[bytes] = 0;
        assert_int_equal(sscanf(text, "key:%u:", &i), 1);
        return i;
    }
    for (i = KEYS / 2; i < KEYS; i++)
        if (key_of(w, i, want) == bytes && memcmp(want, key, bytes) == 0) return i;
    fail_msg("the snapshot holds a key that was never written");
    return 0;
}

static void check_record(struct world *w, struct nk_snapread *r, struct nk_snaprec *rec,
                         bool *seen) {
    uint32_t i = index_of(w, rec->key, rec->key_bytes);
    const struct slot *s = &w->cut[i];
    static uint8_t large[sizeof w->value];
    assert_true(i < KEYS);
    assert_false(seen[i]);
    assert_true(s->live);
    assert_int_equal(rec->version, s->version);
    assert_int_equal(rec->expire_ms, s->expire_ms);
    assert_int_equal(rec->value_bytes, s->bytes);
    value_of(s->tag, s->bytes, w->value);
    const uint8_t *got = rec->value;
    if (rec->large) {
        assert_int_equal(nk_snapread_value(r, rec, large), NITRO_OK);
        got = large;
    }
    assert_memory_equal(got, w->value, s->bytes);
    seen[i] = true;
}

static void check_file(struct world *w, uint64_t number) {
    char path[128];
    struct nk_snapread r;
    struct nk_snaprec rec;
    struct stat st;
    static bool seen[KEYS];
    memset(seen, 0, sizeof seen);
    snprintf(path, sizeof path, "%s/%010llu.snap", w->dir, (unsigned long long)number);
    int fd = open(path, O_RDONLY), rc;
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    rc = nk_snapread_open(&r, nitro_vfs_system(), nitro_mem_system(), fd, (uint64_t)st.st_size);
    assert_int_equal(rc, NITRO_OK);
    assert_int_equal(r.head.lsn, w->lsn);
    while ((rc = nk_snapread_next(&r, false, &rec)) == NITRO_OK) check_record(w, &r, &rec, seen);
    if (rc != NITRO_ENOTFOUND)
        fail_msg("%s: %d, offset %llu: %s", path, rc, (unsigned long long)r.bad_at, r.what);
    nk_snapread_close(&r);
    close(fd);
    for (uint32_t i = 0; i < KEYS; i++)
        if (live(&w->cut[i], w->cut_ms) && !seen[i]) fail_msg("key %u is missing", i);
}

static void end(struct world *w) {
    struct nitro_err err;
    struct nitro_snapshot_info info;
    while (piece(w)) {}
    w->begun = false;
    for (uint32_t i = 0; i < w->opt.segments; i++)
        assert_int_equal(w->store->db.seg[i].snap_cut, 0);
    assert_int_equal(nitro_log_write(w->store, w->now_ms, &err), NITRO_OK);
    assert_int_equal(nitro_log_sync(w->store, &err), NITRO_OK);
    if (nitro_snapshot_finish(w->store, w->now_ms, &info, &err) != NITRO_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(info.lsn, w->lsn);
    check_file(w, info.number);
}

/* What the store holds now is what was written. */
static void check_store(struct world *w) {
    uint8_t key[128];
    for (uint32_t i = 0; i < KEYS; i++) {
        struct nitro_info info;
        size_t n = key_of(w, i, key);
        int rc = nitro_get(w->store, w->now_ms, key, n, w->value, sizeof w->value, &info);
        assert_int_equal(rc, live(&w->now[i], w->now_ms) ? NITRO_OK : NITRO_ENOTFOUND);
        if (rc == NITRO_OK) assert_int_equal(info.version, w->now[i].version);
    }
}

/* ---- cases -------------------------------------------------------------------------------------*/

static void fill(struct world *w, uint32_t count, uint32_t bytes) {
    for (uint32_t i = 0; i < count; i++) set(w, i, bytes, 0);
}

static void snapshot__quiet_store__is_the_store(void **state) {
    /* Nothing happens during it; each compression. */
    (void)state;
    for (int how = NITRO_COMPRESSION_NONE; how <= NITRO_COMPRESSION_ZSTD; how++) {
        struct world *w = world_open("quiet", 4, how == NITRO_COMPRESSION_LZ4, false);
        fill(w, KEYS, 90);
        set(w, 7, FIRST_LARGE + 250000, TEST_NOW + 1000);
        begin(w, (enum nitro_compression)how);
        end(w);
        world_close(w);
    }
}

static void snapshot__empty_store__is_empty(void **state) {
    /* There is nothing to walk, and a file all the same. */
    (void)state;
    struct world *w = world_open("empty", 4, false, false);
    begin(w, NITRO_COMPRESSION_ZSTD);
    end(w);
    world_close(w);
}

static void snapshot__everything_overwritten_and_deleted__shows_the_cut(void **state) {
    /* Each key is changed as soon as possible, before and behind the walk. */
    (void)state;
    struct world *w = world_open("overwritten", 2, false, false);
    fill(w, KEYS, 120);
    begin(w, NITRO_COMPRESSION_LZ4);
    for (uint32_t i = 0; i < KEYS; i++) {
        if (i % 3 == 0) delete (w, i);
        if (i % 3 == 1) set(w, i, 120, 0);
        if (i % 3 == 2) set(w, i, 400, 0);
        if (i % 100 == 0) (void)piece(w);
    }
    end(w);
    assert_true(w->store->db.snap_emitted > 100);
    check_store(w);
    world_close(w);
}

static void snapshot__table_grows_and_shrinks__shows_the_cut(void **state) {
    /* Buckets split and merge before and behind the walk, overflow buckets come and go. */
    (void)state;
    struct world *w = world_open("resize", 1, false, false);
    fill(w, 500, 20);
    begin(w, NITRO_COMPRESSION_NONE);
    for (uint32_t i = 500; i < KEYS; i++) {
        set(w, i, 20, 0);
        if (i % 400 == 0) (void)piece(w);
    }
    end(w);
    begin(w, NITRO_COMPRESSION_NONE);
    for (uint32_t i = 0; i < KEYS; i++) {
        delete (w, i);
        if (i % 64 == 0) step(w, NITRO_STEP_RECLAIM);
        if (i % 300 == 0) (void)piece(w);
    }
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__segment_changes_its_hash__no_key_twice_or_missing(void **state) {
    /* Colliding keys make a segment switch in the middle of the walk. */
    (void)state;
    struct world *w = world_open("switch", 1, false, true);
    fill(w, KEYS / 2, 300);
    begin(w, NITRO_COMPRESSION_NONE);
    for (int i = 0; i < 2; i++) (void)piece(w);
    assert_true(w->store->db.seg[0].snap_pos > 0 && w->store->db.seg[0].snap_cut != 0);
    for (uint32_t i = KEYS / 2; i < KEYS / 2 + 200; i++) set(w, i, 30, 0);
    assert_int_equal(w->store->db.seg[0].epoch, NK_EPOCH_SIP);
    assert_true(w->store->db.seg[0].snap_fnv_pos > 0);
    for (uint32_t i = 0; i < KEYS / 2; i += 2) set(w, i, 60, 0);
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__flushed_during_it__goes_on_in_what_was_taken_out(void **state) {
    /* FLUSHALL, new keys, FLUSHALL again; the memory is freed behind the walk only, and then all of it. */
    (void)state;
    struct world *w = world_open("flush", 4, false, false);
    fill(w, KEYS, 200);
    set(w, 3, FIRST_LARGE, 0);
    begin(w, NITRO_COMPRESSION_ZSTD);
    (void)piece(w);
    flush(w);
    for (uint32_t i = 0; i < KEYS; i += 3) set(w, i, 50, 0);
    for (int i = 0; i < 100; i++) step(w, NITRO_STEP_FREE);
    flush(w);
    for (uint32_t i = 0; i < KEYS; i += 5) set(w, i, 70, 0);
    for (int i = 0; i < 100; i++) step(w, NITRO_STEP_FREE);
    end(w);
    check_store(w);
    test_step_all(w->store, w->now_ms);
    assert_int_equal(w->store->db.garbage_bytes, 0);
    world_close(w);
}

static void snapshot__flushed_while_a_hash_changes__walks_both_tables(void **state) {
    /* What is taken out has entries in the old table and in the new one. */
    (void)state;
    struct world *w = world_open("flush in a switch", 1, false, true);
    fill(w, KEYS / 2, 300);
    begin(w, NITRO_COMPRESSION_NONE);
    for (int i = 0; i < 2; i++) (void)piece(w);
    for (uint32_t i = KEYS / 2; w->store->db.seg[0].epoch == NK_EPOCH_FNV; i++) set(w, i, 30, 0);
    assert_true(w->store->db.seg[0].old.count > 100);
    flush(w);
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__keys_expire_during_it__are_in_it(void **state) {
    /* The EXPIRE step drops them before the walk comes, and then without room in the side buffer. */
    (void)state;
    struct world *w = world_open("expire", 2, false, false);
    for (uint32_t i = 0; i < KEYS; i++) set(w, i, 900, TEST_NOW + 5000 + (i % 10));
    begin(w, NITRO_COMPRESSION_NONE);
    (void)piece(w);
    w->now_ms += 10000;
    for (int i = 0; i < 200; i++) step(w, NITRO_STEP_EXPIRE);
    assert_true(w->store->db.snap_busy > 0); /* 6,000 times 900 bytes are more than a half */
    assert_true(nk_db_keys(&w->store->db, NULL) > 0);
    end(w);
    test_step_all(w->store, w->now_ms);
    assert_int_equal(nk_db_keys(&w->store->db, NULL), 0);
    world_close(w);
}

static void snapshot__chains_of_large_entries__bounded_lock_holds(void **state) {
    /* Entries of 60 KiB: a chain holds more than one lock hold may copy. */
    (void)state;
    struct world *w = world_open("heavy", 1, false, false);
    fill(w, 300, 61000);
    begin(w, NITRO_COMPRESSION_LZ4);
    uint32_t i = 0;
    while (piece(w)) set(w, i++ % 300, 61000, 0);
    assert_true(i > 30);
    end(w);
    test_check_bounds(w->store);
    check_store(w);
    world_close(w);
}

static void snapshot__side_buffer_full__writers_are_told_to_come_again(void **state) {
    /* Nobody takes the snapshot further: the write that finds no room changes nothing. */
    (void)state;
    struct world *w = world_open("full", 2, false, false);
    uint8_t key[128];
    struct nitro_info before, after;
    fill(w, KEYS, 900);
    begin(w, NITRO_COMPRESSION_NONE);
    uint32_t i = 0;
    int rc = NITRO_OK;
    for (; i < KEYS && rc == NITRO_OK; i++) {
        size_t n = key_of(w, i, key);
        assert_int_equal(nitro_get(w->store, w->now_ms, key, n, NULL, 0, &before), NITRO_OK);
        while ((rc = nitro_delete(w->store, w->now_ms, key, n, NULL)) == NITRO_ELOGFULL)
            make_room(w, rc, 1000);
        w->now[i].live = rc != NITRO_OK;
    }
    assert_int_equal(rc, NITRO_EBUSY);
    assert_int_equal(nitro_get(w->store, w->now_ms, key, key_of(w, i - 1, key), NULL, 0, &after),
                     NITRO_OK);
    assert_int_equal(after.version, before.version);
    set(w, KEYS - 1, 10, 0); /* goes on by itself when the snapshot does */
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__batch_larger_than_the_side_buffer__is_let_through(void **state) {
    /* 64 keys of 60 KB each are more than the buffer takes from single writers. */
    (void)state;
    struct world *w = world_open("batch", 8, false, false);
    fill(w, 64, 60000);
    set(w, 10, FIRST_LARGE, 0);
    begin(w, NITRO_COMPRESSION_NONE);
    uint64_t busy = w->store->db.snap_busy;
    batch(w, 0, 64);
    assert_int_equal(w->store->db.snap_busy, busy);
    assert_int_equal(w->store->db.snap_emitted, 64);
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__large_values_dropped__held_within_a_limit(void **state) {
    /* Their values would stay in memory until they are written, however small what the side buffer holds of them. */
    (void)state;
    struct world *w = world_open("held", 2, false, false);
    uint8_t key[128];
    uint32_t count = NK_SNAP_HALVES_HELD / FIRST_LARGE + 50, i = 0;
    fill(w, count, FIRST_LARGE);
    begin(w, NITRO_COMPRESSION_LZ4);
    int rc = NITRO_OK;
    for (; i < count && rc == NITRO_OK; i++) {
        while ((rc = nitro_delete(w->store, w->now_ms, key, key_of(w, i, key), NULL)) ==
               NITRO_ELOGFULL)
            make_room(w, rc, 1000);
        w->now[i].live = rc != NITRO_OK;
    }
    assert_int_equal(rc, NITRO_EBUSY);
    assert_true((uint64_t)i * FIRST_LARGE > NK_SNAP_HALVES_HELD / 2);
    set(w, count, 10, 0); /* what saves nothing goes on */
    for (i = 0; i < count; i++) delete (w, i);
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__aborted__owes_nothing_and_another_begins(void **state) {
    /* Before the walk, in its middle, with large values in the buffers, and at its end. */
    (void)state;
    struct world *w = world_open("abort", 2, false, false);
    struct nitro_err err;
    fill(w, 2000, 300);
    for (int pieces = -1; pieces < 5; pieces++) {
        for (uint32_t i = 0; i < 20; i++) set(w, i, FIRST_LARGE, 0);
        if (pieces < 0) {
            assert_int_equal(nitro_snapshot_prepare(w->store, NITRO_COMPRESSION_ZSTD, &err),
                             NITRO_OK);
            assert_int_equal(nitro_snapshot_prepare(w->store, NITRO_COMPRESSION_ZSTD, &err),
                             NITRO_EBUSY);
        } else {
            begin(w, NITRO_COMPRESSION_ZSTD);
            for (uint32_t i = 0; i < 20; i++) set(w, i, FIRST_LARGE, 0);
            for (int i = 0; i < pieces; i++) (void)piece(w);
            assert_true(nitro_snapshot_gather(w->store) >= 0);
        }
        assert_int_equal(nitro_snapshot_abort(w->store), NITRO_OK);
        assert_int_equal(nitro_snapshot_abort(w->store), NITRO_OK);
        w->begun = false;
        uint64_t emitted = w->store->db.snap_emitted;
        for (uint32_t i = 0; i < 2000; i += 7) set(w, i, 300, 0);
        assert_int_equal(w->store->db.snap_emitted, emitted);
    }
    begin(w, NITRO_COMPRESSION_NONE);
    end(w);
    check_store(w);
    world_close(w);
}

static void snapshot__closed_during_it__no_leak(void **state) {
    /* The store is closed with large values in the buffers and a FLUSH to be walked. */
    (void)state;
    for (int flushed = 0; flushed < 2; flushed++) {
        struct world *w = world_open("close", 4, false, false);
        fill(w, 1000, 300);
        set(w, 5, FIRST_LARGE, 0);
        begin(w, NITRO_COMPRESSION_ZSTD);
        set(w, 5, FIRST_LARGE, 0);
        (void)piece(w);
        if (flushed) flush(w);
        world_close(w);
    }
}

static void snapshot__finished_before_the_log_is_durable__refused(void **state) {
    /* A listed snapshot says that everything up to it is there. */
    (void)state;
    struct world *w = world_open("early", 4, false, false);
    struct nitro_err err;
    struct nitro_snapshot_info info;
    fill(w, 10, 10);
    begin(w, NITRO_COMPRESSION_ZSTD);
    while (piece(w)) {}
    assert_int_equal(nitro_snapshot_finish(w->store, w->now_ms, &info, &err), NITRO_EARGUMENT);
    end(w);
    world_close(w);
}

static void snapshot__without_a_folder_or_unknown_compression__refused(void **state) {
    (void)state;
    struct test_mem mem;
    struct nitro_err err;
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 4);
    nitro_store *s = test_open(&opt);
    assert_int_equal(nitro_snapshot_prepare(s, NITRO_COMPRESSION_NONE, &err), NITRO_EUNSUPPORTED);
    assert_int_equal(nitro_snapshot_abort(s), NITRO_OK);
    nitro_close(&s);
    test_mem_check_empty(&mem);
    struct world *w = world_open("arguments", 4, false, false);
    assert_int_equal(nitro_snapshot_prepare(w->store, (enum nitro_compression)7, &err),
                     NITRO_EARGUMENT);
    world_close(w);
}

static void random_operation(struct world *w) {
    uint32_t i = (uint32_t)test_rng_below(&w->rng, KEYS),
             kind = (uint32_t)test_rng_below(&w->rng, 100);
    uint32_t bytes = (uint32_t)test_rng_below(&w->rng, 300);
    if (kind < 40)
        set(w, i, bytes, kind < 6 ? w->now_ms + 1 + (int64_t)test_rng_below(&w->rng, 3000) : 0);
    else if (kind < 62)
        delete (w, i);
    else if (kind < 74)
        expire(w, i,
               test_rng_below(&w->rng, 3) == 0
                   ? 0
                   : w->now_ms + 1 + (int64_t)test_rng_below(&w->rng, 3000));
    else if (kind < 80)
        batch(w, (uint32_t)test_rng_below(&w->rng, KEYS - 64),
              1 + (uint32_t)test_rng_below(&w->rng, 64));
    else if (kind < 97)
        step(w, (enum nitro_step_kind)test_rng_below(&w->rng, NITRO_STEP_POOL));
    else if (kind < 99)
        set(w, i, test_rng_below(&w->rng, 4) == 0 ? FIRST_LARGE + bytes : 3000 + bytes, 0);
    else
        w->now_ms += (int64_t)test_rng_below(&w->rng, 200);
    if (test_rng_below(&w->rng, 20000) == 0) flush(w);
}

static void run_random(uint32_t segments, bool wal_off, bool collide) {
    struct world *w = world_open("random", segments, wal_off, collide);
    struct nitro_err err;
    uint64_t rounds = test_scale(6);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t n = test_rng_below(&w->rng, 12000); n > 0; n--) random_operation(w);
        begin(w, (enum nitro_compression)test_rng_below(&w->rng, 3));
        bool more = true;
        while (more) {
            for (uint64_t n = test_rng_below(&w->rng, 400); n > 0; n--) random_operation(w);
            more = piece(w);
        }
        end(w);
        assert_int_equal(nitro_retain(w->store, w->now_ms, 0, 0, &err), NITRO_OK);
        check_store(w);
    }
    world_close(w);
}

static void snapshot__random_operations__shows_the_cut(void **state) {
    (void)state;
    run_random(1, false, false);
    run_random(8, false, true);
}

static void snapshot__random_operations_without_a_log__shows_the_cut(void **state) {
    (void)state;
    run_random(4, true, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot__quiet_store__is_the_store),
        cmocka_unit_test(snapshot__empty_store__is_empty),
        cmocka_unit_test(snapshot__everything_overwritten_and_deleted__shows_the_cut),
        cmocka_unit_test(snapshot__table_grows_and_shrinks__shows_the_cut),
        cmocka_unit_test(snapshot__segment_changes_its_hash__no_key_twice_or_missing),
        cmocka_unit_test(snapshot__flushed_during_it__goes_on_in_what_was_taken_out),
        cmocka_unit_test(snapshot__flushed_while_a_hash_changes__walks_both_tables),
        cmocka_unit_test(snapshot__keys_expire_during_it__are_in_it),
        cmocka_unit_test(snapshot__chains_of_large_entries__bounded_lock_holds),
        cmocka_unit_test(snapshot__side_buffer_full__writers_are_told_to_come_again),
        cmocka_unit_test(snapshot__batch_larger_than_the_side_buffer__is_let_through),
        cmocka_unit_test(snapshot__large_values_dropped__held_within_a_limit),
        cmocka_unit_test(snapshot__aborted__owes_nothing_and_another_begins),
        cmocka_unit_test(snapshot__closed_during_it__no_leak),
        cmocka_unit_test(snapshot__finished_before_the_log_is_durable__refused),
        cmocka_unit_test(snapshot__without_a_folder_or_unknown_compression__refused),
        cmocka_unit_test(snapshot__random_operations__shows_the_cut),
        cmocka_unit_test(snapshot__random_operations_without_a_log__shows_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
