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

/* A record of a snapshot as its bytes say, whether the rules allow them or not. */
struct ref_snaprec {
    uint8_t flags;
    uint64_t key_bytes, value_bytes, age;
    size_t key_width, value_width, age_width; /* of the varints; 0 = shortest */
    int64_t expire_ms;                        /* stands in the record if flag 1 is set */
    const uint8_t *key, *value;               /* NULL: they are left out */
};

/* ref_snaprec: its bytes at p. Returns how many. */
static inline size_t ref_snaprec(const struct ref_snaprec *r, uint8_t *p) {
    size_t n = 0;
    p[n++] = r->flags;
    n += ref_varint(p + n, r->key_bytes, r->key_width);
    n += ref_varint(p + n, r->value_bytes, r->value_width);
    n += ref_varint(p + n, r->age, r->age_width);
    if ((r->flags & 1) != 0) {
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
    return n;
}

/* ---- merged files and hints ----------------------------------------------------------------------*/
struct ref_data {
    const char *store; /* 16 bytes */
    uint64_t number, salt, first_lsn, last_lsn, prev_last_lsn, end, records;
    int64_t time_ms;
    uint64_t cut_lsn;
};

/* ref_data_header: the 512 bytes, with the right CRC. */
static inline void ref_data_header(const struct ref_data *d, uint8_t *p) {
    memset(p, 0, 512);
    memcpy(p, "NITRODAT", 8);
    ref_put(p + 8, 1, 4);
    memcpy(p + 16, d->store, 16);
    ref_put(p + 32, d->number, 8);
    ref_put(p + 40, d->salt, 8);
    ref_put(p + 48, d->first_lsn, 8);
    ref_put(p + 56, d->last_lsn, 8);
    ref_put(p + 64, d->prev_last_lsn, 8);
    ref_put(p + 72, d->end, 8);
    ref_put(p + 80, d->records, 8);
    ref_put(p + 88, (uint64_t)d->time_ms, 8);
    ref_put(p + 96, d->cut_lsn, 8);
    ref_put(p + 508, ref_crc(0, p, 508), 4);
}

struct ref_hint {
    uint32_t kind;     /* of the file */
    const char *store; /* 16 bytes */
    uint64_t number, salt, end, first_lsn, last_lsn, entries, put_bytes, gone_bytes, gone_lsn;
    uint64_t bytes;
    int64_t time_ms;
};

/* ref_hint_header: the 128 bytes, with the right CRC. */
static inline void ref_hint_header(const struct ref_hint *h, uint8_t *p) {
    memset(p, 0, 128);
    memcpy(p, "NITROHNT", 8);
    ref_put(p + 8, 1, 4);
    ref_put(p + 12, h->kind, 4);
    memcpy(p + 16, h->store, 16);
    ref_put(p + 32, h->number, 8);
    ref_put(p + 40, h->salt, 8);
    ref_put(p + 48, h->end, 8);
    ref_put(p + 56, h->first_lsn, 8);
    ref_put(p + 64, h->last_lsn, 8);
    ref_put(p + 72, h->entries, 8);
    ref_put(p + 80, h->put_bytes, 8);
    ref_put(p + 88, h->gone_bytes, 8);
    ref_put(p + 96, h->gone_lsn, 8);
    ref_put(p + 104, h->bytes, 8);
    ref_put(p + 112, (uint64_t)h->time_ms, 8);
    ref_put(p + 124, ref_crc(0, p, 124), 4);
}

/* ref_hint_block: the 8 bytes of a block at p, whose n bytes of entries are there already. */
static inline void ref_hint_block(uint8_t *p, uint64_t n, uint64_t offset, uint64_t salt) {
    uint32_t crc = ref_crc_u64(ref_crc(0, p + 8, n), offset);
    ref_put(p, n, 4);
    ref_put(p + 4, ref_crc_u64(ref_crc_u64(crc, salt), n), 4);
}

/* An entry of a hint as its bytes say, whether the rules allow them or not. */
struct ref_entry {
    uint64_t gap, bytes, delta, key_bytes;
    size_t gap_width, bytes_width, delta_width, key_width; /* of the varints; 0 = shortest */
    uint8_t kind;                                          /* with all flags */
    int64_t expire_ms;                                     /* stands there if flag 0x20 is set */
    const uint8_t *key;                                    /* NULL: it is left out */
};

/* ref_entry: its bytes at p. Returns how many. */
static inline size_t ref_entry(const struct ref_entry *e, uint8_t *p) {
    size_t n = ref_varint(p, e->gap, e->gap_width);
    n += ref_varint(p + n, e->bytes, e->bytes_width);
    n += ref_varint(p + n, e->delta, e->delta_width);
    p[n++] = e->kind;
    n += ref_varint(p + n, e->key_bytes, e->key_width);
    if ((e->kind & 0x20) != 0) {
        ref_put(p + n, (uint64_t)e->expire_ms, 8);
        n += 8;
    }
    if (e->key != NULL) {
        memcpy(p + n, e->key, e->key_bytes);
        n += e->key_bytes;
    }
    return n;
}

/* ref_rounded: a size as locations keep it: exact below 32768, else rounded up to eleven bits that count. */
static inline uint64_t ref_rounded(uint64_t bytes) {
    uint64_t unit = 1;
    if (bytes < 32768) return bytes;
    while (bytes / unit >= 2048) unit *= 2;
    return (bytes + unit - 1) / unit * unit;
}

/* ---- content hash of snapshots -------------------------------------------------------------------*/
struct ref_hash {
    uint64_t a, b;
};

/* ref_fold: the product's halves, by 32-bit parts. */
static inline uint64_t ref_fold(uint64_t x, uint64_t y) {
    uint64_t xl = x & UINT32_MAX, xh = x >> 32, yl = y & UINT32_MAX, yh = y >> 32;
    uint64_t low = xl * yl, mid = xh * yl + (low >> 32), mid2 = xl * yh + (mid & UINT32_MAX);
    uint64_t high = xh * yh + (mid >> 32) + (mid2 >> 32);
    return high ^ x * y;
}

static inline void ref_hash_step(struct ref_hash *h, uint64_t x, uint64_t y) {
    uint64_t a = ref_fold(x ^ UINT64_C(0x6a09e667f3bcc908), y ^ h->a);
    h->b = ref_fold(y ^ UINT64_C(0xbb67ae8584caa73b), x ^ h->b);
    h->a = a;
}

static inline void ref_hash_bytes(struct ref_hash *h, const uint8_t *p, size_t n) {
    for (size_t at = 0; at < n; at += 16) {
        uint8_t part[16] = {0};
        for (size_t i = 0; i < 16 && at + i < n; i++) part[i] = p[at + i];
        ref_hash_step(h, ref_get(part, 8), ref_get(part + 8, 8));
    }
}

static inline uint64_t ref_mix(uint64_t v) {
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

/* ref_snap_hash: adds a record to the sums. */
static inline void ref_snap_hash(struct ref_hash *sums, const uint8_t *key, uint64_t key_bytes,
                                 const uint8_t *value, uint64_t value_bytes, int64_t expire_ms) {
    struct ref_hash h = {UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1)};
    ref_hash_step(&h, (uint64_t)expire_ms, value_bytes * 65536 + key_bytes);
    ref_hash_bytes(&h, key, key_bytes);
    ref_hash_bytes(&h, value, value_bytes);
    sums->a += ref_mix(h.a);
    sums->b += ref_mix(h.b);
}

#endif
