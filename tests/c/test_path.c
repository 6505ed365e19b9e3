/* SPDX-License-Identifier: MIT
 *
 * test_path.c - names of a data folder: what is built is parsed back, and nothing else is ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "path.h"

#define UNSET UINT64_C(777)

/* check_parse: a name's kind; the number is set for files that have one alone. */
static void check_parse(const char *name, enum nk_path_kind kind, uint64_t number) {
    uint64_t got = UNSET;
    enum nk_path_kind is = nk_path_parse(name, &got);
    bool numbered = kind == NK_PATH_IS_LOG || kind == NK_PATH_IS_SNAP ||
                    kind == NK_PATH_IS_SNAP_TMP || kind == NK_PATH_IS_DATA ||
                    kind == NK_PATH_IS_HINT || kind == NK_PATH_IS_HINT_TMP ||
                    kind == NK_PATH_IS_SNAP_DIR;
    if (is != kind || got != (numbered ? number : UNSET))
        fail_msg("\"%s\": kind %d number %" PRIu64, name, (int)is, got);
}

/* Every number, from the smallest to the largest, comes back from its name. */
static void numbered__numbers__round_trip(void **state) {
    (void)state;
    static const uint64_t numbers[] = {1, 9, 10, 99, 4294967295, 4294967296, 9999999999};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char name[NK_PATH_MAX];
        nk_path_log(numbers[i], name);
        assert_int_equal(strlen(name), 14);
        check_parse(name, NK_PATH_IS_LOG, numbers[i]);
        nk_path_snap(numbers[i], name);
        assert_int_equal(strlen(name), 15);
        check_parse(name, NK_PATH_IS_SNAP, numbers[i]);
        nk_path_snap_tmp(numbers[i], name);
        assert_int_equal(strlen(name), 19);
        check_parse(name, NK_PATH_IS_SNAP_TMP, numbers[i]);
        nk_path_data(numbers[i], name);
        assert_int_equal(strlen(name), 15);
        check_parse(name, NK_PATH_IS_DATA, numbers[i]);
        nk_path_hint(numbers[i], name);
        assert_int_equal(strlen(name), 15);
        check_parse(name, NK_PATH_IS_HINT, numbers[i]);
        nk_path_hint_tmp(numbers[i], name);
        assert_int_equal(strlen(name), 19);
        check_parse(name, NK_PATH_IS_HINT_TMP, numbers[i]);
        nk_path_snap_dir(numbers[i], name);
        assert_int_equal(strlen(name), 19);
        check_parse(name, NK_PATH_IS_SNAP_DIR, numbers[i]);
    }
}

/* check_old: what a name in the folder of replaced files is. */
static void check_old(const char *name, enum nk_path_kind kind, uint64_t number, int64_t time_ms) {
    uint64_t got = UNSET;
    int64_t time = -1;
    enum nk_path_kind is = nk_path_parse_old(name, &got, &time);
    bool ours = kind != NK_PATH_OTHER;
    if (is != kind || got != (ours ? number : UNSET) || time != (ours ? time_ms : -1))
        fail_msg("\"%s\": kind %d number %" PRIu64 " time %" PRId64, name, (int)is, got, time);
}

/* A replaced file has its name, and when it was replaced; and where live files are, it is nobody's. */
static void old__names__round_trip(void **state) {
    (void)state;
    static const int64_t times[] = {0, 9, 1732219200000, INT64_MAX};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char log[NK_PATH_MAX], name[NK_PATH_MAX];
        nk_path_log(9999999999, log);
        nk_path_old(log, times[i], name);
        check_old(name, NK_PATH_IS_OLD_LOG, 9999999999, times[i]);
        check_parse(name, NK_PATH_OTHER, 0);
        nk_path_data(12, log);
        nk_path_old(log, times[i], name);
        check_old(name, NK_PATH_IS_OLD_DATA, 12, times[i]);
    }
    static const char *const others[] = {
        "0000000012.log",        "0000000012.log.old-",   "0000000012.log.old-01",
        "0000000012.hint.old-1", "0000000012.log.bak-1",  "MANIFEST.old-1",
        "0000000000.log.old-1",  "0000000012.log.old-1 ", "12.log.old-1"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        check_old(others[i], NK_PATH_OTHER, 0, 0);
    static const char *const folders[] = {"snapshot-", "snapshot-0000000000", "snapshot-12",
                                          "snapshot-00000000012", "snapshot-000000001x"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        check_parse(folders[i], NK_PATH_OTHER, 0);
}

/* Leading zeros stay, so that names sort as their numbers do. */
static void log__small_numbers__keep_leading_zeros(void **state) {
    (void)state;
    char a[NK_PATH_MAX], b[NK_PATH_MAX];
    nk_path_log(42, a);
    assert_string_equal(a, "0000000042.log");
    nk_path_log(100, b);
    assert_true(strcmp(a, b) < 0);
}

/* The names that stand alone. */
static void parse__fixed_names__their_kinds(void **state) {
    (void)state;
    check_parse("MANIFEST", NK_PATH_IS_MANIFEST, 0);
    check_parse("CONTROL", NK_PATH_IS_CONTROL, 0);
    check_parse("LOCK", NK_PATH_IS_LOCK, 0);
    check_parse(NK_PATH_MANIFEST_TMP, NK_PATH_IS_TMP, 0);
    check_parse(NK_PATH_CONTROL_TMP, NK_PATH_IS_TMP, 0);
}

/* The name of a file with a number has one spelling. */
static void parse__numbered_spelled_otherwise__is_not_ours(void **state) {
    (void)state;
    static const char *names[] = {
        "0000000000.log",
        "00000000001.log",
        "10000000000.log",
        "000000001.log",
        "1.log",
        "0000000001.log ",
        "0000000001.logx",
        "0000000001.LOG",
        "0000000001",
        "0000000001.lo",
        "000000000a.log",
        "+000000001.log",
        " 000000001.log",
        ".log",
        "0000000001-log",
        "0000000000.snap",
        "000000001.snap",
        "0000000001.sna",
        "0000000001.snap1",
        "0000000001.SNAP",
        "0000000000.snap.tmp",
        "0000000001.snap.tm",
        "0000000001.snap.tmp.tmp",
        "1.snap.tmp",
        "0000000000.data",
        "0000000001.DATA",
        "0000000001.dat",
        "0000000001.data1",
        "0000000000.hint",
        "00000000001.hint",
        "0000000001.hints",
        "0000000000.hint.tmp",
        "0000000001.hint.tm",
        "0000000001.hint.tmp.tmp",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_parse(names[i], NK_PATH_OTHER, 0);
}

/* Neither has any other name. */
static void parse__strangers__are_not_ours(void **state) {
    (void)state;
    static const char *names[] = {
        "",           ".",         "..",         "MANIFEST ",   "manifest",     "MANIFES",
        "MANIFESTO",  "CONTROL2",  "LOCK.tmp",   ".tmp",        "x.tmp",        "MANIFEST.tmp.tmp",
        "lost+found", "MANIFEST.", "LOCK.bak-1", "notes.bak-1", "MANIFEST.TMP",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_parse(names[i], NK_PATH_OTHER, 0);
}

/* What is being replaced lies beside its replacement. */
static void tmp__names__round_trip(void **state) {
    (void)state;
    char name[NK_PATH_MAX];
    nk_path_tmp(NK_PATH_MANIFEST, name);
    assert_string_equal(name, NK_PATH_MANIFEST_TMP);
    nk_path_tmp(NK_PATH_CONTROL, name);
    assert_string_equal(name, NK_PATH_CONTROL_TMP);
    nk_path_tmp("0000000007.log", name);
    assert_string_equal(name, "0000000007.log.tmp");
    check_parse(name, NK_PATH_IS_TMP, 0);
    nk_path_tmp("0000000007.data", name);
    check_parse(name, NK_PATH_IS_TMP, 0);
    nk_path_snap_tmp(7, name);
    assert_string_equal(name, "0000000007.snap.tmp");
    nk_path_hint_tmp(7, name);
    assert_string_equal(name, "0000000007.hint.tmp");
}

/* Backups carry any time there is. */
static void backup__names_and_times__round_trip(void **state) {
    (void)state;
    static const char *names[] = {"MANIFEST",       "CONTROL",         "0000000007.log",
                                  "9999999999.log", "9999999999.snap", "9999999999.data",
                                  "0000000007.hint"};
    static const int64_t times[] = {0, 9, 10, 1700000000000, INT64_MAX};
    char name[NK_PATH_MAX];
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        for (size_t t = 0; t < sizeof times / sizeof times[0]; t++) {
            char want[64];
            snprintf(want, sizeof want, "%s.bak-%" PRId64, names[n], times[t]);
            nk_path_backup(names[n], times[t], name);
            assert_string_equal(name, want);
            check_parse(name, NK_PATH_IS_BACKUP, 0);
        }
    }
}

/* A time that no repair writes is not ours. */
static void parse__backup_spelled_otherwise__is_not_ours(void **state) {
    (void)state;
    static const char *names[] = {
        "MANIFEST.bak-",
        "MANIFEST.bak-01",
        "MANIFEST.bak-00",
        "MANIFEST.bak-1x",
        "MANIFEST.bak--1",
        "MANIFEST.bak-9223372036854775808",
        "MANIFEST.bak-11111111111111111111",
        "MANIFEST.bak",
        "0000000000.log.bak-1",
        "MANIFEST.tmp.bak-1",
        "MANIFEST.bak-1.tmp",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_parse(names[i], NK_PATH_OTHER, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbered__numbers__round_trip),
        cmocka_unit_test(old__names__round_trip),
        cmocka_unit_test(log__small_numbers__keep_leading_zeros),
        cmocka_unit_test(parse__fixed_names__their_kinds),
        cmocka_unit_test(parse__numbered_spelled_otherwise__is_not_ours),
        cmocka_unit_test(parse__strangers__are_not_ours),
        cmocka_unit_test(tmp__names__round_trip),
        cmocka_unit_test(backup__names_and_times__round_trip),
        cmocka_unit_test(parse__backup_spelled_otherwise__is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
