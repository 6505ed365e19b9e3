/* SPDX-License-Identifier: MIT
 *
 * tar_rig.h - an archive made block by block, lying in memory behind a table of file calls that counts its handles and
 * fails on demand (memfile.h).
 */
#ifndef TAR_RIG_H
#define TAR_RIG_H

#include <stdio.h>

#include "memfile.h"
#include "vfs_tar.h"

#define TAR_PATH "folder/backup.tar"
#define TAR_FOLDER 7
#define TAR_FILE 8

struct tar_rig {
    struct memfile file; /* first: the table's ctx */
    int open;            /* handles */
};

/* tar_rig_enter: for the calls that the system never interrupts. */
static inline int tar_rig_enter(struct tar_rig *r) {
    int rc = memfile_enter(&r->file);
    return rc == -EINTR ? 0 : rc;
}

static inline int tar_rig_dir_open(void *ctx, const char *path, unsigned flags) {
    struct tar_rig *r = ctx;
    int rc = tar_rig_enter(r);
    if (rc != 0) return rc;
    if (strcmp(path, "folder") != 0 || flags != 0) return -ENOENT;
    r->open++;
    return TAR_FOLDER;
}

static inline int tar_rig_open(void *ctx, int dir, const char *name, unsigned flags) {
    struct tar_rig *r = ctx;
    int rc = memfile_enter(&r->file);
    if (rc != 0) return rc;
    if (dir != TAR_FOLDER || strcmp(name, "backup.tar") != 0 || flags != NITRO_FILE_READ)
        return -ENOENT;
    r->open++;
    return TAR_FILE;
}

static inline int tar_rig_close(void *ctx, int handle) {
    struct tar_rig *r = ctx;
    r->open -= handle == TAR_FOLDER || handle == TAR_FILE;
    return 0;
}

static inline int64_t tar_rig_size(void *ctx, int file) {
    struct tar_rig *r = ctx;
    int rc = tar_rig_enter(r);
    return rc != 0 ? rc : file == TAR_FILE ? (int64_t)r->file.size : -EBADF;
}

/* tar_rig_init: an empty file; a call that is not listed here or in memfile.h crashes. */
static inline void tar_rig_init(struct tar_rig *r) {
    r->open = 0;
    memfile_init(&r->file);
    r->file.vfs.dir_open = tar_rig_dir_open;
    r->file.vfs.dir_close = tar_rig_close;
    r->file.vfs.open = tar_rig_open;
    r->file.vfs.close = tar_rig_close;
    r->file.vfs.size = tar_rig_size;
}

/* tar_sum: puts the checksum of a header right. */
static inline void tar_sum(uint8_t *p) {
    unsigned sum = 0;
    memset(p + 148, ' ', 8);
    for (unsigned i = 0; i < NK_TAR_BLOCK; i++) sum += p[i];
    snprintf((char *)p + 148, 8, "%06o", sum & 0777777);
}

static inline void tar_header(uint8_t *p, const char *name, char type, uint64_t size) {
    memset(p, 0, NK_TAR_BLOCK);
    strncpy((char *)p, name, 100);
    memcpy(p + 100, "0000600\0000000000\0000000000", 24);
    snprintf((char *)p + 124, 12, "%011llo", (unsigned long long)size);
    memcpy(p + 136, "14524676000", 12);
    p[156] = (uint8_t)type;
    memcpy(p + 257, "ustar\00000", 8);
    tar_sum(p);
}

/* tar_append: bytes to the end of the file, and zeros up to a whole block. */
static inline void tar_append(struct tar_rig *r, const void *p, size_t n) {
    static const uint8_t zeros[NK_TAR_BLOCK];
    size_t pad = (NK_TAR_BLOCK - n % NK_TAR_BLOCK) % NK_TAR_BLOCK;
    if (n > 0 && memfile_write(r, TAR_FILE, p, n, r->file.size, "test") != (int64_t)n) abort();
    if (pad > 0 && memfile_write(r, TAR_FILE, zeros, pad, r->file.size, "test") != (int64_t)pad)
        abort();
}

static inline void tar_put(struct tar_rig *r, const char *name, char type, const void *p,
                           size_t n) {
    uint8_t head[NK_TAR_BLOCK];
    tar_header(head, name, type, n);
    tar_append(r, head, sizeof head);
    tar_append(r, p, n);
}

/* tar_zeros: so many blocks; two are the end. */
static inline void tar_zeros(struct tar_rig *r, unsigned blocks) {
    static const uint8_t zeros[NK_TAR_BLOCK];
    for (; blocks > 0; blocks--) tar_append(r, zeros, sizeof zeros);
}

/* tar_fill: zeros up to a multiple of 10,240 bytes. */
static inline void tar_fill(struct tar_rig *r) {
    while (r->file.size % 10240 != 0) tar_zeros(r, 1);
}

#endif
