/* SPDX-License-Identifier: MIT
 *
 * exec_load.c - values that lie on disk: stopping for them, and going on.
 *
 * DESIGN
 *   An operation that needs the value of a found item calls nk_exec_load before it writes or changes anything. If the
 *   value has to be read, the record is noted in the chunk's fetch, with those of the requests that follow and will need
 *   theirs, the lock is given up, and execute stops with NITRO_STOP_IO. When it is called again the same operation
 *   begins anew and finds the value, unless the key has changed meanwhile: then it goes another round, and after some
 *   rounds it reads under the lock.
 *
 * NOT HERE  reading (fetch.c).
 */
#include "exec.h"

/* Whether a request will need the value of its one key. */
static bool reads_value(const struct nk_req *r) {
    switch ((enum nk_op)r->op) {
    case NK_OP_GET:
    case NK_OP_INCR:
    case NK_OP_STRLEN:
    case NK_OP_GETRANGE:
    case NK_OP_GETDEL:
    case NK_OP_APPEND:
        return true;
    default:
        return false;
    }
}

/* want: notes the value of a key. False: the round is full, or somebody has the segment. */
static bool want(struct nk_exec *x, struct nk_key *k) {
    struct nk_item it;
    struct nk_seg *s = nk_exec_enter(x, k);
    if (s == NULL) return false;
    nk_seg_find(s, k, x->now, false, &it);
    bool room = !it.found || nk_fetch_want(&x->c->fetch, s, k, &it);
    nk_exec_release(x);
    return room;
}

/* want_ahead: what the requests behind the one that stops will need. */
static void want_ahead(struct nk_exec *x) {
    struct nk_chunk *c = x->c;
    for (uint32_t i = c->pub.next + 1; i < c->pub.count; i++) {
        struct nk_req *r = &c->reqs[i];
        if (!reads_value(r)) continue;
        if (!want(x, &r->key)) return;
    }
}

bool nk_exec_want_keys(struct nk_exec *x, struct nk_multi *m, uint32_t count) {
    uint32_t end = (uint32_t)nk_min_u64(count, NK_EXEC_WANT_KEYS);
    for (uint32_t i = 0; i < end; i++)
        if (!want(x, &m[i].key)) return false;
    return end == count;
}

int nk_exec_fetch(struct nk_exec *x, struct nk_seg *s, const struct nk_key *k, struct nk_item *it,
                  bool counted) {
    int rc = nk_fetch_get(&x->c->fetch, s, k, it);
    if (NK_LIKELY(rc == NITRO_OK)) return rc;
    if (counted && (rc == NITRO_AWAY || rc == NITRO_EBUSY)) nk_seg_uncount(s);
    nk_exec_release(x);
    return rc;
}

bool nk_exec_load_away(struct nk_exec *x, const struct nk_req *r, struct nk_seg *s,
                       struct nk_item *it, bool counted, int *stop) {
    int rc = nk_exec_fetch(x, s, &r->key, it, counted);
    if (rc == NITRO_OK) return true;
    if (rc == NITRO_AWAY) {
        want_ahead(x);
        *stop = NITRO_STOP_IO;
    } else if (rc == NITRO_EBUSY) {
        *stop = NITRO_STOP_BUSY;
    } else {
        nk_reply_error(x, r, rc);
        *stop = NITRO_STOP_DONE;
    }
    return false;
}

/* A large value's checksum is not computed under the lock, since it takes time; then the key must be as it was. Who has met
 * another value often enough has it computed where the record is logged, under the lock. */
static bool sum_large(struct nk_exec *x, struct nk_req *r, struct nk_item *it,
                      struct nk_effect *e) {
    uint64_t loc = it->loc;
    if (x->c->fetch.tries >= NK_FETCH_TRIES) return true;
    x->c->fetch.tries++;
    nk_exec_release(x);
    nk_effect_crc(x->db, &r->key, e);
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return false;
    nk_seg_find(s, &r->key, x->now, false, it);
    return it->found && it->loc == loc && nk_fetch_get(&x->c->fetch, s, &r->key, it) == NITRO_OK;
}

bool nk_exec_expiry(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, struct nk_item *it,
                    bool counted, struct nk_effect *e, int *stop) {
    if (NK_LIKELY(!nk_seg_rewrites(x->db))) return true;
    if (!nk_exec_load(x, r, s, it, counted, stop)) return false;
    e->kind = NK_EFFECT_PUT;
    e->big = it->stored.big;
    e->val = it->stored.val;
    e->bytes = it->stored.bytes;
    e->packed = it->stored.packed;
    if (e->big == NULL || sum_large(x, r, it, e)) return true;
    nk_exec_release(x);
    *stop = NITRO_STOP_BUSY;
    return false;
}

void nitro_chunk_fetch(nitro_store *s, nitro_chunk *c) {
    nk_fetch_run(&nk_chunk_of(c)->fetch, nk_front_db(s));
}
