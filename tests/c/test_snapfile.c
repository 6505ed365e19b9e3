/* SPDX-License-Identifier: MIT
 *
 * test_snapfile.c - records of snapshots and the content hash, compared with format_ref.h. Headers and footer
 * are in test_format.c, whole files in test_snapread.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "format_ref.h"
#include "snapfile.h"
#include "support.h"

#define LSN (UINT64_C(1) << 62)
#define AGE_MAX (LSN - 1)
#define SMALL 64u /* bytes up to which every cut is tried */

static uint8_t body[70000]; /* keys are its beginning, values begin at 1 */

static void *must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

/* ---- what is valid -----------------------------------------------------------------------------*/

struct named {
    const char *name;
    struct ref_snaprec r;
};

static const struct named valids[] = {
    {"empty key, empty value", {.flags = 0}},
    {"one byte each", {.key_bytes = 1, .value_bytes = 1, .age = 1}},
    {"with an expiry", {.flags = 1, .key_bytes = 3, .value_bytes = 5, .expire_ms = 1700000000000}},
    {"first expiry", {.flags = 1, .expire_ms = 1}},
    {"last expiry", {.flags = 1, .key_bytes = 9, .expire_ms = INT64_MAX}},
    {"lengths of one byte, longest", {.key_bytes = 127, .value_bytes = 127, .age = 127}},
    {"lengths of two", {.key_bytes = 128, .value_bytes = 128, .age = 128}},
    {"lengths of two, longest", {.key_bytes = 16383, .value_bytes = 16383, .age = 16383}},
    {"lengths of three", {.key_bytes = 16384, .value_bytes = 16384, .age = 16384}},
    {"longest key", {.key_bytes = 65535, .value_bytes = 65536}},
    {"age of eight bytes", {.key_bytes = 1, .age = UINT64_C(1) << 55}},
    {"oldest", {.flags = 1, .key_bytes = 1, .value_bytes = 1, .age = AGE_MAX, .expire_ms = 7}},
};
#define VALIDS (sizeof valids / sizeof valids[0])

/* bytes_of: those of a case, as the reference makes them; owned, of exactly their size. */
static uint8_t *bytes_of(const struct ref_snaprec *given, size_t *n) {
    struct ref_snaprec r = *given;
    uint8_t *p = must(malloc(NK_SNAP_REC_HEAD_MAX + r.key_bytes + r.value_bytes));
    r.key = body;
    r.value = body + 1;
    *n = ref_snaprec(&r, p);
    return must(realloc(p, *n));
}

static struct nk_snaprec record_of(const struct ref_snaprec *r) {
    return (struct nk_snaprec){.key = body,
                               .value = body + 1,
                               .key_bytes = (uint32_t)r->key_bytes,
                               .value_bytes = (uint32_t)r->value_bytes,
                               .version = LSN - r->age,
                               .expire_ms = r->expire_ms,
                               .large = (r->flags & 2) != 0};
}

static void check_fields(const char *name, const struct nk_snaprec *got,
                         const struct ref_snaprec *r) {
    bool same = got->version == LSN - r->age && got->expire_ms == r->expire_ms &&
                got->key_bytes == r->key_bytes && got->value_bytes == r->value_bytes &&
                got->large == ((r->flags & 2) != 0);
    if (!same) test_fail("%s: a field comes back changed", name);
    if (memcmp(got->key, body, r->key_bytes) != 0 || got->value != got->key + r->key_bytes)
        test_fail("%s: key and value are not where they lie", name);
}

/* The engine writes the head that the specification says. */
static void record__encoded__the_bytes_of_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        uint8_t head[NK_SNAP_REC_HEAD_MAX];
        size_t n;
        struct nk_snaprec r = record_of(&valids[i].r);
        uint8_t *expected = bytes_of(&valids[i].r, &n);
        uint32_t bytes = nk_snaprec_head(&r, LSN, head);
        if (bytes + r.key_bytes + r.value_bytes != n || memcmp(head, expected, bytes) != 0)
            test_fail("%s: other bytes than the reference's", valids[i].name);
        free(expected);
    }
}

/* What was written is read back, field by field, with or without other bytes behind it. */
static void record__parsed__every_field_comes_back(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        for (size_t behind = 0; behind <= 2 * NK_SNAP_REC_HEAD_MAX;
             behind += NK_SNAP_REC_HEAD_MAX) {
            size_t n;
            uint8_t *p = bytes_of(&valids[i].r, &n);
            p = must(realloc(p, n + behind));
            memset(p + n, 0xff, behind);
            struct nk_snaprec got;
            if (nk_snaprec_parse(p, n + behind, LSN, &got) != n)
                test_fail("%s: not parsed, %zu bytes behind it", valids[i].name, behind);
            check_fields(valids[i].name, &got, &valids[i].r);
            assert_memory_equal(got.value, body + 1, got.value_bytes);
            free(p);
        }
    }
}

/* Of a large record the head and the key are parsed, whatever of the value is there. */
static void record__large__head_and_key(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 65536, NITRO_VALUE_MAX};
    for (size_t i = 0; i < 3; i++) {
        struct ref_snaprec r = {
            .flags = 3, .key_bytes = 20, .value_bytes = sizes[i], .age = 5, .expire_ms = 9};
        uint8_t p[128];
        struct nk_snaprec got;
        r.key = body;
        size_t n = ref_snaprec(&r, p);
        memset(p + n, 0xff, sizeof p - n);
        assert_int_equal(nk_snaprec_parse(p, n, LSN, &got), n);
        check_fields("large", &got, &r);
        assert_int_equal(nk_snaprec_parse(p, sizeof p, LSN, &got), n);
        assert_int_equal(nk_snaprec_parse(p, n - 1, LSN, &got), 0);
        uint8_t head[NK_SNAP_REC_HEAD_MAX];
        assert_int_equal(nk_snaprec_head(&got, LSN, head), n - r.key_bytes);
        assert_memory_equal(head, p, n - r.key_bytes);
    }
}

/* The largest value is parsed, one byte more is not. Only the head is there: parsing reads no more. */
static void record__value_of_the_limit__parsed(void **state) {
    (void)state;
    struct ref_snaprec r = {.value_bytes = NITRO_VALUE_MAX};
    uint8_t head[NK_SNAP_REC_HEAD_MAX] = {0};
    struct nk_snaprec got;
    size_t n = ref_snaprec(&r, head);
    assert_int_equal(nk_snaprec_parse(head, n + NITRO_VALUE_MAX, LSN, &got), n + NITRO_VALUE_MAX);
    assert_int_equal(nk_snaprec_parse(head, n + NITRO_VALUE_MAX - 1, LSN, &got), 0);
}

/* ---- what is not valid -------------------------------------------------------------------------*/

/* Cut anywhere, a record is not one; nothing is read behind the cut and nothing is given back. */
static void record__cut_at_every_byte__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        for (size_t cut = 0; cut < n; cut = n <= SMALL || cut < SMALL ? cut + 1 : cut + 997) {
            struct nk_snaprec got;
            memset(&got, 0x5a, sizeof got);
            struct nk_snaprec before;
            memcpy(&before, &got, sizeof before);
            uint8_t *piece = must(malloc(cut + (cut == 0)));
            memcpy(piece, p, cut);
            if (nk_snaprec_parse(piece, cut, LSN, &got) != 0)
                test_fail("%s: parsed with %zu of %zu bytes", valids[i].name, cut, n);
            assert_memory_equal(&got, &before, sizeof got);
            free(piece);
        }
        free(p);
    }
}

static const struct named invalids[] = {
    {"flag 2", {.flags = 4, .key_bytes = 1}},
    {"flag 7", {.flags = 0x80, .key_bytes = 1}},
    {"expiry 0", {.flags = 1, .key_bytes = 1}},
    {"expiry -1", {.flags = 1, .key_bytes = 1, .expire_ms = -1}},
    {"expiry, smallest", {.flags = 1, .key_bytes = 1, .expire_ms = INT64_MIN}},
    {"large, without a value", {.flags = 2, .key_bytes = 1}},
    {"key too long", {.key_bytes = 65536}},
    {"key of 2^32 bytes", {.key_bytes = UINT64_C(1) << 32}},
    {"key of 2^63 - 1 bytes", {.key_bytes = INT64_MAX}},
    {"value too long", {.value_bytes = NITRO_VALUE_MAX + 1}},
    {"large value too long", {.flags = 2, .value_bytes = NITRO_VALUE_MAX + 1}},
    {"value of 2^32 bytes", {.value_bytes = UINT64_C(1) << 32}},
    {"version 0", {.age = LSN}},
    {"version below 0", {.age = LSN + 1}},
    {"age of 2^63 - 1", {.age = INT64_MAX}},
    {"age of ten bytes", {.age = UINT64_C(1) << 63}},
    {"key length 1 in two bytes", {.key_bytes = 1, .key_width = 2}},
    {"key length 200 in three", {.key_bytes = 200, .key_width = 3}},
    {"value length 0 in two bytes", {.value_width = 2}},
    {"value length 200 in three", {.value_bytes = 200, .value_width = 3}},
    {"age 0 in two bytes", {.age_width = 2}},
    {"age 1 in nine", {.age = 1, .age_width = 9}},
};

/* Each rule refuses what breaks it, though as many bytes as one likes are there. */
static void record__rule_broken__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof invalids / sizeof invalids[0]; i++) {
        uint8_t p[512] = {0};
        struct nk_snaprec got;
        ref_snaprec(&invalids[i].r, p);
        if (nk_snaprec_parse(p, UINT64_MAX, LSN, &got) != 0)
            test_fail("%s: parsed", invalids[i].name);
    }
}

/* ---- content hash ------------------------------------------------------------------------------*/

static struct ref_hash hash_of(const void *key, size_t key_bytes, const void *value,
                               size_t value_bytes, int64_t expire_ms) {
    struct nk_snaprec r = {.key = key,
                           .value = value,
                           .key_bytes = (uint32_t)key_bytes,
                           .value_bytes = (uint32_t)value_bytes,
                           .version = 1,
                           .expire_ms = expire_ms};
    struct ref_hash h = {0, 0};
    nk_snap_hash(&r, &h.a, &h.b);
    return h;
}

/* Each length of the last part is its own case: all of them, from blocks of exactly their size. */
static void hash__every_length__as_the_reference(void **state) {
    (void)state;
    for (size_t key = 0; key <= 40; key++) {
        for (size_t value = 0; value <= 70; value++) {
            uint8_t *k = must(malloc(key + (key == 0))), *v = must(malloc(value + (value == 0)));
            memcpy(k, body + 100, key);
            memcpy(v, body + 200, value);
            struct ref_hash want = {0, 0}, got = hash_of(k, key, v, value, (int64_t)(key & 1));
            ref_snap_hash(&want, k, key, v, value, (int64_t)(key & 1));
            if (got.a != want.a || got.b != want.b)
                test_fail("key of %zu bytes, value of %zu: another hash", key, value);
            free(k);
            free(v);
        }
    }
    struct ref_hash want = {0, 0}, got = hash_of(body, 65535, body + 1, 69999, INT64_MAX);
    ref_snap_hash(&want, body, 65535, body + 1, 69999, INT64_MAX);
    assert_true(got.a == want.a && got.b == want.b);
}

/* Sums that another program computed from the text of snapfile.h: whoever changes reference and engine alike finds it here. */
static void hash__known_record__known_sums(void **state) {
    (void)state;
    struct ref_hash h = hash_of("user_id", 7, "42069", 5, 0);
    assert_true(h.a == UINT64_C(0x01716da3f24938f1));
    assert_true(h.b == UINT64_C(0xfe0d398063d71d09));
}

/* Everything that belongs to the contents shows in both sums: each bit of key, value, lengths and expiry. */
static void hash__anything_changed__both_sums_change(void **state) {
    (void)state;
    uint8_t record[48];
    memcpy(record, body, sizeof record);
    struct ref_hash base = hash_of(record, 20, record + 20, 28, 1000);
    for (size_t bit = 0; bit < 8 * sizeof record; bit++) {
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct ref_hash h = hash_of(record, 20, record + 20, 28, 1000);
        assert_true(h.a != base.a && h.b != base.b);
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (int bit = 0; bit < 63; bit++) {
        struct ref_hash h = hash_of(record, 20, record + 20, 28, 1000 ^ INT64_C(1) << bit);
        assert_true(h.a != base.a && h.b != base.b);
    }
    for (size_t key = 0; key <= sizeof record; key++) { /* the same bytes, divided elsewhere */
        struct ref_hash h = hash_of(record, key, record + key, sizeof record - key, 1000);
        assert_true(key == 20 || (h.a != base.a && h.b != base.b));
    }
    uint8_t zeros[64] = {0};
    for (size_t n = 0; n < 64; n++) { /* zeros that are there and zeros that fill up */
        struct ref_hash with = hash_of(zeros, 1, zeros, n + 1, 0);
        struct ref_hash without = hash_of(zeros, 1, zeros, n, 0);
        assert_true(with.a != without.a && with.b != without.b);
    }
}

/* The sums know no order, but they do know which value belongs to which key. */
static void hash__values_change_places__sums_change(void **state) {
    (void)state;
    struct ref_hash k1v1 = hash_of("k1", 2, "one", 3, 0), k2v2 = hash_of("k2", 2, "two", 3, 0);
    struct ref_hash k1v2 = hash_of("k1", 2, "two", 3, 0), k2v1 = hash_of("k2", 2, "one", 3, 0);
    assert_true(k1v1.a + k2v2.a != k1v2.a + k2v1.a);
    assert_true(k1v1.b + k2v2.b != k1v2.b + k2v1.b);
    struct nk_snaprec first = {.key = body, .key_bytes = 3}, second = {.key = body, .key_bytes = 4};
    struct ref_hash one = {0, 0}, other = {0, 0};
    nk_snap_hash(&first, &one.a, &one.b);
    nk_snap_hash(&second, &one.a, &one.b);
    nk_snap_hash(&second, &other.a, &other.b);
    nk_snap_hash(&first, &other.a, &other.b);
    assert_true(one.a == other.a && one.b == other.b);
}

/* Among many small records that differ little no two have the same hash, in either half. */
static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}
static void hash__many_alike_records__no_two_the_same(void **state) {
    (void)state;
    size_t count = (size_t)test_scale(200000);
    uint64_t *a = must(malloc(count * sizeof *a)), *b = must(malloc(count * sizeof *b));
    for (size_t i = 0; i < count; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "key:%zu", i / 4);
        struct ref_hash h = hash_of(key, (size_t)n, &i, i % 4, 0);
        a[i] = h.a;
        b[i] = h.b;
    }
    qsort(a, count, sizeof *a, compare_u64);
    qsort(b, count, sizeof *b, compare_u64);
    for (size_t i = 1; i < count; i++) assert_true(a[i] != a[i - 1] && b[i] != b[i - 1]);
    free(a);
    free(b);
}

int main(void) {
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(i * 167 + (i >> 8) + 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record__encoded__the_bytes_of_the_reference),
        cmocka_unit_test(record__parsed__every_field_comes_back),
        cmocka_unit_test(record__large__head_and_key),
        cmocka_unit_test(record__value_of_the_limit__parsed),
        cmocka_unit_test(record__cut_at_every_byte__not_valid),
        cmocka_unit_test(record__rule_broken__not_valid),
        cmocka_unit_test(hash__every_length__as_the_reference),
        cmocka_unit_test(hash__known_record__known_sums),
        cmocka_unit_test(hash__anything_changed__both_sums_change),
        cmocka_unit_test(hash__values_change_places__sums_change),
        cmocka_unit_test(hash__many_alike_records__no_two_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
