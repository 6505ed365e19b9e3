/* SPDX-License-Identifier: MIT
 *
 * exec_batch.c - writing several keys in one step: MSET and DEL of several keys.
 *
 * DESIGN
 *   All segments that the keys fall into are locked, in ascending order; then memory for every
 *   effect is reserved; then every effect is made, which cannot fail. Whatever does fail before
 *   that gives all reservations and locks back, so nobody ever sees a part.
 *   The list of segments is sorted without comparing keys: short ones by insertion, long ones
 *   through a bitmap, which is linear in the number of keys. Its memory is taken before any lock.
 *   Of repeated keys the last one wins because effects are made in the order of the arguments. An
 *   entry may have changed since its reservation (by the same request), so it is looked up again.
 *
 * NOT HERE  one key (exec_key.c, exec_string.c).
 */
#include "exec.h"

#define INSERTION_MAX 32u

/* sort_short: inserts each segment into the ascending list. */
static uint32_t sort_short(uint32_t *segs, const struct nk_multi *m, uint32_t n) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t seg = m[i].key.seg, at = count;
        while (at > 0 && segs[at - 1] > seg) at--;
        if (at > 0 && segs[at - 1] == seg) continue;
        memmove(segs + at + 1, segs + at, (count - at) * sizeof *segs);
        segs[at] = seg;
        count++;
    }
    return count;
}

/* sort_long: marks each segment in a bitmap, and reads it off. */
static uint32_t sort_long(uint32_t *segs, uint64_t *map, const struct nk_multi *m, uint32_t n) {
    uint32_t count = 0;
    memset(map, 0, NITRO_SEGMENTS_MAX / 8);
    for (uint32_t i = 0; i < n; i++) map[m[i].key.seg / 64] |= 1ull << (m[i].key.seg % 64);
    for (uint32_t w = 0; w < NITRO_SEGMENTS_MAX / 64; w++) {
        for (uint64_t bits = map[w]; bits != 0; bits &= bits - 1)
            segs[count++] = w * 64 + (uint32_t)__builtin_ctzll(bits);
    }
    return count;
}

/* list_segments: the distinct segments of r, ascending, in c->segs. NITRO_OK with *count, or why
 * not. */
static int list_segments(struct nk_exec *x, const struct nk_req *r, uint32_t *count) {
    struct nk_chunk *c = x->c;
    const struct nk_multi *m = c->multi + r->arg_at;
    bool is_short = r->arg_count <= INSERTION_MAX;
    uint32_t list = (uint32_t)nk_min_u64(r->arg_count + 1, NITRO_SEGMENTS_MAX);
    void *segs = c->segs;
    if (is_short) {
        int rc = nk_chunk_room(x->db, &segs, &c->seg_cap, INSERTION_MAX, sizeof *c->segs);
        c->segs = segs;
        if (rc == NITRO_OK) *count = sort_short(c->segs, m, r->arg_count);
        return rc;
    }
    int rc = nk_chunk_room(x->db, &segs, &c->seg_cap, list, sizeof *c->segs);
    c->segs = segs;
    if (rc == NITRO_OK) rc = nk_chunk_scratch(x->db, c, NITRO_SEGMENTS_MAX / 8);
    if (rc != NITRO_OK) return rc;
    *count = sort_long(c->segs, (uint64_t *)(void *)c->scratch, m, r->arg_count);
    return NITRO_OK;
}

static void unlock_all(struct nk_exec *x, uint32_t count) {
    while (count > 0) nk_seg_unlock(nk_db_seg(x->db, x->c->segs[--count]));
}

/* lock_all: true when every segment of the list is locked; else none is. */
static bool lock_all(struct nk_exec *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (!nk_seg_lock(nk_db_seg(x->db, x->c->segs[i]))) {
            unlock_all(x, i);
            return false;
        }
    }
    return true;
}

/* effect_of: what happens to one key. */
NK_INLINE struct nk_effect effect_of(const struct nk_req *r, const struct nk_multi *m) {
    if (r->op == NK_OP_MDEL) return (struct nk_effect){.kind = NK_EFFECT_DELETE};
    return (struct nk_effect){NK_EFFECT_PUT, m->val, m->val_len, m->big, r->expire_ms};
}

/* abort_all: gives the reservations of the first n keys back. */
static void abort_all(struct nk_exec *x, const struct nk_req *r, uint32_t n) {
    struct nk_multi *m = x->c->multi + r->arg_at;
    for (uint32_t i = 0; i < n; i++) {
        if (m[i].reserved) nk_seg_abort(nk_db_seg(x->db, m[i].key.seg), &m[i].resv);
        m[i].reserved = false;
    }
}

/* reserve_all: memory for every effect, or none is kept. A key that DEL does not find has no
 * effect. */
static int reserve_all(struct nk_exec *x, const struct nk_req *r) {
    struct nk_multi *m = x->c->multi + r->arg_at;
    struct nk_item it;
    for (uint32_t i = 0; i < r->arg_count; i++) {
        struct nk_seg *s = nk_db_seg(x->db, m[i].key.seg);
        nk_seg_find(s, &m[i].key, x->now, false, &it);
        m[i].reserved = r->op == NK_OP_MSET || it.found;
        if (!m[i].reserved) continue;
        struct nk_effect e = effect_of(r, &m[i]);
        int rc = nk_seg_reserve(s, &m[i].key, &it, &e, &m[i].resv);
        if (rc == NITRO_OK) continue;
        abort_all(x, r, i);
        return rc;
    }
    return NITRO_OK;
}

/* apply_all: makes every effect; returns how many keys were there. A key that DEL names twice is
 * gone the second time. */
static uint32_t apply_all(struct nk_exec *x, const struct nk_req *r) {
    struct nk_multi *m = x->c->multi + r->arg_at;
    struct nk_item it;
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->arg_count; i++) {
        if (!m[i].reserved) continue;
        m[i].reserved = false;
        struct nk_seg *s = nk_db_seg(x->db, m[i].key.seg);
        struct nk_effect e = effect_of(r, &m[i]);
        nk_seg_find(s, &m[i].key, x->now, false, &it);
        if (r->op == NK_OP_MSET || it.found)
            nk_seg_apply(s, &m[i].key, &it, &e, &m[i].resv, x->now);
        else
            nk_seg_abort(s, &m[i].resv);
        found += it.found;
    }
    return found;
}

/* batch: all or nothing. NITRO_OK, NITRO_EBUSY, or the error to report. */
static int batch(struct nk_exec *x, const struct nk_req *r, uint32_t *found) {
    uint32_t count = 0;
    int rc = list_segments(x, r, &count);
    if (rc != NITRO_OK) return rc;
    if (!lock_all(x, count)) return NITRO_EBUSY;
    rc = reserve_all(x, r);
    if (rc == NITRO_OK) *found = apply_all(x, r);
    unlock_all(x, count);
    return rc;
}

int nk_exec_mset(struct nk_exec *x, struct nk_req *r) {
    uint32_t found;
    int rc = batch(x, r, &found);
    if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    else
        nk_reply_ok(x, r);
    return NITRO_STOP_DONE;
}

int nk_exec_mdel(struct nk_exec *x, struct nk_req *r) {
    uint32_t found = 0;
    int rc = batch(x, r, &found);
    if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    else if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &found, sizeof found);
    else if ((r->flags & NK_F_OK) != 0)
        nk_reply_ok(x, r);
    else
        nk_reply_int(x, found);
    return NITRO_STOP_DONE;
}
