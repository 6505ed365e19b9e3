/* SPDX-License-Identifier: MIT
 *
 * logscan.c - reading one log file: frames and records (L3).
 *
 * DESIGN
 *   One buffer holds a stretch of the file; a request for bytes that are not in it reads a new stretch from
 *   there on, at least READ_BYTES of it, so a file is read once, in large pieces. Records are parsed where
 *   they lie. A record larger than the buffer makes it grow.
 */
#include "logscan.h"

#include "logfile.h"

#define READ_BYTES (256u * 1024)
#define MAGIC_BYTES 4u

void nk_logscan_init(struct nk_logscan *s, const struct nitro_vfs *vfs, const struct nitro_mem *mem,
                     int fd, uint64_t size, uint64_t salt, uint64_t first_lsn) {
    *s = (struct nk_logscan){.vfs = vfs,
                             .mem = mem,
                             .fd = fd,
                             .size = size,
                             .salt = salt,
                             .first_lsn = first_lsn,
                             .at = NK_SECTOR};
}

void nk_logscan_fini(struct nk_logscan *s) {
    nk_mem_free(s->mem, s->buf, s->buf_cap);
    s->buf = NULL;
    s->buf_cap = s->buf_len = 0;
}

/* Makes bytes at .. at + n of the file stand in *p; there are so many. NITRO_OK, EIO, ENOMEM. */
static int fetch(struct nk_logscan *s, uint64_t at, uint64_t n, const uint8_t **p) {
    if (NK_LIKELY(at >= s->buf_at && at + n <= s->buf_at + s->buf_len)) {
        *p = s->buf + (at - s->buf_at);
        return NITRO_OK;
    }
    if (s->hold) return NITRO_EBUSY;
    if (n > s->buf_cap) {
        size_t cap = (size_t)nk_round_up(nk_max_u64(n, READ_BYTES), NK_PAGE);
        void *buf = nk_mem_alloc(s->mem, cap);
        if (buf == NULL) return NITRO_ENOMEM;
        nk_mem_free(s->mem, s->buf, s->buf_cap);
        s->buf = buf;
        s->buf_cap = cap;
    }
    size_t want = (size_t)nk_min_u64(s->buf_cap, s->size - at);
    s->buf_len = 0;
    int64_t got = nk_vfs_read(s->vfs, s->fd, s->buf, want, at);
    if (got < 0 || (uint64_t)got < n) {
        s->sys = got < 0 ? (int)-got : EIO;
        return NITRO_EIO;
    }
    s->buf_at = at;
    s->buf_len = (size_t)got;
    *p = s->buf;
    return NITRO_OK;
}

/* Takes the frame whose header is at p, offset `at` of the file; false if it is not valid. */
static bool take_frame(struct nk_logscan *s, const uint8_t *p, uint64_t at) {
    struct nk_frame_head h;
    if (!nk_frame_decode(p, at, s->salt, &h)) return false;
    if (h.first_lsn < s->first_lsn || h.bytes > s->size - at - NK_FRAME_HEADER) return false;
    s->frame = h;
    s->frame_at = at;
    s->frame_end = at + NK_FRAME_HEADER + h.bytes;
    s->left = h.count;
    s->lsn = h.first_lsn;
    s->at = at + NK_FRAME_HEADER;
    return true;
}

int nk_logscan_frame(struct nk_logscan *s) {
    const uint8_t *p;
    if (s->size < NK_FRAME_HEADER || s->at > s->size - NK_FRAME_HEADER) return NITRO_ENOTFOUND;
    int rc = fetch(s, s->at, NK_FRAME_HEADER, &p);
    if (rc != NITRO_OK) return rc;
    return take_frame(s, p, s->at) ? NITRO_OK : NITRO_ENOTFOUND;
}

/* The offset in p[0 .. n) where the magic number begins, or n - 3 if nowhere. */
static size_t find_magic(const uint8_t *p, size_t n) {
    const uint8_t *end = p + n - (MAGIC_BYTES - 1), *at = p;
    const uint8_t first = (uint8_t)NK_FRAME_MAGIC;
    while (at < end && (at = memchr(at, first, (size_t)(end - at))) != NULL) {
        if (nk_load32(at) == NK_FRAME_MAGIC) return (size_t)(at - p);
        at++;
    }
    return (size_t)(end - p);
}

int nk_logscan_resync(struct nk_logscan *s) {
    const uint8_t *p;
    int here =
        nk_logscan_frame(s); /* nearly always; a search reads far ahead, for every frame anew */
    if (here != NITRO_ENOTFOUND) return here;
    while (s->size >= NK_FRAME_HEADER && s->at <= s->size - NK_FRAME_HEADER) {
        uint64_t n = nk_min_u64(READ_BYTES, s->size - s->at);
        int rc = fetch(s, s->at, n, &p);
        if (rc != NITRO_OK) return rc;
        size_t skip = find_magic(p, (size_t)n);
        s->at += skip;
        if (skip == n - (MAGIC_BYTES - 1)) continue;
        rc = nk_logscan_frame(s);
        if (rc != NITRO_ENOTFOUND) return rc;
        s->at++;
    }
    return NITRO_ENOTFOUND;
}

int nk_logscan_record(struct nk_logscan *s, bool check, struct nk_placed *out) {
    const uint8_t *p;
    if (s->left == 0) return s->at == s->frame_end ? NITRO_ENOTFOUND : NITRO_ECORRUPT;
    uint64_t left = s->frame_end - s->at, n = nk_min_u64(left, NK_REC_HEAD_MAX), bytes;
    if (s->at >= s->buf_at && s->at < s->buf_at + s->buf_len) /* all that is there anyway */
        n = nk_max_u64(n, nk_min_u64(left, s->buf_at + s->buf_len - s->at));
    int rc = fetch(s, s->at, n, &p);
    if (rc != NITRO_OK) return rc;
    bytes = nk_record_parse(p, n, s->first_lsn, &out->r);
    if (NK_UNLIKELY(bytes == 0 && n < left)) {
        uint64_t whole = nk_record_bytes(p, n); /* by its lengths alone */
        if (whole == 0 || whole > left) return NITRO_ECORRUPT;
        rc = fetch(s, s->at, whole, &p);
        if (rc != NITRO_OK) return rc;
        bytes = nk_record_parse(p, whole, s->first_lsn, &out->r);
    }
    if (bytes == 0 || out->r.lsn != s->lsn) return NITRO_ECORRUPT;
    if (check && !nk_record_check(p, bytes, &out->r, s->at, s->salt)) return NITRO_ECORRUPT;
    out->p = p;
    out->offset = s->at;
    out->bytes = bytes;
    s->at += bytes;
    s->lsn++;
    s->left--;
    return NITRO_OK;
}

void nk_logscan_skip(struct nk_logscan *s) {
    s->at = s->frame_end;
    s->left = 0;
}

int nk_logscan_seek(struct nk_logscan *s, uint64_t want, uint64_t *next) {
    uint64_t begin = s->at;
    *next = s->first_lsn;
    if (want <= s->first_lsn) return NITRO_OK;
    int rc;
    while ((rc = nk_logscan_resync(s)) == NITRO_OK) {
        uint64_t behind = s->frame.first_lsn + s->frame.count;
        if (behind > want) {
            begin = s->frame_at;
            want = nk_min_u64(want, s->frame.first_lsn);
            break;
        }
        nk_logscan_skip(s);
        begin = s->at;
    }
    if (rc != NITRO_OK && rc != NITRO_ENOTFOUND) return rc;
    s->at = begin;
    s->frame_end = 0; /* in no frame yet */
    s->left = 0;
    *next = want;
    return NITRO_OK;
}
