/* SPDX-License-Identifier: MIT
 *
 * wire_resp_args.c - from the arguments of a text command to a request.
 *
 * DESIGN
 *   One decoder a verb, chosen by a table. A decoder fills the request or turns it into a fault; it
 *   never looks at the store, so all of this happens before any lock. The order of the checks is
 *   Redis's, because which of two errors is reported is visible.
 *
 * NOT HERE  framing (wire_resp.c), the verbs' effects (exec_*.c).
 */
#include "num.h"
#include "wire_resp.h"

#include <strings.h>

/* The arguments of the command being decoded. */
struct args {
    struct nk_parser *f;
    const uint8_t *base;
    const struct nk_span *span;
    uint32_t n;
    const struct nitro_command *cmd;
};

NK_INLINE struct nitro_slice arg(const struct args *a, uint32_t i) {
    return (struct nitro_slice){a->base + a->span[i].at, a->span[i].n};
}

static bool is_word(struct nitro_slice s, const char *lower) {
    return s.n == strlen(lower) && strncasecmp((const char *)s.p, lower, s.n) == 0;
}

static void fault(struct nk_req *r, enum nk_fault what) { nk_req_fault(r, what, NULL, 0); }

/* fault_named: a fault whose text names the verb. */
static NK_NOINLINE void fault_named(const struct args *a, struct nk_req *r, enum nk_fault what) {
    nk_req_fault(r, what, a->cmd->name, strlen(a->cmd->name));
}

/* set_key: argument i is the request's key. */
NK_INLINE bool set_key(const struct args *a, struct nk_req *r, uint32_t i) {
    struct nitro_slice s = arg(a, i);
    if (NK_UNLIKELY(s.n > NITRO_KEY_MAX)) {
        fault(r, NK_FAULT_KEY_SIZE);
        return false;
    }
    nk_key_init(a->f->db, s.p, (uint32_t)s.n, &r->key);
    return true;
}

static bool get_i64(const struct args *a, struct nk_req *r, uint32_t i, int64_t *out) {
    struct nitro_slice s = arg(a, i);
    if (nk_num_i64(s.p, s.n, out)) return true;
    fault(r, NK_FAULT_NOT_INTEGER);
    return false;
}

/* ---- one key ----------------------------------------------------------------------------------*/

static void get(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_GET;
    set_key(a, r, 1);
}

static void ttl(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_TTL;
    set_key(a, r, 1);
}

static void pttl(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_TTL;
    r->flags = NK_F_MS;
    set_key(a, r, 1);
}

static void persist(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_PERSIST;
    set_key(a, r, 1);
}

static void type(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_TYPE;
    set_key(a, r, 1);
}

/* incr_by: the counting verbs; all of them add r->num in the end. */
static void incr_by(const struct args *a, struct nk_req *r, int64_t delta) {
    r->op = NK_OP_INCR;
    r->num = (uint64_t)delta;
    if (set_key(a, r, 1)) a->f->c->pub.grow_bytes += r->key.n + NK_NUM_MAX;
}

static void incr(const struct args *a, struct nk_req *r) { incr_by(a, r, 1); }
static void decr(const struct args *a, struct nk_req *r) { incr_by(a, r, -1); }

static void incrby(const struct args *a, struct nk_req *r) {
    int64_t delta;
    if (get_i64(a, r, 2, &delta)) incr_by(a, r, delta);
}

static void decrby(const struct args *a, struct nk_req *r) {
    int64_t delta;
    if (!get_i64(a, r, 2, &delta)) return;
    if (delta == INT64_MIN)
        fault(r, NK_FAULT_DECR_OVERFLOW);
    else
        incr_by(a, r, -delta);
}

/* ---- SET --------------------------------------------------------------------------------------*/

/* The units of an expiry, in the order of the names below; 0 = none. */
enum unit { UNIT_NONE, UNIT_EX, UNIT_PX, UNIT_EXAT, UNIT_PXAT };

static enum unit unit_of(struct nitro_slice s) {
    static const char *const names[] = {"ex", "px", "exat", "pxat"};
    for (uint32_t i = 0; i < 4; i++) {
        if (is_word(s, names[i])) return (enum unit)(i + 1);
    }
    return UNIT_NONE;
}

/* set_expiry: the argument of EX, PX, EXAT or PXAT as an absolute time. */
static bool set_expiry(const struct args *a, struct nk_req *r, enum unit unit, uint32_t i) {
    int64_t t;
    if (!get_i64(a, r, i, &t)) return false;
    bool seconds = unit == UNIT_EX || unit == UNIT_EXAT;
    bool relative = unit == UNIT_EX || unit == UNIT_PX;
    if (t <= 0 || (seconds && __builtin_mul_overflow(t, 1000, &t)) ||
        (relative && __builtin_add_overflow(t, a->f->now, &t))) {
        fault_named(a, r, NK_FAULT_EXPIRE_TIME);
        return false;
    }
    r->expire_ms = t;
    return true;
}

/* set_flag: NX, XX, GET or KEEPTTL at argument i; false if it is none or contradicts an earlier
 * one. */
static bool set_flag(const struct args *a, struct nk_req *r, uint32_t i, enum unit unit) {
    struct nitro_slice s = arg(a, i);
    if (is_word(s, "nx") && (r->flags & (NK_F_XX | NK_F_CAS)) == 0)
        r->flags |= NK_F_NX;
    else if (is_word(s, "xx") && (r->flags & (NK_F_NX | NK_F_CAS)) == 0)
        r->flags |= NK_F_XX;
    else if (is_word(s, "get"))
        r->flags |= NK_F_GET;
    else if (is_word(s, "keepttl") && unit == UNIT_NONE)
        r->flags |= NK_F_KEEPTTL;
    else
        return false;
    return true;
}

static NK_NOINLINE bool set_options(const struct args *a, struct nk_req *r) {
    enum unit unit = UNIT_NONE;
    uint32_t expiry_at = 0, version_at = 0;
    for (uint32_t i = 3; i < a->n; i++) {
        if (set_flag(a, r, i, unit)) continue;
        enum unit u = unit_of(arg(a, i));
        bool pair = i + 1 < a->n;
        if (pair && u != UNIT_NONE && (unit == UNIT_NONE || unit == u) &&
            (r->flags & NK_F_KEEPTTL) == 0) {
            unit = u;
            expiry_at = ++i;
        } else if (pair && is_word(arg(a, i), "ifver") && (r->flags & (NK_F_NX | NK_F_XX)) == 0) {
            r->flags |= NK_F_CAS;
            version_at = ++i;
        } else {
            fault(r, NK_FAULT_SYNTAX);
            return false;
        }
    }
    if (version_at != 0) {
        struct nitro_slice s = arg(a, version_at);
        if (!nk_num_u64(s.p, s.n, &r->num)) {
            fault(r, NK_FAULT_NOT_INTEGER);
            return false;
        }
    }
    return unit == UNIT_NONE || set_expiry(a, r, unit, expiry_at);
}

static void set(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_SET;
    if (NK_UNLIKELY(a->n > 3) && !set_options(a, r)) return;
    if (!set_key(a, r, 1)) return;
    struct nitro_slice v = arg(a, 2);
    enum nk_fault bad = nk_parser_value(a->f, v.p, (uint32_t)v.n, &r->val, &r->val_len, &r->big);
    if (NK_UNLIKELY(bad != NK_FAULT_NONE)) fault(r, bad);
    a->f->c->pub.grow_bytes += r->key.n + v.n;
}

/* ---- EXPIRE -----------------------------------------------------------------------------------*/

static bool expire_options(const struct args *a, struct nk_req *r) {
    for (uint32_t i = 3; i < a->n; i++) {
        struct nitro_slice s = arg(a, i);
        if (is_word(s, "nx"))
            r->flags |= NK_F_NX;
        else if (is_word(s, "xx"))
            r->flags |= NK_F_XX;
        else if (is_word(s, "gt"))
            r->flags |= NK_F_GT;
        else if (is_word(s, "lt"))
            r->flags |= NK_F_LT;
        else {
            nk_req_fault(r, NK_FAULT_EXPIRE_OPTION, s.p, s.n);
            return false;
        }
    }
    if ((r->flags & NK_F_NX) != 0 && (r->flags & (NK_F_XX | NK_F_GT | NK_F_LT)) != 0) {
        fault(r, NK_FAULT_EXPIRE_NX);
        return false;
    }
    if ((r->flags & NK_F_GT) != 0 && (r->flags & NK_F_LT) != 0) {
        fault(r, NK_FAULT_EXPIRE_GT_LT);
        return false;
    }
    return true;
}

/* expire_in: negative times are legal and delete; what does not fit is not. */
static void expire_in(const struct args *a, struct nk_req *r, int64_t unit) {
    int64_t t;
    r->op = NK_OP_EXPIRE;
    if (!expire_options(a, r) || !get_i64(a, r, 2, &t)) return;
    if (__builtin_mul_overflow(t, unit, &t) || __builtin_add_overflow(t, a->f->now, &t)) {
        fault_named(a, r, NK_FAULT_EXPIRE_TIME);
        return;
    }
    r->expire_ms = t;
    set_key(a, r, 1);
}

static void expire(const struct args *a, struct nk_req *r) { expire_in(a, r, 1000); }
static void pexpire(const struct args *a, struct nk_req *r) { expire_in(a, r, 1); }

/* ---- several keys -----------------------------------------------------------------------------*/

/* set_keys: the arguments from `first` on, every `step`-th, are the request's keys. */
static bool set_keys(const struct args *a, struct nk_req *r, uint32_t first, uint32_t step) {
    enum nk_fault bad = nk_parser_multi(a->f, r, (a->n - first) / step);
    for (uint32_t i = first; bad == NK_FAULT_NONE && i < a->n; i += step) {
        struct nitro_slice s = arg(a, i);
        if (s.n > NITRO_KEY_MAX)
            bad = NK_FAULT_KEY_SIZE;
        else
            nk_parser_multi_add(a->f, r, s.p, (uint32_t)s.n);
    }
    if (bad != NK_FAULT_NONE) fault(r, bad);
    return bad == NK_FAULT_NONE;
}

static void mget(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_MGET;
    set_keys(a, r, 1, 1);
}

static void exists(const struct args *a, struct nk_req *r) {
    r->op = a->n == 2 ? NK_OP_EXISTS : NK_OP_MEXISTS;
    if (a->n == 2)
        set_key(a, r, 1);
    else
        set_keys(a, r, 1, 1);
}

static void del(const struct args *a, struct nk_req *r) {
    r->op = a->n == 2 ? NK_OP_DEL : NK_OP_MDEL;
    if (a->n == 2)
        set_key(a, r, 1);
    else
        set_keys(a, r, 1, 1);
}

static void delete (const struct args *a, struct nk_req *r) {
    r->flags = NK_F_OK;
    del(a, r);
}

static void mset(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_MSET;
    if (a->n % 2 == 0) {
        fault_named(a, r, NK_FAULT_ARITY);
        return;
    }
    if (!set_keys(a, r, 1, 2)) return;
    for (uint32_t i = 0; i < r->arg_count; i++) {
        struct nk_multi *m = &a->f->c->multi[r->arg_at + i];
        struct nitro_slice v = arg(a, 2 + 2 * i);
        enum nk_fault bad =
            nk_parser_value(a->f, v.p, (uint32_t)v.n, &m->val, &m->val_len, &m->big);
        if (bad != NK_FAULT_NONE) {
            nk_req_drop(a->f->db, a->f->c, r);
            fault(r, bad);
            return;
        }
        a->f->c->pub.grow_bytes += m->key.n + v.n;
    }
}

/* ---- the rest ---------------------------------------------------------------------------------*/

static void ping(const struct args *a, struct nk_req *r) {
    r->op = a->n == 1 ? NK_OP_PING : NK_OP_ECHO;
    if (a->n > 2)
        fault_named(a, r, NK_FAULT_ARITY);
    else if (a->n == 2)
        r->val = arg(a, 1).p, r->val_len = (uint32_t)arg(a, 1).n;
}

static void dbsize(const struct args *a, struct nk_req *r) {
    (void)a;
    r->op = NK_OP_COUNT;
}

static bool scan_option(const struct args *a, struct nk_req *r, uint32_t i) {
    struct nitro_slice name = arg(a, i), v = arg(a, i + 1);
    int64_t n;
    if (is_word(name, "match")) {
        r->val = v.p;
        r->val_len = (uint32_t)v.n;
    } else if (is_word(name, "count")) {
        if (!get_i64(a, r, i + 1, &n)) return false;
        if (n < 1) {
            fault(r, NK_FAULT_SYNTAX);
            return false;
        }
        r->arg_count = (uint32_t)nk_min_u64((uint64_t)n, UINT32_MAX);
    } else if (is_word(name, "type")) {
        r->flags = is_word(v, "string") ? 0 : NK_F_NOTHING;
    } else {
        fault(r, NK_FAULT_SYNTAX);
        return false;
    }
    return true;
}

static void scan(const struct args *a, struct nk_req *r) {
    struct nitro_slice cursor = arg(a, 1);
    r->op = NK_OP_SCAN;
    r->arg_count = 10;
    if (!nk_num_u64(cursor.p, cursor.n, &r->num)) {
        fault(r, NK_FAULT_CURSOR);
        return;
    }
    for (uint32_t i = 2; i < a->n; i += 2) {
        if (i + 1 == a->n) {
            fault(r, NK_FAULT_SYNTAX);
            return;
        }
        if (!scan_option(a, r, i)) return;
    }
}

static void memory_usage(const struct args *a, struct nk_req *r) {
    r->op = NK_OP_USAGE;
    if (a->n < 3) {
        static const char name[] = "memory|usage";
        nk_req_fault(r, NK_FAULT_ARITY, name, sizeof name - 1);
        return;
    }
    for (uint32_t i = 3; i < a->n; i += 2) {
        int64_t samples;
        if (!is_word(arg(a, i), "samples") || i + 1 == a->n) {
            fault(r, NK_FAULT_SYNTAX);
            return;
        }
        if (!get_i64(a, r, i + 1, &samples)) return;
        if (samples < 0) {
            fault(r, NK_FAULT_SYNTAX);
            return;
        }
    }
    set_key(a, r, 2);
}

static void memory(const struct args *a, struct nk_req *r) {
    struct nitro_slice sub = arg(a, 1);
    static const char help[] = "memory|help";
    if (is_word(sub, "usage")) {
        memory_usage(a, r);
    } else if (is_word(sub, "help")) {
        r->op = NK_OP_HELP;
        if (a->n != 2) nk_req_fault(r, NK_FAULT_ARITY, help, sizeof help - 1);
    } else {
        nk_req_fault(r, NK_FAULT_SUBCOMMAND, sub.p, nk_min_u64(sub.n, 128));
    }
}

/* host_args: keeps the arguments, the verb first, for the host or for an error that shows them. */
static bool host_args(const struct args *a, struct nk_req *r, uint32_t n) {
    enum nk_fault bad = nk_parser_args(a->f, r, n);
    if (bad != NK_FAULT_NONE) {
        fault(r, bad);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) a->f->c->slices[r->arg_at + i] = arg(a, i);
    return true;
}

static void host(const struct args *a, struct nk_req *r, enum nitro_host_verb verb) {
    r->op = NK_OP_HOST;
    r->code = (uint8_t)verb;
    host_args(a, r, a->n);
}

static void flush(const struct args *a, struct nk_req *r) {
    if (a->n > 2 || (a->n == 2 && !is_word(arg(a, 1), "async") && !is_word(arg(a, 1), "sync")))
        fault(r, NK_FAULT_SYNTAX);
    else
        host(a, r, NITRO_HOST_FLUSH);
}

#define HOST_DECODER(name, verb)                                                                   \
    static void name(const struct args *a, struct nk_req *r) { host(a, r, verb); }
HOST_DECODER(hello, NITRO_HOST_HELLO)
HOST_DECODER(auth, NITRO_HOST_AUTH)
HOST_DECODER(client, NITRO_HOST_CLIENT)
HOST_DECODER(command, NITRO_HOST_COMMAND)
HOST_DECODER(config, NITRO_HOST_CONFIG)
HOST_DECODER(info, NITRO_HOST_INFO)
HOST_DECODER(select_db, NITRO_HOST_SELECT)
HOST_DECODER(quit, NITRO_HOST_QUIT)
HOST_DECODER(reset, NITRO_HOST_RESET)
HOST_DECODER(waitaof, NITRO_HOST_WAITAOF)

typedef void decoder(const struct args *a, struct nk_req *r);

static decoder *const decoders[NK_VERB_COUNT] = {
    [NK_VERB_AUTH] = auth,        [NK_VERB_CLIENT] = client,   [NK_VERB_COMMAND] = command,
    [NK_VERB_CONFIG] = config,    [NK_VERB_DBSIZE] = dbsize,   [NK_VERB_DECR] = decr,
    [NK_VERB_DECRBY] = decrby,    [NK_VERB_DEL] = del,         [NK_VERB_DELETE] = delete,
    [NK_VERB_ECHO] = ping,        [NK_VERB_EXISTS] = exists,   [NK_VERB_EXPIRE] = expire,
    [NK_VERB_FLUSHALL] = flush,   [NK_VERB_FLUSHDB] = flush,   [NK_VERB_GET] = get,
    [NK_VERB_HELLO] = hello,      [NK_VERB_INCR] = incr,       [NK_VERB_INCRBY] = incrby,
    [NK_VERB_INFO] = info,        [NK_VERB_MEMORY] = memory,   [NK_VERB_MGET] = mget,
    [NK_VERB_MSET] = mset,        [NK_VERB_PERSIST] = persist, [NK_VERB_PEXPIRE] = pexpire,
    [NK_VERB_PING] = ping,        [NK_VERB_PTTL] = pttl,       [NK_VERB_PUT] = set,
    [NK_VERB_QUIT] = quit,        [NK_VERB_RESET] = reset,     [NK_VERB_SCAN] = scan,
    [NK_VERB_SELECT] = select_db, [NK_VERB_SET] = set,         [NK_VERB_TTL] = ttl,
    [NK_VERB_TYPE] = type,        [NK_VERB_WAITAOF] = waitaof,
};

/* unknown: keeps as many arguments as the error may show (each takes at least three bytes of
 * 128). */
static NK_NOINLINE void unknown(const struct args *a, struct nk_req *r) {
    if (host_args(a, r, (uint32_t)nk_min_u64(a->n, 44))) nk_req_fault(r, NK_FAULT_UNKNOWN, NULL, 0);
}

void nk_resp_decode(struct nk_parser *f, const uint8_t *base, uint32_t argc) {
    struct nk_req *r = nk_parser_slot(f);
    struct args a = {f, base, f->c->spans, argc, NULL};
    memset(r, 0, sizeof *r);
    enum nk_verb verb = nk_cmd_find(base + a.span[0].at, a.span[0].n);
    if (NK_UNLIKELY(verb == NK_VERB_UNKNOWN)) {
        unknown(&a, r);
        return;
    }
    a.cmd = nk_cmd_info(verb);
    int32_t arity = a.cmd->arity;
    if (NK_UNLIKELY(arity >= 0 ? argc != (uint32_t)arity : argc < (uint32_t)-arity)) {
        fault_named(&a, r, NK_FAULT_ARITY);
        return;
    }
    decoders[verb](&a, r);
}
