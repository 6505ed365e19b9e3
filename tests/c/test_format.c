/* SPDX-License-Identifier: MIT
 *
 * test_format.c - everything on disk that has a fixed size: headers of frames and log files, footers,
 * head and edits of MANIFEST, slots of CONTROL, header, footer and block headers of snapshots, headers of merged
 * files and hints. Records are in test_record.c, test_snapfile.c, test_datafile.c and test_hint.c, the golden files in
 * test_golden.c.
 *
 * DESIGN
 *   One table says for each format where its CRC is and what it covers, and how to decode it; the tests
 *   run over all of them. A rule is tried by changing one field and putting the CRC right again, by
 *   format_ref.h and not by the engine: so it is the rule that refuses. What decodes must encode to the
 *   same bytes, which every decode here checks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "control.h"
#include "datafile.h"
#include "format_ref.h"
#include "frame.h"
#include "hint.h"
#include "logfile.h"
#include "manifest.h"
#include "snapfile.h"
#include "support.h"

#define SALT UINT64_C(0xfedcba9876543210)
#define OFFSET UINT64_C(192) /* of an edit it is the third */
#define BLOCK_MAX 512u
#define STORE                                                                                      \
    {                                                                                              \
        0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae,  \
            0xaf                                                                                   \
    }

/* ---- the formats -------------------------------------------------------------------------------*/

/* Each decode gives a NITRO code and, on success, encodes what came out into again[]. */
typedef int decode_fn(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again);

static const struct nk_frame_head frame_sample = {.bytes = 0x11223344,
                                                  .count = 0x55667788,
                                                  .first_lsn = 0x0102030405060708,
                                                  .durable_lsn = 0x0102030405060707,
                                                  .time_ms = 1700000000000};
static int frame_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_frame_head f;
    if (!nk_frame_decode(p, offset, salt, &f)) return NITRO_ECORRUPT;
    nk_frame_encode(&f, offset, salt, again);
    return NITRO_OK;
}

static const struct nk_log_header header_sample = {.version = 1,
                                                   .used = 1,
                                                   .store = STORE,
                                                   .number = 7,
                                                   .salt = SALT,
                                                   .first_lsn = 500,
                                                   .prev_number = 6,
                                                   .prev_last_lsn = 400,
                                                   .durable_lsn = 300,
                                                   .time_ms = 1700000000000};
static int header_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_log_header h;
    (void)offset, (void)salt;
    int rc = nk_log_header_decode(p, &h);
    if (rc == NITRO_OK) nk_log_header_encode(&h, again);
    return rc;
}

static const struct nk_log_header blank_sample = {
    .version = 1, .store = STORE, .number = 7, .salt = SALT, .time_ms = 1700000000000};

static const struct nk_log_footer footer_sample = {
    .number = 7, .salt = SALT, .end = 12345, .last_lsn = 600};
static int footer_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_log_footer f;
    (void)offset, (void)salt;
    if (!nk_log_footer_decode(p, &f)) return NITRO_ECORRUPT;
    nk_log_footer_encode(&f, again);
    return NITRO_OK;
}

static const struct nk_manifest_head head_sample = {
    .version = 1, .mode = NK_MODE_MEMORY, .store = STORE, .salt = SALT};
static int head_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_manifest_head h;
    (void)offset, (void)salt;
    int rc = nk_manifest_head_decode(p, &h);
    if (rc == NITRO_OK) nk_manifest_head_encode(&h, again);
    return rc;
}

static const struct nk_manifest_edit edit_sample = {.op = NK_MANIFEST_REMOVE,
                                                    .kind = NK_FILE_LOG,
                                                    .number = 7,
                                                    .salt = 99,
                                                    .first_lsn = 500,
                                                    .last_lsn = 600,
                                                    .sequence = 3};
static const struct nk_manifest_edit merged_sample = {.op = NK_MANIFEST_ADD,
                                                      .kind = NK_FILE_DATA,
                                                      .number = 7,
                                                      .salt = 99,
                                                      .first_lsn = 500,
                                                      .last_lsn = 600,
                                                      .sequence = 3};
static int edit_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_manifest_edit e;
    if (!nk_manifest_edit_decode(p, offset, salt, &e)) return NITRO_ECORRUPT;
    nk_manifest_edit_encode(&e, offset, salt, again);
    return NITRO_OK;
}

static const struct nk_control control_sample = {.version = 1,
                                                 .clean = 1,
                                                 .store = STORE,
                                                 .sequence = 41,
                                                 .durable_lsn = 600,
                                                 .file = 7,
                                                 .end = 12345,
                                                 .time_ms = 1700000000000,
                                                 .keys = 9};
static const struct nk_control note_sample = {.version = 1, .store = STORE, .sequence = 42};
static int control_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_control c;
    (void)offset, (void)salt;
    int rc = nk_control_decode(p, &c);
    if (rc == NITRO_OK) nk_control_encode(&c, again);
    return rc;
}

static const struct nk_snap_head snap_sample = {
    .version = 1, .wal_off = true, .store = STORE, .number = 7, .salt = SALT, .lsn = 600};
static int snap_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_snap_head h;
    (void)offset, (void)salt;
    int rc = nk_snap_head_decode(p, &h);
    if (rc == NITRO_OK) nk_snap_head_encode(&h, again);
    return rc;
}

static const struct nk_snap_block block_sample = {.stored = 1000,
                                                  .raw = 4000,
                                                  .count = 5,
                                                  .index = 77,
                                                  .crc = 0x11223344,
                                                  .kind = NK_SNAP_RECORDS,
                                                  .compression = NITRO_COMPRESSION_ZSTD};
static int block_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_snap_block b;
    if (!nk_snap_block_decode(p, offset, salt, &b)) return NITRO_ECORRUPT;
    nk_snap_block_encode(&b, offset, salt, again);
    return NITRO_OK;
}

static const struct nk_snap_foot end_sample = {.number = 7,
                                               .salt = SALT,
                                               .end = 12345,
                                               .blocks = 12,
                                               .keys = 1000,
                                               .raw_bytes = 50000,
                                               .hash_a = 0x0102030405060708,
                                               .hash_b = 0x1112131415161718,
                                               .time_ms = 1700000000000,
                                               .file_crc = 0x55667788};
static int end_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_snap_foot f;
    (void)offset, (void)salt;
    if (!nk_snap_foot_decode(p, &f)) return NITRO_ECORRUPT;
    nk_snap_foot_encode(&f, again);
    return NITRO_OK;
}

static const struct nk_data_header data_sample = {.version = 1,
                                                  .store = STORE,
                                                  .number = 7,
                                                  .salt = SALT,
                                                  .first_lsn = 500,
                                                  .last_lsn = 600,
                                                  .prev_last_lsn = 400,
                                                  .end = 12345,
                                                  .records = 20,
                                                  .time_ms = 1700000000000,
                                                  .cut_lsn = 700};
static int data_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_data_header h;
    (void)offset, (void)salt;
    int rc = nk_data_header_decode(p, &h);
    if (rc == NITRO_OK) nk_data_header_encode(&h, again);
    return rc;
}

static const struct nk_hint_head hint_sample = {.version = 1,
                                                .kind = NK_FILE_DATA,
                                                .store = STORE,
                                                .number = 7,
                                                .salt = SALT,
                                                .end = 12345,
                                                .first_lsn = 500,
                                                .last_lsn = 600,
                                                .entries = 20,
                                                .put_bytes = 9000,
                                                .gone_bytes = 2000,
                                                .gone_lsn = 590,
                                                .bytes = 700,
                                                .time_ms = 1700000000000};
static int hint_decode(const uint8_t *p, uint64_t offset, uint64_t salt, uint8_t *again) {
    struct nk_hint_head h;
    (void)offset, (void)salt;
    int rc = nk_hint_head_decode(p, &h);
    if (rc == NITRO_OK) nk_hint_head_encode(&h, again);
    return rc;
}

struct format {
    const char *name;
    decode_fn *decode;
    size_t bytes;
    size_t crc_at, crc_from, crc_to; /* covers [from, to) … */
    bool placed;                     /* … and then offset and salt */
    size_t zeros_from, zeros_to;
    size_t version_at; /* 0 = has none */
    size_t magic;      /* bytes of it; 0 = has none */
};
enum {
    FRAME,
    HEADER,
    BLANK,
    FOOTER,
    HEAD,
    EDIT,
    MERGED,
    CONTROL,
    NOTE,
    SNAP,
    BLOCK,
    END,
    DATA,
    HINT,
    FORMATS
};
static const struct format formats[FORMATS] = {
    [FRAME] = {"frame", frame_decode, 56, 4, 8, 56, true, 40, 56, 0, 4},
    [HEADER] = {"log header", header_decode, 512, 508, 0, 508, false, 88, 508, 8, 8},
    [BLANK] = {"blank log header", header_decode, 512, 508, 0, 508, false, 88, 508, 8, 8},
    [FOOTER] = {"footer", footer_decode, 512, 508, 0, 508, false, 40, 508, 0, 8},
    [HEAD] = {"manifest head", head_decode, 64, 60, 0, 60, false, 40, 60, 8, 8},
    [EDIT] = {"edit", edit_decode, 64, 0, 4, 64, true, 48, 64, 0, 0},
    [MERGED] = {"edit of a merged file", edit_decode, 64, 0, 4, 64, true, 48, 64, 0, 0},
    [CONTROL] = {"control slot", control_decode, 512, 508, 0, 508, false, 80, 508, 8, 8},
    [NOTE] = {"control slot, not clean", control_decode, 512, 508, 0, 508, false, 80, 508, 8, 8},
    [SNAP] = {"snapshot header", snap_decode, 512, 508, 0, 508, false, 56, 508, 8, 8},
    [BLOCK] = {"block header", block_decode, 32, 28, 0, 28, true, 18, 20, 0, 4},
    [END] = {"snapshot footer", end_decode, 512, 508, 0, 508, false, 84, 508, 0, 8},
    [DATA] = {"merged file's header", data_decode, 512, 508, 0, 508, false, 104, 508, 8, 8},
    [HINT] = {"hint's header", hint_decode, 128, 124, 0, 124, false, 120, 124, 8, 8},
};

/* sample: a valid block of a format; owned, of exactly its size. */
static uint8_t *sample(int which) {
    uint8_t *p = malloc(formats[which].bytes);
    if (p == NULL) test_fail("the test itself is out of memory");
    memset(p, 0xee, formats[which].bytes); /* what was there must not show */
    if (which == FRAME) nk_frame_encode(&frame_sample, OFFSET, SALT, p);
    if (which == HEADER) nk_log_header_encode(&header_sample, p);
    if (which == BLANK) nk_log_header_encode(&blank_sample, p);
    if (which == FOOTER) nk_log_footer_encode(&footer_sample, p);
    if (which == HEAD) nk_manifest_head_encode(&head_sample, p);
    if (which == EDIT) nk_manifest_edit_encode(&edit_sample, OFFSET, SALT, p);
    if (which == MERGED) nk_manifest_edit_encode(&merged_sample, OFFSET, SALT, p);
    if (which == CONTROL) nk_control_encode(&control_sample, p);
    if (which == NOTE) nk_control_encode(&note_sample, p);
    if (which == SNAP) nk_snap_head_encode(&snap_sample, p);
    if (which == BLOCK) nk_snap_block_encode(&block_sample, OFFSET, SALT, p);
    if (which == END) nk_snap_foot_encode(&end_sample, p);
    if (which == DATA) nk_data_header_encode(&data_sample, p);
    if (which == HINT) nk_hint_head_encode(&hint_sample, p);
    return p;
}

/* reseal: puts the CRC right, by the reference. */
static void reseal(const struct format *f, uint8_t *p, uint64_t offset, uint64_t salt) {
    uint32_t crc = ref_crc(0, p + f->crc_from, f->crc_to - f->crc_from);
    if (f->placed) crc = ref_crc_u64(ref_crc_u64(crc, offset), salt);
    ref_put(p + f->crc_at, crc, 4);
}

/* decode_at: the code; what is valid has to encode to the bytes it came from. */
static int decode_at(const struct format *f, const uint8_t *p, uint64_t offset, uint64_t salt) {
    uint8_t again[BLOCK_MAX];
    int rc = f->decode(p, offset, salt, again);
    if (rc == NITRO_OK && memcmp(again, p, f->bytes) != 0)
        test_fail("%s: decoded and encoded, it has other bytes", f->name);
    return rc;
}

static int decode(const struct format *f, const uint8_t *p) {
    return decode_at(f, p, OFFSET, SALT);
}

/* ---- what holds for all of them ----------------------------------------------------------------*/

/* What was encoded decodes, and its CRC is the one that the specification says. */
static void every_format__encoded__valid_with_the_reference_crc(void **state) {
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        uint8_t *p = sample(i);
        uint64_t crc = ref_get(p + formats[i].crc_at, 4);
        assert_int_equal(decode(&formats[i], p), NITRO_OK);
        reseal(&formats[i], p, OFFSET, SALT);
        if (ref_get(p + formats[i].crc_at, 4) != crc) test_fail("%s: another CRC", formats[i].name);
        free(p);
    }
}

/* Every bit counts, zeros and CRC included. */
static void every_format__any_bit_flipped__damaged(void **state) {
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        uint8_t *p = sample(i);
        for (size_t bit = 0; bit < 8 * formats[i].bytes; bit++) {
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (decode(&formats[i], p) != NITRO_ECORRUPT)
                test_fail("%s: not refused with bit %zu of byte %zu flipped", formats[i].name,
                          bit % 8, bit / 8);
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(decode(&formats[i], p), NITRO_OK);
        free(p);
    }
}

/* The magic and the bytes that must be zero are rules of their own: a right CRC does not replace them. */
static void every_format__magic_or_zeros_changed_under_a_right_crc__damaged(void **state) {
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        uint8_t *p = sample(i);
        for (size_t at = 0; at < f->bytes; at++) {
            if (at >= f->magic && (at < f->zeros_from || at >= f->zeros_to)) continue;
            for (int bit = 0; bit < 8; bit += 7) {
                p[at] ^= (uint8_t)(1u << bit);
                reseal(f, p, OFFSET, SALT);
                if (decode(f, p) != NITRO_ECORRUPT)
                    test_fail("%s: byte %zu may be %02x", f->name, at, p[at]);
                p[at] ^= (uint8_t)(1u << bit);
            }
        }
        free(p);
    }
}

/* Zeros and erased flash are nothing valid, with a right CRC too. */
static void every_format__one_byte_repeated__damaged(void **state) {
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        uint8_t *p = sample(i);
        for (int byte = 0; byte <= 0xff; byte += 0xff) {
            memset(p, byte, formats[i].bytes);
            assert_int_equal(decode(&formats[i], p), NITRO_ECORRUPT);
            reseal(&formats[i], p, OFFSET, SALT);
            assert_int_equal(decode(&formats[i], p), NITRO_ECORRUPT);
        }
        free(p);
    }
}

/* A frame, a block or an edit is valid where it was written: every bit of its offset and of the salt counts. */
static void placed_formats__in_another_place__damaged(void **state) {
    (void)state;
    for (int i = 0; i < FORMATS; i++) {
        uint8_t *p = sample(i);
        for (int bit = 0; formats[i].placed && bit < 64; bit++) {
            uint64_t flip = UINT64_C(1) << bit;
            assert_int_equal(decode_at(&formats[i], p, OFFSET ^ flip, SALT), NITRO_ECORRUPT);
            assert_int_equal(decode_at(&formats[i], p, OFFSET, SALT ^ flip), NITRO_ECORRUPT);
        }
        free(p);
    }
}

/* A version that this program does not know is told apart from damage, if the block is whole; version 0
 * never was. */
static void versioned_formats__version_changed__newer_or_damaged(void **state) {
    (void)state;
    static const uint32_t newer[] = {2, 3, 0x80000000, UINT32_MAX};
    for (int i = 0; i < FORMATS; i++) {
        const struct format *f = &formats[i];
        uint8_t *p = sample(i);
        for (size_t k = 0; f->version_at != 0 && k < 4; k++) {
            ref_put(p + f->version_at, newer[k], 4);
            assert_int_equal(decode(f, p), NITRO_ECORRUPT);
            reseal(f, p, OFFSET, SALT);
            assert_int_equal(decode(f, p), NITRO_EFORMAT);
        }
        if (f->version_at != 0) {
            ref_put(p + f->version_at, 0, 4);
            reseal(f, p, OFFSET, SALT);
            assert_int_equal(decode(f, p), NITRO_ECORRUPT);
        }
        free(p);
    }
}

/* ---- rules of single fields --------------------------------------------------------------------*/

struct rule {
    int format;
    const char *name;
    size_t at;
    unsigned bytes;
    uint64_t value;
    bool allowed;
};

static const struct rule rules[] = {
    {FRAME, "no bytes", 8, 4, 0, false},
    {FRAME, "one byte", 8, 4, 1, true},
    {FRAME, "most bytes", 8, 4, UINT32_MAX, true},
    {FRAME, "no record", 12, 4, 0, false},
    {FRAME, "one record", 12, 4, 1, true},
    {FRAME, "most records", 12, 4, UINT32_MAX, true},
    {FRAME, "LSN 0", 16, 8, 0, false},
    {FRAME, "its first LSN durable already", 16, 8, 0x0102030405060707, false},
    {FRAME, "first LSN, largest", 16, 8, UINT64_MAX, true},
    {FRAME, "nothing durable", 24, 8, 0, true},
    {FRAME, "itself durable", 24, 8, 0x0102030405060708, false},
    {FRAME, "time 0", 32, 8, 0, false},
    {FRAME, "time -1", 32, 8, UINT64_MAX, false},
    {FRAME, "time 1", 32, 8, 1, true},
    {FRAME, "time, last", 32, 8, INT64_MAX, true},
    {HEADER, "blank, with LSNs", 12, 4, 0, false},
    {HEADER, "state 2", 12, 4, 2, false},
    {HEADER, "another store", 16, 8, UINT64_MAX, true},
    {HEADER, "number 0", 32, 8, 0, false},
    {HEADER, "number of the file before", 32, 8, 6, false},
    {HEADER, "number, largest", 32, 8, UINT64_MAX, true},
    {HEADER, "salt 0", 40, 8, 0, true},
    {HEADER, "first LSN 0", 48, 8, 0, false},
    {HEADER, "first LSN in the file before", 48, 8, 400, false},
    {HEADER, "first LSN next to the file before", 48, 8, 401, true},
    {HEADER, "no file before", 56, 8, 0, true},
    {HEADER, "the file before is this one", 56, 8, 7, false},
    {HEADER, "last LSN before, too large", 64, 8, 500, false},
    {HEADER, "last LSN before, less than is durable", 64, 8, 299, false},
    {HEADER, "all before durable", 72, 8, 400, true},
    {HEADER, "more durable than there was", 72, 8, 401, false},
    {HEADER, "nothing durable", 72, 8, 0, true},
    {HEADER, "time -1", 80, 8, UINT64_MAX, false},
    {BLANK, "number 0", 32, 8, 0, false},
    {BLANK, "used, without an LSN", 12, 4, 1, false},
    {BLANK, "first LSN", 48, 8, 1, false},
    {BLANK, "file before", 56, 8, 1, false},
    {BLANK, "last LSN before", 64, 8, 1, false},
    {BLANK, "durable LSN", 72, 8, 1, false},
    {FOOTER, "number 0", 8, 8, 0, false},
    {FOOTER, "number, largest", 8, 8, UINT64_MAX, true},
    {FOOTER, "end in the header", 24, 8, 511, false},
    {FOOTER, "no frames", 24, 8, 512, true},
    {FOOTER, "last LSN 0", 32, 8, 0, true},
    {HEAD, "mode 0", 12, 4, 0, false},
    {HEAD, "mode bitcask", 12, 4, NK_MODE_BITCASK, true},
    {HEAD, "mode lsm", 12, 4, NK_MODE_LSM, true},
    {HEAD, "mode 4", 12, 4, 4, false},
    {HEAD, "mode 2^32 - 1", 12, 4, UINT32_MAX, false},
    {EDIT, "op 0", 4, 2, 0, false},
    {EDIT, "add", 4, 2, NK_MANIFEST_ADD, true},
    {EDIT, "remove", 4, 2, NK_MANIFEST_REMOVE, true},
    {EDIT, "op 2", 4, 2, 2, false},
    {EDIT, "op 4", 4, 2, 4, false},
    {EDIT, "op 65535", 4, 2, 65535, false},
    {EDIT, "kind 0", 6, 2, 0, false},
    {EDIT, "a snapshot", 6, 2, NK_FILE_SNAP, true},
    {EDIT, "a merged file", 6, 2, NK_FILE_DATA, true},
    {EDIT, "kind 4", 6, 2, 4, false},
    {EDIT, "kind 65535", 6, 2, 65535, false},
    {EDIT, "number 0", 8, 8, 0, false},
    {EDIT, "LSNs not known", 24, 8, 0, true},
    {EDIT, "last LSN 0", 32, 8, 0, true},
    {EDIT, "sequence 0", 40, 8, 0, false},
    {EDIT, "sequence of the edit before", 40, 8, 2, false},
    {EDIT, "sequence of the edit behind", 40, 8, 4, false},
    {MERGED, "first LSN 0", 24, 8, 0, false},
    {MERGED, "first LSN 1", 24, 8, 1, true},
    {MERGED, "one LSN", 24, 8, 600, true},
    {MERGED, "first LSN behind the last", 24, 8, 601, false},
    {MERGED, "last LSN before the first", 32, 8, 499, false},
    {MERGED, "last LSN, largest", 32, 8, UINT64_MAX, true},
    {CONTROL, "clean 2", 12, 4, 2, false},
    {CONTROL, "not clean, with an end", 12, 4, 0, false},
    {CONTROL, "sequence 0", 32, 8, 0, false},
    {CONTROL, "sequence, largest", 32, 8, UINT64_MAX, true},
    {CONTROL, "nothing durable", 40, 8, 0, true},
    {CONTROL, "time 0", 64, 8, 0, true},
    {CONTROL, "keys not known", 72, 8, 0, true},
    {CONTROL, "keys, largest", 72, 8, UINT64_MAX, true},
    {NOTE, "clean", 12, 4, 1, true},
    {NOTE, "clean 2", 12, 4, 2, false},
    {NOTE, "clean 2^32 - 1", 12, 4, UINT32_MAX, false},
    {NOTE, "an end", 56, 8, 512, false},
    {CONTROL, "time -1", 64, 8, UINT64_MAX, false},
    {SNAP, "a store with a log", 12, 4, 0, true},
    {SNAP, "flag 1", 12, 4, 2, false},
    {SNAP, "flag 31", 12, 4, 0x80000001, false},
    {SNAP, "number 0", 32, 8, 0, false},
    {SNAP, "number, largest", 32, 8, UINT64_MAX, true},
    {SNAP, "the empty store", 48, 8, 0, true},
    {SNAP, "LSN, largest", 48, 8, UINT64_MAX, true},
    {BLOCK, "nothing stored", 4, 4, 0, false},
    {BLOCK, "one byte stored", 4, 4, 1, true},
    {BLOCK, "compressed, one byte less", 4, 4, 3999, true},
    {BLOCK, "compressed, not smaller", 4, 4, 4000, false},
    {BLOCK, "compressed, larger", 4, 4, UINT32_MAX, false},
    {BLOCK, "nothing in it", 8, 4, 0, false},
    {BLOCK, "most bytes", 8, 4, NK_SNAP_RAW_MAX, true},
    {BLOCK, "more than most bytes", 8, 4, NK_SNAP_RAW_MAX + 1, false},
    {BLOCK, "raw bytes 2^32 - 1", 8, 4, UINT32_MAX, false},
    {BLOCK, "no record", 12, 4, 0, false},
    {BLOCK, "most records", 12, 4, UINT32_MAX, true},
    {BLOCK, "kind 0", 16, 1, 0, false},
    {BLOCK, "large, five of them", 16, 1, 2, false},
    {BLOCK, "more of a value, with records", 16, 1, 3, false},
    {BLOCK, "kind 4", 16, 1, 4, false},
    {BLOCK, "kind 255", 16, 1, 255, false},
    {BLOCK, "large, one", 12, 8, UINT64_C(1) | UINT64_C(0x0202) << 32, true},
    {BLOCK, "large, none", 12, 8, UINT64_C(0x0202) << 32, false},
    {BLOCK, "more of a value", 12, 8, UINT64_C(0x0203) << 32, true},
    {BLOCK, "not compressed, smaller", 17, 1, 0, false},
    {BLOCK, "not compressed", 4, 8, UINT64_C(4000) << 32 | 4000, false}, /* it says that it is */
    {BLOCK, "LZ4", 17, 1, 1, true},
    {BLOCK, "compression 3", 17, 1, 3, false},
    {BLOCK, "index, largest", 20, 4, UINT32_MAX, true},
    {END, "number 0", 8, 8, 0, false},
    {END, "end in the header", 24, 8, 511, false},
    {END, "no blocks", 24, 8, 512, true},
    {END, "no keys", 40, 8, 0, true},
    {END, "time 0", 72, 8, 0, true},
    {END, "time -1", 72, 8, UINT64_MAX, false},
    {DATA, "bytes 12 .. 15", 12, 4, 1, false},
    {DATA, "byte 15", 15, 1, 0x80, false},
    {DATA, "number 0", 32, 8, 0, false},
    {DATA, "number, largest", 32, 8, UINT64_MAX, true},
    {DATA, "first LSN in the piece before", 48, 8, 400, false},
    {DATA, "first LSN next to the piece before", 48, 8, 401, true},
    {DATA, "one LSN", 48, 8, 600, true},
    {DATA, "first LSN behind the last", 48, 8, 601, false},
    {DATA, "last LSN, that of the cut", 56, 8, 700, true},
    {DATA, "last LSN behind the cut", 56, 8, 701, false},
    {DATA, "the first piece", 64, 8, 0, true},
    {DATA, "last LSN before, too large", 64, 8, 500, false},
    {DATA, "end in the header", 72, 8, 511, false},
    {DATA, "end of the header, with records", 72, 8, 512, false},
    {DATA, "end behind the first byte", 72, 8, 513, true},
    {DATA, "end, largest", 72, 8, NK_DATA_END_MAX, true},
    {DATA, "end, too large", 72, 8, NK_DATA_END_MAX + 1, false},
    {DATA, "no records, with an end", 80, 8, 0, false},
    {DATA, "one record", 80, 8, 1, true},
    {DATA, "cut at the last LSN", 96, 8, 600, true},
    {DATA, "cut before the last LSN", 96, 8, 599, false},
    {DATA, "cut, largest", 96, 8, UINT64_MAX, true},
    {DATA, "time 0", 88, 8, 0, false},
    {DATA, "time -1", 88, 8, UINT64_MAX, false},
    {DATA, "time, last", 88, 8, INT64_MAX, true},
    {HINT, "of kind 0", 12, 4, 0, false},
    {HINT, "of a log", 12, 4, NK_FILE_LOG, true},
    {HINT, "of a snapshot", 12, 4, NK_FILE_SNAP, false},
    {HINT, "of kind 4", 12, 4, 4, false},
    {HINT, "of kind 2^32 - 1", 12, 4, UINT32_MAX, false},
    {HINT, "number 0", 32, 8, 0, false},
    {HINT, "end in the header", 48, 8, 511, false},
    {HINT, "end of the header", 48, 8, 512, true}, /* the entries say that it cannot be */
    {HINT, "end, too large", 48, 8, NK_DATA_END_MAX + 1, false},
    {HINT, "first LSN 0", 56, 8, 0, false},
    {HINT, "one LSN", 56, 8, 600, true},
    {HINT, "entries, and no LSN", 56, 8, 601, false},
    {HINT, "first LSN behind the last", 56, 8, 602, false},
    {HINT, "no entries, with LSNs", 72, 8, 0, false},
    {HINT, "no blocks, with entries", 104, 8, 0, false},
    {HINT, "time 0", 112, 8, 0, true},
    {HINT, "time -1", 112, 8, UINT64_MAX, false},
};

/* Each rule refuses what breaks it, and allows what is just within, with the CRC right. */
static void every_format__field_changed_under_a_right_crc__as_its_rule_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *r = &rules[i];
        uint8_t *p = sample(r->format);
        ref_put(p + r->at, r->value, r->bytes);
        reseal(&formats[r->format], p, OFFSET, SALT);
        int rc = decode(&formats[r->format], p);
        if (rc != (r->allowed ? NITRO_OK : NITRO_ECORRUPT))
            test_fail("%s, %s: %s", formats[r->format].name, r->name, nitro_strerror(rc));
        free(p);
    }
}

/* An edit lies where its sequence says, in steps of its size; none lies where the head does. */
static void edit__offset_and_sequence_disagree__damaged(void **state) {
    (void)state;
    uint8_t *p = sample(EDIT);
    for (uint64_t offset = 0; offset < 512; offset += 32) {
        reseal(&formats[EDIT], p, offset, SALT);
        assert_int_equal(decode_at(&formats[EDIT], p, offset, SALT),
                         offset == OFFSET ? NITRO_OK : NITRO_ECORRUPT);
    }
    ref_put(p + 40, 0, 8);
    reseal(&formats[EDIT], p, 0, SALT);
    assert_int_equal(decode_at(&formats[EDIT], p, 0, SALT), NITRO_ECORRUPT);
    free(p);
}

/* ---- results -----------------------------------------------------------------------------------*/

/* An error changes nothing of what the caller has, but for the version that is newer. */
static void decoders__error__output_untouched_but_for_a_newer_version(void **state) {
    (void)state;
    static const uint32_t versions[] = {0, 9};
    for (size_t i = 0; i < 2; i++) {
        struct nk_log_header h = header_sample;
        struct nk_manifest_head m = head_sample;
        struct nk_control c = control_sample;
        struct nk_snap_head s;
        struct nk_data_header d;
        struct nk_hint_head n = hint_sample;
        memcpy(&s, &snap_sample, sizeof s); /* padding, too */
        memcpy(&d, &data_sample, sizeof d);
        int code = i == 0 ? NITRO_ECORRUPT : NITRO_EFORMAT;
        uint32_t expected = i == 0 ? 1 : 9;
        static const int which[] = {HEADER, HEAD, CONTROL, SNAP, DATA, HINT};
        uint8_t *p[6];
        for (int k = 0; k < 6; k++) {
            const struct format *f = &formats[which[k]];
            p[k] = sample(which[k]);
            memset(p[k] + 16, 0x77, 8); /* what must not come through */
            ref_put(p[k] + f->version_at, versions[i], 4);
            reseal(f, p[k], OFFSET, SALT);
        }
        assert_int_equal(nk_log_header_decode(p[0], &h), code);
        assert_int_equal(nk_manifest_head_decode(p[1], &m), code);
        assert_int_equal(nk_control_decode(p[2], &c), code);
        assert_int_equal(nk_snap_head_decode(p[3], &s), code);
        assert_int_equal(nk_data_header_decode(p[4], &d), code);
        assert_int_equal(nk_hint_head_decode(p[5], &n), code);
        assert_true(h.version == expected && m.version == expected);
        assert_true(c.version == expected && s.version == expected);
        assert_true(d.version == expected && n.version == expected);
        h.version = m.version = c.version = s.version = d.version = n.version = 1;
        assert_memory_equal(&h, &header_sample, sizeof h);
        assert_memory_equal(&m, &head_sample, sizeof m);
        assert_memory_equal(&c, &control_sample, sizeof c);
        assert_memory_equal(&s, &snap_sample, sizeof s);
        assert_memory_equal(&d, &data_sample, sizeof d);
        assert_memory_equal(&n, &hint_sample, sizeof n);
        for (int k = 0; k < 6; k++) free(p[k]);
    }
}

/* ---- both slots of CONTROL ---------------------------------------------------------------------*/

/* slot: with a sequence, at p[slot_index]. */
static void slot(uint8_t *p, size_t index, uint64_t sequence, uint32_t version) {
    struct nk_control c = control_sample;
    c.sequence = sequence;
    c.durable_lsn = 1000 + sequence;
    nk_control_encode(&c, p + index * NK_CONTROL_SLOT);
    ref_put(p + index * NK_CONTROL_SLOT + 8, version, 4);
    reseal(&formats[CONTROL], p + index * NK_CONTROL_SLOT, 0, 0);
}

struct pair {
    const char *name;
    uint64_t sequence[2]; /* 0 = torn */
    uint32_t version[2];
    int code;
    uint64_t durable_lsn;
};

/* The newer slot counts, the other one stands in for it, and a newer program's slot is never ignored. */
static void control__both_slots__the_newer_valid_one_counts(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"second newer", {2, 3}, {1, 1}, NITRO_OK, 1003},
        {"first newer", {4, 3}, {1, 1}, NITRO_OK, 1004},
        {"first torn", {0, 3}, {1, 1}, NITRO_OK, 1003},
        {"second torn", {2, 0}, {1, 1}, NITRO_OK, 1002},
        {"both torn", {0, 0}, {1, 1}, NITRO_ECORRUPT, 0},
        {"second is a copy of the first", {2, 2}, {1, 1}, NITRO_OK, 1002},
        {"first is a copy of the second", {5, 5}, {1, 1}, NITRO_OK, 1005},
        {"changed round", {3, 2}, {1, 1}, NITRO_ECORRUPT, 0},
        {"largest sequences", {UINT64_MAX - 1, UINT64_MAX}, {1, 1}, NITRO_OK, 1000 + UINT64_MAX},
        {"first by a newer program", {2, 3}, {2, 1}, NITRO_EFORMAT, 0},
        {"second by a newer program", {2, 3}, {1, 2}, NITRO_EFORMAT, 0},
        {"second by a newer program, first torn", {0, 3}, {1, 2}, NITRO_EFORMAT, 0},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint8_t p[NK_CONTROL_BYTES] = {0};
        struct nk_control c = control_sample;
        for (size_t k = 0; k < 2; k++) {
            slot(p, k, pairs[i].sequence[k] == 0 ? k + 2 : pairs[i].sequence[k],
                 pairs[i].version[k]);
            if (pairs[i].sequence[k] == 0) p[k * NK_CONTROL_SLOT + 300] ^= 1;
        }
        int rc = nk_control_newest(p, sizeof p, &c);
        if (rc != pairs[i].code) test_fail("%s: %s", pairs[i].name, nitro_strerror(rc));
        if (rc == NITRO_OK && c.durable_lsn != pairs[i].durable_lsn)
            test_fail("%s: durable LSN %" PRIu64, pairs[i].name, c.durable_lsn);
        if (rc == NITRO_EFORMAT) assert_int_equal(c.version, 2);
        if (rc != NITRO_OK) assert_true(c.durable_lsn == control_sample.durable_lsn);
    }
}

/* A file that was cut has only the slots that are whole. */
static void control__cut_at_every_byte__whole_slots_count(void **state) {
    (void)state;
    uint8_t p[NK_CONTROL_BYTES];
    slot(p, 0, 2, 1);
    slot(p, 1, 3, 1);
    for (size_t n = 0; n <= sizeof p; n++) {
        uint8_t *piece = malloc(n + (n == 0));
        struct nk_control c;
        memcpy(piece, p, n);
        int rc = nk_control_newest(piece, n, &c);
        assert_int_equal(rc, n < NK_CONTROL_SLOT ? NITRO_ECORRUPT : NITRO_OK);
        if (rc == NITRO_OK) assert_int_equal(c.sequence, n < NK_CONTROL_BYTES ? 2 : 3);
        free(piece);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format__encoded__valid_with_the_reference_crc),
        cmocka_unit_test(every_format__any_bit_flipped__damaged),
        cmocka_unit_test(every_format__magic_or_zeros_changed_under_a_right_crc__damaged),
        cmocka_unit_test(every_format__one_byte_repeated__damaged),
        cmocka_unit_test(placed_formats__in_another_place__damaged),
        cmocka_unit_test(versioned_formats__version_changed__newer_or_damaged),
        cmocka_unit_test(every_format__field_changed_under_a_right_crc__as_its_rule_says),
        cmocka_unit_test(edit__offset_and_sequence_disagree__damaged),
        cmocka_unit_test(decoders__error__output_untouched_but_for_a_newer_version),
        cmocka_unit_test(control__both_slots__the_newer_valid_one_counts),
        cmocka_unit_test(control__cut_at_every_byte__whole_slots_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
