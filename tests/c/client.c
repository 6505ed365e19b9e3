/* SPDX-License-Identifier: MIT
 *
 * client.c - the byte client of the tests (see client.h).
 *
 * Follows the contract of nitro.h to the letter, because it is also the shortest example of a host:
 * compact before reading, grow when asked, prepare until nothing is left, and answer each way in which
 * nitro_execute can stop.
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BINARY_HEAD 8u
#define BINARY_REPLY 0xf6u
#define BINARY_QUIET 0x10u

int test_client_open(struct test_client *t, nitro_store *s, int64_t now_ms) {
    *t = (struct test_client){.store = s, .now_ms = now_ms};
    t->session = nitro_session_open(s);
    if (t->session == NULL) return NITRO_ENOMEM;
    t->chunk = nitro_chunk_open(s);
    if (t->chunk == NULL) {
        nitro_session_close(s, &t->session);
        return NITRO_ENOMEM;
    }
    return NITRO_OK;
}

void test_client_close(struct test_client *t) {
    nitro_chunk_close(t->store, &t->chunk);
    nitro_session_close(t->store, &t->session);
    free(t->out);
    *t = (struct test_client){0};
}

/* collect: appends reply bytes to what the client has received. */
static void collect(struct test_client *t, const uint8_t *p, size_t n) {
    if (t->out_len + n > t->out_cap) {
        t->out_cap = (t->out_len + n) * 2;
        t->out = realloc(t->out, t->out_cap);
        if (t->out == NULL) test_fail("the test client is out of memory");
    }
    if (n > 0) memcpy(t->out + t->out_len, p, n);
    t->out_len += n;
}

static void collect_chunk(struct test_client *t) {
    collect(t, t->chunk->out, t->chunk->out_len);
    t->chunk->out_len = 0;
    t->chunk->gate_count = 0; /* this host waits for nothing */
}

/* host_reply: what a host answers: FLUSHALL is done, any AUTH is believed, the rest is refused. */
static int host_reply(struct test_client *t) {
    nitro_chunk *c = t->chunk;
    int code = NITRO_EUNSUPPORTED;
    if (c->host_verb == NITRO_HOST_FLUSH) code = nitro_flush(t->store, NULL);
    if (c->host_verb == NITRO_HOST_AUTH && t->session->locked) {
        t->session->locked = 0;
        code = NITRO_OK;
    }
    if (t->session->proto == NITRO_PROTO_BINARY) {
        if (code == NITRO_OK && (c->host_flags & BINARY_QUIET)) return NITRO_OK;
        uint8_t head[BINARY_HEAD] = {BINARY_REPLY, (uint8_t)code, (uint8_t)c->host_id,
                                     (uint8_t)(c->host_id >> 8)};
        return nitro_chunk_reply(t->store, c, head, sizeof head);
    }
    const char *text = "-ERR this test host has no such verb\r\n";
    if (code == NITRO_OK) text = "+OK\r\n";
    if (code == NITRO_ENOMEM) text = "-OOM out of memory, not flushed\r\n";
    return nitro_chunk_reply(t->store, c, text, strlen(text));
}

/* execute: runs what is prepared, and deals with every way in which the engine can stop. */
static int execute(struct test_client *t) {
    nitro_chunk *c = t->chunk;
    int rc;
    for (;;) {
        int stop = nitro_execute(t->store, t->session, c, t->now_ms);
        switch (stop) {
        case NITRO_STOP_DONE:
            collect_chunk(t);
            return NITRO_OK;
        case NITRO_STOP_OUT:
            collect_chunk(t);
            break;
        case NITRO_STOP_BIG:
            collect_chunk(t);
            collect(t, c->big, c->big_len);
            break;
        case NITRO_STOP_IO:
            nitro_chunk_fetch(t->store, c);
            break;
        case NITRO_STOP_ROOM: /* other threads write and fill */
        case NITRO_STOP_BUSY:
            if (t->yield != NULL) t->yield(t->yield_ctx);
            break;
        case NITRO_STOP_HOST:
            rc = host_reply(t);
            if (rc != NITRO_OK) return rc;
            nitro_chunk_skip(c);
            break;
        default:
            test_fail("nitro_execute stopped for a reason that does not exist: %d", stop);
        }
    }
}

/* run: prepares and executes until the input holds no complete request any more. */
static int run(struct test_client *t) {
    nitro_chunk *c = t->chunk;
    do {
        int rc = nitro_prepare(t->store, t->session, c, t->now_ms);
        if (rc == NITRO_OK) rc = execute(t);
        if (rc != NITRO_OK) return rc;
        if (c->closing) t->closed = true;
    } while (c->more && !t->closed);
    return NITRO_OK;
}

/* make_room: an input buffer with space for at least one more byte. */
static int make_room(struct test_client *t) {
    nitro_chunk *c = t->chunk;
    nitro_chunk_compact(c);
    while (c->in_len == c->in_cap) {
        size_t before = c->in_cap;
        int rc = nitro_chunk_grow(t->store, c);
        if (rc != NITRO_OK) return rc;
        if (c->in_cap <= before) test_fail("nitro_chunk_grow left the buffer at %zu", before);
    }
    return NITRO_OK;
}

int test_client_feed(struct test_client *t, const void *p, size_t n) {
    const uint8_t *from = p;
    while (n > 0 && !t->closed) {
        int rc = make_room(t);
        if (rc != NITRO_OK) return rc;
        nitro_chunk *c = t->chunk;
        size_t take = c->in_cap - c->in_len < n ? c->in_cap - c->in_len : n;
        memcpy(c->in + c->in_len, from, take);
        c->in_len += take;
        from += take;
        n -= take;
        rc = run(t);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

int test_client_line(struct test_client *t, const char *line) {
    int rc = test_client_feed(t, line, strlen(line));
    return rc != NITRO_OK ? rc : test_client_feed(t, "\r\n", 2);
}

int test_client_args(struct test_client *t, const struct test_arg *argv, size_t argc) {
    char head[32];
    int n = snprintf(head, sizeof head, "*%zu\r\n", argc);
    int rc = test_client_feed(t, head, (size_t)n);
    for (size_t i = 0; i < argc && rc == NITRO_OK; i++) {
        n = snprintf(head, sizeof head, "$%zu\r\n", argv[i].n);
        rc = test_client_feed(t, head, (size_t)n);
        if (rc == NITRO_OK && argv[i].n > 0) rc = test_client_feed(t, argv[i].p, argv[i].n);
        if (rc == NITRO_OK) rc = test_client_feed(t, "\r\n", 2);
    }
    return rc;
}
