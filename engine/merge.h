/* SPDX-License-Identifier: MIT
 *
 * merge.h - hints for sealed data files, and merges: the states behind nitro_merge_step (L5).
 *
 * WHAT   docs/design/0006, section 4. One thing is under way at a time, and every call does a bounded piece of it:
 *
 *          a sealed file gets its hint   REST ─► HINT ⟲ ─► NAME ─► REST
 *          a merge                       REST ─► COPY ⇄ DECIDE ─► DURABLE ─► FINISH ─► LIST
 *                                             ─► READ ⇄ SWITCH ─► REMOVE ⟲ ─► REST
 *
 *        Up to LIST nothing refers to the new file: who fails there gives it up. From LIST on the next start reads the new
 *        file instead of its inputs, so what follows is not given up but resumed: entries have to leave the inputs
 *        before anything else may be merged.
 *
 * THREADS  That of nitro_merge_step, in the way that nitro.h says for each result. Counters (struct nk_merge.done) are
 *        read by anyone who may call nitro_data_files_of.
 */
#ifndef NK_MERGE_H
#define NK_MERGE_H

#include "db.h"
#include "hint.h"
#include "logscan.h"

#define NK_MERGE_BATCH 1024u           /* records that are decided about together */
#define NK_MERGE_INPUTS 64u            /* pieces that are merged at once */
#define NK_MERGE_BUFFER (256u * 1024)  /* bytes of one write */
#define NK_MERGE_STRETCH (1u << 20)    /* bytes that one step reads for a hint */
#define NK_MERGE_SYNC_BYTES (8u << 20) /* written between two syncs */

/* nk_merge_free: lets go of what is under way, as nitro_close does: files stay as they are. Exclusive. */
void nk_merge_free(struct nk_db *db);

/* ---- planning (merge_plan.c): numbers in, numbers out --------------------------------------------*/

/* What is known of a sealed piece. They are given by LSN. */
struct nk_merge_piece {
    uint64_t put_bytes, live_bytes, gone_bytes; /* as in files.h */
    int64_t age_ms;                             /* asked for only if an option needs it */
    bool fit;                                   /* it is not damaged */
    /* its LSNs begin where those of the piece before end; of the first: nothing is before it */
    bool follows;
};
struct nk_merge_limits {
    uint64_t file_bytes; /* the output is meant to have no more */
    uint32_t inputs;     /* no more of them than this */
};
/* nk_merge_plan: which pieces to merge next: *count of them from *first on. False: none. After any number of merges without
 * writes in between there are none: each has fewer dead records and deletes, or fewer pieces, than its inputs. */
bool nk_merge_plan(const struct nk_merge_piece *p, uint32_t n, const struct nitro_merge_options *o,
                   const struct nk_merge_limits *max, uint32_t *first, uint32_t *count);

/* ---- reading a piece (merge_read.c) --------------------------------------------------------------*/

/* Its records from front to back, each checked. Pointers in a record are borrowed until the next call. */
struct nk_merge_in {
    const struct nk_piece *piece; /* borrowed; NULL: not open */
    struct nk_logscan log;        /* one of these, by its kind */
    struct nk_datascan data;
    uint64_t want;   /* of a log: the next LSN */
    uint64_t end;    /* behind the last record */
    int64_t time_ms; /* newest of its header and frames */
    uint64_t bad_at; /* offset of what is not valid */
    int sys;         /* errno of a read that failed */
};
/* nk_merge_in_open: NITRO_OK, NITRO_ECORRUPT, NITRO_EIO; end it with nk_merge_in_close, also after errors. */
NITRO_MUST_CHECK int nk_merge_in_open(struct nk_merge_in *in, const struct nk_log *l,
                                      const struct nk_piece *p);
void nk_merge_in_close(struct nk_merge_in *in);
/* nk_merge_in_next: NITRO_OK; NITRO_ENOTFOUND: that was all; NITRO_EBUSY: it would have to read on, and `hold` is set;
 * NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_merge_in_next(struct nk_merge_in *in, bool hold, struct nk_placed *out);
/* nk_merge_in_at: offset of what is read next. */
uint64_t nk_merge_in_at(const struct nk_merge_in *in);
/* nk_merge_piece_time: what the piece's header says of its age; 0 = it can't be read, or the file is not used yet. */
int64_t nk_merge_piece_time(const struct nk_log *l, const struct nk_piece *p);

/* ---- the machine ---------------------------------------------------------------------------------*/

enum nk_merge_state {
    NK_MERGE_REST,    /* FOLDER: nothing is under way */
    NK_MERGE_HINT,    /* IO: a sealed piece is read, its hint written */
    NK_MERGE_NAME,    /* FOLDER: the hint gets its name */
    NK_MERGE_COPY,    /* IO: what stays of a batch is written, the next one read */
    NK_MERGE_DECIDE,  /* SHARED: what stays of it */
    NK_MERGE_DURABLE, /* SYNC: until what made records dead is durable */
    NK_MERGE_FINISH,  /* IO: header, sync */
    NK_MERGE_LIST,    /* FOLDER: the new file stands for its inputs from now on */
    NK_MERGE_READ,    /* IO: a batch of the new file's hint */
    NK_MERGE_SWITCH,  /* SHARED: entries refer to the new file */
    NK_MERGE_REMOVE,  /* FOLDER: one input goes */
    NK_MERGE_STATES
};

/* What becomes of a record. */
enum nk_merge_fate {
    NK_FATE_DROP, /* nobody misses it */
    NK_FATE_KEEP, /* a key refers to it */
    NK_FATE_GONE /* a delete, a flush, or a put that is one from now on: stays while it is pinned */
};
struct nk_merge_item {
    struct nk_key key;
    struct nk_placed rec; /* in an input; while switching: in the new file, without a value */
    enum nk_merge_fate fate;
};

/* The new file. */
struct nk_merge_out {
    struct nk_piece piece; /* kind, number, salt, LSNs; once listed also size, slot */
    int fd;                /* -1 = closed */
    bool made;             /* it is in the folder, and not listed */
    uint8_t *buf;          /* NK_MERGE_BUFFER: not written yet */
    size_t used;
    uint64_t at;     /* offset of the next record */
    uint64_t synced; /* bytes of the file */
    uint64_t limit;  /* it is given up beyond */
    uint64_t records;
    uint64_t put_bytes, gone_bytes, gone_lsn; /* as in files.h */
    int64_t time_ms;
};

struct nk_merge {
    struct nk_db *db;
    struct nk_log *l;
    enum nk_merge_state state;
    enum nk_merge_state resume; /* after a failure: READ or REMOVE; else REST */
    struct nk_merge_in in;      /* what is being read */

    /* the hint that is being written */
    struct nk_piece hinted; /* of this piece, if it is not that of a merge */
    struct nk_hintwrite hint;
    int hint_fd; /* -1 = none is */
    /* number of one that has no name yet, to be removed if it gets none; 0 = none */
    uint64_t hint_made;
    bool hints_rest; /* one has failed: what else there is to do comes first */
    bool hint_last;  /* what was begun last was one */

    /* the merge */
    struct nk_piece input[NK_MERGE_INPUTS];
    uint32_t inputs, input_at;
    int64_t replaced_ms; /* when the inputs were: the past keeps them under this time */
    bool narrow;         /* the last output was too large: one input at a time */
    uint32_t *older; /* slots of the pieces before the inputs; room for one more than there are */
    uint32_t older_count;
    bool pinned; /* one of them is known to hold dead records */
    struct nk_merge_out out;
    struct nk_merge_item *item; /* NK_MERGE_BATCH: a batch … */
    uint32_t count, at;         /* … of so many, of which so many are done with */
    uint64_t lsn;               /* newest that a decision may rest on */
    uint64_t cut; /* not below it: all up to here is durable, and it is the end of a frame */
    struct nk_hintread switcher; /* READ: the new file's hint … */
    int switch_fd;               /* -1 = not open */
    bool by_file;                /* … could not be written or read, so it is the file itself */

    struct {
        uint64_t merges, read_bytes, written_bytes, dropped_bytes;
    } done; /* atomic */
};

/* One call of nitro_merge_step. */
struct nk_merge_call {
    int64_t now_ms;
    const struct nitro_merge_options *o;
    struct nitro_merge_result *out;
    struct nitro_err *err;
    bool idle; /* there was nothing to do */
};

/* Steps, one for each state; each sets the next state. NITRO_OK, or an error with *c->err filled. */
typedef int nk_merge_fn(struct nk_merge *m, struct nk_merge_call *c);
nk_merge_fn nk_merge_hint, nk_merge_name;                    /* merge_hint.c */
nk_merge_fn nk_merge_copy, nk_merge_decide, nk_merge_finish; /* merge_copy.c */
nk_merge_fn nk_merge_durable, nk_merge_list, nk_merge_read, nk_merge_switch,
    nk_merge_remove; /* merge_switch.c */

/* nk_merge_begin: a merge of the inputs, which have been set. FOLDER. nk_merge_drop: it is over, or given up: frees what
 * only it needs. */
NITRO_MUST_CHECK int nk_merge_begin(struct nk_merge *m, struct nk_merge_call *c);
void nk_merge_drop(struct nk_merge *m);
/* nk_merge_header: of the new file, as it is now. */
struct nk_data_header nk_merge_header(const struct nk_merge *m);
/* nk_merge_close_switch: the hint that a switch reads. */
void nk_merge_close_switch(struct nk_merge *m);

/* nk_merge_hint_begin: the hint of a sealed piece. FOLDER. */
NITRO_MUST_CHECK int nk_merge_hint_begin(struct nk_merge *m, struct nk_merge_call *c,
                                         const struct nk_piece *p);
/* nk_merge_hint_open: a hint to be written, of the piece. FOLDER. nk_merge_hint_close: it is written, or has failed. */
NITRO_MUST_CHECK int nk_merge_hint_open(struct nk_merge *m, const struct nk_piece *p,
                                        struct nitro_err *err);
void nk_merge_hint_close(struct nk_merge *m);
/* nk_merge_hint_of: what a hint says of a record. */
NK_INLINE struct nk_hint nk_merge_hint_of(const struct nk_record *r, uint64_t offset,
                                          uint64_t bytes) {
    return (struct nk_hint){.lsn = r->lsn,
                            .offset = offset,
                            .bytes = bytes,
                            .kind = r->kind,
                            .expire_ms = r->expire_ms,
                            .key = r->key,
                            .key_bytes = r->key_bytes};
}

/* nk_merge_ready: makes the keys of the next items, from m->at on, ready to be looked up; returns the index behind
 * them. SHARED. */
uint32_t nk_merge_ready(struct nk_merge *m);
/* nk_merge_unreadable: fills *err for a piece that could not be read; damage, and what the disk does not give back, keeps it
 * out of merges. Returns rc. */
int nk_merge_unreadable(struct nk_merge *m, const struct nk_merge_in *in, int rc,
                        struct nitro_err *err);
/* nk_merge_cannot: fills *err for a write that failed with -errno; NITRO_ELOGFULL or NITRO_EIO. */
int nk_merge_cannot(const struct nk_merge *m, int rc, const char *what, uint64_t number,
                    struct nitro_err *err);

#endif
