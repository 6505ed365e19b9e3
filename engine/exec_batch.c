/* SPDX-License-Identifier: MIT
 *
 * exec_batch.c - writing several keys in one step: MSET and DEL of several keys.
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
                         .segs = c->segs,
                         .map = (uint64_t *)(void *)c->scratch};
    for (uint32_t i = 0; i < b.count; i++) b.m[i].remove = r->op == NK_OP_MDEL;
    *code = nk_db_batch(x->db, &b, x->now);
    if (*code == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (*code == NITRO_ELOGFULL) return nk_exec_no_room(x, b.log_bytes);
    if (*code == NITRO_OK) {
        nk_exec_show(x, b.shown);
        nk_exec_wrote(x, b.last_lsn);
    }
    *found = b.found;
    return NITRO_STOP_DONE;
}

int nk_exec_mset(struct nk_exec *x, struct nk_req *r) {
    uint32_t found;
    int rc, stop = batch(x, r, &found, &rc);
    if (stop != NITRO_STOP_DONE) return stop;
    if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    else
        nk_reply_ok(x, r);
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
