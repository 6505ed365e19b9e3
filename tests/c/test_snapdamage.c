/* SPDX-License-Identifier: MIT
 *
 * test_snapdamage.c - snapshot files that are damaged, cut, mixed up, or made by somebody who gets every checksum
 * right: a reading of the whole file finds it, says where, and never gives other contents silently.
 *
 * FORGING  struct forge writes a file block by block, with the CRCs of the reference (format_ref.h). So a case
 *          breaks one rule and nothing else.
 */
#include "snap_rig.h"

#include "format_ref.h"

static const struct rig_record small[] = {{8, 40, false, false, 0},
                                          {12, 300, false, false, TEST_NOW},
                                          {8, 30, true, false, 0},
                                          {9, 90, true, true, 0},
                                          {9, 250, false, true, 5}};
#define SMALL (sizeof small / sizeof small[0])

/* must_be_found: in one part and in several. */
static void must_be_found(struct rig *g, const char *what, uint64_t where) {
    for (uint32_t of = 1; of <= 3; of++) {
        int rc = rig_read(g, of);
        if (rc != NITRO_ECORRUPT)
            test_fail("%s %" PRIu64 ", %u parts: %s", what, where, of, nitro_strerror(rc));
    }
}

/* ---- bits and ends -----------------------------------------------------------------------------*/

/* Every bit of a file counts: header, headers of blocks, payloads, zeros and footer. */
static void file__any_bit_flipped__found(void **state) {
    (void)state;
    static const enum nitro_compression methods[] = {NITRO_COMPRESSION_NONE, NITRO_COMPRESSION_LZ4,
                                                     NITRO_COMPRESSION_ZSTD};
    uint64_t percent = test_scale(100);
    uint64_t step = percent >= 100 ? 1 : 100 / percent + 1;
    for (size_t m = 0; m < 3; m++) {
        struct rig g;
        rig_init(&g, small, SMALL);
        assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
        for (uint64_t bit = 0; bit < 8 * g.file.size; bit += step) {
            g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            must_be_found(&g, "bit", bit);
            g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(rig_read(&g, 1), NITRO_OK);
        rig_fini(&g);
    }
}

/* A file that was cut anywhere, or goes on behind its footer, is not whole. */
static void file__cut_or_longer__found(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, small, SMALL);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    uint64_t whole = g.file.size;
    static const uint8_t zeros[2 * NK_SECTOR];
    assert_int_equal(nk_vfs_write(&g.file.vfs, 3, zeros, sizeof zeros, whole, "test"), 0);
    for (g.file.size = 0; g.file.size < whole; g.file.size++) must_be_found(&g, "cut", g.file.size);
    for (g.file.size = whole + 1; g.file.size <= whole + 2 * NK_SECTOR; g.file.size++)
        must_be_found(&g, "longer", g.file.size);
    g.file.size = whole;
    assert_int_equal(rig_read(&g, 1), NITRO_OK);
    rig_fini(&g);
}

/* A file that ends before the size which it had a moment ago is damaged; that is no crash and no EIO. */
static void file__shrinks_while_it_is_read__found(void **state) {
    (void)state;
    struct rig g;
    struct nk_snapread r;
    rig_init(&g, small, SMALL);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    bool seen[SMALL] = {false};
    for (uint64_t cut = NK_SECTOR; cut < g.foot.end; cut += 13) {
        memset(seen, 0, sizeof seen);
        uint64_t whole = g.file.size;
        assert_int_equal(nk_snapread_open(&r, &g.file.vfs, &g.mem.table, 3, whole), NITRO_OK);
        g.file.size = cut;
        assert_int_equal(rig_drain(&g, &r, seen), NITRO_ECORRUPT);
        assert_true(r.bad_at == cut);
        g.file.size = whole;
        nk_snapread_close(&r);
    }
    rig_fini(&g);
}

/* A newer version is told apart from damage, wherever its other fields are. */
static void header__newer_version__eformat(void **state) {
    (void)state;
    struct rig g;
    struct nk_snapread r;
    rig_init(&g, small, SMALL);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    ref_put(g.file.p + 8, 2, 4);
    memset(g.file.p + 32, 0xff, 100);
    ref_put(g.file.p + 508, ref_crc(0, g.file.p, 508), 4);
    assert_int_equal(nk_snapread_open(&r, &g.file.vfs, &g.mem.table, 3, NK_SECTOR), NITRO_EFORMAT);
    assert_int_equal(r.head.version, 2);
    nk_snapread_close(&r);
    rig_fini(&g);
}

/* ---- blocks of other places --------------------------------------------------------------------*/

static const struct rig_record alike[] = {
    {8, 200000, true, false, 0}, {8, 200000, true, false, 0}, {8, 200000, true, false, 0}};

/* A block that was copied from another file with the same records, to the same offset, does not belong here. */
static void block__of_another_file__found(void **state) {
    (void)state;
    struct rig g, other;
    rig_init(&g, alike, 3);
    rig_init(&other, alike, 3);
    other.salt ^= 1;
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    assert_int_equal(rig_write(&other, NITRO_COMPRESSION_NONE), NITRO_OK);
    assert_true(g.foot.blocks == 3 && g.file.size == other.file.size);
    size_t bytes = (size_t)(g.foot.end - NK_SECTOR) / 3;
    memcpy(g.file.p + NK_SECTOR + bytes, other.file.p + NK_SECTOR + bytes, bytes);
    must_be_found(&g, "block of another file", 1);
    assert_true(g.bad_at == NK_SECTOR + bytes);
    memcpy(g.file.p, other.file.p, g.foot.end); /* all but the footer */
    must_be_found(&g, "footer of another file", 0);
    rig_fini(&g);
    rig_fini(&other);
}

/* Blocks of one file that have changed places, or one of them twice, are found; the payload alone, too. */
static void block__in_another_place__found(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, alike, 3);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    size_t bytes = (size_t)(g.foot.end - NK_SECTOR) / 3;
    uint8_t *first = g.file.p + NK_SECTOR, *second = first + bytes;
    uint8_t *kept = rig_must(malloc(2 * bytes));
    memcpy(kept, first, 2 * bytes);
    memcpy(second, kept, bytes);
    must_be_found(&g, "the first block twice", 1);
    memcpy(first, kept + bytes, bytes);
    must_be_found(&g, "the first two have changed places", 0);
    memcpy(first, kept, 2 * bytes);
    memcpy(second + NK_SNAP_BLOCK_HEAD, kept + NK_SNAP_BLOCK_HEAD, bytes - NK_SNAP_BLOCK_HEAD);
    must_be_found(&g, "the payload of the first block twice", 1);
    free(kept);
    rig_fini(&g);
}

/* ---- forged files ------------------------------------------------------------------------------*/

struct forge {
    struct rig *g;
    uint64_t at, index, raw_bytes, keys;
    uint32_t file_crc;
    struct ref_hash hash;
    uint8_t payload[4096]; /* of the block that is being made */
    size_t n;
    uint32_t count; /* of its records */
};

static void forge_write(struct forge *f, const uint8_t *p, size_t n) {
    assert_int_equal(nk_vfs_write(&f->g->file.vfs, 3, p, n, f->at, "test"), 0);
    f->at += n;
}

static void forge_begin(struct forge *f, struct rig *g) {
    uint8_t sector[NK_SECTOR] = {0};
    memset(f, 0, sizeof *f);
    f->g = g;
    memcpy(sector, "NITROSNP", 8);
    ref_put(sector + 8, 1, 4);
    ref_put(sector + 32, 3, 8);
    ref_put(sector + 40, RIG_SALT, 8);
    ref_put(sector + 48, RIG_LSN, 8);
    ref_put(sector + 508, ref_crc(0, sector, 508), 4);
    f->file_crc = ref_crc(0, sector, sizeof sector);
    forge_write(f, sector, sizeof sector);
}

/* forge_record: record i to the payload; of a large one the first `piece` bytes of the value. */
static void forge_record(struct forge *f, size_t i, size_t piece) {
    const struct rig_record *r = &f->g->records[i];
    uint8_t key[512], value[512];
    rig_fill(f->g, i, key, value);
    struct ref_snaprec rec = {.flags = (uint8_t)((r->expire_ms != 0) | (r->large ? 2 : 0)),
                              .key_bytes = r->key_bytes,
                              .value_bytes = r->value_bytes,
                              .age = RIG_LSN - rig_version(i),
                              .expire_ms = r->expire_ms,
                              .key = key};
    f->n += ref_snaprec(&rec, f->payload + f->n);
    memcpy(f->payload + f->n, value, piece);
    f->n += piece;
    ref_snap_hash(&f->hash, key, r->key_bytes, value, r->value_bytes, r->expire_ms);
    f->count++;
    f->keys++;
}

/* forge_piece: bytes [from, to) of the value of record i to the payload. */
static void forge_piece(struct forge *f, size_t i, size_t from, size_t to) {
    uint8_t key[512], value[512];
    rig_fill(f->g, i, key, value);
    memcpy(f->payload + f->n, value + from, to - from);
    f->n += to - from;
}

/* forge_block_as: the payload as a block whose header says so; raw = 0: as it is. */
static void forge_block_as(struct forge *f, uint8_t kind, uint32_t count, uint8_t compression,
                           uint32_t raw) {
    uint8_t head[NK_SNAP_BLOCK_HEAD] = {0};
    memcpy(head, "NSBK", 4);
    ref_put(head + 4, f->n, 4);
    ref_put(head + 8, raw == 0 ? f->n : raw, 4);
    ref_put(head + 12, count, 4);
    head[16] = kind;
    head[17] = compression;
    ref_put(head + 20, f->index++, 4);
    ref_put(head + 24, ref_crc(0, f->payload, f->n), 4);
    uint32_t crc = ref_crc_u64(ref_crc(0, head, 28), f->at);
    ref_put(head + 28, ref_crc_u64(crc, RIG_SALT), 4);
    f->file_crc = ref_crc(f->file_crc, head, sizeof head);
    f->raw_bytes += raw == 0 ? f->n : raw;
    forge_write(f, head, sizeof head);
    forge_write(f, f->payload, f->n);
    f->n = f->count = 0;
}

static void forge_block(struct forge *f, uint8_t kind) { forge_block_as(f, kind, f->count, 0, 0); }

/* forge_end: the footer; `end` and `field` say what is wrong with it: `add` is added at offset `field`. */
static void forge_end_as(struct forge *f, uint64_t end, size_t field, uint64_t add) {
    uint8_t sector[NK_SECTOR] = {0};
    memcpy(sector, "NITROSNE", 8);
    ref_put(sector + 8, 3, 8);
    ref_put(sector + 16, RIG_SALT, 8);
    ref_put(sector + 24, end, 8);
    ref_put(sector + 32, f->index, 8);
    ref_put(sector + 40, f->keys, 8);
    ref_put(sector + 48, f->raw_bytes, 8);
    ref_put(sector + 56, f->hash.a, 8);
    ref_put(sector + 64, f->hash.b, 8);
    ref_put(sector + 72, RIG_TIME, 8);
    ref_put(sector + 80, f->file_crc, 4);
    if (field != 0) ref_put(sector + field, ref_get(sector + field, 4) + add, 4);
    ref_put(sector + 508, ref_crc(0, sector, 508), 4);
    f->at = nk_round_up(f->at, NK_SECTOR);
    forge_write(f, sector, sizeof sector);
}

static void forge_end(struct forge *f) { forge_end_as(f, f->at, 0, 0); }

/* The records that forged files hold: 0 and 1 are small, 2 is large. */
static const struct rig_record forged[] = {
    {8, 40, false, false, 0}, {8, 50, false, false, 9}, {8, 300, false, true, 0}};

/* start: records 0 and 1 in a block, as they should be. */
static void start(struct forge *f) {
    forge_record(f, 0, 40);
    forge_record(f, 1, 50);
    forge_block(f, 1);
}

static void as_it_should_be(struct forge *f) {
    start(f);
    forge_record(f, 2, 100);
    forge_block(f, 2);
    forge_piece(f, 2, 100, 101);
    forge_block(f, 3);
    forge_piece(f, 2, 101, 300);
    forge_block(f, 3);
    forge_end(f);
}
static void in_one_piece(struct forge *f) {
    start(f);
    forge_record(f, 2, 300);
    forge_block(f, 2);
    forge_end(f);
}

static void fewer_records_than_counted(struct forge *f) {
    forge_record(f, 0, 40);
    forge_block_as(f, 1, 2, 0, 0);
    f->keys = 2;
    forge_end(f);
}
static void more_records_than_counted(struct forge *f) {
    forge_record(f, 0, 40);
    forge_record(f, 1, 50);
    forge_block_as(f, 1, 1, 0, 0);
    f->keys = 1;
    forge_end(f);
}
static void byte_behind_the_last_record(struct forge *f) {
    forge_record(f, 0, 40);
    f->payload[f->n++] = 0;
    forge_block(f, 1);
    forge_end(f);
}
static void record_that_does_not_end(struct forge *f) {
    forge_record(f, 0, 39);
    forge_block(f, 1);
    forge_end(f);
}
static void large_record_among_others(struct forge *f) {
    forge_record(f, 0, 40);
    forge_record(f, 2, 300);
    forge_block(f, 1);
    forge_end(f);
}
static void small_record_as_a_large_one(struct forge *f) {
    forge_record(f, 0, 40);
    forge_block(f, 2);
    forge_end(f);
}
static void value_without_a_record(struct forge *f) {
    forge_piece(f, 2, 0, 300);
    forge_block(f, 3);
    forge_end(f);
}
static void value_behind_small_records(struct forge *f) {
    start(f);
    forge_piece(f, 2, 0, 300);
    forge_block(f, 3);
    forge_end(f);
}
static void value_that_does_not_end(struct forge *f) {
    start(f);
    forge_record(f, 2, 299);
    forge_block(f, 2);
    forge_end(f);
}
static void value_that_another_record_ends(struct forge *f) {
    forge_record(f, 2, 100);
    forge_block(f, 2);
    start(f); /* fewer bytes than the value still needs */
    forge_end(f);
}
static void value_with_a_piece_too_many(struct forge *f) {
    start(f);
    forge_record(f, 2, 300);
    forge_block(f, 2);
    forge_piece(f, 2, 0, 1);
    forge_block(f, 3);
    forge_end(f);
}
static void value_with_a_longer_piece(struct forge *f) {
    start(f);
    forge_record(f, 2, 299);
    forge_block(f, 2);
    forge_piece(f, 2, 298, 300);
    forge_block(f, 3);
    forge_end(f);
}
static void value_longer_in_its_first_block(struct forge *f) {
    start(f);
    forge_record(f, 2, 300);
    f->payload[f->n++] = 0;
    forge_block(f, 2);
    forge_end(f);
}
static void value_not_begun_in_its_first_block(struct forge *f) {
    start(f);
    forge_record(f, 2, 0);
    forge_block(f, 2);
    forge_piece(f, 2, 0, 300);
    forge_block(f, 3);
    forge_end(f);
}
static void index_left_out(struct forge *f) {
    start(f);
    f->index++;
    forge_record(f, 2, 300);
    forge_block(f, 2);
    f->index--;
    forge_end(f);
}
static void version_before_the_first(struct forge *f) {
    struct ref_snaprec rec = {.age = RIG_LSN};
    f->n = ref_snaprec(&rec, f->payload);
    f->count = 1;
    f->keys = 1;
    ref_snap_hash(&f->hash, f->payload, 0, f->payload, 0, 0);
    forge_block(f, 1);
    forge_end(f);
}
static void same_as_before_compressed(struct forge *f, uint8_t compression) {
    start(f);
    memset(f->payload, 0x77, 200);
    f->n = 200;
    f->keys++;
    forge_block_as(f, 1, 1, compression, 400);
    forge_end(f);
}
static void nothing_that_lz4_has_made(struct forge *f) { same_as_before_compressed(f, 1); }
static void nothing_that_zstd_has_made(struct forge *f) { same_as_before_compressed(f, 2); }
static void blocks_end_in_a_block(struct forge *f) {
    start(f);
    memset(f->payload, 0, 200); /* so that it looks like what may be there */
    f->n = 200;
    forge_block_as(f, 1, 1, 0, 0);
    forge_end_as(f, f->at - 1, 0, 0);
}
static void blocks_end_in_a_header(struct forge *f) {
    start(f);
    forge_end_as(f, f->at + 31, 0, 0);
}
static void blocks_end_before_they_begin(struct forge *f) { forge_end_as(f, 511, 0, 0); }
static void something_before_the_footer(struct forge *f) {
    start(f);
    uint64_t end = f->at;
    forge_write(f, (const uint8_t *)"x", 1);
    forge_end_as(f, end, 0, 0);
}
static void footer_a_sector_too_late(struct forge *f) {
    start(f);
    uint64_t end = f->at;
    f->at = nk_round_up(f->at, NK_SECTOR);
    uint8_t zeros[NK_SECTOR] = {0};
    forge_write(f, zeros, sizeof zeros);
    forge_end_as(f, end, 0, 0);
}
#define FOOTER_FIELD(name, field)                                                                  \
    static void name(struct forge *f) {                                                            \
        start(f);                                                                                  \
        forge_end_as(f, f->at, field, 1);                                                          \
    }
FOOTER_FIELD(another_number, 8)
FOOTER_FIELD(another_salt, 16)
FOOTER_FIELD(more_blocks, 32)
FOOTER_FIELD(more_keys, 40)
FOOTER_FIELD(more_raw_bytes, 48)
FOOTER_FIELD(another_hash_a, 56)
FOOTER_FIELD(another_hash_b, 64)
FOOTER_FIELD(another_file_crc, 80)

struct forgery {
    const char *name;
    void (*make)(struct forge *f);
    int code;
    const char *what; /* the reader has to say */
};
#define VALID(f)                                                                                   \
    { #f, f, NITRO_OK, NULL }
#define DAMAGED(f, what)                                                                           \
    { #f, f, NITRO_ECORRUPT, what }
static const struct forgery forgeries[] = {
    VALID(as_it_should_be),
    VALID(in_one_piece),
    DAMAGED(fewer_records_than_counted, "a block does not hold as many records as it says"),
    DAMAGED(more_records_than_counted, "a block does not hold as many records as it says"),
    DAMAGED(byte_behind_the_last_record, "a block does not hold as many records as it says"),
    DAMAGED(record_that_does_not_end, "a record is not valid"),
    DAMAGED(large_record_among_others, "a record is not valid"),
    DAMAGED(small_record_as_a_large_one, "a record is not valid"),
    DAMAGED(value_without_a_record, "a piece of a value has no record before it"),
    DAMAGED(value_behind_small_records, "a piece of a value has no record before it"),
    DAMAGED(value_that_does_not_end, "the blocks end before a value does"),
    DAMAGED(value_that_another_record_ends, "a value is not as long as its record says"),
    DAMAGED(value_with_a_piece_too_many, "a value is longer than its record says"),
    DAMAGED(value_with_a_longer_piece, "a value is not as long as its record says"),
    DAMAGED(value_longer_in_its_first_block, "a value is not as long as its record says"),
    DAMAGED(value_not_begun_in_its_first_block, "a value is not as long as its record says"),
    DAMAGED(index_left_out, "a block is missing before this"),
    DAMAGED(version_before_the_first, "a record is not valid"),
    DAMAGED(nothing_that_lz4_has_made, "a block cannot be decompressed"),
    DAMAGED(nothing_that_zstd_has_made, "a block cannot be decompressed"),
    DAMAGED(blocks_end_in_a_block, "a block does not end where the blocks do"),
    DAMAGED(blocks_end_in_a_header, "a block does not end where the blocks do"),
    DAMAGED(blocks_end_before_they_begin, "the file does not end with a valid footer"),
    DAMAGED(something_before_the_footer, "there is something between the blocks and the footer"),
    DAMAGED(footer_a_sector_too_late, "the footer does not stand where the blocks end"),
    DAMAGED(another_number, "the footer is that of another file"),
    DAMAGED(another_salt, "the footer is that of another file"),
    DAMAGED(more_blocks, "the blocks are not those that the footer counts"),
    DAMAGED(more_keys, "the blocks are not those that the footer counts"),
    DAMAGED(more_raw_bytes, "the blocks are not those that the footer counts"),
    DAMAGED(another_hash_a, "the contents are not those that the footer says"),
    DAMAGED(another_hash_b, "the contents are not those that the footer says"),
    DAMAGED(another_file_crc, "the blocks are not those that the footer counts"),
};

/* Each rule refuses what breaks it though every checksum is right, and no other rule gets there first; and what
 * the reference writes as it should be is read. */
static void forged__a_rule_broken_under_right_checksums__found(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        for (uint32_t of = 1; of <= 3; of++) {
            struct rig g;
            struct forge f;
            rig_init(&g, forged, 3);
            forge_begin(&f, &g);
            forgeries[i].make(&f);
            int rc = rig_read(&g, of);
            if (rc != forgeries[i].code)
                test_fail("%s, %u parts: %s", forgeries[i].name, of, nitro_strerror(rc));
            if (of == 1 && (g.what == NULL) != (forgeries[i].what == NULL))
                test_fail("%s: %s", forgeries[i].name, g.what == NULL ? "valid" : g.what);
            if (of == 1 && g.what != NULL && strcmp(g.what, forgeries[i].what) != 0)
                test_fail("%s: %s", forgeries[i].name, g.what);
            rig_fini(&g);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file__any_bit_flipped__found),
        cmocka_unit_test(file__cut_or_longer__found),
        cmocka_unit_test(file__shrinks_while_it_is_read__found),
        cmocka_unit_test(header__newer_version__eformat),
        cmocka_unit_test(block__of_another_file__found),
        cmocka_unit_test(block__in_another_place__found),
        cmocka_unit_test(forged__a_rule_broken_under_right_checksums__found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
