/* SPDX-License-Identifier: MIT
 *
 * snapfile.h - a snapshot as a file: its bytes, writing it, reading it (L3). See docs/FORMAT.md.
 *
 * HEADER, the first 512 bytes; blocks begin at 512
 *   off  size  field
 *     0     8  magic       "NITROSNP"
 *     8     4  version     1
 *    12     4  flags       bit 0: the store wrote no log (--wal off); the others 0
 *    16    16  store       id of the store
 *    32     8  number      of the file, from 1
 *    40     8  salt        random
 *    48     8  lsn         S: the store as it was when this was its newest LSN (or version)
 *    56   452  zeros
 *   508     4  crc         CRC-32C of bytes 0 .. 507
 *
 * BLOCK, 32 bytes and the payload; one directly after the other
 *     0     4  magic       "NSBK"
 *     4     4  stored      bytes of the payload as it lies in the file, >= 1; less than raw if it is
 *                          compressed, else raw
 *     8     4  raw         bytes of the payload when decompressed, 1 .. NK_SNAP_RAW_MAX
 *    12     4  count       records that begin in it: kind 1: >= 1, 2: 1, 3: 0
 *    16     1  kind        1 records, 2 head of a large record, 3 more of it
 *    17     1  compression 0 none, 1 LZ4 (block format), 2 Zstandard (one frame)
 *    18     2  zeros
 *    20     4  index       of the block, from 0
 *    24     4  crc         CRC-32C of the stored payload
 *    28     4  head_crc    CRC-32C of bytes 0 .. 27, then of {offset of the block u64, salt u64}
 *
 * RECORD, in the raw payload of blocks
 *     .     1  flags       bit 0 expiry follows; bit 1 large: the value goes on in blocks of kind 3
 *     .   1..9  key        bytes, varint, 0 .. 65535
 *     .   1..9  value      bytes, varint, 0 .. 512 MiB
 *     .   1..9  age        S minus the entry's version, varint, < S
 *     .     8  expiry      i64, ms since the epoch, > 0 (only with bit 0)
 *     .        key, then value
 *   varint as in varint.h. Blocks of kind 1 hold whole records without bit 1. A block of kind 2 holds the
 *   head of one record with bit 1, its key and the first bytes of its value (at least one), which the
 *   blocks of kind 3 that follow it directly complete exactly.
 *
 * FOOTER, one sector, at the first multiple of 512 that is not before the end of the blocks (zeros in
 *   between); nothing follows it
 *     0     8  magic       "NITROSNE"
 *     8     8  number      the file's
 *    16     8  salt        the file's
 *    24     8  end         offset where the blocks end
 *    32     8  blocks
 *    40     8  keys        records
 *    48     8  raw_bytes   of all blocks
 *    56     8  hash_a      content hash: two sums, mod 2^64, over
 *    64     8  hash_b      all records; see below
 *    72     8  time_ms     i64: not before the time of any log frame with a record up to S
 *    80     4  file_crc    CRC-32C of the header's sector and then of the 32 bytes of every block's header
 *    84   424  zeros
 *   508     4  crc         CRC-32C of bytes 0 .. 507
 *
 * CONTENT HASH  depends on keys, values and expiries; not on their order, nor on versions, blocks and
 *   compression: two stores with the same contents have the same. Numbers are u64, + and * mod 2^64, ^ is xor.
 *     fold(x, y) = the high half of the 128-bit product x * y, ^ the low half
 *     step(x, y):  a = fold(x ^ K1, y ^ a),  b = fold(y ^ K2, x ^ b)
 *     mix(v) as nk_hash_mix (SplitMix64)
 *   For a record: a = K3, b = K4; step(expiry or 0, value bytes * 2^16 + key bytes); then a step for each 16
 *   bytes of the key and after that of the value, as two little-endian u64, the last part of either
 *   filled up with zeros. mix(a) is added to hash_a, mix(b) to hash_b. (The lengths stand in front, so no two
 *   records give the same steps; mix keeps the sums from being blind to values that have changed places.)
 *   K1 .. K4 are NK_SNAP_K1 .. NK_SNAP_K4. The hash finds accidents, not forgeries: its constants are public.
 *
 * WHAT   Codec, writer and reader; no policy. THREADS  One per writer and per reader; several readers may
 *   read one file. ERRORS  A file's contents are never asserted on.
 */
#ifndef NK_SNAPFILE_H
#define NK_SNAPFILE_H

#include "compress.h"
#include "logfile.h"
#include "mem.h"
#include "vfs.h"

#define NK_SNAP_VERSION 1u
#define NK_SNAP_BLOCK_HEAD 32u
#define NK_SNAP_BLOCK (256u * 1024)    /* raw bytes of a block, unless one record needs more */
#define NK_SNAP_RAW_MAX (1024u * 1024) /* raw bytes that a block may have */
#define NK_SNAP_REC_HEAD_MAX (1u + 9u + 9u + 9u + 8u)
#define NK_SNAP_K1 UINT64_C(0x6a09e667f3bcc908) /* 64 bits behind the point of sqrt(2), */
#define NK_SNAP_K2 UINT64_C(0xbb67ae8584caa73b) /* sqrt(3), */
#define NK_SNAP_K3 UINT64_C(0x3c6ef372fe94f82b) /* sqrt(5), */
#define NK_SNAP_K4 UINT64_C(0xa54ff53a5f1d36f1) /* and sqrt(7) */

struct nk_snap_head {
    uint32_t version; /* set by decode also when it is newer than this program's */
    bool wal_off;
    uint8_t store[16];
    uint64_t number, salt, lsn;
};
enum nk_snap_kind { NK_SNAP_RECORDS = 1, NK_SNAP_LARGE = 2, NK_SNAP_MORE = 3 };
struct nk_snap_block {
    uint32_t stored, raw, count, index, crc;
    enum nk_snap_kind kind;
    enum nitro_compression compression;
};
struct nk_snap_foot {
    uint64_t number, salt, end, blocks, keys, raw_bytes, hash_a, hash_b;
    int64_t time_ms;
    uint32_t file_crc;
};
void nk_snap_head_encode(const struct nk_snap_head *h, uint8_t out[NK_SECTOR]);
/* nk_snap_head_decode: NITRO_OK, NITRO_EFORMAT (a newer version: out->version), NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_snap_head_decode(const uint8_t p[NK_SECTOR], struct nk_snap_head *out);
void nk_snap_foot_encode(const struct nk_snap_foot *f, uint8_t out[NK_SECTOR]);
bool nk_snap_foot_decode(const uint8_t p[NK_SECTOR], struct nk_snap_foot *out);

void nk_snap_block_encode(const struct nk_snap_block *b, uint64_t offset, uint64_t salt,
                          uint8_t out[NK_SNAP_BLOCK_HEAD]);
bool nk_snap_block_decode(const uint8_t p[NK_SNAP_BLOCK_HEAD], uint64_t offset, uint64_t salt,
                          struct nk_snap_block *out);

/* ---- records -----------------------------------------------------------------------------------*/
struct nk_snaprec {
    const uint8_t *key, *value; /* borrowed */
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint64_t version;
    int64_t expire_ms; /* 0 = none */
    bool large;        /* the value is in pieces: see nk_snapread_value */
};
/* nk_snaprec_head: writes all before the key to out[NK_SNAP_REC_HEAD_MAX], returns its size. The caller
 * appends key and value. `lsn` is S, not below the version. */
uint32_t nk_snaprec_head(const struct nk_snaprec *r, uint64_t lsn, uint8_t *out);
/* nk_snaprec_parse: the record that begins at p, of which n bytes are there: its size, with *out filled
 * (pointers into p); 0 if it is not valid or does not end within n. Of a large one the head and the key must
 * be there, and the size is theirs; value points behind them. */
uint64_t nk_snaprec_parse(const uint8_t *p, uint64_t n, uint64_t lsn, struct nk_snaprec *out);
/* nk_snap_hash: adds one record to the content hash. Large values too: all of it at once. */
void nk_snap_hash(const struct nk_snaprec *r, uint64_t *a, uint64_t *b);

/* ---- writing -----------------------------------------------------------------------------------*/
struct nk_snapwrite {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int fd; /* borrowed */
    struct nk_snap_head head;
    enum nitro_compression compression;
    struct nk_compress codec;
    uint8_t *stored; /* block header and stored payload */
    size_t stored_cap;
    uint8_t *first;  /* payload of a block of kind 2; made when first needed */
    uint64_t at;     /* offset of the next block */
    uint64_t synced; /* up to here the file has been synced on the way */
    struct nk_snap_foot foot;
    int sys; /* errno of a file call that failed */
};
/* nk_snapwrite_init: writes the header to a new, empty file. NITRO_OK, NITRO_ENOMEM, NITRO_EIO (sys). Ends
 * with nk_snapwrite_fini in any case. */
NITRO_MUST_CHECK int nk_snapwrite_init(struct nk_snapwrite *w, const struct nitro_vfs *vfs,
                                       const struct nitro_mem *mem, int fd,
                                       const struct nk_snap_head *head,
                                       enum nitro_compression compression);
/* nk_snapwrite_records: n bytes of whole records (none large), written as blocks. The file is synced every few
 * MiB, so that the last sync is short. */
NITRO_MUST_CHECK int nk_snapwrite_records(struct nk_snapwrite *w, const uint8_t *p, size_t n);
/* nk_snapwrite_large: one record whose value lies elsewhere; r->large is set. */
NITRO_MUST_CHECK int nk_snapwrite_large(struct nk_snapwrite *w, const struct nk_snaprec *r);
/* nk_snapwrite_finish: the footer, and a sync of it all. w->foot is final then. */
NITRO_MUST_CHECK int nk_snapwrite_finish(struct nk_snapwrite *w, int64_t time_ms);
void nk_snapwrite_fini(struct nk_snapwrite *w);

/* ---- reading -----------------------------------------------------------------------------------*/
struct nk_snapread {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int fd; /* borrowed */
    uint64_t size;
    struct nk_snap_head head;
    struct nk_snap_foot foot;
    uint32_t part, of;

    uint64_t at;                   /* offset of the next block header */
    uint64_t blocks, groups;       /* headers read; groups begun */
    uint64_t counted, raw_bytes;   /* what all headers say: records, bytes */
    uint64_t keys, hash_a, hash_b; /* of the records that were returned */
    uint32_t file_crc;             /* of all headers up to `at` */
    struct nk_snap_block block;    /* the last one whose header was read */
    struct nk_compress codec;
    uint8_t *stored, *raw;
    size_t stored_cap, raw_cap, raw_len, raw_at;
    uint32_t count_left; /* records that are still to come in raw */
    uint64_t value_left; /* of the large record being read */

    int sys;          /* errno of a read that failed */
    uint64_t bad_at;  /* offset of what is damaged */
    const char *what; /* and what is wrong with it; static */
};
/* nk_snapread_open: reads header and footer. NITRO_OK, NITRO_EFORMAT (head.version), NITRO_ECORRUPT (bad_at,
 * what), NITRO_EIO (sys), NITRO_ENOMEM. Ends with nk_snapread_close in any case; the fd stays the caller's. */
NITRO_MUST_CHECK int nk_snapread_open(struct nk_snapread *r, const struct nitro_vfs *vfs,
                                      const struct nitro_mem *mem, int fd, uint64_t size);
void nk_snapread_close(struct nk_snapread *r);
/* nk_snapread_part: this reader returns the groups (a block of kind 1, or one of kind 2 with those that
 * complete it) whose number is `part` modulo `of`. It still reads and checks the header of every block, and at
 * the end what the footer says about them. Default 0 of 1. */
void nk_snapread_part(struct nk_snapread *r, uint32_t part, uint32_t of);
/* nk_snapread_next: the next record of the part. Pointers are borrowed until the next call. NITRO_OK;
 * NITRO_ENOTFOUND at the end (with part 0 of 1 the keys and the content hash have been compared with the
 * footer; otherwise the caller sums keys, hash_a, hash_b over the parts and compares); NITRO_ECORRUPT,
 * NITRO_EIO, NITRO_ENOMEM. NITRO_EBUSY with `hold`: the records returned so far are still needed, and the next
 * one lies in another block; nothing has changed. */
NITRO_MUST_CHECK int nk_snapread_next(struct nk_snapread *r, bool hold, struct nk_snaprec *out);
/* nk_snapread_value: after a large record, whose key is there and whose value is NULL: copies all of the value to
 * dst[value_bytes], and rec->value is dst. Must be called before nk_snapread_next goes on. */
NITRO_MUST_CHECK int nk_snapread_value(struct nk_snapread *r, struct nk_snaprec *rec, uint8_t *dst);

#endif
