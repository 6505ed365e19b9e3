/* SPDX-License-Identifier: MIT
 *
 * manifest.h - the list of live files: an append-only file of edits (L3). See docs/FORMAT.md.
 *
 * HEADER, 64 bytes
 *   off  size  field
 *     0     8  magic    "NITROMAN"
 *     8     4  version  1
 *    12     4  mode     1 memory, 2 bitcask, 3 lsm
 *    16    16  store    id of the store, random
 *    32     8  salt     random, of this manifest
 *    40    20  zeros
 *    60     4  crc      CRC-32C of bytes 0 .. 59
 * EDIT, 64 bytes, one after the other
 *     0     4  crc       CRC-32C of bytes 4 .. 63, then of {offset u64, salt u64}
 *     4     2  op        1 add, 3 remove
 *     6     2  kind      1 log, 2 snapshot, 3 data: what a merge has written (datafile.h)
 *     8     8  number    of the file
 *    16     8  salt      of the file
 *    24     8  first_lsn of data: as in its header, in both edits; else 0
 *    32     8  last_lsn  of data likewise; of a snapshot its S, in both edits; 0 = not known: a log's is in the
 *                         header of the file that follows
 *    40     8  sequence  of the edit, from 1, without gaps
 *    48    16  zeros
 *
 *   An edit is valid iff crc, op, kind, sequence and zeros hold. The list ends at the end of the file, or
 *   at an edit that is not valid and that no valid edit follows (a torn append); an invalid edit with a
 *   valid one behind it is damage. (A torn append cannot hide a file in use: see recovery.)
 */
#ifndef NK_MANIFEST_H
#define NK_MANIFEST_H

#include "base.h"

#define NK_MANIFEST_HEADER 64u
#define NK_MANIFEST_EDIT 64u
#define NK_MANIFEST_VERSION 1u

enum nk_mode { NK_MODE_MEMORY = 1, NK_MODE_BITCASK = 2, NK_MODE_LSM = 3 };
enum nk_manifest_op { NK_MANIFEST_ADD = 1, NK_MANIFEST_REMOVE = 3 };
enum nk_manifest_kind { NK_FILE_LOG = 1, NK_FILE_SNAP = 2, NK_FILE_DATA = 3 };

struct nk_manifest_head {
    uint32_t version, mode;
    uint8_t store[16];
    uint64_t salt;
};
struct nk_manifest_edit {
    enum nk_manifest_op op;
    enum nk_manifest_kind kind;
    uint64_t number, salt, first_lsn, last_lsn, sequence;
};

void nk_manifest_head_encode(const struct nk_manifest_head *h, uint8_t out[NK_MANIFEST_HEADER]);
/* nk_manifest_head_decode: NITRO_OK, NITRO_EFORMAT (newer version; out->version is set), NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_manifest_head_decode(const uint8_t p[NK_MANIFEST_HEADER],
                                             struct nk_manifest_head *out);
void nk_manifest_edit_encode(const struct nk_manifest_edit *e, uint64_t offset, uint64_t salt,
                             uint8_t out[NK_MANIFEST_EDIT]);
/* nk_manifest_edit_decode: false if it is not a valid edit at that offset. */
bool nk_manifest_edit_decode(const uint8_t p[NK_MANIFEST_EDIT], uint64_t offset, uint64_t salt,
                             struct nk_manifest_edit *out);

#endif
