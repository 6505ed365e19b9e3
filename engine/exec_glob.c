/* SPDX-License-Identifier: MIT
 *
 * exec_glob.c - matches a glob pattern without recursion.
 *
 * DESIGN
 *   Only the last '*' seen ever needs to be tried again with one byte more: what an earlier star
 *   could still reach, the later one reaches as well. So matching costs at most pattern times key
 *   steps instead of growing exponentially with the stars, and the steps are counted.
 */
#include "exec_glob.h"

/* one: whether the pattern element at p matches byte b; moves *next behind the element. */
static bool one(const uint8_t *p, const uint8_t *end, uint8_t b, const uint8_t **next) {
    if (*p == '?') {
        *next = p + 1;
        return true;
    }
    if (*p == '\\' && end - p >= 2) {
        *next = p + 2;
        return p[1] == b;
    }
    if (*p != '[') {
        *next = p + 1;
        return *p == b;
    }
    bool found = false, negated = ++p < end && *p == '^';
    for (p += negated; p < end && *p != ']'; p++) {
        if (*p == '\\' && end - p >= 2) {
            found |= *++p == b;
        } else if (end - p >= 3 && p[1] == '-') {
            uint8_t low = p[0] < p[2] ? p[0] : p[2], high = p[0] < p[2] ? p[2] : p[0];
            found |= b >= low && b <= high;
            p += 2;
        } else {
            found |= *p == b;
        }
    }
    *next = p < end ? p + 1 : end;
    return found != negated;
}

enum nk_glob nk_glob_match(const uint8_t *p, size_t pattern_n, const uint8_t *s, size_t s_n,
                           uint64_t *budget) {
    const uint8_t *p_end = p + pattern_n, *s_end = s + s_n;
    const uint8_t *star = NULL, *star_s = NULL, *next = NULL;
    for (;;) {
        if (*budget == 0) return NK_GLOB_COSTLY;
        if (p < p_end && *p == '*') {
            --*budget;
            star = ++p;
            star_s = s;
            if (p == p_end) return NK_GLOB_YES;
            continue;
        }
        if (s == s_end && p == p_end) return NK_GLOB_YES;
        if (s < s_end && p < p_end) {
            bool hit = one(p, p_end, *s, &next);
            *budget -= nk_min_u64(*budget, (uint64_t)(next - p));
            if (hit) {
                p = next;
                s++;
                continue;
            }
        }
        if (star == NULL || star_s == s_end) return NK_GLOB_NO;
        p = star;
        s = ++star_s;
        --*budget;
    }
}
