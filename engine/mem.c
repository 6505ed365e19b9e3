/* SPDX-License-Identifier: MIT
 *
 * mem.c - the default allocator table: malloc for small objects, anonymous mmap for pages (L0).
 */
#define _GNU_SOURCE
#include "mem.h"

#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static void *sys_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    return malloc(bytes);
}

static void *sys_resize(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    (void)ctx;
    (void)old_bytes;
    return realloc(p, bytes);
}

static void sys_free(void *ctx, void *p, size_t bytes) {
    (void)ctx;
    (void)bytes;
    free(p);
}

/* munmap of a whole or partial private mapping can only fail for want of a mapping record (ENOMEM) when
 * it splits one in two; then the pages are given back and the addresses stay reserved. */
static void unmap_or_discard(void *p, size_t bytes) {
    if (munmap(p, bytes) != 0) (void)madvise(p, bytes, MADV_DONTNEED);
}

static void *sys_map(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    size_t want = align > NK_PAGE ? bytes + align : bytes;
    uint8_t *p = mmap(NULL, want, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (want == bytes) return p;
    uint8_t *start = (uint8_t *)nk_round_up((uint64_t)(uintptr_t)p, align);
    if (start > p) unmap_or_discard(p, (size_t)(start - p));
    uint8_t *end = start + bytes;
    if (end < p + want) unmap_or_discard(end, (size_t)(p + want - end));
    return start;
}

static void sys_unmap(void *ctx, void *p, size_t bytes) {
    (void)ctx;
    unmap_or_discard(p, bytes);
}

/* Kernels before 5.14 do not know MADV_POPULATE_WRITE: touch each page. */
static void touch_pages(uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += NK_PAGE) {
        volatile uint8_t *b = p + i;
        *b = *b;
    }
}

static int sys_advise(void *ctx, void *p, size_t bytes, enum nitro_advice advice) {
    (void)ctx;
    switch (advice) {
    case NITRO_ADVISE_POPULATE:
        if (madvise(p, bytes, MADV_POPULATE_WRITE) != 0) touch_pages(p, bytes);
        return 0;
    case NITRO_ADVISE_DISCARD:
        return madvise(p, bytes, MADV_DONTNEED);
    case NITRO_ADVISE_HUGE:
        return madvise(p, bytes, MADV_HUGEPAGE);
    case NITRO_ADVISE_SMALL:
        return madvise(p, bytes, MADV_NOHUGEPAGE);
    }
    return -1;
}

const struct nitro_mem *nitro_mem_system(void) {
    static const struct nitro_mem table = {.ctx = NULL,
                                           .alloc = sys_alloc,
                                           .resize = sys_resize,
                                           .free = sys_free,
                                           .map = sys_map,
                                           .unmap = sys_unmap,
                                           .advise = sys_advise};
    return &table;
}
