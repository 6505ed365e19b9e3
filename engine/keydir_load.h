/* SPDX-License-Identifier: MIT
 *
 * keydir_load.h - one part of a load, as its two sources have it: hints (keydir_hint.c) and files (keydir_load.c) (L5).
 */
#ifndef NK_KEYDIR_LOAD_H
#define NK_KEYDIR_LOAD_H

#include "db.h"
#include "recover.h"

#define NK_LOADING_TELL (1u << 20) /* bytes between two words to the host */

struct nk_loading {
    struct nk_db *db;
    struct nk_log *l;
    uint32_t number, of;
    uint64_t durable; /* what is above it is not counted where it is */
    uint64_t buckets; /* that each segment's table will need, as far as CONTROL knows */
    struct nitro_err *err;
    const struct nk_piece *piece;
    struct {
        uint64_t put_bytes, gone_bytes, gone_lsn, end;
    } sum;         /* of the piece, whoever its records belong to */
    uint64_t told; /* bytes of this source that the host knows of */
    uint64_t read; /* of all sources */
};

/* nk_loading_begin: a source of the piece is read from its begin. */
void nk_loading_begin(struct nk_loading *p);
/* nk_loading_count: so does a record add to the sums. */
void nk_loading_count(struct nk_loading *p, enum nk_rec_kind kind, uint64_t lsn, uint64_t offset,
                      uint64_t bytes);
/* nk_loading_tell: tells the host that the source has been read up to `at`. */
void nk_loading_tell(struct nk_loading *p, uint64_t at);

/* The hints of a part. nk_hintload_open: NULL without memory. */
struct nk_hintload;
struct nk_hintload *nk_hintload_open(struct nk_loading *p);
void nk_hintload_close(struct nk_hintload **h);
/* nk_hintload_size: bytes of the hint of p->piece, 0 if there is none that could be used. NITRO_OK, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_hintload_size(struct nk_hintload *h, uint64_t *bytes);
/* nk_hintload_read: loads p->piece from its hint. *used: it had all of it; else the file has to be read. NITRO_OK, NITRO_ENOMEM with
 * *err filled. */
NITRO_MUST_CHECK int nk_hintload_read(struct nk_hintload *h, bool *used);

#endif
