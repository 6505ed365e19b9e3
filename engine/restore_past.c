/* SPDX-License-Identifier: MIT
 *
 * restore_past.c - the records of a store whose log is its data, as of one moment: for a restore, and to be verified (L5).
 *
 * DESIGN
 *   The keydir has been loaded as a start does it, up to the point. Then all pieces are read once more, in the order of LSNs, each record is
 *   checked, and those that an entry refers to are handed on: the store as of the point. Each entry must have been met
 *   by the end: a hint that says what is not in its file is found so.
 *
 * NOT HERE  which pieces (recover_past.c), where the records go (restore.c).
 */
#include "restore.h"

#include "keydir.h"
#include "merge.h"
#include "pack.h"
#include "packed.h"
#include "recover.h"
#include "replay.h"

#define TELL_BYTES (1u << 20)

/* ---- opening -----------------------------------------------------------------------------------*/

static void release_big(void *ctx, void *object) { nk_big_release(ctx, object); }

int nk_past_open(const struct nk_past_source *f, nitro_store **out, struct nitro_err *err) {
    struct nitro_options so = {.mem = f->mem};
    memcpy(so.seed, f->seed, sizeof so.seed);
    int rc = nitro_open(&so, out, err);
    if (rc != NITRO_OK) return rc;
    struct nk_db *db = &(*out)->db;
    const struct nk_log_options lo = {.mem = f->mem,
                                      .vfs = f->vfs,
                                      .dir = f->from,
                                      .seed = f->seed,
                                      .release = release_big,
                                      .release_ctx = db,
                                      .read_only = true,
                                      .to_lsn = f->to_lsn,
                                      .to_ms = f->to_ms,
                                      .bad = f->bad};
    rc = nk_log_open(&lo, &db->folder, err);
    if (rc != NITRO_OK) return rc;
    db->files = db->folder->files;
    db->marks = nk_mem_zalloc(f->mem, NK_MARKS * sizeof *db->marks);
    if (db->marks == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "%s %s: out of memory", f->did, f->from);
    db->log = db->folder;
    db->loading = true;
    return NITRO_OK;
}

/* ---- records -----------------------------------------------------------------------------------*/

struct walk {
    struct nk_past *p;
    struct nitro_err *err;
    uint64_t met;  /* records that entries refer to */
    uint64_t told; /* bytes of the piece */
};

static void piece_name(const struct nk_piece *f, char *out) {
    if (f->kind == NK_FILE_DATA)
        nk_path_data(f->number, out);
    else
        nk_path_log(f->number, out);
}

static int unreadable(const struct walk *w, const struct nk_merge_in *in, int rc) {
    char name[NK_PATH_MAX];
    struct nk_past *p = w->p;
    if (rc == NITRO_ENOMEM)
        return nk_err_set(w->err, rc, 0, "%s %s: out of memory", p->did, p->from);
    piece_name(in->piece, name);
    if (rc == NITRO_EIO)
        return nk_err_set(w->err, rc, in->sys, "%s %s: read %s at offset %llu: %s", p->did, p->from,
                          name, (unsigned long long)in->bad_at, strerror(in->sys));
    memcpy(p->bad.file, name, sizeof name);
    p->bad.offset = in->bad_at;
    return nk_err_set(w->err, NITRO_ECORRUPT, 0,
                      "%s %s: %s, offset %llu, LSN %llu: no valid record of this file: it is "
                      "damaged; use another copy",
                      p->did, p->from, name, (unsigned long long)in->bad_at,
                      (unsigned long long)in->want);
}

/* Whether an entry refers to the record. */
static bool is_live(struct nk_db *db, const struct nk_piece *f, const struct nk_placed *rec) {
    struct nk_key k;
    int64_t expire_ms;
    if (rec->r.kind != NK_REC_PUT) return false;
    nk_key_init(db, rec->r.key, rec->r.key_bytes, &k);
    struct nk_seg *s = nk_replay_lock(db, k.seg);
    uint64_t loc = nk_keydir_find(s, &k, &expire_ms);
    nk_seg_unlock(s);
    return loc == nk_loc(f->slot, rec->offset, rec->bytes);
}

static int read_piece(struct walk *w, const struct nk_piece *f) {
    struct nk_past *p = w->p;
    struct nk_merge_in in;
    struct nk_placed rec;
    w->told = 0;
    int rc = nk_merge_in_open(&in, p->db->folder, f);
    while (rc == NITRO_OK && (rc = nk_merge_in_next(&in, false, &rec)) == NITRO_OK) {
        if (is_live(p->db, f, &rec)) {
            w->met++;
            rc = p->fn(p->arg, &rec.r);
            if (rc != NITRO_OK) break;
        }
        if (p->progress == NULL || rec.offset < w->told + TELL_BYTES) continue;
        w->told = rec.offset;
        p->progress(p->ctx, p->done + w->told, p->total);
    }
    bool failed = rc != NITRO_ENOTFOUND && w->err->code == NITRO_OK;
    rc = failed ? unreadable(w, &in, rc) : rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
    nk_merge_in_close(&in);
    p->done += f->size;
    return rc;
}

static int lacking(const struct walk *w, uint64_t keys) {
    return nk_err_set(w->err, NITRO_ECORRUPT, 0,
                      "%s %s: there are %llu keys, of which the records of %llu are not where the "
                      "files' hints say; remove the files *.hint, which are rebuilt, and try again",
                      w->p->did, w->p->from, (unsigned long long)keys,
                      (unsigned long long)(keys - w->met));
}

int nk_past_each(struct nk_past *p, struct nitro_err *err) {
    struct nitro_err own;
    struct walk w = {.p = p, .err = err != NULL ? err : &own};
    const struct nk_log *l = p->db->folder;
    uint32_t count = nk_recover_pieces(l, NULL, 0);
    size_t bytes = ((size_t)count + 1) * sizeof(struct nk_piece);
    struct nk_piece *piece = nk_mem_alloc(p->db->mem, bytes);
    w.err->code = NITRO_OK;
    if (piece == NULL)
        return nk_err_set(w.err, NITRO_ENOMEM, 0, "%s %s: out of memory", p->did, p->from);
    (void)nk_recover_pieces(l, piece, count);
    for (uint32_t i = 0; i < count; i++) p->total += piece[i].size;
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < count && rc == NITRO_OK; i++) rc = read_piece(&w, &piece[i]);
    if (rc == NITRO_OK && p->progress != NULL) p->progress(p->ctx, p->total, p->total);
    nk_mem_free(p->db->mem, piece, bytes);
    uint64_t keys = nk_db_keys(p->db, NULL);
    return rc == NITRO_OK && w.met != keys ? lacking(&w, keys) : rc;
}

/* ---- verify ------------------------------------------------------------------------------------*/

/* What is summed over the records. */
struct sum {
    struct nk_db *db;
    struct nitro_snapshot_info *out;
    uint8_t *raw; /* of a value that is packed */
    size_t cap;
};

static int sum_packed(struct sum *s, const struct nk_record *r, struct nk_snaprec *rec) {
    struct nk_packed packed;
    if (!nk_packed_parse(r->value, r->value_bytes, &packed)) return NITRO_ECORRUPT;
    if (packed.raw_bytes > s->cap) {
        nk_mem_free(s->db->mem, s->raw, s->cap);
        s->raw = nk_mem_alloc(s->db->mem, packed.raw_bytes);
        s->cap = s->raw != NULL ? packed.raw_bytes : 0;
        if (s->raw == NULL) return NITRO_ENOMEM;
    }
    rec->value = s->raw;
    rec->value_bytes = packed.raw_bytes;
    return nk_unpack(s->db, &packed, s->raw);
}

static int sum_record(void *arg, const struct nk_record *r) {
    struct sum *s = arg;
    struct nk_snaprec rec = {.key = r->key,
                             .value = r->value,
                             .key_bytes = r->key_bytes,
                             .value_bytes = r->value_bytes,
                             .expire_ms = r->expire_ms};
    int rc = r->packed ? sum_packed(s, r, &rec) : NITRO_OK;
    if (rc != NITRO_OK) return rc;
    nk_snap_hash(&rec, &s->out->hash_a, &s->out->hash_b);
    s->out->keys++;
    s->out->raw_bytes += (uint64_t)rec.key_bytes + rec.value_bytes;
    return NITRO_OK;
}

int nk_past_verify(const struct nk_past_source *f, struct nk_past *p,
                   struct nitro_snapshot_info *out, struct nitro_err *err) {
    nitro_store *store = NULL;
    struct nitro_recovery found;
    struct sum s = {.out = out};
    int rc = nk_past_open(f, &store, err);
    if (rc == NITRO_OK && store->db.files == NULL)
        rc = nk_err_set(err, NITRO_EUNSUPPORTED, 0,
                        "verify %s: it is a data folder of mode memory; see: nitrokv check %s",
                        f->from, f->from);
    if (rc == NITRO_OK) rc = nitro_recover_scan(store, 0, &found, err);
    if (rc == NITRO_OK) rc = nitro_recover_replay(store, 0, 1, err);
    if (rc == NITRO_OK) {
        const struct nk_log *l = store->db.folder;
        *out = (struct nitro_snapshot_info){.lsn = l->last_lsn, .time_ms = l->reached_ms};
        s.db = p->db = &store->db;
        p->did = f->did;
        p->from = f->from;
        p->fn = sum_record;
        p->arg = &s;
        rc = nk_past_each(p, err);
        if (rc == NITRO_OK && p->whole) rc = nk_past_spares(p, err);
        out->bytes = p->total;
        nk_mem_free(store->db.mem, s.raw, s.cap);
    }
    nitro_close(&store);
    return rc;
}
