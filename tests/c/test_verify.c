/* SPDX-License-Identifier: MIT
 *
 * test_verify.c - reading a snapshot file back: what it says about a sound one, and that nothing damaged passes
 * for one.
 */
#include "past.h"

#include "crc32c.h"
#include "logfile.h"

struct told {
    uint64_t done, total;
    unsigned calls;
};

static void tell(void *ctx, uint64_t done, uint64_t total) {
    struct told *t = ctx;
    assert_true(done >= t->done && done <= total);
    *t = (struct told){done, total, t->calls + 1};
}

/* The file being verified: a copy in the new folder. */
struct subject {
    char path[PATH_MAX];
    struct image image; /* one file */
};

static void subject_init(struct past *p, struct subject *s, uint64_t number) {
    char name[NK_PATH_MAX];
    struct image all;
    nk_path_snap(number, name);
    image_load(&all, p->dir);
    struct file *f = image_find(&all, name);
    assert_non_null(f);
    s->image = (struct image){.count = 1};
    s->image.file[0] = *f;
    *f = all.file[--all.count];
    image_free(&all);
    snprintf(s->path, sizeof s->path, "%s/%s", p->new_dir, name);
    if (access(p->new_dir, F_OK) != 0) assert_int_equal(mkdir(p->new_dir, 0700), 0);
    image_store(&s->image, p->new_dir);
}

static void subject_store(const struct subject *s) {
    const struct file *f = &s->image.file[0];
    int fd = open(s->path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f->p, f->n), f->n);
    close(fd);
}

static int verify(struct past *p, const char *path, struct nitro_snapshot_info *info, uint64_t *bad,
                  struct nitro_err *err) {
    return nitro_verify(path, &p->mem.table, &p->rig.vfs, NULL, NULL, info, bad, err);
}

/* must_be_bad: with the file and the offset named. */
static void must_be_bad(struct past *p, const struct subject *s, const char *how) {
    struct nitro_snapshot_info info;
    struct nitro_err err = {0};
    char offset[64];
    uint64_t bad = UINT64_MAX;
    subject_store(s);
    int rc = verify(p, s->path, &info, &bad, &err);
    if (rc != NITRO_ECORRUPT) fail_msg("%s: code %d: %s", how, rc, err.msg);
    snprintf(offset, sizeof offset, "offset %" PRIu64 ":", bad);
    if (bad > s->image.file[0].n || strstr(err.msg, offset) == NULL ||
        strstr(err.msg, s->path) == NULL)
        fail_msg("%s: offset %" PRIu64 ": %s", how, bad, err.msg);
}

/* ---- sound files -------------------------------------------------------------------------------*/

static void verify__sound_files__say_what_was_written(void **state) {
    struct past *p = *state;
    past_live(p, 800, 1000000);
    unsigned seen = 0;
    for (unsigned i = 0; i < p->snaps; i++) {
        struct nitro_snapshot_info info;
        struct nitro_err err = {0};
        struct told told = {0};
        uint64_t bad;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%010" PRIu64 ".snap", p->dir, p->snap[i].number);
        if (access(path, F_OK) != 0) continue; /* old ones are thinned out */
        int rc = nitro_verify(path, NULL, NULL, tell, &told, &info, &bad, &err);
        if (rc != NITRO_OK) fail_msg("code %d: %s", rc, err.msg);
        assert_memory_equal(&info, &p->snap[i], sizeof info);
        assert_true(told.calls > 0 && told.done == told.total && told.total == info.bytes);
        seen++;
    }
    assert_true(seen >= 4);
}

/* A name without a folder lies in the one that the process is in. */
static void verify__path_without_a_slash__is_found(void **state) {
    struct past *p = *state;
    struct subject s;
    struct nitro_snapshot_info info;
    struct nitro_err err = {0};
    char here[PATH_MAX];
    uint64_t bad;
    past_start(p, &p->opt);
    past_work(p, 20);
    past_snapshot(p);
    past_stop(p, true);
    subject_init(p, &s, p->snap[0].number);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(p->new_dir), 0);
    int rc = verify(p, strrchr(s.path, '/') + 1, &info, &bad, &err);
    assert_int_equal(chdir(here), 0);
    if (rc != NITRO_OK) fail_msg("code %d: %s", rc, err.msg);
    image_free(&s.image);
}

/* ---- damage ------------------------------------------------------------------------------------*/

static void verify__every_byte_changed_and_every_length__is_found(void **state) {
    struct past *p = *state;
    struct subject s;
    past_start(p, &p->opt);
    for (unsigned key = 0; key < 8; key++) past_put(p, key, 1, key % 2 ? p->now_ms + 1000 : 0);
    past_snapshot(p);
    past_stop(p, true);
    subject_init(p, &s, p->snap[0].number);
    struct file *f = &s.image.file[0];
    for (size_t at = 0; at < f->n; at++) {
        uint8_t bit = (uint8_t)(1u << test_rng_below(&p->rng, 8));
        f->p[at] ^= bit;
        must_be_bad(p, &s, "a flipped bit");
        f->p[at] ^= bit;
    }
    size_t n = f->n;
    for (f->n = 0; f->n < n; f->n++) must_be_bad(p, &s, "cut short");
    f->p = realloc(f->p, n + 600);
    assert_non_null(f->p);
    memset(f->p + n, 0, 600);
    for (f->n = n + 1; f->n < n + 600; f->n += 37) must_be_bad(p, &s, "too long");
    f->n = n + 512;
    must_be_bad(p, &s, "a sector too long");
    image_free(&s.image);
}

/* A file of a later version is not called damaged. */
static void verify__newer_version__is_told_as_such(void **state) {
    struct past *p = *state;
    struct subject s;
    struct nitro_snapshot_info info;
    struct nitro_err err = {0};
    uint64_t bad;
    past_start(p, &p->opt);
    past_snapshot(p);
    past_stop(p, true);
    subject_init(p, &s, p->snap[0].number);
    uint8_t *head = s.image.file[0].p;
    head[8]++;
    nk_store32(head + NK_SECTOR - 4, nk_crc32c(0, head, NK_SECTOR - 4));
    subject_store(&s);
    assert_int_equal(verify(p, s.path, &info, &bad, &err), NITRO_EFORMAT);
    assert_non_null(strstr(err.msg, "version 2"));
    image_free(&s.image);
}

/* ---- other failures ----------------------------------------------------------------------------*/

static void verify__no_such_file__is_not_found(void **state) {
    struct past *p = *state;
    struct nitro_snapshot_info info;
    struct nitro_err err = {0};
    uint64_t bad;
    assert_int_equal(verify(p, "/tmp/not/there.snap", &info, &bad, &err), NITRO_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/tmp/not/there.snap"));
    assert_int_equal(verify(p, "not-there.snap", &info, &bad, &err), NITRO_ENOTFOUND);
    assert_int_equal(verify(p, "/not-there.snap", &info, &bad, &err), NITRO_ENOTFOUND);
}

/* Every read and every allocation that fails is told as what it is. */
static void verify__each_call_fails__is_told(void **state) {
    struct past *p = *state;
    struct subject s;
    past_start(p, &p->opt);
    past_work(p, 100);
    past_snapshot(p);
    past_stop(p, true);
    subject_init(p, &s, p->snap[0].number);
    for (int memory = 0; memory < 2; memory++)
        for (uint64_t n = 1;; n++) {
            struct nitro_snapshot_info info;
            struct nitro_err err = {0};
            uint64_t bad;
            p->rig.reads = 0;
            p->rig.fail_read = memory ? 0 : n;
            test_mem_fail(&p->mem, memory ? n : 0, memory ? n : 0);
            int rc = verify(p, s.path, &info, &bad, &err);
            p->rig.fail_read = 0;
            test_mem_fail(&p->mem, 0, 0);
            assert_int_equal(p->rig.handles, 0);
            test_mem_check_empty(&p->mem);
            if (rc == NITRO_OK) {
                assert_true(n > 2);
                break;
            }
            assert_int_equal(rc, memory ? NITRO_ENOMEM : NITRO_EIO);
            assert_non_null(strstr(err.msg, s.path));
        }
    image_free(&s.image);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, past_setup, past_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(verify__sound_files__say_what_was_written),
        TEST(verify__path_without_a_slash__is_found),
        TEST(verify__every_byte_changed_and_every_length__is_found),
        TEST(verify__newer_version__is_told_as_such),
        TEST(verify__no_such_file__is_not_found),
        TEST(verify__each_call_fails__is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
