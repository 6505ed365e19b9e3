/* SPDX-License-Identifier: MIT
 *
 * test_check_snap.c - checking and repairing folders with snapshots: which of them a start needs, what of the
 * log it needs then, and what a repair can do without.
 */
#include "check_world.h"

#include "manifest.h"

#define ALL UINT64_C(1000000000) /* of the log is kept */

/* ---- what is no damage -------------------------------------------------------------------------*/

/* Sound folders, with all of the log, with some, and with what a start needs alone. */
static void check__healthy_folder_with_snapshots__no_damage(void **state) {
    struct world *w = *state;
    static const uint64_t keep[] = {0, 150000, ALL};
    for (unsigned i = 0; i < 6; i++) {
        struct findings fs;
        make_snap_folder(w, 500, keep[i / 2], i % 2 == 0);
        struct nitro_check_result r = judge(w, &fs);
        assert_int_equal(r.damages, 0);
        assert_int_equal(r.notes, 0);
        assert_int_equal(r.last_lsn, last_lsn(w));
        assert_int_equal(r.snapshot_lsn, w->snap[w->snaps - 1].lsn);
        assert_int_equal(r.clean, i % 2 == 0);
        assert_int_equal(r.snapshots, keep[i / 2] == 0 ? 1 : keep[i / 2] == ALL ? 4 : r.snapshots);
        if (keep[i / 2] == ALL) assert_int_equal(r.records, w->ops);
    }
}

/* A store that writes no log. */
static void check__folder_without_a_log__no_damage(void **state) {
    struct world *w = *state;
    struct findings fs;
    w->opt.wal_off = 1;
    for (unsigned snaps = 0; snaps < 3; snaps++) {
        struct nitro_info info;
        struct nitro_err err;
        folder_empty(w->dir);
        w->snaps = 0;
        start(w);
        for (unsigned i = 0; i < snaps; i++) {
            assert_int_equal(nitro_set(w->store, TEST_NOW, "k", 1, "v", 1, 0, 0, 0, &info), 0);
            snapshot(w);
            retain(w, 0);
        }
        assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
        nitro_close(&w->store);
        struct nitro_check_result r = check_unchanged(w, &fs);
        if (r.damages > 0) fail_msg("%s: %s", fs.file, fs.text);
        assert_int_equal(r.snapshots, snaps > 0);
        assert_int_equal(load(w), NITRO_OK);
        nitro_close(&w->store);
    }
}

/* An older snapshot that is damaged, or gone, is a note, and the store starts. */
static void check__older_snapshot_damaged_or_lost__is_a_note(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_snap_folder(w, 300, ALL, true);
    for (unsigned i = 0; i < 4; i++) {
        struct image hurt = image_copy(&w->image);
        struct file *f = image_find(&hurt, snap_file(w, 1)->name);
        if (i < 3) f->p[i * f->n / 3 + 40] ^= 1;
        image_store(&hurt, w->dir);
        if (i == 3) {
            char path[PATH_MAX];
            snprintf(path, sizeof path, "%s/%s", w->dir, f->name);
            assert_int_equal(unlink(path), 0);
        }
        image_free(&hurt);
        struct nitro_check_result r = judge(w, &fs);
        assert_int_equal(r.damages, 0);
        assert_int_equal(r.notes, 1);
        assert_int_equal(r.snapshots, w->snaps - 1);
        assert_int_equal(r.last_lsn, last_lsn(w));
    }
}

/* Records that a snapshot holds are not needed: damage in them is told, once, and the store starts. */
static void check__damage_below_the_snapshot__is_a_note(void **state) {
    struct world *w = *state;
    struct findings fs;
    size_t at;
    make_snap_folder(w, 500, ALL, true);
    for (unsigned i = 0; i < 2; i++) {
        struct image hurt = image_copy(&w->image);
        struct file *f = middle_of(w, 1, &at);
        image_find(&hurt, f->name)->p[at + (i == 0 ? 5 : 70)] ^= 1; /* a frame's header; a record */
        image_store(&hurt, w->dir);
        image_free(&hurt);
        struct nitro_check_result r = judge(w, &fs);
        assert_int_equal(r.damages, 0);
        assert_int_equal(r.notes, 1);
        assert_int_equal(r.last_lsn, last_lsn(w));
    }
}

/* A frame that goes on behind the snapshot's LSN: the records in it that the snapshot holds are not needed. */
static void check__damage_below_the_snapshot_in_its_frame__is_a_note(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct nitro_err err = {0};
    struct nitro_info info;
    uint64_t lsn;
    int more;
    start(w);
    assert_int_equal(nitro_snapshot_prepare(w->store, NITRO_COMPRESSION_LZ4, &err), NITRO_OK);
    put(w, 1, 1);
    put(w, 2, 3);
    nitro_snapshot_begin(w->store, TEST_NOW, &lsn);
    put(w, 3, 1);
    write_and_sync(w);
    while ((more = nitro_snapshot_gather(w->store)) != 0)
        if ((more & NITRO_GATHERED_SOME) != 0)
            assert_int_equal(nitro_snapshot_write(w->store, &err), NITRO_OK);
    assert_int_equal(nitro_snapshot_finish(w->store, TEST_NOW, &w->snap[0], &err), NITRO_OK);
    w->snaps = 1;
    for (unsigned clean = 0; clean < 2; clean++) {
        if (clean == 1) assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
        image_free(&w->image);
        image_load(&w->image, w->dir);
        nitro_close(&w->store);
        if (clean == 0) image_find(&w->image, "0000000001.log")->p[512 + 56 + 20] ^= 1;
        image_store(&w->image, w->dir);
        struct nitro_check_result r = judge(w, &fs);
        if (r.damages > 0) fail_msg("%s: %s", fs.file, fs.text);
        assert_int_equal(r.notes, 1);
        assert_int_equal(r.snapshot_lsn, lsn);
        assert_true(lsn < last_lsn(w));
        assert_int_equal(r.last_lsn, last_lsn(w));
        start(w);
        assert_int_equal(nitro_delete(w->store, TEST_NOW, "nothing", 7, &info), NITRO_ENOTFOUND);
    }
}

/* What a snapshot that did not get through has left is told, and the next start removes it. */
static void check__unfinished_and_unlisted_snapshots__are_notes(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct image after;
    make_snap_folder(w, 200, ALL, true);
    struct image more = image_copy(&w->image);
    for (unsigned i = 0; i < 2; i++) {
        struct file *f = &more.file[more.count++], *from = snap_file(w, -1);
        nk_path_snap(90, f->name);
        if (i == 1) nk_path_snap_tmp(91, f->name);
        f->n = from->n / (i + 1);
        f->p = malloc(f->n);
        assert_non_null(f->p);
        memcpy(f->p, from->p, f->n);
    }
    image_store(&more, w->dir);
    image_free(&more);
    struct nitro_check_result r = judge(w, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.notes, 2);
    image_load(&after, w->dir);
    assert_null(image_find(&after, "0000000090.snap"));
    assert_null(image_find(&after, "0000000091.snap.tmp"));
    image_free(&after);
}

/* ---- the newest is lost ------------------------------------------------------------------------*/

/* An older one and the log behind it lead as far: a repair takes them, and keeps the damaged one as a copy. */
static void repair__newest_snapshot_lost__an_older_one_takes_its_place(void **state) {
    struct world *w = *state;
    struct findings fs;
    for (unsigned i = 0; i < 6; i++) {
        make_snap_folder(w, 300, ALL, i % 2 == 0);
        struct file *f = snap_file(w, -1);
        char name[NK_PATH_MAX], backup[NK_PATH_MAX];
        strcpy(name, f->name);
        nk_path_backup(name, REPAIR_TIME, backup);
        if (i < 4)
            f->p[i * f->n / 4 + 10] ^= 1;
        else
            image_drop(&w->image, name);
        image_store(&w->image, w->dir);
        struct nitro_check_result r = check_unchanged(w, &fs);
        assert_int_equal(r.damages, 1);
        assert_string_equal(fs.file, name);
        r = judge(w, &fs);
        assert_int_equal(r.last_lsn, last_lsn(w));
        assert_int_equal(r.snapshot_lsn, w->snap[w->snaps - 2].lsn);
        struct image after;
        image_load(&after, w->dir);
        assert_null(image_find(&after, name));
        if (i < 4) assert_int_equal(image_find(&after, backup)->n, image_find(&w->image, name)->n);
        image_free(&after);
    }
}

/* All of the log from the first record on leads there without any snapshot. */
static void repair__all_snapshots_lost__the_whole_log_is_enough(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_snap_folder(w, 300, ALL, true);
    for (unsigned i = 0; i < w->snaps; i++) snap_file(w, (int)i)->p[3] ^= 1;
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge(w, &fs);
    assert_true(r.damages > 0);
    assert_int_equal(r.last_lsn, last_lsn(w));
    assert_int_equal(r.snapshots, 0);
}

/* The only one, and the log before it has been dropped: nothing is done, and the user is told so. */
static void repair__only_snapshot_damaged__is_not_possible(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct nitro_check_result r;
    make_snap_folder(w, 500, 0, true);
    struct file *f = snap_file(w, -1);
    f->p[f->n / 2] ^= 1;
    image_store(&w->image, w->dir);
    judge(w, &fs);
    assert_false(try_repair(w, &r));
    assert_non_null(strstr(w->refused, "restore a backup"));
}

/* check_way: restores from the file that the text ends with, and finds the key with this value. */
static void check_way(struct world *w, const char *text, const char *file, char value) {
    char path[160], dir[80], way[240], got = 0;
    struct nitro_restore_result r;
    struct nitro_err err = {0};
    struct nitro_info info;
    snprintf(path, sizeof path, "%s/%s", w->dir, file);
    snprintf(way, sizeof way, "nitrokv restore %s --dir NEW", path);
    if (strstr(text, way) == NULL) fail_msg("%s", text);
    snprintf(dir, sizeof dir, "%s.new", w->dir);
    struct nitro_restore_options o = {.from = path,
                                      .from_file = 1,
                                      .dir = dir,
                                      .to_lsn = UINT64_MAX,
                                      .to_ms = INT64_MAX,
                                      .now_ms = TEST_NOW};
    assert_int_equal(nitro_restore(&o, &r, &err), NITRO_OK);
    w->opt.dir = dir;
    start(w);
    assert_int_equal(nitro_get(w->store, TEST_NOW, "k", 1, &got, 1, &info), NITRO_OK);
    assert_int_equal(got, value);
    nitro_close(&w->store);
    w->opt.dir = w->dir;
    folder_empty(dir);
    assert_int_equal(rmdir(dir), 0);
}

/* Without a log an older snapshot is all that is left: a repair, and a restore of the folder, say how to take it. */
static void repair__newest_snapshot_of_a_store_without_a_log__names_the_older_one(void **state) {
    struct world *w = *state;
    char older[NK_PATH_MAX];
    struct nitro_check_result r;
    struct nitro_restore_result restored;
    struct nitro_err err = {0};
    w->opt.wal_off = 1;
    start(w);
    for (char value = 'a'; value <= 'b'; value++) {
        struct nitro_info info;
        assert_int_equal(nitro_set(w->store, TEST_NOW, "k", 1, &value, 1, 0, 0, 0, &info), 0);
        snapshot(w);
    }
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    snap_file(w, 1)->p[520] ^= 1;
    image_store(&w->image, w->dir);
    nk_path_snap(w->snap[0].number, older);
    assert_false(try_repair(w, &r));
    check_way(w, w->refused, older, 'a');
    struct nitro_restore_options o = {
        .from = w->dir, .dir = "/nowhere", .to_lsn = UINT64_MAX, .to_ms = INT64_MAX};
    assert_int_equal(nitro_restore(&o, &restored, &err), NITRO_ECORRUPT);
    check_way(w, err.msg, older, 'a');
}

/* ---- MANIFEST ----------------------------------------------------------------------------------*/

/* Without MANIFEST, and with any entry of it flipped: the snapshots are found all the same. */
static void repair__manifest_damaged_or_lost__snapshots_are_found(void **state) {
    struct world *w = *state;
    struct findings fs;
    static const uint64_t keep[] = {0, 100000, ALL};
    for (unsigned i = 0; i < 3; i++) {
        make_snap_folder(w, 400, keep[i], i != 1);
        struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
        for (size_t at = 0; at + NK_MANIFEST_EDIT < f->n; at += NK_MANIFEST_EDIT) {
            f->p[at + 34] ^= 1;
            image_store(&w->image, w->dir);
            f->p[at + 34] ^= 1;
            struct nitro_check_result r = judge(w, &fs);
            assert_true(r.damages > 0);
            if (r.last_lsn != last_lsn(w)) fail_msg("keep %u, entry at %zu", i, at);
        }
        image_drop(&w->image, NK_PATH_MANIFEST);
        image_drop(&w->image, NK_PATH_CONTROL);
        image_store(&w->image, w->dir);
        struct nitro_check_result r = judge(w, &fs);
        assert_true(r.damages > 0);
        assert_int_equal(r.last_lsn, last_lsn(w));
    }
}

/* older_manifest: the folder after two snapshots, so many operations before each, with MANIFEST as it was between
 * them: it lists a snapshot that has gone since. */
static void older_manifest(struct world *w, unsigned ops) {
    struct nitro_err err;
    struct image older;
    folder_empty(w->dir);
    image_free(&w->image);
    w->ops = w->snaps = 0;
    start(w);
    for (unsigned i = 0; i < 2; i++) {
        work(w, ops);
        snapshot(w);
        retain(w, 0);
        if (i == 0) image_load(&older, w->dir);
    }
    assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    struct file *to = image_find(&w->image, NK_PATH_MANIFEST);
    struct file *from = image_find(&older, NK_PATH_MANIFEST), swap = *to;
    *to = *from;
    *from = swap;
    image_store(&w->image, w->dir);
    image_free(&older);
}

/* The newest snapshot is found, whether log files have gone as well, or not. */
static void repair__older_manifest__newest_snapshot_is_found(void **state) {
    struct world *w = *state;
    struct findings fs;
    for (unsigned ops = 20; ops <= 100; ops += 80) {
        older_manifest(w, ops);
        struct nitro_check_result r = judge(w, &fs);
        assert_true(r.damages > 0);
        assert_int_equal(r.snapshot_lsn, w->snap[1].lsn);
        assert_int_equal(r.last_lsn, last_lsn(w));
    }
}

/* A file of the log that only a restore could want is lost: what lies before it is kept, under other names. */
static void repair__history_cut_in_the_middle__older_files_are_kept_as_copies(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct image after;
    char backup[NK_PATH_MAX];
    make_snap_folder(w, 900, ALL, true);
    assert_non_null(image_find(&w->image, "0000000001.log"));
    image_drop(&w->image, "0000000002.log");
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge(w, &fs);
    assert_true(r.damages > 0); /* it is listed, so a start refuses */
    assert_int_equal(r.last_lsn, last_lsn(w));
    image_load(&after, w->dir);
    nk_path_backup("0000000001.log", REPAIR_TIME, backup);
    assert_non_null(image_find(&after, backup));
    image_free(&after);
}

/* ---- anything ----------------------------------------------------------------------------------*/

/* hurt: flips a bit, or makes a sector zero, somewhere; often at the front of a file. */
static void hurt(struct image *m, struct test_rng *rng) {
    struct file *f = &m->file[test_rng_below(rng, m->count)];
    uint64_t below = test_rng_below(rng, 3) == 0 ? nk_min_u64(600, f->n) : f->n;
    if (below == 0) return;
    size_t at = (size_t)test_rng_below(rng, below);
    if (test_rng_below(rng, 4) != 0) {
        f->p[at] ^= (uint8_t)(1u << test_rng_below(rng, 8));
        return;
    }
    at -= at % 512;
    memset(f->p + at, 0, nk_min_u64(512, f->n - at));
}

/* Up to three bits or sectors, anywhere: the check says what recovery says, and a repair keeps what it says. */
static void judge__random_damage_with_snapshots__agree_and_repair(void **state) {
    struct world *w = *state;
    struct test_rng rng;
    static const uint64_t keep[] = {0, 60000, ALL};
    unsigned damaged = 0;
    test_rng_init(&rng, "random damage");
    for (unsigned k = 0; k < 6; k++) {
        unsigned rounds = (unsigned)test_scale(80);
        make_snap_folder(w, 250, keep[k / 2], k % 2 == 0);
        for (unsigned i = 0; i < rounds; i++) {
            struct findings fs;
            struct image hurt_one = image_copy(&w->image);
            for (uint64_t n = test_rng_below(&rng, 3) + 1; n > 0; n--) hurt(&hurt_one, &rng);
            image_store(&hurt_one, w->dir);
            image_free(&hurt_one);
            damaged += judge(w, &fs).damages > 0;
        }
    }
    assert_true(damaged > 0);
}

/* Files cut short, lost, or in each other's place. */
static void judge__damaged_files_with_snapshots__agree_and_repair(void **state) {
    struct world *w = *state;
    struct findings fs;
    static const uint64_t keep[] = {0, ALL};
    for (unsigned k = 0; k < 2; k++) {
        make_snap_folder(w, 250, keep[k], k == 1);
        for (unsigned i = 0; i < w->image.count; i++) {
            struct file *f = &w->image.file[i], *g = &w->image.file[(i + 1) % w->image.count];
            size_t n = f->n;
            for (unsigned part = 0; part <= 4; part++) {
                f->n = n * part / 5;
                image_store(&w->image, w->dir);
                judge(w, &fs);
            }
            f->n = n;
            struct image less = w->image; /* borrows the bytes */
            less.file[i] = less.file[--less.count];
            image_store(&less, w->dir);
            judge(w, &fs);
            for (unsigned back = 0; back < 2; back++) {
                struct file swap = *f;
                f->p = g->p, f->n = g->n, g->p = swap.p, g->n = swap.n;
                if (back == 1) break;
                image_store(&w->image, w->dir);
                judge(w, &fs);
            }
        }
    }
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* Every read and every allocation that fails is told as what it is; nothing stays open or allocated. */
static void check__each_read_and_allocation_fails__is_told(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_snap_folder(w, 200, ALL, true);
    snap_file(w, -1)->p[600] ^= 1;
    image_store(&w->image, w->dir);
    for (int memory = 0; memory < 2; memory++)
        for (uint64_t n = 1;; n++) {
            struct nitro_check_result r;
            struct nitro_err err = {0};
            struct nitro_check_options o = options(w, false, &fs);
            w->rig.reads = 0;
            w->rig.fail_read = memory ? 0 : n;
            test_mem_fail(&w->mem, memory ? n : 0, memory ? n : 0);
            int rc = nitro_check(&o, &r, &err);
            w->rig.fail_read = 0;
            test_mem_fail(&w->mem, 0, 0);
            assert_int_equal(w->rig.handles, 0);
            test_mem_check_empty(&w->mem);
            if (rc == NITRO_OK) {
                assert_true(n > 5);
                break;
            }
            assert_int_equal(rc, memory ? NITRO_ENOMEM : NITRO_EIO);
            assert_non_null(strstr(err.msg, w->dir));
        }
}

/* A repair that drops a snapshot is stopped at any of its file calls; it is repeated, and keeps the same. */
static void repair__with_snapshots_stopped_at_each_call__is_repeated(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_snap_folder(w, 200, ALL, true);
    snap_file(w, -1)->p[600] ^= 1;
    image_store(&w->image, w->dir);
    uint64_t keeps = check(w, false, &fs).last_lsn;
    assert_int_equal(keeps, last_lsn(w));
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
        r = check(w, true, &fs);
        assert_int_equal(r.last_lsn, keeps);
        start(w);
        check_contents(w, keeps);
        nitro_close(&w->store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(check__healthy_folder_with_snapshots__no_damage),
        TEST(check__folder_without_a_log__no_damage),
        TEST(check__older_snapshot_damaged_or_lost__is_a_note),
        TEST(check__damage_below_the_snapshot__is_a_note),
        TEST(check__damage_below_the_snapshot_in_its_frame__is_a_note),
        TEST(check__unfinished_and_unlisted_snapshots__are_notes),
        TEST(repair__newest_snapshot_lost__an_older_one_takes_its_place),
        TEST(repair__all_snapshots_lost__the_whole_log_is_enough),
        TEST(repair__only_snapshot_damaged__is_not_possible),
        TEST(repair__newest_snapshot_of_a_store_without_a_log__names_the_older_one),
        TEST(repair__manifest_damaged_or_lost__snapshots_are_found),
        TEST(repair__older_manifest__newest_snapshot_is_found),
        TEST(repair__history_cut_in_the_middle__older_files_are_kept_as_copies),
        TEST(judge__random_damage_with_snapshots__agree_and_repair),
        TEST(judge__damaged_files_with_snapshots__agree_and_repair),
        TEST(check__each_read_and_allocation_fails__is_told),
        TEST(repair__with_snapshots_stopped_at_each_call__is_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
