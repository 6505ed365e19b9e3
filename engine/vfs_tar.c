/* SPDX-License-Identifier: MIT
 *
 * vfs_tar.c - one archive file as a folder that can only be read (L1; the format stands in vfs_tar.h).
 *
 * DESIGN
 *   Opening goes from header to header and keeps of each file name, place and size, in a list that is then sorted by
 *   name: duplicates lie side by side, and a name is found by halving. (A hash table would have to be proof against
 *   names that were made to collide; sorting takes n log n steps whatever they are.)
 *
 *   An archive may end anywhere when a copy of it was broken off, also between two files. So the two blocks of zeros
 *   are demanded, and what may follow them is no more than what tar fills an archive up with.
 *
 *   Handles are numbers: 0 the folder, 1 the lock, 2 + n the file with number n of the list. So nothing is kept about
 *   what is open, and a call takes no memory and no lock. A read is one read of the archive, cut at the file's end.
 *
 * INVARIANTS (from open to close)
 *   (1) entry[0 .. count) is sorted by name, each name once.
 *   (2) at + size of an entry is not beyond the end that the archive had when it was opened.
 *
 * NOT HERE  what is in the files; writing archives (archive.go).
 */
#include "vfs_tar.h"

#include "err.h"
#include "mem.h"
#include "path.h"
#include "vfs.h"

#include <stdio.h>

#define TAR_MAGIC UINT32_C(0x7261746b)
#define FILL (20u * NK_TAR_BLOCK) /* tar fills an archive up to a multiple of this */
#define ENTRIES_FIRST 64u
#define FIELD_NAME 100u
#define FIELD_NUMBER 12u
#define FIELD_SUM 8u
#define MAGIC_BYTES 5u

enum { AT_NAME = 0, AT_SIZE = 124, AT_SUM = 148, AT_TYPE = 156, AT_MAGIC = 257, AT_PREFIX = 345 };
enum { HANDLE_DIR, HANDLE_LOCK, HANDLE_FILE };

struct entry {
    uint64_t at, size; /* of what is in it, in the archive */
    char name[FIELD_NAME + 4];
};

struct nk_tar {
    uint32_t magic;
    int file; /* of `under`; -1: not open yet */
    struct nitro_vfs vfs;
    const struct nitro_vfs *under;
    const struct nitro_mem *mem;
    uint64_t bytes;
    struct entry *entry;
    uint32_t count, cap;
    size_t path_bytes; /* with the terminator */
    char path[];
};

/* ---- errors ------------------------------------------------------------------------------------*/

/* What exists while an archive is opened. */
struct opening {
    struct nk_tar *t;
    const char *path;
    struct nitro_err *err;
    uint64_t bad_at;
    bool folder_known, folder_listed;
    char folder[FIELD_NAME + 1]; /* "": the files lie in none */
};

static int cannot(const struct opening *o, const char *what, int64_t rc) {
    bool missing = rc == -ENOENT || rc == -ENOTDIR;
    int code = missing ? NITRO_ENOTFOUND : rc == -ENOMEM ? NITRO_ENOMEM : NITRO_EIO;
    return nk_err_set(o->err, code, (int)-rc, "open backup %s: cannot %s it: %s%s", o->path, what,
                      strerror((int)-rc), missing ? "; is the path right?" : "");
}

static int out_of_memory(const struct opening *o) {
    return nk_err_set(o->err, NITRO_ENOMEM, 0, "open backup %s: out of memory for %u names",
                      o->path, o->t == NULL ? 0 : o->t->count);
}

/* corrupt: what is wrong at this offset, `name` (or NULL) saying with which file. */
static int corrupt(struct opening *o, uint64_t at, const char *name, const char *what) {
    o->bad_at = at;
    return nk_err_set(
        o->err, NITRO_ECORRUPT, 0,
        "open backup %s: offset %llu: %s%s%s; the file is damaged, or no backup: use another copy",
        o->path, (unsigned long long)at, name == NULL ? "" : name, name == NULL ? "" : ": ", what);
}

/* cut_short: the archive ends before `what`, or inside of the file `name`; so many bytes are missing at least. */
static int cut_short(struct opening *o, uint64_t end, const char *what, const char *name,
                     uint64_t missing) {
    o->bad_at = end;
    return nk_err_set(o->err, NITRO_ECORRUPT, 0,
                      "open backup %s: offset %llu: the file ends %s%s, and at least %llu bytes "
                      "are missing; it was cut short: use another copy",
                      o->path, (unsigned long long)end, what, name, (unsigned long long)missing);
}

/* ---- headers -----------------------------------------------------------------------------------*/

struct head {
    char name[FIELD_NAME + 1];
    char type;
    uint64_t size;
};

/* take_octal: blanks, digits, then zeros and blanks up to the end. */
static bool take_octal(const uint8_t *p, size_t n, uint64_t *out) {
    size_t i = 0;
    uint64_t v = 0;
    while (i < n && p[i] == ' ') i++;
    size_t first = i;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) v = v * 8 + (uint64_t)(p[i] - '0');
    if (i == first) return false;
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != 0) return false;
    *out = v;
    return true;
}

/* take_sum: as programs write it, and nothing that is one bit away, because no sum says whether this field is what was written. */
static bool take_sum(const uint8_t *p, uint64_t *out) {
    bool posix = p[0] != ' ' && p[6] == 0 && p[7] == ' ', old = p[0] == ' ' && p[7] == 0;
    p += old;
    for (size_t i = 0; i < 6; i++)
        if (p[i] < '0' || p[i] > '7') return false;
    return (posix || old) && take_octal(p, 6, out);
}

/* sum_of: that of the header, blanks standing for itself. */
static uint64_t sum_of(const uint8_t *p) {
    uint64_t sum = 0;
    for (size_t i = 0; i < NK_TAR_BLOCK; i++) sum += i - AT_SUM < FIELD_SUM ? (uint8_t)' ' : p[i];
    return sum;
}

static bool is_magic(const uint8_t *p) {
    static const char posix[8] = "ustar\00000", gnu[8] = "ustar  ";
    return memcmp(p, posix, sizeof posix) == 0 || memcmp(p, gnu, sizeof gnu) == 0;
}

static bool is_zero(const uint8_t *p, size_t n) {
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= p[i];
    return any == 0;
}

/* decode: NULL and *h, or what is wrong with the header. */
static const char *decode(const uint8_t *p, struct head *h) {
    uint64_t sum;
    if (!is_magic(p + AT_MAGIC)) return "there is no header of tar's format here";
    if (!take_sum(p + AT_SUM, &sum) || sum != sum_of(p))
        return "the checksum of a header does not fit";
    memcpy(h->name, p + AT_NAME, FIELD_NAME);
    h->name[FIELD_NAME] = '\0';
    if (p[AT_PREFIX] != 0) return "a name is too long";
    if (!take_octal(p + AT_SIZE, FIELD_NUMBER, &h->size)) return "a size is not a number";
    h->type = p[AT_TYPE] == 0 ? '0' : (char)p[AT_TYPE];
    return h->type == '0' || h->type == '5' ? NULL : "it holds what is no file";
}

/* is_plain: whether the n bytes are a name, and printable. */
static bool is_plain(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] < ' ' || p[i] > '~' || p[i] == '/') return false;
    return n > 0 && !(n == 2 && p[0] == '.' && p[1] == '.');
}

/* same_folder: whether the n bytes are the folder that all files lie in; the first one says which. */
static bool same_folder(struct opening *o, const char *p, size_t n) {
    if (!o->folder_known) {
        memcpy(o->folder, p, n);
        o->folder[n] = '\0';
        o->folder_known = true;
    }
    return strlen(o->folder) == n && memcmp(o->folder, p, n) == 0;
}

/* ---- the list ----------------------------------------------------------------------------------*/

static bool make_room(struct nk_tar *t) {
    if (t->count < t->cap) return true;
    uint32_t cap = t->cap == 0 ? ENTRIES_FIRST : t->cap * 2;
    struct entry *e = nk_mem_resize(t->mem, t->entry, t->cap * sizeof *e, (size_t)cap * sizeof *e);
    if (e == NULL) return false;
    t->entry = e;
    t->cap = cap;
    return true;
}

static void swap(struct entry *a, struct entry *b) {
    struct entry c = *a;
    *a = *b;
    *b = c;
}

/* sift: the entry at this place goes down to where neither below it is larger. */
static void sift(struct entry *e, uint32_t at, uint32_t count) {
    for (uint32_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && strcmp(e[below].name, e[below + 1].name) < 0) below++;
        if (strcmp(e[at].name, e[below].name) >= 0) return;
        swap(&e[at], &e[below]);
    }
}

/* sort: by name; heapsort, which needs no memory and is never slow. */
static void sort(struct entry *e, uint32_t count) {
    for (uint32_t at = count / 2; at-- > 0;) sift(e, at, count);
    for (uint32_t last = count; last-- > 1;) {
        swap(&e[0], &e[last]);
        sift(e, 0, last);
    }
}

static const struct entry *find(const struct nk_tar *t, const char *name) {
    uint32_t from = 0, to = t->count;
    while (from < to) {
        uint32_t mid = from + (to - from) / 2;
        int c = strcmp(name, t->entry[mid].name);
        if (c == 0) return &t->entry[mid];
        if (c < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return NULL;
}

/* ---- open --------------------------------------------------------------------------------------*/

static int read_block(struct opening *o, uint64_t at, uint8_t *p) {
    const struct nk_tar *t = o->t;
    int64_t n = nk_vfs_read(t->under, t->file, p, NK_TAR_BLOCK, at);
    if (n < 0) return cannot(o, "read", n);
    if (n == NK_TAR_BLOCK) return NITRO_OK;
    uint64_t end = nk_min_u64(at + (uint64_t)n, t->bytes);
    return cut_short(o, end, "before the two blocks of zeros at an archive's end", "",
                     at + NK_TAR_BLOCK - end);
}

/* take_file: the file whose header stands before `at` to the list. */
static int take_file(struct opening *o, const struct head *h, uint64_t at) {
    struct nk_tar *t = o->t;
    const char *slash = strchr(h->name, '/'), *name = slash == NULL ? h->name : slash + 1;
    size_t n = slash == NULL ? 0 : (size_t)(slash - h->name), bytes = strlen(name);
    if ((slash != NULL && !is_plain(h->name, n)) || !is_plain(name, bytes) ||
        strcmp(name, ".") == 0)
        return corrupt(o, at - NK_TAR_BLOCK, NULL, "a name is not that of a file in a folder");
    if (!same_folder(o, h->name, n))
        return corrupt(o, at - NK_TAR_BLOCK, name, "it lies in another folder than the others");
    if (h->size > t->bytes || at > t->bytes - h->size)
        return cut_short(o, t->bytes, "inside of ", name, at + h->size - t->bytes);
    if (t->count == NK_TAR_FILES_MAX)
        return corrupt(o, at - NK_TAR_BLOCK, NULL, "there are too many files");
    if (!make_room(t)) return out_of_memory(o);
    struct entry *e = &t->entry[t->count++];
    *e = (struct entry){.at = at, .size = h->size};
    memcpy(e->name, name, bytes);
    return NITRO_OK;
}

/* take_folder: the entry of the folder itself. */
static int take_folder(struct opening *o, const struct head *h, uint64_t at) {
    size_t n = strlen(h->name);
    if (n > 0 && h->name[n - 1] == '/') n--;
    if (h->size != 0 || o->folder_listed || !is_plain(h->name, n) || !same_folder(o, h->name, n))
        return corrupt(o, at - NK_TAR_BLOCK, NULL, "it holds a second folder");
    o->folder_listed = true;
    return NITRO_OK;
}

/* check_end: behind the first block of zeros there is another one, and then nothing. */
static int check_end(struct opening *o, uint64_t at) {
    uint8_t block[NK_TAR_BLOCK];
    const struct nk_tar *t = o->t;
    int rc = read_block(o, at, block);
    if (rc == NITRO_OK && !is_zero(block, sizeof block))
        rc = corrupt(o, at, NULL, "only one block of zeros stands at the end");
    if (rc != NITRO_OK) return rc;
    at += NK_TAR_BLOCK;
    bool filled = t->bytes % FILL == 0 && t->bytes - at < FILL;
    if (t->bytes > at && !filled) return corrupt(o, at, NULL, "there is something behind the end");
    while (at < t->bytes) {
        int64_t n = nk_vfs_read(t->under, t->file, block, sizeof block, at);
        if (n < 0) return cannot(o, "read", n);
        if (!is_zero(block, (size_t)n))
            return corrupt(o, at, NULL, "there is something behind the end");
        at += sizeof block;
    }
    return NITRO_OK;
}

static int read_entries(struct opening *o) {
    uint8_t block[NK_TAR_BLOCK];
    struct head h;
    uint64_t at = 0;
    for (;;) {
        int rc = read_block(o, at, block);
        if (rc != NITRO_OK) return rc;
        if (is_zero(block, sizeof block)) return check_end(o, at + NK_TAR_BLOCK);
        const char *wrong = decode(block, &h);
        if (wrong != NULL) return corrupt(o, at, NULL, wrong);
        at += NK_TAR_BLOCK;
        rc = h.type == '0' ? take_file(o, &h, at) : take_folder(o, &h, at);
        if (rc != NITRO_OK) return rc;
        at += nk_round_up(h.size, NK_TAR_BLOCK);
    }
}

static int check_names(struct opening *o) {
    const struct nk_tar *t = o->t;
    if (t->count == 0) return corrupt(o, 0, NULL, "it holds no file");
    sort(t->entry, t->count);
    for (uint32_t i = 1; i < t->count; i++) {
        const struct entry *a = &t->entry[i - 1], *b = &t->entry[i];
        if (strcmp(a->name, b->name) == 0)
            return corrupt(o, nk_max_u64(a->at, b->at) - NK_TAR_BLOCK, b->name,
                           "it is there twice");
    }
    return NITRO_OK;
}

static int open_file(struct opening *o) {
    struct nk_tar *t = o->t;
    const char *name = NULL;
    int dir = nk_vfs_dir_of(t->under, t->mem, o->path, &name);
    if (dir < 0) return cannot(o, "open the folder of", dir);
    t->file = nk_vfs_open(t->under, dir, name, NITRO_FILE_READ);
    (void)t->under->dir_close(t->under->ctx, dir); /* only read */
    if (t->file < 0) return cannot(o, "open", t->file);
    int64_t bytes = t->under->size(t->under->ctx, t->file);
    if (bytes < 0) return cannot(o, "ask for the size of", bytes);
    t->bytes = (uint64_t)bytes;
    return NITRO_OK;
}

static const struct nitro_vfs table;

/* new_tar: nothing in it but what it is told. */
static struct nk_tar *new_tar(const char *path, const struct nitro_vfs *under,
                              const struct nitro_mem *mem) {
    size_t path_bytes = strlen(path) + 1;
    struct nk_tar *t = nk_mem_zalloc(mem, sizeof *t + path_bytes);
    if (t == NULL) return NULL;
    t->magic = TAR_MAGIC;
    t->file = -1;
    t->vfs = table;
    t->vfs.ctx = t;
    t->under = under;
    t->mem = mem;
    t->path_bytes = path_bytes;
    memcpy(t->path, path, path_bytes);
    return t;
}

int nk_tar_open(const char *path, const struct nitro_vfs *under, const struct nitro_mem *mem,
                struct nk_tar **out, uint64_t *bad_at, struct nitro_err *err) {
    struct opening o = {.t = new_tar(path, under, mem), .path = path, .err = err};
    if (o.t == NULL) return out_of_memory(&o);
    int rc = open_file(&o);
    if (rc == NITRO_OK) rc = read_entries(&o);
    if (rc == NITRO_OK) rc = check_names(&o);
    if (rc == NITRO_OK) {
        *out = o.t;
        return NITRO_OK;
    }
    if (rc == NITRO_ECORRUPT && bad_at != NULL) *bad_at = o.bad_at;
    nk_tar_close(&o.t);
    return rc;
}

int nk_tar_check_fill(const struct nk_tar *t, uint64_t *bad_at, struct nitro_err *err) {
    uint8_t fill[NK_TAR_BLOCK];
    struct opening o = {.path = t->path, .err = err};
    for (uint32_t i = 0; i < t->count; i++) {
        const struct entry *e = &t->entry[i];
        uint64_t at = e->at + e->size;
        size_t n = (size_t)(nk_round_up(at, NK_TAR_BLOCK) - at);
        int64_t got = nk_vfs_read(t->under, t->file, fill, n, at);
        if (got < 0) return cannot(&o, "read", got);
        if ((size_t)got == n && is_zero(fill, n)) continue;
        int rc = corrupt(&o, at, e->name, "what follows it up to the next block is not zeros");
        *bad_at = o.bad_at;
        return rc;
    }
    return NITRO_OK;
}

void nk_tar_close(struct nk_tar **tar) {
    struct nk_tar *t = *tar;
    *tar = NULL;
    if (t == NULL) return;
    NK_ASSERT(t->magic == TAR_MAGIC);
    if (t->file >= 0) (void)t->under->close(t->under->ctx, t->file); /* only read */
    nk_mem_free(t->mem, t->entry, t->cap * sizeof *t->entry);
    t->magic = 0;
    nk_mem_free(t->mem, t, sizeof *t + t->path_bytes);
}

int nk_tar_is(const struct nitro_vfs *v, int file) {
    uint8_t p[MAGIC_BYTES];
    int64_t n = nk_vfs_read(v, file, p, sizeof p, AT_MAGIC);
    if (n < 0) return (int)n;
    return n == MAGIC_BYTES && memcmp(p, "ustar", sizeof p) == 0;
}

const struct nitro_vfs *nk_tar_vfs(const struct nk_tar *t) { return &t->vfs; }
uint64_t nk_tar_bytes(const struct nk_tar *t) { return t->bytes; }

uint64_t nk_tar_bad_at(const struct nk_tar *t, const char *name, uint64_t offset) {
    const struct entry *e = find(t, name);
    return e == NULL ? t->bytes : e->at + nk_min_u64(offset, e->size);
}

/* ---- the table: folders ------------------------------------------------------------------------*/

/* is_below: whether a path goes on behind that of the archive, or ends with the name of a folder in a data folder. */
static bool is_below(const struct nk_tar *t, const char *path) {
    size_t own = t->path_bytes - 1, n = strlen(path), name = sizeof NK_PATH_RETAINED - 1;
    while (n > 1 && path[n - 1] == '/') n--;
    if (n >= own && memcmp(path, t->path, own) == 0 && (n == own || path[own] == '/'))
        return n > own;
    return n >= name && memcmp(path + n - name, NK_PATH_RETAINED, name) == 0 &&
           (n == name || path[n - name - 1] == '/');
}

static int tar_dir_open(void *ctx, const char *path, unsigned flags) {
    const struct nk_tar *t = ctx;
    NK_ASSERT(t->magic == TAR_MAGIC);
    if (path[0] == '\0') return -ENOENT;
    if (!is_below(t, path)) return HANDLE_DIR;
    return (flags & NITRO_DIR_CREATE) != 0 ? -EROFS : -ENOENT;
}

static int tar_dir_close(void *ctx, int dir) {
    (void)ctx;
    return dir == HANDLE_DIR ? 0 : -EBADF;
}

static int tar_dir_list(void *ctx, int dir, nitro_dir_fn *fn, void *arg) {
    const struct nk_tar *t = ctx;
    int rc = dir == HANDLE_DIR ? 0 : -EBADF;
    for (uint32_t i = 0; i < t->count && rc == 0; i++) rc = fn(arg, t->entry[i].name);
    return rc;
}

static int tar_dir_sync(void *ctx, int dir, const char *why) {
    (void)why;
    return tar_dir_close(ctx, dir);
}

static int tar_lock(void *ctx, int dir, const char *name, char *owner, size_t cap) {
    (void)ctx;
    (void)name;
    (void)owner;
    (void)cap;
    return dir == HANDLE_DIR ? HANDLE_LOCK : -EBADF;
}

/* ---- the table: files --------------------------------------------------------------------------*/

/* entry_of: NULL for what is no handle of a file, that of the lock included. */
static const struct entry *entry_of(const struct nk_tar *t, int file) {
    bool is = file >= HANDLE_FILE && (uint32_t)(file - HANDLE_FILE) < t->count;
    return is ? &t->entry[file - HANDLE_FILE] : NULL;
}

static int tar_open(void *ctx, int dir, const char *name, unsigned flags) {
    const struct nk_tar *t = ctx;
    if (dir != HANDLE_DIR) return -EBADF;
    if ((flags & (NITRO_FILE_WRITE | NITRO_FILE_CREATE)) != 0) return -EROFS;
    if ((flags & NITRO_FILE_READ) == 0) return -EINVAL;
    const struct entry *e = find(t, name);
    return e == NULL ? -ENOENT : HANDLE_FILE + (int)(e - t->entry);
}

static int tar_close(void *ctx, int file) {
    return file == HANDLE_LOCK || entry_of(ctx, file) != NULL ? 0 : -EBADF;
}

static int64_t tar_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    const struct nk_tar *t = ctx;
    const struct entry *e = entry_of(t, file);
    if (e == NULL) return -EBADF;
    if (offset >= e->size) return 0;
    n = (size_t)nk_min_u64(n, e->size - offset);
    return t->under->read(t->under->ctx, t->file, p, n, e->at + offset);
}

static int64_t tar_size(void *ctx, int file) {
    const struct entry *e = entry_of(ctx, file);
    return e == NULL ? -EBADF : (int64_t)e->size;
}

static int tar_sync(void *ctx, int file, const char *why) {
    (void)why;
    return tar_close(ctx, file);
}

/* ---- the table: what would change something ----------------------------------------------------*/

static int64_t tar_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                         const char *why) {
    (void)ctx, (void)file, (void)p, (void)n, (void)offset, (void)why;
    return -EROFS;
}

static int tar_alloc(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    (void)ctx, (void)file, (void)offset, (void)bytes, (void)why;
    return -EROFS;
}

static int tar_truncate(void *ctx, int file, uint64_t bytes, const char *why) {
    (void)ctx, (void)file, (void)bytes, (void)why;
    return -EROFS;
}

static int tar_rename(void *ctx, int dir, const char *from, const char *to, const char *why) {
    (void)ctx, (void)dir, (void)from, (void)to, (void)why;
    return -EROFS;
}

/* tar_unlink: dir_remove as well. */
static int tar_unlink(void *ctx, int dir, const char *name, const char *why) {
    (void)ctx, (void)dir, (void)name, (void)why;
    return -EROFS;
}

static int tar_link(void *ctx, int dir, const char *name, int to_dir, const char *to_name,
                    const char *why) {
    (void)ctx, (void)dir, (void)name, (void)to_dir, (void)to_name, (void)why;
    return -EROFS;
}

static const struct nitro_vfs table = {
    .dir_open = tar_dir_open,
    .dir_close = tar_dir_close,
    .dir_list = tar_dir_list,
    .dir_sync = tar_dir_sync,
    .lock = tar_lock,
    .open = tar_open,
    .close = tar_close,
    .read = tar_read,
    .write = tar_write,
    .sync = tar_sync,
    .alloc = tar_alloc,
    .truncate = tar_truncate,
    .size = tar_size,
    .rename = tar_rename,
    .unlink = tar_unlink,
    .link = tar_link,
    .dir_remove = tar_unlink,
};
