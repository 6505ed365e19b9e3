/* SPDX-License-Identifier: MIT
 *
 * test_big_flush.c - large values and FLUSHALL: what is let go is freed piece by piece, and only then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "db.h"
#include "support.h"

#define MIB (1024u * 1024)
#define UNIT 65536u

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct nk_db *db;
};

static void world_open(struct world *w, uint32_t segments) {
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, segments);
    w->store = test_open(&w->opt);
    w->db = &w->store->db;
}

static void world_close(struct world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static struct nitro_stats stats(struct world *w) {
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    return st;
}

static struct nitro_step_result step(struct world *w, enum nitro_step_kind kind, uint32_t budget) {
    struct nitro_step_result r;
    assert_int_equal(nitro_step(w->store, kind, TEST_NOW, budget, &r), NITRO_OK);
    return r;
}

static void free_all(struct world *w) {
    while (step(w, NITRO_STEP_FREE, 1000).more) {}
}

static uint8_t *pattern(size_t n, uint32_t seed) {
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i * 31 + i / 4096 + seed);
    return p;
}

static void set(struct world *w, uint32_t key, const void *val, size_t n) {
    int rc = nitro_set(w->store, TEST_NOW, &key, sizeof key, val, n, 0, 0, 0, NULL);
    assert_int_equal(rc, NITRO_OK);
}

/* ---- large values ------------------------------------------------------------------------------*/

/* Values around the limit for inline ones come back byte for byte, whole or in part. */
static void big__sizes_around_the_limit__round_trip(void **state) {
    (void)state;
    static const size_t sizes[] = {65534, 65535, 65536, 65537, MIB - 1, MIB, 3 * MIB + 5};
    struct world w;
    world_open(&w, 2);
    for (uint32_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *val = pattern(sizes[i], i), *got = calloc(1, sizes[i]);
        struct nitro_info info;
        set(&w, i, val, sizes[i]);
        assert_int_equal(nitro_get(w.store, TEST_NOW, &i, 4, got, sizes[i], &info), NITRO_OK);
        assert_int_equal(info.bytes, sizes[i]);
        assert_memory_equal(got, val, sizes[i]);
        memset(got, 0, sizes[i]);
        assert_int_equal(nitro_get(w.store, TEST_NOW, &i, 4, got, 100, &info), NITRO_OK);
        assert_int_equal(info.bytes, sizes[i]);
        assert_memory_equal(got, val, 100);
        assert_int_equal(got[100], 0);
        free(val);
        free(got);
    }
    assert_int_equal(w.db->seg[0].bigs + w.db->seg[1].bigs, 5);
    world_close(&w);
}

/* A value that somebody still sends outlives its key; the last one to let go queues it for freeing. */
static void big_release__key_deleted_while_sent__freed_after_the_last(void **state) {
    (void)state;
    struct world w;
    struct nk_key k;
    struct nk_item it;
    world_open(&w, 1);
    uint8_t *val = pattern(2 * MIB, 9);
    set(&w, 7, val, 2 * MIB);
    uint32_t key = 7;
    nk_key_init(w.db, &key, sizeof key, &k);
    assert_true(nk_seg_lock(w.db->seg));
    nk_seg_find(w.db->seg, &k, TEST_NOW, false, &it);
    assert_true(it.found);
    nk_big_retain(it.big);
    nk_seg_unlock(w.db->seg);
    assert_int_equal(nitro_delete(w.store, TEST_NOW, &key, sizeof key, NULL), NITRO_OK);
    free_all(&w);
    assert_memory_equal(it.big->data, val, 2 * MIB);
    assert_int_equal(stats(&w).garbage_bytes, 0);
    uint64_t bytes = it.big->map_bytes;
    nk_big_release(w.db, it.big);
    assert_int_equal(stats(&w).garbage_bytes, bytes);
    assert_int_equal(w.db->big_bytes, 0);
    free_all(&w);
    assert_int_equal(stats(&w).garbage_bytes, 0);
    free(val);
    world_close(&w);
}

/* Freeing takes at most 1 MiB at a time from the end of the block, so a call is bounded by its budget. */
static void step_free__large_value__piece_by_piece(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 1);
    struct nk_big *b = nk_big_new(w.db, NULL, 10 * MIB + 5000);
    assert_non_null(b);
    assert_int_equal(b->refs, 1);
    int64_t mapped = w.mem.mapped_bytes;
    uint64_t left = b->map_bytes;
    nk_big_release(w.db, b);
    assert_int_equal(w.mem.mapped_bytes, mapped); /* a release frees nothing itself */
    assert_int_equal(stats(&w).garbage_bytes, left);
    uint32_t calls = 0;
    for (bool more = true; more; calls++) {
        struct nitro_step_result r = step(&w, NITRO_STEP_FREE, 1);
        uint64_t now = stats(&w).garbage_bytes;
        assert_true(left - now <= MIB);
        assert_true(r.work <= MIB / UNIT);
        assert_true(r.work >= (left - now) / UNIT);
        assert_int_equal(w.mem.mapped_bytes, mapped - (int64_t)(left - now));
        mapped = w.mem.mapped_bytes;
        left = now;
        more = r.more;
    }
    assert_int_equal(left, 0);
    assert_int_equal(calls, 11);
    world_close(&w);
}

/* Overwriting one large value for ever without steps does not pile up garbage. */
static void big_new__endless_overwrites__garbage_stays_bounded(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 1);
    uint8_t *val = pattern(MIB, 1);
    for (uint32_t i = 0; i < 50; i++) {
        set(&w, 1, val, MIB - i);
        assert_true(stats(&w).garbage_bytes <= 3 * MIB);
        assert_int_equal(stats(&w).value_bytes, MIB - i);
    }
    free(val);
    world_close(&w);
}

/* Somebody else at the queue: a step leaves it to them. */
static void step_free__queue_locked__does_nothing(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 1);
    struct nk_big *b = nk_big_new(w.db, NULL, MIB);
    nk_big_release(w.db, b);
    assert_true(nk_spin_try(&w.db->big_lock, 0));
    assert_int_equal(step(&w, NITRO_STEP_FREE, 100).work, 0);
    nk_spin_unlock(&w.db->big_lock);
    free_all(&w);
    assert_int_equal(stats(&w).garbage_bytes, 0);
    world_close(&w);
}

/* Without memory for a large value nothing changes. */
static void big__no_memory__refused_and_unchanged(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    world_open(&w, 1);
    uint8_t *val = pattern(MIB, 1);
    uint32_t key = 1;
    set(&w, key, "old", 3);
    uint64_t used = stats(&w).used_bytes;
    test_mem_fail(&w.mem, 1, 1);
    int rc = nitro_set(w.store, TEST_NOW, &key, sizeof key, val, MIB, 0, 0, 0, NULL);
    assert_int_equal(rc, NITRO_ENOMEM);
    assert_int_equal(w.mem.failed, 1);
    assert_int_equal(stats(&w).used_bytes, used);
    assert_int_equal(nitro_get(w.store, TEST_NOW, &key, sizeof key, NULL, 0, &info), NITRO_OK);
    assert_int_equal(info.bytes, 3);
    /* a condition that does not hold gives the block back at once */
    rc = nitro_set(w.store, TEST_NOW, &key, sizeof key, val, MIB, NITRO_SET_NX, 0, 0, NULL);
    assert_int_equal(rc, NITRO_ENOTSTORED);
    free_all(&w);
    assert_int_equal(stats(&w).used_bytes, used);
    free(val);
    world_close(&w);
}

/* ---- flush -------------------------------------------------------------------------------------*/

static void fill(struct world *w, uint32_t n) {
    uint8_t *val = pattern(70000, 3);
    for (uint32_t i = 0; i < n; i++) set(w, i, val, i % 50 == 0 ? 70000 : i % 900);
    free(val);
}

/* A flush empties the store at once; the memory goes in steps, and the store can be used meanwhile. */
static void flush__full_store__empty_at_once_freed_in_pieces(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    world_open(&w, 4);
    uint64_t used = stats(&w).used_bytes;
    uint32_t n = 2000 + (uint32_t)test_scale(8000), calls = 0;
    fill(&w, n);
    assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
    struct nitro_stats st = stats(&w);
    assert_int_equal(st.keys + st.key_bytes + st.value_bytes + st.keys_with_expiry, 0);
    assert_true(st.garbage_bytes > n * 400ull);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(nitro_get(w.store, TEST_NOW, &i, 4, NULL, 0, &info), NITRO_ENOTFOUND);
    for (uint32_t i = 0; i < 100; i++) set(&w, i, "new", 3);
    uint64_t garbage = stats(&w).garbage_bytes;
    for (bool more = true; more; calls++) {
        struct nitro_step_result r = step(&w, NITRO_STEP_FREE, 4);
        assert_true(r.work <= 4 + MIB / UNIT);
        more = r.more;
    }
    assert_true(calls > garbage / (20 * UNIT));
    assert_int_equal(stats(&w).garbage_bytes, 0);
    assert_int_equal(stats(&w).keys, 100);
    assert_int_equal(w.db->big_bytes, 0);
    assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
    free_all(&w);
    assert_int_equal(w.db->pool.used_bytes, 0);
    assert_true(stats(&w).used_bytes <= used + 4 * NK_PAGE); /* what segments need not report */
    world_close(&w);
}

/* A large value that is being sent during a flush stays whole until its sender lets go. */
static void flush__large_value_referenced__stays_until_released(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 1);
    uint8_t *val = pattern(200000, 4);
    struct nk_big *big = nk_big_new(w.db, val, 200000);
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .big = big};
    struct nk_key k;
    struct nk_item it;
    nk_key_init(w.db, "k", 1, &k);
    assert_true(nk_seg_lock(w.db->seg));
    nk_seg_find(w.db->seg, &k, TEST_NOW, false, &it);
    assert_int_equal(nk_seg_put(w.db->seg, &k, &it, &e, TEST_NOW, NULL), NITRO_OK);
    nk_seg_unlock(w.db->seg);
    assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
    assert_int_equal(big->refs, 2);
    free_all(&w);
    assert_int_equal(big->refs, 1);
    assert_memory_equal(big->data, val, 200000);
    nk_big_release(w.db, big);
    free_all(&w);
    assert_int_equal(stats(&w).garbage_bytes, 0);
    free(val);
    world_close(&w);
}

/* Several flushes one after the other queue up, and closing frees what no step has freed. */
static void flush__several_then_close__no_leak(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 8);
    for (uint32_t i = 0; i < 4; i++) {
        fill(&w, 300 + i * 100);
        assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
        (void)step(&w, NITRO_STEP_FREE, 3); /* in the middle of the newest */
    }
    assert_true(stats(&w).garbage_bytes > 0);
    fill(&w, 500);
    world_close(&w);
}

/* A flush without memory for its list refuses and removes nothing. */
static void flush__no_memory__nothing_removed(void **state) {
    (void)state;
    struct world w;
    world_open(&w, 4);
    fill(&w, 500);
    struct test_digest before = test_digest(w.store, TEST_NOW);
    test_mem_fail(&w.mem, 1, 1);
    assert_int_equal(nitro_flush(w.store, NULL), NITRO_ENOMEM);
    struct test_digest after = test_digest(w.store, TEST_NOW);
    assert_int_equal(after.versions, before.versions);
    assert_int_equal(stats(&w).garbage_bytes, 0);
    world_close(&w);
}

/* The last piece of flushed tables, done within the budget, does not hide that large values wait. */
static void step_free__garbage_ends_with_the_budget__large_values_still_told(void **state) {
    (void)state;
    for (uint32_t budget = 1; budget < 12; budget++) {
        struct world w;
        world_open(&w, 1);
        set(&w, 1, "v", 1);
        assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
        nk_big_release(w.db, nk_big_new(w.db, NULL, MIB));
        for (uint32_t calls = 0; step(&w, NITRO_STEP_FREE, budget).more;)
            if (++calls > 1000) test_fail("freeing never comes to an end");
        assert_int_equal(stats(&w).garbage_bytes, 0);
        world_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big__sizes_around_the_limit__round_trip),
        cmocka_unit_test(big_release__key_deleted_while_sent__freed_after_the_last),
        cmocka_unit_test(step_free__large_value__piece_by_piece),
        cmocka_unit_test(big_new__endless_overwrites__garbage_stays_bounded),
        cmocka_unit_test(step_free__queue_locked__does_nothing),
        cmocka_unit_test(big__no_memory__refused_and_unchanged),
        cmocka_unit_test(flush__full_store__empty_at_once_freed_in_pieces),
        cmocka_unit_test(flush__large_value_referenced__stays_until_released),
        cmocka_unit_test(flush__several_then_close__no_leak),
        cmocka_unit_test(flush__no_memory__nothing_removed),
        cmocka_unit_test(step_free__garbage_ends_with_the_budget__large_values_still_told),
    };
    return cmocka_run_group_tests_name("big_flush", tests, NULL, NULL);
}
