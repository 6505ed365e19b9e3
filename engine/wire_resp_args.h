/* SPDX-License-Identifier: MIT
 *
 * wire_resp_args.h - what the decoders of text commands share (L6).
 *
 * WHAT   One decoder a verb, chosen by the table in wire_resp_args.c. A decoder fills the request or turns it
 *        into a fault; it never looks at the store, so all of this happens before any lock. The order of
 *        the checks is Redis's, because which of two errors is reported is visible.
 * THREADS  As the parser's.
 */
#ifndef NK_WIRE_RESP_ARGS_H
#define NK_WIRE_RESP_ARGS_H

#include "decimal.h"
#include "num.h"
#include "wire_resp.h"

#include <strings.h>

/* The arguments of the command being decoded. */
struct nk_args {
    struct nk_parser *f;
    const uint8_t *base;
    const struct nk_span *span;
    uint32_t n;
    const struct nitro_command *cmd;
};

typedef void nk_decoder(const struct nk_args *a, struct nk_req *r);

NK_INLINE struct nitro_slice nk_arg(const struct nk_args *a, uint32_t i) {
    return (struct nitro_slice){a->base + a->span[i].at, a->span[i].n};
}
NK_INLINE bool nk_arg_is(struct nitro_slice s, const char *lower) {
    return s.n == strlen(lower) && strncasecmp((const char *)s.p, lower, s.n) == 0;
}

/* nk_arg_fault: the request becomes that error. nk_arg_fault_named: its text names the verb. */
NK_INLINE void nk_arg_fault(struct nk_req *r, enum nk_fault what) {
    nk_req_fault(r, what, NULL, 0);
}
void nk_arg_fault_named(const struct nk_args *a, struct nk_req *r, enum nk_fault what);

/* nk_arg_key: argument i is the request's key. False if it became a fault, here and below. */
NK_INLINE bool nk_arg_key(const struct nk_args *a, struct nk_req *r, uint32_t i) {
    struct nitro_slice s = nk_arg(a, i);
    if (NK_UNLIKELY(s.n > NITRO_KEY_MAX)) {
        nk_arg_fault(r, NK_FAULT_KEY_SIZE);
        return false;
    }
    nk_key_init(a->f->db, s.p, (uint32_t)s.n, &r->key);
    return true;
}
/* nk_arg_keys: the arguments from `first` on, every `step`-th, are the request's keys. */
bool nk_arg_keys(const struct nk_args *a, struct nk_req *r, uint32_t first, uint32_t step);
/* nk_arg_value: argument i is the request's value; its key is known. */
NK_INLINE bool nk_arg_value(const struct nk_args *a, struct nk_req *r, uint32_t i) {
    struct nitro_slice v = nk_arg(a, i);
    enum nk_fault bad = nk_parser_value(a->f, r, v.p, (uint32_t)v.n);
    a->f->c->pub.grow_bytes += r->key.n + v.n;
    if (NK_LIKELY(bad == NK_FAULT_NONE)) return true;
    nk_arg_fault(r, bad);
    return false;
}
/* nk_arg_i64: argument i as a whole number. */
NK_INLINE bool nk_arg_i64(const struct nk_args *a, struct nk_req *r, uint32_t i, int64_t *out) {
    struct nitro_slice s = nk_arg(a, i);
    if (nk_num_i64(s.p, s.n, out)) return true;
    nk_arg_fault(r, NK_FAULT_NOT_INTEGER);
    return false;
}

/* Decoders. wire_resp_string.c: */
nk_decoder nk_resp_get, nk_resp_set, nk_resp_setnx, nk_resp_setex, nk_resp_psetex, nk_resp_getset;
nk_decoder nk_resp_getdel, nk_resp_getex, nk_resp_append, nk_resp_strlen, nk_resp_getrange;
nk_decoder nk_resp_setrange, nk_resp_incr, nk_resp_decr, nk_resp_incrby, nk_resp_decrby;
nk_decoder nk_resp_incrbyfloat, nk_resp_mget, nk_resp_mset, nk_resp_msetnx;
/* wire_resp_key.c: */
nk_decoder nk_resp_del, nk_resp_delete, nk_resp_exists, nk_resp_type, nk_resp_persist;
nk_decoder nk_resp_ttl, nk_resp_pttl, nk_resp_expiretime, nk_resp_pexpiretime;
nk_decoder nk_resp_expire, nk_resp_pexpire, nk_resp_expireat, nk_resp_pexpireat;
nk_decoder nk_resp_rename, nk_resp_renamenx, nk_resp_copy, nk_resp_randomkey;
nk_decoder nk_resp_scan, nk_resp_keys, nk_resp_memory, nk_resp_object;

#endif
