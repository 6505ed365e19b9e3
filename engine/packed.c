/* SPDX-License-Identifier: MIT
 *
 * packed.c - the head of a compressed value (L3; the table stands in packed.h).
 *
 * NOT HERE  when values are compressed, and doing it (pack.c); the record around it (record.c).
 */
#include "packed.h"

#define CODEC_LZ4 1u
#define CODEC_ZSTD 2u

uint32_t nk_packed_head(enum nitro_compression codec, uint32_t raw_bytes,
                        uint8_t out[NK_PACKED_HEAD_MAX]) {
    NK_ASSERT(codec != NITRO_COMPRESSION_NONE && raw_bytes > 0);
    out[0] = codec == NITRO_COMPRESSION_LZ4 ? CODEC_LZ4 : CODEC_ZSTD;
    return (uint32_t)(nk_varint_put(out + 1, raw_bytes) - out);
}

bool nk_packed_parse(const uint8_t *p, uint64_t n, struct nk_packed *out) {
    uint8_t head[NK_PACKED_HEAD_MAX] = {
        0}; /* zeros end a varint, so it can be read without a look at the end */
    uint64_t raw;
    if (n < NK_PACKED_MIN || (p[0] != CODEC_LZ4 && p[0] != CODEC_ZSTD)) return false;
    memcpy(head, p, nk_min_u64(n, sizeof head));
    const uint8_t *end = nk_varint_get(head + 1, &raw);
    if (end == NULL || raw <= n || raw > NITRO_VALUE_MAX) return false;
    uint64_t used = (uint64_t)(end - head);
    if (used >= n) return false;
    *out = (struct nk_packed){.codec = p[0] == CODEC_LZ4 ? NITRO_COMPRESSION_LZ4
                                                         : NITRO_COMPRESSION_ZSTD,
                              .raw_bytes = (uint32_t)raw,
                              .p = p + used,
                              .bytes = (uint32_t)(n - used)};
    return true;
}
