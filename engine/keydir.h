/* SPDX-License-Identifier: MIT
 *
 * keydir.h - entries whose values lie in data files: what recovery and merges do with them (L5).
 *
 * The keydir of a Bitcask (Sheehy and Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value Data", 2010) is the
 * same table and the same arenas as in memory mode; see store.h for what an entry holds. It has no version: the
 * record has it. Two records of one key are told apart by their locations.
 *
 * THREADS  All under the segment's lock.
 */
#ifndef NK_KEYDIR_H
#define NK_KEYDIR_H

#include "db.h"

/* nk_keydir_find: where the record of the key lies that its entry, live or expired, refers to; 0 if it has no entry.
 * *expire_ms is its expiry, 0 = never. */
uint64_t nk_keydir_find(struct nk_seg *s, struct nk_key *k, int64_t *expire_ms);
/* nk_keydir_move: the entry, which nk_keydir_find has found in this lock hold, refers to a copy of its record from now
 * on. */
void nk_keydir_move(struct nk_seg *s, struct nk_key *k, uint64_t loc);
/* nk_keydir_expire: drops the entry, which nk_keydir_find has found in this lock hold, and which has expired. */
void nk_keydir_expire(struct nk_seg *s, struct nk_key *k);

/* Recovery: effects in the order of their LSNs. Nothing expires meanwhile.
 * nk_keydir_load: a put of the key lies at loc. *live grows by what is not yet in the live bytes of its file: all parts of a
 * load count in the same few words, so they do it for many records at once; nk_seg_report is left to the caller as well. NITRO_OK,
 * NITRO_ENOMEM. nk_keydir_unload: the key has been deleted. */
NITRO_MUST_CHECK int nk_keydir_load(struct nk_seg *s, struct nk_key *k, uint64_t loc,
                                    int64_t expire_ms, uint64_t *live);
void nk_keydir_unload(struct nk_seg *s, struct nk_key *k);

/* keydir_load.c: instead of nk_load_part and nk_replay_part, where the log is the data: each part loads its segments from
 * hints, or from the files. NITRO_OK, NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM with *err filled. */
NITRO_MUST_CHECK int nk_keydir_load_part(struct nk_db *db, uint32_t part, uint32_t parts,
                                         struct nitro_err *err);
/* nk_keydir_load_tail: after nk_recover_finish: entries of the tail refer to its new place. One thread. The same codes. */
NITRO_MUST_CHECK int nk_keydir_load_tail(struct nk_db *db, struct nitro_err *err);
/* nk_keydir_hint_fits: whether a valid hint header is about the piece as it is: number, salt, size, and the last LSN that
 * counts. `store`: id of the store. */
struct nk_hint_head;
bool nk_keydir_hint_fits(const struct nk_hint_head *h, const struct nk_piece *f,
                         const uint8_t store[16]);

#endif
