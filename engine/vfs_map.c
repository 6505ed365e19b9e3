/* SPDX-License-Identifier: MIT
 *
 * vfs_map.c - files mapped into memory, of the system's table of file calls: a read is a copy (L1).
 *
 * DESIGN
 *   A mapped page that cannot be brought into memory (the disk fails, or the file was cut by somebody else) raises SIGBUS where a read would
 *   have answered -EIO. So mapped bytes are touched by one instruction alone, which copies them. A handler for SIGBUS looks
 *   whether that instruction was stopped; then it lets the copy go on behind it, where it answers that it
 *   has failed. Every other SIGBUS is passed on to the handler that there was before. So nothing is jumped over, no thread keeps any
 *   state, and it makes no difference whose stack the handler runs on: a host with handlers of its own, like Go's runtime, is as
 *   it was.
 *
 *   The handler is installed with the first mapping. On other processors than x86-64 there are no mappings, and files are read.
 *
 *   Of a mapping no page is read ahead: who maps reads records here and there.
 */
#define _GNU_SOURCE /* REG_RIP */

#include "vfs_map.h"

#include <errno.h>

#if defined(__x86_64__)

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

/* nk_map_copy: copies n bytes: 0, or 1 if a page of the source could not be had. */
int nk_map_copy(void *dst, const void *src, size_t n);
extern const char nk_map_copy_touch[], nk_map_copy_fault[];

__asm__(".pushsection .text\n"
        ".globl nk_map_copy\n"
        ".hidden nk_map_copy\n"
        ".hidden nk_map_copy_touch\n"
        ".hidden nk_map_copy_fault\n"
        ".globl nk_map_copy_touch\n"
        ".globl nk_map_copy_fault\n"
        ".type nk_map_copy, @function\n"
        "nk_map_copy:\n"
        ".cfi_startproc\n"
        "    movq %rdx, %rcx\n"
        "nk_map_copy_touch:\n"
        "    rep movsb\n"
        "    xorl %eax, %eax\n"
        "    ret\n"
        "nk_map_copy_fault:\n"
        "    movl $1, %eax\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size nk_map_copy, . - nk_map_copy\n"
        ".popsection\n");

static struct sigaction before; /* the handler that there was; written before ours is there */
static int installing;          /* atomic: 1 = somebody is at it */

static void on_bus(int sig, siginfo_t *info, void *context) {
    greg_t *at = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if ((uintptr_t)*at == (uintptr_t)nk_map_copy_touch) {
        *at = (greg_t)(uintptr_t)nk_map_copy_fault;
        return;
    }
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(sig, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(sig);
    } else {
        struct sigaction none = {.sa_handler = SIG_DFL};
        (void)sigaction(SIGBUS, &none,
                        NULL); /* the instruction is run again, and ends the process */
    }
}

/* Unless the handler is ours already. It is looked at with each mapping: others may have put theirs in its place. */
static bool take_over(void) {
    struct sigaction now, mine = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaction(SIGBUS, NULL, &now) != 0) return false;
    if ((now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == on_bus) return true;
    before = now;
    return sigaction(SIGBUS, &mine, NULL) == 0;
}

/* False: there is no handler, or somebody else is about to install it: nothing may be mapped. */
static bool install(void) {
    if (__atomic_exchange_n(&installing, 1, __ATOMIC_ACQ_REL) != 0) return false;
    bool done = take_over();
    __atomic_store_n(&installing, 0, __ATOMIC_RELEASE);
    return done;
}

const void *nk_posix_map(void *ctx, int file, uint64_t bytes) {
    (void)ctx;
    if (bytes == 0 || bytes > SIZE_MAX || !install()) return NULL;
    void *p = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, file, 0);
    if (p == MAP_FAILED) return NULL;
    (void)madvise(p, (size_t)bytes, MADV_RANDOM); /* a hint */
    return p;
}

void nk_posix_unmap(void *ctx, const void *p, uint64_t bytes) {
    (void)ctx;
    (void)munmap((void *)(uintptr_t)p,
                 (size_t)bytes); /* it fails for a range that never was one alone */
}

int nk_posix_map_read(void *ctx, void *dst, const void *src, size_t n) {
    (void)ctx;
    return nk_map_copy(dst, src, n) == 0 ? 0 : -EIO;
}

#else

const void *nk_posix_map(void *ctx, int file, uint64_t bytes) {
    (void)ctx, (void)file, (void)bytes;
    return NULL;
}
void nk_posix_unmap(void *ctx, const void *p, uint64_t bytes) { (void)ctx, (void)p, (void)bytes; }
int nk_posix_map_read(void *ctx, void *dst, const void *src, size_t n) {
    (void)ctx, (void)dst, (void)src, (void)n;
    return -EIO;
}

#endif
