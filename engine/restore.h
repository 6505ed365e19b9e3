/* SPDX-License-Identifier: MIT
 *
 * restore.h - what the parts of restoring share: a snapshot file that is read, and a folder that is made (L5).
 *
 * WHAT   struct nk_origin is a snapshot file, wherever it lies: restored from, or verified. struct nk_target is
 *        a new data folder, into which records are put; it holds a store only when nk_target_finish has
 *        got through.
 * THREADS  One each.
 */
#ifndef NK_RESTORE_H
#define NK_RESTORE_H

#include "err.h"
#include "hash.h"
#include "log.h"
#include "mem.h"
#include "snapfile.h"

/* ---- what a restore begins with (restore_origin.c) ---------------------------------------------*/

/* nk_origin_served: NITRO_OK, or NITRO_EUNSUPPORTED with *err filled if the opened folder is none that can be restored. */
NITRO_MUST_CHECK int nk_origin_served(const char *from, const struct nk_log *l,
                                      struct nitro_err *err);

/* A snapshot file. */

struct nk_origin {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    const char *did, *path; /* borrowed; `did` begins the texts of errors: "verify", "restore" */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* may be NULL */
    void *ctx;
    int dirfd, fd;
    uint64_t size, told;
    struct nk_snapread file;
    uint8_t *value; /* of the large record that was read last */
    size_t value_cap;
};
/* nk_origin_open: o has been filled up to ctx. NITRO_OK, NITRO_ENOTFOUND (no such file), NITRO_EFORMAT,
 * NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM with *err filled. Ends with nk_origin_close in any case. */
NITRO_MUST_CHECK int nk_origin_open(struct nk_origin *o, struct nitro_err *err);
/* nk_origin_next: the next record, a large value included; borrowed until the next call. NITRO_ENOTFOUND: that was
 * all, and it is what the footer says. Other codes as nk_origin_open. */
NITRO_MUST_CHECK int nk_origin_next(struct nk_origin *o, struct nk_snaprec *out,
                                    struct nitro_err *err);
void nk_origin_close(struct nk_origin *o);

/* ---- a new folder (restore_target.c) -----------------------------------------------------------*/

struct nk_target {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    const char *dir; /* borrowed */
    int dirfd, lock, fd;
    struct nk_sip_key random; /* salts and the store's id are drawn from it */
    uint64_t drawn;
    uint8_t store[16];
    uint64_t snap_salt, log_salt, manifest_salt;
    uint64_t lsn;    /* S */
    int64_t time_ms; /* reached */
    struct nk_snapwrite file;
    uint8_t *stage; /* records that are not yet written */
    size_t staged;
    char found[40]; /* a file of a store that lies there already */
    bool touched;   /* there is something to be removed */
};
/* nk_target_open: makes the folder if it is missing, and locks it. NITRO_EARGUMENT: it holds a store;
 * NITRO_EINUSE, NITRO_EIO. Ends with nk_target_close in any case. */
NITRO_MUST_CHECK int nk_target_open(struct nk_target *t, const struct nitro_vfs *vfs,
                                    const struct nitro_mem *mem, const char *dir,
                                    const uint8_t seed[NITRO_SEED_BYTES], struct nitro_err *err);
/* nk_target_begin: records follow; none has a version above `lsn`. NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_target_begin(struct nk_target *t, uint64_t lsn, int64_t time_ms,
                                     enum nitro_compression compression, struct nitro_err *err);
/* nk_target_put: one record with its whole value; whether it counts as large is seen here. */
NITRO_MUST_CHECK int nk_target_put(struct nk_target *t, const struct nk_snaprec *r,
                                   struct nitro_err *err);
/* nk_target_finish: from now on the folder holds a store, durably, whose next LSN is at least first_lsn. After
 * an error it holds none. */
NITRO_MUST_CHECK int nk_target_finish(struct nk_target *t, uint64_t first_lsn,
                                      struct nitro_err *err);
/* nk_target_close: removes what has been made if finish has not got through. */
void nk_target_close(struct nk_target *t);

#endif
