/* SPDX-License-Identifier: MIT
 *
 * test_past_snap.c - snapshots of a store whose log is its data: folders of links, in steps, beside merges. Restoring from them, and what
 * retention keeps: test_past.c, test_past_retained.c.
 */
#include "past_data.h"

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
    past_tend(p, &all);
    struct nitro_snapshot_info *first = past_linked(p);
    past_linked_dir(p, first, older);
    uint64_t lsn = p->effect[p->count - 1].last;
    assert_int_equal(first->lsn, lsn);
    past_work(p, 300);
    past_tend(p, &all);
    struct nitro_restore_options o = past_options(p, older);
    struct nitro_restore_result r = past_restore(&o); /* beside the store that is open */
    assert_true(r.lsn == lsn && r.last_lsn == lsn);
    past_stop(p, false);
    past_check_new(p, lsn, &r, &o);

    int rc = nitro_verify(older, &p->mem.table, &p->rig.vfs, NULL, NULL, &seen, &bad, &err);
    if (rc != NITRO_OK) fail_msg("verify: %s", err.msg);
    assert_true(seen.lsn == lsn && (seen.hash_a != 0 || seen.keys == 0) && seen.keys >= r.keys);

    past_start(p, &p->opt);
    struct nitro_folder folder;
    assert_int_equal(nitro_folder_state(p->store, &folder, &err), NITRO_OK);
    assert_true(folder.snapshots == 1 && folder.newest.number == first->number);
    assert_true(folder.newest.lsn == lsn && folder.newest.time_ms == first->time_ms);
    past_linked_dir(p, past_linked(p), dir);
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
    struct nitro_snapshot_info *s = past_linked(p);
    assert_int_equal(s->lsn, 0);
    past_linked_dir(p, s, dir);
    struct nitro_restore_options o = past_options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    assert_true(r.lsn == 0 && r.keys == 0);
    past_remove(p->new_dir);
    past_put(p, 3, 1, 0);
    assert_int_equal(past_linked(p)->lsn, 1);
    s = past_linked(p);
    assert_int_equal(s->lsn, 1);
    past_linked_dir(p, s, dir);
    past_stop(p, true);
    o = past_options(p, dir);
    r = past_restore(&o);
    past_check_new(p, 1, &r, &o);
}

/* Between roll and link a merge may be listed that rests on later effects: then the snapshot would lack what they have made
 * dead. */
static void snapshot__merged_meanwhile__has_to_roll_again(void **state) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1};
    struct past *p = *state;
    struct nitro_snapshot_info s;
    past_start(p, &p->opt);
    for (unsigned k = 0; k < 40; k++) past_put(p, k, 1, 0);
    uint64_t lsn = past_roll(p);
    past_write(p);
    for (unsigned k = 0; k < 40; k++) past_put(p, k, 1, 0);
    (void)past_roll(p);
    past_write(p);
    past_tend(p, &all);
    assert_int_equal(past_link(p, lsn, &s), NITRO_EBUSY);
    lsn = past_roll(p);
    past_write(p);
    assert_int_equal(past_link(p, lsn, &s), NITRO_OK);
    assert_int_equal(past_link(p, lsn + 1, &s), NITRO_EARGUMENT); /* nothing of it is durable */
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
        (void)past_roll(p);
    }
    past_work(p, 20);
    uint64_t lsn = past_roll(p);
    past_write(p);
    return lsn;
}

/* begin_link: calls for one file each, until one file has its name in the folder. */
static void begin_link(struct past *p, uint64_t lsn) {
    struct nitro_snapshot_info s;
    uint32_t more = 1;
    for (unsigned folders = snapshot_folders(p); snapshot_folders(p) == folders;)
        assert_int_equal(past_link_some(p, lsn, 1, &s, &more), NITRO_OK);
    assert_int_equal(past_link_some(p, lsn, 1, &s, &more), NITRO_OK);
    assert_int_equal(more, 1);
}

/* end_link: … until it is done. */
static void end_link(struct past *p, uint64_t lsn, struct nitro_snapshot_info *out) {
    uint32_t more = 1;
    while (more != 0) assert_int_equal(past_link_some(p, lsn, 1, out, &more), NITRO_OK);
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
        assert_int_equal(past_link_some(p, lsn, 1, &s, &more), NITRO_OK);
        assert_true(p->rig.changes - changes <= 10);
        past_work(p, 10);
        if (calls % 5 == 0) assert_int_equal(nitro_merge_roll(p->store, NULL, &err), NITRO_OK);
        past_retain(p, 0, 0);
        assert_true(snapshot_folders(p) <= 1);
    }
    assert_true(calls > 24); /* each file is sealed, then linked */
    assert_true(s.lsn == lsn && lsn == before);
    past_linked_dir(p, &s, dir);
    past_stop(p, true);
    struct nitro_restore_options o = past_options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    past_check_new(p, lsn, &r, &o);
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
    uint64_t later = past_roll(p);
    past_write(p);
    begin_link(p, later); /* the roll has ended it */
    begin_link(p, lsn);   /* and so does another LSN */
    end_link(p, later, &s);
    assert_int_equal(s.lsn, later);
    assert_int_equal(snapshot_folders(p), 4);
    past_retain(p, 0, 0);
    assert_int_equal(snapshot_folders(p), 1);

    past_put(p, 1, 1, 0);
    lsn = past_roll(p);
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
        (void)past_roll(p);
    }
    uint64_t lsn = past_roll(p);
    past_write(p);
    begin_link(p, lsn);
    past_tend(p, &all);
    assert_true(past_files(p).merges > 0);
    assert_int_equal(past_link_some(p, lsn, UINT32_MAX, &s, &more), NITRO_EBUSY);
    past_retain(p, 0, 0);
    assert_int_equal(snapshot_folders(p), 0);

    lsn = past_roll(p);
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
        (void)past_roll(p);
    }
    struct nitro_snapshot_info *old = past_linked(p);
    (void)past_linked(p);
    data_folder_listed = 0;
    for (; more != 0; steps++)
        assert_int_equal(nitro_retain_some(p->store, p->now_ms, 0, 0, 1, &more, &err), NITRO_OK);
    assert_true(steps > 10);
    assert_true(data_folder_listed <= 2);
    char dir[80];
    past_linked_dir(p, old, dir);
    assert_int_equal(access(dir, F_OK), -1);
    past_stop(p, true);
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* Every change fails once: there is no snapshot then, or there is a whole one, and the store goes on. */
static void snapshot__each_change_fails__store_goes_on(void **state) {
    struct past *p = *state;
    past_start(p, &p->opt);
    past_work(p, 200);
    past_tend(p, &past_tidy);
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        struct nitro_snapshot_info s;
        uint64_t lsn = past_roll(p);
        past_write(p);
        p->rig.once = true;
        p->rig.fail_change = p->rig.changes + nth;
        int rc = past_link(p, lsn, &s);
        more = p->rig.changes >= p->rig.fail_change;
        p->rig.fail_change = 0;
        past_retain(p, 0, 0);
        if (rc != NITRO_OK) assert_int_equal(rc, NITRO_EIO);
        if (!more) assert_int_equal(rc, NITRO_OK);
    }
    char dir[80];
    struct nitro_snapshot_info *s = past_linked(p);
    past_retain(p, 0, 0);
    past_linked_dir(p, s, dir);
    past_stop(p, true);
    struct nitro_restore_options o = past_options(p, dir);
    struct nitro_restore_result r = past_restore(&o);
    past_check_new(p, s->lsn, &r, &o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(snapshot__store_goes_on__holds_its_moment, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__of_nothing__is_empty, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__merged_meanwhile__has_to_roll_again,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__made_in_steps__store_goes_on, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__given_up_on_the_way__nothing_is_left,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__merged_between_its_steps__has_to_roll_again,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__other_stores__refused, past_data_setup,
                                        past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__removed_in_steps__folder_listed_once,
                                        past_data_setup, past_teardown),
        cmocka_unit_test_setup_teardown(snapshot__each_change_fails__store_goes_on, past_data_setup,
                                        past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
