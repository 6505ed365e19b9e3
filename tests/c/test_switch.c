/* SPDX-License-Identifier: MIT
 *
 * test_switch.c - keys with one equal hash make a segment change its hash, and nobody notices.
 *
 * HOW   One segment gets keys that collide under its seed (collide.h) until it switches; while the old
 *       table is being emptied, keys are read, overwritten, deleted and expire. A model says for each
 *       key what must be there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "collide.h"
#include "db.h"
#include "support.h"

#define BITS 12u
#define KEYS (1u << BITS)
#define HONEST 2000u /* keys without a common hash beside them */

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct nk_seg *seg;
    uint32_t value[KEYS + HONEST]; /* what the key must hold, 0 = nothing */
    uint32_t next_value;
};
static struct world world;
static struct test_rng rng;

static struct world *world_open(void) {
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, 1);
    w->store = test_open(&w->opt);
    w->seg = nk_db_seg(&w->store->db, 0);
    return w;
}

static void world_close(struct world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* The first KEYS collide, the others do not. */
static size_t key_of(const struct world *w, uint32_t i, uint8_t *out) {
    if (i < KEYS) return collide_key(w->opt.seed, BITS, i, out);
    nk_store32(out, i);
    return 4;
}

static int set(struct world *w, uint32_t i) {
    uint8_t key[COLLIDE_KEY_MAX];
    uint32_t value = w->next_value + 1;
    size_t n = key_of(w, i, key);
    int rc = nitro_set(w->store, TEST_NOW, key, n, &value, sizeof value, 0, 0, 0, NULL);
    if (rc == NITRO_OK) w->value[i] = w->next_value = value;
    return rc;
}

static void delete (struct world *w, uint32_t i) {
    uint8_t key[COLLIDE_KEY_MAX];
    int want = w->value[i] != 0 ? NITRO_OK : NITRO_ENOTFOUND;
    assert_int_equal(nitro_delete(w->store, TEST_NOW, key, key_of(w, i, key), NULL), want);
    w->value[i] = 0;
}

static void check_key(struct world *w, uint32_t i, int64_t now_ms) {
    uint8_t key[COLLIDE_KEY_MAX];
    uint32_t value = 0;
    struct nitro_info info;
    size_t n = key_of(w, i, key);
    int rc = nitro_get(w->store, now_ms, key, n, &value, sizeof value, &info);
    if (rc != (w->value[i] != 0 ? NITRO_OK : NITRO_ENOTFOUND) || value != w->value[i])
        test_fail("key %u holds %u instead of %u (%s)", i, value, w->value[i], nitro_strerror(rc));
}

static void check_all(struct world *w) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < KEYS + HONEST; i++) {
        check_key(w, i, TEST_NOW);
        keys += w->value[i] != 0;
    }
    assert_int_equal(nk_db_keys(&w->store->db, NULL), keys);
}

/* Colliding keys until the segment has switched; how many there are now. */
static uint32_t attack(struct world *w, uint32_t honest) {
    for (uint32_t i = 0; i < honest; i++) assert_int_equal(set(w, KEYS + i), NITRO_OK);
    uint32_t i = 0;
    while (w->seg->epoch == NK_EPOCH_FNV) {
        if (i == KEYS) test_fail("%u colliding keys make no switch", KEYS);
        assert_int_equal(set(w, i++), NITRO_OK);
    }
    return i;
}

static uint32_t reclaim(struct world *w, uint32_t budget) {
    struct nitro_step_result r;
    assert_int_equal(nitro_step(w->store, NITRO_STEP_RECLAIM, TEST_NOW, budget, &r), NITRO_OK);
    return r.more;
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* The switch comes when a chain passes its limit: not before, and once. */
static void switch__colliding_keys__begins_at_the_limit_and_once(void **state) {
    (void)state;
    struct world *w = world_open();
    assert_int_equal(attack(w, 0), NK_CHAIN_ATTACK + 1);
    assert_true(w->seg->draining);
    for (uint32_t i = 0; i < KEYS; i++) assert_int_equal(set(w, i), NITRO_OK);
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    assert_int_equal(st.hash_switches, 1);
    assert_int_equal(st.segments_siphash, 1);
    assert_false(w->seg->draining);
    check_all(w);
    assert_true(nk_table_chain_count(&w->seg->tab, nk_table_bucket(&w->seg->tab, 0)) < 40);
    world_close(w);
}

/* Honest keys, many to a bucket, never bring it about. */
static void switch__honest_keys__never(void **state) {
    (void)state;
    struct world *w = world_open();
    uint32_t n = (uint32_t)test_scale(200000);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(nitro_set(w->store, TEST_NOW, &i, sizeof i, "", 0, 0, 0, 0, NULL),
                         NITRO_OK);
    assert_int_equal(w->seg->epoch, NK_EPOCH_FNV);
    world_close(w);
}

/* Writes alone drain the old table, at most 32 entries each, and every key stays readable. */
static void switch__drained_by_writes__bounded_and_complete(void **state) {
    (void)state;
    struct world *w = world_open();
    attack(w, HONEST);
    uint32_t writes = 0;
    while (w->seg->draining) {
        uint64_t before = w->seg->old.count;
        assert_int_equal(set(w, KEYS), NITRO_OK); /* the same key again and again */
        assert_true(before - w->seg->old.count <= NK_DRAIN_ENTRIES);
        if (++writes % 8 == 0) check_all(w);
        if (writes > 1000) test_fail("writes do not drain the old table");
    }
    assert_null(w->seg->old.dir);
    check_all(w);
    world_close(w);
}

/* Background steps alone drain it too, at most 64 entries each. */
static void switch__drained_by_steps__bounded_and_complete(void **state) {
    (void)state;
    struct world *w = world_open();
    attack(w, HONEST);
    for (uint32_t steps = 0; w->seg->draining; steps++) {
        uint64_t before = w->seg->old.count;
        assert_int_equal(reclaim(w, 1), 1);
        assert_true(before - w->seg->old.count <= 64);
        if (steps % 8 == 0) check_all(w);
        if (steps > 1000) test_fail("steps do not drain the old table");
    }
    check_all(w);
    while (reclaim(w, 64)) {}
    test_check_bounds(w->store);
    world_close(w);
}

/* Random reads, writes and deletes from before the switch until long after agree with the model. */
static void switch__random_operations_during_it__agree_with_the_model(void **state) {
    (void)state;
    uint64_t rounds = test_scale(30);
    for (uint64_t round = 0; round < rounds; round++) {
        struct world *w = world_open();
        uint32_t range = 60 + (uint32_t)test_rng_below(&rng, 600);
        attack(w, (uint32_t)test_rng_below(&rng, HONEST));
        for (uint32_t i = 0; i < 400; i++) {
            uint32_t key = (uint32_t)test_rng_below(&rng, range);
            if (i % 2 != 0) key += KEYS;
            uint64_t op = test_rng_below(&rng, 4);
            if (op == 0) assert_int_equal(set(w, key), NITRO_OK);
            if (op == 1) delete (w, key);
            if (op == 2) (void)reclaim(w, 1);
            check_key(w, key, TEST_NOW);
        }
        check_all(w);
        world_close(w);
    }
}

/* Keys that expire while they are in the old table are gone at their time, and reclaimed later. */
static void switch__expiry_during_it__visible_at_once_reclaimed_later(void **state) {
    (void)state;
    struct world *w = world_open();
    uint32_t n = attack(w, HONEST);
    uint8_t key[COLLIDE_KEY_MAX];
    for (uint32_t i = 0; i < n; i += 2) { /* each of these writes drains some; most stay in `old` */
        size_t kn = key_of(w, i, key);
        if (w->seg->old.count < 200) break;
        assert_int_equal(nitro_expire(w->store, TEST_NOW, key, kn, TEST_NOW + 1000, NULL),
                         NITRO_OK);
        w->value[i] = 0;
    }
    uint64_t keys = nk_db_keys(&w->store->db, NULL);
    for (uint32_t i = 0; i < KEYS + HONEST; i++) check_key(w, i, TEST_NOW + 1000);
    assert_int_equal(nk_db_keys(&w->store->db, NULL), keys);
    test_step_all(w->store, TEST_NOW + 2000);
    test_step_all(w->store, TEST_NOW + 2000); /* what was in `old` during the first */
    assert_false(w->seg->draining);
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    assert_int_equal(st.keys_with_expiry, 0);
    assert_true(st.expired > 1);
    for (uint32_t i = 0; i < KEYS + HONEST; i++) check_key(w, i, TEST_NOW + 1000);
    world_close(w);
}

/* Without memory at any point the switch waits or goes on slowly, and no key is lost. */
static void switch__nth_call_refused__no_key_is_lost(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 14; n++) {
        struct world *w = world_open();
        for (uint32_t i = 0; i < HONEST; i++) assert_int_equal(set(w, KEYS + i), NITRO_OK);
        test_mem_fail(&w->mem, n, UINT64_MAX);
        for (uint32_t i = 0; i < 300; i++) {
            int rc = set(w, i);
            assert_true(rc == NITRO_OK || rc == NITRO_ENOMEM);
            if (i % 10 == 0) (void)reclaim(w, 4);
        }
        check_all(w);
        test_mem_fail(&w->mem, 0, 0);
        for (uint32_t i = 0; i < 300; i++) assert_int_equal(set(w, i), NITRO_OK);
        while (reclaim(w, 64)) {}
        assert_false(w->seg->draining);
        assert_int_equal(w->seg->epoch, NK_EPOCH_SIP);
        check_all(w);
        world_close(w);
    }
}

/* A flush in the middle of a drain takes both tables; the segment goes on with its new hash. */
static void switch__flush_during_it__both_tables_go(void **state) {
    (void)state;
    struct world *w = world_open();
    attack(w, HONEST);
    assert_true(w->seg->draining);
    assert_int_equal(nitro_flush(w->store, NULL), NITRO_OK);
    memset(w->value, 0, sizeof w->value);
    assert_false(w->seg->draining);
    check_all(w);
    for (uint32_t i = 0; i < 500; i++) assert_int_equal(set(w, i), NITRO_OK);
    test_step_all(w->store, TEST_NOW);
    assert_int_equal(w->seg->epoch, NK_EPOCH_SIP);
    check_all(w);
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    assert_int_equal(st.garbage_bytes, 0);
    assert_int_equal(st.hash_switches, 1);
    world_close(w);
}

/* Closing in the middle of a drain frees everything. */
static void switch__close_during_it__no_leak(void **state) {
    (void)state;
    struct world *w = world_open();
    attack(w, HONEST);
    assert_true(w->seg->draining);
    world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(switch__colliding_keys__begins_at_the_limit_and_once),
        cmocka_unit_test(switch__honest_keys__never),
        cmocka_unit_test(switch__drained_by_writes__bounded_and_complete),
        cmocka_unit_test(switch__drained_by_steps__bounded_and_complete),
        cmocka_unit_test(switch__random_operations_during_it__agree_with_the_model),
        cmocka_unit_test(switch__expiry_during_it__visible_at_once_reclaimed_later),
        cmocka_unit_test(switch__nth_call_refused__no_key_is_lost),
        cmocka_unit_test(switch__flush_during_it__both_tables_go),
        cmocka_unit_test(switch__close_during_it__no_leak),
    };
    test_rng_init(&rng, "switch");
    return cmocka_run_group_tests_name("switch", tests, NULL, NULL);
}
