/* SPDX-License-Identifier: MIT
 *
 * arena.h - one segment's memory for entries: blocks with 4-byte references (L2).
 *
 * WHAT   A block has a reference: 18 bits of span, 14 bits of offset in units. Two classes share the
 *        references: small (unit 4 bytes, blocks below 4 KiB, spans of 4 to 64 KiB) and medium (unit
 *        64 bytes, blocks up to 128 KiB and a bit, spans of 64 KiB to 1 MiB). Reference 0 is none.
 * THREADS    Under the segment's lock, except nk_arena_prefetch.
 * OWNERSHIP  A block belongs to the caller from alloc to free. Its first word is the entry's meta word:
 *            the arena owns its bits FREE and PREV_FREE; the caller writes the others with
 *            nk_arena_stamp.
 * BUILD  -DNK_ARENA_MALLOC puts every block into memory of its own, so that valgrind and ASan see each
 *        one; there is no evacuation then. -DNK_VALGRIND annotates the real arenas.
 */
#ifndef NK_ARENA_H
#define NK_ARENA_H

#include "entry.h"
#include "pool.h"

#define NK_ARENA_BINS 96u
#define NK_ARENA_SMALL_MAX 4080u /* bytes asked for in the small class */
#define NK_ARENA_MEDIUM_MIN                                                                        \
    4096u /* bytes of a medium block, until it is shrunk; small ones stay below, padding included */
#define NK_ARENA_BLOCK_MAX 131094u /* 24 of header, 65,535 of key, 65,535 of value */
#ifdef NK_ARENA_MALLOC
#define NK_ARENA_MEDIUM_UNIT 4u /* a block there has exactly the size of its entry */
#else
#define NK_ARENA_MEDIUM_UNIT 64u
#endif
#define NK_SPANS_MAX (1u << 18)

struct nk_span {
    uint32_t free_units;
    uint8_t order; /* pages = 1 << order */
    uint8_t cls;   /* 0 small, 1 medium */
    uint8_t evacuating;
    uint8_t used; /* 0: this span number is unused; free_units links the unused ones */
};

struct nk_arena_class {
    uint32_t bin[NK_ARENA_BINS]; /* heads of doubly linked lists of free blocks */
    uint64_t bitmap[2];          /* which bins are not empty */
    uint64_t span_bytes;         /* of all spans of the class */
    uint64_t free_bytes;         /* in free blocks, those of an evacuating span included */
    uint64_t credit;             /* bytes freed by users and not yet paid for moving others */
};

struct nk_arena {
    uint64_t *span; /* base address | unit shift; nk_array, indexed by a reference's upper bits */
    struct nk_span *info;
    uint32_t span_count;  /* numbers in use or once used; 0 is never used */
    uint32_t span_unused; /* head of the list of unused numbers, 0 = none */
    uint32_t evac_span;   /* being evacuated, 0 = none */
    uint32_t evac_at;     /* next unit to look at */
    uint32_t evac_scan;   /* where the search for the next victim goes on */
    struct nk_pool *pool;
    struct nk_arena_class cls[2];
};

void nk_arena_init(struct nk_arena *a, struct nk_pool *pool);

/* nk_arena_alloc: a block for an entry of exactly `bytes` (NK_ENTRY_HEADER .. NK_ARENA_BLOCK_MAX), with a
 * provisional meta word of that size. NITRO_OK, NITRO_ENOMEM, NITRO_EBUSY; on error nothing changed. */
NITRO_MUST_CHECK int nk_arena_alloc(struct nk_arena *a, uint32_t bytes, uint32_t *ref);
/* nk_arena_stamp: replaces the meta word; the arena's own bits (PREV_FREE, padding) stay. `meta` must
 * describe an entry of the bytes that were asked for. */
void nk_arena_stamp(struct nk_arena *a, uint32_t ref, uint32_t meta);
/* nk_arena_shrink: the block's entry gets shorter: it is one of exactly `bytes` now, which `meta` describes, and what lies
 * behind them is given back. The reference stays. False, and nothing changed: not now (with NK_ARENA_MALLOC alone). */
NITRO_MUST_CHECK bool nk_arena_shrink(struct nk_arena *a, uint32_t ref, uint32_t meta,
                                      uint32_t bytes);
/* nk_arena_free: gives a block back, whether stamped or not. */
void nk_arena_free(struct nk_arena *a, uint32_t ref);
/* nk_arena_block_bytes: what a block really has, padding included. */
uint32_t nk_arena_block_bytes(const struct nk_arena *a, uint32_t ref);
/* nk_arena_span_bytes, nk_arena_free_bytes: memory held, and free space inside it. */
uint64_t nk_arena_span_bytes(const struct nk_arena *a);
uint64_t nk_arena_free_bytes(const struct nk_arena *a);

/* ---- evacuation of sparse spans ----------------------------------------------------------------*/

/* nk_arena_sparse: true if a span is being evacuated or one that is worth it was found, looking at no more
 * than 64 spans. */
bool nk_arena_sparse(struct nk_arena *a);
/* nk_arena_evac_next: reference of the next live block of the span being evacuated, or 0 when the span is
 * empty and has been given back. Looks at no more than 64 blocks: *more is set if it stopped early. */
uint32_t nk_arena_evac_next(struct nk_arena *a, bool *more);
/* nk_arena_evac_moved: the caller has copied the block elsewhere; its place is dead. */
void nk_arena_evac_moved(struct nk_arena *a, uint32_t ref);
/* nk_arena_evac_abort: no memory: the span goes back into ordinary use. */
void nk_arena_evac_abort(struct nk_arena *a);

/* ---- giving up the whole arena -----------------------------------------------------------------*/

/* nk_arena_walk: calls fn for each live block of one span (for references to large values). */
typedef void nk_arena_walk_fn(void *ctx, const uint8_t *entry);
void nk_arena_walk(struct nk_arena *a, uint32_t span, nk_arena_walk_fn *fn, void *ctx);
/* nk_arena_drop: gives one span (number 1 .. span_count - 1) back. nk_arena_fini: the rest. */
void nk_arena_drop(struct nk_arena *a, uint32_t span);
void nk_arena_fini(struct nk_arena *a);

#ifdef NK_ARENA_MALLOC
NK_INLINE uint8_t *nk_arena_ptr(const struct nk_arena *a, uint32_t ref) {
    return (uint8_t *)(uintptr_t)a->span[ref];
}
#else
#define NK_REF_SPAN(ref) ((ref) >> 14)
#define NK_REF_UNIT(ref) ((ref)&0x3fffu)
#define NK_SPAN_SHIFT_MASK 0xfffull

NK_INLINE uint8_t *nk_arena_ptr(const struct nk_arena *a, uint32_t ref) {
    uint64_t s = a->span[NK_REF_SPAN(ref)];
    return (uint8_t *)(uintptr_t)((s & ~NK_SPAN_SHIFT_MASK) +
                                  ((uint64_t)NK_REF_UNIT(ref) << (s & 63)));
}
#endif

#endif
