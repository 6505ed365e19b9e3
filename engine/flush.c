/* SPDX-License-Identifier: MIT
 *
 * flush.c - FLUSHALL in O(segments), and the piecewise freeing of what it took out (L5).
 *
 * Under the exclusive gate each segment's tables and arena are moved into a garbage list and replaced by
 * empty ones. The FREE step then lets go of large values (walking only arenas that have some), spans
 * and pages, a piece at a time. Versions go on counting, and a hash switch stays switched.
 */
#include "mem.h"
#include "snap.h"
#include "store.h"

/* A segment whose tables and arena have been taken or freed has empty ones. Versions and the hash go on. */
static void begin_empty(struct nk_seg *s) {
    struct nk_db *db = s->db;
    nk_over_init(&s->over, &db->pool);
    nk_table_init(&s->tab, &s->over, &db->pool, nk_seg_entry_hash, nk_seg_entry_warm, s);
    nk_table_init(&s->old, &s->over, &db->pool, nk_seg_entry_hash_old, nk_seg_entry_warm, s);
    nk_arena_init(&s->arena, &db->pool);
    s->draining = false;
    s->stamp++;
    s->key_bytes = s->value_bytes = s->with_expiry = s->bigs = 0;
    nk_store_count_cached(s, -(int64_t)s->cache.values, -(int64_t)s->cache.bytes);
    nk_seg_report(s);
}

static void take_segment(struct nk_seg *s, struct nk_garbage *g, uint32_t i) {
    struct nk_db *db = s->db;
    __atomic_fetch_add(&db->garbage_bytes, nk_seg_live_bytes(s), __ATOMIC_RELAXED);
    g->part[i].tab = s->tab;
    g->part[i].old = s->old;
    g->part[i].over = s->over;
    g->part[i].arena = s->arena;
    g->part[i].bigs = s->bigs;
    g->part[i].tab.over = g->part[i].old.over = &g->part[i].over; /* a snapshot may still walk it */
    begin_empty(s);
}

/* The record of a flush. */
static int log_flush(struct nk_db *db, uint64_t *lsn) {
    struct nk_record r = {.kind = NK_REC_FLUSH};
    uint64_t bytes = nk_record_max(0, 0);
    int rc = nk_log_begin(db->log, bytes, bytes, 0, true);
    if (rc != NITRO_OK) return rc == NK_ROOM ? NITRO_ELOGFULL : rc;
    nk_log_append(db->log, &r, nk_record_body_crc(&r), NULL);
    nk_store_logged(db, &r);
    nk_log_end(db->log);
    *lsn = r.lsn;
    return NITRO_OK;
}

int nitro_flush(nitro_store *store, struct nitro_info *info) {
    struct nk_db *db = &store->db;
    uint64_t lsn = 0;
    if (db->loading) return NITRO_ELOADING;
    size_t bytes =
        sizeof(struct nk_garbage) + db->segments * sizeof(((struct nk_garbage *)0)->part[0]);
    struct nk_garbage *g = nk_mem_zalloc(db->mem, bytes);
    if (g == NULL) return NITRO_ENOMEM;
    if (db->log != NULL) {
        int rc = log_flush(db, &lsn);
        if (rc != NITRO_OK) {
            nk_mem_free(db->mem, g, bytes);
            return rc;
        }
        db->flush_lsn = lsn;
        for (uint32_t i = 0; i < db->segments; i++) db->seg[i].last_lsn = lsn;
    }
    g->count = db->segments;
    g->span = 1;
    for (uint32_t i = 0; i < db->segments; i++) take_segment(&db->seg[i], g, i);
    nk_store_flushed(db);
    nk_snap_flush(db, g);
    g->next = db->garbage; /* exclusive: no FREE step is running */
    db->garbage = g;
    if (info != NULL) *info = (struct nitro_info){.version = lsn, .shown_lsn = lsn};
    return NITRO_OK;
}

static void release_big(void *ctx, const uint8_t *e) {
    uint32_t meta = nk_entry_meta(e);
    if (!(meta & NK_META_BIG)) return;
    nk_big_release(ctx, nk_entry_big(e + nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta)));
}

/* Frees one span or page of the current part; true when the part is done. */
static bool free_piece(struct nk_db *db, struct nk_garbage *g) {
    struct nk_arena *a = &g->part[g->at].arena;
    if (g->span < a->span_count) {
        if (g->part[g->at].bigs > 0) nk_arena_walk(a, g->span, release_big, db);
        nk_arena_drop(a, g->span++);
        return false;
    }
    nk_arena_fini(a);
    g->span = 1;
    if (nk_table_drop_page(&g->part[g->at].tab)) return false;
    if (nk_table_drop_page(&g->part[g->at].old)) return false;
    return !nk_over_drop_page(&g->part[g->at].over);
}

static uint64_t part_bytes(const struct nk_garbage *g) {
    const struct nk_arena *a = &g->part[g->at].arena;
    return nk_arena_span_bytes(a) - nk_arena_free_bytes(a) + nk_table_bytes(&g->part[g->at].tab) +
           nk_table_bytes(&g->part[g->at].old) + nk_over_bytes(&g->part[g->at].over);
}

uint32_t nk_garbage_step(struct nk_db *db, uint32_t pieces, bool *more) {
    uint32_t work = 0;
    if (!nk_spin_try(&db->garbage_lock, 0)) return 0;
    while (db->garbage != NULL && work < pieces) {
        struct nk_garbage *g = db->garbage;
        if (NK_UNLIKELY(g->at >= nk_snap_free_limit(db, g))) {
            nk_spin_unlock(&db->garbage_lock);
            return work; /* *more is false: the snapshot takes its time */
        }
        uint64_t before = part_bytes(g);
        bool done = free_piece(db, g);
        __atomic_fetch_sub(&db->garbage_bytes, done ? before : before - part_bytes(g),
                           __ATOMIC_RELAXED);
        work++;
        if (!done || ++g->at < g->count) continue;
        db->garbage = g->next;
        size_t bytes = sizeof *g + g->count * sizeof g->part[0];
        nk_mem_free(db->mem, g, bytes);
    }
    *more = db->garbage != NULL;
    nk_spin_unlock(&db->garbage_lock);
    return work;
}

void nk_garbage_free_all(struct nk_db *db) {
    bool more = true;
    while (more) (void)nk_garbage_step(db, UINT32_MAX, &more);
}

void nk_seg_free_all(struct nk_seg *s) {
    for (uint32_t n = 1; s->bigs > 0 && n < s->arena.span_count; n++)
        nk_arena_walk(&s->arena, n, release_big, s->db);
    nk_arena_fini(&s->arena);
    while (nk_table_drop_page(&s->tab)) {}
    while (nk_table_drop_page(&s->old)) {}
    while (nk_over_drop_page(&s->over)) {}
}

static void forget(void *ctx, const uint8_t *e) {
    uint32_t meta = nk_entry_meta(e);
    nk_store_forget(ctx, e, meta, e + nk_entry_key_off(meta) + nk_entry_key_bytes(e, meta));
}

void nk_seg_clear(struct nk_seg *s) {
    for (uint32_t n = 1; n < s->arena.span_count; n++) nk_arena_walk(&s->arena, n, forget, s);
    s->bigs = 0; /* all are released */
    nk_seg_free_all(s);
    begin_empty(s);
}
