/* SPDX-License-Identifier: MIT
 *
 * vfs.c - file calls that go on after a short count and after EINTR (L1).
 *
 * DESIGN
 *   A table may do less than it was asked for, and a signal may stop a call before it has done
 *   anything. Both are normal and are met here, once, so that every caller above sees only "done"
 *   or "failed". Retries are bounded: a file system that answers EINTR for ever gives -EINTR, not a
 *   hang. A sync is never repeated: after any failure, EINTR included, the kernel may have dropped
 *   the pages, and a second call that succeeds would say nothing about them.
 *
 * NOT HERE  the system's calls (vfs_posix.c), names (path.c), what a failure means (the caller's).
 */
#include "vfs.h"
#include "mem.h"
#include "mutant.h"

#define EINTR_MAX 1000u /* in a row; signals do not come that fast */

/* Never written to. Not const: so it lies in .bss and takes no room in the binary. */
#define ZEROS_BYTES (64u * 1024)
static uint8_t zeros[ZEROS_BYTES];

/* interrupted: counts one more EINTR in a row; true if the call is worth another try. */
static bool interrupted(int64_t rc, unsigned *count) {
    if (rc != -EINTR) return false;
    *count += 1;
    return *count < EINTR_MAX;
}

int64_t nk_vfs_read(const struct nitro_vfs *v, int file, void *p, size_t n, uint64_t offset) {
    size_t done = 0;
    unsigned tries = 0;
    while (done < n) {
        int64_t rc = v->read(v->ctx, file, (uint8_t *)p + done, n - done, offset + done);
        if (interrupted(rc, &tries)) continue;
        if (rc < 0) return rc;
        if (rc == 0) break;
        NK_ASSERT((uint64_t)rc <= n - done);
        done += (size_t)rc;
        tries = 0;
    }
    return (int64_t)done;
}

int nk_vfs_write(const struct nitro_vfs *v, int file, const void *p, size_t n, uint64_t offset,
                 const char *why) {
    size_t done = 0;
    unsigned tries = 0;
    while (done < n) {
        int64_t rc =
            v->write(v->ctx, file, (const uint8_t *)p + done, n - done, offset + done, why);
        if (interrupted(rc, &tries)) continue;
        if (rc < 0) return (int)rc;
        if (rc == 0) return -EIO;
        NK_ASSERT((uint64_t)rc <= n - done);
        done += NK_MUTATE(30, n - done, (size_t)rc);
        tries = 0;
    }
    return 0;
}

int nk_vfs_zero(const struct nitro_vfs *v, int file, uint64_t offset, uint64_t n, const char *why) {
    for (uint64_t done = 0; done < n;) {
        size_t piece = (size_t)nk_min_u64(n - done, ZEROS_BYTES);
        int rc = nk_vfs_write(v, file, zeros, piece, offset + done, why);
        if (rc < 0) return rc;
        done += piece;
    }
    return 0;
}

int nk_vfs_sync(const struct nitro_vfs *v, int file, const char *why) {
    return v->sync(v->ctx, file, why);
}

int nk_vfs_alloc(const struct nitro_vfs *v, int file, uint64_t offset, uint64_t bytes,
                 const char *why) {
    unsigned tries = 0;
    int rc;
    do {
        rc = v->alloc(v->ctx, file, offset, bytes, why);
    } while (interrupted(rc, &tries));
    return rc;
}

int nk_vfs_truncate(const struct nitro_vfs *v, int file, uint64_t bytes, const char *why) {
    unsigned tries = 0;
    int rc;
    do {
        rc = v->truncate(v->ctx, file, bytes, why);
    } while (interrupted(rc, &tries));
    return rc;
}

int nk_vfs_dir_sync(const struct nitro_vfs *v, int dir, const char *why) {
    return v->dir_sync(v->ctx, dir, why);
}

int nk_vfs_open(const struct nitro_vfs *v, int dir, const char *name, unsigned flags) {
    unsigned tries = 0;
    int rc;
    do {
        rc = v->open(v->ctx, dir, name, flags);
    } while (interrupted(rc, &tries));
    return rc;
}

int nk_vfs_dir_of(const struct nitro_vfs *v, const struct nitro_mem *mem, const char *path,
                  const char **name) {
    const char *slash = strrchr(path, '/'), *from = path;
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (n == 0) {
        from = slash == NULL ? "." : "/";
        n = 1;
    }
    char *dir = nk_mem_alloc(mem, n + 1);
    if (dir == NULL) return -ENOMEM;
    memcpy(dir, from, n);
    dir[n] = '\0';
    int fd = v->dir_open(v->ctx, dir, 0);
    nk_mem_free(mem, dir, n + 1);
    if (fd >= 0) *name = slash == NULL ? path : slash + 1;
    return fd;
}
