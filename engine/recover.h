/* SPDX-License-Identifier: MIT
 *
 * recover.h - from a data folder to a log that can be appended to (L4).
 *
 * WHAT   open: locks the folder, reads MANIFEST and CONTROL and the headers of all files; changes nothing.
 *        scan: finds W, the end of the valid tail, and damage; changes nothing.
 *        finish: makes the tail durable in a new file, opens the file that appends go to, cleans up.
 *        Between scan and finish the owner loads the snapshot `base`, if there is one, and then replays the
 *        records above base.lsn of the files of the list `live` that are on the chain.
 * THREADS  One, before anything else uses the log.
 */
#ifndef NK_RECOVER_H
#define NK_RECOVER_H

#include "log.h"
#include "logscan.h"

/* nk_log_open: NITRO_OK with *out (owned, nk_log_close); NITRO_EINUSE, NITRO_EFORMAT, NITRO_ECORRUPT,
 * NITRO_EIO, NITRO_ENOMEM, NITRO_EARGUMENT with *err filled; read-only also NITRO_ENOTFOUND. */
NITRO_MUST_CHECK int nk_log_open(const struct nk_log_options *o, struct nk_log **out,
                                 struct nitro_err *err);
/* nk_log_close: closes the files as they are. NULL is fine. */
void nk_log_close(struct nk_log **l);

/* nk_recover_scan: the codes of nk_log_open; read-only NITRO_EARGUMENT: the point lies outside the window. */
NITRO_MUST_CHECK int nk_recover_scan(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_recover_finish(struct nk_log *l, int64_t now_ms, struct nitro_err *err);

/* nk_recover_damage: fills *err for damage in a file of the log; returns NITRO_ECORRUPT. */
int nk_recover_damage(const struct nk_log *l, struct nitro_err *err, uint64_t number,
                      uint64_t offset, uint64_t lsn, const char *what);

/* ---- logs --------------------------------------------------------------------------------------*/

/* nk_live_last: the last LSN of file i that counts, 0 if none of it does. */
uint64_t nk_live_last(const struct nk_log *l, uint32_t i);
/* nk_live_needed: nk_live_last if a start has to read the file, 0 if the snapshot holds all of it. */
uint64_t nk_live_needed(const struct nk_log *l, uint32_t i);

/* nk_live_scan: a scanner of a listed file, with a handle of its own; end it with nk_live_scan_end, also
 * after errors. nk_live_scan_failed: fills *err for an error of the scanner; returns the code. */
NITRO_MUST_CHECK int nk_live_scan(struct nk_log *l, const struct nk_live *f, struct nk_logscan *s,
                                  struct nitro_err *err);
void nk_live_scan_end(struct nk_log *l, struct nk_logscan *s);
int nk_live_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_live *f,
                        const struct nk_logscan *s, int rc);

/* ---- snapshots ---------------------------------------------------------------------------------*/

/* nk_snap_scan: a reader of a listed snapshot, with a handle of its own; its header and footer are right. After
 * NITRO_OK end it with nk_snap_scan_end, also after errors. NITRO_ECORRUPT, NITRO_EFORMAT, NITRO_EIO, NITRO_ENOMEM
 * with *err filled. nk_snap_scan_failed: fills *err for an error of the reader; returns the code. */
NITRO_MUST_CHECK int nk_snap_scan(const struct nk_log *l, const struct nk_log_snap *s,
                                  struct nk_snapread *r, struct nitro_err *err);
void nk_snap_scan_end(const struct nk_log *l, struct nk_snapread *r);
int nk_snap_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_log_snap *s,
                        const struct nk_snapread *r, int rc);
/* nk_snap_damage: fills *err for damage in a snapshot; returns NITRO_ECORRUPT. */
int nk_snap_damage(const struct nk_log *l, struct nitro_err *err, const struct nk_log_snap *s,
                   uint64_t offset, const char *what);

/* ---- between the files of recovery -------------------------------------------------------------*/

/* nk_folder_read (folder.c): MANIFEST, CONTROL, the headers; the snapshot to begin with; the chain. */
NITRO_MUST_CHECK int nk_folder_read(struct nk_log *l, struct nitro_err *err);
/* nk_orphan_path: its name, in out[NK_PATH_MAX]. */
void nk_orphan_path(const struct nk_orphan *o, char *out);
/* nk_folder_edit: applies a valid edit to `live` or `snaps`. NITRO_OK; NITRO_ECORRUPT: it contradicts those
 * before it; NITRO_ENOMEM: not if nk_folder_reserve has made room for it. */
NITRO_MUST_CHECK int nk_folder_edit(struct nk_log *l, const struct nk_manifest_edit *e);
NITRO_MUST_CHECK bool nk_folder_reserve(struct nk_log *l, enum nk_manifest_kind kind);
struct nk_live *nk_folder_find(struct nk_log *l, uint64_t number);
struct nk_log_snap *nk_folder_find_snap(struct nk_log *l, uint64_t number);
/* nk_folder_header: reads the header of log file `number`. NITRO_ENOTFOUND if it is not valid. */
NITRO_MUST_CHECK int nk_folder_header(struct nk_log *l, uint64_t number, struct nk_log_header *h,
                                      uint64_t *size, struct nitro_err *err);
/* nk_folder_chain: marks the log files on the chain. */
NITRO_MUST_CHECK int nk_folder_chain(struct nk_log *l, struct nitro_err *err);
/* nk_live_begin: the log holds every effect above this LSN; UINT64_MAX without a chain. */
uint64_t nk_live_begin(const struct nk_log *l);

/* nk_recover_point (recover_point.c): what a look at the past begins and ends with, after a scan of all. */
NITRO_MUST_CHECK int nk_recover_point(struct nk_log *l, struct nitro_err *err);

/* folder_write.c */
/* nk_folder_create: CONTROL and an empty MANIFEST: from then on the folder is a store. */
NITRO_MUST_CHECK int nk_folder_create(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
/* nk_folder_relist: MANIFEST anew, with the files that are listed. NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_folder_relist(struct nk_log *l, struct nitro_err *err);
/* nk_folder_list_is_long: most edits of MANIFEST concern files that are gone. */
bool nk_folder_list_is_long(const struct nk_log *l);

#endif
