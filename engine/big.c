/* SPDX-License-Identifier: MIT
 *
 * big.c - values over 64 KiB: blocks of their own, reference-counted, freed piece by piece (L5).
 *
 * A block is a mapping. Releasing the last reference only pushes it on a lock-free stack; unmapping goes
 * on in pieces of 1 MiB from the end of the block, in the FREE step and, so that overwriting large
 * values cannot outrun it, in nk_big_new. Neither runs under a segment's lock.
 */
#include "db.h"

#define PIECE_BYTES (1024u * 1024)
#define PIECE_UNITS (PIECE_BYTES / 65536u)

struct nk_big *nk_big_new(struct nk_db *db, const void *p, uint64_t bytes) {
    bool more = false;
    uint32_t units = (uint32_t)(bytes / 65536) + 1;
    (void)nk_big_free_step(db, units,
                           &more); /* as much as this adds, so that garbage cannot grow */
    uint64_t map_bytes = nk_round_up(sizeof(struct nk_big) + bytes, NK_PAGE);
    struct nk_big *b = nk_mem_map(db->mem, map_bytes, NK_PAGE);
    if (b == NULL) return NULL;
    b->refs = 1;
    b->bytes = bytes;
    b->map_bytes = map_bytes;
    b->next = NULL;
    if (p != NULL) memcpy(b->data, p, bytes);
    __atomic_fetch_add(&db->big_bytes, map_bytes, __ATOMIC_RELAXED);
    nk_db_used_add(db, (int64_t)map_bytes);
    return b;
}

void nk_big_retain(struct nk_big *b) { __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED); }

void nk_big_release(struct nk_db *db, struct nk_big *b) {
    if (__atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    __atomic_fetch_sub(&db->big_bytes, b->map_bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&db->garbage_bytes, b->map_bytes, __ATOMIC_RELAXED);
    nk_db_used_add(db, -(int64_t)b->map_bytes);
    b->next = __atomic_load_n(&db->big_free, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&db->big_free, &b->next, b, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {}
}

/* Unmaps the last piece of a block; true when that was all of it. */
static bool free_piece(struct nk_db *db, struct nk_big *b) {
    uint64_t piece = nk_min_u64(b->map_bytes, PIECE_BYTES);
    b->map_bytes -= piece;
    bool done = b->map_bytes == 0;
    __atomic_fetch_sub(&db->garbage_bytes, piece, __ATOMIC_RELAXED);
    nk_mem_unmap(db->mem, (uint8_t *)b + (done ? 0 : b->map_bytes), piece);
    return done;
}

uint32_t nk_big_free_step(struct nk_db *db, uint32_t pieces, bool *more) {
    uint32_t work = 0;
    if (!nk_spin_try(&db->big_lock, 0)) return 0; /* somebody else is at it */
    while (work < pieces) {
        if (db->big_now == NULL)
            db->big_now = __atomic_exchange_n(&db->big_free, NULL, __ATOMIC_ACQUIRE);
        if (db->big_now == NULL) break;
        struct nk_big *next = db->big_now->next;
        work += (uint32_t)nk_min_u64(PIECE_UNITS, db->big_now->map_bytes / 65536 + 1);
        if (free_piece(db, db->big_now)) db->big_now = next;
    }
    *more = db->big_now != NULL || __atomic_load_n(&db->big_free, __ATOMIC_RELAXED) != NULL;
    nk_spin_unlock(&db->big_lock);
    return work;
}
