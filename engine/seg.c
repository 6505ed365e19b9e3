/* SPDX-License-Identifier: MIT
 *
 * seg.c - look-ups and effects on one segment (L5).
 *
 * DESIGN
 *   find    walks the chain, compares keys, and says what it found and where.
 *   reserve takes the memory an effect needs: an arena block unless the new entry fits the old one's
 *           block, an overflow bucket if the chain is full. It may fail and then has changed nothing.
 *   apply   writes the entry, links it, frees what it replaces. It cannot fail: what can (splitting a
 *           bucket, draining an old table) is optional and simply happens later.
 *   Reservations of one lock hold are applied in the order in which they were made. Only the first may
 *   reuse a block in place, since an earlier effect on the same key might take the block away.
 *
 *   A write's version is a counter of its segment times the number of segments plus the segment's
 *   index: unique in the store, ascending for each key, no shared cache line.
 *
 * INVARIANTS
 *   (1) Each key is in at most one slot of `tab` and `old` together.
 *   (2) Hashes of `tab` are of function `epoch`, those of `old` always FNV-1a.
 *
 * NOT HERE  the switch of the hash (switch.c), background work (step.c), scans (scan.c).
 */
#include "cache.h"
#include "mutant.h"
#include "snap.h"
#include "store.h"

#define SEG_SPINS 128u
#define SLOT_OLD 0x80000000u /* in nk_item.slot: the slot is in `old` */
#define USED_GRAIN 4096u     /* bytes a segment may grow before it reports */
#define IN_PLACE_SLACK 12u   /* bytes of padding an overwrite may leave; 16 would be a free block */

/* ---- keys --------------------------------------------------------------------------------------*/

static uint64_t key_hash(const struct nk_seg *s, uint32_t epoch, const uint8_t *p, uint32_t n) {
    if (NK_LIKELY(epoch == NK_EPOCH_FNV))
        return nk_hash_finish(nk_hash_fnv1a(s->db->fnv_seed, p, n));
    return nk_hash_sip13(&s->sip, p, n);
}

/* The prefetches read directories and bucket lines that a writer may be changing. Whatever they see is only
 * used as an address to prefetch, so a stale or torn value does no harm as long as no read leaves its
 * array: directories never get smaller while the gate is held shared, and a count is read before the
 * array that it counts, which is published first. Arrays and pages stay mapped for as long. So the race is
 * harmless, and hidden from the thread sanitizer. */
__attribute__((no_sanitize("thread"))) static inline const struct nk_bucket *
stale_bucket(const struct nk_seg *s, uint64_t hash) {
    uint32_t n = __atomic_load_n(&s->tab.buckets, __ATOMIC_ACQUIRE), low = NK_GET(s->tab.low_mask);
    struct nk_bucket **dir = __atomic_load_n(&s->tab.dir, __ATOMIC_ACQUIRE);
    uint32_t i = (uint32_t)hash & (low * 2 + 1);
    if (i >= n) i &= low;
    if (dir == NULL || i >= n) return NULL;
    const struct nk_bucket *page = __atomic_load_n(&dir[i / NK_CHUNK_BUCKETS], __ATOMIC_ACQUIRE);
    return page != NULL ? &page[i % NK_CHUNK_BUCKETS] : NULL;
}

void nk_key_prefetch_bucket(const struct nk_db *db, const struct nk_key *k) {
    const struct nk_bucket *b = stale_bucket(&db->seg[k->seg], k->hash);
    if (b != NULL) __builtin_prefetch(b, 1);
}

/* Asks for the lines that an entry begins with: 92 bytes, say, lie in two lines or in three. */
__attribute__((no_sanitize("thread"))) static inline void warm_ref(const struct nk_seg *s,
                                                                   uint32_t ref) {
#ifdef NK_ARENA_MALLOC
    (void)s; /* a block's memory may be freed under our feet in this build */
    (void)ref;
#else
    uint32_t num = NK_REF_SPAN(ref);
    if (num >= __atomic_load_n(&s->arena.span_count, __ATOMIC_ACQUIRE)) return;
    const uint64_t *span = __atomic_load_n(&s->arena.span, __ATOMIC_ACQUIRE);
    if (span == NULL) return;
    uint64_t at = NK_GET(span[num]);
    const uint8_t *e = (const uint8_t *)(uintptr_t)((at & ~NK_SPAN_SHIFT_MASK) +
                                                    ((uint64_t)NK_REF_UNIT(ref) << (at & 63)));
    __builtin_prefetch(e, 1);
    __builtin_prefetch(e + NK_CACHE_LINE, 1);
    if (((uintptr_t)e & (NK_CACHE_LINE - 1)) > NK_CACHE_LINE / 2)
        __builtin_prefetch(e + 2 * NK_CACHE_LINE, 1);
#endif
}

__attribute__((no_sanitize("thread"))) static inline const struct nk_bucket *
stale_over(const struct nk_seg *s, uint32_t n) {
    if ((n - 1) / NK_CHUNK_BUCKETS >= __atomic_load_n(&s->over.pages, __ATOMIC_ACQUIRE))
        return NULL;
    struct nk_bucket **dir = __atomic_load_n(&s->over.dir, __ATOMIC_ACQUIRE);
    const struct nk_bucket *page = NK_GET(dir[(n - 1) / NK_CHUNK_BUCKETS]);
    return page != NULL ? &page[(n - 1) % NK_CHUNK_BUCKETS] : NULL;
}

__attribute__((no_sanitize("thread"))) void nk_key_prefetch_entry(const struct nk_db *db,
                                                                  struct nk_key *k) {
    const struct nk_seg *s = &db->seg[k->seg];
    const struct nk_bucket *b = stale_bucket(s, k->hash);
    if (b == NULL) return;
    uint32_t m = nk_bucket_match(b, nk_table_tag(k->hash));
    if (NK_LIKELY(m != 0)) {
        warm_ref(s, NK_GET(b->ref[__builtin_ctz(m)]));
        return;
    }
    k->over = NK_GET(b->next);
    if (k->over == 0) return;
    const struct nk_bucket *next = stale_over(s, k->over);
    if (next != NULL) __builtin_prefetch(next, 1);
}

__attribute__((no_sanitize("thread"))) void nk_key_prefetch_over(const struct nk_db *db,
                                                                 const struct nk_key *k) {
    if (NK_LIKELY(k->over == 0)) return;
    const struct nk_seg *s = &db->seg[k->seg];
    const struct nk_bucket *b = stale_over(s, k->over);
    if (b == NULL) return;
    uint32_t m = nk_bucket_match(b, nk_table_tag(k->hash));
    if (m != 0) warm_ref(s, NK_GET(b->ref[__builtin_ctz(m)]));
}

uint32_t nk_key_seg(const struct nk_db *db, const void *p, uint32_t n) {
    return (uint32_t)nk_hash_route(db->route_point, p, n) & db->seg_mask;
}

void nk_key_init(const struct nk_db *db, const void *p, uint32_t n, struct nk_key *out) {
    uint64_t route = nk_hash_route(db->route_point, p, n);
    nk_key_place(&db->seg[(uint32_t)route & db->seg_mask], p, n, out);
    out->mark = (uint32_t)(route >> 30) & 0x7fffffffu;
}

void nk_key_place(const struct nk_seg *s, const void *p, uint32_t n, struct nk_key *out) {
    *out = (struct nk_key){.p = p, .n = n, .seg = s->index};
    out->epoch = __atomic_load_n(&s->epoch, __ATOMIC_RELAXED) & 1;
    out->hash = key_hash(s, out->epoch, p, n);
    nk_key_prefetch_bucket(s->db, out);
}

uint64_t nk_seg_key_hash(const struct nk_seg *s, uint32_t epoch, const uint8_t *p, uint32_t n) {
    return key_hash(s, epoch, p, n);
}

uint64_t nk_seg_entry_hash(void *seg, uint32_t ref) {
    const struct nk_seg *s = seg;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e);
    return key_hash(s, s->epoch, e + nk_entry_key_off(meta), nk_entry_key_bytes(e, meta));
}

uint64_t nk_seg_entry_hash_old(void *seg, uint32_t ref) {
    const struct nk_seg *s = seg;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e);
    return key_hash(s, NK_EPOCH_FNV, e + nk_entry_key_off(meta), nk_entry_key_bytes(e, meta));
}

void nk_seg_entry_warm(void *seg, uint32_t ref) {
    __builtin_prefetch(nk_arena_ptr(&((const struct nk_seg *)seg)->arena, ref));
}

/* ---- locks -------------------------------------------------------------------------------------*/

struct nk_seg *nk_db_seg(struct nk_db *db, uint32_t index) {
    return &db->seg[index];
}

bool nk_seg_lock(struct nk_seg *s) {
    if (NK_UNLIKELY(nk_pool_low(&s->db->pool))) nk_pool_refill(&s->db->pool);
    struct nk_spin *l = (struct nk_spin *)(void *)&s->lock;
    if (NK_LIKELY(nk_spin_try(l, SEG_SPINS))) return true;
    __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
    return false;
}

void nk_seg_unlock(struct nk_seg *s) { __atomic_store_n(&s->lock, 0, __ATOMIC_RELEASE); }

/* ---- accounts ----------------------------------------------------------------------------------*/

uint64_t nk_seg_live_bytes(const struct nk_seg *s) {
    return nk_arena_span_bytes(&s->arena) - nk_arena_free_bytes(&s->arena) +
           nk_table_bytes(&s->tab) + nk_table_bytes(&s->old) + nk_over_bytes(&s->over);
}

static void report(struct nk_seg *s, int64_t least) {
    uint64_t live = nk_seg_live_bytes(s);
    int64_t delta = (int64_t)(live - s->reported_bytes);
    if (NK_LIKELY(delta < least && delta > -least)) return;
    s->reported_bytes = live;
    nk_db_used_add(s->db, delta);
}

void nk_seg_report(struct nk_seg *s) { report(s, USED_GRAIN); }
void nk_seg_report_all(struct nk_seg *s) { report(s, 1); }

static void raise_max(uint64_t *max, uint64_t v) {
    if (v > *max) __atomic_store_n(max, v, __ATOMIC_RELAXED);
}

void nk_seg_work_done(struct nk_seg *s) {
    struct nk_work *w = &s->work;
    if (NK_LIKELY((w->buckets | w->entries | w->bytes) == 0)) return;
    raise_max(&s->max_buckets, w->buckets);
    raise_max(&s->max_entries, w->entries);
    raise_max(&s->max_bytes, w->bytes);
#ifndef NK_NO_HASH_SWITCH
    NK_DCHECK(w->buckets <=
              (s->epoch == NK_EPOCH_SIP ? NK_BOUND_DRAIN_BUCKETS : NK_BOUND_STEP_BUCKETS));
    NK_DCHECK(w->entries <=
              (s->epoch == NK_EPOCH_SIP ? NK_BOUND_DRAIN_ENTRIES : NK_BOUND_STEP_ENTRIES));
    NK_DCHECK(w->bytes <= NK_BOUND_BYTES);
#endif
    *w = (struct nk_work){0};
}

/* ---- find --------------------------------------------------------------------------------------*/

NK_INLINE bool bytes_equal(const uint8_t *a, const uint8_t *b, uint32_t n) {
    if (n >= 8) {
        uint64_t diff = nk_load64(a + n - 8) ^ nk_load64(b + n - 8);
        for (uint32_t i = 0; i + 8 < n; i += 8) diff |= nk_load64(a + i) ^ nk_load64(b + i);
        return diff == 0;
    }
    if (n >= 4) return nk_load32(a) == nk_load32(b) && nk_load32(a + n - 4) == nk_load32(b + n - 4);
    for (uint32_t i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

/* Looks for the key in one table; fills the place in *it. */
NK_INLINE bool lookup(const struct nk_seg *s, const struct nk_table *t, uint64_t hash,
                      const struct nk_key *k, struct nk_item *it) {
    uint8_t tag = nk_table_tag(hash);
    uint32_t want = nk_entry_key_bits(k->n);
    for (struct nk_bucket *b = nk_table_head(t, hash); b != NULL; b = nk_table_next(t, b)) {
        for (uint32_t m = nk_bucket_match(b, tag); m != 0; m &= m - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(m), ref = b->ref[i];
            const uint8_t *e = nk_arena_ptr(&s->arena, ref);
            __builtin_prefetch(e +
                               NK_CACHE_LINE); /* the value's end, not one miss after the other */
            uint32_t meta = nk_entry_meta(e);
            if ((meta & NK_META_KEY_MASK) != want) continue;
            if (NK_UNLIKELY(want == NK_META_LONG_KEY) && nk_entry_key_bytes(e, meta) != k->n)
                continue;
            if (!bytes_equal(e + nk_entry_key_off(meta), k->p, k->n)) continue;
            it->bucket = b;
            it->slot = i;
            it->ref = ref;
            return true;
        }
    }
    return false;
}

static NK_NOINLINE bool lookup_old(const struct nk_seg *s, const struct nk_key *k,
                                   struct nk_item *it) {
    if (s->old.count == 0) return false;
    uint64_t hash = key_hash(s, NK_EPOCH_FNV, k->p, k->n);
    if (!lookup(s, &s->old, hash, k, it)) return false;
    it->slot |= SLOT_OLD;
    return true;
}

/* Where the key's entry is, live or expired; it->ref = 0 if nowhere. */
NK_INLINE void locate(struct nk_seg *s, struct nk_key *k, struct nk_item *it) {
    if (NK_UNLIKELY(k->epoch != s->epoch)) {
        k->epoch = s->epoch & 1;
        k->hash = key_hash(s, k->epoch, k->p, k->n);
    }
    it->ref = 0;
    it->stamp = s->stamp;
    if (lookup(s, &s->tab, k->hash, k, it)) return;
    if (NK_UNLIKELY(s->draining)) (void)lookup_old(s, k, it);
}

void nk_seg_locate(struct nk_seg *s, struct nk_key *k, struct nk_item *it) { locate(s, k, it); }

/* Fills *it from the entry that locate found. */
NK_INLINE void read_entry(const struct nk_seg *s, int64_t now_ms, struct nk_item *it) {
    const uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    uint32_t meta = nk_entry_meta(e);
    const uint8_t *tail = e + nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta);
    nk_store_read(s, e, meta, tail, it);
    it->expire_ms = nk_entry_expiry(e, meta);
    it->found = it->expire_ms == 0 || it->expire_ms > now_ms;
    it->shown = NK_MUTATE(20, 0, nk_store_shows(s, e));
}

/* What a miss shows: that its key has gone, or, with what its entry shows, that it has expired. */
static NK_NOINLINE uint64_t miss_shows(const struct nk_db *db, const struct nk_key *k,
                                       uint64_t entry) {
    uint64_t marked = NK_MUTATE(21, 0, NK_GET(*nk_mark_slot(db->marks, k->mark)));
    uint64_t flushed = NK_MUTATE(23, 0, db->flush_lsn);
    return nk_max_u64(nk_max_u64(NK_MUTATE(22, 0, entry), marked), flushed);
}

void nk_db_mark(struct nk_db *db, uint32_t mark, uint64_t lsn) {
    uint64_t *slot = nk_mark_slot(db->marks, mark), old = NK_GET(*slot);
    while (old < lsn && !__atomic_compare_exchange_n(slot, &old, lsn, true, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED)) {}
}

void nk_seg_find(struct nk_seg *s, struct nk_key *k, int64_t now_ms, bool count,
                 struct nk_item *it) {
    locate(s, k, it);
    it->found = false;
    it->shown = 0;
    it->loc = 0;
    if (it->ref != 0) read_entry(s, now_ms, it);
    if (!it->found) {
        if (s->db->log != NULL) it->shown = miss_shows(s->db, k, it->shown);
        it->away = false;
        it->val = NULL;
        it->bytes = 0;
        it->big = NULL;
        it->version = 0;
        it->expire_ms = 0;
        if (count) NK_ADD(s->misses, 1);
    } else if (count) {
        NK_ADD(s->hits, 1);
    }
}

void nk_seg_uncount(struct nk_seg *s) { NK_SUB(s->hits, 1); }

/* ---- reserve -----------------------------------------------------------------------------------*/

/* Bytes of an entry with this key and this effect. */
static uint32_t entry_need(const struct nk_db *db, const struct nk_key *k,
                           const struct nk_effect *e) {
    uint32_t tail = nk_store_tail(db, e);
    return NK_ENTRY_HEADER + (e->expire_ms != 0 ? 8u : 0u) + (k->n > 255 ? 4u : 0u) + k->n + tail;
}

/* Whether an entry of `need` bytes can be written over the block of `ref`. */
static bool fits_in_place(const struct nk_seg *s, uint32_t ref, uint32_t need) {
    uint32_t have = nk_arena_block_bytes(&s->arena, ref);
    if (have < need) return false;
    if (have >= NK_ARENA_MEDIUM_MIN) return have - need < NK_ARENA_MEDIUM_UNIT;
    return have - need < IN_PLACE_SLACK + 4;
}

static bool room_for(struct nk_seg *s, const struct nk_item *it, uint32_t need,
                     const struct nk_effect *e) {
    const struct nk_db *db = s->db;
    uint64_t max = __atomic_load_n(&db->max_memory, __ATOMIC_RELAXED);
    if (NK_LIKELY(max == 0) || db->loading || e->moved) return true;
    uint64_t old = it->ref != 0 ? nk_arena_block_bytes(&s->arena, it->ref) : 0;
    if (it->big != NULL) old += it->big->map_bytes;
    uint64_t new = need + (e->big != NULL ? e->big->map_bytes : 0);
    return new <= old || nk_db_room(db, need); /* a new large value is counted already */
}

/* Cached values go before a write is refused. But not while something is reserved: an overwrite in place counts on the
 * size of its block. */
static NK_NOINLINE bool make_room(struct nk_seg *s, uint32_t need, const struct nk_effect *e) {
    return s->pending == 0 && s->cache.values > 0 && nk_cache_yield(s, need, e->val);
}

static int reserve_put(struct nk_seg *s, struct nk_key *k, const struct nk_item *it, uint32_t need,
                       const struct nk_effect *e, struct nk_resv *r) {
    if (!room_for(s, it, need, e) && !make_room(s, need, e)) return NITRO_EMAXMEMORY;
    bool first = s->pending == 0;
    if (it->ref != 0 && first && fits_in_place(s, it->ref, need)) return NITRO_OK;
    if (it->ref == 0 || !first) {
        int rc = nk_table_insert_needs(&s->tab, k->hash, !first, &r->overflow);
        if (rc != NITRO_OK) return rc;
    }
    int rc = nk_arena_alloc(&s->arena, need, &r->ref);
    if (rc != NITRO_OK) nk_over_put(&s->over, r->overflow);
    return rc;
}

/* A new expiry needs a block only if the entry has no field for it. */
static int reserve_expire(struct nk_seg *s, const struct nk_item *it, const struct nk_effect *e,
                          struct nk_resv *r) {
    NK_ASSERT(it->ref != 0);
    const uint8_t *p = nk_arena_ptr(&s->arena, it->ref);
    uint32_t meta = nk_entry_meta(p);
    bool first = s->pending == 0;
    if (first && (e->expire_ms == 0 || (meta & NK_META_EXPIRY))) return NITRO_OK;
    uint32_t need = nk_entry_key_off(meta | NK_META_EXPIRY) + nk_entry_key_bytes(p, meta) +
                    nk_entry_tail_bytes(meta);
    return nk_arena_alloc(&s->arena, need, &r->ref);
}

/* When no reserved effect is left, the room for a snapshot's entries is given back. */
NK_INLINE void settle(struct nk_seg *s) {
    if (NK_UNLIKELY(s->snap_reserved != 0) && s->pending == 0) nk_snap_settle(s);
}

int nk_seg_reserve(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
                   const struct nk_effect *e, struct nk_resv *r) {
    struct nk_resv got = {0};
    int rc = NITRO_OK;
    NK_DCHECK(it->stamp == s->stamp);
    if (NK_UNLIKELY(nk_snap_owed(s, it->ref))) rc = nk_snap_reserve(s, it->ref, e->further);
    if (rc != NITRO_OK) return rc;
    if (e->kind == NK_EFFECT_PUT)
        rc = reserve_put(s, k, it, entry_need(s->db, k, e), e, &got);
    else if (e->kind == NK_EFFECT_EXPIRE)
        rc = reserve_expire(s, it, e, &got);
    if (rc != NITRO_OK) {
        settle(s);
        return rc;
    }
    s->pending++;
    *r = got;
    return NITRO_OK;
}

void nk_seg_abort(struct nk_seg *s, struct nk_resv *r) {
    s->pending--;
    if (r->ref != 0) nk_arena_free(&s->arena, r->ref);
    nk_over_put(&s->over, r->overflow);
    *r = (struct nk_resv){0};
    settle(s);
}

/* ---- apply -------------------------------------------------------------------------------------*/

static struct nk_table *item_table(struct nk_seg *s, const struct nk_item *it) {
    return it->slot & SLOT_OLD ? &s->old : &s->tab;
}

static uint64_t item_hash(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it) {
    return it->slot & SLOT_OLD ? key_hash(s, NK_EPOCH_FNV, k->p, k->n) : k->hash;
}

/* Takes an entry out of the accounts and lets go of its large value; its block stays. */
static void entry_forget(struct nk_seg *s, const uint8_t *e) {
    uint32_t meta = nk_entry_meta(e), key = nk_entry_key_bytes(e, meta);
    NK_SUB(s->key_bytes, key);
    if (nk_entry_expiry(e, meta) != 0) NK_SUB(s->with_expiry, 1);
    nk_store_forget(s, e, meta, e + nk_entry_key_off(meta) + key);
}

/* Writes the key; returns its end. */
NK_INLINE uint8_t *entry_key(struct nk_seg *s, uint8_t *e, uint32_t meta, const struct nk_key *k) {
    uint8_t *p = e + nk_entry_key_off(meta);
    if (NK_UNLIKELY(meta & NK_META_LONG_KEY)) nk_store32(p - 4, k->n);
    if (NK_LIKELY(k->n != 0)) memcpy(p, k->p, k->n); /* an empty key may have no address */
    NK_ADD(s->key_bytes, k->n);
    return p + k->n;
}

/* Writes key, value, expiry and version, or location, behind a meta word that is already stamped. */
static void entry_fill(struct nk_seg *s, uint8_t *e, uint32_t meta, const struct nk_key *k,
                       const struct nk_effect *f, struct nk_logged at) {
    if (meta & NK_META_EXPIRY) nk_store64(e + NK_ENTRY_HEADER, (uint64_t)f->expire_ms);
    nk_store_fill(s, e, entry_key(s, e, meta, k), f, at);
    if (f->expire_ms != 0) NK_ADD(s->with_expiry, 1);
}

static uint32_t put_meta(const struct nk_db *db, const struct nk_key *k,
                         const struct nk_effect *f) {
    uint32_t meta = nk_entry_key_bits(k->n) | (f->expire_ms != 0 ? NK_META_EXPIRY : 0);
    return meta | nk_store_meta(db, f);
}

/* The new entry in the block of the old one: what differs in size becomes padding. */
static void put_in_place(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it,
                         const struct nk_effect *f, struct nk_logged at) {
    uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    uint32_t have = nk_arena_block_bytes(&s->arena, it->ref), old = nk_entry_meta(e);
    entry_forget(s, e);
    uint32_t meta = put_meta(s->db, k, f);
    uint32_t need = (entry_need(s->db, k, f) + 3) & ~3u;
    uint32_t pad = have < NK_ARENA_MEDIUM_MIN ? (have - need) / 4 : 0;
    nk_store32(e, meta | (old & NK_META_PREV_FREE) | pad << NK_META_PAD_SHIFT);
    entry_fill(s, e, meta, k, f, at);
}

/* Puts a filled block into the slot of the entry that it replaces. */
static void slot_replace(struct nk_seg *s, const struct nk_item *it, uint32_t ref) {
    struct nk_bucket *b = it->bucket;
    uint32_t old = it->ref;
    b->ref[it->slot & ~SLOT_OLD] = ref;
    entry_forget(s, nk_arena_ptr(&s->arena, old));
    nk_arena_free(&s->arena, old);
    s->stamp++;
}

static void grow(struct nk_seg *s) {
    if (!nk_table_grow(&s->tab, &s->work)) return;
    NK_ADD(s->splits, 1);
    s->stamp++;
}

static void insert(struct nk_seg *s, const struct nk_key *k, struct nk_resv *r) {
    struct nk_slot at;
    uint32_t chain = nk_table_insert(&s->tab, k->hash, r->ref, &r->overflow, &at);
    s->stamp++;
#ifndef NK_NO_HASH_SWITCH
    if (NK_UNLIKELY(chain > NK_CHAIN_ATTACK) && s->epoch == NK_EPOCH_FNV && nk_switch_begin(s))
        return;
#else
    (void)chain;
#endif
    grow(s);
}

static void apply_put(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
                      const struct nk_effect *f, struct nk_resv *r, struct nk_logged at) {
    struct nk_table *t = it->ref != 0 ? item_table(s, it) : &s->tab;
    uint64_t hash = it->ref != 0 ? item_hash(s, k, it) : k->hash;
    if (r->ref == 0) {
        NK_ASSERT(it->ref != 0);
        put_in_place(s, k, it, f, at);
    } else {
        uint32_t meta = put_meta(s->db, k, f);
        nk_arena_stamp(&s->arena, r->ref, meta);
        entry_fill(s, nk_arena_ptr(&s->arena, r->ref), meta, k, f, at);
    }
    if (f->expire_ms != 0) nk_table_note_expiry(t, hash, f->expire_ms);
    if (r->ref == 0) return;
    if (it->ref != 0)
        slot_replace(s, it, r->ref);
    else
        insert(s, k, r);
}

static void apply_expire(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it,
                         const struct nk_effect *f, struct nk_resv *r, struct nk_logged at) {
    uint8_t *e = nk_arena_ptr(&s->arena, it->ref);
    uint32_t meta = nk_entry_meta(e);
    NK_ASSERT(!nk_store_rewrites(s->db));
    if (f->expire_ms != 0)
        nk_table_note_expiry(item_table(s, it), item_hash(s, k, it), f->expire_ms);
    if (r->ref == 0) {
        int64_t old = nk_entry_expiry(e, meta);
        if (old != 0) NK_SUB(s->with_expiry, 1);
        if (f->expire_ms != 0) NK_ADD(s->with_expiry, 1);
        nk_store64(e + 4, at.lsn);
        if (meta & NK_META_EXPIRY) nk_store64(e + NK_ENTRY_HEADER, (uint64_t)f->expire_ms);
        return;
    }
    struct nk_effect put = {.kind = NK_EFFECT_PUT, .expire_ms = f->expire_ms};
    const uint8_t *tail = e + nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta);
    if (meta & NK_META_BIG)
        put.big = nk_entry_big(tail);
    else
        put.val = tail;
    put.bytes = meta & NK_META_BIG ? 0 : meta >> NK_META_VALUE_SHIFT;
    uint32_t with = put_meta(s->db, k, &put) | NK_META_EXPIRY;
    /* reserved for the value that it had then: no other effect of the hold may have changed its size */
    uint32_t need = nk_entry_key_off(with) + k->n + nk_entry_tail_bytes(with);
    NK_ASSERT(nk_arena_block_bytes(&s->arena, r->ref) >= need);
    nk_arena_stamp(&s->arena, r->ref, with);
    entry_fill(s, nk_arena_ptr(&s->arena, r->ref), with, k, &put, at);
    slot_replace(s, it, r->ref);
}

/* A miss shows that the entry has expired, and so that it was written. */
static void mark_expired(const struct nk_seg *s, const uint8_t *e) {
    struct nk_db *db = s->db;
    uint64_t lsn = nk_store_shows(s, e);
    if (lsn <= nk_log_durable(db->log)) return;
    uint32_t meta = nk_entry_meta(e);
    uint64_t route =
        nk_hash_route(db->route_point, e + nk_entry_key_off(meta), nk_entry_key_bytes(e, meta));
    nk_db_mark(db, (uint32_t)(route >> 30) & 0x7fffffffu, lsn);
}

bool nk_seg_drop(struct nk_seg *s, uint64_t hash, const struct nk_slot *at) {
    uint32_t ref = at->bucket->ref[at->index];
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    if (NK_UNLIKELY(nk_snap_owed(s, ref))) {
        if (nk_snap_reserve(s, ref, false) != NITRO_OK) return false;
        if (NK_MUTATE(63, false, true)) nk_snap_emit(s, ref);
        nk_snap_settle(s);
    }
    if (s->db->log != NULL) mark_expired(s, e);
    entry_forget(s, e);
    nk_arena_free(&s->arena, ref);
    nk_table_remove(&s->tab, hash, at);
    s->stamp++;
    NK_ADD(s->expired, 1);
    return true;
}

static void apply_delete(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it) {
    struct nk_slot at = {.bucket = it->bucket, .index = it->slot & ~SLOT_OLD};
    entry_forget(s, nk_arena_ptr(&s->arena, it->ref));
    nk_arena_free(&s->arena, it->ref);
    nk_table_remove(item_table(s, it), item_hash(s, k, it), &at);
    s->stamp++;
    NK_ADD(s->deletes, 1);
    if (nk_table_shrink(&s->tab, &s->work)) {
        NK_ADD(s->merges, 1);
        s->stamp++;
    }
}

void nk_seg_remove(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it) {
    if (s->db->log != NULL && !s->db->loading) mark_expired(s, nk_arena_ptr(&s->arena, it->ref));
    apply_delete(s, k, it);
    NK_SUB(s->deletes, 1); /* it was none that anybody asked for */
    nk_seg_work_done(s);
    nk_seg_report(s);
}

static bool entry_expired(const struct nk_seg *s, uint32_t ref, int64_t now_ms) {
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    int64_t at = nk_entry_expiry(e, nk_entry_meta(e));
    return at != 0 && at <= now_ms;
}

uint64_t nk_seg_apply(struct nk_seg *s, struct nk_key *k, const struct nk_item *item,
                      const struct nk_effect *e, struct nk_resv *r, int64_t now_ms,
                      struct nk_logged at) {
    struct nk_item it = *item;
    uint64_t lsn = at.lsn;
    NK_ASSERT(s->pending > 0);
    s->pending--;
    if (NK_UNLIKELY(it.stamp != s->stamp)) locate(s, k, &it);
    if (NK_UNLIKELY(nk_snap_owed(s, it.ref))) nk_snap_emit(s, it.ref);
    settle(s);
    if (lsn == 0) at.lsn = s->next_version++ * s->db->segments + s->index;
    if (lsn != 0) __atomic_store_n(&s->last_lsn, lsn, __ATOMIC_RELAXED);
    if (e->kind == NK_EFFECT_PUT) {
        if (it.ref != 0 && entry_expired(s, it.ref, now_ms)) NK_ADD(s->expired, 1);
        apply_put(s, k, &it, e, r, at);
        NK_ADD(s->writes, 1);
    } else if (it.ref != 0 && e->kind == NK_EFFECT_EXPIRE) {
        apply_expire(s, k, &it, e, r, at);
        r->ref = 0;
        NK_ADD(s->writes, 1);
    } else if (it.ref != 0) {
        apply_delete(s, k, &it);
        if (lsn != 0) nk_db_mark(s->db, k->mark, lsn);
    }
    if (it.ref == 0 && e->kind == NK_EFFECT_EXPIRE && r->ref != 0) nk_arena_free(&s->arena, r->ref);
    nk_over_put(&s->over, r->overflow);
    *r = (struct nk_resv){0};
#ifndef NK_NO_HASH_SWITCH
    NK_DCHECK(s->work.buckets <= NK_BOUND_EFFECT_BUCKETS);
    NK_DCHECK(s->work.entries <= NK_BOUND_EFFECT_ENTRIES);
#endif
    if (NK_UNLIKELY(s->draining)) (void)nk_switch_drain(s, NK_DRAIN_ENTRIES);
    nk_seg_work_done(s);
    if (it.stamp != s->stamp) nk_seg_report(s); /* an overwrite in place changes no account */
    return at.lsn;
}

int nk_seg_add(struct nk_seg *s, struct nk_key *k, uint64_t loc) {
    struct nk_item it;
    struct nk_resv r = {0};
    locate(s, k, &it);
    if (NK_UNLIKELY(it.ref != 0)) return NITRO_ENOTSTORED;
    int rc = nk_table_insert_needs(&s->tab, k->hash, false, &r.overflow);
    if (NK_UNLIKELY(rc != NITRO_OK)) return rc;
    rc = nk_arena_alloc(&s->arena, NK_ENTRY_HEADER + (k->n > 255 ? 4u : 0u) + k->n, &r.ref);
    if (NK_UNLIKELY(rc != NITRO_OK)) {
        nk_over_put(&s->over, r.overflow);
        return rc;
    }
    uint32_t meta = nk_entry_key_bits(k->n);
    nk_arena_stamp(&s->arena, r.ref, meta);
    uint8_t *e = nk_arena_ptr(&s->arena, r.ref);
    nk_store_place(s, e, loc);
    entry_key(s, e, meta, k);
    insert(s, k, &r);
    nk_over_put(&s->over, r.overflow);
    NK_ADD(s->writes, 1);
    if (NK_UNLIKELY(s->draining)) (void)nk_switch_drain(s, NK_DRAIN_ENTRIES);
    nk_seg_work_done(s);
    return NITRO_OK;
}

static struct nk_record record_of(const struct nk_key *k, const struct nk_effect *e) {
    struct nk_record r = {.key = k->p, .key_bytes = k->n, .kind = NK_REC_DELETE};
    if (e->kind == NK_EFFECT_DELETE) return r;
    r.expire_ms = e->expire_ms;
    r.kind = NK_REC_EXPIRE;
    if (e->kind == NK_EFFECT_EXPIRE) return r;
    r.kind = NK_REC_PUT;
    r.value = e->big != NULL ? e->big->data : e->val;
    r.value_bytes = e->big != NULL ? (uint32_t)e->big->bytes : e->bytes;
    r.packed = e->packed;
    return r;
}

void nk_effect_crc(const struct nk_db *db, const struct nk_key *k, struct nk_effect *e) {
    if (db->log == NULL || e->big == NULL) return;
    struct nk_record r = record_of(k, e);
    e->crc = nk_record_body_crc(&r);
}

int nk_seg_log(struct nk_seg *s, const struct nk_key *k, const struct nk_effect *e,
               struct nk_logged *at) {
    struct nk_log *log = s->db->log;
    *at = (struct nk_logged){0};
    if (log == NULL) return NITRO_OK;
    struct nk_record r = record_of(k, e);
    uint32_t crc = e->crc != 0 ? e->crc : nk_record_body_crc(&r);
    uint64_t bytes = nk_record_max(r.key_bytes, r.value_bytes);
    bool spliced = e->big != NULL;
    int rc = nk_log_begin(log, bytes, spliced ? bytes - r.value_bytes : bytes, spliced,
                          e->kind == NK_EFFECT_DELETE);
    if (NK_UNLIKELY(rc != NITRO_OK)) return rc == NK_ROOM ? NITRO_ELOGFULL : rc;
    if (spliced) nk_big_retain(e->big);
    nk_log_append(log, &r, crc, e->big);
    nk_store_logged(s->db, &r);
    nk_log_end(log);
    *at = (struct nk_logged){.lsn = r.lsn, .loc = r.loc};
    return NITRO_OK;
}

bool nk_seg_rewrites(const struct nk_db *db) { return nk_store_rewrites(db); }

int nk_seg_put(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
               const struct nk_effect *e, int64_t now_ms, uint64_t *version) {
    struct nk_resv r;
    struct nk_logged at = {0};
    int rc = nk_seg_reserve(s, k, it, e, &r);
    if (rc != NITRO_OK) return rc;
    if (s->db->log != NULL) {
        rc = nk_seg_log(s, k, e, &at);
        if (NK_UNLIKELY(rc != NITRO_OK)) {
            nk_seg_abort(s, &r);
            return rc;
        }
    }
    uint64_t v = nk_seg_apply(s, k, it, e, &r, now_ms, at);
    if (version != NULL) *version = v;
    return NITRO_OK;
}

uint64_t nk_seg_usage(struct nk_seg *s, const struct nk_item *it) {
    uint64_t index = s->tab.count == 0
                         ? NK_CACHE_LINE
                         : (nk_table_bytes(&s->tab) + nk_over_bytes(&s->over)) / s->tab.count;
    return nk_arena_block_bytes(&s->arena, it->ref) + nk_store_usage(s->db, it) +
           nk_min_u64(index, NK_CACHE_LINE);
}

void nk_seg_init(struct nk_seg *s, struct nk_db *db, uint32_t index,
                 const struct nk_sip_key *base) {
    memset(s, 0, sizeof *s);
    s->db = db;
    s->index = index;
    s->next_version = 1;
    uint64_t label[2] = {index, 0};
    s->sip.k0 = nk_hash_sip13(base, (const uint8_t *)label, sizeof label);
    label[1] = 1;
    s->sip.k1 = nk_hash_sip13(base, (const uint8_t *)label, sizeof label);
    nk_over_init(&s->over, &db->pool);
    nk_table_init(&s->tab, &s->over, &db->pool, nk_seg_entry_hash, nk_seg_entry_warm, s);
    nk_table_init(&s->old, &s->over, &db->pool, nk_seg_entry_hash_old, nk_seg_entry_warm, s);
    nk_arena_init(&s->arena, &db->pool);
}
