/* SPDX-License-Identifier: MIT
 *
 * test_snapread.c - snapshot files written and read back: every record, the limits of blocks and pieces, parts,
 * little memory, and what happens when a call or an allocation fails. Damage is in test_snapdamage.c.
 */
#include "snap_rig.h"

#define MIB (1024u * 1024)

static const enum nitro_compression methods[] = {NITRO_COMPRESSION_NONE, NITRO_COMPRESSION_LZ4,
                                                 NITRO_COMPRESSION_ZSTD};
#define METHODS 3u

/* check_round: written and read in one part and in several, by every method. */
static void check_round(const struct rig_record *records, size_t count) {
    for (size_t m = 0; m < METHODS; m++) {
        struct rig g;
        rig_init(&g, records, count);
        assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
        assert_true(g.foot.keys == count && g.foot.time_ms == RIG_TIME);
        for (uint32_t of = 1; of <= 7; of += of < 3 ? 1 : 4) {
            int rc = rig_read(&g, of);
            if (rc != NITRO_OK)
                test_fail("method %d, %u parts: %s, %s at %" PRIu64, methods[m], of,
                          nitro_strerror(rc), g.what == NULL ? "" : g.what, g.bad_at);
        }
        rig_fini(&g);
    }
}

/* ---- round trips -------------------------------------------------------------------------------*/

/* The empty store has a snapshot, too: header and footer. */
static void snapshot__of_nothing__two_sectors(void **state) {
    (void)state;
    struct rig g;
    check_round(NULL, 0);
    rig_init(&g, NULL, 0);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_ZSTD), NITRO_OK);
    assert_true(g.file.size == 2 * NK_SECTOR && g.foot.blocks == 0 && g.foot.end == NK_SECTOR);
    assert_true(g.foot.hash_a == 0 && g.foot.hash_b == 0);
    rig_fini(&g);
}

/* Empty keys and values, longest keys, values of 64 KiB, expiries, large values of one byte and of many. */
static void snapshot__records_of_every_kind__come_back(void **state) {
    (void)state;
    static const struct rig_record records[] = {
        {0, 0, false, false, 0},        {8, 0, false, false, 1},
        {8, 1, true, false, INT64_MAX}, {65535, 65536, false, false, TEST_NOW},
        {65535, 65536, true, false, 0}, {8, 1, false, true, 0},
        {9, 65536, false, true, 77},    {65535, 3 * MIB + 1, true, true, 0},
        {8, 300000, false, false, 0},   {8, 700000, true, true, 0},
        {8, 700001, false, true, 0},    {8, 100, false, false, 0},
    };
    check_round(records, sizeof records / sizeof records[0]);
}

static struct rig_record random_record(struct test_rng *rng) {
    struct rig_record r = {.key_bytes = 8 + (uint32_t)test_rng_below(rng, 40),
                           .value_bytes = (uint32_t)test_rng_below(rng, 300),
                           .noise = test_rng_below(rng, 3) == 0};
    uint64_t size = test_rng_below(rng, 100);
    if (size == 0) r.key_bytes = 65535;
    if (size < 3) r.value_bytes = (uint32_t)test_rng_below(rng, 70000);
    r.large = size == 3;
    if (r.large) r.value_bytes = 1 + (uint32_t)test_rng_below(rng, 600000);
    if (test_rng_below(rng, 4) == 0) r.expire_ms = 1 + (int64_t)(test_rng_next(rng) >> 1);
    return r;
}

/* Random records, by every method and in several parts. */
static void snapshot__random_records__come_back(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "random snapshots");
    for (uint64_t round = test_scale(10); round > 0; round--) {
        size_t count = (size_t)test_rng_below(&rng, 1000);
        struct rig_record *records = rig_must(malloc((count + 1) * sizeof *records));
        for (size_t i = 0; i < count; i++) records[i] = random_record(&rng);
        check_round(records, count);
        free(records);
    }
}

/* The header says what the writer was given, and one set of records has one hash, however it is written. */
static void snapshot__read__header_and_hash(void **state) {
    (void)state;
    static const struct rig_record records[] = {{8, 5000, false, false, 0}, {8, 9, false, true, 5}};
    uint64_t a = 0;
    for (size_t m = 0; m < METHODS; m++) {
        struct rig g;
        struct nk_snapread r;
        rig_init(&g, records, 2);
        assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
        assert_int_equal(nk_snapread_open(&r, &g.file.vfs, &g.mem.table, 3, g.file.size), NITRO_OK);
        struct nk_snap_head want = rig_head(&g);
        assert_true(r.head.number == want.number && r.head.salt == want.salt);
        assert_true(r.head.lsn == want.lsn && !r.head.wal_off && r.head.version == 1);
        assert_memory_equal(r.head.store, want.store, sizeof want.store);
        assert_true(r.foot.hash_a == g.foot.hash_a && r.foot.end == g.foot.end);
        assert_true(m == 0 || r.foot.hash_a == a);
        a = r.foot.hash_a;
        nk_snapread_close(&r);
        nk_snapread_close(&r);
        rig_fini(&g);
    }
}

/* ---- limits ------------------------------------------------------------------------------------*/

/* blocks_of: in how many blocks these records lie; they have to come back from them. */
static uint64_t blocks_of(const struct rig_record *records, size_t count) {
    struct rig g;
    check_round(records, count);
    rig_init(&g, records, count);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_LZ4), NITRO_OK);
    uint64_t blocks = g.foot.blocks;
    rig_fini(&g);
    return blocks;
}

/* head_of: bytes before the key, of record i. */
static uint32_t head_of(const struct rig_record *records, size_t i) {
    struct rig g = {.records = records};
    struct nk_snaprec r = rig_record(&g, i, NULL, NULL);
    uint8_t out[NK_SNAP_REC_HEAD_MAX];
    return nk_snaprec_head(&r, RIG_LSN, out);
}

/* A block is filled to its last byte, and one byte more begins another. A record that is larger than a block
 * gets one of its own, up to the most that a block may have. */
static void block__filled_to_the_limit__not_beyond(void **state) {
    (void)state;
    struct rig_record two[] = {{8, 100000, false, false, 0}, {8, 100000, false, false, 0}};
    uint32_t first = head_of(two, 0) + 8 + 100000;
    two[1].value_bytes = NK_SNAP_BLOCK - first - head_of(two, 1) - 8;
    assert_int_equal(blocks_of(two, 2), 1);
    two[1].value_bytes++;
    assert_int_equal(blocks_of(two, 2), 2);
    struct rig_record one[] = {{8, 1000000, true, false, 0}};
    one[0].value_bytes = NK_SNAP_RAW_MAX - head_of(one, 0) - 8;
    assert_int_equal(blocks_of(one, 1), 1);
}

/* Pieces of a large value: all in the first block, one byte more, whole pieces, one byte more than these. */
static void large__pieces_at_their_limits__come_back(void **state) {
    (void)state;
    struct rig_record r[] = {{8, 200000, true, true, 0}, {8, 10, false, false, 0}};
    uint32_t room = NK_SNAP_BLOCK - head_of(r, 0) - 8;
    static const struct {
        uint32_t beyond;
        uint64_t blocks;
    } cases[] = {{0, 1}, {1, 2}, {NK_SNAP_BLOCK, 2}, {NK_SNAP_BLOCK + 1, 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        r[0].value_bytes = room + cases[i].beyond;
        assert_int_equal(blocks_of(r, 2), cases[i].blocks + 1);
    }
}

/* What cannot be compressed is stored as it is, and costs no more than without compression. */
static void block__of_noise__stored_as_it_is(void **state) {
    (void)state;
    static const struct rig_record records[] = {{8, 200000, true, false, 0}};
    uint64_t sizes[METHODS];
    for (size_t m = 0; m < METHODS; m++) {
        struct rig g;
        rig_init(&g, records, 1);
        assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
        sizes[m] = g.file.size;
        rig_fini(&g);
    }
    assert_true(sizes[0] == sizes[1] && sizes[0] == sizes[2]);
}

/* Neither side needs memory in proportion to the file or to a value (which is the caller's). */
static void memory__many_records_and_a_large_one__a_few_blocks(void **state) {
    (void)state;
    static struct rig_record records[100];
    for (size_t i = 0; i < 100; i++)
        records[i] = (struct rig_record){8, 100000, i % 2 == 0, false, 0};
    records[50] = (struct rig_record){8, 8 * MIB, true, true, 0};
    for (size_t m = 0; m < METHODS; m++) {
        struct rig g;
        rig_init(&g, records, 100);
        assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
        assert_in_range(g.most_bytes, NK_SNAP_BLOCK, 2 * MIB);
        assert_int_equal(rig_read(&g, 1), NITRO_OK);
        assert_in_range(g.most_bytes, NK_SNAP_BLOCK, MIB);
        rig_fini(&g);
    }
}

/* A long file is synced while it is written, so that the last sync finds little. */
static void file__longer_than_a_few_mib__synced_on_the_way(void **state) {
    (void)state;
    static const struct rig_record records[] = {{8, 20 * MIB, true, true, 0}};
    struct rig g;
    rig_init(&g, records, 1);
    memfile_fail(&g.file, UINT64_MAX, -EIO);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_NONE), NITRO_OK);
    assert_int_equal(g.file.calls, 1 + g.foot.blocks + 2 + 2); /* header; two on the way; the end */
    rig_fini(&g);
}

/* With `hold` no record that was returned before is lost: a new block has to wait. */
static void next__hold__ebusy_at_the_end_of_a_block(void **state) {
    (void)state;
    static struct rig_record records[6];
    for (size_t i = 0; i < 6; i++) records[i] = (struct rig_record){8, 100000, false, false, 0};
    struct rig g;
    struct nk_snapread r;
    struct nk_snaprec rec, held[2];
    rig_init(&g, records, 6);
    assert_int_equal(rig_write(&g, NITRO_COMPRESSION_ZSTD), NITRO_OK);
    assert_int_equal(nk_snapread_open(&r, &g.file.vfs, &g.mem.table, 3, g.file.size), NITRO_OK);
    assert_int_equal(nk_snapread_next(&r, true, &rec), NITRO_EBUSY);
    bool seen[6] = {false};
    for (int block = 0; block < 3; block++) {
        assert_int_equal(nk_snapread_next(&r, false, &held[0]), NITRO_OK);
        assert_int_equal(nk_snapread_next(&r, true, &held[1]), NITRO_OK);
        assert_int_equal(nk_snapread_next(&r, true, &rec), NITRO_EBUSY);
        assert_int_equal(nk_snapread_next(&r, true, &rec), NITRO_EBUSY);
        for (int i = 0; i < 2; i++) rig_check(&g, &held[i], seen);
    }
    assert_int_equal(nk_snapread_next(&r, false, &rec), NITRO_ENOTFOUND);
    nk_snapread_close(&r);
    rig_fini(&g);
}

/* ---- what fails --------------------------------------------------------------------------------*/

static const struct rig_record mixed[] = {{8, 200000, false, false, 0},
                                          {8, 100, false, false, 9},
                                          {8, 300000, false, false, 0},
                                          {8, 600000, false, true, 0},
                                          {8, 300000, true, true, 0}};
#define MIXED (sizeof mixed / sizeof mixed[0])

/* Each allocation fails once: that is said, nothing leaks, and in the end there is enough. */
static void allocations__each_fails_once__enomem(void **state) {
    (void)state;
    for (size_t m = 0; m < METHODS; m++) {
        for (int reading = 0; reading < 2; reading++) {
            uint64_t n = 1;
            for (int rc = NITRO_ENOMEM; rc != NITRO_OK; n++) {
                struct rig g;
                rig_init(&g, mixed, MIXED);
                if (reading) assert_int_equal(rig_write(&g, methods[m]), NITRO_OK);
                test_mem_fail(&g.mem, n, n);
                rc = reading ? rig_read(&g, 1) : rig_write(&g, methods[m]);
                assert_int_equal(rc, g.mem.failed > 0 ? NITRO_ENOMEM : NITRO_OK);
                rig_fini(&g);
            }
            assert_true(n > 2); /* something did fail */
        }
    }
}

/* Each file call fails once, with each error: that is said with its errno, and nothing leaks. */
static void file_calls__each_fails_once__eio_with_its_errno(void **state) {
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    for (size_t e = 0; e < 2; e++) {
        for (int reading = 0; reading < 2; reading++) {
            uint64_t n = 1;
            for (int rc = NITRO_EIO; rc != NITRO_OK; n++) {
                struct rig g;
                rig_init(&g, mixed, MIXED);
                if (reading) assert_int_equal(rig_write(&g, NITRO_COMPRESSION_ZSTD), NITRO_OK);
                memfile_fail(&g.file, n, errors[e]);
                rc = reading ? rig_read(&g, 2) : rig_write(&g, NITRO_COMPRESSION_ZSTD);
                bool failed = g.file.calls >= n;
                assert_int_equal(rc, failed ? NITRO_EIO : NITRO_OK);
                assert_int_equal(g.sys, failed ? -errors[e] : 0);
                rig_fini(&g);
            }
            assert_true(n > 10);
        }
    }
}

/* Calls that do seven bytes at most, with signals in between, give the same file and the same records. */
static void file_calls__short_and_interrupted__the_same_file(void **state) {
    (void)state;
    static const struct rig_record records[] = {{8, 3000, true, false, 0}, {8, 500, true, true, 0}};
    struct rig whole, pieces;
    rig_init(&whole, records, 2);
    rig_init(&pieces, records, 2);
    pieces.file.most = 7;
    pieces.file.interrupts = true;
    assert_int_equal(rig_write(&whole, NITRO_COMPRESSION_LZ4), NITRO_OK);
    assert_int_equal(rig_write(&pieces, NITRO_COMPRESSION_LZ4), NITRO_OK);
    assert_true(whole.file.size == pieces.file.size);
    assert_memory_equal(whole.file.p, pieces.file.p, whole.file.size);
    assert_int_equal(rig_read(&pieces, 1), NITRO_OK);
    rig_fini(&whole);
    rig_fini(&pieces);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshot__of_nothing__two_sectors),
        cmocka_unit_test(snapshot__records_of_every_kind__come_back),
        cmocka_unit_test(snapshot__random_records__come_back),
        cmocka_unit_test(snapshot__read__header_and_hash),
        cmocka_unit_test(block__filled_to_the_limit__not_beyond),
        cmocka_unit_test(large__pieces_at_their_limits__come_back),
        cmocka_unit_test(block__of_noise__stored_as_it_is),
        cmocka_unit_test(memory__many_records_and_a_large_one__a_few_blocks),
        cmocka_unit_test(file__longer_than_a_few_mib__synced_on_the_way),
        cmocka_unit_test(next__hold__ebusy_at_the_end_of_a_block),
        cmocka_unit_test(allocations__each_fails_once__enomem),
        cmocka_unit_test(file_calls__each_fails_once__eio_with_its_errno),
        cmocka_unit_test(file_calls__short_and_interrupted__the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
