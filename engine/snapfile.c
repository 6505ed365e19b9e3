/* SPDX-License-Identifier: MIT
 *
 * snapfile.c - encodes and decodes header, footer, block headers and records of a snapshot, and hashes its
 * contents (L3; the tables stand in snapfile.h).
 *
 * DESIGN
 *   Header and footer are sealed sectors (seal.h), as those of a log are. A block's header ends with a CRC
 *   that goes on over where it belongs, so that a block which was copied, moved or left over from another
 *   file does not pass. It does not cover the payload but holds the CRC of it: so who loads every n-th
 *   group of blocks checks all headers without reading what is between them.
 *
 *   There is one encoding, as everywhere: what is valid decodes and encodes to the same bytes.
 *
 *   A start parses and hashes every record once, so both are made for it. Of a head, what is shorter than the
 *   longest is parsed in a padded copy, as in record.c. The hash takes 16 bytes a step, with two
 *   multiplications that don't wait for each other.
 *
 * NOT HERE  files (snapwrite.c, snapread.c), the file's name (path.c).
 */
#include "snapfile.h"

#include "crc32c.h"
#include "hash.h"
#include "seal.h"
#include "varint.h"

static const char head_magic[] = "NITROSNP";
static const char foot_magic[] = "NITROSNE";
static const char block_magic[] = "NSBK";

/* ---- header ------------------------------------------------------------------------------------*/

enum {
    HEAD_VERSION = 8,
    HEAD_FLAGS = 12,
    HEAD_STORE = 16,
    HEAD_NUMBER = 32,
    HEAD_SALT = 40,
    HEAD_LSN = 48,
    HEAD_ZEROS = 56,
    HEAD_CRC = 508
};
_Static_assert(HEAD_CRC + NK_SEAL_CRC == NK_SECTOR, "snapfile.h");

#define FLAG_WAL_OFF 1u

void nk_snap_head_encode(const struct nk_snap_head *h, uint8_t out[NK_SECTOR]) {
    NK_ASSERT(h->number != 0);
    nk_seal_begin(out, NK_SECTOR, head_magic);
    nk_store32(out + HEAD_VERSION, NK_SNAP_VERSION);
    nk_store32(out + HEAD_FLAGS, h->wal_off ? FLAG_WAL_OFF : 0);
    memcpy(out + HEAD_STORE, h->store, sizeof h->store);
    nk_store64(out + HEAD_NUMBER, h->number);
    nk_store64(out + HEAD_SALT, h->salt);
    nk_store64(out + HEAD_LSN, h->lsn);
    nk_seal_end(out, NK_SECTOR);
}

int nk_snap_head_decode(const uint8_t p[NK_SECTOR], struct nk_snap_head *out) {
    if (!nk_seal_intact(p, NK_SECTOR, head_magic)) return NITRO_ECORRUPT;
    struct nk_snap_head h = {.version = nk_load32(p + HEAD_VERSION),
                             .number = nk_load64(p + HEAD_NUMBER),
                             .salt = nk_load64(p + HEAD_SALT),
                             .lsn = nk_load64(p + HEAD_LSN)};
    uint32_t flags = nk_load32(p + HEAD_FLAGS);
    h.wal_off = flags == FLAG_WAL_OFF;
    memcpy(h.store, p + HEAD_STORE, sizeof h.store);
    if (h.version > NK_SNAP_VERSION) {
        out->version = h.version;
        return NITRO_EFORMAT;
    }
    if (h.version != NK_SNAP_VERSION || flags > FLAG_WAL_OFF || h.number == 0)
        return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, HEAD_ZEROS, HEAD_CRC)) return NITRO_ECORRUPT;
    *out = h;
    return NITRO_OK;
}

/* ---- footer ------------------------------------------------------------------------------------*/

enum {
    FOOT_NUMBER = 8,
    FOOT_SALT = 16,
    FOOT_END = 24,
    FOOT_BLOCKS = 32,
    FOOT_KEYS = 40,
    FOOT_RAW_BYTES = 48,
    FOOT_HASH_A = 56,
    FOOT_HASH_B = 64,
    FOOT_TIME = 72,
    FOOT_FILE_CRC = 80,
    FOOT_ZEROS = 84,
    FOOT_CRC = 508
};
_Static_assert(FOOT_CRC + NK_SEAL_CRC == NK_SECTOR, "snapfile.h");

static bool foot_obeys(const struct nk_snap_foot *f) {
    return f->number != 0 && f->end >= NK_SECTOR && f->time_ms >= 0;
}

void nk_snap_foot_encode(const struct nk_snap_foot *f, uint8_t out[NK_SECTOR]) {
    NK_ASSERT(foot_obeys(f));
    nk_seal_begin(out, NK_SECTOR, foot_magic);
    nk_store64(out + FOOT_NUMBER, f->number);
    nk_store64(out + FOOT_SALT, f->salt);
    nk_store64(out + FOOT_END, f->end);
    nk_store64(out + FOOT_BLOCKS, f->blocks);
    nk_store64(out + FOOT_KEYS, f->keys);
    nk_store64(out + FOOT_RAW_BYTES, f->raw_bytes);
    nk_store64(out + FOOT_HASH_A, f->hash_a);
    nk_store64(out + FOOT_HASH_B, f->hash_b);
    nk_store64(out + FOOT_TIME, (uint64_t)f->time_ms);
    nk_store32(out + FOOT_FILE_CRC, f->file_crc);
    nk_seal_end(out, NK_SECTOR);
}

bool nk_snap_foot_decode(const uint8_t p[NK_SECTOR], struct nk_snap_foot *out) {
    if (!nk_seal_intact(p, NK_SECTOR, foot_magic)) return false;
    struct nk_snap_foot f = {.number = nk_load64(p + FOOT_NUMBER),
                             .salt = nk_load64(p + FOOT_SALT),
                             .end = nk_load64(p + FOOT_END),
                             .blocks = nk_load64(p + FOOT_BLOCKS),
                             .keys = nk_load64(p + FOOT_KEYS),
                             .raw_bytes = nk_load64(p + FOOT_RAW_BYTES),
                             .hash_a = nk_load64(p + FOOT_HASH_A),
                             .hash_b = nk_load64(p + FOOT_HASH_B),
                             .time_ms = (int64_t)nk_load64(p + FOOT_TIME),
                             .file_crc = nk_load32(p + FOOT_FILE_CRC)};
    if (!foot_obeys(&f) || !nk_seal_zeros(p, FOOT_ZEROS, FOOT_CRC)) return false;
    *out = f;
    return true;
}

/* ---- block headers -----------------------------------------------------------------------------*/

enum {
    BLOCK_STORED = 4,
    BLOCK_RAW = 8,
    BLOCK_COUNT = 12,
    BLOCK_KIND = 16,
    BLOCK_COMPRESSION = 17,
    BLOCK_ZEROS = 18,
    BLOCK_INDEX = 20,
    BLOCK_CRC = 24,
    BLOCK_HEAD_CRC = 28
};
_Static_assert(BLOCK_HEAD_CRC + 4 == NK_SNAP_BLOCK_HEAD, "snapfile.h");

static bool block_obeys(const struct nk_snap_block *b) {
    if (b->raw == 0 || b->raw > NK_SNAP_RAW_MAX || b->stored == 0) return false;
    if (b->compression == NITRO_COMPRESSION_NONE ? b->stored != b->raw : b->stored >= b->raw)
        return false;
    switch (b->kind) {
    case NK_SNAP_RECORDS:
        return b->count >= 1;
    case NK_SNAP_LARGE:
        return b->count == 1;
    case NK_SNAP_MORE:
        return b->count == 0;
    }
    return false;
}

static uint32_t block_crc(const uint8_t *p, uint64_t offset, uint64_t salt) {
    uint64_t place[2] = {offset, salt};
    return nk_crc32c(nk_crc32c(0, p, BLOCK_HEAD_CRC), place, sizeof place);
}

void nk_snap_block_encode(const struct nk_snap_block *b, uint64_t offset, uint64_t salt,
                          uint8_t out[NK_SNAP_BLOCK_HEAD]) {
    NK_ASSERT(block_obeys(b));
    memcpy(out, block_magic, 4);
    nk_store32(out + BLOCK_STORED, b->stored);
    nk_store32(out + BLOCK_RAW, b->raw);
    nk_store32(out + BLOCK_COUNT, b->count);
    out[BLOCK_KIND] = (uint8_t)b->kind;
    out[BLOCK_COMPRESSION] = (uint8_t)b->compression;
    nk_store16(out + BLOCK_ZEROS, 0);
    nk_store32(out + BLOCK_INDEX, b->index);
    nk_store32(out + BLOCK_CRC, b->crc);
    nk_store32(out + BLOCK_HEAD_CRC, block_crc(out, offset, salt));
}

bool nk_snap_block_decode(const uint8_t p[NK_SNAP_BLOCK_HEAD], uint64_t offset, uint64_t salt,
                          struct nk_snap_block *out) {
    if (memcmp(p, block_magic, 4) != 0) return false;
    if (nk_load32(p + BLOCK_HEAD_CRC) != block_crc(p, offset, salt)) return false;
    struct nk_snap_block b = {.stored = nk_load32(p + BLOCK_STORED),
                              .raw = nk_load32(p + BLOCK_RAW),
                              .count = nk_load32(p + BLOCK_COUNT),
                              .index = nk_load32(p + BLOCK_INDEX),
                              .crc = nk_load32(p + BLOCK_CRC),
                              .kind = (enum nk_snap_kind)p[BLOCK_KIND],
                              .compression = (enum nitro_compression)p[BLOCK_COMPRESSION]};
    if (p[BLOCK_COMPRESSION] > NITRO_COMPRESSION_ZSTD || nk_load16(p + BLOCK_ZEROS) != 0)
        return false;
    if (!block_obeys(&b)) return false;
    *out = b;
    return true;
}

/* ---- records -----------------------------------------------------------------------------------*/

#define REC_EXPIRY 1u
#define REC_LARGE 2u
#define REC_FLAGS 3u

_Static_assert(NK_SNAP_REC_HEAD_MAX == 1 + 3 * NK_VARINT_MAX + 8, "snapfile.h");

uint32_t nk_snaprec_head(const struct nk_snaprec *r, uint64_t lsn, uint8_t *out) {
    NK_ASSERT(r->version >= 1 && r->version <= lsn && lsn - r->version < NK_VARINT_LIMIT);
    NK_ASSERT(r->key_bytes <= NITRO_KEY_MAX && r->value_bytes <= NITRO_VALUE_MAX &&
              r->expire_ms >= 0);
    uint8_t *p = out;
    *p++ = (uint8_t)((r->expire_ms != 0 ? REC_EXPIRY : 0u) | (r->large ? REC_LARGE : 0u));
    p = nk_varint_put(p, r->key_bytes);
    p = nk_varint_put(p, r->value_bytes);
    p = nk_varint_put(p, lsn - r->version);
    if (r->expire_ms != 0) {
        nk_store64(p, (uint64_t)r->expire_ms);
        p += 8;
    }
    return (uint32_t)(p - out);
}

/* parse_head: at p, where NK_SNAP_REC_HEAD_MAX bytes can be read. Returns its size and fills all of *r but
 * the pointers, or 0 if it is not valid. */
NK_INLINE uint32_t parse_head(const uint8_t *p, uint64_t lsn, struct nk_snaprec *r) {
    uint64_t key_bytes, value_bytes, age;
    uint32_t flags = *p;
    if (NK_UNLIKELY(flags > REC_FLAGS)) return 0;
    const uint8_t *at = nk_varint_get(p + 1, &key_bytes);
    if (NK_UNLIKELY(at == NULL || key_bytes > NITRO_KEY_MAX)) return 0;
    at = nk_varint_get(at, &value_bytes);
    if (NK_UNLIKELY(at == NULL || value_bytes > NITRO_VALUE_MAX)) return 0;
    at = nk_varint_get(at, &age);
    if (NK_UNLIKELY(at == NULL || age >= lsn)) return 0;
    r->expire_ms = 0;
    if ((flags & REC_EXPIRY) != 0) {
        r->expire_ms = (int64_t)nk_load64(at);
        if (NK_UNLIKELY(r->expire_ms <= 0)) return 0;
        at += 8;
    }
    r->key_bytes = (uint32_t)key_bytes;
    r->value_bytes = (uint32_t)value_bytes;
    r->version = lsn - age;
    r->large = (flags & REC_LARGE) != 0;
    if (NK_UNLIKELY(r->large && value_bytes == 0)) return 0;
    return (uint32_t)(at - p);
}

/* parse: nk_snaprec_parse, with the head read at `from`: at p or a padded copy of it. */
NK_INLINE uint64_t parse(const uint8_t *from, const uint8_t *p, uint64_t n, uint64_t lsn,
                         struct nk_snaprec *out) {
    struct nk_snaprec r;
    uint64_t bytes = parse_head(from, lsn, &r);
    if (NK_UNLIKELY(bytes == 0)) return 0;
    r.key = p + bytes;
    r.value = r.key + r.key_bytes;
    bytes += r.key_bytes + (r.large ? 0 : (uint64_t)r.value_bytes);
    if (NK_UNLIKELY(bytes > n)) return 0;
    *out = r;
    return bytes;
}

static NK_NOINLINE uint64_t parse_short(const uint8_t *p, uint64_t n, uint64_t lsn,
                                        struct nk_snaprec *out) {
    uint8_t padded[NK_SNAP_REC_HEAD_MAX] = {0};
    if (n > 0) memcpy(padded, p, (size_t)n);
    return parse(padded, p, n, lsn, out);
}

uint64_t nk_snaprec_parse(const uint8_t *p, uint64_t n, uint64_t lsn, struct nk_snaprec *out) {
    if (NK_UNLIKELY(n < NK_SNAP_REC_HEAD_MAX)) return parse_short(p, n, lsn, out);
    return parse(p, p, n, lsn, out);
}

/* ---- content hash ------------------------------------------------------------------------------*/

struct hash {
    uint64_t a, b;
};

NK_INLINE uint64_t fold(uint64_t x, uint64_t y) {
    unsigned __int128 m = (unsigned __int128)x * y;
    return (uint64_t)(m >> 64) ^ (uint64_t)m;
}

NK_INLINE void hash_step(struct hash *h, uint64_t x, uint64_t y) {
    h->a = fold(x ^ NK_SNAP_K1, y ^ h->a);
    h->b = fold(y ^ NK_SNAP_K2, x ^ h->b);
}

/* load_part: up to 8 bytes, filled up with zeros. Both loads of a pair see the same bytes where they overlap,
 * so nothing beyond the end is touched. */
NK_INLINE uint64_t load_part(const uint8_t *p, size_t n) {
    if (n >= 8) return nk_load64(p);
    if (n >= 4) return nk_load32(p) | (uint64_t)nk_load32(p + n - 4) << ((n - 4) * 8);
    if (n == 0) return 0;
    return p[0] | (uint64_t)p[n >> 1] << ((n >> 1) * 8) | (uint64_t)p[n - 1] << ((n - 1) * 8);
}

NK_INLINE void hash_bytes(struct hash *h, const uint8_t *p, size_t n) {
    for (; n >= 16; p += 16, n -= 16) hash_step(h, nk_load64(p), nk_load64(p + 8));
    if (n > 8)
        hash_step(h, nk_load64(p), load_part(p + 8, n - 8));
    else if (n > 0)
        hash_step(h, load_part(p, n), 0);
}

void nk_snap_hash(const struct nk_snaprec *r, uint64_t *a, uint64_t *b) {
    struct hash h = {.a = NK_SNAP_K3, .b = NK_SNAP_K4};
    hash_step(&h, (uint64_t)r->expire_ms, (uint64_t)r->value_bytes << 16 | r->key_bytes);
    hash_bytes(&h, r->key, r->key_bytes);
    hash_bytes(&h, r->value, r->value_bytes);
    *a += nk_hash_mix(h.a);
    *b += nk_hash_mix(h.b);
}
