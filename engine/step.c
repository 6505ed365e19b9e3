/* SPDX-License-Identifier: MIT
 *
 * step.c - background work in bounded pieces: expiry, reclaiming, freeing, the pool (L5).
 *
 * EXPIRE   No index: each group of 16 buckets knows a time before which nothing in it expires; only due
 *          groups are visited, one group a lock hold.
 * RECLAIM  For each segment in turn: move entries to a new hash, merge buckets, empty the last overflow
 *          page, evacuate sparse spans. Then: evict cached values, if there are too many (cache.c).
 * Each kind is run by one thread at a time; different kinds may run side by side.
 */
#include "cache.h"
#include "db.h"

#define HOLD_ENTRIES 64u
#define HOLD_BYTES 65536u
#define HOLD_MERGES 8u
#define LOOK_GROUPS 4096u /* groups looked at in one lock hold */

/* ---- expiry ------------------------------------------------------------------------------------*/

/* Drops what has expired in one chain and notes the earliest expiry of the rest. It counts what is left
 * instead of reading on until an empty slot: with its last entry a bucket may go, and its page with it,
 * to another segment. */
static void expire_chain(struct nk_seg *s, uint32_t bucket, int64_t now_ms) {
    struct nk_table *t = &s->tab;
    struct nk_bucket *b = nk_table_bucket(t, bucket);
    for (uint32_t i = 0; i < NK_SLOTS && b->tag[i] != 0; i++) nk_seg_entry_warm(s, b->ref[i]);
    uint32_t left = nk_table_chain_count(t, b); /* not looked at yet */
    for (uint32_t i = 0; left > 0; left--) {
        if (i == NK_SLOTS) {
            b = nk_table_next(t, b);
            i = 0;
        }
        const uint8_t *e = nk_arena_ptr(&s->arena, b->ref[i]);
        int64_t at = nk_entry_expiry(e, nk_entry_meta(e));
        s->work.entries++;
        if (at != 0 && at <= now_ms) {
            struct nk_slot slot = {.bucket = b, .index = i};
            if (nk_seg_drop(s, nk_seg_entry_hash(s, b->ref[i]), &slot))
                continue; /* the chain's last entry took the place */
        }
        if (at != 0) nk_table_note_expiry(t, bucket, at);
        i++;
    }
}

/* Visits the next due group of a segment from *group on; false at the segment's end. */
static bool expire_group(struct nk_seg *s, uint32_t *group, int64_t now_ms, uint32_t *work) {
    struct nk_table *t = &s->tab;
    uint64_t now_sec = (uint64_t)now_ms / 1000;
    if (t->dir == NULL || NK_GET(s->with_expiry) == 0) return false;
    for (uint32_t i = 0; i < LOOK_GROUPS; i++, (*group)++) {
        if ((uint64_t)*group * NK_DUE_BUCKETS >= t->buckets) return false;
        if (t->due[*group] > now_sec) continue;
        t->due[*group] = NK_DUE_NEVER;
        uint32_t first = *group * NK_DUE_BUCKETS;
        for (uint32_t k = first; k < first + NK_DUE_BUCKETS && k < t->buckets; k++)
            expire_chain(s, k, now_ms);
        s->work.buckets += NK_DUE_BUCKETS;
        *work += NK_DUE_BUCKETS;
        (*group)++;
        break;
    }
    return true;
}

static uint32_t step_expire(struct nk_db *db, int64_t now_ms, uint32_t budget, bool *more) {
    uint32_t work = 0, visited = 0;
    *more = true;
    while (work < budget) {
        struct nk_seg *s = &db->seg[db->expire_seg];
        bool again = false;
        if (NK_GET(s->with_expiry) != 0 && nk_seg_lock(s)) {
            again = expire_group(s, &db->expire_group, now_ms, &work);
            nk_seg_work_done(s);
            nk_seg_report(s);
            nk_seg_unlock(s);
        }
        if (again) continue;
        db->expire_group = 0;
        db->expire_seg = (db->expire_seg + 1) & db->seg_mask;
        if (++visited >= db->segments) {
            *more = false;
            break;
        }
    }
    return work;
}

/* ---- reclaiming --------------------------------------------------------------------------------*/

/* Copies an entry out of the span that is being evacuated and points its slot at the copy. */
static bool move_entry(struct nk_seg *s, uint32_t ref) {
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    uint32_t keep = NK_META_FREE | NK_META_PREV_FREE | NK_META_PAD_MASK,
             meta = nk_entry_meta(e) & ~keep;
    uint32_t bytes =
        nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta) + nk_entry_tail_bytes(meta);
    uint32_t to = 0;
    if (nk_arena_alloc(&s->arena, bytes, &to) != NITRO_OK) return false;
    nk_arena_stamp(&s->arena, to, meta);
    memcpy(nk_arena_ptr(&s->arena, to) + 4, e + 4, bytes - 4);
    struct nk_slot at;
    nk_table_find_ref(&s->tab, nk_seg_entry_hash(s, ref), ref, &at);
    at.bucket->ref[at.index] = to;
    nk_arena_evac_moved(&s->arena, ref);
    s->work.entries++;
    s->work.bytes += bytes;
    s->stamp++;
    NK_ADD(s->evacuated, 1);
    return true;
}

/* A move for which there is no memory counts as no work, so that the host does not try on and on. */
static uint32_t evacuate(struct nk_seg *s) {
    uint32_t work = 0;
    while (work < HOLD_ENTRIES && s->work.bytes < HOLD_BYTES && nk_arena_sparse(&s->arena)) {
        bool more = false;
        uint32_t ref = nk_arena_evac_next(&s->arena, &more);
        if (ref != 0 && !move_entry(s, ref)) {
            nk_arena_evac_abort(&s->arena);
            break;
        }
        work++;
        if (ref == 0 && more) break; /* looked at enough blocks for one lock hold */
    }
    return work;
}

static uint32_t reclaim_segment(struct nk_seg *s) {
    uint32_t work = 0;
    if (s->draining) return nk_switch_drain(s, NK_DRAIN_STEP_ENTRIES);
    while (work < HOLD_MERGES && nk_table_shrink(&s->tab, &s->work)) {
        NK_ADD(s->merges, 1);
        s->stamp++;
        work++;
    }
    if (work == 0 && nk_table_tidy(&s->tab, &s->work)) {
        s->stamp++;
        work++;
    }
    return work + evacuate(s);
}

static uint32_t step_reclaim(struct nk_db *db, uint32_t budget, bool *more) {
    uint32_t work = 0;
    *more = false;
    for (uint32_t i = 0; i < db->segments && work < budget; i++) {
        struct nk_seg *s = &db->seg[db->reclaim_seg];
        db->reclaim_seg = (db->reclaim_seg + 1) & db->seg_mask;
        if (!nk_seg_lock(s)) {
            *more = true;
            continue;
        }
        uint32_t did = reclaim_segment(s);
        nk_seg_work_done(s);
        nk_seg_report(s);
        nk_seg_unlock(s);
        work += did;
        *more = *more || did > 0;
    }
    return work;
}

/* ---- entry -------------------------------------------------------------------------------------*/

static uint32_t step_free(struct nk_db *db, uint32_t budget, bool *more) {
    bool more_big = false, more_garbage = false;
    uint32_t work = nk_garbage_step(db, budget, &more_garbage);
    work += nk_big_free_step(db, budget - work, &more_big); /* also with 0: it may have more */
    *more = more_big || more_garbage;
    return work;
}

int nitro_step(nitro_store *store, enum nitro_step_kind kind, int64_t now_ms, uint32_t budget,
               struct nitro_step_result *out) {
    struct nk_db *db = &store->db;
    bool more = false;
    uint32_t work = 0;
    switch (kind) {
    case NITRO_STEP_EXPIRE:
        work = step_expire(db, now_ms, budget, &more);
        break;
    case NITRO_STEP_RECLAIM:
        work = step_reclaim(db, budget, &more);
        work += nk_cache_step(db, budget - (uint32_t)nk_min_u64(work, budget), &more);
        break;
    case NITRO_STEP_FREE:
        work = step_free(db, budget, &more);
        break;
    case NITRO_STEP_POOL:
        work = nk_pool_step(&db->pool, budget, &more);
        break;
    case NITRO_STEP_RETIRE:
        work = nk_pool_retire_step(&db->pool, budget, &more);
        break;
    default:
        return NITRO_EARGUMENT;
    }
    *out = (struct nitro_step_result){.work = work, .more = more};
    return NITRO_OK;
}

int nitro_retire_due(nitro_store *store) { return nk_pool_retire_due(&store->db.pool); }
