/* SPDX-License-Identifier: MIT
 *
 * merges.c - a store of mode bitcask: sealing, hints and merges beside everything else (see world.h).
 *
 * The contents are compared after every recovery, whatever the state of a merge was at the crash; so all that is done
 * here is to take its steps, with what each needs, and to refuse errors that nothing explains.
 */
#include "world.h"

#include <inttypes.h>

/* drive: one call, with these marked as under way. */
static int drive(struct sim_world *w, const struct nitro_merge_options *o, unsigned busy,
                 struct nitro_merge_result *r) {
    struct nitro_err err = {0};
    w->doing = "merge";
    if (o->allow != 0 && o->retain == 0) w->reach = SIM_NEVER;
    w->phase = SIM_MERGE;
    w->busy |= busy;
    int rc = nitro_merge_step(w->store, w->now_ms, o, r, &err);
    w->busy &= ~busy;
    w->phase = SIM_APPEND;
    w->roll.merged |= (busy & SIM_BUSY_FILL) != 0;
    bool full = rc == NITRO_ELOGFULL && sim_disk_is_limited(w->disk);
    if (rc == NITRO_OK || full || (rc == NITRO_ENOMEM && w->no_memory)) return rc;
    if (!sim_world_log_may_fail(w) && w->view->status != NITRO_LOG_FAILED)
        sim_fail(w, "nitro_merge_step: %s: %s", nitro_strerror(rc), err.msg);
    return rc;
}

/* sync_first: the next call waits for a sync, which is made now if it can be. Other steps of the merge may run meanwhile. */
static void sync_first(struct sim_world *w) {
    if (w->merge.need != NITRO_MERGE_SYNC || w->view->durable >= w->merge.lsn) return;
    if ((w->busy & (SIM_BUSY_WRITE | SIM_BUSY_SYNC)) != 0) return;
    sim_do_write(w);
    if (!sim_disk_is_off(w->disk)) sim_do_sync(w);
}

/* ready: what the next call needs can be had now. A host that is `early` does not wait for a sync, and has to be told again. */
static bool ready(const struct sim_world *w, bool early) {
    enum nitro_merge_need need = w->merge.need;
    if (sim_disk_is_off(w->disk) || (w->busy & SIM_BUSY_MERGE) != 0) return false;
    if (need == NITRO_MERGE_IDLE || need == NITRO_MERGE_FOLDER)
        return (w->busy & SIM_BUSY_FILL) == 0;
    return need != NITRO_MERGE_SYNC || early || w->view->durable >= w->merge.lsn;
}

void sim_do_merge_step(struct sim_world *w) {
    static const uint32_t percents[] = {1, 10, 50};
    struct nitro_merge_options o = {.allow = test_rng_below(&w->rng, 8) != 0,
                                    .dead_percent = percents[test_rng_below(&w->rng, 3)],
                                    .dead_age_ms = test_rng_below(&w->rng, 4) == 0 ? 100 : 0,
                                    .retain = w->traits.retain};
    struct nitro_merge_result r = {0};
    bool early = test_rng_below(&w->rng, 4) == 0;
    if (!early) sync_first(w);
    if (!ready(w, early)) return;
    bool folder = w->merge.need == NITRO_MERGE_IDLE || w->merge.need == NITRO_MERGE_FOLDER;
    int rc = drive(w, &o, SIM_BUSY_MERGE | (folder ? SIM_BUSY_FILL : 0), &r);
    w->merge.need = rc == NITRO_OK ? r.need : NITRO_MERGE_FOLDER;
    w->merge.lsn = r.lsn;
}

void sim_do_roll(struct sim_world *w) {
    struct nitro_err err = {0};
    w->doing = "roll";
    w->phase = SIM_MERGE;
    w->busy |= SIM_BUSY_FILL;
    int rc = nitro_merge_roll(w->store, NULL, &err);
    w->busy &= ~SIM_BUSY_FILL;
    w->phase = SIM_APPEND;
    if (rc == NITRO_OK || (rc == NITRO_ENOMEM && w->no_memory)) return;
    if (rc == NITRO_ELOGFULL && (w->view->status != NITRO_LOG_OK || sim_disk_is_limited(w->disk)))
        return;
    if (!sim_world_log_may_fail(w) && w->view->status != NITRO_LOG_FAILED)
        sim_fail(w, "nitro_merge_roll: %s: %s", nitro_strerror(rc), err.msg);
}

bool sim_do_merge(struct sim_world *w) {
    const struct nitro_merge_options o = {
        .allow = 1, .dead_percent = 1, .retain = w->traits.retain};
    struct nitro_merge_result r = {0};
    sim_do_write(w);
    if (!sim_disk_is_off(w->disk)) sim_do_sync(w);
    if (!sim_disk_is_off(w->disk)) sim_do_roll(w);
    for (unsigned i = 0; !sim_disk_is_off(w->disk); i++) {
        if (i == 100000) sim_fail(w, "a merge does not end");
        sync_first(w);
        if (!ready(w, false)) return false;
        bool folder = w->merge.need == NITRO_MERGE_IDLE || w->merge.need == NITRO_MERGE_FOLDER;
        if (drive(w, &o, SIM_BUSY_MERGE | (folder ? SIM_BUSY_FILL : 0), &r) != NITRO_OK) {
            w->merge.need = NITRO_MERGE_FOLDER;
            return false;
        }
        w->merge.need = r.need;
        w->merge.lsn = r.lsn;
        if (r.need == NITRO_MERGE_IDLE) return true;
    }
    return false;
}
