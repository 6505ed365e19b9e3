/* SPDX-License-Identifier: MIT
 *
 * disk.h - a simulated disk: one folder and those in it behind a struct nitro_vfs, in memory, from a
 * seed.
 *
 * WHAT
 *   Every file has two images: what reads see (the page cache) and what a power cut leaves (what
 *   was synced). Between them stands a journal of 512-byte sectors and sizes in the order in which
 *   they were written. The names have two images and a journal of entries made, linked, renamed and
 *   removed as well.
 *     kill   closes all handles, and that is all: the page cache stays.
 *     power  keeps what was synced and, of the journal, what the rule says: nothing, everything,
 *            the first so many sectors, or each sector by the toss of a coin. A sector that is
 *            lost reads as it did when it was synced, as zeros if it never was. Unsynced entries
 *            are kept or lost one by one; a rename is kept or lost as a whole.
 *   Whatever the first part of a path is, it means the disk's own folder; what follows is a folder in
 *   it. Names outside of the table are whole: "CONTROL", "retained/x". A new folder is durable at
 *   once, as with the system's table. A sync of a folder covers the entries of that folder alone. The
 *   removal of a folder is an entry of the one that it was in: once it is durable, nothing that was
 *   in the folder comes back; until then a power cut may keep the removal and lose that of a file
 *   inside, and then the folder is there too.
 *   A sync covers what was written when it began: what its hook writes meanwhile is not covered.
 *   A sync that fails leaves the pages clean (they are lost to every later sync, as in Linux) or
 *   dirty.
 *
 * SWITCHED OFF  A hook runs before every call that changes something, and may switch the machine
 *   off: from then on every call answers -EIO and changes nothing. The driver closes the store and
 *   calls sim_disk_kill or sim_disk_power, which switch it on again. So no engine frame is ever
 *   left by a jump.
 *
 * FAULTS  One rule at a time (struct sim_fault): the n-th call that matches fails, once or from
 *   then on.
 * MUTATION  One call site at a time (struct sim_mutation): does nothing and says that all is well,
 *   or is done only after the next call.
 *
 * THREADS  One. OWNERSHIP  A disk owns its files; hook arguments are borrowed by the disk.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "support.h"

#define SIM_SECTOR 512u

enum sim_op {
    SIM_WRITE,
    SIM_SYNC,
    SIM_DIR_SYNC,
    SIM_TRUNCATE,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_LINK,
    SIM_DIR_REMOVE,
    SIM_ALLOC,
    SIM_CREATE,   /* an open that makes a file */
    SIM_DIR_MAKE, /* one that makes a folder in the disk's own; its call site is "dir_make" */
    SIM_CHANGES,  /* those before this one change something */
    SIM_OPEN = SIM_CHANGES,
    SIM_READ,
    SIM_SIZE,
    SIM_LIST,
    SIM_LOCK,
    SIM_DIR_OPEN,
    SIM_OPS
};
/* sim_op_name: "write", "sync", ... */
const char *sim_op_name(enum sim_op op);

/* A call about to be made. `why` is the engine's; for calls that carry none it is the name of the
 * call. */
struct sim_call {
    enum sim_op op;
    const char *why;
    const char *file; /* its current name, "" if it has none: the one in the disk's own folder, if
                         there are several; of a folder's sync the folder's; of a link the old one */
    uint64_t offset, bytes;
};
typedef void sim_hook(void *arg, const struct sim_call *call);

/* Call sites, in order of first use; kept by the driver over the lives of many disks. */
#define SIM_SITES_MAX 192u
struct sim_site {
    enum sim_op op;
    char why[48];
    uint64_t calls;
};
struct sim_sites {
    struct sim_site site[SIM_SITES_MAX];
    unsigned count;
};

enum sim_how {
    SIM_FAIL_EIO,
    SIM_FAIL_ENOSPC,
    /* Half of the bytes, but never a part of one sector; reads and writes alone are counted. */
    SIM_FAIL_SHORT,
    /* Only calls that a signal can interrupt before they have begun are counted. "For good" means
     * eight times, because no call is interrupted for ever. */
    SIM_FAIL_EINTR,
    SIM_FAIL_HOWS
};
struct sim_fault {
    uint64_t nth;    /* 0 = no fault; counted among the calls that match */
    const char *why; /* NULL = any; borrowed */
    enum sim_how how;
    bool changes_only; /* only calls that change something are counted */
    bool for_good;
};

enum sim_mutant { SIM_MUTANT_NONE, SIM_MUTANT_NOOP, SIM_MUTANT_SWAP };
struct sim_mutation {
    enum sim_mutant kind;
    enum sim_op op;
    char why[48];
};
/* sim_mutation_parse: "sync:noop:log: sync", "rename:swap:...". False: not understood. */
bool sim_mutation_parse(const char *s, struct sim_mutation *m);

enum sim_rule { SIM_NOTHING, SIM_EVERYTHING, SIM_PREFIX, SIM_COINS, SIM_RULES };

struct sim_disk;

/* sim_disk_new: an empty disk without the folder. Ends the test without memory. */
struct sim_disk *sim_disk_new(uint64_t seed);
void sim_disk_free(struct sim_disk **d);
/* sim_disk_copy: a disk with the same files, folders and links and no faults, hook or mutation;
 * everything counts as synced: what a copy of the folder has. */
struct sim_disk *sim_disk_copy(const struct sim_disk *d);
/* sim_disk_vfs: the table that leads to this disk; valid as long as the disk. */
const struct nitro_vfs *sim_disk_vfs(struct sim_disk *d);

/* ---- what may go wrong -------------------------------------------------------------------------*/
void sim_disk_hook(struct sim_disk *d, sim_hook *hook, void *arg);
void sim_disk_sites(struct sim_disk *d, struct sim_sites *sites);
/* sim_disk_fault: counts from now on; a rule with nth 0 ends the one before. */
void sim_disk_fault(struct sim_disk *d, const struct sim_fault *f);
/* sim_disk_faulted: calls that failed by the rule; sim_disk_faulted_file: the file of the last one. */
uint64_t sim_disk_faulted(const struct sim_disk *d);
const char *sim_disk_faulted_file(const struct sim_disk *d);
/* sim_disk_calls: calls so far; those that changed something alone, or all. */
uint64_t sim_disk_calls(const struct sim_disk *d, bool changes_only);
void sim_disk_mutate(struct sim_disk *d, const struct sim_mutation *m);
/* sim_disk_inherit: call sites, mutation and traits of another disk. */
void sim_disk_inherit(struct sim_disk *d, const struct sim_disk *from);
/* sim_disk_room: files may have so many bytes together. Without a call: no limit. */
void sim_disk_room(struct sim_disk *d, uint64_t bytes);
bool sim_disk_is_limited(const struct sim_disk *d);
/* sim_disk_used: bytes of all files, each once however many names it has. */
uint64_t sim_disk_used(const struct sim_disk *d);
/* sim_disk_traits: whether alloc is known at all, and whether a failed sync drops the pages. */
void sim_disk_traits(struct sim_disk *d, bool has_alloc, bool sync_drops);
/* sim_disk_off: the machine is off until the next crash. */
void sim_disk_off(struct sim_disk *d);
bool sim_disk_is_off(const struct sim_disk *d);
/* sim_disk_kill, sim_disk_power: what a killed process and a power cut leave. Handles are void. */
void sim_disk_kill(struct sim_disk *d);
void sim_disk_power(struct sim_disk *d, enum sim_rule rule);
/* sim_disk_handles: open ones: 0 after nitro_close. */
unsigned sim_disk_handles(const struct sim_disk *d);

/* ---- looking and damaging -----------------------------------------------------------------------
 * Looking is possible at any time, changing while no handle is open; changes are made to both images. */
#define SIM_NAME_MAX 64u
#define SIM_FILES_MAX 512u /* folders count too */
struct sim_file {
    char name[SIM_NAME_MAX];
    const uint8_t *data; /* borrowed until the file changes */
    uint64_t bytes;
};
/* sim_disk_list: the files of all folders in order of their names, at most SIM_FILES_MAX; returns how
 * many. */
unsigned sim_disk_list(struct sim_disk *d, struct sim_file *out);
/* sim_disk_list_folders: their names, likewise. */
unsigned sim_disk_list_folders(struct sim_disk *d, struct sim_file *out);
/* sim_disk_find: the file of that name. False if there is none. */
bool sim_disk_find(struct sim_disk *d, const char *name, struct sim_file *out);
/* sim_disk_put: a file with these bytes, in place of what had the name: where that is a file, its
 * other names get the bytes too. Its folder is made if need be. */
void sim_disk_put(struct sim_disk *d, const char *name, const void *p, uint64_t bytes);
/* sim_disk_drop: no file has this name any more; or no folder, and what was in it is gone too. */
void sim_disk_drop(struct sim_disk *d, const char *name);
/* sim_disk_same: whether both hold the same names, of folders too, and bytes; LOCK apart, which any
 * look at a folder makes. */
bool sim_disk_same(struct sim_disk *a, struct sim_disk *b);

/* sim_disk_try: folders, links and removals do what is said above (disk_try.c), or the test ends. */
void sim_disk_try(void);

#endif
