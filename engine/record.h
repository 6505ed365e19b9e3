/* SPDX-License-Identifier: MIT
 *
 * record.h - one effect on one key, as bytes in a log file (L3). Specified in docs/FORMAT.md.
 *
 *   off  size  field
 *     0     4  crc    CRC-32C of bytes 4+d .. end, then of {lsn u64, offset u64, salt u64}, where d is the
 *                     size of `delta`, offset that of the record in its file, salt the file's
 *     4   1..9  delta  lsn minus the file's first LSN, varint
 *     .     1  kind   bits 0..4 kind, bit 5 expiry follows, bit 6 more of this batch follows, bit 7 the value is
 *                     packed (only a put, see packed.h)
 *     .   1..9  key    bytes, varint, 0 .. 65535
 *     .   1..9  value  bytes, varint, 0 .. 512 MiB; 0 for kinds without a value
 *     .     8  expiry  i64, ms since the epoch, > 0 (only with bit 5)
 *     .        key, then value
 *
 *   varint: LEB128, little end first, 7 bits a byte; the shortest form alone is valid.
 *   A record is valid iff its lengths and kind obey the table, it ends within its frame, and crc is right.
 *   The CRC ends with what says where the record belongs, so that all but these 24 bytes can be computed
 *   before place and LSN are known.
 */
#ifndef NK_RECORD_H
#define NK_RECORD_H

#include "base.h"

enum nk_rec_kind {
    NK_REC_PUT = 1,    /* key, value, expiry or none: replaces what was there */
    NK_REC_DELETE = 2, /* key */
    NK_REC_EXPIRE = 3, /* key; the value stays, its expiry is this (without bit 5: none) */
    NK_REC_FLUSH = 4,  /* no key: everything before is gone */
    /* reserved: 5 TRUNCATE, 6 COMMIT, 7 EXPIRED (replication) */
    NK_REC_KINDS
};
#define NK_REC_HEAD_MAX (4u + 9u + 1u + 9u + 9u + 8u) /* bytes before the key */
#define NK_REC_CRC_BYTES 4u

struct nk_record {
    uint64_t lsn;
    enum nk_rec_kind kind;
    bool more;                  /* the next record belongs to the same batch */
    bool packed;                /* PUT: the value is in its packed form */
    int64_t expire_ms;          /* 0 = none */
    const uint8_t *key, *value; /* borrowed */
    uint32_t key_bytes, value_bytes;
    uint64_t loc; /* set by nk_log_append where the log is the data (loc.h), else 0 */
};

/* nk_record_max: an upper bound of the bytes of a record, whatever its LSN. */
NK_INLINE uint64_t nk_record_max(uint64_t key_bytes, uint64_t value_bytes) {
    return NK_REC_HEAD_MAX + key_bytes + value_bytes;
}

/* nk_record_body_crc: the CRC of everything but place and LSN, computed without any lock. */
uint32_t nk_record_body_crc(const struct nk_record *r);
/* nk_record_head: writes the head (all before the key) to out[NK_REC_HEAD_MAX] and returns its size.
 * The caller appends key and value. */
uint32_t nk_record_head(const struct nk_record *r, uint32_t body_crc, uint64_t first_lsn,
                        uint64_t offset, uint64_t salt, uint8_t *out);
/* nk_record_size: the size of the record with an LSN `delta` above the file's first. */
uint64_t nk_record_size(const struct nk_record *r, uint64_t delta);
/* nk_record_parse: reads the record that begins at p, of which n bytes are there: lengths and kinds are
 * checked, the CRC is not. Returns its size and fills *r (pointers into p), or 0 if it is not valid or
 * does not end within n. */
uint64_t nk_record_parse(const uint8_t *p, uint64_t n, uint64_t first_lsn, struct nk_record *r);
/* nk_record_bytes: the size that the head at p, of which n bytes are there, says the record has; 0 if the
 * head is not valid. */
uint64_t nk_record_bytes(const uint8_t *p, uint64_t n);
/* nk_record_check: whether the CRC of a parsed record at p is right. */
bool nk_record_check(const uint8_t *p, uint64_t bytes, const struct nk_record *r, uint64_t offset,
                     uint64_t salt);

#endif
