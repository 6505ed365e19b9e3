/* SPDX-License-Identifier: MIT
 *
 * pages.c - pages that stay with the process (L9, tests/sim).
 *
 * DESIGN
 *   A simulated life takes a few hundred microseconds, and a store maps its tables and arenas anew in each. Half of the time
 *   went into the kernel, for mappings and for the first touch of each page. So what is given back is kept, by its size: a few pages are
 *   filled with zeros and wait as they are; of more, which a world touches little of, the kernel takes the pages, but the
 *   addresses stay.
 *
 * THREADS  one.
 * NOT HERE  counting and failing (tests/c/support.c).
 */
#include "pages.h"

#include "base.h"

#include <sys/mman.h>

#define SIZES_MAX 32u
#define KEPT_MAX 256u
#define FILL_BYTES (80u * 1024) /* up to here it is quicker to fill with zeros than to touch anew */

static struct kept {
    size_t bytes; /* 0: no size yet */
    void *p[KEPT_MAX];
    unsigned count;
} kept[SIZES_MAX];

/* kept_of: NULL when there are too many sizes. */
static struct kept *kept_of(size_t bytes) {
    for (unsigned i = 0; i < SIZES_MAX; i++) {
        if (kept[i].bytes == 0) kept[i].bytes = bytes;
        if (kept[i].bytes == bytes) return &kept[i];
    }
    return NULL;
}

static void *map(void *ctx, size_t bytes, size_t align) {
    const struct nitro_mem *sys = nitro_mem_system();
    struct kept *k = kept_of(bytes);
    (void)ctx;
    bool fits = k != NULL && k->count > 0 && (uintptr_t)k->p[k->count - 1] % align == 0;
    return fits ? k->p[--k->count] : sys->map(sys->ctx, bytes, align);
}

static void unmap(void *ctx, void *p, size_t bytes) {
    const struct nitro_mem *sys = nitro_mem_system();
    struct kept *k = kept_of(bytes);
    (void)ctx;
    bool keep = k != NULL && k->count < KEPT_MAX &&
                (bytes <= FILL_BYTES || madvise(p, bytes, MADV_DONTNEED) == 0);
    if (!keep) {
        sys->unmap(sys->ctx, p, bytes);
        return;
    }
    if (bytes <= FILL_BYTES) memset(p, 0, bytes);
    k->p[k->count++] = p;
}

const struct nitro_mem sim_pages = {.map = map, .unmap = unmap};
