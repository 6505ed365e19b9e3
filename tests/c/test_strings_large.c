/* SPDX-License-Identifier: MIT
 *
 * test_strings_large.c - parts of large values, values that become large or small, values that several keys
 * share; and the same through a log and a restart.
 *
 * HOW   The contents of a value are a function of its key's letter and of the place, so that a byte at a wrong
 *       place is seen. A hook in the allocator lets another client write between the two locks of an APPEND: a
 *       large value is made outside of them, and mapping its memory is the one call that the engine makes there.
 *
 * NOT HERE  what the verbs answer otherwise (test_strings.c), failing allocations (test_alloc_sweep.c).
 */
#define _GNU_SOURCE /* memmem */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "wire_nbp.h"

#define BORDER NK_VALUE_BIG /* the longest value that is kept with its key */
#define LARGE (3u * BORDER)
#define HUGE_BYTES (2u * NK_FRAME_BODY_MAX + 5)
#define DIR_NAME "/tmp/nitrokv-strings-XXXXXX"

struct world {
    struct test_mem mem;
    struct nitro_mem hooked;         /* mem.table, with the hook below in front */
    void (*on_map)(struct world *w); /* runs when the next large value is mapped, once */
    uint32_t maps_before;            /* values that are mapped before that */
    uint32_t max_value;              /* 0: the engine's */
    char dir[sizeof DIR_NAME];       /* empty: no log */
    nitro_store *store;
    struct test_client client;
    uint32_t busy; /* times that a request was BUSY */
};

static uint8_t text[HUGE_BYTES];

/* ---- the world --------------------------------------------------------------------------------*/

static void *hooked_alloc(void *ctx, size_t bytes) {
    struct world *w = ctx;
    return w->mem.table.alloc(w->mem.table.ctx, bytes);
}
static void *hooked_resize(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    struct world *w = ctx;
    return w->mem.table.resize(w->mem.table.ctx, p, old_bytes, bytes);
}
static void hooked_free(void *ctx, void *p, size_t bytes) {
    struct world *w = ctx;
    w->mem.table.free(w->mem.table.ctx, p, bytes);
}
static void *hooked_map(void *ctx, size_t bytes, size_t align) {
    struct world *w = ctx;
    void (*hook)(struct world *) = w->on_map;
    if (hook != NULL &&
        align == NK_PAGE && /* a value; the pool wants its extents aligned otherwise */
        w->maps_before-- == 0) {
        w->on_map = NULL;
        hook(w);
    }
    return w->mem.table.map(w->mem.table.ctx, bytes, align);
}
static void hooked_unmap(void *ctx, void *p, size_t bytes) {
    struct world *w = ctx;
    w->mem.table.unmap(w->mem.table.ctx, p, bytes);
}
static int hooked_advise(void *ctx, void *p, size_t bytes, enum nitro_advice advice) {
    struct world *w = ctx;
    return w->mem.table.advise(w->mem.table.ctx, p, bytes, advice);
}

static void count_busy(void *ctx) { ((struct world *)ctx)->busy++; }

/* load: reads the log; the store is ready afterwards, with room for what a test writes. */
static void load(struct world *w) {
    struct nitro_recovery found;
    struct nitro_err err = {0};
    int64_t newest;
    if (nitro_recover_scan(w->store, TEST_NOW, &found, &err) != NITRO_OK ||
        nitro_recover_replay(w->store, 0, 1, &err) != NITRO_OK ||
        nitro_recover_finish(w->store, TEST_NOW, &newest, &err) != NITRO_OK ||
        nitro_log_fill(w->store, 2u << 20, &err) != NITRO_OK)
        test_fail("the store cannot be loaded: %s", err.msg);
}

static void start(struct world *w) {
    struct nitro_options opt = test_options(&w->mem, 4);
    opt.mem = &w->hooked;
    opt.max_value = w->max_value;
    if (w->dir[0] != 0) {
        opt.dir = w->dir;
        opt.log_file_bytes = 16u << 20;
    }
    w->store = test_open(&opt);
    if (w->dir[0] != 0) load(w);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
    w->client.yield = count_busy;
    w->client.yield_ctx = w;
}

static void world_open_limited(struct world *w, bool logged, uint32_t max_value) {
    *w = (struct world){.max_value = max_value};
    test_mem_init(&w->mem);
    w->hooked = (struct nitro_mem){.ctx = w,
                                   .alloc = hooked_alloc,
                                   .resize = hooked_resize,
                                   .free = hooked_free,
                                   .map = hooked_map,
                                   .unmap = hooked_unmap,
                                   .advise = hooked_advise};
    for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)('a' + i % 23);
    if (logged) {
        strcpy(w->dir, DIR_NAME);
        if (mkdtemp(w->dir) == NULL) test_fail("no folder can be made in /tmp");
    }
    start(w);
}

static void world_open(struct world *w, bool logged) { world_open_limited(w, logged, 0); }

static void stop(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void world_close(struct world *w) {
    stop(w);
    if (w->dir[0] == 0) return;
    DIR *d = opendir(w->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
    assert_int_equal(rmdir(w->dir), 0);
}

/* ---- requests ---------------------------------------------------------------------------------*/

/* call: verb, key, a middle argument unless it is NULL, and bytes unless they are NULL. */
static void call(struct world *w, const char *verb, const char *key, const char *middle,
                 const void *p, size_t n) {
    struct test_arg argv[4] = {{verb, strlen(verb)}, {key, strlen(key)}};
    size_t argc = 2;
    if (middle != NULL) argv[argc++] = (struct test_arg){middle, strlen(middle)};
    if (p != NULL) argv[argc++] = (struct test_arg){p, n};
    w->client.out_len = 0;
    assert_int_equal(test_client_args(&w->client, argv, argc), NITRO_OK);
}

static void expect_number(struct world *w, uint64_t n) {
    char want[32];
    size_t len = (size_t)snprintf(want, sizeof want, ":%llu\r\n", (unsigned long long)n);
    if (w->client.out_len != len || memcmp(w->client.out, want, len) != 0)
        test_fail("the reply is \"%.40s\" instead of \"%s\"", (const char *)w->client.out, want);
}

static void expect_bytes(struct world *w, const uint8_t *p, size_t n) {
    char head[32];
    size_t len = (size_t)snprintf(head, sizeof head, "$%zu\r\n", n);
    if (w->client.out_len != len + n + 2 || memcmp(w->client.out, head, len) != 0 ||
        memcmp(w->client.out + len, p, n) != 0)
        test_fail("the reply has %zu bytes and begins \"%.20s\", expected are %zu and \"%.20s\"",
                  w->client.out_len, (const char *)w->client.out, n, (const char *)p);
}

static void expect_ok(struct world *w) {
    if (w->client.out_len != 5 || memcmp(w->client.out, "+OK\r\n", 5) != 0)
        test_fail("the reply is \"%.*s\" instead of OK", (int)w->client.out_len,
                  (const char *)w->client.out);
}

static void expect_stored(struct world *w, const char *key, const uint8_t *p, size_t n) {
    call(w, "GET", key, NULL, NULL, 0);
    expect_bytes(w, p, n);
}

/* set: the first n bytes of the text. */
static void set(struct world *w, const char *key, size_t n) {
    call(w, "SET", key, NULL, text, n);
    expect_ok(w);
}

/* ---- the border -------------------------------------------------------------------------------*/

/* Appending up to the border, over it, and far behind it gives the bytes in their order. */
static void append__around_the_border__each_byte_in_place(void **state) {
    (void)state;
    struct world w;
    world_open(&w, false);
    for (size_t first = BORDER - 3; first <= BORDER + 2; first++) {
        set(&w, "k", first);
        for (size_t n = first; n < first + 4; n++) {
            call(&w, "APPEND", "k", NULL, text + n, 1);
            expect_number(&w, n + 1);
            expect_stored(&w, "k", text, n + 1);
        }
        call(&w, "APPEND", "k", NULL, text + first + 4, LARGE);
        expect_number(&w, first + 4 + LARGE);
        expect_stored(&w, "k", text, first + 4 + LARGE);
    }
    call(&w, "APPEND", "new", NULL, text, LARGE);
    expect_number(&w, LARGE);
    expect_stored(&w, "new", text, LARGE);
    world_close(&w);
}

/* setrange_behind: writes `gap` bytes behind the end of a value of `was`, and into its beginning. */
static void setrange_behind(struct world *w, size_t was, size_t gap) {
    static uint8_t want[HUGE_BYTES];
    size_t at = was + gap;
    char offset[24];
    snprintf(offset, sizeof offset, "%zu", at);
    memset(want, 0, sizeof want);
    memcpy(want, text, was);
    memcpy(want + at, "end", 3);
    call(w, "DEL", "k", NULL, NULL, 0);
    if (was > 0) set(w, "k", was);
    call(w, "SETRANGE", "k", offset, "end", 3);
    expect_number(w, at + 3);
    expect_stored(w, "k", want, at + 3);
    memcpy(want + 1, "middle", 6);
    call(w, "SETRANGE", "k", "1", "middle", 6);
    expect_number(w, at + 3);
    expect_stored(w, "k", want, at + 3);
}

/* A hole is zeros, whether it begins in a small value, a large one, or nothing, and whatever the memory has held
 * before that the new value is made in. */
static void setrange__behind_the_end__zeros_between(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 10, BORDER - 200, BORDER, LARGE};
    struct world w;
    world_open(&w, false);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        call(&w, "DEL", "dirty", NULL, NULL, 0);
        call(&w, "APPEND", "dirty", NULL, text, BORDER);
        setrange_behind(&w, lengths[i], 100);
        setrange_behind(&w, lengths[i], BORDER);
    }
    world_close(&w);
}

/* Parts of a large value, small and large themselves, come from the right place. */
static void getrange__of_a_large_value__the_right_bytes(void **state) {
    (void)state;
    static const struct {
        const char *start, *end;
        size_t from, n;
    } cases[] = {{"0", "-1", 0, LARGE},
                 {"1", "-2", 1, LARGE - 2},
                 {"0", "0", 0, 1},
                 {"-1", "-1", LARGE - 1, 1},
                 {"7", "65541", 7, BORDER},
                 {"7", "65542", 7, BORDER + 1},
                 {"100", "99", 0, 0},
                 {"196605", "300000", 0, 0},
                 {"-65536", "-1", LARGE - 65536, 65536}};
    struct world w;
    world_open(&w, false);
    set(&w, "k", LARGE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        call(&w, "GETRANGE", "k", cases[i].start, cases[i].end, strlen(cases[i].end));
        expect_bytes(&w, text + cases[i].from, cases[i].n);
    }
    world_close(&w);
}

/* In the binary protocol a large part comes in frames of at most 1 MiB, all but the last with MORE. */
static void getrange__binary_of_megabytes__in_frames(void **state) {
    (void)state;
    struct world w;
    world_open(&w, false);
    set(&w, "k", HUGE_BYTES);
    test_client_close(&w.client);
    assert_int_equal(test_client_open(&w.client, w.store, TEST_NOW), NITRO_OK);
    static const uint8_t request[] = "\xf5\x1e\x07\x00\x00\x13\0\0"
                                     "\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\0k";
    assert_int_equal(test_client_feed(&w.client, request, sizeof request - 1), NITRO_OK);
    const uint8_t *p = w.client.out, *end = p + w.client.out_len;
    size_t at = 1;
    for (bool more = true; more;) {
        assert_true(end - p > NK_NBP_HEADER && p[0] == NK_NBP_REPLY && p[1] == NITRO_OK &&
                    p[2] == 7);
        size_t n = nk_load32(p + 4) >> 8;
        more = (p[4] & NK_NBP_MORE) != 0;
        assert_in_range(n, 1, NK_FRAME_BODY_MAX);
        assert_true((size_t)(end - p) >= NK_NBP_HEADER + n && at + n <= HUGE_BYTES);
        assert_memory_equal(p + NK_NBP_HEADER, text + at, n);
        at += n;
        p += NK_NBP_HEADER + n;
    }
    assert_int_equal(at, HUGE_BYTES);
    assert_ptr_equal(p, end);
    world_close(&w);
}

/* ---- sharing ----------------------------------------------------------------------------------*/

static uint64_t mapped(const struct world *w) { return (uint64_t)w->mem.mapped_bytes; }

/* RENAME and COPY don't copy a large value. It lives as long as one key has it, and no longer. */
static void rename_and_copy__of_a_large_value__shared_until_the_last(void **state) {
    (void)state;
    static const char *const copies[] = {"c0", "c1", "c2", "c3"};
    struct world w;
    world_open(&w, false);
    set(&w, "small", 10);
    set(&w, "k", HUGE_BYTES); /* the client's buffers are as large as they get */
    call(&w, "DEL", "k", NULL, NULL, 0);
    test_step_all(w.store, TEST_NOW);
    uint64_t none = mapped(&w);
    set(&w, "k", HUGE_BYTES);
    uint64_t one = mapped(&w);
    assert_true(one >= none + HUGE_BYTES);
    call(&w, "RENAME", "k", "moved", NULL, 0);
    expect_ok(&w);
    for (int i = 0; i < 4; i++) {
        call(&w, "COPY", "moved", copies[i], NULL, 0);
        expect_number(&w, 1);
    }
    assert_in_range(mapped(&w), one, one + HUGE_BYTES / 2);
    call(&w, "APPEND", "c0", NULL, "!", 1); /* a value of its own from here on */
    expect_number(&w, HUGE_BYTES + 1);
    expect_stored(&w, "c1", text, HUGE_BYTES);
    call(&w, "RENAME", "small", "c1", NULL, 0);
    expect_ok(&w);
    expect_stored(&w, "c1", text, 10);
    call(&w, "GETDEL", "moved", NULL, NULL, 0);
    expect_bytes(&w, text, HUGE_BYTES);
    call(&w, "DEL", "c0", NULL, NULL, 0);
    call(&w, "UNLINK", "c2", NULL, NULL, 0);
    expect_stored(&w, "c3", text, HUGE_BYTES);
    assert_true(mapped(&w) >= one);
    call(&w, "DEL", "c3", NULL, NULL, 0);
    test_step_all(w.store, TEST_NOW);
    assert_true(mapped(&w) < none + HUGE_BYTES / 2);
    world_close(&w);
}

/* ---- between the two locks --------------------------------------------------------------------*/

/* arm: the hook will run when the next large value gets its memory. The chunk has its own by then. */
static void arm(struct world *w, void (*change)(struct world *w)) {
    call(w, "APPEND", "warm", NULL, text, LARGE);
    w->busy = 0;
    w->on_map = change;
}

static void direct_set(struct world *w, size_t n, int64_t expire_ms) {
    assert_int_equal(nitro_set(w->store, TEST_NOW, "k", 1, text, n, 0, 0, expire_ms, NULL),
                     NITRO_OK);
}
static void becomes_small(struct world *w) { direct_set(w, 100, 0); }
static void becomes_another(struct world *w) { direct_set(w, LARGE + 1, 0); }
static void gets_an_expiry(struct world *w) {
    assert_int_equal(nitro_expire(w->store, TEST_NOW, "k", 1, TEST_NOW + 5000, NULL), NITRO_OK);
}
static void is_deleted(struct world *w) {
    assert_int_equal(nitro_delete(w->store, TEST_NOW, "k", 1, NULL), NITRO_OK);
}

/* Whatever another client does to the key while the new value is made, the new value is made again from that:
 * nothing that was acknowledged is lost. */
static void append__key_changes_between_the_locks__made_again(void **state) {
    (void)state;
    static const struct {
        size_t before;
        void (*change)(struct world *w);
        size_t after, ttl;
    } cases[] = {{BORDER, becomes_small, 100, 0},
                 {LARGE, becomes_small, 100, 0},
                 {BORDER, becomes_another, LARGE + 1, 0},
                 {LARGE, becomes_another, LARGE + 1, 0},
                 {BORDER, gets_an_expiry, BORDER, 5000},
                 {LARGE, gets_an_expiry, LARGE, 5000},
                 {BORDER, is_deleted, 0, 0},
                 {LARGE, is_deleted, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w, false);
        set(&w, "k", cases[i].before);
        arm(&w, cases[i].change);
        call(&w, "APPEND", "k", NULL, text + cases[i].after, 10);
        assert_null(w.on_map);
        assert_int_equal(w.busy, 1);
        expect_number(&w, cases[i].after + 10);
        expect_stored(&w, "k", text, cases[i].after + 10);
        call(&w, "PTTL", "k", NULL, NULL, 0);
        if (cases[i].ttl > 0) expect_number(&w, cases[i].ttl);
        world_close(&w);
    }
}

/* A key that appears while a value is made for it is not overwritten by what was made without it. */
static void setrange__key_appears_between_the_locks__made_again(void **state) {
    (void)state;
    struct world w;
    world_open(&w, false);
    arm(&w, becomes_small);
    call(&w, "SETRANGE", "k", "65600", "x", 1);
    assert_int_equal(w.busy, 1);
    expect_number(&w, 65601);
    call(&w, "GETRANGE", "k", "0", "99", 2);
    expect_bytes(&w, text, 100);
    world_close(&w);
}

static struct nk_seg *segment_of_k(struct world *w) {
    struct nk_db *db = nk_front_db(w->store);
    return nk_db_seg(db, nk_key_seg(db, "k", 1));
}
static void lock_it(struct world *w) { assert_true(nk_seg_lock(segment_of_k(w))); }
static void unlock_it_and_grow(void *ctx) {
    struct world *w = ctx;
    if (w->busy++ > 0) return;
    nk_seg_unlock(segment_of_k(w));
    direct_set(w, HUGE_BYTES / 2, 0);
}

/* A value that was made and then not stored, because the key has become too long for it meanwhile, goes with its
 * request. The next one, about another key that is missing as that one was, makes its own. */
static void append__too_long_at_the_second_look__its_value_is_nobody_elses(void **state) {
    (void)state;
    struct world w;
    char head[64];
    world_open_limited(&w, true, HUGE_BYTES / 2 + 10);
    size_t n = (size_t)sprintf(head, "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$%u\r\n", LARGE);
    static const char next[] = "\r\nSETRANGE other 100000 z\r\nSTRLEN other\r\n";
    uint8_t *both = malloc(n + LARGE + sizeof next);
    assert_non_null(both);
    memcpy(both, head, n);
    memcpy(both + n, text, LARGE);
    memcpy(both + n + LARGE, next, sizeof next - 1);
    w.client.yield = unlock_it_and_grow;
    w.on_map = lock_it;
    w.maps_before = 1; /* the argument */
    assert_int_equal(test_client_feed(&w.client, both, n + LARGE + sizeof next - 1), NITRO_OK);
    static const char want[] = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
                               ":100001\r\n:100001\r\n";
    if (w.client.out_len != sizeof want - 1 || memcmp(w.client.out, want, sizeof want - 1) != 0)
        test_fail("the replies are \"%.*s\"", (int)w.client.out_len, (const char *)w.client.out);
    assert_int_equal(w.busy, 1);
    free(both);
    world_close(&w);
}

/* ---- the log ----------------------------------------------------------------------------------*/

/* restart: what was written is on disk; the process ends as by a kill, and another one reads the log. */
static void restart(struct world *w) {
    struct nitro_err err = {0};
    if (nitro_log_write(w->store, TEST_NOW, &err) != NITRO_OK ||
        nitro_log_sync(w->store, &err) != NITRO_OK)
        test_fail("the log cannot be written: %s", err.msg);
    stop(w);
    start(w);
}

/* Every effect of the new verbs is in the log: a restart finds the same keys, values, expiries and versions. */
static void log__each_verb_then_restart__same_contents(void **state) {
    (void)state;
    static const char *const lines[] = {
        "MSET a 1 b 2 c 3 d 4 e 5 f 6",
        "APPEND a 23",
        "SETRANGE b 4 x",
        "INCRBYFLOAT c 0.5",
        "SETEX g 1000 v",
        "PSETEX h 999999 v",
        "SETNX i v",
        "GETSET d w",
        "GETDEL e",
        "GETEX f EX 500",
        "GETEX g PERSIST",
        "EXPIREAT h 1700009999",
        "MSETNX j 1 k 2",
        "MSETNX j 9 l 9",
        "RENAME a m",
        "RENAMENX b n",
        "COPY c o",
        "COPY d i REPLACE",
        "UNLINK j no",
        "PEXPIREAT n 1",
        "COPY h p",
        "RENAME p q",
    };
    struct world w;
    world_open(&w, true);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        w.client.out_len = 0;
        assert_int_equal(test_client_line(&w.client, lines[i]), NITRO_OK);
        assert_true(w.client.out_len > 0 && w.client.out[0] != '-');
    }
    struct test_digest before = test_digest(w.store, TEST_NOW);
    assert_int_equal(before.keys, 10);
    restart(&w);
    struct test_digest after = test_digest(w.store, TEST_NOW);
    assert_memory_equal(&after, &before, sizeof after);
    world_close(&w);
}

/* The same with large values, which are spliced into the log from where they lie, shared ones too. */
static void log__large_values_then_restart__same_contents(void **state) {
    (void)state;
    struct world w;
    world_open(&w, true);
    set(&w, "k", BORDER);
    call(&w, "APPEND", "k", NULL, text + BORDER, 100);
    expect_number(&w, BORDER + 100);
    call(&w, "EXPIRE", "k", "1000", NULL, 0);
    expect_number(&w, 1);
    call(&w, "COPY", "k", "copy", NULL, 0);
    expect_number(&w, 1);
    call(&w, "RENAME", "k", "moved", NULL, 0);
    expect_ok(&w);
    call(&w, "SETRANGE", "copy", "200000", "end", 3);
    expect_number(&w, 200003);
    struct test_arg pairs[] = {
        {"MSETNX", 6}, {"third", 5}, {"small", 5}, {"fourth", 6}, {text, LARGE}};
    assert_int_equal(test_client_args(&w.client, pairs, 5), NITRO_OK);
    struct test_digest before = test_digest(w.store, TEST_NOW);
    assert_int_equal(before.keys, 4);
    restart(&w);
    struct test_digest after = test_digest(w.store, TEST_NOW);
    assert_memory_equal(&after, &before, sizeof after);
    expect_stored(&w, "moved", text, BORDER + 100);
    call(&w, "PTTL", "moved", NULL, NULL, 0);
    expect_number(&w, 1000000);
    call(&w, "EXISTS", "k", NULL, NULL, 0);
    expect_number(&w, 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append__around_the_border__each_byte_in_place),
        cmocka_unit_test(setrange__behind_the_end__zeros_between),
        cmocka_unit_test(getrange__of_a_large_value__the_right_bytes),
        cmocka_unit_test(getrange__binary_of_megabytes__in_frames),
        cmocka_unit_test(rename_and_copy__of_a_large_value__shared_until_the_last),
        cmocka_unit_test(append__key_changes_between_the_locks__made_again),
        cmocka_unit_test(setrange__key_appears_between_the_locks__made_again),
        cmocka_unit_test(append__too_long_at_the_second_look__its_value_is_nobody_elses),
        cmocka_unit_test(log__each_verb_then_restart__same_contents),
        cmocka_unit_test(log__large_values_then_restart__same_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
