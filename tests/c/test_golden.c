/* SPDX-License-Identifier: MIT
 *
 * test_golden.c - the golden files of format version 1, tests/golden/v1/: what the engine writes today is
 * what they hold, byte for byte; what it reads from them is what was put in, field by field. That a store
 * opens on them is in test_golden_store.c.
 *
 * THE FILES are a store that was stopped cleanly: one log of two frames, the MANIFEST that lists it (and
 * a prepared file that was not needed), and CONTROL; then a snapshot of that store, and the MANIFEST of the
 * same folder that lists it, too. Besides, a store of mode bitcask (without EXPIRE, which it does not write): what
 * a merge has left of the same log, its hint, the log that follows, and its own MANIFEST and CONTROL. They never
 * change: a change of the format is a new version with golden files of its own. NK_GOLDEN_UPDATE=1 writes them, for
 * a version that is not released yet.
 *   zstd.snap and lz4.snap are what these libraries made of a text on the day when the format was fixed. They
 * are read only: another version of a library may write other bytes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "control.h"
#include "datafile.h"
#include "frame.h"
#include "golden.h"
#include "hint.h"
#include "logfile.h"
#include "manifest.h"
#include "memfile.h"
#include "record.h"
#include "snapfile.h"

/* ---- what the files hold -----------------------------------------------------------------------*/

#define TEXT(t) (const uint8_t *)(t), sizeof(t) - 1
struct effect {
    enum nk_rec_kind kind;
    bool more;
    int64_t expire_ms;
    const uint8_t *key;
    uint32_t key_bytes;
    const uint8_t *value;
    uint32_t value_bytes;
};
static const struct effect first_frame[] = {
    {NK_REC_PUT, false, 0, TEXT("old"), TEXT("x")},
    {NK_REC_FLUSH, false, 0, TEXT(""), TEXT("")},
    {NK_REC_PUT, false, 0, TEXT("user_id"), TEXT("42069")},
    {NK_REC_PUT, false, CREATED_MS + 3600000, TEXT("session"), TEXT("abc")},
    {NK_REC_EXPIRE, false, CREATED_MS + 7200000, TEXT("session"), TEXT("")},
};
static const struct effect second_frame[] = {
    {NK_REC_PUT, true, 0, TEXT("from"), TEXT("90")},
    {NK_REC_PUT, true, 0, TEXT("to"), TEXT("110")},
    {NK_REC_PUT, false, 0, TEXT("moved"), TEXT("20")},
    {NK_REC_DELETE, false, 0, TEXT("from"), TEXT("")},
};

/* What a merge leaves of LSNs 1 .. 9, had the expiry been part of a put: a flush and a delete that are pinned, too. */
static const struct {
    uint64_t lsn;
    struct effect e;
} merged[] = {
    {2, {NK_REC_FLUSH, false, 0, TEXT(""), TEXT("")}},
    {3, {NK_REC_PUT, false, 0, TEXT("user_id"), TEXT("42069")}},
    {5, {NK_REC_PUT, false, CREATED_MS + 7200000, TEXT("session"), TEXT("abc")}},
    {7, {NK_REC_PUT, false, 0, TEXT("to"), TEXT("110")}},
    {8, {NK_REC_PUT, false, 0, TEXT("moved"), TEXT("20")}},
    {9, {NK_REC_DELETE, false, 0, TEXT("from"), TEXT("")}},
};
static const struct effect next_frame[] = {{NK_REC_PUT, false, 0, TEXT("later"), TEXT("1")}};

/* What is left of these effects, as the snapshot has it; each with the LSN of the last one on its key. */
struct entry {
    uint64_t version;
    int64_t expire_ms;
    const uint8_t *key;
    uint32_t key_bytes;
    const uint8_t *value;
    uint32_t value_bytes;
};
static const struct entry entries[] = {
    {3, 0, TEXT("user_id"), TEXT("42069")},
    {5, CREATED_MS + 7200000, TEXT("session"), TEXT("abc")},
    {7, 0, TEXT("to"), TEXT("110")},
    {8, 0, TEXT("moved"), TEXT("20")},
};

static struct nk_record record_of(const struct effect *e, uint64_t lsn) {
    return (struct nk_record){.lsn = lsn,
                              .kind = e->kind,
                              .more = e->more,
                              .expire_ms = e->expire_ms,
                              .key = e->key,
                              .value = e->value,
                              .key_bytes = e->key_bytes,
                              .value_bytes = e->value_bytes};
}

/* ---- writing -----------------------------------------------------------------------------------*/

/* The file that records are put into. */
struct home {
    uint64_t first_lsn, salt;
};
static const struct home in_log = {FIRST_LSN, LOG_SALT}, in_data = {FIRST_LSN, DATA_SALT},
                         in_next = {LAST_LSN + 1, SPARE_SALT};

static void add_record(struct image *im, const struct home *in, const struct effect *e,
                       uint64_t lsn) {
    struct nk_record r = record_of(e, lsn);
    assert_true(im->bytes + nk_record_max(r.key_bytes, r.value_bytes) <= FILE_MAX);
    im->bytes += nk_record_head(&r, nk_record_body_crc(&r), in->first_lsn, im->bytes, in->salt,
                                im->p + im->bytes);
    memcpy(im->p + im->bytes, r.key, r.key_bytes);
    memcpy(im->p + im->bytes + r.key_bytes, r.value, r.value_bytes);
    im->bytes += (size_t)r.key_bytes + r.value_bytes;
}

static void add_frame(struct image *im, const struct home *in, const struct effect *e,
                      uint32_t count, uint64_t first_lsn, uint64_t durable_lsn, int64_t time_ms) {
    size_t at = im->bytes;
    im->bytes += NK_FRAME_HEADER;
    for (uint32_t i = 0; i < count; i++) add_record(im, in, &e[i], first_lsn + i);
    struct nk_frame_head f = {.bytes = (uint32_t)(im->bytes - at - NK_FRAME_HEADER),
                              .count = count,
                              .first_lsn = first_lsn,
                              .durable_lsn = durable_lsn,
                              .time_ms = time_ms};
    nk_frame_encode(&f, at, in->salt, im->p + at);
}

/* add_footer: a clean stop; returns where the frames end. */
static size_t add_footer(struct image *im, uint64_t number, uint64_t salt, uint64_t last_lsn) {
    struct nk_log_footer f = {
        .number = number, .salt = salt, .end = im->bytes, .last_lsn = last_lsn};
    im->bytes = nk_round_up(f.end, NK_SECTOR);
    nk_log_footer_encode(&f, im->p + im->bytes);
    im->bytes += NK_SECTOR;
    return f.end;
}

static size_t make_log(struct image *im) {
    struct nk_log_header h = {
        .used = 1, .number = 1, .salt = LOG_SALT, .first_lsn = FIRST_LSN, .time_ms = CREATED_MS};
    memcpy(h.store, STORE, sizeof h.store);
    nk_log_header_encode(&h, im->p);
    im->bytes = NK_SECTOR;
    add_frame(im, &in_log, first_frame, COUNT(first_frame), 1, 0, CREATED_MS + 10);
    add_frame(im, &in_log, second_frame, COUNT(second_frame), 6, 5, CREATED_MS + 20);
    return add_footer(im, 1, LOG_SALT, LAST_LSN);
}

/* make_next_log: the one that the merged one was followed by when it was merged. */
static size_t make_next_log(struct image *im) {
    struct nk_log_header h = {.used = 1,
                              .number = 2,
                              .salt = SPARE_SALT,
                              .first_lsn = LAST_LSN + 1,
                              .prev_number = 1,
                              .prev_last_lsn = LAST_LSN,
                              .durable_lsn = LAST_LSN,
                              .time_ms = CREATED_MS + 30};
    memcpy(h.store, STORE, sizeof h.store);
    nk_log_header_encode(&h, im->p);
    im->bytes = NK_SECTOR;
    add_frame(im, &in_next, next_frame, COUNT(next_frame), LAST_LSN + 1, LAST_LSN, CREATED_MS + 40);
    return add_footer(im, 2, SPARE_SALT, LAST_LSN + 1);
}

static const struct nk_manifest_edit edits[] = {
    {NK_MANIFEST_ADD, NK_FILE_LOG, 1, LOG_SALT, 0, 0, 1},
    {NK_MANIFEST_ADD, NK_FILE_LOG, 2, SPARE_SALT, 0, 0, 2},
    {NK_MANIFEST_REMOVE, NK_FILE_LOG, 2, SPARE_SALT, 0, 0, 3},
    {NK_MANIFEST_ADD, NK_FILE_SNAP, SNAP_NUMBER, SNAP_SALT, 0, LAST_LSN, 4},
};
#define EDITS_BEFORE 3u /* the snapshot */
static const struct nk_manifest_edit bitcask_edits[] = {
    {NK_MANIFEST_ADD, NK_FILE_LOG, 1, LOG_SALT, 0, 0, 1},
    {NK_MANIFEST_ADD, NK_FILE_LOG, 2, SPARE_SALT, 0, 0, 2},
    {NK_MANIFEST_ADD, NK_FILE_DATA, DATA_NUMBER, DATA_SALT, FIRST_LSN, LAST_LSN, 3},
    {NK_MANIFEST_REMOVE, NK_FILE_LOG, 1, LOG_SALT, 0, 0, 4},
};

static void make_manifest(struct image *im, enum nk_mode mode, const struct nk_manifest_edit *e,
                          uint32_t count) {
    struct nk_manifest_head h = {.mode = (uint32_t)mode, .salt = MANIFEST_SALT};
    memcpy(h.store, STORE, sizeof h.store);
    nk_manifest_head_encode(&h, im->p);
    im->bytes = NK_MANIFEST_HEADER;
    for (uint32_t i = 0; i < count; i++, im->bytes += NK_MANIFEST_EDIT)
        nk_manifest_edit_encode(&e[i], im->bytes, MANIFEST_SALT, im->p + im->bytes);
}

static void make_control(struct image *im, uint64_t file, uint64_t durable_lsn, uint64_t last_lsn,
                         uint64_t end) {
    struct nk_control first = {
        .sequence = 1, .durable_lsn = durable_lsn, .file = file, .time_ms = CREATED_MS + 15};
    memcpy(first.store, STORE, sizeof first.store);
    struct nk_control second = first;
    second.sequence = 2;
    second.clean = 1;
    second.durable_lsn = last_lsn;
    second.end = end;
    second.time_ms = CREATED_MS + 30;
    nk_control_encode(&second, im->p);
    nk_control_encode(&first, im->p + NK_CONTROL_SLOT);
    im->bytes = NK_CONTROL_BYTES;
}

static struct nk_snaprec snaprec_of(const struct entry *e) {
    return (struct nk_snaprec){.key = e->key,
                               .value = e->value,
                               .key_bytes = e->key_bytes,
                               .value_bytes = e->value_bytes,
                               .version = e->version,
                               .expire_ms = e->expire_ms};
}

static void make_snapshot(struct image *im, const struct entry *e, uint32_t count,
                          enum nitro_compression how) {
    struct memfile file;
    struct nk_snapwrite w;
    uint8_t records[FILE_MAX];
    size_t n = 0;
    struct nk_snap_head h = {.number = SNAP_NUMBER, .salt = SNAP_SALT, .lsn = LAST_LSN};
    memcpy(h.store, STORE, sizeof h.store);
    for (uint32_t i = 0; i < count; i++) {
        struct nk_snaprec r = snaprec_of(&e[i]);
        n += nk_snaprec_head(&r, LAST_LSN, records + n);
        memcpy(records + n, r.key, r.key_bytes);
        memcpy(records + n + r.key_bytes, r.value, r.value_bytes);
        n += (size_t)r.key_bytes + r.value_bytes;
    }
    memfile_init(&file);
    assert_int_equal(nk_snapwrite_init(&w, &file.vfs, nitro_mem_system(), 3, &h, how), NITRO_OK);
    assert_int_equal(nk_snapwrite_records(&w, records, n), NITRO_OK);
    assert_int_equal(nk_snapwrite_finish(&w, CREATED_MS + 40), NITRO_OK);
    nk_snapwrite_fini(&w);
    assert_true(file.size <= sizeof im->p);
    memcpy(im->p, file.p, file.size);
    im->bytes = file.size;
    memfile_fini(&file);
}

/* ---- writing: mode bitcask ---------------------------------------------------------------------*/

static struct nk_data_header data_header(uint64_t end) {
    struct nk_data_header h = {.version = 1,
                               .number = DATA_NUMBER,
                               .salt = DATA_SALT,
                               .first_lsn = FIRST_LSN,
                               .last_lsn = LAST_LSN,
                               .end = end,
                               .records = COUNT(merged),
                               .time_ms = CREATED_MS + 20,
                               .cut_lsn = LAST_LSN};
    memcpy(h.store, STORE, sizeof h.store);
    return h;
}

static void make_data(struct image *im) {
    im->bytes = NK_SECTOR;
    for (uint32_t i = 0; i < COUNT(merged); i++)
        add_record(im, &in_data, &merged[i].e, merged[i].lsn);
    struct nk_data_header h = data_header(im->bytes);
    nk_data_header_encode(&h, im->p);
}

static void add_hint(struct nk_hintwrite *w, const struct nk_placed *p) {
    struct nk_hint h = {.lsn = p->r.lsn,
                        .offset = p->offset,
                        .bytes = p->bytes,
                        .kind = p->r.kind,
                        .expire_ms = p->r.expire_ms,
                        .key = p->r.key,
                        .key_bytes = p->r.key_bytes};
    assert_int_equal(nk_hintwrite_add(w, &h), NITRO_OK);
}

/* make_hint: of the merged file, from its records. */
static void make_hint(struct image *im, const struct image *data) {
    struct memfile from, to;
    struct nk_datascan s;
    struct nk_hintwrite w;
    struct nk_placed p;
    struct nk_data_header h = data_header(data->bytes);
    struct nk_hint_head head = {
        .kind = NK_FILE_DATA, .number = h.number, .salt = h.salt, .first_lsn = h.first_lsn};
    memcpy(head.store, STORE, sizeof head.store);
    memfile_init(&from);
    memfile_init(&to);
    assert_int_equal(nk_vfs_write(&from.vfs, 3, data->p, data->bytes, 0, "test"), 0);
    nk_datascan_init(&s, &from.vfs, nitro_mem_system(), 3, &h);
    assert_int_equal(nk_hintwrite_init(&w, &to.vfs, nitro_mem_system(), 3, &head), NITRO_OK);
    while (nk_datascan_record(&s, true, &p) == NITRO_OK) add_hint(&w, &p);
    assert_true(s.at == h.end);
    assert_int_equal(nk_hintwrite_finish(&w, h.end, h.time_ms), NITRO_OK);
    nk_hintwrite_fini(&w);
    nk_datascan_fini(&s);
    assert_true(to.size <= sizeof im->p);
    memcpy(im->p, to.p, to.size);
    im->bytes = to.size;
    memfile_fini(&from);
    memfile_fini(&to);
}

/* make_all: the files as the engine writes them. */
static void make_all(struct image im[GOLDEN_FILES]) {
    memset(im, 0, GOLDEN_FILES * sizeof im[0]);
    size_t end = make_log(&im[THE_LOG]);
    make_manifest(&im[THE_MANIFEST], NK_MODE_MEMORY, edits, EDITS_BEFORE);
    make_control(&im[THE_CONTROL], 1, 5, LAST_LSN, end);
    make_snapshot(&im[THE_SNAPSHOT], entries, COUNT(entries), NITRO_COMPRESSION_NONE);
    make_manifest(&im[MANIFEST_2], NK_MODE_MEMORY, edits, COUNT(edits));
    make_data(&im[MERGED]);
    make_hint(&im[MERGED_HINT], &im[MERGED]);
    end = make_next_log(&im[NEXT_LOG]);
    make_manifest(&im[MANIFEST_3], NK_MODE_BITCASK, bitcask_edits, COUNT(bitcask_edits));
    make_control(&im[CONTROL_3], 2, LAST_LSN, LAST_LSN + 1, end);
}

/* ---- snapshots that are compressed ----------------------------------------------------------------*/

static const char text[] =
    "Everything that was acknowledged is there after a crash: everything that was written before "
    "it, "
    "and everything that was written before that. What was not acknowledged is there or not.";
static const struct entry texts[] = {{9, 0, TEXT("text"), TEXT(text)}};
static const struct {
    const char *name;
    enum nitro_compression how;
} packed[] = {{"lz4.snap", NITRO_COMPRESSION_LZ4}, {"zstd.snap", NITRO_COMPRESSION_ZSTD}};

/* ---- files -------------------------------------------------------------------------------------*/

static void save(const char *name, const struct image *im) {
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(im->p, 1, im->bytes, f) != im->bytes || fclose(f) != 0)
        test_fail("%s cannot be written", path);
    printf("wrote %s, %zu bytes\n", path, im->bytes);
}

/* The engine still writes what it wrote when the format was fixed. */
static void golden_files__written_again__the_same_bytes(void **state) {
    (void)state;
    struct image now[GOLDEN_FILES], golden;
    make_all(now);
    for (uint32_t i = 0; i < COUNT(packed) && getenv("NK_GOLDEN_UPDATE") != NULL; i++) {
        make_snapshot(&golden, texts, COUNT(texts), packed[i].how);
        save(packed[i].name, &golden);
    }
    for (int i = 0; i < GOLDEN_FILES; i++) {
        if (getenv("NK_GOLDEN_UPDATE") != NULL) save(names[i], &now[i]);
        load(names[i], &golden);
        if (golden.bytes != now[i].bytes)
            test_fail("%s has %zu bytes, written now %zu", names[i], golden.bytes, now[i].bytes);
        for (size_t at = 0; at < golden.bytes; at++) {
            if (golden.p[at] != now[i].p[at])
                test_fail("%s: byte %zu is %02x, written now %02x", names[i], at, golden.p[at],
                          now[i].p[at]);
        }
    }
}

/* ---- reading -----------------------------------------------------------------------------------*/

static void check_record(const struct nk_record *got, const struct effect *e, uint64_t lsn) {
    assert_true(got->lsn == lsn);
    assert_int_equal(got->kind, e->kind);
    assert_int_equal(got->more, e->more);
    assert_true(got->expire_ms == e->expire_ms);
    assert_int_equal(got->key_bytes, e->key_bytes);
    assert_int_equal(got->value_bytes, e->value_bytes);
    assert_memory_equal(got->key, e->key, e->key_bytes);
    assert_memory_equal(got->value, e->value, e->value_bytes);
}

/* check_frame: the frame at `at`, and where the next one would begin. */
static size_t check_frame(const struct image *im, size_t at, const struct effect *e, uint32_t count,
                          uint64_t first_lsn, uint64_t durable_lsn, int64_t time_ms) {
    struct nk_frame_head f;
    assert_true(nk_frame_decode(im->p + at, at, LOG_SALT, &f));
    assert_int_equal(f.count, count);
    assert_true(f.first_lsn == first_lsn && f.durable_lsn == durable_lsn && f.time_ms == time_ms);
    assert_true(f.group == 0 && f.term == 0 && f.index == 0);
    at += NK_FRAME_HEADER;
    size_t end = at + f.bytes;
    for (uint32_t i = 0; i < count; i++) {
        struct nk_record r;
        uint64_t n = nk_record_parse(im->p + at, end - at, FIRST_LSN, &r);
        assert_true(n > 0 && nk_record_check(im->p + at, n, &r, at, LOG_SALT));
        check_record(&r, &e[i], first_lsn + i);
        at += n;
    }
    assert_int_equal(at, end);
    return end;
}

/* The log says what was put in: header, both frames with each record, footer behind the frames. */
static void golden_log__read__every_field(void **state) {
    (void)state;
    struct image im;
    load(names[THE_LOG], &im);
    struct nk_log_header h;
    assert_int_equal(nk_log_header_decode(im.p, &h), NITRO_OK);
    assert_true(h.version == 1 && h.used == 1 && h.number == 1 && h.salt == LOG_SALT);
    assert_true(h.first_lsn == 1 && h.prev_number == 0 && h.prev_last_lsn == 0);
    assert_true(h.durable_lsn == 0 && h.time_ms == CREATED_MS);
    assert_memory_equal(h.store, STORE, sizeof h.store);
    size_t at = check_frame(&im, NK_SECTOR, first_frame, COUNT(first_frame), 1, 0, CREATED_MS + 10);
    at = check_frame(&im, at, second_frame, COUNT(second_frame), 6, 5, CREATED_MS + 20);
    struct nk_log_footer f;
    assert_int_equal(im.bytes, nk_round_up(at, NK_SECTOR) + NK_SECTOR);
    assert_true(nk_log_footer_decode(im.p + im.bytes - NK_SECTOR, &f));
    assert_true(f.number == 1 && f.salt == LOG_SALT && f.end == at && f.last_lsn == LAST_LSN);
}

static void check_manifest(const char *name, enum nk_mode mode, const struct nk_manifest_edit *want,
                           uint32_t count) {
    struct image im;
    load(name, &im);
    struct nk_manifest_head h;
    assert_int_equal(nk_manifest_head_decode(im.p, &h), NITRO_OK);
    assert_true(h.version == 1 && h.mode == (uint32_t)mode && h.salt == MANIFEST_SALT);
    assert_memory_equal(h.store, STORE, sizeof h.store);
    assert_int_equal(im.bytes, NK_MANIFEST_HEADER + count * NK_MANIFEST_EDIT);
    for (uint32_t i = 0; i < count; i++) {
        struct nk_manifest_edit e;
        size_t at = NK_MANIFEST_HEADER + i * NK_MANIFEST_EDIT;
        assert_true(nk_manifest_edit_decode(im.p + at, at, MANIFEST_SALT, &e));
        assert_true(e.op == want[i].op && e.kind == want[i].kind && e.number == want[i].number);
        assert_true(e.salt == want[i].salt && e.sequence == i + 1);
        assert_true(e.first_lsn == want[i].first_lsn && e.last_lsn == want[i].last_lsn);
    }
}

/* MANIFEST says what was put in: head, and each edit with all its fields; before the snapshot, after it, and in mode
 * bitcask. */
static void golden_manifests__read__every_field(void **state) {
    (void)state;
    check_manifest(names[THE_MANIFEST], NK_MODE_MEMORY, edits, EDITS_BEFORE);
    check_manifest(names[MANIFEST_2], NK_MODE_MEMORY, edits, COUNT(edits));
    check_manifest(names[MANIFEST_3], NK_MODE_BITCASK, bitcask_edits, COUNT(bitcask_edits));
}

/* check_snapshot: that a golden snapshot holds these entries, in this order, in a block of this kind. */
static void check_snapshot(const char *name, const struct entry *e, uint32_t count,
                           enum nitro_compression how) {
    struct image im;
    struct memfile file;
    struct nk_snapread r;
    struct nk_snaprec rec;
    load(name, &im);
    memfile_init(&file);
    assert_int_equal(nk_vfs_write(&file.vfs, 3, im.p, im.bytes, 0, "test"), 0);
    assert_int_equal(nk_snapread_open(&r, &file.vfs, nitro_mem_system(), 3, im.bytes), NITRO_OK);
    assert_true(r.head.version == 1 && r.head.number == SNAP_NUMBER && !r.head.wal_off);
    assert_true(r.head.salt == SNAP_SALT && r.head.lsn == LAST_LSN);
    assert_memory_equal(r.head.store, STORE, sizeof r.head.store);
    assert_true(r.foot.keys == count && r.foot.blocks == 1 && r.foot.time_ms == CREATED_MS + 40);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(nk_snapread_next(&r, false, &rec), NITRO_OK);
        assert_int_equal(r.block.compression, how);
        assert_true(rec.version == e[i].version && rec.expire_ms == e[i].expire_ms);
        assert_true(rec.key_bytes == e[i].key_bytes && rec.value_bytes == e[i].value_bytes);
        assert_memory_equal(rec.key, e[i].key, e[i].key_bytes);
        assert_memory_equal(rec.value, e[i].value, e[i].value_bytes);
    }
    assert_int_equal(nk_snapread_next(&r, false, &rec), NITRO_ENOTFOUND);
    nk_snapread_close(&r);
    memfile_fini(&file);
}

/* The snapshots say what was put in, also what other versions of the libraries have compressed. */
static void golden_snapshots__read__every_field(void **state) {
    (void)state;
    check_snapshot(names[THE_SNAPSHOT], entries, COUNT(entries), NITRO_COMPRESSION_NONE);
    for (uint32_t i = 0; i < COUNT(packed); i++)
        check_snapshot(packed[i].name, texts, COUNT(texts), packed[i].how);
}

/* CONTROL says what was put in: the newer slot is the clean stop, the other one is the note before. */
static void golden_control__read__every_field(void **state) {
    (void)state;
    struct image im, log;
    load(names[THE_CONTROL], &im);
    load(names[THE_LOG], &log);
    struct nk_log_footer f;
    assert_true(nk_log_footer_decode(log.p + log.bytes - NK_SECTOR, &f));
    struct nk_control c;
    assert_int_equal(im.bytes, NK_CONTROL_BYTES);
    assert_int_equal(nk_control_newest(im.p, im.bytes, &c), NITRO_OK);
    assert_true(c.version == 1 && c.clean == 1 && c.sequence == 2 && c.durable_lsn == LAST_LSN);
    assert_true(c.file == 1 && c.end == f.end && c.time_ms == CREATED_MS + 30);
    assert_memory_equal(c.store, STORE, sizeof c.store);
    assert_int_equal(nk_control_decode(im.p + NK_CONTROL_SLOT, &c), NITRO_OK);
    assert_true(c.clean == 0 && c.sequence == 1 && c.durable_lsn == 5 && c.end == 0);
    assert_true(c.file == 1 && c.time_ms == CREATED_MS + 15);
}

/* load_file: a golden file, as one in memory. */
static void load_file(const char *name, struct memfile *file) {
    struct image im;
    load(name, &im);
    memfile_init(file);
    assert_int_equal(nk_vfs_write(&file->vfs, 3, im.p, im.bytes, 0, "test"), 0);
}

/* The merged file says what was put in: its header, and each record with its LSN. */
static void golden_data__read__every_field(void **state) {
    (void)state;
    struct memfile file;
    struct nk_data_header h;
    struct nk_datascan s;
    struct nk_placed p;
    load_file(names[MERGED], &file);
    assert_int_equal(nk_data_header_decode(file.p, &h), NITRO_OK);
    assert_true(h.version == 1 && h.number == DATA_NUMBER && h.salt == DATA_SALT);
    assert_true(h.first_lsn == FIRST_LSN && h.last_lsn == LAST_LSN && h.prev_last_lsn == 0);
    assert_true(h.end == file.size && h.records == COUNT(merged) && h.time_ms == CREATED_MS + 20);
    assert_memory_equal(h.store, STORE, sizeof h.store);
    nk_datascan_init(&s, &file.vfs, nitro_mem_system(), 3, &h);
    for (uint32_t i = 0; i < COUNT(merged); i++) {
        assert_int_equal(nk_datascan_record(&s, true, &p), NITRO_OK);
        check_record(&p.r, &merged[i].e, merged[i].lsn);
    }
    assert_int_equal(nk_datascan_record(&s, true, &p), NITRO_ENOTFOUND);
    nk_datascan_fini(&s);
    memfile_fini(&file);
}

/* check_hint: that a hint is that of the record which lies at its place in the merged file. */
static void check_hint(const struct nk_hint *got, const struct memfile *data, uint32_t i) {
    struct nk_record r;
    const uint8_t *p = data->p + got->offset;
    assert_true(got->offset + got->bytes <= data->size);
    assert_true(nk_record_parse(p, got->bytes, FIRST_LSN, &r) == got->bytes);
    assert_true(nk_record_check(p, got->bytes, &r, got->offset, DATA_SALT));
    check_record(&r, &merged[i].e, got->lsn);
    assert_true(got->lsn == merged[i].lsn && got->kind == r.kind && got->expire_ms == r.expire_ms);
    assert_int_equal(got->key_bytes, r.key_bytes);
    assert_memory_equal(got->key, r.key, r.key_bytes);
}

/* The hint names the merged file, and says of each of its records where it lies. */
static void golden_hint__read__every_field(void **state) {
    (void)state;
    struct memfile file, data;
    struct nk_hintread r;
    struct nk_hint h;
    uint64_t puts = 0;
    load_file(names[MERGED], &data);
    load_file(names[MERGED_HINT], &file);
    assert_int_equal(nk_hintread_open(&r, &file.vfs, nitro_mem_system(), 3, file.size), NITRO_OK);
    assert_true(r.head.version == 1 && r.head.kind == NK_FILE_DATA);
    assert_true(r.head.number == DATA_NUMBER && r.head.salt == DATA_SALT);
    assert_true(r.head.end == data.size && r.head.entries == COUNT(merged));
    assert_true(r.head.first_lsn == FIRST_LSN && r.head.last_lsn == LAST_LSN);
    assert_true(r.head.gone_lsn == 9 && r.head.time_ms == CREATED_MS + 20);
    assert_memory_equal(r.head.store, STORE, sizeof r.head.store);
    for (uint32_t i = 0; i < COUNT(merged); i++) {
        assert_int_equal(nk_hintread_next(&r, &h), NITRO_OK);
        check_hint(&h, &data, i);
        if (h.kind == NK_REC_PUT) puts += h.bytes;
    }
    assert_int_equal(nk_hintread_next(&r, &h), NITRO_ENOTFOUND);
    assert_true(r.head.put_bytes == puts);
    assert_true(r.head.gone_bytes == data.size - NK_SECTOR - puts);
    nk_hintread_close(&r);
    memfile_fini(&file);
    memfile_fini(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files__written_again__the_same_bytes),
        cmocka_unit_test(golden_log__read__every_field),
        cmocka_unit_test(golden_manifests__read__every_field),
        cmocka_unit_test(golden_snapshots__read__every_field),
        cmocka_unit_test(golden_control__read__every_field),
        cmocka_unit_test(golden_data__read__every_field),
        cmocka_unit_test(golden_hint__read__every_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
