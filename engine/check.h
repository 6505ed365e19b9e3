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

/* Where the state that is kept ends, whole batches only. */
struct nk_check_end {
    uint64_t
        lsn; /* of its last record, or of the snapshot if the log has none behind it; 0 = empty */
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
    bool manifest_there, control_there, out_of_memory;
    bool manifest_whole;  /* every edit of it is known */
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
    bool history_told; /* the first hole in what is not needed has been */
    uint64_t seen_lsn; /* largest one that anything knows of */
    int64_t newest_ms; /* newest time in the log */
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
/* nk_check_repairable: false if what is left does not even reach the newest snapshot, which is lost: then a
 * prefix that is much older is all that there is, and whether it is wanted is for the user to say. */
bool nk_check_repairable(const struct nk_check *c);
/* nk_check_io: fills *err for a file that could not be read or written; returns NITRO_EIO. */
int nk_check_io(const struct nk_check *c, struct nitro_err *err, const char *did, const char *name,
                int64_t rc);

/* ---- the folder (check_folder.c) ---------------------------------------------------------------*/

/* nk_check_folder: names, MANIFEST, CONTROL, headers and the chain, with their findings. The codes
 * of nk_check_look. */
NITRO_MUST_CHECK int nk_check_folder(struct nk_check *c, struct nitro_err *err);
/* nk_check_fini: gives back what it has taken. */
void nk_check_fini(struct nk_check *c);
/* nk_check_lost: whether a file that MANIFEST lists is not there, or another one is in its place. */
bool nk_check_lost(const struct nk_check *c);
/* nk_check_names: only which files are there. */
NITRO_MUST_CHECK int nk_check_names(struct nk_check *c, struct nitro_err *err);
/* nk_check_newest: the newest used file with a number below this, or NULL. */
struct nk_check_file *nk_check_newest(struct nk_check *c, uint64_t number);

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
/* nk_check_clean: whether the newest file ends as a clean stop has left it. */
NITRO_MUST_CHECK int nk_check_clean(struct nk_check *c, const struct nk_check_file *f, bool *clean,
                                    struct nitro_err *err);

/* ---- repair (check_repair.c) -------------------------------------------------------------------*/

/* nk_check_repair: keeps the records up to c->end, drops the rest. NITRO_OK, NITRO_EIO,
 * NITRO_ENOMEM, NITRO_ECORRUPT (it cannot be repaired): the folder may have been changed, but
 * nothing is lost, and a second repair goes on. */
NITRO_MUST_CHECK int nk_check_repair(struct nk_check *c, struct nitro_err *err);

#endif
