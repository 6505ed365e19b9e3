/* SPDX-License-Identifier: MIT
 *
 * varint.h - numbers below 2^63 in one to nine bytes, as log records and snapshots hold them (L0).
 *
 * WHAT   LEB128: little end first, 7 bits a byte, bit 7 says that another byte follows. The shortest form
 *        alone is valid. All but large values have one or two bytes, and those go without a loop or a call.
 */
#ifndef NK_VARINT_H
#define NK_VARINT_H

#include "base.h"

#define NK_VARINT_MAX 9u                    /* bytes */
#define NK_VARINT_LIMIT (UINT64_C(1) << 63) /* the first number that does not fit them */

/* nk_varint_put_long, nk_varint_get_long: as those below, whatever the length. */
uint8_t *nk_varint_put_long(uint8_t *p, uint64_t v);
const uint8_t *nk_varint_get_long(const uint8_t *p, uint64_t *out);

/* nk_varint_put: v < NK_VARINT_LIMIT; returns the end. */
NK_INLINE uint8_t *nk_varint_put(uint8_t *p, uint64_t v) {
    if (NK_LIKELY(v < 0x80)) {
        p[0] = (uint8_t)v;
        return p + 1;
    }
    if (NK_LIKELY(v < 0x4000)) {
        p[0] = (uint8_t)(v | 0x80);
        p[1] = (uint8_t)(v >> 7);
        return p + 2;
    }
    return nk_varint_put_long(p, v);
}

/* nk_varint_get: NK_VARINT_MAX bytes can be read at p. Returns the end, or NULL if it is longer than that, or
 * longer than need be. */
NK_INLINE const uint8_t *nk_varint_get(const uint8_t *p, uint64_t *out) {
    uint64_t low = p[0];
    if (NK_LIKELY(low < 0x80)) {
        *out = low;
        return p + 1;
    }
    uint64_t high = p[1];
    if (NK_UNLIKELY(high >= 0x80)) return nk_varint_get_long(p, out);
    if (NK_UNLIKELY(high == 0)) return NULL;
    *out = (low & 0x7f) | high << 7;
    return p + 2;
}

#endif
