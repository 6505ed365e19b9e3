/* SPDX-License-Identifier: MIT
 *
 * recover_past.c - a look at the past where the log is the data: how far back it goes, and which files serve a point (L4).
 *
 * DESIGN
 *   A log leaves out nothing. A merged file leaves out what was dead when it was made, so it serves points from its cut on
 *   (datafile.h), and what it has replaced serves those before, if it is still there: in the folder `retained` (logold.c), or beside it
 *   after a crash. So the pieces for point P are those that the chain goes through (folder_chain.c) when merged files with a
 *   later cut do not count.
 *
 *   The window begins with the smallest cut from which on every chain is whole, or with the empty store. From there on every LSN
 *   lies in a log, or is the cut itself: so the times in frames say what a point in time means.
 *
 *   Nothing is asked of a record here but where the point lies; damage in a file that serves the point is found when it is read.
 */
#include "recover.h"

#include "mutant.h"

/* The last LSN of a log that no file follows which would say so, in f->reaches. */
static int find_last(struct nk_log *l, struct nk_live *f, struct nitro_err *err) {
    struct nk_logscan s;
    if (f->reaches != 0) return NITRO_OK;
    int rc = nk_live_scan(l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    f->reaches = f->head.first_lsn - 1;
    while ((rc = nk_logscan_frame(&s)) == NITRO_OK) {
        f->reaches = s.frame.first_lsn + s.frame.count - 1;
        nk_logscan_skip(&s);
    }
    rc = rc == NITRO_ENOTFOUND || rc == NITRO_ECORRUPT ? NITRO_OK
                                                       : nk_live_scan_failed(l, err, f, &s, rc);
    nk_live_scan_end(l, &s);
    return rc;
}

static int gap(const struct nk_log *l, uint64_t last, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ECORRUPT, 0,
                      "open %s: no file holds what came behind LSN %llu, at the point LSN %llu",
                      l->dir, (unsigned long long)last, (unsigned long long)l->past);
}

/* A log that was found by its first LSN alone may end before the next piece begins: others lay between them, and are gone. */
static int check_ends(struct nk_log *l, struct nitro_err *err) {
    for (uint32_t i = 0; i < l->live_count; i++) {
        struct nk_live *f = &l->live[i];
        if (!f->on_chain || !f->by_lsn) continue;
        int rc = find_last(l, f, err);
        if (rc == NITRO_OK && NK_MUTATE(94, false, f->reaches < f->last_lsn))
            rc = gap(l, f->reaches, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

/* The pieces that serve points from `cut` on, up to the next cut. `end`: the last LSN that there is. NITRO_ECORRUPT: they are not
 * whole. */
static int chain_at(struct nk_log *l, uint64_t cut, uint64_t end, struct nitro_err *err) {
    struct nk_live *newest = NULL;
    uint64_t first = 0, last = 0; /* of the newest piece */
    l->past = cut;
    int rc = nk_folder_chain(l, err);
    if (rc == NITRO_OK) rc = check_ends(l, err);
    if (rc != NITRO_OK) return rc;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].on_chain) newest = &l->live[i];
    if (newest != NULL) first = newest->head.first_lsn;
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_data_header *h = &l->data[i].head;
        if (!l->data[i].on_chain || h->first_lsn < first) continue;
        newest = NULL;
        first = h->first_lsn;
        last = h->last_lsn;
    }
    if (newest != NULL && newest->last_lsn == 0) {
        rc = find_last(l, newest, err);
        newest->last_lsn = newest->reaches;
    }
    if (newest != NULL) last = newest->last_lsn;
    return rc != NITRO_OK || last >= end ? rc : gap(l, last, err);
}

/* The largest cut below `below`; 0: there is none. */
static uint64_t cut_before(const struct nk_log *l, uint64_t below) {
    uint64_t cut = 0;
    for (uint32_t i = 0; i < l->data_count; i++)
        if (l->data[i].head.cut_lsn < below) cut = nk_max_u64(cut, l->data[i].head.cut_lsn);
    return cut;
}

/* Whether the pieces at `cut` hold all from the first LSN to the last one. */
static int is_whole(struct nk_log *l, uint64_t cut, uint64_t end, bool *whole,
                    struct nitro_err *err) {
    struct nitro_err why;
    int rc = chain_at(l, cut, end, &why);
    *whole = rc == NITRO_OK;
    if (rc == NITRO_OK || rc == NITRO_ECORRUPT) return NITRO_OK;
    if (err != NULL) *err = why;
    return rc;
}

/* The smallest cut that all points from there on are served. The newest one is: a start goes by that. */
static int find_first(struct nk_log *l, uint64_t end, uint64_t *first, struct nitro_err *err) {
    uint64_t cut = cut_before(l, UINT64_MAX);
    bool whole = true;
    for (*first = cut; cut > 0 && whole;) {
        cut = cut_before(l, cut);
        int rc = is_whole(l, cut, end, &whole, err);
        if (rc != NITRO_OK) return rc;
        if (whole) *first = cut;
    }
    return NITRO_OK;
}

/* The time of the window's begin: that of its frame, or what a merged file has kept of it. */
static int find_first_time(struct nk_log *l, uint64_t end, struct nitro_err *err) {
    struct nk_reach r = {.to_lsn = l->window_first_lsn, .to_ms = INT64_MAX};
    l->window_first_ms = 0;
    if (l->window_first_lsn == 0) return NITRO_OK;
    int rc = chain_at(l, l->window_first_lsn, end, err);
    /* merged files come first, and between logs: frames of the log that the point lies in are enough */
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK; i++) {
        uint64_t first = l->live[i].head.first_lsn;
        if (nk_live_last(l, i) == 0 || first > r.to_lsn || nk_live_last(l, i) < r.to_lsn) continue;
        r.lsn = first - 1;
        rc = nk_recover_reach(l, &r, err);
    }
    l->window_first_ms = r.ms;
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_data_header *h = &l->data[i].head;
        if (l->data[i].on_chain && h->last_lsn <= r.to_lsn && h->time_ms > l->window_first_ms)
            l->window_first_ms = h->time_ms;
    }
    return rc;
}

/* How far the frames behind the window's begin go: all of them, or as far as is asked for. */
static int find_reach(struct nk_log *l, struct nk_reach *r, struct nitro_err *err) {
    r->lsn = l->window_first_lsn;
    r->ms = l->window_first_ms;
    r->over = false;
    return nk_recover_reach(l, r, err);
}

static int find_window(struct nk_log *l, uint64_t end, struct nitro_err *err) {
    int rc = find_first(l, end, &l->window_first_lsn, err);
    if (rc == NITRO_OK) rc = find_first_time(l, end, err);
    if (rc == NITRO_OK) rc = chain_at(l, l->window_first_lsn, end, err);
    struct nk_reach r = {.to_lsn = end, .to_ms = INT64_MAX};
    if (rc == NITRO_OK) rc = find_reach(l, &r, err);
    l->window_last_lsn = end;
    l->window_last_ms = r.ms;
    return rc;
}

int nk_recover_past(struct nk_log *l, struct nitro_err *err) {
    uint64_t end = l->last_lsn;
    int rc = find_window(l, end, err);
    if (rc == NITRO_OK) rc = nk_recover_outside(l, err);
    if (rc != NITRO_OK) return rc;
    struct nk_reach r = {.to_lsn = nk_min_u64(l->to_lsn, end), .to_ms = l->to_ms};
    rc = find_reach(l, &r, err);
    if (rc != NITRO_OK) return rc;
    l->last_lsn = r.lsn;
    l->reached_ms = r.ms;
    return chain_at(l, r.lsn, end, err);
}
