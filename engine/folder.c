/* SPDX-License-Identifier: MIT
 *
 * folder.c - what a data folder holds: its names, MANIFEST, CONTROL, headers of files (L4).
 *
 * DESIGN
 *   Nothing is believed because it is absent. A log that MANIFEST lists must be there with the salt that is
 *   listed; a log that it does not list must hold nothing. An append to MANIFEST that was torn can
 *   therefore not hide data: logs are listed, durably, before they are used.
 *
 *   A snapshot is listed when it is finished, and nothing is given up for it before that. So one that is not
 *   listed holds nothing that is not in the log (or, without a log, that anybody was promised: CONTROL knows
 *   of those that were). The newest one that is listed must be there. An older one that is missing or
 *   damaged is of no use, and no harm.
 *
 *   A merged file is listed when it is whole, and what it replaces goes after that. So one that is not listed holds
 *   nothing that is not elsewhere; one that is listed must be there. A hint is never listed: it belongs to the file
 *   that has its number, and to nothing if that is not listed. Nor are snapshots that are folders (loglink.c), and what merges
 *   have replaced (logold.c): no start needs them.
 *
 * NOT HERE  how the files follow one another (folder_chain.c), what frames say (recover.c), changing the folder
 *   (folder_write.c).
 */
#include "recover.h"

#define MANIFEST_BYTES_MAX (64u << 20)

struct names {
    struct nk_log *l;
    struct nk_orphan *file; /* those with a number; which of them are orphans is seen later */
    uint32_t count, cap;
    bool manifest, control, tmp, memory;
};

static int out_of_memory(const struct nk_log *l, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "open %s: out of memory", l->dir);
}

int nk_folder_damage(const struct nk_log *l, struct nitro_err *err, const char *name,
                     const char *what) {
    nk_recover_note(l, name, 0);
    return nk_err_set(err, NITRO_ECORRUPT, 0,
                      "open %s: %s: %s; nothing was changed; see: nitrokv check %s", l->dir, name,
                      what, l->dir);
}

static int newer(const struct nk_log *l, struct nitro_err *err, const char *name,
                 uint32_t version) {
    return nk_err_set(err, NITRO_EFORMAT, 0,
                      "open %s: %s has format version %u, this program knows up to %u; use a newer "
                      "nitrokv",
                      l->dir, name, version, NK_LOG_VERSION);
}

static int io(const struct nk_log *l, struct nitro_err *err, const char *name, int64_t rc) {
    return nk_err_set(err, NITRO_EIO, (int)-rc, "open %s: cannot read %s: %s", l->dir, name,
                      strerror((int)-rc));
}

/* ---- modes -------------------------------------------------------------------------------------*/

const struct nk_mode_info *nk_mode_info(uint32_t mode) {
    static const struct nk_mode_info modes[] = {
        [NK_MODE_MEMORY] = {.name = "memory",
                            .served = true,
                            .file_bytes = NK_LOG_FILE_DEFAULT,
                            .file_bytes_max = NK_LOG_FILE_MAX,
                            .file_range = "64 KiB to 1 TiB"},
        [NK_MODE_BITCASK] = {.name = "bitcask",
                             .served = true,
                             .log_is_data = true,
                             .file_bytes = NK_DATA_FILE_DEFAULT,
                             .file_bytes_max = NK_DATA_FILE_MAX,
                             .file_range = "64 KiB to 4092 MiB"},
        [NK_MODE_LSM] = {.name = "lsm"},
    };
    bool known = mode >= NK_MODE_MEMORY && mode <= NK_MODE_LSM;
    return known ? &modes[mode] : NULL;
}

/* The mode of the folder is that of the store, if nobody has asked for another one. */
static int take_mode(struct nk_log *l, uint32_t mode, struct nitro_err *err) {
    const struct nk_mode_info *is = nk_mode_info(mode);
    if (!is->served)
        return nk_err_set(err, NITRO_EFORMAT, 0,
                          "open %s: the folder was made for mode %s, which this program does not "
                          "serve; use a newer nitrokv",
                          l->dir, is->name);
    if (l->mode != 0 && l->mode != mode)
        return nk_err_set(err, NITRO_EFORMAT, 0,
                          "open %s: the folder was made for mode %s, not for mode %s; serve it "
                          "with: nitrokv serve --mode %s --dir %s; or choose another folder",
                          l->dir, is->name, nk_mode_info(l->mode)->name, is->name, l->dir);
    l->mode = mode;
    return NITRO_OK;
}

/* ---- names -------------------------------------------------------------------------------------*/

/* Makes room for one more element in an array of `size`-byte elements. */
static bool grow(struct nk_log *l, void **p, uint32_t count, uint32_t *cap, size_t size) {
    if (count < *cap) return true;
    uint32_t want = *cap == 0 ? 16 : *cap * 2;
    void *q = nk_mem_resize(l->mem, *p, *cap * size, want * size);
    if (q == NULL) return false;
    *p = q;
    *cap = want;
    return true;
}

void nk_orphan_path(const struct nk_orphan *o, char *out) {
    switch (o->kind) {
    case NK_PATH_IS_LOG:
        nk_path_log(o->number, out);
        break;
    case NK_PATH_IS_SNAP:
        nk_path_snap(o->number, out);
        break;
    case NK_PATH_IS_SNAP_TMP:
        nk_path_snap_tmp(o->number, out);
        break;
    case NK_PATH_IS_DATA:
        nk_path_data(o->number, out);
        break;
    case NK_PATH_IS_HINT:
        nk_path_hint(o->number, out);
        break;
    case NK_PATH_IS_SNAP_DIR:
        nk_path_snap_dir(o->number, out);
        break;
    default:
        NK_ASSERT(o->kind == NK_PATH_IS_HINT_TMP);
        nk_path_hint_tmp(o->number, out);
    }
}

static int note_name(void *arg, const char *name) {
    struct names *n = arg;
    uint64_t number;
    void *files = n->file;
    enum nk_path_kind kind = nk_path_parse(name, &number);
    switch (kind) {
    case NK_PATH_IS_MANIFEST:
        n->manifest = true;
        break;
    case NK_PATH_IS_CONTROL:
        n->control = true;
        break;
    case NK_PATH_IS_TMP:
        n->tmp = true;
        break;
    case NK_PATH_IS_LOG:
    case NK_PATH_IS_SNAP:
    case NK_PATH_IS_SNAP_TMP:
    case NK_PATH_IS_DATA:
    case NK_PATH_IS_HINT:
    case NK_PATH_IS_HINT_TMP:
    case NK_PATH_IS_SNAP_DIR:
        n->memory = !grow(n->l, &files, n->count, &n->cap, sizeof *n->file);
        if (n->memory) return 1;
        n->file = files;
        n->file[n->count++] = (struct nk_orphan){.number = number, .kind = kind};
        break;
    default:
        break;
    }
    return 0;
}

static bool is_there(const struct names *n, enum nk_path_kind kind, uint64_t number) {
    for (uint32_t i = 0; i < n->count; i++)
        if (n->file[i].kind == kind && n->file[i].number == number) return true;
    return false;
}

/* ---- whole small files -------------------------------------------------------------------------*/

/* Opens a file of the folder and says how large it is. */
static int open_file(struct nk_log *l, const char *name, unsigned flags, int *fd, uint64_t *size,
                     struct nitro_err *err) {
    int f = nk_vfs_open(l->vfs, l->dirfd, name, flags);
    if (f < 0) return io(l, err, name, f);
    int64_t n = l->vfs->size(l->vfs->ctx, f);
    if (n < 0) {
        (void)l->vfs->close(l->vfs->ctx, f); /* only read */
        return io(l, err, name, n);
    }
    *fd = f;
    *size = (uint64_t)n;
    return NITRO_OK;
}

/* MANIFEST and CONTROL stay open to be appended to. */
static unsigned small_file_flags(const struct nk_log *l) {
    return l->read_only ? NITRO_FILE_READ : NITRO_FILE_READ | NITRO_FILE_WRITE;
}

/* ---- MANIFEST ----------------------------------------------------------------------------------*/

struct nk_live *nk_folder_find(struct nk_log *l, uint64_t number) {
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].number == number) return &l->live[i];
    return NULL;
}

struct nk_log_snap *nk_folder_find_snap(struct nk_log *l, uint64_t number) {
    for (uint32_t i = 0; i < l->snap_count; i++)
        if (l->snaps[i].number == number) return &l->snaps[i];
    return NULL;
}

struct nk_log_data *nk_folder_find_data(struct nk_log *l, uint64_t number) {
    for (uint32_t i = 0; i < l->data_count; i++)
        if (l->data[i].number == number) return &l->data[i];
    return NULL;
}

/* Logs, snapshots and merged files are numbered together. */
static bool is_taken(struct nk_log *l, uint64_t number) {
    return nk_folder_find(l, number) != NULL || nk_folder_find_snap(l, number) != NULL ||
           nk_folder_find_data(l, number) != NULL;
}

bool nk_folder_reserve(struct nk_log *l, enum nk_manifest_kind kind) {
    void *live = l->live, *snaps = l->snaps, *data = l->data;
    bool ok;
    if (kind == NK_FILE_LOG)
        ok = grow(l, &live, l->live_count, &l->live_cap, sizeof *l->live);
    else if (kind == NK_FILE_SNAP)
        ok = grow(l, &snaps, l->snap_count, &l->snap_cap, sizeof *l->snaps);
    else
        ok = grow(l, &data, l->data_count, &l->data_cap, sizeof *l->data);
    l->live = live;
    l->snaps = snaps;
    l->data = data;
    return ok;
}

/* Logs are added with ascending numbers. */
static int edit_log(struct nk_log *l, const struct nk_manifest_edit *e) {
    struct nk_live *f = nk_folder_find(l, e->number);
    if (e->op == NK_MANIFEST_ADD) {
        if (is_taken(l, e->number) ||
            (l->live_count > 0 && l->live[l->live_count - 1].number >= e->number))
            return NITRO_ECORRUPT;
        if (!nk_folder_reserve(l, NK_FILE_LOG)) return NITRO_ENOMEM;
        l->live[l->live_count++] = (struct nk_live){.number = e->number, .salt = e->salt};
        return NITRO_OK;
    }
    if (f == NULL) return NITRO_ECORRUPT;
    l->live_count--;
    memmove(f, f + 1, (l->live_count - (uint32_t)(f - l->live)) * sizeof *f);
    return NITRO_OK;
}

/* A snapshot has its number since it was begun: logs with greater ones may be listed already. */
static int edit_snap(struct nk_log *l, const struct nk_manifest_edit *e) {
    struct nk_log_snap *s = nk_folder_find_snap(l, e->number);
    if (e->op == NK_MANIFEST_ADD) {
        if (is_taken(l, e->number)) return NITRO_ECORRUPT;
        if (!nk_folder_reserve(l, NK_FILE_SNAP)) return NITRO_ENOMEM;
        uint32_t i = l->snap_count++;
        for (; i > 0 && l->snaps[i - 1].lsn > e->last_lsn; i--) l->snaps[i] = l->snaps[i - 1];
        l->snaps[i] =
            (struct nk_log_snap){.number = e->number, .salt = e->salt, .lsn = e->last_lsn};
        return NITRO_OK;
    }
    if (s == NULL) return NITRO_ECORRUPT;
    l->snap_count--;
    memmove(s, s + 1, (l->snap_count - (uint32_t)(s - l->snaps)) * sizeof *s);
    return NITRO_OK;
}

/* So has a merged file. What it stands for is known here already; its header has to say the same. */
static int edit_data(struct nk_log *l, const struct nk_manifest_edit *e) {
    struct nk_log_data *d = nk_folder_find_data(l, e->number);
    if (e->op == NK_MANIFEST_ADD) {
        if (is_taken(l, e->number)) return NITRO_ECORRUPT;
        if (!nk_folder_reserve(l, NK_FILE_DATA)) return NITRO_ENOMEM;
        uint32_t i = l->data_count++;
        for (; i > 0 && l->data[i - 1].number > e->number; i--) l->data[i] = l->data[i - 1];
        l->data[i] =
            (struct nk_log_data){.number = e->number,
                                 .salt = e->salt,
                                 .head = {.first_lsn = e->first_lsn, .last_lsn = e->last_lsn}};
        return NITRO_OK;
    }
    if (d == NULL) return NITRO_ECORRUPT;
    l->data_count--;
    memmove(d, d + 1, (l->data_count - (uint32_t)(d - l->data)) * sizeof *d);
    return NITRO_OK;
}

int nk_folder_edit(struct nk_log *l, const struct nk_manifest_edit *e) {
    /* snapshots of what is in memory, merged files of what is not */
    bool log_is_data = nk_mode_info(l->mode)->log_is_data;
    if (e->number == 0 || e->number >= NK_PATH_LOG_MAX) return NITRO_ECORRUPT;
    if (e->kind == (log_is_data ? NK_FILE_SNAP : NK_FILE_DATA)) return NITRO_ECORRUPT;
    int rc = e->kind == NK_FILE_LOG    ? edit_log(l, e)
             : e->kind == NK_FILE_SNAP ? edit_snap(l, e)
                                       : edit_data(l, e);
    if (e->number >= l->next_number) l->next_number = e->number + 1;
    return rc;
}

/* Whether a valid edit lies anywhere behind `at`. */
static bool edit_behind(const uint8_t *p, uint64_t size, uint64_t at, uint64_t salt) {
    struct nk_manifest_edit e;
    for (at += NK_MANIFEST_EDIT; at + NK_MANIFEST_EDIT <= size; at += NK_MANIFEST_EDIT)
        if (nk_manifest_edit_decode(p + at, at, salt, &e)) return true;
    return false;
}

static int take_manifest(struct nk_log *l, const uint8_t *p, uint64_t size, struct nitro_err *err) {
    struct nk_manifest_head h = {0};
    if (size < NK_MANIFEST_HEADER)
        return nk_folder_damage(l, err, NK_PATH_MANIFEST, "it is too short");
    int rc = nk_manifest_head_decode(p, &h);
    if (rc == NITRO_EFORMAT) return newer(l, err, NK_PATH_MANIFEST, h.version);
    if (rc != NITRO_OK)
        return nk_folder_damage(l, err, NK_PATH_MANIFEST, "its header is not valid");
    rc = take_mode(l, h.mode, err);
    if (rc != NITRO_OK) return rc;
    memcpy(l->store, h.store, sizeof l->store);
    l->manifest_salt = h.salt;
    l->manifest_seq = 1;
    uint64_t at = NK_MANIFEST_HEADER;
    for (; at + NK_MANIFEST_EDIT <= size; at += NK_MANIFEST_EDIT) {
        struct nk_manifest_edit e;
        if (!nk_manifest_edit_decode(p + at, at, h.salt, &e)) break;
        l->manifest_seq = e.sequence + 1;
        rc = nk_folder_edit(l, &e);
        if (rc == NITRO_ENOMEM) return out_of_memory(l, err);
        if (rc != NITRO_OK)
            return nk_folder_damage(l, err, NK_PATH_MANIFEST,
                                    "an entry contradicts those before it, or the mode");
    }
    if (edit_behind(p, size, at, h.salt))
        return nk_folder_damage(l, err, NK_PATH_MANIFEST, "an entry in its middle is not valid");
    l->manifest_at = at;
    return NITRO_OK;
}

static int read_manifest(struct nk_log *l, struct nitro_err *err) {
    uint64_t size = 0;
    int rc = open_file(l, NK_PATH_MANIFEST, small_file_flags(l), &l->manifest_fd, &size, err);
    if (rc != NITRO_OK) return rc;
    if (size > MANIFEST_BYTES_MAX)
        return nk_folder_damage(l, err, NK_PATH_MANIFEST, "it is too long");
    uint8_t *p = nk_mem_alloc(l->mem, (size_t)size + 1);
    if (p == NULL) return out_of_memory(l, err);
    int64_t got = nk_vfs_read(l->vfs, l->manifest_fd, p, (size_t)size, 0);
    rc = got < 0 ? io(l, err, NK_PATH_MANIFEST, got) : take_manifest(l, p, (uint64_t)got, err);
    nk_mem_free(l->mem, p, (size_t)size + 1);
    return rc;
}

/* ---- CONTROL -----------------------------------------------------------------------------------*/

static int read_control(struct nk_log *l, struct nitro_err *err) {
    uint8_t p[NK_CONTROL_BYTES];
    uint64_t size = 0;
    int rc = open_file(l, NK_PATH_CONTROL, small_file_flags(l), &l->control_fd, &size, err);
    if (rc != NITRO_OK) return rc;
    int64_t got = nk_vfs_read(l->vfs, l->control_fd, p, sizeof p, 0);
    if (got < 0) return io(l, err, NK_PATH_CONTROL, got);
    rc = nk_control_newest(p, (size_t)got, &l->control);
    if (rc == NITRO_EFORMAT) return newer(l, err, NK_PATH_CONTROL, l->control.version);
    l->keys = rc == NITRO_OK ? l->control.keys : 0;
    if (rc == NITRO_OK && l->control.file < NK_PATH_LOG_MAX) return rc;
    return nk_folder_damage(l, err, NK_PATH_CONTROL, "it has no valid slot");
}

/* ---- headers -----------------------------------------------------------------------------------*/

/* The first sector of a file. NITRO_ENOTFOUND: it is not that long. */
static int read_sector(struct nk_log *l, const char *name, uint8_t sector[NK_SECTOR],
                       uint64_t *size, struct nitro_err *err) {
    int fd = -1;
    int rc = open_file(l, name, NITRO_FILE_READ, &fd, size, err);
    if (rc != NITRO_OK) return rc;
    int64_t got = nk_vfs_read(l->vfs, fd, sector, NK_SECTOR, 0);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    if (got < 0) return io(l, err, name, got);
    return got < (int64_t)NK_SECTOR ? NITRO_ENOTFOUND : NITRO_OK;
}

int nk_folder_header(struct nk_log *l, uint64_t number, struct nk_log_header *h, uint64_t *size,
                     struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    nk_path_log(number, name);
    int rc = read_sector(l, name, sector, size, err);
    if (rc != NITRO_OK) return rc;
    rc = nk_log_header_decode(sector, h);
    if (rc == NITRO_EFORMAT) return newer(l, err, name, h->version);
    return rc == NITRO_OK ? rc : NITRO_ENOTFOUND;
}

static int read_listed(struct nk_log *l, struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    int rc = nk_folder_header(l, f->number, &f->head, &f->size, err);
    if (rc == NITRO_ENOTFOUND) return nk_folder_damage(l, err, name, "its header is not valid");
    if (rc != NITRO_OK) return rc;
    if (memcmp(f->head.store, l->store, sizeof l->store) != 0)
        return nk_folder_damage(l, err, name, "it belongs to another store");
    if (f->head.number != f->number || f->head.salt != f->salt)
        return nk_folder_damage(l, err, name, "it is not the file that MANIFEST lists");
    return NITRO_OK;
}

static int read_listed_data(struct nk_log *l, struct nk_log_data *d, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    uint64_t size = 0;
    struct nk_data_header h = {0};
    nk_path_data(d->number, name);
    int rc = read_sector(l, name, sector, &size, err);
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    if (rc == NITRO_OK) rc = nk_data_header_decode(sector, &h);
    if (rc == NITRO_EFORMAT) return newer(l, err, name, h.version);
    if (rc != NITRO_OK) return nk_folder_damage(l, err, name, "its header is not valid");
    if (memcmp(h.store, l->store, sizeof l->store) != 0)
        return nk_folder_damage(l, err, name, "it belongs to another store");
    if (h.number != d->number || h.salt != d->salt || h.first_lsn != d->head.first_lsn ||
        h.last_lsn != d->head.last_lsn)
        return nk_folder_damage(l, err, name, "it is not the file that MANIFEST lists");
    if (h.end > size) return nk_folder_damage(l, err, name, "it is shorter than its header says");
    d->head = h;
    return NITRO_OK;
}

/* A log that is not listed: to be removed, or a sign that MANIFEST is damaged. */
static int judge_unlisted(struct nk_log *l, uint64_t number, bool removed, struct nitro_err *err) {
    struct nk_log_header h;
    uint64_t size;
    char name[NK_PATH_MAX];
    nk_path_log(number, name);
    int rc = nk_folder_header(l, number, &h, &size, err);
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    if (rc == NITRO_OK && h.used && !removed)
        return nk_folder_damage(l, err, name, "it holds data, but MANIFEST does not list it");
    return NITRO_OK;
}

/* A file that is not listed; `removed`: its number was listed once. */
static int take_unlisted(struct nk_log *l, const struct nk_orphan *o, bool removed,
                         struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_orphan_path(o, name);
    if (o->number >= NK_PATH_LOG_MAX)
        return nk_folder_damage(l, err, name,
                                "no file of the store can have this number; move it away");
    int rc = o->kind == NK_PATH_IS_LOG ? judge_unlisted(l, o->number, removed, err) : NITRO_OK;
    if (rc != NITRO_OK) return rc;
    void *p = l->orphans;
    if (!grow(l, &p, l->orphan_count, &l->orphan_cap, sizeof *l->orphans))
        return out_of_memory(l, err);
    l->orphans = p;
    l->orphans[l->orphan_count++] = *o;
    if (o->number >= l->next_number) l->next_number = o->number + 1;
    return NITRO_OK;
}

/* Of a hint that was not finished nobody knows what it would have been: it always goes. */
static bool is_listed(struct nk_log *l, const struct nk_orphan *o) {
    switch (o->kind) {
    case NK_PATH_IS_LOG:
        return nk_folder_find(l, o->number) != NULL;
    case NK_PATH_IS_SNAP:
        return nk_folder_find_snap(l, o->number) != NULL;
    case NK_PATH_IS_DATA:
        return nk_folder_find_data(l, o->number) != NULL;
    case NK_PATH_IS_HINT:
        return nk_folder_find(l, o->number) != NULL || nk_folder_find_data(l, o->number) != NULL;
    default:
        return false;
    }
}

static int not_there(const struct nk_log *l, const char *name, struct nitro_err *err) {
    return nk_folder_damage(l, err, name, "MANIFEST lists it, but it is not there");
}

/* The headers of all files that MANIFEST lists. */
static int read_all_listed(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK; i++) {
        nk_path_log(l->live[i].number, name);
        rc = is_there(n, NK_PATH_IS_LOG, l->live[i].number) ? read_listed(l, &l->live[i], err)
                                                            : not_there(l, name, err);
    }
    for (uint32_t i = 0; i < l->data_count && rc == NITRO_OK; i++) {
        nk_path_data(l->data[i].number, name);
        rc = is_there(n, NK_PATH_IS_DATA, l->data[i].number) ? read_listed_data(l, &l->data[i], err)
                                                             : not_there(l, name, err);
    }
    return rc;
}

static int read_headers(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    uint64_t listed_next = l->next_number;
    int rc = read_all_listed(l, n, err);
    for (uint32_t i = 0; i < n->count && rc == NITRO_OK; i++) {
        if (n->file[i].kind == NK_PATH_IS_SNAP_DIR || is_listed(l, &n->file[i])) continue;
        /* a number below the next one was listed once, and has been removed */
        rc = take_unlisted(l, &n->file[i], n->file[i].number < listed_next, err);
    }
    return rc;
}

/* ---- snapshots ---------------------------------------------------------------------------------*/

static int look_at(struct nk_log *l, struct nk_log_snap *s, struct nitro_err *err) {
    struct nk_snapread r;
    int rc = nk_snap_scan(l, s, &r, err);
    if (rc != NITRO_OK) return rc;
    s->bytes = r.size;
    s->wal_off = r.head.wal_off;
    s->foot = r.foot;
    nk_snap_scan_end(l, &r);
    return NITRO_OK;
}

/* Looks at all snapshots, and takes the newest one to begin with. Who looks at the past takes the newest that is
 * sound; a start takes no other one than the newest. */
static int read_snaps(struct nk_log *l, struct nitro_err *err) {
    for (uint32_t i = 0; i < l->snap_count; i++) {
        struct nitro_err why;
        bool needed = i + 1 == l->snap_count && !l->read_only;
        int rc = look_at(l, &l->snaps[i], needed ? err : &why);
        if (rc == NITRO_ENOMEM) return out_of_memory(l, err);
        if (rc != NITRO_OK && needed) return rc;
        if (rc == NITRO_OK) l->base = l->snaps[i];
    }
    return NITRO_OK;
}

/* ---- where the log is the data -----------------------------------------------------------------*/

/* Numbers of snapshots that are folders are not used again either; the newest one of them counts. */
static int find_links(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < n->count && rc == NITRO_OK; i++) {
        const struct nk_orphan *f = &n->file[i];
        if (f->kind != NK_PATH_IS_SNAP_DIR || f->number >= NK_PATH_LOG_MAX) continue;
        if (f->number >= l->next_number) l->next_number = f->number + 1;
        rc = nk_log_links_find(l, f->number, err);
    }
    return rc;
}

/* A header in the folder of replaced files. False: it is none of this store's, or cannot be read. */
static bool read_old(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number, int64_t time_ms,
                     uint8_t sector[NK_SECTOR], uint64_t *size) {
    char name[NK_PATH_MAX];
    nk_log_old_path(kind, number, time_ms, name);
    int fd = nk_vfs_open(l->vfs, l->old_dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return false;
    int64_t n = l->vfs->size(l->vfs->ctx, fd);
    int64_t got = n < 0 ? n : nk_vfs_read(l->vfs, fd, sector, NK_SECTOR, 0);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    *size = (uint64_t)n;
    return got == (int64_t)NK_SECTOR;
}

/* What a merge has replaced, and that merge's file another one, and so on: a listed merged file stands for all of them (or ends where an
 * empty log began). A file that none stands for is of another future of this store: the folder is an older copy, and `retained` is not. */
static bool is_stood_for(const struct nk_log *l, uint64_t number, uint64_t first_lsn) {
    for (uint32_t i = l->data_count; i-- > 0 && l->data[i].number > number;) {
        const struct nk_data_header *h = &l->data[i].head;
        if (l->data[i].old_ms == 0 && h->first_lsn <= first_lsn && first_lsn - 1 <= h->last_lsn)
            return true;
    }
    return false;
}

static int take_old_log(struct nk_log *l, uint64_t number, int64_t time_ms) {
    uint8_t sector[NK_SECTOR];
    struct nk_live f = {.number = number, .old_ms = time_ms};
    if (!read_old(l, NK_FILE_LOG, number, time_ms, sector, &f.size) ||
        nk_log_header_decode(sector, &f.head) != NITRO_OK || !f.head.used ||
        f.head.number != number || memcmp(f.head.store, l->store, sizeof l->store) != 0 ||
        !is_stood_for(l, number, f.head.first_lsn))
        return 0;
    if (!nk_folder_reserve(l, NK_FILE_LOG)) return -ENOMEM;
    f.salt = f.head.salt;
    uint32_t i = l->live_count++;
    for (; i > 0 && l->live[i - 1].number > number; i--) l->live[i] = l->live[i - 1];
    l->live[i] = f;
    return 0;
}

static int take_old_data(struct nk_log *l, uint64_t number, int64_t time_ms) {
    uint8_t sector[NK_SECTOR];
    struct nk_log_data d = {.number = number, .old_ms = time_ms};
    uint64_t size;
    if (!read_old(l, NK_FILE_DATA, number, time_ms, sector, &size) ||
        nk_data_header_decode(sector, &d.head) != NITRO_OK || d.head.number != number ||
        d.head.end > size || memcmp(d.head.store, l->store, sizeof l->store) != 0 ||
        !is_stood_for(l, number, d.head.first_lsn))
        return 0;
    if (!nk_folder_reserve(l, NK_FILE_DATA)) return -ENOMEM;
    d.salt = d.head.salt;
    uint32_t i = l->data_count++;
    for (; i > 0 && l->data[i - 1].number > number; i--) l->data[i] = l->data[i - 1];
    l->data[i] = d;
    return 0;
}

/* What cannot be read of them only makes the past shorter. */
static int take_old_file(void *arg, enum nk_manifest_kind kind, uint64_t number, int64_t time_ms) {
    struct nk_log *l = arg;
    if (number >= NK_PATH_LOG_MAX || is_taken(l, number)) return 0;
    return kind == NK_FILE_DATA ? take_old_data(l, number, time_ms)
                                : take_old_log(l, number, time_ms);
}

/* The folder of replaced files, if there is one; a look at the past takes them to the others. */
static int find_old(struct nk_log *l, struct nitro_err *err) {
    int fd = nk_log_subfolder(l, NK_PATH_RETAINED, 0);
    if (fd == -ENOENT || fd == -ENOTDIR) return NITRO_OK;
    if (fd < 0) return fd == -ENOMEM ? out_of_memory(l, err) : io(l, err, NK_PATH_RETAINED, fd);
    l->old_dirfd = fd;
    int rc = l->read_only ? nk_log_old_each(l, take_old_file, l) : 0;
    return rc == 0         ? NITRO_OK
           : rc == -ENOMEM ? out_of_memory(l, err)
                           : io(l, err, NK_PATH_RETAINED, rc);
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* A folder without MANIFEST: new, or what is left of a creation that did not get through, which holds
 * nothing; or else its MANIFEST is lost. A finished snapshot or a merged file is no rest of a creation, and may be
 * all that somebody has of a store: it is not removed. */
static int take_new(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    if (n->control) {
        int rc = read_control(l, err);
        if (rc != NITRO_OK && rc != NITRO_ECORRUPT) return rc;
        if (rc == NITRO_OK && l->control.durable_lsn > 0)
            return nk_folder_damage(l, err, NK_PATH_MANIFEST,
                                    "it is not there, but CONTROL knows of data");
        if (l->control_fd >= 0) (void)l->vfs->close(l->vfs->ctx, l->control_fd);
        l->control_fd = -1;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        char name[NK_PATH_MAX];
        nk_orphan_path(&n->file[i], name);
        if (n->file[i].kind == NK_PATH_IS_SNAP)
            return nk_folder_damage(l, err, name, "it is a snapshot, but there is no MANIFEST");
        if (n->file[i].kind == NK_PATH_IS_DATA)
            return nk_folder_damage(l, err, name, "it is a merged file, but there is no MANIFEST");
        if (n->file[i].kind == NK_PATH_IS_SNAP_DIR)
            return nk_folder_damage(l, err, name, "it is a snapshot, but there is no MANIFEST");
        int rc = take_unlisted(l, &n->file[i], false, err);
        if (rc != NITRO_OK) return rc;
    }
    l->created = true;
    if (!l->read_only) return NITRO_OK;
    return nk_err_set(err, NITRO_ENOTFOUND, 0, "open %s: there is no store in it", l->dir);
}

static int take_old(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    int rc = read_manifest(l, err);
    if (rc == NITRO_OK && !n->control)
        rc = nk_folder_damage(l, err, NK_PATH_CONTROL, "it is not there, but MANIFEST is");
    if (rc == NITRO_OK) rc = read_control(l, err);
    if (rc == NITRO_OK && memcmp(l->control.store, l->store, sizeof l->store) != 0)
        rc = nk_folder_damage(l, err, NK_PATH_CONTROL, "it belongs to another store");
    if (rc == NITRO_OK) rc = read_headers(l, n, err);
    if (rc == NITRO_OK) rc = read_snaps(l, err);
    if (rc == NITRO_OK && nk_mode_info(l->mode)->log_is_data) {
        if (!l->read_only) rc = find_links(l, n, err);
        if (rc == NITRO_OK) rc = find_old(l, err);
    }
    return rc == NITRO_OK ? nk_folder_chain(l, err) : rc;
}

int nk_folder_read(struct nk_log *l, struct nitro_err *err) {
    struct names n = {.l = l};
    l->next_number = 1;
    int rc = l->vfs->dir_list(l->vfs->ctx, l->dirfd, note_name, &n);
    if (rc < 0)
        rc = io(l, err, "the folder", rc);
    else if (n.memory)
        rc = out_of_memory(l, err);
    else
        rc = n.manifest ? take_old(l, &n, err) : take_new(l, &n, err);
    l->tmp_seen = n.tmp;
    nk_mem_free(l->mem, n.file, n.cap * sizeof *n.file);
    return rc;
}
