/* SPDX-License-Identifier: MIT
 *
 * test_api.c - the direct functions of nitro.h: every result of each, and that a refusal changes nothing.
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

static uint8_t text[NITRO_KEY_MAX + 70000];

static void world_open_with(struct world *w, uint64_t max_memory, uint32_t max_value) {
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, 2);
    w->opt.max_memory = max_memory;
    w->opt.max_value = max_value;
    w->store = test_open(&w->opt);
}
static void world_open(struct world *w) { world_open_with(w, 0, 0); }

static void world_close(struct world *w) {
    nitro_close(&w->store);
    assert_null(w->store);
    test_mem_check_empty(&w->mem);
}

static int set(struct world *w, const char *key, const char *val, unsigned flags, uint64_t expected,
               int64_t expire_ms, struct nitro_info *info) {
    return nitro_set(w->store, TEST_NOW, key, strlen(key), val, strlen(val), flags, expected,
                     expire_ms, info);
}
static int delete (struct world *w, const char *key) {
    return nitro_delete(w->store, TEST_NOW, key, strlen(key), NULL);
}

static void expect(struct world *w, const char *key, const char *val, int64_t expire_ms) {
    char buf[64] = {0};
    struct nitro_info info;
    assert_int_equal(nitro_get(w->store, TEST_NOW, key, strlen(key), buf, sizeof buf, &info),
                     NITRO_OK);
    assert_string_equal(buf, val);
    assert_int_equal(info.bytes, strlen(val));
    assert_int_equal(info.expire_ms, expire_ms);
}

static void hold(struct world *w, bool on) {
    for (uint32_t i = 0; i < w->opt.segments; i++) {
        if (on)
            assert_true(nk_seg_lock(nk_db_seg(&w->store->db, i)));
        else
            nk_seg_unlock(nk_db_seg(&w->store->db, i));
    }
}

/* ---- open and close ----------------------------------------------------------------------------*/

/* Options that cannot be met are refused with a text that names them, and *out is left alone. */
static void open__bad_options__refused_with_a_text(void **state) {
    (void)state;
    static const struct {
        uint32_t segments, max_value;
        const char *word;
    } cases[] = {{3, 0, "segments is 3"},
                 {NITRO_SEGMENTS_MAX * 2, 0, "segments is 131072"},
                 {UINT32_MAX, 0, "segments"},
                 {1, NITRO_VALUE_MAX + 1, "max_value is 536870913"}};
    struct test_mem mem;
    test_mem_init(&mem);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct nitro_options opt = test_options(&mem, cases[i].segments);
        struct nitro_err err = {0};
        nitro_store *s = (nitro_store *)(void *)&err;
        opt.max_value = cases[i].max_value;
        assert_int_equal(nitro_open(&opt, &s, &err), NITRO_EARGUMENT);
        assert_ptr_equal(s, &err);
        assert_int_equal(err.code, NITRO_EARGUMENT);
        assert_non_null(strstr(err.msg, cases[i].word));
        assert_int_equal(nitro_open(&opt, &s, NULL), NITRO_EARGUMENT);
    }
    struct nitro_err err = {0};
    nitro_store *s = NULL;
    assert_int_equal(nitro_open(NULL, &s, &err), NITRO_EARGUMENT);
    assert_non_null(strstr(err.msg, "options"));
    test_mem_check_empty(&mem);
}

/* Each refused allocation of an open gives NITRO_ENOMEM, a text and no leak. */
static void open__nth_call_refused__no_memory_no_leak(void **state) {
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct test_mem mem;
        struct nitro_err err = {0};
        nitro_store *s = NULL;
        test_mem_init(&mem);
        struct nitro_options opt = test_options(&mem, 0);
        test_mem_fail(&mem, n, n);
        int rc = nitro_open(&opt, &s, &err);
        if (mem.failed == 0) {
            assert_int_equal(rc, NITRO_OK);
            assert_true(n > 1);
            nitro_close(&s);
            test_mem_check_empty(&mem);
            return;
        }
        assert_int_equal(rc, NITRO_ENOMEM);
        assert_int_equal(err.code, NITRO_ENOMEM);
        assert_true(strlen(err.msg) > 10);
        assert_null(s);
        test_mem_check_empty(&mem);
    }
}

/* Zero options mean the documented defaults; closing nothing is fine. */
static void open__defaults_and_extremes__work(void **state) {
    (void)state;
    static const uint32_t segments[] = {0, 1, 512};
    for (uint32_t i = 0; i < 3; i++) {
        struct test_mem mem;
        test_mem_init(&mem);
        struct nitro_options opt = test_options(&mem, segments[i]);
        nitro_store *s = test_open(&opt);
        struct nitro_stats st;
        nitro_stats(s, &st);
        assert_int_equal(st.segments, segments[i] == 0 ? NITRO_SEGMENTS_DEFAULT : segments[i]);
        assert_int_equal(st.keys, 0);
        assert_true(st.used_bytes > 0);
        assert_int_equal(nitro_delete(s, TEST_NOW, "k", 1, NULL), NITRO_ENOTFOUND);
        nitro_close(&s);
        assert_null(s);
        nitro_close(&s);
        test_mem_check_empty(&mem);
    }
    nitro_close(NULL);
}

/* The texts of the codes come from the one list; unknown numbers have one too. */
static void strerror__every_code__has_its_text(void **state) {
    (void)state;
#define CHECK(name, code, text) assert_string_equal(nitro_strerror(NITRO_##name), text);
    NITRO_ERRORS(CHECK)
#undef CHECK
    assert_string_equal(nitro_strerror(-1), "unknown error");
    assert_string_equal(nitro_strerror(0xff), "unknown error");
}

/* ---- get, set, delete --------------------------------------------------------------------------*/

/* Buffers shorter than the value get its beginning; no buffer gets only the facts. */
static void get__short_or_no_buffer__beginning_and_full_size(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info, put;
    char buf[8] = "........";
    world_open(&w);
    assert_int_equal(set(&w, "k", "value", 0, 0, TEST_NOW + 9, &put), NITRO_OK);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "k", 1, buf, 2, &info), NITRO_OK);
    assert_memory_equal(buf, "va......", 8);
    assert_int_equal(info.bytes, 5);
    assert_int_equal(info.version, put.version);
    assert_int_equal(info.expire_ms, TEST_NOW + 9);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "k", 1, NULL, 0, &info), NITRO_OK);
    info.version = 99;
    assert_int_equal(nitro_get(w.store, TEST_NOW + 9, "k", 1, buf, 8, &info), NITRO_ENOTFOUND);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "x", 1, buf, 8, &info), NITRO_ENOTFOUND);
    assert_int_equal(info.version, 99); /* out-parameters stay as they were */
    assert_memory_equal(buf, "va......", 8);
    world_close(&w);
}

/* Every condition of a set, on a key that exists and on one that does not. */
static void set__conditions__stored_or_told_why_not(void **state) {
    (void)state;
    enum { OLD = 1, STALE };
    static const struct {
        const char *key;
        unsigned flags, expected; /* OLD: the version it has; STALE: another one */
        int want;
    } cases[] = {{"no", NITRO_SET_NX, 0, NITRO_OK},
                 {"is", NITRO_SET_NX, 0, NITRO_ENOTSTORED},
                 {"no", NITRO_SET_XX, 0, NITRO_ENOTSTORED},
                 {"is", NITRO_SET_XX, 0, NITRO_OK},
                 {"no", NITRO_SET_CAS, 0, NITRO_OK},
                 {"no", NITRO_SET_CAS, STALE, NITRO_EVERSION},
                 {"is", NITRO_SET_CAS, 0, NITRO_EVERSION},
                 {"is", NITRO_SET_CAS, OLD, NITRO_OK},
                 {"is", NITRO_SET_CAS, STALE, NITRO_EVERSION},
                 {"dead", NITRO_SET_XX, 0, NITRO_ENOTSTORED},
                 {"dead", NITRO_SET_CAS, 0, NITRO_OK},
                 {"dead", NITRO_SET_NX, 0, NITRO_OK}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        struct nitro_info old, info = {0};
        world_open(&w);
        assert_int_equal(set(&w, "is", "old", 0, 0, 0, &old), NITRO_OK);
        assert_int_equal(set(&w, "dead", "old", 0, 0, TEST_NOW, NULL), NITRO_OK);
        uint64_t expected = cases[i].expected == OLD     ? old.version
                            : cases[i].expected == STALE ? old.version + 1000
                                                         : 0;
        int rc = set(&w, cases[i].key, "new", cases[i].flags, expected, 0, &info);
        assert_int_equal(rc, cases[i].want);
        if (rc == NITRO_OK) {
            expect(&w, cases[i].key, "new", 0);
            if (strcmp(cases[i].key, "is") == 0) assert_true(info.version > old.version);
            assert_int_equal(info.bytes, 3);
        } else {
            assert_int_equal(info.version, 0);
            expect(&w, "is", "old", 0);
            assert_int_equal(delete (&w, "no"), NITRO_ENOTFOUND);
        }
        world_close(&w);
    }
}

/* KEEPTTL keeps the expiry of a live value, and knows none of a missing or dead one. */
static void set__keepttl__keeps_what_is_alive(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(set(&w, "k", "a", 0, 0, TEST_NOW + 50, NULL), NITRO_OK);
    assert_int_equal(set(&w, "k", "b", NITRO_SET_KEEPTTL, 0, 0, NULL), NITRO_OK);
    expect(&w, "k", "b", TEST_NOW + 50);
    assert_int_equal(set(&w, "k", "c", 0, 0, 0, NULL), NITRO_OK);
    expect(&w, "k", "c", 0);
    assert_int_equal(set(&w, "dead", "a", 0, 0, TEST_NOW, NULL), NITRO_OK);
    assert_int_equal(set(&w, "dead", "b", NITRO_SET_KEEPTTL, 0, 0, NULL), NITRO_OK);
    expect(&w, "dead", "b", 0);
    world_close(&w);
}

/* Deleting tells whether there was something alive. */
static void delete__live_dead_and_missing__told_apart(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(set(&w, "k", "a", 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(set(&w, "dead", "a", 0, 0, TEST_NOW, NULL), NITRO_OK);
    assert_int_equal(delete (&w, "k"), NITRO_OK);
    assert_int_equal(delete (&w, "k"), NITRO_ENOTFOUND);
    assert_int_equal(delete (&w, "dead"), NITRO_ENOTFOUND);
    world_close(&w);
}

/* ---- incr, expire ------------------------------------------------------------------------------*/

/* Numbers are added as Redis would, and what is no number, or would overflow, stays as it is. */
static void incr__numbers_and_others__sum_or_refusal(void **state) {
    (void)state;
    static const struct {
        const char *old;
        int64_t delta;
        int want;
        const char *now;
    } cases[] = {{NULL, 5, NITRO_OK, "5"},
                 {"41", 1, NITRO_OK, "42"},
                 {"-1", -9, NITRO_OK, "-10"},
                 {"0", INT64_MIN, NITRO_OK, "-9223372036854775808"},
                 {"9223372036854775806", 1, NITRO_OK, "9223372036854775807"},
                 {"9223372036854775807", 1, NITRO_EOVERFLOW, "9223372036854775807"},
                 {"-9223372036854775808", -1, NITRO_EOVERFLOW, "-9223372036854775808"},
                 {"9223372036854775808", 1, NITRO_ENOTNUMBER, "9223372036854775808"},
                 {"", 1, NITRO_ENOTNUMBER, ""},
                 {"1 ", 1, NITRO_ENOTNUMBER, "1 "},
                 {"+1", 1, NITRO_ENOTNUMBER, "+1"},
                 {"01", 1, NITRO_ENOTNUMBER, "01"},
                 {"x", 1, NITRO_ENOTNUMBER, "x"}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        int64_t result = 77, expire = cases[i].old != NULL ? TEST_NOW + 5 : 0;
        world_open(&w);
        if (cases[i].old != NULL)
            assert_int_equal(set(&w, "n", cases[i].old, 0, 0, expire, NULL), NITRO_OK);
        int rc = nitro_incr(w.store, TEST_NOW, "n", 1, cases[i].delta, &result, NULL);
        assert_int_equal(rc, cases[i].want);
        if (rc == NITRO_OK)
            assert_int_equal(result, strtoll(cases[i].now, NULL, 10));
        else
            assert_int_equal(result, 77);
        expect(&w, "n", cases[i].now, expire);
        world_close(&w);
    }
}

/* A large value is no number. */
static void incr__large_value__not_a_number(void **state) {
    (void)state;
    struct world w;
    int64_t result = 0;
    world_open(&w);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "n", 1, text, 70000, 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(nitro_incr(w.store, TEST_NOW, "n", 1, 1, &result, NULL), NITRO_ENOTNUMBER);
    world_close(&w);
}

/* An expiry is set, removed, refused, or deletes at once when its time has come. */
static void expire__future_now_and_none__as_told(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, TEST_NOW + 1, NULL), NITRO_ENOTFOUND);
    assert_int_equal(set(&w, "k", "v", 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, TEST_NOW + 1, NULL), NITRO_OK);
    expect(&w, "k", "v", TEST_NOW + 1);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, 0, NULL), NITRO_OK);
    expect(&w, "k", "v", 0);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, -1, NULL), NITRO_EARGUMENT);
    expect(&w, "k", "v", 0);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, TEST_NOW, NULL), NITRO_OK);
    assert_int_equal(delete (&w, "k"), NITRO_ENOTFOUND);
    assert_int_equal(nk_db_keys(&w.store->db, NULL), 0);
    world_close(&w);
}

/* ---- limits ------------------------------------------------------------------------------------*/

/* Keys of up to 65,535 bytes work; one more is refused by every function. */
static void all__key_too_long__refused(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    int64_t n = 0;
    world_open(&w);
    nitro_store *s = w.store;
    size_t most = NITRO_KEY_MAX, over = most + 1;
    assert_int_equal(nitro_set(s, TEST_NOW, text, most, "v", 1, 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(nitro_get(s, TEST_NOW, text, most, NULL, 0, &info), NITRO_OK);
    assert_int_equal(nitro_set(s, TEST_NOW, text, over, "v", 1, 0, 0, 0, NULL), NITRO_EKEYSIZE);
    assert_int_equal(nitro_get(s, TEST_NOW, text, over, NULL, 0, &info), NITRO_EKEYSIZE);
    assert_int_equal(nitro_delete(s, TEST_NOW, text, over, NULL), NITRO_EKEYSIZE);
    assert_int_equal(nitro_incr(s, TEST_NOW, text, over, 1, &n, NULL), NITRO_EKEYSIZE);
    assert_int_equal(nitro_expire(s, TEST_NOW, text, over, 0, NULL), NITRO_EKEYSIZE);
    assert_int_equal(nk_db_keys(&s->db, NULL), 1);
    world_close(&w);
}

/* Values up to the store's limit work; one byte more, or an expiry before time began, is refused. */
static void set__value_too_large_or_bad_expiry__refused(void **state) {
    (void)state;
    struct world w;
    world_open_with(&w, 0, 100);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 100, 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 101, 0, 0, 0, NULL),
                     NITRO_EVALUESIZE);
    assert_int_equal(set(&w, "k", "v", 0, 0, -5, NULL), NITRO_EARGUMENT);
    struct nitro_info info;
    assert_int_equal(nitro_get(w.store, TEST_NOW, "k", 1, NULL, 0, &info), NITRO_OK);
    assert_int_equal(info.bytes, 100);
    world_close(&w);
}

/* A segment held by another thread: busy, and nothing happened. */
static void all__segment_held__busy(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    int64_t n = 77;
    world_open(&w);
    assert_int_equal(set(&w, "k", "1", 0, 0, 0, NULL), NITRO_OK);
    hold(&w, true);
    assert_int_equal(set(&w, "k", "2", 0, 0, 0, NULL), NITRO_EBUSY);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 70000, 0, 0, 0, NULL), NITRO_EBUSY);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "k", 1, NULL, 0, &info), NITRO_EBUSY);
    assert_int_equal(delete (&w, "k"), NITRO_EBUSY);
    assert_int_equal(nitro_incr(w.store, TEST_NOW, "k", 1, 1, &n, NULL), NITRO_EBUSY);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, 0, NULL), NITRO_EBUSY);
    hold(&w, false);
    assert_int_equal(n, 77);
    expect(&w, "k", "1", 0);
    struct nitro_stats st;
    nitro_stats(w.store, &st);
    assert_int_equal(st.lock_busy, 6);
    world_close(&w);
}

/* With all memory gone each write says so and changes nothing; reads and deletes go on. */
static void all__no_memory__refused_and_unchanged(void **state) {
    (void)state;
    struct world w;
    int64_t n = 77;
    world_open(&w);
    assert_int_equal(set(&w, "k", "1", 0, 0, 0, NULL), NITRO_OK);
    uint32_t pages = 0;
    static void *page[2 * NK_EXTENT_PAGES];
    test_mem_fail(&w.mem, 1, UINT64_MAX);
    while (nk_pool_get(&w.store->db.pool, 0, &page[pages]) == NITRO_OK) pages++;
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 30000, 0, 0, 0, NULL),
                     NITRO_ENOMEM);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 70000, 0, 0, 0, NULL),
                     NITRO_ENOMEM);
#ifdef NK_ARENA_MALLOC /* with spans there is room for a few more small ones */
    assert_int_equal(nitro_incr(w.store, TEST_NOW, "new", 3, 1, &n, NULL), NITRO_ENOMEM);
    assert_int_equal(nitro_expire(w.store, TEST_NOW, "k", 1, TEST_NOW + 1, NULL), NITRO_ENOMEM);
#endif
    assert_int_equal(n, 77);
    expect(&w, "k", "1", 0);
    assert_int_equal(delete (&w, "k"), NITRO_OK);
    test_mem_fail(&w.mem, 0, 0);
    while (pages > 0) nk_pool_put(&w.store->db.pool, page[--pages], 0);
    world_close(&w);
}

/* Over the limit growing writes are refused, others pass; clients' bytes count; it can be lifted. */
static void all__max_memory__growing_writes_refused(void **state) {
    (void)state;
    struct world w;
    int64_t n = 77;
    world_open_with(&w, 64u << 20, 0);
    assert_int_equal(set(&w, "k", "12345", 0, 0, 0, NULL), NITRO_OK);
    nitro_add_client_bytes(w.store, 64 << 20);
    struct nitro_stats st;
    nitro_stats(w.store, &st);
    assert_int_equal(st.max_memory, 64u << 20);
    assert_int_equal(st.chunk_bytes, 64u << 20);
    assert_int_equal(set(&w, "new", "v", 0, 0, 0, NULL), NITRO_EMAXMEMORY);
    assert_int_equal(nitro_incr(w.store, TEST_NOW, "n", 1, 1, &n, NULL), NITRO_EMAXMEMORY);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, text, 70000, 0, 0, 0, NULL),
                     NITRO_EMAXMEMORY);
    assert_int_equal(n, 77);
    assert_int_equal(set(&w, "k", "54321", 0, 0, 0, NULL), NITRO_OK);
    expect(&w, "k", "54321", 0);
    assert_int_equal(delete (&w, "k"), NITRO_OK);
    nitro_add_client_bytes(w.store, -(64 << 20));
    assert_int_equal(set(&w, "new", "v", 0, 0, 0, NULL), NITRO_OK);
    nitro_set_max_memory(w.store, 1);
    assert_int_equal(set(&w, "more", "v", 0, 0, 0, NULL), NITRO_EMAXMEMORY);
    nitro_set_max_memory(w.store, 0);
    assert_int_equal(set(&w, "more", "v", 0, 0, 0, NULL), NITRO_OK);
    world_close(&w);
}

/* The statistics are what was done, and their parts add up. */
static void stats__after_known_operations__exact(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    struct nitro_stats st;
    world_open(&w);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(nitro_set(w.store, TEST_NOW, &i, 4, text, 10, 0, 0,
                                   i % 4 == 0 ? TEST_NOW + 9 : 0, NULL),
                         0);
    for (uint32_t i = 990; i < 1010; i++)
        (void)!nitro_get(w.store, TEST_NOW, &i, 4, NULL, 0, &info);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(nitro_delete(w.store, TEST_NOW, &i, 4, NULL), 0);
    nitro_stats(w.store, &st);
    assert_int_equal(st.keys, 900);
    assert_int_equal(st.keys_with_expiry, 225);
    assert_int_equal(st.key_bytes, 3600);
    assert_int_equal(st.value_bytes, 9000);
    assert_int_equal(st.hits, 10);
    assert_int_equal(st.misses, 10);
    assert_int_equal(st.writes, 1000);
    assert_int_equal(st.deletes, 100);
    assert_int_equal(st.buckets, st.segments + st.splits - st.merges);
    assert_int_equal(st.resident_bytes, st.table_bytes + st.entry_bytes + st.slack_bytes +
                                            st.pool_free_bytes + st.chunk_bytes + st.garbage_bytes +
                                            st.fixed_bytes);
    assert_true(st.entry_bytes >= 900 * (12 + 4 + 10));
    world_close(&w);
}

/* Of repeated keys the last operation wins, whichever kinds they are; a refused batch changes nothing. */
static void write__repeated_keys__last_wins(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    struct nitro_op ops[] = {
        {.key = "a", .key_bytes = 1, .value = "1", .value_bytes = 1},
        {.key = "b", .key_bytes = 1, .remove = 1},
        {.key = "a", .key_bytes = 1, .remove = 1}, /* of a key that only this batch has put */
        {.key = "b", .key_bytes = 1, .value = "2", .value_bytes = 1},
        {.key = "c", .key_bytes = 1, .value = "3", .value_bytes = 1, .expire_ms = TEST_NOW + 5000},
    };
    world_open(&w);
    assert_int_equal(set(&w, "b", "old", 0, 0, 0, NULL), NITRO_OK);
    assert_int_equal(nitro_write(w.store, TEST_NOW, ops, 5, NULL), NITRO_OK);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "a", 1, NULL, 0, &info), NITRO_ENOTFOUND);
    expect(&w, "b", "2", 0);
    expect(&w, "c", "3", TEST_NOW + 5000);
    ops[4].key_bytes = NITRO_KEY_MAX + 1;
    ops[0].value = "9";
    ops[2].remove = 0;
    assert_int_equal(nitro_write(w.store, TEST_NOW, ops, 5, NULL), NITRO_EKEYSIZE);
    assert_int_equal(nitro_get(w.store, TEST_NOW, "a", 1, NULL, 0, &info), NITRO_ENOTFOUND);
    assert_int_equal(nitro_write(w.store, TEST_NOW, ops, 0, NULL), NITRO_EARGUMENT);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__bad_options__refused_with_a_text),
        cmocka_unit_test(open__nth_call_refused__no_memory_no_leak),
        cmocka_unit_test(open__defaults_and_extremes__work),
        cmocka_unit_test(strerror__every_code__has_its_text),
        cmocka_unit_test(get__short_or_no_buffer__beginning_and_full_size),
        cmocka_unit_test(set__conditions__stored_or_told_why_not),
        cmocka_unit_test(set__keepttl__keeps_what_is_alive),
        cmocka_unit_test(delete__live_dead_and_missing__told_apart),
        cmocka_unit_test(incr__numbers_and_others__sum_or_refusal),
        cmocka_unit_test(incr__large_value__not_a_number),
        cmocka_unit_test(expire__future_now_and_none__as_told),
        cmocka_unit_test(all__key_too_long__refused),
        cmocka_unit_test(set__value_too_large_or_bad_expiry__refused),
        cmocka_unit_test(all__segment_held__busy),
        cmocka_unit_test(all__no_memory__refused_and_unchanged),
        cmocka_unit_test(all__max_memory__growing_writes_refused),
        cmocka_unit_test(stats__after_known_operations__exact),
        cmocka_unit_test(write__repeated_keys__last_wins),
    };
    memset(text, 't', sizeof text);
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
