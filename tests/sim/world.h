/* SPDX-License-Identifier: MIT
 *
 * world.h - a store on a simulated disk beside its model: operations, snapshots, crashes, and the
 * comparison after every recovery.
 *
 * WHAT
 *   A world is one data folder through many lives of the store. Operations are drawn from the
 *   world's random numbers, run on the store, checked against the model, and noted as promises:
 *   what a host would have told its clients, and from when on. After a crash sim_world_start
 *   recovers and checks that every promise that was due is kept, that the contents are those of
 *   the model at one LSN, batches whole, and that no LSN comes twice.
 *
 *   A life has a log, or none (--wal off). Without one nothing is promised, and a crash leaves
 *   exactly the newest snapshot that was finished.
 *
 *   In mode bitcask a snapshot is a folder (links.c). From when it is complete until retention drops it for a
 *   newer one it must hold what the model was at its LSN, whatever happens to the store.
 *
 * SIDE BY SIDE  Writing, syncing, filling and the file calls of a snapshot run beside each other
 *   and beside requests in a server. Here the hook of the disk does other operations while such a
 *   call is inside a file call: the same interleavings, but repeatable.
 *
 * FAILURE  sim_data_fail names key and LSN and ends the program with status 1: an acknowledged,
 *   observed or served value is wrong. Everything else that is wrong ends it with status 2.
 * THREADS  One.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "disk.h"
#include "model.h"

/* Where a crash falls. */
enum sim_phase {
    SIM_APPEND,   /* frames and their syncs, CONTROL */
    SIM_WINDOW,   /* room ahead of the appends */
    SIM_ROTATION, /* a log file comes to be, is listed, is used for the first time */
    SIM_RECOVERY,
    SIM_FOLDER,   /* names: made, renamed, removed, synced */
    SIM_STOP,     /* a clean stop */
    SIM_SNAPSHOT, /* its file, its name, MANIFEST */
    SIM_DROP,     /* log files and snapshots that nothing needs any more */
    SIM_RESTORE,  /* the new folder that a restore makes */
    SIM_MERGE,    /* sealing, hints, merges */
    SIM_PHASES
};
const char *sim_phase_name(enum sim_phase p);
struct sim_points {
    uint64_t seen[SIM_PHASES];    /* file calls that a crash could have fallen on */
    uint64_t crashed[SIM_PHASES]; /* and those that one fell on */
    uint64_t tails;               /* starts that wrote a tail to several files, and were served */
    uint64_t tails_cut; /* those that were stopped when some of these were used, but not all */
};

/* A crash to come: before the n-th change of the phase (SIM_PHASES: any); 0 = none. */
struct sim_plan {
    enum sim_phase phase;
    uint64_t nth;
    const char *why; /* only those of this call site; NULL = any; borrowed */
};

/* What a host told a client: that it may count on LSN `lsn` once `gate` is durable (or written). */
struct sim_promise {
    uint64_t gate, lsn;
    unsigned key;
    uint8_t level; /* enum nitro_level */
    bool wrote;
};

/* How a world differs from others; drawn from its seed by sim_world_new, changed before the first
 * start. */
struct sim_traits {
    uint32_t segments;
    uint64_t log_file_bytes;
    bool has_alloc, sync_drops;
    bool nest;         /* operations side by side */
    bool big_values;   /* some that are spliced */
    bool heavy;        /* many values of 5,000 bytes, so that log files end */
    uint32_t eager;    /* of 16 operations, so many write or sync */
    uint32_t snaps;    /* of 32 operations, so many are a piece of a snapshot */
    uint32_t unlogged; /* of 4 lives, so many have no log */
    uint32_t restores; /* of 64 operations, so many restore a copy of the folder */
    bool bitcask;      /* mode bitcask: no life without a log */
    uint32_t merges;   /* of 32 operations, so many are a piece of a merge; 0: nothing is merged */
    bool retain;       /* what merges replace is kept for a look at the past */
    int64_t keep_ms;   /* retention; 0 = not by time */
    uint64_t keep_bytes; /* 0 = not by bytes */
    /* of mode bitcask; half of the values repeat themselves then */
    enum nitro_compression value_compression;
    uint64_t cache_bytes; /* 0 = no cache */
};

/* A snapshot under way. */
enum sim_stage { SIM_IDLE, SIM_PREPARED, SIM_GATHER, SIM_GATHERED, SIM_WHOLE };
struct sim_snap {
    enum sim_stage stage;
    uint64_t lsn; /* S */
    size_t count; /* effects that it holds */
    int64_t now_ms;
    struct sim_cell cell[SIM_KEYS]; /* what must be in it */
};
/* A snapshot of this life that has been finished, or may have been. */
struct sim_taken {
    bool set;
    uint64_t number, lsn; /* number 0: not told */
    size_t count;
};

/* A snapshot of mode bitcask. */
struct sim_linked {
    bool set;
    uint64_t number, lsn;
    int64_t time_ms;
};
#define SIM_TRIED_MAX 64u

struct sim_world {
    uint64_t seed;
    struct sim_traits traits;
    struct test_rng rng;
    struct test_mem mem;
    struct sim_disk *disk;
    struct sim_model model;
    nitro_store *store;
    const struct nitro_log_view *view;
    struct nitro_recovery found; /* by the last recovery */
    int64_t now_ms;
    uint64_t starts, operations;

    enum sim_phase phase;
    struct sim_plan plan;
    struct sim_points *points; /* borrowed, the driver's */
    unsigned tail_files,
        used;         /* by this start: files that it has written a tail to; headers, used */
    unsigned busy;    /* which of write, sync, fill … are being called: SIM_BUSY_... */
    unsigned depth;   /* of operations side by side */
    int64_t write_ms; /* `now` of the write that is being called */
    bool wal_off;     /* this life has no log */
    bool logged;      /* the effects since the base are in the log */
    struct sim_snap snap;
    struct sim_taken taken, maybe; /* newest finished; newest that failed in its finish */
    struct {
        bool set, merged,
            begun; /* merged: something may have been listed since; begun: link was called */
        uint64_t lsn;
    } roll; /* in mode bitcask: the first step of a snapshot is done */
    /* Over all lives: the newest snapshot that was told, and the one before it, until that may be dropped. */
    struct sim_linked linked, older;
    bool linked_known; /* to this life of the store */
    struct {
        uint64_t lsn[SIM_TRIED_MAX]; /* a ring */
        unsigned count;
    } tried; /* snapshots since then that have failed: one may be complete nevertheless */
    struct {
        enum nitro_merge_need need; /* of the next step */
        uint64_t lsn;
    } merge;
    uint64_t reach; /* every LSN from here on must be restorable; SIM_NEVER: only the newest */
    bool is_copy;   /* it makes no copies of its own */
    bool faults;    /* errors of the disk are to be expected */
    bool no_memory; /* and of the allocator */
    bool damaged;   /* the folder is: in mode bitcask a key may be one that can't be read … */
    uint64_t unreadable; /* … and so many times that has been so */

    struct sim_promise *promise;
    size_t promises, promises_cap;
    uint64_t written, durable; /* at the last crash */
    bool power_lost;           /* since the store was last served */
    bool stop_tried;           /* in this life */
    bool stopped;              /* cleanly, and not started since */
    bool trace;                /* prints every file call that changes something, and every start */
    const char *doing;         /* for messages */
    char repeat[160];          /* what repeats this world */
};

/* sim_setup: at the start of a program: freed memory is kept by the process. Disks are made and
 * dropped by the ten thousand; giving their pages back and clearing them again took most of the
 * time. */
void sim_setup(void);
void sim_world_init(struct sim_world *w, uint64_t seed, struct sim_points *points);
void sim_world_fini(struct sim_world *w);
/* sim_world_repeat: says in messages how to repeat this; without it, as a random world of sim. */
__attribute__((format(printf, 2, 3))) void sim_world_repeat(struct sim_world *w, const char *fmt,
                                                            ...);
/* sim_world_fork: another world with the same contents and promises on this disk, which it owns from
 * then on; its store is closed. */
void sim_world_fork(struct sim_world *to, const struct sim_world *from, struct sim_disk *disk);

/* ---- a life ------------------------------------------------------------------------------------*/
/* sim_world_start: opens, recovers, compares. NITRO_OK, or the error with the store closed again.
 * */
NITRO_MUST_CHECK int sim_world_start(struct sim_world *w, struct nitro_err *err);
/* sim_world_refused: ends the program: the store cannot be started, though it must. */
__attribute__((noreturn)) void sim_world_refused(const struct sim_world *w,
                                                 const struct nitro_err *err);
/* sim_world_step: one operation. False if the machine is off. */
bool sim_world_step(struct sim_world *w);
/* sim_world_stop: a clean stop. False if the machine is off, or the disk failed. */
bool sim_world_stop(struct sim_world *w);
/* sim_world_kill, sim_world_power: the store is closed without a stop, if it is open; then the
 * disk has what the killed process, or the power cut, has left. */
void sim_world_kill(struct sim_world *w);
void sim_world_power(struct sim_world *w, enum sim_rule rule);
/* sim_world_compare: the whole contents with the model as it is now. */
void sim_world_compare(struct sim_world *w);
/* sim_world_scan: that a scan sees the model's keys and no others; returns the gate of what it
 * showed. */
uint64_t sim_world_scan(struct sim_world *w);
/* sim_world_point: the hook of the disk; a driver with a hook of its own calls it from there. */
void sim_world_point(void *world, const struct sim_call *call);

/* sim_world_log_may_fail: whether errors of the log are to be expected now. */
bool sim_world_log_may_fail(const struct sim_world *w);
/* sim_world_key: the number of a key; SIM_KEYS if nobody ever wrote it. */
unsigned sim_world_key(const void *key, size_t key_bytes);

/* ---- single operations, for scripts -------------------------------------------------------------
 * They do what their name says to the store and to the model; refused ones change neither. */
void sim_do_set(struct sim_world *w, unsigned key, struct sim_value value, int64_t expire_ms);
void sim_do_delete(struct sim_world *w, unsigned key);
void sim_do_incr(struct sim_world *w, unsigned key, int64_t delta);
void sim_do_expire(struct sim_world *w, unsigned key, int64_t expire_ms);
void sim_do_batch(struct sim_world *w, const unsigned *keys, unsigned count, uint32_t bytes);
/* flags: NITRO_MOVE_... */
void sim_do_move(struct sim_world *w, unsigned from, unsigned to, unsigned flags);
void sim_do_get(struct sim_world *w, unsigned key);
void sim_do_scan(struct sim_world *w);
void sim_do_flush(struct sim_world *w);
void sim_do_write(struct sim_world *w);
void sim_do_sync(struct sim_world *w);
void sim_do_fill(struct sim_world *w, uint64_t need);
void sim_do_note(struct sim_world *w);

/* ---- snapshots (snaps.c) ------------------------------------------------------------------------*/
/* Which calls are under way. Of each there is one at a time; those of a snapshot that touch the list
 * of files take SIM_BUSY_FILL. */
#define SIM_BUSY_WRITE 1u
#define SIM_BUSY_SYNC 2u
#define SIM_BUSY_FILL 4u
#define SIM_BUSY_SNAP 8u
#define SIM_BUSY_MERGE 16u
/* sim_do_snapshot_step: the next piece of a snapshot; begins one if none is under way. After the last one
 * the file is read back and compared with the model. */
void sim_do_snapshot_step(struct sim_world *w);
/* sim_do_snapshot_drain: makes room in the side buffer. False if that is not possible now. */
bool sim_do_snapshot_drain(struct sim_world *w);
/* sim_do_snapshot: a whole one. False if it failed. */
bool sim_do_snapshot(struct sim_world *w, enum nitro_compression compression);
void sim_do_abort(struct sim_world *w);
void sim_do_retain(struct sim_world *w);
/* sim_do_folder: asks what the folder holds, and compares. */
void sim_do_folder(struct sim_world *w);
/* sim_snapshot_check: the result of a call that must not harm the log; true: it is NITRO_OK. status_before: the log's. */
bool sim_snapshot_check(const struct sim_world *w, const char *what, int rc,
                        const struct nitro_err *err, uint32_t status_before);

/* ---- snapshots in mode bitcask (links.c): what the functions above do there --------------------------*/
void sim_link_step(struct sim_world *w);
bool sim_link_all(struct sim_world *w);
/* sim_link_folder: what the folder says about its newest snapshot. */
void sim_link_folder(const struct sim_world *w, const struct nitro_folder *f);
/* sim_link_found: after a start without errors: the snapshot is there, and no other folder of one. */
void sim_link_found(struct sim_world *w);
/* sim_link_path: of a snapshot, in out[SIM_NAME_MAX]. */
void sim_link_path(const struct sim_linked *k, char *out);
/* sim_link_successor: the number of a newer snapshot, for which a start that crashed before it could be asked may have begun to remove the one that is
 * promised; 0 = there is none, or it has not. sim_link_was_tried: whether one of this LSN may be complete. */
uint64_t sim_link_successor(const struct sim_world *w);
bool sim_link_was_tried(const struct sim_world *w, uint64_t lsn);

/* ---- merges (merges.c), in mode bitcask ----------------------------------------------------------*/
/* sim_do_merge_step: the next piece of background work on the data files, if what it needs is free. */
void sim_do_merge_step(struct sim_world *w);
/* sim_do_roll: the file that is written to is sealed. */
void sim_do_roll(struct sim_world *w);
/* sim_do_merge: all that there is, after a roll. False if it could not be. */
bool sim_do_merge(struct sim_world *w);

/* ---- restores (restores.c) ----------------------------------------------------------------------*/
/* sim_do_restore: restores a copy of the open folder at a random point. */
void sim_do_restore(struct sim_world *w);
/* sim_restore_after: restores `from`, a copy that was made before the last start, which it must agree with;
 * `from` is freed. */
void sim_restore_after(struct sim_world *w, struct sim_disk *from);
/* A crash or a fault in a restore; nth 0 = none. */
struct sim_restore_plan {
    bool linked;                 /* from the newest snapshot of mode bitcask, not from the folder */
    uint64_t to_lsn;             /* 0 = the newest */
    uint64_t crash_nth;          /* the machine goes off before this change of the new folder */
    unsigned crash_way;          /* 0 kill, else rule + 1 */
    struct sim_fault fault;      /* of the new folder */
    struct sim_fault from_fault; /* of the origin */
    uint64_t fail_alloc;
};
/* sim_restore_promised: in mode bitcask: what must be in the newest snapshot is, or the window goes as far back as it must, whichever is
 * drawn. The folder is copied; it is not open. */
void sim_restore_promised(struct sim_world *w);
/* sim_restore_damaged: of a folder, or its newest snapshot, in which something is: to_lsn as above. What it makes is right, or it refuses: then
 * false. */
bool sim_restore_damaged(struct sim_world *w, bool linked, uint64_t to_lsn);
/* sim_restore_planned: restores a copy of the closed folder. False if it got through
 * without meeting what was planned. */
bool sim_restore_planned(struct sim_world *w, const struct sim_restore_plan *plan);

struct sim_value sim_bytes(struct sim_world *w, uint32_t bytes);

/* sim_trace: a line, with TRACE=1. */
__attribute__((format(printf, 2, 3))) void sim_trace(const struct sim_world *w, const char *fmt,
                                                     ...);

/* ---- failure -----------------------------------------------------------------------------------*/
__attribute__((noreturn, format(printf, 4, 5))) void
sim_data_fail(const struct sim_world *w, unsigned key, uint64_t lsn, const char *fmt, ...);
__attribute__((noreturn, format(printf, 2, 3))) void sim_fail(const struct sim_world *w,
                                                              const char *fmt, ...);

#endif
