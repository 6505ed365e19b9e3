/* SPDX-License-Identifier: MIT
 *
 * fuzz_nbp.c - any bytes as binary requests, whole and in pieces.
 *
 * INPUT  The first byte decides how the rest is cut; the rest is what a client sends.
 * JOIN   Where a long reply is divided into frames depends on how full the buffer was, so replies
 *        are compared after their frames have been joined. Every frame must be well formed.
 */
#include "feed.h"

#define KIND_REPLY 0xF6
#define FLAG_INTEGRITY 0x01
#define FLAG_MORE 0x20

/* join: replaces the replies of f by: first header without length, bodies, and a mark at the
 * end. */
static void join(struct feed *f) {
    struct feed to = {0};
    bool inside = false;
    for (size_t at = 0; at < f->out_len;) {
        const uint8_t *h = f->out + at;
        FEED_CHECK(f->out_len - at >= 8 && h[0] == KIND_REPLY);
        size_t n = (size_t)h[5] | (size_t)h[6] << 8 | (size_t)h[7] << 16;
        size_t skip = h[4] & FLAG_INTEGRITY ? 8 : 0;
        FEED_CHECK(n >= skip && f->out_len - at - 8 >= n);
        uint8_t head[5] = {h[0], h[1], h[2], h[3], (uint8_t)(h[4] & ~FLAG_MORE)};
        if (!inside) feed_append(&to, head, sizeof head);
        feed_append(&to, h + 8 + skip, n - skip);
        inside = (h[4] & FLAG_MORE) != 0;
        if (!inside) feed_append(&to, "|", 1);
        at += 8 + n;
    }
    FEED_CHECK(!inside);
    free(f->out);
    f->out = to.out;
    f->out_len = to.out_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct feed whole, cut;
    if (size < 2) return 0;
    feed_open(&whole);
    feed_open(&cut);
    whole.session->proto = cut.session->proto = NITRO_PROTO_BINARY;
    feed_piece(&whole, data + 1, size - 1);
    feed_cut(&cut, data + 1, size - 1, data[0]);
    join(&whole);
    join(&cut);
    FEED_CHECK(whole.closed == cut.closed && whole.out_len == cut.out_len);
    FEED_CHECK(whole.out_len == 0 || memcmp(whole.out, cut.out, whole.out_len) == 0);
    feed_close(&whole);
    feed_close(&cut);
    return 0;
}
