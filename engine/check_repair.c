/* SPDX-License-Identifier: MIT
 *
 * check_repair.c - making a damaged folder one that starts, with the longest valid prefix (L5).
 *
 * DESIGN
 *   No log file is written to. What comes before the hole stays where it is; a new file, used but empty,
 *   says in its header that its predecessor ends at the last LSN that is kept, and so makes void what lies
 *   behind it in that file (the same way in which recovery supersedes a tail). Its own first LSN is far
 *   above every LSN that was ever seen, so that no version is given twice. Whole files behind the hole, and
 *   those whose header is not valid, get another name; so do snapshots that are damaged. With the newest of
 *   them goes what a start begins with: the next older one takes its place if the log leads from there
 *   beyond it. If not, nothing is changed. Likewise if the log is the data and the damage is not at its end
 *   (check.c).
 *
 * ORDER  (each step is durable before the next)
 *   1. what is kept is synced: it may have been read from memory that the disk does not have yet;
 *   2. copies of MANIFEST and CONTROL; files that are dropped get the name of a copy;
 *   3. the new file;
 *   4. MANIFEST, which lists what is kept and the new file;
 *   5. CONTROL, which says that all of it is durable.
 *   CONTROL and MANIFEST are replaced in one step each. As long as CONTROL is the old one the
 *   folder is refused as before; a repair that was stopped on its way is repeated and keeps the
 *   same.
 */
#include "check.h"

#include <stdio.h>

#define COPY_BYTES 4096u

static int failed(const struct nk_check *c, struct nitro_err *err, const char *did,
                  const char *name, int64_t rc) {
    return rc < 0 ? nk_check_io(c, err, did, name, rc) : NITRO_OK;
}

static int sync_folder(const struct nk_check *c, const char *why, struct nitro_err *err) {
    return failed(c, err, "sync", "the folder", nk_vfs_dir_sync(c->vfs, c->dirfd, why));
}

/* ---- what is kept ------------------------------------------------------------------------------*/

static bool is_kept(const struct nk_check *c, const struct nk_check_file *f) {
    return f->on_chain && f->number <= c->end.number;
}

static bool is_dropped(const struct nk_check *c, const struct nk_check_file *f) {
    if (!f->there) return false;
    return f->state == NK_FILE_BAD || f->lost || (f->on_chain && !is_kept(c, f));
}

static int sync_file(const struct nk_check *c, const char *name, struct nitro_err *err) {
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ | NITRO_FILE_WRITE);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    int rc = nk_vfs_sync(c->vfs, fd, "check: sync kept");
    (void)c->vfs->close(c->vfs->ctx, fd); /* synced, or failed already */
    return failed(c, err, "sync", name, rc);
}

static int sync_kept(const struct nk_check *c, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < c->count && rc == NITRO_OK; i++) {
        if (!is_kept(c, &c->file[i])) continue;
        nk_path_log(c->file[i].number, name);
        rc = sync_file(c, name, err);
    }
    for (uint32_t i = 0; i < c->snap_count && rc == NITRO_OK; i++) {
        if (!nk_check_snap_kept(c, &c->snap[i])) continue;
        nk_path_snap(c->snap[i].number, name);
        rc = sync_file(c, name, err);
    }
    for (uint32_t i = 0; i < c->data_count && rc == NITRO_OK; i++) {
        if (!c->data[i].on_chain) continue;
        nk_path_data(c->data[i].number, name);
        rc = sync_file(c, name, err);
    }
    return rc;
}

/* ---- copies ------------------------------------------------------------------------------------*/

/* Copies all of one open file to another. 0 or -errno. */
static int copy_bytes(const struct nk_check *c, int from, int to) {
    uint8_t buf[COPY_BYTES];
    for (uint64_t at = 0;;) {
        int64_t got = nk_vfs_read(c->vfs, from, buf, sizeof buf, at);
        if (got <= 0) return (int)got;
        int rc = nk_vfs_write(c->vfs, to, buf, (size_t)got, at, "check: copy");
        if (rc < 0) return rc;
        at += (uint64_t)got;
    }
}

static int copy_file(const struct nk_check *c, const char *name, struct nitro_err *err) {
    char backup[NK_PATH_MAX];
    nk_path_backup(name, c->opt->now_ms, backup);
    int from = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (from < 0) return nk_check_io(c, err, "open", name, from);
    int to = nk_vfs_open(c->vfs, c->dirfd, backup,
                         NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    int rc = to < 0 ? to : copy_bytes(c, from, to);
    if (rc == 0) rc = nk_vfs_sync(c->vfs, to, "check: sync copy");
    (void)c->vfs->close(c->vfs->ctx, from);            /* only read */
    if (to >= 0) (void)c->vfs->close(c->vfs->ctx, to); /* synced, or failed already */
    return failed(c, err, "make the copy", backup, rc);
}

static int put_aside(const struct nk_check *c, const char *name, struct nitro_err *err) {
    char backup[NK_PATH_MAX];
    nk_path_backup(name, c->opt->now_ms, backup);
    return failed(c, err, "rename", name,
                  c->vfs->rename(c->vfs->ctx, c->dirfd, name, backup, "check: put aside"));
}

/* Copies what will be replaced, and puts aside what is dropped. */
static int keep_copies(const struct nk_check *c, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = c->manifest_there ? copy_file(c, NK_PATH_MANIFEST, err) : NITRO_OK;
    if (rc == NITRO_OK && c->control_there) rc = copy_file(c, NK_PATH_CONTROL, err);
    if (rc == NITRO_OK) rc = sync_folder(c, "check: sync copies", err);
    for (uint32_t i = 0; i < c->count && rc == NITRO_OK; i++) {
        if (!is_dropped(c, &c->file[i])) continue;
        nk_path_log(c->file[i].number, name);
        rc = put_aside(c, name, err);
    }
    for (uint32_t i = 0; i < c->snap_count && rc == NITRO_OK; i++) {
        if (!nk_check_snap_dropped(c, &c->snap[i])) continue;
        nk_path_snap(c->snap[i].number, name);
        rc = put_aside(c, name, err);
    }
    return rc == NITRO_OK ? sync_folder(c, "check: sync put aside", err) : rc;
}

/* ---- whole files -------------------------------------------------------------------------------*/

/* Makes `name` hold these bytes, in one step. */
static int replace(const struct nk_check *c, const char *name, const uint8_t *p, size_t n,
                   struct nitro_err *err) {
    char tmp[NK_PATH_MAX];
    nk_path_tmp(name, tmp);
    int fd = nk_vfs_open(c->vfs, c->dirfd, tmp, NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    if (fd < 0) return nk_check_io(c, err, "make", tmp, fd);
    int rc = nk_vfs_truncate(c->vfs, fd, 0, "check: empty file");
    if (rc == 0) rc = nk_vfs_write(c->vfs, fd, p, n, 0, "check: write file");
    if (rc == 0) rc = nk_vfs_sync(c->vfs, fd, "check: sync file");
    (void)c->vfs->close(c->vfs->ctx, fd); /* synced, or failed already */
    if (rc == 0) rc = c->vfs->rename(c->vfs->ctx, c->dirfd, tmp, name, "check: rename file");
    if (rc < 0) return nk_check_io(c, err, "write", name, rc);
    return sync_folder(c, "check: sync renamed", err);
}

/* A random number of the caller's; never 0. */
static uint64_t salt(const struct nk_check *c, size_t which) {
    uint64_t v = nk_load64(c->opt->seed + which * sizeof v);
    return v != 0 ? v : which + 1;
}

static int write_next(const struct nk_check *c, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    struct nk_log_header h = {.version = NK_LOG_VERSION,
                              .used = 1,
                              .number = c->next_number,
                              .salt = salt(c, 0),
                              .first_lsn = c->seen_lsn + NK_LSN_JUMP,
                              .prev_number = c->end.number,
                              .prev_last_lsn = c->end.lsn,
                              .durable_lsn = c->end.lsn,
                              .time_ms = c->newest_ms};
    memcpy(h.store, c->store, sizeof h.store);
    nk_log_header_encode(&h, sector);
    nk_path_log(h.number, name);
    return replace(c, name, sector, sizeof sector, err);
}

/* Appends the entry of a file to the list that ends at offset `at`; returns the new end. */
static uint64_t put_edit(const struct nk_check *c, uint8_t *list, uint64_t at,
                         struct nk_manifest_edit e) {
    e.op = NK_MANIFEST_ADD;
    e.sequence = at / NK_MANIFEST_EDIT;
    nk_manifest_edit_encode(&e, at, salt(c, 1), list + at);
    return at + NK_MANIFEST_EDIT;
}

/* Everything that is kept, and the new file; returns the end. */
static uint64_t put_edits(const struct nk_check *c, uint8_t *list) {
    uint64_t end = NK_MANIFEST_HEADER;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct nk_check_file *f = &c->file[i];
        struct nk_manifest_edit e = {
            .kind = NK_FILE_LOG, .number = f->number, .salt = f->head.salt};
        if (is_kept(c, f)) end = put_edit(c, list, end, e);
    }
    for (uint32_t i = 0; i < c->snap_count; i++) {
        const struct nk_check_snap *s = &c->snap[i];
        struct nk_manifest_edit e = {
            .kind = NK_FILE_SNAP, .number = s->number, .salt = s->salt, .last_lsn = s->lsn};
        if (nk_check_snap_kept(c, s)) end = put_edit(c, list, end, e);
    }
    for (uint32_t i = 0; i < c->data_count; i++) {
        const struct nk_check_data *d = &c->data[i];
        struct nk_manifest_edit e = {.kind = NK_FILE_DATA,
                                     .number = d->number,
                                     .salt = d->head.salt,
                                     .first_lsn = d->head.first_lsn,
                                     .last_lsn = d->head.last_lsn};
        if (d->on_chain) end = put_edit(c, list, end, e);
    }
    struct nk_manifest_edit e = {.kind = NK_FILE_LOG, .number = c->next_number, .salt = salt(c, 0)};
    return put_edit(c, list, end, e);
}

static int write_manifest(const struct nk_check *c, struct nitro_err *err) {
    size_t files = (size_t)c->count + c->snap_count + c->data_count + 1;
    size_t cap = NK_MANIFEST_HEADER + files * NK_MANIFEST_EDIT;
    uint8_t *list = nk_mem_alloc(c->mem, cap);
    if (list == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "check %s: out of memory for MANIFEST",
                          c->opt->dir);
    struct nk_manifest_head h = {
        .version = NK_MANIFEST_VERSION, .mode = c->mode, .salt = salt(c, 1)};
    memcpy(h.store, c->store, sizeof h.store);
    nk_manifest_head_encode(&h, list);
    uint64_t end = put_edits(c, list);
    int rc = replace(c, NK_PATH_MANIFEST, list, (size_t)end, err);
    nk_mem_free(c->mem, list, cap);
    return rc;
}

static int write_control(const struct nk_check *c, struct nitro_err *err) {
    uint8_t slots[NK_CONTROL_BYTES];
    struct nk_control k = {.version = NK_CONTROL_VERSION,
                           .sequence = c->control.sequence + 1,
                           .durable_lsn = c->end.lsn,
                           .file = c->next_number,
                           .time_ms = c->newest_ms};
    memcpy(k.store, c->store, sizeof k.store);
    for (int i = 0; i < 2; i++, k.sequence++) /* both slots, so that neither is an old one */
        nk_control_encode(&k, slots + (k.sequence & 1) * NK_CONTROL_SLOT);
    return replace(c, NK_PATH_CONTROL, slots, sizeof slots, err);
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* The newest snapshot is lost, and what is left does not lead to it: how to get what there is. */
static int is_lost(const struct nk_check *c, struct nitro_err *err) {
    char way[sizeof err->msg] = "restore a backup", name[NK_PATH_MAX];
    for (uint32_t i = 0; i < c->snap_count; i++) {
        if (!c->snap[i].sound || c->snap[i].lsn != c->floor) continue;
        nk_path_snap(c->snap[i].number, name);
        (void)snprintf(way, sizeof way, "take that: nitrokv restore %s/%s --dir NEW", c->opt->dir,
                       name);
    }
    if (c->end.lsn > c->floor)
        (void)snprintf(way, sizeof way,
                       "take that: nitrokv restore --from %s --to-lsn %llu --dir NEW", c->opt->dir,
                       (unsigned long long)c->end.lsn);
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "repair %s: the newest snapshot, of LSN %llu, is lost, and what is left leads to "
        "LSN %llu only; nothing was changed; %s",
        c->opt->dir, (unsigned long long)c->listed_lsn, (unsigned long long)c->end.lsn, way);
}

/* Damage before the end of the log: to cut it off would be to give up files that hold other keys. */
static int is_inside(const struct nk_check *c, struct nitro_err *err) {
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "repair %s: what is damaged is not the end of the log, and a key's newest value may lie "
        "behind it; nothing was changed; %s",
        c->opt->dir,
        c->tolerated < c->sum.damages
            ? "put back a copy of the folder"
            : "start the store as it is: reads of what is damaged answer errors, until it is "
              "written anew; or put back a copy of the folder");
}

static int is_possible(const struct nk_check *c, struct nitro_err *err) {
    if (!c->store_known)
        return nk_err_set(err, NITRO_ECORRUPT, 0,
                          "repair %s: nothing that is valid says which store it was; restore a "
                          "backup",
                          c->opt->dir);
    if (c->inner.found) return is_inside(c, err);
    if (c->keydir && !c->manifest_whole && c->data_count > 0)
        return nk_err_set(err, NITRO_ECORRUPT, 0,
                          "repair %s: without MANIFEST nothing says which merged files belong to "
                          "the store; nothing was changed; put back a copy of the folder",
                          c->opt->dir);
    if (!nk_check_repairable(c)) return is_lost(c, err);
    if (c->next_number > NK_PATH_LOG_MAX || c->seen_lsn > UINT64_MAX - NK_LSN_JUMP)
        return nk_err_set(err, NITRO_ECORRUPT, 0,
                          "repair %s: no file number or no LSN is left; restore a backup",
                          c->opt->dir);
    return NITRO_OK;
}

bool nk_check_may_repair(const struct nk_check *c) {
    struct nitro_err why;
    return is_possible(c, &why) == NITRO_OK;
}

int nk_check_repair(struct nk_check *c, struct nitro_err *err) {
    int rc = is_possible(c, err);
    if (rc == NITRO_OK) rc = sync_kept(c, err);
    if (rc == NITRO_OK) rc = keep_copies(c, err);
    if (rc == NITRO_OK) rc = write_next(c, err);
    if (rc == NITRO_OK) rc = write_manifest(c, err);
    return rc == NITRO_OK ? write_control(c, err) : rc;
}
