/* SPDX-License-Identifier: MIT
 *
 * get_chain.c - one GET at 10M keys, against the memory's own latency.
 *
 * METHOD
 *   chain   The value of each key begins with another key, so that all keys form one random cycle
 *           (Sattolo 1986). A GET can start only when the one before has returned its value: nothing
 *           overlaps, and the time of a GET is its latency.
 *   dram    A pointer chase through one random cycle over every cache line of an array of 1 GiB in
 *           4 KiB pages. A hash table cannot do with fewer than two dependent misses a GET, bucket and
 *           entry, so twice the time of one step is what the GET is compared with.
 *   mget    64 random keys in one RESP MGET through nitro_prepare and nitro_execute. The keys do not
 *           depend on each other, so that prefetching can overlap their misses. Requests are written
 *           straight into the chunk, outside the timed part: a server gets them there by read(2).
 *   The three take turns, so that a change of the machine's pace meets them all.
 *
 * OUTPUT  get_ns, two_misses_ns and mget_key_ns of each of ROUNDS rounds; the ratios of the medians as a
 *   comment.
 *
 * usage: get_chain [keys 10000000] [array MiB 1024]
 */
#include "bench.h"

#define ROUNDS 7
#define CHAIN_STEPS 400000u
#define DRAM_STEPS 1000000u
#define MGET_REQUESTS 6000u
#define MGET_KEYS 64u
#define LINE 64u

struct world {
    nitro_store *store;
    nitro_session *session;
    nitro_chunk *chunk;
    uint32_t keys;
    int64_t now_ms;
    uint8_t at[BENCH_VALUE_BYTES]; /* the chain's position: a value that begins with the next key */
    uint32_t *array;               /* the chase: element i * LINE / 4 holds the next i */
    uint32_t lines;
    uint32_t line;
    struct bench_rng rng;
};

/* make_cycle: next[i] for one cycle through all of 0 .. n-1, in random order. */
static uint32_t *make_cycle(uint32_t n, struct bench_rng *rng) {
    uint32_t *next = bench_alloc((size_t)n * sizeof *next);
    for (uint32_t i = 0; i < n; i++) next[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = bench_rng_below(rng, i);
        uint32_t swap = next[i];
        next[i] = next[j];
        next[j] = swap;
    }
    return next;
}

static void fill_store(struct world *w) {
    uint32_t *next = make_cycle(w->keys, &w->rng);
    uint8_t key[BENCH_KEY_BYTES], value[BENCH_VALUE_BYTES];
    for (uint32_t i = 0; i < w->keys; i++) {
        bench_key(key, i);
        bench_rng_fill(&w->rng, value, sizeof value);
        bench_key(value, next[i]);
        bench_check(
            nitro_set(w->store, w->now_ms, key, sizeof key, value, sizeof value, 0, 0, 0, NULL),
            "nitro_set");
        if (i % 4096 == 0) (void)bench_steps(w->store, w->now_ms);
    }
    bench_key(w->at, 0);
    free(next);
}

static void fill_array(struct world *w, uint32_t mib) {
    size_t bytes = (size_t)mib << 20;
    w->lines = (uint32_t)(bytes / LINE);
    w->array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->array == MAP_FAILED) bench_fail("cannot map %zu bytes for the pointer chase", bytes);
    if (madvise(w->array, bytes, MADV_NOHUGEPAGE) != 0) puts("# MADV_NOHUGEPAGE was refused");
    uint32_t *next = make_cycle(w->lines, &w->rng);
    for (uint32_t i = 0; i < w->lines; i++) w->array[(size_t)i * (LINE / 4)] = next[i];
    free(next);
}

static double time_chain(struct world *w) {
    struct nitro_info info;
    uint64_t start = bench_wall_ns();
    for (uint32_t i = 0; i < CHAIN_STEPS; i++) {
        int code =
            nitro_get(w->store, w->now_ms, w->at, BENCH_KEY_BYTES, w->at, sizeof w->at, &info);
        if (code != NITRO_OK) bench_check(code, "nitro_get");
    }
    return (double)(bench_wall_ns() - start) / CHAIN_STEPS;
}

static double time_dram(struct world *w) {
    uint32_t at = w->line;
    uint64_t start = bench_wall_ns();
    for (uint32_t i = 0; i < DRAM_STEPS; i++) at = w->array[(size_t)at * (LINE / 4)];
    uint64_t end = bench_wall_ns();
    w->line = at; /* also keeps the compiler from dropping the loop */
    return (double)(end - start) / DRAM_STEPS;
}

static void write_mget(struct world *w) {
    uint8_t *p = w->chunk->in;
    p += sprintf((char *)p, "*%u\r\n$4\r\nMGET\r\n", MGET_KEYS + 1);
    for (uint32_t i = 0; i < MGET_KEYS; i++) {
        memcpy(p, "$16\r\n", 5);
        bench_key(p + 5, bench_rng_below(&w->rng, w->keys));
        memcpy(p + 5 + BENCH_KEY_BYTES, "\r\n", 2);
        p += 5 + BENCH_KEY_BYTES + 2;
    }
    w->chunk->in_pos = 0;
    w->chunk->in_len = (size_t)(p - w->chunk->in);
}

/* run_mget: one request from input to reply; every key must hit. */
static void run_mget(struct world *w) {
    const size_t reply_bytes = sizeof "*64\r\n" - 1 + MGET_KEYS * (sizeof "$64\r\n\r\n" - 1 + 64);
    size_t got = 0;
    int stop;
    do {
        bench_check(nitro_prepare(w->store, w->session, w->chunk, w->now_ms), "nitro_prepare");
        do {
            stop = nitro_execute(w->store, w->session, w->chunk, w->now_ms);
            got += w->chunk->out_len;
            w->chunk->out_len = 0;
        } while (stop == NITRO_STOP_OUT || stop == NITRO_STOP_BUSY);
    } while (stop == NITRO_STOP_DONE && w->chunk->more);
    if (stop != NITRO_STOP_DONE || got != reply_bytes)
        bench_fail("MGET: stop %d, %zu reply bytes instead of %zu", stop, got, reply_bytes);
    nitro_chunk_compact(w->chunk);
}

static double time_mget(struct world *w) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < MGET_REQUESTS; i++) {
        write_mget(w);
        uint64_t start = bench_wall_ns();
        run_mget(w);
        total += bench_wall_ns() - start;
    }
    return (double)total / MGET_REQUESTS / MGET_KEYS;
}

static void world_open(struct world *w, uint32_t keys, uint32_t mib) {
    w->keys = keys;
    w->now_ms = bench_now_ms();
    w->rng.state = 7;
    w->store = bench_open(0);
    w->session = nitro_session_open(w->store);
    w->chunk = nitro_chunk_open(w->store);
    if (w->session == NULL || w->chunk == NULL) bench_fail("no memory for a session and a chunk");
    if (w->chunk->in_cap < 64 + MGET_KEYS * (BENCH_KEY_BYTES + 7))
        bench_fail("an MGET of %u keys does not fit into a chunk of %zu bytes", MGET_KEYS,
                   w->chunk->in_cap);
    fill_store(w);
    fill_array(w, mib);
}

static void world_close(struct world *w) {
    munmap(w->array, (size_t)w->lines * LINE);
    nitro_chunk_close(w->store, &w->chunk);
    nitro_session_close(w->store, &w->session);
    nitro_close(&w->store);
}

int main(int argc, char **argv) {
    struct world w = {0};
    double get[ROUNDS], misses[ROUNDS], mget[ROUNDS];
    world_open(&w, (uint32_t)bench_arg(argc, argv, 1, 10000000),
               (uint32_t)bench_arg(argc, argv, 2, 1024));
    for (int i = 0; i < ROUNDS; i++) {
        bench_report("get_ns", get[i] = time_chain(&w));
        bench_report("two_misses_ns", misses[i] = 2 * time_dram(&w));
        bench_report("mget_key_ns", mget[i] = time_mget(&w));
    }
    double base = bench_median(misses, ROUNDS);
    printf("# get %.3f, mget %.3f of two misses\n", bench_median(get, ROUNDS) / base,
           bench_median(mget, ROUNDS) / base);
    world_close(&w);
    return 0;
}
