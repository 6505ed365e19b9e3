/* SPDX-License-Identifier: MIT
 *
 * decimal.c - decimal fractions.
 *
 * DESIGN
 *   The C library converts, in the locale "C", which is set for the calling thread alone and for the moment of
 *   the conversion: a program that embeds the engine may have chosen one that writes a comma. That
 *   locale is built into the library, so that asking for it takes no memory and cannot fail.
 */
#define _GNU_SOURCE
#include "decimal.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_BEHIND 17

/* in_c_locale: makes "C" the thread's locale; the result is for back_from. */
static locale_t in_c_locale(locale_t *c) {
    *c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    NK_ASSERT(*c != (locale_t)0);
    return uselocale(*c);
}

static void back_from(locale_t c, locale_t before) {
    uselocale(before);
    freelocale(c);
}

static bool is_space(char b) { return b == ' ' || (b >= '\t' && b <= '\r'); }

bool nk_decimal_parse(const void *p, size_t n, long double *out) {
    char text[NK_DECIMAL_MAX];
    char *end;
    locale_t c;
    if (n == 0 || n >= sizeof text) return false;
    memcpy(text, p, n);
    text[n] = 0;
    if (is_space(text[0])) return false;
    locale_t before = in_c_locale(&c);
    errno = 0;
    long double v = strtold(text, &end);
    int error = errno;
    back_from(c, before);
    if (end != text + n || v != v) return false;
    if (error == EINVAL || (error == ERANGE && (isinf(v) || v == 0))) return false;
    *out = v;
    return true;
}

uint32_t nk_decimal_put(uint8_t *dst, long double v) {
    locale_t c, before = in_c_locale(&c);
    int wrote = snprintf((char *)dst, NK_DECIMAL_MAX, "%.*Lf", DIGITS_BEHIND, v);
    back_from(c, before);
    NK_ASSERT(wrote > 0 && wrote < (int)NK_DECIMAL_MAX);
    uint32_t n = (uint32_t)wrote;
    while (dst[n - 1] == '0') n--;
    if (dst[n - 1] == '.') n--;
    if (n == 2 && dst[0] == '-' && dst[1] == '0') {
        dst[0] = '0';
        n = 1;
    }
    return n;
}
