/* SPDX-License-Identifier: MIT
 *
 * recover_snap.c - snapshots that MANIFEST lists, opened for reading; what is wrong with one (L4).
 *
 * NOT HERE  their bytes (snapread.c), which one a start begins with (folder.c), loading it (load.c).
 */
#include "recover.h"

int nk_snap_damage(const struct nk_log *l, struct nitro_err *err, const struct nk_log_snap *s,
                   uint64_t offset, const char *what) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "open %s: %s, offset %llu: %s; the store up to LSN %llu is in this snapshot, so "
        "nothing was changed; see: nitrokv check %s; an older one, if there is one, "
        "is taken by: nitrokv restore --from %s --dir NEW",
        l->dir, name, (unsigned long long)offset, what, (unsigned long long)s->lsn, l->dir, l->dir);
}

int nk_snap_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_log_snap *s,
                        const struct nk_snapread *r, int rc) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    if (rc == NITRO_ECORRUPT) return nk_snap_damage(l, err, s, r->bad_at, r->what);
    if (rc == NITRO_EFORMAT)
        return nk_err_set(
            err, rc, 0,
            "open %s: %s has format version %u, this program knows up to %u; use a newer "
            "nitrokv",
            l->dir, name, r->head.version, NK_SNAP_VERSION);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(err, rc, 0, "read %s/%s: out of memory", l->dir, name);
    return nk_err_set(err, NITRO_EIO, r->sys, "read %s/%s: %s", l->dir, name, strerror(r->sys));
}

/* NULL, or why this is not the file that is listed. */
static const char *stranger(const struct nk_log *l, const struct nk_log_snap *s,
                            const struct nk_snap_head *h) {
    if (memcmp(h->store, l->store, sizeof l->store) != 0) return "it belongs to another store";
    if (h->number != s->number || h->salt != s->salt || h->lsn != s->lsn)
        return "it is not the file that MANIFEST lists";
    return NULL;
}

int nk_snap_scan(const struct nk_log *l, const struct nk_log_snap *s, struct nk_snapread *r,
                 struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    int fd = nk_vfs_open(l->vfs, l->dirfd, name, NITRO_FILE_READ);
    if (fd == -ENOENT)
        return nk_snap_damage(l, err, s, 0, "MANIFEST lists it, but it is not there");
    if (fd < 0)
        return nk_err_set(err, NITRO_EIO, -fd, "open %s/%s: %s", l->dir, name, strerror(-fd));
    int64_t size = l->vfs->size(l->vfs->ctx, fd);
    if (size < 0) {
        (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
        return nk_err_set(err, NITRO_EIO, (int)-size, "read %s/%s: %s", l->dir, name,
                          strerror((int)-size));
    }
    int rc = nk_snapread_open(r, l->vfs, l->mem, fd, (uint64_t)size);
    const char *wrong = rc == NITRO_OK ? stranger(l, s, &r->head) : NULL;
    if (wrong != NULL)
        rc = nk_snap_damage(l, err, s, 0, wrong);
    else if (rc != NITRO_OK)
        rc = nk_snap_scan_failed(l, err, s, r, rc);
    if (rc != NITRO_OK) nk_snap_scan_end(l, r);
    return rc;
}

void nk_snap_scan_end(const struct nk_log *l, struct nk_snapread *r) {
    (void)l->vfs->close(l->vfs->ctx, r->fd); /* only read */
    nk_snapread_close(r);
}
