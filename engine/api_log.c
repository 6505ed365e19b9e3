/* SPDX-License-Identifier: MIT
 *
 * api_log.c - recovery, the log and the folder, as the host calls them (L5).
 *
 * NOT HERE  what they do: recover*.c, load.c, replay.c, keydir_load.c, log.c, logfill.c, logsnap.c; which of
 *   them loads what kind of store: store.h.
 */
#include "recover.h"
#include "store.h"

#define PARTS_MAX 64u

/* One number for users; each format can still change alone, and then this is the largest. */
_Static_assert(NITRO_FORMAT_VERSION == NK_LOG_VERSION && NK_LOG_VERSION == NK_MANIFEST_VERSION &&
                   NK_LOG_VERSION == NK_CONTROL_VERSION && NK_LOG_VERSION == NK_SNAP_VERSION,
               "nitro.h");

_Static_assert((int)NITRO_MODE_MEMORY == (int)NK_MODE_MEMORY &&
                   (int)NITRO_MODE_BITCASK == (int)NK_MODE_BITCASK,
               "nitro.h");

enum nitro_mode nitro_mode_of(const nitro_store *s) {
    return s->db.folder != NULL ? (enum nitro_mode)s->db.folder->mode : NITRO_MODE_MEMORY;
}

/* ---- recovery ----------------------------------------------------------------------------------*/

static int check_loading(const struct nk_db *db, struct nitro_err *err) {
    if (db->folder != NULL && db->loading) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0, "recover: the store has no log to recover");
}

static int check_part(const struct nk_db *db, uint32_t part, uint32_t parts,
                      struct nitro_err *err) {
    int rc = check_loading(db, err);
    if (rc != NITRO_OK) return rc;
    if (parts > 0 && parts <= PARTS_MAX && part < parts) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0, "recover: part %u of %u", part, parts);
}

static int check_loaded(const struct nk_db *db, struct nitro_err *err) {
    if (nk_load_done(db)) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "recover %s: the snapshot has to be loaded first, all parts of it",
                      db->folder->dir);
}

int nitro_recover_scan(nitro_store *store, int64_t now_ms, struct nitro_recovery *out,
                       struct nitro_err *err) {
    struct nk_db *db = &store->db;
    (void)now_ms;
    int rc = check_loading(db, err);
    if (rc == NITRO_OK) rc = nk_recover_scan(db->folder, err);
    if (rc != NITRO_OK) return rc;
    const struct nitro_recovery *found = &db->folder->found;
    __atomic_store_n(&db->replay_bytes, found->bytes + found->snapshot_bytes, __ATOMIC_RELAXED);
    *out = *found;
    return NITRO_OK;
}

int nitro_recover_load(nitro_store *store, uint32_t part, uint32_t parts, struct nitro_err *err) {
    int rc = check_part(&store->db, part, parts, err);
    return rc == NITRO_OK ? nk_store_load_part(&store->db, part, parts, err) : rc;
}

int nitro_recover_replay(nitro_store *store, uint32_t part, uint32_t parts, struct nitro_err *err) {
    int rc = check_part(&store->db, part, parts, err);
    if (rc == NITRO_OK) rc = check_loaded(&store->db, err);
    return rc == NITRO_OK ? nk_store_replay_part(&store->db, part, parts, err) : rc;
}

void nitro_recover_progress(const nitro_store *store, uint64_t *done, uint64_t *total) {
    *done = NK_GET(store->db.replayed_bytes);
    *total = nk_max_u64(NK_GET(store->db.replay_bytes), *done);
}

/* Versions are the segments' own counters from now on, and go on above everything that was seen. Also the newest one
 * that a segment counts as given out is then above all that is in it: a snapshot goes by that. */
static void end_log(struct nk_db *db) {
    for (uint32_t i = 0; i < db->segments; i++)
        db->seg[i].next_version = db->folder->next_lsn / db->segments + 2;
    __atomic_store_n(&db->log, NULL, __ATOMIC_RELEASE);
}

int nitro_recover_finish(nitro_store *store, int64_t now_ms, int64_t *newest_ms,
                         struct nitro_err *err) {
    struct nk_db *db = &store->db;
    int rc = check_loading(db, err);
    if (rc == NITRO_OK) rc = check_loaded(db, err);
    if (rc == NITRO_OK) rc = nk_recover_finish(db->folder, now_ms, err);
    if (rc == NITRO_OK) rc = nk_store_reload_tail(db, err);
    if (rc == NITRO_OK) rc = nk_recover_clean(db->folder, err);
    if (rc != NITRO_OK) return rc;
    *newest_ms = db->folder->newest_ms;
    if (db->folder->wal_off) end_log(db);
    __atomic_store_n(&db->loading, false, __ATOMIC_RELEASE);
    return NITRO_OK;
}

/* ---- the log -----------------------------------------------------------------------------------*/

/* Without a log everything counts as durable, so that nothing waits. */
static const struct nitro_log_view no_log = {.written = UINT64_MAX, .durable = UINT64_MAX};

bool nk_db_has_log(const struct nk_db *db) { return db->folder != NULL && !db->folder->wal_off; }
const struct nitro_log_view *nk_db_view(const struct nk_db *db) {
    return nk_db_has_log(db) ? &db->folder->view : &no_log;
}
const struct nitro_log_view *nitro_log_view_of(const nitro_store *s) { return nk_db_view(&s->db); }

int nitro_log_write(nitro_store *s, int64_t now_ms, struct nitro_err *err) {
    return nk_db_has_log(&s->db) ? nk_log_write(s->db.folder, now_ms, err) : NITRO_OK;
}
int nitro_log_sync(nitro_store *s, struct nitro_err *err) {
    return nk_db_has_log(&s->db) ? nk_log_sync(s->db.folder, err) : NITRO_OK;
}
int nitro_log_fill(nitro_store *s, uint64_t need, struct nitro_err *err) {
    return nk_db_has_log(&s->db) ? nk_log_fill(s->db.folder, need, err) : NITRO_OK;
}
/* CONTROL knows how many keys there are, so that the next start can give its tables their size early. */
static void tell_keys(struct nk_db *db) {
    __atomic_store_n(&db->folder->keys, nk_db_keys(db, NULL), __ATOMIC_RELAXED);
}
int nitro_log_note(nitro_store *s, struct nitro_err *err) {
    if (!nk_db_has_log(&s->db)) return NITRO_OK;
    tell_keys(&s->db);
    return nk_log_note(s->db.folder, err);
}
int nitro_log_stop(nitro_store *s, int64_t now_ms, struct nitro_err *err) {
    if (s->db.folder == NULL || s->db.loading) return NITRO_OK;
    tell_keys(&s->db);
    return nk_log_stop(s->db.folder, now_ms, err);
}
void nitro_log_error(const nitro_store *s, struct nitro_err *err) {
    *err = (struct nitro_err){.code = NITRO_OK};
    if (s->db.folder != NULL) nk_log_error(s->db.folder, err);
}
uint64_t nitro_log_need(size_t key_bytes, size_t value_bytes) {
    return nk_record_max(key_bytes, value_bytes);
}

bool nk_db_loading(const struct nk_db *db) {
    return __atomic_load_n(&db->loading, __ATOMIC_ACQUIRE);
}
uint64_t nk_db_log_need(uint64_t key_bytes, uint64_t value_bytes) {
    return nk_record_max(key_bytes, value_bytes);
}

/* ---- the folder --------------------------------------------------------------------------------*/

static int check_folder(const struct nk_db *db, const char *what, struct nitro_err *err) {
    if (db->folder == NULL)
        return nk_err_set(err, NITRO_EUNSUPPORTED, 0, "%s: the store has no data folder", what);
    if (nk_db_loading(db))
        return nk_err_set(err, NITRO_ELOADING, 0, "%s: the store is still being loaded", what);
    return NITRO_OK;
}

int nitro_folder_state(nitro_store *s, struct nitro_folder *out, struct nitro_err *err) {
    int rc = check_folder(&s->db, "look at the folder", err);
    return rc == NITRO_OK ? nk_log_state(s->db.folder, out, err) : rc;
}

/* ---- snapshots where the log is the data -------------------------------------------------------*/

static int check_data(const struct nk_db *db, struct nitro_err *err) {
    int rc = check_folder(db, "take a snapshot", err);
    if (rc != NITRO_OK || db->folder->files != NULL) return rc;
    return nk_err_set(err, NITRO_EUNSUPPORTED, 0,
                      "take a snapshot of %s by links: its values lie in memory", db->folder->dir);
}

int nitro_snapshot_roll(nitro_store *s, uint64_t *lsn, struct nitro_err *err) {
    int rc = check_data(&s->db, err);
    if (rc != NITRO_OK) return rc;
    nk_log_link_stop(s->db.folder); /* what is made of it was settled after an earlier roll */
    return nk_log_roll(s->db.folder, lsn, err);
}

int nitro_snapshot_link(nitro_store *s, uint64_t lsn, int64_t now_ms, uint32_t files,
                        struct nitro_snapshot_info *out, uint32_t *more, struct nitro_err *err) {
    bool again = false;
    int rc = check_data(&s->db, err);
    if (rc != NITRO_OK) return rc;
    tell_keys(&s->db);
    rc = nk_log_link(s->db.folder, lsn, now_ms, files, &again, err);
    if (rc != NITRO_OK) return rc;
    if (!again) nk_log_links_info(&s->db.folder->linked, out);
    *more = again;
    return NITRO_OK;
}

int nitro_retain_some(nitro_store *s, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes,
                      uint32_t files, uint32_t *more, struct nitro_err *err) {
    int rc = check_folder(&s->db, "drop old logs", err);
    bool again = false;
    if (rc == NITRO_OK)
        rc = nk_log_retain(s->db.folder, now_ms, keep_ms, keep_bytes, files, &again, err);
    *more = again;
    return rc;
}

int nitro_retain(nitro_store *s, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes,
                 struct nitro_err *err) {
    uint32_t more;
    return nitro_retain_some(s, now_ms, keep_ms, keep_bytes, UINT32_MAX, &more, err);
}
