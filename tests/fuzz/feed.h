/* SPDX-License-Identifier: MIT
 *
 * feed.h - what the fuzz targets of the request parsers share: a stream of bytes is fed to a fresh
 * store, whole or in pieces, and the replies are collected.
 *
 * RULE  How a stream was cut must not show: the replies are the same, and so is the end of the
 *       connection. When chunk and session are closed, the store counts no byte for them.
 */
#ifndef FEED_H
#define FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nitro.h"

#define FEED_NOW INT64_C(1700000000000)
#define FEED_CHECK(x)                                                                              \
    do {                                                                                           \
        if (!(x)) abort();                                                                         \
    } while (0)

struct feed {
    nitro_store *store;
    nitro_session *session;
    nitro_chunk *chunk;
    uint8_t *out; /* all replies so far */
    size_t out_len, out_cap;
    bool closed;
};

static void feed_append(struct feed *f, const void *p, size_t n) {
    if (n == 0) return;
    if (f->out_len + n > f->out_cap) {
        f->out_cap = (f->out_len + n) * 2;
        f->out = realloc(f->out, f->out_cap);
        FEED_CHECK(f->out != NULL);
    }
    memcpy(f->out + f->out_len, p, n);
    f->out_len += n;
}

static void feed_open(struct feed *f) {
    struct nitro_options opt = {.segments = 4, .max_value = 1u << 20, .max_args = 4096};
    struct nitro_err err;
    memset(f, 0, sizeof *f);
    FEED_CHECK(nitro_open(&opt, &f->store, &err) == NITRO_OK);
    f->session = nitro_session_open(f->store);
    f->chunk = nitro_chunk_open(f->store);
    FEED_CHECK(f->session != NULL && f->chunk != NULL);
}

static void feed_close(struct feed *f) {
    struct nitro_stats st;
    nitro_chunk_close(f->store, &f->chunk);
    nitro_session_close(f->store, &f->session);
    nitro_stats(f->store, &st);
    FEED_CHECK(st.chunk_bytes == 0);
    nitro_close(&f->store);
    free(f->out);
}

/* feed_host: does what a host must, and leaves a mark in the replies where it was asked. */
static void feed_host(struct feed *f) {
    nitro_chunk *c = f->chunk;
    FEED_CHECK(c->host_verb != NITRO_HOST_NONE && c->next < c->count);
    if (c->host_verb == NITRO_HOST_FLUSH) FEED_CHECK(nitro_flush(f->store, NULL) == NITRO_OK);
    if (c->host_verb == NITRO_HOST_HELLO && f->session->proto == NITRO_PROTO_RESP2)
        f->session->proto = NITRO_PROTO_RESP3;
    if (f->session->proto == NITRO_PROTO_BINARY) {
        uint8_t head[8] = {0xF6, NITRO_EUNSUPPORTED, (uint8_t)c->host_id,
                           (uint8_t)(c->host_id >> 8)};
        FEED_CHECK(nitro_chunk_reply(f->store, c, head, sizeof head) == NITRO_OK);
    } else {
        FEED_CHECK(nitro_chunk_reply(f->store, c, "+HOST\r\n", 7) == NITRO_OK);
    }
    nitro_chunk_skip(c);
}

static void feed_execute(struct feed *f) {
    nitro_chunk *c = f->chunk;
    for (;;) {
        int stop = nitro_execute(f->store, f->session, c, FEED_NOW);
        FEED_CHECK(c->out_len <= c->out_cap && c->next <= c->count);
        feed_append(f, c->out, c->out_len);
        c->out_len = 0;
        if (stop == NITRO_STOP_DONE) return;
        if (stop == NITRO_STOP_BIG)
            feed_append(f, c->big, c->big_len);
        else if (stop == NITRO_STOP_HOST)
            feed_host(f);
        else
            FEED_CHECK(stop == NITRO_STOP_OUT);
    }
}

/* feed_piece: what a host does with bytes that it has read. */
static void feed_piece(struct feed *f, const uint8_t *p, size_t n) {
    nitro_chunk *c = f->chunk;
    while (n > 0 && !f->closed) {
        nitro_chunk_compact(c);
        if (c->in_len == c->in_cap) FEED_CHECK(nitro_chunk_grow(f->store, c) == NITRO_OK);
        size_t room = c->in_cap - c->in_len, now = n < room ? n : room;
        memcpy(c->in + c->in_len, p, now);
        c->in_len += now;
        p += now;
        n -= now;
        do {
            FEED_CHECK(nitro_prepare(f->store, f->session, c, FEED_NOW) == NITRO_OK);
            FEED_CHECK(c->in_pos <= c->in_len);
            feed_execute(f);
            f->closed = c->closing != 0;
        } while (c->more && !f->closed);
        FEED_CHECK(f->closed || c->in_pos == c->in_len || c->in_need > c->in_len);
    }
}

/* feed_cut: the stream in pieces of 1 .. 64 bytes that follow from `seed`. */
static void feed_cut(struct feed *f, const uint8_t *p, size_t n, uint8_t seed) {
    uint32_t x = seed | 0x100u;
    while (n > 0) {
        x = x * 1664525u + 1013904223u;
        size_t piece = 1 + (x >> 16) % (seed < 128 ? 64u : 4u);
        if (piece > n) piece = n;
        feed_piece(f, p, piece);
        p += piece;
        n -= piece;
    }
}

#endif
