/* SPDX-License-Identifier: MIT
 *
 * fuzz_snap.c - any bytes as a snapshot file: no crash, no byte beyond an end, no memory that the file only
 * claims to need.
 *
 * INPUT  Byte 0: bits 0..1 in how many parts the file is read (1 .. 4), bit 7 puts all checksums and the
 *        footer right first, without which random bytes would hardly ever get past the header. The rest
 *        is the file.
 * RULE   A file that is read without a complaint gives the same records in one part and in several; written
 *        again it is a file with the same content hash.
 */
#include <stdlib.h>

#include "crc32c.h"
#include "memfile.h"
#include "snapfile.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) abort();                                                                         \
    } while (0)

#define VALUE_MAX (4u << 20) /* larger ones are not asked for: an input is not that long */

struct sums {
    uint64_t keys, a, b;
};

/* ---- reading -----------------------------------------------------------------------------------*/

/* again: a record to the file that is written from what is read; NULL: there is none. */
static void again(struct nk_snapwrite *w, const struct nk_snaprec *rec) {
    if (w == NULL) return;
    if (rec->large) {
        CHECK(nk_snapwrite_large(w, rec) == NITRO_OK);
        return;
    }
    uint8_t *p = malloc(NK_SNAP_REC_HEAD_MAX + (size_t)rec->key_bytes + rec->value_bytes);
    CHECK(p != NULL);
    size_t n = nk_snaprec_head(rec, w->head.lsn, p);
    memcpy(p + n, rec->key, rec->key_bytes);
    n += rec->key_bytes;
    memcpy(p + n, rec->value, rec->value_bytes);
    CHECK(nk_snapwrite_records(w, p, n + rec->value_bytes) == NITRO_OK);
    free(p);
}

static int read_record(struct nk_snapread *r, struct nk_snapwrite *w) {
    struct nk_snaprec rec;
    int rc = nk_snapread_next(r, false, &rec);
    if (rc != NITRO_OK) return rc;
    CHECK(rec.version >= 1 && rec.version <= r->head.lsn && rec.expire_ms >= 0);
    CHECK(rec.key_bytes <= NITRO_KEY_MAX && rec.value_bytes <= NITRO_VALUE_MAX);
    uint8_t *value = NULL;
    if (rec.large) {
        if (rec.value_bytes > VALUE_MAX) return NITRO_ENOMEM;
        value = malloc(rec.value_bytes);
        CHECK(value != NULL);
        rc = nk_snapread_value(r, &rec, value);
    }
    if (rc == NITRO_OK) again(w, &rec);
    free(value);
    return rc;
}

/* read_part: NITRO_ENOTFOUND: to its end, without a complaint. */
static int read_part(struct memfile *f, uint32_t part, uint32_t of, struct nk_snapwrite *w,
                     struct sums *sums) {
    struct nk_snapread r;
    int rc = nk_snapread_open(&r, &f->vfs, nitro_mem_system(), 3, f->size);
    if (rc == NITRO_OK) {
        nk_snapread_part(&r, part, of);
        do {
            rc = read_record(&r, w);
        } while (rc == NITRO_OK);
    }
    CHECK(rc == NITRO_ENOTFOUND || rc == NITRO_ECORRUPT || rc == NITRO_ENOMEM ||
          rc == NITRO_EFORMAT);
    CHECK((rc == NITRO_ECORRUPT) == (r.what != NULL) && r.bad_at <= f->size);
    sums->keys += r.keys;
    sums->a += r.hash_a;
    sums->b += r.hash_b;
    nk_snapread_close(&r);
    return rc;
}

/* ---- checksums ---------------------------------------------------------------------------------*/

/* repair_blocks: as many as there are, one behind the other; the footer counts them. */
static void repair_blocks(struct memfile *f, uint64_t salt, struct nk_snap_foot *foot) {
    uint64_t at = NK_SECTOR;
    while (at + NK_SNAP_BLOCK_HEAD <= f->size && memcmp(f->p + at, "NSBK", 4) == 0) {
        uint8_t *p = f->p + at;
        uint64_t stored = nk_load32(p + 4), place[2] = {at, salt};
        if (stored > f->size - at - NK_SNAP_BLOCK_HEAD) break;
        nk_store32(p + 20, (uint32_t)foot->blocks);
        nk_store32(p + 24, nk_crc32c(0, p + NK_SNAP_BLOCK_HEAD, stored));
        nk_store32(p + 28, nk_crc32c(nk_crc32c(0, p, 28), place, sizeof place));
        foot->blocks++;
        foot->raw_bytes += nk_load32(p + 8);
        foot->keys += nk_load32(p + 12);
        foot->file_crc = nk_crc32c(foot->file_crc, p, NK_SNAP_BLOCK_HEAD);
        at += NK_SNAP_BLOCK_HEAD + stored;
    }
    foot->end = at;
}

/* put_footer: where it belongs; what was behind the blocks goes. */
static void put_footer(struct memfile *f, const struct nk_snap_foot *foot) {
    uint8_t tail[2 * NK_SECTOR] = {0};
    size_t zeros = (size_t)(nk_round_up(foot->end, NK_SECTOR) - foot->end);
    nk_snap_foot_encode(foot, tail + zeros);
    f->size = foot->end;
    CHECK(nk_vfs_write(&f->vfs, 3, tail, zeros + NK_SECTOR, foot->end, "fuzz") == 0);
}

static void repair(struct memfile *f) {
    struct nk_snap_head head;
    if (f->size < NK_SECTOR) return;
    nk_store32(f->p + 508, nk_crc32c(0, f->p, 508));
    if (nk_snap_head_decode(f->p, &head) != NITRO_OK) return;
    struct nk_snap_foot foot = {
        .number = head.number, .salt = head.salt, .file_crc = nk_crc32c(0, f->p, NK_SECTOR)};
    repair_blocks(f, head.salt, &foot);
    put_footer(f, &foot);
    struct sums sums = {0};
    if (read_part(f, 0, 1, NULL, &sums) != NITRO_ECORRUPT) return; /* no records, or too large */
    foot.hash_a = sums.a;
    foot.hash_b = sums.b;
    put_footer(f, &foot);
}

/* ---- the target --------------------------------------------------------------------------------*/

/* read_whole: and what is right is written again, by another method, with the same contents. */
static void read_whole(struct memfile *f, uint32_t of) {
    struct memfile other;
    struct nk_snapwrite w;
    struct nk_snap_head head = {.number = 1};
    struct sums one = {0}, parts = {0}, more = {0};
    memfile_init(&other);
    if (f->size >= NK_SECTOR && nk_snap_head_decode(f->p, &head) != NITRO_OK) head.number = 1;
    CHECK(nk_snapwrite_init(&w, &other.vfs, nitro_mem_system(), 3, &head, NITRO_COMPRESSION_LZ4) ==
          NITRO_OK);
    int rc = read_part(f, 0, 1, &w, &one);
    for (uint32_t part = 0; part < of; part++)
        CHECK(rc != NITRO_ENOTFOUND || read_part(f, part, of, NULL, &parts) == rc);
    if (rc == NITRO_ENOTFOUND) {
        CHECK(parts.keys == one.keys && parts.a == one.a && parts.b == one.b);
        CHECK(nk_snapwrite_finish(&w, 0) == NITRO_OK);
        CHECK(w.foot.hash_a == one.a && w.foot.hash_b == one.b && w.foot.keys == one.keys);
        CHECK(read_part(&other, 0, 1, NULL, &more) == NITRO_ENOTFOUND && more.a == one.a);
    }
    nk_snapwrite_fini(&w);
    memfile_fini(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memfile f;
    if (size < 1) return 0;
    memfile_init(&f);
    CHECK(nk_vfs_write(&f.vfs, 3, data + 1, size - 1, 0, "fuzz") == 0);
    if ((data[0] & 0x80) != 0) repair(&f);
    read_whole(&f, 1 + (data[0] & 3));
    memfile_fini(&f);
    return 0;
}
