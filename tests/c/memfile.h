/* SPDX-License-Identifier: MIT
 *
 * memfile.h - one file in memory behind a struct nitro_vfs, whose calls do less than asked or fail on demand.
 *
 * Only read, write and sync exist; who calls another one crashes. Calls are numbered from 1 since
 * memfile_fail. The handle is not looked at.
 */
#ifndef MEMFILE_H
#define MEMFILE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nitro.h"

struct memfile {
    struct nitro_vfs vfs;
    uint8_t *p;
    uint64_t size, cap;
    uint64_t synced;        /* size at the last sync */
    uint64_t calls;         /* so far */
    uint64_t fail_at;       /* number of the call that fails; 0 = none */
    int fail;               /* with this: -EIO, -ENOSPC … */
    size_t most;            /* bytes that one call does */
    bool interrupts;        /* every other call is interrupted before it does anything */
    uint64_t written_bytes; /* by all calls together */
};

/* memfile_enter: 0 if the call goes on; else what it returns. */
static inline int memfile_enter(struct memfile *f) {
    f->calls++;
    if (f->calls == f->fail_at) return f->fail;
    return f->interrupts && f->calls % 2 == 1 ? -EINTR : 0;
}

static inline int64_t memfile_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    struct memfile *f = ctx;
    (void)file;
    int rc = memfile_enter(f);
    if (rc != 0) return rc;
    if (offset >= f->size) return 0;
    if (n > f->size - offset) n = (size_t)(f->size - offset);
    if (n > f->most) n = f->most;
    memcpy(p, f->p + offset, n);
    return (int64_t)n;
}

static inline int64_t memfile_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                                    const char *why) {
    struct memfile *f = ctx;
    (void)file;
    (void)why;
    int rc = memfile_enter(f);
    if (rc != 0) return rc;
    if (n > f->most) n = f->most;
    uint64_t end = offset + n;
    if (end > f->cap) {
        uint64_t cap = end * 2;
        uint8_t *grown = realloc(f->p, cap);
        if (grown == NULL) return -ENOSPC;
        memset(grown + f->cap, 0, cap - f->cap);
        f->p = grown;
        f->cap = cap;
    }
    memcpy(f->p + offset, p, n);
    if (end > f->size) f->size = end;
    f->written_bytes += n;
    return (int64_t)n;
}

static inline int memfile_sync(void *ctx, int file, const char *why) {
    struct memfile *f = ctx;
    (void)file;
    (void)why;
    f->calls++;
    if (f->calls == f->fail_at) return f->fail;
    f->synced = f->size;
    return 0;
}

static inline void memfile_init(struct memfile *f) {
    memset(f, 0, sizeof *f);
    f->vfs = (struct nitro_vfs){
        .ctx = f, .read = memfile_read, .write = memfile_write, .sync = memfile_sync};
    f->most = SIZE_MAX;
}

static inline void memfile_fini(struct memfile *f) {
    free(f->p);
    f->p = NULL;
    f->size = f->cap = 0;
}

/* memfile_fail: the call with this number from now on fails; 0 = none does. */
static inline void memfile_fail(struct memfile *f, uint64_t number, int error) {
    f->calls = 0;
    f->fail_at = number;
    f->fail = error;
}

#endif
