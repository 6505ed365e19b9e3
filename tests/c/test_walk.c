/* SPDX-License-Identifier: MIT
 *
 * test_walk.c - KEYS and RANDOMKEY: the requests that may have to look at every key.
 *
 * HOW   KEYS gives the word back to its host between two parts (BUSY). There other clients add and delete keys, so
 *       that tables grow and shrink under it, or make a segment change its hash. Keys are numbers of four bytes; each
 *       is counted when it is answered.
 *
 * NOT HERE  the walk itself (test_scan.c), patterns compared with those of Redis (tests/differ).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "collide.h"
#include "req.h"

#define STAYING 24000u /* more than one part of a walk takes */
#define MOVING 24000u
#define COLLIDE_BITS 10u

struct world {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct test_client client;
    uint32_t stops; /* times that a request was BUSY */
    void (*meanwhile)(struct world *w);
    uint32_t seen[STAYING + MOVING];
    uint32_t others; /* keys that are no such numbers */
};
static struct world world;

static void at_stop(void *ctx) {
    struct world *w = ctx;
    w->stops++;
    if (w->meanwhile != NULL) w->meanwhile(w);
}

static struct world *world_open(uint32_t segments) {
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    test_mem_init(&w->mem);
    w->opt = test_options(&w->mem, segments);
    w->store = test_open(&w->opt);
    assert_int_equal(test_client_open(&w->client, w->store, TEST_NOW), NITRO_OK);
    w->client.yield = at_stop;
    w->client.yield_ctx = w;
    return w;
}

static void world_close(struct world *w) {
    test_client_close(&w->client);
    nitro_close(&w->store);
    test_mem_check_empty(&w->mem);
}

static void set(struct world *w, const void *key, size_t n, int64_t expire_ms) {
    assert_int_equal(nitro_set(w->store, TEST_NOW, key, n, "v", 1, 0, 0, expire_ms, NULL),
                     NITRO_OK);
}
static void set_number(struct world *w, uint32_t i) { set(w, &i, sizeof i, 0); }
static void delete_number(struct world *w, uint32_t i) {
    assert_int_equal(nitro_delete(w->store, TEST_NOW, &i, sizeof i, NULL), NITRO_OK);
}

static void line(struct world *w, const char *request) {
    w->client.out_len = 0;
    assert_int_equal(test_client_line(&w->client, request), NITRO_OK);
}

static void expect(struct world *w, const char *reply) {
    if (w->client.out_len != strlen(reply) || memcmp(w->client.out, reply, strlen(reply)) != 0)
        test_fail("the reply is \"%.*s\" instead of \"%s\"", (int)w->client.out_len,
                  (const char *)w->client.out, reply);
}

/* head: the number in the line at *p, which begins with `type`; moves *p behind it. */
static size_t head(const uint8_t **p, const uint8_t *end, uint8_t type) {
    char *digits_end;
    assert_true(end - *p > 3 && **p == type);
    size_t n = strtoull((const char *)*p + 1, &digits_end, 10);
    *p = (const uint8_t *)digits_end;
    assert_memory_equal(*p, "\r\n", 2);
    *p += 2;
    return n;
}

/* count_reply: counts each key of an array; returns how many there are. */
static size_t count_reply(struct world *w) {
    const uint8_t *p = w->client.out, *end = p + w->client.out_len;
    size_t keys = head(&p, end, '*');
    for (size_t i = 0; i < keys; i++) {
        size_t n = head(&p, end, '$');
        assert_true((size_t)(end - p) >= n + 2);
        if (n == sizeof(uint32_t) && nk_load32(p) < STAYING + MOVING)
            w->seen[nk_load32(p)]++;
        else
            w->others++;
        p += n + 2;
    }
    assert_ptr_equal(p, end);
    return keys;
}

static void expect_each_once(const struct world *w) {
    for (uint32_t i = 0; i < STAYING + MOVING; i++)
        if (i < STAYING ? w->seen[i] != 1 : w->seen[i] > 1)
            test_fail("key %u was answered %u times", i, w->seen[i]);
}

/* ---- KEYS -------------------------------------------------------------------------------------*/

static void keys__patterns__those_that_match(void **state) {
    (void)state;
    struct world *w = world_open(1);
    set(w, "abc", 3, 0);
    line(w, "KEYS *");
    expect(w, "*1\r\n$3\r\nabc\r\n");
    line(w, "KEYS a[a-c]?");
    expect(w, "*1\r\n$3\r\nabc\r\n");
    line(w, "KEYS ''");
    expect(w, "*0\r\n");
    set(w, "", 0, 0);
    line(w, "KEYS ''");
    expect(w, "*1\r\n$0\r\n\r\n");
    line(w, "KEYS");
    expect(w, "-ERR wrong number of arguments for 'keys' command\r\n");
    world_close(w);
}

static void add_many(struct world *w) {
    for (uint32_t i = 0; i < MOVING && w->stops == 1; i++) set_number(w, STAYING + i);
}
static void delete_many(struct world *w) {
    for (uint32_t i = 0; i < MOVING && w->stops == 1; i++) delete_number(w, STAYING + i);
    test_step_all(w->store, TEST_NOW); /* what merges buckets */
}

/* While the table doubles under it, and while it halves, KEYS answers what stays there exactly once, and
 * nothing twice. It does its work in parts. */
static void keys__table_changes_its_size__each_key_once(void **state) {
    (void)state;
    for (int shrink = 0; shrink <= 1; shrink++) {
        struct world *w = world_open(2);
        for (uint32_t i = 0; i < STAYING; i++) set_number(w, i);
        for (uint32_t i = 0; shrink && i < MOVING; i++) set_number(w, STAYING + i);
        w->meanwhile = shrink ? delete_many : add_many;
        line(w, "KEYS *");
        assert_in_range(w->stops, 1, 1000);
        assert_in_range(count_reply(w), STAYING, STAYING + MOVING);
        expect_each_once(w);
        test_check_bounds(w->store);
        world_close(w);
    }
}

/* Keys with one hash, which make their segment change its hash function. */
static void collide(struct world *w) {
    uint8_t key[COLLIDE_KEY_MAX];
    for (uint32_t i = 0; i < 1u << COLLIDE_BITS && w->stops == 1; i++)
        set(w, key, collide_key(w->opt.seed, COLLIDE_BITS, i, key), 0);
}

/* A segment that changes its hash in the middle of its walk is walked again, and its keys come once all the same, with
 * a pattern that drops a part of them too. */
static void keys__segment_changes_its_hash__each_key_once(void **state) {
    (void)state;
    for (uint32_t segments = 1; segments <= 4; segments *= 2) {
        for (uint32_t half = 0; half <= 1; half++) {
            struct nitro_stats st;
            struct world *w = world_open(segments);
            for (uint32_t i = 0; i < STAYING; i++) set_number(w, i);
            w->meanwhile = collide;
            line(w, half ? "KEYS \"[\\x00-\\x7f]*\"" : "KEYS *");
            nitro_stats(w->store, &st);
            assert_int_equal(st.hash_switches, segments);
            assert_in_range(w->stops, 1, 1000);
            count_reply(w);
            for (uint32_t i = 0; i < STAYING; i++)
                if (w->seen[i] != (half && (i & 0x80) != 0 ? 0 : 1))
                    test_fail("%u segments: key %u was answered %u times", segments, i, w->seen[i]);
            world_close(w);
        }
    }
}

/* A reply of megabytes leaves in pieces, none longer than a reply buffer. */
static void keys__long_reply__complete_and_in_pieces(void **state) {
    (void)state;
    enum { KEYS = 100, KEY_BYTES = 60000 };
    static uint8_t key[KEY_BYTES];
    struct world *w = world_open(2);
    for (uint32_t i = 0; i < KEYS; i++) {
        memset(key, 'a' + (int)(i % 26), sizeof key);
        nk_store32(key, i);
        set(w, key, sizeof key, 0);
    }
    line(w, "KEYS *");
    assert_int_equal(count_reply(w), KEYS);
    assert_int_equal(w->others, KEYS);
    assert_true(w->client.chunk->out_cap <= NK_OUT_BYTES);
    world_close(w);
}

/* A pattern that would take minutes is refused, and the client can go on. */
static void keys__costly_pattern__refused(void **state) {
    (void)state;
    static uint8_t key[60000];
    struct world *w = world_open(1);
    memset(key, 'a', sizeof key);
    set(w, key, sizeof key, 0);
    line(
        w,
        "KEYS "
        "*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    expect(w, "-ERR the MATCH pattern needs too many steps on these keys, use fewer '*'\r\n");
    line(w, "KEYS b*");
    expect(w, "*0\r\n");
    world_close(w);
}

/* ---- RANDOMKEY --------------------------------------------------------------------------------*/

/* Every key comes, and no other; how often depends on the gaps in front of it, but none has to be rare: also not
 * the first ones of a bucket that a draw falls into the middle of. */
static void randomkey__some_keys__each_comes(void **state) {
    (void)state;
    enum { KEYS = 40, DRAWS = 20000, RARE = DRAWS / KEYS / 4 };
    struct world *w = world_open(4);
    for (uint32_t i = 0; i < KEYS; i++) set_number(w, i);
    for (uint32_t i = 0; i < DRAWS; i++) {
        line(w, "RANDOMKEY");
        const uint8_t *p = w->client.out, *end = p + w->client.out_len;
        assert_int_equal(head(&p, end, '$'), sizeof(uint32_t));
        assert_in_range(nk_load32(p), 0, KEYS - 1);
        w->seen[nk_load32(p)]++;
    }
    for (uint32_t i = 0; i < KEYS; i++)
        if (w->seen[i] < RARE)
            test_fail("key %u came %u times in %d draws, not %d", i, w->seen[i], DRAWS, RARE);
    world_close(w);
}

/* Among many keys that have expired the one that lives is found; without it there is none, and the search ends. */
static void randomkey__nearly_all_expired__the_one_that_lives(void **state) {
    (void)state;
    struct world *w = world_open(2);
    for (uint32_t i = 0; i < STAYING; i++) set(w, &i, sizeof i, TEST_NOW + 10);
    set(w, "alive", 5, 0);
    w->client.now_ms += 10;
    for (int i = 0; i < 10; i++) {
        line(w, "RANDOMKEY");
        expect(w, "$5\r\nalive\r\n");
    }
    line(w, "DEL alive");
    line(w, "RANDOMKEY");
    expect(w, "$-1\r\n");
    line(w, "KEYS *");
    expect(w, "*0\r\n");
    world_close(w);
}

/* Without memory for the names both are refused; with it they work again. (KEYS is also in test_alloc_sweep.c;
 * RANDOMKEY isn't, because its reply is another one each time.) */
static void keys_and_randomkey__no_memory__refused(void **state) {
    (void)state;
    static const char refused[] =
        "-OOM the server is out of memory, the command was not applied\r\n";
    static const struct {
        const char *request, *reply;
    } cases[] = {{"KEYS *", "*1\r\n$1\r\nk\r\n"}, {"RANDOMKEY", "$1\r\nk\r\n"}};
    for (int i = 0; i < 2; i++) {
        struct world *w = world_open(1);
        set(w, "k", 1, 0);
        test_mem_fail(&w->mem, 1, UINT64_MAX);
        line(w, cases[i].request);
        test_mem_fail(&w->mem, 0, 0);
        expect(w, refused);
        line(w, cases[i].request);
        expect(w, cases[i].reply);
        world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys__patterns__those_that_match),
        cmocka_unit_test(keys__table_changes_its_size__each_key_once),
        cmocka_unit_test(keys__segment_changes_its_hash__each_key_once),
        cmocka_unit_test(keys__long_reply__complete_and_in_pieces),
        cmocka_unit_test(keys__costly_pattern__refused),
        cmocka_unit_test(randomkey__some_keys__each_comes),
        cmocka_unit_test(randomkey__nearly_all_expired__the_one_that_lives),
        cmocka_unit_test(keys_and_randomkey__no_memory__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
