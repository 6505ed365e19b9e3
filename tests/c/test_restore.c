/* SPDX-License-Identifier: MIT
 *
 * test_restore.c - new folders from old ones: the state at any LSN and any time, and that nothing is made
 * when something fails. Snapshot files by themselves: test_verify.c.
 */
#include "past.h"

#include "collide.h"

/* ---- restoring ---------------------------------------------------------------------------------*/

static struct nitro_restore_options options(struct past *p) {
    struct nitro_restore_options o = {.from = p->dir,
                                      .dir = p->new_dir,
                                      .to_lsn = UINT64_MAX,
                                      .to_ms = INT64_MAX,
                                      .now_ms = p->now_ms,
                                      .compression = NITRO_COMPRESSION_LZ4,
                                      .mem = &p->mem.table,
                                      .vfs = &p->rig.vfs,
                                      .dir_vfs = &p->rig.vfs};
    memset(o.seed, 0x3c, sizeof o.seed);
    return o;
}

/* new_options: to open the new folder. */
static struct nitro_options new_options(const struct past *p) {
    struct nitro_options o = p->opt;
    o.dir = p->new_dir;
    return o;
}

/* check_lives: the new folder starts, so many times, every other time without a log, with what the past held at
 * LSN n, and gives out LSNs that the old one never has. Then it is removed. */
static void check_lives(struct past *p, uint64_t n, const struct nitro_restore_result *r,
                        const struct nitro_restore_options *o, unsigned lives) {
    struct nitro_options opt = new_options(p);
    int64_t now_ms = o->now_ms > r->time_ms ? o->now_ms : r->time_ms;
    uint64_t seen = p->effect[p->count - 1].last;
    for (unsigned i = 0; i < lives; i++) {
        struct nitro_info info;
        opt.wal_off = i == 1;
        past_start(p, &opt);
        past_check(p, n, r->time_ms, now_ms, o->keep_expired != 0);
        struct nitro_stats stats;
        nitro_stats(p->store, &stats);
        assert_int_equal(stats.keys, r->keys);
        int rc = nitro_set(p->store, p->now_ms, "later", 5, "", 0, 0, 0, 0, &info);
        assert_int_equal(rc, NITRO_OK);
        assert_true(info.version > seen + (1u << 24));
        seen = info.version - (1u << 24);
        assert_int_equal(nitro_delete(p->store, p->now_ms, "later", 5, &info), NITRO_OK);
        past_stop(p, i == 0);
    }
    past_remove(p->new_dir);
}

static void check_new(struct past *p, uint64_t n, const struct nitro_restore_result *r,
                      const struct nitro_restore_options *o) {
    check_lives(p, n, r, o, 1);
}

/* check_point: what is reached for LSN n, and what is there then. */
static struct nitro_restore_result check_point(struct past *p, struct nitro_restore_options *o,
                                               uint64_t n) {
    int64_t ms;
    o->to_lsn = n;
    uint64_t lsn = past_reached(p, n, &ms);
    struct nitro_restore_result r = past_restore(o);
    assert_int_equal(r.lsn, lsn);
    assert_true(r.time_ms >= ms); /* later if the point is a snapshot's */
    check_new(p, lsn, &r, o);
    return r;
}

/* ---- points ------------------------------------------------------------------------------------*/

/* A hundred LSNs of a long run, drawn from all that its log and snapshots know, and those at and inside of every
 * fiftieth batch. */
static void restore__random_lsns_of_a_long_run__equal_the_model(void **state) {
    struct past *p = *state;
    past_live(p, 2000, 1000000);
    struct nitro_restore_options o = options(p);
    uint64_t newest = p->effect[p->count - 1].last;
    struct nitro_restore_result r = past_restore(&o);
    check_lives(p, newest, &r, &o, 3);
    assert_int_equal(r.first_lsn, 0); /* nothing was dropped */
    assert_int_equal(r.last_lsn, newest);
    for (uint64_t i = test_scale(100); i > 0; i--) {
        const struct past_effect *e = &p->effect[test_rng_below(&p->rng, p->count)];
        o.now_ms = p->now_ms - (int64_t)test_rng_below(&p->rng, 60000);
        check_point(p, &o, e->lsn);
    }
    for (unsigned i = 0; i < p->count; i += 50) {
        check_point(p, &o, p->effect[i].last - 1);
        check_point(p, &o, p->effect[i].last);
        check_point(p, &o, p->effect[i].last + 1 <= newest ? p->effect[i].last + 1 : newest);
    }
    check_point(p, &o, 0);
}

/* Where old logs have been dropped the window begins with a snapshot, and holds from there on. */
static void restore__with_retention__the_window_begins_with_a_snapshot(void **state) {
    struct past *p = *state;
    past_live(p, 2000, 4000);
    struct nitro_restore_options o = options(p);
    struct nitro_restore_result r = check_point(p, &o, p->effect[p->count - 1].last);
    uint64_t first = r.first_lsn;
    assert_true(first > 0);
    bool found = false;
    for (unsigned i = 0; i < p->snaps; i++)
        found |= p->snap[i].lsn == first && p->snap[i].time_ms == r.first_ms;
    assert_true(found);
    check_point(p, &o, first);
    for (unsigned i = 0; i < p->count; i += 20)
        if (p->effect[i].last >= first) check_point(p, &o, p->effect[i].last);
    o.to_lsn = first - 1;
    struct nitro_err err;
    assert_int_equal(nitro_restore(&o, &r, &err), NITRO_EARGUMENT);
    assert_int_equal(r.first_lsn, first);
    assert_int_equal(access(p->new_dir, F_OK), -1);
}

/* A time is the longest run of frames that are not later; the moments around each of many. */
static void restore__to_a_time__longest_prefix(void **state) {
    struct past *p = *state;
    past_live(p, 1000, 1000000);
    struct nitro_restore_options o = options(p);
    for (unsigned i = 0; i < p->count; i += 25)
        for (int64_t d = -1; d <= 1; d++) {
            o.to_ms = p->effect[i].time_ms + d;
            uint64_t lsn = past_reached_time(p, o.to_ms);
            struct nitro_restore_result r = past_restore(&o);
            assert_int_equal(r.lsn, lsn);
            assert_true(r.time_ms <= o.to_ms);
            check_new(p, lsn, &r, &o);
        }
    o.to_ms = p->effect[0].time_ms - 1;
    assert_int_equal(past_restore(&o).lsn, 0);
    past_remove(p->new_dir);
    o.to_ms = p->effect[p->count / 2].time_ms;
    o.to_lsn = p->effect[p->count / 3].last; /* whichever is earlier */
    assert_int_equal(past_restore(&o).lsn, o.to_lsn);
}

/* A clock that has gone back: frames behind a later one are not reached, whatever their own time. */
static void
restore__to_a_time_of_a_clock_that_went_back__stops_at_the_first_later_frame(void **state) {
    struct past *p = *state;
    past_start(p, &p->opt);
    p->now_ms = TEST_NOW + 1000;
    past_put(p, 1, 1, 0);
    past_write(p);
    p->now_ms = TEST_NOW + 3000;
    past_put(p, 2, 1, 0);
    past_write(p);
    p->now_ms = TEST_NOW + 2000;
    past_put(p, 3, 1, 0);
    past_write(p);
    past_stop(p, true);
    p->now_ms = TEST_NOW + 5000;
    struct nitro_restore_options o = options(p);
    o.to_ms = TEST_NOW + 2500;
    struct nitro_restore_result r = past_restore(&o);
    assert_int_equal(r.lsn, p->effect[0].last);
    check_new(p, r.lsn, &r, &o);
    o.to_ms = TEST_NOW + 3000;
    assert_int_equal(past_restore(&o).lsn, p->effect[2].last);
}

/* Keys that have run out since the point: gone, or kept without an expiry. */
static void restore__keep_expired__drops_what_ran_out_since(void **state) {
    struct past *p = *state;
    past_start(p, &p->opt);
    past_put(p, 1, 1, p->now_ms + 50);
    past_put(p, 2, 1, p->now_ms + 5000);
    past_put(p, 3, 1, p->now_ms + 500000);
    past_put(p, 4, 1, 0);
    p->now_ms += 100;
    past_put(p, 5, 1, 0);
    past_write(p);
    past_stop(p, true);
    p->now_ms += 100000;
    struct nitro_restore_options o = options(p);
    for (uint32_t keep = 0; keep <= 1; keep++) {
        o.keep_expired = keep;
        struct nitro_restore_result r = past_restore(&o);
        assert_int_equal(r.keys, 3 + keep);
        assert_int_equal(r.expired, keep);
        check_new(p, r.lsn, &r, &o);
    }
}

/* A store that wrote no log: its newest snapshot is the one point; an older one is restored as a file. */
static void restore__without_a_log__the_newest_snapshot_is_the_point(void **state) {
    struct past *p = *state;
    struct nitro_restore_result r;
    struct nitro_err err;
    struct nitro_info info;
    char path[PATH_MAX];
    p->opt.wal_off = 1;
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 2; i++) {
        char value = (char)('a' + i);
        assert_int_equal(nitro_set(p->store, p->now_ms, "k", 1, &value, 1, 0, 0, 0, &info), 0);
        past_snapshot(p);
        p->now_ms += 100;
    }
    past_stop(p, true);
    struct nitro_restore_options o = options(p);
    o.to_lsn = p->snap[0].lsn;
    assert_int_equal(nitro_restore(&o, &r, &err), NITRO_EARGUMENT);
    assert_true(r.first_lsn == p->snap[1].lsn && r.last_lsn == p->snap[1].lsn);
    snprintf(path, sizeof path, "%s/%010" PRIu64 ".snap", p->dir, p->snap[0].number);
    for (unsigned i = 0; i < 2; i++) {
        struct nitro_options opt = new_options(p);
        o.from = i == 0 ? path : p->dir;
        o.from_file = i == 0;
        o.to_lsn = p->snap[i].lsn;
        r = past_restore(&o);
        assert_int_equal(r.lsn, p->snap[i].lsn);
        assert_int_equal(r.keys, 1);
        opt.wal_off = 0;
        past_start(p, &opt);
        char got = 0;
        assert_int_equal(nitro_get(p->store, p->now_ms, "k", 1, &got, 1, &info), NITRO_OK);
        assert_int_equal(got, 'a' + (int)i);
        assert_int_equal(nitro_set(p->store, p->now_ms, "k", 1, "", 0, 0, 0, 0, &info), NITRO_OK);
        assert_true(info.version > p->snap[1].lsn + (UINT64_C(1) << 40));
        past_stop(p, true);
        past_remove(p->new_dir);
    }
}

/* An empty store is restored as one. */
static void restore__empty_store__is_empty(void **state) {
    struct past *p = *state;
    for (unsigned i = 0; i < 2; i++) {
        past_start(p, &p->opt);
        if (i == 1) past_snapshot(p);
        past_stop(p, i == 0);
        struct nitro_restore_options o = options(p);
        struct nitro_restore_result r = past_restore(&o);
        assert_int_equal(r.keys, 0);
        assert_int_equal(r.last_lsn, 0);
        struct nitro_options opt = new_options(p);
        past_start(p, &opt);
        past_check(p, 0, 0, p->now_ms, false);
        past_stop(p, true);
        past_remove(p->new_dir);
    }
}

/* Keys that collide in the store that the restore loads them into: it changes its hash meanwhile, and is not done
 * with that at the end. */
static void restore__store_in_the_middle_of_a_switch__no_key_twice_or_missing(void **state) {
    struct past *p = *state;
    struct nitro_restore_options o = options(p);
    /* 50 of them in each of 256 segments, more or less: 45 make one switch, each further one moves 32 others */
    uint64_t plain = test_scale(100000), all = plain + 50 * 256;
    p->opt.log_file_bytes = 4u << 20;
    past_start(p, &p->opt);
    for (uint64_t i = 0; i < all; i++) {
        uint8_t key[COLLIDE_KEY_MAX];
        struct nitro_info info;
        size_t n = i >= plain ? collide_key(o.seed, 14, (uint32_t)(i - plain), key)
                              : (size_t)snprintf((char *)key, sizeof key, "n%" PRIu64, i);
        int rc;
        while ((rc = nitro_set(p->store, p->now_ms, key, n, "v", 1, 0, 0, 0, &info)) ==
               NITRO_ELOGFULL)
            past_room(p, nitro_log_need(n, 1));
        assert_int_equal(rc, NITRO_OK);
    }
    struct test_digest was = test_digest(p->store, p->now_ms);
    past_write(p);
    past_stop(p, true);
    struct nitro_restore_result r = past_restore(&o);
    assert_int_equal(r.keys, all);
    struct nitro_options opt = new_options(p);
    past_start(p, &opt);
    struct test_digest is = test_digest(p->store, p->now_ms);
    assert_memory_equal(&was, &is, sizeof is);
    past_stop(p, true);
}

/* ---- from a file -------------------------------------------------------------------------------*/

/* A snapshot file, wherever it was copied to, is the store as it was. */
static void restore__from_a_file__is_the_store_at_its_lsn(void **state) {
    struct past *p = *state;
    char path[PATH_MAX];
    unsigned restored = 0;
    past_live(p, 600, 1000000);
    for (unsigned i = 0; i < p->snaps; i++) {
        struct nitro_restore_options o = options(p);
        struct nitro_restore_result r;
        struct nitro_err err;
        snprintf(path, sizeof path, "%s/%010" PRIu64 ".snap", p->dir, p->snap[i].number);
        if (access(path, F_OK) != 0) continue; /* old ones are thinned out */
        o.from = path;
        o.from_file = 1;
        o.now_ms = p->snap[i].time_ms;
        o.to_lsn = i % 2 == 0 ? UINT64_MAX : p->snap[i].lsn;
        o.to_ms = i % 3 == 0 ? INT64_MAX : p->snap[i].time_ms;
        r = past_restore(&o);
        assert_int_equal(r.lsn, p->snap[i].lsn);
        assert_int_equal(r.time_ms, p->snap[i].time_ms);
        assert_true(r.first_lsn == r.lsn && r.last_lsn == r.lsn);
        check_lives(p, r.lsn, &r, &o, 3);
        restored++;
        o.to_lsn = p->snap[i].lsn + 1;
        assert_int_equal(nitro_restore(&o, &r, &err), NITRO_EARGUMENT);
        assert_int_equal(r.first_lsn, p->snap[i].lsn);
        o.to_lsn = UINT64_MAX;
        o.to_ms = p->snap[i].time_ms - 1;
        assert_int_equal(nitro_restore(&o, &r, &err), NITRO_EARGUMENT);
        assert_int_equal(access(p->new_dir, F_OK), -1);
    }
    assert_true(restored >= 4);
}

/* ---- refusals ----------------------------------------------------------------------------------*/

static int code_of(const struct nitro_restore_options *o, struct nitro_err *err) {
    struct nitro_restore_result r;
    return nitro_restore(o, &r, err);
}

/* A point that is not there is refused with the window in words, and nothing is made. */
static void restore__outside_of_the_window__says_what_there_is(void **state) {
    struct past *p = *state;
    struct nitro_err err;
    char want[64];
    past_start(p, &p->opt);
    past_put(p, 1, 1, 0);
    past_write(p);
    past_stop(p, true);
    struct nitro_restore_options o = options(p);
    o.to_lsn = p->effect[0].last + 1;
    assert_int_equal(code_of(&o, &err), NITRO_EARGUMENT);
    snprintf(want, sizeof want, "to LSN %" PRIu64 " of 2023-11-14T22:13:20.000Z", o.to_lsn - 1);
    if (strstr(err.msg, want) == NULL || strstr(err.msg, "the empty store") == NULL)
        fail_msg("%s", err.msg);
    o.to_lsn = UINT64_MAX;
    o.to_ms = p->now_ms + 1; /* the future */
    assert_int_equal(code_of(&o, &err), NITRO_EARGUMENT);
    if (strstr(err.msg, "2023-11-14T22:13:20.001Z") == NULL) fail_msg("%s", err.msg);
    assert_int_equal(access(p->new_dir, F_OK), -1);
}

/* Where a store lies, or part of one, nothing is restored to; nor from a folder in use. */
static void restore__wrong_folders__are_refused(void **state) {
    struct past *p = *state;
    struct nitro_err err;
    struct image before, after;
    past_start(p, &p->opt);
    struct nitro_restore_options o = options(p);
    assert_int_equal(code_of(&o, &err), NITRO_EINUSE);
    past_put(p, 1, 1, 0);
    past_stop(p, true);
    o.dir = p->dir;
    image_load(&before, p->dir);
    assert_int_equal(code_of(&o, &err), NITRO_EARGUMENT);
    assert_non_null(strstr(err.msg, "it holds a store"));
    image_load(&after, p->dir);
    assert_true(image_same(&before, &after));
    image_free(&before);
    image_free(&after);
    o.dir = p->new_dir;
    o.from = p->base;
    assert_int_equal(code_of(&o, &err), NITRO_ENOTFOUND);
    o.from = "/nowhere/at/all";
    assert_int_equal(code_of(&o, &err), NITRO_ENOTFOUND);
    o.from_file = 1;
    assert_int_equal(code_of(&o, &err), NITRO_ENOTFOUND);
    assert_non_null(strstr(err.msg, o.from));
    o.from = "";
    assert_int_equal(code_of(&o, &err), NITRO_EARGUMENT);
    assert_int_equal(access(p->new_dir, F_OK), -1);
}

/* What a killed restore has left: its unfinished file is overwritten; anything that a store could need is not. */
static void restore__rest_of_another_one__overwritten_or_named(void **state) {
    struct past *p = *state;
    struct nitro_err err;
    char path[PATH_MAX];
    past_start(p, &p->opt);
    past_put(p, 1, 1, 0);
    past_write(p);
    past_stop(p, true);
    struct nitro_restore_options o = options(p);
    static const char *const names[] = {"0000000001.snap.tmp", "MANIFEST.tmp", "0000000002.log",
                                        "0000000001.snap", "CONTROL"};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(mkdir(p->new_dir, 0700), 0);
        snprintf(path, sizeof path, "%s/%s", p->new_dir, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(write(fd, path, 20), 20);
        close(fd);
        if (i < 2) {
            struct nitro_restore_result r = past_restore(&o);
            check_new(p, r.lsn, &r, &o);
            continue;
        }
        assert_int_equal(code_of(&o, &err), NITRO_EARGUMENT);
        assert_non_null(strstr(err.msg, names[i]));
        past_remove(p->new_dir);
    }
}

/* ---- damage and failures -----------------------------------------------------------------------*/

/* A small past with everything in it: snapshots, a few log files, a tail. */
static void small_past(struct past *p) {
    past_start(p, &p->opt);
    past_work(p, 60);
    past_snapshot(p);
    past_work(p, 100);
    past_snapshot(p);
    past_work(p, 40);
    past_stop(p, false);
}

/* A flipped bit or a lost sector in any file: what is restored is right all the same, or nothing is. */
static void restore__damaged_origin__right_or_refused(void **state) {
    struct past *p = *state;
    struct image whole;
    unsigned refused = 0, restored = 0;
    small_past(p);
    image_load(&whole, p->dir);
    struct nitro_restore_options o = options(p);
    for (uint64_t i = test_scale(400); i > 0; i--) {
        struct nitro_restore_result r;
        struct nitro_err err = {0};
        struct image hurt = image_copy(&whole);
        struct file *f = &hurt.file[test_rng_below(&p->rng, hurt.count)];
        size_t at = (size_t)test_rng_below(&p->rng, i % 2 == 0 ? f->n : nk_min_u64(600, f->n));
        f->p[at] ^= (uint8_t)(1u << test_rng_below(&p->rng, 8));
        if (i % 4 == 0) memset(f->p + at / 512 * 512, 0, nk_min_u64(512, f->n - at / 512 * 512));
        image_store(&hurt, p->dir);
        image_free(&hurt);
        o.to_lsn = i % 3 == 0 ? UINT64_MAX : p->effect[test_rng_below(&p->rng, p->count)].last;
        int rc = nitro_restore(&o, &r, &err);
        if (rc == NITRO_OK) {
            check_new(p, r.lsn, &r, &o);
            restored++;
            continue;
        }
        if (rc != NITRO_ECORRUPT && rc != NITRO_EARGUMENT) fail_msg("code %d: %s", rc, err.msg);
        assert_true(err.msg[0] != '\0');
        refused++;
        struct nitro_options opt = new_options(p);
        assert_int_equal(access(p->new_dir, F_OK) == 0 ? past_load(p, &opt, &err) : 0, NITRO_OK);
        if (p->store != NULL) {
            past_check(p, 0, 0, p->now_ms, false); /* what has just been made there is empty */
            past_stop(p, true);
        }
        past_remove(p->new_dir);
    }
    image_store(&whole, p->dir);
    image_free(&whole);
    assert_true(refused > 0 && restored > 0);
}

/* try: one restore into a folder that is not there, with some call failing. After a failure the folder holds no
 * store, and the next attempt gets through. */
static int try(struct past *p, const struct nitro_restore_options *o, struct nitro_err *err) {
    char manifest[PATH_MAX];
    struct nitro_restore_result r;
    int rc = nitro_restore(o, &r, err);
    p->rig.fail_change = p->rig.fail_read = 0;
    test_mem_fail(&p->mem, 0, 0);
    assert_int_equal(p->rig.handles, 0);
    test_mem_check_empty(&p->mem);
    if (rc == NITRO_OK) {
        check_new(p, r.lsn, &r, o);
        return rc;
    }
    snprintf(manifest, sizeof manifest, "%s/MANIFEST", p->new_dir);
    assert_int_equal(access(manifest, F_OK), -1);
    r = past_restore(o);
    check_new(p, r.lsn, &r, o);
    return rc;
}

/* The order that makes it safe to be killed anywhere: MANIFEST comes last, when all that it lists is durable under
 * its name. */
static void restore__its_changes__in_the_order_that_is_safe(void **state) {
    struct past *p = *state;
    small_past(p);
    struct nitro_restore_options o = options(p);
    p->rig.trace[0] = '\0';
    past_restore(&o);
    const char *end = strstr(p->rig.trace, "snapshot: footer");
    assert_non_null(end);
    assert_string_equal(end, "snapshot: footer\nsnapshot: sync\nrestore: name snapshot\n"
                             "restore: empty file\nrestore: write file\nrestore: sync file\n"
                             "restore: empty file\nrestore: write file\nrestore: sync file\n"
                             "restore: empty file\nrestore: write file\nrestore: sync file\n"
                             "restore: sync names\nrestore: name MANIFEST\n"
                             "restore: sync MANIFEST\n");
    assert_string_equal(p->rig.renamed, "MANIFEST");
}

/* sweep_files: each file call fails once, until none is left that could. */
static void sweep_files(struct past *p, const struct nitro_restore_options *o) {
    p->rig.once = true;
    for (int reads = 0; reads < 2; reads++)
        for (uint64_t n = 1;; n++) {
            struct nitro_err err = {0};
            p->rig.changes = p->rig.reads = 0;
            *(reads ? &p->rig.fail_read : &p->rig.fail_change) = n;
            int rc = try(p, o, &err);
            if (rc == NITRO_OK && (reads ? p->rig.reads : p->rig.changes) < n) break;
            if (rc == NITRO_OK)
                continue; /* a call that does not matter, for example on an older snapshot */
            if (rc != NITRO_EIO && rc != NITRO_ECORRUPT) fail_msg("code %d: %s", rc, err.msg);
            if (strstr(err.msg, p->base) == NULL) fail_msg("call %" PRIu64 ": %s", n, err.msg);
        }
    p->rig.once = false;
}

static void restore__each_file_call_fails__no_store_and_the_next_gets_through(void **state) {
    struct past *p = *state;
    char path[PATH_MAX];
    small_past(p);
    struct nitro_restore_options o = options(p);
    sweep_files(p, &o);
    snprintf(path, sizeof path, "%s/%010" PRIu64 ".snap", p->dir, p->snap[1].number);
    o.from = path;
    o.from_file = 1;
    sweep_files(p, &o);
}

static void restore__each_allocation_fails__no_store_and_the_next_gets_through(void **state) {
    struct past *p = *state;
    char path[PATH_MAX];
    small_past(p);
    for (uint32_t file = 0; file < 2; file++) {
        struct nitro_restore_options o = options(p);
        snprintf(path, sizeof path, "%s/%010" PRIu64 ".snap", p->dir, p->snap[1].number);
        if (file) o.from = path;
        o.from_file = file;
        for (uint64_t n = 1;; n++) {
            struct nitro_err err = {0};
            test_mem_fail(&p->mem, n, n);
            int rc = try(p, &o, &err);
            if (rc == NITRO_OK && p->mem.failed == 0) break;
            if (rc != NITRO_OK && rc != NITRO_ENOMEM) fail_msg("code %d: %s", rc, err.msg);
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, past_setup, past_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(restore__random_lsns_of_a_long_run__equal_the_model),
        TEST(restore__with_retention__the_window_begins_with_a_snapshot),
        TEST(restore__to_a_time__longest_prefix),
        TEST(restore__to_a_time_of_a_clock_that_went_back__stops_at_the_first_later_frame),
        TEST(restore__keep_expired__drops_what_ran_out_since),
        TEST(restore__without_a_log__the_newest_snapshot_is_the_point),
        TEST(restore__empty_store__is_empty),
        TEST(restore__store_in_the_middle_of_a_switch__no_key_twice_or_missing),
        TEST(restore__from_a_file__is_the_store_at_its_lsn),
        TEST(restore__outside_of_the_window__says_what_there_is),
        TEST(restore__wrong_folders__are_refused),
        TEST(restore__rest_of_another_one__overwritten_or_named),
        TEST(restore__damaged_origin__right_or_refused),
        TEST(restore__its_changes__in_the_order_that_is_safe),
        TEST(restore__each_file_call_fails__no_store_and_the_next_gets_through),
        TEST(restore__each_allocation_fails__no_store_and_the_next_gets_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
