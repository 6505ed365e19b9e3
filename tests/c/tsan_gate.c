/* SPDX-License-Identifier: MIT
 *
 * tsan_gate.c - real threads behind a reader-writer gate, as the Go server runs the engine, for the
 * thread sanitiser.
 *
 * DESIGN
 *   Workers hold the gate shared and send pipelines through a chunk of their own. One more thread runs
 *   the background steps: shared, but RETIRE (and in the second round a flush) exclusively. All keys
 *   lie in few segments, so that locks are contended, and some collide, so that a segment changes its
 *   hash while others use it.
 *   What a worker writes to its own keys it knows; what all workers add to the shared counters is
 *   known at the end. So a lost update shows here even without the sanitiser, and a race shows with
 *   it even if nothing is lost.
 *
 * ROUNDS
 *   counters   exact replies on own keys, exact sums on shared ones
 *   flushes    the store is emptied again and again under the workers; only its consistency and the
 *              memory it leaves are checked
 *   log        counters with a log in a folder of its own, whose files are small: one thread writes, one
 *              syncs, one fills; at the end the store is loaded anew, by as many threads as it has parts
 *   bitcask    log in mode bitcask: values are read from files that the thread that fills also merges
 *   bitcask flushes   the same, emptied again and again
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "client.h"
#include "collide.h"

#define WORKERS 3u
#define ROUNDS 1500u /* pipelines of a worker, at 100 percent */
#define OWN_KEYS 300u
#define SHARED_KEYS 4u
#define COLLIDE_BITS 9u
#define PIPELINE 12u
#define TEXT_MAX 400000u
#define BIG_BYTES 70000u

struct harness {
    pthread_rwlock_t gate;
    nitro_store *store;
    struct nitro_options opt;
    struct test_mem mem;
    uint64_t rounds;
    bool flushing;
    bool logging;
    bool bitcask;
    uint64_t fills, snap_lsn, snaps; /* calls; the cut of the snapshot under way; snapshots */
    enum nitro_merge_need merge;     /* of the next step */
    uint64_t merge_lsn;              /* that it waits for */
    char dir[64];
    uint32_t running; /* workers that are not done, atomic */
    uint64_t added;   /* to the shared counters, atomic */
};

struct worker {
    struct harness *h;
    uint32_t number;
    pthread_t thread;
    struct test_rng rng;
    struct test_client client;
    char *request, *expected; /* TEXT_MAX bytes each */
    size_t request_len, expected_len;
    uint64_t cursor;     /* of a scan that goes on and on */
    bool live[OWN_KEYS]; /* own keys that exist, with values by number */
    uint32_t value[OWN_KEYS];
};

/* ---- the gate ----------------------------------------------------------------------------------*/

/* A waiting writer goes first, as in Go: else the readers, who never all pause, would starve it. */
static void gate_init(pthread_rwlock_t *gate) {
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (pthread_rwlock_init(gate, &attr) != 0) test_fail("pthread_rwlock_init");
    pthread_rwlockattr_destroy(&attr);
}

static void gate_shared(pthread_rwlock_t *gate) {
    if (pthread_rwlock_rdlock(gate) != 0) test_fail("pthread_rwlock_rdlock");
}

static void gate_exclusive(pthread_rwlock_t *gate) {
    if (pthread_rwlock_wrlock(gate) != 0) test_fail("pthread_rwlock_wrlock");
}

static void gate_leave(pthread_rwlock_t *gate) {
    if (pthread_rwlock_unlock(gate) != 0) test_fail("pthread_rwlock_unlock");
}

/* leave_and_return: on BUSY the host gives way, and lets a waiting writer through. */
static void leave_and_return(void *ctx) {
    struct harness *h = ctx;
    gate_leave(&h->gate);
    sched_yield();
    gate_shared(&h->gate);
}

/* ---- a worker ----------------------------------------------------------------------------------*/

static void add(char *buf, size_t *len, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf + *len, TEXT_MAX - *len, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= TEXT_MAX - *len) test_fail("a pipeline is longer than its buffer");
    *len += (size_t)n;
}

static void request(struct worker *w, const char *verb, uint32_t key, const char *rest) {
    add(w->request, &w->request_len, "%s own:%" PRIu32 ":%" PRIu32 "%s\r\n", verb, w->number, key,
        rest);
}

static void own_set(struct worker *w, uint32_t key) {
    char rest[32];
    w->live[key] = true;
    w->value[key] = (uint32_t)test_rng_next(&w->rng);
    snprintf(rest, sizeof rest, " %" PRIu32, w->value[key]);
    request(w, "SET", key, rest);
    add(w->expected, &w->expected_len, "+OK\r\n");
}

static void own_get(struct worker *w, uint32_t key) {
    char digits[16];
    request(w, "GET", key, "");
    if (!w->live[key]) {
        add(w->expected, &w->expected_len, "$-1\r\n");
        return;
    }
    int n = snprintf(digits, sizeof digits, "%" PRIu32, w->value[key]);
    add(w->expected, &w->expected_len, "$%d\r\n%s\r\n", n, digits);
}

static void own_delete(struct worker *w, uint32_t key) {
    request(w, "DEL", key, "");
    add(w->expected, &w->expected_len, ":%d\r\n", w->live[key] ? 1 : 0);
    w->live[key] = false;
}

/* own_multi: two keys of two segments in one atomic request. */
static void own_multi(struct worker *w, uint32_t key) {
    uint32_t next = (key + 1) % OWN_KEYS;
    w->live[key] = w->live[next] = true;
    w->value[key] = w->value[next] = key;
    char rest[64];
    snprintf(rest, sizeof rest, " %" PRIu32 " own:%" PRIu32 ":%" PRIu32 " %" PRIu32, key, w->number,
             next, key);
    request(w, "MSET", key, rest);
    add(w->expected, &w->expected_len, "+OK\r\n");
}

/* own_rename: a batch over two segments that takes its value from one of them. */
static void own_rename(struct worker *w, uint32_t key) {
    uint32_t next = (key + 1) % OWN_KEYS;
    char rest[32];
    snprintf(rest, sizeof rest, " own:%" PRIu32 ":%" PRIu32, w->number, next);
    request(w, "RENAME", key, rest);
    if (!w->live[key]) {
        add(w->expected, &w->expected_len, "-ERR no such key\r\n");
        return;
    }
    w->live[next] = true;
    w->value[next] = w->value[key];
    w->live[key] = false;
    add(w->expected, &w->expected_len, "+OK\r\n");
}

/* send: the pipeline through the gate; what comes back is left in the client. */
static void send(struct worker *w) {
    gate_shared(&w->h->gate);
    int rc = test_client_feed(&w->client, w->request, w->request_len);
    gate_leave(&w->h->gate);
    if (rc != NITRO_OK) test_fail("worker %" PRIu32 ": %s", w->number, nitro_strerror(rc));
    w->request_len = 0;
}

static void own_pipeline(struct worker *w) {
    for (unsigned i = 0; i < PIPELINE; i++) {
        uint32_t key = (uint32_t)test_rng_below(&w->rng, OWN_KEYS);
        switch (test_rng_below(&w->rng, 6)) {
        case 0:
            own_get(w, key);
            break;
        case 1:
            own_delete(w, key);
            break;
        case 2:
            own_multi(w, key);
            break;
        case 3:
            own_rename(w, key);
            break;
        default:
            own_set(w, key);
        }
    }
    send(w);
    if (!w->h->flushing && (w->client.out_len != w->expected_len ||
                            memcmp(w->client.out, w->expected, w->expected_len) != 0))
        test_fail("worker %" PRIu32 " got \"%.*s\" instead of \"%.*s\"", w->number,
                  (int)w->client.out_len, (const char *)w->client.out, (int)w->expected_len,
                  w->expected);
    w->client.out_len = 0;
    w->expected_len = 0;
}

static void shared_pipeline(struct worker *w) {
    for (unsigned i = 0; i < PIPELINE; i++)
        add(w->request, &w->request_len, "INCR shared:%" PRIu32 "\r\n",
            (uint32_t)test_rng_below(&w->rng, SHARED_KEYS));
    send(w);
    if (w->client.out_len == 0 || memchr(w->client.out, '-', w->client.out_len) != NULL)
        test_fail("an INCR failed: \"%.*s\"", (int)w->client.out_len, (const char *)w->client.out);
    w->client.out_len = 0;
    __atomic_fetch_add(&w->h->added, PIPELINE, __ATOMIC_RELAXED);
}

/* big_value: one block, replaced and read by all workers at once; it must come back in one piece. */
static void big_value(struct worker *w) {
    int letter = 'a' + (int)w->number;
    add(w->request, &w->request_len, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%u\r\n", BIG_BYTES);
    memset(w->request + w->request_len, letter, BIG_BYTES);
    w->request_len += BIG_BYTES;
    add(w->request, &w->request_len, "\r\nPEXPIRE big 60000\r\nGET big\r\n");
    send(w);
    const uint8_t *out = w->client.out;
    size_t n = w->client.out_len;
    bool found = n > BIG_BYTES;
    if (!found && !w->h->flushing) test_fail("the big value has gone");
    if (found && memcmp(out + n - BIG_BYTES - 1, out + n - BIG_BYTES - 2, BIG_BYTES - 1) != 0)
        test_fail("the big value is made of two");
    w->client.out_len = 0;
}

/* part_of_big: all workers change one large value in part, each time made without the lock and put if nobody was
 * faster; copies of it share its block. Whatever comes first, its last byte is some worker's. */
static void part_of_big(struct worker *w) {
    static const char text[] =
        "SETRANGE part %u %c\r\nCOPY part shared REPLACE\r\n"
        "RENAME shared moved\r\nKEYS own:*\r\nRANDOMKEY\r\nGETRANGE part -1 -1\r\n";
    add(w->request, &w->request_len, text, BIG_BYTES, 'a' + (char)w->number);
    send(w);
    const uint8_t *out = w->client.out;
    size_t n = w->client.out_len;
    bool found = n > 7 && out[n - 3] >= 'a' && out[n - 3] < 'a' + (int)WORKERS;
    if (!found && !w->h->flushing) test_fail("the last byte of a large value is gone");
    w->client.out_len = 0;
}

/* colliding_key: raw bytes, so it travels as an array. */
static void colliding_key(struct worker *w) {
    uint8_t key[COLLIDE_KEY_MAX];
    uint32_t index = (uint32_t)test_rng_below(&w->rng, 1u << COLLIDE_BITS);
    struct test_arg argv[] = {{"SET", 3}, {key, 0}, {"x", 1}};
    argv[1].n = collide_key(w->h->opt.seed, COLLIDE_BITS, index, key);
    gate_shared(&w->h->gate);
    int rc = test_client_args(&w->client, argv, 3);
    gate_leave(&w->h->gate);
    if (rc != NITRO_OK || w->client.out_len != 5) test_fail("a colliding key was not set");
    w->client.out_len = 0;
}

static void ignore_key(void *ctx, const void *key, size_t key_bytes,
                       const struct nitro_info *info) {
    (void)ctx;
    (void)key;
    (void)key_bytes;
    (void)info;
}

/* again: true if a direct call came back with nothing done, and is to be repeated. */
static bool again(struct worker *w, const char *what, int rc) {
    if (rc == NITRO_OK) return false;
    if (rc != NITRO_EBUSY && !(rc == NITRO_ELOGFULL && w->h->logging))
        test_fail("%s: %s", what, nitro_strerror(rc));
    leave_and_return(w->h);
    return true;
}

/* direct_calls: what a program does that embeds the engine, on the same keys and counters. */
static void direct_calls(struct worker *w) {
    nitro_store *s = w->h->store;
    char key[32], text[32] = "";
    struct nitro_info info = {0};
    int64_t sum = 0;
    uint64_t cursor = test_rng_next(&w->rng) & 1 ? w->cursor : 0;
    size_t n = (size_t)snprintf(key, sizeof key, "direct:%" PRIu32, w->number);
    size_t value = (size_t)snprintf(text, sizeof text, "%" PRIu64, test_rng_next(&w->rng));
    gate_shared(&w->h->gate);
    while (again(w, "nitro_set", nitro_set(s, TEST_NOW, key, n, text, value, 0, 0, 0, NULL))) {}
    for (unsigned i = 0; i < SHARED_KEYS; i++) {
        char shared[32];
        size_t m = (size_t)snprintf(shared, sizeof shared, "shared:%u", i);
        while (again(w, "nitro_incr", nitro_incr(s, TEST_NOW, shared, m, 1, &sum, NULL))) {}
    }
    while (again(w, "nitro_scan", nitro_scan(s, TEST_NOW, &cursor, 20, ignore_key, NULL, NULL))) {}
    int rc;
    do rc = nitro_get(s, TEST_NOW, key, n, key, sizeof key, &info);
    while (rc == NITRO_EBUSY && again(w, "nitro_get", rc));
    gate_leave(&w->h->gate);
    bool same = rc == NITRO_OK && info.bytes == value && memcmp(key, text, value) == 0;
    if (!same && !w->h->flushing) test_fail("a direct read has not found what was set");
    w->cursor = cursor;
    __atomic_fetch_add(&w->h->added, SHARED_KEYS, __ATOMIC_RELAXED);
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    for (uint64_t i = 0; i < w->h->rounds; i++) {
        own_pipeline(w);
        shared_pipeline(w);
        colliding_key(w);
        direct_calls(w);
        if (i % 16 == w->number) big_value(w);
        if (i % 16 == w->number || i % 16 == 8) part_of_big(w);
    }
    __atomic_fetch_sub(&w->h->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void worker_start(struct worker *w, struct harness *h, uint32_t number) {
    *w = (struct worker){.h = h, .number = number, .rng = {number * 7919u + 17}};
    w->request = malloc(TEXT_MAX);
    w->expected = malloc(TEXT_MAX);
    if (w->request == NULL || w->expected == NULL) test_fail("the harness is out of memory");
    if (test_client_open(&w->client, h->store, TEST_NOW) != NITRO_OK) test_fail("no client");
    w->client.yield = leave_and_return;
    w->client.yield_ctx = h;
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) test_fail("pthread_create");
}

static void worker_stop(struct worker *w) {
    test_client_close(&w->client);
    free(w->request);
    free(w->expected);
}

/* ---- background --------------------------------------------------------------------------------*/

static void step(struct harness *h, enum nitro_step_kind kind) {
    struct nitro_step_result r;
    int rc = nitro_step(h->store, kind, TEST_NOW, 32, &r);
    if (rc != NITRO_OK && rc != NITRO_EBUSY)
        test_fail("step %d: %s", (int)kind, nitro_strerror(rc));
}

/* background: until the workers are done. */
static void background(struct harness *h) {
    for (uint32_t turn = 0; __atomic_load_n(&h->running, __ATOMIC_ACQUIRE) > 0; turn++) {
        gate_shared(&h->gate);
        step(h, NITRO_STEP_EXPIRE);
        step(h, NITRO_STEP_RECLAIM);
        step(h, NITRO_STEP_FREE);
        step(h, NITRO_STEP_POOL);
        int due = nitro_retire_due(h->store);
        gate_leave(&h->gate);
        bool flush = h->flushing && turn % 8 == 0;
        if (due || flush) {
            gate_exclusive(&h->gate);
            int rc = flush ? nitro_flush(h->store, NULL) : NITRO_OK;
            bool later = h->logging && (rc == NITRO_EBUSY || rc == NITRO_ELOGFULL);
            if (rc != NITRO_OK && !later) test_fail("nitro_flush: %s", nitro_strerror(rc));
            step(h, NITRO_STEP_RETIRE);
            gate_leave(&h->gate);
        }
        sched_yield();
    }
}

/* ---- the log -----------------------------------------------------------------------------------*/

#define LOG_FILE_BYTES 262144u
#define LOG_PARTS 2u
#define FILL_NEED (2u * BIG_BYTES)

typedef int log_call(struct harness *h, struct nitro_err *err);
struct log_thread {
    struct harness *h;
    log_call *call;
    pthread_t thread;
};

static int call_write(struct harness *h, struct nitro_err *err) {
    return nitro_log_write(h->store, TEST_NOW, err);
}
static int call_sync(struct harness *h, struct nitro_err *err) {
    int rc = nitro_log_sync(h->store, err);
    return rc == NITRO_OK ? nitro_log_note(h->store, err) : rc;
}
/* A step of a merge, with what it needs. */
static int merge(struct harness *h, struct nitro_err *err) {
    const struct nitro_merge_options o = {.allow = 1, .dead_percent = 20, .retain = 1};
    struct nitro_merge_result r = {0};
    bool shared = h->merge == NITRO_MERGE_SHARED;
    uint64_t durable = __atomic_load_n(&nitro_log_view_of(h->store)->durable, __ATOMIC_ACQUIRE);
    if (h->merge == NITRO_MERGE_SYNC && durable < h->merge_lsn) return NITRO_OK;
    if (shared) gate_shared(&h->gate);
    int rc = nitro_merge_step(h->store, TEST_NOW, &o, &r, err);
    if (shared) gate_leave(&h->gate);
    h->merge = r.need;
    h->merge_lsn = r.lsn;
    return rc;
}
/* Now and then a snapshot by links, a file at a time, and what was kept goes. */
static int snapshot(struct harness *h, struct nitro_err *err) {
    struct nitro_snapshot_info info;
    uint32_t more = 0;
    uint64_t durable = __atomic_load_n(&nitro_log_view_of(h->store)->durable, __ATOMIC_ACQUIRE);
    if (h->snap_lsn == 0)
        return ++h->fills % 16 == 0 ? nitro_snapshot_roll(h->store, &h->snap_lsn, err) : NITRO_OK;
    if (durable < h->snap_lsn) return NITRO_OK;
    int rc = nitro_snapshot_link(h->store, h->snap_lsn, TEST_NOW, 1, &info, &more, err);
    if (rc == NITRO_OK && more != 0) return NITRO_OK;
    h->snap_lsn = 0;
    if (rc == NITRO_EBUSY) return NITRO_OK; /* merges have gone on; the next one is as good */
    if (rc != NITRO_OK) return rc;
    h->snaps++;
    return nitro_retain(h->store, TEST_NOW, 0, 0, err);
}
static int call_fill(struct harness *h, struct nitro_err *err) {
    int rc = nitro_log_fill(h->store, FILL_NEED, err);
    if (rc == NITRO_OK && h->bitcask) rc = snapshot(h, err);
    uint32_t merges =
        h->snap_lsn == 0 ? 16 : 1; /* else no snapshot would get to its end before one */
    for (uint32_t i = 0; i < merges && rc == NITRO_OK && h->bitcask; i++) rc = merge(h, err);
    return rc;
}

static void *log_main(void *arg) {
    struct log_thread *t = arg;
    struct nitro_err err;
    while (__atomic_load_n(&t->h->running, __ATOMIC_ACQUIRE) > 0) {
        int rc = t->call(t->h, &err);
        if (rc != NITRO_OK && rc != NITRO_EBUSY) test_fail("the log: %s", err.msg);
        sched_yield();
    }
    return NULL;
}

static void log_start(struct log_thread *t, struct harness *h, log_call *call) {
    *t = (struct log_thread){.h = h, .call = call};
    if (pthread_create(&t->thread, NULL, log_main, t) != 0) test_fail("pthread_create");
}

struct part_thread {
    nitro_store *store;
    uint32_t number;
    pthread_t thread;
};

static void *part_main(void *arg) {
    struct part_thread *p = arg;
    struct nitro_err err;
    if (nitro_recover_replay(p->store, p->number, LOG_PARTS, &err) != NITRO_OK)
        test_fail("replay: %s", err.msg);
    return NULL;
}

/* load: recovery, with a thread for each part. */
static void load(struct harness *h) {
    struct nitro_recovery found;
    struct nitro_err err;
    struct part_thread parts[LOG_PARTS];
    int64_t newest;
    if (nitro_recover_scan(h->store, TEST_NOW, &found, &err) != NITRO_OK)
        test_fail("scan: %s", err.msg);
    for (uint32_t i = 0; i < LOG_PARTS; i++) {
        parts[i] = (struct part_thread){.store = h->store, .number = i};
        if (pthread_create(&parts[i].thread, NULL, part_main, &parts[i]) != 0)
            test_fail("pthread_create");
    }
    for (uint32_t i = 0; i < LOG_PARTS; i++)
        if (pthread_join(parts[i].thread, NULL) != 0) test_fail("pthread_join");
    if (nitro_recover_finish(h->store, TEST_NOW, &newest, &err) != NITRO_OK)
        test_fail("finish: %s", err.msg);
}

static void make_folder(struct harness *h) {
    snprintf(h->dir, sizeof h->dir, "/tmp/nitrokv-tsan-XXXXXX");
    if (mkdtemp(h->dir) == NULL) test_fail("mkdtemp");
    h->opt.dir = h->dir;
    h->opt.log_file_bytes = LOG_FILE_BYTES;
    h->opt.mode = h->bitcask ? NITRO_MODE_BITCASK : NITRO_MODE_MEMORY;
    h->opt.map_files = h->bitcask && !h->flushing;
    memset(h->opt.log_seed, 7, sizeof h->opt.log_seed);
}

/* What is in a folder; in a folder in it are files alone. */
static void remove_entries(int fd, bool folders) {
    DIR *d = fdopendir(fd);
    if (d == NULL) test_fail("fdopendir");
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] == '.' || unlinkat(fd, e->d_name, 0) == 0) continue;
        int sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY);
        if (sub < 0 || !folders) test_fail("unlink %s", e->d_name);
        remove_entries(sub, false);
        if (unlinkat(fd, e->d_name, AT_REMOVEDIR) != 0) test_fail("rmdir %s", e->d_name);
    }
    closedir(d);
}

static void remove_folder(const struct harness *h) {
    int fd = open(h->dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0) test_fail("open %s", h->dir);
    remove_entries(fd, true);
    if (rmdir(h->dir) != 0) test_fail("rmdir");
}

/* ---- rounds ------------------------------------------------------------------------------------*/

static uint64_t read_counter(nitro_store *s, uint32_t i) {
    char key[32], text[32] = "";
    struct nitro_info info;
    int n = snprintf(key, sizeof key, "shared:%" PRIu32, i);
    int rc = nitro_get(s, TEST_NOW, key, (size_t)n, text, sizeof text - 1, &info);
    if (rc == NITRO_ENOTFOUND) return 0;
    if (rc != NITRO_OK) test_fail("reading %s: %s", key, nitro_strerror(rc));
    return strtoull(text, NULL, 10);
}

static void check_counters(struct harness *h) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SHARED_KEYS; i++) sum += read_counter(h->store, i);
    if (sum != h->added)
        test_fail("the counters say %" PRIu64 ", the workers have added %" PRIu64, sum, h->added);
}

/* reload: stops the log cleanly, or leaves it as a killed process would after a write, and loads it anew. */
static void reload(struct harness *h, bool clean) {
    struct nitro_err err;
    int rc = clean ? nitro_log_stop(h->store, TEST_NOW, &err)
                   : nitro_log_write(h->store, TEST_NOW, &err);
    if (rc != NITRO_OK) test_fail("the log: %s", err.msg);
    nitro_close(&h->store);
    h->store = test_open(&h->opt);
    load(h);
    h->merge = NITRO_MERGE_FOLDER;
    if (!h->flushing) check_counters(h);
}

static void run_round(const char *name, bool flushing, bool logging, bool bitcask) {
    struct harness h = {.flushing = flushing,
                        .logging = logging,
                        .bitcask = bitcask,
                        .merge = NITRO_MERGE_FOLDER,
                        .running = WORKERS,
                        .rounds = test_scale(bitcask ? ROUNDS / 4 : ROUNDS)};
    struct log_thread logs[3];
    static struct worker workers[WORKERS];
    gate_init(&h.gate);
    test_mem_init(&h.mem);
    h.opt = test_options(&h.mem, 2);
    if (logging) make_folder(&h);
    h.store = test_open(&h.opt);
    if (logging) load(&h);
    for (uint32_t i = 0; i < WORKERS; i++) worker_start(&workers[i], &h, i);
    if (logging) {
        log_start(&logs[0], &h, call_write);
        log_start(&logs[1], &h, call_sync);
        log_start(&logs[2], &h, call_fill);
    }
    background(&h);
    for (uint32_t i = 0; i < 3 && logging; i++)
        if (pthread_join(logs[i].thread, NULL) != 0) test_fail("pthread_join");
    for (uint32_t i = 0; i < WORKERS; i++)
        if (pthread_join(workers[i].thread, NULL) != 0) test_fail("pthread_join");
    struct nitro_stats st;
    struct nitro_data_files files;
    nitro_stats(h.store, &st);
    nitro_data_files_of(h.store, &files);
    if (bitcask && files.merges == 0) test_fail("nothing was merged");
    if (bitcask && h.snaps == 0) test_fail("there was no snapshot");
    if (!flushing) {
        check_counters(&h);
        if (st.hash_switches == 0) test_fail("the colliding keys did not switch a hash");
    }
    for (uint32_t i = 0; i < WORKERS; i++) worker_stop(&workers[i]);
    if (logging) {
        reload(&h, false);
        reload(&h, true);
        remove_folder(&h);
    }
    test_step_all(h.store, TEST_NOW);
    test_check_bounds(h.store);
    nitro_close(&h.store);
    test_mem_check_empty(&h.mem);
    pthread_rwlock_destroy(&h.gate);
    printf("%s: %" PRIu64 " writes, %" PRIu64 " times busy, %" PRIu64 " hash switches: ok\n", name,
           st.writes, st.lock_busy, st.hash_switches);
}

int main(void) {
    run_round("counters", false, false, false);
    run_round("flushes", true, false, false);
    run_round("log", false, true, false);
    run_round("bitcask", false, true, true);
    run_round("bitcask flushes", true, true, true);
    return 0;
}
