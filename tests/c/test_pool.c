/* SPDX-License-Identifier: MIT
 *
 * test_pool.c - the page pool: buddies, accounts, steps, and memory that is refused.
 *
 * HOW   Blocks are written full of their own mark and read back before they are put: two blocks that
 *       overlap, or a page that is given back to the system while it is in use, show as a wrong mark.
 *       The counters are compared with the test's own sums after every call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "pool.h"
#include "support.h"

/* Free pages that steps leave resident while little is in use: the share kept ready, and what is too little
 * to be worth giving back. */
#define REST_BYTES (NK_READY_MIN + NK_EXTENT_BYTES / 4)
#define SPARE_BYTES ((uint64_t)NK_SPARE_EXTENTS * NK_EXTENT_BYTES)

struct world {
    struct test_mem mem;
    struct nk_pool pool;
};

static void world_open_huge(struct world *w, uint64_t huge_bytes) {
    test_mem_init(&w->mem);
    nk_pool_init(&w->pool, &w->mem.table, huge_bytes);
}
static void world_open(struct world *w) { world_open_huge(w, UINT64_MAX); }

static void world_close(struct world *w) {
    nk_pool_fini(&w->pool);
    test_mem_check_empty(&w->mem);
}

static void *must_get(struct world *w, uint32_t order) {
    void *p = NULL;
    assert_int_equal(nk_pool_get(&w->pool, order, &p), NITRO_OK);
    assert_int_equal((uintptr_t)p % ((uintptr_t)NK_PAGE << order), 0);
    return p;
}

static void steps_until_done(struct world *w) {
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        if (i > 10000) test_fail("pool steps never come to an end");
        (void)nk_pool_step(&w->pool, 64, &more);
    }
}

static void retire_all(struct world *w) {
    bool more = true;
    while (more) (void)nk_pool_retire_step(&w->pool, UINT32_MAX, &more);
}

/* One word in every page of a block names the block. */
static void mark(void *block, uint32_t order, uint64_t name) {
    for (size_t i = 0; i < (size_t)1 << order; i++)
        nk_store64((uint8_t *)block + i * NK_PAGE + 24, name);
}
static void check_mark(const void *block, uint32_t order, uint64_t name) {
    for (size_t i = 0; i < (size_t)1 << order; i++)
        if (nk_load64((const uint8_t *)block + i * NK_PAGE + 24) != name)
            test_fail("a page of a block belongs to somebody else too");
}

/* An extent that is cut into pages and given back page by page is one block again. */
static void pool_put__all_pages_of_an_extent__merge(void **state) {
    (void)state;
    struct world w;
    void *page[NK_EXTENT_PAGES];
    world_open(&w);
    for (uint32_t i = 0; i < NK_EXTENT_PAGES; i++) page[i] = must_get(&w, 0);
    assert_int_equal(w.pool.extent_bytes, NK_EXTENT_BYTES);
    assert_int_equal(w.pool.used_bytes, NK_EXTENT_BYTES);
    assert_true(nk_pool_low(&w.pool));
    for (uint32_t i = 0; i < NK_EXTENT_PAGES; i++) /* 7 is odd: every page comes once */
        nk_pool_put(&w.pool, page[i * 7 % NK_EXTENT_PAGES], 0);
    assert_false(nk_pool_low(&w.pool));
    void *whole = must_get(&w, NK_ORDER_MAX);
    assert_int_equal(w.pool.extent_bytes, NK_EXTENT_BYTES);
    nk_pool_put(&w.pool, whole, NK_ORDER_MAX);
    assert_int_equal(w.pool.used_bytes, 0);
    world_close(&w);
}

/* A half-used extent serves small blocks before a wholly free one is opened. */
static void pool_get__partly_used_extent__is_preferred(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    void *half = must_get(&w, NK_ORDER_MAX - 1);
    steps_until_done(&w); /* one more extent, ready */
    uint32_t free_before = w.pool.free_extents;
    void *small = must_get(&w, 3), *page = must_get(&w, 0);
    assert_int_equal(w.pool.free_extents, free_before);
    assert_int_equal((uintptr_t)small / NK_EXTENT_BYTES, (uintptr_t)half / NK_EXTENT_BYTES);
    assert_int_equal((uintptr_t)page / NK_EXTENT_BYTES, (uintptr_t)half / NK_EXTENT_BYTES);
    nk_pool_put(&w.pool, small, 3);
    nk_pool_put(&w.pool, page, 0);
    nk_pool_put(&w.pool, half, NK_ORDER_MAX - 1);
    world_close(&w);
}

#define HELD 600u
struct held {
    void *p;
    uint32_t order;
    uint64_t name;
};

static void put_one(struct world *w, struct held *h, uint64_t *out_bytes) {
    check_mark(h->p, h->order, h->name);
    nk_pool_put(&w->pool, h->p, h->order);
    *out_bytes -= (uint64_t)NK_PAGE << h->order;
    h->p = NULL;
}

static void random_gets_puts_and_steps(uint64_t huge_bytes, const char *name) {
    struct world w;
    struct test_rng rng;
    struct held held[HELD] = {{0}};
    uint64_t bytes = 0;
    test_rng_init(&rng, name);
    world_open_huge(&w, huge_bytes);
    uint64_t rounds = test_scale(60000);
    for (uint64_t i = 0; i < rounds; i++) {
        struct held *h = &held[test_rng_below(&rng, HELD)];
        if (h->p != NULL) {
            put_one(&w, h, &bytes);
        } else {
            h->order = (uint32_t)__builtin_ctzll(test_rng_next(&rng) | 1ull << NK_ORDER_MAX);
            h->p = must_get(&w, h->order);
            h->name = i + 1;
            mark(h->p, h->order, h->name);
            bytes += (uint64_t)NK_PAGE << h->order;
        }
        bool more;
        if (test_rng_below(&rng, 50) == 0) (void)nk_pool_step(&w.pool, 8, &more);
        if (test_rng_below(&rng, 200) == 0) retire_all(&w);
        assert_int_equal(w.pool.used_bytes, bytes);
        assert_true(w.pool.resident_bytes >= bytes);
        assert_true(w.pool.extent_bytes >= w.pool.resident_bytes || nk_pool_retire_due(&w.pool));
    }
    for (uint32_t i = 0; i < HELD; i++)
        if (held[i].p != NULL) put_one(&w, &held[i], &bytes);
    assert_int_equal(w.pool.used_bytes, 0);
    world_close(&w);
}

/* Random gets, puts and steps never hand out a page twice, lose one, or miscount. */
static void pool__random_gets_puts_and_steps__no_overlap(void **state) {
    (void)state;
    random_gets_puts_and_steps(UINT64_MAX, __func__);
}

/* The same with huge pages asked for from the second extent on. */
static void pool__random_with_huge_pages__no_overlap(void **state) {
    (void)state;
    random_gets_puts_and_steps(NK_EXTENT_BYTES, __func__);
}

/* A put that finds the lock held returns at once, and the next get takes the block in. */
static void pool_put__lock_held__is_deferred(void **state) {
    (void)state;
    struct world w;
    void *page[8], *none = NULL;
    world_open(&w);
    for (uint32_t i = 0; i < 8; i++) page[i] = must_get(&w, i % 3);
    uint64_t used = w.pool.used_bytes;
    assert_true(nk_spin_try(&w.pool.lock, 0));
    for (uint32_t i = 0; i < 8; i++) nk_pool_put(&w.pool, page[i], i % 3);
    assert_non_null(w.pool.deferred);
    assert_int_equal(w.pool.used_bytes, used);
    assert_int_equal(nk_pool_get(&w.pool, 0, &none), NITRO_EBUSY);
    assert_null(none);
    nk_spin_unlock(&w.pool.lock);
    void *whole = must_get(&w, NK_ORDER_MAX); /* only if all eight have merged again */
    assert_null(w.pool.deferred);
    assert_int_equal(w.pool.extent_bytes, NK_EXTENT_BYTES);
    assert_int_equal(w.pool.used_bytes, NK_EXTENT_BYTES);
    nk_pool_put(&w.pool, whole, NK_ORDER_MAX);
    world_close(&w);
}

/* The pool step maps an extent, makes a share of it resident in pieces, and counts that. */
static void pool_step__empty_pool__makes_a_share_resident(void **state) {
    (void)state;
    struct world w;
    bool more = false;
    world_open(&w);
    assert_int_equal(nk_pool_step(&w.pool, 0, &more), 0);
    assert_int_equal(w.pool.resident_bytes, 0);
    steps_until_done(&w);
    assert_int_equal(w.pool.extent_bytes, SPARE_BYTES);
    assert_int_equal(w.pool.resident_bytes, NK_READY_MIN);
    void *p = must_get(&w, 4);
    assert_int_equal(w.pool.resident_bytes, NK_READY_MIN); /* it was resident already */
    assert_int_equal(w.pool.used_bytes, NK_PAGE << 4);
    steps_until_done(&w);
    assert_in_range(w.pool.resident_bytes - w.pool.used_bytes, NK_READY_MIN, 2 * NK_READY_MIN);
    nk_pool_put(&w.pool, p, 4);
    world_close(&w);
}

/* With much in use a 256th of it is kept ready, in calls that stay within their budget. */
static void pool_step__much_in_use__share_grows_within_the_budget(void **state) {
    (void)state;
    static void *whole[160];
    struct world w;
    bool more = true;
    world_open(&w);
    for (uint32_t i = 0; i < 160; i++) whole[i] = must_get(&w, NK_ORDER_MAX);
    uint64_t used = w.pool.used_bytes, want = used / 256;
    assert_true(want > NK_READY_MIN);
    for (uint32_t i = 0; more; i++) {
        uint64_t before = w.pool.resident_bytes;
        uint32_t work = nk_pool_step(&w.pool, 1, &more);
        assert_true(work <= 4);
        assert_true(w.pool.resident_bytes - before <= 4 * 65536);
        assert_true(i < 1000);
    }
    assert_in_range(w.pool.resident_bytes - used, want, want + 4 * 65536);
    for (uint32_t i = 0; i < 160; i++) nk_pool_put(&w.pool, whole[i], NK_ORDER_MAX);
    world_close(&w);
}

/* What is given back leaves the process: extents beyond the spare ones are unmapped by steps and a retire. */
static void pool_step__all_put__memory_goes_back(void **state) {
    (void)state;
    struct world w;
    void *whole[10];
    world_open(&w);
    for (uint32_t i = 0; i < 10; i++) whole[i] = must_get(&w, NK_ORDER_MAX);
    for (uint32_t i = 0; i < 10; i++) nk_pool_put(&w.pool, whole[i], NK_ORDER_MAX);
    assert_int_equal(w.pool.resident_bytes, 10 * (uint64_t)NK_EXTENT_BYTES);
    steps_until_done(&w); /* the first only notes that the store was growing */
    steps_until_done(&w);
    assert_true(w.pool.resident_bytes <= REST_BYTES);
    assert_true(nk_pool_retire_due(&w.pool));
    assert_int_equal(w.pool.extent_bytes, 10 * (uint64_t)NK_EXTENT_BYTES);
    bool more = false;
    assert_int_equal(nk_pool_retire_step(&w.pool, 3, &more), 3);
    assert_true(more);
    retire_all(&w);
    assert_false(nk_pool_retire_due(&w.pool));
    assert_int_equal(w.pool.extent_bytes, SPARE_BYTES);
    assert_int_equal(w.mem.mapped_bytes, (int64_t)SPARE_BYTES);
    world_close(&w);
}

#define SPARSE_EXTENTS 8u
/* Extents of which every second page is in use. */
static void make_sparse(struct world *w, void *(*page)[NK_EXTENT_PAGES]) {
    for (uint32_t x = 0; x < SPARSE_EXTENTS; x++)
        for (uint32_t i = 0; i < NK_EXTENT_PAGES; i++) page[x][i] = must_get(w, 0);
    for (uint32_t x = 0; x < SPARSE_EXTENTS; x++)
        for (uint32_t i = 0; i < NK_EXTENT_PAGES; i++) mark(page[x][i], 0, x * 1000 + i);
    for (uint32_t x = 0; x < SPARSE_EXTENTS; x++)
        for (uint32_t i = 0; i < NK_EXTENT_PAGES; i += 2) nk_pool_put(&w->pool, page[x][i], 0);
}

/* Free pages between used ones are given back too; the used ones keep their contents. */
static void pool_step__sparse_extents__pages_are_discarded(void **state) {
    (void)state;
    static void *page[SPARSE_EXTENTS][NK_EXTENT_PAGES];
    struct world w;
    world_open(&w);
    make_sparse(&w, page);
    uint64_t used = w.pool.used_bytes;
    assert_int_equal(w.pool.resident_bytes, 2 * used);
    steps_until_done(&w);
    steps_until_done(&w);
    assert_int_equal(w.pool.used_bytes, used);
    assert_true(w.pool.resident_bytes <= used + used / 256 + REST_BYTES);
    for (uint32_t x = 0; x < SPARSE_EXTENTS; x++)
        for (uint32_t i = 1; i < NK_EXTENT_PAGES; i += 2) check_mark(page[x][i], 0, x * 1000 + i);
    for (uint32_t x = 0; x < SPARSE_EXTENTS; x++)
        for (uint32_t i = 1; i < NK_EXTENT_PAGES; i += 2) nk_pool_put(&w.pool, page[x][i], 0);
    world_close(&w);
}

static int refuse_advice(void *ctx, void *p, size_t bytes, enum nitro_advice advice) {
    (void)ctx, (void)p, (void)bytes, (void)advice;
    return -1;
}

/* A system that refuses every advice costs memory, but not a step that never ends. */
static void pool_step__advice_refused__comes_to_an_end(void **state) {
    (void)state;
    static void *page[SPARSE_EXTENTS][NK_EXTENT_PAGES];
    struct world w;
    world_open(&w);
    make_sparse(&w, page);
    w.mem.table.advise = refuse_advice;
    uint64_t resident = w.pool.resident_bytes;
    steps_until_done(&w);
    steps_until_done(&w);
    assert_true(w.pool.resident_bytes >= resident); /* nothing has gone, so nothing is uncounted */
    world_close(&w);
}

/* Retired arrays stay readable until the retire step, and are counted until then. */
static void array_retire__before_the_retire_step__still_counted(void **state) {
    (void)state;
    struct world w;
    bool more = false;
    world_open(&w);
    uint64_t *a = nk_array_new(&w.pool, 100, sizeof *a), *b = nk_array_new(&w.pool, 7, sizeof *b);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(nk_array_count(a), 100);
    assert_int_equal(nk_array_count(NULL), 0);
    for (uint32_t i = 0; i < 100; i++) assert_int_equal(a[i], 0);
    uint64_t bytes = w.pool.array_bytes;
    assert_true(bytes >= 107 * sizeof *a);
    a[99] = 42;
    nk_array_retire(&w.pool, a);
    nk_array_retire(&w.pool, b);
    nk_array_retire(&w.pool, NULL);
    assert_int_equal(w.pool.array_bytes, bytes);
    assert_int_equal(nk_array_count(a), 100);
    assert_int_equal(a[99], 42);
    assert_true(nk_pool_retire_due(&w.pool));
    assert_int_equal(nk_pool_retire_step(&w.pool, 0, &more), 0);
    assert_true(more);
    assert_int_equal(nk_pool_retire_step(&w.pool, 9, &more), 2);
    assert_false(more);
    assert_int_equal(w.pool.array_bytes, 0);
    world_close(&w);
}

/* A refill maps one extent when none is free, and does nothing otherwise. */
static void pool_refill__only_when_low__maps_one_extent(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    assert_true(nk_pool_low(&w.pool));
    nk_pool_refill(&w.pool);
    nk_pool_refill(&w.pool);
    assert_int_equal(w.pool.extent_bytes, NK_EXTENT_BYTES);
    assert_int_equal(w.pool.resident_bytes, 0);
    assert_false(nk_pool_low(&w.pool));
    world_close(&w);
}

/* Whichever call is refused, a get says so, changes nothing, and succeeds the next time. */
static void pool_get__nth_call_refused__no_memory_then_well(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        struct world w;
        void *p = NULL;
        world_open(&w);
        test_mem_fail(&w.mem, n, n);
        int rc = nk_pool_get(&w.pool, 2, &p);
        bool failed = w.mem.failed > 0;
        assert_int_equal(failed, n <= 3); /* the extent's record, its pages, the map */
        assert_int_equal(rc, NITRO_ENOMEM);
        assert_null(p);
        assert_int_equal(w.pool.used_bytes + w.pool.resident_bytes + w.pool.extent_bytes, 0);
        nk_pool_refill(&w.pool); /* the call after the refused one works */
        p = must_get(&w, 2);
        nk_pool_put(&w.pool, p, 2);
        world_close(&w);
    }
}

/* Steps without memory do what they can and leave the pool as it was. */
static void pool_step__no_memory__changes_nothing(void **state) {
    (void)state;
    struct world w;
    bool more = true;
    world_open(&w);
    test_mem_fail(&w.mem, 1, UINT64_MAX);
    assert_int_equal(nk_pool_step(&w.pool, 100, &more), 0);
    assert_false(more);
    nk_pool_refill(&w.pool);
    assert_true(nk_pool_low(&w.pool));
    assert_null(nk_array_new(&w.pool, 4, 8));
    assert_int_equal(w.pool.array_bytes, 0);
    test_mem_fail(&w.mem, 0, 0);
    world_close(&w);
}

#define MANY_EXTENTS 200u
/* The address map finds every extent while it grows and while extents leave it. */
static void pool__many_extents__are_found_by_address(void **state) {
    (void)state;
    struct world w;
    void *whole[MANY_EXTENTS];
    world_open(&w);
    for (uint32_t i = 0; i < MANY_EXTENTS; i++) {
        whole[i] = must_get(&w, NK_ORDER_MAX);
        nk_store64((uint8_t *)whole[i] + 24, i);
    }
    for (uint32_t i = 0; i < MANY_EXTENTS; i += 2) nk_pool_put(&w.pool, whole[i], NK_ORDER_MAX);
    steps_until_done(&w);
    steps_until_done(&w);
    retire_all(&w);
    assert_int_equal(w.pool.extent_bytes,
                     (MANY_EXTENTS / 2 + NK_SPARE_EXTENTS) * (uint64_t)NK_EXTENT_BYTES);
    for (uint32_t i = 1; i < MANY_EXTENTS; i += 2) {
        assert_int_equal(nk_load64((uint8_t *)whole[i] + 24), i);
        nk_pool_put(&w.pool, whole[i], NK_ORDER_MAX);
    }
    assert_int_equal(w.pool.used_bytes, 0);
    world_close(&w);
}

/* The advice that an allocator was given, by kind, and the last populated length. */
static struct {
    uint32_t count[NITRO_ADVISE_SMALL + 1];
    size_t populated_bytes;
} advised;

static int note_advice(void *ctx, void *p, size_t bytes, enum nitro_advice advice) {
    (void)ctx;
    advised.count[advice]++;
    if (advice == NITRO_ADVISE_POPULATE) advised.populated_bytes = bytes;
    return nitro_mem_system()->advise(NULL, p, bytes, advice);
}

/* Beyond the threshold extents ask for a huge page, which a step makes resident before the extent that is
 * being filled is full; a part that is given back ends that for its extent. */
static void pool_step__beyond_huge_bytes__asks_for_huge_pages(void **state) {
    (void)state;
    struct world w;
    void *block[64];
    world_open_huge(&w, NK_EXTENT_BYTES);
    w.mem.table.advise = note_advice;
    memset(&advised, 0, sizeof advised);
    void *first = must_get(&w, NK_ORDER_MAX);
    assert_int_equal(advised.count[NITRO_ADVISE_HUGE], 0);
    steps_until_done(&w);
    assert_true(advised.count[NITRO_ADVISE_HUGE] > 0);
    assert_int_equal(advised.populated_bytes, NK_EXTENT_BYTES);
    uint64_t resident = w.pool.resident_bytes;
    for (uint32_t i = 0; i < 64; i++) {
        block[i] = must_get(&w, 4);
        mark(block[i], 4, i);
        if (i == 16) assert_int_equal(w.pool.resident_bytes, resident); /* no cold touch */
        steps_until_done(&w);
    }
    for (uint32_t i = 0; i < 64; i++)
        if (i % 32 != 0) nk_pool_put(&w.pool, block[i], 4);
    nk_pool_put(&w.pool, first, NK_ORDER_MAX);
    steps_until_done(&w);
    assert_true(advised.count[NITRO_ADVISE_SMALL] > 0);
    assert_true(w.pool.resident_bytes - w.pool.used_bytes <=
                REST_BYTES + 2 * (uint64_t)NK_EXTENT_BYTES);
    for (uint32_t i = 0; i < 64; i += 32) check_mark(block[i], 4, i);
    for (uint32_t i = 0; i < 64; i += 32) nk_pool_put(&w.pool, block[i], 4);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_put__all_pages_of_an_extent__merge),
        cmocka_unit_test(pool_get__partly_used_extent__is_preferred),
        cmocka_unit_test(pool__random_gets_puts_and_steps__no_overlap),
        cmocka_unit_test(pool__random_with_huge_pages__no_overlap),
        cmocka_unit_test(pool_put__lock_held__is_deferred),
        cmocka_unit_test(pool_step__empty_pool__makes_a_share_resident),
        cmocka_unit_test(pool_step__much_in_use__share_grows_within_the_budget),
        cmocka_unit_test(pool_step__all_put__memory_goes_back),
        cmocka_unit_test(pool_step__sparse_extents__pages_are_discarded),
        cmocka_unit_test(pool_step__advice_refused__comes_to_an_end),
        cmocka_unit_test(array_retire__before_the_retire_step__still_counted),
        cmocka_unit_test(pool_refill__only_when_low__maps_one_extent),
        cmocka_unit_test(pool_get__nth_call_refused__no_memory_then_well),
        cmocka_unit_test(pool_step__no_memory__changes_nothing),
        cmocka_unit_test(pool__many_extents__are_found_by_address),
        cmocka_unit_test(pool_step__beyond_huge_bytes__asks_for_huge_pages),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
