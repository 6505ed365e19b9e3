/* SPDX-License-Identifier: MIT
 *
 * format_ref.h - docs/FORMAT.md a second time, in the plainest way: what the format tests compare the
 * engine with. Nothing here calls the engine.
 */
#ifndef FORMAT_REF_H
#define FORMAT_REF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ref_crc: goes on with a CRC-32C (0 at the start) over p[0 .. n), bit by bit. */
static inline uint32_t ref_crc(uint32_t crc, const uint8_t *p, size_t n) {
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

/* ref_put: v as a little-endian number of `bytes` bytes. */
static inline void ref_put(uint8_t *p, uint64_t v, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t ref_get(const uint8_t *p, unsigned bytes) {
    uint64_t v = 0;
    for (unsigned i = bytes; i-- > 0;) v = v << 8 | p[i];
    return v;
}

/* ref_crc_u64: goes on with a CRC over v as eight bytes. */
static inline uint32_t ref_crc_u64(uint32_t crc, uint64_t v) {
    uint8_t p[8];
    ref_put(p, v, 8);
    return ref_crc(crc, p, 8);
}

/* ref_varint: v at p in at least `width` bytes (0: as few as it needs; more are not canonical). Returns
 * how many. */
static inline size_t ref_varint(uint8_t *p, uint64_t v, size_t width) {
    size_t n = 0;
    do {
        p[n] = (uint8_t)(v & 0x7f);
        v >>= 7;
        n++;
        if (v != 0 || n < width) p[n - 1] |= 0x80;
    } while (v != 0 || n < width);
    return n;
}

/* A record as its bytes say, whether the rules allow them or not. */
struct ref_record {
    uint64_t delta, key_bytes, value_bytes;
    size_t delta_width, key_width, value_width; /* of the varints; 0 = shortest */
    uint8_t kind;                               /* with all flags */
    int64_t expire_ms;                          /* stands in the record if flag 0x20 is set */
    const uint8_t *key, *value;                 /* NULL: they are left out */
};

/* ref_record: its bytes at p, with the right CRC. Returns how many. */
static inline size_t ref_record(const struct ref_record *r, uint64_t first_lsn, uint64_t offset,
                                uint64_t salt, uint8_t *p) {
    size_t n = 4 + ref_varint(p + 4, r->delta, r->delta_width);
    size_t body = n;
    p[n++] = r->kind;
    n += ref_varint(p + n, r->key_bytes, r->key_width);
    n += ref_varint(p + n, r->value_bytes, r->value_width);
    if ((r->kind & 0x20) != 0) {
        ref_put(p + n, (uint64_t)r->expire_ms, 8);
        n += 8;
    }
    if (r->key != NULL) {
        memcpy(p + n, r->key, r->key_bytes);
        n += r->key_bytes;
    }
    if (r->value != NULL) {
        memcpy(p + n, r->value, r->value_bytes);
        n += r->value_bytes;
    }
    uint32_t crc = ref_crc(0, p + body, n - body);
    crc = ref_crc_u64(crc, first_lsn + r->delta);
    crc = ref_crc_u64(crc, offset);
    ref_put(p, ref_crc_u64(crc, salt), 4);
    return n;
}

#endif
