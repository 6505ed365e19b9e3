/* SPDX-License-Identifier: MIT
 *
 * test_seg.c - find, reserve, apply and abort on single keys, and several reservations in one lock hold.
 *
 * HOW   Stores with one segment, driven through seg.h as the verbs drive it, always under the lock. What
 *       was put is read back byte for byte; values are filled from a seed that the test remembers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "collide.h"
#include "db.h"
#include "support.h"

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct nk_seg *seg;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, 1);
    w->store = test_open(&w->opt);
    w->seg = nk_db_seg(&w->store->db, 0);
    assert_true(nk_seg_lock(w->seg));
}

static void world_close(struct world *w) {
    nk_seg_unlock(w->seg);
    assert_int_equal(w->seg->pending, 0);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* ---- one key -----------------------------------------------------------------------------------*/

static uint8_t text[131072]; /* source of all keys and values: text[i .. i + n) for a seed i */

static void fill_text(void) {
    for (uint32_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * 37 + i / 251 + i / 8191);
}
static const uint8_t *bytes_of(uint32_t seed) { return text + seed % 1000; }

static struct nk_item look(struct world *w, struct nk_key *k, const void *p, uint32_t n,
                           int64_t now) {
    struct nk_item it;
    nk_key_init(&w->store->db, p, n, k);
    nk_seg_find(w->seg, k, now, false, &it);
    return it;
}

static struct nk_effect put_of(const void *val, uint32_t n, int64_t expire_ms) {
    return (struct nk_effect){
        .kind = NK_EFFECT_PUT, .val = val, .bytes = n, .expire_ms = expire_ms};
}

/* One effect by reserve and apply; its version. */
static uint64_t run(struct world *w, const void *key, uint32_t n, struct nk_effect e) {
    struct nk_key k;
    struct nk_item it = look(w, &k, key, n, TEST_NOW);
    uint64_t version = 0;
    assert_int_equal(nk_seg_put(w->seg, &k, &it, &e, TEST_NOW, &version), NITRO_OK);
    assert_int_equal(w->seg->pending, 0);
    return version;
}

static void expect(struct world *w, const void *key, uint32_t n, const void *val, uint32_t bytes,
                   uint64_t version, int64_t expire_ms) {
    struct nk_key k;
    struct nk_item it = look(w, &k, key, n, TEST_NOW);
    assert_true(it.found);
    assert_int_equal(it.bytes, bytes);
    assert_memory_equal(it.val, val, bytes);
    assert_int_equal(it.version, version);
    assert_int_equal(it.expire_ms, expire_ms);
}

static void expect_none(struct world *w, const void *key, uint32_t n) {
    struct nk_key k;
    assert_false(look(w, &k, key, n, TEST_NOW).found);
}

static struct nitro_stats stats(struct world *w) {
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    return st;
}

static const uint32_t key_sizes[] = {0, 1, 3, 4, 7, 8, 9, 16, 255, 256, 4100, 65535};
static const uint32_t value_sizes[] = {0,    1,    20,   300,  3800, 4040, 4041,
                                       4060, 4068, 4069, 4096, 9000, 65535};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Every length of key with every length of value is put, read back, given an expiry and deleted. */
static void seg__every_key_and_value_length__round_trip(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    for (uint32_t a = 0; a < COUNT(key_sizes); a++) {
        for (uint32_t b = 0; b < COUNT(value_sizes); b++) {
            const uint8_t *key = key_sizes[a] == 0 ? NULL : bytes_of(a), *val = bytes_of(500 + b);
            uint32_t kn = key_sizes[a], vn = value_sizes[b];
            uint64_t v1 = run(&w, key, kn, put_of(val, vn, 0));
            expect(&w, key, kn, val, vn, v1, 0);
            struct nk_effect ex = {.kind = NK_EFFECT_EXPIRE, .expire_ms = TEST_NOW + 5};
            uint64_t v2 = run(&w, key, kn, ex);
            assert_true(v2 > v1);
            expect(&w, key, kn, val, vn, v2, TEST_NOW + 5);
            assert_int_equal(stats(&w).key_bytes, kn);
            assert_int_equal(stats(&w).value_bytes, vn);
            assert_int_equal(stats(&w).keys_with_expiry, 1);
            uint64_t v3 = run(&w, key, kn, (struct nk_effect){.kind = NK_EFFECT_DELETE});
            assert_true(v3 > v2);
            expect_none(&w, key, kn);
        }
    }
    assert_int_equal(stats(&w).keys + stats(&w).key_bytes + stats(&w).value_bytes, 0);
    assert_int_equal(nk_arena_span_bytes(&w.seg->arena), 0);
    world_close(&w);
}

/* Keys that differ in one byte, or in length only, are different keys. */
static void seg_find__nearly_equal_keys__are_told_apart(void **state) {
    (void)state;
    struct world w;
    uint8_t key[300];
    uint64_t version[300];
    world_open(&w);
    memset(key, 'k', sizeof key);
    for (uint32_t n = 0; n < 300; n++) version[n] = run(&w, key, n, put_of(bytes_of(n), n, 0));
    for (uint32_t n = 0; n < 300; n++) expect(&w, key, n, bytes_of(n), n, version[n], 0);
    for (uint32_t n = 1; n < 300; n++) {
        for (uint32_t i = 0; i<n; i += n> 40 ? 7 : 1) {
            key[i] ^= 1;
            expect_none(&w, key, n);
            key[i] ^= 1;
        }
    }
    world_close(&w);
}

/* Overwrites with a value of every nearby length, in place or not, never harm the neighbours. */
static void seg_put__overwrites_of_all_lengths__neighbours_unharmed(void **state) {
    (void)state;
    static const uint32_t around[] = {20, 230, 3990, 4032, 4060, 4100, 20000};
    for (uint32_t a = 0; a < COUNT(around); a++) {
        struct world w;
        uint64_t vl, vr;
        world_open(&w);
        vl = run(&w, "left", 4, put_of(bytes_of(1), around[a], 0));
        run(&w, "m", 1, put_of(bytes_of(2), around[a], 0));
        vr = run(&w, "right", 5, put_of(bytes_of(3), around[a], 0));
        for (uint32_t i = 0; i < 160; i++) {
            uint32_t n = around[a] - 20 + i * 7 % 120;
            int64_t expire = i % 5 == 0 ? TEST_NOW + i + 1 : 0;
            uint64_t v = run(&w, "m", 1, put_of(bytes_of(i), n, expire));
            expect(&w, "m", 1, bytes_of(i), n, v, expire);
            expect(&w, "left", 4, bytes_of(1), around[a], vl, 0);
            expect(&w, "right", 5, bytes_of(3), around[a], vr, 0);
            assert_int_equal(stats(&w).keys_with_expiry, expire != 0);
            assert_int_equal(stats(&w).value_bytes, 2 * around[a] + n);
        }
        world_close(&w);
    }
}

/* An overwrite of equal length stays in its block; one that is much shorter moves to a smaller one. */
static void seg_put__equal_and_shorter_values__in_place_and_not(void **state) {
    (void)state;
    struct world w;
    struct nk_key k;
    world_open(&w);
    for (uint32_t n = 100; n <= 10000; n *= 10) {
        run(&w, "k", 1, put_of(bytes_of(1), n, 0));
        uint32_t ref = look(&w, &k, "k", 1, TEST_NOW).ref;
        uint64_t used = nk_seg_live_bytes(w.seg);
        run(&w, "k", 1, put_of(bytes_of(2), n, 0));
        struct nk_item it = look(&w, &k, "k", 1, TEST_NOW);
        assert_int_equal(it.ref, ref);
        assert_int_equal(nk_seg_live_bytes(w.seg), used);
        assert_in_range(nk_seg_usage(w.seg, &it), n, n + 200);
        run(&w, "k", 1, put_of(bytes_of(2), n / 2, 0));
        assert_int_not_equal(look(&w, &k, "k", 1, TEST_NOW).ref, ref);
        assert_true(nk_seg_live_bytes(w.seg) < used);
    }
    world_close(&w);
}

/* An expiry is added, changed, removed and kept; an expired entry is not found, but can be replaced. */
static void seg_expire__add_change_remove__counted_and_visible(void **state) {
    (void)state;
    struct world w;
    struct nk_key k;
    world_open(&w);
    run(&w, "k", 1, put_of("value", 5, 0));
    static const int64_t times[] = {TEST_NOW + 1, TEST_NOW + 900, 0, TEST_NOW + 2, 0, 0, INT64_MAX};
    for (uint32_t i = 0; i < COUNT(times); i++) {
        struct nk_effect e = {.kind = NK_EFFECT_EXPIRE, .expire_ms = times[i]};
        uint64_t v = run(&w, "k", 1, e);
        expect(&w, "k", 1, "value", 5, v, times[i]);
        assert_int_equal(stats(&w).keys_with_expiry, times[i] != 0);
    }
    run(&w, "k", 1, put_of("next", 4, TEST_NOW + 10));
    assert_true(look(&w, &k, "k", 1, TEST_NOW + 9).found);
    struct nk_item it = look(&w, &k, "k", 1, TEST_NOW + 10);
    assert_false(it.found);
    assert_null(it.val);
    assert_int_equal(it.version + (uint64_t)it.expire_ms + it.bytes, 0);
    struct nk_effect put = put_of("new", 3, 0);
    assert_int_equal(nk_seg_put(w.seg, &k, &it, &put, TEST_NOW + 10, NULL), NITRO_OK);
    assert_true(look(&w, &k, "k", 1, TEST_NOW + 10).found);
    assert_int_equal(stats(&w).expired, 1);
    assert_int_equal(stats(&w).keys, 1);
    assert_int_equal(stats(&w).keys_with_expiry, 0);
    world_close(&w);
}

/* A look-up that is asked to count adds to hits or misses, another one does not. */
static void seg_find__counted_or_not__hits_and_misses(void **state) {
    (void)state;
    struct world w;
    struct nk_key k;
    struct nk_item it;
    world_open(&w);
    run(&w, "k", 1, put_of("v", 1, 0));
    nk_key_init(&w.store->db, "k", 1, &k);
    for (int i = 0; i < 3; i++) nk_seg_find(w.seg, &k, TEST_NOW, true, &it);
    nk_key_init(&w.store->db, "x", 1, &k);
    for (int i = 0; i < 2; i++) nk_seg_find(w.seg, &k, TEST_NOW, true, &it);
    nk_seg_find(w.seg, &k, TEST_NOW, false, &it);
    assert_int_equal(stats(&w).hits, 3);
    assert_int_equal(stats(&w).misses, 2);
    world_close(&w);
}

/* A large value is shared, not copied; replacing and deleting it lets go of it. */
static void seg_put__large_value__reference_counted(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    struct nk_big *big = nk_big_new(&w.store->db, text, 100000);
    assert_non_null(big);
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .big = big};
    uint64_t v = run(&w, "k", 1, e);
    assert_int_equal(big->refs, 2);
    expect(&w, "k", 1, text, 100000, v, 0);
    run(&w, "other", 5, e);
    assert_int_equal(big->refs, 3);
    assert_int_equal(stats(&w).value_bytes, 200000);
    v = run(&w, "k", 1, (struct nk_effect){.kind = NK_EFFECT_EXPIRE, .expire_ms = TEST_NOW + 9});
    assert_int_equal(big->refs, 3);
    expect(&w, "k", 1, text, 100000, v, TEST_NOW + 9);
    run(&w, "k", 1, e); /* by itself: in place */
    assert_int_equal(big->refs, 3);
    run(&w, "k", 1, put_of("small", 5, 0));
    run(&w, "other", 5, (struct nk_effect){.kind = NK_EFFECT_DELETE});
    assert_int_equal(big->refs, 1);
    assert_int_equal(w.seg->bigs, 0);
    nk_big_release(&w.store->db, big);
    world_close(&w);
}

/* ---- reservations ------------------------------------------------------------------------------*/

/* A reservation that is given back leaves contents, versions and accounts as they were. */
static void seg_abort__all_kinds_of_effects__nothing_changed(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    uint64_t v = run(&w, "k", 1, put_of("value", 5, 0));
    struct nk_effect effects[] = {put_of("again", 5, 0),
                                  put_of(text, 5000, 0),
                                  put_of(text, 65535, TEST_NOW + 1),
                                  {.kind = NK_EFFECT_DELETE},
                                  {.kind = NK_EFFECT_EXPIRE, .expire_ms = TEST_NOW + 7}};
    uint64_t live = nk_seg_live_bytes(w.seg);
    for (uint32_t pending = 1; pending <= 3; pending++) {
        for (uint32_t i = 0; i < COUNT(effects); i++) {
            struct nk_resv r[3];
            struct nk_key k;
            for (uint32_t j = 0; j < pending; j++) {
                bool fresh = j == 1 && effects[i].kind == NK_EFFECT_PUT; /* an insert among them */
                struct nk_item it = look(&w, &k, fresh ? "n" : "k", 1, TEST_NOW);
                assert_int_equal(nk_seg_reserve(w.seg, &k, &it, &effects[i], &r[j]), NITRO_OK);
            }
            for (uint32_t j = 0; j < pending; j++) nk_seg_abort(w.seg, &r[j]);
            assert_int_equal(nk_seg_live_bytes(w.seg), live);
            expect(&w, "k", 1, "value", 5, v, 0);
            expect_none(&w, "n", 1);
        }
    }
    world_close(&w);
}

struct step {
    char key;
    uint32_t bytes; /* of a put; DELETE for a delete */
};
#define DELETE UINT32_MAX
#define STEPS_MAX 6u

/* All reserved against the state before, then applied in order. */
static void run_together(struct world *w, const struct step *s, uint32_t n) {
    struct nk_key k[STEPS_MAX];
    struct nk_item it[STEPS_MAX];
    struct nk_resv r[STEPS_MAX];
    struct nk_effect e[STEPS_MAX];
    uint64_t last = 0;
    for (uint32_t i = 0; i < n; i++) {
        it[i] = look(w, &k[i], &s[i].key, 1, TEST_NOW);
        e[i] = s[i].bytes == DELETE ? (struct nk_effect){.kind = NK_EFFECT_DELETE}
                                    : put_of(bytes_of(i * 10), s[i].bytes, 0);
        assert_int_equal(nk_seg_reserve(w->seg, &k[i], &it[i], &e[i], &r[i]), NITRO_OK);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v =
            nk_seg_apply(w->seg, &k[i], &it[i], &e[i], &r[i], TEST_NOW, (struct nk_logged){0});
        assert_int_equal(r[i].ref + r[i].overflow, 0);
        assert_true(v > last);
        last = v;
    }
}

/* Several effects of one hold on the same and on other keys end as if they had run one by one. */
static void seg_apply__duplicates_in_one_hold__last_one_counts(void **state) {
    (void)state;
    static const struct step holds[][STEPS_MAX] = {
        {{'a', 10}, {'a', 10}, {'a', 10}},
        {{'a', 10}, {'b', 10}, {'a', 4000}, {'b', DELETE}},
        {{'a', DELETE}, {'a', 50}, {'b', 60}},
        {{'a', 5}, {'a', DELETE}, {'a', 6}, {'a', DELETE}},
        {{'b', DELETE}, {'a', DELETE}, {'a', DELETE}},
        {{'c', 5}, {'c', 500}, {'c', 50}, {'a', 9}, {'c', 5000}, {'b', 3}}};
    for (uint32_t h = 0; h < COUNT(holds); h++) {
        struct world w;
        uint32_t n = 0, size[3] = {10, 10, DELETE}, from[3] = {700, 700, 0};
        world_open(&w);
        run(&w, "a", 1, put_of(bytes_of(700), 10, 0));
        run(&w, "b", 1, put_of(bytes_of(700), 10, 0));
        for (; n < STEPS_MAX && holds[h][n].key != 0; n++) {
            size[holds[h][n].key - 'a'] = holds[h][n].bytes;
            from[holds[h][n].key - 'a'] = n * 10;
        }
        run_together(&w, holds[h], n);
        uint64_t keys = 0, bytes = 0;
        for (uint32_t i = 0; i < 3; i++) {
            char key = (char)('a' + i);
            struct nk_key k;
            struct nk_item it = look(&w, &k, &key, 1, TEST_NOW);
            assert_int_equal(it.found, size[i] != DELETE);
            if (!it.found) continue;
            assert_int_equal(it.bytes, size[i]);
            assert_memory_equal(it.val, bytes_of(from[i]), size[i]);
            keys++;
            bytes += size[i];
        }
        assert_int_equal(stats(&w).keys, keys);
        assert_int_equal(stats(&w).key_bytes, keys);
        assert_int_equal(stats(&w).value_bytes, bytes);
        assert_int_equal(w.seg->over.used, 0);
        world_close(&w);
    }
}

#define HOLD_KEYS 10000u
#define HOLD_BITS 14u

/* One hold of ten thousand new keys with one hash, each twice, switches the hash in its midst. */
static void seg_apply__giant_hold_of_colliding_keys__all_arrive(void **state) {
    (void)state;
    struct world w;
    uint32_t n = (uint32_t)nk_min_u64(test_scale(HOLD_KEYS), 1u << HOLD_BITS), total = 2 * n;
    struct hold {
        uint8_t key[COLLIDE_KEY_MAX];
        struct nk_key k;
        struct nk_item it;
        struct nk_resv r;
    } *h = calloc(total, sizeof *h);
    assert_non_null(h);
    world_open(&w);
    for (uint32_t i = 0; i < total; i++) {
        size_t kn = collide_key(w.opt.seed, HOLD_BITS, i % n, h[i].key);
        struct nk_effect e = put_of(&i, sizeof i, 0);
        h[i].it = look(&w, &h[i].k, h[i].key, (uint32_t)kn, TEST_NOW);
        assert_int_equal(nk_seg_reserve(w.seg, &h[i].k, &h[i].it, &e, &h[i].r), NITRO_OK);
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < total; i++) {
        struct nk_effect e = put_of(&i, sizeof i, 0);
        uint64_t v =
            nk_seg_apply(w.seg, &h[i].k, &h[i].it, &e, &h[i].r, TEST_NOW, (struct nk_logged){0});
        assert_true(v > last);
        last = v;
    }
    assert_int_equal(stats(&w).keys, n);
    assert_int_equal(stats(&w).hash_switches, n > 60);
    for (uint32_t i = 0; i < n; i++) {
        struct nk_key k;
        struct nk_item it = look(&w, &k, h[i].key, h[i].k.n, TEST_NOW);
        assert_true(it.found);
        assert_int_equal(nk_load32(it.val), n + i);
    }
    free(h);
    world_close(&w);
}

/* ---- versions and memory -----------------------------------------------------------------------*/

/* Versions are unique in the store and ascend for each key, also across deleting and creating again. */
static void seg_versions__several_segments__unique_and_ascending(void **state) {
    (void)state;
    struct test_mem mem;
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 8);
    nitro_store *s = test_open(&opt);
    static uint8_t taken[80000];
    uint64_t last[20] = {0};
    memset(taken, 0, sizeof taken);
    for (uint32_t i = 0; i < 4000; i++) {
        uint8_t key = (uint8_t)(i * 7 % 20);
        struct nitro_info info = {0};
        assert_int_equal(nitro_set(s, TEST_NOW, &key, 1, "v", 1, 0, 0, 0, &info), NITRO_OK);
        assert_in_range(info.version, last[key] + 1, sizeof taken - 1);
        assert_int_equal(taken[info.version]++, 0);
        last[key] = info.version;
        if (i % 3 == 0) assert_int_equal(nitro_delete(s, TEST_NOW, &key, 1, NULL), NITRO_OK);
        if (i % 1000 == 0) assert_int_equal(nitro_flush(s, NULL), NITRO_OK);
    }
    nitro_close(&s);
    test_mem_check_empty(&mem);
}

/* At the memory limit what grows is refused; equal and smaller overwrites and deletes pass. */
static void seg_reserve__at_max_memory__only_growth_is_refused(void **state) {
    (void)state;
    struct world w;
    struct nk_key k;
    world_open(&w);
    run(&w, "k", 1, put_of(text, 1000, 0));
    struct nk_big *big = nk_big_new(&w.store->db, text, 100000);
    struct nk_effect large = {.kind = NK_EFFECT_PUT, .big = big};
    run(&w, "large", 5, large);
    nitro_set_max_memory(w.store, 1);
    static const struct {
        const char *key;
        uint32_t bytes;
        int want;
    } cases[] = {{"new", 0, NITRO_EMAXMEMORY},  {"k", 1100, NITRO_EMAXMEMORY},
                 {"k", 1000, NITRO_OK},         {"k", 10, NITRO_OK},
                 {"k", 1000, NITRO_EMAXMEMORY}, {"large", 60000, NITRO_OK}};
    for (uint32_t i = 0; i < COUNT(cases); i++) {
        struct nk_item it = look(&w, &k, cases[i].key, (uint32_t)strlen(cases[i].key), TEST_NOW);
        struct nk_effect e = put_of(text, cases[i].bytes, 0);
        assert_int_equal(nk_seg_put(w.seg, &k, &it, &e, TEST_NOW, NULL), cases[i].want);
        assert_int_equal(w.seg->pending, 0);
    }
    struct nk_item it = look(&w, &k, "k", 1, TEST_NOW);
    assert_int_equal(nk_seg_put(w.seg, &k, &it, &large, TEST_NOW, NULL), NITRO_EMAXMEMORY);
    assert_int_equal(big->refs, 1);
    run(&w, "k", 1, (struct nk_effect){.kind = NK_EFFECT_DELETE});
    run(&w, "large", 5, (struct nk_effect){.kind = NK_EFFECT_DELETE});
    nk_big_release(&w.store->db, big);
    world_close(&w);
}

/* With the n-th allocation refused a put fails cleanly and works the next time. */
static void seg_reserve__nth_call_refused__nothing_changed(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 14; n++) {
        struct world w;
        world_open(&w);
        test_mem_fail(&w.mem, n, UINT64_MAX);
        uint32_t stored = 0;
        for (uint32_t i = 0; i < 3000; i++) {
            struct nk_key k;
            struct nk_item it = look(&w, &k, &i, sizeof i, TEST_NOW);
            struct nk_effect e = put_of(text, 2000, 0);
            uint64_t before = w.seg->next_version;
            int rc = nk_seg_put(w.seg, &k, &it, &e, TEST_NOW, NULL);
            if (rc == NITRO_OK) {
                stored++;
                continue;
            }
            assert_int_equal(rc, NITRO_ENOMEM);
            assert_int_equal(w.seg->next_version, before);
            expect_none(&w, &i, sizeof i);
        }
        assert_int_equal(stats(&w).keys, stored);
        assert_int_equal(w.seg->over.used, stats(&w).overflow_buckets);
        test_mem_fail(&w.mem, 0, 0);
        for (uint32_t i = 0; i < 3000; i++) run(&w, &i, sizeof i, put_of(text, 2000, 0));
        assert_int_equal(stats(&w).keys, 3000);
        world_close(&w);
    }
}

/* What is put and deleted again is out of the accounts, up to what a segment may keep to itself. */
static void seg_accounts__all_deleted__used_bytes_return(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    uint64_t start = stats(&w).used_bytes;
    uint32_t n = (uint32_t)test_scale(5000);
    for (uint32_t i = 0; i < n; i++)
        run(&w, &i, sizeof i, put_of(text, i % 3000, TEST_NOW + i % 2));
    assert_true(stats(&w).used_bytes > start + n * 10);
    for (uint32_t i = 0; i < n; i++)
        run(&w, &i, sizeof i, (struct nk_effect){.kind = NK_EFFECT_DELETE});
    assert_true(stats(&w).used_bytes < start + 2 * NK_PAGE);
    assert_int_equal(stats(&w).keys + stats(&w).key_bytes + stats(&w).value_bytes, 0);
    assert_int_equal(stats(&w).keys_with_expiry, 0);
    test_check_bounds(w.store);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seg__every_key_and_value_length__round_trip),
        cmocka_unit_test(seg_find__nearly_equal_keys__are_told_apart),
        cmocka_unit_test(seg_put__overwrites_of_all_lengths__neighbours_unharmed),
        cmocka_unit_test(seg_put__equal_and_shorter_values__in_place_and_not),
        cmocka_unit_test(seg_expire__add_change_remove__counted_and_visible),
        cmocka_unit_test(seg_find__counted_or_not__hits_and_misses),
        cmocka_unit_test(seg_put__large_value__reference_counted),
        cmocka_unit_test(seg_abort__all_kinds_of_effects__nothing_changed),
        cmocka_unit_test(seg_apply__duplicates_in_one_hold__last_one_counts),
        cmocka_unit_test(seg_apply__giant_hold_of_colliding_keys__all_arrive),
        cmocka_unit_test(seg_versions__several_segments__unique_and_ascending),
        cmocka_unit_test(seg_reserve__at_max_memory__only_growth_is_refused),
        cmocka_unit_test(seg_reserve__nth_call_refused__nothing_changed),
        cmocka_unit_test(seg_accounts__all_deleted__used_bytes_return),
    };
    fill_text();
    return cmocka_run_group_tests_name("seg", tests, NULL, NULL);
}
