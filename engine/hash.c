/* SPDX-License-Identifier: MIT
 *
 * hash.c - SipHash-1-3 (L0). One compression round per word, three at the end; the variant that Rust and
 * others use for hash tables.
 */
#include "hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

NK_INLINE uint64_t rotl(uint64_t x, int b) { return x << b | x >> (64 - b); }

NK_INLINE void sip_round(struct sip *s) {
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 = rotl(s->v2, 32);
}

NK_INLINE void sip_word(struct sip *s, uint64_t w) {
    s->v3 ^= w;
    sip_round(s);
    s->v0 ^= w;
}

uint64_t nk_hash_sip13(const struct nk_sip_key *key, const uint8_t *p, size_t n) {
    struct sip s = {.v0 = key->k0 ^ 0x736f6d6570736575ull,
                    .v1 = key->k1 ^ 0x646f72616e646f6dull,
                    .v2 = key->k0 ^ 0x6c7967656e657261ull,
                    .v3 = key->k1 ^ 0x7465646279746573ull};
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; p += 8, n -= 8) sip_word(&s, nk_load64(p));
    for (size_t i = 0; i < n; i++) last |= (uint64_t)p[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
