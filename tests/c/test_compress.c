/* SPDX-License-Identifier: MIT
 *
 * test_compress.c - blocks through Zstandard and LZ4, and back: what fits, what does not get smaller, what is
 * damaged, and that all memory comes from the table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "compress.h"
#include "support.h"

#define BYTES 5000u

static const enum nitro_compression methods[] = {NITRO_COMPRESSION_LZ4, NITRO_COMPRESSION_ZSTD};
#define METHODS (sizeof methods / sizeof methods[0])

static void fill_text(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t) "the quick brown fox "[(i * i / 7) % 20];
}

static void fill_random(struct test_rng *g, uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)test_rng_next(g);
}

/* Blocks of many sizes come back as they were, through contexts that are made once. */
static void encode__text_of_many_sizes__decodes_to_the_same(void **state) {
    (void)state;
    struct test_mem mem;
    struct nk_compress c;
    static uint8_t text[BYTES], packed[2 * BYTES], back[BYTES];
    fill_text(text, BYTES);
    test_mem_init(&mem);
    nk_compress_init(&c, &mem.table);
    for (size_t n = 100; n <= BYTES; n += 700) {
        for (size_t m = 0; m < METHODS; m++) {
            size_t cap = nk_compress_bound(methods[m], n), bytes = 0;
            assert_true(cap >= n && cap <= sizeof packed);
            assert_int_equal(nk_compress_encode(&c, methods[m], text, n, packed, cap, &bytes),
                             NITRO_OK);
            assert_in_range(bytes, 1, n - 1);
            memset(back, 0, sizeof back);
            assert_int_equal(nk_compress_decode(&c, methods[m], packed, bytes, back, n), NITRO_OK);
            assert_memory_equal(back, text, n);
        }
    }
    assert_int_equal(mem.objects, 2); /* one encoder, the last one's, and Zstandard's decoder */
    nk_compress_fini(&c);
    nk_compress_fini(&c);
    test_mem_check_empty(&mem);
}

/* One encoder is made for many blocks of one method. */
static void encode__again_and_again__no_more_memory(void **state) {
    (void)state;
    struct test_mem mem;
    struct nk_compress c;
    static uint8_t text[BYTES], packed[2 * BYTES];
    fill_text(text, BYTES);
    for (size_t m = 0; m < METHODS; m++) {
        test_mem_init(&mem);
        nk_compress_init(&c, &mem.table);
        for (int i = 0; i < 10; i++) {
            size_t bytes;
            assert_int_equal(
                nk_compress_encode(&c, methods[m], text, BYTES, packed, sizeof packed, &bytes),
                NITRO_OK);
        }
        assert_int_equal(mem.calls, 1);
        nk_compress_fini(&c);
        test_mem_check_empty(&mem);
    }
}

/* Random bytes don't get smaller, and neither does a block that has too little room for its result. */
static void encode__does_not_get_smaller__enotstored(void **state) {
    (void)state;
    struct test_mem mem;
    struct test_rng g;
    struct nk_compress c;
    static uint8_t noise[BYTES], packed[2 * BYTES];
    test_rng_init(&g, "noise");
    fill_random(&g, noise, BYTES);
    test_mem_init(&mem);
    nk_compress_init(&c, &mem.table);
    size_t bytes = 4711;
    for (size_t m = 0; m < METHODS; m++) {
        assert_int_equal(
            nk_compress_encode(&c, methods[m], noise, BYTES, packed, sizeof packed, &bytes),
            NITRO_ENOTSTORED);
        assert_int_equal(
            nk_compress_encode(&c, methods[m], noise, 1, packed, sizeof packed, &bytes),
            NITRO_ENOTSTORED);
        fill_text(noise, BYTES);
        assert_int_equal(nk_compress_encode(&c, methods[m], noise, BYTES, packed, 10, &bytes),
                         NITRO_ENOTSTORED);
        fill_random(&g, noise, BYTES);
    }
    assert_int_equal(
        nk_compress_encode(&c, NITRO_COMPRESSION_NONE, noise, BYTES, packed, sizeof packed, &bytes),
        NITRO_ENOTSTORED);
    assert_int_equal(bytes, 4711);
    nk_compress_fini(&c);
    test_mem_check_empty(&mem);
}

/* What is not exactly one block of exactly n bytes is damaged: cut, longer, another size, two in a row. */
static void decode__not_exactly_that_block__ecorrupt(void **state) {
    (void)state;
    struct test_mem mem;
    struct nk_compress c;
    static uint8_t text[BYTES], packed[2 * BYTES], back[2 * BYTES];
    fill_text(text, BYTES);
    test_mem_init(&mem);
    nk_compress_init(&c, &mem.table);
    for (size_t m = 0; m < METHODS; m++) {
        enum nitro_compression how = methods[m];
        size_t bytes = 0;
        assert_int_equal(nk_compress_encode(&c, how, text, BYTES, packed, sizeof packed, &bytes),
                         NITRO_OK);
        for (size_t cut = 0; cut < bytes; cut++) {
            /* (a copy of its own, so that the sanitiser sees a read behind the end) */
            uint8_t *p = malloc(cut + 1);
            assert_non_null(p);
            memcpy(p, packed, cut);
            assert_int_equal(nk_compress_decode(&c, how, p, cut, back, BYTES), NITRO_ECORRUPT);
            free(p);
        }
        assert_int_equal(nk_compress_decode(&c, how, packed, bytes, back, BYTES - 1),
                         NITRO_ECORRUPT);
        assert_int_equal(nk_compress_decode(&c, how, packed, bytes, back, BYTES + 1),
                         NITRO_ECORRUPT);
        memcpy(packed + bytes, packed, bytes);
        assert_int_equal(nk_compress_decode(&c, how, packed, 2 * bytes, back, 2 * BYTES),
                         NITRO_ECORRUPT);
        assert_int_equal(nk_compress_decode(&c, how, packed, bytes, back, BYTES), NITRO_OK);
    }
    assert_int_equal(nk_compress_decode(&c, NITRO_COMPRESSION_NONE, text, 10, back, 11),
                     NITRO_ECORRUPT);
    assert_int_equal(nk_compress_decode(&c, NITRO_COMPRESSION_NONE, text, 10, back, 10), NITRO_OK);
    assert_memory_equal(back, text, 10);
    nk_compress_fini(&c);
    test_mem_check_empty(&mem);
}

/* Any bytes are safe, and what they decode to stays within its room. */
static void decode__random_bytes__no_harm(void **state) {
    (void)state;
    struct test_mem mem;
    struct test_rng g;
    struct nk_compress c;
    static uint8_t packed[2 * BYTES];
    uint8_t text[256], *back = malloc(256);
    assert_non_null(back);
    test_rng_init(&g, "hostile blocks");
    fill_text(text, sizeof text);
    test_mem_init(&mem);
    nk_compress_init(&c, &mem.table);
    for (uint64_t i = test_scale(20000); i > 0; i--) {
        enum nitro_compression how = methods[i % METHODS];
        size_t bytes = 0;
        assert_int_equal(
            nk_compress_encode(&c, how, text, sizeof text, packed, sizeof packed, &bytes),
            NITRO_OK);
        for (uint64_t flips = 1 + test_rng_below(&g, 8); flips > 0; flips--)
            packed[test_rng_below(&g, bytes)] ^= (uint8_t)(1u << test_rng_below(&g, 8));
        int rc = nk_compress_decode(&c, how, packed, bytes, back, 256);
        assert_true(rc == NITRO_OK || rc == NITRO_ECORRUPT);
    }
    free(back);
    nk_compress_fini(&c);
    test_mem_check_empty(&mem);
}

/* Without memory for a context nothing happens, and the next try succeeds. */
static void contexts__no_memory__enomem_then_ok(void **state) {
    (void)state;
    struct test_mem mem;
    struct nk_compress c;
    static uint8_t text[BYTES], packed[2 * BYTES], back[BYTES];
    size_t bytes = 0;
    fill_text(text, BYTES);
    for (size_t m = 0; m < METHODS; m++) {
        enum nitro_compression how = methods[m];
        test_mem_init(&mem);
        nk_compress_init(&c, &mem.table);
        test_mem_fail(&mem, 1, 1);
        assert_int_equal(nk_compress_encode(&c, how, text, BYTES, packed, sizeof packed, &bytes),
                         NITRO_ENOMEM);
        assert_int_equal(nk_compress_encode(&c, how, text, BYTES, packed, sizeof packed, &bytes),
                         NITRO_OK);
        test_mem_fail(&mem, 1, 1);
        if (how == NITRO_COMPRESSION_ZSTD) /* LZ4 decodes without a context */
            assert_int_equal(nk_compress_decode(&c, how, packed, bytes, back, BYTES), NITRO_ENOMEM);
        assert_int_equal(nk_compress_decode(&c, how, packed, bytes, back, BYTES), NITRO_OK);
        nk_compress_fini(&c);
        test_mem_check_empty(&mem);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encode__text_of_many_sizes__decodes_to_the_same),
        cmocka_unit_test(encode__again_and_again__no_more_memory),
        cmocka_unit_test(encode__does_not_get_smaller__enotstored),
        cmocka_unit_test(decode__not_exactly_that_block__ecorrupt),
        cmocka_unit_test(decode__random_bytes__no_harm),
        cmocka_unit_test(contexts__no_memory__enomem_then_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
