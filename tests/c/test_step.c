/* SPDX-License-Identifier: MIT
 *
 * test_step.c - background work: it does what is due, in bounded pieces, and then comes to rest.
 *
 * HOW   Bounds are asserted on counts (the result's work, the largest amounts in nitro_stats), never on
 *       time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "db.h"
#include "support.h"

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
};
static struct test_rng rng;

static void world_open(struct world *w, uint32_t segments) {
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, segments);
    w->store = test_open(&w->opt);
}

static void world_close(struct world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void set(struct world *w, uint32_t i, uint32_t bytes, int64_t expire_ms) {
    static uint8_t value[66000];
    assert_in_range(bytes, 0, sizeof value);
    int rc = nitro_set(w->store, TEST_NOW, &i, sizeof i, value, bytes, 0, 0, expire_ms, NULL);
    assert_int_equal(rc, NITRO_OK);
}

static bool is_there(struct world *w, uint32_t i, int64_t now_ms) {
    struct nitro_info info;
    int rc = nitro_get(w->store, now_ms, &i, sizeof i, NULL, 0, &info);
    assert_true(rc == NITRO_OK || rc == NITRO_ENOTFOUND);
    return rc == NITRO_OK;
}

static struct nitro_step_result step(struct world *w, enum nitro_step_kind kind, int64_t now_ms,
                                     uint32_t budget) {
    struct nitro_step_result r = {.work = UINT32_MAX, .more = UINT32_MAX};
    assert_int_equal(nitro_step(w->store, kind, now_ms, budget, &r), NITRO_OK);
    assert_in_range(r.more, 0, 1);
    return r;
}

/* Steps of one kind until there is no more to do; returns how many. */
static uint32_t steps(struct world *w, enum nitro_step_kind kind, int64_t now_ms, uint32_t budget) {
    uint32_t n = 1;
    while (step(w, kind, now_ms, budget).more)
        if (++n > 1000000) test_fail("steps of kind %d never come to an end", (int)kind);
    return n;
}

static struct nitro_stats stats(struct world *w) {
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    return st;
}

/* ---- expiry ------------------------------------------------------------------------------------*/

/* Keys that nobody reads are reclaimed at the first whole second after their time: exactly those. */
static void step_expire__keys_nobody_reads__exactly_the_expired_go(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    uint32_t n = (uint32_t)test_scale(20000);
    int64_t *expiry = calloc(n, sizeof *expiry);
    assert_non_null(expiry);
    for (uint32_t i = 0; i < n; i++) {
        if (i % 4 != 0) expiry[i] = TEST_NOW + 1 + (int64_t)test_rng_below(&rng, 20000);
        set(&w, i, i % 50, expiry[i]);
    }
    for (int64_t now = TEST_NOW; now <= TEST_NOW + 21000;
         now += 1 + (int64_t)test_rng_below(&rng, 3000)) {
        uint64_t must_stay = 0, may_stay = 0;
        (void)steps(&w, NITRO_STEP_EXPIRE, now, 64);
        for (uint32_t i = 0; i < n; i++) {
            must_stay += expiry[i] == 0 || expiry[i] > now;
            may_stay += expiry[i] == 0 || (expiry[i] + 999) / 1000 > now / 1000;
        }
        assert_in_range(stats(&w).keys, must_stay, may_stay);
        assert_int_equal(stats(&w).keys + stats(&w).expired, n);
    }
    (void)steps(&w, NITRO_STEP_EXPIRE, TEST_NOW + 22000, 64);
    assert_int_equal(stats(&w).keys, (n + 3) / 4);
    assert_int_equal(stats(&w).keys_with_expiry, 0);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(is_there(&w, i, TEST_NOW + 22000), expiry[i] == 0);
    free(expiry);
    world_close(&w);
}

/* Expiry visits the chains' overflow buckets too, and leaves those compact that it empties in part. */
static void step_expire__long_chains__all_buckets_are_visited(void **state) {
    (void)state;
    for (uint32_t share = 1; share <= 5; share++) {
        struct world w;
        world_open(&w, 1);
        uint32_t n = (uint32_t)test_scale(10000);
        for (uint32_t i = 0; i < n; i++)
            set(&w, i, 8, i % share == 0 ? TEST_NOW + 1 : TEST_NOW + 50000);
        assert_true(stats(&w).overflow_buckets > n / 200);
        (void)steps(&w, NITRO_STEP_EXPIRE, TEST_NOW + 2000, 1000);
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(is_there(&w, i, TEST_NOW + 2000), i % share != 0);
        assert_int_equal(stats(&w).keys, n - (n + share - 1) / share);
        world_close(&w);
    }
}

/* A hundred thousand keys of one millisecond go in pieces: a group of 16 buckets under one lock. */
static void step_expire__all_in_one_millisecond__bounded_pieces(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    uint32_t n = (uint32_t)test_scale(100000);
    for (uint32_t i = 0; i < n; i++) set(&w, i, 10, TEST_NOW + 500);
    uint64_t buckets = stats(&w).buckets;
    uint32_t calls = 0;
    for (bool more = true; more; calls++) {
        uint64_t before = stats(&w).keys;
        struct nitro_step_result r = step(&w, NITRO_STEP_EXPIRE, TEST_NOW + 1500, 32);
        assert_true(r.work <= 32 + 16);
        assert_true(before - stats(&w).keys <= 48 * 44);
        more = r.more;
        if (calls > 1000000) test_fail("expiry never comes to an end");
    }
    assert_int_equal(stats(&w).keys, 0);
    assert_int_equal(stats(&w).expired, n);
    assert_true(calls >= buckets / 48);
    test_check_bounds(w.store);
    world_close(&w);
}

/* Keys without an expiry, or whose time is far away, cost no visits. */
static void step_expire__nothing_due__no_work(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 2);
    for (uint32_t i = 0; i < 2000; i++) set(&w, i, 10, i % 2 == 0 ? 0 : TEST_NOW + 100000);
    struct nitro_step_result r = step(&w, NITRO_STEP_EXPIRE, TEST_NOW + 5, 1000000);
    assert_int_equal(r.work, 0);
    assert_int_equal(r.more, 0);
    assert_int_equal(stats(&w).keys, 2000);
    world_close(&w);
}

/* A segment that is held by somebody is passed over, and served by a later step. */
static void step__segment_locked__passed_over_and_served_later(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 2);
    for (uint32_t i = 0; i < 1000; i++) set(&w, i, 10, TEST_NOW + 1);
    struct nk_seg *s = nk_db_seg(&w.store->db, 0);
    uint64_t held = s->tab.count;
    assert_true(nk_seg_lock(s));
    (void)steps(&w, NITRO_STEP_EXPIRE, TEST_NOW + 1000, 64);
    assert_int_equal(stats(&w).keys, held);
    assert_int_equal(step(&w, NITRO_STEP_RECLAIM, TEST_NOW, 64).more, 1);
    assert_true(stats(&w).lock_busy > 0);
    nk_seg_unlock(s);
    (void)steps(&w, NITRO_STEP_EXPIRE, TEST_NOW + 1000, 64);
    assert_int_equal(stats(&w).keys, 0);
    world_close(&w);
}

/* ---- reclaiming --------------------------------------------------------------------------------*/

/* After nine in ten keys are deleted, tables shrink, spans empty, and the memory leaves the process. */
static void step_reclaim__after_mass_delete__resident_bytes_fall(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    uint32_t n = 10000 + (uint32_t)test_scale(50000);
    for (uint32_t i = 0; i < n; i++) set(&w, i, 20 + i % 400, 0);
    test_step_all(w.store, TEST_NOW);
    struct nitro_stats full = stats(&w);
    for (uint32_t i = 0; i < n; i++)
        if (i % 10 != 0)
            assert_int_equal(nitro_delete(w.store, TEST_NOW, &i, sizeof i, NULL), NITRO_OK);
    for (uint32_t i = 0; i < 20; i++) test_step_all(w.store, TEST_NOW);
    struct nitro_stats st = stats(&w);
    uint64_t live = st.key_bytes + st.value_bytes;
    assert_int_equal(st.keys, (n + 9) / 10);
    assert_true(st.merges > 0);
    assert_true(st.buckets * NK_LOAD_MERGE <= st.keys + 4 * NK_LOAD_MERGE);
    assert_true(st.resident_bytes - st.fixed_bytes <= 2 * live + NK_EXTENT_BYTES);
#ifndef NK_ARENA_MALLOC /* without spans there is no slack to move out of */
    assert_true(st.evacuated_entries > 0);
    assert_true(st.slack_bytes < live / 2 + 200000);
#endif
    assert_true(st.resident_bytes < full.resident_bytes);
    for (uint32_t i = 0; i < n; i++) assert_int_equal(is_there(&w, i, TEST_NOW), i % 10 == 0);
    test_check_bounds(w.store);
    world_close(&w);
}

/* Entries of every size are moved whole: keys, values, versions and expiries are the same afterwards. */
static void step_reclaim__evacuation__contents_unchanged(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 1);
    uint32_t n = (uint32_t)test_scale(6000);
    for (uint32_t i = 0; i < n; i++)
        set(&w, i, (uint32_t)test_rng_below(&rng, i % 20 == 0 ? 66000 : 700),
            i % 3 == 0 ? 0 : TEST_NOW + 90000);
    for (uint32_t i = 0; i < n; i++)
        if (i % 7 != 0)
            assert_int_equal(nitro_delete(w.store, TEST_NOW, &i, sizeof i, NULL), NITRO_OK);
    struct test_digest before = test_digest(w.store, TEST_NOW);
    for (uint32_t i = 0; i < 20; i++) test_step_all(w.store, TEST_NOW);
    struct test_digest after = test_digest(w.store, TEST_NOW);
    assert_int_equal(after.keys, before.keys);
    assert_int_equal(after.contents, before.contents);
    assert_int_equal(after.versions, before.versions);
    world_close(&w);
}

/* Equal entries that fill their spans badly are left alone: a store at rest comes to rest. */
static void step_reclaim__store_at_rest__comes_to_an_end(void **state) {
    (void)state;
    static const uint32_t sizes[] = {0, 100, 1600, 3300, 26000, 33000, 65535};
    for (uint32_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct world w;
        world_open(&w, 1);
        for (uint32_t i = 0; i < 300; i++) set(&w, i, sizes[k], 0);
        test_step_all(w.store, TEST_NOW);
        uint64_t moved = stats(&w).evacuated_entries;
        for (uint32_t i = 0; i < 100; i++) (void)step(&w, NITRO_STEP_RECLAIM, TEST_NOW, 1000);
        assert_int_equal(stats(&w).evacuated_entries, moved);
        world_close(&w);
    }
}

/* Without memory reclaiming stops, loses nothing, and goes on when there is some. */
static void step_reclaim__no_memory__waits_and_loses_nothing(void **state) {
    (void)state;
    for (uint32_t seed = 0; seed < 5; seed++) {
        struct world w;
        world_open(&w, 1);
        for (uint32_t i = 0; i < 5000; i++) set(&w, i, 40 + (i * (seed + 1)) % 300, 0);
        for (uint32_t i = 0; i < 5000; i++)
            if (i % 6 != 0)
                assert_int_equal(nitro_delete(w.store, TEST_NOW, &i, 4, NULL), NITRO_OK);
        struct test_digest before = test_digest(w.store, TEST_NOW);
        uint32_t pages = 0;
        static void
            *page[4 * NK_EXTENT_PAGES]; /* take what the pool has, so that nobody gets any */
        test_mem_fail(&w.mem, 1, UINT64_MAX);
        while (nk_pool_get(&w.store->db.pool, 0, &page[pages]) == NITRO_OK)
            if (++pages == sizeof page / sizeof page[0]) test_fail("the pool never runs dry");
        (void)steps(&w, NITRO_STEP_RECLAIM, TEST_NOW, 100);
        struct test_digest after = test_digest(w.store, TEST_NOW);
        assert_int_equal(after.versions, before.versions);
        test_mem_fail(&w.mem, 0, 0);
        while (pages > 0) nk_pool_put(&w.store->db.pool, page[--pages], 0);
        for (uint32_t i = 0; i < 20; i++) test_step_all(w.store, TEST_NOW);
        after = test_digest(w.store, TEST_NOW);
        assert_int_equal(after.versions, before.versions);
        world_close(&w);
    }
}

/* ---- all kinds ---------------------------------------------------------------------------------*/

/* Something of everything to do: expired keys, sparse spans, garbage, large values. */
static void fill_with_work(struct world *w) {
    for (uint32_t i = 0; i < 3000; i++) set(w, i, i % 100 == 0 ? 66000 : 100, 0);
    assert_int_equal(nitro_flush(w->store, NULL), NITRO_OK);
    for (uint32_t i = 0; i < 3000; i++)
        set(w, i, i % 200 == 0 ? 66000 : 100, i % 3 == 0 ? TEST_NOW + 1 : 0);
    for (uint32_t i = 0; i < 3000; i++)
        if (i % 3 == 1)
            assert_int_equal(nitro_delete(w->store, TEST_NOW, &i, sizeof i, NULL), NITRO_OK);
}

/* No budget: no work, whatever there is to do. */
static void step__budget_zero__no_work(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    fill_with_work(&w);
    struct nitro_stats before = stats(&w);
    for (int kind = 0; kind < NITRO_STEP_KINDS; kind++)
        assert_int_equal(step(&w, (enum nitro_step_kind)kind, TEST_NOW + 5000, 0).work, 0);
    assert_int_equal(step(&w, NITRO_STEP_FREE, TEST_NOW, 0).more,
                     1); /* it knows that there is work */
    struct nitro_stats after = stats(&w);
    assert_memory_equal(&before, &after, sizeof before);
    world_close(&w);
}

/* With a budget of one each kind still gets everything done, a bounded piece a call. */
static void step__budget_one__gets_there_in_small_pieces(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    fill_with_work(&w);
    static const uint32_t piece[NITRO_STEP_KINDS] = {16, 64 + 8, 16, NK_EXTENT_BYTES / 65536, 1};
    for (int round = 0; round < 30; round++) {
        for (int kind = 0; kind < NITRO_STEP_KINDS; kind++) {
            for (bool more = true; more;) {
                struct nitro_step_result r =
                    step(&w, (enum nitro_step_kind)kind, TEST_NOW + 5000, 1);
                assert_true(r.work <= piece[kind]);
                more = r.more && r.work > 0;
            }
        }
    }
    struct nitro_stats st = stats(&w);
    assert_int_equal(st.keys, 1000);
    assert_int_equal(st.keys_with_expiry, 0);
    assert_int_equal(st.garbage_bytes, 0);
    assert_false(nitro_retire_due(w.store));
    test_check_bounds(w.store);
    world_close(&w);
}

/* A kind that does not exist is an argument error, and *out is left alone. */
static void step__unknown_kind__refused(void **state) {
    (void)state;
    struct world w;
    struct nitro_step_result r = {.work = 77, .more = 1};
    world_open(&w, 1);
    assert_int_equal(nitro_step(w.store, NITRO_STEP_KINDS, TEST_NOW, 10, &r), NITRO_EARGUMENT);
    assert_int_equal(r.work, 77);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_expire__keys_nobody_reads__exactly_the_expired_go),
        cmocka_unit_test(step_expire__long_chains__all_buckets_are_visited),
        cmocka_unit_test(step_expire__all_in_one_millisecond__bounded_pieces),
        cmocka_unit_test(step_expire__nothing_due__no_work),
        cmocka_unit_test(step__segment_locked__passed_over_and_served_later),
        cmocka_unit_test(step_reclaim__after_mass_delete__resident_bytes_fall),
        cmocka_unit_test(step_reclaim__evacuation__contents_unchanged),
        cmocka_unit_test(step_reclaim__store_at_rest__comes_to_an_end),
        cmocka_unit_test(step_reclaim__no_memory__waits_and_loses_nothing),
        cmocka_unit_test(step__budget_zero__no_work),
        cmocka_unit_test(step__budget_one__gets_there_in_small_pieces),
        cmocka_unit_test(step__unknown_kind__refused),
    };
    test_rng_init(&rng, "step");
    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
