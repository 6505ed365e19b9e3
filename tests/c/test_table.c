/* SPDX-License-Identifier: MIT
 *
 * test_table.c - linear hashing up and down: nothing is lost, chains stay compact, work stays bounded.
 *
 * HOW   The table only knows references, so here a reference is an index into an array of hashes, and no
 *       entry exists. check_table walks all chains and compares them with that array.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "support.h"
#include "table.h"

#define KEYS_MAX 20000u

struct world {
    struct test_mem mem;
    struct nk_pool pool;
    struct nk_over over;
    struct nk_table table;
    uint64_t hash[KEYS_MAX + 1]; /* of reference 1 .. KEYS_MAX */
    bool in[KEYS_MAX + 1];       /* whether the table holds it */
};
static struct world world; /* too large for the stack */
static struct test_rng rng;

static uint64_t hash_of(void *ctx, uint32_t ref) {
    const struct world *w = ctx;
    assert_in_range(ref, 1, KEYS_MAX);
    return w->hash[ref];
}
static void warm(void *ctx, uint32_t ref) {
    (void)ctx;
    assert_in_range(ref, 1, KEYS_MAX);
}

static struct world *world_open(void) {
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    test_mem_init(&w->mem);
    nk_pool_init(&w->pool, &w->mem.table, UINT64_MAX);
    nk_over_init(&w->over, &w->pool);
    nk_table_init(&w->table, &w->over, &w->pool, hash_of, warm, w);
    for (uint32_t i = 1; i <= KEYS_MAX; i++) w->hash[i] = test_rng_next(&rng);
    return w;
}

static void world_close(struct world *w) {
    while (nk_table_drop_page(&w->table)) {}
    while (nk_over_drop_page(&w->over)) {}
    assert_int_equal(nk_table_bytes(&w->table), 0);
    assert_int_equal(w->pool.used_bytes, 0);
    nk_pool_fini(&w->pool);
    test_mem_check_empty(&w->mem);
}

/* ---- invariants --------------------------------------------------------------------------------*/

/* One chain: compact, every entry at home, none twice. Returns its entries; counts overflow buckets. */
static uint32_t check_chain(struct world *w, uint32_t bucket, uint8_t *seen, uint32_t *over) {
    const struct nk_table *t = &w->table;
    uint32_t n = 0;
    const struct nk_bucket *b = nk_table_bucket(t, bucket);
    for (bool first = true; b != NULL; b = nk_table_next(t, b), first = false) {
        uint32_t empty = nk_bucket_match(b, 0),
                 used = NK_SLOTS - (uint32_t)__builtin_popcount(empty);
        *over += !first;
        if (empty != (((1u << NK_SLOTS) - 1) & ~((1u << used) - 1)))
            test_fail("bucket %u has an empty slot before a full one", bucket);
        if (used < NK_SLOTS && b->next != 0)
            test_fail("bucket %u goes on, but is not full", bucket);
        if (used == 0 && !first) test_fail("an overflow bucket of bucket %u is empty", bucket);
        for (uint32_t i = 0; i < used; i++, n++) {
            uint64_t hash = w->hash[b->ref[i]];
            if (nk_table_index(t, hash) != bucket) test_fail("an entry is in a wrong bucket");
            if (b->tag[i] != nk_table_tag(hash)) test_fail("an entry has a wrong tag");
            if (!w->in[b->ref[i]] || seen[b->ref[i]]++) test_fail("an entry is there too often");
        }
    }
    return n;
}

static void check_table(struct world *w) {
    static uint8_t seen[KEYS_MAX + 1];
    const struct nk_table *t = &w->table;
    uint32_t n = 0, over = 0;
    memset(seen, 0, sizeof seen);
    assert_in_range(t->buckets, t->low_mask + 1, t->low_mask * 2 + 2);
    if (t->dir != NULL)
        for (uint32_t i = 0; i < t->buckets; i++) n += check_chain(w, i, seen, &over);
    assert_int_equal(n, t->count);
    assert_int_equal(over, w->over.used);
    for (uint32_t i = 1; i <= KEYS_MAX; i++)
        if (w->in[i] && !seen[i]) test_fail("entry %u is lost", i);
    assert_int_equal(w->pool.used_bytes, nk_table_bytes(t) + nk_over_bytes(&w->over));
}

static void check_work(const struct nk_work *w) {
    assert_true(w->buckets <= 2);
    assert_true(w->entries <= NK_CHAIN_ATTACK * 2);
    assert_true(w->bytes <= NK_PAGE + 64 * 1024); /* one page, and two directories of this size */
}

/* ---- changes -----------------------------------------------------------------------------------*/

/* Inserts without growing; false without memory. */
static bool insert_only(struct world *w, uint32_t ref) {
    struct nk_slot at;
    uint32_t over = 0;
    if (nk_table_insert_needs(&w->table, w->hash[ref], false, &over) != NITRO_OK) return false;
    uint32_t chain = nk_table_insert(&w->table, w->hash[ref], ref, &over, &at);
    assert_int_equal(at.bucket->ref[at.index], ref);
    assert_int_equal(chain,
                     nk_table_chain_count(&w->table, nk_table_head(&w->table, w->hash[ref])));
    nk_over_put(&w->over, over);
    w->in[ref] = true;
    return true;
}

static bool insert(struct world *w, uint32_t ref) {
    if (!insert_only(w, ref)) return false;
    struct nk_work work = {0};
    (void)nk_table_grow(&w->table, &work);
    check_work(&work);
    return true;
}

static void remove_only(struct world *w, uint32_t ref) {
    struct nk_slot at;
    nk_table_find_ref(&w->table, w->hash[ref], ref, &at);
    nk_table_remove(&w->table, w->hash[ref], &at);
    w->in[ref] = false;
}

static void remove_one(struct world *w, uint32_t ref) {
    remove_only(w, ref);
    struct nk_work work = {0};
    (void)nk_table_shrink(&w->table, &work);
    check_work(&work);
}

static void shuffle(uint32_t *a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) a[i] = i + 1;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = (uint32_t)test_rng_below(&rng, i), swap = a[i - 1];
        a[i - 1] = a[k];
        a[k] = swap;
    }
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* From nothing to many and back, with the table checked at each of the first bucket counts. */
static void table__grows_and_shrinks__loses_nothing(void **state) {
    (void)state;
    static uint32_t order[KEYS_MAX];
    struct world *w = world_open();
    uint32_t n = (uint32_t)test_scale(KEYS_MAX), buckets = 0;
    if (n > KEYS_MAX) n = KEYS_MAX;
    for (uint32_t i = 1; i <= n; i++) {
        assert_true(insert(w, i));
        bool small = w->table.buckets < 300;
        if ((small && w->table.buckets != buckets) || i % 1500 == 0) check_table(w);
        buckets = w->table.buckets;
    }
    assert_true(w->table.count <= (uint64_t)w->table.buckets * NK_LOAD_SPLIT);
    check_table(w);
    shuffle(order, n);
    for (uint32_t i = 0; i < n; i++) {
        remove_one(w, order[i]);
        bool small = w->table.buckets < 300;
        if ((small && w->table.buckets != buckets) || i % 1500 == 0) check_table(w);
        buckets = w->table.buckets;
    }
    check_table(w);
    assert_int_equal(w->table.buckets, 1);
    assert_int_equal(nk_table_bytes(&w->table), NK_PAGE);
    assert_int_equal(w->over.pages, 0);
    world_close(w);
}

/* Comings and goings in random order about every size, with every split and merge in between. */
static void table__random_changes__stays_in_order(void **state) {
    (void)state;
    struct world *w = world_open();
    uint64_t rounds = test_scale(120000), range = 1;
    for (uint64_t i = 0; i < rounds; i++) {
        if (i % 3000 == 0) range = 1 + test_rng_below(&rng, 6000);
        uint32_t ref = 1 + (uint32_t)test_rng_below(&rng, range);
        if (w->in[ref])
            remove_one(w, ref);
        else
            assert_true(insert(w, ref));
        if (i % 1000 == 0) check_table(w);
    }
    check_table(w);
    world_close(w);
}

/* Entries that all share one bucket make a chain that grows, splits and shrinks as a chain. */
static void table__one_long_chain__is_compact_at_every_length(void **state) {
    (void)state;
    struct world *w = world_open();
    for (uint32_t i = 1; i <= 200; i++) w->hash[i] = 0x77 | (uint64_t)(i % 3) << 56;
    for (uint32_t i = 1; i <= 200; i++) {
        assert_true(insert_only(w, i));
        check_table(w);
    }
    struct nk_work work = {0};
    while (nk_table_grow(&w->table, &work)) check_table(w);
    for (uint32_t i = 1; i <= 200; i += 2) {
        remove_only(w, i);
        check_table(w);
    }
    while (nk_table_shrink(&w->table, &work)) check_table(w);
    for (uint32_t i = 2; i <= 200; i += 2) remove_one(w, i);
    check_table(w);
    assert_int_equal(w->over.used, 0);
    world_close(w);
}

/* The group of a bucket is due no later than the first whole second by which an entry has expired. */
static void table_due__through_splits_and_merges__never_late(void **state) {
    (void)state;
    static int64_t expiry[2001];
    struct world *w = world_open();
    memset(expiry, 0, sizeof expiry);
    uint64_t rounds = test_scale(20000);
    for (uint64_t i = 0; i < rounds; i++) {
        uint32_t range = i % 6000 < 3000 ? 2000 : 100;
        uint32_t ref = 1 + (uint32_t)test_rng_below(&rng, range);
        if (w->in[ref]) {
            remove_one(w, ref);
        } else {
            expiry[ref] = 1 + (int64_t)test_rng_below(&rng, 100000000);
            assert_true(insert(w, ref));
            nk_table_note_expiry(&w->table, w->hash[ref], expiry[ref]);
        }
        if (i % 250 != 0) continue;
        for (ref = 1; ref <= 2000; ref++) {
            if (!w->in[ref]) continue;
            uint32_t group = nk_table_index(&w->table, w->hash[ref]) / NK_DUE_BUCKETS;
            assert_true((int64_t)w->table.due[group] * 1000 < expiry[ref] + 1000);
        }
    }
    world_close(w);
}

/* An expiry far beyond what 32 bits of seconds hold is noted as late, not as never and not as soon. */
static void table_note_expiry__far_future__is_not_never(void **state) {
    (void)state;
    struct world *w = world_open();
    assert_true(insert(w, 1));
    assert_int_equal(w->table.due[0], NK_DUE_NEVER);
    nk_table_note_expiry(&w->table, w->hash[1], INT64_MAX);
    assert_int_equal(w->table.due[0], NK_DUE_NEVER - 1);
    nk_table_note_expiry(&w->table, w->hash[1], 5001);
    assert_int_equal(w->table.due[0], 6);
    nk_table_note_expiry(&w->table, w->hash[1], 7000);
    assert_int_equal(w->table.due[0], 6);
    world_close(w);
}

/* Overflow pages that are half empty are emptied from the last one, and go back. */
static void table_tidy__half_empty_overflow_pages__go_back(void **state) {
    (void)state;
    struct world *w = world_open();
    for (uint32_t i = 1; i <= KEYS_MAX; i++) { /* no splits: hardly anything but overflow buckets */
        w->hash[i] = (uint64_t)(i % 200 + 1) << 56 | (i % 64);
        assert_true(insert_only(w, i));
        struct nk_work work = {0};
        if (w->table.buckets < 64) (void)nk_table_grow(&w->table, &work);
    }
    uint32_t pages = w->over.pages;
    assert_true(pages > 20);
    for (uint32_t i = 1; i <= KEYS_MAX; i++)
        if (i % 64 % 3 != 0) remove_only(w, i);
    check_table(w);
    struct nk_work work = {0};
    uint32_t moved = 0;
    while (nk_table_tidy(&w->table, &work)) {
        assert_int_equal(work.buckets, 2);
        work = (struct nk_work){0};
        if (++moved % 50 == 0) check_table(w);
        if (moved > KEYS_MAX) test_fail("tidying never comes to an end");
    }
    check_table(w);
    assert_true(w->over.pages < pages / 2 + pages / 4);
    assert_true((uint64_t)w->over.used * 2 > ((uint64_t)w->over.pages - 1) * NK_CHUNK_BUCKETS);
    world_close(w);
}

/* Overflow buckets set aside and given back leave no page behind. */
static void over_put__unused_reservations__leave_nothing(void **state) {
    (void)state;
    struct world *w = world_open();
    uint32_t over[300];
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(nk_table_insert_needs(&w->table, i, true, &over[i]), NITRO_OK);
    assert_int_equal(w->over.used, 300);
    for (uint32_t i = 0; i < 300; i++) nk_over_put(&w->over, over[(i * 7 + 3) % 300]);
    nk_over_put(&w->over, 0);
    assert_int_equal(w->over.used, 0);
    assert_int_equal(w->over.pages, 0);
    world_close(w);
}

/* With any one call refused, and with all from there on, the table stays whole and recovers. */
static void table__nth_call_refused__stays_whole(void **state) {
    (void)state;
    for (uint32_t n = 1; n < 30; n++) {
        for (uint32_t all = 0; all < 2; all++) {
            struct world *w = world_open();
            uint32_t last = 0;
            test_mem_fail(&w->mem, n, all ? UINT64_MAX : n);
            for (uint32_t i = 1; i <= 3000; i++) {
                if (!insert(w, i)) check_table(w);
                if (w->in[i]) last = i;
            }
            check_table(w);
            for (uint32_t i = 1; i <= last / 2; i++)
                if (w->in[i]) remove_one(w, i);
            check_table(w);
            test_mem_fail(&w->mem, 0, 0);
            for (uint32_t i = 3001; i <= 6000; i++) assert_true(insert(w, i));
            struct nk_work work = {0};
            while (nk_table_grow(&w->table, &work)) work = (struct nk_work){0};
            assert_true(w->table.count <= (uint64_t)w->table.buckets * NK_LOAD_SPLIT);
            check_table(w);
            world_close(w);
        }
    }
}

/* Takes every page that the pool can still give, so that the table gets none. */
static uint32_t hoard(struct world *w, void **page, uint32_t max) {
    uint32_t n = 0;
    test_mem_fail(&w->mem, 1, UINT64_MAX);
    while (n < max && nk_pool_get(&w->pool, 0, &page[n]) == NITRO_OK) n++;
    return n;
}

/* Splits and merges that find no page do nothing, at each bucket count and each fill of the last page. */
static void table__no_pages_during_splits_and_merges__consistent(void **state) {
    (void)state;
    static void *page[NK_EXTENT_PAGES];
    for (uint32_t size = 100; size <= 2400; size += 230) {
        struct world *w = world_open();
        for (uint32_t i = 1; i <= size; i++) assert_true(insert(w, i));
        uint32_t pages = hoard(w, page, NK_EXTENT_PAGES);
        struct nk_work work = {0};
        for (uint32_t i = size + 1; i <= size + 700; i++)
            if (insert_only(w, i)) (void)nk_table_grow(&w->table, &work);
        for (uint32_t i = 0; i < pages; i++) nk_pool_put(&w->pool, page[i], 0);
        check_table(w);
        pages = hoard(w, page, NK_EXTENT_PAGES);
        for (uint32_t i = 1; i <= size + 700; i++)
            if (w->in[i]) remove_one(w, i);
        for (uint32_t i = 0; i < pages; i++) nk_pool_put(&w->pool, page[i], 0);
        check_table(w);
        while (nk_table_shrink(&w->table, &work)) {}
        assert_int_equal(w->table.buckets, 1);
        world_close(w);
    }
}

/* A table that cannot get its first page is as new; opening it is free once it is there. */
static void table_open__refused_then_granted__as_new(void **state) {
    (void)state;
    struct world *w = world_open();
    for (uint64_t n = 1; n <= 5; n++) { /* two directories, and what the pool needs for a page */
        test_mem_fail(&w->mem, n, n);
        assert_int_equal(nk_table_open(&w->table), NITRO_ENOMEM);
        assert_null(w->table.dir);
        assert_null(nk_table_head(&w->table, 7));
    }
    test_mem_fail(&w->mem, 0, 0);
    assert_int_equal(nk_table_open(&w->table), NITRO_OK);
    struct nk_bucket **dir = w->table.dir;
    assert_int_equal(nk_table_open(&w->table), NITRO_OK);
    assert_ptr_equal(w->table.dir, dir);
    world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table__grows_and_shrinks__loses_nothing),
        cmocka_unit_test(table__random_changes__stays_in_order),
        cmocka_unit_test(table__one_long_chain__is_compact_at_every_length),
        cmocka_unit_test(table_due__through_splits_and_merges__never_late),
        cmocka_unit_test(table_note_expiry__far_future__is_not_never),
        cmocka_unit_test(table_tidy__half_empty_overflow_pages__go_back),
        cmocka_unit_test(over_put__unused_reservations__leave_nothing),
        cmocka_unit_test(table__nth_call_refused__stays_whole),
        cmocka_unit_test(table__no_pages_during_splits_and_merges__consistent),
        cmocka_unit_test(table_open__refused_then_granted__as_new),
    };
    test_rng_init(&rng, "table");
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
