/* SPDX-License-Identifier: MIT
 *
 * test_wire_resp.c - text requests: framing, inline words, verbs, numbers, patterns, chunk buffers.
 *
 * NOT HERE  what the verbs do (test_exec.c).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "cmd.h"
#include "exec_glob.h"
#include "num.h"
#include "req.h"

struct world {
    struct test_mem mem;
    nitro_store *store;
    struct test_client client;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    opt.max_value = 4u << 20;
    opt.max_args = 100000;
    w->store = test_open(&opt);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void expect(struct world *w, const char *reply) {
    size_t n = strlen(reply);
    if (w->client.out_len != n || memcmp(w->client.out, reply, n) != 0)
        test_fail("got \"%.*s\", expected \"%s\"", (int)w->client.out_len,
                  (const char *)w->client.out, reply);
    w->client.out_len = 0;
}

/* put: bytes into the input buffer, as a read would; prepared, not executed. */
static void put(struct world *w, const void *p, size_t n) {
    nitro_chunk *c = w->client.chunk;
    nitro_chunk_compact(c);
    while (c->in_cap - c->in_len < n) assert_int_equal(nitro_chunk_grow(w->store, c), NITRO_OK);
    memcpy(c->in + c->in_len, p, n);
    c->in_len += n;
    assert_int_equal(nitro_prepare(w->store, w->client.session, c, TEST_NOW), NITRO_OK);
}

/* ---- framing ----------------------------------------------------------------------------------*/

/* Kinds of requests may be mixed, and where a stream is cut does not show. */
static void stream__cut_at_every_byte__same_replies(void **state) {
    (void)state;
    static const char in[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\n0123456789\r\nGET k\n\r\n*0\r\n"
                             "*-1\r\n  PING  \r\n*2\r\n$3\r\nget\r\n$0\r\n\r\nset \"a b\" 'c'\r\n"
                             "*2\r\n$3\r\nGET\r\n$3\r\na b\r\n";
    static const char out[] = "+OK\r\n$10\r\n0123456789\r\n+PONG\r\n$-1\r\n+OK\r\n$1\r\nc\r\n";
    for (size_t cut = 0; cut < sizeof in; cut++) {
        struct world w;
        world_open(&w);
        assert_int_equal(test_client_feed(&w.client, in, cut), NITRO_OK);
        assert_int_equal(test_client_feed(&w.client, in + cut, sizeof in - 1 - cut), NITRO_OK);
        expect(&w, out);
        world_close(&w);
    }
}

/* A request that breaks the framing gets one error and the end; earlier ones run, later ones
 * don't. */
static void framing__broken__one_error_then_closed(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*+1\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*100001\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*99999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\rx", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*00000000000000000000000000000000000000", "-ERR Protocol error: too big mbulk count "
                                                    "string\r\n"},
        {"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"*1\r\n$ 1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"*1\r\n$4194305\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
        {"*1\r\n$00000000000000000000000000000000000000",
         "-ERR Protocol error: too big bulk count string\r\n"},
        {"*1\r\n:4\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
        {"*1\r\n\r\n", "-ERR Protocol error: expected '$', got ' '\r\n"},
        {"*1\r\n$4\r\nPINGxx", "-ERR Protocol error: expected CRLF behind a bulk string\r\n"},
        {"SET \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
        {"SET 'a'b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
        {"\x16\x03\x01", "-ERR Protocol error: TLS is not supported on this port\r\n"},
        {"POST / HTTP/1.1\r\n", ""},
        {"post x\r\n", ""},
        {"Host: example\r\n", ""},
        {"GET /x HTTP/1.1\r\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        char want[128];
        world_open(&w);
        assert_int_equal(test_client_line(&w.client, "SET before 1"), NITRO_OK);
        assert_int_equal(test_client_feed(&w.client, cases[i].in, strlen(cases[i].in)), NITRO_OK);
        if (!w.client.closed) test_fail("still open after \"%s\"", cases[i].in);
        snprintf(want, sizeof want, "+OK\r\n%s", cases[i].out);
        expect(&w, want);
        assert_int_equal(w.client.chunk->in_pos, w.client.chunk->in_len);
        world_close(&w);
    }
}

/* An inline line that never ends is refused at 64 KiB, not collected. */
static void inline_line__longer_than_limit__refused(void **state) {
    (void)state;
    struct world w;
    static char line[65537 + 64];
    memset(line, 'x', sizeof line);
    world_open(&w);
    assert_int_equal(test_client_feed(&w.client, line, sizeof line), NITRO_OK);
    assert_true(w.client.closed);
    expect(&w, "-ERR Protocol error: too big inline request\r\n");
    assert_true(w.client.chunk->in_cap <= 2 * 65536u);
    world_close(&w);
}

/* Quotes and escapes of inline words are those of redis-cli. */
static void inline_words__quoted__as_redis_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *line;
        const char *word;
        size_t n;
    } cases[] = {
        {"ECHO plain", "plain", 5},
        {"echo \"a b\"", "a b", 3},
        {"ECHO 'a \"b'", "a \"b", 4},
        {"ECHO 'it\\'s'", "it's", 4},
        {"ECHO '\\n'", "\\n", 2},
        {"ECHO \"\\n\\r\\t\\b\\a\"", "\n\r\t\b\a", 5},
        {"ECHO \"\\x41\\x00\\xfF\"", "A\0\xff", 3},
        {"ECHO \"\\xZZ\\q\"", "xZZq", 4},
        {"ECHO a\"b c\"", "ab c", 4},
        {"ECHO \"\"", "", 0},
        {"\tECHO\t x \t", "x", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        char want[32];
        world_open(&w);
        int n = snprintf(want, sizeof want, "$%zu\r\n", cases[i].n);
        memcpy(want + n, cases[i].word, cases[i].n);
        memcpy(want + (size_t)n + cases[i].n, "\r\n", 2);
        assert_int_equal(test_client_line(&w.client, cases[i].line), NITRO_OK);
        if (w.client.out_len != (size_t)n + cases[i].n + 2 ||
            memcmp(w.client.out, want, w.client.out_len) != 0)
            test_fail("%s: got \"%.*s\"", cases[i].line, (int)w.client.out_len,
                      (const char *)w.client.out);
        world_close(&w);
    }
}

/* ---- buffers ----------------------------------------------------------------------------------*/

/* An announced length sets in_need; memory is taken by nitro_chunk_grow alone, doubling. */
static void announced_bulk__few_bytes_there__need_known_and_no_memory_taken(void **state) {
    (void)state;
    struct world w;
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4194304\r\nxyz";
    world_open(&w);
    nitro_chunk *c = w.client.chunk;
    size_t before = c->in_cap;
    put(&w, head, sizeof head - 1);
    assert_int_equal(c->count, 0);
    assert_int_equal(c->in_need, sizeof head - 1 - 3 + 4194304 + 2);
    assert_int_equal(c->in_cap, before);
    assert_int_equal(nitro_chunk_grow(w.store, c), NITRO_OK);
    assert_int_equal(c->in_cap, 2 * before);
    nitro_chunk_reset(w.store, c);
    assert_int_equal(c->in_cap, before);
    world_close(&w);
}

/* A request of many arguments goes on where it stopped, also when the buffer moves in between. */
static void many_arguments__in_pieces__parsed_once(void **state) {
    (void)state;
    struct world w;
    char arg[32], head[32];
    enum { KEYS = 5000 };
    world_open(&w);
    struct nk_chunk *c = nk_chunk_of(w.client.chunk);
    put(&w, "PING\r\n", 6);
    assert_int_equal(nitro_execute(w.store, w.client.session, &c->pub, TEST_NOW), NITRO_STOP_DONE);
    c->pub.out_len = 0;
    put(&w, head, (size_t)snprintf(head, sizeof head, "*%d\r\n$4\r\nMSET\r\n", 2 * KEYS + 1));
    for (uint32_t i = 0; i < 2 * KEYS; i++) {
        assert_int_equal(c->pub.count, 0);
        assert_int_equal(c->span_count, i + 1);
        assert_int_equal(c->span_total, 2 * KEYS + 1);
        put(&w, arg, (size_t)snprintf(arg, sizeof arg, "$6\r\n%06u\r\n", i));
    }
    assert_int_equal(c->pub.count, 1);
    assert_int_equal(nitro_execute(w.store, w.client.session, &c->pub, TEST_NOW), NITRO_STOP_DONE);
    assert_int_equal(c->pub.out_len, 5);
    struct nitro_stats st;
    nitro_stats(w.store, &st);
    assert_int_equal(st.keys, KEYS);
    world_close(&w);
}

/* Half a request can wait outside the chunk; a larger one can't. */
static void stash__half_a_request__goes_on_in_another_chunk(void **state) {
    (void)state;
    struct world w;
    uint8_t kept[4096];
    static char large[5000];
    world_open(&w);
    put(&w, "*2\r\n$4\r\nECHO\r\n$5\r\nhe", 20);
    size_t n = nitro_chunk_stash(w.client.chunk, kept, sizeof kept);
    assert_int_equal(n, 20);
    nitro_chunk_reset(w.store, w.client.chunk);
    assert_int_equal(test_client_line(&w.client, "PING"), NITRO_OK);
    expect(&w, "+PONG\r\n");
    nitro_chunk_reset(w.store, w.client.chunk);
    assert_int_equal(test_client_feed(&w.client, kept, n), NITRO_OK);
    assert_int_equal(test_client_feed(&w.client, "llo\r\n", 5), NITRO_OK);
    expect(&w, "$5\r\nhello\r\n");
    memset(large, 'x', sizeof large);
    put(&w, large, sizeof large);
    assert_int_equal(nitro_chunk_stash(w.client.chunk, kept, sizeof kept), 0);
    assert_int_equal(w.client.chunk->in_len - w.client.chunk->in_pos, sizeof large);
    world_close(&w);
}

/* A chunk takes 256 requests at once and says that there are more. */
static void pipeline__beyond_the_cap__more_is_set(void **state) {
    (void)state;
    struct world w;
    static char in[6 * 300];
    world_open(&w);
    for (size_t i = 0; i < 300; i++) memcpy(in + 6 * i, "PING\r\n", 6);
    put(&w, in, sizeof in);
    nitro_chunk *c = w.client.chunk;
    assert_int_equal(c->count, NK_CHUNK_REQS);
    assert_int_equal(c->more, 1);
    assert_int_equal(nitro_execute(w.store, w.client.session, c, TEST_NOW), NITRO_STOP_DONE);
    assert_int_equal(nitro_prepare(w.store, w.client.session, c, TEST_NOW), NITRO_OK);
    assert_int_equal(c->count, 300 - NK_CHUNK_REQS);
    assert_int_equal(c->more, 0);
    assert_int_equal(w.client.session->requests, NK_CHUNK_REQS);
    world_close(&w);
}

/* What prepared requests own is given back when they never run. */
static void reset__large_values_prepared__released(void **state) {
    (void)state;
    struct world w;
    static char value[100000];
    char head[64];
    world_open(&w);
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 2; i++) {
        const char *form = i == 0 ? "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n"
                                  : "*3\r\n$4\r\nMSET\r\n$1\r\nk\r\n$%zu\r\n";
        put(&w, head, (size_t)snprintf(head, sizeof head, form, sizeof value));
        put(&w, value, sizeof value);
        put(&w, "\r\n", 2);
        assert_int_equal(w.client.chunk->count, 1);
        nitro_chunk_reset(w.store, w.client.chunk);
    }
    struct nitro_stats st;
    nitro_stats(w.store, &st);
    assert_int_equal(st.keys, 0);
    world_close(&w);
}

/* ---- the parts --------------------------------------------------------------------------------*/

/* Every verb is found in any case, and nothing that only looks like one. */
static void verbs__any_case__found_exactly(void **state) {
    (void)state;
    size_t count;
    const struct nitro_command *all = nitro_commands(&count);
    assert_int_equal(count, NK_VERB_COUNT);
    for (size_t i = 0; i < count; i++) {
        uint8_t name[16] = {0};
        uint32_t n = (uint32_t)strlen(all[i].name);
        memcpy(name, all[i].name, n);
        if (i > 0) assert_true(strcmp(all[i - 1].name, all[i].name) < 0);
        assert_int_equal(nk_cmd_find(name, n), i);
        for (uint32_t k = 0; k < n; k++) {
            name[k] ^= 0x20;
            assert_int_equal(nk_cmd_find(name, n), i);
            name[k] ^= 0x40;
            assert_int_equal(nk_cmd_find(name, n), NK_VERB_UNKNOWN);
            name[k] ^= 0x40;
        }
        name[n] = ' ';
        assert_int_equal(nk_cmd_find(name, n + 1), NK_VERB_UNKNOWN);
        name[n] = 0;
        assert_int_equal(nk_cmd_find(name, n + 1), NK_VERB_UNKNOWN);
    }
    assert_int_equal(nk_cmd_find((const uint8_t *)"geu\0\0\0\0", 3), NK_VERB_UNKNOWN);
    assert_int_equal(nk_cmd_find((const uint8_t *)"\0\0\0\0\0\0\0\0", 0), NK_VERB_UNKNOWN);
}

/* Numbers are read by Redis's strict rules and written back the same. */
static void numbers__strict__only_canonical_ones(void **state) {
    (void)state;
    static const char *const good[] = {"0",
                                       "7",
                                       "-1",
                                       "10",
                                       "99",
                                       "100",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "1000000000000000000"};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "-0",
                                      "-01",
                                      "1.0",
                                      " 1",
                                      "1 ",
                                      "abc",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "100000000000000000000"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t v = 0;
        uint8_t text[NK_NUM_MAX + 1] = {0};
        assert_true(nk_num_i64((const uint8_t *)good[i], strlen(good[i]), &v));
        nk_num_put_i64(text, v);
        assert_string_equal((char *)text, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t v = 0;
        if (nk_num_i64((const uint8_t *)bad[i], strlen(bad[i]), &v))
            test_fail("\"%s\" was taken for a number", bad[i]);
    }
    uint64_t u = 0;
    assert_true(nk_num_u64((const uint8_t *)"18446744073709551615", 20, &u));
    assert_true(u == UINT64_MAX);
    assert_false(nk_num_u64((const uint8_t *)"18446744073709551616", 20, &u));
}

static enum nk_glob match(const char *pattern, const char *s, uint64_t budget) {
    return nk_glob_match((const uint8_t *)pattern, strlen(pattern), (const uint8_t *)s, strlen(s),
                         &budget);
}

/* Patterns mean what they mean in Redis, and a costly one gives up instead of running on. */
static void patterns__all_forms__match_or_not(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *s;
        int want;
    } cases[] = {
        {"", "", 1},
        {"", "a", 0},
        {"*", "", 1},
        {"*", "abc", 1},
        {"a*c", "abbc", 1},
        {"a*c", "abb", 0},
        {"*b*d", "abcd", 1},
        {"a?c", "abc", 1},
        {"a?c", "ac", 0},
        {"[abc]", "b", 1},
        {"[abc]", "d", 0},
        {"[^abc]", "d", 1},
        {"[^abc]", "a", 0},
        {"[a-c]x", "bx", 1},
        {"[c-a]x", "bx", 1},
        {"[a-c]x", "dx", 0},
        {"\\*", "*", 1},
        {"\\*", "a", 0},
        {"[\\]]", "]", 1},
        {"[ab", "a", 1},
        {"a[", "a", 0},
        {"a\\", "a\\", 1},
        {"**a", "ba", 1},
        {"*a*a*a", "aaa", 1},
        {"*a*a*a*a", "aaa", 0},
        {"x*", "ab", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (match(cases[i].pattern, cases[i].s, 1000) != (enum nk_glob)cases[i].want)
            test_fail("pattern \"%s\" on \"%s\"", cases[i].pattern, cases[i].s);
    }
    static char key[20001];
    memset(key, 'a', sizeof key - 1);
    assert_int_equal(match("*a*a*a*a*b", key, 100000), NK_GLOB_NO);
    assert_int_equal(match("*aaaaaaaaaaaaaaaaaaaab", key, 100000), NK_GLOB_COSTLY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream__cut_at_every_byte__same_replies),
        cmocka_unit_test(framing__broken__one_error_then_closed),
        cmocka_unit_test(inline_line__longer_than_limit__refused),
        cmocka_unit_test(inline_words__quoted__as_redis_reads_them),
        cmocka_unit_test(announced_bulk__few_bytes_there__need_known_and_no_memory_taken),
        cmocka_unit_test(many_arguments__in_pieces__parsed_once),
        cmocka_unit_test(stash__half_a_request__goes_on_in_another_chunk),
        cmocka_unit_test(pipeline__beyond_the_cap__more_is_set),
        cmocka_unit_test(reset__large_values_prepared__released),
        cmocka_unit_test(verbs__any_case__found_exactly),
        cmocka_unit_test(numbers__strict__only_canonical_ones),
        cmocka_unit_test(patterns__all_forms__match_or_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
