/* SPDX-License-Identifier: MIT
 *
 * exec_scan.c - SCAN: a bounded part of the key space in one reply.
 *
 * DESIGN
 *   Three steps. Collect: nk_db_scan copies whole keys with their figures into the chunk's scratch
 *   memory, under a lock, so nothing else happens there; if they don't fit, the step is
 *   taken back (the cursor is ours) and repeated with more memory. Filter: patterns are matched
 *   without a lock, within a budget of steps. Encode: the size of the reply is known by then.
 *   Where values lie on disk, versions and sizes are read between the last two, if they are asked for; then the
 *   request may stop, and goes on there. A key that is gone by then is left out; one whose record can't be read has
 *   version and size 0.
 *   SCAN changes nothing, so at any failure the client still has the cursor it came with.
 *
 * NOT HERE  the walk and its guarantee (nk_db_scan), patterns (exec_glob.c).
 */
#include "exec.h"
#include "exec_glob.h"

#define SCAN_BYTES 65536u         /* of keys in one reply, more or less */
#define SCAN_CALLS_MAX 64u        /* walks of a bounded number of buckets */
#define SCAN_WALK_COUNT 64u       /* entries wanted from one walk */
#define SCAN_STEPS_MAX (1u << 24) /* of pattern matching */
#define SCAN_BODY_MAX (12u << 20) /* one binary frame */
#define ELEMENT_EXTRA 32u         /* at most, around a key in a reply */

/* A collected key as it lies in scratch, followed by its bytes. RESP needs only these. */
struct raw {
    uint64_t version;
    int64_t expire_ms;
    uint32_t value_bytes;
    uint32_t key_bytes;
    uint32_t dropped; /* does not match */
    uint32_t pad;
};

struct collect {
    struct nk_chunk *c;
    size_t used;    /* of scratch */
    size_t needed;  /* what it would have taken */
    uint32_t count; /* keys */
    uint64_t shown;
};

NK_INLINE size_t raw_size(uint32_t key_bytes) {
    return nk_round_up(sizeof(struct raw) + key_bytes, 8);
}

/* add: keeps one key; under the segment's lock. Past the end of scratch it only counts. */
static void add(void *ctx, const struct nk_scan_entry *e) {
    struct collect *t = ctx;
    size_t size = raw_size(e->key_bytes);
    t->needed += size;
    if (t->needed > t->c->scratch_cap) return;
    struct raw *k = (struct raw *)(void *)(t->c->scratch + t->used);
    *k = (struct raw){e->version, e->expire_ms, (uint32_t)e->bytes, e->key_bytes, 0, 0};
    memcpy(k + 1, e->key, e->key_bytes);
    t->used += size;
    t->count++;
}

/* walk: one step of the walk. NITRO_OK with the keys added, or an error with nothing added. Keys
 * that don't fit are walked again one bucket at a time, and only a single bucket's keys get more
 * memory. */
static int walk(struct nk_exec *x, uint64_t *cursor, uint32_t count, struct collect *t) {
    for (;;) {
        struct collect before = *t;
        uint64_t at = *cursor;
        int rc = nk_db_scan(x->db, x->now, &at, count, add, t, &t->shown, NULL);
        if (rc == NITRO_OK && t->needed == t->used) {
            *cursor = at;
            return NITRO_OK;
        }
        size_t needed = t->needed;
        *t = before;
        if (rc == NITRO_OK && count == 1) rc = nk_chunk_scratch(x->db, x->c, needed + needed / 4);
        if (rc != NITRO_OK) return rc;
        count = 1;
    }
}

/* collect: walks until there are enough keys or enough bytes, or the walk has taken long enough. */
static int collect(struct nk_exec *x, const struct nk_req *r, uint64_t *cursor, struct collect *t) {
    int rc = nk_chunk_scratch(x->db, x->c, SCAN_BYTES);
    if (rc != NITRO_OK) return rc;
    for (uint32_t calls = 0; calls < SCAN_CALLS_MAX; calls++) {
        uint32_t want = (uint32_t)nk_min_u64(r->arg_count - t->count, SCAN_WALK_COUNT);
        rc = walk(x, cursor, want, t);
        if (rc == NITRO_EBUSY && calls > 0) return NITRO_OK; /* answer what there is */
        if (rc != NITRO_OK) return rc;
        if (*cursor == 0 || t->count >= r->arg_count || t->used >= SCAN_BYTES) break;
    }
    return NITRO_OK;
}

NK_INLINE struct raw *raw_at(const struct nk_exec *x, size_t at) {
    return (struct raw *)(void *)(x->c->scratch + at);
}

/* filter: marks the keys that don't match. Updates count; *bytes gets the sum of the others' keys.
 * False if the pattern is too costly. */
static bool filter(struct nk_exec *x, const struct nk_req *r, struct collect *t, size_t *bytes) {
    uint64_t budget = SCAN_STEPS_MAX;
    *bytes = 0;
    for (size_t at = 0; at < t->used;) {
        struct raw *k = raw_at(x, at);
        enum nk_glob match = NK_GLOB_YES;
        if ((r->flags & NK_F_NOTHING) != 0)
            match = NK_GLOB_NO;
        else if (r->val != NULL)
            match =
                nk_glob_match(r->val, r->val_len, (const uint8_t *)(k + 1), k->key_bytes, &budget);
        if (match == NK_GLOB_COSTLY) return false;
        k->dropped = match == NK_GLOB_NO;
        t->count -= k->dropped;
        if (!k->dropped) *bytes += k->key_bytes;
        at += raw_size(k->key_bytes);
    }
    return true;
}

/* describe: version and size of one collected key. DONE, IO, BUSY. */
static int describe(struct nk_exec *x, struct raw *k, struct collect *t, size_t *bytes) {
    struct nk_item it;
    struct nk_key key;
    nk_key_init(x->db, k + 1, k->key_bytes, &key);
    struct nk_seg *s = nk_exec_enter(x, &key);
    if (s == NULL) return NITRO_STOP_BUSY;
    nk_seg_find(s, &key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    int rc = it.found ? nk_exec_fetch(x, s, &key, &it, false) : NITRO_ENOTFOUND;
    if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
    if (rc == NITRO_AWAY) return NITRO_STOP_IO;
    nk_exec_release(x);
    x->c->fetch.tries = 0;
    k->dropped = !it.found;
    if (!it.found) {
        t->count--;
        *bytes -= k->key_bytes;
    } else if (rc == NITRO_OK) {
        k->version = it.version;
        k->expire_ms = it.expire_ms;
        k->value_bytes = (uint32_t)it.bytes;
    }
    return NITRO_STOP_DONE;
}

/* note_others: what the keys behind the one that is read will need. */
static void note_others(struct nk_exec *x, size_t at, size_t used) {
    struct nk_multi m;
    uint32_t left = NK_EXEC_WANT_KEYS;
    for (; at < used; at += raw_size(raw_at(x, at)->key_bytes)) {
        const struct raw *k = raw_at(x, at);
        if (k->dropped || k->version != 0) continue;
        if (left-- == 0) return;
        nk_key_init(x->db, k + 1, k->key_bytes, &m.key);
        if (!nk_exec_want_keys(x, &m, 1)) return;
    }
}

/* describe_all: of the keys from where the request has stopped before. DONE, IO, BUSY. */
static int describe_all(struct nk_exec *x, struct collect *t, size_t *bytes) {
    struct nk_walk *w = &x->c->walk;
    while (w->at < t->used) {
        struct raw *k = raw_at(x, w->at);
        size_t next = w->at + raw_size(k->key_bytes);
        int stop = k->dropped || k->version != 0 ? NITRO_STOP_DONE : describe(x, k, t, bytes);
        if (stop == NITRO_STOP_IO) note_others(x, next, t->used);
        if (stop != NITRO_STOP_DONE) return stop;
        w->at = next;
    }
    return NITRO_STOP_DONE;
}

static void encode_resp(struct nk_exec *x, uint64_t cursor, const struct collect *t) {
    uint8_t digits[NK_NUM_MAX];
    size_t n = (size_t)(nk_num_put_u64(digits, cursor) - digits);
    nk_out_text(x, "*2\r\n");
    nk_out_head(x, '$', n);
    nk_out_bytes(x, digits, n);
    nk_out_text(x, "\r\n");
    nk_out_head(x, '*', t->count);
    for (size_t at = 0; at < t->used;) {
        const struct raw *k = raw_at(x, at);
        at += raw_size(k->key_bytes);
        if (k->dropped) continue;
        nk_out_head(x, '$', k->key_bytes);
        nk_out_bytes(x, k + 1, k->key_bytes);
        nk_out_text(x, "\r\n");
    }
}

static void encode_binary(struct nk_exec *x, const struct nk_req *r, uint64_t cursor,
                          const struct collect *t) {
    struct nk_frame f;
    nk_frame_open(x, r, &f);
    nk_out_bytes(x, &cursor, sizeof cursor);
    nk_out_bytes(x, &t->count, sizeof t->count);
    for (size_t at = 0; at < t->used;) {
        const struct raw *k = raw_at(x, at);
        uint16_t n = (uint16_t)k->key_bytes;
        at += raw_size(k->key_bytes);
        if (k->dropped) continue;
        nk_out_bytes(x, &n, sizeof n);
        nk_out_bytes(x, k + 1, n);
        if ((r->flags & NK_F_VERSION) == 0) continue;
        nk_out_bytes(x, &k->version, sizeof k->version);
        nk_out_bytes(x, &k->expire_ms, sizeof k->expire_ms);
        nk_out_bytes(x, &k->value_bytes, sizeof k->value_bytes);
    }
    nk_frame_close(x, r, &f, NITRO_OK, false, NULL, 0);
}

/* gather: collects and filters. NITRO_OK, an error, or NITRO_ELIMIT: the pattern is too costly. */
static int gather(struct nk_exec *x, const struct nk_req *r, struct collect *t) {
    struct nk_walk *w = &x->c->walk;
    *w = (struct nk_walk){.cursor = r->num};
    int rc = collect(x, r, &w->cursor, t);
    if (rc != NITRO_OK) return rc;
    size_t bytes;
    if (!filter(x, r, t, &bytes)) return NITRO_ELIMIT;
    w->used = t->used;
    w->count = t->count;
    w->bytes = bytes;
    return NITRO_OK;
}

static int answer(struct nk_exec *x, const struct nk_req *r, const struct collect *t,
                  size_t bytes) {
    int rc = nk_chunk_out(x->db, x->c, bytes + (t->count + 4ull) * ELEMENT_EXTRA);
    if (rc == NITRO_OK && x->binary && bytes + t->count * ELEMENT_EXTRA > SCAN_BODY_MAX)
        rc = NITRO_EINTERNAL;
    if (rc != NITRO_OK)
        nk_reply_error(x, r, rc);
    else if (x->binary)
        encode_binary(x, r, x->c->walk.cursor, t);
    else
        encode_resp(x, x->c->walk.cursor, t);
    return NITRO_STOP_DONE;
}

int nk_exec_scan(struct nk_exec *x, struct nk_req *r) {
    struct nk_walk *w = &x->c->walk;
    struct collect t = {.c = x->c};
    if (!x->c->started) {
        int rc = gather(x, r, &t);
        nk_exec_show(x, t.shown);
        if (rc == NITRO_EBUSY) return NITRO_STOP_BUSY;
        if (rc == NITRO_ELIMIT)
            nk_reply_fault(x, r, NK_FAULT_PATTERN_COST, NULL, 0);
        else if (rc != NITRO_OK)
            nk_reply_error(x, r, rc);
        if (rc != NITRO_OK) return NITRO_STOP_DONE;
    }
    t.used = w->used;
    t.count = (uint32_t)w->count;
    size_t bytes = w->bytes;
    int stop = NITRO_STOP_DONE;
    if ((r->flags & NK_F_VERSION) != 0) stop = describe_all(x, &t, &bytes);
    w->count = t.count;
    w->bytes = bytes;
    x->c->started = stop != NITRO_STOP_DONE;
    x->c->shown = x->shown;
    return stop == NITRO_STOP_DONE ? answer(x, r, &t, bytes) : stop;
}
