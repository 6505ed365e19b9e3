/* SPDX-License-Identifier: MIT
 *
 * seal.h - a block that begins with a magic of eight letters and ends with its own CRC-32C (L3).
 *
 * WHAT   What the header and footer of a log file, the head of MANIFEST and the slots of CONTROL have in
 *        common: `bytes` of them, the last four being the CRC of all before, unused ones zero.
 */
#ifndef NK_SEAL_H
#define NK_SEAL_H

#include "base.h"
#include "crc32c.h"

#define NK_SEAL_MAGIC 8u /* bytes */
#define NK_SEAL_CRC 4u   /* bytes, at the end */

/* nk_seal_begin: the magic, then zeros; the caller stores its fields. */
NK_INLINE void nk_seal_begin(uint8_t *out, size_t bytes, const char magic[NK_SEAL_MAGIC]) {
    memset(out, 0, bytes);
    memcpy(out, magic, NK_SEAL_MAGIC);
}

/* nk_seal_end: the CRC, when all fields are in. */
NK_INLINE void nk_seal_end(uint8_t *out, size_t bytes) {
    nk_store32(out + bytes - NK_SEAL_CRC, nk_crc32c(0, out, bytes - NK_SEAL_CRC));
}

/* nk_seal_intact: whether magic and CRC are right; the fields are the caller's to judge. */
NK_INLINE bool nk_seal_intact(const uint8_t *p, size_t bytes, const char magic[NK_SEAL_MAGIC]) {
    return memcmp(p, magic, NK_SEAL_MAGIC) == 0 &&
           nk_load32(p + bytes - NK_SEAL_CRC) == nk_crc32c(0, p, bytes - NK_SEAL_CRC);
}

/* nk_seal_zeros: whether p[from .. to) is zero. */
NK_INLINE bool nk_seal_zeros(const uint8_t *p, size_t from, size_t to) {
    uint8_t any = 0;
    for (size_t i = from; i < to; i++) any |= p[i];
    return any == 0;
}

#endif
