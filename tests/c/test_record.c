/* SPDX-License-Identifier: MIT
 *
 * test_record.c - records of the log: every rule of record.h, every byte under the CRC, every cut.
 *
 * The bytes are made twice: by the engine, and by format_ref.h, which shares nothing with it. Records
 * that break a rule come from there, with a CRC that is right, so that the rule refuses them and not the
 * CRC. Parsed bytes lie in blocks of exactly their size, so that memcheck and ASan see a byte read too far.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "format_ref.h"
#include "record.h"
#include "support.h"

#define FIRST_LSN UINT64_C(1000)
#define OFFSET UINT64_C(0x12345)
#define SALT UINT64_C(0xfedcba9876543210)
#define DELTA_MAX ((UINT64_C(1) << 63) - 1)
#define BODY_MAX 65536u         /* longest key or value of the records below */
#define SMALL 256u              /* records up to this size are tried bit by bit */
#define FAR (UINT64_C(1) << 40) /* "so many bytes are there": more than any record needs */

static uint8_t body[BODY_MAX]; /* keys and values are taken from here */

static void *must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

static uint8_t *copy_of(const uint8_t *p, size_t n) {
    uint8_t *copy = must(malloc(n + (n == 0)));
    memcpy(copy, p, n);
    return copy;
}

/* ---- valid records -----------------------------------------------------------------------------*/

struct valid {
    const char *name;
    struct ref_record r;
};

static const struct valid valids[] = {
    {"put", {.kind = 0x01, .delta = 5, .key_bytes = 7, .value_bytes = 5}},
    {"put of nothing", {.kind = 0x01}},
    {"put, key alone", {.kind = 0x01, .key_bytes = 1}},
    {"put, value alone", {.kind = 0x01, .value_bytes = 1}},
    {"put, expiry", {.kind = 0x21, .key_bytes = 3, .value_bytes = 9, .expire_ms = 1700000000000}},
    {"put, first millisecond", {.kind = 0x21, .key_bytes = 1, .expire_ms = 1}},
    {"put, last millisecond", {.kind = 0x21, .key_bytes = 1, .expire_ms = INT64_MAX}},
    {"put in a batch", {.kind = 0x41, .key_bytes = 2, .value_bytes = 2}},
    {"put in a batch, expiry", {.kind = 0x61, .key_bytes = 2, .value_bytes = 2, .expire_ms = 9}},
    {"put, lengths of one byte", {.kind = 0x01, .key_bytes = 127, .value_bytes = 127}},
    {"put, lengths of two", {.kind = 0x01, .key_bytes = 128, .value_bytes = 128}},
    {"put, lengths of two, longest", {.kind = 0x01, .key_bytes = 16383, .value_bytes = 16383}},
    {"put, lengths of three", {.kind = 0x01, .key_bytes = 16384, .value_bytes = 16384}},
    {"put, longest key", {.kind = 0x01, .key_bytes = 65535, .value_bytes = 65535}},
    {"put, packed", {.kind = 0x81, .key_bytes = 3, .value_bytes = 9}},
    {"put, packed, shortest", {.kind = 0x81, .key_bytes = 1, .value_bytes = 3}},
    {"put, packed, in a batch, expiry",
     {.kind = 0xe1, .key_bytes = 3, .value_bytes = 300, .expire_ms = 9}},
    {"delta of one byte", {.kind = 0x02, .delta = 127, .key_bytes = 1}},
    {"delta of two", {.kind = 0x02, .delta = 128, .key_bytes = 1}},
    {"delta of two, largest", {.kind = 0x02, .delta = 16383, .key_bytes = 1}},
    {"delta of three", {.kind = 0x02, .delta = 16384, .key_bytes = 1}},
    {"delta of three, largest", {.kind = 0x02, .delta = 2097151, .key_bytes = 1}},
    {"delta of five", {.kind = 0x02, .delta = UINT32_MAX, .key_bytes = 1}},
    {"delta of nine", {.kind = 0x02, .delta = UINT64_C(1) << 56, .key_bytes = 1}},
    {"delta of nine, largest", {.kind = 0x61, .delta = DELTA_MAX, .key_bytes = 9, .expire_ms = 7}},
    {"delete", {.kind = 0x02, .key_bytes = 7}},
    {"delete of the empty key", {.kind = 0x02}},
    {"delete, longest key", {.kind = 0x02, .key_bytes = 65535}},
    {"delete in a batch", {.kind = 0x42, .key_bytes = 7}},
    {"expire", {.kind = 0x23, .key_bytes = 7, .expire_ms = 1700000000000}},
    {"expire, no expiry any more", {.kind = 0x03, .key_bytes = 7}},
    {"expire in a batch", {.kind = 0x63, .key_bytes = 7, .expire_ms = 1}},
    {"flush", {.kind = 0x04, .delta = 3}},
    {"flush in a batch", {.kind = 0x44}},
};
#define VALIDS (sizeof valids / sizeof valids[0])

/* bytes_of: those of a case, as the reference makes them; owned. */
static uint8_t *bytes_of(const struct ref_record *given, size_t *n) {
    struct ref_record r = *given;
    uint8_t *p = must(malloc(NK_REC_HEAD_MAX + r.key_bytes + r.value_bytes));
    r.key = body;
    r.value = body + 1;
    *n = ref_record(&r, FIRST_LSN, OFFSET, SALT, p);
    uint8_t *exact = copy_of(p, *n);
    free(p);
    return exact;
}

/* record_of: a case as the engine is given it. */
static struct nk_record record_of(const struct ref_record *r) {
    return (struct nk_record){.lsn = FIRST_LSN + r->delta,
                              .kind = (enum nk_rec_kind)(r->kind & 0x1f),
                              .more = (r->kind & 0x40) != 0,
                              .packed = (r->kind & 0x80) != 0,
                              .expire_ms = r->expire_ms,
                              .key = body,
                              .value = body + 1,
                              .key_bytes = (uint32_t)r->key_bytes,
                              .value_bytes = (uint32_t)r->value_bytes};
}

/* encode: the engine's bytes of r; owned. */
static uint8_t *encode(const struct nk_record *r, size_t *n) {
    uint8_t head[NK_REC_HEAD_MAX];
    uint32_t crc = nk_record_body_crc(r);
    uint32_t bytes = nk_record_head(r, crc, FIRST_LSN, OFFSET, SALT, head);
    assert_in_range(bytes, 8, NK_REC_HEAD_MAX);
    *n = (size_t)bytes + r->key_bytes + r->value_bytes;
    uint8_t *p = must(malloc(*n));
    memcpy(p, head, bytes);
    if (r->key_bytes > 0) memcpy(p + bytes, r->key, r->key_bytes);
    if (r->value_bytes > 0) memcpy(p + bytes + r->key_bytes, r->value, r->value_bytes);
    return p;
}

static bool valid_at(const uint8_t *p, size_t n, uint64_t first_lsn, uint64_t offset,
                     uint64_t salt) {
    struct nk_record r;
    uint64_t bytes = nk_record_parse(p, n, first_lsn, &r);
    return bytes != 0 && nk_record_check(p, bytes, &r, offset, salt);
}

/* The engine writes the bytes that the specification says, within the bound it promises. */
static void record__encoded__the_bytes_of_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        struct nk_record r = record_of(&valids[i].r);
        size_t n, expected_n;
        uint8_t *p = encode(&r, &n), *expected = bytes_of(&valids[i].r, &expected_n);
        if (n != expected_n || memcmp(p, expected, n) != 0)
            test_fail("%s: other bytes than the reference's", valids[i].name);
        assert_true(n <= nk_record_max(r.key_bytes, r.value_bytes));
        free(p);
        free(expected);
    }
}

static void check_fields(const char *name, const uint8_t *p, size_t n, const struct nk_record *got,
                         const struct ref_record *r) {
    bool same = got->lsn == FIRST_LSN + r->delta && (int)got->kind == (r->kind & 0x1f) &&
                got->more == ((r->kind & 0x40) != 0) && got->expire_ms == r->expire_ms &&
                got->packed == ((r->kind & 0x80) != 0) && got->key_bytes == r->key_bytes &&
                got->value_bytes == r->value_bytes;
    if (!same) test_fail("%s: a field comes back changed", name);
    if (got->value != got->key + r->key_bytes || got->value + r->value_bytes != p + n)
        test_fail("%s: key and value are not where they lie", name);
}

/* What was written is read back, field by field, with or without other bytes behind it. */
static void record__parsed__every_field_comes_back(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        for (size_t behind = 0; behind <= 2 * NK_REC_HEAD_MAX; behind += NK_REC_HEAD_MAX) {
            size_t n;
            uint8_t *p = bytes_of(&valids[i].r, &n);
            p = must(realloc(p, n + behind));
            memset(p + n, 0xff, behind);
            struct nk_record got;
            if (nk_record_parse(p, n + behind, FIRST_LSN, &got) != n)
                test_fail("%s: not parsed, %zu bytes behind it", valids[i].name, behind);
            check_fields(valids[i].name, p, n, &got, &valids[i].r);
            assert_true(nk_record_check(p, n, &got, OFFSET, SALT));
            free(p);
        }
    }
}

/* Parsed and encoded again, a record has the same bytes. */
static void record__parsed_and_encoded__the_same_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n, again_n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        struct nk_record got;
        assert_int_equal(nk_record_parse(p, n, FIRST_LSN, &got), n);
        uint8_t *again = encode(&got, &again_n);
        assert_int_equal(again_n, n);
        assert_memory_equal(again, p, n);
        free(again);
        free(p);
    }
}

/* The largest value is parsed, one byte more is not. Only the head is there: parsing reads no more. */
static void record__value_of_the_limit__parsed(void **state) {
    (void)state;
    struct ref_record r = {.kind = 0x01, .value_bytes = NITRO_VALUE_MAX};
    uint8_t head[NK_REC_HEAD_MAX] = {0};
    struct nk_record got;
    size_t n = ref_record(&r, FIRST_LSN, OFFSET, SALT, head);
    assert_int_equal(nk_record_parse(head, n + NITRO_VALUE_MAX, FIRST_LSN, &got),
                     n + NITRO_VALUE_MAX);
    assert_int_equal(nk_record_parse(head, n + NITRO_VALUE_MAX - 1, FIRST_LSN, &got), 0);
}

/* A SET of 16 + 64 bytes, a million records into its file, costs ten bytes beyond them. */
static void record__ordinary_set__ten_bytes_beyond_the_payload(void **state) {
    (void)state;
    struct ref_record r = {.kind = 0x01, .delta = 1000000, .key_bytes = 16, .value_bytes = 64};
    struct nk_record given = record_of(&r);
    size_t n;
    free(encode(&given, &n));
    assert_int_equal(n, 16 + 64 + 10);
}

/* The size of a record is known from its head alone: from as many bytes as that has, and not from fewer. */
static void record__head_alone__its_size(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        size_t head = n - valids[i].r.key_bytes - valids[i].r.value_bytes;
        for (size_t cut = 0; cut <= head; cut++) {
            uint8_t *piece = copy_of(p, cut);
            if (nk_record_bytes(piece, cut) != (cut < head ? 0 : n))
                test_fail("%s: another size from %zu bytes", valids[i].name, cut);
            free(piece);
        }
        assert_int_equal(nk_record_bytes(p, n), n);
        free(p);
    }
}

/* ---- what is not valid -------------------------------------------------------------------------*/

/* Cut anywhere, a record is not one; nothing is read behind the cut and nothing is given back. */
static void record__cut_at_every_byte__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        for (size_t cut = 0; cut < n; cut = n <= SMALL || cut < SMALL ? cut + 1 : cut + 997) {
            struct nk_record got;
            memset(&got, 0x5a, sizeof got);
            struct nk_record before = got;
            uint8_t *piece = copy_of(p, cut);
            if (nk_record_parse(piece, cut, FIRST_LSN, &got) != 0)
                test_fail("%s: parsed with %zu of %zu bytes", valids[i].name, cut, n);
            assert_memory_equal(&got, &before, sizeof got);
            free(piece);
        }
        free(p);
    }
}

/* Each bit of a record counts. */
static void record__any_bit_flipped__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        for (size_t bit = 0; n <= SMALL && bit < 8 * n; bit++) {
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (valid_at(p, n, FIRST_LSN, OFFSET, SALT))
                test_fail("%s: valid with bit %zu of byte %zu flipped", valids[i].name, bit % 8,
                          bit / 8);
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(valid_at(p, n, FIRST_LSN, OFFSET, SALT));
        free(p);
    }
}

/* A record is valid in its own place alone: LSN, offset and salt all count, each bit of them. */
static void record__in_another_place__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < VALIDS; i++) {
        size_t n;
        uint8_t *p = bytes_of(&valids[i].r, &n);
        for (int bit = 0; n <= SMALL && bit < 64; bit++) {
            uint64_t flip = UINT64_C(1) << bit;
            if (valid_at(p, n, FIRST_LSN ^ flip, OFFSET, SALT))
                test_fail("%s: valid with bit %d of the first LSN flipped", valids[i].name, bit);
            if (valid_at(p, n, FIRST_LSN, OFFSET ^ flip, SALT))
                test_fail("%s: valid with bit %d of the offset flipped", valids[i].name, bit);
            if (valid_at(p, n, FIRST_LSN, OFFSET, SALT ^ flip))
                test_fail("%s: valid with bit %d of the salt flipped", valids[i].name, bit);
        }
        free(p);
    }
}

/* The value of the batch's flag, of the delta and of the expiry are under the CRC, and not only so far as
 * they change lengths: a record whose field is replaced by another valid one does not pass. */
static void record__a_field_replaced_by_another_valid_one__not_valid(void **state) {
    (void)state;
    struct ref_record from = {.kind = 0x23, .delta = 5, .key_bytes = 7, .expire_ms = 77};
    struct ref_record to[] = {from, from, from, from};
    to[0].delta = 6;
    to[1].expire_ms = 78;
    to[2].kind = 0x63;
    to[3].kind = 0x21;
    for (size_t i = 0; i < 4; i++) {
        size_t n, other_n;
        uint8_t *p = bytes_of(&from, &n), *other = bytes_of(&to[i], &other_n);
        assert_int_equal(n, other_n);
        memcpy(other, p, NK_REC_CRC_BYTES);
        struct nk_record got;
        assert_int_equal(nk_record_parse(other, n, FIRST_LSN, &got), n);
        assert_false(nk_record_check(other, n, &got, OFFSET, SALT));
        free(p);
        free(other);
    }
}

struct invalid {
    const char *name;
    struct ref_record r;
};

static const struct invalid invalids[] = {
    {"kind 0", {.kind = 0x00, .key_bytes = 1}},
    {"kind 5, reserved", {.kind = 0x05, .key_bytes = 1}},
    {"kind 6, reserved", {.kind = 0x06, .key_bytes = 1}},
    {"kind 7, reserved", {.kind = 0x07, .key_bytes = 1}},
    {"kind 8, unknown", {.kind = 0x08, .key_bytes = 1}},
    {"kind 31, unknown", {.kind = 0x1f, .key_bytes = 1}},
    {"put, packed, no value", {.kind = 0x81, .key_bytes = 1}},
    {"put, packed, value too short", {.kind = 0x81, .key_bytes = 1, .value_bytes = 2}},
    {"bit 7 of a delete", {.kind = 0x82, .key_bytes = 1}},
    {"bit 7 of a delete with a value", {.kind = 0x82, .key_bytes = 1, .value_bytes = 9}},
    {"bit 7 of an expire", {.kind = 0xa3, .key_bytes = 1, .expire_ms = 5}},
    {"bit 7 of a flush", {.kind = 0x84}},
    {"expiry 0", {.kind = 0x21, .key_bytes = 1, .expire_ms = 0}},
    {"expiry -1", {.kind = 0x21, .key_bytes = 1, .expire_ms = -1}},
    {"expiry, smallest", {.kind = 0x23, .key_bytes = 1, .expire_ms = INT64_MIN}},
    {"delete with a value", {.kind = 0x02, .key_bytes = 1, .value_bytes = 1}},
    {"delete with an expiry", {.kind = 0x22, .key_bytes = 1, .expire_ms = 1}},
    {"expire with a value", {.kind = 0x23, .key_bytes = 1, .value_bytes = 1, .expire_ms = 1}},
    {"flush with a key", {.kind = 0x04, .key_bytes = 1}},
    {"flush with a value", {.kind = 0x04, .value_bytes = 1}},
    {"flush with an expiry", {.kind = 0x24, .expire_ms = 1}},
    {"put, key too long", {.kind = 0x01, .key_bytes = 65536}},
    {"delete, key too long", {.kind = 0x02, .key_bytes = 65536}},
    {"expire, key too long", {.kind = 0x03, .key_bytes = 65536}},
    {"key of 2^32 bytes", {.kind = 0x01, .key_bytes = UINT64_C(1) << 32}},
    {"key of 2^63 - 1 bytes", {.kind = 0x01, .key_bytes = DELTA_MAX}},
    {"value too long", {.kind = 0x01, .value_bytes = NITRO_VALUE_MAX + 1}},
    {"value of 2^32 bytes", {.kind = 0x01, .value_bytes = UINT64_C(1) << 32}},
    {"value of 2^63 - 1 bytes", {.kind = 0x01, .value_bytes = DELTA_MAX}},
    {"delta 0 in two bytes", {.kind = 0x01, .key_bytes = 1, .delta_width = 2}},
    {"delta 1 in two bytes", {.kind = 0x01, .key_bytes = 1, .delta = 1, .delta_width = 2}},
    {"delta 128 in three", {.kind = 0x01, .key_bytes = 1, .delta = 128, .delta_width = 3}},
    {"delta 1 in nine", {.kind = 0x01, .key_bytes = 1, .delta = 1, .delta_width = 9}},
    {"delta 2^63, in ten", {.kind = 0x01, .key_bytes = 1, .delta = DELTA_MAX + 1}},
    {"delta 1 in ten", {.kind = 0x01, .key_bytes = 1, .delta = 1, .delta_width = 10}},
    {"key length 1 in two bytes", {.kind = 0x01, .key_bytes = 1, .key_width = 2}},
    {"key length 200 in three", {.kind = 0x01, .key_bytes = 200, .key_width = 3}},
    {"key length 1 in ten", {.kind = 0x01, .key_bytes = 1, .key_width = 10}},
    {"value length 0 in two bytes", {.kind = 0x01, .key_bytes = 1, .value_width = 2}},
    {"value length 200 in three", {.kind = 0x01, .value_bytes = 200, .value_width = 3}},
    {"value length 1 in ten", {.kind = 0x01, .value_bytes = 1, .value_width = 10}},
};

/* Each rule refuses what breaks it, though the CRC is right and as many bytes as one likes are there. */
static void record__rule_broken__not_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof invalids / sizeof invalids[0]; i++) {
        struct ref_record r = invalids[i].r;
        uint8_t p[512] = {0};
        r.key = r.key_bytes <= 200 ? body : NULL;
        r.value = r.value_bytes <= 200 ? body : NULL;
        ref_record(&r, FIRST_LSN, OFFSET, SALT, p);
        struct nk_record got;
        if (nk_record_parse(p, FAR, FIRST_LSN, &got) != 0)
            test_fail("%s: parsed", invalids[i].name);
        if (nk_record_bytes(p, FAR) != 0) test_fail("%s: has a size", invalids[i].name);
        if (nk_record_parse(p, UINT64_MAX, FIRST_LSN, &got) != 0)
            test_fail("%s: parsed with no end in sight", invalids[i].name);
    }
}

/* LSNs end at 2^64 - 1: a delta that would go round is refused, the last one that does not is not. */
static void record__lsn_beyond_64_bits__not_valid(void **state) {
    (void)state;
    struct ref_record r = {.kind = 0x04, .delta = 100};
    uint8_t p[NK_REC_HEAD_MAX] = {0};
    struct nk_record got;
    size_t n = ref_record(&r, 0, OFFSET, SALT, p);
    assert_int_equal(nk_record_parse(p, n, UINT64_MAX - 100, &got), n);
    assert_true(got.lsn == UINT64_MAX);
    assert_int_equal(nk_record_parse(p, n, UINT64_MAX - 99, &got), 0);
}

/* Zeros, which a window that was never written holds, are no record. */
static void record__zeros__not_valid(void **state) {
    (void)state;
    uint8_t zeros[NK_REC_HEAD_MAX] = {0};
    struct nk_record got;
    for (size_t n = 0; n <= sizeof zeros; n++)
        assert_int_equal(nk_record_parse(zeros, n, FIRST_LSN, &got), 0);
}

/* ---- random ------------------------------------------------------------------------------------*/

/* random_number: all magnitudes alike. */
static uint64_t random_number(struct test_rng *rng, unsigned bits_max) {
    unsigned bits = (unsigned)test_rng_below(rng, bits_max + 1);
    return bits == 0 ? 0 : test_rng_next(rng) >> (64 - bits);
}

static struct ref_record random_record(struct test_rng *rng) {
    struct ref_record r = {.kind = (uint8_t)(1 + test_rng_below(rng, 4)),
                           .delta = random_number(rng, 63)};
    uint8_t kind = r.kind;
    if (kind != NK_REC_FLUSH) r.key_bytes = random_number(rng, 10);
    if (kind == NK_REC_PUT) r.value_bytes = random_number(rng, 15);
    if ((kind == NK_REC_PUT || kind == NK_REC_EXPIRE) && test_rng_below(rng, 2) == 0) {
        r.kind |= 0x20;
        r.expire_ms = 1 + (int64_t)random_number(rng, 62);
    }
    if (test_rng_below(rng, 2) == 0) r.kind |= 0x40;
    if (r.value_bytes >= 3 && test_rng_below(rng, 2) == 0) r.kind |= 0x80;
    return r;
}

/* Random records: the engine and the reference agree on every byte, and the fields come back. */
static void record__random__as_the_reference(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "random records");
    for (uint64_t i = test_scale(2000); i > 0; i--) {
        struct ref_record r = random_record(&rng);
        struct nk_record given = record_of(&r), got;
        size_t n, expected_n;
        uint8_t *p = encode(&given, &n), *expected = bytes_of(&r, &expected_n);
        assert_int_equal(n, expected_n);
        assert_memory_equal(p, expected, n);
        assert_int_equal(nk_record_parse(p, n, FIRST_LSN, &got), n);
        check_fields("a random record", p, n, &got, &r);
        assert_true(nk_record_check(p, n, &got, OFFSET, SALT));
        free(p);
        free(expected);
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)(i * 167 + (i >> 8) + 3);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record__encoded__the_bytes_of_the_reference),
        cmocka_unit_test(record__parsed__every_field_comes_back),
        cmocka_unit_test(record__parsed_and_encoded__the_same_bytes),
        cmocka_unit_test(record__value_of_the_limit__parsed),
        cmocka_unit_test(record__ordinary_set__ten_bytes_beyond_the_payload),
        cmocka_unit_test(record__head_alone__its_size),
        cmocka_unit_test(record__cut_at_every_byte__not_valid),
        cmocka_unit_test(record__any_bit_flipped__not_valid),
        cmocka_unit_test(record__in_another_place__not_valid),
        cmocka_unit_test(record__a_field_replaced_by_another_valid_one__not_valid),
        cmocka_unit_test(record__rule_broken__not_valid),
        cmocka_unit_test(record__lsn_beyond_64_bits__not_valid),
        cmocka_unit_test(record__zeros__not_valid),
        cmocka_unit_test(record__random__as_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
