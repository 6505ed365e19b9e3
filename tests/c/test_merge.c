/* SPDX-License-Identifier: MIT
 *
 * test_merge.c - hints and merges of data files: nothing is lost, nothing comes back, space is given back, whatever
 * happens in between.
 */
#include "merge_rig.h"

static uint64_t keys_of(struct world *w) {
    struct nitro_stats st;
    nitro_stats(w->store, &st);
    return st.keys;
}

/* leave_out: a piece, the n-th by LSN, is not merged in this life. */
static void leave_out(struct world *w, uint32_t n) {
    struct nk_piece p[64];
    assert_true(nk_log_pieces(w->store->db.folder, p, 64) > n + 1);
    nk_file_at(w->store->db.files, p[n].slot)->damaged = 1;
}

/* ---- what must not come back -------------------------------------------------------------------*/

/* A value that has expired had replaced an older one, which lies in another file. The expired one is merged away first, with
 * its entry still there or gone by itself; the older one stays gone. */
static void merge__expired_over_older_value__stays_gone(void **state) {
    struct world *w = *state;
    for (unsigned dropped = 0; dropped < 2; dropped++) {
        afresh(w);
        start(w);
        put(w, 0, 800, 0);
        put(w, 1, 40000, 0); /* most of the first file is live, so it is not merged by itself */
        roll(w);
        put(w, 0, 90, w->now_ms + 1000);
        put(w, 2, 5000, 0);
        roll(w);
        settle(w, &merge_none);
        w->now_ms += 3000; /* the EXPIRE step knows seconds */
        if (dropped == 1) test_step_all(w->store, w->now_ms);
        assert_int_equal(keys_of(w), 2 + (dropped == 0));
        struct nitro_merge_options o = {.allow = 1, .dead_percent = 3};
        put(w, 2, 10, 0);
        settle(w, &o); /* the second file alone */
        assert_true(files_of(w).merges == 1 && files_of(w).gone_bytes > 0);
        check_contents(w);
        restart(w);
        check_contents(w);
        merge(w);
        assert_int_equal(files_of(w).gone_bytes, 0);
        restart(w);
        check_contents(w);
    }
}

/* FLUSHALL hides what lies in files that are not merged with it. */
static void merge__flushall__nothing_comes_back(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned key = 0; key < KEYS; key++) put(w, key, 4000, 0);
    sync_log(w);
    settle(w, &merge_none);
    flush_all(w);
    for (unsigned key = 0; key < KEYS; key += 3) put(w, key, 3000, 0);
    roll(w);
    settle(w, &merge_none);
    check_accounts(w);
    leave_out(w, 0);
    settle(w, &merge_all);
    assert_true(files_of(w).merges > 0 && files_of(w).gone_bytes > 0);
    check_contents(w);
    restart(w);
    check_contents(w);
    check_accounts(w);
    settle(w, &merge_all);
    assert_int_equal(files_of(w).gone_bytes, 0);
    restart(w);
    check_contents(w);
}

/* One key stays, others come and go: its file is all live in the end, pins nothing, and deletes are given back, too. */
static void merge__churn_with_cold_key__space_is_given_back(void **state) {
    struct world *w = *state;
    start(w);
    put(w, 0, 30000, 0);
    for (unsigned i = 0; i < 600; i++) {
        unsigned key = 1 + i % (KEYS - 1);
        put(w, key, 1000, 0);
        del(w, key);
        if (i % 200 == 150) settle(w, &merge_all);
    }
    merge(w);
    struct nitro_data_files f = files_of(w);
    assert_int_equal(f.gone_bytes, 0);
    assert_true(f.bytes < 31000 && f.live_bytes > 30000);
    check_contents(w);
    restart(w);
    check_contents(w);
    assert_int_equal(files_of(w).gone_bytes, 0);
}

/* ---- space -------------------------------------------------------------------------------------*/

/* After everything was overwritten ten times and merged, files are hardly larger than what is in them. */
static void merge__overwritten_ten_times__little_is_left(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned round = 0; round < 11; round++)
        for (unsigned key = 0; key < KEYS; key++) {
            put(w, key, 5000 + round, 0);
            if (key % 16 == 0) settle(w, &merge_all);
        }
    merge(w);
    uint64_t live = KEYS * 5010u, bytes = files_of(w).bytes;
    print_message("%" PRIu64 " bytes in data files for %" PRIu64 " live ones; merges wrote %" PRIu64
                  "\n",
                  bytes, live, files_of(w).merge_written_bytes);
    assert_true(bytes * 5 <= live * 6);
    check_contents(w);
    check_accounts(w);
    /* what is written to next has room ahead */
    assert_true(folder_bytes(w) * 5 <= (live + 3 * FILE_BYTES) * 6);
}

/* When merges have come to an end, they begin again only after writes. */
static void merge__again__nothing_to_do(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned i = 0; i < 300; i++) put(w, i * i % KEYS, 100 + i * 37 % 3000, 0);
    for (unsigned key = 0; key < KEYS; key += 5) del(w, key);
    merge(w);
    uint64_t merges = files_of(w).merges;
    assert_true(merges > 0);
    for (unsigned i = 0; i < 5; i++) settle(w, &merge_all);
    assert_int_equal(files_of(w).merges, merges);
    restart(w);
    settle(w, &merge_all);
    restart(w);
    settle(w, &merge_all);
    assert_int_equal(files_of(w).merges, 0);
    check_contents(w);
}

/* Lives with few writes leave small files; they do not become more and more. */
static void merge__many_short_lives__few_files(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned life = 0; life < 40; life++) {
        put(w, life, 50, 0);
        sync_log(w);
        restart(w);
        settle(w, &merge_all);
    }
    assert_true(files_of(w).files < 12);
    check_contents(w);
}

/* ---- hints -------------------------------------------------------------------------------------*/

/* Every sealed file gets a hint, merged ones at once, and the next start reads no file but the newest. */
static void hint__every_sealed_file__has_one(void **state) {
    struct world *w = *state;
    struct nk_piece p[64];
    start(w);
    for (unsigned i = 0; i < 200; i++) {
        put(w, i % KEYS, 2000, i % 7 == 0 ? w->now_ms + 100000 : 0);
        if (i % 11 == 0) del(w, (i + 3) % KEYS);
    }
    roll(w);
    settle(w, &merge_none);
    uint32_t n = nk_log_pieces(w->store->db.folder, p, 64);
    assert_true(n > 4 && files_of(w).hints == n);
    struct nitro_merge_options o = {.allow = 1, .dead_percent = 60};
    settle(w, &o);
    n = nk_log_pieces(w->store->db.folder, p, 64);
    assert_true(files_of(w).merges > 0 && files_of(w).hints == n);
    nitro_close(&w->store);
    start(w);
    assert_int_equal(files_of(w).hints_loaded, n);
    check_contents(w);
    check_accounts(w);
}

/* A hint that can't be written is no reason not to merge, nor to make the next one. */
static void hint__cannot_be_written__merges_go_on(void **state) {
    struct world *w = *state;
    char hint[NK_PATH_MAX], path[128];
    start(w);
    for (unsigned i = 0; i < 100; i++) put(w, i % 20, 3000, 0);
    roll(w);
    nk_path_hint_tmp(1, hint); /* where a folder is, no file can be made */
    snprintf(path, sizeof path, "%s/%s", w->dir, hint);
    assert_int_equal(mkdir(path, 0700), 0);
    w->may_fail = true;
    for (unsigned i = 0; i < 200; i++) (void)step(w, &merge_all);
    w->may_fail = false;
    assert_true(files_of(w).merges > 0);
    assert_int_equal(rmdir(path), 0);
    settle(w, &merge_all);
    check_contents(w);
    restart(w);
    check_contents(w);
}

/* damage: some bytes in the middle of a log. */
static void damage(struct world *w, uint64_t number) {
    char name[NK_PATH_MAX], path[128];
    nk_path_log(number, name);
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pwrite(fd, "damaged", 7, 30000) == 7);
    close(fd);
}

/* A file that turns out to be damaged when its hint is made gets none; the others do. */
static void hint__damaged_file__gets_none(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    int rc = NITRO_OK;
    start(w);
    for (unsigned i = 0; i < 100; i++) put(w, i % KEYS, 2500, 0);
    roll(w);
    damage(w, 1);
    for (unsigned i = 0; i < 100 && rc == NITRO_OK; i++)
        rc = nitro_merge_step(w->store, w->now_ms, &merge_none, &w->result, &err);
    assert_int_equal(rc, NITRO_ECORRUPT);
    assert_non_null(strstr(err.msg, "0000000001.log at offset"));
    settle(w, &merge_none); /* does not begin with hints, because one has just failed */
    settle(w, &merge_none);
    struct nitro_data_files f = files_of(w);
    assert_true(f.damaged_files == 1 && f.files > 3 && f.hints == f.files - 2);
}

/* ---- at every state ----------------------------------------------------------------------------*/

/* work_for_merge: files with something of everything: dead, deleted, expiring, large. */
static void work_for_merge(struct world *w) {
    for (unsigned i = 0; i < 120; i++) {
        unsigned key = i * 7 % KEYS;
        if (i % 6 == 5)
            del(w, key);
        else
            put(w, key, i % 40 == 7 ? 70000 : 100 + i * 53 % 2500, i % 9 == 0 ? w->now_ms + 50 : 0);
        if (i == 60) flush_all(w);
        if (i % 10 == 0) sync_log(w);
    }
    roll(w);
    w->now_ms += 60;
}

/* steps: so many of them; false if there was nothing more to do before. */
static bool steps(struct world *w, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        (void)step(w, &merge_all);
        if (w->result.need == NITRO_MERGE_IDLE) return false;
    }
    return true;
}

/* The process ends after any step: the next one serves the same, and comes to the same end. */
static void merge__killed_after_every_step__same_contents(void **state) {
    struct world *w = *state;
    bool more = true;
    for (unsigned n = 0; more; n++) {
        afresh(w);
        start(w);
        work_for_merge(w);
        more = steps(w, n);
        check_contents(w);
        restart(w);
        check_contents(w);
        check_accounts(w);
        settle(w, &merge_all);
        check_contents(w);
        check_accounts(w);
        restart(w);
        check_contents(w);
    }
}

/* FLUSHALL after any step. */
static void merge__flushed_after_every_step__empty(void **state) {
    struct world *w = *state;
    bool more = true;
    for (unsigned n = 0; more; n++) {
        afresh(w);
        start(w);
        work_for_merge(w);
        more = steps(w, n);
        flush_all(w);
        put(w, 3, 40, 0);
        settle(w, &merge_all);
        check_contents(w);
        check_accounts(w);
        restart(w);
        check_contents(w);
        merge(w);
        assert_true(files_of(w).bytes < 200 && files_of(w).gone_bytes == 0);
        check_contents(w);
    }
}

/* Writes between the steps, restarts now and then. */
static void merge__writes_in_between__as_the_array_says(void **state) {
    struct world *w = *state;
    struct test_rng rng;
    test_rng_init(&rng, "merge__writes_in_between__as_the_array_says");
    start(w);
    struct nitro_merge_options o = merge_all;
    for (uint64_t i = test_scale(60000); i > 0; i--) {
        /* a high share leaves files with few dead records, which pin what is merged behind them */
        if (i % 2000 == 0) o.dead_percent = 1 + (uint32_t)test_rng_below(&rng, 80);
        unsigned key = (unsigned)test_rng_below(&rng, KEYS);
        uint64_t what = test_rng_below(&rng, 1000);
        w->now_ms += (int64_t)test_rng_below(&rng, 3);
        if (what < 350)
            put(w, key, (uint32_t)test_rng_below(&rng, 3000),
                what < 100 ? w->now_ms + 1 + (int64_t)test_rng_below(&rng, 500) : 0);
        else if (what < 500)
            del(w, key);
        else if (what < 900)
            (void)step(w, &o);
        else if (what < 940)
            sync_log(w);
        else if (what < 960)
            check_key(w, key);
        else if (what < 970)
            test_step_all(w->store, w->now_ms);
        else if (what < 972)
            flush_all(w);
        else if (what < 976)
            roll(w);
        else if (what < 978)
            put(w, key, 60000 + (uint32_t)test_rng_below(&rng, 300000), 0);
        else if (what < 981) {
            sync_log(w); /* what was not written is lost with the process */
            restart(w);
            check_contents(w);
            check_accounts(w);
        }
    }
    merge(w);
    check_contents(w);
    check_accounts(w);
    assert_int_equal(files_of(w).gone_bytes, 0);
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* after_failures: the store goes on, or, if its log has failed, the next one does; nothing is missing. */
static void after_failures(struct world *w) {
    check_contents(w);
    if (nitro_log_view_of(w->store)->status == NITRO_LOG_FAILED) restart(w);
    settle(w, &merge_all);
    check_contents(w);
    check_accounts(w);
    restart(w);
    check_contents(w);
    settle(w, &merge_all);
    check_contents(w);
}

/* Each file call of merges fails once: all data is as it was, and the next try gets through. */
static void merge__every_file_call_fails__nothing_is_lost(void **state) {
    struct world *w = *state;
    for (unsigned reads = 0; reads < 2; reads++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth++) {
            afresh(w);
            start(w);
            work_for_merge(w);
            sync_log(w);
            w->rig.once = w->may_fail = true;
            w->rig.fail_read = reads == 1 ? w->rig.reads + nth : 0;
            w->rig.fail_change = reads == 0 ? w->rig.changes + nth : 0;
            uint64_t until = reads == 1 ? w->rig.fail_read : w->rig.fail_change;
            for (unsigned i = 0; i < 300; i++) {
                (void)step(w, &merge_all);
                if (w->result.need == NITRO_MERGE_IDLE) break;
            }
            failed = (reads == 1 ? w->rig.reads : w->rig.changes) >= until;
            w->rig.fail_read = w->rig.fail_change = 0;
            w->may_fail = false;
            after_failures(w);
        }
    }
}

/* Each allocation of merges fails once. */
static void merge__every_allocation_fails__nothing_is_lost(void **state) {
    struct world *w = *state;
    uint64_t failed = 1;
    for (uint64_t nth = 1; failed > 0; nth++) {
        afresh(w);
        start(w);
        work_for_merge(w);
        sync_log(w);
        w->may_fail = true;
        w->mem.failed = 0;
        test_mem_fail(&w->mem, nth, nth);
        (void)steps(w, 300);
        test_mem_fail(&w->mem, 0, 0);
        failed = w->mem.failed;
        w->may_fail = false;
        after_failures(w);
    }
    assert_true(files_of(w).merges == 0); /* the last one has done all */
}

/* A damaged record ends the merge of its file for good; the others are merged, and nothing else is lost. */
static void merge__damaged_record__file_is_left_alone(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    struct nk_piece p[16];
    char name[NK_PATH_MAX];
    start(w);
    for (unsigned i = 0; i < 100; i++) put(w, i % 24, 2500, 0);
    roll(w);
    settle(w, &merge_none);
    uint32_t n = nk_log_pieces(w->store->db.folder, p, 16);
    assert_true(n >= 3);
    damage(w, p[1].number);
    nk_path_log(p[1].number, name);
    w->may_fail = true;
    int rc = NITRO_OK;
    for (unsigned i = 0; i < 100 && rc == NITRO_OK; i++) {
        rc = nitro_merge_step(w->store, w->now_ms, &merge_all, &w->result, &err);
        if (w->result.need == NITRO_MERGE_SYNC) sync_log(w);
    }
    assert_int_equal(rc, NITRO_ECORRUPT);
    assert_non_null(strstr(err.msg, name));
    w->may_fail = false;
    settle(w, &merge_all);
    struct nitro_data_files f = files_of(w);
    assert_true(f.damaged_files == 1 && f.damaged_reads == 1 && f.merges > 0);
    assert_int_equal(nk_files_find(w->store->db.files, p[1].number), p[1].slot);
    check_contents(w); /* what was damaged had been overwritten */
}

/* ---- order -------------------------------------------------------------------------------------*/

/* Records are dead because of newer ones that are not durable yet: the new file is not listed before they are. */
static void merge__newer_records_not_durable__waits(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    start(w);
    for (unsigned key = 0; key < 20; key++) put(w, key, 2500, 0);
    roll(w);
    settle(w, &merge_none);
    for (unsigned key = 0; key < 20; key++) put(w, key, 100, 0);
    uint64_t newest = nitro_log_view_of(w->store)->appended;
    for (unsigned i = 0; i < 100 && w->result.need != NITRO_MERGE_SYNC; i++)
        assert_int_equal(nitro_merge_step(w->store, w->now_ms, &merge_all, &w->result, &err),
                         NITRO_OK);
    assert_int_equal(w->result.lsn, newest);
    for (unsigned i = 0; i < 3; i++) { /* asked too early */
        assert_int_equal(nitro_merge_step(w->store, w->now_ms, &merge_all, &w->result, &err),
                         NITRO_OK);
        assert_int_equal(w->result.need, NITRO_MERGE_SYNC);
    }
    assert_int_equal(files_of(w).merged_files, 0);
    for (unsigned key = 0; key < 20;
         key++) { /* the process ends: the newer ones were never written */
        w->cell[key].bytes = 2500;
        w->cell[key].seed = key + 1;
    }
    restart(w);
    check_contents(w);
}

/* The new file is synced before MANIFEST lists it, and listed before an input is removed. */
static void merge__file_calls__in_order(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned i = 0; i < 40; i++) put(w, i % 10, 3000, 0);
    roll(w);
    settle(w, &merge_none);
    w->rig.trace[0] = '\0';
    settle(w, &merge_all);
    const char *header = strstr(w->rig.trace, "merge: header\nmerge: sync\n");
    assert_non_null(header);
    const char *listed = strstr(header, "data: sync folder\n");
    assert_non_null(listed);
    const char *removed = strstr(listed, "merge: remove log\n");
    assert_non_null(removed);
    assert_null(strstr(removed, "merge: header\n"));
    assert_ptr_equal(strstr(w->rig.trace, "merge: remove log\n"), removed);
}

/* ---- single things -----------------------------------------------------------------------------*/

/* A segment that somebody holds is waited for, outside of the gate, in both passes. */
static void merge__segment_is_locked__asks_again(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    unsigned met = 0;
    start(w);
    for (unsigned i = 0; i < 60; i++) put(w, i % 30, 2500, 0);
    roll(w);
    while (step(w, &merge_all) == NITRO_OK && w->result.need != NITRO_MERGE_IDLE) {
        if (w->result.need != NITRO_MERGE_SHARED) continue;
        struct nk_seg *s = nk_db_seg(&w->store->db, 1);
        assert_true(nk_seg_lock(s));
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(nitro_merge_step(w->store, w->now_ms, &merge_all, &w->result, &err),
                             NITRO_OK);
        if (w->result.need == NITRO_MERGE_SHARED) met++;
        nk_seg_unlock(s);
    }
    assert_true(met >= 2 && files_of(w).merges > 0);
    check_contents(w);
    check_accounts(w);
}

/* Expired records become deletes, because something older is pinned: more of them than are foreseen. What would be twice
 * as large as a file is given up, and its inputs are merged one by one. */
static void merge__output_too_large__one_by_one(void **state) {
    struct world *w = *state;
    char key[3000];
    start(w);
    memset(key, 'k', sizeof key);
    put(w, 0, 30000, 0);
    put(w, 1, 100, 0);
    roll(w);
    put(w, 1, 101, 0);
    for (unsigned i = 0; i < 120; i++) {
        int rc;
        int n = snprintf(key, 10, "%u", i);
        key[n] = 'k';
        while ((rc = nitro_set(w->store, w->now_ms, key, sizeof key, NULL, 0, 0, 0, w->now_ms + 5,
                               NULL)) == NITRO_ELOGFULL)
            assert_true(make_room(w, nitro_log_need(sizeof key, 0)));
        assert_int_equal(rc, NITRO_OK);
    }
    roll(w);
    settle(w, &merge_none);
    w->now_ms += 3000;
    test_step_all(w->store, w->now_ms);
    assert_int_equal(keys_of(w), 2);
    leave_out(w, 0);
    struct nitro_merge_options o = {.allow = 1, .dead_percent = 90};
    settle(w, &o);
    struct nitro_data_files f = files_of(w);
    assert_true(f.merges >= 5 && f.gone_bytes > 100 * sizeof key);
    check_contents(w);
    restart(w);
    check_contents(w);
    test_step_all(w->store, w->now_ms);
    merge(w);
    assert_int_equal(files_of(w).gone_bytes, 0);
}

/* Files with a few dead records are merged when they are old enough; the time is that in the files. */
static void merge__few_dead_records__by_age(void **state) {
    struct world *w = *state;
    struct nitro_merge_options o = {.allow = 1, .dead_percent = 100, .dead_age_ms = 5000};
    start(w);
    for (unsigned i = 0; i < 40; i++) put(w, i, 2500, 0);
    roll(w);
    put(w, 2, 10, 0);
    sync_log(w);
    w->now_ms += 4999;
    settle(w, &o);
    assert_int_equal(files_of(w).merges, 0);
    w->now_ms += 1;
    settle(w, &o);
    assert_int_equal(files_of(w).merges, 1);
    settle(w, &o);
    assert_int_equal(files_of(w).merges, 1);
    check_contents(w);
}

/* The file that is written to is left when it is so old and anything in it is dead; not otherwise. */
static void merge__dead_in_the_newest_file__by_age(void **state) {
    struct world *w = *state;
    struct nitro_merge_options o = {.allow = 1, .dead_percent = 100, .dead_age_ms = 5000};
    start(w);
    for (unsigned i = 0; i < 5; i++) put(w, i, 2500, 0);
    sync_log(w);
    uint64_t files = files_of(w).files;
    w->now_ms += 9000;
    settle(w, &o);
    assert_int_equal(files_of(w).files, files); /* nothing is dead */
    restart(w);
    files = files_of(w).files;
    uint64_t bytes = files_of(w).bytes;
    put(w, 6, 2500, 0);
    put(w, 7, 2500, 0);
    sync_log(w);
    del(w, 6);
    sync_log(w);
    w->now_ms += 4999;
    settle(w, &o);
    assert_int_equal(files_of(w).files, files);
    w->now_ms += 1;
    o.allow = 0;
    settle(w, &o);
    assert_int_equal(files_of(w).files, files);
    o.allow = 1;
    settle(w, &o);
    assert_int_equal(files_of(w).merges, 1);
    assert_true(files_of(w).bytes < bytes + 3000); /* of what was put one value is left */
    settle(w, &o);
    assert_int_equal(files_of(w).merges, 1);
    check_contents(w);
    restart(w);
    check_contents(w);
}

/* Options that do not allow merges seal files and make hints, and no more. */
static void merge__not_allowed__hints_only(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned i = 0; i < 100; i++) put(w, i % 4, 3000, 0);
    roll(w);
    settle(w, &merge_none);
    struct nitro_data_files f = files_of(w);
    assert_true(f.files > 3 && f.hints == f.files - 1 && f.merges == 0 && f.merged_files == 0);
}

/* A store in memory, with a folder or without one, has nothing to merge. */
static void merge__store_in_memory__idle(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    struct nitro_data_files f;
    w->opt.mode = NITRO_MODE_MEMORY;
    start(w);
    put(w, 1, 100, 0);
    assert_int_equal(step(w, &merge_all), NITRO_OK);
    assert_int_equal(w->result.need, NITRO_MERGE_IDLE);
    assert_int_equal(nitro_merge_roll(w->store, NULL, &err), NITRO_OK);
    nitro_data_files_of(w->store, &f);
    assert_int_equal(f.files, 0);
    nitro_close(&w->store);
    w->opt.dir = NULL;
    w->store = test_open(&w->opt);
    assert_int_equal(step(w, &merge_all), NITRO_OK);
    assert_int_equal(w->result.need, NITRO_MERGE_IDLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(merge__expired_over_older_value__stays_gone),
        TEST(merge__flushall__nothing_comes_back),
        TEST(merge__churn_with_cold_key__space_is_given_back),
        TEST(merge__overwritten_ten_times__little_is_left),
        TEST(merge__again__nothing_to_do),
        TEST(merge__many_short_lives__few_files),
        TEST(hint__every_sealed_file__has_one),
        TEST(hint__cannot_be_written__merges_go_on),
        TEST(hint__damaged_file__gets_none),
        TEST(merge__killed_after_every_step__same_contents),
        TEST(merge__flushed_after_every_step__empty),
        TEST(merge__writes_in_between__as_the_array_says),
        TEST(merge__every_file_call_fails__nothing_is_lost),
        TEST(merge__every_allocation_fails__nothing_is_lost),
        TEST(merge__damaged_record__file_is_left_alone),
        TEST(merge__newer_records_not_durable__waits),
        TEST(merge__file_calls__in_order),
        TEST(merge__segment_is_locked__asks_again),
        TEST(merge__output_too_large__one_by_one),
        TEST(merge__few_dead_records__by_age),
        TEST(merge__dead_in_the_newest_file__by_age),
        TEST(merge__not_allowed__hints_only),
        TEST(merge__store_in_memory__idle),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
