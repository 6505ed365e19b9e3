/* SPDX-License-Identifier: MIT
 *
 * world.c - lives of a store on a simulated disk: start, crash, and the comparison in between (see
 * world.h; operations are in ops.c).
 *
 * WHAT MUST HOLD AFTER A RECOVERY that serves the contents as of LSN p:
 *   (1) p is not below what an earlier recovery served.
 *   (2) Every promise that was due is kept: p >= its LSN. Due means: its gate was durable, if the
 *       power was lost since (a promise below `always` then counts for nothing); else: its gate
 *       was written.
 *   (3) p is not below the durable (after a kill: written) LSN that the store itself had announced.
 *   (4) p tears no batch.
 *   (5) Every key has value, expiry and version that it had at p, and there are no other keys.
 *   (6) A compare-and-set with a version that was lost fails.
 * After a life without a log it serves the newest snapshot that was finished, or else what that life
 * began with; of the above (1), (5) and (6) hold.
 * And after every write: its LSN is larger than any that was ever given out (ops.c); after every
 * snapshot: it holds what it should (snaps.c); a restore is what the model was (restores.c).
 */
#include "world.h"

#include "pages.h"
#include "image.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST_TRIES 4u
#define KEEP_BYTES (1 << 30)

/* ---- failure -----------------------------------------------------------------------------------*/

static void where(const struct sim_world *w) {
    fflush(stdout);
    fprintf(stderr,
            "  world 0x%016" PRIx64 ", start %" PRIu64 ", operation %" PRIu64
            ", during: %s\n  repeat: %s\n",
            w->seed, w->starts, w->operations, w->doing, w->repeat);
}

void sim_data_fail(const struct sim_world *w, unsigned key, uint64_t lsn, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "sim: WRONG DATA: key %u, LSN %" PRIu64 ": ", key, lsn);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    where(w);
    exit(1);
}

void sim_fail(const struct sim_world *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fputs("sim: FAILED: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    where(w);
    exit(2);
}

/* ---- crash points ------------------------------------------------------------------------------*/

const char *sim_phase_name(enum sim_phase p) {
    static const char *const names[] = {"append",           "window",     "rotation", "recovery",
                                        "folder operation", "clean stop", "snapshot", "dropping",
                                        "restore",          "merge"};
    return p < SIM_PHASES ? names[p] : "any";
}

static bool starts_with(const char *s, const char *head) {
    return strncmp(s, head, strlen(head)) == 0;
}

static enum sim_phase phase_of(const struct sim_world *w, const struct sim_call *c) {
    if (w->phase == SIM_SNAPSHOT || w->phase == SIM_DROP || w->phase == SIM_MERGE) return w->phase;
    if (c->op == SIM_DIR_SYNC || c->op == SIM_RENAME || c->op == SIM_UNLINK ||
        c->op == SIM_CREATE || c->op == SIM_LINK || c->op == SIM_DIR_REMOVE ||
        c->op == SIM_DIR_MAKE)
        return SIM_FOLDER;
    if (w->phase != SIM_APPEND) return w->phase;
    if (starts_with(c->why, "window:")) return SIM_WINDOW;
    if (starts_with(c->why, "log: used header") || starts_with(c->why, "log: blank header") ||
        starts_with(c->why, "log: sync older file") || starts_with(c->why, "manifest:"))
        return SIM_ROTATION;
    return SIM_APPEND;
}

static void crash_if_planned(struct sim_world *w, enum sim_phase phase, const char *why) {
    if (w->plan.nth == 0) return;
    if (w->plan.phase != SIM_PHASES && w->plan.phase != phase) return;
    if (w->plan.why != NULL && strcmp(w->plan.why, why) != 0) return;
    if (--w->plan.nth > 0) return;
    sim_disk_off(w->disk);
    if (w->points == NULL) return;
    w->points->crashed[phase]++;
    if (w->phase == SIM_RECOVERY && w->used > 0 && w->used < w->tail_files) w->points->tails_cut++;
}

void sim_trace(const struct sim_world *w, const char *fmt, ...) {
    if (!w->trace) return;
    va_list ap;
    va_start(ap, fmt);
    printf("%*s", (int)w->depth * 4, "");
    vprintf(fmt, ap);
    putchar('\n');
    va_end(ap);
}

void sim_world_point(void *world, const struct sim_call *call) {
    struct sim_world *w = world;
    enum sim_phase phase = phase_of(w, call);
    sim_trace(w, "  %-8s %-24s %-15s %8" PRIu64 " +%-7" PRIu64 " in %s", sim_op_name(call->op),
              call->why, call->file, call->offset, call->bytes, w->doing);
    if (w->points != NULL) w->points->seen[phase]++;
    crash_if_planned(w, phase, call->why);
    if (call->op == SIM_SYNC && strcmp(call->why, "tail: sync") == 0) w->tail_files++;
    if (call->op == SIM_SYNC && strcmp(call->why, "recovery: sync header") == 0) w->used++;
    if (sim_disk_is_off(w->disk) || !w->traits.nest || w->busy == 0 || w->depth >= 2) return;
    if (test_rng_below(&w->rng, 3) != 0) return;
    w->depth++;
    const char *doing = w->doing;
    phase = w->phase;
    w->phase = SIM_APPEND;
    uint64_t n = 1 + test_rng_below(&w->rng, 3);
    while (n-- > 0 && sim_world_step(w)) {}
    w->doing = doing;
    w->phase = phase;
    w->depth--;
}

/* ---- making ------------------------------------------------------------------------------------*/

void sim_setup(void) {
    (void)mallopt(M_MMAP_THRESHOLD, KEEP_BYTES); /* all of this is about speed alone */
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    (void)mallopt(M_TOP_PAD, 16 << 20);
    test_pages = &sim_pages;
}

void sim_world_repeat(struct sim_world *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->repeat, sizeof w->repeat, fmt, ap); /* cut to fit */
    va_end(ap);
}

static void draw_traits(struct sim_world *w) {
    struct sim_traits *t = &w->traits;
    t->segments = 2;
    t->log_file_bytes = 65536;
    t->has_alloc = test_rng_below(&w->rng, 4) != 0;
    t->sync_drops = test_rng_below(&w->rng, 2) != 0;
    t->nest = test_rng_below(&w->rng, 2) != 0;
    t->big_values = test_rng_below(&w->rng, 8) == 0;
    t->heavy = test_rng_below(&w->rng, 4) == 0;
    t->eager = (uint32_t[]){1, 4, 10}[test_rng_below(&w->rng, 3)];
    t->snaps = (uint32_t[]){0, 2, 8, 16}[test_rng_below(&w->rng, 4)];
    t->unlogged = test_rng_below(&w->rng, 4) == 0 ? 1 + (uint32_t)test_rng_below(&w->rng, 4) : 0;
    t->restores = test_rng_below(&w->rng, 4) == 0 ? 2 : 0;
    uint64_t r = test_rng_below(&w->rng, 8);
    if (r == 0 || r == 2) t->keep_ms = 1 + (int64_t)test_rng_below(&w->rng, 3000);
    if (r == 1 || r == 2) t->keep_bytes = 1 + test_rng_below(&w->rng, 300000);
    if (r == 3) t->keep_bytes = UINT64_MAX;
    t->bitcask = test_rng_below(&w->rng, 3) == 0;
    if (!t->bitcask) return;
    t->merges = (uint32_t[]){0, 1, 4, 10, 20, 20}[test_rng_below(&w->rng, 6)];
    t->snaps = (uint32_t[]){0, 2, 6, 12}[test_rng_below(&w->rng, 4)];
    t->retain = t->merges > 0 && test_rng_below(&w->rng, 2) == 0;
    if (t->keep_ms > 0) t->keep_ms = 1 + t->keep_ms / 8; /* a world lasts about a second */
    t->heavy |= test_rng_below(&w->rng, 2) == 0;
    t->unlogged = 0;
    uint64_t how = test_rng_below(&w->rng, NITRO_COMPRESSION_ZSTD + 1);
    t->value_compression = (enum nitro_compression)how;
    if (test_rng_below(&w->rng, 2) == 0) t->cache_bytes = 1 + test_rng_below(&w->rng, 20000);
}

void sim_world_init(struct sim_world *w, uint64_t seed, struct sim_points *points) {
    *w = (struct sim_world){.seed = seed, .points = points, .now_ms = TEST_NOW, .doing = "nothing"};
    w->logged = true;
    sim_world_repeat(w, "obj/sim/run-sim WORLD=0x%016" PRIx64, seed);
    w->rng.state = seed;
    draw_traits(w);
    test_mem_init(&w->mem);
    sim_model_init(&w->model);
    w->disk = sim_disk_new(test_rng_next(&w->rng));
    sim_disk_hook(w->disk, sim_world_point, w);
}

void sim_world_fini(struct sim_world *w) {
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
    sim_model_fini(&w->model);
    sim_disk_free(&w->disk);
    free(w->promise);
    w->promise = NULL;
}

void sim_world_fork(struct sim_world *to, const struct sim_world *from, struct sim_disk *disk) {
    *to = *from;
    test_mem_init(&to->mem);
    to->disk = disk;
    sim_disk_hook(to->disk, sim_world_point, to);
    sim_model_copy(&to->model, &from->model);
    to->promise = sim_need(malloc((from->promises + 1) * sizeof *to->promise));
    to->promises_cap = from->promises + 1;
    if (from->promises > 0)
        memcpy(to->promise, from->promise, from->promises * sizeof *to->promise);
}

/* ---- what must hold ----------------------------------------------------------------------------*/

static const char *level_name(uint8_t level) {
    return level == NITRO_LEVEL_ALWAYS ? "always"
                                       : (level == NITRO_LEVEL_EVERYSEC ? "everysec" : "never");
}

static void check_promises(const struct sim_world *w, uint64_t p) {
    for (size_t i = 0; i < w->promises; i++) {
        const struct sim_promise *r = &w->promise[i];
        bool always = r->level == NITRO_LEVEL_ALWAYS;
        if (r->gate > (always ? w->durable : w->written)) continue;
        if ((w->power_lost && !always) || r->lsn <= p) continue;
        sim_data_fail(w, r->key, r->lsn,
                      "%s at level %s with gate %" PRIu64 ", then lost by %s: durable was %" PRIu64
                      ", written %" PRIu64 ", served is up to %" PRIu64,
                      r->wrote ? "acknowledged" : "shown by a read", level_name(r->level), r->gate,
                      w->power_lost ? "a power cut" : "a kill", w->durable, w->written, p);
    }
}

/* sure_lsn: what the store itself had announced. */
static uint64_t sure_lsn(const struct sim_world *w) {
    if (!w->logged) return w->taken.set ? w->taken.lsn : w->model.base_lsn;
    uint64_t sure = w->power_lost ? w->durable : w->written;
    return sure > w->model.base_lsn ? sure : w->model.base_lsn;
}

static void check_prefix(const struct sim_world *w, uint64_t p) {
    check_promises(w, p);
    const struct sim_effect *e = sim_model_first_after(&w->model, p);
    if (e != NULL && e->last <= sure_lsn(w))
        sim_data_fail(w, e->key, e->lsn,
                      "the store had said that everything up to %" PRIu64
                      " is safe, and serves up to %" PRIu64,
                      sure_lsn(w), p);
    e = sim_model_torn(&w->model, p);
    if (e != NULL)
        sim_data_fail(w, e->key, e->lsn, "batch up to LSN %" PRIu64 " is torn at %" PRIu64, e->last,
                      p);
    if (p > w->model.newest)
        sim_data_fail(w, 0, p,
                      "served up to an LSN that was never given out; the newest is %" PRIu64,
                      w->model.newest);
}

/* unlogged_prefix: how many effects must be there after a life without a log. */
static size_t unlogged_prefix(const struct sim_world *w) {
    const struct nitro_recovery *f = &w->found;
    if (w->maybe.set && f->snapshot_number > w->taken.number && f->snapshot_lsn == w->maybe.lsn)
        return w->maybe.count;
    if (!w->taken.set) return w->model.base_count;
    if (f->snapshot_number != w->taken.number)
        sim_data_fail(w, 0, w->taken.lsn,
                      "the newest snapshot is %" PRIu64 " of this LSN, and not %" PRIu64
                      " of LSN %" PRIu64,
                      w->taken.number, f->snapshot_number, f->snapshot_lsn);
    return w->taken.count;
}

/* served: how many effects the recovery serves, and that it may. */
static size_t served(const struct sim_world *w, uint64_t p) {
    if (p < w->model.base_lsn)
        sim_data_fail(w, 0, w->model.base_lsn,
                      "an earlier start served this LSN, this one serves up to %" PRIu64, p);
    if (!w->logged) return unlogged_prefix(w);
    check_prefix(w, p);
    if (w->found.snapshot_number < w->taken.number)
        sim_fail(w, "snapshot %" PRIu64 " was finished, and the start has used %" PRIu64,
                 w->taken.number, w->found.snapshot_number);
    return sim_model_prefix(&w->model, p);
}

static void compare_key(struct sim_world *w, unsigned k) {
    static uint8_t value[SIM_VALUE_MAX];
    uint8_t key[SIM_KEY_BYTES_MAX];
    size_t n = sim_key(k, key);
    const struct sim_cell *c = &w->model.now[k];
    bool live = sim_cell_live(c, w->now_ms);
    struct nitro_info info = {0};
    int rc = nitro_get(w->store, w->now_ms, key, n, value, sizeof value, &info);
    if (live && rc == NITRO_ECORRUPT && w->damaged) {
        w->unreadable++;
        return;
    }
    if (rc != (live ? NITRO_OK : NITRO_ENOTFOUND))
        sim_data_fail(w, k, c->shown, "%s, but a read says: %s",
                      live ? "has a value" : "has no value", nitro_strerror(rc));
    if (!live) return;
    if (!sim_value_is(&c->value, value, info.bytes))
        sim_data_fail(w, k, c->version, "another value, of %" PRIu64 " bytes", info.bytes);
    if (info.version != c->version || info.expire_ms != c->expire_ms)
        sim_data_fail(w, k, c->version,
                      "version %" PRIu64 ", expiry %" PRId64 " instead of %" PRId64, info.version,
                      info.expire_ms, c->expire_ms);
}

unsigned sim_world_key(const void *key, size_t key_bytes) {
    uint8_t want[SIM_KEY_BYTES_MAX];
    unsigned k = 0;
    while (k < SIM_KEYS && (sim_key(k, want) != key_bytes || memcmp(want, key, key_bytes) != 0))
        k++;
    return k;
}

static void count_key(void *ctx, const void *key, size_t key_bytes, const struct nitro_info *info) {
    uint64_t *seen = ctx;
    (void)info;
    unsigned k = sim_world_key(key, key_bytes);
    *seen |= UINT64_C(1) << (k < SIM_KEYS ? k : 63); /* 63: a key that nobody ever wrote */
}

uint64_t sim_world_scan(struct sim_world *w) {
    _Static_assert(SIM_KEYS < 63, "a bit for each key");
    uint64_t cursor = 0, seen = 0, shown = 0, gate = 0;
    do {
        int rc = nitro_scan(w->store, w->now_ms, &cursor, 1000, count_key, &seen, &shown);
        if (rc != NITRO_OK) sim_fail(w, "nitro_scan: %s", nitro_strerror(rc));
        if (shown > gate) gate = shown;
    } while (cursor != 0);
    for (unsigned k = 0; k < SIM_KEYS; k++)
        if (sim_cell_live(&w->model.now[k], w->now_ms) != ((seen >> k & 1) != 0))
            sim_data_fail(w, k, w->model.now[k].shown, "a scan sees it %s",
                          (seen >> k & 1) != 0 ? "though it is gone" : "not, though it is there");
    if (seen >> 63 != 0) sim_data_fail(w, 0, 0, "a scan sees a key that nobody wrote");
    return gate;
}

void sim_world_compare(struct sim_world *w) {
    for (unsigned k = 0; k < SIM_KEYS; k++) compare_key(w, k);
    (void)sim_world_scan(w);
}

static void check_lost(struct sim_world *w) {
    for (unsigned i = 0; i < LOST_TRIES && i < w->model.lost_count; i++) {
        uint64_t have = w->model.lost_count < SIM_LOST_MAX ? w->model.lost_count : SIM_LOST_MAX;
        const struct sim_lost *l = &w->model.lost[test_rng_below(&w->rng, have)];
        uint8_t key[SIM_KEY_BYTES_MAX];
        size_t n = sim_key(l->key, key);
        int rc = nitro_set(w->store, w->now_ms, key, n, "x", 1, NITRO_SET_CAS, l->version, 0, NULL);
        if (rc == NITRO_OK)
            sim_data_fail(w, l->key, l->version,
                          "a compare-and-set with this version, lost in a power cut, succeeded");
        if (rc == NITRO_ECORRUPT && w->damaged) continue;
        if (rc != NITRO_EVERSION && !sim_world_log_may_fail(w))
            sim_fail(w, "a compare-and-set with a lost version: %s", nitro_strerror(rc));
    }
}

/* ---- start -------------------------------------------------------------------------------------*/

static int open_store(struct sim_world *w, struct nitro_err *err) {
    uint32_t twice = (uint32_t)test_rng_below(&w->rng, 2); /* nothing on disk depends on it */
    struct nitro_options opt = test_options(&w->mem, w->traits.segments << twice);
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) {
        opt.seed[i] = (uint8_t)test_rng_next(&w->rng);
        opt.log_seed[i] = (uint8_t)test_rng_next(&w->rng);
    }
    opt.dir = "data";
    opt.vfs = sim_disk_vfs(w->disk);
    opt.log_file_bytes = w->traits.log_file_bytes;
    opt.wal_off = w->wal_off;
    opt.mode = w->traits.bitcask ? NITRO_MODE_BITCASK : NITRO_MODE_DEFAULT;
    opt.value_compression = w->traits.value_compression;
    opt.cache_bytes = w->traits.cache_bytes;
    return nitro_open(&opt, &w->store, err);
}

typedef int part_fn(nitro_store *s, uint32_t part, uint32_t parts, struct nitro_err *err);

/* in_parts: loads or replays, in a random order of so many parts. */
static int in_parts(struct sim_world *w, part_fn *fn, struct nitro_err *err) {
    uint32_t parts = 1 + (uint32_t)test_rng_below(&w->rng, 3);
    uint32_t first = (uint32_t)test_rng_below(&w->rng, parts);
    for (uint32_t i = 0; i < parts; i++) {
        int rc = fn(w->store, (first + i) % parts, parts, err);
        if (rc != NITRO_OK) return rc;
    }
    return NITRO_OK;
}

static int recover(struct sim_world *w, struct nitro_err *err) {
    int64_t newest = 0;
    int rc = nitro_recover_scan(w->store, w->now_ms, &w->found, err);
    if (rc == NITRO_OK) rc = in_parts(w, nitro_recover_load, err);
    if (rc == NITRO_OK) rc = in_parts(w, nitro_recover_replay, err);
    if (rc == NITRO_OK) rc = nitro_recover_finish(w->store, w->now_ms, &newest, err);
    if (rc == NITRO_OK && newest > w->now_ms)
        sim_fail(w, "the newest time in the log is %" PRId64 ", and now is %" PRId64, newest,
                 w->now_ms);
    return rc;
}

static void close_store(struct sim_world *w) {
    nitro_close(&w->store);
    w->view = NULL;
    w->snap.stage = SIM_IDLE;
    w->roll.set = w->linked_known = false;
    w->older.set = false;
    w->merge.need = NITRO_MERGE_FOLDER;
    if (sim_disk_handles(w->disk) != 0)
        sim_fail(w, "the store was closed and left %u files open", sim_disk_handles(w->disk));
}

/* check_rests: what an earlier life has left half done is gone. */
static void check_rests(struct sim_world *w) {
    struct sim_file file[SIM_FILES_MAX];
    unsigned n = sim_disk_list(w->disk, file);
    for (unsigned i = 0; i < n; i++)
        if (strstr(file[i].name, ".tmp") != NULL)
            sim_fail(w, "%s is still there after a start", file[i].name);
    if (w->traits.bitcask && !w->damaged) sim_link_found(w);
}

/* serve: the recovered contents are the new base. */
static void serve(struct sim_world *w) {
    uint64_t p = w->found.last_lsn;
    sim_trace(w,
              "served up to %" PRIu64 ", of it known as durable %" PRIu64 ", from snapshot %" PRIu64
              " of LSN %" PRIu64,
              p, w->found.durable_lsn, w->found.snapshot_number, w->found.snapshot_lsn);
    size_t count = served(w, p);
    sim_model_covered(&w->model, count, p, w->now_ms);
    sim_model_framed(&w->model, w->found.durable_lsn, p, w->now_ms);
    sim_model_cut(&w->model, count, p);
    w->view = nitro_log_view_of(w->store);
    w->promises = 0;
    w->power_lost = false;
    w->written = w->durable = p;
    w->logged = !w->wal_off;
    if (w->wal_off) w->reach = SIM_NEVER; /* nothing leads from one snapshot to the next */
    w->taken = (struct sim_taken){.number = w->found.snapshot_number};
    w->maybe = (struct sim_taken){0};
    /* what lies in files can't be read while these fail */
    if (w->traits.bitcask && (w->no_memory || sim_world_log_may_fail(w))) return;
    sim_world_compare(w);
    check_lost(w);
    if (!w->faults && !w->no_memory && !sim_disk_is_off(w->disk)) check_rests(w);
}

static void draw_life(struct sim_world *w) {
    if (w->traits.unlogged > 0) w->wal_off = test_rng_below(&w->rng, 4) < w->traits.unlogged;
}

int sim_world_start(struct sim_world *w, struct nitro_err *err) {
    w->starts++;
    w->doing = "start";
    w->phase = SIM_RECOVERY;
    w->tail_files = w->used = 0;
    draw_life(w);
    sim_disk_traits(w->disk, w->traits.has_alloc, w->traits.sync_drops);
    int rc = open_store(w, err);
    if (rc == NITRO_OK) rc = recover(w, err);
    w->phase = SIM_APPEND;
    if (rc == NITRO_OK && w->stopped && w->found.clean == 0)
        sim_fail(w, "the store was stopped cleanly, and does not know it");
    w->stopped = w->stop_tried = false;
    if (rc == NITRO_OK && w->tail_files > 1 && w->points != NULL) w->points->tails++;
    if (rc == NITRO_OK) serve(w);
    if (rc != NITRO_OK) close_store(w);
    return rc;
}

void sim_world_refused(const struct sim_world *w, const struct nitro_err *err) {
    uint64_t sure = sure_lsn(w);
    const struct sim_effect *found = NULL;
    for (size_t i = 0; i < w->model.count; i++)
        if (w->model.effect[i].last <= sure) found = &w->model.effect[i];
    if (found != NULL)
        sim_data_fail(w, found->key, found->lsn,
                      "acknowledged, and now the store does not start: %s", err->msg);
    struct sim_cell base[SIM_KEYS];
    sim_model_at(&w->model, w->model.base_count, base);
    for (unsigned k = 0; k < SIM_KEYS; k++)
        if (base[k].shown != 0)
            sim_data_fail(w, k, base[k].shown, "served, and now the store does not start: %s",
                          err->msg);
    sim_fail(w, "the store does not start: %s", err->msg);
}

/* ---- stop and crash ----------------------------------------------------------------------------*/

bool sim_world_log_may_fail(const struct sim_world *w) {
    return w->faults || sim_disk_is_off(w->disk);
}

bool sim_world_stop(struct sim_world *w) {
    struct nitro_err err = {0};
    sim_do_abort(w);
    w->doing = "clean stop";
    w->phase = SIM_STOP;
    w->stop_tried = true;
    uint64_t before = w->view->written;
    int rc = nitro_log_stop(w->store, w->now_ms, &err);
    w->phase = SIM_APPEND;
    if (rc != NITRO_OK && !w->no_memory && !sim_world_log_may_fail(w))
        sim_fail(w, "nitro_log_stop: %s", err.msg);
    if (rc == NITRO_OK && w->view->durable < w->model.newest &&
        w->model.count > w->model.base_count)
        sim_fail(w, "stopped, but durable is only %" PRIu64 " of %" PRIu64, w->view->durable,
                 w->model.newest);
    if (rc == NITRO_OK && !w->wal_off)
        sim_model_framed(&w->model, before, w->model.newest, w->now_ms);
    w->stopped = rc == NITRO_OK && !w->wal_off;
    return rc == NITRO_OK;
}

static void end_life(struct sim_world *w) {
    if (w->view != NULL && !w->wal_off) {
        w->written = w->view->written;
        w->durable = w->view->durable;
    }
    sim_trace(w, "crash: written %" PRIu64 ", durable %" PRIu64, w->written, w->durable);
    close_store(w);
    w->plan.nth = 0;
    w->now_ms++; /* no start is of the same millisecond */
}

void sim_world_kill(struct sim_world *w) {
    sim_trace(w, "kill");
    end_life(w);
    sim_disk_kill(w->disk);
}

void sim_world_power(struct sim_world *w, enum sim_rule rule) {
    sim_trace(w, "power cut, rule %d", (int)rule);
    end_life(w);
    w->power_lost = true;
    sim_disk_power(w->disk, rule);
}
