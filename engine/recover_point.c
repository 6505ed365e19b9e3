/* SPDX-License-Identifier: MIT
 *
 * recover_point.c - a look at the past: which snapshot it begins with, which record it ends with (L4).
 *
 * DESIGN
 *   The scan has found what a start would serve, up to `last_lsn`: the end of the window. The window begins
 *   with the oldest snapshot from which on the log is whole, or with the empty store if all of it is.
 *
 *   A point is reached from the newest snapshot that is not beyond it. That one is read through first, because
 *   a restore is what people come to when something is damaged: if it is not sound, an older one and more
 *   of the log do as well. Only if the log does not hold what the damaged one held there is no way; then
 *   the answer names the point that there is a way to.
 *
 *   The end is looked for in the heads of frames. A batch lies in one frame, so a point in time ends between
 *   frames; an LSN may lie in one, and then its records are looked at.
 */
#include "recover.h"

/* ---- the snapshot ------------------------------------------------------------------------------*/

/* Reads a snapshot to its end. */
static int read_through(struct nk_log *l, struct nk_log_snap *s, struct nitro_err *err) {
    struct nk_snapread r;
    struct nk_snaprec rec;
    uint8_t *value = NULL;
    size_t cap = 0;
    int rc = nk_snap_scan(l, s, &r, err);
    if (rc != NITRO_OK) return rc;
    while ((rc = nk_snapread_next(&r, false, &rec)) == NITRO_OK) {
        if (!rec.large) continue;
        if (rec.value_bytes > cap) {
            nk_mem_free(l->mem, value, cap);
            cap = rec.value_bytes;
            value = nk_mem_alloc(l->mem, cap);
            if (value == NULL) cap = 0;
        }
        rc = value == NULL ? NITRO_ENOMEM : nk_snapread_value(&r, &rec, value);
        if (rc != NITRO_OK) break;
    }
    rc = rc == NITRO_ENOTFOUND ? NITRO_OK : nk_snap_scan_failed(l, err, s, &r, rc);
    nk_mem_free(l->mem, value, cap);
    nk_snap_scan_end(l, &r);
    return rc;
}

/* The newest sound snapshot that is not beyond the point goes to l->base; number 0 if there is none. What turns
 * out to be damaged, or cannot be read, is marked. */
static int choose(struct nk_log *l, struct nitro_err *err) {
    l->base = (struct nk_log_snap){.number = 0};
    for (uint32_t i = l->snap_count; i-- > 0 && l->base.number == 0;) {
        struct nk_log_snap *s = &l->snaps[i];
        if (s->bytes == 0 || s->lsn > l->to_lsn || s->foot.time_ms > l->to_ms) continue;
        int rc = read_through(l, s, err);
        if (rc == NITRO_ENOMEM) return rc;
        if (rc == NITRO_OK)
            l->base = *s;
        else
            s->bytes = 0;
    }
    return NITRO_OK;
}

static bool in_log(const struct nk_log *l, uint64_t lsn) {
    for (uint32_t i = 0; i < l->live_count; i++)
        if (l->live[i].head.first_lsn <= lsn && lsn <= nk_live_last(l, i)) return true;
    return false;
}

static int is_lost(const struct nk_log *l, const struct nk_log_snap *s, struct nitro_err *err) {
    char name[NK_PATH_MAX], before[NK_PATH_MAX];
    nk_path_snap(s->number, name);
    if (l->base.number == 0)
        return nk_err_set(
            err, NITRO_ECORRUPT, 0,
            "open %s: %s: it is missing or damaged, there is no older one, and the log does not "
            "hold all that was in it: restore a backup",
            l->dir, name);
    nk_path_snap(l->base.number, before);
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "open %s: %s: it is missing or damaged, and the log does not hold all that was in it; "
        "the state before is that of LSN %llu: nitrokv restore %s/%s --dir NEW",
        l->dir, name, (unsigned long long)l->base.lsn, l->dir, before);
}

/* What a damaged snapshot between the base and the point held has to be in the log. */
static int check_lost(const struct nk_log *l, struct nitro_err *err) {
    bool connected = l->base.lsn >= nk_live_begin(l);
    for (uint32_t i = 0; i < l->snap_count; i++) {
        const struct nk_log_snap *s = &l->snaps[i];
        if (s->bytes != 0 || s->lsn <= l->base.lsn || s->lsn > l->to_lsn) continue;
        if (connected && in_log(l, s->lsn)) continue;
        return is_lost(l, s, err);
    }
    return NITRO_OK;
}

/* ---- the end -----------------------------------------------------------------------------------*/

/* The last whole batch up to to_lsn in a frame that goes beyond it. What is behind that is not looked at: a frame
 * may be torn there. */
static int reach_in_frame(struct nk_logscan *s, struct nk_reach *r) {
    struct nk_placed rec;
    do {
        int rc = nk_logscan_record(s, true, &rec);
        if (rc != NITRO_OK) return rc;
        if (rec.r.more || rec.r.lsn <= r->lsn) continue;
        r->lsn = rec.r.lsn;
        r->ms = s->frame.time_ms;
    } while (rec.r.lsn < r->to_lsn);
    return NITRO_OK;
}

/* The next frame, which has to begin with record `next`. NITRO_ECORRUPT: it is not there. */
static int reach_frame(struct nk_logscan *s, struct nk_reach *r, uint64_t next) {
    int rc = nk_logscan_frame(s);
    if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s->lsn != next)) return NITRO_ECORRUPT;
    if (rc != NITRO_OK) return rc;
    uint64_t last = next + s->frame.count - 1;
    r->over = s->frame.time_ms > r->to_ms || last > r->to_lsn;
    if (s->frame.time_ms > r->to_ms || next > r->to_lsn) return NITRO_OK;
    if (last > r->to_lsn) return reach_in_frame(s, r);
    r->lsn = last;
    r->ms = s->frame.time_ms;
    nk_logscan_skip(s);
    return NITRO_OK;
}

static int reach_file(struct nk_log *l, uint32_t i, struct nk_reach *r, struct nitro_err *err) {
    const struct nk_live *f = &l->live[i];
    struct nk_logscan s;
    uint64_t next = 0, last = nk_live_last(l, i);
    int rc = nk_live_scan(l, f, &s, err);
    if (rc != NITRO_OK) return rc;
    rc = nk_logscan_seek(&s, r->lsn + 1, &next);
    while (rc == NITRO_OK && next <= last && !r->over) {
        rc = reach_frame(&s, r, next);
        next = r->lsn + 1;
    }
    if (rc == NITRO_ECORRUPT)
        rc = nk_recover_damage(l, err, f->number, s.at, nk_max_u64(next, f->head.first_lsn),
                               "the record is missing or not valid");
    else if (rc != NITRO_OK)
        rc = nk_live_scan_failed(l, err, f, &s, rc);
    nk_live_scan_end(l, &s);
    return rc;
}

/* Whether file i has records behind what has been reached. */
static bool is_ahead(const struct nk_log *l, uint32_t i, const struct nk_reach *r) {
    return nk_live_needed(l, i) > r->lsn;
}

int nk_recover_reach(struct nk_log *l, struct nk_reach *r, struct nitro_err *err) {
    uint32_t from = 0, at = 0;
    /* without a time only the file that the point lies in matters, and the one before it, because the first batch
     * of that file may go beyond the point */
    for (uint32_t i = 0; i < l->live_count && r->to_ms == INT64_MAX; i++)
        if (is_ahead(l, i, r) && l->live[i].head.first_lsn <= r->to_lsn) {
            from = at;
            at = i;
        }
    for (uint32_t i = from; i < l->live_count && !r->over; i++) {
        if (!is_ahead(l, i, r)) continue;
        int rc = reach_file(l, i, r, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

static int reach(struct nk_log *l, struct nk_reach *r, struct nitro_err *err) {
    r->lsn = l->base.lsn;
    r->ms = l->base.foot.time_ms;
    return nk_recover_reach(l, r, err);
}

/* ---- the window --------------------------------------------------------------------------------*/

/* No sound snapshot, and the log does not begin with the empty store. */
static int headless(const struct nk_log *l, struct nitro_err *err) {
    int rc = check_lost(l, err);
    if (rc != NITRO_OK) return rc;
    return nk_err_set(
        err, NITRO_ECORRUPT, 0,
        "open %s: what came before the first log file is in no snapshot; see: nitrokv check %s",
        l->dir, l->dir);
}

static int find_window(struct nk_log *l, struct nitro_err *err) {
    uint64_t begin = nk_live_begin(l);
    bool empty = begin == UINT64_MAX && l->snap_count == 0; /* a store that nobody has written to */
    if (l->base.number == 0 && begin != 0 && !empty) return headless(l, err);
    struct nk_reach r = {.to_lsn = l->last_lsn, .to_ms = INT64_MAX};
    int rc = reach(l, &r, err);
    if (rc != NITRO_OK) return rc;
    l->window_last_lsn = l->last_lsn;
    l->window_last_ms = r.ms;
    l->window_first_lsn = 0;
    l->window_first_ms = 0;
    if (begin == 0) return NITRO_OK;
    l->window_first_lsn = l->base.lsn;
    l->window_first_ms = l->base.foot.time_ms;
    for (uint32_t i = 0; i < l->snap_count; i++) {
        const struct nk_log_snap *s = &l->snaps[i];
        if (s->bytes == 0 || s->lsn < begin) continue;
        l->window_first_lsn = s->lsn;
        l->window_first_ms = s->foot.time_ms;
        break;
    }
    return NITRO_OK;
}

int nk_recover_outside(const struct nk_log *l, struct nitro_err *err) {
    bool late = l->to_lsn != UINT64_MAX && l->to_lsn > l->window_last_lsn;
    if (!late && l->to_lsn >= l->window_first_lsn && l->to_ms >= l->window_first_ms)
        return NITRO_OK;
    return nk_err_set(err, NITRO_EARGUMENT, 0,
                      "open %s: the point lies outside of what is there, LSN %llu to %llu", l->dir,
                      (unsigned long long)l->window_first_lsn,
                      (unsigned long long)l->window_last_lsn);
}

int nk_recover_point(struct nk_log *l, struct nitro_err *err) {
    if (l->files != NULL) return nk_recover_past(l, err);
    int rc = find_window(l, err);
    if (rc == NITRO_OK) rc = nk_recover_outside(l, err);
    if (rc == NITRO_OK) rc = choose(l, err);
    if (rc == NITRO_OK) rc = check_lost(l, err);
    if (rc != NITRO_OK) return rc;
    struct nk_reach r = {.to_lsn = nk_min_u64(l->to_lsn, l->window_last_lsn), .to_ms = l->to_ms};
    rc = reach(l, &r, err);
    if (rc != NITRO_OK) return rc;
    l->last_lsn = r.lsn;
    l->reached_ms = r.ms;
    return NITRO_OK;
}
