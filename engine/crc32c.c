/* SPDX-License-Identifier: MIT
 *
 * crc32c.c - CRC-32C by the processor's instruction where it has one, else by tables.
 *
 * DESIGN
 *   The portable way takes 8 bytes a step through 8 tables ("slicing by 8"): table k holds the CRC
 *   of a byte followed by k zero bytes. A constructor fills them and picks the way before any other
 *   code runs, so nothing is initialised later and nothing can race on it.
 *
 * NOT HERE  combining CRCs of parts, and interleaving three streams: frames are short.
 */
#include "crc32c.h"

#include "base.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLY 0x82F63B78u

static uint32_t table[8][256];

static uint32_t step_portable(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w = nk_load64(p) ^ crc;
        crc = table[7][w & 255] ^ table[6][(w >> 8) & 255] ^ table[5][(w >> 16) & 255] ^
              table[4][(w >> 24) & 255] ^ table[3][(w >> 32) & 255] ^ table[2][(w >> 40) & 255] ^
              table[1][(w >> 48) & 255] ^ table[0][w >> 56];
    }
    for (; n > 0; n--, p++) crc = (crc >> 8) ^ table[0][(crc ^ *p) & 255];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t step_native(uint32_t crc, const uint8_t *p,
                                                              size_t n) {
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, p += 8) wide = _mm_crc32_u64(wide, nk_load64(p));
    crc = (uint32_t)wide;
    for (; n > 0; n--, p++) crc = _mm_crc32_u8(crc, *p);
    return crc;
}
static bool native_here(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t step_native(uint32_t crc, const uint8_t *p,
                                                            size_t n) {
    for (; n >= 8; n -= 8, p += 8) crc = __crc32cd(crc, nk_load64(p));
    for (; n > 0; n--, p++) crc = __crc32cb(crc, *p);
    return crc;
}
static bool native_here(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#else
static uint32_t step_native(uint32_t crc, const uint8_t *p, size_t n) {
    return step_portable(crc, p, n);
}
static bool native_here(void) { return false; }
#endif

static bool native;

__attribute__((constructor)) static void setup(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLY & (0u - (crc & 1u)));
        table[0][i] = crc;
    }
    for (uint32_t k = 1; k < 8; k++) {
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
    }
    native = native_here();
}

uint32_t nk_crc32c_portable(uint32_t crc, const void *p, size_t n) {
    return ~step_portable(~crc, p, n);
}

uint32_t nk_crc32c(uint32_t crc, const void *p, size_t n) {
    return native ? ~step_native(~crc, p, n) : ~step_portable(~crc, p, n);
}
