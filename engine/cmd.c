/* SPDX-License-Identifier: MIT
 *
 * cmd.c - the table of verbs, and finding one by its name.
 *
 * DESIGN
 *   A name of up to eight letters is one 64-bit load, a longer one two. Clearing bit 5 of every
 *   byte makes letters upper case; no other byte can become a letter by that which was not one
 *   before, so comparing the word with a constant is exact once the lengths agree. The compiler
 *   turns a switch into a short tree of compares.
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
    case W4('K', 'E', 'Y', 'S'):
        return NK_VERB_KEYS;
    case W4('C', 'O', 'P', 'Y'):
        return NK_VERB_COPY;
    case W4('S', 'A', 'V', 'E'):
        return NK_VERB_SAVE;
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
    case W8('G', 'E', 'T', 'E', 'X', 0, 0, 0):
        return NK_VERB_GETEX;
    case W8('S', 'E', 'T', 'E', 'X', 0, 0, 0):
        return NK_VERB_SETEX;
    case W8('S', 'E', 'T', 'N', 'X', 0, 0, 0):
        return NK_VERB_SETNX;
    case W8('T', 'O', 'U', 'C', 'H', 0, 0, 0):
        return NK_VERB_TOUCH;
    case W8('M', 'E', 'R', 'G', 'E', 0, 0, 0):
        return NK_VERB_MERGE;
    case W8('A', 'P', 'P', 'E', 'N', 'D', 0, 0):
        return NK_VERB_APPEND;
    case W8('G', 'E', 'T', 'D', 'E', 'L', 0, 0):
        return NK_VERB_GETDEL;
    case W8('G', 'E', 'T', 'S', 'E', 'T', 0, 0):
        return NK_VERB_GETSET;
    case W8('M', 'S', 'E', 'T', 'N', 'X', 0, 0):
        return NK_VERB_MSETNX;
    case W8('O', 'B', 'J', 'E', 'C', 'T', 0, 0):
        return NK_VERB_OBJECT;
    case W8('P', 'S', 'E', 'T', 'E', 'X', 0, 0):
        return NK_VERB_PSETEX;
    case W8('R', 'E', 'N', 'A', 'M', 'E', 0, 0):
        return NK_VERB_RENAME;
    case W8('S', 'T', 'R', 'L', 'E', 'N', 0, 0):
        return NK_VERB_STRLEN;
    case W8('S', 'U', 'B', 'S', 'T', 'R', 0, 0):
        return NK_VERB_SUBSTR;
    case W8('U', 'N', 'L', 'I', 'N', 'K', 0, 0):
        return NK_VERB_UNLINK;
    case W8('B', 'A', 'C', 'K', 'U', 'P', 0, 0):
        return NK_VERB_BACKUP;
    case W8('B', 'G', 'S', 'A', 'V', 'E', 0, 0):
        return NK_VERB_BGSAVE;
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
    case W8('S', 'L', 'O', 'W', 'L', 'O', 'G', 0):
        return NK_VERB_SLOWLOG;
    case W8('L', 'A', 'T', 'E', 'N', 'C', 'Y', 0):
        return NK_VERB_LATENCY;
    case W8('F', 'L', 'U', 'S', 'H', 'A', 'L', 'L'):
        return NK_VERB_FLUSHALL;
    case W8('E', 'X', 'P', 'I', 'R', 'E', 'A', 'T'):
        return NK_VERB_EXPIREAT;
    case W8('G', 'E', 'T', 'R', 'A', 'N', 'G', 'E'):
        return NK_VERB_GETRANGE;
    case W8('R', 'E', 'N', 'A', 'M', 'E', 'N', 'X'):
        return NK_VERB_RENAMENX;
    case W8('S', 'E', 'T', 'R', 'A', 'N', 'G', 'E'):
        return NK_VERB_SETRANGE;
    case W8('L', 'A', 'S', 'T', 'S', 'A', 'V', 'E'):
        return NK_VERB_LASTSAVE;
    case W8('S', 'N', 'A', 'P', 'S', 'H', 'O', 'T'):
        return NK_VERB_SNAPSHOT;
    default:
        return NK_VERB_UNKNOWN;
    }
}

/* find_long: more than eight letters; `rest` holds those behind the eighth. */
static NK_NOINLINE enum nk_verb find_long(uint64_t word, uint64_t rest) {
    switch (word) {
    case W8('E', 'X', 'P', 'I', 'R', 'E', 'T', 'I'):
        return rest == W2('M', 'E') ? NK_VERB_EXPIRETIME : NK_VERB_UNKNOWN;
    case W8('I', 'N', 'C', 'R', 'B', 'Y', 'F', 'L'):
        return rest == W4('O', 'A', 'T', 0) ? NK_VERB_INCRBYFLOAT : NK_VERB_UNKNOWN;
    case W8('P', 'E', 'X', 'P', 'I', 'R', 'E', 'A'):
        return rest == 'T' ? NK_VERB_PEXPIREAT : NK_VERB_UNKNOWN;
    case W8('P', 'E', 'X', 'P', 'I', 'R', 'E', 'T'):
        return rest == W4('I', 'M', 'E', 0) ? NK_VERB_PEXPIRETIME : NK_VERB_UNKNOWN;
    case W8('R', 'A', 'N', 'D', 'O', 'M', 'K', 'E'):
        return rest == 'Y' ? NK_VERB_RANDOMKEY : NK_VERB_UNKNOWN;
    default:
        return NK_VERB_UNKNOWN;
    }
}

/* letters: the first n bytes at p, 1 to 8, in upper case; 0 if the last of them would make the word look like
 * that of a shorter name. */
NK_INLINE uint64_t letters(const uint8_t *p, uint32_t n) {
    uint64_t word = nk_load64(p) & (0xDFDFDFDFDFDFDFDFu >> (64 - 8 * n));
    return NK_LIKELY(word >> (8 * (n - 1)) != 0) ? word : 0;
}

enum nk_verb nk_cmd_find(const uint8_t *p, uint32_t n) {
    if (n < 3 || n > 16) return NK_VERB_UNKNOWN;
    if (n > 8) return find_long(letters(p, 8), letters(p + 8, n - 8));
    uint64_t word = letters(p, n);
    if (n == 3) return find_3(word);
    if (n == 4) return find_4(word);
    return n <= 6 ? find_5_6(word) : find_7_8(word);
}
