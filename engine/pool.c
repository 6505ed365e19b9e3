/* SPDX-License-Identifier: MIT
 *
 * pool.c - store-wide page pool (L2).
 *
 * DESIGN
 *   An extent is 2 MiB, aligned to its size, cut up by the buddy rule. What is free stands in one bitmap
 *   an order (bit i of order k: the block at page i << k is free), never in the free pages themselves,
 *   so that their memory can be given back. A second bitmap says which pages may be resident.
 *   Extents hang in lists by their largest free order; a get takes from the list of the smallest order
 *   that serves, so that nearly full extents fill up and empty ones become wholly free.
 *
 *   A put that finds the lock taken writes a link into its block and pushes it on a lock-free stack; the
 *   next holder of the lock takes the stack in. So a put never waits and never fails.
 *
 *   Beyond huge_bytes extents ask for a huge page: at 1M keys half of the time of a pipelined request
 *   went into walking page tables. Such an extent is resident as a whole from its first touch on, until
 *   a part of it is discarded.
 *
 *   Nothing is unmapped while a thread may hold the gate shared: a free extent loses its pages first
 *   (a pool step), and its addresses in a retire step.
 *
 * INVARIANTS
 *   (1) A page is either handed out or under exactly one free bit.
 *   (2) An extent is in list by_order[largest free order + 1].
 *   (3) free_extents counts by_order[NK_ORDER_MAX + 1].
 *   (4) resident_bytes is 4096 times the touched bits of all extents.
 */
#include "pool.h"

#define POOL_SPINS 2000u
#define POPULATE_PAGES 64u /* made resident at once: 256 KiB */
#define WORDS_TOUCHED (NK_EXTENT_PAGES / 64)
/* free bits: orders 0..9 hold 512, 256, … 1 bits; each order starts at a word of its own */
#define FREE_WORDS (8 + 4 + 2 + 7)

struct nk_extent {
    uint8_t *base;
    struct nk_extent *next, *prev;
    uint32_t list; /* index in by_order */
    uint32_t used; /* pages handed out */
    uint32_t touched_pages;
    bool huge; /* asked for a huge page; until a part of it is discarded */
    uint64_t touched[WORDS_TOUCHED];
    uint64_t free[FREE_WORDS];
};

struct deferred {
    struct deferred *next;
    uint64_t order;
};

static uint32_t order_word(uint32_t order) {
    static const uint8_t first[NK_ORDER_MAX + 1] = {0, 8, 12, 14, 15, 16, 17, 18, 19, 20};
    return first[order];
}

static bool free_bit(const struct nk_extent *x, uint32_t order, uint32_t i) {
    return x->free[order_word(order) + i / 64] >> (i % 64) & 1;
}
static void flip_free(struct nk_extent *x, uint32_t order, uint32_t i) {
    x->free[order_word(order) + i / 64] ^= 1ull << (i % 64);
}

/* First free block of exactly this order, or -1. */
static int first_free(const struct nk_extent *x, uint32_t order) {
    uint32_t bits = NK_EXTENT_PAGES >> order;
    for (uint32_t w = 0; w * 64 < bits; w++) {
        uint64_t v = x->free[order_word(order) + w];
        if (v != 0) return (int)(w * 64) + __builtin_ctzll(v);
    }
    return -1;
}

static uint32_t largest_free(const struct nk_extent *x) {
    for (uint32_t k = NK_ORDER_MAX + 1; k-- > 0;)
        if (first_free(x, k) >= 0) return k + 1;
    return 0;
}

/* ---- lists and the address map -----------------------------------------------------------------*/

static void list_remove(struct nk_pool *p, struct nk_extent *x) {
    if (x->prev != NULL)
        x->prev->next = x->next;
    else
        p->by_order[x->list] = x->next;
    if (x->next != NULL) x->next->prev = x->prev;
    if (x->list == NK_ORDER_MAX + 1) __atomic_fetch_sub(&p->free_extents, 1, __ATOMIC_RELAXED);
}

static void list_insert(struct nk_pool *p, struct nk_extent *x, uint32_t list) {
    x->list = list;
    x->prev = NULL;
    x->next = p->by_order[list];
    if (x->next != NULL) x->next->prev = x;
    p->by_order[list] = x;
    if (list == NK_ORDER_MAX + 1) __atomic_fetch_add(&p->free_extents, 1, __ATOMIC_RELAXED);
}

static void list_update(struct nk_pool *p, struct nk_extent *x) {
    uint32_t list = largest_free(x);
    if (list == x->list) return;
    list_remove(p, x);
    list_insert(p, x, list);
}

static uint32_t map_slot(const struct nk_pool *p, const uint8_t *base) {
    uint64_t h = ((uint64_t)(uintptr_t)base / NK_EXTENT_BYTES) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 32) & (p->map_cap - 1);
}

static struct nk_extent *map_find(const struct nk_pool *p, const void *block) {
    uint8_t *base = (uint8_t *)((uintptr_t)block & ~(uintptr_t)(NK_EXTENT_BYTES - 1));
    for (uint32_t i = map_slot(p, base);; i = (i + 1) & (p->map_cap - 1)) {
        NK_ASSERT(p->map[i] != NULL);
        if (p->map[i]->base == base) return p->map[i];
    }
}

static void map_put(struct nk_pool *p, struct nk_extent *x) {
    uint32_t i = map_slot(p, x->base);
    while (p->map[i] != NULL) i = (i + 1) & (p->map_cap - 1);
    p->map[i] = x;
    p->map_count++;
}

/* Removes x and moves later entries of the probe run back (no tombstones). */
static void map_remove(struct nk_pool *p, struct nk_extent *x) {
    uint32_t mask = p->map_cap - 1, i = map_slot(p, x->base);
    while (p->map[i] != x) i = (i + 1) & mask;
    for (uint32_t j = (i + 1) & mask; p->map[j] != NULL; j = (j + 1) & mask) {
        uint32_t home = map_slot(p, p->map[j]->base);
        if (((j - home) & mask) >= ((j - i) & mask)) {
            p->map[i] = p->map[j];
            i = j;
        }
    }
    p->map[i] = NULL;
    p->map_count--;
}

/* Room for one more extent in the map: 8 bytes per 2 MiB, so even its doubling is a small copy. */
static bool map_reserve(struct nk_pool *p) {
    if ((p->map_count + 1) * 2 <= p->map_cap) return true;
    uint32_t old_cap = p->map_cap, cap = old_cap == 0 ? 64 : old_cap * 2;
    struct nk_extent **old = p->map, **map = nk_mem_zalloc(p->mem, cap * sizeof *map);
    if (map == NULL) return false;
    p->map = map;
    p->map_cap = cap;
    p->map_count = 0;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i] != NULL) map_put(p, old[i]);
    nk_mem_free(p->mem, old, old_cap * sizeof *old);
    return true;
}

/* ---- residence ---------------------------------------------------------------------------------*/

static void touch(struct nk_pool *p, struct nk_extent *x, uint32_t page, uint32_t pages) {
    uint64_t added = 0;
    for (uint32_t i = page; i < page + pages; i++) {
        uint64_t bit = 1ull << (i % 64);
        added += (x->touched[i / 64] & bit) == 0;
        x->touched[i / 64] |= bit;
    }
    x->touched_pages += (uint32_t)added;
    __atomic_fetch_add(&p->resident_bytes, added * NK_PAGE, __ATOMIC_RELAXED);
}

static void untouch(struct nk_pool *p, struct nk_extent *x, uint32_t page, uint32_t pages) {
    uint64_t removed = 0;
    for (uint32_t i = page; i < page + pages; i++) {
        uint64_t bit = 1ull << (i % 64);
        removed += (x->touched[i / 64] & bit) != 0;
        x->touched[i / 64] &= ~bit;
    }
    x->touched_pages -= (uint32_t)removed;
    __atomic_fetch_sub(&p->resident_bytes, removed * NK_PAGE, __ATOMIC_RELAXED);
}

/* ---- blocks inside an extent -------------------------------------------------------------------*/

/* Takes a block of `order` from x, which has one of at least that order free. */
static void *take_block(struct nk_pool *p, struct nk_extent *x, uint32_t order) {
    uint32_t k = order;
    int at = first_free(x, k);
    while (at < 0) at = first_free(x, ++k);
    uint32_t i = (uint32_t)at;
    flip_free(x, k, i);
    while (k > order) { /* keep the left half, free the right one */
        k--;
        i *= 2;
        flip_free(x, k, i + 1);
    }
    x->used += 1u << order;
    if (x->huge)
        touch(p, x, 0, NK_EXTENT_PAGES); /* one page */
    else
        touch(p, x, i << order, 1u << order);
    __atomic_fetch_add(&p->used_bytes, (uint64_t)NK_PAGE << order, __ATOMIC_RELAXED);
    list_update(p, x);
    return x->base + ((size_t)i << order) * NK_PAGE;
}

/* Sets the free bit of a block, merged with its buddies as far as they are free. */
static void free_merged(struct nk_extent *x, uint32_t order, uint32_t i) {
    while (order < NK_ORDER_MAX && free_bit(x, order, i ^ 1)) {
        flip_free(x, order, i ^ 1);
        i /= 2;
        order++;
    }
    flip_free(x, order, i);
}

static void return_block(struct nk_pool *p, void *block, uint32_t order) {
    struct nk_extent *x = map_find(p, block);
    uint32_t i = (uint32_t)(((uint8_t *)block - x->base) / NK_PAGE) >> order;
    NK_DCHECK(!free_bit(x, order, i));
    x->used -= 1u << order;
    __atomic_fetch_sub(&p->used_bytes, (uint64_t)NK_PAGE << order, __ATOMIC_RELAXED);
    free_merged(x, order, i);
    list_update(p, x);
}

static void drain_deferred(struct nk_pool *p) {
    struct deferred *d = __atomic_load_n((struct deferred **)&p->deferred, __ATOMIC_RELAXED);
    if (NK_LIKELY(d == NULL)) return;
    d = __atomic_exchange_n((struct deferred **)&p->deferred, NULL, __ATOMIC_ACQUIRE);
    while (d != NULL) {
        struct deferred *next = d->next;
        return_block(p, d, (uint32_t)d->order);
        d = next;
    }
}

/* ---- extents -----------------------------------------------------------------------------------*/

static bool huge_regime(const struct nk_pool *p) {
    return __atomic_load_n(&p->extent_bytes, __ATOMIC_RELAXED) >= p->huge_bytes;
}

static struct nk_extent *extent_new(struct nk_pool *p) {
    struct nk_extent *x = nk_mem_zalloc(p->mem, sizeof *x);
    if (x == NULL) return NULL;
    x->base = nk_mem_map(p->mem, NK_EXTENT_BYTES, NK_EXTENT_BYTES);
    if (x->base == NULL) {
        nk_mem_free(p->mem, x, sizeof *x);
        return NULL;
    }
    return x;
}

static void extent_unmap(struct nk_pool *p, struct nk_extent *x) {
    nk_mem_unmap(p->mem, x->base, NK_EXTENT_BYTES);
    nk_mem_free(p->mem, x, sizeof *x);
}

static void extent_free(struct nk_pool *p, struct nk_extent *x) {
    extent_unmap(p, x);
    __atomic_fetch_sub(&p->extent_bytes, NK_EXTENT_BYTES, __ATOMIC_RELAXED);
}

/* Under the lock. False without memory for the map; the caller then still owns x. */
static bool extent_add(struct nk_pool *p, struct nk_extent *x) {
    if (!map_reserve(p)) return false;
    map_put(p, x);
    flip_free(x, NK_ORDER_MAX, 0);
    list_insert(p, x, NK_ORDER_MAX + 1);
    __atomic_fetch_add(&p->extent_bytes, NK_EXTENT_BYTES, __ATOMIC_RELAXED);
    return true;
}

/* Maps an extent outside the lock and adds it. */
static int extent_open(struct nk_pool *p) {
    struct nk_extent *x = extent_new(p);
    if (x == NULL) return NITRO_ENOMEM;
    if (huge_regime(p))
        x->huge = nk_mem_advise(p->mem, x->base, NK_EXTENT_BYTES, NITRO_ADVISE_HUGE) == 0;
    int rc = NITRO_EBUSY;
    if (nk_spin_try(&p->lock, POOL_SPINS)) {
        rc = extent_add(p, x) ? NITRO_OK : NITRO_ENOMEM;
        nk_spin_unlock(&p->lock);
    }
    if (rc != NITRO_OK) extent_unmap(p, x);
    return rc;
}

void nk_pool_refill(struct nk_pool *p) {
    if (nk_pool_low(p)) (void)extent_open(p); /* best effort: nk_pool_get reports what is missing */
}

/* ---- get and put -------------------------------------------------------------------------------*/

/* Of the first few wholly free extents the one with the most (or fewest) resident pages. */
static struct nk_extent *free_extent(struct nk_pool *p, bool most) {
    struct nk_extent *best = p->by_order[NK_ORDER_MAX + 1], *x = best;
    for (uint32_t i = 0; x != NULL && i < 8; i++, x = x->next)
        if (most ? x->touched_pages > best->touched_pages : x->touched_pages < best->touched_pages)
            best = x;
    return best;
}

static struct nk_extent *pick_extent(struct nk_pool *p, uint32_t order) {
    for (uint32_t l = order + 1; l <= NK_ORDER_MAX; l++)
        if (p->by_order[l] != NULL) return p->by_order[l];
    return free_extent(p, true);
}

int nk_pool_get(struct nk_pool *p, uint32_t order, void **out) {
    for (;;) {
        if (!nk_spin_try(&p->lock, POOL_SPINS)) return NITRO_EBUSY;
        drain_deferred(p);
        struct nk_extent *x = pick_extent(p, order);
        if (x != NULL) {
            if (x->list == NK_ORDER_MAX + 1)
                __atomic_fetch_add(&p->taken_since_step, 1, __ATOMIC_RELAXED);
            *out = take_block(p, x, order);
            nk_spin_unlock(&p->lock);
            return NITRO_OK;
        }
        nk_spin_unlock(&p->lock);
        int rc = extent_open(p);
        if (rc != NITRO_OK) return rc;
    }
}

void nk_pool_put(struct nk_pool *p, void *block, uint32_t order) {
    if (NK_LIKELY(nk_spin_try(&p->lock, 64))) {
        return_block(p, block, order);
        drain_deferred(p);
        nk_spin_unlock(&p->lock);
        return;
    }
    struct deferred *d = block;
    d->order = order;
    d->next = __atomic_load_n((struct deferred **)&p->deferred, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n((struct deferred **)&p->deferred, &d->next, d, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {}
}

/* ---- steps -------------------------------------------------------------------------------------*/

/* A step works on a free block outside the lock: it takes the block's free bit, so that nobody is handed
 * the block, and puts it back afterwards. */
struct claim {
    struct nk_extent *x;
    uint32_t order, index;
};

static void claim_take(struct nk_pool *p, const struct claim *c) {
    flip_free(c->x, c->order, c->index);
    list_update(p, c->x);
}

static void claim_return(struct nk_pool *p, const struct claim *c) {
    free_merged(c->x, c->order, c->index);
    list_update(p, c->x);
}

static uint32_t touched_in(const struct nk_extent *x, uint32_t page, uint32_t pages) {
    uint32_t n = 0;
    for (uint32_t i = page; i < page + pages; i++) n += x->touched[i / 64] >> (i % 64) & 1;
    return n;
}

/* A free block of x in which some page is resident (or, with `resident` false, some is not). */
static bool find_block(struct nk_extent *x, bool resident, struct claim *c) {
    for (uint32_t k = NK_ORDER_MAX + 1; k-- > 0;) {
        uint32_t words = k < 3 ? 8u >> k : 1;
        for (uint32_t w = 0; w < words; w++) {
            for (uint64_t v = x->free[order_word(k) + w]; v != 0; v &= v - 1) {
                uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(v);
                uint32_t n = touched_in(x, i << k, 1u << k);
                if (resident ? n == 0 : n == 1u << k) continue;
                *c = (struct claim){.x = x, .order = k, .index = i};
                return true;
            }
        }
    }
    return false;
}

/* Free pages that are kept resident, so that requests meet no page faults: a 256th of what is used. */
static uint64_t ready_bytes(const struct nk_pool *p) {
    uint64_t share = __atomic_load_n(&p->used_bytes, __ATOMIC_RELAXED) / 256;
    return share < NK_READY_MIN ? NK_READY_MIN : nk_min_u64(share, NK_READY_MAX);
}

static uint64_t free_resident(const struct nk_pool *p) {
    uint64_t used = __atomic_load_n(&p->used_bytes, __ATOMIC_RELAXED);
    uint64_t resident = __atomic_load_n(&p->resident_bytes, __ATOMIC_RELAXED);
    return resident > used ? resident - used : 0;
}

/* Beyond huge_bytes: whether the extent that is being filled is nearly full and the next one still cold. Its
 * first touch would clear 2 MiB in the middle of a request. */
static bool huge_page_wanted(struct nk_pool *p) {
    if (!huge_regime(p) || !nk_spin_try(&p->lock, POOL_SPINS)) return false;
    const struct nk_extent *next = free_extent(p, true);
    bool filling = p->by_order[NK_ORDER_MAX] != NULL || p->by_order[NK_ORDER_MAX - 1] != NULL;
    bool wanted = !filling && next != NULL && next->huge && next->touched_pages == 0;
    nk_spin_unlock(&p->lock);
    return wanted;
}

/* The free block to make resident next: one that pick_extent will soon hand out. */
static bool find_cold(struct nk_pool *p, struct claim *c) {
    uint32_t first =
        free_resident(p) < ready_bytes(p) ? 1 : NK_ORDER_MAX + 1; /* huge_page_wanted */
    for (uint32_t l = first; l <= NK_ORDER_MAX + 1; l++) {
        struct nk_extent *x = p->by_order[l];
        for (uint32_t i = 0; x != NULL && i < 4; i++, x = x->next)
            if (x->touched_pages < NK_EXTENT_PAGES && find_block(x, false, c)) return true;
    }
    return false;
}

/* Makes up to 256 KiB of free pages resident, or a huge one. Returns 64 KiB pieces of work, 0 = nothing to do. */
static uint32_t populate_piece(struct nk_pool *p) {
    struct claim c;
    if (!nk_spin_try(&p->lock, POOL_SPINS)) return 0;
    if (!find_cold(p, &c)) {
        nk_spin_unlock(&p->lock);
        return 0;
    }
    claim_take(p, &c);
    uint32_t page = c.index << c.order, end = page + (1u << c.order);
    while (touched_in(c.x, page, 1) == 1) page++;
    uint32_t pages = end - page < POPULATE_PAGES || c.x->huge ? end - page : POPULATE_PAGES;
    nk_spin_unlock(&p->lock);
    (void)nk_mem_advise(p->mem, c.x->base + (size_t)page * NK_PAGE, (size_t)pages * NK_PAGE,
                        NITRO_ADVISE_POPULATE);
    nk_spin_lock(&p->lock); /* the claim must be undone */
    touch(p, c.x, page, pages);
    claim_return(p, &c);
    nk_spin_unlock(&p->lock);
    return (pages + 15) / 16;
}

/* The next extent with resident free pages, looking at no more than SCAN_SLOTS of the map from where the
 * last call stopped. */
#define SCAN_SLOTS 64u
static struct nk_extent *next_dirty_extent(struct nk_pool *p) {
    for (uint32_t i = 0; i < SCAN_SLOTS && i < p->map_cap; i++) {
        struct nk_extent *x = p->map[p->discard_at++ & (p->map_cap - 1)];
        if (x != NULL && x->touched_pages > x->used) {
            p->discard_at--; /* there may be more in it */
            return x;
        }
    }
    return NULL;
}

/* More free pages are resident than reuse is likely to want. */
static bool too_dirty(const struct nk_pool *p) {
    uint64_t used = __atomic_load_n(&p->used_bytes, __ATOMIC_RELAXED);
    uint64_t fresh = huge_regime(p) ? NK_EXTENT_BYTES : 0; /* a huge page that is being filled */
    return free_resident(p) > used / 256 + ready_bytes(p) + NK_EXTENT_BYTES / 4 + fresh;
}

/* Gives the pages of one free block back. Returns 64 KiB pieces of work; 0: looked, found none, or the
 * system refused (then there is no point in trying on and on). */
static uint32_t discard_block(struct nk_pool *p) {
    struct claim c;
    if (!nk_spin_try(&p->lock, POOL_SPINS)) return 0;
    drain_deferred(p);
    struct nk_extent *x = next_dirty_extent(p);
    bool found = x != NULL && find_block(x, true, &c);
    bool huge = found && x->huge;
    if (found) {
        claim_take(p, &c);
        x->huge = false;
    }
    nk_spin_unlock(&p->lock);
    if (!found) return 0;
    uint32_t page = c.index << c.order, pages = 1u << c.order;
    if (huge) /* or the kernel may join it again, and make the discarded part resident */
        (void)nk_mem_advise(p->mem, x->base, NK_EXTENT_BYTES, NITRO_ADVISE_SMALL);
    int rc = nk_mem_advise(p->mem, x->base + (size_t)page * NK_PAGE, (size_t)pages * NK_PAGE,
                           NITRO_ADVISE_DISCARD);
    nk_spin_lock(&p->lock); /* as above */
    if (rc == 0) untouch(p, x, page, pages);
    claim_return(p, &c);
    nk_spin_unlock(&p->lock);
    return rc == 0 ? (pages + 15) / 16 : 0;
}

/* Gives a wholly free extent's pages back and sets it aside for unmapping. */
static bool doom_extent(struct nk_pool *p) {
    if (!nk_spin_try(&p->lock, POOL_SPINS)) return false;
    struct nk_extent *x = p->free_extents > NK_SPARE_EXTENTS ? free_extent(p, false) : NULL;
    struct claim c = {.x = x, .order = NK_ORDER_MAX, .index = 0};
    if (x != NULL) claim_take(p, &c);
    nk_spin_unlock(&p->lock);
    if (x == NULL) return false;
    (void)nk_mem_advise(p->mem, x->base, NK_EXTENT_BYTES, NITRO_ADVISE_DISCARD);
    nk_spin_lock(&p->lock); /* as above */
    untouch(p, x, 0, NK_EXTENT_PAGES);
    list_remove(p, x);
    map_remove(p, x);
    x->next = p->doomed;
    __atomic_store_n(&p->doomed, x, __ATOMIC_RELAXED);
    nk_spin_unlock(&p->lock);
    return true;
}

uint32_t nk_pool_step(struct nk_pool *p, uint32_t budget, bool *more) {
    uint32_t work = 0;
    *more = false;
    if (__atomic_exchange_n(&p->step_busy, true, __ATOMIC_ACQUIRE)) return 0;
    bool growing = __atomic_exchange_n(&p->taken_since_step, 0, __ATOMIC_RELAXED) != 0;
    /* extents in hand: a get need not map one on the path of a request */
    while (__atomic_load_n(&p->free_extents, __ATOMIC_RELAXED) < NK_SPARE_EXTENTS)
        if (extent_open(p) != NITRO_OK) break;
    while (work < budget && (free_resident(p) < ready_bytes(p) || huge_page_wanted(p))) {
        uint32_t did = populate_piece(p);
        if (did == 0) break;
        work += did;
    }
    while (!growing && work < budget && doom_extent(p)) work += NK_EXTENT_BYTES / 65536;
    for (uint32_t idle = 0; !growing && work < budget && too_dirty(p);) {
        uint32_t did = discard_block(p);
        work += did;
        idle = did == 0 ? idle + SCAN_SLOTS : 0;
        if (idle > p->map_cap) break; /* once round without finding any */
    }
    *more = work >= budget;
    __atomic_store_n(&p->step_busy, false, __ATOMIC_RELEASE);
    return work;
}

bool nk_pool_retire_due(struct nk_pool *p) {
    return __atomic_load_n(&p->doomed, __ATOMIC_RELAXED) != NULL ||
           __atomic_load_n(&p->retired, __ATOMIC_RELAXED) != NULL;
}

static void array_free(struct nk_pool *p, struct nk_array_head *h) {
    __atomic_fetch_sub(&p->array_bytes, h->bytes, __ATOMIC_RELAXED);
    nk_mem_free(p->mem, h, h->bytes);
}

static struct nk_extent *pop_doomed(struct nk_pool *p) {
    nk_spin_lock(&p->lock); /* only a pool step can hold it now */
    struct nk_extent *x = p->doomed;
    if (x != NULL) __atomic_store_n(&p->doomed, x->next, __ATOMIC_RELAXED);
    nk_spin_unlock(&p->lock);
    return x;
}

uint32_t nk_pool_retire_step(struct nk_pool *p, uint32_t budget, bool *more) {
    uint32_t work = 0;
    for (; p->retired != NULL && work < budget; work++) {
        struct nk_array_head *h = p->retired;
        p->retired = h->next;
        array_free(p, h);
    }
    for (; work < budget; work++) {
        struct nk_extent *x = pop_doomed(p);
        if (x == NULL) break;
        extent_free(p, x);
    }
    *more = nk_pool_retire_due(p);
    return work;
}

/* ---- arrays ------------------------------------------------------------------------------------*/

void *nk_array_new(struct nk_pool *p, size_t count, size_t element_bytes) {
    size_t bytes = sizeof(struct nk_array_head) + count * element_bytes;
    struct nk_array_head *h = nk_mem_zalloc(p->mem, bytes);
    if (h == NULL) return NULL;
    h->bytes = bytes;
    h->count = count;
    __atomic_fetch_add(&p->array_bytes, bytes, __ATOMIC_RELAXED);
    return h + 1;
}

void nk_array_retire(struct nk_pool *p, void *array) {
    if (array == NULL) return;
    struct nk_array_head *h = (struct nk_array_head *)array - 1;
    h->next = __atomic_load_n(&p->retired, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&p->retired, &h->next, h, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {}
}

/* ---- init and fini -----------------------------------------------------------------------------*/

void nk_pool_init(struct nk_pool *p, const struct nitro_mem *mem, uint64_t huge_bytes) {
    memset(p, 0, sizeof *p);
    p->mem = mem;
    p->huge_bytes = huge_bytes;
}

void nk_pool_fini(struct nk_pool *p) {
    for (uint32_t i = 0; i < p->map_cap; i++)
        if (p->map[i] != NULL) extent_free(p, p->map[i]);
    nk_mem_free(p->mem, p->map, p->map_cap * sizeof *p->map);
    bool more = true;
    while (more) nk_pool_retire_step(p, UINT32_MAX, &more);
    memset(p, 0, sizeof *p);
}
