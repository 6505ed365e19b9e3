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
#include "hint.h"
#include "log.h"
#include "mem.h"
#include "snapfile.h"

/* ---- what a restore begins with (restore_origin.c) ---------------------------------------------*/

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
/* nk_origin_archive: the file, if it is an archive of a folder (a backup in mode bitcask), in *out (nk_tar_close); else, and if there is no
 * such file, *out is NULL. Of o all up to `path` is filled. NITRO_OK, NITRO_EIO, NITRO_ENOMEM, NITRO_ECORRUPT (*bad_at). */
struct nk_tar;
NITRO_MUST_CHECK int nk_origin_archive(const struct nk_origin *o, struct nk_tar **out,
                                       uint64_t *bad_at, struct nitro_err *err);

/* ---- a folder, as of one moment (restore_past.c) -----------------------------------------------*/

/* What is looked at, and when: see struct nk_log_options. All borrowed. */
struct nk_past_source {
    const char *did, *from; /* `did` as in an origin */
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    const uint8_t *seed;
    uint64_t to_lsn;
    int64_t to_ms;
    struct nk_place *bad; /* may be NULL */
};
/* nk_past_open: a store that can be scanned, loaded and replayed, for looking only. NITRO_ENOTFOUND and the codes of nk_log_open; *out
 * is to be closed in any case. */
NITRO_MUST_CHECK int nk_past_open(const struct nk_past_source *f, nitro_store **out,
                                  struct nitro_err *err);

/* ---- and where the log is the data */

/* Called for each record that an entry refers to, in the order of LSNs; it is borrowed. An error with *err filled ends the walk. */
struct nk_db;
typedef int nk_past_fn(void *arg, const struct nk_record *r);
struct nk_past {
    struct nk_db *db;       /* its keydir is loaded up to the point */
    const char *did, *from; /* borrowed; for texts, as in an origin */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* may be NULL */
    void *ctx;
    nk_past_fn *fn;
    void *arg;
    uint64_t done, total; /* bytes; total: of the files */
    struct nk_place bad;  /* with NITRO_ECORRUPT, as far as it is known */
    bool whole;           /* verify what is there beyond the records as well (restore_spare.c) */
};
/* nk_past_each: all of them. NITRO_OK, NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM with *err filled, or what fn has returned. */
NITRO_MUST_CHECK int nk_past_each(struct nk_past *p, struct nitro_err *err);
/* nk_past_verify: reads all of a folder; what there is. Of p progress, ctx and whole are set, the rest is set here. NITRO_EUNSUPPORTED: it is of
 * mode memory; else the codes of nk_past_open and nk_past_each. */
NITRO_MUST_CHECK int nk_past_verify(const struct nk_past_source *f, struct nk_past *p,
                                    struct nitro_snapshot_info *out, struct nitro_err *err);
/* nk_past_spares: whether both slots of CONTROL and every hint are valid. Of p did, from and db are set. NITRO_OK; NITRO_ECORRUPT with
 * p->bad; NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_past_spares(struct nk_past *p, struct nitro_err *err);

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
    size_t stage_bytes, staged;
    char found[40]; /* a file of a store that lies there already */
    bool touched;   /* there is something to be removed */

    /* where the log is the data (restore_data.c) */
    bool data;
    uint64_t file_bytes;         /* a file is not made larger than that, but by one record */
    uint64_t newest_lsn;         /* that was put */
    struct nk_data_header *made; /* the files; the last one is being written */
    uint32_t count, cap;
    struct nk_hintwrite hint; /* its hint */
    int hint_fd;
    bool hinting;
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
/* nk_target_data_begin, nk_target_data_put: instead of these two where the log is the data: live records, in the order of
 * LSNs, none above `lsn`. file_bytes: 0 = the default. */
NITRO_MUST_CHECK int nk_target_data_begin(struct nk_target *t, uint64_t lsn, int64_t time_ms,
                                          uint64_t file_bytes, struct nitro_err *err);
NITRO_MUST_CHECK int nk_target_data_put(struct nk_target *t, const struct nk_record *r,
                                        struct nitro_err *err);
/* Between the two files: nk_target_draw: a random number that is not 0. nk_target_data_end: the files are durable under their names,
 * when the folder is synced. nk_target_data_remove: takes them away. nk_target_data_close: frees what they need. */
uint64_t nk_target_draw(struct nk_target *t);
NITRO_MUST_CHECK int nk_target_data_end(struct nk_target *t, struct nitro_err *err);
void nk_target_data_remove(struct nk_target *t);
void nk_target_data_close(struct nk_target *t);
/* nk_target_close: removes what has been made if finish has not got through. */
void nk_target_close(struct nk_target *t);

#endif
