/* SPDX-License-Identifier: MIT
 *
 * test_past_copy.c - the past of a folder that is an older copy: what a newer state of the same store has put into `retained` is not of
 * its past.
 */
#include "past_data.h"

#include "restore.h"

static void life(struct past *p, unsigned rounds) {
    past_start(p, &p->opt);
    for (unsigned i = 0; i < rounds; i++) {
        past_work(p, 60);
        past_tend(p, &past_tidy);
    }
    past_stop(p, true);
}

/* check_points: what a restore of the folder gives is its own past, at its end and before. */
static void check_points(struct past *p) {
    struct nitro_restore_options o = {.from = p->dir,
                                      .dir = p->new_dir,
                                      .to_lsn = UINT64_MAX,
                                      .to_ms = INT64_MAX,
                                      .now_ms = p->now_ms,
                                      .mem = &p->mem.table,
                                      .vfs = &p->rig.vfs,
                                      .dir_vfs = &p->rig.vfs};
    struct nitro_options opt = p->opt;
    opt.dir = p->new_dir;
    for (unsigned i = 0; i < 20; i++) {
        int64_t ms;
        uint64_t lsn = past_reached(p, p->effect[p->count - 1 - i * p->count / 20].last, &ms);
        o.to_lsn = i == 0 ? UINT64_MAX : lsn;
        struct nitro_restore_result r = past_restore(&o);
        assert_int_equal(r.lsn, lsn);
        past_start(p, &opt);
        past_check(p, lsn, r.time_ms, p->now_ms, false);
        past_stop(p, true);
        past_remove(p->new_dir);
    }
}

/* The folder goes back to what it was, but for what has been retained since: by an administrator who has copied the files of a backup
 * over it, say. */
static void go_back(struct past *p, struct image *old) {
    char retained[80], aside[80];
    snprintf(retained, sizeof retained, "%s/%s", p->dir, NK_PATH_RETAINED);
    snprintf(aside, sizeof aside, "%s/aside", p->base);
    assert_int_equal(rename(retained, aside), 0);
    image_store(old, p->dir);
    assert_int_equal(rename(aside, retained), 0);
}

static void past__older_copy_beside_newer_retained__is_its_own(void **state) {
    struct past *p = *state;
    struct image old = {.count = 0};
    life(p, 6);
    image_load(&old, p->dir);
    unsigned count = p->count;
    check_points(p);
    life(p, 6);
    check_points(p);
    go_back(p, &old);
    p->count = count;
    check_points(p);
    image_free(&old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(past__older_copy_beside_newer_retained__is_its_own,
                                        past_data_setup, past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
