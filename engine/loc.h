/* SPDX-License-Identifier: MIT
 *
 * loc.h - where a record lies in the data files, in eight bytes (L0).
 *
 *   bits 0..31   offset in the file, bytes
 *   bits 32..47  slot of the file (files.h), from 1
 *   bits 48..63  size of the record: up to 32,767 bytes as it is, beyond that rounded up: bit 15 set, five bits of
 *                exponent e, ten of mantissa m: (1024 + m) << e. So one read of that many bytes holds the record,
 *                and at most a thousandth more.
 *
 * A memory format, never written to disk. 0 is no location.
 */
#ifndef NK_LOC_H
#define NK_LOC_H

#include "base.h"

#define NK_LOC_EXACT 0x8000u                   /* sizes below are kept as they are */
#define NK_LOC_OFFSET_MAX UINT64_C(0xffffffff) /* a record begins at or before this */
#define NK_LOC_SLOTS 65536u

/* nk_loc_size: the code of a size, which is not 0. */
NK_INLINE uint32_t nk_loc_size(uint64_t bytes) {
    if (NK_LIKELY(bytes < NK_LOC_EXACT)) return (uint32_t)bytes;
    uint32_t e = 63u - (uint32_t)__builtin_clzll(bytes) - 10u;
    uint64_t m = (bytes + (UINT64_C(1) << e) - 1) >> e; /* 1024 .. 2048 */
    if (m == 2048) {
        m = 1024;
        e++;
    }
    return NK_LOC_EXACT | e << 10 | (uint32_t)(m - 1024);
}
/* nk_loc_unsize: the bytes that a code stands for. */
NK_INLINE uint64_t nk_loc_unsize(uint32_t code) {
    if (NK_LIKELY(code < NK_LOC_EXACT)) return code;
    return (UINT64_C(1024) + (code & 1023u)) << (code >> 10 & 31u);
}

NK_INLINE uint64_t nk_loc(uint32_t slot, uint64_t offset, uint64_t bytes) {
    return offset | (uint64_t)slot << 32 | (uint64_t)nk_loc_size(bytes) << 48;
}
NK_INLINE uint64_t nk_loc_offset(uint64_t loc) { return loc & NK_LOC_OFFSET_MAX; }
NK_INLINE uint32_t nk_loc_slot(uint64_t loc) { return (uint32_t)(loc >> 32) & 0xffffu; }
NK_INLINE uint64_t nk_loc_bytes(uint64_t loc) { return nk_loc_unsize((uint32_t)(loc >> 48)); }

#endif
