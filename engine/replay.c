/* SPDX-License-Identifier: MIT
 *
 * replay.c - opening a store on a data folder: loading the segments from the log (L5).
 *
 * DESIGN
 *   Every part reads the heads of all records, in order, and applies those of its own segments; the CRC is
 *   computed by the part that applies. So parts share nothing, need no barrier, and a FLUSH is each
 *   part's own business. Records are taken in groups that lie in one stretch of the read buffer, and
 *   each group's buckets and entries are prefetched before the first of them is applied.
 *
 *   Nothing expires during a replay: a later record may give an entry that has expired by now a new time.
 *   What has expired is invisible afterwards, as always, and reclaimed by the EXPIRE step.
 *
 * NOT HERE  which files, and up to which LSN (recover.c).
 */
#include "db.h"
#include "recover.h"
#include "mutant.h"

#define GROUP 32u
#define PARTS_MAX 64u

struct part {
    struct nk_db *db;
    uint32_t number, of;
    uint32_t count; /* of the group */
    struct {
        struct nk_placed rec;
        struct nk_key key;
    } group[GROUP];
    const struct nk_live *file;
    struct nitro_err *err;
};

/* ---- applying ----------------------------------------------------------------------------------*/

/* nk_seg_reserve gives up after a bounded spin on the pool's lock, which other parts use as well. */
static int put(struct nk_seg *s, struct nk_key *k, const struct nk_effect *e, uint64_t lsn) {
    struct nk_item it;
    struct nk_resv r;
    int rc;
    do {
        nk_seg_find(s, k, 0, false, &it);
        if (!it.found && e->kind != NK_EFFECT_PUT) return NITRO_OK;
        rc = nk_seg_reserve(s, k, &it, e, &r);
    } while (rc == NITRO_EBUSY);
    if (rc == NITRO_OK) nk_seg_apply(s, k, &it, e, &r, 0, lsn);
    return rc;
}

static int apply(struct nk_db *db, const struct nk_record *rec, struct nk_key *k) {
    static const enum nk_effect_kind kinds[] = {
        [NK_REC_PUT] = NK_EFFECT_PUT,
        [NK_REC_DELETE] = NK_EFFECT_DELETE,
        [NK_REC_EXPIRE] = NK_EFFECT_EXPIRE,
    };
    struct nk_effect e = {.kind = kinds[rec->kind],
                          .val = rec->value,
                          .bytes = rec->value_bytes,
                          .expire_ms = NK_MUTATE(24, 0, rec->expire_ms)};
    struct nk_big *big = NULL;
    if (rec->value_bytes > NK_VALUE_BIG) {
        big = nk_big_new(db, rec->value, rec->value_bytes);
        if (big == NULL) return NITRO_ENOMEM;
        e.big = big;
        e.val = NULL;
        e.bytes = 0;
    }
    struct nk_seg *s = nk_db_seg(db, k->seg);
    while (!nk_seg_lock(s)) {} /* nobody else uses it: statistics take no lock */
    int rc = put(s, k, &e, rec->lsn);
    nk_seg_unlock(s);
    if (big != NULL) nk_big_release(db, big);
    return rc;
}

static void clear_segments(struct part *p, uint64_t lsn) {
    for (uint32_t i = p->number; i < p->db->segments; i += p->of) {
        nk_seg_clear(&p->db->seg[i]);
        p->db->seg[i].last_lsn = lsn;
    }
}

/* Checks and applies the records of the group. */
static int flush_group(struct part *p) {
    struct nk_db *db = p->db;
    for (uint32_t i = 0; i < p->count; i++) nk_key_prefetch_entry(db, &p->group[i].key);
    for (uint32_t i = 0; i < p->count; i++) nk_key_prefetch_over(db, &p->group[i].key);
    for (uint32_t i = 0; i < p->count; i++) {
        const struct nk_placed *rec = &p->group[i].rec;
        if (!nk_record_check(rec->p, rec->bytes, &rec->r, rec->offset, p->file->salt))
            return nk_recover_damage(db->log, p->err, p->file->number, rec->offset, rec->r.lsn,
                                     "the record's checksum is wrong");
        int rc = apply(db, &rec->r, &p->group[i].key);
        if (rc != NITRO_OK)
            return nk_err_set(
                p->err, rc, 0, "load %s: %s after %llu keys; give the process more memory",
                db->log->dir, nitro_strerror(rc), (unsigned long long)nk_db_keys(db, NULL));
    }
    p->count = 0;
    return NITRO_OK;
}

/* One record: into the group, if its segment is of this part. */
static int take(struct part *p, const struct nk_placed *rec) {
    if (rec->r.kind == NK_REC_FLUSH) {
        int rc = flush_group(p);
        if (rc != NITRO_OK) return rc;
        if (!nk_record_check(rec->p, rec->bytes, &rec->r, rec->offset, p->file->salt))
            return nk_recover_damage(p->db->log, p->err, p->file->number, rec->offset, rec->r.lsn,
                                     "the record's checksum is wrong");
        if (NK_MUTATE(26, false, true)) clear_segments(p, rec->r.lsn);
        return NITRO_OK;
    }
    uint32_t seg = nk_key_seg(p->db, rec->r.key, rec->r.key_bytes);
    if (seg % p->of != p->number || NK_MUTATE(25, rec->r.kind == NK_REC_DELETE, false))
        return NITRO_OK;
    nk_key_init(p->db, rec->r.key, rec->r.key_bytes, &p->group[p->count].key);
    p->group[p->count].rec = *rec;
    return ++p->count < GROUP ? NITRO_OK : flush_group(p);
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* The next record of the file, whatever frame it is in. NITRO_EBUSY: the group has to be applied first. */
static int next(struct nk_logscan *s, struct nk_placed *rec) {
    for (;;) {
        if (s->frame_end != 0) {
            int rc = nk_logscan_record(s, false, rec);
            if (rc != NITRO_ENOTFOUND) return rc;
        }
        uint64_t want = s->frame_end != 0 ? s->lsn : s->first_lsn;
        int rc = nk_logscan_frame(s);
        if (rc == NITRO_OK && s->lsn != want) return NITRO_ECORRUPT;
        if (rc != NITRO_OK) return rc == NITRO_ENOTFOUND ? NITRO_ECORRUPT : rc;
    }
}

static int read_file(struct part *p, uint64_t last, struct nitro_err *err) {
    struct nk_log *l = p->db->log;
    struct nk_logscan s;
    int rc = nk_live_scan(l, p->file, &s, err);
    if (rc != NITRO_OK) return rc;
    uint64_t told = 0, lsn = 0;
    while (rc == NITRO_OK && lsn < last) {
        struct nk_placed rec;
        s.hold = p->count > 0;
        rc = next(&s, &rec);
        if (rc == NITRO_EBUSY) {
            rc = flush_group(p);
            continue;
        }
        if (rc == NITRO_ECORRUPT) {
            uint64_t missing = s.frame_end != 0 ? s.lsn : s.first_lsn;
            rc = nk_recover_damage(l, err, p->file->number, s.at, missing,
                                   "the record is missing or not valid");
        } else if (rc != NITRO_OK) {
            rc = nk_live_scan_failed(l, err, p->file, &s, rc);
        } else {
            lsn = rec.r.lsn;
            rc = take(p, &rec);
        }
        if (s.at - told >= 1u << 20) {
            __atomic_fetch_add(&p->db->replayed_bytes, s.at - told, __ATOMIC_RELAXED);
            told = s.at;
        }
    }
    if (rc == NITRO_OK) rc = flush_group(p);
    __atomic_fetch_add(&p->db->replayed_bytes, s.at - told, __ATOMIC_RELAXED);
    nk_live_scan_end(l, &s);
    return rc;
}

/* ---- entry -------------------------------------------------------------------------------------*/

int nitro_recover_scan(nitro_store *store, int64_t now_ms, struct nitro_recovery *out,
                       struct nitro_err *err) {
    struct nk_db *db = &store->db;
    (void)now_ms;
    if (db->log == NULL || !db->loading)
        return nk_err_set(err, NITRO_EARGUMENT, 0, "recover: the store has no log to recover");
    int rc = nk_recover_scan(db->log, err);
    if (rc != NITRO_OK) return rc;
    __atomic_store_n(&db->replay_bytes, db->log->found.bytes, __ATOMIC_RELAXED);
    *out = db->log->found;
    return NITRO_OK;
}

int nitro_recover_replay(nitro_store *store, uint32_t part, uint32_t parts, struct nitro_err *err) {
    struct nk_db *db = &store->db;
    if (db->log == NULL || !db->loading || parts == 0 || parts > PARTS_MAX || part >= parts)
        return nk_err_set(err, NITRO_EARGUMENT, 0, "recover: part %u of %u", part, parts);
    __atomic_store_n(&db->replay_parts, parts, __ATOMIC_RELAXED);
    struct part *p = nk_mem_zalloc(db->mem, sizeof *p);
    if (p == NULL) return nk_err_set(err, NITRO_ENOMEM, 0, "recover: out of memory");
    p->db = db;
    p->number = part;
    p->of = parts;
    p->err = err;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < db->log->live_count && rc == NITRO_OK; i++) {
        uint64_t last = nk_live_last(db->log, i);
        if (last == 0) continue;
        p->file = &db->log->live[i];
        rc = read_file(p, last, err);
    }
    nk_mem_free(db->mem, p, sizeof *p);
    return rc;
}

void nitro_recover_progress(const nitro_store *store, uint64_t *done, uint64_t *total) {
    uint32_t parts = NK_GET(store->db.replay_parts); /* each reads everything */
    *done = NK_GET(store->db.replayed_bytes) / (parts != 0 ? parts : 1);
    *total = nk_max_u64(NK_GET(store->db.replay_bytes), *done);
}

int nitro_recover_finish(nitro_store *store, int64_t now_ms, int64_t *newest_ms,
                         struct nitro_err *err) {
    struct nk_db *db = &store->db;
    if (db->log == NULL || !db->loading)
        return nk_err_set(err, NITRO_EARGUMENT, 0, "recover: the store has no log to recover");
    int rc = nk_recover_finish(db->log, now_ms, err);
    if (rc != NITRO_OK) return rc;
    *newest_ms = db->log->newest_ms;
    __atomic_store_n(&db->loading, false, __ATOMIC_RELEASE);
    return NITRO_OK;
}

/* ---- the log for the host ----------------------------------------------------------------------*/

/* Without a log everything counts as durable, so that nothing waits. */
static const struct nitro_log_view no_log = {.written = UINT64_MAX, .durable = UINT64_MAX};

const struct nitro_log_view *nk_db_view(const struct nk_db *db) {
    return db->log != NULL ? &db->log->view : &no_log;
}
const struct nitro_log_view *nitro_log_view_of(const nitro_store *s) { return nk_db_view(&s->db); }

int nitro_log_write(nitro_store *s, int64_t now_ms, struct nitro_err *err) {
    return s->db.log != NULL ? nk_log_write(s->db.log, now_ms, err) : NITRO_OK;
}
int nitro_log_sync(nitro_store *s, struct nitro_err *err) {
    return s->db.log != NULL ? nk_log_sync(s->db.log, err) : NITRO_OK;
}
int nitro_log_fill(nitro_store *s, uint64_t need, struct nitro_err *err) {
    return s->db.log != NULL ? nk_log_fill(s->db.log, need, err) : NITRO_OK;
}
int nitro_log_note(nitro_store *s, struct nitro_err *err) {
    return s->db.log != NULL ? nk_log_note(s->db.log, err) : NITRO_OK;
}
int nitro_log_stop(nitro_store *s, int64_t now_ms, struct nitro_err *err) {
    return s->db.log != NULL && !s->db.loading ? nk_log_stop(s->db.log, now_ms, err) : NITRO_OK;
}
void nitro_log_error(const nitro_store *s, struct nitro_err *err) {
    *err = (struct nitro_err){.code = NITRO_OK};
    if (s->db.log != NULL) nk_log_error(s->db.log, err);
}
uint64_t nitro_log_need(size_t key_bytes, size_t value_bytes) {
    return nk_record_max(key_bytes, value_bytes);
}

bool nk_db_has_log(const struct nk_db *db) { return db->log != NULL; }
bool nk_db_loading(const struct nk_db *db) {
    return __atomic_load_n(&db->loading, __ATOMIC_ACQUIRE);
}
uint64_t nk_db_log_need(uint64_t key_bytes, uint64_t value_bytes) {
    return nk_record_max(key_bytes, value_bytes);
}
