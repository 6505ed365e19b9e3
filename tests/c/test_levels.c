/* SPDX-License-Identifier: MIT
 *
 * test_levels.c - what a log changes for requests: LOADING before it is read, the level that each
 * request asks for, and the verbs that wait for it.
 *
 * HOW   A store on a folder in /tmp that the test removes. Requests are prepared and executed by hand,
 *       because it is the gates that count, which a client never sees.
 *
 * NOT HERE  requests without a log (test_exec.c, test_vectors.c), what a gate waits for (tests/sim).
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "seg.h"
#include "support.h"
#include "wire_nbp.h"

struct world {
    struct test_mem mem;
    char dir[32];
    nitro_store *store;
    nitro_session *session;
    nitro_chunk *chunk;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    strcpy(w->dir, "/tmp/nitrokv-levels-XXXXXX");
    if (mkdtemp(w->dir) == NULL) test_fail("no folder can be made in /tmp");
    struct nitro_options opt = test_options(&w->mem, 4);
    opt.dir = w->dir;
    opt.log_file_bytes = 1u << 20;
    w->store = test_open(&opt);
    w->session = nitro_session_open(w->store);
    w->chunk = nitro_chunk_open(w->store);
    assert_non_null(w->session);
    assert_non_null(w->chunk);
}

/* load: the store is ready afterwards, and there is room in its log. */
static void load(struct world *w) {
    struct nitro_recovery found;
    struct nitro_err err = {0};
    int64_t newest;
    if (nitro_recover_scan(w->store, TEST_NOW, &found, &err) != NITRO_OK ||
        nitro_recover_replay(w->store, 0, 1, &err) != NITRO_OK ||
        nitro_recover_finish(w->store, TEST_NOW, &newest, &err) != NITRO_OK ||
        nitro_log_fill(w->store, 4096, &err) != NITRO_OK)
        test_fail("the store cannot be loaded: %s", err.msg);
}

static void remove_folder(const char *dir) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[sizeof((struct world *)0)->dir + sizeof e->d_name + 1];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) != 0) test_fail("%s cannot be removed", path);
    }
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

static void world_close(struct world *w) {
    nitro_chunk_close(w->store, &w->chunk);
    nitro_session_close(w->store, &w->session);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    remove_folder(w->dir);
}

/* run: executes some bytes as they come from a client; returns the enum nitro_stop. The replies and gates
 * of what ran before are dropped. */
static int run(struct world *w, const void *p, size_t n) {
    nitro_chunk *c = w->chunk;
    nitro_chunk_compact(c);
    c->out_len = 0;
    c->gate_count = 0;
    memcpy(c->in + c->in_len, p, n);
    c->in_len += n;
    assert_int_equal(nitro_prepare(w->store, w->session, c, TEST_NOW), NITRO_OK);
    assert_int_equal(c->count, 1);
    return nitro_execute(w->store, w->session, c, TEST_NOW);
}

static void expect_text(struct world *w, const char *line, const char *reply) {
    assert_int_equal(run(w, line, strlen(line)), NITRO_STOP_DONE);
    if (w->chunk->out_len != strlen(reply) || memcmp(w->chunk->out, reply, strlen(reply)) != 0)
        test_fail("%.*s: answered by %.*s instead of %s", (int)strcspn(line, "\r"), line,
                  (int)w->chunk->out_len, w->chunk->out, reply);
}

/* frame: runs a binary request on the key "k", or without a body. */
static int frame(struct world *w, uint8_t op, uint16_t id, uint8_t flags) {
    size_t body = op == NK_NBP_NOOP || op == NK_NBP_SYNC ? 0 : 3;
    uint8_t p[NK_NBP_HEADER + 3] = {
        NK_NBP_REQUEST, op, (uint8_t)id, (uint8_t)(id >> 8), flags, (uint8_t)body, 0, 0, 1, 0, 'k'};
    return run(w, p, NK_NBP_HEADER + body);
}

/* Until the log is read, whatever needs the data is refused, in Redis's words. */
static void loading__text__data_verbs_refused(void **state) {
    (void)state;
    struct world w;
    static const char refused[] = "-LOADING Redis is loading the dataset in memory\r\n";
    static const char *const verbs[] = {"GET k\r\n",    "SET k v\r\n",  "DEL a b\r\n",
                                        "MGET a b\r\n", "MSET a 1\r\n", "SCAN 0\r\n",
                                        "DBSIZE\r\n",   "INCR k\r\n"};
    world_open(&w);
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) expect_text(&w, verbs[i], refused);
    expect_text(&w, "PING\r\n", "+PONG\r\n");
    expect_text(&w, "ECHO hi\r\n", "$2\r\nhi\r\n");
    assert_int_equal(run(&w, "INFO\r\n", 6), NITRO_STOP_HOST);
    nitro_chunk_skip(w.chunk);
    load(&w);
    expect_text(&w, "GET k\r\n", "$-1\r\n");
    world_close(&w);
}

static void loading__binary__data_opcodes_refused(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(frame(&w, NK_NBP_GET, 1, 0), NITRO_STOP_DONE);
    assert_int_equal(w.chunk->out[1], NITRO_ELOADING);
    assert_int_equal(frame(&w, NK_NBP_NOOP, 2, 0), NITRO_STOP_DONE);
    assert_int_equal(w.chunk->out[1], NITRO_OK);
    load(&w);
    assert_int_equal(frame(&w, NK_NBP_GET, 3, 0), NITRO_STOP_DONE);
    assert_int_equal(w.chunk->out[1], NITRO_ENOTFOUND);
    world_close(&w);
}

/* expect_gate: the only reply waits for the newest write, at a level. */
static void expect_gate(struct world *w, uint16_t id, uint8_t level, uint8_t wrote) {
    assert_int_equal(w->chunk->gate_count, 1);
    const struct nitro_gate *g = &w->chunk->gates[0];
    assert_int_equal(g->id, id);
    assert_int_equal(g->level, level);
    assert_int_equal(g->wrote, wrote);
    assert_true(g->lsn == nitro_log_view_of(w->store)->appended);
    assert_int_equal(g->from, 0);
    assert_int_equal(g->to, w->chunk->out_len);
}

/* With a log every level is legal; a request that names none has its session's. */
static void level__binary__in_the_gate(void **state) {
    (void)state;
    struct world w;
    static const uint8_t named[] = {0x00, 0x40, 0x80, 0xC0};
    static const uint8_t session[] = {0, NITRO_LEVEL_NEVER, NITRO_LEVEL_EVERYSEC,
                                      NITRO_LEVEL_ALWAYS};
    uint16_t id = 0;
    world_open(&w);
    load(&w);
    for (size_t s = 0; s < sizeof session; s++) {
        w.session->level = session[s];
        for (size_t i = 0; i < sizeof named; i++) {
            uint8_t level = i > 0 ? (uint8_t)i : session[s] > 0 ? session[s] : NITRO_LEVEL_ALWAYS;
            assert_int_equal(frame(&w, NK_NBP_SET, ++id, named[i]), NITRO_STOP_DONE);
            assert_int_equal(w.chunk->out[1], NITRO_OK);
            expect_gate(&w, id, level, 1);
            assert_int_equal(frame(&w, NK_NBP_GET, ++id, named[i]), NITRO_STOP_DONE);
            expect_gate(&w, id, level, 0);
        }
    }
    world_close(&w);
}

/* A connection's level is that of its text requests. */
static void level__text__the_sessions(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    load(&w);
    for (uint8_t level = NITRO_LEVEL_NEVER; level <= NITRO_LEVEL_ALWAYS; level++) {
        w.session->level = level;
        expect_text(&w, "SET k v\r\n", "+OK\r\n");
        expect_gate(&w, 0, level, 1);
    }
    world_close(&w);
}

/* A fence waits for what its connection has written without an answer. */
static void quiet_write__then_fence__the_fence_waits(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    load(&w);
    assert_int_equal(frame(&w, NK_NBP_SET, 1, NK_NBP_QUIET), NITRO_STOP_DONE);
    assert_int_equal(w.chunk->out_len, 0);
    assert_int_equal(frame(&w, NK_NBP_NOOP, 2, 0), NITRO_STOP_DONE);
    expect_gate(&w, 2, NITRO_LEVEL_ALWAYS, 0);
    world_close(&w);
}

/* The verbs that wait for the log are the host's, in both protocols. */
static void sync_verbs__both_protocols__left_to_the_host(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    load(&w);
    assert_int_equal(run(&w, "WAITAOF 1 0 100\r\n", 17), NITRO_STOP_HOST);
    assert_int_equal(w.chunk->host_verb, NITRO_HOST_WAITAOF);
    assert_int_equal(w.chunk->host_argc, 4);
    assert_memory_equal(w.chunk->host_argv[3].p, "100", 3);
    nitro_chunk_skip(w.chunk);
    world_close(&w);

    world_open(&w);
    load(&w);
    assert_int_equal(frame(&w, NK_NBP_SYNC, 7, NK_NBP_QUIET), NITRO_STOP_HOST);
    assert_int_equal(w.chunk->host_verb, NITRO_HOST_SYNC);
    assert_int_equal(w.chunk->host_id, 7);
    assert_int_equal(w.chunk->host_flags, NK_NBP_QUIET);
    nitro_chunk_skip(w.chunk);
    world_close(&w);
}

/* An MGET that has to wait for a segment in its middle keeps all of its reply back. */
static void mget__busy_in_its_middle__all_of_the_reply_waits(void **state) {
    (void)state;
    struct world w;
    static const char reply[] = "*2\r\n$5\r\nshown\r\n$-1\r\n";
    char line[32], other = 'b';
    world_open(&w);
    load(&w);
    struct nk_db *db = (struct nk_db *)(void *)w.store;
    while (nk_key_seg(db, &other, 1) == nk_key_seg(db, "a", 1)) other++;
    expect_text(&w, "SET a shown\r\n", "+OK\r\n");
    struct nk_seg *s = nk_db_seg(db, nk_key_seg(db, &other, 1));
    assert_true(nk_seg_lock(s));
    snprintf(line, sizeof line, "MGET a %c\r\n", other);
    assert_int_equal(run(&w, line, strlen(line)), NITRO_STOP_BUSY);
    nk_seg_unlock(s);
    assert_int_equal(nitro_execute(w.store, w.session, w.chunk, TEST_NOW), NITRO_STOP_DONE);
    assert_int_equal(w.chunk->out_len, strlen(reply));
    assert_memory_equal(w.chunk->out, reply, strlen(reply));
    expect_gate(&w, 0, NITRO_LEVEL_ALWAYS, 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loading__text__data_verbs_refused),
        cmocka_unit_test(loading__binary__data_opcodes_refused),
        cmocka_unit_test(level__binary__in_the_gate),
        cmocka_unit_test(level__text__the_sessions),
        cmocka_unit_test(quiet_write__then_fence__the_fence_waits),
        cmocka_unit_test(mget__busy_in_its_middle__all_of_the_reply_waits),
        cmocka_unit_test(sync_verbs__both_protocols__left_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
