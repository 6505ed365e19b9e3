/* SPDX-License-Identifier: MIT
 *
 * loglink.c - a snapshot where the log is the data: a folder of hard links (L4).
 *
 * DESIGN
 *   docs/design/0006, section 7. Sealed files never change, so a second name is as good as a copy. The folder gets a
 *   CONTROL, which says that all up to S is durable, and a MANIFEST, which lists the files: so it is a data folder, which everything
 *   that reads one can read.
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
    uint64_t keep;
    struct names folders;
};

static int note_folder(void *arg, const char *name) {
    struct dropped *d = arg;
    uint64_t number;
    if (nk_path_parse(name, &number) != NK_PATH_IS_SNAP_DIR || number == d->keep) return 0;
    return note_name(&d->folders, name);
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
    struct dropped d = {.keep = l->linked.number};
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

/* A snapshot that is being made. */
struct making {
    struct nk_log *l;
    struct nitro_err *err;
    struct nk_log_links links;
    char name[NK_PATH_MAX]; /* of the folder */
    int dir;
    struct nk_piece *piece; /* those up to S, by LSN */
    uint32_t count, cap;
};

/* A failure that harms nothing. */
static int cannot(const struct making *m, int rc, const char *what, const char *name) {
    bool none = rc == -EPERM || rc == -EOPNOTSUPP || rc == -EXDEV || rc == -EMLINK;
    int code = nk_log_is_full(rc) ? NITRO_ELOGFULL : none ? NITRO_EUNSUPPORTED : NITRO_EIO;
    if (rc == -ENOMEM) code = NITRO_ENOMEM;
    return nk_err_set(m->err, code, -rc,
                      "take a snapshot of %s: %s %s/%s: %s%s; the store is as it was", m->l->dir,
                      what, m->name, name, strerror(-rc),
                      none ? ": the file system gives no file a second name" : "");
}

static void piece_name(const struct nk_piece *p, char *out) {
    if (p->kind == NK_FILE_DATA)
        nk_path_data(p->number, out);
    else
        nk_path_log(p->number, out);
}

static int seal_all(struct making *m) {
    uint32_t sealed = 0;
    int rc;
    do rc = nk_log_seal(m->l, &sealed, m->err);
    while (rc == NITRO_OK && sealed != 0);
    return rc;
}

/* The merged file with this slot may lack what effects behind S have made dead. */
static bool is_cut_later(const struct nk_log *l, const struct nk_piece *p, uint64_t lsn) {
    for (uint32_t i = 0; p->kind == NK_FILE_DATA && i < l->data_count; i++)
        if (l->data[i].number == p->number) return l->data[i].head.cut_lsn > lsn;
    return false;
}

/* The pieces up to S, without a gap and to its end. */
static int choose(struct making *m, uint64_t lsn) {
    struct nk_log *l = m->l;
    uint32_t all = nk_log_pieces(l, NULL, 0);
    uint64_t before = 0;
    m->cap = all + 1;
    m->piece = nk_mem_alloc(l->mem, m->cap * sizeof *m->piece);
    if (m->piece == NULL)
        return nk_err_set(m->err, NITRO_ENOMEM, 0, "take a snapshot of %s: out of memory", l->dir);
    (void)nk_log_pieces(l, m->piece, all);
    for (; m->count < all && m->piece[m->count].first_lsn <= lsn; m->count++) {
        const struct nk_piece *p = &m->piece[m->count];
        if (NK_MUTATE(83, false, is_cut_later(l, p, lsn)) || p->last_lsn > lsn)
            return nk_err_set(
                m->err, NITRO_EBUSY, 0,
                "take a snapshot of %s at LSN %llu: files have been merged since; it is "
                "tried again",
                l->dir, (unsigned long long)lsn);
        if (p->prev_last_lsn != before) break;
        before = p->last_lsn;
    }
    if (before == lsn) return NITRO_OK;
    return nk_err_set(m->err, NITRO_EIO, 0,
                      "take a snapshot of %s: its sealed files hold all up to LSN %llu, and not up "
                      "to %llu; see: nitrokv check %s",
                      l->dir, (unsigned long long)before, (unsigned long long)lsn, l->dir);
}

static int link_file(struct making *m, const char *name) {
    return m->l->vfs->link(m->l->vfs->ctx, m->l->dirfd, name, m->dir, name, "snapshot: link");
}

/* The hint, too: it saves who reads the snapshot a reading of the file. */
static int link_piece(struct making *m, const struct nk_piece *p) {
    char name[NK_PATH_MAX];
    piece_name(p, name);
    int rc = link_file(m, name);
    if (rc != 0) return cannot(m, rc, "link", name);
    m->links.bytes += p->size;
    if (!nk_file_at(m->l->files, p->slot)->hinted) return NITRO_OK;
    nk_path_hint(p->number, name);
    (void)link_file(m, name); /* without it the file itself is read */
    return NITRO_OK;
}

/* A whole small file, synced. */
static int put_file(struct making *m, const char *name, const uint8_t *p, size_t n) {
    const struct nitro_vfs *v = m->l->vfs;
    int fd = nk_vfs_open(v, m->dir, name, NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    if (fd < 0) return cannot(m, fd, "make", name);
    int rc = nk_vfs_write(v, fd, p, n, 0, "snapshot: write small file");
    if (rc == 0) rc = NK_MUTATE(84, 0, nk_vfs_sync(v, fd, "snapshot: sync small file"));
    (void)v->close(v->ctx, fd); /* synced, or failed already */
    return rc == 0 ? NITRO_OK : cannot(m, rc, "write", name);
}

static int put_control(struct making *m) {
    uint8_t slots[NK_CONTROL_BYTES];
    struct nk_control c = {.version = NK_CONTROL_VERSION,
                           .sequence = 1,
                           .durable_lsn = m->links.lsn,
                           .file = m->links.number,
                           .time_ms = m->links.time_ms,
                           .keys = m->links.keys};
    memcpy(c.store, m->l->store, sizeof c.store);
    for (int i = 0; i < 2; i++, c.sequence++)
        nk_control_encode(&c, slots + (c.sequence & 1) * NK_CONTROL_SLOT);
    return put_file(m, NK_PATH_CONTROL, slots, sizeof slots);
}

/* Logs come before merged files with smaller numbers, in no order that matters but their own. */
static int put_manifest(struct making *m) {
    size_t bytes = NK_MANIFEST_HEADER + (size_t)m->count * NK_MANIFEST_EDIT;
    uint8_t *p = nk_mem_zalloc(m->l->mem, bytes);
    if (p == NULL) return cannot(m, -ENOMEM, "write", NK_PATH_MANIFEST);
    struct nk_manifest_head h = {
        .version = NK_MANIFEST_VERSION, .mode = m->l->mode, .salt = nk_log_salt(m->l)};
    memcpy(h.store, m->l->store, sizeof h.store);
    nk_manifest_head_encode(&h, p);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct nk_piece *f = &m->piece[i];
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
    int rc = put_file(m, NK_PATH_MANIFEST_TMP, p, bytes);
    nk_mem_free(m->l->mem, p, bytes);
    return rc;
}

/* What is there becomes a snapshot, durably. */
static int install(struct making *m) {
    const struct nitro_vfs *v = m->l->vfs;
    int rc = NK_MUTATE(85, 0, nk_vfs_dir_sync(v, m->dir, "snapshot: sync names"));
    if (rc == 0)
        rc = v->rename(v->ctx, m->dir, NK_PATH_MANIFEST_TMP, NK_PATH_MANIFEST,
                       "snapshot: name MANIFEST");
    if (rc == 0) rc = nk_vfs_dir_sync(v, m->dir, "snapshot: sync MANIFEST");
    return rc == 0 ? NITRO_OK : cannot(m, rc, "finish", NK_PATH_MANIFEST);
}

static int make(struct making *m) {
    m->dir = nk_log_subfolder(m->l, m->name, NITRO_DIR_CREATE);
    if (m->dir < 0) return cannot(m, m->dir, "make the folder", "");
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < m->count && rc == NITRO_OK; i++) rc = link_piece(m, &m->piece[i]);
    if (rc == NITRO_OK) rc = put_control(m);
    if (rc == NITRO_OK) rc = put_manifest(m);
    if (rc == NITRO_OK) rc = install(m);
    close_folder(m->l, m->dir);
    return rc;
}

int nk_log_link(struct nk_log *l, uint64_t lsn, int64_t now_ms, struct nitro_err *err) {
    struct making m = {.l = l,
                       .err = err,
                       .links = {.lsn = lsn,
                                 .durable = true,
                                 .time_ms = now_ms < 1 ? 1 : now_ms,
                                 .keys = __atomic_load_n(&l->keys, __ATOMIC_RELAXED)}};
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    if (nk_log_durable(l) < NK_MUTATE(86, 0, lsn))
        return nk_err_set(
            err, NITRO_EARGUMENT, 0,
            "take a snapshot of %s: the log is durable up to LSN %llu only, not up to "
            "%llu",
            l->dir, (unsigned long long)nk_log_durable(l), (unsigned long long)lsn);
    rc = seal_all(&m);
    if (rc == NITRO_OK) rc = choose(&m, lsn);
    if (rc == NITRO_OK) {
        m.links.number = l->next_number++;
        nk_path_snap_dir(m.links.number, m.name);
        rc = make(&m);
        uint32_t budget = UINT32_MAX;
        if (rc == NITRO_OK) {
            l->linked = m.links;
            l->shared_lsn = lsn;
        } else {
            remove_folder(l, m.name, &budget); /* what stays goes with the next drop, or start */
        }
    }
    nk_mem_free(l->mem, m.piece, m.cap * sizeof *m.piece);
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
