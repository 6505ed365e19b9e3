/* SPDX-License-Identifier: MIT
 *
 * wire_resp_args.c - from the arguments of a text command to a request: the table of decoders, and those of
 * the connection and the server.
 *
 * NOT HERE  framing (wire_resp.c), the verbs' effects (exec_*.c).
 */
#include "wire_resp_args.h"

NK_NOINLINE void nk_arg_fault_named(const struct nk_args *a, struct nk_req *r, enum nk_fault what) {
    nk_req_fault(r, what, a->cmd->name, strlen(a->cmd->name));
}

bool nk_arg_keys(const struct nk_args *a, struct nk_req *r, uint32_t first, uint32_t step) {
    enum nk_fault bad = nk_parser_multi(a->f, r, (a->n - first) / step);
    for (uint32_t i = first; bad == NK_FAULT_NONE && i < a->n; i += step) {
        struct nitro_slice s = nk_arg(a, i);
        if (s.n > NITRO_KEY_MAX)
            bad = NK_FAULT_KEY_SIZE;
        else
            nk_parser_multi_add(a->f, r, s.p, (uint32_t)s.n);
    }
    if (bad != NK_FAULT_NONE) nk_arg_fault(r, bad);
    return bad == NK_FAULT_NONE;
}

static void ping(const struct nk_args *a, struct nk_req *r) {
    r->op = a->n == 1 ? NK_OP_PING : NK_OP_ECHO;
    if (a->n > 2)
        nk_arg_fault_named(a, r, NK_FAULT_ARITY);
    else if (a->n == 2)
        r->val = nk_arg(a, 1).p, r->val_len = (uint32_t)nk_arg(a, 1).n;
}

static void dbsize(const struct nk_args *a, struct nk_req *r) {
    (void)a;
    r->op = NK_OP_COUNT;
}

/* host_args: keeps the arguments, the verb first, for the host or for an error that shows them. */
static bool host_args(const struct nk_args *a, struct nk_req *r, uint32_t n) {
    enum nk_fault bad = nk_parser_args(a->f, r, n);
    if (bad != NK_FAULT_NONE) {
        nk_arg_fault(r, bad);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) a->f->c->slices[r->arg_at + i] = nk_arg(a, i);
    return true;
}

static void host(const struct nk_args *a, struct nk_req *r, enum nitro_host_verb verb) {
    r->op = NK_OP_HOST;
    r->code = (uint8_t)verb;
    host_args(a, r, a->n);
}

static void flush(const struct nk_args *a, struct nk_req *r) {
    if (a->n > 2 ||
        (a->n == 2 && !nk_arg_is(nk_arg(a, 1), "async") && !nk_arg_is(nk_arg(a, 1), "sync")))
        nk_arg_fault(r, NK_FAULT_SYNTAX);
    else
        host(a, r, NITRO_HOST_FLUSH);
}

#define HOST_DECODER(name, verb)                                                                   \
    static void name(const struct nk_args *a, struct nk_req *r) { host(a, r, verb); }
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
HOST_DECODER(save, NITRO_HOST_SAVE)
HOST_DECODER(bgsave, NITRO_HOST_BGSAVE)
HOST_DECODER(lastsave, NITRO_HOST_LASTSAVE)
HOST_DECODER(backup, NITRO_HOST_BACKUP)
HOST_DECODER(snapshot, NITRO_HOST_SNAPSHOT)
HOST_DECODER(slowlog, NITRO_HOST_SLOWLOG)
HOST_DECODER(latency, NITRO_HOST_LATENCY)
HOST_DECODER(merge, NITRO_HOST_MERGE)

static nk_decoder *const decoders[NK_VERB_COUNT] = {
    [NK_VERB_APPEND] = nk_resp_append,
    [NK_VERB_AUTH] = auth,
    [NK_VERB_BACKUP] = backup,
    [NK_VERB_BGSAVE] = bgsave,
    [NK_VERB_CLIENT] = client,
    [NK_VERB_COMMAND] = command,
    [NK_VERB_CONFIG] = config,
    [NK_VERB_COPY] = nk_resp_copy,
    [NK_VERB_DBSIZE] = dbsize,
    [NK_VERB_DECR] = nk_resp_decr,
    [NK_VERB_DECRBY] = nk_resp_decrby,
    [NK_VERB_DEL] = nk_resp_del,
    [NK_VERB_DELETE] = nk_resp_delete,
    [NK_VERB_ECHO] = ping,
    [NK_VERB_EXISTS] = nk_resp_exists,
    [NK_VERB_EXPIRE] = nk_resp_expire,
    [NK_VERB_EXPIREAT] = nk_resp_expireat,
    [NK_VERB_EXPIRETIME] = nk_resp_expiretime,
    [NK_VERB_FLUSHALL] = flush,
    [NK_VERB_FLUSHDB] = flush,
    [NK_VERB_GET] = nk_resp_get,
    [NK_VERB_GETDEL] = nk_resp_getdel,
    [NK_VERB_GETEX] = nk_resp_getex,
    [NK_VERB_GETRANGE] = nk_resp_getrange,
    [NK_VERB_GETSET] = nk_resp_getset,
    [NK_VERB_HELLO] = hello,
    [NK_VERB_INCR] = nk_resp_incr,
    [NK_VERB_INCRBY] = nk_resp_incrby,
    [NK_VERB_INCRBYFLOAT] = nk_resp_incrbyfloat,
    [NK_VERB_INFO] = info,
    [NK_VERB_KEYS] = nk_resp_keys,
    [NK_VERB_LASTSAVE] = lastsave,
    [NK_VERB_LATENCY] = latency,
    [NK_VERB_MEMORY] = nk_resp_memory,
    [NK_VERB_MERGE] = merge,
    [NK_VERB_MGET] = nk_resp_mget,
    [NK_VERB_MSET] = nk_resp_mset,
    [NK_VERB_MSETNX] = nk_resp_msetnx,
    [NK_VERB_OBJECT] = nk_resp_object,
    [NK_VERB_PERSIST] = nk_resp_persist,
    [NK_VERB_PEXPIRE] = nk_resp_pexpire,
    [NK_VERB_PEXPIREAT] = nk_resp_pexpireat,
    [NK_VERB_PEXPIRETIME] = nk_resp_pexpiretime,
    [NK_VERB_PING] = ping,
    [NK_VERB_PSETEX] = nk_resp_psetex,
    [NK_VERB_PTTL] = nk_resp_pttl,
    [NK_VERB_PUT] = nk_resp_set,
    [NK_VERB_QUIT] = quit,
    [NK_VERB_RANDOMKEY] = nk_resp_randomkey,
    [NK_VERB_RENAME] = nk_resp_rename,
    [NK_VERB_RENAMENX] = nk_resp_renamenx,
    [NK_VERB_RESET] = reset,
    [NK_VERB_SAVE] = save,
    [NK_VERB_SCAN] = nk_resp_scan,
    [NK_VERB_SELECT] = select_db,
    [NK_VERB_SET] = nk_resp_set,
    [NK_VERB_SETEX] = nk_resp_setex,
    [NK_VERB_SETNX] = nk_resp_setnx,
    [NK_VERB_SETRANGE] = nk_resp_setrange,
    [NK_VERB_SLOWLOG] = slowlog,
    [NK_VERB_SNAPSHOT] = snapshot,
    [NK_VERB_STRLEN] = nk_resp_strlen,
    [NK_VERB_SUBSTR] = nk_resp_getrange,
    [NK_VERB_TOUCH] = nk_resp_exists,
    [NK_VERB_TTL] = nk_resp_ttl,
    [NK_VERB_TYPE] = nk_resp_type,
    [NK_VERB_UNLINK] = nk_resp_del,
    [NK_VERB_WAITAOF] = waitaof,
};

/* unknown: keeps as many arguments as the error may show (each takes at least three bytes of
 * 128). */
static NK_NOINLINE void unknown(const struct nk_args *a, struct nk_req *r) {
    if (host_args(a, r, (uint32_t)nk_min_u64(a->n, 44))) nk_req_fault(r, NK_FAULT_UNKNOWN, NULL, 0);
}

void nk_resp_decode(struct nk_parser *f, const uint8_t *base, uint32_t argc) {
    struct nk_req *r = nk_parser_slot(f);
    struct nk_args a = {f, base, f->c->spans, argc, NULL};
    memset(r, 0, sizeof *r);
    enum nk_verb verb = nk_cmd_find(base + a.span[0].at, a.span[0].n);
    if (NK_UNLIKELY(verb == NK_VERB_UNKNOWN)) {
        unknown(&a, r);
        return;
    }
    r->command = (uint8_t)(verb + 1);
    a.cmd = nk_cmd_info(verb);
    int32_t arity = a.cmd->arity;
    if (NK_UNLIKELY(arity >= 0 ? argc != (uint32_t)arity : argc < (uint32_t)-arity)) {
        nk_arg_fault_named(&a, r, NK_FAULT_ARITY);
        return;
    }
    decoders[verb](&a, r);
}
