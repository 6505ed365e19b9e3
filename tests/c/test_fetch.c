/* SPDX-License-Identifier: MIT
 *
 * test_fetch.c - requests whose values lie in data files: how often they read, in which order, and what they answer when
 * the key, the file or the whole store changes while a value is on its way.
 *
 * HOW   A hook in the table of file calls (bitcask_rig.h) runs while a read is under way, where another thread would be.
 */
#define _GNU_SOURCE /* memmem */
#include "bitcask_rig.h"

#include "exec.h"

/* ---- how often, and where ----------------------------------------------------------------------*/

static void get__written__one_read(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_ask(&w, "SET k value\r\n", "+OK\r\n");
    bc_persist(&w);
    bc_watch(&w, NULL, 0);
    bc_ask(&w, "GET k\r\n", "$5\r\nvalue\r\n");
    assert_int_equal(w.reads, 1);
    bc_ask(&w, "EXISTS k\r\nTTL k\r\nGET none\r\n", ":1\r\n:-1\r\n$-1\r\n");
    assert_int_equal(w.reads, 1);
    bc_close(&w);
}

static void get__not_written__no_read(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_watch(&w, NULL, 0);
    bc_ask(&w, "SET k value\r\nGET k\r\nSTRLEN k\r\nAPPEND k s\r\nGET k\r\n",
           "+OK\r\n$5\r\nvalue\r\n:5\r\n:6\r\n$6\r\nvalues\r\n");
    assert_int_equal(w.reads, 0);
    bc_ask(&w, "MSET a 1 b 2 c 3\r\nMGET a b c d\r\n",
           "+OK\r\n*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n");
    assert_int_equal(w.reads, 0);
    bc_close(&w);
}

static void fill(uint8_t *p, size_t n, uint8_t seed) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* Values around the sizes where they are spliced, and where sizes in locations are rounded. */
static void get__sizes__written_and_not(void **state) {
    (void)state;
    static const size_t sizes[] = {0,     1,     4000,  32700, 32740, 32766, 32767,
                                   32768, 40000, 65500, 65535, 65536, 70001, 1000003};
    struct bc w;
    uint8_t *value = malloc(1 << 20);
    bc_open(&w, 4);
    assert_non_null(value);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fill(value, sizes[i], (uint8_t)i);
        assert_int_equal(bc_set(&w, "k", value, sizes[i]), NITRO_OK);
        bc_same(&w, "k", value, sizes[i]);
        assert_int_equal(bc_set(&w, "behind", "x", 1), NITRO_OK);
        bc_same(&w, "k", value, sizes[i]);
        bc_persist(&w);
        bc_watch(&w, NULL, 0);
        bc_same(&w, "k", value, sizes[i]);
        assert_int_equal(w.reads, 1);
        w.watching = false;
    }
    free(value);
    bc_close(&w);
}

/* A batch that is too large for the commit buffer lies in a block of its own until it is written. */
static void get__batch_in_a_block__found_before_and_after_the_write(void **state) {
    (void)state;
    enum { COUNT = 40, BYTES = 60000, LARGE = 200000 };
    struct bc w;
    uint8_t *value = malloc((size_t)COUNT * BYTES + LARGE);
    struct nitro_op op[COUNT + 1];
    char key[COUNT + 1][16];
    struct nitro_err err = {0};
    bc_open(&w, 4);
    assert_non_null(value);
    fill(value, (size_t)COUNT * BYTES + LARGE, 3);
    for (int i = 0; i <= COUNT; i++) {
        snprintf(key[i], sizeof key[i], "k%d", i);
        op[i] = (struct nitro_op){.key = key[i],
                                  .key_bytes = strlen(key[i]),
                                  .value = value + (size_t)i * BYTES,
                                  .value_bytes = i == COUNT ? LARGE : BYTES};
    }
    bc_must(nitro_log_fill(w.store, (uint64_t)COUNT * BYTES + 2 * LARGE, &err), &err, "fill");
    assert_int_equal(nitro_write(w.store, w.now_ms, op, COUNT + 1, NULL), NITRO_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i <= COUNT; i++)
            bc_same(&w, key[i], value + (size_t)i * BYTES, i == COUNT ? LARGE : BYTES);
        bc_persist(&w);
    }
    free(value);
    bc_close(&w);
}

/* Reads of a pipeline, and of an MGET, go through the files from front to back. */
static void gets__pipelined__read_in_file_order(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 16);
    for (char i = 'a'; i <= 'j'; i++) {
        char key[] = {i, 0};
        assert_int_equal(bc_set(&w, key, key, 1), NITRO_OK);
    }
    bc_persist(&w);
    const char *asks[] = {"GET j\r\nGET c\r\nGET h\r\nGET a\r\n", "MGET j c h a\r\n"};
    const char *replies[] = {"$1\r\nj\r\n$1\r\nc\r\n$1\r\nh\r\n$1\r\na\r\n",
                             "*4\r\n$1\r\nj\r\n$1\r\nc\r\n$1\r\nh\r\n$1\r\na\r\n"};
    for (int i = 0; i < 2; i++) {
        bc_watch(&w, NULL, 0);
        bc_ask(&w, asks[i], replies[i]);
        assert_int_equal(w.reads, 4);
        for (uint32_t k = 1; k < w.reads; k++) assert_true(w.read[k].offset > w.read[k - 1].offset);
        w.watching = false;
    }
    bc_close(&w);
}

static void *(*plain_map)(void *ctx, size_t bytes, size_t align);
static int64_t most_mapped;

static void *noting_map(void *ctx, size_t bytes, size_t align) {
    struct test_mem *m = ctx;
    void *p = plain_map(ctx, bytes, align);
    if (m->mapped_bytes > most_mapped) most_mapped = m->mapped_bytes;
    return p;
}

/* Large values count, too: a round does not hold as many of them as it has items. */
static void mget__large_values__bounded(void **state) {
    (void)state;
    enum { KEYS = 60, BYTES = 256 << 10 };
    struct bc w;
    char key[KEYS][8];
    struct test_arg argv[1 + KEYS] = {{"MGET", 4}};
    uint8_t *value = malloc(BYTES);
    assert_non_null(value);
    bc_open(&w, 4);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(key[i], sizeof key[i], "k%zu", i);
        argv[1 + i] = (struct test_arg){key[i], strlen(key[i])};
        fill(value, BYTES, (uint8_t)i);
        assert_int_equal(bc_set(&w, key[i], value, BYTES), NITRO_OK);
    }
    bc_persist(&w);
    bc_watch(&w, NULL, 0);
    plain_map = w.mem.table.map;
    w.mem.table.map = noting_map;
    most_mapped = 0;
    int64_t before = w.mem.mapped_bytes;
    w.client.out_len = 0;
    assert_int_equal(test_client_args(&w.client, argv, 1 + KEYS), NITRO_OK);
    w.mem.table.map = plain_map;
    w.watching = false;
    assert_int_equal(w.reads, KEYS);
    assert_true(most_mapped > 0 && most_mapped - before < 6 << 20);
    size_t at = 5;
    assert_memory_equal(w.client.out, "*60\r\n", at);
    for (size_t i = 0; i < KEYS; i++) {
        fill(value, BYTES, (uint8_t)i);
        assert_memory_equal(w.client.out + at, "$262144\r\n", 9);
        assert_memory_equal(w.client.out + at + 9, value, BYTES);
        at += 9 + BYTES + 2;
    }
    assert_int_equal(w.client.out_len, at);
    free(value);
    bc_close(&w);
}

/* Likewise of those that lie in the block of a batch, from which they are copied. */
static void strlens__large_values_in_a_block__bounded(void **state) {
    (void)state;
    enum { KEYS = 40, BYTES = 256 << 10, FILL = 30 }; /* so much that it is laid out in a block */
    struct bc w;
    char key[KEYS + FILL][8], lines[KEYS * 16] = "", replies[KEYS * 16] = "";
    struct nitro_op op[KEYS + FILL];
    struct nitro_err err = {0};
    uint8_t *value = malloc((size_t)KEYS * BYTES);
    assert_non_null(value);
    bc_open(&w, 4);
    fill(value, (size_t)KEYS * BYTES, 7);
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(key[i], sizeof key[i], "k%zu", i);
        sprintf(lines + strlen(lines), "STRLEN k%zu\r\n", i);
        strcat(replies, ":262144\r\n");
        op[i] = (struct nitro_op){.key = key[i],
                                  .key_bytes = strlen(key[i]),
                                  .value = value + i * BYTES,
                                  .value_bytes = BYTES};
    }
    for (size_t i = KEYS; i < KEYS + FILL; i++) {
        snprintf(key[i], sizeof key[i], "f%zu", i);
        op[i] = (struct nitro_op){
            .key = key[i], .key_bytes = strlen(key[i]), .value = value, .value_bytes = 60000};
    }
    bc_must(nitro_log_fill(w.store, (uint64_t)(KEYS + FILL) * BYTES, &err), &err, "fill");
    assert_int_equal(nitro_write(w.store, w.now_ms, op, KEYS + FILL, NULL), NITRO_OK);
    test_step_all(w.store, w.now_ms); /* what the batch has left is given back */
    bc_watch(&w, NULL, 0);
    plain_map = w.mem.table.map;
    w.mem.table.map = noting_map;
    most_mapped = 0;
    int64_t before = w.mem.mapped_bytes;
    bc_ask(&w, lines, replies);
    w.mem.table.map = plain_map;
    w.watching = false;
    assert_int_equal(w.reads, 0);
    assert_true(most_mapped > 0 && most_mapped - before < 6 << 20);
    for (size_t i = 0; i < KEYS; i++) bc_same(&w, key[i], value + i * BYTES, BYTES);
    free(value);
    bc_close(&w);
}

/* A value that max_memory has no room for is not read, and that is said; others are. */
static void get__no_room_for_it__refused(void **state) {
    (void)state;
    enum { LARGE = 5 << 20, SMALL = 512 << 10 };
    static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    struct nitro_stats st;
    for (int packed = 0; packed < 2; packed++) {
        struct bc w;
        uint8_t *value = calloc(1, LARGE);
        assert_non_null(value);
        bc_open(&w, 4);
        w.value_compression = packed ? NITRO_COMPRESSION_LZ4 : NITRO_COMPRESSION_NONE;
        bc_stop(&w);
        bc_start(&w);
        if (!packed) fill(value, LARGE, 1);
        assert_int_equal(bc_set(&w, "large", value, LARGE), NITRO_OK);
        assert_int_equal(bc_set(&w, "small", value, SMALL), NITRO_OK);
        bc_persist(&w);
        test_step_all(w.store, w.now_ms);
        nitro_stats(w.store, &st);
        nitro_set_max_memory(w.store, st.used_bytes + (1 << 20));
        bc_ask(&w, "GET large\r\n", oom);
        bc_ask(&w, "EXPIRE large 100\r\n", oom);
        bc_same(&w, "small", value, SMALL);
        nitro_set_max_memory(w.store, st.used_bytes + 3 * LARGE);
        bc_same(&w, "large", value, LARGE);
        free(value);
        bc_close(&w);
    }
}

/* A new expiry of a large value that is changed all the time gets through, with the checksum that the value has. */
static void expire__of_a_large_value_after_many_tries__is_logged_whole(void **state) {
    (void)state;
    enum { BYTES = 300000 };
    struct bc w;
    uint8_t *value = malloc(BYTES);
    assert_non_null(value);
    bc_open(&w, 4);
    fill(value, BYTES, 9);
    assert_int_equal(bc_set(&w, "k", value, BYTES), NITRO_OK);
    for (uint32_t tries = 0; tries <= NK_FETCH_TRIES; tries++) {
        nk_chunk_of(w.client.chunk)->fetch.tries = tries;
        bc_ask(&w, "EXPIRE k 100\r\nTTL k\r\n", ":1\r\n:100\r\n");
    }
    bc_persist(&w);
    bc_same(&w, "k", value, BYTES);
    bc_stop(&w);
    bc_start(&w);
    bc_same(&w, "k", value, BYTES);
    bc_ask(&w, "TTL k\r\n", ":100\r\n");
    free(value);
    bc_close(&w);
}

/* ---- what changes meanwhile --------------------------------------------------------------------*/

static void overwrite(struct bc *w) { assert_int_equal(bc_set(w, "k", "newer", 5), NITRO_OK); }
static void overwrite_durably(struct bc *w) {
    overwrite(w);
    bc_persist(w);
}
static void drop(struct bc *w) {
    assert_int_equal(nitro_delete(w->store, w->now_ms, "k", 1, NULL), NITRO_OK);
}
static void flush(struct bc *w) { assert_int_equal(nitro_flush(w->store, NULL), NITRO_OK); }

struct change {
    bc_hook *hook;
    const char *ask, *reply;
};

static void value__changed_while_read__answer_is_of_after(void **state) {
    (void)state;
    static const struct change changes[] = {
        {overwrite, "GET k\r\n", "$5\r\nnewer\r\n"},
        {overwrite_durably, "GET k\r\n", "$5\r\nnewer\r\n"},
        {drop, "GET k\r\n", "$-1\r\n"},
        {flush, "GET k\r\n", "$-1\r\n"},
        {overwrite, "MGET k other\r\n", "*2\r\n$5\r\nnewer\r\n$1\r\no\r\n"},
        {drop, "MGET other k\r\n", "*2\r\n$1\r\no\r\n$-1\r\n"},
        {overwrite, "APPEND k x\r\nGET k\r\n", ":6\r\n$6\r\nnewerx\r\n"},
        {drop, "APPEND k x\r\nGET k\r\n", ":1\r\n$1\r\nx\r\n"},
        {overwrite, "SET k last GET\r\nGET k\r\n", "$5\r\nnewer\r\n$4\r\nlast\r\n"},
        {overwrite, "GETDEL k\r\nGET k\r\n", "$5\r\nnewer\r\n$-1\r\n"},
        {overwrite, "EXPIRE k 100\r\nGET k\r\nTTL k\r\n", ":1\r\n$5\r\nnewer\r\n:100\r\n"},
        {drop, "EXPIRE k 100\r\n", ":0\r\n"},
        {overwrite, "RENAME k to\r\nGET to\r\nGET k\r\n", "+OK\r\n$5\r\nnewer\r\n$-1\r\n"},
        {drop, "RENAME k to\r\n", "-ERR no such key\r\n"},
        {overwrite, "STRLEN k\r\nGETRANGE k 1 2\r\n", ":5\r\n$2\r\new\r\n"},
        {overwrite, "INCR k\r\n", "-ERR value is not an integer or out of range\r\n"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct bc w;
        bc_open(&w, 4);
        bc_ask(&w, "SET k 12\r\nSET other o\r\n", "+OK\r\n+OK\r\n");
        bc_persist(&w);
        bc_watch(&w, changes[i].hook, 1);
        bc_ask(&w, changes[i].ask, changes[i].reply);
        assert_true(w.reads > 0 && w.hook_for == 0);
        bc_close(&w);
    }
}

static uint32_t refused;

static void overwrite_if_possible(struct bc *w) {
    int rc = nitro_set(w->store, w->now_ms, "k", 1, "newer", 5, 0, 0, 0, NULL);
    bc_persist(w);
    refused += rc == NITRO_EBUSY;
}

/* Somebody overwrites the key whenever it is read: in the end the request reads under the lock, and gets through. */
static void append__key_changes_all_the_time__gets_through(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_ask(&w, "SET k old\r\n", "+OK\r\n");
    bc_persist(&w);
    refused = 0;
    bc_watch(&w, overwrite_if_possible, UINT32_MAX);
    bc_ask(&w, "APPEND k x\r\n", ":6\r\n");
    w.watching = false;
    assert_int_equal(refused, 1);
    bc_ask(&w, "GET k\r\n", "$6\r\nnewerx\r\n");
    bc_close(&w);
}

/* ---- files that go -----------------------------------------------------------------------------*/

static uint32_t closed_by_merge;

static void merge_all(struct bc *w) {
    uint32_t before = w->closes;
    uint64_t files = bc_files(w).files;
    overwrite(w);
    bc_merge(w);
    closed_by_merge = w->closes - before;
    assert_true(bc_files(w).merged_files > 0 && files > 0);
}

/* The file of a value is merged away while the value is read: its handle stays as long as it is needed. */
static void get__file_merged_away__reads_on(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0};
    struct nitro_away away;
    char got[8];
    bc_open(&w, 4);
    bc_ask(&w, "SET k old\r\nSET other o\r\n", "+OK\r\n+OK\r\n");
    bc_persist(&w);
    assert_int_equal(nitro_get_away(w.store, w.now_ms, "k", 1, got, sizeof got, &info, &away),
                     NITRO_AWAY);
    merge_all(&w);
    bc_ask(&w, "GET k\r\nGET other\r\n", "$5\r\nnewer\r\n$1\r\no\r\n");
    assert_int_equal(nitro_fetch(w.store, "k", 1, got, sizeof got, &info, &away), NITRO_OK);
    assert_int_equal(info.bytes, 3);
    assert_memory_equal(got, "old", 3);
    bc_close(&w);
}

/* Likewise for a request of a chunk: it finds the copy's location, and reads once more. */
static void append__file_merged_away__value_is_kept(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_ask(&w, "SET other o\r\nSET k old\r\n", "+OK\r\n+OK\r\n");
    bc_persist(&w);
    bc_watch(&w, merge_all, 1);
    bc_ask(&w, "APPEND other x\r\nGET other\r\n", ":2\r\n$2\r\nox\r\n");
    assert_int_equal(w.hook_for, 0);
    bc_close(&w);
}

/* Who merges what there is now is not kept busy by those who write: files that are made later are left alone. */
static void merge__upto_a_file__later_ones_are_left_alone(void **state) {
    (void)state;
    struct bc w;
    struct nitro_err err = {0};
    uint64_t upto = 0;
    bc_open(&w, 4);
    bc_ask(&w, "SET k 1\r\nSET k 2\r\nSET other o\r\n", "+OK\r\n+OK\r\n+OK\r\n");
    bc_persist(&w);
    bc_must(nitro_merge_roll(w.store, &upto, &err), &err, "roll");
    for (unsigned i = 0; i < 4;
         i++) { /* the file that was written to then, the next one, and two more */
        bc_ask(&w, "SET k 3\r\nSET k 4\r\n", "+OK\r\n+OK\r\n");
        bc_persist(&w);
        bc_must(nitro_merge_roll(w.store, NULL, &err), &err, "roll");
    }
    bc_tend(&w, upto);
    struct nitro_data_files some = bc_files(&w);
    assert_true(some.merges > 0 && some.put_bytes > some.live_bytes);
    bc_tend(&w, 0);
    assert_true(bc_files(&w).merges > some.merges);
    assert_int_equal(bc_files(&w).put_bytes, bc_files(&w).live_bytes);
    bc_ask(&w, "GET k\r\nGET other\r\n", "$1\r\n4\r\n$1\r\no\r\n");
    bc_close(&w);
}

/* ---- damage ------------------------------------------------------------------------------------*/

static void damage(struct bc *w, const char *word) {
    DIR *d = opendir(w->dir);
    bool found = false;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[sizeof w->dir + sizeof e->d_name + 1];
        snprintf(path, sizeof path, "%s/%s", w->dir, e->d_name);
        if (strstr(e->d_name, ".log") == NULL && strstr(e->d_name, ".data") == NULL) continue;
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        static char text[1 << 20];
        size_t n = fread(text, 1, sizeof text, f);
        char *at = memmem(text, n, word, strlen(word));
        if (at != NULL) {
            found = true;
            assert_int_equal(fseek(f, at - text, SEEK_SET), 0);
            assert_int_equal(fputc(*at ^ 1, f), *at ^ 1);
        }
        assert_int_equal(fclose(f), 0);
    }
    closedir(d);
    assert_true(found);
}

#define DAMAGED "-DAMAGED the record of this key on the disk is damaged; see: nitrokv check\r\n"

static void get__record_damaged__an_error_for_that_key_alone(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_ask(&w, "SET bad onlyhere\r\nSET good fine\r\n", "+OK\r\n+OK\r\n");
    bc_persist(&w);
    damage(&w, "onlyhere");
    bc_ask(&w, "GET bad\r\nGET good\r\nMGET good bad\r\nEXISTS bad\r\n",
           DAMAGED "$4\r\nfine\r\n*2\r\n$4\r\nfine\r\n" DAMAGED ":1\r\n");
    bc_ask(&w, "APPEND bad x\r\nGETDEL bad\r\nEXPIRE bad 10\r\n", DAMAGED DAMAGED DAMAGED);
    assert_int_equal(bc_files(&w).damaged_files, 1);
    assert_true(bc_files(&w).damaged_reads >= 2);
    bc_ask(&w, "SET bad anew\r\nGET bad\r\nDEL bad\r\n", "+OK\r\n$4\r\nanew\r\n:1\r\n");
    bc_close(&w);
}

static void get__read_fails__an_error_for_that_key(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    bc_ask(&w, "SET k value\r\n", "+OK\r\n");
    bc_persist(&w);
    bc_watch(&w, NULL, 0);
    w.fail = -EIO;
    bc_ask(&w, "GET k\r\n", "-IOERR the value could not be read from the disk\r\n");
    w.fail = 0;
    bc_ask(&w, "GET k\r\n", "$5\r\nvalue\r\n");
    bc_close(&w);
}

/* ---- gates -------------------------------------------------------------------------------------*/

/* A value waits for its sync like any other; a durable one does not, also if its neighbours are not. */
static void get__not_durable__is_gated(void **state) {
    (void)state;
    struct bc w;
    struct nitro_info info = {0};
    struct nitro_err err = {0};
    char got[8];
    bc_open(&w, 1);
    assert_int_equal(bc_set(&w, "old", "1", 1), NITRO_OK);
    bc_persist(&w);
    assert_int_equal(bc_set(&w, "k", "2", 1), NITRO_OK);
    uint64_t lsn = nitro_log_view_of(w.store)->appended;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &info), NITRO_OK);
        assert_int_equal(info.shown_lsn, lsn);
        assert_int_equal(info.version, lsn);
        assert_int_equal(nitro_get(w.store, w.now_ms, "old", 3, got, 8, &info), NITRO_OK);
        assert_true(info.shown_lsn < lsn);
        bc_must(nitro_log_write(w.store, w.now_ms, &err), &err, "write");
    }
    bc_persist(&w);
    assert_int_equal(nitro_get(w.store, w.now_ms, "k", 1, got, 8, &info), NITRO_OK);
    assert_int_equal(info.shown_lsn, 0);
    bc_close(&w);
}

/* ---- no room -----------------------------------------------------------------------------------*/

static int open_nothing(void *ctx, int dir, const char *name, unsigned flags) {
    (void)ctx, (void)dir, (void)name, (void)flags;
    return -EMFILE;
}
static int alloc_nothing(void *ctx, int file, uint64_t offset, uint64_t bytes, const char *why) {
    (void)ctx, (void)file, (void)offset, (void)bytes, (void)why;
    return -ENOSPC;
}
static void try_for_room(void *ctx) {
    struct bc *w = ctx;
    struct nitro_err err = {0};
    bc_must(nitro_log_write(w->store, w->now_ms, &err), &err, "write");
    bc_must(nitro_log_sync(w->store, &err), &err, "sync");
    int rc = nitro_log_fill(w->store, w->client.chunk->room_bytes, &err);
    assert_true(rc == NITRO_OK || rc == NITRO_ELOGFULL); /* the reply says it */
}

/* says: SETs until one is refused; whether its reply has these words. */
static bool says(struct bc *w, const char *words) {
    static char line[20020];
    int head = snprintf(line, sizeof line, "SET k ");
    memset(line + head, 'v', 20000);
    memcpy(line + head + 20000, "\r\n", 3);
    for (unsigned i = 0; i < 100; i++) {
        w->client.out_len = 0;
        assert_int_equal(test_client_feed(&w->client, line, strlen(line)), NITRO_OK);
        if (w->client.out[0] == '+') continue;
        return memmem(w->client.out, w->client.out_len, words, strlen(words)) != NULL;
    }
    return false;
}

/* A write that the log has no room for is told what is missing, also when that changes; and when it is there, it goes on. */
static void set__no_room__says_what_is_missing(void **state) {
    (void)state;
    struct bc w;
    bc_open(&w, 4);
    w.client.yield = try_for_room;
    w.vfs.open = open_nothing;
    assert_true(says(&w, "-MISCONF Errors writing to the AOF file: too many open files, the "
                         "command was not applied; raise LimitNOFILE"));
    w.vfs.open = w.sys->open;
    w.vfs.alloc = alloc_nothing;
    try_for_room(&w);
    assert_true(says(&w, "-MISCONF Errors writing to the AOF file: no room on the disk, the "
                         "command was not applied\r\n"));
    w.vfs.alloc = w.sys->alloc;
    try_for_room(&w);
    assert_false(says(&w, "MISCONF"));
    bc_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set__no_room__says_what_is_missing),
        cmocka_unit_test(strlens__large_values_in_a_block__bounded),
        cmocka_unit_test(get__no_room_for_it__refused),
        cmocka_unit_test(expire__of_a_large_value_after_many_tries__is_logged_whole),
        cmocka_unit_test(get__written__one_read),
        cmocka_unit_test(get__not_written__no_read),
        cmocka_unit_test(get__sizes__written_and_not),
        cmocka_unit_test(get__batch_in_a_block__found_before_and_after_the_write),
        cmocka_unit_test(gets__pipelined__read_in_file_order),
        cmocka_unit_test(mget__large_values__bounded),
        cmocka_unit_test(value__changed_while_read__answer_is_of_after),
        cmocka_unit_test(append__key_changes_all_the_time__gets_through),
        cmocka_unit_test(get__file_merged_away__reads_on),
        cmocka_unit_test(append__file_merged_away__value_is_kept),
        cmocka_unit_test(merge__upto_a_file__later_ones_are_left_alone),
        cmocka_unit_test(get__record_damaged__an_error_for_that_key_alone),
        cmocka_unit_test(get__read_fails__an_error_for_that_key),
        cmocka_unit_test(get__not_durable__is_gated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
