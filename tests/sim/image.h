/* SPDX-License-Identifier: MIT
 *
 * image.h - the bytes of one simulated file: as they are read, as they were synced, and the
 * journal of sectors and sizes in between (part of disk.c).
 *
 * WHAT   A write is journalled as the sectors it touched, each as it was after the write, because
 *        that is what a drive gets: so the n-th entry of a journal can reach the disk without the
 *        (n+1)-th, and never a part of a sector. A change of the size is an entry too, and comes
 *        before the sectors it makes room for. A sector beyond the size that survived is lost.
 * SEQUENCE  Entries of all files draw from one counter of the disk, so that "the first so many
 *        writes" has a meaning across files.
 */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "disk.h"

/* Bytes beyond `bytes` are zero up to `cap`. */
struct sim_image {
    uint8_t *data;
    uint64_t bytes, cap;
};
struct sim_entry {
    uint64_t seq;
    uint64_t at;     /* number of the sector, or the new size */
    uint8_t *sector; /* owned; NULL = a change of the size */
};
struct sim_inode {
    struct sim_image now, kept;
    struct sim_entry *entry; /* not synced, oldest first */
    size_t count, cap;
    bool touched; /* since the last power cut: only then the images may differ */
    bool folder;  /* has no bytes */
};

/* What a power cut does to the journals; drawn once for the whole disk. */
struct sim_cut {
    enum sim_rule rule;
    uint64_t last_seq;    /* SIM_PREFIX: this entry and those before it survive */
    uint64_t odds;        /* SIM_COINS: an entry survives with odds / 8 */
    struct test_rng *rng; /* borrowed */
};
/* sim_cut_keeps: whether the entry with this number survives. Tosses the coin. */
bool sim_cut_keeps(const struct sim_cut *c, uint64_t seq);

/* sim_need: p, or the end of the test if it is NULL. */
void *sim_need(void *p);

void sim_image_set(struct sim_image *m, const void *p, uint64_t bytes);
void sim_inode_fini(struct sim_inode *f);
void sim_inode_write(struct sim_inode *f, uint64_t *seq, const void *p, size_t n, uint64_t offset);
void sim_inode_resize(struct sim_inode *f, uint64_t *seq, uint64_t bytes);
/* sim_inode_sync: entries up to `seq` are on the disk. */
void sim_inode_sync(struct sim_inode *f, uint64_t seq);
/* sim_inode_forget: sectors up to `seq` never will be: their pages count as clean. */
void sim_inode_forget(struct sim_inode *f, uint64_t seq);
/* sim_inode_power: the rule decides about every entry; then both images are what is left. */
void sim_inode_power(struct sim_inode *f, const struct sim_cut *c);

#endif
