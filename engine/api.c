/* SPDX-License-Identifier: MIT
 *
 * api.c - direct use: one call, one effect on one key, or a batch of them (L5).
 */
#include "cache.h"
#include "db.h"
#include "fetch.h"
#include "mem.h"
#include "num.h"
#include "pack.h"
#include "store.h"

/* A key that is looked up, and its value, if that is needed; several times, if it has to be read. */
struct look {
    struct nk_db *db;
    struct nk_key k;
    struct nk_seg *seg; /* locked, or NULL */
    struct nk_item it;
    struct nk_fetch fetch;
};

static void begin(struct look *w, struct nk_db *db) {
    w->db = db;
    w->seg = NULL;
    w->fetch = (struct nk_fetch){0};
}

static void unlock(struct look *w) {
    if (w->seg != NULL) nk_seg_unlock(w->seg);
    w->seg = NULL;
}

/* What was found can be used no more. */
static void end(struct look *w) {
    unlock(w);
    if (NK_UNLIKELY(w->fetch.tries != 0)) nk_fetch_free(&w->fetch, w->db);
}

static int find(struct look *w, nitro_store *s, int64_t now_ms, const void *key, size_t n,
                bool count) {
    if (n > NITRO_KEY_MAX) return NITRO_EKEYSIZE;
    if (NK_UNLIKELY(s->db.loading)) return NITRO_ELOADING;
    nk_key_init(&s->db, key, (uint32_t)n, &w->k);
    struct nk_seg *seg = nk_db_seg(&s->db, w->k.seg);
    if (!nk_seg_lock(seg)) return NITRO_EBUSY;
    w->seg = seg;
    nk_seg_find(seg, &w->k, now_ms, count, &w->it);
    return NITRO_OK;
}

/* The same, with the value of what is found. */
static int find_value(struct look *w, nitro_store *s, int64_t now_ms, const void *key, size_t n,
                      bool count) {
    for (;;) {
        int rc = find(w, s, now_ms, key, n, count && w->fetch.tries == 0);
        if (rc != NITRO_OK || NK_LIKELY(!w->it.away)) return rc;
        rc = nk_fetch_get(&w->fetch, w->seg, &w->k, &w->it);
        if (rc == NITRO_OK) return rc;
        unlock(w);
        if (rc != NITRO_AWAY) return rc;
        nk_fetch_run(&w->fetch, w->db);
    }
}

static void fill_info(const struct nk_item *it, struct nitro_info *info) {
    *info = (struct nitro_info){.version = it->version,
                                .expire_ms = it->expire_ms,
                                .bytes = it->bytes,
                                .shown_lsn = it->shown};
}

/* What a write answers: the version that it made, or what its refusal shows. */
static void fill_written(int code, const struct nk_item *it, uint64_t version,
                         struct nitro_info *info) {
    if (info == NULL) return;
    if (code == NITRO_OK)
        *info = (struct nitro_info){.version = version, .shown_lsn = version};
    else
        info->shown_lsn = it->shown;
}

/* Copies what was found, and ends. */
static int copy_out(struct look *w, void *buf, size_t cap, struct nitro_info *info) {
    struct nk_item *it = &w->it;
    size_t n = it->bytes < cap ? it->bytes : cap;
    if (it->found && it->big != NULL)
        nk_big_retain(it->big);
    else if (it->found && n > 0)
        memcpy(buf, it->val, n);
    unlock(w);
    info->shown_lsn = it->shown;
    if (it->found) fill_info(it, info);
    if (it->found && it->big != NULL) {
        if (n > 0) memcpy(buf, it->big->data, n);
        nk_big_release(w->db, it->big);
    }
    end(w);
    return it->found ? NITRO_OK : NITRO_ENOTFOUND;
}

/* The value of what may have been found away; w is locked, and ends. */
static int get_found(struct look *w, nitro_store *s, int64_t now_ms, const void *key,
                     size_t key_bytes, void *buf, size_t cap, struct nitro_info *info) {
    if (NK_UNLIKELY(w->it.away)) {
        unlock(w);
        int rc = find_value(w, s, now_ms, key, key_bytes, false);
        if (rc != NITRO_OK) {
            end(w);
            return rc;
        }
    }
    if (NK_UNLIKELY(w->it.found && w->it.loc != 0)) nk_cache_found(w->seg, &w->it);
    return copy_out(w, buf, cap, info);
}

int nitro_get(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, void *buf,
              size_t cap, struct nitro_info *info) {
    struct look w;
    begin(&w, &s->db);
    int rc = find(&w, s, now_ms, key, key_bytes, true);
    if (rc != NITRO_OK) return rc;
    return get_found(&w, s, now_ms, key, key_bytes, buf, cap, info);
}

int nitro_get_away(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, void *buf,
                   size_t cap, struct nitro_info *info, struct nitro_away *away) {
    struct look w;
    begin(&w, &s->db);
    int rc = find(&w, s, now_ms, key, key_bytes, true);
    if (rc != NITRO_OK) return rc;
    if (!w.it.away || !nk_fetch_hold(w.db, &w.it))
        return get_found(&w, s, now_ms, key, key_bytes, buf, cap, info);
    away->loc = w.it.loc;
    away->bytes = nk_loc_bytes(w.it.loc);
    away->keep = nk_cache_missed(w.seg, &w.it);
    info->shown_lsn = w.it.shown;
    unlock(&w);
    return NITRO_AWAY;
}

int nitro_fetch(nitro_store *s, const void *key, size_t key_bytes, void *buf, size_t cap,
                struct nitro_info *info, struct nitro_away *away) {
    struct nk_item it;
    struct nk_file *file = nk_file_at(s->db.files, nk_loc_slot(away->loc));
    if (away->keep) nk_file_pin(file); /* so that the location means the same in nitro_keep */
    int rc = nk_fetch_one(&s->db, away->loc, key, key_bytes, buf, cap, &it);
    if (away->keep && (rc != NITRO_OK || it.bytes > cap || it.bytes > NK_CACHE_VALUE_MAX)) {
        nk_file_unpin(file);
        away->keep = 0;
    }
    if (!away->keep) away->loc = 0;
    if (rc != NITRO_OK) return rc;
    info->version = it.version;
    info->expire_ms = it.expire_ms;
    info->bytes = it.bytes;
    return NITRO_OK;
}

void nitro_keep(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                const void *value, const struct nitro_info *info, struct nitro_away *away) {
    struct look w;
    begin(&w, &s->db);
    int rc = find(&w, s, now_ms, key, key_bytes, false);
    if (rc == NITRO_OK && w.it.found && w.it.away && w.it.loc == away->loc) {
        w.it.val = value;
        w.it.bytes = info->bytes;
        w.it.version = info->version;
        nk_cache_keep(w.seg, &w.it);
    }
    end(&w);
    nk_file_unpin(nk_file_at(s->db.files, nk_loc_slot(away->loc)));
    *away = (struct nitro_away){0};
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
    struct look w;
    begin(&w, &s->db);
    int rc = flags & NITRO_SET_CAS ? find_value(&w, s, now_ms, key, key_bytes, false)
                                   : find(&w, s, now_ms, key, key_bytes, false);
    if (w.seg == NULL) {
        end(&w);
        return rc;
    }
    uint64_t version = 0;
    rc = check_set(&w.it, flags, expected);
    if (rc == NITRO_OK) {
        if ((flags & NITRO_SET_KEEPTTL) && e->expire_ms != w.it.expire_ms) {
            e->expire_ms = w.it.expire_ms;
            e->crc = 0;
        }
        rc = nk_seg_put(w.seg, &w.k, &w.it, e, now_ms, &version);
    }
    end(&w);
    fill_written(rc, &w.it, version, info);
    if (rc == NITRO_OK && info != NULL) {
        info->expire_ms = e->expire_ms;
        info->bytes = bytes;
    }
    return rc;
}

/* What puts a value in this form. */
static struct nk_effect put_of(const struct nk_form *f, int64_t expire_ms) {
    return (struct nk_effect){.kind = NK_EFFECT_PUT,
                              .val = f->val,
                              .bytes = f->bytes,
                              .big = f->big,
                              .packed = f->packed,
                              .expire_ms = expire_ms};
}

int nitro_set(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes, const void *value,
              size_t value_bytes, unsigned flags, uint64_t expected, int64_t expire_ms,
              struct nitro_info *info) {
    struct nk_pack pack = {0};
    struct nk_form f;
    if (value_bytes > s->db.max_value) return NITRO_EVALUESIZE;
    if (expire_ms < 0) return NITRO_EARGUMENT;
    int rc = nk_pack_value(&s->db, &pack, value, value_bytes, &f);
    if (rc != NITRO_OK) return rc;
    struct nk_effect e = put_of(&f, expire_ms);
    if (f.big != NULL && key_bytes <= NITRO_KEY_MAX)
        nk_effect_crc(&s->db, &(struct nk_key){.p = key, .n = (uint32_t)key_bytes}, &e);
    rc = set_effect(s, now_ms, key, key_bytes, &e, flags, expected, value_bytes, info);
    if (f.big != NULL) nk_big_release(&s->db, f.big);
    nk_pack_drop(&s->db, &pack);
    return rc;
}

int nitro_delete(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                 struct nitro_info *info) {
    struct look w;
    begin(&w, &s->db);
    int rc = find(&w, s, now_ms, key, key_bytes, false);
    if (rc != NITRO_OK) return rc;
    uint64_t version = 0;
    struct nk_effect e = {.kind = NK_EFFECT_DELETE};
    rc = w.it.found ? nk_seg_put(w.seg, &w.k, &w.it, &e, now_ms, &version) : NITRO_ENOTFOUND;
    end(&w);
    fill_written(rc, &w.it, version, info);
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
               int64_t *result, struct nitro_info *info) {
    struct look w;
    int64_t sum = 0;
    begin(&w, &s->db);
    int rc = find_value(&w, s, now_ms, key, key_bytes, false);
    if (w.seg == NULL) {
        end(&w);
        return rc;
    }
    uint64_t version = 0;
    rc = add_number(&w.it, delta, &sum);
    if (rc == NITRO_OK) {
        uint8_t text[NK_NUM_MAX];
        struct nk_effect e = {.kind = NK_EFFECT_PUT, .val = text, .expire_ms = w.it.expire_ms};
        e.bytes = (uint32_t)(nk_num_put_i64(text, sum) - text);
        rc = nk_seg_put(w.seg, &w.k, &w.it, &e, now_ms, &version);
    }
    end(&w);
    fill_written(rc, &w.it, version, info);
    if (rc == NITRO_OK) *result = sum;
    return rc;
}

/* A put of the value that was found, with a new expiry. A large one's checksum is not computed under the lock, unless the
 * key has changed meanwhile. */
static int rewrite(struct look *w, nitro_store *s, int64_t now_ms, int64_t expire_ms,
                   uint64_t *version) {
    struct nk_form f = nk_store_form(&w->it);
    struct nk_effect e = put_of(&f, expire_ms);
    if (e.big != NULL) {
        uint64_t loc = w->it.loc;
        unlock(w);
        nk_effect_crc(w->db, &w->k, &e);
        int rc = find_value(w, s, now_ms, w->k.p, w->k.n, false);
        if (rc != NITRO_OK) return rc;
        if (!w->it.found) return NITRO_ENOTFOUND;
        uint32_t crc = w->it.loc == loc ? e.crc : 0;
        f = nk_store_form(&w->it);
        e = put_of(&f, expire_ms);
        e.crc = crc;
    }
    return nk_seg_put(w->seg, &w->k, &w->it, &e, now_ms, version);
}

int nitro_expire(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                 int64_t expire_ms, struct nitro_info *info) {
    struct look w;
    if (expire_ms < 0) return NITRO_EARGUMENT;
    bool gone = expire_ms != 0 && expire_ms <= now_ms, anew = !gone && nk_seg_rewrites(&s->db);
    begin(&w, &s->db);
    int rc = anew ? find_value(&w, s, now_ms, key, key_bytes, false)
                  : find(&w, s, now_ms, key, key_bytes, false);
    if (w.seg == NULL) {
        end(&w);
        return rc;
    }
    uint64_t version = 0;
    struct nk_effect e = {.kind = gone ? NK_EFFECT_DELETE : NK_EFFECT_EXPIRE,
                          .expire_ms = gone ? 0 : expire_ms};
    if (!w.it.found)
        rc = NITRO_ENOTFOUND;
    else if (anew)
        rc = rewrite(&w, s, now_ms, expire_ms, &version);
    else
        rc = nk_seg_put(w.seg, &w.k, &w.it, &e, now_ms, &version);
    end(&w);
    fill_written(rc, &w.it, version, info);
    if (anew && rc == NITRO_ELOGFULL && info != NULL) info->bytes = w.it.bytes;
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
               void *ctx, uint64_t *shown_lsn) {
    struct scan_call c = {.fn = fn, .ctx = ctx};
    uint64_t seen = 0;
    if (s->db.loading) return NITRO_ELOADING;
    int rc = nk_db_scan(&s->db, now_ms, cursor, count, pass_on, &c, &seen, NULL);
    if (rc == NITRO_OK && shown_lsn != NULL) *shown_lsn = seen;
    return rc;
}

int nitro_move(nitro_store *s, int64_t now_ms, const void *from, size_t from_bytes, const void *to,
               size_t to_bytes, unsigned flags, struct nitro_info *info) {
    struct nk_key source, target;
    if (s->db.loading) return NITRO_ELOADING;
    if (from_bytes > NITRO_KEY_MAX || to_bytes > NITRO_KEY_MAX) return NITRO_EKEYSIZE;
    nk_key_init(&s->db, from, (uint32_t)from_bytes, &source);
    nk_key_init(&s->db, to, (uint32_t)to_bytes, &target);
    struct nk_move mv = {.from = &source,
                         .to = &target,
                         .keep = (flags & NITRO_MOVE_KEEP) != 0,
                         .only_new = (flags & NITRO_MOVE_NX) != 0};
    struct nk_fetch fetch = {0};
    mv.fetch = &fetch;
    int rc;
    while ((rc = nk_db_move(&s->db, &mv, now_ms)) == NITRO_AWAY) nk_fetch_run(&fetch, &s->db);
    if (fetch.tries != 0) nk_fetch_free(&fetch, &s->db);
    bool told = rc == NITRO_OK || rc == NITRO_ENOTFOUND || rc == NITRO_ENOTSTORED;
    if (told && info != NULL) info->shown_lsn = nk_max_u64(mv.shown, mv.last_lsn);
    return rc;
}

/* ---- batches -----------------------------------------------------------------------------------*/

/* What a batch needs beside its keys, in one piece of memory, and what packed values lie in. */
struct batch_memory {
    void *p;
    size_t bytes;
    struct nk_pack pack;
    struct nk_batch b;
};

static bool batch_memory(struct nk_db *db, uint32_t count, struct batch_memory *m) {
    size_t list = nk_min_u64(count, db->segments) + 1;
    size_t keys = count * sizeof *m->b.m, times = count * sizeof *m->b.expiries;
    size_t map = count > NK_BATCH_SHORT ? NITRO_SEGMENTS_MAX / 8 : 0;
    m->bytes =
        keys + times + map + nk_round_up(nk_max_u64(list, NK_BATCH_SHORT) * sizeof(uint32_t), 8);
    m->p = nk_mem_zalloc(db->mem, m->bytes);
    m->pack = (struct nk_pack){0};
    if (m->p == NULL) return false;
    uint8_t *at = m->p;
    m->b = (struct nk_batch){.m = (void *)at,
                             .count = count,
                             .expiries = (void *)(at + keys),
                             .map = (void *)(at + keys + times),
                             .segs = (void *)(at + keys + times + map)};
    return true;
}

/* Takes one operation over; a large value is copied to where it will stay. */
static int take_op(struct nk_db *db, const struct nitro_op *op, struct nk_pack *pack,
                   struct nk_multi *m, int64_t *expire_ms) {
    struct nk_form f;
    if (op->key_bytes > NITRO_KEY_MAX) return NITRO_EKEYSIZE;
    if (op->value_bytes > db->max_value) return NITRO_EVALUESIZE;
    if (op->expire_ms < 0) return NITRO_EARGUMENT;
    nk_key_init(db, op->key, (uint32_t)op->key_bytes, &m->key);
    m->remove = op->remove != 0;
    *expire_ms = op->expire_ms;
    if (m->remove) return NITRO_OK;
    int rc = nk_pack_value(db, pack, op->value, op->value_bytes, &f);
    if (rc != NITRO_OK) return rc;
    m->val = f.val;
    m->val_len = f.bytes;
    m->big = f.big;
    m->packed = f.packed;
    return NITRO_OK;
}

int nitro_write(nitro_store *s, int64_t now_ms, const struct nitro_op *ops, uint32_t count,
                struct nitro_info *info) {
    struct nk_db *db = &s->db;
    struct batch_memory m;
    if (db->loading) return NITRO_ELOADING;
    if (count == 0) return NITRO_EARGUMENT;
    if (!batch_memory(db, count, &m)) return NITRO_ENOMEM;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < count && rc == NITRO_OK; i++)
        rc = take_op(db, &ops[i], &m.pack, &m.b.m[i], (int64_t *)(uintptr_t)&m.b.expiries[i]);
    if (rc == NITRO_OK) rc = nk_db_batch(db, &m.b, now_ms);
    if (rc == NITRO_OK && info != NULL)
        *info = (struct nitro_info){.version = m.b.last_lsn,
                                    .shown_lsn = nk_max_u64(m.b.last_lsn, m.b.shown)};
    for (uint32_t i = 0; i < count; i++)
        if (m.b.m[i].big != NULL) nk_big_release(db, m.b.m[i].big);
    nk_pack_drop(db, &m.pack);
    nk_mem_free(db->mem, m.p, m.bytes);
    return rc;
}
