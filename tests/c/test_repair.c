/* SPDX-License-Identifier: MIT
 *
 * test_repair.c - repairing data folders: what is kept, what stays as a copy, and repairs that were
 * stopped.
 */
#include "check_world.h"

#include "logfile.h"
#include "manifest.h"

/* The changes that replace a whole file. */
#define REPLACE                                                                                    \
    "check: empty file\ncheck: write file\ncheck: sync file\ncheck: rename file\n"                 \
    "check: sync renamed\n"

/* A repair of a folder that needs none changes nothing. */
static void repair__healthy_folder__changes_nothing(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct image after;
    make_folder(w, 200, true);
    assert_int_equal(check(w, true, &fs).repaired, 0);
    image_load(&after, w->dir);
    assert_true(image_same(&w->image, &after));
    image_free(&after);
}

/* What a repair changes or drops stays in the folder, and no start removes it. */
static void repair__dropped_files__are_kept_as_copies(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct image after;
    size_t at;
    char backup[NK_PATH_MAX];
    make_folder(w, 300, true);
    struct file *f = middle_of(w, 1, &at);
    f->p[at] ^= 1;
    image_store(&w->image, w->dir);
    assert_int_equal(check(w, true, &fs).repaired, 1);
    for (int i = 0; i < 2; i++) { /* the second time after a start */
        image_load(&after, w->dir);
        struct file *same = image_find(&after, f->name);
        assert_true(same != NULL && same->n <= f->n && memcmp(same->p, f->p, at) == 0);
        for (unsigned k = 0; k < w->image.count; k++) {
            const struct file *was = &w->image.file[k];
            if (was == f) continue;
            nk_path_backup(was->name, REPAIR_TIME, backup);
            struct file *copy = image_find(&after, backup);
            assert_non_null(copy);
            assert_true(copy->n == was->n && memcmp(copy->p, was->p, was->n) == 0);
        }
        image_free(&after);
        if (i == 0) start(w);
        nitro_close(&w->store);
    }
}

/* check_put_aside: the folder, with one log file damaged like this, is repaired; the file stays as
 * a copy. */
static void check_put_aside(struct world *w, struct file *damaged) {
    struct findings fs;
    struct image after;
    char backup[NK_PATH_MAX];
    image_store(&w->image, w->dir);
    assert_true(judge(w, &fs).damages > 0);
    image_load(&after, w->dir);
    nk_path_backup(damaged->name, REPAIR_TIME, backup);
    const struct file *copy = image_find(&after, backup);
    assert_non_null(copy);
    assert_true(copy->n == damaged->n && memcmp(copy->p, damaged->p, copy->n) == 0);
    assert_null(image_find(&after, damaged->name));
    image_free(&after);
}

/* A file whose header is not valid, or says that it is blank, is put aside: the next start would
 * remove it. */
static void repair__bad_headers__files_are_kept_as_copies(void **state) {
    struct world *w = *state;
    make_folder(w, 300, true);
    for (unsigned i = 0; i < w->image.count; i++) {
        struct file *f = &w->image.file[i];
        struct nk_log_header h;
        uint64_t number;
        uint8_t good[NK_SECTOR];
        if (nk_path_parse(f->name, &number) != NK_PATH_IS_LOG) continue;
        memcpy(good, f->p, sizeof good);
        f->p[100] ^= 1;
        check_put_aside(w, f);
        assert_int_equal(nk_log_header_decode(good, &h), NITRO_OK);
        h.used = 0;
        h.first_lsn = h.prev_number = h.prev_last_lsn = h.durable_lsn = 0;
        nk_log_header_encode(&h, f->p);
        check_put_aside(w, f);
        memcpy(f->p, good, sizeof good);
    }
}

/* The order that makes it safe to stop a repair anywhere: everything is synced before the next
 * thing relies on it, and CONTROL comes last. */
static void repair__its_changes__in_the_order_that_is_safe(void **state) {
    struct world *w = *state;
    struct findings fs;
    size_t at;
    make_folder(w, 300, true);
    middle_of(w, 2, &at)->p[at] ^= 1;
    image_store(&w->image, w->dir);
    w->rig.trace[0] = '\0';
    assert_int_equal(check(w, true, &fs).repaired, 1);
    assert_string_equal(w->rig.trace,
                        "check: sync kept\n"
                        "check: copy\ncheck: sync copy\n" /* MANIFEST */
                        "check: copy\ncheck: sync copy\n" /* CONTROL */
                        "check: sync copies\n"
                        "check: put aside\ncheck: sync put aside\n" REPLACE REPLACE REPLACE);
    assert_string_equal(w->rig.renamed, NK_PATH_CONTROL);
}

/* An entry in the middle of MANIFEST: its file is found all the same. */
static void repair__flipped_entries_of_manifest__keep_every_record(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 300, true);
    struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
    for (size_t at = NK_MANIFEST_HEADER; at + NK_MANIFEST_EDIT <= f->n; at += NK_MANIFEST_EDIT) {
        f->p[at + 10] ^= 1;
        image_store(&w->image, w->dir);
        f->p[at + 10] ^= 1;
        struct nitro_check_result r = judge(w, &fs);
        assert_int_equal(r.last_lsn, last_lsn(w));
        assert_int_equal(r.drop_records, 0);
    }
}

/* MANIFEST from before the last files came: nothing is lost, they are listed again. */
static void repair__older_manifest__keeps_every_record(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 300, true);
    image_find(&w->image, NK_PATH_MANIFEST)->n = NK_MANIFEST_HEADER + NK_MANIFEST_EDIT;
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge(w, &fs);
    assert_true(r.damages > 0);
    assert_int_equal(r.last_lsn, last_lsn(w));
    assert_int_equal(r.drop_records, 0);
}

/* Without MANIFEST and CONTROL the files themselves say what the store held. */
static void repair__only_log_files__keeps_every_record(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 300, true);
    image_drop(&w->image, NK_PATH_MANIFEST);
    image_drop(&w->image, NK_PATH_CONTROL);
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge(w, &fs);
    assert_true(r.damages > 0);
    assert_int_equal(r.last_lsn, last_lsn(w));
}

/* Where nothing says which store it was there is no repair. */
static void repair__nothing_valid__is_not_possible(void **state) {
    struct world *w = *state;
    struct nitro_err err;
    make_folder(w, 20, true);
    for (unsigned i = 0; i < w->image.count; i++) {
        struct file *f = &w->image.file[i];
        for (size_t at = 0; at < f->n; at += 64) f->p[at + 20] ^= 0xff;
    }
    image_store(&w->image, w->dir);
    assert_int_equal(code_of(w, w->dir, &err), NITRO_ECORRUPT);
    assert_non_null(strstr(err.msg, "restore a backup"));
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* A repair that is stopped at any of its file calls is repeated, and keeps the same. */
static void repair__stopped_at_each_call__is_repeated(void **state) {
    struct world *w = *state;
    struct findings fs;
    damaged_folder(w);
    uint64_t keeps = check(w, false, &fs).last_lsn;
    for (uint64_t n = 1;; n++) {
        struct nitro_check_result r;
        struct nitro_err err = {0};
        struct nitro_check_options o = options(w, true, &fs);
        image_store(&w->image, w->dir);
        w->rig.changes = 0;
        w->rig.fail_change = n;
        o.now_ms = REPAIR_TIME - 1000;
        int rc = nitro_check(&o, &r, &err);
        w->rig.fail_change = 0;
        if (rc == NITRO_OK) {
            assert_true(n > 20);
            break;
        }
        assert_int_equal(rc, NITRO_EIO);
        assert_non_null(strstr(err.msg, w->dir));
        r = check(w, true, &fs);
        assert_int_equal(r.last_lsn, keeps);
        start(w);
        check_contents(w, keeps);
        nitro_close(&w->store);
    }
}

/* Every allocation that fails is told as such; nothing leaks (world_teardown). */
static void repair__each_allocation_fails__is_enomem(void **state) {
    struct world *w = *state;
    struct findings fs;
    damaged_folder(w);
    for (uint64_t n = 1;; n++) {
        struct nitro_check_result r;
        struct nitro_err err = {0};
        struct nitro_check_options o = options(w, true, &fs);
        image_store(&w->image, w->dir);
        test_mem_fail(&w->mem, n, n);
        int rc = nitro_check(&o, &r, &err);
        test_mem_fail(&w->mem, 0, 0);
        if (rc == NITRO_OK) {
            assert_true(n > 3);
            break;
        }
        assert_int_equal(rc, NITRO_ENOMEM);
        test_mem_check_empty(&w->mem);
        assert_int_equal(w->rig.handles, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(repair__healthy_folder__changes_nothing),
        TEST(repair__dropped_files__are_kept_as_copies),
        TEST(repair__bad_headers__files_are_kept_as_copies),
        TEST(repair__its_changes__in_the_order_that_is_safe),
        TEST(repair__flipped_entries_of_manifest__keep_every_record),
        TEST(repair__older_manifest__keeps_every_record),
        TEST(repair__only_log_files__keeps_every_record),
        TEST(repair__nothing_valid__is_not_possible),
        TEST(repair__stopped_at_each_call__is_repeated),
        TEST(repair__each_allocation_fails__is_enomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
