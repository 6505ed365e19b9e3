/* SPDX-License-Identifier: MIT
 *
 * fuzz_format.c - any bytes to each reader of what lies on disk: no crash, no byte read beyond the end,
 * and what is valid has one encoding only.
 *
 * INPUT  Byte 0 chooses the reader (bits 0..2, see readers[]); bit 7 puts the CRC right first, without
 *        which random bytes would hardly ever get past it. Bytes 1..8 are the place: the first LSN for
 *        a record, the offset for frames and edits. The rest are the bytes to read.
 * RULE   What decodes encodes to the same bytes again. A record is valid with its own bytes, with more
 *        behind them and not with fewer. The bytes lie in a block of exactly their size.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "crc32c.h"
#include "frame.h"
#include "logfile.h"
#include "manifest.h"
#include "record.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) abort();                                                                         \
    } while (0)

#define PREFIX 9u /* bytes before those to read */
#define SALT UINT64_C(0x1122334455667788)
#define OFFSET UINT64_C(568) /* of records */

struct input {
    uint8_t *p;
    size_t n;
    uint64_t place;
    bool repair;
};

/* repair: the CRC of p[from .. to), and of offset and salt if `placed`, goes to p[at]. */
static void repair(const struct input *in, size_t at, size_t from, size_t to, bool placed) {
    uint64_t place[2] = {in->place, SALT};
    if (!in->repair) return;
    uint32_t crc = nk_crc32c(0, in->p + from, to - from);
    if (placed) crc = nk_crc32c(crc, place, sizeof place);
    nk_store32(in->p + at, crc);
}

static void check_same(const uint8_t *again, const struct input *in, size_t bytes) {
    CHECK(memcmp(again, in->p, bytes) == 0);
}

/* ---- readers -----------------------------------------------------------------------------------*/

static void repair_record(const struct input *in, uint64_t bytes, const struct nk_record *r) {
    uint64_t place[3] = {r->lsn, OFFSET, SALT};
    size_t from = NK_REC_CRC_BYTES;
    while (in->p[from++] >= 0x80) {}
    uint32_t crc = nk_crc32c(0, in->p + from, (size_t)bytes - from);
    if (in->repair) nk_store32(in->p, nk_crc32c(crc, place, sizeof place));
}

static void read_record(const struct input *in) {
    struct nk_record r, other;
    uint64_t bytes = nk_record_parse(in->p, in->n, in->place, &r);
    uint64_t said = nk_record_bytes(in->p, in->n);
    CHECK(bytes == 0 || bytes == said);
    /* (an LSN beyond 64 bits is what the head alone does not show) */
    CHECK(bytes != 0 || said == 0 || said > in->n || in->place >> 63 != 0);
    if (bytes == 0) return;
    CHECK(bytes <= in->n && bytes <= nk_record_max(r.key_bytes, r.value_bytes));
    CHECK(r.value + r.value_bytes == in->p + bytes && r.key + r.key_bytes == r.value);
    CHECK(nk_record_parse(in->p, bytes, in->place, &other) == bytes);
    CHECK(nk_record_parse(in->p, bytes - 1, in->place, &other) == 0);
    repair_record(in, bytes, &r);
    uint8_t head[NK_REC_HEAD_MAX];
    uint32_t n = nk_record_head(&r, nk_record_body_crc(&r), in->place, OFFSET, SALT, head);
    bool valid = nk_record_check(in->p, bytes, &r, OFFSET, SALT);
    CHECK(in->p + n == r.key && valid == (memcmp(head, in->p, n) == 0));
    CHECK(memcmp(head + NK_REC_CRC_BYTES, in->p + NK_REC_CRC_BYTES, n - NK_REC_CRC_BYTES) == 0);
    CHECK(valid || !in->repair);
}

static void read_frame(const struct input *in) {
    struct nk_frame_head f;
    uint8_t again[NK_FRAME_HEADER];
    if (in->n < NK_FRAME_HEADER) return;
    repair(in, 4, 8, NK_FRAME_HEADER, true);
    if (!nk_frame_decode(in->p, in->place, SALT, &f)) return;
    nk_frame_encode(&f, in->place, SALT, again);
    check_same(again, in, sizeof again);
}

static void read_header(const struct input *in) {
    struct nk_log_header h;
    uint8_t again[NK_SECTOR];
    if (in->n < NK_SECTOR) return;
    repair(in, 508, 0, 508, false);
    int rc = nk_log_header_decode(in->p, &h);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc == NITRO_EFORMAT) CHECK(h.version > NK_LOG_VERSION);
    if (rc != NITRO_OK) return;
    nk_log_header_encode(&h, again);
    check_same(again, in, sizeof again);
}

static void read_footer(const struct input *in) {
    struct nk_log_footer f;
    uint8_t again[NK_SECTOR];
    if (in->n < NK_SECTOR) return;
    repair(in, 508, 0, 508, false);
    if (!nk_log_footer_decode(in->p, &f)) return;
    nk_log_footer_encode(&f, again);
    check_same(again, in, sizeof again);
}

static void read_manifest_head(const struct input *in) {
    struct nk_manifest_head h;
    uint8_t again[NK_MANIFEST_HEADER];
    if (in->n < NK_MANIFEST_HEADER) return;
    repair(in, 60, 0, 60, false);
    int rc = nk_manifest_head_decode(in->p, &h);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc == NITRO_EFORMAT) CHECK(h.version > NK_MANIFEST_VERSION);
    if (rc != NITRO_OK) return;
    nk_manifest_head_encode(&h, again);
    check_same(again, in, sizeof again);
}

static void read_edit(const struct input *in) {
    struct nk_manifest_edit e;
    uint8_t again[NK_MANIFEST_EDIT];
    if (in->n < NK_MANIFEST_EDIT) return;
    repair(in, 0, 4, NK_MANIFEST_EDIT, true);
    if (!nk_manifest_edit_decode(in->p, in->place, SALT, &e)) return;
    nk_manifest_edit_encode(&e, in->place, SALT, again);
    check_same(again, in, sizeof again);
}

static void read_slot(const struct input *in) {
    struct nk_control c;
    uint8_t again[NK_CONTROL_SLOT];
    if (in->n < NK_CONTROL_SLOT) return;
    repair(in, 508, 0, 508, false);
    int rc = nk_control_decode(in->p, &c);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc == NITRO_EFORMAT) CHECK(c.version > NK_CONTROL_VERSION);
    if (rc != NITRO_OK) return;
    nk_control_encode(&c, again);
    check_same(again, in, sizeof again);
}

/* read_control: the whole file; what counts is one of its slots. */
static void read_control(const struct input *in) {
    struct nk_control c;
    uint8_t again[NK_CONTROL_SLOT];
    if (in->n >= NK_CONTROL_SLOT) repair(in, 508, 0, 508, false);
    if (in->n >= NK_CONTROL_BYTES) repair(in, 1020, 512, 1020, false);
    int rc = nk_control_newest(in->p, in->n, &c);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc != NITRO_OK) return;
    size_t at = c.sequence % 2 * NK_CONTROL_SLOT;
    CHECK(at + NK_CONTROL_SLOT <= in->n);
    nk_control_encode(&c, again);
    CHECK(memcmp(again, in->p + at, sizeof again) == 0);
}

static void (*const readers[8])(const struct input *) = {
    read_record,        read_frame, read_header, read_footer,
    read_manifest_head, read_edit,  read_slot,   read_control};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < PREFIX) return 0;
    struct input in = {.n = size - PREFIX, .place = nk_load64(data + 1), .repair = data[0] >> 7};
    in.p = malloc(in.n + (in.n == 0));
    CHECK(in.p != NULL);
    memcpy(in.p, data + PREFIX, in.n);
    readers[data[0] & 7](&in);
    free(in.p);
    return 0;
}
