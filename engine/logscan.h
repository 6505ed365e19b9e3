/* SPDX-License-Identifier: MIT
 *
 * logscan.h - reading one log file from front to back: frames, and the records in them (L3).
 *
 * WHAT   The only reader of frames: recovery, replay and check use it. It says what is valid and decides
 *        nothing.
 * THREADS  One per scanner; several scanners may read one file.
 * OWNERSHIP  Pointers in a record are borrowed until the next call.
 */
#ifndef NK_LOGSCAN_H
#define NK_LOGSCAN_H

#include "frame.h"
#include "record.h"
#include "stretch.h"

struct nk_logscan {
    struct nk_stretch in; /* of the file */
    uint64_t size, salt, first_lsn;
    uint64_t at; /* offset of the next frame, or of the next record in a frame */

    /* the frame that the last nk_logscan_frame or _resync has found */
    struct nk_frame_head frame;
    uint64_t frame_at, frame_end;
    uint32_t left; /* records of it that have not been read */
    uint64_t lsn;  /* of the next one */

    bool hold; /* the owner still needs what it has borrowed: NITRO_EBUSY instead of reading on */
    int sys;   /* errno of a read that failed */
};

/* A record with its place. */
struct nk_placed {
    struct nk_record r;
    const uint8_t *p;
    uint64_t offset, bytes;
};

/* nk_placed_read: the record that begins at `at` and ends at or before `end`, unless `hold` (as nk_stretch_get). Its
 * CRC is not looked at. NITRO_OK; NITRO_ECORRUPT: there is none; NITRO_EBUSY, NITRO_ENOTFOUND (the file ends before `end`),
 * NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_placed_read(struct nk_stretch *in, uint64_t at, uint64_t end,
                                    uint64_t first_lsn, bool hold, struct nk_placed *out);

/* nk_logscan_init: at the first frame of a file whose header has been read. Takes no memory yet. */
void nk_logscan_init(struct nk_logscan *s, const struct nitro_vfs *vfs, const struct nitro_mem *mem,
                     int fd, uint64_t size, uint64_t salt, uint64_t first_lsn);
void nk_logscan_fini(struct nk_logscan *s);

/* All three return NITRO_EBUSY, with nothing changed, where they would have to read while `hold` is set. */
/* nk_logscan_frame: the frame at `at`. NITRO_OK: records follow; NITRO_ENOTFOUND: there is no valid frame
 * here; NITRO_EIO (sys), NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_logscan_frame(struct nk_logscan *s);
/* nk_logscan_resync: the first valid frame at or behind `at`, wherever it begins. The same codes. */
NITRO_MUST_CHECK int nk_logscan_resync(struct nk_logscan *s);
/* nk_logscan_record: the next record of the frame. NITRO_OK; NITRO_ENOTFOUND: the frame is over;
 * NITRO_ECORRUPT: no valid record here (the CRC is only looked at with `check`); NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_logscan_record(struct nk_logscan *s, bool check, struct nk_placed *out);
/* nk_logscan_skip: goes to the end of the frame. */
void nk_logscan_skip(struct nk_logscan *s);
/* nk_logscan_seek: moves a new scanner to the frame that holds record `want`; frames before it are passed over,
 * damaged ones too. *next is the LSN that the frame there has to begin with: `want` or less. If the record is
 * not there, the scanner stands behind the last frame before its place. A `want` up to the file's first LSN means
 * the file's begin. NITRO_OK, NITRO_EIO, NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_logscan_seek(struct nk_logscan *s, uint64_t want, uint64_t *next);

#endif
