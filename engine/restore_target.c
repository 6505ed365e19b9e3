/* SPDX-License-Identifier: MIT
 *
 * restore_target.c - making the data folder that a restore fills (L5).
 *
 * DESIGN
 *   The folder gets what holds everything, a snapshot, or merged files with their hints (restore_data.c); a log without records, whose
 *   first LSN says where the new timeline begins; and CONTROL. MANIFEST, which lists them, comes last, when they
 *   are durable under their names. It is what makes a folder a store.
 *
 *     1. the data under its .tmp names: long, and nothing is lost with it
 *     2. the data (its names), log, CONTROL; sync of each, and of the folder
 *     3. MANIFEST.tmp, sync, rename, sync of the folder
 *
 *   A crash within 1 leaves files that the next restore removes. Within 2 and 3 it may leave files without a
 *   MANIFEST: a start refuses where it finds the data or the log, and takes CONTROL alone for nothing,
 *   since that says that nothing was durable. Another restore refuses and names what it has found, because it
 *   cannot know that no store has lost its MANIFEST. After an error everything is removed, MANIFEST first.
 *
 * NOT HERE  which records (restore.c), the bytes of the snapshot (snapwrite.c).
 */
#include "restore.h"

#include "control.h"
#include "logfile.h"
#include "manifest.h"
#include "path.h"

#include <stdio.h>

#define SNAP_NUMBER 1u
#define STAGE_BYTES (1u << 20)
#define RESTS 32u /* that are removed between two looks at the folder */
/* A record that is not large: what a block may hold, less its head and its key. */
#define VALUE_SMALL 65535u

_Static_assert(NK_SNAP_REC_HEAD_MAX + NITRO_KEY_MAX + VALUE_SMALL <= STAGE_BYTES &&
                   NK_SNAP_REC_HEAD_MAX + NITRO_KEY_MAX < NK_SNAP_BLOCK,
               "a record fits");

static int cannot(const struct nk_target *t, struct nitro_err *err, const char *did,
                  const char *name, int64_t rc) {
    return nk_err_set(err, NITRO_EIO, (int)-rc, "restore into %s: cannot %s %s: %s", t->dir, did,
                      name, strerror((int)-rc));
}

static int out_of_memory(const struct nk_target *t, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "restore into %s: out of memory", t->dir);
}

/* A random number that is not 0. */
uint64_t nk_target_draw(struct nk_target *t) {
    uint64_t v, n;
    do {
        n = t->drawn++;
        v = nk_hash_sip13(&t->random, (const uint8_t *)&n, sizeof n);
    } while (v == 0);
    return v;
}

/* ---- the folder --------------------------------------------------------------------------------*/

/* What a restore that was killed has left under a temporary name is removed; anything else of a store
 * is a store's. */
static int note_name(void *arg, const char *name) {
    struct nk_target *t = arg;
    uint64_t number;
    switch (nk_path_parse(name, &number)) {
    case NK_PATH_IS_MANIFEST:
    case NK_PATH_IS_CONTROL:
    case NK_PATH_IS_LOG:
    case NK_PATH_IS_SNAP:
    case NK_PATH_IS_DATA:
    case NK_PATH_IS_SNAP_DIR:
    case NK_PATH_IS_BACKUP:
        (void)snprintf(t->found, sizeof t->found, "%s", name);
        return 1;
    default:
        return 0;
    }
}

static int must_be_empty(struct nk_target *t, struct nitro_err *err) {
    int rc = t->vfs->dir_list(t->vfs->ctx, t->dirfd, note_name, t);
    if (rc < 0) return cannot(t, err, "list", "the folder", rc);
    if (t->found[0] == '\0') return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "restore into %s: %s lies in it: it holds a store, or what is left of a "
                      "restore that was killed; nothing was changed: choose a new folder, or empty "
                      "this one",
                      t->dir, t->found);
}

/* Names of what a restore that was killed has left. */
struct rests {
    char name[RESTS][NK_PATH_MAX];
    uint32_t count;
};

static int note_rest(void *arg, const char *name) {
    struct rests *r = arg;
    uint64_t number;
    enum nk_path_kind kind = nk_path_parse(name, &number);
    if (kind != NK_PATH_IS_TMP && kind != NK_PATH_IS_SNAP_TMP && kind != NK_PATH_IS_HINT_TMP)
        return 0;
    (void)snprintf(r->name[r->count++], NK_PATH_MAX, "%s", name); /* a name of ours is no longer */
    return r->count == RESTS;
}

/* It may have made more files than this restore will, and a start does not know all of them. */
static int remove_rests(struct nk_target *t, struct nitro_err *err) {
    for (;;) {
        struct rests r = {.count = 0};
        int rc = t->vfs->dir_list(t->vfs->ctx, t->dirfd, note_rest, &r);
        if (rc < 0) return cannot(t, err, "list", "the folder", rc);
        if (r.count == 0) return NITRO_OK;
        for (uint32_t i = 0; i < r.count; i++) {
            rc = t->vfs->unlink(t->vfs->ctx, t->dirfd, r.name[i], "restore: remove rest");
            if (rc < 0) return cannot(t, err, "remove", r.name[i], rc);
        }
    }
}

static int lock_folder(struct nk_target *t, struct nitro_err *err) {
    char owner[64] = "";
    int fd = t->vfs->lock(t->vfs->ctx, t->dirfd, NK_PATH_LOCK, owner, sizeof owner);
    if (fd == -EWOULDBLOCK)
        return nk_err_set(err, NITRO_EINUSE, EWOULDBLOCK,
                          "restore into %s: another process is using the folder (%s); choose "
                          "another one",
                          t->dir, owner[0] != '\0' ? owner : "it did not say which");
    if (fd < 0) return cannot(t, err, "lock", NK_PATH_LOCK, fd);
    t->lock = fd;
    return NITRO_OK;
}

int nk_target_open(struct nk_target *t, const struct nitro_vfs *vfs, const struct nitro_mem *mem,
                   const char *dir, const uint8_t seed[NITRO_SEED_BYTES], struct nitro_err *err) {
    *t = (struct nk_target){
        .vfs = vfs, .mem = mem, .dir = dir, .dirfd = -1, .lock = -1, .fd = -1, .hint_fd = -1};
    t->random = (struct nk_sip_key){nk_load64(seed), nk_load64(seed + 8)};
    nk_store64(t->store, nk_target_draw(t));
    nk_store64(t->store + 8, nk_target_draw(t));
    t->snap_salt = nk_target_draw(t);
    t->log_salt = nk_target_draw(t);
    t->manifest_salt = nk_target_draw(t);
    t->dirfd = vfs->dir_open(vfs->ctx, dir, NITRO_DIR_CREATE);
    if (t->dirfd < 0) return cannot(t, err, "open", "the folder", t->dirfd);
    int rc =
        must_be_empty(t, err); /* before the lock, so that a folder in use is told as a store */
    if (rc == NITRO_OK) rc = lock_folder(t, err);
    if (rc == NITRO_OK) rc = must_be_empty(t, err);
    return rc == NITRO_OK ? remove_rests(t, err) : rc;
}

/* ---- the snapshot ------------------------------------------------------------------------------*/

/* What the writer has answered. */
static int written(const struct nk_target *t, int rc, struct nitro_err *err) {
    if (rc == NITRO_OK) return rc;
    return rc == NITRO_ENOMEM ? out_of_memory(t, err)
                              : cannot(t, err, "write", "the snapshot", -t->file.sys);
}

int nk_target_begin(struct nk_target *t, uint64_t lsn, int64_t time_ms,
                    enum nitro_compression compression, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_snap_head head = {
        .version = NK_SNAP_VERSION, .number = SNAP_NUMBER, .salt = t->snap_salt, .lsn = lsn};
    memcpy(head.store, t->store, sizeof head.store);
    t->lsn = lsn;
    t->time_ms = time_ms;
    t->stage_bytes = STAGE_BYTES;
    t->stage = nk_mem_alloc(t->mem, STAGE_BYTES);
    if (t->stage == NULL) return out_of_memory(t, err);
    nk_path_snap_tmp(SNAP_NUMBER, name);
    t->touched = true;
    t->fd = nk_vfs_open(t->vfs, t->dirfd, name, NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    if (t->fd < 0) return cannot(t, err, "make", name, t->fd);
    int rc = nk_vfs_truncate(t->vfs, t->fd, 0, "restore: empty snapshot");
    if (rc < 0) return cannot(t, err, "empty", name, rc);
    rc = nk_snapwrite_init(&t->file, t->vfs, t->mem, t->fd, &head, compression);
    return written(t, rc, err);
}

static int flush(struct nk_target *t, struct nitro_err *err) {
    size_t n = t->staged;
    t->staged = 0;
    return written(t, nk_snapwrite_records(&t->file, t->stage, n), err);
}

int nk_target_put(struct nk_target *t, const struct nk_snaprec *r, struct nitro_err *err) {
    struct nk_snaprec rec = *r;
    rec.large = rec.value_bytes > VALUE_SMALL;
    if (rec.large) return written(t, nk_snapwrite_large(&t->file, &rec), err);
    size_t need = NK_SNAP_REC_HEAD_MAX + (size_t)rec.key_bytes + rec.value_bytes;
    if (t->staged + need > STAGE_BYTES) {
        int rc = flush(t, err);
        if (rc != NITRO_OK) return rc;
    }
    uint8_t *p = t->stage + t->staged;
    p += nk_snaprec_head(&rec, t->lsn, p);
    if (rec.key_bytes > 0) memcpy(p, rec.key, rec.key_bytes);
    p += rec.key_bytes;
    if (rec.value_bytes > 0) memcpy(p, rec.value, rec.value_bytes);
    t->staged = (size_t)(p + rec.value_bytes - t->stage);
    return NITRO_OK;
}

static int end_snapshot(struct nk_target *t, struct nitro_err *err) {
    char tmp[NK_PATH_MAX], name[NK_PATH_MAX];
    nk_path_snap_tmp(SNAP_NUMBER, tmp);
    nk_path_snap(SNAP_NUMBER, name);
    int rc = flush(t, err);
    if (rc == NITRO_OK) rc = written(t, nk_snapwrite_finish(&t->file, t->time_ms), err);
    if (rc != NITRO_OK) return rc;
    rc = t->vfs->rename(t->vfs->ctx, t->dirfd, tmp, name, "restore: name snapshot");
    return rc < 0 ? cannot(t, err, "rename", tmp, rc) : NITRO_OK;
}

/* ---- the small files ---------------------------------------------------------------------------*/

/* A whole file, synced. */
static int put_file(struct nk_target *t, const char *name, const uint8_t *p, size_t n,
                    struct nitro_err *err) {
    int fd = nk_vfs_open(t->vfs, t->dirfd, name, NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    if (fd < 0) return cannot(t, err, "make", name, fd);
    int rc = nk_vfs_truncate(t->vfs, fd, 0, "restore: empty file");
    if (rc == 0) rc = nk_vfs_write(t->vfs, fd, p, n, 0, "restore: write file");
    if (rc == 0) rc = nk_vfs_sync(t->vfs, fd, "restore: sync file");
    (void)t->vfs->close(t->vfs->ctx, fd); /* synced, or failed already */
    return rc < 0 ? cannot(t, err, "write", name, rc) : NITRO_OK;
}

/* What comes behind the data: a log, with the next number. */
static uint64_t log_number(const struct nk_target *t) {
    return t->data ? (uint64_t)t->count + 1 : SNAP_NUMBER + 1;
}

/* A log that holds nothing and follows the data. Recovery gives out no LSN below its first one. */
static int put_log(struct nk_target *t, uint64_t first_lsn, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    struct nk_log_header h = {.version = NK_LOG_VERSION,
                              .used = 1,
                              .number = log_number(t),
                              .salt = t->log_salt,
                              .first_lsn = first_lsn,
                              .prev_last_lsn = t->lsn,
                              .durable_lsn = t->lsn,
                              .time_ms = t->time_ms};
    memcpy(h.store, t->store, sizeof h.store);
    nk_log_header_encode(&h, sector);
    nk_path_log(log_number(t), name);
    return put_file(t, name, sector, sizeof sector, err);
}

static int put_control(struct nk_target *t, struct nitro_err *err) {
    uint8_t slots[NK_CONTROL_BYTES];
    struct nk_control c = {
        .version = NK_CONTROL_VERSION, .sequence = 1, .file = log_number(t), .time_ms = t->time_ms};
    memcpy(c.store, t->store, sizeof c.store);
    for (int i = 0; i < 2; i++, c.sequence++)
        nk_control_encode(&c, slots + (c.sequence & 1) * NK_CONTROL_SLOT);
    return put_file(t, NK_PATH_CONTROL, slots, sizeof slots, err);
}

/* An edit behind those that there are; `bytes` is where they end. */
static void add_edit(const struct nk_target *t, uint8_t *list, size_t *bytes,
                     struct nk_manifest_edit e) {
    e.op = NK_MANIFEST_ADD;
    e.sequence = *bytes / NK_MANIFEST_EDIT;
    nk_manifest_edit_encode(&e, *bytes, t->manifest_salt, list + *bytes);
    *bytes += NK_MANIFEST_EDIT;
}

static size_t fill_manifest(const struct nk_target *t, uint8_t *list) {
    struct nk_manifest_head h = {.version = NK_MANIFEST_VERSION,
                                 .mode = t->data ? NK_MODE_BITCASK : NK_MODE_MEMORY,
                                 .salt = t->manifest_salt};
    size_t bytes = NK_MANIFEST_HEADER;
    memcpy(h.store, t->store, sizeof h.store);
    nk_manifest_head_encode(&h, list);
    for (uint32_t i = 0; i < t->count; i++)
        add_edit(t, list, &bytes,
                 (struct nk_manifest_edit){.kind = NK_FILE_DATA,
                                           .number = t->made[i].number,
                                           .salt = t->made[i].salt,
                                           .first_lsn = t->made[i].first_lsn,
                                           .last_lsn = t->made[i].last_lsn});
    if (!t->data)
        add_edit(t, list, &bytes,
                 (struct nk_manifest_edit){.kind = NK_FILE_SNAP,
                                           .number = SNAP_NUMBER,
                                           .salt = t->snap_salt,
                                           .last_lsn = t->lsn});
    add_edit(t, list, &bytes,
             (struct nk_manifest_edit){
                 .kind = NK_FILE_LOG, .number = log_number(t), .salt = t->log_salt});
    return bytes;
}

/* The list, under its temporary name. */
static int put_manifest(struct nk_target *t, struct nitro_err *err) {
    size_t cap = NK_MANIFEST_HEADER + ((size_t)t->count + 2) * NK_MANIFEST_EDIT;
    uint8_t *list = nk_mem_zalloc(t->mem, cap);
    if (list == NULL) return out_of_memory(t, err);
    int rc = put_file(t, NK_PATH_MANIFEST_TMP, list, fill_manifest(t, list), err);
    nk_mem_free(t->mem, list, cap);
    return rc;
}

/* ---- end ---------------------------------------------------------------------------------------*/

static int sync_folder(const struct nk_target *t, const char *why, struct nitro_err *err) {
    int rc = nk_vfs_dir_sync(t->vfs, t->dirfd, why);
    return rc < 0 ? cannot(t, err, "sync", "the folder", rc) : NITRO_OK;
}

static int install_manifest(struct nk_target *t, struct nitro_err *err) {
    int rc = t->vfs->rename(t->vfs->ctx, t->dirfd, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST,
                            "restore: name MANIFEST");
    if (rc < 0) return cannot(t, err, "rename", NK_PATH_MANIFEST_TMP, rc);
    return sync_folder(t, "restore: sync MANIFEST", err);
}

/* Nothing that follows MANIFEST may be gone while a power cut could bring MANIFEST back. */
static void remove_all(struct nk_target *t) {
    char snap[NK_PATH_MAX], snap_tmp[NK_PATH_MAX], log[NK_PATH_MAX];
    nk_path_snap(SNAP_NUMBER, snap);
    nk_path_snap_tmp(SNAP_NUMBER, snap_tmp);
    nk_path_log(log_number(t), log);
    const char *names[] = {NK_PATH_MANIFEST_TMP, log, NK_PATH_CONTROL, snap, snap_tmp};
    /* what cannot be removed is found, and named, by the next restore; the failure is being reported */
    int rc = t->vfs->unlink(t->vfs->ctx, t->dirfd, NK_PATH_MANIFEST, "restore: remove MANIFEST");
    if (rc == 0) rc = nk_vfs_dir_sync(t->vfs, t->dirfd, "restore: sync removal");
    if (rc < 0 && rc != -ENOENT) return;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)t->vfs->unlink(t->vfs->ctx, t->dirfd, names[i], "restore: remove file");
    nk_target_data_remove(t);
}

int nk_target_finish(struct nk_target *t, uint64_t first_lsn, struct nitro_err *err) {
    int rc = t->data ? nk_target_data_end(t, err) : end_snapshot(t, err);
    if (rc == NITRO_OK) rc = put_control(t, err);
    if (rc == NITRO_OK) rc = put_log(t, first_lsn, err);
    if (rc == NITRO_OK) rc = put_manifest(t, err);
    if (rc == NITRO_OK) rc = sync_folder(t, "restore: sync names", err);
    if (rc == NITRO_OK) rc = install_manifest(t, err);
    if (rc == NITRO_OK) t->touched = false;
    return rc;
}

void nk_target_close(struct nk_target *t) {
    if (t->mem == NULL) return;
    nk_snapwrite_fini(&t->file);
    nk_mem_free(t->mem, t->stage, t->stage_bytes);
    nk_target_data_close(t);
    if (t->fd >= 0) (void)t->vfs->close(t->vfs->ctx, t->fd); /* synced, or given up */
    if (t->touched) remove_all(t);
    nk_mem_free(t->mem, t->made, t->cap * sizeof *t->made);
    if (t->lock >= 0) (void)t->vfs->close(t->vfs->ctx, t->lock);
    if (t->dirfd >= 0) (void)t->vfs->dir_close(t->vfs->ctx, t->dirfd);
    *t = (struct nk_target){.mem = NULL};
}
