/* SPDX-License-Identifier: MIT
 *
 * check.h - what a check knows about a data folder; shared by its parts, looking and repairing
 * (L5).
 *
 * WHAT   nk_check_look reads a whole folder and fills a struct nk_check: it goes on after damage,
 *        where recovery (folder.c, recover.c) refuses at the first, and obeys the same rules
 *        otherwise. nk_check_repair changes the folder to what the struct says is to be kept.
 * THREADS  One.
 */
#ifndef NK_CHECK_H
#define NK_CHECK_H

#include "log.h"

enum nk_check_state {
    NK_FILE_MISSING, /* MANIFEST lists it, but it is not there */
    NK_FILE_BAD,     /* its header is not valid, or another file's or store's */
    NK_FILE_BLANK,   /* prepared, holds nothing that counts */
    NK_FILE_USED
};

/* A log file that is in the folder, or in MANIFEST, or both. */
struct nk_check_file {
    uint64_t number, size;
    enum nk_check_state state;
    struct nk_log_header head; /* USED */
    uint64_t salt;             /* as MANIFEST lists it */
    uint64_t last_lsn;         /* of the records that count; UINT64_MAX = all of them */
    bool there, listed;
    bool on_chain; /* USED, and not superseded by a recovery */
    bool gap;      /* on the chain, but the file that its header names as the one before is lost */
    bool lost;     /* not on the chain, but it holds data, or has held some */
};

/* A snapshot that is in the folder, or in MANIFEST, or both; or what was to become one. */
struct nk_check_snap {
    uint64_t number, size;
    uint64_t salt, lsn;      /* as MANIFEST lists them; without that, as its header says */
    bool there, tmp, listed; /* under its name; under its temporary name */
    bool sound;              /* has been read, and is what it says */
    bool wal_off;            /* sound: versions, not LSNs */
    uint64_t bad_at;
    const char *what; /* is wrong with it */
};

/* A merged file that is in the folder, or in MANIFEST, or both. */
struct nk_check_data {
    uint64_t number, size;
    uint64_t salt, first_lsn, last_lsn; /* as MANIFEST lists them */
    struct nk_data_header head;         /* valid */
    bool there, listed;
    bool valid;    /* its header is right, and what MANIFEST says of it */
    bool on_chain; /* no other merged file stands for its LSNs */
};

/* A hint file that is there, finished or not. */
struct nk_check_hint {
    uint64_t number;
    bool tmp;
};

/* A part of the log where the log is the data: one of both. */
struct nk_check_piece {
    struct nk_check_file *log;
    struct nk_check_data *data;
    struct nk_piece p;
    bool gap;    /* what comes before it is lost */
    bool hinted; /* its hint file is valid, and about the file as it is */
};

/* Where the state that is kept ends, whole batches only. */
struct nk_check_end {
    /* of its last record, or of the snapshot if the log has none behind it; 0 = empty */
    uint64_t lsn;
    uint64_t number; /* of the log file that this is in, 0 = in none */
    uint64_t offset; /* behind it */
};

/* The first record that is not there or not valid. */
struct nk_check_hole {
    bool found;
    uint64_t lsn, number, offset;
    const char *what;
};

struct nk_check {
    const struct nitro_check_options *opt;
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int dirfd;
    bool quiet; /* no findings: a second look, after a repair */

    struct nk_check_file *file; /* by number, ascending */
    uint32_t count, cap;
    struct nk_check_snap *snap; /* by number, ascending */
    uint32_t snap_count, snap_cap;
    struct nk_check_data *data; /* by number, ascending */
    uint32_t data_count, data_cap;
    struct nk_check_hint *hint; /* in no order */
    uint32_t hint_count, hint_cap;
    struct nk_check_piece *piece; /* keydir: those on the chain, by LSN */
    uint32_t piece_count, piece_cap;
    bool manifest_there, control_there, out_of_memory;
    bool manifest_whole;  /* every edit of it is known */
    enum nk_mode mode;    /* of the folder, as MANIFEST has it; without that memory */
    bool keydir;          /* the log is the data: pieces, no snapshots */
    uint64_t next_number; /* above every number that was ever used */
    uint64_t listed_next; /* above every number that MANIFEST has listed */
    bool store_known;
    uint8_t store[16];
    struct nk_control control; /* newest slot; sequence 0 = none is valid */

    uint64_t listed_lsn; /* S of the newest snapshot that is listed: a start begins with it */
    uint64_t floor;      /* S of the newest one that is sound: what is not above it is not needed */
    bool newest_lost;    /* they are not the same */
    struct nk_check_end end;
    struct nk_check_hole hole;
    struct nk_check_hole inner; /* keydir: damage elsewhere than at the end of the log */
    uint32_t tolerated; /* findings of damage with which the store starts, thanks to hints */
    bool history_told;  /* the first hole in what is not needed has been */
    uint64_t seen_lsn;  /* largest one that anything knows of */
    int64_t newest_ms;  /* newest time in the log */
    struct nitro_check_result sum;
};

/* nk_check_look: reads everything (check.c). NITRO_OK (what is wrong: c->sum), NITRO_EFORMAT,
 * NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_check_look(struct nk_check *c, struct nitro_err *err);
/* nk_check_found: one finding, counted and told. */
void nk_check_found(struct nk_check *c, enum nitro_severity severity, const char *file,
                    uint64_t offset, uint64_t lsn, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* nk_check_file_found: one about a log file as a whole. */
void nk_check_file_found(struct nk_check *c, enum nitro_severity severity, uint64_t number,
                         const char *text);
/* nk_check_hole: notes the first record that is missing; later ones are ignored. */
void nk_check_hole(struct nk_check *c, uint64_t lsn, uint64_t number, uint64_t offset,
                   const char *what);
/* nk_check_inner: notes damage that no repair can cut off. */
void nk_check_inner(struct nk_check *c, uint64_t lsn, uint64_t number, uint64_t offset,
                    const char *what);
/* nk_check_repairable: false if what is damaged is not the end of the log. Or if what is left does not even
 * reach the newest snapshot, which is lost: then a prefix that is much older is all that there is, and
 * whether it is wanted is for the user to say. */
bool nk_check_repairable(const struct nk_check *c);
/* nk_check_io: fills *err for a file that could not be read or written; returns NITRO_EIO. */
int nk_check_io(const struct nk_check *c, struct nitro_err *err, const char *did, const char *name,
                int64_t rc);

/* ---- the folder (check_folder.c) ---------------------------------------------------------------*/

/* nk_check_folder: names, MANIFEST, CONTROL, headers and the chain, with their findings. The codes
 * of nk_check_look. */
NITRO_MUST_CHECK int nk_check_folder(struct nk_check *c, struct nitro_err *err);
/* nk_check_find: the log file with this number; NULL if it is not known. */
struct nk_check_file *nk_check_find(const struct nk_check *c, uint64_t number);
/* nk_check_sector: the first sector of a file that is there, and its size. *whole: it has one.
 * nk_check_newer: fills *err for a newer version of the format; returns NITRO_EFORMAT. */
NITRO_MUST_CHECK int nk_check_sector(struct nk_check *c, const char *name,
                                     uint8_t sector[NK_SECTOR], uint64_t *size, bool *whole,
                                     struct nitro_err *err);
int nk_check_newer(const struct nk_check *c, struct nitro_err *err, const char *name,
                   uint32_t version);
/* nk_check_lose: a newer file names log file `number` as the one before it, but it is not there as a used
 * one. */
void nk_check_lose(struct nk_check *c, uint64_t number);
/* nk_check_fini: gives back what it has taken. */
void nk_check_fini(struct nk_check *c);
/* nk_check_lost: whether a file that MANIFEST lists is not there, or another one is in its place. */
bool nk_check_lost(const struct nk_check *c);
/* nk_check_names: only which files are there. */
NITRO_MUST_CHECK int nk_check_names(struct nk_check *c, struct nitro_err *err);
/* nk_check_newest: the newest used file with a number below this, or NULL. */
struct nk_check_file *nk_check_newest(struct nk_check *c, uint64_t number);

/* ---- merged files, hints, pieces (check_data.c, check_piece.c) ---------------------------------*/

/* nk_check_note_data: merged file `number` is there; nk_check_note_hint: likewise of a hint. False without
 * memory. */
bool nk_check_note_data(struct nk_check *c, uint64_t number);
bool nk_check_note_hint(struct nk_check *c, uint64_t number, bool tmp);
struct nk_check_data *nk_check_find_data(const struct nk_check *c, uint64_t number);
/* nk_check_edit_data: what an edit of MANIFEST says of a merged file. False if it contradicts those before. */
bool nk_check_edit_data(struct nk_check *c, const struct nk_manifest_edit *e);
/* nk_check_data_headers: reads the headers of merged files, with their findings. */
NITRO_MUST_CHECK int nk_check_data_headers(struct nk_check *c, struct nitro_err *err);
/* nk_check_pieces: keydir: the chain of logs and merged files, in c->piece. NITRO_OK, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_check_pieces(struct nk_check *c, struct nitro_err *err);
/* nk_check_data_fini: gives back what these have taken. */
void nk_check_data_fini(struct nk_check *c);

/* nk_check_read_pieces: keydir: the hints and records of all pieces, with their findings. */
NITRO_MUST_CHECK int nk_check_read_pieces(struct nk_check *c, struct nitro_err *err);

/* ---- snapshots (check_snap.c) ------------------------------------------------------------------*/

/* nk_check_find_snap: NULL if it is not known. nk_check_add_snap: put into its place in the list if it is new;
 * NULL without memory. */
struct nk_check_snap *nk_check_find_snap(const struct nk_check *c, uint64_t number);
struct nk_check_snap *nk_check_add_snap(struct nk_check *c, uint64_t number);
/* nk_check_snaps: reads all that count, with their findings; sets floor. */
NITRO_MUST_CHECK int nk_check_snaps(struct nk_check *c, struct nitro_err *err);
/* nk_check_snap_kept: whether a repair lists it. nk_check_snap_dropped: whether it puts it aside. */
bool nk_check_snap_kept(const struct nk_check *c, const struct nk_check_snap *s);
bool nk_check_snap_dropped(const struct nk_check *c, const struct nk_check_snap *s);

/* ---- records (check_scan.c) --------------------------------------------------------------------*/

/* nk_check_records: the records of one file on the chain; `newest` is the chain's last. */
NITRO_MUST_CHECK int nk_check_records(struct nk_check *c, const struct nk_check_file *f,
                                      bool newest, struct nitro_err *err);
/* nk_check_frames: the frames of a file that is not on the chain: they are dropped. */
NITRO_MUST_CHECK int nk_check_frames(struct nk_check *c, const struct nk_check_file *f,
                                     struct nitro_err *err);
/* nk_check_heads: what the headers of all valid frames of a file know. */
NITRO_MUST_CHECK int nk_check_heads(struct nk_check *c, const struct nk_check_file *f,
                                    struct nitro_err *err);
/* nk_check_settled: the records of a file all of which was durable, up to its last LSN; what is wrong is
 * noted in *bad, and how often in *count. */
NITRO_MUST_CHECK int nk_check_settled(struct nk_check *c, const struct nk_check_file *f,
                                      struct nk_check_hole *bad, uint64_t *count,
                                      struct nitro_err *err);
/* nk_check_clean: whether the newest file ends as a clean stop has left it. */
NITRO_MUST_CHECK int nk_check_clean(struct nk_check *c, const struct nk_check_file *f, bool *clean,
                                    struct nitro_err *err);

/* ---- repair (check_repair.c) -------------------------------------------------------------------*/

/* nk_check_repair: keeps the records up to c->end, drops the rest. NITRO_OK, NITRO_EIO,
 * NITRO_ENOMEM, NITRO_ECORRUPT (it cannot be repaired): the folder may have been changed, but
 * nothing is lost, and a second repair goes on. */
NITRO_MUST_CHECK int nk_check_repair(struct nk_check *c, struct nitro_err *err);
/* nk_check_may_repair: whether it is possible, after a look. */
bool nk_check_may_repair(const struct nk_check *c);

#endif
