/* SPDX-License-Identifier: MIT
 *
 * packed.h - a compressed value, as a record of the log holds it (L3). Specified in docs/FORMAT.md.
 *
 *   off  size  field
 *     0     1  codec  1 LZ4, one block of its block format; 2 Zstandard, one frame
 *     1  1..9  raw    bytes of the value itself, varint; more than the packed form has, up to 512 MiB
 *     .        the value, compressed; at least one byte
 *
 *   A packed form is always shorter than its value, else the value is stored as it is. So a value whose packed form needs
 *   a block of its own needs one itself, and readers rely on that.
 */
#ifndef NK_PACKED_H
#define NK_PACKED_H

#include "base.h"
#include "varint.h"

#define NK_PACKED_HEAD_MAX (1u + NK_VARINT_MAX)
#define NK_PACKED_MIN 3u /* bytes of the shortest */

struct nk_packed {
    enum nitro_compression codec;
    uint32_t raw_bytes;
    const uint8_t *p; /* what comes behind the head; borrowed */
    uint32_t bytes;
};

/* nk_packed_head: writes the head for a value of so many bytes, which is not empty, and returns its size. */
uint32_t nk_packed_head(enum nitro_compression codec, uint32_t raw_bytes,
                        uint8_t out[NK_PACKED_HEAD_MAX]);
/* nk_packed_parse: false if the n bytes at p, of a record whose checksum is right, are no packed form. Whether it can
 * be unpacked is seen by who does that. */
bool nk_packed_parse(const uint8_t *p, uint64_t n, struct nk_packed *out);

#endif
