/* SPDX-License-Identifier: MIT
 *
 * model.c - the array that the model tests compare the engine with (see model.h).
 *
 * It repeats what nitro.h says about each call in the plainest way; there is nothing here to optimise
 * and nothing shared with the engine, so that a mistake would have to be made twice to stay hidden.
 */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collide.h"

static void *must(void *p) {
    if (p == NULL) test_fail("the model is out of memory");
    return p;
}

void model_init(struct model *m, uint32_t count, unsigned collide_bits, const uint8_t *seed) {
    *m = (struct model){
        .count = count, .collide_bits = collide_bits, .seed = seed, .now_ms = TEST_NOW};
    m->entries = must(calloc(count, sizeof *m->entries));
}

void model_fini(struct model *m) {
    model_flush(m);
    free(m->entries);
    *m = (struct model){0};
}

size_t model_key_bytes(const struct model *m, uint32_t i, uint8_t *out) {
    if (m->collide_bits > 0) return collide_key(m->seed, m->collide_bits, i, out);
    if (i == 0) return 0;
    if (i == 1) {
        memset(out, 'k', MODEL_KEY_MAX);
        return MODEL_KEY_MAX;
    }
    size_t n = (size_t)sprintf((char *)out, "key:%" PRIu32 ":", i);
    size_t pad = i % 7 == 0 ? i % 300 : i % 23;
    memset(out + n, 0, pad); /* NUL bytes: keys are binary */
    return n + pad;
}

/* ---- operations --------------------------------------------------------------------------------*/

static void drop(struct model_entry *e) {
    free(e->value);
    e->value = NULL;
    e->live = false;
}

static void store(struct model_entry *e, const void *value, size_t bytes, int64_t expire_ms) {
    uint8_t *copy = must(malloc(bytes + 1));
    if (bytes > 0) memcpy(copy, value, bytes);
    free(e->value);
    *e = (struct model_entry){.live = true,
                              .touch = MODEL_WRITTEN,
                              .value = copy,
                              .bytes = bytes,
                              .expire_ms = expire_ms,
                              .version_floor = e->version_floor};
}

struct model_entry *model_find(struct model *m, uint32_t i) {
    struct model_entry *e = &m->entries[i];
    if (e->live && e->expire_ms != 0 && e->expire_ms <= m->now_ms) drop(e);
    return e->live ? e : NULL;
}

int model_set(struct model *m, uint32_t i, const void *value, size_t bytes, unsigned flags,
              uint64_t expected, int64_t expire_ms) {
    struct model_entry *e = model_find(m, i);
    if ((flags & NITRO_SET_NX) && e != NULL) return NITRO_ENOTSTORED;
    if ((flags & NITRO_SET_XX) && e == NULL) return NITRO_ENOTSTORED;
    if ((flags & NITRO_SET_CAS) && (e == NULL ? 0 : e->version) != expected) return NITRO_EVERSION;
    if ((flags & NITRO_SET_KEEPTTL) && e != NULL) expire_ms = e->expire_ms;
    store(&m->entries[i], value, bytes, expire_ms);
    return NITRO_OK;
}

int model_delete(struct model *m, uint32_t i) {
    struct model_entry *e = model_find(m, i);
    if (e == NULL) return NITRO_ENOTFOUND;
    drop(e);
    return NITRO_OK;
}

/* parse_number: exactly what Redis takes for an integer: no blanks, no plus, no leading zeros. */
static bool parse_number(const struct model_entry *e, int64_t *out) {
    char text[24], back[24];
    if (e->bytes == 0 || e->bytes > 20) return false;
    memcpy(text, e->value, e->bytes);
    text[e->bytes] = 0;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    int n = snprintf(back, sizeof back, "%" PRId64, *out);
    return errno == 0 && (size_t)n == e->bytes && memcmp(back, text, e->bytes) == 0;
}

int model_incr(struct model *m, uint32_t i, int64_t delta, int64_t *result) {
    struct model_entry *e = model_find(m, i);
    int64_t old = 0, sum;
    char text[24];
    if (e != NULL && !parse_number(e, &old)) return NITRO_ENOTNUMBER;
    if (__builtin_add_overflow(old, delta, &sum)) return NITRO_EOVERFLOW;
    int n = snprintf(text, sizeof text, "%" PRId64, sum);
    store(&m->entries[i], text, (size_t)n, e == NULL ? 0 : e->expire_ms);
    *result = sum;
    return NITRO_OK;
}

int model_expire(struct model *m, uint32_t i, int64_t expire_ms) {
    struct model_entry *e = model_find(m, i);
    if (e == NULL) return NITRO_ENOTFOUND;
    if (e->touch == MODEL_SAME) e->touch = MODEL_EXPIRE;
    e->expire_ms = expire_ms;
    (void)model_find(m, i); /* drops it if that time is not after now */
    return NITRO_OK;
}

void model_flush(struct model *m) {
    for (uint32_t i = 0; i < m->count; i++) drop(&m->entries[i]);
}

/* ---- comparing ---------------------------------------------------------------------------------*/

void model_note_version(struct model *m, uint32_t i, uint64_t version) {
    struct model_entry *e = &m->entries[i];
    uint64_t least = e->touch == MODEL_WRITTEN ? e->version_floor + 1 : e->version_floor;
    if (version < least || (e->touch == MODEL_SAME && version > least))
        test_fail("key %" PRIu32 " has version %" PRIu64 " after %" PRIu64 " (touched: %d)", i,
                  version, e->version_floor, (int)e->touch);
    e->touch = MODEL_SAME;
    e->version = version;
    e->version_floor = version;
}

void model_check_key(struct model *m, nitro_store *s, uint32_t i) {
    static uint8_t key[MODEL_KEY_MAX];
    struct model_entry *e = model_find(m, i);
    struct nitro_info info = {0};
    size_t key_bytes = model_key_bytes(m, i, key);
    uint8_t *buf = must(malloc(e == NULL ? 1 : e->bytes + 1));
    int rc = nitro_get(s, m->now_ms, key, key_bytes, buf, e == NULL ? 0 : e->bytes, &info);
    if (rc != (e == NULL ? NITRO_ENOTFOUND : NITRO_OK))
        test_fail("key %" PRIu32 " is %s in the model, the engine says: %s", i,
                  e == NULL ? "absent" : "present", nitro_strerror(rc));
    if (e != NULL) {
        if (info.bytes != e->bytes || memcmp(buf, e->value, e->bytes) != 0)
            test_fail("key %" PRIu32 ": %" PRIu64 " bytes, not the %zu that were set", i,
                      info.bytes, e->bytes);
        if (info.expire_ms != e->expire_ms)
            test_fail("key %" PRIu32 " expires at %" PRId64 " instead of %" PRId64, i,
                      info.expire_ms, e->expire_ms);
        model_note_version(m, i, info.version);
    }
    free(buf);
}

/* What a scan has seen: how often each key came, by number. */
struct scan_state {
    struct model *m;
    uint32_t *seen;
    uint32_t *index; /* open addressing: key number + 1 by a hash of its bytes */
    uint32_t index_cap;
};

static uint32_t hash_bytes(const uint8_t *p, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 16777619u;
    return h ^ h >> 15;
}

static uint32_t *index_slot(const struct scan_state *st, const uint8_t *p, size_t n) {
    static uint8_t key[MODEL_KEY_MAX];
    uint32_t at = hash_bytes(p, n) & (st->index_cap - 1);
    for (;; at = (at + 1) & (st->index_cap - 1)) {
        uint32_t number = st->index[at];
        if (number == 0) return &st->index[at];
        if (model_key_bytes(st->m, number - 1, key) == n && memcmp(key, p, n) == 0)
            return &st->index[at];
    }
}

static void note_scanned(void *ctx, const void *key, size_t key_bytes,
                         const struct nitro_info *info) {
    struct scan_state *st = ctx;
    uint32_t number = *index_slot(st, key, key_bytes);
    if (number == 0) test_fail("the scan returned a key of %zu bytes nobody has set", key_bytes);
    const struct model_entry *e = model_find(st->m, number - 1);
    if (e == NULL) test_fail("the scan returned key %" PRIu32 ", which is gone", number - 1);
    if (info->bytes != e->bytes || info->expire_ms != e->expire_ms || info->version != e->version)
        test_fail("the scan describes key %" PRIu32 " wrongly", number - 1);
    st->seen[number - 1]++;
}

static void check_scan(struct model *m, nitro_store *s) {
    static uint8_t key[MODEL_KEY_MAX];
    struct scan_state st = {.m = m, .index_cap = 64};
    while (st.index_cap < m->count * 2) st.index_cap *= 2;
    st.seen = must(calloc(m->count, sizeof *st.seen));
    st.index = must(calloc(st.index_cap, sizeof *st.index));
    for (uint32_t i = 0; i < m->count; i++)
        *index_slot(&st, key, model_key_bytes(m, i, key)) = i + 1;
    uint64_t cursor = 0;
    do {
        int rc = nitro_scan(s, m->now_ms, &cursor, 64, note_scanned, &st, NULL);
        if (rc != NITRO_OK) test_fail("nitro_scan: %s", nitro_strerror(rc));
    } while (cursor != 0);
    for (uint32_t i = 0; i < m->count; i++)
        if (model_find(m, i) != NULL && st.seen[i] == 0)
            test_fail("the scan has missed key %" PRIu32, i);
    free(st.seen);
    free(st.index);
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* check_versions: the versions of live keys are all different. Returns how many there are. */
static uint64_t check_versions(struct model *m) {
    uint64_t *versions = must(calloc((size_t)m->count + 1, sizeof *versions));
    size_t n = 0;
    for (uint32_t i = 0; i < m->count; i++)
        if (model_find(m, i) != NULL) versions[n++] = m->entries[i].version;
    qsort(versions, n, sizeof *versions, compare_u64);
    for (size_t i = 1; i < n; i++)
        if (versions[i] == versions[i - 1])
            test_fail("two keys share the version %" PRIu64, versions[i]);
    free(versions);
    return n;
}

void model_check(struct model *m, nitro_store *s) {
    struct nitro_stats st;
    for (uint32_t i = 0; i < m->count; i++) model_check_key(m, s, i);
    check_scan(m, s);
    uint64_t live = check_versions(m);
    nitro_stats(s, &st);
    /* Entries whose time has come are counted until a step or a look-up has removed them. */
    if (st.keys < live || st.keys > m->count)
        test_fail("%" PRIu64 " keys are counted, %" PRIu64 " are live", st.keys, live);
}
