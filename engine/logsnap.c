/* SPDX-License-Identifier: MIT
 *
 * logsnap.c - snapshots as files of the folder: making one, listing it, and what may go then (L4).
 *
 * ORDER  (a crash between two steps leaves a folder that recovers to the same)
 *   1. NNNNNNNNNN.snap.tmp is made, written and synced. Nothing refers to it.
 *   2. It gets its name, and the folder is synced. Still nothing refers to it: a start removes it.
 *   3. MANIFEST lists it. The log is durable up to S by now, so from here on a start begins with it, and needs no
 *      record up to S. Without a log CONTROL notes S then: an entry of MANIFEST that is lost again is damage,
 *      not a torn end.
 *   4. Older snapshots and logs that neither a start nor a restore needs go, the oldest first: out of MANIFEST,
 *      durably, and then out of the folder. So whatever is listed is there, and the logs that are listed are
 *      the end of the chain at every moment.
 *   A failure up to step 3 harms nothing but the snapshot. In step 3 and 4 MANIFEST may hold what nobody knows
 *   then: a failure there is one of the log (nk_log_edit).
 *
 *   A log goes only if the used header of the file behind it is durable: that says where the chain goes on. Of a file
 *   of this life that is known when its first frame is durable, because its header was written with it.
 *
 * RETENTION  The base is the newest point that a restore to the oldest point that is promised can begin with: a
 *   snapshot, or the empty store if the log is whole. It and all log above it stay. Between it and the newest
 *   snapshot MIDDLE_MAX others stay, because the base has to move on to one of them.
 *   How old a point is, is said by the times of snapshots, which are not before those of their records. How many
 *   bytes ago it was, by the sizes of the files behind it. Where neither is exact, more is kept.
 *
 * THREADS  The filler's alone; what writers and syncers use is never touched.
 */
#include "recover.h"
#include "mutant.h"

#define MIDDLE_MAX 6u

/* A failure that harms nothing but the snapshot. */
static int cannot(const struct nk_log *l, struct nitro_err *err, int rc, const char *what,
                  const char *name) {
    return nk_err_set(err, nk_log_is_full(rc) ? NITRO_ELOGFULL : NITRO_EIO, -rc,
                      "%s %s/%s: %s; the snapshots and the log that there were stay", what, l->dir,
                      name, strerror(-rc));
}

/* ---- making one --------------------------------------------------------------------------------*/

int nk_log_snap_create(struct nk_log *l, uint64_t *number, uint64_t *salt, int *fd,
                       struct nitro_err *err) {
    char tmp[NK_PATH_MAX];
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    uint64_t n = l->next_number++;
    nk_path_snap_tmp(n, tmp);
    int f = nk_vfs_open(l->vfs, l->dirfd, tmp,
                        NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    if (f < 0) return cannot(l, err, f, "make", tmp);
    l->making.number = n;
    l->making.written = __atomic_load_n(&l->written_bytes, __ATOMIC_RELAXED);
    l->making.named = l->making.listed = false;
    *number = n;
    *salt = nk_log_salt(l);
    *fd = f;
    return NITRO_OK;
}

/* It gets its name, durably. */
static int name_it(struct nk_log *l, uint64_t number, struct nitro_err *err) {
    char tmp[NK_PATH_MAX], name[NK_PATH_MAX];
    nk_path_snap_tmp(number, tmp);
    nk_path_snap(number, name);
    int rc = l->vfs->rename(l->vfs->ctx, l->dirfd, tmp, name, "snapshot: rename");
    if (rc != 0) return cannot(l, err, rc, "rename", tmp);
    l->making.named = true;
    rc = NK_MUTATE(43, 0, nk_vfs_dir_sync(l->vfs, l->dirfd, "snapshot: sync folder"));
    return rc == 0 ? NITRO_OK : cannot(l, err, rc, "sync the folder of", name);
}

int nk_log_snap_install(struct nk_log *l, const struct nk_snap_foot *foot, uint64_t lsn,
                        uint64_t bytes, struct nitro_err *err) {
    NK_ASSERT(l->making.number == foot->number);
    struct nk_manifest_edit e = {.op = NK_MANIFEST_ADD,
                                 .kind = NK_FILE_SNAP,
                                 .number = foot->number,
                                 .salt = foot->salt,
                                 .last_lsn = lsn};
    int rc = nk_log_check(l, err);
    if (rc == NITRO_OK) rc = name_it(l, foot->number, err);
    if (rc != NITRO_OK) return rc;
    rc = nk_log_edit(l, &e, err);
    l->making.listed = rc == NITRO_OK || rc == NITRO_EIO; /* or it may be */
    if (rc != NITRO_OK) return rc;
    struct nk_log_snap *s = nk_folder_find_snap(l, foot->number);
    s->bytes = bytes;
    s->wal_off = l->wal_off;
    s->foot = *foot;
    l->since = 0;
    l->since_at = l->making.written;
    l->making.number = 0;
    if (!l->wal_off) return NITRO_OK;
    return nk_log_control(l, lsn, l->cur->number, 0, false, foot->time_ms, err);
}

void nk_log_snap_discard(struct nk_log *l, uint64_t number) {
    char name[NK_PATH_MAX];
    if (l->making.number != number || l->making.listed) return;
    l->making.number = 0;
    if (l->making.named)
        nk_path_snap(number, name);
    else
        nk_path_snap_tmp(number, name);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "snapshot: discard");
}

const struct nk_log_snap *nk_log_snap_newest(const struct nk_log *l) {
    return l->snap_count > 0 ? &l->snaps[l->snap_count - 1] : NULL;
}

/* ---- what the log files are --------------------------------------------------------------------*/

/* What the writer, the syncer and the filler are at. */
struct in_use {
    uint64_t first;   /* number of the oldest file that one of them may use */
    uint64_t current; /* of the one that is appended to */
    uint64_t at;      /* offset of its end */
};

static struct in_use in_use(struct nk_log *l) {
    nk_spin_lock(&l->lock);
    struct in_use u = {l->unsynced->number, l->cur->number, l->at};
    nk_spin_unlock(&l->lock);
    return u;
}

/* Reads the headers of files that have come into use since they were listed, as far as they are durable. */
static int learn_headers(struct nk_log *l, const struct in_use *u, struct nitro_err *err) {
    uint64_t durable = nk_log_durable(l);
    for (uint32_t i = 0; i < l->live_count; i++) {
        struct nk_live *f = &l->live[i];
        struct nk_log_header h;
        uint64_t size;
        if (f->head.used || f->number > u->current) continue;
        int rc = nk_folder_header(l, f->number, &h, &size, err);
        if (rc == NITRO_ENOTFOUND) continue; /* it is being written */
        if (rc != NITRO_OK) return rc;
        if (h.used && h.first_lsn <= durable) f->head = h;
    }
    return NITRO_OK;
}

/* Marks the chain from the newest file with a known header back. */
static void mark_chain(struct nk_log *l) {
    uint64_t number = 0;
    for (uint32_t i = l->live_count; i-- > 0;) {
        struct nk_live *f = &l->live[i];
        if (number == 0 && f->head.used) number = f->number;
        f->on_chain = f->head.used && f->number == number;
        if (!f->on_chain) continue;
        number = f->head.prev_number;
        if (number == 0) number = UINT64_MAX; /* no file has it: the rest is not on the chain */
    }
}

/* Bytes of frames that a file holds, or a little less: the room that a tail's file was made with stays. */
static uint64_t frame_bytes(const struct nk_live *f, const struct in_use *u) {
    const uint64_t rest = 2 * NK_LOG_RESERVE + NK_LOG_FOOTER_ROOM;
    if (f->number > u->current) return 0;
    if (f->number == u->current) return u->at;
    return f->size > rest ? f->size - rest : 0;
}

/* ---- the base ----------------------------------------------------------------------------------*/

/* How far back every point must stay within reach. */
struct keep {
    uint64_t lsn; /* what restores begin with is at or before this … */
    int64_t ms;   /* … and not later than this */
};

/* The LSN that keep_bytes of log lie behind; UINT64_MAX: none has to. */
static uint64_t behind_bytes(const struct nk_log *l, const struct in_use *u, uint64_t keep_bytes) {
    uint64_t sum = 0;
    if (keep_bytes == 0) return UINT64_MAX;
    for (uint32_t i = l->live_count; i-- > 0;) {
        const struct nk_live *f = &l->live[i];
        sum += frame_bytes(f, u);
        if (sum >= keep_bytes && f->on_chain) return f->head.first_lsn - 1;
    }
    return 0;
}

static bool reaches(const struct keep *k, const struct nk_log_snap *s) {
    return s->bytes != 0 && s->lsn <= k->lsn && s->foot.time_ms <= k->ms;
}

/* Index of the base in l->snaps; UINT32_MAX: the empty store is it. */
static uint32_t find_base(const struct nk_log *l, const struct keep *k) {
    uint64_t begin = nk_live_begin(l);
    for (uint32_t i = l->snap_count; i-- > 0;)
        if (reaches(k, &l->snaps[i]) && (l->snaps[i].lsn >= begin || i + 1 == l->snap_count))
            return i;
    if (begin == 0) return UINT32_MAX;
    for (uint32_t i = 0; i < l->snap_count; i++) /* nothing is old enough: the oldest there is */
        if (l->snaps[i].bytes != 0 && l->snaps[i].lsn >= begin) return i;
    return l->snap_count - 1;
}

/* ---- what goes ---------------------------------------------------------------------------------*/

/* How many files may still go in this call. */
struct budget {
    uint32_t files;
    bool more; /* it did not suffice */
};

static bool take_one(struct budget *b) {
    if (b->files == 0) b->more = true;
    return b->files > 0 && b->files-- > 0;
}

static int drop_snap(struct nk_log *l, uint32_t i, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    const struct nk_log_snap *s = &l->snaps[i];
    struct nk_manifest_edit e = {.op = NK_MANIFEST_REMOVE,
                                 .kind = NK_FILE_SNAP,
                                 .number = s->number,
                                 .salt = s->salt,
                                 .last_lsn = s->lsn};
    nk_path_snap(s->number, name);
    int rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "retain: remove snapshot");
    return NITRO_OK;
}

/* Of the snapshots between the base and the newest one, that with its neighbours nearest to each other; first of
 * all one that is not sound. */
static uint32_t least_useful(const struct nk_log *l, uint32_t first) {
    uint32_t least = first;
    uint64_t nearest = UINT64_MAX;
    for (uint32_t i = first; i + 1 < l->snap_count; i++) {
        uint64_t before = i > 0 ? l->snaps[i - 1].lsn : 0;
        uint64_t span = l->snaps[i + 1].lsn - before;
        if (l->snaps[i].bytes == 0) return i;
        if (span < nearest) {
            nearest = span;
            least = i;
        }
    }
    return least;
}

static int drop_snaps(struct nk_log *l, uint32_t base, struct budget *b, struct nitro_err *err) {
    int rc = NITRO_OK;
    uint32_t first = 0; /* of those in the middle */
    if (base != UINT32_MAX) {
        for (; base > 0 && rc == NITRO_OK; base--) {
            if (!take_one(b)) return NITRO_OK;
            rc = drop_snap(l, 0, err);
        }
        first = 1;
    }
    while (rc == NITRO_OK && l->snap_count > first + MIDDLE_MAX + 1) {
        if (!take_one(b)) return NITRO_OK;
        rc = drop_snap(l, least_useful(l, first), err);
    }
    return rc;
}

/* Whether file i is needed by nobody when all up to `lsn` is in a snapshot. */
static bool is_spent(const struct nk_log *l, uint32_t i, uint64_t lsn, const struct in_use *u) {
    if (l->live[i].number >= u->first) return false;
    for (uint32_t k = i + 1; k < l->live_count; k++)
        if (l->live[k].on_chain) return l->live[k].head.prev_last_lsn <= lsn;
    return false;
}

static int drop_log(struct nk_log *l, uint32_t i, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    const struct nk_live *f = &l->live[i];
    struct nk_manifest_edit e = {
        .op = NK_MANIFEST_REMOVE, .kind = NK_FILE_LOG, .number = f->number, .salt = f->salt};
    nk_path_log(f->number, name);
    if (NK_MUTATE(44, true, false))
        (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "retain: remove log");
    int rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "retain: remove log");
    return NITRO_OK;
}

static int drop_logs(struct nk_log *l, uint64_t lsn, const struct in_use *u, struct budget *b,
                     struct nitro_err *err) {
    while (l->live_count > 0 && is_spent(l, 0, NK_MUTATE(42, UINT64_MAX, lsn), u)) {
        if (!take_one(b)) return NITRO_OK;
        int rc = drop_log(l, 0, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

int nk_log_retain(struct nk_log *l, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes,
                  uint32_t files, bool *more, struct nitro_err *err) {
    struct budget b = {.files = files};
    const struct nk_log_snap *newest = nk_log_snap_newest(l);
    int rc = nk_log_check(l, err);
    if (rc != NITRO_OK) return rc;
    *more = false;
    if (l->files != NULL) { /* snapshots are folders, and merges have replaced what was old */
        rc = nk_log_old_drop(l, now_ms, keep_ms, keep_bytes, &b.files, &b.more, err);
        nk_log_links_drop(l, &b.files, &b.more);
        *more = b.more;
        return rc;
    }
    if (newest == NULL || newest->bytes == 0) return NITRO_OK;
    struct in_use u = in_use(l);
    rc = learn_headers(l, &u, err);
    if (rc != NITRO_OK) return rc;
    mark_chain(l);
    struct keep k = {.lsn = nk_min_u64(newest->lsn, behind_bytes(l, &u, keep_bytes)),
                     .ms = keep_ms > 0 ? now_ms - keep_ms : INT64_MAX};
    uint32_t base = find_base(l, &k);
    uint64_t lsn = base == UINT32_MAX ? 0 : l->snaps[base].lsn;
    rc = drop_snaps(l, base, &b, err);
    if (rc == NITRO_OK && !b.more) rc = drop_logs(l, lsn, &u, &b, err);
    *more = b.more;
    return rc == NITRO_OK && !b.more ? nk_folder_shorten(l, err) : rc;
}

/* ---- what there is -----------------------------------------------------------------------------*/

static void tell_snaps(const struct nk_log *l, struct nitro_folder *out) {
    for (uint32_t i = 0; i < l->snap_count; i++) {
        const struct nk_log_snap *s = &l->snaps[i];
        if (s->bytes == 0) continue;
        out->snapshots++;
        out->snapshot_bytes += s->bytes;
        out->newest = (struct nitro_snapshot_info){.number = s->number,
                                                   .lsn = s->lsn,
                                                   .time_ms = s->foot.time_ms,
                                                   .keys = s->foot.keys,
                                                   .raw_bytes = s->foot.raw_bytes,
                                                   .bytes = s->bytes,
                                                   .hash_a = s->foot.hash_a,
                                                   .hash_b = s->foot.hash_b};
    }
}

/* The oldest point that a restore can reach. */
static void tell_oldest(const struct nk_log *l, struct nitro_folder *out) {
    uint64_t begin = nk_live_begin(l);
    if (begin == 0) return; /* the empty store */
    for (uint32_t i = 0; i < l->snap_count; i++) {
        const struct nk_log_snap *s = &l->snaps[i];
        if (s->bytes == 0 || (s->lsn < begin && i + 1 < l->snap_count)) continue;
        out->oldest_lsn = s->lsn;
        out->oldest_ms = s->foot.time_ms;
        return;
    }
}

/* The files of a log that is the data. */
static void tell_data(const struct nk_log *l, struct nitro_folder *out) {
    out->log_files += l->data_count;
    for (uint32_t i = 0; i < l->data_count; i++) out->log_bytes += l->data[i].head.end;
    if (l->linked.number == 0) return;
    out->snapshots = 1;
    out->snapshot_bytes = l->linked.bytes;
    nk_log_links_info(&l->linked, &out->newest);
}

/* Snapshots, and how far back they reach. */
static int tell_past(struct nk_log *l, struct nitro_folder *out, struct nitro_err *err) {
    struct in_use u = in_use(l);
    if (nk_log_check(l, NULL) == NITRO_OK) {
        int rc = learn_headers(l, &u, err);
        if (rc != NITRO_OK) return rc;
    }
    mark_chain(l);
    tell_snaps(l, out);
    tell_oldest(l, out);
    return NITRO_OK;
}

int nk_log_state(struct nk_log *l, struct nitro_folder *out, struct nitro_err *err) {
    struct nitro_folder o = {.log_files = l->live_count};
    for (uint32_t i = 0; i < l->live_count; i++) o.log_bytes += l->live[i].size;
    if (l->files != NULL) {
        tell_data(l, &o); /* how far back the past goes, a look at it finds out */
    } else {
        int rc = tell_past(l, &o, err);
        if (rc != NITRO_OK) return rc;
    }
    o.log_since = l->since + __atomic_load_n(&l->written_bytes, __ATOMIC_RELAXED) - l->since_at;
    *out = o;
    return NITRO_OK;
}
