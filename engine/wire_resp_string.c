/* SPDX-License-Identifier: MIT
 *
 * wire_resp_string.c - decoders of the text commands about values.
 *
 * NOT HERE  keys as such (wire_resp_key.c), framing (wire_resp.c), the verbs' effects (exec_*.c).
 */
#include "wire_resp_args.h"

/* ---- reading ----------------------------------------------------------------------------------*/

void nk_resp_get(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_GET;
    nk_arg_key(a, r, 1);
}

void nk_resp_strlen(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_STRLEN;
    nk_arg_key(a, r, 1);
}

void nk_resp_getrange(const struct nk_args *a, struct nk_req *r) {
    int64_t start;
    r->op = NK_OP_GETRANGE;
    if (!nk_arg_i64(a, r, 2, &start) || !nk_arg_i64(a, r, 3, &r->end)) return;
    r->num = (uint64_t)start;
    nk_arg_key(a, r, 1);
}

void nk_resp_getdel(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_GETDEL;
    nk_arg_key(a, r, 1);
}

void nk_resp_mget(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_MGET;
    nk_arg_keys(a, r, 1, 1);
}

/* ---- expiry of SET, SETEX and GETEX -----------------------------------------------------------*/

/* The units of an expiry, in the order of the names below; 0 = none. */
enum unit { UNIT_NONE, UNIT_EX, UNIT_PX, UNIT_EXAT, UNIT_PXAT };

static enum unit unit_of(struct nitro_slice s) {
    static const char *const names[] = {"ex", "px", "exat", "pxat"};
    for (uint32_t i = 0; i < 4; i++) {
        if (nk_arg_is(s, names[i])) return (enum unit)(i + 1);
    }
    return UNIT_NONE;
}

/* set_expiry: the argument of EX, PX, EXAT or PXAT as an absolute time. */
static bool set_expiry(const struct nk_args *a, struct nk_req *r, enum unit unit, uint32_t i) {
    int64_t t;
    if (!nk_arg_i64(a, r, i, &t)) return false;
    bool seconds = unit == UNIT_EX || unit == UNIT_EXAT;
    bool relative = unit == UNIT_EX || unit == UNIT_PX;
    if (t <= 0 || (seconds && __builtin_mul_overflow(t, 1000, &t)) ||
        (relative && __builtin_add_overflow(t, a->f->now, &t))) {
        nk_arg_fault_named(a, r, NK_FAULT_EXPIRE_TIME);
        return false;
    }
    r->expire_ms = t;
    return true;
}

/* getex_later: a bad time is an error only if the key exists, as in Redis: the fault is kept beside the
 * operation. */
static void getex_later(const struct nk_args *a, struct nk_req *r, enum unit unit, uint32_t i) {
    if (!set_expiry(a, r, unit, i)) {
        r->op = NK_OP_GETEX;
        r->flags |= NK_F_FAULT;
    }
    nk_arg_key(a, r, 1);
}

void nk_resp_getex(const struct nk_args *a, struct nk_req *r) {
    enum unit unit = UNIT_NONE;
    uint32_t at = 0;
    bool persist = false;
    for (uint32_t i = 2; i < a->n; i++) {
        struct nitro_slice s = nk_arg(a, i);
        enum unit u = unit_of(s);
        if (u != UNIT_NONE && i + 1 < a->n && !persist && (unit == UNIT_NONE || unit == u)) {
            unit = u;
            at = ++i;
        } else if (nk_arg_is(s, "persist") && unit == UNIT_NONE) {
            persist = true;
        } else {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return;
        }
    }
    r->op = unit == UNIT_NONE && !persist ? NK_OP_GET : NK_OP_GETEX;
    if (persist) r->flags = NK_F_PERSIST;
    if (unit != UNIT_NONE)
        getex_later(a, r, unit, at);
    else
        nk_arg_key(a, r, 1);
}

/* ---- SET --------------------------------------------------------------------------------------*/

/* set_flag: NX, XX, GET or KEEPTTL at argument i; false if it is none or contradicts an earlier
 * one. */
static bool set_flag(const struct nk_args *a, struct nk_req *r, uint32_t i, enum unit unit) {
    struct nitro_slice s = nk_arg(a, i);
    if (nk_arg_is(s, "nx") && (r->flags & (NK_F_XX | NK_F_CAS)) == 0)
        r->flags |= NK_F_NX;
    else if (nk_arg_is(s, "xx") && (r->flags & (NK_F_NX | NK_F_CAS)) == 0)
        r->flags |= NK_F_XX;
    else if (nk_arg_is(s, "get"))
        r->flags |= NK_F_GET;
    else if (nk_arg_is(s, "keepttl") && unit == UNIT_NONE)
        r->flags |= NK_F_KEEPTTL;
    else
        return false;
    return true;
}

static NK_NOINLINE bool set_options(const struct nk_args *a, struct nk_req *r) {
    enum unit unit = UNIT_NONE;
    uint32_t expiry_at = 0, version_at = 0;
    for (uint32_t i = 3; i < a->n; i++) {
        if (set_flag(a, r, i, unit)) continue;
        enum unit u = unit_of(nk_arg(a, i));
        bool pair = i + 1 < a->n;
        if (pair && u != UNIT_NONE && (unit == UNIT_NONE || unit == u) &&
            (r->flags & NK_F_KEEPTTL) == 0) {
            unit = u;
            expiry_at = ++i;
        } else if (pair && nk_arg_is(nk_arg(a, i), "ifver") &&
                   (r->flags & (NK_F_NX | NK_F_XX)) == 0) {
            r->flags |= NK_F_CAS;
            version_at = ++i;
        } else {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return false;
        }
    }
    if (version_at != 0) {
        struct nitro_slice s = nk_arg(a, version_at);
        if (!nk_num_u64(s.p, s.n, &r->num)) {
            nk_arg_fault(r, NK_FAULT_NOT_INTEGER);
            return false;
        }
    }
    return unit == UNIT_NONE || set_expiry(a, r, unit, expiry_at);
}

void nk_resp_set(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_SET;
    if (NK_UNLIKELY(a->n > 3) && !set_options(a, r)) return;
    if (nk_arg_key(a, r, 1)) nk_arg_value(a, r, 2);
}

/* set_plain: key and value of the older verbs, which are SET with a fixed option. */
static void set_plain(const struct nk_args *a, struct nk_req *r, uint32_t flags, uint32_t value) {
    r->op = NK_OP_SET;
    r->flags = flags;
    if (nk_arg_key(a, r, 1)) nk_arg_value(a, r, value);
}

void nk_resp_setnx(const struct nk_args *a, struct nk_req *r) {
    set_plain(a, r, NK_F_NX | NK_F_COUNT, 2);
}
void nk_resp_getset(const struct nk_args *a, struct nk_req *r) { set_plain(a, r, NK_F_GET, 2); }
void nk_resp_setex(const struct nk_args *a, struct nk_req *r) {
    if (set_expiry(a, r, UNIT_EX, 2)) set_plain(a, r, 0, 3);
}
void nk_resp_psetex(const struct nk_args *a, struct nk_req *r) {
    if (set_expiry(a, r, UNIT_PX, 2)) set_plain(a, r, 0, 3);
}

/* ---- changing ---------------------------------------------------------------------------------*/

void nk_resp_append(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_APPEND;
    if (nk_arg_key(a, r, 1)) nk_arg_value(a, r, 2);
}

void nk_resp_setrange(const struct nk_args *a, struct nk_req *r) {
    int64_t offset;
    r->op = NK_OP_SETRANGE;
    if (!nk_arg_i64(a, r, 2, &offset)) return;
    if (offset < 0) {
        nk_arg_fault(r, NK_FAULT_OFFSET);
        return;
    }
    r->num = (uint64_t)offset;
    if (nk_arg_key(a, r, 1)) nk_arg_value(a, r, 3);
}

/* incr_by: the counting verbs; all of them add r->num in the end. */
static void incr_by(const struct nk_args *a, struct nk_req *r, int64_t delta) {
    r->op = NK_OP_INCR;
    r->num = (uint64_t)delta;
    if (nk_arg_key(a, r, 1)) a->f->c->pub.grow_bytes += r->key.n + NK_NUM_MAX;
}

void nk_resp_incr(const struct nk_args *a, struct nk_req *r) { incr_by(a, r, 1); }
void nk_resp_decr(const struct nk_args *a, struct nk_req *r) { incr_by(a, r, -1); }

void nk_resp_incrby(const struct nk_args *a, struct nk_req *r) {
    int64_t delta;
    if (nk_arg_i64(a, r, 2, &delta)) incr_by(a, r, delta);
}

void nk_resp_decrby(const struct nk_args *a, struct nk_req *r) {
    int64_t delta;
    if (!nk_arg_i64(a, r, 2, &delta)) return;
    if (delta == INT64_MIN)
        nk_arg_fault(r, NK_FAULT_DECR_OVERFLOW);
    else
        incr_by(a, r, -delta);
}

void nk_resp_incrbyfloat(const struct nk_args *a, struct nk_req *r) {
    struct nitro_slice delta = nk_arg(a, 2);
    long double unused;
    r->op = NK_OP_INCRFLOAT;
    if (!nk_decimal_parse(delta.p, delta.n, &unused)) {
        nk_arg_fault(r, NK_FAULT_NOT_FLOAT);
        return;
    }
    r->val = delta.p;
    r->val_len = (uint32_t)delta.n;
    if (nk_arg_key(a, r, 1)) a->f->c->pub.grow_bytes += r->key.n + NK_DECIMAL_MAX;
}

/* ---- several keys -----------------------------------------------------------------------------*/

void nk_resp_mset(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_MSET;
    if (a->n % 2 == 0) {
        nk_arg_fault_named(a, r, NK_FAULT_ARITY);
        return;
    }
    if (!nk_arg_keys(a, r, 1, 2)) return;
    for (uint32_t i = 0; i < r->arg_count; i++) {
        struct nk_multi *m = &a->f->c->multi[r->arg_at + i];
        struct nitro_slice v = nk_arg(a, 2 + 2 * i);
        enum nk_fault bad = nk_parser_multi_value(a->f, m, v.p, (uint32_t)v.n);
        if (bad != NK_FAULT_NONE) {
            nk_req_drop(a->f->db, a->f->c, r);
            nk_arg_fault(r, bad);
            return;
        }
        a->f->c->pub.grow_bytes += m->key.n + v.n;
    }
}

void nk_resp_msetnx(const struct nk_args *a, struct nk_req *r) {
    r->flags = NK_F_NX | NK_F_COUNT;
    nk_resp_mset(a, r);
}
