/* SPDX-License-Identifier: MIT
 *
 * recover.h - from a data folder to a log that can be appended to (L4).
 *
 * WHAT   open: locks the folder, reads MANIFEST and CONTROL and the headers of all files; changes nothing.
 *        scan: finds W, the end of the valid tail, and damage; changes nothing.
 *        finish: makes the tail durable in a new file, opens the file that appends go to.
 *        clean: removes what is not needed any more.
 *        Between scan and finish the owner loads the snapshot `base`, if there is one, and then replays the
 *        records above base.lsn of the files of the list `live` that are on the chain; or, where the log is the data, it
 *        loads the pieces.
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
/* nk_recover_clean: after finish: removes what nothing refers to any more. Where the log is the data, entries must refer to
 * the tail in its new place by then (from l->tail_number on). */
NITRO_MUST_CHECK int nk_recover_clean(struct nk_log *l, struct nitro_err *err);

/* nk_recover_note: where there is damage, for who wants to know it (nk_log_options.bad); the name is that of a file of a store. */
void nk_recover_note(const struct nk_log *l, const char *name, uint64_t offset);
/* nk_recover_damage: fills *err for damage in a file of the log; returns NITRO_ECORRUPT. */
int nk_recover_damage(const struct nk_log *l, struct nitro_err *err, uint64_t number,
                      uint64_t offset, uint64_t lsn, const char *what);

/* ---- logs --------------------------------------------------------------------------------------*/

/* nk_live_last: the last LSN of file i that counts, 0 if none of it does. */
uint64_t nk_live_last(const struct nk_log *l, uint32_t i);
/* nk_live_needed: nk_live_last if a start has to read the file, 0 if the snapshot holds all of it. */
uint64_t nk_live_needed(const struct nk_log *l, uint32_t i);

/* nk_recover_pieces: after scan, what a start has to read, by LSN, in out[0 .. cap); returns how many there are. Only where
 * the log is the data: then everything that was there before is sealed. */
NK_INLINE uint32_t nk_recover_pieces(const struct nk_log *l, struct nk_piece *out, uint32_t cap) {
    return nk_log_pieces(l, out, cap);
}

/* nk_recover_open: a piece for reading, wherever it lies: a handle, or -errno with *err filled. */
int nk_recover_open(const struct nk_log *l, enum nk_manifest_kind kind, uint64_t number,
                    int64_t old_ms, struct nitro_err *err);
/* nk_live_scan: a scanner of a listed file, with a handle of its own; end it with nk_live_scan_end, also
 * after errors. nk_live_scan_failed: fills *err for an error of the scanner; returns the code. */
NITRO_MUST_CHECK int nk_live_scan(struct nk_log *l, const struct nk_live *f, struct nk_logscan *s,
                                  struct nitro_err *err);
void nk_live_scan_end(struct nk_log *l, struct nk_logscan *s);
int nk_live_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_live *f,
                        const struct nk_logscan *s, int rc);

/* nk_live_cut: cuts a log file behind `end`. 0 or -errno. */
NITRO_MUST_CHECK int nk_live_cut(struct nk_log *l, struct nk_live *f, uint64_t end,
                                 const char *why);

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

/* What a mode is to a folder. nk_mode_info: NULL if there is no such mode. */
struct nk_mode_info {
    const char *name;
    bool served;                         /* by this program */
    bool log_is_data;                    /* files are merged, and entries refer to them */
    uint64_t file_bytes, file_bytes_max; /* of a log file: if nobody says it; at most */
    const char *file_range;
};
const struct nk_mode_info *nk_mode_info(uint32_t mode);

/* nk_folder_read (folder.c): MANIFEST, CONTROL, the headers; the snapshot to begin with; the chain. */
NITRO_MUST_CHECK int nk_folder_read(struct nk_log *l, struct nitro_err *err);
/* nk_folder_damage: fills *err for damage of a file of the folder; returns NITRO_ECORRUPT. */
int nk_folder_damage(const struct nk_log *l, struct nitro_err *err, const char *name,
                     const char *what);
/* nk_orphan_path: its name, in out[NK_PATH_MAX]. */
void nk_orphan_path(const struct nk_orphan *o, char *out);
/* nk_folder_edit: applies a valid edit to `live`, `snaps` or `data`. NITRO_OK; NITRO_ECORRUPT: it contradicts those
 * before it; NITRO_ENOMEM: not if nk_folder_reserve has made room for it. */
NITRO_MUST_CHECK int nk_folder_edit(struct nk_log *l, const struct nk_manifest_edit *e);
NITRO_MUST_CHECK bool nk_folder_reserve(struct nk_log *l, enum nk_manifest_kind kind);
struct nk_live *nk_folder_find(struct nk_log *l, uint64_t number);
struct nk_log_snap *nk_folder_find_snap(struct nk_log *l, uint64_t number);
struct nk_log_data *nk_folder_find_data(struct nk_log *l, uint64_t number);
/* nk_folder_header: reads the header of log file `number`. NITRO_ENOTFOUND if it is not valid. */
NITRO_MUST_CHECK int nk_folder_header(struct nk_log *l, uint64_t number, struct nk_log_header *h,
                                      uint64_t *size, struct nitro_err *err);
/* nk_folder_chain (folder_chain.c): marks the log files and merged files on the chain, and sets last_lsn of all logs but one that is
 * the newest piece. */
NITRO_MUST_CHECK int nk_folder_chain(struct nk_log *l, struct nitro_err *err);
/* nk_folder_merged: whether a merge has put the log file into another one. */
bool nk_folder_merged(const struct nk_log *l, const struct nk_live *f);
/* nk_data_holds: whether a merged file stands for the LSN. */
NK_INLINE bool nk_data_holds(const struct nk_data_header *h, uint64_t lsn) {
    return h->first_lsn <= lsn && lsn <= h->last_lsn;
}
/* nk_data_edit: the edit that lists it, or removes it from the list. */
NK_INLINE struct nk_manifest_edit nk_data_edit(enum nk_manifest_op op,
                                               const struct nk_log_data *d) {
    return (struct nk_manifest_edit){.op = op,
                                     .kind = NK_FILE_DATA,
                                     .number = d->number,
                                     .salt = d->salt,
                                     .first_lsn = d->head.first_lsn,
                                     .last_lsn = d->head.last_lsn};
}
/* nk_live_begin: the log holds every effect above this LSN; UINT64_MAX without a chain. */
uint64_t nk_live_begin(const struct nk_log *l);

/* nk_recover_point (recover_point.c): what a look at the past begins and ends with, after a scan of all; nk_recover_past
 * (recover_past.c) does it where the log is the data. */
NITRO_MUST_CHECK int nk_recover_point(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_recover_past(struct nk_log *l, struct nitro_err *err);
/* nk_recover_reach: walks over the frames of the logs on the chain, from r->lsn (and r->ms, its time) as far as r allows;
 * to_lsn is at most last_lsn. */
struct nk_reach {
    uint64_t to_lsn, lsn;
    int64_t to_ms, ms;
    bool over;
};
NITRO_MUST_CHECK int nk_recover_reach(struct nk_log *l, struct nk_reach *r, struct nitro_err *err);
/* nk_recover_outside: fills *err for a point outside of the window; NITRO_EARGUMENT. NITRO_OK if it is inside. */
NITRO_MUST_CHECK int nk_recover_outside(const struct nk_log *l, struct nitro_err *err);

/* recover_data.c; they do nothing where the log is not the data.
 * nk_recover_slots: gives each piece a slot, sealed. NITRO_ELOGFULL, NITRO_EIO.
 * nk_recover_tail: `f` is a file of the tail in its new place, with head, last_lsn and end.
 * nk_recover_keep: a file that a merge has replaced is kept for a look at the past, if there is a folder for that. False: it could
 * not be, and should stay where it is.
 * nk_recover_seal: files end where their records end; merged files that have been replaced go. */
NITRO_MUST_CHECK int nk_recover_slots(struct nk_log *l, struct nitro_err *err);
void nk_recover_tail(struct nk_log *l, struct nk_live *f);
NITRO_MUST_CHECK bool nk_recover_keep(struct nk_log *l, enum nk_manifest_kind kind,
                                      uint64_t number);
NITRO_MUST_CHECK int nk_recover_seal(struct nk_log *l, struct nitro_err *err);

/* logdata.c
 * nk_log_slot_seal: a file that does not change any more; all of it is durable. nk_log_hint_remove: of a file that is not
 * listed any more, if it has one. */
void nk_log_slot_seal(struct nk_log *l, uint32_t slot, uint64_t first_lsn, uint64_t last_lsn,
                      uint64_t end);
void nk_log_hint_remove(struct nk_log *l, uint64_t number);

/* folder_write.c */
/* nk_folder_create: CONTROL and an empty MANIFEST: from then on the folder is a store. */
NITRO_MUST_CHECK int nk_folder_create(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
/* nk_folder_relist: MANIFEST anew, with the files that are listed. NITRO_ELOGFULL (there is no room, or no handle) and
 * NITRO_ENOMEM: the old one is in place, and open. NITRO_EIO. */
NITRO_MUST_CHECK int nk_folder_relist(struct nk_log *l, struct nitro_err *err);
/* nk_folder_shorten: MANIFEST anew, if most of its edits concern files that are gone; where there is no room for that, a
 * later call does it. NITRO_EIO is a failure of the log. NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_folder_shorten(struct nk_log *l, struct nitro_err *err);

#endif
