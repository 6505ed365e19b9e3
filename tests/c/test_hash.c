/* SPDX-License-Identifier: MIT
 *
 * test_hash.c - the hashes and the checksum against published values, and what each must not share.
 *
 * SOURCES  FNV-1a: RFC 9923. SipHash-1-3: the values that CPython's bytes hash gives with a zero key. CRC-32C:
 *          RFC 3720, B.4.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "collide.h"
#include "crc32c.h"
#include "hash.h"
#include "support.h"

static const uint8_t *bytes_of(const char *text) { return (const uint8_t *)text; }

/* The values of RFC 9923 come out with seed 0. */
static void fnv1a__published_texts__published_values(void **state) {
    (void)state;
    assert_true(nk_hash_fnv1a(0, bytes_of(""), 0) == 0xcbf29ce484222325ull);
    assert_true(nk_hash_fnv1a(0, bytes_of("a"), 1) == 0xaf63dc4c8601ec8cull);
    assert_true(nk_hash_fnv1a(0, bytes_of("foobar"), 6) == 0x85944171f73967e8ull);
}

/* The finaliser loses nothing: different hashes stay different. */
static void finish__many_hashes__is_injective(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "finaliser");
    for (uint64_t i = 0; i < test_scale(100000); i++) {
        uint64_t h = test_rng_next(&rng), bit = 1ull << test_rng_below(&rng, 64);
        assert_true(nk_hash_finish(h) != nk_hash_finish(h ^ bit));
    }
}

/* SipHash-1-3 of texts with and without a whole word at the end. */
static void sip13__zero_key__values_of_another_implementation(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t hash;
    } want[] = {
        {"a", 0x407448d2b89b1813ull},
        {"foobar", 0x7738ae0a5df09b34ull},
        {"12345678", 0x3489982430560a87ull},
        {"key:000000000042", 0x33937082b5546108ull},
        {"the quick brown fox jumps over the lazy dog", 0x80a65583f613da2dull},
    };
    const struct nk_sip_key zero = {0, 0};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(nk_hash_sip13(&zero, bytes_of(want[i].text), strlen(want[i].text)) ==
                    want[i].hash);
}

/* nk_hash_route the slow way: the words and their order as hash.h says, with plain 128-bit arithmetic. */
static uint64_t route_slowly(uint64_t point, const uint8_t *p, size_t n) {
    unsigned __int128 acc = 1;
    for (;; p += 7, n -= 7) {
        uint64_t word = 0;
        size_t take = n > 7 ? 7 : n;
        for (size_t i = 0; i < take; i++) word |= (uint64_t)p[i] << (8 * i);
        if (n <= 7) word |= 1ull << (8 * take);
        acc = (acc * point + word) % NK_P61;
        if (n <= 7) break;
    }
    return (uint64_t)(acc * point % NK_P61);
}

/* The fast reduction gives what plain arithmetic gives, for every length up to 40. */
static void route__all_lengths__equal_plain_arithmetic(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "route");
    uint8_t key[40];
    for (size_t n = 0; n <= sizeof key; n++) {
        for (uint64_t i = 0; i < test_scale(1000); i++) {
            for (size_t k = 0; k < n; k++) key[k] = (uint8_t)test_rng_next(&rng);
            uint64_t point = test_rng_next(&rng) % (NK_P61 - 2) + 1;
            assert_true(nk_hash_route(point, key, n) == route_slowly(point, key, n));
        }
    }
}

/* Keys with one equal table hash go to all segments: who can make hashes collide cannot choose where. */
static void route__keys_with_one_equal_hash__spread_over_segments(void **state) {
    (void)state;
    enum { BITS = 12, SEGMENTS = 64 };
    struct test_rng rng;
    test_rng_init(&rng, "spread");
    uint8_t seed[NITRO_SEED_BYTES], key[COLLIDE_KEY_MAX];
    for (size_t i = 0; i < sizeof seed; i++) seed[i] = (uint8_t)test_rng_next(&rng);
    uint64_t point = test_rng_next(&rng) % (NK_P61 - 2) + 1, first = 0;
    uint32_t count[SEGMENTS] = {0};
    for (uint32_t i = 0; i < 1u << BITS; i++) {
        size_t n = collide_key(seed, BITS, i, key);
        uint64_t hash = nk_hash_fnv1a(nk_load64(seed), key, n);
        if (i == 0) first = hash;
        assert_true(hash == first);
        count[nk_hash_route(point, key, n) % SEGMENTS]++;
    }
    for (uint32_t s = 0; s < SEGMENTS; s++) /* 64 on average; 20 is over five deviations below */
        assert_in_range(count[s], 20, 140);
}

/* The checksum's published values, and both implementations alike at every length and alignment. */
static void crc32c__published_and_random__alike_everywhere(void **state) {
    (void)state;
    uint8_t b[300];
    memset(b, 0, 32);
    assert_int_equal(nk_crc32c(0, b, 32), 0x8a9136aa);
    memset(b, 0xff, 32);
    assert_int_equal(nk_crc32c(0, b, 32), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) b[i] = i;
    assert_int_equal(nk_crc32c(0, b, 32), 0x46dd794e);
    assert_int_equal(nk_crc32c(0, "123456789", 9), 0xe3069283);
    struct test_rng rng;
    test_rng_init(&rng, "crc32c");
    for (size_t i = 0; i < sizeof b; i++) b[i] = (uint8_t)test_rng_next(&rng);
    for (size_t at = 0; at < 9; at++) {
        for (size_t n = 0; n + at <= sizeof b; n++) {
            uint32_t crc = nk_crc32c(0, b + at, n);
            assert_int_equal(crc, nk_crc32c_portable(0, b + at, n));
            assert_int_equal(crc,
                             nk_crc32c(nk_crc32c(0, b + at, n / 3), b + at + n / 3, n - n / 3));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fnv1a__published_texts__published_values),
        cmocka_unit_test(finish__many_hashes__is_injective),
        cmocka_unit_test(sip13__zero_key__values_of_another_implementation),
        cmocka_unit_test(route__all_lengths__equal_plain_arithmetic),
        cmocka_unit_test(route__keys_with_one_equal_hash__spread_over_segments),
        cmocka_unit_test(crc32c__published_and_random__alike_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
