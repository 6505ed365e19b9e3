/* SPDX-License-Identifier: MIT
 *
 * support.h - what every C test may use: a counting allocator that fails on demand, reproducible
 * random numbers, and a digest of a store's contents. For talking in bytes see client.h.
 *
 * THREADS  struct test_mem may be used by several threads; everything else belongs to one.
 * FAILURE  Helpers that find something wrong end the test with a message (test_fail).
 *
 * ENVIRONMENT
 *   NK_TEST_SEED     seed of the random tests (decimal or 0x…); without it one is drawn. Printed.
 *   NK_TEST_PERCENT  length of the random tests, in percent; 100 without it.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nitro.h"

/* Tests fail through this, so that programs without cmocka (the thread harness) can use the helpers. */
__attribute__((noreturn, format(printf, 1, 2))) void test_fail(const char *fmt, ...);

/* ---- random numbers ----------------------------------------------------------------------------*/
struct test_rng {
    uint64_t state;
};
/* test_rng_init: from NK_TEST_SEED or a drawn seed, which is printed with `what`. */
void test_rng_init(struct test_rng *r, const char *what);
uint64_t test_rng_next(struct test_rng *r);
/* test_rng_below: 0 .. n - 1; n must not be 0. */
uint64_t test_rng_below(struct test_rng *r, uint64_t n);
/* test_scale: n at 100 percent; at least 1. */
uint64_t test_scale(uint64_t n);

/* ---- memory ------------------------------------------------------------------------------------
 * Counts what is out, and checks that sizes are given back as they were asked for. A call is one of
 * alloc, resize and map; they are numbered from 1 since test_mem_fail. */
struct test_mem {
    struct nitro_mem table; /* for nitro_options.mem */
    uint64_t calls;
    uint64_t fail_first, fail_last; /* numbers of the calls that fail */
    uint64_t failed;                /* calls that did */
    int64_t objects, bytes, mapped_bytes;
};
void test_mem_init(struct test_mem *m);
/* test_pages: where all of them map and unmap pages; NULL, as it is at first: nitro_mem_system. Set it before they do. */
extern const struct nitro_mem *test_pages;
/* test_mem_fail: the calls first .. last from now on fail; (0, 0) = none does. */
void test_mem_fail(struct test_mem *m, uint64_t first, uint64_t last);
/* test_mem_check_empty: fails the test if anything is still out. */
void test_mem_check_empty(const struct test_mem *m);

/* ---- stores ------------------------------------------------------------------------------------*/
#define TEST_NOW INT64_C(1700000000000) /* where the tests' time starts, ms */

/* test_options: segments, this allocator, a fixed seed. */
struct nitro_options test_options(struct test_mem *m, uint32_t segments);
/* test_open: or the test fails. */
nitro_store *test_open(const struct nitro_options *opt);
/* test_step_all: runs background steps of every kind until none has more to do. Exclusive. */
void test_step_all(nitro_store *s, int64_t now_ms);
/* test_check_bounds: fails if one call has done more under one segment's lock than this. A step visits 16
 * buckets and what they hold (a chain beyond 44 entries makes the segment switch its hash) or moves
 * 64 KiB; a write may besides split a bucket, follow chains, and drain a little of a switch. */
#define TEST_BUCKETS_MAX 64u
#define TEST_ENTRIES_MAX (16u * 44u)
#define TEST_BYTES_MAX (65536u + 131094u) /* 64 KiB and the longest entry */
void test_check_bounds(nitro_store *s);

/* The contents of a store: number of keys, and sums that depend on every key, value and expiry, but not
 * on their places. */
struct test_digest {
    uint64_t keys;
    uint64_t contents;
    uint64_t versions; /* as contents, and on the versions */
};
struct test_digest test_digest(nitro_store *s, int64_t now_ms);

#endif
