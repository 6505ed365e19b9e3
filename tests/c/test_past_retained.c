/* SPDX-License-Identifier: MIT
 *
 * test_past_retained.c - what merges have replaced, kept in `retained` for the past: which files, under which names, for how long.
 */
#include "past_data.h"

static bool no_room;

/* A disk on which MANIFEST can't grow when files are to leave it. */
static int64_t write_or_full(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                             const char *why) {
    if (no_room && strncmp(why, "manifest: remove", 16) == 0) return -ENOSPC;
    return rig_write(ctx, file, p, n, offset, why);
}

#define OLD_MAX 256u

static int count_if_old(void *arg, const char *name) {
    uint64_t number;
    int64_t time_ms;
    if (nk_path_parse_old(name, &number, &time_ms) != NK_PATH_OTHER) ++*(unsigned *)arg;
    return 0;
}

/* What lies in `retained`. */
struct old_list {
    uint64_t number[OLD_MAX];
    unsigned count;
    uint64_t bytes, oldest_number;
    int64_t oldest_ms, newest_ms;
    char oldest[NK_PATH_MAX]; /* of those of that time the one with the smallest number */
    uint64_t last_log;        /* the greatest number of a log; 0: there is none */
    char last[NK_PATH_MAX];
    char dir[80];
};

static int take_old(void *arg, const char *name) {
    struct old_list *a = arg;
    uint64_t number;
    int64_t time_ms;
    char path[120];
    struct stat st;
    if (nk_path_parse_old(name, &number, &time_ms) == NK_PATH_OTHER) return 0;
    snprintf(path, sizeof path, "%s/%s", a->dir, name);
    assert_int_equal(stat(path, &st), 0);
    assert_true(a->count < OLD_MAX);
    for (unsigned i = 0; i < a->count; i++)
        if (a->number[i] == number) fail_msg("%s is kept under another name, too", name);
    a->number[a->count++] = number;
    a->bytes += (uint64_t)st.st_size;
    if (a->count == 1 || time_ms < a->oldest_ms ||
        (time_ms == a->oldest_ms && number < a->oldest_number)) {
        a->oldest_ms = time_ms;
        a->oldest_number = number;
        strcpy(a->oldest, name);
    }
    if (time_ms > a->newest_ms) a->newest_ms = time_ms;
    if (strstr(name, ".log") != NULL && number > a->last_log) {
        a->last_log = number;
        strcpy(a->last, name);
    }
    return 0;
}

/* old_files: each number is there once. */
static struct old_list old_files(struct past *p) {
    struct old_list a = {.count = 0};
    snprintf(a.dir, sizeof a.dir, "%s/%s", p->dir, NK_PATH_RETAINED);
    int dir = p->rig.sys->dir_open(NULL, a.dir, 0);
    if (dir == -ENOENT) return a; /* nothing has been kept yet */
    assert_true(dir >= 0);
    assert_int_equal(p->rig.sys->dir_list(NULL, dir, take_old, &a), 0);
    assert_int_equal(p->rig.sys->dir_close(NULL, dir), 0);
    return a;
}

static unsigned old_names(struct past *p) { return old_files(p).count; }

/* A file that has been replaced can't leave MANIFEST, which is tried again and again: it is kept under one name all the same. */
static void retained__removal_tried_again__one_name(void **state) {
    struct past *p = *state;
    struct nitro_merge_result r;
    struct nitro_err err = {0};
    p->rig.vfs.write = write_or_full;
    past_start(p, &p->opt);
    past_work(p, 300);
    (void)past_roll(p);
    past_write(p);
    no_room = true;
    for (unsigned failed = 0; failed < 5; p->now_ms += 5000) {
        int rc = nitro_merge_step(p->store, p->now_ms, &past_tidy, &r, &err);
        if (rc == NITRO_OK && r.need == NITRO_MERGE_SYNC) past_write(p);
        if (rc == NITRO_OK) assert_int_not_equal(r.need, NITRO_MERGE_IDLE);
        if (rc != NITRO_OK) assert_int_equal(rc, NITRO_ELOGFULL);
        failed += rc != NITRO_OK;
    }
    assert_int_equal(old_names(p), 1);
    no_room = false;
    past_tend(p, &past_tidy);
    past_stop(p, true);
}

/* A crash falls between the name in `retained` and the removal from MANIFEST. The next start finds the file replaced and keeps it, as the next
 * merge would: it has its name, and the time in that, already. */
static void retained__crash_before_removal__one_name(void **state) {
    struct past *p = *state;
    struct nitro_merge_result r;
    struct nitro_err err = {0};
    p->rig.vfs.write = write_or_full;
    for (unsigned life = 0; life < 4; life++) {
        past_start(p, &p->opt);
        past_work(p, 300);
        (void)past_roll(p);
        past_write(p);
        unsigned before = old_names(p);
        /* a log without records leaves MANIFEST, too, and is not kept: let through */
        for (int rc = NITRO_OK; rc != NITRO_ELOGFULL || old_names(p) == before;) {
            no_room = rc != NITRO_ELOGFULL;
            rc = nitro_merge_step(p->store, p->now_ms, &past_tidy, &r, &err);
            if (rc == NITRO_OK && r.need == NITRO_MERGE_SYNC) past_write(p);
        }
        struct old_list kept = old_files(p);
        assert_int_equal(kept.count, before + 1);
        past_stop(p, false);
        no_room = false;
        p->now_ms += 5000;
        past_start(p, &p->opt);
        assert_true(old_files(p).count >= kept.count); /* all inputs of that merge */
        assert_int_equal(old_files(p).oldest_ms, kept.oldest_ms);
        past_tend(p, &past_tidy);
        (void)old_files(p);
        past_stop(p, life % 2 == 0);
    }
    struct nitro_restore_options o = past_options(p, p->dir);
    for (unsigned i = 0; i < p->count; i += 50) past_check_point(p, &o, p->effect[i].last);
}

/* keep_some: merges leave some files in `retained`. */
static struct old_list keep_some(struct past *p) {
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 12; i++) {
        past_work(p, 60);
        (void)past_roll(p);
        past_write(p);
        past_tend(p, &past_tidy);
        p->now_ms += 1000;
    }
    struct old_list a = old_files(p);
    assert_true(a.count > 8 && a.oldest_ms < a.newest_ms);
    return a;
}

static unsigned old_listed, old_opened;
static bool no_handles; /* for what is retained */

static int list_old(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    unsigned count = 0;
    struct rig *r = ctx;
    assert_int_equal(r->sys->dir_list(NULL, dir, count_if_old, &count), 0);
    old_listed += count > 0;
    return rig_dir_list(ctx, dir, fn, arg);
}

static int open_old(void *ctx, int dir, const char *name, unsigned flags) {
    uint64_t number;
    int64_t time_ms;
    bool old = nk_path_parse_old(name, &number, &time_ms) != NK_PATH_OTHER;
    if (old && no_handles) return -EMFILE;
    old_opened += old;
    return rig_open(ctx, dir, name, flags);
}

/* retain_steps: one file a call; returns how many calls. */
static uint32_t retain_steps(struct past *p, int64_t keep_ms, uint64_t keep_bytes) {
    struct nitro_err err = {0};
    uint32_t more = 1, steps = 0;
    for (; more != 0; steps++) {
        uint64_t changes = p->rig.changes;
        int rc = nitro_retain_some(p->store, p->now_ms, keep_ms, keep_bytes, 1, &more, &err);
        assert_int_equal(rc, NITRO_OK);
        assert_true(p->rig.changes <= changes + 1);
    }
    return steps;
}

/* Files go one at a time; the folder is read once, and each file's size is asked for once. */
static void retained__dropped_in_steps__folder_read_once(void **state) {
    struct past *p = *state;
    p->rig.vfs.dir_list = list_old;
    p->rig.vfs.open = open_old;
    (void)keep_some(p);
    past_stop(p, true);
    past_start(p, &p->opt);
    struct old_list all = old_files(p);
    old_listed = old_opened = 0;
    no_handles = true; /* without sizes nothing goes */
    assert_int_equal(retain_steps(p, 0, 1), 1);
    no_handles = false;
    assert_int_equal(old_names(p), all.count);
    assert_true(retain_steps(p, 0, all.bytes) >= all.count);
    assert_true(old_files(p).count == all.count && old_opened == all.count);
    uint64_t limit = all.bytes / 2;
    assert_true(retain_steps(p, 0, limit) > 3);
    struct old_list half = old_files(p);
    assert_true(half.bytes >= limit &&
                half.bytes < limit + (3u << 16)); /* without the oldest one less */
    assert_true(half.oldest_ms > all.oldest_ms && half.newest_ms == all.newest_ms);
    past_work(p, 200); /* what is kept then is in the list, too */
    (void)past_roll(p);
    past_write(p);
    past_tend(p, &past_tidy);
    unsigned kept = old_names(p) - half.count;
    assert_true(kept > 0);
    (void)retain_steps(p, 0, limit);
    assert_true(old_files(p).bytes >= limit && old_files(p).bytes < limit + (3u << 16));
    assert_true(old_listed == 1 && old_opened == all.count + kept);
    (void)retain_steps(p, 0, 1); /* the newest one, however large it is */
    assert_int_equal(old_names(p), 1);
    assert_int_equal(old_files(p).newest_ms, old_files(p).oldest_ms);
    (void)retain_steps(p, 0, 0);
    assert_int_equal(old_names(p), 0);
    past_stop(p, true);
}

/* By time, whatever the order is in which times have come: the clock has been put back. */
static void retained__clock_put_back__oldest_goes_first(void **state) {
    struct past *p = *state;
    struct old_list first = keep_some(p);
    p->now_ms = first.oldest_ms - 100000;
    int64_t back_ms = p->now_ms;
    past_work(p, 300);
    (void)past_roll(p);
    past_write(p);
    past_tend(p, &past_tidy);
    struct old_list both = old_files(p);
    assert_true(both.count > first.count && both.oldest_ms >= back_ms &&
                both.oldest_ms < first.oldest_ms);
    p->now_ms = first.oldest_ms + 1000;
    (void)retain_steps(p, 1000, 0); /* what was kept while the clock was wrong */
    struct old_list left = old_files(p);
    assert_true(left.count == first.count && left.bytes == first.bytes);
    past_stop(p, true);
}

/* A file is removed by hand: when it is missed, the folder is read again, and nothing goes in its place. */
static void retained__files_removed_by_hand__read_again(void **state) {
    struct past *p = *state;
    char path[160];
    struct old_list all = keep_some(p);
    (void)retain_steps(p, 0, all.bytes);
    snprintf(path, sizeof path, "%s/%s", all.dir, all.oldest);
    assert_int_equal(unlink(path), 0);
    struct old_list left = old_files(p);
    (void)retain_steps(p, 0, left.bytes);
    assert_int_equal(old_names(p), left.count);
    (void)retain_steps(p, 0, 1);
    assert_int_equal(old_names(p), 1);
    past_stop(p, true);
}

/* The next log names the merged file as the one before, which the past before that merge passes over for the logs that it has
 * replaced. When the last one of these is missing, the one before it must not be taken for its end. */
static void retained__last_log_removed_by_hand__window_begins_behind(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1, .retain = 1};
    struct past *p = *state;
    char path[160], aside[160];
    p->opt.log_file_bytes = 1u << 20; /* a log ends where it is told to */
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < 80; k++) past_put(p, k % 40, 1, 0); /* half of each log is dead */
        (void)past_roll(p);
        past_write(p);
    }
    past_tend(p, &all);
    assert_true(past_files(p).merges > 0);
    uint64_t merged = p->effect[p->count - 1].last;
    past_stop(p, true);
    past_start(p, &p->opt);
    past_work(p, 60);
    past_stop(p, true);
    struct old_list kept = old_files(p);
    assert_true(kept.last_log > 1);
    struct nitro_restore_options o = past_options(p, p->dir);
    assert_int_equal(past_check_point(p, &o, p->effect[p->count - 1].last).first_lsn, 0);
    for (unsigned i = 0; i < p->count; i += 20) past_check_point(p, &o, p->effect[i].last);

    snprintf(path, sizeof path, "%s/%s", kept.dir, kept.last);
    snprintf(aside, sizeof aside, "%s/aside", p->base);
    assert_int_equal(rename(path, aside), 0);
    uint64_t first = past_check_point(p, &o, p->effect[p->count - 1].last).first_lsn;
    assert_int_equal(first, merged);
    past_check_point(p, &o, first);
    o.to_lsn = first - 1;
    past_check_outside(p, &o, first);
    assert_int_equal(rename(aside, path), 0);
}

/* A file can't be removed: the others go, and it goes with the next retention. */
static void retained__removal_fails__tried_later(void **state) {
    struct past *p = *state;
    (void)keep_some(p);
    p->rig.once = true;
    p->rig.fail_change = p->rig.changes + 3;
    (void)retain_steps(p, 1, 0);
    p->rig.fail_change = 0;
    assert_int_equal(old_names(p), 1);
    (void)retain_steps(p, 1, 0);
    assert_int_equal(old_names(p), 0);
    past_stop(p, true);
}

/* Somebody who needs room removes the folder of what is kept while the store runs: merges go on, and keep what comes then. */
static void retained__folder_removed__made_again(void **state) {
    struct past *p = *state;
    char path[80];
    snprintf(path, sizeof path, "%s/%s", p->dir, NK_PATH_RETAINED);
    past_start(p, &p->opt);
    for (unsigned removed = 0; removed < 3; removed++) {
        if (removed > 0) past_remove(path);
        if (removed == 1) past_retain(p, 1000000000, 0);
        past_work(p, 300);
        (void)past_roll(p);
        past_write(p);
        past_tend(p, &past_tidy);
        assert_true(old_names(p) > 0);
    }
    past_stop(p, true);
    struct nitro_restore_options o = past_options(p, p->dir);
    (void)past_check_point(p, &o, UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(retained__removal_tried_again__one_name, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__crash_before_removal__one_name, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__dropped_in_steps__folder_read_once,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(retained__clock_put_back__oldest_goes_first,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(retained__files_removed_by_hand__read_again,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(retained__last_log_removed_by_hand__window_begins_behind,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(retained__removal_fails__tried_later, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__folder_removed__made_again, past_data_setup,
                                        past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
