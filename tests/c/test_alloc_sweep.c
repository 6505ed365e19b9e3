/* SPDX-License-Identifier: MIT
 *
 * test_alloc_sweep.c - every verb with its 1st, 2nd, n-th allocation failing, until it passes.
 *
 * RULE  A request that cannot get memory answers an error, changes nothing, leaks nothing, and works
 *       when it is sent again with memory. A call that can do without the memory may also succeed;
 *       then its reply and its effect must be the ordinary ones.
 *
 * HOW   For each case the reply of an undisturbed run is taken first. Then, on a fresh store each time,
 *       call n fails: once alone, once with all calls after it (memory is gone, not just scarce). The
 *       whole store is compared by digest: keys, values, expiries and versions.
 */
#define _GNU_SOURCE /* memmem */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"

#define SWEEP_MAX 400u /* more allocations than one request can need */
#define BIG_BYTES 100000u
#define REQUEST_MAX (3 * BIG_BYTES)

/* One case: a request in bytes. `%B` in the text stands for a value of BIG_BYTES bytes. */
struct sweep_case {
    const char *name;
    const char *request;
    size_t request_bytes; /* 0 = a string */
};

/* A store with something of everything in it, and a client. */
struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct test_client client;
};

static void connect(struct world *w) {
    if (test_client_open(&w->client, w->store, TEST_NOW) != NITRO_OK) test_fail("no client");
}

static void line(struct world *w, const char *text) {
    int rc = test_client_line(&w->client, text);
    if (rc != NITRO_OK || w->client.out_len == 0 || w->client.out[0] == '-')
        test_fail("setting up with \"%s\" failed: %s", text, nitro_strerror(rc));
    w->client.out_len = 0;
}

static void world_open(struct world *w, bool populated) {
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, 2);
    w->store = test_open(&w->opt);
    connect(w);
    if (!populated) return;
    line(w, "MSET text hello number 41 other value third 3");
    line(w, "SET mortal soon PX 60000");
    static char big[BIG_BYTES];
    struct test_arg argv[] = {{"SET", 3}, {"big", 3}, {big, sizeof big}};
    memset(big, 'b', sizeof big);
    if (test_client_args(&w->client, argv, 3) != NITRO_OK) test_fail("cannot set the big value");
    /* A fresh connection, so that the case's first byte decides the protocol. */
    test_client_close(&w->client);
    connect(w);
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* expand: the bytes of a case's request; returns how many. */
static size_t expand(const struct sweep_case *c, char *out) {
    if (c->request_bytes > 0) {
        memcpy(out, c->request, c->request_bytes);
        return c->request_bytes;
    }
    size_t n = 0;
    for (const char *p = c->request; *p != 0; p++) {
        if (p[0] == '%' && p[1] == 'B') {
            memset(out + n, 'v', BIG_BYTES);
            n += BIG_BYTES;
            p++;
        } else {
            out[n++] = *p;
        }
    }
    return n;
}

/* is_refusal: the reply is an error for want of memory, in either protocol. */
static bool is_refusal(const struct world *w) {
    const struct test_client *c = &w->client;
    if (c->out_len == 0) return false;
    if (c->out[0] == 0xf6) return c->out_len >= 8 && c->out[1] == NITRO_ENOMEM;
    return c->out[0] == '-' && memmem(c->out, c->out_len, "memory", 6) != NULL;
}

struct reply {
    uint8_t *p;
    size_t n;
};

static bool same_reply(const struct world *w, const struct reply *want) {
    return w->client.out_len == want->n && memcmp(w->client.out, want->p, want->n) == 0;
}

static void expect_effect(struct world *w, const struct sweep_case *c, struct test_digest want) {
    struct test_digest got = test_digest(w->store, TEST_NOW);
    if (got.keys != want.keys || got.contents != want.contents)
        test_fail("%s: %" PRIu64 " keys instead of %" PRIu64 ", or other contents", c->name,
                  got.keys, want.keys);
}

/* attempt: the request with calls first .. last failing. True if no call has failed. */
static bool attempt(const struct sweep_case *c, bool populated, uint64_t first, uint64_t last,
                    const struct reply *want, struct test_digest after) {
    static char request[REQUEST_MAX];
    struct world w;
    size_t n = expand(c, request);
    world_open(&w, populated);
    struct test_digest before = test_digest(w.store, TEST_NOW);
    test_mem_fail(&w.mem, first, last);
    int rc = test_client_feed(&w.client, request, n);
    uint64_t failed = w.mem.failed;
    test_mem_fail(&w.mem, 0, 0);
    if (rc != NITRO_OK || is_refusal(&w)) {
        struct test_digest now = test_digest(w.store, TEST_NOW);
        if (failed == 0) test_fail("%s: refused although no allocation failed", c->name);
        if (now.keys != before.keys || now.versions != before.versions)
            test_fail("%s: refused, but the store has changed (call %" PRIu64 ")", c->name, first);
        test_client_close(&w.client);
        connect(&w);
        rc = test_client_feed(&w.client, request, n);
    }
    if (rc != NITRO_OK || !same_reply(&w, want))
        test_fail("%s: call %" PRIu64 " failed once, then the reply is \"%.*s\": %s", c->name,
                  first, (int)(w.client.out_len > 60 ? 60 : w.client.out_len),
                  (const char *)w.client.out, nitro_strerror(rc));
    expect_effect(&w, c, after);
    world_close(&w);
    return failed == 0;
}

/* undisturbed: the reply and the contents that a run without failures leaves. */
static struct reply undisturbed(const struct sweep_case *c, bool populated,
                                struct test_digest *after) {
    static char request[REQUEST_MAX];
    struct world w;
    size_t n = expand(c, request);
    world_open(&w, populated);
    int rc = test_client_feed(&w.client, request, n);
    if (rc != NITRO_OK || w.client.out_len == 0)
        test_fail("%s: no reply even with memory: %s", c->name, nitro_strerror(rc));
    struct reply r = {malloc(w.client.out_len), w.client.out_len};
    if (r.p == NULL) test_fail("the test itself is out of memory");
    memcpy(r.p, w.client.out, r.n);
    *after = test_digest(w.store, TEST_NOW);
    world_close(&w);
    return r;
}

static void sweep(const struct sweep_case *c, bool populated) {
    struct test_digest after;
    struct reply want = undisturbed(c, populated, &after);
    uint64_t n = 1;
    while (!attempt(c, populated, n, n, &want, after))
        if (++n > SWEEP_MAX) test_fail("%s: still failing at call %" PRIu64, c->name, n);
    for (uint64_t from = 1; from < n; from++) attempt(c, populated, from, UINT64_MAX, &want, after);
    free(want.p);
}

static void sweep_all(const struct sweep_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        sweep(&cases[i], true);
        sweep(&cases[i], false);
    }
}
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- the verbs ---------------------------------------------------------------------------------*/

/* Each text verb, on a store that has its keys and on an empty one. */
static void text_verbs__nth_allocation_fails__nothing_changed(void **state) {
    (void)state;
    static const struct sweep_case cases[] = {
        {"SET", "SET new value\r\n", 0},
        {"SET over", "SET text longer-than-the-value-before-it\r\n", 0},
        {"SET big", "*3\r\n$3\r\nSET\r\n$4\r\ntext\r\n$100000\r\n%B\r\n", 0},
        {"SET small over big", "SET big small\r\n", 0},
        {"SET NX", "SET new value NX\r\n", 0},
        {"SET XX", "SET text value XX\r\n", 0},
        {"SET GET", "SET text value GET\r\n", 0},
        {"SET GET of big", "SET big value GET\r\n", 0},
        {"SET EX", "SET text value EX 100\r\n", 0},
        {"SET KEEPTTL", "SET mortal a-longer-value-than-before KEEPTTL\r\n", 0},
        {"MSET", "MSET a 1 b 2 c 3 d 4 text changed number 7 e 5 f 6\r\n", 0},
        {"MSET with big",
         "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$100000\r\n%B\r\n$4\r\ntext\r\n$1\r\nx\r\n", 0},
        {"GET", "GET text\r\n", 0},
        {"GET big", "GET big\r\n", 0},
        {"MGET", "MGET text big missing number big\r\n", 0},
        {"DEL", "DEL text big missing mortal\r\n", 0},
        {"DELETE", "DELETE text\r\n", 0},
        {"EXISTS", "EXISTS text text missing\r\n", 0},
        {"INCR", "INCR number\r\n", 0},
        {"INCRBY to a longer number", "INCRBY number 1000000000000\r\n", 0},
        {"DECR of nothing", "DECR new\r\n", 0},
        {"EXPIRE", "EXPIRE text 100\r\n", 0},
        {"PEXPIRE into the past", "PEXPIRE text -1\r\n", 0},
        {"PERSIST", "PERSIST mortal\r\n", 0},
        {"TTL", "TTL mortal\r\n", 0},
        {"TYPE", "TYPE text\r\n", 0},
        {"SCAN", "SCAN 0 COUNT 1000\r\n", 0},
        {"DBSIZE", "DBSIZE\r\n", 0},
        {"MEMORY USAGE", "MEMORY USAGE text\r\n", 0},
        {"APPEND", "APPEND text much-more-than-there-was-before\r\n", 0},
        {"APPEND to nothing", "APPEND new value\r\n", 0},
        {"APPEND to big", "APPEND big more\r\n", 0},
        {"APPEND of big", "*3\r\n$6\r\nAPPEND\r\n$4\r\ntext\r\n$100000\r\n%B\r\n", 0},
        {"SETRANGE", "SETRANGE text 100 x\r\n", 0},
        {"SETRANGE to a big one", "SETRANGE text 100000 x\r\n", 0},
        {"GETRANGE of big", "GETRANGE big 1 -1\r\n", 0},
        {"GETDEL of big", "GETDEL big\r\n", 0},
        {"GETEX", "GETEX text EX 100\r\n", 0},
        {"GETEX of big", "GETEX big EX 100\r\n", 0},
        {"GETSET of big", "GETSET big value\r\n", 0},
        {"INCRBYFLOAT", "INCRBYFLOAT number 0.123456789\r\n", 0},
        {"SETNX", "SETNX new value\r\n", 0},
        {"SETEX", "SETEX text 100 value\r\n", 0},
        {"MSETNX", "MSETNX a 1 b 2 c 3 d 4\r\n", 0},
        {"MSETNX with big",
         "*5\r\n$6\r\nMSETNX\r\n$1\r\na\r\n$100000\r\n%B\r\n$1\r\nb\r\n$1\r\nx\r\n", 0},
        {"RENAME", "RENAME text a-longer-name-than-before\r\n", 0},
        {"RENAME of big over another", "RENAME big text\r\n", 0},
        {"COPY", "COPY mortal other REPLACE\r\n", 0},
        {"COPY of big", "COPY big new\r\n", 0},
        {"EXPIREAT", "EXPIREAT text 1700009999\r\n", 0},
        {"PEXPIRETIME", "PEXPIRETIME mortal\r\n", 0},
        {"UNLINK", "UNLINK big text\r\n", 0},
        {"OBJECT", "OBJECT ENCODING number\r\n", 0},
        {"KEYS", "KEYS *\r\n", 0},
        {"PING", "PING\r\n", 0},
        {"ECHO of much", "*2\r\n$4\r\nECHO\r\n$100000\r\n%B\r\n", 0},
        {"FLUSHALL", "FLUSHALL\r\n", 0},
    };
    sweep_all(cases, COUNT(cases));
}

#define KEY(text, low) low "\0" text
#define FRAME(op, flags, length, body) "\xf5" op "\x07\x00" flags length body
#define CASE(name, bytes)                                                                          \
    { name, bytes, sizeof(bytes) - 1 }

/* The binary verbs. Lengths stand in the frames as three bytes, little-endian. */
static void binary_verbs__nth_allocation_fails__nothing_changed(void **state) {
    (void)state;
    static const struct sweep_case cases[] = {
        CASE("GET", FRAME("\x10", "\x00", "\x06\x00\x00", KEY("text", "\x04"))),
        CASE("GET big", FRAME("\x10", "\x00", "\x05\x00\x00", KEY("big", "\x03"))),
        CASE("SET", FRAME("\x11", "\x00", "\x0a\x00\x00", KEY("new", "\x03") "value")),
        CASE("SET must not exist",
             FRAME("\x11", "\x04", "\x12\x00\x00", "\0\0\0\0\0\0\0\0" KEY("new", "\x03") "value")),
        CASE("DELETE", FRAME("\x12", "\x00", "\x05\x00\x00", KEY("big", "\x03"))),
        CASE("EXISTS", FRAME("\x13", "\x00", "\x05\x00\x00", KEY("big", "\x03"))),
        CASE("INCR",
             FRAME("\x14", "\x00", "\x10\x00\x00", KEY("number", "\x06") "\x01\0\0\0\0\0\0\0")),
        CASE("EXPIRE in a second", FRAME("\x15", "\x08", "\x0e\x00\x00",
                                         "\x18\xfc\xff\xff\xff\xff\xff\xff" KEY("text", "\x04"))),
        CASE("TTL", FRAME("\x16", "\x00", "\x08\x00\x00", KEY("mortal", "\x06"))),
        CASE("PERSIST", FRAME("\x17", "\x00", "\x08\x00\x00", KEY("mortal", "\x06"))),
        CASE("MEMORY", FRAME("\x18", "\x00", "\x06\x00\x00", KEY("text", "\x04"))),
        CASE("GETX", FRAME("\x19", "\x00", "\x07\x00\x00", "\x02" KEY("text", "\x04"))),
        CASE("SETX old value of big",
             FRAME("\x1a", "\x00", "\x0b\x00\x00", "\x08" KEY("big", "\x03") "value")),
        CASE("MGET", FRAME("\x20", "\x00", "\x0f\x00\x00",
                           "\x02\0\0\0" KEY("text", "\x04") KEY("big", "\x03"))),
        CASE("MSET",
             FRAME("\x21", "\x00", "\x16\x00\x00",
                   "\x02\0\0\0" KEY("aa", "\x02") "\x01\0\0\0x" KEY("bb", "\x02") "\x01\0\0\0y")),
        CASE("MDELETE", FRAME("\x22", "\x00", "\x0f\x00\x00",
                              "\x02\0\0\0" KEY("text", "\x04") KEY("big", "\x03"))),
        CASE("MEXISTS", FRAME("\x23", "\x00", "\x0f\x00\x00",
                              "\x02\0\0\0" KEY("text", "\x04") KEY("big", "\x03"))),
        CASE("SCAN", FRAME("\x28", "\x00", "\x0f\x00\x00", "\0\0\0\0\0\0\0\0\x64\0\0\0\x01\0\0")),
        CASE("COUNT", FRAME("\x29", "\x00", "\x00\x00\x00", "")),
        CASE("FLUSH", FRAME("\x2a", "\x00", "\x00\x00\x00", "")),
        CASE("GETDEL", FRAME("\x1b", "\x00", "\x05\x00\x00", KEY("big", "\x03"))),
        CASE("GETEX PERSIST", FRAME("\x1c", "\x00", "\x09\x00\x00", "\x01" KEY("mortal", "\x06"))),
        CASE("APPEND", FRAME("\x1d", "\x00", "\x09\x00\x00", KEY("big", "\x03") "more")),
        CASE("GETRANGE",
             FRAME("\x1e", "\x00", "\x15\x00\x00",
                   "\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff" KEY("big", "\x03"))),
        CASE("SETRANGE to a big one",
             FRAME("\x1f", "\x00", "\x0b\x00\x00", "\xa0\x86\x01\0" KEY("text", "\x04") "x")),
        CASE("MSETX none exists", FRAME("\x24", "\x00", "\x0e\x00\x00",
                                        "\x01\x01\0\0\0" KEY("aa", "\x02") "\x01\0\0\0x")),
        CASE("INCRFLOAT", FRAME("\x30", "\x00", "\x0b\x00\x00", KEY("number", "\x06") "0.5")),
        CASE("RENAME of big",
             FRAME("\x33", "\x00", "\x0b\x00\x00", "\x00" KEY("big", "\x03") KEY("new", "\x03"))),
        CASE("COPY of big",
             FRAME("\x34", "\x00", "\x0b\x00\x00", "\x00" KEY("big", "\x03") KEY("new", "\x03"))),
        CASE("SET in two frames", FRAME("\x11", "\x20", "\x08\x00\x00", KEY("new", "\x03") "val")
                                      FRAME("\x11", "\x00", "\x02\x00\x00", "ue")),
    };
    sweep_all(cases, COUNT(cases));
}

/* ---- direct calls ------------------------------------------------------------------------------*/

/* Opening a store, a session and a chunk: an error, and nothing left behind. */
static void open__nth_allocation_fails__error_and_no_leak(void **state) {
    (void)state;
    struct test_mem mem;
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 16);
    for (uint64_t n = 1;; n++) {
        nitro_store *s = NULL;
        struct nitro_err err = {0};
        struct test_client client;
        test_mem_fail(&mem, n, n);
        int rc = nitro_open(&opt, &s, &err);
        if (rc == NITRO_OK)
            rc = test_client_open(&client, s, TEST_NOW);
        else
            assert_true(s == NULL && err.code == rc && err.msg[0] != 0);
        if (rc == NITRO_OK)
            test_client_close(&client);
        else
            assert_int_equal(rc, NITRO_ENOMEM);
        nitro_close(&s);
        test_mem_check_empty(&mem);
        if (mem.failed == 0) break;
        assert_true(n < SWEEP_MAX);
    }
}

#define GROW_KEYS 1500u

static int set_number(nitro_store *s, uint32_t i) {
    char key[32], value[120];
    int n = snprintf(key, sizeof key, "grow:%" PRIu32, i);
    memset(value, (int)('a' + i % 26), sizeof value);
    return nitro_set(s, TEST_NOW, key, (size_t)n, value, i % sizeof value, 0, 0, 0, NULL);
}

/* check_numbers: exactly the keys below `count` are there, each as long as it was set. */
static void check_numbers(nitro_store *s, uint32_t count) {
    for (uint32_t i = 0; i < GROW_KEYS; i++) {
        char key[32];
        struct nitro_info info = {0};
        int n = snprintf(key, sizeof key, "grow:%" PRIu32, i);
        int rc = nitro_get(s, TEST_NOW, key, (size_t)n, NULL, 0, &info);
        if (rc != (i < count ? NITRO_OK : NITRO_ENOTFOUND))
            test_fail("key %" PRIu32 " of %" PRIu32 ": %s", i, count, nitro_strerror(rc));
        if (i < count && info.bytes != i % 120) test_fail("key %" PRIu32 " has changed", i);
    }
}

/* grow_once: fills a store while calls first .. last fail. True if no call has failed. */
static bool grow_once(uint64_t first, uint64_t last, uint32_t keys) {
    struct world w;
    bool refused = false;
    world_open(&w, false);
    test_mem_fail(&w.mem, first, last);
    for (uint32_t i = 0; i < keys; i++) {
        int rc = set_number(w.store, i);
        if (rc == NITRO_OK) continue;
        assert_int_equal(rc, NITRO_ENOMEM);
        assert_true(w.mem.failed > 0);
        refused = true;
        check_numbers(w.store, i);
        test_mem_fail(&w.mem, 0, 0);
        assert_int_equal(set_number(w.store, i), NITRO_OK);
    }
    bool passed = !refused && w.mem.failed == 0;
    test_mem_fail(&w.mem, 0, 0);
    check_numbers(w.store, keys);
    world_close(&w);
    return passed;
}

/* Tables and arenas grow under the keys; each allocation of the growth fails once, and for good. */
static void growth__nth_allocation_fails__keys_stay(void **state) {
    (void)state;
    uint32_t keys = (uint32_t)test_scale(GROW_KEYS);
    uint64_t n = 1;
    while (!grow_once(n, n, keys)) assert_true(++n < SWEEP_MAX + 3 * GROW_KEYS);
    for (uint64_t from = 1; from < n; from++) grow_once(from, UINT64_MAX, keys);
}

/* Background work without memory does less, but never loses or changes a key. */
static void steps__no_memory_at_all__contents_unchanged(void **state) {
    (void)state;
    struct world w;
    world_open(&w, true);
    for (uint32_t i = 0; i < GROW_KEYS; i++) assert_int_equal(set_number(w.store, i), NITRO_OK);
    for (uint32_t i = 0; i < GROW_KEYS; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "grow:%" PRIu32, i);
        if (i % 8 != 0)
            assert_int_equal(nitro_delete(w.store, TEST_NOW, key, (size_t)n, NULL), NITRO_OK);
    }
    struct test_digest before = test_digest(w.store, TEST_NOW);
    test_mem_fail(&w.mem, 1, UINT64_MAX);
    for (int round = 0; round < 200; round++)
        for (int kind = 0; kind < NITRO_STEP_KINDS; kind++) {
            struct nitro_step_result r;
            int rc = nitro_step(w.store, (enum nitro_step_kind)kind, TEST_NOW, 64, &r);
            assert_true(rc == NITRO_OK || rc == NITRO_ENOMEM);
        }
    struct test_digest now = test_digest(w.store, TEST_NOW);
    assert_true(now.keys == before.keys && now.versions == before.versions);
    test_mem_fail(&w.mem, 0, 0);
    test_step_all(w.store, TEST_NOW);
    now = test_digest(w.store, TEST_NOW);
    assert_true(now.keys == before.keys && now.versions == before.versions);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_verbs__nth_allocation_fails__nothing_changed),
        cmocka_unit_test(binary_verbs__nth_allocation_fails__nothing_changed),
        cmocka_unit_test(open__nth_allocation_fails__error_and_no_leak),
        cmocka_unit_test(growth__nth_allocation_fails__keys_stay),
        cmocka_unit_test(steps__no_memory_at_all__contents_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
