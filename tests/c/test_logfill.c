/* SPDX-License-Identifier: MIT
 *
 * test_logfill.c - room ahead of the appends: in what steps it is got, and when it is written with zeros.
 *
 * HOW   A store on a folder in /tmp that the test removes; the file calls that get room are counted on their way to the system.
 *
 * NOT HERE  full disks, failing calls and crashes (tests/sim).
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "log.h"
#include "support.h"

#define FILE_BYTES (4u << 20)
#define STEP (FILE_BYTES / 16)      /* where room is filled */
#define ALLOC_STEP (FILE_BYTES / 4) /* where it is not */
#define SPARE                                                                                      \
    (2u *                                                                                          \
     NK_LOG_RESERVE) /* what a step may have beyond that: what deletes, the footer and a page need */

/* The calls that get room. */
struct room {
    uint64_t syncs, allocated, zeroed; /* calls, bytes, bytes */
    uint64_t largest;                  /* bytes allocated by one call */
};

struct world {
    struct test_mem mem;
    struct nitro_vfs vfs;
    struct room room;
    char dir[32];
    nitro_store *store;
    const struct nitro_log_view *view;
    uint64_t logged; /* bytes of values */
    unsigned keys;
};

static struct world *world_of(void *ctx) { return ctx; }

static int count_alloc(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    struct room *r = &world_of(ctx)->room;
    assert_string_equal(why, "window: alloc");
    r->allocated += bytes;
    if (bytes > r->largest) r->largest = bytes;
    return nitro_vfs_system()->alloc(NULL, file, offset, bytes, why);
}

static int64_t count_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                           const char *why) {
    if (strcmp(why, "window: zero") == 0) world_of(ctx)->room.zeroed += n;
    return nitro_vfs_system()->write(NULL, file, p, n, offset, why);
}

/* No power is cut here. */
static int count_sync(void *ctx, int file, const char *why) {
    (void)file;
    if (strcmp(why, "window: sync") == 0) world_of(ctx)->room.syncs++;
    return 0;
}

static void demand(int code, const struct nitro_err *err) {
    if (code != NITRO_OK) test_fail("%s", err->msg);
}

static void world_open(struct world *w) {
    struct nitro_recovery found;
    struct nitro_err err = {0};
    int64_t newest;
    *w = (struct world){.vfs = *nitro_vfs_system(), .dir = "/tmp/nitrokv-logfill-XXXXXX"};
    w->vfs.ctx = w;
    w->vfs.alloc = count_alloc;
    w->vfs.write = count_write;
    w->vfs.sync = count_sync;
    if (mkdtemp(w->dir) == NULL) test_fail("no folder can be made in /tmp");
    test_mem_init(&w->mem);
    struct nitro_options opt = test_options(&w->mem, 4);
    opt.dir = w->dir;
    opt.vfs = &w->vfs;
    opt.log_file_bytes = FILE_BYTES;
    w->store = test_open(&opt);
    demand(nitro_recover_scan(w->store, TEST_NOW, &found, &err), &err);
    demand(nitro_recover_replay(w->store, 0, 1, &err), &err);
    demand(nitro_recover_finish(w->store, TEST_NOW, &newest, &err), &err);
    w->view = nitro_log_view_of(w->store);
}

static void world_close(struct world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    DIR *d = opendir(w->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    assert_int_equal(closedir(d), 0);
    assert_int_equal(rmdir(w->dir), 0);
}

static void fill(struct world *w, uint64_t need) {
    struct nitro_err err = {0};
    demand(nitro_log_fill(w->store, need, &err), &err);
}

/* Sets one of a few keys. Nobody fills ahead but this thread, so room may be lacking. */
static void set(struct world *w, size_t bytes) {
    static uint8_t value[32 << 10];
    uint8_t key = (uint8_t)(w->keys++ % 8);
    if (w->view->fill != 0) fill(w, 0);
    int rc = nitro_set(w->store, TEST_NOW, &key, 1, value, bytes, 0, 0, 0, NULL);
    if (rc == NITRO_ELOGFULL) {
        fill(w, nitro_log_need(1, bytes));
        rc = nitro_set(w->store, TEST_NOW, &key, 1, value, bytes, 0, 0, 0, NULL);
    }
    assert_int_equal(rc, NITRO_OK);
    w->logged += bytes;
}

/* Groups of n values each, until so many bytes have been logged. */
static void groups(struct world *w, unsigned n, size_t bytes, uint64_t logged) {
    struct nitro_err err = {0};
    for (uint64_t upto = w->logged + logged; w->logged < upto;) {
        for (unsigned i = 0; i < n; i++) set(w, bytes);
        demand(nitro_log_write(w->store, TEST_NOW, &err), &err);
        demand(nitro_log_sync(w->store, &err), &err);
    }
}

/* Each call has got half of a step at least, but for the first room of a file and for what its end has cut short: every one costs a
 * sync that groups on the way to the same disk have to wait for. */
static void expect_few(const struct room *r, uint64_t step) {
    uint64_t files = r->allocated / FILE_BYTES + 2;
    assert_true(r->syncs > 0);
    assert_true(r->syncs <= r->allocated / (step / 2) + 2 * files);
}

/* While groups are small all room is written with zeros, a sixteenth of a file at a time. */
static void fill__small_groups__zeros_in_small_steps(void **state) {
    struct world w;
    (void)state;
    world_open(&w);
    w.room = (struct room){0};
    groups(&w, 1, 4096, FILE_BYTES);
    assert_true(w.room.allocated >= FILE_BYTES / 2);
    assert_int_equal(w.room.zeroed, w.room.allocated);
    assert_true(w.room.largest <= STEP + SPARE);
    expect_few(&w.room, STEP);
    world_close(&w);
}

/* Large ones are not worth the filling, and then a step is a quarter of a file: each costs a sync of its own. */
static void fill__large_groups__large_steps_without_zeros(void **state) {
    struct world w;
    const unsigned files = 4;
    (void)state;
    world_open(&w);
    groups(&w, 8, 32 << 10,
           FILE_BYTES); /* until the mean is large, and through the file that was begun before */
    w.room = (struct room){0};
    groups(&w, 8, 32 << 10, files * FILE_BYTES);
    assert_true(w.room.allocated >= (files - 1) * FILE_BYTES);
    assert_int_equal(w.room.zeroed, 0);
    assert_true(w.room.largest >= ALLOC_STEP / 2 && w.room.largest <= ALLOC_STEP + SPARE);
    expect_few(&w.room, ALLOC_STEP);
    /* and back again: what is got from now on is filled, in small steps */
    groups(&w, 1, 4096, FILE_BYTES);
    w.room = (struct room){0};
    groups(&w, 1, 4096, FILE_BYTES);
    assert_int_equal(w.room.zeroed, w.room.allocated);
    assert_true(w.room.largest <= STEP + SPARE);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fill__small_groups__zeros_in_small_steps),
        cmocka_unit_test(fill__large_groups__large_steps_without_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
