/* SPDX-License-Identifier: MIT
 *
 * test_strings.c - the string verbs beyond GET, SET and INCR, and the verbs on keys that came with them: what
 * they answer in both protocols, on keys that have expired, and when memory is used up.
 *
 * HOW   Requests and replies in order against a fresh store. In a text reply "\n" stands for CRLF. Whether the
 *       text replies are those of Redis is the business of tests/differ, which has sent them to both.
 *
 * NOT HERE  large values and the log (test_strings_large.c), KEYS and RANDOMKEY (test_walk.c), framing and bodies
 *       of the binary protocol (test_vectors.c, test_wire_nbp.c).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "wire_nbp.h"

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

/* line: sends a request and compares the reply. */
static void line(struct world *w, const char *request, const char *reply) {
    char want[1024];
    size_t n = 0;
    for (const char *p = reply; *p != 0; p++) {
        if (*p == '\n') want[n++] = '\r';
        want[n++] = *p;
    }
    assert_int_equal(test_client_line(&w->client, request), NITRO_OK);
    if (w->client.out_len != n || memcmp(w->client.out, want, n) != 0)
        test_fail("%s: got \"%.*s\", expected \"%s\"", request, (int)w->client.out_len,
                  (const char *)w->client.out, reply);
    w->client.out_len = 0;
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

#define NOT_FLOAT "-ERR value is not a valid float\n"
#define TOO_LONG "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\n"

/* ---- text -------------------------------------------------------------------------------------*/

static void parts__of_a_value__read_and_written(void **state) {
    (void)state;
    static const struct step script[] = {
        {"APPEND k hello", ":5\n"},
        {"APPEND k ''", ":5\n"},
        {"APPEND k -world", ":11\n"},
        {"STRLEN k", ":11\n"},
        {"STRLEN no", ":0\n"},
        {"GETRANGE k 0 4", "$5\nhello\n"},
        {"GETRANGE k -5 -1", "$5\nworld\n"},
        {"SUBSTR k 5 5", "$1\n-\n"},
        {"GETRANGE k 0 100", "$11\nhello-world\n"},
        {"GETRANGE k -100 0", "$1\nh\n"},
        {"GETRANGE k 3 2", "$0\n\n"},
        {"GETRANGE k -2 -3", "$0\n\n"},
        {"GETRANGE k 11 20", "$0\n\n"},
        {"GETRANGE k -9223372036854775808 9223372036854775807", "$11\nhello-world\n"},
        {"GETRANGE no 0 -1", "$0\n\n"},
        {"SETRANGE k 6 there", ":11\n"},
        {"SETRANGE k 9 more!", ":14\n"},
        {"GET k", "$14\nhello-themore!\n"},
        {"SETRANGE k 0 ''", ":14\n"},
        {"SETRANGE no 5 ''", ":0\n"},
        {"TYPE no", "+none\n"},
        {"SETRANGE no 2 x", ":3\n"},
        {"EXPIRE k 100", ":1\n"},
        {"APPEND k !", ":15\n"},
        {"SETRANGE k 0 H", ":15\n"},
        {"TTL k", ":100\n"},
        {"SETRANGE no 536870912 x", TOO_LONG},
        {"SETRANGE no 9223372036854775807 x", TOO_LONG},
        {"SETRANGE no -1 x", "-ERR offset is out of range\n"},
        {"STRLEN no", ":3\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void taking__a_value__answered_then_changed(void **state) {
    (void)state;
    static const struct step script[] = {
        {"SETEX k 100 v", "+OK\n"},
        {"GETEX k", "$1\nv\n"},
        {"TTL k", ":100\n"},
        {"GETEX k PX 5000", "$1\nv\n"},
        {"PTTL k", ":5000\n"},
        {"GETEX k PERSIST", "$1\nv\n"},
        {"TTL k", ":-1\n"},
        {"GETEX k PERSIST", "$1\nv\n"},
        {"GETEX k PXAT 1", "$1\nv\n"},
        {"GETEX k", "$-1\n"},
        {"GETEX k EX 0", "$-1\n"},
        {"SETNX k w", ":1\n"},
        {"SETNX k x", ":0\n"},
        {"GETEX k EX 0", "-ERR invalid expire time in 'getex' command\n"},
        {"GETEX k EX 1 PERSIST", "-ERR syntax error\n"},
        {"EXPIRE k 10", ":1\n"},
        {"GETSET k y", "$1\nw\n"},
        {"TTL k", ":-1\n"},
        {"GETDEL k", "$1\ny\n"},
        {"GETDEL k", "$-1\n"},
        {"GETSET k z", "$-1\n"},
        {"PSETEX k 0 z", "-ERR invalid expire time in 'psetex' command\n"},
        {"GET k", "$1\nz\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

/* (Infinity is left to tests/differ: valgrind's long double has none.) */
static void fractions__sums_and_spellings__as_redis(void **state) {
    (void)state;
    static const struct step script[] = {
        {"INCRBYFLOAT n 1.5", "$3\n1.5\n"},
        {"INCRBYFLOAT n 0.25", "$4\n1.75\n"},
        {"INCRBYFLOAT n -1.75", "$1\n0\n"},
        {"INCRBYFLOAT n 1e3", "$4\n1000\n"},
        {"INCRBYFLOAT n 0x10", "$4\n1016\n"},
        {"INCR n", ":1017\n"},
        {"EXPIRE n 100", ":1\n"},
        {"INCRBYFLOAT n .5", "$6\n1017.5\n"},
        {"TTL n", ":100\n"},
        {"INCRBYFLOAT n nan", NOT_FLOAT},
        {"INCRBYFLOAT n ' 1'", NOT_FLOAT},
        {"INCRBYFLOAT n '1 '", NOT_FLOAT},
        {"INCRBYFLOAT n ''", NOT_FLOAT},
        {"INCRBYFLOAT n 1e-5000", NOT_FLOAT},
        {"INCRBYFLOAT n abc", NOT_FLOAT},
        {"GET n", "$6\n1017.5\n"},
        {"SET t text", "+OK\n"},
        {"INCRBYFLOAT t 1", NOT_FLOAT},
        {"INCRBYFLOAT fresh -0", "$1\n0\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void moving__a_key__with_its_expiry(void **state) {
    (void)state;
    static const struct step script[] = {
        {"SET a 1 PX 9000", "+OK\n"},
        {"RENAME a b", "+OK\n"},
        {"MGET a b", "*2\n$-1\n$1\n1\n"},
        {"PTTL b", ":9000\n"},
        {"RENAME b b", "+OK\n"},
        {"RENAMENX b b", ":0\n"},
        {"RENAME no b", "-ERR no such key\n"},
        {"RENAMENX no b", "-ERR no such key\n"},
        {"COPY b c", ":1\n"},
        {"PTTL c", ":9000\n"},
        {"SET d 4", "+OK\n"},
        {"COPY b d", ":0\n"},
        {"RENAMENX b d", ":0\n"},
        {"COPY d b REPLACE", ":1\n"},
        {"TTL b", ":-1\n"},
        {"COPY b b", "-ERR source and destination objects are the same\n"},
        {"COPY b e DB 0", ":1\n"},
        {"COPY b e DB 1", "-ERR DB index is out of range\n"},
        {"COPY no e REPLACE", ":0\n"},
        {"MGET a b c d e", "*5\n$-1\n$1\n4\n$1\n1\n$1\n4\n$1\n4\n"},
        {"MSETNX f 1 a 2", ":1\n"},
        {"MSETNX g 1 a 3", ":0\n"},
        {"MSETNX h 1 h 2", ":1\n"},
        {"MGET a f g h", "*4\n$1\n2\n$1\n1\n$-1\n$1\n2\n"},
        {"TOUCH a f g a", ":3\n"},
        {"UNLINK a f g a", ":2\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void expiry_times__absolute__set_and_told(void **state) {
    (void)state;
    static const struct step script[] = {
        {"SET k v", "+OK\n"},
        {"EXPIRETIME k", ":-1\n"},
        {"EXPIRETIME no", ":-2\n"},
        {"EXPIREAT k 1700000100", ":1\n"},
        {"PTTL k", ":100000\n"},
        {"EXPIRETIME k", ":1700000100\n"},
        {"PEXPIREAT k 1700000100500", ":1\n"},
        {"PEXPIRETIME k", ":1700000100500\n"},
        {"EXPIRETIME k", ":1700000101\n"},
        {"PEXPIREAT k 1700000100500 GT", ":0\n"},
        {"PEXPIREAT k 1700000100501 GT", ":1\n"},
        {"EXPIREAT k 1700000102 LT", ":0\n"},
        {"EXPIREAT k 1700000100 LT", ":1\n"},
        {"EXPIREAT k 1700000109 NX", ":0\n"},
        {"EXPIREAT k 1 XX", ":1\n"},
        {"EXISTS k", ":0\n"},
        {"EXPIREAT k 1700000100", ":0\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP2, script);
}

static void object__facts_of_a_value__computed(void **state) {
    (void)state;
    static const struct step script[] = {
        {"MSET i -123 e abc r 012345678901234567890123456789012345678901234", "+OK\n"},
        {"OBJECT ENCODING i", "$3\nint\n"},
        {"OBJECT ENCODING e", "$6\nembstr\n"},
        {"OBJECT ENCODING r", "$3\nraw\n"},
        {"SET e 01234567890123456789012345678901234567890123", "+OK\n"},
        {"OBJECT ENCODING e", "$6\nembstr\n"},
        {"SET i 9223372036854775808", "+OK\n"},
        {"OBJECT ENCODING i", "$6\nembstr\n"},
        {"OBJECT ENCODING no", "_\n"},
        {"OBJECT REFCOUNT e", ":1\n"},
        {"OBJECT REFCOUNT no", "_\n"},
        {"OBJECT NOSUCH e", "-ERR unknown subcommand 'NOSUCH'. Try OBJECT HELP.\n"},
        {"OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\n"},
        {NULL, NULL},
    };
    run_script(NITRO_PROTO_RESP3, script);
}

/* ---- expired keys -----------------------------------------------------------------------------*/

/* A key that has expired and was not removed yet is missing, in every position of every verb; what takes its
 * place doesn't inherit its expiry. */
static void expired_key__each_verb_and_position__missing(void **state) {
    (void)state;
    static const struct {
        const char *request, *reply, *pttl;
    } cases[] = {
        {"GETDEL k", "$-1\n", ":-2\n"},
        {"GETEX k EX 10", "$-1\n", ":-2\n"},
        {"GETEX k PERSIST", "$-1\n", ":-2\n"},
        {"STRLEN k", ":0\n", ":-2\n"},
        {"GETRANGE k 0 -1", "$0\n\n", ":-2\n"},
        {"APPEND k x", ":1\n", ":-1\n"},
        {"SETRANGE k 2 x", ":3\n", ":-1\n"},
        {"SETRANGE k 2 ''", ":0\n", ":-2\n"},
        {"INCRBYFLOAT k 1.5", "$3\n1.5\n", ":-1\n"},
        {"SETNX k x", ":1\n", ":-1\n"},
        {"GETSET k x", "$-1\n", ":-1\n"},
        {"MSETNX k x new y", ":1\n", ":-1\n"},
        {"EXPIREAT k 1700009999", ":0\n", ":-2\n"},
        {"PERSIST k", ":0\n", ":-2\n"},
        {"EXPIRETIME k", ":-2\n", ":-2\n"},
        {"RENAME k new", "-ERR no such key\n", ":-2\n"},
        {"RENAMENX k new", "-ERR no such key\n", ":-2\n"},
        {"RENAME other k", "+OK\n", ":-1\n"},
        {"RENAMENX other k", ":1\n", ":-1\n"},
        {"COPY k new", ":0\n", ":-2\n"},
        {"COPY other k", ":1\n", ":-1\n"},
        {"OBJECT ENCODING k", "$-1\n", ":-2\n"},
        {"TOUCH k other", ":1\n", ":-2\n"},
        {"UNLINK k", ":0\n", ":-2\n"},
        {"KEYS *", "*1\n$5\nother\n", ":-2\n"},
        {"RANDOMKEY", "$5\nother\n", ":-2\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w, NITRO_PROTO_RESP2);
        line(&w, "SET k 12345 PX 10", "+OK\n");
        line(&w, "SET other value", "+OK\n");
        w.client.now_ms += 10;
        line(&w, cases[i].request, cases[i].reply);
        line(&w, "PTTL k", cases[i].pttl);
        world_close(&w);
    }
}

/* ---- memory -----------------------------------------------------------------------------------*/

/* Beyond the memory limit what would grow is refused, and nothing changes, not even in part. */
static void memory_limit__reached__growing_refused_nothing_changed(void **state) {
    (void)state;
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\n";
    static const char *const growing[] = {
        "APPEND k more-than-there-is-room-for",
        "APPEND new v",
        "SETRANGE k 100 v",
        "SETRANGE new 70000 v",
        "SETNX new v",
        "SETEX new 10 v",
        "INCRBYFLOAT new 1.5",
        "MSETNX new v two w",
        "COPY k new",
    };
    static const struct step others[] = {
        {"GETEX k PERSIST", "$1\nv\n"},
        {"STRLEN k", ":1\n"},
        {"GETRANGE k 0 0", "$1\nv\n"},
        {"MSETNX k v new w", ":0\n"},
        {"COPY no new", ":0\n"},
        {"RANDOMKEY", "$1\nk\n"},
        {"KEYS *", "*1\n$1\nk\n"},
        {"RENAME k a-longer-name", "+OK\n"},
        {"RENAMENX a-longer-name k", ":1\n"},
        {"GETDEL k", "$1\nv\n"},
        {"UNLINK k", ":0\n"},
    };
    struct world w;
    world_open(&w, NITRO_PROTO_RESP2);
    line(&w, "SET k v", "+OK\n");
    nitro_set_max_memory(w.store, 1);
    struct test_digest before = test_digest(w.store, TEST_NOW);
    for (size_t i = 0; i < sizeof growing / sizeof growing[0]; i++) {
        line(&w, growing[i], oom);
        struct test_digest after = test_digest(w.store, TEST_NOW);
        if (after.keys != before.keys || after.versions != before.versions)
            test_fail("%s: refused, but the store has changed", growing[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        line(&w, others[i].request, others[i].reply);
    world_close(&w);
}

/* ---- the binary protocol ----------------------------------------------------------------------*/

/* A binary request without blocks, and its reply. */
struct exchange {
    uint8_t op;
    const char *body;
    size_t body_bytes;
    uint8_t status;
    const char *reply;
    size_t reply_bytes;
};
#define BYTES(text) text, sizeof(text) - 1
#define K "\x01\0k"
#define L "\x01\0l"

static void send_frame(struct world *w, const struct exchange *e, uint16_t id) {
    uint8_t frame[NK_NBP_HEADER + 64] = {NK_NBP_REQUEST,        e->op, (uint8_t)id, 0, 0,
                                         (uint8_t)e->body_bytes};
    memcpy(frame + NK_NBP_HEADER, e->body, e->body_bytes);
    assert_int_equal(test_client_feed(&w->client, frame, NK_NBP_HEADER + e->body_bytes), NITRO_OK);
}

static void expect_frame(struct world *w, const struct exchange *e, uint16_t id) {
    const uint8_t *p = w->client.out;
    size_t n = w->client.out_len;
    bool is_error = e->status >= 0x20; /* its body is a text, which is not compared */
    if (n < NK_NBP_HEADER || p[0] != NK_NBP_REPLY || p[1] != e->status || p[2] != id ||
        (!is_error && (n - NK_NBP_HEADER != e->reply_bytes ||
                       memcmp(p + NK_NBP_HEADER, e->reply, e->reply_bytes) != 0)))
        test_fail("frame %u, opcode %02x: status %02x and %zu bytes instead of %02x and %zu", id,
                  e->op, n > 1 ? p[1] : 0, n - NK_NBP_HEADER, e->status, e->reply_bytes);
    w->client.out_len = 0;
}

/* The operations that the text verbs have share their code; here it is that bodies and statuses are wired up. */
static void binary__each_operation__body_and_status(void **state) {
    (void)state;
    static const struct exchange script[] = {
        {NK_NBP_GETDEL, BYTES(K), NITRO_ENOTFOUND, BYTES("")},
        {NK_NBP_RANDOMKEY, BYTES(""), NITRO_ENOTFOUND, BYTES("")},
        {NK_NBP_APPEND, BYTES(K "abc"), NITRO_OK, BYTES("\x03\0\0\0")},
        {NK_NBP_RANDOMKEY, BYTES(""), NITRO_OK, BYTES("k")},
        {NK_NBP_APPEND, BYTES(K "de"), NITRO_OK, BYTES("\x05\0\0\0")},
        {NK_NBP_SETRANGE, BYTES("\x06\0\0\0" K "x"), NITRO_OK, BYTES("\x07\0\0\0")},
        {NK_NBP_GETRANGE, BYTES("\x03\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff" K), NITRO_OK,
         BYTES("de\0x")},
        {NK_NBP_GETRANGE, BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" L), NITRO_ENOTFOUND, BYTES("")},
        {NK_NBP_SETRANGE, BYTES("\0\0\0\x7f" K "x"), NITRO_EVALUESIZE, BYTES("")},
        {NK_NBP_INCRFLOAT, BYTES(K "1.5"), NITRO_ENOTNUMBER, BYTES("")},
        {NK_NBP_RENAME, BYTES("\0" K L), NITRO_OK, BYTES("")},
        {NK_NBP_RENAME, BYTES("\0" K L), NITRO_ENOTFOUND, BYTES("")},
        {NK_NBP_COPY, BYTES("\0" L K), NITRO_OK, BYTES("")},
        {NK_NBP_COPY, BYTES("\0" L K), NITRO_ENOTSTORED, BYTES("")},
        {NK_NBP_COPY, BYTES("\x01" L K), NITRO_OK, BYTES("")},
        {NK_NBP_COPY, BYTES("\0" L L), NITRO_EARGUMENT, BYTES("")},
        {NK_NBP_RENAME, BYTES("\x01" K L), NITRO_ENOTSTORED, BYTES("")},
        {NK_NBP_GETEX, BYTES("\x01" K), NITRO_OK, BYTES("abcde\0x")},
        {NK_NBP_GETDEL, BYTES(K), NITRO_OK, BYTES("abcde\0x")},
        {NK_NBP_EXPIRETIME, BYTES(K), NITRO_ENOTFOUND, BYTES("")},
        {NK_NBP_EXPIRETIME, BYTES(L), NITRO_OK, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff")},
        {NK_NBP_MSETX, BYTES("\x01\x02\0\0\0" K "\x01\0\0\0v" L "\0\0\0\0"), NITRO_ENOTSTORED,
         BYTES("")},
        {NK_NBP_MSETX,
         BYTES("\x01\x01\0\0\0" K "\x01\0\0\0"
               "2"),
         NITRO_OK, BYTES("")},
        {NK_NBP_INCRFLOAT, BYTES(K "0.5"), NITRO_OK, BYTES("2.5")},
    };
    struct world w;
    world_open(&w, NITRO_PROTO_UNKNOWN);
    for (uint16_t i = 0; i < sizeof script / sizeof script[0]; i++) {
        send_frame(&w, &script[i], i);
        expect_frame(&w, &script[i], i);
    }
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts__of_a_value__read_and_written),
        cmocka_unit_test(taking__a_value__answered_then_changed),
        cmocka_unit_test(fractions__sums_and_spellings__as_redis),
        cmocka_unit_test(moving__a_key__with_its_expiry),
        cmocka_unit_test(expiry_times__absolute__set_and_told),
        cmocka_unit_test(object__facts_of_a_value__computed),
        cmocka_unit_test(expired_key__each_verb_and_position__missing),
        cmocka_unit_test(memory_limit__reached__growing_refused_nothing_changed),
        cmocka_unit_test(binary__each_operation__body_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
