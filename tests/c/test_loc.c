/* SPDX-License-Identifier: MIT
 *
 * test_loc.c - locations: what a size becomes in sixteen bits, and that the parts of a location do not touch each
 * other.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>
#include <cmocka.h>

#include "format_ref.h"
#include "loc.h"
#include "support.h"

#define BYTES_MAX (UINT64_C(1) << 40)
#define CODE_FIRST (NK_LOC_EXACT | 5u << 10) /* of 32768 bytes: smaller exponents do not occur */

/* check_size: what a size stands for is never smaller, at most a thousandth larger, and as the reference rounds. */
static uint32_t check_size(uint64_t bytes) {
    uint32_t code = nk_loc_size(bytes);
    uint64_t back = nk_loc_unsize(code);
    if (code > 0xffff || back < bytes || (back - bytes) * 1000 > bytes ||
        back != ref_rounded(bytes))
        test_fail("%" PRIu64 " bytes have code %x, which stands for %" PRIu64, bytes, code, back);
    if (nk_loc_size(back) != code) test_fail("%" PRIu64 " bytes: rounded twice", bytes);
    return code;
}

/* check_range: the sizes first .. last one by one; larger sizes never have smaller codes. */
static void check_range(uint64_t first, uint64_t last) {
    uint32_t before = 0;
    for (uint64_t bytes = first; bytes <= last; bytes++) {
        uint32_t code = check_size(bytes);
        if (code < before) test_fail("%" PRIu64 " bytes have a smaller code than one less", bytes);
        before = code;
    }
}

/* Sizes of small records are exact, and those of the first larger ones are rounded as they should be. */
static void size__1_to_70000__never_smaller_and_exact_below_32768(void **state) {
    (void)state;
    check_range(1, 70000);
    for (uint32_t bytes = 1; bytes < NK_LOC_EXACT; bytes++)
        assert_int_equal(nk_loc_unsize(nk_loc_size(bytes)), bytes);
}

/* The exponent changes at powers of two; around each of them, and around the steps below and above, all holds. */
static void size__around_powers_of_two__never_smaller(void **state) {
    (void)state;
    for (uint64_t power = 32768; power <= BYTES_MAX; power *= 2) {
        uint64_t step = power / 2048; /* of the sizes below; above it is twice that */
        check_range(power - 5000, power + 5000);
        check_range(power - step - 50, power - step + 50);
        check_range(power + 2 * step - 50, power + 2 * step + 50);
    }
}

/* Random sizes of all magnitudes, and that of two the larger one has no smaller code. */
static void size__random__never_smaller_and_monotone(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "sizes");
    for (uint64_t i = test_scale(500000); i > 0; i--) {
        uint64_t limit = UINT64_C(1) << (1 + test_rng_below(&rng, 40));
        uint64_t a = 1 + test_rng_below(&rng, limit), b = 1 + test_rng_below(&rng, limit);
        uint32_t of_a = check_size(a), of_b = check_size(b);
        if ((a < b && of_a > of_b) || (b < a && of_b > of_a))
            test_fail("sizes %" PRIu64 " and %" PRIu64 " change their order", a, b);
    }
}

/* Each code is that of the size that it stands for and of those down to the next smaller one. */
static void code__every_one__of_its_own_sizes(void **state) {
    (void)state;
    uint64_t before = NK_LOC_EXACT - 1;
    for (uint32_t code = CODE_FIRST; code <= 0xffff; code++) {
        uint64_t bytes = nk_loc_unsize(code);
        assert_true(bytes > before);
        assert_int_equal(nk_loc_size(bytes), code);
        assert_int_equal(nk_loc_size(before + 1), code);
        before = bytes;
    }
    assert_true(before > BYTES_MAX);
}

static void check_location(uint32_t slot, uint64_t offset, uint64_t bytes) {
    uint64_t loc = nk_loc(slot, offset, bytes);
    assert_true(loc != 0);
    assert_int_equal(nk_loc_slot(loc), slot);
    assert_true(nk_loc_offset(loc) == offset && nk_loc_bytes(loc) == ref_rounded(bytes));
}

/* Slot, offset and size come out as they went in, at all limits, and no location is 0. */
static void location__parts_at_their_limits__come_back(void **state) {
    (void)state;
    static const uint32_t slots[] = {1, 2, 255, 256, 32768, NK_LOC_SLOTS - 1};
    static const uint64_t offsets[] = {0, 1, 512, 65536, INT32_MAX, NK_LOC_OFFSET_MAX};
    static const uint64_t sizes[] = {1, 8, 32767, 32768, 32769, 65535, 1u << 29, BYTES_MAX};
    for (size_t s = 0; s < sizeof slots / sizeof slots[0]; s++)
        for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++)
            for (size_t b = 0; b < sizeof sizes / sizeof sizes[0]; b++)
                check_location(slots[s], offsets[o], sizes[b]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size__1_to_70000__never_smaller_and_exact_below_32768),
        cmocka_unit_test(size__around_powers_of_two__never_smaller),
        cmocka_unit_test(size__random__never_smaller_and_monotone),
        cmocka_unit_test(code__every_one__of_its_own_sizes),
        cmocka_unit_test(location__parts_at_their_limits__come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
