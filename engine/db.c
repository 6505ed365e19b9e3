/* SPDX-License-Identifier: MIT
 *
 * db.c - opening and closing a store, its memory accounts and its statistics (L5).
 */
#include "db.h"
#include "err.h"
#include "merge.h"
#include "pack.h"
#include "recover.h"
#include "snap.h"

#define HUGE_PAGE_BYTES (256u * 1024 * 1024)

static int check_options(const struct nitro_options *o, struct nitro_err *err) {
    if (o == NULL) return nk_err_set(err, NITRO_EARGUMENT, 0, "open a store: no options given");
    uint32_t n = o->segments;
    if (n != 0 && (n > NITRO_SEGMENTS_MAX || (n & (n - 1)) != 0))
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open a store: segments is %u, but must be a power of two up to %u", n,
                          NITRO_SEGMENTS_MAX);
    if (o->mode > NITRO_MODE_BITCASK || (o->mode == NITRO_MODE_BITCASK && o->dir == NULL))
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          o->dir == NULL ? "open a store: mode bitcask needs a data folder"
                                         : "open a store: there is no such mode");
    if (o->max_value > NITRO_VALUE_MAX)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open a store: max_value is %u bytes, but at most %u are possible",
                          o->max_value, NITRO_VALUE_MAX);
    return NITRO_OK;
}

/* Values are packed where they lie in the log; in memory they are as they are. */
static int check_packing(const struct nk_db *db, const struct nitro_options *o,
                         struct nitro_err *err) {
    if (o->value_compression > NITRO_COMPRESSION_ZSTD)
        return nk_err_set(err, NITRO_EARGUMENT, 0, "open a store: there is no such compression");
    if (o->value_compression == NITRO_COMPRESSION_NONE || db->files != NULL) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "open %s: values are compressed in mode bitcask alone, and this store is not "
                      "of that mode; leave value_compression out",
                      o->dir != NULL ? o->dir : "a store without a folder");
}

static size_t seg_array_bytes(const struct nk_db *db) {
    return nk_round_up(db->segments * sizeof *db->seg, NK_PAGE);
}

static void set_secrets(struct nk_db *db, const uint8_t *seed, struct nk_sip_key *sip) {
    db->fnv_seed = nk_load64(seed);
    db->route_point = nk_load64(seed + 8) % (NK_P61 - 2) + 1;
    sip->k0 = nk_load64(seed + 16);
    sip->k1 = nk_load64(seed + 24);
}

static void release_big(void *ctx, void *object) { nk_big_release(ctx, object); }
static void retain_big(void *ctx, void *object) {
    (void)ctx;
    nk_big_retain(object);
}

/* The log of a store that is otherwise ready; the store is loading from now on. */
static int open_log(struct nk_db *db, const struct nitro_options *o, struct nitro_err *err) {
    struct nk_log_options lo = {.mem = db->mem,
                                .vfs = o->vfs != NULL ? o->vfs : nitro_vfs_system(),
                                .dir = o->dir,
                                .file_bytes = o->log_file_bytes,
                                .seed = o->log_seed,
                                .release = release_big,
                                .retain = retain_big,
                                .release_ctx = db,
                                .mode = o->mode};
    int rc = nk_log_open(&lo, &db->folder, err);
    if (rc != NITRO_OK) return rc;
    db->log = db->folder;
    db->files = db->folder->files;
    if (o->map_files != 0 && db->files == NULL)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open %s: there are no data files to be mapped where values lie in "
                          "memory; leave out map_files, or use "
                          "mode bitcask",
                          o->dir);
    if (db->files != NULL) db->files->maps = o->map_files != 0;
    if (o->wal_off && db->files != NULL)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open %s: in mode bitcask the log is the data, so it can't be left out",
                          o->dir);
    db->folder->wal_off = db->wal_off = o->wal_off != 0;
    db->marks = nk_mem_zalloc(db->mem, NK_MARKS * sizeof *db->marks);
    if (db->marks == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "open a store: no memory for its log");
    db->loading = true;
    return NITRO_OK;
}

static int set_cache(struct nk_db *db, const struct nitro_options *o, struct nitro_err *err) {
    if (o->cache_bytes != 0 && db->files == NULL)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open a store: there is nothing to be cached where values lie in memory; "
                          "leave out cache_bytes, or use mode bitcask");
    db->cache_bytes = o->cache_bytes;
    return NITRO_OK;
}

int nitro_open(const struct nitro_options *o, nitro_store **out, struct nitro_err *err) {
    int rc = check_options(o, err);
    if (rc != NITRO_OK) return rc;
    const struct nitro_mem *mem = o->mem != NULL ? o->mem : nitro_mem_system();
    uint64_t store_bytes = nk_round_up(sizeof(nitro_store), NK_PAGE);
    nitro_store *s = nk_mem_map(mem, store_bytes, NK_PAGE); /* pages, for the alignment */
    if (s == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "open a store: no memory for its header");
    struct nk_db *db = &s->db;
    struct nk_sip_key sip;
    set_secrets(db, o->seed, &sip);
    db->mem = mem;
    db->segments = o->segments != 0 ? o->segments : NITRO_SEGMENTS_DEFAULT;
    db->seg_mask = db->segments - 1;
    db->max_value = o->max_value != 0 ? o->max_value : NITRO_VALUE_MAX;
    db->max_args = o->max_args != 0 ? o->max_args : 1u << 20;
    db->max_memory = o->max_memory;
    db->packing.how = o->value_compression;
    db->seg = nk_mem_map(mem, seg_array_bytes(db), NK_PAGE);
    if (db->seg == NULL) {
        nk_err_set(err, NITRO_ENOMEM, 0, "open a store: no memory for %u segments; use fewer",
                   db->segments);
        nk_mem_unmap(mem, s, store_bytes);
        return NITRO_ENOMEM;
    }
    nk_pool_init(&db->pool, mem, o->huge_page_bytes != 0 ? o->huge_page_bytes : HUGE_PAGE_BYTES);
    for (uint32_t i = 0; i < db->segments; i++) nk_seg_init(&db->seg[i], db, i, &sip);
    nk_db_used_add(db, (int64_t)(store_bytes + seg_array_bytes(db)));
    if (o->dir != NULL) rc = open_log(db, o, err);
    if (rc == NITRO_OK) rc = check_packing(db, o, err);
    if (rc == NITRO_OK) rc = set_cache(db, o, err);
    if (rc != NITRO_OK) {
        nitro_close(&s);
        return rc;
    }
    *out = s;
    return NITRO_OK;
}

void nitro_close(nitro_store **sp) {
    if (sp == NULL || *sp == NULL) return;
    nitro_store *s = *sp;
    *sp = NULL;
    struct nk_db *db = &s->db;
    nk_snap_close(db);
    nk_merge_free(db);
    nk_packing_close(db);
    for (uint32_t i = 0; i < db->segments; i++) nk_seg_free_all(&db->seg[i]);
    nk_garbage_free_all(db);
    nk_log_close(&db->folder);
    nk_mem_free(db->mem, db->marks, NK_MARKS * sizeof *db->marks);
    bool more = true;
    while (more) (void)nk_big_free_step(db, UINT32_MAX / 2, &more);
    nk_pool_fini(&db->pool);
    const struct nitro_mem *mem = db->mem;
    nk_mem_unmap(mem, db->seg, seg_array_bytes(db));
    nk_mem_unmap(mem, s, nk_round_up(sizeof *s, NK_PAGE));
}

/* ---- accounts ----------------------------------------------------------------------------------*/

void *nk_db_alloc(struct nk_db *db, size_t bytes) { return nk_mem_alloc(db->mem, bytes); }
void *nk_db_resize(struct nk_db *db, void *p, size_t old_bytes, size_t bytes) {
    return nk_mem_resize(db->mem, p, old_bytes, bytes);
}
void nk_db_free(struct nk_db *db, void *p, size_t bytes) { nk_mem_free(db->mem, p, bytes); }

void nk_db_count_chunk(struct nk_db *db, int64_t delta) {
    __atomic_fetch_add(&db->chunk_bytes, (uint64_t)delta, __ATOMIC_RELAXED);
    nk_db_used_add(db, delta);
}
uint32_t nk_db_max_value(const struct nk_db *db) { return db->max_value; }
uint32_t nk_db_max_args(const struct nk_db *db) { return db->max_args; }

bool nk_db_room(const struct nk_db *db, uint64_t bytes) {
    uint64_t max = __atomic_load_n(&db->max_memory, __ATOMIC_RELAXED);
    return max == 0 || __atomic_load_n(&db->used_bytes, __ATOMIC_RELAXED) + bytes <= max;
}

void nitro_set_max_memory(nitro_store *s, uint64_t bytes) {
    __atomic_store_n(&s->db.max_memory, bytes, __ATOMIC_RELAXED);
}

void nitro_add_client_bytes(nitro_store *s, int64_t delta) { nk_db_count_chunk(&s->db, delta); }

/* The tables' counts are plain fields of their segment, written under its lock and read here without it:
 * aligned words, so a reader sees an old or a new value, never a mixture. */
__attribute__((no_sanitize("thread"))) uint64_t nk_db_keys(struct nk_db *db, uint64_t *shown) {
    uint64_t n = 0, lsn = 0;
    for (uint32_t i = 0; i < db->segments; i++) {
        n += NK_GET(db->seg[i].tab.count) + NK_GET(db->seg[i].old.count);
        lsn = nk_max_u64(lsn, NK_GET(db->seg[i].last_lsn));
    }
    if (shown != NULL) *shown = lsn;
    return n;
}

__attribute__((no_sanitize("thread"))) static void add_segment(const struct nk_seg *s,
                                                               struct nitro_stats *o) {
    o->keys += NK_GET(s->tab.count) + NK_GET(s->old.count);
    o->keys_with_expiry += NK_GET(s->with_expiry);
    o->hits += NK_GET(s->hits);
    o->misses += NK_GET(s->misses);
    o->expired += NK_GET(s->expired);
    o->writes += NK_GET(s->writes);
    o->deletes += NK_GET(s->deletes);
    o->splits += NK_GET(s->splits);
    o->merges += NK_GET(s->merges);
    o->hash_switches += NK_GET(s->switches);
    o->segments_siphash += NK_GET(s->epoch) == NK_EPOCH_SIP;
    o->key_bytes += NK_GET(s->key_bytes);
    o->value_bytes += NK_GET(s->value_bytes);
    o->lock_busy += NK_GET(s->busy);
    o->evacuated_entries += NK_GET(s->evacuated);
    o->buckets += NK_GET(s->tab.buckets) + (s->draining ? NK_GET(s->old.buckets) : 0);
    o->overflow_buckets += NK_GET(s->over.used);
    o->max_buckets_per_call = nk_max_u64(o->max_buckets_per_call, NK_GET(s->max_buckets));
    o->max_entries_per_call = nk_max_u64(o->max_entries_per_call, NK_GET(s->max_entries));
    o->max_bytes_per_call = nk_max_u64(o->max_bytes_per_call, NK_GET(s->max_bytes));
    uint64_t spans = nk_arena_span_bytes(&s->arena), slack = nk_arena_free_bytes(&s->arena);
    o->slack_bytes += slack;
    o->entry_bytes += spans - slack;
    o->table_bytes += nk_table_bytes(&s->tab) + nk_table_bytes(&s->old) + nk_over_bytes(&s->over);
}

void nitro_stats(nitro_store *store, struct nitro_stats *out) {
    struct nk_db *db = &store->db;
    struct nitro_stats o = {.segments = db->segments};
    for (uint32_t i = 0; i < db->segments; i++) add_segment(&db->seg[i], &o);
    uint64_t handed_out = NK_GET(db->pool.used_bytes), touched = NK_GET(db->pool.resident_bytes);
    o.pool_free_bytes = touched > handed_out ? touched - handed_out : 0;
    o.fixed_bytes = seg_array_bytes(db) + nk_round_up(sizeof *store, NK_PAGE);
    if (db->folder != NULL)
        o.fixed_bytes += NK_RING_BYTES + NK_MARKS * sizeof *db->marks + sizeof *db->folder;
    o.table_bytes += NK_GET(db->pool.array_bytes);
    if (db->folder != NULL) {
        o.log_records = NK_GET(db->folder->records);
        o.log_frames = NK_GET(db->folder->frames_written);
        o.log_bytes = NK_GET(db->folder->written_bytes);
        o.log_writes = NK_GET(db->folder->writes);
        o.log_syncs = NK_GET(db->folder->syncs);
    }
    o.packed_values = NK_GET(db->packing.values);
    o.pack_raw_bytes = NK_GET(db->packing.raw_bytes);
    o.pack_stored_bytes = NK_GET(db->packing.stored_bytes);
    o.snapshot_bytes = NK_GET(db->snap_buffers);
    o.snapshot_emitted = NK_GET(db->snap_emitted);
    o.snapshot_busy = NK_GET(db->snap_busy);
    o.chunk_bytes = NK_GET(db->chunk_bytes);
    o.garbage_bytes = NK_GET(db->garbage_bytes);
    o.entry_bytes += NK_GET(db->big_bytes);
    o.used_bytes = NK_GET(db->used_bytes);
    o.max_memory = NK_GET(db->max_memory);
    o.resident_bytes = o.table_bytes + o.entry_bytes + o.slack_bytes + o.pool_free_bytes +
                       o.chunk_bytes + o.garbage_bytes + o.fixed_bytes + o.snapshot_bytes;
    *out = o;
}
