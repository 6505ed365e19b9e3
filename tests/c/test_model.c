/* SPDX-License-Identifier: MIT
 *
 * test_model.c - random operations against a store and a plain array, which must always agree.
 *
 * HOW  Each test is one plan: how many keys, what sizes, which shape. Time is cut into phases that in
 *      turn fill the store and empty it, so that tables grow and shrink again and again; background
 *      steps run between the operations with small budgets, so that they are always half done. Half of
 *      the operations go through the direct calls, the other half as pipelined bytes through a chunk,
 *      on the same keys.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"
#include "model.h"

#define PHASES 8u
#define STEP_EVERY 16u /* operations between two background steps */
#define PIPELINE_MAX 24u
#define TTL_MAX_MS 3000u

struct plan {
    const char *name;
    uint32_t segments, keys;
    unsigned collide_bits;
    uint32_t value_max; /* most values are shorter */
    uint32_t big_every; /* one value in so many is larger than 64 KiB; 0 = none */
    uint64_t ops;
    bool flush; /* some phases end with one */
};

/* One run: the store, its model, a client, and what the client should have received. */
struct run {
    const struct plan *plan;
    struct test_rng rng;
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct model model;
    struct test_client client;
    uint8_t *expected;
    size_t expected_len, expected_cap;
    uint8_t *value; /* scratch for one value */
    uint8_t key[MODEL_KEY_MAX];
    bool filling;
};

#define BIG_MIN 65537u
#define BIG_SPAN 70000u

static uint64_t below(struct run *r, uint64_t n) { return test_rng_below(&r->rng, n); }

/* draw_value: random bytes, or one time in four a number; returns its length. */
static size_t draw_value(struct run *r) {
    if (below(r, 4) == 0)
        return (size_t)sprintf((char *)r->value, "%d", (int)below(r, 2000) - 1000);
    size_t n = below(r, 8) == 0 ? below(r, r->plan->value_max + 1) : below(r, 40);
    if (r->plan->big_every > 0 && below(r, r->plan->big_every) == 0)
        n = BIG_MIN + below(r, BIG_SPAN);
    uint8_t fill = (uint8_t)below(r, 256);
    for (size_t i = 0; i < n; i++) r->value[i] = (uint8_t)(fill + i * 7);
    return n;
}

/* draw_expiry: mostly none, else soon enough to come true within the run. */
static int64_t draw_expiry(struct run *r) {
    if (below(r, 4) != 0) return 0;
    return r->model.now_ms + 1 + (int64_t)below(r, TTL_MAX_MS);
}

static void expect_code(const char *what, uint32_t i, int got, int want) {
    if (got != want)
        test_fail("%s of key %" PRIu32 ": %s; expected: %s", what, i, nitro_strerror(got),
                  nitro_strerror(want));
}

/* ---- direct operations -------------------------------------------------------------------------*/

static void direct_set(struct run *r, uint32_t i, size_t key_bytes) {
    static const unsigned flag_choice[] = {
        0, 0, 0, 0, NITRO_SET_NX, NITRO_SET_XX, NITRO_SET_KEEPTTL, NITRO_SET_CAS};
    unsigned flags = flag_choice[below(r, sizeof flag_choice / sizeof flag_choice[0])];
    struct model_entry *e = model_find(&r->model, i);
    uint64_t expected = 0;
    if (flags & NITRO_SET_CAS) {
        model_check_key(&r->model, r->store, i); /* learns the version */
        e = model_find(&r->model, i);
        expected = (e == NULL ? 0 : e->version) + (below(r, 3) == 0 ? 1 : 0);
    }
    size_t n = draw_value(r);
    int64_t expire_ms = flags & NITRO_SET_KEEPTTL ? 0 : draw_expiry(r);
    struct nitro_info info = {0};
    int want = model_set(&r->model, i, r->value, n, flags, expected, expire_ms);
    int got = nitro_set(r->store, r->model.now_ms, r->key, key_bytes, r->value, n, flags, expected,
                        expire_ms, &info);
    expect_code("set", i, got, want);
    if (got == NITRO_OK) model_note_version(&r->model, i, info.version);
}

static void direct_incr(struct run *r, uint32_t i, size_t key_bytes) {
    int64_t delta = below(r, 20) == 0 ? INT64_MAX : (int64_t)below(r, 100) - 50;
    int64_t want_result = 0, result = 0;
    int want = model_incr(&r->model, i, delta, &want_result);
    int got = nitro_incr(r->store, r->model.now_ms, r->key, key_bytes, delta, &result, NULL);
    expect_code("incr", i, got, want);
    if (got == NITRO_OK && result != want_result)
        test_fail("incr of key %" PRIu32 ": %" PRId64 ", expected %" PRId64, i, result,
                  want_result);
}

static void direct_expire(struct run *r, uint32_t i, size_t key_bytes) {
    int64_t at = below(r, 3) == 0 ? 0 : r->model.now_ms - 20 + (int64_t)below(r, TTL_MAX_MS);
    int want = model_expire(&r->model, i, at);
    expect_code("expire", i, nitro_expire(r->store, r->model.now_ms, r->key, key_bytes, at, NULL),
                want);
}

static void direct_delete(struct run *r, uint32_t i, size_t key_bytes) {
    int want = model_delete(&r->model, i);
    expect_code("delete", i, nitro_delete(r->store, r->model.now_ms, r->key, key_bytes, NULL),
                want);
}

static void direct_operation(struct run *r) {
    uint32_t i = (uint32_t)below(r, r->plan->keys);
    size_t key_bytes = model_key_bytes(&r->model, i, r->key);
    uint64_t dice = below(r, 100);
    uint64_t sets = r->filling ? 55 : 10;
    if (dice < sets)
        direct_set(r, i, key_bytes);
    else if (dice < 65)
        direct_delete(r, i, key_bytes);
    else if (dice < 75)
        direct_incr(r, i, key_bytes);
    else if (dice < 85)
        direct_expire(r, i, key_bytes);
    else
        model_check_key(&r->model, r->store, i);
}

/* ---- the same in bytes -------------------------------------------------------------------------*/

static void expect_bytes(struct run *r, const void *p, size_t n) {
    if (r->expected_len + n > r->expected_cap) {
        r->expected_cap = (r->expected_len + n) * 2;
        r->expected = realloc(r->expected, r->expected_cap);
        if (r->expected == NULL) test_fail("the test itself is out of memory");
    }
    if (n > 0) memcpy(r->expected + r->expected_len, p, n);
    r->expected_len += n;
}

static void expect_text(struct run *r, const char *text) { expect_bytes(r, text, strlen(text)); }

static void expect_number(struct run *r, int64_t n) {
    char text[32];
    snprintf(text, sizeof text, ":%" PRId64 "\r\n", n);
    expect_text(r, text);
}

static void expect_entry(struct run *r, const struct model_entry *e) {
    char text[32];
    if (e == NULL) {
        expect_text(r, "$-1\r\n");
        return;
    }
    snprintf(text, sizeof text, "$%zu\r\n", e->bytes);
    expect_text(r, text);
    expect_bytes(r, e->value, e->bytes);
    expect_text(r, "\r\n");
}

/* send: feeds one RESP request: verb, key, and up to two more arguments. */
static void send(struct run *r, const char *verb, size_t key_bytes, const void *a, size_t a_bytes,
                 const char *b) {
    struct test_arg argv[4] = {
        {verb, strlen(verb)}, {r->key, key_bytes}, {a, a_bytes}, {b, b == NULL ? 0 : strlen(b)}};
    size_t argc = b != NULL ? 4 : a != NULL ? 3 : 2;
    int rc = test_client_args(&r->client, argv, argc);
    if (rc != NITRO_OK) test_fail("%s in bytes: %s", verb, nitro_strerror(rc));
}

static void bytes_set(struct run *r, uint32_t i, size_t key_bytes) {
    static const struct {
        const char *word;
        unsigned flags;
    } choice[] = {{NULL, 0},
                  {NULL, 0},
                  {"NX", NITRO_SET_NX},
                  {"XX", NITRO_SET_XX},
                  {"KEEPTTL", NITRO_SET_KEEPTTL},
                  {"GET", 0}};
    uint64_t c = below(r, sizeof choice / sizeof choice[0]);
    bool get = choice[c].word != NULL && strcmp(choice[c].word, "GET") == 0;
    size_t n = draw_value(r);
    if (get) expect_entry(r, model_find(&r->model, i));
    int code = model_set(&r->model, i, r->value, n, choice[c].flags, 0, 0);
    if (!get) expect_text(r, code == NITRO_OK ? "+OK\r\n" : "$-1\r\n");
    send(r, "SET", key_bytes, r->value, n, choice[c].word);
}

static void bytes_incr(struct run *r, uint32_t i, size_t key_bytes) {
    char delta[24];
    int64_t by = (int64_t)below(r, 100) - 50, result = 0;
    int n = snprintf(delta, sizeof delta, "%" PRId64, by);
    int code = model_incr(&r->model, i, by, &result);
    if (code == NITRO_OK)
        expect_number(r, result);
    else if (code == NITRO_ENOTNUMBER)
        expect_text(r, "-ERR value is not an integer or out of range\r\n");
    else
        expect_text(r, "-ERR increment or decrement would overflow\r\n");
    send(r, "INCRBY", key_bytes, delta, (size_t)n, NULL);
}

/* bytes_expire: PEXPIRE counts from now; a negative time deletes. */
static void bytes_expire(struct run *r, uint32_t i, size_t key_bytes) {
    char after[24];
    int64_t ms = (int64_t)below(r, TTL_MAX_MS) - 20;
    int n = snprintf(after, sizeof after, "%" PRId64, ms);
    int code = model_expire(&r->model, i, r->model.now_ms + ms);
    expect_number(r, code == NITRO_OK ? 1 : 0);
    send(r, "PEXPIRE", key_bytes, after, (size_t)n, NULL);
}

static void bytes_ttl(struct run *r, uint32_t i, size_t key_bytes) {
    const struct model_entry *e = model_find(&r->model, i);
    if (e == NULL)
        expect_number(r, -2);
    else if (e->expire_ms == 0)
        expect_number(r, -1);
    else
        expect_number(r, e->expire_ms - r->model.now_ms);
    send(r, "PTTL", key_bytes, NULL, 0, NULL);
}

static void bytes_persist(struct run *r, uint32_t i, size_t key_bytes) {
    const struct model_entry *e = model_find(&r->model, i);
    bool had_expiry = e != NULL && e->expire_ms != 0;
    if (had_expiry) expect_code("persist", i, model_expire(&r->model, i, 0), NITRO_OK);
    expect_number(r, had_expiry ? 1 : 0);
    send(r, "PERSIST", key_bytes, NULL, 0, NULL);
}

static void bytes_operation(struct run *r) {
    uint32_t i = (uint32_t)below(r, r->plan->keys);
    size_t key_bytes = model_key_bytes(&r->model, i, r->key);
    uint64_t dice = below(r, 100);
    uint64_t sets = r->filling ? 50 : 8;
    if (dice < sets) {
        bytes_set(r, i, key_bytes);
    } else if (dice < 62) {
        expect_number(r, model_delete(&r->model, i) == NITRO_OK ? 1 : 0);
        send(r, "DEL", key_bytes, NULL, 0, NULL);
    } else if (dice < 70) {
        bytes_incr(r, i, key_bytes);
    } else if (dice < 76) {
        bytes_expire(r, i, key_bytes);
    } else if (dice < 80) {
        bytes_ttl(r, i, key_bytes);
    } else if (dice < 84) {
        bytes_persist(r, i, key_bytes);
    } else {
        expect_entry(r, model_find(&r->model, i));
        send(r, "GET", key_bytes, NULL, 0, NULL);
    }
}

/* check_replies: the client has received exactly what the model expected. */
static void check_replies(struct run *r) {
    const struct test_client *c = &r->client;
    size_t same = 0, n = c->out_len < r->expected_len ? c->out_len : r->expected_len;
    while (same < n && c->out[same] == r->expected[same]) same++;
    if (same < n || c->out_len != r->expected_len)
        test_fail("replies of %zu bytes differ from the %zu expected ones at byte %zu: \"%.60s\" "
                  "instead of \"%.60s\"",
                  c->out_len, r->expected_len, same, (const char *)c->out + same,
                  (const char *)r->expected + same);
    r->client.out_len = 0;
    r->expected_len = 0;
}

static uint64_t bytes_pipeline(struct run *r) {
    uint64_t n = 1 + below(r, PIPELINE_MAX);
    r->client.now_ms = r->model.now_ms;
    for (uint64_t i = 0; i < n; i++) bytes_operation(r);
    check_replies(r);
    return n;
}

/* ---- a run -------------------------------------------------------------------------------------*/

static void some_steps(struct run *r) {
    for (int kind = 0; kind < NITRO_STEP_KINDS; kind++) {
        struct nitro_step_result result = {0};
        int rc = nitro_step(r->store, (enum nitro_step_kind)kind, r->model.now_ms,
                            1 + (uint32_t)below(r, 8), &result);
        if (rc != NITRO_OK) test_fail("nitro_step(%d): %s", kind, nitro_strerror(rc));
    }
}

static void end_phase(struct run *r, unsigned phase) {
    if (r->plan->flush && phase % 4 == 3) {
        model_flush(&r->model);
        if (nitro_flush(r->store, NULL) != NITRO_OK) test_fail("nitro_flush failed");
    }
    if (phase % 3 == 2) test_step_all(r->store, r->model.now_ms);
    model_check(&r->model, r->store);
    test_check_bounds(r->store);
}

static void run_phase(struct run *r, uint64_t ops) {
    uint64_t next_step = 0;
    for (uint64_t done = 0; done < ops;) {
        if (below(r, 2) == 0) {
            direct_operation(r);
            done++;
        } else {
            done += bytes_pipeline(r);
        }
        if (done < next_step) continue;
        next_step = done + STEP_EVERY;
        some_steps(r);
        r->model.now_ms += (int64_t)below(r, 20);
    }
}

static void run_open(struct run *r, const struct plan *plan) {
    *r = (struct run){.plan = plan};
    test_rng_init(&r->rng, plan->name);
    test_mem_init(&r->mem);
    r->opt = test_options(&r->mem, plan->segments);
    r->store = test_open(&r->opt);
    model_init(&r->model, plan->keys, plan->collide_bits, r->opt.seed);
    if (test_client_open(&r->client, r->store, TEST_NOW) != NITRO_OK) test_fail("no client");
    r->value = malloc(plan->value_max + BIG_MIN + BIG_SPAN);
    if (r->value == NULL) test_fail("the test itself is out of memory");
}

/* run_close: empties the store by steps first, so that giving memory back is part of every test. */
static void run_close(struct run *r) {
    model_flush(&r->model);
    if (nitro_flush(r->store, NULL) != NITRO_OK) test_fail("nitro_flush failed");
    test_step_all(r->store, r->model.now_ms);
    model_check(&r->model, r->store);
    test_client_close(&r->client);
    nitro_close(&r->store);
    test_mem_check_empty(&r->mem);
    model_fini(&r->model);
    free(r->expected);
    free(r->value);
}

static struct nitro_stats run_plan(const struct plan *plan) {
    struct run *r = malloc(sizeof *r);
    if (r == NULL) test_fail("the test itself is out of memory");
    run_open(r, plan);
    for (unsigned phase = 0; phase < PHASES; phase++) {
        r->filling = phase % 2 == 0;
        run_phase(r, test_scale(plan->ops) / PHASES + 1);
        end_phase(r, phase);
    }
    struct nitro_stats st;
    nitro_stats(r->store, &st);
    run_close(r);
    free(r);
    return st;
}

/* ---- tests -------------------------------------------------------------------------------------*/

/* A few hot keys see every order of set, delete, expiry and increment. */
static void few_keys__random_operations__match_the_model(void **state) {
    (void)state;
    static const struct plan plan = {.name = "few keys",
                                     .segments = 2,
                                     .keys = 40,
                                     .value_max = 600,
                                     .ops = 400000,
                                     .flush = true};
    run_plan(&plan);
}

/* Many keys come and go: tables split and merge, arenas fill and are evacuated. */
static void many_keys__growing_and_shrinking__match_the_model(void **state) {
    (void)state;
    static const struct plan plan = {
        .name = "many keys", .segments = 4, .keys = 20000, .value_max = 300, .ops = 800000};
    struct nitro_stats st = run_plan(&plan);
    assert_true(st.splits > 0);
    if (test_scale(100) >= 100) assert_true(st.merges > 0);
}

/* Values beyond 64 KiB live in blocks of their own and are freed piece by piece. */
static void big_values__random_operations__match_the_model(void **state) {
    (void)state;
    static const struct plan plan = {.name = "big values",
                                     .segments = 1,
                                     .keys = 60,
                                     .value_max = 66000,
                                     .big_every = 4,
                                     .ops = 20000,
                                     .flush = true};
    run_plan(&plan);
}

/* Keys with one equal seeded hash force the segment to SipHash, in the middle of everything. */
static void colliding_keys__random_operations__switch_the_hash_and_match(void **state) {
    (void)state;
    static const struct plan plan = {.name = "colliding keys",
                                     .segments = 1,
                                     .keys = 1024,
                                     .collide_bits = 10,
                                     .value_max = 300,
                                     .ops = 200000};
    struct nitro_stats st = run_plan(&plan);
    assert_true(st.hash_switches > 0);
    assert_int_equal(st.segments_siphash, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_keys__random_operations__match_the_model),
        cmocka_unit_test(many_keys__growing_and_shrinking__match_the_model),
        cmocka_unit_test(big_values__random_operations__match_the_model),
        cmocka_unit_test(colliding_keys__random_operations__switch_the_hash_and_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
