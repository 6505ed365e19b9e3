/* SPDX-License-Identifier: MIT
 *
 * logfile.c - encodes and decodes the header and the footer of a log file (L3; the tables stand in
 * logfile.h).
 *
 * DESIGN
 *   Each is one sector, so that a write of it is torn nowhere (docs/FORMAT.md says what is assumed of a
 *   disk), and is sealed (seal.h). A blank header belongs to a file that was prepared and holds nothing;
 *   all that would place its records is zero, so it cannot be half of each.
 *
 * NOT HERE  the name of the file (path.c), whether number, salt and store are those that MANIFEST lists
 *           (recover.c).
 */
#include "logfile.h"

#include "seal.h"

static const char header_magic[] = "NITROLOG";
static const char footer_magic[] = "NITROEND";

/* ---- header ------------------------------------------------------------------------------------*/

enum {
    HEAD_VERSION = 8,
    HEAD_STATE = 12,
    HEAD_STORE = 16,
    HEAD_NUMBER = 32,
    HEAD_SALT = 40,
    HEAD_FIRST_LSN = 48,
    HEAD_PREV_NUMBER = 56,
    HEAD_PREV_LAST_LSN = 64,
    HEAD_DURABLE_LSN = 72,
    HEAD_TIME = 80,
    HEAD_ZEROS = 88,
    HEAD_CRC = 508
};
_Static_assert(HEAD_CRC + NK_SEAL_CRC == NK_SECTOR, "logfile.h");

static bool header_obeys(const struct nk_log_header *h) {
    if (h->number == 0 || h->time_ms < 0) return false;
    if (h->used == 0)
        return h->first_lsn == 0 && h->prev_number == 0 && h->prev_last_lsn == 0 &&
               h->durable_lsn == 0;
    return h->used == 1 && h->prev_number < h->number && h->prev_last_lsn < h->first_lsn &&
           h->durable_lsn <= h->prev_last_lsn;
}

void nk_log_header_encode(const struct nk_log_header *h, uint8_t out[NK_SECTOR]) {
    NK_ASSERT(header_obeys(h));
    nk_seal_begin(out, NK_SECTOR, header_magic);
    nk_store32(out + HEAD_VERSION, NK_LOG_VERSION);
    nk_store32(out + HEAD_STATE, h->used);
    memcpy(out + HEAD_STORE, h->store, sizeof h->store);
    nk_store64(out + HEAD_NUMBER, h->number);
    nk_store64(out + HEAD_SALT, h->salt);
    nk_store64(out + HEAD_FIRST_LSN, h->first_lsn);
    nk_store64(out + HEAD_PREV_NUMBER, h->prev_number);
    nk_store64(out + HEAD_PREV_LAST_LSN, h->prev_last_lsn);
    nk_store64(out + HEAD_DURABLE_LSN, h->durable_lsn);
    nk_store64(out + HEAD_TIME, (uint64_t)h->time_ms);
    nk_seal_end(out, NK_SECTOR);
}

int nk_log_header_decode(const uint8_t p[NK_SECTOR], struct nk_log_header *out) {
    if (!nk_seal_intact(p, NK_SECTOR, header_magic)) return NITRO_ECORRUPT;
    struct nk_log_header h = {.version = nk_load32(p + HEAD_VERSION),
                              .used = nk_load32(p + HEAD_STATE),
                              .number = nk_load64(p + HEAD_NUMBER),
                              .salt = nk_load64(p + HEAD_SALT),
                              .first_lsn = nk_load64(p + HEAD_FIRST_LSN),
                              .prev_number = nk_load64(p + HEAD_PREV_NUMBER),
                              .prev_last_lsn = nk_load64(p + HEAD_PREV_LAST_LSN),
                              .durable_lsn = nk_load64(p + HEAD_DURABLE_LSN),
                              .time_ms = (int64_t)nk_load64(p + HEAD_TIME)};
    memcpy(h.store, p + HEAD_STORE, sizeof h.store);
    if (h.version > NK_LOG_VERSION) {
        out->version = h.version;
        return NITRO_EFORMAT;
    }
    if (h.version != NK_LOG_VERSION || !header_obeys(&h)) return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, HEAD_ZEROS, HEAD_CRC)) return NITRO_ECORRUPT;
    *out = h;
    return NITRO_OK;
}

/* ---- footer ------------------------------------------------------------------------------------*/

enum {
    FOOT_NUMBER = 8,
    FOOT_SALT = 16,
    FOOT_END = 24,
    FOOT_LAST_LSN = 32,
    FOOT_ZEROS = 40,
    FOOT_CRC = 508
};
_Static_assert(FOOT_CRC + NK_SEAL_CRC == NK_SECTOR, "logfile.h");

static bool footer_obeys(const struct nk_log_footer *f) {
    return f->number != 0 && f->end >= NK_SECTOR;
}

void nk_log_footer_encode(const struct nk_log_footer *f, uint8_t out[NK_SECTOR]) {
    NK_ASSERT(footer_obeys(f));
    nk_seal_begin(out, NK_SECTOR, footer_magic);
    nk_store64(out + FOOT_NUMBER, f->number);
    nk_store64(out + FOOT_SALT, f->salt);
    nk_store64(out + FOOT_END, f->end);
    nk_store64(out + FOOT_LAST_LSN, f->last_lsn);
    nk_seal_end(out, NK_SECTOR);
}

bool nk_log_footer_decode(const uint8_t p[NK_SECTOR], struct nk_log_footer *out) {
    if (!nk_seal_intact(p, NK_SECTOR, footer_magic)) return false;
    struct nk_log_footer f = {.number = nk_load64(p + FOOT_NUMBER),
                              .salt = nk_load64(p + FOOT_SALT),
                              .end = nk_load64(p + FOOT_END),
                              .last_lsn = nk_load64(p + FOOT_LAST_LSN)};
    if (!footer_obeys(&f) || !nk_seal_zeros(p, FOOT_ZEROS, FOOT_CRC)) return false;
    *out = f;
    return true;
}
