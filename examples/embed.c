/* SPDX-License-Identifier: MIT
 *
 * embed.c - a C program with a NitroKV store inside it: no server, no thread, no file.
 *
 * BUILD  make lib
 *        cc -Iengine examples/embed.c lib/libnitrokv.a -lzstd -llz4 -o embed         (static)
 *        cc -Iengine examples/embed.c -Llib -lnitrokv -o embed                       (shared)
 *        cc embed.c $(pkg-config --cflags --libs nitrokv) -o embed                   (installed)
 *
 * SHOWS  The three things that a host brings: a secret seed, the time, and calls of nitro_step; then
 *        set, get, compare-and-set, expiry, a scan, and what a key costs. One thread needs no gate.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "nitro.h"

#define PAGES 1000u

/* check: ends the program if a call did not return what it should. */
static void check(const char *what, int code, int expected) {
    if (code == expected) return;
    fprintf(stderr, "embed: %s: %s (expected: %s)\n", what, nitro_strerror(code),
            nitro_strerror(expected));
    exit(1);
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static nitro_store *open_store(void) {
    struct nitro_options opt = {.max_memory = 64u * 1024 * 1024};
    struct nitro_err err = {0};
    nitro_store *store = NULL;
    if (getrandom(opt.seed, sizeof opt.seed, 0) != (ssize_t)sizeof opt.seed) {
        perror("embed: cannot read random bytes for the seed");
        exit(1);
    }
    if (nitro_open(&opt, &store, &err) != NITRO_OK) {
        fprintf(stderr, "embed: %s\n", err.msg);
        exit(1);
    }
    return store;
}

/* work: a host does a little of each kind of background work now and then. */
static void work(nitro_store *store) {
    struct nitro_step_result done;
    for (int kind = 0; kind < NITRO_STEP_KINDS; kind++)
        check("background work", nitro_step(store, (enum nitro_step_kind)kind, now_ms(), 64, &done),
              NITRO_OK);
}

static void count_key(void *ctx, const void *key, size_t key_bytes, const struct nitro_info *info) {
    uint64_t *seen = ctx;
    (void)key;
    (void)key_bytes;
    (void)info;
    ++*seen;
}

static void read_and_write(nitro_store *store) {
    char value[64];
    struct nitro_info info = {0};
    check("set", nitro_set(store, now_ms(), "user_id", 7, "42069", 5, 0, 0, 0, NULL), NITRO_OK);
    check("get", nitro_get(store, now_ms(), "user_id", 7, value, sizeof value, &info), NITRO_OK);
    printf("user_id = %.*s, version %" PRIu64 "\n", (int)info.bytes, value, info.version);

    /* Compare-and-set: the first writer who has seen this version wins. */
    uint64_t seen = info.version;
    check("compare-and-set",
          nitro_set(store, now_ms(), "user_id", 7, "1", 1, NITRO_SET_CAS, seen, 0, NULL), NITRO_OK);
    check("the second compare-and-set",
          nitro_set(store, now_ms(), "user_id", 7, "2", 1, NITRO_SET_CAS, seen, 0, NULL),
          NITRO_EVERSION);

    int64_t visits = 0;
    check("incr", nitro_incr(store, now_ms(), "visits", 6, 3, &visits, NULL), NITRO_OK);
    printf("visits = %" PRId64 "\n", visits);

    /* Expiry is an absolute time; the host's clock decides, so a test can simply pass a later one. */
    int64_t soon = now_ms() + 1000;
    check("set with expiry", nitro_set(store, now_ms(), "session", 7, "x", 1, 0, 0, soon, NULL),
          NITRO_OK);
    check("get after the expiry", nitro_get(store, soon, "session", 7, NULL, 0, &info),
          NITRO_ENOTFOUND);
}

static void fill_and_scan(nitro_store *store) {
    char key[32], body[100];
    uint64_t cursor = 0, seen = 0;
    memset(body, 'x', sizeof body);
    for (unsigned i = 0; i < PAGES; i++) {
        int n = snprintf(key, sizeof key, "page:%u", i);
        check("set", nitro_set(store, now_ms(), key, (size_t)n, body, sizeof body, 0, 0, 0, NULL),
              NITRO_OK);
        if (i % 100 == 0) work(store);
    }
    do {
        check("scan", nitro_scan(store, now_ms(), &cursor, 100, count_key, &seen, NULL), NITRO_OK);
    } while (cursor != 0);
    if (seen < PAGES) {
        fprintf(stderr, "embed: the scan has seen %" PRIu64 " keys of %u\n", seen, PAGES);
        exit(1);
    }
    struct nitro_stats stats;
    nitro_stats(store, &stats);
    printf("%" PRIu64 " keys: %" PRIu64 " bytes of data, %" PRIu64 " bytes of table and entries\n",
           stats.keys, stats.key_bytes + stats.value_bytes, stats.table_bytes + stats.entry_bytes);
}

int main(void) {
    nitro_store *store = open_store();
    read_and_write(store);
    fill_and_scan(store);
    nitro_close(&store);
    return 0;
}
