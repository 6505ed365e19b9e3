/* SPDX-License-Identifier: MIT
 *
 * support.c - the tests' allocator, random numbers, store helpers and byte client (see support.h).
 *
 * THE ALLOCATOR puts a 16-byte head before every object, so that a size that comes back wrong is found
 * where it happens, and adds up what is out: a store that was closed must leave zero, also after a
 * failed call. Pages go to the system's table and are only counted, because an unmap may release any
 * part of a mapping.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* cmocka's way to end a test; not there in programs without cmocka. */
extern void _fail(const char *file, int line) __attribute__((weak));

void test_fail(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fflush(stdout);
    fputs("test failure: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    if (_fail != NULL) _fail(__FILE__, __LINE__);
    abort();
}

/* ---- random numbers ----------------------------------------------------------------------------*/

void test_rng_init(struct test_rng *r, const char *what) {
    const char *given = getenv("NK_TEST_SEED");
    if (given != NULL) {
        r->state = strtoull(given, NULL, 0);
    } else {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        r->state = (uint64_t)ts.tv_sec * 1000000007u + (uint64_t)ts.tv_nsec + (uint64_t)getpid();
    }
    printf("%s: NK_TEST_SEED=%" PRIu64 "\n", what, r->state);
    fflush(stdout);
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t test_rng_next(struct test_rng *r) {
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t test_rng_below(struct test_rng *r, uint64_t n) { return test_rng_next(r) % n; }

uint64_t test_scale(uint64_t n) {
    const char *given = getenv("NK_TEST_PERCENT");
    if (given == NULL) return n;
    uint64_t scaled = n * strtoull(given, NULL, 10) / 100;
    return scaled == 0 ? 1 : scaled;
}

/* ---- memory ------------------------------------------------------------------------------------*/

#define HEAD_MAGIC UINT64_C(0x6e6b74657374686d)
struct head {
    uint64_t magic;
    uint64_t bytes;
};

static void count(int64_t *counter, int64_t delta) {
    __atomic_fetch_add(counter, delta, __ATOMIC_RELAXED);
}

const struct nitro_mem *test_pages;

/* take_call: numbers this call; true if it is to fail. */
static bool take_call(struct test_mem *m) {
    uint64_t number = __atomic_add_fetch(&m->calls, 1, __ATOMIC_RELAXED);
    if (number < m->fail_first || number > m->fail_last) return false;
    __atomic_fetch_add(&m->failed, 1, __ATOMIC_RELAXED);
    return true;
}

static struct head *head_of(void *p, size_t bytes) {
    struct head *h = (struct head *)p - 1;
    if (h->magic != HEAD_MAGIC) test_fail("object %p given back is not one that was taken", p);
    if (h->bytes != bytes)
        test_fail("object %p of %" PRIu64 " bytes is given back as %zu bytes", p, h->bytes, bytes);
    return h;
}

static void *mem_alloc(void *ctx, size_t bytes) {
    struct test_mem *m = ctx;
    if (take_call(m)) return NULL;
    struct head *h = malloc(sizeof *h + bytes);
    if (h == NULL) return NULL;
    *h = (struct head){HEAD_MAGIC, bytes};
    count(&m->objects, 1);
    count(&m->bytes, (int64_t)bytes);
    return h + 1;
}

static void *mem_resize(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    if (p == NULL) return mem_alloc(ctx, bytes);
    struct test_mem *m = ctx;
    struct head *h = head_of(p, old_bytes);
    if (take_call(m)) return NULL;
    h = realloc(h, sizeof *h + bytes);
    if (h == NULL) return NULL;
    h->bytes = bytes;
    count(&m->bytes, (int64_t)bytes - (int64_t)old_bytes);
    return h + 1;
}

static void mem_free(void *ctx, void *p, size_t bytes) {
    struct test_mem *m = ctx;
    if (p == NULL) return;
    struct head *h = head_of(p, bytes);
    h->magic = 0;
    free(h);
    count(&m->objects, -1);
    count(&m->bytes, -(int64_t)bytes);
}

static const struct nitro_mem *pages(void) {
    return test_pages != NULL ? test_pages : nitro_mem_system();
}

static void *mem_map(void *ctx, size_t bytes, size_t align) {
    struct test_mem *m = ctx;
    if (take_call(m)) return NULL;
    void *p = pages()->map(pages()->ctx, bytes, align);
    if (p != NULL) count(&m->mapped_bytes, (int64_t)bytes);
    return p;
}

static void mem_unmap(void *ctx, void *p, size_t bytes) {
    struct test_mem *m = ctx;
    pages()->unmap(pages()->ctx, p, bytes);
    count(&m->mapped_bytes, -(int64_t)bytes);
}

static int mem_advise(void *ctx, void *p, size_t bytes, enum nitro_advice advice) {
    const struct nitro_mem *sys = nitro_mem_system();
    (void)ctx;
    return sys->advise(sys->ctx, p, bytes, advice);
}

void test_mem_init(struct test_mem *m) {
    *m = (struct test_mem){0};
    m->table = (struct nitro_mem){.ctx = m,
                                  .alloc = mem_alloc,
                                  .resize = mem_resize,
                                  .free = mem_free,
                                  .map = mem_map,
                                  .unmap = mem_unmap,
                                  .advise = mem_advise};
}

void test_mem_fail(struct test_mem *m, uint64_t first, uint64_t last) {
    m->calls = 0;
    m->failed = 0;
    m->fail_first = first;
    m->fail_last = first == 0 ? 0 : last;
}

void test_mem_check_empty(const struct test_mem *m) {
    if (m->objects != 0 || m->bytes != 0 || m->mapped_bytes != 0)
        test_fail("leak: %" PRId64 " objects of %" PRId64 " bytes, %" PRId64 " bytes of pages",
                  m->objects, m->bytes, m->mapped_bytes);
}

/* ---- stores ------------------------------------------------------------------------------------*/

struct nitro_options test_options(struct test_mem *m, uint32_t segments) {
    struct nitro_options opt = {.segments = segments, .mem = &m->table};
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) opt.seed[i] = (uint8_t)(0xc3 ^ (i * 29));
    return opt;
}

nitro_store *test_open(const struct nitro_options *opt) {
    nitro_store *s = NULL;
    struct nitro_err err = {0};
    if (nitro_open(opt, &s, &err) != NITRO_OK) test_fail("nitro_open: %s", err.msg);
    return s;
}

#define STEP_BUDGET 256u
#define STEP_CALLS_MAX 100000u

static uint32_t step(nitro_store *s, enum nitro_step_kind kind, int64_t now_ms) {
    struct nitro_step_result r = {0};
    int rc = nitro_step(s, kind, now_ms, STEP_BUDGET, &r);
    if (rc != NITRO_OK) test_fail("nitro_step(%d): %s", (int)kind, nitro_strerror(rc));
    return r.more;
}

void test_step_all(nitro_store *s, int64_t now_ms) {
    uint32_t calls = 0;
    for (int more = -1; more != 0;) {
        more = 0;
        for (int kind = 0; kind < NITRO_STEP_KINDS; kind++)
            if (step(s, (enum nitro_step_kind)kind, now_ms)) more = kind + 1;
        if (++calls > STEP_CALLS_MAX) test_fail("step %d always says that there is more", more - 1);
    }
}

void test_check_bounds(nitro_store *s) {
    struct nitro_stats st;
    nitro_stats(s, &st);
    if (st.max_buckets_per_call > TEST_BUCKETS_MAX)
        test_fail("one call went through %" PRIu64 " buckets", st.max_buckets_per_call);
    if (st.max_entries_per_call > TEST_ENTRIES_MAX)
        test_fail("one call went through %" PRIu64 " entries", st.max_entries_per_call);
    if (st.max_bytes_per_call > TEST_BYTES_MAX)
        test_fail("one call moved %" PRIu64 " bytes", st.max_bytes_per_call);
}

/* ---- digest ------------------------------------------------------------------------------------
 * A scan may return a key twice, so keys are collected, sorted and taken once. */

struct key_copy {
    uint8_t *p;
    size_t n;
};
struct key_list {
    struct key_copy *keys;
    size_t count, cap;
};

static void *must_alloc(void *p) {
    if (p == NULL) test_fail("the test itself is out of memory");
    return p;
}

static void collect_key(void *ctx, const void *key, size_t key_bytes,
                        const struct nitro_info *info) {
    struct key_list *l = ctx;
    (void)info;
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->keys = must_alloc(realloc(l->keys, l->cap * sizeof *l->keys));
    }
    struct key_copy *k = &l->keys[l->count++];
    k->n = key_bytes;
    k->p = must_alloc(malloc(key_bytes + 1));
    memcpy(k->p, key, key_bytes);
}

static int compare_keys(const void *a, const void *b) {
    const struct key_copy *x = a, *y = b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

static uint64_t mix(uint64_t h, const void *p, size_t n) {
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x9fb21c651e98df25u + (h >> 29);
    return h;
}

static void add_entry(nitro_store *s, int64_t now_ms, const struct key_copy *k,
                      struct test_digest *d) {
    struct nitro_info info = {0};
    int rc = nitro_get(s, now_ms, k->p, k->n, NULL, 0, &info);
    if (rc != NITRO_OK) test_fail("a scanned key cannot be read: %s", nitro_strerror(rc));
    uint8_t *value = must_alloc(malloc(info.bytes + 1));
    rc = nitro_get(s, now_ms, k->p, k->n, value, info.bytes, &info);
    if (rc != NITRO_OK) test_fail("a key cannot be read twice: %s", nitro_strerror(rc));
    uint64_t h = mix(mix(k->n, k->p, k->n), value, info.bytes);
    h = mix(h, &info.expire_ms, sizeof info.expire_ms);
    d->keys++;
    d->contents += h;
    d->versions += mix(h, &info.version, sizeof info.version);
    free(value);
}

struct test_digest test_digest(nitro_store *s, int64_t now_ms) {
    struct key_list l = {0};
    uint64_t cursor = 0;
    do {
        int rc = nitro_scan(s, now_ms, &cursor, 100, collect_key, &l, NULL);
        if (rc != NITRO_OK) test_fail("nitro_scan: %s", nitro_strerror(rc));
    } while (cursor != 0);
    if (l.count > 0) qsort(l.keys, l.count, sizeof *l.keys, compare_keys);
    struct test_digest d = {0, 0, 0};
    for (size_t i = 0; i < l.count; i++) {
        if (i > 0 && compare_keys(&l.keys[i - 1], &l.keys[i]) == 0) continue;
        add_entry(s, now_ms, &l.keys[i], &d);
    }
    for (size_t i = 0; i < l.count; i++) free(l.keys[i].p);
    free(l.keys);
    return d;
}
