/* SPDX-License-Identifier: MIT
 *
 * stretch.h - a stretch of a file in memory, for who reads it from front to back in small portions (L1).
 *
 * WHAT   Bytes that are asked for stand in one buffer. What is not in it is read together with what follows it, so a
 *        file is read once, in large pieces. A portion that is larger than the buffer makes it grow.
 * THREADS    One.
 * OWNERSHIP  Pointers into the buffer are borrowed until the next call that has to read. Who still needs one says so
 *        (`hold`), and gets NITRO_EBUSY instead.
 */
#ifndef NK_STRETCH_H
#define NK_STRETCH_H

#include "mem.h"
#include "vfs.h"

struct nk_stretch {
    const struct nitro_vfs *vfs;
    const struct nitro_mem *mem;
    int fd;       /* borrowed */
    int sys;      /* errno of a read that failed */
    uint64_t end; /* of what may be read, an offset */
    uint8_t *buf; /* bytes at .. at + len of the file */
    size_t cap, len;
    uint64_t at;
};

/* nk_stretch_init: takes no memory yet. nk_stretch_fini: may be called twice. */
NK_INLINE void nk_stretch_init(struct nk_stretch *t, const struct nitro_vfs *vfs,
                               const struct nitro_mem *mem, int fd, uint64_t end) {
    *t = (struct nk_stretch){.vfs = vfs, .mem = mem, .fd = fd, .end = end};
}
void nk_stretch_fini(struct nk_stretch *t);

/* nk_stretch_here: how many bytes from `at` on stand in the buffer. */
NK_INLINE uint64_t nk_stretch_here(const struct nk_stretch *t, uint64_t at) {
    return at >= t->at && at < t->at + t->len ? t->at + t->len - at : 0;
}

/* nk_stretch_read: as nk_stretch_get, for bytes that are not all there. */
NITRO_MUST_CHECK int nk_stretch_read(struct nk_stretch *t, uint64_t at, uint64_t n,
                                     const uint8_t **p);

/* nk_stretch_get: n bytes from `at` on, n >= 1, which end at or before t->end, stand at *p. NITRO_OK; NITRO_EBUSY: they
 * would have to be read, and `hold` is set; nothing has changed. NITRO_ENOTFOUND: the file ends before them;
 * NITRO_EIO (sys), NITRO_ENOMEM. */
NK_INLINE NITRO_MUST_CHECK int nk_stretch_get(struct nk_stretch *t, uint64_t at, uint64_t n,
                                              bool hold, const uint8_t **p) {
    if (NK_LIKELY(n <= nk_stretch_here(t, at))) {
        *p = t->buf + (at - t->at);
        return NITRO_OK;
    }
    return hold ? NITRO_EBUSY : nk_stretch_read(t, at, n, p);
}

#endif
