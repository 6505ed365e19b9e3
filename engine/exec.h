/* SPDX-License-Identifier: MIT
 *
 * exec.h - running prepared requests: what the topics of exec_*.c share (L6).
 *
 * WHAT   Each operation is a function from (executor, request) to an enum nitro_stop: DONE when its
 *        reply stands in out, anything else to come back to the host and be called again. An
 *        operation that returns BUSY or OUT has applied nothing, or remembers in the chunk where it
 *        goes on.
 *
 * THREADS  Shared gate; one thread per chunk. At most one segment is locked between operations
 *        (kept for the next request if that needs the same one), several only inside MSET and
 *        multi-key deletes.
 *
 * REPLIES  A request starts with NK_OUT_ROOM bytes free in out; so an inline value, a number or an
 *        error can be written without asking. Whatever may need more asks before it changes
 *        anything.
 */
#ifndef NK_EXEC_H
#define NK_EXEC_H

#include "num.h"
#include "req.h"
#include "wire_nbp.h"

#define NK_EXEC_AHEAD 12u         /* requests between asking for an entry and using it */
#define NK_EXEC_AGAIN 5u          /* likewise, if it is in an overflow bucket */
#define NK_EXEC_WINDOW 32u        /* keys of one request that are prefetched together */
#define NK_EXEC_KEEP_RUNS 16u     /* requests in one hold of a lock */
#define NK_EXEC_KEEP_BYTES 65536u /* bytes copied in one hold of a lock */
#define NK_NO_SEG UINT32_MAX

struct nk_exec {
    struct nk_db *db;
    struct nk_chunk *c;
    nitro_session *ss;
    int64_t now;
    struct nk_seg *held; /* the lock that is held between requests, or NULL */
    uint32_t held_index;
    uint32_t held_runs;
    uint64_t held_bytes;
    uint32_t next_index; /* the segment of the next request, or NK_NO_SEG */
    bool binary;
    bool loading;
    bool restricted; /* loading, or the session is locked: not everything may run */
    bool wrote;      /* the request has made an effect */
    uint8_t status;  /* what the reply says, in the binary protocol's words */
    uint32_t kind;   /* command and status of the request before, which are counted together … */
    uint32_t kind_runs; /* … with so many before it */
    uint64_t shown;     /* newest LSN that the request's reply shows; 0 = none */
    uint64_t durable;   /* when the call began; UINT64_MAX without a log */
};

/* nk_exec_show: the reply shows what has been looked up. nk_exec_wrote: it tells of a write. */
NK_INLINE void nk_exec_show(struct nk_exec *x, uint64_t lsn) {
    if (NK_UNLIKELY(lsn > x->shown)) x->shown = lsn;
}
NK_INLINE void nk_exec_wrote(struct nk_exec *x, uint64_t lsn) {
    if (x->durable == UINT64_MAX || lsn == 0) return; /* a version without a log is no LSN */
    x->shown = lsn > x->shown ? lsn : x->shown;
    x->ss->last_lsn = lsn > x->ss->last_lsn ? lsn : x->ss->last_lsn;
    x->wrote = true;
}
/* nk_exec_missed: the reply is that of a miss, or of NITRO_OK. Only the replies of the binary protocol and errors
 * say by themselves what they are. */
NK_INLINE void nk_exec_missed(struct nk_exec *x, int status) { x->status = (uint8_t)status; }
/* nk_exec_no_room: the log has refused a write that may need `bytes`. NITRO_STOP_ROOM if the host can make
 * room; else NITRO_STOP_DONE: reply with the error. */
int nk_exec_no_room(struct nk_exec *x, uint64_t bytes);

/* ---- values on disk (exec_load.c) --------------------------------------------------------------*/
/* nk_exec_load: the value of a found item. True: it is there. False: the lock has been given up, and the operation returns
 * *stop: IO, BUSY, or DONE with an error as its reply. `counted`: nk_seg_find has counted the look-up. */
bool nk_exec_load_away(struct nk_exec *x, const struct nk_req *r, struct nk_seg *s,
                       struct nk_item *it, bool counted, int *stop);
NK_INLINE bool nk_exec_load(struct nk_exec *x, const struct nk_req *r, struct nk_seg *s,
                            struct nk_item *it, bool counted, int *stop) {
    return NK_LIKELY(!it->away) || nk_exec_load_away(x, r, s, it, counted, stop);
}
/* nk_exec_fetch: likewise for any key. NITRO_OK, or a code of nk_fetch_get: then the lock has been given up. */
NITRO_MUST_CHECK int nk_exec_fetch(struct nk_exec *x, struct nk_seg *s, const struct nk_key *k,
                                   struct nk_item *it, bool counted);
#define NK_EXEC_WANT_KEYS                                                                          \
    (16u * NK_FETCH_ITEMS) /* keys of a command that are looked at in one stop */
/* nk_exec_want_keys: notes the values of keys that will be needed next. No lock is held. False: no more than that. */
bool nk_exec_want_keys(struct nk_exec *x, struct nk_multi *m, uint32_t count);
/* nk_exec_expiry: e is a new expiry of the found item; where that is a put, it becomes one. As nk_exec_load. *s may have been
 * unlocked and locked again, and *it looked up again. */
bool nk_exec_expiry(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, struct nk_item *it,
                    bool counted, struct nk_effect *e, int *stop);

/* ---- locks (exec.c) ---------------------------------------------------------------------------*/
/* nk_exec_release: gives up the lock that is held, if any. */
void nk_exec_release(struct nk_exec *x);
/* nk_exec_enter: the key's segment, locked, or NULL (BUSY). */
NK_INLINE struct nk_seg *nk_exec_enter(struct nk_exec *x, const struct nk_key *k) {
    if (x->held != NULL) {
        if (x->held_index == k->seg) return x->held;
        nk_exec_release(x);
    }
    struct nk_seg *s = nk_db_seg(x->db, k->seg);
    if (NK_UNLIKELY(!nk_seg_lock(s))) return NULL;
    x->held = s;
    x->held_index = k->seg;
    x->held_runs = 0;
    x->held_bytes = 0;
    return s;
}
/* nk_exec_leave: unlocks, unless the next request wants the same segment soon enough. */
NK_INLINE void nk_exec_leave(struct nk_exec *x, uint64_t copied) {
    x->held_bytes += copied;
    if (NK_LIKELY(x->next_index != x->held_index) || ++x->held_runs >= NK_EXEC_KEEP_RUNS ||
        x->held_bytes >= NK_EXEC_KEEP_BYTES) {
        nk_seg_unlock(x->held);
        x->held = NULL;
    }
}

/* nk_exec_effect: makes e on what was found, in the same lock hold. BUSY, ROOM, or DONE with *code set
 * (exec_key.c). */
int nk_exec_effect(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, const struct nk_item *it,
                   const struct nk_effect *e, int *code);

/* ---- gates (exec.c): see struct nitro_gate --------------------------------------------------------*/
/* nk_exec_gate: what stands in out from offset `from` on waits, if what the request shows is not old enough. */
NITRO_MUST_CHECK int nk_exec_gate(struct nk_exec *x, const struct nk_req *r, size_t from, int stop);

/* ---- replies (exec_reply.c) -------------------------------------------------------------------*/

/* A binary frame that is being written to out. */
struct nk_frame {
    size_t at;     /* of its header in out */
    uint8_t flags; /* blocks so far */
};
/* nk_frame_open: room for header and checksums. */
void nk_frame_open(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f);
/* nk_frame_version, nk_frame_expiry: appends the block (before any body, in this order). */
void nk_frame_version(struct nk_exec *x, struct nk_frame *f, uint64_t version);
void nk_frame_expiry(struct nk_exec *x, struct nk_frame *f, int64_t expire_ms);
/* nk_frame_close: writes header and checksums; `tail_n` bytes of the body follow from elsewhere. A
 * quiet request's empty frame vanishes. */
void nk_frame_close(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f, int status,
                    bool more, const uint8_t *tail, uint64_t tail_n);
/* nk_frame_plain: a whole frame with a body of n bytes. */
void nk_frame_plain(struct nk_exec *x, const struct nk_req *r, int status, const void *body,
                    size_t n);

NK_INLINE uint8_t *nk_out(struct nk_exec *x) { return x->c->pub.out + x->c->pub.out_len; }
NK_INLINE void nk_out_to(struct nk_exec *x, const uint8_t *end) {
    x->c->pub.out_len = (size_t)(end - x->c->pub.out);
}
/* nk_out_bytes: appends n bytes; the room has been made sure of. */
NK_INLINE void nk_out_bytes(struct nk_exec *x, const void *p, size_t n) {
    memcpy(nk_out(x), p, n);
    x->c->pub.out_len += n;
}
/* nk_out_text: appends a string literal. */
#define nk_out_text(x, literal) nk_out_bytes(x, literal, sizeof(literal) - 1)
/* nk_out_head: appends a RESP type byte, a number and CRLF. */
NK_INLINE void nk_out_head(struct nk_exec *x, char type, uint64_t n) {
    uint8_t *p = nk_out(x);
    *p = (uint8_t)type;
    p = nk_num_put_u64(p + 1, n);
    p[0] = '\r';
    p[1] = '\n';
    nk_out_to(x, p + 2);
}

/* nk_reply_value: n bytes as the reply (a bulk string; the body of a frame). At most
 * NK_VALUE_BIG. */
void nk_reply_value(struct nk_exec *x, const struct nk_req *r, const uint8_t *p, uint64_t n);
/* nk_reply_ok: +OK, or an empty frame. */
void nk_reply_ok(struct nk_exec *x, const struct nk_req *r);
/* nk_reply_null: RESP only. */
void nk_reply_null(struct nk_exec *x);
/* nk_reply_int: RESP only. */
void nk_reply_int(struct nk_exec *x, int64_t v);
/* nk_reply_status: binary only, a frame without a body. */
void nk_reply_status(struct nk_exec *x, const struct nk_req *r, int status);
/* nk_reply_fault: an error reply with its text. */
void nk_reply_fault(struct nk_exec *x, const struct nk_req *r, enum nk_fault fault,
                    const uint8_t *middle, size_t n);
/* nk_reply_error: the error reply for a code of the store. */
void nk_reply_error(struct nk_exec *x, const struct nk_req *r, int code);
/* nk_reply_unknown: Redis's words about an unknown command and its arguments. */
void nk_reply_unknown(struct nk_exec *x, const struct nk_req *r);

/* nk_tail_start: hands out p[0 .. n) from where it lies, as the rest of a bulk whose head has been
 * written, or as the rest of frame `f` and of as many further frames as it takes. `ref` (NULL if p
 * is borrowed from the input) is released afterwards. `finishes`: the request is done then. */
int nk_tail_start(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f, int status,
                  const uint8_t *p, uint64_t n, struct nk_big *ref, bool finishes);
/* nk_tail_resume: after NITRO_STOP_BIG. BIG again, or DONE. */
int nk_tail_resume(struct nk_exec *x);

/* ---- operations -------------------------------------------------------------------------------*/
int nk_exec_get(struct nk_exec *x, struct nk_req *r); /* exec_string.c */
int nk_exec_set(struct nk_exec *x, struct nk_req *r);
int nk_exec_incr(struct nk_exec *x, struct nk_req *r);
int nk_exec_echo(struct nk_exec *x, struct nk_req *r);
int nk_exec_del(struct nk_exec *x, struct nk_req *r); /* exec_key.c */
int nk_exec_exists(struct nk_exec *x, struct nk_req *r);
int nk_exec_expire(struct nk_exec *x, struct nk_req *r);
int nk_exec_ttl(struct nk_exec *x, struct nk_req *r);
int nk_exec_persist(struct nk_exec *x, struct nk_req *r);
int nk_exec_type(struct nk_exec *x, struct nk_req *r);
int nk_exec_usage(struct nk_exec *x, struct nk_req *r);
int nk_exec_object(struct nk_exec *x, struct nk_req *r);
int nk_exec_getdel(struct nk_exec *x, struct nk_req *r); /* exec_take.c */
int nk_exec_getex(struct nk_exec *x, struct nk_req *r);
int nk_exec_strlen(struct nk_exec *x, struct nk_req *r); /* exec_part.c */
int nk_exec_getrange(struct nk_exec *x, struct nk_req *r);
int nk_exec_append(struct nk_exec *x, struct nk_req *r);    /* also SETRANGE */
int nk_exec_incrfloat(struct nk_exec *x, struct nk_req *r); /* exec_string.c */
int nk_exec_mget(struct nk_exec *x, struct nk_req *r);      /* exec_multi.c */
int nk_exec_mexists(struct nk_exec *x, struct nk_req *r);
int nk_exec_mset(struct nk_exec *x, struct nk_req *r); /* exec_batch.c */
int nk_exec_mdel(struct nk_exec *x, struct nk_req *r);
int nk_exec_rename(struct nk_exec *x, struct nk_req *r); /* also COPY */
int nk_exec_scan(struct nk_exec *x, struct nk_req *r);   /* exec_scan.c */
int nk_exec_keys(struct nk_exec *x, struct nk_req *r);   /* exec_walk.c */
int nk_exec_randomkey(struct nk_exec *x, struct nk_req *r);

#endif
