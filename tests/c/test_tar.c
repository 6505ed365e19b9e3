/* SPDX-License-Identifier: MIT
 *
 * test_tar.c - an archive file seen as a folder: what it lists and reads, what nobody may do to it, every kind of
 * damage, and what happens when a call or an allocation fails.
 */
#include "past.h"

#include "tar_rig.h"
#include "vfs.h"

#define WHY "test"

/* ---- archives ----------------------------------------------------------------------------------*/

struct world {
    struct tar_rig rig;
    struct test_mem mem;
    struct nk_tar *tar;
    const struct nitro_vfs *v; /* of tar */
    struct nitro_err err;
    uint64_t bad_at;
};

static int world_setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    tar_rig_init(&w->rig);
    test_mem_init(&w->mem);
    *state = w;
    return 0;
}

static int world_teardown(void **state) {
    struct world *w = *state;
    nk_tar_close(&w->tar);
    test_mem_check_empty(&w->mem);
    assert_int_equal(w->rig.open, 0);
    memfile_fini(&w->rig.file);
    free(w);
    return 0;
}

static void restart(struct world *w) {
    nk_tar_close(&w->tar);
    memfile_fini(&w->rig.file);
    tar_rig_init(&w->rig);
}

static int try_open(struct world *w) {
    w->bad_at = UINT64_MAX;
    w->err = (struct nitro_err){0};
    int rc = nk_tar_open(TAR_PATH, &w->rig.file.vfs, &w->mem.table, &w->tar, &w->bad_at, &w->err);
    assert_int_equal(w->err.code, rc);
    assert_true((rc == NITRO_OK) == (w->tar != NULL));
    assert_true((rc == NITRO_ECORRUPT) == (w->bad_at <= w->rig.file.size));
    assert_true(rc == NITRO_OK || strstr(w->err.msg, TAR_PATH) != NULL);
    assert_int_equal(w->rig.open, rc == NITRO_OK);
    if (rc == NITRO_OK) w->v = nk_tar_vfs(w->tar);
    if (rc != NITRO_OK) test_mem_check_empty(&w->mem);
    return rc;
}

static void must_open(struct world *w) {
    int rc = try_open(w);
    if (rc != NITRO_OK) fail_msg("%s", w->err.msg);
}

/* must_refuse: at this offset, with these words. */
static void must_refuse(struct world *w, uint64_t at, const char *words) {
    assert_int_equal(try_open(w), NITRO_ECORRUPT);
    if (w->bad_at != at || strstr(w->err.msg, words) == NULL)
        fail_msg("\"%s\" and offset %" PRIu64 " wanted: %s", words, at, w->err.msg);
    restart(w);
}

/* byte_of: what file number n holds at this place. */
static uint8_t byte_of(unsigned n, size_t at) {
    return (uint8_t)((n + 1) * 167 + at * 31 + (at >> 8));
}

static void put_file(struct world *w, const char *name, unsigned n, size_t bytes) {
    uint8_t *p = malloc(bytes + 1);
    assert_non_null(p);
    for (size_t i = 0; i < bytes; i++) p[i] = byte_of(n, i);
    tar_put(&w->rig, name, '0', p, bytes);
    free(p);
}

/* check_file: from its first byte to its last, in pieces, and nothing behind it. */
static void check_file(struct world *w, const char *name, unsigned n, size_t bytes) {
    uint8_t buf[1000];
    int file = nk_vfs_open(w->v, 0, name, NITRO_FILE_READ);
    assert_true(file > 0);
    assert_int_equal(w->v->size(w->v->ctx, file), bytes);
    for (size_t at = 0; at < bytes;) {
        size_t piece = bytes - at < 700 ? bytes - at : 700;
        assert_int_equal(nk_vfs_read(w->v, file, buf, piece, at), piece);
        for (size_t i = 0; i < piece; i++) assert_int_equal(buf[i], byte_of(n, at + i));
        at += piece;
    }
    assert_int_equal(w->v->read(w->v->ctx, file, buf, sizeof buf, bytes), 0);
    assert_int_equal(w->v->read(w->v->ctx, file, buf, sizeof buf, bytes + 1), 0);
    assert_int_equal(w->v->read(w->v->ctx, file, buf, sizeof buf, UINT64_MAX), 0);
    assert_int_equal(w->v->close(w->v->ctx, file), 0);
}

/* list_names: they are added to a text, with a blank behind each. */
static int list_name(void *arg, const char *name) {
    strcat(strcat(arg, name), " ");
    return 0;
}

static void check_list(struct world *w, const char *want) {
    char got[1000] = "";
    int dir = w->v->dir_open(w->v->ctx, TAR_PATH, 0);
    assert_true(dir >= 0);
    assert_int_equal(w->v->dir_list(w->v->ctx, dir, list_name, got), 0);
    assert_int_equal(w->v->dir_close(w->v->ctx, dir), 0);
    assert_string_equal(got, want);
}

/* The archive of most tests: three files, and one that is empty. */
#define F "snapshot-0000000042/"
static const struct {
    const char *name;
    size_t bytes;
} members[] = {{"MANIFEST", 512}, {"0000000007.log", 1300}, {"empty", 0}, {"CONTROL", 1}};
#define MEMBERS 4u

static void put_members(struct world *w) {
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[64];
        snprintf(name, sizeof name, F "%s", members[i].name);
        put_file(w, name, i, members[i].bytes);
    }
    tar_zeros(&w->rig, 2);
}

static void check_members(struct world *w) {
    check_list(w, "0000000007.log CONTROL MANIFEST empty ");
    for (unsigned i = 0; i < MEMBERS; i++) check_file(w, members[i].name, i, members[i].bytes);
    assert_true(nk_tar_bytes(w->tar) == w->rig.file.size);
}

/* ---- what is read ------------------------------------------------------------------------------*/

/* Files of many sizes around that of a block come back, and are listed by name. */
static void archive__of_files__lists_and_reads(void **state) {
    struct world *w = *state;
    static const size_t sizes[] = {0, 1, 511, 512, 513, 1023, 1024, 1025, 70000};
    char name[32];
    for (unsigned i = 0; i < 9; i++) {
        snprintf(name, sizeof name, F "%u", 8 - i);
        put_file(w, name, i, sizes[i]);
    }
    tar_zeros(&w->rig, 2);
    must_open(w);
    check_list(w, "0 1 2 3 4 5 6 7 8 ");
    for (unsigned i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "%u", 8 - i);
        check_file(w, name, i, sizes[i]);
    }
}

/* With an entry for the folder, first or later; in no folder; in "."; with zeros up to a multiple of 10,240 bytes. */
static void archive__other_layouts__the_same(void **state) {
    struct world *w = *state;
    static const struct {
        const char *folder, *first, *last;
        bool fill;
    } layouts[] = {{F, F, NULL, false},
                   {F, NULL, F, false},
                   {F, "snapshot-0000000042", NULL, false},
                   {"", NULL, NULL, false},
                   {"./", "./", NULL, true}};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        restart(w);
        if (layouts[i].first != NULL) tar_put(&w->rig, layouts[i].first, '5', NULL, 0);
        for (unsigned k = 0; k < MEMBERS; k++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s", layouts[i].folder, members[k].name);
            put_file(w, name, k, members[k].bytes);
        }
        if (layouts[i].last != NULL) tar_put(&w->rig, layouts[i].last, '5', NULL, 0);
        tar_zeros(&w->rig, 2);
        if (layouts[i].fill) tar_fill(&w->rig);
        must_open(w);
        check_members(w);
    }
}

/* Spellings of other programs: GNU's magic, numbers with blanks, type 0, no terminator. */
static void archive__other_spellings__the_same(void **state) {
    struct world *w = *state;
    for (unsigned how = 0; how < 6; how++) {
        restart(w);
        put_members(w);
        uint8_t *p = w->rig.file.p;
        if (how == 0) memcpy(p + 257, "ustar  ", 8);
        if (how == 1) memcpy(p + 124, "       1000 ", 12);
        if (how == 2) memcpy(p + 124, "000000001000", 12);
        if (how == 3) p[156] = 0;
        if (how == 4) memcpy(p + 329, "0000001\0000000002", 15);
        tar_sum(p);
        if (how == 5) memmove(p + 149, p + 148, 6), p[148] = ' ', p[155] = 0;
        must_open(w);
        check_members(w);
    }
}

/* The longest name, and one byte more. */
static void archive__longest_name__is_read(void **state) {
    struct world *w = *state;
    char name[102], list[104];
    memset(name, 'n', sizeof name);
    memcpy(name, "f/", 2);
    name[100] = '\0';
    put_file(w, name, 0, 10);
    tar_zeros(&w->rig, 2);
    must_open(w);
    snprintf(list, sizeof list, "%s ", name + 2);
    check_list(w, list);
    check_file(w, name + 2, 0, 10);
    restart(w);
    put_members(w);
    w->rig.file.p[345] = 'x';
    tar_sum(w->rig.file.p);
    must_refuse(w, 0, "a name is too long");
}

/* A call that reads less than asked, and one that is interrupted: the same. */
static void archive__short_reads__the_same(void **state) {
    struct world *w = *state;
    put_members(w);
    w->rig.file.most = 7;
    w->rig.file.interrupts = true;
    must_open(w);
    check_members(w);
}

/* A read never goes beyond the end of the file, however much is asked. */
static void read__beyond_the_end__is_cut(void **state) {
    struct world *w = *state;
    uint8_t buf[4096];
    put_members(w);
    must_open(w);
    int file = nk_vfs_open(w->v, 0, "0000000007.log", NITRO_FILE_READ);
    for (size_t at = 0; at < 1300; at += 37) {
        memset(buf, 0xee, sizeof buf);
        assert_int_equal(w->v->read(w->v->ctx, file, buf, sizeof buf, at), 1300 - at);
        assert_int_equal(buf[0], byte_of(1, at));
        assert_int_equal(buf[1299 - at], byte_of(1, 1299));
        assert_int_equal(buf[1300 - at], 0xee);
    }
    assert_int_equal(w->v->read(w->v->ctx, file, buf, 0, 0), 0);
}

/* As many files as there may be, in no order; one more is refused. */
static void archive__many_files__each_is_found(void **state) {
    struct world *w = *state;
    char name[40];
    uint32_t some = (uint32_t)nk_min_u64(test_scale(NK_TAR_FILES_MAX), NK_TAR_FILES_MAX);
    for (unsigned over = 0; over < 2; over++) {
        uint32_t count = over == 0 ? some : NK_TAR_FILES_MAX + 1;
        if (over == 1 && some < NK_TAR_FILES_MAX) break;
        restart(w);
        for (uint32_t i = 0; i < count; i++) {
            /* (the factor has no divisor in common with the count) */
            snprintf(name, sizeof name, F "%010llu.data", i * 65537ull % count);
            put_file(w, name, i, i % 3);
        }
        tar_zeros(&w->rig, 2);
        if (over == 1) {
            must_refuse(w, w->rig.file.size - 1024 - ((count - 1) % 3 == 0 ? 512 : 1024),
                        "too many files");
            break;
        }
        must_open(w);
        assert_true(w->mem.bytes <= (int64_t)(count * 256 + 4096));
        for (uint32_t i = 0; i < count; i++) {
            snprintf(name, sizeof name, "%010llu.data", i * 65537ull % count);
            check_file(w, name, i, i % 3);
        }
        assert_int_equal(nk_vfs_open(w->v, 0, "x", NITRO_FILE_READ), -ENOENT);
        assert_int_equal(nk_vfs_open(w->v, 0, "", NITRO_FILE_READ), -ENOENT);
    }
}

/* A byte of a file lies at one place of the archive. */
static void bad_at__a_file_and_an_offset__the_archives_offset(void **state) {
    struct world *w = *state;
    put_members(w);
    must_open(w);
    for (unsigned at = 0; at < 1300; at++)
        assert_int_equal(w->rig.file.p[nk_tar_bad_at(w->tar, "0000000007.log", at)],
                         byte_of(1, at));
    assert_int_equal(nk_tar_bad_at(w->tar, "MANIFEST", 0), 512);
    assert_int_equal(nk_tar_bad_at(w->tar, "MANIFEST", 512), 1024);
    assert_int_equal(nk_tar_bad_at(w->tar, "MANIFEST", UINT64_MAX), 1024);
    assert_int_equal(nk_tar_bad_at(w->tar, "none", 3), w->rig.file.size);
}

/* The bytes that Go's half (engine/archive.go) lays out. */
static void archive__as_the_host_lays_it_out__is_read(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *sys = nitro_vfs_system();
    int rc = nk_tar_open("tests/golden/v1/backup.tar", sys, &w->mem.table, &w->tar, NULL, &w->err);
    if (rc != NITRO_OK) fail_msg("%s", w->err.msg);
    w->v = nk_tar_vfs(w->tar);
    check_list(w, "0000000001.log 0000000002.data CONTROL MANIFEST ");
    check_file(w, "0000000001.log", 0, 700);
    check_file(w, "0000000002.data", 1, 512);
    check_file(w, "MANIFEST", 2, 1);
    check_file(w, "CONTROL", 3, 0);
}

/* ---- the table ---------------------------------------------------------------------------------*/

/* Any path is that of the folder, but one that goes on behind it, and one that ends with "retained". */
static void dir_open__paths__the_folder_or_nothing(void **state) {
    struct world *w = *state;
    static const char *const folder[] = {TAR_PATH,     TAR_PATH "/", "/",          ".", "a/b",
                                         TAR_PATH "x", "retained2",  "unretained", "f"};
    static const char *const none[] = {TAR_PATH "/retained", TAR_PATH "//x",   TAR_PATH "/x/",
                                       "a/retained",         "a/b/retained//", "retained",
                                       "/retained"};
    put_members(w);
    must_open(w);
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++)
        for (unsigned flags = 0; flags <= NITRO_DIR_CREATE; flags++)
            assert_int_equal(w->v->dir_open(w->v->ctx, folder[i], flags), 0);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(w->v->dir_open(w->v->ctx, none[i], 0), -ENOENT);
        assert_int_equal(w->v->dir_open(w->v->ctx, none[i], NITRO_DIR_CREATE), -EROFS);
    }
    assert_int_equal(w->v->dir_open(w->v->ctx, "", 0), -ENOENT);
}

/* Whatever would change something is refused; to lock and to sync is not. */
static void calls__that_change_something__are_refused(void **state) {
    struct world *w = *state;
    char owner[8] = "nobody";
    put_members(w);
    must_open(w);
    const struct nitro_vfs *v = w->v;
    void *c = v->ctx;
    int file = v->open(c, 0, "MANIFEST", NITRO_FILE_READ);
    unsigned rw = NITRO_FILE_READ | NITRO_FILE_WRITE;
    assert_int_equal(v->open(c, 0, "MANIFEST", rw), -EROFS);
    assert_int_equal(v->open(c, 0, "MANIFEST", NITRO_FILE_WRITE), -EROFS);
    assert_int_equal(v->open(c, 0, "new", rw | NITRO_FILE_CREATE), -EROFS);
    assert_int_equal(v->open(c, 0, "MANIFEST", 0), -EINVAL);
    assert_int_equal(v->write(c, file, "x", 1, 0, WHY), -EROFS);
    assert_int_equal(v->alloc(c, file, 0, 1, WHY), -EROFS);
    assert_int_equal(v->truncate(c, file, 0, WHY), -EROFS);
    assert_int_equal(v->rename(c, 0, "MANIFEST", "new", WHY), -EROFS);
    assert_int_equal(v->unlink(c, 0, "MANIFEST", WHY), -EROFS);
    assert_int_equal(v->link(c, 0, "MANIFEST", 0, "new", WHY), -EROFS);
    assert_int_equal(v->dir_remove(c, 0, "new", WHY), -EROFS);
    assert_int_equal(v->sync(c, file, WHY), 0);
    assert_int_equal(v->dir_sync(c, 0, WHY), 0);
    int lock = v->lock(c, 0, "LOCK", owner, sizeof owner);
    assert_true(lock > 0 && v->lock(c, 0, "LOCK", owner, sizeof owner) >= 0);
    assert_string_equal(owner, "nobody");
    assert_int_equal(v->close(c, lock), 0);
    assert_int_equal(v->close(c, file), 0);
}

static int list_two(void *arg, const char *name) {
    (void)name;
    return ++*(int *)arg == 2 ? 77 : 0;
}

/* A listing ends when it is told to; a handle that is none is refused. */
static void calls__bad_handles__errors(void **state) {
    struct world *w = *state;
    static const int bad[] = {-1, 1, 2 + MEMBERS, INT_MAX, INT_MIN};
    uint8_t byte;
    int calls = 0;
    put_members(w);
    must_open(w);
    const struct nitro_vfs *v = w->v;
    assert_int_equal(v->dir_list(v->ctx, 0, list_two, &calls), 77);
    assert_int_equal(calls, 2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(v->read(v->ctx, bad[i], &byte, 1, 0), -EBADF);
        assert_int_equal(v->size(v->ctx, bad[i]), -EBADF);
        assert_int_equal(v->dir_close(v->ctx, bad[i]), -EBADF);
        assert_int_equal(v->dir_sync(v->ctx, bad[i], WHY), -EBADF);
        assert_int_equal(v->dir_list(v->ctx, bad[i], list_two, &calls), -EBADF);
        assert_int_equal(v->open(v->ctx, bad[i], "MANIFEST", NITRO_FILE_READ), -EBADF);
        assert_int_equal(v->lock(v->ctx, bad[i], "LOCK", NULL, 0), -EBADF);
        if (bad[i] == 1) continue; /* that of the lock */
        assert_int_equal(v->close(v->ctx, bad[i]), -EBADF);
        assert_int_equal(v->sync(v->ctx, bad[i], WHY), -EBADF);
    }
}

/* An archive is told from other files by its first bytes. */
static void is__archives_and_others__told_apart(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *v = &w->rig.file.vfs;
    put_members(w);
    assert_int_equal(nk_tar_is(v, TAR_FILE), 1);
    for (w->rig.file.size = 0; w->rig.file.size < 262; w->rig.file.size++)
        assert_int_equal(nk_tar_is(v, TAR_FILE), 0);
    assert_int_equal(nk_tar_is(v, TAR_FILE), 1);
    w->rig.file.p[261]++;
    assert_int_equal(nk_tar_is(v, TAR_FILE), 0);
    memfile_fail(&w->rig.file, 1, -EISDIR);
    assert_int_equal(nk_tar_is(v, TAR_FILE), -EISDIR);
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* check_flip: with this byte changed, the archive is refused with the offset of its block. */
static void check_flip(struct world *w, size_t at, const uint8_t *before) {
    if (w->rig.file.p[at] == *before) return;
    if (try_open(w) != NITRO_ECORRUPT || w->bad_at != at / 512 * 512)
        fail_msg("byte %zu, %02x for %02x: %s", at, w->rig.file.p[at], *before, w->err.msg);
}

/* Every bit of every header, and every byte to zero: refused, with the offset of the header. */
static void damage__in_a_header__is_noticed(void **state) {
    struct world *w = *state;
    static const size_t heads[] = {0, 1024, 3072, 3584};
    put_members(w);
    for (unsigned h = 0; h < MEMBERS; h++)
        for (size_t at = heads[h]; at < heads[h] + 512; at++) {
            uint8_t was = w->rig.file.p[at];
            for (unsigned bit = 0; bit <= 8; bit++) {
                w->rig.file.p[at] = bit < 8 ? (uint8_t)(was ^ 1u << bit) : 0;
                check_flip(w, at, &was);
            }
            w->rig.file.p[at] = was;
        }
}

/* Every bit of the end. */
static void damage__in_the_end__is_noticed(void **state) {
    struct world *w = *state;
    put_members(w);
    for (size_t at = w->rig.file.size - 1024; at < w->rig.file.size; at++) {
        w->rig.file.p[at] = 1;
        assert_int_equal(try_open(w), NITRO_ECORRUPT);
        assert_int_equal(w->bad_at, at / 512 * 512);
        w->rig.file.p[at] = 0;
    }
    uint64_t end = w->rig.file.size;
    tar_fill(&w->rig);
    must_open(w);
    nk_tar_close(&w->tar);
    for (size_t at = end; at < w->rig.file.size; at += 499) {
        w->rig.file.p[at] = 1;
        assert_int_equal(try_open(w), NITRO_ECORRUPT);
        assert_true(w->bad_at <= at && w->bad_at + 512 > at);
        w->rig.file.p[at] = 0;
    }
}

/* Every byte that fills a file's last block is to be zero; no reader of the file is told. */
static void damage__behind_a_file__is_found_when_asked(void **state) {
    struct world *w = *state;
    unsigned fills = 0;
    put_members(w);
    for (unsigned k = 0; k < MEMBERS; k++) {
        must_open(w);
        uint64_t end = nk_tar_bad_at(w->tar, members[k].name, UINT64_MAX);
        assert_int_equal(nk_tar_check_fill(w->tar, &w->bad_at, &w->err), NITRO_OK);
        nk_tar_close(&w->tar);
        for (uint64_t at = end; at % 512 != 0; at++, fills++) {
            w->rig.file.p[at] = 4;
            must_open(w);
            check_members(w);
            assert_int_equal(nk_tar_check_fill(w->tar, &w->bad_at, &w->err), NITRO_ECORRUPT);
            assert_true(w->bad_at == end && strstr(w->err.msg, members[k].name) != NULL);
            nk_tar_close(&w->tar);
            w->rig.file.p[at] = 0;
        }
    }
    assert_true(fills > 0);
    must_open(w);
    memfile_fail(&w->rig.file, 1, -EIO);
    assert_int_equal(nk_tar_check_fill(w->tar, &w->bad_at, &w->err), NITRO_EIO);
}

/* Zeros behind the end that no tar writes: one block, one byte, 10,240 bytes. */
static void damage__zeros_behind_the_end__is_noticed(void **state) {
    struct world *w = *state;
    for (unsigned how = 0; how < 3; how++) {
        put_members(w);
        uint64_t end = w->rig.file.size;
        tar_zeros(&w->rig, 1);
        if (how == 1) w->rig.file.size = end + 1;
        if (how == 2) tar_zeros(&w->rig, 28), assert_int_equal(w->rig.file.size, 2 * 10240);
        must_refuse(w, end, "something behind the end");
    }
}

/* Cut anywhere, it is refused, and the message says that it was cut. */
static void damage__cut_anywhere__is_noticed(void **state) {
    struct world *w = *state;
    put_members(w);
    uint64_t whole = w->rig.file.size;
    for (w->rig.file.size = 0; w->rig.file.size < whole; w->rig.file.size++) {
        assert_int_equal(try_open(w), NITRO_ECORRUPT);
        assert_int_equal(w->bad_at, w->rig.file.size);
        assert_non_null(strstr(w->err.msg, "it was cut short"));
    }
    must_open(w);
    nk_tar_close(&w->tar);
    w->rig.file.size = 1024 + 512 + 100;
    assert_int_equal(try_open(w), NITRO_ECORRUPT);
    assert_non_null(strstr(w->err.msg, "ends inside of 0000000007.log, and at least 1200 bytes"));
    w->rig.file.size = whole - 1024; /* between two files, as it seems */
    assert_int_equal(try_open(w), NITRO_ECORRUPT);
    assert_non_null(strstr(w->err.msg, "before the two blocks of zeros at an archive's end"));
}

/* Headers whose checksum is right and that say what must not be. */
static void archive__what_must_not_be__is_refused(void **state) {
    struct world *w = *state;
    static const struct {
        const char *name;
        char type;
        const char *words;
    } bad[] = {{F "MANIFEST", '0', "MANIFEST: it is there twice"},
               {"MANIFEST", '0', "MANIFEST: it lies in another folder"},
               {"snapshot-0000000043/x", '0', "x: it lies in another folder"},
               {"snapshot-000000004/x", '0', "another folder"},
               {F, '0', "a name is not"},
               {"/x", '0', "a name is not"},
               {"", '0', "a name is not"},
               {F "a/b", '0', "a name is not"},
               {F ".", '0', "a name is not"},
               {F "..", '0', "a name is not"},
               {"../x", '0', "a name is not"},
               {F "a\nb", '0', "a name is not"},
               {F "a\x7f", '0', "a name is not"},
               {F "\xc3\xa4", '0', "a name is not"},
               {F "x", '1', "what is no file"},
               {F "x", '2', "what is no file"},
               {F "x", '7', "what is no file"},
               {F "x", 'x', "what is no file"},
               {F "x", 'L', "what is no file"},
               {"other/", '5', "a second folder"},
               {F "sub/", '5', "a second folder"},
               {"", '5', "a second folder"},
               {"/", '5', "a second folder"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_members(w);
        w->rig.file.size -= 1024;
        uint64_t at = w->rig.file.size;
        tar_put(&w->rig, bad[i].name, bad[i].type, NULL, 0);
        tar_zeros(&w->rig, 2);
        must_refuse(w, at, bad[i].words);
    }
}

/* The folder twice, with contents, and besides files that lie in none; no file at all. */
static void archive__wrong_folders__are_refused(void **state) {
    struct world *w = *state;
    tar_put(&w->rig, F, '5', NULL, 0);
    tar_put(&w->rig, F, '5', NULL, 0);
    put_members(w);
    must_refuse(w, 512, "a second folder");
    tar_put(&w->rig, F, '5', "x", 1);
    put_members(w);
    must_refuse(w, 0, "a second folder");
    put_file(w, "MANIFEST", 0, 3);
    tar_put(&w->rig, F, '5', NULL, 0);
    tar_zeros(&w->rig, 2);
    must_refuse(w, 1024, "a second folder");
    tar_put(&w->rig, F, '5', NULL, 0);
    tar_zeros(&w->rig, 2);
    must_refuse(w, 0, "it holds no file");
    tar_zeros(&w->rig, 2);
    must_refuse(w, 0, "it holds no file");
    put_members(w);
    w->rig.file.size -= 512;
    put_file(w, F "behind", 0, 3);
    tar_zeros(&w->rig, 2);
    must_refuse(w, 4608 + 512, "only one block of zeros");
}

/* Sizes that are no numbers, or larger than the archive. */
static void archive__wrong_sizes__are_refused(void **state) {
    struct world *w = *state;
    static const char sizes[][13] = {
        "            ",  "00000000008\0", "0000001 000\0",           "\0\0\0\0\0\0\0\0\0\0\0",
        "-0000000001\0", "x0000000001\0", "\x80\0\0\0\0\0\0\0\0\0\1"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        put_members(w);
        memcpy(w->rig.file.p + 124, sizes[i], 12);
        tar_sum(w->rig.file.p);
        must_refuse(w, 0, "a size is not a number");
    }
    put_members(w);
    memcpy(w->rig.file.p + 124, "777777777777", 12);
    tar_sum(w->rig.file.p);
    must_refuse(w, w->rig.file.size, "inside of MANIFEST, and at least 68719471615 bytes");
}

/* A snapshot file, an empty one, and one of noise. */
static void open__no_archive__is_refused(void **state) {
    struct world *w = *state;
    uint8_t noise[1024];
    memset(noise, 'n', sizeof noise);
    must_refuse(w, 0, "it was cut short");
    tar_append(&w->rig, noise, sizeof noise);
    must_refuse(w, 0, "no header of tar's format");
}

/* ---- failures ----------------------------------------------------------------------------------*/

/* The first, second, n-th allocation fails: no memory, nothing left behind. */
static void open__each_allocation_fails__no_memory(void **state) {
    struct world *w = *state;
    for (unsigned i = 0; i < 300; i++) {
        char name[40];
        snprintf(name, sizeof name, F "%u", i);
        put_file(w, name, i, 0);
    }
    tar_zeros(&w->rig, 2);
    unsigned n = 1;
    for (;; n++) {
        test_mem_fail(&w->mem, n, n);
        int rc = try_open(w);
        if (rc == NITRO_OK) break;
        assert_int_equal(rc, NITRO_ENOMEM);
    }
    assert_true(n > 4);
    /* … and none is made afterwards. */
    test_mem_fail(&w->mem, 1, UINT64_MAX);
    check_file(w, "299", 299, 0);
    assert_int_equal(w->mem.calls, 0);
    test_mem_fail(&w->mem, 0, 0);
}

/* The first, second, n-th call of the table below fails: an error of that kind, every handle closed. */
static void open__each_call_fails__is_said(void **state) {
    struct world *w = *state;
    static const struct {
        int sys, code;
    } fails[] = {{-EIO, NITRO_EIO}, {-ENOENT, NITRO_ENOTFOUND}, {-EACCES, NITRO_EIO}};
    put_members(w);
    uint64_t end = w->rig.file.size;
    tar_fill(&w->rig);
    uint64_t blocks = (w->rig.file.size - end) / NK_TAR_BLOCK;
    for (unsigned i = 0; i < 3; i++) {
        unsigned n = 1;
        for (;; n++) {
            memfile_fail(&w->rig.file, n, fails[i].sys);
            int rc = try_open(w);
            if (rc == NITRO_OK) break;
            assert_int_equal(rc, fails[i].code);
            assert_int_equal(w->err.sys, -fails[i].sys);
            assert_non_null(strstr(w->err.msg, strerror(-fails[i].sys)));
        }
        assert_int_equal(n, 3 + MEMBERS + 2 + blocks + 1);
        nk_tar_close(&w->tar);
    }
    memfile_fail(&w->rig.file, 0, 0);
    must_open(w);
    int file = nk_vfs_open(w->v, 0, "MANIFEST", NITRO_FILE_READ);
    uint8_t byte;
    memfile_fail(&w->rig.file, 1, -EIO);
    assert_int_equal(w->v->read(w->v->ctx, file, &byte, 1, 0), -EIO);
}

/* A file and a folder that are not there; a folder in place of the file. */
static void open__not_there__is_not_found(void **state) {
    struct world *w = *state;
    const struct nitro_vfs *sys = nitro_vfs_system();
    const struct nitro_mem *mem = &w->mem.table;
    assert_int_equal(nk_tar_open("/none.tar", sys, mem, &w->tar, NULL, &w->err), NITRO_ENOTFOUND);
    assert_non_null(strstr(w->err.msg, "open backup /none.tar: cannot open it: No such file"));
    assert_int_equal(nk_tar_open("/none/x.tar", sys, mem, &w->tar, NULL, NULL), NITRO_ENOTFOUND);
    assert_int_equal(nk_tar_open("/tmp", sys, mem, &w->tar, NULL, &w->err), NITRO_EIO);
    assert_null(w->tar);
}

/* ---- as a data folder --------------------------------------------------------------------------*/

/* pack: the files of the folder in an archive beside it. */
static void pack(const char *dir, const char *path) {
    struct tar_rig r;
    struct image all;
    char name[128];
    tar_rig_init(&r);
    image_load(&all, dir);
    for (unsigned i = 0; i < all.count; i++) {
        snprintf(name, sizeof name, F "%s", all.file[i].name);
        tar_put(&r, name, '0', all.file[i].p, all.file[i].n);
    }
    tar_zeros(&r, 2);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, r.file.p, r.file.size), r.file.size);
    assert_int_equal(close(fd), 0);
    image_free(&all);
    memfile_fini(&r.file);
}

/* A data folder that is packed is restored from as from the folder itself, at its end and at points before. */
static void archive__of_a_data_folder__is_restored_from(void **state) {
    struct past *p = *state;
    char path[64];
    struct nk_tar *tar = NULL;
    struct nitro_err err = {0};
    past_live(p, 400, 1000000);
    snprintf(path, sizeof path, "%s/backup.tar", p->base);
    pack(p->dir, path);
    int rc = nk_tar_open(path, &p->rig.vfs, &p->mem.table, &tar, NULL, &err);
    if (rc != NITRO_OK) fail_msg("%s", err.msg);
    struct nitro_restore_options o = {.from = path,
                                      .dir = p->new_dir,
                                      .to_ms = INT64_MAX,
                                      .now_ms = p->now_ms,
                                      .compression = NITRO_COMPRESSION_LZ4,
                                      .mem = &p->mem.table,
                                      .vfs = nk_tar_vfs(tar),
                                      .dir_vfs = &p->rig.vfs};
    for (unsigned i = 0; i < 5; i++) {
        struct nitro_restore_result r;
        struct nitro_options opt = p->opt;
        o.to_lsn = p->effect[p->count - 1 - i * p->count / 5].last;
        rc = nitro_restore(&o, &r, &err);
        if (rc != NITRO_OK) fail_msg("%s", err.msg);
        assert_int_equal(r.lsn, o.to_lsn);
        opt.dir = p->new_dir;
        past_start(p, &opt);
        past_check(p, r.lsn, r.time_ms, r.time_ms > p->now_ms ? r.time_ms : p->now_ms, false);
        past_stop(p, true);
        past_remove(p->new_dir);
    }
    nk_tar_close(&tar);
    assert_int_equal(unlink(path), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(archive__of_files__lists_and_reads),
        TEST(archive__other_layouts__the_same),
        TEST(archive__other_spellings__the_same),
        TEST(archive__longest_name__is_read),
        TEST(archive__short_reads__the_same),
        TEST(read__beyond_the_end__is_cut),
        TEST(archive__many_files__each_is_found),
        TEST(bad_at__a_file_and_an_offset__the_archives_offset),
        TEST(archive__as_the_host_lays_it_out__is_read),
        TEST(dir_open__paths__the_folder_or_nothing),
        TEST(calls__that_change_something__are_refused),
        TEST(calls__bad_handles__errors),
        TEST(is__archives_and_others__told_apart),
        TEST(damage__in_a_header__is_noticed),
        TEST(damage__in_the_end__is_noticed),
        TEST(damage__behind_a_file__is_found_when_asked),
        TEST(damage__zeros_behind_the_end__is_noticed),
        TEST(damage__cut_anywhere__is_noticed),
        TEST(archive__what_must_not_be__is_refused),
        TEST(archive__wrong_folders__are_refused),
        TEST(archive__wrong_sizes__are_refused),
        TEST(open__no_archive__is_refused),
        TEST(open__each_allocation_fails__no_memory),
        TEST(open__each_call_fails__is_said),
        TEST(open__not_there__is_not_found),
        cmocka_unit_test_setup_teardown(archive__of_a_data_folder__is_restored_from, past_setup,
                                        past_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
