/* SPDX-License-Identifier: MIT
 *
 * datafile.h - a file that a merge has written: what was still wanted of some log files, or merged ones (L3). See
 * docs/FORMAT.md.
 *
 * HEADER, the first 512 bytes; records begin at 512, one behind the other, without frames
 *   off  size  field
 *     0     8  magic         "NITRODAT"
 *     8     4  version       1
 *    12     4  zero
 *    16    16  store         id of the store
 *    32     8  number        of the file, from 1
 *    40     8  salt          random
 *    48     8  first_lsn     \  the file stands for all effects of these LSNs: what is not in it is of no use. LSNs of its
 *    56     8  last_lsn      /  records lie in between and ascend, and their deltas count from first_lsn
 *    64     8  prev_last_lsn the last LSN before first_lsn that was given out; 0 = there was none; < first_lsn
 *    72     8  end           offset behind the last record, 512 .. 2^40
 *    80     8  records       how many
 *    88     8  time_ms       i64, of the newest frame that was merged, not before any time in it; > 0
 *    96     8  cut_lsn       what effects up to here made dead may be missing; >= last_lsn. So a look at an earlier point
 *                            of the past needs the files that this one has replaced
 *   104   404  zeros
 *   508     4  crc           CRC-32C of bytes 0 .. 507
 *
 * Valid iff magic, version, crc, zeros and the rules of the fields hold (first_lsn >= 1, last_lsn >= first_lsn, records
 * == 0 iff end == 512). The header is written last. A file that is listed is whole; what lies behind `end` means nothing.
 *
 * RECORDS are those of log files (record.h), of kinds 1, 2 and 4 and without bit 6, as batches are whole; each begins
 *   before 2^32 (loc.h).
 */
#ifndef NK_DATAFILE_H
#define NK_DATAFILE_H

#include "base.h"
#include "logfile.h" /* NK_SECTOR */
#include "logscan.h" /* struct nk_placed */

#define NK_DATA_VERSION 1u
#define NK_DATA_END_MAX (UINT64_C(1) << 40)

struct nk_data_header {
    uint32_t version; /* of the format; set by decode also when it is newer than this program's */
    uint8_t store[16];
    uint64_t number, salt;
    uint64_t first_lsn, last_lsn, prev_last_lsn;
    uint64_t end, records;
    int64_t time_ms;
    uint64_t cut_lsn;
};

void nk_data_header_encode(const struct nk_data_header *h, uint8_t out[NK_SECTOR]);
/* nk_data_header_decode: NITRO_OK, NITRO_EFORMAT (magic and crc are right, the version is newer; out->version is set),
 * NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_data_header_decode(const uint8_t p[NK_SECTOR], struct nk_data_header *out);

/* Reads such a file from front to back, in large pieces. One thread. Pointers in a record are borrowed until the next
 * call. */
struct nk_datascan {
    struct nk_stretch in; /* of the file */
    uint64_t end, salt, first_lsn, last_lsn;
    uint64_t at;     /* offset of the next record */
    uint64_t newest; /* LSN of the one before; 0 = none */
    uint64_t left;   /* records that have not been read */
    bool hold; /* the owner still needs what it has borrowed: NITRO_EBUSY instead of reading on */
    int sys;   /* errno of a read that failed */
};

/* nk_datascan_init: at the first record. Takes no memory yet. */
void nk_datascan_init(struct nk_datascan *s, const struct nitro_vfs *vfs,
                      const struct nitro_mem *mem, int fd, const struct nk_data_header *h);
void nk_datascan_fini(struct nk_datascan *s);
/* nk_datascan_record: NITRO_OK; NITRO_ENOTFOUND at the end; NITRO_ECORRUPT: no valid record at `at`, or its LSN is not
 * above the one before, or outside of the file's (the CRC is only looked at with `check`), or the file is shorter than its
 * header says, or there are not as many records; NITRO_EIO (sys), NITRO_ENOMEM; NITRO_EBUSY: nothing changed, see `hold`.
 * After an error it says the same again. */
NITRO_MUST_CHECK int nk_datascan_record(struct nk_datascan *s, bool check, struct nk_placed *out);

#endif
