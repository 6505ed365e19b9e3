/* SPDX-License-Identifier: MIT
 *
 * keydir.c - entries of a keydir, as recovery and merges change them (L5).
 *
 * NOT HERE  what an entry holds (store.h), the effects of requests (seg.c), recovery (keydir_load.c), merges (merge*.c).
 */
#include "keydir.h"

#include "store.h"

uint64_t nk_keydir_find(struct nk_seg *s, struct nk_key *k, int64_t *expire_ms) {
    struct nk_item it;
    nk_seg_locate(s, k, &it);
    if (it.ref == 0) return 0;
    const uint8_t *e = nk_arena_ptr(&s->arena, it.ref);
    *expire_ms = nk_entry_expiry(e, nk_entry_meta(e));
    return nk_entry_loc(e);
}

void nk_keydir_move(struct nk_seg *s, struct nk_key *k, uint64_t loc) {
    struct nk_item it;
    nk_seg_locate(s, k, &it);
    NK_ASSERT(it.ref != 0);
    uint8_t *e = nk_arena_ptr(&s->arena, it.ref);
    uint64_t old = nk_entry_loc(e);
    nk_files_dead(s->db->files, old);
    NK_SUB(s->value_bytes, nk_loc_bytes(old));
    nk_store64(e + 4, loc);
    nk_files_live(s->db->files, loc);
    NK_ADD(s->value_bytes, nk_loc_bytes(loc));
}

void nk_keydir_expire(struct nk_seg *s, struct nk_key *k) {
    struct nk_item it;
    nk_seg_locate(s, k, &it);
    NK_ASSERT(it.ref != 0);
    nk_seg_remove(s, k, &it);
    NK_ADD(s->expired, 1);
}

/* A put of any key. */
static NK_NOINLINE int load_put(struct nk_seg *s, struct nk_key *k, uint64_t loc,
                                int64_t expire_ms) {
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .expire_ms = expire_ms};
    struct nk_item it;
    struct nk_resv r;
    nk_seg_find(s, k, 0, false, &it);
    int rc = nk_seg_reserve(s, k, &it, &e, &r);
    if (rc == NITRO_OK) nk_seg_apply(s, k, &it, &e, &r, 0, (struct nk_logged){.loc = loc});
    return rc;
}

/* Memory is given up after a bounded spin on the pool's lock, which other parts use as well. */
int nk_keydir_load(struct nk_seg *s, struct nk_key *k, uint64_t loc, int64_t expire_ms,
                   uint64_t *live) {
    int rc;
    do rc = expire_ms == 0 ? nk_seg_add(s, k, loc) : NITRO_ENOTSTORED;
    while (rc == NITRO_EBUSY);
    if (NK_LIKELY(rc == NITRO_OK)) *live += nk_loc_bytes(loc);
    if (NK_LIKELY(rc != NITRO_ENOTSTORED)) return rc;
    do rc = load_put(s, k, loc, expire_ms);
    while (rc == NITRO_EBUSY);
    return rc;
}

void nk_keydir_unload(struct nk_seg *s, struct nk_key *k) {
    struct nk_item it;
    nk_seg_locate(s, k, &it);
    if (it.ref != 0) nk_seg_remove(s, k, &it);
}
