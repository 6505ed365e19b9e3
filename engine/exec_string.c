/* SPDX-License-Identifier: MIT
 *
 * exec_string.c - operations on one value: GET, SET, INCR, INCRBYFLOAT, ECHO.
 *
 * DESIGN
 *   GET copies an inline value into out under the lock, and takes a reference to a large one. SET
 *   decides, writes the old value to out if it is wanted (the entry is gone afterwards), puts the
 *   new one, and takes the reply back if that failed; nothing can fail once the put was made.
 *
 * NOT HERE  parts of values (exec_part.c), GETDEL and GETEX (exec_take.c), several keys (exec_multi.c, exec_batch.c), keys as such (exec_key.c).
 */
#include "cache.h"
#include "decimal.h"
#include "exec.h"

#include <math.h>

/* ---- GET --------------------------------------------------------------------------------------*/

static int get_missing(struct nk_exec *x, const struct nk_req *r) {
    nk_exec_leave(x, 0);
    nk_exec_missed(x, NITRO_ENOTFOUND);
    if (x->binary)
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    else
        nk_reply_null(x);
    return NITRO_STOP_DONE;
}

/* get_big: a large value is handed out after the unlock. */
static NK_NOINLINE int get_big(struct nk_exec *x, const struct nk_req *r,
                               const struct nk_item *it) {
    struct nk_big *big = it->big;
    uint64_t n = it->bytes;
    struct nk_frame f = {0, 0};
    nk_big_retain(big);
    if (x->binary) {
        nk_frame_open(x, r, &f);
        if (r->flags & NK_F_VERSION) nk_frame_version(x, &f, it->version);
        if ((r->flags & NK_F_EXPIRY) != 0 && it->expire_ms != 0)
            nk_frame_expiry(x, &f, it->expire_ms);
    } else {
        nk_out_head(x, '$', n);
    }
    nk_exec_release(x);
    return nk_tail_start(x, r, &f, NITRO_OK, big->data, n, big, true);
}

/* get_described: GETX. */
static NK_NOINLINE int get_described(struct nk_exec *x, const struct nk_req *r,
                                     const struct nk_item *it) {
    struct nk_frame f;
    uint32_t n = (uint32_t)it->bytes;
    if (it->big != NULL && (r->flags & NK_F_LENGTH) == 0) return get_big(x, r, it);
    nk_frame_open(x, r, &f);
    if (r->flags & NK_F_VERSION) nk_frame_version(x, &f, it->version);
    if ((r->flags & NK_F_EXPIRY) != 0 && it->expire_ms != 0) nk_frame_expiry(x, &f, it->expire_ms);
    if (r->flags & NK_F_LENGTH)
        nk_out_bytes(x, &n, sizeof n);
    else if (n > 0)
        nk_out_bytes(x, it->val, n);
    nk_exec_leave(x, n);
    nk_frame_close(x, r, &f, NITRO_OK, false, NULL, 0);
    return NITRO_STOP_DONE;
}

int nk_exec_get(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (NK_UNLIKELY(s == NULL)) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    if (NK_UNLIKELY(!it.found)) return get_missing(x, r);
    int stop;
    if (!nk_exec_load(x, r, s, &it, true, &stop)) return stop;
    if (NK_UNLIKELY(it.loc != 0)) nk_cache_found(s, &it);
    if (NK_UNLIKELY(r->flags != 0)) return get_described(x, r, &it);
    if (NK_UNLIKELY(it.big != NULL)) return get_big(x, r, &it);
    nk_reply_value(x, r, it.val, it.bytes);
    nk_exec_leave(x, it.bytes);
    return NITRO_STOP_DONE;
}

/* ---- SET --------------------------------------------------------------------------------------*/

/* A SET under way: what was found, what will be, and the reply as far as it has been written. */
struct setting {
    struct nk_item it;
    struct nk_effect e;
    struct nk_frame f;
    size_t version_at;  /* of the VERSION block's number in out, 0 = none */
    struct nk_big *old; /* reference held */
};

/* put_need: log bytes of a put. */
static uint64_t put_need(const struct nk_req *r, const struct nk_effect *e) {
    return nk_db_log_need(r->key.n, e->big != NULL ? e->big->bytes : e->bytes);
}

/* put: the effect. BUSY, ROOM, or DONE with *code set; the reply is up to the caller. */
NK_INLINE int put(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, const struct nk_item *it,
                  const struct nk_effect *e, uint64_t *version, int *code) {
    *code = nk_seg_put(s, &r->key, it, e, x->now, version);
    if (NK_LIKELY(*code == NITRO_OK)) {
        nk_exec_wrote(x, *version);
        return NITRO_STOP_DONE;
    }
    if (*code == NITRO_ELOGFULL) return nk_exec_no_room(x, put_need(r, e));
    return *code == NITRO_EBUSY ? NITRO_STOP_BUSY : NITRO_STOP_DONE;
}

/* refusal: why a conditional SET must not happen; NITRO_OK if it may. */
static int refusal(const struct nk_req *r, const struct nk_item *it) {
    if ((r->flags & NK_F_NX) != 0 && it->found) return NITRO_ENOTSTORED;
    if ((r->flags & NK_F_XX) != 0 && !it->found) return NITRO_ENOTSTORED;
    if ((r->flags & NK_F_CAS) != 0 && r->num != (it->found ? it->version : 0))
        return NITRO_EVERSION;
    return NITRO_OK;
}

/* begin_old: the reply of SET ... GET, which shows the value that was there. */
static void begin_old(struct nk_exec *x, const struct nk_req *r, struct setting *t, bool version) {
    const struct nk_item *it = &t->it;
    if (!x->binary) {
        if (!it->found)
            nk_reply_null(x);
        else if (it->big == NULL)
            nk_reply_value(x, r, it->val, it->bytes);
        else
            nk_out_head(x, '$', it->bytes);
    } else {
        uint8_t there = it->found;
        nk_frame_open(x, r, &t->f);
        t->version_at = version ? x->c->pub.out_len : 0;
        if (version) nk_frame_version(x, &t->f, 0);
        nk_out_bytes(x, &there, 1);
        if (it->found && it->big == NULL && it->bytes > 0) nk_out_bytes(x, it->val, it->bytes);
    }
    if (it->big != NULL) {
        t->old = it->big;
        nk_big_retain(t->old);
    }
}

/* end_old: completes that reply after the unlock. */
static int end_old(struct nk_exec *x, const struct nk_req *r, struct setting *t, int status,
                   uint64_t version) {
    if (t->version_at != 0) nk_store64(x->c->pub.out + t->version_at, version);
    if (t->old != NULL)
        return nk_tail_start(x, r, &t->f, status, t->old->data, t->old->bytes, t->old, true);
    if (x->binary) nk_frame_close(x, r, &t->f, status, false, NULL, 0);
    return NITRO_STOP_DONE;
}

/* set_refused: nothing is stored. */
static int set_refused(struct nk_exec *x, const struct nk_req *r, struct setting *t, int code) {
    bool old = (r->flags & NK_F_GET) != 0 && (code == NITRO_ENOTSTORED || !x->binary);
    nk_exec_missed(x, code);
    if (old) begin_old(x, r, t, false);
    nk_exec_leave(x, old ? t->it.bytes : 0);
    if (old) {
        nk_exec_release(x);
        return end_old(x, r, t, code, 0);
    }
    if (x->binary)
        nk_reply_status(x, r, code);
    else if ((r->flags & NK_F_COUNT) != 0)
        nk_reply_int(x, 0);
    else
        nk_reply_null(x);
    return NITRO_STOP_DONE;
}

/* set_old: stores, and answers what was there. */
static int set_old(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, struct setting *t) {
    size_t undo = x->c->pub.out_len;
    uint64_t version = 0;
    int code;
    begin_old(x, r, t, (r->flags & NK_F_VERSION) != 0);
    int stop = put(x, r, s, &t->it, &t->e, &version, &code);
    nk_exec_release(x);
    if (code == NITRO_OK) return end_old(x, r, t, NITRO_OK, version);
    x->c->pub.out_len = undo;
    if (t->old != NULL) nk_big_release(x->db, t->old);
    if (stop == NITRO_STOP_DONE) nk_reply_error(x, r, code);
    return stop;
}

/* reply_stored: the reply of a SET that happened. */
static void reply_stored(struct nk_exec *x, const struct nk_req *r, uint64_t version) {
    struct nk_frame f;
    if ((r->flags & NK_F_COUNT) != 0) {
        nk_reply_int(x, 1);
        return;
    }
    if ((r->flags & NK_F_VERSION) == 0) {
        nk_reply_ok(x, r);
        return;
    }
    nk_frame_open(x, r, &f);
    nk_frame_version(x, &f, version);
    nk_frame_close(x, r, &f, NITRO_OK, false, NULL, 0);
}

/* set_options: a SET with any option. */
static NK_NOINLINE int set_options(struct nk_exec *x, struct nk_req *r, struct nk_seg *s,
                                   struct setting *t) {
    int halt;
    bool looks = (r->flags & (NK_F_GET | NK_F_CAS)) != 0;
    if (looks && !nk_exec_load(x, r, s, &t->it, false, &halt)) return halt;
    int code = refusal(r, &t->it);
    if (code != NITRO_OK || (r->flags & NK_F_GET) != 0) nk_exec_show(x, t->it.shown);
    if (code != NITRO_OK) return set_refused(x, r, t, code);
    if ((r->flags & NK_F_KEEPTTL) != 0) {
        t->e.expire_ms = t->it.found ? t->it.expire_ms : 0;
        t->e.crc = 0;
    }
    if ((r->flags & NK_F_GET) != 0) return set_old(x, r, s, t);
    uint64_t version = 0;
    int stop = put(x, r, s, &t->it, &t->e, &version, &code);
    nk_exec_leave(x, r->val_len);
    if (stop != NITRO_STOP_DONE) return stop;
    if (code != NITRO_OK)
        nk_reply_error(x, r, code);
    else
        reply_stored(x, r, version);
    return NITRO_STOP_DONE;
}

/* large_crc: without any lock, since it takes time. */
static NK_NOINLINE void large_crc(struct nk_exec *x, const struct nk_req *r, struct nk_effect *e) {
    nk_exec_release(x);
    nk_effect_crc(x->db, &r->key, e);
}

int nk_exec_set(struct nk_exec *x, struct nk_req *r) {
    struct setting t;
    t.e = (struct nk_effect){.kind = NK_EFFECT_PUT,
                             .val = r->val,
                             .bytes = r->val_len,
                             .big = r->big,
                             .packed = r->packed,
                             .expire_ms = r->expire_ms};
    if (NK_UNLIKELY(r->big != NULL)) large_crc(x, r, &t.e);
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (NK_UNLIKELY(s == NULL)) return NITRO_STOP_BUSY;
    nk_seg_find(s, &r->key, x->now, false, &t.it);
    if (NK_UNLIKELY(r->flags != 0)) {
        t.version_at = 0;
        t.old = NULL;
        t.f = (struct nk_frame){0, 0};
        return set_options(x, r, s, &t);
    }
    uint64_t version;
    int code, stop = put(x, r, s, &t.it, &t.e, &version, &code);
    nk_exec_leave(x, r->val_len);
    if (NK_UNLIKELY(stop != NITRO_STOP_DONE)) return stop;
    if (NK_UNLIKELY(code != NITRO_OK))
        nk_reply_error(x, r, code);
    else
        nk_reply_ok(x, r);
    return NITRO_STOP_DONE;
}

/* ---- INCR -------------------------------------------------------------------------------------*/

int nk_exec_incr(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (NK_UNLIKELY(s == NULL)) return NITRO_STOP_BUSY;
    struct nk_item it;
    uint8_t digits[NK_NUM_MAX];
    int64_t v = 0;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    if (!nk_exec_load(x, r, s, &it, false, &stop)) return stop;
    if (it.found && !nk_num_i64(it.val, it.bytes, &v))
        code = NITRO_ENOTNUMBER;
    else if (__builtin_add_overflow(v, (int64_t)r->num, &v))
        code = NITRO_EOVERFLOW;
    if (code == NITRO_OK) {
        uint64_t version;
        uint32_t n = (uint32_t)(nk_num_put_i64(digits, v) - digits);
        struct nk_effect e = {.kind = NK_EFFECT_PUT,
                              .val = digits,
                              .bytes = n,
                              .expire_ms = it.found ? it.expire_ms : 0};
        stop = put(x, r, s, &it, &e, &version, &code);
    }
    nk_exec_leave(x, NK_NUM_MAX);
    if (stop != NITRO_STOP_DONE) return stop;
    if (code != NITRO_OK)
        nk_reply_error(x, r, code);
    else if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &v, sizeof v);
    else
        nk_reply_int(x, v);
    return NITRO_STOP_DONE;
}

/* add_decimal: the sum of a decimal text that was found (0 if none was) and the request's. */
static enum nk_fault add_decimal(const struct nk_req *r, const struct nk_item *it,
                                 long double *sum) {
    long double was = 0, delta;
    if (it->found && (it->big != NULL || !nk_decimal_parse(it->val, it->bytes, &was)))
        return NK_FAULT_NOT_FLOAT;
    if (!nk_decimal_parse(r->val, r->val_len, &delta)) return NK_FAULT_NOT_FLOAT;
    *sum = was + delta;
    return isfinite(*sum) ? NK_FAULT_NONE : NK_FAULT_FLOAT_OVERFLOW;
}

int nk_exec_incrfloat(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    uint8_t text[NK_DECIMAL_MAX];
    long double sum;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    uint32_t n = 0;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    if (!nk_exec_load(x, r, s, &it, false, &stop)) return stop;
    enum nk_fault bad = add_decimal(r, &it, &sum);
    if (bad == NK_FAULT_NONE) {
        n = nk_decimal_put(text, sum);
        struct nk_effect e = {.kind = NK_EFFECT_PUT,
                              .val = text,
                              .bytes = n,
                              .expire_ms = it.found ? it.expire_ms : 0};
        stop = nk_exec_effect(x, r, s, &it, &e, &code);
    }
    nk_exec_leave(x, n);
    if (stop != NITRO_STOP_DONE) return stop;
    if (bad != NK_FAULT_NONE)
        nk_reply_fault(x, r, bad, NULL, 0);
    else if (code != NITRO_OK)
        nk_reply_error(x, r, code);
    else
        nk_reply_value(x, r, text, n);
    return NITRO_STOP_DONE;
}

/* ---- ECHO -------------------------------------------------------------------------------------*/

/* nk_exec_echo: a long message goes out from the input buffer, where it stays until then. */
int nk_exec_echo(struct nk_exec *x, struct nk_req *r) {
    struct nk_frame f = {0, 0};
    if (r->val_len <= NK_VALUE_BIG) {
        nk_reply_value(x, r, r->val, r->val_len);
        return NITRO_STOP_DONE;
    }
    if (x->binary)
        nk_frame_open(x, r, &f);
    else
        nk_out_head(x, '$', r->val_len);
    return nk_tail_start(x, r, &f, NITRO_OK, r->val, r->val_len, NULL, true);
}
