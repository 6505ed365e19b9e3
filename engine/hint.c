/* SPDX-License-Identifier: MIT
 *
 * hint.c - writes and reads hint files (L3; the format stands in hint.h).
 *
 * DESIGN
 *   Both sides hold one block in memory, whatever the file's size. The writer fills it, and writes it when the next
 *   entry might not fit; the header comes last, so that what was not finished has none. The reader checks a block's
 *   length before it is read and its CRC before it is parsed. Behind the block its buffer has zeros for as many bytes as
 *   an entry can have before its key: so entries are parsed where they lie, without a look at the end at each
 *   number. Zero bytes end a varint, so they can't be taken for more of one, and an entry that reaches into them is
 *   longer than what is left.
 *
 *   What may follow what, and what is counted, is said once (hint_entry.h): what the writer writes, the reader
 *   takes, and the sums that it compares at the end are made in the same way.
 *
 * NOT HERE  names and places of the files (logdata.c), whether a hint is about the file that is meant, and what is
 *           done without one (keydir_load.c).
 */
#include "hint.h"

#include "datafile.h"
#include "hint_entry.h"
#include "seal.h"

#define ENTRY_MAX (NK_HINT_ENTRY_HEAD_MAX + NITRO_KEY_MAX)
#define BUF_BYTES (NK_HINT_BLOCK_HEADER + NK_HINT_BLOCK + ENTRY_MAX) /* of the writer */

_Static_assert(NK_HINT_BLOCK + ENTRY_MAX <= NK_HINT_BLOCK_MAX, "a block is at most this long");

/* ---- header ------------------------------------------------------------------------------------*/

static const char head_magic[] = "NITROHNT";

enum {
    HEAD_VERSION = 8,
    HEAD_KIND = 12,
    HEAD_STORE = 16,
    HEAD_NUMBER = 32,
    HEAD_SALT = 40,
    HEAD_END = 48,
    HEAD_FIRST_LSN = 56,
    HEAD_LAST_LSN = 64,
    HEAD_ENTRIES = 72,
    HEAD_PUT_BYTES = 80,
    HEAD_GONE_BYTES = 88,
    HEAD_GONE_LSN = 96,
    HEAD_BYTES = 104,
    HEAD_TIME = 112,
    HEAD_ZEROS = 120,
    HEAD_CRC = 124
};
_Static_assert(HEAD_CRC + NK_SEAL_CRC == NK_HINT_HEADER, "hint.h");

/* head_obeys: kind is given apart, because the enum cannot hold what a file may. */
static bool head_obeys(const struct nk_hint_head *h, uint32_t kind) {
    if (kind != NK_FILE_LOG && kind != NK_FILE_DATA) return false;
    if (h->number == 0 || h->first_lsn == 0 || h->time_ms < 0) return false;
    if (h->end < NK_SECTOR || h->end > NK_DATA_END_MAX) return false;
    bool empty = h->entries == 0;
    return h->last_lsn >= h->first_lsn - 1 && empty == (h->last_lsn == h->first_lsn - 1) &&
           empty == (h->bytes == 0);
}

void nk_hint_head_encode(const struct nk_hint_head *h, uint8_t out[NK_HINT_HEADER]) {
    NK_ASSERT(head_obeys(h, (uint32_t)h->kind));
    nk_seal_begin(out, NK_HINT_HEADER, head_magic);
    nk_store32(out + HEAD_VERSION, NK_HINT_VERSION);
    nk_store32(out + HEAD_KIND, (uint32_t)h->kind);
    memcpy(out + HEAD_STORE, h->store, sizeof h->store);
    nk_store64(out + HEAD_NUMBER, h->number);
    nk_store64(out + HEAD_SALT, h->salt);
    nk_store64(out + HEAD_END, h->end);
    nk_store64(out + HEAD_FIRST_LSN, h->first_lsn);
    nk_store64(out + HEAD_LAST_LSN, h->last_lsn);
    nk_store64(out + HEAD_ENTRIES, h->entries);
    nk_store64(out + HEAD_PUT_BYTES, h->put_bytes);
    nk_store64(out + HEAD_GONE_BYTES, h->gone_bytes);
    nk_store64(out + HEAD_GONE_LSN, h->gone_lsn);
    nk_store64(out + HEAD_BYTES, h->bytes);
    nk_store64(out + HEAD_TIME, (uint64_t)h->time_ms);
    nk_seal_end(out, NK_HINT_HEADER);
}

int nk_hint_head_decode(const uint8_t p[NK_HINT_HEADER], struct nk_hint_head *out) {
    if (!nk_seal_intact(p, NK_HINT_HEADER, head_magic)) return NITRO_ECORRUPT;
    uint32_t kind = nk_load32(p + HEAD_KIND);
    struct nk_hint_head h = {.version = nk_load32(p + HEAD_VERSION),
                             .number = nk_load64(p + HEAD_NUMBER),
                             .salt = nk_load64(p + HEAD_SALT),
                             .end = nk_load64(p + HEAD_END),
                             .first_lsn = nk_load64(p + HEAD_FIRST_LSN),
                             .last_lsn = nk_load64(p + HEAD_LAST_LSN),
                             .entries = nk_load64(p + HEAD_ENTRIES),
                             .put_bytes = nk_load64(p + HEAD_PUT_BYTES),
                             .gone_bytes = nk_load64(p + HEAD_GONE_BYTES),
                             .gone_lsn = nk_load64(p + HEAD_GONE_LSN),
                             .bytes = nk_load64(p + HEAD_BYTES),
                             .time_ms = (int64_t)nk_load64(p + HEAD_TIME)};
    memcpy(h.store, p + HEAD_STORE, sizeof h.store);
    if (h.version > NK_HINT_VERSION) {
        out->version = h.version;
        return NITRO_EFORMAT;
    }
    if (h.version != NK_HINT_VERSION || !head_obeys(&h, kind)) return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, HEAD_ZEROS, HEAD_CRC)) return NITRO_ECORRUPT;
    h.kind = (enum nk_manifest_kind)kind;
    *out = h;
    return NITRO_OK;
}

/* block_crc: of the n bytes of entries at p, in a block at `offset`. */
static uint32_t block_crc(const uint8_t *p, size_t n, uint64_t offset, uint64_t salt) {
    uint8_t place[24];
    nk_store64(place, offset);
    nk_store64(place + 8, salt);
    nk_store64(place + 16, n);
    return nk_crc32c(nk_crc32c(0, p, n), place, sizeof place);
}

/* ---- writing -----------------------------------------------------------------------------------*/

int nk_hintwrite_init(struct nk_hintwrite *w, const struct nitro_vfs *vfs,
                      const struct nitro_mem *mem, int fd, const struct nk_hint_head *head) {
    NK_ASSERT(head->first_lsn != 0);
    *w = (struct nk_hintwrite){.vfs = vfs,
                               .mem = mem,
                               .fd = fd,
                               .used = NK_HINT_BLOCK_HEADER,
                               .at = NK_HINT_HEADER,
                               .end = NK_SECTOR};
    w->head = (struct nk_hint_head){.version = NK_HINT_VERSION,
                                    .kind = head->kind,
                                    .number = head->number,
                                    .salt = head->salt,
                                    .first_lsn = head->first_lsn,
                                    .last_lsn = head->first_lsn - 1};
    memcpy(w->head.store, head->store, sizeof w->head.store);
    w->buf = nk_mem_alloc(mem, BUF_BYTES);
    return w->buf == NULL ? NITRO_ENOMEM : NITRO_OK;
}

void nk_hintwrite_fini(struct nk_hintwrite *w) {
    if (w->mem == NULL) return;
    nk_mem_free(w->mem, w->buf, BUF_BYTES);
    *w = (struct nk_hintwrite){.mem = NULL};
}

static int failed(struct nk_hintwrite *w, int rc) {
    w->sys = -rc;
    return NITRO_EIO;
}

/* write_block: what has been gathered. If that fails it is still there. */
static int write_block(struct nk_hintwrite *w) {
    size_t n = w->used - NK_HINT_BLOCK_HEADER;
    if (n == 0) return NITRO_OK;
    nk_store32(w->buf, (uint32_t)n);
    nk_store32(w->buf + 4, block_crc(w->buf + NK_HINT_BLOCK_HEADER, n, w->at, w->head.salt));
    int rc = nk_vfs_write(w->vfs, w->fd, w->buf, w->used, w->at, "hint: block");
    if (rc < 0) return failed(w, rc);
    w->at += w->used;
    w->head.bytes += w->used;
    w->used = NK_HINT_BLOCK_HEADER;
    return NITRO_OK;
}

int nk_hintwrite_add(struct nk_hintwrite *w, const struct nk_hint *h) {
    if (!nk_hint_follows(&w->head, w->end, h) ||
        h->lsn - nk_hint_base_lsn(&w->head) >= NK_VARINT_LIMIT)
        return NITRO_ECORRUPT;
    if (w->used >= NK_HINT_BLOCK_HEADER + NK_HINT_BLOCK) {
        int rc = write_block(w);
        if (rc != NITRO_OK) return rc;
    }
    uint8_t *p = nk_varint_put(w->buf + w->used, h->offset - w->end);
    p = nk_varint_put(p, h->bytes);
    p = nk_varint_put(p, h->lsn - nk_hint_base_lsn(&w->head));
    *p++ = (uint8_t)((uint32_t)h->kind | (h->expire_ms != 0 ? NK_HINT_KIND_EXPIRY : 0u));
    p = nk_varint_put(p, h->key_bytes);
    if (h->expire_ms != 0) {
        nk_store64(p, (uint64_t)h->expire_ms);
        p += 8;
    }
    if (h->key_bytes > 0) memcpy(p, h->key, h->key_bytes);
    w->used = (size_t)(p - w->buf) + h->key_bytes;
    w->end = h->offset + h->bytes;
    nk_hint_count(&w->head, h);
    return NITRO_OK;
}

int nk_hintwrite_finish(struct nk_hintwrite *w, uint64_t end, int64_t time_ms) {
    NK_ASSERT(end >= w->end);
    int rc = write_block(w);
    if (rc != NITRO_OK) return rc;
    uint8_t head[NK_HINT_HEADER];
    w->head.end = end;
    w->head.time_ms = time_ms;
    nk_hint_head_encode(&w->head, head);
    rc = nk_vfs_write(w->vfs, w->fd, head, sizeof head, 0, "hint: header");
    return rc < 0 ? failed(w, rc) : NITRO_OK;
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* read_at: exactly n bytes. NITRO_OK, NITRO_EIO; NITRO_ECORRUPT: the file is shorter. */
static int read_at(struct nk_hintread *r, void *p, size_t n, uint64_t offset) {
    int64_t got = nk_vfs_read(r->vfs, r->fd, p, n, offset);
    if (got < 0) {
        r->sys = (int)-got;
        return NITRO_EIO;
    }
    return (uint64_t)got == n ? NITRO_OK : NITRO_ECORRUPT;
}

int nk_hintread_open(struct nk_hintread *r, const struct nitro_vfs *vfs,
                     const struct nitro_mem *mem, int fd, uint64_t size) {
    uint8_t head[NK_HINT_HEADER];
    *r = (struct nk_hintread){
        .vfs = vfs, .mem = mem, .fd = fd, .size = size, .at = NK_HINT_HEADER, .end = NK_SECTOR};
    if (size < NK_HINT_HEADER) return NITRO_ECORRUPT;
    int rc = read_at(r, head, sizeof head, 0);
    if (rc == NITRO_OK) rc = nk_hint_head_decode(head, &r->head);
    if (rc != NITRO_OK) return rc;
    if (r->head.bytes != size - NK_HINT_HEADER) return NITRO_ECORRUPT;
    r->seen.first_lsn = r->head.first_lsn;
    r->seen.last_lsn = r->head.first_lsn - 1;
    r->cap = (size_t)nk_min_u64(r->head.bytes, NK_HINT_BLOCK_MAX) + NK_HINT_ENTRY_HEAD_MAX;
    r->buf = nk_mem_alloc(mem, r->cap);
    return r->buf == NULL ? NITRO_ENOMEM : NITRO_OK;
}

void nk_hintread_close(struct nk_hintread *r) {
    if (r->mem == NULL) return;
    nk_mem_free(r->mem, r->buf, r->cap);
    *r = (struct nk_hintread){.mem = NULL};
}

/* check_end: behind the last block; what the entries add up to is what the header says. */
static int check_end(const struct nk_hintread *r) {
    const struct nk_hint_head *seen = &r->seen, *said = &r->head;
    bool same = seen->entries == said->entries && seen->last_lsn == said->last_lsn &&
                seen->put_bytes == said->put_bytes && seen->gone_bytes == said->gone_bytes &&
                seen->gone_lsn == said->gone_lsn;
    return same ? NITRO_ENOTFOUND : NITRO_ECORRUPT;
}

/* next_block: to r->buf, proved. */
static int next_block(struct nk_hintread *r) {
    uint8_t head[NK_HINT_BLOCK_HEADER];
    uint64_t left = r->size - r->at;
    if (left <= sizeof head) return NITRO_ECORRUPT;
    int rc = read_at(r, head, sizeof head, r->at);
    if (rc != NITRO_OK) return rc;
    size_t n = nk_load32(head);
    if (n == 0 || n > NK_HINT_BLOCK_MAX || n > left - sizeof head) return NITRO_ECORRUPT;
    r->used = r->bytes = 0; /* what is in the buffer goes */
    rc = read_at(r, r->buf, n, r->at + sizeof head);
    if (rc != NITRO_OK) return rc;
    if (nk_load32(head + 4) != block_crc(r->buf, n, r->at, r->head.salt)) return NITRO_ECORRUPT;
    memset(r->buf + n, 0, NK_HINT_ENTRY_HEAD_MAX);
    r->bytes = n;
    r->at += sizeof head + n;
    return NITRO_OK;
}

int nk_hintread_more(struct nk_hintread *r) {
    if (r->at == r->size) return check_end(r);
    if (r->hold) return NITRO_EBUSY;
    return next_block(r);
}

int nk_hintread_next(struct nk_hintread *r, struct nk_hint *out) {
    return nk_hintread_take(r, out);
}
