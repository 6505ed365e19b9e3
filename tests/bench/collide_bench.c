/* SPDX-License-Identifier: MIT
 *
 * collide_bench.c - a store full of keys with one equal seeded hash, against honest keys.
 *
 * METHOD
 *   2^bits keys that collide in all 64 bits of the seeded FNV-1a (tests/c/collide.h) and as many
 *   random keys of the same length are SET, then read, each in a fresh store. The two take turns; the
 *   times include the background steps, because a hash switch is drained by them.
 *     segments 1    all of them meet in one table
 *     segments 256  the keys are equal in everything but what the choice of segment reads: equal hash,
 *                   different segments
 *   With an engine built with -DNK_NO_HASH_SWITCH the same program shows what the attack does to a table
 *   without the switch: the longest chain, in entries that one call had to walk.
 *
 * OUTPUT  honest_ns and collide_ns (a key, SET and GET together) of each round, the ratio of the medians as
 *   a comment; hash_switches, segments_siphash, max_entries_per_call of the last colliding store.
 *
 * usage: collide_bench [segments 1] [bits 18] [rounds 5]
 */
#include "bench.h"
#include "collide.h"

#define STEP_EVERY 2048u
#define ROUNDS_MAX 64u

struct keys {
    uint8_t *bytes;
    uint32_t count;
    uint32_t length; /* of each */
};

static struct keys keys_new(unsigned bits) {
    uint8_t sample[COLLIDE_KEY_MAX];
    const uint8_t seed[NITRO_SEED_BYTES] = {0};
    struct keys k = {.count = 1u << bits, .length = (uint32_t)collide_key(seed, bits, 0, sample)};
    k.bytes = bench_alloc((size_t)k.count * k.length);
    return k;
}

static void fill_collide(struct keys *k, unsigned bits) {
    uint8_t key[COLLIDE_KEY_MAX], seed[NITRO_SEED_BYTES];
    bench_seed(seed);
    for (uint32_t i = 0; i < k->count; i++) {
        size_t n = collide_key(seed, bits, i, key);
        if (n != k->length) bench_fail("colliding key %u has %zu bytes, not %u", i, n, k->length);
        memcpy(k->bytes + (size_t)i * k->length, key, n);
    }
}

/* run: nanoseconds a key for SETs and then GETs of all of them in a fresh store. */
static double run(uint32_t segments, const struct keys *k, struct nitro_stats *st) {
    nitro_store *s = bench_open(segments);
    int64_t now_ms = bench_now_ms();
    uint8_t value[BENCH_VALUE_BYTES] = {0};
    struct nitro_info info;
    for (int i = 0; i < 64 && bench_steps(s, now_ms); i++) continue;
    uint64_t start = bench_wall_ns();
    for (uint32_t i = 0; i < k->count; i++) {
        const uint8_t *key = k->bytes + (size_t)i * k->length;
        bench_check(nitro_set(s, now_ms, key, k->length, value, sizeof value, 0, 0, 0, NULL),
                    "nitro_set");
        if (i % STEP_EVERY == 0) (void)bench_steps(s, now_ms);
    }
    for (uint32_t i = 0; i < k->count; i++) {
        const uint8_t *key = k->bytes + (size_t)i * k->length;
        bench_check(nitro_get(s, now_ms, key, k->length, value, sizeof value, &info), "nitro_get");
        if (i % STEP_EVERY == 0) (void)bench_steps(s, now_ms);
    }
    double ns = (double)(bench_wall_ns() - start) / k->count;
    nitro_stats(s, st);
    if (st->keys != k->count) bench_fail("%" PRIu64 " keys of %u were kept", st->keys, k->count);
    nitro_close(&s);
    return ns;
}

int main(int argc, char **argv) {
    uint32_t segments = (uint32_t)bench_arg(argc, argv, 1, 1);
    unsigned bits = (unsigned)bench_arg(argc, argv, 2, 18);
    uint32_t rounds = (uint32_t)bench_arg(argc, argv, 3, 5);
    if (bits > COLLIDE_BITS_MAX) bench_fail("at most %u bits, not %u", COLLIDE_BITS_MAX, bits);
    if (rounds > ROUNDS_MAX) bench_fail("at most %u rounds, not %u", ROUNDS_MAX, rounds);
    struct keys honest = keys_new(bits), collide = keys_new(bits);
    struct bench_rng rng = {.state = 11};
    bench_rng_fill(&rng, honest.bytes, (size_t)honest.count * honest.length);
    fill_collide(&collide, bits);
    double honest_ns[ROUNDS_MAX], collide_ns[ROUNDS_MAX];
    struct nitro_stats st;
    for (uint32_t i = 0; i < rounds; i++) {
        bench_report("honest_ns", honest_ns[i] = run(segments, &honest, &st));
        bench_report("collide_ns", collide_ns[i] = run(segments, &collide, &st));
    }
    printf("# ratio %.3f\n", bench_median(collide_ns, rounds) / bench_median(honest_ns, rounds));
    printf("hash_switches %" PRIu64 "\n", st.hash_switches);
    printf("segments_siphash %" PRIu64 "\n", st.segments_siphash);
    printf("max_entries_per_call %" PRIu64 "\n", st.max_entries_per_call);
    free(honest.bytes);
    free(collide.bytes);
    return 0;
}
