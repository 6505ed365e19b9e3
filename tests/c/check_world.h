/* SPDX-License-Identifier: MIT
 *
 * check_world.h - for the tests of nitro_check: a folder that the engine has written, with every
 * operation noted by its LSN, and the judges that a check is compared with.
 *
 * JUDGES  Recovery: damage is found exactly when the store refuses to start. The notes: what is
 *         served, after a repair too, is what the operations up to one LSN have left.
 */
#ifndef CHECK_WORLD_H
#define CHECK_WORLD_H

#include <inttypes.h>

#include "check_rig.h"

#define KEYS 40u
#define OPS_MAX 2000u
#define VALUE_MAX 2000u

/* ---- a store and what was done to it -----------------------------------------------------------*/

struct op {
    unsigned key;
    uint64_t lsn, last; /* last of its batch */
    unsigned value;     /* 0 = deleted */
};
struct world {
    struct test_mem mem;
    struct rig rig;
    struct nitro_options opt;
    char dir[64];
    nitro_store *store;
    char refused[480]; /* why the last load, or repair, was */
    struct op op[OPS_MAX];
    unsigned ops;
    struct nitro_snapshot_info snap[16]; /* all that were ever taken of this folder */
    unsigned snaps;
    struct image image; /* the folder to be damaged */
};

static inline size_t value_of(unsigned number, char out[VALUE_MAX]) {
    size_t n = (size_t)number * 37 % VALUE_MAX;
    for (size_t i = 0; i < n; i++) out[i] = (char)(number + i);
    return n;
}

static inline size_t key_of(unsigned key, char out[16]) {
    return (size_t)snprintf(out, 16, "key-%u", key);
}

/* load: opens the folder and replays it; nothing in it changes. */
static inline int load(struct world *w) {
    struct nitro_err err = {0};
    struct nitro_recovery found;
    int rc = nitro_open(&w->opt, &w->store, &err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(w->store, TEST_NOW, &found, &err);
    if (rc == NITRO_OK) rc = nitro_recover_load(w->store, 0, 1, &err);
    if (rc == NITRO_OK) rc = nitro_recover_replay(w->store, 0, 1, &err);
    if (rc != NITRO_OK) {
        nitro_close(&w->store);
        snprintf(w->refused, sizeof w->refused, "%s", err.msg);
    }
    return rc;
}

/* start: loads the folder and opens it for writing, or the test fails. */
static inline void start(struct world *w) {
    struct nitro_err err = {0};
    int64_t newest;
    int rc = load(w);
    if (rc == NITRO_OK) rc = nitro_recover_finish(w->store, TEST_NOW, &newest, &err);
    if (rc != NITRO_OK) {
        nitro_close(&w->store);
        fail_msg("start: code %d: %s; %s", rc, w->refused, err.msg);
    }
}

static inline void make_room(struct world *w, uint64_t bytes) {
    struct nitro_err err;
    assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
    assert_int_equal(nitro_log_sync(w->store, &err), NITRO_OK);
    assert_int_equal(nitro_log_fill(w->store, bytes, &err), NITRO_OK);
}

static inline void note(struct world *w, unsigned key, unsigned value, uint64_t lsn,
                        uint64_t last) {
    assert_true(w->ops < OPS_MAX);
    w->op[w->ops++] = (struct op){.key = key, .value = value, .lsn = lsn, .last = last};
}

/* put: one key, or `count` neighbours as a batch. */
static inline void put(struct world *w, unsigned key, unsigned count) {
    char keys[4][16], values[4][VALUE_MAX];
    struct nitro_op ops[4] = {{0}};
    struct nitro_info info;
    uint64_t need = 0;
    for (unsigned i = 0; i < count; i++) {
        ops[i].key = keys[i];
        ops[i].key_bytes = key_of(key + i, keys[i]);
        ops[i].value = values[i];
        ops[i].value_bytes = value_of(w->ops + i + 1, values[i]);
        need += nitro_log_need(ops[i].key_bytes, ops[i].value_bytes);
    }
    int rc;
    while ((rc = nitro_write(w->store, TEST_NOW, ops, count, &info)) == NITRO_ELOGFULL)
        make_room(w, need);
    assert_int_equal(rc, NITRO_OK);
    for (unsigned i = 0; i < count; i++)
        note(w, key + i, w->ops + 1, info.shown_lsn - count + 1 + i, info.shown_lsn);
}

static inline void del(struct world *w, unsigned key) {
    char text[16];
    struct nitro_info info;
    size_t n = key_of(key, text);
    int rc;
    while ((rc = nitro_delete(w->store, TEST_NOW, text, n, &info)) == NITRO_ELOGFULL)
        make_room(w, nitro_log_need(n, 0));
    if (rc == NITRO_OK) note(w, key, 0, info.version, info.version);
}

static inline void write_and_sync(struct world *w) {
    struct nitro_err err;
    assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
    assert_int_equal(nitro_log_sync(w->store, &err), NITRO_OK);
}

/* work: so many operations, synced every few. */
static inline void work(struct world *w, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        unsigned key = i * 7 % (KEYS - 4);
        if (i % 5 == 3)
            put(w, key, 3);
        else if (i % 11 == 7)
            del(w, key);
        else
            put(w, key, 1);
        if (i % 3 == 0) write_and_sync(w);
    }
    write_and_sync(w);
}

/* check_contents: the store holds what the operations up to LSN p have left, batches whole. */
static inline void check_contents(struct world *w, uint64_t p) {
    unsigned want[KEYS] = {0};
    uint64_t version[KEYS] = {0};
    for (unsigned i = 0; i < w->ops; i++) {
        const struct op *o = &w->op[i];
        if (o->lsn <= p && o->last > p)
            fail_msg("LSN %" PRIu64 " tears the batch that ends at %" PRIu64, p, o->last);
        if (o->lsn > p) continue;
        want[o->key] = o->value;
        version[o->key] = o->lsn;
    }
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16], got[VALUE_MAX], value[VALUE_MAX];
        struct nitro_info info;
        int rc = nitro_get(w->store, TEST_NOW, key, key_of(k, key), got, sizeof got, &info);
        assert_int_equal(rc, want[k] != 0 ? NITRO_OK : NITRO_ENOTFOUND);
        if (want[k] == 0) continue;
        size_t n = value_of(want[k], value);
        if (info.version != version[k] || info.bytes != n || memcmp(got, value, n) != 0)
            fail_msg("key %u at LSN %" PRIu64 " is not what it was", k, version[k]);
    }
}

static inline uint64_t last_lsn(const struct world *w) { return w->op[w->ops - 1].lsn; }

static inline int world_setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_mem_init(&w->mem);
    rig_init(&w->rig);
    strcpy(w->dir, "/tmp/nitro-test-check-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->opt = test_options(&w->mem, 2);
    w->opt.dir = w->dir;
    w->opt.vfs = &w->rig.vfs;
    w->opt.log_file_bytes = 65536;
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) w->opt.log_seed[i] = (uint8_t)(i * 5 + 1);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state) {
    struct world *w = *state;
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    assert_int_equal(w->rig.handles, 0);
    image_free(&w->image);
    folder_empty(w->dir);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* make_folder: a folder with some files, left by a second life that was stopped, or killed with
 * records that were written and not synced. */
static inline void make_folder(struct world *w, unsigned ops, bool clean) {
    struct nitro_err err;
    folder_empty(w->dir);
    image_free(&w->image);
    w->ops = 0;
    start(w);
    work(w, ops / 2);
    nitro_close(&w->store);
    start(w);
    work(w, ops / 2);
    if (clean) {
        assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
    } else {
        put(w, 1, 1);
        put(w, 2, 3);
        assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
    }
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
}

/* ---- a store whose log is its data -------------------------------------------------------------*/

/* settle: seals, writes hints, and merges if told, until there is nothing to do. */
static inline void settle(struct world *w, bool merge) {
    struct nitro_merge_options o = {.allow = merge, .dead_percent = 20};
    struct nitro_merge_result r = {.need = NITRO_MERGE_FOLDER};
    while (r.need != NITRO_MERGE_IDLE) {
        struct nitro_err err = {0};
        if (r.need == NITRO_MERGE_SYNC) write_and_sync(w);
        int rc = nitro_merge_step(w->store, TEST_NOW, &o, &r, &err);
        if (rc != NITRO_OK) fail_msg("merge: code %d: %s", rc, err.msg);
    }
}

/* roll: the file that is written to is sealed, and has a hint. */
static inline void roll(struct world *w) {
    struct nitro_err err = {0};
    write_and_sync(w);
    assert_int_equal(nitro_merge_roll(w->store, NULL, &err), NITRO_OK);
    settle(w, false);
}

/* ---- snapshots ---------------------------------------------------------------------------------*/

/* snapshot: of the store as it is; nothing happens meanwhile. */
static inline void snapshot(struct world *w) {
    struct nitro_err err = {0};
    uint64_t lsn;
    int more;
    write_and_sync(w);
    assert_true(w->snaps < sizeof w->snap / sizeof w->snap[0]);
    int rc = nitro_snapshot_prepare(w->store, NITRO_COMPRESSION_NONE, &err);
    if (rc == NITRO_OK) {
        nitro_snapshot_begin(w->store, TEST_NOW, &lsn);
        while (rc == NITRO_OK && (more = nitro_snapshot_gather(w->store)) != 0)
            if ((more & NITRO_GATHERED_SOME) != 0) rc = nitro_snapshot_write(w->store, &err);
    }
    if (rc == NITRO_OK) rc = nitro_snapshot_finish(w->store, TEST_NOW, &w->snap[w->snaps++], &err);
    if (rc != NITRO_OK) fail_msg("snapshot: code %d: %s", rc, err.msg);
}

/* retain: of the log what the last keep_bytes of it need. */
static inline void retain(struct world *w, uint64_t keep_bytes) {
    struct nitro_err err = {0};
    int rc = nitro_retain(w->store, TEST_NOW, 0, keep_bytes, &err);
    if (rc != NITRO_OK) fail_msg("retain: code %d: %s", rc, err.msg);
}

/* make_snap_folder: one with snapshots in the middle of its log, of which keep_bytes stay; left as by
 * make_folder. */
static inline void make_snap_folder(struct world *w, unsigned ops, uint64_t keep_bytes,
                                    bool clean) {
    struct nitro_err err;
    folder_empty(w->dir);
    image_free(&w->image);
    w->ops = w->snaps = 0;
    for (unsigned life = 0; life < 2; life++) {
        start(w);
        for (unsigned i = 0; i < 2; i++) {
            work(w, ops / 5);
            snapshot(w);
            retain(w, keep_bytes);
        }
        if (life == 0) nitro_close(&w->store);
    }
    work(w, ops / 5);
    if (clean) {
        assert_int_equal(nitro_log_stop(w->store, TEST_NOW, &err), NITRO_OK);
    } else {
        put(w, 2, 3);
        assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
    }
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
}

/* snap_file: of the image, the snapshot that was taken as number i, the newest for -1. */
static inline struct file *snap_file(struct world *w, int i) {
    char name[NK_PATH_MAX];
    nk_path_snap(w->snap[i >= 0 ? (unsigned)i : w->snaps - 1].number, name);
    return image_find(&w->image, name);
}

/* ---- checking ----------------------------------------------------------------------------------*/

#define REPAIR_TIME (TEST_NOW + 5000)

struct findings {
    unsigned count, damages;
    struct nitro_finding last; /* damage; its text and file in: */
    char file[64], text[400];
};

static inline void take_finding(void *ctx, const struct nitro_finding *f) {
    struct findings *fs = ctx;
    fs->count++;
    if (f->severity != NITRO_CHECK_DAMAGE) return;
    fs->damages++;
    fs->last = *f;
    snprintf(fs->file, sizeof fs->file, "%s", f->file);
    snprintf(fs->text, sizeof fs->text, "%s", f->text);
}

static inline struct nitro_check_options options(struct world *w, bool repair,
                                                 struct findings *fs) {
    struct nitro_check_options o = {.dir = w->dir,
                                    .now_ms = REPAIR_TIME,
                                    .repair = repair,
                                    .found = take_finding,
                                    .ctx = fs,
                                    .mem = &w->mem.table,
                                    .vfs = &w->rig.vfs};
    memset(o.seed, 0x5a, sizeof o.seed);
    return o;
}

/* check: must get through. */
static inline struct nitro_check_result check(struct world *w, bool repair, struct findings *fs) {
    struct nitro_check_result r;
    struct nitro_err err = {0};
    memset(fs, 0, sizeof *fs);
    struct nitro_check_options o = options(w, repair, fs);
    int rc = nitro_check(&o, &r, &err);
    if (rc != NITRO_OK) fail_msg("check: code %d: %s", rc, err.msg);
    assert_int_equal(fs->damages, r.damages);
    assert_int_equal(fs->count, r.damages + r.notes);
    return r;
}

/* check_unchanged: checking changes not a byte. */
static inline struct nitro_check_result check_unchanged(struct world *w, struct findings *fs) {
    struct image before, after;
    image_load(&before, w->dir);
    struct nitro_check_result r = check(w, false, fs);
    image_load(&after, w->dir);
    assert_true(image_same(&before, &after));
    image_free(&before);
    image_free(&after);
    assert_int_equal(r.repaired, 0);
    return r;
}

/* check_served: the store starts with what the operations up to LSN p have left, and goes on with
 * versions that nobody has seen. */
static inline void check_served(struct world *w, uint64_t p) {
    uint64_t seen = last_lsn(w);
    unsigned ops = w->ops;
    start(w);
    check_contents(w, p);
    put(w, 0, 1);
    assert_true(last_lsn(w) > seen);
    w->ops = ops;
    nitro_close(&w->store);
}

/* try_repair: false if it is not possible; then nothing has been changed, and it is said what can be done. */
static inline bool try_repair(struct world *w, struct nitro_check_result *r) {
    struct image before, after;
    struct findings fs = {0};
    struct nitro_err err = {0};
    struct nitro_check_options o = options(w, true, &fs);
    image_load(&before, w->dir);
    int rc = nitro_check(&o, r, &err);
    if (rc != NITRO_OK) {
        image_load(&after, w->dir);
        if (rc != NITRO_ECORRUPT || strstr(err.msg, "nothing was changed") == NULL ||
            !image_same(&before, &after))
            fail_msg("repair: code %d: %s", rc, err.msg);
        snprintf(w->refused, sizeof w->refused, "%s", err.msg);
        image_free(&after);
    }
    image_free(&before);
    return rc == NITRO_OK;
}

/* judge: the folder as it is now: check and recovery agree; if it is damaged, a repair makes it
 * start, and either way it serves what the check says. Returns what that was. Only where the newest snapshot
 * is lost a repair may be impossible: then the folder stays as it is. */
static inline struct nitro_check_result judge(struct world *w, struct findings *fs) {
    int refused = load(w);
    nitro_close(&w->store);
    struct nitro_check_result r = check_unchanged(w, fs);
    if ((refused != NITRO_OK) != (r.damages > 0))
        fail_msg("recovery: %s; check: %u findings, %s: %s", refused ? w->refused : "fine",
                 (unsigned)r.damages, fs->file, fs->text);
    if (r.damages > 0) {
        struct findings again;
        struct nitro_check_result repaired;
        assert_int_equal(refused, NITRO_ECORRUPT);
        if (!try_repair(w, &repaired)) {
            assert_true(w->snaps > 0 && r.last_lsn < w->snap[w->snaps - 1].lsn);
            return r;
        }
        assert_int_equal(repaired.repaired, 1);
        assert_int_equal(repaired.last_lsn, r.last_lsn);
        assert_int_equal(check_unchanged(w, &again).damages, 0);
    }
    check_served(w, r.last_lsn);
    return r;
}

/* The first used file, and the offset of the frame in its middle. */
static inline struct file *middle_of(struct world *w, unsigned number, size_t *at) {
    char name[NK_PATH_MAX];
    nk_path_log(number, name);
    struct file *f = image_find(&w->image, name);
    assert_non_null(f);
    *at = 30000;
    while (memcmp(f->p + *at, "NKFR", 4) != 0) assert_true(++*at < f->n - 100);
    return f;
}

/* damaged_folder: one with a flipped record in the middle of its first file. */
static inline void damaged_folder(struct world *w) {
    size_t at;
    make_folder(w, 200, true);
    middle_of(w, 1, &at)->p[at + 60] ^= 1;
    image_store(&w->image, w->dir);
}

/* code_of: what a check with repair of a folder returns. */
static inline int code_of(struct world *w, const char *dir, struct nitro_err *err) {
    struct nitro_check_result r;
    struct findings fs;
    struct nitro_check_options o = options(w, true, &fs);
    o.dir = dir;
    return nitro_check(&o, &r, err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
