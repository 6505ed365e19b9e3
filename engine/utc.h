/* SPDX-License-Identifier: MIT
 *
 * utc.h - a time as people read it, without a clock or a time zone (L0). Any thread.
 */
#ifndef NK_UTC_H
#define NK_UTC_H

#include "base.h"

#define NK_UTC_BYTES 32u

/* nk_utc_text: milliseconds since 1970 as RFC 3339, "2026-11-21T14:05:51.123Z", in out[NK_UTC_BYTES]. A time
 * outside of the years 0 to 9999, which RFC 3339 cannot write, comes out as "253402300800000 ms". */
void nk_utc_text(int64_t ms, char *out);

#endif
