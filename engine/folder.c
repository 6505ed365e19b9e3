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
 *   The chain: the newest used file, the one that its header says came before, and so on, back to the one of
 *   which the file before is not needed: what it held is in the snapshot. A used file that is not on it
 *   was superseded by a recovery that wrote its tail anew.
 *
 * NOT HERE  what frames say (recover.c), changing the folder (folder_write.c).
 */
#include "recover.h"

#include "mutant.h"

#include <stdio.h>

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

static int damage(const struct nk_log *l, struct nitro_err *err, const char *name,
                  const char *what) {
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
    if (o->kind == NK_PATH_IS_LOG)
        nk_path_log(o->number, out);
    else if (o->kind == NK_PATH_IS_SNAP)
        nk_path_snap(o->number, out);
    else
        nk_path_snap_tmp(o->number, out);
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

static bool has_log(const struct names *n, uint64_t number) {
    for (uint32_t i = 0; i < n->count; i++)
        if (n->file[i].kind == NK_PATH_IS_LOG && n->file[i].number == number) return true;
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

bool nk_folder_reserve(struct nk_log *l, enum nk_manifest_kind kind) {
    void *live = l->live, *snaps = l->snaps;
    bool log = kind == NK_FILE_LOG;
    bool ok = log ? grow(l, &live, l->live_count, &l->live_cap, sizeof *l->live)
                  : grow(l, &snaps, l->snap_count, &l->snap_cap, sizeof *l->snaps);
    l->live = live;
    l->snaps = snaps;
    return ok;
}

/* Logs are added with ascending numbers. */
static int edit_log(struct nk_log *l, const struct nk_manifest_edit *e) {
    struct nk_live *f = nk_folder_find(l, e->number);
    if (e->op == NK_MANIFEST_ADD) {
        if (nk_folder_find_snap(l, e->number) != NULL ||
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
        if (s != NULL || nk_folder_find(l, e->number) != NULL) return NITRO_ECORRUPT;
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

int nk_folder_edit(struct nk_log *l, const struct nk_manifest_edit *e) {
    if (e->number == 0 || e->number >= NK_PATH_LOG_MAX) return NITRO_ECORRUPT;
    int rc = e->kind == NK_FILE_LOG ? edit_log(l, e) : edit_snap(l, e);
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
    if (size < NK_MANIFEST_HEADER) return damage(l, err, NK_PATH_MANIFEST, "it is too short");
    int rc = nk_manifest_head_decode(p, &h);
    if (rc == NITRO_EFORMAT) return newer(l, err, NK_PATH_MANIFEST, h.version);
    if (rc != NITRO_OK) return damage(l, err, NK_PATH_MANIFEST, "its header is not valid");
    if (h.mode != NK_MODE_MEMORY)
        return nk_err_set(
            err, NITRO_EFORMAT, 0,
            "open %s: the folder was made for mode %s, this program serves mode memory "
            "alone",
            l->dir,
            h.mode == NK_MODE_BITCASK ? "bitcask"
            : h.mode == NK_MODE_LSM   ? "lsm"
                                      : "unknown");
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
            return damage(l, err, NK_PATH_MANIFEST, "an entry contradicts those before it");
    }
    if (edit_behind(p, size, at, h.salt))
        return damage(l, err, NK_PATH_MANIFEST, "an entry in its middle is not valid");
    l->manifest_at = at;
    return NITRO_OK;
}

static int read_manifest(struct nk_log *l, struct nitro_err *err) {
    uint64_t size = 0;
    int rc = open_file(l, NK_PATH_MANIFEST, small_file_flags(l), &l->manifest_fd, &size, err);
    if (rc != NITRO_OK) return rc;
    if (size > MANIFEST_BYTES_MAX) return damage(l, err, NK_PATH_MANIFEST, "it is too long");
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
    if (rc == NITRO_OK && l->control.file < NK_PATH_LOG_MAX) return rc;
    return damage(l, err, NK_PATH_CONTROL, "it has no valid slot");
}

/* ---- headers -----------------------------------------------------------------------------------*/

int nk_folder_header(struct nk_log *l, uint64_t number, struct nk_log_header *h, uint64_t *size,
                     struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    int fd = -1;
    nk_path_log(number, name);
    int rc = open_file(l, name, NITRO_FILE_READ, &fd, size, err);
    if (rc != NITRO_OK) return rc;
    int64_t got = nk_vfs_read(l->vfs, fd, sector, sizeof sector, 0);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    if (got < 0) return io(l, err, name, got);
    if (got < (int64_t)sizeof sector) return NITRO_ENOTFOUND;
    rc = nk_log_header_decode(sector, h);
    if (rc == NITRO_EFORMAT) return newer(l, err, name, h->version);
    return rc == NITRO_OK ? rc : NITRO_ENOTFOUND;
}

static int read_listed(struct nk_log *l, struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    int rc = nk_folder_header(l, f->number, &f->head, &f->size, err);
    if (rc == NITRO_ENOTFOUND) return damage(l, err, name, "its header is not valid");
    if (rc != NITRO_OK) return rc;
    if (memcmp(f->head.store, l->store, sizeof l->store) != 0)
        return damage(l, err, name, "it belongs to another store");
    if (f->head.number != f->number || f->head.salt != f->salt)
        return damage(l, err, name, "it is not the file that MANIFEST lists");
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
        return damage(l, err, name, "it holds data, but MANIFEST does not list it");
    return NITRO_OK;
}

/* A file that is not listed; `removed`: its number was listed once. */
static int take_unlisted(struct nk_log *l, const struct nk_orphan *o, bool removed,
                         struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_orphan_path(o, name);
    if (o->number >= NK_PATH_LOG_MAX)
        return damage(l, err, name, "no file of the store can have this number; move it away");
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

static bool is_listed(struct nk_log *l, const struct nk_orphan *o) {
    if (o->kind == NK_PATH_IS_LOG) return nk_folder_find(l, o->number) != NULL;
    return o->kind == NK_PATH_IS_SNAP && nk_folder_find_snap(l, o->number) != NULL;
}

static int read_headers(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    uint64_t listed_next = l->next_number;
    for (uint32_t i = 0; i < l->live_count; i++) {
        char name[NK_PATH_MAX];
        nk_path_log(l->live[i].number, name);
        if (!has_log(n, l->live[i].number))
            return damage(l, err, name, "MANIFEST lists it, but it is not there");
        int rc = read_listed(l, &l->live[i], err);
        if (rc != NITRO_OK) return rc;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        if (is_listed(l, &n->file[i])) continue;
        /* a number below the next one was listed once, and has been removed */
        int rc = take_unlisted(l, &n->file[i], n->file[i].number < listed_next, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
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

/* ---- the chain ---------------------------------------------------------------------------------*/

/* The newest used file with a number below `below`. */
static struct nk_live *newest_used(struct nk_log *l, uint64_t below) {
    struct nk_live *newest = NULL;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].head.used && l->live[i].number < below) newest = &l->live[i];
    return newest;
}

/* What came before a file is neither in a file that is listed nor in the snapshot. */
static int beheaded(const struct nk_log *l, const struct nk_live *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    bool named = f->head.prev_number != 0;
    nk_path_log(named ? f->head.prev_number : f->number, name);
    return damage(l, err, name,
                  named ? "a newer file follows it, but MANIFEST does not list it"
                        : "what came before it is in no snapshot");
}

/* Marks the files from `newest` back. NITRO_ENOTFOUND with *blank: a file that was used then has a header that
 * says that it is blank. */
static int mark_chain(struct nk_log *l, struct nk_live *newest, uint64_t *blank,
                      struct nitro_err *err) {
    for (uint32_t i = 0; i < l->live_count; i++) l->live[i].on_chain = false;
    for (struct nk_live *f = newest; f != NULL;) {
        f->on_chain = true;
        struct nk_live *before = nk_folder_find(l, f->head.prev_number);
        if (before == NULL &&
            (l->read_only || f->head.prev_last_lsn <= NK_MUTATE(40, 0, l->base.lsn)))
            break; /* what came before is in the snapshot */
        if (before == NULL) return beheaded(l, f, err);
        if (!before->head.used) {
            *blank = before->number;
            return NITRO_ENOTFOUND;
        }
        before->last_lsn = f->head.prev_last_lsn;
        f = before;
    }
    return NITRO_OK;
}

/* Marks the files on the chain and sets last_lsn of all but the newest. A power cut may have kept a newer file's
 * header and lost an older one's, if neither was synced: then the newer file is behind the end of the tail. (If
 * it was synced, W says so, and the missing records are damage.) */
int nk_folder_chain(struct nk_log *l, struct nitro_err *err) {
    uint64_t below = UINT64_MAX;
    int rc = NITRO_ENOTFOUND;
    while (rc == NITRO_ENOTFOUND) rc = mark_chain(l, newest_used(l, below), &below, err);
    return rc;
}

uint64_t nk_live_begin(const struct nk_log *l) {
    uint64_t begin = UINT64_MAX;
    for (uint32_t i = 0; i < l->live_count && begin == UINT64_MAX; i++)
        if (l->live[i].on_chain) begin = l->live[i].head.prev_last_lsn;
    /* what a life without a log has done up to its snapshot is in that alone */
    for (uint32_t i = 0; i < l->snap_count && begin != UINT64_MAX; i++)
        if (l->snaps[i].bytes != 0 && l->snaps[i].wal_off)
            begin = nk_max_u64(begin, l->snaps[i].lsn);
    return begin;
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* A folder without MANIFEST: new, or what is left of a creation that did not get through, which holds
 * nothing; or else its MANIFEST is lost. A finished snapshot is no rest of a creation, and may be all that
 * somebody has of a store: it is not removed. */
static int take_new(struct nk_log *l, const struct names *n, struct nitro_err *err) {
    if (n->control) {
        int rc = read_control(l, err);
        if (rc != NITRO_OK && rc != NITRO_ECORRUPT) return rc;
        if (rc == NITRO_OK && l->control.durable_lsn > 0)
            return damage(l, err, NK_PATH_MANIFEST, "it is not there, but CONTROL knows of data");
        if (l->control_fd >= 0) (void)l->vfs->close(l->vfs->ctx, l->control_fd);
        l->control_fd = -1;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        char name[NK_PATH_MAX];
        nk_orphan_path(&n->file[i], name);
        if (n->file[i].kind == NK_PATH_IS_SNAP)
            return damage(l, err, name, "it is a snapshot, but there is no MANIFEST");
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
        rc = damage(l, err, NK_PATH_CONTROL, "it is not there, but MANIFEST is");
    if (rc == NITRO_OK) rc = read_control(l, err);
    if (rc == NITRO_OK && memcmp(l->control.store, l->store, sizeof l->store) != 0)
        rc = damage(l, err, NK_PATH_CONTROL, "it belongs to another store");
    if (rc == NITRO_OK) rc = read_headers(l, n, err);
    if (rc == NITRO_OK) rc = read_snaps(l, err);
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
