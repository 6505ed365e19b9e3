/* SPDX-License-Identifier: MIT
 *
 * test_datafile.c - merged files: records written by the reference (format_ref.h) come back, wherever the read buffer
 * ends; files that are damaged, cut, or forged with every checksum right are found; and what happens when a call or an
 * allocation fails. The single fields of the header are in test_format.c.
 *
 * RECORDS  Record i has a key that is made of i and its length, and a value likewise. So who reads a record
 *          knows all of what it has to be.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "datafile.h"
#include "format_ref.h"
#include "loc.h"
#include "memfile.h"
#include "support.h"

#define STORE "sixteen bytes id"
#define SALT UINT64_C(0x1122334455667788)
#define FIRST_LSN UINT64_C(1000)
#define LAST_LSN UINT64_C(1000000)
#define BUFFER (256u * 1024) /* what a scan reads at once */
#define LARGE 10000u         /* bytes: larger records are not made by the reference */
#define PUT 0x01
#define PUT_EXPIRY 0x21
#define DELETE 0x02
#define FLUSH 0x04

struct rec {
    uint64_t delta;
    uint8_t kind; /* with flags */
    uint32_t key_bytes, value_bytes;
    int64_t expire_ms;
};

struct rig {
    struct test_mem mem;
    struct memfile file;
    struct ref_data head; /* `records` and `end` follow what is put */
    const struct rec *recs;
};

static void *must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

/* ---- writing -----------------------------------------------------------------------------------*/

static void fill(uint8_t *p, size_t n, size_t i) {
    memset(p, (int)(i * 7 + n), n);
    for (size_t at = 0; at < n && at < 300; at++) p[at] = (uint8_t)(at * 31 + i * 7 + n);
}

static void rig_init(struct rig *g) {
    memset(g, 0, sizeof *g);
    test_mem_init(&g->mem);
    memfile_init(&g->file);
    g->head = (struct ref_data){.store = STORE,
                                .number = 4,
                                .salt = SALT,
                                .first_lsn = FIRST_LSN,
                                .last_lsn = LAST_LSN,
                                .prev_last_lsn = 990,
                                .end = NK_SECTOR,
                                .time_ms = TEST_NOW,
                                .cut_lsn = LAST_LSN + 5000};
}

static void rig_fini(struct rig *g) {
    memfile_fini(&g->file);
    test_mem_check_empty(&g->mem);
}

static void write_at(struct rig *g, uint64_t offset, const uint8_t *p, size_t n) {
    assert_int_equal(nk_vfs_write(&g->file.vfs, 3, p, n, offset, "test"), 0);
}

/* engine_record: as ref_record, whose CRC would take too long for so many bytes. */
static size_t engine_record(const struct rig *g, const struct ref_record *r, uint8_t *p) {
    struct nk_record rec = {.lsn = g->head.first_lsn + r->delta,
                            .kind = (enum nk_rec_kind)(r->kind & 0x1f),
                            .expire_ms = r->expire_ms,
                            .key = r->key,
                            .value = r->value,
                            .key_bytes = (uint32_t)r->key_bytes,
                            .value_bytes = (uint32_t)r->value_bytes};
    size_t n =
        nk_record_head(&rec, nk_record_body_crc(&rec), g->head.first_lsn, g->head.end, SALT, p);
    memcpy(p + n, r->key, (size_t)(r->key_bytes + r->value_bytes));
    return n + (size_t)(r->key_bytes + r->value_bytes);
}

/* put_as: a record, and what its head says of its lengths is more by these; it has the bytes of a right one. */
static void put_as(struct rig *g, size_t i, const struct rec *r, uint64_t more_key,
                   uint64_t more_value) {
    size_t body = (size_t)r->key_bytes + r->value_bytes;
    uint8_t *p = must(malloc(NK_REC_HEAD_MAX + 2 * body)), *key = p + NK_REC_HEAD_MAX + body;
    fill(key, r->key_bytes, i);
    fill(key + r->key_bytes, r->value_bytes, i + 1);
    struct ref_record rec = {.delta = r->delta,
                             .key_bytes = r->key_bytes + more_key,
                             .value_bytes = r->value_bytes + more_value,
                             .kind = r->kind,
                             .expire_ms = r->expire_ms};
    if (more_key == 0 && more_value == 0) {
        rec.key = key;
        rec.value = key + r->key_bytes;
    }
    size_t n = body > LARGE ? engine_record(g, &rec, p)
                            : ref_record(&rec, g->head.first_lsn, g->head.end, SALT, p);
    write_at(g, g->head.end, p, n);
    g->head.end += n;
    g->head.records++;
    free(p);
}

static void put(struct rig *g, size_t i, const struct rec *r) { put_as(g, i, r, 0, 0); }

static void put_header(struct rig *g) {
    uint8_t sector[NK_SECTOR];
    ref_data_header(&g->head, sector);
    write_at(g, 0, sector, sizeof sector);
}

static void make(struct rig *g, const struct rec *recs, size_t count) {
    rig_init(g);
    g->recs = recs;
    for (size_t i = 0; i < count; i++) put(g, i, &recs[i]);
    put_header(g);
}

/* ---- reading -----------------------------------------------------------------------------------*/

/* open_scan: as whoever opens a file does it. */
static int open_scan(struct rig *g, struct nk_datascan *s) {
    uint8_t sector[NK_SECTOR];
    struct nk_data_header h = {.number = 0};
    memset(s, 0, sizeof *s);
    if (nk_vfs_read(&g->file.vfs, 3, sector, sizeof sector, 0) != NK_SECTOR) return NITRO_ECORRUPT;
    int rc = nk_data_header_decode(sector, &h);
    if (rc == NITRO_OK) nk_datascan_init(s, &g->file.vfs, &g->mem.table, 3, &h);
    return rc;
}

static void check(const struct rig *g, const struct nk_placed *got, size_t i) {
    const struct rec *r = &g->recs[i];
    uint8_t *want = must(malloc((size_t)r->key_bytes + r->value_bytes + 1));
    fill(want, r->key_bytes, i);
    fill(want + r->key_bytes, r->value_bytes, i + 1);
    bool same = got->r.lsn == FIRST_LSN + r->delta && got->r.kind == (r->kind & 0x1f) &&
                got->r.expire_ms == r->expire_ms && got->r.key_bytes == r->key_bytes &&
                got->r.value_bytes == r->value_bytes &&
                memcmp(got->r.key, want, r->key_bytes) == 0 &&
                memcmp(got->r.value, want + r->key_bytes, r->value_bytes) == 0;
    if (!same) test_fail("record %zu came back changed", i);
    free(want);
}

/* drain: reads records from the i-th on to the end of the file, and checks them. */
static int drain(struct rig *g, struct nk_datascan *s, bool crc, size_t i) {
    for (;;) {
        struct nk_placed r;
        uint64_t at = s->at;
        int rc = nk_datascan_record(s, crc, &r);
        if (rc != NITRO_OK) return rc;
        assert_true(r.offset == at && r.p + r.bytes == r.r.value + r.r.value_bytes);
        assert_true(s->at == at + r.bytes && s->newest == r.r.lsn);
        if (g->recs != NULL) check(g, &r, i++);
    }
}

/* read_all: NITRO_ENOTFOUND: the whole file is right. */
static int read_all(struct rig *g, bool crc) {
    struct nk_datascan s;
    int rc = open_scan(g, &s);
    if (rc != NITRO_OK) return rc;
    rc = drain(g, &s, crc, 0);
    if (rc == NITRO_ENOTFOUND) assert_true(s.at == s.end && s.left == 0);
    nk_datascan_fini(&s);
    nk_datascan_fini(&s);
    return rc;
}

static void check_whole(struct rig *g, const char *what, uint64_t number) {
    int rc = read_all(g, true);
    if (rc != NITRO_ENOTFOUND) test_fail("%s %" PRIu64 ": %s", what, number, nitro_strerror(rc));
}

static void must_be_found(struct rig *g, const char *what, uint64_t number) {
    int rc = read_all(g, true);
    if (rc != NITRO_ECORRUPT) test_fail("%s %" PRIu64 ": %s", what, number, nitro_strerror(rc));
}

static const struct rec mixed[] = {
    {0, PUT, 7, 5, 0},
    {3, PUT_EXPIRY, 9, 300, TEST_NOW},
    {4, DELETE, 12, 0, 0},
    {90, FLUSH, 0, 0, 0},
    {91, PUT, 0, 0, 0},
    {20000, PUT, 40, 100, 0},
    {LAST_LSN - FIRST_LSN, PUT, 8, 90, 0},
};
#define MIXED (sizeof mixed / sizeof mixed[0])

/* ---- what is written is read -------------------------------------------------------------------*/

/* The engine's header is that of the reference, and says what was put in. */
static void header__encoded__the_bytes_of_the_reference(void **state) {
    (void)state;
    struct rig g;
    uint8_t sector[NK_SECTOR];
    struct nk_data_header h;
    make(&g, mixed, MIXED);
    assert_int_equal(nk_data_header_decode(g.file.p, &h), NITRO_OK);
    assert_true(h.version == 1 && h.number == 4 && h.salt == SALT && h.prev_last_lsn == 990);
    assert_true(h.first_lsn == FIRST_LSN && h.last_lsn == LAST_LSN && h.time_ms == TEST_NOW);
    assert_int_equal(h.cut_lsn, LAST_LSN + 5000);
    assert_true(h.end == g.file.size && h.records == MIXED);
    assert_memory_equal(h.store, STORE, sizeof h.store);
    nk_data_header_encode(&h, sector);
    assert_memory_equal(sector, g.file.p, sizeof sector);
    rig_fini(&g);
}

/* Every kind of record, first and last LSN, empty key and value. */
static void scan__records_of_every_kind__come_back(void **state) {
    (void)state;
    struct rig g;
    make(&g, mixed, MIXED);
    check_whole(&g, "mixed", 0);
    rig_fini(&g);
}

/* A file that stands for LSNs of which nothing is left has a header only, and nothing is read or allocated. */
static void scan__no_records__at_its_end_at_once(void **state) {
    (void)state;
    struct rig g;
    struct nk_datascan s;
    struct nk_placed r;
    make(&g, NULL, 0);
    assert_int_equal(open_scan(&g, &s), NITRO_OK);
    uint64_t calls = g.file.calls;
    s.hold = true;
    assert_int_equal(nk_datascan_record(&s, true, &r), NITRO_ENOTFOUND);
    assert_int_equal(nk_datascan_record(&s, true, &r), NITRO_ENOTFOUND);
    assert_true(g.file.calls == calls && g.mem.calls == 0);
    nk_datascan_fini(&s);
    rig_fini(&g);
}

/* What lies behind the end that the header says means nothing and is not looked at. */
static void scan__bytes_behind_the_end__mean_nothing(void **state) {
    (void)state;
    struct rig g;
    uint8_t junk[2000];
    make(&g, mixed, MIXED);
    memset(junk, 0xff, sizeof junk);
    write_at(&g, g.head.end, junk, sizeof junk);
    check_whole(&g, "longer file", sizeof junk);
    rig_fini(&g);
}

/* Random records, small ones mostly, with random gaps between their LSNs. */
static void scan__random_records__come_back(void **state) {
    (void)state;
    struct test_rng rng;
    test_rng_init(&rng, "random merged files");
    for (uint64_t round = test_scale(5); round > 0; round--) {
        size_t count = (size_t)test_rng_below(&rng, 3000);
        struct rec *recs = must(malloc((count + 1) * sizeof *recs));
        for (uint64_t i = 0, lsn = 0; i < count; i++) {
            uint32_t value = (uint32_t)test_rng_below(&rng, i % 500 == 0 ? 400000 : 300);
            bool expiry = test_rng_below(&rng, 4) == 0;
            recs[i] = (struct rec){lsn, PUT, (uint32_t)test_rng_below(&rng, 40), value, 0};
            if (expiry) recs[i].kind = PUT_EXPIRY;
            if (expiry) recs[i].expire_ms = 1 + (int64_t)(test_rng_next(&rng) >> 1);
            if (!expiry && i % 9 == 0) recs[i].kind = DELETE;
            if (recs[i].kind == DELETE) recs[i].value_bytes = 0;
            lsn += 1 + test_rng_below(&rng, 300);
        }
        struct rig g;
        make(&g, recs, count);
        check_whole(&g, "round", round);
        rig_fini(&g);
        free(recs);
    }
}

/* ---- the read buffer ---------------------------------------------------------------------------*/

/* Every byte of a small record, of its head and of a large one's head is once the last of the buffer; and the file ends
 * there, or goes on. */
static void scan__buffer_ends_at_every_byte_of_a_record__come_back(void **state) {
    (void)state;
    static const uint32_t seconds[] = {0, 30, BUFFER + 1000};
    uint32_t step = test_scale(100) >= 100 ? 1 : 7;
    for (size_t k = 0; k < sizeof seconds / sizeof seconds[0]; k++) {
        for (uint32_t cut = 0; cut < 100; cut += step) {
            struct rec recs[] = {{1, PUT, 10, BUFFER - 20 - cut, 0},
                                 {2, PUT_EXPIRY, 20, seconds[k], 99},
                                 {300, DELETE, 5, 0, 0}};
            struct rig g;
            make(&g, recs, 3);
            check_whole(&g, "cut", cut);
            rig_fini(&g);
            make(&g, recs, 2);
            check_whole(&g, "cut at the end", cut);
            rig_fini(&g);
        }
    }
}

/* With `hold` nothing that was borrowed is lost: what is not in memory has to wait, and nothing changes. */
static void scan__hold__ebusy_where_it_would_have_to_read(void **state) {
    (void)state;
    static const struct rec recs[] = {{0, PUT, 8, 100000, 0}, {1, PUT, 8, 100000, 0},
                                      {2, PUT, 8, 100000, 0}, {3, PUT, 8, 100000, 0},
                                      {9, PUT, 8, 100000, 0}, {10, PUT, 8, 10, 0}};
    struct rig g;
    struct nk_datascan s;
    struct nk_placed held[2], r;
    make(&g, recs, 6);
    assert_int_equal(open_scan(&g, &s), NITRO_OK);
    s.hold = true;
    assert_int_equal(nk_datascan_record(&s, true, &r), NITRO_EBUSY);
    for (size_t i = 0; i < 6; i += 2) {
        uint64_t calls = g.file.calls;
        s.hold = false;
        assert_int_equal(nk_datascan_record(&s, true, &held[0]), NITRO_OK);
        s.hold = true;
        assert_int_equal(nk_datascan_record(&s, true, &held[1]), NITRO_OK);
        uint64_t at = s.at, left = s.left;
        int rc = nk_datascan_record(&s, true, &r);
        assert_int_equal(rc, i == 4 ? NITRO_ENOTFOUND : NITRO_EBUSY);
        assert_int_equal(nk_datascan_record(&s, true, &r), rc);
        assert_true(s.at == at && s.left == left && g.file.calls == calls + 1);
        check(&g, &held[0], i);
        check(&g, &held[1], i + 1);
    }
    nk_datascan_fini(&s);
    rig_fini(&g);
}

/* Small records cost one buffer, whatever the size of the file; a large one makes it grow to what it needs. */
static void scan__memory__one_buffer_or_the_largest_record(void **state) {
    (void)state;
    struct rec recs[12];
    for (uint32_t i = 0; i < 12; i++) recs[i] = (struct rec){i, PUT, 8, 90000, 0};
    for (uint32_t large = 0; large <= 3000000; large += 3000000) {
        struct rig g;
        struct nk_datascan s;
        if (large > 0) recs[6].value_bytes = large;
        make(&g, recs, 12);
        assert_int_equal(open_scan(&g, &s), NITRO_OK);
        assert_int_equal(drain(&g, &s, true, 0), NITRO_ENOTFOUND);
        assert_in_range(g.mem.bytes, BUFFER, large > 0 ? large + 65536 : BUFFER);
        nk_datascan_fini(&s);
        rig_fini(&g);
    }
}

/* ---- damage ------------------------------------------------------------------------------------*/

/* Every bit of header and records counts. */
static void file__any_bit_flipped__found(void **state) {
    (void)state;
    struct rig g;
    make(&g, mixed, MIXED);
    for (uint64_t bit = 0; bit < 8 * g.file.size; bit++) {
        g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        g.recs = NULL; /* records before the damage may come back, those behind it don't matter */
        must_be_found(&g, "bit", bit);
        g.file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    g.recs = mixed;
    check_whole(&g, "mended", 0);
    rig_fini(&g);
}

/* A file that was cut anywhere, before it is opened or while it is read, is damaged: that is no crash and no EIO. */
static void file__cut_anywhere__found(void **state) {
    (void)state;
    struct rig g;
    struct nk_datascan s;
    make(&g, mixed, MIXED);
    uint64_t whole = g.file.size;
    for (g.file.size = 0; g.file.size < whole; g.file.size++) must_be_found(&g, "cut", g.file.size);
    for (uint64_t cut = 0; cut < whole; cut += 7) {
        g.file.size = whole;
        assert_int_equal(open_scan(&g, &s), NITRO_OK);
        g.file.size = cut;
        assert_int_equal(drain(&g, &s, cut % 2 == 0, 0), NITRO_ECORRUPT);
        nk_datascan_fini(&s);
    }
    rig_fini(&g);
}

/* Without `check` lengths and LSNs are looked at, and the CRC is not. */
static void scan__value_damaged__found_with_check_alone(void **state) {
    (void)state;
    static const struct rec recs[] = {{0, PUT, 7, 50, 0}, {5, PUT, 7, 50, 0}};
    struct rig g;
    make(&g, recs, 2);
    g.recs = NULL;
    g.file.p[NK_SECTOR + 40] ^= 1;
    assert_int_equal(read_all(&g, true), NITRO_ECORRUPT);
    assert_int_equal(read_all(&g, false), NITRO_ENOTFOUND);
    rig_fini(&g);
}

/* ---- forged files ------------------------------------------------------------------------------*/

struct forgery {
    const char *name;
    int code;
    struct rec last;               /* behind two records with deltas 0 and 10 */
    uint64_t more_key, more_value; /* its head says so many bytes more than there are */
    uint64_t add_records, add_end; /* to what the header should say */
};
static const struct forgery forgeries[] = {
    {"as it should be", NITRO_ENOTFOUND, {11, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"with the last LSN", NITRO_ENOTFOUND, {LAST_LSN - FIRST_LSN, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"LSN of the one before", NITRO_ECORRUPT, {10, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"LSN less than before", NITRO_ECORRUPT, {5, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"LSN beyond", NITRO_ECORRUPT, {LAST_LSN - FIRST_LSN + 1, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"LSN of 64 bits", NITRO_ECORRUPT, {INT64_MAX, PUT, 3, 4, 0}, 0, 0, 0, 0},
    {"an expiry without a value", NITRO_ECORRUPT, {11, 0x23, 3, 0, 5}, 0, 0, 0, 0},
    {"no expiry without a value", NITRO_ECORRUPT, {11, 0x03, 3, 0, 0}, 0, 0, 0, 0},
    {"kind 0", NITRO_ECORRUPT, {11, 0x00, 3, 0, 0}, 0, 0, 0, 0},
    {"kind 5", NITRO_ECORRUPT, {11, 0x05, 3, 0, 0}, 0, 0, 0, 0},
    {"bit 6", NITRO_ECORRUPT, {11, PUT | 0x40, 3, 4, 0}, 0, 0, 0, 0},
    {"bit 7 of a delete", NITRO_ECORRUPT, {11, 0x82, 3, 0, 0}, 0, 0, 0, 0},
    {"bit 7 of a value of two bytes", NITRO_ECORRUPT, {11, 0x81, 3, 2, 0}, 0, 0, 0, 0},
    {"flush with a key", NITRO_ECORRUPT, {11, FLUSH, 1, 0, 0}, 0, 0, 0, 0},
    {"key longer than the file", NITRO_ECORRUPT, {11, PUT, 0, 0, 0}, 9, 0, 0, 0},
    {"key longer than it may be", NITRO_ECORRUPT, {11, PUT, 0, 0, 0}, 65536, 0, 0, 0},
    {"value longer than the file", NITRO_ECORRUPT, {11, PUT, 0, 0, 0}, 0, 9, 0, 0},
    {"value of 512 MiB", NITRO_ECORRUPT, {11, PUT, 0, 0, 0}, 0, NITRO_VALUE_MAX, 0, 0},
    {"value longer than it may be", NITRO_ECORRUPT, {11, PUT, 0, 0, 0}, 0, INT64_MAX, 0, 0},
    {"one record more", NITRO_ECORRUPT, {11, PUT, 3, 4, 0}, 0, 0, 1, 0},
    {"one record less", NITRO_ECORRUPT, {11, PUT, 3, 4, 0}, 0, 0, UINT64_MAX, 0},
    {"end in the last record", NITRO_ECORRUPT, {11, PUT, 3, 4, 0}, 0, 0, 0, UINT64_MAX},
    {"end behind the last record", NITRO_ECORRUPT, {11, PUT, 3, 4, 0}, 0, 0, 0, 1},
    {"another record behind the end", NITRO_ECORRUPT, {11, PUT, 3, 4, 0}, 0, 0, 1, 100},
};

/* Each rule refuses what breaks it, though every checksum is right, and no memory is taken for what is only claimed. */
static void forged__a_rule_broken_under_right_checksums__found(void **state) {
    (void)state;
    static const struct rec first = {0, PUT, 5, 5, 0}, second = {10, PUT, 5, 5, 0};
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        const struct forgery *f = &forgeries[i];
        struct rig g;
        struct nk_datascan s;
        rig_init(&g);
        put(&g, 0, &first);
        put(&g, 1, &second);
        put_as(&g, 2, &f->last, f->more_key, f->more_value);
        g.head.records += f->add_records;
        g.head.end += f->add_end;
        put_header(&g);
        assert_int_equal(open_scan(&g, &s), NITRO_OK);
        int rc = drain(&g, &s, true, 0);
        if (rc != f->code) test_fail("%s: %s", f->name, nitro_strerror(rc));
        assert_true(g.mem.bytes <= BUFFER);
        nk_datascan_fini(&s);
        rig_fini(&g);
    }
}

/* No location can refer to a record that begins at 2^32 or behind: it is damage, before anything is read. */
static void scan__record_beyond_32_bits__found(void **state) {
    (void)state;
    struct rig g;
    struct nk_datascan s;
    struct nk_placed r;
    rig_init(&g);
    struct nk_data_header h = {.number = 4,
                               .first_lsn = 1,
                               .last_lsn = 9,
                               .records = 1,
                               .end = NK_DATA_END_MAX,
                               .time_ms = TEST_NOW};
    nk_datascan_init(&s, &g.file.vfs, &g.mem.table, 3, &h);
    s.at = NK_LOC_OFFSET_MAX + 1;
    assert_int_equal(nk_datascan_record(&s, true, &r), NITRO_ECORRUPT);
    assert_true(g.file.calls == 0 && g.mem.calls == 0);
    s.at--; /* here one may begin, though this file has none */
    assert_int_equal(nk_datascan_record(&s, true, &r), NITRO_ECORRUPT);
    assert_int_equal(g.file.calls, 1);
    nk_datascan_fini(&s);
    rig_fini(&g);
}

/* ---- what fails --------------------------------------------------------------------------------*/

static const struct rec several[] = {{0, PUT, 8, 200000, 0},
                                     {1, PUT, 8, 100, 0},
                                     {2, PUT, 8, 600000, 0},
                                     {7, PUT_EXPIRY, 8, 300000, 5}};
#define SEVERAL (sizeof several / sizeof several[0])

/* go_on: reads on after a failure, from the record before which it happened. */
static void go_on(struct rig *g, struct nk_datascan *s) {
    size_t i = SEVERAL - (size_t)s->left;
    assert_int_equal(drain(g, s, true, i), NITRO_ENOTFOUND);
    nk_datascan_fini(s);
}

/* Each read fails once: that is said with its errno, nothing is lost, and the scan can go on. */
static void reads__each_fails_once__eio_and_goes_on(void **state) {
    (void)state;
    static const int errors[] = {-EIO, -ESTALE};
    for (size_t e = 0; e < 2; e++) {
        uint64_t n = 1;
        for (int rc = NITRO_EIO; rc != NITRO_ENOTFOUND; n++) {
            struct rig g;
            struct nk_datascan s;
            make(&g, several, SEVERAL);
            assert_int_equal(open_scan(&g, &s), NITRO_OK);
            memfile_fail(&g.file, n, errors[e]);
            rc = drain(&g, &s, true, 0);
            bool failed = g.file.calls >= n;
            assert_int_equal(rc, failed ? NITRO_EIO : NITRO_ENOTFOUND);
            assert_int_equal(s.sys, failed ? -errors[e] : 0);
            go_on(&g, &s);
            rig_fini(&g);
        }
        assert_true(n > 4);
    }
}

/* Each allocation fails once: that is said, nothing leaks, and the scan can go on. */
static void allocations__each_fails_once__enomem_and_goes_on(void **state) {
    (void)state;
    uint64_t n = 1;
    for (int rc = NITRO_ENOMEM; rc != NITRO_ENOTFOUND; n++) {
        struct rig g;
        struct nk_datascan s;
        make(&g, several, SEVERAL);
        assert_int_equal(open_scan(&g, &s), NITRO_OK);
        test_mem_fail(&g.mem, n, n);
        rc = drain(&g, &s, true, 0);
        assert_int_equal(rc, g.mem.failed > 0 ? NITRO_ENOMEM : NITRO_ENOTFOUND);
        go_on(&g, &s);
        rig_fini(&g);
    }
    assert_true(n > 3);
}

/* Reads that give a few bytes at a time, with signals in between, give the same records. */
static void reads__short_and_interrupted__the_same_records(void **state) {
    (void)state;
    struct rig g;
    make(&g, mixed, MIXED);
    g.file.most = 3;
    g.file.interrupts = true;
    check_whole(&g, "short reads", 0);
    rig_fini(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header__encoded__the_bytes_of_the_reference),
        cmocka_unit_test(scan__records_of_every_kind__come_back),
        cmocka_unit_test(scan__no_records__at_its_end_at_once),
        cmocka_unit_test(scan__bytes_behind_the_end__mean_nothing),
        cmocka_unit_test(scan__random_records__come_back),
        cmocka_unit_test(scan__buffer_ends_at_every_byte_of_a_record__come_back),
        cmocka_unit_test(scan__hold__ebusy_where_it_would_have_to_read),
        cmocka_unit_test(scan__memory__one_buffer_or_the_largest_record),
        cmocka_unit_test(file__any_bit_flipped__found),
        cmocka_unit_test(file__cut_anywhere__found),
        cmocka_unit_test(scan__value_damaged__found_with_check_alone),
        cmocka_unit_test(forged__a_rule_broken_under_right_checksums__found),
        cmocka_unit_test(scan__record_beyond_32_bits__found),
        cmocka_unit_test(reads__each_fails_once__eio_and_goes_on),
        cmocka_unit_test(allocations__each_fails_once__enomem_and_goes_on),
        cmocka_unit_test(reads__short_and_interrupted__the_same_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
