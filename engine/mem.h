/* SPDX-License-Identifier: MIT
 *
 * mem.h - short names for the calls of an allocator table (L0). The only way to memory in the engine;
 * malloc and mmap stand in mem.c alone. Threads and failures: see struct nitro_mem.
 */
#ifndef NK_MEM_H
#define NK_MEM_H

#include "base.h"

NK_INLINE void *nk_mem_alloc(const struct nitro_mem *m, size_t bytes) {
    return m->alloc(m->ctx, bytes);
}
/* nk_mem_zalloc: alloc, cleared. */
NK_INLINE void *nk_mem_zalloc(const struct nitro_mem *m, size_t bytes) {
    void *p = m->alloc(m->ctx, bytes);
    if (p != NULL) memset(p, 0, bytes);
    return p;
}
NK_INLINE void *nk_mem_resize(const struct nitro_mem *m, void *p, size_t old_bytes, size_t bytes) {
    return m->resize(m->ctx, p, old_bytes, bytes);
}
NK_INLINE void nk_mem_free(const struct nitro_mem *m, void *p, size_t bytes) {
    if (p != NULL) m->free(m->ctx, p, bytes);
}
NK_INLINE void *nk_mem_map(const struct nitro_mem *m, size_t bytes, size_t align) {
    return m->map(m->ctx, bytes, align);
}
NK_INLINE void nk_mem_unmap(const struct nitro_mem *m, void *p, size_t bytes) {
    m->unmap(m->ctx, p, bytes);
}
NK_INLINE int nk_mem_advise(const struct nitro_mem *m, void *p, size_t bytes, enum nitro_advice a) {
    return m->advise(m->ctx, p, bytes, a);
}

#endif
