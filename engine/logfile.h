/* SPDX-License-Identifier: MIT
 *
 * logfile.h - the first sector of a log file, and the sector after its clean end (L3). See
 * docs/FORMAT.md.
 *
 * HEADER, the first 512 bytes; frames begin at 512
 *   off  size  field
 *     0     8  magic         "NITROLOG"
 *     8     4  version       1
 *    12     4  state         0 blank (prepared, holds nothing), 1 used
 *    16    16  store         id of the store
 *    32     8  number        of the file, from 1
 *    40     8  salt          random
 *    48     8  first_lsn     of the first record        \
 *    56     8  prev_number   the file before, 0 = none   | all 0 while blank
 *    64     8  prev_last_lsn its last LSN, < first_lsn   |
 *    72     8  durable_lsn   durable when this was written, <= prev_last_lsn /
 *    80     8  time_ms       i64, when this was written
 *    88   420  zeros
 *   508     4  crc           CRC-32C of bytes 0 .. 507
 *
 * FOOTER, one sector, at the first multiple of 512 that is not before the end of the frames; nothing
 *   follows it
 *     0     8  magic         "NITROEND"
 *     8     8  number        of the file
 *    16     8  salt          the file's
 *    24     8  end           offset where the frames end
 *    32     8  last_lsn      the file's last LSN (prev_last_lsn if it holds none)
 *    40   468  zeros
 *   508     4  crc           CRC-32C of bytes 0 .. 507
 *
 * Both are valid iff magic, version, crc, zeros and the rules of the fields hold.
 */
#ifndef NK_LOGFILE_H
#define NK_LOGFILE_H

#include "base.h"

#define NK_SECTOR 512u
#define NK_LOG_VERSION 1u

struct nk_log_header {
    uint32_t version; /* of the format; set by decode also when it is newer than this program's */
    uint32_t used;    /* 0 = blank */
    uint8_t store[16];
    uint64_t number, salt;
    uint64_t first_lsn, prev_number, prev_last_lsn, durable_lsn;
    int64_t time_ms;
};
struct nk_log_footer {
    uint64_t number, salt, end, last_lsn;
};

void nk_log_header_encode(const struct nk_log_header *h, uint8_t out[NK_SECTOR]);
/* nk_log_header_decode: NITRO_OK, NITRO_EFORMAT (magic and crc are right, the version is newer; out->version
 * is set), NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_log_header_decode(const uint8_t p[NK_SECTOR], struct nk_log_header *out);
void nk_log_footer_encode(const struct nk_log_footer *f, uint8_t out[NK_SECTOR]);
bool nk_log_footer_decode(const uint8_t p[NK_SECTOR], struct nk_log_footer *out);

#endif
