/* SPDX-License-Identifier: MIT
 *
 * vfs.h - file calls through a struct nitro_vfs, with what every caller wants (L1).
 *
 * WHAT   Reads and writes that go on after a short count and after EINTR; files by their paths.
 * THREADS  As struct nitro_vfs: any thread, the same handle too.
 * ERRORS   -errno, as the table. A write that makes no progress (0 bytes) is -EIO.
 */
#ifndef NK_VFS_H
#define NK_VFS_H

#include "base.h"

#include <errno.h>

/* nk_vfs_read: reads until n bytes are there or the file ends; returns the bytes read, or -errno. */
int64_t nk_vfs_read(const struct nitro_vfs *v, int file, void *p, size_t n, uint64_t offset);
/* nk_vfs_write: writes all n bytes: 0, or -errno (some may have been written). */
NITRO_MUST_CHECK int nk_vfs_write(const struct nitro_vfs *v, int file, const void *p, size_t n,
                                  uint64_t offset, const char *why);
/* nk_vfs_zero: writes n zero bytes: 0, or -errno. */
NITRO_MUST_CHECK int nk_vfs_zero(const struct nitro_vfs *v, int file, uint64_t offset, uint64_t n,
                                 const char *why);
/* nk_vfs_sync: EINTR is a failure like any other: what it has written is not known. */
NITRO_MUST_CHECK int nk_vfs_sync(const struct nitro_vfs *v, int file, const char *why);
/* nk_vfs_alloc, nk_vfs_truncate, nk_vfs_dir_sync: EINTR is tried again for the first two. */
NITRO_MUST_CHECK int nk_vfs_alloc(const struct nitro_vfs *v, int file, uint64_t offset,
                                  uint64_t bytes, const char *why);
NITRO_MUST_CHECK int nk_vfs_truncate(const struct nitro_vfs *v, int file, uint64_t bytes,
                                     const char *why);
NITRO_MUST_CHECK int nk_vfs_dir_sync(const struct nitro_vfs *v, int dir, const char *why);
/* nk_vfs_open: EINTR is tried again. */
NITRO_MUST_CHECK int nk_vfs_open(const struct nitro_vfs *v, int dir, const char *name,
                                 unsigned flags);
/* nk_vfs_dir_of: opens the folder in which the file of this path lies (a table knows folders and names in them, so a
 * path is cut at its last slash); *name, borrowed from path, is the file's name there. A handle, or -errno. */
NITRO_MUST_CHECK int nk_vfs_dir_of(const struct nitro_vfs *v, const struct nitro_mem *mem,
                                   const char *path, const char **name);

#endif
