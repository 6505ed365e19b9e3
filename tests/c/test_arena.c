/* SPDX-License-Identifier: MIT
 *
 * test_arena.c - entries of every size come and go, and the invariants of arena.c hold all the while.
 *
 * HOW   A shadow knows each live block: its size and the byte it is filled with. Every so often all spans
 *       are walked block by block and compared with the bins and the counters (check_arena). With
 *       -DNK_ARENA_MALLOC there are no spans to walk and nothing to evacuate; the contents, the sizes
 *       and the accounts are tested just the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "arena.h"
#include "support.h"

struct world {
    struct test_mem mem;
    struct nk_pool pool;
    struct nk_arena arena;
};
static struct test_rng rng; /* one seed for the whole program */

static void world_open(struct world *w) {
    test_mem_init(&w->mem);
    nk_pool_init(&w->pool, &w->mem.table, UINT64_MAX);
    nk_arena_init(&w->arena, &w->pool);
}

static void world_close(struct world *w) {
    nk_arena_fini(&w->arena);
    assert_int_equal(nk_arena_span_bytes(&w->arena), 0);
    assert_int_equal(nk_arena_free_bytes(&w->arena), 0);
    assert_int_equal(w->pool.used_bytes, 0);
    nk_pool_fini(&w->pool);
    test_mem_check_empty(&w->mem);
}

/* ---- the shadow --------------------------------------------------------------------------------*/

struct shadow {
    uint32_t ref, bytes; /* ref 0: no block; bytes as asked for */
    uint8_t fill;
    bool stamped;
};

/* A short key and a value of the rest; a long key where a value cannot fill the entry. */
static uint32_t meta_for(uint32_t bytes, uint32_t *key) {
    uint32_t rest = bytes - NK_ENTRY_HEADER;
    if (rest <= 65535) {
        *key = rest < 255 ? rest / 2 : 255;
        return nk_entry_key_bits(*key) | (rest - *key) << NK_META_VALUE_SHIFT;
    }
    *key = rest - 4 - 60000;
    return NK_META_LONG_KEY | 60000u << NK_META_VALUE_SHIFT;
}

static void fill_block(struct world *w, struct shadow *s) {
    uint8_t *p = nk_arena_ptr(&w->arena, s->ref);
    uint32_t key = 0, meta = meta_for(s->bytes, &key);
    nk_arena_stamp(&w->arena, s->ref, meta);
    memset(p + 4, s->fill, s->bytes - 4);
    if (meta & NK_META_LONG_KEY) nk_store32(p + NK_ENTRY_HEADER, key);
    s->stamped = true;
}

static void check_block(struct world *w, const struct shadow *s) {
    const uint8_t *p = nk_arena_ptr(&w->arena, s->ref);
    uint32_t block = nk_arena_block_bytes(&w->arena, s->ref);
    if (block < s->bytes || block >= s->bytes + NK_CACHE_LINE + 16)
        test_fail("a block for %u bytes has %u", s->bytes, block);
    if (!s->stamped) return;
    uint32_t from = nk_entry_meta(p) & NK_META_LONG_KEY ? NK_ENTRY_HEADER + 4 : 4;
    for (uint32_t i = from; i < s->bytes; i++)
        if (p[i] != s->fill) test_fail("byte %u of a block of %u was overwritten", i, s->bytes);
}

static void take(struct world *w, struct shadow *s, uint32_t bytes, bool stamp) {
    *s = (struct shadow){.bytes = bytes, .fill = (uint8_t)test_rng_next(&rng)};
    assert_int_equal(nk_arena_alloc(&w->arena, bytes, &s->ref), NITRO_OK);
    assert_int_not_equal(s->ref, 0);
    if (stamp) fill_block(w, s);
    check_block(w, s);
}

static void give(struct world *w, struct shadow *s) {
    check_block(w, s);
    nk_arena_free(&w->arena, s->ref);
    s->ref = 0;
}

/* Makes a stamped block shorter; what is left of it stays where it is, and as it was. Not one with a long key, whose length
 * would have to change, too. */
static void shrink(struct world *w, struct shadow *s, uint32_t bytes) {
    uint32_t key, meta = meta_for(bytes, &key), ref = s->ref;
    check_block(w, s);
    assert_true(nk_arena_shrink(&w->arena, ref, meta, bytes));
    s->bytes = bytes;
    assert_int_equal(nk_entry_meta(nk_arena_ptr(&w->arena, ref)) &
                         ~(NK_META_PREV_FREE | NK_META_PAD_MASK),
                     meta);
    check_block(w, s);
}

/* Mostly small, some medium, and now and then exactly at an edge of the classes. */
static uint32_t random_bytes(void) {
    static const uint32_t edge[] = {12,   13,    15,    16,    17,     4076,  4079, 4080,
                                    4081, 4092,  4095,  4096,  4097,   4159,  4160, 4161,
                                    8192, 65547, 65548, 65549, 131093, 131094};
    uint64_t r = test_rng_below(&rng, 100);
    if (r < 10) return edge[test_rng_below(&rng, sizeof edge / sizeof edge[0])];
    if (r < 80) return 12 + (uint32_t)test_rng_below(&rng, 600);
    if (r < 95) return 12 + (uint32_t)test_rng_below(&rng, NK_ARENA_SMALL_MAX - 12);
    return 12 + (uint32_t)test_rng_below(&rng, NK_ARENA_BLOCK_MAX - 11);
}

/* ---- the invariants ----------------------------------------------------------------------------*/

#ifndef NK_ARENA_MALLOC
static uint32_t shift_of(uint32_t cls) { return cls == 0 ? 2 : 6; }

struct census {
    uint64_t free_blocks[2], free_bytes[2], span_bytes[2], live_blocks, live_bytes;
};

/* Invariants (1), (2) and (3) of one span. */
static void check_span(struct world *w, uint32_t n, struct census *c) {
    const struct nk_span *s = &w->arena.info[n];
    uint32_t shift = shift_of(s->cls), total = (NK_PAGE << s->order) >> shift, free_units = 0,
             u = 0;
    bool before_free = false;
    while (u < total) {
        const uint8_t *p = nk_arena_ptr(&w->arena, n << 14 | u);
        uint32_t meta = nk_load32(p), units;
        if (!s->evacuating && ((meta & NK_META_PREV_FREE) != 0) != before_free &&
            !(meta & NK_META_FREE))
            test_fail("PREV_FREE of a block at unit %u of span %u is wrong", u, n);
        if (meta & NK_META_FREE) {
            units = meta >> 2;
            if (before_free && !s->evacuating) test_fail("two free blocks touch in span %u", n);
            if (u + units < total && !s->evacuating &&
                nk_load32(p + ((size_t)units << shift) - 4) != units)
                test_fail("the boundary tag of a free block in span %u is wrong", n);
            free_units += units;
            if (!s->evacuating) c->free_blocks[s->cls]++;
        } else {
            units = nk_arena_block_bytes(&w->arena, n << 14 | u) >> shift;
            c->live_blocks++;
            c->live_bytes += (uint64_t)units << shift;
        }
        before_free = (meta & NK_META_FREE) != 0;
        u += units;
    }
    if (u != total) test_fail("the blocks of span %u do not end with it", n);
    if (free_units != s->free_units) test_fail("free_units of span %u is wrong", n);
    if (free_units == total && !s->evacuating) test_fail("span %u is empty but still there", n);
    c->free_bytes[s->cls] += (uint64_t)free_units << shift;
    c->span_bytes[s->cls] += (uint64_t)NK_PAGE << s->order;
}

/* Bins hold free blocks only, of rising sizes, and a bitmap bit stands for a bin that is not empty. */
static uint64_t check_bins(struct world *w, uint32_t cls) {
    const struct nk_arena_class *c = &w->arena.cls[cls];
    uint64_t blocks = 0;
    uint32_t largest_before = 0;
    for (uint32_t b = 0; b < NK_ARENA_BINS; b++) {
        uint32_t prev = 0, largest = largest_before;
        if ((c->bin[b] != 0) != (c->bitmap[b / 64] >> (b % 64) & 1))
            test_fail("the bitmap and bin %u disagree", b);
        for (uint32_t ref = c->bin[b]; ref != 0; blocks++) {
            const uint8_t *p = nk_arena_ptr(&w->arena, ref);
            uint32_t units = nk_load32(p) >> 2;
            if (!(nk_load32(p) & NK_META_FREE)) test_fail("bin %u holds a live block", b);
            if (nk_load32(p + 8) != prev) test_fail("a link back in bin %u is wrong", b);
            if (units <= largest_before || (b < 64 && units != b))
                test_fail("a block of %u units is in bin %u", units, b);
            if (units > largest) largest = units;
            prev = ref;
            ref = nk_load32(p + 4);
        }
        largest_before = largest;
    }
    return blocks;
}

/* Everything that the file header of arena.c promises; `live` blocks are known to the shadow. */
static void check_arena(struct world *w, uint64_t live) {
    struct census c = {0};
    for (uint32_t n = 1; n < w->arena.span_count; n++)
        if (w->arena.info[n].used) check_span(w, n, &c);
    assert_int_equal(c.live_blocks, live);
    for (uint32_t cls = 0; cls < 2; cls++) {
        assert_int_equal(check_bins(w, cls), c.free_blocks[cls]);
        assert_int_equal(w->arena.cls[cls].free_bytes, c.free_bytes[cls]);
        assert_int_equal(w->arena.cls[cls].span_bytes, c.span_bytes[cls]);
    }
    assert_int_equal(w->pool.used_bytes, c.span_bytes[0] + c.span_bytes[1]);
}
#else
static void check_arena(struct world *w, uint64_t live) {
    uint64_t used = 0;
    for (uint32_t n = 1; n < w->arena.span_count; n++) used += w->arena.info[n].used;
    assert_int_equal(used, live);
}
#endif

/* ---- alloc and free ----------------------------------------------------------------------------*/

#define SHADOWS 3000u

/* Random entries come, are stamped or not, and go; nothing overlaps and the spans stay in order. */
static void arena__random_allocs_and_frees__invariants_hold(void **state) {
    (void)state;
    static struct shadow shadow[SHADOWS];
    struct world w;
    uint64_t live = 0, rounds = test_scale(60000);
    memset(shadow, 0, sizeof shadow);
    world_open(&w);
    for (uint64_t i = 0; i < rounds; i++) {
        struct shadow *s = &shadow[test_rng_below(&rng, SHADOWS)];
        if (s->ref != 0) {
            give(&w, s);
            live--;
        } else {
            take(&w, s, random_bytes(), test_rng_below(&rng, 4) != 0);
            live++;
        }
        if (i % 500 == 0) check_arena(&w, live);
    }
    for (uint32_t i = 0; i < SHADOWS; i++) {
        if (shadow[i].ref == 0) continue;
        give(&w, &shadow[i]);
        if (--live % 500 == 0) check_arena(&w, live);
    }
    assert_int_equal(nk_arena_span_bytes(&w.arena), 0);
    world_close(&w);
}

/* Shrunk blocks of both classes, between blocks that come and go, and inside a span that is being evacuated. */
static void arena_shrink__random_blocks__invariants_hold(void **state) {
    (void)state;
    static struct shadow shadow[SHADOWS];
    struct world w;
    uint64_t live = 0, shrunk = 0, rounds = test_scale(60000);
    memset(shadow, 0, sizeof shadow);
    world_open(&w);
    for (uint64_t i = 0; i < rounds; i++) {
        struct shadow *s = &shadow[test_rng_below(&rng, SHADOWS)];
        if (s->ref == 0) {
            take(&w, s, random_bytes(), true);
            live++;
        } else if (s->bytes <= 65535 && test_rng_below(&rng, 3) != 0) {
            shrink(&w, s, 12 + (uint32_t)test_rng_below(&rng, s->bytes - 11));
            shrunk++;
        } else {
            give(&w, s);
            live--;
        }
        if (i % 500 == 0) check_arena(&w, live);
        if (i % 2000 == 0 && nk_arena_sparse(&w.arena)) check_arena(&w, live);
        if (i % 2000 == 1500 && w.arena.evac_span != 0) nk_arena_evac_abort(&w.arena);
    }
    assert_true(shrunk > rounds / 10);
    for (uint32_t i = 0; i < SHADOWS; i++)
        if (shadow[i].ref != 0) give(&w, &shadow[i]);
    world_close(&w);
}

/* A long entry that becomes a short one gives the rest back at once, down to the unit of its class. */
static void arena_shrink__long_entry__memory_is_free(void **state) {
    (void)state;
    static const struct {
        uint32_t from, to, left;
    } cases[] = {{4000, 30, 32}, {100, 92, 100}, {100, 84, 84}, {4200, 30, 64}, {4200, 4200, 4224}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        struct shadow s, behind;
        world_open(&w);
        take(&w, &s, cases[i].from, true);
        take(&w, &behind, cases[i].from, true);
        shrink(&w, &s, cases[i].to);
#ifndef NK_ARENA_MALLOC
        assert_int_equal(nk_arena_block_bytes(&w.arena, s.ref), cases[i].left);
#endif
        check_arena(&w, 2);
        check_block(&w, &behind);
        give(&w, &s);
        give(&w, &behind);
        world_close(&w);
    }
}

/* A block that was never stamped has its full size, can be walked over and freed; at every size. */
static void arena_alloc__every_size__provisional_block_is_exact(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    for (uint32_t bytes = NK_ENTRY_HEADER; bytes <= NK_ARENA_BLOCK_MAX; bytes++) {
        struct shadow s, next;
        take(&w, &s, bytes, false);
        take(&w, &next, 64, true);
        const uint8_t *p = nk_arena_ptr(&w.arena, s.ref);
        assert_in_range(nk_entry_bytes(p, nk_entry_meta(p)), bytes, bytes + 31);
        give(&w, &s);
        give(&w, &next);
        if (bytes > 4300 && bytes < 65500) bytes += 60; /* between the edges: a sample */
        if (bytes > 65600 && bytes < 131000) bytes += 60;
    }
    check_arena(&w, 0);
    world_close(&w);
}

/* The stamp of a new meta word keeps the arena's own bits: padding, and whether the block before is free. */
static void arena_stamp__padded_block_after_a_free_one__keeps_the_arenas_bits(void **state) {
    (void)state;
    struct world w;
    struct shadow a, b, c;
    world_open(&w);
    take(&w, &a, 100, true);
    take(&w, &b, 12, true); /* the least block is 16 bytes: padded */
    take(&w, &c, 100, true);
    uint32_t before = nk_arena_block_bytes(&w.arena, b.ref);
    give(&w, &a);
    fill_block(&w, &b);
    assert_int_equal(nk_arena_block_bytes(&w.arena, b.ref), before);
    check_arena(&w, 2);
    give(&w, &b);
    give(&w, &c);
    world_close(&w);
}

/* Freeing in any order merges neighbours on both sides, until the span goes back. */
static void arena_free__any_order__merges_until_the_span_is_gone(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    for (uint32_t round = 0; round < 24; round++) {
        struct shadow s[4];
        uint32_t order[4] = {0, 1, 2, 3}, r = round;
        for (uint32_t i = 4; i > 1; r /= i, i--) { /* the round-th permutation */
            uint32_t swap = order[i - 1];
            order[i - 1] = order[r % i];
            order[r % i] = swap;
        }
        for (uint32_t i = 0; i < 4; i++) take(&w, &s[i], 200 + i * 4, true);
        for (uint32_t i = 0; i < 4; i++) {
            give(&w, &s[order[i]]);
            check_arena(&w, 3 - i);
        }
        assert_int_equal(nk_arena_span_bytes(&w.arena), 0);
    }
    assert_true(w.arena.span_count <= 5); /* numbers are used again */
    world_close(&w);
}

/* Without memory an alloc fails and changes nothing, whichever call was refused. */
static void arena_alloc__nth_call_refused__nothing_changed(void **state) {
    (void)state;
    static const uint32_t sizes[] = {12, 500, 5000, NK_ARENA_BLOCK_MAX};
    for (uint64_t n = 1; n < 40; n++) {
        struct world w;
        struct shadow s[40] = {{0}};
        uint64_t live = 0;
        world_open(&w);
        test_mem_fail(&w.mem, n, n);
        for (uint32_t i = 0; i < 40; i++) {
            uint32_t ref = 0, bytes = sizes[i % 4];
            if (nk_arena_alloc(&w.arena, bytes, &ref) == NITRO_OK) {
                s[i] = (struct shadow){.ref = ref, .bytes = bytes, .fill = (uint8_t)i};
                fill_block(&w, &s[i]);
                live++;
            } else {
                assert_int_equal(ref, 0);
            }
            check_arena(&w, live);
        }
        assert_int_equal(live + w.mem.failed, 40);
        for (uint32_t i = 0; i < 40; i++)
            if (s[i].ref != 0) give(&w, &s[i]);
        world_close(&w);
    }
}

static void count_entry(void *ctx, const uint8_t *entry) {
    assert_false(nk_entry_meta(entry) & NK_META_FREE);
    ++*(uint32_t *)ctx;
}

/* A walk visits each live block once; dropping all spans leaves nothing. */
static void arena_walk_and_drop__live_blocks__each_visited_once(void **state) {
    (void)state;
    struct world w;
    struct shadow s[400];
    uint32_t seen = 0;
    world_open(&w);
    for (uint32_t i = 0; i < 400; i++) take(&w, &s[i], random_bytes(), true);
    for (uint32_t i = 0; i < 400; i += 3) give(&w, &s[i]);
    for (uint32_t n = 1; n < w.arena.span_count; n++)
        nk_arena_walk(&w.arena, n, count_entry, &seen);
    assert_int_equal(seen, 400 - 134);
    for (uint32_t n = 1; n < w.arena.span_count; n++) nk_arena_drop(&w.arena, n);
    assert_int_equal(nk_arena_span_bytes(&w.arena), 0);
    world_close(&w);
}

/* ---- evacuation --------------------------------------------------------------------------------*/

#ifndef NK_ARENA_MALLOC /* there every block has memory of its own: nothing is sparse */

static struct shadow *find_shadow(struct shadow *s, uint32_t count, uint32_t ref) {
    for (uint32_t i = 0; i < count; i++)
        if (s[i].ref == ref) return &s[i];
    test_fail("the arena wants to move a block that does not exist");
}

/* Moves one block as step.c does. */
static void move(struct world *w, struct shadow *s) {
    uint32_t to = 0;
    assert_int_equal(nk_arena_alloc(&w->arena, s->bytes, &to), NITRO_OK);
    uint32_t key = 0;
    nk_arena_stamp(&w->arena, to, meta_for(s->bytes, &key));
    memcpy(nk_arena_ptr(&w->arena, to) + 4, nk_arena_ptr(&w->arena, s->ref) + 4, s->bytes - 4);
    nk_arena_evac_moved(&w->arena, s->ref);
    s->ref = to;
}

/* Fills the arena with `count` entries and frees all but every `keep`-th. */
static uint64_t make_sparse(struct world *w, struct shadow *s, uint32_t count, uint32_t keep) {
    uint64_t live = 0;
    for (uint32_t i = 0; i < count; i++)
        take(w, &s[i], 16 + (uint32_t)test_rng_below(&rng, 500), true);
    for (uint32_t i = 0; i < count; i++) {
        if (i % keep == 0)
            live++;
        else
            give(w, &s[i]);
    }
    check_arena(w, live);
    return live;
}

/* Moves until nothing is sparse any more; returns how many blocks moved. */
static uint64_t evacuate(struct world *w, struct shadow *s, uint32_t count, uint64_t live) {
    uint64_t moved = 0, idle = 0, calls = 0;
    while (idle <= w->arena.span_count / 64 + 1) {
        if (++calls > 200000) test_fail("evacuation never comes to an end");
        if (!nk_arena_sparse(&w->arena)) {
            idle++;
            continue;
        }
        idle = 0;
        bool more = false;
        uint32_t ref = nk_arena_evac_next(&w->arena, &more);
        assert_int_equal(ref == 0 && !more, w->arena.evac_span == 0);
        if (ref == 0) continue;
        move(w, find_shadow(s, count, ref));
        if (++moved % 200 == 0) check_arena(w, live);
    }
    check_arena(w, live);
    return moved;
}

#define MANY 6000u
/* After nine in ten entries are gone, evacuation gives most of the memory back and harms no entry. */
static void arena_evacuation__nine_in_ten_freed__memory_is_given_back(void **state) {
    (void)state;
    static struct shadow s[MANY];
    struct world w;
    world_open(&w);
    uint64_t live = make_sparse(&w, s, MANY, 10), before = nk_arena_span_bytes(&w.arena);
    assert_true(evacuate(&w, s, MANY, live) > 0);
    uint64_t used = nk_arena_span_bytes(&w.arena) - nk_arena_free_bytes(&w.arena);
    assert_true(nk_arena_span_bytes(&w.arena) < before / 4);
    assert_true(nk_arena_free_bytes(&w.arena) < used / 2);
    for (uint32_t i = 0; i < MANY; i++)
        if (s[i].ref != 0) give(&w, &s[i]);
    world_close(&w);
}

/* Entries that leave holes too small for another of them are not moved from span to span for ever. */
static void arena_evacuation__equal_large_entries__comes_to_an_end(void **state) {
    (void)state;
    static const uint32_t sizes[] = {900,   1600,  3300,  4080,  20000,
                                     26000, 33000, 44000, 66000, 131094};
    for (uint32_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct shadow s[60];
        struct world w;
        world_open(&w);
        for (uint32_t i = 0; i < 60; i++) take(&w, &s[i], sizes[k], true);
        uint64_t moved = evacuate(&w, s, 60, 60);
        assert_true(moved <= 60 * 4); /* nothing was freed, so there is hardly anything to gain */
        for (uint32_t i = 0; i < 60; i++) give(&w, &s[i]);
        world_close(&w);
    }
}

/* An evacuation that is given up anywhere leaves a span that works like any other. */
static void arena_evac_abort__after_any_number_of_moves__span_is_ordinary_again(void **state) {
    (void)state;
    static struct shadow s[1500];
    for (uint32_t moves = 0; moves < 40; moves += 3) {
        struct world w;
        world_open(&w);
        uint64_t live = make_sparse(&w, s, 1500, 4);
        assert_true(nk_arena_sparse(&w.arena));
        uint32_t span = w.arena.evac_span;
        for (uint32_t i = 0, k = 0; i < moves && w.arena.evac_span == span; i++) {
            bool more = false;
            uint32_t ref = nk_arena_evac_next(&w.arena, &more);
            if (ref != 0) move(&w, find_shadow(s, 1500, ref));
            while (k < 1500 && (s[k].ref == 0 || s[k].ref >> 14 != span)) k++;
            if (k < 1500 && i % 4 == 3) { /* a user frees a block that has not moved yet */
                give(&w, &s[k]);
                live--;
            }
            check_arena(&w, live);
        }
        if (w.arena.evac_span != 0) nk_arena_evac_abort(&w.arena);
        assert_int_equal(w.arena.evac_span, 0);
        check_arena(&w, live);
        for (uint32_t i = 0; i < 1500; i++)
            if (s[i].ref != 0) give(&w, &s[i]);
        world_close(&w);
    }
}

/* Aborting with every live block gone gives the span back. */
static void arena_evac_abort__span_is_empty__goes_back(void **state) {
    (void)state;
    static struct shadow s[1500];
    struct world w;
    world_open(&w);
    uint64_t live = make_sparse(&w, s, 1500, 4), before = nk_arena_span_bytes(&w.arena);
    assert_true(nk_arena_sparse(&w.arena));
    uint32_t span = w.arena.evac_span;
    for (uint32_t i = 0; i < 1500; i++) {
        if (s[i].ref == 0 || s[i].ref >> 14 != span) continue;
        give(&w, &s[i]);
        live--;
    }
    nk_arena_evac_abort(&w.arena);
    assert_false(w.arena.info[span].used);
    assert_true(nk_arena_span_bytes(&w.arena) < before);
    check_arena(&w, live);
    world_close(&w); /* with the rest still in it: fini drops it */
}

/* One look for a victim, and one for a block to move, stop after 64. */
static void arena_evac_next__span_of_free_marks__looks_at_64_blocks(void **state) {
    (void)state;
    static struct shadow s[MANY];
    struct world w;
    world_open(&w);
    for (uint32_t i = 0; i < MANY; i++) take(&w, &s[i], 16, true);
    for (uint32_t i = 0; i < MANY; i++)
        if (i % 2 != 0) give(&w, &s[i]);
    assert_true(nk_arena_sparse(&w.arena));
    uint32_t span = w.arena.evac_span, calls = 0;
    for (uint32_t i = 0; i < MANY; i++)
        if (s[i].ref != 0 && s[i].ref >> 14 == span) give(&w, &s[i]);
    for (bool more = true; more; calls++) assert_int_equal(nk_arena_evac_next(&w.arena, &more), 0);
    assert_true(calls > 1);
    assert_false(w.arena.info[span].used);
    world_close(&w);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena__random_allocs_and_frees__invariants_hold),
        cmocka_unit_test(arena_shrink__random_blocks__invariants_hold),
        cmocka_unit_test(arena_shrink__long_entry__memory_is_free),
        cmocka_unit_test(arena_alloc__every_size__provisional_block_is_exact),
        cmocka_unit_test(arena_stamp__padded_block_after_a_free_one__keeps_the_arenas_bits),
        cmocka_unit_test(arena_free__any_order__merges_until_the_span_is_gone),
        cmocka_unit_test(arena_alloc__nth_call_refused__nothing_changed),
        cmocka_unit_test(arena_walk_and_drop__live_blocks__each_visited_once),
#ifndef NK_ARENA_MALLOC
        cmocka_unit_test(arena_evacuation__nine_in_ten_freed__memory_is_given_back),
        cmocka_unit_test(arena_evacuation__equal_large_entries__comes_to_an_end),
        cmocka_unit_test(arena_evac_abort__after_any_number_of_moves__span_is_ordinary_again),
        cmocka_unit_test(arena_evac_abort__span_is_empty__goes_back),
        cmocka_unit_test(arena_evac_next__span_of_free_marks__looks_at_64_blocks),
#endif
    };
    test_rng_init(&rng, "arena");
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
