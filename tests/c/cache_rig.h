/* SPDX-License-Identifier: MIT
 *
 * cache_rig.h - what the tests of the cache of mode bitcask share, beside bitcask_rig.h.
 */
#ifndef CACHE_RIG_H
#define CACHE_RIG_H

#include "bitcask_rig.h"

#include "cache.h"
#include "store.h"

#define PLENTY (1u << 20) /* bytes: room for all values of a test */

/* check_accounts: a cached value lies in its entry, and the accounts are the sums of that: by a walk over all blocks. */
static inline void count_cached(void *ctx, const uint8_t *e) {
    uint64_t *sum = ctx;
    uint32_t bytes = nk_entry_meta(e) >> NK_META_VALUE_SHIFT;
    sum[0] += bytes != 0;
    sum[1] += bytes;
}

static inline void check_accounts(struct bc *w) {
    struct nk_db *db = &w->store->db;
    struct nitro_data_files f = bc_files(w);
    uint64_t sum[2] = {0, 0};
    for (uint32_t i = 0; i < db->segments; i++)
        for (uint32_t n = 1; n < db->seg[i].arena.span_count; n++)
            nk_arena_walk(&db->seg[i].arena, n, count_cached, sum);
    assert_int_equal(f.cache_values, sum[0]);
    assert_int_equal(f.cache_bytes, sum[1]);
    assert_true(f.cache_bytes <= w->cache_bytes);
}

#endif
