/* SPDX-License-Identifier: MIT
 *
 * switch.c - a segment under attack changes its hash from FNV-1a to SipHash, in bounded steps (L5).
 *
 * DESIGN
 *   A secret seed does not save FNV-1a: whether two keys collide depends on the low byte of the state
 *   only. So a chain that honest keys do not make turns the segment's table into `old` and starts a
 *   new one under SipHash-1-3 with a key of its own. New keys go to the new table; look-ups that miss
 *   there look into `old`; every write and every background step moves some entries over, from the
 *   last bucket of `old` down. Entries stay where they are, only their 4-byte references move. When
 *   `old` is empty its pages go back, some at a time.
 *   A segment does not switch back: whoever found the collisions has them still.
 */
#include "db.h"
#include "snap.h"

#define DROP_PAGES 16u /* pages given back by one call */

bool nk_switch_begin(struct nk_seg *s) {
    struct nk_table fresh;
    nk_table_init(&fresh, &s->over, &s->db->pool, nk_seg_entry_hash, nk_seg_entry_warm, s);
    if (nk_table_open_like(&fresh, &s->tab) != NITRO_OK) return false;
    nk_snap_switch(s);
    s->old = s->tab;
    s->old.hash = nk_seg_entry_hash_old;
    s->drain_at = s->old.buckets - 1;
    __atomic_store_n(&s->tab.dir, fresh.dir, __ATOMIC_RELEASE);
    s->tab = fresh;
    s->draining = true;
    s->stamp++;
    __atomic_store_n(&s->epoch, NK_EPOCH_SIP, __ATOMIC_RELEASE);
    NK_ADD(s->switches, 1);
    return true;
}

/* Moves the first entry of the bucket that is being emptied. False without memory. */
static bool move_one(struct nk_seg *s, struct nk_bucket *b) {
    uint32_t ref = b->ref[0], over = 0;
    uint64_t hash = nk_seg_entry_hash(s, ref);
    if (nk_table_insert_needs(&s->tab, hash, false, &over) != NITRO_OK) return false;
    struct nk_slot to, from = {.bucket = b, .index = 0};
    nk_table_insert(&s->tab, hash, ref, &over, &to);
    nk_table_remove(&s->old, nk_seg_entry_hash_old(s, ref), &from);
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    int64_t expiry = nk_entry_expiry(e, nk_entry_meta(e));
    if (expiry != 0) nk_table_note_expiry(&s->tab, hash, expiry);
    if (nk_table_grow(&s->tab, &s->work)) NK_ADD(s->splits, 1);
    s->stamp++;
    s->work.entries++;
    return true;
}

uint32_t nk_switch_drain(struct nk_seg *s, uint32_t entries) {
    uint32_t moved = 0, looked = 0;
    while (s->old.count > 0 && moved < entries && looked < entries) {
        struct nk_bucket *b = nk_table_bucket(&s->old, s->drain_at);
        if (b->tag[0] == 0) {
            s->drain_at--;
            looked++;
            continue;
        }
        if (!move_one(s, b)) return moved;
        moved++;
    }
    if (s->old.count > 0) return moved + looked;
    for (uint32_t i = 0; i < DROP_PAGES; i++) {
        if (nk_table_drop_page(&s->old)) continue;
        s->draining = false;
        break;
    }
    return moved + looked + 1;
}
