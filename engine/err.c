/* SPDX-License-Identifier: MIT
 *
 * err.c - the texts of the error list, and the filling of struct nitro_err (L0).
 */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>

const char *nitro_strerror(int code) {
    switch (code) {
#define NITRO_X(name, value, text)                                                                 \
    case value:                                                                                    \
        return text;
        NITRO_ERRORS(NITRO_X)
#undef NITRO_X
    default:
        return "unknown error";
    }
}

int nk_err_set(struct nitro_err *e, int code, int sys, const char *fmt, ...) {
    if (e == NULL) return code;
    e->code = code;
    e->sys = sys;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(e->msg, sizeof e->msg, fmt, ap) < 0) e->msg[0] = '\0';
    va_end(ap);
    return code;
}
