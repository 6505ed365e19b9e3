/* SPDX-License-Identifier: MIT
 *
 * session.h - what a connection carries from one chunk to the next: half-sent binary requests (L6).
 *
 * THREADS    One thread at a time per session.
 * OWNERSHIP  Bodies belong to the session until nk_half_take moves them to the caller.
 */
#ifndef NK_SESSION_H
#define NK_SESSION_H

#include "req.h"

#define NK_HALVES 16u /* half-sent requests of one connection */

/* The first frame of a request: header and blocks. */
struct nk_head {
    uint8_t opcode;
    uint8_t flags;
    uint16_t id;
    uint64_t version;
    int64_t expiry; /* as sent */
};

struct nk_half {
    bool used;
    struct nk_head head;
    struct nk_loan *body; /* NULL while nothing has arrived */
    size_t body_bytes;    /* of it that are filled */
};

/* nk_half_find: the half-sent request with this id, or NULL. */
struct nk_half *nk_half_find(nitro_session *ss, uint16_t id);
/* nk_half_begin: a new one in *out. NITRO_OK, NITRO_ELIMIT (16 are there), NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_half_begin(struct nk_db *db, nitro_session *ss, const struct nk_head *head,
                                   struct nk_half **out);
/* nk_half_append: copies a piece of the body. NITRO_OK, NITRO_EVALUESIZE, NITRO_ENOMEM,
 * NITRO_EMAXMEMORY; the request is unchanged then. */
NITRO_MUST_CHECK int nk_half_append(struct nk_db *db, struct nk_half *h, const uint8_t *p,
                                    size_t n);
/* nk_half_take: ends the half-sent request and moves its body to the caller (NULL if it is empty),
 * who counts it as chunk bytes from now on, as it has been so far. */
struct nk_loan *nk_half_take(struct nk_db *db, nitro_session *ss, struct nk_half *h);

#endif
