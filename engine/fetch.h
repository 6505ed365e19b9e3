/* SPDX-License-Identifier: MIT
 *
 * fetch.h - values that lie in data files: reading their records outside of the locks (L5).
 *
 * WHAT   Who needs the value of an item asks nk_fetch_get under the segment's lock. Either it is there (it always is where
 *        values lie in memory), or it answers NITRO_AWAY: the record has been noted and its file pinned; the
 *        caller gives up its locks, calls nk_fetch_run, and looks the key up again. A record is told by its location, and
 *        does not change; so if the item that is found then has the same location, the value that was read is its value.
 *        Who knows what it will need next notes that too, before it runs: nk_fetch_want.
 *
 * THREADS  One at a time for each struct nk_fetch. run, drop: no lock, no gate needed.
 * OWNERSHIP  Values are borrowed until the next round is begun (by a NITRO_AWAY or a want) or dropped.
 */
#ifndef NK_FETCH_H
#define NK_FETCH_H

#include "seg.h"

#define NK_FETCH_ITEMS 64u          /* records of one round … */
#define NK_FETCH_BYTES (1u << 20)   /* … and their bytes; one record is always taken */
#define NK_FETCH_KEEP (256u * 1024) /* memory that is kept from one round to the next */
#define NK_FETCH_TRIES 4u           /* rounds for one request before it reads under the lock */

/* A record that has been, or will be, read. */
struct nk_fetched {
    uint64_t loc;
    const uint8_t *key; /* borrowed: to be compared with the record's */
    uint32_t key_bytes;
    int code; /* NITRO_OK, or why there is no value; NITRO_AWAY: it has not been read yet */
    uint64_t version;
    int64_t expire_ms;
    uint32_t bytes;      /* of the value as its record has it, which lies … */
    struct nk_big *big;  /* … in this alone (reference held), if it is not NULL; … */
    struct nk_big *hold; /* … else in this (reference held), if it is not NULL, … */
    uint64_t at;         /* … or in the fetch's memory, from this offset on */
    /* it is packed; with code NITRO_AWAY: and has to be unpacked. The value itself … */
    bool packed;
    uint32_t raw_bytes;     /* … then has so many bytes, and lies … */
    struct nk_big *raw_big; /* … in this alone (reference held), if it is not NULL; … */
    uint64_t raw_at;        /* … else in the fetch's memory, from this offset on */
    /* code NITRO_AWAY, not packed: the record lies in `hold`, so long, and is to be copied from there */
    uint64_t held_bytes;
};

/* All zeros: empty. */
struct nk_fetch {
    struct nk_fetched *item; /* NK_FETCH_ITEMS of them, or NULL */
    uint32_t count;
    bool ran;       /* the round is over: what is noted next begins another one */
    bool poor;      /* there was no memory for it */
    uint32_t tries; /* rounds of the request that goes on; its owner sets it to 0 */
    uint32_t first; /* the item that was asked for last; as a rule those before it have been used */
    uint64_t want;  /* bytes of memory that the round, or a record that is not written yet, needs */
    uint64_t noted; /* bytes of all records that are noted, large ones, too */
    uint8_t *mem;
    size_t cap, used;
};

/* nk_fetch_get: the value of a found item, under the lock of its segment: fills val, bytes, big and version. NITRO_OK;
 * NITRO_AWAY: see above; NITRO_EBUSY; NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM, NITRO_EMAXMEMORY: there is none. */
NITRO_MUST_CHECK int nk_fetch_get(struct nk_fetch *f, struct nk_seg *s, const struct nk_key *k,
                                  struct nk_item *it);
/* nk_fetch_want: notes the record of an item, under the lock, if it is away, is not among the fetched, and there is room.
 * False: the round is full. */
bool nk_fetch_want(struct nk_fetch *f, struct nk_seg *s, const struct nk_key *k,
                   const struct nk_item *it);
/* nk_fetch_run: reads what was noted, in the order of the files, and unpacks it. */
void nk_fetch_run(struct nk_fetch *f, struct nk_db *db);
/* nk_fetch_drop: lets go of everything but a little memory. nk_fetch_free: of that, too. */
void nk_fetch_drop(struct nk_fetch *f, struct nk_db *db);
void nk_fetch_free(struct nk_fetch *f, struct nk_db *db);

/* nk_fetch_hold: the file of an item that is away stays until nk_fetch_one has been called with its location. False: the record
 * is not written yet, so that there is nothing to be read. Under the lock. */
bool nk_fetch_hold(struct nk_db *db, const struct nk_item *it);
/* nk_fetch_one: reads one record, copies up to cap bytes of its value to buf (of one that is packed all, or nothing if
 * there is too little room), and says what it is in *it (bytes, version, expire_ms). The codes of a fetched record. */
NITRO_MUST_CHECK int nk_fetch_one(struct nk_db *db, uint64_t loc, const void *key, size_t key_bytes,
                                  void *buf, size_t cap, struct nk_item *it);

#endif
