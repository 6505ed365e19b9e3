/* SPDX-License-Identifier: MIT
 *
 * arena.c - best-fit allocation with boundary tags inside spans (L2).
 *
 * DESIGN
 *   A span is a run of blocks, live ones (entries) and free ones. A free block:
 *       word 0   FREE | units << 2
 *       word 1   reference of the next free block of its bin, 0 = none
 *       word 2   reference of the previous one, 0 = it is the head
 *       last     units again (only if another block follows it in the span)
 *   The block after a free one has PREV_FREE set, so a block that is freed merges with both
 *   neighbours at once and two free blocks never touch (Knuth, TAOCP vol. 1, 2.5, algorithm C).
 *   Bins: one a unit up to 63 units, then four a doubling. An allocation takes the smallest bin that
 *   serves, the best of a few blocks in an inexact one, and splits off what is left; a remainder too
 *   small to be a block stays as padding, which the entry's meta word records.
 *   A span that becomes one free block goes back to the pool. Spans are small beside what the class
 *   holds (a 256th), so that half a span of slack is little, and so that some spans are much sparser
 *   than the average and cheap to evacuate.
 *
 *   Evacuation: when a class has over 1/32 of free space, a span with over 1/6 of it, and more than the
 *   average, is taken out of the bins; its entries move, one at a time, into holes elsewhere; frees
 *   inside it only mark. A move is worth something only if it fills a hole that a free has left, so
 *   every byte moved is paid for by a byte freed: entries that fit no hole (equal large ones, say) are
 *   not carried from span to span for ever, and a store at rest comes to rest. Measured with 5M overwrites of 16 to 512 bytes over 1M keys: 15 bytes of free
 *   space a key without, 10 with it; pushing further moves ten times as much for one byte.
 *
 * INVARIANTS
 *   (1) Blocks tile each span exactly.
 *   (2) Outside the evacuating span, free blocks never touch, each is in exactly the bin of its size,
 *       and PREV_FREE is set exactly on the blocks that follow one.
 *   (3) free_units of a span is the sum of its free blocks' units.
 *
 * NOT HERE  finding out who refers to a block that moves (seg.c).
 */
#include "arena.h"

#ifdef NK_VALGRIND
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_NOACCESS(p, n) ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p), (void)(n))
#endif

#define FIT_TRIES 8u
#define LARGE_CLASS (2u * 1024 * 1024) /* bytes; see span_order */

static int span_table_grow(struct nk_arena *a, uint32_t limit) {
    uint32_t cap = (uint32_t)nk_array_count(a->span);
    if (a->span_count < cap) return NITRO_OK;
    if (cap >= limit) return NITRO_ENOMEM;
    uint32_t want = cap == 0 ? 8 : cap + cap / 2; /* 16 bytes a span are copied */
    if (want > limit) want = limit;
    uint64_t *span = nk_array_new(a->pool, want, sizeof *span);
    struct nk_span *info = nk_array_new(a->pool, want, sizeof *info);
    if (span == NULL || info == NULL) {
        nk_array_retire(a->pool, span);
        nk_array_retire(a->pool, info);
        return NITRO_ENOMEM;
    }
    if (cap != 0) {
        memcpy(span, a->span, cap * sizeof *span);
        memcpy(info, a->info, cap * sizeof *info);
    }
    nk_array_retire(a->pool, a->span);
    nk_array_retire(a->pool, a->info);
    __atomic_store_n(&a->span, span, __ATOMIC_RELEASE);
    a->info = info;
    return NITRO_OK;
}

/* A number for a new span; the number's info.used is still 0. */
static int span_number(struct nk_arena *a, uint32_t limit, uint32_t *out) {
    if (a->span_unused != 0) {
        *out = a->span_unused;
        return NITRO_OK;
    }
    int rc = span_table_grow(a, limit);
    if (rc == NITRO_OK) *out = a->span_count;
    return rc;
}

static void span_number_take(struct nk_arena *a, uint32_t n) {
    if (n == a->span_unused)
        a->span_unused = a->info[n].free_units;
    else
        __atomic_store_n(&a->span_count, n + 1,
                         __ATOMIC_RELEASE); /* read by unlocked prefetching */
}

static void span_number_release(struct nk_arena *a, uint32_t n) {
    a->info[n] = (struct nk_span){.free_units = a->span_unused};
    a->span[n] = 0;
    a->span_unused = n;
}

void nk_arena_init(struct nk_arena *a, struct nk_pool *pool) {
    memset(a, 0, sizeof *a);
    a->pool = pool;
    a->span_count = 1;
}

uint64_t nk_arena_span_bytes(const struct nk_arena *a) {
    return a->cls[0].span_bytes + a->cls[1].span_bytes;
}

uint64_t nk_arena_free_bytes(const struct nk_arena *a) {
    return a->cls[0].free_bytes + a->cls[1].free_bytes;
}

/* A meta word for an entry of `bytes` that is not written yet, so that the block can be walked over and
 * freed: an empty key and a value that fills it, or a long key for what a value cannot fill. */
static void stamp_provisional(uint8_t *p, uint32_t bytes, uint32_t pad_words) {
    uint32_t value = bytes - NK_ENTRY_HEADER, meta = pad_words << NK_META_PAD_SHIFT;
    if (value > 65535) {
        meta |= NK_META_LONG_KEY;
        nk_store32(p + NK_ENTRY_HEADER, value - 4 - 65535 / 2);
        value = 65535 / 2;
    }
    nk_store32(p, meta | value << NK_META_VALUE_SHIFT);
}

void nk_arena_stamp(struct nk_arena *a, uint32_t ref, uint32_t meta) {
    uint8_t *p = nk_arena_ptr(a, ref);
    nk_store32(p, meta | (nk_load32(p) & (NK_META_PREV_FREE | NK_META_PAD_MASK)));
}

#ifndef NK_ARENA_MALLOC

static const uint8_t class_shift[2] = {2, 6};
static const uint8_t class_min_units[2] = {4, 1};

NK_INLINE uint32_t make_ref(uint32_t span, uint32_t unit) { return span << 14 | unit; }
NK_INLINE uint32_t span_units(const struct nk_span *s) {
    return (NK_PAGE << s->order) >> class_shift[s->cls];
}

/* ---- free blocks and bins ----------------------------------------------------------------------*/

NK_INLINE uint32_t free_units(const uint8_t *p) { return nk_load32(p) >> 2; }
NK_INLINE uint32_t *link_next(uint8_t *p) { return (uint32_t *)(void *)(p + 4); }
NK_INLINE uint32_t *link_prev(uint8_t *p) { return (uint32_t *)(void *)(p + 8); }

static uint32_t bin_of(uint32_t units) {
    if (units < 64) return units;
    uint32_t log = 31 - (uint32_t)__builtin_clz(units); /* 6 .. 14 */
    uint32_t bin = 64 + (log - 6) * 4 + ((units >> (log - 2)) & 3);
    return bin < NK_ARENA_BINS ? bin : NK_ARENA_BINS - 1;
}

/* First non-empty bin at or above `bin`, or NK_ARENA_BINS. */
static uint32_t bin_above(const struct nk_arena_class *c, uint32_t bin) {
    uint64_t lo = bin < 64 ? c->bitmap[0] & (~0ull << bin) : 0;
    if (lo != 0) return (uint32_t)__builtin_ctzll(lo);
    uint64_t hi = bin <= 64 ? c->bitmap[1] : bin < 128 ? c->bitmap[1] & (~0ull << (bin - 64)) : 0;
    return hi != 0 ? 64 + (uint32_t)__builtin_ctzll(hi) : NK_ARENA_BINS;
}

static void bin_insert(struct nk_arena *a, struct nk_arena_class *c, uint32_t ref, uint32_t units) {
    uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t bin = bin_of(units), head = c->bin[bin];
    *link_next(p) = head;
    *link_prev(p) = 0;
    if (head != 0) *link_prev(nk_arena_ptr(a, head)) = ref;
    c->bin[bin] = ref;
    c->bitmap[bin / 64] |= 1ull << (bin % 64);
}

static void bin_remove(struct nk_arena *a, struct nk_arena_class *c, uint32_t ref, uint32_t units) {
    uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t bin = bin_of(units), next = *link_next(p), prev = *link_prev(p);
    if (next != 0) *link_prev(nk_arena_ptr(a, next)) = prev;
    if (prev != 0) {
        *link_next(nk_arena_ptr(a, prev)) = next;
    } else {
        NK_ASSERT(c->bin[bin] == ref);
        c->bin[bin] = next;
        if (next == 0) c->bitmap[bin / 64] &= ~(1ull << (bin % 64));
    }
}

/* Writes a free block's tags, without binning it. The neighbour after it gets PREV_FREE. */
static void tag_free(struct nk_arena *a, uint32_t ref, uint32_t units) {
    const struct nk_span *s = &a->info[NK_REF_SPAN(ref)];
    uint32_t shift = class_shift[s->cls], bytes = units << shift;
    uint8_t *p = nk_arena_ptr(a, ref);
    bool last = NK_REF_UNIT(ref) + units == span_units(s);
    VALGRIND_MAKE_MEM_NOACCESS(p, bytes);
    VALGRIND_MAKE_MEM_UNDEFINED(p, 12);
    nk_store32(p, NK_META_FREE | units << 2);
    if (last) return;
    VALGRIND_MAKE_MEM_UNDEFINED(p + bytes - 4, 4);
    nk_store32(p + bytes - 4, units);
    nk_store32(p + bytes, nk_load32(p + bytes) | NK_META_PREV_FREE);
}

/* ---- spans -------------------------------------------------------------------------------------*/

/* A span for a block of `bytes`: proportional to what the class holds, a few blocks at least. In a large
 * class the share grows with it (64 KiB from 4 MiB on): there slack matters less than a span table that
 * stays in the cache. Not at once: all segments reach a size at about the same time. */
static uint32_t span_order(const struct nk_arena_class *c, uint32_t cls, uint32_t bytes) {
    uint64_t share = c->span_bytes / (cls == 1 ? 8 : 256);
    if (cls == 0 && c->span_bytes >= LARGE_CLASS)
        share = (c->span_bytes >> 14) * (c->span_bytes >> 14);
    uint64_t want = nk_max_u64(share, (uint64_t)bytes * (cls == 0 ? 8 : 4));
    uint32_t lo = cls == 0 ? 0 : 4, hi = cls == 0 ? 4 : 8, order = lo;
    while (order < hi && ((uint64_t)NK_PAGE << (order + 1)) <= want) order++;
    while (order < hi && ((uint64_t)NK_PAGE << order) < bytes) order++;
    return order;
}

static int span_open(struct nk_arena *a, uint32_t cls, uint32_t bytes) {
    struct nk_arena_class *c = &a->cls[cls];
    uint32_t n = 0, order = span_order(c, cls, bytes);
    int rc = span_number(a, NK_SPANS_MAX, &n);
    if (rc != NITRO_OK) return rc;
    void *base = NULL;
    rc = nk_pool_get(a->pool, order, &base);
    if (rc != NITRO_OK) return rc;
    span_number_take(a, n);
    a->info[n] = (struct nk_span){.order = (uint8_t)order, .cls = (uint8_t)cls, .used = 1};
    a->span[n] = (uint64_t)(uintptr_t)base | class_shift[cls];
    uint32_t units = span_units(&a->info[n]);
    a->info[n].free_units = units;
    c->span_bytes += (uint64_t)NK_PAGE << order;
    c->free_bytes += (uint64_t)NK_PAGE << order;
    tag_free(a, make_ref(n, 0), units);
    bin_insert(a, c, make_ref(n, 0), units);
    return NITRO_OK;
}

/* Gives a span without live blocks back; its free block is in no bin any more. */
static void span_close(struct nk_arena *a, uint32_t n) {
    struct nk_span *s = &a->info[n];
    struct nk_arena_class *c = &a->cls[s->cls];
    uint64_t bytes = (uint64_t)NK_PAGE << s->order;
    void *base = (void *)(uintptr_t)(a->span[n] & ~NK_SPAN_SHIFT_MASK);
    c->span_bytes -= bytes;
    c->free_bytes -= bytes;
    VALGRIND_MAKE_MEM_DEFINED(base, bytes);
    nk_pool_put(a->pool, base, s->order);
    span_number_release(a, n);
}

/* ---- alloc and free ----------------------------------------------------------------------------*/

/* The free block to use for `units`, or 0. Exact bins below 64 units; above, the best of a few. */
static uint32_t find_fit(struct nk_arena *a, const struct nk_arena_class *c, uint32_t units) {
    uint32_t bin = bin_of(units);
    if (bin >= 64) {
        uint32_t best = 0, best_units = UINT32_MAX, ref = c->bin[bin];
        for (uint32_t i = 0; ref != 0 && i < FIT_TRIES; i++) {
            uint8_t *p = nk_arena_ptr(a, ref);
            uint32_t u = free_units(p);
            if (u >= units && u < best_units) {
                best = ref;
                best_units = u;
            }
            ref = *link_next(p);
        }
        if (best != 0) return best;
        bin++;
    }
    bin = bin_above(c, bin);
    return bin < NK_ARENA_BINS ? c->bin[bin] : 0;
}

int nk_arena_alloc(struct nk_arena *a, uint32_t bytes, uint32_t *out) {
    NK_ASSERT(bytes >= NK_ENTRY_HEADER && bytes <= NK_ARENA_BLOCK_MAX);
    uint32_t cls = bytes > NK_ARENA_SMALL_MAX, shift = class_shift[cls];
    uint32_t words = (bytes + 3) / 4; /* what the entry needs, before the unit */
    uint32_t units = (uint32_t)(nk_round_up(bytes, 1u << shift) >> shift);
    if (units < class_min_units[cls]) units = class_min_units[cls];
    struct nk_arena_class *c = &a->cls[cls];
    uint32_t ref = find_fit(a, c, units);
    if (ref == 0) {
        int rc = span_open(a, cls, bytes);
        if (rc != NITRO_OK) return rc;
        ref = find_fit(a, c, units);
        NK_ASSERT(ref != 0);
    }
    uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t have = free_units(p), rest = have - units;
    struct nk_span *s = &a->info[NK_REF_SPAN(ref)];
    bin_remove(a, c, ref, have);
    VALGRIND_MAKE_MEM_UNDEFINED(p, (size_t)have << shift);
    if (rest >= class_min_units[cls]) {
        tag_free(a, ref + units, rest);
        bin_insert(a, c, ref + units, rest);
    } else {
        units = have;
        if (NK_REF_UNIT(ref) + have < span_units(s)) {
            uint8_t *next = p + ((size_t)have << shift);
            nk_store32(next, nk_load32(next) & ~NK_META_PREV_FREE);
        }
    }
    s->free_units -= units;
    c->free_bytes -= (uint64_t)units << shift;
    stamp_provisional(p, bytes, cls == 0 ? units - words : 0);
    *out = ref;
    return NITRO_OK;
}

uint32_t nk_arena_block_bytes(const struct nk_arena *a, uint32_t ref) {
    const uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t unit = 1u << (a->span[NK_REF_SPAN(ref)] & 63);
    return (uint32_t)nk_round_up(nk_entry_bytes(p, nk_entry_meta(p)), unit);
}

/* Marks a block of a span that is being evacuated; it joins no bin. */
static void free_evacuating(struct nk_arena *a, uint32_t ref, uint32_t units) {
    uint8_t *p = nk_arena_ptr(a, ref);
    VALGRIND_MAKE_MEM_NOACCESS(p, (size_t)units << class_shift[a->info[NK_REF_SPAN(ref)].cls]);
    VALGRIND_MAKE_MEM_UNDEFINED(p, 4);
    nk_store32(p, NK_META_FREE | units << 2);
}

static void block_free(struct nk_arena *a, uint32_t ref, uint32_t units) {
    struct nk_span *s = &a->info[NK_REF_SPAN(ref)];
    struct nk_arena_class *c = &a->cls[s->cls];
    uint32_t shift = class_shift[s->cls];
    s->free_units += units;
    c->free_bytes += (uint64_t)units << shift;
    if (NK_UNLIKELY(s->evacuating)) {
        free_evacuating(a, ref, units);
        return;
    }
    uint8_t *p = nk_arena_ptr(a, ref);
    if (nk_load32(p) & NK_META_PREV_FREE) {
        uint32_t before = nk_load32(p - 4);
        ref -= before;
        bin_remove(a, c, ref, before);
        units += before;
    }
    uint32_t end = NK_REF_UNIT(ref) + units;
    if (end < span_units(s)) {
        uint8_t *next = nk_arena_ptr(a, ref + units);
        if (nk_load32(next) & NK_META_FREE) {
            uint32_t after = free_units(next);
            bin_remove(a, c, ref + units, after);
            units += after;
        }
    }
    if (units == span_units(s)) {
        span_close(a, NK_REF_SPAN(ref));
        return;
    }
    tag_free(a, ref, units);
    bin_insert(a, c, ref, units);
}

void nk_arena_free(struct nk_arena *a, uint32_t ref) {
    uint32_t bytes = nk_arena_block_bytes(a, ref), cls = a->info[NK_REF_SPAN(ref)].cls;
    a->cls[cls].credit += bytes;
    block_free(a, ref, bytes >> class_shift[cls]);
}

/* What is left over becomes a block of its own for a moment, and that is freed. */
bool nk_arena_shrink(struct nk_arena *a, uint32_t ref, uint32_t meta, uint32_t bytes) {
    uint32_t cls = a->info[NK_REF_SPAN(ref)].cls, shift = class_shift[cls], words = (bytes + 3) / 4;
    uint32_t have = nk_arena_block_bytes(a, ref) >> shift;
    uint32_t units = (uint32_t)(nk_round_up(bytes, 1u << shift) >> shift);
    if (units < class_min_units[cls]) units = class_min_units[cls];
    NK_ASSERT(units <= have);
    if (have - units < class_min_units[cls]) units = have;
    uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t pad = cls == 0 ? units - words : 0;
    nk_store32(p, meta | (nk_load32(p) & NK_META_PREV_FREE) | pad << NK_META_PAD_SHIFT);
    if (units == have) return true;
    nk_store32(p + ((size_t)units << shift), 0);
    a->cls[cls].credit += (uint64_t)(have - units) << shift;
    block_free(a, ref + units, have - units);
    return true;
}

/* ---- evacuation --------------------------------------------------------------------------------*/

/* Worth evacuating: sparser than its class by enough that copying pays, in a class with much slack, and
 * paid for (frees in spans that are gone by now left no holes, so free_bytes is the limit). */
static bool span_is_victim(const struct nk_arena *a, uint32_t n) {
    const struct nk_span *s = &a->info[n];
    if (!s->used) return false;
    const struct nk_arena_class *c = &a->cls[s->cls];
    uint64_t span_bytes = (uint64_t)NK_PAGE << s->order;
    uint64_t span_free = (uint64_t)s->free_units << class_shift[s->cls];
    if (c->free_bytes * 32 < c->span_bytes || c->free_bytes < 2 * span_bytes) return false;
    if (span_bytes - span_free > nk_min_u64(c->credit, c->free_bytes)) return false;
    return span_free * 6 >= span_bytes && span_free * c->span_bytes >= c->free_bytes * span_bytes;
}

/* Takes the free blocks of the span out of the bins. At most 4096 blocks. */
static void evac_begin(struct nk_arena *a, uint32_t n) {
    struct nk_span *s = &a->info[n];
    uint32_t shift = class_shift[s->cls];
    for (uint32_t u = 0; u < span_units(s);) {
        uint8_t *p = nk_arena_ptr(a, make_ref(n, u));
        if (nk_load32(p) & NK_META_FREE) {
            bin_remove(a, &a->cls[s->cls], make_ref(n, u), free_units(p));
            u += free_units(p);
        } else {
            u += nk_arena_block_bytes(a, make_ref(n, u)) >> shift;
        }
    }
    s->evacuating = 1;
    a->evac_span = n;
    a->evac_at = 0;
}

bool nk_arena_sparse(struct nk_arena *a) {
    if (a->evac_span != 0) return true;
    for (uint32_t i = 0; i < 64 && i < a->span_count; i++) {
        if (++a->evac_scan >= a->span_count) a->evac_scan = 1;
        if (a->evac_scan < a->span_count && span_is_victim(a, a->evac_scan)) {
            evac_begin(a, a->evac_scan);
            return true;
        }
    }
    return false;
}

uint32_t nk_arena_evac_next(struct nk_arena *a, bool *more) {
    struct nk_span *s = &a->info[a->evac_span];
    uint32_t shift = class_shift[s->cls];
    *more = true;
    for (uint32_t i = 0; i < 64; i++) {
        if (a->evac_at == span_units(s)) {
            NK_DCHECK(s->free_units == span_units(s));
            span_close(a, a->evac_span);
            a->evac_span = 0;
            *more = false;
            return 0;
        }
        uint32_t ref = make_ref(a->evac_span, a->evac_at);
        uint8_t *p = nk_arena_ptr(a, ref);
        if (nk_load32(p) & NK_META_FREE) {
            a->evac_at += free_units(p);
            continue;
        }
        a->evac_at += nk_arena_block_bytes(a, ref) >> shift;
        return ref;
    }
    return 0;
}

void nk_arena_evac_moved(struct nk_arena *a, uint32_t ref) {
    uint32_t bytes = nk_arena_block_bytes(a, ref), cls = a->info[NK_REF_SPAN(ref)].cls;
    a->cls[cls].credit -= nk_min_u64(a->cls[cls].credit, bytes);
    block_free(a, ref, bytes >> class_shift[cls]);
}

/* Merges what is free and puts it back into the bins. */
void nk_arena_evac_abort(struct nk_arena *a) {
    uint32_t n = a->evac_span;
    struct nk_span *s = &a->info[n];
    uint32_t shift = class_shift[s->cls], total = span_units(s), run = 0;
    s->evacuating = 0;
    a->evac_span = 0;
    for (uint32_t u = 0; u < total;) {
        uint8_t *p = nk_arena_ptr(a, make_ref(n, u));
        uint32_t meta = nk_load32(p);
        bool is_free = (meta & NK_META_FREE) != 0;
        uint32_t units = is_free ? meta >> 2 : nk_arena_block_bytes(a, make_ref(n, u)) >> shift;
        u += units;
        run = is_free ? run + units : 0;
        if (!is_free) nk_store32(p, meta & ~NK_META_PREV_FREE);
        if (run == 0) continue;
        bool next_free = u < total && (nk_load32(nk_arena_ptr(a, make_ref(n, u))) & NK_META_FREE);
        if (next_free) continue;
        if (run == total) {
            span_close(a, n);
            return;
        }
        uint32_t ref = make_ref(n, u - run);
        tag_free(a, ref, run);
        bin_insert(a, &a->cls[s->cls], ref, run);
        if (u < total) { /* the live block that follows keeps the tag that tag_free set */
            u += nk_arena_block_bytes(a, make_ref(n, u)) >> shift;
        }
        run = 0;
    }
}

/* ---- giving up ---------------------------------------------------------------------------------*/

void nk_arena_walk(struct nk_arena *a, uint32_t n, nk_arena_walk_fn *fn, void *ctx) {
    struct nk_span *s = &a->info[n];
    if (!s->used) return;
    uint32_t shift = class_shift[s->cls];
    for (uint32_t u = 0; u < span_units(s);) {
        uint8_t *p = nk_arena_ptr(a, make_ref(n, u));
        uint32_t meta = nk_load32(p);
        if (meta & NK_META_FREE) {
            u += meta >> 2;
            continue;
        }
        fn(ctx, p);
        u += nk_arena_block_bytes(a, make_ref(n, u)) >> shift;
    }
}

void nk_arena_drop(struct nk_arena *a, uint32_t n) {
    struct nk_span *s = &a->info[n];
    if (!s->used) return;
    a->cls[s->cls].free_bytes += (uint64_t)(span_units(s) - s->free_units) << class_shift[s->cls];
    span_close(a, n);
}

#else /* NK_ARENA_MALLOC: a block is an allocation, a reference its number */

int nk_arena_alloc(struct nk_arena *a, uint32_t bytes, uint32_t *out) {
    uint32_t n = 0, size = (uint32_t)nk_round_up(bytes, 4);
    int rc = span_number(a, UINT32_MAX / 2, &n);
    if (rc != NITRO_OK) return rc;
    uint8_t *p = nk_mem_alloc(a->pool->mem, size);
    if (p == NULL) return NITRO_ENOMEM;
    span_number_take(a, n);
    a->info[n].used = 1;
    a->span[n] = (uint64_t)(uintptr_t)p;
    a->cls[0].span_bytes += size;
    stamp_provisional(p, bytes, 0);
    *out = n;
    return NITRO_OK;
}

uint32_t nk_arena_block_bytes(const struct nk_arena *a, uint32_t ref) {
    const uint8_t *p = nk_arena_ptr(a, ref);
    return nk_entry_bytes(p, nk_entry_meta(p));
}

void nk_arena_free(struct nk_arena *a, uint32_t ref) {
    const uint8_t *p = nk_arena_ptr(a, ref);
    uint32_t size = nk_entry_bytes(p, nk_entry_meta(p));
    a->cls[0].span_bytes -= size;
    nk_mem_free(a->pool->mem, nk_arena_ptr(a, ref), size);
    span_number_release(a, ref);
}

bool nk_arena_shrink(struct nk_arena *a, uint32_t ref, uint32_t meta, uint32_t bytes) {
    uint32_t have = nk_arena_block_bytes(a, ref), size = (uint32_t)nk_round_up(bytes, 4);
    uint8_t *p = nk_mem_alloc(a->pool->mem, size);
    if (p == NULL) return false;
    memcpy(p, nk_arena_ptr(a, ref), size);
    nk_mem_free(a->pool->mem, nk_arena_ptr(a, ref), have);
    nk_store32(p, meta);
    a->span[ref] = (uint64_t)(uintptr_t)p;
    a->cls[0].span_bytes -= have - size;
    return true;
}

bool nk_arena_sparse(struct nk_arena *a) {
    (void)a;
    return false;
}

uint32_t nk_arena_evac_next(struct nk_arena *a, bool *more) {
    (void)a;
    *more = false;
    return 0;
}

void nk_arena_evac_moved(struct nk_arena *a, uint32_t ref) { nk_arena_free(a, ref); }
void nk_arena_evac_abort(struct nk_arena *a) { (void)a; }

void nk_arena_walk(struct nk_arena *a, uint32_t n, nk_arena_walk_fn *fn, void *ctx) {
    if (a->info[n].used) fn(ctx, nk_arena_ptr(a, n));
}

void nk_arena_drop(struct nk_arena *a, uint32_t n) {
    if (a->info[n].used) nk_arena_free(a, n);
}

#endif

void nk_arena_fini(struct nk_arena *a) {
    for (uint32_t n = 1; n < a->span_count; n++) nk_arena_drop(a, n);
    nk_array_retire(a->pool, a->span);
    nk_array_retire(a->pool, a->info);
    nk_arena_init(a, a->pool);
}
