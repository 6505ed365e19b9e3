/* SPDX-License-Identifier: MIT
 *
 * compress.h - Zstandard and LZ4 behind one small interface (L0).
 *
 * WHAT     One block in, one block out; memory through the allocator table. THREADS  One per nk_compress.
 */
#ifndef NK_COMPRESS_H
#define NK_COMPRESS_H

#include "base.h"

struct nk_compress {
    const struct nitro_mem *mem;
    void *encoder, *decoder; /* the libraries' contexts, made when first needed */
    size_t encoder_bytes, decoder_bytes;
    enum nitro_compression encoder_of; /* whose it is */
};
void nk_compress_init(struct nk_compress *c, const struct nitro_mem *mem);
/* nk_compress_fini: also of one that is all zeros. */
void nk_compress_fini(struct nk_compress *c);
/* nk_compress_bound: room that the compressed form of n bytes may need. */
size_t nk_compress_bound(enum nitro_compression how, size_t n);
/* nk_compress_encode: compresses p[0 .. n) to out[0 .. cap). NITRO_OK with *out_bytes; NITRO_ENOTSTORED: it
 * does not get smaller than n, or does not fit; NITRO_ENOMEM. */
NITRO_MUST_CHECK int nk_compress_encode(struct nk_compress *c, enum nitro_compression how,
                                        const uint8_t *p, size_t n, uint8_t *out, size_t cap,
                                        size_t *out_bytes);
/* nk_compress_decode: decompresses exactly n bytes to out. NITRO_OK, NITRO_ECORRUPT, NITRO_ENOMEM. Any input is
 * safe. */
NITRO_MUST_CHECK int nk_compress_decode(struct nk_compress *c, enum nitro_compression how,
                                        const uint8_t *p, size_t bytes, uint8_t *out, size_t n);

#endif
