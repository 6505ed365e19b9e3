/* SPDX-License-Identifier: MIT
 *
 * vfs_map.h - the part of the system's table that maps files (L1). See struct nitro_vfs.
 */
#ifndef NK_VFS_MAP_H
#define NK_VFS_MAP_H

#include "base.h"

const void *nk_posix_map(void *ctx, int file, uint64_t bytes);
void nk_posix_unmap(void *ctx, const void *p, uint64_t bytes);
int nk_posix_map_read(void *ctx, void *dst, const void *src, size_t n);

#endif
