/* SPDX-License-Identifier: MIT
 *
 * loglink.c - a snapshot where the log is the data: a folder of hard links (L4).
 *
 * DESIGN
 *   docs/design/0006, section 7. Sealed files never change, so a second name is as good as a copy. The folder gets a
 *   CONTROL, which says that all up to S is durable, and a MANIFEST, which lists the files: so it is a data folder, which everything
 *   that reads one can read.
 *
 * STEPS  There may be thousands of files, and the filler is needed by writers. So each call seals, or links, a few of them; what is made
 *   is settled when all up to S is sealed, and stands in l->linking until it is done. A merge may be listed, and its inputs
 *   removed, between two calls: if one of these was still to be linked, the snapshot is given up. A snapshot that is given up has no MANIFEST
 *   (or all that it needs), and goes by steps like an old one.
 *
 * ORDER  (a crash between two steps leaves a snapshot, or a folder without MANIFEST, which the next start removes)
 *   1. The folder; the names of the files in it; CONTROL, synced; MANIFEST.tmp, synced.
 *   2. The folder is synced: all of these names are there.
 *   3. MANIFEST gets its name; the folder is synced. Now there is a snapshot.
 *   It is removed by taking its MANIFEST away, durably, then the other names, then the folder.
 *
 * SHARED  What has two names is one file. Nobody writes to a sealed file; but a start may take for a tail, and cut off, what was durable:
 *   that it was, a snapshot may be the only one to know. So files that hold LSNs up to S are not cut while there is a snapshot.
 *
 * NOT HERE  which files are sealed (logdata.c), backups (the host makes one file of the folder), reading one (restore.c).
 */
#include "recover.h"

#include "mutant.h"

#define NAMES 32u /* that are removed between two looks at a folder */

/* ---- sub-folders -------------------------------------------------------------------------------*/

int nk_log_subfolder(const struct nk_log *l, const char *name, unsigned flags) {
    size_t dir = l->dir_bytes - 1, bytes = dir + 1 + strlen(name) + 1;
    char *path = nk_mem_alloc(l->mem, bytes);
    if (path == NULL) return -ENOMEM;
    memcpy(path, l->dir, dir);
    path[dir] = '/';
    memcpy(path + dir + 1, name, strlen(name) + 1);
    int fd = l->vfs->dir_open(l->vfs->ctx, path, flags);
    nk_mem_free(l->mem, path, bytes);
    return fd;
}

static void close_folder(const struct nk_log *l, int dir) {
    (void)l->vfs->dir_close(l->vfs->ctx, dir); /* synced, or given up */
}

/* ---- removing ----------------------------------------------------------------------------------*/

/* Names of a folder, as many as are removed before it is looked at again. */
struct names {
    char name[NAMES][NK_PATH_MAX];
    uint32_t count;
};

static int note_name(void *arg, const char *name) {
    struct names *n = arg;
    size_t bytes = strlen(name) + 1;
    if (bytes > NK_PATH_MAX) return 0; /* none of ours: the folder stays */
    memcpy(n->name[n->count++], name, bytes);
    return n->count == NAMES;
}

/* All names of the folder, MANIFEST before all others. False: some are left. */
static bool empty_folder(struct nk_log *l, int dir, uint32_t *budget) {
    const struct nitro_vfs *v = l->vfs;
    int rc = v->unlink(v->ctx, dir, NK_PATH_MANIFEST, "snapshot: remove MANIFEST");
    if (rc == 0) rc = nk_vfs_dir_sync(v, dir, "snapshot: sync removal");
    if (rc != 0 && rc != -ENOENT) return false;
    for (;;) {
        struct names n = {.count = 0};
        if (v->dir_list(v->ctx, dir, note_name, &n) < 0) return false;
        if (n.count == 0) return true;
        for (uint32_t i = 0; i < n.count; i++, --*budget)
            if (*budget == 0 || v->unlink(v->ctx, dir, n.name[i], "snapshot: remove link") != 0)
                return false;
    }
}

/* Whether there is a snapshot in the folder: 0, or why it cannot be told; -ENOENT: there is none. */
static int look_for(const struct nk_log *l, int dir) {
    int fd = nk_vfs_open(l->vfs, dir, NK_PATH_MANIFEST, NITRO_FILE_READ);
    if (fd < 0) return fd;
    (void)l->vfs->close(l->vfs->ctx, fd); /* only looked for */
    return 0;
}

/* A newer one than that which is known is one that could not be read at open: it stays, if it is complete. */
static void remove_folder(struct nk_log *l, const char *name, uint32_t *budget) {
    uint64_t number = 0;
    int dir = nk_log_subfolder(l, name, 0);
    l->dropping = 0;
    if (dir < 0) return;
    (void)nk_path_parse(name, &number);
    bool goes = number < l->linked.number || look_for(l, dir) == -ENOENT;
    bool empty = goes && empty_folder(l, dir, budget);
    close_folder(l, dir);
    /* one that stays is removed by the next drop, or start */
    if (empty) (void)l->vfs->dir_remove(l->vfs->ctx, l->dirfd, name, "snapshot: remove folder");
    if (goes && !empty && *budget == 0) l->dropping = number;
}

struct dropped {
    uint64_t keep, making;
    struct names folders;
};

static int note_folder(void *arg, const char *name) {
    struct dropped *d = arg;
    uint64_t number;
    if (nk_path_parse(name, &number) != NK_PATH_IS_SNAP_DIR) return 0;
    return number == d->keep || number == d->making ? 0 : note_name(&d->folders, name);
}

/* One that was found at open may have got its MANIFEST from a process that was killed before it had synced that. False: it cannot be
 * synced now, so older ones stay. */
static bool settle(struct nk_log *l) {
    char name[NK_PATH_MAX];
    if (l->linked.number == 0 || NK_MUTATE(91, true, l->linked.durable)) return true;
    nk_path_snap_dir(l->linked.number, name);
    int dir = nk_log_subfolder(l, name, 0);
    if (dir < 0) return false;
    l->linked.durable = nk_vfs_dir_sync(l->vfs, dir, "snapshot: sync found") == 0;
    close_folder(l, dir);
    return l->linked.durable;
}

void nk_log_links_drop(struct nk_log *l, uint32_t *budget, bool *more) {
    struct dropped d = {.keep = l->linked.number, .making = NK_MUTATE(97, 0, l->linking.as.number)};
    if (!settle(l)) return; /* tried again */
    /* What is left of one is not looked for: there may be thousands of names, and a few go at a time. */
    if (l->dropping != 0) {
        char name[NK_PATH_MAX];
        nk_path_snap_dir(l->dropping, name);
        remove_folder(l, name, budget);
        *more |= l->dropping != 0;
        if (l->dropping != 0) return;
    }
    if (l->vfs->dir_list(l->vfs->ctx, l->dirfd, note_folder, &d) < 0) return; /* looked at again */
    for (uint32_t i = 0; i<d.folders.count && * budget> 0; i++)
        remove_folder(l, d.folders.name[i], budget);
    *more |= *budget == 0 && d.folders.count > 0;
}

/* ---- making one --------------------------------------------------------------------------------*/

/* A failure that harms nothing. */
static int cannot(const struct nk_log *l, struct nitro_err *err, int rc, const char *what,
                  const char *name) {
    char folder[NK_PATH_MAX];
    bool none = rc == -EPERM || rc == -EOPNOTSUPP || rc == -EXDEV || rc == -EMLINK;
    int code = nk_log_is_full(rc) ? NITRO_ELOGFULL : none ? NITRO_EUNSUPPORTED : NITRO_EIO;
    if (rc == -ENOMEM) code = NITRO_ENOMEM;
    nk_path_snap_dir(l->linking.as.number, folder);
    return nk_err_set(err, code, -rc,
                      "take a snapshot of %s: %s %s/%s: %s%s; the store is as it was", l->dir, what,
                      folder, name, strerror(-rc),
                      none ? ": the file system gives no file a second name" : "");
}

static int merged_since(const struct nk_log *l, struct nitro_err *err) {
    return nk_err_set(err, NITRO_EBUSY, 0,
                      "take a snapshot of %s at LSN %llu: files have been merged since; it is "
                      "tried again",
                      l->dir, (unsigned long long)l->linking.as.lsn);
}

static void piece_name(const struct nk_piece *p, char *out) {
    if (p->kind == NK_FILE_DATA)
        nk_path_data(p->number, out);
    else
        nk_path_log(p->number, out);
}

/* Files up to S that are left to be sealed. They are sealed in the order of their LSNs, so the last one of them ends with S; files that
 * fill up meanwhile are not waited for. */
static int seal_some(struct nk_log *l, uint64_t lsn, uint32_t *files, bool *done,
                     struct nitro_err *err) {
    int rc = NITRO_OK;
    for (; rc == NITRO_OK && !*done && *files > 0; --*files) {
        uint32_t slot = 0;
        rc = nk_log_seal(l, &slot, err);
        *done = slot == 0 || nk_file_at(l->files, slot)->last_lsn >= lsn;
    }
    return rc;
}

/* The merged file with this slot may lack what effects behind S have made dead. */
static bool is_cut_later(const struct nk_log *l, const struct nk_piece *p, uint64_t lsn) {
    for (uint32_t i = 0; p->kind == NK_FILE_DATA && i < l->data_count; i++)
        if (l->data[i].number == p->number) return l->data[i].head.cut_lsn > lsn;
    return false;
}

/* The pieces up to S, without a gap and to its end. */
static int choose(struct nk_log *l, struct nitro_err *err) {
    struct nk_log_linking *k = &l->linking;
    uint32_t all = nk_log_pieces(l, NULL, 0);
    uint64_t lsn = k->as.lsn, before = 0;
    k->cap = all + 1;
    k->piece = nk_mem_alloc(l->mem, k->cap * sizeof *k->piece);
    if (k->piece == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "take a snapshot of %s: out of memory", l->dir);
    (void)nk_log_pieces(l, k->piece, all);
    for (; k->count < all && k->piece[k->count].first_lsn <= lsn; k->count++) {
        const struct nk_piece *p = &k->piece[k->count];
        if (NK_MUTATE(83, false, is_cut_later(l, p, lsn)) || p->last_lsn > lsn)
            return merged_since(l, err);
        if (p->prev_last_lsn != before) break;
        before = p->last_lsn;
    }
    if (before == lsn) return NITRO_OK;
    return nk_err_set(err, NITRO_EIO, 0,
                      "take a snapshot of %s: its sealed files hold all up to LSN %llu, and not up "
                      "to %llu; see: nitrokv check %s",
                      l->dir, (unsigned long long)before, (unsigned long long)lsn, l->dir);
}

/* Everything is sealed: what it is made of is settled, and there is a folder for that. */
static int begin(struct nk_log *l, uint64_t lsn, int64_t now_ms, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_linking *k = &l->linking;
    k->as = (struct nk_log_links){.lsn = lsn,
                                  .durable = true,
                                  .time_ms = now_ms < 1 ? 1 : now_ms,
                                  .keys = __atomic_load_n(&l->keys, __ATOMIC_RELAXED)};
    int rc = choose(l, err);
    if (rc != NITRO_OK) return rc;
    k->as.number = l->next_number++;
    nk_path_snap_dir(k->as.number, name);
    k->dir = nk_log_subfolder(l, name, NITRO_DIR_CREATE);
    return k->dir >= 0 ? NITRO_OK : cannot(l, err, k->dir, "make the folder", "");
}

static int link_file(const struct nk_log *l, const char *name) {
    return l->vfs->link(l->vfs->ctx, l->dirfd, name, l->linking.dir, name, "snapshot: link");
}

/* The hint, too: it saves who reads the snapshot a reading of the file. A piece that a merge has replaced since it was chosen is as good as
 * ever, as long as it is listed: what lies in it does not change. */
static int link_piece(struct nk_log *l, const struct nk_piece *p, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    const struct nk_file *f = nk_file_at(l->files, p->slot);
    if (f->number != p->number || f->leaving) return merged_since(l, err);
    piece_name(p, name);
    int rc = link_file(l, name);
    if (rc != 0) return cannot(l, err, rc, "link", name);
    l->linking.as.bytes += p->size;
    if (!f->hinted) return NITRO_OK;
    nk_path_hint(p->number, name);
    (void)link_file(l, name); /* without it the file itself is read */
    return NITRO_OK;
}

static int link_some(struct nk_log *l, uint32_t *files, struct nitro_err *err) {
    struct nk_log_linking *k = &l->linking;
    int rc = NITRO_OK;
    for (; rc == NITRO_OK && k->at<k->count && * files> 0; k->at++, --*files)
        rc = link_piece(l, &k->piece[k->at], err);
    return rc;
}

/* A whole small file, synced. */
static int put_file(const struct nk_log *l, const char *name, const uint8_t *p, size_t n,
                    struct nitro_err *err) {
    const struct nitro_vfs *v = l->vfs;
    int fd = nk_vfs_open(v, l->linking.dir, name,
                         NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    if (fd < 0) return cannot(l, err, fd, "make", name);
    int rc = nk_vfs_write(v, fd, p, n, 0, "snapshot: write small file");
    if (rc == 0) rc = NK_MUTATE(84, 0, nk_vfs_sync(v, fd, "snapshot: sync small file"));
    (void)v->close(v->ctx, fd); /* synced, or failed already */
    return rc == 0 ? NITRO_OK : cannot(l, err, rc, "write", name);
}

static int put_control(const struct nk_log *l, struct nitro_err *err) {
    uint8_t slots[NK_CONTROL_BYTES];
    const struct nk_log_links *as = &l->linking.as;
    struct nk_control c = {.version = NK_CONTROL_VERSION,
                           .sequence = 1,
                           .durable_lsn = as->lsn,
                           .file = as->number,
                           .time_ms = as->time_ms,
                           .keys = as->keys};
    memcpy(c.store, l->store, sizeof c.store);
    for (int i = 0; i < 2; i++, c.sequence++)
        nk_control_encode(&c, slots + (c.sequence & 1) * NK_CONTROL_SLOT);
    return put_file(l, NK_PATH_CONTROL, slots, sizeof slots, err);
}

/* Logs come before merged files with smaller numbers, in no order that matters but their own. */
static int put_manifest(struct nk_log *l, struct nitro_err *err) {
    const struct nk_log_linking *k = &l->linking;
    size_t bytes = NK_MANIFEST_HEADER + (size_t)k->count * NK_MANIFEST_EDIT;
    uint8_t *p = nk_mem_zalloc(l->mem, bytes);
    if (p == NULL) return cannot(l, err, -ENOMEM, "write", NK_PATH_MANIFEST);
    struct nk_manifest_head h = {
        .version = NK_MANIFEST_VERSION, .mode = l->mode, .salt = nk_log_salt(l)};
    memcpy(h.store, l->store, sizeof h.store);
    nk_manifest_head_encode(&h, p);
    for (uint32_t i = 0; i < k->count; i++) {
        const struct nk_piece *f = &k->piece[i];
        uint64_t at = NK_MANIFEST_HEADER + (uint64_t)i * NK_MANIFEST_EDIT;
        bool data = f->kind == NK_FILE_DATA;
        struct nk_manifest_edit e = {.op = NK_MANIFEST_ADD,
                                     .kind = f->kind,
                                     .number = f->number,
                                     .salt = f->salt,
                                     .first_lsn = data ? f->first_lsn : 0,
                                     .last_lsn = data ? f->last_lsn : 0,
                                     .sequence = i + 1};
        nk_manifest_edit_encode(&e, at, h.salt, p + at);
    }
    int rc = put_file(l, NK_PATH_MANIFEST_TMP, p, bytes, err);
    nk_mem_free(l->mem, p, bytes);
    return rc;
}

/* What is there becomes a snapshot, durably. */
static int install(const struct nk_log *l, struct nitro_err *err) {
    const struct nitro_vfs *v = l->vfs;
    int dir = l->linking.dir;
    int rc = NK_MUTATE(85, 0, nk_vfs_dir_sync(v, dir, "snapshot: sync names"));
    if (rc == 0)
        rc = v->rename(v->ctx, dir, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST,
                       "snapshot: name MANIFEST");
    if (rc == 0) rc = nk_vfs_dir_sync(v, dir, "snapshot: sync MANIFEST");
    return rc == 0 ? NITRO_OK : cannot(l, err, rc, "finish", NK_PATH_MANIFEST);
}

void nk_log_link_stop(struct nk_log *l) {
    struct nk_log_linking *k = &l->linking;
    if (k->dir >= 0) close_folder(l, k->dir);
    nk_mem_free(l->mem, k->piece, k->cap * sizeof *k->piece);
    *k = (struct nk_log_linking){.dir = -1};
}

/* All names are there. */
static int finish(struct nk_log *l, struct nitro_err *err) {
    int rc = put_control(l, err);
    if (rc == NITRO_OK) rc = put_manifest(l, err);
    if (rc == NITRO_OK) rc = install(l, err);
    if (rc != NITRO_OK) return rc;
    l->linked = l->linking.as;
    l->shared_lsn = l->linked.lsn;
    nk_log_link_stop(l);
    return NITRO_OK;
}

static int check_durable(const struct nk_log *l, uint64_t lsn, struct nitro_err *err) {
    if (nk_log_durable(l) >= NK_MUTATE(86, 0, lsn)) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "take a snapshot of %s: the log is durable up to LSN %llu only, not up to "
                      "%llu",
                      l->dir, (unsigned long long)nk_log_durable(l), (unsigned long long)lsn);
}

int nk_log_link(struct nk_log *l, uint64_t lsn, int64_t now_ms, uint32_t files, bool *more,
                struct nitro_err *err) {
    const struct nk_log_links *as = &l->linking.as;
    if (as->number != 0 && as->lsn != lsn) nk_log_link_stop(l);
    bool sealed = as->number != 0;
    int rc = nk_log_check(l, err);
    if (rc == NITRO_OK) rc = check_durable(l, lsn, err);
    if (rc == NITRO_OK) rc = seal_some(l, lsn, &files, &sealed, err);
    if (rc == NITRO_OK && sealed && as->number == 0) rc = begin(l, lsn, now_ms, err);
    if (rc == NITRO_OK && sealed) rc = link_some(l, &files, err);
    /* what was to be done did not take all of them */
    bool linked = NK_MUTATE(98, as->number != 0, files > 0);
    if (rc == NITRO_OK && linked) rc = finish(l, err);
    if (rc != NITRO_OK) nk_log_link_stop(l);
    if (rc == NITRO_OK) *more = !linked;
    return rc;
}

/* ---- at open -----------------------------------------------------------------------------------*/

/* Bytes of the files of a folder, as far as they can be told. */
struct sizes {
    const struct nk_log *l;
    int dir;
    uint64_t bytes;
};

static int add_size(void *arg, const char *name) {
    struct sizes *s = arg;
    uint64_t number;
    enum nk_path_kind kind = nk_path_parse(name, &number);
    if (kind != NK_PATH_IS_LOG && kind != NK_PATH_IS_DATA) return 0;
    int fd = nk_vfs_open(s->l->vfs, s->dir, name, NITRO_FILE_READ);
    if (fd < 0) return 0;
    int64_t n = s->l->vfs->size(s->l->vfs->ctx, fd);
    if (n > 0) s->bytes += (uint64_t)n;
    (void)s->l->vfs->close(s->l->vfs->ctx, fd); /* only read */
    return 0;
}

/* Reads what a folder's CONTROL says. False: it cannot be read, is not valid, or not ours. */
static bool read_links(const struct nk_log *l, int dir, struct nk_log_links *out) {
    uint8_t p[NK_CONTROL_BYTES];
    struct nk_control c;
    int fd = nk_vfs_open(l->vfs, dir, NK_PATH_CONTROL, NITRO_FILE_READ);
    if (fd < 0) return false;
    int64_t got = nk_vfs_read(l->vfs, fd, p, sizeof p, 0);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    if (got < 0 || nk_control_newest(p, (size_t)got, &c) != NITRO_OK) return false;
    if (memcmp(c.store, l->store, sizeof c.store) != 0) return false;
    struct sizes s = {.l = l, .dir = dir};
    (void)l->vfs->dir_list(l->vfs->ctx, dir, add_size, &s); /* for a statistic alone */
    out->lsn = c.durable_lsn;
    out->time_ms = c.time_ms;
    out->keys = c.keys;
    out->bytes = s.bytes;
    return true;
}

int nk_log_links_find(struct nk_log *l, uint64_t number, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_log_links found = {.number = number};
    if (number < l->linked.number) return NITRO_OK;
    nk_path_snap_dir(number, name);
    int dir = nk_log_subfolder(l, name, 0);
    if (dir == -ENOTDIR || dir == -ENOENT) return NITRO_OK;
    if (dir == -ENOMEM)
        return nk_err_set(err, NITRO_ENOMEM, ENOMEM, "open %s: out of memory", l->dir);
    if (dir < 0) {
        l->shared_lsn = UINT64_MAX; /* as below; no start needs it */
        return NITRO_OK;
    }
    int there = look_for(l, dir);
    if (there == 0 && read_links(l, dir, &found)) {
        l->linked = found;
        l->shared_lsn = nk_max_u64(l->shared_lsn, found.lsn);
    } else if (there != -ENOENT) {
        l->shared_lsn = UINT64_MAX; /* of which moment it is, nobody knows now */
    }
    close_folder(l, dir);
    return NITRO_OK;
}

bool nk_log_is_shared(const struct nk_log *l, const struct nk_live *f) {
    return NK_MUTATE(90, false, l->shared_lsn != 0 && f->head.first_lsn <= l->shared_lsn);
}
