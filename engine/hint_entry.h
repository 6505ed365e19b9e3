/* SPDX-License-Identifier: MIT
 *
 * hint_entry.h - the entries of a hint: what may follow what, and how one is read (L3; the format stands in hint.h).
 *
 * Inline, because a start goes through all entries of all hints in every part of its load: what is spent on one here, is spent on
 * all keys of the store.
 */
#ifndef NK_HINT_ENTRY_H
#define NK_HINT_ENTRY_H

#include "hint.h"
#include "loc.h"
#include "varint.h"

#define NK_HINT_KIND_BITS 0x1fu
#define NK_HINT_KIND_EXPIRY 0x20u
#define NK_HINT_ENTRY_HEAD_MAX (4u * NK_VARINT_MAX + 1u + 8u) /* bytes before the key */
#define NK_HINT_REC_MIN (NK_REC_CRC_BYTES + 4u) /* delta, kind and both lengths are one byte each */

/* ---- rules -------------------------------------------------------------------------------------*/

/* nk_hint_obeys: whether kind, key, expiry and size may stand together. (See also obeys in record.c.) */
NK_INLINE bool nk_hint_obeys(const struct nk_hint *h) {
    uint64_t least = NK_HINT_REC_MIN + h->key_bytes, value_max = 0;
    switch ((uint32_t)h->kind) {
    case NK_REC_PUT:
        value_max = NITRO_VALUE_MAX;
        least += h->expire_ms != 0 ? 8 : 0;
        break;
    case NK_REC_DELETE:
        if (h->expire_ms != 0) return false;
        break;
    case NK_REC_FLUSH:
        if (h->expire_ms != 0 || h->key_bytes != 0) return false;
        break;
    default:
        return false;
    }
    return h->key_bytes <= NITRO_KEY_MAX && h->expire_ms >= 0 && h->bytes >= least &&
           h->bytes <= nk_record_max(h->key_bytes, value_max);
}

/* nk_hint_follows: whether the record may come behind what is counted, which ends at `end`. */
NK_INLINE bool nk_hint_follows(const struct nk_hint_head *so_far, uint64_t end,
                               const struct nk_hint *h) {
    return h->offset >= end && h->offset <= NK_LOC_OFFSET_MAX && h->lsn > so_far->last_lsn &&
           nk_hint_obeys(h);
}

/* nk_hint_base_lsn: what the next entry's delta is added to. */
NK_INLINE uint64_t nk_hint_base_lsn(const struct nk_hint_head *so_far) {
    return so_far->entries == 0 ? so_far->first_lsn : so_far->last_lsn;
}

NK_INLINE void nk_hint_count(struct nk_hint_head *so_far, const struct nk_hint *h) {
    so_far->entries++;
    so_far->last_lsn = h->lsn;
    if (h->kind == NK_REC_PUT) {
        so_far->put_bytes += nk_loc_unsize(nk_loc_size(h->bytes));
    } else {
        so_far->gone_bytes += h->bytes;
        so_far->gone_lsn = h->lsn;
    }
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* nk_hint_parse: the entry at p, where NK_HINT_ENTRY_HEAD_MAX bytes can be read, up to its key. Returns the key's place, or NULL if
 * no entry begins like this. */
NK_INLINE const uint8_t *nk_hint_parse(const struct nk_hintread *r, const uint8_t *p,
                                       struct nk_hint *h) {
    uint64_t gap, delta, key_bytes, base = nk_hint_base_lsn(&r->seen);
    p = nk_varint_get(p, &gap);
    if (NK_UNLIKELY(p == NULL || gap > r->head.end - r->end)) return NULL;
    h->offset = r->end + gap;
    p = nk_varint_get(p, &h->bytes);
    if (NK_UNLIKELY(p == NULL || h->bytes > r->head.end - h->offset)) return NULL;
    p = nk_varint_get(p, &delta);
    if (NK_UNLIKELY(p == NULL || delta > r->head.last_lsn - base)) return NULL;
    h->lsn = base + delta;
    uint32_t kind = *p++;
    p = nk_varint_get(p, &key_bytes);
    if (NK_UNLIKELY(p == NULL || key_bytes > NITRO_KEY_MAX)) return NULL;
    h->kind = (enum nk_rec_kind)(kind & NK_HINT_KIND_BITS);
    h->key_bytes = (uint32_t)key_bytes;
    h->expire_ms = 0;
    if (kind >= NK_HINT_KIND_EXPIRY) {
        h->expire_ms = (int64_t)nk_load64(p);
        p += 8;
        if (NK_UNLIKELY(kind > (NK_HINT_KIND_EXPIRY | NK_HINT_KIND_BITS) || h->expire_ms == 0))
            return NULL;
    }
    return p;
}

/* nk_hintread_take: nk_hintread_next, inline. The keys of all entries that it has returned stay where they are until it reads
 * on, which `hold` prevents. */
NITRO_MUST_CHECK NK_INLINE int nk_hintread_take(struct nk_hintread *r, struct nk_hint *out) {
    if (NK_UNLIKELY(r->used == r->bytes)) {
        int rc = nk_hintread_more(r);
        if (rc != NITRO_OK) return rc;
    }
    struct nk_hint h;
    const uint8_t *behind = r->buf + r->bytes;
    const uint8_t *key = nk_hint_parse(r, r->buf + r->used, &h);
    if (NK_UNLIKELY(key == NULL || key > behind || h.key_bytes > (size_t)(behind - key)))
        return NITRO_ECORRUPT;
    if (NK_UNLIKELY(!nk_hint_follows(&r->seen, r->end, &h))) return NITRO_ECORRUPT;
    h.key = key;
    r->used = (size_t)(key - r->buf) + h.key_bytes;
    r->end = h.offset + h.bytes;
    nk_hint_count(&r->seen, &h);
    *out = h;
    return NITRO_OK;
}

#endif
