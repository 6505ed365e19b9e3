/* SPDX-License-Identifier: MIT
 *
 * frame.h - what one write to a log file carries: a header, then records (L3). See docs/FORMAT.md.
 *
 *   off  size  field
 *     0     4  magic        "NKFR" (4e 4b 46 52)
 *     4     4  crc          CRC-32C of bytes 8 .. 55, then of {offset u64, salt u64}
 *     8     4  bytes        of the records that follow, 1 .. 2^32 - 1
 *    12     4  count        of the records, 1 .. 2^32 - 1
 *    16     8  first_lsn    of the first record; the others follow one by one
 *    24     8  durable_lsn  durable when this was written; < first_lsn
 *    32     8  time_ms      i64, the store's time when this was written, > 0
 *    40     4  group        Raft group; 0
 *    44     4  term         Raft term; 0
 *    48     8  index        Raft index of the first record; 0
 *    56        records
 *
 *   A frame is valid iff magic, crc, and the rules of the fields hold, first_lsn is not before the file's,
 *   and it ends within the file. A batch never spans two frames, records never do. Frames follow one
 *   another without a gap. A frame that was torn may hold valid records before the first that is not.
 */
#ifndef NK_FRAME_H
#define NK_FRAME_H

#include "base.h"

#define NK_FRAME_MAGIC 0x52464b4eu
#define NK_FRAME_HEADER 56u

struct nk_frame_head {
    uint32_t bytes, count;
    uint64_t first_lsn, durable_lsn;
    int64_t time_ms;
    uint32_t group, term;
    uint64_t index;
};

/* nk_frame_encode: writes the header of a frame that lies at `offset` of a file. */
void nk_frame_encode(const struct nk_frame_head *f, uint64_t offset, uint64_t salt,
                     uint8_t out[NK_FRAME_HEADER]);
/* nk_frame_decode: false if the NK_FRAME_HEADER bytes at p are not the valid header of a frame at that
 * offset. Whether it ends within the file is the caller's business. */
bool nk_frame_decode(const uint8_t p[NK_FRAME_HEADER], uint64_t offset, uint64_t salt,
                     struct nk_frame_head *out);

#endif
