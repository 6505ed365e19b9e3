/* SPDX-License-Identifier: MIT
 *
 * exec_walk.c - walks to the end of the key space within one request: KEYS, RANDOMKEY.
 *
 * DESIGN
 *   KEYS takes the walk of SCAN in bounded parts, between which it gives the word back to the host (BUSY), and
 *   collects what matches in scratch memory, each key as 4 bytes of length and its bytes. The reply is
 *   encoded from there in as many parts as it takes. A segment that is begun again, because its hash
 *   has changed, loses what was collected of it, so that no key is answered twice. A key that is there from
 *   the first part to the last is answered; the others may be.
 *   RANDOMKEY takes the first bucket with a live key from some place on, and one of its keys. Only if there is
 *   none up to the end does it look everywhere, so that it ends also where all keys have expired.
 *
 * NOT HERE  the walk (scan.c), SCAN (exec_scan.c), patterns (exec_glob.c).
 */
#include "exec.h"
#include "exec_glob.h"

#define PART_CALLS 64u           /* walks of a bounded number of buckets in one part */
#define CALL_KEYS 64u            /* wanted from one walk */
#define STEPS_MAX (1u << 24)     /* of pattern matching in one walk */
#define PART_STEPS (1u << 20)    /* after so many a part ends */
#define SCRATCH_FIRST (1u << 16) /* bytes */
#define LENGTH_BYTES 4u          /* before a key in scratch */

/* ---- KEYS: collecting -------------------------------------------------------------------------*/

/* One walk: the keys are added to the chunk's, as far as there is room. */
struct adding {
    struct nk_chunk *c;
    struct nk_walk w; /* a copy, which takes the chunk's place when all went well */
    size_t needed;    /* of scratch */
};

static void add(void *ctx, const struct nk_scan_entry *e) {
    struct adding *t = ctx;
    t->needed += LENGTH_BYTES + e->key_bytes;
    if (t->needed > t->c->scratch_cap) return;
    if (e->seg != t->w.seg) {
        t->w.seg = e->seg;
        t->w.seg_used = t->w.used;
        t->w.seg_count = t->w.count;
    }
    nk_store32(t->c->scratch + t->w.used, e->key_bytes);
    memcpy(t->c->scratch + t->w.used + LENGTH_BYTES, e->key, e->key_bytes);
    t->w.used += LENGTH_BYTES + e->key_bytes;
    t->w.count++;
}

/* filter: drops those of the keys from `from` on that do not match. False if the pattern is too costly. */
static bool filter(const struct nk_req *r, struct adding *t, size_t from) {
    uint64_t budget = STEPS_MAX;
    uint8_t *p = t->c->scratch;
    size_t to = from, seg_used = t->w.seg_used;
    uint64_t dropped = 0, seg_dropped = 0;
    for (size_t at = from; at < t->w.used;) {
        if (at == seg_used) {
            t->w.seg_used = to;
            seg_dropped = dropped;
        }
        uint32_t n = nk_load32(p + at);
        enum nk_glob match = nk_glob_match(r->val, r->val_len, p + at + LENGTH_BYTES, n, &budget);
        if (match == NK_GLOB_COSTLY) return false;
        if (match == NK_GLOB_YES) {
            if (to != at) memmove(p + to, p + at, LENGTH_BYTES + n);
            to += LENGTH_BYTES + n;
        } else {
            dropped++;
        }
        at += LENGTH_BYTES + n;
    }
    t->w.steps += STEPS_MAX - budget;
    t->w.used = to;
    t->w.count -= dropped;
    t->w.seg_count -= seg_dropped;
    return true;
}

/* forget_segment: what was collected of the segment at the cursor, which will be walked again. */
static void forget_segment(struct nk_walk *w) {
    uint64_t seg = w->cursor >> 48;
    if (w->seg == seg) {
        w->used = w->seg_used;
        w->count = w->seg_count;
    }
    w->cursor = seg << 48;
}

/* walk: one walk, repeated with more memory if its keys don't fit. NITRO_OK, or an error with nothing added;
 * NITRO_ELIMIT if the pattern is too costly. */
static int walk(struct nk_exec *x, const struct nk_req *r) {
    struct nk_walk *w = &x->c->walk;
    for (;;) {
        struct adding t = {.c = x->c, .w = *w, .needed = w->used};
        uint64_t shown = 0;
        bool again = false;
        int rc = nk_db_scan(x->db, x->now, &t.w.cursor, CALL_KEYS, add, &t, &shown, &again);
        if (rc != NITRO_OK) return rc;
        nk_exec_show(x, shown);
        if (again) {
            forget_segment(w);
        } else if (t.needed <= x->c->scratch_cap) {
            if (!filter(r, &t, w->used)) return NITRO_ELIMIT;
            t.w.done = t.w.cursor == 0;
            *w = t.w;
            return NITRO_OK;
        } else {
            rc = nk_chunk_scratch(x->db, x->c, t.needed + t.needed / 2);
            if (rc != NITRO_OK) return rc;
        }
    }
}

/* collect: a part of the key space. NITRO_OK when all of it is done; NITRO_EBUSY to come again. */
static int collect(struct nk_exec *x, const struct nk_req *r) {
    struct nk_chunk *c = x->c;
    if (!c->started) {
        c->started = true;
        c->step = 0;
        c->walk = (struct nk_walk){.seg = UINT32_MAX};
    }
    int rc = nk_chunk_scratch(x->db, c, SCRATCH_FIRST);
    c->walk.steps = 0;
    for (uint32_t i = 0; i < PART_CALLS && c->walk.steps < PART_STEPS && rc == NITRO_OK; i++) {
        if (c->walk.done) break;
        rc = walk(x, r);
    }
    return rc == NITRO_OK && !c->walk.done ? NITRO_EBUSY : rc;
}

/* ---- KEYS: answering --------------------------------------------------------------------------*/

int nk_exec_keys(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    struct nk_walk *w = &c->walk;
    int rc = c->started && w->done ? NITRO_OK : collect(x, r);
    if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (rc == NITRO_ELIMIT)
        nk_reply_fault(x, r, NK_FAULT_PATTERN_COST, NULL, 0);
    else if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    if (rc != NITRO_OK) return NITRO_STOP_DONE;
    if (c->step == 0) {
        nk_out_head(x, '*', w->count);
        c->step = 1;
    }
    while (w->at < w->used) {
        if (c->pub.out_len >= NK_OUT_SOFT) return NITRO_STOP_OUT;
        uint32_t n = nk_load32(c->scratch + w->at);
        nk_reply_value(x, r, c->scratch + w->at + LENGTH_BYTES, n);
        w->at += LENGTH_BYTES + n;
    }
    return NITRO_STOP_DONE;
}

/* ---- RANDOMKEY --------------------------------------------------------------------------------*/

/* One key of several, each as likely: the n-th takes the place of the one before in one of n cases. */
struct drawing {
    struct nk_exec *x;
    uint32_t seen;
    uint32_t key_bytes; /* of the one in scratch */
};

static void draw(void *ctx, const struct nk_scan_entry *e) {
    struct drawing *t = ctx;
    if (nk_db_draw(t->x->db) % ++t->seen != 0) return;
    memcpy(t->x->c->scratch, e->key, e->key_bytes);
    t->key_bytes = e->key_bytes;
}

/* find_any: a part of the way. NITRO_OK with a key, NITRO_ENOTFOUND, NITRO_EBUSY to come again. */
static int find_any(struct nk_exec *x, struct drawing *t) {
    struct nk_walk *w = &x->c->walk;
    for (uint32_t i = 0; i < PART_CALLS && t->seen == 0; i++) {
        uint64_t shown = 0;
        int rc = nk_db_scan(x->db, x->now, &w->cursor, 1, draw, t, &shown, NULL);
        if (rc != NITRO_OK) return rc;
        nk_exec_show(x, shown);
        if (t->seen > 0 || w->cursor != 0) continue;
        if (w->wrapped) return NITRO_ENOTFOUND;
        w->wrapped = true;
    }
    return t->seen > 0 ? NITRO_OK : NITRO_EBUSY;
}

int nk_exec_randomkey(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    struct drawing t = {.x = x};
    if (!c->started) {
        c->started = true;
        c->walk = (struct nk_walk){.cursor = nk_db_scan_anywhere(x->db)};
        c->walk.wrapped = c->walk.cursor == 0;
    }
    int rc = nk_chunk_scratch(x->db, c, SCRATCH_FIRST);
    if (rc == NITRO_OK) rc = find_any(x, &t);
    if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
    nk_exec_missed(x, rc);
    if (rc == NITRO_OK)
        nk_reply_value(x, r, c->scratch, t.key_bytes);
    else if (rc != NITRO_ENOTFOUND)
        nk_reply_error(x, r, rc);
    else if (x->binary)
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    else
        nk_reply_null(x);
    return NITRO_STOP_DONE;
}
