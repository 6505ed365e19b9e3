/* SPDX-License-Identifier: MIT
 *
 * test_vectors.c - the golden vectors of the binary protocol, run by the C engine.
 *
 * FORMAT of proto/testdata/vectors.txt, one vector a line:
 *     name request_hex reply_hex
 *   A request may hold several frames. In a reply `..` stands for any byte, a final `*` for the rest of
 *   the last frame (texts of errors are each codec's own); `-` is an empty reply. The vectors run in
 *   order, against one store and on one connection. The Go codec and the client run the same ones.
 *
 * WAYS  Each vector whole; byte by byte; cut in two at each byte; and all of them in one pipeline. The
 *   replies must be the same every time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "client.h"

#define PATH "proto/testdata/vectors.txt"
#define LINE_MAX_BYTES 65536
#define VECTORS_MIN 100u /* fewer mean that the file was cut */

struct vector {
    char name[64];
    uint8_t *request, *reply;
    uint8_t *any; /* any[i]: reply byte i may be anything */
    size_t request_bytes, reply_bytes;
    bool open_end; /* the last frame goes on beyond reply_bytes */
};
struct vectors {
    struct vector *v;
    size_t count;
    size_t longest; /* request */
};

static void *must(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

/* parse_hex: bytes to *out (owned), `..` marked in *any if that is not NULL. Returns how many. */
static size_t parse_hex(const char *name, const char *hex, uint8_t **out, uint8_t **any) {
    size_t n = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    if (n > 0 && strlen(hex) % 2 != 0) test_fail("%s: vector %s has half a byte", PATH, name);
    *out = must(calloc(n + 1, 1));
    if (any != NULL) *any = must(calloc(n + 1, 1));
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        char *end;
        if (any != NULL && strcmp(digits, "..") == 0) {
            (*any)[i] = 1;
            continue;
        }
        (*out)[i] = (uint8_t)strtoul(digits, &end, 16);
        if (*end != 0) test_fail("%s: vector %s: \"%s\" is not hex", PATH, name, digits);
    }
    return n;
}

static struct vectors load(void) {
    static char line[LINE_MAX_BYTES], request[LINE_MAX_BYTES], reply[LINE_MAX_BYTES];
    struct vectors all = {0};
    FILE *f = fopen(PATH, "r");
    if (f == NULL) test_fail("%s cannot be opened; run the test from the repository's root", PATH);
    while (fgets(line, sizeof line, f) != NULL) {
        struct vector v = {0};
        if (sscanf(line, "%63s %65535s %65535s", v.name, request, reply) != 3)
            test_fail("%s: line %zu is not \"name request reply\"", PATH, all.count + 1);
        size_t end = strlen(reply) - 1;
        v.open_end = reply[end] == '*';
        if (v.open_end) reply[end] = 0;
        v.request_bytes = parse_hex(v.name, request, &v.request, NULL);
        v.reply_bytes = parse_hex(v.name, reply, &v.reply, &v.any);
        if (v.request_bytes > all.longest) all.longest = v.request_bytes;
        all.v = must(realloc(all.v, (all.count + 1) * sizeof v));
        all.v[all.count++] = v;
    }
    fclose(f);
    return all;
}

static void unload(struct vectors *all) {
    for (size_t i = 0; i < all->count; i++) {
        free(all->v[i].request);
        free(all->v[i].reply);
        free(all->v[i].any);
    }
    free(all->v);
}

static void print_hex(const char *what, const uint8_t *p, size_t n) {
    fprintf(stderr, "  %s", what);
    for (size_t i = 0; i < n; i++) fprintf(stderr, "%02x", p[i]);
    fputc('\n', stderr);
}

#define HEAD_BYTES 8u
#define HEAD_LENGTH 5u /* offset of the 24-bit length of what follows the header */

/* frames_end: where the frame ends that byte `last` of the replies belongs to; 0 if it is cut. */
static size_t frames_end(const uint8_t *got, size_t n, size_t last) {
    for (size_t at = 0; at + HEAD_BYTES <= n;) {
        const uint8_t *h = got + at + HEAD_LENGTH;
        at += HEAD_BYTES + ((size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16);
        if (at > last) return at <= n ? at : 0;
    }
    return 0;
}

/* match: the replies at `got` begin with the vector's; returns how long those are. Fails the test if they
 * do not. */
static size_t match(const struct vector *v, const uint8_t *got, size_t n, const char *way) {
    bool same = n >= v->reply_bytes;
    for (size_t i = 0; same && i < v->reply_bytes; i++) same = v->any[i] || got[i] == v->reply[i];
    size_t end = v->reply_bytes;
    if (same && v->open_end) end = frames_end(got, n, v->reply_bytes - 1);
    if (same && (!v->open_end || end > 0)) return end;
    print_hex("got      ", got, n);
    print_hex("expected ", v->reply, v->reply_bytes);
    test_fail("vector %s, %s: the reply differs", v->name, way);
}

struct connection {
    struct test_mem mem;
    struct nitro_options opt;
    nitro_store *store;
    struct test_client client;
};

static void connection_open(struct connection *c) {
    test_mem_init(&c->mem);
    c->opt = test_options(&c->mem, 4);
    c->store = test_open(&c->opt);
    assert_int_equal(test_client_open(&c->client, c->store, TEST_NOW), NITRO_OK);
}

static void connection_close(struct connection *c) {
    test_client_close(&c->client);
    nitro_close(&c->store);
    test_mem_check_empty(&c->mem);
}

static void feed(struct connection *c, const struct vector *v, size_t from, size_t to) {
    int rc = test_client_feed(&c->client, v->request + from, to - from);
    if (rc != NITRO_OK) test_fail("vector %s: %s", v->name, nitro_strerror(rc));
    if (c->client.closed) test_fail("vector %s: the engine closed the connection", v->name);
}

/* run_cut: every vector, in pieces that end at multiples of `step` and at `cut`. */
static void run_cut(const struct vectors *all, size_t step, size_t cut, const char *way) {
    struct connection c;
    connection_open(&c);
    for (size_t i = 0; i < all->count; i++) {
        const struct vector *v = &all->v[i];
        for (size_t at = 0; at < v->request_bytes;) {
            size_t to = v->request_bytes - at > step ? at + step : v->request_bytes;
            if (at < cut && cut < to) to = cut;
            feed(&c, v, at, to);
            at = to;
        }
        if (match(v, c.client.out, c.client.out_len, way) != c.client.out_len)
            test_fail("vector %s, %s: more replies than expected", v->name, way);
        c.client.out_len = 0;
    }
    connection_close(&c);
}

/* Each vector arrives in one read. */
static void vectors__whole__expected_replies(void **state) {
    run_cut(*state, SIZE_MAX, 0, "whole");
}

/* Each byte arrives alone. */
static void vectors__byte_by_byte__expected_replies(void **state) {
    run_cut(*state, 1, 0, "byte by byte");
}

/* Each vector arrives in two reads, cut at each byte. */
static void vectors__cut_at_every_byte__expected_replies(void **state) {
    const struct vectors *all = *state;
    for (size_t cut = 1; cut < all->longest; cut++) {
        char way[48];
        snprintf(way, sizeof way, "cut at byte %zu", cut);
        run_cut(all, SIZE_MAX, cut, way);
    }
}

/* All vectors arrive in one read, as one long pipeline. */
static void vectors__one_pipeline__expected_replies(void **state) {
    const struct vectors *all = *state;
    struct connection c;
    struct vector sum = {.name = "(all)"};
    size_t at = 0;
    connection_open(&c);
    for (size_t i = 0; i < all->count; i++) sum.request_bytes += all->v[i].request_bytes;
    sum.request = must(malloc(sum.request_bytes + 1));
    for (size_t i = 0; i < all->count; i++) {
        memcpy(sum.request + at, all->v[i].request, all->v[i].request_bytes);
        at += all->v[i].request_bytes;
    }
    feed(&c, &sum, 0, sum.request_bytes);
    at = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct vector *v = &all->v[i];
        at += match(v, c.client.out + at, c.client.out_len - at, "in one pipeline");
    }
    assert_int_equal(at, c.client.out_len);
    free(sum.request);
    connection_close(&c);
}

int main(void) {
    struct vectors all = load();
    if (all.count < VECTORS_MIN) test_fail("%s holds only %zu vectors", PATH, all.count);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(vectors__whole__expected_replies, &all),
        cmocka_unit_test_prestate(vectors__byte_by_byte__expected_replies, &all),
        cmocka_unit_test_prestate(vectors__cut_at_every_byte__expected_replies, &all),
        cmocka_unit_test_prestate(vectors__one_pipeline__expected_replies, &all),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unload(&all);
    return failed;
}
