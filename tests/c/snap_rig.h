/* SPDX-License-Identifier: MIT
 *
 * snap_rig.h - what the tests of snapshot files share: records that can be told by their number, a file of them
 * in memory, and a reading of it in any number of parts that compares every record.
 *
 * RECORDS  Record i has a key that begins with i in decimal (record 0 may have an empty one) and a value
 *          that follows from i and its length. So who reads a record knows all of what it has to be.
 */
#ifndef SNAP_RIG_H
#define SNAP_RIG_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "memfile.h"
#include "snapfile.h"
#include "support.h"

#define RIG_LSN UINT64_C(1000000)
#define RIG_SALT UINT64_C(0x1122334455667788)
#define RIG_TIME TEST_NOW
#define RIG_STAGE (600u * 1024) /* bytes that are handed to the writer at once: more than a block */

struct rig_record {
    uint32_t key_bytes, value_bytes;
    bool noise; /* the value cannot be compressed */
    bool large;
    int64_t expire_ms;
};

struct rig {
    struct test_mem mem;
    struct memfile file;
    const struct rig_record *records;
    size_t count;
    struct nk_snap_foot foot; /* of the file that was written */
    uint64_t salt;
    int sys;            /* errno of what failed */
    int64_t most_bytes; /* of memory that writer or reader had at their end */
    uint64_t bad_at;
    const char *what;
};

static inline void *rig_must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

static inline void rig_init(struct rig *g, const struct rig_record *records, size_t count) {
    memset(g, 0, sizeof *g);
    test_mem_init(&g->mem);
    memfile_init(&g->file);
    g->records = records;
    g->count = count;
    g->salt = RIG_SALT;
}

static inline void rig_fini(struct rig *g) {
    memfile_fini(&g->file);
    test_mem_check_empty(&g->mem);
}

/* ---- records -----------------------------------------------------------------------------------*/

static inline uint64_t rig_version(size_t i) { return 1 + i * 7919 % RIG_LSN; }

static inline void rig_fill(const struct rig *g, size_t i, uint8_t *key, uint8_t *value) {
    const struct rig_record *r = &g->records[i];
    char number[24];
    int n = snprintf(number, sizeof number, "%zu.", i);
    memset(key, 'k', r->key_bytes);
    memcpy(key, number, r->key_bytes < (uint32_t)n ? r->key_bytes : (uint32_t)n);
    struct test_rng noise = {.state = i * 31 + r->value_bytes};
    for (size_t at = 0; at < r->value_bytes; at++)
        value[at] = r->noise ? (uint8_t)test_rng_next(&noise)
                             : (uint8_t) "all work and no play "[(at + i) % 21];
}

static inline struct nk_snaprec rig_record(const struct rig *g, size_t i, const uint8_t *key,
                                           const uint8_t *value) {
    const struct rig_record *r = &g->records[i];
    return (struct nk_snaprec){.key = key,
                               .value = value,
                               .key_bytes = r->key_bytes,
                               .value_bytes = r->value_bytes,
                               .version = rig_version(i),
                               .expire_ms = r->expire_ms,
                               .large = r->large};
}

/* ---- writing -----------------------------------------------------------------------------------*/

struct rig_stage {
    uint8_t *p;
    size_t n;
};

static inline int rig_flush(struct nk_snapwrite *w, struct rig_stage *s) {
    int rc = nk_snapwrite_records(w, s->p, s->n);
    s->n = 0;
    return rc;
}

/* rig_put: record i to the stage, or past it if it is large. */
static inline int rig_put(struct rig *g, struct nk_snapwrite *w, struct rig_stage *s, size_t i) {
    const struct rig_record *r = &g->records[i];
    size_t most = NK_SNAP_REC_HEAD_MAX + (size_t)r->key_bytes + r->value_bytes;
    int rc = NITRO_OK;
    if (s->n > 0 && (r->large || s->n + most > RIG_STAGE)) rc = rig_flush(w, s);
    if (rc != NITRO_OK) return rc;
    uint8_t *key = rig_must(malloc(most)), *value = key + r->key_bytes;
    rig_fill(g, i, key, value);
    struct nk_snaprec rec = rig_record(g, i, key, value);
    if (r->large) {
        rc = nk_snapwrite_large(w, &rec);
    } else {
        s->p = rig_must(realloc(s->p, s->n + most > RIG_STAGE ? s->n + most : RIG_STAGE));
        s->n += nk_snaprec_head(&rec, RIG_LSN, s->p + s->n);
        memcpy(s->p + s->n, key, (size_t)r->key_bytes + r->value_bytes);
        s->n += (size_t)r->key_bytes + r->value_bytes;
    }
    free(key);
    return rc;
}

static inline struct nk_snap_head rig_head(const struct rig *g) {
    struct nk_snap_head h = {.version = 1, .number = 3, .salt = g->salt, .lsn = RIG_LSN};
    memcpy(h.store, "sixteen bytes id", sizeof h.store);
    return h;
}

/* rig_write: all records to the file. */
static inline int rig_write(struct rig *g, enum nitro_compression how) {
    struct nk_snapwrite w;
    struct rig_stage s = {NULL, 0};
    struct nk_snap_head head = rig_head(g);
    int rc = nk_snapwrite_init(&w, &g->file.vfs, &g->mem.table, 3, &head, how);
    for (size_t i = 0; rc == NITRO_OK && i < g->count; i++) rc = rig_put(g, &w, &s, i);
    if (rc == NITRO_OK) rc = rig_flush(&w, &s);
    if (rc == NITRO_OK) rc = nk_snapwrite_finish(&w, RIG_TIME);
    if (rc == NITRO_OK) assert_true(w.at == g->file.size && g->file.synced == g->file.size);
    g->foot = w.foot;
    g->sys = w.sys;
    g->most_bytes = g->mem.bytes;
    nk_snapwrite_fini(&w);
    free(s.p);
    return rc;
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* rig_check: a record that came back is the one that its key says. */
static inline void rig_check(const struct rig *g, const struct nk_snaprec *got, bool *seen) {
    size_t i = 0;
    for (uint32_t at = 0; at < got->key_bytes && got->key[at] != '.'; at++)
        i = i * 10 + (size_t)(got->key[at] - '0');
    if (i >= g->count || seen[i]) test_fail("record %zu came back, or came back twice", i);
    seen[i] = true;
    const struct rig_record *r = &g->records[i];
    uint8_t *key = rig_must(malloc((size_t)r->key_bytes + r->value_bytes + 1));
    rig_fill(g, i, key, key + r->key_bytes);
    bool same = got->key_bytes == r->key_bytes && got->value_bytes == r->value_bytes &&
                got->version == rig_version(i) && got->expire_ms == r->expire_ms &&
                got->large == r->large && memcmp(got->key, key, r->key_bytes) == 0 &&
                memcmp(got->value, key + r->key_bytes, r->value_bytes) == 0;
    if (!same) test_fail("record %zu came back changed", i);
    free(key);
}

/* rig_drain: reads and checks the records of an open part; NITRO_ENOTFOUND at its end. */
static inline int rig_drain(struct rig *g, struct nk_snapread *r, bool *seen) {
    for (;;) {
        struct nk_snaprec rec;
        int rc = nk_snapread_next(r, false, &rec);
        if (rc != NITRO_OK) return rc;
        uint8_t *value = NULL;
        if (rec.large) {
            value = rig_must(malloc(rec.value_bytes));
            rc = nk_snapread_value(r, &rec, value);
        }
        if (rc == NITRO_OK) rig_check(g, &rec, seen);
        free(value);
        if (rc != NITRO_OK) return rc;
    }
}

/* rig_read: the whole file in `of` parts. NITRO_OK: all of it is right; NITRO_ECORRUPT also if the parts
 * together are not what the footer says. */
static inline int rig_read(struct rig *g, uint32_t of) {
    bool *seen = rig_must(calloc(g->count + 1, sizeof *seen));
    struct nk_snap_foot foot = {.keys = 0};
    uint64_t keys = 0, a = 0, b = 0;
    int rc = NITRO_ENOTFOUND;
    for (uint32_t part = 0; part < of && rc == NITRO_ENOTFOUND; part++) {
        struct nk_snapread r;
        rc = nk_snapread_open(&r, &g->file.vfs, &g->mem.table, 3, g->file.size);
        if (rc == NITRO_OK) {
            nk_snapread_part(&r, part, of);
            rc = rig_drain(g, &r, seen);
        }
        foot = r.foot;
        keys += r.keys;
        a += r.hash_a;
        b += r.hash_b;
        g->sys = r.sys;
        g->what = r.what;
        g->bad_at = r.bad_at;
        g->most_bytes = g->mem.bytes;
        assert_true((rc == NITRO_ECORRUPT) == (r.what != NULL) && r.bad_at <= g->file.size);
        nk_snapread_close(&r);
    }
    if (rc == NITRO_ENOTFOUND)
        rc = keys == foot.keys && a == foot.hash_a && b == foot.hash_b ? NITRO_OK : NITRO_ECORRUPT;
    for (size_t i = 0; i < g->count && rc == NITRO_OK; i++)
        if (!seen[i]) test_fail("record %zu is missing, and nobody noticed", i);
    free(seen);
    return rc;
}

#endif
