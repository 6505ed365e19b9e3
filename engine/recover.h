/* SPDX-License-Identifier: MIT
 *
 * recover.h - from a data folder to a log that can be appended to (L4).
 *
 * WHAT   open: locks the folder, reads MANIFEST and CONTROL and the headers of all files; changes nothing.
 *        scan: finds W, the end of the valid tail, and damage; changes nothing.
 *        finish: makes the tail durable in a new file, opens the file that appends go to, cleans up.
 *        Between scan and finish the owner replays the files of the list `live` that are on the chain.
 * THREADS  One, before anything else uses the log.
 */
#ifndef NK_RECOVER_H
#define NK_RECOVER_H

#include "log.h"
#include "logscan.h"

/* nk_log_open: NITRO_OK with *out (owned, nk_log_close); NITRO_EINUSE, NITRO_EFORMAT, NITRO_ECORRUPT,
 * NITRO_EIO, NITRO_ENOMEM, NITRO_EARGUMENT with *err filled. */
NITRO_MUST_CHECK int nk_log_open(const struct nk_log_options *o, struct nk_log **out,
                                 struct nitro_err *err);
/* nk_log_close: closes the files as they are. NULL is fine. */
void nk_log_close(struct nk_log **l);

NITRO_MUST_CHECK int nk_recover_scan(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_recover_finish(struct nk_log *l, int64_t now_ms, struct nitro_err *err);

/* nk_recover_damage: fills *err for damage in a file of the log; returns NITRO_ECORRUPT. */
int nk_recover_damage(const struct nk_log *l, struct nitro_err *err, uint64_t number,
                      uint64_t offset, uint64_t lsn, const char *what);
/* nk_live_last: the last LSN of file i that counts, 0 if none of it does. */
uint64_t nk_live_last(const struct nk_log *l, uint32_t i);

/* nk_live_scan: a scanner of a listed file, with a handle of its own; end it with nk_live_scan_end, also
 * after errors. nk_live_scan_failed: fills *err for an error of the scanner; returns the code. */
NITRO_MUST_CHECK int nk_live_scan(struct nk_log *l, const struct nk_live *f, struct nk_logscan *s,
                                  struct nitro_err *err);
void nk_live_scan_end(struct nk_log *l, struct nk_logscan *s);
int nk_live_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_live *f,
                        const struct nk_logscan *s, int rc);

/* ---- between the files of recovery -------------------------------------------------------------*/

/* nk_folder_read (folder.c): MANIFEST, CONTROL, the headers; the chain. */
NITRO_MUST_CHECK int nk_folder_read(struct nk_log *l, struct nitro_err *err);

#endif
