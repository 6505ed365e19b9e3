/* SPDX-License-Identifier: MIT
 *
 * files.h - the data files that entries refer to: a slot for each (L4).
 *
 * WHAT   In a store whose log is its data (mode bitcask) every log file and every merged file has a slot, whose number
 *        stands in the locations of its records (loc.h). The slot holds a handle for reading, what records are
 *        checked with, how far the file is written and durable, and how much of it is live.
 *
 * THREADS  Fields marked A are atomic and may be read by anyone who may read the slot. add, drop and sweep: the
 *        filler's thread (see log.h). A slot may be read
 *          - under a segment's lock, if an entry of that segment refers to it;
 *          - while pinned: nk_file_pin under such a lock, nk_file_unpin without any.
 *        So a file lives until its last reader is done, and its slot is not used again before.
 *
 * ACCOUNTS  put_bytes counts the records of puts that the file holds, live_bytes those that an entry refers to, both by
 *        the rounded sizes of locations. So a file holds a dead record, older than a delete, if and only if they differ.
 */
#ifndef NK_FILES_H
#define NK_FILES_H

#include "loc.h"
#include "manifest.h"
#include "mem.h"
#include "vfs.h"

struct nk_file {
    uint64_t number; /* 0 = the slot is free */
    enum nk_manifest_kind kind;
    int fd;             /* for reading; -1 = none */
    uint64_t salt;      /* with the offset, what a record's CRC ends with */
    uint64_t first_lsn; /* A: what LSNs in records count from; 0 = blank: no record yet */
    uint64_t last_lsn;  /* of its records, or of what it replaces; once sealed */
    uint64_t end;       /* offset behind the last record; once sealed, else 0 */
    uint64_t written;   /* A: records before this offset are in the file … */
    uint64_t durable;   /* A: … and durable. UINT64_MAX = all of them */
    uint64_t put_bytes, live_bytes; /* A: see ACCOUNTS */
    uint64_t gone_bytes;            /* A: of deletes and flushes */
    uint64_t gone_lsn;              /* A: the newest of these; 0 = there are none */
    uint32_t pins;                  /* A */
    uint32_t damaged; /* A: 1 = a record that somebody needed is damaged: the file is not merged */
    bool sealed;      /* it does not change any more; all of it is durable */
    bool hinted;      /* there is a hint file */
    const uint8_t *map; /* A: of all records, once sealed; NULL = none. Read by vfs->map_read */
    uint64_t map_bytes; /* set before it */
    bool leaving;       /* dropped: closed when nobody has it pinned */
};

/* So many slots are not for new files of the log while a store is open: a merge needs one for its output before its inputs go, and a start one for
 * its log. Else a store with as many files as there can be could neither merge nor start. */
#define NK_FILES_RESERVE 1024u

struct nk_files {
    const struct nitro_mem *mem;
    const struct nitro_vfs *vfs;
    struct nk_file *slot; /* NK_LOC_SLOTS of them, mapped, touched as far as used */
    uint32_t top;         /* A: no slot from here on was ever used; at least 1 */
    uint32_t count;       /* slots in use, those that are leaving too */
    uint32_t leaving;     /* of these */
    uint64_t damaged;     /* A: records that were found damaged */
    bool maps;            /* sealed files are mapped */
};

/* nk_files_open: NULL without memory. nk_files_close: closes all handles; NULL is fine. */
struct nk_files *nk_files_open(const struct nitro_mem *mem, const struct nitro_vfs *vfs);
void nk_files_close(struct nk_files **f);

/* nk_files_add: a slot for a file of which the other fields follow; takes `fd` over. 0: there is none left (then fd is
 * the caller's still). */
uint32_t nk_files_add(struct nk_files *f, uint64_t number, enum nk_manifest_kind kind,
                      uint64_t salt, int fd);
/* nk_files_map: maps a sealed file, if that is wanted and can be. */
void nk_files_map(struct nk_files *f, uint32_t slot);
/* nk_files_find: the slot of file `number`, which is not leaving; 0 if there is none. */
uint32_t nk_files_find(const struct nk_files *f, uint64_t number);
/* nk_files_drop: no entry refers to the slot any more; it is freed now, or by a later sweep. */
void nk_files_drop(struct nk_files *f, uint32_t slot);
void nk_files_sweep(struct nk_files *f);

NK_INLINE struct nk_file *nk_file_at(const struct nk_files *f, uint32_t slot) {
    return &f->slot[slot];
}
NK_INLINE void nk_file_pin(struct nk_file *f) { __atomic_fetch_add(&f->pins, 1, __ATOMIC_ACQUIRE); }
NK_INLINE void nk_file_unpin(struct nk_file *f) {
    __atomic_fetch_sub(&f->pins, 1, __ATOMIC_RELEASE);
}

/* nk_files_put: the record of a put lies at loc. nk_files_live, nk_files_dead: an entry refers to the record there, or does no
 * longer. All under the lock of the segment. */
NK_INLINE void nk_file_add_live(struct nk_file *f, uint64_t bytes) {
    __atomic_fetch_add(&f->live_bytes, bytes, __ATOMIC_RELAXED);
}
NK_INLINE void nk_files_live(struct nk_files *f, uint64_t loc) {
    nk_file_add_live(nk_file_at(f, nk_loc_slot(loc)), nk_loc_bytes(loc));
}
NK_INLINE void nk_files_dead(struct nk_files *f, uint64_t loc) {
    struct nk_file *at = nk_file_at(f, nk_loc_slot(loc));
    __atomic_fetch_sub(&at->live_bytes, nk_loc_bytes(loc), __ATOMIC_RELAXED);
}
NK_INLINE void nk_files_put(struct nk_files *f, uint64_t loc) {
    struct nk_file *at = nk_file_at(f, nk_loc_slot(loc));
    __atomic_fetch_add(&at->put_bytes, nk_loc_bytes(loc), __ATOMIC_RELAXED);
}
/* nk_files_gone: a delete or a flush of `lsn`, `bytes` long, lies in the file. */
void nk_files_gone(struct nk_files *f, uint32_t slot, uint64_t bytes, uint64_t lsn);

/* nk_files_durable: whether the record at loc is. */
NK_INLINE bool nk_files_durable(const struct nk_files *f, uint64_t loc) {
    const struct nk_file *at = nk_file_at(f, nk_loc_slot(loc));
    return nk_loc_offset(loc) < __atomic_load_n(&at->durable, __ATOMIC_ACQUIRE);
}

#endif
