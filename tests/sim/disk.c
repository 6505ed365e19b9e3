/* SPDX-License-Identifier: MIT
 *
 * disk.c - a simulated disk (see disk.h); the bytes of the files are in image.c, their names in
 * names.c.
 *
 * DESIGN
 *   Every call that changes something is first described (struct change), then goes through one
 *   gate, sim_disk_change: hook, fault, mutation, and only then is it made. A mutation that swaps
 *   keeps the description and makes it after the next one, with a hook in between, so that a crash
 *   can fall there.
 *   Names point to inodes by number. Inodes that no list and no journal names are freed when the
 *   handles are void: at a kill or a power cut.
 */
#include "disk_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sim_op_name(enum sim_op op) {
    static const char *const names[SIM_OPS] = {
        [SIM_WRITE] = "write",       [SIM_SYNC] = "sync",        [SIM_DIR_SYNC] = "dir_sync",
        [SIM_TRUNCATE] = "truncate", [SIM_RENAME] = "rename",    [SIM_UNLINK] = "unlink",
        [SIM_LINK] = "link",         [SIM_ALLOC] = "alloc",      [SIM_DIR_REMOVE] = "dir_remove",
        [SIM_CREATE] = "create",     [SIM_OPEN] = "open",        [SIM_DIR_MAKE] = "dir_make",
        [SIM_READ] = "read",         [SIM_SIZE] = "size",        [SIM_LIST] = "list",
        [SIM_LOCK] = "lock",         [SIM_DIR_OPEN] = "dir_open"};
    return op < SIM_OPS ? names[op] : "?";
}

/* ---- mutations -------------------------------------------------------------------------------*/

bool sim_mutation_parse(const char *s, struct sim_mutation *m) {
    for (unsigned op = 0; op < SIM_CHANGES; op++) {
        const char *name = sim_op_name((enum sim_op)op);
        size_t n = strlen(name);
        if (strncmp(s, name, n) != 0 || s[n] != ':') continue;
        const char *how = s + n + 1;
        bool noop = strncmp(how, "noop:", 5) == 0;
        if (!noop && strncmp(how, "swap:", 5) != 0) return false;
        *m = (struct sim_mutation){.kind = noop ? SIM_MUTANT_NOOP : SIM_MUTANT_SWAP,
                                   .op = (enum sim_op)op};
        return snprintf(m->why, sizeof m->why, "%s", how + 5) < (int)sizeof m->why;
    }
    return false;
}

/* ---- inodes ------------------------------------------------------------------------------------*/

int sim_inode_new(struct sim_disk *d, bool folder) {
    unsigned i = 0;
    while (i < d->inodes && d->inode[i] != NULL) i++;
    if (i == d->inodes) {
        d->inode = sim_need(realloc(d->inode, (d->inodes + 16) * sizeof *d->inode));
        memset(d->inode + d->inodes, 0, 16 * sizeof *d->inode);
        d->inodes += 16;
    }
    d->inode[i] = sim_need(calloc(1, sizeof *d->inode[i]));
    d->inode[i]->folder = folder;
    return (int)i;
}

void sim_inode_free(struct sim_disk *d, unsigned i) {
    if (d->inode[i] == NULL) return;
    sim_inode_fini(d->inode[i]);
    free(d->inode[i]);
    d->inode[i] = NULL;
}

static void inodes_sweep(struct sim_disk *d) {
    sim_folder_prune(d);
    for (unsigned i = 0; i < d->inodes; i++)
        if (!sim_inode_named(d, (int)i)) sim_inode_free(d, i);
}

/* ---- the gate: what happens before a call is made ------------------------------------------------*/

static void count_site(struct sim_disk *d, enum sim_op op, const char *why) {
    if (d->sites == NULL) return;
    struct sim_sites *l = d->sites;
    for (unsigned i = 0; i < l->count; i++)
        if (l->site[i].op == op && strcmp(l->site[i].why, why) == 0) {
            l->site[i].calls++;
            return;
        }
    if (l->count == SIM_SITES_MAX) test_fail("too many call sites for the simulation");
    struct sim_site *s = &l->site[l->count++];
    *s = (struct sim_site){.op = op, .calls = 1};
    if (snprintf(s->why, sizeof s->why, "%s", why) >= (int)sizeof s->why)
        test_fail("the call site %s has too long a name", why);
}

/* fault_applies: whether a call can fail in this way. */
static bool fault_applies(enum sim_how how, enum sim_op op) {
    bool moves = op == SIM_READ || op == SIM_WRITE;
    if (how == SIM_FAIL_SHORT) return moves;
    if (how != SIM_FAIL_EINTR) return true;
    return moves || op == SIM_OPEN || op == SIM_ALLOC || op == SIM_TRUNCATE;
}

static bool fault_hits(struct sim_disk *d, const struct sim_call *c) {
    const struct sim_fault *f = &d->fault;
    if (f->nth == 0 || (f->changes_only && c->op >= SIM_CHANGES)) return false;
    if (!fault_applies(f->how, c->op)) return false;
    if (f->why != NULL && strcmp(f->why, c->why) != 0) return false;
    d->fault_seen++;
    uint64_t last =
        !f->for_good ? f->nth : (f->how == SIM_FAIL_EINTR ? f->nth + EINTR_ROW - 1 : UINT64_MAX);
    return d->fault_seen >= f->nth && d->fault_seen <= last;
}

/* pass: 0 if the call may be made (d->cut_short: half of it), or -errno. */
static int pass(struct sim_disk *d, const struct sim_call *c) {
    if (d->off) return -EIO;
    bool changes = c->op < SIM_CHANGES;
    d->calls++;
    if (changes) {
        d->changes++;
        count_site(d, c->op, c->why);
        if (d->hook != NULL) d->hook(d->hook_arg, c);
        if (d->off) return -EIO;
    }
    d->cut_short = false;
    if (!fault_hits(d, c)) return 0;
    d->faulted++;
    sim_name_copy(d->faulted_file, c->file);
    switch (d->fault.how) {
    case SIM_FAIL_SHORT:
        d->cut_short = true;
        return 0;
    case SIM_FAIL_ENOSPC:
        return -ENOSPC;
    case SIM_FAIL_EINTR:
        return -EINTR;
    case SIM_FAIL_EIO:
    case SIM_FAIL_HOWS:
        break;
    }
    return -EIO;
}

int sim_disk_look(struct sim_disk *d, enum sim_op op, int inode) {
    struct sim_call c = {.op = op, .why = sim_op_name(op), .file = sim_name_of(d, inode)};
    return pass(d, &c);
}

/* ---- making changes ----------------------------------------------------------------------------*/

/* first_name: the first place in the list where that inode is named. */
static unsigned first_name(const struct sim_disk *d, unsigned at) {
    unsigned i = 0;
    while (d->now.name[i].inode != d->now.name[at].inode) i++;
    return i;
}

uint64_t sim_disk_used(const struct sim_disk *d) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->now.count; i++)
        if (first_name(d, i) == i) sum += d->inode[d->now.name[i].inode]->now.bytes;
    return sum;
}

/* may_grow: the size that the file can have, at most `bytes`. */
static uint64_t may_grow(const struct sim_disk *d, int inode, uint64_t bytes) {
    if (!sim_disk_is_limited(d)) return bytes;
    uint64_t has = d->inode[inode]->now.bytes, used = sim_disk_used(d);
    uint64_t left = used < d->room ? d->room - used : 0;
    return bytes <= has || bytes - has <= left ? bytes : has + left;
}

static int64_t make_write(struct sim_disk *d, const struct change *c) {
    uint64_t n = may_grow(d, c->inode, c->offset + c->n);
    n = n > c->offset ? n - c->offset : 0;
    if (n == 0 && c->n > 0) return -ENOSPC;
    sim_inode_write(d->inode[c->inode], &d->seq, c->p, n, c->offset);
    return (int64_t)n;
}

static int make_size(struct sim_disk *d, const struct change *c) {
    if (may_grow(d, c->inode, c->n) != c->n) return -ENOSPC;
    sim_inode_resize(d->inode[c->inode], &d->seq, c->n);
    return 0;
}

static int64_t make(struct sim_disk *d, const struct change *c) {
    switch (c->op) {
    case SIM_WRITE:
        return make_write(d, c);
    case SIM_SYNC:
        sim_inode_sync(d->inode[c->inode], c->mark);
        return 0;
    case SIM_DIR_SYNC:
        sim_folder_sync(d, c->in, c->mark);
        return 0;
    case SIM_TRUNCATE:
        return make_size(d, c);
    case SIM_ALLOC:
        if (!d->has_alloc) return -EOPNOTSUPP;
        return c->n <= d->inode[c->inode]->now.bytes ? 0 : make_size(d, c);
    default:
        return sim_folder_change(d, c);
    }
}

/* hold: copies the change, to be made after the next one. */
static void hold(struct sim_disk *d, const struct change *c) {
    struct held *h = &d->held;
    *h = (struct held){.set = true, .c = *c};
    if (c->p != NULL) h->c.p = h->p = memcpy(sim_need(malloc(c->n)), c->p, c->n);
    if (c->name != NULL) sim_name_copy(h->name, c->name);
    if (c->to != NULL) sim_name_copy(h->to, c->to);
    snprintf(h->why, sizeof h->why, "%s", c->why);
    h->c.name = c->name != NULL ? h->name : NULL;
    h->c.to = c->to != NULL ? h->to : NULL;
    h->c.why = h->why;
}

static void drop_held(struct sim_disk *d) {
    free(d->held.p);
    d->held = (struct held){0};
}

/* make_held: the one that was held back, if it is not the one just held. */
static void make_held(struct sim_disk *d) {
    if (!d->held.set) return;
    struct held h = d->held;
    d->held = (struct held){0};
    h.c.name = h.c.name != NULL ? h.name : NULL;
    h.c.to = h.c.to != NULL ? h.to : NULL;
    struct sim_call call = {.op = h.c.op, .why = h.why, .file = sim_name_of(d, h.c.inode)};
    if (d->hook != NULL) d->hook(d->hook_arg, &call);
    h.c.mark = d->seq;
    if (!d->off && d->inode[h.c.inode < 0 ? 0 : h.c.inode] != NULL) (void)make(d, &h.c);
    free(h.p);
}

static bool mutates(const struct sim_disk *d, const struct change *c) {
    return d->mutation.kind != SIM_MUTANT_NONE && d->mutation.op == c->op &&
           strcmp(d->mutation.why, c->why) == 0;
}

/* failed: what a failed call leaves behind: the first half of a write, up to the end of a sector;
 * clean pages after a sync. */
static void failed(struct sim_disk *d, const struct change *c, int rc) {
    if (d->off) return;
    if (c->op == SIM_WRITE && rc == -EIO) {
        struct change half = *c;
        uint64_t end = (c->offset + c->n / 2) / SIM_SECTOR * SIM_SECTOR;
        half.n = end > c->offset ? end - c->offset : 0;
        if (half.n > 0) (void)make_write(d, &half);
    }
    if (c->op == SIM_SYNC && d->sync_drops) sim_inode_forget(d->inode[c->inode], c->mark);
}

int64_t sim_disk_change(struct sim_disk *d, struct change *c) {
    c->mark = d->seq;
    struct sim_call call = {.op = c->op,
                            .why = c->why,
                            .file = c->name != NULL ? c->name : sim_name_of(d, c->inode),
                            .offset = c->offset,
                            .bytes = c->n};
    int rc = pass(d, &call);
    if (rc != 0) {
        failed(d, c, rc);
        return rc;
    }
    /* Inside one sector nothing is ever half done: see Sectors in docs/DURABILITY.md. */
    bool one_sector = (c->offset + c->n - 1) / SIM_SECTOR == c->offset / SIM_SECTOR;
    if (d->cut_short && c->n > 1 && !one_sector) c->n /= 2;
    int64_t done = c->op == SIM_WRITE ? (int64_t)c->n : 0;
    if (mutates(d, c)) {
        if (d->held.set) make_held(d);
        if (d->mutation.kind == SIM_MUTANT_SWAP) hold(d, c);
        return done;
    }
    int64_t made = make(d, c);
    make_held(d);
    return made;
}

/* ---- making and settings -----------------------------------------------------------------------*/

struct sim_disk *sim_disk_new(uint64_t seed) {
    struct sim_disk *d = sim_need(calloc(1, sizeof *d));
    d->rng.state = seed;
    d->room = UINT64_MAX;
    d->has_alloc = d->sync_drops = true;
    sim_disk_table(d);
    return d;
}

void sim_disk_free(struct sim_disk **d) {
    if (*d == NULL) return;
    drop_held(*d);
    for (unsigned i = 0; i < (*d)->inodes; i++) sim_inode_free(*d, i);
    free((*d)->inode);
    free(*d);
    *d = NULL;
}

const struct nitro_vfs *sim_disk_vfs(struct sim_disk *d) { return &d->table; }

void sim_disk_hook(struct sim_disk *d, sim_hook *hook, void *arg) {
    d->hook = hook;
    d->hook_arg = arg;
}

void sim_disk_sites(struct sim_disk *d, struct sim_sites *sites) { d->sites = sites; }

void sim_disk_fault(struct sim_disk *d, const struct sim_fault *f) {
    d->fault = *f;
    d->fault_seen = d->faulted = 0;
    d->faulted_file[0] = '\0';
}

uint64_t sim_disk_faulted(const struct sim_disk *d) { return d->faulted; }

const char *sim_disk_faulted_file(const struct sim_disk *d) { return d->faulted_file; }

uint64_t sim_disk_calls(const struct sim_disk *d, bool changes_only) {
    return changes_only ? d->changes : d->calls;
}

void sim_disk_mutate(struct sim_disk *d, const struct sim_mutation *m) { d->mutation = *m; }

void sim_disk_inherit(struct sim_disk *d, const struct sim_disk *from) {
    d->sites = from->sites;
    d->mutation = from->mutation;
    sim_disk_traits(d, from->has_alloc, from->sync_drops);
}

void sim_disk_room(struct sim_disk *d, uint64_t bytes) { d->room = bytes; }

bool sim_disk_is_limited(const struct sim_disk *d) { return d->room != UINT64_MAX; }

void sim_disk_traits(struct sim_disk *d, bool has_alloc, bool sync_drops) {
    d->has_alloc = has_alloc;
    d->sync_drops = sync_drops;
}

unsigned sim_disk_handles(const struct sim_disk *d) {
    unsigned n = 0;
    for (int i = 0; i < HANDLES_MAX; i++) n += d->handle[i].used;
    return n;
}

/* ---- crashes -----------------------------------------------------------------------------------*/

void sim_disk_off(struct sim_disk *d) { d->off = true; }
bool sim_disk_is_off(const struct sim_disk *d) { return d->off; }

void sim_disk_kill(struct sim_disk *d) {
    memset(d->handle, 0, sizeof d->handle);
    drop_held(d);
    inodes_sweep(d);
    d->off = false;
}

/* draw_cut: where a prefix ends is drawn from the unsynced entries alone, and often near their
 * end. */
static struct sim_cut draw_cut(struct sim_disk *d, enum sim_rule rule) {
    struct sim_cut c = {.rule = rule, .rng = &d->rng};
    uint64_t first = d->seq;
    for (unsigned i = 0; i < d->inodes; i++)
        if (d->inode[i] != NULL && d->inode[i]->count > 0 && d->inode[i]->entry[0].seq < first)
            first = d->inode[i]->entry[0].seq;
    uint64_t span = d->seq - first + 1;
    if (span > 4 && test_rng_below(&d->rng, 2) == 0) span = 4;
    c.last_seq = d->seq - test_rng_below(&d->rng, span);
    c.odds = (uint64_t[]){1, 4, 7}[test_rng_below(&d->rng, 3)];
    return c;
}

void sim_disk_power(struct sim_disk *d, enum sim_rule rule) {
    memset(d->handle, 0, sizeof d->handle);
    drop_held(d);
    struct sim_cut c = draw_cut(d, rule);
    for (unsigned i = 0; i < d->inodes; i++)
        if (d->inode[i] != NULL) sim_inode_power(d->inode[i], &c);
    if (c.rule == SIM_PREFIX) c.rule = SIM_COINS; /* a folder's journal has an order of its own */
    sim_folder_power(d, &c);
    d->exists = d->exists_kept;
    inodes_sweep(d);
    d->off = false;
}

/* ---- looking and damaging ----------------------------------------------------------------------*/

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct sim_file *)a)->name, ((const struct sim_file *)b)->name);
}

/* list: folders, if they are wanted, with a slash at the end. */
static unsigned list(const struct sim_disk *d, struct sim_file *out, bool folders) {
    unsigned n = 0;
    for (unsigned i = 0; i < d->now.count; i++) {
        const struct sim_inode *f = d->inode[d->now.name[i].inode];
        if (f->folder && !folders) continue;
        out[n] = (struct sim_file){.data = f->now.data, .bytes = f->now.bytes};
        (void)snprintf(out[n++].name, SIM_NAME_MAX, "%s%s", d->now.name[i].text,
                       f->folder ? "/" : "");
    }
    qsort(out, n, sizeof *out, by_name);
    return n;
}

unsigned sim_disk_list(struct sim_disk *d, struct sim_file *out) { return list(d, out, false); }

unsigned sim_disk_list_folders(struct sim_disk *d, struct sim_file *out) {
    unsigned n = 0;
    for (unsigned i = 0; i < d->now.count; i++)
        if (d->inode[d->now.name[i].inode]->folder)
            sim_name_copy(out[n++].name, d->now.name[i].text);
    return n;
}

bool sim_disk_find(struct sim_disk *d, const char *name, struct sim_file *out) {
    const struct name *n = sim_name_find(&d->now, name);
    if (n == NULL || d->inode[n->inode]->folder) return false;
    const struct sim_image *m = &d->inode[n->inode]->now;
    *out = (struct sim_file){.data = m->data, .bytes = m->bytes};
    sim_name_copy(out->name, name);
    return true;
}

/* put_folder: if it is missing. put_folders: those that a name is in. */
static void put_folder(struct sim_disk *d, const char *name) {
    if (sim_name_find(&d->now, name) == NULL) sim_folder_put(d, name, sim_inode_new(d, true));
    d->exists = d->exists_kept = true;
}
static void put_folders(struct sim_disk *d, const char *name) {
    char text[SIM_NAME_MAX];
    sim_name_copy(text, name);
    for (char *slash = strchr(text, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        put_folder(d, text);
        *slash = '/';
    }
}

static void put_name(struct sim_disk *d, const char *name, int inode) {
    put_folders(d, name);
    sim_name_set(&d->now, name, inode);
    sim_name_set(&d->kept, name, inode);
    d->exists = d->exists_kept = true;
}

void sim_disk_put(struct sim_disk *d, const char *name, const void *p, uint64_t bytes) {
    struct name *n = sim_name_find(&d->now, name);
    int inode = n != NULL ? n->inode : sim_inode_new(d, false);
    struct sim_inode *f = d->inode[inode];
    if (f->folder) test_fail("%s is a folder, and a file is put there", name);
    sim_image_set(&f->now, p, bytes);
    sim_image_set(&f->kept, p, bytes);
    put_name(d, name, inode);
}

void sim_disk_drop(struct sim_disk *d, const char *name) {
    struct name *n = sim_name_find(&d->now, name);
    if (n == NULL) return;
    int inode = n->inode;
    sim_name_drop(&d->now, name, inode);
    sim_name_drop(&d->kept, name, inode);
    inodes_sweep(d);
}

struct sim_disk *sim_disk_copy(const struct sim_disk *d) {
    struct sim_disk *copy = sim_disk_new(d->rng.state);
    for (unsigned i = 0; i < d->now.count; i++) {
        const struct name *n = &d->now.name[i];
        const struct sim_inode *f = d->inode[n->inode];
        unsigned first = first_name(d, i);
        if (f->folder)
            put_folder(copy, n->text);
        else if (first == i)
            sim_disk_put(copy, n->text, f->now.data, f->now.bytes);
        else
            put_name(copy, n->text, sim_name_find(&copy->now, d->now.name[first].text)->inode);
    }
    sim_disk_traits(copy, d->has_alloc, d->sync_drops);
    return copy;
}

static unsigned list_without_lock(struct sim_disk *d, struct sim_file *out) {
    unsigned n = list(d, out, true), left = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *slash = strrchr(out[i].name, '/');
        if (strcmp(slash != NULL ? slash + 1 : out[i].name, "LOCK") != 0) out[left++] = out[i];
    }
    return left;
}

bool sim_disk_same(struct sim_disk *a, struct sim_disk *b) {
    struct sim_file x[SIM_FILES_MAX], y[SIM_FILES_MAX];
    unsigned n = list_without_lock(a, x);
    if (n != list_without_lock(b, y)) return false;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(x[i].name, y[i].name) != 0 || x[i].bytes != y[i].bytes ||
            (x[i].bytes > 0 && memcmp(x[i].data, y[i].data, x[i].bytes) != 0))
            return false;
    return true;
}
