/* SPDX-License-Identifier: MIT
 *
 * test_wire_nbp.c - binary requests: frames, blocks, checksums, bodies in several frames, long
 * replies.
 *
 * NOT HERE  each opcode's replies byte by byte: those are the golden vectors (test_vectors.c).
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "crc32c.h"
#include "wire_nbp.h"

#define BIG_BYTES 3000000u /* a value that takes three reply frames */

struct world {
    struct test_mem mem;
    nitro_store *store;
    struct test_client client;
};

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    opt.max_value = 4u << 20;
    w->store = test_open(&opt);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

/* send: one frame; a checksum block is added if `flags` says so. */
static void send(struct world *w, uint8_t op, uint16_t id, uint8_t flags, const void *rest,
                 size_t n) {
    bool sums = (flags & NK_NBP_INTEGRITY) != 0;
    uint8_t head[16];
    size_t head_n = sums ? 16 : 8;
    nk_store64(head, NK_NBP_REQUEST | (uint64_t)op << 8 | (uint64_t)id << 16 |
                         (uint64_t)flags << 32 | (uint64_t)(n + head_n - 8) << 40);
    nk_store32(head + 8, nk_crc32c(0, head, 8));
    nk_store32(head + 12, nk_crc32c(0, rest, n));
    assert_int_equal(test_client_feed(&w->client, head, head_n), NITRO_OK);
    assert_int_equal(test_client_feed(&w->client, rest, n), NITRO_OK);
}

/* A reply, its frames joined. */
struct reply {
    uint8_t status, flags;
    uint16_t id;
    size_t frames, bytes;
    uint8_t *body; /* owned */
};

/* next_reply: takes one off the front of the replies; checks every checksum. */
static struct reply next_reply(struct world *w) {
    struct reply r = {0};
    struct test_client *t = &w->client;
    size_t at = 0;
    for (bool more = true; more; r.frames++) {
        assert_true(t->out_len - at >= 8);
        const uint8_t *h = t->out + at;
        size_t n = nk_load64(h) >> 40, skip = 0;
        assert_int_equal(h[0], NK_NBP_REPLY);
        assert_true(n <= NK_FRAME_BODY_MAX + 64 && t->out_len - at - 8 >= n);
        if (h[4] & NK_NBP_INTEGRITY) {
            skip = 8;
            assert_int_equal(nk_load32(h + 8), nk_crc32c(0, h, 8));
            assert_int_equal(nk_load32(h + 12), nk_crc32c(0, h + 16, n - 8));
        }
        if (r.frames == 0) r.flags = h[4] & (uint8_t)~NK_NBP_MORE;
        r.status = h[1];
        r.id = nk_load16(h + 2);
        more = (h[4] & NK_NBP_MORE) != 0;
        r.body = realloc(r.body, r.bytes + n + 1);
        assert_non_null(r.body);
        memcpy(r.body + r.bytes, h + 8 + skip, n - skip);
        r.bytes += n - skip;
        at += 8 + n;
    }
    memmove(t->out, t->out + at, t->out_len - at);
    t->out_len -= at;
    return r;
}

static void expect(struct world *w, uint16_t id, int status, const void *body, size_t n) {
    struct reply r = next_reply(w);
    if (r.id != id || r.status != status)
        test_fail("id %u status %02x instead of id %u status %02x: %.*s", r.id, r.status, id,
                  (unsigned)status, (int)r.bytes, (const char *)r.body);
    if (body != NULL && (r.bytes != n || memcmp(r.body, body, n) != 0))
        test_fail("id %u: a body of %zu bytes is not the expected one of %zu", id, r.bytes, n);
    free(r.body);
}

/* The checksum's published value, both ways of computing it, at every length and alignment. */
static void crc32c__known_values__both_ways_agree(void **state) {
    (void)state;
    uint8_t p[300];
    assert_int_equal(nk_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(nk_crc32c_portable(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(nk_crc32c(nk_crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
    for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)(i * 131 + 7);
    for (size_t from = 0; from < 8; from++)
        for (size_t n = 0; n + from <= sizeof p; n++)
            assert_int_equal(nk_crc32c(5, p + from, n), nk_crc32c_portable(5, p + from, n));
}

/* A flipped bit anywhere in a frame with checksums is noticed, and nothing is applied. */
static void integrity__any_bit_flipped__refused_and_not_applied(void **state) {
    (void)state;
    uint8_t frame[8 + 8 + 4];
    for (size_t bit = 0; bit < sizeof frame * 8; bit++) {
        struct world w;
        struct nitro_stats st;
        memcpy(frame + 16, "\x01\0kv", 4);
        nk_store64(frame, NK_NBP_REQUEST | NK_NBP_SET << 8 | 7u << 16 |
                              (uint64_t)NK_NBP_INTEGRITY << 32 | 12ull << 40);
        nk_store32(frame + 8, nk_crc32c(0, frame, 8));
        nk_store32(frame + 12, nk_crc32c(0, frame + 16, 4));
        frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (bit / 8 == 4 && bit % 8 == 0) continue; /* without the flag it is another valid frame */
        world_open(&w);
        w.client.session->proto = NITRO_PROTO_BINARY;
        assert_int_equal(test_client_feed(&w.client, frame, sizeof frame), NITRO_OK);
        if (w.client.out_len > 0) {
            struct reply r = next_reply(&w);
            assert_true(r.status == NITRO_ECHECKSUM || r.status == NITRO_EFRAME);
            if (r.id == 0) assert_true(w.client.closed);
            free(r.body);
        }
        nitro_stats(w.store, &st);
        assert_int_equal(st.keys, 0);
        world_close(&w);
    }
}

/* What loses the framing is answered with id 0, and nothing behind it runs. */
static void framing__wrong_kind__id_0_then_closed(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    send(&w, NK_NBP_NOOP, 1, 0, "", 0);
    assert_int_equal(test_client_feed(&w.client, "\xf6\x00\x02\x00\0\0\0\0PING\r\n", 14), NITRO_OK);
    expect(&w, 1, NITRO_OK, "", 0);
    expect(&w, 0, NITRO_EFRAME, NULL, 0);
    assert_true(w.client.closed);
    assert_int_equal(w.client.out_len, 0);
    world_close(&w);
}

/* A large value in small frames, other ids between them, and back in frames of at most 1 MiB. */
static void large_value__in_many_frames__stored_and_returned(void **state) {
    (void)state;
    struct world w;
    uint8_t *value = malloc(BIG_BYTES);
    assert_non_null(value);
    for (size_t i = 0; i < BIG_BYTES; i++) value[i] = (uint8_t)(i * 2654435761u >> 13);
    world_open(&w);
    send(&w, NK_NBP_SET, 9, NK_NBP_MORE | NK_NBP_INTEGRITY, "\x03\0b", 3);
    send(&w, NK_NBP_SET, 9, NK_NBP_MORE, "ig", 2);
    for (size_t at = 0; at < BIG_BYTES; at += 100000) {
        bool last = at + 100000 == BIG_BYTES;
        send(&w, NK_NBP_SET, 9, last ? NK_NBP_INTEGRITY : NK_NBP_MORE, value + at, 100000);
        if (!last) send(&w, NK_NBP_EXISTS, 1, 0, "\x03\0big", 5);
        if (!last) expect(&w, 1, NITRO_ENOTFOUND, "", 0);
    }
    assert_null(w.client.session->priv);
    struct reply r = next_reply(&w);
    assert_int_equal(r.status, NITRO_OK);
    assert_int_equal(r.flags, NK_NBP_INTEGRITY);
    free(r.body);
    send(&w, NK_NBP_GETX, 2, NK_NBP_INTEGRITY, "\x05\x03\0big", 6);
    r = next_reply(&w);
    assert_int_equal(r.bytes, 12);
    assert_int_equal(nk_load32(r.body + 8), BIG_BYTES);
    free(r.body);
    for (int sums = 0; sums < 2; sums++) {
        send(&w, NK_NBP_GET, 3, sums ? NK_NBP_INTEGRITY : 0, "\x03\0big", 5);
        r = next_reply(&w);
        assert_int_equal(r.frames, 3);
        assert_int_equal(r.bytes, BIG_BYTES);
        assert_memory_equal(r.body, value, BIG_BYTES);
        free(r.body);
    }
    free(value);
    world_close(&w);
}

/* MGET puts large and small values into one body, however many frames that takes. */
static void mget__large_among_small__one_body(void **state) {
    (void)state;
    static const char in[] = "\x05\0\0\0\x01\0a\x03\0big\x02\0no\x03\0big\x01\0a";
    struct world w;
    uint8_t *value = calloc(1, 2000000);
    assert_non_null(value);
    world_open(&w);
    send(&w, NK_NBP_SET, 1, NK_NBP_QUIET, "\x01\0ahello", 8);
    memcpy(value, "\x03\0big", 5);
    send(&w, NK_NBP_SET, 2, NK_NBP_QUIET, value, 2000000);
    assert_int_equal(w.client.out_len, 0);
    send(&w, NK_NBP_MGET, 3, NK_NBP_INTEGRITY, in, sizeof in - 1);
    struct reply r = next_reply(&w);
    assert_int_equal(r.bytes, 4 + 5 * 5 + 2 * 5 + 2 * 1999995);
    assert_memory_equal(r.body, "\x05\0\0\0\0\x05\0\0\0hello\0", 15);
    assert_int_equal(nk_load32(r.body + 15), 1999995);
    assert_memory_equal(r.body + 19 + 1999995, "\x10\0\0\0\0\0", 6);
    assert_memory_equal(r.body + r.bytes - 10, "\0\x05\0\0\0hello", 10);
    free(r.body);
    assert_int_equal(w.client.out_len, 0);
    free(value);
    world_close(&w);
}

/* Sequences of frames that break a rule end the connection, and leave nothing behind. */
static void sequence__broken__answered_and_closed(void **state) {
    (void)state;
    static const struct {
        uint8_t op, flags, op2, flags2;
        int status;
    } cases[] = {
        {NK_NBP_SET, NK_NBP_MORE, NK_NBP_GET, 0, NITRO_ECHUNK},
        {NK_NBP_SET, NK_NBP_MORE, NK_NBP_SET, NK_NBP_QUIET, NITRO_EFLAG},
        {NK_NBP_SET, NK_NBP_MORE, NK_NBP_SET, NK_NBP_VERSION, NITRO_EFLAG},
        {NK_NBP_GET, NK_NBP_MORE | NK_NBP_EXPIRY, 0, 0, NITRO_EFLAG},
        {0x7F, NK_NBP_MORE, 0, 0, NITRO_EOPCODE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w);
        send(&w, cases[i].op, 4, cases[i].flags, "\x01\0kvvvvvvvv", 11);
        if (!w.client.closed) send(&w, cases[i].op2, 4, cases[i].flags2, "\x01\0k", 3);
        expect(&w, 4, cases[i].status, NULL, 0);
        assert_true(w.client.closed);
        world_close(&w);
    }
}

/* Sixteen requests may be half-sent; a body may not grow beyond the largest key and value. */
static void half_sent__beyond_the_limits__refused_and_closed(void **state) {
    (void)state;
    struct world w;
    uint8_t *piece = calloc(1, 4u << 20);
    assert_non_null(piece);
    world_open(&w);
    for (uint16_t id = 0; id < 16; id++) send(&w, NK_NBP_SET, id, NK_NBP_MORE, "\x01\0k", 3);
    assert_int_equal(w.client.out_len, 0);
    send(&w, NK_NBP_SET, 16, NK_NBP_MORE, "\x01\0k", 3);
    expect(&w, 16, NITRO_ELIMIT, NULL, 0);
    assert_true(w.client.closed);
    world_close(&w);
    world_open(&w);
    send(&w, NK_NBP_SET, 1, NK_NBP_MORE, piece, 4u << 20);
    assert_int_equal(w.client.out_len, 0);
    send(&w, NK_NBP_SET, 1, NK_NBP_MORE, piece, 200000);
    expect(&w, 1, NITRO_EVALUESIZE, NULL, 0);
    assert_true(w.client.closed);
    world_close(&w);
    free(piece);
}

/* The replies of quiet requests vanish unless they say something. */
static void quiet__empty_replies__not_sent(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    send(&w, NK_NBP_SET, 1, NK_NBP_QUIET | NK_NBP_INTEGRITY, "\x01\0kv", 4);
    send(&w, NK_NBP_GET, 2, NK_NBP_QUIET, "\x02\0no", 4);
    send(&w, NK_NBP_DELETE, 3, NK_NBP_QUIET, "\x02\0no", 4);
    assert_int_equal(w.client.out_len, 0);
    send(&w, NK_NBP_GET, 4, NK_NBP_QUIET, "\x01\0k", 3);
    expect(&w, 4, NITRO_OK, "v", 1);
    send(&w, NK_NBP_INCR, 5, NK_NBP_QUIET, "\x01\0k\x01\0\0\0\0\0\0\0", 11);
    expect(&w, 5, NITRO_ENOTNUMBER, NULL, 0);
    send(&w, NK_NBP_SETX, 6, NK_NBP_QUIET, "\x10\x01\0kw", 5);
    struct reply r = next_reply(&w);
    assert_int_equal(r.flags, NK_NBP_VERSION);
    assert_true(r.bytes == 8 && nk_load64(r.body) != 0);
    free(r.body);
    send(&w, NK_NBP_NOOP, 7, 0, "", 0);
    expect(&w, 7, NITRO_OK, "", 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c__known_values__both_ways_agree),
        cmocka_unit_test(integrity__any_bit_flipped__refused_and_not_applied),
        cmocka_unit_test(framing__wrong_kind__id_0_then_closed),
        cmocka_unit_test(large_value__in_many_frames__stored_and_returned),
        cmocka_unit_test(mget__large_among_small__one_body),
        cmocka_unit_test(sequence__broken__answered_and_closed),
        cmocka_unit_test(half_sent__beyond_the_limits__refused_and_closed),
        cmocka_unit_test(quiet__empty_replies__not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
