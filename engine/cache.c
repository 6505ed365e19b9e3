/* SPDX-License-Identifier: MIT
 *
 * cache.c - which values of a keydir are kept in memory: second chance (L5).
 *
 * DESIGN
 *   CLOCK (Corbató, "A Paging Experiment with the Multics System", 1968) instead of a list by last use: a hit writes one
 *   byte, and only if that is clear, and nothing but 9 bytes stand beside a value. A hand goes over the chains of each
 *   segment's table: a value that was used since the hand came by last loses the mark, another one goes. A value begins
 *   without the mark, so that one that is read once and never again goes first.
 *
 *   Who wants to cache a value lets the hand of its own segment go on by two chains, under the lock that it has anyway. If
 *   that makes too little room, the value is not cached. So where cached values are rare among the keys, not every value
 *   that is read gets in, and what is in stays a little longer. The RECLAIM step does the rest: it goes over all segments
 *   when there is too much, because max_memory is nearly reached, or since two segments have taken the last room.
 *
 *   Eviction makes the entry's block shorter where it is. It needs no memory, and no reference changes.
 *
 * NOT HERE  how a cached value lies in its entry, and what the effects on keys make of it (store.h).
 */
#include "cache.h"

#include "store.h"

#define INSERT_CHAINS 2u /* looked at for room for one value … */
#define HOLD_CHAINS 16u  /* … and in one hold of a lock by a step, or for a write */
/* Of max_memory, so much is free before values are cached, and so much before they have to go. */
#define INSERT_FREE_SHARE 32u
#define STEP_FREE_SHARE 64u

/* ---- how much there may be ---------------------------------------------------------------------*/

/* Bytes of cached values that have to go before `more` can be added to them. */
static uint64_t excess(const struct nk_db *db, uint64_t more) {
    uint64_t sum = NK_GET(db->cached_bytes) + more;
    return sum > db->cache_bytes ? sum - db->cache_bytes : 0;
}

/* Bytes that have to go before `more`, and a share of max_memory, are free. */
static uint64_t lack(const struct nk_db *db, uint64_t more, uint32_t share) {
    uint64_t max = NK_GET(db->max_memory);
    if (max == 0) return 0;
    uint64_t sum = NK_GET(db->used_bytes) + more + (share != 0 ? max / share : 0);
    return sum > max ? sum - max : 0;
}

/* Bytes of cached values that a step has to evict. */
static uint64_t surplus(const struct nk_db *db) {
    if (NK_GET(db->cached_bytes) == 0) return 0;
    return nk_max_u64(excess(db, 0), lack(db, 0, STEP_FREE_SHARE));
}

/* ---- entries -----------------------------------------------------------------------------------*/

static uint32_t head_bytes(const uint8_t *e, uint32_t meta) {
    return nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta);
}

static uint32_t head_meta(uint32_t meta) { return meta & (NK_META_EXPIRY | NK_META_KEY_MASK); }

/* Returns the bytes that have gone; 0: the arena can't do it now. */
static uint32_t drop_value(struct nk_seg *s, uint32_t ref) {
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e), cached = nk_store_cached(s, meta);
    if (!nk_arena_shrink(&s->arena, ref, head_meta(meta), head_bytes(e, meta))) return 0;
    nk_store_count_cached(s, -1, -(int64_t)cached);
    NK_ADD(s->cache.evictions, 1);
    return cached;
}

/* The entry with its value, in a block of its own, in the place of the one without. */
static void add_value(struct nk_seg *s, struct nk_item *it, uint32_t tail) {
    const uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    uint32_t meta = nk_entry_meta(e), head = head_bytes(e, meta), ref = 0;
    struct nk_bucket *b = it->bucket;
    if (nk_arena_alloc(&s->arena, head + tail, &ref) != NITRO_OK) return;
    nk_arena_stamp(&s->arena, ref, head_meta(meta) | tail << NK_META_VALUE_SHIFT);
    uint8_t *to = nk_arena_ptr(&s->arena, ref);
    memcpy(to + 4, e + 4, head - 4);
    nk_store64(to + head, it->version);
    to[head + NK_CACHED_USED] = 0;
    if (it->bytes > 0) memcpy(to + head + NK_CACHED_VALUE, it->val, it->bytes);
    b->ref[it->slot] = ref;
    nk_arena_free(&s->arena, it->ref);
    it->ref = ref;
    it->stamp = ++s->stamp;
    nk_store_count_cached(s, 1, tail);
    s->work.bytes += head + tail;
}

/* ---- the hand ----------------------------------------------------------------------------------*/

static void warm(struct nk_seg *s, const struct nk_bucket *b) {
    for (uint32_t i = 0; i < NK_SLOTS && b->tag[i] != 0; i++) nk_seg_entry_warm(s, b->ref[i]);
}

/* The hand comes by at one entry. Returns the bytes that have gone. */
static uint32_t pass_entry(struct nk_seg *s, uint32_t ref, const uint8_t *keep) {
    uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e), cached = nk_store_cached(s, meta);
    if (cached == 0) return 0;
    uint8_t *tail = e + head_bytes(e, meta);
    if (keep == tail + NK_CACHED_VALUE) return 0;
    if (tail[NK_CACHED_USED] != 0) {
        tail[NK_CACHED_USED] = 0;
        return 0;
    }
    return drop_value(s, ref);
}

static uint64_t pass_chain(struct nk_seg *s, uint32_t bucket, const uint8_t *keep) {
    const struct nk_table *t = &s->tab;
    uint64_t gone = 0;
    for (struct nk_bucket *b = nk_table_bucket(t, bucket); b != NULL; b = nk_table_next(t, b)) {
        warm(s, b);
        for (uint32_t i = 0; i < NK_SLOTS && b->tag[i] != 0; i++) {
            gone += pass_entry(s, b->ref[i], keep);
            s->work.entries++;
        }
    }
    s->work.buckets++;
    return gone;
}

/* The hand goes on by up to `chains`, until `bytes` have gone. Returns how many have. */
static uint64_t turn(struct nk_seg *s, uint64_t bytes, uint32_t chains, const uint8_t *keep) {
    uint64_t gone = 0;
    if (s->tab.dir == NULL) return 0;
    for (uint32_t i = 0; i < chains && gone < bytes && s->cache.values > 0; i++) {
        if (s->cache.hand >= s->tab.buckets) s->cache.hand = 0;
        gone += pass_chain(s, s->cache.hand++, keep);
    }
    return gone;
}

/* ---- look-ups ----------------------------------------------------------------------------------*/

/* While the segment changes its hash the entry may lie in either table, which is soon over. */
static bool may_add(struct nk_seg *s, const struct nk_item *it, uint32_t tail) {
    const uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    if (s->draining || s->pending != 0) return false;
    if (head_bytes(e, nk_entry_meta(e)) + tail > NK_CACHE_ENTRY_MAX) return false;
    if (tail > s->db->cache_bytes || lack(s->db, tail, INSERT_FREE_SHARE) != 0) return false;
    uint64_t over = excess(s->db, tail);
    return over == 0 || turn(s, over, INSERT_CHAINS, NULL) >= over;
}

bool nk_cache_missed(struct nk_seg *s, const struct nk_item *it) {
    if (s->db->cache_bytes == 0) return false;
    NK_ADD(s->cache.misses, 1);
    return nk_loc_bytes(it->loc) <=
           nk_record_max(NK_CACHE_ENTRY_MAX, 0); /* else it is surely too large */
}

void nk_cache_keep(struct nk_seg *s, struct nk_item *it) {
    if (it->big != NULL || it->bytes > NK_CACHE_VALUE_MAX) return;
    uint32_t tail = NK_CACHED_VALUE + (uint32_t)it->bytes;
    NK_DCHECK(it->stamp == s->stamp && it->away);
    if (may_add(s, it, tail)) add_value(s, it, tail);
    nk_seg_work_done(s);
    nk_seg_report(s);
}

void nk_cache_found(struct nk_seg *s, struct nk_item *it) {
    if (it->away) {
        if (nk_cache_missed(s, it)) nk_cache_keep(s, it);
        return;
    }
    uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    uint8_t *used = e + head_bytes(e, nk_entry_meta(e)) + NK_CACHED_USED;
    if (*used == 0) *used = 1;
    NK_ADD(s->cache.hits, 1);
}

bool nk_cache_yield(struct nk_seg *s, uint64_t bytes, const uint8_t *keep) {
    nk_seg_report_all(s);
    for (uint32_t i = 0; i < HOLD_CHAINS && s->cache.values > 0; i++) {
        if (lack(s->db, bytes, 0) == 0) break;
        (void)turn(s, UINT64_MAX, 1, keep);
        nk_seg_report_all(s);
    }
    nk_seg_work_done(s);
    return lack(s->db, bytes, 0) == 0;
}

/* ---- the step ----------------------------------------------------------------------------------*/

uint32_t nk_cache_step(struct nk_db *db, uint32_t budget, bool *more) {
    uint32_t work = 0, idle = 0;
    uint64_t bytes;
    while ((bytes = surplus(db)) != 0 && idle < db->segments) {
        if (work >= budget) {
            *more = true;
            break;
        }
        struct nk_seg *s = &db->seg[db->cache_seg];
        db->cache_seg = (db->cache_seg + 1) & db->seg_mask;
        bool any = NK_GET(s->cache.values) != 0;
        if (!any || !nk_seg_lock(s)) {
            *more = *more || any;
            idle++;
            continue;
        }
        idle = 0;
        (void)turn(s, bytes, HOLD_CHAINS, NULL);
        work += (uint32_t)nk_max_u64(s->work.entries, HOLD_CHAINS); /* chains may be empty */
        nk_seg_work_done(s);
        nk_seg_report_all(s);
        nk_seg_unlock(s);
    }
    return work;
}
