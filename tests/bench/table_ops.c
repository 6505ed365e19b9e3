/* SPDX-License-Identifier: MIT
 *
 * table_ops.c - the longest table operation while a store grows from nothing to 10M keys.
 *
 * METHOD
 *   Every SET is timed by the thread's own CPU clock, so that being descheduled does not count, but
 *   page faults and everything else that the operation causes does. One clock reading separates two
 *   operations. The host's background steps run between operations, every STEP_EVERY of them, and
 *   are not counted: they run on another thread in a server.
 *   Interrupts are charged to the thread that they hit. How many there are depends on the time that
 *   passes, so the same clock is read in an empty loop for the same thread CPU time, and the
 *   operations over 20 and 50 microseconds are compared with its gaps. A second loop changes as many
 *   cache lines of as much memory as the SETs do: see measure_touch.
 *
 * OUTPUT  set_*, empty_* and touch_*: count, seconds, over_20us, over_50us, longest_us; then the engine's own
 *   counts of the largest amount of work done in one call, which no interrupt can blur, and the
 *   bounds on it that test builds assert.
 *
 * usage: table_ops [keys 10000000]
 */
#include "bench.h"
#include "db.h" /* for the asserted bounds alone */

#define STEP_EVERY 2048u /* one to two milliseconds of SETs */
#define TOUCH_LINES 5    /* of a SET of a new key: directory, bucket, overflow, entry, arena */

struct tally {
    uint64_t count, total_ns, over_20us, over_50us, longest_ns;
};

static inline void tally_add(struct tally *t, uint64_t ns) {
    t->count++;
    t->total_ns += ns;
    t->over_20us += ns > 20000;
    t->over_50us += ns > 50000;
    if (ns > t->longest_ns) t->longest_ns = ns;
}

static void measure_sets(nitro_store *s, uint32_t keys, struct tally *t) {
    struct bench_rng rng = {.state = 1};
    int64_t now_ms = bench_now_ms();
    uint8_t key[BENCH_KEY_BYTES], value[BENCH_VALUE_BYTES];
    bench_rng_fill(&rng, value, sizeof value);
    uint64_t before = bench_thread_ns();
    for (uint32_t i = 0; i < keys; i++) {
        bench_key(key, i);
        int code = nitro_set(s, now_ms, key, sizeof key, value, sizeof value, 0, 0, 0, NULL);
        uint64_t after = bench_thread_ns();
        bench_check(code, "nitro_set");
        tally_add(t, after - before);
        before = after;
        if ((i + 1) % STEP_EVERY == 0) {
            (void)bench_steps(s, now_ms);
            before = bench_thread_ns();
        }
    }
}

static void measure_empty(uint64_t total_ns, struct tally *t) {
    uint64_t before = bench_thread_ns();
    while (t->total_ns < total_ns) {
        uint64_t after = bench_thread_ns();
        tally_add(t, after - before);
        before = after;
    }
}

/* measure_touch: "operations" that change TOUCH_LINES random cache lines of memory as large as the
 * store, and do nothing else. What they show beyond the empty loop is the machine: a fault that the
 * hypervisor resolves for a page of the guest is charged to the thread, and only a loop that uses
 * memory meets one. */
static void measure_touch(size_t bytes, uint64_t total_ns, struct tally *t) {
    struct bench_rng rng = {.state = 2};
    uint8_t *memory = bench_alloc(bytes);
    uint32_t lines = (uint32_t)(bytes / 64);
    uint64_t before = bench_thread_ns();
    while (t->total_ns < total_ns) {
        for (int i = 0; i < TOUCH_LINES; i++) memory[(size_t)bench_rng_below(&rng, lines) * 64]++;
        uint64_t after = bench_thread_ns();
        tally_add(t, after - before);
        before = after;
    }
    free(memory);
}

static void report_tally(const char *name, const struct tally *t) {
    printf("%s_count %" PRIu64 "\n", name, t->count);
    printf("%s_seconds %.3f\n", name, (double)t->total_ns / 1e9);
    printf("%s_over_20us %" PRIu64 "\n", name, t->over_20us);
    printf("%s_over_50us %" PRIu64 "\n", name, t->over_50us);
    printf("%s_longest_us %.1f\n", name, (double)t->longest_ns / 1e3);
}

static void report_work(nitro_store *s) {
    struct nitro_stats st;
    nitro_stats(s, &st);
    printf("keys %" PRIu64 "\n", st.keys);
    printf("splits %" PRIu64 "\n", st.splits);
    printf("max_buckets_per_call %" PRIu64 "\n", st.max_buckets_per_call);
    printf("max_entries_per_call %" PRIu64 "\n", st.max_entries_per_call);
    printf("max_bytes_per_call %" PRIu64 "\n", st.max_bytes_per_call);
    printf("bound_buckets %u\nbound_entries %u\nbound_bytes %u\n", NK_BOUND_EFFECT_BUCKETS,
           NK_BOUND_EFFECT_ENTRIES, NK_BOUND_BYTES);
}

int main(int argc, char **argv) {
    uint32_t keys = (uint32_t)bench_arg(argc, argv, 1, 10000000);
    struct tally sets = {0}, empty = {0}, touch = {0};
    nitro_store *s = bench_open(0);
    /* A host lets the pool get ahead before it serves; the first SETs are no exception. */
    for (int i = 0; i < 64 && bench_steps(s, bench_now_ms()); i++) continue;
    measure_sets(s, keys, &sets);
    measure_empty(sets.total_ns, &empty);
    measure_touch(bench_rss_bytes(), sets.total_ns, &touch);
    report_tally("set", &sets);
    report_tally("empty", &empty);
    report_tally("touch", &touch);
    report_work(s);
    nitro_close(&s);
    return 0;
}
