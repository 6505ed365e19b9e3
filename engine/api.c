/* SPDX-License-Identifier: MIT
 *
 * api.c - direct use: one call, one effect on one key (L5).
 */
#include "db.h"
#include "num.h"

/* The key and its segment, locked. */
static int open_key(nitro_store *s, const void *key, size_t n, struct nk_key *k,
                    struct nk_seg **seg) {
    if (n > NITRO_KEY_MAX) return NITRO_EKEYSIZE;
    nk_key_init(&s->db, key, (uint32_t)n, k);
    *seg = nk_db_seg(&s->db, k->seg);
    return nk_seg_lock(*seg) ? NITRO_OK : NITRO_EBUSY;
}

static void fill_info(const struct nk_item *it, struct nitro_info *info) {
    *info =
        (struct nitro_info){.version = it->version, .expire_ms = it->expire_ms, .bytes = it->bytes};
}

int nitro_get(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, void *buf,
              size_t cap, struct nitro_info *info) {
    struct nk_key k;
    struct nk_seg *seg;
    struct nk_item it;
    int rc = open_key(s, key, key_bytes, &k, &seg);
    if (rc != NITRO_OK) return rc;
    nk_seg_find(seg, &k, now_ms, true, &it);
    size_t n = it.bytes < cap ? it.bytes : cap;
    if (it.found && it.big != NULL)
        nk_big_retain(it.big);
    else if (it.found && n > 0)
        memcpy(buf, it.val, n);
    nk_seg_unlock(seg);
    if (!it.found) return NITRO_ENOTFOUND;
    fill_info(&it, info);
    if (it.big != NULL) {
        if (n > 0) memcpy(buf, it.big->data, n);
        nk_big_release(&s->db, it.big);
    }
    return NITRO_OK;
}

/* Whether the flags of a set allow it. */
static int check_set(const struct nk_item *it, unsigned flags, uint64_t expected) {
    if ((flags & NITRO_SET_NX) && it->found) return NITRO_ENOTSTORED;
    if ((flags & NITRO_SET_XX) && !it->found) return NITRO_ENOTSTORED;
    if ((flags & NITRO_SET_CAS) && it->version != expected) return NITRO_EVERSION;
    return NITRO_OK;
}

/* A put of an effect under conditions. */
static int set_effect(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                      struct nk_effect *e, unsigned flags, uint64_t expected, uint64_t bytes,
                      struct nitro_info *info) {
    struct nk_key k;
    struct nk_seg *seg;
    struct nk_item it;
    int rc = open_key(s, key, key_bytes, &k, &seg);
    if (rc != NITRO_OK) return rc;
    nk_seg_find(seg, &k, now_ms, false, &it);
    rc = check_set(&it, flags, expected);
    if (rc == NITRO_OK) {
        uint64_t version = 0;
        if (flags & NITRO_SET_KEEPTTL) e->expire_ms = it.expire_ms;
        rc = nk_seg_put(seg, &k, &it, e, now_ms, &version);
        if (rc == NITRO_OK && info != NULL)
            *info =
                (struct nitro_info){.version = version, .expire_ms = e->expire_ms, .bytes = bytes};
    }
    nk_seg_unlock(seg);
    return rc;
}

int nitro_set(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, const void *value,
              size_t value_bytes, unsigned flags, uint64_t expected, int64_t expire_ms,
              struct nitro_info *info) {
    if (value_bytes > s->db.max_value) return NITRO_EVALUESIZE;
    if (expire_ms < 0) return NITRO_EARGUMENT;
    struct nk_effect e = {.kind = NK_EFFECT_PUT, .expire_ms = expire_ms};
    if (value_bytes > NK_VALUE_BIG) {
        if (!nk_db_room(&s->db, value_bytes)) return NITRO_EMAXMEMORY;
        e.big = nk_big_new(&s->db, value, value_bytes);
        if (e.big == NULL) return NITRO_ENOMEM;
    } else {
        e.val = value;
        e.bytes = (uint32_t)value_bytes;
    }
    int rc = set_effect(s, now_ms, key, key_bytes, &e, flags, expected, value_bytes, info);
    if (e.big != NULL) nk_big_release(&s->db, e.big);
    return rc;
}

int nitro_delete(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes) {
    struct nk_key k;
    struct nk_seg *seg;
    struct nk_item it;
    int rc = open_key(s, key, key_bytes, &k, &seg);
    if (rc != NITRO_OK) return rc;
    nk_seg_find(seg, &k, now_ms, false, &it);
    struct nk_effect e = {.kind = NK_EFFECT_DELETE};
    rc = it.found ? nk_seg_put(seg, &k, &it, &e, now_ms, NULL) : NITRO_ENOTFOUND;
    nk_seg_unlock(seg);
    return rc;
}

/* The sum of a found item's number (or 0) and delta. */
static int add_number(const struct nk_item *it, int64_t delta, int64_t *sum) {
    int64_t old = 0;
    if (it->found && (it->big != NULL || !nk_num_i64(it->val, it->bytes, &old)))
        return NITRO_ENOTNUMBER;
    return __builtin_add_overflow(old, delta, sum) ? NITRO_EOVERFLOW : NITRO_OK;
}

int nitro_incr(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, int64_t delta,
               int64_t *result) {
    struct nk_key k;
    struct nk_seg *seg;
    struct nk_item it;
    int64_t sum = 0;
    int rc = open_key(s, key, key_bytes, &k, &seg);
    if (rc != NITRO_OK) return rc;
    nk_seg_find(seg, &k, now_ms, false, &it);
    rc = add_number(&it, delta, &sum);
    if (rc == NITRO_OK) {
        uint8_t text[NK_NUM_MAX];
        struct nk_effect e = {.kind = NK_EFFECT_PUT, .val = text, .expire_ms = it.expire_ms};
        e.bytes = (uint32_t)(nk_num_put_i64(text, sum) - text);
        rc = nk_seg_put(seg, &k, &it, &e, now_ms, NULL);
    }
    nk_seg_unlock(seg);
    if (rc == NITRO_OK) *result = sum;
    return rc;
}

int nitro_expire(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                 int64_t expire_ms) {
    struct nk_key k;
    struct nk_seg *seg;
    struct nk_item it;
    if (expire_ms < 0) return NITRO_EARGUMENT;
    int rc = open_key(s, key, key_bytes, &k, &seg);
    if (rc != NITRO_OK) return rc;
    nk_seg_find(seg, &k, now_ms, false, &it);
    struct nk_effect e = {.kind = NK_EFFECT_EXPIRE, .expire_ms = expire_ms};
    if (expire_ms != 0 && expire_ms <= now_ms) e = (struct nk_effect){.kind = NK_EFFECT_DELETE};
    rc = it.found ? nk_seg_put(seg, &k, &it, &e, now_ms, NULL) : NITRO_ENOTFOUND;
    nk_seg_unlock(seg);
    return rc;
}

struct scan_call {
    nitro_scan_fn *fn;
    void *ctx;
};

static void pass_on(void *ctx, const struct nk_scan_entry *e) {
    const struct scan_call *c = ctx;
    struct nitro_info info = {.version = e->version, .expire_ms = e->expire_ms, .bytes = e->bytes};
    c->fn(c->ctx, e->key, e->key_bytes, &info);
}

int nitro_scan(nitro_store *s, int64_t now_ms, uint64_t *cursor, uint32_t count, nitro_scan_fn *fn,
               void *ctx) {
    struct scan_call c = {.fn = fn, .ctx = ctx};
    return nk_db_scan(&s->db, now_ms, cursor, count, pass_on, &c);
}
