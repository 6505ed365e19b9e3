/* SPDX-License-Identifier: MIT
 *
 * batch.c - writing several keys in one step that nobody sees half done (L5).
 *
 * DESIGN
 *   All segments that the keys fall into are locked, in ascending order; then memory for every effect is
 *   reserved; then room in the log, and the records appended, one after the other, as one batch; then
 *   every effect is made, which cannot fail. Whatever does fail before the append gives all
 *   reservations and locks back.
 *   The list of segments is sorted without comparing keys: short ones by insertion, long ones through a
 *   bitmap, which is linear in the number of keys. Its memory is the caller's, taken before any lock.
 *   Of repeated keys the last one wins because effects are made in the order of the arguments. An entry may
 *   have changed since its reservation (by the same batch), so it is looked up again.
 *   A batch too large for the log's ring is laid out in a block of its own, which the writer then takes from
 *   there. Its checksums are computed before the log's lock is taken, as far as that goes.
 */
#include "fetch.h"
#include "store.h"

#define RING_SHARE (NK_RING_BYTES / 4)
#define SPLICES_MAX (NK_LOG_SPLICES / 4)

/* ---- segments ----------------------------------------------------------------------------------*/

static uint32_t sort_short(struct nk_batch *b) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t seg = b->m[i].key.seg, at = count;
        while (at > 0 && b->segs[at - 1] > seg) at--;
        if (at > 0 && b->segs[at - 1] == seg) continue;
        memmove(b->segs + at + 1, b->segs + at, (count - at) * sizeof *b->segs);
        b->segs[at] = seg;
        count++;
    }
    return count;
}

static uint32_t sort_long(struct nk_batch *b) {
    uint32_t count = 0;
    memset(b->map, 0, NITRO_SEGMENTS_MAX / 8);
    for (uint32_t i = 0; i < b->count; i++)
        b->map[b->m[i].key.seg / 64] |= 1ull << (b->m[i].key.seg % 64);
    for (uint32_t w = 0; w < NITRO_SEGMENTS_MAX / 64; w++) {
        for (uint64_t bits = b->map[w]; bits != 0; bits &= bits - 1)
            b->segs[count++] = w * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return count;
}

static void unlock_all(struct nk_db *db, const struct nk_batch *b, uint32_t count) {
    while (count > 0) nk_seg_unlock(nk_db_seg(db, b->segs[--count]));
}

/* True when every segment of the list is locked; else none is. */
static bool lock_all(struct nk_db *db, const struct nk_batch *b, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (nk_seg_lock(nk_db_seg(db, b->segs[i]))) continue;
        unlock_all(db, b, i);
        return false;
    }
    return true;
}

/* ---- effects -----------------------------------------------------------------------------------*/

NK_INLINE struct nk_effect effect_of(const struct nk_batch *b, uint32_t i) {
    const struct nk_multi *m = &b->m[i];
    if (m->remove) return (struct nk_effect){.kind = NK_EFFECT_DELETE};
    return (struct nk_effect){.kind = NK_EFFECT_PUT,
                              .val = m->val,
                              .bytes = m->val_len,
                              .big = m->big,
                              .packed = m->packed,
                              .moved = m->moved,
                              .expire_ms = b->expiries != NULL ? b->expiries[i] : b->expire_ms};
}

/* The record of an effect; `more` is set by who knows. */
NK_INLINE struct nk_record record_of(const struct nk_batch *b, uint32_t i) {
    const struct nk_multi *m = &b->m[i];
    struct nk_effect e = effect_of(b, i);
    struct nk_record r = {.kind = m->remove ? NK_REC_DELETE : NK_REC_PUT,
                          .packed = e.packed,
                          .expire_ms = e.expire_ms,
                          .key = m->key.p,
                          .key_bytes = m->key.n,
                          .value = m->big != NULL ? m->big->data : m->val};
    r.value_bytes = m->remove ? 0 : m->big != NULL ? (uint32_t)m->big->bytes : m->val_len;
    return r;
}

static void abort_all(struct nk_db *db, struct nk_batch *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        struct nk_multi *m = &b->m[i];
        if (m->reserved) nk_seg_abort(nk_db_seg(db, m->key.seg), &m->resv);
        m->reserved = false;
    }
}

static bool has_puts(const struct nk_batch *b) {
    for (uint32_t i = 0; i < b->count; i++)
        if (!b->m[i].remove) return true;
    return false;
}

/* Memory for every effect, or none is kept. A key to delete that is not found has no effect, unless the batch
 * may have put it before. */
static int reserve_all(struct nk_db *db, struct nk_batch *b, int64_t now_ms) {
    struct nk_item it;
    bool puts = has_puts(b), saving = false; /* for a snapshot: see struct nk_effect */
    for (uint32_t i = 0; i < b->count; i++) {
        struct nk_multi *m = &b->m[i];
        struct nk_seg *s = nk_db_seg(db, m->key.seg);
        nk_seg_find(s, &m->key, now_ms, false, &it);
        b->shown = nk_max_u64(b->shown, it.shown);
        m->reserved = puts || it.found;
        if (!m->reserved) continue;
        struct nk_effect e = effect_of(b, i);
        e.further = saving;
        int rc = nk_seg_reserve(s, &m->key, &it, &e, &m->resv);
        saving = saving || s->snap_reserved > 0;
        if (rc == NITRO_OK) continue;
        m->reserved = false;
        abort_all(db, b, i);
        return rc;
    }
    return NITRO_OK;
}

/* Where the record of the next effect lies, that of the last one being at *at. Without a log nowhere. */
static void go_on(const struct nk_db *db, const struct nk_batch *b, uint32_t i,
                  struct nk_record *last, struct nk_logged *at) {
    if (at->lsn == 0) return;
    struct nk_record r = record_of(b, i);
    if (last->kind != 0) *at = nk_store_next(db, last, *at, &r);
    *last = r;
}

/* Makes every effect, the first of them having the record at `at` (zeros = no log), and counts the keys that were
 * there. A key that is deleted twice is gone the second time. */
static void apply_all(struct nk_db *db, struct nk_batch *b, int64_t now_ms, struct nk_logged at) {
    struct nk_item it;
    struct nk_record last = {0}; /* the one at `at`; of kind 0 before the first */
    for (uint32_t i = 0; i < b->count; i++) {
        struct nk_multi *m = &b->m[i];
        if (!m->reserved) continue;
        m->reserved = false;
        go_on(db, b, i, &last, &at);
        struct nk_seg *s = nk_db_seg(db, m->key.seg);
        struct nk_effect e = effect_of(b, i);
        nk_seg_find(s, &m->key, now_ms, false, &it);
        if (!m->remove || it.found)
            nk_seg_apply(s, &m->key, &it, &e, &m->resv, now_ms, at);
        else
            nk_seg_abort(s, &m->resv);
        b->found += it.found;
    }
}

/* ---- the log -----------------------------------------------------------------------------------*/

/* What a batch takes of the log. */
struct need {
    uint64_t bytes, copied;
    uint32_t records, splices;
    bool deletes; /* nothing but deletes */
};

static struct need need_of(const struct nk_batch *b) {
    struct need n = {.deletes = true};
    for (uint32_t i = 0; i < b->count; i++) {
        const struct nk_multi *m = &b->m[i];
        if (!m->reserved) continue;
        uint64_t value = m->remove ? 0 : m->big != NULL ? m->big->bytes : m->val_len;
        uint64_t bytes = nk_record_max(m->key.n, value);
        n.bytes += bytes;
        n.copied += m->big != NULL ? bytes - value : bytes;
        n.splices += m->big != NULL;
        n.records++;
        if (!m->remove) n.deletes = false;
    }
    return n;
}

/* Appends the records; between begin and end. In a block large values are copied, too. */
static void append_all(struct nk_db *db, const struct nk_batch *b, uint32_t records, bool in_block,
                       struct nk_logged *first, uint64_t *last) {
    for (uint32_t i = 0; i < b->count; i++) {
        const struct nk_multi *m = &b->m[i];
        if (!m->reserved) continue;
        struct nk_record r = record_of(b, i);
        r.more = --records > 0;
        bool spliced = m->big != NULL && !in_block;
        if (spliced) nk_big_retain(m->big);
        bool known = m->big != NULL && m->big == b->crc_of;
        uint32_t crc = known ? b->crc : nk_record_body_crc(&r);
        nk_log_append(db->log, &r, crc, spliced ? m->big : NULL);
        nk_store_logged(db, &r);
        if (first->lsn == 0) *first = (struct nk_logged){.lsn = r.lsn, .loc = r.loc};
        *last = r.lsn;
    }
}

static int log_all(struct nk_db *db, struct nk_batch *b, struct nk_logged *first) {
    struct need n = need_of(b);
    if (n.records == 0) return NITRO_OK;
    b->log_bytes = n.bytes;
    if (n.bytes > NK_FRAME_BYTES_MAX) return NITRO_EVALUESIZE; /* a frame's length has 32 bits */
    struct nk_big *block = NULL;
    int rc;
    if (n.copied > RING_SHARE || n.splices > SPLICES_MAX) {
        block = nk_big_new(db, NULL, n.bytes);
        if (block == NULL) return NITRO_ENOMEM;
        rc = nk_log_begin_block(db->log, n.bytes, block->data, block, n.deletes);
    } else {
        rc = nk_log_begin(db->log, n.bytes, n.copied, n.splices, n.deletes);
    }
    if (rc != NITRO_OK) {
        if (block != NULL) nk_big_release(db, block);
        return rc == NK_ROOM ? NITRO_ELOGFULL : rc;
    }
    append_all(db, b, n.records, block != NULL, first, &b->last_lsn);
    nk_log_end(db->log);
    return NITRO_OK;
}

/* make: reserves, logs and applies; under all locks. */
static int make(struct nk_db *db, struct nk_batch *b, int64_t now_ms) {
    struct nk_logged first = {0};
    int rc = reserve_all(db, b, now_ms);
    if (rc == NITRO_OK && db->log != NULL) {
        rc = log_all(db, b, &first);
        if (rc != NITRO_OK) abort_all(db, b, b->count);
    }
    if (rc == NITRO_OK) apply_all(db, b, now_ms, first);
    return rc;
}

/* any_exists: looks for the keys of the batch. */
static bool any_exists(struct nk_db *db, struct nk_batch *b, int64_t now_ms) {
    struct nk_item it;
    for (uint32_t i = 0; i < b->count; i++) {
        struct nk_multi *m = &b->m[i];
        nk_seg_find(nk_db_seg(db, m->key.seg), &m->key, now_ms, false, &it);
        b->shown = nk_max_u64(b->shown, it.shown);
        if (it.found) return true;
    }
    return false;
}

int nk_db_batch(struct nk_db *db, struct nk_batch *b, int64_t now_ms) {
    b->found = 0;
    b->last_lsn = b->shown = b->log_bytes = 0;
    uint32_t segs = b->count <= NK_BATCH_SHORT ? sort_short(b) : sort_long(b);
    if (!lock_all(db, b, segs)) return NITRO_EBUSY;
    int rc = b->only_new && any_exists(db, b, now_ms) ? NITRO_ENOTSTORED : make(db, b, now_ms);
    unlock_all(db, b, segs);
    return rc;
}

/* ---- moving -------------------------------------------------------------------------------------*/

static bool same_key(const struct nk_key *a, const struct nk_key *b) {
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

/* A move under way. */
struct moving {
    struct nk_batch b;
    struct nk_multi m[2];
    int64_t expiries[2];
    uint32_t segs[3], seg_count;
    struct nk_big *summed; /* reference held: the value whose checksum is b.crc */
    int64_t summed_expiry;
};

/* look: finds both keys and describes the batch. NITRO_OK, or why nothing is to be done, or not now: NITRO_AWAY. */
static int look(struct nk_db *db, struct nk_move *mv, struct moving *w, int64_t now_ms) {
    struct nk_item from, to;
    struct nk_seg *s = nk_db_seg(db, mv->from->seg);
    nk_seg_find(nk_db_seg(db, mv->to->seg), mv->to, now_ms, false, &to);
    nk_seg_find(s, mv->from, now_ms, false, &from);
    mv->shown = nk_max_u64(from.shown, to.shown);
    if (!from.found) return NITRO_ENOTFOUND;
    if (mv->only_new && to.found) return NITRO_ENOTSTORED;
    int rc = nk_fetch_get(mv->fetch, s, mv->from, &from);
    if (rc != NITRO_OK) return rc;
    struct nk_form f = nk_store_form(&from);
    w->m[0] = (struct nk_multi){.key = *mv->to,
                                .val = f.val,
                                .val_len = f.bytes,
                                .big = f.big,
                                .packed = f.packed,
                                .moved = !mv->keep};
    w->m[1] = (struct nk_multi){.key = *mv->from, .remove = true};
    w->expiries[0] = from.expire_ms;
    return NITRO_OK;
}

/* sum: computes the checksum of a large value's new record, without any lock. */
static void sum(const struct nk_move *mv, struct moving *w) {
    struct nk_record r = {.kind = NK_REC_PUT,
                          .more = !mv->keep,
                          .packed = w->m[0].packed,
                          .expire_ms = w->summed_expiry,
                          .key = mv->to->p,
                          .key_bytes = mv->to->n,
                          .value = w->summed->data,
                          .value_bytes = (uint32_t)w->summed->bytes};
    w->b.crc_of = w->summed;
    w->b.crc = nk_record_body_crc(&r);
}

/* attempt: one try under the locks. True if the checksum of a value in w->summed is wanted first. */
static bool attempt(struct nk_db *db, struct nk_move *mv, struct moving *w, int64_t now_ms,
                    int *rc) {
    if (!lock_all(db, &w->b, w->seg_count)) {
        *rc = NITRO_EBUSY;
        return false;
    }
    bool wanted = false;
    *rc = look(db, mv, w, now_ms);
    if (*rc == NITRO_OK && !same_key(mv->from, mv->to)) {
        struct nk_big *big = db->log != NULL ? w->m[0].big : NULL;
        wanted = big != NULL && (big != w->summed || w->expiries[0] != w->summed_expiry);
        if (wanted) {
            if (w->summed != NULL) nk_big_release(db, w->summed);
            nk_big_retain(big);
            w->summed = big;
            w->summed_expiry = w->expiries[0];
        } else {
            *rc = make(db, &w->b, now_ms);
        }
    }
    unlock_all(db, &w->b, w->seg_count);
    return wanted;
}

int nk_db_move(struct nk_db *db, struct nk_move *mv, int64_t now_ms) {
    struct moving w = {.m = {{.key = *mv->to}, {.key = *mv->from}}};
    int rc;
    mv->last_lsn = mv->log_bytes = mv->shown = 0;
    w.b = (struct nk_batch){.m = w.m, .count = 2, .expiries = w.expiries, .segs = w.segs};
    w.seg_count = sort_short(&w.b);
    w.b.count = mv->keep ? 1 : 2;
    if (attempt(db, mv, &w, now_ms, &rc)) {
        sum(mv, &w);
        if (attempt(db, mv, &w, now_ms, &rc)) rc = NITRO_EBUSY; /* it has changed meanwhile */
    }
    if (w.summed != NULL) nk_big_release(db, w.summed);
    mv->last_lsn = w.b.last_lsn;
    mv->log_bytes = w.b.log_bytes;
    return rc;
}
