/* SPDX-License-Identifier: MIT
 *
 * image.c - the bytes of one simulated file (see image.h).
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

void *sim_need(void *p) {
    if (p == NULL) test_fail("the simulation itself is out of memory");
    return p;
}

bool sim_cut_keeps(const struct sim_cut *c, uint64_t seq) {
    switch (c->rule) {
    case SIM_EVERYTHING:
        return true;
    case SIM_PREFIX:
        return seq <= c->last_seq;
    case SIM_COINS:
        return test_rng_below(c->rng, 8) < c->odds;
    case SIM_NOTHING:
    case SIM_RULES:
        break;
    }
    return false;
}

/* ---- one image ---------------------------------------------------------------------------------*/

static void image_reserve(struct sim_image *m, uint64_t bytes) {
    if (bytes <= m->cap) return;
    uint64_t cap = m->cap == 0 ? 8 * SIM_SECTOR : m->cap;
    while (cap < bytes) cap *= 2;
    m->data = sim_need(realloc(m->data, cap));
    memset(m->data + m->cap, 0, cap - m->cap);
    m->cap = cap;
}

static void image_resize(struct sim_image *m, uint64_t bytes) {
    image_reserve(m, bytes);
    if (bytes < m->bytes) memset(m->data + bytes, 0, m->bytes - bytes);
    m->bytes = bytes;
}

void sim_image_set(struct sim_image *m, const void *p, uint64_t bytes) {
    image_resize(m, bytes);
    if (bytes > 0) memcpy(m->data, p, bytes);
}

static void image_apply(struct sim_image *m, const struct sim_entry *e) {
    if (e->sector == NULL) {
        image_resize(m, e->at);
        return;
    }
    uint64_t from = e->at * SIM_SECTOR;
    if (from >= m->bytes) return;
    uint64_t n = m->bytes - from < SIM_SECTOR ? m->bytes - from : SIM_SECTOR;
    memcpy(m->data + from, e->sector, n);
}

/* ---- journal -----------------------------------------------------------------------------------*/

static struct sim_entry *journal_add(struct sim_inode *f, uint64_t *seq, uint64_t at) {
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 16 : f->cap * 2;
        f->entry = sim_need(realloc(f->entry, f->cap * sizeof *f->entry));
    }
    f->touched = true;
    struct sim_entry *e = &f->entry[f->count++];
    *e = (struct sim_entry){.seq = ++*seq, .at = at};
    return e;
}

/* journal_add_sector: as it is now, padded with zeros behind the end of the file. */
static void journal_add_sector(struct sim_inode *f, uint64_t *seq, uint64_t number) {
    struct sim_entry *e = journal_add(f, seq, number);
    e->sector = sim_need(malloc(SIM_SECTOR));
    uint64_t from = number * SIM_SECTOR;
    uint64_t n = f->now.cap - from < SIM_SECTOR ? f->now.cap - from : SIM_SECTOR;
    memcpy(e->sector, f->now.data + from, n);
    memset(e->sector + n, 0, SIM_SECTOR - n);
}

/* journal_drop: the first n entries. */
static void journal_drop(struct sim_inode *f, size_t n) {
    for (size_t i = 0; i < n; i++) free(f->entry[i].sector);
    f->count -= n;
    if (f->count > 0) memmove(f->entry, f->entry + n, f->count * sizeof *f->entry);
}

static size_t journal_until(const struct sim_inode *f, uint64_t seq) {
    size_t n = 0;
    while (n < f->count && f->entry[n].seq <= seq) n++;
    return n;
}

/* ---- one file ----------------------------------------------------------------------------------*/

void sim_inode_fini(struct sim_inode *f) {
    journal_drop(f, f->count);
    free(f->entry);
    free(f->now.data);
    free(f->kept.data);
    *f = (struct sim_inode){0};
}

void sim_inode_resize(struct sim_inode *f, uint64_t *seq, uint64_t bytes) {
    if (bytes == f->now.bytes) return;
    image_resize(&f->now, bytes);
    (void)journal_add(f, seq, bytes);
}

void sim_inode_write(struct sim_inode *f, uint64_t *seq, const void *p, size_t n, uint64_t offset) {
    if (n == 0) return;
    if (offset + n > f->now.bytes) sim_inode_resize(f, seq, offset + n);
    memcpy(f->now.data + offset, p, n);
    for (uint64_t s = offset / SIM_SECTOR; s <= (offset + n - 1) / SIM_SECTOR; s++)
        journal_add_sector(f, seq, s);
}

void sim_inode_sync(struct sim_inode *f, uint64_t seq) {
    size_t n = journal_until(f, seq);
    for (size_t i = 0; i < n; i++) image_apply(&f->kept, &f->entry[i]);
    journal_drop(f, n);
}

void sim_inode_forget(struct sim_inode *f, uint64_t seq) {
    size_t n = journal_until(f, seq), left = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (i < n && f->entry[i].sector != NULL)
            free(f->entry[i].sector);
        else
            f->entry[left++] = f->entry[i];
    }
    f->count = left;
}

void sim_inode_power(struct sim_inode *f, const struct sim_cut *c) {
    for (size_t i = 0; i < f->count; i++)
        if (sim_cut_keeps(c, f->entry[i].seq)) image_apply(&f->kept, &f->entry[i]);
    journal_drop(f, f->count);
    if (f->touched) sim_image_set(&f->now, f->kept.data, f->kept.bytes);
    f->touched = false;
}
