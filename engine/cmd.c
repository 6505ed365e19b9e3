/* SPDX-License-Identifier: MIT
 *
 * cmd.c - the table of verbs, and finding one by its name.
 *
 * DESIGN
 *   No verb is longer than eight letters, so a name is one 64-bit load. Clearing bit 5 of every
 *   byte makes letters upper case; no other byte can become a letter by that which was not one
 *   before, so comparing the word with a constant is exact once the lengths agree. The compiler
 *   turns the switch into a short tree of compares.
 */
#include "cmd.h"

static const struct nitro_command commands[] = {
#define NK_X(id, name, arity, flags, first, last, step, group, summary, args)                      \
    {name, arity, flags, first, last, step, group, summary, args},
    NK_VERBS(NK_X)
#undef NK_X
};

const struct nitro_command *nitro_commands(size_t *count) {
    *count = NK_VERB_COUNT;
    return commands;
}

const struct nitro_command *nk_cmd_info(enum nk_verb verb) {
    NK_ASSERT(verb < NK_VERB_COUNT);
    return &commands[verb];
}

#define W2(a, b) ((uint64_t)(a) | (uint64_t)(b) << 8)
#define W4(a, b, c, d) (W2(a, b) | W2(c, d) << 16)
#define W8(a, b, c, d, e, f, g, h) (W4(a, b, c, d) | W4(e, f, g, h) << 32)

static enum nk_verb find_3(uint64_t word) {
    switch (word) {
    case W4('G', 'E', 'T', 0):
        return NK_VERB_GET;
    case W4('S', 'E', 'T', 0):
        return NK_VERB_SET;
    case W4('D', 'E', 'L', 0):
        return NK_VERB_DEL;
    case W4('P', 'U', 'T', 0):
        return NK_VERB_PUT;
    case W4('T', 'T', 'L', 0):
        return NK_VERB_TTL;
    default:
        return NK_VERB_UNKNOWN;
    }
}

static enum nk_verb find_4(uint64_t word) {
    switch (word) {
    case W4('I', 'N', 'C', 'R'):
        return NK_VERB_INCR;
    case W4('D', 'E', 'C', 'R'):
        return NK_VERB_DECR;
    case W4('M', 'G', 'E', 'T'):
        return NK_VERB_MGET;
    case W4('M', 'S', 'E', 'T'):
        return NK_VERB_MSET;
    case W4('P', 'I', 'N', 'G'):
        return NK_VERB_PING;
    case W4('P', 'T', 'T', 'L'):
        return NK_VERB_PTTL;
    case W4('T', 'Y', 'P', 'E'):
        return NK_VERB_TYPE;
    case W4('S', 'C', 'A', 'N'):
        return NK_VERB_SCAN;
    case W4('E', 'C', 'H', 'O'):
        return NK_VERB_ECHO;
    case W4('A', 'U', 'T', 'H'):
        return NK_VERB_AUTH;
    case W4('I', 'N', 'F', 'O'):
        return NK_VERB_INFO;
    case W4('Q', 'U', 'I', 'T'):
        return NK_VERB_QUIT;
    default:
        return NK_VERB_UNKNOWN;
    }
}

static enum nk_verb find_5_6(uint64_t word) {
    switch (word) {
    case W8('H', 'E', 'L', 'L', 'O', 0, 0, 0):
        return NK_VERB_HELLO;
    case W8('R', 'E', 'S', 'E', 'T', 0, 0, 0):
        return NK_VERB_RESET;
    case W8('D', 'E', 'L', 'E', 'T', 'E', 0, 0):
        return NK_VERB_DELETE;
    case W8('E', 'X', 'I', 'S', 'T', 'S', 0, 0):
        return NK_VERB_EXISTS;
    case W8('E', 'X', 'P', 'I', 'R', 'E', 0, 0):
        return NK_VERB_EXPIRE;
    case W8('I', 'N', 'C', 'R', 'B', 'Y', 0, 0):
        return NK_VERB_INCRBY;
    case W8('D', 'E', 'C', 'R', 'B', 'Y', 0, 0):
        return NK_VERB_DECRBY;
    case W8('D', 'B', 'S', 'I', 'Z', 'E', 0, 0):
        return NK_VERB_DBSIZE;
    case W8('M', 'E', 'M', 'O', 'R', 'Y', 0, 0):
        return NK_VERB_MEMORY;
    case W8('C', 'L', 'I', 'E', 'N', 'T', 0, 0):
        return NK_VERB_CLIENT;
    case W8('C', 'O', 'N', 'F', 'I', 'G', 0, 0):
        return NK_VERB_CONFIG;
    case W8('S', 'E', 'L', 'E', 'C', 'T', 0, 0):
        return NK_VERB_SELECT;
    default:
        return NK_VERB_UNKNOWN;
    }
}

static enum nk_verb find_7_8(uint64_t word) {
    switch (word) {
    case W8('P', 'E', 'X', 'P', 'I', 'R', 'E', 0):
        return NK_VERB_PEXPIRE;
    case W8('P', 'E', 'R', 'S', 'I', 'S', 'T', 0):
        return NK_VERB_PERSIST;
    case W8('F', 'L', 'U', 'S', 'H', 'D', 'B', 0):
        return NK_VERB_FLUSHDB;
    case W8('C', 'O', 'M', 'M', 'A', 'N', 'D', 0):
        return NK_VERB_COMMAND;
    case W8('W', 'A', 'I', 'T', 'A', 'O', 'F', 0):
        return NK_VERB_WAITAOF;
    case W8('F', 'L', 'U', 'S', 'H', 'A', 'L', 'L'):
        return NK_VERB_FLUSHALL;
    default:
        return NK_VERB_UNKNOWN;
    }
}

enum nk_verb nk_cmd_find(const uint8_t *p, uint32_t n) {
    if (n < 3 || n > 8) return NK_VERB_UNKNOWN;
    uint64_t word = nk_load64(p) & (0xDFDFDFDFDFDFDFDFu >> (64 - 8 * n));
    /* A last byte of 0 or ' ' would make the word look like that of a shorter name. */
    if (NK_UNLIKELY(word >> (8 * (n - 1)) == 0)) return NK_VERB_UNKNOWN;
    if (n == 3) return find_3(word);
    if (n == 4) return find_4(word);
    return n <= 6 ? find_5_6(word) : find_7_8(word);
}
