/* SPDX-License-Identifier: MIT
 *
 * seg.h - one segment of the store: a table, its arenas, a lock word and counters (L5).
 *
 * WHAT   Look-ups and effects on single keys. A command decides what should happen by looking
 *        (nk_seg_find), describes it as an effect (put, delete, new expiry), reserves the memory for
 *        it (nk_seg_reserve, may fail and then has changed nothing), and applies it (nk_seg_apply,
 *        cannot fail). Between the last two the log, if there is one, appends the effect
 *        (nk_seg_log). An effect is absolute:
 *        INCR is a put of its result, a TTL is a time.
 *
 * THREADS  Everything below "under the lock" needs the segment's lock. Locks of several segments are
 *        taken in ascending index order. Nobody waits for a lock: nk_seg_lock gives up after a
 *        bounded spin, and the caller backs out and reports BUSY.
 *
 * OWNERSHIP  Pointers in an nk_item are borrowed until the segment changes or is unlocked. To use a
 *        large value (item.big) after the unlock, nk_big_retain it under the lock and nk_big_release
 *        it later, without any lock.
 */
#ifndef NK_SEG_H
#define NK_SEG_H

#include "base.h"

struct nk_db;    /* = nitro_store, db.h */
struct nk_seg;   /* opaque here */
struct nk_fetch; /* fetch.h */

/* ---- keys --------------------------------------------------------------------------------------*/

/* A key with everything that can be computed before the lock is taken. `key` is borrowed. */
struct nk_key {
    const uint8_t *p;
    uint32_t n;         /* bytes, <= NITRO_KEY_MAX */
    uint32_t seg;       /* index of its segment */
    uint64_t hash;      /* by the segment's hash function at `epoch` */
    uint32_t epoch : 1; /* the segment's hash epoch when `hash` was computed */
    uint32_t mark : 31; /* bits of the routing hash, which never changes: see nk_db_mark */
    uint32_t over;      /* hint: overflow bucket to look at (nk_key_prefetch_entry), 0 = none */
};

/* nk_key_init: routes and hashes a key and asks for its bucket (a prefetch). Any thread under the shared
 * gate, no lock. */
void nk_key_init(const struct nk_db *db, const void *p, uint32_t n, struct nk_key *out);

/* nk_key_place: the same of a key whose segment is known, for a load: without the bits that nk_db_mark goes by. */
void nk_key_place(const struct nk_seg *s, const void *p, uint32_t n, struct nk_key *out);

/* nk_key_seg: the index of a key's segment alone. */
uint32_t nk_key_seg(const struct nk_db *db, const void *p, uint32_t n);

/* Prefetch passes over a batch of keys, with some other work between them: the bucket, then the entry, then,
 * for a key whose entry is not in its first bucket, the entry in the next one. Hints, safe without the
 * lock under the shared gate. */
void nk_key_prefetch_bucket(const struct nk_db *db, const struct nk_key *k);
void nk_key_prefetch_entry(const struct nk_db *db, struct nk_key *k);
void nk_key_prefetch_over(const struct nk_db *db, const struct nk_key *k);

/* ---- large values ------------------------------------------------------------------------------
 * A value over NK_VALUE_BIG bytes lives in a block of its own, is filled before any lock is taken and
 * sent after it is released. Immutable once published; reference counted. */
#define NK_VALUE_BIG 65535u /* bytes; longer values must come as nk_big */
struct nk_big {
    uint32_t refs; /* atomic */
    uint32_t pad;
    uint64_t bytes;
    uint64_t map_bytes;
    struct nk_big *next; /* in the free queue */
    uint8_t data[];
};
/* nk_big_new: a block with one reference, holding a copy of `bytes` bytes (or uninitialised if p is NULL:
 * fill data[] before publishing it). NULL without memory. No lock. */
struct nk_big *nk_big_new(struct nk_db *db, const void *p, uint64_t bytes);
void nk_big_retain(struct nk_big *b);
/* nk_big_release: drops a reference; the last one queues the block for NITRO_STEP_FREE. Bounded. */
void nk_big_release(struct nk_db *db, struct nk_big *b);

/* The form in which a value is logged. */
struct nk_form {
    const uint8_t *val; /* up to NK_VALUE_BIG bytes, borrowed; … */
    struct nk_big *big; /* … or, if it is not NULL, this, which may hold fewer */
    uint32_t bytes;     /* of val */
    bool packed;        /* it is not the value but its packed form (packed.h) */
};

/* ---- locks -------------------------------------------------------------------------------------*/
struct nk_seg *nk_db_seg(struct nk_db *db, uint32_t index);
/* nk_seg_lock: true when taken; false after a bounded spin (counted as lock_busy). */
bool nk_seg_lock(struct nk_seg *s);
void nk_seg_unlock(struct nk_seg *s);

/* ---- under the lock ----------------------------------------------------------------------------*/

/* What a look-up found. */
struct nk_item {
    bool found;         /* a live (not expired) entry */
    const uint8_t *val; /* the value: inline, or big->data */
    uint64_t bytes;     /* of the value */
    struct nk_big *big; /* NULL if the value is inline */
    uint64_t version;
    int64_t expire_ms; /* 0 = never */
    /* LSN that must be durable before anybody hears of this, a miss included; 0 if all of it is, or without a log */
    uint64_t shown;
    /* The value lies in a data file: val, bytes, big and version are not known (0) until nk_fetch_get has got them. */
    bool away;
    uint64_t loc; /* of its record; 0 where values lie in memory alone */
    /* With loc, and once nk_fetch_get has got the value: what its record holds, for who writes the value anew; of a cached
     * one the value itself */
    struct nk_form stored;
    /* private to seg.c: where the entry (live or expired) is */
    uint64_t stamp;
    uint32_t ref;
    uint32_t slot;
    void *bucket;
};

/* nk_seg_find: fills *it; counts a hit or a miss if `count` is set. Rehashes the key first if the segment
 * has changed its hash (updates k). */
void nk_seg_find(struct nk_seg *s, struct nk_key *k, int64_t now_ms, bool count,
                 struct nk_item *it);

/* nk_seg_uncount: a hit that was counted does not count: the request comes again. */
void nk_seg_uncount(struct nk_seg *s);

enum nk_effect_kind {
    NK_EFFECT_PUT,    /* insert or replace: key, value or big, expire_ms */
    NK_EFFECT_DELETE, /* the item must have been found (or be expired) */
    /* set expire_ms of the found item (0 = remove); later than now. Not where nk_seg_rewrites: then it is a put */
    NK_EFFECT_EXPIRE
};
struct nk_effect {
    enum nk_effect_kind kind;
    const uint8_t *val; /* inline value, <= NK_VALUE_BIG bytes; copied by apply */
    uint32_t bytes;
    struct nk_big *big; /* instead of val; apply takes its own reference */
    int64_t expire_ms;
    bool packed;  /* PUT: val or big is the packed form; only where nk_pack_value has made it one */
    uint32_t crc; /* nk_effect_crc of a large value, computed before the lock; 0 = not done */
    /* PUT: the entry that it comes from goes in the same step, so max_memory is not asked */
    bool moved;
    /* a batch has saved an entry for a snapshot already, so it is not held up (snap.h) */
    bool further;
};

/* nk_effect_crc: sets e->crc, so that a large value's checksum is not computed under the lock. Without a log
 * it does nothing. */
void nk_effect_crc(const struct nk_db *db, const struct nk_key *k, struct nk_effect *e);

/* What the log has given an effect. */
struct nk_logged {
    uint64_t lsn; /* 0 without a log */
    uint64_t loc; /* of its record, where the log is the data (loc.h); else 0 */
};

/* What an effect needs, set aside. */
struct nk_resv {
    uint32_t ref;      /* arena block, 0 = none (in place) */
    uint32_t overflow; /* overflow bucket set aside, 0 = none */
};

/* nk_seg_reserve: sets aside what the effect on (k, it) needs. `it` must come from nk_seg_find in the same
 * lock hold. NITRO_OK, NITRO_ENOMEM, NITRO_EMAXMEMORY (only for effects that grow the store),
 * NITRO_EBUSY (a leaf lock was held: back out and report BUSY). On error nothing has changed. Either way cached values
 * may have gone (cache.h), and what items found before had of them, but not the one that the effect has as `val`. Every success
 * is followed by exactly one nk_seg_apply or nk_seg_abort in the same lock hold. */
NITRO_MUST_CHECK int nk_seg_reserve(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
                                    const struct nk_effect *e, struct nk_resv *r);
/* nk_seg_log: appends the effect to the log, if there is one. NITRO_OK with its place in *at (zeros without a
 * log); NITRO_EBUSY, NITRO_EREADONLY, NITRO_ESHUTDOWN, NITRO_ELOGFULL (there may be room after a fill: look
 * at the log's status): nothing was appended. The caller applies the effect in the same lock hold. */
NITRO_MUST_CHECK int nk_seg_log(struct nk_seg *s, const struct nk_key *k, const struct nk_effect *e,
                                struct nk_logged *at);
/* nk_seg_apply: makes the effect, with the memory of *r (r is spent). Cannot fail. Several reservations may
 * be applied one after the other in one lock hold, in the order in which they were made; an item that an
 * earlier apply has made stale is looked up again. NK_EFFECT_EXPIRE may not follow a put of the same key
 * in one hold: its block was measured before. `at` is that of nk_seg_log. Returns the new version of the
 * entry (for DELETE: the version of the delete): the LSN if there is a log. */
uint64_t nk_seg_apply(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
                      const struct nk_effect *e, struct nk_resv *r, int64_t now_ms,
                      struct nk_logged at);
/* nk_seg_abort: gives a reservation back. */
void nk_seg_abort(struct nk_seg *s, struct nk_resv *r);

/* nk_seg_rewrites: in this store a new expiry is a put of the value that is there. No lock. */
bool nk_seg_rewrites(const struct nk_db *db);

/* nk_seg_put: reserve + log + apply for the common case of one key. */
NITRO_MUST_CHECK int nk_seg_put(struct nk_seg *s, struct nk_key *k, const struct nk_item *it,
                                const struct nk_effect *e, int64_t now_ms, uint64_t *version);

/* nk_seg_add: an entry for a key that has none, and that does not expire, where values lie in data files: what a load does for nearly
 * all keys. The accounts of the file (nk_files_live) and of memory (nk_seg_report) are the caller's. NITRO_OK, NITRO_ENOTSTORED: it has an
 * entry; NITRO_ENOMEM, NITRO_EBUSY as nk_seg_reserve. */
NITRO_MUST_CHECK int nk_seg_add(struct nk_seg *s, struct nk_key *k, uint64_t loc);

/* nk_seg_usage: bytes that a found item occupies, header, index share and padding included. */
uint64_t nk_seg_usage(struct nk_seg *s, const struct nk_item *it);

/* ---- whole store, locks inside -----------------------------------------------------------------*/

/* nk_db_scan: visits buckets from *cursor on until `count` entries were passed to fn or a bounded number
 * of buckets was visited, and moves *cursor (0 at the end). fn runs under the segment's lock and must
 * only copy; a bucket is never split over two calls, so a call may pass up to one chain (about 44
 * entries, more under attack) beyond count. NITRO_OK, or NITRO_EBUSY with nothing visited. No entry is passed
 * twice, with one exception: a cursor of another hash epoch restarts its segment, and then sets *again
 * (unless NULL): what was passed of it before this call is passed again, from now on. */
struct nk_scan_entry {
    const uint8_t *key;
    uint32_t key_bytes;
    uint32_t seg; /* of the key */
    uint64_t bytes;
    uint64_t version; /* 0, and bytes too, if the value lies in a data file */
    int64_t expire_ms;
};
typedef void nk_scan_fn(void *ctx, const struct nk_scan_entry *e);
NITRO_MUST_CHECK int nk_db_scan(struct nk_db *db, int64_t now_ms, uint64_t *cursor, uint32_t count,
                                nk_scan_fn *fn, void *ctx, uint64_t *shown, bool *again);
/* nk_db_scan_anywhere: a cursor at some place, each key's segment as likely as its number of keys. */
uint64_t nk_db_scan_anywhere(struct nk_db *db);
/* nk_db_draw: the next of a sequence of numbers that looks random from outside: it starts from the store's
 * seed. Any thread. */
uint64_t nk_db_draw(struct nk_db *db);
/* nk_db_keys: how many there are; *shown as in struct nk_item. nk_db_scan raises its *shown. */
uint64_t nk_db_keys(struct nk_db *db, uint64_t *shown);

/* ---- the log, as the front end sees it ---------------------------------------------------------*/
bool nk_db_has_log(const struct nk_db *db);
/* nk_db_loading: recovery is not over; only what needs no data may run. */
bool nk_db_loading(const struct nk_db *db);
/* nk_db_view: never NULL. */
const struct nitro_log_view *nk_db_view(const struct nk_db *db);
/* nk_db_log_need: log bytes that a put or a delete of that size may take. */
uint64_t nk_db_log_need(uint64_t key_bytes, uint64_t value_bytes);

/* ---- several keys in one step (batch.c) --------------------------------------------------------*/

/* One key of a request that writes several. */
struct nk_multi {
    struct nk_key key;
    const uint8_t *val;
    struct nk_big *big; /* owned by the request */
    uint32_t val_len;
    bool reserved; /* resv holds something to be applied or aborted */
    bool remove;   /* delete instead of put */
    bool moved;    /* see struct nk_effect */
    bool packed;   /* likewise */
    struct nk_resv resv;
};
_Static_assert(sizeof(struct nk_multi) == 64, "a million of these make 64 MiB");

/* A batch: all its keys are written, or none. */
struct nk_batch {
    struct nk_multi *m;
    uint32_t count;
    int64_t expire_ms;           /* of every put, unless `expiries` */
    const int64_t *expiries;     /* of each, or NULL */
    bool only_new;               /* nothing happens if one of the keys exists: NITRO_ENOTSTORED */
    const struct nk_big *crc_of; /* a value whose record has the body CRC `crc`, or NULL */
    uint32_t crc;
    uint32_t *segs;     /* room for min(count, number of segments) + 1 */
    uint64_t *map;      /* NITRO_SEGMENTS_MAX / 64 words; needed beyond NK_BATCH_SHORT keys */
    uint32_t found;     /* out: keys that were there */
    uint64_t last_lsn;  /* out: of the batch; 0 without a log or without effect */
    uint64_t shown;     /* out: what `found` shows */
    uint64_t log_bytes; /* out, with NITRO_ELOGFULL: what it needs */
};
#define NK_BATCH_SHORT 32u
/* nk_db_batch: NITRO_OK, NITRO_EBUSY, NITRO_ENOMEM, NITRO_EMAXMEMORY, NITRO_ENOTSTORED, and the codes of
 * nk_seg_log. A key that is deleted and not there has no effect. Of repeated keys the last one wins. */
NITRO_MUST_CHECK int nk_db_batch(struct nk_db *db, struct nk_batch *b, int64_t now_ms);

/* A key that gets the value and the expiry of another, which may go. */
struct nk_move {
    struct nk_key *from, *to;
    bool keep;              /* `from` stays: a copy */
    bool only_new;          /* NITRO_ENOTSTORED if `to` exists */
    struct nk_fetch *fetch; /* gets the value of `from`, where it is away */
    uint64_t last_lsn;      /* out: 0 without a log or without effect */
    uint64_t shown;         /* out: what the result shows */
    uint64_t log_bytes;     /* out, with NITRO_ELOGFULL: what it needs */
};
/* nk_db_move: as a batch, in one step. NITRO_ENOTFOUND if `from` does not exist; a key that is moved to itself
 * stays as it is. A large value is shared, not copied. NITRO_AWAY: nk_fetch_run, then call again. */
NITRO_MUST_CHECK int nk_db_move(struct nk_db *db, struct nk_move *mv, int64_t now_ms);

/* Memory through the store's allocator table, counted. */
void *nk_db_alloc(struct nk_db *db, size_t bytes);
void *nk_db_resize(struct nk_db *db, void *p, size_t old_bytes, size_t bytes);
void nk_db_free(struct nk_db *db, void *p, size_t bytes);
/* nk_db_count_chunk: adds to chunk_bytes (buffers of chunks and sessions, allocated with nk_db_alloc). */
void nk_db_count_chunk(struct nk_db *db, int64_t delta);
/* nk_db_limits */
uint32_t nk_db_max_value(const struct nk_db *db);
uint32_t nk_db_max_args(const struct nk_db *db);
/* nk_db_room: false if `bytes` more would pass max_memory. */
bool nk_db_room(const struct nk_db *db, uint64_t bytes);

#endif
