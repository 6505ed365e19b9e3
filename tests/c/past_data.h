/* SPDX-License-Identifier: MIT
 *
 * past_data.h - past.h for a store whose log is its data: background work, snapshots by links, and points of its past that are restored
 * and looked at.
 */
#ifndef PAST_DATA_H
#define PAST_DATA_H

#include "past.h"

/* What a round of background work may merge. */
static const struct nitro_merge_options past_tidy = {
    .allow = 1, .dead_percent = 30, .dead_bytes = 20000, .retain = 1};

static inline int past_data_setup(void **state) {
    int rc = past_setup(state);
    struct past *p = *state;
    p->opt.mode = NITRO_MODE_BITCASK;
    return rc;
}

/* ---- background work ---------------------------------------------------------------------------*/

/* past_tend: seals, hints, merges, until nothing is left to do. */
static inline void past_tend(struct past *p, const struct nitro_merge_options *o) {
    struct nitro_merge_result r;
    struct nitro_err err = {0};
    do {
        int rc = nitro_merge_step(p->store, p->now_ms, o, &r, &err);
        if (rc != NITRO_OK) fail_msg("merge: code %d: %s", rc, err.msg);
        if (r.need == NITRO_MERGE_SYNC) past_write(p);
    } while (r.need != NITRO_MERGE_IDLE);
}

/* past_link_some: one call, for so many files. */
static inline int past_link_some(struct past *p, uint64_t lsn, uint32_t files,
                                 struct nitro_snapshot_info *out, uint32_t *more) {
    struct nitro_err err = {0};
    int rc = nitro_snapshot_link(p->store, lsn, p->now_ms, files, out, more, &err);
    if (rc != NITRO_OK && err.msg[0] == '\0') fail_msg("a snapshot that fails does not say why");
    return rc;
}

/* past_link: all of it, by calls for a few files. */
static inline int past_link(struct past *p, uint64_t lsn, struct nitro_snapshot_info *out) {
    uint32_t more = 1;
    int rc = NITRO_OK;
    while (rc == NITRO_OK && more != 0)
        rc = past_link_some(p, lsn, 1 + (uint32_t)test_rng_below(&p->rng, 3), out, &more);
    return rc;
}

static inline uint64_t past_roll(struct past *p) {
    struct nitro_err err = {0};
    uint64_t lsn;
    int rc = nitro_snapshot_roll(p->store, &lsn, &err);
    if (rc != NITRO_OK) fail_msg("roll: code %d: %s", rc, err.msg);
    return lsn;
}

/* past_linked: of the store as it is. */
static inline struct nitro_snapshot_info *past_linked(struct past *p) {
    uint64_t lsn = past_roll(p);
    past_write(p);
    struct nitro_snapshot_info *s = &p->snap[p->snaps++];
    assert_int_equal(past_link(p, lsn, s), NITRO_OK);
    return s;
}

/* past_data_live: some lives of a store, with merges and snapshots now and then. */
static inline void past_data_live(struct past *p, unsigned ops, const struct nitro_merge_options *o,
                                  int64_t keep_ms) {
    for (unsigned i = 0; i < 4; i++) {
        past_start(p, &p->opt);
        for (unsigned k = 0; k < 5; k++) {
            past_work(p, ops / 20);
            if (o != NULL) past_tend(p, o);
            if (k % 3 == i % 3) past_linked(p);
            past_retain(p, keep_ms, 0);
        }
        past_stop(p, i % 2 == 0);
        p->now_ms += 1000;
    }
}

static inline struct nitro_data_files past_files(struct past *p) {
    struct nitro_data_files f;
    nitro_data_files_of(p->store, &f);
    return f;
}

/* ---- restoring ---------------------------------------------------------------------------------*/

static inline struct nitro_restore_options past_options(struct past *p, const char *from) {
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

/* past_check_new: the new folder starts, from its hints alone, with what the past held at LSN n, and gives out LSNs that the old one never
 * has. Then it is removed. */
static inline void past_check_new(struct past *p, uint64_t n, const struct nitro_restore_result *r,
                                  const struct nitro_restore_options *o) {
    struct nitro_options opt = p->opt;
    struct nitro_info info;
    int64_t now_ms = o->now_ms > r->time_ms ? o->now_ms : r->time_ms;
    opt.dir = p->new_dir;
    for (unsigned i = 0; i < 2; i++) {
        past_start(p, &opt);
        assert_int_equal(nitro_mode_of(p->store), NITRO_MODE_BITCASK);
        if (i == 0) assert_int_equal(past_files(p).hints_rebuilt, 0);
        if (i == 0 && past_files(p).bytes > 50000 + PAST_VALUE_MAX)
            assert_true(past_files(p).merged_files > 1);
        past_check(p, n, r->time_ms, now_ms, o->keep_expired != 0);
        assert_int_equal(nitro_set(p->store, p->now_ms, "later", 5, "", 0, 0, 0, 0, &info),
                         NITRO_OK);
        assert_true(info.version > p->effect[p->count - 1].last + (1u << 24));
        assert_int_equal(nitro_delete(p->store, p->now_ms, "later", 5, &info), NITRO_OK);
        past_tend(p, &past_tidy);
        past_stop(p, i == 0);
    }
    past_remove(p->new_dir);
}

/* past_check_point: what is reached for LSN n, and what is there then. */
static inline struct nitro_restore_result
past_check_point(struct past *p, struct nitro_restore_options *o, uint64_t n) {
    int64_t ms;
    o->to_lsn = n;
    uint64_t lsn = past_reached(p, n, &ms);
    struct nitro_restore_result r = past_restore(o);
    assert_int_equal(r.lsn, lsn);
    assert_true(r.time_ms >= ms);
    past_check_new(p, lsn, &r, o);
    return r;
}

static inline void past_check_outside(struct past *p, struct nitro_restore_options *o,
                                      uint64_t first) {
    struct nitro_restore_result r;
    struct nitro_err err = {0};
    assert_int_equal(nitro_restore(o, &r, &err), NITRO_EARGUMENT);
    assert_int_equal(r.first_lsn, first);
    assert_int_equal(access(p->new_dir, F_OK), -1);
}

static inline void past_linked_dir(const struct past *p, const struct nitro_snapshot_info *s,
                                   char out[80]) {
    snprintf(out, 80, "%s/snapshot-%010" PRIu64, p->dir, s->number);
}

/* past_prepared: a store with merged files, retained ones and a snapshot, stopped; options to restore a point in its middle. */
static inline struct nitro_restore_options past_prepared(struct past *p, uint64_t *lsn) {
    past_data_live(p, 300, &past_tidy, 1000000000);
    struct nitro_restore_options o = past_options(p, p->dir);
    *lsn = o.to_lsn = p->effect[p->count / 2].last;
    o.file_bytes = 20000;
    return o;
}

#endif
