/* SPDX-License-Identifier: MIT
 *
 * snap_walk.c - a snapshot's walk over the segments, or over what a FLUSH took out of them (L5).
 *
 * DESIGN
 *   Segments are walked one after the other, each in the order of SCAN (table.h), a few chains in one lock
 *   hold. What belongs to the snapshot is copied to the stage; large values are referred to. With its last
 *   chain a segment's cut becomes 0, and its writers owe nothing any more.
 *
 *   A chain with more than a lock hold may copy is walked place by place: the walk's position then lies inside
 *   the chain's interval, as it may after a merge.
 *
 *   A segment that changes its hash is first brought to an end with that, some entries a hold; then it is
 *   walked from the start, passing over what was walked before (snap_fnv_pos).
 *
 *   What a FLUSH took out does not change. It is walked bucket by bucket, without a lock; the FREE step stays
 *   behind the walk (nk_snap_free_limit).
 */
#include "mutant.h"
#include "snap.h"

#define HOLD_CHAINS 16u
#define HOLD_BYTES 65536u
#define GARBAGE_BUCKETS 64u /* in one call */

/* ---- one chain ---------------------------------------------------------------------------------*/

/* What is being walked. */
struct source {
    const struct nk_seg *s; /* for its hash functions */
    const struct nk_arena *arena;
    const struct nk_table *t;
    uint64_t cut;
    struct nk_snap_pos at;
    bool test; /* some entries of the chain may be behind */
};

/* For each entry of a chain: `e` and `meta`. */
#define EACH_ENTRY(src, head, e, meta)                                                             \
    for (const struct nk_bucket *b_ = (head); b_ != NULL; b_ = nk_table_next((src)->t, b_))        \
        for (uint32_t m_ = ~nk_bucket_match(b_, 0) & ((1u << NK_SLOTS) - 1); m_ != 0;              \
             m_ &= m_ - 1)                                                                         \
            for (const uint8_t *e = nk_arena_ptr((src)->arena, b_->ref[__builtin_ctz(m_)]);        \
                 e != NULL; e = NULL)                                                              \
                for (uint32_t meta = nk_entry_meta(e), once_ = 1; once_ != 0; once_ = 0)

static bool belongs(const struct source *src, const uint8_t *e, uint32_t meta) {
    if (nk_entry_version(e) > src->cut && NK_MUTATE(64, false, true)) return false;
    return !src->test || !nk_snap_behind(src->s, src->at, e, meta);
}

static uint64_t chain_need(const struct source *src, const struct nk_bucket *head) {
    uint64_t need = 0;
    EACH_ENTRY(src, head, e, meta) {
        if (belongs(src, e, meta)) need += nk_snap_need(e, meta);
    }
    return need;
}

/* The whole chain; there is room. Returns the entries copied. */
static uint32_t take_chain(struct nk_snap *n, const struct source *src,
                           const struct nk_bucket *head) {
    uint32_t count = 0;
    EACH_ENTRY(src, head, e, meta) {
        if (!belongs(src, e, meta)) continue;
        nk_snap_put(n, &n->stage, e, meta);
        count++;
    }
    return count;
}

/* ---- a live segment ----------------------------------------------------------------------------*/

/* The smallest place of an entry that belongs to the snapshot, and what the entries there need; NK_PLACES if
 * there is none. */
static uint64_t first_place(const struct source *src, const struct nk_bucket *head,
                            uint64_t *need) {
    uint64_t first = NK_PLACES;
    EACH_ENTRY(src, head, e, meta) {
        if (!belongs(src, e, meta)) continue;
        uint64_t place = nk_table_place(nk_seg_key_hash(
            src->s, src->at.epoch, e + nk_entry_key_off(meta), nk_entry_key_bytes(e, meta)));
        if (place < first) {
            first = place;
            *need = 0;
        }
        if (place == first) *need += nk_snap_need(e, meta);
    }
    return first;
}

/* A chain with too much for one lock hold: entries in the order of their places, as many as fit. */
static bool walk_heavy(struct nk_snap *n, struct nk_seg *s, struct source *src,
                       const struct nk_bucket *head, uint64_t end) {
    uint64_t copied = 0, need = 0;
    src->test = true;
    for (;;) {
        uint64_t place = first_place(src, head, &need);
        if (place == NK_PLACES) {
            s->snap_pos = end;
            return true;
        }
        if (copied > 0 && copied + need > HOLD_BYTES) return true;
        if (need > nk_snap_buf_room(&n->stage)) {
            NK_ASSERT(!nk_snap_buf_empty(&n->stage));
            return false;
        }
        src->at.pos =
            place + 1; /* first_place looks at what is not behind; the copy at this place alone */
        EACH_ENTRY(src, head, e, meta) {
            struct nk_snap_pos before = {src->at.epoch, place, src->at.fnv_pos};
            if (nk_entry_version(e) > src->cut || nk_snap_behind(s, before, e, meta)) continue;
            if (!nk_snap_behind(s, src->at, e, meta)) continue;
            nk_snap_put(n, &n->stage, e, meta);
            s->work.entries++;
        }
        copied += need;
        s->work.bytes += (uint32_t)need;
        s->snap_pos = src->at.pos;
    }
}

/* Asks for the entries of the chain at a place, and for the bucket of the one behind it. */
static void warm(const struct nk_seg *s, uint64_t place) {
    uint64_t first, end;
    if (place >= NK_PLACES) return;
    const struct nk_bucket *b = nk_table_at(&s->tab, place, &first, &end);
    for (uint32_t m = ~nk_bucket_match(b, 0) & ((1u << NK_SLOTS) - 1); m != 0; m &= m - 1)
        nk_seg_entry_warm((void *)(uintptr_t)s, b->ref[__builtin_ctz(m)]);
    if (end < NK_PLACES) __builtin_prefetch(nk_table_at(&s->tab, end, &first, &end));
}

/* The chain that the walk has come to. False: the stage has no room for it. */
static bool walk_chain(struct nk_snap *n, struct nk_seg *s) {
    uint64_t first, end;
    const struct nk_bucket *head = nk_table_at(&s->tab, s->snap_pos, &first, &end);
    struct source src = {.s = s,
                         .arena = &s->arena,
                         .t = &s->tab,
                         .cut = s->snap_cut,
                         .at = nk_snap_at(s),
                         .test = s->snap_pos != first || s->snap_fnv_pos != 0};
    warm(s, end);
    s->work.buckets++;
    uint64_t need = chain_need(&src, head);
    if (need > HOLD_BYTES) return walk_heavy(n, s, &src, head, end);
    if (need > nk_snap_buf_room(&n->stage)) return false;
    s->work.entries += take_chain(n, &src, head);
    s->work.bytes += (uint32_t)need;
    s->snap_pos = end;
    return true;
}

/* One lock hold's worth of a segment. */
static enum nk_snap_walked walk_live(struct nk_snap *n, struct nk_seg *s) {
    if (s->draining)
        return nk_switch_drain(s, NK_DRAIN_STEP_ENTRIES) > 0 ? NK_SNAP_ON : NK_SNAP_BUSY;
    uint64_t before = n->stage.front;
    for (uint32_t i = 0; i < HOLD_CHAINS && n->stage.front - before < HOLD_BYTES; i++) {
        if (s->tab.dir == NULL || s->snap_pos >= NK_PLACES) {
            s->snap_cut = 0;
            break;
        }
        if (!walk_chain(n, s)) return NK_SNAP_FULL;
    }
    return NK_SNAP_ON;
}

/* ---- what a FLUSH took out ---------------------------------------------------------------------*/

/* The buckets of a part: those of its table, then those of the one that was being emptied. */
static const struct nk_table *garbage_table(const struct nk_garbage *g, uint32_t part,
                                            uint64_t *at) {
    const struct nk_table *tab = &g->part[part].tab, *old = &g->part[part].old;
    uint64_t n = tab->dir != NULL ? tab->buckets : 0;
    if (*at < n) return tab;
    *at -= n;
    n = old->dir != NULL ? old->buckets : 0;
    return *at < n ? old : NULL;
}

static enum nk_snap_walked walk_garbage(struct nk_snap *n, struct nk_garbage *g, uint32_t part) {
    uint64_t before = n->stage.front;
    for (uint32_t i = 0; i < GARBAGE_BUCKETS && g->part[part].snap_cut != 0; i++) {
        if (n->stage.front - before >= HOLD_BYTES) break;
        uint64_t at = n->garbage_at;
        struct source src = {.s = &n->db->seg[part],
                             .arena = &g->part[part].arena,
                             .cut = g->part[part].snap_cut,
                             .at = g->part[part].snap_at,
                             .test = true};
        src.t = garbage_table(g, part, &at);
        if (src.t == NULL) {
            g->part[part].snap_cut = 0;
            break;
        }
        const struct nk_bucket *head = nk_table_bucket(src.t, (uint32_t)at);
        uint64_t need = chain_need(&src, head);
        if (need > nk_snap_buf_room(&n->stage)) {
            NK_ASSERT(!nk_snap_buf_empty(&n->stage));
            return NK_SNAP_FULL;
        }
        (void)take_chain(n, &src, head);
        n->garbage_at++;
    }
    return NK_SNAP_ON;
}

/* ---- the whole ---------------------------------------------------------------------------------*/

static void next_segment(struct nk_snap *n) {
    n->garbage_at = 0;
    __atomic_store_n(&n->db->snap_seg, n->db->snap_seg + 1, __ATOMIC_RELEASE);
}

enum nk_snap_walked nk_snap_walk(struct nk_snap *n) {
    struct nk_db *db = n->db;
    uint32_t i = db->snap_seg;
    if (i >= db->segments) {
        __atomic_store_n(&db->snap_garbage, NULL, __ATOMIC_RELEASE);
        return NK_SNAP_END;
    }
    enum nk_snap_walked walked;
    uint64_t cut;
    if (db->snap_garbage != NULL) {
        walked = walk_garbage(n, db->snap_garbage, i);
        cut = db->snap_garbage->part[i].snap_cut;
    } else {
        struct nk_seg *s = &db->seg[i];
        if (!nk_seg_lock(s)) return NK_SNAP_BUSY;
        walked = s->snap_cut != 0 ? walk_live(n, s) : NK_SNAP_ON;
        cut = s->snap_cut;
        nk_seg_work_done(s);
        nk_seg_unlock(s);
    }
    if (cut == 0) next_segment(n);
    return walked;
}
