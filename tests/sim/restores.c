/* SPDX-License-Identifier: MIT
 *
 * restores.c - copies of a world's folder, restored to a second simulated disk (see world.h).
 *
 * WHAT   The copy is made as a backup program would make it, between two calls of the store or while
 *        it is closed; the point is an LSN or a time, in the window or outside of it. What must hold:
 *          - outside of the window: a refusal that names it; the window reaches as far back as retention
 *            promises, and up to what the folder held;
 *          - inside: the new folder holds exactly what the model was at the point, whole batches, and as
 *            much as the point allows;
 *          - the new folder is a store: it starts, lives, crashes and starts again, and gives out no LSN that
 *            anybody has seen before;
 *          - the origin is unchanged;
 *          - in mode bitcask, the folder, or that of a snapshot, which ends with its LSN, can be verified, too;
 *          - after a crash of the new folder's disk, or a failed call, there is the whole store in it, or
 *            none: then another restore succeeds, or refuses to touch what the crash has left, as a start
 *            does. After an error alone nothing is left.
 */
#include "image.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A snapshot file does not say how far its owner has gone since. A restore goes so far beyond it that this is
 * no matter, unless the owner has itself gone further, which takes starts without a log. */
#define FAR_LSN (UINT64_C(1) << 43)

/* One restore. */
struct attempt {
    struct sim_world *w;
    struct sim_disk *from, *to; /* owned */
    struct nitro_restore_options opt;
    struct nitro_restore_result res;
    struct nitro_err err;
    struct test_mem mem;
    char file[SIM_NAME_MAX + 8]; /* a snapshot to restore from, file or folder; "" = the folder */
    uint64_t file_lsn;           /* where one that is a folder must end */
    uint64_t crash_in; /* changes of the new folder until the machine goes off; 0 = never */
    bool met;          /* what was planned has happened */
};

/* ---- making one --------------------------------------------------------------------------------*/

static void point(void *arg, const struct sim_call *call) {
    struct attempt *a = arg;
    struct sim_points *points = a->w->points;
    sim_trace(a->w, "  %-8s %-24s %-15s %8" PRIu64 " +%-7" PRIu64 " in restore",
              sim_op_name(call->op), call->why, call->file, call->offset, call->bytes);
    if (points != NULL) points->seen[SIM_RESTORE]++;
    if (a->crash_in == 0 || --a->crash_in > 0) return;
    if (points != NULL) points->crashed[SIM_RESTORE]++;
    sim_disk_off(a->to);
    a->met = true;
}

static enum nitro_compression draw_compression(struct sim_world *w) {
    return (enum nitro_compression)test_rng_below(&w->rng, NITRO_COMPRESSION_ZSTD + 1);
}

static uint64_t draw_file_bytes(struct sim_world *w) {
    return (uint64_t[]){0, 1000, 20000}[test_rng_below(&w->rng, 3)];
}

/* attempt_new: to the newest LSN of `from`, which it owns from then on. */
static struct attempt *attempt_new(struct sim_world *w, struct sim_disk *from) {
    struct attempt *a = sim_need(calloc(1, sizeof *a));
    a->w = w;
    a->from = from;
    a->to = sim_disk_new(test_rng_next(&w->rng));
    sim_disk_inherit(a->to, w->disk);
    sim_disk_hook(a->to, point, a);
    a->opt = (struct nitro_restore_options){.from = "data",
                                            .dir = "new",
                                            .to_lsn = UINT64_MAX,
                                            .to_ms = INT64_MAX,
                                            .now_ms = w->now_ms,
                                            .compression = draw_compression(w),
                                            .file_bytes = draw_file_bytes(w),
                                            .vfs = sim_disk_vfs(from),
                                            .dir_vfs = sim_disk_vfs(a->to)};
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++)
        a->opt.seed[i] = (uint8_t)test_rng_next(&w->rng);
    return a;
}

static void attempt_free(struct attempt *a) {
    sim_disk_free(&a->from);
    sim_disk_free(&a->to);
    free(a);
}

/* run: the restore, and that the origin is as it was. */
static int run(struct attempt *a, uint64_t fail_alloc) {
    const struct sim_world *w = a->w;
    struct sim_disk *before = sim_disk_copy(a->from);
    test_mem_init(&a->mem);
    test_mem_fail(&a->mem, fail_alloc, fail_alloc);
    a->opt.mem = &a->mem.table;
    a->opt.from = a->file[0] != '\0' ? a->file : "data";
    a->opt.from_file = a->file[0] != '\0' && !w->traits.bitcask;
    a->res = (struct nitro_restore_result){0};
    int rc = nitro_restore(&a->opt, &a->res, &a->err);
    sim_trace(w,
              "restore of %s to LSN %" PRIu64 ", time %" PRId64 ": %s, LSN %" PRIu64 " of %" PRIu64
              " to %" PRIu64,
              a->opt.from, a->opt.to_lsn, a->opt.to_ms, nitro_strerror(rc), a->res.lsn,
              a->res.first_lsn, a->res.last_lsn);
    if (a->mem.failed > 0) a->met = true;
    test_mem_check_empty(&a->mem);
    if (sim_disk_handles(a->from) + sim_disk_handles(a->to) != 0)
        sim_fail(w, "a restore has left files open");
    if (!sim_disk_same(before, a->from)) sim_fail(w, "a restore has changed its origin");
    if (rc != NITRO_OK && a->err.msg[0] == '\0') sim_fail(w, "a failed restore does not say why");
    sim_disk_free(&before);
    return rc;
}

/* ---- what must hold ----------------------------------------------------------------------------*/

/* check_window: what could have been asked for; lo .. hi must hold its end. */
static void check_window(const struct attempt *a, uint64_t lo, uint64_t hi) {
    const struct nitro_restore_result *r = &a->res;
    if (r->first_lsn > a->w->reach && a->file[0] == '\0')
        sim_data_fail(a->w, 0, a->w->reach,
                      "must be restorable, but the oldest LSN that can be restored is %" PRIu64,
                      r->first_lsn);
    if (r->last_lsn < lo || r->last_lsn > hi)
        sim_data_fail(a->w, 0, lo,
                      "must be the newest that can be restored, or later up to %" PRIu64
                      ", but the newest is %" PRIu64,
                      hi, r->last_lsn);
}

/* check_linked: a snapshot that is a folder holds all up to its LSN, and no more. */
static void check_linked(const struct attempt *a) {
    if (a->res.last_lsn != a->file_lsn)
        sim_data_fail(a->w, 0, a->file_lsn,
                      "the LSN of a snapshot, but it can be restored up to %" PRIu64,
                      a->res.last_lsn);
}

static bool is_outside(const struct attempt *a) {
    const struct nitro_restore_options *o = &a->opt;
    const struct nitro_restore_result *r = &a->res;
    bool future = o->to_ms != INT64_MAX && o->to_ms > o->now_ms && o->to_ms > r->last_ms;
    return future || o->to_lsn < r->first_lsn ||
           (o->to_lsn != UINT64_MAX && o->to_lsn > r->last_lsn) || o->to_ms < r->first_ms;
}

/* check_time: all that was in frames by then, and nothing that happened later. */
static void check_time(const struct attempt *a, size_t reached, size_t most) {
    const struct sim_world *w = a->w;
    for (size_t i = 0; i < most; i++) {
        const struct sim_effect *e = &w->model.effect[i];
        if (i < reached && e->made_ms > a->opt.to_ms)
            sim_data_fail(w, e->key, e->lsn, "restored to time %" PRId64 ", but it is of %" PRId64,
                          a->opt.to_ms, e->made_ms);
        if (i >= reached && e->frame_ms != 0 && e->frame_ms <= a->opt.to_ms)
            sim_data_fail(w, e->key, e->lsn,
                          "written at %" PRId64 ", and a restore to time %" PRId64
                          " stops at LSN %" PRIu64,
                          e->frame_ms, a->opt.to_ms, a->res.lsn);
    }
}

/* check_point: that the restore went as far as it should, and no further; returns how many effects that is. */
static size_t check_point(const struct attempt *a) {
    const struct sim_world *w = a->w;
    const struct sim_model *m = &w->model;
    uint64_t p = a->opt.to_lsn < a->res.last_lsn ? a->opt.to_lsn : a->res.last_lsn;
    size_t reached = sim_model_prefix(m, a->res.lsn), most = sim_model_prefix(m, p);
    const struct sim_effect *torn = sim_model_torn(m, a->res.lsn);
    if (torn != NULL && w->traits.unlogged == 0)
        sim_data_fail(w, torn->key, torn->lsn,
                      "batch up to LSN %" PRIu64 " is torn by a restore to %" PRIu64, torn->last,
                      a->res.lsn);
    if (a->res.lsn > p || a->res.time_ms > a->opt.to_ms)
        sim_data_fail(w, 0, p, "the point, but a restore goes to LSN %" PRIu64 " of time %" PRId64,
                      a->res.lsn, a->res.time_ms);
    if (a->opt.to_ms != INT64_MAX)
        check_time(a, reached, most);
    else if (reached != most)
        sim_data_fail(w, m->effect[reached].key, m->effect[reached].lsn,
                      "before the point %" PRIu64 ", but a restore stops at %" PRIu64, p,
                      a->res.lsn);
    return reached;
}

/* keep_expired: what ran out after the point stays for good. */
static void keep_expired(struct sim_model *m, int64_t reached_ms, int64_t now_ms) {
    for (unsigned k = 0; k < SIM_KEYS; k++) {
        struct sim_cell *c = &m->now[k];
        if (c->present && c->expire_ms > reached_ms && c->expire_ms <= now_ms) c->expire_ms = 0;
    }
}

/* new_world: the restored folder, with the model as it was after so many effects. */
static struct sim_world *new_world(struct attempt *a, size_t count) {
    struct sim_world *t = sim_need(malloc(sizeof *t));
    sim_world_fork(t, a->w, a->to);
    a->to = NULL;
    t->rng.state = test_rng_next(&a->w->rng);
    sim_model_cut(&t->model, count, a->res.lsn);
    if (a->opt.keep_expired) keep_expired(&t->model, a->res.time_ms, t->now_ms);
    sim_model_root(&t->model);
    if (a->file[0] != '\0' && t->model.newest > a->res.lsn + FAR_LSN) {
        t->model.newest = t->model.floor = a->res.lsn;
        t->model.lost_count = 0;
    }
    t->store = NULL;
    t->view = NULL;
    t->busy = t->depth = 0;
    t->faults = t->no_memory = t->power_lost = t->stopped = t->wal_off = false;
    t->logged = t->is_copy = true;
    t->plan = (struct sim_plan){0};
    t->snap.stage = SIM_IDLE;
    t->taken = t->maybe = (struct sim_taken){0};
    t->linked = t->older = (struct sim_linked){0};
    t->linked_known = t->roll.set = false;
    t->tried.count = 0;
    t->promises = 0;
    t->written = t->durable = t->reach = a->res.lsn;
    t->traits.restores = 0;
    t->phase = SIM_APPEND;
    return t;
}

/* live_on: the new folder starts, holds what it should, and is a store like any other. */
static void live_on(struct attempt *a, size_t count, unsigned lives) {
    struct nitro_err err = {0};
    uint32_t live = 0;
    struct sim_world *t = new_world(a, count);
    for (unsigned life = 0; life < lives; life++) {
        if (sim_world_start(t, &err) != NITRO_OK) sim_world_refused(t, &err);
        live = sim_model_live(t->model.now, t->now_ms);
        if (life == 0 && (t->found.created != 0 || t->found.last_lsn != a->res.lsn))
            sim_data_fail(t, 0, a->res.lsn,
                          "restored up to here, but a start serves up to %" PRIu64,
                          t->found.last_lsn);
        if (life == 0 && a->res.keys != live)
            sim_fail(t, "a restore says %" PRIu64 " keys, and there are %" PRIu32, a->res.keys,
                     live);
        for (unsigned i = (unsigned)test_rng_below(&t->rng, 12); i > 0; i--)
            if (!sim_world_step(t)) break;
        if (test_rng_below(&t->rng, 2) == 0)
            sim_world_kill(t);
        else
            sim_world_power(t, (enum sim_rule)test_rng_below(&t->rng, SIM_RULES));
    }
    sim_world_fini(t);
    free(t);
}

/* ---- crashes and faults ------------------------------------------------------------------------*/

static void crash(struct attempt *a, unsigned way) {
    if (way == 0)
        sim_disk_kill(a->to);
    else
        sim_disk_power(a->to, (enum sim_rule)(way - 1));
}

/* What a start would find in a folder. */
enum content {
    NOTHING, /* it would make a new store */
    RESTS,   /* it refuses: files of a store that has no MANIFEST */
    STORE
};

/* look: on a copy. */
static enum content look(const struct attempt *a) {
    struct sim_disk *copy = sim_disk_copy(a->to);
    struct test_mem mem;
    struct nitro_recovery found = {0};
    struct nitro_err err = {0};
    nitro_store *store = NULL;
    test_mem_init(&mem);
    struct nitro_options opt = test_options(&mem, a->w->traits.segments);
    opt.dir = "new";
    opt.vfs = sim_disk_vfs(copy);
    int rc = nitro_open(&opt, &store, &err);
    if (rc == NITRO_OK) rc = nitro_recover_scan(store, a->w->now_ms, &found, &err);
    nitro_close(&store);
    test_mem_check_empty(&mem);
    struct sim_file manifest;
    bool listed = sim_disk_find(copy, "MANIFEST", &manifest);
    sim_disk_free(&copy);
    if (rc != NITRO_OK && (listed || rc != NITRO_ECORRUPT))
        sim_data_fail(a->w, 0, a->res.lsn,
                      "an interrupted restore has left a store that does not start: %s", err.msg);
    if (rc != NITRO_OK) return RESTS;
    return found.created != 0 ? NOTHING : STORE;
}

/* once_more: into the folder where an interrupted restore has left no store. False if it refuses. */
static bool once_more(struct attempt *a, bool may_refuse) {
    struct sim_disk *before = sim_disk_copy(a->to);
    a->opt.compression =
        draw_compression(a->w); /* its files may be shorter than what they replace */
    a->opt.file_bytes = draw_file_bytes(a->w);
    int rc = run(a, 0);
    if (rc != NITRO_OK && (!may_refuse || rc != NITRO_EARGUMENT))
        sim_fail(a->w, "after an interrupted restore another one fails: %s", a->err.msg);
    if (rc != NITRO_OK && !sim_disk_same(before, a->to))
        sim_fail(a->w, "a refused restore has changed the folder");
    sim_disk_free(&before);
    return rc == NITRO_OK;
}

static bool unnoticed(const struct sim_restore_plan *p) {
    const struct sim_fault *f = p->fault.nth != 0 ? &p->fault : &p->from_fault;
    return f->nth != 0 && (f->how == SIM_FAIL_SHORT || f->how == SIM_FAIL_EINTR);
}

/* disturbed: a restore with what is planned, then what it has left. `count` effects are up to the point, and
 * a->res has what an undisturbed restore has answered. */
static void disturbed(struct attempt *a, const struct sim_restore_plan *plan, size_t count) {
    struct nitro_restore_result clean = a->res;
    a->crash_in = plan->crash_nth;
    sim_disk_fault(a->to, &plan->fault);
    sim_disk_fault(a->from, &plan->from_fault);
    int rc = run(a, plan->fail_alloc);
    a->met |= sim_disk_faulted(a->to) + sim_disk_faulted(a->from) > 0;
    a->crash_in = 0;
    sim_disk_fault(a->to, &(struct sim_fault){0});
    sim_disk_fault(a->from, &(struct sim_fault){0});
    if (rc != NITRO_OK && (!a->met || unnoticed(plan)))
        sim_fail(a->w, "a restore fails, though nothing has: %s", a->err.msg);
    bool crashed = sim_disk_is_off(a->to) || plan->crash_way != 0;
    bool tidy = !crashed && !plan->fault.for_good;
    crash(a, plan->crash_way);
    enum content left = look(a);
    if (rc == NITRO_OK && left != STORE)
        sim_data_fail(a->w, 0, clean.lsn,
                      "restored up to here, and after a crash there is no store");
    if (rc != NITRO_OK && tidy && left != NOTHING)
        sim_fail(a->w, "a restore has failed, and left something: %s", a->err.msg);
    if (left != STORE && !once_more(a, !tidy)) return;
    a->res = clean;
    live_on(a, count, 2);
}

static struct attempt *same_again(const struct attempt *a) {
    struct attempt *b = attempt_new(a->w, sim_disk_copy(a->from));
    b->opt.to_lsn = a->opt.to_lsn;
    b->opt.to_ms = a->opt.to_ms;
    b->opt.keep_expired = a->opt.keep_expired;
    memcpy(b->file, a->file, sizeof b->file);
    b->file_lsn = a->file_lsn;
    b->res = a->res;
    return b;
}

/* ---- drawing -----------------------------------------------------------------------------------*/

/* draw_lsn: often an LSN around which something happened. Between two snapshots of a life without a log there
 * are no points. */
static uint64_t draw_lsn(struct sim_world *w) {
    const struct sim_model *m = &w->model;
    if (m->count == 0 || (w->traits.unlogged == 0 && test_rng_below(&w->rng, 8) == 0))
        return test_rng_below(&w->rng, m->newest + 2);
    const struct sim_effect *e = &m->effect[test_rng_below(&w->rng, m->count)];
    if (w->traits.unlogged > 0) return e->last == SIM_NEVER ? UINT64_MAX : e->last;
    uint64_t lsn = test_rng_below(&w->rng, 2) == 0 ? e->lsn : e->last;
    return test_rng_below(&w->rng, 4) == 0 && lsn > 0 ? lsn - 1 : lsn;
}

static int64_t draw_time(struct sim_world *w) {
    const struct sim_model *m = &w->model;
    if (m->count == 0) return w->now_ms;
    const struct sim_effect *e = &m->effect[test_rng_below(&w->rng, m->count)];
    return e->made_ms + (int64_t)test_rng_below(&w->rng, 3) - 1;
}

/* from_linked: the attempt is from that snapshot of mode bitcask. */
static void from_linked(struct attempt *a, const struct sim_linked *k) {
    sim_link_path(k, a->file);
    a->file_lsn = k->lsn;
}

static void draw_point(struct attempt *a) {
    struct sim_world *w = a->w;
    uint64_t r = test_rng_below(&w->rng, 8);
    const struct sim_linked *k = &w->linked;
    if (w->older.set && test_rng_below(&w->rng, 2) == 0) k = &w->older;
    if (k->set && test_rng_below(&w->rng, 2) == 0) from_linked(a, k);
    if (r < 4) a->opt.to_lsn = draw_lsn(w);
    if ((r == 3 || r == 4) && w->traits.unlogged == 0) a->opt.to_ms = draw_time(w);
    /* a merge may have dropped what had expired by then */
    a->opt.keep_expired = test_rng_below(&w->rng, 4) == 0 && w->traits.merges == 0;
    if (r == 7 && w->taken.set)
        (void)snprintf(a->file, sizeof a->file, "data/%010" PRIu64 ".snap", w->taken.number);
}

static struct sim_restore_plan draw_plan(struct sim_world *w) {
    struct sim_restore_plan p = {.crash_way = (unsigned)test_rng_below(&w->rng, 1 + SIM_RULES)};
    uint64_t r = test_rng_below(&w->rng, 8);
    struct sim_fault f = {.nth = 1 + test_rng_below(&w->rng, 40),
                          .how = (enum sim_how)test_rng_below(&w->rng, SIM_FAIL_HOWS),
                          .for_good = test_rng_below(&w->rng, 2) == 0};
    if (r < 5)
        p.crash_nth = 1 + test_rng_below(&w->rng, 24);
    else if (r == 5)
        p.fault = f;
    else if (r == 6)
        p.from_fault = f;
    else
        p.fail_alloc = 1 + test_rng_below(&w->rng, 60);
    return p;
}

/* ---- entry -------------------------------------------------------------------------------------*/

/* verify: of the folder, in mode bitcask, that the attempt restores. */
static void verify(const struct attempt *a, uint64_t lo, uint64_t hi) {
    const struct sim_world *w = a->w;
    struct nitro_snapshot_info found = {0};
    struct nitro_err err = {0};
    struct test_mem mem;
    uint64_t bad = 0;
    test_mem_init(&mem);
    int rc =
        nitro_verify("data", &mem.table, sim_disk_vfs(a->from), NULL, NULL, &found, &bad, &err);
    test_mem_check_empty(&mem);
    if (rc != NITRO_OK) sim_data_fail(w, 0, lo, "a sound folder is not: %s", err.msg);
    if (found.lsn < lo || found.lsn > hi)
        sim_data_fail(w, 0, lo, "must be verified, but that goes up to %" PRIu64, found.lsn);
    if (found.keys < sim_model_live(w->model.now, w->now_ms) && lo == hi)
        sim_data_fail(w, 0, lo, "has more keys than the %" PRIu64 " that are verified", found.keys);
}

/* restore: `from` is a copy of the world's folder; lo .. hi holds the newest LSN that is in it. */
static void restore(struct sim_world *w, struct sim_disk *from, uint64_t lo, uint64_t hi) {
    struct attempt *a = attempt_new(w, from);
    w->doing = "restore";
    draw_point(a);
    if (w->traits.bitcask && test_rng_below(&w->rng, 4) == 0) verify(a, lo, hi);
    int rc = run(a, 0);
    if (rc != NITRO_OK && (rc != NITRO_EARGUMENT || !is_outside(a)))
        sim_data_fail(w, 0, a->opt.to_lsn,
                      "cannot be restored (window %" PRIu64 " to %" PRIu64 "): %s",
                      a->res.first_lsn, a->res.last_lsn, a->err.msg);
    if (a->file[0] == '\0')
        check_window(a, lo, hi);
    else if (w->traits.bitcask)
        check_linked(a);
    if (rc == NITRO_OK) {
        size_t count = check_point(a);
        if (test_rng_below(&w->rng, 2) == 0) {
            struct attempt *b = same_again(a);
            struct sim_restore_plan plan = draw_plan(w);
            disturbed(b, &plan, count);
            attempt_free(b);
        }
        crash(a, (unsigned)test_rng_below(&w->rng, 1 + SIM_RULES));
        live_on(a, count, 2);
    } else if (look(a) != NOTHING) {
        sim_fail(w, "a restore was refused, and has made a store");
    }
    attempt_free(a);
}

/* is_known: whether the model knows what the folder holds: without a log it does not after a finish that
 * failed. */
static bool is_known(const struct sim_world *w) { return w->logged || !w->maybe.set; }

void sim_do_restore(struct sim_world *w) {
    if (w->is_copy || w->busy != 0 || sim_disk_is_off(w->disk) || w->faults || !is_known(w)) return;
    uint64_t lo = w->logged ? w->view->written : 0, hi = w->logged ? w->view->appended : SIM_NEVER;
    if (w->logged && w->view->status == NITRO_LOG_FAILED) return;
    restore(w, sim_disk_copy(w->disk), lo, hi);
}

void sim_restore_after(struct sim_world *w, struct sim_disk *from) {
    w->doing = "restore of the folder as it was before the start";
    if (w->found.created != 0) { /* there was none */
        sim_disk_free(&from);
        return;
    }
    restore(w, from, w->found.last_lsn, w->found.last_lsn);
}

/* draw_kept: a point that must be restorable. */
static uint64_t draw_kept(struct sim_world *w) {
    uint64_t lsn = draw_lsn(w);
    return lsn < w->reach || lsn > w->model.base_lsn ? w->reach : lsn;
}

void sim_restore_promised(struct sim_world *w) {
    bool linked = w->linked.set, kept = w->reach <= w->model.base_lsn;
    if (!linked && !kept) return;
    struct attempt *a = attempt_new(w, sim_disk_copy(w->disk));
    w->doing = "restore of what is promised";
    struct sim_linked promised = w->linked;
    uint64_t successor = sim_link_successor(w);
    if (successor != 0) promised.number = successor;
    if (linked && (!kept || test_rng_below(&w->rng, 2) == 0))
        from_linked(a, &promised);
    else
        a->opt.to_lsn = draw_kept(w);
    if (run(a, 0) != NITRO_OK)
        sim_data_fail(w, 0, a->file[0] != '\0' ? a->file_lsn : a->opt.to_lsn,
                      "must be restorable: %s", a->err.msg);
    if (a->file[0] != '\0' && successor != 0 && sim_link_was_tried(w, a->res.last_lsn))
        a->file_lsn = a->res.last_lsn;
    if (a->file[0] != '\0')
        check_linked(a);
    else
        check_window(a, w->model.base_lsn, SIM_NEVER);
    live_on(a, check_point(a), 1);
    attempt_free(a);
}

bool sim_restore_damaged(struct sim_world *w, bool linked, uint64_t to_lsn) {
    struct attempt *a = attempt_new(w, sim_disk_copy(w->disk));
    w->doing = "restore of a damaged folder";
    if (linked) from_linked(a, &w->linked);
    if (to_lsn != 0) a->opt.to_lsn = to_lsn;
    int rc = run(a, 0);
    if (rc == NITRO_OK) {
        if (linked) check_linked(a);
        live_on(a, check_point(a), 1);
    } else if (rc != NITRO_ECORRUPT && rc != NITRO_EFORMAT && rc != NITRO_ENOTFOUND &&
               (rc != NITRO_EARGUMENT || !is_outside(a))) {
        sim_fail(w, "refused, but not for damage: %s: %s", nitro_strerror(rc), a->err.msg);
    }
    attempt_free(a);
    return rc == NITRO_OK;
}

bool sim_restore_planned(struct sim_world *w, const struct sim_restore_plan *plan) {
    struct attempt *clean = attempt_new(w, sim_disk_copy(w->disk));
    w->doing = "restore";
    if (plan->linked) from_linked(clean, &w->linked);
    if (plan->to_lsn != 0) clean->opt.to_lsn = plan->to_lsn;
    if (run(clean, 0) != NITRO_OK) sim_fail(w, "cannot be restored: %s", clean->err.msg);
    size_t count = check_point(clean);
    struct attempt *a = same_again(clean);
    attempt_free(clean);
    disturbed(a, plan, count);
    bool met = a->met;
    attempt_free(a);
    return met;
}
