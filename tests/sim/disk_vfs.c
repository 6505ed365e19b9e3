/* SPDX-License-Identifier: MIT
 *
 * disk_vfs.c - the struct nitro_vfs that leads to a simulated disk (see disk.h).
 *
 * A handle that is not open, or was opened for something else, is a fault of the engine and ends
 * the test; so is a name with a slash, and what the simulation does not know: folders that get
 * another name.
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

/* in_folder: the whole name of `name` in an open folder, to SIM_NAME_MAX bytes: 0, or -errno if the
 * folder is not there any more. */
static int in_folder(struct sim_disk *d, int dir, const char *name, char *out) {
    int in = handle_of(d, dir, true)->inode;
    const char *folder = in != NO_INODE ? sim_name_of(d, in) : "";
    if (strchr(name, '/') != NULL) test_fail("the engine looked for %s in a folder", name);
    if (in != NO_INODE && folder[0] == '\0') return d->off ? -EIO : -ENOENT;
    int n = snprintf(out, SIM_NAME_MAX, "%s%s%s", folder, in != NO_INODE ? "/" : "", name);
    if (n >= (int)SIM_NAME_MAX)
        test_fail("the file name %s/%s is too long for the simulation", folder, name);
    return 0;
}

/* make_inode: a new file or folder under a name that is free; its inode, or -errno. */
static int make_inode(struct sim_disk *d, enum sim_op op, int in, const char *name) {
    struct change c = {.op = op, .why = sim_op_name(op), .in = in, .name = name};
    c.inode = sim_inode_new(d, op == SIM_DIR_MAKE);
    int inode = c.inode, rc = (int)sim_disk_change(d, &c);
    if (rc == 0) return inode;
    sim_inode_free(d, (unsigned)inode);
    return rc;
}

/* ---- folders -----------------------------------------------------------------------------------*/

/* whole_name: of a folder, from a path: what follows behind its first part. */
static void whole_name(const char *path, char *out) {
    size_t n = 0;
    path += strspn(path, "/");
    path += strcspn(path, "/");
    for (path += strspn(path, "/"); *path != '\0'; path += strspn(path, "/")) {
        size_t part = strcspn(path, "/");
        if (n + 1 + part >= SIM_NAME_MAX) test_fail("the path of a folder is too long: %s", path);
        if (n > 0) out[n++] = '/';
        memcpy(out + n, path, part);
        n += part;
        path += part;
    }
    out[n] = '\0';
}

/* enter: the folder of that whole name, made if it is missing; its inode, or -errno. */
static int enter(struct sim_disk *d, int in, const char *name, bool make) {
    const struct name *n = sim_name_find(&d->now, name);
    if (n == NULL) return make ? make_inode(d, SIM_DIR_MAKE, in, name) : -ENOENT;
    return d->inode[n->inode]->folder ? n->inode : -ENOTDIR;
}

static int disk_dir_open(void *ctx, const char *path, unsigned flags) {
    struct sim_disk *d = ctx;
    char name[SIM_NAME_MAX];
    bool make = (flags & NITRO_DIR_CREATE) != 0;
    whole_name(path, name);
    const struct name *n = sim_name_find(&d->now, name);
    int in = NO_INODE, rc = sim_disk_look(d, SIM_DIR_OPEN, n != NULL ? n->inode : NO_INODE);
    if (rc != 0) return rc;
    if (!d->exists && !make) return -ENOENT;
    d->exists = d->exists_kept = true;
    for (char *end = name; *end != '\0';) {
        end += strcspn(end + 1, "/") + 1;
        char rest = *end;
        *end = '\0';
        in = enter(d, in, name, make);
        if (in < 0) return in;
        *end = rest;
    }
    return handle_new(d, (struct handle){.folder = true, .inode = in});
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
    int in = handle_of(d, dir, true)->inode, rc = sim_disk_look(d, SIM_LIST, in);
    if (rc != 0) return rc;
    char folder[SIM_NAME_MAX] = "";
    if (in != NO_INODE) sim_name_copy(folder, sim_name_of(d, in));
    if (in != NO_INODE && folder[0] == '\0') return -ENOENT;
    struct names copy = d->now;
    for (unsigned i = 0; i < copy.count; i++) {
        const char *name = sim_name_below(copy.name[i].text, folder);
        if (name != NULL && strchr(name, '/') == NULL && fn(arg, name) != 0) break;
    }
    return 0;
}

static int disk_dir_sync(void *ctx, int dir, const char *why) {
    struct sim_disk *d = ctx;
    int in = handle_of(d, dir, true)->inode;
    struct change c = {.op = SIM_DIR_SYNC, .why = why, .in = in, .inode = in};
    return (int)sim_disk_change(d, &c);
}

static bool is_locked(const struct sim_disk *d, int inode) {
    for (int i = 0; i < HANDLES_MAX; i++)
        if (d->handle[i].used && d->handle[i].lock && d->handle[i].inode == inode) return true;
    return false;
}

static int disk_lock(void *ctx, int dir, const char *name, char *owner, size_t cap) {
    struct sim_disk *d = ctx;
    char whole[SIM_NAME_MAX];
    int rc = in_folder(d, dir, name, whole);
    if (rc == 0) rc = sim_disk_look(d, SIM_LOCK, NO_INODE);
    if (rc != 0) return rc;
    struct name *n = sim_name_find(&d->now, whole);
    if (n != NULL && is_locked(d, n->inode)) {
        if (cap > 0) snprintf(owner, cap, "simulation");
        return -EWOULDBLOCK;
    }
    int in = handle_of(d, dir, true)->inode;
    int inode = n != NULL ? n->inode : make_inode(d, SIM_CREATE, in, whole);
    return inode < 0 ? inode : handle_new(d, (struct handle){.lock = true, .inode = inode});
}

/* ---- files -------------------------------------------------------------------------------------*/

static int disk_open(void *ctx, int dir, const char *name, unsigned flags) {
    struct sim_disk *d = ctx;
    char whole[SIM_NAME_MAX];
    int rc = in_folder(d, dir, name, whole);
    if (rc != 0) return rc;
    struct name *n = sim_name_find(&d->now, whole);
    int inode = n != NULL ? n->inode : NO_INODE;
    rc = sim_disk_look(d, SIM_OPEN, inode);
    if (rc != 0) return rc;
    if (n != NULL && (flags & NITRO_FILE_EXCL) != 0) return -EEXIST;
    if (n != NULL && d->inode[inode]->folder) return -EISDIR;
    if (n == NULL && (flags & NITRO_FILE_CREATE) == 0) return -ENOENT;
    if (n == NULL) inode = make_inode(d, SIM_CREATE, handle_of(d, dir, true)->inode, whole);
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

/* ---- names -------------------------------------------------------------------------------------*/

/* An entry about to change: what both names mean now. */
struct entry {
    struct change c;
    char name[SIM_NAME_MAX], to[SIM_NAME_MAX];
    bool folder; /* `name` is one */
    bool taken;  /* so is `to` */
};

/* look_up: 0 if `name` is there. */
static int look_up(struct sim_disk *d, int dir, const char *name, int to_dir, const char *to,
                   struct entry *e) {
    int rc = in_folder(d, dir, name, e->name);
    if (rc == 0) rc = in_folder(d, to_dir, to, e->to);
    if (rc != 0) return rc;
    const struct name *n = sim_name_find(&d->now, e->name);
    if (n == NULL) return d->off ? -EIO : -ENOENT;
    e->c.in = handle_of(d, to_dir, true)->inode;
    e->c.inode = n->inode;
    e->c.name = e->name;
    e->folder = d->inode[n->inode]->folder;
    n = sim_name_find(&d->now, e->to);
    e->taken = n != NULL;
    return 0;
}

static int disk_rename(void *ctx, int dir, const char *from, const char *to, const char *why) {
    struct entry e = {.c = {.op = SIM_RENAME, .why = why, .to = e.to}};
    int rc = look_up(ctx, dir, from, dir, to, &e);
    if (rc != 0) return rc;
    if (e.folder) test_fail("the engine gave folder %s another name", from);
    return (int)sim_disk_change(ctx, &e.c);
}

static int disk_unlink(void *ctx, int dir, const char *name, const char *why) {
    struct entry e = {.c = {.op = SIM_UNLINK, .why = why}};
    int rc = look_up(ctx, dir, name, dir, name, &e);
    if (rc != 0 || e.folder) return rc != 0 ? rc : -EISDIR;
    return (int)sim_disk_change(ctx, &e.c);
}

static int disk_link(void *ctx, int dir, const char *name, int to_dir, const char *to_name,
                     const char *why) {
    struct entry e = {.c = {.op = SIM_LINK, .why = why, .to = e.to}};
    int rc = look_up(ctx, dir, name, to_dir, to_name, &e);
    if (rc != 0) return rc;
    if (e.taken || e.folder) return e.taken ? -EEXIST : -EPERM;
    return (int)sim_disk_change(ctx, &e.c);
}

static int disk_dir_remove(void *ctx, int dir, const char *name, const char *why) {
    struct entry e = {.c = {.op = SIM_DIR_REMOVE, .why = why}};
    int rc = look_up(ctx, dir, name, dir, name, &e);
    if (rc != 0 || !e.folder) return rc != 0 ? rc : -ENOTDIR;
    return (int)sim_disk_change(ctx, &e.c);
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
                                  .unlink = disk_unlink,
                                  .link = disk_link,
                                  .dir_remove = disk_dir_remove};
}
