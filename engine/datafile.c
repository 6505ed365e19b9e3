/* SPDX-License-Identifier: MIT
 *
 * datafile.c - encodes and decodes the header of a merged file, and reads its records (L3; the tables stand in
 * datafile.h and record.h).
 *
 * DESIGN
 *   The header is sealed (seal.h). It says where the records end and how many there are, so there is no torn tail to
 *   look for: what is not a valid record before that end is damage, and so is an end that comes too early or too late.
 *   The LSNs of a log file run on by one, and a frame says with which it begins. Here most of them are gone, so each
 *   record has to prove its own (it is in its CRC), and they only have to ascend.
 *
 * NOT HERE  whether number, salt, store and LSNs are those that MANIFEST lists, and whether the file is as long as it
 *           has to be (folder.c); what is wanted in such a file (merge.c).
 */
#include "datafile.h"

#include "loc.h"
#include "seal.h"

/* ---- header ------------------------------------------------------------------------------------*/

static const char header_magic[] = "NITRODAT";

enum {
    HEAD_VERSION = 8,
    HEAD_ZERO = 12, /* … 15 */
    HEAD_STORE = 16,
    HEAD_NUMBER = 32,
    HEAD_SALT = 40,
    HEAD_FIRST_LSN = 48,
    HEAD_LAST_LSN = 56,
    HEAD_PREV_LAST_LSN = 64,
    HEAD_END = 72,
    HEAD_RECORDS = 80,
    HEAD_TIME = 88,
    HEAD_CUT_LSN = 96,
    HEAD_ZEROS = 104,
    HEAD_CRC = 508
};
_Static_assert(HEAD_CRC + NK_SEAL_CRC == NK_SECTOR, "datafile.h");

static bool header_obeys(const struct nk_data_header *h) {
    return h->number != 0 && h->time_ms > 0 && h->prev_last_lsn < h->first_lsn &&
           h->first_lsn <= h->last_lsn && h->last_lsn <= h->cut_lsn && h->end >= NK_SECTOR &&
           h->end <= NK_DATA_END_MAX && (h->records == 0) == (h->end == NK_SECTOR);
}

void nk_data_header_encode(const struct nk_data_header *h, uint8_t out[NK_SECTOR]) {
    NK_ASSERT(header_obeys(h));
    nk_seal_begin(out, NK_SECTOR, header_magic);
    nk_store32(out + HEAD_VERSION, NK_DATA_VERSION);
    memcpy(out + HEAD_STORE, h->store, sizeof h->store);
    nk_store64(out + HEAD_NUMBER, h->number);
    nk_store64(out + HEAD_SALT, h->salt);
    nk_store64(out + HEAD_FIRST_LSN, h->first_lsn);
    nk_store64(out + HEAD_LAST_LSN, h->last_lsn);
    nk_store64(out + HEAD_PREV_LAST_LSN, h->prev_last_lsn);
    nk_store64(out + HEAD_END, h->end);
    nk_store64(out + HEAD_RECORDS, h->records);
    nk_store64(out + HEAD_TIME, (uint64_t)h->time_ms);
    nk_store64(out + HEAD_CUT_LSN, h->cut_lsn);
    nk_seal_end(out, NK_SECTOR);
}

int nk_data_header_decode(const uint8_t p[NK_SECTOR], struct nk_data_header *out) {
    if (!nk_seal_intact(p, NK_SECTOR, header_magic)) return NITRO_ECORRUPT;
    struct nk_data_header h = {.version = nk_load32(p + HEAD_VERSION),
                               .number = nk_load64(p + HEAD_NUMBER),
                               .salt = nk_load64(p + HEAD_SALT),
                               .first_lsn = nk_load64(p + HEAD_FIRST_LSN),
                               .last_lsn = nk_load64(p + HEAD_LAST_LSN),
                               .prev_last_lsn = nk_load64(p + HEAD_PREV_LAST_LSN),
                               .end = nk_load64(p + HEAD_END),
                               .records = nk_load64(p + HEAD_RECORDS),
                               .time_ms = (int64_t)nk_load64(p + HEAD_TIME),
                               .cut_lsn = nk_load64(p + HEAD_CUT_LSN)};
    memcpy(h.store, p + HEAD_STORE, sizeof h.store);
    if (h.version > NK_DATA_VERSION) {
        out->version = h.version;
        return NITRO_EFORMAT;
    }
    if (h.version != NK_DATA_VERSION || !header_obeys(&h)) return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, HEAD_ZERO, HEAD_STORE) || !nk_seal_zeros(p, HEAD_ZEROS, HEAD_CRC))
        return NITRO_ECORRUPT;
    *out = h;
    return NITRO_OK;
}

/* ---- records -----------------------------------------------------------------------------------*/

void nk_datascan_init(struct nk_datascan *s, const struct nitro_vfs *vfs,
                      const struct nitro_mem *mem, int fd, const struct nk_data_header *h) {
    *s = (struct nk_datascan){.end = h->end,
                              .salt = h->salt,
                              .first_lsn = h->first_lsn,
                              .last_lsn = h->last_lsn,
                              .at = NK_SECTOR,
                              .left = h->records};
    nk_stretch_init(&s->in, vfs, mem, fd, h->end);
}

void nk_datascan_fini(struct nk_datascan *s) { nk_stretch_fini(&s->in); }

/* fits: whether a record may come next in such a file. (Its LSN is not below first_lsn.) */
NK_INLINE bool fits(const struct nk_datascan *s, const struct nk_record *r) {
    return r->lsn > s->newest && r->lsn <= s->last_lsn && r->kind != NK_REC_EXPIRE && !r->more;
}

int nk_datascan_record(struct nk_datascan *s, bool check, struct nk_placed *out) {
    if ((s->at == s->end) != (s->left == 0)) return NITRO_ECORRUPT;
    if (s->left == 0) return NITRO_ENOTFOUND;
    if (s->at > NK_LOC_OFFSET_MAX) return NITRO_ECORRUPT;
    struct nk_placed r;
    int rc = nk_placed_read(&s->in, s->at, s->end, s->first_lsn, s->hold, &r);
    if (NK_UNLIKELY(rc != NITRO_OK)) {
        if (rc == NITRO_EIO) s->sys = s->in.sys;
        return rc == NITRO_ENOTFOUND ? NITRO_ECORRUPT : rc;
    }
    if (!fits(s, &r.r)) return NITRO_ECORRUPT;
    if (check && !nk_record_check(r.p, r.bytes, &r.r, s->at, s->salt)) return NITRO_ECORRUPT;
    s->at += r.bytes;
    s->newest = r.r.lsn;
    s->left--;
    *out = r;
    return NITRO_OK;
}
