/* SPDX-License-Identifier: MIT
 *
 * scan.c - visiting every key in bounded pieces while the table grows and shrinks (L5).
 *
 * DESIGN
 *   A segment's buckets are visited in the order of table.h, in which a position means the same before and after
 *   splits and merges.
 *
 *   cursor   bits 63..48 segment · 47..40 hash epoch · 32 nothing of the bucket has been passed ·
 *            31..0 position; 0 is the start and the end.
 *
 *   After a merge a position may lie inside a bucket; then the entries before it, which have been passed, are
 *   told by their hashes.
 *   A cursor of another hash epoch restarts its segment. While a segment moves its entries to the new
 *   hash a scan returns nothing of it, moves some entries itself, and stays at its start.
 */
#include "store.h"

#define CURSOR_FRESH (1ull << 32)
#define HOLD_BUCKETS 16u   /* in one lock hold */
#define CALL_BUCKETS 4096u /* in one call */

struct scan {
    int64_t now_ms;
    nk_scan_fn *fn;
    void *ctx;
    uint32_t passed;
    bool again;
    bool fresh; /* the walk begins in the middle of a bucket of which it has passed nothing */
};

static void pass_entry(struct nk_seg *s, uint32_t ref, uint64_t pos, struct scan *sc) {
    if (pos != 0 && nk_table_place(nk_seg_entry_hash(s, ref)) < pos) return;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t meta = nk_entry_meta(e);
    int64_t expire = nk_entry_expiry(e, meta);
    if (expire != 0 && expire <= sc->now_ms) return;
    struct nk_scan_entry out = {.key = e + nk_entry_key_off(meta),
                                .seg = s->index,
                                .key_bytes = nk_entry_key_bytes(e, meta),
                                .expire_ms = expire};
    nk_store_describe(s, e, meta, out.key + out.key_bytes, &out);
    sc->fn(sc->ctx, &out);
    sc->passed++;
}

/* Passes the chain at position *pos and moves *pos behind it; true at the end of the segment. */
static bool visit_bucket(struct nk_seg *s, uint64_t *pos, struct scan *sc) {
    const struct nk_table *t = &s->tab;
    if (t->dir == NULL) return true;
    uint64_t first, end;
    struct nk_bucket *head = nk_table_at(t, *pos, &first, &end);
    bool inside = *pos != first && !sc->fresh;
    uint64_t passed = inside ? *pos : 0; /* entries before it have been */
    sc->fresh = false;
    for (const struct nk_bucket *b = head; b != NULL; b = nk_table_next(t, b))
        for (uint32_t m = ~nk_bucket_match(b, 0) & ((1u << NK_SLOTS) - 1); m != 0; m &= m - 1)
            pass_entry(s, b->ref[__builtin_ctz(m)], passed, sc);
    *pos = end;
    return end == NK_PLACES;
}

/* Visits up to *buckets buckets of one segment under its lock. True at the segment's end. */
static bool visit_segment(struct nk_seg *s, uint64_t *pos, uint32_t epoch, uint32_t count,
                          uint32_t *buckets, struct scan *sc) {
    if (*pos != 0 && (s->draining || epoch != s->epoch)) sc->again = true;
    if (s->draining) {
        (void)nk_switch_drain(s, NK_DRAIN_STEP_ENTRIES);
        nk_seg_work_done(s);
        *buckets = 0; /* the host gets an empty page and comes again */
        *pos = 0;
        return false;
    }
    if (epoch != s->epoch) *pos = 0;
    uint32_t hold = *buckets < HOLD_BUCKETS ? *buckets : HOLD_BUCKETS;
    for (uint32_t i = 0; i < hold && sc->passed < count; i++) {
        (*buckets)--;
        if (visit_bucket(s, pos, sc)) return true;
    }
    return false;
}

int nk_db_scan(struct nk_db *db, int64_t now_ms, uint64_t *cursor, uint32_t count, nk_scan_fn *fn,
               void *ctx, uint64_t *shown, bool *again) {
    struct scan sc = {
        .now_ms = now_ms, .fn = fn, .ctx = ctx, .fresh = (*cursor & CURSOR_FRESH) != 0};
    uint64_t seg = *cursor >> 48, pos = (uint32_t)*cursor;
    uint32_t epoch = (*cursor >> 40) & 0xff, buckets = CALL_BUCKETS;
    bool locked_any = false;
    if (count == 0) count = 10;
    while (seg < db->segments && sc.passed < count && buckets > 0) {
        struct nk_seg *s = &db->seg[seg];
        if (!nk_seg_lock(s)) {
            if (!locked_any) return NITRO_EBUSY;
            break;
        }
        locked_any = true;
        bool end = visit_segment(s, &pos, pos == 0 ? s->epoch : epoch, count, &buckets, &sc);
        epoch = s->epoch;
        *shown = nk_max_u64(*shown, s->last_lsn);
        nk_seg_unlock(s);
        if (!end) continue;
        seg++;
        pos = 0;
    }
    *cursor = seg >= db->segments ? 0 : seg << 48 | (uint64_t)epoch << 40 | pos;
    if (again != NULL) *again = sc.again;
    return NITRO_OK;
}

/* ---- somewhere ---------------------------------------------------------------------------------*/

uint64_t nk_db_draw(struct nk_db *db) {
    uint64_t n = __atomic_add_fetch(&db->draws, 1, __ATOMIC_RELAXED);
    return nk_hash_mix(n * 0x9e3779b97f4a7c15ull + nk_hash_mix(db->fnv_seed));
}

/* (Counters of other threads are read without a lock, as nk_db_keys does.) */
__attribute__((no_sanitize("thread"))) uint64_t nk_db_scan_anywhere(struct nk_db *db) {
    uint64_t shown, keys = nk_db_keys(db, &shown), seg = 0;
    if (keys == 0) return 0;
    uint64_t rank = nk_db_draw(db) % keys;
    for (; seg + 1 < db->segments; seg++) {
        uint64_t here = NK_GET(db->seg[seg].tab.count) + NK_GET(db->seg[seg].old.count);
        if (rank < here) break;
        rank -= here;
    }
    uint64_t epoch = __atomic_load_n(&db->seg[seg].epoch, __ATOMIC_RELAXED);
    return seg << 48 | epoch << 40 | CURSOR_FRESH | (uint32_t)nk_db_draw(db);
}
