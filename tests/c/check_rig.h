/* SPDX-License-Identifier: MIT
 *
 * check_rig.h - for the tests of nitro_check: the system's file calls, counted, failing on demand,
 * and without syncs (no power is cut there); and a whole folder held in memory, to be damaged and
 * put back.
 */
#ifndef CHECK_RIG_H
#define CHECK_RIG_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "path.h"
#include "support.h"

#define FILES_MAX 64u

/* ---- a table that counts and fails -------------------------------------------------------------*/

struct rig {
    struct nitro_vfs vfs;
    const struct nitro_vfs *sys;
    int handles;
    uint64_t changes, reads; /* calls so far */
    uint64_t fail_change;    /* from this one on they fail; 0 = none */
    uint64_t fail_read;
    bool once;        /* only this one fails */
    char renamed[64]; /* the last name that a file was given */
    char trace[1024]; /* why the changes were made, each once in a row, a line each */
};

static inline void trace(struct rig *r, const char *why) {
    size_t n = strlen(r->trace), last = n;
    while (last > 0 && (last == n || r->trace[last - 1] != '\n')) last--;
    if (strncmp(r->trace + last, why, strlen(why)) == 0) return;
    if (n + strlen(why) + 2 <= sizeof r->trace) sprintf(r->trace + n, "%s\n", why);
}

static inline bool fails(const struct rig *r, uint64_t call, uint64_t from) {
    return from != 0 && (r->once ? call == from : call >= from);
}
static inline bool change_fails(struct rig *r) {
    r->changes++;
    return fails(r, r->changes, r->fail_change);
}
static inline bool read_fails(struct rig *r) {
    r->reads++;
    return fails(r, r->reads, r->fail_read);
}
static inline int counted(struct rig *r, int handle) {
    if (handle >= 0) r->handles++;
    return handle;
}

static inline int rig_dir_open(void *ctx, const char *path, unsigned flags) {
    struct rig *r = ctx;
    return read_fails(r) ? -EIO : counted(r, r->sys->dir_open(NULL, path, flags));
}
static inline int rig_close(void *ctx, int handle) {
    struct rig *r = ctx;
    r->handles--;
    return r->sys->close(NULL, handle);
}
static inline int rig_dir_list(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    struct rig *r = ctx;
    return read_fails(r) ? -EIO : r->sys->dir_list(NULL, dir, fn, arg);
}
static inline int rig_sync(void *ctx, int handle, const char *why) {
    (void)handle;
    trace(ctx, why);
    return change_fails(ctx) ? -EIO : 0;
}
static inline int rig_lock(void *ctx, int dir, const char *name, char *owner, size_t cap) {
    struct rig *r = ctx;
    return read_fails(r) ? -EIO : counted(r, r->sys->lock(NULL, dir, name, owner, cap));
}
static inline int rig_open(void *ctx, int dir, const char *name, unsigned flags) {
    struct rig *r = ctx;
    bool fails = (flags & NITRO_FILE_CREATE) != 0 ? change_fails(r) : read_fails(r);
    return fails ? -EIO : counted(r, r->sys->open(NULL, dir, name, flags));
}
static inline int64_t rig_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    struct rig *r = ctx;
    return read_fails(r) ? -EIO : r->sys->read(NULL, file, p, n, offset);
}
static inline int64_t rig_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                                const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->write(NULL, file, p, n, offset, why);
}
static inline int rig_alloc(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->alloc(NULL, file, offset, bytes, why);
}
static inline int rig_truncate(void *ctx, int file, uint64_t bytes, const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->truncate(NULL, file, bytes, why);
}
static inline int64_t rig_size(void *ctx, int file) {
    struct rig *r = ctx;
    return read_fails(r) ? -EIO : r->sys->size(NULL, file);
}
static inline int rig_rename(void *ctx, int dir, const char *from, const char *to,
                             const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    snprintf(r->renamed, sizeof r->renamed, "%s", to);
    return change_fails(r) ? -EIO : r->sys->rename(NULL, dir, from, to, why);
}
static inline int rig_unlink(void *ctx, int dir, const char *name, const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->unlink(NULL, dir, name, why);
}
static inline int rig_link(void *ctx, int dir, const char *name, int to_dir, const char *to_name,
                           const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->link(NULL, dir, name, to_dir, to_name, why);
}
static inline int rig_dir_remove(void *ctx, int dir, const char *name, const char *why) {
    struct rig *r = ctx;
    trace(r, why);
    return change_fails(r) ? -EIO : r->sys->dir_remove(NULL, dir, name, why);
}

static inline void rig_init(struct rig *r) {
    *r = (struct rig){.sys = nitro_vfs_system()};
    r->vfs = (struct nitro_vfs){.ctx = r,
                                .dir_open = rig_dir_open,
                                .dir_close = rig_close,
                                .dir_list = rig_dir_list,
                                .dir_sync = rig_sync,
                                .lock = rig_lock,
                                .open = rig_open,
                                .close = rig_close,
                                .read = rig_read,
                                .write = rig_write,
                                .sync = rig_sync,
                                .alloc = rig_alloc,
                                .truncate = rig_truncate,
                                .size = rig_size,
                                .rename = rig_rename,
                                .unlink = rig_unlink,
                                .link = rig_link,
                                .dir_remove = rig_dir_remove};
}

/* ---- a folder in memory ------------------------------------------------------------------------*/

struct file {
    char name[64];
    uint8_t *p;
    size_t n;
};
struct image {
    struct file file[FILES_MAX];
    unsigned count;
};

static inline void image_free(struct image *m) {
    for (unsigned i = 0; i < m->count; i++) free(m->file[i].p);
    m->count = 0;
}

static inline int by_name(const void *a, const void *b) {
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* image_load: all files of a folder, but for LOCK, whose text is nobody's business. */
static inline void image_load(struct image *m, const char *dir) {
    DIR *d = opendir(dir);
    assert_non_null(d);
    m->count = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[PATH_MAX + NAME_MAX + 2];
        struct stat st;
        if (e->d_name[0] == '.' || strcmp(e->d_name, NK_PATH_LOCK) == 0) continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        int fd = open(path, O_RDONLY);
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        if (S_ISDIR(st.st_mode)) { /* a snapshot, or what is retained */
            close(fd);
            continue;
        }
        assert_true(m->count < FILES_MAX && strlen(e->d_name) < sizeof m->file[0].name);
        struct file *f = &m->file[m->count++];
        strcpy(f->name, e->d_name);
        f->n = (size_t)st.st_size;
        f->p = malloc(f->n + 1);
        assert_non_null(f->p);
        assert_int_equal(read(fd, f->p, f->n), f->n);
        close(fd);
    }
    closedir(d);
    qsort(m->file, m->count, sizeof m->file[0], by_name);
}

/* entries_remove: all of a folder; those that are folders hold files alone. */
static inline void entries_remove(int fd, bool folders) {
    DIR *d = fdopendir(fd);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.' || unlinkat(fd, e->d_name, 0) == 0) continue;
        int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY);
        assert_true(folders && sub >= 0);
        entries_remove(sub, false);
        assert_int_equal(unlinkat(fd, e->d_name, AT_REMOVEDIR), 0);
    }
    closedir(d);
}

static inline void folder_empty(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    entries_remove(fd, true);
}

/* image_store: the folder holds these files and no others. */
static inline void image_store(const struct image *m, const char *dir) {
    folder_empty(dir);
    for (unsigned i = 0; i < m->count; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", dir, m->file[i].name);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, m->file[i].p, m->file[i].n), m->file[i].n);
        close(fd);
    }
}

static inline struct image image_copy(const struct image *m) {
    struct image copy = *m;
    for (unsigned i = 0; i < m->count; i++) {
        copy.file[i].p = malloc(m->file[i].n + 1);
        assert_non_null(copy.file[i].p);
        memcpy(copy.file[i].p, m->file[i].p, m->file[i].n);
    }
    return copy;
}

static inline struct file *image_find(struct image *m, const char *name) {
    for (unsigned i = 0; i < m->count; i++)
        if (strcmp(m->file[i].name, name) == 0) return &m->file[i];
    return NULL;
}

static inline void image_drop(struct image *m, const char *name) {
    struct file *f = image_find(m, name);
    assert_non_null(f);
    free(f->p);
    *f = m->file[--m->count];
    qsort(m->file, m->count, sizeof m->file[0], by_name);
}

static inline bool image_same(const struct image *a, const struct image *b) {
    if (a->count != b->count) return false;
    for (unsigned i = 0; i < a->count; i++)
        if (strcmp(a->file[i].name, b->file[i].name) != 0 || a->file[i].n != b->file[i].n ||
            memcmp(a->file[i].p, b->file[i].p, a->file[i].n) != 0)
            return false;
    return true;
}

#endif
