/* SPDX-License-Identifier: MIT
 *
 * manifest.c - encodes and decodes the head and the edits of MANIFEST (L3; the tables stand in
 * manifest.h).
 *
 * DESIGN
 *   Head and edits are all of one size, so an edit's place follows from its sequence and the other way
 *   round: an edit that is missing, doubled or out of order is not valid where it lies. Its CRC covers
 *   offset and salt too, so that an edit of an older MANIFEST in the same disk blocks does not pass.
 *
 * NOT HERE  reading the list and what it means (recover.c), names of files (path.c).
 */
#include "manifest.h"

#include "seal.h"

/* ---- head --------------------------------------------------------------------------------------*/

static const char head_magic[] = "NITROMAN";

enum {
    HEAD_VERSION = 8,
    HEAD_MODE = 12,
    HEAD_STORE = 16,
    HEAD_SALT = 32,
    HEAD_ZEROS = 40,
    HEAD_CRC = 60
};
_Static_assert(HEAD_CRC + NK_SEAL_CRC == NK_MANIFEST_HEADER, "manifest.h");

static bool head_obeys(const struct nk_manifest_head *h) {
    return h->mode >= NK_MODE_MEMORY && h->mode <= NK_MODE_LSM;
}

void nk_manifest_head_encode(const struct nk_manifest_head *h, uint8_t out[NK_MANIFEST_HEADER]) {
    NK_ASSERT(head_obeys(h));
    nk_seal_begin(out, NK_MANIFEST_HEADER, head_magic);
    nk_store32(out + HEAD_VERSION, NK_MANIFEST_VERSION);
    nk_store32(out + HEAD_MODE, h->mode);
    memcpy(out + HEAD_STORE, h->store, sizeof h->store);
    nk_store64(out + HEAD_SALT, h->salt);
    nk_seal_end(out, NK_MANIFEST_HEADER);
}

int nk_manifest_head_decode(const uint8_t p[NK_MANIFEST_HEADER], struct nk_manifest_head *out) {
    if (!nk_seal_intact(p, NK_MANIFEST_HEADER, head_magic)) return NITRO_ECORRUPT;
    struct nk_manifest_head h = {.version = nk_load32(p + HEAD_VERSION),
                                 .mode = nk_load32(p + HEAD_MODE),
                                 .salt = nk_load64(p + HEAD_SALT)};
    memcpy(h.store, p + HEAD_STORE, sizeof h.store);
    if (h.version > NK_MANIFEST_VERSION) {
        out->version = h.version;
        return NITRO_EFORMAT;
    }
    if (h.version != NK_MANIFEST_VERSION || !head_obeys(&h)) return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, HEAD_ZEROS, HEAD_CRC)) return NITRO_ECORRUPT;
    *out = h;
    return NITRO_OK;
}

/* ---- edits -------------------------------------------------------------------------------------*/

enum {
    EDIT_CRC = 0,
    EDIT_OP = 4, /* the CRC covers everything from here */
    EDIT_KIND = 6,
    EDIT_NUMBER = 8,
    EDIT_SALT = 16,
    EDIT_FIRST_LSN = 24,
    EDIT_LAST_LSN = 32,
    EDIT_SEQUENCE = 40,
    EDIT_ZEROS = 48
};
_Static_assert(NK_MANIFEST_HEADER == NK_MANIFEST_EDIT, "an edit lies at its sequence times this");

static uint32_t edit_crc(const uint8_t *p, uint64_t offset, uint64_t salt) {
    uint8_t place[16];
    nk_store64(place, offset);
    nk_store64(place + 8, salt);
    uint32_t crc = nk_crc32c(0, p + EDIT_OP, NK_MANIFEST_EDIT - EDIT_OP);
    return nk_crc32c(crc, place, sizeof place);
}

/* What the edits of one kind say besides. Those of logs are as old as the format: what they say is not looked at. */
static bool kind_obeys(uint32_t kind, const struct nk_manifest_edit *e) {
    if (kind == NK_FILE_DATA) return e->first_lsn >= 1 && e->last_lsn >= e->first_lsn;
    return kind == NK_FILE_LOG || kind == NK_FILE_SNAP;
}

/* edit_obeys: op and kind are given apart, because the enums cannot hold what a file may. */
static bool edit_obeys(uint32_t op, uint32_t kind, const struct nk_manifest_edit *e,
                       uint64_t offset) {
    return (op == NK_MANIFEST_ADD || op == NK_MANIFEST_REMOVE) && kind_obeys(kind, e) &&
           e->number != 0 && e->sequence != 0 && offset % NK_MANIFEST_EDIT == 0 &&
           offset / NK_MANIFEST_EDIT == e->sequence;
}

void nk_manifest_edit_encode(const struct nk_manifest_edit *e, uint64_t offset, uint64_t salt,
                             uint8_t out[NK_MANIFEST_EDIT]) {
    NK_ASSERT(edit_obeys((uint32_t)e->op, (uint32_t)e->kind, e, offset));
    memset(out, 0, NK_MANIFEST_EDIT);
    nk_store16(out + EDIT_OP, (uint16_t)e->op);
    nk_store16(out + EDIT_KIND, (uint16_t)e->kind);
    nk_store64(out + EDIT_NUMBER, e->number);
    nk_store64(out + EDIT_SALT, e->salt);
    nk_store64(out + EDIT_FIRST_LSN, e->first_lsn);
    nk_store64(out + EDIT_LAST_LSN, e->last_lsn);
    nk_store64(out + EDIT_SEQUENCE, e->sequence);
    nk_store32(out + EDIT_CRC, edit_crc(out, offset, salt));
}

bool nk_manifest_edit_decode(const uint8_t p[NK_MANIFEST_EDIT], uint64_t offset, uint64_t salt,
                             struct nk_manifest_edit *out) {
    if (nk_load32(p + EDIT_CRC) != edit_crc(p, offset, salt)) return false;
    uint32_t op = nk_load16(p + EDIT_OP), kind = nk_load16(p + EDIT_KIND);
    struct nk_manifest_edit e = {.number = nk_load64(p + EDIT_NUMBER),
                                 .salt = nk_load64(p + EDIT_SALT),
                                 .first_lsn = nk_load64(p + EDIT_FIRST_LSN),
                                 .last_lsn = nk_load64(p + EDIT_LAST_LSN),
                                 .sequence = nk_load64(p + EDIT_SEQUENCE)};
    if (!edit_obeys(op, kind, &e, offset)) return false;
    if (!nk_seal_zeros(p, EDIT_ZEROS, NK_MANIFEST_EDIT)) return false;
    e.op = (enum nk_manifest_op)op;
    e.kind = (enum nk_manifest_kind)kind;
    *out = e;
    return true;
}
