/* SPDX-License-Identifier: MIT
 *
 * logold.c - files that merges have replaced and that are kept for a look at the past (L4).
 *
 * DESIGN
 *   A replaced file gets a second name in the folder `retained`, and loses its first one when MANIFEST does not list it any more. The name
 *   says when that was; all else stands in the file. MANIFEST does not know of these files, since no start needs them: what is
 *   damaged or gone of them makes the window of a restore smaller, and nothing else.
 *
 *   They go by the time in their names, the oldest first: a file that was replaced at T serves points before T. So what is left always
 *   serves all points from some point on.
 *
 * ONE NAME  A crash may come when a file has its name here and MANIFEST still lists it: then the next start, or merge, wants to keep it again.
 *   It stays under the name that it has, with the time in that: when it was given, the file that is read instead was
 *   listed already, so it serves no point from then on, and under a later time it would only stay for longer than was asked for, and count twice.
 *   Kind and number say which file it is, because no number is given twice in a store: what lies here was replaced by a file with a greater
 *   number that was listed, durably, before; and that one goes only if one with a number greater still has replaced it. So the
 *   numbers here are always below one that MANIFEST lists, and a start goes on behind all of those.
 *
 * LIST  l->old has them in memory, since the folder may hold thousands, of which a call removes two. It is read when it is needed first, and
 *   follows what is done here; the sizes, when they matter. It is a heap, so nothing depends on the order in which times come. Somebody who
 *   needs room may remove files, the oldest first, or the folder: when one that is to go is gone, the folder is read again.
 */
#include "recover.h"

#include "mutant.h"

static void file_name(enum nk_manifest_kind kind, uint64_t number, char *out) {
    if (kind == NK_FILE_DATA)
        nk_path_data(number, out);
    else
        nk_path_log(number, out);
}

void nk_log_old_path(enum nk_manifest_kind kind, uint64_t number, int64_t time_ms, char *out) {
    char name[NK_PATH_MAX];
    file_name(kind, number, name);
    nk_path_old(name, time_ms, out);
}

static int cannot(const struct nk_log *l, struct nitro_err *err, int rc, const char *what,
                  const char *name) {
    int code = nk_log_is_full(rc) ? NITRO_ELOGFULL : rc == -ENOMEM ? NITRO_ENOMEM : NITRO_EIO;
    return nk_err_set(
        err, code, -rc,
        "keep the past of %s: %s %s/%s: %s; all data is as it was, and it is tried again; "
        "without --log-retention it is not needed",
        l->dir, what, NK_PATH_RETAINED, name, strerror(-rc));
}

/* ---- what there is -----------------------------------------------------------------------------*/

struct each {
    nk_log_old_fn *fn;
    void *arg;
    int rc; /* what fn has returned */
};

static int each_name(void *arg, const char *name) {
    struct each *e = arg;
    uint64_t number;
    int64_t time_ms;
    enum nk_path_kind kind = nk_path_parse_old(name, &number, &time_ms);
    if (kind == NK_PATH_OTHER) return 0;
    e->rc =
        e->fn(e->arg, kind == NK_PATH_IS_OLD_DATA ? NK_FILE_DATA : NK_FILE_LOG, number, time_ms);
    return e->rc;
}

int nk_log_old_each(const struct nk_log *l, nk_log_old_fn *fn, void *arg) {
    struct each e = {.fn = fn, .arg = arg};
    if (l->old_dirfd < 0) return 0;
    int rc = l->vfs->dir_list(l->vfs->ctx, l->old_dirfd, each_name, &e);
    return rc < 0 ? rc : e.rc;
}

/* ---- the list ----------------------------------------------------------------------------------*/

static bool is_older(const struct nk_old *a, const struct nk_old *b) {
    return a->time_ms < b->time_ms || (a->time_ms == b->time_ms && a->number < b->number);
}

/* Room for one more. */
static bool reserve(struct nk_log *l) {
    struct nk_olds *o = &l->old;
    if (o->count < o->cap) return true;
    uint32_t cap = o->cap == 0 ? 64 : 2 * o->cap;
    void *p = nk_mem_resize(l->mem, o->file, o->cap * sizeof *o->file, cap * sizeof *o->file);
    if (p == NULL) return false;
    o->file = p;
    o->cap = cap;
    return true;
}

static void push(struct nk_olds *o, struct nk_old f) {
    uint32_t i = o->count++;
    for (; i > 0 && is_older(&f, &o->file[(i - 1) / 2]); i = (i - 1) / 2)
        o->file[i] = o->file[(i - 1) / 2];
    o->file[i] = f;
}

/* Takes the oldest off. */
static void pop(struct nk_olds *o) {
    if (o->file[0].sized) {
        o->sized--;
        o->bytes -= o->file[0].bytes;
    }
    struct nk_old last = o->file[--o->count];
    uint32_t i = 0;
    for (uint32_t next = 1; next < o->count; next = 2 * i + 1) {
        if (next + 1 < o->count && is_older(&o->file[next + 1], &o->file[next])) next++;
        if (!is_older(&o->file[next], &last)) break;
        o->file[i] = o->file[next];
        i = next;
    }
    o->file[i] = last;
}

static int note(void *arg, enum nk_manifest_kind kind, uint64_t number, int64_t time_ms) {
    struct nk_log *l = arg;
    if (!reserve(l)) return -ENOMEM;
    push(&l->old, (struct nk_old){.kind = kind, .number = number, .time_ms = time_ms});
    return 0;
}

/* What is known is not what is there. */
static void forget(struct nk_olds *o) { *o = (struct nk_olds){.file = o->file, .cap = o->cap}; }

/* Reads the folder, if it is not known what is there. 0 or -errno. */
static int load(struct nk_log *l) {
    if (l->old.known) return 0;
    forget(&l->old);
    int rc = nk_log_old_each(l, note, l);
    l->old.known = rc == 0 && l->old_dirfd >= 0;
    return rc;
}

static const struct nk_old *find(const struct nk_olds *o, enum nk_manifest_kind kind,
                                 uint64_t number) {
    for (uint32_t i = 0; i < o->count; i++)
        if (o->file[i].number == number && o->file[i].kind == kind) return &o->file[i];
    return NULL;
}

/* ---- keeping -----------------------------------------------------------------------------------*/

int nk_log_old_open(struct nk_log *l, struct nitro_err *err) {
    if (l->old_dirfd >= 0) return NITRO_OK;
    int fd = nk_log_subfolder(l, NK_PATH_RETAINED, NITRO_DIR_CREATE);
    if (fd < 0) return cannot(l, err, fd, "make", "");
    l->old_dirfd = fd;
    return NITRO_OK;
}

/* The folder is not there any more: somebody who needed room has removed it. */
static void forget_folder(struct nk_log *l) {
    (void)l->vfs->dir_close(l->vfs->ctx, l->old_dirfd); /* nothing can be in it */
    l->old_dirfd = -1;
    forget(&l->old);
}

/* The name that the file gets, or has, in `old`. 0, -errno, or a code with *err filled. */
static int keep(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number, int64_t now_ms,
                char *old, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    file_name(kind, number, name);
    nk_path_old(name, now_ms, old);
    int rc = nk_log_old_open(l, err);
    if (rc != NITRO_OK) return rc;
    rc = load(l);
    if (rc == 0 && !reserve(l)) rc = -ENOMEM;
    if (rc != 0) return rc;
    const struct nk_old *same = find(&l->old, kind, number);
    if (same != NULL) nk_path_old(name, same->time_ms, old);
    /* also if it has that name: it may have been removed by hand */
    rc = l->vfs->link(l->vfs->ctx, l->dirfd, name, l->old_dirfd, old, "retain: keep");
    if (rc == -EEXIST) rc = 0;
    if (rc != 0)
        forget(&l->old); /* it may have it nevertheless */
    else if (same == NULL)
        push(&l->old, (struct nk_old){.kind = kind, .number = number, .time_ms = now_ms});
    return rc;
}

int nk_log_old_keep(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number, int64_t now_ms,
                    struct nitro_err *err) {
    char old[NK_PATH_MAX];
    int rc = keep(l, kind, number, now_ms, old, err);
    if (rc == -ENOENT) {
        forget_folder(l);
        rc = keep(l, kind, number, now_ms, old, err);
    }
    if (rc > 0) return rc;
    if (rc == 0) rc = NK_MUTATE(87, 0, nk_vfs_dir_sync(l->vfs, l->old_dirfd, "retain: sync kept"));
    return rc == 0 ? NITRO_OK : cannot(l, err, rc, "name", old);
}

/* ---- dropping ----------------------------------------------------------------------------------*/

/* What can't be read of it, does not count. -EMFILE, -ENFILE: it can't be told now. */
static int64_t size_of(const struct nk_log *l, const struct nk_old *f) {
    char name[NK_PATH_MAX];
    nk_log_old_path(f->kind, f->number, f->time_ms, name);
    int fd = nk_vfs_open(l->vfs, l->old_dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return fd == -EMFILE || fd == -ENFILE ? fd : 0;
    int64_t n = l->vfs->size(l->vfs->ctx, fd);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    return n > 0 ? n : 0;
}

/* Asks for sizes that are not known yet. */
static void measure(struct nk_log *l, uint32_t *budget) {
    struct nk_olds *o = &l->old;
    for (uint32_t i = 0; o->sized<o->count && * budget> 0; i++) {
        if (o->file[i].sized) continue;
        int64_t n = size_of(l, &o->file[i]);
        if (n < 0) return;
        o->file[i].sized = true;
        o->file[i].bytes = (uint64_t)n;
        o->bytes += (uint64_t)n;
        o->sized++;
        --*budget;
    }
}

static void remove_oldest(struct nk_log *l) {
    char name[NK_PATH_MAX];
    const struct nk_old *f = &l->old.file[0];
    nk_log_old_path(f->kind, f->number, f->time_ms, name);
    /* one that stays is met again when all others have gone, and the folder is read again */
    if (l->vfs->unlink(l->vfs->ctx, l->old_dirfd, name, "retain: remove old") != 0)
        l->old.doubtful = true;
    pop(&l->old);
}

static bool is_due(const struct nk_olds *o, int64_t before_ms) {
    return o->count > 0 && o->file[0].time_ms < before_ms;
}

/* Removes files until what is left is to be kept. False: the budget did not suffice. */
static bool drop(struct nk_log *l, int64_t before_ms, uint64_t keep_bytes, uint32_t *budget) {
    struct nk_olds *o = &l->old;
    bool by_size = keep_bytes > 0;
    if (!is_due(o, before_ms)) return true;
    if (by_size) measure(l, budget);
    if (by_size && o->sized < o->count) return *budget > 0;
    for (; is_due(o, before_ms); --*budget) {
        if (by_size && o->bytes - o->file[0].bytes < keep_bytes)
            break; /* the newer ones do not suffice */
        if (*budget == 0) return false;
        remove_oldest(l);
    }
    return true;
}

int nk_log_old_drop(struct nk_log *l, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes,
                    uint32_t *budget, bool *more, struct nitro_err *err) {
    int rc = load(l);
    if (rc == -ENOENT) {
        forget_folder(l);
        return NITRO_OK;
    }
    if (rc != 0) return cannot(l, err, rc, "list", "");
    bool done = drop(l, keep_ms > 0 ? now_ms - keep_ms : INT64_MAX, keep_bytes, budget);
    if (done && l->old.doubtful) forget(&l->old);
    *more |= !done;
    return NITRO_OK;
}
