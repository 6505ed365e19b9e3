/* SPDX-License-Identifier: MIT
 *
 * keydir_hint.c - opening a store whose log is its data: from hints (L5).
 *
 * DESIGN
 *   A hint is believed if its header is valid and names the piece as it is now: number, salt, size, and the
 *   last LSN that counts, which is not that of the hint if a recovery has cut the file since. Every block
 *   of it has a checksum. One that is found to be damaged in its middle is given up, and the file is read
 *   from its begin: the same effects again, and those that follow them, lead to the same.
 *
 *   Nearly all of a start is spent here, on entries of a few bytes each. So they are applied in lots: what a block of the hint holds of
 *   the part's keys is gathered in one list for each segment, and then each segment gets all of its own, in their order. So its lock
 *   is taken and its words come into the cache once for dozens of keys, and the accounts that all parts share are kept once a lot.
 *   Two records of one key are in one list. A FLUSH ends a lot.
 *
 * NOT HERE  reading a file without a hint, the order of the pieces (keydir_load.c), what an entry becomes (keydir.c).
 */
#include "hint_entry.h"
#include "keydir.h"
#include "keydir_load.h"
#include "replay.h"

#define LOT 8192u /* entries; together they have room in a second-level cache */

struct lot_entry {
    uint64_t loc;
    int64_t expire_ms;  /* 0 = none */
    const uint8_t *key; /* in the reader's buffer */
    uint16_t key_bytes;
    uint16_t next; /* of the same segment; from 1, 0 = none */
    bool put;      /* or a delete */
};

/* The entries of one segment that wait. */
struct lot_list {
    uint16_t first, last; /* 0 = none */
};

struct nk_hintload {
    struct nk_loading *p;
    struct nk_hintread hint;
    int fd;
    uint64_t live; /* bytes of the lot that are to be counted in the piece's file */
    uint32_t count;
    struct lot_entry entry[LOT + 1]; /* from 1 */
    struct lot_list *list;           /* of the part's segments, from 1 */
    uint32_t lists;
    uint32_t *number; /* of each segment: which list; 0 = of another part */
};

_Static_assert(LOT <= UINT16_MAX, "lot_entry.next");
_Static_assert(NITRO_KEY_MAX <= UINT16_MAX, "lot_entry.key_bytes");

/* ---- applying ----------------------------------------------------------------------------------*/

static int apply_entry(struct nk_hintload *h, struct nk_seg *s, const struct lot_entry *e,
                       struct nk_key *k) {
    if (!e->put) {
        nk_keydir_unload(s, k);
        return NITRO_OK;
    }
    int rc = nk_keydir_load(s, k, e->loc, e->expire_ms, &h->live);
    if (rc == NITRO_OK) nk_replay_widen(s, h->p->buckets);
    return rc;
}

/* Some of a segment's entries, from *at on, whose places in memory are asked for before the first is used. */
static int apply_some(struct nk_hintload *h, struct nk_seg *s, uint16_t *at) {
    struct nk_db *db = h->p->db;
    const struct lot_entry *e[NK_REPLAY_GROUP];
    struct nk_key key[NK_REPLAY_GROUP];
    uint32_t n = 0;
    int rc = NITRO_OK;
    for (; *at != 0 && n < NK_REPLAY_GROUP; n++) {
        e[n] = &h->entry[*at];
        *at = e[n]->next;
        nk_key_place(s, e[n]->key, e[n]->key_bytes, &key[n]);
    }
    for (uint32_t i = 0; i < n; i++) nk_key_prefetch_entry(db, &key[i]);
    for (uint32_t i = 0; i < n; i++) nk_key_prefetch_over(db, &key[i]);
    for (uint32_t i = 0; i < n && rc == NITRO_OK; i++) rc = apply_entry(h, s, e[i], &key[i]);
    return rc;
}

static int apply_segment(struct nk_hintload *h, uint32_t seg, uint16_t first) {
    struct nk_seg *s = nk_replay_lock(h->p->db, seg);
    int rc = NITRO_OK;
    while (first != 0 && rc == NITRO_OK) rc = apply_some(h, s, &first);
    nk_seg_report(s);
    nk_seg_unlock(s);
    return rc;
}

static void empty_lot(struct nk_hintload *h) {
    memset(h->list, 0, h->lists * sizeof *h->list);
    h->count = 0;
    h->live = 0;
}

static int apply_lot(struct nk_hintload *h) {
    struct nk_loading *p = h->p;
    int rc = NITRO_OK;
    for (uint32_t i = 1; i < h->lists && rc == NITRO_OK && h->count > 0; i++)
        if (h->list[i].first != 0)
            rc = apply_segment(h, (i - 1) * p->of + p->number, h->list[i].first);
    nk_file_add_live(nk_file_at(p->l->files, p->piece->slot), h->live);
    empty_lot(h);
    return rc;
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* Into the lot, if its segment is of this part. Which part a key belongs to is as good as random, so nothing branches on it: what is of
 * another part is written, too, behind the last entry and into list 0, and then not counted. */
static int take(struct nk_hintload *h, const struct nk_hint *e) {
    struct nk_loading *p = h->p;
    uint64_t route = nk_hash_route(p->db->route_point, e->key, e->key_bytes);
    uint32_t number = h->number[(uint32_t)route & p->db->seg_mask], mine = number != 0;
    uint32_t at = h->count + 1;
    h->entry[at] = (struct lot_entry){.loc = nk_loc(p->piece->slot, e->offset, e->bytes),
                                      .expire_ms = e->expire_ms,
                                      .key = e->key,
                                      .key_bytes = (uint16_t)e->key_bytes,
                                      .put = e->kind == NK_REC_PUT};
    struct lot_list *list = &h->list[number];
    h->entry[list->last].next = (uint16_t)(at * mine);
    list->first = list->first == 0 ? (uint16_t)(at * mine) : list->first;
    list->last = (uint16_t)(at * mine);
    h->count += mine;
    return h->count < LOT ? NITRO_OK : apply_lot(h);
}

static int take_flush(struct nk_hintload *h, uint64_t lsn) {
    int rc = apply_lot(h);
    if (rc == NITRO_OK) nk_replay_clear(h->p->db, h->p->number, h->p->of, lsn);
    return rc;
}

/* NITRO_ENOTFOUND at the end. */
static int read_entries(struct nk_hintload *h) {
    struct nk_loading *p = h->p;
    for (;;) {
        struct nk_hint e;
        h->hint.hold = h->count > 0;
        int rc = nk_hintread_take(&h->hint, &e);
        if (rc == NITRO_OK) {
            nk_loading_count(p, e.kind, e.lsn, e.offset, e.bytes);
            rc = e.kind == NK_REC_FLUSH ? take_flush(h, e.lsn) : take(h, &e);
        } else if (h->count > 0 && (rc == NITRO_EBUSY || rc == NITRO_ENOTFOUND)) {
            rc = apply_lot(h); /* and then asked again */
            if (h->hint.at >= p->told + NK_LOADING_TELL) nk_loading_tell(p, h->hint.at);
        }
        if (rc != NITRO_OK) return rc;
    }
}

/* ---- one hint ----------------------------------------------------------------------------------*/

bool nk_keydir_hint_fits(const struct nk_hint_head *h, const struct nk_piece *f,
                         const uint8_t store[16]) {
    uint64_t last = nk_max_u64(f->last_lsn, f->first_lsn - 1);
    if (h->kind != f->kind || h->number != f->number || h->salt != f->salt ||
        h->first_lsn != f->first_lsn || memcmp(h->store, store, sizeof h->store) != 0)
        return false;
    /* a merge may have left out the last records of its interval; a log has all of them */
    return f->kind == NK_FILE_DATA ? h->end == f->size && h->last_lsn <= last
                                   : h->end <= f->size && h->last_lsn == last;
}

/* Opens the hint of the piece. NITRO_OK: its header is right; NITRO_ENOMEM; else there is none that could
 * be used. End it with close_hint, also after errors. */
static int open_hint(struct nk_hintload *h) {
    const struct nk_loading *p = h->p;
    uint64_t size = 0;
    int rc = nk_log_hint_open(p->l, p->piece->number, &h->fd, &size);
    if (rc != NITRO_OK) return rc;
    rc = nk_hintread_open(&h->hint, p->l->vfs, p->l->mem, h->fd, size);
    if (rc == NITRO_OK && !nk_keydir_hint_fits(&h->hint.head, p->piece, p->l->store))
        return NITRO_ECORRUPT;
    return rc;
}

static void close_hint(struct nk_hintload *h) {
    if (h->fd < 0) return;
    nk_hintread_close(&h->hint);
    (void)h->p->l->vfs->close(h->p->l->vfs->ctx, h->fd); /* only read */
    h->fd = -1;
}

int nk_hintload_size(struct nk_hintload *h, uint64_t *bytes) {
    int rc = open_hint(h);
    *bytes = rc == NITRO_OK ? h->hint.size : 0;
    close_hint(h);
    return rc == NITRO_ENOMEM ? nk_replay_failed(h->p->db, rc, h->p->err) : NITRO_OK;
}

int nk_hintload_read(struct nk_hintload *h, bool *used) {
    struct nk_loading *p = h->p;
    int rc = open_hint(h);
    *used = false;
    if (rc == NITRO_OK) {
        nk_loading_begin(p);
        rc = read_entries(h);
        *used = rc == NITRO_ENOTFOUND;
        empty_lot(h); /* of a hint that is given up, the file brings it again */
        nk_loading_tell(p, h->hint.size);
        if (!*used && p->number == 0)
            __atomic_fetch_add(&p->db->replay_bytes, p->piece->size, __ATOMIC_RELAXED);
    }
    close_hint(h);
    return rc == NITRO_ENOMEM ? nk_replay_failed(p->db, rc, p->err) : NITRO_OK;
}

/* ---- open, close -------------------------------------------------------------------------------*/

void nk_hintload_close(struct nk_hintload **hp) {
    struct nk_hintload *h = *hp;
    *hp = NULL;
    if (h == NULL) return;
    const struct nk_db *db = h->p->db;
    nk_mem_free(db->mem, h->list, h->lists * sizeof *h->list);
    nk_mem_free(db->mem, h->number, db->segments * sizeof *h->number);
    nk_mem_free(db->mem, h, sizeof *h);
}

struct nk_hintload *nk_hintload_open(struct nk_loading *p) {
    struct nk_hintload *h = nk_mem_zalloc(p->db->mem, sizeof *h);
    if (h == NULL) return NULL;
    h->p = p;
    h->fd = -1;
    h->lists = 1 + (p->db->segments + p->of - 1) / p->of;
    h->list = nk_mem_zalloc(p->db->mem, h->lists * sizeof *h->list);
    h->number = nk_mem_zalloc(p->db->mem, p->db->segments * sizeof *h->number);
    if (h->list == NULL || h->number == NULL) {
        nk_hintload_close(&h);
        return NULL;
    }
    for (uint32_t i = p->number, n = 1; i < p->db->segments; i += p->of) h->number[i] = n++;
    return h;
}
