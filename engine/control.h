/* SPDX-License-Identifier: MIT
 *
 * control.h - CONTROL: how far the log is durable, in two alternating sectors (L3). See docs/FORMAT.md.
 *
 * SLOT, 512 bytes; slot `sequence` mod 2 is written, so that the other one survives a torn write
 *   off  size  field
 *     0     8  magic        "NITROCTL"
 *     8     4  version      1
 *    12     4  clean        1: the store was stopped cleanly after this LSN
 *    16    16  store        id of the store
 *    32     8  sequence     from 1
 *    40     8  durable_lsn
 *    48     8  file         number of the newest log file
 *    56     8  end          clean: offset where its frames end; else 0
 *    64     8  time_ms      i64
 *    72     8  keys         in the store when this was written, more or less; 0 = not known. For the next start to know
 *                         how large its tables will be
 *    80   428  zeros
 *   508     4  crc          CRC-32C of bytes 0 .. 507
 *
 *   The valid slot with the larger sequence counts. A file without a valid slot is damage.
 */
#ifndef NK_CONTROL_H
#define NK_CONTROL_H

#include "base.h"

#define NK_CONTROL_SLOT 512u
#define NK_CONTROL_BYTES 1024u
#define NK_CONTROL_VERSION 1u

struct nk_control {
    uint32_t version, clean;
    uint8_t store[16];
    uint64_t sequence, durable_lsn, file, end;
    int64_t time_ms;
    uint64_t keys;
};

void nk_control_encode(const struct nk_control *c, uint8_t out[NK_CONTROL_SLOT]);
/* nk_control_decode: of one slot. NITRO_OK, NITRO_EFORMAT (newer; out->version is set), NITRO_ECORRUPT. */
NITRO_MUST_CHECK int nk_control_decode(const uint8_t p[NK_CONTROL_SLOT], struct nk_control *out);
/* nk_control_newest: of both slots, n bytes of the file being there. The same codes. */
NITRO_MUST_CHECK int nk_control_newest(const uint8_t *p, size_t n, struct nk_control *out);

#endif
