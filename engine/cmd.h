/* SPDX-License-Identifier: MIT
 *
 * cmd.h - the verbs of the text protocol: look-up by name, arity, flags (L6).
 *
 * WHAT   nitro_commands (nitro.h) is the public table, sorted by name; enum nk_verb is its index.
 * THREADS  Constant data: any thread.
 */
#ifndef NK_CMD_H
#define NK_CMD_H

#include "base.h"

/* In the order of the names.
 *     X(NAME, "name", arity, flags, first_key, last_key, key_step, "group", "summary", "args")
 * CHECKLIST for a new verb: a line here, its word in cmd.c (nk_cmd_find), its decoder in
 * wire_resp_args.h and the table of wire_resp_args.c; a verb of the host also enum nitro_host_verb and the server. */
#define NK_CMD_W NITRO_CMD_WRITE
#define NK_CMD_R NITRO_CMD_READONLY
#define NK_CMD_F NITRO_CMD_FAST
#define NK_CMD_A NITRO_CMD_ADMIN
#define NK_CMD_O NITRO_CMD_DENYOOM
#define NK_VERBS(X)                                                                                \
    X(APPEND, "append", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                      \
      "Appends to the value of a key; creates a key that is missing.", "key value")                \
    X(AUTH, "auth", -2, NK_CMD_F, 0, 0, 0, "connection", "Proves who the client is.",              \
      "[username] password")                                                                       \
    X(BACKUP, "backup", 2, NK_CMD_A, 0, 0, 0, "server",                                            \
      "Takes a snapshot and keeps it under a name in the backup folder.", "name")                  \
    X(BGSAVE, "bgsave", -1, NK_CMD_A, 0, 0, 0, "server", "Begins a snapshot in the background.",   \
      "[SCHEDULE]")                                                                                \
    X(CLIENT, "client", -2, 0, 0, 0, 0, "connection",                                              \
      "Names, describes and lists client connections.", "subcommand [argument ...]")               \
    X(COMMAND, "command", -1, 0, 0, 0, 0, "server", "Describes the commands of this server.",      \
      "[subcommand [argument ...]]")                                                               \
    X(CONFIG, "config", -2, NK_CMD_A, 0, 0, 0, "server", "Shows the server's settings.",           \
      "subcommand [argument ...]")                                                                 \
    X(COPY, "copy", -3, NK_CMD_W | NK_CMD_O, 1, 2, 1, "generic",                                   \
      "Copies value and expiry of a key to another key.", "source destination [DB 0] [REPLACE]")   \
    X(DBSIZE, "dbsize", 1, NK_CMD_R | NK_CMD_F, 0, 0, 0, "server", "Counts the keys.", "")         \
    X(DECR, "decr", 2, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                          \
      "Subtracts one from the integer at a key; a missing key counts as 0.", "key")                \
    X(DECRBY, "decrby", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                      \
      "Subtracts a number from the integer at a key; a missing key counts as 0.", "key decrement") \
    X(DEL, "del", -2, NK_CMD_W, 1, -1, 1, "generic",                                               \
      "Deletes keys in one step and counts those that existed.", "key [key ...]")                  \
    X(DELETE, "delete", -2, NK_CMD_W, 1, -1, 1, "generic",                                         \
      "Deletes keys in one step; answers OK whether or not they existed.", "key [key ...]")        \
    X(ECHO, "echo", 2, NK_CMD_F, 0, 0, 0, "connection", "Answers its argument.", "message")        \
    X(EXISTS, "exists", -2, NK_CMD_R | NK_CMD_F, 1, -1, 1, "generic",                              \
      "Counts how many of the keys exist; a key given twice counts twice.", "key [key ...]")       \
    X(EXPIRE, "expire", -3, NK_CMD_W | NK_CMD_F, 1, 1, 1, "generic",                               \
      "Lets a key expire after a number of seconds.", "key seconds [NX|XX|GT|LT]")                 \
    X(EXPIREAT, "expireat", -3, NK_CMD_W | NK_CMD_F, 1, 1, 1, "generic",                           \
      "Lets a key expire at a Unix time in seconds.", "key unix-time-seconds [NX|XX|GT|LT]")       \
    X(EXPIRETIME, "expiretime", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "generic",                        \
      "Answers the Unix time in seconds at which a key will expire.", "key")                       \
    X(FLUSHALL, "flushall", -1, NK_CMD_W, 0, 0, 0, "server", "Removes every key.", "[ASYNC|SYNC]") \
    X(FLUSHDB, "flushdb", -1, NK_CMD_W, 0, 0, 0, "server", "Removes every key.", "[ASYNC|SYNC]")   \
    X(GET, "get", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "string", "Answers the value of a key.", "key") \
    X(GETDEL, "getdel", 2, NK_CMD_W | NK_CMD_F, 1, 1, 1, "string",                                 \
      "Answers the value of a key and deletes it.", "key")                                         \
    X(GETEX, "getex", -2, NK_CMD_W | NK_CMD_F, 1, 1, 1, "string",                                  \
      "Answers the value of a key and sets or removes its expiry.",                                \
      "key [EX seconds|PX ms|EXAT time|PXAT ms-time|PERSIST]")                                     \
    X(GETRANGE, "getrange", 4, NK_CMD_R, 1, 1, 1, "string",                                        \
      "Answers a part of the value of a key; negative places count from its end.",                 \
      "key start end")                                                                             \
    X(GETSET, "getset", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                      \
      "Sets the value of a key and answers the one before.", "key value")                          \
    X(HELLO, "hello", -1, NK_CMD_F, 0, 0, 0, "connection",                                         \
      "Chooses the protocol version and describes the server.",                                    \
      "[protover [AUTH username password] [SETNAME clientname]]")                                  \
    X(INCR, "incr", 2, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                          \
      "Adds one to the integer at a key; a missing key counts as 0.", "key")                       \
    X(INCRBY, "incrby", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                      \
      "Adds a number to the integer at a key; a missing key counts as 0.", "key increment")        \
    X(INCRBYFLOAT, "incrbyfloat", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",            \
      "Adds a number to the decimal fraction at a key; a missing key counts as 0.",                \
      "key increment")                                                                             \
    X(INFO, "info", -1, 0, 0, 0, 0, "server", "Answers facts and counters of the server.",         \
      "[section ...]")                                                                             \
    X(KEYS, "keys", 2, NK_CMD_R, 0, 0, 0, "generic",                                               \
      "Answers all keys that match a pattern; SCAN does so page by page.", "pattern")              \
    X(LASTSAVE, "lastsave", 1, NK_CMD_F, 0, 0, 0, "server",                                        \
      "Answers the Unix time of the last snapshot that succeeded.", "")                            \
    X(LATENCY, "latency", -2, NK_CMD_A, 0, 0, 0, "server",                                         \
      "Tells how long commands take to execute.", "subcommand [argument ...]")                     \
    X(MEMORY, "memory", -2, NK_CMD_R, 2, 2, 1, "server",                                           \
      "Says how many bytes a key and its value occupy.", "USAGE key [SAMPLES count] | HELP")       \
    X(MERGE, "merge", 1, NK_CMD_A, 0, 0, 0, "server",                                              \
      "Rotates the file that is written to and merges what is dead; answers when done.", "")       \
    X(MGET, "mget", -2, NK_CMD_R | NK_CMD_F, 1, -1, 1, "string",                                   \
      "Answers the values of several keys.", "key [key ...]")                                      \
    X(MSET, "mset", -3, NK_CMD_W | NK_CMD_O, 1, -1, 2, "string",                                   \
      "Sets several keys in one step that nobody sees half done.", "key value [key value ...]")    \
    X(MSETNX, "msetnx", -3, NK_CMD_W | NK_CMD_O, 1, -1, 2, "string",                               \
      "Sets several keys in one step if none of them exists.", "key value [key value ...]")        \
    X(OBJECT, "object", -2, NK_CMD_R, 2, 2, 1, "generic", "Describes how a value is kept.",        \
      "ENCODING key | REFCOUNT key | HELP")                                                        \
    X(PERSIST, "persist", 2, NK_CMD_W | NK_CMD_F, 1, 1, 1, "generic",                              \
      "Removes the expiry of a key.", "key")                                                       \
    X(PEXPIRE, "pexpire", -3, NK_CMD_W | NK_CMD_F, 1, 1, 1, "generic",                             \
      "Lets a key expire after a number of milliseconds.", "key milliseconds [NX|XX|GT|LT]")       \
    X(PEXPIREAT, "pexpireat", -3, NK_CMD_W | NK_CMD_F, 1, 1, 1, "generic",                         \
      "Lets a key expire at a Unix time in milliseconds.", "key unix-time-ms [NX|XX|GT|LT]")       \
    X(PEXPIRETIME, "pexpiretime", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "generic",                      \
      "Answers the Unix time in milliseconds at which a key will expire.", "key")                  \
    X(PING, "ping", -1, NK_CMD_F, 0, 0, 0, "connection", "Answers PONG, or its argument.",         \
      "[message]")                                                                                 \
    X(PSETEX, "psetex", 4, NK_CMD_W | NK_CMD_O, 1, 1, 1, "string",                                 \
      "Sets the value of a key that expires after a number of milliseconds.",                      \
      "key milliseconds value")                                                                    \
    X(PTTL, "pttl", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "generic",                                    \
      "Answers in milliseconds how long a key will live.", "key")                                  \
    X(PUT, "put", -3, NK_CMD_W | NK_CMD_O, 1, 1, 1, "string", "The same as SET.",                  \
      "key value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|EXAT time|PXAT ms-time|KEEPTTL]")   \
    X(QUIT, "quit", -1, NK_CMD_F, 0, 0, 0, "connection", "Closes the connection.", "")             \
    X(RANDOMKEY, "randomkey", 1, NK_CMD_R, 0, 0, 0, "generic", "Answers some key.", "")            \
    X(RENAME, "rename", 3, NK_CMD_W, 1, 2, 1, "generic",                                           \
      "Gives a key another name; a key that had that name is gone.", "key newkey")                 \
    X(RENAMENX, "renamenx", 3, NK_CMD_W | NK_CMD_F, 1, 2, 1, "generic",                            \
      "Gives a key another name if no key has it.", "key newkey")                                  \
    X(RESET, "reset", 1, NK_CMD_F, 0, 0, 0, "connection",                                          \
      "Brings the connection back to how it began.", "")                                           \
    X(SAVE, "save", 1, NK_CMD_A, 0, 0, 0, "server",                                                \
      "Takes a snapshot; answers when it is on disk.", "")                                         \
    X(SCAN, "scan", -2, NK_CMD_R, 0, 0, 0, "generic",                                              \
      "Walks through the keys; every key that stays there is returned.",                           \
      "cursor [MATCH pattern] [COUNT count] [TYPE type]")                                          \
    X(SELECT, "select", 2, NK_CMD_F, 0, 0, 0, "connection", "Chooses the database; there is 0.",   \
      "index")                                                                                     \
    X(SET, "set", -3, NK_CMD_W | NK_CMD_O, 1, 1, 1, "string",                                      \
      "Sets the value of a key; IFVER only if its version is the one given (0: must not exist).",  \
      "key value [NX|XX|IFVER version] [GET] [EX seconds|PX ms|EXAT time|PXAT ms-time|KEEPTTL]")   \
    X(SETEX, "setex", 4, NK_CMD_W | NK_CMD_O, 1, 1, 1, "string",                                   \
      "Sets the value of a key that expires after a number of seconds.", "key seconds value")      \
    X(SETNX, "setnx", 3, NK_CMD_W | NK_CMD_O | NK_CMD_F, 1, 1, 1, "string",                        \
      "Sets the value of a key if it does not exist.", "key value")                                \
    X(SETRANGE, "setrange", 4, NK_CMD_W | NK_CMD_O, 1, 1, 1, "string",                             \
      "Writes over a part of the value of a key; a gap is filled with zero bytes.",                \
      "key offset value")                                                                          \
    X(SLOWLOG, "slowlog", -2, NK_CMD_A, 0, 0, 0, "server",                                         \
      "Shows the commands that took long to execute.", "subcommand [argument ...]")                \
    X(SNAPSHOT, "snapshot", -2, NK_CMD_A, 0, 0, 0, "server",                                       \
      "Takes a snapshot for this connection and reads its file.", "subcommand [argument ...]")     \
    X(STRLEN, "strlen", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "string",                                 \
      "Answers the length of the value of a key.", "key")                                          \
    X(SUBSTR, "substr", 4, NK_CMD_R, 1, 1, 1, "string", "The same as GETRANGE.", "key start end")  \
    X(TOUCH, "touch", -2, NK_CMD_R | NK_CMD_F, 1, -1, 1, "generic",                                \
      "Counts how many of the keys exist; a key given twice counts twice.", "key [key ...]")       \
    X(TTL, "ttl", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "generic",                                      \
      "Answers in seconds how long a key will live.", "key")                                       \
    X(TYPE, "type", 2, NK_CMD_R | NK_CMD_F, 1, 1, 1, "generic",                                    \
      "Answers the type of a key's value, string or none.", "key")                                 \
    X(UNLINK, "unlink", -2, NK_CMD_W | NK_CMD_F, 1, -1, 1, "generic",                              \
      "The same as DEL: the memory is freed in the background either way.", "key [key ...]")       \
    X(WAITAOF, "waitaof", 4, 0, 0, 0, 0, "generic",                                                \
      "Waits until this connection's writes are on disk; answers how many logs and replicas.",     \
      "numlocal numreplicas timeout")

enum nk_verb {
#define NK_X(name, ...) NK_VERB_##name,
    NK_VERBS(NK_X)
#undef NK_X
        NK_VERB_COUNT,
    NK_VERB_UNKNOWN = NK_VERB_COUNT
};

/* nk_cmd_find: the verb of that name in any case, or NK_VERB_UNKNOWN. Eight bytes from p on must be
 * readable, whatever n is, and eight behind p[n]. */
enum nk_verb nk_cmd_find(const uint8_t *p, uint32_t n);
/* nk_cmd_info: the line of a known verb. */
const struct nitro_command *nk_cmd_info(enum nk_verb verb);

#endif
