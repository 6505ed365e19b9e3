/* SPDX-License-Identifier: MIT
 *
 * disk_vfs.c - the struct nitro_vfs that leads to a simulated disk (see disk.h).
 *
 * A handle that is not open, or was opened for something else, is a fault of the engine and ends
 * the test.
 */
#include "disk_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- handles -----------------------------------------------------------------------------------*/

static struct handle *handle_of(struct sim_disk *d, int h, bool folder) {
    if (h < 0 || h >= HANDLES_MAX || !d->handle[h].used || d->handle[h].folder != folder)
        test_fail("the engine used handle %d, which is not open", h);
    return &d->handle[h];
}

static int handle_new(struct sim_disk *d, struct handle h) {
    for (int i = 0; i < HANDLES_MAX; i++)
        if (!d->handle[i].used) {
            d->handle[i] = h;
            d->handle[i].used = true;
            return i;
        }
    return -EMFILE;
}

static int disk_dir_open(void *ctx, const char *path, unsigned flags) {
    struct sim_disk *d = ctx;
    (void)path;
    int rc = sim_disk_look(d, SIM_DIR_OPEN, NO_INODE);
    if (rc != 0) return rc;
    if (!d->exists && (flags & NITRO_DIR_CREATE) == 0) return -ENOENT;
    d->exists = d->exists_kept = true;
    return handle_new(d, (struct handle){.folder = true, .inode = NO_INODE});
}

static int disk_close(void *ctx, int h) {
    struct sim_disk *d = ctx;
    *handle_of(d, h, false) = (struct handle){0};
    return 0;
}

static int disk_dir_close(void *ctx, int h) {
    struct sim_disk *d = ctx;
    *handle_of(d, h, true) = (struct handle){0};
    return 0;
}

static int disk_dir_list(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    struct sim_disk *d = ctx;
    (void)handle_of(d, dir, true);
    int rc = sim_disk_look(d, SIM_LIST, NO_INODE);
    if (rc != 0) return rc;
    struct names copy = d->now;
    for (unsigned i = 0; i < copy.count; i++)
        if (fn(arg, copy.name[i].text) != 0) break;
    return 0;
}

static int disk_dir_sync(void *ctx, int dir, const char *why) {
    struct sim_disk *d = ctx;
    (void)handle_of(d, dir, true);
    struct change c = {.op = SIM_DIR_SYNC, .why = why, .inode = NO_INODE};
    return (int)sim_disk_change(d, &c);
}

/* make_file: a new one under a name that is free; its inode, or -errno. */
static int make_file(struct sim_disk *d, const char *name) {
    struct change c = {.op = SIM_CREATE, .why = sim_op_name(SIM_CREATE), .name = name};
    c.inode = sim_inode_new(d);
    int inode = c.inode, rc = (int)sim_disk_change(d, &c);
    if (rc == 0) return inode;
    sim_inode_free(d, (unsigned)inode);
    return rc;
}

static int disk_lock(void *ctx, int dir, const char *name, char *owner, size_t cap) {
    struct sim_disk *d = ctx;
    (void)handle_of(d, dir, true);
    int rc = sim_disk_look(d, SIM_LOCK, NO_INODE);
    if (rc != 0) return rc;
    for (int i = 0; i < HANDLES_MAX; i++)
        if (d->handle[i].used && d->handle[i].lock) {
            if (cap > 0) snprintf(owner, cap, "simulation");
            return -EWOULDBLOCK;
        }
    struct name *n = sim_name_find(&d->now, name);
    int inode = n != NULL ? n->inode : make_file(d, name);
    return inode < 0 ? inode : handle_new(d, (struct handle){.lock = true, .inode = inode});
}

static int disk_open(void *ctx, int dir, const char *name, unsigned flags) {
    struct sim_disk *d = ctx;
    (void)handle_of(d, dir, true);
    struct name *n = sim_name_find(&d->now, name);
    int inode = n != NULL ? n->inode : NO_INODE;
    int rc = sim_disk_look(d, SIM_OPEN, inode);
    if (rc != 0) return rc;
    if (n != NULL && (flags & NITRO_FILE_EXCL) != 0) return -EEXIST;
    if (n == NULL && (flags & NITRO_FILE_CREATE) == 0) return -ENOENT;
    if (n == NULL) inode = make_file(d, name);
    return inode < 0 ? inode : handle_new(d, (struct handle){.flags = flags, .inode = inode});
}

/* inode_for: of a handle that must have been opened for this. */
static int inode_for(struct sim_disk *d, int file, unsigned flag) {
    const struct handle *h = handle_of(d, file, false);
    if ((h->flags & flag) == 0) test_fail("handle %d was not opened for what is done to it", file);
    return h->inode;
}

static int64_t disk_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    struct sim_disk *d = ctx;
    int inode = inode_for(d, file, NITRO_FILE_READ);
    int rc = sim_disk_look(d, SIM_READ, inode);
    if (rc != 0) return rc;
    const struct sim_image *m = &d->inode[inode]->now;
    if (offset >= m->bytes) return 0;
    if (n > m->bytes - offset) n = m->bytes - offset;
    if (d->cut_short && n > 1) n /= 2;
    if (n > 0) memcpy(p, m->data + offset, n);
    return (int64_t)n;
}

static int64_t disk_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                          const char *why) {
    struct sim_disk *d = ctx;
    struct change c = {.op = SIM_WRITE, .why = why, .p = p, .n = n, .offset = offset};
    c.inode = inode_for(d, file, NITRO_FILE_WRITE);
    return sim_disk_change(d, &c);
}

static int disk_sync(void *ctx, int file, const char *why) {
    struct sim_disk *d = ctx;
    struct change c = {.op = SIM_SYNC, .why = why, .inode = handle_of(d, file, false)->inode};
    return (int)sim_disk_change(d, &c);
}

static int disk_alloc(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    struct sim_disk *d = ctx;
    struct change c = {.op = SIM_ALLOC, .why = why, .n = offset + bytes, .offset = offset};
    c.inode = inode_for(d, file, NITRO_FILE_WRITE);
    return (int)sim_disk_change(d, &c);
}

static int disk_truncate(void *ctx, int file, uint64_t bytes, const char *why) {
    struct sim_disk *d = ctx;
    struct change c = {.op = SIM_TRUNCATE, .why = why, .n = bytes};
    c.inode = inode_for(d, file, NITRO_FILE_WRITE);
    return (int)sim_disk_change(d, &c);
}

static int64_t disk_size(void *ctx, int file) {
    struct sim_disk *d = ctx;
    int inode = handle_of(d, file, false)->inode;
    int rc = sim_disk_look(d, SIM_SIZE, inode);
    return rc != 0 ? rc : (int64_t)d->inode[inode]->now.bytes;
}

static int folder_op(struct sim_disk *d, enum sim_op op, const char *name, const char *to,
                     const char *why) {
    struct change c = {.op = op, .why = why, .name = name, .to = to};
    const struct name *n = sim_name_find(&d->now, name);
    if (n == NULL) return d->off ? -EIO : -ENOENT;
    c.inode = n->inode;
    return (int)sim_disk_change(d, &c);
}

static int disk_rename(void *ctx, int dir, const char *from, const char *to, const char *why) {
    (void)handle_of(ctx, dir, true);
    return folder_op(ctx, SIM_RENAME, from, to, why);
}

static int disk_unlink(void *ctx, int dir, const char *name, const char *why) {
    (void)handle_of(ctx, dir, true);
    return folder_op(ctx, SIM_UNLINK, name, NULL, why);
}

void sim_disk_table(struct sim_disk *d) {
    d->table = (struct nitro_vfs){.ctx = d,
                                  .dir_open = disk_dir_open,
                                  .dir_close = disk_dir_close,
                                  .dir_list = disk_dir_list,
                                  .dir_sync = disk_dir_sync,
                                  .lock = disk_lock,
                                  .open = disk_open,
                                  .close = disk_close,
                                  .read = disk_read,
                                  .write = disk_write,
                                  .sync = disk_sync,
                                  .alloc = disk_alloc,
                                  .truncate = disk_truncate,
                                  .size = disk_size,
                                  .rename = disk_rename,
                                  .unlink = disk_unlink};
}
