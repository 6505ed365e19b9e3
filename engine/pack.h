/* SPDX-License-Identifier: MIT
 *
 * pack.h - compressing values before they are logged, and the way back (L5).
 *
 * WHAT     Where values lie in the log, it may hold them packed (packed.h). Whoever has a value that is to be written asks
 *          nk_pack_value before he takes any lock: it answers in which form the value goes into the log. From then on
 *          nobody but a reader cares: a packed form is bytes like any others.
 *          What is made under a lock (INCR, APPEND, SETRANGE) is stored as it is, since compressing takes time.
 *
 * THREADS  All functions: any thread, no segment's lock, no log's lock.
 * OWNERSHIP  Forms of up to NK_VALUE_BIG bytes lie in a struct nk_pack of the caller until nk_pack_drop, or are the caller's
 *          own bytes.
 */
#ifndef NK_PACK_H
#define NK_PACK_H

#include "packed.h"
#include "seg.h"

/* Shorter values are not worth the time, and most would not get shorter. */
#define NK_PACK_MIN 64u
/* Longer values would keep a chunk, and who waits behind it, for a tenth of a second and more. */
#define NK_PACK_MAX (16u << 20)
/* nk_pack_limit: a form may have so many bytes, or it does not pay: seven eighths of the value. */
NK_INLINE uint64_t nk_pack_limit(uint64_t n) { return n - n / 8; }

/* Memory of packed forms. All zeros: none. */
struct nk_pack_block;
struct nk_pack {
    struct nk_pack_block *blocks;
    uint8_t *at; /* what is left of the newest block */
    size_t left;
};

/* nk_pack_on: whether the store packs values. */
bool nk_pack_on(const struct nk_db *db);
/* nk_pack_value: the form in which n bytes at p are logged: packed, if the store packs values, m is not NULL, and it pays;
 * else as they are, copied to a block of their own if they are large (*out has the reference). NITRO_OK;
 * NITRO_EMAXMEMORY, NITRO_ENOMEM: there is no such block. Without memory for packing the value stays as it is. */
NITRO_MUST_CHECK int nk_pack_value(struct nk_db *db, struct nk_pack *m, const uint8_t *p,
                                   uint64_t n, struct nk_form *out);
/* nk_pack_drop: frees what forms lie in. */
void nk_pack_drop(struct nk_db *db, struct nk_pack *m);

/* nk_unpack: the value, of from->raw_bytes, to out. NITRO_OK; NITRO_ECORRUPT: it is not what the head says;
 * NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_unpack(struct nk_db *db, const struct nk_packed *from, uint8_t *out);

/* nk_packing_close: frees the contexts; nobody packs any more. */
void nk_packing_close(struct nk_db *db);

#endif
