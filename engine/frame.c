/* SPDX-License-Identifier: MIT
 *
 * frame.c - encodes and decodes the headers of frames (L3; the table stands in frame.h).
 *
 * DESIGN
 *   A header proves by its CRC that it was written at this offset of this file (the salt is the file's),
 *   so that neither what an earlier file left in a block of the disk nor a user's value that looks like a
 *   frame can pass for one. The fields that replication will use are zero in this version, and a frame
 *   in which they are not is as invalid as one with a wrong CRC: its records may mean something else.
 *
 * NOT HERE  the records (record.c), whether a frame fits its file and its neighbours (logscan.c).
 */
#include "frame.h"

#include "crc32c.h"

enum {
    AT_MAGIC = 0,
    AT_CRC = 4,
    AT_BYTES = 8, /* the CRC covers everything from here */
    AT_COUNT = 12,
    AT_FIRST_LSN = 16,
    AT_DURABLE_LSN = 24,
    AT_TIME = 32,
    AT_GROUP = 40,
    AT_TERM = 44,
    AT_INDEX = 48
};
_Static_assert(AT_INDEX + 8 == NK_FRAME_HEADER, "frame.h");

static uint32_t crc_of(const uint8_t *p, uint64_t offset, uint64_t salt) {
    uint8_t place[16];
    nk_store64(place, offset);
    nk_store64(place + 8, salt);
    uint32_t crc = nk_crc32c(0, p + AT_BYTES, NK_FRAME_HEADER - AT_BYTES);
    return nk_crc32c(crc, place, sizeof place);
}

static bool obeys(const struct nk_frame_head *f) {
    return f->bytes != 0 && f->count != 0 && f->durable_lsn < f->first_lsn && f->time_ms > 0 &&
           f->group == 0 && f->term == 0 && f->index == 0;
}

void nk_frame_encode(const struct nk_frame_head *f, uint64_t offset, uint64_t salt,
                     uint8_t out[NK_FRAME_HEADER]) {
    NK_ASSERT(obeys(f));
    nk_store32(out + AT_MAGIC, NK_FRAME_MAGIC);
    nk_store32(out + AT_BYTES, f->bytes);
    nk_store32(out + AT_COUNT, f->count);
    nk_store64(out + AT_FIRST_LSN, f->first_lsn);
    nk_store64(out + AT_DURABLE_LSN, f->durable_lsn);
    nk_store64(out + AT_TIME, (uint64_t)f->time_ms);
    nk_store32(out + AT_GROUP, f->group);
    nk_store32(out + AT_TERM, f->term);
    nk_store64(out + AT_INDEX, f->index);
    nk_store32(out + AT_CRC, crc_of(out, offset, salt));
}

bool nk_frame_decode(const uint8_t p[NK_FRAME_HEADER], uint64_t offset, uint64_t salt,
                     struct nk_frame_head *out) {
    if (nk_load32(p + AT_MAGIC) != NK_FRAME_MAGIC) return false;
    if (nk_load32(p + AT_CRC) != crc_of(p, offset, salt)) return false;
    struct nk_frame_head f = {.bytes = nk_load32(p + AT_BYTES),
                              .count = nk_load32(p + AT_COUNT),
                              .first_lsn = nk_load64(p + AT_FIRST_LSN),
                              .durable_lsn = nk_load64(p + AT_DURABLE_LSN),
                              .time_ms = (int64_t)nk_load64(p + AT_TIME),
                              .group = nk_load32(p + AT_GROUP),
                              .term = nk_load32(p + AT_TERM),
                              .index = nk_load64(p + AT_INDEX)};
    if (!obeys(&f)) return false;
    *out = f;
    return true;
}
