/* SPDX-License-Identifier: MIT
 *
 * exec_multi.c - reading several keys: MGET and EXISTS.
 *
 * DESIGN
 *   Keys are read one by one, each under its own lock for a moment; such a request is not atomic,
 *   as nothing would be gained by that for the client and much lost for the others. So it can stop
 *   between any two keys: `step` in the chunk says how many are done. In RESP the elements simply
 *   follow each other. A binary reply is written as frames with MORE; whatever makes it stop closes
 *   the frame.
 *
 * NOT HERE  writing several keys (exec_batch.c).
 */
#include "cache.h"
#include "exec.h"

/* prefetch_keys: all passes over the next keys of a request. */
static void prefetch_keys(struct nk_exec *x, const struct nk_req *r, uint32_t from) {
    struct nk_multi *m = x->c->multi + r->arg_at;
    uint32_t to = (uint32_t)nk_min_u64(from + NK_EXEC_WINDOW, r->arg_count);
    for (uint32_t i = from; i < to; i++) nk_key_prefetch_bucket(x->db, &m[i].key);
    for (uint32_t i = from; i < to; i++) nk_key_prefetch_entry(x->db, &m[i].key);
    for (uint32_t i = from; i < to; i++) nk_key_prefetch_over(x->db, &m[i].key);
}

/* look: finds key i of r. DONE with its segment locked, or BUSY. */
static int look(struct nk_exec *x, struct nk_req *r, uint32_t i, struct nk_item *it) {
    struct nk_multi *m = &x->c->multi[r->arg_at + i];
    if (i % NK_EXEC_WINDOW == 0) prefetch_keys(x, r, i);
    struct nk_seg *s = nk_exec_enter(x, &m->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    nk_seg_find(s, &m->key, x->now, true, it);
    nk_exec_show(x, it->shown);
    x->c->shown = x->shown;
    return NITRO_STOP_DONE;
}

/* look_value: likewise, with the value of what is found. DONE also with *code not NITRO_OK: the value can't be had, and
 * nothing is locked. IO: it has to be read, with those of the keys behind it. */
static int look_value(struct nk_exec *x, struct nk_req *r, uint32_t i, struct nk_item *it,
                      int *code) {
    struct nk_multi *m = &x->c->multi[r->arg_at + i];
    int stop = look(x, r, i, it);
    *code = NITRO_OK;
    if (stop != NITRO_STOP_DONE || NK_LIKELY(!it->found || it->loc == 0)) return stop;
    *code = nk_exec_fetch(x, x->held, &m->key, it, true);
    if (*code == NITRO_OK) nk_cache_found(x->held, it);
    if (*code == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (*code != NITRO_AWAY) return NITRO_STOP_DONE;
    (void)nk_exec_want_keys(x, m + 1, r->arg_count - i - 1);
    return NITRO_STOP_IO;
}

int nk_exec_mexists(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    struct nk_item it;
    if (!c->started) {
        c->started = true;
        c->step = 0;
        c->found = 0;
    }
    for (; c->step < r->arg_count; c->step++) {
        if (look(x, r, c->step, &it) != NITRO_STOP_DONE) return NITRO_STOP_BUSY;
        nk_exec_release(x);
        c->found += it.found;
    }
    uint32_t n = (uint32_t)c->found;
    if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &n, sizeof n);
    else
        nk_reply_int(x, n);
    return NITRO_STOP_DONE;
}

/* ---- MGET in RESP -----------------------------------------------------------------------------*/

static int mget_resp(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    struct nk_item it;
    if (!c->started) {
        nk_out_head(x, '*', r->arg_count);
        c->started = true;
        c->step = 0;
    }
    while (c->step < r->arg_count) {
        if (c->pub.out_len >= NK_OUT_SOFT) return NITRO_STOP_OUT;
        int code, stop = look_value(x, r, c->step, &it, &code);
        if (stop != NITRO_STOP_DONE) return stop;
        c->step++;
        c->fetch.tries = 0;
        if (code != NITRO_OK) {
            nk_reply_error(x, r, code);
        } else if (!it.found) {
            nk_reply_null(x);
        } else if (it.big == NULL) {
            nk_reply_value(x, r, it.val, it.bytes);
        } else {
            struct nk_big *big = it.big;
            nk_big_retain(big);
            nk_exec_release(x);
            nk_out_head(x, '$', big->bytes);
            return nk_tail_start(x, r, NULL, NITRO_OK, big->data, big->bytes, big,
                                 c->step == r->arg_count);
        }
        nk_exec_release(x);
    }
    return NITRO_STOP_DONE;
}

/* ---- MGET in the binary protocol --------------------------------------------------------------*/

/* out_element: status and length of an element, and its bytes if they are inline. `code`: of look_value. */
static void out_element(struct nk_exec *x, const struct nk_item *it, int code) {
    bool there = it->found && code == NITRO_OK;
    uint8_t head[5] = {(uint8_t)(it->found ? code : NITRO_ENOTFOUND)};
    nk_store32(head + 1, there ? (uint32_t)it->bytes : 0);
    nk_out_bytes(x, head, sizeof head);
    if (there && it->big == NULL && it->bytes > 0) nk_out_bytes(x, it->val, it->bytes);
}

/* stop_frame: closes the frame because the reply can't go on now; one that says nothing
 * vanishes. */
static int stop_frame(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f, size_t begun,
                      int stop) {
    if (x->c->pub.out_len == begun)
        x->c->pub.out_len = f->at;
    else
        nk_frame_close(x, r, f, NITRO_OK, true, NULL, 0);
    return stop;
}

static int mget_binary(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    struct nk_frame f;
    struct nk_item it;
    nk_frame_open(x, r, &f);
    size_t begun = c->pub.out_len;
    if (!c->started) {
        nk_out_bytes(x, &r->arg_count, sizeof r->arg_count);
        c->started = true;
        c->step = 0;
    }
    while (c->step < r->arg_count) {
        if (c->pub.out_len >= NK_OUT_SOFT) return stop_frame(x, r, &f, begun, NITRO_STOP_OUT);
        int code, stop = look_value(x, r, c->step, &it, &code);
        if (stop != NITRO_STOP_DONE) return stop_frame(x, r, &f, begun, stop);
        out_element(x, &it, code);
        c->step++;
        c->fetch.tries = 0;
        struct nk_big *big = it.found && code == NITRO_OK ? it.big : NULL;
        if (big != NULL) nk_big_retain(big);
        nk_exec_release(x);
        if (big != NULL)
            return nk_tail_start(x, r, &f, NITRO_OK, big->data, big->bytes, big,
                                 c->step == r->arg_count);
    }
    nk_frame_close(x, r, &f, NITRO_OK, false, NULL, 0);
    return NITRO_STOP_DONE;
}

int nk_exec_mget(struct nk_exec *x, struct nk_req *r) {
    return x->binary ? mget_binary(x, r) : mget_resp(x, r);
}
