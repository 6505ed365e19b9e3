/* SPDX-License-Identifier: MIT
 *
 * links.c - snapshots of a world in mode bitcask: folders of hard links, in steps (see world.h).
 *
 * WHAT   roll, then link, when the log is durable up to what roll has said, for a few files at a time, until it is done; between
 *        any two calls, and inside their file calls, all other operations may run: merges, and retention, too. Some are
 *        aborted on the way, or another roll begins without a word. What must hold:
 *          - S, which roll says, is the end of a batch, and not older than what had been appended;
 *          - link refuses before S is durable, and is busy only if a merge may have been listed since roll;
 *          - it comes to an end, and retention between its calls leaves what it has made alone;
 *          - when it has returned, the folder can be verified, and from then on the snapshot is promised: the folder
 *            that a crash leaves has it, restores from it give the model as it was at S (restores.c);
 *          - what a failed link, or a crash in one, has left is whole, or gone after the next start; and of several
 *            the store names the newest.
 */
#include "image.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TRIES 3u        /* of one snapshot, when others merge beside it */
#define CALLS_MAX 1000u /* of link, for one of them */

void sim_link_path(const struct sim_linked *k, char *out) {
    (void)snprintf(out, SIM_NAME_MAX, "data/snapshot-%010" PRIu64, k->number);
}

/* ---- steps -------------------------------------------------------------------------------------*/

static void roll(struct sim_world *w) {
    struct nitro_err err = {0};
    uint64_t before = w->view->appended, lsn = 0;
    w->doing = "snapshot roll";
    enum sim_phase phase = w->phase;
    w->phase = SIM_MERGE; /* so that crashes of the other phase are in link */
    w->busy |= SIM_BUSY_FILL;
    int rc = nitro_snapshot_roll(w->store, &lsn, &err);
    w->busy &= ~SIM_BUSY_FILL;
    w->phase = phase;
    if (rc == NITRO_ELOGFULL && w->view->status != NITRO_LOG_OK) return;
    /* the log may fail in this: it makes a file, which is listed */
    if (!sim_snapshot_check(w, w->doing, rc, &err, NITRO_LOG_FAILED)) return;
    sim_trace(w, "snapshot rolls, LSN %" PRIu64, lsn);
    if (lsn < before || lsn > w->view->appended)
        sim_fail(w, "a snapshot of LSN %" PRIu64 ", but %" PRIu64 " is appended", lsn, before);
    const struct sim_effect *torn = sim_model_torn(&w->model, lsn);
    if (torn != NULL)
        sim_data_fail(w, torn->key, torn->lsn,
                      "batch up to LSN %" PRIu64 " is torn by a snapshot of %" PRIu64, torn->last,
                      lsn);
    w->roll.set = true;
    w->roll.merged = w->roll.begun = false;
    w->roll.lsn = lsn;
}

/* verify: the new folder, on a copy, where looking has no consequences. */
static void verify(const struct sim_world *w) {
    char path[SIM_NAME_MAX];
    struct sim_disk *copy = sim_disk_copy(w->disk);
    struct test_mem mem;
    struct nitro_snapshot_info found = {0};
    struct nitro_err err = {0};
    uint64_t bad = 0;
    sim_link_path(&w->linked, path);
    test_mem_init(&mem);
    int rc = nitro_verify(path, &mem.table, sim_disk_vfs(copy), NULL, NULL, &found, &bad, &err);
    if (rc != NITRO_OK)
        sim_data_fail(w, 0, w->linked.lsn, "a finished snapshot is not sound: %s", err.msg);
    if (found.lsn != w->linked.lsn)
        sim_data_fail(w, 0, w->linked.lsn, "a finished snapshot ends with LSN %" PRIu64, found.lsn);
    test_mem_check_empty(&mem);
    sim_disk_free(&copy);
}

static void linked(struct sim_world *w, const struct nitro_snapshot_info *info) {
    sim_trace(w, "snapshot %" PRIu64 " of LSN %" PRIu64 " is linked", info->number, info->lsn);
    if (info->lsn != w->roll.lsn)
        sim_fail(w, "a snapshot of LSN %" PRIu64 " says that it is of %" PRIu64, w->roll.lsn,
                 info->lsn);
    if (w->view->durable < info->lsn)
        sim_data_fail(w, 0, info->lsn, "a snapshot was finished, though durable is %" PRIu64,
                      w->view->durable);
    if (info->number <= w->linked.number)
        sim_fail(w, "snapshot %" PRIu64 " follows %" PRIu64, info->number, w->linked.number);
    w->older = w->linked;
    w->linked = (struct sim_linked){true, info->number, info->lsn, info->time_ms};
    w->linked_known = true;
    w->tried.count = 0;
    if (test_rng_below(&w->rng, 4) == 0) verify(w);
}

/* busy: that a merge has been listed since. */
static bool is_busy(struct sim_world *w, int rc) {
    if (rc != NITRO_EBUSY) return false;
    if (!w->roll.merged) sim_fail(w, "a snapshot is busy, but nothing was merged since its roll");
    return true;
}

/* draw_files: for how many one call is; mostly for few, since a world has no more than a few. */
static uint32_t draw_files(struct sim_world *w) {
    return (uint32_t[]){1, 1, 2, 3, 16}[test_rng_below(&w->rng, 5)];
}

static void link_some(struct sim_world *w) {
    struct nitro_err err = {0};
    struct nitro_snapshot_info info = {0};
    uint32_t status = w->view->status, more = 0;
    bool early = w->view->durable < w->roll.lsn;
    w->doing = "snapshot link";
    if (!w->roll.begun) w->tried.lsn[w->tried.count++ % SIM_TRIED_MAX] = w->roll.lsn;
    w->roll.begun = true;
    enum sim_phase phase = w->phase;
    w->phase = SIM_SNAPSHOT;
    w->busy |= SIM_BUSY_FILL;
    int rc =
        nitro_snapshot_link(w->store, w->roll.lsn, w->now_ms, draw_files(w), &info, &more, &err);
    w->busy &= ~SIM_BUSY_FILL;
    w->phase = phase;
    w->roll.set = (rc == NITRO_EARGUMENT && early) || (rc == NITRO_OK && more != 0);
    if (rc == NITRO_OK && more == 0)
        linked(w, &info);
    else if (!w->roll.set && !is_busy(w, rc))
        (void)sim_snapshot_check(w, w->doing, rc, &err, status);
}

/* sync: what a host waits for. */
static void sync(struct sim_world *w) {
    if ((w->busy & (SIM_BUSY_WRITE | SIM_BUSY_SYNC)) != 0) return;
    sim_do_write(w);
    if (!sim_disk_is_off(w->disk)) sim_do_sync(w);
}

void sim_link_step(struct sim_world *w) {
    if ((w->busy & SIM_BUSY_FILL) != 0) return;
    if (!w->roll.set)
        roll(w);
    else if (test_rng_below(&w->rng, 24) == 0)
        w->roll.set = false; /* the host forgets it; it may abort it as well: ops.c */
    else if (w->view->durable >= w->roll.lsn || test_rng_below(&w->rng, 16) == 0)
        link_some(w); /* too early once in a while */
    else if (test_rng_below(&w->rng, 2) == 0)
        sync(w);
}

bool sim_link_all(struct sim_world *w) {
    uint64_t number = w->linked.number;
    for (unsigned i = 0; i < TRIES && w->linked.number == number; i++) {
        if (sim_disk_is_off(w->disk) || (w->busy & SIM_BUSY_FILL) != 0) return false;
        roll(w);
        if (w->roll.set && !sim_disk_is_off(w->disk)) sync(w);
        if (sim_disk_is_off(w->disk) || (w->busy & SIM_BUSY_FILL) != 0) return false;
        for (unsigned calls = 0; w->roll.set && w->view->durable >= w->roll.lsn; calls++) {
            if (calls == CALLS_MAX) sim_fail(w, "a snapshot does not come to an end");
            if (sim_disk_is_off(w->disk) || (w->busy & SIM_BUSY_FILL) != 0) return false;
            link_some(w);
        }
    }
    return w->linked.number != number;
}

/* ---- what there is -----------------------------------------------------------------------------*/

void sim_link_folder(const struct sim_world *w, const struct nitro_folder *f) {
    const struct sim_linked *k = &w->linked;
    if (!w->linked_known) return;
    if (f->newest.number != k->number || f->snapshots != k->set)
        sim_data_fail(w, 0, k->lsn,
                      "in snapshot %" PRIu64 ", but the newest that the folder knows is %" PRIu64,
                      k->number, f->newest.number);
    if (f->newest.lsn != k->lsn || f->newest.time_ms != k->time_ms)
        sim_data_fail(w, 0, k->lsn,
                      "of snapshot %" PRIu64 " and time %" PRId64
                      ", but the folder says LSN %" PRIu64 " and time %" PRId64,
                      k->number, k->time_ms, f->newest.lsn, f->newest.time_ms);
}

bool sim_link_was_tried(const struct sim_world *w, uint64_t lsn) {
    for (unsigned i = 0; i < w->tried.count && i < SIM_TRIED_MAX; i++)
        if (w->tried.lsn[i] == lsn) return true;
    return false;
}

uint64_t sim_link_successor(const struct sim_world *w) {
    struct sim_file file[SIM_FILES_MAX];
    uint64_t newest = w->linked.number;
    unsigned n = w->tried.count > 0 ? sim_disk_list(w->disk, file) : 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t number = 0;
        char rest[16] = "";
        int got = sscanf(file[i].name, "snapshot-%10" SCNu64 "/%15s", &number, rest);
        if (got != 2 || strcmp(rest, "MANIFEST") != 0) continue;
        if (number == w->linked.number) return 0; /* that one is whole */
        if (number > newest) newest = number;
    }
    return newest != w->linked.number ? newest : 0;
}

/* check_folders: there is that of the newest snapshot, and no other. */
static void check_folders(const struct sim_world *w) {
    struct sim_file file[SIM_FILES_MAX];
    char own[SIM_NAME_MAX];
    unsigned n = sim_disk_list_folders(w->disk, file);
    sim_link_path(&w->linked, own);
    for (unsigned i = 0; i < n; i++)
        if (strncmp(file[i].name, "snapshot-", 9) == 0 && strcmp(file[i].name, own + 5) != 0)
            sim_fail(w, "%s is still there after a start, beside snapshot %" PRIu64, file[i].name,
                     w->linked.number);
}

/* check_retained: what merges have replaced is kept under one name, whatever it was that a crash has interrupted. */
static void check_retained(const struct sim_world *w) {
    struct sim_file file[SIM_FILES_MAX];
    unsigned n = sim_disk_list(w->disk, file);
    for (unsigned i = 0; i < n; i++) {
        const char *end = strstr(file[i].name, ".old-");
        size_t bytes = end == NULL ? 0 : (size_t)(end - file[i].name);
        for (unsigned k = 0; k < i && end != NULL; k++)
            if (strncmp(file[k].name, file[i].name, bytes + strlen(".old-")) == 0)
                sim_fail(w, "%s and %s are the same file", file[k].name, file[i].name);
    }
}

void sim_link_found(struct sim_world *w) {
    struct nitro_err err = {0};
    struct nitro_folder f = {0};
    if (nitro_folder_state(w->store, &f, &err) != NITRO_OK)
        sim_fail(w, "nitro_folder_state: %s", err.msg);
    const struct nitro_snapshot_info *s = &f.newest;
    bool unfinished = s->number > w->linked.number && sim_link_was_tried(w, s->lsn);
    if (unfinished) w->linked = (struct sim_linked){true, s->number, s->lsn, s->time_ms};
    if (unfinished) verify(w);
    w->linked_known = true;
    w->tried.count = 0;
    sim_link_folder(w, &f);
    check_folders(w);
    check_retained(w);
}
