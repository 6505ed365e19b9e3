/* SPDX-License-Identifier: MIT
 *
 * memory.c - resident bytes per key in a C process, and whether nitro_stats tells the truth.
 *
 * METHOD
 *   Resident memory is what /proc/self/statm says, less what it said before the store was opened. All
 *   memory of this program itself is resident before that. Nothing is assumed about pages that the
 *   engine keeps ahead of need: they count.
 *     fill       16-byte keys, 64-byte values; bytes per key beyond key and value
 *     overwrite  5 writes a key on average, to random keys, values of 16 to 512 bytes; likewise
 *     delete     nine of ten keys, in random order; then the background steps of ten seconds, one
 *                round every 2 ms as a host makes them; resident bytes by live bytes of key and value
 *
 * OUTPUT  fill_per_key, stats_error (of resident_bytes against the measured growth, as a fraction),
 *   overwrite_per_key, delete_ratio.
 *
 * usage: memory [keys 1000000] [fill | all]
 */
#include "bench.h"

#define OVERWRITE_MIN 16u
#define OVERWRITE_MAX 512u
#define OVERWRITES_PER_KEY 5u
#define SETTLE_MS 10000
#define SETTLE_TICK_NS 2000000L

struct world {
    nitro_store *store;
    uint32_t keys;
    uint16_t *size; /* of each key's value; 0 = deleted */
    uint32_t *order;
    uint8_t *noise; /* values are windows into these random bytes */
    uint64_t rss_before;
    struct bench_rng rng;
};

#define NOISE_BYTES (1u << 20)

static void put(struct world *w, uint32_t i, uint16_t bytes) {
    uint8_t key[BENCH_KEY_BYTES];
    bench_key(key, i);
    const uint8_t *value = w->noise + bench_rng_below(&w->rng, NOISE_BYTES - OVERWRITE_MAX);
    bench_check(nitro_set(w->store, bench_now_ms(), key, sizeof key, value, bytes, 0, 0, 0, NULL),
                "nitro_set");
    w->size[i] = bytes;
}

/* settle: background steps as a host runs them, for `ms` milliseconds. */
static void settle(struct world *w, int64_t ms) {
    const struct timespec tick = {.tv_nsec = SETTLE_TICK_NS};
    for (int64_t end = bench_now_ms() + ms; bench_now_ms() < end;) {
        (void)bench_steps(w->store, bench_now_ms());
        nanosleep(&tick, NULL);
    }
}

static uint64_t live_bytes(const struct world *w) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->keys; i++)
        if (w->size[i] != 0) sum += BENCH_KEY_BYTES + w->size[i];
    return sum;
}
static double growth(const struct world *w) {
    return (double)bench_rss_bytes() - (double)w->rss_before;
}
static double beyond_per_key(const struct world *w) {
    return (growth(w) - (double)live_bytes(w)) / w->keys;
}

static void check_stats(struct world *w) {
    struct nitro_stats st;
    double measured = growth(w);
    nitro_stats(w->store, &st);
    if (st.keys != w->keys)
        bench_fail("nitro_stats counts %" PRIu64 " keys of %u", st.keys, w->keys);
    bench_report("stats_error", ((double)st.resident_bytes - measured) / measured);
    printf("# measured %.0f, stats: resident %" PRIu64 " table %" PRIu64 " entries %" PRIu64
           " slack %" PRIu64 " pool %" PRIu64 " fixed %" PRIu64 " garbage %" PRIu64 "\n",
           measured, st.resident_bytes, st.table_bytes, st.entry_bytes, st.slack_bytes,
           st.pool_free_bytes, st.fixed_bytes, st.garbage_bytes);
}

static void fill(struct world *w) {
    for (uint32_t i = 0; i < w->keys; i++) {
        put(w, i, BENCH_VALUE_BYTES);
        if (i % 4096 == 0) (void)bench_steps(w->store, bench_now_ms());
    }
    settle(w, 200);
    bench_report("fill_per_key", beyond_per_key(w));
    check_stats(w);
}

static void overwrite(struct world *w) {
    uint64_t writes = (uint64_t)w->keys * OVERWRITES_PER_KEY;
    for (uint64_t i = 0; i < writes; i++) {
        uint32_t key = bench_rng_below(&w->rng, w->keys);
        put(w, key,
            (uint16_t)(OVERWRITE_MIN +
                       bench_rng_below(&w->rng, OVERWRITE_MAX - OVERWRITE_MIN + 1)));
        if (i % 4096 == 0) (void)bench_steps(w->store, bench_now_ms());
    }
    bench_report("overwrite_per_key_at_once", beyond_per_key(w));
    settle(w, 200);
    bench_report("overwrite_per_key", beyond_per_key(w));
}

static void shuffle(uint32_t *v, uint32_t n, struct bench_rng *rng) {
    for (uint32_t i = 0; i < n; i++) v[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = bench_rng_below(rng, i + 1), swap = v[i];
        v[i] = v[j];
        v[j] = swap;
    }
}

static void delete_most(struct world *w) {
    uint8_t key[BENCH_KEY_BYTES];
    shuffle(w->order, w->keys, &w->rng);
    for (uint32_t i = 0; i < w->keys / 10 * 9; i++) {
        bench_key(key, w->order[i]);
        bench_check(nitro_delete(w->store, bench_now_ms(), key, sizeof key, NULL), "nitro_delete");
        w->size[w->order[i]] = 0;
        if (i % 4096 == 0) (void)bench_steps(w->store, bench_now_ms());
    }
    bench_report("delete_ratio_at_once", growth(w) / (double)live_bytes(w));
    settle(w, SETTLE_MS);
    bench_report("delete_ratio", growth(w) / (double)live_bytes(w));
}

int main(int argc, char **argv) {
    struct world w = {.keys = (uint32_t)bench_arg(argc, argv, 1, 1000000), .rng = {.state = 3}};
    bool all = argc < 3 || strcmp(argv[2], "fill") != 0;
    w.size = bench_alloc(w.keys * sizeof *w.size);
    w.order = bench_alloc(w.keys * sizeof *w.order);
    w.noise = bench_alloc(NOISE_BYTES);
    bench_rng_fill(&w.rng, w.noise, NOISE_BYTES);
    printf("# %u keys\n", w.keys); /* stdio's own buffer, too, is there before the first reading */
    w.rss_before = bench_rss_bytes();
    w.store = bench_open(0);
    fill(&w);
    if (all) {
        overwrite(&w);
        delete_most(&w);
    }
    nitro_close(&w.store);
    free(w.size);
    free(w.order);
    free(w.noise);
    return 0;
}
