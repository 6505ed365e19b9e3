/* SPDX-License-Identifier: MIT
 *
 * exec.c - the loop over prepared requests: prefetching, locks, stops.
 *
 * DESIGN
 *   Requests run in order. Hashing a key (in prepare) has asked for its bucket already; while a request
 *   runs, the bucket of the one NK_EXEC_AHEAD further on is looked at and its entry asked for, so that
 *   the cache misses of several requests overlap. Each request takes its segment's lock for itself; a
 *   lock is kept for the next request only if that needs the same segment, and not for long. Nothing
 *   waits: a lock that is not free after a bounded try ends the call with BUSY, and the host calls
 *   again.
 *
 * INVARIANTS
 *   (1) No lock is held when nitro_execute returns.
 *   (2) A request before `next` is done and owns nothing; `next` has written nothing, or remembers
 *       in the chunk (started, step, tail) where it goes on.
 *   (3) A request starts with at least NK_OUT_ROOM bytes free in out.
 *
 * NOT HERE  the operations (exec_*.c, listed in exec.h).
 */
#include "exec.h"

#define GATES_FIRST 16u /* room that a chunk begins with */

void nk_exec_release(struct nk_exec *x) {
    if (x->held == NULL) return;
    nk_seg_unlock(x->held);
    x->held = NULL;
}

/* look_ahead: asks for the entry of request i, if there is such a request and it has one key. look_again
 * does so for the few keys whose entry was not in their first bucket. */
NK_INLINE void look_ahead(const struct nk_exec *x, uint32_t i) {
    if (i >= x->c->pub.count) return;
    struct nk_req *r = &x->c->reqs[i];
    if (NK_LIKELY(r->op <= NK_OP_KEYED_LAST)) nk_key_prefetch_entry(x->db, &r->key);
}

NK_INLINE void look_again(const struct nk_exec *x, uint32_t i) {
    if (i >= x->c->pub.count) return;
    const struct nk_req *r = &x->c->reqs[i];
    if (NK_UNLIKELY(r->key.over != 0) && r->op <= NK_OP_KEYED_LAST)
        nk_key_prefetch_over(x->db, &r->key);
}

static int run_count(struct nk_exec *x, const struct nk_req *r) {
    uint64_t shown, keys = nk_db_keys(x->db, &shown);
    nk_exec_show(x, shown);
    if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &keys, sizeof keys);
    else
        nk_reply_int(x, (int64_t)keys);
    return NITRO_STOP_DONE;
}

static int run_ping(struct nk_exec *x, const struct nk_req *r) {
    if (x->binary) {
        nk_exec_show(x, x->ss->last_lsn); /* a fence, also for quiet writes */
        nk_reply_status(x, r, NITRO_OK);
    } else {
        nk_out_text(x, "+PONG\r\n");
    }
    return NITRO_STOP_DONE;
}

static int run_help(struct nk_exec *x, const struct nk_req *r) {
    if (r->code == NK_HELP_OBJECT) {
        nk_out_text(x,
                    "*7\r\n"
                    "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
                    "+ENCODING <key>\r\n"
                    "+    Return the kind of internal representation a value of <key> would have "
                    "in Redis.\r\n"
                    "+REFCOUNT <key>\r\n"
                    "+    Return 1: nothing is shared.\r\n"
                    "+HELP\r\n"
                    "+    Print this help.\r\n");
        return NITRO_STOP_DONE;
    }
    nk_out_text(x, "*5\r\n"
                   "+MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
                   "+USAGE <key> [SAMPLES <count>]\r\n"
                   "+    Return memory in bytes used by <key> and its value.\r\n"
                   "+HELP\r\n"
                   "+    Print this help.\r\n");
    return NITRO_STOP_DONE;
}

static int run_host(struct nk_exec *x, const struct nk_req *r) {
    nitro_chunk *c = &x->c->pub;
    c->host_verb = r->code;
    c->host_id = r->id;
    c->host_flags = r->wire;
    c->host_command = r->command;
    c->host_argc = r->arg_count;
    c->host_argv = x->c->slices + r->arg_at;
    return NITRO_STOP_HOST;
}

static int run_error(struct nk_exec *x, const struct nk_req *r) {
    if (r->code == NK_FAULT_UNKNOWN)
        nk_reply_unknown(x, r);
    else
        nk_reply_fault(x, r, (enum nk_fault)r->code, r->val, r->val_len);
    return NITRO_STOP_DONE;
}

/* run_rare: everything but the single-key operations. Needs no lock that is held already. */
static NK_NOINLINE int run_rare(struct nk_exec *x, struct nk_req *r) {
    nk_exec_release(x);
    switch ((enum nk_op)r->op) {
    case NK_OP_MGET:
        return nk_exec_mget(x, r);
    case NK_OP_MSET:
        return nk_exec_mset(x, r);
    case NK_OP_MDEL:
        return nk_exec_mdel(x, r);
    case NK_OP_MEXISTS:
        return nk_exec_mexists(x, r);
    case NK_OP_RENAME:
    case NK_OP_COPY:
        return nk_exec_rename(x, r);
    case NK_OP_SCAN:
        return nk_exec_scan(x, r);
    case NK_OP_KEYS:
        return nk_exec_keys(x, r);
    case NK_OP_RANDOMKEY:
        return nk_exec_randomkey(x, r);
    case NK_OP_COUNT:
        return run_count(x, r);
    case NK_OP_ECHO:
        return nk_exec_echo(x, r);
    case NK_OP_PING:
        return run_ping(x, r);
    case NK_OP_HELP:
        return run_help(x, r);
    case NK_OP_HOST:
        return run_host(x, r);
    case NK_OP_CLOSE:
        x->status = NITRO_EFRAME;
        return NITRO_STOP_DONE;
    default:
        return run_error(x, r);
    }
}

/* run_seldom: the single-key operations that are not worth a place in run, then the rest. */
static NK_NOINLINE int run_seldom(struct nk_exec *x, struct nk_req *r) {
    switch ((enum nk_op)r->op) {
    case NK_OP_USAGE:
        return nk_exec_usage(x, r);
    case NK_OP_STRLEN:
        return nk_exec_strlen(x, r);
    case NK_OP_GETRANGE:
        return nk_exec_getrange(x, r);
    case NK_OP_GETDEL:
        return nk_exec_getdel(x, r);
    case NK_OP_GETEX:
        return nk_exec_getex(x, r);
    case NK_OP_APPEND:
    case NK_OP_SETRANGE:
        return nk_exec_append(x, r);
    case NK_OP_INCRFLOAT:
        return nk_exec_incrfloat(x, r);
    case NK_OP_OBJECT:
        return nk_exec_object(x, r);
    default:
        return run_rare(x, r);
    }
}

/* Whether an operation works without the data. */
static bool needs_no_data(enum nk_op op) {
    return op == NK_OP_ECHO || op == NK_OP_PING || op == NK_OP_HELP || op == NK_OP_HOST ||
           op == NK_OP_ERROR || op == NK_OP_CLOSE;
}

/* Whether a client that has not proved who it is may have that. Errors in the request are told: they
 * show nothing of the data. */
static bool needs_no_proof(const struct nk_req *r) {
    if (r->op == NK_OP_ERROR || r->op == NK_OP_CLOSE) return true;
    if (r->op != NK_OP_HOST) return false;
    switch ((enum nitro_host_verb)r->code) {
    case NITRO_HOST_AUTH:
    case NITRO_HOST_HELLO:
    case NITRO_HOST_QUIT:
    case NITRO_HOST_RESET:
        return true;
    default:
        return false;
    }
}

/* restricted: the reason why r must not run now, or NITRO_OK. */
static NK_NOINLINE int restricted(const struct nk_exec *x, const struct nk_req *r) {
    if (x->ss->locked && !needs_no_proof(r)) return NITRO_EAUTHREQUIRED;
    if (x->loading && !needs_no_data(r->op)) return NITRO_ELOADING;
    return NITRO_OK;
}

NK_INLINE int run(struct nk_exec *x, struct nk_req *r) {
    if (NK_UNLIKELY(x->restricted)) {
        int why = restricted(x, r);
        if (why != NITRO_OK) {
            nk_reply_error(x, r, why);
            return NITRO_STOP_DONE;
        }
    }
    switch ((enum nk_op)r->op) {
    case NK_OP_GET:
        return nk_exec_get(x, r);
    case NK_OP_SET:
        return nk_exec_set(x, r);
    case NK_OP_DEL:
        return nk_exec_del(x, r);
    case NK_OP_EXISTS:
        return nk_exec_exists(x, r);
    case NK_OP_INCR:
        return nk_exec_incr(x, r);
    case NK_OP_EXPIRE:
        return nk_exec_expire(x, r);
    case NK_OP_TTL:
        return nk_exec_ttl(x, r);
    case NK_OP_PERSIST:
        return nk_exec_persist(x, r);
    case NK_OP_TYPE:
        return nk_exec_type(x, r);
    default:
        return run_seldom(x, r);
    }
}

/* ---- gates ------------------------------------------------------------------------------------*/

/* level_of: which level a request asks for. */
static uint8_t level_of(const struct nk_exec *x, const struct nk_req *r) {
    uint8_t level = x->binary ? r->wire >> 6 : 0;
    if (level == 0) level = x->ss->level;
    return level == 0 ? NITRO_LEVEL_ALWAYS : level;
}

/* add_gate: one more gate, or NULL without memory. */
static struct nitro_gate *add_gate(struct nk_exec *x) {
    nitro_chunk *c = &x->c->pub;
    void *gates = c->gates;
    uint32_t need = c->gate_count < GATES_FIRST ? GATES_FIRST : c->gate_count + 1;
    int rc = nk_chunk_room(x->db, &gates, &c->gate_cap, need, sizeof *c->gates);
    c->gates = gates;
    return rc == NITRO_OK ? &c->gates[c->gate_count++] : NULL;
}

static NK_NOINLINE int gate(struct nk_exec *x, const struct nk_req *r, size_t from, bool part) {
    uint8_t level = level_of(x, r);
    if (x->binary)
        x->ss->last_lsn = nk_max_u64(x->ss->last_lsn, x->shown); /* a fence stays behind it */
    if (level != NITRO_LEVEL_ALWAYS &&
        x->shown <= __atomic_load_n(&nk_db_view(x->db)->written, __ATOMIC_ACQUIRE))
        return NITRO_OK;
    struct nitro_gate *g = add_gate(x);
    if (g == NULL) return NITRO_ENOMEM;
    *g = (struct nitro_gate){.lsn = x->shown,
                             .from = (uint32_t)from,
                             .to = (uint32_t)x->c->pub.out_len,
                             .id = r->id,
                             .level = level,
                             .wrote = x->wrote,
                             .flags = r->wire,
                             .part = part};
    return NITRO_OK;
}

int nk_exec_gate(struct nk_exec *x, const struct nk_req *r, size_t from, int stop) {
    bool part = stop == NITRO_STOP_OUT || stop == NITRO_STOP_BIG;
    if (NK_LIKELY(x->shown <= x->durable)) return NITRO_OK;
    if (stop != NITRO_STOP_DONE && !part)
        return NITRO_OK; /* its reply has not begun, or is no reply */
    if (stop == NITRO_STOP_DONE && x->c->pub.out_len == from) { /* quiet: a fence shows it */
        x->ss->last_lsn = nk_max_u64(x->ss->last_lsn, x->shown);
        return NITRO_OK;
    }
    return gate(x, r, from, part);
}

int nitro_chunk_gate(nitro_store *s, const nitro_session *ss, nitro_chunk *c, size_t from,
                     uint64_t lsn, int wrote) {
    struct nk_exec x = {.db = nk_front_db(s),
                        .c = nk_chunk_of(c),
                        .ss = (nitro_session *)(uintptr_t)ss,
                        .binary = ss->proto == NITRO_PROTO_BINARY,
                        .shown = lsn,
                        .wrote = wrote != 0};
    struct nk_req r = {.id = (uint16_t)c->host_id, .wire = (uint8_t)c->host_flags};
    x.durable = __atomic_load_n(&nk_db_view(x.db)->durable, __ATOMIC_ACQUIRE);
    return nk_exec_gate(&x, &r, from, NITRO_STOP_DONE);
}

int nk_exec_no_room(struct nk_exec *x, uint64_t bytes) {
    uint32_t status = __atomic_load_n(&nk_db_view(x->db)->status, __ATOMIC_ACQUIRE);
    if (status == NITRO_LOG_FULL) return NITRO_STOP_DONE;
    x->c->pub.room_bytes = bytes;
    return NITRO_STOP_ROOM;
}

/* ---- counting ---------------------------------------------------------------------------------*/

/* tally_run: adds the requests of one kind that came one after the other to the list. It is short: a client
 * that mixes sixty verbs in a chunk is none to be fast for. */
static NK_NOINLINE void tally_run(struct nk_exec *x) {
    nitro_chunk *c = &x->c->pub;
    struct nitro_tally t = {(uint8_t)x->kind, (uint8_t)(x->kind >> 8), 0};
    uint32_t i = 0;
    while (i < c->tally_count &&
           (c->tallies[i].command != t.command || c->tallies[i].status != t.status))
        i++;
    if (i == NITRO_TALLIES) return; /* the host never counts anew, so it wants no counts */
    if (i == c->tally_count) c->tallies[c->tally_count++] = t;
    c->tallies[i].count = (uint16_t)(c->tallies[i].count + x->kind_runs);
}

/* tally: counts a request that is done. */
NK_INLINE void tally(struct nk_exec *x, const struct nk_req *r) {
    uint32_t kind = r->command | (uint32_t)x->status << 8;
    if (NK_UNLIKELY(kind != x->kind)) {
        if (x->kind_runs != 0) tally_run(x);
        x->kind = kind;
        x->kind_runs = 0;
    }
    x->kind_runs++;
}

/* finish: request `next` is done. */
NK_INLINE void finish(struct nk_exec *x, struct nk_req *r) {
    struct nk_chunk *c = x->c;
    tally(x, r);
    if (NK_UNLIKELY(r->big != NULL || r->op == NK_OP_MSET)) nk_req_drop(x->db, c, r);
    c->started = false;
    c->shown = 0;
    c->fetch.tries = 0;
    c->pub.next++;
    x->ss->requests++;
}

/* no_gate: there is no memory to remember that a reply must wait. It must not go out, so the connection ends
 * here: the outcome is unknown to the client, as after any broken connection. */
static NK_NOINLINE int no_gate(struct nk_exec *x, size_t from) {
    struct nk_chunk *c = x->c;
    nk_exec_release(x);
    c->pub.out_len = from;
    c->pub.closing = 1;
    nk_composed_drop(x->db, c);
    nk_fetch_drop(&c->fetch, x->db);
    while (c->pub.next < c->pub.count) {
        nk_req_drop(x->db, c, &c->reqs[c->pub.next]);
        c->pub.next++;
    }
    c->started = c->halted = false;
    c->shown = 0;
    return NITRO_STOP_DONE;
}

static int loop(struct nk_exec *x) {
    struct nk_chunk *c = x->c;
    uint32_t count = c->pub.count, first = c->pub.next + 1;
    for (uint32_t i = first; i < first + NK_EXEC_AHEAD - 1 && i < count; i++) look_ahead(x, i);
    for (uint32_t i = first; i < first + NK_EXEC_AGAIN - 1 && i < count; i++) look_again(x, i);
    while (c->pub.next < count) {
        uint32_t i = c->pub.next;
        if (NK_UNLIKELY(c->pub.out_len >= NK_OUT_SOFT)) return NITRO_STOP_OUT;
        look_ahead(x, i + NK_EXEC_AHEAD);
        look_again(x, i + NK_EXEC_AGAIN);
        struct nk_req *r = &c->reqs[i];
        x->next_index = i + 1 < count && r[1].op <= NK_OP_KEYED_LAST ? r[1].key.seg : NK_NO_SEG;
        size_t from = c->halted && c->begun < c->pub.out_len ? c->begun : c->pub.out_len;
        x->shown = c->shown;
        x->wrote = false;
        x->status = NITRO_OK;
        int stop = run(x, r);
        if (NK_UNLIKELY(x->shown > x->durable)) {
            c->shown = x->shown; /* for the rest of the reply, if this is not all of it */
            if (nk_exec_gate(x, r, from, stop) != NITRO_OK) return no_gate(x, from);
        }
        c->halted = stop == NITRO_STOP_BUSY || stop == NITRO_STOP_IO;
        c->begun = from;
        if (NK_UNLIKELY(stop != NITRO_STOP_DONE)) return stop;
        finish(x, r);
    }
    return NITRO_STOP_DONE;
}

/* resume_tail: goes on with a reply that is handed out in parts. */
static NK_NOINLINE int resume_tail(struct nk_exec *x) {
    bool finishes = x->c->tail.finishes;
    x->status = x->c->tail.status;
    const struct nk_req *r = &x->c->reqs[x->c->pub.next];
    size_t from = x->c->pub.out_len;
    int stop = nk_tail_resume(x);
    x->shown = x->c->shown;
    if (nk_exec_gate(x, r, from, stop) != NITRO_OK) return no_gate(x, from);
    if (stop == NITRO_STOP_DONE && finishes) finish(x, &x->c->reqs[x->c->pub.next]);
    return stop;
}

int nitro_execute(nitro_store *s, nitro_session *ss, nitro_chunk *pub, int64_t now_ms) {
    struct nk_exec x = {
        .db = nk_front_db(s),
        .c = nk_chunk_of(pub),
        .ss = ss,
        .now = now_ms,
        .next_index = NK_NO_SEG,
        .binary = ss->proto == NITRO_PROTO_BINARY,
        .loading = nk_db_loading(nk_front_db(s)),
        .durable = __atomic_load_n(&nk_db_view(nk_front_db(s))->durable, __ATOMIC_ACQUIRE)};
    x.restricted = x.loading || ss->locked != 0;
    int stop = NITRO_STOP_DONE;
    if (NK_UNLIKELY(x.c->tail.active)) stop = resume_tail(&x);
    if (NK_LIKELY(stop == NITRO_STOP_DONE)) stop = loop(&x);
    nk_exec_release(&x);
    if (NK_UNLIKELY(x.c->fetch.count != 0) && pub->next == pub->count)
        nk_fetch_drop(&x.c->fetch, x.db);
    if (NK_LIKELY(x.kind_runs != 0)) tally_run(&x);
    return stop;
}
