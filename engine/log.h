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
#include "err.h"
#include "logfile.h"
#include "manifest.h"
#include "mem.h"
#include "path.h"
#include "record.h"
#include "vfs.h"

#define NK_RING_BYTES (4u << 20)        /* commit buffer */
#define NK_LOG_FRAMES 64u               /* frames between two writes */
#define NK_LOG_SPLICES 256u             /* large values between two writes */
#define NK_FRAME_BYTES_MAX (1ull << 30) /* an open frame takes no more beyond this */
#define NK_LOG_RESERVE 65536u           /* end of the window, for deletes alone */
#define NK_LOG_FOOTER_ROOM (2u * NK_SECTOR)
#define NK_LOG_STEP_MAX (4ull << 20) /* of the window */
#define NK_LOG_STEP_MIN 65536ull
#define NK_LOG_FIRST_STEP (1ull << 20)
#define NK_GROUP_LARGE 65536u    /* syncs of more than this: allocate, don't fill */
#define NK_LSN_JUMP (1ull << 24) /* after an unclean start */
#define NK_LOG_FILE_MIN 65536ull
#define NK_LOG_FILE_MAX (1ull << 40)
#define NK_LOG_FILE_DEFAULT (64ull << 20)

/* nk_log_begin: no room yet; not one of the public codes. */
#define NK_ROOM 0x100

/* A file that is, or will be, written to. */
struct nk_log_file {
    struct nk_log_file *next; /* newer */
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

/* What a file of the manifest is known to be. */
struct nk_live {
    uint64_t number, salt;
    struct nk_log_header head;
    uint64_t last_lsn; /* of its records that count */
    uint64_t size;
    uint64_t end;      /* offset behind its last record that is valid; 0 = not looked at */
    uint64_t keep_end; /* likewise, behind the last one up to W */
    bool on_chain;     /* used, and not superseded by a recovery */
};

struct nk_log_options {
    const struct nitro_mem *mem;
    const struct nitro_vfs *vfs;
    const char *dir;
    uint64_t file_bytes;
    const uint8_t *seed; /* NITRO_SEED_BYTES */
    nk_log_release_fn *release;
    void *release_ctx;
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
    uint64_t manifest_at, manifest_seq, manifest_salt;
    uint64_t next_number;

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
    void *release_ctx;

    /* recovery */
    struct nk_live *live; /* files of the manifest, by number */
    uint32_t live_count, live_cap;
    uint64_t *orphans; /* numbers of files to unlink */
    uint32_t orphan_count, orphan_cap;
    bool created, clean, tmp_seen;
    uint64_t durable, last_lsn, seen_lsn; /* W; what is served; largest seen */
    int64_t newest_ms;
    struct nitro_recovery found;
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

NK_INLINE uint64_t nk_log_durable(const struct nk_log *l) {
    return __atomic_load_n(&l->view.durable, __ATOMIC_ACQUIRE);
}
NK_INLINE uint64_t nk_log_written(const struct nk_log *l) {
    return __atomic_load_n(&l->view.written, __ATOMIC_ACQUIRE);
}

/* ---- to the disk (log.c, logfill.c) ------------------------------------------------------------*/
NITRO_MUST_CHECK int nk_log_write(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_sync(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_fill(struct nk_log *l, uint64_t need, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_note(struct nk_log *l, struct nitro_err *err);
NITRO_MUST_CHECK int nk_log_stop(struct nk_log *l, int64_t now_ms, struct nitro_err *err);
/* nk_log_fail: the log has failed for good: keeps the first error, fills *err, returns NITRO_EIO. */
int nk_log_fail(struct nk_log *l, struct nitro_err *err, int sys, const char *what,
                uint64_t number);
void nk_log_error(const struct nk_log *l, struct nitro_err *err);

/* ---- files (logfill.c) -------------------------------------------------------------------------*/

/* nk_log_create: a blank file with the next number and room up to `room`, durable and listed in MANIFEST,
 * in *out (owned, nk_log_file_free). NITRO_ELOGFULL, NITRO_EIO, NITRO_ENOMEM: the rest is removed as far
 * as possible. */
NITRO_MUST_CHECK int nk_log_create(struct nk_log *l, uint64_t room, struct nk_log_file **out,
                                   struct nitro_err *err);
void nk_log_file_free(struct nk_log *l, struct nk_log_file **f);
/* nk_log_header_write: the header of a file that is used from now on. Not synced. 0 or -errno. */
NITRO_MUST_CHECK int nk_log_header_write(struct nk_log *l, const struct nk_log_file *f,
                                         uint64_t durable_lsn, int64_t now_ms);
/* nk_log_edit: appends an edit to MANIFEST and syncs it. */
NITRO_MUST_CHECK int nk_log_edit(struct nk_log *l, enum nk_manifest_op op, uint64_t number,
                                 uint64_t salt, struct nitro_err *err);
/* nk_log_control: writes the next slot of CONTROL and syncs it. */
NITRO_MUST_CHECK int nk_log_control(struct nk_log *l, uint64_t durable_lsn, uint64_t file,
                                    uint64_t end, bool clean, int64_t now_ms,
                                    struct nitro_err *err);
/* nk_log_salt: the next random number of the log's own. */
uint64_t nk_log_salt(struct nk_log *l);

#endif
