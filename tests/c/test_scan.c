/* SPDX-License-Identifier: MIT
 *
 * test_scan.c - a scan returns every key that is there from its start to its end, whatever happens.
 *
 * HOW   Some keys stay, others come and go between the calls of the scan so that the table splits and
 *       merges through powers of two. Counting calls and keys shows that a scan ends, and that a
 *       table at rest is passed exactly once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "collide.h"
#include "db.h"
#include "support.h"

#define STAYING 600u
#define MOVING 6000u

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    uint32_t seen[STAYING + MOVING];
    uint64_t passed;
};
static struct world world;
static struct test_rng rng;

static struct world *world_open(uint32_t segments) {
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, segments);
    w->store = test_open(&w->opt);
    return w;
}

static void world_close(struct world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void set(struct world *w, uint32_t i) {
    assert_int_equal(nitro_set(w->store, TEST_NOW, &i, sizeof i, "v", 1, 0, 0, 0, NULL), NITRO_OK);
}
static void delete (struct world *w, uint32_t i) {
    assert_int_equal(nitro_delete(w->store, TEST_NOW, &i, sizeof i, NULL), NITRO_OK);
}

static void see(void *ctx, const void *key, size_t key_bytes, const struct nitro_info *info) {
    struct world *w = ctx;
    assert_non_null(info);
    w->passed++;
    if (key_bytes != sizeof(uint32_t)) return; /* one of the colliding keys */
    assert_in_range(nk_load32(key), 0, STAYING + MOVING - 1);
    assert_int_equal(info->bytes, 1);
    w->seen[nk_load32(key)]++;
}

static int scan(struct world *w, uint64_t *cursor, uint32_t count) {
    return nitro_scan(w->store, TEST_NOW, cursor, count, see, w, NULL);
}

static void scan_all(struct world *w, uint32_t count) {
    uint64_t cursor = 0, calls = 0;
    do {
        assert_int_equal(scan(w, &cursor, count), NITRO_OK);
        if (++calls > 100000) test_fail("the scan never ends");
    } while (cursor != 0);
}

static void expect_staying(const struct world *w) {
    for (uint32_t i = 0; i < STAYING; i++)
        if (w->seen[i] == 0) test_fail("key %u was there all the time and was not returned", i);
}

static void steps(struct world *w, enum nitro_step_kind kind) {
    struct nitro_step_result r = {.more = 1};
    for (uint32_t calls = 0; r.more != 0; calls++) {
        assert_int_equal(nitro_step(w->store, kind, TEST_NOW, 4096, &r), NITRO_OK);
        if (calls > 10000) test_fail("the step never ends");
    }
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* At rest each key comes exactly once, whatever the count, at every size of the table. */
static void scan__table_at_rest__each_key_exactly_once(void **state) {
    (void)state;
    static const uint32_t counts[] = {0, 1, 7, 1000, UINT32_MAX};
    for (uint32_t segments = 1; segments <= 8; segments *= 8) {
        struct world *w = world_open(segments);
        scan_all(w, 10); /* of nothing */
        assert_int_equal(w->passed, 0);
        for (uint32_t n = 0; n < STAYING; n++) {
            set(w, n);
            if (n % 5 != 0 && n > 40) continue;
            memset(w->seen, 0, sizeof w->seen);
            w->passed = 0;
            scan_all(w, counts[n % 5]);
            assert_int_equal(w->passed, n + 1);
            for (uint32_t i = 0; i <= n; i++) assert_int_equal(w->seen[i], 1);
        }
        world_close(w);
    }
}

/* One scan while others fill the store to a random size or empty it, once or several times. */
static void scan_while_changing(struct world *w, bool start_full) {
    uint32_t there = 0, cursor_calls = 0; /* moving keys STAYING .. STAYING + there - 1 exist */
    uint32_t max = 1 + (uint32_t)test_rng_below(&rng, MOVING - 1);
    uint32_t pace = 1 + (uint32_t)test_rng_below(&rng, 150),
             batch = 1 + (uint32_t)test_rng_below(&rng, 30);
    bool filling = !start_full;
    for (uint32_t i = 0; i < STAYING; i++) set(w, i);
    while (start_full && there < max) set(w, STAYING + there++);
    memset(w->seen, 0, sizeof w->seen);
    uint64_t cursor = 0;
    do {
        assert_int_equal(scan(w, &cursor, batch), NITRO_OK);
        for (uint32_t i = 0; i < pace; i++) {
            if (filling && there < max)
                set(w, STAYING + there++);
            else if (!filling && there > 0)
                delete (w, STAYING + --there);
            else
                filling = !filling;
        }
        struct nitro_step_result r;
        assert_int_equal(nitro_step(w->store, NITRO_STEP_RECLAIM, TEST_NOW, 20, &r), NITRO_OK);
        if (++cursor_calls > 100000) test_fail("the scan never ends");
    } while (cursor != 0);
    expect_staying(w);
}

/* Splits and merges through powers of two lose no key that was there all the time. */
static void scan__splits_and_merges_meanwhile__staying_keys_are_returned(void **state) {
    (void)state;
    uint64_t rounds = test_scale(120);
    for (uint64_t round = 0; round < rounds; round++) {
        struct world *w = world_open(round % 4 == 0 ? 4 : 1);
        scan_while_changing(w, round % 2 == 0);
        world_close(w);
    }
}

/* A table that has shrunk in the middle of a scan, so that the scan goes on inside a merged bucket: what has been
 * passed is not passed again. */
static void scan__merges_meanwhile__no_key_twice(void **state) {
    (void)state;
    uint32_t inside = 0;
    for (uint32_t pages = 1; pages < 60; pages++) {
        struct world *w = world_open(1);
        uint64_t cursor = 0;
        for (uint32_t i = 0; i < STAYING + MOVING; i++) set(w, i);
        for (uint32_t i = 0; i < pages; i++) assert_int_equal(scan(w, &cursor, 100), NITRO_OK);
        assert_true(cursor != 0);
        for (uint32_t i = STAYING; i < STAYING + MOVING; i++) delete (w, i);
        steps(w, NITRO_STEP_RECLAIM);
        const struct nk_table *t = &w->store->db.seg[0].tab;
        uint64_t width = (1ull << 32) / (t->low_mask + 1);
        inside += (cursor & UINT32_MAX) % width != 0;
        while (cursor != 0) assert_int_equal(scan(w, &cursor, 100), NITRO_OK);
        for (uint32_t i = 0; i < STAYING; i++) assert_int_equal(w->seen[i], 1);
        world_close(w);
    }
    assert_true(inside > 20); /* or this has shown nothing */
}

/* Colliding keys until the only segment changes its hash. */
static void attack(struct world *w) {
    uint8_t key[COLLIDE_KEY_MAX];
    for (uint32_t i = 0; nk_db_seg(&w->store->db, 0)->epoch == NK_EPOCH_FNV; i++) {
        assert_in_range(i, 0, 200);
        size_t n = collide_key(w->opt.seed, 8, i, key);
        assert_int_equal(nitro_set(w->store, TEST_NOW, key, n, "v", 1, 0, 0, 0, NULL), NITRO_OK);
    }
}

/* A switch of the hash at any point of a scan restarts it, so that it still misses nothing. */
static void scan__hash_switch_meanwhile__restarts_and_misses_nothing(void **state) {
    (void)state;
    for (uint32_t at = 0; at < 60; at += 4) {
        struct world *w = world_open(1);
        uint64_t cursor = 0;
        for (uint32_t i = 0; i < STAYING; i++) set(w, i);
        for (uint32_t i = 0; i < at; i++) {
            assert_int_equal(scan(w, &cursor, 5), NITRO_OK);
            if (cursor == 0) test_fail("the scan ended before the switch");
        }
        attack(w);
        assert_true(nk_db_seg(&w->store->db, 0)->draining);
        for (uint32_t calls = 0; calls == 0 || cursor != 0; calls++) {
            assert_int_equal(scan(w, &cursor, 5), NITRO_OK);
            if (calls > 10000) test_fail("the scan never ends");
        }
        assert_false(nk_db_seg(&w->store->db, 0)->draining); /* the scan has drained it itself */
        expect_staying(w);
        world_close(w);
    }
}

/* A cursor that was taken before the switch, and used after the drain, restarts its segment. */
static void scan__cursor_of_the_old_hash__restarts(void **state) {
    (void)state;
    struct world *w = world_open(1);
    uint64_t cursor = 0;
    for (uint32_t i = 0; i < STAYING; i++) set(w, i);
    while (w->passed < STAYING / 2) assert_int_equal(scan(w, &cursor, 5), NITRO_OK);
    attack(w);
    test_step_all(w->store, TEST_NOW);
    assert_false(nk_db_seg(&w->store->db, 0)->draining);
    memset(w->seen, 0, sizeof w->seen);
    do assert_int_equal(scan(w, &cursor, 5), NITRO_OK);
    while (cursor != 0);
    expect_staying(w);
    world_close(w);
}

/* A segment that is held makes the scan say so, with nothing visited and the cursor where it was. */
static void scan__segment_locked__busy_and_nothing_visited(void **state) {
    (void)state;
    struct world *w = world_open(2);
    for (uint32_t i = 0; i < STAYING; i++) set(w, i);
    uint64_t cursor = 0;
    assert_true(nk_seg_lock(nk_db_seg(&w->store->db, 0)));
    assert_int_equal(scan(w, &cursor, 10), NITRO_EBUSY);
    assert_int_equal(cursor + w->passed, 0);
    nk_seg_unlock(nk_db_seg(&w->store->db, 0));
    assert_true(nk_seg_lock(nk_db_seg(&w->store->db, 1)));
    int rc;
    while ((rc = scan(w, &cursor, 10)) == NITRO_OK) assert_int_not_equal(cursor, 0);
    assert_int_equal(rc, NITRO_EBUSY);
    assert_int_equal(cursor >> 48, 1); /* the first segment is done, the second has not begun */
    nk_seg_unlock(nk_db_seg(&w->store->db, 1));
    do assert_int_equal(scan(w, &cursor, 10), NITRO_OK);
    while (cursor != 0);
    for (uint32_t i = 0; i < STAYING; i++) assert_int_equal(w->seen[i], 1);
    world_close(w);
}

/* Expired keys are passed over; versions, expiries and sizes are told. */
static void ask(void *ctx, const void *key, size_t key_bytes, const struct nitro_info *info) {
    (void)key;
    struct nitro_info *out = ctx;
    assert_int_equal(key_bytes, 4);
    assert_int_equal(out->version, 0); /* only one key is left */
    *out = *info;
}
static void scan__expired_and_large_keys__told_as_they_are(void **state) {
    (void)state;
    static uint8_t large[70000];
    struct world *w = world_open(1);
    struct nitro_info put = {0}, seen = {0};
    uint64_t cursor = 0;
    assert_int_equal(nitro_set(w->store, TEST_NOW, "dead", 4, "v", 1, 0, 0, TEST_NOW + 5, NULL), 0);
    assert_int_equal(
        nitro_set(w->store, TEST_NOW, "live", 4, large, sizeof large, 0, 0, TEST_NOW + 6, &put), 0);
    assert_int_equal(nitro_scan(w->store, TEST_NOW + 5, &cursor, 10, ask, &seen, NULL), NITRO_OK);
    assert_int_equal(cursor, 0);
    assert_int_equal(seen.version, put.version);
    assert_int_equal(seen.expire_ms, TEST_NOW + 6);
    assert_int_equal(seen.bytes, sizeof large);
    world_close(w);
}

/* Colliding keys in all segments, until each has changed its hash. */
static void attack_all(struct world *w) {
    uint8_t key[COLLIDE_KEY_MAX];
    struct nitro_stats st = {0};
    for (uint32_t i = 0; st.segments_siphash < w->opt.segments; i++) {
        assert_in_range(i, 0, 1023);
        size_t n = collide_key(w->opt.seed, 10, i, key);
        assert_int_equal(nitro_set(w->store, TEST_NOW, key, n, "v", 1, 0, 0, 0, NULL), NITRO_OK);
        nitro_stats(w->store, &st);
    }
}

static uint64_t random_cursor(uint64_t i) {
    if (i % 3 == 0) return 1ull << (i % 64);
    uint64_t cursor = test_rng_next(&rng) >> test_rng_below(&rng, 64);
    return i % 3 == 1 ? cursor & 0x0003ffffffffffffull : cursor; /* in one of the segments */
}

/* A cursor is 64 bits from anybody: every one of them is accepted, and leads to an end. */
static void scan__any_cursor__no_crash_and_an_end(void **state) {
    (void)state;
    uint64_t rounds = test_scale(20000);
    for (uint32_t attacked = 0; attacked < 2; attacked++) {
        struct world *w = world_open(4);
        for (uint32_t i = 0; i < STAYING; i++) set(w, i);
        if (attacked) attack_all(w);
        for (uint64_t i = 0; i < rounds; i++) {
            uint64_t cursor = i == 0 ? UINT64_MAX : random_cursor(i);
            uint32_t calls = 0;
            do assert_int_equal(scan(w, &cursor, 50), NITRO_OK);
            while (cursor != 0 && ++calls < 1000);
            assert_int_equal(cursor, 0);
        }
        world_close(w);
    }
}

/* One call visits a bounded number of buckets, also in a table that holds nothing any more. */
static void scan__empty_buckets__bounded_calls(void **state) {
    (void)state;
    struct world *w = world_open(1);
    struct nk_seg *s = nk_db_seg(&w->store->db, 0);
    uint32_t n = 60000;
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(nitro_set(w->store, TEST_NOW, &i, 4, "", 0, 0, 0, TEST_NOW + 1, NULL), 0);
    uint32_t buckets = s->tab.buckets, calls = 0;
    assert_true(buckets > 6000);
    uint64_t cursor = 0;
    do {
        assert_int_equal(nitro_scan(w->store, TEST_NOW + 1, &cursor, 10, see, w, NULL), NITRO_OK);
        calls++;
    } while (cursor != 0);
    assert_int_equal(w->passed, 0); /* all expired */
    assert_true(calls >= (buckets + 4095) / 4096);
    world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan__table_at_rest__each_key_exactly_once),
        cmocka_unit_test(scan__splits_and_merges_meanwhile__staying_keys_are_returned),
        cmocka_unit_test(scan__merges_meanwhile__no_key_twice),
        cmocka_unit_test(scan__hash_switch_meanwhile__restarts_and_misses_nothing),
        cmocka_unit_test(scan__cursor_of_the_old_hash__restarts),
        cmocka_unit_test(scan__segment_locked__busy_and_nothing_visited),
        cmocka_unit_test(scan__expired_and_large_keys__told_as_they_are),
        cmocka_unit_test(scan__any_cursor__no_crash_and_an_end),
        cmocka_unit_test(scan__empty_buckets__bounded_calls),
    };
    test_rng_init(&rng, "scan");
    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
