/* SPDX-License-Identifier: MIT
 *
 * pool.h - store-wide page pool: 2 MiB extents cut into power-of-two blocks of 4 KiB to 2 MiB (L2).
 *
 * THREADS   All functions may run at once under the shared gate, except nk_pool_retire_step and
 *           nk_pool_fini (exclusive); nk_pool_step needs no gate. A short leaf lock is inside; get gives up after a bounded spin
 *           (NITRO_EBUSY), put never fails and never waits.
 * OWNERSHIP A block belongs to the caller from get until put. Its contents are undefined, but its memory
 *           stays mapped even after put, until an exclusive retire step: unlocked prefetching may
 *           look at it.
 */
#ifndef NK_POOL_H
#define NK_POOL_H

#include "mem.h"

#define NK_EXTENT_BYTES (2u * 1024 * 1024)
#define NK_EXTENT_PAGES (NK_EXTENT_BYTES / NK_PAGE)
#define NK_ORDER_MAX 9u            /* 4 KiB << 9 = 2 MiB */
#define NK_SPARE_EXTENTS 2u        /* wholly free ones that stay mapped */
#define NK_READY_MIN (256u * 1024) /* bytes of free pages that the pool step keeps resident */
#define NK_READY_MAX (4u * 1024 * 1024)

struct nk_extent;

/* Memory that unlocked prefetching may look at is retired instead of freed; it carries its size. */
struct nk_array_head {
    struct nk_array_head *next; /* in the retire list */
    uint64_t bytes;             /* of the whole allocation */
    uint64_t count;             /* elements */
    uint64_t pad;
};

struct nk_pool {
    struct nk_spin lock;   /* guards the extents and everything in them */
    uint32_t free_extents; /* wholly free ones, atomic for unlocked reading */
    const struct nitro_mem *mem;
    struct nk_extent **map; /* open addressing by address; capacity is a power of two */
    uint32_t map_cap, map_count;
    struct nk_extent *by_order[NK_ORDER_MAX + 2]; /* lists by largest free order + 1; [0] = full */
    struct nk_extent *doomed;                     /* discarded, to be unmapped by a retire step */
    void *deferred;                /* atomic stack of puts that found the lock taken */
    struct nk_array_head *retired; /* atomic stack of arrays to free */
    uint64_t used_bytes;           /* atomic: handed out */
    uint64_t resident_bytes;       /* atomic: touched pages, handed out or not */
    uint64_t extent_bytes;         /* atomic: mapped */
    uint64_t array_bytes;          /* atomic: arrays, retired ones included */
    uint64_t huge_bytes;           /* ask for huge pages beyond this */
    uint32_t taken_since_step;     /* extents opened since the last pool step */
    uint32_t discard_at;           /* where the search for resident free pages is */
    bool step_busy;                /* one pool step at a time */
};

void nk_pool_init(struct nk_pool *p, const struct nitro_mem *mem, uint64_t huge_bytes);
/* nk_pool_fini: unmaps and frees everything. Exclusive. */
void nk_pool_fini(struct nk_pool *p);

/* nk_pool_get: a block of 4096 << order bytes, aligned to its size. NITRO_OK, NITRO_ENOMEM, NITRO_EBUSY. */
NITRO_MUST_CHECK int nk_pool_get(struct nk_pool *p, uint32_t order, void **out);
void nk_pool_put(struct nk_pool *p, void *block, uint32_t order);

/* nk_pool_refill: maps one extent if none is free. Called where no segment is locked, so that a get under
 * a lock hardly ever has to. Failure is left for the get to report. */
void nk_pool_refill(struct nk_pool *p);
NK_INLINE bool nk_pool_low(const struct nk_pool *p) {
    return __atomic_load_n(&p->free_extents, __ATOMIC_RELAXED) == 0;
}

/* nk_pool_step: keeps a 256th of the used memory (NK_READY_MIN .. NK_READY_MAX) free and resident, gives more
 * free pages than that back to the system, and sets free extents beyond NK_SPARE_EXTENTS aside for
 * retiring. Work in pieces of 64 KiB. */
uint32_t nk_pool_step(struct nk_pool *p, uint32_t budget, bool *more);
/* nk_pool_retire_step: unmaps extents and frees arrays that were set aside, up to `budget` of them. */
uint32_t nk_pool_retire_step(struct nk_pool *p, uint32_t budget, bool *more);
bool nk_pool_retire_due(struct nk_pool *p);

/* nk_array_new: `count` zeroed elements behind a head, or NULL. nk_array_retire: freed by a retire step. */
void *nk_array_new(struct nk_pool *p, size_t count, size_t element_bytes);
void nk_array_retire(struct nk_pool *p, void *array);
NK_INLINE uint64_t nk_array_count(const void *array) {
    return array == NULL ? 0 : ((const struct nk_array_head *)array - 1)->count;
}

#endif
