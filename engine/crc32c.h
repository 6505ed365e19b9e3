/* SPDX-License-Identifier: MIT
 *
 * crc32c.h - CRC-32C (Castagnoli), the checksum of the wire and of every file (L0).
 *
 * WHAT   Reflected, polynomial 0x82F63B78, start and final value inverted: "123456789" -> e3069283.
 * THREADS  Any thread.
 */
#ifndef NK_CRC32C_H
#define NK_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* nk_crc32c: continues `crc` (0 at the start) over p[0 .. n). */
uint32_t nk_crc32c(uint32_t crc, const void *p, size_t n);
/* nk_crc32c_portable: the same without special instructions; for tests and other processors. */
uint32_t nk_crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
