/* SPDX-License-Identifier: MIT
 *
 * err.h - filling a caller's struct nitro_err (L0). Any thread; nothing is kept.
 */
#ifndef NK_ERR_H
#define NK_ERR_H

#include "base.h"

/* nk_err_set: writes code, errno and a formatted text to *e (NULL is fine) and returns `code`, so that
 * `return nk_err_set(err, NITRO_ENOMEM, 0, "…")` reads well. The text is cut to fit. */
int nk_err_set(struct nitro_err *e, int code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
