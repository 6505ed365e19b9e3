/* SPDX-License-Identifier: MIT
 *
 * bitcask_rig.h - a store of mode bitcask in a folder of its own, behind a table of file calls that counts reads and lets
 * the test do something while one is under way.
 *
 * HOW   The calls are those of the system. Before a read of a data file the hook runs, if there is one: so it stands
 *       where another thread would be that changes the store while a request's value is on its way.
 */
#ifndef BITCASK_RIG_H
#define BITCASK_RIG_H

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "support.h"

#define BC_FILE_BYTES (64u << 10)
#define BC_READS 256u

struct bc;
typedef void bc_hook(struct bc *w);

struct bc {
    struct test_mem mem;
    const struct nitro_vfs *sys;
    struct nitro_vfs vfs;
    char dir[40];
    nitro_store *store;
    struct test_client client;
    int64_t now_ms;
    uint32_t segments;
    enum nitro_compression value_compression; /* of the next start */
    uint64_t cache_bytes;

    bool watching; /* reads are noted */
    uint32_t reads;
    struct {
        int file;
        uint64_t offset;
    } read[BC_READS];
    uint32_t closes;
    int fail;          /* what reads answer while watching, or 0 */
    bc_hook *hook;     /* before each read; off while it runs */
    uint32_t hook_for; /* so many times */
};

/* ---- file calls --------------------------------------------------------------------------------*/

static inline int64_t bc_read(void *ctx, int file, void *p, size_t n, uint64_t offset) {
    struct bc *w = ctx;
    if (w->watching) {
        if (w->reads < BC_READS) {
            w->read[w->reads].file = file;
            w->read[w->reads].offset = offset;
        }
        w->reads++;
        if (w->hook != NULL && w->hook_for > 0) {
            w->hook_for--;
            w->watching = false;
            w->hook(w);
            w->watching = true;
        }
        if (w->fail != 0) return w->fail;
    }
    return w->sys->read(w->sys->ctx, file, p, n, offset);
}

static inline int bc_vfs_close(void *ctx, int file) {
    struct bc *w = ctx;
    w->closes++;
    return w->sys->close(w->sys->ctx, file);
}

/* ---- the store ---------------------------------------------------------------------------------*/

static inline void bc_must(int rc, const struct nitro_err *err, const char *what) {
    if (rc != NITRO_OK) test_fail("%s: %s (%s)", what, err->msg, nitro_strerror(rc));
}

/* bc_persist: everything that is appended is written and durable, and there is room for more. */
static inline void bc_persist(struct bc *w) {
    struct nitro_err err = {0};
    bc_must(nitro_log_write(w->store, w->now_ms, &err), &err, "write");
    bc_must(nitro_log_sync(w->store, &err), &err, "sync");
    bc_must(nitro_log_fill(w->store, 0, &err), &err, "fill");
}

static inline void bc_yield(void *ctx) {
    struct bc *w = ctx;
    struct nitro_err err = {0};
    bc_persist(w);
    uint64_t need = w->client.chunk->room_bytes;
    bc_must(nitro_log_fill(w->store, need, &err), &err, "fill");
}

static inline void bc_start(struct bc *w) {
    struct nitro_options opt = test_options(&w->mem, w->segments);
    struct nitro_recovery found;
    struct nitro_err err = {0};
    int64_t newest;
    opt.dir = w->dir;
    opt.mode = NITRO_MODE_BITCASK;
    opt.log_file_bytes = BC_FILE_BYTES;
    opt.value_compression = w->value_compression;
    opt.cache_bytes = w->cache_bytes;
    opt.vfs = &w->vfs;
    bc_must(nitro_open(&opt, &w->store, &err), &err, "open");
    bc_must(nitro_recover_scan(w->store, w->now_ms, &found, &err), &err, "scan");
    bc_must(nitro_recover_load(w->store, 0, 1, &err), &err, "load");
    bc_must(nitro_recover_replay(w->store, 0, 1, &err), &err, "replay");
    bc_must(nitro_recover_finish(w->store, w->now_ms, &newest, &err), &err, "finish");
    bc_must(nitro_log_fill(w->store, 0, &err), &err, "fill");
    assert_int_equal(test_client_open(&w->client, w->store, w->now_ms), NITRO_OK);
    w->client.yield = bc_yield;
    w->client.yield_ctx = w;
}

static inline void bc_open_cached(struct bc *w, uint32_t segments, uint64_t cache_bytes) {
    memset(w, 0, sizeof *w);
    test_mem_init(&w->mem);
    w->sys = nitro_vfs_system();
    w->vfs = *w->sys;
    w->vfs.ctx = w;
    w->vfs.read = bc_read;
    w->vfs.close = bc_vfs_close;
    w->now_ms = TEST_NOW;
    w->segments = segments;
    w->cache_bytes = cache_bytes;
    strcpy(w->dir, "/tmp/nitrokv-bitcask-XXXXXX");
    if (mkdtemp(w->dir) == NULL) test_fail("no folder can be made in /tmp");
    bc_start(w);
}

static inline void bc_open(struct bc *w, uint32_t segments) { bc_open_cached(w, segments, 0); }

/* bc_stop: as after a kill; bc_start goes on. */
static inline void bc_stop(struct bc *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
}

static inline void bc_close(struct bc *w) {
    bc_stop(w);
    test_mem_check_empty(&w->mem);
    DIR *d = opendir(w->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[sizeof w->dir + sizeof e->d_name + 1];
        snprintf(path, sizeof path, "%s/%s", w->dir, e->d_name);
        if (e->d_name[0] != '.' && unlink(path) != 0) test_fail("%s cannot be removed", path);
    }
    closedir(d);
    assert_int_equal(rmdir(w->dir), 0);
}

/* ---- requests ----------------------------------------------------------------------------------*/

/* bc_watch: reads from now on are noted, and the first `times` of them run the hook. */
static inline void bc_watch(struct bc *w, bc_hook *hook, uint32_t times) {
    w->watching = true;
    w->reads = 0;
    w->hook = hook;
    w->hook_for = times;
}

/* bc_ask: inline requests, one a line, in one piece; the replies must be exactly these. */
static inline void bc_ask(struct bc *w, const char *lines, const char *replies) {
    struct test_client *t = &w->client;
    t->out_len = 0;
    assert_int_equal(test_client_feed(t, lines, strlen(lines)), NITRO_OK);
    if (t->out_len == strlen(replies) && memcmp(t->out, replies, t->out_len) == 0) return;
    test_fail("%s: answered by %.*s instead of %s", lines, (int)t->out_len, (const char *)t->out,
              replies);
}

/* bc_set: directly, whatever room that takes; for hooks, too. The code. */
static inline int bc_set(struct bc *w, const char *key, const void *value, size_t n) {
    struct nitro_err err = {0};
    for (;;) {
        int rc = nitro_set(w->store, w->now_ms, key, strlen(key), value, n, 0, 0, 0, NULL);
        if (rc != NITRO_ELOGFULL) return rc;
        bc_persist(w);
        bc_must(nitro_log_fill(w->store, nitro_log_need(strlen(key), n), &err), &err, "fill");
    }
}

/* bc_same: a GET by bytes answers n bytes. */
static inline void bc_same(struct bc *w, const char *key, const uint8_t *value, size_t n) {
    struct test_client *t = &w->client;
    struct test_arg argv[] = {{"GET", 3}, {key, strlen(key)}};
    char head[32];
    size_t h = (size_t)snprintf(head, sizeof head, "$%zu\r\n", n);
    t->out_len = 0;
    assert_int_equal(test_client_args(t, argv, 2), NITRO_OK);
    assert_int_equal(t->out_len, h + n + 2);
    assert_memory_equal(t->out, head, h);
    assert_memory_equal(t->out + h, value, n);
}

/* ---- background work ---------------------------------------------------------------------------*/

/* bc_tend_as: makes steps until nothing is left to do. */
static inline void bc_tend_as(struct bc *w, const struct nitro_merge_options *o) {
    struct nitro_merge_result r;
    struct nitro_err err = {0};
    do {
        bc_must(nitro_merge_step(w->store, w->now_ms, o, &r, &err), &err, "merge");
        if (r.need == NITRO_MERGE_SYNC) bc_persist(w);
    } while (r.need != NITRO_MERGE_IDLE);
}

/* bc_tend: seals, writes hints and merges what has died in files up to a number. */
static inline void bc_tend(struct bc *w, uint64_t upto) {
    const struct nitro_merge_options o = {.allow = 1, .dead_percent = 1, .upto = upto};
    bc_tend_as(w, &o);
}

/* bc_merge: seals the file that is written to, and merges whatever is dead. */
static inline void bc_merge(struct bc *w) {
    struct nitro_err err = {0};
    bc_persist(w);
    bc_must(nitro_merge_roll(w->store, NULL, &err), &err, "roll");
    bc_tend(w, 0);
}

static inline struct nitro_data_files bc_files(struct bc *w) {
    struct nitro_data_files f;
    nitro_data_files_of(w->store, &f);
    return f;
}

#endif
