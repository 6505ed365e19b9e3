/* SPDX-License-Identifier: MIT
 *
 * table.c - chained hash table with linear hashing (L2).
 *
 * DESIGN
 *   Linear hashing (Litwin 1980): the table has any number n of buckets. A hash is numbered with the
 *   longer mask if that bucket exists already, else with the shorter one. An insert that makes the
 *   load too high splits one bucket, the one at n - (low_mask + 1), and a delete that makes it too
 *   low merges the last one back: no request moves more than two chains, memory does not jump, and
 *   nothing is ever half done.
 *   Buckets lie 64 to a page; the directory of pages doubles (8 bytes per 576 keys are copied then).
 *   A full bucket goes on in an overflow bucket from pages of their own, lowest page first, so that
 *   pages at the end become empty and go back.
 *
 * INVARIANTS
 *   (1) Chains are compact: no empty slot comes before a full one, no overflow bucket is empty.
 *   (2) buckets is between low_mask + 1 and 2 * low_mask + 2.
 *   (3) due of 16 buckets is not later than any expiry of an entry in their chains.
 *
 * NOT HERE  keys and entries (seg.c), the switch of the hash (switch.c).
 */
#include "table.h"

#define DUE_BYTES_PER_PAGE (NK_CHUNK_BUCKETS / NK_DUE_BUCKETS * sizeof(uint32_t))

void nk_table_init(struct nk_table *t, struct nk_over *over, struct nk_pool *pool,
                   nk_table_hash_fn *hash, nk_table_warm_fn *warm, void *ctx) {
    memset(t, 0, sizeof *t);
    t->buckets = 1;
    t->over = over;
    t->pool = pool;
    t->hash = hash;
    t->warm = warm;
    t->ctx = ctx;
}

/* Back to the state after init; the pages are gone already. */
static void table_clear(struct nk_table *t) {
    struct nk_bucket **dir = t->dir;
    uint32_t *due = t->due;
    nk_table_init(t, t->over, t->pool, t->hash, t->warm, t->ctx);
    nk_array_retire(t->pool, dir);
    nk_array_retire(t->pool, due);
}

bool nk_table_drop_page(struct nk_table *t) {
    if (t->dir == NULL) return false;
    uint32_t pages = (t->buckets + NK_CHUNK_BUCKETS - 1) / NK_CHUNK_BUCKETS;
    nk_pool_put(t->pool, t->dir[pages - 1], 0);
    if (pages == 1)
        table_clear(t);
    else
        t->buckets = (pages - 1) * NK_CHUNK_BUCKETS;
    return pages > 1;
}

/* ---- directories -------------------------------------------------------------------------------*/

/* Doubles an array of 8-byte elements; the old one is retired. */
static void *array_double(struct nk_pool *pool, void *old, size_t element) {
    uint64_t cap = nk_array_count(old);
    void *a = nk_array_new(pool, cap == 0 ? 4 : cap * 2, element);
    if (a != NULL && cap != 0) memcpy(a, old, cap * element);
    return a;
}

/* Room in both directories for page number `page`. */
static int dir_reserve(struct nk_table *t, uint32_t page, struct nk_work *w) {
    if (page >= nk_array_count(t->due)) {
        void *due = array_double(t->pool, t->due, DUE_BYTES_PER_PAGE);
        if (due == NULL) return NITRO_ENOMEM;
        nk_array_retire(t->pool, t->due);
        t->due = due;
        w->bytes += page * (uint32_t)DUE_BYTES_PER_PAGE;
    }
    if (page >= nk_array_count(t->dir)) {
        void *dir = array_double(t->pool, t->dir, sizeof *t->dir);
        if (dir == NULL) return NITRO_ENOMEM;
        nk_array_retire(t->pool, t->dir);
        __atomic_store_n(&t->dir, dir, __ATOMIC_RELEASE);
        w->bytes += page * (uint32_t)sizeof *t->dir;
    }
    return NITRO_OK;
}

/* Makes sure that the page of bucket i exists. */
static int bucket_reserve(struct nk_table *t, uint32_t i, struct nk_work *w) {
    uint32_t page = i / NK_CHUNK_BUCKETS;
    if (i % NK_CHUNK_BUCKETS != 0) return NITRO_OK;
    bool had_dir = t->dir != NULL;
    int rc = dir_reserve(t, page, w);
    void *p = NULL;
    if (rc == NITRO_OK) rc = nk_pool_get(t->pool, 0, &p);
    if (rc != NITRO_OK) {
        if (!had_dir) table_clear(t); /* dir == NULL means empty */
        return rc;
    }
    memset(p, 0, NK_PAGE);
    w->bytes += NK_PAGE;
    memset(&t->due[i / NK_DUE_BUCKETS], 0xff, DUE_BYTES_PER_PAGE); /* NK_DUE_NEVER */
    __atomic_store_n(&t->dir[page], p, __ATOMIC_RELEASE);
    return NITRO_OK;
}

int nk_table_open(struct nk_table *t) {
    struct nk_work w = {0};
    return NK_LIKELY(t->dir != NULL) ? NITRO_OK : bucket_reserve(t, 0, &w);
}

int nk_table_open_like(struct nk_table *t, const struct nk_table *old) {
    struct nk_work w = {0};
    uint64_t pages = nk_array_count(old->dir);
    t->dir = nk_array_new(t->pool, pages, sizeof *t->dir);
    t->due = nk_array_new(t->pool, pages, DUE_BYTES_PER_PAGE);
    int rc = t->dir != NULL && t->due != NULL ? bucket_reserve(t, 0, &w) : NITRO_ENOMEM;
    if (rc != NITRO_OK) table_clear(t);
    return rc;
}

/* ---- overflow buckets --------------------------------------------------------------------------*/

void nk_over_init(struct nk_over *o, struct nk_pool *pool) { *o = (struct nk_over){.pool = pool}; }

bool nk_over_drop_page(struct nk_over *o) {
    if (o->pages > 0) nk_pool_put(o->pool, o->dir[--o->pages], 0);
    if (o->pages > 0) return true;
    nk_array_retire(o->pool, o->dir);
    nk_array_retire(o->pool, o->free);
    nk_over_init(o, o->pool);
    return false;
}

static int over_page_add(struct nk_over *o) {
    if (o->pages >= nk_array_count(o->free)) {
        void *f = array_double(o->pool, o->free, sizeof *o->free);
        if (f == NULL) return NITRO_ENOMEM;
        nk_array_retire(o->pool, o->free);
        o->free = f;
    }
    if (o->pages >= nk_array_count(o->dir)) {
        void *d = array_double(o->pool, o->dir, sizeof *o->dir);
        if (d == NULL) return NITRO_ENOMEM;
        nk_array_retire(o->pool, o->dir);
        o->dir = d;
    }
    void *p = NULL;
    int rc = nk_pool_get(o->pool, 0, &p);
    if (rc != NITRO_OK) return rc;
    o->dir[o->pages] = p;
    o->free[o->pages] = ~0ull;
    __atomic_store_n(&o->pages, o->pages + 1, __ATOMIC_RELEASE); /* read by unlocked prefetching */
    return NITRO_OK;
}

/* An empty overflow bucket from the lowest page that has one. */
static int over_get(struct nk_over *o, uint32_t *out) {
    while (o->hint < o->pages && o->free[o->hint] == 0) o->hint++;
    if (o->hint == o->pages) {
        int rc = over_page_add(o);
        if (rc != NITRO_OK) return rc;
    }
    uint32_t bit = (uint32_t)__builtin_ctzll(o->free[o->hint]);
    o->free[o->hint] &= ~(1ull << bit);
    o->used++;
    *out = o->hint * NK_CHUNK_BUCKETS + bit + 1;
    memset(nk_over_bucket(o, *out), 0, sizeof(struct nk_bucket));
    return NITRO_OK;
}

void nk_over_put(struct nk_over *o, uint32_t over) {
    if (over == 0) return;
    uint32_t page = (over - 1) / NK_CHUNK_BUCKETS;
    o->free[page] |= 1ull << ((over - 1) % NK_CHUNK_BUCKETS);
    o->used--;
    if (page < o->hint) o->hint = page;
    while (o->pages > 0 && o->free[o->pages - 1] == ~0ull)
        nk_pool_put(o->pool, o->dir[--o->pages], 0);
    if (o->hint > o->pages) o->hint = o->pages;
}

/* ---- chains ------------------------------------------------------------------------------------*/

static uint32_t bucket_used(const struct nk_bucket *b) {
    return NK_SLOTS - (uint32_t)__builtin_popcount(nk_bucket_match(b, 0));
}

int nk_table_insert_needs(struct nk_table *t, uint64_t hash, bool always, uint32_t *over) {
    int rc = nk_table_open(t);
    if (rc != NITRO_OK) return rc;
    *over = 0;
    if (!always) {
        struct nk_bucket *b = nk_table_head(t, hash);
        while (b->next != 0) b = nk_over_bucket(t->over, b->next);
        if (nk_bucket_match(b, 0) != 0) return NITRO_OK;
    }
    return over_get(t->over, over);
}

/* Appends to the chain that starts at b; the last bucket has room or *over is set. */
static uint32_t chain_append(struct nk_table *t, struct nk_bucket *b, uint8_t tag, uint32_t ref,
                             uint32_t *over, struct nk_slot *at) {
    uint32_t before = 0;
    while (b->next != 0) {
        before += NK_SLOTS;
        b = nk_over_bucket(t->over, b->next);
    }
    uint32_t empty = nk_bucket_match(b, 0);
    if (empty == 0) {
        NK_ASSERT(*over != 0);
        b->next = *over;
        b = nk_over_bucket(t->over, *over);
        *over = 0;
        before += NK_SLOTS;
        empty = 1;
    }
    uint32_t i = (uint32_t)__builtin_ctz(empty);
    b->ref[i] = ref;
    b->tag[i] = tag;
    *at = (struct nk_slot){.bucket = b, .index = i};
    return before + i + 1;
}

uint32_t nk_table_insert(struct nk_table *t, uint64_t hash, uint32_t ref, uint32_t *over,
                         struct nk_slot *at) {
    t->count++;
    return chain_append(t, nk_table_head(t, hash), nk_table_tag(hash), ref, over, at);
}

void nk_table_remove(struct nk_table *t, uint64_t hash, const struct nk_slot *at) {
    struct nk_bucket *last = nk_table_head(t, hash), *before = NULL;
    while (last->next != 0) {
        before = last;
        last = nk_over_bucket(t->over, last->next);
    }
    uint32_t i = bucket_used(last) - 1;
    at->bucket->ref[at->index] = last->ref[i];
    at->bucket->tag[at->index] = last->tag[i];
    last->tag[i] = 0;
    t->count--;
    if (i == 0 && before != NULL) {
        uint32_t over = before->next;
        before->next = 0;
        nk_over_put(t->over, over);
    }
}

void nk_table_find_ref(struct nk_table *t, uint64_t hash, uint32_t ref, struct nk_slot *at) {
    uint8_t tag = nk_table_tag(hash);
    for (struct nk_bucket *b = nk_table_head(t, hash);; b = nk_table_next(t, b)) {
        NK_ASSERT(b != NULL);
        for (uint32_t m = nk_bucket_match(b, tag); m != 0; m &= m - 1) {
            uint32_t i = (uint32_t)__builtin_ctz(m);
            if (b->ref[i] != ref) continue;
            *at = (struct nk_slot){.bucket = b, .index = i};
            return;
        }
    }
}

uint32_t nk_table_chain_count(const struct nk_table *t, const struct nk_bucket *head) {
    uint32_t n = 0;
    for (const struct nk_bucket *b = head; b != NULL; b = nk_table_next(t, b)) n += bucket_used(b);
    return n;
}

/* ---- splits and merges -------------------------------------------------------------------------*/

/* Overflow buckets linked by their `next`, set aside so that a move cannot fail half-way. */
static int over_list_get(struct nk_table *t, uint32_t count, uint32_t *head) {
    *head = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t over = 0;
        int rc = over_get(t->over, &over);
        if (rc != NITRO_OK) return rc;
        nk_over_bucket(t->over, over)->next = *head;
        *head = over;
    }
    return NITRO_OK;
}

static void over_list_put(struct nk_table *t, uint32_t head) {
    while (head != 0) {
        uint32_t next = nk_over_bucket(t->over, head)->next;
        nk_over_put(t->over, head);
        head = next;
    }
}

/* Takes one from the list into *over, cleared. */
static void over_list_take(struct nk_table *t, uint32_t *head, uint32_t *over) {
    if (*over != 0 || *head == 0) return;
    struct nk_bucket *b = nk_over_bucket(t->over, *head);
    *over = *head;
    *head = b->next;
    b->next = 0;
}

/* Prefetches the entries of a chain. */
static void chain_warm(const struct nk_table *t, const struct nk_bucket *b) {
    for (; b != NULL; b = nk_table_next(t, b)) {
        uint32_t used = bucket_used(b);
        for (uint32_t i = 0; i < used; i++) t->warm(t->ctx, b->ref[i]);
    }
}

/* Which entries of a chain move to bucket `to` in a split: bit i of *bits for the first 64, and their
 * number over the whole chain. */
static uint32_t count_movers(struct nk_table *t, const struct nk_bucket *b, uint32_t bit,
                             uint64_t *bits) {
    uint32_t n = 0, at = 0;
    *bits = 0;
    for (; b != NULL; b = nk_table_next(t, b)) {
        uint32_t used = bucket_used(b);
        for (uint32_t i = 0; i < used; i++, at++) {
            bool moves = ((uint32_t)t->hash(t->ctx, b->ref[i]) & bit) != 0;
            if (at < 64) *bits |= (uint64_t)moves << at;
            n += moves;
        }
    }
    return n;
}

/* Cuts a chain off after its first `keep` entries. */
static void chain_truncate(struct nk_table *t, struct nk_bucket *b, uint32_t keep) {
    while (keep > NK_SLOTS) {
        keep -= NK_SLOTS;
        b = nk_over_bucket(t->over, b->next);
    }
    for (uint32_t i = keep; i < NK_SLOTS; i++) b->tag[i] = 0;
    uint32_t rest = b->next;
    b->next = 0;
    over_list_put(t, rest);
}

/* Moves the marked entries of chain `from` to chain `to`, closing the gaps. */
static void split_chain(struct nk_table *t, struct nk_bucket *from, struct nk_bucket *to,
                        uint32_t bit, uint64_t bits, uint32_t list) {
    struct nk_bucket *write = from;
    struct nk_slot at;
    uint32_t over = 0, kept = 0, seen = 0, wi = 0;
    for (struct nk_bucket *b = from; b != NULL; b = nk_table_next(t, b)) {
        uint32_t used = bucket_used(b);
        for (uint32_t i = 0; i < used; i++, seen++) {
            uint32_t ref = b->ref[i];
            bool moves = seen < 64 ? bits >> seen & 1 : ((uint32_t)t->hash(t->ctx, ref) & bit) != 0;
            uint8_t tag = b->tag[i];
            if (moves) {
                over_list_take(t, &list, &over);
                chain_append(t, to, tag, ref, &over, &at);
                continue;
            }
            if (wi == NK_SLOTS) {
                write = nk_over_bucket(t->over, write->next);
                wi = 0;
            }
            write->ref[wi] = ref;
            write->tag[wi++] = tag;
            kept++;
        }
    }
    chain_truncate(t, from, kept);
    nk_over_put(t->over, over);
    over_list_put(t, list);
}

static void due_lower(struct nk_table *t, uint32_t bucket, uint32_t due) {
    uint32_t *d = &t->due[bucket / NK_DUE_BUCKETS];
    if (due < *d) *d = due;
}

static uint32_t overflow_for(uint32_t entries) {
    return entries <= NK_SLOTS ? 0 : (entries - 1) / NK_SLOTS;
}

bool nk_table_grow(struct nk_table *t, struct nk_work *w) {
    if (NK_LIKELY(t->count <= (uint64_t)t->buckets * NK_LOAD_SPLIT)) return false;
    return nk_table_split(t, w);
}

bool nk_table_split(struct nk_table *t, struct nk_work *w) {
    uint32_t to = t->buckets, half = t->low_mask + 1;
    if (to == UINT32_MAX / 2) return false;
    uint32_t from = to - half,
             list = 0;    /* to is half .. 2 * half - 1 here, or 2 * half: see below */
    if (to == 2 * half) { /* a full doubling is done: the next one begins */
        t->low_mask = t->low_mask * 2 + 1;
        half = t->low_mask + 1;
        from = 0;
    }
    if (bucket_reserve(t, to, w) != NITRO_OK) return false;
    struct nk_bucket *src = nk_table_bucket(t, from);
    chain_warm(t, src);
    uint32_t total = nk_table_chain_count(t, src);
    uint64_t bits;
    uint32_t movers = count_movers(t, src, half, &bits);
    if (over_list_get(t, overflow_for(movers), &list) != NITRO_OK) {
        over_list_put(t, list);
        if (to % NK_CHUNK_BUCKETS == 0) nk_pool_put(t->pool, t->dir[to / NK_CHUNK_BUCKETS], 0);
        return false;
    }
    split_chain(t, src, nk_table_bucket(t, to), half, bits, list);
    due_lower(t, to, t->due[from / NK_DUE_BUCKETS]);
    __atomic_store_n(&t->buckets, to + 1, __ATOMIC_RELEASE); /* the page is there: stale_bucket */
    w->buckets += 2;
    w->entries += total;
    return true;
}

/* Appends all entries of chain `from` to chain `to`. */
static void merge_chain(struct nk_table *t, struct nk_bucket *from, struct nk_bucket *to,
                        uint32_t list) {
    struct nk_slot at;
    uint32_t over = 0;
    for (struct nk_bucket *b = from; b != NULL; b = nk_table_next(t, b)) {
        uint32_t used = bucket_used(b);
        for (uint32_t i = 0; i < used; i++) {
            over_list_take(t, &list, &over);
            chain_append(t, to, b->tag[i], b->ref[i], &over, &at);
        }
    }
    chain_truncate(t, from, 0);
    nk_over_put(t->over, over);
    over_list_put(t, list);
}

bool nk_table_shrink(struct nk_table *t, struct nk_work *w) {
    if (NK_LIKELY(t->count >= (uint64_t)t->buckets * NK_LOAD_MERGE) || t->buckets == 1)
        return false;
    uint32_t last = t->buckets - 1;
    if (last == t->low_mask) { /* the doubling is undone: number with the shorter mask again */
        t->low_mask /= 2;
    }
    uint32_t into = last & t->low_mask, list = 0;
    struct nk_bucket *from = nk_table_bucket(t, last), *to = nk_table_bucket(t, into);
    uint32_t moved = nk_table_chain_count(t, from), total = moved + nk_table_chain_count(t, to);
    if (over_list_get(t, overflow_for(total), &list) != NITRO_OK) {
        over_list_put(t, list);
        return false;
    }
    merge_chain(t, from, to, list);
    t->buckets = last;
    due_lower(t, into, t->due[last / NK_DUE_BUCKETS]);
    if (last % NK_CHUNK_BUCKETS == 0) nk_pool_put(t->pool, t->dir[last / NK_CHUNK_BUCKETS], 0);
    w->buckets += 2;
    w->entries += moved;
    return true;
}

/* ---- overflow pages ----------------------------------------------------------------------------*/

/* The bucket whose `next` is `over`. The chain is found by the hash of an entry in it. */
static struct nk_bucket *over_owner(struct nk_table *t, uint32_t over) {
    struct nk_bucket *b = nk_table_head(t, t->hash(t->ctx, nk_over_bucket(t->over, over)->ref[0]));
    while (b->next != over) {
        NK_ASSERT(b->next != 0);
        b = nk_over_bucket(t->over, b->next);
    }
    return b;
}

bool nk_table_tidy(struct nk_table *t, struct nk_work *w) {
    const struct nk_over *o = t->over;
    if (o->pages < 2 || (uint64_t)o->used * 2 > (uint64_t)o->pages * NK_CHUNK_BUCKETS) return false;
    uint32_t page = o->pages - 1, to = 0;
    uint32_t bit = (uint32_t)__builtin_ctzll(~o->free[page]);
    uint32_t from = page * NK_CHUNK_BUCKETS + bit + 1;
    if (over_get(t->over, &to) != NITRO_OK) return false;
    *nk_over_bucket(t->over, to) = *nk_over_bucket(t->over, from);
    over_owner(t, from)->next = to;
    nk_over_put(t->over, from);
    w->buckets += 2;
    return true;
}

void nk_table_note_expiry(struct nk_table *t, uint64_t hash, int64_t expire_ms) {
    uint64_t sec = ((uint64_t)expire_ms + 999) / 1000;
    uint32_t due = sec < NK_DUE_NEVER ? (uint32_t)sec : NK_DUE_NEVER - 1;
    due_lower(t, nk_table_index(t, hash), due);
}
