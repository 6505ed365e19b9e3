/* SPDX-License-Identifier: MIT
 *
 * check_folder.c - what a folder that is checked holds: names, MANIFEST, CONTROL, headers, the
 * chain (L5).
 *
 * DESIGN
 *   As folder.c, but it goes on where that one refuses. What is valid is believed: an edit behind
 *   one that is not, a used file that a damaged MANIFEST does not list. `manifest_whole` says
 *   whether a file that is not listed was removed in good order, or may have been lost with its
 *   edit.
 *
 * NOT HERE  merged files, and the chain where there are such (check_data.c), frames and records
 *           (check_scan.c), what is kept (check.c, check_repair.c).
 */
#include "check.h"
#include "recover.h"

/* ---- findings ----------------------------------------------------------------------------------*/

static void damage(struct nk_check *c, const char *file, uint64_t offset, const char *text) {
    nk_check_found(c, NITRO_CHECK_DAMAGE, file, offset, 0, "%s", text);
}

static int out_of_memory(const struct nk_check *c, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "check %s: out of memory", c->opt->dir);
}

int nk_check_newer(const struct nk_check *c, struct nitro_err *err, const char *name,
                   uint32_t version) {
    return nk_err_set(
        err, NITRO_EFORMAT, 0,
        "check %s: %s has format version %u, this program knows up to %u; use a newer "
        "nitrokv",
        c->opt->dir, name, version, NK_LOG_VERSION);
}

/* ---- the list of files -------------------------------------------------------------------------*/

struct nk_check_file *nk_check_find(const struct nk_check *c, uint64_t number) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->file[i].number == number) return &c->file[i];
    return NULL;
}

/* add_file: the file with this number, put into its place in the list if it is new; NULL without
 * memory. */
static struct nk_check_file *add_file(struct nk_check *c, uint64_t number) {
    struct nk_check_file *f = nk_check_find(c, number);
    if (f != NULL) return f;
    if (c->count == c->cap) {
        uint32_t cap = c->cap == 0 ? 16 : c->cap * 2;
        f = nk_mem_resize(c->mem, c->file, c->cap * sizeof *f, cap * sizeof *f);
        if (f == NULL) return NULL;
        c->file = f;
        c->cap = cap;
    }
    uint32_t at = c->count++;
    for (; at > 0 && c->file[at - 1].number > number; at--) c->file[at] = c->file[at - 1];
    c->file[at] = (struct nk_check_file){.number = number, .last_lsn = UINT64_MAX};
    c->next_number = nk_max_u64(c->next_number, number + 1);
    return &c->file[at];
}

/* note_file: notes that a file with a number is there; false without memory. */
static bool note_file(struct nk_check *c, enum nk_path_kind kind, uint64_t number) {
    if (kind == NK_PATH_IS_LOG) {
        struct nk_check_file *f = add_file(c, number);
        if (f != NULL) f->there = true;
        return f != NULL;
    }
    if (kind == NK_PATH_IS_DATA) return nk_check_note_data(c, number);
    if (kind == NK_PATH_IS_HINT || kind == NK_PATH_IS_HINT_TMP)
        return nk_check_note_hint(c, number, kind == NK_PATH_IS_HINT_TMP);
    struct nk_check_snap *s = nk_check_add_snap(c, number);
    if (s == NULL) return false;
    if (kind == NK_PATH_IS_SNAP)
        s->there = true;
    else
        s->tmp = true;
    return true;
}

static int note_name(void *arg, const char *name) {
    struct nk_check *c = arg;
    uint64_t number = 0;
    enum nk_path_kind kind = nk_path_parse(name, &number);
    switch (kind) {
    case NK_PATH_IS_MANIFEST:
        c->manifest_there = true;
        break;
    case NK_PATH_IS_CONTROL:
        c->control_there = true;
        break;
    case NK_PATH_IS_LOG:
    case NK_PATH_IS_SNAP:
    case NK_PATH_IS_SNAP_TMP:
    case NK_PATH_IS_DATA:
    case NK_PATH_IS_HINT:
    case NK_PATH_IS_HINT_TMP:
        c->out_of_memory = !note_file(c, kind, number);
        break;
    default:
        break;
    }
    return c->out_of_memory;
}

int nk_check_names(struct nk_check *c, struct nitro_err *err) {
    int rc = c->vfs->dir_list(c->vfs->ctx, c->dirfd, note_name, c);
    if (rc < 0) return nk_check_io(c, err, "list", "the folder", rc);
    return c->out_of_memory ? out_of_memory(c, err) : NITRO_OK;
}

/* ---- MANIFEST ----------------------------------------------------------------------------------*/

/* Whether a file of another kind is listed under the number. */
static bool is_other(const struct nk_check *c, const struct nk_manifest_edit *e) {
    const struct nk_check_file *f = nk_check_find(c, e->number);
    const struct nk_check_snap *s = nk_check_find_snap(c, e->number);
    const struct nk_check_data *d = nk_check_find_data(c, e->number);
    return (e->kind != NK_FILE_LOG && f != NULL && f->listed) ||
           (e->kind != NK_FILE_SNAP && s != NULL && s->listed) ||
           (e->kind != NK_FILE_DATA && d != NULL && d->listed);
}

/* Logs are added with ascending numbers. False if the edit contradicts the ones before. */
static bool edit_log(struct nk_check *c, const struct nk_manifest_edit *e) {
    struct nk_check_file *f = nk_check_find(c, e->number);
    if (e->op == NK_MANIFEST_REMOVE) {
        if (f == NULL || !f->listed) return false;
        f->listed = false;
        return true;
    }
    if (is_other(c, e)) return false;
    for (uint32_t i = c->count; i > 0 && c->file[i - 1].number >= e->number; i--)
        if (c->file[i - 1].listed) return false;
    f = add_file(c, e->number);
    c->out_of_memory |= f == NULL;
    if (f == NULL) return true;
    f->listed = true;
    f->salt = e->salt;
    return true;
}

/* A snapshot has its number since it was begun: logs with greater ones may be listed already. */
static bool edit_snap(struct nk_check *c, const struct nk_manifest_edit *e) {
    struct nk_check_snap *s = nk_check_find_snap(c, e->number);
    if (e->op == NK_MANIFEST_REMOVE) {
        if (s == NULL || !s->listed) return false;
        s->listed = false;
        return true;
    }
    if ((s != NULL && s->listed) || is_other(c, e)) return false;
    s = nk_check_add_snap(c, e->number);
    c->out_of_memory |= s == NULL;
    if (s == NULL) return true;
    s->listed = true;
    s->salt = e->salt;
    s->lsn = e->last_lsn;
    return true;
}

/* What a valid edit says. False if it contradicts the ones before. */
static bool take_edit(struct nk_check *c, const struct nk_manifest_edit *e) {
    if (e->number >= NK_PATH_LOG_MAX) return false;
    c->listed_next = nk_max_u64(c->listed_next, e->number + 1);
    if (e->kind == (c->keydir ? NK_FILE_SNAP : NK_FILE_DATA)) return false; /* as folder.c */
    if (e->kind == NK_FILE_DATA) return !is_other(c, e) && nk_check_edit_data(c, e);
    return e->kind == NK_FILE_LOG ? edit_log(c, e) : edit_snap(c, e);
}

/* The edits. One that is not valid, with valid ones behind it, is damage; at the end it is an
 * append that did not get through. */
static int read_edits(struct nk_check *c, int fd, uint64_t salt, struct nitro_err *err) {
    uint8_t p[NK_MANIFEST_EDIT];
    uint64_t torn = 0;
    for (uint64_t at = NK_MANIFEST_HEADER;; at += sizeof p) {
        struct nk_manifest_edit e;
        int64_t got = nk_vfs_read(c->vfs, fd, p, sizeof p, at);
        if (got < 0) return nk_check_io(c, err, "read", NK_PATH_MANIFEST, got);
        if (got == 0) break;
        bool valid = got == (int64_t)sizeof p && nk_manifest_edit_decode(p, at, salt, &e);
        if (!valid && torn == 0) torn = at;
        if (!valid) continue;
        if (torn != 0) {
            damage(c, NK_PATH_MANIFEST, torn, "an entry in its middle is not valid");
            c->manifest_whole = false;
            torn = 0;
        }
        if (!take_edit(c, &e)) {
            damage(c, NK_PATH_MANIFEST, at, "the entry contradicts those before it");
            c->manifest_whole = false;
        }
        if (c->out_of_memory) return out_of_memory(c, err);
    }
    if (torn != 0)
        nk_check_found(c, NITRO_CHECK_NOTE, NK_PATH_MANIFEST, torn, 0,
                       "the last entry did not get through; the next start replaces it");
    return NITRO_OK;
}

static void set_mode(struct nk_check *c, enum nk_mode mode) {
    c->mode = mode;
    c->keydir = nk_mode_info(mode)->log_is_data;
}

static int take_manifest(struct nk_check *c, int fd, struct nitro_err *err) {
    uint8_t p[NK_MANIFEST_HEADER];
    struct nk_manifest_head h = {0};
    int64_t got = nk_vfs_read(c->vfs, fd, p, sizeof p, 0);
    if (got < 0) return nk_check_io(c, err, "read", NK_PATH_MANIFEST, got);
    int rc = got == (int64_t)sizeof p ? nk_manifest_head_decode(p, &h) : NITRO_ECORRUPT;
    if (rc == NITRO_EFORMAT) return nk_check_newer(c, err, NK_PATH_MANIFEST, h.version);
    if (rc != NITRO_OK) {
        damage(c, NK_PATH_MANIFEST, 0, "its header is not valid");
        return NITRO_OK;
    }
    const struct nk_mode_info *mode = nk_mode_info(h.mode);
    if (mode == NULL || !mode->served)
        return nk_err_set(err, NITRO_EFORMAT, 0,
                          "check %s: the folder was made for mode %s, which this program does not "
                          "serve; use the nitrokv that has made it",
                          c->opt->dir, mode != NULL ? mode->name : "unknown");
    set_mode(c, (enum nk_mode)h.mode);
    memcpy(c->store, h.store, sizeof c->store);
    c->store_known = c->manifest_whole = true;
    return read_edits(c, fd, h.salt, err);
}

static int read_manifest(struct nk_check *c, struct nitro_err *err) {
    c->listed_next = 1;
    if (!c->manifest_there) return NITRO_OK; /* judge_folder says what that means */
    int fd = nk_vfs_open(c->vfs, c->dirfd, NK_PATH_MANIFEST, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", NK_PATH_MANIFEST, fd);
    int rc = take_manifest(c, fd, err);
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    return rc;
}

/* ---- CONTROL -----------------------------------------------------------------------------------*/

static int take_control(struct nk_check *c, const uint8_t *p, size_t n, struct nitro_err *err) {
    struct nk_control got = {0};
    int rc = nk_control_newest(p, n, &got);
    if (rc == NITRO_EFORMAT) return nk_check_newer(c, err, NK_PATH_CONTROL, got.version);
    if (rc != NITRO_OK) {
        if (c->manifest_there) damage(c, NK_PATH_CONTROL, 0, "it has no valid slot");
        return NITRO_OK;
    }
    if (c->store_known && memcmp(got.store, c->store, sizeof c->store) != 0) {
        damage(c, NK_PATH_CONTROL, 0, "it belongs to another store");
        return NITRO_OK;
    }
    memcpy(c->store, got.store, sizeof c->store);
    c->store_known = true;
    c->control = got;
    c->sum.durable_lsn = got.durable_lsn;
    c->newest_ms = got.time_ms;
    if (got.file < NK_PATH_LOG_MAX) c->next_number = nk_max_u64(c->next_number, got.file + 1);
    return NITRO_OK;
}

static int read_control(struct nk_check *c, struct nitro_err *err) {
    uint8_t p[NK_CONTROL_BYTES];
    if (!c->control_there) {
        if (c->manifest_there) damage(c, NK_PATH_CONTROL, 0, "it is not there");
        return NITRO_OK;
    }
    int fd = nk_vfs_open(c->vfs, c->dirfd, NK_PATH_CONTROL, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", NK_PATH_CONTROL, fd);
    int64_t got = nk_vfs_read(c->vfs, fd, p, sizeof p, 0);
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    if (got < 0) return nk_check_io(c, err, "read", NK_PATH_CONTROL, got);
    return take_control(c, p, (size_t)got, err);
}

/* ---- headers -----------------------------------------------------------------------------------*/

int nk_check_sector(struct nk_check *c, const char *name, uint8_t sector[NK_SECTOR], uint64_t *size,
                    bool *whole, struct nitro_err *err) {
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    int64_t n = c->vfs->size(c->vfs->ctx, fd);
    int64_t got = n < 0 ? n : nk_vfs_read(c->vfs, fd, sector, NK_SECTOR, 0);
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    if (got < 0) return nk_check_io(c, err, "read", name, got);
    *size = (uint64_t)n;
    *whole = got == (int64_t)NK_SECTOR;
    return NITRO_OK;
}

/* What is wrong with a valid header in this place; NULL = nothing. */
static const char *misplaced(struct nk_check *c, const struct nk_check_file *f,
                             const struct nk_log_header *h) {
    if (!c->store_known) {
        memcpy(c->store, h->store, sizeof c->store);
        c->store_known = true;
    }
    if (memcmp(h->store, c->store, sizeof c->store) != 0) return "it belongs to another store";
    if (h->number != f->number) return "its header is that of another file";
    if (f->listed && h->salt != f->salt) return "it is not the file that MANIFEST lists";
    return NULL;
}

/* What a file that MANIFEST does not list is: removed earlier, or never used, or a sign of
 * damage. */
static void take_unlisted(struct nk_check *c, struct nk_check_file *f, bool used,
                          const char *wrong) {
    bool removed = f->number < c->listed_next;
    if (f->number >= NK_PATH_LOG_MAX) {
        nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number,
                            "no file of the store can have this number; move it away");
    } else if (!c->manifest_whole) {
        if (wrong != NULL) nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number, wrong);
    } else if (used && !removed) {
        nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number,
                            wrong != NULL ? wrong : "it holds data, but MANIFEST does not list it");
    } else {
        f->state = NK_FILE_BLANK;
        nk_check_file_found(c, NITRO_CHECK_NOTE, f->number,
                            "MANIFEST does not list it (any more); the next start removes it");
    }
}

static int read_header(struct nk_check *c, struct nk_check_file *f, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    struct nk_log_header h = {0};
    bool whole = false;
    nk_path_log(f->number, name);
    int rc = nk_check_sector(c, name, sector, &f->size, &whole, err);
    if (rc != NITRO_OK) return rc;
    rc = whole ? nk_log_header_decode(sector, &h) : NITRO_ECORRUPT;
    if (rc == NITRO_EFORMAT) return nk_check_newer(c, err, name, h.version);
    const char *wrong = rc == NITRO_OK ? misplaced(c, f, &h) : "its header is not valid";
    bool used = rc == NITRO_OK && h.used != 0;
    f->state = wrong != NULL ? NK_FILE_BAD : used ? NK_FILE_USED : NK_FILE_BLANK;
    f->head = h;
    if (!f->listed)
        take_unlisted(c, f, used, wrong);
    else if (wrong != NULL)
        nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number, wrong);
    return NITRO_OK;
}

/* What a header in its place knows. */
static void take_header(struct nk_check *c, const struct nk_check_file *f) {
    if (f->state != NK_FILE_USED) return;
    c->sum.durable_lsn = nk_max_u64(c->sum.durable_lsn, f->head.durable_lsn);
    c->seen_lsn = nk_max_u64(c->seen_lsn, f->head.first_lsn);
    if (f->head.time_ms > c->newest_ms) c->newest_ms = f->head.time_ms;
}

static int read_headers(struct nk_check *c, struct nitro_err *err) {
    for (uint32_t i = 0; i < c->count; i++) {
        struct nk_check_file *f = &c->file[i];
        if (f->there) {
            int rc = read_header(c, f, err);
            if (rc != NITRO_OK) return rc;
            take_header(c, f);
        } else if (f->listed) {
            nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number,
                                "MANIFEST lists it, but it is not there");
        }
    }
    return NITRO_OK;
}

/* ---- the chain ---------------------------------------------------------------------------------*/

/* The newest used file with a number below this. */
struct nk_check_file *nk_check_newest(struct nk_check *c, uint64_t number) {
    struct nk_check_file *newest = NULL;
    for (uint32_t i = 0; i < c->count && c->file[i].number < number; i++)
        if (c->file[i].state == NK_FILE_USED) newest = &c->file[i];
    return newest;
}

bool nk_check_lost(const struct nk_check *c) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->file[i].listed && (!c->file[i].there || c->file[i].state == NK_FILE_BAD))
            return true;
    for (uint32_t i = 0; i < c->snap_count; i++)
        if (c->snap[i].listed && !c->snap[i].there) return true;
    for (uint32_t i = 0; i < c->data_count; i++)
        if (c->data[i].listed && !c->data[i].valid) return true;
    return false;
}

/* What is there of it may hold data. */
void nk_check_lose(struct nk_check *c, uint64_t number) {
    struct nk_check_file *f = nk_check_find(c, number);
    if (f == NULL || !f->listed)
        nk_check_file_found(c, NITRO_CHECK_DAMAGE, number,
                            "a newer file follows it, but MANIFEST does not list it");
    else if (f->state == NK_FILE_BLANK)
        nk_check_file_found(c, NITRO_CHECK_NOTE, number,
                            "a newer file says that it was used, but it is blank: if nothing of it "
                            "was durable, that is how a power cut may leave it");
    if (f != NULL) f->lost = true;
}

/* f is the oldest file on the chain that still has to do with the others: what lies before it is cut off
 * from them. A repair does not keep that, and a start would remove it. */
static void cut_chain(struct nk_check *c, const struct nk_check_file *f) {
    for (uint32_t i = 0; i < c->count && c->file[i].number < f->number; i++)
        if (c->file[i].listed && !c->file[i].on_chain) c->file[i].lost = true;
}

/* Whether what came before a file is not needed, because it is in a snapshot. A blank file before it is another
 * matter: see folder.c. */
static bool begins_in_snapshot(const struct nk_check *c, const struct nk_check_file *f,
                               const struct nk_check_file *before) {
    bool blank = before != NULL && before->listed && before->state == NK_FILE_BLANK;
    return !blank && f->head.prev_last_lsn <= c->floor;
}

/* The newest used file, the one that its header names as the one before, and so on. Where one is
 * lost the chain goes on with the newest below it, of which all records count. */
static void walk_chain(struct nk_check *c) {
    struct nk_check_file *f = nk_check_newest(c, UINT64_MAX);
    while (f != NULL) {
        uint64_t prev = f->head.prev_number;
        struct nk_check_file *before = nk_check_find(c, prev);
        f->on_chain = true;
        if (before != NULL && before->state == NK_FILE_USED) {
            before->last_lsn = f->head.prev_last_lsn;
            f = before;
            continue;
        }
        if (begins_in_snapshot(c, f, before)) {
            cut_chain(c, f);
            return;
        }
        f->gap = true;
        if (prev != 0)
            nk_check_lose(c, prev);
        else
            nk_check_file_found(c, NITRO_CHECK_DAMAGE, f->number,
                                "what came before it is in no snapshot");
        f = nk_check_newest(c, prev);
    }
}

/* ---- entry -------------------------------------------------------------------------------------*/

int nk_check_folder(struct nk_check *c, struct nitro_err *err) {
    c->next_number = 1;
    set_mode(c, NK_MODE_MEMORY);
    int rc = nk_check_names(c, err);
    if (rc == NITRO_OK) rc = read_manifest(c, err);
    if (!c->store_known && c->data_count + c->hint_count > 0)
        set_mode(c, NK_MODE_BITCASK); /* only there they are made */
    if (rc == NITRO_OK) rc = read_control(c, err);
    if (rc == NITRO_OK) rc = read_headers(c, err);
    if (rc == NITRO_OK) rc = nk_check_data_headers(c, err);
    if (rc == NITRO_OK) rc = nk_check_snaps(c, err);
    if (rc != NITRO_OK) return rc;
    if (c->keydir) return nk_check_pieces(c, err);
    walk_chain(c);
    return NITRO_OK;
}

void nk_check_fini(struct nk_check *c) {
    nk_mem_free(c->mem, c->file, c->cap * sizeof *c->file);
    nk_mem_free(c->mem, c->snap, c->snap_cap * sizeof *c->snap);
    nk_check_data_fini(c);
    c->file = NULL;
    c->snap = NULL;
    c->count = c->cap = c->snap_count = c->snap_cap = 0;
}
