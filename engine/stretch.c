/* SPDX-License-Identifier: MIT
 *
 * stretch.c - reads the next stretch of a file (L1; see stretch.h).
 */
#include "stretch.h"

#define READ_BYTES (256u * 1024)

void nk_stretch_fini(struct nk_stretch *t) {
    nk_mem_free(t->mem, t->buf, t->cap);
    t->buf = NULL;
    t->cap = t->len = 0;
}

/* make_room: what was in the buffer is lost if it has to grow. */
static int make_room(struct nk_stretch *t, uint64_t n) {
    if (n <= t->cap) return NITRO_OK;
    size_t cap = (size_t)nk_round_up(nk_max_u64(n, READ_BYTES), NK_PAGE);
    uint8_t *buf = nk_mem_alloc(t->mem, cap);
    if (buf == NULL) return NITRO_ENOMEM;
    nk_mem_free(t->mem, t->buf, t->cap);
    t->buf = buf;
    t->cap = cap;
    t->len = 0;
    return NITRO_OK;
}

int nk_stretch_read(struct nk_stretch *t, uint64_t at, uint64_t n, const uint8_t **p) {
    NK_ASSERT(n >= 1 && at <= t->end && n <= t->end - at);
    int rc = make_room(t, n);
    if (rc != NITRO_OK) return rc;
    t->len = 0;
    int64_t got = nk_vfs_read(t->vfs, t->fd, t->buf, (size_t)nk_min_u64(t->cap, t->end - at), at);
    if (got < 0) {
        t->sys = (int)-got;
        return NITRO_EIO;
    }
    t->at = at;
    t->len = (size_t)got;
    if (t->len < n) return NITRO_ENOTFOUND;
    *p = t->buf;
    return NITRO_OK;
}
