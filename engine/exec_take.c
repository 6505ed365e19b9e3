/* SPDX-License-Identifier: MIT
 *
 * exec_take.c - reading a value and changing its key in one step: GETDEL, GETEX.
 *
 * DESIGN
 *   The reply is written first, because the entry may be gone or moved by the effect; of a large value only its
 *   head, and a reference is taken. If the effect fails, the reply is taken back. Nothing can fail behind
 *   the effect.
 *
 * NOT HERE  SET with GET (exec_string.c), whose binary reply has another form.
 */
#include "exec.h"

/* A value that is being answered. */
struct taking {
    size_t undo; /* where the reply begins in out */
    struct nk_frame f;
    struct nk_big *big; /* reference held */
};

static void begin_reply(struct nk_exec *x, const struct nk_req *r, const struct nk_item *it,
                        struct taking *t) {
    *t = (struct taking){.undo = x->c->pub.out_len, .big = it->big};
    if (it->big == NULL) {
        nk_reply_value(x, r, it->val, it->bytes);
        return;
    }
    nk_big_retain(it->big);
    if (x->binary)
        nk_frame_open(x, r, &t->f);
    else
        nk_out_head(x, '$', it->bytes);
}

/* end_reply: the effect has been made, or none was asked for. */
static int end_reply(struct nk_exec *x, const struct nk_req *r, struct taking *t) {
    if (t->big == NULL) return NITRO_STOP_DONE;
    return nk_tail_start(x, r, &t->f, NITRO_OK, t->big->data, t->big->bytes, t->big, true);
}

/* take_back: the effect was not made; code says why if the request ends by that. */
static int take_back(struct nk_exec *x, const struct nk_req *r, struct taking *t, int stop,
                     int code) {
    x->c->pub.out_len = t->undo;
    if (t->big != NULL) nk_big_release(x->db, t->big);
    if (stop == NITRO_STOP_DONE) nk_reply_error(x, r, code);
    return stop;
}

static int missing(struct nk_exec *x, const struct nk_req *r) {
    nk_exec_missed(x, NITRO_ENOTFOUND);
    if (x->binary)
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    else
        nk_reply_null(x);
    return NITRO_STOP_DONE;
}

/* take: answers what was found, and makes the effect, unless it is NULL. */
static int take(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, const struct nk_item *it,
                const struct nk_effect *e) {
    struct taking t;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    begin_reply(x, r, it, &t);
    if (e != NULL) stop = nk_exec_effect(x, r, s, it, e, &code);
    nk_exec_leave(x, it->bytes);
    if (t.big != NULL) nk_exec_release(x); /* it is handed out without any lock */
    if (stop != NITRO_STOP_DONE || code != NITRO_OK) return take_back(x, r, &t, stop, code);
    return end_reply(x, r, &t);
}

int nk_exec_getdel(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    struct nk_effect e = {.kind = NK_EFFECT_DELETE};
    int stop;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    if (!nk_exec_load(x, r, s, &it, true, &stop)) return stop;
    if (it.found) return take(x, r, s, &it, &e);
    nk_exec_leave(x, 0);
    return missing(x, r);
}

int nk_exec_getex(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    if (!it.found || (r->flags & NK_F_FAULT) != 0) {
        nk_exec_leave(x, 0);
        if (!it.found) return missing(x, r);
        nk_reply_fault(x, r, (enum nk_fault)r->code, r->val, r->val_len);
        return NITRO_STOP_DONE;
    }
    struct nk_effect e = {.kind = NK_EFFECT_EXPIRE, .expire_ms = r->expire_ms};
    bool changes = true;
    int stop;
    if (!nk_exec_load(x, r, s, &it, true, &stop)) return stop;
    if ((r->flags & NK_F_PERSIST) != 0) {
        e.expire_ms = 0;
        changes = it.expire_ms != 0;
    } else if (r->expire_ms <= x->now) {
        e = (struct nk_effect){.kind = NK_EFFECT_DELETE};
    }
    if (changes && e.kind == NK_EFFECT_EXPIRE && !nk_exec_expiry(x, r, s, &it, true, &e, &stop))
        return stop;
    return take(x, r, s, &it, changes ? &e : NULL);
}
