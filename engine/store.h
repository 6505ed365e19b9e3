/* SPDX-License-Identifier: MIT
 *
 * store.h - where values lie: in their entries, or in the data files (L5).
 *
 * WHAT   The two kinds of store differ in what an entry holds behind its meta word, and in what follows from it:
 *          in memory   version (8 bytes), expiry, key, value or a pointer to it
 *          keydir      location of the record (loc.h, 8 bytes), expiry, key; and the value, too, if it is cached (cache.h)
 *        Everything that depends on it stands here; nobody else asks. nk_db.files is what decides: the table of
 *        data files, which only a keydir has.
 *
 * THREADS  Under the segment's lock, unless it says otherwise.
 */
#ifndef NK_STORE_H
#define NK_STORE_H

#include "db.h"
#include "keydir.h"
#include "replay.h"

NK_INLINE bool nk_store_is_keydir(const struct nk_db *db) { return NK_UNLIKELY(db->files != NULL); }

/* ---- entries -----------------------------------------------------------------------------------*/

/* nk_store_tail: bytes behind the key in the entry that a put makes. */
NK_INLINE uint32_t nk_store_tail(const struct nk_db *db, const struct nk_effect *e) {
    if (nk_store_is_keydir(db)) return 0;
    return e->big != NULL ? 8 : e->bytes;
}

/* nk_store_meta: the meta bits that say so. */
NK_INLINE uint32_t nk_store_meta(const struct nk_db *db, const struct nk_effect *e) {
    if (nk_store_is_keydir(db)) return 0;
    return e->big != NULL ? NK_META_BIG : e->bytes << NK_META_VALUE_SHIFT;
}

NK_INLINE struct nk_big *nk_entry_big(const uint8_t *tail) {
    struct nk_big *b;
    memcpy(&b, tail, sizeof b);
    return b;
}

/* A cached value lies behind the key, as a tail of the entry whose size stands where that of a value in memory does:
 *
 *   off  size  field
 *     0     8  version of the record
 *     8     1  used: 1 = a GET has found the value here since the hand of the clock came by
 *     9     …  value
 */
#define NK_CACHED_USED 8u
#define NK_CACHED_VALUE 9u

/* nk_store_cached: bytes of that tail, 0 if the value is not cached. */
NK_INLINE uint32_t nk_store_cached(const struct nk_seg *s, uint32_t meta) {
    return nk_store_is_keydir(s->db) ? meta >> NK_META_VALUE_SHIFT : 0;
}

/* nk_store_count_cached: so many tails more, or fewer, of so many bytes together. */
NK_INLINE void nk_store_count_cached(struct nk_seg *s, int64_t values, int64_t bytes) {
    NK_ADD(s->cache.values, values);
    NK_ADD(s->cache.bytes, bytes);
    __atomic_fetch_add(&s->db->cached_bytes, (uint64_t)bytes, __ATOMIC_RELAXED);
}

/* nk_store_place: in a keydir the word behind the meta word, with the accounts of the segment; the file's are the caller's. */
NK_INLINE void nk_store_place(struct nk_seg *s, uint8_t *e, uint64_t loc) {
    nk_store64(e + 4, loc);
    NK_ADD(s->value_bytes, nk_loc_bytes(loc));
}

/* nk_store_fill: the word behind the meta word, and what comes behind the key (at tail), with the accounts of values. */
NK_INLINE void nk_store_fill(struct nk_seg *s, uint8_t *e, uint8_t *tail, const struct nk_effect *f,
                             struct nk_logged at) {
    if (nk_store_is_keydir(s->db)) {
        nk_store_place(s, e, at.loc);
        nk_files_live(s->db->files, at.loc);
        return;
    }
    nk_store64(e + 4, at.lsn);
    if (NK_UNLIKELY(f->big != NULL)) {
        nk_big_retain(f->big);
        memcpy(tail, &f->big, sizeof f->big);
        NK_ADD(s->value_bytes, f->big->bytes);
        NK_ADD(s->bigs, 1);
    } else if (f->bytes != 0) {
        memcpy(tail, f->val, f->bytes);
        NK_ADD(s->value_bytes, f->bytes);
    }
}

/* nk_store_forget: takes the value of an entry that goes out of the accounts, and lets go of it. */
NK_INLINE void nk_store_forget(struct nk_seg *s, const uint8_t *e, uint32_t meta,
                               const uint8_t *tail) {
    if (nk_store_is_keydir(s->db)) {
        NK_SUB(s->value_bytes, nk_loc_bytes(nk_entry_loc(e)));
        nk_files_dead(s->db->files, nk_entry_loc(e));
        uint32_t cached = nk_store_cached(s, meta);
        if (cached != 0) nk_store_count_cached(s, -1, -(int64_t)cached);
    } else if (NK_UNLIKELY(meta & NK_META_BIG)) {
        struct nk_big *b = nk_entry_big(tail);
        NK_SUB(s->value_bytes, b->bytes);
        NK_SUB(s->bigs, 1);
        nk_big_release(s->db, b);
    } else {
        NK_SUB(s->value_bytes, meta >> NK_META_VALUE_SHIFT);
    }
}

/* nk_store_shows: the LSN of what an entry shows, or one that is not smaller; or 0 if that is durable. */
NK_INLINE uint64_t nk_store_shows(const struct nk_seg *s, const uint8_t *e) {
    if (!nk_store_is_keydir(s->db)) return nk_entry_version(e);
    return nk_files_durable(s->db->files, nk_entry_loc(e)) ? 0 : s->last_lsn;
}

/* nk_store_read: what a found entry says of its value. */
NK_INLINE void nk_store_read(const struct nk_seg *s, const uint8_t *e, uint32_t meta,
                             const uint8_t *tail, struct nk_item *it) {
    it->big = NULL;
    if (nk_store_is_keydir(s->db)) {
        *it = (struct nk_item){.stamp = it->stamp,
                               .ref = it->ref,
                               .slot = it->slot,
                               .bucket = it->bucket,
                               .loc = nk_entry_loc(e),
                               .away = true};
        uint32_t cached = nk_store_cached(s, meta);
        if (cached == 0) return;
        it->away = false;
        it->version = nk_load64(tail);
        it->val = tail + NK_CACHED_VALUE;
        it->bytes = cached - NK_CACHED_VALUE;
        it->stored = (struct nk_form){.val = it->val, .bytes = (uint32_t)it->bytes};
        return;
    }
    it->away = false;
    it->version = nk_entry_version(e);
    if (NK_LIKELY(!(meta & NK_META_BIG))) {
        it->val = tail;
        it->bytes = meta >> NK_META_VALUE_SHIFT;
    } else {
        it->big = nk_entry_big(tail);
        it->val = it->big->data;
        it->bytes = it->big->bytes;
    }
}

/* nk_store_describe: version and size for a scan; 0 if the record has to be read for it. */
NK_INLINE void nk_store_describe(const struct nk_seg *s, const uint8_t *e, uint32_t meta,
                                 const uint8_t *tail, struct nk_scan_entry *out) {
    if (nk_store_is_keydir(s->db)) return;
    out->version = nk_entry_version(e);
    out->bytes = meta & NK_META_BIG ? nk_entry_big(tail)->bytes : meta >> NK_META_VALUE_SHIFT;
}

/* nk_store_usage: bytes that the value of a found item occupies outside of its entry. */
NK_INLINE uint64_t nk_store_usage(const struct nk_db *db, const struct nk_item *it) {
    if (nk_store_is_keydir(db)) return nk_loc_bytes(it->loc);
    return it->big != NULL ? it->big->map_bytes : 0;
}

/* ---- effects -----------------------------------------------------------------------------------*/

/* nk_store_form: the value of a found item, which is there, in the form in which it is to be logged again: a record's form
 * goes from one to the other as it is. */
NK_INLINE struct nk_form nk_store_form(const struct nk_item *it) {
    if (it->loc != 0) return it->stored;
    if (it->big != NULL) return (struct nk_form){.big = it->big};
    return (struct nk_form){.val = it->val, .bytes = (uint32_t)it->bytes};
}

/* nk_store_rewrites: a new expiry is a put of the value that is there: the record has both. Any thread. */
NK_INLINE bool nk_store_rewrites(const struct nk_db *db) { return nk_store_is_keydir(db); }

/* nk_store_logged: the record of an effect lies in the log now. Before the effect is made. */
NK_INLINE void nk_store_logged(struct nk_db *db, const struct nk_record *r) {
    if (!nk_store_is_keydir(db)) return;
    if (r->kind == NK_REC_PUT)
        nk_files_put(db->files, r->loc);
    else
        nk_files_gone(db->files, nk_loc_slot(r->loc), nk_loc_bytes(r->loc), r->lsn);
}

/* nk_store_next: where the next record of a batch lies, behind that of r at `at`. Of a batch all records lie in one file,
 * one behind the other. Any thread. */
NK_INLINE struct nk_logged nk_store_next(const struct nk_db *db, const struct nk_record *r,
                                         struct nk_logged at, const struct nk_record *next) {
    struct nk_logged to = {.lsn = at.lsn + 1};
    if (!nk_store_is_keydir(db)) return to;
    uint32_t slot = nk_loc_slot(at.loc);
    uint64_t first = NK_GET(nk_file_at(db->files, slot)->first_lsn);
    uint64_t offset = nk_loc_offset(at.loc) + nk_record_size(r, at.lsn - first);
    to.loc = nk_loc(slot, offset, nk_record_size(next, to.lsn - first));
    return to;
}

/* nk_store_flushed: no entry refers to anything any more. Exclusive. */
NK_INLINE void nk_store_flushed(struct nk_db *db) {
    if (!nk_store_is_keydir(db)) return;
    uint32_t top = __atomic_load_n(&db->files->top, __ATOMIC_ACQUIRE);
    for (uint32_t i = 1; i < top; i++)
        __atomic_store_n(&db->files->slot[i].live_bytes, 0, __ATOMIC_RELAXED);
}

/* ---- loading; see replay.h and keydir.h --------------------------------------------------------*/

NITRO_MUST_CHECK NK_INLINE int nk_store_load_part(struct nk_db *db, uint32_t part, uint32_t parts,
                                                  struct nitro_err *err) {
    return nk_store_is_keydir(db) ? NITRO_OK : nk_load_part(db, part, parts, err);
}
NITRO_MUST_CHECK NK_INLINE int nk_store_replay_part(struct nk_db *db, uint32_t part, uint32_t parts,
                                                    struct nitro_err *err) {
    return nk_store_is_keydir(db) ? nk_keydir_load_part(db, part, parts, err)
                                  : nk_replay_part(db, part, parts, err);
}
/* nk_store_reload_tail: after nk_recover_finish. */
NITRO_MUST_CHECK NK_INLINE int nk_store_reload_tail(struct nk_db *db, struct nitro_err *err) {
    return nk_store_is_keydir(db) ? nk_keydir_load_tail(db, err) : NITRO_OK;
}

/* nk_store_snapshots: whether snapshots of it can be taken. Any thread. */
NK_INLINE bool nk_store_snapshots(const struct nk_db *db) { return !nk_store_is_keydir(db); }

#endif
