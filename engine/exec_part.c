/* SPDX-License-Identifier: MIT
 *
 * exec_part.c - operations on parts of a value: STRLEN, GETRANGE, APPEND, SETRANGE.
 *
 * DESIGN
 *   A new value of up to NK_VALUE_BIG bytes is composed in the chunk's scratch memory, under the lock, and put.
 *   A larger one takes longer to make than a lock may be held: what is there is copied, or referenced if
 *   it is large itself, the lock is given up, the new value is made in a block of its own (with
 *   its checksum), and under the lock again it is put if the key still has the version that it was
 *   made from. Otherwise the block is thrown away and the request is BUSY. The block stays with the
 *   chunk when the request stops for another reason, so that no large value is made twice for want of
 *   room in the log; it goes when the request is done.
 *
 * NOT HERE  whole values (exec_string.c).
 */
#include "exec.h"

int nk_exec_strlen(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    int stop;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    if (!nk_exec_load(x, r, s, &it, true, &stop)) return stop;
    nk_exec_leave(x, 0);
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    nk_reply_int(x, it.found ? (int64_t)it.bytes : 0);
    return NITRO_STOP_DONE;
}

/* ---- GETRANGE ---------------------------------------------------------------------------------*/

/* range_of: the bytes from start to end, both included, of a value of n; negative ones count from its end.
 * Returns how many these are, the first of them in *from. */
static uint64_t range_of(int64_t start, int64_t end, uint64_t n, uint64_t *from) {
    int64_t size = (int64_t)n;
    if (start < 0) start = start < -size ? 0 : start + size;
    if (end < 0) end = end < -size ? 0 : end + size;
    if (end >= size) end = size - 1;
    *from = (uint64_t)start;
    return start > end ? 0 : (uint64_t)(end - start) + 1;
}

int nk_exec_getrange(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    uint64_t from = 0, n = 0;
    bool backwards = (int64_t)r->num < 0 && r->end < 0 && (int64_t)r->num > r->end;
    int stop;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    if (!nk_exec_load(x, r, s, &it, true, &stop)) return stop;
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (it.found && !backwards) n = range_of((int64_t)r->num, r->end, it.bytes, &from);
    if (n <= NK_VALUE_BIG) {
        if (it.found || !x->binary)
            nk_reply_value(x, r, n > 0 ? it.val + from : NULL, n);
        else
            nk_reply_status(x, r, NITRO_ENOTFOUND);
        nk_exec_leave(x, n);
        return NITRO_STOP_DONE;
    }
    struct nk_big *big = it.big;
    struct nk_frame f = {0, 0};
    nk_big_retain(big);
    nk_exec_release(x);
    if (x->binary)
        nk_frame_open(x, r, &f);
    else
        nk_out_head(x, '$', n);
    return nk_tail_start(x, r, &f, NITRO_OK, big->data + from, n, big, true);
}

/* ---- APPEND, SETRANGE -------------------------------------------------------------------------*/

/* A value that is being changed in part. */
struct change {
    struct nk_item it;
    const uint8_t *add; /* the argument */
    uint64_t add_bytes;
    uint64_t at;    /* where it goes */
    uint64_t bytes; /* of the new value */
};

/* look: what is there, and what it is to become. Locked if the result is not NULL; else see *stop. */
static struct nk_seg *look(struct nk_exec *x, struct nk_req *r, struct change *t, int *stop) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    *stop = NITRO_STOP_BUSY;
    if (s == NULL) return NULL;
    nk_seg_find(s, &r->key, x->now, false, &t->it);
    nk_exec_show(x, t->it.shown);
    if (!nk_exec_load(x, r, s, &t->it, false, stop)) return NULL;
    if (!t->it.found) t->it.bytes = 0;
    t->add = r->big != NULL ? r->big->data : r->val;
    t->add_bytes = r->big != NULL ? r->big->bytes : r->val_len;
    t->at = r->op == NK_OP_APPEND ? t->it.bytes : r->num;
    t->bytes = nk_max_u64(t->it.bytes, t->at + t->add_bytes);
    return s;
}

/* compose: the new value, of t->bytes, from the one that was. */
static void compose(uint8_t *dst, const uint8_t *was, const struct change *t) {
    uint64_t kept = t->it.bytes;
    if (kept > 0) memcpy(dst, was, kept);
    if (t->at > kept) memset(dst + kept, 0, t->at - kept);
    if (t->add_bytes > 0) memcpy(dst + t->at, t->add, t->add_bytes);
}

static int reply_length(struct nk_exec *x, const struct nk_req *r, uint64_t n) {
    uint32_t body = (uint32_t)n;
    if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &body, sizeof body);
    else
        nk_reply_int(x, (int64_t)n);
    return NITRO_STOP_DONE;
}

/* store: puts the new value. */
static int store(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, const struct change *t,
                 struct nk_effect *e) {
    int code;
    e->expire_ms = t->it.found ? t->it.expire_ms : 0;
    int stop = nk_exec_effect(x, r, s, &t->it, e, &code);
    nk_exec_leave(x, e->bytes);
    if (stop != NITRO_STOP_DONE) return stop;
    if (code == NITRO_OK) return reply_length(x, r, t->bytes);
    nk_reply_error(x, r, code);
    return NITRO_STOP_DONE;
}

/* prepare_large: makes the new value without the lock. NITRO_OK with it in the chunk, or why not. */
static int prepare_large(struct nk_exec *x, struct nk_req *r, const struct change *t) {
    struct nk_composed *made = &x->c->composed;
    struct nk_big *old = t->it.found ? t->it.big : NULL;
    const uint8_t *was = x->c->scratch;
    if (old != NULL) {
        nk_big_retain(old);
        was = old->data;
    } else if (t->it.bytes > 0) {
        memcpy(x->c->scratch, t->it.val, t->it.bytes);
    }
    made->version = t->it.found ? t->it.version : 0;
    nk_exec_release(x);
    int rc = nk_db_room(x->db, t->bytes) ? NITRO_OK : NITRO_EMAXMEMORY;
    if (rc == NITRO_OK) {
        made->big = nk_big_new(x->db, NULL, t->bytes);
        rc = made->big != NULL ? NITRO_OK : NITRO_ENOMEM;
    }
    if (rc == NITRO_OK) {
        struct nk_effect e = {.kind = NK_EFFECT_PUT,
                              .big = made->big,
                              .expire_ms = t->it.found ? t->it.expire_ms : 0};
        compose(made->big->data, was, t);
        nk_effect_crc(x->db, &r->key, &e);
        made->crc = e.crc;
    }
    if (old != NULL) nk_big_release(x->db, old);
    return rc;
}

/* change_large: NULL or the lock held as in look. Without the lock nothing that t points to may be used. */
static int change_large(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, struct change *t) {
    struct nk_composed *made = &x->c->composed;
    if (made->big == NULL) {
        int rc = prepare_large(x, r, t);
        if (rc != NITRO_OK) {
            nk_reply_error(x, r, rc);
            return NITRO_STOP_DONE;
        }
        int stop;
        s = look(x, r, t, &stop);
        if (s == NULL) return stop;
    }
    if (made->version != (t->it.found ? t->it.version : 0)) {
        nk_exec_release(x);
        nk_composed_drop(x->db, x->c);
        return NITRO_STOP_BUSY;
    }
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .big = made->big, .crc = made->crc};
    return store(x, r, s, t, &e);
}

static int change(struct nk_exec *x, struct nk_req *r) {
    struct change t;
    if (x->c->scratch_cap < NK_VALUE_BIG) nk_exec_release(x); /* no allocation under a lock */
    int rc = nk_chunk_scratch(x->db, x->c, NK_VALUE_BIG);
    if (rc != NITRO_OK) {
        nk_reply_error(x, r, rc);
        return NITRO_STOP_DONE;
    }
    int stop;
    struct nk_seg *s = look(x, r, &t, &stop);
    if (s == NULL) return stop;
    if (r->op == NK_OP_SETRANGE && t.add_bytes == 0) {
        nk_exec_leave(x, 0);
        return reply_length(x, r, t.it.bytes);
    }
    if (t.at > nk_db_max_value(x->db) || t.bytes > nk_db_max_value(x->db)) {
        nk_exec_leave(x, 0);
        nk_reply_fault(x, r, NK_FAULT_STRING_SIZE, NULL, 0);
        return NITRO_STOP_DONE;
    }
    if (t.bytes > NK_VALUE_BIG) return change_large(x, r, s, &t);
    compose(x->c->scratch, t.it.val, &t);
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .val = x->c->scratch, .bytes = (uint32_t)t.bytes};
    return store(x, r, s, &t, &e);
}

/* nk_exec_append: whatever way the request ends, the value that it made, and did not store, goes with it: the next
 * request may be about another key. */
int nk_exec_append(struct nk_exec *x, struct nk_req *r) {
    int stop = change(x, r);
    if (stop == NITRO_STOP_DONE) nk_composed_drop(x->db, x->c);
    return stop;
}
