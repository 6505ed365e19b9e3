/* SPDX-License-Identifier: MIT
 *
 * test_check.c - checking data folders: what is found, what is not, and that nothing is changed.
 * What is damaged at random is repaired as well (check_world.h); the rest about repairs stands in
 * test_repair.c.
 */
#include "check_world.h"

#include "manifest.h"

/* ---- healthy folders ---------------------------------------------------------------------------*/

/* After a clean stop, and after a kill, nothing is wrong, and every record is counted. */
static void check__healthy_folder__no_damage(void **state) {
    struct world *w = *state;
    for (int clean = 1; clean >= 0; clean--) {
        struct findings fs;
        make_folder(w, 400, clean == 1);
        struct nitro_check_result r = check_unchanged(w, &fs);
        assert_int_equal(r.damages, 0);
        assert_int_equal(r.clean, clean);
        assert_int_equal(r.records, w->ops);
        assert_int_equal(r.last_lsn, last_lsn(w));
        assert_int_equal(r.drop_records, 0);
        assert_int_equal(r.bad_lsn, 0);
        assert_true(r.files >= 3);
    }
}

/* last_frame: the offset of a file's last frame, 0 if it holds none. */
static size_t last_frame(const struct file *f) {
    size_t last = 0;
    for (size_t at = 512; at + 4 <= f->n; at++)
        if (memcmp(f->p + at, "NKFR", 4) == 0) last = at;
    return last;
}

/* What was written but never synced is a tail, not damage. */
static void check__tail__is_no_damage(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 50, false);
    struct nitro_check_result r = judge(w, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.last_lsn, last_lsn(w));
    assert_true(r.durable_lsn < r.last_lsn);
}

/* A tail with a hole in it ends there, and what is behind the hole is a note. */
static void check__hole_in_the_tail__is_a_note(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 50, false);
    struct file *f = &w->image.file[w->image.count - 1];
    while (memcmp(f->name, "00", 2) != 0 || last_frame(f) == 0) f--;
    f->p[last_frame(f) + 56 + 8] ^= 1;
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge(w, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.notes, 1);
    assert_int_equal(r.drop_records, 4);
    assert_int_equal(r.last_lsn, r.durable_lsn);
}

/* ---- folders that are not checked --------------------------------------------------------------*/

/* Without a store there is nothing to check, and nothing is made. */
static void check__no_store__is_not_found(void **state) {
    struct world *w = *state;
    struct nitro_err err;
    char missing[PATH_MAX];
    snprintf(missing, sizeof missing, "%s/missing", w->dir);
    assert_int_equal(code_of(w, w->dir, &err), NITRO_ENOTFOUND);
    assert_int_equal(code_of(w, missing, &err), NITRO_ENOTFOUND);
    assert_non_null(strstr(err.msg, missing));
    assert_int_equal(access(missing, F_OK), -1);
    snprintf(missing, sizeof missing, "%s/LOCK", w->dir);
    assert_int_equal(access(missing, F_OK), -1);
    assert_int_equal(code_of(w, "", &err), NITRO_EARGUMENT);
}

/* A folder that a process has open is left alone, and the process is named. */
static void check__folder_in_use__is_refused(void **state) {
    struct world *w = *state;
    struct nitro_err err;
    char want[32];
    start(w);
    assert_int_equal(code_of(w, w->dir, &err), NITRO_EINUSE);
    snprintf(want, sizeof want, "pid %ld", (long)getpid());
    assert_non_null(strstr(err.msg, want));
}

/* Another mode's folder, and one of a newer format, are refused by name. */
static void check__other_format__is_refused(void **state) {
    struct world *w = *state;
    struct nitro_err err;
    make_folder(w, 20, true);
    struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
    struct nk_manifest_head h;
    assert_int_equal(nk_manifest_head_decode(f->p, &h), NITRO_OK);
    h.mode = NK_MODE_LSM;
    nk_manifest_head_encode(&h, f->p);
    image_store(&w->image, w->dir);
    assert_int_equal(code_of(w, w->dir, &err), NITRO_EFORMAT);
    assert_non_null(strstr(err.msg, "mode"));
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* hurt: flips a bit, or makes a sector zero, somewhere: a third of the time at the front of a
 * file. */
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

/* Up to three bits or sectors, anywhere: the check says what recovery says, and a repair keeps a
 * prefix. */
static void judge__random_damage__agree_and_repair(void **state) {
    struct world *w = *state;
    struct test_rng rng;
    test_rng_init(&rng, "random damage");
    for (int clean = 1; clean >= 0; clean--) {
        unsigned damaged = 0, rounds = (unsigned)test_scale(150);
        make_folder(w, 250, clean == 1);
        for (unsigned i = 0; i < rounds; i++) {
            struct findings fs;
            struct image hurt_one = image_copy(&w->image);
            for (uint64_t n = test_rng_below(&rng, 3) + 1; n > 0; n--) hurt(&hurt_one, &rng);
            image_store(&hurt_one, w->dir);
            image_free(&hurt_one);
            damaged += judge(w, &fs).damages > 0;
        }
        assert_true(damaged > 0);
    }
}

/* Files cut short, lost, or in each other's place. */
static void judge__damaged_files__agree_and_repair(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_folder(w, 300, false);
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
        struct file swap = *f;
        f->p = g->p, f->n = g->n, g->p = swap.p, g->n = swap.n;
        image_store(&w->image, w->dir);
        judge(w, &fs);
        swap = *f;
        f->p = g->p, f->n = g->n, g->p = swap.p, g->n = swap.n;
    }
}

/* The finding names file, offset and LSN of the first bad record, and what a repair would drop. */
static void check__flipped_record__is_named(void **state) {
    struct world *w = *state;
    struct findings fs;
    size_t at;
    make_folder(w, 300, true);
    struct file *f = middle_of(w, 1, &at);
    uint64_t first = 0;
    memcpy(&first, f->p + at + 16, sizeof first); /* of the frame */
    f->p[at + 56 + 20] ^= 1;                      /* in its first record */
    image_store(&w->image, w->dir);
    struct nitro_check_result r = check_unchanged(w, &fs);
    assert_int_equal(r.damages, 1);
    assert_string_equal(fs.file, f->name);
    assert_int_equal(fs.last.offset, at + 56);
    assert_int_equal(fs.last.lsn, first);
    assert_int_equal(r.bad_lsn, first);
    assert_int_equal(r.bad_file, 1);
    assert_int_equal(r.last_lsn, first - 1);
    assert_int_equal(r.records + r.drop_records, w->ops);
    assert_int_equal(r.durable_lsn, last_lsn(w));
}

/* Every read that fails is told as what it is; nothing stays open (world_teardown). */
static void check__each_read_fails__is_eio(void **state) {
    struct world *w = *state;
    struct findings fs;
    damaged_folder(w);
    for (uint64_t n = 1;; n++) {
        struct nitro_check_result r;
        struct nitro_err err = {0};
        struct nitro_check_options o = options(w, false, &fs);
        w->rig.reads = 0;
        w->rig.fail_read = n;
        int rc = nitro_check(&o, &r, &err);
        w->rig.fail_read = 0;
        if (rc == NITRO_OK) {
            assert_true(n > 10);
            break;
        }
        assert_int_equal(rc, NITRO_EIO);
        assert_non_null(strstr(err.msg, w->dir));
        assert_int_equal(w->rig.handles, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(check__healthy_folder__no_damage),   TEST(check__tail__is_no_damage),
        TEST(check__no_store__is_not_found),      TEST(check__folder_in_use__is_refused),
        TEST(check__other_format__is_refused),    TEST(judge__random_damage__agree_and_repair),
        TEST(check__hole_in_the_tail__is_a_note), TEST(judge__damaged_files__agree_and_repair),
        TEST(check__flipped_record__is_named),    TEST(check__each_read_fails__is_eio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
