/* SPDX-License-Identifier: MIT
 *
 * test_hint.c - hint files: what is written is what the reference (format_ref.h) writes, and comes back; the limits of
 * blocks, little memory, and what happens when a call or an allocation fails. Damage is in test_hintdamage.c, the single
 * fields of the header are in test_format.c.
 */
#include "hint_rig.h"

#define SMALL 4096u /* room for a small file */

/* ---- what is written is read -------------------------------------------------------------------*/

/* ref_file: the whole file by the reference; one block. Returns its size. */
static size_t ref_file(const struct rig *g, uint8_t *p) {
    uint8_t key[512];
    size_t n = 0, block = NK_HINT_HEADER;
    struct ref_hint h = {.kind = KIND,
                         .store = STORE,
                         .number = NUMBER,
                         .salt = SALT,
                         .end = g->end,
                         .first_lsn = FIRST_LSN,
                         .last_lsn = FIRST_LSN,
                         .entries = g->count,
                         .time_ms = TEST_NOW};
    for (size_t i = 0; i < g->count; i++) {
        const struct ent *e = &g->ents[i];
        struct ref_entry entry = {.gap = e->gap,
                                  .bytes = e->bytes,
                                  .delta = e->delta,
                                  .kind = e->kind,
                                  .expire_ms = e->expire_ms,
                                  .key_bytes = e->key_bytes,
                                  .key = key};
        fill(key, e->key_bytes, i);
        n += ref_entry(&entry, p + block + 8 + n);
        h.last_lsn += e->delta;
        bool is_put = (e->kind & 0x1f) == PUT;
        if (is_put) h.put_bytes += ref_rounded(e->bytes);
        if (!is_put) h.gone_bytes += e->bytes;
        if (!is_put) h.gone_lsn = h.last_lsn;
    }
    ref_hint_block(p + block, n, block, SALT);
    h.bytes = 8 + n;
    ref_hint_header(&h, p);
    return block + 8 + n;
}

/* Every kind of entry, at the limits of its fields: the file is that of the reference, and all of it comes back. */
static void hint__entries_of_every_kind__the_bytes_of_the_reference(void **state) {
    (void)state;
    struct rig g;
    uint8_t want[SMALL];
    make(&g, mixed, MIXED);
    assert_int_equal(g.file.size, ref_file(&g, want));
    assert_memory_equal(g.file.p, want, g.file.size);
    check_whole(&g, "mixed", 0);
    rig_fini(&g);
}

/* The header says what the writer was given and what it has counted, not what its caller's head said before. */
static void hint__opened__every_field_of_the_header(void **state) {
    (void)state;
    struct rig g;
    struct nk_hintread r;
    make(&g, mixed, MIXED);
    assert_int_equal(open_hint(&g, &r), NITRO_OK);
    const struct nk_hint_head *h = &r.head;
    assert_true(h->version == 1 && h->kind == KIND && h->number == NUMBER && h->salt == SALT);
    assert_memory_equal(h->store, STORE, sizeof h->store);
    assert_true(h->first_lsn == FIRST_LSN && h->last_lsn == FIRST_LSN + 400107);
    assert_true(h->entries == MIXED && h->end == g.end && h->time_ms == TEST_NOW);
    uint64_t large = nk_loc_unsize(nk_loc_size(mixed[5].bytes));
    uint64_t rounded = nk_loc_unsize(nk_loc_size(60000));
    assert_true(large > mixed[5].bytes && h->put_bytes == 17 + 8 + rounded + large);
    assert_true(h->gone_bytes == 20 + 8 + NK_REC_HEAD_MAX + 300 && h->gone_lsn == h->last_lsn);
    assert_true(h->bytes == g.file.size - NK_HINT_HEADER);
    nk_hintread_close(&r);
    rig_fini(&g);
}

/* A file without a record has a hint, too: its header alone. Its end may lie behind the last record. */
static void hint__of_no_records__a_header(void **state) {
    (void)state;
    struct rig g;
    struct nk_hintread r;
    for (uint64_t end = NK_SECTOR; end <= NK_SECTOR + 56; end += 56) {
        struct nk_hint h;
        rig_init(&g, NULL, 0);
        g.end = end;
        assert_int_equal(write_all(&g), NITRO_OK);
        assert_int_equal(g.file.size, NK_HINT_HEADER);
        check_whole(&g, "empty", end);
        assert_int_equal(open_hint(&g, &r), NITRO_OK);
        assert_true(r.head.last_lsn == FIRST_LSN - 1 && r.head.gone_lsn == 0 && r.head.end == end);
        r.hold = true;
        assert_int_equal(nk_hintread_next(&r, &h), NITRO_ENOTFOUND);
        nk_hintread_close(&r);
        rig_fini(&g);
    }
}

/* Random entries with keys of all lengths, in several blocks. */
static void hint__random_entries__come_back(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "random hints");
    for (uint64_t round = test_scale(10); round > 0; round--) {
        bool long_keys = test_rng_below(&rng, 2) == 0;
        size_t count = (size_t)test_rng_below(&rng, long_keys ? 40 : 20000);
        struct ent *ents = random_entries(&rng, count, long_keys ? NITRO_KEY_MAX : 40);
        struct rig g;
        make(&g, ents, count);
        check_whole(&g, "round", round);
        rig_fini(&g);
        free(ents);
    }
}

/* ---- blocks ------------------------------------------------------------------------------------*/

/* blocks_of: how many there are; the longest has to be within its limit. */
static size_t blocks_of(const struct rig *g) {
    size_t blocks = 0;
    for (uint64_t at = NK_HINT_HEADER; at < g->file.size; blocks++) {
        uint64_t n = ref_get(g->file.p + at, 4);
        assert_in_range(n, 1, NK_HINT_BLOCK_MAX);
        at += NK_HINT_BLOCK_HEADER + n;
    }
    return blocks;
}

/* A block is written when it holds NK_HINT_BLOCK bytes: one byte less, and one entry more goes into it. */
static void block__filled_to_its_size__the_next_entry_begins_another(void **state) {
    (void)state;
    static const struct {
        uint32_t key_bytes; /* of the fifth entry */
        size_t blocks;
    } cases[] = {{0, 1}, {1, 2}, {NITRO_KEY_MAX, 2}};
    struct ent ents[6];
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < 6; i++)
            ents[i] = (struct ent){0, 70000, i > 0, PUT, NITRO_KEY_MAX, 0};
        /* nine bytes before a long key, five before a short one: with an empty fifth key it is one byte less */
        ents[3].key_bytes = NK_HINT_BLOCK - 1 - 3 * (9 + NITRO_KEY_MAX) - 9 - 5;
        ents[4].key_bytes = cases[c].key_bytes;
        ents[4].bytes = 8 + cases[c].key_bytes;
        struct rig g;
        make(&g, ents, 6);
        assert_int_equal(blocks_of(&g), cases[c].blocks);
        check_whole(&g, "keys of", cases[c].key_bytes);
        rig_fini(&g);
    }
}

/* With `hold` no key that was returned before is lost: a new block has to wait, and nothing changes. */
static void next__hold__ebusy_at_the_end_of_a_block(void **state) {
    (void)state;
    static struct ent ents[20];
    for (size_t i = 0; i < 20; i++) ents[i] = (struct ent){0, 70000, i > 0, PUT, 65000, 0};
    struct rig g;
    struct nk_hintread r;
    struct nk_hint h, held[20];
    make(&g, ents, 20);
    size_t blocks = blocks_of(&g);
    struct place at = first_place;
    assert_int_equal(open_hint(&g, &r), NITRO_OK);
    for (size_t block = 0; block < blocks; block++) {
        size_t n = 0;
        r.hold = true;
        assert_int_equal(nk_hintread_next(&r, &h), NITRO_EBUSY);
        r.hold = false;
        assert_int_equal(nk_hintread_next(&r, &held[n++]), NITRO_OK);
        uint64_t calls = g.file.calls;
        r.hold = true;
        int rc;
        while ((rc = nk_hintread_next(&r, &held[n])) == NITRO_OK) n++;
        assert_int_equal(rc, block + 1 < blocks ? NITRO_EBUSY : NITRO_ENOTFOUND);
        assert_int_equal(nk_hintread_next(&r, &h), rc);
        assert_true(g.file.calls == calls && n > 1);
        for (size_t i = 0; i < n; i++) {
            check(&g, &at, &held[i]);
            pass(&at, &held[i]);
        }
    }
    assert_int_equal(at.i, 20);
    nk_hintread_close(&r);
    rig_fini(&g);
}

/* Neither side needs more than a block, and the reader of a small file not more than the file. */
static void memory__large_and_small_file__a_block(void **state) {
    (void)state;
    struct test_rng rng = {.state = 7};
    struct nk_hintread r;
    struct rig g;
    struct ent *ents = random_entries(&rng, 50000, 100);
    make(&g, ents, 50000);
    assert_true(g.file.size > 2 * NK_HINT_BLOCK_MAX);
    assert_int_equal(open_hint(&g, &r), NITRO_OK);
    assert_in_range(g.mem.bytes, NK_HINT_BLOCK, NK_HINT_BLOCK_MAX + 100);
    nk_hintread_close(&r);
    rig_fini(&g);
    free(ents);
    make(&g, mixed, MIXED);
    assert_int_equal(open_hint(&g, &r), NITRO_OK);
    assert_in_range(g.mem.bytes, 1, g.file.size);
    nk_hintread_close(&r);
    rig_fini(&g);
}

/* ---- what the writer refuses -------------------------------------------------------------------*/

/* A record that cannot come next in a data file is refused, changes nothing, and the writer goes on. */
static void add__record_that_cannot_follow__ecorrupt_and_unchanged(void **state) {
    (void)state;
    static const struct nk_hint bad[] = {
        {.lsn = 1500, .offset = 531, .bytes = 20, .kind = NK_REC_PUT},
        {.lsn = FIRST_LSN, .offset = 532, .bytes = 20, .kind = NK_REC_PUT},
        {.lsn = 1500, .offset = NK_LOC_OFFSET_MAX + 1, .bytes = 20, .kind = NK_REC_PUT},
        {.lsn = 1500, .offset = 532, .bytes = 7, .kind = NK_REC_PUT},
        {.lsn = 1500, .offset = 532, .bytes = 20, .kind = NK_REC_EXPIRE, .expire_ms = 5},
        {.lsn = 1500, .offset = 532, .bytes = 20, .kind = NK_REC_DELETE, .expire_ms = 5},
        {.lsn = 1500, .offset = 532, .bytes = 90, .kind = NK_REC_DELETE},
        {.lsn = UINT64_MAX, .offset = 532, .bytes = 20, .kind = NK_REC_PUT},
        {.lsn = 1500, .offset = 532, .bytes = 100000, .kind = NK_REC_PUT, .key_bytes = 65536},
    };
    static const struct ent good[] = {{0, 20, 0, PUT, 0, 0}, {0, 20, 1, DELETE, 0, 0}};
    struct rig g, want;
    struct nk_hintwrite w;
    struct nk_hint_head head = head_of_file();
    rig_init(&g, good, 1);
    assert_int_equal(nk_hintwrite_init(&w, &g.file.vfs, &g.mem.table, 3, &head), NITRO_OK);
    assert_int_equal(write_entries(&g, &w), NITRO_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (nk_hintwrite_add(&w, &bad[i]) != NITRO_ECORRUPT) test_fail("record %zu", i);
    struct nk_hint next = {.lsn = 1001, .offset = 532, .bytes = 20, .kind = NK_REC_DELETE};
    assert_int_equal(nk_hintwrite_add(&w, &next), NITRO_OK);
    assert_int_equal(nk_hintwrite_finish(&w, 552, TEST_NOW), NITRO_OK);
    nk_hintwrite_fini(&w);
    make(&want, good, 2);
    assert_int_equal(g.file.size, want.file.size);
    assert_memory_equal(g.file.p, want.file.p, want.file.size);
    rig_fini(&want);
    rig_fini(&g);
}

/* ---- what fails --------------------------------------------------------------------------------*/

/* Two blocks and a little of a third. */
static struct ent many[60000];
#define MANY (sizeof many / sizeof many[0])

static void make_many(void) {
    for (size_t i = 0; i < MANY; i++) many[i] = (struct ent){0, 50, i > 0, PUT, 6, 0};
}

/* Each write fails once: that is said with its errno, and nothing leaks. */
static void writes__each_fails_once__eio_with_its_errno(void **state) {
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    for (size_t e = 0; e < 2; e++) {
        uint64_t n = 1;
        for (int rc = NITRO_EIO; rc != NITRO_OK; n++) {
            struct rig g;
            rig_init(&g, many, MANY);
            memfile_fail(&g.file, n, errors[e]);
            rc = write_all(&g);
            bool failed = g.file.calls >= n;
            assert_int_equal(rc, failed ? NITRO_EIO : NITRO_OK);
            assert_int_equal(g.sys, failed ? -errors[e] : 0);
            if (failed) must_be_found(&g, "failed write", n);
            rig_fini(&g);
        }
        assert_true(n > 5);
    }
}

/* A writer whose block could not be written still has it: entries are neither lost nor taken beyond its memory. */
static void writes__fail_for_a_while__the_same_file_afterwards(void **state) {
    (void)state;
    struct rig g;
    struct nk_hintwrite w;
    struct nk_hint_head head = head_of_file();
    struct place at = first_place;
    uint64_t failures = 0;
    rig_init(&g, many, MANY);
    assert_int_equal(nk_hintwrite_init(&w, &g.file.vfs, &g.mem.table, 3, &head), NITRO_OK);
    while (at.i < MANY) {
        uint8_t key[6];
        fill(key, sizeof key, at.i);
        struct nk_hint h = hint_at(&at, &many[at.i], key);
        int rc = NITRO_EIO;
        for (int tries = 0; tries < 3 && rc != NITRO_OK; tries++) {
            memfile_fail(&g.file, tries < 2 ? 1 : 0, -ENOSPC);
            rc = nk_hintwrite_add(&w, &h);
            failures += rc == NITRO_EIO;
        }
        assert_int_equal(rc, NITRO_OK);
        pass(&at, &h);
    }
    memfile_fail(&g.file, 0, 0);
    assert_int_equal(nk_hintwrite_finish(&w, g.end, TEST_NOW), NITRO_OK);
    assert_true(failures >= 4);
    check_whole(&g, "after failures", failures);
    nk_hintwrite_fini(&w);
    rig_fini(&g);
}

/* Each read fails once: that is said with its errno, and nothing leaks. */
static void reads__each_fails_once__eio_with_its_errno(void **state) {
    (void)state;
    struct rig g;
    make(&g, many, MANY);
    uint64_t n = 1;
    for (int rc = NITRO_EIO; rc != NITRO_ENOTFOUND; n++) {
        memfile_fail(&g.file, n, n % 2 == 0 ? -EIO : -ESTALE);
        rc = read_all(&g);
        bool failed = g.file.calls >= n;
        assert_int_equal(rc, failed ? NITRO_EIO : NITRO_ENOTFOUND);
        assert_int_equal(g.sys, !failed ? 0 : n % 2 == 0 ? EIO : ESTALE);
        test_mem_check_empty(&g.mem);
    }
    assert_true(n > 7);
    rig_fini(&g);
}

/* The allocation of each side fails: that is said, and nothing leaks. */
static void allocations__fail__enomem(void **state) {
    (void)state;
    struct rig g;
    rig_init(&g, mixed, MIXED);
    test_mem_fail(&g.mem, 1, 1);
    assert_int_equal(write_all(&g), NITRO_ENOMEM);
    test_mem_fail(&g.mem, 0, 0);
    assert_int_equal(write_all(&g), NITRO_OK);
    test_mem_fail(&g.mem, 1, 1);
    assert_int_equal(read_all(&g), NITRO_ENOMEM);
    test_mem_fail(&g.mem, 2, 2);
    check_whole(&g, "one allocation", 1);
    rig_fini(&g);
}

/* Calls that do a few bytes at a time, with signals in between, give the same file and the same entries. */
static void file_calls__short_and_interrupted__the_same_file(void **state) {
    (void)state;
    struct rig whole, pieces;
    make(&whole, mixed, MIXED);
    rig_init(&pieces, mixed, MIXED);
    pieces.file.most = 3;
    pieces.file.interrupts = true;
    assert_int_equal(write_all(&pieces), NITRO_OK);
    assert_int_equal(whole.file.size, pieces.file.size);
    assert_memory_equal(whole.file.p, pieces.file.p, whole.file.size);
    check_whole(&pieces, "short reads", 0);
    rig_fini(&whole);
    rig_fini(&pieces);
}

int main(void) {
    make_many();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hint__entries_of_every_kind__the_bytes_of_the_reference),
        cmocka_unit_test(hint__opened__every_field_of_the_header),
        cmocka_unit_test(hint__of_no_records__a_header),
        cmocka_unit_test(hint__random_entries__come_back),
        cmocka_unit_test(block__filled_to_its_size__the_next_entry_begins_another),
        cmocka_unit_test(next__hold__ebusy_at_the_end_of_a_block),
        cmocka_unit_test(memory__large_and_small_file__a_block),
        cmocka_unit_test(add__record_that_cannot_follow__ecorrupt_and_unchanged),
        cmocka_unit_test(writes__each_fails_once__eio_with_its_errno),
        cmocka_unit_test(writes__fail_for_a_while__the_same_file_afterwards),
        cmocka_unit_test(reads__each_fails_once__eio_with_its_errno),
        cmocka_unit_test(allocations__fail__enomem),
        cmocka_unit_test(file_calls__short_and_interrupted__the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
