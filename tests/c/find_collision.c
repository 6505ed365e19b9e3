/* SPDX-License-Identifier: MIT
 *
 * find_collision.c - finds the two blocks that collide.c chains into any number of equal hashes.
 *
 * WHY IT TAKES SECONDS
 *   FNV-1a does h = (h ^ byte) * P. Write h = H + l with l its low byte: the byte touches l only, and
 *   the low byte of the product depends on l ^ byte only. So the path of the low byte depends on the
 *   bytes and on where the low byte started, never on H, and after n bytes
 *       h(n) = P^n * H + g(l, bytes).
 *   Two blocks with equal g from one l collide for every H: a secret start costs an attacker 8 bits.
 *   And the last byte of a block is free to choose: it only has to set l ^ byte to what it should be.
 *   So the search needs the upper 56 bits of g to agree after seven bytes, 2^28 steps by birthday;
 *   the eighth byte then makes the whole 64 bits agree AND returns the low byte to where it started,
 *   so that blocks chain: k of them make 2^k keys.
 *
 * HOW  A walk u -> upper 56 bits of g(u as seven bytes), Brent's cycle detection, then the two
 *      different predecessors of the point where the tail enters the cycle.
 *
 * USE  cc -O2 -o find_collision find_collision.c && ./find_collision
 *      Prints two lines for collide.c. The low byte is COLLIDE_LOW of collide.h.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "collide.h"

#define FNV_PRIME 0x100000001b3u
#define WALK_BYTES 7u
#define WALK_MASK ((UINT64_C(1) << 56) - 1)

/* walk_state: the FNV state after the seven bytes of u, from a state that is the low byte alone. */
static uint64_t walk_state(uint64_t u) {
    uint64_t h = COLLIDE_LOW;
    for (unsigned i = 0; i < WALK_BYTES; i++) h = (h ^ ((u >> (8 * i)) & 0xff)) * FNV_PRIME;
    return h;
}

static uint64_t walk(uint64_t u) { return walk_state(u) >> 8; }

/* find_cycle: Brent: the length of the cycle that the walk from `start` runs into. */
static uint64_t find_cycle(uint64_t start) {
    uint64_t power = 1, length = 1;
    uint64_t tortoise = start, hare = walk(start);
    while (tortoise != hare) {
        if (power == length) {
            tortoise = hare;
            power *= 2;
            length = 0;
        }
        hare = walk(hare);
        length++;
    }
    return length;
}

/* find_pair: two different points with one image. 0, or -1 if `start` lies on its own cycle. */
static int find_pair(uint64_t start, uint64_t *a, uint64_t *b) {
    uint64_t behind = start, ahead = start;
    for (uint64_t left = find_cycle(start); left > 0; left--) ahead = walk(ahead);
    if (behind == ahead) return -1;
    while (walk(behind) != walk(ahead)) {
        behind = walk(behind);
        ahead = walk(ahead);
    }
    *a = behind;
    *b = ahead;
    return 0;
}

static void print_block(const char *name, uint64_t u) {
    uint8_t last = (uint8_t)(walk_state(u) ^ collide_return_byte());
    printf("static const uint8_t %s[COLLIDE_BLOCK] = {", name);
    for (unsigned i = 0; i < WALK_BYTES; i++) printf("0x%02x, ", (unsigned)((u >> (8 * i)) & 0xff));
    printf("0x%02x};\n", last);
}

int main(void) {
    uint64_t a = 0, b = 0, start = 1;
    while (find_pair(start & WALK_MASK, &a, &b) != 0) start++;
    print_block("block_a", a);
    print_block("block_b", b);
    return 0;
}
