/* SPDX-License-Identifier: MIT
 *
 * compress.c - one block through Zstandard or LZ4, and back (L0).
 *
 * DESIGN
 *   Both libraries would take memory from malloc. They don't get to: each context is one object of the
 *   allocator table, as large as the library says it can become, which the library then lays out itself
 *   (ZSTD_initStatic…, LZ4_…_extState). So the engine's count is complete, a failed allocation is met here
 *   and nowhere else, and a context is kept from one block to the next.
 *
 *   Zstandard's static contexts belong to the part of its interface that it does not promise to keep.
 *   It has kept it since 1.3, and shared libraries export it.
 *
 * LEVEL  Blocks are compressed beside a server that needs its cores, and decompressed while a user waits
 *   for it to start, so speed counts for more than the last percents of size (docs/design/0005).
 */
#include "compress.h"

#include "mem.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <lz4.h>
#include <zstd.h>

#define ZSTD_LEVEL 1
#define LZ4_ACCELERATION 1

void nk_compress_init(struct nk_compress *c, const struct nitro_mem *mem) {
    *c = (struct nk_compress){.mem = mem};
}

static void drop_encoder(struct nk_compress *c) {
    nk_mem_free(c->mem, c->encoder, c->encoder_bytes);
    c->encoder = NULL;
    c->encoder_bytes = 0;
}

void nk_compress_fini(struct nk_compress *c) {
    if (c->mem == NULL) return;
    drop_encoder(c);
    nk_mem_free(c->mem, c->decoder, c->decoder_bytes);
    *c = (struct nk_compress){.mem = NULL};
}

size_t nk_compress_bound(enum nitro_compression how, size_t n) {
    switch (how) {
    case NITRO_COMPRESSION_LZ4:
        NK_ASSERT(n <= LZ4_MAX_INPUT_SIZE);
        return (size_t)LZ4_compressBound((int)n);
    case NITRO_COMPRESSION_ZSTD:
        return ZSTD_compressBound(n);
    case NITRO_COMPRESSION_NONE:
        break;
    }
    return n;
}

/* ---- encode ------------------------------------------------------------------------------------*/

/* make_encoder: the context of the method in c->encoder; false: no memory. */
static bool make_encoder(struct nk_compress *c, enum nitro_compression how) {
    if (c->encoder != NULL && c->encoder_of == how) return true;
    drop_encoder(c);
    size_t bytes = how == NITRO_COMPRESSION_ZSTD ? ZSTD_estimateCCtxSize(ZSTD_LEVEL)
                                                 : (size_t)LZ4_sizeofState();
    void *p = nk_mem_alloc(c->mem, bytes);
    if (p == NULL) return false;
    /* (A static context begins where its memory begins: one pointer is both.) */
    const void *context = how == NITRO_COMPRESSION_ZSTD ? ZSTD_initStaticCCtx(p, bytes) : p;
    NK_ASSERT(context == p);
    c->encoder = p;
    c->encoder_bytes = bytes;
    c->encoder_of = how;
    return true;
}

/* encode: the bytes it has become; 0: there is not enough room. */
static size_t encode(struct nk_compress *c, enum nitro_compression how, const uint8_t *p, size_t n,
                     uint8_t *out, size_t cap) {
    if (how == NITRO_COMPRESSION_LZ4) {
        NK_ASSERT(n <= LZ4_MAX_INPUT_SIZE);
        int room = (int)nk_min_u64(cap, (uint64_t)LZ4_compressBound((int)n));
        int bytes = LZ4_compress_fast_extState(c->encoder, (const char *)p, (char *)out, (int)n,
                                               room, LZ4_ACCELERATION);
        return (size_t)bytes;
    }
    size_t bytes = ZSTD_compressCCtx(c->encoder, out, cap, p, n, ZSTD_LEVEL);
    return ZSTD_isError(bytes) ? 0 : bytes;
}

int nk_compress_encode(struct nk_compress *c, enum nitro_compression how, const uint8_t *p,
                       size_t n, uint8_t *out, size_t cap, size_t *out_bytes) {
    if (how == NITRO_COMPRESSION_NONE) return NITRO_ENOTSTORED;
    if (!make_encoder(c, how)) return NITRO_ENOMEM;
    size_t bytes = encode(c, how, p, n, out, cap);
    if (bytes == 0 || bytes >= n) return NITRO_ENOTSTORED;
    *out_bytes = bytes;
    return NITRO_OK;
}

/* ---- decode ------------------------------------------------------------------------------------*/

static bool make_decoder(struct nk_compress *c) {
    if (c->decoder != NULL) return true;
    size_t bytes = ZSTD_estimateDCtxSize();
    void *p = nk_mem_alloc(c->mem, bytes);
    if (p == NULL) return false;
    const void *context = ZSTD_initStaticDCtx(p, bytes);
    NK_ASSERT(context == p);
    c->decoder = p;
    c->decoder_bytes = bytes;
    return true;
}

/* decode_zstd: one frame and nothing behind it. The library would go on with a second one. */
static bool decode_zstd(struct nk_compress *c, const uint8_t *p, size_t bytes, uint8_t *out,
                        size_t n) {
    return ZSTD_findFrameCompressedSize(p, bytes) == bytes &&
           ZSTD_decompressDCtx(c->decoder, out, n, p, bytes) == n;
}

static bool decode_lz4(const uint8_t *p, size_t bytes, uint8_t *out, size_t n) {
    if (bytes > LZ4_MAX_INPUT_SIZE || n > LZ4_MAX_INPUT_SIZE) return false;
    return LZ4_decompress_safe((const char *)p, (char *)out, (int)bytes, (int)n) == (int)n;
}

int nk_compress_decode(struct nk_compress *c, enum nitro_compression how, const uint8_t *p,
                       size_t bytes, uint8_t *out, size_t n) {
    bool whole = false;
    switch (how) {
    case NITRO_COMPRESSION_NONE:
        whole = bytes == n;
        if (whole) memcpy(out, p, n);
        break;
    case NITRO_COMPRESSION_LZ4:
        whole = decode_lz4(p, bytes, out, n);
        break;
    case NITRO_COMPRESSION_ZSTD:
        if (!make_decoder(c)) return NITRO_ENOMEM;
        whole = decode_zstd(c, p, bytes, out, n);
        break;
    }
    return whole ? NITRO_OK : NITRO_ECORRUPT;
}
