/* SPDX-License-Identifier: MIT
 *
 * logscan.c - reading one log file: frames and records (L3).
 *
 * DESIGN
 *   Frames and records are parsed where they lie in a stretch of the file that is in memory (stretch.h). How long
 *   a record is, says its head; only if that is not all there, or the record is not, more is read.
 */
#include "logscan.h"

#include "logfile.h"

#define SEARCH_BYTES (256u * 1024)
#define MAGIC_BYTES 4u

void nk_logscan_init(struct nk_logscan *s, const struct nitro_vfs *vfs, const struct nitro_mem *mem,
                     int fd, uint64_t size, uint64_t salt, uint64_t first_lsn) {
    *s = (struct nk_logscan){.size = size, .salt = salt, .first_lsn = first_lsn, .at = NK_SECTOR};
    nk_stretch_init(&s->in, vfs, mem, fd, size);
}

void nk_logscan_fini(struct nk_logscan *s) { nk_stretch_fini(&s->in); }

/* result: what reading has come to. A file that is shorter than its size was a moment ago can't be read. */
NK_INLINE int result(struct nk_logscan *s, int rc) {
    if (NK_LIKELY(rc == NITRO_OK)) return rc;
    if (rc == NITRO_EIO) s->sys = s->in.sys;
    if (rc != NITRO_ENOTFOUND) return rc;
    s->sys = EIO;
    return NITRO_EIO;
}

/* fetch: makes bytes at .. at + n of the file stand in *p; there are so many. NITRO_OK, EBUSY, EIO, ENOMEM. */
static int fetch(struct nk_logscan *s, uint64_t at, uint64_t n, const uint8_t **p) {
    return result(s, nk_stretch_get(&s->in, at, n, s->hold, p));
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
        uint64_t n = nk_min_u64(SEARCH_BYTES, s->size - s->at);
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

/* ---- records -----------------------------------------------------------------------------------*/

int nk_placed_read(struct nk_stretch *in, uint64_t at, uint64_t end, uint64_t first_lsn, bool hold,
                   struct nk_placed *out) {
    const uint8_t *p;
    uint64_t left = end - at, here = nk_stretch_here(in, at); /* what is there costs nothing */
    uint64_t n = nk_min_u64(left, nk_max_u64(here, NK_REC_HEAD_MAX));
    int rc = nk_stretch_get(in, at, n, hold, &p);
    if (rc != NITRO_OK) return rc;
    uint64_t bytes = nk_record_parse(p, n, first_lsn, &out->r);
    if (NK_UNLIKELY(bytes == 0 && n < left)) {
        uint64_t whole = nk_record_bytes(p, n); /* by its lengths alone */
        if (whole == 0 || whole > left) return NITRO_ECORRUPT;
        rc = nk_stretch_get(in, at, whole, hold, &p);
        if (rc != NITRO_OK) return rc;
        bytes = nk_record_parse(p, whole, first_lsn, &out->r);
    }
    if (bytes == 0) return NITRO_ECORRUPT;
    out->p = p;
    out->offset = at;
    out->bytes = bytes;
    return NITRO_OK;
}

int nk_logscan_record(struct nk_logscan *s, bool check, struct nk_placed *out) {
    if (s->left == 0) return s->at == s->frame_end ? NITRO_ENOTFOUND : NITRO_ECORRUPT;
    if (s->at >= s->frame_end) return NITRO_ECORRUPT;
    int rc = result(s, nk_placed_read(&s->in, s->at, s->frame_end, s->first_lsn, s->hold, out));
    if (rc != NITRO_OK) return rc;
    if (out->r.lsn != s->lsn) return NITRO_ECORRUPT;
    if (check && !nk_record_check(out->p, out->bytes, &out->r, s->at, s->salt))
        return NITRO_ECORRUPT;
    s->at += out->bytes;
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
