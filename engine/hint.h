/* SPDX-License-Identifier: MIT
 *
 * hint.h - where the records of one sealed data file lie, so that a start need not read the file (L3). See
 * docs/FORMAT.md.
 *
 * A hint file is only a cache: it is written beside a log or merged file that does not change any more, names it by number,
 * salt and size, and is believed only if all of it is valid. Else it is not looked at, and rebuilt.
 *
 * HEADER, 128 bytes
 *   off  size  field
 *     0     8  magic       "NITROHNT"
 *     8     4  version     1
 *    12     4  kind        of the file it is about, as in MANIFEST: 1 log, 3 data
 *    16    16  store       id of the store
 *    32     8  number      of the file
 *    40     8  salt        the file's
 *    48     8  end         offset behind the file's last record, 512 .. 2^40
 *    56     8  first_lsn   what LSNs count from: the file's, >= 1
 *    64     8  last_lsn    of the last entry; first_lsn - 1 if there are none
 *    72     8  entries     how many
 *    80     8  put_bytes   of the records of puts, by rounded sizes (loc.h)
 *    88     8  gone_bytes  of the records of deletes and flushes
 *    96     8  gone_lsn    of the newest of these, 0 = none
 *   104     8  bytes       of the blocks that follow; 0 iff there are no entries
 *   112     8  time_ms     i64, not before any time in the file; >= 0
 *   120     4  zero
 *   124     4  crc         CRC-32C of bytes 0 .. 123
 * BLOCKS follow, without a gap, up to the end of the file
 *     0     4  bytes       of the entries, 1 .. 2^20
 *     4     4  crc         CRC-32C of the entries, then of {offset of the block u64, salt u64, bytes u64}
 *     8        entries; none spans two blocks
 * ENTRY: one record of the file, all of them, in the order of the file
 *     1..9  gap     varint: bytes between the end of the record before (512 for the first) and this one, which begins
 *                   before 2^32 and ends at or before `end`
 *     1..9  bytes   varint: of the record; not fewer than a record with such a key needs, not more than it can have
 *     1..9  delta   varint: LSN minus that of the entry before, >= 1 (minus first_lsn for the first; then it may be 0)
 *        1  kind    bits 0..4 the record's kind (1 put, 2 delete, 4 flush), bit 5 expiry follows (puts only), others 0
 *     1..9  key     varint: bytes, 0 .. 65535 (0 for a flush)
 *        8  expiry  i64, ms since the epoch, > 0 (only with bit 5)
 *           key
 * Valid iff magic, version, both crcs, zeros and all rules hold, and last_lsn, entries, put_bytes, gone_bytes and gone_lsn
 * are those of the entries.
 */
#ifndef NK_HINT_H
#define NK_HINT_H

#include "base.h"
#include "manifest.h"
#include "mem.h"
#include "record.h"
#include "vfs.h"

#define NK_HINT_HEADER 128u
#define NK_HINT_BLOCK_HEADER 8u
#define NK_HINT_BLOCK (256u * 1024) /* a block is written when it holds so much */
#define NK_HINT_BLOCK_MAX (1u << 20)
#define NK_HINT_VERSION 1u

struct nk_hint_head {
    uint32_t version;
    enum nk_manifest_kind kind;
    uint8_t store[16];
    uint64_t number, salt, end;
    uint64_t first_lsn, last_lsn, entries;
    uint64_t put_bytes, gone_bytes, gone_lsn;
    uint64_t bytes;
    int64_t time_ms;
};

void nk_hint_head_encode(const struct nk_hint_head *h, uint8_t out[NK_HINT_HEADER]);
/* nk_hint_head_decode: NITRO_OK, NITRO_EFORMAT (magic and crc are right, the version is newer; out->version is set),
 * NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_hint_head_decode(const uint8_t p[NK_HINT_HEADER], struct nk_hint_head *out);

struct nk_hint {
    uint64_t lsn, offset, bytes; /* of the record */
    enum nk_rec_kind kind;
    int64_t expire_ms;  /* 0 = none */
    const uint8_t *key; /* borrowed */
    uint32_t key_bytes;
};

/* Writes one. The caller makes and closes the file, and gives it its name when it is finished; it need not be synced. */
struct nk_hintwrite {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int fd;  /* borrowed */
    int sys; /* errno of a write that failed */
    struct nk_hint_head
        head;     /* counts what is added; the caller sets kind, store, number, salt, first_lsn */
    uint8_t *buf; /* the block that is being filled, its header in front */
    size_t used;
    uint64_t at;  /* offset of the block in the file */
    uint64_t end; /* of the record before */
};
/* nk_hintwrite_init: NITRO_OK, NITRO_ENOMEM. End it with nk_hintwrite_fini, also after errors. */
NITRO_MUST_CHECK int nk_hintwrite_init(struct nk_hintwrite *w, const struct nitro_vfs *vfs,
                                       const struct nitro_mem *mem, int fd,
                                       const struct nk_hint_head *head);
void nk_hintwrite_fini(struct nk_hintwrite *w);
/* nk_hintwrite_add: the next record; offsets and LSNs ascend. NITRO_OK; NITRO_ECORRUPT: such a record cannot come next in a
 * data file, so whoever has read it there has found damage; NITRO_EIO (sys). */
NITRO_MUST_CHECK int nk_hintwrite_add(struct nk_hintwrite *w, const struct nk_hint *h);
/* nk_hintwrite_finish: the last block and the header. `end`: the file's, not before that of a record; time_ms: see the
 * table. NITRO_OK, NITRO_EIO (sys). */
NITRO_MUST_CHECK int nk_hintwrite_finish(struct nk_hintwrite *w, uint64_t end, int64_t time_ms);

/* Reads one. */
struct nk_hintread {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int fd;  /* borrowed */
    int sys; /* errno of a read that failed */
    uint64_t size;
    struct nk_hint_head head;
    uint8_t *buf; /* the block that is being read; zeros follow it */
    size_t cap, used, bytes;
    uint64_t at;              /* offset of the next block */
    uint64_t end;             /* of the record before */
    struct nk_hint_head seen; /* counts the entries so far, as nk_hintwrite.head */
    bool hold;                /* NITRO_EBUSY instead of reading on, as in logscan.h */
};
/* nk_hintread_open: reads the header of a file of `size` bytes. NITRO_OK; NITRO_ECORRUPT (not valid, or the size is not
 * what it says), NITRO_EFORMAT (a newer version; head.version is set), NITRO_EIO (sys), NITRO_ENOMEM. End it with
 * nk_hintread_close, also after errors. Whether it is about the file that is meant, say the fields of `head`. */
NITRO_MUST_CHECK int nk_hintread_open(struct nk_hintread *r, const struct nitro_vfs *vfs,
                                      const struct nitro_mem *mem, int fd, uint64_t size);
void nk_hintread_close(struct nk_hintread *r);
/* nk_hintread_next: NITRO_OK; NITRO_ENOTFOUND at the end, when all counts are those of the header; NITRO_ECORRUPT,
 * NITRO_EIO (sys); NITRO_EBUSY: nothing changed, see `hold`. */
NITRO_MUST_CHECK int nk_hintread_next(struct nk_hintread *r, struct nk_hint *out);
/* nk_hintread_more: of it, what is done at the end of a block: reads the next one. For hint_entry.h. */
NITRO_MUST_CHECK int nk_hintread_more(struct nk_hintread *r);

#endif
