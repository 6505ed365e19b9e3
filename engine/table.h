/* SPDX-License-Identifier: MIT
 *
 * table.h - chained hash table with linear hashing: bucket lines of tags and references (L2).
 *
 * WHAT     Maps hashes to 4-byte references; it never looks at keys. The caller walks the chain of a hash
 *          with nk_table_head, nk_bucket_match and nk_table_next and compares keys itself.
 * THREADS  Under the segment's lock. Directories are nk_arrays and pages belong to the pool, so unlocked
 *          prefetching may look at stale ones; a directory only grows.
 * HASH BITS  bucket: 0..31, tag: 56..63.
 */
#ifndef NK_TABLE_H
#define NK_TABLE_H

#include "pool.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NK_SLOTS 12u
#define NK_CHUNK_BUCKETS 64u /* buckets in a page */
#define NK_DUE_BUCKETS 16u   /* buckets that share an earliest expiry */
/* The table splits a bucket when it holds more than this many keys a bucket, merges below the other. */
#define NK_LOAD_SPLIT 9u
#define NK_LOAD_MERGE 5u
/* A chain of more entries than a full bucket and 32 more is no accident (DESIGN: switch the hash). */
#define NK_CHAIN_ATTACK (NK_SLOTS + 32u)
#define NK_DUE_NEVER UINT32_MAX

struct nk_bucket {
    uint8_t tag[NK_SLOTS]; /* 0 = the slot is empty */
    uint32_t next;         /* overflow bucket, 0 = end of the chain */
    uint32_t ref[NK_SLOTS];
};
_Static_assert(sizeof(struct nk_bucket) == NK_CACHE_LINE, "a bucket is a cache line");

/* nk_table_hash_fn: the hash of the entry behind a reference, for splits. nk_table_warm_fn: a prefetch hint
 * for the same. ctx is the table's. */
typedef uint64_t nk_table_hash_fn(void *ctx, uint32_t ref);
typedef void nk_table_warm_fn(void *ctx, uint32_t ref);

/* Overflow buckets of one segment, for its table and for the one that a hash switch is emptying. */
struct nk_over {
    struct nk_bucket **dir; /* nk_array of pages */
    uint64_t *free;         /* nk_array; per page: which of its 64 buckets are free */
    uint32_t pages;         /* pages present */
    uint32_t hint;          /* no page below has a free bucket */
    uint32_t used;          /* buckets in chains or set aside */
    struct nk_pool *pool;
};

struct nk_table {
    struct nk_bucket **dir; /* nk_array of pages; NULL while the table is empty */
    uint32_t buckets;       /* addressable buckets, >= 1 */
    uint32_t low_mask;      /* buckets are numbered with this mask, or the next longer one */
    uint64_t count;         /* entries */
    uint32_t *due; /* per 16 buckets: earliest expiry, seconds since the epoch, rounded up */
    struct nk_over *over;
    struct nk_pool *pool;
    nk_table_hash_fn *hash;
    nk_table_warm_fn *warm;
    void *ctx;
};

/* Where a slot is. */
struct nk_slot {
    struct nk_bucket *bucket;
    uint32_t index; /* 0 .. NK_SLOTS - 1 */
};

/* What one call did, for the bound on work. */
struct nk_work {
    uint32_t buckets, entries, bytes;
};

void nk_table_init(struct nk_table *t, struct nk_over *over, struct nk_pool *pool,
                   nk_table_hash_fn *hash, nk_table_warm_fn *warm, void *ctx);
/* nk_table_drop_page, nk_over_drop_page: give one page back, at the end the directories too, and then
 * return false: the table is empty and as new. For bounded freeing of a table whose entries are gone. */
bool nk_table_drop_page(struct nk_table *t);
void nk_over_init(struct nk_over *o, struct nk_pool *pool);
bool nk_over_drop_page(struct nk_over *o);

/* nk_table_open: makes sure that the first bucket exists. NITRO_OK, NITRO_ENOMEM, NITRO_EBUSY. */
NITRO_MUST_CHECK int nk_table_open(struct nk_table *t);
/* nk_table_open_like: likewise, with directories as large as those of `old`, whose place it will take. */
NITRO_MUST_CHECK int nk_table_open_like(struct nk_table *t, const struct nk_table *old);

NK_INLINE uint8_t nk_table_tag(uint64_t hash) {
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag != 0 ? tag : 1;
}
NK_INLINE uint32_t nk_table_index(const struct nk_table *t, uint64_t hash) {
    uint32_t i = (uint32_t)hash & (t->low_mask * 2 + 1);
    return i < t->buckets ? i : i & t->low_mask;
}
NK_INLINE struct nk_bucket *nk_table_bucket(const struct nk_table *t, uint32_t i) {
    return &t->dir[i / NK_CHUNK_BUCKETS][i % NK_CHUNK_BUCKETS];
}
/* nk_table_head: first bucket of the chain, NULL if the table is empty. */
NK_INLINE struct nk_bucket *nk_table_head(const struct nk_table *t, uint64_t hash) {
    return NK_LIKELY(t->dir != NULL) ? nk_table_bucket(t, nk_table_index(t, hash)) : NULL;
}
NK_INLINE struct nk_bucket *nk_over_bucket(const struct nk_over *o, uint32_t n) {
    return &o->dir[(n - 1) / NK_CHUNK_BUCKETS][(n - 1) % NK_CHUNK_BUCKETS];
}
NK_INLINE struct nk_bucket *nk_table_next(const struct nk_table *t, const struct nk_bucket *b) {
    return b->next != 0 ? nk_over_bucket(t->over, b->next) : NULL;
}

/* nk_bucket_match: bit i is set if slot i has this tag. Tag 0: the empty slots. */
NK_INLINE uint32_t nk_bucket_match(const struct nk_bucket *b, uint8_t tag) {
#ifdef __SSE2__
    __m128i line = _mm_load_si128((const __m128i *)(const void *)b);
    __m128i eq = _mm_cmpeq_epi8(line, _mm_set1_epi8((char)tag));
    return (uint32_t)_mm_movemask_epi8(eq) & ((1u << NK_SLOTS) - 1);
#else
    uint32_t m = 0;
    for (uint32_t i = 0; i < NK_SLOTS; i++) m |= (uint32_t)(b->tag[i] == tag) << i;
    return m;
#endif
}

/* ---- the order of a walk ------------------------------------------------------------------------
 * Buckets are visited in the order of their bit-reversed numbers. In that order a bucket is an interval of
 * places, the reversed low bits of hashes; a split cuts its interval in two and a merge joins two neighbours.
 * So a place means the same before and after, and nothing that has not been visited moves to before it. (The
 * idea is that of Redis's SCAN, by Pieter Noordhuis; here the table grows bucket by bucket, so neighbours may
 * differ in the number of bits they use.) */
#define NK_PLACES (1ull << 32)

/* nk_table_place: of a hash. */
NK_INLINE uint64_t nk_table_place(uint64_t hash) {
    uint32_t v = __builtin_bswap32((uint32_t)hash);
    v = (v & 0x0f0f0f0fu) << 4 | (v >> 4 & 0x0f0f0f0fu);
    v = (v & 0x33333333u) << 2 | (v >> 2 & 0x33333333u);
    return (v & 0x55555555u) << 1 | (v >> 1 & 0x55555555u);
}
/* nk_table_at: the first bucket of the chain whose interval [*first, *end) holds the place. The table is not
 * empty. */
NK_INLINE struct nk_bucket *nk_table_at(const struct nk_table *t, uint64_t place, uint64_t *first,
                                        uint64_t *end) {
    uint32_t i = nk_table_index(t, nk_table_place(place));
    uint32_t half = t->low_mask + 1, bits = (uint32_t)__builtin_popcount(t->low_mask);
    if (i >= half || (uint64_t)i + half < t->buckets) bits++; /* numbered with the longer mask */
    uint64_t width = NK_PLACES >> bits;
    *first = place & ~(width - 1);
    *end = *first + width;
    return nk_table_bucket(t, i);
}

/* nk_table_insert_needs: sets *over to an overflow bucket if an insert of this hash needs one (or `always`),
 * else to 0. NITRO_OK, NITRO_ENOMEM, NITRO_EBUSY. nk_over_put gives it back unused. */
NITRO_MUST_CHECK int nk_table_insert_needs(struct nk_table *t, uint64_t hash, bool always,
                                           uint32_t *over);
void nk_over_put(struct nk_over *o, uint32_t over);
/* nk_table_insert: puts ref into the chain of hash, using `*over` if it must (then sets it to 0). Returns the
 * number of entries in the chain now. The caller counts, and calls nk_table_grow after. */
uint32_t nk_table_insert(struct nk_table *t, uint64_t hash, uint32_t ref, uint32_t *over,
                         struct nk_slot *at);
/* nk_table_remove: empties a slot of the chain of hash; the chain's last entry takes its place. */
void nk_table_remove(struct nk_table *t, uint64_t hash, const struct nk_slot *at);
/* nk_table_find_ref: the slot that holds exactly this reference; it must exist. */
void nk_table_find_ref(struct nk_table *t, uint64_t hash, uint32_t ref, struct nk_slot *at);

/* nk_table_chain_count: entries in the chain that starts at head. */
uint32_t nk_table_chain_count(const struct nk_table *t, const struct nk_bucket *head);

/* nk_table_grow: splits one bucket if the load asks for it. nk_table_shrink: merges one. True when done; out
 * of memory is no error: the next call tries again. Adds to *w. */
bool nk_table_grow(struct nk_table *t, struct nk_work *w);
/* nk_table_split: splits one bucket whatever the load, for who knows that entries will come. The table is not
 * empty. As nk_table_grow otherwise. */
bool nk_table_split(struct nk_table *t, struct nk_work *w);
bool nk_table_shrink(struct nk_table *t, struct nk_work *w);
/* nk_table_tidy: moves one overflow bucket out of the last overflow page if these pages are half empty, so
 * that it can go back. True if it did. Only while no other table uses the overflow buckets. */
bool nk_table_tidy(struct nk_table *t, struct nk_work *w);

/* nk_table_note_expiry: the bucket of hash holds an entry that expires then. */
void nk_table_note_expiry(struct nk_table *t, uint64_t hash, int64_t expire_ms);

/* nk_table_bytes, nk_over_bytes: pages; directories are counted by the pool (array_bytes). */
NK_INLINE uint64_t nk_table_bytes(const struct nk_table *t) {
    uint64_t pages = t->dir == NULL ? 0 : (t->buckets + NK_CHUNK_BUCKETS - 1) / NK_CHUNK_BUCKETS;
    return pages * NK_PAGE;
}
NK_INLINE uint64_t nk_over_bytes(const struct nk_over *o) { return (uint64_t)o->pages * NK_PAGE; }

#endif
