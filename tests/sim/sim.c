/* SPDX-License-Identifier: MIT
 *
 * sim.c - crashes of a store on a simulated disk, by the ten thousand, each followed by a recovery
 * and a comparison with the model (see world.h for what must hold).
 *
 *   sim [N=20000] [SEED=1]      scripts that crash before every file call, in their recoveries
 *                               too; then random worlds until they have served N recoveries
 *   sim WORLD=0x…               one random world again
 *   sim SCRIPT=1                the scripts alone
 *   … TRACE=1                   prints every file call that changes something
 *   … HUNT=1                    for builds that are broken on purpose: each world in a process of
 *                               its own, until one shows wrong data; whatever else fails is passed
 *                               over
 *   … MUTATE=sync:noop:log: sync   the call site does nothing (noop), or is done after the next
 *                               (swap); hunts
 *
 * STATUS  0 all is well; 1 wrong data (key and LSN are named); 2 anything else; 3 usage.
 */
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS_MIN 500u /* crashes per phase in a standard run */
#define STANDARD_RUN 20000u
#define TAILS_MIN                                                                                  \
    50u /* likewise: tails of several files; starts stopped in the middle of making one count */
#define KEEP_MS 1000000000 /* longer than a script takes */
#define HUNT_SECONDS 20u   /* for one world, which takes milliseconds */

struct run {
    uint64_t recoveries; /* served */
    uint64_t interrupted;
    uint64_t n, seed, world;
    bool script_only, trace, hunt;
    struct sim_points points;
    struct sim_sites sites;
    struct sim_mutation mutation;
};

/* ---- crashes -----------------------------------------------------------------------------------*/

static void random_crash(struct sim_world *w) {
    if (test_rng_below(&w->rng, 3) == 0)
        sim_world_kill(w);
    else
        sim_world_power(w, (enum sim_rule)test_rng_below(&w->rng, SIM_RULES));
}

static void plan(struct sim_world *w, enum sim_phase phase, uint64_t nth) {
    w->plan = (struct sim_plan){phase, nth, NULL};
}

/* plan_link: often when a snapshot of mode bitcask has its name, but not yet for good. */
static void plan_link(struct sim_world *w) {
    bool named = test_rng_below(&w->rng, 2) == 0;
    plan(w, SIM_SNAPSHOT, 1 + test_rng_below(&w->rng, named ? 3 : 24));
    if (named) w->plan.why = "snapshot: sync MANIFEST";
}

static void begin_world(struct run *r, struct sim_world *w, uint64_t seed) {
    sim_world_init(w, seed, &r->points);
    w->trace = r->trace;
    sim_disk_sites(w->disk, &r->sites);
    sim_disk_mutate(w->disk, &r->mutation);
}

/* ---- random worlds -----------------------------------------------------------------------------*/

/* draw_fault: a failing disk, for the coming life. Half of the time it is a sync, because what a
 * failed one leaves in the page cache may be believed much later. */
static void draw_fault(struct sim_world *w) {
    static const char *const syncs[] = {"manifest: sync add",    "manifest: sync remove",
                                        "recovery: sync header", "log: sync",
                                        "control: sync note",    "window: sync"};
    struct sim_fault f = {.nth = 1 + test_rng_below(&w->rng, 40),
                          .how = (enum sim_how)test_rng_below(&w->rng, SIM_FAIL_HOWS),
                          .changes_only = test_rng_below(&w->rng, 4) != 0,
                          .for_good = test_rng_below(&w->rng, 2) == 0};
    if (test_rng_below(&w->rng, 2) == 0) {
        f = (struct sim_fault){.nth = 1 + test_rng_below(&w->rng, 3), .how = SIM_FAIL_EIO};
        f.why = syncs[test_rng_below(&w->rng, sizeof syncs / sizeof syncs[0])];
    }
    w->faults = true;
    sim_disk_fault(w->disk, &f);
}

static void end_faults(struct sim_world *w) {
    w->faults = false;
    sim_disk_fault(w->disk, &(struct sim_fault){0});
    sim_disk_room(w->disk, UINT64_MAX);
}

/* copy_sometimes: the folder before a start, to be restored when it is known what the start makes of it. */
static struct sim_disk *copy_sometimes(struct sim_world *w) {
    bool wanted = w->traits.restores > 0 && w->starts > 0 && !w->faults;
    return wanted && test_rng_below(&w->rng, 8) == 0 ? sim_disk_copy(w->disk) : NULL;
}

/* start: through as many interrupted recoveries as it takes. */
static void start(struct run *r, struct sim_world *w) {
    struct nitro_err err = {0};
    struct sim_disk *before = copy_sometimes(w);
    while (sim_world_start(w, &err) != NITRO_OK) {
        sim_disk_free(&before);
        bool off = sim_disk_is_off(w->disk);
        bool full = err.code == NITRO_ELOGFULL || err.sys == ENOSPC;
        if (!off && !w->faults && !full) sim_world_refused(w, &err);
        if (off) r->interrupted++;
        random_crash(w);
        end_faults(w);
        if (test_rng_below(&w->rng, 2) == 0) plan(w, SIM_RECOVERY, 1 + test_rng_below(&w->rng, 12));
        before = copy_sometimes(w);
    }
    r->recoveries++;
    if (before != NULL) sim_restore_after(w, before);
}

/* remember: what is promised is there, once in a while. */
static void remember(struct sim_world *w) {
    if (w->traits.bitcask && w->traits.restores > 0 && test_rng_below(&w->rng, 4) == 0)
        sim_restore_promised(w);
}

/* heal: there is room again, so the log must go on. */
static void heal(struct sim_world *w) {
    sim_disk_room(w->disk, UINT64_MAX);
    if (sim_disk_is_off(w->disk) || w->faults || w->view->status == NITRO_LOG_FAILED) return;
    if (w->wal_off) return;
    sim_do_fill(w, nitro_log_need(100, 100));
    if (!sim_disk_is_off(w->disk) && w->view->status != NITRO_LOG_OK)
        sim_fail(w, "there is room again, but the log's status is %u", w->view->status);
}

static void life(struct run *r, struct sim_world *w) {
    enum sim_phase phase = (enum sim_phase)test_rng_below(&w->rng, SIM_PHASES + 2u);
    uint64_t operations = test_rng_below(&w->rng, 8) == 0 ? 0 : test_rng_below(&w->rng, 60);
    bool small = test_rng_below(&w->rng, 8) == 0;
    if (phase == SIM_SNAPSHOT && w->traits.bitcask)
        plan_link(w);
    else if (phase < SIM_PHASES)
        plan(w, phase, 1 + test_rng_below(&w->rng, 14));
    if (phase > SIM_PHASES && test_rng_below(&w->rng, 2) == 0) draw_fault(w);
    start(r, w);
    if (small) sim_disk_room(w->disk, sim_disk_used(w->disk) + test_rng_below(&w->rng, 400000));
    while (operations-- > 0 && sim_world_step(w)) {}
    if (small) heal(w);
    bool stop = phase == SIM_STOP || test_rng_below(&w->rng, 4) == 0;
    if (!sim_disk_is_off(w->disk) && stop) (void)sim_world_stop(w);
    random_crash(w);
    end_faults(w);
    remember(w);
}

static void random_world(struct run *r, uint64_t seed) {
    struct sim_world w;
    begin_world(r, &w, seed);
    uint64_t lives = 2 + test_rng_below(&w.rng, 12);
    while (lives-- > 0) life(r, &w);
    start(r, &w);
    sim_world_fini(&w);
}

/* ---- hunting -----------------------------------------------------------------------------------*/

enum { WORLD_RECOVERIES = 8 }; /* about so many are served in a random world */

/* hunt_world: the exit status of a process that has run one random world. */
static int hunt_world(struct run *r, uint64_t seed) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        perror("sim: fork");
        exit(2);
    }
    if (child == 0) {
        alarm(HUNT_SECONDS);
        random_world(r, seed);
        exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

static int hunt(struct run *r) {
    struct test_rng seeds = {.state = r->seed};
    uint64_t worlds = r->n / WORLD_RECOVERIES, other = 0;
    for (uint64_t i = 0; i < worlds; i++) {
        int status = hunt_world(r, test_rng_next(&seeds));
        if (status == 1) return 1;
        if (status != 0) other++;
    }
    printf("sim: no wrong data in %" PRIu64 " worlds; %" PRIu64 " failed in other ways\n", worlds,
           other);
    return other > 0 ? 2 : 0;
}

/* ---- scripts: every file call ------------------------------------------------------------------*/

/* What is done before a crash; ends early when the machine is off. */
static void script_log(struct sim_world *w) {
    static const unsigned batch[] = {3, 4, 5, 3};
    for (unsigned round = 0; round < 3; round++) {
        sim_do_set(w, 1, sim_bytes(w, 40), 0);
        sim_do_write(w);
        sim_do_incr(w, 2, 5);
        sim_do_batch(w, batch, 4, 100);
        sim_do_write(w);
        sim_do_sync(w);
        if (sim_disk_is_off(w->disk)) return;
        sim_do_fill(w, 0);
        sim_do_move(w, 4, 5, 0);
        sim_do_delete(w, 3);
        sim_do_expire(w, 1, w->now_ms + 1000000);
        for (unsigned i = 0; i < 8; i++) sim_do_set(w, 8 + i, sim_bytes(w, 3500), 0);
        sim_do_write(w);
        sim_do_get(w, 3);
        if (sim_disk_is_off(w->disk)) return;
        sim_do_sync(w);
        sim_do_note(w);
        if (sim_disk_is_off(w->disk)) return;
    }
    sim_do_set(w, 6, sim_bytes(w, 10), 0);
}

/* script_snapshots: two of them, each followed by the dropping of what it makes superfluous: log files, and an older
 * snapshot. */
static void script_snapshots(struct sim_world *w) {
    static const unsigned batch[] = {3, 4, 5};
    for (unsigned round = 0; round < 2; round++) {
        sim_do_set(w, 1, sim_bytes(w, 40), 0);
        sim_do_set(w, 7, sim_bytes(w, 9), w->now_ms + 1000000);
        sim_do_batch(w, batch, 3, 100);
        for (unsigned i = 0; i < 20 && !w->wal_off; i++)
            sim_do_set(w, 8 + i, sim_bytes(w, 4000), 0);
        if (!w->wal_off) sim_do_write(w);
        if (!w->wal_off) sim_do_sync(w);
        if (sim_disk_is_off(w->disk)) return;
        for (unsigned i = 0; i < 3; i++) sim_do_snapshot_step(w); /* the walk has begun */
        sim_do_set(w, 1, sim_bytes(w, 41), 0);
        sim_do_delete(w, 3);
        if (!sim_do_snapshot(w, NITRO_COMPRESSION_ZSTD)) return;
        sim_do_set(w, 2, sim_bytes(w, 30), 0);
        sim_do_retain(w);
        if (sim_disk_is_off(w->disk)) return;
    }
    sim_do_set(w, 6, sim_bytes(w, 10), 0);
    if (!w->wal_off) sim_do_write(w);
}

/* script_tail: more than two files of frames that are written and not durable; some keys stay in the oldest. */
static void script_tail(struct sim_world *w) {
    static const unsigned batch[] = {3, 4, 5, 3};
    sim_do_set(w, 1, sim_bytes(w, 40), 0);
    sim_do_write(w);
    sim_do_sync(w);
    for (unsigned round = 0; round < 9; round++) {
        if (sim_disk_is_off(w->disk)) return;
        sim_do_set(w, 6 + round % 3, sim_bytes(w, 30), 0);
        sim_do_batch(w, batch, 4, 100);
        for (unsigned i = 0; i < 5; i++) sim_do_set(w, 9 + i + round, sim_bytes(w, 3900), 0);
        sim_do_write(w);
        sim_do_fill(w, 30000);
    }
    sim_do_delete(w, 4);
    sim_do_write(w);
}

/* script_merges: a key that stays, others that are overwritten, deleted and expire; then a FLUSH. */
static void script_merges(struct sim_world *w) {
    for (unsigned round = 0; round < 2; round++) {
        if (round == 0) sim_do_set(w, 1, sim_bytes(w, 40), 0);
        for (unsigned i = 0; i < 18; i++) sim_do_set(w, 8 + i, sim_bytes(w, 4000), 0);
        sim_do_set(w, 2, sim_bytes(w, 20), w->now_ms + 5);
        sim_do_write(w);
        if (sim_disk_is_off(w->disk)) return;
        sim_do_fill(w, 0);
        for (unsigned i = 0; i < 16; i++) sim_do_set(w, 8 + i, sim_bytes(w, 300), 0);
        sim_do_delete(w, 25);
        w->now_ms += 10;
        if (round == 1) sim_do_flush(w);
        if (sim_disk_is_off(w->disk) || !sim_do_merge(w)) return;
        sim_do_set(w, 3, sim_bytes(w, 10), 0);
    }
    sim_do_write(w);
}

/* script_links: two snapshots of mode bitcask, what they hold is merged away, and what that has replaced is kept. */
static void script_links(struct sim_world *w) {
    static const unsigned batch[] = {3, 4, 5};
    for (unsigned round = 0; round < 2; round++) {
        sim_do_set(w, 1 + round, sim_bytes(w, 40), 0);
        for (unsigned i = 0; i < 16 * (1 - round); i++) sim_do_set(w, 8 + i, sim_bytes(w, 4000), 0);
        sim_do_batch(w, batch, 3, 100);
        if (sim_disk_is_off(w->disk) || !sim_do_snapshot(w, NITRO_COMPRESSION_NONE)) return;
        for (unsigned i = 0; i < 14; i++) sim_do_set(w, 8 + i, sim_bytes(w, 30), 0);
        sim_do_delete(w, 3);
        if (!sim_do_merge(w)) return;
        w->now_ms += 10;
        sim_do_retain(w);
        if (sim_disk_is_off(w->disk)) return;
    }
    sim_do_set(w, 3, sim_bytes(w, 10), 0);
    sim_do_write(w);
}

struct script {
    const char *name;
    void (*operations)(struct sim_world *w);
    uint32_t unlogged;
    bool bitcask;
    /* In recoveries after every so many-th crash point of the script there are crashes before every change, too. */
    unsigned deep;
    bool past; /* what merges replace is kept, and then it is restored, or the snapshot is */
};
static const struct script scripts[] = {
    {"log", script_log, 0, false, 1, false},
    {"snapshots", script_snapshots, 0, false, 1, false},
    {"snapshots without a log", script_snapshots, 4, false, 1, false},
    {"log, mode bitcask", script_log, 0, true, 5, false},
    {"tail, mode bitcask", script_tail, 0, true, 8, false},
    {"merges", script_merges, 0, true, 16, false},
    {"snapshots, mode bitcask", script_links, 0, true, 16, true},
};

enum { WAYS = 1 + SIM_RULES };
static void crash_in_way(struct sim_world *w, unsigned way) {
    if (way == 0)
        sim_world_kill(w);
    else
        sim_world_power(w, (enum sim_rule)(way - 1));
}

static void script_begin(struct run *r, const struct script *s, struct sim_world *w, uint64_t nth,
                         unsigned way) {
    begin_world(r, w, r->seed + way);
    w->traits = (struct sim_traits){.segments = 2,
                                    .log_file_bytes = 65536,
                                    .has_alloc = true,
                                    .sync_drops = true,
                                    .unlogged = s->unlogged,
                                    .bitcask = s->bitcask,
                                    .merges = s->bitcask,
                                    .retain = s->past,
                                    .keep_ms = s->past ? KEEP_MS : 0};
    sim_world_repeat(w,
                     "obj/sim/run-sim SCRIPT=1 SEED=%" PRIu64 " (%s, crash before change %" PRIu64
                     ", way %u)",
                     r->seed, s->name, nth, way);
}

/* script_life: the whole script with a crash before its n-th change; false if there are fewer. */
static bool script_life(struct run *r, const struct script *s, struct sim_world *w, uint64_t nth,
                        unsigned way) {
    struct nitro_err err = {0};
    script_begin(r, s, w, nth, way);
    plan(w, SIM_PHASES, nth);
    int rc = sim_world_start(w, &err);
    if (rc == NITRO_OK) s->operations(w);
    if (rc != NITRO_OK && !sim_disk_is_off(w->disk)) sim_world_refused(w, &err);
    if (!sim_disk_is_off(w->disk)) (void)sim_world_stop(w);
    bool crashed = sim_disk_is_off(w->disk);
    crash_in_way(w, way);
    return crashed;
}

/* script_recover: with a crash before its n-th change (0 = none); false if there are fewer. */
static bool script_recover(struct run *r, struct sim_world *w, uint64_t nth, unsigned way) {
    struct nitro_err err = {0};
    plan(w, SIM_PHASES, nth);
    int rc = sim_world_start(w, &err);
    if (rc != NITRO_OK && !sim_disk_is_off(w->disk)) sim_world_refused(w, &err);
    bool crashed = sim_disk_is_off(w->disk);
    if (crashed) r->interrupted++;
    if (!crashed) r->recoveries++;
    crash_in_way(w, way);
    if (!crashed) return false;
    if (sim_world_start(w, &err) != NITRO_OK) sim_world_refused(w, &err);
    r->recoveries++;
    crash_in_way(w, way);
    return true;
}

/* script: crashes before every change of the script and, for each, before every change of the
 * recovery. */
static void run_script(struct run *r, const struct script *s) {
    for (unsigned way = 0; way < WAYS; way++) {
        bool more = true;
        for (uint64_t nth = 1; more; nth++) {
            unsigned depth = 0;
            bool deeper = true;
            while (deeper) {
                struct sim_world w;
                more = script_life(r, s, &w, nth, way);
                deeper = script_recover(r, &w, depth, (way + depth) % WAYS) || depth == 0;
                deeper = deeper && nth % s->deep == 0;
                /* Contents and folder are now what a second recovery must find again. */
                (void)script_recover(r, &w, 0, way);
                if (s->past && depth == 0) sim_restore_promised(&w);
                sim_world_fini(&w);
                depth++;
            }
        }
    }
}

/* script_restore: of what the script leaves, with crashes before every change of the new folder. */
static void script_restore(struct run *r, const struct script *s, bool linked) {
    struct sim_world w;
    (void)script_life(r, s, &w, 0, 0);
    for (unsigned way = 0; way < WAYS; way++) {
        struct sim_restore_plan plan = {.crash_nth = 1, .crash_way = way, .linked = linked};
        sim_world_repeat(&w, "obj/sim/run-sim SCRIPT=1 SEED=%" PRIu64 " (restore of %s, way %u)",
                         r->seed, s->name, way);
        while (sim_restore_planned(&w, &plan)) plan.crash_nth++;
    }
    sim_world_fini(&w);
}

static void run_scripts(struct run *r) {
    for (unsigned i = 0; i < sizeof scripts / sizeof scripts[0]; i++) run_script(r, &scripts[i]);
    for (unsigned i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        if (!scripts[i].bitcask || scripts[i].past) script_restore(r, &scripts[i], false);
    for (unsigned i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        if (scripts[i].past) script_restore(r, &scripts[i], true);
}

/* ---- report ------------------------------------------------------------------------------------*/

static int report(const struct run *r) {
    int status = 0;
    printf("sim: %" PRIu64 " recoveries served, %" PRIu64 " interrupted; SEED=%" PRIu64 "\n",
           r->recoveries, r->interrupted, r->seed);
    for (unsigned p = 0; p < SIM_PHASES; p++) {
        bool few = r->n >= STANDARD_RUN && r->points.crashed[p] < POINTS_MIN;
        printf("  %-17s %9" PRIu64 " crashes at %9" PRIu64 " file calls%s\n",
               sim_phase_name((enum sim_phase)p), r->points.crashed[p], r->points.seen[p],
               few ? "  TOO FEW" : "");
        if (few) status = 2;
    }
    bool rare =
        r->n >= STANDARD_RUN && (r->points.tails < TAILS_MIN || r->points.tails_cut < TAILS_MIN);
    printf("  tails of several files: %" PRIu64 " served, %" PRIu64
           " stopped before all of them counted%s\n",
           r->points.tails, r->points.tails_cut, rare ? "  TOO FEW" : "");
    if (rare) status = 2;
    for (unsigned i = 0; i < r->sites.count; i++)
        printf("  site %-9s %-28s %10" PRIu64 "\n", sim_op_name(r->sites.site[i].op),
               r->sites.site[i].why, r->sites.site[i].calls);
    return status;
}

/* ---- arguments ---------------------------------------------------------------------------------*/

static bool parse_argument(struct run *r, const char *a) {
    char *end = NULL;
    const char *v = strchr(a, '=');
    if (v == NULL) return false;
    if (strncmp(a, "MUTATE=", 7) == 0) {
        r->hunt = true;
        return sim_mutation_parse(v + 1, &r->mutation);
    }
    uint64_t n = strtoull(v + 1, &end, 0);
    if (end == v + 1 || *end != '\0') return false;
    if (strncmp(a, "N=", 2) == 0)
        r->n = n;
    else if (strncmp(a, "SEED=", 5) == 0)
        r->seed = n;
    else if (strncmp(a, "WORLD=", 6) == 0)
        r->world = n;
    else if (strncmp(a, "SCRIPT=", 7) == 0)
        r->script_only = n != 0;
    else if (strncmp(a, "HUNT=", 5) == 0)
        r->hunt = n != 0;
    else if (strncmp(a, "TRACE=", 6) == 0)
        r->trace = n != 0;
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    static struct run r = {.n = STANDARD_RUN, .seed = 1};
    sim_setup();
    sim_disk_try();
    for (int i = 1; i < argc; i++)
        if (!parse_argument(&r, argv[i])) {
            fprintf(stderr, "sim: cannot make sense of %s; see the head of tests/sim/sim.c\n",
                    argv[i]);
            return 3;
        }
    if (r.world != 0) {
        random_world(&r, r.world);
        r.n = 0;
        return report(&r);
    }
    if (r.hunt) return hunt(&r);
    run_scripts(&r);
    struct test_rng seeds = {.state = r.seed};
    uint64_t scripted = r.recoveries;
    if (r.script_only) r.n = 0;
    while (r.recoveries - scripted < r.n) random_world(&r, test_rng_next(&seeds));
    return report(&r);
}
