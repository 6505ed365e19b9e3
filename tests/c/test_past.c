/* SPDX-License-Identifier: MIT
 *
 * test_past.c - the past of a store whose log is its data: new folders of any point, from logs, merged files and those that merges have
 * replaced. Where values lie in memory: test_restore.c.
 */
#include "past_data.h"

#include "loc.h"
#include "restore.h"

/* ---- points ------------------------------------------------------------------------------------*/

/* Files are merged all the time, and what they replace is kept: every point can be reached. */
static void past__all_is_kept__every_point(void **state) {
    struct past *p = *state;
    past_data_live(p, 2000, &past_tidy, 1000000000);
    struct nitro_restore_options o = past_options(p, p->dir);
    uint64_t newest = p->effect[p->count - 1].last;
    struct nitro_restore_result r = past_check_point(p, &o, newest);
    assert_int_equal(r.first_lsn, 0);
    assert_int_equal(r.last_lsn, newest);
    for (uint64_t i = test_scale(60); i > 0; i--)
        past_check_point(p, &o, p->effect[test_rng_below(&p->rng, p->count)].lsn);
    for (unsigned i = 0; i < p->count; i += 100) {
        past_check_point(p, &o, p->effect[i].last - 1);
        past_check_point(p, &o, p->effect[i].last);
    }
    past_check_point(p, &o, 0);
    o.to_lsn = newest + 1;
    past_check_outside(p, &o, 0);
}

/* What was replaced long ago has gone: the window begins later, and holds from there on. */
static void past__some_is_kept__window_holds(void **state) {
    struct past *p = *state;
    past_data_live(p, 2000, &past_tidy, 6000);
    struct nitro_restore_options o = past_options(p, p->dir);
    struct nitro_restore_result r = past_check_point(p, &o, p->effect[p->count - 1].last);
    uint64_t first = r.first_lsn;
    assert_true(first > 0);
    unsigned inside = 0;
    for (unsigned i = 0; i < p->count; i += 7) {
        if (p->effect[i].last < first) continue;
        past_check_point(p, &o, p->effect[i].last);
        /* what happened since the oldest moment that is promised */
        inside++;
    }
    assert_true(inside > 5);
    for (unsigned i = 0; i < p->count; i++)
        if (p->effect[i].time_ms > p->now_ms - 5000) assert_true(p->effect[i].last >= first);
    past_check_point(p, &o, first);
    o.to_lsn = first - 1;
    past_check_outside(p, &o, first);
    o.to_lsn = UINT64_MAX;
    o.to_ms = r.first_ms - 1;
    past_check_outside(p, &o, first);
}

/* Without merges, and without retention, the log has all there ever was. */
static void past__never_merged__all_is_there(void **state) {
    struct past *p = *state;
    past_data_live(p, 1000, NULL, 0);
    struct nitro_restore_options o = past_options(p, p->dir);
    assert_int_equal(past_check_point(p, &o, 0).first_lsn, 0);
    for (unsigned i = 0; i < p->count; i += 40) past_check_point(p, &o, p->effect[i].last);
    o.keep_expired = 1;
    for (unsigned i = 20; i < p->count; i += 40) past_check_point(p, &o, p->effect[i].last);
}

/* Nothing is kept: what is left of the past is what came after the last merge. */
static void past__nothing_is_kept__window_is_short(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    past_data_live(p, 1000, &all, 0);
    past_start(p, &p->opt);
    past_work(p, 100);
    (void)past_roll(p);
    past_write(p);
    past_tend(p, &all);
    past_work(p, 30);
    past_stop(p, true);
    struct nitro_restore_options o = past_options(p, p->dir);
    uint64_t newest = p->effect[p->count - 1].last;
    uint64_t first = past_check_point(p, &o, newest).first_lsn;
    assert_true(first > p->effect[p->count / 2].last && first < newest);
    for (unsigned i = 0; i < p->count; i++)
        if (p->effect[i].last >= first) past_check_point(p, &o, p->effect[i].last);
    o.to_lsn = first - 1;
    past_check_outside(p, &o, first);
}

/* A time is the longest run of frames that are not later. */
static void past__to_a_time__longest_prefix(void **state) {
    struct past *p = *state;
    past_data_live(p, 1000, &past_tidy, 1000000000);
    for (unsigned i = 3; i < p->count; i += p->count / 40) {
        struct nitro_restore_options o = past_options(p, p->dir);
        for (int64_t d = -1; d <= 1; d++) {
            o.to_ms = p->effect[i].time_ms + d;
            struct nitro_restore_result r = past_restore(&o);
            assert_int_equal(r.lsn, past_reached_time(p, o.to_ms));
            assert_true(r.time_ms <= o.to_ms);
            past_check_new(p, r.lsn, &r, &o);
        }
    }
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* So many files that no store could have them: the restore says so, and not the start of what it has made. */
static void restore__too_many_files__refused(void **state) {
    struct past *p = *state;
    static const uint8_t seed[NITRO_SEED_BYTES];
    struct nk_target t;
    struct nitro_err err = {0};
    struct nk_record r = {.kind = NK_REC_PUT, .key = seed, .key_bytes = 1};
    int rc = nk_target_open(&t, &p->rig.vfs, &p->mem.table, p->new_dir, seed, &err);
    if (rc == NITRO_OK) rc = nk_target_data_begin(&t, 2 * NK_LOC_SLOTS, 1, 1, &err);
    for (uint64_t lsn = 1; lsn <= NK_LOC_SLOTS && rc == NITRO_OK; lsn++) {
        r.lsn = lsn;
        rc = nk_target_data_put(&t, &r, &err);
        if (lsn != 10 || rc != NITRO_OK) continue;
        /* as if there were many by then */
        size_t cap = t.cap, many = NK_LOC_SLOTS - 1030;
        t.made = nk_mem_resize(t.mem, t.made, cap * sizeof *t.made, many * sizeof *t.made);
        assert_non_null(t.made);
        memcpy(&t.made[many - 1], &t.made[t.count - 1], sizeof *t.made);
        t.cap = t.count = (uint32_t)many;
    }
    assert_int_equal(rc, NITRO_EARGUMENT);
    assert_true(t.count < NK_LOC_SLOTS - 1000);
    assert_non_null(strstr(err.msg, "--max-file-size"));
    nk_target_close(&t);

    struct nitro_restore_options o = past_options(p, p->dir);
    struct nitro_restore_result got;
    o.file_bytes = (UINT64_C(4) << 30);
    assert_int_equal(nitro_restore(&o, &got, &err), NITRO_EARGUMENT);
}

/* Each call on files, or each allocation, fails once: nothing is made then, and in the end all of it. */
static void restore__each_call_fails__no_store_or_all(void **state) {
    struct past *p = *state;
    uint64_t lsn;
    struct nitro_restore_options o = past_prepared(p, &lsn);
    for (int what = 0; what < 3; what++) {
        bool more = true;
        for (uint64_t nth = 1; more; nth += 1 + nth / 16) {
            struct nitro_restore_result r;
            struct nitro_err err = {0};
            p->rig.once = true;
            p->rig.fail_change = what == 0 ? p->rig.changes + nth : 0;
            p->rig.fail_read = what == 1 ? p->rig.reads + nth : 0;
            test_mem_fail(&p->mem, what == 2 ? nth : 0, what == 2 ? nth : 0);
            int rc = nitro_restore(&o, &r, &err);
            more = what == 0   ? p->rig.changes >= p->rig.fail_change
                   : what == 1 ? p->rig.reads >= p->rig.fail_read
                               : p->mem.failed > 0;
            p->rig.fail_change = p->rig.fail_read = 0;
            test_mem_fail(&p->mem, 0, 0);
            assert_int_equal(p->rig.handles, 0);
            test_mem_check_empty(&p->mem);
            if (rc != NITRO_OK && (!more || err.msg[0] == '\0'))
                fail_msg("restore: code %d: %s", rc, err.msg);
            if (rc == NITRO_OK) {
                assert_int_equal(r.lsn, lsn);
                past_check_new(p, lsn, &r, &o);
            }
        }
    }
}

/* What a merge has left out may rest on effects that were durable just before it was listed, though no frame and no CONTROL says so. If these
 * are damaged, a start must not take them for a torn end: the older values are in no file any more. A repair gives both up. */
static void damage__behind_the_records_that_a_merge_rests_on__refused(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    struct nitro_err err = {0};
    struct nitro_check_result sum;
    char path[80];
    uint8_t byte;
    past_start(p, &p->opt);
    for (unsigned k = 0; k < 6; k++) past_put(p, k, 1, 0);
    (void)past_roll(p);
    past_write(p);
    uint64_t kept = p->effect[p->count - 1].lsn;
    for (unsigned k = 0; k < 6; k++) past_put(p, k, 1, 0);
    past_write(p);
    past_tend(p, &all);
    assert_int_equal(past_files(p).merges, 1);
    past_stop(p, false);

    snprintf(path, sizeof path, "%s/0000000002.log", p->dir);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 600), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 600), 1);
    close(fd);

    assert_int_equal(past_load(p, &p->opt, &err), NITRO_ECORRUPT);
    assert_non_null(strstr(err.msg, "0000000002.log"));
    struct nitro_check_options o = {
        .dir = p->dir, .mem = &p->mem.table, .vfs = &p->rig.vfs, .now_ms = p->now_ms};
    assert_int_equal(nitro_check(&o, &sum, &err), NITRO_OK);
    assert_true(sum.damages > 0 && sum.durable_lsn > kept && sum.starts == 0);
    o.repair = 1;
    assert_int_equal(nitro_check(&o, &sum, &err), NITRO_OK);
    for (int life = 0; life < 2; life++) {
        past_start(p, &p->opt);
        for (unsigned k = 0; k < 6; k++) {
            char key[16];
            static char got[PAST_VALUE_MAX];
            struct nitro_info info;
            int rc = nitro_get(p->store, p->now_ms, key, past_key(k, key), got, sizeof got, &info);
            assert_int_equal(rc,
                             NITRO_ENOTFOUND); /* as the check has said: merges have dropped them */
        }
        past_tend(p, &all);
        past_stop(p, life == 0);
    }
}

/* Any byte of any file that holds records may be wrong: what a restore makes is right, or it refuses; and what a verify finds it
 * names. A snapshot, or what is retained, keeps no store from starting. */
static void damage__any_byte__never_wrong_data(void **state) {
    struct past *p = *state;
    uint64_t lsn, newest;
    char path[PATH_MAX], from[80];
    struct nitro_restore_options o = past_prepared(p, &lsn);
    newest = p->effect[p->count - 1].last;
    past_start(p, &p->opt);
    past_linked_dir(p, past_linked(p), from);
    past_stop(p, true);
    unsigned found = 0, refused = 0, snaps = 0, tries = 0;
    for (uint64_t i = test_scale(150); i > 0; i--) {
        static const char *const folders[] = {"", "/retained"};
        bool snap = i % 3 == 0;
        struct image m;
        uint8_t byte;
        snprintf(path, sizeof path, "%s%s", snap ? from : p->dir, snap ? "" : folders[i % 2]);
        image_load(&m, path);
        const struct file *f = &m.file[test_rng_below(&p->rng, m.count)];
        bool records = strstr(f->name, ".hint") == NULL && strstr(f->name, "LOCK") == NULL;
        size_t at = f->n > 0 ? (size_t)test_rng_below(&p->rng, f->n) : 0;
        size_t len = strlen(path);
        snprintf(path + len, sizeof path - len, "/%s", f->name);
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        if (f->n > 0 && records) {
            byte = (uint8_t)(f->p[at] ^ (1u << test_rng_below(&p->rng, 8)));
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
            struct nitro_restore_result r;
            struct nitro_snapshot_info seen;
            struct nitro_err err = {0};
            uint64_t bad = 0, want = snap ? newest : lsn;
            o.from = snap ? from : p->dir;
            o.to_lsn = snap ? UINT64_MAX : lsn;
            int rc = nitro_restore(&o, &r, &err);
            if (rc == NITRO_OK && r.lsn == want) past_check_new(p, want, &r, &o);
            refused += rc != NITRO_OK;
            tries++;
            snaps += snap;
            if (rc == NITRO_OK && r.lsn != want) fail_msg("%s: LSN %" PRIu64, path, r.lsn);
            if (snap) {
                rc = nitro_verify(from, &p->mem.table, &p->rig.vfs, NULL, NULL, &seen, &bad, &err);
                found += rc == NITRO_ECORRUPT;
            }
            assert_int_equal(pwrite(fd, &f->p[at], 1, (off_t)at), 1);
        }
        close(fd);
        image_free(&m);
    }
    /* how many of the bytes matter depends on what the seed has left alive: after a FLUSH these are few */
    assert_true(10 * found > snaps && 20 * refused > tries);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(past__all_is_kept__every_point, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(past__some_is_kept__window_holds, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(past__never_merged__all_is_there, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(past__nothing_is_kept__window_is_short, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(past__to_a_time__longest_prefix, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(restore__too_many_files__refused, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(restore__each_call_fails__no_store_or_all, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(damage__behind_the_records_that_a_merge_rests_on__refused,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(damage__any_byte__never_wrong_data, past_data_setup,
                                        past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
