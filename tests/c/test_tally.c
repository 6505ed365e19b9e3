/* SPDX-License-Identifier: MIT
 *
 * test_tally.c - what a chunk says about the requests that have run in it: struct nitro_tally,
 * nitro_chunk_request.
 *
 * NOT HERE  which verb and status each kind of request has (engine/usage_test.go).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "support.h"

struct world {
    struct test_mem mem;
    nitro_store *store;
    nitro_session *session;
    nitro_chunk *chunk;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    w->store = test_open(&opt);
    w->session = nitro_session_open(w->store);
    w->chunk = nitro_chunk_open(w->store);
    assert_true(w->session != NULL && w->chunk != NULL);
}

static void world_close(struct world *w) {
    nitro_chunk_close(w->store, &w->chunk);
    nitro_session_close(w->store, &w->session);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* prepare: feeds bytes and prepares what is complete. */
static void prepare(struct world *w, const void *p, size_t n) {
    nitro_chunk *c = w->chunk;
    assert_true(c->in_cap - c->in_len >= n);
    memcpy(c->in + c->in_len, p, n);
    c->in_len += n;
    assert_int_equal(nitro_prepare(w->store, w->session, c, TEST_NOW), NITRO_OK);
}

/* run: executes to the end, dropping replies. Returns how many stops it took. */
static uint32_t run(struct world *w) {
    nitro_chunk *c = w->chunk;
    for (uint32_t stops = 1;; stops++) {
        int stop = nitro_execute(w->store, w->session, c, TEST_NOW);
        c->out_len = 0;
        c->gate_count = 0;
        if (stop == NITRO_STOP_DONE) return stops;
        assert_true(stop == NITRO_STOP_OUT || stop == NITRO_STOP_BIG);
    }
}

/* tallied: how many requests of that command with that status the chunk has counted. */
static uint32_t tallied(const struct world *w, const char *name, int status) {
    size_t n;
    const struct nitro_command *all = nitro_commands(&n);
    uint32_t command = 0;
    for (size_t i = 0; name != NULL && i < n; i++)
        if (strcmp(all[i].name, name) == 0) command = (uint32_t)i + 1;
    for (uint32_t i = 0; i < w->chunk->tally_count; i++) {
        const struct nitro_tally *t = &w->chunk->tallies[i];
        if (t->command == command && t->status == status) return t->count;
    }
    return 0;
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* Requests of one kind are one entry, however they are mixed; the next prepare counts anew. */
static void tally__mixed_requests__one_entry_a_kind(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    static const char in[] = "SET k v\r\nGET k\r\nGET x\r\nGET k\r\nSET k v\r\nfrob\r\nGET k\r\n";
    prepare(&w, in, sizeof in - 1);
    assert_int_equal(w.chunk->tally_count, 0);
    run(&w);
    assert_int_equal(w.chunk->tally_count, 4);
    assert_int_equal(tallied(&w, "set", NITRO_OK), 2);
    assert_int_equal(tallied(&w, "get", NITRO_OK), 3);
    assert_int_equal(tallied(&w, "get", NITRO_ENOTFOUND), 1);
    assert_int_equal(tallied(&w, NULL, NITRO_EARGUMENT), 1);
    prepare(&w, "GET k\r\n", 7);
    run(&w);
    assert_int_equal(w.chunk->tally_count, 1);
    assert_int_equal(tallied(&w, "get", NITRO_OK), 1);
    world_close(&w);
}

/* Each request is counted when it is done, and once, however many stops it takes. */
static void tally__stops_in_between__counted_once(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    size_t n = 3u << 20;
    char *value = calloc(1, n);
    assert_non_null(value);
    assert_int_equal(nitro_set(w.store, TEST_NOW, "k", 1, value, n, 0, 0, 0, NULL), NITRO_OK);
    free(value);
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(w.chunk->in + w.chunk->in_len, "GET k\r\n", 7);
        w.chunk->in_len += 7;
    }
    prepare(&w, "GET x\r\n", 7);
    assert_int_equal(nitro_execute(w.store, w.session, w.chunk, TEST_NOW), NITRO_STOP_BIG);
    assert_int_equal(w.chunk->tally_count, 0); /* the first one has not been answered yet */
    w.chunk->out_len = 0;
    assert_true(run(&w) > 2);
    assert_int_equal(tallied(&w, "get", NITRO_OK), 3);
    assert_int_equal(tallied(&w, "get", NITRO_ENOTFOUND), 1);
    world_close(&w);
}

/* A host that sets the count to 0 between two executes counts each request once, too. */
static void tally__host_counts_anew__nothing_twice(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    prepare(&w, "GET x\r\nINFO\r\nGET x\r\n", 20);
    assert_int_equal(nitro_execute(w.store, w.session, w.chunk, TEST_NOW), NITRO_STOP_HOST);
    assert_int_equal(tallied(&w, "get", NITRO_ENOTFOUND), 1);
    size_t n;
    assert_string_equal(nitro_commands(&n)[w.chunk->host_command - 1].name, "info");
    w.chunk->tally_count = 0;
    nitro_chunk_skip(w.chunk);
    run(&w);
    assert_int_equal(tallied(&w, "get", NITRO_ENOTFOUND), 1);
    world_close(&w);
}

static void expect_request(const struct world *w, uint32_t i, const char *want) {
    size_t n;
    const uint8_t *p = nitro_chunk_request(w->chunk, i, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(p, want, n);
}

/* The bytes of each request are found again, also behind blank lines and before a request that is not
 * complete; the quotes of an inline command are blanks. */
static void request__text__its_bytes(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    static const char in[] =
        "\r\nset k \"a b\"\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nget k\r\n*1\r\n$4\r\n";
    prepare(&w, in, sizeof in - 1);
    assert_int_equal(w.chunk->count, 3);
    expect_request(&w, 0, "set k a b  \r\n");
    expect_request(&w, 1, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\n");
    expect_request(&w, 2, "get k\r\n");
    run(&w);
    expect_request(&w, 2, "get k\r\n"); /* still there until the chunk is compacted */
    world_close(&w);
}

/* Of a binary request that came in several frames only the last header is shown: what is behind it may be
 * any part of a value. */
static void request__several_frames__header_alone(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    static const char whole[] = "\xF5\x10\x01\x00\x00\x03\x00\x00\x01\x00k";
    static const char first[] = "\xF5\x11\x02\x00\x20\x04\x00\x00\x01\x00kv";
    static const char last[] = "\xF5\x11\x02\x00\x00\x02\x00\x00vv";
    char in[64];
    size_t n = 0;
    memcpy(in + n, whole, sizeof whole - 1), n += sizeof whole - 1;
    memcpy(in + n, first, sizeof first - 1), n += sizeof first - 1;
    memcpy(in + n, last, sizeof last - 1), n += sizeof last - 1;
    prepare(&w, in, n);
    assert_int_equal(w.chunk->count, 2);
    size_t bytes;
    assert_memory_equal(nitro_chunk_request(w.chunk, 0, &bytes), whole, sizeof whole - 1);
    assert_memory_equal(nitro_chunk_request(w.chunk, 1, &bytes), last, 8);
    assert_int_equal(bytes, 8);
    run(&w);
    assert_int_equal(tallied(&w, "set", NITRO_OK), 1);
    assert_int_equal(tallied(&w, "get", NITRO_ENOTFOUND), 1);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tally__mixed_requests__one_entry_a_kind),
        cmocka_unit_test(tally__stops_in_between__counted_once),
        cmocka_unit_test(tally__host_counts_anew__nothing_twice),
        cmocka_unit_test(request__text__its_bytes),
        cmocka_unit_test(request__several_frames__header_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
