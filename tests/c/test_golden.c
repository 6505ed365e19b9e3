/* SPDX-License-Identifier: MIT
 *
 * test_golden.c - the golden files of format version 1, tests/golden/v1/: what the engine writes today is
 * what they hold, byte for byte; what it reads from them is what was put in, field by field; a store
 * opens on a copy of them and has the keys; and the worked examples of docs/FORMAT.md are cut from them.
 *
 * THE FILES are a store that was stopped cleanly: one log of two frames, the MANIFEST that lists it (and
 * a prepared file that was not needed), and CONTROL; then a snapshot of that store, and the MANIFEST of the
 * same folder that lists it, too. They never change: a change of the format is a new version with golden
 * files of its own. NK_GOLDEN_UPDATE=1 writes them, for a version that is not released yet.
 *   zstd.snap and lz4.snap are what these libraries made of a text on the day when the format was fixed. They
 * are read only: another version of a library may write other bytes.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "control.h"
#include "frame.h"
#include "logfile.h"
#include "manifest.h"
#include "memfile.h"
#include "record.h"
#include "snapfile.h"
#include "support.h"

#define FOLDER "tests/golden/v1/"
#define FORMAT_MD "docs/FORMAT.md"
#define FILE_MAX 4096u
#define STORE "NitroKV-golden-1" /* 16 bytes, as random as any */
#define LOG_SALT UINT64_C(0x1122334455667788)
#define MANIFEST_SALT UINT64_C(0x99aabbccddeeff00)
#define SPARE_SALT UINT64_C(0x0123456789abcdef)
#define SNAP_SALT UINT64_C(0x5566778899aabbcc)
#define SNAP_NUMBER 3
#define CREATED_MS INT64_C(1700000000000)
#define FIRST_LSN UINT64_C(1)
#define LAST_LSN UINT64_C(9)

enum { THE_LOG, THE_MANIFEST, THE_CONTROL, THE_SNAPSHOT, MANIFEST_2, GOLDEN_FILES };
static const char *const names[GOLDEN_FILES] = {"0000000001.log", "MANIFEST", "CONTROL",
                                                "0000000003.snap", "MANIFEST.2"};

struct image {
    uint8_t p[FILE_MAX];
    size_t bytes;
};

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
#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

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

static void add_record(struct image *im, const struct effect *e, uint64_t lsn) {
    struct nk_record r = record_of(e, lsn);
    assert_true(im->bytes + nk_record_max(r.key_bytes, r.value_bytes) <= FILE_MAX);
    im->bytes += nk_record_head(&r, nk_record_body_crc(&r), FIRST_LSN, im->bytes, LOG_SALT,
                                im->p + im->bytes);
    memcpy(im->p + im->bytes, r.key, r.key_bytes);
    memcpy(im->p + im->bytes + r.key_bytes, r.value, r.value_bytes);
    im->bytes += (size_t)r.key_bytes + r.value_bytes;
}

static void add_frame(struct image *im, const struct effect *e, uint32_t count, uint64_t first_lsn,
                      uint64_t durable_lsn, int64_t time_ms) {
    size_t at = im->bytes;
    im->bytes += NK_FRAME_HEADER;
    for (uint32_t i = 0; i < count; i++) add_record(im, &e[i], first_lsn + i);
    struct nk_frame_head f = {.bytes = (uint32_t)(im->bytes - at - NK_FRAME_HEADER),
                              .count = count,
                              .first_lsn = first_lsn,
                              .durable_lsn = durable_lsn,
                              .time_ms = time_ms};
    nk_frame_encode(&f, at, LOG_SALT, im->p + at);
}

static size_t make_log(struct image *im) {
    struct nk_log_header h = {
        .used = 1, .number = 1, .salt = LOG_SALT, .first_lsn = FIRST_LSN, .time_ms = CREATED_MS};
    memcpy(h.store, STORE, sizeof h.store);
    nk_log_header_encode(&h, im->p);
    im->bytes = NK_SECTOR;
    add_frame(im, first_frame, COUNT(first_frame), 1, 0, CREATED_MS + 10);
    add_frame(im, second_frame, COUNT(second_frame), 6, 5, CREATED_MS + 20);
    size_t end = im->bytes;
    struct nk_log_footer f = {.number = 1, .salt = LOG_SALT, .end = end, .last_lsn = LAST_LSN};
    im->bytes = nk_round_up(end, NK_SECTOR);
    nk_log_footer_encode(&f, im->p + im->bytes);
    im->bytes += NK_SECTOR;
    return end;
}

static const struct nk_manifest_edit edits[] = {
    {NK_MANIFEST_ADD, NK_FILE_LOG, 1, LOG_SALT, 0, 0, 1},
    {NK_MANIFEST_ADD, NK_FILE_LOG, 2, SPARE_SALT, 0, 0, 2},
    {NK_MANIFEST_REMOVE, NK_FILE_LOG, 2, SPARE_SALT, 0, 0, 3},
    {NK_MANIFEST_ADD, NK_FILE_SNAP, SNAP_NUMBER, SNAP_SALT, 0, LAST_LSN, 4},
};
#define EDITS_BEFORE 3u /* the snapshot */

static void make_manifest(struct image *im, uint32_t count) {
    struct nk_manifest_head h = {.mode = NK_MODE_MEMORY, .salt = MANIFEST_SALT};
    memcpy(h.store, STORE, sizeof h.store);
    nk_manifest_head_encode(&h, im->p);
    im->bytes = NK_MANIFEST_HEADER;
    for (uint32_t i = 0; i < count; i++, im->bytes += NK_MANIFEST_EDIT)
        nk_manifest_edit_encode(&edits[i], im->bytes, MANIFEST_SALT, im->p + im->bytes);
}

static void make_control(struct image *im, uint64_t end) {
    struct nk_control first = {
        .sequence = 1, .durable_lsn = 5, .file = 1, .time_ms = CREATED_MS + 15};
    memcpy(first.store, STORE, sizeof first.store);
    struct nk_control second = first;
    second.sequence = 2;
    second.clean = 1;
    second.durable_lsn = LAST_LSN;
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

/* make_all: the files as the engine writes them. */
static void make_all(struct image im[GOLDEN_FILES]) {
    memset(im, 0, GOLDEN_FILES * sizeof im[0]);
    size_t end = make_log(&im[THE_LOG]);
    make_manifest(&im[THE_MANIFEST], EDITS_BEFORE);
    make_control(&im[THE_CONTROL], end);
    make_snapshot(&im[THE_SNAPSHOT], entries, COUNT(entries), NITRO_COMPRESSION_NONE);
    make_manifest(&im[MANIFEST_2], COUNT(edits));
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

static void load(const char *name, struct image *im) {
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) test_fail("%s cannot be opened; run the test from the repository's root", path);
    im->bytes = fread(im->p, 1, sizeof im->p, f);
    if (ferror(f) || im->bytes == sizeof im->p)
        test_fail("%s cannot be read, or is too long", path);
    fclose(f);
}

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

static void check_manifest(const char *name, uint32_t count) {
    struct image im;
    load(name, &im);
    struct nk_manifest_head h;
    assert_int_equal(nk_manifest_head_decode(im.p, &h), NITRO_OK);
    assert_true(h.version == 1 && h.mode == NK_MODE_MEMORY && h.salt == MANIFEST_SALT);
    assert_memory_equal(h.store, STORE, sizeof h.store);
    assert_int_equal(im.bytes, NK_MANIFEST_HEADER + count * NK_MANIFEST_EDIT);
    for (uint32_t i = 0; i < count; i++) {
        struct nk_manifest_edit e;
        size_t at = NK_MANIFEST_HEADER + i * NK_MANIFEST_EDIT;
        assert_true(nk_manifest_edit_decode(im.p + at, at, MANIFEST_SALT, &e));
        assert_true(e.op == edits[i].op && e.kind == edits[i].kind && e.number == edits[i].number);
        assert_true(e.salt == edits[i].salt && e.sequence == i + 1);
        assert_true(e.first_lsn == edits[i].first_lsn && e.last_lsn == edits[i].last_lsn);
    }
}

/* MANIFEST says what was put in: head, and each edit with all its fields; before the snapshot and after it. */
static void golden_manifests__read__every_field(void **state) {
    (void)state;
    check_manifest(names[THE_MANIFEST], EDITS_BEFORE);
    check_manifest(names[MANIFEST_2], COUNT(edits));
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

/* ---- as a store --------------------------------------------------------------------------------*/

/* copy_file: a golden file to a folder, under its name there. */
static void copy_file(const char *name, const char *dir, const char *as) {
    struct image im;
    char path[64];
    load(name, &im);
    snprintf(path, sizeof path, "%s/%s", dir, as);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(im.p, 1, im.bytes, f) != im.bytes || fclose(f) != 0)
        test_fail("%s cannot be written", path);
}

/* copy_folder: the golden files in a new folder, whose name goes to dir; with the snapshot or without. */
static void copy_folder(char dir[32], bool snapshot) {
    strcpy(dir, "/tmp/nitrokv-golden-XXXXXX");
    if (mkdtemp(dir) == NULL) test_fail("a folder in /tmp cannot be made");
    copy_file(names[THE_LOG], dir, names[THE_LOG]);
    copy_file(names[THE_CONTROL], dir, names[THE_CONTROL]);
    copy_file(names[snapshot ? MANIFEST_2 : THE_MANIFEST], dir, names[THE_MANIFEST]);
    if (snapshot) copy_file(names[THE_SNAPSHOT], dir, names[THE_SNAPSHOT]);
}

/* remove_folder: with what the store has left in it. */
static void remove_folder(const char *dir) {
    DIR *d = opendir(dir);
    if (d == NULL) test_fail("%s cannot be listed", dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

static void check_key(nitro_store *s, const char *key, const char *value, uint64_t version,
                      int64_t expire_ms) {
    char got[16] = "";
    struct nitro_info info = {0};
    int rc = nitro_get(s, CREATED_MS + 100, key, strlen(key), got, sizeof got, &info);
    if (rc != NITRO_OK) test_fail("%s: %s", key, nitro_strerror(rc));
    assert_int_equal(info.bytes, strlen(value));
    assert_memory_equal(got, value, strlen(value));
    assert_true(info.version == version && info.expire_ms == expire_ms);
}

static void check_keys(nitro_store *s) {
    struct nitro_stats st;
    nitro_stats(s, &st);
    assert_int_equal(st.keys, 4);
    check_key(s, "user_id", "42069", 3, 0);
    check_key(s, "session", "abc", 5, CREATED_MS + 7200000);
    check_key(s, "to", "110", 7, 0);
    check_key(s, "moved", "20", 8, 0);
}

/* open_copy: opens a copy of the golden store, recovers it, and looks at its keys. */
static void open_copy(bool snapshot) {
    char dir[32];
    struct test_mem mem;
    struct nitro_recovery found;
    struct nitro_err err;
    int64_t newest_ms = 0;
    copy_folder(dir, snapshot);
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 4);
    opt.dir = dir;
    opt.log_file_bytes = 65536;
    nitro_store *s = test_open(&opt);
    assert_int_equal(nitro_recover_scan(s, CREATED_MS + 100, &found, &err), NITRO_OK);
    assert_true(found.clean == 1 && found.created == 0 && found.cut_bytes == 0);
    assert_true(found.durable_lsn == LAST_LSN && found.last_lsn == LAST_LSN);
    assert_true(found.snapshot_lsn == (snapshot ? LAST_LSN : 0));
    assert_true(found.snapshot_keys == (snapshot ? COUNT(entries) : 0));
    assert_int_equal(nitro_recover_load(s, 0, 1, &err), NITRO_OK);
    assert_int_equal(nitro_recover_replay(s, 0, 1, &err), NITRO_OK);
    assert_int_equal(nitro_recover_finish(s, CREATED_MS + 100, &newest_ms, &err), NITRO_OK);
    assert_true(newest_ms >= CREATED_MS + 30);
    check_keys(s);
    assert_int_equal(nitro_log_stop(s, CREATED_MS + 200, &err), NITRO_OK);
    nitro_close(&s);
    test_mem_check_empty(&mem);
    remove_folder(dir);
}

/* Today's engine opens the store of version 1, finds it whole and cleanly stopped, and serves its keys. */
static void golden_folder__opened_as_a_store__its_keys_are_there(void **state) {
    (void)state;
    open_copy(false);
}

/* … and the same from the snapshot, which covers all of the log. */
static void golden_folder__opened_with_the_snapshot__the_same_keys(void **state) {
    (void)state;
    open_copy(true);
}

/* ---- docs/FORMAT.md ----------------------------------------------------------------------------
 * An example is a block that begins with "```hex FILE"; each of its lines is an offset of eight hex digits,
 * two blanks, bytes with one blank between them, and maybe two blanks and a remark. */

#define EXAMPLE "```hex "
#define EXAMPLE_BYTES_MIN 400u /* fewer mean that the examples were not found */

/* check_line: that the golden file holds the bytes of a line; returns how many they are. */
static size_t check_line(const char *file, const struct image *im, const char *line) {
    char *p;
    size_t at = strtoul(line, &p, 16), count = 0;
    if (p != line + 8 || strncmp(p, "  ", 2) != 0)
        test_fail(FORMAT_MD ": \"%s\" is no line of an example", line);
    for (p += 1; p[0] == ' ' && p[1] != ' ' && p[1] != 0; count++) {
        char *byte = p + 1;
        unsigned long value = strtoul(byte, &p, 16);
        if (p != byte + 2) test_fail(FORMAT_MD ": \"%s\" holds what is no byte", line);
        if (at + count >= im->bytes || im->p[at + count] != value)
            test_fail(FORMAT_MD ": %s has no %02lx at %zx", file, value, at + count);
    }
    return count;
}

/* The worked examples are bytes of the golden files, so the page cannot say anything else. */
static void format_page__worked_examples__bytes_of_the_golden_files(void **state) {
    (void)state;
    FILE *f = fopen(FORMAT_MD, "r");
    if (f == NULL)
        test_fail(FORMAT_MD " cannot be opened; run the test from the repository's root");
    char line[512], file[64] = "";
    struct image im = {.bytes = 0};
    size_t bytes = 0, files = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, EXAMPLE, strlen(EXAMPLE)) == 0) {
            snprintf(file, sizeof file, "%.*s", (int)sizeof file - 1, line + strlen(EXAMPLE));
            load(file, &im);
            files++;
        } else if (strncmp(line, "```", 3) == 0) {
            file[0] = 0;
        } else if (file[0] != 0) {
            bytes += check_line(file, &im, line);
        }
    }
    fclose(f);
    if (files < GOLDEN_FILES || bytes < EXAMPLE_BYTES_MIN)
        test_fail(FORMAT_MD " has only %zu bytes of examples from %zu files", bytes, files);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files__written_again__the_same_bytes),
        cmocka_unit_test(golden_log__read__every_field),
        cmocka_unit_test(golden_manifests__read__every_field),
        cmocka_unit_test(golden_snapshots__read__every_field),
        cmocka_unit_test(golden_control__read__every_field),
        cmocka_unit_test(golden_folder__opened_as_a_store__its_keys_are_there),
        cmocka_unit_test(golden_folder__opened_with_the_snapshot__the_same_keys),
        cmocka_unit_test(format_page__worked_examples__bytes_of_the_golden_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
