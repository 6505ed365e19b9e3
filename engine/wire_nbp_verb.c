/* SPDX-License-Identifier: MIT
 *
 * wire_nbp_verb.c - which verb an opcode is counted as.
 *
 * DESIGN
 *   Whoever watches a server asks what it does, not in which language it was asked. So a binary request is
 *   counted under the text verb that does the same: of several that differ in the spelling of a number alone
 *   (INCR and DECRBY, EXPIRE and PEXPIREAT) the one that says most, or is known best.
 */
#include "cmd.h"
#include "wire_nbp.h"

_Static_assert(NK_VERB_COUNT < 255, "a verb and 'none' fit into a byte");

#define AS(verb) (NK_VERB_##verb + 1)

const uint8_t nk_nbp_commands[256] = {
    [NK_NBP_NOOP] = AS(PING),
    [NK_NBP_HELLO] = AS(HELLO),
    [NK_NBP_ECHO] = AS(ECHO),
    [NK_NBP_STATS] = AS(INFO),
    [NK_NBP_AUTH] = AS(AUTH),
    [NK_NBP_GET] = AS(GET),
    [NK_NBP_SET] = AS(SET),
    [NK_NBP_DELETE] = AS(DEL),
    [NK_NBP_EXISTS] = AS(EXISTS),
    [NK_NBP_INCR] = AS(INCRBY),
    [NK_NBP_EXPIRE] = AS(EXPIRE),
    [NK_NBP_TTL] = AS(TTL),
    [NK_NBP_PERSIST] = AS(PERSIST),
    [NK_NBP_MEMORY] = AS(MEMORY),
    [NK_NBP_GETX] = AS(GET),
    [NK_NBP_SETX] = AS(SET),
    [NK_NBP_GETDEL] = AS(GETDEL),
    [NK_NBP_GETEX] = AS(GETEX),
    [NK_NBP_APPEND] = AS(APPEND),
    [NK_NBP_GETRANGE] = AS(GETRANGE),
    [NK_NBP_SETRANGE] = AS(SETRANGE),
    [NK_NBP_MGET] = AS(MGET),
    [NK_NBP_MSET] = AS(MSET),
    [NK_NBP_MDELETE] = AS(DEL),
    [NK_NBP_MEXISTS] = AS(EXISTS),
    [NK_NBP_MSETX] = AS(MSET),
    [NK_NBP_SCAN] = AS(SCAN),
    [NK_NBP_COUNT] = AS(DBSIZE),
    [NK_NBP_FLUSH] = AS(FLUSHALL),
    [NK_NBP_SYNC] = AS(WAITAOF),
    [NK_NBP_RANDOMKEY] = AS(RANDOMKEY),
    [NK_NBP_INCRFLOAT] = AS(INCRBYFLOAT),
    [NK_NBP_EXPIREX] = AS(EXPIRE),
    [NK_NBP_EXPIRETIME] = AS(EXPIRETIME),
    [NK_NBP_RENAME] = AS(RENAME),
    [NK_NBP_COPY] = AS(COPY),
};
