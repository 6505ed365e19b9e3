/* SPDX-License-Identifier: MIT
 *
 * entry.h - how a key and its value lie in an arena block (L2).
 *
 *   off  size  field
 *     0     4  meta     bit 0      FREE: this is a free block (arena.c knows the rest of it)
 *                       bit 1      PREV_FREE: the block before this one is free (boundary tag)
 *                       bit 2      EXPIRY: 8 bytes of expiry follow the version
 *                       bit 3      BIG: instead of the value a pointer to its struct nk_big
 *                       bit 4      LONG_KEY: 4 bytes of key length come before the key
 *                       bit 5..7   padding of the block beyond its contents, in 4-byte words
 *                       bit 8..15  key bytes (0 with LONG_KEY)
 *                       bit 16..31 value bytes (0 with BIG); in a keydir those of a cached value (store.h)
 *     4     8  version; in a keydir (store.h) the location of the record
 *    12     8  expiry, ms since the epoch     (EXPIRY)
 *     …     4  key bytes                      (LONG_KEY)
 *     …        key, then value (or 8 bytes of pointer)
 *
 * A memory format, never written to disk. The PREV_FREE bit makes boundary-tag coalescing (Knuth, TAOCP
 * 2.5) cost nothing: a free block's size stands in its own last word. Fields are unaligned beyond 4 bytes.
 */
#ifndef NK_ENTRY_H
#define NK_ENTRY_H

#include "base.h"

#define NK_META_FREE 1u
#define NK_META_PREV_FREE 2u
#define NK_META_EXPIRY 4u
#define NK_META_BIG 8u
#define NK_META_LONG_KEY 16u
#define NK_META_PAD_SHIFT 5
#define NK_META_PAD_MASK (7u << NK_META_PAD_SHIFT)
#define NK_META_KEY_SHIFT 8
#define NK_META_KEY_MASK ((0xffu << NK_META_KEY_SHIFT) | NK_META_LONG_KEY)
#define NK_META_VALUE_SHIFT 16
#define NK_ENTRY_HEADER 12u

NK_INLINE uint32_t nk_entry_meta(const uint8_t *e) { return nk_load32(e); }
NK_INLINE uint64_t nk_entry_version(const uint8_t *e) { return nk_load64(e + 4); }
NK_INLINE uint64_t nk_entry_loc(const uint8_t *e) { return nk_load64(e + 4); }
NK_INLINE uint32_t nk_entry_key_off(uint32_t meta) {
    return NK_ENTRY_HEADER + ((meta & NK_META_EXPIRY) << 1) + ((meta & NK_META_LONG_KEY) >> 2);
}
NK_INLINE uint32_t nk_entry_key_bytes(const uint8_t *e, uint32_t meta) {
    if (NK_UNLIKELY(meta & NK_META_LONG_KEY)) return nk_load32(e + nk_entry_key_off(meta) - 4);
    return (meta >> NK_META_KEY_SHIFT) & 0xff;
}
NK_INLINE int64_t nk_entry_expiry(const uint8_t *e, uint32_t meta) {
    return meta & NK_META_EXPIRY ? (int64_t)nk_load64(e + NK_ENTRY_HEADER) : 0;
}
/* Bytes of the value as it lies in the entry. */
NK_INLINE uint32_t nk_entry_tail_bytes(uint32_t meta) {
    return meta & NK_META_BIG ? 8 : meta >> NK_META_VALUE_SHIFT;
}
/* Bytes of a block, padding included, before rounding to the arena's unit. */
NK_INLINE uint32_t nk_entry_bytes(const uint8_t *e, uint32_t meta) {
    uint32_t n = nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta) + nk_entry_tail_bytes(meta);
    return ((n + 3) & ~3u) + ((meta & NK_META_PAD_MASK) >> NK_META_PAD_SHIFT) * 4;
}
/* The meta bits that a key of n bytes must have. */
NK_INLINE uint32_t nk_entry_key_bits(uint32_t n) {
    return n <= 255 ? n << NK_META_KEY_SHIFT : NK_META_LONG_KEY;
}

#endif
