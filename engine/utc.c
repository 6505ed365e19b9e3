/* SPDX-License-Identifier: MIT
 *
 * utc.c - from a count of milliseconds to a date and a time of day (L0).
 *
 * DESIGN
 *   The calendar repeats every 400 years, which have 146097 days. A year that begins on the first of March has
 *   its leap day at its end, so that within such a period the year follows from the day by corrections for
 *   each 4, 100 and 400 years, and the month from the day of the year by the line 153 days per 5 months.
 */
#include "utc.h"

#include <stdio.h>

#define DAY_MS INT64_C(86400000)
#define PERIOD_DAYS INT64_C(146097)     /* 400 years */
#define MARCH_1_YEAR_0 INT64_C(-719468) /* in days since 1970 */
#define YEAR_0_MS INT64_C(-62167219200000)
#define YEAR_10000_MS INT64_C(253402300800000)

struct date {
    int year, month, day;
};

/* The date of a day, counted from the first of March of the year 0. */
static struct date date_of(int64_t days) {
    int64_t period = (days >= 0 ? days : days - (PERIOD_DAYS - 1)) / PERIOD_DAYS;
    int day = (int)(days - period * PERIOD_DAYS);
    int year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int of_year = day - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153; /* 0 = March */
    struct date d = {.year = (int)(period * 400) + year,
                     .month = month < 10 ? month + 3 : month - 9,
                     .day = of_year - (153 * month + 2) / 5 + 1};
    if (d.month <= 2) d.year++;
    return d;
}

void nk_utc_text(int64_t ms, char *out) {
    if (ms < YEAR_0_MS || ms >= YEAR_10000_MS) {
        (void)snprintf(out, NK_UTC_BYTES, "%lld ms", (long long)ms);
        return;
    }
    int64_t days = (ms >= 0 ? ms : ms - (DAY_MS - 1)) / DAY_MS;
    struct date d = date_of(days - MARCH_1_YEAR_0);
    unsigned rest = (unsigned)(ms - days * DAY_MS);
    (void)snprintf(out, NK_UTC_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
                   (unsigned)d.year % 10000, (unsigned)d.month % 100, (unsigned)d.day % 100,
                   rest / 3600000, rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}
