/* SPDX-License-Identifier: MIT
 *
 * nitro.h - the NitroKV engine: a key-value store as a deterministic state machine.
 *
 * WHAT
 *   The only header that C, Go and Node users include. A store holds binary keys and values with a
 *   64-bit version and an optional expiry each. It is used in one of two ways:
 *     direct   nitro_get, nitro_set, ...: one call, one effect;
 *     chunked  a host reads bytes from a client into a chunk, nitro_prepare splits them into
 *              requests (binary protocol, RESP2, RESP3 or inline), nitro_execute runs them and
 *              leaves the encoded replies in the chunk: two calls per read, however many requests.
 *
 * THE ENGINE starts no thread, reads no clock, draws no randomness, opens no socket, prints nothing
 *   and never exits (a broken invariant aborts). Time and seeds are passed in; memory comes from the
 *   allocator table, files are reached through the file table; background work is nitro_step with a
 *   budget, and the log is written and synced when the host says so.
 *
 * THREADS: the gate. The host owns one reader-writer gate per store.
 *   - "shared" functions may run on any number of threads at once, each holding the gate shared;
 *   - "exclusive" functions need the gate exclusively;
 *   - "object" functions touch only the chunk or session they are given: one thread at a time per
 *     object, no gate.
 *   No function waits for another thread: after a bounded try it returns NITRO_EBUSY or
 *   NITRO_STOP_BUSY, and the host yields and calls again.
 *
 * TIME is int64_t milliseconds since the Unix epoch, never negative, never backwards in one store.
 * OWNERSHIP is said at each function: borrowed (until when), copied, or owned (free with what).
 * Out-parameters come last and stay untouched on error.
 */
#ifndef NITRO_H
#define NITRO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NITRO_API __attribute__((visibility("default")))
#define NITRO_MUST_CHECK __attribute__((warn_unused_result))

#define NITRO_VERSION_STRING "0.1.0"
#define NITRO_FORMAT_VERSION 1 /* of every file in a data folder (docs/FORMAT.md) */

#define NITRO_KEY_MAX 65535u                 /* bytes */
#define NITRO_VALUE_MAX (512u * 1024 * 1024) /* bytes */
#define NITRO_SEGMENTS_MAX 65536u
#define NITRO_SEGMENTS_DEFAULT 256u
#define NITRO_SEED_BYTES 32u

/* ---- errors ------------------------------------------------------------------------------------
 * One list for the C codes, the wire statuses of the binary protocol (the code IS the status byte),
 * the Go sentinels and the table in proto/PROTOCOL.md. Codes are never renumbered. The high nibble
 * is the class: 0 ok, 1 normal negative, 2 caller's fault, 3 identity, 4 definitely not applied
 * (retry may help), 5 go elsewhere, 6 outcome unknown, 7 server fault.
 * CHECKLIST for a new code: this list, proto/status.go, proto/PROTOCOL.md.
 *     X(NAME, code, "text") */
#define NITRO_ERRORS(X)                                                                            \
    X(OK, 0x00, "ok")                                                                              \
    X(ENOTFOUND, 0x10, "no such key")                                                              \
    X(ENOTSTORED, 0x11, "the condition does not hold, nothing was stored")                         \
    X(EVERSION, 0x12, "the version differs from the expected one")                                 \
    X(EFRAME, 0x20, "malformed frame")                                                             \
    X(EOPCODE, 0x21, "unknown opcode")                                                             \
    X(EFLAG, 0x22, "unknown or misplaced flag")                                                    \
    X(EEXTENSION, 0x23, "unknown critical extension")                                              \
    X(EKEYSIZE, 0x24, "key is longer than the limit")                                              \
    X(EVALUESIZE, 0x25, "value is larger than the limit")                                          \
    X(ENOTNUMBER, 0x26, "value is not an integer or out of range")                                 \
    X(EOVERFLOW, 0x27, "increment or decrement would overflow")                                    \
    X(EARGUMENT, 0x28, "invalid argument")                                                         \
    X(ECHECKSUM, 0x29, "checksum mismatch")                                                        \
    X(EUNSUPPORTED, 0x2a, "not supported by this server")                                          \
    X(ECHUNK, 0x2b, "chunk out of sequence")                                                       \
    X(ELIMIT, 0x2c, "request exceeds a limit of this connection")                                  \
    X(EAUTHREQUIRED, 0x30, "authentication required")                                              \
    X(EAUTHFAILED, 0x31, "authentication failed")                                                  \
    X(EBUSY, 0x40, "busy, not applied, try again")                                                 \
    X(ENOMEM, 0x41, "out of memory, not applied")                                                  \
    X(EMAXMEMORY, 0x42, "memory limit reached, not applied")                                       \
    X(ESHUTDOWN, 0x43, "the server is shutting down, not applied")                                 \
    X(ELOADING, 0x44, "the server is loading its data, not applied")                               \
    X(EMAXCLIENTS, 0x45, "too many clients, not applied")                                          \
    X(ELOGFULL, 0x46, "no room in the log, not applied")                                           \
    X(EREADONLY, 0x47, "the log has failed, the store is read-only, not applied")                  \
    X(EMOVED, 0x50, "the key is served elsewhere")                                                 \
    X(EUNKNOWNOUTCOME, 0x60, "the outcome is unknown")                                             \
    X(EINTERNAL, 0x70, "internal error")                                                           \
    X(EIO, 0x71, "input/output error")                                                             \
    X(ECORRUPT, 0x72, "damaged data")                                                              \
    X(EINUSE, 0x73, "the data folder is in use by another process")                                \
    X(EFORMAT, 0x74, "data of another mode or of a newer format")                                  \
    X(ENOTDURABLE, 0x75, "the log has failed before this was durable")

enum nitro_code {
#define NITRO_X(name, code, text) NITRO_##name = code,
    NITRO_ERRORS(NITRO_X)
#undef NITRO_X
};

/* Details of a failure, outermost context first: what was attempted, on what, why, what to do. */
struct nitro_err {
    int code;      /* enum nitro_code */
    int sys;       /* errno, or 0 */
    char msg[480]; /* always terminated */
};

/* nitro_strerror: the text of a code; "unknown error" for others. Static storage. Any thread. */
NITRO_API const char *nitro_strerror(int code);

/* ---- memory ------------------------------------------------------------------------------------
 * Every byte comes from this table, which must outlive the store. Functions may be called from
 * several threads at once. `alloc`, `resize` and `map` return NULL on failure; the engine answers
 * NITRO_ENOMEM and changes nothing.
 *   alloc/resize/free   small objects, 16-byte alignment; sizes are passed back.
 *   map/unmap           whole pages (4096), zeroed, aligned to `align` (a power of two >= 4096).
 *                       unmap may release any page-aligned part of a mapping.
 *   advise              a hint for page-aligned parts of a mapping. Failure is harmless. */
enum nitro_advice {
    NITRO_ADVISE_POPULATE, /* make resident now, contents unchanged */
    NITRO_ADVISE_DISCARD,  /* contents may be dropped; next read sees zeros */
    NITRO_ADVISE_HUGE,     /* prefer huge pages */
    NITRO_ADVISE_SMALL     /* no huge pages any more */
};
struct nitro_mem {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes);
    void *(*resize)(void *ctx, void *p, size_t old_bytes, size_t bytes);
    void (*free)(void *ctx, void *p, size_t bytes);
    void *(*map)(void *ctx, size_t bytes, size_t align);
    void (*unmap)(void *ctx, void *p, size_t bytes);
    int (*advise)(void *ctx, void *p, size_t bytes, enum nitro_advice advice); /* 0 = done */
};

/* nitro_mem_system: the default table (malloc, mmap). Static storage. */
NITRO_API const struct nitro_mem *nitro_mem_system(void);

/* ---- files -------------------------------------------------------------------------------------
 * Every file call goes through this table, which must outlive the store. Folders and files are small
 * non-negative handles; every function returns >= 0 on success and -errno on failure. Functions may be
 * called from several threads at once, on the same handle too.
 *   `why` names the place that calls (a literal, unique in the engine): for fault tables and
 *   simulations; the system's table ignores it.
 *   read/write  return the bytes done, which may be fewer than asked; read returns 0 at the end.
 *   sync        data and what is needed to read it back are on stable storage. A failure may have
 *               dropped the data: it is final, whatever a later call says.
 *   link        a second name, in a folder that may be another one, for the same file; -EEXIST if there is one of that
 *               name, -EXDEV, -EPERM or -EOPNOTSUPP where that cannot be.
 *   dir_remove  an empty folder of that name in `dir`; -ENOTEMPTY.
 *   alloc       room for [offset, offset + bytes), which reads as zeros where nothing was written, and
 *               the size of the file with it; -EOPNOTSUPP where the file system cannot.
 *   map         the file's first `bytes` as memory to be read by map_read alone, until unmap; NULL where that cannot be. May be NULL, then
 *               nothing is mapped. map_read answers 0, or -EIO where a read would. The system's table does it on x86-64, and
 *               takes over SIGBUS with the first mapping: what is not its own goes on to the handler that was there.
 *   lock        takes an exclusive lock on a file of the folder, creating it if need be; -EWOULDBLOCK
 *               if another process has it: then nothing is changed and `owner` (NUL-terminated) gets
 *               what the owner wrote into it. The lock goes with close, or with the process. */
#define NITRO_FILE_READ 1u
#define NITRO_FILE_WRITE 2u
#define NITRO_FILE_CREATE 4u /* 0600, with NITRO_FILE_WRITE */
#define NITRO_FILE_EXCL 8u   /* -EEXIST if it is there */
#define NITRO_DIR_CREATE 1u  /* 0700, parents too; made durable in its parent */
typedef int nitro_dir_fn(void *arg, const char *name); /* non-zero ends the listing */
struct nitro_vfs {
    void *ctx;
    int (*dir_open)(void *ctx, const char *path, unsigned flags);
    int (*dir_close)(void *ctx, int dir);
    int (*dir_list)(void *ctx, int dir, nitro_dir_fn *fn, void *arg);
    int (*dir_sync)(void *ctx, int dir, const char *why);
    int (*lock)(void *ctx, int dir, const char *name, char *owner, size_t cap);
    int (*open)(void *ctx, int dir, const char *name, unsigned flags);
    int (*close)(void *ctx, int file);
    int64_t (*read)(void *ctx, int file, void *p, size_t n, uint64_t offset);
    int64_t (*write)(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                     const char *why);
    int (*sync)(void *ctx, int file, const char *why);
    int (*alloc)(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why);
    int (*truncate)(void *ctx, int file, uint64_t bytes, const char *why);
    int64_t (*size)(void *ctx, int file);
    int (*rename)(void *ctx, int dir, const char *from, const char *to, const char *why);
    int (*unlink)(void *ctx, int dir, const char *name, const char *why);
    int (*link)(void *ctx, int dir, const char *name, int to_dir, const char *to_name,
                const char *why);
    int (*dir_remove)(void *ctx, int dir, const char *name, const char *why);
    const void *(*map)(void *ctx, int file, uint64_t bytes);
    void (*unmap)(void *ctx, const void *p, uint64_t bytes);
    int (*map_read)(void *ctx, void *dst, const void *src, size_t n);
};

/* nitro_vfs_system: the default table (openat, pwrite, fdatasync). Static storage. */
NITRO_API const struct nitro_vfs *nitro_vfs_system(void);

/* ---- open, close -------------------------------------------------------------------------------*/
typedef struct nitro_store nitro_store;

/* Of snapshots, and of values in mode bitcask. */
enum nitro_compression { NITRO_COMPRESSION_NONE, NITRO_COMPRESSION_LZ4, NITRO_COMPRESSION_ZSTD };

struct nitro_options {
    uint32_t segments;              /* power of two up to NITRO_SEGMENTS_MAX; 0 = default */
    uint8_t seed[NITRO_SEED_BYTES]; /* secret; the host fills it with random bytes */
    uint64_t max_memory;            /* bytes, by the engine's own count; 0 = no limit */
    uint32_t max_value;             /* bytes; 0 = NITRO_VALUE_MAX */
    uint32_t max_args;              /* arguments of one RESP request; 0 = 1,048,576 */
    uint64_t huge_page_bytes;       /* ask for huge pages once this much memory is mapped; 0 =
                                       256 MiB, UINT64_MAX = never */
    const struct nitro_mem *mem;    /* NULL = nitro_mem_system() */
    const char *dir;                /* data folder, created if missing; NULL = no log: nothing is
                                       kept. Copied */
    uint64_t log_file_bytes;        /* 64 KiB .. 1 TiB; 0 = 64 MiB */
    uint8_t log_seed[NITRO_SEED_BYTES]; /* random: store id and file salts are drawn from it */
    const struct nitro_vfs *vfs;        /* NULL = nitro_vfs_system() */
    uint32_t wal_off; /* with dir, 1: no log is written, a crash takes what is newer than the newest
                         snapshot; the view is that of a store without a log */
    uint32_t mode;    /* enum nitro_mode of a new folder, and what an old one must have */
    /* bitcask: values of 64 bytes to 16 MiB are compressed before they are logged, if that makes them an eighth smaller;
     * those of an earlier life stay as they are. In other modes NITRO_EARGUMENT */
    enum nitro_compression value_compression;
    /* bitcask alone: so many bytes of values up to 4 KiB that were read are kept in memory, those that are used again for
     * longer (second chance); they count for max_memory, but go before a write is refused. 0 = none. */
    uint64_t cache_bytes;
    /* bitcask, 1: values in files that do not change any more are read through mappings of these (nitro_vfs.map): quicker while all of them
     * are in the page cache, slower where they are not, since a record is brought in page by page. */
    uint32_t map_files;
    uint32_t pad;
};
/* Where values lie. */
enum nitro_mode {
    NITRO_MODE_DEFAULT = 0, /* that of the folder; in memory, if it is new, or there is none */
    NITRO_MODE_MEMORY = 1,  /* everything in memory; the log and snapshots bring it back */
    /* Keys in memory, values in the log files (docs/design/0006). Needs `dir`; not with wal_off. log_file_bytes: up to 4
     * GiB less 4 MiB, 0 = 1 GiB. */
    NITRO_MODE_BITCASK = 2
};

/* nitro_open: a store in *out (owned, nitro_close). NITRO_EARGUMENT, NITRO_ENOMEM with *err filled (err
 * may be NULL). Any thread.
 * Without `dir` it is empty and ready. With `dir` the folder is locked and looked at (NITRO_EINUSE,
 * NITRO_EFORMAT, also if it is of another mode than asked for, NITRO_ECORRUPT, NITRO_EIO: nothing was
 * changed in it), and the store is loading:
 * requests and direct calls answer NITRO_ELOADING until nitro_recover_finish. */
NITRO_API NITRO_MUST_CHECK int nitro_open(const struct nitro_options *opt, nitro_store **out,
                                          struct nitro_err *err);
/* nitro_mode_of: memory or bitcask. Any thread; valid from nitro_open on. */
NITRO_API enum nitro_mode nitro_mode_of(const nitro_store *s);
/* nitro_close: releases everything and nulls *s; NULL and pointer to NULL are fine. Exclusive; all
 * chunks and sessions must be closed before. Takes time in proportion to the store. Files are closed as
 * they are, as if the process had been killed: call nitro_log_stop before. */
NITRO_API void nitro_close(nitro_store **s);

/* ---- recovery ----------------------------------------------------------------------------------
 * After nitro_open with a folder: scan, then every part of load, then every part of replay, then
 * finish. No other call may change the store meanwhile; stats, sessions and chunks work. If one fails,
 * the store can only be closed; nothing in the folder was changed before finish. */
struct nitro_recovery {
    uint64_t files, bytes; /* of log to read */
    uint64_t snapshot_lsn; /* S of the snapshot that is loaded first; 0 = there is none */
    uint64_t snapshot_number, snapshot_bytes, snapshot_keys;
    uint64_t durable_lsn;  /* W: everything up to here was durable, and is there */
    uint64_t last_lsn;     /* what is served: the end of the valid tail */
    uint64_t tail_records; /* in (W, last], to be written anew */
    uint64_t cut_bytes;    /* of a tail that was never durable and is not valid */
    uint64_t cut_file, cut_offset;
    uint32_t clean;   /* 1: the last stop was clean */
    uint32_t created; /* 1: the folder held no store */
};
/* nitro_recover_scan: finds what is durable, what is a tail, and what is damaged (NITRO_ECORRUPT: *err
 * names file, offset, LSN and what to do). One thread, before the others. */
NITRO_API NITRO_MUST_CHECK int nitro_recover_scan(nitro_store *s, int64_t now_ms,
                                                  struct nitro_recovery *out,
                                                  struct nitro_err *err);
/* nitro_recover_load: loads part `part` of `parts` (1 .. 64) of the snapshot. Each part once, on any
 * threads, side by side; all before the first replay. Without a snapshot it does nothing. NITRO_ECORRUPT,
 * NITRO_EIO, NITRO_ENOMEM. */
NITRO_API NITRO_MUST_CHECK int nitro_recover_load(nitro_store *s, uint32_t part, uint32_t parts,
                                                  struct nitro_err *err);
/* nitro_recover_replay: loads the segments of part `part` of `parts` (1 .. 64). Each part once, on any
 * threads, side by side. NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM. */
NITRO_API NITRO_MUST_CHECK int nitro_recover_replay(nitro_store *s, uint32_t part, uint32_t parts,
                                                    struct nitro_err *err);
/* nitro_recover_progress: bytes of snapshot and log that have been read, and that there are. Any thread. */
NITRO_API void nitro_recover_progress(const nitro_store *s, uint64_t *done, uint64_t *total);
/* nitro_recover_finish: makes the tail durable in a new file and opens the log for writing. One thread,
 * after all parts. The newest time in the log is in *newest_ms: the host's clock must not be before. */
NITRO_API NITRO_MUST_CHECK int nitro_recover_finish(nitro_store *s, int64_t now_ms,
                                                    int64_t *newest_ms, struct nitro_err *err);

/* ---- the log -----------------------------------------------------------------------------------
 * Every effect is appended to the log in memory under its segment's lock; the host makes it written
 * and durable by the calls below: durable <= written <= appended. They do I/O, take no gate, and must
 * not run during nitro_close or nitro_log_stop. One thread at a time in each of write, sync and fill;
 * the three may run side by side. A failure of write or sync is final: the state is FAILED from then
 * on, in-flight writes have an unknown outcome, later ones get NITRO_EREADONLY. */
enum nitro_log_status {
    NITRO_LOG_NONE = 0, /* no log: --wal off */
    NITRO_LOG_OK,
    NITRO_LOG_FULL,  /* the log cannot go on, see nitro_log_lack; heals by a fill that succeeds */
    NITRO_LOG_FAILED /* final */
};
enum nitro_log_lack {
    NITRO_LACK_ROOM = 0, /* on the disk */
    NITRO_LACK_HANDLES,  /* for one more file: the limit of open files */
    NITRO_LACK_FILES     /* mode bitcask: there cannot be more data files */
};
/* What the host looks at without a call: aligned words that change at any time (read them atomically;
 * acquire). */
struct nitro_log_view {
    uint64_t appended; /* newest LSN given out */
    uint64_t written;  /* LSN up to which a killed process loses nothing */
    uint64_t durable;  /* LSN up to which a power cut loses nothing; UINT64_MAX without a log */
    uint32_t status;   /* enum nitro_log_status */
    uint32_t fill;     /* 1: call nitro_log_fill soon */
    uint64_t room_seq; /* changes whenever waiting for room may be over */
    uint64_t control;  /* durable LSN that CONTROL knows */
    uint32_t full;     /* enum nitro_log_lack: with status FULL, what there is too little of */
    uint32_t pad;
};
/* nitro_log_view_of: valid until nitro_close. Static zero status without a log, durable and written
 * UINT64_MAX. */
NITRO_API const struct nitro_log_view *nitro_log_view_of(const nitro_store *s);
/* nitro_log_write: writes everything that is appended. NITRO_OK (also if there was nothing), NITRO_EIO;
 * NITRO_EBUSY: an append was under way, call again. */
NITRO_API NITRO_MUST_CHECK int nitro_log_write(nitro_store *s, int64_t now_ms,
                                               struct nitro_err *err);
/* nitro_log_sync: makes durable what was written when it began. NITRO_OK, NITRO_EIO. */
NITRO_API NITRO_MUST_CHECK int nitro_log_sync(nitro_store *s, struct nitro_err *err);
/* nitro_log_fill: gets room for at least `need` more bytes (0: what the engine thinks is right): extends
 * the window, prepares the next file. NITRO_OK, NITRO_ELOGFULL (try again later), NITRO_EIO. */
NITRO_API NITRO_MUST_CHECK int nitro_log_fill(nitro_store *s, uint64_t need, struct nitro_err *err);
/* nitro_log_note: writes the durable LSN to CONTROL if it does not know it. At most once a second; not
 * beside nitro_log_sync. NITRO_OK, NITRO_EIO. */
NITRO_API NITRO_MUST_CHECK int nitro_log_note(nitro_store *s, struct nitro_err *err);
/* nitro_log_stop: writes and syncs everything, and marks the folder as cleanly stopped. Exclusive; no
 * write is possible afterwards. NITRO_OK, NITRO_EIO. */
NITRO_API NITRO_MUST_CHECK int nitro_log_stop(nitro_store *s, int64_t now_ms,
                                              struct nitro_err *err);
/* nitro_log_error: the first failure, if the status is FAILED (or why there is no room, if FULL). Any
 * thread. */
NITRO_API void nitro_log_error(const nitro_store *s, struct nitro_err *err);

/* ---- direct use (shared) -----------------------------------------------------------------------
 * Keys and values are copied. Every call may return NITRO_EBUSY (another thread holds the segment;
 * nothing happened), writes also NITRO_ENOMEM, NITRO_EMAXMEMORY, NITRO_EKEYSIZE, NITRO_EVALUESIZE.
 * With a log, writes may return NITRO_ELOGFULL (nothing happened; if the view's status is OK, make
 * room with nitro_log_fill(nitro_log_need(...)) and call again) and NITRO_EREADONLY. A write is
 * acknowledged by the host when its LSN, info->version, is written or durable. What a read shows, a
 * miss included, is durable when info->shown_lsn is. */
#define NITRO_SET_NX 1u      /* only if the key does not exist (else NITRO_ENOTSTORED) */
#define NITRO_SET_XX 2u      /* only if the key exists (else NITRO_ENOTSTORED) */
#define NITRO_SET_KEEPTTL 4u /* keep the expiry of the value that is replaced */
#define NITRO_SET_CAS                                                                              \
    8u /* only if the version equals `expected`; 0 = must not exist (else
                                NITRO_EVERSION) */

struct nitro_info {
    uint64_t version;  /* unique in the store, larger for every later write of the key */
    int64_t expire_ms; /* 0 = never */
    uint64_t bytes;    /* of the value */
    uint64_t
        shown_lsn; /* what the answer shows: its gate. Also set with NITRO_ENOTFOUND, ENOTSTORED,
                           EVERSION, ENOTNUMBER, EOVERFLOW (the only out-parameter that is) */
};

/* nitro_get: copies up to `cap` bytes of the value to buf and says its full size in info->bytes (cap
 * may be 0: then only info). NITRO_ENOTFOUND; NITRO_EIO, NITRO_ECORRUPT: the value lies on disk and can't be read. */
NITRO_API NITRO_MUST_CHECK int nitro_get(nitro_store *s, int64_t now_ms, const void *key,
                                         size_t key_bytes, void *buf, size_t cap,
                                         struct nitro_info *info);
/* nitro_get_away: likewise, but a value on disk is not read: NITRO_AWAY, info->shown_lsn is set, and nitro_fetch must
 * follow. For hosts that don't want to hold the gate while they read. */
struct nitro_away {
    uint64_t loc;
    /* for making room: the value, if it is not compressed, has at most so many, and hardly fewer */
    uint64_t bytes;
    uint32_t keep; /* behind nitro_fetch: 1 = nitro_keep must follow, unless nitro_close does */
    uint32_t pad;
};
#define NITRO_AWAY 0x100 /* no failure, and none of the list above */
NITRO_API NITRO_MUST_CHECK int nitro_get_away(nitro_store *s, int64_t now_ms, const void *key,
                                              size_t key_bytes, void *buf, size_t cap,
                                              struct nitro_info *info, struct nitro_away *away);
/* nitro_fetch: reads what was found, whatever has happened to the key since; *info as nitro_get, but for
 * shown_lsn. A compressed value that has more than `cap` bytes is not copied at all. NITRO_OK, NITRO_EIO, NITRO_ECORRUPT, NITRO_ENOMEM. No gate; not during nitro_close. */
NITRO_API NITRO_MUST_CHECK int nitro_fetch(nitro_store *s, const void *key, size_t key_bytes,
                                           void *buf, size_t cap, struct nitro_info *info,
                                           struct nitro_away *away);
/* nitro_keep: caches the value that nitro_fetch has read, of info->bytes bytes, if it is still that of its key, and if that
 * can be done at once. Shared gate. */
NITRO_API void nitro_keep(nitro_store *s, int64_t now_ms, const void *key, size_t key_bytes,
                          const void *value, const struct nitro_info *info,
                          struct nitro_away *away);
/* nitro_set: expire_ms 0 = never. info (may be NULL) gets the new version. */
NITRO_API NITRO_MUST_CHECK int nitro_set(nitro_store *s, int64_t now_ms, const void *key,
                                         size_t key_bytes, const void *value, size_t value_bytes,
                                         unsigned flags, uint64_t expected, int64_t expire_ms,
                                         struct nitro_info *info);
/* nitro_delete: NITRO_ENOTFOUND if there was nothing. */
NITRO_API NITRO_MUST_CHECK int nitro_delete(nitro_store *s, int64_t now_ms, const void *key,
                                            size_t key_bytes, struct nitro_info *info);
/* nitro_incr: adds to a decimal 64-bit integer, a missing key counts as 0; keeps the expiry.
 * NITRO_ENOTNUMBER, NITRO_EOVERFLOW. */
NITRO_API NITRO_MUST_CHECK int nitro_incr(nitro_store *s, int64_t now_ms, const void *key,
                                          size_t key_bytes, int64_t delta, int64_t *result,
                                          struct nitro_info *info);
/* nitro_expire: sets (or with 0 removes) the expiry; a time that is not after now deletes the key.
 * NITRO_ENOTFOUND. With NITRO_ELOGFULL info->bytes is what the log has to take of the value: 0 unless it is written
 * anew, because it lies on disk. */
NITRO_API NITRO_MUST_CHECK int nitro_expire(nitro_store *s, int64_t now_ms, const void *key,
                                            size_t key_bytes, int64_t expire_ms,
                                            struct nitro_info *info);
/* nitro_move: `to` gets the value and the expiry of `from`, which goes, unless NITRO_MOVE_KEEP is set, in one
 * step that nobody sees half done, not even after a crash. A large value is shared, not copied. A key moved
 * to itself stays as it is. NITRO_ENOTFOUND (no `from`), NITRO_ENOTSTORED. info (may be NULL): only
 * shown_lsn, the last LSN of the move. */
#define NITRO_MOVE_KEEP 1u /* a copy */
#define NITRO_MOVE_NX 2u   /* only if `to` does not exist (else NITRO_ENOTSTORED) */
NITRO_API NITRO_MUST_CHECK int nitro_move(nitro_store *s, int64_t now_ms, const void *from,
                                          size_t from_bytes, const void *to, size_t to_bytes,
                                          unsigned flags, struct nitro_info *info);
/* nitro_write: several puts and deletes as one batch: all of it or nothing survives, and nobody sees a
 * part. Of repeated keys the last wins. `shown_lsn` of *info is the last LSN of the batch. */
struct nitro_op {
    const void *key;
    size_t key_bytes;
    const void *value; /* NULL with value_bytes 0 and `remove` set: delete */
    size_t value_bytes;
    int64_t expire_ms;
    uint32_t remove;
    uint32_t pad;
};
NITRO_API NITRO_MUST_CHECK int nitro_write(nitro_store *s, int64_t now_ms,
                                           const struct nitro_op *ops, uint32_t count,
                                           struct nitro_info *info);
/* nitro_log_need: an upper bound of the log bytes of a put or delete of that size. */
NITRO_API uint64_t nitro_log_need(size_t key_bytes, size_t value_bytes);
/* nitro_scan: visits a bounded part of the store and calls fn for each live key found (key borrowed
 * during the call; fn must not call the engine). Of a key whose value lies on disk info->version and bytes are 0:
 * nitro_get tells them. Start with *cursor 0; the end is *cursor 0 again.
 * A key that is present from start to end is visited once, across resizes; twice only if its segment changes
 * its hash meanwhile. `count` is a wish. *shown_lsn (may be NULL) is the gate of what this call has shown. */
typedef void nitro_scan_fn(void *ctx, const void *key, size_t key_bytes,
                           const struct nitro_info *info);
NITRO_API NITRO_MUST_CHECK int nitro_scan(nitro_store *s, int64_t now_ms, uint64_t *cursor,
                                          uint32_t count, nitro_scan_fn *fn, void *ctx,
                                          uint64_t *shown_lsn);
/* nitro_flush: removes every key in O(segments); memory is given back by later steps. Exclusive. NITRO_ENOMEM;
 * with a log also NITRO_EBUSY (a write is beginning: call again), NITRO_ELOGFULL, NITRO_EREADONLY. */
NITRO_API NITRO_MUST_CHECK int nitro_flush(nitro_store *s, struct nitro_info *info);

/* ---- chunked use -------------------------------------------------------------------------------*/
enum nitro_proto {
    NITRO_PROTO_UNKNOWN = 0, /* decided by the first byte */
    NITRO_PROTO_RESP2 = 2,
    NITRO_PROTO_RESP3 = 3,
    NITRO_PROTO_BINARY = 4
};

/* When a reply may go out: see nitro_gate. */
enum nitro_level {
    NITRO_LEVEL_NEVER = 1,    /* what it shows is written */
    NITRO_LEVEL_EVERYSEC = 2, /* the same; the host syncs within a second */
    NITRO_LEVEL_ALWAYS = 3    /* what it shows is durable */
};

/* A reply that must not go out yet: bytes [from, to) of the chunk's out. Replies that need not wait
 * have none. A big value (NITRO_STOP_BIG) and the rest of a reply that did not fit (NITRO_STOP_OUT)
 * wait with the last one. */
struct nitro_gate {
    uint64_t lsn; /* until this is durable (level always) or written (others) */
    uint32_t from, to;
    uint16_t id;   /* binary: the request's */
    uint8_t level; /* enum nitro_level */
    uint8_t wrote; /* 1: a write, else a read */
    uint8_t flags; /* binary: the request's flags */
    uint8_t part;  /* 1: not the whole reply, more of it comes with the next nitro_execute */
    uint8_t pad[2];
};

/* What a session that is locked may send: requests of so many bytes and arguments, else the connection
 * ends with an error. Of these only AUTH, HELLO, QUIT and RESET reach the host; everything else is
 * answered EAUTHREQUIRED. A prepare takes one request, so that those behind an AUTH are judged after
 * it. */
#define NITRO_LOCKED_BYTES 4096u
#define NITRO_LOCKED_ARGS 10u

/* One per connection; small. The host reads `proto` and may set it (HELLO 3, RESET). */
typedef struct nitro_session {
    uint8_t proto;  /* enum nitro_proto */
    uint8_t level;  /* H: enum nitro_level of requests that name none */
    uint8_t locked; /* H: 1 = the client has not proved who it is, see NITRO_LOCKED_BYTES */
    uint8_t reserved[5];
    uint64_t id;       /* the host's connection id */
    uint64_t requests; /* executed so far */
    uint64_t last_lsn; /* of this connection's newest write; 0 = none */
    void *priv;        /* the engine's: half-received binary requests; NULL most of the time */
} nitro_session;

/* nitro_session_open: a zeroed session (owned, nitro_session_close), or NULL without memory. Shared. */
NITRO_API nitro_session *nitro_session_open(nitro_store *s);
NITRO_API void nitro_session_close(nitro_store *s, nitro_session **ss);

struct nitro_slice {
    const uint8_t *p;
    size_t n;
};

/* Verbs that the host must run itself (NITRO_STOP_HOST). Unknown verbs and wrong arities are answered
 * by the engine. CHECKLIST: engine/cmd.c, server's host verbs. */
enum nitro_host_verb {
    NITRO_HOST_NONE = 0,
    NITRO_HOST_FLUSH, /* FLUSHDB, FLUSHALL, binary FLUSH: needs the gate exclusively: nitro_flush */
    NITRO_HOST_HELLO, /* RESP HELLO, or the binary HELLO (then argv[0] is the request's body) */
    NITRO_HOST_AUTH,  /* RESP AUTH, or the binary AUTH (argv[0] is the request's body) */
    NITRO_HOST_CLIENT,
    NITRO_HOST_COMMAND,
    NITRO_HOST_CONFIG,
    NITRO_HOST_INFO, /* also binary STATS: argv[0] is the request's body, a section name */
    NITRO_HOST_SELECT,
    NITRO_HOST_QUIT,
    NITRO_HOST_RESET,
    NITRO_HOST_WAITAOF, /* RESP WAITAOF numlocal numreplicas timeout */
    NITRO_HOST_SYNC,    /* binary SYNC: answer when what is appended now is durable */
    NITRO_HOST_SAVE,
    NITRO_HOST_BGSAVE,
    NITRO_HOST_LASTSAVE,
    NITRO_HOST_BACKUP,
    NITRO_HOST_SNAPSHOT,
    NITRO_HOST_SLOWLOG,
    NITRO_HOST_LATENCY,
    NITRO_HOST_MERGE
};

/* Why nitro_execute came back. In every case out[0 .. out_len) holds complete replies (or, with BIG, a
 * reply up to the point where `big` goes) that the host must write, then set out_len = 0. */
enum nitro_stop {
    NITRO_STOP_DONE = 0, /* all prepared requests have run */
    NITRO_STOP_BUSY,     /* a segment is held by another thread: yield, call again */
    NITRO_STOP_OUT,      /* the output buffer is full: write it, call again */
    NITRO_STOP_BIG,      /* write out, then big[0 .. big_len), set out_len = 0, call again */
    NITRO_STOP_HOST,     /* run host_verb, append its reply (nitro_chunk_reply), nitro_chunk_skip */
    NITRO_STOP_IO,  /* values lie on disk: nitro_chunk_fetch, without the gate, then call again */
    NITRO_STOP_ROOM /* no room in the log yet: nitro_log_fill(room_bytes), call again */
};

/* What has been done by how many requests: `command` is 1 + the command's index in nitro_commands (a binary
 * opcode counts as the command that does the same), 0 for what is none; `status` is what the reply says, a
 * miss too, in the binary protocol's numbers. */
#define NITRO_TALLIES 256u /* no prepare makes more requests */
struct nitro_tally {
    uint8_t command;
    uint8_t status;
    uint16_t count;
};

/* A pooled read buffer, its prepared requests, and a reply buffer. The host reads the fields; those
 * marked H it also writes. All memory belongs to the chunk (closed by nitro_chunk_close); pointers are
 * borrowed until the next call on the chunk. */
typedef struct nitro_chunk {
    uint8_t *in; /* input buffer */
    size_t in_cap;
    size_t in_len;  /* H: bytes present; the host reads into in[in_len .. in_cap) and adds */
    size_t in_pos;  /* bytes that prepared requests have consumed */
    size_t in_need; /* after prepare with an incomplete request: in_len must reach this (more than
                         in_cap: call nitro_chunk_grow first) before prepare can get further */
    uint8_t *out;   /* reply buffer */
    size_t out_cap;
    size_t out_len;     /* H */
    const uint8_t *big; /* with NITRO_STOP_BIG; borrowed until the next nitro_execute */
    size_t big_len;
    uint32_t count;   /* prepared requests */
    uint32_t next;    /* index of the next one to run */
    uint32_t closing; /* 1: write the replies, then close the connection (protocol error) */
    uint32_t more; /* after prepare: 1 = complete requests may be left beyond the cap; after these
                         have run call prepare again before reading */
    uint32_t host_verb;    /* enum nitro_host_verb, with NITRO_STOP_HOST */
    uint32_t host_id;      /* request id (binary) */
    uint32_t host_argc;    /* arguments including the verb's name (RESP) */
    uint32_t host_flags;   /* request flags (binary) */
    uint32_t host_command; /* as nitro_tally's */
    const struct nitro_slice *host_argv;
    uint64_t grow_bytes;      /* after prepare: upper bound of memory that the requests may add */
    uint64_t room_bytes;      /* with NITRO_STOP_ROOM: what request `next` needs in the log */
    struct nitro_gate *gates; /* replies in out that must wait; the host sets gate_count = 0 with
                                 out_len = 0 */
    uint32_t gate_count, gate_cap;
    uint32_t tally_count;                      /* H: set to 0 to count anew; prepare does it too */
    struct nitro_tally tallies[NITRO_TALLIES]; /* of the requests that nitro_execute has finished */
} nitro_chunk;

/* nitro_chunk_open: a chunk with buffers of the default size (owned), or NULL without memory. Shared. */
NITRO_API nitro_chunk *nitro_chunk_open(nitro_store *s);
NITRO_API void nitro_chunk_close(nitro_store *s, nitro_chunk **c);
/* nitro_chunk_reset: drops input, requests and replies, and shrinks grown buffers back to the default
 * size, so that the chunk can serve another connection. Object. */
NITRO_API void nitro_chunk_reset(nitro_store *s, nitro_chunk *c);
/* nitro_chunk_compact: moves unread input to the front of `in` (call before reading more). Object; only
 * when next == count. */
NITRO_API void nitro_chunk_compact(nitro_chunk *c);
/* nitro_chunk_grow: doubles the input buffer once, up to what one request may need. NITRO_ENOMEM,
 * NITRO_EMAXMEMORY (the chunk is unchanged). Shared. */
NITRO_API NITRO_MUST_CHECK int nitro_chunk_grow(nitro_store *s, nitro_chunk *c);
/* nitro_chunk_stash: copies the unread input (at most 4096 bytes) out of the chunk into dst so that the
 * chunk can go back to the pool while the rest of a request is awaited; returns its length, or 0 with
 * nothing copied if there is more than that, or state that cannot be rebuilt by parsing again. Object. */
NITRO_API size_t nitro_chunk_stash(nitro_chunk *c, void *dst, size_t cap);
/* nitro_chunk_reply: appends bytes to the reply buffer, growing it. NITRO_ENOMEM. Shared. */
NITRO_API NITRO_MUST_CHECK int nitro_chunk_reply(nitro_store *s, nitro_chunk *c, const void *p,
                                                 size_t n);
/* nitro_chunk_gate: the bytes appended to out since offset `from` wait for `lsn` at the session's level.
 * NITRO_ENOMEM. Shared. */
NITRO_API NITRO_MUST_CHECK int nitro_chunk_gate(nitro_store *s, const nitro_session *ss,
                                                nitro_chunk *c, size_t from, uint64_t lsn,
                                                int wrote);
/* nitro_chunk_fetch: after NITRO_STOP_IO: reads what the next requests of the chunk need, in the order of the files. What
 * can't be read, or is damaged, becomes the reply of its request. No gate; not during nitro_close. */
NITRO_API void nitro_chunk_fetch(nitro_store *s, nitro_chunk *c);
/* nitro_chunk_skip: the host has dealt with request `next`. Object. */
NITRO_API void nitro_chunk_skip(nitro_chunk *c);
/* nitro_chunk_request: the *n bytes that prepared request `i` (below count) came in; of a binary request in
 * several frames the header of the last one. Borrowed until next == count and the chunk is compacted.
 * The words of an inline command stand there without their quotes. Object. */
NITRO_API const uint8_t *nitro_chunk_request(const nitro_chunk *c, uint32_t i, size_t *n);

/* nitro_prepare: splits unread input into requests, hashes their keys, and says what they may need.
 * Malformed input becomes a request that answers the error in its place and sets `closing` when the
 * framing is lost. Returns NITRO_OK, or NITRO_ENOMEM (nothing prepared, call again or close). Only when
 * next == count. Shared (it reads the segments' hash state). */
NITRO_API NITRO_MUST_CHECK int nitro_prepare(nitro_store *s, nitro_session *ss, nitro_chunk *c,
                                             int64_t now_ms);
/* nitro_execute: runs prepared requests from `next` on; returns an enum nitro_stop. Shared. */
NITRO_API NITRO_MUST_CHECK int nitro_execute(nitro_store *s, nitro_session *ss, nitro_chunk *c,
                                             int64_t now_ms);

/* ---- background work ---------------------------------------------------------------------------
 * The host calls each kind every few milliseconds while `more` is set, and about ten times a second
 * otherwise. One thread per kind at a time. `budget` bounds the work of one call (buckets for EXPIRE,
 * entries for RECLAIM, 64 KiB pieces for FREE and POOL, items for RETIRE); work is split into segment
 * lock holds of 16 chains looked through, 64 entries moved, or 64 KiB and one entry copied. */
enum nitro_step_kind {
    NITRO_STEP_EXPIRE,  /* shared: removes expired keys that nobody reads */
    NITRO_STEP_RECLAIM, /* shared: drains hash switches, shrinks tables, evacuates sparse spans, and
                           evicts cached values of which there are too many */
    NITRO_STEP_FREE,    /* shared: frees what FLUSHALL and large values left, piece by piece */
    NITRO_STEP_POOL,    /* no gate: populates memory ahead of need, gives unused pages back (a huge
                           page can take the kernel milliseconds); not during nitro_close */
    NITRO_STEP_RETIRE,  /* EXCLUSIVE: frees memory that unlocked prefetching might still look at */
    NITRO_STEP_KINDS
};
struct nitro_step_result {
    uint32_t work; /* units spent */
    uint32_t more; /* 1: there is more to do now */
};
/* nitro_step: NITRO_EARGUMENT for an unknown kind. RECLAIM, FREE, POOL: `more` of RETIRE tells whether
 * an exclusive call is worth it: nitro_retire_due. */
NITRO_API NITRO_MUST_CHECK int nitro_step(nitro_store *s, enum nitro_step_kind kind, int64_t now_ms,
                                          uint32_t budget, struct nitro_step_result *out);
/* nitro_retire_due: 1 if a RETIRE step would free something. Shared. */
NITRO_API int nitro_retire_due(nitro_store *s);

/* ---- snapshots ---------------------------------------------------------------------------------
 * In mode memory a snapshot is a file of the data folder that holds the store exactly as it was at one LSN, S. It is
 * taken while requests run, in bounded pieces (docs/design/0005). One at a time:
 *   prepare   no gate, not beside nitro_log_fill     makes the file
 *   begin     EXCLUSIVE                              the cut, in O(segments), no I/O
 *   gather    shared                                 collects entries for the next write
 *   write     no gate                                compresses and writes them; gather again, until done
 *   finish    no gate, not beside nitro_log_fill     syncs and lists the file; the log must be durable
 *                                                    up to S by then, or it waits for nothing and fails
 *   retain    no gate, not beside nitro_log_fill     drops what is not needed any more
 * Between begin and the end of the walk a write that meets a full side buffer answers NITRO_EBUSY. When
 * a call fails, or at any time, abort ends it: the older snapshot and the log are as they were. */
struct nitro_snapshot_info {
    uint64_t number, lsn;            /* of the file; S */
    int64_t time_ms;                 /* not before the time of any record up to S */
    uint64_t keys, raw_bytes, bytes; /* raw: before compression; bytes: of the file */
    uint64_t hash_a, hash_b;         /* of the contents, whatever their order (docs/FORMAT.md) */
};
/* nitro_snapshot_prepare: NITRO_EBUSY: one is under way; NITRO_EUNSUPPORTED: no folder; NITRO_ELOADING,
 * NITRO_EARGUMENT, NITRO_ELOGFULL (no room on the disk), NITRO_EIO, NITRO_ENOMEM. None of them harms the log. */
NITRO_API NITRO_MUST_CHECK int
nitro_snapshot_prepare(nitro_store *s, enum nitro_compression compression, struct nitro_err *err);
/* nitro_snapshot_begin: S in *lsn. Cannot fail after prepare. */
NITRO_API void nitro_snapshot_begin(nitro_store *s, int64_t now_ms, uint64_t *lsn);
/* nitro_snapshot_gather: a bounded piece of the walk. With the bit SOME there is something to write. */
enum nitro_gathered {
    NITRO_GATHERED_ALL = 0,  /* everything has been gathered and written: finish */
    NITRO_GATHERED_SOME = 1, /* write, when it suits */
    NITRO_GATHERED_NONE =
        2, /* gather again, after a moment for others: nothing is to be written yet, or
                                a segment was locked */
    NITRO_GATHERED_MUCH = 3 /* write at once: writers are about to wait */
};
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_gather(nitro_store *s);
/* nitro_snapshot_write: writes what has been gathered. NITRO_EIO, NITRO_ELOGFULL, NITRO_ENOMEM: abort. */
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_write(nitro_store *s, struct nitro_err *err);
/* nitro_snapshot_finish: after gather has returned 0. NITRO_OK with *out; else abort. */
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_finish(nitro_store *s, int64_t now_ms,
                                                     struct nitro_snapshot_info *out,
                                                     struct nitro_err *err);
/* nitro_snapshot_abort: shared. NITRO_EBUSY: a segment was locked, call again. NITRO_OK also if none is
 * under way. In mode bitcask: no gate, not beside nitro_log_fill. */
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_abort(nitro_store *s);
/* Mode bitcask: a snapshot is a folder of hard links (docs/design/0006). Instead of prepare … finish:
 *   roll      no gate, not beside nitro_log_fill     appends go on in the next file; S in *lsn
 *   (the host waits until the log is durable up to S)
 *   link      no gate, not beside nitro_log_fill     a bounded piece of making the folder; again, until it is done
 * nitro_snapshot_roll: NITRO_EUNSUPPORTED: not of this mode; NITRO_ELOADING, NITRO_ELOGFULL, NITRO_EIO, NITRO_ENOMEM.
 * nitro_snapshot_link: the snapshot of S = lsn; up to `files` files, at least 1, are made ready for it, or linked. NITRO_OK with *more = 1:
 * call it again; others may use the store and its files in between. NITRO_OK with *more = 0: there is a snapshot, and it is *out, whose keys
 * may be some off and whose hash is 0. Any other result ends it: NITRO_EBUSY: a merge has been listed since the roll, and rests on
 * later effects or has replaced a file that was still to be linked: roll again, and let no merge step for FOLDER come between;
 * NITRO_EUNSUPPORTED: the file system has no hard links; NITRO_EARGUMENT: not durable; NITRO_ELOGFULL, NITRO_EIO, NITRO_ENOMEM. So do abort,
 * another roll, a call for another S, and close. What there is of one that has ended, and older snapshots, stay until the next nitro_retain, or start. */
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_roll(nitro_store *s, uint64_t *lsn,
                                                   struct nitro_err *err);
NITRO_API NITRO_MUST_CHECK int nitro_snapshot_link(nitro_store *s, uint64_t lsn, int64_t now_ms,
                                                   uint32_t files, struct nitro_snapshot_info *out,
                                                   uint32_t *more, struct nitro_err *err);
/* nitro_snapshot_progress: keys and bytes written so far; any thread. Both 0 when none is under way. */
NITRO_API void nitro_snapshot_progress(const nitro_store *s, uint64_t *keys, uint64_t *bytes);

/* What the folder holds. */
struct nitro_folder {
    uint64_t snapshots;
    struct nitro_snapshot_info newest; /* zeros: there is none */
    uint64_t oldest_lsn;           /* the oldest point that can be restored: 0 = the empty store */
    int64_t oldest_ms;             /* and its time; 0 = of the empty store */
    uint64_t log_files, log_bytes; /* of log in the folder, room ahead included */
    uint64_t log_since;            /* bytes of log that a start would replay */
    uint64_t snapshot_bytes;       /* of all snapshots */
};
/* nitro_folder_state: not beside nitro_log_fill, finish, retain. NITRO_EUNSUPPORTED without a folder. */
NITRO_API NITRO_MUST_CHECK int nitro_folder_state(nitro_store *s, struct nitro_folder *out,
                                                  struct nitro_err *err);
/* nitro_retain: removes log files and snapshots that neither a start nor a restore needs: keep_ms and
 * keep_bytes say how far back, in time and in bytes of log, every LSN must be restorable (0 = not at all).
 * With both, what the longer of them needs stays. NITRO_EIO, NITRO_ELOGFULL (MANIFEST has no room). */
NITRO_API NITRO_MUST_CHECK int nitro_retain(nitro_store *s, int64_t now_ms, int64_t keep_ms,
                                            uint64_t keep_bytes, struct nitro_err *err);
/* nitro_retain_some: at most so many files, so that who fills the log waits for no more of them than that; *more
 * is 1 if there are others. */
NITRO_API NITRO_MUST_CHECK int nitro_retain_some(nitro_store *s, int64_t now_ms, int64_t keep_ms,
                                                 uint64_t keep_bytes, uint32_t files,
                                                 uint32_t *more, struct nitro_err *err);

/* ---- data files (mode bitcask) -----------------------------------------------------------------
 * The log files are the data. When one is full it is sealed and gets a hint file; files of which much is dead are merged
 * into new ones (docs/design/0006). The host drives this by nitro_merge_step, one thread, which says what the next
 * call needs. A store in another mode is always idle. */
enum nitro_merge_need {
    NITRO_MERGE_IDLE = 0, /* nothing to do now; as FOLDER, later */
    NITRO_MERGE_IO,       /* no gate: reads or writes up to about a MiB */
    NITRO_MERGE_SHARED,   /* the gate, shared: a bounded piece of work */
    NITRO_MERGE_FOLDER,   /* no gate, not beside nitro_log_fill */
    NITRO_MERGE_SYNC      /* no gate, when the log is durable up to `lsn` */
};
struct nitro_merge_options {
    uint32_t allow;        /* 1: merges may begin; else files are sealed and get hints only */
    uint32_t dead_percent; /* files are merged of whose bytes so many are dead, 1 .. 100 … */
    uint64_t dead_bytes;   /* … or that hold so many dead bytes; 0 = does not count */
    /* … or that hold any, and are so old; the one that is written to is sealed then; 0 = does not count */
    int64_t dead_age_ms;
    uint64_t upto; /* files with greater numbers are left alone; 0 = none is */
    uint32_t
        retain; /* 1: replaced files stay for a look at the past, until nitro_retain lets them go */
    uint32_t pad;
};
struct nitro_merge_result {
    uint32_t need; /* enum nitro_merge_need: what the next call needs */
    uint32_t pad;
    uint64_t lsn;           /* with SYNC */
    uint64_t read, written; /* bytes, by this call */
};
/* nitro_merge_step: does what the last result has said (at first FOLDER). NITRO_OK with *out; NITRO_ELOGFULL, NITRO_EIO,
 * NITRO_ENOMEM, NITRO_ECORRUPT: what was under way is given up, all data is as it was, and the next call is for
 * FOLDER. */
NITRO_API NITRO_MUST_CHECK int nitro_merge_step(nitro_store *s, int64_t now_ms,
                                                const struct nitro_merge_options *o,
                                                struct nitro_merge_result *out,
                                                struct nitro_err *err);
/* nitro_merge_roll: seals the file that is written to, so that what is dead in it can be merged. As FOLDER. NITRO_OK,
 * NITRO_ELOGFULL, NITRO_EIO, NITRO_ENOMEM. *upto (may be NULL) is the number of the newest file that there is then:
 * with it in the options, merging what there was ends also while others write. With ELOGFULL it is set, too:
 * what is sealed already can be merged, which makes room. */
NITRO_API NITRO_MUST_CHECK int nitro_merge_roll(nitro_store *s, uint64_t *upto,
                                                struct nitro_err *err);

struct nitro_data_files {
    uint64_t files, merged_files; /* all; of these those that merges have written */
    uint64_t bytes;               /* of records in them, and what lies between */
    uint64_t live_bytes;          /* of records that a key refers to */
    uint64_t gone_bytes;          /* of deletes and flushes */
    uint64_t hints;               /* files that have one */
    uint64_t damaged_files, damaged_reads;
    /* since the store was opened */
    uint64_t merges, merge_read_bytes, merge_written_bytes, merge_dropped_bytes;
    uint64_t hints_loaded, hints_rebuilt; /* at the start: used, or missing, stale or damaged */
    /* The cache: what it has now, with 9 bytes beside each value; then since the store was opened, with cache_bytes: GETs
     * and MGETs of keys that were there, by whether their values were cached, and values that went to make room. */
    uint64_t cache_bytes, cache_values;
    uint64_t cache_hits, cache_misses, cache_evictions;
    uint64_t put_bytes; /* of records of puts, dead ones too */
};
/* nitro_data_files_of: zeros in other modes. As FOLDER. */
NITRO_API void nitro_data_files_of(nitro_store *s, struct nitro_data_files *out);
/* nitro_merge_abandon: gives up a merge whose file is not listed yet, for a host that is about to stop: no start would
 * find it. As FOLDER. 1: there was one, and the next step is for FOLDER; 0: nothing has changed. */
NITRO_API int nitro_merge_abandon(nitro_store *s);

/* ---- restore, verify ---------------------------------------------------------------------------
 * nitro_restore makes a new data folder from a folder that no process has open, or from a snapshot file,
 * at a point in time. It needs the memory that the store needs. The origin is not changed (LOCK is made if
 * it is missing). */
struct nitro_restore_options {
    const char *from;   /* a data folder, a snapshot, or a backup file */
    uint32_t from_file; /* 1: it is a file */
    const char *dir;    /* the new folder; must not hold a store */
    uint64_t to_lsn;    /* the point; UINT64_MAX = the newest */
    int64_t to_ms;      /* the point as a time; INT64_MAX = no limit. Both: whichever is earlier */
    uint32_t keep_expired; /* 1: keys whose time ran out after the point stay, without an expiry */
    int64_t now_ms;
    enum nitro_compression
        compression;     /* of the snapshot that the new folder begins with (mode memory) */
    uint64_t file_bytes; /* mode bitcask: of the new data files, up to 4092 MiB; 0 = 1 GiB */
    uint8_t seed[NITRO_SEED_BYTES]; /* random */
    /* told now and then: bytes read, and to be read; may be NULL */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    const struct nitro_mem *mem;           /* NULL = nitro_mem_system() */
    const struct nitro_vfs *vfs, *dir_vfs; /* of `from` and of `dir`; NULL = nitro_vfs_system() */
};
struct nitro_restore_result {
    uint64_t lsn;                 /* reached: the newest LSN of the contents */
    int64_t time_ms;              /* the time of the frame or snapshot that holds it; 0 = empty */
    uint64_t keys;                /* in the new store */
    uint64_t expired;             /* of these, whose expiry was dropped (keep_expired) */
    uint64_t first_lsn, last_lsn; /* what could have been asked for */
    int64_t first_ms, last_ms;
};
/* nitro_restore: NITRO_OK with *out. NITRO_EARGUMENT: the point lies outside of the window (*out has the window, and
 * only that), `dir` holds a store, or would get more data files than a store can have; NITRO_ENOTFOUND: no store, no file;
 * NITRO_EINUSE, NITRO_EFORMAT, NITRO_ECORRUPT, NITRO_EIO, NITRO_ENOMEM. After an error the new folder holds no store. Any
 * thread. */
NITRO_API NITRO_MUST_CHECK int nitro_restore(const struct nitro_restore_options *opt,
                                             struct nitro_restore_result *out,
                                             struct nitro_err *err);

/* nitro_verify: reads a whole snapshot file back and compares it with its footer; or, if `file` is a folder of mode bitcask, or a backup
 * of one, every record of it; of a backup also what a restore can do without: hints, both slots of CONTROL, what lies between files.
 * NITRO_ECORRUPT with *bad_offset (in a folder that of the file which the text names);
 * NITRO_ENOTFOUND, NITRO_EFORMAT, NITRO_EIO, NITRO_ENOMEM; of a folder also NITRO_EUNSUPPORTED (mode memory), NITRO_EINUSE. progress may be
 * NULL. Any thread. */
NITRO_API NITRO_MUST_CHECK int
nitro_verify(const char *file, const struct nitro_mem *mem, const struct nitro_vfs *vfs,
             void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
             struct nitro_snapshot_info *out, uint64_t *bad_offset, struct nitro_err *err);

/* ---- checking a folder -------------------------------------------------------------------------
 * nitro_check reads every record of a data folder that no process has open, and says what is wrong in
 * it. It needs no store, and takes the folder's lock. Without a repair nothing is changed (LOCK is
 * made if it is missing).
 * A repair keeps the longest valid prefix: the newest sound snapshot and all records before the first one
 * that is damaged or missing, batches whole. The rest is dropped, so that the store starts again. Files that
 * it changes or drops stay in the folder as NAME.bak-<now_ms>; nothing but the user reads or removes them.
 * If the newest snapshot is damaged and what is left does not even lead to it, nothing is changed. Likewise
 * if the log files are the data, and it is not the end of the log that is damaged. */
enum nitro_severity {
    NITRO_CHECK_NOTE, /* harmless: the next start deals with it */
    NITRO_CHECK_DAMAGE /* the store does not start; or, if the text says so, a hint file lets it, and reads fail */
};
struct nitro_finding {
    enum nitro_severity severity;
    const char *file; /* its name in the folder */
    uint64_t offset;
    uint64_t lsn; /* 0 = it is not about a record */
    const char *text;
};
/* *f and what it points to are borrowed during the call. */
typedef void nitro_finding_fn(void *ctx, const struct nitro_finding *f);

struct nitro_check_options {
    const char *dir;
    int64_t now_ms;                 /* names what a repair keeps */
    uint32_t repair;                /* 1: repair, if there is damage */
    uint8_t seed[NITRO_SEED_BYTES]; /* random; used by a repair */
    nitro_finding_fn *found;        /* NULL = only the result */
    void *ctx;
    const struct nitro_mem *mem; /* NULL = nitro_mem_system() */
    const struct nitro_vfs *vfs; /* NULL = nitro_vfs_system() */
};
struct nitro_check_result {
    uint64_t files, bytes; /* log and merged files that count, and what was read of them */
    uint64_t records;      /* valid, before the first that is not */
    uint64_t last_lsn;     /* of these; 0 = there are none */
    uint64_t durable_lsn;  /* what was durable, as far as anything in the folder knows */
    uint64_t bad_lsn;      /* the first record that was durable and is not there; 0 = none */
    uint64_t bad_file, bad_offset;
    uint64_t snapshots;    /* that are listed and sound */
    uint64_t snapshot_lsn; /* S of the newest of them: a start needs no record up to it; 0 = none */
    /* behind the first one that is not valid: dropped by a repair if there is */
    uint64_t drop_records;
    uint64_t drop_bytes;     /* damage (with `repaired`: they were), else by the next start */
    uint32_t damages, notes; /* findings */
    uint32_t clean;          /* 1: the last stop was clean */
    uint32_t repaired;       /* 1: there was damage, and the store starts again */
    uint32_t mode;           /* enum nitro_mode of the folder */
    uint32_t repairable;     /* 1: there is damage, and a repair is possible */
    /* 1: there is damage, and the store starts with it: reads of what is damaged are errors */
    uint32_t starts;
};
/* nitro_check: NITRO_OK with *out filled: without damage, or see `damages` and `repaired`.
 * NITRO_ENOTFOUND (no store in the folder), NITRO_EINUSE, NITRO_EFORMAT, NITRO_EIO, NITRO_ENOMEM,
 * NITRO_EARGUMENT; NITRO_ECORRUPT (a repair is not possible). A repair that fails may be tried again:
 * nothing is lost by it. Any thread. */
NITRO_API NITRO_MUST_CHECK int nitro_check(const struct nitro_check_options *opt,
                                           struct nitro_check_result *out, struct nitro_err *err);

/* ---- statistics --------------------------------------------------------------------------------
 * nitro_stats sums counters, never reads /proc, takes no lock: each counter is exact, their
 * combination is only as consistent as concurrent writers allow. Shared. */
struct nitro_stats {
    uint64_t keys, keys_with_expiry;
    uint64_t hits, misses, expired, writes, deletes;
    uint64_t splits, merges, hash_switches; /* table splits and merges of single buckets */
    uint64_t segments, segments_siphash;
    uint64_t key_bytes, value_bytes; /* logical */
    uint64_t table_bytes;            /* buckets, overflow buckets, directories */
    uint64_t entry_bytes;            /* entries with headers and padding, large values too */
    uint64_t slack_bytes;            /* free space inside spans and pages */
    uint64_t pool_free_bytes;        /* resident pages that nobody uses at the moment */
    uint64_t chunk_bytes;            /* read and reply buffers, sessions */
    uint64_t garbage_bytes;          /* flushed or deleted, not yet freed */
    uint64_t fixed_bytes;            /* store and segment headers */
    uint64_t used_bytes;             /* what max_memory is compared with */
    uint64_t resident_bytes;         /* all of the above */
    uint64_t max_memory;
    uint64_t buckets, overflow_buckets;
    uint64_t evacuated_entries, lock_busy;
    /* of this life of the log: records appended, frames and bytes written, writes, syncs */
    uint64_t log_records, log_frames, log_bytes, log_writes, log_syncs;
    /* the largest amounts of work that one call did under one segment lock */
    uint64_t max_buckets_per_call, max_entries_per_call, max_bytes_per_call;
    uint64_t snapshot_bytes; /* buffers of the snapshot that is under way; part of resident_bytes */
    uint64_t snapshot_emitted; /* entries that writers have saved for snapshots */
    uint64_t snapshot_busy;    /* writes that met a full side buffer */
    /* with value_compression: values of 64 bytes and more that writes have brought since the store was opened (a direct call
     * that was repeated for want of room counts again): how many of them became smaller, the bytes of all of them, and those
     * that they have in the log */
    uint64_t packed_values, pack_raw_bytes, pack_stored_bytes;
};
NITRO_API void nitro_stats(nitro_store *s, struct nitro_stats *out);
/* nitro_set_max_memory: bytes, 0 = no limit. Shared. */
NITRO_API void nitro_set_max_memory(nitro_store *s, uint64_t bytes);
/* nitro_add_client_bytes: the host's own memory for clients, counted against max_memory. Shared. */
NITRO_API void nitro_add_client_bytes(nitro_store *s, int64_t delta);

/* ---- the command table, for COMMAND and help ---------------------------------------------------*/
#define NITRO_CMD_WRITE 1u
#define NITRO_CMD_READONLY 2u
#define NITRO_CMD_FAST 4u
#define NITRO_CMD_ADMIN 8u
#define NITRO_CMD_DENYOOM 16u
struct nitro_command {
    const char *name; /* lower case */
    int32_t arity;    /* as Redis counts: verb included, negative = at least */
    uint32_t flags;   /* NITRO_CMD_... */
    int32_t first_key, last_key, key_step;
    const char *group;   /* "string", "generic", "connection", "server" */
    const char *summary; /* own words */
    const char *args;    /* as shown in help, for example "key value [NX|XX] [EX seconds]" */
};
/* nitro_commands: the table of RESP verbs, sorted by name; static storage. */
NITRO_API const struct nitro_command *nitro_commands(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
