/* SPDX-License-Identifier: MIT
 *
 * num.h - decimal numbers as the text protocol writes them (L0).
 *
 * WHAT   Strict parsing by Redis's rules: an optional '-', no '+', no leading zeros, no blanks,
 *        "-0" is no number, and it must fit. Formatting without printf, because replies are hot.
 */
#ifndef NK_NUM_H
#define NK_NUM_H

#include "base.h"

#define NK_NUM_MAX 20u /* bytes of the longest number, sign included */

/* nk_num_u64: true and *out if p[0 .. n) is a whole number from 0 to UINT64_MAX. */
NK_INLINE bool nk_num_u64(const uint8_t *p, size_t n, uint64_t *out) {
    if (n == 0 || n > NK_NUM_MAX || (p[0] == '0' && n > 1)) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t d = (uint64_t)p[i] - '0';
        if (d > 9) return false;
        if (i >= 18 && (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v)))
            return false;
        if (i < 18) v = v * 10 + d;
    }
    *out = v;
    return true;
}

/* nk_num_i64: true and *out if p[0 .. n) is a whole number that fits int64_t. */
NK_INLINE bool nk_num_i64(const uint8_t *p, size_t n, int64_t *out) {
    uint64_t v;
    bool negative = n > 0 && p[0] == '-';
    if (!nk_num_u64(p + negative, n - negative, &v)) return false;
    if (negative ? v == 0 || v > (uint64_t)INT64_MAX + 1 : v > (uint64_t)INT64_MAX) return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* nk_num_put_u64: writes v to dst (room for NK_NUM_MAX bytes) and returns the end. */
NK_INLINE uint8_t *nk_num_put_u64(uint8_t *dst, uint64_t v) {
    if (v < 10) {
        *dst = (uint8_t)('0' + v);
        return dst + 1;
    }
    if (v < 100) {
        dst[0] = (uint8_t)('0' + v / 10);
        dst[1] = (uint8_t)('0' + v % 10);
        return dst + 2;
    }
    uint8_t tmp[NK_NUM_MAX];
    size_t at = sizeof tmp;
    do {
        tmp[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    memcpy(dst, tmp + at, sizeof tmp - at);
    return dst + (sizeof tmp - at);
}

/* nk_num_put_i64: the same with a sign. */
NK_INLINE uint8_t *nk_num_put_i64(uint8_t *dst, int64_t v) {
    if (v >= 0) return nk_num_put_u64(dst, (uint64_t)v);
    *dst = '-';
    return nk_num_put_u64(dst + 1, 0 - (uint64_t)v);
}

#endif
