/* SPDX-License-Identifier: MIT
 *
 * exec_batch.c - writing several keys in one step: MSET, DEL of several keys, RENAME, COPY.
 *
 * DESIGN
 *   The work is nk_db_batch's. Here its lists get their memory, which is taken before any lock.
 *
 * NOT HERE  one key (exec_key.c, exec_string.c), the batch itself (batch.c).
 */
#include "exec.h"

/* batch: all or nothing. BUSY, ROOM, or DONE with *code set. */
static int batch(struct nk_exec *x, const struct nk_req *r, uint32_t *found, int *code) {
    struct nk_chunk *c = x->c;
    bool is_long = r->arg_count > NK_BATCH_SHORT;
    uint32_t list = (uint32_t)nk_min_u64(r->arg_count + 1, NITRO_SEGMENTS_MAX);
    void *segs = c->segs;
    *code =
        nk_chunk_room(x->db, &segs, &c->seg_cap, is_long ? list : NK_BATCH_SHORT, sizeof *c->segs);
    c->segs = segs;
    if (*code == NITRO_OK && is_long) *code = nk_chunk_scratch(x->db, c, NITRO_SEGMENTS_MAX / 8);
    if (*code != NITRO_OK) return NITRO_STOP_DONE;
    struct nk_batch b = {.m = c->multi + r->arg_at,
                         .count = r->arg_count,
                         .expire_ms = r->expire_ms,
                         .only_new = (r->flags & NK_F_NX) != 0,
                         .segs = c->segs,
                         .map = (uint64_t *)(void *)c->scratch};
    for (uint32_t i = 0; i < b.count; i++) b.m[i].remove = r->op == NK_OP_MDEL;
    *code = nk_db_batch(x->db, &b, x->now);
    if (*code == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (*code == NITRO_ELOGFULL) return nk_exec_no_room(x, b.log_bytes);
    if (*code == NITRO_OK || *code == NITRO_ENOTSTORED) nk_exec_show(x, b.shown);
    if (*code == NITRO_OK) nk_exec_wrote(x, b.last_lsn);
    *found = b.found;
    return NITRO_STOP_DONE;
}

int nk_exec_mset(struct nk_exec *x, struct nk_req *r) {
    uint32_t found;
    int rc, stop = batch(x, r, &found, &rc);
    if (stop != NITRO_STOP_DONE) return stop;
    if (rc != NITRO_OK && rc != NITRO_ENOTSTORED)
        nk_reply_error(x, r, rc);
    else if (x->binary)
        nk_reply_status(x, r, rc);
    else if ((r->flags & NK_F_COUNT) == 0)
        nk_reply_ok(x, r);
    else {
        nk_exec_missed(x, rc);
        nk_reply_int(x, rc == NITRO_OK);
    }
    return NITRO_STOP_DONE;
}

/* reply_moved: RENAME answers OK or that there is no such key, RENAMENX and COPY count. */
static void reply_moved(struct nk_exec *x, const struct nk_req *r, int code) {
    bool counts = r->op == NK_OP_COPY || (r->flags & NK_F_NX) != 0;
    nk_exec_missed(x, code);
    if (x->binary)
        nk_reply_status(x, r, code);
    else if (code == NITRO_ENOTFOUND && r->op == NK_OP_RENAME)
        nk_reply_fault(x, r, NK_FAULT_NO_KEY, NULL, 0);
    else if (counts)
        nk_reply_int(x, code == NITRO_OK);
    else
        nk_reply_ok(x, r);
}

int nk_exec_rename(struct nk_exec *x, struct nk_req *r) {
    struct nk_multi *m = x->c->multi + r->arg_at;
    struct nk_move mv = {.from = &m[0].key,
                         .to = &m[1].key,
                         .keep = r->op == NK_OP_COPY,
                         .only_new = (r->flags & NK_F_NX) != 0,
                         .fetch = &x->c->fetch};
    int code = nk_db_move(x->db, &mv, x->now);
    if (code == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (code == NITRO_AWAY) return NITRO_STOP_IO;
    if (code == NITRO_ELOGFULL) {
        int stop = nk_exec_no_room(x, mv.log_bytes);
        if (stop != NITRO_STOP_DONE) return stop;
    }
    nk_exec_show(x, mv.shown);
    if (code == NITRO_OK) nk_exec_wrote(x, mv.last_lsn);
    if (code == NITRO_OK || code == NITRO_ENOTFOUND || code == NITRO_ENOTSTORED)
        reply_moved(x, r, code);
    else
        nk_reply_error(x, r, code);
    return NITRO_STOP_DONE;
}

int nk_exec_mdel(struct nk_exec *x, struct nk_req *r) {
    uint32_t found = 0;
    int rc, stop = batch(x, r, &found, &rc);
    if (stop != NITRO_STOP_DONE) return stop;
    if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    else if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &found, sizeof found);
    else if ((r->flags & NK_F_OK) != 0)
        nk_reply_ok(x, r);
    else
        nk_reply_int(x, found);
    return NITRO_STOP_DONE;
}
