/* SPDX-License-Identifier: MIT
 *
 * test_hintdamage.c - hint files that are damaged, cut, mixed up, or forged with every checksum right (by format_ref.h):
 * a reading of the whole file finds it, and no entry comes back that breaks a rule.
 */
#include "hint_rig.h"

#define SMALL 4096u /* room for a forged file */

/* ---- damage ------------------------------------------------------------------------------------*/

/* Every bit of a hint counts. */
static void file__any_bit_flipped__found(void **state) {
    (void)state;
    struct rig g;
    make(&g, mixed, MIXED);
    for (uint64_t bit = 0; bit < 8 * g.file.size; bit++) {
        g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        must_be_found(&g, "bit", bit);
        g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    check_whole(&g, "mended", 0);
    rig_fini(&g);
}

/* A file that was cut anywhere, or is longer, is not valid; nor is one that ends while it is read. */
static void file__cut_or_longer__found(void **state) {
    (void)state;
    static const uint8_t zeros[300];
    struct rig g;
    make(&g, mixed, MIXED);
    uint64_t whole = g.file.size;
    assert_int_equal(nk_vfs_write(&g.file.vfs, 3, zeros, sizeof zeros, whole, "test"), 0);
    for (g.file.size = 0; g.file.size < whole; g.file.size++) must_be_found(&g, "cut", g.file.size);
    for (g.file.size = whole + 1; g.file.size <= whole + sizeof zeros; g.file.size++)
        must_be_found(&g, "longer", g.file.size);
    for (uint64_t cut = 0; cut < whole; cut++) {
        struct nk_hintread r;
        struct place at = first_place;
        g.file.size = whole;
        assert_int_equal(open_hint(&g, &r), NITRO_OK);
        g.file.size = cut;
        assert_int_equal(drain(&g, &r, &at), NITRO_ECORRUPT);
        nk_hintread_close(&r);
    }
    rig_fini(&g);
}

/* The header is written last: what was not finished is no hint. */
static void file__not_finished__found(void **state) {
    (void)state;
    struct rig g;
    struct nk_hintwrite w;
    struct test_rng rng = {.state = 3};
    struct ent *ents = random_entries(&rng, 20000, 40);
    struct nk_hint_head head = head_of_file();
    rig_init(&g, ents, 20000);
    assert_int_equal(nk_hintwrite_init(&w, &g.file.vfs, &g.mem.table, 3, &head), NITRO_OK);
    assert_int_equal(write_entries(&g, &w), NITRO_OK);
    assert_true(g.file.size > NK_HINT_BLOCK);
    must_be_found(&g, "not finished", 0);
    nk_hintwrite_fini(&w);
    rig_fini(&g);
    free(ents);
}

/* A newer version is told apart from damage, wherever its other fields are. */
static void header__newer_version__eformat(void **state) {
    (void)state;
    struct rig g;
    struct nk_hintread r;
    make(&g, mixed, MIXED);
    ref_put(g.file.p + 8, 2, 4);
    memset(g.file.p + 32, 0xff, 64);
    ref_put(g.file.p + 124, ref_crc(0, g.file.p, 124), 4);
    assert_int_equal(open_hint(&g, &r), NITRO_EFORMAT);
    assert_int_equal(r.head.version, 2);
    nk_hintread_close(&r);
    rig_fini(&g);
}

/* A block of another file or in another place is not valid, though its bytes are those of a valid one. */
static void block__in_another_place_or_file__found(void **state) {
    (void)state;
    static const struct ent ents[] = {{0, 70000, 0, PUT, NITRO_KEY_MAX, 0}};
    struct rig g;
    make(&g, ents, 1);
    uint64_t block = g.file.size - NK_HINT_HEADER;
    ref_put(g.file.p + 40, SALT ^ 1, 8); /* the header of another file */
    ref_put(g.file.p + 124, ref_crc(0, g.file.p, 124), 4);
    must_be_found(&g, "another file", 0);
    ref_put(g.file.p + 40, SALT, 8);
    ref_put(g.file.p + 72, 2, 8); /* the same block twice: two entries */
    ref_put(g.file.p + 104, 2 * block, 8);
    ref_put(g.file.p + 124, ref_crc(0, g.file.p, 124), 4);
    uint8_t *copy = must(malloc(block));
    memcpy(copy, g.file.p + NK_HINT_HEADER, block);
    assert_int_equal(nk_vfs_write(&g.file.vfs, 3, copy, block, g.file.size, "test"), 0);
    free(copy);
    must_be_found(&g, "the same block twice", 0);
    rig_fini(&g);
}

/* ---- forged files ------------------------------------------------------------------------------*/

/* What stands in the file behind an entry with LSN 1000, offset 512 and 20 bytes. The header counts both as they
 * are, `end` is 1000 and last_lsn 2000 unless the case says so. */
struct forgery {
    const char *name;
    int code;
    struct ref_entry e;
    uint32_t key_there; /* bytes of the key that are there */
    uint32_t cut;       /* bytes that are missing at its end */
    uint64_t end, last_lsn;
    size_t field; /* of the header, to which `add` is added; 0 = none */
    int add;
    bool late; /* only the end shows what is wrong */
};
#define D 1000 /* the delta up to last_lsn */
#define RIGHT(what, ...)                                                                           \
    { .name = what, .code = NITRO_ENOTFOUND, __VA_ARGS__ }
#define WRONG(what, ...)                                                                           \
    { .name = what, .code = NITRO_ECORRUPT, __VA_ARGS__ }
static const struct forgery forgeries[] = {
    RIGHT("as it should be", .e = {.bytes = 20, .delta = D, .kind = PUT}),
    RIGHT("delta 1", .e = {.bytes = 20, .delta = 1, .kind = PUT}, .last_lsn = FIRST_LSN + 1),
    WRONG("delta 0", .e = {.bytes = 20, .kind = PUT}, .last_lsn = FIRST_LSN),
    WRONG("LSN beyond", .e = {.bytes = 20, .delta = 1001, .kind = PUT}),
    WRONG("LSN of 64 bits", .e = {.bytes = 20, .delta = INT64_MAX, .kind = PUT}),
    WRONG("last LSN not reached", .e = {.bytes = 20, .delta = 999, .kind = PUT}, .late = true),
    RIGHT("up to the end", .e = {.gap = 448, .bytes = 20, .delta = D, .kind = PUT}),
    WRONG("begins at the end", .e = {.gap = 468, .bytes = 8, .delta = D, .kind = PUT}),
    WRONG("begins beyond", .e = {.gap = 469, .bytes = 8, .delta = D, .kind = PUT}),
    WRONG("ends beyond", .e = {.gap = 448, .bytes = 21, .delta = D, .kind = PUT}),
    WRONG("gap of 63 bits", .e = {.gap = INT64_MAX, .bytes = 8, .delta = D, .kind = PUT}),
    WRONG("bytes of 63 bits", .e = {.bytes = INT64_MAX, .delta = D, .kind = PUT}),
    RIGHT("last 32-bit offset", .e = {.gap = UINT32_MAX - 532, .bytes = 8, .delta = D, .kind = PUT},
          .end = NK_DATA_END_MAX),
    WRONG("beyond 32 bits", .e = {.gap = UINT32_MAX - 531, .bytes = 8, .delta = D, .kind = PUT},
          .end = NK_DATA_END_MAX),
    WRONG("too small for a record", .e = {.bytes = 7, .delta = D, .kind = PUT}),
    WRONG("too small for its key", .e = {.bytes = 17, .delta = D, .kind = PUT, .key_bytes = 10},
          .key_there = 10),
    RIGHT("as large as its key", .e = {.bytes = 18, .delta = D, .kind = PUT, .key_bytes = 10},
          .key_there = 10),
    WRONG("too small for its expiry",
          .e = {.bytes = 15, .delta = D, .kind = PUT_EXPIRY, .expire_ms = 1}),
    RIGHT("as large as its expiry",
          .e = {.bytes = 16, .delta = D, .kind = PUT_EXPIRY, .expire_ms = 1}),
    WRONG("put of more than a value",
          .e = {.bytes = NITRO_VALUE_MAX + NK_REC_HEAD_MAX + 1, .delta = D, .kind = PUT},
          .end = NK_DATA_END_MAX),
    WRONG("delete with a value", .e = {.bytes = NK_REC_HEAD_MAX + 1, .delta = D, .kind = DELETE}),
    RIGHT("delete", .e = {.bytes = NK_REC_HEAD_MAX, .delta = D, .kind = DELETE}),
    WRONG("delete with an expiry",
          .e = {.bytes = 20, .delta = D, .kind = DELETE | 0x20, .expire_ms = 1}),
    RIGHT("flush", .e = {.bytes = 8, .delta = D, .kind = FLUSH}),
    WRONG("flush with a key", .e = {.bytes = 20, .delta = D, .kind = FLUSH, .key_bytes = 1},
          .key_there = 1),
    WRONG("flush with an expiry",
          .e = {.bytes = 20, .delta = D, .kind = FLUSH | 0x20, .expire_ms = 1}),
    WRONG("expiry 0", .e = {.bytes = 20, .delta = D, .kind = PUT_EXPIRY}),
    WRONG("expiry -1", .e = {.bytes = 20, .delta = D, .kind = PUT_EXPIRY, .expire_ms = -1}),
    WRONG("kind 0", .e = {.bytes = 20, .delta = D, .kind = 0}),
    WRONG("kind 3", .e = {.bytes = 20, .delta = D, .kind = 3}),
    WRONG("kind 5", .e = {.bytes = 20, .delta = D, .kind = 5}),
    WRONG("bit 6", .e = {.bytes = 20, .delta = D, .kind = PUT | 0x40}),
    WRONG("bit 7", .e = {.bytes = 20, .delta = D, .kind = PUT | 0x80}),
    WRONG("bits 5 and 6",
          .e = {.bytes = 20, .delta = D, .kind = PUT_EXPIRY | 0x40, .expire_ms = 1}),
    WRONG("key that is not all there", .e = {.bytes = 40, .delta = D, .kind = PUT, .key_bytes = 10},
          .key_there = 9),
    WRONG("a byte behind the last entry",
          .e = {.bytes = 40, .delta = D, .kind = PUT, .key_bytes = 9}, .key_there = 10,
          .late = true),
    WRONG("key longer than it may be",
          .e = {.bytes = 70000, .delta = D, .kind = PUT, .key_bytes = 65536}, .key_there = 10,
          .end = 100000),
    WRONG("key of more than 32 bits",
          .e = {.bytes = 40, .delta = D, .kind = PUT, .key_bytes = (UINT64_C(1) << 32) + 10},
          .key_there = 10),
    WRONG("head that is not all there",
          .e = {.bytes = 20, .delta = D, .kind = PUT_EXPIRY, .expire_ms = 1}, .cut = 3),
    WRONG("gap not shortest", .e = {.bytes = 20, .delta = D, .kind = PUT, .gap_width = 2}),
    WRONG("bytes not shortest", .e = {.bytes = 20, .delta = D, .kind = PUT, .bytes_width = 2}),
    WRONG("delta not shortest", .e = {.bytes = 20, .delta = D, .kind = PUT, .delta_width = 3}),
    WRONG("key length not shortest", .e = {.bytes = 20, .delta = D, .kind = PUT, .key_width = 9}),
    WRONG("gap of ten bytes", .e = {.bytes = 20, .delta = D, .kind = PUT, .gap_width = 10}),
    WRONG("last_lsn one more", .e = {.bytes = 20, .delta = D, .kind = PUT}, .field = 64, .add = 1,
          .late = true),
    WRONG("entries one more", .e = {.bytes = 20, .delta = D, .kind = PUT}, .field = 72, .add = 1,
          .late = true),
    WRONG("put_bytes one more", .e = {.bytes = 20, .delta = D, .kind = PUT}, .field = 80, .add = 1,
          .late = true),
    WRONG("gone_bytes one more", .e = {.bytes = 20, .delta = D, .kind = DELETE}, .field = 88,
          .add = 1, .late = true),
    WRONG("gone_lsn one more", .e = {.bytes = 20, .delta = D, .kind = DELETE}, .field = 96,
          .add = 1, .late = true),
    WRONG("bytes one more", .e = {.bytes = 20, .delta = D, .kind = PUT}, .field = 104, .add = 1),
    WRONG("bytes one less", .e = {.bytes = 20, .delta = D, .kind = PUT}, .field = 104, .add = -1),
};

/* forge: the file of a case. */
static void forge(struct rig *g, const struct forgery *f) {
    uint8_t p[SMALL], key[16];
    struct ref_entry first = {.bytes = 20, .kind = PUT}, second = f->e;
    bool is_put = (second.kind & 0x1f) == PUT;
    size_t n = ref_entry(&first, p + NK_HINT_HEADER + 8);
    fill(key, sizeof key, 1);
    n += ref_entry(&second, p + NK_HINT_HEADER + 8 + n);
    memcpy(p + NK_HINT_HEADER + 8 + n, key, f->key_there);
    n += f->key_there;
    n -= f->cut;
    ref_hint_block(p + NK_HINT_HEADER, n, NK_HINT_HEADER, SALT);
    struct ref_hint h = {.kind = KIND,
                         .store = STORE,
                         .number = NUMBER,
                         .salt = SALT,
                         .end = f->end == 0 ? 1000 : f->end,
                         .first_lsn = FIRST_LSN,
                         .last_lsn = f->last_lsn == 0 ? 2000 : f->last_lsn,
                         .entries = 2,
                         .put_bytes = 20 + (is_put ? ref_rounded(second.bytes) : 0),
                         .gone_bytes = is_put ? 0 : second.bytes,
                         .gone_lsn = is_put ? 0 : FIRST_LSN + second.delta,
                         .bytes = 8 + n};
    ref_hint_header(&h, p);
    if (f->field != 0) ref_put(p + f->field, ref_get(p + f->field, 8) + (uint64_t)f->add, 8);
    ref_put(p + 124, ref_crc(0, p, 124), 4);
    assert_int_equal(nk_vfs_write(&g->file.vfs, 3, p, NK_HINT_HEADER + 8 + n, 0, "test"), 0);
}

/* drain_any: as drain, whatever the entries are; *count is how many came back. */
static int drain_any(struct rig *g, size_t *count) {
    struct nk_hintread r;
    struct nk_hint h;
    int rc = open_hint(g, &r);
    *count = 0;
    while (rc == NITRO_OK && (rc = nk_hintread_next(&r, &h)) == NITRO_OK) ++*count;
    nk_hintread_close(&r);
    return rc;
}

/* Each rule refuses what breaks it though every checksum is right, before such an entry comes back, and allows what is
 * just within. */
static void forged__a_rule_broken_under_right_checksums__found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        const struct forgery *f = &forgeries[i];
        struct rig g;
        size_t count;
        rig_init(&g, NULL, 0);
        forge(&g, f);
        int rc = drain_any(&g, &count);
        if (rc != f->code) test_fail("%s: %s", f->name, nitro_strerror(rc));
        bool both = rc == NITRO_ENOTFOUND || f->late;
        if ((count == 2) != both) test_fail("%s: %zu entries came back", f->name, count);
        rig_fini(&g);
    }
}

/* LSN 0 is none, so a file that begins with it does not exist, even one without entries. */
static void forged__first_lsn_0__found(void **state) {
    (void)state;
    struct rig g;
    uint8_t p[NK_HINT_HEADER];
    struct ref_hint h = {
        .kind = KIND, .store = STORE, .number = NUMBER, .end = NK_SECTOR, .last_lsn = UINT64_MAX};
    rig_init(&g, NULL, 0);
    ref_hint_header(&h, p);
    assert_int_equal(nk_vfs_write(&g.file.vfs, 3, p, sizeof p, 0, "test"), 0);
    must_be_found(&g, "first LSN", 0);
    rig_fini(&g);
}

/* block_of: a file whose only block says that it has `said` bytes, of which `there` follow. */
static int block_of(uint64_t said, uint64_t there) {
    struct rig g;
    rig_init(&g, NULL, 0);
    uint64_t n = there > said ? there : said; /* so that the checksum is right for what is said */
    uint8_t *p = must(calloc(1, NK_HINT_HEADER + 8 + n + 16)), *at = p + NK_HINT_HEADER + 8;
    struct ref_hint h = {.kind = KIND,
                         .store = STORE,
                         .number = NUMBER,
                         .salt = SALT,
                         .end = NK_DATA_END_MAX,
                         .first_lsn = FIRST_LSN,
                         .last_lsn = FIRST_LSN - 1,
                         .bytes = 8 + there};
    for (uint64_t left = said; left > 0;
         h.entries++) { /* entries of 207 bytes, and one of the rest */
        struct ref_entry e = {.bytes = 600, .delta = h.entries > 0, .kind = PUT, .key_bytes = 200};
        if (left < 2 * 207) e.key_bytes = left - 7;
        size_t bytes = ref_entry(&e, at) + (size_t)e.key_bytes;
        at += bytes;
        left -= bytes;
    }
    h.last_lsn += h.entries;
    h.put_bytes = 600 * h.entries;
    ref_hint_block(p + NK_HINT_HEADER, said, NK_HINT_HEADER, SALT);
    ref_hint_header(&h, p);
    assert_int_equal(nk_vfs_write(&g.file.vfs, 3, p, NK_HINT_HEADER + 8 + there, 0, "test"), 0);
    size_t count;
    int rc = drain_any(&g, &count);
    assert_int_equal(count, said <= there && said <= NK_HINT_BLOCK_MAX ? h.entries : 0);
    free(p);
    rig_fini(&g);
    return rc;
}

/* A block has 1 .. 2^20 bytes, all of which are there, whatever its checksum says. */
static void block__length_forged__found(void **state) {
    (void)state;
    assert_int_equal(block_of(2000, 2000), NITRO_ENOTFOUND);
    assert_int_equal(block_of(2000, 1999), NITRO_ECORRUPT);
    assert_int_equal(block_of(2000, 2001), NITRO_ECORRUPT);
    assert_int_equal(block_of(2000, 2008), NITRO_ECORRUPT);
    assert_int_equal(block_of(2000, 0), NITRO_ECORRUPT);
    assert_int_equal(block_of(NK_HINT_BLOCK_MAX, NK_HINT_BLOCK_MAX), NITRO_ENOTFOUND);
    assert_int_equal(block_of(NK_HINT_BLOCK_MAX + 1, NK_HINT_BLOCK_MAX + 1), NITRO_ECORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file__any_bit_flipped__found),
        cmocka_unit_test(file__cut_or_longer__found),
        cmocka_unit_test(file__not_finished__found),
        cmocka_unit_test(header__newer_version__eformat),
        cmocka_unit_test(block__in_another_place_or_file__found),
        cmocka_unit_test(forged__a_rule_broken_under_right_checksums__found),
        cmocka_unit_test(forged__first_lsn_0__found),
        cmocka_unit_test(block__length_forged__found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
