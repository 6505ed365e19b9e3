/* SPDX-License-Identifier: MIT
 *
 * snapwrite.c - writes a snapshot file, block by block (L3; the format stands in snapfile.h).
 *
 * DESIGN
 *   Who calls collects records in memory, in the form in which they lie in the file. They are cut here
 *   into blocks, counted and hashed on the way, compressed, and each block is written with its header in
 *   one call. Memory is one block and its compressed form, whatever the file's size: of a large record
 *   each piece is compressed from where the value lies, and only the first is put together here.
 *
 *   The file is synced every few MiB. One sync at the end would hold up that of the log, which shares
 *   the disk, for as long as all of the file takes.
 *
 * NOT HERE  the file's name and its place in MANIFEST (logsnap.c), which records there are (snap.c).
 */
#include "snapfile.h"

#include "crc32c.h"

#define SYNC_BYTES (8u << 20) /* written between two syncs */

static int failed(struct nk_snapwrite *w, int rc) {
    w->sys = -rc;
    return NITRO_EIO;
}

int nk_snapwrite_init(struct nk_snapwrite *w, const struct nitro_vfs *vfs,
                      const struct nitro_mem *mem, int fd, const struct nk_snap_head *head,
                      enum nitro_compression compression) {
    *w = (struct nk_snapwrite){
        .vfs = vfs, .mem = mem, .fd = fd, .head = *head, .compression = compression};
    nk_compress_init(&w->codec, mem);
    uint8_t sector[NK_SECTOR];
    nk_snap_head_encode(head, sector);
    w->at = NK_SECTOR;
    w->foot.number = head->number;
    w->foot.salt = head->salt;
    w->foot.file_crc = nk_crc32c(0, sector, sizeof sector);
    int rc = nk_vfs_write(vfs, fd, sector, sizeof sector, 0, "snapshot: header");
    return rc < 0 ? failed(w, rc) : NITRO_OK;
}

void nk_snapwrite_fini(struct nk_snapwrite *w) {
    if (w->mem == NULL) return;
    nk_mem_free(w->mem, w->stored, w->stored_cap);
    nk_mem_free(w->mem, w->first, NK_SNAP_BLOCK);
    nk_compress_fini(&w->codec);
    *w = (struct nk_snapwrite){.mem = NULL};
}

/* ---- blocks ------------------------------------------------------------------------------------*/

/* make_room: w->stored has room for a block of n raw bytes; false: no memory. */
static bool make_room(struct nk_snapwrite *w, size_t n) {
    size_t want = NK_SNAP_BLOCK_HEAD +
                  nk_compress_bound(w->compression, n > NK_SNAP_BLOCK ? n : NK_SNAP_BLOCK);
    if (want <= w->stored_cap) return true;
    uint8_t *p = nk_mem_alloc(w->mem, want);
    if (p == NULL) return false;
    nk_mem_free(w->mem, w->stored, w->stored_cap);
    w->stored = p;
    w->stored_cap = want;
    return true;
}

/* store: the payload as it will lie in the file; says so in *b. NITRO_OK, NITRO_ENOMEM. */
static int store(struct nk_snapwrite *w, const uint8_t *p, size_t n, struct nk_snap_block *b) {
    if (!make_room(w, n)) return NITRO_ENOMEM;
    uint8_t *payload = w->stored + NK_SNAP_BLOCK_HEAD;
    size_t bytes = n;
    int rc = nk_compress_encode(&w->codec, w->compression, p, n, payload,
                                w->stored_cap - NK_SNAP_BLOCK_HEAD, &bytes);
    if (rc != NITRO_OK && rc != NITRO_ENOTSTORED) return rc;
    if (rc == NITRO_ENOTSTORED) memcpy(payload, p, n);
    b->compression = rc == NITRO_OK ? w->compression : NITRO_COMPRESSION_NONE;
    b->raw = (uint32_t)n;
    b->stored = (uint32_t)bytes;
    b->crc = nk_crc32c(0, payload, bytes);
    return NITRO_OK;
}

/* sync_now_and_then: so that little is left to sync at any time. */
static int sync_now_and_then(struct nk_snapwrite *w) {
    if (w->at - w->synced < SYNC_BYTES) return NITRO_OK;
    int rc = nk_vfs_sync(w->vfs, w->fd, "snapshot: sync on the way");
    if (rc < 0) return failed(w, rc);
    w->synced = w->at;
    return NITRO_OK;
}

static int write_block(struct nk_snapwrite *w, enum nk_snap_kind kind, uint32_t count,
                       const uint8_t *p, size_t n) {
    struct nk_snap_block b = {.kind = kind, .count = count, .index = (uint32_t)w->foot.blocks};
    int rc = store(w, p, n, &b);
    if (rc != NITRO_OK) return rc;
    nk_snap_block_encode(&b, w->at, w->head.salt, w->stored);
    size_t bytes = NK_SNAP_BLOCK_HEAD + (size_t)b.stored;
    rc = nk_vfs_write(w->vfs, w->fd, w->stored, bytes, w->at, "snapshot: block");
    if (rc < 0) return failed(w, rc);
    w->at += bytes;
    w->foot.blocks++;
    w->foot.keys += count;
    w->foot.raw_bytes += n;
    w->foot.file_crc = nk_crc32c(w->foot.file_crc, w->stored, NK_SNAP_BLOCK_HEAD);
    return sync_now_and_then(w);
}

/* ---- records -----------------------------------------------------------------------------------*/

/* take: hashes as many of the records at p as a block holds: their bytes, and their number in *count. */
static size_t take(struct nk_snapwrite *w, const uint8_t *p, size_t n, uint32_t *count) {
    size_t at = 0;
    for (*count = 0; at < n; ++*count) {
        struct nk_snaprec r;
        uint64_t bytes = nk_snaprec_parse(p + at, n - at, w->head.lsn, &r);
        NK_ASSERT(bytes != 0 && bytes <= NK_SNAP_RAW_MAX && !r.large);
        if (at > 0 && at + bytes > NK_SNAP_BLOCK) break;
        nk_snap_hash(&r, &w->foot.hash_a, &w->foot.hash_b);
        at += bytes;
    }
    return at;
}

int nk_snapwrite_records(struct nk_snapwrite *w, const uint8_t *p, size_t n) {
    int rc = NITRO_OK;
    while (n > 0 && rc == NITRO_OK) {
        uint32_t count;
        size_t bytes = take(w, p, n, &count);
        rc = write_block(w, NK_SNAP_RECORDS, count, p, bytes);
        p += bytes;
        n -= bytes;
    }
    return rc;
}

int nk_snapwrite_large(struct nk_snapwrite *w, const struct nk_snaprec *r) {
    NK_ASSERT(r->large && r->value_bytes > 0);
    if (w->first == NULL) w->first = nk_mem_alloc(w->mem, NK_SNAP_BLOCK);
    if (w->first == NULL) return NITRO_ENOMEM;
    nk_snap_hash(r, &w->foot.hash_a, &w->foot.hash_b);
    size_t n = nk_snaprec_head(r, w->head.lsn, w->first);
    if (r->key_bytes > 0) memcpy(w->first + n, r->key, r->key_bytes);
    n += r->key_bytes;
    size_t done = (size_t)nk_min_u64(r->value_bytes, NK_SNAP_BLOCK - n);
    memcpy(w->first + n, r->value, done);
    int rc = write_block(w, NK_SNAP_LARGE, 1, w->first, n + done);
    while (rc == NITRO_OK && done < r->value_bytes) {
        size_t piece = (size_t)nk_min_u64(r->value_bytes - done, NK_SNAP_BLOCK);
        rc = write_block(w, NK_SNAP_MORE, 0, r->value + done, piece);
        done += piece;
    }
    return rc;
}

/* ---- end ---------------------------------------------------------------------------------------*/

int nk_snapwrite_finish(struct nk_snapwrite *w, int64_t time_ms) {
    uint8_t tail[2 * NK_SECTOR] = {0};
    size_t zeros = (size_t)(nk_round_up(w->at, NK_SECTOR) - w->at);
    w->foot.end = w->at;
    w->foot.time_ms = time_ms;
    nk_snap_foot_encode(&w->foot, tail + zeros);
    int rc = nk_vfs_write(w->vfs, w->fd, tail, zeros + NK_SECTOR, w->at, "snapshot: footer");
    if (rc == 0) rc = nk_vfs_sync(w->vfs, w->fd, "snapshot: sync");
    if (rc < 0) return failed(w, rc);
    w->at += zeros + NK_SECTOR;
    return NITRO_OK;
}
