/* SPDX-License-Identifier: MIT
 *
 * disk_state.h - the inside of a simulated disk, shared by disk.c (faults, crashes), names.c and
 * disk_vfs.c (the table that the engine calls).
 */
#ifndef SIM_DISK_STATE_H
#define SIM_DISK_STATE_H

#include "disk.h"
#include "image.h"

#define HANDLES_MAX 64
#define JOURNAL_MAX 512u /* unsynced changes of folders */
#define EINTR_ROW 8u     /* times in a row that a call is interrupted "for good" */
#define NO_INODE (-1)    /* where a folder is meant: the disk's own */

struct name {
    char text[SIM_NAME_MAX];
    int inode;
};
struct names {
    struct name name[SIM_FILES_MAX];
    unsigned count;
};
/* A change of a folder that was not synced. */
struct folder_entry {
    enum sim_op op; /* SIM_CREATE, SIM_LINK, SIM_RENAME, SIM_UNLINK, SIM_DIR_REMOVE */
    uint64_t seq;
    int in; /* the folder */
    int inode;
    char name[SIM_NAME_MAX], to[SIM_NAME_MAX];
};
struct handle {
    bool used, folder, lock;
    unsigned flags;
    int inode; /* of a folder: NO_INODE is the disk's own */
};
/* A call that changes something, described. */
struct change {
    enum sim_op op;
    const char *why;
    int inode;
    const void *p; /* SIM_WRITE */
    uint64_t n;    /* bytes, or the new size */
    uint64_t offset;
    int in;                /* the folder of the entry that changes, or that is synced */
    const char *name, *to; /* whole */
    uint64_t mark;         /* a sync covers what was written up to here */
};
/* A change that a mutation holds back. */
struct held {
    bool set;
    struct change c;
    char name[SIM_NAME_MAX], to[SIM_NAME_MAX], why[48];
    uint8_t *p; /* owned copy */
};

struct sim_disk {
    struct nitro_vfs table;
    struct test_rng rng;
    struct sim_inode **inode;
    unsigned inodes;
    struct names now, kept;
    struct folder_entry journal[JOURNAL_MAX];
    unsigned journal_count;
    bool exists, exists_kept; /* the disk's own folder */
    struct handle handle[HANDLES_MAX];
    uint64_t seq;
    bool off;

    sim_hook *hook;
    void *hook_arg;
    struct sim_sites *sites;
    struct sim_fault fault;
    uint64_t fault_seen, faulted;
    char faulted_file[SIM_NAME_MAX];
    bool cut_short; /* the call that passes now does half of its work */
    uint64_t calls, changes;
    struct sim_mutation mutation;
    struct held held;
    uint64_t room;
    bool has_alloc, sync_drops;
};

/* sim_disk_table: fills in d->table (disk_vfs.c). */
void sim_disk_table(struct sim_disk *d);
/* sim_name_copy: to SIM_NAME_MAX bytes; a longer name ends the test. */
void sim_name_copy(char *to, const char *from);
/* sim_name_below: what follows in a name behind `folder` ("" = the disk's own); NULL: it is not in
 * that folder, nor in one below it. */
const char *sim_name_below(const char *name, const char *folder);
/* sim_name_find: NULL if there is no such name. sim_name_drop: if it still means that inode; what is
 * below it goes too. sim_name_of: one of its names, one without a folder if there is any; "" if it has
 * none. */
struct name *sim_name_find(struct names *l, const char *text);
void sim_name_set(struct names *l, const char *text, int inode);
void sim_name_drop(struct names *l, const char *text, int inode);
const char *sim_name_of(const struct sim_disk *d, int inode);
/* sim_inode_named: whether a list or the journal has it. */
bool sim_inode_named(const struct sim_disk *d, int inode);
/* sim_folder_put: a new folder under this name, in both images. */
void sim_folder_put(struct sim_disk *d, const char *name, int inode);
/* sim_folder_change: made now, and in the journal: 0 or -errno. */
int sim_folder_change(struct sim_disk *d, const struct change *c);
/* sim_folder_sync: changes of folder `in` up to `mark` are on the disk. sim_folder_prune: forgets
 * changes in folders that are gone for good. sim_folder_power: the cut decides about each. */
void sim_folder_sync(struct sim_disk *d, int in, uint64_t mark);
void sim_folder_prune(struct sim_disk *d);
void sim_folder_power(struct sim_disk *d, const struct sim_cut *c);
/* sim_inode_new: a file without a name, or a folder. sim_inode_free: NULL is fine. */
int sim_inode_new(struct sim_disk *d, bool folder);
void sim_inode_free(struct sim_disk *d, unsigned inode);
/* sim_disk_look: a call that changes nothing comes by: 0 if it may go on, or -errno. */
int sim_disk_look(struct sim_disk *d, enum sim_op op, int inode);
/* sim_disk_change: a call that changes something: what the call returns. */
int64_t sim_disk_change(struct sim_disk *d, struct change *c);

#endif
