/* SPDX-License-Identifier: MIT
 *
 * files.c - the table of data files (L4).
 *
 * DESIGN
 *   The table never moves, so that readers need no lock for it: room for all slots is mapped at once, and touched as
 *   far as it is used. Slots are given out from the front, so that they stay few pages.
 */
#include "files.h"

#define TABLE_BYTES nk_round_up(NK_LOC_SLOTS * sizeof(struct nk_file), NK_PAGE)

struct nk_files *nk_files_open(const struct nitro_mem *mem, const struct nitro_vfs *vfs) {
    struct nk_files *f = nk_mem_zalloc(mem, sizeof *f);
    if (f == NULL) return NULL;
    *f = (struct nk_files){.mem = mem, .vfs = vfs, .top = 1};
    f->slot = nk_mem_map(mem, TABLE_BYTES, NK_PAGE);
    if (f->slot != NULL) return f;
    nk_mem_free(mem, f, sizeof *f);
    return NULL;
}

/* Accounts of any slot may be set to 0 by a flush at the same time, which has the gate. */
static void clear_accounts(struct nk_file *s) {
    __atomic_store_n(&s->live_bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->put_bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->gone_bytes, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->gone_lsn, 0, __ATOMIC_RELAXED);
}

static void free_slot(struct nk_files *f, struct nk_file *s) {
    if (s->map != NULL) f->vfs->unmap(f->vfs->ctx, s->map, s->map_bytes);
    s->map = NULL;
    if (s->fd >= 0) (void)f->vfs->close(f->vfs->ctx, s->fd); /* only read */
    s->fd = -1;
    s->number = 0;
    s->leaving = false; /* else a sweep would free it again, in place of one that is to go */
    f->count--;
}

void nk_files_close(struct nk_files **fp) {
    struct nk_files *f = *fp;
    *fp = NULL;
    if (f == NULL) return;
    for (uint32_t i = 1; i < f->top; i++)
        if (f->slot[i].number != 0) free_slot(f, &f->slot[i]);
    nk_mem_unmap(f->mem, f->slot, TABLE_BYTES);
    nk_mem_free(f->mem, f, sizeof *f);
}

uint32_t nk_files_add(struct nk_files *f, uint64_t number, enum nk_manifest_kind kind,
                      uint64_t salt, int fd) {
    uint32_t i = 1;
    nk_files_sweep(f);
    if (f->count + 1 == f->top) i = f->top; /* none is free below */
    while (i < f->top && f->slot[i].number != 0) i++;
    if (i == NK_LOC_SLOTS) return 0;
    struct nk_file *s = &f->slot[i];
    s->number = number;
    s->kind = kind;
    s->fd = fd;
    s->salt = salt;
    s->last_lsn = s->end = 0;
    s->sealed = s->hinted = s->leaving = false;
    s->map = NULL;
    __atomic_store_n(&s->first_lsn, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->written, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->durable, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&s->damaged, 0, __ATOMIC_RELAXED);
    clear_accounts(s);
    f->count++;
    if (i == f->top) __atomic_store_n(&f->top, i + 1, __ATOMIC_RELEASE);
    return i;
}

void nk_files_map(struct nk_files *f, uint32_t slot) {
    struct nk_file *s = &f->slot[slot];
    if (!f->maps || f->vfs->map == NULL || s->map != NULL || s->end == 0) return;
    s->map_bytes = s->end;
    __atomic_store_n(&s->map, f->vfs->map(f->vfs->ctx, s->fd, s->end), __ATOMIC_RELEASE);
}

uint32_t nk_files_find(const struct nk_files *f, uint64_t number) {
    for (uint32_t i = 1; i < f->top; i++)
        if (f->slot[i].number == number && !f->slot[i].leaving) return i;
    return 0;
}

void nk_files_drop(struct nk_files *f, uint32_t slot) {
    NK_ASSERT(f->slot[slot].number != 0 && !f->slot[slot].leaving);
    f->slot[slot].leaving = true;
    f->leaving++;
    nk_files_sweep(f);
}

void nk_files_sweep(struct nk_files *f) {
    for (uint32_t i = 1; i < f->top && f->leaving > 0; i++) {
        struct nk_file *s = &f->slot[i];
        /* Nobody pins it anew: that takes an entry that refers to it. */
        if (!s->leaving || __atomic_load_n(&s->pins, __ATOMIC_ACQUIRE) != 0) continue;
        free_slot(f, s);
        f->leaving--;
    }
}

void nk_files_gone(struct nk_files *f, uint32_t slot, uint64_t bytes, uint64_t lsn) {
    struct nk_file *at = nk_file_at(f, slot);
    __atomic_fetch_add(&at->gone_bytes, bytes, __ATOMIC_RELAXED);
    uint64_t old = __atomic_load_n(&at->gone_lsn, __ATOMIC_RELAXED);
    while (old < lsn && !__atomic_compare_exchange_n(&at->gone_lsn, &old, lsn, true,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}
