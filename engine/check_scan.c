/* SPDX-License-Identifier: MIT
 *
 * check_scan.c - reading the records of a folder that is checked (L5).
 *
 * DESIGN
 *   Files on the chain are read in the order of their LSNs. Up to the first record that is missing
 *   or not valid (the hole) they count; `end` follows behind each whole batch. Behind the hole
 *   nothing counts any more, but every valid frame is looked for, byte by byte: it tells what was
 *   durable, and how much is dropped. There a frame's own count is believed, so that a record that
 *   is not valid is counted among the dropped as well.
 *
 *   Records up to `floor` are in a snapshot. A start passes over their frames without a look at them, and so
 *   does the search for the hole. They are read for themselves, and what is wrong with them is a note:
 *   a restore to a point among them needs them.
 *
 * NOT HERE  bytes of frames and records (logscan.c), what follows from it (check.c).
 */
#include "check.h"
#include "logscan.h"

/* ---- files -------------------------------------------------------------------------------------*/

static int scan_open(struct nk_check *c, const struct nk_check_file *f, uint64_t salt,
                     uint64_t first_lsn, struct nk_logscan *s, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    int fd = nk_vfs_open(c->vfs, c->dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return nk_check_io(c, err, "open", name, fd);
    nk_logscan_init(s, c->vfs, c->mem, fd, f->size, salt, first_lsn);
    return NITRO_OK;
}

/* Closes a scanner. rc is what ended it: NITRO_OK, or a failure to be told. */
static int scan_close(struct nk_check *c, const struct nk_check_file *f, struct nk_logscan *s,
                      int rc, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    (void)c->vfs->close(c->vfs->ctx, s->in.fd); /* only read */
    nk_logscan_fini(s);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(err, rc, 0, "check %s: out of memory for a record of %s, offset %llu",
                          c->opt->dir, name, (unsigned long long)s->at);
    return rc == NITRO_EIO ? nk_check_io(c, err, "read", name, -s->sys) : rc;
}

/* ---- frames ------------------------------------------------------------------------------------*/

/* What the header of a valid frame knows. */
static void take_frame(struct nk_check *c, const struct nk_logscan *s) {
    c->sum.durable_lsn = nk_max_u64(c->sum.durable_lsn, s->frame.durable_lsn);
    c->seen_lsn = nk_max_u64(c->seen_lsn, s->frame.first_lsn + s->frame.count - 1);
    if (s->frame.time_ms > c->newest_ms) c->newest_ms = s->frame.time_ms;
}

/* The rest of a frame, `count` records of it behind offset `from`, is dropped. */
static void drop_rest(struct nk_check *c, struct nk_logscan *s, uint64_t count, uint64_t from) {
    c->sum.drop_records += count;
    c->sum.drop_bytes += s->frame_end - from;
    nk_logscan_skip(s);
}

/* Drops every valid frame from here to the end of the file. */
static int drop_frames(struct nk_check *c, struct nk_logscan *s, uint64_t last_lsn) {
    int rc;
    while ((rc = nk_logscan_resync(s)) == NITRO_OK) {
        take_frame(c, s);
        if (s->frame.first_lsn <= last_lsn)
            drop_rest(c, s, s->frame.count, s->frame_at);
        else
            nk_logscan_skip(s);
    }
    return rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
}

int nk_check_frames(struct nk_check *c, const struct nk_check_file *f, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = scan_open(c, f, f->salt, 0, &s, err);
    if (rc != NITRO_OK) return rc;
    return scan_close(c, f, &s, drop_frames(c, &s, UINT64_MAX), err);
}

int nk_check_heads(struct nk_check *c, const struct nk_check_file *f, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = scan_open(c, f, f->salt, f->head.first_lsn, &s, err);
    if (rc != NITRO_OK) return rc;
    while ((rc = nk_logscan_resync(&s)) == NITRO_OK) {
        take_frame(c, &s);
        nk_logscan_skip(&s);
    }
    return scan_close(c, f, &s, rc == NITRO_ENOTFOUND ? NITRO_OK : rc, err);
}

/* ---- settled files -----------------------------------------------------------------------------*/

static void note_bad(const struct nk_check_file *f, uint64_t lsn, uint64_t at, const char *what,
                     struct nk_check_hole *bad, uint64_t *count) {
    if ((*count)++ > 0) return;
    *bad = (struct nk_check_hole){
        .found = true, .lsn = lsn, .number = f->number, .offset = at, .what = what};
}

/* The records of one frame. One whose checksum alone is wrong is passed over; behind a head that is not
 * valid nobody knows where the next one begins. */
static int settled_frame(struct nk_check *c, const struct nk_check_file *f, struct nk_logscan *s,
                         struct nk_check_hole *bad, uint64_t *count) {
    struct nk_placed p;
    int rc = NITRO_OK;
    take_frame(c, s);
    while (s->lsn <= f->last_lsn && (rc = nk_logscan_record(s, false, &p)) == NITRO_OK) {
        if (nk_record_check(p.p, p.bytes, &p.r, p.offset, f->head.salt)) {
            c->sum.records++;
            continue;
        }
        note_bad(f, p.r.lsn, p.offset, "the record's checksum is wrong", bad, count);
    }
    if (rc == NITRO_ECORRUPT) {
        note_bad(f, s->lsn, s->at, "the record is not valid", bad, count);
        s->lsn += s->left; /* as many as the frame says */
        nk_logscan_skip(s);
    }
    return rc == NITRO_ECORRUPT || rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
}

static int settled_frames(struct nk_check *c, const struct nk_check_file *f, struct nk_logscan *s,
                          struct nk_check_hole *bad, uint64_t *count) {
    for (uint64_t next = f->head.first_lsn; next <= f->last_lsn; next = s->lsn) {
        uint64_t at = s->at;
        int rc = nk_logscan_frame(s);
        if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s->frame.first_lsn != next)) {
            note_bad(f, next, at, "records are missing", bad, count);
            if (rc == NITRO_ENOTFOUND) rc = nk_logscan_resync(s);
            if (rc == NITRO_ENOTFOUND) return NITRO_OK; /* all the rest is */
        }
        if (rc == NITRO_OK) rc = settled_frame(c, f, s, bad, count);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

int nk_check_settled(struct nk_check *c, const struct nk_check_file *f, struct nk_check_hole *bad,
                     uint64_t *count, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = scan_open(c, f, f->head.salt, f->head.first_lsn, &s, err);
    if (rc != NITRO_OK) return rc;
    rc = settled_frames(c, f, &s, bad, count);
    c->end = (struct nk_check_end){
        .lsn = nk_max_u64(c->end.lsn, f->last_lsn), .number = f->number, .offset = s.at};
    return scan_close(c, f, &s, rc, err);
}

/* ---- history -----------------------------------------------------------------------------------*/

/* The first record that is missing or not valid among those that no start needs. */
static void tell_history(struct nk_check *c, const struct nk_check_file *f, uint64_t lsn,
                         uint64_t at, const char *what) {
    char name[NK_PATH_MAX];
    if (c->history_told) return;
    c->history_told = true;
    nk_path_log(f->number, name);
    nk_check_found(c, NITRO_CHECK_NOTE, name, at, lsn,
                   "%s; no start needs it, because a snapshot holds everything up to LSN %llu, but "
                   "a restore to a point before that may",
                   what, (unsigned long long)c->floor);
}

/* The records up to LSN `last`. */
static int scan_history(struct nk_check *c, const struct nk_check_file *f, struct nk_logscan *s,
                        uint64_t last) {
    struct nk_placed p;
    for (uint64_t next = f->head.first_lsn; next <= last; next = s->lsn) {
        uint64_t at = s->at;
        int rc = nk_logscan_frame(s);
        if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
        if (rc != NITRO_OK || s->frame.first_lsn != next) {
            tell_history(c, f, next, at,
                         rc == NITRO_OK ? "records are missing" : "no valid frame is here");
            return NITRO_OK;
        }
        while (s->lsn <= last && (rc = nk_logscan_record(s, true, &p)) == NITRO_OK)
            c->sum.records++;
        if (rc == NITRO_ECORRUPT) {
            tell_history(c, f, s->lsn, s->at, "the record is not valid");
            return NITRO_OK;
        }
        if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    }
    return NITRO_OK;
}

static int read_history(struct nk_check *c, const struct nk_check_file *f, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = scan_open(c, f, f->head.salt, f->head.first_lsn, &s, err);
    if (rc != NITRO_OK) return rc;
    return scan_close(c, f, &s, scan_history(c, f, &s, nk_min_u64(f->last_lsn, c->floor)), err);
}

/* ---- records -----------------------------------------------------------------------------------*/

/* How many of the first `count` records of a frame are needed. */
static uint64_t needed(const struct nk_check *c, const struct nk_logscan *s, uint64_t count) {
    uint64_t first = s->frame.first_lsn;
    uint64_t below = c->floor >= first ? c->floor - first + 1 : 0;
    return count > below ? count - below : 0;
}

/* The records of one frame, as long as they are valid and count. */
static int read_frame(struct nk_check *c, const struct nk_check_file *f, struct nk_logscan *s) {
    struct nk_placed p;
    uint64_t whole = 0, batch = 0; /* records in whole batches, and in the one that is being read */
    int rc = NITRO_ENOTFOUND;
    take_frame(c, s);
    while (s->lsn <= f->last_lsn &&
           (rc = nk_logscan_record(s, s->lsn > c->floor, &p)) == NITRO_OK) {
        batch++;
        if (p.r.more) continue;
        whole += batch;
        batch = 0;
        c->end = (struct nk_check_end){.lsn = nk_max_u64(p.r.lsn, c->floor),
                                       .number = f->number,
                                       .offset = p.offset + p.bytes};
    }
    c->sum.records += needed(c, s, whole);
    if (batch == 0 && (rc == NITRO_OK || rc == NITRO_ENOTFOUND)) {
        nk_logscan_skip(s); /* what may follow is void: the next file begins before it */
        return NITRO_OK;
    }
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND && rc != NITRO_ECORRUPT) return rc;
    nk_check_hole(c, s->lsn, f->number, s->at,
                  rc == NITRO_ECORRUPT ? "the record is not valid" : "the batch is not whole");
    uint64_t from = whole > 0 ? c->end.offset : s->frame_at;
    drop_rest(c, s, needed(c, s, s->frame.count) - needed(c, s, whole), from);
    return NITRO_OK;
}

/* The frames from the first one that is needed, up to the hole. */
static int read_frames(struct nk_check *c, const struct nk_check_file *f, bool newest,
                       struct nk_logscan *s) {
    uint64_t next = 0;
    int rc = nk_logscan_seek(s, c->floor + 1, &next);
    if (f->head.first_lsn <= c->floor) c->end.offset = s->at;
    while (rc == NITRO_OK && !c->hole.found && (newest || next <= f->last_lsn)) {
        uint64_t at = s->at;
        rc = nk_logscan_frame(s);
        if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s->frame.first_lsn != next)) {
            nk_check_hole(c, next, f->number, at,
                          rc == NITRO_OK ? "records are missing" : "no valid frame is here");
            s->at = at;
            return NITRO_OK;
        }
        if (rc == NITRO_OK) rc = read_frame(c, f, s);
        next = s->lsn;
    }
    return rc;
}

int nk_check_records(struct nk_check *c, const struct nk_check_file *f, bool newest,
                     struct nitro_err *err) {
    struct nk_logscan s;
    if (f->head.first_lsn <= c->floor) {
        int rc = read_history(c, f, err);
        if (rc != NITRO_OK) return rc;
        c->end.number = f->number; /* it is kept, whatever comes behind it */
        if (!newest && f->last_lsn <= c->floor) return NITRO_OK;
    }
    int rc = scan_open(c, f, f->head.salt, f->head.first_lsn, &s, err);
    if (rc != NITRO_OK) return rc;
    rc = read_frames(c, f, newest, &s);
    if (rc == NITRO_OK && c->hole.found) rc = drop_frames(c, &s, f->last_lsn);
    return scan_close(c, f, &s, rc, err);
}

/* ---- the clean end -----------------------------------------------------------------------------*/

int nk_check_clean(struct nk_check *c, const struct nk_check_file *f, bool *clean,
                   struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    struct nk_logscan s;
    struct nk_log_footer foot;
    uint64_t end = c->end.number == f->number ? c->end.offset : NK_SECTOR;
    uint64_t at = nk_round_up(end, NK_SECTOR);
    *clean = false;
    if (f->size != at + NK_SECTOR || c->control.end != end) return NITRO_OK;
    int rc = scan_open(c, f, f->head.salt, f->head.first_lsn, &s, err);
    if (rc != NITRO_OK) return rc;
    int64_t got = nk_vfs_read(c->vfs, s.in.fd, sector, sizeof sector, at);
    if (got < 0) {
        s.sys = (int)-got;
        return scan_close(c, f, &s, NITRO_EIO, err);
    }
    *clean = got == (int64_t)sizeof sector && nk_log_footer_decode(sector, &foot) &&
             foot.number == f->number && foot.salt == f->head.salt && foot.end == end &&
             foot.last_lsn == c->control.durable_lsn;
    return scan_close(c, f, &s, NITRO_OK, err);
}
