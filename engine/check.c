/* SPDX-License-Identifier: MIT
 *
 * check.c - looking at a data folder: what is in it, what is wrong with it (L5).
 *
 * DESIGN
 *   Recovery stops at the first thing that is wrong. A check goes on: it takes from MANIFEST,
 *   CONTROL and the headers what is valid, builds the chain of files from that, and reads every
 *   record on it. What is not valid becomes a finding. The rules are those of recovery
 *   (docs/design/0003, points 7 to 9), so that damage is found here exactly when the store refuses
 *   to start; tests/c/test_check.c compares.
 *
 *     W     the largest durable LSN that anything valid knows of, a listed snapshot's S too
 *     floor S of the newest snapshot that is sound: what is not above it is not needed
 *     hole  the first record above it on the chain that is missing or not valid
 *     end   the last whole batch before it
 *   end < W is damage: something that was promised is gone. Else what lies behind the hole was
 *   never durable, and the next start drops it by itself.
 *
 *   Where the log is the data, only its end can be cut off: whatever lies before it stands for keys that
 *   nothing else knows. So damage in a file that is full is found for itself, the rest is read on, and no
 *   repair drops it.
 *
 * NOT HERE  reading the folder (check_folder.c, check_data.c), its snapshots (check_snap.c) and its records
 *           (check_scan.c, check_piece.c), changing anything (check_repair.c).
 */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#define FINDING_BYTES 320

/* ---- findings ----------------------------------------------------------------------------------*/

void nk_check_found(struct nk_check *c, enum nitro_severity severity, const char *file,
                    uint64_t offset, uint64_t lsn, const char *fmt, ...) {
    char text[FINDING_BYTES];
    if (severity == NITRO_CHECK_DAMAGE)
        c->sum.damages++;
    else
        c->sum.notes++;
    if (c->quiet || c->opt->found == NULL) return;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(text, sizeof text, fmt, ap) < 0) text[0] = '\0';
    va_end(ap);
    const struct nitro_finding f = {
        .severity = severity, .file = file, .offset = offset, .lsn = lsn, .text = text};
    c->opt->found(c->opt->ctx, &f);
}

static void damage(struct nk_check *c, const char *file, uint64_t offset, const char *text) {
    nk_check_found(c, NITRO_CHECK_DAMAGE, file, offset, 0, "%s", text);
}

void nk_check_file_found(struct nk_check *c, enum nitro_severity severity, uint64_t number,
                         const char *text) {
    char name[NK_PATH_MAX];
    nk_path_log(number, name);
    nk_check_found(c, severity, name, 0, 0, "%s", text);
}

void nk_check_hole(struct nk_check *c, uint64_t lsn, uint64_t number, uint64_t offset,
                   const char *what) {
    if (c->hole.found) return;
    c->hole = (struct nk_check_hole){
        .found = true, .lsn = lsn, .number = number, .offset = offset, .what = what};
}

void nk_check_inner(struct nk_check *c, uint64_t lsn, uint64_t number, uint64_t offset,
                    const char *what) {
    if (c->inner.found) return;
    c->inner = (struct nk_check_hole){
        .found = true, .lsn = lsn, .number = number, .offset = offset, .what = what};
}

int nk_check_io(const struct nk_check *c, struct nitro_err *err, const char *did, const char *name,
                int64_t rc) {
    return nk_err_set(err, NITRO_EIO, (int)-rc, "check %s: cannot %s %s: %s", c->opt->dir, did,
                      name, strerror((int)-rc));
}

/* ---- records -----------------------------------------------------------------------------------*/

static int read_chain(struct nk_check *c, const struct nk_check_file *newest,
                      struct nitro_err *err) {
    if (c->keydir) return nk_check_read_pieces(c, err);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct nk_check_file *f = &c->file[i];
        if (!f->on_chain) continue;
        if (f->gap) nk_check_hole(c, c->end.lsn + 1, f->head.prev_number, 0, "the file is lost");
        c->sum.files++;
        c->sum.bytes += f->size;
        int rc = nk_check_records(c, f, f == newest, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

/* Files that are not on the chain, but may hold frames: those with a bad header, and those behind
 * the newest whose header may not have reached the disk. */
static int read_others(struct nk_check *c, uint64_t newest, struct nitro_err *err) {
    for (uint32_t i = 0; i < c->count; i++) {
        struct nk_check_file *f = &c->file[i];
        bool prepared = f->state == NK_FILE_BLANK && (f->number > newest || f->lost);
        if (!f->listed || (f->state != NK_FILE_BAD && !prepared)) continue;
        uint64_t before = c->sum.drop_records;
        int rc = nk_check_frames(c, f, err);
        if (rc != NITRO_OK) return rc;
        if (c->sum.drop_records > before) f->lost = true;
    }
    return NITRO_OK;
}

/* ---- judgement ---------------------------------------------------------------------------------*/

/* A folder without MANIFEST that holds data; without data its creation did not get through. */
static void judge_folder(struct nk_check *c) {
    bool other = false; /* than logs */
    if (c->manifest_there) return;
    for (uint32_t i = 0; i < c->snap_count; i++) other |= c->snap[i].there;
    for (uint32_t i = 0; i < c->data_count; i++) other |= c->data[i].valid;
    if (nk_check_newest(c, UINT64_MAX) != NULL || c->control.durable_lsn > 0 || other)
        damage(c, NK_PATH_MANIFEST, 0, "it is not there, but the folder holds data");
    else
        nk_check_found(c, NITRO_CHECK_NOTE, NK_PATH_MANIFEST, 0, 0,
                       "it is not there, and no file holds data; the next start makes a new store");
}

static void judge_hole(struct nk_check *c) {
    char name[NK_PATH_MAX] = NK_PATH_MANIFEST; /* no file at all, not even the name of one */
    const struct nk_check_hole *h = &c->hole;
    if (h->number >= 1 && h->number <= NK_PATH_LOG_MAX) nk_path_log(h->number, name);
    if (c->end.lsn < c->sum.durable_lsn) {
        c->sum.bad_lsn = h->lsn;
        c->sum.bad_file = h->number;
        c->sum.bad_offset = h->offset;
        nk_check_found(c, NITRO_CHECK_DAMAGE, name, h->offset, h->lsn,
                       nk_check_repairable(c)
                           ? "%s, but everything up to LSN %llu was durable; a repair keeps what "
                             "comes before, up to LSN %llu, and drops %llu records behind it"
                           : "%s, but everything up to LSN %llu was durable; nothing leads beyond "
                             "LSN %llu, so that a repair is not possible; %llu records lie behind "
                             "it",
                       h->what, (unsigned long long)c->sum.durable_lsn,
                       (unsigned long long)c->end.lsn, (unsigned long long)c->sum.drop_records);
    } else if (c->sum.drop_records > 0) {
        nk_check_found(c, NITRO_CHECK_NOTE, name, h->offset, h->lsn,
                       "%s; %llu records behind it were never durable: the next start drops them",
                       h->what, (unsigned long long)c->sum.drop_records);
    }
}

static int judge_clean(struct nk_check *c, const struct nk_check_file *newest,
                       struct nitro_err *err) {
    if (!c->control.clean || c->sum.bad_lsn != 0)
        return NITRO_OK; /* then its end is not even reached */
    bool clean = false;
    if (newest != NULL && c->control.file == newest->number) {
        int rc = nk_check_clean(c, newest, &clean, err);
        if (rc != NITRO_OK) return rc;
        if (!clean)
            nk_check_file_found(
                c, NITRO_CHECK_DAMAGE, newest->number,
                "the store was stopped cleanly, but the end of its log is not as it was left");
    } else if (newest == NULL || c->control.file > newest->number) {
        damage(c, NK_PATH_CONTROL, 0,
               "the store was stopped cleanly with a file that is not in use");
    }
    c->sum.clean = clean;
    return NITRO_OK;
}

bool nk_check_repairable(const struct nk_check *c) {
    return !c->inner.found && (!c->newest_lost || c->end.lsn >= c->listed_lsn);
}

/* A merge drops what a newer record has made superfluous. If that one goes with the end of the log, nothing
 * is left. */
static void warn_merged(struct nk_check *c) {
    bool merged = false;
    for (uint32_t i = 0; i < c->data_count; i++) merged |= c->data[i].on_chain;
    if (!merged || c->sum.bad_lsn == 0 || !nk_check_repairable(c)) return;
    nk_check_found(
        c, NITRO_CHECK_NOTE, NK_PATH_MANIFEST, 0, 0,
        "of keys that were written behind LSN %llu, merges may have dropped what they had "
        "before; a repair does not bring that back",
        (unsigned long long)c->end.lsn);
}

/* Where the first damage is, if it is not at the end. */
static void name_inner(struct nk_check *c) {
    if (!c->inner.found || (c->sum.bad_lsn != 0 && c->sum.bad_lsn <= c->inner.lsn)) return;
    c->sum.bad_lsn = c->inner.lsn;
    c->sum.bad_file = c->inner.number;
    c->sum.bad_offset = c->inner.offset;
}

int nk_check_look(struct nk_check *c, struct nitro_err *err) {
    int rc = nk_check_folder(c, err);
    if (rc != NITRO_OK) return rc;
    judge_folder(c);
    c->end.lsn = c->floor;
    const struct nk_check_file *newest = nk_check_newest(c, UINT64_MAX);
    rc = read_chain(c, newest, err);
    if (rc == NITRO_OK) rc = read_others(c, newest == NULL ? 0 : newest->number, err);
    if (rc != NITRO_OK) return rc;
    nk_check_hole(c, c->end.lsn + 1, c->control.file, 0, "no log file is in use");
    c->seen_lsn = nk_max_u64(c->seen_lsn, nk_max_u64(c->sum.durable_lsn, c->end.lsn));
    c->sum.last_lsn = c->end.lsn;
    judge_hole(c);
    rc = judge_clean(c, newest, err);
    if (rc != NITRO_OK) return rc;
    warn_merged(c);
    name_inner(c);
    return NITRO_OK;
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* Opens the folder if a store lies in it. */
static int open_folder(struct nk_check *c, struct nitro_err *err) {
    int fd = c->vfs->dir_open(c->vfs->ctx, c->opt->dir, 0);
    if (fd == -ENOTDIR)
        return nk_err_set(err, NITRO_ENOTFOUND, -fd, "check %s: that is not a folder", c->opt->dir);
    if (fd == -ENOENT)
        return nk_err_set(err, NITRO_ENOTFOUND, -fd, "check %s: there is no such folder",
                          c->opt->dir);
    if (fd < 0) return nk_check_io(c, err, "open", "the folder", fd);
    c->dirfd = fd;
    struct nk_check names = *c;
    int rc = nk_check_names(&names, err);
    bool store = names.manifest_there || names.control_there ||
                 names.count + names.snap_count + names.data_count > 0;
    nk_check_fini(&names);
    if (rc == NITRO_OK && !store)
        return nk_err_set(err, NITRO_ENOTFOUND, 0, "check %s: there is no store in this folder",
                          c->opt->dir);
    return rc;
}

static int lock_folder(const struct nk_check *c, int *lock, struct nitro_err *err) {
    char owner[64] = "";
    int fd = c->vfs->lock(c->vfs->ctx, c->dirfd, NK_PATH_LOCK, owner, sizeof owner);
    if (fd == -EWOULDBLOCK)
        return nk_err_set(err, NITRO_EINUSE, EWOULDBLOCK,
                          "check %s: another process is using the folder (%s); stop it first",
                          c->opt->dir, owner[0] != '\0' ? owner : "it did not say which");
    if (fd < 0) return nk_check_io(c, err, "lock", NK_PATH_LOCK, fd);
    *lock = fd;
    return NITRO_OK;
}

/* A second look must find nothing any more. */
static int look_again(const struct nk_check *c, struct nitro_err *err) {
    struct nk_check again = {
        .opt = c->opt, .vfs = c->vfs, .mem = c->mem, .dirfd = c->dirfd, .quiet = true};
    int rc = nk_check_look(&again, err);
    bool good = again.sum.damages == 0 && again.end.lsn == c->end.lsn;
    nk_check_fini(&again);
    if (rc != NITRO_OK || good) return rc;
    return nk_err_set(err, NITRO_ECORRUPT, 0,
                      "check %s: the folder is still damaged after the repair; the files as they "
                      "were end in .bak-%lld",
                      c->opt->dir, (long long)c->opt->now_ms);
}

static int run(struct nk_check *c, struct nitro_err *err) {
    int rc = nk_check_look(c, err);
    c->sum.mode = (uint32_t)c->mode;
    if (rc != NITRO_OK || c->sum.damages == 0) return rc;
    c->sum.repairable = nk_check_may_repair(c);
    c->sum.starts = c->tolerated == c->sum.damages;
    if (!c->opt->repair) return rc;
    rc = nk_check_repair(c, err);
    if (rc == NITRO_OK) rc = look_again(c, err);
    if (rc == NITRO_OK) c->sum.repaired = 1;
    return rc;
}

int nitro_check(const struct nitro_check_options *opt, struct nitro_check_result *out,
                struct nitro_err *err) {
    if (opt->dir == NULL || opt->dir[0] == '\0' || opt->now_ms < 0)
        return nk_err_set(err, NITRO_EARGUMENT, 0,
                          "check: needs a folder, and a time not before 1970");
    struct nk_check c = {.opt = opt,
                         .vfs = opt->vfs != NULL ? opt->vfs : nitro_vfs_system(),
                         .mem = opt->mem != NULL ? opt->mem : nitro_mem_system(),
                         .dirfd = -1};
    int lock = -1;
    int rc = open_folder(&c, err);
    if (rc == NITRO_OK) rc = lock_folder(&c, &lock, err);
    if (rc == NITRO_OK) rc = run(&c, err);
    nk_check_fini(&c);
    if (lock >= 0) (void)c.vfs->close(c.vfs->ctx, lock); /* that is how it is given back */
    if (c.dirfd >= 0) (void)c.vfs->dir_close(c.vfs->ctx, c.dirfd);
    if (rc == NITRO_OK) *out = c.sum;
    return rc;
}
