/* SPDX-License-Identifier: MIT
 *
 * db.h - the store as a whole, and the inside of a segment (L5). Shared by the files that implement seg.h;
 * the front end sees seg.h only.
 *
 * LOCK ORDER  gate (host) → segments, ascending → leaf locks (log, pool, big-value queue), never two leaves.
 */
#ifndef NK_DB_H
#define NK_DB_H

#include "arena.h"
#include "files.h"
#include "hash.h"
#include "log.h"
#include "seg.h"
#include "table.h"

/* Counters are written under the segment's lock and read without it: relaxed atomics, plain in machine code. */
#define NK_ADD(counter, n) __atomic_store_n(&(counter), (counter) + (uint64_t)(n), __ATOMIC_RELAXED)
#define NK_SUB(counter, n) __atomic_store_n(&(counter), (counter) - (uint64_t)(n), __ATOMIC_RELAXED)
#define NK_GET(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

/* The hash epoch of a segment: which function its table uses. It changes once at most. */
enum { NK_EPOCH_FNV = 0, NK_EPOCH_SIP = 1 };

/* Bounds on the work under one lock hold, asserted in test builds: of one effect, and of one piece of a step.
 * An effect splits or merges one bucket; a piece of a step visits 16 chains or moves 64 entries. Bytes are
 * those cleared or copied beside the entry itself: a page of buckets, a directory that doubles (24 bytes
 * per 576 keys of the segment; the bound is that of a segment of 25M), entries moved out of a sparse span. While a segment changes its hash, each
 * moved entry may split a bucket of the new table. */
#define NK_BOUND_EFFECT_BUCKETS 4u
#define NK_BOUND_EFFECT_ENTRIES (2u * NK_CHAIN_ATTACK)
#define NK_BOUND_STEP_BUCKETS 32u
#define NK_BOUND_STEP_ENTRIES (NK_DUE_BUCKETS * NK_CHAIN_ATTACK)
#define NK_BOUND_DRAIN_BUCKETS (2u * NK_DRAIN_STEP_ENTRIES)
#define NK_BOUND_DRAIN_ENTRIES (NK_DRAIN_STEP_ENTRIES * (NK_CHAIN_ATTACK + 1u))
#define NK_BOUND_BYTES (1024u * 1024)
/* Entries that one step moves, and one write, while a segment changes its hash. */
#define NK_DRAIN_STEP_ENTRIES 64u
#define NK_DRAIN_ENTRIES 32u

/* Ordered by use: a look-up touches the first two cache lines, an overwrite in place `write` as well. */
struct nk_seg {
    uint32_t lock;  /* 1 = held */
    uint32_t epoch; /* of `tab`; read without the lock */
    uint32_t index;
    bool draining; /* `old` still has entries or pages */
    uint64_t hits, misses;
    struct nk_table tab;
    struct nk_arena arena;

    struct nk_db *db NK_ALIGNED(NK_CACHE_LINE);
    uint64_t stamp;        /* changes whenever a slot may have moved */
    uint64_t next_version; /* times the number of segments, plus index */
    uint64_t snap_cut; /* snap.h: versions up to this are owed to the snapshot; 0 = nothing is */
    uint64_t snap_reserved; /* bytes of its side buffer set aside in this lock hold */
    uint64_t writes, key_bytes, value_bytes;
    uint64_t last_lsn;   /* of its newest effect; 0 without a log */
    uint32_t pending;    /* reservations not yet applied or aborted */
    struct nk_work work; /* of the current call */

    struct nk_over over; /* overflow buckets of both tables */
    struct nk_table old; /* being emptied after a switch of the hash */
    uint32_t drain_at;   /* bucket of `old` to empty next, counting down */
    struct nk_sip_key sip;
    uint64_t reported_bytes; /* what db->used_bytes knows of this segment */
    uint64_t bigs;           /* entries whose value is a struct nk_big */
    uint64_t expired, deletes, with_expiry, splits, merges, switches, busy, evacuated;
    uint64_t max_buckets, max_entries, max_bytes;
    uint64_t snap_pos, snap_fnv_pos; /* places before these are behind the snapshot's walk */
    struct {
        uint64_t values, bytes;           /* in its entries: tails, see store.h */
        uint64_t hits, misses, evictions; /* since the store was opened */
        uint32_t hand;                    /* bucket of `tab` that the clock comes to next */
    } cache;                              /* cache.h */
} NK_ALIGNED(128);

/* For each slot the newest LSN by which a key in it may have gone: deleted, or expired after a write of that
 * LSN. A miss shows it (docs/design/0003, 6). */
#define NK_MARKS 4096u
NK_INLINE uint64_t *nk_mark_slot(uint64_t *marks, uint32_t mark) {
    return &marks[mark & (NK_MARKS - 1)];
}
/* nk_db_mark: a key with these bits has gone by `lsn`. */
void nk_db_mark(struct nk_db *db, uint32_t mark, uint64_t lsn);

/* How far a snapshot's walk has got in a table (snap.h). */
struct nk_snap_pos {
    uint32_t epoch;        /* of the table's hash */
    uint64_t pos, fnv_pos; /* places; fnv_pos: by FNV-1a, before the segment changed its hash */
};

/* What FLUSHALL took out of the segments, freed piece by piece. */
struct nk_garbage {
    struct nk_garbage *next;
    uint32_t count, at; /* segments, and the one being freed */
    uint32_t span;      /* next span of it */
    struct {
        struct nk_table tab, old;
        struct nk_over over;
        struct nk_arena arena;
        uint64_t bigs;
        uint64_t snap_cut; /* as they were in the segment */
        struct nk_snap_pos snap_at;
    } part[];
};

struct nk_db {
    struct nk_seg *seg;
    uint32_t segments, seg_mask;
    uint64_t fnv_seed, route_point;
    const struct nitro_mem *mem;
    struct nk_pool pool;
    uint32_t max_value, max_args;
    struct nk_log *log;    /* NULL = nothing is logged */
    struct nk_log *folder; /* the same, also with --wal off; NULL = there is no folder */
    struct nk_files
        *files; /* the table of data files, where the log is the data; else NULL. See store.h */
    bool wal_off;
    uint64_t *marks;    /* NK_MARKS; with a log: see nk_db_mark */
    uint64_t draws;     /* atomic: see nk_db_draw */
    uint64_t flush_lsn; /* of the newest FLUSH */
    bool loading;
    uint64_t replayed_bytes, replay_bytes; /* atomic: of snapshot and log, read and to be read */
    /* hears of these (restore.c); or NULL */
    void (*told)(void *ctx, uint64_t done, uint64_t total);
    void *told_ctx;
    struct {
        uint64_t keys, hash_a, hash_b; /* atomic: of the snapshot, over the parts that are loaded */
        uint32_t parts;                /* atomic: so many */
        bool done;                     /* atomic: all of them, and they are what the footer says */
    } loaded;

    uint64_t max_memory NK_ALIGNED(NK_CACHE_LINE);  /* atomic; 0 = no limit */
    uint64_t used_bytes;                            /* atomic: what max_memory is compared with */
    uint64_t chunk_bytes, big_bytes, garbage_bytes; /* atomic */
    uint64_t cached_bytes;                          /* atomic: of all segments */
    uint64_t cache_bytes;                           /* their limit; 0 = nothing is cached */

    struct nk_big *big_free; /* atomic stack of released large values */
    struct nk_big *big_now;  /* being unmapped piece by piece; under big_lock */
    struct nk_spin big_lock;
    struct nk_spin garbage_lock;
    struct nk_garbage *garbage;        /* under garbage_lock */
    uint32_t expire_seg, expire_group; /* where the EXPIRE step is */
    uint32_t reclaim_seg;              /* where the RECLAIM step is */
    uint32_t cache_seg;                /* and where it evicts cached values */

    struct nk_snap *snap;             /* being taken, or NULL; segments with a cut may use it */
    uint32_t snap_seg;                /* atomic: the segment that its walk is in */
    struct nk_garbage *snap_garbage;  /* atomic: what it walks instead of the segments, or NULL */
    uint64_t snap_emitted, snap_busy; /* under the side buffer's lock */
    uint64_t snap_keys, snap_bytes;   /* atomic: progress */
    uint64_t snap_buffers;            /* atomic: bytes */

    struct {
        enum nitro_compression how; /* values are packed by; NONE = they are not */
        struct nk_spin lock;        /* guards the two below */
        uint32_t idle_count;
        struct nk_codec *idle;                    /* contexts that wait; see pack.c */
        uint64_t values, raw_bytes, stored_bytes; /* atomic */
    } packing;
    struct nk_merge *merge; /* what nitro_merge_step is at, or NULL */
    struct {
        uint64_t hints_loaded, hints_rebuilt;
    } data_start; /* what the start has found of hints */
};

struct nitro_store {
    struct nk_db db;
};

/* ---- seg.c -------------------------------------------------------------------------------------*/
void nk_seg_init(struct nk_seg *s, struct nk_db *db, uint32_t index, const struct nk_sip_key *base);
/* nk_seg_work_done: ends a bounded piece of work: keeps the maxima, asserts the bounds of a piece of a step.
 * Under the lock. */
void nk_seg_work_done(struct nk_seg *s);
/* nk_seg_report: tells db->used_bytes about this segment's growth, if it is worth it. Under the lock.
 * nk_seg_report_all: every byte of it. */
void nk_seg_report(struct nk_seg *s);
void nk_seg_report_all(struct nk_seg *s);
/* nk_seg_locate: where the key's entry is, live or expired; it->ref = 0 if nowhere. Under the lock. */
void nk_seg_locate(struct nk_seg *s, struct nk_key *k, struct nk_item *it);
/* nk_seg_remove: removes the entry that was located in this lock hold; nobody is told. */
void nk_seg_remove(struct nk_seg *s, const struct nk_key *k, const struct nk_item *it);
/* nk_seg_drop: removes the (expired) entry in a slot of the current table. Under the lock. False: not now,
 * because a snapshot has no room to save it. */
bool nk_seg_drop(struct nk_seg *s, uint64_t hash, const struct nk_slot *at);
/* nk_seg_clear: removes everything of one segment, at once (for replay). */
void nk_seg_clear(struct nk_seg *s);
uint64_t nk_seg_live_bytes(const struct nk_seg *s);

/* nk_seg_key_hash: by the segment's function of an epoch. */
uint64_t nk_seg_key_hash(const struct nk_seg *s, uint32_t epoch, const uint8_t *p, uint32_t n);
/* Hash of the key of an entry, by the current function or by the one before the switch. */
uint64_t nk_seg_entry_hash(void *seg, uint32_t ref);
uint64_t nk_seg_entry_hash_old(void *seg, uint32_t ref);
void nk_seg_entry_warm(void *seg, uint32_t ref);

/* ---- switch.c ----------------------------------------------------------------------------------*/
/* nk_switch_begin: the segment's table becomes `old`, a new one with SipHash takes its place. False without
 * memory: nothing changed. */
bool nk_switch_begin(struct nk_seg *s);
/* nk_switch_drain: moves up to `entries` entries, gives pages back; clears `draining` at the end. Returns
 * what it moved. Under the lock. */
uint32_t nk_switch_drain(struct nk_seg *s, uint32_t entries);

/* ---- big.c -------------------------------------------------------------------------------------*/
/* nk_big_free_step: unmaps up to `pieces` pieces of 64 KiB of released large values. */
uint32_t nk_big_free_step(struct nk_db *db, uint32_t pieces, bool *more);

/* ---- flush.c -----------------------------------------------------------------------------------*/
uint32_t nk_garbage_step(struct nk_db *db, uint32_t pieces, bool *more);
void nk_garbage_free_all(struct nk_db *db);
/* nk_seg_free_all: everything of one segment, at once and without allocating (for close). */
void nk_seg_free_all(struct nk_seg *s);

NK_INLINE void nk_db_used_add(struct nk_db *db, int64_t delta) {
    __atomic_fetch_add(&db->used_bytes, (uint64_t)delta, __ATOMIC_RELAXED);
}

#endif
