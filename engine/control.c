/* SPDX-License-Identifier: MIT
 *
 * control.c - encodes and decodes the slots of CONTROL (L3; the table stands in control.h).
 *
 * DESIGN
 *   A slot is one sealed sector (seal.h). The slots take turns, so the one that a crash tears is always
 *   the newer, and what it would have said is only newer than what the other one says. Where a slot lies
 *   follows from its sequence: a copy of a slot in the other one's place does not count.
 *
 *   A slot of a newer version makes the whole file one of a newer version, though the other slot may be
 *   ours: a newer program has written to this store, and only that one knows what else it has changed.
 *
 * NOT HERE  when CONTROL is written (log.c), what follows from it (recover.c).
 */
#include "control.h"

#include "seal.h"

static const char magic[] = "NITROCTL";

enum {
    AT_VERSION = 8,
    AT_CLEAN = 12,
    AT_STORE = 16,
    AT_SEQUENCE = 32,
    AT_DURABLE_LSN = 40,
    AT_FILE = 48,
    AT_END = 56,
    AT_TIME = 64,
    AT_KEYS = 72,
    AT_ZEROS = 80,
    AT_CRC = 508
};
_Static_assert(AT_CRC + NK_SEAL_CRC == NK_CONTROL_SLOT, "control.h");
_Static_assert(2 * NK_CONTROL_SLOT == NK_CONTROL_BYTES, "control.h");

static bool obeys(const struct nk_control *c) {
    return c->clean <= 1 && c->sequence != 0 && (c->clean == 1 || c->end == 0) && c->time_ms >= 0;
}

void nk_control_encode(const struct nk_control *c, uint8_t out[NK_CONTROL_SLOT]) {
    NK_ASSERT(obeys(c));
    nk_seal_begin(out, NK_CONTROL_SLOT, magic);
    nk_store32(out + AT_VERSION, NK_CONTROL_VERSION);
    nk_store32(out + AT_CLEAN, c->clean);
    memcpy(out + AT_STORE, c->store, sizeof c->store);
    nk_store64(out + AT_SEQUENCE, c->sequence);
    nk_store64(out + AT_DURABLE_LSN, c->durable_lsn);
    nk_store64(out + AT_FILE, c->file);
    nk_store64(out + AT_END, c->end);
    nk_store64(out + AT_TIME, (uint64_t)c->time_ms);
    nk_store64(out + AT_KEYS, c->keys);
    nk_seal_end(out, NK_CONTROL_SLOT);
}

int nk_control_decode(const uint8_t p[NK_CONTROL_SLOT], struct nk_control *out) {
    if (!nk_seal_intact(p, NK_CONTROL_SLOT, magic)) return NITRO_ECORRUPT;
    struct nk_control c = {.version = nk_load32(p + AT_VERSION),
                           .clean = nk_load32(p + AT_CLEAN),
                           .sequence = nk_load64(p + AT_SEQUENCE),
                           .durable_lsn = nk_load64(p + AT_DURABLE_LSN),
                           .file = nk_load64(p + AT_FILE),
                           .end = nk_load64(p + AT_END),
                           .time_ms = (int64_t)nk_load64(p + AT_TIME),
                           .keys = nk_load64(p + AT_KEYS)};
    memcpy(c.store, p + AT_STORE, sizeof c.store);
    if (c.version > NK_CONTROL_VERSION) {
        out->version = c.version;
        return NITRO_EFORMAT;
    }
    if (c.version != NK_CONTROL_VERSION || !obeys(&c)) return NITRO_ECORRUPT;
    if (!nk_seal_zeros(p, AT_ZEROS, AT_CRC)) return NITRO_ECORRUPT;
    *out = c;
    return NITRO_OK;
}

int nk_control_newest(const uint8_t *p, size_t n, struct nk_control *out) {
    struct nk_control newest = {0}; /* sequence 0: none yet */
    for (size_t i = 0; i < 2 && n >= (i + 1) * NK_CONTROL_SLOT; i++) {
        struct nk_control c;
        int rc = nk_control_decode(p + i * NK_CONTROL_SLOT, &c);
        if (rc == NITRO_EFORMAT) {
            out->version = c.version;
            return NITRO_EFORMAT;
        }
        if (rc == NITRO_OK && c.sequence % 2 == i && c.sequence > newest.sequence) newest = c;
    }
    if (newest.sequence == 0) return NITRO_ECORRUPT;
    *out = newest;
    return NITRO_OK;
}
