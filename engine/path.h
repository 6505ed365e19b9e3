/* SPDX-License-Identifier: MIT
 *
 * path.h - every file name of a data folder is built and parsed here (L1).
 *
 *   MANIFEST  CONTROL  LOCK  NNNNNNNNNN.log  NNNNNNNNNN.snap  NNNNNNNNNN.data  NNNNNNNNNN.hint
 *   (ten digits, the file's number from 1; logs, snapshots and data files are numbered together, and a hint has
 *   the number of the file that it is about)
 *   and while a whole file is being made or replaced, the same name with .tmp behind it;
 *   NAME.bak-T: what NAME was before a repair at time T (ms since the epoch) changed or dropped it.
 *
 * Folders in it: snapshot-NNNNNNNNNN, a snapshot where the log is the data; retained, in which NNNNNNNNNN.log.old-T and
 * NNNNNNNNNN.data.old-T are files that a merge has replaced at time T.
 */
#ifndef NK_PATH_H
#define NK_PATH_H

#include "base.h"

#define NK_PATH_MANIFEST "MANIFEST"
#define NK_PATH_MANIFEST_TMP "MANIFEST.tmp"
#define NK_PATH_CONTROL "CONTROL"
#define NK_PATH_CONTROL_TMP "CONTROL.tmp"
#define NK_PATH_LOCK "LOCK"
#define NK_PATH_RETAINED "retained"
#define NK_PATH_MAX 40u /* bytes of the longest name, terminator included */
#define NK_PATH_LOG_MAX UINT64_C(9999999999)

enum nk_path_kind {
    NK_PATH_OTHER, /* not ours */
    NK_PATH_IS_MANIFEST,
    NK_PATH_IS_CONTROL,
    NK_PATH_IS_LOCK,
    NK_PATH_IS_LOG,
    NK_PATH_IS_SNAP,
    NK_PATH_IS_SNAP_TMP, /* a snapshot that is being written, or was not finished */
    NK_PATH_IS_DATA,     /* what a merge has written, or is writing */
    NK_PATH_IS_HINT,
    NK_PATH_IS_HINT_TMP, /* likewise a hint */
    NK_PATH_IS_TMP,      /* the rest of a replacement that did not get through */
    NK_PATH_IS_OLD_LOG,  /* in `retained`: a log file that was replaced */
    NK_PATH_IS_OLD_DATA, /* … a merged one */
    NK_PATH_IS_SNAP_DIR, /* a folder */
    NK_PATH_IS_BACKUP    /* what a repair has kept; nobody reads or removes it but the user */
};

/* nk_path_log: the name of log file `number` (1 .. NK_PATH_LOG_MAX; numbers from disk are checked
 * by the caller) in out[NK_PATH_MAX]. */
void nk_path_log(uint64_t number, char *out);
/* nk_path_snap: likewise of snapshot `number`; logs and snapshots are numbered together.
 * nk_path_snap_tmp: the name under which it is written. */
void nk_path_snap(uint64_t number, char *out);
void nk_path_snap_tmp(uint64_t number, char *out);
/* nk_path_data: likewise of merged file `number`. nk_path_hint: of the hint of log or merged file `number`;
 * nk_path_hint_tmp: the name under which it is written. */
void nk_path_data(uint64_t number, char *out);
void nk_path_hint(uint64_t number, char *out);
void nk_path_hint_tmp(uint64_t number, char *out);
/* nk_path_tmp: the name under which the replacement of `name` (MANIFEST, CONTROL, or a file with a number)
 * is written, in out[NK_PATH_MAX]. */
void nk_path_tmp(const char *name, char *out);
/* nk_path_backup: the name under which a repair at time_ms (not negative) keeps `name` (MANIFEST,
 * CONTROL, or a file with a number), in out[NK_PATH_MAX]. */
void nk_path_backup(const char *name, int64_t time_ms, char *out);
/* nk_path_snap_dir: the folder of snapshot `number`. nk_path_old: the name that `name`, a log or a merged file, gets in
 * `retained` when it is replaced at time_ms (not negative). */
void nk_path_snap_dir(uint64_t number, char *out);
void nk_path_old(const char *name, int64_t time_ms, char *out);
/* nk_path_parse: what a name is; *number is set for files and folders that have one, finished or not, but not for backups.
 * nk_path_parse_old: the same for names in `retained`; *time_ms is set for what was replaced. */
enum nk_path_kind nk_path_parse(const char *name, uint64_t *number);
enum nk_path_kind nk_path_parse_old(const char *name, uint64_t *number, int64_t *time_ms);

#endif
