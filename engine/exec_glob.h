/* SPDX-License-Identifier: MIT
 *
 * exec_glob.h - glob patterns over binary keys, for SCAN (L6).
 *
 * FORMAT  '*' any bytes, '?' one byte, '[abc]' '[a-z]' '[^a]' one byte of a set, '\' takes the next
 *         byte literally. Like Redis, an unclosed set ends with the pattern.
 * THREADS Any thread; no state.
 */
#ifndef NK_EXEC_GLOB_H
#define NK_EXEC_GLOB_H

#include "base.h"

enum nk_glob { NK_GLOB_NO, NK_GLOB_YES, NK_GLOB_COSTLY };

/* nk_glob_match: whether the pattern matches all of s. Takes its steps out of *budget; COSTLY when
 * that is used up, because a pattern with many stars is quadratic on a long key. */
enum nk_glob nk_glob_match(const uint8_t *pattern, size_t pattern_n, const uint8_t *s, size_t s_n,
                           uint64_t *budget);

#endif
