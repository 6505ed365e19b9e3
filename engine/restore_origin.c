/* SPDX-License-Identifier: MIT
 *
 * restore_origin.c - what a restore begins with: a snapshot file given by its path, opened, read, verified (L5).
 *
 * DESIGN
 *   The reader of L3 finds what is wrong with a file; here it is told, with the file's name and the offset.
 *
 * NOT HERE  bytes (snapread.c), what is done with the records (restore.c).
 */
#include "restore.h"

#include "vfs_tar.h"

#define TELL_BYTES (1u << 20) /* read between two calls of `progress` */

/* ---- errors ------------------------------------------------------------------------------------*/

static int cannot(const struct nk_origin *o, struct nitro_err *err, const char *what, int64_t rc) {
    int code = rc == -ENOENT || rc == -ENOTDIR ? NITRO_ENOTFOUND : NITRO_EIO;
    return nk_err_set(err, code, (int)-rc, "%s %s: cannot %s it: %s", o->did, o->path, what,
                      strerror((int)-rc));
}

/* What the reader has answered. */
static int failed(const struct nk_origin *o, int rc, struct nitro_err *err) {
    const struct nk_snapread *r = &o->file;
    if (rc == NITRO_ENOMEM) return nk_err_set(err, rc, 0, "%s %s: out of memory", o->did, o->path);
    if (rc == NITRO_EIO)
        return nk_err_set(err, rc, r->sys, "%s %s: read at offset %llu: %s", o->did, o->path,
                          (unsigned long long)r->at, strerror(r->sys));
    if (rc == NITRO_EFORMAT)
        return nk_err_set(err, rc, 0,
                          "%s %s: it has format version %u, this program knows up to %u; use a "
                          "newer nitrokv",
                          o->did, o->path, r->head.version, NK_SNAP_VERSION);
    return nk_err_set(err, NITRO_ECORRUPT, 0,
                      "%s %s: offset %llu: %s; the file is damaged, or no snapshot: use another "
                      "copy",
                      o->did, o->path, (unsigned long long)r->bad_at, r->what);
}

/* ---- open, close -------------------------------------------------------------------------------*/

int nk_origin_open(struct nk_origin *o, struct nitro_err *err) {
    const char *name = NULL;
    o->fd = -1;
    o->dirfd = nk_vfs_dir_of(o->vfs, o->mem, o->path, &name);
    if (o->dirfd == -ENOMEM) return failed(o, NITRO_ENOMEM, err);
    if (o->dirfd < 0) return cannot(o, err, "open the folder of", o->dirfd);
    o->fd = nk_vfs_open(o->vfs, o->dirfd, name, NITRO_FILE_READ);
    if (o->fd < 0) return cannot(o, err, "open", o->fd);
    int64_t size = o->vfs->size(o->vfs->ctx, o->fd);
    if (size < 0) return cannot(o, err, "ask for the size of", size);
    o->size = (uint64_t)size;
    int rc = nk_snapread_open(&o->file, o->vfs, o->mem, o->fd, o->size);
    return rc == NITRO_OK ? rc : failed(o, rc, err);
}

void nk_origin_close(struct nk_origin *o) {
    if (o->mem == NULL) return;
    nk_snapread_close(&o->file);
    nk_mem_free(o->mem, o->value, o->value_cap);
    if (o->fd >= 0) (void)o->vfs->close(o->vfs->ctx, o->fd); /* only read */
    if (o->dirfd >= 0) (void)o->vfs->dir_close(o->vfs->ctx, o->dirfd);
    *o = (struct nk_origin){.mem = NULL};
}

int nk_origin_archive(const struct nk_origin *o, struct nk_tar **out, uint64_t *bad_at,
                      struct nitro_err *err) {
    const char *name = NULL;
    *out = NULL;
    int dir = nk_vfs_dir_of(o->vfs, o->mem, o->path, &name);
    int fd = dir < 0 ? dir : nk_vfs_open(o->vfs, dir, name, NITRO_FILE_READ);
    int is = fd < 0 ? fd : nk_tar_is(o->vfs, fd);
    if (fd >= 0) (void)o->vfs->close(o->vfs->ctx, fd);       /* only read */
    if (dir >= 0) (void)o->vfs->dir_close(o->vfs->ctx, dir); /* only read */
    if (is == -ENOENT || is == -ENOTDIR) return NITRO_OK;
    if (is == -ENOMEM) return failed(o, NITRO_ENOMEM, err);
    if (is < 0) return cannot(o, err, "look into", is);
    return is == 1 ? nk_tar_open(o->path, o->vfs, o->mem, out, bad_at, err) : NITRO_OK;
}

/* ---- records -----------------------------------------------------------------------------------*/

/* Memory for a large value; that of a smaller one before it is not kept beside it. */
static bool value_room(struct nk_origin *o, size_t bytes) {
    if (bytes <= o->value_cap) return true;
    nk_mem_free(o->mem, o->value, o->value_cap);
    o->value = nk_mem_alloc(o->mem, bytes);
    o->value_cap = o->value != NULL ? bytes : 0;
    return o->value != NULL;
}

int nk_origin_next(struct nk_origin *o, struct nk_snaprec *out, struct nitro_err *err) {
    int rc = nk_snapread_next(&o->file, false, out);
    if (rc == NITRO_OK && out->large) {
        if (!value_room(o, out->value_bytes)) return failed(o, NITRO_ENOMEM, err);
        rc = nk_snapread_value(&o->file, out, o->value);
    }
    if (o->progress != NULL && (o->file.at - o->told >= TELL_BYTES || rc == NITRO_ENOTFOUND)) {
        o->told = o->file.at;
        o->progress(o->ctx, rc == NITRO_ENOTFOUND ? o->size : o->told, o->size);
    }
    return rc == NITRO_OK || rc == NITRO_ENOTFOUND ? rc : failed(o, rc, err);
}

/* ---- verify ------------------------------------------------------------------------------------*/

/* Every record, which is what finds damage. */
static int read_all(struct nk_origin *o, struct nitro_err *err) {
    struct nk_snaprec r;
    int rc;
    do rc = nk_origin_next(o, &r, err);
    while (rc == NITRO_OK);
    return rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
}

static struct nitro_snapshot_info info_of(const struct nk_origin *o) {
    const struct nk_snap_foot *f = &o->file.foot;
    return (struct nitro_snapshot_info){.number = o->file.head.number,
                                        .lsn = o->file.head.lsn,
                                        .time_ms = f->time_ms,
                                        .keys = f->keys,
                                        .raw_bytes = f->raw_bytes,
                                        .bytes = o->size,
                                        .hash_a = f->hash_a,
                                        .hash_b = f->hash_b};
}

static int is_folder(const struct nk_origin *o, bool *is, struct nitro_err *err) {
    int dir = o->vfs->dir_open(o->vfs->ctx, o->path, 0);
    *is = dir >= 0;
    if (dir >= 0) (void)o->vfs->dir_close(o->vfs->ctx, dir); /* only looked for */
    return dir >= 0 || dir == -ENOENT || dir == -ENOTDIR ? NITRO_OK : cannot(o, err, "open", dir);
}

/* A folder is read as a restore reads it, up to its end. Nothing is given out, so the seed need not be secret. */
static int verify_folder(const struct nk_origin *o, const struct nitro_vfs *vfs,
                         struct nk_past *past, struct nitro_snapshot_info *out,
                         struct nitro_err *err) {
    static const uint8_t seed[NITRO_SEED_BYTES];
    const struct nk_past_source from = {.did = o->did,
                                        .from = o->path,
                                        .vfs = vfs,
                                        .mem = o->mem,
                                        .seed = seed,
                                        .to_lsn = UINT64_MAX,
                                        .to_ms = INT64_MAX,
                                        .bad = &past->bad};
    past->progress = o->progress;
    past->ctx = o->ctx;
    return nk_past_verify(&from, past, out, err);
}

/* What is said of a file in it has no place in the archive yet. */
static int verify_archive(const struct nk_origin *o, struct nk_tar *tar,
                          struct nitro_snapshot_info *out, uint64_t *bad_offset,
                          struct nitro_err *err) {
    struct nk_past past = {.whole = true};
    struct nitro_err why = {.code = NITRO_OK};
    int rc = verify_folder(o, nk_tar_vfs(tar), &past, out, &why);
    if (rc == NITRO_OK) out->bytes = nk_tar_bytes(tar);
    if (rc == NITRO_ECORRUPT) {
        *bad_offset = nk_tar_bad_at(tar, past.bad.file, past.bad.offset);
        rc = nk_err_set(err, rc, why.sys, "verify %s: at offset %llu of it: %s", o->path,
                        (unsigned long long)*bad_offset, why.msg);
    } else if (rc != NITRO_OK && err != NULL) {
        *err = why;
    }
    if (rc == NITRO_OK) rc = nk_tar_check_fill(tar, bad_offset, err);
    nk_tar_close(&tar);
    return rc;
}

int nitro_verify(const char *file, const struct nitro_mem *mem, const struct nitro_vfs *vfs,
                 void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                 struct nitro_snapshot_info *out, uint64_t *bad_offset, struct nitro_err *err) {
    struct nk_origin o = {.vfs = vfs != NULL ? vfs : nitro_vfs_system(),
                          .mem = mem != NULL ? mem : nitro_mem_system(),
                          .did = "verify",
                          .path = file,
                          .progress = progress,
                          .ctx = ctx};
    struct nk_past past = {.db = NULL};
    struct nk_tar *tar;
    bool folder;
    int rc = is_folder(&o, &folder, err);
    if (rc == NITRO_OK && folder) {
        rc = verify_folder(&o, o.vfs, &past, out, err);
        if (rc == NITRO_ECORRUPT) *bad_offset = past.bad.offset;
        return rc;
    }
    if (rc == NITRO_OK) rc = nk_origin_archive(&o, &tar, bad_offset, err);
    if (rc != NITRO_OK) return rc;
    if (tar != NULL) return verify_archive(&o, tar, out, bad_offset, err);
    rc = nk_origin_open(&o, err);
    if (rc == NITRO_OK) rc = read_all(&o, err);
    if (rc == NITRO_OK) *out = info_of(&o);
    if (rc == NITRO_ECORRUPT) *bad_offset = o.file.bad_at;
    nk_origin_close(&o);
    return rc;
}
