/* SPDX-License-Identifier: MIT
 *
 * restore_data.c - the files of a new folder whose log is its data: merged files, and their hints (L5).
 *
 * DESIGN
 *   What is put is live, and comes in the order of LSNs. It goes into merged files, one after the other; each stands for the LSNs from
 *   the end of the one before up to its last record, the last one up to the point; and the point is the cut of all. All are written
 *   under names with .tmp behind them, which nobody looks for, and get their own at the end.
 *
 * NOT HERE  the folder and its small files (restore_target.c), which records (restore.c).
 */
#include "restore.h"

#include "keydir.h"
#include "path.h"

#include <stdio.h>

#define BUFFER_BYTES (1u << 20)
#define FILES_MAX (NK_LOC_SLOTS - NK_FILES_RESERVE)

static int cannot(const struct nk_target *t, struct nitro_err *err, const char *did,
                  const char *name, int rc) {
    return nk_err_set(err, NITRO_EIO, -rc, "restore into %s: cannot %s %s: %s", t->dir, did, name,
                      strerror(-rc));
}

static int out_of_memory(const struct nk_target *t, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "restore into %s: out of memory", t->dir);
}

/* ---- names -------------------------------------------------------------------------------------*/

static void tmp_name(uint64_t number, char *out) {
    char name[NK_PATH_MAX];
    nk_path_data(number, name);
    nk_path_tmp(name, out);
}

/* An empty file for writing. */
static int make_file(struct nk_target *t, const char *name, int *fd, struct nitro_err *err) {
    *fd = nk_vfs_open(t->vfs, t->dirfd, name, NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    if (*fd < 0) return cannot(t, err, "make", name, *fd);
    int rc = nk_vfs_truncate(t->vfs, *fd, 0, "restore: empty data");
    return rc < 0 ? cannot(t, err, "empty", name, rc) : NITRO_OK;
}

static void close_file(const struct nk_target *t, int *fd) {
    if (*fd >= 0) (void)t->vfs->close(t->vfs->ctx, *fd); /* synced, or given up */
    *fd = -1;
}

static int rename_file(const struct nk_target *t, const char *from, const char *to,
                       struct nitro_err *err) {
    int rc = t->vfs->rename(t->vfs->ctx, t->dirfd, from, to, "restore: name data");
    return rc < 0 ? cannot(t, err, "rename", from, rc) : NITRO_OK;
}

/* ---- one file ----------------------------------------------------------------------------------*/

/* The header of the file that is being written; the caller has seen to the room. */
static struct nk_data_header *current(const struct nk_target *t) { return &t->made[t->count - 1]; }

static int note_made(struct nk_target *t, const struct nk_data_header *h, struct nitro_err *err) {
    if (t->count == t->cap) {
        uint32_t cap = t->cap == 0 ? 16 : 2 * t->cap;
        void *p = nk_mem_resize(t->mem, t->made, t->cap * sizeof *t->made, cap * sizeof *t->made);
        if (p == NULL) return out_of_memory(t, err);
        t->made = p;
        t->cap = cap;
    }
    t->made[t->count++] = *h;
    return NITRO_OK;
}

static int begin_hint(struct nk_target *t, const struct nk_data_header *h, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_hint_head head = {
        .kind = NK_FILE_DATA, .number = h->number, .salt = h->salt, .first_lsn = h->first_lsn};
    memcpy(head.store, t->store, sizeof head.store);
    nk_path_hint_tmp(h->number, name);
    int rc = make_file(t, name, &t->hint_fd, err);
    if (rc != NITRO_OK) return rc;
    t->hinting = true;
    rc = nk_hintwrite_init(&t->hint, t->vfs, t->mem, t->hint_fd, &head);
    return rc == NITRO_OK ? rc : out_of_memory(t, err);
}

/* A store has a slot for each file (files.h), and some are for what it writes itself. */
static int too_many(const struct nk_target *t, struct nitro_err *err) {
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "restore into %s: more than %u data files of %llu bytes would be needed, and "
                      "no store can have so many; nothing was made: choose a larger "
                      "--max-file-size",
                      t->dir, FILES_MAX, (unsigned long long)t->file_bytes);
}

static int begin_file(struct nk_target *t, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    if (t->count == FILES_MAX) return too_many(t, err);
    uint64_t before = t->count > 0 ? current(t)->last_lsn : 0;
    struct nk_data_header h = {.version = NK_DATA_VERSION,
                               .number = t->count + 1,
                               .salt = nk_target_draw(t),
                               .first_lsn = before + 1,
                               .prev_last_lsn = before,
                               .end = NK_SECTOR,
                               .time_ms = t->time_ms < 1 ? 1 : t->time_ms,
                               .cut_lsn = t->lsn};
    memcpy(h.store, t->store, sizeof h.store);
    tmp_name(h.number, name);
    int rc = note_made(t, &h, err);
    if (rc == NITRO_OK) rc = make_file(t, name, &t->fd, err);
    return rc == NITRO_OK ? begin_hint(t, &h, err) : rc;
}

static int write_bytes(struct nk_target *t, const void *p, size_t n, uint64_t at,
                       struct nitro_err *err) {
    char name[NK_PATH_MAX];
    int rc = n == 0 ? 0 : nk_vfs_write(t->vfs, t->fd, p, n, at, "restore: records");
    if (rc == 0) return NITRO_OK;
    tmp_name(current(t)->number, name);
    return cannot(t, err, "write", name, rc);
}

/* The staged bytes end where the records do. */
static int flush(struct nk_target *t, struct nitro_err *err) {
    size_t n = t->staged;
    t->staged = 0;
    return write_bytes(t, t->stage, n, current(t)->end - n, err);
}

static int put_bytes(struct nk_target *t, const void *p, size_t n, struct nitro_err *err) {
    struct nk_data_header *h = current(t);
    int rc = n > BUFFER_BYTES - t->staged ? flush(t, err) : NITRO_OK;
    if (rc != NITRO_OK || n == 0) return rc;
    if (n > BUFFER_BYTES) {
        rc = write_bytes(t, p, n, h->end, err);
    } else {
        memcpy(t->stage + t->staged, p, n);
        t->staged += n;
    }
    h->end += n;
    return rc;
}

static int end_hint(struct nk_target *t, uint64_t end, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_hint_tmp(current(t)->number, name);
    int rc = nk_hintwrite_finish(&t->hint, end, current(t)->time_ms);
    int sys = t->hint.sys;
    nk_hintwrite_fini(&t->hint);
    t->hinting = false;
    close_file(
        t, &t->hint_fd); /* a hint need not be on the disk: one that is not whole is made anew */
    return rc == NITRO_OK ? rc : cannot(t, err, "write", name, -sys);
}

/* It stands for all up to last_lsn. */
static int end_file(struct nk_target *t, uint64_t last_lsn, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    struct nk_data_header *h = current(t);
    tmp_name(h->number, name);
    h->last_lsn = last_lsn;
    int rc = flush(t, err);
    if (rc != NITRO_OK) return rc;
    nk_data_header_encode(h, sector);
    rc = nk_vfs_write(t->vfs, t->fd, sector, sizeof sector, 0, "restore: data header");
    if (rc == 0) rc = nk_vfs_sync(t->vfs, t->fd, "restore: sync data");
    close_file(t, &t->fd);
    if (rc < 0) return cannot(t, err, "write", name, rc);
    return end_hint(t, h->end, err);
}

/* ---- all of them -------------------------------------------------------------------------------*/

int nk_target_data_begin(struct nk_target *t, uint64_t lsn, int64_t time_ms, uint64_t file_bytes,
                         struct nitro_err *err) {
    t->data = true;
    t->lsn = lsn;
    t->time_ms = time_ms;
    t->file_bytes = file_bytes != 0 ? file_bytes : NK_DATA_FILE_DEFAULT;
    t->stage_bytes = BUFFER_BYTES;
    t->stage = nk_mem_alloc(t->mem, BUFFER_BYTES);
    if (t->stage == NULL) return out_of_memory(t, err);
    t->touched = true;
    return lsn == 0 ? NITRO_OK : begin_file(t, err);
}

int nk_target_data_put(struct nk_target *t, const struct nk_record *r, struct nitro_err *err) {
    uint8_t head[NK_REC_HEAD_MAX];
    struct nk_record rec = *r;
    uint64_t bytes = nk_record_max(r->key_bytes, r->value_bytes);
    rec.more = false; /* the batch is there as a whole */
    if (current(t)->records > 0 && current(t)->end + bytes > t->file_bytes) {
        int rc = end_file(t, t->newest_lsn, err);
        if (rc == NITRO_OK) rc = begin_file(t, err);
        if (rc != NITRO_OK) return rc;
    }
    struct nk_data_header *h = current(t);
    uint64_t at = h->end;
    uint32_t n = nk_record_head(&rec, nk_record_body_crc(&rec), h->first_lsn, at, h->salt, head);
    int rc = put_bytes(t, head, n, err);
    if (rc == NITRO_OK) rc = put_bytes(t, rec.key, rec.key_bytes, err);
    if (rc == NITRO_OK) rc = put_bytes(t, rec.value, rec.value_bytes, err);
    if (rc != NITRO_OK) return rc;
    h->records++;
    t->newest_lsn = rec.lsn;
    const struct nk_hint hint = {.lsn = rec.lsn,
                                 .offset = at,
                                 .bytes = h->end - at,
                                 .kind = rec.kind,
                                 .expire_ms = rec.expire_ms,
                                 .key = rec.key,
                                 .key_bytes = rec.key_bytes};
    if (nk_hintwrite_add(&t->hint, &hint) == NITRO_OK) return NITRO_OK;
    return cannot(t, err, "write the hint of", "a data file", -t->hint.sys);
}

int nk_target_data_end(struct nk_target *t, struct nitro_err *err) {
    char tmp[NK_PATH_MAX], name[NK_PATH_MAX];
    int rc = t->count > 0 ? end_file(t, t->lsn, err) : NITRO_OK;
    for (uint32_t i = 0; i < t->count && rc == NITRO_OK; i++) {
        uint64_t number = t->made[i].number;
        tmp_name(number, tmp);
        nk_path_data(number, name);
        rc = rename_file(t, tmp, name, err);
        nk_path_hint_tmp(number, tmp);
        nk_path_hint(number, name);
        if (rc == NITRO_OK) rc = rename_file(t, tmp, name, err);
    }
    return rc;
}

void nk_target_data_remove(struct nk_target *t) {
    for (uint64_t number = 1; number <= t->count; number++) {
        char names[4][NK_PATH_MAX];
        tmp_name(number, names[0]);
        nk_path_data(number, names[1]);
        nk_path_hint_tmp(number, names[2]);
        nk_path_hint(number, names[3]);
        /* what cannot be removed is found, and named, by the next restore; the failure is being reported */
        for (int i = 0; i < 4; i++)
            (void)t->vfs->unlink(t->vfs->ctx, t->dirfd, names[i], "restore: remove data");
    }
}

void nk_target_data_close(struct nk_target *t) {
    if (t->hinting) nk_hintwrite_fini(&t->hint);
    t->hinting = false;
    close_file(t, &t->hint_fd);
}
