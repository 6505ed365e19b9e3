/* SPDX-License-Identifier: MIT
 *
 * snapread.c - reads a snapshot file and believes nothing in it (L3; the format stands in snapfile.h).
 *
 * DESIGN
 *   A reader goes through all block headers in order. The payload of a block that belongs to its part is
 *   read, checked against the CRC in the header, and decompressed into one buffer, from which records are
 *   parsed where they lie. Foreign blocks cost one read of 32 bytes. Every part so sees the whole chain:
 *   the index counts up, a block of kind 3 stands behind one of kind 2 or 3 only, and at the end the CRC over
 *   all headers, and the sums of what they say, are those of the footer. Which payloads were read is the
 *   business of the parts together: every one is in exactly one of them.
 *
 *   Lengths are checked before memory is taken: a block has at most NK_SNAP_RAW_MAX bytes, stored no
 *   more than raw, and ends before the blocks do.
 *
 *   Of a large record the first block stays where it is, because the key lies in it. The others are read
 *   or decompressed into the caller's memory.
 *
 * NOT HERE  what damage means (the caller's), comparing sums over parts (the caller's).
 */
#include "snapfile.h"

#include "crc32c.h"
#include "seal.h"

static int corrupt(struct nk_snapread *r, uint64_t at, const char *what) {
    r->bad_at = at;
    r->what = what;
    return NITRO_ECORRUPT;
}

/* read_at: exactly n bytes. NITRO_OK, NITRO_EIO, NITRO_ECORRUPT. */
static int read_at(struct nk_snapread *r, void *p, size_t n, uint64_t offset) {
    int64_t got = nk_vfs_read(r->vfs, r->fd, p, n, offset);
    if (got < 0) {
        r->sys = (int)-got;
        return NITRO_EIO;
    }
    if ((uint64_t)got < n) return corrupt(r, offset + (uint64_t)got, "the file ends here");
    return NITRO_OK;
}

/* ---- open, close -------------------------------------------------------------------------------*/

static int read_head(struct nk_snapread *r) {
    uint8_t sector[NK_SECTOR];
    int rc = read_at(r, sector, sizeof sector, 0);
    if (rc == NITRO_OK) rc = nk_snap_head_decode(sector, &r->head);
    if (rc == NITRO_ECORRUPT && r->what == NULL) rc = corrupt(r, 0, "the header is not valid");
    r->file_crc = nk_crc32c(0, sector, sizeof sector);
    return rc;
}

/* check_zeros: between the end of the blocks and the footer. */
static int check_zeros(struct nk_snapread *r, uint64_t foot_at) {
    uint8_t zeros[NK_SECTOR];
    size_t n = (size_t)(foot_at - r->foot.end);
    int rc = read_at(r, zeros, n, r->foot.end);
    if (rc == NITRO_OK && !nk_seal_zeros(zeros, 0, n))
        rc = corrupt(r, r->foot.end, "there is something between the blocks and the footer");
    return rc;
}

static int read_foot(struct nk_snapread *r) {
    uint8_t sector[NK_SECTOR];
    if (r->size < 2 * NK_SECTOR || r->size % NK_SECTOR != 0)
        return corrupt(r, r->size, "the file does not end with a footer");
    uint64_t at = r->size - NK_SECTOR;
    int rc = read_at(r, sector, sizeof sector, at);
    if (rc != NITRO_OK) return rc;
    if (!nk_snap_foot_decode(sector, &r->foot))
        return corrupt(r, at, "the file does not end with a valid footer");
    if (r->foot.number != r->head.number || r->foot.salt != r->head.salt)
        return corrupt(r, at, "the footer is that of another file");
    if (r->foot.end > at || at - r->foot.end >= NK_SECTOR)
        return corrupt(r, at, "the footer does not stand where the blocks end");
    return check_zeros(r, at);
}

int nk_snapread_open(struct nk_snapread *r, const struct nitro_vfs *vfs,
                     const struct nitro_mem *mem, int fd, uint64_t size) {
    *r = (struct nk_snapread){
        .vfs = vfs, .mem = mem, .fd = fd, .size = size, .of = 1, .at = NK_SECTOR};
    nk_compress_init(&r->codec, mem);
    int rc = read_head(r);
    return rc == NITRO_OK ? read_foot(r) : rc;
}

void nk_snapread_close(struct nk_snapread *r) {
    if (r->mem == NULL) return;
    nk_mem_free(r->mem, r->stored, r->stored_cap);
    nk_mem_free(r->mem, r->raw, r->raw_cap);
    nk_compress_fini(&r->codec);
    *r = (struct nk_snapread){.mem = NULL};
}

void nk_snapread_part(struct nk_snapread *r, uint32_t part, uint32_t of) {
    NK_ASSERT(part < of && r->blocks == 0);
    r->part = part;
    r->of = of;
}

/* ---- blocks ------------------------------------------------------------------------------------*/

/* next_head: the header at r->at goes to r->block, and r->at behind the block. */
static int next_head(struct nk_snapread *r) {
    uint8_t head[NK_SNAP_BLOCK_HEAD];
    uint64_t left = r->foot.end - r->at;
    if (left < sizeof head) return corrupt(r, r->at, "a block does not end where the blocks do");
    int rc = read_at(r, head, sizeof head, r->at);
    if (rc != NITRO_OK) return rc;
    struct nk_snap_block b;
    if (!nk_snap_block_decode(head, r->at, r->head.salt, &b))
        return corrupt(r, r->at, "the header of a block is not valid");
    if (b.index != (uint32_t)r->blocks) return corrupt(r, r->at, "a block is missing before this");
    if (b.stored > left - sizeof head)
        return corrupt(r, r->at, "a block does not end where the blocks do");
    bool open = r->blocks > 0 && r->block.kind != NK_SNAP_RECORDS;
    if (b.kind == NK_SNAP_MORE && !open)
        return corrupt(r, r->at, "a piece of a value has no record before it");
    if (b.kind != NK_SNAP_MORE) r->groups++;
    r->block = b;
    r->blocks++;
    r->counted += b.count;
    r->raw_bytes += b.raw;
    r->file_crc = nk_crc32c(r->file_crc, head, sizeof head);
    r->at += sizeof head + b.stored;
    return NITRO_OK;
}

/* block_at: offset of the header of r->block. */
static uint64_t block_at(const struct nk_snapread *r) {
    return r->at - r->block.stored - NK_SNAP_BLOCK_HEAD;
}

/* make_room: *p has at least n bytes; what was in it is lost. */
static int make_room(struct nk_snapread *r, uint8_t **p, size_t *cap, size_t n) {
    if (n <= *cap) return NITRO_OK;
    size_t want = n > NK_SNAP_BLOCK ? NK_SNAP_RAW_MAX : NK_SNAP_BLOCK;
    nk_mem_free(r->mem, *p, *cap);
    *cap = 0;
    *p = nk_mem_alloc(r->mem, want);
    if (*p == NULL) return NITRO_ENOMEM;
    *cap = want;
    return NITRO_OK;
}

/* load: the payload of r->block, checked and decompressed, to dst[block.raw]. */
static int load(struct nk_snapread *r, uint8_t *dst) {
    const struct nk_snap_block *b = &r->block;
    bool plain = b->compression == NITRO_COMPRESSION_NONE;
    int rc = plain ? NITRO_OK : make_room(r, &r->stored, &r->stored_cap, b->stored);
    if (rc != NITRO_OK) return rc;
    uint8_t *stored = plain ? dst : r->stored;
    rc = read_at(r, stored, b->stored, r->at - b->stored);
    if (rc != NITRO_OK) return rc;
    if (nk_crc32c(0, stored, b->stored) != b->crc)
        return corrupt(r, block_at(r), "the checksum of a block does not fit");
    if (plain) return NITRO_OK;
    rc = nk_compress_decode(&r->codec, b->compression, stored, b->stored, dst, b->raw);
    return rc == NITRO_ECORRUPT ? corrupt(r, block_at(r), "a block cannot be decompressed") : rc;
}

/* check_end: behind the last block; what the headers say altogether is what the footer says. */
static int check_end(struct nk_snapread *r) {
    const struct nk_snap_foot *f = &r->foot;
    if (r->file_crc != f->file_crc || r->blocks != f->blocks || r->counted != f->keys ||
        r->raw_bytes != f->raw_bytes)
        return corrupt(r, r->at, "the blocks are not those that the footer counts");
    if (r->of == 1 && (r->keys != f->keys || r->hash_a != f->hash_a || r->hash_b != f->hash_b))
        return corrupt(r, r->at, "the contents are not those that the footer says");
    return NITRO_ENOTFOUND;
}

/* next_block: the next one of this part that begins a group, in r->raw. NITRO_ENOTFOUND: there is none. */
static int next_block(struct nk_snapread *r) {
    bool mine = false;
    while (!mine) {
        if (r->at == r->foot.end) return check_end(r);
        int rc = next_head(r);
        if (rc != NITRO_OK) return rc;
        mine = (r->groups - 1) % r->of == r->part;
        /* (nk_snapread_value has taken as many of them as the value needs.) */
        if (mine && r->block.kind == NK_SNAP_MORE)
            return corrupt(r, block_at(r), "a value is longer than its record says");
    }
    int rc = make_room(r, &r->raw, &r->raw_cap, r->block.raw);
    if (rc == NITRO_OK) rc = load(r, r->raw);
    if (rc != NITRO_OK) return rc;
    r->raw_len = r->block.raw;
    r->raw_at = 0;
    r->count_left = r->block.count;
    return NITRO_OK;
}

/* ---- records -----------------------------------------------------------------------------------*/

/* one_record: in a block of kind 1, which has to end with the last of its records. */
static int one_record(struct nk_snapread *r, const struct nk_snaprec *rec, uint64_t n) {
    r->raw_at += n;
    r->count_left--;
    if (NK_UNLIKELY((r->raw_at == r->raw_len) != (r->count_left == 0)))
        return corrupt(r, block_at(r), "a block does not hold as many records as it says");
    r->keys++;
    nk_snap_hash(rec, &r->hash_a, &r->hash_b);
    return NITRO_OK;
}

/* large_record: what its block holds of the value stays there until nk_snapread_value. */
static int large_record(struct nk_snapread *r, struct nk_snaprec *rec, uint64_t n) {
    r->raw_at += n;
    if (r->raw_at == r->raw_len || r->raw_len - r->raw_at > rec->value_bytes)
        return corrupt(r, block_at(r), "a value is not as long as its record says");
    r->value_left = rec->value_bytes;
    rec->value = NULL;
    return NITRO_OK;
}

int nk_snapread_next(struct nk_snapread *r, bool hold, struct nk_snaprec *out) {
    NK_ASSERT(r->value_left == 0);
    if (r->raw_at == r->raw_len) {
        if (hold) return NITRO_EBUSY;
        int rc = next_block(r);
        if (rc != NITRO_OK) return rc;
    }
    struct nk_snaprec rec;
    uint64_t n = nk_snaprec_parse(r->raw + r->raw_at, r->raw_len - r->raw_at, r->head.lsn, &rec);
    if (NK_UNLIKELY(n == 0 || rec.large != (r->block.kind == NK_SNAP_LARGE)))
        return corrupt(r, block_at(r), "a record is not valid");
    int rc = rec.large ? large_record(r, &rec, n) : one_record(r, &rec, n);
    if (rc == NITRO_OK) *out = rec;
    return rc;
}

/* next_piece: the next block of the value, to where it belongs in dst. */
static int next_piece(struct nk_snapread *r, uint8_t *dst) {
    if (r->at == r->foot.end) return corrupt(r, r->at, "the blocks end before a value does");
    int rc = next_head(r);
    if (rc != NITRO_OK) return rc;
    if (r->block.kind != NK_SNAP_MORE || r->block.raw > r->value_left)
        return corrupt(r, block_at(r), "a value is not as long as its record says");
    rc = load(r, dst);
    if (rc == NITRO_OK) r->value_left -= r->block.raw;
    return rc;
}

int nk_snapread_value(struct nk_snapread *r, struct nk_snaprec *rec, uint8_t *dst) {
    NK_ASSERT(rec->large && r->value_left == rec->value_bytes);
    size_t n = r->raw_len - r->raw_at;
    memcpy(dst, r->raw + r->raw_at, n);
    r->raw_at = r->raw_len;
    r->value_left -= n;
    while (r->value_left > 0) {
        int rc = next_piece(r, dst + (rec->value_bytes - r->value_left));
        if (rc != NITRO_OK) return rc;
    }
    rec->value = dst;
    r->keys++;
    nk_snap_hash(rec, &r->hash_a, &r->hash_b);
    return NITRO_OK;
}
