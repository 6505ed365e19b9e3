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
 */
#include "recover.h"

#include "mutant.h"

void nk_log_old_path(enum nk_manifest_kind kind, uint64_t number, int64_t time_ms, char *out) {
    char name[NK_PATH_MAX];
    if (kind == NK_FILE_DATA)
        nk_path_data(number, name);
    else
        nk_path_log(number, name);
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
}

/* 0, -errno, or a code with *err filled. */
static int keep(struct nk_log *l, const char *name, const char *old, struct nitro_err *err) {
    int rc = nk_log_old_open(l, err);
    if (rc != NITRO_OK) return rc;
    return l->vfs->link(l->vfs->ctx, l->dirfd, name, l->old_dirfd, old, "retain: keep");
}

int nk_log_old_keep(struct nk_log *l, const char *name, int64_t now_ms, struct nitro_err *err) {
    char old[NK_PATH_MAX];
    nk_path_old(name, now_ms, old);
    int sys = keep(l, name, old, err);
    if (sys == -ENOENT) {
        forget_folder(l);
        sys = keep(l, name, old, err);
    }
    if (sys > 0) return sys;
    if (sys == 0 || sys == -EEXIST)
        sys = NK_MUTATE(87, 0, nk_vfs_dir_sync(l->vfs, l->old_dirfd, "retain: sync kept"));
    return sys == 0 ? NITRO_OK : cannot(l, err, sys, "name", old);
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

/* ---- dropping ----------------------------------------------------------------------------------*/

struct old {
    enum nk_manifest_kind kind;
    uint64_t number, bytes;
    int64_t time_ms;
};
struct list {
    struct nk_log *l;
    struct old *file;
    uint32_t count, cap;
};

static uint64_t size_of(const struct nk_log *l, const struct old *o) {
    char name[NK_PATH_MAX];
    nk_log_old_path(o->kind, o->number, o->time_ms, name);
    int fd = nk_vfs_open(l->vfs, l->old_dirfd, name, NITRO_FILE_READ);
    if (fd < 0) return 0;
    int64_t n = l->vfs->size(l->vfs->ctx, fd);
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    return n > 0 ? (uint64_t)n : 0;
}

static int note(void *arg, enum nk_manifest_kind kind, uint64_t number, int64_t time_ms) {
    struct list *a = arg;
    if (a->count == a->cap) {
        uint32_t cap = a->cap == 0 ? 64 : 2 * a->cap;
        void *p =
            nk_mem_resize(a->l->mem, a->file, a->cap * sizeof *a->file, cap * sizeof *a->file);
        if (p == NULL) return -ENOMEM;
        a->file = p;
        a->cap = cap;
    }
    a->file[a->count++] = (struct old){.kind = kind, .number = number, .time_ms = time_ms};
    return 0;
}

/* The oldest goes first. */
static struct old *oldest(const struct list *a) {
    struct old *o = NULL;
    for (uint32_t i = 0; i < a->count; i++) {
        struct old *f = &a->file[i];
        if (f->number == 0) continue; /* gone */
        if (o == NULL || f->time_ms < o->time_ms ||
            (f->time_ms == o->time_ms && f->number < o->number))
            o = f;
    }
    return o;
}

/* Removes files until what is left is to be kept. */
static void drop(struct list *a, int64_t before_ms, uint64_t keep_bytes, uint32_t *budget,
                 bool *more) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < a->count && keep_bytes > 0; i++)
        sum += a->file[i].bytes = size_of(a->l, &a->file[i]);
    for (struct old *o = oldest(a); o != NULL; o = oldest(a)) {
        char name[NK_PATH_MAX];
        if (o->time_ms >= before_ms || (keep_bytes > 0 && sum <= keep_bytes)) return;
        if (*budget == 0) {
            *more = true;
            return;
        }
        --*budget;
        nk_log_old_path(o->kind, o->number, o->time_ms, name);
        /* one that stays is met again by the next call */
        (void)a->l->vfs->unlink(a->l->vfs->ctx, a->l->old_dirfd, name, "retain: remove old");
        sum -= o->bytes;
        o->number = 0;
    }
}

int nk_log_old_drop(struct nk_log *l, int64_t now_ms, int64_t keep_ms, uint64_t keep_bytes,
                    uint32_t *budget, bool *more, struct nitro_err *err) {
    struct list a = {.l = l};
    int rc = nk_log_old_each(l, note, &a);
    if (rc == -ENOENT) {
        forget_folder(l);
        rc = 0;
    }
    if (rc == 0) drop(&a, keep_ms > 0 ? now_ms - keep_ms : INT64_MAX, keep_bytes, budget, more);
    nk_mem_free(l->mem, a.file, a.cap * sizeof *a.file);
    if (rc == 0) return NITRO_OK;
    return cannot(l, err, rc, "list", "");
}
