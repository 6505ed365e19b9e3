/* SPDX-License-Identifier: MIT
 *
 * test_cache.c - values of mode bitcask that are kept in memory: they are found without a read, and they are those of their
 * keys whatever happens to these. For how many there are see test_cache_room.c.
 *
 * HOW   bitcask_rig.h counts reads, and runs a hook while one is under way, where another thread would be.
 */
#include "cache_rig.h"

static uint32_t reads_of(struct bc *w, const char *lines, const char *replies) {
    bc_watch(w, NULL, 0);
    bc_ask(w, lines, replies);
    w->watching = false;
    return w->reads;
}

/* ---- hits --------------------------------------------------------------------------------------*/

static void get__a_second_time__no_read(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info first = {0}, second = {0};
    char got[8];
    bc_open_cached(&w, 4, PLENTY);
    bc_ask(&w, "SET k value\r\nSET other o\r\n", "+OK\r\n+OK\r\n");
    bc_persist(&w);
    assert_int_equal(reads_of(&w, "GET k\r\n", "$5\r\nvalue\r\n"), 1);
    assert_int_equal(reads_of(&w, "GET k\r\nMGET k none\r\nSTRLEN k\r\nGETRANGE k 1 2\r\n",
                              "$5\r\nvalue\r\n*2\r\n$5\r\nvalue\r\n$-1\r\n:5\r\n$2\r\nal\r\n"),
                     0);
    assert_int_equal(reads_of(&w, "MGET k other\r\n", "*2\r\n$5\r\nvalue\r\n$1\r\no\r\n"), 1);
    assert_int_equal(reads_of(&w, "GET other\r\nGET k\r\n", "$1\r\no\r\n$5\r\nvalue\r\n"), 0);
    struct nitro_data_files f = bc_files(&w);
    assert_int_equal(f.cache_values, 2);
    assert_int_equal(f.cache_bytes, 9 + 5 + 9 + 1);
    assert_int_equal(f.cache_misses, 2); /* not those of a key that is not there */
    assert_int_equal(f.cache_hits, 5);   /* nor what is read for other reasons */
    assert_int_equal(f.cache_evictions, 0);
    check_accounts(&w);
    bc_stop(
        &w); /* a start has nothing in its cache, and the version is the same from there and from the record */
    bc_start(&w);
    assert_int_equal(bc_files(&w).cache_values, 0);
    assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &first), NITRO_OK);
    assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &second), NITRO_OK);
    assert_memory_equal(got, "value", 5);
    assert_memory_equal(&first, &second, sizeof first);
    assert_true(first.version != 0);
    assert_int_equal(bc_files(&w).cache_hits, 1);
    bc_close(&w);
}

/* What is not written yet is not read, but cached as well, and waits for its sync like any other. */
static void get__not_durable__cached_and_gated(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0};
    char got[8];
    bc_open_cached(&w, 1, PLENTY);
    assert_int_equal(bc_set(&w, "k", "v", 1), NITRO_OK);
    uint64_t lsn = nitro_log_view_of(w.store)->appended;
    for (int i = 0; i < 3; i++) {
        if (i == 2) bc_persist(&w);
        assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &info), NITRO_OK);
        assert_int_equal(info.shown_lsn, i < 2 ? lsn : 0);
        assert_int_equal(info.version, lsn);
    }
    assert_int_equal(bc_files(&w).cache_hits, 2);
    bc_close(&w);
}

/* Values up to 4 KiB, with keys up to about as much; others are right all the same. */
static void get__sizes__small_ones_are_cached(void **state) {
    (void)state;
    static const struct {
        uint32_t key, value;
        bool cached;
    } cases[] = {{1, 0, true},       {1, 1, true},        {1, 3000, true},   {1, 4096, true},
                 {1, 4097, false},   {1, 70000, false},   {255, 4096, true}, {256, 100, true},
                 {4000, 4096, true}, {4200, 4096, false}, {8167, 0, true},   {8168, 0, false}};
    static uint8_t value[70000];
    static char key[9000];
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bc w;
        bc_open_cached(&w, 1, PLENTY);
        memset(key, 'k', cases[i].key);
        key[cases[i].key] = 0;
        assert_int_equal(bc_set(&w, key, value, cases[i].value), NITRO_OK);
        bc_persist(&w);
        for (int n = 0; n < 3; n++) bc_same(&w, key, value, cases[i].value);
        bc_watch(&w, NULL, 0);
        bc_same(&w, key, value, cases[i].value);
        if ((w.reads == 0) != cases[i].cached)
            test_fail("a key of %u and a value of %u bytes: %u reads", cases[i].key, cases[i].value,
                      w.reads);
        check_accounts(&w);
        bc_close(&w);
    }
}

/* An entry takes what it takes without a cache before its value is cached, and again when it has gone. */
static void entry__not_cached__is_as_large_as_without_a_cache(void **state) {
    (void)state;
    struct bc w;
    struct nitro_stats st[4];
    for (int cached = 0; cached < 2; cached++) {
        bc_open_cached(&w, 1, cached ? PLENTY : 0);
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%d", i);
            assert_int_equal(bc_set(&w, key, "some value", 10), NITRO_OK);
        }
        nitro_stats(w.store, &st[cached]);
        if (cached == 0) bc_close(&w);
    }
    bc_ask(&w, "GET k1\r\nGET k2\r\n", "$10\r\nsome value\r\n$10\r\nsome value\r\n");
    nitro_stats(w.store, &st[2]);
    nitro_set_max_memory(w.store, 1); /* so that all of it has to go */
    test_step_all(w.store, w.now_ms);
    nitro_stats(w.store, &st[3]);
    assert_int_equal(st[1].entry_bytes, st[0].entry_bytes);
    assert_in_range(st[2].entry_bytes, st[0].entry_bytes + 2 * 19, st[0].entry_bytes + 2 * 24);
    assert_int_equal(st[3].entry_bytes, st[0].entry_bytes);
    assert_int_equal(bc_files(&w).cache_evictions, 2);
    bc_close(&w);
}

static void open__cache_in_mode_memory__refused(void **state) {
    (void)state;
    struct test_mem mem;
    struct nitro_err err = {0};
    nitro_store *s = NULL;
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 1);
    opt.cache_bytes = 1;
    assert_int_equal(nitro_open(&opt, &s, &err), NITRO_EARGUMENT);
    assert_non_null(strstr(err.msg, "mode bitcask"));
    assert_null(s);
    test_mem_check_empty(&mem);
}

/* ---- what happens to a cached key --------------------------------------------------------------*/

struct change {
    const char *ask, *replies; /* then: */
    uint64_t values;           /* cached, of the two */
};

/* Each command on a key whose value is cached, and what the next ones find. */
static void cached__key_changes__answers_are_right(void **state) {
    (void)state;
    static const struct change changes[] = {
        {"SET k newer\r\nGET k\r\nGET k\r\n", "+OK\r\n$5\r\nnewer\r\n$5\r\nnewer\r\n", 2},
        {"SET k newer\r\n", "+OK\r\n", 1},
        {"SET k x GET\r\nGET k\r\n", "$2\r\n12\r\n$1\r\nx\r\n", 2},
        {"APPEND k 3\r\nGET k\r\n", ":3\r\n$3\r\n123\r\n", 2},
        {"SETRANGE k 1 9\r\nGET k\r\n", ":2\r\n$2\r\n19\r\n", 2},
        {"INCR k\r\nINCR k\r\nGET k\r\n", ":13\r\n:14\r\n$2\r\n14\r\n", 2},
        {"DEL k\r\nGET k\r\n", ":1\r\n$-1\r\n", 1},
        {"GETDEL k\r\nGET k\r\n", "$2\r\n12\r\n$-1\r\n", 1},
        {"EXPIRE k 100\r\nTTL k\r\nGET k\r\n", ":1\r\n:100\r\n$2\r\n12\r\n", 2},
        {"GETEX k EX 100\r\nGET k\r\nPERSIST k\r\nGET k\r\n",
         "$2\r\n12\r\n$2\r\n12\r\n:1\r\n$2\r\n12\r\n", 2},
        {"RENAME k to\r\nGET to\r\nGET k\r\n", "+OK\r\n$2\r\n12\r\n$-1\r\n", 2},
        {"RENAME k other\r\nGET other\r\n", "+OK\r\n$2\r\n12\r\n", 1},
        {"COPY k to\r\nGET to\r\nGET k\r\n", ":1\r\n$2\r\n12\r\n$2\r\n12\r\n", 3},
        {"MSET k a other b\r\nMGET k other\r\n", "+OK\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", 2},
        {"SET k v NX\r\nGET k\r\n", "$-1\r\n$2\r\n12\r\n", 2},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        for (uint32_t segments = 1; segments <= 4; segments += 3) {
            struct bc w;
            bc_open_cached(&w, segments, PLENTY);
            bc_ask(&w, "SET k 12\r\nSET other o\r\n", "+OK\r\n+OK\r\n");
            bc_persist(&w);
            bc_ask(&w, "MGET k other\r\n", "*2\r\n$2\r\n12\r\n$1\r\no\r\n");
            assert_int_equal(bc_files(&w).cache_values, 2);
            bc_ask(&w, changes[i].ask, changes[i].replies);
            if (bc_files(&w).cache_values != changes[i].values)
                test_fail("%s: %" PRIu64 " values", changes[i].ask, bc_files(&w).cache_values);
            check_accounts(&w);
            bc_close(&w);
        }
    }
}

/* A version that is asked for is that of the cached value. */
static void cached__compare_and_set__knows_the_version(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0};
    char got[8];
    bc_open_cached(&w, 4, PLENTY);
    assert_int_equal(bc_set(&w, "k", "1", 1), NITRO_OK);
    bc_persist(&w);
    for (int i = 0; i < 2; i++)
        assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &info), NITRO_OK);
    bc_watch(&w, NULL, 0);
    assert_int_equal(
        nitro_set(w.store, w.now_ms, "k", 1, "2", 1, NITRO_SET_CAS, info.version + 1, 0, NULL),
        NITRO_EVERSION);
    assert_int_equal(
        nitro_set(w.store, w.now_ms, "k", 1, "2", 1, NITRO_SET_CAS, info.version, 0, NULL),
        NITRO_OK);
    assert_int_equal(w.reads, 0);
    bc_close(&w);
}

static void cached__expires__gone(void **state) {
    (void)state;
    struct bc w;
    bc_open_cached(&w, 1, PLENTY);
    bc_ask(&w, "SET a 1 PX 10\r\nSET b 2 PX 10\r\nMGET a b\r\n",
           "+OK\r\n+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    assert_int_equal(bc_files(&w).cache_values, 2);
    w.now_ms += 2000;
    w.client.now_ms = w.now_ms;
    bc_ask(&w, "GET a\r\n", "$-1\r\n");
    test_step_all(w.store, w.now_ms);
    assert_int_equal(bc_files(&w).cache_values, 0);
    check_accounts(&w);
    bc_close(&w);
}

static void cached__flush__all_gone(void **state) {
    (void)state;
    struct bc w;
    bc_open_cached(&w, 4, PLENTY);
    bc_ask(&w, "SET k 1\r\nGET k\r\n", "+OK\r\n$1\r\n1\r\n");
    assert_int_equal(nitro_flush(w.store, NULL), NITRO_OK);
    assert_int_equal(bc_files(&w).cache_values, 0);
    check_accounts(&w);
    bc_ask(&w, "GET k\r\nSET k 2\r\nGET k\r\n", "$-1\r\n+OK\r\n$1\r\n2\r\n");
    assert_int_equal(bc_files(&w).cache_values, 1);
    bc_close(&w);
}

/* A merge moves the record; the value is the same, and stays. */
static void cached__record_is_merged__stays(void **state) {
    (void)state;
    struct bc w;
    bc_open_cached(&w, 4, PLENTY);
    bc_ask(&w, "SET k old\r\nSET other o\r\nSET k new\r\n", "+OK\r\n+OK\r\n+OK\r\n");
    bc_persist(&w);
    bc_ask(&w, "MGET k other\r\n", "*2\r\n$3\r\nnew\r\n$1\r\no\r\n");
    bc_merge(&w);
    assert_true(bc_files(&w).merged_files > 0);
    assert_int_equal(reads_of(&w, "MGET k other\r\n", "*2\r\n$3\r\nnew\r\n$1\r\no\r\n"), 0);
    check_accounts(&w);
    bc_close(&w);
}

/* ---- what changes while a value is read --------------------------------------------------------*/

static void overwrite(struct bc *w) { assert_int_equal(bc_set(w, "k", "newer", 5), NITRO_OK); }
static void overwrite_and_read(struct bc *w) { /* so that the newer value is cached first */
    struct nitro_info info;
    char got[8];
    overwrite(w);
    assert_int_equal(nitro_get(w->store, w->now_ms, "k", 1, got, 8, &info), NITRO_OK);
}
static void drop(struct bc *w) {
    assert_int_equal(nitro_delete(w->store, w->now_ms, "k", 1, NULL), NITRO_OK);
}
static void flush(struct bc *w) { assert_int_equal(nitro_flush(w->store, NULL), NITRO_OK); }
static void merge(struct bc *w) { bc_merge(w); }
static void overwrite_and_merge(struct bc *w) {
    overwrite(w);
    bc_merge(w);
}

struct race {
    bc_hook *hook;
    const char *reply;
};
static const struct race races[] = {
    {overwrite, "$5\r\nnewer\r\n"},
    {overwrite_and_read, "$5\r\nnewer\r\n"},
    {drop, "$-1\r\n"},
    {flush, "$-1\r\n"},
    {merge, "$2\r\n12\r\n"},
    {overwrite_and_merge, "$5\r\nnewer\r\n"},
};

static void race_open(struct bc *w) {
    bc_open_cached(w, 4, PLENTY);
    bc_ask(w, "SET k old\r\nSET k 12\r\nSET other o\r\n", "+OK\r\n+OK\r\n+OK\r\n");
    bc_persist(w);
}

static void race_check(struct bc *w, const struct race *r) {
    for (int i = 0; i < 3; i++) bc_ask(w, "GET k\r\n", r->reply);
    check_accounts(w);
    bc_close(w);
}

/* What was read is not cached for a key that has changed since. */
static void get__key_changes_while_read__caches_what_is_right(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof races / sizeof races[0]; i++) {
        struct bc w;
        race_open(&w);
        bc_watch(&w, races[i].hook, 1);
        bc_ask(&w, "GET k\r\n", races[i].reply);
        assert_int_equal(w.hook_for, 0);
        w.watching = false;
        race_check(&w, &races[i]);
    }
}

/* Likewise for a host that reads without the gate: between the look and the read, and between that and keeping. */
static void keep__key_has_changed__caches_what_is_right(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * sizeof races / sizeof races[0]; i++) {
        const struct race *r = &races[i / 2];
        struct bc w;
        struct nitro_info info = {0};
        struct nitro_away away;
        char got[8];
        race_open(&w);
        int rc = nitro_get_away(w.store, w.now_ms, "k", 1, got, sizeof got, &info, &away);
        assert_int_equal(rc, NITRO_AWAY);
        if (i % 2 == 0) r->hook(&w);
        assert_int_equal(nitro_fetch(w.store, "k", 1, got, sizeof got, &info, &away), NITRO_OK);
        assert_int_equal(info.bytes, 2);
        assert_memory_equal(got, "12", 2);
        assert_int_equal(away.keep, 1);
        if (i % 2 == 1) r->hook(&w);
        nitro_keep(w.store, w.now_ms, "k", 1, got, &info, &away);
        race_check(&w, r);
    }
}

/* Nothing else happens: then it is kept, and the next look finds it. A file that was merged away is closed after that. */
static void keep__undisturbed__cached(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0}, again = {0};
    struct nitro_away away;
    char got[8];
    race_open(&w);
    assert_int_equal(nitro_get_away(w.store, w.now_ms, "k", 1, got, 8, &info, &away), NITRO_AWAY);
    assert_int_equal(nitro_fetch(w.store, "k", 1, got, 8, &info, &away), NITRO_OK);
    nitro_keep(w.store, w.now_ms, "k", 1, got, &info, &away);
    assert_int_equal(nitro_get_away(w.store, w.now_ms, "k", 1, got, 8, &again, &away), NITRO_OK);
    assert_int_equal(again.version, info.version);
    assert_memory_equal(got, "12", 2);
    /* the file stays until then; and of two who have read the same, one keeps it */
    struct nitro_away twice[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nitro_get_away(w.store, w.now_ms, "other", 5, got, 8, &info, &twice[i]),
                         NITRO_AWAY);
        assert_int_equal(nitro_fetch(w.store, "other", 5, got, 8, &info, &twice[i]), NITRO_OK);
        assert_int_equal(nk_file_at(w.store->db.files, nk_loc_slot(twice[i].loc))->pins, i + 1);
    }
    for (int i = 0; i < 2; i++) nitro_keep(w.store, w.now_ms, "other", 5, got, &info, &twice[i]);
    check_accounts(&w);
    bc_ask(&w, "SET other O\r\n", "+OK\r\n");
    bc_persist(&w);
    /* too little room: nothing to be kept */
    assert_int_equal(nitro_get_away(w.store, w.now_ms, "other", 5, got, 0, &info, &away),
                     NITRO_AWAY);
    assert_int_equal(nitro_fetch(w.store, "other", 5, got, 0, &info, &away), NITRO_OK);
    assert_int_equal(away.keep, 0);
    for (uint32_t i = 1; i < w.store->db.files->top; i++)
        assert_int_equal(nk_file_at(w.store->db.files, i)->pins, 0);
    bc_close(&w);
}

/* What a cached value is written anew from is all of it, though its record has it compressed. */
static void cached__value_is_compressed__written_anew_right(void **state) {
    (void)state;
    static const struct {
        const char *line, *reply;
    } writers[] = {
        {"EXPIRE k 100\r\n", ":1\r\n"}, {"PERSIST k\r\n", ":1\r\n"},   {"COPY k c\r\n", ":1\r\n"},
        {"RENAME c k\r\n", "+OK\r\n"},  {"EXPIRE k 50\r\n", ":1\r\n"},
    };
    struct bc w;
    struct nitro_info info = {0};
    uint8_t value[2000], got[2000];
    bc_open_cached(&w, 1, PLENTY);
    bc_stop(&w);
    w.value_compression = NITRO_COMPRESSION_LZ4;
    bc_start(&w);
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)('a' + i % 7);
    assert_int_equal(bc_set(&w, "k", value, sizeof value), NITRO_OK);
    bc_persist(&w);
    assert_true(bc_files(&w).live_bytes < sizeof value / 2); /* it is compressed */
    for (uint32_t i = 0; i < sizeof writers / sizeof *writers; i++) {
        uint64_t hits = bc_files(&w).cache_hits;
        for (int n = 0; n < 2; n++)
            assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, sizeof got, &info),
                             NITRO_OK);
        assert_true(bc_files(&w).cache_hits > hits);
        bc_ask(&w, writers[i].line, writers[i].reply);
        bc_same(&w, "k", value, sizeof value);
        bc_persist(&w);
        check_accounts(&w);
    }
    assert_int_equal(nitro_expire(w.store, w.now_ms, "k", 1, 0, &info), NITRO_OK);
    bc_persist(&w);
    bc_stop(&w);
    bc_start(&w);
    bc_same(&w, "k", value, sizeof value);
    bc_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cached__value_is_compressed__written_anew_right),
        cmocka_unit_test(get__a_second_time__no_read),
        cmocka_unit_test(get__not_durable__cached_and_gated),
        cmocka_unit_test(get__sizes__small_ones_are_cached),
        cmocka_unit_test(entry__not_cached__is_as_large_as_without_a_cache),
        cmocka_unit_test(open__cache_in_mode_memory__refused),
        cmocka_unit_test(cached__key_changes__answers_are_right),
        cmocka_unit_test(cached__compare_and_set__knows_the_version),
        cmocka_unit_test(cached__expires__gone),
        cmocka_unit_test(cached__flush__all_gone),
        cmocka_unit_test(cached__record_is_merged__stays),
        cmocka_unit_test(get__key_changes_while_read__caches_what_is_right),
        cmocka_unit_test(keep__key_has_changed__caches_what_is_right),
        cmocka_unit_test(keep__undisturbed__cached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
