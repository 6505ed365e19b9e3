/* SPDX-License-Identifier: MIT
 *
 * varint.c - the numbers of three and more bytes (L0; see varint.h).
 */
#include "varint.h"

uint8_t *nk_varint_put_long(uint8_t *p, uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

const uint8_t *nk_varint_get_long(const uint8_t *p, uint64_t *out) {
    uint64_t v = 0;
    for (unsigned i = 0; i < NK_VARINT_MAX; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] >= 0x80) continue;
        if (p[i] == 0 && i > 0) return NULL;
        *out = v;
        return p + i + 1;
    }
    return NULL;
}
