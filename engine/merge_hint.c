/* SPDX-License-Identifier: MIT
 *
 * merge_hint.c - the hint of a sealed file: it is read once, record by record, and what a start needs of it is
 * written beside it (L5).
 *
 * Hints of merged files are written while these are made (merge_copy.c), with the same few calls. A hint is a cache: one
 * that could not be written harms nothing, and is tried again when everything else is done.
 */
#include "merge.h"

/* ---- for every hint --------------------------------------------------------------------------------*/

int nk_merge_hint_open(struct nk_merge *m, const struct nk_piece *p, struct nitro_err *err) {
    struct nk_hint_head head = {
        .kind = p->kind, .number = p->number, .salt = p->salt, .first_lsn = p->first_lsn};
    memcpy(head.store, m->l->store, sizeof head.store);
    int rc = nk_log_hint_create(m->l, p->number, &m->hint_fd, err);
    if (rc != NITRO_OK) return rc;
    m->hint_made = p->number;
    rc = nk_hintwrite_init(&m->hint, m->l->vfs, m->l->mem, m->hint_fd, &head);
    if (rc == NITRO_OK) return NITRO_OK;
    nk_merge_hint_close(m);
    return nk_err_set(err, rc, 0, "make a hint in %s: out of memory", m->l->dir);
}

void nk_merge_hint_close(struct nk_merge *m) {
    if (m->hint_fd < 0) return;
    nk_hintwrite_fini(&m->hint);
    (void)m->l->vfs->close(m->l->vfs->ctx,
                           m->hint_fd); /* what it holds is checked by who reads it */
    m->hint_fd = -1;
}

/* ---- of a sealed file ------------------------------------------------------------------------------*/

int nk_merge_hint_begin(struct nk_merge *m, struct nk_merge_call *c, const struct nk_piece *p) {
    m->hinted = *p;
    int rc = nk_merge_hint_open(m, &m->hinted, c->err);
    if (rc != NITRO_OK) return rc;
    m->state = NK_MERGE_HINT;
    return NITRO_OK;
}

static int finish(struct nk_merge *m, struct nk_merge_call *c) {
    int rc = nk_hintwrite_finish(&m->hint, m->in.end, m->in.time_ms);
    if (rc != NITRO_OK)
        return nk_merge_cannot(m, -m->hint.sys, "write the hint of", m->hinted.number, c->err);
    nk_merge_in_close(&m->in);
    nk_merge_hint_close(m);
    m->state = NK_MERGE_NAME;
    return NITRO_OK;
}

int nk_merge_hint(struct nk_merge *m, struct nk_merge_call *c) {
    int rc = m->in.piece == NULL ? nk_merge_in_open(&m->in, m->l, &m->hinted) : NITRO_OK;
    if (rc != NITRO_OK) return nk_merge_unreadable(m, &m->in, rc, c->err);
    uint64_t from = nk_merge_in_at(&m->in), written = m->hint.at;
    while (rc == NITRO_OK && nk_merge_in_at(&m->in) - from < NK_MERGE_STRETCH) {
        struct nk_placed rec;
        rc = nk_merge_in_next(&m->in, false, &rec);
        if (rc != NITRO_OK) break;
        struct nk_hint h = nk_merge_hint_of(&rec.r, rec.offset, rec.bytes);
        if (nk_hintwrite_add(&m->hint, &h) != NITRO_OK)
            return nk_merge_cannot(m, -m->hint.sys, "write the hint of", m->hinted.number, c->err);
    }
    c->out->read = nk_merge_in_at(&m->in) - from;
    c->out->written = m->hint.at - written;
    if (rc == NITRO_ENOTFOUND) return finish(m, c);
    return rc == NITRO_OK ? NITRO_OK : nk_merge_unreadable(m, &m->in, rc, c->err);
}

int nk_merge_name(struct nk_merge *m, struct nk_merge_call *c) {
    int rc = nk_log_hint_install(m->l, m->hinted.number, c->err);
    if (rc != NITRO_OK) return rc;
    m->hint_made = 0;
    m->state = NK_MERGE_REST;
    return NITRO_OK;
}
