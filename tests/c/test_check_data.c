/* SPDX-License-Identifier: MIT
 *
 * test_check_data.c - checking folders whose log is their data: pieces, hints, merged files; what a repair
 * cuts off and what it refuses to.
 */
#include "check_world.h"

#include "db.h"
#include "manifest.h"

/* ---- folders -----------------------------------------------------------------------------------*/

/* make_data_folder: two lives with sealed files, hints, and merged files if told; left by a clean stop, or
 * by a kill with records that were written and not synced. */
static void make_data_folder(struct world *w, unsigned ops, bool merge, bool clean) {
    struct nitro_err err;
    folder_empty(w->dir);
    image_free(&w->image);
    w->ops = 0;
    for (int life = 0; life < 2; life++) {
        start(w);
        work(w, ops / 4);
        settle(w, merge);
        work(w, ops / 4);
        settle(w, false);
        if (life == 0) nitro_close(&w->store);
    }
    work(w, 8);
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

static struct file *first_with(struct image *m, const char *suffix) {
    for (unsigned i = 0; i < m->count; i++)
        if (strstr(m->file[i].name, suffix) != NULL) return &m->file[i];
    return NULL;
}

static void drop_hints(struct world *w) {
    DIR *d = opendir(w->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[PATH_MAX];
        if (strstr(e->d_name, ".hint") == NULL) continue;
        snprintf(path, sizeof path, "%s/%s", w->dir, e->d_name);
        assert_int_equal(unlink(path), 0);
    }
    closedir(d);
}

/* ---- judging -----------------------------------------------------------------------------------*/

/* check_values: every key has a value that it was given once, not after LSN p, or answers that it is
 * damaged. Returns how many do that. */
static unsigned check_values(struct world *w, uint64_t p) {
    unsigned damaged = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16], got[VALUE_MAX], value[VALUE_MAX];
        struct nitro_info info;
        int rc = nitro_get(w->store, TEST_NOW, key, key_of(k, key), got, sizeof got, &info);
        damaged += rc == NITRO_ECORRUPT;
        assert_true(rc == NITRO_OK || rc == NITRO_ENOTFOUND || rc == NITRO_ECORRUPT);
        if (rc != NITRO_OK) continue;
        unsigned i = 0;
        while (i < w->ops && (w->op[i].lsn != info.version || w->op[i].key != k)) i++;
        if (i == w->ops || info.version > p) fail_msg("key %u has a version of nobody", k);
        size_t n = value_of(w->op[i].value, value);
        if (info.bytes != n || memcmp(got, value, n) != 0)
            fail_msg("key %u at LSN %" PRIu64 " is not what it was", k, info.version);
    }
    return damaged;
}

/* check_starts_damaged: the store starts, because hints say where its records are. Without them it would
 * not. */
static void check_starts_damaged(struct world *w, const struct findings *fs) {
    struct image as_it_is;
    assert_non_null(strstr(fs->text, "hint"));
    image_load(&as_it_is, w->dir);
    drop_hints(w);
    assert_int_equal(load(w), NITRO_ECORRUPT);
    image_store(&as_it_is, w->dir);
    image_free(&as_it_is);
    start(w);
    (void)check_values(w, UINT64_MAX);
    nitro_close(&w->store);
}

/* judge_data: as judge. What is damaged behind a hint does not keep the store from starting; what is not at
 * the end of the log is not repaired. */
static struct nitro_check_result judge_data(struct world *w, bool merge, struct findings *fs) {
    int refused = load(w);
    nitro_close(&w->store);
    struct nitro_check_result r = check_unchanged(w, fs), repaired;
    if (refused != NITRO_OK && r.damages == 0)
        fail_msg("recovery: %s; the check finds nothing", w->refused);
    assert_int_equal(r.mode, NITRO_MODE_BITCASK);
    assert_int_equal(r.starts, r.damages > 0 && refused == NITRO_OK);
    if (r.damages == 0) {
        assert_int_equal(r.repairable, 0);
        check_served(w, r.last_lsn);
        return r;
    }
    if (refused == NITRO_OK) {
        assert_int_equal(r.repairable, 0);
        assert_false(try_repair(w, &repaired));
        check_starts_damaged(w, fs);
        return r;
    }
    assert_int_equal(refused, NITRO_ECORRUPT);
    bool can = try_repair(w, &repaired);
    assert_int_equal(r.repairable, can);
    if (!can) return r;
    assert_int_equal(repaired.repaired, 1);
    assert_int_equal(check_unchanged(w, fs).damages, 0);
    if (!merge) {
        check_served(w, r.last_lsn);
        return r;
    }
    start(w);
    assert_int_equal(check_values(w, r.last_lsn), 0);
    nitro_close(&w->store);
    return r;
}

/* ---- healthy folders ---------------------------------------------------------------------------*/

/* Nothing is wrong after a clean stop or a kill, all records are read, and every full file has its hint. */
static void check__healthy_pieces__no_findings(void **state) {
    struct world *w = *state;
    for (int clean = 1; clean >= 0; clean--) {
        for (int merge = 1; merge >= 0; merge--) {
            struct findings fs;
            make_data_folder(w, 400, merge, clean);
            struct nitro_check_result r = check_unchanged(w, &fs);
            if (r.damages > 0) fail_msg("%s: %s", fs.file, fs.text);
            assert_int_equal(r.notes, 0);
            assert_int_equal(r.clean, clean);
            assert_int_equal(r.last_lsn, last_lsn(w));
            assert_true(merge ? r.records < w->ops : r.records == w->ops);
            assert_true(!merge || first_with(&w->image, ".data") != NULL);
            assert_true(r.files >= 3);
            check_served(w, r.last_lsn);
        }
    }
}

/* A hint that is missing, not valid, or another file's is a note that names it, and no more. */
static void check__bad_hints__are_notes(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_data_folder(w, 300, true, true);
    struct file *f = first_with(&w->image, ".hint");
    assert_non_null(f);
    f->p[f->n / 2] ^= 1;
    image_store(&w->image, w->dir);
    struct nitro_check_result r = judge_data(w, true, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.notes, 1);
    struct image less = w->image; /* borrows the bytes */
    less.file[f - w->image.file] = less.file[--less.count];
    image_store(&less, w->dir);
    r = judge_data(w, true, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.notes, 1);
    f->p[f->n / 2] ^= 1;
    strcpy(f->name, "0000000099.hint");
    image_store(&w->image, w->dir);
    r = judge_data(w, true, &fs);
    assert_int_equal(r.damages, 0);
    assert_int_equal(r.notes, 2); /* of the file that it was about, and of one that is not there */
}

/* What a crash in the middle of a merge leaves: the new file listed and the old ones there; or not listed. */
static void check__left_from_a_merge__is_a_note(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct nitro_merge_options o = {.allow = 1, .dead_percent = 1};
    struct nitro_merge_result r = {.need = NITRO_MERGE_FOLDER};
    struct nitro_err err;
    bool unlisted = false, both = false;
    make_data_folder(w, 300, false, true);
    start(w);
    while (!both) {
        struct nitro_check_result c;
        if (r.need == NITRO_MERGE_SYNC) write_and_sync(w);
        assert_int_equal(nitro_merge_step(w->store, TEST_NOW, &o, &r, &err), NITRO_OK);
        assert_true(r.need != NITRO_MERGE_IDLE);
        const struct nk_log *l = w->store->db.folder;
        bool made = false, listed = l->data_count > 0;
        struct image now;
        image_load(&now, w->dir);
        made = first_with(&now, ".data") != NULL;
        if (made && !listed && !unlisted) {
            unlisted = true;
        } else if (listed) {
            both = true;
        } else {
            image_free(&now);
            continue;
        }
        nitro_close(&w->store);
        c = judge_data(w, true, &fs);
        assert_int_equal(c.damages, 0);
        assert_true(c.notes > 0);
        image_store(&now, w->dir);
        image_free(&now);
        if (both) break;
        start(w);
        r.need = NITRO_MERGE_FOLDER;
    }
    assert_true(unlisted && both);
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* hurt: flips a bit, or makes a sector zero, somewhere. */
static void hurt(struct image *m, struct test_rng *rng) {
    struct file *f = &m->file[test_rng_below(rng, m->count)];
    uint64_t below = test_rng_below(rng, 3) == 0 ? nk_min_u64(600, f->n) : f->n;
    if (below == 0) return;
    size_t at = (size_t)test_rng_below(rng, below);
    if (test_rng_below(rng, 4) != 0) {
        f->p[at] ^= (uint8_t)(1u << test_rng_below(rng, 8));
        return;
    }
    at -= at % 512;
    memset(f->p + at, 0, nk_min_u64(512, f->n - at));
}

/* Up to three bits or sectors, anywhere: whatever a start refuses the check finds, and what the check finds
 * no start passes over, but for what hints let it. */
static void judge__random_damage__agree(void **state) {
    struct world *w = *state;
    struct test_rng rng;
    test_rng_init(&rng, "random damage of data");
    for (int kind = 0; kind < 4; kind++) {
        unsigned damaged = 0, rounds = (unsigned)test_scale(100);
        make_data_folder(w, 250, kind & 1, kind & 2);
        for (unsigned i = 0; i < rounds; i++) {
            struct findings fs;
            struct image hurt_one = image_copy(&w->image);
            for (uint64_t n = test_rng_below(&rng, 3) + 1; n > 0; n--) hurt(&hurt_one, &rng);
            image_store(&hurt_one, w->dir);
            image_free(&hurt_one);
            damaged += judge_data(w, kind & 1, &fs).damages > 0;
        }
        assert_true(damaged > 0 || rounds < 20);
    }
}

/* Files cut short or lost. */
static void judge__damaged_files__agree(void **state) {
    struct world *w = *state;
    struct findings fs;
    for (int merge = 0; merge < 2; merge++) {
        make_data_folder(w, 300, merge, false);
        for (unsigned i = 0; i < w->image.count; i++) {
            struct file *f = &w->image.file[i];
            size_t n = f->n;
            for (unsigned part = 0; part <= 4; part++) {
                f->n = n * part / 5;
                image_store(&w->image, w->dir);
                judge_data(w, merge, &fs);
            }
            f->n = n;
            struct image less = w->image; /* borrows the bytes */
            less.file[i] = less.file[--less.count];
            image_store(&less, w->dir);
            judge_data(w, merge, &fs);
        }
    }
}

/* A record of a full file, of a log or a merged one: it is named, the store starts because of the hint, and
 * no repair drops what comes behind it. Without the hint it does not start, and the check says so. */
static void check__record_of_a_full_file__is_not_repaired(void **state) {
    struct world *w = *state;
    static const char *const suffix[] = {".log", ".data"};
    for (int i = 0; i < 2; i++) {
        struct findings fs;
        struct nitro_check_result r, repaired;
        make_data_folder(w, 300, i == 1, true);
        struct file *f = first_with(&w->image, suffix[i]);
        assert_non_null(f);
        f->p[f->n - 3] ^= 1; /* in its last record: it is full */
        image_store(&w->image, w->dir);
        assert_int_equal(load(w), NITRO_OK);
        nitro_close(&w->store);
        r = check_unchanged(w, &fs);
        assert_int_equal(r.damages, 1);
        assert_string_equal(fs.file, f->name);
        assert_int_equal(fs.last.lsn, r.bad_lsn);
        assert_true(fs.last.offset == r.bad_offset && fs.last.offset > 512 &&
                    fs.last.offset < f->n);
        assert_int_equal(r.last_lsn, last_lsn(w));
        assert_non_null(strstr(fs.text, "store starts"));
        assert_false(try_repair(w, &repaired));
        assert_non_null(strstr(w->refused, "start the store as it is"));
        drop_hints(w);
        assert_int_equal(load(w), NITRO_ECORRUPT);
        r = check_unchanged(w, &fs);
        assert_int_equal(r.damages, 1);
        assert_non_null(strstr(fs.text, "does not start"));
        assert_false(try_repair(w, &repaired));
        assert_null(strstr(w->refused, "start the store as it is"));
    }
}

/* flip_end: the last byte of the newest log's records. Its footer is its last sector. */
static void flip_end(struct world *w) {
    struct file *f = NULL;
    for (unsigned i = 0; i < w->image.count; i++)
        if (strstr(w->image.file[i].name, ".log") != NULL) f = &w->image.file[i];
    assert_non_null(f);
    size_t at = f->n - 512;
    while (f->p[--at] == 0) {}
    f->p[at] ^= 1;
}

/* With damage behind a hint and at the end of the log there is neither a start nor a repair, and that is said. */
static void repair__two_damages__is_refused(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct nitro_check_result repaired;
    make_data_folder(w, 300, false, true);
    struct file *f = first_with(&w->image, ".log");
    f->p[f->n - 3] ^= 1;
    flip_end(w);
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
    assert_int_equal(check_unchanged(w, &fs).damages, 2);
    assert_false(try_repair(w, &repaired));
    assert_null(strstr(w->refused, "start the store as it is"));
}

/* The end of the log is cut off at the first record that is damaged. */
static void repair__newest_log__is_cut(void **state) {
    struct world *w = *state;
    for (int merge = 0; merge < 2; merge++) {
        struct findings fs;
        make_data_folder(w, 300, merge, true);
        flip_end(w);
        image_store(&w->image, w->dir);
        struct nitro_check_result r = judge_data(w, merge, &fs);
        assert_int_equal(r.damages, 1);
        assert_true(r.last_lsn < last_lsn(w) && r.bad_lsn > r.last_lsn);
        assert_int_equal(r.notes, merge); /* that merges may have dropped older values */
    }
}

/* MANIFEST alone says which merged files count. */
static void repair__manifest_with_merged_files__is_refused(void **state) {
    struct world *w = *state;
    struct findings fs;
    struct nitro_check_result repaired;
    make_data_folder(w, 300, true, true);
    struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
    f->p[64 + 9] ^= 1;
    image_store(&w->image, w->dir);
    assert_int_equal(load(w), NITRO_ECORRUPT);
    assert_true(check_unchanged(w, &fs).damages > 0);
    assert_false(try_repair(w, &repaired));
    make_data_folder(w, 300, false, true);
    f = image_find(&w->image, NK_PATH_MANIFEST);
    f->p[64 + 9] ^= 1;
    image_store(&w->image, w->dir);
    assert_true(judge_data(w, false, &fs).damages > 0);
    start(w); /* and it is still a store of this mode */
    assert_non_null(w->store->db.files);
}

/* Every read that fails is told as what it is; nothing stays open. */
static void check__each_read_fails__is_eio(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_data_folder(w, 200, true, true);
    for (uint64_t n = 1;; n++) {
        struct nitro_check_result r;
        struct nitro_err err = {0};
        struct nitro_check_options o = options(w, false, &fs);
        w->rig.reads = 0;
        w->rig.fail_read = n;
        int rc = nitro_check(&o, &r, &err);
        w->rig.fail_read = 0;
        if (rc == NITRO_OK) {
            assert_true(n > 20);
            break;
        }
        assert_int_equal(rc, NITRO_EIO);
        assert_non_null(strstr(err.msg, w->dir));
        assert_int_equal(w->rig.handles, 0);
    }
}

/* Each allocation fails once. */
static void check__each_allocation_fails__is_enomem(void **state) {
    struct world *w = *state;
    struct findings fs;
    make_data_folder(w, 200, true, true);
    for (uint64_t n = 1;; n++) {
        struct nitro_check_result r;
        struct nitro_err err = {0};
        struct nitro_check_options o = options(w, false, &fs);
        test_mem_fail(&w->mem, n, n);
        int rc = nitro_check(&o, &r, &err);
        test_mem_fail(&w->mem, 0, 0);
        test_mem_check_empty(&w->mem);
        if (rc == NITRO_OK) break;
        assert_int_equal(rc, NITRO_ENOMEM);
        assert_int_equal(w->rig.handles, 0);
    }
}

static int setup(void **state) {
    int rc = world_setup(state);
    struct world *w = *state;
    w->opt.mode = NITRO_MODE_BITCASK;
    return rc;
}

#define DATA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        DATA_TEST(check__healthy_pieces__no_findings),
        DATA_TEST(check__bad_hints__are_notes),
        DATA_TEST(check__left_from_a_merge__is_a_note),
        DATA_TEST(judge__random_damage__agree),
        DATA_TEST(judge__damaged_files__agree),
        DATA_TEST(check__record_of_a_full_file__is_not_repaired),
        DATA_TEST(repair__two_damages__is_refused),
        DATA_TEST(repair__newest_log__is_cut),
        DATA_TEST(repair__manifest_with_merged_files__is_refused),
        DATA_TEST(check__each_read_fails__is_eio),
        DATA_TEST(check__each_allocation_fails__is_enomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
