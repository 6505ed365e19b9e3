/* SPDX-License-Identifier: MIT
 *
 * check_piece.c - the records of a folder whose log is its data, and its hints (L5).
 *
 * DESIGN
 *   Pieces are read in the order of their LSNs. A merged file, and a log that ends at or before W, is
 *   settled: all of it was durable once, so what is wrong with it is damage, wherever it is, and has
 *   nothing to do with the next piece. Logs behind those may have a tail that never was, and are read as in
 *   a store in memory: up to the hole.
 *
 *   A start believes a valid hint and does not read the file. So damage in a settled file is found by a
 *   start only if it has none; with one the store starts, and who reads what is damaged gets an error. A
 *   hint itself can be missing, old or damaged without harm.
 *
 * NOT HERE  which pieces there are (check_data.c), frames and records of logs (check_scan.c).
 */
#include "check.h"
#include "hint.h"
#include "keydir.h"

/* ---- hints -------------------------------------------------------------------------------------*/

static bool has_hint(const struct nk_check *c, uint64_t number) {
    for (uint32_t i = 0; i < c->hint_count; i++)
        if (c->hint[i].number == number && !c->hint[i].tmp) return true;
    return false;
}

/* All entries of an open hint. NITRO_ENOTFOUND: that was all of them, and it is right. */
static const char stale[] = "it is not about the file as it is";

static int read_entries(struct nk_check *c, const struct nk_check_piece *q, struct nk_hintread *r,
                        const char **wrong) {
    struct nk_hint h;
    *wrong = stale;
    if (!nk_keydir_hint_fits(&r->head, &q->p, c->store)) return NITRO_ECORRUPT;
    *wrong = "it is not valid";
    int rc;
    do rc = nk_hintread_next(r, &h);
    while (rc == NITRO_OK);
    return rc;
}

/* Reads the hint of a piece. NITRO_OK with what is wrong with it, NULL = nothing. */
static int read_hint(struct nk_check *c, const struct nk_check_piece *q, const char *name,
                     const char **wrong, struct nitro_err *err) {
    struct nk_hintread r;
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    int64_t size = c->vfs->size(c->vfs->ctx, fd);
    int rc = NITRO_EIO;
    *wrong = "it is not valid";
    if (size >= 0) {
        rc = nk_hintread_open(&r, c->vfs, c->mem, fd, (uint64_t)size);
        if (rc == NITRO_OK) rc = read_entries(c, q, &r, wrong);
        if (rc == NITRO_EIO) size = -r.sys;
        nk_hintread_close(&r);
    }
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    if (rc == NITRO_EIO) return nk_check_io(c, err, "read", name, size);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(err, rc, 0, "check %s: out of memory for %s", c->opt->dir, name);
    if (rc == NITRO_EFORMAT) *wrong = "it is of a newer format than this program knows";
    if (rc == NITRO_ENOTFOUND) *wrong = NULL;
    return NITRO_OK;
}

static int check_hint(struct nk_check *c, struct nk_check_piece *q, bool newest,
                      struct nitro_err *err) {
    char name[NK_PATH_MAX];
    const char *wrong = "it is not there";
    nk_path_hint(q->p.number, name);
    if (has_hint(c, q->p.number)) {
        int rc = read_hint(c, q, name, &wrong, err);
        if (rc != NITRO_OK) return rc;
    } else if (newest) {
        return NITRO_OK; /* it was written to until the end */
    }
    q->hinted = wrong == NULL;
    /* how far the newest log goes is not known yet: a hint that a snapshot has of it may be right */
    if (!q->hinted && !(newest && q->log != NULL && wrong == stale))
        nk_check_found(c, NITRO_CHECK_NOTE, name, 0, 0,
                       "%s; the next start reads the whole file instead, and it is made anew",
                       wrong);
    return NITRO_OK;
}

/* Hints that are about no piece. */
static void tell_others(struct nk_check *c) {
    for (uint32_t i = 0; i < c->hint_count; i++) {
        const struct nk_check_hint *h = &c->hint[i];
        char name[NK_PATH_MAX];
        bool used = false;
        for (uint32_t k = 0; k < c->piece_count && !h->tmp; k++)
            used |= c->piece[k].p.number == h->number;
        if (used) continue;
        if (h->tmp)
            nk_path_hint_tmp(h->number, name);
        else
            nk_path_hint(h->number, name);
        nk_check_found(c, NITRO_CHECK_NOTE, name, 0, 0,
                       "it belongs to no file that counts; the next start removes it");
    }
}

static int check_hints(struct nk_check *c, struct nitro_err *err) {
    for (uint32_t i = 0; i < c->piece_count; i++) {
        int rc = check_hint(c, &c->piece[i], i + 1 == c->piece_count, err);
        if (rc != NITRO_OK) return rc;
    }
    tell_others(c);
    return NITRO_OK;
}

/* ---- merged files ------------------------------------------------------------------------------*/

static void note_bad(const struct nk_check_piece *q, uint64_t lsn, uint64_t at, const char *what,
                     struct nk_check_hole *bad, uint64_t *count) {
    if ((*count)++ > 0) return;
    *bad = (struct nk_check_hole){
        .found = true, .lsn = lsn, .number = q->p.number, .offset = at, .what = what};
}

/* One whose checksum alone is wrong is passed over; behind a head that is not valid nobody knows where the
 * next one begins. */
static int scan_data(struct nk_check *c, const struct nk_check_piece *q, struct nk_datascan *s,
                     struct nk_check_hole *bad, uint64_t *count) {
    struct nk_placed p;
    int rc;
    while ((rc = nk_datascan_record(s, false, &p)) == NITRO_OK) {
        if (nk_record_check(p.p, p.bytes, &p.r, p.offset, q->p.salt))
            c->sum.records++;
        else
            note_bad(q, p.r.lsn, p.offset, "the record's checksum is wrong", bad, count);
    }
    if (rc == NITRO_ECORRUPT)
        note_bad(q, nk_max_u64(s->newest + 1, q->p.first_lsn), s->at, "the record is not valid",
                 bad, count);
    return rc == NITRO_ECORRUPT || rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
}

static int read_data(struct nk_check *c, const struct nk_check_piece *q, struct nk_check_hole *bad,
                     uint64_t *count, struct nitro_err *err) {
    struct nk_datascan s;
    char name[NK_PATH_MAX];
    nk_path_data(q->p.number, name);
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    nk_datascan_init(&s, c->vfs, c->mem, fd, &q->data->head);
    int rc = scan_data(c, q, &s, bad, count);
    if (rc == NITRO_EIO) rc = nk_check_io(c, err, "read", name, -s.sys);
    if (rc == NITRO_ENOMEM)
        rc =
            nk_err_set(err, rc, 0, "check %s: out of memory for a record of %s", c->opt->dir, name);
    nk_datascan_fini(&s);
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    c->end.lsn = nk_max_u64(c->end.lsn, q->p.last_lsn);
    return rc;
}

/* ---- pieces ------------------------------------------------------------------------------------*/

static void piece_name(const struct nk_check_piece *q, char *out) {
    if (q->data != NULL)
        nk_path_data(q->p.number, out);
    else
        nk_path_log(q->p.number, out);
}

/* Damage in a piece that is settled. */
static void judge(struct nk_check *c, const struct nk_check_piece *q,
                  const struct nk_check_hole *bad, uint64_t count) {
    char name[NK_PATH_MAX];
    if (count == 0) return;
    piece_name(q, name);
    nk_check_inner(c, bad->lsn, bad->number, bad->offset, bad->what);
    c->tolerated += q->hinted;
    nk_check_found(c, NITRO_CHECK_DAMAGE, name, bad->offset, bad->lsn,
                   "%s; the file is damaged in %llu place%s, this is the first; %s", bad->what,
                   (unsigned long long)count, count == 1 ? "" : "s",
                   q->hinted
                       ? "it has a hint file, so that the store starts, and who reads what is "
                         "damaged gets an error"
                       : "the store does not start; put back a copy of the folder");
}

static int read_settled(struct nk_check *c, const struct nk_check_piece *q, struct nitro_err *err) {
    struct nk_check_hole bad = {.found = false};
    uint64_t count = 0;
    int rc = q->data != NULL ? read_data(c, q, &bad, &count, err)
                             : nk_check_settled(c, q->log, &bad, &count, err);
    if (rc == NITRO_OK) judge(c, q, &bad, count);
    return rc;
}

/* A piece behind the hole: what is in it cannot be dropped. */
static int read_behind(struct nk_check *c, const struct nk_check_piece *q, bool newest,
                       struct nitro_err *err) {
    uint64_t before = c->sum.drop_records;
    int rc = NITRO_OK;
    if (q->data != NULL)
        c->sum.drop_records += q->data->head.records;
    else
        rc = nk_check_records(c, q->log, newest, err);
    if (c->sum.drop_records > before && c->end.lsn < c->sum.durable_lsn)
        nk_check_inner(c, c->hole.lsn, c->hole.number, c->hole.offset, c->hole.what);
    return rc;
}

static int read_piece(struct nk_check *c, const struct nk_check_piece *q, bool newest,
                      struct nitro_err *err) {
    c->sum.files++;
    c->sum.bytes += q->p.size;
    if (q->gap)
        nk_check_hole(c, c->end.lsn + 1, q->log != NULL ? q->log->head.prev_number : 0, 0,
                      "the file is lost");
    if (c->hole.found) return read_behind(c, q, newest, err);
    bool settled = !newest && q->p.last_lsn <= c->sum.durable_lsn;
    if (q->data != NULL || settled) return read_settled(c, q, err);
    return nk_check_records(c, q->log, newest, err);
}

/* W has to be known before the first record is judged: the frames of the newest log say it, and those of files
 * behind it whose header may not have reached the disk. */
static int find_durable(struct nk_check *c, struct nitro_err *err) {
    const struct nk_check_file *newest = nk_check_newest(c, UINT64_MAX);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct nk_check_file *f = &c->file[i];
        if (newest == NULL || f->number < newest->number || !f->there || !f->listed) continue;
        int rc = nk_check_heads(c, f, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

int nk_check_read_pieces(struct nk_check *c, struct nitro_err *err) {
    int rc = find_durable(c, err);
    if (rc == NITRO_OK) rc = check_hints(c, err);
    for (uint32_t i = 0; i < c->piece_count && rc == NITRO_OK; i++)
        rc = read_piece(c, &c->piece[i], i + 1 == c->piece_count, err);
    return rc;
}
