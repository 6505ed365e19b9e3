/* SPDX-License-Identifier: MIT
 *
 * fuzz_tar.c - any bytes as an archive: no crash, no byte beyond the end of a file or of the archive, no memory that
 * the archive only claims to need.
 *
 * INPUT  Byte 0: bit 0 lets the calls below do little at a time, bit 7 puts the checksums of all headers right first, without
 *        which random bytes would hardly ever get past the first. The rest is the archive.
 * RULE   What is opened begins as an archive does. Its files are listed once each, sorted; every one of them can be
 *        opened, and its bytes are those that lie in the archive where it is said to lie; no two share a byte. Written
 *        again from what was read, it is an archive with the same files. What is refused is refused with an offset in the file.
 */
#include "tar_rig.h"
#include "vfs.h"

#define CHECK(x)                                                                                   \
    do {                                                                                           \
        if (!(x)) abort();                                                                         \
    } while (0)

/* ---- memory ------------------------------------------------------------------------------------*/

/* More than an input can need is never asked for: an entry is smaller than its header, and the list has room for twice as
 * many, but for 64 at least. (Sizes are said again when memory is given back.) */
static size_t memory_max;
static void *bounded_alloc(void *ctx, size_t bytes) {
    (void)ctx;
    CHECK(bytes <= memory_max);
    return malloc(bytes);
}
static void *bounded_resize(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    (void)ctx;
    (void)old_bytes;
    CHECK(bytes <= memory_max);
    return realloc(p, bytes);
}
static void bounded_free(void *ctx, void *p, size_t bytes) {
    (void)ctx;
    (void)bytes;
    free(p);
}
static const struct nitro_mem bounded = {
    .alloc = bounded_alloc, .resize = bounded_resize, .free = bounded_free};

/* ---- reading -----------------------------------------------------------------------------------*/

struct reader {
    struct tar_rig *rig, *again;
    const struct nk_tar *tar;
    char last[128];
    uint64_t files, bytes;
};

/* open_tar: NULL if it is refused. */
static struct nk_tar *open_tar(struct tar_rig *r) {
    struct nk_tar *t = NULL;
    struct nitro_err err = {0};
    uint64_t bad_at = UINT64_MAX;
    int rc = nk_tar_open(TAR_PATH, &r->file.vfs, &bounded, &t, &bad_at, &err);
    CHECK(rc == err.code && r->open == (rc == NITRO_OK));
    CHECK(rc == NITRO_OK ? t != NULL : rc == NITRO_ECORRUPT && bad_at <= r->file.size);
    CHECK(rc != NITRO_OK || nk_tar_is(&r->file.vfs, TAR_FILE) == 1);
    return t;
}

/* read_file: its bytes are where they are said to be; they, and it, to the archive that is written again. */
static void read_file(struct reader *r, const char *name, int file, size_t n) {
    const struct nitro_vfs *v = nk_tar_vfs(r->tar);
    uint64_t at = nk_tar_bad_at(r->tar, name, 0);
    CHECK(at % NK_TAR_BLOCK == 0 && at <= r->rig->file.size && n <= r->rig->file.size - at);
    CHECK(nk_tar_bad_at(r->tar, name, UINT64_MAX) == at + n);
    uint8_t *p = malloc(n + 1), head[NK_TAR_BLOCK];
    CHECK(p != NULL);
    p[n] = 0xee;
    CHECK(nk_vfs_read(v, file, p, n + 1, 0) == (int64_t)n && p[n] == 0xee);
    CHECK(memcmp(p, r->rig->file.p + at, n) == 0);
    CHECK(v->read(v->ctx, file, p, 1, n) == 0 && v->close(v->ctx, file) == 0);
    if (r->again != NULL) {
        tar_header(head, name, '0', n);
        tar_append(r->again, head, sizeof head);
        tar_append(r->again, p, n);
    }
    free(p);
}

static int read_name(void *arg, const char *name) {
    struct reader *r = arg;
    const struct nitro_vfs *v = nk_tar_vfs(r->tar);
    CHECK(strlen(name) <= 100 && name[0] != '\0' && strchr(name, '/') == NULL);
    CHECK(r->files == 0 || strcmp(r->last, name) < 0);
    strcpy(r->last, name);
    int file = v->open(v->ctx, 0, name, NITRO_FILE_READ);
    CHECK(file > 0);
    int64_t n = v->size(v->ctx, file);
    CHECK(n >= 0 && (uint64_t)n <= r->rig->file.size);
    read_file(r, name, file, (size_t)n);
    r->files++;
    r->bytes += NK_TAR_BLOCK + nk_round_up((uint64_t)n, NK_TAR_BLOCK);
    return 0;
}

/* read_all: false if it is refused. */
static bool read_all(struct reader *r) {
    struct nk_tar *t = open_tar(r->rig);
    if (t == NULL) return false;
    const struct nitro_vfs *v = nk_tar_vfs(t);
    r->tar = t;
    CHECK(nk_tar_bytes(t) == r->rig->file.size);
    CHECK(v->dir_list(v->ctx, v->dir_open(v->ctx, TAR_PATH, 0), read_name, r) == 0);
    CHECK(r->files > 0 && r->bytes + 2 * NK_TAR_BLOCK <= r->rig->file.size);
    nk_tar_close(&t);
    CHECK(r->rig->open == 0);
    return true;
}

/* ---- the target --------------------------------------------------------------------------------*/

/* repair: the sums of the headers, one after the other, as far as their sizes lead. */
static void repair(struct memfile *f) {
    for (uint64_t at = 0; f->size - at >= NK_TAR_BLOCK;) {
        uint8_t *p = f->p + at;
        if (p[257] == 0) return;
        memcpy(p + 257, "ustar\00000", 8);
        tar_sum(p);
        uint64_t n = 0;
        for (unsigned i = 124; i < 136 && p[i] >= '0' && p[i] <= '7'; i++) n = n * 8 + p[i] - '0';
        at += NK_TAR_BLOCK;
        if (n > f->size - at) return;
        at = nk_min_u64(f->size, at + nk_round_up(n, NK_TAR_BLOCK));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tar_rig one, other;
    if (size < 1) return 0;
    tar_rig_init(&one);
    tar_rig_init(&other);
    if (size > 1)
        CHECK(memfile_write(&one, TAR_FILE, data + 1, size - 1, 0, "fuzz") == (int64_t)size - 1);
    if ((data[0] & 0x80) != 0) repair(&one.file);
    if ((data[0] & 1) != 0) {
        one.file.most = 100;
        one.file.interrupts = true;
    }
    memory_max = nk_max_u64(2 * size, 64 * 256);
    struct reader r = {.rig = &one, .again = &other}, again = {.rig = &other};
    if (read_all(&r)) {
        tar_zeros(&other, 2);
        CHECK(other.file.size <= nk_max_u64(one.file.size, 2 * NK_TAR_BLOCK));
        CHECK(read_all(&again) && again.files == r.files && again.bytes == r.bytes);
    }
    memfile_fini(&one.file);
    memfile_fini(&other.file);
    return 0;
}
