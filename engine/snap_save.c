/* SPDX-License-Identifier: MIT
 *
 * snap_save.c - what writers do for a snapshot: they save the entries that they take from it (L5).
 *
 * DESIGN
 *   The side buffer has two halves. Writers fill one while the snapshot's thread writes the other one to the
 *   file. Room is set aside before an effect is decided on (nk_seg_reserve) and taken when it is made, so an
 *   effect that has been logged never fails for want of it. What is set aside is counted for the segment and
 *   given back when its last reserved effect has been made or dropped: several effects of one lock hold may
 *   concern the same entry, and only the first one saves it.
 *
 *   The halves may be exchanged in between, so what is set aside counts against whichever is being filled:
 *   used + reserved <= capacity holds for the new one as well, which is empty.
 *
 *   Back-pressure: a request that finds NK_SNAP_HALF bytes waiting answers BUSY, before anything of it is decided.
 *   The rest of a batch may go on to NK_SNAP_HALF_MAX, because it can't do with less.
 */
#include "snap.h"

#include "mutant.h"

bool nk_snap_behind(const struct nk_seg *s, struct nk_snap_pos at, const uint8_t *e,
                    uint32_t meta) {
    const uint8_t *key = e + nk_entry_key_off(meta);
    uint32_t bytes = nk_entry_key_bytes(e, meta);
    if (at.pos > 0 && nk_table_place(nk_seg_key_hash(s, at.epoch, key, bytes)) < at.pos)
        return true;
    return at.fnv_pos > 0 &&
           nk_table_place(nk_seg_key_hash(s, NK_EPOCH_FNV, key, bytes)) < at.fnv_pos;
}

/* ---- a buffer ----------------------------------------------------------------------------------*/

uint64_t nk_snap_need(const uint8_t *e, uint32_t meta) {
    uint64_t key = nk_entry_key_bytes(e, meta);
    if (meta & NK_META_BIG) return key + sizeof(struct nk_snap_large);
    return NK_SNAP_REC_HEAD_MAX + key + (meta >> NK_META_VALUE_SHIFT);
}

static void put_large(struct nk_snap_buf *b, const uint8_t *e, uint32_t meta) {
    struct nk_snap_large l = {.version = nk_entry_version(e),
                              .expire_ms = nk_entry_expiry(e, meta),
                              .key_bytes = nk_entry_key_bytes(e, meta)};
    const uint8_t *key = e + nk_entry_key_off(meta);
    memcpy(&l.big, key + l.key_bytes, sizeof l.big);
    nk_big_retain(l.big);
    b->back += l.key_bytes + sizeof l;
    b->large++;
    __atomic_fetch_add(&b->held, l.big->map_bytes, __ATOMIC_RELAXED);
    uint8_t *at = b->p + b->cap - b->back;
    if (l.key_bytes > 0) memcpy(at, key, l.key_bytes);
    memcpy(at + l.key_bytes, &l, sizeof l);
}

void nk_snap_put(struct nk_snap *n, struct nk_snap_buf *b, const uint8_t *e, uint32_t meta) {
    NK_ASSERT(nk_snap_need(e, meta) <= nk_snap_buf_room(b));
    if (NK_UNLIKELY(meta & NK_META_BIG)) {
        put_large(b, e, meta);
        return;
    }
    struct nk_snaprec r = {.key_bytes = nk_entry_key_bytes(e, meta),
                           .value_bytes = meta >> NK_META_VALUE_SHIFT,
                           .version = nk_entry_version(e),
                           .expire_ms = nk_entry_expiry(e, meta)};
    size_t bytes = (size_t)r.key_bytes + r.value_bytes; /* they lie one behind the other */
    uint8_t *out = b->p + b->front;
    uint32_t head = nk_snaprec_head(&r, n->lsn, out);
    if (bytes > 0) memcpy(out + head, e + nk_entry_key_off(meta), bytes);
    b->front += head + bytes;
}

/* ---- writers -----------------------------------------------------------------------------------*/

/* Bytes of the value, if it is large, that would stay in memory. */
static uint64_t held_by(const uint8_t *e, uint32_t meta) {
    struct nk_big *big;
    if (!(meta & NK_META_BIG)) return 0;
    memcpy(&big, e + nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta), sizeof big);
    return big->map_bytes;
}

static bool may_hold(const struct nk_snap *n, uint64_t bytes) {
    uint64_t held = NK_GET(n->half[0].held) + NK_GET(n->half[1].held);
    return bytes == 0 || held == 0 || held + bytes <= NK_SNAP_HALVES_HELD;
}

int nk_snap_reserve(struct nk_seg *s, uint32_t ref, bool further) {
    struct nk_snap *n = s->db->snap;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e);
    uint64_t need = nk_snap_need(e, meta), value = held_by(e, meta);
    nk_spin_lock(&n->side);
    const struct nk_snap_buf *b = &n->half[n->filling];
    uint64_t used = b->front + b->back + n->reserved;
    bool fits = further ? used + need <= b->cap : used + need <= NK_SNAP_HALF && may_hold(n, value);
    if (fits)
        n->reserved += need;
    else
        NK_ADD(s->db->snap_busy, 1);
    nk_spin_unlock(&n->side);
    if (!fits) return NITRO_EBUSY;
    s->snap_reserved += need;
    return NITRO_OK;
}

void nk_snap_emit(struct nk_seg *s, uint32_t ref) {
    struct nk_snap *n = s->db->snap;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    if (NK_MUTATE(60, true, false)) return;
    nk_spin_lock(&n->side);
    nk_snap_put(n, &n->half[n->filling], e, nk_entry_meta(e));
    NK_ADD(s->db->snap_emitted, 1);
    nk_spin_unlock(&n->side);
}

void nk_snap_settle(struct nk_seg *s) {
    struct nk_snap *n = s->db->snap;
    nk_spin_lock(&n->side);
    n->reserved -= s->snap_reserved;
    nk_spin_unlock(&n->side);
    s->snap_reserved = 0;
}

/* ---- store-wide events -------------------------------------------------------------------------*/

void nk_snap_switch(struct nk_seg *s) {
    if (s->snap_cut == 0) return;
    s->snap_fnv_pos = NK_MUTATE(61, 0, s->snap_pos);
    s->snap_pos = 0;
}

void nk_snap_flush(struct nk_db *db, struct nk_garbage *g) {
    bool owed = false;
    for (uint32_t i = 0; i < db->segments; i++) {
        struct nk_seg *s = &db->seg[i];
        owed |= s->snap_cut != 0;
        g->part[i].snap_cut = NK_MUTATE(62, 0, s->snap_cut);
        g->part[i].snap_at = nk_snap_at(s);
        s->snap_cut = 0;
    }
    if (!owed) return; /* no walk, or it goes on in what an earlier FLUSH took out */
    db->snap->garbage_at = 0;
    __atomic_store_n(&db->snap_garbage, g, __ATOMIC_RELEASE);
}

uint32_t nk_snap_free_limit(const struct nk_db *db, const struct nk_garbage *g) {
    if (__atomic_load_n(&db->snap_garbage, __ATOMIC_ACQUIRE) != g) return UINT32_MAX;
    return __atomic_load_n(&db->snap_seg, __ATOMIC_ACQUIRE);
}
