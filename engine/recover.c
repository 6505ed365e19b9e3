/* SPDX-License-Identifier: MIT
 *
 * recover.c - what of the log was durable, what is a tail, what is damaged (L4).
 *
 * DESIGN
 *   W is the largest durable LSN that anything on disk knows of: CONTROL, the headers, frames. Everything up
 *   to W was promised. c is the first LSN whose record is missing or not valid.
 *       c <= W   damage: refuse.
 *       c >  W   a tail that was never durable ends before c: serve up to there, whole batches only.
 *   A header carries the durable LSN at the time its file came into use, which no frame of an older file
 *   exceeds. So W needs the frames of the newest file only (and of files prepared after it, whose
 *   headers may not have reached the disk). Files that end at or before W hold no tail: their records
 *   are looked at by the replay, which needs each of them.
 *
 *   A listed snapshot says that everything up to its S was durable, and holds it. So W is at least S, and
 *   records up to S are not needed: whether they are there or valid is never asked.
 *
 *   So does a listed merged file of the LSNs up to its cut, which were durable before it was listed: what effects up to there have made
 *   dead may not be in it, so it is worth nothing without them. But a repair may have given them up: then the log goes on
 *   behind the cut, and says that it ended before.
 *
 *   finish (docs/design/0003, point 8) never appends to an old file. Valid records above W go, with their
 *   LSNs, into a new file; another new one takes the appends. The order makes each step safe to stop
 *   after: a file is listed before its header says that it is used, and the old tail is given up only
 *   when the new copy is durable and on the chain.
 *
 * NOT HERE  the folder's lists (folder.c), the chain (folder_chain.c), a point in the past (recover_point.c), the last
 *   step (recover_finish.c), what is done where the log is the data (recover_data.c), loading the snapshot (load.c), applying records (replay.c).
 */
#include "recover.h"

#include "logscan.h"
#include "mutant.h"

void nk_recover_note(const struct nk_log *l, const char *name, uint64_t offset) {
    size_t bytes = strlen(name) + 1;
    if (l->bad == NULL || bytes > sizeof l->bad->file) return;
    memcpy(l->bad->file, name, bytes);
    l->bad->offset = offset;
}

int nk_recover_damage(const struct nk_log *l, struct nitro_err *err, uint64_t number,
                      uint64_t offset, uint64_t lsn, const char *what) {
    char name[NK_PATH_MAX] = "the log";
    if (number != 0) nk_path_log(number, name);
    if (number != 0) nk_recover_note(l, name, offset);
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "open %s: %s, offset %llu, LSN %llu: %s; this was durable (up to LSN %llu), so "
        "nothing was changed; see: nitrokv check %s",
        l->dir, name, (unsigned long long)offset, (unsigned long long)lsn, what,
        (unsigned long long)l->durable, l->dir);
}

int nk_live_scan_failed(const struct nk_log *l, struct nitro_err *err, const struct nk_live *f,
                        const struct nk_logscan *s, int rc) {
    char name[NK_PATH_MAX];
    nk_path_log(f->number, name);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(err, rc, 0, "read %s/%s: out of memory", l->dir, name);
    return nk_err_set(err, NITRO_EIO, s->sys, "read %s/%s at offset %llu: %s", l->dir, name,
                      (unsigned long long)s->at, strerror(s->sys));
}

uint64_t nk_live_last(const struct nk_log *l, uint32_t i) {
    const struct nk_live *f = &l->live[i];
    if (!f->on_chain || f->last_lsn < f->head.first_lsn || f->head.first_lsn > l->last_lsn)
        return 0;
    return nk_min_u64(f->last_lsn, l->last_lsn);
}

uint64_t nk_live_needed(const struct nk_log *l, uint32_t i) {
    uint64_t last = nk_live_last(l, i);
    /* A life without a log has written none behind its snapshot, though the chain goes on at a later LSN. */
    if (l->base.wal_off && l->live[i].head.first_lsn <= l->base.lsn) return 0;
    return last > l->base.lsn ? last : 0;
}

/* ---- open, close -------------------------------------------------------------------------------*/

/* A look at the past makes no LOCK where there is no store. */
static bool is_no_store(const struct nk_log *l) {
    if (!l->read_only) return false;
    int fd = nk_vfs_open(l->vfs, l->dirfd, NK_PATH_MANIFEST, NITRO_FILE_READ);
    if (fd >= 0) (void)l->vfs->close(l->vfs->ctx, fd);
    return fd == -ENOENT;
}

static int open_folder(struct nk_log *l, struct nitro_err *err) {
    char owner[64] = "";
    l->dirfd = l->vfs->dir_open(l->vfs->ctx, l->dir, l->read_only ? 0 : NITRO_DIR_CREATE);
    if (l->dirfd == -ENOENT && l->read_only)
        return nk_err_set(err, NITRO_ENOTFOUND, ENOENT, "open %s: there is no such folder", l->dir);
    if (l->dirfd < 0)
        return nk_err_set(err, NITRO_EIO, -l->dirfd,
                          "open the data folder %s: %s; create it, or choose another one", l->dir,
                          strerror(-l->dirfd));
    if (is_no_store(l)) return nk_folder_read(l, err); /* says so, or what else is wrong */
    l->lock_fd = l->vfs->lock(l->vfs->ctx, l->dirfd, NK_PATH_LOCK, owner, sizeof owner);
    if (l->lock_fd == -EWOULDBLOCK) {
        owner[strcspn(owner, "\r\n")] = 0;
        return nk_err_set(err, NITRO_EINUSE, EWOULDBLOCK,
                          "open the data folder %s: another process is using it (%s); stop it, or "
                          "choose another folder",
                          l->dir, owner[0] != 0 ? owner : "it did not say which");
    }
    if (l->lock_fd < 0)
        return nk_err_set(err, NITRO_EIO, -l->lock_fd, "lock the data folder %s: %s", l->dir,
                          strerror(-l->lock_fd));
    return nk_folder_read(l, err);
}

static int check_file_bytes(uint32_t mode, uint64_t bytes, struct nitro_err *err) {
    const struct nk_mode_info *is = nk_mode_info(mode);
    if (bytes == 0 || (bytes >= NK_LOG_FILE_MIN && bytes <= is->file_bytes_max)) return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0, "log files of %llu bytes: must be %s in mode %s",
                      (unsigned long long)bytes, is->file_range, is->name);
}

static int check_options(const struct nk_log_options *o, struct nitro_err *err) {
    uint32_t mode = o->mode != 0 ? o->mode : NK_MODE_MEMORY; /* which allows the largest files */
    const struct nk_mode_info *is = nk_mode_info(mode);
    if (o->dir[0] == 0) return nk_err_set(err, NITRO_EARGUMENT, 0, "the data folder has no name");
    if (is == NULL || !is->served)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "open %s: mode %u is none that this program serves", o->dir, mode);
    return check_file_bytes(mode, o->file_bytes, err);
}

/* Memory of the log's own. */
static bool take_memory(struct nk_log *l, const char *dir) {
    l->dir_bytes = strlen(dir) + 1;
    l->dir = nk_mem_alloc(l->mem, l->dir_bytes);
    l->ring = nk_mem_map(l->mem, NK_RING_BYTES, NK_PAGE);
    l->frames = nk_mem_alloc(l->mem, NK_LOG_FRAMES * sizeof *l->frames);
    l->splices = nk_mem_alloc(l->mem, NK_LOG_SPLICES * sizeof *l->splices);
    if (l->dir != NULL) memcpy(l->dir, dir, l->dir_bytes);
    return l->dir != NULL && l->ring != NULL && l->frames != NULL && l->splices != NULL;
}

static struct nk_log *new_log(const struct nk_log_options *o) {
    struct nk_log *l = nk_mem_map(o->mem, nk_round_up(sizeof *l, NK_PAGE), NK_PAGE);
    if (l == NULL) return NULL;
    l->mem = o->mem;
    l->vfs = o->vfs;
    l->mode = o->mode;
    l->release = o->release;
    l->retain = o->retain;
    l->release_ctx = o->release_ctx;
    l->read_only = o->read_only;
    l->bad = o->bad;
    l->to_lsn = o->to_lsn;
    l->to_ms = o->to_ms;
    l->salts.k0 = nk_load64(o->seed);
    l->salts.k1 = nk_load64(o->seed + 8);
    l->dirfd = l->lock_fd = l->control_fd = l->manifest_fd = l->old_dirfd = l->linking.dir = -1;
    l->past = UINT64_MAX;
    l->next_number = 1;
    return l;
}

/* What follows from the mode, which may be known only since the folder was read. */
static int settle_mode(struct nk_log *l, uint64_t file_bytes, struct nitro_err *err) {
    if (l->mode == 0) l->mode = NK_MODE_MEMORY;
    const struct nk_mode_info *is = nk_mode_info(l->mode);
    int rc = check_file_bytes(l->mode, file_bytes, err);
    if (rc != NITRO_OK) return rc;
    if (file_bytes == 0) file_bytes = is->file_bytes;
    l->file_bytes = nk_round_up(file_bytes, NK_PAGE);
    l->step = nk_max_u64(NK_LOG_STEP_MIN, nk_min_u64(NK_LOG_STEP_MAX, file_bytes / 16));
    if (!is->log_is_data) return NITRO_OK;
    l->files = nk_files_open(l->mem, l->vfs);
    if (l->files != NULL) return NITRO_OK;
    return nk_err_set(err, NITRO_ENOMEM, 0, "open %s: no memory for its table of files", l->dir);
}

int nk_log_open(const struct nk_log_options *o, struct nk_log **out, struct nitro_err *err) {
    int rc = check_options(o, err);
    if (rc != NITRO_OK) return rc;
    struct nk_log *l = new_log(o);
    if (l == NULL || !take_memory(l, o->dir)) {
        nk_log_close(&l);
        return nk_err_set(err, NITRO_ENOMEM, 0, "open %s: no memory for the log", o->dir);
    }
    rc = open_folder(l, err);
    if (rc == NITRO_OK) rc = settle_mode(l, o->file_bytes, err);
    if (rc != NITRO_OK) {
        nk_log_close(&l);
        return rc;
    }
    *out = l;
    return NITRO_OK;
}

static void close_fd(const struct nk_log *l, int fd) {
    if (fd >= 0) (void)l->vfs->close(l->vfs->ctx, fd);
}

void nk_log_close(struct nk_log **lp) {
    struct nk_log *l = *lp;
    *lp = NULL;
    if (l == NULL) return;
    for (; l->splice_head != l->splice_tail; l->splice_head++)
        l->release(l->release_ctx, l->splices[l->splice_head % NK_LOG_SPLICES].object);
    struct nk_log_file *f = l->unsynced;
    while (f != NULL) {
        struct nk_log_file *next = f->next;
        nk_log_file_free(l, &f);
        f = next;
    }
    nk_log_file_free(l, &l->prepared);
    nk_files_close(&l->files);
    nk_log_link_stop(l); /* a start removes what there is of it */
    close_fd(l, l->manifest_fd);
    close_fd(l, l->control_fd);
    close_fd(l, l->lock_fd);
    if (l->old_dirfd >= 0) (void)l->vfs->dir_close(l->vfs->ctx, l->old_dirfd);
    if (l->dirfd >= 0) (void)l->vfs->dir_close(l->vfs->ctx, l->dirfd);
    const struct nitro_mem *m = l->mem;
    nk_mem_free(m, l->live, l->live_cap * sizeof *l->live);
    nk_mem_free(m, l->snaps, l->snap_cap * sizeof *l->snaps);
    nk_mem_free(m, l->data, l->data_cap * sizeof *l->data);
    nk_mem_free(m, l->old.file, l->old.cap * sizeof *l->old.file);
    nk_mem_free(m, l->orphans, l->orphan_cap * sizeof *l->orphans);
    nk_mem_free(m, l->splices, NK_LOG_SPLICES * sizeof *l->splices);
    nk_mem_free(m, l->frames, NK_LOG_FRAMES * sizeof *l->frames);
    nk_mem_free(m, l->dir, l->dir_bytes);
    if (l->ring != NULL) nk_mem_unmap(m, l->ring, NK_RING_BYTES);
    nk_mem_unmap(m, l, nk_round_up(sizeof *l, NK_PAGE));
}

/* ---- scan --------------------------------------------------------------------------------------*/

int nk_recover_open(const struct nk_log *l, enum nk_manifest_kind kind, uint64_t number,
                    int64_t old_ms, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    if (old_ms != 0)
        nk_log_old_path(kind, number, old_ms, name);
    else if (kind == NK_FILE_LOG)
        nk_path_log(number, name);
    else
        nk_path_data(number, name);
    int fd = nk_vfs_open(l->vfs, old_ms != 0 ? l->old_dirfd : l->dirfd, name, NITRO_FILE_READ);
    if (fd < 0)
        (void)nk_err_set(err, NITRO_EIO, -fd, "open %s/%s%s: %s", l->dir,
                         old_ms != 0 ? NK_PATH_RETAINED "/" : "", name, strerror(-fd));
    return fd;
}

/* A scanner of a listed file, with its own handle. */
int nk_live_scan(struct nk_log *l, const struct nk_live *f, struct nk_logscan *s,
                 struct nitro_err *err) {
    int fd = nk_recover_open(l, NK_FILE_LOG, f->number, f->old_ms, err);
    if (fd < 0) return NITRO_EIO;
    nk_logscan_init(s, l->vfs, l->mem, fd, f->size, f->salt, f->head.first_lsn);
    return NITRO_OK;
}

void nk_live_scan_end(struct nk_log *l, struct nk_logscan *s) {
    close_fd(l, s->in.fd);
    nk_logscan_fini(s);
}

static void raise(uint64_t *max, uint64_t v) { *max = nk_max_u64(*max, v); }

/* What every valid frame of a file says, to the file's end, also behind what is not valid. */
static int read_frames(struct nk_log *l, const struct nk_live *f, struct nitro_err *err) {
    struct nk_logscan s;
    int rc = nk_live_scan(l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    while ((rc = NK_MUTATE(16, nk_logscan_frame(&s), nk_logscan_resync(&s))) == NITRO_OK) {
        raise(&l->durable, s.frame.durable_lsn);
        raise(&l->seen_lsn, s.frame.first_lsn + s.frame.count - 1);
        if (s.frame.time_ms > l->newest_ms) l->newest_ms = s.frame.time_ms;
        nk_logscan_skip(&s);
    }
    rc = rc == NITRO_ENOTFOUND ? NITRO_OK : nk_live_scan_failed(l, err, f, &s, rc);
    nk_live_scan_end(l, &s);
    return rc;
}

/* The footer behind offset `end`, if there is a valid one and nothing behind it. */
static int read_footer(struct nk_log *l, const struct nk_live *f, uint64_t end, bool *found,
                       struct nk_log_footer *foot, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    struct nk_logscan s;
    uint64_t at = nk_round_up(end, NK_SECTOR);
    *found = false;
    if (f->size != at + NK_SECTOR) return NITRO_OK;
    int rc = nk_live_scan(l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    int64_t got = nk_vfs_read(l->vfs, s.in.fd, sector, sizeof sector, at);
    nk_live_scan_end(l, &s);
    if (got < 0) {
        s.sys = (int)-got;
        return nk_live_scan_failed(l, err, f, &s, NITRO_EIO);
    }
    *found = got == (int64_t)sizeof sector && nk_log_footer_decode(sector, foot) &&
             foot->number == f->number && foot->salt == f->salt && foot->end == end;
    return NITRO_OK;
}

/* Up to where a listed merged file says that all was durable. */
static uint64_t durable_by(const struct nk_log *l, const struct nk_data_header *h) {
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_log_header *f = &l->live[i].head;
        if (f->used && f->prev_last_lsn < h->cut_lsn && h->cut_lsn < f->first_lsn)
            return h->last_lsn;
    }
    return NK_MUTATE(96, h->last_lsn, h->cut_lsn);
}

/* W, from everything but the footer. */
static int find_durable(struct nk_log *l, struct nitro_err *err) {
    uint64_t newest = 0;
    raise(&l->durable, l->control.durable_lsn);
    raise(&l->durable, l->base.lsn);
    /* a store without a log may have given out versions since that nothing on the disk knows */
    if (l->base.wal_off) raise(&l->seen_lsn, l->base.lsn + NK_LSN_ROOM);
    l->newest_ms = l->control.time_ms;
    if (l->base.foot.time_ms > l->newest_ms) l->newest_ms = l->base.foot.time_ms;
    for (uint32_t i = 0; i < l->data_count; i++) {
        raise(&l->durable, NK_MUTATE(82, 0, durable_by(l, &l->data[i].head)));
        if (l->data[i].head.time_ms > l->newest_ms) l->newest_ms = l->data[i].head.time_ms;
    }
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_log_header *h = &l->live[i].head;
        if (!h->used) continue;
        raise(&l->durable, h->durable_lsn);
        raise(&l->seen_lsn, NK_MUTATE(14, 0, h->first_lsn));
        raise(&l->seen_lsn, h->prev_last_lsn);
        if (h->time_ms > l->newest_ms) l->newest_ms = h->time_ms;
        if (l->live[i].on_chain) newest = h->number;
    }
    for (uint32_t i = 0; i < l->live_count; i++) {
        if (l->live[i].number < newest) continue;
        int rc = read_frames(l, &l->live[i], err);
        if (rc != NITRO_OK) return rc;
    }
    raise(&l->seen_lsn, l->durable);
    return NITRO_OK;
}

/* Where the walk over records is. */
struct walk {
    uint64_t whole;     /* last LSN at the end of a batch */
    uint64_t whole_end; /* offset behind it, in file `whole_file` */
    uint64_t whole_file;
    uint64_t keep_end;                  /* behind the last record up to W in the file */
    uint64_t bad_lsn, bad_file, bad_at; /* c */
    bool stopped;
    bool in_batch;
};

static void walk_stop(struct walk *w, const struct nk_live *f, uint64_t lsn, uint64_t at) {
    w->stopped = true;
    w->bad_lsn = lsn;
    w->bad_file = f->number;
    w->bad_at = at;
}

/* The records of one frame. NITRO_OK; walk_stop at the first that is not valid. */
static int walk_frame(const struct nk_log *l, struct nk_logscan *s, const struct nk_live *f,
                      struct walk *w) {
    for (;;) {
        struct nk_placed rec;
        int rc = nk_logscan_record(s, s->lsn > l->base.lsn, &rec);
        if (rc == NITRO_OK) {
            w->in_batch = NK_MUTATE(15, false, rec.r.more);
            if (w->in_batch) continue;
            raise(&w->whole, rec.r.lsn);
            w->whole_end = rec.offset + rec.bytes;
            w->whole_file = f->number;
            if (rec.r.lsn <= l->durable)
                w->keep_end = s->frame_end; /* a look at the past reads whole frames */
            continue;
        }
        if (rc == NITRO_ECORRUPT || (rc == NITRO_ENOTFOUND && w->in_batch))
            walk_stop(w, f, s->lsn, s->at);
        return rc == NITRO_ECORRUPT || rc == NITRO_ENOTFOUND ? NITRO_OK : rc;
    }
}

/* The records of one file, from the first that is needed, up to the first that is not valid or not there. A file
 * whose last LSN is known must reach it. */
static int walk_file(struct nk_log *l, struct nk_live *f, bool newest, struct walk *w,
                     struct nitro_err *err) {
    struct nk_logscan s;
    int rc = nk_live_scan(l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    uint64_t next = f->head.first_lsn;
    rc = nk_logscan_seek(&s, l->base.lsn + 1, &next);
    w->whole_file = f->number;
    w->whole_end = w->keep_end = s.at;
    while (rc == NITRO_OK) {
        uint64_t at = s.at;
        if (!newest && next > f->last_lsn) break;
        rc = nk_logscan_frame(&s);
        if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s.lsn != next)) {
            walk_stop(w, f, next, at);
            rc = NITRO_OK;
            break;
        }
        if (rc == NITRO_OK) rc = walk_frame(l, &s, f, w);
        if (rc != NITRO_OK || w->stopped) break;
        next = s.lsn;
    }
    if (rc != NITRO_OK) rc = nk_live_scan_failed(l, err, f, &s, rc);
    f->end = w->whole_end;
    f->keep_end = w->keep_end;
    raise(&l->seen_lsn, w->whole);
    nk_live_scan_end(l, &s);
    return rc;
}

/* The clean mark: the newest file must end where CONTROL says, with its footer. */
static int check_clean(struct nk_log *l, const struct nk_live *f, const struct walk *w,
                       struct nitro_err *err) {
    struct nk_log_footer foot;
    bool found = false;
    uint64_t end = w->whole_file == f->number ? w->whole_end : NK_SECTOR;
    int rc = read_footer(l, f, end, &found, &foot, err);
    if (rc != NITRO_OK) return rc;
    if (found) raise(&l->durable, foot.last_lsn);
    l->clean = l->control.clean && l->control.file == f->number && found && l->control.end == end &&
               foot.last_lsn == l->control.durable_lsn;
    if (l->control.clean && l->control.file == f->number && !l->clean)
        return nk_recover_damage(
            l, err, f->number, end, w->whole + 1,
            "the store was stopped cleanly, but the end of its log is not as it "
            "was left");
    if (l->control.clean && l->control.file > f->number)
        return nk_recover_damage(l, err, l->control.file, 0, w->whole + 1,
                                 "CONTROL knows this file, but it is not in use");
    return NITRO_OK;
}

/* The end of the log is below W. Who looks at the past may not need what is missing. */
static int find_hole(struct nk_log *l, const struct walk *w, struct nitro_err *err) {
    if (w->whole >= NK_MUTATE(17, 0, l->durable)) return NITRO_OK;
    if (l->read_only && l->to_lsn <= w->whole) return NITRO_OK;
    uint64_t file = w->bad_file;
    if (file == 0 && l->live_count > 0) file = l->live[l->live_count - 1].number;
    return nk_recover_damage(l, err, file, w->bad_at, w->bad_lsn,
                             w->bad_file != 0 ? "the record is missing or not valid"
                                              : "the log is not in use from here on");
}

/* The last LSN that is in a snapshot or a merged file: all of them are, up to there. */
static uint64_t last_outside_of_logs(const struct nk_log *l) {
    uint64_t last = l->base.lsn;
    for (uint32_t i = 0; i < l->data_count; i++)
        if (l->data[i].on_chain) raise(&last, l->data[i].head.last_lsn);
    return last;
}

/* The log file that the records end in; NULL if there is none behind what was merged. */
static struct nk_live *last_log(struct nk_log *l) {
    struct nk_live *newest = NULL;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].on_chain) newest = &l->live[i];
    for (uint32_t i = 0; i < l->data_count && newest != NULL; i++)
        if (l->data[i].on_chain && l->data[i].head.first_lsn > newest->head.first_lsn)
            newest = NULL;
    return newest;
}

/* Walks the records of the files that end above W. */
static int find_end(struct nk_log *l, struct nitro_err *err) {
    struct walk w = {.whole = last_outside_of_logs(l)};
    struct nk_live *newest = last_log(l);
    w.bad_lsn = w.whole + 1;
    if (newest == NULL) {
        l->last_lsn = w.whole;
        l->next_lsn = l->seen_lsn + NK_MUTATE(13, 1, NK_LSN_JUMP);
        return find_hole(l, &w, err);
    }
    for (uint32_t i = 0; i < l->live_count && !w.stopped; i++) {
        struct nk_live *f = &l->live[i];
        if (!f->on_chain) continue;
        if (f != newest && (f->last_lsn <= l->durable || f->last_lsn < f->head.first_lsn)) {
            if (f->last_lsn >= f->head.first_lsn) raise(&w.whole, f->last_lsn);
            continue; /* the replay looks at it */
        }
        int rc = walk_file(l, f, f == newest, &w, err);
        if (rc != NITRO_OK) return rc;
    }
    int rc = check_clean(l, newest, &w, err);
    if (rc != NITRO_OK) return rc;
    newest->last_lsn = nk_max_u64(w.whole, newest->head.first_lsn - 1);
    rc = find_hole(l, &w, err);
    if (rc != NITRO_OK) return rc;
    l->last_lsn = w.whole;
    l->next_lsn = l->clean ? nk_max_u64(w.whole + 1, newest->head.first_lsn)
                           : l->seen_lsn + NK_MUTATE(13, 1, NK_LSN_JUMP);
    l->found.cut_file = w.bad_file;
    l->found.cut_offset = w.whole_end;
    return NITRO_OK;
}

/* What a cut drops: bytes of valid frames, or of a torn one, behind the end. */
static int count_cut(struct nk_log *l, struct nitro_err *err) {
    if (l->found.cut_file == 0) return NITRO_OK; /* it does not end in a log */
    for (uint32_t i = 0; i < l->live_count; i++) {
        const struct nk_live *f = &l->live[i];
        if (!f->on_chain || f->number < l->found.cut_file || l->clean) continue;
        struct nk_logscan s;
        int rc = nk_live_scan(l, f, &s, err);
        if (rc != NITRO_OK) return rc;
        if (f->number == l->found.cut_file) s.at = l->found.cut_offset;
        uint64_t end = s.at;
        while ((rc = nk_logscan_resync(&s)) == NITRO_OK) {
            nk_logscan_skip(&s);
            l->found.cut_bytes += s.at - end;
            end = s.at;
        }
        if (rc != NITRO_ENOTFOUND) rc = nk_live_scan_failed(l, err, f, &s, rc);
        nk_live_scan_end(l, &s);
        if (rc != NITRO_ENOTFOUND) return rc;
    }
    return NITRO_OK;
}

/* What there is to read, for the host. */
static void count_found(struct nk_log *l) {
    struct nitro_recovery *f = &l->found;
    f->snapshot_lsn = l->base.lsn;
    f->snapshot_number = l->base.number;
    f->snapshot_bytes = l->base.bytes;
    f->snapshot_keys = l->base.foot.keys;
    for (uint32_t i = 0; i < l->live_count; i++) {
        if (nk_live_needed(l, i) == 0) continue;
        f->files++;
        f->bytes += l->live[i].end != 0 ? l->live[i].end : l->live[i].size;
    }
    for (uint32_t i = 0; i < l->data_count; i++) {
        if (!l->data[i].on_chain) continue;
        f->files++;
        f->bytes += l->data[i].head.end;
    }
}

/* Records above W that are served. */
static uint64_t count_tail(const struct nk_log *l) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < l->live_count; i++) {
        uint64_t last = nk_live_last(l, i), first = l->live[i].head.first_lsn;
        if (last > l->durable) n += last + 1 - nk_max_u64(first, l->durable + 1);
    }
    return n;
}

int nk_recover_scan(struct nk_log *l, struct nitro_err *err) {
    l->found = (struct nitro_recovery){.created = l->created};
    if (l->created) return NITRO_OK;
    int rc = find_durable(l, err);
    if (rc == NITRO_OK) rc = find_end(l, err);
    if (rc == NITRO_OK) rc = l->read_only ? nk_recover_point(l, err) : count_cut(l, err);
    if (rc != NITRO_OK) return rc;
    count_found(l);
    l->found.durable_lsn = nk_min_u64(l->durable, l->last_lsn);
    l->found.last_lsn = l->last_lsn;
    l->found.tail_records = count_tail(l);
    l->found.clean = l->clean;
    if (l->found.cut_bytes == 0) l->found.cut_file = l->found.cut_offset = 0;
    return nk_recover_slots(l, err);
}
