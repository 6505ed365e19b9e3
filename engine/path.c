/* SPDX-License-Identifier: MIT
 *
 * path.c - every file name of a data folder is built and parsed here (L1).
 *
 * DESIGN
 *   A name has exactly one spelling: what parse accepts is what the builders write, byte for byte.
 *   So a file number has ten digits, leading zeros included (names sort as numbers do), and a time
 *   has none in front. Whatever else lies in the folder is OTHER: not ours, never touched.
 */
#include "path.h"

#define DIGITS 10u /* of a file's number */
#define LOG_SUFFIX ".log"
#define SNAP_SUFFIX ".snap"
#define DATA_SUFFIX ".data"
#define HINT_SUFFIX ".hint"
#define TMP_SUFFIX ".tmp"
#define BACKUP_SUFFIX ".bak-"
#define OLD_SUFFIX ".old-"
#define SNAP_DIR "snapshot-"
#define TIME_DIGITS 19u                          /* of INT64_MAX */
#define NAME_BYTES (DIGITS + sizeof SNAP_SUFFIX) /* the longest name without a suffix of ours */

_Static_assert(sizeof NK_PATH_MANIFEST <= NAME_BYTES && sizeof DATA_SUFFIX <= sizeof SNAP_SUFFIX &&
                   sizeof HINT_SUFFIX <= sizeof SNAP_SUFFIX,
               "NAME_BYTES is not that of the longest name");
_Static_assert(NAME_BYTES + sizeof BACKUP_SUFFIX - 1 + TIME_DIGITS <= NK_PATH_MAX,
               "a name does not fit");

/* put_digits: writes n as exactly `digits` digits. */
static void put_digits(uint64_t n, size_t digits, char *out) {
    for (size_t i = digits; i-- > 0; n /= 10) out[i] = (char)('0' + n % 10);
}

/* take_digits: reads exactly `digits` digits (at most 19, so that the number fits). */
static bool take_digits(const char *p, size_t digits, uint64_t *n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < digits; i++) {
        if (p[i] < '0' || p[i] > '9') return false;
        sum = sum * 10 + (uint64_t)(p[i] - '0');
    }
    *n = sum;
    return true;
}

/* put_name: copies a name that can have a replacement or a backup; returns its length. */
static size_t put_name(const char *name, char *out) {
    size_t n = strlen(name);
    NK_ASSERT(n < NAME_BYTES);
    memcpy(out, name, n);
    return n;
}

/* put_number: the name of a file with a number; `bytes` of the suffix with its terminator. */
static void put_number(uint64_t number, const char *suffix, size_t bytes, char *out) {
    NK_ASSERT(number >= 1 && number <= NK_PATH_LOG_MAX);
    put_digits(number, DIGITS, out);
    memcpy(out + DIGITS, suffix, bytes);
}

void nk_path_log(uint64_t number, char *out) {
    put_number(number, LOG_SUFFIX, sizeof LOG_SUFFIX, out);
}
void nk_path_snap(uint64_t number, char *out) {
    put_number(number, SNAP_SUFFIX, sizeof SNAP_SUFFIX, out);
}
void nk_path_snap_tmp(uint64_t number, char *out) {
    put_number(number, SNAP_SUFFIX TMP_SUFFIX, sizeof SNAP_SUFFIX TMP_SUFFIX, out);
}
void nk_path_data(uint64_t number, char *out) {
    put_number(number, DATA_SUFFIX, sizeof DATA_SUFFIX, out);
}
void nk_path_hint(uint64_t number, char *out) {
    put_number(number, HINT_SUFFIX, sizeof HINT_SUFFIX, out);
}
void nk_path_hint_tmp(uint64_t number, char *out) {
    put_number(number, HINT_SUFFIX TMP_SUFFIX, sizeof HINT_SUFFIX TMP_SUFFIX, out);
}

void nk_path_tmp(const char *name, char *out) {
    size_t n = put_name(name, out);
    memcpy(out + n, TMP_SUFFIX, sizeof TMP_SUFFIX);
}

/* put_time: `name`, a suffix of as many bytes as BACKUP_SUFFIX, and the time. */
static void put_time(const char *name, const char *suffix, int64_t time_ms, char *out) {
    NK_ASSERT(time_ms >= 0);
    size_t n = put_name(name, out), digits = 1;
    memcpy(out + n, suffix, sizeof BACKUP_SUFFIX - 1);
    n += sizeof BACKUP_SUFFIX - 1;
    for (int64_t rest = time_ms / 10; rest > 0; rest /= 10) digits++;
    put_digits((uint64_t)time_ms, digits, out + n);
    out[n + digits] = '\0';
}

void nk_path_backup(const char *name, int64_t time_ms, char *out) {
    put_time(name, BACKUP_SUFFIX, time_ms, out);
}

void nk_path_old(const char *name, int64_t time_ms, char *out) {
    put_time(name, OLD_SUFFIX, time_ms, out);
}

void nk_path_snap_dir(uint64_t number, char *out) {
    NK_ASSERT(number >= 1 && number <= NK_PATH_LOG_MAX);
    memcpy(out, SNAP_DIR, sizeof SNAP_DIR - 1);
    put_digits(number, DIGITS, out + sizeof SNAP_DIR - 1);
    out[sizeof SNAP_DIR - 1 + DIGITS] = '\0';
}

/* parse_number_suffix: what a file with a number is, by the n bytes behind it. */
static enum nk_path_kind parse_number_suffix(const char *p, size_t n) {
    static const struct {
        const char *suffix;
        enum nk_path_kind kind;
    } kinds[] = {{LOG_SUFFIX, NK_PATH_IS_LOG},
                 {SNAP_SUFFIX, NK_PATH_IS_SNAP},
                 {DATA_SUFFIX, NK_PATH_IS_DATA},
                 {HINT_SUFFIX, NK_PATH_IS_HINT}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (n == strlen(kinds[i].suffix) && memcmp(p, kinds[i].suffix, n) == 0)
            return kinds[i].kind;
    return NK_PATH_OTHER;
}

/* parse_base: what the first n bytes of a name are, as a name without any suffix of ours. */
static enum nk_path_kind parse_base(const char *name, size_t n, uint64_t *number) {
    if (n == strlen(NK_PATH_MANIFEST) && memcmp(name, NK_PATH_MANIFEST, n) == 0)
        return NK_PATH_IS_MANIFEST;
    if (n == strlen(NK_PATH_CONTROL) && memcmp(name, NK_PATH_CONTROL, n) == 0)
        return NK_PATH_IS_CONTROL;
    if (n == strlen(NK_PATH_LOCK) && memcmp(name, NK_PATH_LOCK, n) == 0) return NK_PATH_IS_LOCK;
    uint64_t got;
    if (n <= DIGITS || !take_digits(name, DIGITS, &got) || got == 0) return NK_PATH_OTHER;
    enum nk_path_kind kind = parse_number_suffix(name + DIGITS, n - DIGITS);
    if (kind != NK_PATH_OTHER) *number = got;
    return kind;
}

/* take_time: reads a time as put_time writes it. */
static bool take_time(const char *p, uint64_t *time) {
    size_t n = strlen(p);
    if (n == 0 || n > TIME_DIGITS || (n > 1 && p[0] == '0')) return false;
    return take_digits(p, n, time) && *time <= (uint64_t)INT64_MAX;
}

/* parse_suffix: what a name is that has `suffix` behind its first part. */
static enum nk_path_kind parse_suffix(const char *suffix) {
    if (strcmp(suffix, TMP_SUFFIX) == 0) return NK_PATH_IS_TMP;
    size_t n = sizeof BACKUP_SUFFIX - 1;
    uint64_t time;
    if (strncmp(suffix, BACKUP_SUFFIX, n) == 0 && take_time(suffix + n, &time))
        return NK_PATH_IS_BACKUP;
    return NK_PATH_OTHER;
}

static bool is_snap_dir(const char *name, uint64_t *number) {
    size_t n = sizeof SNAP_DIR - 1;
    uint64_t got;
    if (strlen(name) != n + DIGITS || memcmp(name, SNAP_DIR, n) != 0 ||
        !take_digits(name + n, DIGITS, &got) || got == 0)
        return false;
    *number = got;
    return true;
}

enum nk_path_kind nk_path_parse(const char *name, uint64_t *number) {
    uint64_t got;
    enum nk_path_kind kind = parse_base(name, strlen(name), number);
    if (kind != NK_PATH_OTHER) return kind;
    if (is_snap_dir(name, number)) return NK_PATH_IS_SNAP_DIR;
    const char *dot = strrchr(name, '.');
    if (dot == NULL) return NK_PATH_OTHER;
    enum nk_path_kind base = parse_base(name, (size_t)(dot - name), &got);
    if (base == NK_PATH_OTHER || base == NK_PATH_IS_LOCK) return NK_PATH_OTHER;
    kind = parse_suffix(dot);
    if (kind != NK_PATH_IS_TMP || (base != NK_PATH_IS_SNAP && base != NK_PATH_IS_HINT)) return kind;
    *number = got;
    return base == NK_PATH_IS_SNAP ? NK_PATH_IS_SNAP_TMP : NK_PATH_IS_HINT_TMP;
}

enum nk_path_kind nk_path_parse_old(const char *name, uint64_t *number, int64_t *time_ms) {
    const char *dot = strrchr(name, '.');
    size_t n = sizeof OLD_SUFFIX - 1;
    uint64_t got, time;
    if (dot == NULL || strncmp(dot, OLD_SUFFIX, n) != 0 || !take_time(dot + n, &time))
        return NK_PATH_OTHER;
    enum nk_path_kind kind = parse_base(name, (size_t)(dot - name), &got);
    if (kind != NK_PATH_IS_LOG && kind != NK_PATH_IS_DATA) return NK_PATH_OTHER;
    *number = got;
    *time_ms = (int64_t)time;
    return kind == NK_PATH_IS_LOG ? NK_PATH_IS_OLD_LOG : NK_PATH_IS_OLD_DATA;
}
