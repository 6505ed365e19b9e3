/* SPDX-License-Identifier: MIT
 *
 * names.c - the names on a simulated disk, and what happens to them in a power cut (part of disk.c).
 *
 * DESIGN
 *   The disk has two lists of names, as they are and as they were synced, and a journal of what
 *   happened in between.
 */
#include "disk_state.h"

#include <string.h>

void sim_name_copy(char *to, const char *from) {
    size_t n = strlen(from);
    if (n >= SIM_NAME_MAX) test_fail("the file name %s is too long for the simulation", from);
    memcpy(to, from, n + 1);
}

struct name *sim_name_find(struct names *l, const char *text) {
    for (unsigned i = 0; i < l->count; i++)
        if (strcmp(l->name[i].text, text) == 0) return &l->name[i];
    return NULL;
}

void sim_name_set(struct names *l, const char *text, int inode) {
    struct name *n = sim_name_find(l, text);
    if (n == NULL) {
        if (l->count == SIM_FILES_MAX) test_fail("too many files for the simulation");
        n = &l->name[l->count++];
        sim_name_copy(n->text, text);
    }
    n->inode = inode;
}

void sim_name_drop(struct names *l, const char *text, int inode) {
    struct name *n = sim_name_find(l, text);
    if (n != NULL && n->inode == inode) *n = l->name[--l->count];
}

const char *sim_name_of(const struct sim_disk *d, int inode) {
    for (unsigned i = 0; i < d->now.count; i++)
        if (d->now.name[i].inode == inode) return d->now.name[i].text;
    return "";
}

bool sim_inode_named(const struct sim_disk *d, int inode) {
    for (unsigned i = 0; i < d->now.count; i++)
        if (d->now.name[i].inode == inode) return true;
    for (unsigned i = 0; i < d->kept.count; i++)
        if (d->kept.name[i].inode == inode) return true;
    for (unsigned i = 0; i < d->journal_count; i++)
        if (d->journal[i].inode == inode) return true;
    return false;
}

/* ---- changes -----------------------------------------------------------------------------------*/

static void apply(struct names *l, const struct folder_entry *e) {
    if (e->op != SIM_CREATE) sim_name_drop(l, e->name, e->inode);
    if (e->op == SIM_CREATE) sim_name_set(l, e->name, e->inode);
    if (e->op == SIM_RENAME) sim_name_set(l, e->to, e->inode);
}

int sim_folder_change(struct sim_disk *d, const struct change *c) {
    if (d->journal_count == JOURNAL_MAX) test_fail("too many changes of the folder without a sync");
    struct folder_entry *e = &d->journal[d->journal_count++];
    *e = (struct folder_entry){.op = c->op, .seq = ++d->seq, .inode = c->inode};
    sim_name_copy(e->name, c->name);
    if (c->to != NULL) sim_name_copy(e->to, c->to);
    apply(&d->now, e);
    return 0;
}

void sim_folder_sync(struct sim_disk *d, uint64_t mark) {
    unsigned left = 0;
    for (unsigned i = 0; i < d->journal_count; i++) {
        if (d->journal[i].seq <= mark)
            apply(&d->kept, &d->journal[i]);
        else
            d->journal[left++] = d->journal[i];
    }
    d->journal_count = left;
}

void sim_folder_power(struct sim_disk *d, const struct sim_cut *c) {
    for (unsigned i = 0; i < d->journal_count; i++)
        if (sim_cut_keeps(c, d->journal[i].seq)) apply(&d->kept, &d->journal[i]);
    d->journal_count = 0;
    d->now = d->kept;
}
