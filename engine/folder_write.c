/* SPDX-License-Identifier: MIT
 *
 * folder_write.c - making a folder a store, and MANIFEST anew (L4).
 *
 * DESIGN
 *   A small file is replaced as a whole: written beside the old one, synced, renamed, the folder synced. A
 *   crash leaves the old one or the new one.
 *
 *   MANIFEST is written anew at every start, because what is there then may be a page that a failed sync has
 *   left in the cache and not on the disk; what is appended behind it would follow a gap after a power cut.
 *   That holds after a clean stop, too: the sync may have failed in a start since then that did not
 *   get through. And it is written anew when most of its edits concern files that are gone. If there is no room for
 *   that on the disk, the old one is kept, which is as good, and a later removal tries again. From its rename on a failure
 *   is one of the log: nobody knows which of both a power cut would leave.
 */
#include "recover.h"

/* Edits that a MANIFEST may have before it is written anew: two for each file that came and went.
 * 64 KiB are read in no time, and a list this long is at least half waste. */
#define EDITS_MAX 1024u

/* Replaces a whole small file in one step and keeps it open in *fd. 0 or -errno; *renamed: it has its name since, so what
 * had it before may be gone. */
static int install(struct nk_log *l, const char *tmp, const char *name, const uint8_t *p, size_t n,
                   int *fd, bool *renamed) {
    unsigned flags = NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE;
    int f = nk_vfs_open(l->vfs, l->dirfd, tmp, flags);
    *renamed = false;
    if (f < 0) return f;
    int rc = nk_vfs_write(l->vfs, f, p, n, 0, "create: write");
    if (rc == 0) rc = nk_vfs_truncate(l->vfs, f, n, "create: truncate");
    if (rc == 0) rc = nk_vfs_sync(l->vfs, f, "create: sync");
    if (rc == 0) rc = l->vfs->rename(l->vfs->ctx, l->dirfd, tmp, name, "create: rename");
    *renamed = rc == 0;
    if (rc == 0) rc = nk_vfs_dir_sync(l->vfs, l->dirfd, "create: sync folder");
    if (rc != 0) {
        (void)l->vfs->close(l->vfs->ctx, f); /* the failure is being reported */
        /* one that stays is written over by the next try, or removed by the next start */
        if (!*renamed) (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, tmp, "create: give up");
        return rc;
    }
    *fd = f;
    return 0;
}

/* ---- a new store -------------------------------------------------------------------------------*/

int nk_folder_create(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    uint8_t control[NK_CONTROL_BYTES] = {0}, manifest[NK_MANIFEST_HEADER];
    nk_store64(l->store, nk_log_salt(l));
    nk_store64(l->store + 8, nk_log_salt(l));
    l->control = (struct nk_control){.sequence = 2, .time_ms = now_ms};
    memcpy(l->control.store, l->store, sizeof l->store);
    nk_control_encode(&l->control, control);
    struct nk_manifest_head h = {.mode = l->mode, .salt = nk_log_salt(l)};
    memcpy(h.store, l->store, sizeof h.store);
    nk_manifest_head_encode(&h, manifest);
    bool renamed;
    int rc = install(l, NK_PATH_CONTROL_TMP, NK_PATH_CONTROL, control, sizeof control,
                     &l->control_fd, &renamed);
    if (rc == 0)
        rc = install(l, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST, manifest, sizeof manifest,
                     &l->manifest_fd, &renamed);
    if (rc != 0)
        return nk_err_set(err, NITRO_EIO, -rc, "create a store in %s: %s", l->dir, strerror(-rc));
    l->manifest_salt = h.salt;
    l->manifest_at = NK_MANIFEST_HEADER;
    l->manifest_seq = 1;
    l->next_lsn = 1;
    return NITRO_OK;
}

/* ---- MANIFEST anew -----------------------------------------------------------------------------*/

/* Edits are appended to p. */
struct list {
    const struct nk_log *l;
    uint8_t *p;
    uint64_t at, salt;
};

/* The next edit is *e, but for its sequence. */
static void put_edit(struct list *m, const struct nk_manifest_edit *e) {
    struct nk_manifest_edit edit = *e;
    edit.sequence = m->at / NK_MANIFEST_EDIT;
    nk_manifest_edit_encode(&edit, m->at, m->salt, m->p + m->at);
    m->at += NK_MANIFEST_EDIT;
}

static void put_log(struct list *m, enum nk_manifest_op op, uint64_t number, uint64_t salt) {
    put_edit(m, &(struct nk_manifest_edit){
                    .op = op, .kind = NK_FILE_LOG, .number = number, .salt = salt});
}

/* What is listed. Then the last number that was ever used, added and removed, unless it is listed: it is not
 * used again. */
static void put_files(struct list *m) {
    const struct nk_log *l = m->l;
    uint64_t last = l->next_number - 1;
    bool named = last == 0;
    for (uint32_t i = 0; i < l->live_count; i++) {
        named |= l->live[i].number == last;
        put_log(m, NK_MANIFEST_ADD, l->live[i].number, l->live[i].salt);
    }
    for (uint32_t i = 0; i < l->snap_count; i++) {
        const struct nk_log_snap *s = &l->snaps[i];
        named |= s->number == last;
        put_edit(m, &(struct nk_manifest_edit){.op = NK_MANIFEST_ADD,
                                               .kind = NK_FILE_SNAP,
                                               .number = s->number,
                                               .salt = s->salt,
                                               .last_lsn = s->lsn});
    }
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_log_data *d = &l->data[i];
        struct nk_manifest_edit e = nk_data_edit(NK_MANIFEST_ADD, d);
        named |= d->number == last;
        put_edit(m, &e);
    }
    if (named) return;
    put_log(m, NK_MANIFEST_ADD, last, m->salt);
    put_log(m, NK_MANIFEST_REMOVE, last, m->salt);
}

/* Whether a call has failed because there is no room on the disk, or no handle: nothing is broken. */
static bool lacks(int rc) { return nk_log_is_full(rc) || rc == -EMFILE || rc == -ENFILE; }

int nk_folder_relist(struct nk_log *l, struct nitro_err *err) {
    size_t files = (size_t)l->live_count + l->snap_count + l->data_count;
    size_t bytes = NK_MANIFEST_HEADER + (files + 2) * NK_MANIFEST_EDIT;
    uint8_t *p = nk_mem_zalloc(l->mem, bytes);
    if (p == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "write %s/%s anew: out of memory", l->dir,
                          NK_PATH_MANIFEST);
    struct nk_manifest_head h = {.mode = l->mode, .salt = nk_log_salt(l)};
    memcpy(h.store, l->store, sizeof h.store);
    nk_manifest_head_encode(&h, p);
    struct list m = {.l = l, .p = p, .at = NK_MANIFEST_HEADER, .salt = h.salt};
    put_files(&m);
    bool renamed;
    int fd = -1;
    int rc = install(l, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST, p, (size_t)m.at, &fd, &renamed);
    nk_mem_free(l->mem, p, bytes);
    if (rc != 0)
        return nk_err_set(err, !renamed && lacks(rc) ? NITRO_ELOGFULL : NITRO_EIO, -rc,
                          "write %s/%s anew: %s", l->dir, NK_PATH_MANIFEST, strerror(-rc));
    if (l->manifest_fd >= 0) (void)l->vfs->close(l->vfs->ctx, l->manifest_fd); /* it is replaced */
    l->manifest_fd = fd;
    l->manifest_salt = h.salt;
    l->manifest_at = m.at;
    l->manifest_seq = m.at / NK_MANIFEST_EDIT;
    return NITRO_OK;
}

int nk_folder_shorten(struct nk_log *l, struct nitro_err *err) {
    uint64_t need = (uint64_t)l->live_count + l->snap_count + l->data_count;
    if (l->manifest_seq <= EDITS_MAX || l->manifest_seq <= 2 * need) return NITRO_OK;
    struct nitro_err why = {.code = NITRO_OK};
    int rc = nk_folder_relist(l, &why);
    if (rc == NITRO_EIO) return nk_log_fail(l, err, -why.sys, "cannot write anew", 0);
    if (rc == NITRO_ELOGFULL)
        return NITRO_OK; /* the old one is as good; the next call tries again */
    if (rc != NITRO_OK && err != NULL) *err = why;
    return rc;
}
