/* SPDX-License-Identifier: MIT
 *
 * log_stream.c - how many bytes of log a second the engine brings to the disk.
 *
 * METHOD
 *   One thread sets keys, again and again the same ones, so that the table does not grow and what is measured
 *   is the log; one writes, one gets room ahead of it. All of that counts, and so does the sync at the
 *   end, as with `dd conv=fdatasync`. The bytes are those of the log's records: what is spent on filling
 *   the window costs time and counts for nothing.
 *
 * OUTPUT  stream_bytes, stream_seconds, stream_mb_per_s (MB of 1,000,000 bytes)
 *
 * usage: log_stream FOLDER [MiB 1024] [bytes of a value 1024]
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>

#define STREAM_KEYS 4096u
#define VALUE_MAX 65535u
#define WRITE_PAUSE_NS 50000 /* a write takes what has come meanwhile */

struct stream {
    nitro_store *store;
    bool done; /* atomic */
};

static void log_check(int code, const char *what, const struct nitro_err *err) {
    if (code != NITRO_OK && code != NITRO_EBUSY) bench_fail("%s: %s", what, err->msg);
}

static bool is_done(struct stream *s) { return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE); }

static void *write_main(void *arg) {
    struct stream *s = arg;
    struct nitro_err err = {0};
    while (!is_done(s)) {
        struct timespec pause = {.tv_nsec = WRITE_PAUSE_NS};
        log_check(nitro_log_write(s->store, bench_now_ms(), &err), "nitro_log_write", &err);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void *fill_main(void *arg) {
    struct stream *s = arg;
    struct nitro_err err = {0};
    const struct nitro_log_view *view = nitro_log_view_of(s->store);
    while (!is_done(s)) {
        struct timespec pause = {.tv_nsec = WRITE_PAUSE_NS};
        if (__atomic_load_n(&view->fill, __ATOMIC_ACQUIRE))
            log_check(nitro_log_fill(s->store, 0, &err), "nitro_log_fill", &err);
        else
            nanosleep(&pause, NULL);
    }
    return NULL;
}

/* One thread syncs, as level everysec does: that is also how the engine knows that groups are large. */
static void *sync_main(void *arg) {
    struct stream *s = arg;
    struct nitro_err err = {0};
    while (!is_done(s)) {
        struct timespec pause = {.tv_nsec = 100000000};
        log_check(nitro_log_sync(s->store, &err), "nitro_log_sync", &err);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static nitro_store *open_folder(const char *dir) {
    struct nitro_options o = {.dir = dir, .segments = 64};
    struct nitro_err err = {0};
    struct nitro_recovery found;
    nitro_store *s = NULL;
    int64_t newest;
    memset(o.seed, 1, sizeof o.seed);
    memset(o.log_seed, 2, sizeof o.log_seed);
    log_check(nitro_open(&o, &s, &err), "nitro_open", &err);
    log_check(nitro_recover_scan(s, bench_now_ms(), &found, &err), "nitro_recover_scan", &err);
    if (!found.created) bench_fail("%s: there is a store already; name a new folder", dir);
    log_check(nitro_recover_replay(s, 0, 1, &err), "nitro_recover_replay", &err);
    log_check(nitro_recover_finish(s, bench_now_ms(), &newest, &err), "nitro_recover_finish", &err);
    return s;
}

/* Sets keys until `bytes` bytes of values have been set; returns how many SETs that were. */
static uint64_t set_keys(nitro_store *s, uint64_t bytes, const uint8_t *value, size_t value_bytes) {
    uint8_t key[BENCH_KEY_BYTES];
    int64_t now_ms = bench_now_ms();
    uint64_t n = bytes / value_bytes;
    for (uint64_t i = 0; i < n; i++) {
        bench_key(key, (uint32_t)(i % STREAM_KEYS));
        int code;
        do {
            code = nitro_set(s, now_ms, key, sizeof key, value, value_bytes, 0, 0, 0, NULL);
            if (code == NITRO_ELOGFULL) sched_yield(); /* the other threads make room */
        } while (code == NITRO_EBUSY || code == NITRO_ELOGFULL);
        bench_check(code, "nitro_set");
    }
    return n;
}

int main(int argc, char **argv) {
    static uint8_t value[VALUE_MAX];
    if (argc < 2) bench_fail("usage: log_stream FOLDER [MiB] [bytes of a value]");
    uint64_t mib = bench_arg(argc, argv, 2, 1024), value_bytes = bench_arg(argc, argv, 3, 1024);
    if (value_bytes > VALUE_MAX) bench_fail("a value of at most %u bytes is possible", VALUE_MAX);
    struct bench_rng rng = {.state = 1};
    bench_rng_fill(&rng, value, sizeof value);
    struct stream s = {.store = open_folder(argv[1])};
    struct nitro_err err = {0};
    void *(*mains[])(void *) = {write_main, fill_main, sync_main};
    pthread_t threads[3];
    uint64_t before = bench_wall_ns();
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, mains[i], &s) != 0) bench_fail("pthread_create");
    uint64_t sets = set_keys(s.store, mib << 20, value, (size_t)value_bytes);
    __atomic_store_n(&s.done, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++)
        if (pthread_join(threads[i], NULL) != 0) bench_fail("pthread_join");
    log_check(nitro_log_write(s.store, bench_now_ms(), &err), "nitro_log_write", &err);
    log_check(nitro_log_sync(s.store, &err), "nitro_log_sync", &err);
    double seconds = (double)(bench_wall_ns() - before) / 1e9;
    double bytes = (double)sets * (double)(value_bytes + BENCH_KEY_BYTES);
    bench_report("stream_bytes", bytes);
    bench_report("stream_seconds", seconds);
    bench_report("stream_mb_per_s", bytes / 1e6 / seconds);
    log_check(nitro_log_stop(s.store, bench_now_ms(), &err), "nitro_log_stop", &err);
    nitro_close(&s.store);
    return 0;
}
