/* SPDX-License-Identifier: MIT
 *
 * test_pack.c - values that are compressed before they are logged: what every command answers about them, that they stay
 * compressed where nobody changes them, and that a record whose packed form is wrong is damage and nothing else.
 *
 * HOW   Values come from a few words, so that they get much shorter, or from random bits. Packed forms that the store would
 *       not make are put by the effect that a SET makes, so their records have the right checksum.
 */
#include "bitcask_rig.h"
#include "compress.h"
#include "pack.h"
#include "seg.h"

#define VALUE_MAX (1u << 20)

static const enum nitro_compression codecs[] = {NITRO_COMPRESSION_LZ4, NITRO_COMPRESSION_ZSTD};

static uint8_t value[VALUE_MAX], other[VALUE_MAX];

/* ---- the rig -----------------------------------------------------------------------------------*/

static void open_packing(struct bc *w, enum nitro_compression how) {
    bc_open(w, 4);
    bc_stop(w);
    w->value_compression = how;
    bc_start(w);
}

static void restart(struct bc *w) {
    bc_persist(w);
    bc_stop(w);
    bc_start(w);
}

/* words: n bytes of words, different ones for each seed. */
static void words(uint8_t *p, size_t n, uint64_t seed) {
    static const char *const list[] = {"bit ", "cask ", "keydir ", "merge ", "hint ", "value "};
    size_t at = 0;
    for (uint64_t i = seed * 7919; at < n; i = i * 31 + seed + 1) {
        const char *word = list[i / 8 % 6];
        for (; *word != 0 && at < n; word++) p[at++] = (uint8_t)*word;
    }
}

static void random_bytes(struct test_rng *rng, uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(test_rng_next(rng) >> 32);
}

static struct nitro_stats stats(struct bc *w) {
    struct nitro_stats s;
    nitro_stats(w->store, &s);
    return s;
}

/* ask: a request of these arguments; the answer is in the client. */
static void ask(struct bc *w, const struct test_arg *argv, size_t argc) {
    w->client.out_len = 0;
    assert_int_equal(test_client_args(&w->client, argv, argc), NITRO_OK);
}

/* answers: head, n bytes, CRLF. */
static void answers(struct bc *w, const char *head, const uint8_t *p, size_t n) {
    size_t h = strlen(head);
    assert_int_equal(w->client.out_len, h + n + 2);
    assert_memory_equal(w->client.out, head, h);
    assert_memory_equal(w->client.out + h, p, n);
}

static void set(struct bc *w, const char *key, const uint8_t *p, size_t n) {
    struct test_arg argv[] = {{"SET", 3}, {key, strlen(key)}, {p, n}};
    ask(w, argv, 3);
    answers(w, "+OK", p, 0);
}

static size_t ask_size(struct bc *w, const char *line) {
    w->client.out_len = 0;
    assert_int_equal(test_client_line(&w->client, line), NITRO_OK);
    assert_true(w->client.out_len > 1 && w->client.out[0] == ':');
    return (size_t)strtoull((const char *)w->client.out + 1, NULL, 10);
}

/* all_read: every way to read key k, which has n bytes. */
static void all_read(struct bc *w, const uint8_t *p, size_t n) {
    char line[64], head[64];
    size_t from = n / 3, to = n - n / 4;
    struct nitro_info info = {0};
    bc_same(w, "k", p, n);
    assert_int_equal(ask_size(w, "STRLEN k"), n);
    snprintf(line, sizeof line, "GETRANGE k %zu %zu\r\n", from, to);
    w->client.out_len = 0;
    assert_int_equal(test_client_feed(&w->client, line, strlen(line)), NITRO_OK);
    size_t part = to < n ? to - from + 1 : n - from;
    snprintf(head, sizeof head, "$%zu\r\n", part);
    answers(w, head, p + from, part);
    struct test_arg argv[] = {{"MGET", 4}, {"none", 4}, {"k", 1}};
    ask(w, argv, 3);
    snprintf(head, sizeof head, "*2\r\n$-1\r\n$%zu\r\n", n);
    answers(w, head, p, n);
    assert_int_equal(nitro_get(w->store, w->now_ms, "k", 1, other, sizeof other, &info), NITRO_OK);
    assert_int_equal(info.bytes, n);
    assert_memory_equal(other, p, n);
}

/* ---- round trips -------------------------------------------------------------------------------*/

static void round_trip(struct bc *w, size_t n) {
    struct nitro_info info = {0};
    struct nitro_away away;
    words(value, n, n);
    set(w, "k", value, n);
    all_read(w, value, n);
    bc_persist(w);
    all_read(w, value, n);
    assert_int_equal(nitro_get_away(w->store, w->now_ms, "k", 1, other, 0, &info, &away),
                     NITRO_AWAY);
    assert_int_equal(nitro_fetch(w->store, "k", 1, other, sizeof other, &info, &away), NITRO_OK);
    assert_int_equal(info.bytes, n);
    assert_memory_equal(other, value, n);
    assert_int_equal(bc_set(w, "direct", value, n), NITRO_OK);
    bc_same(w, "direct", value, n);
}

/* Sizes from which on values are packed, spliced, and kept apart; as they are not written yet, and written. */
static void value__any_size__comes_back(void **state) {
    (void)state;
    static const size_t sizes[] = {0,     1,     63,    64,    65,    100,
                                   1000,  4000,  32767, 32768, 57343, 57344,
                                   57345, 65535, 65536, 65537, 70000, VALUE_MAX};
    struct test_rng rng;
    test_rng_init(&rng, "sizes of packed values");
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        open_packing(&w, codecs[c]);
        uint64_t least = 0; /* so many are sure to become smaller */
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            round_trip(&w, sizes[i]);
            least += sizes[i] >= 1000;
        }
        for (uint64_t i = test_scale(60); i > 0; i--) {
            size_t n = test_rng_below(&rng, 70001);
            round_trip(&w, n);
            least += n >= 1000;
        }
        assert_true(stats(&w).packed_values >= least);
        bc_close(&w);
    }
}

/* A packed form that is itself too large for an entry lies in a block of its own, in the log and in a batch. */
static void value__large_also_when_packed__comes_back(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "large packed values");
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        open_packing(&w, codecs[c]);
        random_bytes(&rng, value, VALUE_MAX);
        for (size_t i = 0; i < VALUE_MAX; i++)
            if (i % 16384 > 8192) value[i] = 'a';
        set(&w, "k", value, VALUE_MAX);
        all_read(&w, value, VALUE_MAX);
        assert_in_range(stats(&w).pack_stored_bytes, VALUE_MAX / 2, VALUE_MAX * 3 / 4);
        bc_ask(&w, "EXPIRE k 100\r\nCOPY k copy\r\n", ":1\r\n:1\r\n");
        all_read(&w, value, VALUE_MAX);
        bc_same(&w, "copy", value, VALUE_MAX);
        bc_persist(&w);
        bc_ask(&w, "PERSIST k\r\nRENAME copy to\r\n", ":1\r\n+OK\r\n");
        all_read(&w, value, VALUE_MAX);
        bc_same(&w, "to", value, VALUE_MAX);
        assert_in_range(bc_files(&w).live_bytes, VALUE_MAX, VALUE_MAX * 3 / 2);
        restart(&w);
        all_read(&w, value, VALUE_MAX);
        bc_same(&w, "to", value, VALUE_MAX);
        bc_close(&w);
    }
}

/* Batches: by MSET, by direct calls, and one that is too large for the commit buffer. */
static void batch__packed__comes_back(void **state) {
    (void)state;
    enum { COUNT = 12, BYTES = 80000 };
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        struct test_arg argv[1 + 2 * COUNT] = {{"MSET", 4}};
        struct nitro_op op[COUNT];
        char key[COUNT][8];
        struct nitro_err err = {0};
        open_packing(&w, codecs[c]);
        words(value, VALUE_MAX, 5);
        for (size_t i = 0; i < COUNT; i++) {
            snprintf(key[i], sizeof key[i], "k%zu", i);
            argv[1 + 2 * i] = (struct test_arg){key[i], strlen(key[i])};
            argv[2 + 2 * i] = (struct test_arg){value + i, 60 + i * 7000};
            op[i] = (struct nitro_op){.key = key[i],
                                      .key_bytes = strlen(key[i]),
                                      .value = value + i * 100,
                                      .value_bytes = BYTES - i * 20};
        }
        ask(&w, argv, 1 + 2 * COUNT);
        answers(&w, "+OK", value, 0);
        for (size_t i = 0; i < COUNT; i++) bc_same(&w, key[i], value + i, 60 + i * 7000);
        bc_persist(&w);
        bc_must(nitro_log_fill(w.store, (uint64_t)COUNT * BYTES, &err), &err, "fill");
        assert_int_equal(nitro_write(w.store, w.now_ms, op, COUNT, NULL), NITRO_OK);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < COUNT; i++) bc_same(&w, key[i], value + i * 100, BYTES - i * 20);
            bc_persist(&w);
        }
        bc_close(&w);
    }
}

/* ---- changing ----------------------------------------------------------------------------------*/

/* What changes a packed value begins with the value, and not with its packed form. */
static void value__packed__changed_as_any_other(void **state) {
    (void)state;
    enum { BYTES = 5000 };
    for (int i = 0; i < 4; i++) {
        struct bc w;
        bool written = i % 2 != 0;
        open_packing(&w, codecs[i / 2]);
        words(value, BYTES, 3);
        words(other, BYTES, 4);
        struct test_arg old[] = {{"SET", 3}, {"k", 1}, {other, BYTES}, {"GET", 3}};
        set(&w, "k", value, BYTES);
        if (written) bc_persist(&w);
        ask(&w, old, 4);
        answers(&w, "$5000\r\n", value, BYTES);
        if (written) bc_persist(&w);
        struct test_arg append[] = {{"APPEND", 6}, {"k", 1}, {value, 100}};
        ask(&w, append, 3);
        answers(&w, ":5100", value, 0);
        memcpy(other + BYTES, value, 100);
        bc_same(&w, "k", other, BYTES + 100);
        set(&w, "k", other, BYTES);
        if (written) bc_persist(&w);
        struct test_arg range[] = {{"SETRANGE", 8}, {"k", 1}, {"10", 2}, {value, 64}};
        ask(&w, range, 4);
        answers(&w, ":5000", value, 0);
        memcpy(other + 10, value, 64);
        bc_same(&w, "k", other, BYTES);
        bc_ask(&w, "SET n 41\r\nINCR n\r\nINCRBYFLOAT n 0.5\r\n", "+OK\r\n:42\r\n$4\r\n42.5\r\n");
        set(&w, "k", value, BYTES);
        if (written) bc_persist(&w);
        struct test_arg take[] = {{"GETDEL", 6}, {"k", 1}};
        ask(&w, take, 2);
        answers(&w, "$5000\r\n", value, BYTES);
        bc_ask(&w, "GET k\r\n", "$-1\r\n");
        bc_close(&w);
    }
}

/* A compare-and-set sees the version of a packed value. */
static void set__with_version__packed_value_has_one(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0};
    open_packing(&w, NITRO_COMPRESSION_ZSTD);
    words(value, 1000, 1);
    set(&w, "k", value, 1000);
    assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, other, 1000, &info), NITRO_OK);
    uint64_t version = info.version;
    assert_int_equal(
        nitro_set(w.store, w.now_ms, "k", 1, value, 999, NITRO_SET_CAS, version + 1, 0, &info),
        NITRO_EVERSION);
    assert_int_equal(
        nitro_set(w.store, w.now_ms, "k", 1, value, 999, NITRO_SET_CAS, version, 0, &info),
        NITRO_OK);
    assert_int_equal(info.bytes, 999);
    bc_same(&w, "k", value, 999);
    bc_close(&w);
}

/* A new expiry and a new key are written with the packed form as it is: the log grows by that, and not by the value. */
static void value__moved_or_expiring__stays_packed(void **state) {
    (void)state;
    enum { BYTES = 50000 };
    for (int i = 0; i < 4; i++) {
        struct bc w;
        struct nitro_err err = {0};
        bool written = i % 2 != 0;
        open_packing(&w, codecs[i / 2]);
        words(value, BYTES, 9);
        set(&w, "k", value, BYTES);
        if (written) bc_persist(&w);
        size_t used = ask_size(&w, "MEMORY USAGE k");
        assert_true(used < BYTES / 2);
        bc_ask(&w, "EXPIRE k 100\r\nTTL k\r\n", ":1\r\n:100\r\n");
        if (written) bc_persist(&w);
        bc_ask(&w, "PERSIST k\r\nRENAME k to\r\n", ":1\r\n+OK\r\n");
        if (written) bc_persist(&w);
        bc_ask(&w, "COPY to k\r\nGET none\r\n", ":1\r\n$-1\r\n");
        bc_must(nitro_log_fill(w.store, 2 * BYTES, &err), &err, "fill");
        assert_int_equal(nitro_expire(w.store, w.now_ms, "k", 1, w.now_ms + 100000, NULL),
                         NITRO_OK);
        assert_int_equal(nitro_move(w.store, w.now_ms, "k", 1, "moved", 5, 0, NULL), NITRO_OK);
        bc_same(&w, "to", value, BYTES);
        bc_same(&w, "moved", value, BYTES);
        assert_true(ask_size(&w, "MEMORY USAGE to") < used + 64);
        bc_persist(&w);
        assert_true(bc_files(&w).bytes < 8 * used);
        bc_same(&w, "moved", value, BYTES);
        bc_close(&w);
    }
}

/* ---- what does not pay -------------------------------------------------------------------------*/

/* Values that do not get an eighth smaller, and short ones, are stored as they are. */
static void value__not_worth_it__stored_as_it_is(void **state) {
    (void)state;
    static const size_t sizes[] = {64, 100, 4000, 65535, 65536, 100000};
    struct test_rng rng;
    test_rng_init(&rng, "values that cannot be compressed");
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        open_packing(&w, codecs[c]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i];
            random_bytes(&rng, value, n);
            memset(value, 'a', n / 10); /* a little shorter it would get */
            set(&w, "k", value, n);
            all_read(&w, value, n);
            assert_true(ask_size(&w, "MEMORY USAGE k") > n);
        }
        words(value, NK_PACK_MIN - 1, 1);
        set(&w, "k", value, NK_PACK_MIN - 1);
        struct nitro_stats s = stats(&w);
        assert_int_equal(s.packed_values, 0);
        assert_int_equal(s.pack_raw_bytes, s.pack_stored_bytes);
        words(value, 1000, 1);
        set(&w, "k", value, 1000);
        s = stats(&w);
        assert_int_equal(s.packed_values, 1);
        assert_true(s.pack_stored_bytes < s.pack_raw_bytes - 500);
        bc_close(&w);
    }
}

/* Without the memory for it a value is stored as it is, and is there. */
static void set__no_memory_for_packing__stored_as_it_is(void **state) {
    (void)state;
    struct bc w;
    open_packing(&w, NITRO_COMPRESSION_ZSTD);
    words(value, 2000, 1);
    assert_int_equal(bc_set(&w, "k", value, 10), NITRO_OK);
    for (uint64_t i = 1; i <= 3; i++) {
        test_mem_fail(&w.mem, i, i); /* its block, its context, and what that needs */
        assert_int_equal(bc_set(&w, "k", value, 2000), NITRO_OK);
        assert_int_equal(w.mem.failed, 1);
        test_mem_fail(&w.mem, 0, 0);
        bc_same(&w, "k", value, 2000);
        assert_int_equal(stats(&w).packed_values, 0);
        /* the contexts that are left would be used next time: a new store has none */
        restart(&w);
    }
    bc_close(&w);
}

/* ---- later -------------------------------------------------------------------------------------*/

/* Restarts and merges carry packed values on, whatever is asked for then. */
static void value__packed__survives_restarts_and_merges(void **state) {
    (void)state;
    enum { KEYS = 40 };
    char key[8];
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        open_packing(&w, codecs[c]);
        for (size_t i = 0; i < 3 * KEYS; i++) {
            size_t n = 100 + i % KEYS * 2000;
            words(value, n, i % KEYS);
            snprintf(key, sizeof key, "k%zu", i % KEYS);
            assert_int_equal(bc_set(&w, key, value, n), NITRO_OK);
        }
        static const enum nitro_compression next[] = {NITRO_COMPRESSION_NONE, NITRO_COMPRESSION_LZ4,
                                                      NITRO_COMPRESSION_ZSTD};
        for (int life = 0; life < 3; life++) {
            w.value_compression = next[life];
            restart(&w);
            if (life > 0) bc_merge(&w);
            assert_true(bc_files(&w).live_bytes < (uint64_t)KEYS * 42000 / 2);
            for (size_t i = 0; i < KEYS; i++) {
                size_t n = 100 + i * 2000;
                words(value, n, i);
                snprintf(key, sizeof key, "k%zu", i);
                bc_same(&w, key, value, n);
            }
        }
        assert_true(bc_files(&w).merged_files > 0);
        bc_close(&w);
    }
}

/* Where an older record of its key stays, an expired packed put becomes a delete, which has no value any more. */
static void merge__packed_value_expired__becomes_a_delete(void **state) {
    (void)state;
    struct bc w;
    struct nitro_err err = {0};
    struct test_rng rng = {.state = 7};
    const struct nitro_merge_options half_dead = {.allow = 1, .dead_percent = 50};
    open_packing(&w, NITRO_COMPRESSION_ZSTD);
    words(value, 20000, 2);
    random_bytes(&rng, other, 40000);
    assert_int_equal(bc_set(&w, "k", value, 20000), NITRO_OK);
    assert_int_equal(bc_set(&w, "live", other, 40000), NITRO_OK); /* so the first file stays */
    bc_persist(&w);
    bc_must(nitro_merge_roll(w.store, NULL, &err), &err, "roll");
    bc_must(nitro_log_fill(w.store, 30000, &err), &err, "fill");
    assert_int_equal(nitro_expire(w.store, w.now_ms, "k", 1, w.now_ms + 1000, NULL), NITRO_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(bc_set(&w, "dead", other, 15000), NITRO_OK);
    bc_persist(&w);
    bc_must(nitro_merge_roll(w.store, NULL, &err), &err, "roll");
    w.now_ms += 2000;
    w.client.now_ms = w.now_ms;
    uint64_t gone = bc_files(&w).gone_bytes;
    bc_tend_as(&w, &half_dead);
    assert_int_equal(bc_files(&w).merged_files, 1);
    assert_true(bc_files(&w).gone_bytes > gone);
    bc_ask(&w, "GET k\r\n", "$-1\r\n");
    restart(&w);
    bc_ask(&w, "GET k\r\nEXISTS k live dead\r\n", "$-1\r\n:2\r\n");
    bc_close(&w);
}

/* Values that become large by unpacking come one after the other: each is read once, and few are in memory. */
static void *(*plain_map)(void *ctx, size_t bytes, size_t align);
static int64_t most_mapped;

static void *noting_map(void *ctx, size_t bytes, size_t align) {
    struct test_mem *m = ctx;
    void *p = plain_map(ctx, bytes, align);
    if (m->mapped_bytes > most_mapped) most_mapped = m->mapped_bytes;
    return p;
}

static void mget__small_records_large_values__bounded(void **state) {
    (void)state;
    enum { KEYS = 100, BYTES = 300000 };
    struct bc w;
    char key[KEYS][8];
    struct test_arg argv[1 + KEYS] = {{"MGET", 4}};
    open_packing(&w, NITRO_COMPRESSION_ZSTD);
    memset(value, 'x', VALUE_MAX);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(key[i], sizeof key[i], "k%zu", i);
        argv[1 + i] = (struct test_arg){key[i], strlen(key[i])};
        assert_int_equal(bc_set(&w, key[i], value, BYTES + i), NITRO_OK);
    }
    for (int round = 0; round < 2; round++) { /* from the commit buffer, and from the file */
        bc_watch(&w, NULL, 0);
        plain_map = w.mem.table.map;
        w.mem.table.map = noting_map;
        most_mapped = 0;
        int64_t before = w.mem.mapped_bytes;
        ask(&w, argv, 1 + KEYS);
        w.mem.table.map = plain_map;
        assert_true(most_mapped > 0 && most_mapped - before < 6 << 20);
        size_t at = 6;
        assert_memory_equal(w.client.out, "*100\r\n", at);
        for (size_t i = 0; i < KEYS; i++) {
            char head[16];
            size_t h = (size_t)snprintf(head, sizeof head, "$%zu\r\n", BYTES + i);
            assert_memory_equal(w.client.out + at, head, h);
            assert_memory_equal(w.client.out + at + h, value, BYTES + i);
            at += h + BYTES + i + 2;
        }
        assert_int_equal(w.client.out_len, at);
        assert_int_equal(w.reads, round == 0 ? 0 : KEYS);
        w.watching = false;
        bc_persist(&w);
    }
    bc_close(&w);
}

/* ---- what is wrong -----------------------------------------------------------------------------*/

/* The head of a packed form: what the table says, and nothing else. */
static void packed_head__rules__obeyed(void **state) {
    (void)state;
    uint8_t p[64] = {0};
    struct nk_packed got;
    static const struct {
        uint8_t codec;
        uint64_t raw;
        uint32_t more; /* bytes behind the head */
        bool valid;
    } rows[] = {{1, 100, 10, true},
                {2, 100, 10, true},
                {0, 100, 10, false},
                {3, 100, 10, false},
                {255, 100, 10, false},
                {1, 100, 1, true},
                {1, 100, 0, false},
                {1, 4, 1, true},
                {1, 3, 1, false}, /* not shorter than the value */
                {1, 12, 10, false},
                {1, 13, 10, true},
                {1, 0, 10, false},
                {2, NITRO_VALUE_MAX, 10, true},
                {2, NITRO_VALUE_MAX + 1ull, 10, false},
                {2, (1ull << 32) + 100, 10, false},
                {2, 1ull << 62, 10, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        p[0] = rows[i].codec;
        uint64_t head = (uint64_t)(nk_varint_put(p + 1, rows[i].raw) - p);
        uint64_t n = head + rows[i].more;
        if (nk_packed_parse(p, n, &got) != rows[i].valid) test_fail("row %zu", i);
        if (!rows[i].valid) continue;
        assert_int_equal(got.raw_bytes, rows[i].raw);
        assert_int_equal(got.codec, p[0] == 1 ? NITRO_COMPRESSION_LZ4 : NITRO_COMPRESSION_ZSTD);
        assert_ptr_equal(got.p, p + head);
        assert_int_equal(got.bytes, rows[i].more);
        uint8_t again[NK_PACKED_HEAD_MAX];
        assert_int_equal(nk_packed_head(got.codec, got.raw_bytes, again), head);
        assert_memory_equal(again, p, head);
        for (uint64_t cut = 0; cut <= head; cut++) assert_false(nk_packed_parse(p, cut, &got));
    }
}

/* put_form: key k gets a record with this packed form, whatever it is. */
static void put_form(struct bc *w, const uint8_t *p, uint32_t n) {
    struct nk_db *db = (struct nk_db *)(void *)w->store;
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .val = p, .bytes = n, .packed = true};
    struct nk_key k;
    struct nk_item it;
    nk_key_init(db, "k", 1, &k);
    struct nk_seg *s = nk_db_seg(db, k.seg);
    assert_true(nk_seg_lock(s));
    nk_seg_find(s, &k, w->now_ms, false, &it);
    assert_int_equal(nk_seg_put(s, &k, &it, &e, w->now_ms, NULL), NITRO_OK);
    nk_seg_unlock(s);
}

#define DAMAGED "-DAMAGED the record of this key on the disk is damaged; see: nitrokv check\r\n"

static void refused(struct bc *w, const uint8_t *p, uint32_t n) {
    struct nitro_info info = {0};
    struct nitro_away away;
    put_form(w, p, n);
    for (int round = 0; round < 2; round++) {
        bc_ask(w,
               "GET k\r\nSTRLEN k\r\nMGET k\r\nAPPEND k x\r\nRENAME k to\r\nEXPIRE k 9\r\nGET "
               "good\r\n",
               DAMAGED DAMAGED "*1\r\n" DAMAGED DAMAGED DAMAGED DAMAGED "$1\r\n1\r\n");
        assert_int_equal(nitro_get(w->store, w->now_ms, "k", 1, other, 10, &info), NITRO_ECORRUPT);
        bc_persist(w);
    }
    assert_int_equal(nitro_get_away(w->store, w->now_ms, "k", 1, other, 10, &info, &away),
                     NITRO_AWAY);
    int rc = nitro_fetch(w->store, "k", 1, other, sizeof other, &info, &away);
    bool too_large = rc == NITRO_OK && info.bytes > sizeof other; /* then nothing is shown */
    assert_true(too_large || rc == NITRO_ECORRUPT);
}

/* form_of: the right one of the value; its size. */
static uint32_t form_of(enum nitro_compression how, uint32_t n, uint8_t *out) {
    struct test_mem mem;
    struct nk_compress c;
    size_t bytes = 0;
    test_mem_init(&mem);
    nk_compress_init(&c, &mem.table);
    uint32_t head = nk_packed_head(how, n, out);
    assert_int_equal(nk_compress_encode(&c, how, value, n, out + head, 4096, &bytes), NITRO_OK);
    nk_compress_fini(&c);
    test_mem_check_empty(&mem);
    return head + (uint32_t)bytes;
}

/* with_raw: the same form with another length in its head. */
static uint32_t with_raw(const uint8_t *form, uint32_t n, uint64_t raw, uint8_t *out) {
    struct nk_packed was;
    assert_true(nk_packed_parse(form, n, &was));
    out[0] = form[0];
    uint8_t *end = nk_varint_put(out + 1, raw);
    memcpy(end, was.p, was.bytes);
    return (uint32_t)(end - out) + was.bytes;
}

/* Damage is told, for this key alone; nothing breaks, and nothing is allocated for a size that can't be. */
static void record__packed_form_wrong__damage(void **state) {
    (void)state;
    static const uint64_t raws[] = {0,
                                    1,
                                    4999,
                                    5001,
                                    65535,
                                    65536,
                                    70000,
                                    VALUE_MAX,
                                    NITRO_VALUE_MAX,
                                    NITRO_VALUE_MAX + 1ull,
                                    UINT32_MAX,
                                    1ull << 62};
    for (size_t c = 0; c < 2; c++) {
        struct bc w;
        uint8_t form[8192], bad[8192 + 16];
        open_packing(&w, codecs[c]);
        bc_ask(&w, "SET good 1\r\n", "+OK\r\n");
        words(value, 5000, 6);
        uint32_t n = form_of(codecs[c], 5000, form);
        put_form(&w, form, n);
        bc_same(&w, "k", value, 5000); /* so the forms below are wrong by what is changed in them */
        for (size_t i = 0; i < sizeof raws / sizeof raws[0]; i++)
            refused(&w, bad, with_raw(form, n, raws[i], bad));
        refused(&w, form, n - 1);
        refused(&w, form, n / 2);
        refused(&w, form, NK_PACKED_MIN);
        memset(bad, 0x80, sizeof bad);
        bad[0] = form[0];
        refused(&w, bad, 20); /* a length without end */
        memcpy(bad, form, n);
        bad[n] = 0;
        refused(&w, bad, n + 1); /* a byte behind its end */
        for (uint8_t codec = 0; codec < 5; codec++) {
            memcpy(bad, form, n);
            bad[0] = codec;
            if (codec != form[0]) refused(&w, bad, n);
        }
        assert_true(bc_files(&w).damaged_files > 0);
        bc_ask(&w, "SET k anew\r\nGET k\r\n", "+OK\r\n$4\r\nanew\r\n");
        bc_close(&w);
    }
}

static int start_memory(struct bc *w, struct nitro_err *err) {
    struct nitro_options opt = test_options(&w->mem, 4);
    struct nitro_recovery found;
    int64_t newest;
    opt.dir = w->dir;
    opt.mode = NITRO_MODE_MEMORY;
    int rc = nitro_open(&opt, &w->store, err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(w->store, w->now_ms, &found, err);
    if (rc == NITRO_OK) rc = nitro_recover_load(w->store, 0, 1, err);
    if (rc == NITRO_OK) rc = nitro_recover_replay(w->store, 0, 1, err);
    if (rc == NITRO_OK) rc = nitro_recover_finish(w->store, w->now_ms, &newest, err);
    return rc == NITRO_OK ? nitro_log_fill(w->store, 0, err) : rc;
}

/* In mode memory a packed form would be taken for the value: a log that has one is refused. */
static void replay__packed_value_in_mode_memory__damage(void **state) {
    (void)state;
    struct bc w = {.now_ms = TEST_NOW, .dir = "/tmp/nitrokv-bitcask-XXXXXX"};
    struct nitro_err err = {0};
    uint8_t form[4096 + 16];
    test_mem_init(&w.mem);
    assert_non_null(mkdtemp(w.dir));
    bc_must(start_memory(&w, &err), &err, "start");
    words(value, 5000, 6);
    put_form(&w, form, form_of(NITRO_COMPRESSION_LZ4, 5000, form));
    bc_persist(&w);
    nitro_close(&w.store);
    assert_int_equal(start_memory(&w, &err), NITRO_ECORRUPT);
    assert_non_null(strstr(err.msg, "mode bitcask alone"));
    bc_close(&w);
}

/* ---- options -----------------------------------------------------------------------------------*/

static void open__compression_without_files__refused(void **state) {
    (void)state;
    struct bc w;
    struct nitro_err err = {0};
    nitro_store *s = NULL;
    bc_open(&w, 4);
    struct nitro_options opt = test_options(&w.mem, 4);
    opt.value_compression = NITRO_COMPRESSION_LZ4;
    assert_int_equal(nitro_open(&opt, &s, &err), NITRO_EARGUMENT);
    assert_non_null(strstr(err.msg, "mode bitcask alone"));
    opt.value_compression = (enum nitro_compression)9;
    assert_int_equal(nitro_open(&opt, &s, &err), NITRO_EARGUMENT);
    assert_non_null(strstr(err.msg, "no such compression"));
    assert_null(s);
    bc_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value__any_size__comes_back),
        cmocka_unit_test(value__large_also_when_packed__comes_back),
        cmocka_unit_test(batch__packed__comes_back),
        cmocka_unit_test(value__packed__changed_as_any_other),
        cmocka_unit_test(set__with_version__packed_value_has_one),
        cmocka_unit_test(value__moved_or_expiring__stays_packed),
        cmocka_unit_test(value__not_worth_it__stored_as_it_is),
        cmocka_unit_test(set__no_memory_for_packing__stored_as_it_is),
        cmocka_unit_test(value__packed__survives_restarts_and_merges),
        cmocka_unit_test(merge__packed_value_expired__becomes_a_delete),
        cmocka_unit_test(mget__small_records_large_values__bounded),
        cmocka_unit_test(packed_head__rules__obeyed),
        cmocka_unit_test(record__packed_form_wrong__damage),
        cmocka_unit_test(replay__packed_value_in_mode_memory__damage),
        cmocka_unit_test(open__compression_without_files__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
