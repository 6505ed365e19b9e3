/* SPDX-License-Identifier: MIT
 *
 * cache.h - values of a keydir that are kept in memory, since they are read often (L5).
 *
 * WHAT   A GET or MGET that has had to fetch a small value puts it into the key's entry (store.h), and the next one finds it
 *        there: nk_seg_find says so by away = false. The value is that of the record that the entry refers to, as long as
 *        the entry does: a put writes the entry anew without it, a delete frees it, and a merge that moves the record
 *        changes the location alone. What is cached is bounded by nk_db.cache_bytes, and approximately what was used last
 *        (see cache.c).
 *
 * THREADS  Under the segment's lock, but for nk_cache_step.
 */
#ifndef NK_CACHE_H
#define NK_CACHE_H

#include "seg.h"

/* Bytes. Larger values are not cached, nor any with which their entry, key and all, had more than the other. */
#define NK_CACHE_VALUE_MAX 4096u
#define NK_CACHE_ENTRY_MAX 8192u

/* nk_cache_found: a GET has found the item, and has its value, by nk_fetch_get if that was away. Counts it, and notes the use
 * of a cached value, or caches the other if it can be done at once. The item stays right, and so does its value. */
void nk_cache_found(struct nk_seg *s, struct nk_item *it);
/* nk_cache_missed, nk_cache_keep: the same in two lock holds. A GET has found the item away and counts it: whether its value is
 * to be cached once it is read. Then the item has been found again, is away, and refers to what was read: val, bytes and
 * version are filled. */
bool nk_cache_missed(struct nk_seg *s, const struct nk_item *it);
void nk_cache_keep(struct nk_seg *s, struct nk_item *it);
/* nk_cache_yield: the segment's cached values make room for `bytes` more within max_memory, as far as they can be found in
 * one bounded look; but not a value that `keep` points to (NULL: any). Values of items found before are invalid then, that
 * one excepted. Whether there is room now. Nothing is reserved. */
bool nk_cache_yield(struct nk_seg *s, uint64_t bytes, const uint8_t *keep);

/* nk_cache_step: evicts while there is more than there may be, looking at up to about `budget` entries. Returns how many;
 * sets *more (and never clears it) if it has not come to its end. Locks inside, one thread at a time. */
uint32_t nk_cache_step(struct nk_db *db, uint32_t budget, bool *more);

#endif
