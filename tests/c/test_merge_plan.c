/* SPDX-License-Identifier: MIT
 *
 * test_merge_plan.c - which pieces are merged next: numbers in, numbers out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "merge.h"
#include "support.h"

#define FILE_BYTES UINT64_C(16000)

static const struct nitro_merge_options half = {.allow = 1, .dead_percent = 50};
static const struct nk_merge_limits limits = {FILE_BYTES, NK_MERGE_INPUTS};

/* A piece of so many bytes of puts, so many of which are live. */
static struct nk_merge_piece piece(uint64_t put, uint64_t live, uint64_t gone) {
    return (struct nk_merge_piece){
        .put_bytes = put, .live_bytes = live, .gone_bytes = gone, .fit = true, .follows = true};
}

/* check_plan: the plan is `count` pieces from `first` on; count 0: there is none. */
static void check_plan(const struct nk_merge_piece *p, uint32_t n,
                       const struct nitro_merge_options *o, uint32_t first, uint32_t count) {
    uint32_t at = UINT32_MAX, found = 0;
    bool any = nk_merge_plan(p, n, o, &limits, &at, &found);
    if (any != (count > 0) || (any && (at != first || found != count)))
        test_fail("the plan is %u from %u on, not %u from %u on", found, at, count, first);
}

/* Nothing is dead, or there is nothing at all: nothing to do. */
static void plan__all_live__none(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(9000, 9000, 0), piece(9000, 9000, 0), piece(0, 0, 0)};
    check_plan(p, 0, &half, 0, 0);
    check_plan(p, 3, &half, 0, 0);
}

/* A piece is merged when so much of it is dead as an option says: share, bytes, or anything at an age. */
static void plan__dead_bytes__by_each_trigger(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(9000, 4501, 0), piece(9000, 9000, 0)};
    struct nitro_merge_options o = half;
    check_plan(p, 2, &o, 0, 0);
    p[0].live_bytes = 4500;
    check_plan(p, 2, &o, 0, 1);
    p[0].live_bytes = 8000;
    o.dead_bytes = 1001;
    check_plan(p, 2, &o, 0, 0);
    o.dead_bytes = 1000;
    check_plan(p, 2, &o, 0, 1);
    o.dead_bytes = 0;
    o.dead_age_ms = 5000;
    p[0].age_ms = p[1].age_ms = 4999;
    check_plan(p, 2, &o, 0, 0);
    p[0].age_ms = p[1].age_ms = 5000;
    check_plan(p, 2, &o, 0, 1);
}

/* Of two that are worth the same the oldest is first, because it may pin what is in the other. */
static void plan__equal_seeds__oldest_first(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(15000, 15000, 0), piece(15000, 7000, 0),
                                 piece(15000, 15000, 0), piece(15000, 6900, 0),
                                 piece(15000, 15000, 0), piece(15000, 1000, 0)};
    check_plan(p, 4, &half, 1, 1);
    check_plan(p, 6, &half, 5, 1);
}

/* Deletes count while no older piece holds dead records, and not otherwise. */
static void plan__deletes__only_if_not_pinned(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(15000, 15000, 0), piece(4000, 4000, 8000)};
    check_plan(p, 2, &half, 1, 1);
    p[0].live_bytes = 14999;
    p[0].fit = false; /* so that it stays as it is */
    check_plan(p, 2, &half, 0, 0);
}

/* Few dead records that pin many deletes are worth a merge; not if other records pin them as well. */
static void plan__pinning_piece__is_worth_it(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(15000, 14900, 0), piece(15000, 15000, 4000),
                                 piece(12000, 12000, 4000)};
    check_plan(p, 3, &half, 0, 1);
    p[1].live_bytes = 14990; /* the deletes of the last one stay pinned */
    check_plan(p, 3, &half, 0, 0);
}

/* Before a gap there may be anything, so deletes behind it are pinned, and nobody joins across it. */
static void plan__gap__nobody_joins_across(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(5000, 1000, 0), piece(5000, 1000, 0)};
    check_plan(p, 2, &half, 0, 2);
    p[1].follows = false;
    check_plan(p, 2, &half, 0, 1);
    struct nk_merge_piece q = piece(2000, 2000, 6000);
    check_plan(&q, 1, &half, 0, 1);
    q.follows = false;
    check_plan(&q, 1, &half, 0, 0);
}

/* What is damaged is never merged, and parts its neighbours. */
static void plan__damaged__left_alone(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(5000, 100, 0), piece(5000, 0, 0), piece(5000, 1000, 0)};
    check_plan(p, 3, &half, 0, 3);
    p[1].fit = false;
    check_plan(p, 3, &half, 0, 1);
    p[0].fit = false;
    check_plan(p, 3, &half, 2, 1);
}

/* Neighbours join as long as all fit one file, and the number of inputs has a limit. */
static void plan__neighbours__as_many_as_fit(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(16000, 5000, 0), piece(16000, 5000, 0),
                                 piece(16000, 5000, 0), piece(16000, 5000, 0)};
    struct nk_merge_limits two = {FILE_BYTES, 2};
    uint32_t first, count;
    check_plan(p, 4, &half, 0, 3);
    assert_true(nk_merge_plan(p, 4, &half, &two, &first, &count));
    assert_true(first == 0 && count == 2);
}

/* One that is small joins, though nothing of it is dead; a large one doesn't. */
static void plan__small_neighbour__joins(void **state) {
    (void)state;
    struct nk_merge_piece p[] = {piece(1000, 1000, 0), piece(9000, 0, 0), piece(1000, 1000, 0),
                                 piece(2001, 2001, 0)};
    check_plan(p, 2, &half, 0, 2);
    check_plan(p, 3, &half, 0, 3);
    check_plan(p, 4, &half, 0, 3);
}

/* Many small ones in a row are joined, few are not. */
static void plan__row_of_small_pieces__joined(void **state) {
    (void)state;
    struct nk_merge_piece p[10];
    for (uint32_t i = 0; i < 10; i++) p[i] = piece(900, 900, 50);
    p[0] = piece(9000, 9000, 0);
    check_plan(p, 8, &half, 0, 0);
    check_plan(p, 10, &half, 1, 9);
}

/* ---- merges alone come to an end -------------------------------------------------------------------*/

/* Replaces the inputs by what the worst merge makes of them: of the dead records deletes are left, if they are pinned. */
static uint32_t merged(struct nk_merge_piece *p, uint32_t n, uint32_t first, uint32_t count,
                       struct test_rng *rng) {
    bool pinned = false;
    struct nk_merge_piece out = piece(0, 0, 0);
    for (uint32_t i = 0; i < first; i++) pinned |= p[i].put_bytes != p[i].live_bytes;
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t dead = p[i].put_bytes - p[i].live_bytes;
        out.put_bytes += p[i].live_bytes;
        if (pinned) out.gone_bytes += p[i].gone_bytes;
        if (pinned && dead > 0) out.gone_bytes += test_rng_below(rng, dead);
    }
    out.live_bytes = out.put_bytes;
    out.follows = p[first].follows;
    p[first] = out;
    memmove(p + first + 1, p + first + count, (n - first - count) * sizeof *p);
    return n - count + 1;
}

/* Whatever there is, one merge after the other leads to where nothing more is worth one. */
static void plan__merge_after_merge__ends(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "plan__merge_after_merge__ends");
    for (uint64_t round = test_scale(2000); round > 0; round--) {
        struct nk_merge_piece p[40];
        uint32_t n = (uint32_t)test_rng_below(&rng, 41), first, count, merges = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint64_t put = test_rng_below(&rng, test_rng_below(&rng, 4) == 0 ? 900 : 16000);
            uint64_t live = test_rng_below(&rng, 3) == 0 ? put : test_rng_below(&rng, put + 1);
            p[i] = piece(put, live, test_rng_below(&rng, 2) * test_rng_below(&rng, 3000));
            p[i].fit = test_rng_below(&rng, 16) != 0;
            p[i].follows = test_rng_below(&rng, 16) != 0;
            p[i].age_ms = (int64_t)test_rng_below(&rng, 10);
        }
        struct nitro_merge_options o = {.allow = 1,
                                        .dead_percent = 1 + (uint32_t)test_rng_below(&rng, 100),
                                        .dead_bytes = test_rng_below(&rng, 3) * 1000,
                                        .dead_age_ms = (int64_t)test_rng_below(&rng, 8)};
        while (nk_merge_plan(p, n, &o, &limits, &first, &count)) {
            assert_true(count >= 1 && first + count <= n && ++merges < 200);
            for (uint32_t i = first; i < first + count; i++)
                assert_true(p[i].fit && (i == first || p[i].follows));
            n = merged(p, n, first, count, &rng);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan__all_live__none),
        cmocka_unit_test(plan__dead_bytes__by_each_trigger),
        cmocka_unit_test(plan__equal_seeds__oldest_first),
        cmocka_unit_test(plan__deletes__only_if_not_pinned),
        cmocka_unit_test(plan__pinning_piece__is_worth_it),
        cmocka_unit_test(plan__gap__nobody_joins_across),
        cmocka_unit_test(plan__damaged__left_alone),
        cmocka_unit_test(plan__neighbours__as_many_as_fit),
        cmocka_unit_test(plan__small_neighbour__joins),
        cmocka_unit_test(plan__row_of_small_pieces__joined),
        cmocka_unit_test(plan__merge_after_merge__ends),
    };
    return cmocka_run_group_tests_name("merge plan", tests, NULL, NULL);
}
