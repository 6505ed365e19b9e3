/* SPDX-License-Identifier: MIT
 *
 * collide.h - any number of different keys with one equal seeded FNV-1a-64 hash, for every seed.
 *
 * WHAT   Keys of 1 + 8k bytes: a lead byte that brings the low byte of the hash state to COLLIDE_LOW,
 *        then k blocks, each one of two that have the same effect on the whole state. Key i takes
 *        block A or B by the bits of i, so k blocks make 2^k keys. How the blocks were found:
 *        find_collision.c.
 * THREADS  Pure functions.
 */
#ifndef COLLIDE_H
#define COLLIDE_H

#include <stddef.h>
#include <stdint.h>

#define COLLIDE_LOW 0x5au /* low byte of the state before and after a block */
#define COLLIDE_BLOCK 8u  /* bytes */
#define COLLIDE_BITS_MAX 20u
#define COLLIDE_KEY_MAX (1u + COLLIDE_BLOCK * COLLIDE_BITS_MAX)

/* collide_return_byte: the value that (low byte ^ input byte) must have so that the next state's low
 * byte is COLLIDE_LOW: COLLIDE_LOW divided by the low byte of the FNV prime, modulo 256. */
static inline uint8_t collide_return_byte(void) {
    const uint8_t inverse = 0x7b; /* 0x7b * 0xb3 = 1 (mod 256) */
    return (uint8_t)(inverse * COLLIDE_LOW);
}

/* collide_key: writes key `index` (below 2^bits) for a store with this seed to out[COLLIDE_KEY_MAX] and
 * returns its length. All keys of one seed and one `bits` have the same hash. */
size_t collide_key(const uint8_t seed[], unsigned bits, uint32_t index, uint8_t *out);

#endif
