/* SPDX-License-Identifier: MIT
 *
 * req.h - what passes between the parsers and the executor: requests, faults, chunks (L6).
 *
 * WHAT   A parser (wire_resp.c, wire_nbp.c) turns bytes into struct nk_req; exec*.c runs them.
 *        Whatever can be decided without looking at the store has been decided by then: the verb,
 *        its arity, its options, numbers, the keys' hashes, copies of large values. A request that
 *        is wrong becomes an NK_OP_ERROR that answers in its place in the order.
 *
 * THREADS  A chunk and a session belong to one thread at a time.
 *
 * OWNERSHIP  Pointers in a request are borrowed from the chunk's input buffer (or from a loan, see
 *        nk_loan), which does not move while requests are left. `big` is a reference that the
 *        request owns until it has run or the chunk drops it.
 */
#ifndef NK_REQ_H
#define NK_REQ_H

#include "fetch.h"
#include "pack.h"
#include "req_fault.h"
#include "seg.h"

/* ---- sizes ------------------------------------------------------------------------------------*/
#define NK_CHUNK_REQS 256u /* requests of one prepare */
_Static_assert(NK_CHUNK_REQS <= NITRO_TALLIES, "each of them may be counted as something else");
#define NK_IN_BYTES 65536u         /* default input buffer */
#define NK_IN_SLACK 16u            /* readable bytes behind it, for 8-byte loads of short words */
#define NK_IN_BYTES_MAX (1u << 30) /* one request, with everything around its arguments */
#define NK_OUT_SOFT 65536u         /* execute hands the replies over from here on */
#define NK_OUT_ROOM                                                                                \
    (NK_VALUE_BIG + 1024u) /* what is free below that: any inline value, any error */
#define NK_OUT_BYTES (NK_OUT_SOFT + NK_OUT_ROOM)
#define NK_FRAME_BODY_MAX (1u << 20) /* bytes of a large value in one reply frame */
#define NK_SPANS 64u                 /* default room for arguments of one request */
#define NK_STASH_MAX 4096u

/* ---- requests ---------------------------------------------------------------------------------*/
/* Operations. Those up to NK_OP_KEYED_LAST work on req.key alone and take part in prefetching.
 * CHECKLIST for a new one: exec.c (run), exec_*.c. */
enum nk_op {
    NK_OP_GET,
    NK_OP_SET,
    NK_OP_DEL,
    NK_OP_EXISTS,
    NK_OP_INCR,
    NK_OP_EXPIRE,
    NK_OP_TTL,
    NK_OP_PERSIST,
    NK_OP_TYPE,
    NK_OP_USAGE,
    NK_OP_STRLEN,
    NK_OP_GETRANGE, /* bytes req.num (as int64_t) to req.end of the value */
    NK_OP_GETDEL,
    NK_OP_GETEX, /* NK_F_PERSIST, or req.expire_ms */
    NK_OP_APPEND,
    NK_OP_SETRANGE,  /* req.num is the offset */
    NK_OP_INCRFLOAT, /* req.val is the increment's text */
    NK_OP_OBJECT,    /* req.code is an enum nk_fact */
    NK_OP_KEYED_LAST = NK_OP_OBJECT,
    NK_OP_MGET,
    NK_OP_MSET, /* NK_F_NX: if none of its keys exists */
    NK_OP_MDEL,
    NK_OP_MEXISTS,
    NK_OP_RENAME, /* of two keys; NK_F_NX: if the second does not exist */
    NK_OP_COPY,   /* likewise */
    NK_OP_SCAN,
    NK_OP_KEYS,
    NK_OP_RANDOMKEY,
    NK_OP_COUNT,
    NK_OP_ECHO, /* req.val back */
    NK_OP_PING, /* +PONG; binary NOOP */
    NK_OP_HELP, /* req.code is an enum nk_help */
    NK_OP_HOST,
    NK_OP_ERROR,
    NK_OP_CLOSE /* answers nothing (HTTP) */
};

/* Options of an operation, req.flags. The first four equal NITRO_SET_*. */
#define NK_F_NX NITRO_SET_NX
#define NK_F_XX NITRO_SET_XX
#define NK_F_KEEPTTL NITRO_SET_KEEPTTL
#define NK_F_CAS NITRO_SET_CAS /* req.num is the expected version */
#define NK_F_GET 0x10u         /* SET: answer the old value */
#define NK_F_VERSION 0x20u   /* SET, GET, SCAN: answer the version (SCAN: with expiry and length) */
#define NK_F_EXPIRY 0x40u    /* GET: answer the expiry */
#define NK_F_LENGTH 0x80u    /* GET: the length instead of the value */
#define NK_F_GT 0x100u       /* EXPIRE */
#define NK_F_LT 0x200u       /* EXPIRE */
#define NK_F_MS 0x400u       /* TTL: milliseconds */
#define NK_F_OK 0x800u       /* DEL: answer +OK either way (the text verb DELETE) */
#define NK_F_NOTHING 0x1000u /* SCAN: a TYPE that no key has */
#define NK_F_COUNT 0x2000u   /* SET, MSET: answer 1 or 0 (the text verbs SETNX and MSETNX) */
#define NK_F_PERSIST 0x4000u /* GETEX: no expiry any more */
#define NK_F_FAULT 0x8000u   /* GETEX: if the key exists, answer the fault req.code */
#define NK_F_ABSOLUTE 0x10000u /* TTL: the time at which it ends */

/* What OBJECT tells, and what HELP describes. */
enum nk_fact { NK_FACT_ENCODING, NK_FACT_FREQ, NK_FACT_IDLETIME, NK_FACT_REFCOUNT };
enum nk_help { NK_HELP_MEMORY, NK_HELP_OBJECT };

struct nk_req {
    struct nk_key key;
    const uint8_t *val; /* value, message, pattern, or the middle of an error text */
    struct nk_big *big; /* instead of val, owned */
    uint64_t num;       /* expected version, delta (as int64_t) or cursor */
    union {
        int64_t expire_ms; /* absolute; 0 = none */
        int64_t end;       /* GETRANGE */
    };
    uint32_t val_len;
    uint32_t flags;     /* NK_F_... */
    uint32_t arg_at;    /* first of its keys (chunk.multi) or arguments (chunk.slices) */
    uint32_t arg_count; /* how many; SCAN: COUNT */
    uint16_t id;        /* binary: the client's, echoed */
    uint8_t op;         /* enum nk_op */
    uint8_t code;       /* ERROR: enum nk_fault; HOST: enum nitro_host_verb */
    uint8_t wire;       /* binary: the request's flags */
    uint8_t command;    /* what it is counted as: see struct nitro_tally */
    bool joined;        /* binary: it came in several frames */
    bool packed;        /* SET: val or big is the packed form of the value */
};
_Static_assert(sizeof(struct nk_req) <= 96, "256 of these are walked for every chunk");

/* An argument as an offset from the start of its request, because the buffer may still move. */
struct nk_span {
    uint32_t at;
    uint32_t n;
};

/* ---- chunks -----------------------------------------------------------------------------------*/

/* The body of a request that came in several frames. The chunk frees it when its requests have
 * run. */
struct nk_loan {
    struct nk_loan *next;
    size_t bytes; /* allocated, this header included */
    uint8_t data[];
};

/* A reply that is handed out from where it lies: a large value or a long ECHO. */
struct nk_tail {
    struct nk_big *ref; /* reference held, NULL = the bytes are borrowed from the input */
    const uint8_t *p;   /* the part that was handed out last */
    uint64_t left;      /* bytes after that part */
    bool active;
    bool finishes;  /* the request is done when the tail is */
    uint8_t status; /* binary: of every frame */
};

/* A KEYS or RANDOMKEY under way. */
struct nk_walk {
    uint64_t cursor;           /* of nk_db_scan */
    size_t used, seg_used;     /* bytes of scratch; what they were when the segment began */
    uint64_t count, seg_count; /* keys in it; likewise */
    uint32_t seg;              /* that segment */
    uint64_t steps;            /* of pattern matching in this part */
    size_t at;                 /* of the next key to be sent, or described */
    size_t bytes;              /* SCAN: of the keys that are to be sent */
    bool done;                 /* every key has been looked at */
    bool wrapped;              /* RANDOMKEY: it goes on from the start, for the last time */
};

/* The new value of an APPEND or SETRANGE that is too large to be made under the lock, and that has not been
 * stored yet. */
struct nk_composed {
    struct nk_big *big; /* owned; NULL = there is none */
    uint64_t version;   /* of the value that it was made from; 0 = there was none */
    uint32_t crc;       /* see nk_effect_crc */
};

struct nk_chunk {
    nitro_chunk pub; /* first: a nitro_chunk * is a struct nk_chunk * */
    struct nk_req *reqs;
    uint32_t starts[NK_CHUNK_REQS]; /* where in `in` each of them begins */

    /* A RESP request that has arrived in part: `span_count` of `span_total` arguments, the next one
     * begins `parse_at` bytes behind in_pos. span_total 0 = at the start of a request. */
    struct nk_span *spans;
    uint32_t span_cap, span_count, span_total;
    uint32_t parse_at;

    /* Arguments of prepared requests. */
    struct nitro_slice *slices;
    struct nk_multi *multi;
    uint32_t slice_cap, slice_count;
    uint32_t multi_cap, multi_count;
    struct nk_loan *loans;
    struct nk_pack pack; /* what packed values lie in */

    /* The segments of the multi-key write that runs, ascending and distinct. */
    uint32_t *segs;
    uint32_t seg_cap;

    /* Where the request `next` goes on after a stop in its middle. */
    bool started;   /* the head of its reply has been written */
    uint32_t step;  /* keys that are done */
    uint64_t found; /* EXISTS: so far */
    uint64_t shown; /* newest LSN that the part of its reply shows which is done */
    bool halted;    /* it stopped where the host delivers nothing … */
    size_t begun;   /* … and its reply begins here in out */
    struct nk_tail tail;

    /* Raw keys of a SCAN, before filtering; those that KEYS has found; a value under construction. */
    uint8_t *scratch;
    size_t scratch_cap;
    struct nk_walk walk;
    struct nk_composed composed;
    struct nk_fetch fetch; /* values that lie on disk */
};

NK_INLINE struct nk_chunk *nk_chunk_of(nitro_chunk *c) { return (struct nk_chunk *)c; }
NK_INLINE struct nk_db *nk_front_db(nitro_store *s) { return (struct nk_db *)(void *)s; }

/* nk_chunk_room: makes *array, of *cap elements of `size` bytes, hold at least `need`. By doubling,
 * counted as chunk bytes. NITRO_OK, NITRO_ENOMEM, NITRO_EMAXMEMORY (nothing changed). */
NITRO_MUST_CHECK int nk_chunk_room(struct nk_db *db, void **array, uint32_t *cap, uint32_t need,
                                   size_t size);
/* nk_chunk_out: makes out hold `need` bytes beyond out_len. NITRO_OK, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_chunk_out(struct nk_db *db, struct nk_chunk *c, size_t need);
/* nk_chunk_scratch: makes scratch hold `need` bytes. NITRO_OK, NITRO_ENOMEM, NITRO_EMAXMEMORY. */
NITRO_MUST_CHECK int nk_chunk_scratch(struct nk_db *db, struct nk_chunk *c, size_t need);
/* nk_composed_drop: releases c->composed, if there is one. */
void nk_composed_drop(struct nk_db *db, struct nk_chunk *c);
/* nk_req_drop: releases what a request owns. */
void nk_req_drop(struct nk_db *db, struct nk_chunk *c, struct nk_req *r);

/* ---- parsing ----------------------------------------------------------------------------------*/
struct nk_parser {
    struct nk_db *db;
    nitro_session *ss;
    struct nk_chunk *c;
    int64_t now;
    uint32_t max_value;
    bool locked; /* see NITRO_LOCKED_BYTES */
    bool packs;  /* values that are to be stored may be packed */
};

enum nk_parsed {
    NK_PARSED,      /* consumed a request, which stands in the chunk now if it answers anything */
    NK_PARSED_LAST, /* the same, and the framing is lost behind it */
    NK_PARSE_NEED,  /* incomplete: in_need is set */
    NK_PARSE_MEMORY /* no memory for the parser's own state; nothing consumed */
};

/* nk_parser_need: an incomplete request needs in[0 .. upto). */
NK_INLINE enum nk_parsed nk_parser_need(struct nk_parser *f, size_t upto) {
    f->c->pub.in_need = upto;
    return NK_PARSE_NEED;
}
/* nk_parser_slot: where the next request goes. There is always one while prepare runs. */
NK_INLINE struct nk_req *nk_parser_slot(struct nk_parser *f) {
    return &f->c->reqs[f->c->pub.count];
}
/* nk_req_fault: turns r into an error with a borrowed middle part (NULL, 0 = none). Keeps id and
 * wire. */
void nk_req_fault(struct nk_req *r, enum nk_fault fault, const void *middle, size_t n);
/* nk_fault_of: the fault that words an error code of the store. */
enum nk_fault nk_fault_of(int code);
/* nk_parser_value: gives r, whose operation is known, its value: borrowed, or copied to a block of its own if it is
 * large; that of a SET is packed where the store does that. nk_parser_multi_value: likewise an element of an MSET.
 * NK_FAULT_NONE, or why not. */
NITRO_MUST_CHECK enum nk_fault nk_parser_value(struct nk_parser *f, struct nk_req *r,
                                               const uint8_t *p, uint32_t n);
NITRO_MUST_CHECK enum nk_fault nk_parser_multi_value(struct nk_parser *f, struct nk_multi *m,
                                                     const uint8_t *p, uint32_t n);
/* nk_parser_multi: makes room for the n keys of r. NK_FAULT_NONE, or why not. */
NITRO_MUST_CHECK enum nk_fault nk_parser_multi(struct nk_parser *f, struct nk_req *r, uint32_t n);
/* nk_parser_multi_add: appends a key to r; its value is still empty. */
struct nk_multi *nk_parser_multi_add(struct nk_parser *f, struct nk_req *r, const uint8_t *p,
                                     uint32_t n);
/* nk_parser_args: makes room for n arguments of the host's verb r. NK_FAULT_NONE, or why not. */
NITRO_MUST_CHECK enum nk_fault nk_parser_args(struct nk_parser *f, struct nk_req *r, uint32_t n);

#endif
