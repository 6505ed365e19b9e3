/* SPDX-License-Identifier: MIT
 *
 * test_golden_store.c - the golden files as what they are for: a store opens on a copy of them and has the keys, and
 * the worked examples of docs/FORMAT.md are cut from them.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "golden.h"

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

/* A store that golden files make: which they are, and their names in its folder. */
struct store {
    struct {
        int file;
        const char *as;
    } files[5];
    size_t count;
    uint64_t last_lsn, snapshot_lsn, keys;
};
static const struct store in_memory = {
    .files = {{THE_LOG, "0000000001.log"}, {THE_CONTROL, "CONTROL"}, {THE_MANIFEST, "MANIFEST"}},
    .count = 3,
    .last_lsn = LAST_LSN,
    .keys = 4};
static const struct store with_snapshot = {.files = {{THE_LOG, "0000000001.log"},
                                                     {THE_SNAPSHOT, "0000000003.snap"},
                                                     {THE_CONTROL, "CONTROL"},
                                                     {MANIFEST_2, "MANIFEST"}},
                                           .count = 4,
                                           .last_lsn = LAST_LSN,
                                           .snapshot_lsn = LAST_LSN,
                                           .keys = 4};
static const struct store bitcask = {.files = {{MERGED, "0000000003.data"},
                                               {NEXT_LOG, "0000000002.log"},
                                               {CONTROL_3, "CONTROL"},
                                               {MANIFEST_3, "MANIFEST"},
                                               {MERGED_HINT, "0000000003.hint"}},
                                     .count = 5,
                                     .last_lsn = LAST_LSN + 1,
                                     .keys = 5};

/* copy_folder: the golden files in a new folder, whose name goes to dir. */
static void copy_folder(char dir[32], const struct store *of) {
    strcpy(dir, "/tmp/nitrokv-golden-XXXXXX");
    if (mkdtemp(dir) == NULL) test_fail("a folder in /tmp cannot be made");
    for (size_t i = 0; i < of->count; i++)
        copy_file(names[of->files[i].file], dir, of->files[i].as);
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

static void check_keys(nitro_store *s, const struct store *of) {
    struct nitro_stats st;
    nitro_stats(s, &st);
    assert_int_equal(st.keys, of->keys);
    check_key(s, "user_id", "42069", 3, 0);
    check_key(s, "session", "abc", 5, CREATED_MS + 7200000);
    check_key(s, "to", "110", 7, 0);
    check_key(s, "moved", "20", 8, 0);
    if (of->last_lsn > LAST_LSN) check_key(s, "later", "1", LAST_LSN + 1, 0);
}

/* open_copy: opens a copy of the golden store, recovers it, and looks at its keys. */
static void open_copy(const struct store *of) {
    char dir[32];
    struct test_mem mem;
    struct nitro_recovery found;
    struct nitro_err err;
    int64_t newest_ms = 0;
    copy_folder(dir, of);
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, 4);
    opt.dir = dir;
    opt.log_file_bytes = 65536;
    nitro_store *s = test_open(&opt);
    assert_int_equal(nitro_recover_scan(s, CREATED_MS + 100, &found, &err), NITRO_OK);
    assert_true(found.clean == 1 && found.created == 0 && found.cut_bytes == 0);
    assert_true(found.durable_lsn == of->last_lsn && found.last_lsn == of->last_lsn);
    assert_true(found.snapshot_lsn == of->snapshot_lsn);
    assert_true(found.snapshot_keys == (of->snapshot_lsn > 0 ? of->keys : 0));
    assert_int_equal(nitro_recover_load(s, 0, 1, &err), NITRO_OK);
    assert_int_equal(nitro_recover_replay(s, 0, 1, &err), NITRO_OK);
    assert_int_equal(nitro_recover_finish(s, CREATED_MS + 100, &newest_ms, &err), NITRO_OK);
    assert_true(newest_ms >= CREATED_MS + 30);
    check_keys(s, of);
    assert_int_equal(nitro_log_stop(s, CREATED_MS + 200, &err), NITRO_OK);
    nitro_close(&s);
    test_mem_check_empty(&mem);
    remove_folder(dir);
}

/* Today's engine opens the store of version 1, finds it whole and cleanly stopped, and serves its keys. */
static void golden_folder__opened_as_a_store__its_keys_are_there(void **state) {
    (void)state;
    open_copy(&in_memory);
}

/* … and the same from the snapshot, which covers all of the log. */
static void golden_folder__opened_with_the_snapshot__the_same_keys(void **state) {
    (void)state;
    open_copy(&with_snapshot);
}

/* The store of mode bitcask opens as one, from its hint or without it. */
static void golden_folder__of_mode_bitcask__its_keys_are_there(void **state) {
    (void)state;
    struct store no_hint = bitcask;
    no_hint.count--;
    open_copy(&bitcask);
    open_copy(&no_hint);
}

/* ---- docs/FORMAT.md ----------------------------------------------------------------------------
 * An example is a block that begins with "```hex FILE"; each of its lines is an offset of eight hex digits,
 * two blanks, bytes with one blank between them, and maybe two blanks and a remark. */

#define FORMAT_MD "docs/FORMAT.md"
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
        cmocka_unit_test(golden_folder__opened_as_a_store__its_keys_are_there),
        cmocka_unit_test(golden_folder__opened_with_the_snapshot__the_same_keys),
        cmocka_unit_test(golden_folder__of_mode_bitcask__its_keys_are_there),
        cmocka_unit_test(format_page__worked_examples__bytes_of_the_golden_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
