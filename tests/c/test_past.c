/* SPDX-License-Identifier: MIT
 *
 * test_past.c - the past of a store whose log is its data: snapshots by links, files that merges have replaced, and new
 * folders from all of them. Where values lie in memory: test_restore.c.
 */
#include "past.h"

#include "loc.h"
#include "restore.h"

/* What a round of background work may merge. */
static const struct nitro_merge_options tidy = {
    .allow = 1, .dead_percent = 30, .dead_bytes = 20000, .retain = 1};

static int setup(void **state) {
    int rc = past_setup(state);
    struct past *p = *state;
    p->opt.mode = NITRO_MODE_BITCASK;
    return rc;
}

/* ---- background work ---------------------------------------------------------------------------*/

/* tend: seals, hints, merges, until nothing is left to do. */
static void tend(struct past *p, const struct nitro_merge_options *o) {
    struct nitro_merge_result r;
    struct nitro_err err = {0};
    do {
        int rc = nitro_merge_step(p->store, p->now_ms, o, &r, &err);
        if (rc != NITRO_OK) fail_msg("merge: code %d: %s", rc, err.msg);
        if (r.need == NITRO_MERGE_SYNC) past_write(p);
    } while (r.need != NITRO_MERGE_IDLE);
}

/* link_some: one call, for so many files. */
static int link_some(struct past *p, uint64_t lsn, uint32_t files, struct nitro_snapshot_info *out,
                     uint32_t *more) {
    struct nitro_err err = {0};
    int rc = nitro_snapshot_link(p->store, lsn, p->now_ms, files, out, more, &err);
    if (rc != NITRO_OK && err.msg[0] == '\0') fail_msg("a snapshot that fails does not say why");
    return rc;
}

/* try_link: all of it, by calls for a few files. */
static int try_link(struct past *p, uint64_t lsn, struct nitro_snapshot_info *out) {
    uint32_t more = 1;
    int rc = NITRO_OK;
    while (rc == NITRO_OK && more != 0)
        rc = link_some(p, lsn, 1 + (uint32_t)test_rng_below(&p->rng, 3), out, &more);
    return rc;
}

static uint64_t roll(struct past *p) {
    struct nitro_err err = {0};
    uint64_t lsn;
    int rc = nitro_snapshot_roll(p->store, &lsn, &err);
    if (rc != NITRO_OK) fail_msg("roll: code %d: %s", rc, err.msg);
    return lsn;
}

/* snapshot: of the store as it is. */
static struct nitro_snapshot_info *snapshot(struct past *p) {
    uint64_t lsn = roll(p);
    past_write(p);
    struct nitro_snapshot_info *s = &p->snap[p->snaps++];
    assert_int_equal(try_link(p, lsn, s), NITRO_OK);
    return s;
}

/* live: some lives of a store, with merges and snapshots now and then. */
static void live(struct past *p, unsigned ops, const struct nitro_merge_options *o,
                 int64_t keep_ms) {
    for (unsigned i = 0; i < 4; i++) {
        past_start(p, &p->opt);
        for (unsigned k = 0; k < 5; k++) {
            past_work(p, ops / 20);
            if (o != NULL) tend(p, o);
            if (k % 3 == i % 3) snapshot(p);
            past_retain(p, keep_ms, 0);
        }
        past_stop(p, i % 2 == 0);
        p->now_ms += 1000;
    }
}

static struct nitro_data_files files_of(struct past *p) {
    struct nitro_data_files f;
    nitro_data_files_of(p->store, &f);
    return f;
}

/* ---- restoring ---------------------------------------------------------------------------------*/

static struct nitro_restore_options options(struct past *p, const char *from) {
    struct nitro_restore_options o = {.from = from,
                                      .dir = p->new_dir,
                                      .to_lsn = UINT64_MAX,
                                      .to_ms = INT64_MAX,
                                      .now_ms = p->now_ms,
                                      .file_bytes = 50000,
                                      .mem = &p->mem.table,
                                      .vfs = &p->rig.vfs,
                                      .dir_vfs = &p->rig.vfs};
    memset(o.seed, 0x3c, sizeof o.seed);
    return o;
}

/* check_new: the new folder starts, from its hints alone, with what the past held at LSN n, and gives out LSNs that the old one never
 * has. Then it is removed. */
static void check_new(struct past *p, uint64_t n, const struct nitro_restore_result *r,
                      const struct nitro_restore_options *o) {
    struct nitro_options opt = p->opt;
    struct nitro_info info;
    int64_t now_ms = o->now_ms > r->time_ms ? o->now_ms : r->time_ms;
    opt.dir = p->new_dir;
    for (unsigned i = 0; i < 2; i++) {
        past_start(p, &opt);
        assert_int_equal(nitro_mode_of(p->store), NITRO_MODE_BITCASK);
        if (i == 0) assert_int_equal(files_of(p).hints_rebuilt, 0);
        if (i == 0 && files_of(p).bytes > 50000 + PAST_VALUE_MAX)
            assert_true(files_of(p).merged_files > 1);
        past_check(p, n, r->time_ms, now_ms, o->keep_expired != 0);
        assert_int_equal(nitro_set(p->store, p->now_ms, "later", 5, "", 0, 0, 0, 0, &info),
                         NITRO_OK);
        assert_true(info.version > p->effect[p->count - 1].last + (1u << 24));
        assert_int_equal(nitro_delete(p->store, p->now_ms, "later", 5, &info), NITRO_OK);
        tend(p, &tidy);
        past_stop(p, i == 0);
    }
    past_remove(p->new_dir);
}

/* check_point: what is reached for LSN n, and what is there then. */
static struct nitro_restore_result check_point(struct past *p, struct nitro_restore_options *o,
                                               uint64_t n) {
    int64_t ms;
    o->to_lsn = n;
    uint64_t lsn = past_reached(p, n, &ms);
    struct nitro_restore_result r = past_restore(o);
    assert_int_equal(r.lsn, lsn);
    assert_true(r.time_ms >= ms);
    check_new(p, lsn, &r, o);
    return r;
}

static void check_outside(struct past *p, struct nitro_restore_options *o, uint64_t first) {
    struct nitro_restore_result r;
    struct nitro_err err = {0};
    assert_int_equal(nitro_restore(o, &r, &err), NITRO_EARGUMENT);
    assert_int_equal(r.first_lsn, first);
    assert_int_equal(access(p->new_dir, F_OK), -1);
}

/* ---- points ------------------------------------------------------------------------------------*/

/* Files are merged all the time, and what they replace is kept: every point can be reached. */
static void past__all_is_kept__every_point(void **state) {
    struct past *p = *state;
    live(p, 2000, &tidy, 1000000000);
    struct nitro_restore_options o = options(p, p->dir);
    uint64_t newest = p->effect[p->count - 1].last;
    struct nitro_restore_result r = check_point(p, &o, newest);
    assert_int_equal(r.first_lsn, 0);
    assert_int_equal(r.last_lsn, newest);
    for (uint64_t i = test_scale(60); i > 0; i--)
        check_point(p, &o, p->effect[test_rng_below(&p->rng, p->count)].lsn);
    for (unsigned i = 0; i < p->count; i += 100) {
        check_point(p, &o, p->effect[i].last - 1);
        check_point(p, &o, p->effect[i].last);
    }
    check_point(p, &o, 0);
    o.to_lsn = newest + 1;
    check_outside(p, &o, 0);
}

/* What was replaced long ago has gone: the window begins later, and holds from there on. */
static void past__some_is_kept__window_holds(void **state) {
    struct past *p = *state;
    live(p, 2000, &tidy, 6000);
    struct nitro_restore_options o = options(p, p->dir);
    struct nitro_restore_result r = check_point(p, &o, p->effect[p->count - 1].last);
    uint64_t first = r.first_lsn;
    assert_true(first > 0);
    unsigned inside = 0;
    for (unsigned i = 0; i < p->count; i += 7) {
        if (p->effect[i].last < first) continue;
        check_point(p, &o, p->effect[i].last);
        /* what happened since the oldest moment that is promised */
        inside++;
    }
    assert_true(inside > 5);
    for (unsigned i = 0; i < p->count; i++)
        if (p->effect[i].time_ms > p->now_ms - 5000) assert_true(p->effect[i].last >= first);
    check_point(p, &o, first);
    o.to_lsn = first - 1;
    check_outside(p, &o, first);
    o.to_lsn = UINT64_MAX;
    o.to_ms = r.first_ms - 1;
    check_outside(p, &o, first);
}

/* Without merges, and without retention, the log has all there ever was. */
static void past__never_merged__all_is_there(void **state) {
    struct past *p = *state;
    live(p, 1000, NULL, 0);
    struct nitro_restore_options o = options(p, p->dir);
    assert_int_equal(check_point(p, &o, 0).first_lsn, 0);
    for (unsigned i = 0; i < p->count; i += 40) check_point(p, &o, p->effect[i].last);
    o.keep_expired = 1;
    for (unsigned i = 20; i < p->count; i += 40) check_point(p, &o, p->effect[i].last);
}

/* Nothing is kept: what is left of the past is what came after the last merge. */
static void past__nothing_is_kept__window_is_short(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    live(p, 1000, &all, 0);
    past_start(p, &p->opt);
    past_work(p, 100);
    (void)roll(p);
    past_write(p);
    tend(p, &all);
    past_work(p, 30);
    past_stop(p, true);
    struct nitro_restore_options o = options(p, p->dir);
    uint64_t newest = p->effect[p->count - 1].last;
    uint64_t first = check_point(p, &o, newest).first_lsn;
    assert_true(first > p->effect[p->count / 2].last && first < newest);
    for (unsigned i = 0; i < p->count; i++)
        if (p->effect[i].last >= first) check_point(p, &o, p->effect[i].last);
    o.to_lsn = first - 1;
    check_outside(p, &o, first);
}

/* A time is the longest run of frames that are not later. */
static void past__to_a_time__longest_prefix(void **state) {
    struct past *p = *state;
    live(p, 1000, &tidy, 1000000000);
    for (unsigned i = 3; i < p->count; i += p->count / 40) {
        struct nitro_restore_options o = options(p, p->dir);
        for (int64_t d = -1; d <= 1; d++) {
            o.to_ms = p->effect[i].time_ms + d;
            struct nitro_restore_result r = past_restore(&o);
            assert_int_equal(r.lsn, past_reached_time(p, o.to_ms));
            assert_true(r.time_ms <= o.to_ms);
            check_new(p, r.lsn, &r, &o);
        }
    }
}

/* ---- snapshots ---------------------------------------------------------------------------------*/

static void snapshot_dir(const struct past *p, const struct nitro_snapshot_info *s, char out[80]) {
    snprintf(out, 80, "%s/snapshot-%010" PRIu64, p->dir, s->number);
}

/* A snapshot stays what it was, whatever becomes of the store, until there is a newer one and retain is called. */
static void snapshot__store_goes_on__holds_its_moment(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    char dir[80], older[80];
    struct nitro_snapshot_info seen;
    struct nitro_err err = {0};
    uint64_t bad;
    past_start(p, &p->opt);
    past_work(p, 300);
    tend(p, &all);
    struct nitro_snapshot_info *first = snapshot(p);
    snapshot_dir(p, first, older);
    uint64_t lsn = p->effect[p->count - 1].last;
    assert_int_equal(first->lsn, lsn);
    past_work(p, 300);
    tend(p, &all);
    struct nitro_restore_options o = options(p, older);
    struct nitro_restore_result r = past_restore(&o); /* beside the store that is open */
    assert_true(r.lsn == lsn && r.last_lsn == lsn);
    past_stop(p, false);
    check_new(p, lsn, &r, &o);

    int rc = nitro_verify(older, &p->mem.table, &p->rig.vfs, NULL, NULL, &seen, &bad, &err);
    if (rc != NITRO_OK) fail_msg("verify: %s", err.msg);
    assert_true(seen.lsn == lsn && (seen.hash_a != 0 || seen.keys == 0) && seen.keys >= r.keys);

    past_start(p, &p->opt);
    struct nitro_folder folder;
    assert_int_equal(nitro_folder_state(p->store, &folder, &err), NITRO_OK);
    assert_true(folder.snapshots == 1 && folder.newest.number == first->number);
    assert_true(folder.newest.lsn == lsn && folder.newest.time_ms == first->time_ms);
    snapshot_dir(p, snapshot(p), dir);
    assert_int_equal(access(older, F_OK), 0);
    past_retain(p, 0, 0);
    assert_int_equal(access(older, F_OK), -1);
    assert_int_equal(access(dir, F_OK), 0);
    past_stop(p, true);
    past_start(p, &p->opt);
    assert_int_equal(access(dir, F_OK), 0);
    past_stop(p, true);
}

/* An empty store has one, too; and two without a write in between are of the same moment. */
static void snapshot__of_nothing__is_empty(void **state) {
    struct past *p = *state;
    char dir[80];
    past_start(p, &p->opt);
    struct nitro_snapshot_info *s = snapshot(p);
    assert_int_equal(s->lsn, 0);
    snapshot_dir(p, s, dir);
    struct nitro_restore_options o = options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    assert_true(r.lsn == 0 && r.keys == 0);
    past_remove(p->new_dir);
    past_put(p, 3, 1, 0);
    assert_int_equal(snapshot(p)->lsn, 1);
    s = snapshot(p);
    assert_int_equal(s->lsn, 1);
    snapshot_dir(p, s, dir);
    past_stop(p, true);
    o = options(p, dir);
    r = past_restore(&o);
    check_new(p, 1, &r, &o);
}

/* Between roll and link a merge may be listed that rests on later effects: then the snapshot would lack what they have made
 * dead. */
static void snapshot__merged_meanwhile__has_to_roll_again(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    struct nitro_snapshot_info s;
    past_start(p, &p->opt);
    for (unsigned k = 0; k < 40; k++) past_put(p, k, 1, 0);
    uint64_t lsn = roll(p);
    past_write(p);
    for (unsigned k = 0; k < 40; k++) past_put(p, k, 1, 0);
    (void)roll(p);
    past_write(p);
    tend(p, &all);
    assert_int_equal(try_link(p, lsn, &s), NITRO_EBUSY);
    lsn = roll(p);
    past_write(p);
    assert_int_equal(try_link(p, lsn, &s), NITRO_OK);
    assert_int_equal(try_link(p, lsn + 1, &s), NITRO_EARGUMENT); /* nothing of it is durable */
    past_stop(p, true);
}

/* ---- snapshots in pieces -------------------------------------------------------------------------*/

static int count_snapshot(void *arg, const char *name) {
    uint64_t number;
    if (nk_path_parse(name, &number) == NK_PATH_IS_SNAP_DIR) ++*(unsigned *)arg;
    return 0;
}

static unsigned snapshot_folders(struct past *p) {
    unsigned count = 0;
    int dir = p->rig.sys->dir_open(NULL, p->dir, 0);
    assert_true(dir >= 0);
    assert_int_equal(p->rig.sys->dir_list(NULL, dir, count_snapshot, &count), 0);
    assert_int_equal(p->rig.sys->dir_close(NULL, dir), 0);
    return count;
}

/* many_files: a store of some small files, none of which is sealed, up to the LSN that is returned. */
static uint64_t many_files(struct past *p) {
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 12; i++) {
        past_work(p, 20);
        (void)roll(p);
    }
    past_work(p, 20);
    uint64_t lsn = roll(p);
    past_write(p);
    return lsn;
}

/* begin_link: calls for one file each, until one file has its name in the folder. */
static void begin_link(struct past *p, uint64_t lsn) {
    struct nitro_snapshot_info s;
    uint32_t more = 1;
    for (unsigned folders = snapshot_folders(p); snapshot_folders(p) == folders;)
        assert_int_equal(link_some(p, lsn, 1, &s, &more), NITRO_OK);
    assert_int_equal(link_some(p, lsn, 1, &s, &more), NITRO_OK);
    assert_int_equal(more, 1);
}

/* end_link: … until it is done. */
static void end_link(struct past *p, uint64_t lsn, struct nitro_snapshot_info *out) {
    uint32_t more = 1;
    while (more != 0) assert_int_equal(link_some(p, lsn, 1, out, &more), NITRO_OK);
}

/* A call changes a few things, however many files there are; meanwhile the store goes on, and retention leaves alone what there is. */
static void snapshot__made_in_steps__store_goes_on(void **state) {
    struct past *p = *state;
    struct nitro_snapshot_info s;
    struct nitro_err err = {0};
    char dir[80];
    uint32_t more = 1, calls = 0;
    uint64_t lsn = many_files(p), before = p->effect[p->count - 1].last;
    for (; more != 0; calls++) {
        uint64_t changes = p->rig.changes;
        assert_int_equal(link_some(p, lsn, 1, &s, &more), NITRO_OK);
        assert_true(p->rig.changes - changes <= 10);
        past_work(p, 10);
        if (calls % 5 == 0) assert_int_equal(nitro_merge_roll(p->store, NULL, &err), NITRO_OK);
        past_retain(p, 0, 0);
        assert_true(snapshot_folders(p) <= 1);
    }
    assert_true(calls > 24); /* each file is sealed, then linked */
    assert_true(s.lsn == lsn && lsn == before);
    snapshot_dir(p, &s, dir);
    past_stop(p, true);
    struct nitro_restore_options o = options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    check_new(p, lsn, &r, &o);
}

/* A host may begin another one, abort it, or be killed: of the first one nothing is left. */
static void snapshot__given_up_on_the_way__nothing_is_left(void **state) {
    struct past *p = *state;
    struct nitro_snapshot_info s;
    uint64_t lsn = many_files(p);
    begin_link(p, lsn);
    assert_int_equal(nitro_snapshot_abort(p->store), NITRO_OK);
    assert_int_equal(snapshot_folders(p), 1);
    past_retain(p, 0, 0);
    assert_int_equal(snapshot_folders(p), 0);
    assert_int_equal(nitro_snapshot_abort(p->store), NITRO_OK);

    begin_link(p, lsn); /* the same one again */
    past_put(p, 1, 1, 0);
    uint64_t later = roll(p);
    past_write(p);
    begin_link(p, later); /* the roll has ended it */
    begin_link(p, lsn);   /* and so does another LSN */
    end_link(p, later, &s);
    assert_int_equal(s.lsn, later);
    assert_int_equal(snapshot_folders(p), 4);
    past_retain(p, 0, 0);
    assert_int_equal(snapshot_folders(p), 1);

    past_put(p, 1, 1, 0);
    lsn = roll(p);
    past_write(p);
    begin_link(p, lsn);
    past_stop(p, true); /* with one on the way; past_teardown looks for leaks */
    assert_int_equal(snapshot_folders(p), 2);
    past_start(p, &p->opt);
    assert_int_equal(snapshot_folders(p), 1);
    past_stop(p, false);
}

/* A file that was to be linked has been merged, and is gone. */
static void snapshot__merged_between_its_steps__has_to_roll_again(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    struct nitro_snapshot_info s;
    uint32_t more;
    past_start(p, &p->opt);
    for (unsigned file = 0; file < 4; file++) {
        for (unsigned k = 0; k < 40; k++) past_put(p, k, 1, 0);
        past_write(p);
        (void)roll(p);
    }
    uint64_t lsn = roll(p);
    past_write(p);
    begin_link(p, lsn);
    tend(p, &all);
    assert_true(files_of(p).merges > 0);
    assert_int_equal(link_some(p, lsn, UINT32_MAX, &s, &more), NITRO_EBUSY);
    past_retain(p, 0, 0);
    assert_int_equal(snapshot_folders(p), 0);

    lsn = roll(p);
    past_write(p);
    begin_link(p, lsn);
    end_link(p, lsn, &s);
    assert_int_equal(s.lsn, lsn);
    past_stop(p, true);
}

/* Where values lie in memory, or nothing lies anywhere. */
static void snapshot__other_stores__refused(void **state) {
    struct past *p = *state;
    struct nitro_err err = {0};
    uint64_t lsn;
    p->opt.mode = NITRO_MODE_MEMORY;
    past_start(p, &p->opt);
    assert_int_equal(nitro_snapshot_roll(p->store, &lsn, &err), NITRO_EUNSUPPORTED);
    past_stop(p, true);
    struct nitro_snapshot_info seen;
    uint64_t bad;
    int rc = nitro_verify(p->dir, &p->mem.table, &p->rig.vfs, NULL, NULL, &seen, &bad, &err);
    assert_int_equal(rc, NITRO_EUNSUPPORTED);
}

/* ---- what is kept ------------------------------------------------------------------------------*/

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
    (void)roll(p);
    past_write(p);
    no_room = true;
    for (unsigned failed = 0; failed < 5; p->now_ms += 5000) {
        int rc = nitro_merge_step(p->store, p->now_ms, &tidy, &r, &err);
        if (rc == NITRO_OK && r.need == NITRO_MERGE_SYNC) past_write(p);
        if (rc == NITRO_OK) assert_int_not_equal(r.need, NITRO_MERGE_IDLE);
        if (rc != NITRO_OK) assert_int_equal(rc, NITRO_ELOGFULL);
        failed += rc != NITRO_OK;
    }
    assert_int_equal(old_names(p), 1);
    no_room = false;
    tend(p, &tidy);
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
        (void)roll(p);
        past_write(p);
        unsigned before = old_names(p);
        /* a log without records leaves MANIFEST, too, and is not kept: let through */
        for (int rc = NITRO_OK; rc != NITRO_ELOGFULL || old_names(p) == before;) {
            no_room = rc != NITRO_ELOGFULL;
            rc = nitro_merge_step(p->store, p->now_ms, &tidy, &r, &err);
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
        tend(p, &tidy);
        (void)old_files(p);
        past_stop(p, life % 2 == 0);
    }
    struct nitro_restore_options o = options(p, p->dir);
    for (unsigned i = 0; i < p->count; i += 50) check_point(p, &o, p->effect[i].last);
}

/* keep_some: merges leave some files in `retained`. */
static struct old_list keep_some(struct past *p) {
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 12; i++) {
        past_work(p, 60);
        (void)roll(p);
        past_write(p);
        tend(p, &tidy);
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
    (void)roll(p);
    past_write(p);
    tend(p, &tidy);
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
    (void)roll(p);
    past_write(p);
    tend(p, &tidy);
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
    past_work(p, 300);
    (void)roll(p);
    past_write(p);
    tend(p, &tidy);
    assert_true(old_names(p) > 0);
    past_remove(path);
    past_retain(p, 1000000000, 0);
    past_work(p, 300);
    (void)roll(p);
    past_write(p);
    tend(p, &tidy);
    assert_true(old_names(p) > 0);
    past_remove(path);
    past_work(p, 300);
    (void)roll(p);
    past_write(p);
    tend(p, &tidy);
    assert_true(old_names(p) > 0);
    past_stop(p, true);
    struct nitro_restore_options o = options(p, p->dir);
    (void)check_point(p, &o, UINT64_MAX);
}

static unsigned data_folder_listed;

static int count_manifest(void *arg, const char *name) {
    struct {
        nitro_dir_fn *fn;
        void *arg;
    } *to = arg;
    data_folder_listed += strcmp(name, NK_PATH_MANIFEST) == 0;
    return to->fn(to->arg, name);
}

/* Counts the looks at the data folder: no other one has a MANIFEST, while a snapshot is removed. */
static int list_and_count(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    struct {
        nitro_dir_fn *fn;
        void *arg;
    } to = {fn, arg};
    return rig_dir_list(ctx, dir, count_manifest, &to);
}

/* A snapshot is removed a few names at a time, and the data folder is not looked through each time. */
static void snapshot__removed_in_steps__folder_listed_once(void **state) {
    struct past *p = *state;
    struct nitro_err err = {0};
    uint32_t more = 1, steps = 0;
    p->opt.log_file_bytes = 1u << 16;
    p->rig.vfs.dir_list = list_and_count;
    past_start(p, &p->opt);
    for (unsigned i = 0; i < 10; i++) {
        past_work(p, 50);
        (void)roll(p);
    }
    struct nitro_snapshot_info *old = snapshot(p);
    (void)snapshot(p);
    data_folder_listed = 0;
    for (; more != 0; steps++)
        assert_int_equal(nitro_retain_some(p->store, p->now_ms, 0, 0, 1, &more, &err), NITRO_OK);
    assert_true(steps > 10);
    assert_true(data_folder_listed <= 2);
    char dir[80];
    snapshot_dir(p, old, dir);
    assert_int_equal(access(dir, F_OK), -1);
    past_stop(p, true);
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* Every change fails once: there is no snapshot then, or there is a whole one, and the store goes on. */
static void snapshot__each_change_fails__store_goes_on(void **state) {
    struct past *p = *state;
    past_start(p, &p->opt);
    past_work(p, 200);
    tend(p, &tidy);
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        struct nitro_snapshot_info s;
        uint64_t lsn = roll(p);
        past_write(p);
        p->rig.once = true;
        p->rig.fail_change = p->rig.changes + nth;
        int rc = try_link(p, lsn, &s);
        more = p->rig.changes >= p->rig.fail_change;
        p->rig.fail_change = 0;
        past_retain(p, 0, 0);
        if (rc != NITRO_OK) assert_int_equal(rc, NITRO_EIO);
        if (!more) assert_int_equal(rc, NITRO_OK);
    }
    char dir[80];
    struct nitro_snapshot_info *s = snapshot(p);
    past_retain(p, 0, 0);
    snapshot_dir(p, s, dir);
    past_stop(p, true);
    struct nitro_restore_options o = options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    check_new(p, s->lsn, &r, &o);
}

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

    struct nitro_restore_options o = options(p, p->dir);
    struct nitro_restore_result got;
    o.file_bytes = (UINT64_C(4) << 30);
    assert_int_equal(nitro_restore(&o, &got, &err), NITRO_EARGUMENT);
}

/* prepared: a store with merged files, retained ones and a snapshot, stopped; options to restore a point in its middle. */
static struct nitro_restore_options prepared(struct past *p, uint64_t *lsn) {
    live(p, 300, &tidy, 1000000000);
    struct nitro_restore_options o = options(p, p->dir);
    *lsn = o.to_lsn = p->effect[p->count / 2].last;
    o.file_bytes = 20000;
    return o;
}

/* Each call on files, or each allocation, fails once: nothing is made then, and in the end all of it. */
static void restore__each_call_fails__no_store_or_all(void **state) {
    struct past *p = *state;
    uint64_t lsn;
    struct nitro_restore_options o = prepared(p, &lsn);
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
                check_new(p, lsn, &r, &o);
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
    (void)roll(p);
    past_write(p);
    uint64_t kept = p->effect[p->count - 1].lsn;
    for (unsigned k = 0; k < 6; k++) past_put(p, k, 1, 0);
    past_write(p);
    tend(p, &all);
    assert_int_equal(files_of(p).merges, 1);
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
        tend(p, &all);
        past_stop(p, life == 0);
    }
}

/* Any byte of any file that holds records may be wrong: what a restore makes is right, or it refuses; and what a verify finds it
 * names. A snapshot, or what is retained, keeps no store from starting. */
static void damage__any_byte__never_wrong_data(void **state) {
    struct past *p = *state;
    uint64_t lsn, newest;
    char path[PATH_MAX], from[80];
    struct nitro_restore_options o = prepared(p, &lsn);
    newest = p->effect[p->count - 1].last;
    past_start(p, &p->opt);
    snapshot_dir(p, snapshot(p), from);
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
            if (rc == NITRO_OK && r.lsn == want) check_new(p, want, &r, &o);
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
        cmocka_unit_test_setup_teardown(past__all_is_kept__every_point, setup, past_teardown),
        cmocka_unit_test_setup_teardown(past__some_is_kept__window_holds, setup, past_teardown),
        cmocka_unit_test_setup_teardown(past__never_merged__all_is_there, setup, past_teardown),
        cmocka_unit_test_setup_teardown(past__nothing_is_kept__window_is_short, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(past__to_a_time__longest_prefix, setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__store_goes_on__holds_its_moment, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__of_nothing__is_empty, setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__merged_meanwhile__has_to_roll_again, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__made_in_steps__store_goes_on, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__given_up_on_the_way__nothing_is_left, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__merged_between_its_steps__has_to_roll_again,
                                        setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__other_stores__refused, setup, past_teardown),
        cmocka_unit_test_setup_teardown(retained__folder_removed__made_again, setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__removed_in_steps__folder_listed_once, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__removal_tried_again__one_name, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__crash_before_removal__one_name, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__dropped_in_steps__folder_read_once, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__clock_put_back__oldest_goes_first, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__files_removed_by_hand__read_again, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(retained__removal_fails__tried_later, setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__each_change_fails__store_goes_on, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(restore__too_many_files__refused, setup, past_teardown),
        cmocka_unit_test_setup_teardown(restore__each_call_fails__no_store_or_all, setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(damage__any_byte__never_wrong_data, setup, past_teardown),
        cmocka_unit_test_setup_teardown(damage__behind_the_records_that_a_merge_rests_on__refused,
                                        setup, past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
