/* SPDX-License-Identifier: MIT
 *
 * test_recover_snap.c - folders with snapshots: starting from one, dropping logs and older ones, a life without
 * a log, a look at the past.
 *
 * The folder lies on the real file system; syncs are counted and do nothing, so a closed store is a killed one.
 * Power cuts are the simulation's business (tests/sim).
 */
#include "check_world.h"
#include "recover.h"

#define HOUR INT64_C(3600000)

/* ---- snapshots of a world ----------------------------------------------------------------------*/

/* Takes one; what has failed is aborted. */
static int take(struct world *w, int64_t now_ms, struct nitro_snapshot_info *out) {
    struct nitro_err err = {0};
    uint64_t lsn;
    int rc = nitro_snapshot_prepare(w->store, NITRO_COMPRESSION_LZ4, &err);
    if (rc != NITRO_OK) return rc;
    nitro_snapshot_begin(w->store, now_ms, &lsn);
    int more;
    while (rc == NITRO_OK && (more = nitro_snapshot_gather(w->store)) != 0) {
        if ((more & NITRO_GATHERED_SOME) != 0) rc = nitro_snapshot_write(w->store, &err);
    }
    if (rc == NITRO_OK) rc = nitro_snapshot_finish(w->store, now_ms, out, &err);
    if (rc != NITRO_OK) assert_int_equal(nitro_snapshot_abort(w->store), NITRO_OK);
    return rc;
}

static struct nitro_snapshot_info save(struct world *w, int64_t now_ms) {
    struct nitro_snapshot_info info;
    assert_int_equal(take(w, now_ms, &info), NITRO_OK);
    return info;
}

static void drop_old(struct world *w, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes) {
    struct nitro_err err = {0};
    if (nitro_retain(w->store, now_ms, keep_ms, keep_bytes, &err) != NITRO_OK)
        fail_msg("retain: %s", err.msg);
}

static struct nitro_folder state_of(struct world *w) {
    struct nitro_folder f;
    struct nitro_err err = {0};
    if (nitro_folder_state(w->store, &f, &err) != NITRO_OK) fail_msg("state: %s", err.msg);
    return f;
}

/* old_folder: several logs, a snapshot, some more, and another life; the logs up to the snapshot are gone. */
static struct nitro_snapshot_info old_folder(struct world *w) {
    start(w);
    work(w, 200);
    struct nitro_snapshot_info info = save(w, TEST_NOW);
    drop_old(w, TEST_NOW, 0, 0);
    work(w, 100);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    return info;
}

static bool folder_has(struct world *w, const char *name) {
    struct image m;
    image_load(&m, w->dir);
    bool has = image_find(&m, name) != NULL;
    image_free(&m);
    return has;
}

static struct file *file_of(struct world *w, uint64_t number) {
    char name[NK_PATH_MAX];
    nk_path_snap(number, name);
    struct file *f = image_find(&w->image, name);
    assert_non_null(f);
    return f;
}

/* ---- starting ----------------------------------------------------------------------------------*/

/* A start reads the snapshot in parts and then what the log says since; the host is told what of both. */
static void start__snapshot_and_log__all_is_there(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    struct nitro_recovery found;
    start(w);
    work(w, 150);
    struct nitro_snapshot_info info = save(w, TEST_NOW + 5);
    assert_int_equal(info.lsn, last_lsn(w));
    work(w, 150);
    nitro_close(&w->store);
    assert_int_equal(nitro_open(&w->opt, &w->store, &err), NITRO_OK);
    assert_int_equal(nitro_recover_scan(w->store, TEST_NOW, &found, &err), NITRO_OK);
    assert_int_equal(found.snapshot_lsn, info.lsn);
    assert_int_equal(found.snapshot_number, info.number);
    assert_int_equal(found.snapshot_keys, info.keys);
    assert_int_equal(found.snapshot_bytes, info.bytes);
    assert_int_equal(found.last_lsn, last_lsn(w));
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(nitro_recover_load(w->store, i, 3, &err), NITRO_OK);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(nitro_recover_replay(w->store, i, 2, &err), NITRO_OK);
    uint64_t done, total;
    nitro_recover_progress(w->store, &done, &total);
    assert_int_equal(total, found.bytes + found.snapshot_bytes);
    assert_true(done > total / 2 && done <= total);
    int64_t newest;
    assert_int_equal(nitro_recover_finish(w->store, TEST_NOW, &newest, &err), NITRO_OK);
    assert_true(newest >= TEST_NOW + 5);
    check_contents(w, last_lsn(w));
}

/* Who replays before everything is loaded has made a mistake, and is told. */
static void replay__before_load__refused(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    struct nitro_recovery found;
    int64_t newest;
    (void)old_folder(w);
    assert_int_equal(nitro_open(&w->opt, &w->store, &err), NITRO_OK);
    assert_int_equal(nitro_recover_scan(w->store, TEST_NOW, &found, &err), NITRO_OK);
    assert_int_equal(nitro_recover_load(w->store, 0, 2, &err), NITRO_OK);
    assert_int_equal(nitro_recover_replay(w->store, 0, 1, &err), NITRO_EARGUMENT);
    assert_int_equal(nitro_recover_finish(w->store, TEST_NOW, &newest, &err), NITRO_EARGUMENT);
}

/* Life after life, each with a snapshot somewhere in it. */
static void start__many_lives__all_is_there(void **state) {
    struct world *w = *state;
    for (unsigned life = 0; life < 8; life++) {
        start(w);
        if (w->ops > 0) check_contents(w, last_lsn(w));
        work(w, 10 + life * 7);
        (void)save(w, TEST_NOW);
        if (life % 2 == 1) drop_old(w, TEST_NOW, 0, 0);
        if (life % 3 != 0) work(w, 12);
        struct nitro_err err;
        if (life % 4 == 3) assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
        nitro_close(&w->store);
    }
    start(w);
    check_contents(w, last_lsn(w));
}

/* Records up to S are not needed: whoever damages them has damaged nothing. */
static void start__damage_below_the_snapshot__is_not_seen(void **state) {
    struct world *w = *state;
    start(w);
    work(w, 30);
    (void)save(w, TEST_NOW);
    work(w, 30);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    struct file *f = image_find(&w->image, "0000000001.log");
    assert_non_null(f);
    for (size_t at = NK_SECTOR; at < NK_SECTOR + 3000; at += 170) f->p[at] ^= 0x40;
    image_store(&w->image, w->dir);
    start(w);
    check_contents(w, last_lsn(w));
}

/* What belongs to nothing goes, and its number is not used again. */
static void start__unlisted_snapshots__are_removed(void **state) {
    struct world *w = *state;
    (void)old_folder(w);
    char path[PATH_MAX];
    static const char *names[] = {"0000000777.snap", "0000000778.snap.tmp"};
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", w->dir, names[i]);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
    }
    start(w);
    assert_false(folder_has(w, names[0]) || folder_has(w, names[1]));
    assert_true(save(w, TEST_NOW).number > 778);
    check_contents(w, last_lsn(w));
}

/* A snapshot in a folder that is no store may be all that is left of one. */
static void start__snapshot_without_manifest__refused(void **state) {
    struct world *w = *state;
    struct nitro_snapshot_info info = old_folder(w);
    struct image only = {.count = 1};
    only.file[0] = *file_of(w, info.number);
    image_store(&only, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
    assert_true(strstr(w->refused, ".snap") != NULL);
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* The snapshot that a start needs: any byte of it, or all of them. */
static void newest__damaged_or_missing__refused(void **state) {
    struct world *w = *state;
    struct nitro_snapshot_info info = old_folder(w);
    struct file *f = file_of(w, info.number);
    for (size_t at = 0; at < f->n; at += at < 600 || at + 600 > f->n ? 1 : 41) {
        f->p[at] ^= 1;
        image_store(&w->image, w->dir);
        if (load(w) != NITRO_ECORRUPT) fail_msg("byte %zu changed: it starts", at);
        assert_true(strstr(w->refused, f->name) != NULL && strstr(w->refused, "offset") != NULL);
        assert_true(strstr(w->refused, "nitrokv restore --from") != NULL);
        f->p[at] ^= 1;
    }
    image_drop(&w->image, f->name);
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
}

/* An older one is a way back into the past, and nothing more. */
static void older__damaged_or_missing__starts(void **state) {
    struct world *w = *state;
    start(w);
    work(w, 100);
    struct nitro_snapshot_info old = save(w, TEST_NOW);
    work(w, 100);
    (void)save(w, TEST_NOW);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    for (unsigned missing = 0; missing < 2; missing++) {
        struct file *f = file_of(w, old.number);
        if (missing)
            image_drop(&w->image, f->name);
        else
            f->p[f->n - 20] ^= 1;
        image_store(&w->image, w->dir);
        start(w);
        check_contents(w, last_lsn(w));
        assert_int_equal(state_of(w).snapshots, 1);
        nitro_close(&w->store);
    }
}

/* MANIFEST without its snapshots, as a careless hand would leave it. */
static void manifest_without_snapshots(struct file *f) {
    struct nk_manifest_head h;
    struct nk_manifest_edit e;
    size_t to = NK_MANIFEST_HEADER;
    assert_int_equal(nk_manifest_head_decode(f->p, &h), NITRO_OK);
    for (size_t at = to; at + NK_MANIFEST_EDIT <= f->n; at += NK_MANIFEST_EDIT) {
        if (!nk_manifest_edit_decode(f->p + at, at, h.salt, &e)) break;
        if (e.kind == NK_FILE_SNAP) continue;
        e.sequence = to / NK_MANIFEST_EDIT;
        nk_manifest_edit_encode(&e, to, h.salt, f->p + to);
        to += NK_MANIFEST_EDIT;
    }
    f->n = to;
}

/* A log whose beginning is gone says nothing without a snapshot that holds it. */
static void chain__without_its_snapshot__refused(void **state) {
    struct world *w = *state;
    (void)old_folder(w);
    manifest_without_snapshots(image_find(&w->image, NK_PATH_MANIFEST));
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
}

/* ---- faults ------------------------------------------------------------------------------------*/

/* Every call that changes something fails, once or from then on, while a snapshot is made and old files go:
 * nothing is lost, and if the log has not failed, writes go on. */
static void take_and_retain__every_change_fails__nothing_is_lost(void **state) {
    struct world *w = *state;
    (void)old_folder(w);
    unsigned ops = w->ops;
    uint64_t failed = 0;
    for (unsigned once = 0; once < 2; once++) {
        for (uint64_t n = 1;; n++) {
            struct nitro_snapshot_info info;
            struct nitro_err err;
            image_store(&w->image, w->dir);
            w->ops = ops;
            start(w);
            work(w, 150);
            w->rig.once = once != 0;
            w->rig.changes = 0;
            w->rig.fail_change = n;
            int rc = take(w, TEST_NOW, &info);
            if (rc == NITRO_OK) rc = nitro_retain(w->store, TEST_NOW, 0, 0, &err);
            bool reached = w->rig.changes >= n;
            w->rig.fail_change = 0;
            if (nitro_log_view_of(w->store)->status == NITRO_LOG_OK) {
                put(w, 3, 1);
                write_and_sync(w);
            }
            nitro_close(&w->store);
            start(w);
            check_contents(w, last_lsn(w));
            nitro_close(&w->store);
            if (!reached) {
                assert_int_equal(rc, NITRO_OK);
                break;
            }
            failed++;
        }
    }
    assert_true(failed > 20);
}

/* judge_load: a load that met a fault was refused with this code, or all is there. */
static void judge_load(struct world *w, int rc, int code) {
    struct nitro_err err = {0};
    int64_t newest;
    if (rc == NITRO_OK) {
        assert_int_equal(nitro_recover_finish(w->store, TEST_NOW, &newest, &err), NITRO_OK);
        check_contents(w, last_lsn(w));
    } else if (rc != code) {
        fail_msg("code %d: %s", rc, w->refused);
    }
    nitro_close(&w->store);
    image_store(&w->image, w->dir);
}

/* Every read of a start fails once: it is refused, or all is there. */
static void start__every_read_fails__refused_or_right(void **state) {
    struct world *w = *state;
    (void)old_folder(w);
    uint64_t refused = 0;
    for (uint64_t n = 1;; n++) {
        w->rig.once = true;
        w->rig.reads = 0;
        w->rig.fail_read = n;
        int rc = load(w);
        bool reached = w->rig.reads >= n;
        w->rig.fail_read = 0;
        refused += rc != NITRO_OK;
        judge_load(w, rc, NITRO_EIO);
        if (!reached) break;
    }
    assert_true(refused > 10);
}

/* Every allocation of a start fails once: out of memory, and nothing is kept. */
static void start__every_allocation_fails__out_of_memory(void **state) {
    struct world *w = *state;
    (void)old_folder(w);
    for (uint64_t n = 1;; n++) {
        test_mem_fail(&w->mem, n, n);
        int rc = load(w);
        bool failed = w->mem.failed > 0;
        test_mem_fail(&w->mem, 0, 0);
        judge_load(w, rc, NITRO_ENOMEM);
        test_mem_check_empty(&w->mem);
        if (!failed) break;
    }
}

/* ---- what stays --------------------------------------------------------------------------------*/

/* Nothing is promised: the newest snapshot stays, and the log from it on. */
static void retain__nothing_promised__log_up_to_the_snapshot_goes(void **state) {
    struct world *w = *state;
    start(w);
    work(w, 150);
    (void)save(w, TEST_NOW);
    work(w, 150);
    assert_true(state_of(w).log_files > 4);
    assert_int_equal(state_of(w).oldest_lsn, 0);
    struct nitro_snapshot_info info = save(w, TEST_NOW);
    work(w, 3); /* the file that is being written to shows where the log goes on */
    drop_old(w, TEST_NOW, 0, 0);
    struct nitro_folder f = state_of(w);
    assert_int_equal(f.snapshots, 1);
    assert_int_equal(f.newest.number, info.number);
    assert_int_equal(f.newest.keys, info.keys);
    assert_int_equal(f.snapshot_bytes, info.bytes);
    assert_int_equal(f.oldest_lsn, info.lsn);
    assert_int_equal(f.oldest_ms, TEST_NOW);
    assert_true(f.log_files <= 2);
    assert_true(f.log_since > 0 && f.log_since < 20000);
    nitro_close(&w->store);
    start(w);
    check_contents(w, last_lsn(w));
}

/* Without a snapshot nothing goes. */
static void retain__no_snapshot__nothing_goes(void **state) {
    struct world *w = *state;
    start(w);
    work(w, 200);
    uint64_t files = state_of(w).log_files;
    drop_old(w, TEST_NOW, 0, 0);
    assert_int_equal(state_of(w).log_files, files);
}

/* The log is promised to its beginning: of many snapshots six stay, and the newest. */
static void retain__everything_promised__six_in_the_middle_stay(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned i = 0; i < 12; i++) {
        work(w, 20);
        (void)save(w, TEST_NOW + i);
    }
    uint64_t files = state_of(w).log_files;
    drop_old(w, TEST_NOW + 12, 0, 1ull << 40);
    struct nitro_folder f = state_of(w);
    assert_int_equal(f.snapshots, 7);
    assert_int_equal(f.newest.lsn, last_lsn(w));
    assert_int_equal(f.oldest_lsn, 0);
    assert_int_equal(f.log_files, files);
}

/* So many bytes are promised: a base that is at least so far back, and not very much farther. */
static void retain__bytes_promised__so_much_log_stays(void **state) {
    struct world *w = *state;
    uint64_t lsn[10];
    w->opt.log_file_bytes = 131072;
    start(w);
    for (unsigned i = 0; i < 10; i++) {
        work(w, 130); /* about 180 KB */
        lsn[i] = save(w, TEST_NOW + i).lsn;
    }
    drop_old(w, TEST_NOW + 12, 0, 300000);
    struct nitro_folder f = state_of(w);
    assert_in_range(f.oldest_lsn, lsn[3], lsn[7]);
    nitro_close(&w->store);
    start(w);
    check_contents(w, last_lsn(w));
}

/* So much time is promised: the base is the newest snapshot that is as old. */
static void retain__time_promised__base_is_as_old(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned i = 0; i < 6; i++) {
        work(w, 50);
        (void)save(w, TEST_NOW + i * HOUR);
    }
    drop_old(w, TEST_NOW + 5 * HOUR, 10 * HOUR, 0); /* the store is not as old */
    assert_int_equal(state_of(w).oldest_lsn, 0);
    drop_old(w, TEST_NOW + 5 * HOUR, 3 * HOUR, 0);
    struct nitro_folder f = state_of(w);
    assert_int_equal(f.oldest_ms, TEST_NOW + 2 * HOUR);
    assert_int_equal(f.snapshots, 4);
    drop_old(w, TEST_NOW + 5 * HOUR, 3 * HOUR - 1, 1);
    assert_int_equal(state_of(w).oldest_ms, TEST_NOW + 2 * HOUR);
    drop_old(w, TEST_NOW + 5 * HOUR, 0, 0);
    assert_int_equal(state_of(w).oldest_ms, TEST_NOW + 5 * HOUR);
}

/* Snapshots come and go: MANIFEST does not grow with them. */
static void retain__hundreds_of_snapshots__manifest_stays_short(void **state) {
    struct world *w = *state;
    size_t longest = 0;
    start(w);
    for (unsigned i = 0; i < 700; i++) {
        put(w, i % KEYS, 1);
        write_and_sync(w);
        (void)save(w, TEST_NOW);
        drop_old(w, TEST_NOW, 0, 0);
        if (i % 50 != 0) continue;
        image_load(&w->image, w->dir);
        size_t n = image_find(&w->image, NK_PATH_MANIFEST)->n;
        longest = n > longest ? n : longest;
        image_free(&w->image);
    }
    assert_true(longest > 20000 && longest < 80000);
    nitro_close(&w->store);
    start(w);
    check_contents(w, last_lsn(w));
}

/* ---- without a log -----------------------------------------------------------------------------*/

static uint64_t set(struct world *w, const char *key, const char *value) {
    struct nitro_info info;
    int rc = nitro_set(w->store, TEST_NOW, key, strlen(key), value, strlen(value), 0, 0, 0, &info);
    assert_int_equal(rc, NITRO_OK);
    return info.version;
}

/* get_is: the key has this value, or none. */
static uint64_t get_is(struct world *w, const char *key, const char *value) {
    char got[64];
    struct nitro_info info;
    int rc = nitro_get(w->store, TEST_NOW, key, strlen(key), got, sizeof got, &info);
    assert_int_equal(rc, value != NULL ? NITRO_OK : NITRO_ENOTFOUND);
    if (value == NULL) return 0;
    assert_int_equal(info.bytes, strlen(value));
    assert_memory_equal(got, value, info.bytes);
    return info.version;
}

/* A log's contents survive lives without one; of those a crash takes what is newer than the newest snapshot. No
 * version is given twice. */
static void wal_off__lives_with_and_without__nothing_found_is_lost(void **state) {
    struct world *w = *state;
    start(w);
    uint64_t version = set(w, "logged", "1"), next;
    write_and_sync(w);
    nitro_close(&w->store);
    w->opt.wal_off = 1;
    start(w);
    assert_int_equal(nitro_log_view_of(w->store)->durable, UINT64_MAX);
    assert_int_equal(get_is(w, "logged", "1"), version);
    assert_true((next = set(w, "lost", "2")) > version);
    nitro_close(&w->store);
    start(w);
    get_is(w, "logged", "1");
    get_is(w, "lost", NULL);
    assert_true((version = set(w, "kept", "3")) > next);
    struct nitro_snapshot_info info = save(w, TEST_NOW);
    assert_true(info.lsn >= version && info.keys == 2);
    drop_old(w, TEST_NOW, 0, 0);
    assert_int_equal(state_of(w).log_files, 1);
    next = set(w, "lost", "4");
    nitro_close(&w->store);
    start(w);
    get_is(w, "lost", NULL);
    assert_int_equal(get_is(w, "kept", "3"), version);
    (void)save(
        w,
        TEST_NOW); /* of a store that nobody has changed: it holds what came before all the same */
    nitro_close(&w->store);
    w->opt.wal_off = 0;
    start(w);
    get_is(w, "logged", "1");
    get_is(w, "lost", NULL);
    assert_int_equal(get_is(w, "kept", "3"), version);
    assert_true(set(w, "logged", "5") > next);
    write_and_sync(w);
    nitro_close(&w->store);
    start(w);
    get_is(w, "logged", "5");
}

/* Many versions are given out that nothing on the disk knows of, and lost. The next start gives out others. */
static void wal_off__versions_lost_in_a_crash__not_given_again(void **state) {
    struct world *w = *state;
    uint64_t seen = 0;
    w->opt.segments = 4096; /* a write takes as many versions as there are segments */
    w->opt.wal_off = 1;
    for (unsigned life = 0; life < 4; life++) {
        start(w);
        assert_true(set(w, "key", "first") > seen);
        for (unsigned i = 0; i < 6000; i++) seen = set(w, "key", "again");
        if (life == 2) (void)save(w, TEST_NOW);
        for (unsigned i = 0; i < 6000; i++) seen = set(w, "key", "and again");
        nitro_close(&w->store);
    }
    w->opt.wal_off = 0;
    start(w);
    assert_true(set(w, "key", "logged") > seen);
}

/* Without a log an entry of MANIFEST is all that leads to the snapshot. If it is lost, that is no torn end. */
static void wal_off__last_entry_of_manifest_lost__refused(void **state) {
    struct world *w = *state;
    w->opt.wal_off = 1;
    start(w);
    (void)set(w, "key", "1");
    (void)save(w, TEST_NOW);
    (void)set(w, "key", "2");
    (void)save(w, TEST_NOW);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
    f->p[f->n - NK_MANIFEST_EDIT + 9] ^= 1;
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
}

/* ---- a look at the past ------------------------------------------------------------------------*/

static struct nk_log_options look(struct world *w, uint64_t to_lsn, int64_t to_ms) {
    return (struct nk_log_options){.mem = &w->mem.table,
                                   .vfs = &w->rig.vfs,
                                   .dir = w->dir,
                                   .file_bytes = NK_LOG_FILE_MIN,
                                   .seed = w->opt.log_seed,
                                   .read_only = true,
                                   .to_lsn = to_lsn,
                                   .to_ms = to_ms};
}

/* The code of a scan; the log is closed by the caller. */
static int scan(struct world *w, uint64_t to_lsn, int64_t to_ms, struct nk_log **l) {
    struct nk_log_options o = look(w, to_lsn, to_ms);
    struct nitro_err err = {0};
    *l = NULL;
    int rc = nk_log_open(&o, l, &err);
    if (rc == NITRO_OK) rc = nk_recover_scan(*l, &err);
    snprintf(w->refused, sizeof w->refused, "%s", err.msg);
    return rc;
}

/* The end of the last whole batch up to n. */
static uint64_t whole_up_to(const struct world *w, uint64_t n) {
    uint64_t lsn = 0;
    for (unsigned i = 0; i < w->ops; i++)
        if (w->op[i].last <= n && w->op[i].last > lsn) lsn = w->op[i].last;
    return lsn;
}

/* Every LSN of the window is reached, at the end of a whole batch; others are refused with the window. */
static void look__every_lsn__whole_batches(void **state) {
    struct world *w = *state;
    struct nitro_snapshot_info first = old_folder(w);
    start(w);
    work(w, 60);
    (void)save(w, TEST_NOW);
    nitro_close(&w->store);
    struct nk_log *l;
    uint64_t last = last_lsn(w);
    for (unsigned i = 0; i < w->ops; i++) {
        uint64_t n = w->op[i].lsn;
        int rc = scan(w, n, INT64_MAX, &l);
        assert_int_equal(rc, n < first.lsn ? NITRO_EARGUMENT : NITRO_OK);
        if (rc == NITRO_OK) assert_int_equal(l->last_lsn, whole_up_to(w, n));
        assert_int_equal(l->window_first_lsn, first.lsn);
        assert_int_equal(l->window_last_lsn, last);
        nk_log_close(&l);
    }
    assert_int_equal(scan(w, last + 1, INT64_MAX, &l), NITRO_EARGUMENT);
    nk_log_close(&l);
    assert_int_equal(scan(w, UINT64_MAX, INT64_MAX, &l), NITRO_OK);
    assert_int_equal(l->last_lsn, last);
    assert_int_equal(l->reached_ms, TEST_NOW);
    nk_log_close(&l);
}

/* A time ends before the first frame that is later. */
static void look__times__frames_that_are_not_later(void **state) {
    struct world *w = *state;
    struct nitro_err err;
    struct nk_log *l;
    uint64_t lsn[5];
    start(w);
    for (unsigned i = 0; i < 5; i++) {
        put(w, i, 3);
        put(w, i, 1);
        assert_int_equal(nitro_log_write(w->store, TEST_NOW + i * 10, &err), NITRO_OK);
        assert_int_equal(nitro_log_sync(w->store, &err), NITRO_OK);
        lsn[i] = last_lsn(w);
        if (i == 2) (void)save(w, TEST_NOW + 25);
    }
    nitro_close(&w->store);
    for (int64_t t = -5; t < 60; t += 5) {
        assert_int_equal(scan(w, UINT64_MAX, TEST_NOW + t, &l), NITRO_OK);
        int64_t i = t < 0 ? -1 : t / 10 > 4 ? 4 : t / 10;
        assert_int_equal(l->last_lsn, i < 0 ? 0 : lsn[i]);
        assert_int_equal(l->base.lsn, t >= 25 ? lsn[2] : 0);
        assert_int_equal(l->reached_ms, i < 0 ? 0 : t == 25 ? TEST_NOW + 25 : TEST_NOW + i * 10);
        nk_log_close(&l);
    }
}

/* A damaged snapshot is passed over if the log holds what it held; else the answer is where one gets to. */
static void look__damaged_snapshot__older_one_or_refused(void **state) {
    struct world *w = *state;
    struct nk_log *l;
    struct nitro_snapshot_info old = old_folder(w);
    start(w);
    work(w, 40);
    struct nitro_snapshot_info new = save(w, TEST_NOW);
    nitro_close(&w->store);
    image_free(&w->image);
    image_load(&w->image, w->dir);
    file_of(w, new.number)->p[NK_SECTOR + 40] ^=
        1; /* in its first block: only who reads it through sees it */
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
    assert_int_equal(scan(w, UINT64_MAX, INT64_MAX, &l), NITRO_OK);
    assert_int_equal(l->base.number, old.number);
    assert_int_equal(l->last_lsn, last_lsn(w));
    nk_log_close(&l);
    file_of(w, old.number)->p[NK_SECTOR + 40] ^= 1;
    image_store(&w->image, w->dir);
    assert_int_equal(scan(w, UINT64_MAX, INT64_MAX, &l), NITRO_ECORRUPT);
    assert_true(strstr(w->refused, ".snap") != NULL);
    nk_log_close(&l);
}

/* A look makes nothing but LOCK, and finds no store where there is none. */
static void look__no_store__not_found(void **state) {
    struct world *w = *state;
    struct nk_log *l;
    char dir[64];
    assert_int_equal(scan(w, UINT64_MAX, INT64_MAX, &l), NITRO_ENOTFOUND);
    assert_null(l);
    memcpy(dir, w->dir, sizeof dir);
    strcat(w->dir, "/none");
    assert_int_equal(scan(w, UINT64_MAX, INT64_MAX, &l), NITRO_ENOTFOUND);
    memcpy(w->dir, dir, sizeof dir);
    image_load(&w->image, w->dir);
    assert_int_equal(w->image.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(start__snapshot_and_log__all_is_there),
        TEST(replay__before_load__refused),
        TEST(start__many_lives__all_is_there),
        TEST(start__damage_below_the_snapshot__is_not_seen),
        TEST(start__unlisted_snapshots__are_removed),
        TEST(start__snapshot_without_manifest__refused),
        TEST(newest__damaged_or_missing__refused),
        TEST(older__damaged_or_missing__starts),
        TEST(chain__without_its_snapshot__refused),
        TEST(take_and_retain__every_change_fails__nothing_is_lost),
        TEST(start__every_read_fails__refused_or_right),
        TEST(start__every_allocation_fails__out_of_memory),
        TEST(retain__nothing_promised__log_up_to_the_snapshot_goes),
        TEST(retain__no_snapshot__nothing_goes),
        TEST(retain__everything_promised__six_in_the_middle_stay),
        TEST(retain__bytes_promised__so_much_log_stays),
        TEST(retain__time_promised__base_is_as_old),
        TEST(retain__hundreds_of_snapshots__manifest_stays_short),
        TEST(wal_off__lives_with_and_without__nothing_found_is_lost),
        TEST(wal_off__versions_lost_in_a_crash__not_given_again),
        TEST(wal_off__last_entry_of_manifest_lost__refused),
        TEST(look__every_lsn__whole_batches),
        TEST(look__times__frames_that_are_not_later),
        TEST(look__damaged_snapshot__older_one_or_refused),
        TEST(look__no_store__not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
