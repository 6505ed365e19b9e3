/* SPDX-License-Identifier: MIT
 *
 * chunk.c - the pooled buffers of a connection, and splitting their input into requests.
 *
 * DESIGN
 *   A chunk has an input buffer, an output buffer and an array of NK_CHUNK_REQS requests, allocated
 *   once and reused for every read. `out` is larger than the mark at which execute stops
 *   (NK_OUT_SOFT) by what the longest inline value needs, so the ordinary path never allocates and
 *   a reply can always be written once a request has started. The arrays for multi-key requests
 *   start empty. All of it is counted as chunk bytes.
 *
 * INVARIANTS
 *   (1) in_pos is the start of a request; partial parse state is relative to it.
 *   (2) Requests at next .. count own their large values, those before next own nothing.
 *   (3) Everything that requests borrow stays where it is until next == count.
 *
 * NOT HERE  the languages of the wire (wire_*.c), running requests (exec*.c).
 */
#include "wire_nbp.h"
#include "wire_resp.h"

/* Arrays may grow by this much even at the memory limit: DEL of many keys is what helps there, and reads go
 * on. */
#define ROOM_FREE (1u << 20)

/* ---- memory -----------------------------------------------------------------------------------*/

/* resize: moves an allocation of the chunk to another size, counted. NULL if there is no memory. */
static void *resize(struct nk_db *db, void *p, size_t old_bytes, size_t bytes) {
    void *q = p == NULL ? nk_db_alloc(db, bytes) : nk_db_resize(db, p, old_bytes, bytes);
    if (q != NULL) nk_db_count_chunk(db, (int64_t)bytes - (int64_t)old_bytes);
    return q;
}

static void release(struct nk_db *db, void *p, size_t bytes) {
    if (p == NULL) return;
    nk_db_free(db, p, bytes);
    nk_db_count_chunk(db, -(int64_t)bytes);
}

int nk_chunk_room(struct nk_db *db, void **array, uint32_t *cap, uint32_t need, size_t size) {
    if (need <= *cap) return NITRO_OK;
    uint64_t want = nk_max_u64(need, nk_min_u64((uint64_t)*cap * 2, UINT32_MAX));
    uint64_t more = (want - *cap) * size;
    if (more > ROOM_FREE && !nk_db_room(db, more)) return NITRO_EMAXMEMORY;
    void *p = resize(db, *array, *cap * size, want * size);
    if (p == NULL) return NITRO_ENOMEM;
    *array = p;
    *cap = (uint32_t)want;
    return NITRO_OK;
}

int nk_chunk_out(struct nk_db *db, struct nk_chunk *c, size_t need) {
    size_t cap = c->pub.out_cap;
    if (cap - c->pub.out_len >= need) return NITRO_OK;
    size_t want = nk_max_u64(c->pub.out_len + need, cap + cap / 2);
    void *p = resize(db, c->pub.out, cap, want);
    if (p == NULL) return NITRO_ENOMEM;
    c->pub.out = p;
    c->pub.out_cap = want;
    return NITRO_OK;
}

int nk_chunk_scratch(struct nk_db *db, struct nk_chunk *c, size_t need) {
    if (need <= c->scratch_cap) return NITRO_OK;
    size_t want = nk_max_u64(need, NK_OUT_BYTES);
    uint64_t more = want - c->scratch_cap;
    if (more > ROOM_FREE && !nk_db_room(db, more)) return NITRO_EMAXMEMORY;
    void *p = resize(db, c->scratch, c->scratch_cap, want);
    if (p == NULL) return NITRO_ENOMEM;
    c->scratch = p;
    c->scratch_cap = want;
    return NITRO_OK;
}

/* ---- open, close ------------------------------------------------------------------------------*/

nitro_chunk *nitro_chunk_open(nitro_store *s) {
    struct nk_db *db = nk_front_db(s);
    struct nk_chunk *c = resize(db, NULL, 0, sizeof *c);
    if (c == NULL) return NULL;
    memset(c, 0, sizeof *c);
    c->reqs = resize(db, NULL, 0, NK_CHUNK_REQS * sizeof *c->reqs);
    c->pub.in = resize(db, NULL, 0, NK_IN_BYTES + NK_IN_SLACK);
    c->pub.in_cap = c->pub.in != NULL ? NK_IN_BYTES : 0;
    c->pub.out = resize(db, NULL, 0, NK_OUT_BYTES);
    c->pub.out_cap = c->pub.out != NULL ? NK_OUT_BYTES : 0;
    void *spans = NULL;
    int rc = nk_chunk_room(db, &spans, &c->span_cap, NK_SPANS, sizeof *c->spans);
    c->spans = spans;
    nitro_chunk *pub = &c->pub;
    if (rc != NITRO_OK || c->reqs == NULL || pub->in == NULL || pub->out == NULL)
        nitro_chunk_close(s, &pub);
    return pub;
}

void nk_composed_drop(struct nk_db *db, struct nk_chunk *c) {
    if (c->composed.big != NULL) nk_big_release(db, c->composed.big);
    c->composed.big = NULL;
}

/* drop_requests: forgets what is prepared, and everything it owns. */
static void drop_requests(struct nk_db *db, struct nk_chunk *c) {
    for (uint32_t i = c->pub.next; i < c->pub.count; i++) nk_req_drop(db, c, &c->reqs[i]);
    if (c->tail.ref != NULL) nk_big_release(db, c->tail.ref);
    memset(&c->tail, 0, sizeof c->tail);
    nk_composed_drop(db, c);
    nk_fetch_drop(&c->fetch, db);
    while (c->loans != NULL) {
        struct nk_loan *l = c->loans;
        c->loans = l->next;
        release(db, l, l->bytes);
    }
    nk_pack_drop(db, &c->pack);
    c->pub.count = c->pub.next = 0;
    c->pub.tally_count = 0;
    c->slice_count = c->multi_count = 0;
    c->started = c->halted = false;
    c->shown = 0;
}

/* drop_arrays: gives back what only unusual requests need. */
static void drop_arrays(struct nk_db *db, struct nk_chunk *c) {
    release(db, c->slices, c->slice_cap * sizeof *c->slices);
    release(db, c->multi, c->multi_cap * sizeof *c->multi);
    release(db, c->segs, c->seg_cap * sizeof *c->segs);
    release(db, c->scratch, c->scratch_cap);
    c->slices = NULL;
    c->multi = NULL;
    c->segs = NULL;
    c->scratch = NULL;
    c->slice_cap = c->multi_cap = c->seg_cap = 0;
    c->scratch_cap = 0;
}

void nitro_chunk_close(nitro_store *s, nitro_chunk **cp) {
    if (cp == NULL || *cp == NULL) return;
    struct nk_db *db = nk_front_db(s);
    struct nk_chunk *c = nk_chunk_of(*cp);
    drop_requests(db, c);
    nk_fetch_free(&c->fetch, db);
    drop_arrays(db, c);
    release(db, c->spans, c->span_cap * sizeof *c->spans);
    release(db, c->pub.gates, c->pub.gate_cap * sizeof *c->pub.gates);
    release(db, c->pub.in, c->pub.in_cap + NK_IN_SLACK);
    release(db, c->pub.out, c->pub.out_cap);
    release(db, c->reqs, NK_CHUNK_REQS * sizeof *c->reqs);
    release(db, c, sizeof *c);
    *cp = NULL;
}

/* shrink: back to the default size; a shrink that fails keeps the larger buffer, which is
 * harmless. */
static void shrink(struct nk_db *db, struct nk_chunk *c) {
    if (c->pub.in_cap > NK_IN_BYTES) {
        void *p = resize(db, c->pub.in, c->pub.in_cap + NK_IN_SLACK, NK_IN_BYTES + NK_IN_SLACK);
        if (p != NULL) {
            c->pub.in = p;
            c->pub.in_cap = NK_IN_BYTES;
        }
    }
    if (c->pub.out_cap > NK_OUT_BYTES) {
        void *p = resize(db, c->pub.out, c->pub.out_cap, NK_OUT_BYTES);
        if (p != NULL) {
            c->pub.out = p;
            c->pub.out_cap = NK_OUT_BYTES;
        }
    }
    if (c->span_cap > NK_SPANS) {
        void *p = resize(db, c->spans, c->span_cap * sizeof *c->spans, NK_SPANS * sizeof *c->spans);
        if (p != NULL) {
            c->spans = p;
            c->span_cap = NK_SPANS;
        }
    }
    if (c->slice_cap > NK_SPANS * 16 || c->multi_cap > NK_SPANS * 16 ||
        c->scratch_cap > NK_OUT_BYTES)
        drop_arrays(db, c);
}

void nitro_chunk_reset(nitro_store *s, nitro_chunk *pub) {
    struct nk_chunk *c = nk_chunk_of(pub);
    drop_requests(nk_front_db(s), c);
    shrink(nk_front_db(s), c);
    pub->in_len = pub->in_pos = pub->in_need = pub->out_len = 0;
    pub->gate_count = 0;
    pub->big = NULL;
    pub->big_len = 0;
    pub->closing = pub->more = 0;
    c->span_total = c->span_count = c->parse_at = 0;
}

/* ---- input and output -------------------------------------------------------------------------*/

void nitro_chunk_compact(nitro_chunk *c) {
    NK_ASSERT(c->next == c->count);
    if (c->in_pos == 0) return;
    size_t left = c->in_len - c->in_pos;
    if (left > 0) memmove(c->in, c->in + c->in_pos, left);
    c->in_need = c->in_need > c->in_pos ? c->in_need - c->in_pos : 0;
    c->in_len = left;
    c->in_pos = 0;
}

int nitro_chunk_grow(nitro_store *s, nitro_chunk *c) {
    struct nk_db *db = nk_front_db(s);
    NK_ASSERT(c->next == c->count);
    size_t want = nk_min_u64(c->in_cap * 2, NK_IN_BYTES_MAX + NK_PAGE);
    if (want <= c->in_cap || !nk_db_room(db, want - c->in_cap)) return NITRO_EMAXMEMORY;
    void *p = resize(db, c->in, c->in_cap + NK_IN_SLACK, want + NK_IN_SLACK);
    if (p == NULL) return NITRO_ENOMEM;
    c->in = p;
    c->in_cap = want;
    return NITRO_OK;
}

size_t nitro_chunk_stash(nitro_chunk *pub, void *dst, size_t cap) {
    struct nk_chunk *c = nk_chunk_of(pub);
    size_t left = pub->in_len - pub->in_pos;
    if (pub->next != pub->count || left > cap || left > NK_STASH_MAX) return 0;
    memcpy(dst, pub->in + pub->in_pos, left);
    pub->in_len = pub->in_pos = pub->in_need = 0;
    c->span_total = c->span_count = c->parse_at = 0;
    return left;
}

int nitro_chunk_reply(nitro_store *s, nitro_chunk *c, const void *p, size_t n) {
    int rc = nk_chunk_out(nk_front_db(s), nk_chunk_of(c), n);
    if (rc != NITRO_OK) return rc;
    if (n > 0) memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
    return NITRO_OK;
}

void nitro_chunk_skip(nitro_chunk *c) {
    NK_ASSERT(c->next < c->count);
    c->next++;
}

const uint8_t *nitro_chunk_request(const nitro_chunk *pub, uint32_t i, size_t *n) {
    const struct nk_chunk *c = (const struct nk_chunk *)pub;
    NK_ASSERT(i < pub->count);
    size_t end = i + 1 < pub->count ? c->starts[i + 1] : pub->in_pos;
    *n = c->reqs[i].joined ? NK_NBP_HEADER : end - c->starts[i];
    return pub->in + c->starts[i];
}

/* ---- requests ---------------------------------------------------------------------------------*/

void nk_req_drop(struct nk_db *db, struct nk_chunk *c, struct nk_req *r) {
    if (r->big != NULL) nk_big_release(db, r->big);
    r->big = NULL;
    if (r->op != NK_OP_MSET) return;
    for (uint32_t i = 0; i < r->arg_count; i++) {
        struct nk_multi *m = &c->multi[r->arg_at + i];
        if (m->big != NULL) nk_big_release(db, m->big);
        m->big = NULL;
    }
}

/* form_of: the form in which a value goes on; as it is, if it is no more than an argument. */
NK_INLINE enum nk_fault form_of(struct nk_parser *f, const uint8_t *p, uint32_t n, bool stored,
                                struct nk_form *out) {
    if (NK_LIKELY(n <= NK_VALUE_BIG && !(stored && f->packs))) {
        *out = (struct nk_form){.val = p, .bytes = n};
        return NK_FAULT_NONE;
    }
    int rc = nk_pack_value(f->db, stored ? &f->c->pack : NULL, p, n, out);
    return rc == NITRO_OK ? NK_FAULT_NONE : nk_fault_of(rc);
}

enum nk_fault nk_parser_value(struct nk_parser *f, struct nk_req *r, const uint8_t *p, uint32_t n) {
    struct nk_form form;
    enum nk_fault bad = form_of(f, p, n, r->op == NK_OP_SET, &form);
    if (NK_UNLIKELY(bad != NK_FAULT_NONE)) return bad;
    r->val = form.val;
    r->val_len = form.bytes;
    r->big = form.big;
    r->packed = form.packed;
    return NK_FAULT_NONE;
}

enum nk_fault nk_parser_multi_value(struct nk_parser *f, struct nk_multi *m, const uint8_t *p,
                                    uint32_t n) {
    struct nk_form form;
    enum nk_fault bad = form_of(f, p, n, true, &form);
    if (NK_UNLIKELY(bad != NK_FAULT_NONE)) return bad;
    m->val = form.val;
    m->val_len = form.bytes;
    m->big = form.big;
    m->packed = form.packed;
    return NK_FAULT_NONE;
}

enum nk_fault nk_parser_multi(struct nk_parser *f, struct nk_req *r, uint32_t n) {
    struct nk_chunk *c = f->c;
    void *multi = c->multi;
    uint32_t need = c->multi_count + (n > 0 ? n : 1); /* a list of nothing has an address, too */
    int rc = nk_chunk_room(f->db, &multi, &c->multi_cap, need, sizeof *c->multi);
    if (rc != NITRO_OK) return nk_fault_of(rc);
    c->multi = multi;
    r->arg_at = c->multi_count;
    r->arg_count = 0;
    return NK_FAULT_NONE;
}

struct nk_multi *nk_parser_multi_add(struct nk_parser *f, struct nk_req *r, const uint8_t *p,
                                     uint32_t n) {
    struct nk_chunk *c = f->c;
    NK_ASSERT(c->multi_count < c->multi_cap);
    struct nk_multi *m = &c->multi[c->multi_count++];
    memset(m, 0, sizeof *m);
    nk_key_init(f->db, p, n, &m->key);
    r->arg_count++;
    return m;
}

enum nk_fault nk_parser_args(struct nk_parser *f, struct nk_req *r, uint32_t n) {
    struct nk_chunk *c = f->c;
    void *slices = c->slices;
    int rc = nk_chunk_room(f->db, &slices, &c->slice_cap, c->slice_count + n, sizeof *c->slices);
    if (rc != NITRO_OK) return nk_fault_of(rc);
    c->slices = slices;
    r->arg_at = c->slice_count;
    r->arg_count = n;
    c->slice_count += n;
    return NK_FAULT_NONE;
}

/* begin: forgets the last batch and makes sure of the protocol. */
static void begin(struct nk_parser *f) {
    nitro_chunk *c = &f->c->pub;
    drop_requests(f->db, f->c);
    c->more = 0;
    c->in_need = 0;
    c->grow_bytes = 0;
    if (f->ss->proto == NITRO_PROTO_UNKNOWN && c->in_pos < c->in_len)
        f->ss->proto = c->in[c->in_pos] == NK_NBP_REQUEST ? NITRO_PROTO_BINARY : NITRO_PROTO_RESP2;
}

int nitro_prepare(nitro_store *s, nitro_session *ss, nitro_chunk *c, int64_t now_ms) {
    struct nk_db *db = nk_front_db(s);
    struct nk_parser f = {.db = db,
                          .ss = ss,
                          .c = nk_chunk_of(c),
                          .now = now_ms,
                          .max_value = nk_db_max_value(db),
                          .locked = ss->locked != 0,
                          .packs = nk_pack_on(db)};
    uint32_t limit = f.locked ? 1 : NK_CHUNK_REQS;
    NK_ASSERT(c->next == c->count);
    begin(&f);
    bool binary = ss->proto == NITRO_PROTO_BINARY;
    while (c->in_pos < c->in_len && c->count < limit && !c->closing) {
        f.c->starts[c->count] = (uint32_t)c->in_pos; /* at most NK_IN_BYTES_MAX and a page */
        enum nk_parsed rc = binary ? nk_nbp_next(&f) : nk_resp_next(&f);
        if (rc == NK_PARSED) continue;
        if (rc == NK_PARSE_NEED) return NITRO_OK;
        if (rc == NK_PARSE_MEMORY && c->count == 0) return NITRO_ENOMEM;
        if (rc == NK_PARSE_MEMORY) break;
        c->closing = 1;
        c->in_pos = c->in_len;
    }
    c->more = c->in_pos < c->in_len;
    return NITRO_OK;
}
