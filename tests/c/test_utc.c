/* SPDX-License-Identifier: MIT
 *
 * test_utc.c - times as text: known ones, and every day of the calendar counted through.
 */
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#include "support.h"
#include "utc.h"

#define DAY_MS INT64_C(86400000)
#define YEAR_0_MS INT64_C(-62167219200000)

static void utc__known_times__as_text(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } known[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(1700000000123), "2023-11-14T22:13:20.123Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
        {YEAR_0_MS, "0000-01-01T00:00:00.000Z"},
        {YEAR_0_MS - 1, "-62167219200001 ms"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000), "253402300800000 ms"},
        {INT64_MAX, "9223372036854775807 ms"},
        {INT64_MIN, "-9223372036854775808 ms"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[NK_UTC_BYTES];
        nk_utc_text(known[i].ms, text);
        assert_string_equal(text, known[i].text);
    }
}

static int days_of(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (leap && month == 2);
}

/* From the first day that RFC 3339 can write to the last. */
static void utc__every_day__follows_the_one_before(void **state) {
    (void)state;
    int64_t ms = YEAR_0_MS;
    int every =
        (int)(100 / nk_min_u64(test_scale(100), 100)); /* of so many years one is looked at */
    for (int year = 0; year <= 9999; year++)
        for (int month = 1; month <= 12; month++)
            for (int day = 1; day <= days_of(year, month); day++, ms += DAY_MS) {
                char text[NK_UTC_BYTES], want[64];
                if (year % every != 0) continue;
                snprintf(want, sizeof want, "%04d-%02d-%02dT12:34:56.789Z", year, month, day);
                nk_utc_text(ms + INT64_C(45296789), text);
                if (strcmp(text, want) != 0) fail_msg("%s, but got %s", want, text);
            }
    assert_int_equal(ms, INT64_C(253402300800000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc__known_times__as_text),
        cmocka_unit_test(utc__every_day__follows_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
