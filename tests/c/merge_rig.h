/* SPDX-License-Identifier: MIT
 *
 * merge_rig.h - for the tests of merges: a store whose log is its data, in a temporary folder with small files; an array
 * that says what has to be in it; and a host that does what nitro_merge_step asks for, one step at a time.
 *
 * Syncs are counted and do nothing, so a closed store is a killed one. Power cuts are the simulation's business.
 */
#ifndef MERGE_RIG_H
#define MERGE_RIG_H

#include <inttypes.h>

#include "check_rig.h"
#include "keydir.h"
#include "merge.h"

#define KEYS 48u
#define VALUE_MAX 400000u
#define FILE_BYTES 65536u

/* What a key has to be. */
struct cell {
    bool there;
    uint32_t bytes;
    uint64_t seed; /* of the value */
    int64_t expire_ms;
};
struct world {
    struct test_mem mem;
    struct rig rig;
    struct nitro_options opt;
    char dir[64];
    nitro_store *store;
    int64_t now_ms;
    struct cell cell[KEYS];
    uint64_t writes;                  /* so far; also the seed of the next value */
    struct nitro_merge_result result; /* of the last step that got through */
    bool may_fail;                    /* file calls or allocations fail on purpose */
    uint8_t value[VALUE_MAX], got[VALUE_MAX];
};

static const struct nitro_merge_options merge_all = {
    .allow = 1, .dead_percent = 100, .dead_bytes = 1};
static const struct nitro_merge_options merge_none = {.allow = 0, .dead_percent = 1};

/* ---- a store -----------------------------------------------------------------------------------*/

static inline int open_store(struct world *w, struct nitro_err *err) {
    struct nitro_recovery found;
    int64_t newest;
    int rc = nitro_open(&w->opt, &w->store, err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(w->store, w->now_ms, &found, err);
    for (uint32_t i = 0; i < 2 && rc == NITRO_OK; i++) rc = nitro_recover_load(w->store, i, 2, err);
    for (uint32_t i = 0; i < 2 && rc == NITRO_OK; i++)
        rc = nitro_recover_replay(w->store, i, 2, err);
    if (rc == NITRO_OK) rc = nitro_recover_finish(w->store, w->now_ms, &newest, err);
    if (rc != NITRO_OK) nitro_close(&w->store);
    w->result = (struct nitro_merge_result){.need = NITRO_MERGE_FOLDER};
    return rc;
}

static inline void start(struct world *w) {
    struct nitro_err err = {0};
    int rc = open_store(w, &err);
    if (rc != NITRO_OK) fail_msg("start: code %d: %s", rc, err.msg);
}

static inline void restart(struct world *w) {
    nitro_close(&w->store);
    start(w);
}

static inline void check_code(const struct world *w, int rc, const struct nitro_err *err,
                              const char *what) {
    if (rc != NITRO_OK && !w->may_fail) fail_msg("%s: code %d: %s", what, rc, err->msg);
}

static inline void sync_log(struct world *w) {
    struct nitro_err err = {0};
    int rc = nitro_log_write(w->store, w->now_ms, &err);
    if (rc == NITRO_OK) rc = nitro_log_sync(w->store, &err);
    check_code(w, rc, &err, "sync");
}

static inline bool make_room(struct world *w, uint64_t bytes) {
    struct nitro_err err = {0};
    sync_log(w);
    int rc = nitro_log_fill(w->store, bytes, &err);
    check_code(w, rc, &err, "fill");
    return rc == NITRO_OK;
}

/* ---- what is in it -----------------------------------------------------------------------------*/

static inline size_t key_of(unsigned key, char out[16]) {
    return (size_t)snprintf(out, 16, "key-%u", key);
}

static inline void value_of(const struct cell *c, uint8_t *out) {
    struct test_rng r = {.state = c->seed};
    for (uint32_t i = 0; i < c->bytes; i++)
        out[i] = i % 64 == 0 ? (uint8_t)test_rng_next(&r) : (uint8_t)(c->seed + i);
}

/* put: of so many bytes; expire_ms 0 = never. */
static inline void put(struct world *w, unsigned key, uint32_t bytes, int64_t expire_ms) {
    struct cell c = {true, bytes, ++w->writes, expire_ms};
    char text[16];
    size_t n = key_of(key, text);
    int rc;
    value_of(&c, w->value);
    do {
        rc = nitro_set(w->store, w->now_ms, text, n, w->value, bytes, 0, 0, expire_ms, NULL);
    } while (rc == NITRO_ELOGFULL && make_room(w, nitro_log_need(n, bytes)));
    if (rc == NITRO_OK) w->cell[key] = c;
    if (rc != NITRO_OK && !w->may_fail) fail_msg("set %s: code %d", text, rc);
}

static inline void del(struct world *w, unsigned key) {
    char text[16];
    size_t n = key_of(key, text);
    int rc;
    do {
        rc = nitro_delete(w->store, w->now_ms, text, n, NULL);
    } while (rc == NITRO_ELOGFULL && make_room(w, nitro_log_need(n, 0)));
    if (rc == NITRO_OK || rc == NITRO_ENOTFOUND) w->cell[key].there = false;
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND && !w->may_fail)
        fail_msg("delete %s: code %d", text, rc);
}

static inline void flush_all(struct world *w) {
    int rc = nitro_flush(w->store, NULL);
    while (rc == NITRO_ELOGFULL && make_room(w, nitro_log_need(0, 0)))
        rc = nitro_flush(w->store, NULL);
    if (rc == NITRO_OK) memset(w->cell, 0, sizeof w->cell);
    if (rc != NITRO_OK && !w->may_fail) fail_msg("flush: code %d", rc);
}

/* check_key: it is what the array says. */
static inline void check_key(struct world *w, unsigned key) {
    const struct cell *c = &w->cell[key];
    bool there = c->there && (c->expire_ms == 0 || c->expire_ms > w->now_ms);
    char text[16];
    struct nitro_info info;
    int rc = nitro_get(w->store, w->now_ms, text, key_of(key, text), w->got, VALUE_MAX, &info);
    if (rc != (there ? NITRO_OK : NITRO_ENOTFOUND))
        fail_msg("get %s: code %d; it %s there", text, rc, there ? "has to be" : "must not be");
    if (!there) return;
    value_of(c, w->value);
    if (info.bytes != c->bytes || memcmp(w->got, w->value, c->bytes) != 0 ||
        info.expire_ms != c->expire_ms)
        fail_msg("%s is not what was written", text);
}

static inline void check_contents(struct world *w) {
    for (unsigned key = 0; key < KEYS; key++) check_key(w, key);
}

static inline struct nitro_data_files files_of(struct world *w) {
    struct nitro_data_files f;
    nitro_data_files_of(w->store, &f);
    return f;
}

/* check_accounts: live bytes are those of the records that entries refer to, and no more than there are. */
static inline void check_accounts(struct world *w) {
    uint64_t live = 0, want = 0;
    const struct nk_files *files = w->store->db.files;
    for (uint32_t i = 1; i < files->top; i++) {
        const struct nk_file *f = nk_file_at(files, i);
        assert_true(f->live_bytes <= f->put_bytes);
        live += f->live_bytes;
    }
    for (unsigned key = 0; key < KEYS; key++) {
        char text[16];
        struct nk_key k;
        int64_t expire_ms;
        nk_key_init(&w->store->db, text, (uint32_t)key_of(key, text), &k);
        uint64_t loc = nk_keydir_find(nk_db_seg(&w->store->db, k.seg), &k, &expire_ms);
        if (loc != 0) want += nk_loc_bytes(loc);
    }
    assert_int_equal(live, want);
}

/* ---- merging -----------------------------------------------------------------------------------*/

/* step: what the last result has asked for. */
static inline int step(struct world *w, const struct nitro_merge_options *o) {
    struct nitro_err err = {0};
    if (w->result.need == NITRO_MERGE_SYNC) sync_log(w);
    int rc = nitro_merge_step(w->store, w->now_ms, o, &w->result, &err);
    check_code(w, rc, &err, "merge");
    if (rc != NITRO_OK) w->result = (struct nitro_merge_result){.need = NITRO_MERGE_FOLDER};
    return rc;
}

/* settle: until there is nothing more to do. */
static inline void settle(struct world *w, const struct nitro_merge_options *o) {
    for (unsigned i = 0; i < 20000; i++) {
        int rc = step(w, o);
        if (rc == NITRO_OK && w->result.need == NITRO_MERGE_IDLE) return;
    }
    fail_msg("merges do not come to an end");
}

static inline void roll(struct world *w) {
    struct nitro_err err = {0};
    int rc = nitro_merge_roll(w->store, NULL, &err);
    check_code(w, rc, &err, "roll");
    sync_log(w);
}

/* merge: what MERGE does. */
static inline void merge(struct world *w) {
    roll(w);
    settle(w, &merge_all);
}

/* folder_bytes: of the data files alone. */
static inline uint64_t folder_bytes(struct world *w) {
    struct image m;
    uint64_t sum = 0;
    image_load(&m, w->dir);
    for (unsigned i = 0; i < m.count; i++) {
        const char *dot = strrchr(m.file[i].name, '.');
        if (dot != NULL && (strcmp(dot, ".log") == 0 || strcmp(dot, ".data") == 0))
            sum += m.file[i].n;
    }
    image_free(&m);
    return sum;
}

/* ---- setup -------------------------------------------------------------------------------------*/

static inline int world_setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_mem_init(&w->mem);
    rig_init(&w->rig);
    strcpy(w->dir, "/tmp/nitro-test-merge-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->now_ms = TEST_NOW;
    w->opt = test_options(&w->mem, 4);
    w->opt.dir = w->dir;
    w->opt.vfs = &w->rig.vfs;
    w->opt.log_file_bytes = FILE_BYTES;
    w->opt.mode = NITRO_MODE_BITCASK;
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) w->opt.log_seed[i] = (uint8_t)(i * 5 + 1);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state) {
    struct world *w = *state;
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    assert_int_equal(w->rig.handles, 0);
    folder_empty(w->dir);
    assert_int_equal(rmdir(w->dir), 0);
    free(w);
    return 0;
}

/* afresh: an empty folder, for the next round of a test. */
static inline void afresh(struct world *w) {
    nitro_close(&w->store);
    folder_empty(w->dir);
    memset(w->cell, 0, sizeof w->cell);
    w->now_ms = TEST_NOW;
    w->writes = 0;
}

#endif
