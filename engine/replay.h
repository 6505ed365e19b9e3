/* SPDX-License-Identifier: MIT
 *
 * replay.h - loading a store: first the snapshot, then what the log says since then (L5).
 *
 * THREADS  Parts run side by side, each on a thread; those of the log after all of those of the snapshot. Nobody
 *          else changes the store meanwhile; statistics may be read.
 */
#ifndef NK_REPLAY_H
#define NK_REPLAY_H

#include "db.h"

#define NK_REPLAY_GROUP                                                                            \
    32u /* records whose places in memory are asked for before the first is used */

/* nk_load_part, nk_replay_part: NITRO_OK, NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM with *err filled. */
NITRO_MUST_CHECK int nk_load_part(struct nk_db *db, uint32_t part, uint32_t parts,
                                  struct nitro_err *err);
NITRO_MUST_CHECK int nk_replay_part(struct nk_db *db, uint32_t part, uint32_t parts,
                                    struct nitro_err *err);
/* nk_load_done: every part of the snapshot has been loaded, or there is none. */
bool nk_load_done(const struct nk_db *db);

/* nk_replay_lock: a segment, locked; nk_seg_unlock ends it. */
struct nk_seg *nk_replay_lock(struct nk_db *db, uint32_t seg);
/* nk_replay_put: makes an effect with this version, under the lock. Nothing expires meanwhile: a later record may
 * give an entry a new time. NITRO_ENOTSTORED: `fresh`, and the key is there already; NITRO_ENOMEM,
 * NITRO_EMAXMEMORY. */
NITRO_MUST_CHECK int nk_replay_put(struct nk_seg *s, struct nk_key *k, const struct nk_effect *e,
                                   uint64_t version, bool fresh);
/* nk_replay_clear: a FLUSH of this LSN, for the segments of one part. */
void nk_replay_clear(struct nk_db *db, uint32_t part, uint32_t parts, uint64_t lsn);
/* nk_replay_widen: gives a table the buckets that it will need while there are few entries that have to move for it: some
 * for each entry that comes. nk_replay_buckets: what a segment needs for its share of so many keys. */
void nk_replay_widen(struct nk_seg *s, uint64_t buckets);
NK_INLINE uint64_t nk_replay_buckets(const struct nk_db *db, uint64_t keys) {
    return keys / db->segments / NK_LOAD_SPLIT;
}
/* nk_replay_failed: fills *err for a put that failed; returns the code. */
int nk_replay_failed(struct nk_db *db, int rc, struct nitro_err *err);
/* nk_replay_tell: a part of `of` has read so many bytes more. */
NK_INLINE void nk_replay_tell(struct nk_db *db, uint64_t bytes, uint32_t of) {
    uint64_t done = __atomic_add_fetch(&db->replayed_bytes, bytes / of, __ATOMIC_RELAXED);
    if (NK_UNLIKELY(db->told != NULL)) db->told(db->told_ctx, done, NK_GET(db->replay_bytes));
}

#endif
