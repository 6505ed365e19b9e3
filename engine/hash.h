/* SPDX-License-Identifier: MIT
 *
 * hash.h - the three hashes of a key and what each is for (L0). Pure functions, any thread.
 *
 *   nk_hash_fnv1a   FNV-1a, 64 bit (RFC 9923) from a seeded basis: the table's ordinary hash.
 *   nk_hash_sip13   SipHash-1-3 (Aumasson & Bernstein 2012) under a secret 128-bit key: the table's hash
 *                   once a segment has seen a chain that honest keys do not make.
 *   nk_hash_route   a polynomial modulo 2^61 - 1 at a secret point (Carter & Wegman 1981): chooses the
 *                   segment. Two given keys of n words collide in s bits with probability of about
 *                   n / 2^s over the choice of the point, whatever their FNV hashes are, so nobody
 *                   can steer keys into one segment.
 *
 * BITS of a table hash after nk_hash_finish: 0..31 bucket, 56..63 tag. The route shares none of them.
 */
#ifndef NK_HASH_H
#define NK_HASH_H

#include "base.h"

#define NK_FNV_BASIS 14695981039346656037ull
#define NK_FNV_PRIME 1099511628211ull
#define NK_P61 ((1ull << 61) - 1)

struct nk_sip_key {
    uint64_t k0, k1;
};

/* nk_hash_fnv1a: seed 0 gives the hash of RFC 9923. */
NK_INLINE uint64_t nk_hash_fnv1a(uint64_t seed, const uint8_t *p, size_t n) {
    uint64_t h = NK_FNV_BASIS ^ seed;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * NK_FNV_PRIME;
    return h;
}

/* nk_hash_finish: spreads FNV's well-mixed low bits over all 64 (a bijection). */
NK_INLINE uint64_t nk_hash_finish(uint64_t h) {
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ull;
    h ^= h >> 32;
    return h;
}

/* nk_hash_mix: spreads any 64 bits over all 64, as SplitMix64 does (Steele, Lea & Flood 2014); a bijection. */
NK_INLINE uint64_t nk_hash_mix(uint64_t v) {
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
    v = (v ^ v >> 27) * 0x94d049bb133111ebull;
    return v ^ v >> 31;
}

uint64_t nk_hash_sip13(const struct nk_sip_key *key, const uint8_t *p, size_t n);

/* a * b mod 2^61 - 1, partially reduced: below 2^61 + 8 for a, b below 2^62. */
NK_INLINE uint64_t nk_mul_p61(uint64_t a, uint64_t b) {
    unsigned __int128 m = (unsigned __int128)a * b;
    uint64_t s = ((uint64_t)m & NK_P61) + (uint64_t)(m >> 61);
    return (s & NK_P61) + (s >> 61);
}

/* Up to 7 bytes, with a bit that marks their end (so that no two tails are the same word). */
NK_INLINE uint64_t nk_hash_tail(const uint8_t *p, size_t n) {
    uint64_t w;
    if (n >= 4)
        w = nk_load32(p) | (uint64_t)nk_load32(p + n - 4) << ((n - 4) * 8);
    else if (n > 0)
        w = p[0] | (uint64_t)p[n >> 1] << ((n >> 1) * 8) | (uint64_t)p[n - 1] << ((n - 1) * 8);
    else
        w = 0;
    return w | 1ull << (n * 8);
}

/* nk_hash_route: `point` is secret, 1 .. 2^61 - 2. The result is below 2^61. */
NK_INLINE uint64_t nk_hash_route(uint64_t point, const uint8_t *p, size_t n) {
    uint64_t acc = 1;
    while (n > 7) {
        acc = nk_mul_p61(acc, point) + (nk_load64(p) & ((1ull << 56) - 1));
        p += 7;
        n -= 7;
    }
    acc = nk_mul_p61(acc, point) + nk_hash_tail(p, n);
    acc = nk_mul_p61(acc, point);
    return acc >= NK_P61 ? acc - NK_P61 : acc;
}

#endif
