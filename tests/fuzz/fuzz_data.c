/* SPDX-License-Identifier: MIT
 *
 * fuzz_data.c - any bytes as a merged file or as a hint: no crash, no byte beyond an end, no memory that the file only
 * claims to need, and what is valid has one encoding only.
 *
 * INPUT  Byte 0: bit 0 says what the rest is (0 a merged file, 1 a hint), bit 7 puts all checksums right first, and of
 *        a merged file the end and the number of records, too: without that random bytes would hardly ever get past the
 *        header.
 * RULE   A file that is read without a complaint is read in the same way when the reader is told to hold before each
 *        entry. Its header and records encode to the same bytes again; a hint that is made of them is valid. A hint
 *        that is written again has the same entries and sums, and the same bytes if it had one block.
 */
#include <stdlib.h>

#include "crc32c.h"
#include "datafile.h"
#include "hint.h"
#include "memfile.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) abort();                                                                         \
    } while (0)

#define FILE_FD 3
#define MEMORY_MAX (2u << 20) /* of an input that is not as long as that */

/* ---- memory ------------------------------------------------------------------------------------*/

/* More than an input can need is never asked for. (Sizes are said again when memory is given back.) */
static void *bounded_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    CHECK(bytes <= MEMORY_MAX);
    return malloc(bytes);
}
static void bounded_free(void *ctx, void *p, size_t bytes) {
    (void)ctx;
    (void)bytes;
    free(p);
}
static const struct nitro_mem bounded = {.alloc = bounded_alloc, .free = bounded_free};

/* ---- merged files ------------------------------------------------------------------------------*/

/* repair_records: the CRCs of as many records as there are; the header counts them. */
static void repair_records(struct memfile *f, uint64_t first_lsn, uint64_t salt) {
    uint64_t at = NK_SECTOR, count = 0, bytes;
    struct nk_record r;
    while ((bytes = nk_record_parse(f->p + at, f->size - at, first_lsn, &r)) != 0) {
        uint8_t head[NK_REC_HEAD_MAX];
        nk_record_head(&r, nk_record_body_crc(&r), first_lsn, at, salt, head);
        memcpy(f->p + at, head, NK_REC_CRC_BYTES);
        at += bytes;
        count++;
    }
    nk_store64(f->p + 72, at);
    nk_store64(f->p + 80, count);
}

static void repair_data(struct memfile *f) {
    if (f->size < NK_SECTOR) return;
    uint64_t first_lsn = nk_load64(f->p + 48);
    /* (nk_record_head asserts that an LSN is not below the file's first.) */
    if (first_lsn != 0) repair_records(f, first_lsn, nk_load64(f->p + 40));
    nk_store32(f->p + 508, nk_crc32c(0, f->p, 508));
}

static void check_record(const struct memfile *f, const struct nk_datascan *s,
                         const struct nk_placed *p) {
    uint8_t head[NK_REC_HEAD_MAX];
    const struct nk_record *r = &p->r;
    CHECK(p->offset + p->bytes == s->at && s->at <= s->end && p->offset >= NK_SECTOR);
    CHECK(r->lsn >= s->first_lsn && r->lsn <= s->last_lsn && r->lsn == s->newest);
    uint32_t n = nk_record_head(r, nk_record_body_crc(r), s->first_lsn, p->offset, s->salt, head);
    CHECK(n + (uint64_t)r->key_bytes + r->value_bytes == p->bytes);
    CHECK(memcmp(head, f->p + p->offset, n) == 0 && memcmp(p->p, f->p + p->offset, p->bytes) == 0);
}

/* next_record: with `hold` the scanner is told so first, and may only refuse because of that. */
static int next_record(struct nk_datascan *s, bool hold, struct nk_placed *p) {
    if (hold) {
        struct nk_datascan before = *s;
        s->hold = true;
        int rc = nk_datascan_record(s, true, p);
        s->hold = false;
        if (rc != NITRO_EBUSY) return rc;
        CHECK(s->at == before.at && s->left == before.left && s->newest == before.newest);
    }
    return nk_datascan_record(s, true, p);
}

/* scan: returns how it ended; each record to the hint `w`, if there is one. */
static int scan(struct memfile *f, const struct nk_data_header *h, bool hold,
                struct nk_hintwrite *w, uint64_t *count) {
    struct nk_datascan s;
    struct nk_placed p;
    int rc;
    nk_datascan_init(&s, &f->vfs, &bounded, FILE_FD, h);
    for (*count = 0; (rc = next_record(&s, hold, &p)) == NITRO_OK; ++*count) {
        check_record(f, &s, &p);
        struct nk_hint hint = {.lsn = p.r.lsn,
                               .offset = p.offset,
                               .bytes = p.bytes,
                               .kind = p.r.kind,
                               .expire_ms = p.r.expire_ms,
                               .key = p.r.key,
                               .key_bytes = p.r.key_bytes};
        if (w != NULL) CHECK(nk_hintwrite_add(w, &hint) == NITRO_OK);
    }
    CHECK(rc == NITRO_ENOTFOUND || rc == NITRO_ECORRUPT);
    CHECK(rc != NITRO_ENOTFOUND || (s.at == h->end && *count == h->records));
    nk_datascan_fini(&s);
    return rc;
}

static int read_hint(struct memfile *f, bool hold, struct nk_hintwrite *w,
                     struct nk_hint_head *head);

/* read_data: and the hint of what is right is valid, and has all of it. */
static void read_data(struct memfile *f) {
    struct nk_data_header h;
    uint8_t again[NK_SECTOR];
    if (f->size < NK_SECTOR) return;
    int rc = nk_data_header_decode(f->p, &h);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc == NITRO_EFORMAT) CHECK(h.version > NK_DATA_VERSION);
    if (rc != NITRO_OK) return;
    nk_data_header_encode(&h, again);
    CHECK(memcmp(again, f->p, sizeof again) == 0);
    if (h.end > f->size) return; /* who opens it looks at that */
    struct memfile hint;
    struct nk_hintwrite w;
    struct nk_hint_head head = {
        .kind = NK_FILE_DATA, .number = h.number, .salt = h.salt, .first_lsn = h.first_lsn};
    uint64_t one, other;
    memfile_init(&hint);
    CHECK(nk_hintwrite_init(&w, &hint.vfs, &bounded, FILE_FD, &head) == NITRO_OK);
    rc = scan(f, &h, false, &w, &one);
    CHECK(scan(f, &h, true, NULL, &other) == rc && other == one);
    CHECK(nk_hintwrite_finish(&w, h.end, h.time_ms) == NITRO_OK);
    CHECK(read_hint(&hint, false, NULL, &head) == NITRO_ENOTFOUND && head.entries == one);
    nk_hintwrite_fini(&w);
    memfile_fini(&hint);
}

/* ---- hints -------------------------------------------------------------------------------------*/

static void repair_hint(struct memfile *f) {
    if (f->size < NK_HINT_HEADER) return;
    uint64_t salt = nk_load64(f->p + 40), at = NK_HINT_HEADER;
    nk_store64(f->p + 104, f->size - NK_HINT_HEADER);
    nk_store32(f->p + 124, nk_crc32c(0, f->p, 124));
    while (f->size - at >= NK_HINT_BLOCK_HEADER) {
        uint64_t n = nk_load32(f->p + at), place[3] = {at, salt, n};
        if (n > f->size - at - NK_HINT_BLOCK_HEADER) break;
        uint32_t crc = nk_crc32c(0, f->p + at + NK_HINT_BLOCK_HEADER, n);
        nk_store32(f->p + at + 4, nk_crc32c(crc, place, sizeof place));
        at += NK_HINT_BLOCK_HEADER + n;
    }
}

static int next_hint(struct nk_hintread *r, bool hold, struct nk_hint *h) {
    if (hold) {
        uint64_t at = r->at;
        size_t used = r->used;
        r->hold = true;
        int rc = nk_hintread_next(r, h);
        r->hold = false;
        if (rc != NITRO_EBUSY) return rc;
        CHECK(r->at == at && r->used == used);
    }
    return nk_hintread_next(r, h);
}

static void check_hint(const struct nk_hintread *r, const struct nk_hint *h) {
    CHECK(h->offset >= NK_SECTOR && h->offset <= UINT32_MAX);
    CHECK(h->bytes <= r->head.end && h->offset <= r->head.end - h->bytes);
    CHECK(h->lsn >= r->head.first_lsn && h->lsn <= r->head.last_lsn);
    CHECK(h->key_bytes <= NITRO_KEY_MAX && h->expire_ms >= 0);
    CHECK(h->kind == NK_REC_PUT || h->kind == NK_REC_DELETE || h->kind == NK_REC_FLUSH);
    CHECK(h->key >= r->buf && h->key + h->key_bytes <= r->buf + r->bytes);
}

/* read_hint: how it ended; *head, if it could be opened; each entry to `w`, if there is one. */
static int read_hint(struct memfile *f, bool hold, struct nk_hintwrite *w,
                     struct nk_hint_head *head) {
    struct nk_hintread r;
    struct nk_hint h;
    int rc = nk_hintread_open(&r, &f->vfs, &bounded, FILE_FD, f->size);
    CHECK(rc == NITRO_OK || rc == NITRO_EFORMAT || rc == NITRO_ECORRUPT);
    if (rc == NITRO_EFORMAT) CHECK(r.head.version > NK_HINT_VERSION);
    if (rc == NITRO_OK) *head = r.head;
    while (rc == NITRO_OK && (rc = next_hint(&r, hold, &h)) == NITRO_OK) {
        check_hint(&r, &h);
        if (w != NULL) CHECK(nk_hintwrite_add(w, &h) == NITRO_OK);
    }
    nk_hintread_close(&r);
    return rc;
}

/* check_again: what was written from a valid hint says the same. */
static void check_again(struct memfile *f, struct memfile *again, const struct nk_hint_head *head) {
    struct nk_hint_head other = *head;
    CHECK(read_hint(again, false, NULL, &other) == NITRO_ENOTFOUND);
    bool one_block =
        head->bytes == 0 || head->bytes == NK_HINT_BLOCK_HEADER + nk_load32(f->p + NK_HINT_HEADER);
    if (one_block) CHECK(again->size == f->size && memcmp(again->p, f->p, f->size) == 0);
    other.bytes = head->bytes;
    CHECK(memcmp(&other, head, sizeof other) == 0);
}

static void read_hints(struct memfile *f) {
    struct memfile again;
    struct nk_hintwrite w;
    struct nk_hint_head head, same = {.bytes = 0};
    int rc = read_hint(f, false, NULL, &head);
    CHECK(read_hint(f, true, NULL, &same) == rc);
    if (rc != NITRO_ENOTFOUND) return;
    memfile_init(&again);
    CHECK(nk_hintwrite_init(&w, &again.vfs, &bounded, FILE_FD, &head) == NITRO_OK);
    CHECK(read_hint(f, false, &w, &head) == NITRO_ENOTFOUND);
    CHECK(nk_hintwrite_finish(&w, head.end, head.time_ms) == NITRO_OK);
    check_again(f, &again, &head);
    nk_hintwrite_fini(&w);
    memfile_fini(&again);
}

/* ---- the target --------------------------------------------------------------------------------*/

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct memfile f;
    if (size < 1) return 0;
    bool hint = (data[0] & 1) != 0, repair = (data[0] & 0x80) != 0;
    memfile_init(&f);
    CHECK(nk_vfs_write(&f.vfs, FILE_FD, data + 1, size - 1, 0, "fuzz") == 0);
    if (repair && hint) repair_hint(&f);
    if (repair && !hint) repair_data(&f);
    if (hint)
        read_hints(&f);
    else
        read_data(&f);
    memfile_fini(&f);
    return 0;
}
