/* SPDX-License-Identifier: MIT
 *
 * merge_switch.c - a finished merge: its file is listed, entries move to it, the inputs go (L5).
 *
 * ORDER  (a crash between two steps leaves a folder that recovers to the same)
 *   1. The log becomes durable up to the newest LSN that a decision of the merge rests on. Records are left out because
 *      of what has come since; a start that reads the new file must find that, too.
 *   2. MANIFEST lists the new file. From here on a start reads it, and not its inputs. If the past is kept, the folder for that is
 *      there by then: where it is, a start keeps the inputs, too.
 *   3. Entries that refer to an input refer to its copy from now on. Which is which, says the hint of the new file, or
 *      the file itself. An entry that refers to an input refers to the record that was copied, because inputs do not
 *      change, and an entry never goes back.
 *   4. The inputs go, the oldest first: out of MANIFEST, then out of the folder. Who still reads one has it pinned.
 *   What fails in steps 3 and 4 is done again. Only if the new file is damaged, nothing can be done: then the inputs serve
 *   those entries that are left, for as long as this process lives.
 */
#include "merge.h"
#include "mutant.h"
#include "keydir.h"

/* ---- 1 and 2 ---------------------------------------------------------------------------------------*/

int nk_merge_durable(struct nk_merge *m, struct nk_merge_call *c) {
    (void)c;
    uint64_t durable = nk_log_durable(m->l);
    if (durable < NK_MUTATE(72, 0, m->lsn)) return NITRO_OK;
    m->cut = nk_max_u64(durable, m->out.piece.last_lsn);
    m->state = NK_MERGE_FINISH;
    return NITRO_OK;
}

struct nk_data_header nk_merge_header(const struct nk_merge *m) {
    const struct nk_merge_out *out = &m->out;
    struct nk_data_header h = {.version = NK_DATA_VERSION,
                               .number = out->piece.number,
                               .salt = out->piece.salt,
                               .first_lsn = out->piece.first_lsn,
                               .last_lsn = out->piece.last_lsn,
                               .prev_last_lsn = out->piece.prev_last_lsn,
                               .end = out->at,
                               .records = out->records,
                               .time_ms = out->time_ms,
                               .cut_lsn = NK_MUTATE(89, out->piece.last_lsn, m->cut)};
    memcpy(h.store, m->l->store, sizeof h.store);
    return h;
}

/* Nothing refers to the file yet, so its accounts are those of a file of which all is dead. */
static void begin_accounts(const struct nk_merge *m) {
    const struct nk_merge_out *out = &m->out;
    struct nk_file *f = nk_file_at(m->l->files, out->piece.slot);
    __atomic_store_n(&f->put_bytes, out->put_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&f->gone_bytes, out->gone_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&f->gone_lsn, out->gone_lsn, __ATOMIC_RELAXED);
}

int nk_merge_list(struct nk_merge *m, struct nk_merge_call *c) {
    struct nk_merge_out *out = &m->out;
    struct nk_data_header h = nk_merge_header(m);
    int rc = NK_MUTATE(92, false, c->o->retain != 0) ? nk_log_old_open(m->l, c->err) : NITRO_OK;
    if (rc == NITRO_OK) rc = nk_log_data_install(m->l, &h, &out->piece.slot, c->err);
    if (rc != NITRO_OK) return rc;
    out->made = false;
    out->piece.size = out->at;
    begin_accounts(m);
    (void)m->l->vfs->close(m->l->vfs->ctx, out->fd); /* it is synced */
    out->fd = -1;
    if (!m->by_file) m->by_file = nk_log_hint_install(m->l, out->piece.number, NULL) != NITRO_OK;
    if (!m->by_file) m->hint_made = 0;
    m->narrow = false;
    m->state = m->resume = NK_MERGE_READ;
    return NITRO_OK;
}

/* ---- 3 ---------------------------------------------------------------------------------------------*/

void nk_merge_close_switch(struct nk_merge *m) {
    if (m->switch_fd < 0) return;
    nk_hintread_close(&m->switcher);
    (void)m->l->vfs->close(m->l->vfs->ctx, m->switch_fd); /* only read */
    m->switch_fd = -1;
}

/* Opens what the switch goes by: the hint, if it is that of the new file. */
static int open_source(struct nk_merge *m) {
    uint64_t size;
    if (m->by_file) return nk_merge_in_open(&m->in, m->l, &m->out.piece);
    int rc = nk_log_hint_open(m->l, m->out.piece.number, &m->switch_fd, &size);
    if (rc != NITRO_OK) return rc;
    rc = nk_hintread_open(&m->switcher, m->l->vfs, m->l->mem, m->switch_fd, size);
    if (rc != NITRO_OK) return rc;
    const struct nk_hint_head *h = &m->switcher.head;
    bool ours = h->number == m->out.piece.number && h->salt == m->out.piece.salt &&
                h->entries == m->out.records && h->put_bytes == m->out.put_bytes;
    return ours ? NITRO_OK : NITRO_ECORRUPT;
}

static int next_record(struct nk_merge *m, struct nk_placed *out) {
    struct nk_hint h;
    if (m->by_file) return nk_merge_in_next(&m->in, m->count > 0, out);
    m->switcher.hold = m->count > 0;
    int rc = nk_hintread_next(&m->switcher, &h);
    if (rc != NITRO_OK) return rc;
    *out = (struct nk_placed){
        .r = {.lsn = h.lsn, .kind = h.kind, .key = h.key, .key_bytes = h.key_bytes},
        .offset = h.offset,
        .bytes = h.bytes};
    return NITRO_OK;
}

static uint64_t source_at(const struct nk_merge *m) {
    return m->by_file ? nk_merge_in_at(&m->in) : m->switcher.at;
}

/* Reads puts, as many as lie in one stretch. NITRO_ENOTFOUND: there are no more. */
static int read_puts(struct nk_merge *m) {
    int rc = NITRO_OK;
    while (m->count < NK_MERGE_BATCH && rc == NITRO_OK) {
        struct nk_placed *rec = &m->item[m->count].rec;
        rc = next_record(m, rec);
        if (rc == NITRO_OK && rec->r.kind == NK_REC_PUT) m->count++;
    }
    if (rc == NITRO_EBUSY) return NITRO_OK;
    return rc == NITRO_ENOTFOUND && m->count > 0 ? NITRO_OK : rc;
}

int nk_merge_read(struct nk_merge *m, struct nk_merge_call *c) {
    int rc = NITRO_OK;
    bool open = m->by_file ? m->in.piece != NULL : m->switch_fd >= 0;
    if (!open) rc = open_source(m);
    m->count = m->at = 0;
    uint64_t from = rc == NITRO_OK ? source_at(m) : 0;
    if (rc == NITRO_OK) rc = read_puts(m);
    if (rc == NITRO_OK || rc == NITRO_ENOTFOUND) {
        c->out->read = source_at(m) - from;
        m->state = rc == NITRO_OK ? NK_MERGE_SWITCH : NK_MERGE_REMOVE;
        return NITRO_OK;
    }
    if (m->by_file) return nk_merge_unreadable(m, &m->in, rc, c->err);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(c->err, rc, 0, "merge in %s: out of memory; it is tried again",
                          m->l->dir);
    nk_merge_close_switch(m);
    m->by_file = true; /* from its begin: what has moved already is passed over */
    return NITRO_OK;
}

static bool is_input(const struct nk_merge *m, uint32_t slot) {
    for (uint32_t i = 0; i < m->inputs; i++)
        if (m->input[i].slot == slot) return true;
    return false;
}

/* False: the segment is locked by somebody else. */
static bool move(struct nk_merge *m, struct nk_merge_item *it) {
    int64_t expire_ms;
    struct nk_seg *s = nk_db_seg(m->db, it->key.seg);
    if (!nk_seg_lock(s)) return false;
    uint64_t loc = nk_keydir_find(s, &it->key, &expire_ms);
    if (loc != 0 && is_input(m, nk_loc_slot(loc)))
        nk_keydir_move(s, &it->key, nk_loc(m->out.piece.slot, it->rec.offset, it->rec.bytes));
    nk_seg_unlock(s);
    return true;
}

int nk_merge_switch(struct nk_merge *m, struct nk_merge_call *c) {
    (void)c;
    while (m->at < m->count) {
        uint32_t end = nk_merge_ready(m);
        for (; m->at < end; m->at++)
            if (!move(m, &m->item[m->at])) return NITRO_OK; /* goes on there */
    }
    m->state = NK_MERGE_READ;
    return NITRO_OK;
}

/* ---- 4 ---------------------------------------------------------------------------------------------*/

static uint64_t input_bytes(const struct nk_merge *m) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->inputs; i++)
        sum += nk_file_at(m->l->files, m->input[i].slot)->end - NK_SECTOR;
    return sum;
}

int nk_merge_remove(struct nk_merge *m, struct nk_merge_call *c) {
    if (m->resume == NK_MERGE_READ) { /* all entries have moved */
        uint64_t before = input_bytes(m), after = m->out.at - NK_SECTOR;
        NK_ADD(m->done.merges, 1);
        NK_ADD(m->done.dropped_bytes, before - nk_min_u64(before, after));
        nk_merge_drop(m);
        m->input_at = 0;
        m->replaced_ms = c->now_ms;
        m->resume = NK_MERGE_REMOVE;
    }
    const struct nk_piece *p = &m->input[m->input_at];
    NK_ASSERT(NK_GET(nk_file_at(m->l->files, p->slot)->live_bytes) == 0);
    int rc = nk_log_piece_remove(m->l, p->slot, c->o->retain != 0 ? m->replaced_ms : 0, c->err);
    if (rc != NITRO_OK) return rc;
    if (++m->input_at < m->inputs) return NITRO_OK;
    m->state = m->resume = NK_MERGE_REST;
    return NITRO_OK;
}
