/* SPDX-License-Identifier: MIT
 *
 * test_keydir_load.c - starting a store whose log is its data: hints and files lead to the same, whatever
 * has happened to a hint.
 *
 * The folder lies on the real file system; syncs are counted and do nothing, so a closed store is a killed one.
 */
#include "check_world.h"

#include "crc32c.h"
#include "db.h"
#include "hint.h"
#include "keydir.h"

#define PARTS_MAX 4u
#define LATER (TEST_NOW + 60000)
#define SLOTS_MAX 64u

/* ---- what the store must hold ------------------------------------------------------------------*/

struct truth {
    unsigned made; /* values so far */
    struct {
        unsigned value; /* 0 = there is none */
        int64_t expire_ms;
        uint64_t version;
    } key[KEYS];
};

static void set(struct world *w, struct truth *t, unsigned key, int64_t expire_ms) {
    char text[16], value[VALUE_MAX];
    struct nitro_info info;
    size_t n = key_of(key, text), bytes = value_of(++t->made, value);
    int rc;
    while ((rc = nitro_set(w->store, TEST_NOW, text, n, value, bytes, 0, 0, expire_ms, &info)) ==
           NITRO_ELOGFULL)
        make_room(w, nitro_log_need(n, bytes));
    assert_int_equal(rc, NITRO_OK);
    t->key[key].value = t->made;
    t->key[key].expire_ms = expire_ms;
    t->key[key].version = info.version;
}

static void unset(struct world *w, struct truth *t, unsigned key) {
    char text[16];
    size_t n = key_of(key, text);
    int rc;
    while ((rc = nitro_delete(w->store, TEST_NOW, text, n, NULL)) == NITRO_ELOGFULL)
        make_room(w, nitro_log_need(n, 0));
    assert_int_equal(rc, t->key[key].value != 0 ? NITRO_OK : NITRO_ENOTFOUND);
    t->key[key].value = 0;
}

static void flush(struct world *w, struct truth *t) {
    int rc;
    while ((rc = nitro_flush(w->store, NULL)) == NITRO_ELOGFULL) make_room(w, nitro_log_need(0, 0));
    assert_int_equal(rc, NITRO_OK);
    memset(t->key, 0, sizeof t->key);
}

/* change: so many random operations, synced every few. */
static void change(struct world *w, struct truth *t, struct test_rng *rng, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        unsigned key = (unsigned)test_rng_below(rng, KEYS);
        uint64_t kind = test_rng_below(rng, 200);
        if (kind == 0)
            flush(w, t);
        else if (kind < 30)
            unset(w, t, key);
        else
            set(w, t, key, kind < 60 ? TEST_NOW + 1 + (int64_t)test_rng_below(rng, 90000) : 0);
        if (i % 4 == 0) write_and_sync(w);
    }
    write_and_sync(w);
}

/* check_truth: what a started store serves, now and later. */
static void check_truth(struct world *w, const struct truth *t) {
    for (unsigned k = 0; k < KEYS; k++) {
        char key[16], got[VALUE_MAX], value[VALUE_MAX];
        struct nitro_info info;
        int64_t expire_ms = t->key[k].expire_ms;
        size_t n = key_of(k, key), bytes = value_of(t->key[k].value, value);
        for (int64_t now = TEST_NOW; now <= LATER; now += LATER - TEST_NOW) {
            bool live = t->key[k].value != 0 && (expire_ms == 0 || expire_ms > now);
            int rc = nitro_get(w->store, now, key, n, got, sizeof got, &info);
            assert_int_equal(rc, live ? NITRO_OK : NITRO_ENOTFOUND);
            if (live && (info.version != t->key[k].version || info.expire_ms != expire_ms ||
                         info.bytes != bytes || memcmp(got, value, bytes) != 0))
                fail_msg("key %u of LSN %" PRIu64 " is not what it was", k, t->key[k].version);
        }
    }
}

/* ---- what the keydir holds ---------------------------------------------------------------------*/

/* Where all records lie, and the accounts of all files. */
struct keydir {
    struct {
        uint64_t number, offset, bytes;
        int64_t expire_ms;
    } key[KEYS];
    struct {
        uint64_t number, put_bytes, live_bytes, gone_bytes, gone_lsn, end, last_lsn;
    } file[SLOTS_MAX];
};

static struct nk_db *db_of(struct world *w) { return &w->store->db; }

static void look_keys(struct world *w, struct keydir *out) {
    struct nk_db *db = db_of(w);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[16];
        struct nk_key k;
        uint32_t n = (uint32_t)key_of(i, text);
        nk_key_init(db, text, n, &k);
        struct nk_seg *s = nk_db_seg(db, k.seg);
        assert_true(nk_seg_lock(s));
        uint64_t loc = nk_keydir_find(s, &k, &out->key[i].expire_ms);
        nk_seg_unlock(s);
        if (loc == 0) continue;
        out->key[i].number = nk_file_at(db->files, nk_loc_slot(loc))->number;
        out->key[i].offset = nk_loc_offset(loc);
        out->key[i].bytes = nk_loc_bytes(loc);
    }
}

/* look: after a load, or later. The order of slots is nobody's business: files are by number. */
static void look(struct world *w, struct keydir *out) {
    const struct nk_files *f = db_of(w)->files;
    memset(out, 0, sizeof *out);
    look_keys(w, out);
    for (uint32_t i = 1; i < f->top; i++) {
        const struct nk_file *at = nk_file_at(f, i);
        if (at->number == 0) continue;
        assert_true(at->number < SLOTS_MAX);
        out->file[at->number].number = at->number;
        out->file[at->number].put_bytes = at->put_bytes;
        out->file[at->number].live_bytes = at->live_bytes;
        out->file[at->number].gone_bytes = at->gone_bytes;
        out->file[at->number].gone_lsn = at->gone_lsn;
        out->file[at->number].end = at->end;
        out->file[at->number].last_lsn = at->last_lsn;
    }
}

static void check_same(const struct keydir *a, const struct keydir *b) {
    for (unsigned i = 0; i < KEYS; i++)
        if (memcmp(&a->key[i], &b->key[i], sizeof a->key[i]) != 0)
            fail_msg("key %u: file %" PRIu64 ", offset %" PRIu64 "; file %" PRIu64
                     ", offset %" PRIu64,
                     i, a->key[i].number, a->key[i].offset, b->key[i].number, b->key[i].offset);
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (memcmp(&a->file[i], &b->file[i], sizeof a->file[i]) != 0)
            fail_msg("file %u: put %" PRIu64 " and %" PRIu64 ", gone %" PRIu64 " and %" PRIu64
                     ", live %" PRIu64 " and %" PRIu64 ", end %" PRIu64 " and %" PRIu64,
                     i, a->file[i].put_bytes, b->file[i].put_bytes, a->file[i].gone_bytes,
                     b->file[i].gone_bytes, a->file[i].live_bytes, b->file[i].live_bytes,
                     a->file[i].end, b->file[i].end);
}

/* check_accounts: live bytes are those of the records that keys refer to; they are among those of all puts,
 * when the tail lies in its new place. */
static void check_accounts(const struct keydir *d, bool finished) {
    uint64_t live[SLOTS_MAX] = {0};
    for (unsigned i = 0; i < KEYS; i++) live[d->key[i].number] += d->key[i].bytes;
    for (unsigned i = 1; i < SLOTS_MAX; i++) {
        assert_int_equal(d->file[i].live_bytes, live[i]);
        assert_true(d->file[i].put_bytes >= live[i] || !finished);
    }
}

/* ---- starting ----------------------------------------------------------------------------------*/

/* load_parts: as load, in so many parts; nothing in the folder changes. */
static int load_parts(struct world *w, uint32_t parts) {
    struct nitro_err err = {0};
    struct nitro_recovery found;
    int rc = nitro_open(&w->opt, &w->store, &err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(w->store, TEST_NOW, &found, &err);
    for (uint32_t i = 0; i < parts && rc == NITRO_OK; i++)
        rc = nitro_recover_load(w->store, i, parts, &err);
    for (uint32_t i = 0; i < parts && rc == NITRO_OK; i++)
        rc = nitro_recover_replay(w->store, i, parts, &err);
    if (rc != NITRO_OK) {
        nitro_close(&w->store);
        snprintf(w->refused, sizeof w->refused, "%s", err.msg);
    }
    return rc;
}

static void must_load(struct world *w, uint32_t parts) {
    int rc = load_parts(w, parts);
    if (rc != NITRO_OK) fail_msg("load: code %d: %s", rc, w->refused);
    uint64_t done, total;
    nitro_recover_progress(w->store, &done, &total);
    assert_int_equal(done, total);
    for (uint32_t i = 0; i < db_of(w)->segments; i++)
        assert_int_equal(db_of(w)->seg[i].last_lsn, db_of(w)->folder->last_lsn);
}

static void finish(struct world *w) {
    struct nitro_err err = {0};
    int64_t newest;
    int rc = nitro_recover_finish(w->store, TEST_NOW, &newest, &err);
    if (rc != NITRO_OK) fail_msg("finish: code %d: %s", rc, err.msg);
}

/* What the load has found of hints. */
static uint64_t loaded(struct world *w) { return db_of(w)->data_start.hints_loaded; }
static uint64_t rebuilt(struct world *w) { return db_of(w)->data_start.hints_rebuilt; }

static unsigned merged_files(struct world *w) { return db_of(w)->folder->data_count; }

/* make: two lives of so many operations each, left by a kill; every file but the last has its hint. */
static void make(struct world *w, struct truth *t, struct test_rng *rng, unsigned ops, bool merge) {
    folder_empty(w->dir);
    image_free(&w->image);
    memset(t, 0, sizeof *t);
    for (int life = 0; life < 2; life++) {
        must_load(w, 1);
        finish(w);
        change(w, t, rng, ops / 2);
        settle(w, merge);
        change(w, t, rng, ops / 2);
        settle(w, false);
        nitro_close(&w->store);
    }
    image_load(&w->image, w->dir);
}

static bool is_hint(const struct file *f) { return strstr(f->name, ".hint") != NULL; }

static unsigned count_hints(const struct world *w) {
    unsigned n = 0;
    for (unsigned i = 0; i < w->image.count; i++) n += is_hint(&w->image.file[i]);
    return n;
}

static struct file *first_hint(struct world *w) {
    for (unsigned i = 0; i < w->image.count; i++)
        if (is_hint(&w->image.file[i])) return &w->image.file[i];
    fail_msg("there is no hint");
    return NULL;
}

static void drop_hints(struct world *w) {
    while (count_hints(w) > 0) image_drop(&w->image, first_hint(w)->name);
}

static void store_file(struct world *w, const struct file *f) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", w->dir, f->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f->p, f->n), f->n);
    close(fd);
}

/* ---- the same from hints and from files --------------------------------------------------------*/

/* Random work, in any number of parts, with and without hints, and with some of them: the same keydir, the
 * same accounts, and what the model says. */
static void check_ways(struct world *w, bool merge) {
    struct truth t;
    struct test_rng rng;
    test_rng_init(&rng, merge ? "loading merged files" : "loading logs");
    for (uint64_t round = 0; round < test_scale(6); round++) {
        struct keydir want, got;
        make(w, &t, &rng, 500, merge);
        unsigned hints = count_hints(w), files = 0;
        assert_true(hints >= 2);
        for (uint32_t parts = 1; parts <= PARTS_MAX; parts++) {
            must_load(w, parts);
            look(w, parts == 1 ? &want : &got);
            if (parts > 1) check_same(&want, &got);
            files = db_of(w)->files->count;
            assert_int_equal(loaded(w), hints);
            assert_int_equal(rebuilt(w), files - hints);
            assert_true(!merge || merged_files(w) > 0);
            nitro_close(&w->store);
        }
        check_accounts(&want, false);
        for (unsigned n = 0; count_hints(w) > 0; n++) {
            image_drop(&w->image, first_hint(w)->name);
            if (n > 0) drop_hints(w); /* first one, then all */
            image_store(&w->image, w->dir);
            must_load(w, 1 + n % PARTS_MAX);
            look(w, &got);
            check_same(&want, &got);
            assert_int_equal(rebuilt(w), files - count_hints(w));
            finish(w);
            check_truth(w, &t);
            nitro_close(&w->store);
        }
    }
}

static void load__logs_by_hint_or_file__are_the_same(void **state) { check_ways(*state, false); }

static void load__merged_files_by_hint_or_file__are_the_same(void **state) {
    check_ways(*state, true);
}

/* What is served after a start from hints is what the model says, also by the next start, which finds the
 * files of this one. */
static void start__again_and_again__serves_the_model(void **state) {
    struct world *w = *state;
    struct truth t;
    struct test_rng rng;
    test_rng_init(&rng, "starts");
    make(w, &t, &rng, 300, false);
    for (uint64_t i = 0; i < test_scale(20); i++) {
        must_load(w, 1 + (uint32_t)test_rng_below(&rng, PARTS_MAX));
        finish(w);
        check_truth(w, &t);
        change(w, &t, &rng, 40);
        if (i % 2 == 0) settle(w, i % 4 == 0);
        nitro_close(&w->store);
    }
}

/* ---- hints that are not right ------------------------------------------------------------------*/

/* hinted: a folder with one hint, which this returns; what loading it gives. */
static struct file *hinted(struct world *w, struct truth *t, struct keydir *want) {
    struct test_rng rng;
    test_rng_init(&rng, "a file with a hint");
    must_load(w, 1);
    finish(w);
    memset(t, 0, sizeof *t);
    change(w, t, &rng, 30);
    roll(w);
    set(w, t, 1, 0);
    write_and_sync(w);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    assert_int_equal(count_hints(w), 1);
    must_load(w, 1);
    look(w, want);
    assert_int_equal(loaded(w), 1);
    assert_int_equal(rebuilt(w), 1); /* of the last file, which had none yet */
    nitro_close(&w->store);
    return first_hint(w);
}

/* check_rebuilt: the hint in the folder is not used, and the same is loaded. */
static void check_rebuilt(struct world *w, const struct keydir *want, uint32_t parts) {
    struct keydir got;
    must_load(w, parts);
    look(w, &got);
    check_same(want, &got);
    assert_int_equal(loaded(w), 0);
    assert_int_equal(rebuilt(w), 2);
    nitro_close(&w->store);
}

/* Each byte of a hint, whatever it is changed to, is noticed, and the file is read instead. */
static void load__each_byte_of_a_hint_flipped__is_rebuilt(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want;
    struct file *hint = hinted(w, &t, &want);
    for (size_t i = 0; i < hint->n; i++) {
        hint->p[i] ^= (uint8_t)(1u << i % 8);
        store_file(w, hint);
        check_rebuilt(w, &want, 1 + i % PARTS_MAX);
        hint->p[i] ^= (uint8_t)(1u << i % 8);
    }
}

/* A hint that is cut short, wherever, or that something follows. */
static void load__hint_of_another_length__is_rebuilt(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want;
    struct file *hint = hinted(w, &t, &want);
    struct file cut = *hint;
    for (cut.n = 0; cut.n < hint->n; cut.n++) {
        store_file(w, &cut);
        check_rebuilt(w, &want, 1);
    }
    hint->p[hint->n++] = 0; /* image_load has asked for a byte more */
    store_file(w, hint);
    check_rebuilt(w, &want, 1);
}

/* rewrite_hint: a hint like this one, with another header, and without its last `less` entries. */
static void rewrite_hint(struct world *w, const struct file *hint, const struct nk_hint_head *head,
                         uint64_t less) {
    const struct nitro_vfs *vfs = nitro_vfs_system();
    struct nk_hintread r;
    struct nk_hintwrite out;
    struct nk_hint h;
    int dir = vfs->dir_open(NULL, w->dir, 0);
    int fd = vfs->open(NULL, dir, hint->name, NITRO_FILE_READ);
    int to = vfs->open(NULL, dir, "other", NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    assert_true(fd >= 0 && to >= 0);
    assert_int_equal(nk_hintread_open(&r, vfs, &w->mem.table, fd, hint->n), NITRO_OK);
    struct nk_hint_head as = head != NULL ? *head : r.head;
    uint64_t count = r.head.entries - less, end = NK_SECTOR;
    as.entries = as.bytes = as.put_bytes = as.gone_bytes = as.gone_lsn = 0;
    assert_int_equal(nk_hintwrite_init(&out, vfs, &w->mem.table, to, &as), NITRO_OK);
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(nk_hintread_next(&r, &h), NITRO_OK);
        assert_int_equal(nk_hintwrite_add(&out, &h), NITRO_OK);
        end = h.offset + h.bytes;
    }
    assert_int_equal(nk_hintwrite_finish(&out, end, r.head.time_ms), NITRO_OK);
    nk_hintwrite_fini(&out);
    nk_hintread_close(&r);
    vfs->close(NULL, fd);
    vfs->close(NULL, to);
    assert_int_equal(vfs->rename(NULL, dir, "other", hint->name, "test"), 0);
    vfs->dir_close(NULL, dir);
}

static struct nk_hint_head head_of(struct world *w, const struct file *hint) {
    const struct nitro_vfs *vfs = nitro_vfs_system();
    struct nk_hintread r;
    int dir = vfs->dir_open(NULL, w->dir, 0);
    int fd = vfs->open(NULL, dir, hint->name, NITRO_FILE_READ);
    assert_int_equal(nk_hintread_open(&r, vfs, &w->mem.table, fd, hint->n), NITRO_OK);
    struct nk_hint_head h = r.head;
    nk_hintread_close(&r);
    vfs->close(NULL, fd);
    vfs->dir_close(NULL, dir);
    return h;
}

/* A hint that says of itself that it has more than it has: that is seen behind its last entry, when all
 * have been taken. */
static void load__hint_with_wrong_counts__is_rebuilt(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want;
    struct file *hint = hinted(w, &t, &want);
    static const size_t counts[] = {72, 80, 88, 96}; /* entries, put_bytes, gone_bytes, gone_lsn */
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        hint->p[counts[i]]++;
        nk_store32(hint->p + NK_HINT_HEADER - 4, nk_crc32c(0, hint->p, NK_HINT_HEADER - 4));
        store_file(w, hint);
        check_rebuilt(w, &want, 1 + (uint32_t)i % PARTS_MAX);
        hint->p[counts[i]]--;
    }
}

/* A hint that is valid, but about another file, another store, or the file as it was once. */
static void load__stale_hint__is_rebuilt(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want;
    struct file *hint = hinted(w, &t, &want);
    image_store(&w->image, w->dir);
    const struct nk_hint_head right = head_of(w, hint);
    for (int what = 0; what < 5; what++) {
        struct nk_hint_head h = right;
        image_store(&w->image, w->dir);
        if (what == 0) h.salt++;
        if (what == 1) h.number++;
        if (what == 2) h.kind = NK_FILE_DATA;
        if (what == 3) h.store[15] ^= 1;
        rewrite_hint(w, hint, &h, what == 4);
        check_rebuilt(w, &want, 1);
    }
    image_store(&w->image, w->dir);
    rewrite_hint(w, hint, NULL, 0); /* and that it was not the rewriting */
    must_load(w, 1);
    assert_int_equal(loaded(w), 1);
    nitro_close(&w->store);
}

/* Reads of a hint fail, from each one on, and each alone: the file is read, and if that cannot be read
 * either, the start fails and leaves nothing behind. */
static void load__each_read_fails__falls_back_or_is_told(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want, got;
    (void)hinted(w, &t, &want);
    unsigned fell_back = 0;
    for (int once = 1; once >= 0; once--) {
        int rc = NITRO_EIO;
        for (uint64_t n = 1; rc != NITRO_OK || w->rig.reads >= n; n++) {
            w->rig.reads = 0;
            w->rig.fail_read = n;
            w->rig.once = once == 1;
            rc = load_parts(w, 2);
            w->rig.fail_read = 0;
            if (rc != NITRO_OK) {
                assert_int_equal(rc, NITRO_EIO);
                assert_non_null(strstr(w->refused, w->dir));
                assert_int_equal(w->rig.handles, 0);
                continue;
            }
            look(w, &got);
            check_same(&want, &got);
            fell_back += w->rig.reads >= n;
            nitro_close(&w->store);
        }
    }
    w->rig.once = false;
    assert_true(fell_back > 0);
}

/* Each allocation of a load fails once: it is refused, or goes another way; nothing is left behind. */
static void load__each_allocation_fails__is_told(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want, got;
    (void)hinted(w, &t, &want);
    for (uint64_t n = 1;; n++) {
        test_mem_fail(&w->mem, n, n);
        uint64_t failed = w->mem.failed;
        int rc = load_parts(w, 2);
        test_mem_fail(&w->mem, 0, 0);
        if (rc == NITRO_OK) {
            look(w, &got);
            check_same(&want, &got);
            nitro_close(&w->store);
            if (w->mem.failed == failed) break;
            continue;
        }
        assert_int_equal(rc, NITRO_ENOMEM);
        assert_int_equal(w->rig.handles, 0);
        test_mem_check_empty(&w->mem);
        assert_true(n < 10000);
    }
}

/* ---- tails -------------------------------------------------------------------------------------*/

/* Records that were written and never synced are served, and lie in a file of their own after the start:
 * entries and accounts say so, and the file that they were in holds what was durable. */
static void finish__tail__is_counted_in_its_new_place(void **state) {
    struct world *w = *state;
    struct truth t;
    struct test_rng rng;
    struct nitro_err err;
    test_rng_init(&rng, "a tail");
    make(w, &t, &rng, 200, false);
    for (unsigned i = 0; i < 8; i++) {
        struct keydir d;
        must_load(w, 1 + i % PARTS_MAX);
        finish(w);
        change(w, &t, &rng, 10);
        for (unsigned k = 0; k < 12; k++) set(w, &t, (unsigned)test_rng_below(&rng, KEYS), 0);
        unset(w, &t, 3);
        if (i % 3 == 2) flush(w, &t);
        set(w, &t, 5, LATER);
        assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
        nitro_close(&w->store);
        must_load(w, 1 + i % PARTS_MAX);
        finish(w);
        assert_true(db_of(w)->folder->tail_number != 0);
        look(w, &d);
        check_accounts(&d, true);
        assert_int_equal(d.key[5].number, db_of(w)->folder->tail_number);
        memset(&d.file[db_of(w)->folder->cur->number], 0, sizeof d.file[0]); /* holds nothing */
        check_truth(w, &t);
        nitro_close(&w->store);
        must_load(w, 1); /* the next start counts the same */
        struct keydir again;
        look(w, &again);
        check_same(&d, &again);
        nitro_close(&w->store);
    }
}

/* A tail that does not fit into one file: entries refer to all of its new ones, and the accounts are right. */
static void finish__tail_of_several_files__is_counted_in_all(void **state) {
    struct world *w = *state;
    struct truth t;
    struct test_rng rng;
    struct nitro_err err;
    struct keydir d, again;
    test_rng_init(&rng, "a long tail");
    make(w, &t, &rng, 50, false);
    must_load(w, 2);
    finish(w);
    for (unsigned i = 0; i < 600 || i % KEYS != 0; i++) {
        if (i % 200 == 100) unset(w, &t, i % KEYS);
        set(w, &t, i % KEYS, i % 7 == 0 ? LATER : 0);
        assert_int_equal(nitro_log_write(w->store, TEST_NOW, &err), NITRO_OK);
        if (i % 20 == 0) assert_int_equal(nitro_log_fill(w->store, 8000, &err), NITRO_OK);
    }
    nitro_close(&w->store);
    must_load(w, 3);
    finish(w);
    struct nk_log *l = db_of(w)->folder;
    assert_true(l->tail_number != 0 && l->cur->number > l->tail_number + 2);
    look(w, &d);
    check_accounts(&d, true);
    for (uint64_t n = l->tail_number; n < l->cur->number; n++) {
        assert_int_equal(d.file[n].number, n);
        assert_true(d.file[n].put_bytes > 0);
        assert_true(n == l->tail_number || d.file[n].last_lsn > d.file[n - 1].last_lsn);
    }
    memset(&d.file[l->cur->number], 0, sizeof d.file[0]); /* holds nothing */
    check_truth(w, &t);
    nitro_close(&w->store);
    must_load(w, 1); /* the next start counts the same */
    look(w, &again);
    check_same(&d, &again);
    nitro_close(&w->store);
}

/* A file is full, durable, and has its hint, but nothing on the disk says yet that it was durable: the next
 * start writes the end of it anew, and cuts it. Then the hint is about more than there is, and another one
 * is made. */
static void finish__file_that_is_cut__gets_another_hint(void **state) {
    struct world *w = *state;
    struct truth t = {0};
    must_load(w, 1);
    finish(w);
    for (unsigned i = 0; i < 10; i++) {
        set(w, &t, i, 0);
        write_and_sync(w);
    }
    unset(w, &t, 2);
    roll(w);
    nitro_close(&w->store);
    must_load(w, 2);
    assert_int_equal(loaded(w), 1);
    finish(w);
    struct nk_files *f = db_of(w)->files;
    uint32_t slot = nk_files_find(f, 1);
    assert_true(slot != 0 && db_of(w)->folder->tail_number != 0);
    assert_false(nk_file_at(f, slot)->hinted);
    check_truth(w, &t);
    settle(w, false);
    assert_true(nk_file_at(f, slot)->hinted);
    nitro_close(&w->store);
    must_load(w, 2);
    assert_int_equal(rebuilt(w), 0);
    assert_int_equal(loaded(w), 2);
    finish(w);
    check_truth(w, &t);
    nitro_close(&w->store);
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* A damaged record of a file that has a hint: the store starts, and that record's key alone answers an
 * error. Without the hint the start is refused, and says where the damage is. */
static void load__damaged_record__refused_without_hint(void **state) {
    struct world *w = *state;
    struct truth t;
    struct keydir want;
    struct file *hint = hinted(w, &t, &want);
    unsigned key = 0;
    while (want.key[key].number != 1) assert_true(++key < KEYS);
    char name[NK_PATH_MAX];
    nk_path_log(1, name);
    struct file *f = image_find(&w->image, name);
    f->p[want.key[key].offset + want.key[key].bytes - 1] ^= 4;
    image_store(&w->image, w->dir);
    must_load(w, 2);
    finish(w);
    for (unsigned k = 0; k < KEYS; k++) {
        char text[16], got[VALUE_MAX];
        struct nitro_info info;
        int rc = nitro_get(w->store, TEST_NOW, text, key_of(k, text), got, sizeof got, &info);
        if (k == key)
            assert_int_equal(rc, NITRO_ECORRUPT);
        else
            assert_int_equal(rc, t.key[k].value != 0 ? NITRO_OK : NITRO_ENOTFOUND);
    }
    nitro_close(&w->store);
    image_drop(&w->image, hint->name);
    image_store(&w->image, w->dir);
    for (uint32_t parts = 1; parts <= PARTS_MAX; parts++) {
        assert_int_equal(load_parts(w, parts), NITRO_ECORRUPT);
        assert_non_null(strstr(w->refused, name));
        assert_non_null(strstr(w->refused, "nitrokv check"));
    }
}

/* Each byte of a full file that has no hint, whatever it is changed to, is noticed. */
static void load__each_byte_of_a_file_flipped__is_refused(void **state) {
    struct world *w = *state;
    struct truth t = {0};
    must_load(w, 1);
    finish(w);
    for (unsigned i = 0; i < 4; i++) {
        set(w, &t, i, i == 1 ? LATER : 0);
        if (i == 1) flush(w, &t);
        if (i == 2) unset(w, &t, 2);
        write_and_sync(w);
    }
    roll(w);
    set(w, &t, 1, 0);
    write_and_sync(w);
    set(w, &t, 2, 0);
    write_and_sync(w); /* its frame says that all before it was durable */
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    image_drop(&w->image, first_hint(w)->name);
    image_store(&w->image, w->dir);
    struct file *f = image_find(&w->image, "0000000001.log");
    assert_non_null(f);
    for (size_t i = NK_SECTOR; i < f->n; i++) {
        f->p[i] ^= (uint8_t)(1u << i % 8);
        store_file(w, f);
        if (load_parts(w, 1 + i % PARTS_MAX) != NITRO_ECORRUPT) fail_msg("byte %zu", i);
        assert_non_null(strstr(w->refused, f->name));
        f->p[i] ^= (uint8_t)(1u << i % 8);
    }
}

static int setup(void **state) {
    int rc = world_setup(state);
    struct world *w = *state;
    w->opt.mode = NITRO_MODE_BITCASK;
    w->opt.segments = 8;
    return rc;
}

#define LOAD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOAD_TEST(load__logs_by_hint_or_file__are_the_same),
        LOAD_TEST(load__merged_files_by_hint_or_file__are_the_same),
        LOAD_TEST(start__again_and_again__serves_the_model),
        LOAD_TEST(load__each_byte_of_a_hint_flipped__is_rebuilt),
        LOAD_TEST(load__hint_of_another_length__is_rebuilt),
        LOAD_TEST(load__hint_with_wrong_counts__is_rebuilt),
        LOAD_TEST(load__stale_hint__is_rebuilt),
        LOAD_TEST(load__each_read_fails__falls_back_or_is_told),
        LOAD_TEST(load__each_allocation_fails__is_told),
        LOAD_TEST(finish__tail__is_counted_in_its_new_place),
        LOAD_TEST(finish__tail_of_several_files__is_counted_in_all),
        LOAD_TEST(finish__file_that_is_cut__gets_another_hint),
        LOAD_TEST(load__damaged_record__refused_without_hint),
        LOAD_TEST(load__each_byte_of_a_file_flipped__is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
