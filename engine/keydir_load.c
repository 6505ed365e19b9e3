/* SPDX-License-Identifier: MIT
 *
 * keydir_load.c - opening a store whose log is its data: which record each key refers to (L5).
 *
 * DESIGN
 *   As replay.c: every part goes through all pieces of the log in the order of their LSNs, takes what
 *   belongs to its own segments, and shares nothing with the others. A later record wins because it comes
 *   later. What is loaded is where a record lies, so its value is not looked at; and a hint says the same
 *   in a fraction of the bytes (keydir_hint.c). Memory never depends on which of both was read. Without a hint each record's
 *   CRC is checked by the part that its key belongs to, everything else by all parts.
 *
 *   Accounts of a file (files.h) are summed by every part over all of its records, whoever they belong to,
 *   and stored by all of them: the same numbers. Records above W are in a tail that finish writes anew, so
 *   they do not count where they are; nk_keydir_load_tail counts them in their new place, to which it moves
 *   the entries.
 *
 *   Nothing expires during a load: what has expired by now is invisible afterwards, and reclaimed as always.
 *
 * NOT HERE  which pieces there are (folder_chain.c, logdata.c), how entries change (keydir.c), hints (keydir_hint.c) and who writes
 *   them (merge_hint.c).
 */
#include "keydir_load.h"

#include "keydir.h"
#include "logscan.h"
#include "replay.h"

enum source { FROM_LOG, FROM_DATA };

/* One part. */
struct load {
    struct nk_loading part;
    struct nk_hintload *hints;
    enum source from; /* which of these reads the piece, if it is not its hint */
    struct nk_logscan log;
    struct nk_datascan data;
    uint64_t want; /* FROM_LOG: LSN of the next record */

    uint64_t live;  /* bytes of the group that are to be counted in the piece's file */
    uint32_t count; /* of the group */
    struct {
        struct nk_placed rec;
        struct nk_key key;
    } group[NK_REPLAY_GROUP];
};

/* ---- failures ----------------------------------------------------------------------------------*/

static void piece_name(const struct nk_piece *f, char *out) {
    if (f->kind == NK_FILE_DATA)
        nk_path_data(f->number, out);
    else
        nk_path_log(f->number, out);
}

static int damaged(const struct load *p, uint64_t at, uint64_t lsn, const char *what) {
    char name[NK_PATH_MAX];
    piece_name(p->part.piece, name);
    nk_recover_note(p->part.l, name, at);
    return nk_err_set(p->part.err, NITRO_ECORRUPT, 0,
                      "open %s: %s, offset %llu, LSN %llu: %s; this was durable, so nothing was "
                      "changed; see: nitrokv check %s",
                      p->part.l->dir, name, (unsigned long long)at, (unsigned long long)lsn, what,
                      p->part.l->dir);
}

/* What a reader of the piece itself has returned. */
static int read_failed(const struct load *p, int rc) {
    char name[NK_PATH_MAX];
    bool log = p->from == FROM_LOG;
    uint64_t at = log ? p->log.at : p->data.at;
    int sys = log ? p->log.sys : p->data.sys;
    if (rc == NITRO_ECORRUPT)
        return damaged(p, at, log ? p->want : p->data.newest + 1,
                       "the record is missing or not valid");
    piece_name(p->part.piece, name);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(p->part.err, rc, 0, "read %s/%s: out of memory", p->part.l->dir, name);
    return nk_err_set(p->part.err, NITRO_EIO, sys, "read %s/%s at offset %llu: %s", p->part.l->dir,
                      name, (unsigned long long)at, strerror(sys));
}

/* ---- what both sources tell --------------------------------------------------------------------*/

void nk_loading_begin(struct nk_loading *p) {
    p->told = 0;
    memset(&p->sum, 0, sizeof p->sum);
    p->sum.end = NK_SECTOR;
}

void nk_loading_count(struct nk_loading *p, enum nk_rec_kind kind, uint64_t lsn, uint64_t offset,
                      uint64_t bytes) {
    if (lsn > p->durable) return;
    p->sum.end = offset + bytes;
    if (kind == NK_REC_PUT) {
        p->sum.put_bytes += nk_loc_unsize(nk_loc_size(bytes));
        return;
    }
    p->sum.gone_bytes += bytes;
    p->sum.gone_lsn = lsn;
}

/* The part's share of `bytes`; the shares of all parts are `bytes` together. */
static uint64_t share(const struct nk_loading *p, uint64_t bytes) {
    return bytes / p->of + (p->number < bytes % p->of);
}

void nk_loading_tell(struct nk_loading *p, uint64_t at) {
    if (at <= p->told) return;
    uint64_t before = share(p, p->read);
    p->read += at - p->told;
    p->told = at;
    nk_replay_tell(p->db, share(p, p->read) - before, 1);
}

/* ---- applying ----------------------------------------------------------------------------------*/

static int apply(struct load *p, const struct nk_placed *rec, struct nk_key *k) {
    int rc = NITRO_OK;
    struct nk_seg *s = nk_replay_lock(p->part.db, k->seg);
    uint64_t loc = nk_loc(p->part.piece->slot, rec->offset, rec->bytes);
    if (rec->r.kind == NK_REC_PUT)
        rc = nk_keydir_load(s, k, loc, rec->r.expire_ms, &p->live);
    else
        nk_keydir_unload(s, k);
    if (rec->r.kind == NK_REC_PUT && rc == NITRO_OK) nk_replay_widen(s, p->part.buckets);
    nk_seg_report(s);
    nk_seg_unlock(s);
    return rc == NITRO_OK ? rc : nk_replay_failed(p->part.db, rc, p->part.err);
}

static int check_crc(const struct load *p, const struct nk_placed *rec) {
    if (nk_record_check(rec->p, rec->bytes, &rec->r, rec->offset, p->part.piece->salt))
        return NITRO_OK;
    return damaged(p, rec->offset, rec->r.lsn, "the record's checksum is wrong");
}

/* Checks and applies the records of the group. */
static int flush_group(struct load *p) {
    uint32_t count = p->count;
    int rc = NITRO_OK;
    p->count = 0;
    for (uint32_t i = 0; i < count; i++) nk_key_prefetch_entry(p->part.db, &p->group[i].key);
    for (uint32_t i = 0; i < count; i++) nk_key_prefetch_over(p->part.db, &p->group[i].key);
    for (uint32_t i = 0; i < count && rc == NITRO_OK; i++) {
        rc = check_crc(p, &p->group[i].rec);
        if (rc == NITRO_OK) rc = apply(p, &p->group[i].rec, &p->group[i].key);
    }
    nk_file_add_live(nk_file_at(p->part.l->files, p->part.piece->slot), p->live);
    p->live = 0;
    return rc;
}

static int take_flush(struct load *p, const struct nk_placed *rec) {
    int rc = flush_group(p);
    if (rc == NITRO_OK) rc = check_crc(p, rec);
    if (rc == NITRO_OK) nk_replay_clear(p->part.db, p->part.number, p->part.of, rec->r.lsn);
    return rc;
}

/* One record: into the group, if its segment is of this part. */
static int take(struct load *p, const struct nk_placed *rec) {
    if (rec->r.kind == NK_REC_EXPIRE)
        return damaged(p, rec->offset, rec->r.lsn, "no record of this kind belongs here");
    if (rec->offset > NK_LOC_OFFSET_MAX)
        return damaged(p, rec->offset, rec->r.lsn, "no record lies so far behind");
    nk_loading_count(&p->part, rec->r.kind, rec->r.lsn, rec->offset, rec->bytes);
    if (rec->r.kind == NK_REC_FLUSH) return take_flush(p, rec);
    uint32_t seg = nk_key_seg(p->part.db, rec->r.key, rec->r.key_bytes);
    if (seg % p->part.of != p->part.number) return NITRO_OK;
    nk_key_init(p->part.db, rec->r.key, rec->r.key_bytes, &p->group[p->count].key);
    p->group[p->count].rec = *rec;
    return ++p->count < NK_REPLAY_GROUP ? NITRO_OK : flush_group(p);
}

/* ---- reading -----------------------------------------------------------------------------------
 * The next record of the piece. NITRO_ENOTFOUND: that was all; NITRO_EBUSY: the group has to be applied first. */

/* Records of a log have all LSNs, whatever frames they are in. */
static int next_of_log(struct load *p, struct nk_placed *rec) {
    struct nk_logscan *s = &p->log;
    if (p->want > p->part.piece->last_lsn) return NITRO_ENOTFOUND;
    s->hold = p->count > 0;
    for (;;) {
        int rc = s->frame_end != 0 ? nk_logscan_record(s, false, rec) : NITRO_ENOTFOUND;
        if (rc == NITRO_OK) p->want = rec->r.lsn + 1;
        if (rc != NITRO_ENOTFOUND) return rc;
        rc = nk_logscan_frame(s);
        if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s->lsn != p->want)) return NITRO_ECORRUPT;
        if (rc != NITRO_OK) return rc;
    }
}

static int next_record(struct load *p, struct nk_placed *rec) {
    if (p->from == FROM_LOG) return next_of_log(p, rec);
    p->data.hold = p->count > 0;
    return nk_datascan_record(&p->data, false, rec);
}

static int read_records(struct load *p) {
    for (;;) {
        struct nk_placed rec;
        int rc = next_record(p, &rec);
        if (rc == NITRO_ENOTFOUND) return flush_group(p);
        if (rc == NITRO_EBUSY)
            rc = flush_group(p);
        else if (rc == NITRO_OK)
            rc = take(p, &rec);
        else
            rc = read_failed(p, rc);
        if (rc != NITRO_OK) return rc;
        uint64_t at = p->from == FROM_LOG ? p->log.at : p->data.at;
        if (at >= p->part.told + NK_LOADING_TELL) nk_loading_tell(&p->part, at);
    }
}

static void begin(struct load *p, enum source from) {
    p->from = from;
    p->count = 0;
    nk_loading_begin(&p->part);
}

/* ---- files -------------------------------------------------------------------------------------*/

static const struct nk_data_header *data_header(const struct load *p) {
    const struct nk_log *l = p->part.l;
    uint32_t i = 0;
    while (l->data[i].number != p->part.piece->number) i++; /* a piece is listed */
    return &l->data[i].head;
}

static int read_log(struct load *p) {
    const struct nk_piece *f = p->part.piece;
    begin(p, FROM_LOG);
    p->want = f->first_lsn;
    nk_logscan_init(&p->log, p->part.l->vfs, p->part.l->mem,
                    nk_file_at(p->part.l->files, f->slot)->fd, f->size, f->salt, f->first_lsn);
    int rc = read_records(p);
    nk_logscan_fini(&p->log);
    return rc;
}

static int read_data(struct load *p) {
    begin(p, FROM_DATA);
    nk_datascan_init(&p->data, p->part.l->vfs, p->part.l->mem,
                     nk_file_at(p->part.l->files, p->part.piece->slot)->fd, data_header(p));
    int rc = read_records(p);
    nk_datascan_fini(&p->data);
    return rc;
}

static int read_file(struct load *p) {
    int rc = p->part.piece->kind == NK_FILE_DATA ? read_data(p) : read_log(p);
    nk_loading_tell(&p->part, p->part.piece->size);
    return rc;
}

/* ---- pieces ------------------------------------------------------------------------------------*/

/* All parts say the same. `hinted`: the file, as it will be, has a hint that is right. */
static void store_accounts(const struct load *p, bool hinted) {
    struct nk_file *f = nk_file_at(p->part.l->files, p->part.piece->slot);
    __atomic_store_n(&f->put_bytes, p->part.sum.put_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&f->gone_bytes, p->part.sum.gone_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&f->gone_lsn, p->part.sum.gone_lsn, __ATOMIC_RELAXED);
    __atomic_store_n(&f->end, p->part.sum.end, __ATOMIC_RELAXED);
    __atomic_store_n(&f->hinted, hinted && p->part.piece->last_lsn <= p->part.durable,
                     __ATOMIC_RELAXED);
}

static int load_piece(struct load *p) {
    bool hinted;
    int rc = nk_hintload_read(p->hints, &hinted);
    if (rc == NITRO_OK && !hinted) rc = read_file(p);
    if (rc != NITRO_OK) return rc;
    store_accounts(p, hinted);
    if (p->part.number != 0) return NITRO_OK;
    if (hinted)
        NK_ADD(p->part.db->data_start.hints_loaded, 1);
    else
        NK_ADD(p->part.db->data_start.hints_rebuilt, 1);
    return NITRO_OK;
}

/* What will be read of the pieces: hints are much smaller than the files. */
static int count_bytes(struct load *p, const struct nk_piece *piece, uint32_t count,
                       uint64_t *bytes) {
    *bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        p->part.piece = &piece[i];
        uint64_t hint;
        int rc = nk_hintload_size(p->hints, &hint);
        if (rc != NITRO_OK) return rc;
        *bytes += hint != 0 ? hint : piece[i].size;
    }
    return NITRO_OK;
}

static int load_pieces(struct load *p, const struct nk_piece *piece, uint32_t count) {
    int rc = NITRO_OK;
    if (p->part.number == 0) {
        uint64_t bytes;
        rc = count_bytes(p, piece, count, &bytes);
        if (rc == NITRO_OK) __atomic_store_n(&p->part.db->replay_bytes, bytes, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i < count && rc == NITRO_OK; i++) {
        p->part.piece = &piece[i];
        rc = load_piece(p);
    }
    return rc;
}

/* What a segment holds is durable by the time when it can be asked. */
static void raise_last(struct nk_db *db, uint32_t part, uint32_t parts) {
    for (uint32_t i = part; i < db->segments; i += parts)
        db->seg[i].last_lsn = db->folder->last_lsn;
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* NULL, with *err filled, without memory. */
static struct load *new_load(struct nk_db *db, uint32_t part, uint32_t parts,
                             struct nitro_err *err) {
    struct load *p = nk_mem_zalloc(db->mem, sizeof *p);
    if (p == NULL) {
        (void)nk_replay_failed(db, NITRO_ENOMEM, err);
        return NULL;
    }
    p->part = (struct nk_loading){.db = db,
                                  .l = db->folder,
                                  .number = part,
                                  .of = parts,
                                  .durable = db->folder->found.durable_lsn,
                                  .buckets = nk_replay_buckets(db, db->folder->control.keys),
                                  .err = err};
    return p;
}

/* Loads the pieces, by their hints where they have some. */
static int load_with_hints(struct load *p, const struct nk_piece *piece, uint32_t count) {
    p->hints = nk_hintload_open(&p->part);
    if (p->hints == NULL) return nk_replay_failed(p->part.db, NITRO_ENOMEM, p->part.err);
    int rc = load_pieces(p, piece, count);
    nk_hintload_close(&p->hints);
    return rc;
}

int nk_keydir_load_part(struct nk_db *db, uint32_t part, uint32_t parts, struct nitro_err *err) {
    uint32_t count = nk_recover_pieces(db->folder, NULL, 0);
    size_t bytes = ((size_t)count + 1) * sizeof(struct nk_piece);
    struct nk_piece *piece = nk_mem_alloc(db->mem, bytes);
    if (piece == NULL) return nk_replay_failed(db, NITRO_ENOMEM, err);
    (void)nk_recover_pieces(db->folder, piece, count);
    int rc = NITRO_ENOMEM;
    struct load *p = new_load(db, part, parts, err);
    if (p != NULL) {
        rc = load_with_hints(p, piece, count);
        if (rc == NITRO_OK) raise_last(db, part, parts);
    }
    nk_mem_free(db->mem, p, sizeof *p);
    nk_mem_free(db->mem, piece, bytes);
    return rc;
}

/* One of the files that the tail lies in now. */
static int load_tail(struct load *p, const struct nk_live *f) {
    struct nk_piece tail = {.kind = NK_FILE_LOG,
                            .number = f->number,
                            .salt = f->salt,
                            .first_lsn = f->head.first_lsn,
                            .last_lsn = f->last_lsn,
                            .size = f->end,
                            .slot = f->slot};
    p->part.piece = &tail;
    __atomic_fetch_add(&p->part.db->replay_bytes, tail.size, __ATOMIC_RELAXED);
    int rc = read_file(p);
    if (rc == NITRO_OK) store_accounts(p, false);
    return rc;
}

int nk_keydir_load_tail(struct nk_db *db, struct nitro_err *err) {
    const struct nk_log *l = db->folder;
    int rc = NITRO_OK;
    if (l->tail_number == 0) return rc;
    struct load *p = new_load(db, 0, 1, err);
    if (p == NULL) return NITRO_ENOMEM;
    p->part.durable = UINT64_MAX; /* here it is */
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK; i++)
        if (l->live[i].number >= l->tail_number && l->live[i].number < l->cur->number)
            rc = load_tail(p, &l->live[i]);
    if (rc == NITRO_OK) raise_last(db, 0, 1);
    nk_mem_free(db->mem, p, sizeof *p);
    return rc;
}
