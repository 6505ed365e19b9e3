/* SPDX-License-Identifier: MIT
 *
 * vfs_posix.c - the system's table of file calls: the one place where the engine meets the kernel
 * (L1).
 *
 * DESIGN
 *   Handles are file descriptors, all opened with O_CLOEXEC. A folder is opened once, and every
 *   name is resolved relative to it: a folder that is renamed while it is open stays the same
 *   folder.
 *
 *   Folders. `mkdir -p` alone is not durable: an entry lies in its parent, so each parent in which
 *   a folder was made is synced. A process that was killed between the two leaves an entry that
 *   looks present and is not on disk; only the deepest one can be in that state, because they are
 *   made and synced one after the other. So the parent of the deepest folder that was there is
 *   synced as well.
 *
 *   The lock is flock(2). A classic fcntl(2) lock belongs to the process: a second open in the same
 *   process would pass it, and any close of the file would drop it. A flock belongs to the open
 *   file. The text in the file is for people. It is written over the old one and then cut to
 *   length, so that it needs no new block on a full disk and is at no moment empty.
 *
 * NOT HERE  mapped files (vfs_map.c), retries after EINTR and short counts (vfs.c), names (path.c).
 */
#define _GNU_SOURCE /* fallocate, getdents64, O_PATH */

#include "vfs_map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_MODE 0700
#define FILE_MODE 0600
#define NAME_BYTES 256 /* NAME_MAX and the terminator */
#define LIST_BYTES 4096

_Static_assert(sizeof(off_t) == 8, "files are larger than 2 GiB");

static int posix_close(void *ctx, int fd) {
    (void)ctx;
    /* On Linux the descriptor is gone even after EINTR: a second close could hit a stranger's. */
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

/* close_with: closes fd on the way out of a failure and returns that failure. */
static int close_with(int fd, int rc) {
    (void)posix_close(NULL, fd);
    return rc;
}

/* ---- folders -----------------------------------------------------------------------------------*/

static int open_folder(int at, const char *name, int how) {
    int fd = openat(at, name, how | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int posix_dir_sync(void *ctx, int dir, const char *why) {
    (void)ctx;
    (void)why;
    return fsync(dir) < 0 ? -errno : 0;
}

/* sync_folder: makes the entries of folder `name`, seen from `at`, durable. */
static int sync_folder(int at, const char *name) {
    int fd = open_folder(at, name, O_RDONLY);
    if (fd < 0) return fd;
    return close_with(fd, posix_dir_sync(NULL, fd, NULL));
}

/* settle: makes the entry of a folder that was there durable, in case a killed process has made it.
 * Its parent may belong to somebody else, or to a file system that cannot sync a folder: then it
 * was not us who made the entry, or nothing can be done about it. */
static int settle(int dir) {
    int rc = sync_folder(dir, "..");
    return rc == -EACCES || rc == -EINVAL ? 0 : rc;
}

/* enter: opens folder `name` of `at` (a path handle), making it if it is missing. *made says that
 * one of the folders on the way was made. */
static int enter(int at, const char *name, bool *made) {
    int fd = open_folder(at, name, O_PATH);
    if (fd != -ENOENT) return fd;
    int rc = *made ? 0 : settle(at);
    if (rc < 0) return rc;
    if (mkdirat(at, name, DIR_MODE) < 0 && errno != EEXIST) return -errno;
    *made = true;
    rc = sync_folder(at, ".");
    return rc < 0 ? rc : open_folder(at, name, O_PATH);
}

/* next_name: copies the next component of *path to out[NAME_BYTES] and moves *path behind it.
 * Returns its length, 0 at the end. */
static int next_name(const char **path, char *out) {
    const char *from = *path + strspn(*path, "/");
    size_t n = strcspn(from, "/");
    if (n >= NAME_BYTES) return -ENAMETOOLONG;
    memcpy(out, from, n);
    out[n] = '\0';
    *path = from + n;
    return (int)n;
}

/* make_folders: a path handle of `path`, each missing component made and durable. */
static int make_folders(const char *path) {
    char name[NAME_BYTES];
    bool made = false;
    int fd = open_folder(AT_FDCWD, path[0] == '/' ? "/" : ".", O_PATH);
    while (fd >= 0) {
        int n = next_name(&path, name);
        if (n < 0) return close_with(fd, n);
        if (n == 0) break;
        fd = close_with(fd, enter(fd, name, &made));
    }
    if (fd < 0 || made) return fd;
    int rc = settle(fd);
    return rc < 0 ? close_with(fd, rc) : fd;
}

static int posix_dir_open(void *ctx, const char *path, unsigned flags) {
    (void)ctx;
    if (path[0] == '\0') return -ENOENT;
    if ((flags & NITRO_DIR_CREATE) == 0) return open_folder(AT_FDCWD, path, O_RDONLY);
    int fd = make_folders(path);
    if (fd < 0) return fd;
    return close_with(fd, open_folder(fd, ".", O_RDONLY));
}

/* list_some: hands the entries of one read on; what the callback returned when it ended the
 * listing. */
static int list_some(const char *buf, size_t n, nitro_dir_fn *fn, void *arg) {
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0;) {
        const struct dirent64 *e = (const void *)(buf + at);
        at += e->d_reclen;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) rc = fn(arg, e->d_name);
    }
    return rc;
}

/* getdents64 rather than readdir: that one allocates memory behind the allocator table's back. A
 * handle of its own, because the position in a folder belongs to the handle, and listings may run
 * side by side. */
static int posix_dir_list(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    (void)ctx;
    int fd = open_folder(dir, ".", O_RDONLY);
    if (fd < 0) return fd;
    _Alignas(struct dirent64) char buf[LIST_BYTES];
    for (;;) {
        ssize_t n = getdents64(fd, buf, sizeof buf);
        if (n <= 0) return close_with(fd, n < 0 ? -errno : 0);
        int rc = list_some(buf, (size_t)n, fn, arg);
        if (rc != 0) return close_with(fd, rc);
    }
}

static int posix_rename(void *ctx, int dir, const char *from, const char *to, const char *why) {
    (void)ctx;
    (void)why;
    return renameat(dir, from, dir, to) < 0 ? -errno : 0;
}

static int posix_unlink(void *ctx, int dir, const char *name, const char *why) {
    (void)ctx;
    (void)why;
    return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static int posix_link(void *ctx, int dir, const char *name, int to_dir, const char *to_name,
                      const char *why) {
    (void)ctx;
    (void)why;
    return linkat(dir, name, to_dir, to_name, 0) < 0 ? -errno : 0;
}

static int posix_dir_remove(void *ctx, int dir, const char *name, const char *why) {
    (void)ctx;
    (void)why;
    return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* ---- the lock ----------------------------------------------------------------------------------*/

/* read_owner: the first line of the lock file; empty if it cannot be read. */
static void read_owner(int fd, char *owner, size_t cap) {
    if (cap == 0) return;
    ssize_t n = pread(fd, owner, cap - 1, 0);
    owner[n > 0 ? n : 0] = '\0';
    owner[strcspn(owner, "\n")] = '\0';
}

/* write_owner: says who has the lock. */
static int write_owner(int fd) {
    char text[32];
    int n = snprintf(text, sizeof text, "pid %ld\n", (long)getpid());
    ssize_t done = pwrite(fd, text, (size_t)n, 0);
    if (done < 0) return -errno;
    if (done != n) return -EIO;
    return ftruncate(fd, n) < 0 ? -errno : 0;
}

static int posix_lock(void *ctx, int dir, const char *name, char *owner, size_t cap) {
    (void)ctx;
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = -errno;
        if (rc == -EWOULDBLOCK) read_owner(fd, owner, cap);
        return close_with(fd, rc);
    }
    int rc = write_owner(fd);
    return rc < 0 ? close_with(fd, rc) : fd;
}

/* ---- files -------------------------------------------------------------------------------------*/

static int posix_open(void *ctx, int dir, const char *name, unsigned flags) {
    (void)ctx;
    bool reads = (flags & NITRO_FILE_READ) != 0, writes = (flags & NITRO_FILE_WRITE) != 0;
    if (!reads && !writes) return -EINVAL;
    if ((flags & NITRO_FILE_CREATE) != 0 && !writes) return -EINVAL;
    int how = O_CLOEXEC | (writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY);
    if ((flags & NITRO_FILE_CREATE) != 0) how |= O_CREAT;
    if ((flags & NITRO_FILE_EXCL) != 0) how |= O_EXCL;
    int fd = openat(dir, name, how, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

static int64_t posix_read(void *ctx, int fd, void *p, size_t n, uint64_t offset) {
    (void)ctx;
    ssize_t done = pread(fd, p, n, (off_t)offset);
    return done < 0 ? -errno : done;
}

static int64_t posix_write(void *ctx, int fd, const void *p, size_t n, uint64_t offset,
                           const char *why) {
    (void)ctx;
    (void)why;
    ssize_t done = pwrite(fd, p, n, (off_t)offset);
    return done < 0 ? -errno : done;
}

static int posix_sync(void *ctx, int fd, const char *why) {
    (void)ctx;
    (void)why;
    return fdatasync(fd) < 0 ? -errno : 0;
}

/* fallocate, not posix_fallocate: where the file system cannot, that one writes zeros block by
 * block, without saying so; the caller has a better way. */
static int posix_alloc(void *ctx, int fd, uint64_t offset, uint64_t bytes, const char *why) {
    (void)ctx;
    (void)why;
    if (fallocate(fd, 0, (off_t)offset, (off_t)bytes) == 0) return 0;
    return errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int posix_truncate(void *ctx, int fd, uint64_t bytes, const char *why) {
    (void)ctx;
    (void)why;
    return ftruncate(fd, (off_t)bytes) < 0 ? -errno : 0;
}

static int64_t posix_size(void *ctx, int fd) {
    (void)ctx;
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

const struct nitro_vfs *nitro_vfs_system(void) {
    static const struct nitro_vfs table = {
        .ctx = NULL,
        .dir_open = posix_dir_open,
        .dir_close = posix_close,
        .dir_list = posix_dir_list,
        .dir_sync = posix_dir_sync,
        .lock = posix_lock,
        .open = posix_open,
        .close = posix_close,
        .read = posix_read,
        .write = posix_write,
        .sync = posix_sync,
        .alloc = posix_alloc,
        .truncate = posix_truncate,
        .size = posix_size,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .link = posix_link,
        .dir_remove = posix_dir_remove,
        .map = nk_posix_map,
        .unmap = nk_posix_unmap,
        .map_read = nk_posix_map_read,
    };
    return &table;
}
