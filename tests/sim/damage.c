/* SPDX-License-Identifier: MIT
 *
 * damage.c - small data folders, damaged in every way that can be listed, then started.
 *
 * WHAT   Every bit flipped; cut at every byte; sectors and whole files zeroed; files removed,
 *        swapped, duplicated; sectors and whole files taken from an older state of the same
 *        folder. After each the store either refuses, names a file and changes nothing; or serves,
 *        and everything durable is right. And a check finds damage if and only if it refuses.
 *
 * FOLDERS  "stopped": after a clean stop. "tail": after a power cut that took nothing, with notes
 *        in CONTROL, several synced groups and a record that was not synced. "bare": the same
 *        after one that took all it could, with a last note in CONTROL. "snapshots": two of them, the
 *        log from the older one on, and none before; after a clean stop. "snapped": the same after a power
 *        cut that took all it could; so a log that was dropped is back, and nothing lists it. "merged" and
 *        "merging": mode bitcask with hints and merged files; after a clean stop, and after a power cut that took
 *        all it could. There a start does not read the files that have hints: a record that is damaged may be
 *        found by who reads its key, and answers an error; and a damaged hint harms nothing. "past": a snapshot of mode
 *        bitcask, and files that merges have replaced. Only what the store itself does not need is damaged there: it starts
 *        whatever happens to that, and what is restored from the snapshot, or to the point of it, is right, or refused.
 *
 * RESIDUE  What cannot be told apart, by name; nothing else is excluded, and after a clean stop
 *        nothing at all.
 *        last group    damage in the last group that was synced: nothing on disk says that it was
 *                      durable. Floor: W of the undamaged folder.
 *        short log     the newest log file cut, its end zeroed, or the whole of it older: its last
 *                      groups are gone together with what they say about each other.
 *                      Floor: what CONTROL and the headers of log files say.
 *
 *   damage [SEED=1] [MUTATE=…]      MUTATE and STATUS as sim.c
 */
#include "world.h"
#include "image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGES_MAX 10u

/* A folder, its model, and how it was earlier. */
struct folder {
    const char *name;
    struct sim_world world;
    struct sim_disk *age[AGES_MAX];
    unsigned ages;
    bool clean;
    uint64_t noted;            /* CONTROL's LSN */
    uint64_t floor;            /* W */
    uint64_t full;             /* what the undamaged folder serves */
    char newest[SIM_NAME_MAX]; /* log file in use */
    uint64_t runs, refused, shorter;
};

/* ---- making folders ----------------------------------------------------------------------------*/

static void must_start(struct sim_world *w) {
    struct nitro_err err = {0};
    if (sim_world_start(w, &err) != NITRO_OK) sim_world_refused(w, &err);
}

static void group(struct sim_world *w, unsigned i) {
    static const unsigned batch[] = {3, 4, 5};
    sim_do_set(w, 1 + i, sim_bytes(w, 20 + i), 0);
    sim_do_write(w);
    sim_do_batch(w, batch, 3, 12);
    sim_do_write(w);
    sim_do_sync(w);
}

/* keep_age: the folder as it is on the disk now, for later. */
static void keep_age(struct folder *f) {
    if (f->ages == AGES_MAX) test_fail("too many ages of one folder");
    f->age[f->ages++] = sim_disk_copy(f->world.disk);
}

static void prepare_logs(struct folder *f, uint64_t seed, const struct sim_mutation *m) {
    struct sim_world *w = &f->world;
    sim_world_init(w, seed, NULL);
    sim_disk_mutate(w->disk, m);
    w->traits = (struct sim_traits){
        .segments = 2, .log_file_bytes = 65536, .has_alloc = true, .sync_drops = true};
    must_start(w);
    keep_age(f);
    group(w, 0);
    keep_age(f);
    sim_do_note(w);
    keep_age(f);
    group(w, 1);
    (void)sim_world_stop(w);
    sim_world_kill(w);
    w->stopped = false; /* whether a clean stop is known as one is sim's business */
    keep_age(f);
    must_start(w);
    group(w, 2);
    sim_do_note(w);
    keep_age(f);
    sim_do_fill(w, 70000); /* more than fits here: a second file is prepared, and stays blank */
    sim_do_set(w, 7, sim_bytes(w, 700), 0);
    group(w, 3);
    sim_do_delete(w, 1);
    sim_do_write(w);
    sim_do_sync(w);
    keep_age(f);
    sim_do_set(w, 2, sim_bytes(w, 33), 0);
    sim_do_write(w);
    sim_do_sync(w);
}

/* restart: what goes on goes to a new log file. */
static void restart(struct folder *f) {
    struct sim_world *w = &f->world;
    if (!sim_world_stop(w)) sim_fail(w, "cannot be stopped");
    sim_world_kill(w);
    w->stopped = false;
    keep_age(f);
    must_start(w);
    w->now_ms += 1000;
}

/* prepare_snapshots: what is durable before the older of two snapshots is dropped; the folder can go back to
 * that one. */
static void prepare_snapshots(struct folder *f, uint64_t seed, const struct sim_mutation *m) {
    struct sim_world *w = &f->world;
    sim_world_init(w, seed, NULL);
    sim_disk_mutate(w->disk, m);
    w->traits = (struct sim_traits){.segments = 2,
                                    .log_file_bytes = 65536,
                                    .has_alloc = true,
                                    .sync_drops = true,
                                    .keep_ms = 1500};
    must_start(w);
    group(w, 0);
    restart(f);
    group(w, 1);
    if (!sim_do_snapshot(w, NITRO_COMPRESSION_LZ4)) sim_fail(w, "no snapshot can be taken");
    keep_age(f);
    group(w, 2);
    restart(f);
    group(w, 3);
    restart(f);
    if (!sim_do_snapshot(w, NITRO_COMPRESSION_ZSTD)) sim_fail(w, "no snapshot can be taken");
    keep_age(f);
    sim_do_retain(w);
    keep_age(f);
    sim_do_set(w, 7, sim_bytes(w, 70), 0);
    group(w, 4);
    sim_do_delete(w, 1);
    sim_do_write(w);
    sim_do_sync(w);
}

/* prepare_merges: a key in a merged file, others in one with a hint, others in the log. */
static void prepare_merges(struct folder *f, uint64_t seed, const struct sim_mutation *m) {
    struct sim_world *w = &f->world;
    sim_world_init(w, seed, NULL);
    sim_disk_mutate(w->disk, m);
    w->traits = (struct sim_traits){.segments = 2,
                                    .log_file_bytes = 65536,
                                    .has_alloc = true,
                                    .sync_drops = true,
                                    .bitcask = true};
    must_start(w);
    group(w, 0);
    sim_do_set(w, 9, sim_bytes(w, 90), w->now_ms + 1000000);
    group(w, 1);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    keep_age(f);
    group(w, 2);
    sim_do_delete(w, 1);
    restart(f);
    group(w, 3);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    keep_age(f);
    sim_do_set(w, 7, sim_bytes(w, 70), 0);
    group(w, 4);
    sim_do_roll(w);
    group(w, 5);
}

/* prepare_past: a snapshot, whose files have been merged since, and are kept. */
static void prepare_past(struct folder *f, uint64_t seed, const struct sim_mutation *m) {
    struct sim_world *w = &f->world;
    sim_world_init(w, seed, NULL);
    sim_disk_mutate(w->disk, m);
    w->traits = (struct sim_traits){.segments = 2,
                                    .log_file_bytes = 65536,
                                    .has_alloc = true,
                                    .sync_drops = true,
                                    .bitcask = true,
                                    .merges = 1,
                                    .retain = true};
    must_start(w);
    group(w, 0);
    sim_do_set(w, 9, sim_bytes(w, 90), w->now_ms + 1000000);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    group(w, 1);
    sim_do_roll(w);
    group(w, 2);
    sim_do_delete(w, 1);
    if (!sim_do_snapshot(w, NITRO_COMPRESSION_NONE)) sim_fail(w, "no snapshot can be taken");
    group(w, 3);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    group(w, 4);
    group(w, 2);
    if (!sim_do_merge(w)) sim_fail(w, "nothing can be merged");
    group(w, 5);
}

static void find_newest(struct folder *f) {
    struct sim_file file[SIM_FILES_MAX];
    unsigned n = sim_disk_list(f->world.disk, file);
    for (unsigned i = 0; i < n; i++)
        if (strstr(file[i].name, ".log") != NULL && file[i].bytes > 512 && file[i].data[12] == 1)
            memcpy(f->newest, file[i].name, SIM_NAME_MAX);
}

/* settle: what the undamaged folder says about itself. */
static void settle(struct folder *f) {
    struct sim_world w;
    find_newest(f);
    sim_world_fork(&w, &f->world, sim_disk_copy(f->world.disk));
    w.stopped = false;
    must_start(&w);
    f->floor = w.found.durable_lsn;
    f->full = w.found.last_lsn;
    sim_world_fini(&w);
}

typedef void prepare_fn(struct folder *f, uint64_t seed, const struct sim_mutation *m);

static void make_stopped(struct folder *f, const char *name, prepare_fn *prepare,
                         enum sim_rule rule, uint64_t seed, const struct sim_mutation *m) {
    *f = (struct folder){.name = name, .clean = true};
    prepare(f, seed, m);
    if (!sim_world_stop(&f->world)) sim_fail(&f->world, "cannot be stopped");
    sim_world_power(&f->world, rule);
    settle(f);
}

static void make_unclean(struct folder *f, const char *name, prepare_fn *prepare,
                         enum sim_rule rule, uint64_t seed, const struct sim_mutation *m) {
    *f = (struct folder){.name = name};
    prepare(f, seed, m);
    sim_do_set(&f->world, 6, sim_bytes(&f->world, 9), 0);
    sim_do_write(&f->world);
    if (rule == SIM_NOTHING) sim_do_note(&f->world);
    f->noted = f->world.view->control;
    sim_world_power(&f->world, rule);
    f->world.durable = 0; /* the floor is set by each kind of damage */
    settle(f);
}

static void folder_fini(struct folder *f) {
    for (unsigned i = 0; i < f->ages; i++) sim_disk_free(&f->age[i]);
    sim_world_fini(&f->world);
}

/* ---- one damage --------------------------------------------------------------------------------*/

/* Which residue a kind of damage may leave in an unclean folder. */
enum residue { LAST_GROUP, SHORT_LOG };

static struct sim_world *damage_begin(struct folder *f, const char *what, const char *file,
                                      uint64_t at) {
    struct sim_world *w = sim_need(malloc(sizeof *w));
    sim_world_fork(w, &f->world, sim_disk_copy(f->world.disk));
    sim_world_repeat(w, "obj/sim/run-damage SEED=%" PRIu64 " (%s folder, %s %s, %" PRIu64 ")",
                     w->seed, f->name, what, file, at);
    return w;
}

static bool names_a_file(const char *msg) {
    return strstr(msg, "MANIFEST") != NULL || strstr(msg, "CONTROL") != NULL ||
           strstr(msg, ".log") != NULL || strstr(msg, ".snap") != NULL ||
           strstr(msg, ".data") != NULL;
}

/* finds_damage: what a check says about the folder, of which it changes nothing. */
static bool finds_damage(struct sim_world *w, struct sim_disk *disk) {
    struct test_mem mem;
    struct nitro_err err = {0};
    struct nitro_check_result res = {0};
    test_mem_init(&mem);
    struct nitro_check_options opt = {
        .dir = "data", .now_ms = w->now_ms, .mem = &mem.table, .vfs = sim_disk_vfs(disk)};
    int rc = nitro_check(&opt, &res, &err);
    if (rc != NITRO_OK && rc != NITRO_EFORMAT && rc != NITRO_ENOTFOUND)
        sim_fail(w, "a check fails: %s: %s", nitro_strerror(rc), err.msg);
    test_mem_check_empty(&mem);
    return rc != NITRO_OK || res.damages > 0;
}

/* check_agrees: a check has found damage exactly where the start refuses. */
static void check_agrees(struct sim_world *w, bool damaged, bool refused, const char *why) {
    bool lazy = w->traits.bitcask && !refused;
    if (lazy && w->unreadable > 0 && !damaged)
        sim_fail(w, "a key can't be read, and a check finds no damage");
    if (damaged == refused || lazy) return;
    sim_fail(w,
             refused ? "refused, and a check finds no damage: %s"
                     : "served, and a check finds damage%s",
             why);
}

/* damage_past: the folder of the store itself is sound: it is served, and the past is right, or refused. */
static void damage_past(struct folder *f, struct sim_world *w) {
    struct nitro_err err = {0};
    struct sim_disk *copy = sim_disk_copy(w->disk);
    f->runs++;
    w->damaged = true;
    if (finds_damage(w, copy)) sim_fail(w, "a check finds damage in what is not checked");
    sim_disk_free(&copy);
    bool all = sim_restore_damaged(w, true, 0);
    all = sim_restore_damaged(w, false, w->linked.lsn) && all;
    f->refused += !all;
    if (sim_world_start(w, &err) != NITRO_OK) sim_world_refused(w, &err);
    if (w->found.last_lsn < f->full || w->unreadable > 0)
        sim_data_fail(w, 0, f->full, "not served in full, though only the past is damaged");
    sim_world_fini(w);
    free(w);
}

/* damage_end: starts; w is gone after it. */
static void damage_end(struct folder *f, struct sim_world *w, enum residue residue) {
    struct nitro_err err = {0};
    struct sim_disk *before = sim_disk_copy(w->disk);
    f->runs++;
    w->promises = 0;
    w->stopped = false;
    w->taken = (struct sim_taken){0}; /* an older snapshot and the log make the same */
    w->durable = f->clean ? w->model.newest : (residue == SHORT_LOG ? f->noted : f->floor);
    if (w->model.base_lsn > w->durable) w->durable = w->model.base_lsn;
    w->power_lost = true;
    w->damaged = true;
    bool damaged = finds_damage(w, before);
    int rc = sim_world_start(w, &err);
    check_agrees(w, damaged, rc != NITRO_OK, err.msg);
    if (rc == NITRO_OK && w->found.last_lsn < f->full) f->shorter++;
    if (rc != NITRO_OK) {
        f->refused++;
        if (rc != NITRO_ECORRUPT && rc != NITRO_EFORMAT)
            sim_fail(w, "refused, but not for damage: %s: %s", nitro_strerror(rc), err.msg);
        if (!names_a_file(err.msg)) sim_fail(w, "the refusal names no file: %s", err.msg);
        sim_disk_kill(w->disk);
        if (!sim_disk_same(before, w->disk)) sim_fail(w, "refused, and yet changed the folder");
    }
    sim_disk_free(&before);
    sim_world_fini(w);
    free(w);
}

/* ---- kinds of damage ---------------------------------------------------------------------------*/

static bool is_newest(const struct folder *f, const struct sim_file *file) {
    return strcmp(file->name, f->newest) == 0;
}

/* is_used: whether something other than zeros lies within a record head of this byte. */
static bool is_used(const struct sim_file *file, uint64_t at) {
    uint64_t from = at < 64 ? 0 : at - 64, to = at + 64 < file->bytes ? at + 64 : file->bytes;
    for (uint64_t i = from; i < to; i++)
        if (file->data[i] != 0) return true;
    return false;
}

static void put_changed(struct sim_world *w, const struct sim_file *file, uint64_t at,
                        const void *p, uint64_t n) {
    uint8_t *copy = sim_need(malloc(file->bytes + 1));
    memcpy(copy, file->data, file->bytes);
    memcpy(copy + at, p, n);
    sim_disk_put(w->disk, file->name, copy, file->bytes);
    free(copy);
}

static void flip_bits(struct folder *f, const struct sim_file *file) {
    for (uint64_t at = 0; at < file->bytes; at++) {
        bool used = is_used(file, at);
        if (!used && at % 509 != 0) continue; /* a wide field of zeros: one bit in a while */
        for (unsigned bit = 0; bit < (used ? 8u : 1u); bit++) {
            struct sim_world *w = damage_begin(f, "bit flipped in", file->name, at * 8 + bit);
            uint8_t b = (uint8_t)(file->data[at] ^ 1u << bit);
            put_changed(w, file, at, &b, 1);
            damage_end(f, w, LAST_GROUP);
        }
    }
}

static void cut(struct folder *f, const struct sim_file *file) {
    for (uint64_t at = 0; at < file->bytes; at++) {
        if (!is_used(file, at) && at % 997 != 0) continue;
        struct sim_world *w = damage_begin(f, "cut", file->name, at);
        sim_disk_put(w->disk, file->name, file->data, at);
        damage_end(f, w, is_newest(f, file) ? SHORT_LOG : LAST_GROUP);
    }
}

static void zero(struct folder *f, const struct sim_file *file) {
    static const uint8_t zeros[SIM_SECTOR];
    for (uint64_t at = 0; at < file->bytes; at += SIM_SECTOR) {
        if (!is_used(file, at) && at % 8192 != 0) continue;
        uint64_t n = file->bytes - at < SIM_SECTOR ? file->bytes - at : SIM_SECTOR;
        struct sim_world *w = damage_begin(f, "sector zeroed in", file->name, at);
        put_changed(w, file, at, zeros, n);
        damage_end(f, w, is_newest(f, file) ? SHORT_LOG : LAST_GROUP);
    }
    uint8_t *none = sim_need(calloc(1, file->bytes + 1));
    struct sim_world *w = damage_begin(f, "zeroed", file->name, 0);
    sim_disk_put(w->disk, file->name, none, file->bytes);
    damage_end(f, w, LAST_GROUP);
    free(none);
}

static void replace(struct folder *f, const struct sim_file *file, const struct sim_file *by,
                    const char *what, uint64_t n) {
    struct sim_world *w = damage_begin(f, what, file->name, n);
    sim_disk_put(w->disk, file->name, by->data, by->bytes);
    damage_end(f, w, is_newest(f, file) ? SHORT_LOG : LAST_GROUP);
}

static void shuffle(struct folder *f, const struct sim_file *file, unsigned n, unsigned i) {
    struct sim_world *w = damage_begin(f, "removed", file[i].name, 0);
    sim_disk_drop(w->disk, file[i].name);
    damage_end(f, w, LAST_GROUP);
    const char *copies[] = {"0000000099.log", "0000000099.snap", "0000000099.data"};
    for (unsigned c = 0; c < 2u + f->world.traits.bitcask; c++) {
        w = damage_begin(f, "duplicated as number 99:", file[i].name, c);
        sim_disk_put(w->disk, copies[c], file[i].data, file[i].bytes);
        damage_end(f, w, LAST_GROUP);
    }
    for (unsigned j = 0; j < n; j++) {
        if (j == i) continue;
        replace(f, &file[i], &file[j], "another file's bytes in", j);
        if (j < i) continue;
        w = damage_begin(f, "swapped with a later file", file[i].name, j);
        sim_disk_put(w->disk, file[i].name, file[j].data, file[j].bytes);
        sim_disk_put(w->disk, file[j].name, file[i].data, file[i].bytes);
        damage_end(f, w, LAST_GROUP);
    }
}

/* age: the file, and each of its sectors, as it was at an earlier time. */
static void age(struct folder *f, const struct sim_file *file, struct sim_disk *earlier,
                unsigned number) {
    struct sim_file old[SIM_FILES_MAX];
    unsigned n = sim_disk_list(earlier, old), i = 0;
    while (i < n && strcmp(old[i].name, file->name) != 0) i++;
    if (i == n) return;
    replace(f, file, &old[i], "older copy of", number);
    for (uint64_t at = 0; at + SIM_SECTOR <= file->bytes && at < old[i].bytes; at += SIM_SECTOR) {
        uint64_t bytes = old[i].bytes - at < SIM_SECTOR ? old[i].bytes - at : SIM_SECTOR;
        if (memcmp(old[i].data + at, file->data + at, bytes) == 0) continue;
        struct sim_world *w = damage_begin(f, "stale sector in", file->name, at);
        put_changed(w, file, at, old[i].data + at, bytes);
        damage_end(f, w, is_newest(f, file) ? SHORT_LOG : LAST_GROUP);
    }
}

/* is_needed: whether the file has a name in the folder itself, too. */
static bool is_needed(const struct sim_file *file, unsigned n, unsigned i) {
    for (unsigned k = 0; k < n; k++)
        if (strchr(file[k].name, '/') == NULL && file[k].data == file[i].data) return true;
    return false;
}

static void damage_past_file(struct folder *f, const struct sim_file *file) {
    for (uint64_t at = 0; at < file->bytes; at++) {
        if (!is_used(file, at) && at % 997 != 0) continue;
        struct sim_world *w = damage_begin(f, "bit flipped in", file->name, at * 8 + at % 8);
        uint8_t b = (uint8_t)(file->data[at] ^ 1u << at % 8);
        put_changed(w, file, at, &b, 1);
        damage_past(f, w);
        if (at % 16 != 5) continue;
        w = damage_begin(f, "cut", file->name, at);
        sim_disk_put(w->disk, file->name, file->data, at);
        damage_past(f, w);
    }
    struct sim_world *w = damage_begin(f, "removed", file->name, 0);
    sim_disk_drop(w->disk, file->name);
    damage_past(f, w);
}

static void run_past(struct folder *f) {
    struct sim_file file[SIM_FILES_MAX];
    unsigned n = sim_disk_list(f->world.disk, file);
    for (unsigned i = 0; i < n; i++) {
        const char *slash = strchr(file[i].name, '/');
        if (slash == NULL || strcmp(slash, "/LOCK") == 0 || is_needed(file, n, i)) continue;
        uint64_t runs = f->runs, refused = f->refused;
        damage_past_file(f, &file[i]);
        printf("damage: %s %s %6" PRIu64 " ways: %6" PRIu64 " not restored, %6" PRIu64
               " restored in full\n",
               f->name, file[i].name, f->runs - runs, f->refused - refused,
               f->runs - runs - (f->refused - refused));
    }
    folder_fini(f);
}

static void damage_everything(struct folder *f) {
    struct sim_file file[SIM_FILES_MAX];
    unsigned n = sim_disk_list(f->world.disk, file);
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(file[i].name, "LOCK") == 0) continue;
        uint64_t runs = f->runs, refused = f->refused, shorter = f->shorter;
        flip_bits(f, &file[i]);
        cut(f, &file[i]);
        zero(f, &file[i]);
        shuffle(f, file, n, i);
        for (unsigned a = 0; a < f->ages; a++) age(f, &file[i], f->age[a], a);
        printf("damage: %s %-15s %6" PRIu64 " ways: %6" PRIu64 " refused, %6" PRIu64
               " served in full, %5" PRIu64 " served up to a residue\n",
               f->name, file[i].name, f->runs - runs, f->refused - refused,
               f->runs - runs - (f->refused - refused) - (f->shorter - shorter),
               f->shorter - shorter);
    }
}

static void run(struct folder *f) {
    damage_everything(f);
    folder_fini(f);
}

int main(int argc, char **argv) {
    static struct folder f;
    struct sim_mutation m = {.kind = SIM_MUTANT_NONE};
    uint64_t seed = 1;
    sim_setup();
    for (int i = 1; i < argc; i++) {
        bool is_seed = strncmp(argv[i], "SEED=", 5) == 0;
        if (is_seed) seed = strtoull(argv[i] + 5, NULL, 0);
        if (is_seed) continue;
        if (strncmp(argv[i], "MUTATE=", 7) == 0 && sim_mutation_parse(argv[i] + 7, &m)) continue;
        fputs("usage: damage [SEED=n] [MUTATE=op:noop|swap:why]\n", stderr);
        return 3;
    }
    make_stopped(&f, "stopped", prepare_logs, SIM_NOTHING, seed, &m);
    run(&f);
    make_unclean(&f, "tail", prepare_logs, SIM_EVERYTHING, seed, &m);
    run(&f);
    make_unclean(&f, "bare", prepare_logs, SIM_NOTHING, seed, &m);
    run(&f);
    make_stopped(&f, "snapshots", prepare_snapshots, SIM_EVERYTHING, seed, &m);
    run(&f);
    make_unclean(&f, "snapped", prepare_snapshots, SIM_NOTHING, seed, &m);
    run(&f);
    make_stopped(&f, "merged", prepare_merges, SIM_EVERYTHING, seed, &m);
    run(&f);
    make_unclean(&f, "merging", prepare_merges, SIM_NOTHING, seed, &m);
    run(&f);
    make_stopped(&f, "past", prepare_past, SIM_EVERYTHING, seed, &m);
    run_past(&f);
    return 0;
}
