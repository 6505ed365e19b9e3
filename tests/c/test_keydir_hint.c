/* SPDX-License-Identifier: MIT
 *
 * test_keydir_hint.c - loading from hints of several blocks: what is gathered in lots leads to the same as record by record.
 *
 * The folder lies on the real file system; syncs are counted and do nothing, so a closed store is a killed one.
 */
#include "check_world.h"

#include "db.h"
#include "hint.h"
#include "keydir.h"

#define MANY 30000u
#define SETS 50000u

/* ---- work --------------------------------------------------------------------------------------*/

static size_t name_of(unsigned number, char out[16]) {
    return (size_t)snprintf(out, 16, "%x", number);
}

/* make: records of few bytes, so that blocks have more entries than a lot: overwrites of what is in the same lot and in others,
 * deletes, times to live, and one FLUSH, in one file with a hint, and the beginning of another. */
static void make(struct world *w) {
    struct test_rng rng;
    test_rng_init(&rng, "many keys");
    start(w);
    for (unsigned i = 0; i < SETS; i++) {
        char key[16];
        unsigned recent = i < 50 ? 0 : (unsigned)test_rng_below(&rng, 50);
        unsigned number = i % 5 == 4 ? (i - recent) % MANY : i % MANY;
        size_t n = name_of(number, key);
        int rc;
        do {
            if (i == SETS / 3)
                rc = nitro_flush(w->store, NULL);
            else if (i % 7 == 3)
                rc = nitro_delete(w->store, TEST_NOW, key, n, NULL);
            else
                rc = nitro_set(w->store, TEST_NOW, key, n, "v", 1, 0, 0,
                               i % 11 == 5 ? TEST_NOW + 1 : 0, NULL);
            if (rc == NITRO_ELOGFULL) make_room(w, nitro_log_need(n, 1));
        } while (rc == NITRO_ELOGFULL);
        assert_true(rc == NITRO_OK || (rc == NITRO_ENOTFOUND && i % 7 == 3));
        if (i % 64 == 0) write_and_sync(w);
    }
    roll(w);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
}

/* ---- what is loaded ----------------------------------------------------------------------------*/

struct place {
    uint64_t loc;
    int64_t expire_ms;
};
struct loaded {
    struct place key[MANY];
    uint64_t keys, live, put, gone, expiries, value_bytes, key_bytes;
};

static void load_parts(struct world *w, uint32_t parts) {
    struct nitro_err err = {0};
    struct nitro_recovery found;
    int rc = nitro_open(&w->opt, &w->store, &err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(w->store, TEST_NOW, &found, &err);
    for (uint32_t i = 0; i < parts && rc == NITRO_OK; i++)
        rc = nitro_recover_replay(w->store, i, parts, &err);
    if (rc != NITRO_OK) fail_msg("load: code %d: %s", rc, err.msg);
    uint64_t done, total;
    nitro_recover_progress(w->store, &done, &total);
    assert_int_equal(done, total);
}

static void look(struct world *w, struct loaded *out) {
    struct nk_db *db = &w->store->db;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < MANY; i++) {
        char text[16];
        struct nk_key k;
        nk_key_init(db, text, (uint32_t)name_of(i, text), &k);
        struct nk_seg *s = nk_db_seg(db, k.seg);
        assert_true(nk_seg_lock(s));
        out->key[i].loc = nk_keydir_find(s, &k, &out->key[i].expire_ms);
        if (out->key[i].loc == 0) out->key[i].expire_ms = 0;
        nk_seg_unlock(s);
    }
    for (uint32_t i = 1; i < db->files->top; i++) {
        out->live += nk_file_at(db->files, i)->live_bytes;
        out->put += nk_file_at(db->files, i)->put_bytes;
        out->gone += nk_file_at(db->files, i)->gone_bytes;
    }
    out->keys = nk_db_keys(db, NULL);
    for (uint32_t i = 0; i < db->segments; i++) {
        out->expiries += db->seg[i].with_expiry;
        out->value_bytes += db->seg[i].value_bytes;
        out->key_bytes += db->seg[i].key_bytes;
    }
}

static void check_same(const struct loaded *a, const struct loaded *b) {
    for (unsigned i = 0; i < MANY; i++)
        if (a->key[i].loc != b->key[i].loc || a->key[i].expire_ms != b->key[i].expire_ms)
            fail_msg("key %u: at %" PRIx64 " and at %" PRIx64, i, a->key[i].loc, b->key[i].loc);
    assert_int_equal(a->keys, b->keys);
    assert_int_equal(a->live, b->live);
    assert_int_equal(a->put, b->put);
    assert_int_equal(a->gone, b->gone);
    assert_int_equal(a->expiries, b->expiries);
    assert_int_equal(a->value_bytes, b->value_bytes);
    assert_int_equal(a->key_bytes, b->key_bytes);
}

/* check_sums: what the load has counted is what it has loaded. */
static void check_sums(const struct loaded *a) {
    uint64_t keys = 0, live = 0, expiries = 0;
    for (unsigned i = 0; i < MANY; i++) {
        if (a->key[i].loc == 0) continue;
        keys++;
        live += nk_loc_bytes(a->key[i].loc);
        expiries += a->key[i].expire_ms != 0;
    }
    assert_int_equal(a->keys, keys);
    assert_int_equal(a->live, live);
    assert_int_equal(a->value_bytes, live);
    assert_int_equal(a->expiries, expiries);
}

static struct file *hint_of(struct world *w) {
    for (unsigned i = 0; i < w->image.count; i++)
        if (strstr(w->image.file[i].name, ".hint") != NULL) return &w->image.file[i];
    fail_msg("there is no hint");
    return NULL;
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* From the hint, in any number of parts; from the file; and from both, because the hint turns out to be damaged when most of it has been
 * loaded: the same. */
static void load__blocks_of_many_lots__are_the_same_as_the_file(void **state) {
    struct world *w = *state;
    struct loaded *want = malloc(sizeof *want), *got = malloc(sizeof *got);
    assert_true(want != NULL && got != NULL);
    make(w);
    struct file *hint = hint_of(w);
    assert_true(hint->n > NK_HINT_HEADER + NK_HINT_BLOCK * 3 / 2); /* two blocks */
    for (uint32_t parts = 1; parts <= 9; parts += 4) { /* more than there are segments, too */
        load_parts(w, parts);
        assert_true(w->store->db.data_start.hints_loaded > 0);
        look(w, parts == 1 ? want : got);
        nitro_close(&w->store);
        if (parts > 1) check_same(want, got);
    }
    check_sums(want);
    assert_true(want->expiries > 0 && want->keys > MANY / 2 && want->keys < MANY && want->gone > 0);

    hint->p[hint->n - 100] ^= 1;
    for (int there = 1; there >= 0; there--) {
        if (there == 0) image_drop(&w->image, hint->name);
        image_store(&w->image, w->dir);
        load_parts(w, 2);
        assert_int_equal(w->store->db.data_start.hints_loaded, 0);
        look(w, got);
        nitro_close(&w->store);
        check_same(want, got);
    }
    free(want);
    free(got);
}

/* A hint whose sums turn out to be wrong when all of its entries have been gathered: none of them is taken for one of the next hint. */
static void load__given_up_at_its_end__leaves_nothing(void **state) {
    struct world *w = *state;
    struct nk_hint_head head;
    start(w);
    for (unsigned i = 0; i < 100; i++) {
        char key[16];
        size_t n = name_of(i, key);
        assert_int_equal(nitro_set(w->store, TEST_NOW, key, n, "v", 1, 0, 0, 0, NULL), NITRO_OK);
        if (i == 49) roll(w);
    }
    roll(w);
    nitro_close(&w->store);
    image_load(&w->image, w->dir);
    struct file *hint = hint_of(w);
    assert_int_equal(nk_hint_head_decode(hint->p, &head), NITRO_OK);
    assert_int_equal(head.entries, 50);
    head.put_bytes++;
    nk_hint_head_encode(&head, hint->p);
    image_store(&w->image, w->dir);
    load_parts(w, 1);
    assert_int_equal(w->store->db.data_start.hints_loaded, 1);
    assert_int_equal(nk_db_keys(&w->store->db, NULL), 100);
    const struct nk_files *f = w->store->db.files;
    const struct nk_file *first = nk_file_at(f, nk_files_find(f, head.number));
    assert_int_equal(first->live_bytes, head.put_bytes - 1);
    assert_int_equal(first->put_bytes, head.put_bytes - 1);
}

static int setup(void **state) {
    int rc = world_setup(state);
    struct world *w = *state;
    w->opt.mode = NITRO_MODE_BITCASK;
    w->opt.segments = 8;
    w->opt.log_file_bytes = 16u << 20;
    return rc;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(load__blocks_of_many_lots__are_the_same_as_the_file, setup,
                                        world_teardown),
        cmocka_unit_test_setup_teardown(load__given_up_at_its_end__leaves_nothing, setup,
                                        world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
