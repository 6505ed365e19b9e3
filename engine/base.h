/* SPDX-License-Identifier: MIT
 *
 * base.h - what every file of the engine may use: asserts, compiler words, small helpers (L0).
 *
 * NK_ASSERT is cheap and on in release builds; NK_DCHECK is costly and on with -DNK_CHECKED (tests,
 * fuzzing, valgrind). Neither is ever used on bytes from disk, wire or user: those get error codes.
 */
#ifndef NK_BASE_H
#define NK_BASE_H

#include "nitro.h"

#include <stdbool.h>
#include <string.h>

#define NK_LIKELY(x) __builtin_expect(!!(x), 1)
#define NK_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NK_INLINE static inline __attribute__((always_inline))
#define NK_NOINLINE __attribute__((noinline))
#define NK_ALIGNED(n) __attribute__((aligned(n)))

/* nk_assert_fail: never returns. A trap, because the engine prints nothing; the debugger shows where. */
#define NK_ASSERT(x)                                                                               \
    do {                                                                                           \
        if (NK_UNLIKELY(!(x))) __builtin_trap();                                                   \
    } while (0)
#ifdef NK_CHECKED
#define NK_DCHECK(x) NK_ASSERT(x)
#else
#define NK_DCHECK(x) ((void)sizeof(x))
#endif

#define NK_CACHE_LINE 64u
#define NK_PAGE 4096u

NK_INLINE uint64_t nk_min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
NK_INLINE uint64_t nk_max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
NK_INLINE uint64_t nk_round_up(uint64_t n, uint64_t to) { return (n + to - 1) & ~(to - 1); }

/* Unaligned little-endian loads and stores. */
NK_INLINE uint16_t nk_load16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
NK_INLINE uint32_t nk_load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
NK_INLINE uint64_t nk_load64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
NK_INLINE void nk_store16(void *p, uint16_t v) { memcpy(p, &v, sizeof v); }
NK_INLINE void nk_store32(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }
NK_INLINE void nk_store64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "NitroKV supports little-endian machines only (amd64, arm64)"
#endif

/* A pause inside a bounded spin. */
NK_INLINE void nk_cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* nk_spin: a leaf lock, held for a few instructions and never across a call that can block. */
struct nk_spin {
    uint32_t word;
};
#define NK_LOCK_SPINS 256u
NK_INLINE bool nk_spin_try(struct nk_spin *l, uint32_t tries) {
    for (;;) {
        if (NK_LIKELY(__atomic_load_n(&l->word, __ATOMIC_RELAXED) == 0 &&
                      __atomic_exchange_n(&l->word, 1, __ATOMIC_ACQUIRE) == 0))
            return true;
        if (tries-- == 0) return false;
        nk_cpu_relax();
    }
}
NK_INLINE void nk_spin_unlock(struct nk_spin *l) {
    __atomic_store_n(&l->word, 0, __ATOMIC_RELEASE);
}
/* nk_yield: other threads that could run get the processor first, if there are any. Under another lock only as part of
 * nk_spin_lock, where spinning on would keep that one as long (a segment's, by who saves an entry for a snapshot). */
void nk_yield(void);
/* nk_spin_lock: for who has something to put right that nobody else can. The holder waits for nothing; what takes long is
 * that the kernel has given its processor to somebody else, who may be the caller. */
NK_INLINE void nk_spin_lock(struct nk_spin *l) {
    while (!nk_spin_try(l, NK_LOCK_SPINS)) nk_yield();
}

#endif
