/* SPDX-License-Identifier: MIT
 *
 * faults.c - every file call and every allocation of a few scenarios fails, one after the other.
 *
 * WHAT   A scenario is prepared on a sound disk; then its n-th file call fails (once, or from then
 *        on; with EIO, ENOSPC, a short count, EINTR; a failed sync keeps the pages or drops them),
 *        or its n-th allocation; n goes up until the scenario gets through without reaching it.
 *        After each:
 *          - the store, if it is open, answers: reads as the model; it writes, or says that it
 *            is read-only;
 *          - a short count and EINTR have not been noticed at all;
 *          - a snapshot that failed has left the older one and the log as they were, and another one can
 *            be taken; in mode bitcask it can be restored after the restart, or what retention promises can be;
 *          - a restore that failed has left no store, and another one succeeds (restores.c);
 *          - after a restart from what the disk then holds (killed, or power lost) all is as the
 *            model says, and the store works.
 *
 *   faults [SEED=1]        STATUS as sim.c
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scenario {
    const char *name;
    void (*prepare)(struct sim_world *w); /* nothing fails */
    void (*act)(struct sim_world *w);     /* something does */
    uint32_t unlogged;                    /* 4: without a log */
    bool bitcask;
    bool past; /* what merges replace is kept for a while */
};
#define KEEP_MS 500

/* ---- what scenarios are made of ----------------------------------------------------------------*/

static void must_start(struct sim_world *w) {
    struct nitro_err err = {0};
    if (sim_world_start(w, &err) != NITRO_OK) sim_world_refused(w, &err);
}

static void some_writes(struct sim_world *w) {
    static const unsigned batch[] = {3, 4, 5};
    sim_do_set(w, 1, sim_bytes(w, 40), 0);
    sim_do_incr(w, 2, 7);
    sim_do_write(w);
    sim_do_batch(w, batch, 3, 60);
    sim_do_delete(w, 1);
    sim_do_write(w);
    sim_do_sync(w);
}

/* Enough for the window to move and for a second log file. */
static void many_writes(struct sim_world *w) {
    some_writes(w);
    for (unsigned i = 0; i < 24; i++) {
        sim_do_set(w, 8 + i % 16, sim_bytes(w, 5000), 0);
        if (i % 6 == 5) sim_do_write(w);
        if (i % 12 == 11) sim_do_sync(w);
        if (w->view->fill != 0) sim_do_fill(w, 0);
    }
    sim_do_set(w, 30, sim_bytes(w, 70000), 0);
    sim_do_move(w, 30, 31, 0);
    sim_do_move(w, 3, 30, NITRO_MOVE_KEEP);
    sim_do_expire(w, 9, w->now_ms + 1000000);
    sim_do_write(w);
    sim_do_get(w, 9);
    sim_do_sync(w);
    sim_do_note(w);
}

static void prepare_nothing(struct sim_world *w) { (void)w; }

static void prepare_open(struct sim_world *w) {
    must_start(w);
    some_writes(w);
}

static void prepare_stopped(struct sim_world *w) {
    must_start(w);
    many_writes(w);
    (void)sim_world_stop(w);
    sim_world_kill(w);
}

/* A killed process has left written records that were never synced. */
static void prepare_tail(struct sim_world *w) {
    must_start(w);
    many_writes(w);
    sim_do_set(w, 6, sim_bytes(w, 300), 0);
    sim_do_write(w);
    sim_do_set(w, 7, sim_bytes(w, 70), 0);
    sim_do_delete(w, 9);
    sim_do_write(w);
    sim_world_kill(w);
}

/* A snapshot, much log before it and some behind it. */
static void prepare_snapshot(struct sim_world *w) {
    must_start(w);
    many_writes(w);
    if (!sim_do_snapshot(w, NITRO_COMPRESSION_LZ4)) sim_fail(w, "no snapshot can be taken");
    some_writes(w);
}

/* A folder where nothing is left of the log but its end, and records behind the snapshot. */
static void prepare_dropped(struct sim_world *w) {
    prepare_snapshot(w);
    sim_do_retain(w);
    some_writes(w);
    sim_do_set(w, 6, sim_bytes(w, 300), 0);
    sim_do_write(w);
    sim_world_kill(w);
}

/* Files to be merged: overwritten, deleted and expired records, some of them in a merged file already. */
static void prepare_dead(struct sim_world *w) {
    must_start(w);
    sim_do_set(w, 33, sim_bytes(w, 80), 0);
    sim_do_set(w, 34, sim_bytes(w, 80), w->now_ms + 1);
    many_writes(w);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    many_writes(w);
    sim_do_delete(w, 12);
    w->now_ms += 10;
}

/* A killed process has left a tail that does not fit into one file. */
static void prepare_long_tail(struct sim_world *w) {
    must_start(w);
    some_writes(w);
    for (unsigned i = 0; i < 36; i++) {
        sim_do_set(w, 8 + i % 20, sim_bytes(w, 4000), 0);
        if (i % 5 == 4) sim_do_write(w);
        if (i % 5 == 4) sim_do_fill(w, 24000);
    }
    sim_do_write(w);
    sim_world_kill(w);
}

/* A killed process has left hints, a merged file and a tail. */
static void prepare_merged(struct sim_world *w) {
    prepare_dead(w);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    some_writes(w);
    sim_do_set(w, 6, sim_bytes(w, 300), 0);
    sim_do_write(w);
    sim_world_kill(w);
}

static void must_link(struct sim_world *w) {
    if (!sim_do_snapshot(w, NITRO_COMPRESSION_NONE)) sim_fail(w, "no snapshot can be taken");
}

/* There is an older snapshot; what it holds has been merged since, and is kept; and there is something to be merged. */
static void prepare_linked(struct sim_world *w) {
    must_start(w);
    for (unsigned i = 0; i < 2; i++) {
        some_writes(w);
        for (unsigned k = 0; k < 6; k++) sim_do_set(w, 8 + k, sim_bytes(w, 300 - 200 * i), 0);
        if (i == 0) must_link(w);
    }
    sim_do_set(w, 33, sim_bytes(w, 80), 0);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    some_writes(w);
    for (unsigned k = 0; k < 4; k++) sim_do_set(w, 8 + k, sim_bytes(w, 40), 0);
    w->now_ms += 2 * KEEP_MS;
}

/* A killed process has left two snapshots, inputs of a merge that is listed, and a tail. */
static void prepare_replaced(struct sim_world *w) {
    static const struct nitro_merge_options all = {.allow = 1, .dead_percent = 1, .retain = 1};
    struct nitro_merge_result r;
    struct nitro_data_files before, now;
    struct nitro_err err = {0};
    prepare_linked(w);
    must_link(w);
    nitro_data_files_of(w->store, &before);
    do {
        if (nitro_merge_step(w->store, w->now_ms, &all, &r, &err) != NITRO_OK)
            sim_fail(w, "nothing can be merged: %s", err.msg);
        nitro_data_files_of(w->store, &now);
    } while (now.merged_files == before.merged_files);
    some_writes(w);
    sim_do_set(w, 6, sim_bytes(w, 300), 0);
    sim_do_write(w);
    sim_world_kill(w);
}

static void act_start(struct sim_world *w) {
    struct nitro_err err = {0};
    if (sim_world_start(w, &err) == NITRO_OK) {
        some_writes(w);
        return;
    }
    if (!w->faults && !w->no_memory) sim_world_refused(w, &err);
    if (err.msg[0] == '\0') sim_fail(w, "a failed start does not say what failed");
}

static void act_writes(struct sim_world *w) { many_writes(w); }

/* With operations between its pieces; then what it makes superfluous is dropped: log and snapshot. */
static void act_snapshot(struct sim_world *w) {
    for (unsigned i = 0; i < 3; i++) sim_do_snapshot_step(w);
    sim_do_set(w, 9, sim_bytes(w, 12), 0);
    sim_do_delete(w, 8);
    (void)sim_do_snapshot(w, NITRO_COMPRESSION_ZSTD);
    sim_do_retain(w);
    sim_do_folder(w);
    sim_do_set(w, 10, sim_bytes(w, 13), 0);
}

static void act_merge(struct sim_world *w) {
    (void)sim_do_merge(w);
    sim_do_get(w, 33);
    sim_do_set(w, 10, sim_bytes(w, 13), 0);
}

/* A snapshot, a merge of what it holds, and what both make superfluous is dropped. */
static void act_links(struct sim_world *w) {
    sim_do_set(w, 9, sim_bytes(w, 12), 0);
    (void)sim_do_snapshot(w, NITRO_COMPRESSION_NONE);
    if (!sim_disk_is_off(w->disk)) (void)sim_do_merge(w);
    sim_do_retain(w);
    sim_do_folder(w);
    sim_do_set(w, 10, sim_bytes(w, 13), 0);
}

static void act_stop(struct sim_world *w) {
    sim_do_set(w, 5, sim_bytes(w, 50), 0);
    (void)sim_world_stop(w);
}

static const struct scenario scenarios[] = {
    {"create a store", prepare_nothing, act_start, 0, false, false},
    {"write and rotate", prepare_open, act_writes, 0, false, false},
    {"stop", prepare_open, act_stop, 0, false, false},
    {"start after a clean stop", prepare_stopped, act_start, 0, false, false},
    {"start with a tail", prepare_tail, act_start, 0, false, false},
    {"take a snapshot, drop log", prepare_snapshot, act_snapshot, 0, false, false},
    {"start from a snapshot", prepare_dropped, act_start, 0, false, false},
    {"snapshot without a log", prepare_snapshot, act_snapshot, 4, false, false},
    {"start without a log", prepare_dropped, act_start, 4, false, false},
    {"bitcask: write and rotate", prepare_open, act_writes, 0, true, false},
    {"bitcask: start with a tail", prepare_tail, act_start, 0, true, false},
    {"bitcask: start with a tail of several files", prepare_long_tail, act_start, 0, true, false},
    {"bitcask: merge", prepare_dead, act_merge, 0, true, false},
    {"bitcask: start from hints", prepare_merged, act_start, 0, true, false},
    {"bitcask: snapshot, retain", prepare_linked, act_links, 0, true, true},
    {"bitcask: start with snapshots", prepare_replaced, act_start, 0, true, true},
};

/* ---- what must hold ----------------------------------------------------------------------------*/

/* lists_failed: of what the folder holds. As in a log that has failed, nothing is put there any more. */
static bool lists_failed(const struct sim_world *w) {
    const char *file = sim_disk_faulted_file(w->disk);
    return strcmp(file, "MANIFEST") == 0 || strcmp(file, "CONTROL") == 0;
}

/* still_answers: an open store, after something has failed in it. */
static void still_answers(struct sim_world *w) {
    bool listing = lists_failed(w);
    sim_disk_fault(w->disk, &(struct sim_fault){0});
    if (w->store == NULL) return;
    sim_world_compare(w);
    uint64_t durable = w->view->durable;
    bool dead = w->view->status == NITRO_LOG_FAILED;
    sim_do_set(w, 1, sim_bytes(w, 20), 0);
    sim_do_write(w);
    sim_do_sync(w);
    if (dead && w->view->durable != durable)
        sim_fail(w, "the log has failed, and yet more of it became durable");
    sim_world_compare(w);
    dead |= w->wal_off && listing;
    if (w->traits.bitcask && !dead && !sim_do_merge(w))
        sim_fail(w, "the faults are over, and a merge is not possible");
    if (!dead && !sim_do_snapshot(w, NITRO_COMPRESSION_NONE))
        sim_fail(w, "the faults are over, and a snapshot is not possible");
}

/* comes_back: from what the disk holds, and works. */
static void comes_back(struct sim_world *w, uint64_t way) {
    w->faults = w->no_memory = false;
    if (way % 3 == 0)
        sim_world_kill(w);
    else
        sim_world_power(w, way % 3 == 1 ? SIM_NOTHING : SIM_COINS);
    must_start(w);
    if (w->traits.retain) sim_restore_promised(w);
    some_writes(w);
    if (!sim_world_stop(w)) sim_fail(w, "cannot be stopped after the faults are over");
    sim_world_kill(w);
    must_start(w);
}

/* ---- file calls --------------------------------------------------------------------------------*/

static const char *const how_names[SIM_FAIL_HOWS] = {"EIO", "ENOSPC", "short", "EINTR"};

static void begin(struct sim_world *w, uint64_t seed, bool drops, const struct scenario *s) {
    sim_world_init(w, seed, NULL);
    w->traits = (struct sim_traits){.segments = 2,
                                    .log_file_bytes = 65536,
                                    .has_alloc = true,
                                    .sync_drops = drops,
                                    .unlogged = s->unlogged,
                                    .bitcask = s->bitcask,
                                    .merges = s->bitcask,
                                    .retain = s->past,
                                    .keep_ms = s->past ? KEEP_MS : 0};
}

/* fail_call: false if the scenario makes fewer calls. */
static bool fail_call(const struct scenario *s, const struct sim_fault *f, uint64_t seed,
                      bool drops) {
    struct sim_world w;
    begin(&w, seed, drops, s);
    sim_world_repeat(&w, "obj/sim/run-faults SEED=%" PRIu64 " (%s, call %" PRIu64 ", %s%s)", seed,
                     s->name, f->nth, how_names[f->how], f->for_good ? ", for good" : "");
    s->prepare(&w);
    bool noticed = f->how == SIM_FAIL_EIO || f->how == SIM_FAIL_ENOSPC;
    w.faults = noticed;
    sim_disk_fault(w.disk, f);
    s->act(&w);
    bool reached = sim_disk_faulted(w.disk) > 0;
    still_answers(&w);
    comes_back(&w, f->nth);
    sim_world_fini(&w);
    return reached;
}

static uint64_t sweep_calls(const struct scenario *s, uint64_t seed) {
    uint64_t runs = 0;
    for (unsigned mode = 0; mode < SIM_FAIL_HOWS * 4u; mode++) {
        struct sim_fault f = {
            .nth = 1, .how = (enum sim_how)(mode / 4), .for_good = (mode & 1) != 0};
        while (fail_call(s, &f, seed, (mode & 2) != 0)) f.nth++;
        runs += f.nth;
    }
    return runs;
}

/* ---- allocations -------------------------------------------------------------------------------*/

static bool fail_memory(const struct scenario *s, uint64_t nth, bool for_good, uint64_t seed) {
    struct sim_world w;
    begin(&w, seed, true, s);
    sim_world_repeat(&w, "obj/sim/run-faults SEED=%" PRIu64 " (%s, allocation %" PRIu64 "%s)", seed,
                     s->name, nth, for_good ? ", for good" : "");
    s->prepare(&w);
    w.no_memory = true;
    test_mem_fail(&w.mem, nth, for_good ? UINT64_MAX : nth);
    s->act(&w);
    bool reached = w.mem.failed > 0;
    test_mem_fail(&w.mem, 0, 0);
    w.no_memory = false;
    if (w.store != NULL && w.view->status == NITRO_LOG_FAILED)
        sim_fail(&w, "a failed allocation has ended the log");
    still_answers(&w);
    comes_back(&w, nth);
    sim_world_fini(&w);
    return reached;
}

static uint64_t sweep_memory(const struct scenario *s, uint64_t seed) {
    uint64_t once = 1, for_good = 1;
    while (fail_memory(s, once, false, seed)) once++;
    while (fail_memory(s, for_good, true, seed)) for_good++;
    return once + for_good;
}

/* ---- restores ----------------------------------------------------------------------------------*/

/* sweep_restore: every call on the origin, on the new folder, and every allocation of a restore. */
static uint64_t restore_until_missed(struct sim_world *w, struct sim_restore_plan *plan,
                                     uint64_t *nth, const char *what) {
    uint64_t runs = 0;
    bool met = true;
    for (*nth = 1; met; ++*nth, runs++) {
        sim_world_repeat(w, "obj/sim/run-faults SEED=%" PRIu64 " (restore, %s %" PRIu64 ")",
                         w->seed, what, *nth);
        plan->crash_way = (unsigned)(*nth % (1 + SIM_RULES));
        met = sim_restore_planned(w, plan);
    }
    return runs;
}

static void sweep_restore(const struct scenario *s, struct sim_restore_plan what, uint64_t seed) {
    struct sim_world w;
    uint64_t calls = 0;
    begin(&w, seed, true, s);
    s->prepare(&w);
    if (w.store != NULL) sim_world_kill(&w);
    if (what.to_lsn != 0) what.to_lsn = w.linked.lsn; /* what merges have left out since */
    for (unsigned mode = 0; mode < SIM_FAIL_HOWS * 2u; mode++) {
        struct sim_fault f = {.how = (enum sim_how)(mode / 2), .for_good = (mode & 1) != 0};
        struct sim_restore_plan plan = what;
        if (s->bitcask && f.for_good) continue;
        plan.fault = f;
        calls += restore_until_missed(&w, &plan, &plan.fault.nth, "call of the new folder");
        plan = what;
        plan.from_fault = f;
        calls += restore_until_missed(&w, &plan, &plan.from_fault.nth, "call of the origin");
    }
    struct sim_restore_plan plan = what;
    uint64_t memory = restore_until_missed(&w, &plan, &plan.fail_alloc, "allocation");
    printf("faults: %-31s %6" PRIu64 " runs with failing calls, %5" PRIu64
           " with failing allocations\n",
           s->name, calls, memory);
    sim_world_fini(&w);
}

static void sweep_restores(uint64_t seed) {
    static const struct scenario folder = {"restore", prepare_dropped, NULL, 0, false, false};
    static const struct scenario past = {
        "bitcask: restore of the past", prepare_linked, NULL, 0, true, true};
    static const struct scenario linked = {
        "bitcask: restore of a snapshot", prepare_linked, NULL, 0, true, true};
    sweep_restore(&folder, (struct sim_restore_plan){.to_lsn = 0}, seed);
    sweep_restore(&past, (struct sim_restore_plan){.to_lsn = 1}, seed);
    sweep_restore(&linked, (struct sim_restore_plan){.linked = true}, seed);
}

int main(int argc, char **argv) {
    uint64_t seed = 1;
    sim_setup();
    if (argc > 2 || (argc == 2 && strncmp(argv[1], "SEED=", 5) != 0)) {
        fputs("usage: faults [SEED=n]\n", stderr);
        return 3;
    }
    if (argc == 2) seed = strtoull(argv[1] + 5, NULL, 0);
    for (unsigned i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        uint64_t calls = sweep_calls(&scenarios[i], seed);
        uint64_t memory = sweep_memory(&scenarios[i], seed);
        printf("faults: %-31s %6" PRIu64 " runs with failing calls, %5" PRIu64
               " with failing allocations\n",
               scenarios[i].name, calls, memory);
    }
    sweep_restores(seed);
    return 0;
}
