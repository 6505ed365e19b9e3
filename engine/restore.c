/* SPDX-License-Identifier: MIT
 *
 * restore.c - a new data folder from an older one, or from a snapshot file, at a point in time (L5).
 *
 * DESIGN
 *   From a file: its records are copied one by one; memory is that of the largest of them. From a folder: a
 *   store in memory is recovered from it as a start would, but read-only and only up to the point
 *   (nk_log_options.read_only); then its entries are written as the snapshot of the new folder.
 *
 *   Entries keep their versions, so that what was compared with a version still compares. The new folder's
 *   first LSN lies above all that the origin has ever given out, as far as the origin says: a client that
 *   has seen both cannot take one for the other. How far the owner of a snapshot file has gone since
 *   is not known, so there the step is as wide as anything that can have been written.
 *
 *   An entry whose time ran out by the point is gone, whatever is asked for; one whose time ran out since then
 *   goes too, or stays without an expiry (keep_expired).
 *
 * NOT HERE  reading folders (recover.c, replay.c) and files (restore_origin.c), writing (restore_target.c).
 */
#include "restore.h"

#include "db.h"
#include "recover.h"
#include "store.h"
#include "utc.h"
#include "vfs_tar.h"

#include <stdio.h>

#define LSN_MAX (UINT64_MAX / 4) /* no store gets there */

struct restore {
    const struct nitro_restore_options *opt;
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    struct nitro_restore_result out;
    uint64_t seen_lsn;       /* the largest that the origin knows of */
    uint64_t first_lsn;      /* of the new timeline */
    nitro_store *store;      /* from a folder */
    struct nk_origin origin; /* from a file */
    struct nk_tar *tar;      /* which may be a folder in one file */
    struct nk_target target;
    struct nitro_err *err;
};

/* ---- the point ---------------------------------------------------------------------------------*/

/* A point of the window, for a text. */
static void put_point(char *out, size_t cap, uint64_t lsn, int64_t ms) {
    char time[NK_UTC_BYTES];
    nk_utc_text(ms, time);
    if (lsn == 0)
        (void)snprintf(out, cap, "the empty store");
    else
        (void)snprintf(out, cap, "LSN %llu of %s", (unsigned long long)lsn, time);
}

static int outside(const struct restore *r) {
    char asked[96] = "", time[NK_UTC_BYTES], first[64], last[64];
    const struct nitro_restore_options *o = r->opt;
    nk_utc_text(o->to_ms, time);
    int n = 0;
    if (o->to_lsn != UINT64_MAX)
        n = snprintf(asked, sizeof asked, " to LSN %llu", (unsigned long long)o->to_lsn);
    if (o->to_ms != INT64_MAX) (void)snprintf(asked + n, sizeof asked - (size_t)n, " to %s", time);
    put_point(first, sizeof first, r->out.first_lsn, r->out.first_ms);
    put_point(last, sizeof last, r->out.last_lsn, r->out.last_ms);
    return nk_err_set(r->err, NITRO_EARGUMENT, 0,
                      "restore %s%s: it can be restored from %s to %s; nothing was made", o->from,
                      asked, first, last);
}

/* ---- from a folder -----------------------------------------------------------------------------*/

static int open_store(struct restore *r) {
    const struct nk_past_source from = {.did = "restore",
                                        .from = r->opt->from,
                                        .vfs = r->vfs,
                                        .mem = r->mem,
                                        .seed = r->opt->seed,
                                        .to_lsn = r->opt->to_lsn,
                                        .to_ms = r->opt->to_ms};
    int rc = nk_past_open(&from, &r->store, r->err);
    if (rc != NITRO_OK || nk_store_is_keydir(&r->store->db))
        return rc; /* there copying is most of the work */
    r->store->db.told = r->opt->progress;
    r->store->db.told_ctx = r->opt->ctx;
    return rc;
}

static int open_folder(struct restore *r) {
    int rc = open_store(r);
    if (rc != NITRO_OK) return rc;
    struct nitro_recovery found;
    rc = nitro_recover_scan(r->store, r->opt->now_ms, &found, r->err);
    const struct nk_log *l = r->store->db.folder;
    r->out.first_lsn = l->window_first_lsn;
    r->out.first_ms = l->window_first_ms;
    r->out.last_lsn = l->window_last_lsn;
    r->out.last_ms = l->window_last_ms;
    if (rc == NITRO_EARGUMENT) return outside(r);
    if (rc != NITRO_OK) return rc;
    int64_t known = l->window_last_ms > r->opt->now_ms ? l->window_last_ms : r->opt->now_ms;
    if (r->opt->to_ms != INT64_MAX && r->opt->to_ms > known) return outside(r); /* the future */
    r->out.lsn = l->last_lsn;
    r->out.time_ms = l->reached_ms;
    r->seen_lsn = l->seen_lsn;
    /* what looks like a folder may be a snapshot, or a backup */
    bool may_be_old = nk_store_is_keydir(&r->store->db);
    r->first_lsn = l->seen_lsn + (may_be_old ? NK_LSN_ROOM : NK_LSN_JUMP);
    return NITRO_OK;
}

static int load_folder(struct restore *r) {
    const struct nk_db *db = &r->store->db;
    int rc = nitro_recover_load(r->store, 0, 1, r->err);
    if (rc == NITRO_OK) rc = nitro_recover_replay(r->store, 0, 1, r->err);
    if (rc == NITRO_OK && db->told != NULL)
        db->told(db->told_ctx, db->replay_bytes, db->replay_bytes); /* the end may lie in a file */
    return rc;
}

/* ---- records -----------------------------------------------------------------------------------*/

/* Whether an entry of the state at the point stays; it may lose its expiry. */
static bool stays(struct restore *r, int64_t *expire_ms) {
    const struct nitro_restore_options *o = r->opt;
    if (*expire_ms != 0 && *expire_ms <= r->out.time_ms) return false;
    if (*expire_ms != 0 && *expire_ms <= o->now_ms) {
        if (!o->keep_expired) return false;
        *expire_ms = 0;
        r->out.expired++;
    }
    r->out.keys++;
    return true;
}

static int put(struct restore *r, struct nk_snaprec *rec) {
    return stays(r, &rec->expire_ms) ? nk_target_put(&r->target, rec, r->err) : NITRO_OK;
}

/* The same where the log is the data. */
static int put_record(void *arg, const struct nk_record *rec) {
    struct restore *r = arg;
    struct nk_record copy = *rec;
    return stays(r, &copy.expire_ms) ? nk_target_data_put(&r->target, &copy, r->err) : NITRO_OK;
}

static int put_past(struct restore *r) {
    struct nk_past past = {.db = &r->store->db,
                           .did = "restore",
                           .from = r->opt->from,
                           .progress = r->opt->progress,
                           .ctx = r->opt->ctx,
                           .fn = put_record,
                           .arg = r};
    int rc =
        nk_target_data_begin(&r->target, r->out.lsn, r->out.time_ms, r->opt->file_bytes, r->err);
    return rc == NITRO_OK ? nk_past_each(&past, r->err) : rc;
}

static int put_entry(struct restore *r, const uint8_t *e) {
    uint32_t meta = nk_entry_meta(e);
    struct nk_snaprec rec = {.key = e + nk_entry_key_off(meta),
                             .key_bytes = nk_entry_key_bytes(e, meta),
                             .value_bytes = meta >> NK_META_VALUE_SHIFT,
                             .version = nk_entry_version(e),
                             .expire_ms = nk_entry_expiry(e, meta)};
    rec.value = rec.key + rec.key_bytes;
    if (meta & NK_META_BIG) {
        const struct nk_big *big;
        memcpy(&big, rec.value, sizeof big);
        rec.value = big->data;
        rec.value_bytes = (uint32_t)big->bytes;
    }
    return put(r, &rec);
}

static int put_table(struct restore *r, const struct nk_seg *s, const struct nk_table *t) {
    int rc = NITRO_OK;
    for (uint32_t i = 0; t->count > 0 && i < t->buckets; i++)
        for (struct nk_bucket *b = nk_table_bucket(t, i); b != NULL; b = nk_table_next(t, b))
            for (uint32_t k = 0; k < NK_SLOTS; k++) {
                if (b->tag[k] != 0) rc = put_entry(r, nk_arena_ptr(&s->arena, b->ref[k]));
                if (rc != NITRO_OK) return rc;
            }
    return rc;
}

/* Nobody else uses the store. A segment that is changing its hash has entries in both tables. */
static int put_store(struct restore *r) {
    struct nk_db *db = &r->store->db;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < db->segments && rc == NITRO_OK; i++) {
        const struct nk_seg *s = &db->seg[i];
        rc = put_table(r, s, &s->tab);
        if (rc == NITRO_OK) rc = put_table(r, s, &s->old);
    }
    return rc;
}

static int put_file(struct restore *r) {
    struct nk_snaprec rec;
    int rc;
    while ((rc = nk_origin_next(&r->origin, &rec, r->err)) == NITRO_OK) {
        rc = put(r, &rec);
        if (rc != NITRO_OK) return rc;
    }
    return rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
}

/* ---- from a file -------------------------------------------------------------------------------*/

static int open_file(struct restore *r) {
    const struct nitro_restore_options *o = r->opt;
    r->origin = (struct nk_origin){.vfs = r->vfs,
                                   .mem = r->mem,
                                   .did = "restore",
                                   .path = o->from,
                                   .progress = o->progress,
                                   .ctx = o->ctx};
    int rc = nk_origin_open(&r->origin, r->err);
    if (rc != NITRO_OK) return rc;
    uint64_t lsn = r->origin.file.head.lsn;
    int64_t ms = r->origin.file.foot.time_ms;
    r->out.first_lsn = r->out.last_lsn = r->out.lsn = lsn;
    r->out.first_ms = r->out.last_ms = r->out.time_ms = ms;
    r->seen_lsn = lsn;
    r->first_lsn = lsn + NK_LSN_ROOM;
    bool lsn_fits = o->to_lsn == UINT64_MAX || o->to_lsn == lsn;
    bool ms_fits = o->to_ms == INT64_MAX || o->to_ms == ms;
    return lsn_fits && ms_fits ? NITRO_OK : outside(r);
}

/* A folder in one file is read like a folder. */
static int look_into(struct restore *r) {
    uint64_t bad_at;
    const struct nk_origin file = {
        .vfs = r->vfs, .mem = r->mem, .did = "restore", .path = r->opt->from};
    int rc = nk_origin_archive(&file, &r->tar, &bad_at, r->err);
    if (r->tar != NULL) r->vfs = nk_tar_vfs(r->tar);
    return rc;
}

/* ---- entry -------------------------------------------------------------------------------------*/

static int check_options(const struct nitro_restore_options *o, struct nitro_err *err) {
    const char *wrong = NULL;
    if (o->from == NULL || o->from[0] == '\0')
        wrong = "says nothing to restore from";
    else if (o->dir == NULL || o->dir[0] == '\0')
        wrong = "names no new folder";
    else if (o->now_ms < 0 || o->to_ms < 0)
        wrong = "has a time before 1970";
    else if (o->compression > NITRO_COMPRESSION_ZSTD)
        wrong = "asks for an unknown compression";
    else if (o->file_bytes > NK_DATA_FILE_MAX)
        wrong = "asks for data files of more than 4092 MiB";
    if (wrong == NULL) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0, "restore: the call %s", wrong);
}

/* What the origin says about itself is not believed: versions and LSNs to come must fit. */
static int check_lsn(const struct restore *r) {
    if (r->seen_lsn <= LSN_MAX) return NITRO_OK;
    return nk_err_set(r->err, NITRO_ECORRUPT, 0,
                      "restore %s: it has LSN %llu, which none can have; it is damaged, or no "
                      "store has written it",
                      r->opt->from, (unsigned long long)r->seen_lsn);
}

static int run(struct restore *r) {
    const struct nitro_restore_options *o = r->opt;
    bool from_file = o->from_file != 0;
    const struct nitro_vfs *to = o->dir_vfs != NULL ? o->dir_vfs : nitro_vfs_system();
    int rc = from_file ? look_into(r) : NITRO_OK;
    from_file = from_file && r->tar == NULL;
    if (rc == NITRO_OK) rc = from_file ? open_file(r) : open_folder(r);
    if (rc == NITRO_OK) rc = check_lsn(r);
    if (rc == NITRO_OK) rc = nk_target_open(&r->target, to, r->mem, o->dir, o->seed, r->err);
    if (rc == NITRO_OK && !from_file) rc = load_folder(r);
    if (rc == NITRO_OK && !from_file && nk_store_is_keydir(&r->store->db)) {
        rc = put_past(r);
    } else {
        if (rc == NITRO_OK)
            rc = nk_target_begin(&r->target, r->out.lsn, r->out.time_ms, o->compression, r->err);
        if (rc == NITRO_OK) rc = from_file ? put_file(r) : put_store(r);
    }
    return rc == NITRO_OK ? nk_target_finish(&r->target, r->first_lsn, r->err) : rc;
}

int nitro_restore(const struct nitro_restore_options *opt, struct nitro_restore_result *out,
                  struct nitro_err *err) {
    int rc = check_options(opt, err);
    if (rc != NITRO_OK) return rc;
    struct restore r = {.opt = opt,
                        .vfs = opt->vfs != NULL ? opt->vfs : nitro_vfs_system(),
                        .mem = opt->mem != NULL ? opt->mem : nitro_mem_system(),
                        .err = err};
    rc = run(&r);
    nk_target_close(&r.target);
    nk_origin_close(&r.origin);
    nitro_close(&r.store);
    nk_tar_close(&r.tar);
    if (rc == NITRO_OK) *out = r.out;
    if (rc == NITRO_EARGUMENT)
        *out = (struct nitro_restore_result){.first_lsn = r.out.first_lsn,
                                             .last_lsn = r.out.last_lsn,
                                             .first_ms = r.out.first_ms,
                                             .last_ms = r.out.last_ms};
    return rc;
}
