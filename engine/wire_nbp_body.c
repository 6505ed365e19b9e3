/* SPDX-License-Identifier: MIT
 *
 * wire_nbp_body.c - from the body of a binary request to a request.
 *
 * DESIGN
 *   A body is read through a cursor that remembers running short, so that a layout is written down
 *   as the list of its parts and checked once at the end: everything there and nothing left over.
 *
 * NOT HERE  frames and blocks (wire_nbp.c), the opcodes' effects (exec_*.c).
 */
#include "decimal.h"
#include "session.h"
#include "wire_nbp.h"

/* The options byte of GETX, SETX and SCAN as the specification numbers it. */
#define GETX_VERSION 0x01u
#define GETX_EXPIRY 0x02u
#define GETX_LENGTH 0x04u
#define SETX_NX 0x01u
#define SETX_XX 0x02u
#define SETX_KEEPTTL 0x04u
#define SETX_OLD 0x08u
#define SETX_VERSION 0x10u
#define GETEX_PERSIST 0x01u
#define EXPIREX_NX 0x01u
#define EXPIREX_XX 0x02u
#define EXPIREX_GT 0x04u
#define EXPIREX_LT 0x08u
#define MSETX_NX 0x01u
#define RENAME_NX 0x01u
#define COPY_REPLACE 0x01u
#define SCAN_DETAILS 0x01u
#define SCAN_COUNT_DEFAULT 10u

struct cursor {
    const uint8_t *p, *end;
    bool is_short;
};

/* take: the next n bytes, or NULL, and nothing from then on. */
NK_INLINE const uint8_t *take(struct cursor *b, size_t n) {
    if (NK_UNLIKELY((size_t)(b->end - b->p) < n)) {
        b->is_short = true;
        b->p = b->end;
        return NULL;
    }
    const uint8_t *p = b->p;
    b->p += n;
    return p;
}
NK_INLINE uint8_t take_u8(struct cursor *b) {
    const uint8_t *p = take(b, 1);
    return p != NULL ? *p : 0;
}
NK_INLINE uint16_t take_u16(struct cursor *b) {
    const uint8_t *p = take(b, 2);
    return p != NULL ? nk_load16(p) : 0;
}
NK_INLINE uint32_t take_u32(struct cursor *b) {
    const uint8_t *p = take(b, 4);
    return p != NULL ? nk_load32(p) : 0;
}
NK_INLINE uint64_t take_u64(struct cursor *b) {
    const uint8_t *p = take(b, 8);
    return p != NULL ? nk_load64(p) : 0;
}
/* take_string: u16 length and as many bytes. */
NK_INLINE struct nitro_slice take_string(struct cursor *b) {
    size_t n = take_u16(b);
    const uint8_t *p = take(b, n);
    return (struct nitro_slice){p, p != NULL ? n : 0};
}
NK_INLINE struct nitro_slice take_rest(struct cursor *b) {
    struct nitro_slice s = {b->p, (size_t)(b->end - b->p)};
    b->p = b->end;
    return s;
}
NK_INLINE bool complete(const struct cursor *b) { return !b->is_short && b->p == b->end; }

int nk_nbp_flags_allowed(uint8_t opcode) {
    switch (opcode) {
    case NK_NBP_GET:
        return 0;
    case NK_NBP_SET:
    case NK_NBP_SETX:
        return NK_NBP_VERSION | NK_NBP_EXPIRY;
    case NK_NBP_DELETE:
        return NK_NBP_VERSION;
    case NK_NBP_EXPIRE:
    case NK_NBP_EXPIREX:
    case NK_NBP_GETEX:
    case NK_NBP_MSET:
    case NK_NBP_MSETX:
        return NK_NBP_EXPIRY;
    case NK_NBP_NOOP:
    case NK_NBP_HELLO:
    case NK_NBP_ECHO:
    case NK_NBP_STATS:
    case NK_NBP_AUTH:
    case NK_NBP_GETDEL:
    case NK_NBP_APPEND:
    case NK_NBP_GETRANGE:
    case NK_NBP_SETRANGE:
    case NK_NBP_RANDOMKEY:
    case NK_NBP_INCRFLOAT:
    case NK_NBP_EXPIRETIME:
    case NK_NBP_RENAME:
    case NK_NBP_COPY:
    case NK_NBP_EXISTS:
    case NK_NBP_INCR:
    case NK_NBP_TTL:
    case NK_NBP_PERSIST:
    case NK_NBP_MEMORY:
    case NK_NBP_GETX:
    case NK_NBP_MGET:
    case NK_NBP_MDELETE:
    case NK_NBP_MEXISTS:
    case NK_NBP_SCAN:
    case NK_NBP_COUNT:
    case NK_NBP_FLUSH:
    case NK_NBP_SYNC:
        return 0;
    default:
        return -1;
    }
}

static void fault(struct nk_req *r, enum nk_fault what) { nk_req_fault(r, what, NULL, 0); }

/* absolute: an EXPIRY block as an absolute time. What lies beyond time's end is its end. */
static int64_t absolute(int64_t now, int64_t expiry) {
    if (expiry >= 0) return expiry;
    int64_t t;
    return __builtin_sub_overflow(now, expiry, &t) ? INT64_MAX : t;
}

/* set_key: the next string is the request's key. */
NK_INLINE void set_key(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    struct nitro_slice s = take_string(b);
    if (NK_LIKELY(!b->is_short)) nk_key_init(f->db, s.p, (uint32_t)s.n, &r->key);
}

/* set_value: the rest is the request's value. NK_FAULT_NONE or the fault. */
static enum nk_fault set_value(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    if (b->is_short) return NK_FAULT_FRAME_BODY;
    struct nitro_slice v = take_rest(b);
    if (v.n > f->max_value) return NK_FAULT_VALUE_SIZE;
    f->c->pub.grow_bytes += r->key.n + v.n;
    return nk_parser_value(f, r, v.p, (uint32_t)v.n);
}

static enum nk_fault get(struct nk_parser *f, struct nk_req *r, struct cursor *b, bool extended) {
    r->op = NK_OP_GET;
    uint8_t options = extended ? take_u8(b) : 0;
    set_key(f, r, b);
    if (NK_LIKELY(options == 0)) return NK_FAULT_NONE;
    if (!complete(b)) return NK_FAULT_FRAME_BODY;
    if (options & ~(GETX_VERSION | GETX_EXPIRY | GETX_LENGTH)) return NK_FAULT_OPTIONS;
    r->flags = (options & GETX_VERSION ? NK_F_VERSION : 0) |
               (options & GETX_EXPIRY ? NK_F_EXPIRY : 0) |
               (options & GETX_LENGTH ? NK_F_LENGTH : 0);
    return NK_FAULT_NONE;
}

static enum nk_fault set(struct nk_parser *f, struct nk_req *r, struct cursor *b, bool extended) {
    r->op = NK_OP_SET;
    uint8_t options = extended ? take_u8(b) : 0;
    set_key(f, r, b);
    if (b->is_short) return NK_FAULT_FRAME_BODY;
    if (NK_UNLIKELY(options != 0)) {
        if ((options & ~(SETX_NX | SETX_XX | SETX_KEEPTTL | SETX_OLD | SETX_VERSION)) != 0 ||
            (options & (SETX_NX | SETX_XX)) == (SETX_NX | SETX_XX) ||
            ((options & SETX_KEEPTTL) != 0 && r->expire_ms != 0))
            return NK_FAULT_OPTIONS;
        r->flags |= (options & SETX_NX ? NK_F_NX : 0) | (options & SETX_XX ? NK_F_XX : 0) |
                    (options & SETX_KEEPTTL ? NK_F_KEEPTTL : 0) |
                    (options & SETX_OLD ? NK_F_GET : 0) |
                    (options & SETX_VERSION ? NK_F_VERSION : 0);
    }
    return set_value(f, r, b);
}

static enum nk_fault keyed(struct nk_parser *f, struct nk_req *r, struct cursor *b, enum nk_op op) {
    r->op = (uint8_t)op;
    set_key(f, r, b);
    return NK_FAULT_NONE;
}

/* check_list: true if the cursor holds exactly `n` keys (with values); nothing is kept yet. */
static bool check_list(struct cursor b, uint32_t n, bool values) {
    for (uint32_t i = 0; i < n && !b.is_short; i++) {
        take_string(&b);
        if (values) take(&b, take_u32(&b));
    }
    return complete(&b);
}

static enum nk_fault keys(struct nk_parser *f, struct nk_req *r, struct cursor *b, enum nk_op op) {
    uint32_t n = take_u32(b);
    r->op = (uint8_t)op;
    if (!check_list(*b, n, op == NK_OP_MSET)) return NK_FAULT_FRAME_BODY;
    if (n > nk_db_max_args(f->db)) return NK_FAULT_ARGUMENTS;
    enum nk_fault bad = nk_parser_multi(f, r, n);
    for (uint32_t i = 0; i < n && bad == NK_FAULT_NONE; i++) {
        struct nitro_slice k = take_string(b);
        struct nk_multi *m = nk_parser_multi_add(f, r, k.p, (uint32_t)k.n);
        if (op != NK_OP_MSET) continue;
        uint32_t bytes = take_u32(b);
        const uint8_t *v = take(b, bytes);
        if (bytes > f->max_value)
            bad = NK_FAULT_VALUE_SIZE;
        else
            bad = nk_parser_multi_value(f, m, v, bytes);
        f->c->pub.grow_bytes += k.n + bytes;
    }
    return bad;
}

/* msetx: MSET with options, which are judged before the sizes of keys and values. */
static enum nk_fault msetx(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    uint8_t options = take_u8(b);
    struct cursor list = *b;
    uint32_t n = take_u32(&list);
    if ((options & ~MSETX_NX) != 0)
        return check_list(list, n, true) ? NK_FAULT_OPTIONS : NK_FAULT_FRAME_BODY;
    r->flags = options != 0 ? NK_F_NX : 0;
    return keys(f, r, b, NK_OP_MSET);
}

/* two_keys: RENAME and COPY. Their one option means the opposite. */
static enum nk_fault two_keys(struct nk_parser *f, struct nk_req *r, struct cursor *b,
                              enum nk_op op) {
    uint8_t options = take_u8(b);
    struct nitro_slice from = take_string(b), to = take_string(b);
    r->op = (uint8_t)op;
    if (!complete(b)) return NK_FAULT_FRAME_BODY;
    if (options & ~(op == NK_OP_COPY ? COPY_REPLACE : RENAME_NX)) return NK_FAULT_OPTIONS;
    if (op == NK_OP_COPY && from.n == to.n && memcmp(from.p, to.p, from.n) == 0)
        return NK_FAULT_SAME_KEY;
    r->flags = (options != 0) == (op == NK_OP_RENAME) ? NK_F_NX : 0;
    enum nk_fault bad = nk_parser_multi(f, r, 2);
    if (bad != NK_FAULT_NONE) return bad;
    nk_parser_multi_add(f, r, from.p, (uint32_t)from.n);
    nk_parser_multi_add(f, r, to.p, (uint32_t)to.n);
    return NK_FAULT_NONE;
}

/* getex: without an option and without an expiry it is GET. */
static enum nk_fault getex(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    uint8_t options = take_u8(b);
    set_key(f, r, b);
    if (!complete(b)) return NK_FAULT_FRAME_BODY;
    if ((options & ~GETEX_PERSIST) != 0 || (options != 0 && r->expire_ms != 0))
        return NK_FAULT_OPTIONS;
    r->op = options != 0 || r->expire_ms != 0 ? NK_OP_GETEX : NK_OP_GET;
    r->flags = options != 0 ? NK_F_PERSIST : 0;
    return NK_FAULT_NONE;
}

static enum nk_fault expirex(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    uint8_t o = take_u8(b);
    set_key(f, r, b);
    r->op = NK_OP_EXPIRE;
    if (!complete(b)) return NK_FAULT_FRAME_BODY;
    if ((o & ~(EXPIREX_NX | EXPIREX_XX | EXPIREX_GT | EXPIREX_LT)) != 0 ||
        ((o & EXPIREX_NX) != 0 && o != EXPIREX_NX) ||
        (o & (EXPIREX_GT | EXPIREX_LT)) == (EXPIREX_GT | EXPIREX_LT))
        return NK_FAULT_OPTIONS;
    r->flags = (o & EXPIREX_NX ? NK_F_NX : 0) | (o & EXPIREX_XX ? NK_F_XX : 0) |
               (o & EXPIREX_GT ? NK_F_GT : 0) | (o & EXPIREX_LT ? NK_F_LT : 0);
    return NK_FAULT_NONE;
}

static enum nk_fault getrange(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    r->op = NK_OP_GETRANGE;
    r->num = take_u64(b);
    r->end = (int64_t)take_u64(b);
    set_key(f, r, b);
    return NK_FAULT_NONE;
}

/* change: APPEND and SETRANGE. */
static enum nk_fault change(struct nk_parser *f, struct nk_req *r, struct cursor *b,
                            enum nk_op op) {
    r->op = (uint8_t)op;
    r->num = op == NK_OP_SETRANGE ? take_u32(b) : 0;
    set_key(f, r, b);
    return set_value(f, r, b);
}

static enum nk_fault incrfloat(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    long double unused;
    r->op = NK_OP_INCRFLOAT;
    set_key(f, r, b);
    if (b->is_short) return NK_FAULT_FRAME_BODY;
    struct nitro_slice delta = take_rest(b);
    if (!nk_decimal_parse(delta.p, delta.n, &unused)) return NK_FAULT_NOT_FLOAT;
    r->val = delta.p;
    r->val_len = (uint32_t)delta.n;
    f->c->pub.grow_bytes += r->key.n + NK_DECIMAL_MAX;
    return NK_FAULT_NONE;
}

static enum nk_fault scan(struct nk_req *r, struct cursor *b) {
    r->op = NK_OP_SCAN;
    r->num = take_u64(b);
    r->arg_count = take_u32(b);
    if (r->arg_count == 0) r->arg_count = SCAN_COUNT_DEFAULT;
    uint8_t options = take_u8(b);
    struct nitro_slice pattern = take_string(b);
    if (!complete(b)) return NK_FAULT_FRAME_BODY;
    if (options & ~SCAN_DETAILS) return NK_FAULT_OPTIONS;
    r->flags = options & SCAN_DETAILS ? NK_F_VERSION : 0;
    if (pattern.n > 0) r->val = pattern.p;
    r->val_len = (uint32_t)pattern.n;
    return NK_FAULT_NONE;
}

/* host: the host gets the body as its only argument. The layouts of HELLO and AUTH are checked here all
 * the same; FLUSH and SYNC have no body, so what they bring is left over and makes the frame malformed. */
static enum nk_fault host(struct nk_parser *f, struct nk_req *r, struct cursor *b,
                          enum nitro_host_verb verb) {
    struct cursor body = *b;
    if (verb == NITRO_HOST_HELLO) {
        uint8_t min = take_u8(b), max = take_u8(b);
        take_u32(b);
        take_string(b);
        if (!complete(b)) return NK_FAULT_FRAME_BODY;
        if (min > max) return NK_FAULT_OPTIONS;
    } else if (verb == NITRO_HOST_AUTH) {
        take_string(b);
        take_string(b);
        if (!complete(b)) return NK_FAULT_FRAME_BODY;
    }
    enum nk_fault bad = nk_parser_args(f, r, 1);
    if (bad != NK_FAULT_NONE) return bad;
    r->op = NK_OP_HOST;
    r->code = (uint8_t)verb;
    f->c->slices[r->arg_at] = take_rest(&body);
    if (verb != NITRO_HOST_FLUSH && verb != NITRO_HOST_SYNC) b->p = b->end;
    return NK_FAULT_NONE;
}

static enum nk_fault echo(struct nk_req *r, struct cursor *b) {
    struct nitro_slice s = take_rest(b);
    r->op = NK_OP_ECHO;
    r->val = s.p;
    r->val_len = (uint32_t)s.n;
    return NK_FAULT_NONE;
}

static enum nk_fault incr(struct nk_parser *f, struct nk_req *r, struct cursor *b) {
    r->op = NK_OP_INCR;
    set_key(f, r, b);
    r->num = take_u64(b);
    f->c->pub.grow_bytes += r->key.n + 20u;
    return NK_FAULT_NONE;
}

static enum nk_fault plain(struct nk_req *r, enum nk_op op) {
    r->op = (uint8_t)op;
    return NK_FAULT_NONE;
}

static enum nk_fault decode(struct nk_parser *f, uint8_t opcode, struct nk_req *r,
                            struct cursor *b) {
    switch ((enum nk_nbp_op)opcode) {
    case NK_NBP_GET:
        return get(f, r, b, false);
    case NK_NBP_SET:
        return set(f, r, b, false);
    case NK_NBP_GETX:
        return get(f, r, b, true);
    case NK_NBP_SETX:
        return set(f, r, b, true);
    case NK_NBP_NOOP:
        return plain(r, NK_OP_PING);
    case NK_NBP_HELLO:
        return host(f, r, b, NITRO_HOST_HELLO);
    case NK_NBP_ECHO:
        return echo(r, b);
    case NK_NBP_STATS:
        return host(f, r, b, NITRO_HOST_INFO);
    case NK_NBP_DELETE:
        return keyed(f, r, b, NK_OP_DEL);
    case NK_NBP_EXISTS:
        return keyed(f, r, b, NK_OP_EXISTS);
    case NK_NBP_INCR:
        return incr(f, r, b);
    case NK_NBP_EXPIRE:
        return keyed(f, r, b, NK_OP_EXPIRE);
    case NK_NBP_TTL:
        r->flags |= NK_F_MS;
        return keyed(f, r, b, NK_OP_TTL);
    case NK_NBP_PERSIST:
        return keyed(f, r, b, NK_OP_PERSIST);
    case NK_NBP_MEMORY:
        return keyed(f, r, b, NK_OP_USAGE);
    case NK_NBP_MGET:
        return keys(f, r, b, NK_OP_MGET);
    case NK_NBP_MSET:
        return keys(f, r, b, NK_OP_MSET);
    case NK_NBP_MDELETE:
        return keys(f, r, b, NK_OP_MDEL);
    case NK_NBP_MEXISTS:
        return keys(f, r, b, NK_OP_MEXISTS);
    case NK_NBP_SCAN:
        return scan(r, b);
    case NK_NBP_COUNT:
        return plain(r, NK_OP_COUNT);
    case NK_NBP_FLUSH:
        return host(f, r, b, NITRO_HOST_FLUSH);
    case NK_NBP_SYNC:
        return host(f, r, b, NITRO_HOST_SYNC);
    case NK_NBP_AUTH:
        return host(f, r, b, NITRO_HOST_AUTH);
    case NK_NBP_GETDEL:
        return keyed(f, r, b, NK_OP_GETDEL);
    case NK_NBP_GETEX:
        return getex(f, r, b);
    case NK_NBP_APPEND:
        return change(f, r, b, NK_OP_APPEND);
    case NK_NBP_GETRANGE:
        return getrange(f, r, b);
    case NK_NBP_SETRANGE:
        return change(f, r, b, NK_OP_SETRANGE);
    case NK_NBP_MSETX:
        return msetx(f, r, b);
    case NK_NBP_RANDOMKEY:
        return plain(r, NK_OP_RANDOMKEY);
    case NK_NBP_INCRFLOAT:
        return incrfloat(f, r, b);
    case NK_NBP_EXPIREX:
        return expirex(f, r, b);
    case NK_NBP_EXPIRETIME:
        r->flags |= NK_F_MS | NK_F_ABSOLUTE;
        return keyed(f, r, b, NK_OP_TTL);
    case NK_NBP_RENAME:
        return two_keys(f, r, b, NK_OP_RENAME);
    case NK_NBP_COPY:
        return two_keys(f, r, b, NK_OP_COPY);
    }
    return NK_FAULT_OPCODE;
}

void nk_nbp_decode(struct nk_parser *f, const struct nk_head *head, const uint8_t *body, size_t n) {
    struct nk_req *r = nk_parser_slot(f);
    struct cursor b = {body, body + n, false};
    memset(r, 0, sizeof *r);
    r->id = head->id;
    r->wire = head->flags;
    r->command = nk_nbp_commands[head->opcode];
    if (head->flags & NK_NBP_VERSION) {
        r->flags = NK_F_CAS;
        r->num = head->version;
    }
    if (head->flags & NK_NBP_EXPIRY) r->expire_ms = absolute(f->now, head->expiry);
    enum nk_fault bad = decode(f, head->opcode, r, &b);
    if (NK_UNLIKELY(bad == NK_FAULT_NONE && !complete(&b))) bad = NK_FAULT_FRAME_BODY;
    if (NK_UNLIKELY(bad == NK_FAULT_NONE && (head->flags & NK_NBP_DURABILITY) >= NK_NBP_EVERYSEC &&
                    !nk_db_has_log(f->db)))
        bad = NK_FAULT_DURABILITY;
    if (NK_UNLIKELY(bad != NK_FAULT_NONE)) {
        nk_req_drop(f->db, f->c, r);
        fault(r, bad);
    }
}
