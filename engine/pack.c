/* SPDX-License-Identifier: MIT
 *
 * pack.c - compressing values before they are logged, and the way back (L5).
 *
 * DESIGN
 *   A context of the compressor is large (half a megabyte for Zstandard), and is used for microseconds. So there is no
 *   more than one for each thread that compresses at the moment, and a few wait for the next one in a list of the store.
 *   Its lock is held for two assignments; who does not get it at once makes a context of his own, or frees his.
 *
 *   Forms go one behind the other into blocks that live as long as the requests that they belong to. The first block is
 *   as small as its form, because most chunks that come alone hold one value.
 *
 * NOT HERE  the compressors (compress.c), the bytes (packed.c), reading records (fetch.c).
 */
#include "pack.h"

#include "compress.h"
#include "db.h"

#define BLOCK_BYTES 65536u
#define IDLE_MAX 8u /* contexts that wait */
#define LOCK_TRIES 16u

struct nk_pack_block {
    struct nk_pack_block *next;
    size_t bytes; /* this header included */
    uint8_t data[];
};

/* ---- contexts ----------------------------------------------------------------------------------*/

struct nk_codec {
    struct nk_codec *next;
    struct nk_compress c;
};

static int64_t codec_bytes(const struct nk_codec *k) {
    return (int64_t)(sizeof *k + k->c.encoder_bytes + k->c.decoder_bytes);
}

static void free_codec(struct nk_db *db, struct nk_codec *k) {
    nk_db_count_chunk(db, -codec_bytes(k));
    nk_compress_fini(&k->c);
    nk_db_free(db, k, sizeof *k);
}

/* A context that nobody else uses, or NULL without memory. */
static struct nk_codec *take_codec(struct nk_db *db) {
    struct nk_codec *k = NULL;
    if (nk_spin_try(&db->packing.lock, LOCK_TRIES)) {
        k = db->packing.idle;
        if (k != NULL) {
            db->packing.idle = k->next;
            db->packing.idle_count--;
        }
        nk_spin_unlock(&db->packing.lock);
    }
    if (k != NULL) return k;
    k = nk_db_alloc(db, sizeof *k);
    if (k == NULL) return NULL;
    k->next = NULL;
    nk_compress_init(&k->c, db->mem);
    nk_db_count_chunk(db, codec_bytes(k));
    return k;
}

/* It had `was` bytes when it was taken. */
static void give_codec(struct nk_db *db, struct nk_codec *k, int64_t was) {
    bool kept = false;
    nk_db_count_chunk(db, codec_bytes(k) - was);
    if (nk_spin_try(&db->packing.lock, LOCK_TRIES)) {
        kept = db->packing.idle_count < IDLE_MAX;
        if (kept) {
            k->next = db->packing.idle;
            db->packing.idle = k;
            db->packing.idle_count++;
        }
        nk_spin_unlock(&db->packing.lock);
    }
    if (!kept) free_codec(db, k);
}

void nk_packing_close(struct nk_db *db) {
    while (db->packing.idle != NULL) {
        struct nk_codec *k = db->packing.idle;
        db->packing.idle = k->next;
        free_codec(db, k);
    }
    db->packing.idle_count = 0;
}

/* ---- memory ------------------------------------------------------------------------------------*/

/* Room for one more form, or NULL. */
static uint8_t *room(struct nk_db *db, struct nk_pack *m, size_t need) {
    if (m->left >= need) return m->at;
    size_t bytes = sizeof *m->blocks + need;
    if (m->blocks != NULL) bytes = (size_t)nk_max_u64(bytes, BLOCK_BYTES);
    if (!nk_db_room(db, bytes)) return NULL;
    struct nk_pack_block *b = nk_db_alloc(db, bytes);
    if (b == NULL) return NULL;
    nk_db_count_chunk(db, (int64_t)bytes);
    b->next = m->blocks;
    b->bytes = bytes;
    m->blocks = b;
    m->at = b->data;
    m->left = bytes - sizeof *b;
    return m->at;
}

static void take_room(struct nk_pack *m, size_t bytes) {
    m->at += bytes;
    m->left -= bytes;
}

void nk_pack_drop(struct nk_db *db, struct nk_pack *m) {
    while (m->blocks != NULL) {
        struct nk_pack_block *b = m->blocks;
        m->blocks = b->next;
        nk_db_count_chunk(db, -(int64_t)b->bytes);
        nk_db_free(db, b, b->bytes);
    }
    *m = (struct nk_pack){0};
}

/* ---- packing -----------------------------------------------------------------------------------*/

/* The form at out, where the limit of n has room. Returns its bytes; 0: it does not pay, or there is no memory. */
static size_t encode(struct nk_db *db, const uint8_t *p, uint64_t n, uint8_t *out) {
    enum nitro_compression how = db->packing.how;
    struct nk_codec *k = take_codec(db);
    size_t bytes = 0;
    if (k == NULL) return 0;
    int64_t was = codec_bytes(k);
    uint32_t head = nk_packed_head(how, (uint32_t)n, out);
    int rc = nk_compress_encode(&k->c, how, p, n, out + head, nk_pack_limit(n) - head, &bytes);
    give_codec(db, k, was);
    return rc == NITRO_OK ? head + bytes : 0;
}

static void count(struct nk_db *db, uint64_t raw, uint64_t stored) {
    __atomic_fetch_add(&db->packing.raw_bytes, raw, __ATOMIC_RELAXED);
    __atomic_fetch_add(&db->packing.stored_bytes, stored, __ATOMIC_RELAXED);
    if (stored < raw) __atomic_fetch_add(&db->packing.values, 1, __ATOMIC_RELAXED);
}

static void pack_small(struct nk_db *db, struct nk_pack *m, const uint8_t *p, uint64_t n,
                       struct nk_form *out) {
    uint8_t *to = room(db, m, (size_t)nk_pack_limit(n));
    size_t bytes = to != NULL ? encode(db, p, n, to) : 0;
    count(db, n, bytes != 0 ? bytes : n);
    if (bytes == 0) return;
    take_room(m, bytes);
    *out = (struct nk_form){.val = to, .bytes = (uint32_t)bytes, .packed = true};
}

/* The block of *out, which has room for the value, gets its form, or the value. What has become small moves out of it. */
static void pack_large(struct nk_db *db, struct nk_pack *m, const uint8_t *p, uint64_t n,
                       struct nk_form *out) {
    struct nk_big *big = out->big;
    size_t bytes = encode(db, p, n, big->data);
    uint8_t *to = bytes != 0 && bytes <= NK_VALUE_BIG ? room(db, m, bytes) : NULL;
    bool packed = bytes > NK_VALUE_BIG || to != NULL;
    count(db, n, packed ? bytes : n);
    if (!packed) {
        memcpy(big->data, p, n);
        return;
    }
    out->packed = true;
    big->bytes = bytes;
    if (to == NULL) return;
    memcpy(to, big->data, bytes);
    take_room(m, bytes);
    nk_big_release(db, big);
    *out = (struct nk_form){.val = to, .bytes = (uint32_t)bytes, .packed = true};
}

bool nk_pack_on(const struct nk_db *db) { return db->packing.how != NITRO_COMPRESSION_NONE; }

int nk_pack_value(struct nk_db *db, struct nk_pack *m, const uint8_t *p, uint64_t n,
                  struct nk_form *out) {
    bool packs = m != NULL && nk_pack_on(db) && n >= NK_PACK_MIN && n <= NK_PACK_MAX;
    if (n <= NK_VALUE_BIG) {
        *out = (struct nk_form){.val = p, .bytes = (uint32_t)n};
        if (packs) pack_small(db, m, p, n, out);
        return NITRO_OK;
    }
    if (!nk_db_room(db, n)) return NITRO_EMAXMEMORY;
    struct nk_big *big = nk_big_new(db, packs ? NULL : p, n);
    if (big == NULL) return NITRO_ENOMEM;
    *out = (struct nk_form){.big = big};
    if (packs) pack_large(db, m, p, n, out);
    return NITRO_OK;
}

/* ---- unpacking ---------------------------------------------------------------------------------*/

int nk_unpack(struct nk_db *db, const struct nk_packed *from, uint8_t *out) {
    struct nk_codec *k = take_codec(db);
    if (k == NULL) return NITRO_ENOMEM;
    int64_t was = codec_bytes(k);
    int rc = nk_compress_decode(&k->c, from->codec, from->p, from->bytes, out, from->raw_bytes);
    give_codec(db, k, was);
    return rc;
}
