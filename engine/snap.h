/* SPDX-License-Identifier: MIT
 *
 * snap.h - a snapshot that is being taken: its state, and what writers owe it (L5).
 *
 * WHAT   docs/design/0005 says how a snapshot comes to hold each entry exactly once. In short: an entry of
 *        a segment is *owed* while its version is at most the segment's cut and the walk has not passed it;
 *        who changes or drops an entry that is owed saves it in the side buffer first.
 * THREADS  save side (nk_snap_reserve … nk_snap_save): any thread, under the segment's lock. Walk and
 *        write: the one thread that takes the snapshot. begin, flush, close: gate exclusive.
 * LOCKS  `side` is a leaf: held for a copy.
 */
#ifndef NK_SNAP_H
#define NK_SNAP_H

#include "db.h"
#include "snapfile.h"

/* A half of the side buffer: how full it may be when a request begins to save entries, and what it can hold at
 * most. The second is for batches, which save all or nothing; it is mapped, and touched as far as it is used.
 * A batch that would save more waits until the walk has passed its keys. */
#define NK_SNAP_HALF (2u << 20)
#define NK_SNAP_HALF_MAX (64u << 20)
/* The stage. It is mapped, and touched only as far as it is used: usually a block and what one lock hold adds. So
 * much that every chain of entries with equal hashes fits that does not make its segment change its hash. */
#define NK_SNAP_STAGE (8u << 20)
/* Bytes of large values, which stay in memory as long as a buffer refers to them: the stage is written when it holds so
 * many; a request that would save one more waits when the halves hold so many. One is always taken. */
#define NK_SNAP_STAGE_HELD (8u << 20)
#define NK_SNAP_HALVES_HELD (64u << 20)

/* A large entry as it waits in a buffer, behind its key. */
struct nk_snap_large {
    struct nk_big *big; /* reference held */
    uint64_t version;
    int64_t expire_ms;
    uint64_t key_bytes;
};

/* Records of small entries from the front, ready to be written; large ones from the back. */
struct nk_snap_buf {
    uint8_t *p;
    uint64_t cap;
    uint64_t front; /* bytes */
    uint64_t back;  /* bytes */
    uint32_t large; /* large entries in `back` */
    uint64_t held;  /* bytes of their values; atomic */
};

struct nk_snap {
    struct nk_db *db;
    enum nitro_compression compression;
    uint64_t lsn; /* S */
    bool begun, inited;
    int fd;
    uint64_t number, salt;
    struct nk_snapwrite file;

    /* the walk */
    uint64_t garbage_at; /* bucket of the part being walked, counting those of both tables */
    struct nk_snap_buf stage;

    /* what writers have saved */
    struct nk_spin side;
    struct nk_snap_buf half[2];
    uint32_t filling;  /* half that writers fill; the other one is empty or being written */
    uint64_t reserved; /* bytes set aside in it by effects that are not made yet */
};

/* ---- writers: under the segment's lock ---------------------------------------------------------*/

/* nk_snap_behind: whether the walk has passed the entry. The segment gives the hash functions. */
bool nk_snap_behind(const struct nk_seg *s, struct nk_snap_pos at, const uint8_t *entry,
                    uint32_t meta);
NK_INLINE struct nk_snap_pos nk_snap_at(const struct nk_seg *s) {
    return (struct nk_snap_pos){s->epoch, s->snap_pos, s->snap_fnv_pos};
}

/* nk_snap_owed: whether the entry of this segment has to be saved before it is changed or dropped. */
NK_INLINE bool nk_snap_owed(const struct nk_seg *s, uint32_t ref) {
    if (NK_LIKELY(s->snap_cut == 0) || ref == 0) return false;
    const uint8_t *e = nk_arena_ptr(&s->arena, ref);
    return nk_entry_version(e) <= s->snap_cut &&
           !nk_snap_behind(s, nk_snap_at(s), e, nk_entry_meta(e));
}
/* nk_snap_reserve: room for the entry, given back by nk_snap_settle. `further`: see struct nk_effect. NITRO_OK,
 * NITRO_EBUSY. */
NITRO_MUST_CHECK int nk_snap_reserve(struct nk_seg *s, uint32_t ref, bool further);
/* nk_snap_emit: saves the entry, into room that was reserved in this lock hold. */
void nk_snap_emit(struct nk_seg *s, uint32_t ref);
/* nk_snap_settle: no reserved effect of this lock hold is left. */
void nk_snap_settle(struct nk_seg *s);

/* nk_snap_put: appends an entry. The caller has made sure of the room: nk_snap_need. */
void nk_snap_put(struct nk_snap *n, struct nk_snap_buf *b, const uint8_t *entry, uint32_t meta);
/* nk_snap_need: bytes of a buffer that an entry may take. */
uint64_t nk_snap_need(const uint8_t *entry, uint32_t meta);
/* ---- the walk (snap_walk.c) --------------------------------------------------------------------*/
NK_INLINE bool nk_snap_buf_empty(const struct nk_snap_buf *b) { return b->front + b->back == 0; }
NK_INLINE uint64_t nk_snap_buf_room(const struct nk_snap_buf *b) {
    return b->cap - b->front - b->back;
}
/* nk_snap_walk: one lock hold's worth into the stage. */
enum nk_snap_walked {
    NK_SNAP_ON,   /* there may be more */
    NK_SNAP_BUSY, /* the segment is locked by somebody else: nothing was done */
    NK_SNAP_FULL, /* the stage has no room */
    NK_SNAP_END   /* all segments are behind the walk */
};
enum nk_snap_walked nk_snap_walk(struct nk_snap *n);

/* ---- store-wide events -------------------------------------------------------------------------*/

/* nk_snap_switch: the segment's table is about to become `old`. Under its lock. */
void nk_snap_switch(struct nk_seg *s);
/* nk_snap_flush: g holds what the segments held; called before they are used again. Exclusive. */
void nk_snap_flush(struct nk_db *db, struct nk_garbage *g);
/* nk_snap_free_limit: parts of g from this one on must not be freed yet. */
uint32_t nk_snap_free_limit(const struct nk_db *db, const struct nk_garbage *g);
/* nk_snap_close: drops a snapshot that is under way, as nitro_close does with everything. Exclusive. */
void nk_snap_close(struct nk_db *db);

#endif
