/* SPDX-License-Identifier: MIT
 *
 * client.h - a client that talks to the engine in bytes, as a connection of the server does: it feeds
 * bytes to a chunk, prepares, executes, and collects the replies.
 *
 * HOST VERBS  FLUSHALL is run as a host would; AUTH unlocks a locked session, whatever its password; every
 *          other one is answered with an error.
 * THREADS  One thread at a time per client. The caller holds the gate shared around feed; where FLUSHALL
 *          may come, exclusively.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "support.h"

struct test_client {
    nitro_store *store;
    nitro_session *session;
    nitro_chunk *chunk;
    int64_t now_ms;
    bool closed;  /* the engine wants the connection closed; input is ignored from here */
    uint8_t *out; /* replies; owned, freed by test_client_close */
    size_t out_len, out_cap;
    void (*yield)(void *ctx); /* called on BUSY, NULL = spin */
    void *yield_ctx;
};
/* test_client_open: NITRO_OK or NITRO_ENOMEM (then nothing is to be closed). */
int test_client_open(struct test_client *t, nitro_store *s, int64_t now_ms);
void test_client_close(struct test_client *t);
/* test_client_feed: NITRO_OK, or the code with which a grow or a prepare failed; replies are appended. */
int test_client_feed(struct test_client *t, const void *p, size_t n);
/* test_client_line: feeds an inline request (a line, CRLF is added). */
int test_client_line(struct test_client *t, const char *line);
/* test_client_args: feeds a RESP array of `argc` arguments. */
struct test_arg {
    const void *p;
    size_t n;
};
int test_client_args(struct test_client *t, const struct test_arg *argv, size_t argc);

#endif
