/* SPDX-License-Identifier: MIT
 *
 * snapshot_steps.c - how long one call can make a request wait: pieces of a snapshot, steps, writes.
 *
 * METHOD
 *   A store with a log is filled; then snapshots are taken one after the other while keys are overwritten,
 *   inserted, deleted, expire, and the table grows and shrinks. Each call that holds a segment's lock, or the gate
 *   exclusively, is timed by the thread's CPU clock, so that what the machine does to others does not count: the
 *   cut (nitro_snapshot_begin), each lock hold of the walk (nk_snap_walk), each SET, each background step. A
 *   step makes several lock holds; it is timed as a whole, which is an upper bound.
 *
 *   The same number of calls of an empty function is timed as well: on a virtual machine interrupts are counted
 *   as the thread's time.
 *
 * OUTPUT  max_us_NAME and p9999_us_NAME for begin, walk, set, expire, reclaim, free, empty; work_buckets,
 *   work_entries, work_bytes: the most that one call did under one lock (nitro_stats); emitted
 *
 * usage: snapshot_steps FOLDER [keys 1000000] [snapshots 3]
 */
#include "bench.h"
#include "snap.h"

#define SAMPLES (4u << 20)
#define SETS_A_PIECE 2000u

enum what { BEGIN, WALK, SET, EXPIRE, RECLAIM, FREE, EMPTY, WHATS };
static const char *const names[] = {"begin", "walk", "set", "expire", "reclaim", "free", "empty"};

struct times {
    double *us; /* the newest SAMPLES */
    uint64_t count;
    double max;
};

static struct times times[WHATS];

static void note(enum what w, uint64_t before) {
    struct times *t = &times[w];
    double us = (double)(bench_thread_ns() - before) / 1e3;
    if (us > t->max) t->max = us;
    t->us[t->count++ % SAMPLES] = us;
}

static void report(enum what w) {
    char name[64];
    struct times *t = &times[w];
    size_t n = t->count < SAMPLES ? (size_t)t->count : SAMPLES;
    if (n == 0) bench_fail("no %s was timed", names[w]);
    qsort(t->us, n, sizeof *t->us, bench_compare);
    snprintf(name, sizeof name, "max_us_%s", names[w]);
    bench_report(name, t->max);
    snprintf(name, sizeof name, "p9999_us_%s", names[w]);
    bench_report(name, t->us[(n - 1) - n / 10000]);
}

/* ---- the host's part ---------------------------------------------------------------------------*/

static void check(int code, const char *what, const struct nitro_err *err) {
    if (code != NITRO_OK) bench_fail("%s: %s", what, err->msg);
}

static nitro_store *open_folder(const char *dir) {
    struct nitro_options o = {.dir = dir, .segments = 64};
    struct nitro_err err = {0};
    struct nitro_recovery found;
    nitro_store *s = NULL;
    int64_t newest;
    bench_seed(o.seed);
    bench_seed(o.log_seed);
    check(nitro_open(&o, &s, &err), "nitro_open", &err);
    check(nitro_recover_scan(s, bench_now_ms(), &found, &err), "nitro_recover_scan", &err);
    if (!found.created) bench_fail("%s: there is a store already; name a new folder", dir);
    check(nitro_recover_load(s, 0, 1, &err), "nitro_recover_load", &err);
    check(nitro_recover_replay(s, 0, 1, &err), "nitro_recover_replay", &err);
    check(nitro_recover_finish(s, bench_now_ms(), &newest, &err), "nitro_recover_finish", &err);
    return s;
}

/* What a write that was not made waits for: room in the log, or in the snapshot's side buffer. */
static void make_room(nitro_store *s, int code, bool snapshot) {
    struct nitro_err err = {0};
    check(nitro_log_write(s, bench_now_ms(), &err), "nitro_log_write", &err);
    if (code == NITRO_ELOGFULL)
        check(nitro_log_fill(s, nitro_log_need(64, 1024), &err), "nitro_log_fill", &err);
    else if (snapshot && (nitro_snapshot_gather(s) & NITRO_GATHERED_SOME) != 0)
        check(nitro_snapshot_write(s, &err), "nitro_snapshot_write", &err);
}

static void set(nitro_store *s, uint32_t i, int64_t expire_ms, bool snapshot) {
    static const uint8_t value[BENCH_VALUE_BYTES];
    uint8_t key[BENCH_KEY_BYTES];
    bench_key(key, i);
    for (;;) {
        uint64_t before = bench_thread_ns();
        int code = nitro_set(s, bench_now_ms(), key, sizeof key, value, sizeof value, 0, 0,
                             expire_ms, NULL);
        note(SET, before);
        if (code == NITRO_OK) return;
        if (code != NITRO_ELOGFULL && code != NITRO_EBUSY) bench_check(code, "nitro_set");
        make_room(s, code, snapshot);
    }
}

static void step(nitro_store *s, enum nitro_step_kind kind, enum what w, uint32_t budget) {
    struct nitro_step_result r;
    uint64_t before = bench_thread_ns();
    bench_check(nitro_step(s, kind, bench_now_ms(), budget, &r), "nitro_step");
    note(w, before);
}

/* ---- a snapshot --------------------------------------------------------------------------------*/

static NK_NOINLINE void nothing(void) { __asm__ __volatile__(""); }

/* Writes between two pieces: overwrites everywhere, new keys, keys with a short life. */
static void write_some(nitro_store *s, struct bench_rng *r, uint32_t keys, bool snapshot) {
    for (uint32_t i = 0; i < SETS_A_PIECE; i++) {
        uint32_t kind = bench_rng_below(r, 16);
        int64_t expire = kind == 0 ? bench_now_ms() + 50 : 0;
        set(s, bench_rng_below(r, kind < 2 ? 2 * keys : keys), expire, snapshot);
    }
    step(s, NITRO_STEP_EXPIRE, EXPIRE, 64);
    step(s, NITRO_STEP_RECLAIM, RECLAIM, 64);
    step(s, NITRO_STEP_FREE, FREE, 4);
    for (uint32_t i = 0; i < SETS_A_PIECE; i++) {
        uint64_t before = bench_thread_ns();
        nothing();
        note(EMPTY, before);
    }
}

/* As nitro_snapshot_gather, with each lock hold timed. */
static bool piece(nitro_store *s) {
    struct nk_snap *n = s->db.snap;
    struct nitro_err err = {0};
    enum nk_snap_walked walked = NK_SNAP_ON;
    while (walked == NK_SNAP_ON && n->stage.front < NK_SNAP_BLOCK) {
        uint64_t before = bench_thread_ns();
        walked = nk_snap_walk(n);
        note(WALK, before);
    }
    int more = nitro_snapshot_gather(s);
    if ((more & NITRO_GATHERED_SOME) != 0)
        check(nitro_snapshot_write(s, &err), "nitro_snapshot_write", &err);
    return more != 0;
}

static void snapshot(nitro_store *s, struct bench_rng *r, uint32_t keys) {
    struct nitro_err err = {0};
    struct nitro_snapshot_info info;
    uint64_t lsn;
    check(nitro_snapshot_prepare(s, NITRO_COMPRESSION_LZ4, &err), "nitro_snapshot_prepare", &err);
    uint64_t before = bench_thread_ns();
    nitro_snapshot_begin(s, bench_now_ms(), &lsn);
    note(BEGIN, before);
    do write_some(s, r, keys, true);
    while (piece(s));
    check(nitro_log_write(s, bench_now_ms(), &err), "nitro_log_write", &err);
    check(nitro_log_sync(s, &err), "nitro_log_sync", &err);
    check(nitro_snapshot_finish(s, bench_now_ms(), &info, &err), "nitro_snapshot_finish", &err);
    check(nitro_retain(s, bench_now_ms(), 0, 0, &err), "nitro_retain", &err);
}

int main(int argc, char **argv) {
    if (argc < 2) bench_fail("usage: snapshot_steps FOLDER [keys] [snapshots]");
    uint32_t keys = (uint32_t)bench_arg(argc, argv, 2, 1000000);
    uint64_t snapshots = bench_arg(argc, argv, 3, 3);
    struct bench_rng rng = {.state = 7};
    for (int w = 0; w < WHATS; w++) times[w].us = bench_alloc(SAMPLES * sizeof(double));
    nitro_store *s = open_folder(argv[1]);
    for (uint32_t i = 0; i < keys; i++) {
        set(s, i, 0, false);
        if (i % 4096 == 0) (void)bench_steps(s, bench_now_ms());
    }
    times[SET] = (struct times){.us = times[SET].us}; /* filling is not what is measured */
    for (uint64_t i = 0; i < snapshots; i++) snapshot(s, &rng, keys);
    struct nitro_stats st;
    struct nitro_err err = {0};
    nitro_stats(s, &st);
    for (int w = 0; w < WHATS; w++) report((enum what)w);
    bench_report("work_buckets", (double)st.max_buckets_per_call);
    bench_report("work_entries", (double)st.max_entries_per_call);
    bench_report("work_bytes", (double)st.max_bytes_per_call);
    bench_report("emitted", (double)st.snapshot_emitted);
    check(nitro_log_stop(s, bench_now_ms(), &err), "nitro_log_stop", &err);
    nitro_close(&s);
    return 0;
}
