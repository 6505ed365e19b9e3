/* SPDX-License-Identifier: MIT
 *
 * fuzz_resp.c - any bytes as text requests: RESP and inline, whole and in pieces.
 *
 * INPUT  The first byte decides how the rest is cut; the rest is what a client sends.
 */
#include "feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct feed whole, cut;
    if (size < 2 || data[1] == 0xF5) return 0;
    feed_open(&whole);
    feed_open(&cut);
    feed_piece(&whole, data + 1, size - 1);
    feed_cut(&cut, data + 1, size - 1, data[0]);
    FEED_CHECK(whole.closed == cut.closed && whole.out_len == cut.out_len);
    FEED_CHECK(whole.out_len == 0 || memcmp(whole.out, cut.out, whole.out_len) == 0);
    feed_close(&whole);
    feed_close(&cut);
    return 0;
}
