/* SPDX-License-Identifier: MIT
 *
 * log.h - the write-ahead log: appending, writing, syncing, room (L4). Formats: docs/FORMAT.md.
 *
 * WHAT   nk_log_begin … nk_log_append … nk_log_end put records into the commit buffer and give them
 *        their LSN and their place; nk_log_write and nk_log_sync bring them to the disk, nk_log_fill
 *        keeps room ahead of them. Recovery (recover.h) makes a log ready for that.
 *
 * THREADS  begin … end: any thread, with the shared gate; a short lock is held in between. write, sync
 *        and fill: one thread each, side by side, no gate. open, start, stop, close: one thread, alone.
 *
 * ERRORS  A write or sync that failed is final: see nk_log_fail.
 */
#ifndef NK_LOG_H
#define NK_LOG_H

#include "control.h"
#include "datafile.h"
#include "err.h"
#include "files.h"
#include "logfile.h"
#include "manifest.h"
#include "mem.h"
#include "path.h"
#include "record.h"
#include "snapfile.h"
#include "vfs.h"

#define NK_RING_BYTES (4u << 20)        /* commit buffer */
#define NK_LOG_FRAMES 64u               /* frames between two writes */
#define NK_LOG_SPLICES 256u             /* large values between two writes */
#define NK_FRAME_BYTES_MAX (1ull << 30) /* an open frame takes no more beyond this */
#define NK_LOG_RESERVE 65536u           /* end of the window, for deletes alone */
#define NK_LOG_FOOTER_ROOM (2u * NK_SECTOR)
#define NK_LOG_STEP_MAX (4ull << 20)    /* of the window, where it is filled */
#define NK_LOG_ALLOC_STEP (16ull << 20) /* where it is only allocated */
#define NK_LOG_STEP_MIN 65536ull
#define NK_LOG_FIRST_STEP (1ull << 20)
#define NK_GROUP_LARGE 65536u    /* syncs of more than this: allocate, don't fill */
#define NK_LSN_JUMP (1ull << 24) /* after an unclean start */
/* With --wal off: versions that may be given out before the next snapshot. A write takes as many as there
 * are segments. */
#define NK_LSN_ROOM (1ull << 44)
#define NK_LOG_FILE_MIN 65536ull
#define NK_LOG_FILE_MAX (1ull << 40)
#define NK_LOG_FILE_DEFAULT (64ull << 20)
/* Where the log is the data: offsets in locations have 32 bits (loc.h), and a file may grow a little beyond. */
#define NK_DATA_FILE_MAX ((4ull << 30) - (4ull << 20))
#define NK_DATA_FILE_DEFAULT (1ull << 30)

/* nk_log_begin: no room yet; not one of the public codes. */
#define NK_ROOM 0x100

/* A file that is, or will be, written to. */
struct nk_log_file {
    struct nk_log_file *next; /* newer */
    uint32_t slot;            /* in the table of data files; 0 if there is none */
    int fd;
    int fill_fd; /* the filler's own: the kernel tells a failed write-back once to each open file */
    uint64_t number, salt;
    uint64_t first_lsn;  /* 0 = blank: holds no frame */
    uint64_t window_end; /* room that is allocated and synced; under the log's lock */
    uint64_t limit;      /* frames end before, but for deletes on a full disk */
    uint64_t prev_number, prev_last_lsn;
};

/* A frame that is not written yet. The newest may be open: records are still added. */
struct nk_log_frame {
    struct nk_log_file *file;
    uint64_t offset;     /* of its header in the file */
    uint64_t ring_at;    /* of its header in the ring */
    uint64_t bytes;      /* of its records, spliced values included */
    uint64_t ring_bytes; /* of the ring, header included */
    uint64_t first_lsn;
    uint32_t count;
    uint32_t splices; /* of it */
    bool opens_file;  /* the file's header is written with it */
};

/* Bytes that follow ring position `ring_at` without being copied into the ring. */
struct nk_splice {
    uint64_t ring_at;
    const uint8_t *p;
    uint64_t bytes;
    void *object; /* released when written */
};
typedef void nk_log_release_fn(void *ctx, void *object);
typedef void nk_log_retain_fn(void *ctx, void *object);

/* What a log file of the manifest is known to be. */
struct nk_live {
    uint64_t number, salt;
    struct nk_log_header head; /* of this life's: blank until it is known to be durable as used */
    uint64_t last_lsn;         /* of its records that count */
    uint64_t size;
    uint64_t end;      /* offset behind its last record that is valid; 0 = not looked at */
    uint64_t keep_end; /* likewise, behind the frame of the last one up to W */
    bool on_chain;     /* used, and not superseded by a recovery or a merge */
    bool by_lsn;       /* likewise: the piece behind it does not name it (folder_chain.c) */
    uint64_t reaches;  /* a look at the past: its last LSN, valid or void; 0 = not looked at */
    uint32_t slot;     /* in the table of data files; 0 if there is none */
    int64_t old_ms;    /* a look at the past: when it was replaced: it lies in `retained`; else 0 */
};

/* A merged file that MANIFEST lists. */
struct nk_log_data {
    uint64_t number, salt;
    struct nk_data_header head;
    bool on_chain; /* no other merged file stands for its LSNs */
    uint32_t slot;
    int64_t old_ms; /* as of a log */
};

/* A part of the log as a start reads it: a log file on the chain, or a merged file. They follow one another without a
 * gap: prev_last_lsn is the last LSN of the piece before. */
struct nk_piece {
    enum nk_manifest_kind kind; /* NK_FILE_LOG, NK_FILE_DATA */
    uint64_t number, salt;
    uint64_t first_lsn; /* what LSNs count from */
    uint64_t last_lsn;  /* of its records that count; below first_lsn if there are none */
    uint64_t prev_last_lsn;
    uint64_t size; /* of the file; of a merged one the end of its records */
    uint32_t slot;
};

/* A snapshot that MANIFEST lists. */
struct nk_log_snap {
    uint64_t number, salt, lsn; /* S: the edit's last_lsn */
    uint64_t bytes;           /* of the file; 0 = it is missing or damaged, and good for nothing */
    bool wal_off;             /* versions, not LSNs: see NK_LSN_ROOM */
    struct nk_snap_foot foot; /* when bytes != 0 */
};

/* A snapshot where the log is the data: a folder of hard links. */
struct nk_log_links {
    uint64_t number; /* 0 = there is none */
    uint64_t lsn;    /* S */
    uint64_t bytes;  /* of the files */
    uint64_t keys;   /* more or less; 0 = not known */
    int64_t time_ms;
    bool durable; /* under its name */
};

/* One that is being made, in several calls: a folder without MANIFEST. */
struct nk_log_linking {
    struct nk_log_links as; /* what it will be; number 0 = none is being made */
    int dir;                /* the folder; -1 = it is not open */
    struct nk_piece *piece; /* its files, by LSN; those before `at` have their names in it */
    uint32_t count, at, cap;
};

/* A file that a merge has replaced, in `retained`. */
struct nk_old {
    enum nk_manifest_kind kind;
    bool sized; /* bytes are known */
    uint64_t number, bytes;
    int64_t time_ms; /* when it was replaced */
};
/* All of them (logold.c): a heap, file[0] is the oldest. */
struct nk_olds {
    struct nk_old *file;
    uint32_t count, cap;
    uint32_t sized; /* of which bytes are known … */
    uint64_t bytes; /* … and how many these are */
    bool known;     /* it is what the folder holds */
    bool doubtful;  /* or is not quite */
};

/* A file that belongs to nothing, to be unlinked. */
struct nk_orphan {
    uint64_t number;
    enum nk_path_kind kind; /* one that has a number */
};

/* Where a file is damaged. */
struct nk_place {
    char file[NK_PATH_MAX]; /* empty: not known */
    uint64_t offset;
};

struct nk_log_options {
    const struct nitro_mem *mem;
    const struct nitro_vfs *vfs;
    const char *dir;
    uint64_t file_bytes;
    const uint8_t *seed; /* NITRO_SEED_BYTES */
    nk_log_release_fn *release;
    nk_log_retain_fn *retain; /* takes one more reference to an object */
    void *release_ctx;
    /* enum nk_mode of a new store, and what an old one must have; 0 = that of the folder, memory */
    uint32_t mode;

    /* A look at one moment of a folder's past, for nitro_restore: open, scan, load, replay, close; never
     * finish. Nothing is created but LOCK. open: NITRO_ENOTFOUND if there is no folder, or no store in it.
     * scan: chooses the snapshot to begin with (`base`, read through once, so that it is sound; an older one
     * if it is not) and the end of the replay (`last_lsn`, `reached_ms`): the last whole batch that lies
     * in to_lsn and in the longest run of frames none of which is later than to_ms. NITRO_EARGUMENT if
     * that is outside of the window (`window_…`, which is filled also then): a to_lsn beyond its end, a to_lsn
     * or to_ms before its beginning. */
    bool read_only;
    uint64_t to_lsn;      /* UINT64_MAX: the newest */
    int64_t to_ms;        /* INT64_MAX: no limit; a time behind the newest frame's is one, too */
    struct nk_place *bad; /* filled with NITRO_ECORRUPT, by one thread; may be NULL */
};

struct nk_log {
    struct nitro_log_view view NK_ALIGNED(NK_CACHE_LINE);

    struct nk_spin lock NK_ALIGNED(NK_CACHE_LINE); /* guards what follows, up to "writer" */
    uint64_t next_lsn;
    struct nk_log_file *cur, *prepared;
    uint64_t at;      /* offset of the next byte in cur */
    uint64_t fill_at; /* beyond this offset the host is asked to fill */
    bool frame_open, stopped;
    uint64_t used_number, used_lsn; /* newest file that holds a frame, and its last LSN */
    uint8_t *block;                 /* this batch is laid out here instead of in the ring */
    uint64_t block_bytes;
    void *block_object;
    uint8_t *ring;
    uint64_t ring_head, ring_tail; /* positions; the ring has NK_RING_BYTES */
    struct nk_log_frame *frames;
    uint32_t frame_head, frame_tail; /* numbers; modulo NK_LOG_FRAMES */
    struct nk_splice *splices;
    uint32_t splice_head, splice_tail;
    struct nk_log_file *unsynced; /* oldest file with frames that are not durable … */
    struct nk_log_file *writing;  /* … to the one that the last written frame is in */
    struct nk_log_file *filling;  /* pinned by fill */
    uint64_t written_bytes, syncs, writes, frames_written, records;
    uint64_t wanted;      /* FULL: room that there must be again, so that the state does not flap */
    struct nitro_err err; /* first failure, or why there is no room */

    /* writer, syncer, filler: each its own */
    uint64_t group_bytes NK_ALIGNED(NK_CACHE_LINE); /* running mean of what a sync covers; atomic */
    uint64_t synced_bytes;                          /* written_bytes when the last sync began */
    int control_fd, manifest_fd;
    struct nk_control control; /* newest slot */
    uint64_t keys;             /* atomic: of the store, for CONTROL; the owner sets it */
    uint64_t manifest_at, manifest_seq, manifest_salt;
    uint64_t next_number;
    struct nk_live *live; /* logs that MANIFEST lists, by number */
    uint32_t live_count, live_cap;
    struct nk_log_snap *snaps; /* snapshots that it lists, by LSN */
    uint32_t snap_count, snap_cap;
    struct nk_log_data *data; /* merged files that it lists, by number */
    uint32_t data_count, data_cap;
    struct nk_files *files;        /* where the log is the data; else NULL */
    struct nk_log_links linked;    /* likewise: the newest snapshot */
    struct nk_log_linking linking; /* likewise: the next one */
    uint64_t dropping;             /* likewise: one that is removed bit by bit; 0 = none */
    /* likewise: files that hold LSNs up to here may have another name in a snapshot */
    uint64_t shared_lsn;
    int old_dirfd;      /* likewise: the folder of replaced files; -1 = there is none */
    struct nk_olds old; /* likewise: what it holds */
    struct {
        uint64_t number;    /* of the snapshot being written; 0 = none */
        uint64_t written;   /* written_bytes when it was begun */
        bool named, listed; /* it has its name; MANIFEST may list it */
    } making;
    uint64_t since, since_at; /* log above the newest snapshot, at written_bytes since_at */

    /* fixed after open */
    const struct nitro_mem *mem;
    const struct nitro_vfs *vfs;
    char *dir;
    size_t dir_bytes;
    int dirfd, lock_fd;
    uint64_t file_bytes, step;
    uint8_t store[16];
    struct {
        uint64_t k0, k1, n;
    } salts;
    nk_log_release_fn *release;
    nk_log_retain_fn *retain;
    void *release_ctx;
    uint32_t mode; /* enum nk_mode */

    bool wal_off; /* this life writes no log */

    /* recovery */
    struct nk_orphan *orphans;
    uint32_t orphan_count, orphan_cap;
    struct nk_log_snap base; /* loaded first: all up to base.lsn; number 0 = there is none */
    bool created, clean, tmp_seen;
    /* of the first log file that the tail was written to anew; 0 = there was none. The others follow, up to the one
     * that appends go to */
    uint64_t tail_number;
    uint64_t durable, last_lsn, seen_lsn; /* W; what is served; largest seen */
    int64_t newest_ms;
    struct nitro_recovery found;

    /* a look at the past: see struct nk_log_options */
    bool read_only;
    uint64_t to_lsn;
    int64_t to_ms;
    struct nk_place *bad;
    uint64_t window_first_lsn, window_last_lsn; /* what can be asked for; 0 = the empty store */
    int64_t window_first_ms, window_last_ms;
    int64_t reached_ms; /* of the frame or snapshot that holds last_lsn; 0 = the empty store */
    uint64_t
        past; /* where the log is the data: merged files with a later cut do not count; UINT64_MAX: all do */
};

/* ---- appending (log.c) -------------------------------------------------------------------------*/

/* nk_log_begin: takes the log's lock if records of `bytes` in all (nk_record_max) fit; `copied` of them are
 * copied into the ring, the others spliced (`splices` pieces). NITRO_OK: call nk_log_end soon.
 * NITRO_EBUSY, NK_ROOM (need: fill or write, then try again), NITRO_ELOGFULL, NITRO_EREADONLY: no lock
 * is held. */
NITRO_MUST_CHECK int nk_log_begin(struct nk_log *l, uint64_t bytes, uint64_t copied,
                                  uint32_t splices, bool is_delete);
/* nk_log_append: the next record, between begin and end; r->lsn is set. The body's CRC has been computed.
 * `object` != NULL: the value is spliced, not copied, and `object` released when it is written. */
void nk_log_append(struct nk_log *l, struct nk_record *r, uint32_t body_crc, void *object);
/* nk_log_begin_block: the same for a batch too large for the ring: its records are laid out in block[0 ..
 * bytes), which stays where it is until `object` is released. */
NITRO_MUST_CHECK int nk_log_begin_block(struct nk_log *l, uint64_t bytes, uint8_t *block,
                                        void *object, bool is_delete);
void nk_log_end(struct nk_log *l);

/* nk_log_peek: the record at loc, if it is not written yet; only where the log is the data, under the lock of a segment with an
 * entry that refers to it. NITRO_ENOTFOUND: it is in the file. NITRO_EBUSY. NITRO_OK: `bytes` of it, from its begin, have
 * been copied to buf[0 .. nk_log_peek_cap(loc)). If they are not all of it, the others follow at `rest`, and stay as long as
 * `object`, to which the caller gets a reference; in any case if that is not NULL. */
#define NK_PEEK_MAX (NK_REC_HEAD_MAX + 2u * 65535u) /* a longer record is spliced */
struct nk_peeked {
    uint64_t bytes;
    const uint8_t *rest;
    uint64_t rest_bytes;
    void *object;
};
NITRO_MUST_CHECK int nk_log_peek(struct nk_log *l, uint64_t loc, uint8_t *buf,
                                 struct nk_peeked *out);
NK_INLINE size_t nk_log_peek_cap(uint64_t loc) {
    return (size_t)nk_min_u64(nk_loc_bytes(loc), NK_PEEK_MAX);
}

/* nk_log_go_on: appends go to the prepared file from now on, which there is. Under the log's lock. */
void nk_log_go_on(struct nk_log *l);

NK_INLINE uint64_t nk_log_durable(const struct nk_log *l) {
    return __atomic_load_n(&l->view.durable, __ATOMIC_ACQUIRE);
}
NK_INLINE uint64_t nk_log_written(const struct nk_log *l) {
    return __atomic_load_n(&l->view.written, __ATOMIC_ACQUIRE);
}

/* nk_log_is_full: whether a file call has failed for want of room (-errno), which is no failure of the log. */
NK_INLINE bool nk_log_is_full(int rc) { return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG; }

/* ---- to the disk (log.c, logfill.c) ------------------------------------------------------------*/
NITRO_MUST_CHECK int nk_log_write(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_sync(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_fill(struct nk_log *l, uint64_t need, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_note(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_stop(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
/* nk_log_fail: the log has failed for good: keeps the first error, fills *err, returns NITRO_EIO. `number` is that
 * of the log file that it concerns, 0 = MANIFEST. */
int nk_log_fail(struct nk_log *l, struct nitro_err *err, int sys, const char *what,
                uint64_t number);
void nk_log_error(const struct nk_log *l, struct nitro_err *err);
/* nk_log_check: NITRO_OK, or NITRO_EIO with the first error in *err (NULL is fine) if the log has failed. */
NITRO_MUST_CHECK int nk_log_check(const struct nk_log *l, struct nitro_err *err);

/* ---- files (logfill.c) -------------------------------------------------------------------------*/

/* nk_log_create: a blank file with the next number and room up to `room`, durable and listed in MANIFEST,
 * in *out (owned, nk_log_file_free). NITRO_ELOGFULL, NITRO_EIO, NITRO_ENOMEM: the rest is removed as far
 * as possible. */
NITRO_MUST_CHECK int nk_log_create(struct nk_log *l, uint64_t room, struct nk_log_file **out,
                                   struct nitro_err *err);
void nk_log_file_free(struct nk_log *l, struct nk_log_file **f);
/* nk_log_no_slot, nk_log_no_handle: fill *err because the table of data files is full, or because the system gives no more
 * handles (rc: -EMFILE, -ENFILE); return NITRO_ELOGFULL. */
int nk_log_no_slot(const struct nk_log *l, struct nitro_err *err);
int nk_log_no_handle(const struct nk_log *l, int rc, struct nitro_err *err);
/* nk_log_header_write: the header of a file that is used from now on. Not synced. 0 or -errno. */
NITRO_MUST_CHECK int nk_log_header_write(struct nk_log *l, const struct nk_log_file *f,
                                         uint64_t durable_lsn, int64_t now_ms);
/* nk_log_edit: appends an edit, whose sequence is set here, to MANIFEST, syncs it, and brings `live`, `snaps` or `data` up to
 * date. On the filler's thread. NITRO_ELOGFULL, NITRO_ENOMEM: nothing happened. */
NITRO_MUST_CHECK int nk_log_edit(struct nk_log *l, const struct nk_manifest_edit *edit,
                                 struct nitro_err *err);
/* nk_log_prepare: makes the file that appends go on in after the current one, if there is none yet. The codes of
 * nk_log_create. On the filler's thread. */
NITRO_MUST_CHECK int nk_log_prepare(struct nk_log *l, struct nitro_err *err);
/* nk_log_control: writes the next slot of CONTROL and syncs it. */
NITRO_MUST_CHECK int nk_log_control(struct nk_log *l, uint64_t durable_lsn, uint64_t file,
                                    uint64_t end, bool clean, int64_t now_ms,
                                    struct nitro_err *err);
/* ---- snapshots, seen from the folder (logsnap.c); on the filler's thread ---------------------------*/

/* nk_log_snap_create: an empty NNNNNNNNNN.snap.tmp with the next number. NITRO_OK with number, salt and fd
 * (the caller closes it); NITRO_ELOGFULL, NITRO_EIO: no failure of the log. */
NITRO_MUST_CHECK int nk_log_snap_create(struct nk_log *l, uint64_t *number, uint64_t *salt, int *fd,
                                        struct nitro_err *err);
/* nk_log_snap_install: the written and synced file gets its name, durably, and is listed: it is the newest
 * snapshot from then on. NITRO_EIO from MANIFEST is a failure of the log, too. */
NITRO_MUST_CHECK int nk_log_snap_install(struct nk_log *l, const struct nk_snap_foot *foot,
                                         uint64_t lsn, uint64_t bytes, struct nitro_err *err);
/* nk_log_snap_discard: removes the rest of one that was not installed. */
void nk_log_snap_discard(struct nk_log *l, uint64_t number);
/* nk_log_retain, nk_log_state: as nitro_retain_some and nitro_folder_state. */
NITRO_MUST_CHECK int nk_log_retain(struct nk_log *l, int64_t now_ms, int64_t keep_ms,
                                   uint64_t keep_bytes, uint32_t files, bool *more,
                                   struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_state(struct nk_log *l, struct nitro_folder *out,
                                  struct nitro_err *err);
/* nk_log_snap_newest: the newest one, or NULL. Its S is the floor: what is not above it, no start needs. */
const struct nk_log_snap *nk_log_snap_newest(const struct nk_log *l);

/* ---- data files (logdata.c); on the filler's thread; only where the log is the data ------------------*/

/* nk_log_roll: appends go on in the next file, if the current one holds anything. *lsn (may be NULL): the newest LSN in the files before
 * that. NITRO_OK, NITRO_ELOGFULL, NITRO_EIO,
 * NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_log_roll(struct nk_log *l, uint64_t *lsn, struct nitro_err *err);
/* nk_log_current: the slot of the file that appends go to. */
uint32_t nk_log_current(struct nk_log *l);
/* nk_log_seal: seals one log file that is durable to its end and that nobody appends to any more: what is left of its room
 * goes. *sealed: its slot, 0 if there is none to seal. NITRO_OK, NITRO_EIO. */
NITRO_MUST_CHECK int nk_log_seal(struct nk_log *l, uint32_t *sealed, struct nitro_err *err);
/* nk_log_pieces: returns how many sealed pieces there are, and fills out[0 .. cap) with them, by LSN; cap is 0, or enough for all. */
uint32_t nk_log_pieces(const struct nk_log *l, struct nk_piece *out, uint32_t cap);

/* nk_log_data_create: an empty merged file with the next number, for writing; nothing refers to it. nk_log_data_install:
 * it is complete and synced, and is listed; *slot is for reading it. All pieces whose LSNs lie in its own are superseded by
 * then, and to be removed. nk_log_data_discard: removes one that was not installed. NITRO_ELOGFULL, NITRO_EIO,
 * NITRO_ENOMEM; from MANIFEST NITRO_EIO is a failure of the log, too. */
NITRO_MUST_CHECK int nk_log_data_create(struct nk_log *l, uint64_t *number, uint64_t *salt, int *fd,
                                        struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_data_install(struct nk_log *l, const struct nk_data_header *h,
                                         uint32_t *slot, struct nitro_err *err);
void nk_log_data_discard(struct nk_log *l, uint64_t number);
/* nk_log_piece_remove: takes a superseded piece, to which no entry refers, out of MANIFEST, durably, then out of the
 * folder with its hint; its slot is dropped. keep_ms > 0: it is kept in `retained`, as replaced at that time. */
NITRO_MUST_CHECK int nk_log_piece_remove(struct nk_log *l, uint32_t slot, int64_t keep_ms,
                                         struct nitro_err *err);

/* nk_log_hint_create: an empty hint file for the piece, under a name that nobody looks for. nk_log_hint_install: it gets its
 * name. nk_log_hint_discard. A hint that fails harms nothing: NITRO_ELOGFULL, NITRO_EIO. */
NITRO_MUST_CHECK int nk_log_hint_create(struct nk_log *l, uint64_t number, int *fd,
                                        struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_hint_install(struct nk_log *l, uint64_t number, struct nitro_err *err);
void nk_log_hint_discard(struct nk_log *l, uint64_t number);
/* nk_log_hint_open: the hint of file `number` for reading. NITRO_ENOTFOUND, NITRO_EIO. Any thread. */
NITRO_MUST_CHECK int nk_log_hint_open(const struct nk_log *l, uint64_t number, int *fd,
                                      uint64_t *size);

/* ---- snapshots where the log is the data (loglink.c); on the filler's thread --------------------------*/

/* nk_log_link: goes on with a snapshot of all up to `lsn`, which nk_log_roll has told and which is durable; seals or links up to
 * `files` files. NITRO_OK with *more: it is to be called again, for the same LSN (for another one, this one is given up); without: it is
 * l->linked. Else it is given up: NITRO_EBUSY: what a merge that was listed since rests on is newer, or it has removed a file that was to be
 * linked: roll again. NITRO_EARGUMENT: not durable; NITRO_EUNSUPPORTED: the file system has no hard links; NITRO_ELOGFULL,
 * NITRO_EIO, NITRO_ENOMEM: no harm done. */
NITRO_MUST_CHECK int nk_log_link(struct nk_log *l, uint64_t lsn, int64_t now_ms, uint32_t files,
                                 bool *more, struct nitro_err *err);
/* nk_log_link_stop: none is being made any more; the folder of one that was goes with nk_log_links_drop. */
void nk_log_link_stop(struct nk_log *l);
/* nk_log_links_drop: removes folders of snapshots but for that of l->linked and the one that is being made, up to *budget files of them,
 * which it counts down; *more: it did not suffice. Failures leave some, to be removed later. */
void nk_log_links_drop(struct nk_log *l, uint32_t *budget, bool *more);
/* nk_log_links_find: at open: l->linked is the newest complete one of the folders with these numbers. One that cannot be read is
 * left alone. NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_log_links_find(struct nk_log *l, uint64_t number, struct nitro_err *err);
/* nk_log_is_shared: whether a snapshot may need what lies behind the records of the file that count: then a start does not cut it off. */
bool nk_log_is_shared(const struct nk_log *l, const struct nk_live *f);
/* nk_log_links_info: what the host is told of one. */
NK_INLINE void nk_log_links_info(const struct nk_log_links *k, struct nitro_snapshot_info *out) {
    *out = (struct nitro_snapshot_info){.number = k->number,
                                        .lsn = k->lsn,
                                        .time_ms = k->time_ms,
                                        .keys = k->keys,
                                        .raw_bytes = k->bytes,
                                        .bytes = k->bytes};
}
/* nk_log_subfolder: opens folder `name` in the data folder: a handle, or -errno. */
int nk_log_subfolder(const struct nk_log *l, const char *name, unsigned flags);

/* ---- files that merges have replaced (logold.c); on the filler's thread -------------------------------*/

/* nk_log_old_open: makes the folder `retained`, if it is missing: from then on a start keeps what a merge has replaced. The same codes. */
NITRO_MUST_CHECK int nk_log_old_open(struct nk_log *l, struct nitro_err *err);
/* nk_log_old_keep: gives a file of the folder a name in `retained`, durably, if it has none yet. NITRO_ELOGFULL, NITRO_EIO,
 * NITRO_ENOMEM: it may have it, or not. */
NITRO_MUST_CHECK int nk_log_old_keep(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number,
                                     int64_t now_ms, struct nitro_err *err);
/* nk_log_old_drop: removes those that nk_log_retain need not keep; as nk_log_links_drop, and a file of which the size has to be found out
 * counts as one that is removed. NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_log_old_drop(struct nk_log *l, int64_t now_ms, int64_t keep_ms,
                                     uint64_t keep_bytes, uint32_t *budget, bool *more,
                                     struct nitro_err *err);
/* nk_log_old_each: calls fn for every file in `retained` until it returns other than 0. -errno, or what fn returned. */
typedef int nk_log_old_fn(void *arg, enum nk_manifest_kind kind, uint64_t number, int64_t time_ms);
int nk_log_old_each(const struct nk_log *l, nk_log_old_fn *fn, void *arg);
/* nk_log_old_path: the name of such a file, in out[NK_PATH_MAX]. */
void nk_log_old_path(enum nk_manifest_kind kind, uint64_t number, int64_t time_ms, char *out);

/* nk_log_salt: the next random number of the log's own. */
uint64_t nk_log_salt(struct nk_log *l);

#endif
