/* SPDX-License-Identifier: MIT
 *
 * decimal.h - decimal fractions as INCRBYFLOAT reads and writes them (L0).
 *
 * WHAT   Text to `long double` and back by the rules of Redis: whatever strtold takes as a whole, but no
 *        blanks and no NaN; written with up to 17 digits behind the point, without zeros at the end, never with
 *        an exponent. Where `long double` has other than 80 bits the last digits may differ.
 * THREADS  Any; the locale of the process plays no part.
 */
#ifndef NK_DECIMAL_H
#define NK_DECIMAL_H

#include "base.h"

#define NK_DECIMAL_MAX 5120u /* bytes of the longest text, about 4,933 digits before the point */

/* nk_decimal_parse: true and *out if p[0 .. n) is a number as a whole; infinite ones are. */
bool nk_decimal_parse(const void *p, size_t n, long double *out);
/* nk_decimal_put: writes a finite v to dst (room for NK_DECIMAL_MAX bytes) and returns the length. */
uint32_t nk_decimal_put(uint8_t *dst, long double v);

#endif
