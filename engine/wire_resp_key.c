/* SPDX-License-Identifier: MIT
 *
 * wire_resp_key.c - decoders of the text commands about keys: deleting, expiry, names, walks, descriptions.
 *
 * NOT HERE  values (wire_resp_string.c), framing (wire_resp.c), the verbs' effects (exec_*.c).
 */
#include "wire_resp_args.h"

#define WORDS_MAX 128u /* bytes of the client's own words in an error */

static void one_key(const struct nk_args *a, struct nk_req *r, enum nk_op op, uint32_t flags) {
    r->op = (uint8_t)op;
    r->flags = flags;
    nk_arg_key(a, r, 1);
}

void nk_resp_ttl(const struct nk_args *a, struct nk_req *r) { one_key(a, r, NK_OP_TTL, 0); }
void nk_resp_pttl(const struct nk_args *a, struct nk_req *r) { one_key(a, r, NK_OP_TTL, NK_F_MS); }
void nk_resp_expiretime(const struct nk_args *a, struct nk_req *r) {
    one_key(a, r, NK_OP_TTL, NK_F_ABSOLUTE);
}
void nk_resp_pexpiretime(const struct nk_args *a, struct nk_req *r) {
    one_key(a, r, NK_OP_TTL, NK_F_ABSOLUTE | NK_F_MS);
}
void nk_resp_persist(const struct nk_args *a, struct nk_req *r) { one_key(a, r, NK_OP_PERSIST, 0); }
void nk_resp_type(const struct nk_args *a, struct nk_req *r) { one_key(a, r, NK_OP_TYPE, 0); }

/* ---- several keys -----------------------------------------------------------------------------*/

void nk_resp_exists(const struct nk_args *a, struct nk_req *r) {
    r->op = a->n == 2 ? NK_OP_EXISTS : NK_OP_MEXISTS;
    if (a->n == 2)
        nk_arg_key(a, r, 1);
    else
        nk_arg_keys(a, r, 1, 1);
}

void nk_resp_del(const struct nk_args *a, struct nk_req *r) {
    r->op = a->n == 2 ? NK_OP_DEL : NK_OP_MDEL;
    if (a->n == 2)
        nk_arg_key(a, r, 1);
    else
        nk_arg_keys(a, r, 1, 1);
}

void nk_resp_delete(const struct nk_args *a, struct nk_req *r) {
    r->flags = NK_F_OK;
    nk_resp_del(a, r);
}

/* two_keys: the arguments 1 and 2, from and to. */
static void two_keys(const struct nk_args *a, struct nk_req *r, enum nk_op op, uint32_t flags) {
    struct nk_args names = *a;
    names.n = 3;
    r->op = (uint8_t)op;
    r->flags = flags;
    nk_arg_keys(&names, r, 1, 1);
}

void nk_resp_rename(const struct nk_args *a, struct nk_req *r) { two_keys(a, r, NK_OP_RENAME, 0); }
void nk_resp_renamenx(const struct nk_args *a, struct nk_req *r) {
    two_keys(a, r, NK_OP_RENAME, NK_F_NX);
}

void nk_resp_copy(const struct nk_args *a, struct nk_req *r) {
    uint32_t flags = NK_F_NX;
    for (uint32_t i = 3; i < a->n; i++) {
        int64_t db;
        if (nk_arg_is(nk_arg(a, i), "replace")) {
            flags = 0;
        } else if (nk_arg_is(nk_arg(a, i), "db") && i + 1 < a->n) {
            if (!nk_arg_i64(a, r, ++i, &db)) return;
            if (db != 0) {
                bool fits = db >= INT32_MIN && db <= INT32_MAX;
                nk_arg_fault(r, fits ? NK_FAULT_DATABASE : NK_FAULT_NOT_INT32);
                return;
            }
        } else {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return;
        }
    }
    struct nitro_slice from = nk_arg(a, 1), to = nk_arg(a, 2);
    if (from.n == to.n && memcmp(from.p, to.p, from.n) == 0)
        nk_arg_fault(r, NK_FAULT_SAME_KEY);
    else
        two_keys(a, r, NK_OP_COPY, flags);
}

/* ---- expiry -----------------------------------------------------------------------------------*/

static bool expire_options(const struct nk_args *a, struct nk_req *r) {
    for (uint32_t i = 3; i < a->n; i++) {
        struct nitro_slice s = nk_arg(a, i);
        if (nk_arg_is(s, "nx"))
            r->flags |= NK_F_NX;
        else if (nk_arg_is(s, "xx"))
            r->flags |= NK_F_XX;
        else if (nk_arg_is(s, "gt"))
            r->flags |= NK_F_GT;
        else if (nk_arg_is(s, "lt"))
            r->flags |= NK_F_LT;
        else {
            nk_req_fault(r, NK_FAULT_EXPIRE_OPTION, s.p, s.n);
            return false;
        }
    }
    if ((r->flags & NK_F_NX) != 0 && (r->flags & (NK_F_XX | NK_F_GT | NK_F_LT)) != 0) {
        nk_arg_fault(r, NK_FAULT_EXPIRE_NX);
        return false;
    }
    if ((r->flags & NK_F_GT) != 0 && (r->flags & NK_F_LT) != 0) {
        nk_arg_fault(r, NK_FAULT_EXPIRE_GT_LT);
        return false;
    }
    return true;
}

/* expire_from: `base` plus a number of units. Negative times are legal and delete; what does not fit is not. */
static void expire_from(const struct nk_args *a, struct nk_req *r, int64_t base, int64_t unit) {
    int64_t t;
    r->op = NK_OP_EXPIRE;
    if (!expire_options(a, r) || !nk_arg_i64(a, r, 2, &t)) return;
    if (__builtin_mul_overflow(t, unit, &t) || __builtin_add_overflow(t, base, &t)) {
        nk_arg_fault_named(a, r, NK_FAULT_EXPIRE_TIME);
        return;
    }
    r->expire_ms = t;
    nk_arg_key(a, r, 1);
}

void nk_resp_expire(const struct nk_args *a, struct nk_req *r) {
    expire_from(a, r, a->f->now, 1000);
}
void nk_resp_pexpire(const struct nk_args *a, struct nk_req *r) { expire_from(a, r, a->f->now, 1); }
void nk_resp_expireat(const struct nk_args *a, struct nk_req *r) { expire_from(a, r, 0, 1000); }
void nk_resp_pexpireat(const struct nk_args *a, struct nk_req *r) { expire_from(a, r, 0, 1); }

/* ---- walks ------------------------------------------------------------------------------------*/

static bool scan_option(const struct nk_args *a, struct nk_req *r, uint32_t i) {
    struct nitro_slice name = nk_arg(a, i), v = nk_arg(a, i + 1);
    int64_t n;
    if (nk_arg_is(name, "match")) {
        r->val = v.p;
        r->val_len = (uint32_t)v.n;
    } else if (nk_arg_is(name, "count")) {
        if (!nk_arg_i64(a, r, i + 1, &n)) return false;
        if (n < 1) {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return false;
        }
        r->arg_count = (uint32_t)nk_min_u64((uint64_t)n, UINT32_MAX);
    } else if (nk_arg_is(name, "type")) {
        r->flags = nk_arg_is(v, "string") ? 0 : NK_F_NOTHING;
    } else {
        nk_arg_fault(r, NK_FAULT_SYNTAX);
        return false;
    }
    return true;
}

void nk_resp_scan(const struct nk_args *a, struct nk_req *r) {
    struct nitro_slice cursor = nk_arg(a, 1);
    r->op = NK_OP_SCAN;
    r->arg_count = 10;
    if (!nk_num_u64(cursor.p, cursor.n, &r->num)) {
        nk_arg_fault(r, NK_FAULT_CURSOR);
        return;
    }
    for (uint32_t i = 2; i < a->n; i += 2) {
        if (i + 1 == a->n) {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return;
        }
        if (!scan_option(a, r, i)) return;
    }
}

void nk_resp_keys(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_KEYS;
    r->val = nk_arg(a, 1).p;
    r->val_len = (uint32_t)nk_arg(a, 1).n;
}

void nk_resp_randomkey(const struct nk_args *a, struct nk_req *r) {
    (void)a;
    r->op = NK_OP_RANDOMKEY;
}

/* ---- descriptions -----------------------------------------------------------------------------*/

static void memory_usage(const struct nk_args *a, struct nk_req *r) {
    r->op = NK_OP_USAGE;
    if (a->n < 3) {
        static const char name[] = "memory|usage";
        nk_req_fault(r, NK_FAULT_ARITY, name, sizeof name - 1);
        return;
    }
    for (uint32_t i = 3; i < a->n; i += 2) {
        int64_t samples;
        if (!nk_arg_is(nk_arg(a, i), "samples") || i + 1 == a->n) {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return;
        }
        if (!nk_arg_i64(a, r, i + 1, &samples)) return;
        if (samples < 0) {
            nk_arg_fault(r, NK_FAULT_SYNTAX);
            return;
        }
    }
    nk_arg_key(a, r, 2);
}

/* help: the subcommand HELP of a verb. */
static void help(const struct nk_args *a, struct nk_req *r, enum nk_help topic, const char *name) {
    r->op = NK_OP_HELP;
    r->code = (uint8_t)topic;
    if (a->n != 2) nk_req_fault(r, NK_FAULT_ARITY, name, strlen(name));
}

void nk_resp_memory(const struct nk_args *a, struct nk_req *r) {
    struct nitro_slice sub = nk_arg(a, 1);
    if (nk_arg_is(sub, "usage"))
        memory_usage(a, r);
    else if (nk_arg_is(sub, "help"))
        help(a, r, NK_HELP_MEMORY, "memory|help");
    else
        nk_req_fault(r, NK_FAULT_MEMORY_SUB, sub.p, nk_min_u64(sub.n, WORDS_MAX));
}

void nk_resp_object(const struct nk_args *a, struct nk_req *r) {
    static const struct {
        const char *word, *name;
        enum nk_fact fact;
    } subs[] = {{"encoding", "object|encoding", NK_FACT_ENCODING},
                {"freq", "object|freq", NK_FACT_FREQ},
                {"idletime", "object|idletime", NK_FACT_IDLETIME},
                {"refcount", "object|refcount", NK_FACT_REFCOUNT}};
    struct nitro_slice sub = nk_arg(a, 1);
    if (nk_arg_is(sub, "help")) {
        help(a, r, NK_HELP_OBJECT, "object|help");
        return;
    }
    for (uint32_t i = 0; i < sizeof subs / sizeof subs[0]; i++) {
        if (!nk_arg_is(sub, subs[i].word)) continue;
        r->op = NK_OP_OBJECT;
        r->code = (uint8_t)subs[i].fact;
        if (a->n != 3)
            nk_req_fault(r, NK_FAULT_ARITY, subs[i].name, strlen(subs[i].name));
        else
            nk_arg_key(a, r, 2);
        return;
    }
    nk_req_fault(r, NK_FAULT_OBJECT_SUB, sub.p, nk_min_u64(sub.n, WORDS_MAX));
}
