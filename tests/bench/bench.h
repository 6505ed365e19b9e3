/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the in-process measurement programs share.
 *
 * WHAT   Clocks, a small generator of random numbers, the keys of the other benchmarks
 *        ("key:000000000042", 16 bytes), resident memory from /proc, the background steps that a
 *        host would run, and one output format: `name value` a line, `#` begins a comment. The
 *        program tests/peers runs these programs and reads that output.
 *
 * WHY A HEADER  Each program is one .c file that is linked with the engine and nothing else.
 *
 * ERRORS End the program with status 2 and one line on stderr: a measurement that went wrong must
 *        not print numbers.
 *
 * THREADS  One. The programs measure what one call costs, so nothing else may run beside it.
 */
#ifndef NK_BENCH_H
#define NK_BENCH_H

#include "nitro.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BENCH_KEY_BYTES 16u
#define BENCH_VALUE_BYTES 64u

/* ---- ending ------------------------------------------------------------------------------------*/

static inline __attribute__((noreturn, format(printf, 1, 2))) void bench_fail(const char *format,
                                                                              ...) {
    va_list args;
    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

/* bench_check: the call named `what` must have returned NITRO_OK. */
static inline void bench_check(int code, const char *what) {
    if (code != NITRO_OK) bench_fail("%s: %s (0x%02x)", what, nitro_strerror(code), (unsigned)code);
}

/* bench_alloc: memory that is resident from the start, so that filling it later does not count as
 * growth of the store. */
static inline void *bench_alloc(size_t bytes) {
    void *p = malloc(bytes);
    if (p == NULL) bench_fail("cannot allocate %zu bytes: out of memory; use fewer keys", bytes);
    memset(p, 0x5a, bytes);
    return p;
}

/* ---- arguments and results ---------------------------------------------------------------------*/

/* bench_arg: argument number i as a count, or `otherwise` if it was not given. */
static inline uint64_t bench_arg(int argc, char **argv, int i, uint64_t otherwise) {
    if (i >= argc) return otherwise;
    char *end;
    unsigned long long n = strtoull(argv[i], &end, 10);
    if (*end != 0 || end == argv[i] || n == 0)
        bench_fail("argument %d is '%s': not a positive number", i, argv[i]);
    return n;
}

static inline void bench_report(const char *name, double value) {
    printf("%s %.6g\n", name, value);
    fflush(stdout);
}

static inline int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
/* bench_median: sorts v[0 .. n). */
static inline double bench_median(double *v, size_t n) {
    qsort(v, n, sizeof *v, bench_compare);
    return v[n / 2];
}

/* ---- clocks ------------------------------------------------------------------------------------*/

static inline uint64_t bench_clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) bench_fail("clock_gettime failed");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t bench_wall_ns(void) { return bench_clock_ns(CLOCK_MONOTONIC); }
static inline uint64_t bench_thread_ns(void) { return bench_clock_ns(CLOCK_THREAD_CPUTIME_ID); }
static inline int64_t bench_now_ms(void) {
    return (int64_t)(bench_clock_ns(CLOCK_REALTIME) / 1000000u);
}

/* ---- random numbers (xorshift64*): cheap, seeded, the same in every run ------------------------*/

struct bench_rng {
    uint64_t state;
};
static inline uint64_t bench_rng_next(struct bench_rng *r) {
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * 0x2545f4914f6cdd1dULL;
}
/* bench_rng_below: uniform in [0, n), n < 2^32, by multiplication: no division in a timed loop. */
static inline uint32_t bench_rng_below(struct bench_rng *r, uint32_t n) {
    return (uint32_t)(((bench_rng_next(r) >> 32) * n) >> 32);
}
static inline void bench_rng_fill(struct bench_rng *r, uint8_t *out, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)(bench_rng_next(r) >> 56);
}

/* ---- keys --------------------------------------------------------------------------------------*/

static inline void bench_key(uint8_t out[BENCH_KEY_BYTES], uint32_t index) {
    memcpy(out, "key:", 4);
    for (size_t i = BENCH_KEY_BYTES; i > 4; i--) {
        out[i - 1] = (uint8_t)('0' + index % 10);
        index /= 10;
    }
}

/* ---- resident memory ---------------------------------------------------------------------------*/

/* bench_rss_bytes: the second field of /proc/self/statm, in pages. */
static inline uint64_t bench_rss_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) bench_fail("cannot open /proc/self/statm");
    uint64_t size, resident;
    int fields = fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident);
    if (fields != 2) bench_fail("cannot read two numbers from /proc/self/statm");
    fclose(f);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- the store ---------------------------------------------------------------------------------*/

/* bench_seed: the seed of every store here, the same in every run. */
static inline void bench_seed(uint8_t out[NITRO_SEED_BYTES]) {
    struct bench_rng r = {.state = 0x6e6974726f6b7631ULL};
    bench_rng_fill(&r, out, NITRO_SEED_BYTES);
}

/* bench_open: a store with that many segments, 0 = the default. */
static inline nitro_store *bench_open(uint32_t segments) {
    struct nitro_options opt = {.segments = segments};
    bench_seed(opt.seed);
    nitro_store *s;
    struct nitro_err err;
    if (nitro_open(&opt, &s, &err) != NITRO_OK) bench_fail("nitro_open: %s", err.msg);
    return s;
}

/* bench_steps: one call of every background kind with the budgets of the Go host (engine/drive.go),
 * which makes them every two milliseconds while there is work. True if any of them has more to do. */
static inline bool bench_steps(nitro_store *s, int64_t now_ms) {
    static const uint32_t budget[NITRO_STEP_KINDS] = {
        [NITRO_STEP_EXPIRE] = 2048, [NITRO_STEP_RECLAIM] = 2048, [NITRO_STEP_FREE] = 32,
        [NITRO_STEP_POOL] = 32,     [NITRO_STEP_RETIRE] = 256,
    };
    bool more = false;
    for (int kind = 0; kind < NITRO_STEP_KINDS; kind++) {
        struct nitro_step_result r;
        if (kind == NITRO_STEP_RETIRE && !nitro_retire_due(s)) continue;
        bench_check(nitro_step(s, (enum nitro_step_kind)kind, now_ms, budget[kind], &r),
                    "nitro_step");
        more |= r.more != 0;
    }
    return more;
}

#endif
