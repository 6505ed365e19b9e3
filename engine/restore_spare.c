/* SPDX-License-Identifier: MIT
 *
 * restore_spare.c - what a backup holds beyond its records, and a restore could do without: is it whole all the same? (L5)
 *
 * DESIGN
 *   CONTROL has two slots of which one is enough, and hints are rebuilt where they are damaged. So a restore makes no
 *   difference of them. But whoever verifies a backup asks whether the file is still what was written, and a bit that has
 *   flipped beside the records says of the medium what one in a record says.
 *
 *   Both slots are demanded because a backup is written as a whole: none of them can have been torn, as in a folder at work.
 *
 * NOT HERE  records (restore_past.c), what lies between the files of an archive (vfs_tar.c).
 */
#include "restore.h"

#include "control.h"
#include "db.h"
#include "hint.h"
#include "recover.h"

static int bad(struct nk_past *p, const char *name, uint64_t at, const char *what,
               struct nitro_err *err) {
    memcpy(p->bad.file, name, strlen(name) + 1);
    p->bad.offset = at;
    return nk_err_set(err, NITRO_ECORRUPT, 0,
                      "%s %s: %s, offset %llu: %s; every record is sound, and a restore does "
                      "without that: but what keeps this file has damaged it, so make a new one",
                      p->did, p->from, name, (unsigned long long)at, what);
}

static int unreadable(const struct nk_past *p, const char *name, int64_t rc,
                      struct nitro_err *err) {
    int code = rc == -ENOMEM ? NITRO_ENOMEM : NITRO_EIO;
    return nk_err_set(err, code, (int)-rc, "%s %s: read %s: %s", p->did, p->from, name,
                      strerror((int)-rc));
}

static int check_control(struct nk_past *p, struct nitro_err *err) {
    uint8_t slots[NK_CONTROL_BYTES];
    struct nk_control c;
    const struct nk_log *l = p->db->folder;
    int64_t got = nk_vfs_read(l->vfs, l->control_fd, slots, sizeof slots, 0);
    if (got < 0) return unreadable(p, NK_PATH_CONTROL, got, err);
    for (uint64_t at = 0; at < NK_CONTROL_BYTES; at += NK_CONTROL_SLOT)
        if ((uint64_t)got < at + NK_CONTROL_SLOT || nk_control_decode(slots + at, &c) != NITRO_OK)
            return bad(p, NK_PATH_CONTROL, at, "one of the two slots is not valid", err);
    return NITRO_OK;
}

/* check_hint: of one piece. That there is none, that it is stale or of a newer version, is nobody's fault. */
static int check_hint(struct nk_past *p, const struct nk_piece *f, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_hintread r = {.fd = -1};
    struct nk_hint e;
    const struct nk_log *l = p->db->folder;
    uint64_t size = 0;
    int fd = -1;
    int rc = nk_log_hint_open(l, f->number, &fd, &size);
    if (rc == NITRO_ENOTFOUND) return NITRO_OK;
    nk_path_hint(f->number, name);
    if (rc != NITRO_OK) return unreadable(p, name, -EIO, err);
    rc = nk_hintread_open(&r, l->vfs, l->mem, fd, size);
    while (rc == NITRO_OK) rc = nk_hintread_next(&r, &e);
    if (rc == NITRO_ECORRUPT)
        rc = bad(p, name, r.buf == NULL ? 0 : r.at, "this file of hints is not valid", err);
    else if (rc == NITRO_EIO || rc == NITRO_ENOMEM)
        rc = unreadable(p, name, rc == NITRO_EIO ? -r.sys : -ENOMEM, err);
    else
        rc = NITRO_OK;
    nk_hintread_close(&r);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    return rc;
}

int nk_past_spares(struct nk_past *p, struct nitro_err *err) {
    const struct nk_log *l = p->db->folder;
    uint32_t count = nk_recover_pieces(l, NULL, 0);
    size_t bytes = ((size_t)count + 1) * sizeof(struct nk_piece);
    struct nk_piece *piece = nk_mem_alloc(l->mem, bytes);
    if (piece == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "%s %s: out of memory", p->did, p->from);
    (void)nk_recover_pieces(l, piece, count);
    int rc = check_control(p, err);
    for (uint32_t i = 0; i < count && rc == NITRO_OK; i++) rc = check_hint(p, &piece[i], err);
    nk_mem_free(l->mem, piece, bytes);
    return rc;
}
