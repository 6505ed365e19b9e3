/* SPDX-License-Identifier: MIT
 *
 * hint_rig.h - what the tests of hint files share: entries that can be told by their number, a file of them in memory,
 * and a reading of it that compares every one.
 *
 * ENTRIES  Entry i has a key that is made of i and its length. So who reads an entry knows all of what it has to
 *          be.
 */
#ifndef HINT_RIG_H
#define HINT_RIG_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "datafile.h"
#include "format_ref.h"
#include "hint.h"
#include "loc.h"
#include "memfile.h"
#include "support.h"

#define STORE "sixteen bytes id"
#define SALT UINT64_C(0x1122334455667788)
#define FIRST_LSN UINT64_C(1000)
#define KIND NK_FILE_DATA
#define NUMBER 4
#define PUT 0x01
#define PUT_EXPIRY 0x21
#define DELETE 0x02
#define FLUSH 0x04

struct ent {
    uint64_t gap, bytes, delta; /* as in the file */
    uint8_t kind;               /* with flags */
    uint32_t key_bytes;
    int64_t expire_ms;
};

struct rig {
    struct test_mem mem;
    struct memfile file;
    const struct ent *ents;
    size_t count;
    uint64_t end; /* of the file that it is about */
    int sys;      /* errno of what failed */
};

static inline void *must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

static inline void fill(uint8_t *p, size_t n, size_t i) {
    memset(p, (int)(i * 7 + n), n);
    for (size_t at = 0; at < n && at < 300; at++) p[at] = (uint8_t)(at * 31 + i * 7 + n);
}

static inline void rig_init(struct rig *g, const struct ent *ents, size_t count) {
    memset(g, 0, sizeof *g);
    test_mem_init(&g->mem);
    memfile_init(&g->file);
    g->ents = ents;
    g->count = count;
    g->end = NK_SECTOR;
    for (size_t i = 0; i < count; i++) g->end += ents[i].gap + ents[i].bytes;
}

static inline void rig_fini(struct rig *g) {
    memfile_fini(&g->file);
    test_mem_check_empty(&g->mem);
}

/* ---- writing and reading -----------------------------------------------------------------------*/

static inline struct nk_hint_head head_of_file(void) {
    struct nk_hint_head h = {
        .kind = KIND, .number = NUMBER, .salt = SALT, .first_lsn = FIRST_LSN, .entries = 99};
    memcpy(h.store, STORE, sizeof h.store);
    return h;
}

/* Where entry i has to be: its place follows from those before it. */
struct place {
    size_t i;
    uint64_t end, lsn;
};
static const struct place first_place = {0, NK_SECTOR, FIRST_LSN};

static inline struct nk_hint hint_at(const struct place *at, const struct ent *e,
                                     const uint8_t *key) {
    return (struct nk_hint){.lsn = at->lsn + e->delta,
                            .offset = at->end + e->gap,
                            .bytes = e->bytes,
                            .kind = (enum nk_rec_kind)(e->kind & 0x1f),
                            .expire_ms = e->expire_ms,
                            .key = key,
                            .key_bytes = e->key_bytes};
}

static inline void pass(struct place *at, const struct nk_hint *h) {
    at->i++;
    at->end = h->offset + h->bytes;
    at->lsn = h->lsn;
}

static inline int write_entries(struct rig *g, struct nk_hintwrite *w) {
    uint8_t *key = must(malloc(NITRO_KEY_MAX));
    struct place at = first_place;
    int rc = NITRO_OK;
    while (at.i < g->count && rc == NITRO_OK) {
        const struct ent *e = &g->ents[at.i];
        fill(key, e->key_bytes, at.i);
        struct nk_hint h = hint_at(&at, e, key);
        rc = nk_hintwrite_add(w, &h);
        pass(&at, &h);
    }
    free(key);
    return rc;
}

static inline int write_all(struct rig *g) {
    struct nk_hintwrite w;
    struct nk_hint_head head = head_of_file();
    int rc = nk_hintwrite_init(&w, &g->file.vfs, &g->mem.table, 3, &head);
    if (rc == NITRO_OK) rc = write_entries(g, &w);
    if (rc == NITRO_OK) rc = nk_hintwrite_finish(&w, g->end, TEST_NOW);
    g->sys = w.sys;
    nk_hintwrite_fini(&w);
    nk_hintwrite_fini(&w);
    return rc;
}

static inline void make(struct rig *g, const struct ent *ents, size_t count) {
    rig_init(g, ents, count);
    assert_int_equal(write_all(g), NITRO_OK);
}

static inline int open_hint(struct rig *g, struct nk_hintread *r) {
    return nk_hintread_open(r, &g->file.vfs, &g->mem.table, 3, g->file.size);
}

static inline void check(const struct rig *g, const struct place *at, const struct nk_hint *got) {
    const struct ent *e = &g->ents[at->i];
    struct nk_hint want = hint_at(at, e, NULL);
    uint8_t *key = must(malloc((size_t)e->key_bytes + 1));
    fill(key, e->key_bytes, at->i);
    bool same = got->lsn == want.lsn && got->offset == want.offset && got->bytes == want.bytes &&
                got->kind == want.kind && got->expire_ms == want.expire_ms &&
                got->key_bytes == want.key_bytes && memcmp(got->key, key, e->key_bytes) == 0;
    if (!same) test_fail("entry %zu came back changed", at->i);
    free(key);
}

/* drain: reads on to the end of the file; each entry has to be the one that was written. */
static inline int drain(struct rig *g, struct nk_hintread *r, struct place *at) {
    for (;;) {
        struct nk_hint h;
        int rc = nk_hintread_next(r, &h);
        if (rc != NITRO_OK) return rc;
        if (at->i >= g->count) test_fail("an entry came back that nobody has written");
        check(g, at, &h);
        pass(at, &h);
    }
}

/* read_all: NITRO_ENOTFOUND: the whole file is right, and nothing is missing. */
static inline int read_all(struct rig *g) {
    struct nk_hintread r;
    struct place at = first_place;
    int rc = open_hint(g, &r);
    if (rc == NITRO_OK) rc = drain(g, &r, &at);
    if (rc == NITRO_ENOTFOUND && at.i != g->count) test_fail("entry %zu is missing", at.i);
    g->sys = r.sys;
    nk_hintread_close(&r);
    nk_hintread_close(&r);
    return rc;
}

static inline void check_whole(struct rig *g, const char *what, uint64_t number) {
    int rc = read_all(g);
    if (rc != NITRO_ENOTFOUND) test_fail("%s %" PRIu64 ": %s", what, number, nitro_strerror(rc));
}

static inline void must_be_found(struct rig *g, const char *what, uint64_t number) {
    int rc = read_all(g);
    if (rc != NITRO_ECORRUPT) test_fail("%s %" PRIu64 ": %s", what, number, nitro_strerror(rc));
}

/* ---- entries -------------------------------------------------------------------------------------*/

/* Every kind, at the limits of its fields. */
static const struct ent mixed[] = {
    {0, 17, 0, PUT, 7, 0},
    {56, 60000, 3, PUT_EXPIRY, 9, TEST_NOW},
    {0, 20, 1, DELETE, 12, 0},
    {1000000, 8, 400000, FLUSH, 0, 0},
    {0, 8, 1, PUT, 0, 0},
    {56, NITRO_VALUE_MAX + NK_REC_HEAD_MAX + 5, 100, PUT_EXPIRY, 5, INT64_MAX},
    {0, NK_REC_HEAD_MAX, 1, FLUSH, 0, 0},
    {3, 300, 1, DELETE, 290, 0},
};
#define MIXED (sizeof mixed / sizeof mixed[0])

/* random_entries: `count` of them; owned. */
static inline struct ent *random_entries(struct test_rng *rng, size_t count, uint32_t key_max) {
    static const uint8_t kinds[] = {PUT, PUT, PUT_EXPIRY, PUT_EXPIRY, DELETE, FLUSH};
    struct ent *ents = must(calloc(count + 1, sizeof *ents));
    for (size_t i = 0; i < count; i++) {
        struct ent *e = &ents[i];
        e->kind = kinds[test_rng_below(rng, 6)];
        e->delta = (i > 0) + test_rng_below(rng, 1000);
        e->gap = test_rng_below(rng, 2) * test_rng_below(rng, 300);
        if (e->kind != FLUSH) e->key_bytes = (uint32_t)test_rng_below(rng, key_max + 1);
        if (e->kind == PUT_EXPIRY) e->expire_ms = 1 + (int64_t)(test_rng_next(rng) >> 1);
        e->bytes = 16 + e->key_bytes;
        if ((e->kind & 0x1f) == PUT) e->bytes += test_rng_below(rng, 50000);
    }
    return ents;
}

#endif
