/* SPDX-License-Identifier: MIT
 *
 * merge_copy.c - the new file of a merge: which records stay, and writing them (L5).
 *
 * DESIGN
 *   A batch is what lies in one stretch of an input, borrowed from its reader until it has been decided about and
 *   written. So nothing is copied but into the buffer of the next write, and memory is bounded by that and the largest
 *   record, whose value goes out from where it was read.
 *
 *   Decisions are made under the lock of the key's segment, one record at a time, by what the key's entry refers to
 *   then. What makes a record dead may not be durable yet. So the newest LSN is noted after each batch,
 *   and the new file is not listed before that is durable (merge_switch.c).
 *
 * PINS  A delete of LSN t hides dead records of its key that are older. They lie in pieces before the inputs, because what
 *   lies in the inputs goes with them, and what lies behind is newer. A piece before them whose records are all
 *   live holds none. Looked at after the locks of a batch have been held: who killed such a record
 *   did it before it let go of that lock, and before t was made (so what dies later is not hidden by t).
 *
 *   A put with an expiry whose key has no entry may have hidden something, too: the entry went without a record when
 *   its time had come, by whosever clock. So it is a delete of the same LSN from now on, whatever its time is.
 */
#include "merge.h"
#include "keydir.h"
#include "mutant.h"
#include "replay.h"

/* ---- begin, end ------------------------------------------------------------------------------------*/

static int out_of_memory(const struct nk_merge *m, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0,
                      "merge in %s: out of memory; give the process more, it is tried again",
                      m->l->dir);
}

/* The union of the inputs' LSNs. An input may be empty, then its last LSN is before its first. */
static struct nk_piece united(const struct nk_merge *m) {
    struct nk_piece p = {.kind = NK_FILE_DATA,
                         .first_lsn = m->input[0].first_lsn,
                         .prev_last_lsn = m->input[0].prev_last_lsn};
    for (uint32_t i = 0; i < m->inputs; i++)
        p.last_lsn = nk_max_u64(p.last_lsn, m->input[i].last_lsn);
    return p;
}

int nk_merge_begin(struct nk_merge *m, struct nk_merge_call *c) {
    struct nk_merge_out *out = &m->out;
    *out = (struct nk_merge_out){.piece = united(m), .fd = -1, .at = NK_SECTOR, .time_ms = 1};
    out->limit =
        m->inputs == 1 ? NK_LOC_OFFSET_MAX : nk_min_u64(2 * m->l->file_bytes, NK_LOC_OFFSET_MAX);
    m->count = m->at = m->input_at = 0;
    m->lsn = 0;
    m->item = nk_mem_alloc(m->l->mem, NK_MERGE_BATCH * sizeof *m->item);
    out->buf = nk_mem_alloc(m->l->mem, NK_MERGE_BUFFER);
    if (m->item == NULL || out->buf == NULL) return out_of_memory(m, c->err);
    int rc = nk_log_data_create(m->l, &out->piece.number, &out->piece.salt, &out->fd, c->err);
    if (rc != NITRO_OK) return rc;
    out->made = true;
    m->state = NK_MERGE_COPY;
    /* without it the file itself is read, when entries move */
    m->by_file = nk_merge_hint_open(m, &out->piece, NULL) != NITRO_OK;
    return NITRO_OK;
}

void nk_merge_drop(struct nk_merge *m) {
    const struct nitro_mem *mem = m->l->mem;
    nk_merge_in_close(&m->in);
    nk_merge_close_switch(m);
    nk_mem_free(mem, m->item, NK_MERGE_BATCH * sizeof *m->item);
    nk_mem_free(mem, m->older, (m->older_count + 1) * sizeof *m->older);
    nk_mem_free(mem, m->out.buf, NK_MERGE_BUFFER);
    m->item = NULL;
    m->older = NULL;
    m->out.buf = NULL;
    m->older_count = m->count = m->at = 0;
    if (m->out.fd < 0) return;
    /* it is synced, or nobody will look at it */
    (void)m->l->vfs->close(m->l->vfs->ctx, m->out.fd);
    m->out.fd = -1;
}

/* ---- writing ---------------------------------------------------------------------------------------*/

static int write_out(struct nk_merge *m, struct nk_merge_call *c, const void *p, size_t n,
                     uint64_t at) {
    int rc = nk_vfs_write(m->l->vfs, m->out.fd, p, n, at, "merge: records");
    if (rc != 0) return nk_merge_cannot(m, rc, "write", m->out.piece.number, c->err);
    c->out->written += n;
    NK_ADD(m->done.written_bytes, n);
    return NITRO_OK;
}

/* Bytes before `at` are written by this. A large file that is synced at once holds up the syncs of the log. */
static int flush_out(struct nk_merge *m, struct nk_merge_call *c) {
    struct nk_merge_out *out = &m->out;
    uint64_t at = out->at - out->used;
    int rc = out->used == 0 ? NITRO_OK : write_out(m, c, out->buf, out->used, at);
    if (rc != NITRO_OK) return rc;
    out->used = 0;
    if (out->at - out->synced < NK_MERGE_SYNC_BYTES) return NITRO_OK;
    out->synced = out->at;
    rc = nk_vfs_sync(m->l->vfs, out->fd, "merge: sync on the way");
    return rc == 0 ? NITRO_OK : nk_merge_cannot(m, rc, "sync", out->piece.number, c->err);
}

/* The next bytes of the file. */
static int put_out(struct nk_merge *m, struct nk_merge_call *c, const uint8_t *p, size_t n) {
    struct nk_merge_out *out = &m->out;
    if (n == 0) return NITRO_OK;
    int rc = n > NK_MERGE_BUFFER - out->used ? flush_out(m, c) : NITRO_OK;
    if (rc != NITRO_OK) return rc;
    if (n > NK_MERGE_BUFFER) {
        rc = write_out(m, c, p, n, out->at);
    } else {
        memcpy(out->buf + out->used, p, n);
        out->used += n;
    }
    out->at += n;
    return rc;
}

static void count_record(struct nk_merge *m, const struct nk_record *r, uint64_t at) {
    struct nk_merge_out *out = &m->out;
    uint64_t bytes = out->at - at;
    out->records++;
    if (r->kind == NK_REC_PUT) {
        out->put_bytes += nk_loc_unsize(nk_loc_size(bytes));
    } else {
        out->gone_bytes += bytes;
        out->gone_lsn = r->lsn;
    }
    if (m->by_file) return;
    struct nk_hint h = nk_merge_hint_of(r, at, bytes);
    m->by_file = nk_hintwrite_add(&m->hint, &h) != NITRO_OK;
}

/* One record in its new place. */
static int put_record(struct nk_merge *m, struct nk_merge_call *c, const struct nk_merge_item *it) {
    struct nk_merge_out *out = &m->out;
    uint8_t head[NK_REC_HEAD_MAX];
    struct nk_record r = it->rec.r;
    uint64_t at = out->at;
    r.more = false; /* all of the batch was durable */
    if (it->fate == NK_FATE_GONE && r.kind == NK_REC_PUT) {
        r.kind = NK_REC_DELETE;
        r.packed = false;
        r.expire_ms = 0;
        r.value_bytes = 0;
    }
    NK_ASSERT(at <= NK_LOC_OFFSET_MAX);
    uint32_t n =
        nk_record_head(&r, nk_record_body_crc(&r), out->piece.first_lsn, at, out->piece.salt, head);
    int rc = put_out(m, c, head, n);
    if (rc == NITRO_OK) rc = put_out(m, c, r.key, r.key_bytes);
    if (rc == NITRO_OK) rc = put_out(m, c, r.value, r.value_bytes);
    if (rc == NITRO_OK) count_record(m, &r, at);
    return rc;
}

/* What stays of the batch. *full: it does not fit. */
static int put_batch(struct nk_merge *m, struct nk_merge_call *c, bool *full) {
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < m->count && rc == NITRO_OK && !*full; i++) {
        const struct nk_merge_item *it = &m->item[i];
        if (it->fate == NK_FATE_DROP) continue;
        if (m->out.at > m->out.limit)
            *full = true;
        else
            rc = put_record(m, c, it);
    }
    m->count = m->at = 0;
    return rc;
}

/* ---- reading ---------------------------------------------------------------------------------------*/

/* Reads the batch, which is empty, as far as it lies in one stretch. */
static int read_batch(struct nk_merge *m) {
    int rc = NITRO_OK;
    while (m->count < NK_MERGE_BATCH) {
        struct nk_placed *rec = &m->item[m->count].rec;
        rc = nk_merge_in_next(&m->in, m->count > 0, rec);
        if (rc != NITRO_OK) break;
        m->count++;
    }
    if (rc == NITRO_EBUSY) return NITRO_OK;
    return rc == NITRO_ENOTFOUND && m->count > 0 ? NITRO_OK : rc; /* its end is met again */
}

/* The next batch, of whichever input. NITRO_ENOTFOUND: that was the last. */
static int next_batch(struct nk_merge *m, struct nk_merge_call *c) {
    for (; m->input_at < m->inputs; m->input_at++) {
        int rc = NITRO_OK;
        if (m->in.piece == NULL) rc = nk_merge_in_open(&m->in, m->l, &m->input[m->input_at]);
        uint64_t from = nk_merge_in_at(&m->in);
        if (rc == NITRO_OK) rc = read_batch(m);
        uint64_t bytes = nk_merge_in_at(&m->in) - from;
        c->out->read += bytes;
        NK_ADD(m->done.read_bytes, bytes);
        if (m->in.time_ms > m->out.time_ms) m->out.time_ms = m->in.time_ms;
        if (rc == NITRO_OK) return NITRO_OK;
        if (rc != NITRO_ENOTFOUND) return nk_merge_unreadable(m, &m->in, rc, c->err);
        nk_merge_in_close(&m->in);
    }
    return NITRO_ENOTFOUND;
}

int nk_merge_copy(struct nk_merge *m, struct nk_merge_call *c) {
    bool full = false;
    int rc = put_batch(m, c, &full);
    if (rc != NITRO_OK) return rc;
    if (full) {
        /* Deletes that were not to be foreseen have made it too large. One input alone never grows. */
        m->narrow = true;
        nk_merge_hint_close(m);
        nk_merge_drop(m);
        m->state = NK_MERGE_REST;
        return NITRO_OK;
    }
    rc = next_batch(m, c);
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    m->state = rc == NITRO_OK ? NK_MERGE_DECIDE : NK_MERGE_DURABLE;
    return NITRO_OK;
}

/* ---- deciding --------------------------------------------------------------------------------------*/

uint32_t nk_merge_ready(struct nk_merge *m) {
    const struct nk_db *db = m->db;
    uint32_t end = (uint32_t)nk_min_u64(m->count, m->at + NK_REPLAY_GROUP);
    for (uint32_t i = m->at; i < end; i++) {
        const struct nk_record *r = &m->item[i].rec.r;
        nk_key_init(db, r->key, r->key_bytes, &m->item[i].key);
    }
    for (uint32_t i = m->at; i < end; i++) nk_key_prefetch_entry(db, &m->item[i].key);
    for (uint32_t i = m->at; i < end; i++) nk_key_prefetch_over(db, &m->item[i].key);
    return end;
}

/* Under the lock. */
static enum nk_merge_fate fate_of(const struct nk_merge *m, struct nk_seg *s,
                                  struct nk_merge_item *it, int64_t now_ms) {
    const struct nk_placed *rec = &it->rec;
    int64_t expire_ms;
    uint64_t loc = nk_keydir_find(s, &it->key, &expire_ms);
    if (rec->r.kind == NK_REC_DELETE) return loc != 0 ? NK_FATE_DROP : NK_FATE_GONE;
    if (loc != 0) {
        if (loc != nk_loc(m->in.piece->slot, rec->offset, rec->bytes)) return NK_FATE_DROP;
        if (expire_ms == 0 || expire_ms > now_ms) return NK_FATE_KEEP;
        nk_keydir_expire(s, &it->key);
    }
    return rec->r.expire_ms != 0 ? NK_MUTATE(71, NK_FATE_DROP, NK_FATE_GONE) : NK_FATE_DROP;
}

/* False: the segment is locked by somebody else. */
static bool decide(struct nk_merge *m, struct nk_merge_item *it, int64_t now_ms) {
    if (it->rec.r.kind == NK_REC_FLUSH) {
        it->fate = NK_MUTATE(74, NK_FATE_DROP, NK_FATE_GONE);
        return true;
    }
    struct nk_seg *s = nk_db_seg(m->db, it->key.seg);
    if (!nk_seg_lock(s)) return false;
    it->fate = fate_of(m, s, it, now_ms);
    nk_seg_unlock(s);
    return true;
}

/* Whether a piece before the inputs holds dead records. If one does, it does so until it is merged itself. */
static bool is_pinned(struct nk_merge *m) {
    for (uint32_t i = 0; i < m->older_count && !m->pinned; i++) {
        const struct nk_file *f = nk_file_at(m->l->files, m->older[i]);
        /* first what is counted last: records that come meanwhile do not make up for dead ones */
        uint64_t live = __atomic_load_n(&f->live_bytes, __ATOMIC_ACQUIRE);
        m->pinned = NK_GET(f->put_bytes) != live;
    }
    return NK_MUTATE(70, false, m->pinned);
}

int nk_merge_decide(struct nk_merge *m, struct nk_merge_call *c) {
    while (m->at < m->count) {
        uint32_t end = nk_merge_ready(m);
        for (; m->at < end; m->at++)
            if (!decide(m, &m->item[m->at], c->now_ms)) return NITRO_OK; /* goes on there */
    }
    bool stays = is_pinned(m);
    for (uint32_t i = 0; i < m->count && !stays; i++)
        if (m->item[i].fate == NK_FATE_GONE) m->item[i].fate = NK_FATE_DROP;
    m->lsn = __atomic_load_n(&m->l->view.appended, __ATOMIC_ACQUIRE);
    m->state = NK_MERGE_COPY;
    return NITRO_OK;
}

/* ---- the end ---------------------------------------------------------------------------------------*/

static int write_header(struct nk_merge *m, struct nk_merge_call *c,
                        const struct nk_data_header *h) {
    uint8_t sector[NK_SECTOR];
    nk_data_header_encode(h, sector);
    int rc = nk_vfs_write(m->l->vfs, m->out.fd, sector, sizeof sector, 0, "merge: header");
    if (rc == 0) rc = NK_MUTATE(73, 0, nk_vfs_sync(m->l->vfs, m->out.fd, "merge: sync"));
    if (rc != 0) return nk_merge_cannot(m, rc, "finish", h->number, c->err);
    c->out->written += sizeof sector;
    NK_ADD(m->done.written_bytes, sizeof sector);
    return NITRO_OK;
}

int nk_merge_finish(struct nk_merge *m, struct nk_merge_call *c) {
    struct nk_merge_out *out = &m->out;
    struct nk_data_header h = nk_merge_header(m);
    int rc = flush_out(m, c);
    if (rc == NITRO_OK) rc = write_header(m, c, &h);
    if (rc != NITRO_OK) return rc;
    if (!m->by_file) m->by_file = nk_hintwrite_finish(&m->hint, out->at, out->time_ms) != NITRO_OK;
    nk_merge_hint_close(m);
    m->state = NK_MERGE_LIST;
    return NITRO_OK;
}
