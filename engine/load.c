/* SPDX-License-Identifier: MIT
 *
 * load.c - loading the snapshot that a start begins with (L5).
 *
 * DESIGN
 *   Every part takes its share of the file's blocks, with a handle and a reader of its own, and puts what is in
 *   them wherever it belongs: two parts may meet in one segment, so its lock is taken for each entry. Records of one
 *   block are taken in groups, and each group's buckets are prefetched before the first of them is used. How many
 *   keys will come is known, so the tables get their buckets early, while few entries move with a split.
 *
 *   Each reader finds out whether the headers of all blocks are those of the file, and whether its own
 *   blocks are sound. What the parts have read altogether is compared with the footer by the last of them: keys,
 *   content hash, and the number of keys in the store, which is smaller if one came twice.
 *
 * NOT HERE  which snapshot (folder.c), the format (snapread.c), what the log says since then (replay.c).
 */
#include "recover.h"
#include "replay.h"
#include "mutant.h"

#define TELL_BYTES (1u << 20)

struct load {
    struct nk_db *db;
    struct nk_snapread file;
    uint32_t of;
    uint64_t buckets; /* that each segment's table will need */
    uint32_t count;   /* of the group */
    struct {
        struct nk_snaprec rec;
        struct nk_key key;
    } group[NK_REPLAY_GROUP];
    struct nitro_err *err;
};

static int damaged(struct load *p, const char *what) {
    return nk_snap_damage(p->db->folder, p->err, &p->db->folder->base, p->file.at, what);
}

/* ---- entries -----------------------------------------------------------------------------------*/

static int insert(struct load *p, const struct nk_snaprec *rec, struct nk_key *key,
                  struct nk_big *big) {
    struct nk_effect e = {
        .kind = NK_EFFECT_PUT, .expire_ms = NK_MUTATE(45, 0, rec->expire_ms), .big = big};
    uint64_t version = NK_MUTATE(41, p->db->folder->base.lsn, rec->version);
    if (big == NULL) {
        e.val = rec->value;
        e.bytes = rec->value_bytes;
    }
    struct nk_seg *s = nk_replay_lock(p->db, key->seg);
    int rc = nk_replay_put(s, key, &e, version, true);
    if (rc == NITRO_OK) nk_replay_widen(s, p->buckets);
    nk_seg_unlock(s);
    if (rc == NITRO_OK) return rc;
    if (rc == NITRO_ENOTSTORED) return damaged(p, "a key is in it twice");
    return nk_replay_failed(p->db, rc, p->err);
}

/* An entry whose value becomes a block of its own; it may lie in pieces. */
static int insert_big(struct load *p, struct nk_snaprec *rec, struct nk_key *key) {
    struct nk_big *big = nk_big_new(p->db, rec->large ? NULL : rec->value, rec->value_bytes);
    if (big == NULL) return nk_replay_failed(p->db, NITRO_ENOMEM, p->err);
    int rc = NITRO_OK;
    if (rec->large) {
        rc = nk_snapread_value(&p->file, rec, big->data);
        if (rc != NITRO_OK)
            rc = nk_snap_scan_failed(p->db->folder, p->err, &p->db->folder->base, &p->file, rc);
    }
    if (rc == NITRO_OK) rc = insert(p, rec, key, big);
    nk_big_release(p->db, big);
    return rc;
}

static int flush_group(struct load *p) {
    uint32_t count = p->count;
    p->count = 0;
    for (uint32_t i = 0; i < count; i++) nk_key_prefetch_entry(p->db, &p->group[i].key);
    for (uint32_t i = 0; i < count; i++) {
        struct nk_snaprec *rec = &p->group[i].rec;
        int rc = rec->value_bytes > NK_VALUE_BIG ? insert_big(p, rec, &p->group[i].key)
                                                 : insert(p, rec, &p->group[i].key, NULL);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* All records of the part. A large one stands alone in its group: its value has to be read before the next. */
static int read_records(struct load *p) {
    uint64_t told = 0;
    for (;;) {
        struct nk_snaprec *rec = &p->group[p->count].rec;
        int rc = nk_snapread_next(&p->file, p->count > 0, rec);
        if (rc == NITRO_ENOTFOUND) break;
        if (rc == NITRO_OK) {
            nk_key_init(p->db, rec->key, rec->key_bytes, &p->group[p->count].key);
            p->count++;
        } else if (rc != NITRO_EBUSY) {
            return nk_snap_scan_failed(p->db->folder, p->err, &p->db->folder->base, &p->file, rc);
        }
        if (rc == NITRO_EBUSY || rec->large || p->count == NK_REPLAY_GROUP) {
            rc = flush_group(p);
            if (rc != NITRO_OK) return rc;
        }
        if (p->file.at - told < TELL_BYTES) continue;
        nk_replay_tell(p->db, p->file.at - told, p->of);
        told = p->file.at;
    }
    nk_replay_tell(p->db, p->file.at - told, p->of);
    return NITRO_OK;
}

/* ---- the end -----------------------------------------------------------------------------------*/

/* By the last part, when nobody else changes anything. */
static int compare(struct load *p) {
    struct nk_db *db = p->db;
    const struct nk_snap_foot *f = &db->folder->base.foot;
    uint64_t keys = __atomic_load_n(&db->loaded.keys, __ATOMIC_RELAXED);
    if (keys != f->keys || nk_db_keys(db, NULL) != f->keys)
        return damaged(p, "it does not hold as many keys as its footer says");
    if (__atomic_load_n(&db->loaded.hash_a, __ATOMIC_RELAXED) != f->hash_a ||
        __atomic_load_n(&db->loaded.hash_b, __ATOMIC_RELAXED) != f->hash_b)
        return damaged(p, "its contents are not those that its footer says");
    for (uint32_t i = 0; i < db->segments; i++)
        __atomic_store_n(&db->seg[i].last_lsn, db->folder->base.lsn, __ATOMIC_RELAXED);
    return NITRO_OK;
}

static int end_part(struct load *p) {
    struct nk_db *db = p->db;
    __atomic_fetch_add(&db->loaded.keys, p->file.keys, __ATOMIC_RELAXED);
    __atomic_fetch_add(&db->loaded.hash_a, p->file.hash_a, __ATOMIC_RELAXED);
    __atomic_fetch_add(&db->loaded.hash_b, p->file.hash_b, __ATOMIC_RELAXED);
    bool last = __atomic_add_fetch(&db->loaded.parts, 1, __ATOMIC_ACQ_REL) == p->of;
    int rc = last ? compare(p) : NITRO_OK;
    if (last && rc == NITRO_OK) __atomic_store_n(&db->loaded.done, true, __ATOMIC_RELEASE);
    return rc;
}

/* ---- entry -------------------------------------------------------------------------------------*/

bool nk_load_done(const struct nk_db *db) {
    return db->folder->base.number == 0 || __atomic_load_n(&db->loaded.done, __ATOMIC_ACQUIRE);
}

int nk_load_part(struct nk_db *db, uint32_t part, uint32_t parts, struct nitro_err *err) {
    const struct nk_log *l = db->folder;
    if (l->base.number == 0) return NITRO_OK;
    struct load *p = nk_mem_zalloc(db->mem, sizeof *p);
    if (p == NULL) return nk_err_set(err, NITRO_ENOMEM, 0, "recover %s: out of memory", l->dir);
    p->db = db;
    p->of = parts;
    p->buckets = nk_replay_buckets(db, l->base.foot.keys);
    p->err = err;
    int rc = nk_snap_scan(l, &l->base, &p->file, err);
    if (rc == NITRO_OK) {
        nk_snapread_part(&p->file, part, parts);
        rc = read_records(p);
        if (rc == NITRO_OK) rc = end_part(p);
        nk_snap_scan_end(l, &p->file);
    }
    nk_mem_free(db->mem, p, sizeof *p);
    return rc;
}
