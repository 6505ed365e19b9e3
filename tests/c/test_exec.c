/* SPDX-License-Identifier: MIT
 *
 * test_exec.c - what every verb answers, in RESP2 and RESP3, and how execute stops and goes on.
 *
 * HOW   A script is a list of inline requests and their replies, run in order on one connection
 *       against a fresh store. In a reply, "\n" stands for CRLF. The replies were compared with
 *       those of redis-server 7.0.
 *
 * NOT HERE  framing (test_wire_resp.c), binary bytes (test_vectors.c, test_wire_nbp.c), failing
 *       allocations (test_alloc_sweep.c), long random runs (test_model.c).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "req.h"

#define BIG_BYTES 200000u

struct world {
    struct test_mem mem;
    nitro_store *store;
    struct test_client client;
};

static void world_open(struct world *w, enum nitro_proto proto) {
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    w->store = test_open(&opt);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
    w->client.session->proto = (uint8_t)proto;
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* expect: the replies so far are `reply`, in which "\n" stands for CRLF. */
static void expect(struct world *w, const char *request, const char *reply) {
    char want[1024];
    size_t n = 0;
    for (const char *p = reply; *p != 0; p++) {
        if (*p == '\n') want[n++] = '\r';
        want[n++] = *p;
    }
    if (w->client.out_len != n || memcmp(w->client.out, want, n) != 0)
        test_fail("%s: got \"%.*s\", expected \"%s\"", request, (int)w->client.out_len,
                  (const char *)w->client.out, reply);
    w->client.out_len = 0;
}

static void line(struct world *w, const char *request, const char *reply) {
    assert_int_equal(test_client_line(&w->client, request), NITRO_OK);
    expect(w, request, reply);
}

struct step {
    const char *request, *reply;
};

static void run_script(enum nitro_proto proto, const struct step *s) {
    struct world w;
    world_open(&w, proto);
    for (; s->request != NULL; s++) line(&w, s->request, s->reply);
    world_close(&w);
}

#define NOT_INTEGER "-ERR value is not an integer or out of range\n"
#define SYNTAX "-ERR syntax error\n"
#define SET_TIME "-ERR invalid expire time in 'set' command\n"

/* ---- one connection, many verbs ---------------------------------------------------------------*/

static void set__every_option__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"SET k v", "+OK\n"},
        {"SET k w NX", "$-1\n"},
        {"SET k w nx GET", "$1\nv\n"},
        {"SET k w XX GET", "$1\nv\n"},
        {"PUT k x", "+OK\n"},
        {"GET k", "$1\nx\n"},
        {"SET no w XX", "$-1\n"},
        {"SET no w XX GET", "$-1\n"},
        {"SET new v NX GET", "$-1\n"},
        {"SET k v GET GET", "$1\nx\n"},
        {"SET k v EX 10 PX 10", SYNTAX},
        {"SET k v EX", SYNTAX},
        {"SET k v NX XX", SYNTAX},
        {"SET k v KEEPTTL EX 10", SYNTAX},
        {"SET k v bogus", SYNTAX},
        {"SET k v EX abc", NOT_INTEGER},
        {"SET k v EX 0", SET_TIME},
        {"SET k v PX -1", SET_TIME},
        {"SET k v EX 9223372036854775807", SET_TIME},
        {"SET k v PX 9223372036854775807", SET_TIME},
        {"SET k v EX 10", "+OK\n"},
        {"PTTL k", ":10000\n"},
        {"SET k w KEEPTTL", "+OK\n"},
        {"PTTL k", ":10000\n"},
        {"SET k w", "+OK\n"},
        {"PTTL k", ":-1\n"},
        {"SET k v PXAT 1700000005000", "+OK\n"},
        {"PTTL k", ":5000\n"},
        {"SET k v EXAT 1700000007", "+OK\n"},
        {"TTL k", ":7\n"},
        {"SET k v PXAT 1", "+OK\n"},
        {"GET k", "$-1\n"},
        {"SET cas a IFVER 0", "+OK\n"},
        {"SET cas b IFVER 0", "$-1\n"},
        {"SET cas b IFVER 18446744073709551615", "$-1\n"},
        {"SET cas b IFVER 1 NX", SYNTAX},
        {"SET cas b IFVER x", NOT_INTEGER},
        {"GET cas", "$1\na\n"},
        {"SET k", "-ERR wrong number of arguments for 'set' command\n"},
        {"GET", "-ERR wrong number of arguments for 'get' command\n"},
        {"GET a b", "-ERR wrong number of arguments for 'get' command\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void counters__numbers_and_limits__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"INCR n", ":1\n"},
        {"INCRBY n 41", ":42\n"},
        {"DECR n", ":41\n"},
        {"DECRBY n 50", ":-9\n"},
        {"GET n", "$2\n-9\n"},
        {"EXPIRE n 100", ":1\n"},
        {"INCR n", ":-8\n"},
        {"TTL n", ":100\n"},
        {"INCRBY n 01", NOT_INTEGER},
        {"INCRBY n 1.5", NOT_INTEGER},
        {"DECRBY n -9223372036854775808", "-ERR decrement would overflow\n"},
        {"SET n 9223372036854775807", "+OK\n"},
        {"INCR n", "-ERR increment or decrement would overflow\n"},
        {"GET n", "$19\n9223372036854775807\n"},
        {"SET n 1x", "+OK\n"},
        {"INCR n", NOT_INTEGER},
        {"SET n ''", "+OK\n"},
        {"DECR n", NOT_INTEGER},
        {"SET n 123456789012345678901", "+OK\n"},
        {"DECR n", NOT_INTEGER},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void expiry__every_verb__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"EXPIRE k 10", ":0\n"},
        {"TTL k", ":-2\n"},
        {"PTTL k", ":-2\n"},
        {"PERSIST k", ":0\n"},
        {"SET k v", "+OK\n"},
        {"TTL k", ":-1\n"},
        {"EXPIRE k abc", NOT_INTEGER},
        {"EXPIRE k 10 FOO", "-ERR Unsupported option FOO\n"},
        {"EXPIRE k 10 NX GT",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\n"},
        {"EXPIRE k 10 GT LT", "-ERR GT and LT options at the same time are not compatible\n"},
        {"EXPIRE k 9223372036854775807", "-ERR invalid expire time in 'expire' command\n"},
        {"PEXPIRE k 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\n"},
        {"EXPIRE k 10 XX", ":0\n"},
        {"EXPIRE k 10 GT", ":0\n"},
        {"EXPIRE k 10 LT", ":1\n"},
        {"EXPIRE k 5 NX", ":0\n"},
        {"EXPIRE k 5 GT", ":0\n"},
        {"EXPIRE k 20 XX GT", ":1\n"},
        {"PTTL k", ":20000\n"},
        {"PEXPIRE k 1499", ":1\n"},
        {"TTL k", ":1\n"},
        {"PEXPIRE k 1500", ":1\n"},
        {"TTL k", ":2\n"},
        {"PERSIST k", ":1\n"},
        {"PERSIST k", ":0\n"},
        {"EXPIRE k -1", ":1\n"},
        {"EXISTS k", ":0\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void several_keys__in_one_request__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"MSET a 1 b 2 a 3", "+OK\n"},
        {"MGET a b no a", "*4\n$1\n3\n$1\n2\n$-1\n$1\n3\n"},
        {"MSET a", "-ERR wrong number of arguments for 'mset' command\n"},
        {"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\n"},
        {"EXISTS a no b a", ":3\n"},
        {"EXISTS a", ":1\n"},
        {"DEL a no a b", ":2\n"},
        {"DEL a", ":0\n"},
        {"MSET a 1 b 2 c 3", "+OK\n"},
        {"DELETE a", "+OK\n"},
        {"DELETE a", "+OK\n"},
        {"DELETE b c a", "+OK\n"},
        {"DBSIZE", ":0\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void the_rest__each_verb__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"PING", "+PONG\n"},
        {"PING hi", "$2\nhi\n"},
        {"PING a b", "-ERR wrong number of arguments for 'ping' command\n"},
        {"ECHO ''", "$0\n\n"},
        {"TYPE k", "+none\n"},
        {"SET k v", "+OK\n"},
        {"TYPE k", "+string\n"},
        {"SCAN 0", "*2\n$1\n0\n*1\n$1\nk\n"},
        {"SCAN 0 MATCH x* COUNT 100", "*2\n$1\n0\n*0\n"},
        {"SCAN 0 MATCH [a-k] TYPE STRING", "*2\n$1\n0\n*1\n$1\nk\n"},
        {"SCAN 0 TYPE list", "*2\n$1\n0\n*0\n"},
        {"SCAN x", "-ERR invalid cursor\n"},
        {"SCAN 0 COUNT 0", SYNTAX},
        {"SCAN 0 COUNT x", NOT_INTEGER},
        {"SCAN 0 MATCH", SYNTAX},
        {"SCAN 0 FOO x", SYNTAX},
        {"MEMORY USAGE no", "$-1\n"},
        {"MEMORY USAGE k SAMPLES -1", SYNTAX},
        {"MEMORY USAGE", "-ERR wrong number of arguments for 'memory|usage' command\n"},
        {"MEMORY DOCTOR", "-ERR unknown subcommand 'DOCTOR'. Try MEMORY HELP.\n"},
        {"WAITAOF 1 0", "-ERR wrong number of arguments for 'waitaof' command\n"},
        {"WAITAOF 1 0 0", "-ERR this test host has no such verb\n"},
        {"FLUSHALL NOW", SYNTAX},
        {"FLUSHALL ASYNC", "+OK\n"},
        {"GET k", "$-1\n"},
        {"nope a 'b c'", "-ERR unknown command 'nope', with args beginning with: 'a' 'b c' \n"},
        {"nope", "-ERR unknown command 'nope', with args beginning with: \n"},
        {"\"x\\r\\ny\"", "-ERR unknown command 'x  y', with args beginning with: \n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void resp3__missing_values__null_type(void **state) {
    (void)state;
    static const struct step script[] = {
        {"GET k", "_\n"},
        {"SET k v XX", "_\n"},
        {"SET k v", "+OK\n"},
        {"SET k w NX", "_\n"},
        {"MGET k no", "*2\n$1\nv\n_\n"},
        {"MEMORY USAGE no", "_\n"},
        {"SET k w IFVER 1", "_\n"},
        {"TTL no", ":-2\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP3, script);
}

/* MEMORY USAGE counts more than the bytes of key and value, and little more. */
static void memory_usage__of_a_key__plausible(void **state) {
    (void)state;
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    line(&w, "SET 0123456789 01234567890123456789", "+OK\n");
    assert_int_equal(test_client_line(&w.client, "MEMORY USAGE 0123456789 SAMPLES 5"), NITRO_OK);
    assert_int_equal(w.client.out[0], ':');
    long bytes = strtol((const char *)w.client.out + 1, NULL, 10);
    assert_true(bytes > 30 && bytes < 200);
    world_close(&w);
}

/* Time passes between two requests, and a key is gone. */
static void expired_key__time_has_passed__not_there(void **state) {
    (void)state;
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    line(&w, "SET k v PX 10", "+OK\n");
    w.client.now_ms += 9;
    line(&w, "PTTL k", ":1\n");
    w.client.now_ms += 1;
    line(&w, "GET k", "$-1\n");
    line(&w, "SCAN 0", "*2\n$1\n0\n*0\n");
    line(&w, "INCR k", ":1\n");
    line(&w, "PTTL k", ":-1\n");
    world_close(&w);
}

/* The version that IFVER names is the one that the store gave. */
static void set_ifver__right_version__stored_once(void **state) {
    (void)state;
    struct world w;
    struct nitro_info info;
    char request[64];
    world_open(&w, NITRO_PROTO_RESP2);
    line(&w, "SET k a", "+OK\n");
    assert_int_equal(nitro_get(w.store, TEST_NOW, "k", 1, NULL, 0, &info), NITRO_OK);
    snprintf(request, sizeof request, "SET k b IFVER %llu", (unsigned long long)info.version);
    line(&w, request, "+OK\n");
    line(&w, request, "$-1\n");
    line(&w, "GET k", "$1\nb\n");
    world_close(&w);
}

/* ---- stops ------------------------------------------------------------------------------------*/

/* set_big: a value over NK_VALUE_BIG under `key`, filled with `fill`. */
static void set_big(struct world *w, const char *key, char fill) {
    static char value[BIG_BYTES];
    memset(value, fill, sizeof value);
    struct test_arg argv[] = {{"SET", 3}, {key, strlen(key)}, {value, sizeof value}};
    assert_int_equal(test_client_args(&w->client, argv, 3), NITRO_OK);
    expect(w, "SET big", "+OK\n");
}

/* is_big: a bulk of BIG_BYTES times `fill` at the start of p. */
static bool is_big(const uint8_t *p, char fill) {
    static const char head[] = "$200000\r\n";
    if (memcmp(p, head, sizeof head - 1) != 0) return false;
    for (size_t i = 0; i < BIG_BYTES; i++)
        if (p[sizeof head - 1 + i] != (uint8_t)fill) return false;
    return memcmp(p + sizeof head - 1 + BIG_BYTES, "\r\n", 2) == 0;
}
#define BIG_REPLY (9u + BIG_BYTES + 2u)

/* Large values go out from where they lie: alone, as an old value, and among others. */
static void large_value__every_way_out__intact(void **state) {
    (void)state;
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    set_big(&w, "a", 'a');
    set_big(&w, "b", 'b');
    line(&w, "INCR a", NOT_INTEGER);
    assert_int_equal(test_client_line(&w.client, "MGET a no b"), NITRO_OK);
    assert_int_equal(w.client.out_len, 4 + BIG_REPLY + 5 + BIG_REPLY);
    assert_true(is_big(w.client.out + 4, 'a'));
    assert_true(is_big(w.client.out + 4 + BIG_REPLY + 5, 'b'));
    w.client.out_len = 0;
    assert_int_equal(test_client_line(&w.client, "SET a small GET"), NITRO_OK);
    assert_int_equal(w.client.out_len, BIG_REPLY);
    assert_true(is_big(w.client.out, 'a'));
    w.client.out_len = 0;
    line(&w, "GET a", "$5\nsmall\n");
    line(&w, "DEL b", ":1\n");
    world_close(&w);
}

/* A value is intact although it was overwritten and freed while it was being sent. */
static void large_value__overwritten_between_stops__still_intact(void **state) {
    (void)state;
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    set_big(&w, "k", 'x');
    nitro_chunk *c = w.client.chunk;
    memcpy(c->in, "GET k\n", 6);
    c->in_len = 6;
    c->in_pos = 0;
    assert_int_equal(nitro_prepare(w.store, w.client.session, c, TEST_NOW), NITRO_OK);
    assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_BIG);
    assert_int_equal(nitro_delete(w.store, TEST_NOW, "k", 1, NULL), NITRO_OK);
    test_step_all(w.store, TEST_NOW);
    assert_int_equal(c->big_len, BIG_BYTES);
    for (size_t i = 0; i < c->big_len; i++) assert_int_equal(c->big[i], 'x');
    c->out_len = 0;
    assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_DONE);
    assert_int_equal(c->out_len, 2);
    world_close(&w);
}

/* Replies beyond the output buffer's mark stop between requests and between keys, and then go
 * on. */
static void long_replies__one_request_or_many__in_bounded_pieces(void **state) {
    (void)state;
    struct world w;
    static char value[60000];
    world_open(&w, NITRO_PROTO_RESP2);
    memset(value, 'v', sizeof value);
    struct test_arg set[] = {{"SET", 3}, {"k", 1}, {value, sizeof value}};
    assert_int_equal(test_client_args(&w.client, set, 3), NITRO_OK);
    w.client.out_len = 0;
    nitro_chunk *c = w.client.chunk;
    static const char in[] = "MGET k k k k k\nGET k\nGET k\nGET k\n";
    nitro_chunk_compact(c);
    memcpy(c->in, in, sizeof in - 1);
    c->in_len = sizeof in - 1;
    assert_int_equal(nitro_prepare(w.store, w.client.session, c, TEST_NOW), NITRO_OK);
    size_t total = 0, stops = 0;
    for (int stop = NITRO_STOP_OUT; stop != NITRO_STOP_DONE; stops++) {
        c->out_len = 0;
        stop = nitro_execute(w.store, w.client.session, c, TEST_NOW);
        assert_true(stop == NITRO_STOP_OUT || stop == NITRO_STOP_DONE);
        assert_true(c->out_len <= NK_OUT_SOFT + NK_VALUE_BIG + 64);
        total += c->out_len;
    }
    assert_int_equal(total, 4 + 8 * (8 + sizeof value + 2));
    assert_int_equal(stops, 4);
    assert_int_equal(c->out_cap, NK_OUT_BYTES);
    world_close(&w);
}

/* While another thread holds a segment, nothing is applied, and the host may call again. */
static void held_segment__any_write__busy_and_then_done(void **state) {
    (void)state;
    static const struct step script[] = {
        {"SET k v\n", "+OK\r\n"},
        {"MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 k w\n", "+OK\r\n"},
        {"DEL a b c k\n", ":4\r\n"},
        {"INCR k\n", ":1\r\n"},
        {"MGET k\n", "*1\r\n$1\r\n1\r\n"},
        {"EXISTS k k\n", ":2\r\n"},
    };
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    nitro_chunk *c = w.client.chunk;
    struct nk_db *db = nk_front_db(w.store);
    struct nk_key key;
    nk_key_init(db, "k", 1, &key);
    struct nk_seg *s = nk_db_seg(db, key.seg);
    for (size_t i = 0; i < sizeof script / sizeof script[0]; i++) {
        size_t n = strlen(script[i].request);
        nitro_chunk_compact(c);
        memcpy(c->in, script[i].request, n);
        c->in_len = n;
        c->out_len = 0;
        assert_int_equal(nitro_prepare(w.store, w.client.session, c, TEST_NOW), NITRO_OK);
        struct test_digest before = test_digest(w.store, TEST_NOW);
        assert_true(nk_seg_lock(s));
        for (int again = 0; again < 2; again++) {
            assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW),
                             NITRO_STOP_BUSY);
            assert_int_equal(c->next, 0);
        }
        nk_seg_unlock(s);
        struct test_digest after = test_digest(w.store, TEST_NOW);
        assert_true(before.versions == after.versions && before.keys == after.keys);
        assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_DONE);
        assert_int_equal(c->out_len, strlen(script[i].reply));
        assert_memory_equal(c->out, script[i].reply, c->out_len);
    }
    world_close(&w);
}

/* Host verbs stop in their place in the order, with their arguments. */
static void host_verb__in_a_pipeline__stops_in_its_place(void **state) {
    (void)state;
    struct world w;
    static const char in[] = "SET k v\nCLIENT SETNAME me\nGET k\n";
    world_open(&w, NITRO_PROTO_RESP2);
    nitro_chunk *c = w.client.chunk;
    memcpy(c->in, in, sizeof in - 1);
    c->in_len = sizeof in - 1;
    assert_int_equal(nitro_prepare(w.store, w.client.session, c, TEST_NOW), NITRO_OK);
    assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_HOST);
    assert_int_equal(c->host_verb, NITRO_HOST_CLIENT);
    assert_int_equal(c->host_argc, 3);
    assert_int_equal(c->host_argv[1].n, 7);
    assert_memory_equal(c->host_argv[1].p, "SETNAME", 7);
    assert_memory_equal(c->host_argv[2].p, "me", 2);
    assert_int_equal(nitro_chunk_reply(w.store, c, "+HOST\r\n", 7), NITRO_OK);
    nitro_chunk_skip(c);
    assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_DONE);
    assert_int_equal(c->out_len, 5 + 7 + 7);
    assert_memory_equal(c->out, "+OK\r\n+HOST\r\n$1\r\nv\r\n", 19);
    world_close(&w);
}

/* SCAN returns every key that was there all the time, once the cursor is back at 0. */
static void scan__many_keys_in_pages__each_returned(void **state) {
    (void)state;
    enum { KEYS = 3000 };
    struct world w;
    static bool seen[KEYS];
    char request[64];
    unsigned long long cursor = 0;
    memset(seen, 0, sizeof seen);
    world_open(&w, NITRO_PROTO_RESP2);
    for (int i = 0; i < KEYS; i++) {
        snprintf(request, sizeof request, "SET key:%d v", i);
        line(&w, request, "+OK\n");
    }
    do {
        snprintf(request, sizeof request, "SCAN %llu COUNT 50 MATCH key:*", cursor);
        assert_int_equal(test_client_line(&w.client, request), NITRO_OK);
        test_client_line(&w.client, "ECHO end");
        w.client.out[w.client.out_len - 1] = 0;
        char *p = strchr((char *)w.client.out, '\n') + 1; /* behind *2 */
        cursor = strtoull(strchr(p, '\n') + 1, NULL, 10);
        for (p = strstr(p, "key:"); p != NULL; p = strstr(p + 1, "key:")) seen[atoi(p + 4)] = true;
        w.client.out_len = 0;
    } while (cursor != 0);
    for (int i = 0; i < KEYS; i++)
        if (!seen[i]) test_fail("key:%d was not returned", i);
    world_close(&w);
}

/* Keys that are too long for one page's buffer come in more pages, none is lost. */
static void scan__long_keys__each_returned_in_bounded_pages(void **state) {
    (void)state;
    enum { KEYS = 40, KEY_BYTES = 60000 };
    struct world w;
    static char key[KEY_BYTES];
    char request[64], mark[16];
    unsigned long long cursor = 0;
    size_t found = 0;
    memset(key, 'k', sizeof key);
    world_open(&w, NITRO_PROTO_RESP2);
    for (int i = 0; i < KEYS; i++) {
        memcpy(key, mark, (size_t)snprintf(mark, sizeof mark, "<%03d>", i));
        struct test_arg set[] = {{"SET", 3}, {key, sizeof key}, {"v", 1}};
        assert_int_equal(test_client_args(&w.client, set, 3), NITRO_OK);
        expect(&w, "SET", "+OK\n");
    }
    do {
        snprintf(request, sizeof request, "SCAN %llu COUNT 1000", cursor);
        assert_int_equal(test_client_line(&w.client, request), NITRO_OK);
        assert_true(w.client.out_len < 48u * KEY_BYTES);
        const uint8_t *p = w.client.out, *end = p + w.client.out_len;
        p = (const uint8_t *)memchr(p + 4, '\n', 32) + 1;
        cursor = strtoull((const char *)p, NULL, 10);
        while ((p = memchr(p, '<', (size_t)(end - p))) != NULL) found++, p++;
        w.client.out_len = 0;
    } while (cursor != 0);
    assert_int_equal(found, KEYS);
    world_close(&w);
}

/* Beyond the memory limit writes are refused in Redis's words; reads and deletes go on. */
static void memory_limit__reached__oom_for_writes_only(void **state) {
    (void)state;
    struct world w;
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\n";
    world_open(&w, NITRO_PROTO_RESP2);
    line(&w, "SET k v", "+OK\n");
    nitro_set_max_memory(w.store, 1);
    line(&w, "SET other v", oom);
    line(&w, "MSET k w other v", oom);
    line(&w, "INCR n", oom);
    line(&w, "GET k", "$1\nv\n");
    line(&w, "DEL k", ":1\n");
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set__every_option__as_redis),
        cmocka_unit_test(counters__numbers_and_limits__as_redis),
        cmocka_unit_test(expiry__every_verb__as_redis),
        cmocka_unit_test(several_keys__in_one_request__as_redis),
        cmocka_unit_test(the_rest__each_verb__as_redis),
        cmocka_unit_test(resp3__missing_values__null_type),
        cmocka_unit_test(memory_usage__of_a_key__plausible),
        cmocka_unit_test(expired_key__time_has_passed__not_there),
        cmocka_unit_test(set_ifver__right_version__stored_once),
        cmocka_unit_test(large_value__every_way_out__intact),
        cmocka_unit_test(large_value__overwritten_between_stops__still_intact),
        cmocka_unit_test(long_replies__one_request_or_many__in_bounded_pieces),
        cmocka_unit_test(held_segment__any_write__busy_and_then_done),
        cmocka_unit_test(host_verb__in_a_pipeline__stops_in_its_place),
        cmocka_unit_test(scan__many_keys_in_pages__each_returned),
        cmocka_unit_test(scan__long_keys__each_returned_in_bounded_pages),
        cmocka_unit_test(memory_limit__reached__oom_for_writes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
