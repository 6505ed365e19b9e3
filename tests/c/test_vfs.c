/* SPDX-License-Identifier: MIT
 *
 * test_vfs.c - file calls that do less than asked, and the system's table.
 *
 * The loops of vfs.c are tried on a table that hands the system's calls on, but cuts, interrupts or
 * fails them. The system's table is tried on a folder of its own for each test. Which folders were
 * synced is seen by an fsync of this program's own, which the linker prefers to the C library's.
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include <valgrind/valgrind.h>

#include "path.h"
#include "support.h"
#include "vfs.h"

#define WHY "test"

/* ---- which folders were synced -----------------------------------------------------------------*/

#define SYNCED_MAX 64u
static ino_t synced[SYNCED_MAX];
static unsigned synced_count;

int fsync(int fd) {
    struct stat st;
    if (fstat(fd, &st) == 0 && synced_count < SYNCED_MAX) synced[synced_count++] = st.st_ino;
    return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    for (unsigned i = 0; i < synced_count; i++)
        if (synced[i] == st.st_ino) return true;
    return false;
}

/* ---- a folder for each test --------------------------------------------------------------------*/

struct world {
    const struct nitro_vfs *sys;
    char root[64]; /* the folder's path */
    int dir;       /* its handle */
};

static void path_of(const struct world *w, const char *name, char *out) {
    assert_in_range(snprintf(out, PATH_MAX, "%s/%s", w->root, name), 1, PATH_MAX - 1);
}

static mode_t mode_of(const struct world *w, const char *name) {
    char path[PATH_MAX];
    struct stat st;
    path_of(w, name, path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int world_setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->sys = nitro_vfs_system();
    strcpy(w->root, "/tmp/nitro-test-vfs-XXXXXX");
    assert_non_null(mkdtemp(w->root));
    w->dir = w->sys->dir_open(NULL, w->root, 0);
    assert_true(w->dir >= 0);
    synced_count = 0;
    *state = w;
    return 0;
}

/* remove_tree: removes a folder and all below it. */
static void remove_tree(const char *path) {
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char below[PATH_MAX];
        assert_in_range(snprintf(below, sizeof below, "%s/%s", path, e->d_name), 1, PATH_MAX - 1);
        if (unlink(below) != 0) remove_tree(below);
    }
    closedir(d);
    assert_int_equal(rmdir(path), 0);
}

static int world_teardown(void **state) {
    struct world *w = *state;
    assert_int_equal(w->sys->dir_close(NULL, w->dir), 0);
    remove_tree(w->root);
    free(w);
    return 0;
}

/* make_file: a new file, open for both. */
static int make_file(const struct world *w, const char *name) {
    int f = w->sys->open(NULL, w->dir, name,
                         NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE | NITRO_FILE_EXCL);
    assert_true(f >= 0);
    return f;
}

/* ---- a table that does less ---------------------------------------------------------------------*/

#define FOR_EVER UINT32_MAX

struct lame {
    struct nitro_vfs vfs;
    const struct nitro_vfs *sys;
    size_t most;         /* bytes that one call does */
    unsigned interrupts; /* before each call that gets through */
    unsigned left;       /* of them, before the next one */
    unsigned through;    /* calls that got through */
    unsigned calls;      /* all of them */
    unsigned fail_at;    /* the call that does not get through but gives `fail`; FOR_EVER = none */
    int fail;
};

/* lame_enter: 1 if the call goes on; else what it returns. */
static int lame_enter(struct lame *l) {
    l->calls++;
    if (l->left > 0) {
        if (l->interrupts != FOR_EVER) l->left--;
        return -EINTR;
    }
    l->left = l->interrupts;
    return l->through++ == l->fail_at ? l->fail : 1;
}

static int64_t lame_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->read(NULL, file, p, nk_min_u64(n, l->most), offset);
}
static int64_t lame_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                          const char *why) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->write(NULL, file, p, nk_min_u64(n, l->most), offset, why);
}
static int lame_sync(void *ctx, int file, const char *why) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->sync(NULL, file, why);
}
static int lame_dir_sync(void *ctx, int dir, const char *why) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->dir_sync(NULL, dir, why);
}
static int lame_alloc(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->alloc(NULL, file, offset, bytes, why);
}
static int lame_truncate(void *ctx, int file, uint64_t bytes, const char *why) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->truncate(NULL, file, bytes, why);
}
static int lame_open(void *ctx, int dir, const char *name, unsigned flags) {
    struct lame *l = ctx;
    int rc = lame_enter(l);
    return rc <= 0 ? rc : l->sys->open(NULL, dir, name, flags);
}

static void lame_init(struct lame *l, size_t most, unsigned interrupts) {
    memset(l, 0, sizeof *l);
    l->sys = nitro_vfs_system();
    l->vfs = *l->sys;
    l->vfs.ctx = l;
    l->vfs.read = lame_read;
    l->vfs.write = lame_write;
    l->vfs.sync = lame_sync;
    l->vfs.dir_sync = lame_dir_sync;
    l->vfs.alloc = lame_alloc;
    l->vfs.truncate = lame_truncate;
    l->vfs.open = lame_open;
    l->most = most;
    l->interrupts = l->left = interrupts;
    l->fail_at = FOR_EVER;
}

static void fill(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(i * 7 + i / 256 + 1);
}

/* ---- vfs.c --------------------------------------------------------------------------------------*/

/* Calls that do seven bytes at most, with signals in between: every byte gets there, and back. */
static void read_write__short_and_interrupted__all_bytes(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    uint8_t want[1000], got[1000];
    fill(want, sizeof want);
    for (size_t n = 1; n <= sizeof want; n += 333) {
        struct lame l;
        lame_init(&l, 7, 3);
        assert_int_equal(nk_vfs_write(&l.vfs, f, want, n, 5, WHY), 0);
        assert_int_equal(l.through, (n + 6) / 7);
        assert_int_equal(l.calls, l.through * 4);
        memset(got, 0, sizeof got);
        assert_int_equal(nk_vfs_read(&l.vfs, f, got, n, 5), n);
        assert_memory_equal(got, want, n);
        assert_int_equal(w->sys->size(NULL, f), n + 5);
    }
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A read stops at the end of the file, and nothing is behind it. */
static void read__past_the_end__what_is_there(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    struct lame l;
    lame_init(&l, 4, 1);
    char buf[16] = "";
    assert_int_equal(nk_vfs_write(&l.vfs, f, "0123456789", 10, 0, WHY), 0);
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, sizeof buf, 3), 7);
    assert_memory_equal(buf, "3456789", 8);
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, sizeof buf, 10), 0);
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, sizeof buf, 1000), 0);
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, 0, 0), 0);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A write that does nothing and says no error would go on for ever. */
static void write__no_progress__is_eio(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    struct lame l;
    lame_init(&l, 4, 0);
    l.fail_at = 1;
    l.fail = 0;
    assert_int_equal(nk_vfs_write(&l.vfs, f, "0123456789", 10, 0, WHY), -EIO);
    assert_int_equal(l.calls, 2);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* An error in the middle is given back as it is, and nothing more is tried. */
static void calls__fail_in_the_middle__that_error_at_once(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    struct lame l;
    char buf[10];
    lame_init(&l, 4, 0);
    l.fail_at = 2;
    l.fail = -ENOSPC;
    assert_int_equal(nk_vfs_write(&l.vfs, f, "0123456789", 10, 0, WHY), -ENOSPC);
    assert_int_equal(l.calls, 3);
    assert_int_equal(w->sys->size(NULL, f), 8);
    lame_init(&l, 4, 0);
    l.fail_at = 1;
    l.fail = -EIO;
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, sizeof buf, 0), -EIO);
    assert_int_equal(l.calls, 2);
    lame_init(&l, 65536, 0);
    l.fail_at = 1;
    l.fail = -EDQUOT;
    assert_int_equal(nk_vfs_zero(&l.vfs, f, 0, 200000, WHY), -EDQUOT);
    assert_int_equal(l.calls, 2);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A few signals do no harm to calls that can be made again. */
static void calls__interrupted__are_made_again(void **state) {
    struct world *w = *state;
    struct lame l;
    lame_init(&l, SIZE_MAX, 5);
    int f =
        nk_vfs_open(&l.vfs, w->dir, "f", NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    assert_true(f >= 0);
    assert_int_equal(nk_vfs_truncate(&l.vfs, f, 100, WHY), 0);
    assert_int_equal(w->sys->size(NULL, f), 100);
    int rc = nk_vfs_alloc(&l.vfs, f, 0, 8192, WHY);
    assert_true(rc == 0 || rc == -EOPNOTSUPP);
    assert_int_equal(l.through, 3);
    assert_int_equal(l.calls, 18);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A file system that says EINTR for ever is an error, not a hang. */
static void calls__interrupted_for_ever__end(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    struct lame l;
    char buf[4];
    lame_init(&l, SIZE_MAX, FOR_EVER);
    assert_int_equal(nk_vfs_open(&l.vfs, w->dir, "f", NITRO_FILE_READ), -EINTR);
    assert_int_equal(nk_vfs_read(&l.vfs, f, buf, 4, 0), -EINTR);
    assert_int_equal(nk_vfs_write(&l.vfs, f, "abcd", 4, 0, WHY), -EINTR);
    assert_int_equal(nk_vfs_zero(&l.vfs, f, 0, 4, WHY), -EINTR);
    assert_int_equal(nk_vfs_alloc(&l.vfs, f, 0, 4096, WHY), -EINTR);
    assert_int_equal(nk_vfs_truncate(&l.vfs, f, 10, WHY), -EINTR);
    assert_int_equal(l.through, 0);
    assert_int_equal(w->sys->size(NULL, f), 0);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A sync that failed is final: a second one that succeeds would say nothing. */
static void sync__interrupted__is_not_made_again(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    struct lame l;
    lame_init(&l, SIZE_MAX, 1);
    assert_int_equal(nk_vfs_sync(&l.vfs, f, WHY), -EINTR);
    assert_int_equal(l.calls, 1);
    lame_init(&l, SIZE_MAX, 1);
    assert_int_equal(nk_vfs_dir_sync(&l.vfs, w->dir, WHY), -EINTR);
    assert_int_equal(l.calls, 1);
    lame_init(&l, SIZE_MAX, 0);
    assert_int_equal(nk_vfs_sync(&l.vfs, f, WHY), 0);
    assert_int_equal(nk_vfs_dir_sync(&l.vfs, w->dir, WHY), 0);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* Zeros go where they were asked for, over several pieces, and nowhere else. */
static void zero__a_range__that_range_alone(void **state) {
    struct world *w = *state;
    enum { ALL = 300000, FROM = 1000, BYTES = 200000 };
    int f = make_file(w, "f");
    uint8_t *want = malloc(ALL), *got = malloc(ALL);
    assert_non_null(want);
    assert_non_null(got);
    memset(want, 0xff, ALL);
    assert_int_equal(nk_vfs_write(w->sys, f, want, ALL, 0, WHY), 0);
    memset(want + FROM, 0, BYTES);
    struct lame l;
    lame_init(&l, 50000, 1);
    assert_int_equal(nk_vfs_zero(&l.vfs, f, FROM, BYTES, WHY), 0);
    assert_int_equal(nk_vfs_zero(&l.vfs, f, 0, 0, WHY), 0);
    assert_int_equal(nk_vfs_read(w->sys, f, got, ALL, 0), ALL);
    assert_memory_equal(got, want, ALL);
    free(want);
    free(got);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* ---- the system's table: folders ---------------------------------------------------------------*/

/* As mkdir -p, but private and durable: every folder in which one was made is synced. */
static void dir_open__missing_parents__made_0700_and_synced(void **state) {
    struct world *w = *state;
    char path[PATH_MAX], above[PATH_MAX];
    path_of(w, "a/b//c/", path);
    int d = w->sys->dir_open(NULL, path, NITRO_DIR_CREATE);
    assert_true(d >= 0);
    assert_int_equal(mode_of(w, "a"), 0700);
    assert_int_equal(mode_of(w, "a/b"), 0700);
    assert_int_equal(mode_of(w, "a/b/c"), 0700);
    static const char *parents[] = {"", "a", "a/b"};
    for (size_t i = 0; i < 3; i++) {
        path_of(w, parents[i], above);
        assert_true(was_synced(above));
    }
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
}

/* A process that was killed after mkdir and before the sync has left an entry that may not be
 * durable: the next one finds the folder, and syncs its parent. */
static void dir_open__left_by_a_killed_process__its_parent_is_synced(void **state) {
    struct world *w = *state;
    char a[PATH_MAX], ab[PATH_MAX];
    path_of(w, "a", a);
    path_of(w, "a/b", ab);
    assert_int_equal(mkdir(a, 0700), 0);
    int d = w->sys->dir_open(NULL, a, NITRO_DIR_CREATE);
    assert_true(d >= 0 && was_synced(w->root));
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
    synced_count = 0;
    d = w->sys->dir_open(NULL, ab, NITRO_DIR_CREATE);
    assert_true(d >= 0 && was_synced(w->root) && was_synced(a));
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
}

/* A folder that is there keeps its mode; without the flag nothing is made. */
static void dir_open__existing_or_not_asked__nothing_changes(void **state) {
    struct world *w = *state;
    char path[PATH_MAX];
    path_of(w, "there", path);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
    int d = w->sys->dir_open(NULL, path, NITRO_DIR_CREATE);
    assert_true(d >= 0);
    assert_int_equal(mode_of(w, "there"), 0755);
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
    path_of(w, "missing", path);
    assert_int_equal(w->sys->dir_open(NULL, path, 0), -ENOENT);
    assert_int_equal(access(path, F_OK), -1);
}

/* A relative path begins at the working folder. */
static void dir_open__relative_path__below_the_working_folder(void **state) {
    struct world *w = *state;
    int before = open(".", O_RDONLY | O_DIRECTORY);
    assert_true(before >= 0);
    assert_int_equal(chdir(w->root), 0);
    int d = w->sys->dir_open(NULL, "x/../x/./y", NITRO_DIR_CREATE);
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_true(d >= 0);
    assert_int_equal(mode_of(w, "x/y"), 0700);
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
}

/* What is in the way is named by the error. */
static void dir_open__in_the_way__errors(void **state) {
    struct world *w = *state;
    char path[PATH_MAX], name[300];
    int f = make_file(w, "file");
    assert_int_equal(w->sys->close(NULL, f), 0);
    path_of(w, "file", path);
    assert_int_equal(w->sys->dir_open(NULL, path, 0), -ENOTDIR);
    assert_int_equal(w->sys->dir_open(NULL, path, NITRO_DIR_CREATE), -ENOTDIR);
    path_of(w, "file/below", path);
    assert_int_equal(w->sys->dir_open(NULL, path, NITRO_DIR_CREATE), -ENOTDIR);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    path_of(w, name, path);
    assert_int_equal(w->sys->dir_open(NULL, path, NITRO_DIR_CREATE), -ENAMETOOLONG);
    assert_int_equal(w->sys->dir_open(NULL, "", 0), -ENOENT);
    assert_int_equal(w->sys->dir_open(NULL, "", NITRO_DIR_CREATE), -ENOENT);
    path_of(w, "dangling", path);
    assert_int_equal(symlink("nowhere/at/all", path), 0);
    assert_int_equal(w->sys->dir_open(NULL, path, NITRO_DIR_CREATE), -ENOENT);
}

struct listing {
    unsigned count, stop_at;
    bool seen[400];
};

static int see(void *arg, const char *name) {
    struct listing *l = arg;
    unsigned number;
    assert_int_equal(sscanf(name, "file-%u", &number), 1);
    assert_true(number < 400 && !l->seen[number]);
    l->seen[number] = true;
    return ++l->count == l->stop_at;
}

/* Every name once, in any order, as often as one asks; the callback may end it. */
static void dir_list__many_files__each_once(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 400; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%u-with-a-longer-name", i);
        assert_int_equal(w->sys->close(NULL, make_file(w, name)), 0);
    }
    for (int round = 0; round < 2; round++) {
        struct listing l = {0};
        assert_int_equal(w->sys->dir_list(NULL, w->dir, see, &l), 0);
        assert_int_equal(l.count, 400);
    }
    struct listing l = {.stop_at = 7};
    assert_true(w->sys->dir_list(NULL, w->dir, see, &l) >= 0);
    assert_int_equal(l.count, 7);
}

/* A handle stays with its folder, whatever that is called. */
static void handles__folder_is_renamed__still_that_folder(void **state) {
    struct world *w = *state;
    char from[PATH_MAX], to[PATH_MAX];
    path_of(w, "from", from);
    path_of(w, "to", to);
    int d = w->sys->dir_open(NULL, from, NITRO_DIR_CREATE);
    assert_true(d >= 0);
    assert_int_equal(rename(from, to), 0);
    int f = w->sys->open(NULL, d, "f", NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    assert_true(f >= 0);
    assert_int_equal(mode_of(w, "to/f"), 0600);
    assert_int_equal(w->sys->close(NULL, f), 0);
    assert_int_equal(w->sys->dir_close(NULL, d), 0);
}

/* ---- the system's table: files -----------------------------------------------------------------*/

/* Files are private, and no program that the host starts inherits a handle. */
static void handles__made__private_and_not_inherited(void **state) {
    struct world *w = *state;
    char owner[32];
    int f = make_file(w, "f"), lock = w->sys->lock(NULL, w->dir, "LOCK", owner, sizeof owner);
    assert_true(lock >= 0);
    assert_int_equal(mode_of(w, "f"), 0600);
    assert_int_equal(mode_of(w, "LOCK"), 0600);
    assert_true((fcntl(f, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(lock, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(w->dir, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(w->sys->close(NULL, lock), 0);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* Each flag does what it says. */
static void open__flags__obeyed(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = w->sys;
    const unsigned make = NITRO_FILE_WRITE | NITRO_FILE_CREATE;
    char c = 'x';
    assert_int_equal(v->open(NULL, w->dir, "f", NITRO_FILE_READ), -ENOENT);
    assert_int_equal(v->open(NULL, w->dir, "f", NITRO_FILE_WRITE), -ENOENT);
    assert_int_equal(v->open(NULL, w->dir, "f", 0), -EINVAL);
    assert_int_equal(v->open(NULL, w->dir, "f", NITRO_FILE_READ | NITRO_FILE_CREATE), -EINVAL);
    int f = v->open(NULL, w->dir, "f", make);
    assert_int_equal(v->write(NULL, f, &c, 1, 0, WHY), 1);
    assert_int_equal(v->read(NULL, f, &c, 1, 0), -EBADF);
    assert_int_equal(v->close(NULL, f), 0);
    assert_int_equal(v->open(NULL, w->dir, "f", make | NITRO_FILE_EXCL), -EEXIST);
    f = v->open(NULL, w->dir, "f", make);
    assert_int_equal(v->size(NULL, f), 1);
    assert_int_equal(v->close(NULL, f), 0);
    f = v->open(NULL, w->dir, "f", NITRO_FILE_READ);
    assert_int_equal(v->read(NULL, f, &c, 1, 0), 1);
    assert_int_equal(v->write(NULL, f, &c, 1, 0, WHY), -EBADF);
    assert_int_equal(v->close(NULL, f), 0);
}

/* Room that was got reads as zeros, and is part of the file. */
static void alloc__room__is_there_and_reads_as_zeros(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    int rc = w->sys->alloc(NULL, f, 4096, 8192, WHY);
    if (rc == -EOPNOTSUPP) print_message("the file system of /tmp has no fallocate\n");
    if (rc != -EOPNOTSUPP) {
        uint8_t got[64], zeros[64] = {0};
        assert_int_equal(rc, 0);
        assert_int_equal(w->sys->size(NULL, f), 12288);
        assert_int_equal(w->sys->read(NULL, f, got, sizeof got, 12288 - 64), 64);
        assert_memory_equal(got, zeros, 64);
    }
    assert_int_equal(w->sys->alloc(NULL, f, 0, 0, WHY), rc == 0 ? -EINVAL : rc);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* Mapped bytes are the file's, to the last one, wherever a copy begins. */
static void map__read__what_the_file_has(void **state) {
    const struct world *w = *state;
    uint8_t bytes[9000], got[9000];
    int f = make_file(w, "mapped");
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(nk_vfs_write(w->sys, f, bytes, sizeof bytes, 0, "test"), 0);
    assert_null(w->sys->map(NULL, f, 0));
    assert_null(w->sys->map(NULL, -1, 100));
    const uint8_t *p = w->sys->map(NULL, f, sizeof bytes);
#if defined(__x86_64__)
    assert_non_null(p);
    for (size_t at = 0; at < sizeof bytes; at += 997) {
        size_t n = sizeof bytes - at;
        memset(got, 0, sizeof got);
        assert_int_equal(w->sys->map_read(NULL, got, p + at, n), 0);
        assert_memory_equal(got, bytes + at, n);
    }
    assert_int_equal(w->sys->map_read(NULL, got, p, 0), 0);
    /* It does not matter how the handle ends. */
    assert_int_equal(w->sys->close(NULL, f), 0);
    assert_int_equal(w->sys->map_read(NULL, got, p, 1), 0);
    w->sys->unmap(NULL, p, sizeof bytes);
#else
    assert_null(p);
    assert_int_equal(w->sys->close(NULL, f), 0);
#endif
}

/* A page that cannot be had is -EIO, as often as it is asked for; the others are as they were. */
static void map__page_is_gone__eio(void **state) {
#if defined(__x86_64__)
    const struct world *w = *state;
    uint8_t bytes[3 * 4096], got[3 * 4096];
    int f = make_file(w, "cut");
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(nk_vfs_write(w->sys, f, bytes, sizeof bytes, 0, "test"), 0);
    const uint8_t *p = w->sys->map(NULL, f, sizeof bytes);
    assert_non_null(p);
    assert_int_equal(w->sys->truncate(NULL, f, 4096, "test"), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(w->sys->map_read(NULL, got, p + 5000, 10), -EIO);
        assert_int_equal(w->sys->map_read(NULL, got, p + 4000, 1000), -EIO); /* into it */
        assert_int_equal(w->sys->map_read(NULL, got, p + 4000, 96), 0);
        assert_memory_equal(got, bytes, 96);
    }
    w->sys->unmap(NULL, p, sizeof bytes);
    assert_int_equal(w->sys->close(NULL, f), 0);
#else
    (void)state;
#endif
}

#if defined(__x86_64__)
static sigjmp_buf elsewhere;
static void jump_out(int sig) {
    (void)sig;
    siglongjmp(elsewhere, 1);
}

/* run_child: in a process of its own: the signal that ends it. */
static int run_child(const struct world *w, bool handled) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        struct sigaction a = {.sa_handler = handled ? jump_out : SIG_DFL};
        (void)setrlimit(RLIMIT_CORE, &none);
        if (sigaction(SIGBUS, &a, NULL) != 0) abort();
        int f = w->sys->open(NULL, w->dir, "other",
                             NITRO_FILE_READ | NITRO_FILE_WRITE | NITRO_FILE_CREATE);
        if (f < 0 || w->sys->truncate(NULL, f, 4096, "test") != 0) abort();
        const volatile uint8_t *p = w->sys->map(NULL, f, 4096);
        if (p == NULL || w->sys->truncate(NULL, f, 0, "test") != 0) abort();
        if (sigsetjmp(elsewhere, 1) != 0) (void)raise(SIGTERM);
        if (p[0] == 0) abort(); /* not by map_read */
        abort();
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}
#endif

/* Every other SIGBUS goes to the handler that there was; without one it ends the process. */
static void map__others_sigbus__goes_on_to_them(void **state) {
#if defined(__x86_64__)
    assert_int_equal(run_child(*state, true), SIGTERM);
    assert_int_equal(run_child(*state, false), SIGBUS);
#else
    (void)state;
#endif
}

/* A file gets shorter and longer. */
static void truncate__down_and_up__size_follows(void **state) {
    struct world *w = *state;
    int f = make_file(w, "f");
    char got[6];
    assert_int_equal(w->sys->write(NULL, f, "abcdef", 6, 0, WHY), 6);
    assert_int_equal(w->sys->truncate(NULL, f, 2, WHY), 0);
    assert_int_equal(w->sys->size(NULL, f), 2);
    assert_int_equal(w->sys->truncate(NULL, f, 6, WHY), 0);
    assert_int_equal(w->sys->read(NULL, f, got, 6, 0), 6);
    assert_memory_equal(got, "ab\0\0\0\0", 6);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A rename puts one file in the place of another. */
static void rename__over_a_file__replaces_it(void **state) {
    struct world *w = *state;
    char got[3];
    int a = make_file(w, "a"), b = make_file(w, "b");
    assert_int_equal(w->sys->write(NULL, a, "new", 3, 0, WHY), 3);
    assert_int_equal(w->sys->close(NULL, b), 0);
    assert_int_equal(w->sys->rename(NULL, w->dir, "a", "b", WHY), 0);
    assert_int_equal(w->sys->close(NULL, a), 0);
    assert_int_equal(w->sys->open(NULL, w->dir, "a", NITRO_FILE_READ), -ENOENT);
    b = w->sys->open(NULL, w->dir, "b", NITRO_FILE_READ);
    assert_int_equal(w->sys->read(NULL, b, got, 3, 0), 3);
    assert_memory_equal(got, "new", 3);
    assert_int_equal(w->sys->close(NULL, b), 0);
    assert_int_equal(w->sys->unlink(NULL, w->dir, "b", WHY), 0);
    assert_int_equal(w->sys->unlink(NULL, w->dir, "b", WHY), -ENOENT);
    assert_int_equal(w->sys->rename(NULL, w->dir, "b", "c", WHY), -ENOENT);
}

/* open_below: a folder of that name in the test's own, made if it is missing. */
static int open_below(const struct world *w, const char *name) {
    char path[PATH_MAX];
    path_of(w, name, path);
    int d = w->sys->dir_open(NULL, path, NITRO_DIR_CREATE);
    assert_true(d >= 0);
    return d;
}

/* check_bytes: the file of that name holds these three. */
static void check_bytes(const struct world *w, int dir, const char *name, const char *want) {
    char got[4] = "";
    int f = w->sys->open(NULL, dir, name, NITRO_FILE_READ);
    assert_true(f >= 0);
    assert_int_equal(w->sys->read(NULL, f, got, sizeof got, 0), 3);
    assert_memory_equal(got, want, 3);
    assert_int_equal(w->sys->close(NULL, f), 0);
}

/* A second name, in another folder or in the same, means the same file, until the last one is gone. */
static void link__into_another_folder__same_file_under_each_name(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = w->sys;
    int f = make_file(w, "a"), d = open_below(w, "below");
    assert_int_equal(v->link(NULL, w->dir, "a", d, "b", WHY), 0);
    assert_int_equal(v->link(NULL, w->dir, "a", w->dir, "c", WHY), 0);
    assert_int_equal(v->write(NULL, f, "new", 3, 0, WHY), 3);
    assert_int_equal(v->close(NULL, f), 0);
    check_bytes(w, d, "b", "new");
    assert_int_equal(v->unlink(NULL, w->dir, "a", WHY), 0);
    assert_int_equal(v->open(NULL, w->dir, "a", NITRO_FILE_READ), -ENOENT);
    check_bytes(w, w->dir, "c", "new");
    assert_int_equal(v->unlink(NULL, d, "b", WHY), 0);
    check_bytes(w, w->dir, "c", "new");
    assert_int_equal(v->dir_close(NULL, d), 0);
}

/* A name that is taken keeps its file; only a file that is there gets another name. */
static void link__taken_or_missing_or_a_folder__errors(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = w->sys;
    int a = make_file(w, "a"), b = make_file(w, "b"), d = open_below(w, "below");
    assert_int_equal(v->write(NULL, a, "one", 3, 0, WHY), 3);
    assert_int_equal(v->write(NULL, b, "two", 3, 0, WHY), 3);
    assert_int_equal(v->close(NULL, a), 0);
    assert_int_equal(v->close(NULL, b), 0);
    assert_int_equal(v->link(NULL, w->dir, "a", w->dir, "b", WHY), -EEXIST);
    assert_int_equal(v->link(NULL, w->dir, "a", w->dir, "a", WHY), -EEXIST);
    assert_int_equal(v->link(NULL, w->dir, "a", w->dir, "below", WHY), -EEXIST);
    check_bytes(w, w->dir, "b", "two");
    assert_int_equal(v->link(NULL, w->dir, "missing", d, "c", WHY), -ENOENT);
    assert_int_equal(v->link(NULL, w->dir, "below", d, "c", WHY), -EPERM);
    assert_int_equal(v->open(NULL, d, "c", NITRO_FILE_READ), -ENOENT);
    assert_int_equal(v->dir_close(NULL, d), 0);
}

/* Only a folder goes, and only when nothing is in it; then one of that name can be made again. */
static void dir_remove__empty_or_not__only_an_empty_folder_goes(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = w->sys;
    int d = open_below(w, "below");
    int f = v->open(NULL, d, "f", NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    assert_true(f >= 0);
    assert_int_equal(v->close(NULL, f), 0);
    assert_int_equal(v->dir_remove(NULL, w->dir, "below", WHY), -ENOTEMPTY);
    assert_int_equal(v->dir_remove(NULL, d, "f", WHY), -ENOTDIR);
    assert_int_equal(v->unlink(NULL, d, "f", WHY), 0);
    assert_int_equal(v->dir_close(NULL, d), 0);
    assert_int_equal(v->dir_remove(NULL, w->dir, "below", WHY), 0);
    assert_int_equal(v->dir_remove(NULL, w->dir, "below", WHY), -ENOENT);
    synced_count = 0;
    assert_int_equal(v->dir_close(NULL, open_below(w, "below")), 0);
    assert_true(was_synced(w->root));
    assert_int_equal(mode_of(w, "below"), 0700);
}

static int see_nothing(void *arg, const char *name) {
    (void)arg;
    fail_msg("listed %s through a handle that is none", name);
    return 1;
}

/* Every call says so when its handle is none, or its folder is a file. */
static void calls__bad_handles__errors(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = w->sys;
    char buf[4] = "";
    const int bad = 1 << 20;
    assert_int_equal(v->read(NULL, bad, buf, 4, 0), -EBADF);
    assert_int_equal(v->write(NULL, bad, buf, 4, 0, WHY), -EBADF);
    assert_int_equal(v->sync(NULL, bad, WHY), -EBADF);
    assert_int_equal(v->alloc(NULL, bad, 0, 4096, WHY), -EBADF);
    assert_int_equal(v->truncate(NULL, bad, 0, WHY), -EBADF);
    assert_int_equal(v->size(NULL, bad), -EBADF);
    assert_int_equal(v->close(NULL, bad), -EBADF);
    assert_int_equal(v->dir_close(NULL, bad), -EBADF);
    assert_int_equal(v->dir_sync(NULL, bad, WHY), -EBADF);
    assert_int_equal(v->dir_list(NULL, bad, see_nothing, NULL), -EBADF);
    assert_int_equal(v->link(NULL, bad, "a", bad, "b", WHY), -EBADF);
    assert_int_equal(v->dir_remove(NULL, bad, "a", WHY), -EBADF);
    int f = make_file(w, "f");
    assert_int_equal(v->dir_list(NULL, f, see_nothing, NULL), -ENOTDIR);
    assert_int_equal(v->open(NULL, f, "below", NITRO_FILE_READ), -ENOTDIR);
    assert_int_equal(v->lock(NULL, f, "LOCK", buf, sizeof buf), -ENOTDIR);
    assert_int_equal(v->rename(NULL, f, "a", "b", WHY), -ENOTDIR);
    assert_int_equal(v->unlink(NULL, f, "a", WHY), -ENOTDIR);
    assert_int_equal(v->link(NULL, f, "a", w->dir, "b", WHY), -ENOTDIR);
    assert_int_equal(v->link(NULL, w->dir, "f", f, "b", WHY), -ENOTDIR);
    assert_int_equal(v->dir_remove(NULL, f, "a", WHY), -ENOTDIR);
    assert_int_equal(v->read(NULL, f, buf, 4, UINT64_MAX), -EINVAL);
    assert_int_equal(v->close(NULL, f), 0);
}

/* ---- the lock ----------------------------------------------------------------------------------*/

/* what_it_says: the text of the lock file, and when it was changed. */
static struct timespec what_it_says(const struct world *w, char text[64]) {
    char path[PATH_MAX];
    struct stat st;
    path_of(w, NK_PATH_LOCK, path);
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, 63);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    return st.st_mtim;
}

/* hold_lock: a process that takes the lock and keeps it until it is killed. */
static pid_t hold_lock(const struct world *w) {
    int pipe_fds[2];
    char owner[64], byte;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        byte = w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner) >= 0 ? 'y' : 'n';
        if (write(pipe_fds[1], &byte, 1) == 1)
            for (;;) pause();
        kill(getpid(), SIGKILL); /* no exit, so that no checker looks for leaks in the copy */
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return child;
}

/* Another process has it: refused, its pid is told, nothing is touched; once it is dead, the lock
 * is free, and carries the new owner's pid, which may be the shorter text. */
static void lock__held_by_another_process__refused_until_it_dies(void **state) {
    struct world *w = *state;
    char before[64], after[64], want[64], owner[64] = "";
    pid_t child = hold_lock(w);
    struct timespec time_before = what_it_says(w, before);
    assert_int_equal(w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner), -EWOULDBLOCK);
    struct timespec time_after = what_it_says(w, after);
    snprintf(want, sizeof want, "pid %ld", (long)child);
    assert_string_equal(owner, want);
    assert_string_equal(before, after);
    assert_memory_equal(&time_before, &time_after, sizeof time_before);

    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    int lock = w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner);
    assert_true(lock >= 0);
    what_it_says(w, after);
    snprintf(want, sizeof want, "pid %ld\n", (long)getpid());
    assert_string_equal(after, want);
    assert_int_equal(w->sys->close(NULL, lock), 0);
}

/* The same process cannot have it twice either; close gives it back. */
static void lock__held_by_this_process__refused_until_closed(void **state) {
    struct world *w = *state;
    char owner[64] = "", want[64], tiny[4] = "zzz";
    int lock = w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner);
    assert_true(lock >= 0);
    for (int i = 0; i < 2; i++) /* a refused try, closed again, must not drop the lock */
        assert_int_equal(w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner),
                         -EWOULDBLOCK);
    snprintf(want, sizeof want, "pid %ld", (long)getpid());
    assert_string_equal(owner, want);
    assert_int_equal(w->sys->lock(NULL, w->dir, NK_PATH_LOCK, tiny, sizeof tiny), -EWOULDBLOCK);
    assert_string_equal(tiny, "pid");
    assert_int_equal(w->sys->lock(NULL, w->dir, NK_PATH_LOCK, NULL, 0), -EWOULDBLOCK);
    assert_int_equal(w->sys->close(NULL, lock), 0);
    lock = w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner);
    assert_true(lock >= 0);
    assert_int_equal(w->sys->close(NULL, lock), 0);
}

/* A longer text of a former owner does not shine through. */
static void lock__text_of_a_former_owner__is_replaced(void **state) {
    struct world *w = *state;
    char owner[64], text[64], want[64];
    int f = make_file(w, NK_PATH_LOCK);
    assert_int_equal(nk_vfs_write(w->sys, f, "pid 99999999999999999999\n", 25, 0, WHY), 0);
    assert_int_equal(w->sys->close(NULL, f), 0);
    int lock = w->sys->lock(NULL, w->dir, NK_PATH_LOCK, owner, sizeof owner);
    assert_true(lock >= 0);
    what_it_says(w, text);
    snprintf(want, sizeof want, "pid %ld\n", (long)getpid());
    assert_string_equal(text, want);
    assert_int_equal(w->sys->close(NULL, lock), 0);
}

/* ---- paths -------------------------------------------------------------------------------------*/

/* folder_of: which one the path of a file says; *name is the file's. */
static ino_t folder_of(const struct world *w, const char *path, const char **name) {
    struct test_mem mem;
    struct stat st;
    test_mem_init(&mem);
    int dir = nk_vfs_dir_of(w->sys, &mem.table, path, name);
    assert_true(dir >= 0);
    assert_int_equal(fstat(dir, &st), 0);
    assert_int_equal(w->sys->dir_close(NULL, dir), 0);
    test_mem_check_empty(&mem);
    return st.st_ino;
}

static ino_t ino_of(const char *path) {
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

/* A path is cut at its last slash; without one the file lies in the working folder. */
static void dir_of__a_path__its_folder_and_the_name(void **state) {
    const struct world *w = *state;
    const char *name = NULL;
    char path[PATH_MAX];
    path_of(w, "file", path);
    assert_true(folder_of(w, path, &name) == ino_of(w->root));
    assert_string_equal(name, "file");
    path_of(w, "", path);
    assert_true(folder_of(w, path, &name) == ino_of(w->root));
    assert_string_equal(name, "");
    assert_true(folder_of(w, "file", &name) == ino_of("."));
    assert_string_equal(name, "file");
    assert_true(folder_of(w, "/file", &name) == ino_of("/"));
    assert_string_equal(name, "file");
}

/* A folder that is not there, and no memory for its name: an error, and nothing is left behind. */
static void dir_of__no_folder_or_no_memory__errors(void **state) {
    const struct world *w = *state;
    struct test_mem mem;
    const char *name = "untouched";
    char path[PATH_MAX];
    test_mem_init(&mem);
    path_of(w, "none/file", path);
    assert_int_equal(nk_vfs_dir_of(w->sys, &mem.table, path, &name), -ENOENT);
    test_mem_fail(&mem, 1, 1);
    path_of(w, "file", path);
    assert_int_equal(nk_vfs_dir_of(w->sys, &mem.table, path, &name), -ENOMEM);
    assert_string_equal(name, "untouched");
    test_mem_check_empty(&mem);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(read_write__short_and_interrupted__all_bytes),
        TEST(read__past_the_end__what_is_there),
        TEST(write__no_progress__is_eio),
        TEST(calls__fail_in_the_middle__that_error_at_once),
        TEST(calls__interrupted__are_made_again),
        TEST(calls__interrupted_for_ever__end),
        TEST(sync__interrupted__is_not_made_again),
        TEST(zero__a_range__that_range_alone),
        TEST(dir_open__missing_parents__made_0700_and_synced),
        TEST(dir_open__left_by_a_killed_process__its_parent_is_synced),
        TEST(dir_open__existing_or_not_asked__nothing_changes),
        TEST(dir_open__relative_path__below_the_working_folder),
        TEST(dir_open__in_the_way__errors),
        TEST(dir_list__many_files__each_once),
        TEST(handles__folder_is_renamed__still_that_folder),
        TEST(handles__made__private_and_not_inherited),
        TEST(open__flags__obeyed),
        TEST(alloc__room__is_there_and_reads_as_zeros),
        TEST(map__read__what_the_file_has),
        TEST(truncate__down_and_up__size_follows),
        TEST(rename__over_a_file__replaces_it),
        TEST(link__into_another_folder__same_file_under_each_name),
        TEST(link__taken_or_missing_or_a_folder__errors),
        TEST(dir_remove__empty_or_not__only_an_empty_folder_goes),
        TEST(calls__bad_handles__errors),
        TEST(lock__held_by_another_process__refused_until_it_dies),
        TEST(lock__held_by_this_process__refused_until_closed),
        TEST(lock__text_of_a_former_owner__is_replaced),
        TEST(dir_of__a_path__its_folder_and_the_name),
        TEST(dir_of__no_folder_or_no_memory__errors),
    };
    /* Memcheck delivers signals in a way of its own: it has no instruction that could be gone on behind. */
    const struct CMUnitTest signals[] = {TEST(map__others_sigbus__goes_on_to_them),
                                         TEST(map__page_is_gone__eio)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return RUNNING_ON_VALGRIND ? failed : failed + cmocka_run_group_tests(signals, NULL, NULL);
}
