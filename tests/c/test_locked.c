/* SPDX-License-Identifier: MIT
 *
 * test_locked.c - what a session may do before its client has proved who it is.
 *
 * HOW   A session is locked as a host does it, and fed with requests in text and in frames. The test host
 *       believes any AUTH (client.h), so that it can be seen what holds before and behind one.
 *
 * NOT HERE  passwords (server/auth_test.go).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"

#define NOAUTH "-NOAUTH Authentication required.\r\n"

struct world {
    struct test_mem mem;
    nitro_store *store;
    struct test_client client;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    w->store = test_open(&opt);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
    w->client.session->locked = 1;
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void expect(struct world *w, const void *reply, size_t n, bool closed) {
    if (w->client.out_len != n || memcmp(w->client.out, reply, n) != 0)
        test_fail("got \"%.*s\", expected \"%.*s\"", (int)w->client.out_len,
                  (const char *)w->client.out, (int)n, (const char *)reply);
    assert_int_equal(w->client.closed, closed);
    w->client.out_len = 0;
}

static void text(struct world *w, const char *request, const char *reply, bool closed) {
    assert_int_equal(test_client_feed(&w->client, request, strlen(request)), NITRO_OK);
    expect(w, reply, strlen(reply), closed);
}

static uint64_t keys(struct world *w) {
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    return st.keys;
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* Everything about data, and what asks the server about itself, is refused and has no effect. */
static void text__before_auth__refused_without_effect(void **state) {
    (void)state;
    static const char *const requests[] = {"SET k v\r\n",      "GET k\r\n",        "PING\r\n",
                                           "ECHO x\r\n",       "FLUSHALL\r\n",     "INFO\r\n",
                                           "CONFIG GET *\r\n", "MSET a 1 b 2\r\n", "KEYS *\r\n",
                                           "DBSIZE\r\n",       "CLIENT LIST\r\n",  "COMMAND\r\n"};
    struct world w;
    world_open(&w);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        text(&w, requests[i], NOAUTH, false);
    assert_int_equal(keys(&w), 0);
    world_close(&w);
}

/* A wrong request is told what is wrong with it, as in Redis: that shows nothing. */
static void text__wrong_request_before_auth__its_own_error(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    text(&w, "GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n", false);
    text(&w, "NOSUCH\r\n", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n", false);
    world_close(&w);
}

/* Requests behind an AUTH in the same read are judged after it, also those that are too large before. */
static void text__auth_and_more_in_one_read__the_rest_is_free(void **state) {
    (void)state;
    struct world w;
    size_t value = 100000, n;
    char *request = malloc(value + 200);
    assert_non_null(request);
    n = (size_t)sprintf(request, "GET k\r\nAUTH x\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n",
                        value);
    memset(request + n, 'v', value);
    memcpy(request + n + value, "\r\nSTRLEN k\r\n", 13);
    world_open(&w);
    assert_int_equal(test_client_feed(&w.client, request, n + value + 12), NITRO_OK);
    expect(&w, NOAUTH "+OK\r\n+OK\r\n:100000\r\n", strlen(NOAUTH) + 5 + 5 + 9, false);
    assert_int_equal(keys(&w), 1);
    free(request);
    world_close(&w);
}

/* What is too much before AUTH ends the connection at its announcement, before anything is stored. */
static void text__over_the_limits__closed(void **state) {
    (void)state;
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
        {"*2\r\n$4\r\nAUTH\r\n$4097\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
        {"*2\r\n$536870912\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
        {"1 2 3 4 5 6 7 8 9 10 11\r\n",
         "-ERR Protocol error: unauthenticated multibulk length\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w);
        text(&w, cases[i].request, cases[i].reply, true);
        world_close(&w);
    }
}

/* A line without an end, and arguments that are small one by one. */
static void text__long_in_sum__closed(void **state) {
    (void)state;
    char junk[5000];
    struct world w;
    memset(junk, 'x', sizeof junk);
    world_open(&w);
    assert_int_equal(test_client_feed(&w.client, junk, sizeof junk), NITRO_OK);
    static const char line[] = "-ERR Protocol error: too big inline request\r\n";
    expect(&w, line, sizeof line - 1, true);
    world_close(&w);

    world_open(&w);
    assert_int_equal(test_client_feed(&w.client, "*9\r\n", 4), NITRO_OK);
    for (int i = 0; i < 4 && !w.client.closed; i++) {
        assert_int_equal(test_client_feed(&w.client, "$1200\r\n", 7), NITRO_OK);
        if (!w.client.closed) assert_int_equal(test_client_feed(&w.client, junk, 1200), NITRO_OK);
        if (!w.client.closed) assert_int_equal(test_client_feed(&w.client, "\r\n", 2), NITRO_OK);
    }
    static const char bulk[] = "-ERR Protocol error: unauthenticated bulk length\r\n";
    expect(&w, bulk, sizeof bulk - 1, true);
    world_close(&w);
}

/* A RESET locks anew: a request that comes in the same read is judged by the narrow limits from its next argument on. */
static void text__locked_again_in_the_middle__limits_hold(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    text(&w, "AUTH x\r\n*11\r\n$4\r\nMGET\r\n$1\r\nk\r\n", "+OK\r\n", false);
    w.client.session->locked = 1; /* as the host does at RESET */
    text(&w, "$1\r\nk\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n", true);
    world_close(&w);
}

/* Frames: EAUTHREQUIRED for all but HELLO and AUTH, which reach the host. */
static void frames__before_auth__refused(void **state) {
    (void)state;
    static const uint8_t get[] = {0xF5, 0x10, 7, 0, 0, 3, 0, 0, 1, 0, 'k'};
    static const uint8_t noop[] = {0xF5, 0x00, 8, 0, 0, 0, 0, 0};
    static const uint8_t auth[] = {0xF5, 0x04, 9, 0, 0, 5, 0, 0, 0, 0, 1, 0, 'x'};
    static const uint8_t short_auth[] = {0xF5, 0x04, 9, 0, 0, 2, 0, 0, 0, 0};
    struct world w;
    world_open(&w);
    assert_int_equal(test_client_feed(&w.client, get, sizeof get), NITRO_OK);
    assert_int_equal(test_client_feed(&w.client, noop, sizeof noop), NITRO_OK);
    assert_true(w.client.out_len > 2 * 8);
    assert_int_equal(w.client.out[1], NITRO_EAUTHREQUIRED);
    assert_int_equal(w.client.out[2], 7);
    w.client.out_len = 0;
    assert_int_equal(test_client_feed(&w.client, short_auth, sizeof short_auth), NITRO_OK);
    assert_int_equal(w.client.out[1], NITRO_EFRAME);
    w.client.out_len = 0;
    assert_int_equal(test_client_feed(&w.client, auth, sizeof auth), NITRO_OK);
    static const uint8_t ok[] = {0xF6, 0x00, 9, 0, 0, 0, 0, 0};
    expect(&w, ok, sizeof ok, false);
    assert_int_equal(test_client_feed(&w.client, noop, sizeof noop), NITRO_OK);
    assert_int_equal(w.client.out[1], NITRO_OK);
    w.client.out_len = 0;
    world_close(&w);
}

/* A frame of more than 4 KiB, or one that is to be joined from pieces, ends the connection at its header. */
static void frames__over_the_limits__closed(void **state) {
    (void)state;
    static const uint8_t cases[][8] = {
        {0xF5, 0x11, 1, 0, 0, 0xF9, 0x0F, 0},    /* 8 + 4089 bytes */
        {0xF5, 0x04, 1, 0, 0, 0xFF, 0xFF, 0xFF}, /* 16 MiB */
        {0xF5, 0x11, 1, 0, 0x20, 4, 0, 0},       /* MORE */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w);
        assert_int_equal(test_client_feed(&w.client, cases[i], sizeof cases[i]), NITRO_OK);
        assert_true(w.client.closed);
        assert_int_equal(w.client.out[1], NITRO_ELIMIT);
        world_close(&w);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text__before_auth__refused_without_effect),
        cmocka_unit_test(text__wrong_request_before_auth__its_own_error),
        cmocka_unit_test(text__auth_and_more_in_one_read__the_rest_is_free),
        cmocka_unit_test(text__over_the_limits__closed),
        cmocka_unit_test(text__long_in_sum__closed),
        cmocka_unit_test(text__locked_again_in_the_middle__limits_hold),
        cmocka_unit_test(frames__before_auth__refused),
        cmocka_unit_test(frames__over_the_limits__closed),
    };
    return cmocka_run_group_tests_name("locked", tests, NULL, NULL);
}
