/* SPDX-License-Identifier: MIT
 *
 * disk_try.c - a simulated disk does with folders, links and removals what disk.h says: the
 * simulation believes it (run at the start of sim).
 */
#include "disk.h"

#include <errno.h>
#include <string.h>

#define WHY "try"
#define CUTS 256u

struct rig {
    struct sim_disk *disk;
    const struct nitro_vfs *v;
    int root, sub; /* handles */
};

static void must(bool ok, const char *what) {
    if (!ok) test_fail("the simulated disk itself: %s", what);
}

static bool has(const struct rig *g, const char *name) {
    struct sim_file f;
    return sim_disk_find(g->disk, name, &f) && f.bytes == 3 && memcmp(f.data, "abc", 3) == 0;
}

static int open_folders(struct rig *g, unsigned flags) {
    g->root = g->v->dir_open(g->disk, "data", flags);
    g->sub = g->v->dir_open(g->disk, "data/sub", flags);
    return g->sub;
}

/* cut: and what there is then is open again. */
static void cut(struct rig *g, enum sim_rule rule) {
    sim_disk_power(g->disk, rule);
    (void)open_folders(g, 0);
}

/* begin: the durable file "a" and the folder "sub", which is empty. */
static void begin(struct rig *g, uint64_t seed) {
    g->disk = sim_disk_new(seed);
    g->v = sim_disk_vfs(g->disk);
    must(open_folders(g, 0) == -ENOENT, "there is no folder yet");
    must(open_folders(g, NITRO_DIR_CREATE) >= 0, "a folder is made");
    int f = g->v->open(g->disk, g->root, "a", NITRO_FILE_WRITE | NITRO_FILE_CREATE);
    must(g->v->write(g->disk, f, "abc", 3, 0, WHY) == 3, "a write");
    must(g->v->sync(g->disk, f, WHY) == 0 && g->v->dir_sync(g->disk, g->root, WHY) == 0, "syncs");
    must(g->v->close(g->disk, f) == 0, "a close");
}

static int link_a(struct rig *g) { return g->v->link(g->disk, g->root, "a", g->sub, "b", WHY); }

/* A link is durable with a sync of its folder, and its bytes stay when the first name goes. */
static void try_links(void) {
    struct rig g;
    begin(&g, 1);
    must(link_a(&g) == 0 && link_a(&g) == -EEXIST && has(&g, "sub/b"), "a link");
    must(g.v->link(g.disk, g.root, "c", g.sub, "c", WHY) == -ENOENT, "a link to nothing");
    must(sim_disk_used(g.disk) == 3, "bytes with two names count once");
    must(g.v->dir_sync(g.disk, g.root, WHY) == 0, "a sync");
    cut(&g, SIM_NOTHING);
    must(g.sub >= 0 && !has(&g, "sub/b") && has(&g, "a"), "a sync of another folder keeps a link");
    must(link_a(&g) == 0 && g.v->dir_sync(g.disk, g.sub, WHY) == 0, "a durable link");
    must(g.v->unlink(g.disk, g.root, "a", WHY) == 0 && !has(&g, "a"), "an unlink");
    struct sim_disk *copy = sim_disk_copy(g.disk);
    must(sim_disk_same(g.disk, copy) && sim_disk_used(copy) == 3, "a copy");
    cut(&g, SIM_NOTHING);
    must(has(&g, "a") && has(&g, "sub/b"), "an unlink that was not synced");
    must(!sim_disk_same(g.disk, copy), "a copy is like what has a file more");
    must(g.v->unlink(g.disk, g.root, "a", WHY) == 0, "an unlink");
    must(g.v->dir_sync(g.disk, g.root, WHY) == 0, "a sync");
    cut(&g, SIM_NOTHING);
    must(!has(&g, "a") && has(&g, "sub/b"), "the bytes went with the first of two names");
    sim_disk_free(&copy);
    sim_disk_free(&g.disk);
}

/* empty_sub: "sub/b" is durable, its unlink is not; nor is the removal of the folder. */
static void empty_sub(struct rig *g) {
    must(link_a(g) == 0 && g->v->dir_sync(g->disk, g->sub, WHY) == 0, "a durable link");
    must(g->v->dir_remove(g->disk, g->root, "sub", WHY) == -ENOTEMPTY, "a folder with a file goes");
    must(g->v->unlink(g->disk, g->sub, "b", WHY) == 0, "an unlink");
    must(g->v->dir_remove(g->disk, g->root, "sub", WHY) == 0, "a removal");
    must(g->v->dir_remove(g->disk, g->root, "sub", WHY) == -ENOENT, "a second removal");
}

/* A removal is an entry of the folder around it, and final once that was synced, or once there is
 * another folder of that name. */
static void try_removal(void) {
    struct rig g;
    begin(&g, 1);
    empty_sub(&g);
    cut(&g, SIM_NOTHING);
    must(g.sub >= 0 && has(&g, "sub/b"), "a removal is durable without a sync");
    must(g.v->unlink(g.disk, g.sub, "b", WHY) == 0, "an unlink");
    must(g.v->dir_sync(g.disk, g.sub, WHY) == 0, "a sync");
    must(g.v->dir_remove(g.disk, g.root, "sub", WHY) == 0, "a removal");
    cut(&g, SIM_NOTHING);
    must(g.sub >= 0 && !has(&g, "sub/b"), "the folder is back, but not what was in it");
    empty_sub(&g);
    must(g.v->dir_sync(g.disk, g.root, WHY) == 0, "a sync");
    cut(&g, SIM_NOTHING);
    must(g.sub == -ENOENT && !has(&g, "sub/b"), "what was removed is back after a sync");
    must(open_folders(&g, NITRO_DIR_CREATE) >= 0, "a folder is made again");
    empty_sub(&g);
    must(open_folders(&g, NITRO_DIR_CREATE) >= 0, "a folder is made again");
    cut(&g, SIM_NOTHING);
    must(g.sub >= 0 && !has(&g, "sub/b"), "a new folder holds what was in the old one");
    sim_disk_free(&g.disk);
}

/* A folder is there as long as something is in it, whichever of the changes a power cut keeps: so
 * few of these cuts remove it, though every other one keeps the removal. */
static void try_cuts(void) {
    static const char *const names[] = {"b", "c", "d", "e"};
    unsigned full = 0, empty = 0, gone = 0;
    for (uint64_t seed = 1; seed <= CUTS; seed++) {
        struct rig g;
        bool left = false;
        begin(&g, seed);
        for (unsigned i = 0; i < 4; i++)
            must(g.v->link(g.disk, g.root, "a", g.sub, names[i], WHY) == 0, "a link");
        must(g.v->dir_sync(g.disk, g.sub, WHY) == 0, "a sync");
        for (unsigned i = 0; i < 4; i++)
            must(g.v->unlink(g.disk, g.sub, names[i], WHY) == 0, "an unlink");
        must(g.v->dir_remove(g.disk, g.root, "sub", WHY) == 0, "a removal");
        cut(&g, SIM_COINS);
        struct sim_file f[SIM_FILES_MAX];
        for (unsigned n = sim_disk_list(g.disk, f); n > 0; n--)
            left |= strncmp(f[n - 1].name, "sub/", 4) == 0;
        must(!left || g.sub >= 0, "a file without its folder");
        full += left;
        empty += !left && g.sub >= 0;
        gone += g.sub < 0;
        sim_disk_free(&g.disk);
    }
    must(full > 0 && empty > 0 && gone > 0, "some of what a power cut may leave never is");
    must(gone < CUTS / 3, "files go with their folder though they were not removed");
}

/* Nothing that happened in a folder matters any more once its removal is durable. */
static void try_past(void) {
    for (uint64_t seed = 1; seed <= CUTS / 8; seed++) {
        struct rig g;
        begin(&g, seed);
        empty_sub(&g);
        must(open_folders(&g, NITRO_DIR_CREATE) >= 0, "a folder is made again");
        must(link_a(&g) == 0 && g.v->unlink(g.disk, g.sub, "b", WHY) == 0, "a link that goes");
        must(g.v->dir_remove(g.disk, g.root, "sub", WHY) == 0, "a removal");
        must(g.v->dir_sync(g.disk, g.root, WHY) == 0, "a sync");
        cut(&g, SIM_COINS);
        must(g.sub == -ENOENT && !has(&g, "sub/b"), "a removed folder is back");
        sim_disk_free(&g.disk);
    }
}

/* The new calls fail, do nothing and come too late as the others do. */
static void try_rules(void) {
    struct rig g;
    struct sim_mutation m;
    begin(&g, 1);
    sim_disk_fault(g.disk, &(struct sim_fault){.nth = 1, .why = "dir_make"});
    must(g.v->dir_open(g.disk, "data/more", NITRO_DIR_CREATE) == -EIO, "a folder that fails");
    must(g.v->dir_open(g.disk, "data/more", 0) == -ENOENT, "a folder that failed is there");
    must(sim_mutation_parse("link:noop:" WHY, &m), "a mutation of a link");
    sim_disk_mutate(g.disk, &m);
    must(link_a(&g) == 0 && !has(&g, "sub/b"), "a link that does nothing");
    must(sim_mutation_parse("link:swap:" WHY, &m), "a mutation of a link");
    sim_disk_mutate(g.disk, &m);
    must(link_a(&g) == 0 && !has(&g, "sub/b"), "a link that comes too late");
    must(g.v->dir_sync(g.disk, g.sub, WHY) == 0 && has(&g, "sub/b"), "a link after a sync");
    cut(&g, SIM_NOTHING);
    must(!has(&g, "sub/b"), "a link after the sync is durable");
    must(sim_mutation_parse("dir_remove:noop:" WHY, &m), "a mutation of a removal");
    sim_disk_mutate(g.disk, &m);
    must(g.v->dir_remove(g.disk, g.root, "sub", WHY) == 0, "a removal that does nothing");
    must(g.v->dir_sync(g.disk, g.root, WHY) == 0, "a sync");
    cut(&g, SIM_NOTHING);
    must(g.sub >= 0, "a removal that did nothing");
    sim_disk_free(&g.disk);
}

void sim_disk_try(void) {
    try_links();
    try_removal();
    try_cuts();
    try_past();
    try_rules();
}
