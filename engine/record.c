/* SPDX-License-Identifier: MIT
 *
 * record.c - encodes, parses and checks records (L3; the table stands in record.h).
 *
 * DESIGN
 *   Both ways are hot: a head is written with the log's lock held, and replay parses every head as often
 *   as there are threads. So the head is read without a look at the end: what is shorter than the longest
 *   head is copied into a padded one first. Zero bytes end a varint, so padding can't be taken for more of
 *   it, and a head that reaches into the padding does not fit the bytes that are there.
 *
 *   One encoding only: a varint that ends with a zero byte, a value, an expiry or a flag with a kind that
 *   has none, a reserved kind make a record invalid, whatever its CRC says. So what parses encodes to the
 *   same bytes again.
 *
 * NOT HERE  frames (frame.c), what a packed value holds (packed.c), what an invalid record means: a tail or damage (logscan.c, recover.c).
 */
#include "record.h"
#include "mutant.h"

#include "crc32c.h"
#include "packed.h"
#include "varint.h"

#define KIND_BITS 0x1fu
#define KIND_EXPIRY 0x20u
#define KIND_MORE 0x40u
#define KIND_PACKED 0x80u

#define HEAD_LESS_DELTA (1u + 9u + 9u + 8u) /* kind, lengths, expiry */

_Static_assert(NK_REC_HEAD_MAX == NK_REC_CRC_BYTES + NK_VARINT_MAX + HEAD_LESS_DELTA, "record.h");
_Static_assert(NK_REC_KINDS <= KIND_BITS + 1u, "kinds need more than five bits");

/* ---- the rules ---------------------------------------------------------------------------------*/

/* obeys: whether kind, lengths and expiry may stand together. Every kind has a row here (CHECKLIST for a
 * new kind: this, record.h, docs/FORMAT.md, replay.c). */
NK_INLINE bool obeys(enum nk_rec_kind kind, uint64_t key_bytes, uint64_t value_bytes, bool expiry,
                     bool packed) {
    if (NK_UNLIKELY(packed) && (kind != NK_REC_PUT || value_bytes < NK_PACKED_MIN)) return false;
    switch (kind) {
    case NK_REC_PUT:
        return key_bytes <= NITRO_KEY_MAX && value_bytes <= NITRO_VALUE_MAX;
    case NK_REC_DELETE:
        return key_bytes <= NITRO_KEY_MAX && value_bytes == 0 && !expiry;
    case NK_REC_EXPIRE:
        return key_bytes <= NITRO_KEY_MAX && value_bytes == 0;
    case NK_REC_FLUSH:
        return key_bytes == 0 && value_bytes == 0 && !expiry;
    case NK_REC_KINDS:
        break;
    }
    return false;
}

/* place_crc: goes on with where a record belongs. */
NK_INLINE uint32_t place_crc(uint32_t crc, uint64_t lsn, uint64_t offset, uint64_t salt) {
    uint8_t place[24];
    nk_store64(place, lsn);
    nk_store64(place + 8, offset);
    nk_store64(place + 16, salt);
    return nk_crc32c(crc, place, sizeof place);
}

/* ---- encode ------------------------------------------------------------------------------------*/

/* put_fixed: kind, lengths and expiry, which come behind the delta; returns the end. */
NK_INLINE uint8_t *put_fixed(uint8_t *p, const struct nk_record *r) {
    *p++ = (uint8_t)((uint32_t)r->kind | (r->expire_ms != 0 ? KIND_EXPIRY : 0u) |
                     (r->more ? KIND_MORE : 0u) | (r->packed ? KIND_PACKED : 0u));
    p = nk_varint_put(p, r->key_bytes);
    p = nk_varint_put(p, r->value_bytes);
    if (r->expire_ms != 0) {
        nk_store64(p, (uint64_t)r->expire_ms);
        p += 8;
    }
    return p;
}

uint32_t nk_record_body_crc(const struct nk_record *r) {
    uint8_t fixed[HEAD_LESS_DELTA];
    uint32_t crc = nk_crc32c(0, fixed, (size_t)(put_fixed(fixed, r) - fixed));
    crc = nk_crc32c(crc, r->key, r->key_bytes);
    return nk_crc32c(crc, r->value, r->value_bytes);
}

uint32_t nk_record_head(const struct nk_record *r, uint32_t body_crc, uint64_t first_lsn,
                        uint64_t offset, uint64_t salt, uint8_t *out) {
    NK_ASSERT(r->lsn - first_lsn < NK_VARINT_LIMIT && r->expire_ms >= 0 &&
              obeys(r->kind, r->key_bytes, r->value_bytes, r->expire_ms != 0, r->packed));
    nk_store32(out, place_crc(body_crc, r->lsn, offset, salt));
    uint8_t *p = nk_varint_put(out + NK_REC_CRC_BYTES, r->lsn - first_lsn);
    return (uint32_t)(put_fixed(p, r) - out);
}

uint64_t nk_record_size(const struct nk_record *r, uint64_t delta) {
    uint8_t head[NK_REC_HEAD_MAX];
    uint8_t *end = put_fixed(nk_varint_put(head + NK_REC_CRC_BYTES, delta), r);
    return (uint64_t)(end - head) + r->key_bytes + r->value_bytes;
}

/* ---- decode ------------------------------------------------------------------------------------*/

/* What a head says, apart from the LSN's base. */
struct head {
    uint64_t delta, key_bytes, value_bytes;
    uint32_t kind; /* with flags */
    int64_t expire_ms;
};

/* read_head: at p, where NK_REC_HEAD_MAX bytes can be read. Returns its size, or 0 if it is not valid. */
NK_INLINE uint32_t read_head(const uint8_t *p, struct head *h) {
    const uint8_t *at = nk_varint_get(p + NK_REC_CRC_BYTES, &h->delta);
    if (NK_UNLIKELY(at == NULL)) return 0;
    h->kind = *at++;
    at = nk_varint_get(at, &h->key_bytes);
    if (NK_UNLIKELY(at == NULL)) return 0;
    at = nk_varint_get(at, &h->value_bytes);
    if (NK_UNLIKELY(at == NULL)) return 0;
    h->expire_ms = 0;
    if ((h->kind & KIND_EXPIRY) != 0) {
        h->expire_ms = (int64_t)nk_load64(at);
        if (NK_UNLIKELY(h->expire_ms <= 0)) return 0;
        at += 8;
    }
    enum nk_rec_kind kind = (enum nk_rec_kind)(h->kind & KIND_BITS);
    bool packed = (h->kind & KIND_PACKED) != 0;
    if (NK_UNLIKELY(!obeys(kind, h->key_bytes, h->value_bytes, h->expire_ms != 0, packed)))
        return 0;
    return (uint32_t)(at - p);
}

/* parse: nk_record_parse, with the head read at `from`, where NK_REC_HEAD_MAX bytes can be read: at p or a
 * padded copy of it. */
NK_INLINE uint64_t parse(const uint8_t *from, const uint8_t *p, uint64_t n, uint64_t first_lsn,
                         struct nk_record *r) {
    struct head h;
    uint32_t head = read_head(from, &h);
    if (NK_UNLIKELY(head == 0 || h.delta > UINT64_MAX - first_lsn)) return 0;
    uint64_t bytes = head + h.key_bytes + h.value_bytes;
    if (NK_UNLIKELY(bytes > n)) return 0;
    r->lsn = first_lsn + h.delta;
    r->kind = (enum nk_rec_kind)(h.kind & KIND_BITS);
    r->more = (h.kind & KIND_MORE) != 0;
    r->packed = (h.kind & KIND_PACKED) != 0;
    r->expire_ms = h.expire_ms;
    r->key = p + head;
    r->value = p + head + h.key_bytes;
    r->key_bytes = (uint32_t)h.key_bytes;
    r->value_bytes = (uint32_t)h.value_bytes;
    return bytes;
}

/* pad: the n bytes at p, as many of them as a head may have, with zeros behind. */
NK_INLINE void pad(const uint8_t *p, uint64_t n, uint8_t out[NK_REC_HEAD_MAX]) {
    memset(out, 0, NK_REC_HEAD_MAX);
    if (n > 0) memcpy(out, p, (size_t)nk_min_u64(n, NK_REC_HEAD_MAX));
}

static NK_NOINLINE uint64_t parse_short(const uint8_t *p, uint64_t n, uint64_t first_lsn,
                                        struct nk_record *r) {
    uint8_t padded[NK_REC_HEAD_MAX];
    pad(p, n, padded);
    return parse(padded, p, n, first_lsn, r);
}

uint64_t nk_record_parse(const uint8_t *p, uint64_t n, uint64_t first_lsn, struct nk_record *r) {
    if (NK_UNLIKELY(n < NK_REC_HEAD_MAX)) return parse_short(p, n, first_lsn, r);
    return parse(p, p, n, first_lsn, r);
}

uint64_t nk_record_bytes(const uint8_t *p, uint64_t n) {
    uint8_t padded[NK_REC_HEAD_MAX];
    struct head h;
    pad(p, n, padded);
    uint32_t head = read_head(padded, &h);
    return head == 0 || head > n ? 0 : head + h.key_bytes + h.value_bytes;
}

bool nk_record_check(const uint8_t *p, uint64_t bytes, const struct nk_record *r, uint64_t offset,
                     uint64_t salt) {
    size_t from = NK_REC_CRC_BYTES;
    while (p[from++] >= 0x80) {} /* over delta; it ends, because the record has been parsed */
    uint32_t crc = nk_crc32c(0, p + from, (size_t)bytes - from);
    return NK_MUTATE(18, true, nk_load32(p) == place_crc(crc, r->lsn, offset, salt));
}
