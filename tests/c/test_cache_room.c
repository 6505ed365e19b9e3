/* SPDX-License-Identifier: MIT
 *
 * test_cache_room.c - the cache of mode bitcask has as much as it may, what is used stays in it, and it gives way when memory is
 * short; then everything together, against a model.
 */
#include "cache_rig.h"

#include "collide.h"

#define COLLIDE_BITS 9u

/* ---- how much, and which -----------------------------------------------------------------------*/

static void key_of(char key[16], uint64_t i) { snprintf(key, 16, "key%" PRIu64, i); }

static void fill_keys(struct bc *w, uint32_t count, uint32_t bytes) {
    static uint8_t value[4096];
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        key_of(key, i);
        memset(value, (int)('a' + i % 26), bytes);
        assert_int_equal(bc_set(w, key, value, bytes), NITRO_OK);
    }
    bc_persist(w);
}

static void read_key(struct bc *w, uint32_t i, uint32_t bytes) {
    uint8_t got[4096];
    struct nitro_info info;
    char key[16];
    key_of(key, i);
    assert_int_equal(nitro_get(w->store, w->now_ms, key, strlen(key), got, sizeof got, &info),
                     NITRO_OK);
    assert_int_equal(info.bytes, bytes);
    assert_int_equal(got[bytes - 1], 'a' + i % 26);
}

/* Of 1000 values a tenth fits. One that is read all the time stays, whatever else is read once. */
static void evict__one_is_used__it_stays(void **state) {
    (void)state;
    enum { KEYS = 1000, BYTES = 100 };
    struct bc w;
    bc_open_cached(&w, 1, KEYS / 10 * (BYTES + 9));
    fill_keys(&w, KEYS, BYTES);
    read_key(&w, 0, BYTES);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 1; i < KEYS; i++) {
            read_key(&w, i, BYTES);
            bc_watch(&w, NULL, 0);
            read_key(&w, 0, BYTES);
            w.watching = false;
            if (w.reads != 0) test_fail("the value was evicted after %u others", i);
        }
        check_accounts(&w);
    }
    struct nitro_data_files f = bc_files(&w);
    assert_true(f.cache_evictions > KEYS);               /* and the others take turns … */
    assert_true(f.cache_values > KEYS / 10 - KEYS / 50); /* … all the room being used */
    bc_close(&w);
}

/* What other segments have used up comes back by the step: nothing cached is beyond the reach of the hand. */
static void step__memory_is_short__evicts_down_to_nothing(void **state) {
    (void)state;
    enum { KEYS = 300, BYTES = 500 };
    struct bc w;
    struct nitro_stats st;
    struct nitro_step_result r;
    bc_open_cached(&w, 4, PLENTY);
    fill_keys(&w, KEYS, BYTES);
    for (int n = 0; n < 2; n++) /* all of them with the mark */
        for (uint32_t i = 0; i < KEYS; i++) read_key(&w, i, BYTES);
    assert_int_equal(bc_files(&w).cache_values, KEYS);
    nitro_stats(w.store, &st);
    nitro_set_max_memory(w.store, st.used_bytes + st.used_bytes / 4);
    test_step_all(w.store, w.now_ms);
    assert_int_equal(bc_files(&w).cache_values, KEYS); /* there is room enough */
    nitro_set_max_memory(w.store, st.used_bytes);
    do assert_int_equal(nitro_step(w.store, NITRO_STEP_RECLAIM, w.now_ms, 1, &r), NITRO_OK);
    while (r.more);
    assert_in_range(bc_files(&w).cache_values, KEYS / 2,
                    KEYS - 1); /* a 64th is free now, and not much more */
    nitro_set_max_memory(w.store, 1);
    test_step_all(w.store, w.now_ms);
    assert_int_equal(bc_files(&w).cache_values, 0);
    check_accounts(&w);
    read_key(&w, 7, BYTES); /* nothing is cached while there is no memory for it */
    assert_int_equal(bc_files(&w).cache_values, 0);
    test_check_bounds(w.store);
    bc_close(&w);
}

static int look_at(struct bc *w, const char *key, uint8_t *got, size_t cap) {
    struct nitro_info info = {0};
    struct nitro_away away = {0};
    int rc = nitro_get_away(w->store, w->now_ms, key, strlen(key), got, cap, &info, &away);
    if (rc != NITRO_AWAY) return rc;
    assert_int_equal(nitro_fetch(w->store, key, strlen(key), got, cap, &info, &away), NITRO_OK);
    if (away.keep) nitro_keep(w->store, w->now_ms, key, strlen(key), got, &info, &away);
    return NITRO_AWAY;
}

/* Cached values go before a write is refused; and a copy of one of them is right although room is made for it. */
static void put__memory_is_short__cached_values_go_first(void **state) {
    (void)state;
    enum { KEYS = 400, BYTES = 500 };
    struct bc w;
    struct nitro_stats st;
    uint32_t copies = 0;
    bc_open_cached(&w, 1, PLENTY);
    fill_keys(&w, KEYS, BYTES);
    for (uint32_t i = 0; i < KEYS; i++) read_key(&w, i, BYTES);
    for (uint32_t i = 0; i < KEYS; i++) {
        char from[16], to[24];
        uint8_t got[BYTES];
        key_of(from, i);
        snprintf(to, sizeof to, "copy of %s", from);
        nitro_stats(w.store, &st);
        nitro_set_max_memory(w.store, st.used_bytes); /* each copy has to make room */
        if (look_at(&w, from, got, BYTES) == NITRO_AWAY) continue;
        assert_int_equal(nitro_move(w.store, w.now_ms, from, strlen(from), to, strlen(to),
                                    NITRO_MOVE_KEEP, NULL),
                         NITRO_OK);
        bc_persist(&w);
        assert_int_equal(look_at(&w, to, got, BYTES), NITRO_AWAY);
        for (uint32_t b = 0; b < BYTES; b++) assert_int_equal(got[b], 'a' + i % 26);
        copies++;
    }
    assert_true(copies > 5);
    assert_true(bc_files(&w).cache_evictions > 0);
    /* In the end a write is refused, when nothing is left that could go: a step finds what the write has not. */
    uint64_t before = UINT64_MAX;
    for (uint32_t i = KEYS; bc_files(&w).cache_values != before; i++) {
        char key[16];
        key_of(key, i);
        int rc = bc_set(&w, key, "more", 4);
        assert_true(rc == NITRO_OK || rc == NITRO_EMAXMEMORY);
        if (rc == NITRO_OK) continue;
        before = bc_files(&w).cache_values;
        test_step_all(w.store, w.now_ms);
    }
    assert_int_equal(before, 0);
    check_accounts(&w);
    bc_close(&w);
}

/* All keys in one chain: the hand goes by at the value that is being copied, and takes the others. */
static void copy__its_own_chain_is_swept__value_stays(void **state) {
    (void)state;
    enum { KEYS = 8, BYTES = 1000 };
    struct bc w;
    struct nitro_stats st;
    uint8_t got[BYTES];
    bc_open_cached(&w, 1, PLENTY);
    fill_keys(&w, KEYS, BYTES);
    for (uint32_t i = 0; i < KEYS; i++) read_key(&w, i, BYTES);
    nitro_stats(w.store, &st);
    nitro_set_max_memory(w.store, st.used_bytes);
    assert_int_equal(nitro_move(w.store, w.now_ms, "key3", 4, "copy", 4, NITRO_MOVE_KEEP, NULL),
                     NITRO_OK);
    assert_int_equal(bc_files(&w).cache_values, 1);
    bc_persist(&w);
    assert_int_equal(look_at(&w, "copy", got, BYTES), NITRO_AWAY);
    for (uint32_t b = 0; b < BYTES; b++) assert_int_equal(got[b], 'a' + 3);
    check_accounts(&w);
    bc_close(&w);
}

/* The first put of a batch is to be made in the block that is there, cached value and all: the second doesn't take that
 * away. Here it is refused instead, and so is all of the batch. */
static void batch__a_block_is_promised__it_is_not_evicted(void **state) {
    (void)state;
    struct bc w;
    struct nitro_stats st;
    uint8_t got[16];
    struct nitro_op op[] = {{.key = "aaaa",
                             .key_bytes = 4,
                             .value = "b",
                             .value_bytes = 1,
                             .expire_ms = TEST_NOW + 9000},
                            {.key = "new", .key_bytes = 3, .value = "c", .value_bytes = 1}};
    bc_open_cached(&w, 1, PLENTY);
    assert_int_equal(bc_set(&w, "aaaa", "elevenbytes", 11), NITRO_OK);
    assert_int_equal(bc_set(&w, "bbbb", "elevenbytes", 11), NITRO_OK);
    bc_persist(&w);
    bc_ask(&w, "GET aaaa\r\n", "$11\r\nelevenbytes\r\n");
    nitro_stats(w.store, &st);
    nitro_set_max_memory(w.store, st.used_bytes);
    assert_int_equal(nitro_write(w.store, w.now_ms, op, 2, NULL), NITRO_EMAXMEMORY);
    assert_int_equal(bc_files(&w).cache_values, 1);
    assert_int_equal(look_at(&w, "aaaa", got, sizeof got), NITRO_OK);
    nitro_set_max_memory(w.store, 0);
    assert_int_equal(nitro_write(w.store, w.now_ms, op, 2, NULL), NITRO_OK);
    bc_ask(&w, "MGET aaaa bbbb new\r\n", "*3\r\n$1\r\nb\r\n$11\r\nelevenbytes\r\n$1\r\nc\r\n");
    check_accounts(&w);
    bc_close(&w);
}

/* ---- while a segment changes its hash ----------------------------------------------------------*/

static void put_colliding(struct bc *w, const uint8_t *seed, uint32_t i) {
    uint8_t key[COLLIDE_KEY_MAX];
    size_t n = collide_key(seed, COLLIDE_BITS, i, key);
    while (nitro_set(w->store, w->now_ms, key, n, &i, sizeof i, 0, 0, 0, NULL) != NITRO_OK)
        bc_persist(w);
}

static void read_colliding(struct bc *w, const uint8_t *seed, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[COLLIDE_KEY_MAX];
        struct nitro_info info;
        uint32_t got = UINT32_MAX;
        size_t n = collide_key(seed, COLLIDE_BITS, i, key);
        assert_int_equal(nitro_get(w->store, w->now_ms, key, n, &got, sizeof got, &info), NITRO_OK);
        assert_int_equal(got, i);
    }
}

/* What is cached stays right while entries move from the old table to the new one; nothing is added meanwhile. */
static void switch__under_way__cached_values_move_along(void **state) {
    (void)state;
    struct bc w;
    uint32_t keys = 0;
    bc_open_cached(&w, 1, PLENTY);
    struct nitro_options opt = test_options(&w.mem, 1);
    struct nk_seg *s = &w.store->db.seg[0];
    for (; s->epoch == NK_EPOCH_FNV && keys < 1u << COLLIDE_BITS; keys++) {
        put_colliding(&w, opt.seed, keys);
        if (keys == 20) read_colliding(&w, opt.seed, 10);
    }
    assert_true(s->draining && bc_files(&w).cache_values == 10);
    read_colliding(&w, opt.seed, keys);
    assert_int_equal(bc_files(&w).cache_values, 10);
    assert_int_equal(bc_files(&w).cache_hits, 10);
    test_step_all(w.store, w.now_ms);
    assert_false(s->draining);
    for (int n = 0; n < 2; n++) read_colliding(&w, opt.seed, keys);
    assert_int_equal(bc_files(&w).cache_values, keys);
    assert_int_equal(bc_files(&w).cache_hits, 10 + 10 + keys);
    check_accounts(&w);
    nitro_set_max_memory(w.store, 1);
    test_step_all(w.store, w.now_ms);
    assert_int_equal(bc_files(&w).cache_values, 0);
    test_check_bounds(w.store);
    bc_close(&w);
}

/* ---- memory ------------------------------------------------------------------------------------*/

/* No memory for a larger block: the value is not cached, and the answer is the same. */
static void get__no_memory_for_the_cache__answered_all_the_same(void **state) {
    (void)state;
    enum { KEYS = 60, BYTES = 4000 };
    struct bc w;
    bc_open_cached(&w, 1, PLENTY);
    fill_keys(&w, KEYS, BYTES);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        uint8_t got[BYTES];
        struct nitro_info info = {0};
        struct nitro_away away = {0};
        key_of(key, i);
        int rc = nitro_get_away(w.store, w.now_ms, key, strlen(key), got, BYTES, &info, &away);
        assert_int_equal(rc, NITRO_AWAY);
        assert_int_equal(nitro_fetch(w.store, key, strlen(key), got, BYTES, &info, &away),
                         NITRO_OK);
        test_mem_fail(&w.mem, 1, i < KEYS / 2 ? 1000 : 0);
        nitro_keep(w.store, w.now_ms, key, strlen(key), got, &info, &away);
        test_mem_fail(&w.mem, 0, 0);
        read_key(&w, i, BYTES);
    }
    check_accounts(&w);
    bc_close(&w);
}

/* ---- everything together, against a model ------------------------------------------------------*/

enum { MODEL_KEYS = 400, MODEL_LONGEST = 5000 };

struct model_value {
    uint32_t bytes;
    uint8_t fill;
    bool there;
    int64_t expire_ms;
};

static struct model_value *model_live(struct model_value *m, int64_t now_ms) {
    if (m->expire_ms != 0 && m->expire_ms <= now_ms) *m = (struct model_value){0};
    return m;
}

static void model_read(struct bc *w, struct model_value *m, uint32_t i) {
    uint8_t got[MODEL_LONGEST];
    struct nitro_info info = {0};
    char key[16];
    key_of(key, i);
    model_live(m, w->now_ms);
    int rc = nitro_get(w->store, w->now_ms, key, strlen(key), got, sizeof got, &info);
    assert_int_equal(rc, m->there ? NITRO_OK : NITRO_ENOTFOUND);
    if (!m->there) return;
    assert_int_equal(info.bytes, m->bytes);
    assert_int_equal(info.expire_ms, m->expire_ms);
    for (uint32_t b = 0; b < m->bytes; b++) assert_int_equal(got[b], m->fill);
}

static void model_put(struct bc *w, struct test_rng *rng, struct model_value *m, uint32_t i) {
    uint8_t value[MODEL_LONGEST];
    uint64_t most = test_rng_below(rng, 8) == 0 ? MODEL_LONGEST : 600;
    struct model_value to = {.bytes = (uint32_t)test_rng_below(rng, most),
                             .fill = (uint8_t)test_rng_next(rng),
                             .there = true};
    char key[16];
    key_of(key, i);
    if (test_rng_below(rng, 4) == 0)
        to.expire_ms = w->now_ms + 1 + (int64_t)test_rng_below(rng, 20000);
    memset(value, to.fill, sizeof value);
    int rc =
        nitro_set(w->store, w->now_ms, key, strlen(key), value, to.bytes, 0, 0, to.expire_ms, NULL);
    if (rc == NITRO_ELOGFULL) bc_persist(w);
    if (rc == NITRO_OK) *m = to;
    assert_true(rc == NITRO_OK || rc == NITRO_ELOGFULL || rc == NITRO_EMAXMEMORY);
}

static void model_remove(struct bc *w, struct model_value *m, uint32_t i) {
    char key[16];
    key_of(key, i);
    model_live(m, w->now_ms);
    int rc = nitro_delete(w->store, w->now_ms, key, strlen(key), NULL);
    if (rc == NITRO_ELOGFULL) {
        bc_persist(w);
        return;
    }
    assert_int_equal(rc, m->there ? NITRO_OK : NITRO_ENOTFOUND);
    *m = (struct model_value){0};
}

static void model_expire(struct bc *w, struct test_rng *rng, struct model_value *m, uint32_t i) {
    char key[16];
    int64_t at = w->now_ms + 1 + (int64_t)test_rng_below(rng, 20000);
    key_of(key, i);
    model_live(m, w->now_ms);
    int rc = nitro_expire(w->store, w->now_ms, key, strlen(key), at, NULL);
    if (rc == NITRO_ELOGFULL) bc_persist(w);
    if (rc == NITRO_OK) m->expire_ms = at;
    if (rc == NITRO_ENOTFOUND) assert_false(m->there);
}

static void model_rename(struct bc *w, struct model_value *all, uint32_t i, uint32_t j) {
    char from[16], to[16];
    key_of(from, i);
    key_of(to, j);
    struct model_value *m = model_live(&all[i], w->now_ms);
    int rc = nitro_move(w->store, w->now_ms, from, strlen(from), to, strlen(to), 0, NULL);
    if (rc == NITRO_ELOGFULL) bc_persist(w);
    if (rc == NITRO_ENOTFOUND) assert_false(m->there);
    if (rc != NITRO_OK || i == j) return;
    assert_true(m->there);
    all[j] = *m;
    *m = (struct model_value){0};
}

static void model_write_several(struct bc *w, struct test_rng *rng, struct model_value *all) {
    struct nitro_op op[8];
    char key[8][16];
    uint32_t first = (uint32_t)test_rng_below(rng, MODEL_KEYS - 8);
    uint8_t fill = (uint8_t)test_rng_next(rng), value[16];
    memset(value, fill, sizeof value);
    for (uint32_t i = 0; i < 8; i++) {
        key_of(key[i], first + i);
        op[i] = (struct nitro_op){.key = key[i],
                                  .key_bytes = strlen(key[i]),
                                  .value = value,
                                  .value_bytes = sizeof value};
    }
    int rc = nitro_write(w->store, w->now_ms, op, 8, NULL);
    if (rc == NITRO_ELOGFULL) bc_persist(w);
    for (uint32_t i = 0; rc == NITRO_OK && i < 8; i++)
        all[first + i] = (struct model_value){.bytes = sizeof value, .fill = fill, .there = true};
}

static void model_rare(struct bc *w, struct test_rng *rng, struct model_value *all) {
    switch (test_rng_below(rng, 8)) {
    case 0:
        if (nitro_flush(w->store, NULL) == NITRO_OK) memset(all, 0, MODEL_KEYS * sizeof *all);
        break;
    case 1:
        bc_merge(w);
        break;
    case 2: { /* there is much, or little, or no end of memory */
        struct nitro_stats st;
        nitro_stats(w->store, &st);
        uint64_t max = test_rng_below(rng, 3) == 0 ? 0 : st.used_bytes + test_rng_below(rng, 30000);
        nitro_set_max_memory(w->store, max);
        break;
    }
    case 3:
        w->now_ms += (int64_t)test_rng_below(rng, 10000);
        break;
    case 4:
        bc_persist(w);
        break;
    default:
        test_step_all(w->store, w->now_ms);
        break;
    }
}

static void model_act(struct bc *w, struct test_rng *rng, struct model_value *all) {
    uint32_t i = (uint32_t)test_rng_below(rng, MODEL_KEYS);
    uint64_t what = test_rng_below(rng, 1000);
    if (what < 600)
        model_read(w, &all[i], i);
    else if (what < 850)
        model_put(w, rng, &all[i], i);
    else if (what < 900)
        model_remove(w, &all[i], i);
    else if (what < 930)
        model_expire(w, rng, &all[i], i);
    else if (what < 960)
        model_rename(w, all, i, (uint32_t)test_rng_below(rng, MODEL_KEYS));
    else if (what < 990)
        model_write_several(w, rng, all);
    else
        model_rare(w, rng, all);
}

/* Random reads and writes beside merges, flushes, steps, time that passes and memory that gets short. */
static void cache__random_load__model_agrees_and_size_is_bounded(void **state) {
    (void)state;
    static struct model_value all[MODEL_KEYS];
    static const uint64_t sizes[] = {1, 700, 20000, PLENTY};
    struct test_rng rng;
    test_rng_init(&rng, "cache");
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++) {
        struct bc w;
        uint64_t hits = 0;
        memset(all, 0, sizeof all);
        bc_open_cached(&w, 1u << n, sizes[n]);
        for (uint64_t i = test_scale(12000); i > 0; i--) {
            model_act(&w, &rng, all);
            if (i % 64 == 0) check_accounts(&w);
        }
        nitro_set_max_memory(w.store, 0);
        for (uint32_t i = 0; i < MODEL_KEYS; i++) model_read(&w, &all[i], i);
        check_accounts(&w);
        hits = bc_files(&w).cache_hits;
        /* However full the cache is: the hand of the clock comes round, and one that is asked for again and again gets in. */
        assert_int_equal(bc_set(&w, "often", "x", 1), NITRO_OK);
        bc_persist(&w);
        for (int i = 0; i < 10000 && bc_files(&w).cache_hits == hits; i++)
            bc_same(&w, "often", (const uint8_t *)"x", 1);
        assert_true(sizes[n] < 20000 || bc_files(&w).cache_hits > hits);
        bc_ask(&w, "DELETE often\r\n", "+OK\r\n");
        test_check_bounds(w.store);
        for (uint32_t i = 0; i < MODEL_KEYS; i++)
            while (model_live(&all[i], w.now_ms)->there) model_remove(&w, &all[i], i);
        /* what has run out within this second is not due yet: expiries of neighbours are kept in whole seconds */
        w.now_ms += 1000;
        test_step_all(w.store, w.now_ms);
        assert_int_equal(bc_files(&w).cache_values, 0);
        check_accounts(&w);
        bc_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evict__one_is_used__it_stays),
        cmocka_unit_test(step__memory_is_short__evicts_down_to_nothing),
        cmocka_unit_test(put__memory_is_short__cached_values_go_first),
        cmocka_unit_test(copy__its_own_chain_is_swept__value_stays),
        cmocka_unit_test(batch__a_block_is_promised__it_is_not_evicted),
        cmocka_unit_test(switch__under_way__cached_values_move_along),
        cmocka_unit_test(get__no_memory_for_the_cache__answered_all_the_same),
        cmocka_unit_test(cache__random_load__model_agrees_and_size_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
