/* SPDX-License-Identifier: MIT
 *
 * fetch.c - reading the records of values that lie in data files (L5).
 *
 * DESIGN
 *   A round: records are noted under locks (get, want), read without any (run), used under locks again (get). Every file
 *   stays pinned from the moment that a record in it is noted until that is dropped, so its slot is not given to
 *   another file meanwhile, and equal locations mean equal records.
 *
 *   Memory is only taken in run. A get that finds that there is too little of it says how much it needs and answers
 *   NITRO_AWAY, as if the record had to be read.
 *
 *   A record that is not written yet is copied from the commit buffer under the lock (nk_log_peek), or, if its value is
 *   spliced, referred to. One in a batch that was laid out in a block of its own is used where it lies; only a large
 *   value in such a block has to be copied, in run, and counts among what a round takes memory for, as one that is read does.
 *
 *   A round takes NK_FETCH_BYTES or one value, which may be large: then max_memory must have room for it.
 *
 *   Nothing that was read is used before its checksum and its key have been compared.
 *
 *   Values that are packed are unpacked at the end of run, and kept in both forms: who writes a value anew writes it as it
 *   is. A record that is copied from the commit buffer may be packed: then run has something to do without reading.
 *   A few bytes may become a large value, so a run ends when it has unpacked enough, and the next one goes on from the item
 *   that is asked for then; what was used before gives its memory back.
 */
#include "fetch.h"

#include "pack.h"
#include "store.h"

#define STACK_BYTES 8192u

/* ---- items -------------------------------------------------------------------------------------*/

static void drop_item(struct nk_fetched *t, struct nk_db *db) {
    nk_file_unpin(nk_file_at(db->files, nk_loc_slot(t->loc)));
    if (t->big != NULL) nk_big_release(db, t->big);
    if (t->hold != NULL) nk_big_release(db, t->hold);
    if (t->raw_big != NULL) nk_big_release(db, t->raw_big);
}

static void drop_items(struct nk_fetch *f, struct nk_db *db) {
    for (uint32_t i = 0; i < f->count; i++) drop_item(&f->item[i], db);
    f->count = 0;
    f->used = 0;
    f->want = 0;
    f->noted = 0;
    f->first = 0;
    f->ran = false;
}

static struct nk_fetched *find_item(const struct nk_fetch *f, uint64_t loc) {
    for (uint32_t i = 0; i < f->count; i++)
        if (f->item[i].loc == loc) return &f->item[i];
    return NULL;
}

/* A new item, its file pinned. There is room. */
static struct nk_fetched *add_item(struct nk_fetch *f, struct nk_db *db, const struct nk_key *k,
                                   uint64_t loc) {
    struct nk_fetched *t = &f->item[f->count++];
    *t = (struct nk_fetched){.loc = loc, .key = k->p, .key_bytes = k->n, .code = NITRO_AWAY};
    nk_file_pin(nk_file_at(db->files, nk_loc_slot(loc)));
    return t;
}

/* The value as its record has it. */
static struct nk_form form_of(const struct nk_fetch *f, const struct nk_fetched *t) {
    struct nk_form form = {.big = t->big, .packed = t->packed};
    if (t->big != NULL) return form;
    form.val = t->hold != NULL ? t->hold->data + t->at : f->mem + t->at;
    form.bytes = t->bytes;
    return form;
}

static void fill_item(const struct nk_fetch *f, const struct nk_fetched *t, struct nk_item *it) {
    struct nk_form form = form_of(f, t);
    it->stored = form;
    it->version = t->version;
    if (t->packed) form = (struct nk_form){.big = t->raw_big, .bytes = t->raw_bytes};
    if (t->packed && t->raw_big == NULL) form.val = f->mem + t->raw_at;
    it->big = form.big;
    it->bytes = form.big != NULL ? form.big->bytes : form.bytes;
    it->val = form.big != NULL ? form.big->data : form.val;
}

/* ---- records -----------------------------------------------------------------------------------*/

static void note_damage(struct nk_db *db, uint64_t loc) {
    __atomic_store_n(&nk_file_at(db->files, nk_loc_slot(loc))->damaged, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&db->files->damaged, 1, __ATOMIC_RELAXED);
}

/* The record at p, of which n bytes are there, must be that of the key. */
static bool is_record(const struct nk_db *db, uint64_t loc, const uint8_t *p, uint64_t n,
                      const uint8_t *key, uint32_t key_bytes, struct nk_record *r) {
    const struct nk_file *file = nk_file_at(db->files, nk_loc_slot(loc));
    uint64_t first = __atomic_load_n(&file->first_lsn, __ATOMIC_ACQUIRE);
    uint64_t bytes = nk_record_parse(p, n, first, r);
    return bytes != 0 && r->kind == NK_REC_PUT && r->key_bytes == key_bytes &&
           nk_record_check(p, bytes, r, nk_loc_offset(loc), file->salt) &&
           (key_bytes == 0 || memcmp(r->key, key, key_bytes) == 0);
}

/* A record that is the right one; its value lies at `value`. */
static void take_record(struct nk_fetched *t, const struct nk_record *r, const uint8_t *value) {
    struct nk_packed form;
    t->version = r->lsn;
    t->expire_ms = r->expire_ms;
    t->bytes = r->value_bytes;
    t->packed = r->packed;
    t->code = NITRO_OK;
    if (!r->packed) return;
    bool parsed = nk_packed_parse(value, r->value_bytes, &form);
    t->code = parsed ? NITRO_AWAY : NITRO_ECORRUPT;
    t->raw_bytes = parsed ? form.raw_bytes : 0;
}

/* Reads up to n bytes at loc; returns how many there are, or -errno. */
static int64_t read_at(const struct nk_db *db, uint64_t loc, void *p, uint64_t n) {
    const struct nk_file *file = nk_file_at(db->files, nk_loc_slot(loc));
    const struct nitro_vfs *v = db->files->vfs;
    const uint8_t *map = __atomic_load_n(&file->map, __ATOMIC_ACQUIRE);
    uint64_t at = nk_loc_offset(loc);
    if (map == NULL || at >= file->map_bytes) return nk_vfs_read(v, file->fd, p, (size_t)n, at);
    n = nk_min_u64(n, file->map_bytes - at);
    int rc = v->map_read(v->ctx, p, map + at, (size_t)n);
    return rc == 0 ? (int64_t)n : rc;
}

/* ---- what is not written yet -------------------------------------------------------------------*/

static bool is_written(const struct nk_db *db, uint64_t loc) {
    const struct nk_file *file = nk_file_at(db->files, nk_loc_slot(loc));
    return nk_loc_offset(loc) < __atomic_load_n(&file->written, __ATOMIC_ACQUIRE);
}

/* The record's head and key are in mem; its value, of `bytes`, is what p->object holds. */
static void take_spliced(struct nk_fetched *t, const struct nk_record *r,
                         const struct nk_peeked *p) {
    struct nk_big *big = p->object;
    NK_ASSERT(p->rest == big->data && big->bytes == r->value_bytes);
    take_record(t, r, big->data);
    t->big = big;
}

/* The record lies in a block. */
static void take_from_block(struct nk_fetched *t, const struct nk_record *r,
                            const struct nk_peeked *p, uint64_t bytes) {
    struct nk_big *block = p->object;
    t->hold = block;
    if (r->value_bytes > NK_VALUE_BIG) {
        t->at = (uint64_t)(p->rest - block->data);
        t->held_bytes = bytes;
        return; /* NITRO_AWAY */
    }
    take_record(t, r, r->value);
    t->at = (uint64_t)(r->value - block->data);
}

/* A record that was appended by this process: its bytes are as they were made. */
static void take_peeked(struct nk_fetch *f, struct nk_db *db, struct nk_fetched *t,
                        struct nk_peeked *p) {
    const uint8_t *from = p->bytes > 0 ? f->mem + f->used : p->rest;
    uint64_t first = NK_GET(nk_file_at(db->files, nk_loc_slot(t->loc))->first_lsn);
    uint64_t bytes = nk_record_bytes(from, p->bytes > 0 ? p->bytes : p->rest_bytes);
    struct nk_record r;
    bool right = nk_record_parse(from, bytes, first, &r) == bytes && r.kind == NK_REC_PUT;
    NK_ASSERT(bytes != 0 && right);
    if (p->bytes == 0) {
        take_from_block(t, &r, p, bytes);
        return;
    }
    if (bytes > p->bytes) {
        take_spliced(t, &r, p);
        return;
    }
    take_record(t, &r, r.value);
    t->at = (uint64_t)(r.value - f->mem);
    f->used += bytes;
    if (p->object != NULL) nk_big_release(db, p->object); /* it belongs to another record */
}

/* An item whose value will be copied: if the round takes too much with it, the others go. They have been used, or are noted
 * again. Returns where the item is then. */
static struct nk_fetched *count_copy(struct nk_fetch *f, struct nk_db *db, struct nk_fetched *t) {
    uint64_t bytes = t->held_bytes;
    if (f->count > 1 && f->noted + bytes > NK_FETCH_BYTES) {
        struct nk_fetched kept = *t;
        f->count--; /* it is the last one */
        drop_items(f, db);
        t = &f->item[f->count++];
        *t = kept;
    }
    f->noted += bytes;
    return t;
}

/* peek: NITRO_OK with a new item; NITRO_ENOTFOUND: the record is in the file; NITRO_AWAY: not enough memory yet;
 * NITRO_EBUSY. */
static int peek(struct nk_fetch *f, struct nk_db *db, const struct nk_key *k, uint64_t loc,
                struct nk_fetched **out) {
    struct nk_peeked p;
    if (is_written(db, loc)) return NITRO_ENOTFOUND;
    size_t cap = nk_log_peek_cap(loc);
    if (f->count == NK_FETCH_ITEMS || f->used + f->want + cap > f->cap) {
        if (f->ran) drop_items(f, db);
        f->want += cap;
        return NITRO_AWAY;
    }
    int rc = nk_log_peek(db->log, loc, f->mem + f->used, &p);
    if (rc != NITRO_OK) return rc;
    *out = add_item(f, db, k, loc);
    take_peeked(f, db, *out, &p);
    if ((*out)->held_bytes != 0) *out = count_copy(f, db, *out);
    return NITRO_OK;
}

/* ---- noting ------------------------------------------------------------------------------------*/

static bool is_small(uint64_t loc) { return nk_loc_bytes(loc) <= NK_VALUE_BIG; }

static bool note(struct nk_fetch *f, struct nk_db *db, const struct nk_key *k, uint64_t loc) {
    uint64_t bytes = nk_loc_bytes(loc);
    if (f->ran) drop_items(f, db);
    if (f->count == NK_FETCH_ITEMS || f->item == NULL) return false;
    if (f->count > 0 && nk_max_u64(f->want, f->noted) + bytes > NK_FETCH_BYTES) return false;
    (void)add_item(f, db, k, loc);
    f->noted += bytes;
    if (is_small(loc)) f->want += bytes;
    return true;
}

bool nk_fetch_want(struct nk_fetch *f, struct nk_seg *s, const struct nk_key *k,
                   const struct nk_item *it) {
    if (!it->away || find_item(f, it->loc) != NULL || !is_written(s->db, it->loc)) return true;
    return note(f, s->db, k, it->loc);
}

/* The last way: under the lock, while nobody can change the entry. */
static int read_now(struct nk_fetch *f, struct nk_db *db, const struct nk_key *k,
                    struct nk_item *it) {
    drop_items(f, db); /* as the first of its round it is unpacked, however large it is */
    if (!note(f, db, k, it->loc)) return NITRO_ENOMEM;
    nk_fetch_run(f, db);
    const struct nk_fetched *t = find_item(f, it->loc);
    if (t->code == NITRO_OK) fill_item(f, t, it);
    return t->code;
}

int nk_fetch_get(struct nk_fetch *f, struct nk_seg *s, const struct nk_key *k, struct nk_item *it) {
    struct nk_db *db = s->db;
    if (NK_LIKELY(!it->away)) return NITRO_OK;
    struct nk_fetched *t = find_item(f, it->loc);
    if (t == NULL) {
        if (f->poor) return NITRO_ENOMEM;
        if (f->item == NULL) return NITRO_AWAY; /* run gets the memory for items */
        int rc = peek(f, db, k, it->loc, &t);
        if (rc == NITRO_ENOTFOUND) {
            if (f->tries >= NK_FETCH_TRIES) return read_now(f, db, k, it);
            if (!note(f, db, k, it->loc)) { /* the round is full of what others want */
                drop_items(f, db);
                (void)note(f, db, k, it->loc);
            }
            return NITRO_AWAY;
        }
        if (rc != NITRO_OK) return rc;
    }
    if (t->code == NITRO_OK) fill_item(f, t, it);
    if (t->code == NITRO_AWAY) {
        f->first = (uint32_t)(t - f->item);
        f->ran = false; /* the round goes on, with what is noted now */
    }
    return t->code;
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* Memory for what the round reads; what is there already stays. */
static bool make_room(struct nk_fetch *f, struct nk_db *db) {
    size_t need = f->used + (size_t)f->want;
    if (need <= f->cap) return true;
    size_t cap = (size_t)nk_round_up(nk_max_u64(need, NK_VALUE_BIG), NK_PAGE);
    uint8_t *p = nk_db_resize(db, f->mem, f->cap, cap);
    if (p == NULL) return false;
    nk_db_count_chunk(db, (int64_t)cap - (int64_t)f->cap);
    f->mem = p;
    f->cap = cap;
    return true;
}

/* A block for a value alone. The round bounds many, max_memory a large one. */
static bool has_room(const struct nk_db *db, uint64_t bytes) {
    return bytes <= NK_FETCH_BYTES || nk_db_room(db, bytes);
}

/* A record of more than 64 KiB, in a block of its own. Its value, if it is large, is moved to the begin. */
static int read_large(struct nk_db *db, struct nk_fetched *t) {
    struct nk_record r;
    uint64_t n = t->hold != NULL ? t->held_bytes : nk_loc_bytes(t->loc);
    if (!has_room(db, n)) return NITRO_EMAXMEMORY;
    struct nk_big *big = nk_big_new(db, t->hold != NULL ? t->hold->data + t->at : NULL, n);
    if (big == NULL) return NITRO_ENOMEM;
    int64_t got = t->hold != NULL ? (int64_t)n : read_at(db, t->loc, big->data, n);
    if (t->hold != NULL) nk_big_release(db, t->hold);
    t->hold = big; /* it goes with the item, whatever it holds */
    t->at = 0;
    if (got < 0) return NITRO_EIO;
    if (!is_record(db, t->loc, big->data, (uint64_t)got, t->key, t->key_bytes, &r))
        return NITRO_ECORRUPT;
    take_record(t, &r, r.value);
    t->at = (uint64_t)(r.value - big->data);
    if (r.value_bytes <= NK_VALUE_BIG) return t->code; /* the key was long */
    memmove(big->data, r.value, r.value_bytes);
    big->bytes = r.value_bytes;
    t->big = big;
    t->hold = NULL;
    return t->code;
}

static int read_small(struct nk_fetch *f, struct nk_db *db, struct nk_fetched *t) {
    struct nk_record r;
    uint64_t n = nk_loc_bytes(t->loc);
    uint8_t *p = f->mem + f->used;
    int64_t got = read_at(db, t->loc, p, n);
    if (got < 0) return NITRO_EIO;
    if (!is_record(db, t->loc, p, (uint64_t)got, t->key, t->key_bytes, &r)) return NITRO_ECORRUPT;
    take_record(t, &r, r.value);
    t->at = (uint64_t)(r.value - f->mem);
    f->used += n;
    return t->code;
}

static uint64_t place_of(uint64_t loc) {
    return (uint64_t)nk_loc_slot(loc) << 32 | nk_loc_offset(loc);
}

/* The items that are to be read, in the order of the files. Returns how many. */
static uint32_t sort(const struct nk_fetch *f, uint8_t order[NK_FETCH_ITEMS]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->item[i].code != NITRO_AWAY || f->item[i].packed) continue;
        uint64_t place = place_of(f->item[i].loc);
        uint32_t at = count++;
        for (; at > 0 && place_of(f->item[order[at - 1]].loc) > place; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
    return count;
}

/* ---- unpacking ---------------------------------------------------------------------------------*/

/* Memory for a value of up to NK_VALUE_BIG bytes behind what is there. */
static bool raw_room(struct nk_fetch *f, struct nk_db *db, uint32_t bytes) {
    if (f->used + bytes <= f->cap) return true;
    f->want = nk_max_u64(bytes, nk_min_u64(f->cap, NK_FETCH_BYTES)); /* others may follow */
    return make_room(f, db);
}

static int unpack_large(struct nk_db *db, struct nk_fetched *t, const struct nk_packed *from) {
    if (!has_room(db, from->raw_bytes)) return NITRO_EMAXMEMORY;
    struct nk_big *big = nk_big_new(db, NULL, from->raw_bytes);
    if (big == NULL) return NITRO_ENOMEM;
    int rc = nk_unpack(db, from, big->data);
    if (rc == NITRO_OK)
        t->raw_big = big;
    else
        nk_big_release(db, big);
    return rc;
}

static int unpack(struct nk_fetch *f, struct nk_db *db, struct nk_fetched *t) {
    bool small = t->raw_bytes <= NK_VALUE_BIG;
    if (small && !raw_room(f, db, t->raw_bytes)) return NITRO_ENOMEM;
    struct nk_form form = form_of(f, t); /* its memory may have moved */
    struct nk_packed from;
    bool parsed = form.big != NULL ? nk_packed_parse(form.big->data, form.big->bytes, &from)
                                   : nk_packed_parse(form.val, form.bytes, &from);
    NK_ASSERT(parsed && from.raw_bytes == t->raw_bytes); /* as it was when the record was taken */
    if (!small) return unpack_large(db, t, &from);
    int rc = nk_unpack(db, &from, f->mem + f->used);
    t->raw_at = f->used;
    if (rc == NITRO_OK) f->used += t->raw_bytes;
    return rc;
}

/* Large values that have been used are as if they had not been unpacked. */
static void forget_used(struct nk_fetch *f, struct nk_db *db) {
    for (uint32_t i = 0; i < f->first; i++) {
        struct nk_fetched *t = &f->item[i];
        if (t->raw_big == NULL) continue;
        nk_big_release(db, t->raw_big);
        t->raw_big = NULL;
        t->code = NITRO_AWAY;
    }
}

/* Unpacks the item that was asked for, and those behind it as long as they are not too much. */
static void unpack_some(struct nk_fetch *f, struct nk_db *db) {
    uint64_t sum = 0;
    forget_used(f, db);
    for (uint32_t i = f->first; i < f->count; i++) {
        struct nk_fetched *t = &f->item[i];
        if (!t->packed) continue;
        sum += t->raw_bytes;
        if (t->code != NITRO_AWAY) continue;
        if (sum > t->raw_bytes && sum > NK_FETCH_BYTES) break;
        t->code = unpack(f, db, t);
        if (t->code == NITRO_ECORRUPT) note_damage(db, t->loc);
    }
}

void nk_fetch_run(struct nk_fetch *f, struct nk_db *db) {
    uint8_t order[NK_FETCH_ITEMS];
    f->tries++;
    if (f->item == NULL) f->item = nk_db_alloc(db, NK_FETCH_ITEMS * sizeof *f->item);
    bool room = make_room(f, db);
    f->poor = f->item == NULL || !room;
    uint32_t count = f->item != NULL ? sort(f, order) : 0;
    for (uint32_t i = 0; i < count; i++) {
        struct nk_fetched *t = &f->item[order[i]];
        bool small = t->hold == NULL && is_small(t->loc);
        if (small && !room)
            t->code = NITRO_ENOMEM;
        else
            t->code = small ? read_small(f, db, t) : read_large(db, t);
        if (t->code == NITRO_EIO || t->code == NITRO_ECORRUPT) note_damage(db, t->loc);
    }
    unpack_some(f, db);
    f->want = 0;
    f->ran = true;
}

void nk_fetch_drop(struct nk_fetch *f, struct nk_db *db) {
    drop_items(f, db);
    f->tries = 0;
    f->poor = false;
    if (f->cap <= NK_FETCH_KEEP) return;
    nk_db_count_chunk(db, -(int64_t)f->cap);
    nk_db_free(db, f->mem, f->cap);
    f->mem = NULL;
    f->cap = 0;
}

void nk_fetch_free(struct nk_fetch *f, struct nk_db *db) {
    nk_fetch_drop(f, db);
    nk_db_count_chunk(db, -(int64_t)f->cap);
    nk_db_free(db, f->mem, f->cap);
    nk_db_free(db, f->item, f->item != NULL ? NK_FETCH_ITEMS * sizeof *f->item : 0);
    *f = (struct nk_fetch){0};
}

/* ---- one record --------------------------------------------------------------------------------*/

bool nk_fetch_hold(struct nk_db *db, const struct nk_item *it) {
    if (!is_written(db, it->loc)) return false;
    nk_file_pin(nk_file_at(db->files, nk_loc_slot(it->loc)));
    return true;
}

/* The value of a record to buf, as far as there is room; packed, only if there is enough. */
static int copy_out(struct nk_db *db, const struct nk_record *r, void *buf, size_t cap,
                    struct nk_item *it) {
    struct nk_packed from;
    it->bytes = r->value_bytes;
    if (!r->packed) {
        size_t n = r->value_bytes < cap ? r->value_bytes : cap;
        if (n > 0) memcpy(buf, r->value, n);
        return NITRO_OK;
    }
    if (!nk_packed_parse(r->value, r->value_bytes, &from)) return NITRO_ECORRUPT;
    it->bytes = from.raw_bytes;
    return from.raw_bytes <= cap ? nk_unpack(db, &from, buf) : NITRO_OK;
}

static int copy_value(struct nk_db *db, uint64_t loc, uint8_t *p, const void *key,
                      uint32_t key_bytes, void *buf, size_t cap, struct nk_item *it) {
    struct nk_record r;
    int64_t got = read_at(db, loc, p, nk_loc_bytes(loc));
    if (got < 0) return NITRO_EIO;
    if (!is_record(db, loc, p, (uint64_t)got, key, key_bytes, &r)) return NITRO_ECORRUPT;
    it->version = r.lsn;
    it->expire_ms = r.expire_ms;
    return copy_out(db, &r, buf, cap, it);
}

int nk_fetch_one(struct nk_db *db, uint64_t loc, const void *key, size_t key_bytes, void *buf,
                 size_t cap, struct nk_item *it) {
    uint8_t stack[STACK_BYTES], *p = stack;
    uint64_t bytes = nk_loc_bytes(loc);
    if (bytes > sizeof stack) p = nk_db_alloc(db, bytes);
    int rc =
        p == NULL ? NITRO_ENOMEM : copy_value(db, loc, p, key, (uint32_t)key_bytes, buf, cap, it);
    if (p != stack) nk_db_free(db, p, p != NULL ? bytes : 0);
    if (rc == NITRO_EIO || rc == NITRO_ECORRUPT) note_damage(db, loc);
    nk_file_unpin(nk_file_at(db->files, nk_loc_slot(loc)));
    return rc;
}
