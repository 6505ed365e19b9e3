/* SPDX-License-Identifier: MIT
 *
 * test_files.c - the table of data files: which slots and handles are free when, whatever is dropped while readers have it
 * pinned.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "files.h"
#include "support.h"

#define FILES 200u
#define FD_MIN 100

/* The handles: each must be closed once. */
struct handles {
    struct nitro_vfs vfs;
    uint32_t open[FILES]; /* of handle FD_MIN + i */
    uint32_t count;
};

static int close_handle(void *ctx, int fd) {
    struct handles *h = ctx;
    if (fd < FD_MIN || h->open[fd - FD_MIN] != 1)
        test_fail("handle %d is closed, and is not open", fd);
    h->open[fd - FD_MIN] = 0;
    h->count--;
    return 0;
}

struct rig {
    struct test_mem mem;
    struct handles handles;
    struct nk_files *files;
    uint32_t made;
};

static void rig_init(struct rig *g) {
    memset(g, 0, sizeof *g);
    test_mem_init(&g->mem);
    g->handles.vfs = (struct nitro_vfs){.ctx = &g->handles, .close = close_handle};
    g->files = nk_files_open(&g->mem.table, &g->handles.vfs);
    if (g->files == NULL) test_fail("the test itself is out of memory");
}

/* Also what is still open is closed. */
static void rig_fini(struct rig *g) {
    nk_files_close(&g->files);
    assert_int_equal(g->handles.count, 0);
    test_mem_check_empty(&g->mem);
}

static uint32_t add(struct rig *g) {
    uint32_t i = g->made++;
    g->handles.open[i] = 1;
    g->handles.count++;
    uint32_t slot = nk_files_add(g->files, i + 1, NK_FILE_LOG, 1, FD_MIN + (int)i);
    assert_int_not_equal(slot, 0);
    return slot;
}

/* A file that is dropped after another one has been, and was freed, is freed as well. */
static void files__one_dropped_after_the_other__both_closed(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g);
    uint32_t first = add(&g), second = add(&g);
    nk_files_drop(g.files, first);
    assert_int_equal(g.handles.count, 1);
    nk_files_drop(g.files, second);
    assert_int_equal(g.handles.count, 0);
    assert_int_equal(g.files->count, 0);
    assert_int_equal(g.files->leaving, 0);
    rig_fini(&g);
}

/* A file that is dropped while it is pinned is found no more, keeps its handle until the last pin goes, and its slot until
 * then. */
static void files__dropped_while_pinned__closed_with_the_last_pin(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g);
    uint32_t slot = add(&g);
    nk_file_pin(nk_file_at(g.files, slot));
    nk_file_pin(nk_file_at(g.files, slot));
    nk_files_drop(g.files, slot);
    assert_int_equal(nk_files_find(g.files, 1), 0);
    for (uint32_t pins = 2; pins > 0; pins--) {
        nk_files_sweep(g.files);
        assert_int_equal(g.handles.count, 1);
        assert_int_not_equal(add(&g), slot);
        nk_files_drop(g.files, nk_files_find(g.files, g.made));
        nk_file_unpin(nk_file_at(g.files, slot));
    }
    nk_files_sweep(g.files);
    assert_int_equal(g.handles.count, 0);
    assert_int_equal(add(&g), slot);
    rig_fini(&g);
}

/* Files come and go in any order, some while they are read: the table holds those that are there or pinned, and never takes
 * more slots than there were files at once. */
static void files__churn__slots_and_handles_of_those_that_are_there(void **state) {
    (void)state;
    struct rig g;
    struct test_rng rng;
    uint32_t there[8], pinned[8], files = 0, pins = 0;
    test_rng_init(&rng, __func__);
    rig_init(&g);
    while (g.made < FILES) {
        if (files < 8 && test_rng_below(&rng, 2) == 0) {
            there[files++] = add(&g);
        } else if (files > 0) {
            uint32_t i = (uint32_t)test_rng_below(&rng, files);
            if (pins < 8 && test_rng_below(&rng, 2) == 0) {
                nk_file_pin(nk_file_at(g.files, there[i]));
                pinned[pins++] = there[i];
            }
            nk_files_drop(g.files, there[i]);
            there[i] = there[--files];
        }
        if (pins > 0 && test_rng_below(&rng, 2) == 0)
            nk_file_unpin(nk_file_at(g.files, pinned[--pins]));
        nk_files_sweep(g.files);
        assert_int_equal(g.handles.count, files + pins);
        assert_int_equal(g.files->count, files + pins);
        assert_true(g.files->top <= 8 + 8 + 2);
    }
    rig_fini(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files__one_dropped_after_the_other__both_closed),
        cmocka_unit_test(files__dropped_while_pinned__closed_with_the_last_pin),
        cmocka_unit_test(files__churn__slots_and_handles_of_those_that_are_there),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
