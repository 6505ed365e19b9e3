/* SPDX-License-Identifier: MIT
 *
 * wire_nbp.h - the binary protocol: parsing requests (L6). The specification is proto/PROTOCOL.md.
 *
 * FORMAT
 *   off size  field
 *     0    1  kind    F5 request, F6 reply
 *     1    1  opcode, or status in a reply
 *     2    2  id      the client's choice, echoed
 *     4    1  flags
 *     5    3  length  bytes after the header: blocks, then body
 */
#ifndef NK_WIRE_NBP_H
#define NK_WIRE_NBP_H

#include "req.h"

#define NK_NBP_REQUEST 0xF5u
#define NK_NBP_REPLY 0xF6u
#define NK_NBP_HEADER 8u
#define NK_NBP_INTEGRITY_BYTES 8u

#define NK_NBP_INTEGRITY 0x01u
#define NK_NBP_EXT 0x02u
#define NK_NBP_VERSION 0x04u
#define NK_NBP_EXPIRY 0x08u
#define NK_NBP_QUIET 0x10u /* requests; LSN in replies */
#define NK_NBP_MORE 0x20u
#define NK_NBP_DURABILITY 0xC0u
#define NK_NBP_EVERYSEC 0x80u /* from here on a level needs a log */

enum nk_nbp_op {
    NK_NBP_NOOP = 0x00,
    NK_NBP_HELLO = 0x01,
    NK_NBP_ECHO = 0x02,
    NK_NBP_STATS = 0x03,
    NK_NBP_AUTH = 0x04,
    NK_NBP_GET = 0x10,
    NK_NBP_SET = 0x11,
    NK_NBP_DELETE = 0x12,
    NK_NBP_EXISTS = 0x13,
    NK_NBP_INCR = 0x14,
    NK_NBP_EXPIRE = 0x15,
    NK_NBP_TTL = 0x16,
    NK_NBP_PERSIST = 0x17,
    NK_NBP_MEMORY = 0x18,
    NK_NBP_GETX = 0x19,
    NK_NBP_SETX = 0x1A,
    NK_NBP_GETDEL = 0x1B,
    NK_NBP_GETEX = 0x1C,
    NK_NBP_APPEND = 0x1D,
    NK_NBP_GETRANGE = 0x1E,
    NK_NBP_SETRANGE = 0x1F,
    NK_NBP_MGET = 0x20,
    NK_NBP_MSET = 0x21,
    NK_NBP_MDELETE = 0x22,
    NK_NBP_MEXISTS = 0x23,
    NK_NBP_MSETX = 0x24,
    NK_NBP_SCAN = 0x28,
    NK_NBP_COUNT = 0x29,
    NK_NBP_FLUSH = 0x2A,
    NK_NBP_SYNC = 0x2B,
    NK_NBP_RANDOMKEY = 0x2C,
    NK_NBP_INCRFLOAT = 0x30,
    NK_NBP_EXPIREX = 0x31,
    NK_NBP_EXPIRETIME = 0x32,
    NK_NBP_RENAME = 0x33,
    NK_NBP_COPY = 0x34
};

/* nk_nbp_next: parses the frame at in_pos (there is at least one byte). */
enum nk_parsed nk_nbp_next(struct nk_parser *f);

/* nk_nbp_decode: makes a request of a whole body. It stands in the slot; the caller counts it. */
struct nk_head;
void nk_nbp_decode(struct nk_parser *f, const struct nk_head *head, const uint8_t *body, size_t n);
/* nk_nbp_commands: 1 + the verb that does what the opcode does, 0 for none (wire_nbp_verb.c). */
extern const uint8_t nk_nbp_commands[256];
/* nk_nbp_flags_allowed: the flags among VERSION and EXPIRY that an opcode takes; -1 = unknown
 * opcode. */
int nk_nbp_flags_allowed(uint8_t opcode);

#endif
