/* SPDX-License-Identifier: MIT
 *
 * names.c - the names on a simulated disk, and what happens to them in a power cut (part of disk.c).
 *
 * DESIGN
 *   The disk has two lists of names, as they are and as they were synced, and a journal of what
 *   happened in between. A folder is an inode too; what lies in it has its name and a slash in front.
 *   An entry of the journal belongs to the folder that it changes, by inode: one that was removed and
 *   made again is another one.
 *
 * INVARIANT  In both lists, the folder of every name is there too.
 */
#include "disk_state.h"

#include <errno.h>
#include <string.h>

void sim_name_copy(char *to, const char *from) {
    size_t n = strlen(from);
    if (n >= SIM_NAME_MAX) test_fail("the file name %s is too long for the simulation", from);
    memcpy(to, from, n + 1);
}

const char *sim_name_below(const char *name, const char *folder) {
    size_t n = strlen(folder);
    if (n == 0) return name;
    return strncmp(name, folder, n) == 0 && name[n] == '/' ? name + n + 1 : NULL;
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
    if (n == NULL || n->inode != inode) return;
    *n = l->name[--l->count];
    for (unsigned i = 0; i < l->count;)
        if (sim_name_below(l->name[i].text, text) != NULL)
            l->name[i] = l->name[--l->count];
        else
            i++;
}

const char *sim_name_of(const struct sim_disk *d, int inode) {
    const char *found = "";
    for (unsigned i = 0; i < d->now.count; i++) {
        if (d->now.name[i].inode != inode) continue;
        found = d->now.name[i].text;
        if (strchr(found, '/') == NULL) break;
    }
    return found;
}

static bool holds(const struct names *l, int inode) {
    for (unsigned i = 0; i < l->count; i++)
        if (l->name[i].inode == inode) return true;
    return false;
}

bool sim_inode_named(const struct sim_disk *d, int inode) {
    if (holds(&d->now, inode) || holds(&d->kept, inode)) return true;
    for (unsigned i = 0; i < d->journal_count; i++)
        if (d->journal[i].inode == inode) return true;
    return false;
}

/* ---- changes -----------------------------------------------------------------------------------*/

static bool is_empty(const struct names *l, const char *folder) {
    for (unsigned i = 0; i < l->count; i++)
        if (sim_name_below(l->name[i].text, folder) != NULL) return false;
    return true;
}

static void apply(struct names *l, const struct folder_entry *e) {
    if (e->op != SIM_CREATE && e->op != SIM_LINK) sim_name_drop(l, e->name, e->inode);
    if (e->op == SIM_CREATE) sim_name_set(l, e->name, e->inode);
    if (e->op == SIM_RENAME || e->op == SIM_LINK) sim_name_set(l, e->to, e->inode);
}

/* A folder of that name whose removal was not synced is gone for good, with what was in it. */
void sim_folder_put(struct sim_disk *d, const char *name, int inode) {
    const struct name *n = sim_name_find(&d->kept, name);
    if (n != NULL) sim_name_drop(&d->kept, name, n->inode);
    sim_name_set(&d->now, name, inode);
    sim_name_set(&d->kept, name, inode);
    sim_folder_prune(d);
}

/* refused: what cannot be done, by what is there now; 1 if there is nothing to do. */
static int refused(struct sim_disk *d, const struct change *c) {
    if (c->in != NO_INODE && !holds(&d->now, c->in)) return -ENOENT;
    if (c->op == SIM_DIR_REMOVE && !is_empty(&d->now, c->name)) return -ENOTEMPTY;
    if (c->op != SIM_RENAME) return 0;
    const struct name *n = sim_name_find(&d->now, c->to);
    return n != NULL && n->inode == c->inode; /* two names of one file */
}

int sim_folder_change(struct sim_disk *d, const struct change *c) {
    int rc = refused(d, c);
    if (rc != 0) return rc < 0 ? rc : 0;
    if (c->op == SIM_DIR_MAKE) {
        sim_folder_put(d, c->name, c->inode);
        return 0;
    }
    if (d->journal_count == JOURNAL_MAX) test_fail("too many changes of folders without a sync");
    struct folder_entry *e = &d->journal[d->journal_count++];
    *e = (struct folder_entry){.op = c->op, .seq = ++d->seq, .in = c->in, .inode = c->inode};
    sim_name_copy(e->name, c->name);
    if (c->to != NULL) sim_name_copy(e->to, c->to);
    apply(&d->now, e);
    return 0;
}

void sim_folder_prune(struct sim_disk *d) {
    unsigned left = 0;
    for (unsigned i = 0; i < d->journal_count; i++) {
        int in = d->journal[i].in;
        if (in == NO_INODE || holds(&d->now, in) || holds(&d->kept, in))
            d->journal[left++] = d->journal[i];
    }
    d->journal_count = left;
}

void sim_folder_sync(struct sim_disk *d, int in, uint64_t mark) {
    unsigned left = 0;
    for (unsigned i = 0; i < d->journal_count; i++) {
        if (d->journal[i].in == in && d->journal[i].seq <= mark)
            apply(&d->kept, &d->journal[i]);
        else
            d->journal[left++] = d->journal[i];
    }
    d->journal_count = left;
    sim_folder_prune(d);
}

/* A folder in which something is left is not removed. What happened in it stands before its removal,
 * and is decided by then. */
void sim_folder_power(struct sim_disk *d, const struct sim_cut *c) {
    for (unsigned i = 0; i < d->journal_count; i++) {
        const struct folder_entry *e = &d->journal[i];
        if (!sim_cut_keeps(c, e->seq)) continue;
        if (e->op != SIM_DIR_REMOVE || is_empty(&d->kept, e->name)) apply(&d->kept, e);
    }
    d->journal_count = 0;
    d->now = d->kept;
}
