/* SPDX-License-Identifier: MIT
 *
 * check_snap.c - the snapshots of a folder that is checked (L5).
 *
 * DESIGN
 *   A start begins with the newest snapshot that is listed, and refuses if there is something wrong with it.
 *   An older one is of use to a restore alone: what is wrong with it is a note. Each is read from its
 *   first block to its last, so that damage is found wherever it is.
 *
 *   A snapshot that MANIFEST does not list holds nothing that was promised, and the next start removes it.
 *   But where MANIFEST itself is damaged, or older than the folder, one that is sound is believed: it has
 *   got its name only when it was complete, and the log was durable up to its S.
 *
 *   The newest that is sound is the best one for a repair, too: whatever an older one and the log behind it
 *   lead to, the newer one leads there, or further.
 *
 * NOT HERE  bytes (snapread.c), the log behind it (check_scan.c).
 */
#include "check.h"
#include "snapfile.h"

static int out_of_memory(const struct nk_check *c, const char *name, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "check %s: out of memory for %s", c->opt->dir, name);
}

/* ---- the list ----------------------------------------------------------------------------------*/

struct nk_check_snap *nk_check_find_snap(const struct nk_check *c, uint64_t number) {
    for (uint32_t i = 0; i < c->snap_count; i++)
        if (c->snap[i].number == number) return &c->snap[i];
    return NULL;
}

struct nk_check_snap *nk_check_add_snap(struct nk_check *c, uint64_t number) {
    struct nk_check_snap *s = nk_check_find_snap(c, number);
    if (s != NULL) return s;
    if (c->snap_count == c->snap_cap) {
        uint32_t cap = c->snap_cap == 0 ? 8 : c->snap_cap * 2;
        s = nk_mem_resize(c->mem, c->snap, c->snap_cap * sizeof *s, cap * sizeof *s);
        if (s == NULL) return NULL;
        c->snap = s;
        c->snap_cap = cap;
    }
    uint32_t at = c->snap_count++;
    for (; at > 0 && c->snap[at - 1].number > number; at--) c->snap[at] = c->snap[at - 1];
    c->snap[at] = (struct nk_check_snap){.number = number};
    c->next_number = nk_max_u64(c->next_number, number + 1);
    return &c->snap[at];
}

/* Not listed, but perhaps only because MANIFEST has lost the entry. */
static bool is_believed(const struct nk_check *c, const struct nk_check_snap *s) {
    return s->there && !s->listed && (!c->manifest_whole || nk_check_lost(c));
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* Every record; a large value in memory that is given back at once. */
static int read_records(struct nk_check *c, struct nk_snapread *r) {
    for (;;) {
        struct nk_snaprec rec;
        int rc = nk_snapread_next(r, false, &rec);
        if (rc != NITRO_OK) return rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
        if (!rec.large) continue;
        uint8_t *value = nk_mem_alloc(c->mem, rec.value_bytes);
        if (value == NULL) return NITRO_ENOMEM;
        rc = nk_snapread_value(r, &rec, value);
        nk_mem_free(c->mem, value, rec.value_bytes);
        if (rc != NITRO_OK) return rc;
    }
}

/* What is wrong with a header in this place; NULL = nothing. */
static const char *misplaced(struct nk_check *c, const struct nk_check_snap *s,
                             const struct nk_snap_head *h) {
    if (!c->store_known) {
        memcpy(c->store, h->store, sizeof c->store);
        c->store_known = true;
    }
    if (memcmp(h->store, c->store, sizeof c->store) != 0) return "it belongs to another store";
    if (h->number != s->number) return "its header is that of another file";
    if (s->listed && (h->salt != s->salt || h->lsn != s->lsn))
        return "it is not the file that MANIFEST lists";
    return NULL;
}

/* The contents of an open file. NITRO_OK with what is wrong in *s; the codes of the reader otherwise. */
static int read_open(struct nk_check *c, struct nk_check_snap *s, struct nk_snapread *r, int fd) {
    int rc = nk_snapread_open(r, c->vfs, c->mem, fd, s->size);
    if (rc == NITRO_OK) s->what = misplaced(c, s, &r->head);
    if (rc == NITRO_OK && s->what == NULL) rc = read_records(c, r);
    if (rc == NITRO_ECORRUPT) {
        s->what = r->what;
        s->bad_at = r->bad_at;
        rc = NITRO_OK;
    }
    if (rc != NITRO_OK || s->what != NULL) return rc;
    s->sound = true;
    s->wal_off = r->head.wal_off;
    s->salt = r->head.salt;
    s->lsn = r->head.lsn;
    if (r->foot.time_ms > c->newest_ms) c->newest_ms = r->foot.time_ms;
    return rc;
}

/* A newer version of the format is damage of the start's own kind, and no harm in an older snapshot. */
static int read_failed(struct nk_check *c, struct nk_check_snap *s, const struct nk_snapread *r,
                       const char *name, int rc, struct nitro_err *err) {
    if (rc == NITRO_ENOMEM) return out_of_memory(c, name, err);
    if (rc == NITRO_EIO) return nk_check_io(c, err, "read", name, -r->sys);
    if (s->lsn == c->listed_lsn && s->listed)
        return nk_err_set(err, NITRO_EFORMAT, 0,
                          "check %s: %s has format version %u, this program knows up to %u; use a "
                          "newer nitrokv",
                          c->opt->dir, name, r->head.version, NK_SNAP_VERSION);
    s->what = "it is of a newer format than this program knows";
    return NITRO_OK;
}

static int read_snap(struct nk_check *c, struct nk_check_snap *s, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_snapread r = {.mem = NULL};
    nk_path_snap(s->number, name);
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    int64_t size = c->vfs->size(c->vfs->ctx, fd);
    int rc = size < 0 ? nk_check_io(c, err, "read", name, size) : NITRO_OK;
    if (rc == NITRO_OK) {
        s->size = (uint64_t)size;
        rc = read_open(c, s, &r, fd);
        if (rc != NITRO_OK) rc = read_failed(c, s, &r, name, rc, err);
    }
    nk_snapread_close(&r);
    (void)c->vfs->close(c->vfs->ctx, fd); /* only read */
    return rc;
}

/* ---- findings ----------------------------------------------------------------------------------*/

static void found(struct nk_check *c, enum nitro_severity severity, const struct nk_check_snap *s,
                  const char *text) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    nk_check_found(c, severity, name, s->bad_at, 0, "%s", text);
}

/* One that a start would begin with, and cannot. */
static void found_newest(struct nk_check *c, const struct nk_check_snap *s) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    nk_check_found(c, NITRO_CHECK_DAMAGE, name, s->bad_at, 0,
                   "%s; a start begins with this snapshot, which has everything up to LSN %llu",
                   s->what, (unsigned long long)s->lsn);
}

static void found_other(struct nk_check *c, const struct nk_check_snap *s) {
    char name[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    nk_check_found(c, NITRO_CHECK_NOTE, name, s->bad_at, 0,
                   "%s; no start needs it, but a restore cannot begin with it", s->what);
}

/* What is told of a snapshot that has been read, or that is not there. */
static void judge(struct nk_check *c, const struct nk_check_snap *s, bool newest) {
    if (s->tmp) {
        char name[NK_PATH_MAX];
        nk_path_snap_tmp(s->number, name);
        nk_check_found(c, NITRO_CHECK_NOTE, name, 0, 0,
                       "a snapshot that was not finished; the next start removes it");
    }
    if (!s->there && !s->listed) return;
    if (s->number >= NK_PATH_LOG_MAX)
        found(c, NITRO_CHECK_DAMAGE, s, "no file of the store can have this number; move it away");
    else if (newest && !s->sound)
        found_newest(c, s);
    else if (s->listed && !s->sound)
        found_other(c, s);
    else if (!s->listed && c->manifest_whole)
        found(c, NITRO_CHECK_NOTE, s,
              "MANIFEST does not list it (any more); the next start removes it");
    else if (!s->listed && !s->sound && s->what != NULL)
        found_other(c, s);
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* The newest snapshot that MANIFEST lists; NULL = none. */
static struct nk_check_snap *newest_listed(const struct nk_check *c) {
    struct nk_check_snap *newest = NULL;
    for (uint32_t i = 0; i < c->snap_count; i++)
        if (c->snap[i].listed && (newest == NULL || c->snap[i].lsn >= newest->lsn))
            newest = &c->snap[i];
    return newest;
}

/* What a start, or a repair, can begin with. */
static void choose_floor(struct nk_check *c, const struct nk_check_snap *newest) {
    for (uint32_t i = 0; i < c->snap_count; i++) {
        const struct nk_check_snap *s = &c->snap[i];
        if (!s->sound) continue;
        if (s->listed) c->sum.snapshots++;
        c->floor = nk_max_u64(c->floor, s->lsn);
        c->seen_lsn = nk_max_u64(c->seen_lsn, s->lsn + (s->wal_off ? NK_LSN_ROOM : 0));
    }
    c->newest_lost = newest != NULL && !newest->sound;
    c->sum.snapshot_lsn = c->floor;
    c->sum.durable_lsn = nk_max_u64(c->sum.durable_lsn, c->listed_lsn);
}

int nk_check_snaps(struct nk_check *c, struct nitro_err *err) {
    const struct nk_check_snap *newest = newest_listed(c);
    c->listed_lsn = newest != NULL ? newest->lsn : 0;
    for (uint32_t i = 0; i < c->snap_count; i++) {
        struct nk_check_snap *s = &c->snap[i];
        if (s->listed && !s->there) s->what = "MANIFEST lists it, but it is not there";
        if (s->number < NK_PATH_LOG_MAX && s->there && (s->listed || is_believed(c, s))) {
            int rc = read_snap(c, s, err);
            if (rc != NITRO_OK) return rc;
        }
        judge(c, s, s == newest);
    }
    choose_floor(c, newest);
    return NITRO_OK;
}

bool nk_check_snap_kept(const struct nk_check *c, const struct nk_check_snap *s) {
    return s->sound && s->lsn <= c->end.lsn;
}

bool nk_check_snap_dropped(const struct nk_check *c, const struct nk_check_snap *s) {
    if (!s->there || nk_check_snap_kept(c, s)) return false;
    return s->listed || !c->manifest_whole;
}
