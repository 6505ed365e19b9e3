/* SPDX-License-Identifier: MIT
 *
 * req_fault.h - what can be wrong with a request, and in which words it is said (L6).
 *
 * WHAT   The parsers find a fault, the request becomes an NK_OP_ERROR with its number, and the
 *        reply is made of the texts here when its turn comes (exec_reply.c).
 */
#ifndef NK_REQ_FAULT_H
#define NK_REQ_FAULT_H

/* RESP answers `-` prefix before middle after, binary the status `code` and before middle after.
 *     X(NAME, code, prefix, before, after) */
#define NK_FAULTS(X)                                                                               \
    X(NONE, OK, "", "", "")                                                                        \
    X(SYNTAX, EARGUMENT, "ERR ", "syntax error", "")                                               \
    X(NOT_INTEGER, ENOTNUMBER, "ERR ", "value is not an integer or out of range", "")              \
    X(OVERFLOW, EOVERFLOW, "ERR ", "increment or decrement would overflow", "")                    \
    X(DECR_OVERFLOW, EOVERFLOW, "ERR ", "decrement would overflow", "")                            \
    X(ARITY, EARGUMENT, "ERR ", "wrong number of arguments for '", "' command")                    \
    X(EXPIRE_TIME, EARGUMENT, "ERR ", "invalid expire time in '", "' command")                     \
    X(EXPIRE_OPTION, EARGUMENT, "ERR ", "Unsupported option ", "")                                 \
    X(EXPIRE_NX, EARGUMENT, "ERR ",                                                                \
      "NX and XX, GT or LT options at the same time are not compatible", "")                       \
    X(EXPIRE_GT_LT, EARGUMENT, "ERR ", "GT and LT options at the same time are not compatible",    \
      "")                                                                                          \
    X(CURSOR, EARGUMENT, "ERR ", "invalid cursor", "")                                             \
    X(MEMORY_SUB, EARGUMENT, "ERR ", "unknown subcommand '", "'. Try MEMORY HELP.")                \
    X(OBJECT_SUB, EARGUMENT, "ERR ", "unknown subcommand '", "'. Try OBJECT HELP.")                \
    X(NOT_FLOAT, ENOTNUMBER, "ERR ", "value is not a valid float", "")                             \
    X(FLOAT_OVERFLOW, EOVERFLOW, "ERR ", "increment would produce NaN or Infinity", "")            \
    X(OFFSET, EARGUMENT, "ERR ", "offset is out of range", "")                                     \
    X(STRING_SIZE, EVALUESIZE, "ERR ", "string exceeds maximum allowed size (proto-max-bulk-len)", \
      "")                                                                                          \
    X(NO_KEY, ENOTFOUND, "ERR ", "no such key", "")                                                \
    X(SAME_KEY, EARGUMENT, "ERR ", "source and destination objects are the same", "")              \
    X(DATABASE, EARGUMENT, "ERR ", "DB index is out of range", "")                                 \
    X(NOT_INT32, EARGUMENT, "ERR ",                                                                \
      "value is out of range, value must between -2147483648 and 2147483647", "")                  \
    X(IDLETIME, EUNSUPPORTED, "ERR ", "the idle time of keys is not tracked", "")                  \
    X(FREQ, EUNSUPPORTED, "ERR ",                                                                  \
      "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "   \
      "when switching between policies at runtime LRU and LFU data will take some time to "        \
      "adjust.",                                                                                   \
      "")                                                                                          \
    X(UNKNOWN, EARGUMENT, "ERR ", "unknown command", "")                                           \
    X(PATTERN_COST, ELIMIT, "ERR ",                                                                \
      "the MATCH pattern needs too many steps on these keys, use fewer '*'", "")                   \
    X(KEY_SIZE, EKEYSIZE, "ERR ", "key is longer than 65535 bytes", "")                            \
    X(VALUE_SIZE, EVALUESIZE, "ERR ", "value is larger than the server's limit", "")               \
    X(NO_MEMORY, ENOMEM, "OOM ", "the server is out of memory, the command was not applied", "")   \
    X(MAX_MEMORY, EMAXMEMORY, "OOM ", "command not allowed when used memory > 'maxmemory'.", "")   \
    X(AUTH_REQUIRED, EAUTHREQUIRED, "NOAUTH ", "Authentication required.", "")                     \
    X(LOCKED_ARGS, ELIMIT, "ERR ", "Protocol error: unauthenticated multibulk length", "")         \
    X(LOCKED_BULK, ELIMIT, "ERR ", "Protocol error: unauthenticated bulk length", "")              \
    X(LOCKED_FRAME, ELIMIT, "", "a frame of more than 4 KiB, or in pieces, before authentication", \
      "")                                                                                          \
    X(LOADING, ELOADING, "LOADING ", "Redis is loading the dataset in memory", "")                 \
    X(LOG_FULL, ELOGFULL, "MISCONF ",                                                              \
      "Errors writing to the AOF file: no room on the disk, the command was not applied", "")      \
    X(LOG_HANDLES, ELOGFULL, "MISCONF ",                                                           \
      "Errors writing to the AOF file: too many open files, the command was not applied; raise "   \
      "LimitNOFILE (ulimit -n) of the server",                                                     \
      "")                                                                                          \
    X(LOG_FILES, ELOGFULL, "MISCONF ",                                                             \
      "Errors writing to the AOF file: there cannot be more data files, the command was not "      \
      "applied; let merges run, or raise --max-file-size",                                         \
      "")                                                                                          \
    X(READ_ONLY, EREADONLY, "MISCONF ",                                                            \
      "Errors writing to the AOF file: the log has failed, writes are refused until a restart",    \
      "")                                                                                          \
    X(NOT_DURABLE, ENOTDURABLE, "NOTDURABLE ",                                                     \
      "the log has failed before what this shows was durable", "")                                 \
    X(UNKNOWN_OUTCOME, EUNKNOWNOUTCOME, "UNKNOWN ",                                                \
      "the log has failed, the command may or may not be applied after a restart", "")             \
    X(READ, EIO, "IOERR ", "the value could not be read from the disk", "")                        \
    X(DAMAGED, ECORRUPT, "DAMAGED ",                                                               \
      "the record of this key on the disk is damaged; see: nitrokv check", "")                     \
    X(INTERNAL, EINTERNAL, "ERR ", "internal error", "")                                           \
    X(MBULK_LINE, EFRAME, "ERR ", "Protocol error: too big mbulk count string", "")                \
    X(MBULK_LENGTH, EFRAME, "ERR ", "Protocol error: invalid multibulk length", "")                \
    X(BULK_LINE, EFRAME, "ERR ", "Protocol error: too big bulk count string", "")                  \
    X(BULK_LENGTH, EFRAME, "ERR ", "Protocol error: invalid bulk length", "")                      \
    X(BULK_TYPE, EFRAME, "ERR ", "Protocol error: expected '$', got '", "'")                       \
    X(BULK_END, EFRAME, "ERR ", "Protocol error: expected CRLF behind a bulk string", "")          \
    X(INLINE_LINE, EFRAME, "ERR ", "Protocol error: too big inline request", "")                   \
    X(INLINE_QUOTES, EFRAME, "ERR ", "Protocol error: unbalanced quotes in request", "")           \
    X(REQUEST_SIZE, ELIMIT, "ERR ", "Protocol error: the request is larger than 1 GiB", "")        \
    X(TLS, EUNSUPPORTED, "ERR ", "Protocol error: TLS is not supported on this port", "")          \
    X(FRAME_KIND, EFRAME, "", "the first byte of a request must be 0xF5", "")                      \
    X(FRAME_BLOCKS, EFRAME, "", "the frame ends inside its optional blocks", "")                   \
    X(FRAME_BODY, EFRAME, "", "the body does not have the layout of its opcode", "")               \
    X(FRAME_EXPIRY, EFRAME, "", "EXPIRY is 0, must be absolute (> 0) or relative (< 0)", "")       \
    X(FRAME_NO_EXPIRY, EFRAME, "", "EXPIRE needs the EXPIRY block", "")                            \
    X(OPCODE, EOPCODE, "", "unknown opcode", "")                                                   \
    X(FLAG, EFLAG, "", "a flag is not allowed with this opcode", "")                               \
    X(CONTINUATION_FLAG, EFLAG, "", "a continuation may have the flags INTEGRITY and MORE only",   \
      "")                                                                                          \
    X(EXTENSION, EEXTENSION, "", "unknown critical extension", "")                                 \
    X(OPTIONS, EARGUMENT, "", "unknown or contradictory options", "")                              \
    X(DURABILITY, EUNSUPPORTED, "",                                                                \
      "this server keeps no log, durability everysec and always are not supported", "")            \
    X(CHECKSUM_HEADER, ECHECKSUM, "", "checksum mismatch in a frame's header", "")                 \
    X(CHECKSUM_BODY, ECHECKSUM, "", "checksum mismatch behind the frame's header", "")             \
    X(CHUNK_OPCODE, ECHUNK, "", "a continuation has another opcode than its request", "")          \
    X(CHUNK_IDS, ELIMIT, "", "more than 16 requests are half-sent", "")                            \
    X(CHUNK_SIZE, EVALUESIZE, "", "the request is larger than the largest key and value", "")      \
    X(ARGUMENTS, ELIMIT, "", "more keys in one request than the server's limit", "")

enum nk_fault {
#define NK_X(name, code, prefix, before, after) NK_FAULT_##name,
    NK_FAULTS(NK_X)
#undef NK_X
        NK_FAULT_COUNT
};
_Static_assert(NK_FAULT_COUNT <= 256, "req.code is one byte");

#endif
