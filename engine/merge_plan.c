/* SPDX-License-Identifier: MIT
 *
 * merge_plan.c - which pieces are merged next (L5).
 *
 * DESIGN
 *   A *seed* is a piece that is worth it by itself: enough of its bytes can be reclaimed. That is its dead puts, and its
 *   deletes if no older piece holds dead records (then they are not pinned; see files.h). The oldest piece with dead
 *   records is worth what it pins, too: the deletes in the pieces up to the next one that holds dead records could
 *   go if it were clean. Of several seeds the one with the largest share wins, in tenths; among equals the oldest, because
 *   what it sets free others can drop.
 *
 *   Neighbours join the seed if they are worth it themselves, or are small compared with what is copied anyway: that saves
 *   files, and a piece is copied so only into one that is at least twice as large, or at most sixteen times.
 *
 *   Without a seed, a row of pieces that are small is joined, if it is long enough to pay.
 *
 * WHY IT ENDS  A merge with a seed has fewer dead records and unpinned deletes than its inputs, because the seed has one. A
 *   merge of a row has fewer pieces, and not more dead records. Neither adds pieces. So merges alone come to an end.
 */
#include "merge.h"

#define SMALL_PART 16u /* a piece is small up to this part of a file */
#define ROW_MIN 8u     /* small pieces in a row that are joined */

struct plan {
    const struct nk_merge_piece *p;
    uint32_t n;
    const struct nitro_merge_options *o;
    const struct nk_merge_limits *max;
    uint32_t oldest_dead; /* the first piece that holds dead records; n = none */
    /* the first piece before which there may be records that no piece has; n = none */
    uint32_t gap;
};

static uint64_t dead(const struct nk_merge_piece *p) { return p->put_bytes - p->live_bytes; }
static uint64_t held(const struct nk_merge_piece *p) { return p->put_bytes + p->gone_bytes; }
static uint64_t wanted(const struct nk_merge_piece *p) { return p->live_bytes + p->gone_bytes; }

/* Whether deletes in a merge that begins with piece i are pinned. */
static bool pinned(const struct plan *a, uint32_t i) { return a->gap <= i || a->oldest_dead < i; }

static uint64_t reclaimed(const struct plan *a, uint32_t i) {
    return dead(&a->p[i]) + (pinned(a, i) ? 0 : a->p[i].gone_bytes);
}

/* Deletes elsewhere that the dead records of piece i alone pin. */
static uint64_t set_free(const struct plan *a, uint32_t i) {
    uint64_t sum = 0;
    if (pinned(a, i) || dead(&a->p[i]) == 0) return 0;
    for (uint32_t j = i + 1; j < a->n; j++) {
        sum += a->p[j].gone_bytes;
        if (dead(&a->p[j]) != 0) break;
    }
    return sum;
}

/* What the merge of piece i alone is worth, in bytes; 0: not enough. */
static uint64_t worth(const struct plan *a, uint32_t i) {
    const struct nk_merge_piece *p = &a->p[i];
    uint64_t own = reclaimed(a, i), bytes = own + set_free(a, i);
    if (!p->fit || own == 0) return 0;
    if (bytes >= held(p) / 100 * a->o->dead_percent + held(p) % 100 * a->o->dead_percent / 100)
        return bytes;
    if (a->o->dead_bytes != 0 && bytes >= a->o->dead_bytes) return bytes;
    if (a->o->dead_age_ms != 0 && dead(p) != 0 && p->age_ms >= a->o->dead_age_ms) return bytes;
    return 0;
}

/* ---- a seed and its neighbours -------------------------------------------------------------------*/

static bool find_seed(const struct plan *a, uint32_t *seed) {
    uint64_t best = 0;
    bool found = false;
    for (uint32_t i = 0; i < a->n; i++) {
        uint64_t bytes = worth(a, i);
        if (bytes == 0) continue;
        uint64_t tenths = nk_min_u64(bytes, held(&a->p[i])) / (held(&a->p[i]) / 10 + 1);
        if (found && tenths <= best) continue;
        found = true;
        best = tenths;
        *seed = i;
    }
    return found;
}

/* Bytes that a merge of first .. last would keep. */
static uint64_t kept(const struct plan *a, uint32_t first, uint32_t last) {
    uint64_t sum = 0;
    for (uint32_t i = first; i <= last; i++)
        sum += pinned(a, first) ? wanted(&a->p[i]) : a->p[i].live_bytes;
    return sum;
}

/* Whether piece i joins a merge that is first .. last with it. */
static bool joins(const struct plan *a, uint32_t i, uint32_t first, uint32_t last,
                  uint64_t others) {
    if (!a->p[i].fit || last - first >= a->max->inputs) return false;
    if (kept(a, first, last) > a->max->file_bytes) return false;
    return worth(a, i) != 0 ||
           wanted(&a->p[i]) <= nk_max_u64(others, a->max->file_bytes / SMALL_PART);
}

static void grow(const struct plan *a, uint32_t *first, uint32_t *last) {
    while (*first > 0 && a->p[*first].follows &&
           joins(a, *first - 1, *first - 1, *last, kept(a, *first, *last)))
        --*first;
    while (*last + 1 < a->n && a->p[*last + 1].follows &&
           joins(a, *last + 1, *first, *last + 1, kept(a, *first, *last)))
        ++*last;
}

/* ---- rows ----------------------------------------------------------------------------------------*/

/* Pieces from i on that are small, and fit one file together. */
static uint32_t row_length(const struct plan *a, uint32_t i) {
    uint64_t sum = 0;
    uint32_t n = 0;
    while (i + n < a->n && n < a->max->inputs && (n == 0 || a->p[i + n].follows)) {
        const struct nk_merge_piece *p = &a->p[i + n];
        sum += held(p);
        if (!p->fit || wanted(p) > a->max->file_bytes / SMALL_PART || sum > a->max->file_bytes)
            break;
        n++;
    }
    return n;
}

static bool find_row(const struct plan *a, uint32_t *first, uint32_t *last) {
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t n = row_length(a, i);
        if (n < ROW_MIN) continue;
        *first = i;
        *last = i + n - 1;
        return true;
    }
    return false;
}

/* ---- entry ---------------------------------------------------------------------------------------*/

bool nk_merge_plan(const struct nk_merge_piece *p, uint32_t n, const struct nitro_merge_options *o,
                   const struct nk_merge_limits *max, uint32_t *first, uint32_t *count) {
    struct plan a = {.p = p, .n = n, .o = o, .max = max};
    uint32_t last;
    while (a.oldest_dead < n && dead(&p[a.oldest_dead]) == 0) a.oldest_dead++;
    while (a.gap < n && p[a.gap].follows) a.gap++;
    if (find_seed(&a, first)) {
        last = *first;
        grow(&a, first, &last);
    } else if (!find_row(&a, first, &last)) {
        return false;
    }
    *count = last - *first + 1;
    return true;
}
