/* SPDX-License-Identifier: MIT
 *
 * collide.c - keys with one equal seeded FNV-1a-64 hash (collide.h says how they are built).
 *
 * The engine starts FNV-1a from the standard basis XOR the first eight bytes of the store's seed. Of
 * those only the lowest byte matters here, so a real attacker has 256 guesses; the tests know it.
 */
#include "collide.h"

#include <string.h>

#define FNV_BASIS_LOW 0x25u /* low byte of 14695981039346656037 */

/* Found by find_collision.c: from a state whose low byte is COLLIDE_LOW both lead to one state, with the
 * low byte COLLIDE_LOW again. */
static const uint8_t block_a[COLLIDE_BLOCK] = {0x90, 0x91, 0x71, 0xce, 0x81, 0x5e, 0xad, 0xd2};
static const uint8_t block_b[COLLIDE_BLOCK] = {0x32, 0x3d, 0xe3, 0xe3, 0x2a, 0x7e, 0xd6, 0x53};

size_t collide_key(const uint8_t seed[], unsigned bits, uint32_t index, uint8_t *out) {
    size_t n = 0;
    out[n++] = (uint8_t)(seed[0] ^ FNV_BASIS_LOW ^ collide_return_byte());
    for (unsigned i = 0; i < bits; i++) {
        memcpy(out + n, (index >> i) & 1 ? block_b : block_a, COLLIDE_BLOCK);
        n += COLLIDE_BLOCK;
    }
    return n;
}
