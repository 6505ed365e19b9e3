/* SPDX-License-Identifier: MIT
 *
 * replay.c - opening a store on a data folder: what the log says since the snapshot (L5).
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
 *   Records that the snapshot holds (up to base.lsn) are passed over, whole frames by their headers.
 *
 * NOT HERE  which files, and up to which LSN (recover.c), loading the snapshot (load.c), the calls that the
 *   host makes (api_log.c).
 */
#include "recover.h"
#include "replay.h"
#include "mutant.h"

#define WIDEN_BUCKETS 8u /* that a table gets ahead of need with one entry */

struct part {
    struct nk_db *db;
    uint32_t number, of;
    uint64_t buckets; /* that each segment's table will need, as far as CONTROL knows */
    uint32_t count;   /* of the group */
    struct {
        struct nk_placed rec;
        struct nk_key key;
    } group[NK_REPLAY_GROUP];
    const struct nk_live *file;
    struct nitro_err *err;
};

/* ---- applying ----------------------------------------------------------------------------------*/

struct nk_seg *nk_replay_lock(struct nk_db *db, uint32_t seg) {
    struct nk_seg *s = nk_db_seg(db, seg);
    while (!nk_seg_lock(s)) nk_yield(); /* held by another part of a load alone */
    return s;
}

/* nk_seg_reserve gives up after a bounded spin on the pool's lock, which other parts use as well. */
int nk_replay_put(struct nk_seg *s, struct nk_key *k, const struct nk_effect *e, uint64_t version,
                  bool fresh) {
    struct nk_item it;
    struct nk_resv r;
    int rc;
    do {
        nk_seg_find(s, k, 0, false, &it);
        if (it.found && fresh) return NITRO_ENOTSTORED;
        if (!it.found && e->kind != NK_EFFECT_PUT) return NITRO_OK;
        rc = nk_seg_reserve(s, k, &it, e, &r);
    } while (rc == NITRO_EBUSY);
    if (rc == NITRO_OK) nk_seg_apply(s, k, &it, e, &r, 0, (struct nk_logged){.lsn = version});
    return rc;
}

void nk_replay_widen(struct nk_seg *s, uint64_t buckets) {
    if (NK_LIKELY(s->tab.buckets >= buckets) || s->draining) return;
    for (uint32_t i = 0; i < WIDEN_BUCKETS && s->tab.buckets < buckets; i++) {
        if (!nk_table_split(&s->tab, &s->work)) break; /* without memory it grows as others do */
        NK_ADD(s->splits, 1);
        s->stamp++;
    }
    nk_seg_work_done(s);
}

int nk_replay_failed(struct nk_db *db, int rc, struct nitro_err *err) {
    return nk_err_set(err, rc, 0, "load %s: %s after %llu keys; give the process more memory",
                      db->folder->dir, nitro_strerror(rc),
                      (unsigned long long)nk_db_keys(db, NULL));
}

static int apply(struct part *p, const struct nk_record *rec, struct nk_key *k) {
    struct nk_db *db = p->db;
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
    struct nk_seg *s = nk_replay_lock(db, k->seg);
    int rc = nk_replay_put(s, k, &e, rec->lsn, false);
    if (rc == NITRO_OK && e.kind == NK_EFFECT_PUT) nk_replay_widen(s, p->buckets);
    nk_seg_unlock(s);
    if (big != NULL) nk_big_release(db, big);
    return rc;
}

void nk_replay_clear(struct nk_db *db, uint32_t part, uint32_t parts, uint64_t lsn) {
    for (uint32_t i = part; i < db->segments; i += parts) {
        nk_seg_clear(&db->seg[i]);
        db->seg[i].last_lsn = lsn;
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
            return nk_recover_damage(db->folder, p->err, p->file->number, rec->offset, rec->r.lsn,
                                     "the record's checksum is wrong");
        if (rec->r.packed) /* it would be taken for the value */
            return nk_recover_damage(db->folder, p->err, p->file->number, rec->offset, rec->r.lsn,
                                     "its value is compressed, as mode bitcask alone has it");
        int rc = apply(p, &rec->r, &p->group[i].key);
        if (rc != NITRO_OK) return nk_replay_failed(db, rc, p->err);
    }
    p->count = 0;
    return NITRO_OK;
}

/* One record: into the group, if its segment is of this part. */
static int take(struct part *p, const struct nk_placed *rec) {
    if (rec->r.lsn <= p->db->folder->base.lsn) return NITRO_OK;
    if (rec->r.kind == NK_REC_FLUSH) {
        int rc = flush_group(p);
        if (rc != NITRO_OK) return rc;
        if (!nk_record_check(rec->p, rec->bytes, &rec->r, rec->offset, p->file->salt))
            return nk_recover_damage(p->db->folder, p->err, p->file->number, rec->offset,
                                     rec->r.lsn, "the record's checksum is wrong");
        if (NK_MUTATE(26, false, true)) nk_replay_clear(p->db, p->number, p->of, rec->r.lsn);
        return NITRO_OK;
    }
    uint32_t seg = nk_key_seg(p->db, rec->r.key, rec->r.key_bytes);
    if (seg % p->of != p->number || NK_MUTATE(25, rec->r.kind == NK_REC_DELETE, false))
        return NITRO_OK;
    nk_key_init(p->db, rec->r.key, rec->r.key_bytes, &p->group[p->count].key);
    p->group[p->count].rec = *rec;
    return ++p->count < NK_REPLAY_GROUP ? NITRO_OK : flush_group(p);
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* The next record of the file, which is `want`, whatever frame it is in. NITRO_EBUSY: the group has to be applied
 * first. */
static int next(struct nk_logscan *s, uint64_t want, struct nk_placed *rec) {
    for (;;) {
        if (s->frame_end != 0) {
            int rc = nk_logscan_record(s, false, rec);
            if (rc != NITRO_ENOTFOUND) return rc;
        }
        int rc = nk_logscan_frame(s);
        if (rc == NITRO_OK && s->lsn != want) return NITRO_ECORRUPT;
        if (rc != NITRO_OK) return rc == NITRO_ENOTFOUND ? NITRO_ECORRUPT : rc;
    }
}

static int read_records(struct part *p, struct nk_logscan *s, uint64_t last) {
    const struct nk_log *l = p->db->folder;
    uint64_t told = 0, want = 0;
    int rc = nk_logscan_seek(s, l->base.lsn + 1, &want);
    while (rc == NITRO_OK && want <= last) {
        struct nk_placed rec;
        s->hold = p->count > 0;
        rc = next(s, want, &rec);
        if (rc == NITRO_EBUSY) {
            rc = flush_group(p);
            if (rc != NITRO_OK) return rc;
            continue;
        }
        if (rc == NITRO_ECORRUPT)
            return nk_recover_damage(l, p->err, p->file->number, s->at, want,
                                     "the record is missing or not valid");
        if (rc != NITRO_OK) break;
        want = rec.r.lsn + 1;
        rc = take(p, &rec);
        if (rc != NITRO_OK) return rc;
        if (s->at - told < 1u << 20) continue;
        nk_replay_tell(p->db, s->at - told, p->of);
        told = s->at;
    }
    nk_replay_tell(p->db, s->at - told, p->of);
    return rc == NITRO_OK ? flush_group(p) : nk_live_scan_failed(l, p->err, p->file, s, rc);
}

static int read_file(struct part *p, uint64_t last) {
    struct nk_log *l = p->db->folder;
    struct nk_logscan s;
    int rc = nk_live_scan(l, p->file, &s, p->err);
    if (rc != NITRO_OK) return rc;
    rc = read_records(p, &s, last);
    nk_live_scan_end(l, &s);
    return rc;
}

/* ---- entry -------------------------------------------------------------------------------------*/

int nk_replay_part(struct nk_db *db, uint32_t part, uint32_t parts, struct nitro_err *err) {
    struct part *p = nk_mem_zalloc(db->mem, sizeof *p);
    if (p == NULL) return nk_err_set(err, NITRO_ENOMEM, 0, "recover: out of memory");
    p->db = db;
    p->number = part;
    p->of = parts;
    p->buckets = nk_replay_buckets(db, db->folder->control.keys);
    p->err = err;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < db->folder->live_count && rc == NITRO_OK; i++) {
        uint64_t last = nk_live_needed(db->folder, i);
        if (last == 0) continue;
        p->file = &db->folder->live[i];
        rc = read_file(p, last);
    }
    nk_mem_free(db->mem, p, sizeof *p);
    return rc;
}
