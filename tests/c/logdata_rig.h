/* SPDX-License-Identifier: MIT
 *
 * logdata_rig.h - a log that is the data, without a store on top of it: lives, steps, and what there has to be then.
 *
 * What it holds is known: the record with LSN n has a key and a value that follow from n, and of each LSN that was given out
 * its fate is noted. The folder lies on the real file system; syncs are counted and do nothing, so a closed log is a
 * killed process. A stop at every file call is made by calls that fail from there on.
 */
#ifndef LOGDATA_RIG_H
#define LOGDATA_RIG_H

#include "check_rig.h"

#include <inttypes.h>

#include "recover.h"

#define LSNS 4000u
#define PIECES 64u
#define NOW TEST_NOW

enum fate {
    NEVER,   /* is gone: a later life has begun without it */
    MAYBE,   /* written, not durable when it was lost; or dropped by a merge that may count */
    PRESENT, /* durable */
    DROPPED  /* by a merge */
};

struct world {
    struct test_mem mem;
    struct rig rig;
    char dir[64];
    uint8_t seed[NITRO_SEED_BYTES];
    struct nk_log *l;
    uint64_t last;      /* LSN of the newest record */
    uint8_t fate[LSNS]; /* of each LSN, 1 .. LSNS; those after a jump count on from the last one */
    uint64_t lsn[LSNS];
    bool there[LSNS]; /* it was read the last time */
    unsigned records;
    char said[480];       /* why the last open has failed */
    struct nitro_err err; /* why the last step has */
    struct image image;   /* the folder to be damaged, or to go back to, with: */
    struct world *kept;
};

/* ---- records -----------------------------------------------------------------------------------*/

static inline size_t key_of(uint64_t lsn, char out[32]) {
    return (size_t)snprintf(out, 32, "key-%" PRIu64, lsn);
}

static inline size_t value_of(uint64_t lsn, char out[1024]) {
    size_t n = (size_t)(lsn * 37 % 900) + 1;
    for (size_t i = 0; i < n; i++) out[i] = (char)(lsn + i);
    return n;
}

static inline struct nk_record record_of(uint64_t lsn, char key[32], char value[1024]) {
    struct nk_record r = {.lsn = lsn, .kind = NK_REC_PUT};
    r.key_bytes = (uint32_t)key_of(lsn, key);
    r.value_bytes = (uint32_t)value_of(lsn, value);
    r.key = (const uint8_t *)key;
    r.value = (const uint8_t *)value;
    return r;
}

static inline unsigned index_of(const struct world *w, uint64_t lsn) {
    for (unsigned i = w->records; i-- > 0;)
        if (w->lsn[i] == lsn) return i;
    fail_msg("LSN %" PRIu64 " was never given out", lsn);
    return 0;
}

/* ---- lives -------------------------------------------------------------------------------------*/

static inline void release(void *ctx, void *object) {
    (void)ctx, (void)object;
    fail_msg("nothing is spliced here");
}

static inline struct nk_log_options options_of(struct world *w, uint32_t mode) {
    return (struct nk_log_options){.mem = &w->mem.table,
                                   .vfs = &w->rig.vfs,
                                   .dir = w->dir,
                                   .file_bytes = NK_LOG_FILE_MIN,
                                   .seed = w->seed,
                                   .release = release,
                                   .retain = release,
                                   .mode = mode};
}

static inline int open_as(struct world *w, const struct nk_log_options *o) {
    struct nitro_err err = {0};
    int rc = nk_log_open(o, &w->l, &err);
    if (rc == NITRO_OK) rc = nk_recover_scan(w->l, &err);
    if (rc != NITRO_OK) {
        nk_log_close(&w->l);
        snprintf(w->said, sizeof w->said, "%s", err.msg);
    }
    return rc;
}

/* Reads the records of a piece, in order, and says where they end. */
struct seen {
    struct world *w;
    uint64_t newest;
    unsigned count;
};

static inline void take(struct seen *s, const struct nk_record *r) {
    char key[32], value[1024];
    struct world *w = s->w;
    struct nk_record want = record_of(r->lsn, key, value);
    if (r->lsn <= s->newest) fail_msg("LSN %" PRIu64 " follows %" PRIu64, r->lsn, s->newest);
    if (r->key_bytes != want.key_bytes || memcmp(r->key, key, r->key_bytes) != 0 ||
        r->value_bytes != want.value_bytes || memcmp(r->value, value, r->value_bytes) != 0)
        fail_msg("the record with LSN %" PRIu64 " is not what it was", r->lsn);
    unsigned i = index_of(w, r->lsn);
    if (w->fate[i] == NEVER || w->fate[i] == DROPPED) fail_msg("LSN %" PRIu64 " came back", r->lsn);
    w->there[i] = true;
    s->newest = r->lsn;
    s->count++;
}

static inline uint64_t read_log(struct world *w, const struct nk_piece *p, struct seen *seen) {
    struct nk_logscan s;
    struct nk_placed rec;
    uint64_t end = NK_SECTOR;
    int rc;
    nk_logscan_init(&s, &w->rig.vfs, &w->mem.table, nk_file_at(w->l->files, p->slot)->fd, p->size,
                    p->salt, p->first_lsn);
    while (seen->newest < p->last_lsn && (rc = nk_logscan_frame(&s)) == NITRO_OK)
        while (seen->newest < p->last_lsn && (rc = nk_logscan_record(&s, true, &rec)) == NITRO_OK) {
            take(seen, &rec.r);
            end = rec.offset + rec.bytes;
        }
    nk_logscan_fini(&s);
    return end;
}

static inline uint64_t read_data(struct world *w, const struct nk_piece *p, struct seen *seen) {
    struct nk_datascan s;
    struct nk_placed rec;
    int rc;
    const struct nk_data_header *h = &nk_folder_find_data(w->l, p->number)->head;
    nk_datascan_init(&s, &w->rig.vfs, &w->mem.table, nk_file_at(w->l->files, p->slot)->fd, h);
    while ((rc = nk_datascan_record(&s, true, &rec)) == NITRO_OK) take(seen, &rec.r);
    if (rc != NITRO_ENOTFOUND) fail_msg("merged file %" PRIu64 ": code %d", p->number, rc);
    nk_datascan_fini(&s);
    return h->end;
}

/* Reads all pieces: they follow one another, and hold what they have to up to their last LSN. As who loads them does, it
 * says of each where it ends. Returns how many there are. */
static inline uint32_t check_pieces(struct world *w) {
    struct nk_piece p[PIECES];
    uint32_t n = w->l->files != NULL ? nk_log_pieces(w->l, p, PIECES) : 0;
    struct seen seen = {.w = w};
    uint64_t before = 0;
    unsigned must = 0, maybe = 0;
    assert_true(n <= PIECES);
    memset(w->there, 0, sizeof w->there);
    for (uint32_t i = 0; i < n; i++) {
        if (p[i].prev_last_lsn != before || p[i].first_lsn <= before)
            fail_msg("piece %" PRIu64 " begins at %" PRIu64 " after %" PRIu64 ", not %" PRIu64,
                     p[i].number, p[i].first_lsn, p[i].prev_last_lsn, before);
        struct nk_file *s = nk_file_at(w->l->files, p[i].slot);
        assert_true(s->number == p[i].number && s->kind == p[i].kind && s->salt == p[i].salt);
        assert_true(s->sealed && s->durable == UINT64_MAX && s->written == UINT64_MAX);
        assert_true(s->first_lsn == p[i].first_lsn && s->last_lsn == p[i].last_lsn);
        uint64_t end =
            p[i].kind == NK_FILE_LOG ? read_log(w, &p[i], &seen) : read_data(w, &p[i], &seen);
        if (p[i].kind == NK_FILE_LOG && seen.newest != p[i].last_lsn)
            fail_msg("log %" PRIu64 " ends at LSN %" PRIu64 ", not %" PRIu64, p[i].number,
                     seen.newest, p[i].last_lsn);
        if (s->end == 0) s->end = end;
        assert_int_equal(s->end, end);
        before = p[i].last_lsn;
    }
    for (unsigned i = 0; i < w->records && w->lsn[i] <= before; i++) {
        must += w->fate[i] == PRESENT;
        maybe += w->fate[i] == MAYBE;
    }
    if (seen.count < must || seen.count > must + maybe)
        fail_msg("%u records instead of %u, or up to %u more", seen.count, must, maybe);
    return n;
}

/* Every file of the folder is one that is listed, the hint of one, or one of the four that are always there. */
static inline void check_folder(struct world *w) {
    struct image m;
    unsigned numbered = 0;
    image_load(&m, w->dir);
    for (unsigned i = 0; i < m.count; i++) {
        uint64_t number = 0;
        enum nk_path_kind kind = nk_path_parse(m.file[i].name, &number);
        bool log = nk_folder_find(w->l, number) != NULL, data = nk_folder_find_data(w->l, number);
        bool known = kind == NK_PATH_IS_MANIFEST || kind == NK_PATH_IS_CONTROL ||
                     (kind == NK_PATH_IS_LOG && log) || (kind == NK_PATH_IS_DATA && data) ||
                     (kind == NK_PATH_IS_HINT && (log || data));
        if (!known) fail_msg("%s is left", m.file[i].name);
        numbered += kind == NK_PATH_IS_LOG || kind == NK_PATH_IS_DATA;
    }
    assert_int_equal(numbered, w->l->live_count + w->l->data_count);
    image_free(&m);
}

/* What was not there when a life began is gone for good, and what was, is durable since. */
static inline void settle(struct world *w) {
    for (unsigned i = 0; i < w->records; i++) {
        if (w->fate[i] == PRESENT && !w->there[i])
            fail_msg("LSN %" PRIu64 " was durable, and is not there", w->lsn[i]);
        if (w->fate[i] == MAYBE) w->fate[i] = w->there[i] ? PRESENT : NEVER;
    }
}

static inline void finish(struct world *w) {
    struct nitro_err err = {0};
    struct nk_piece p[PIECES];
    uint64_t last = w->l->last_lsn;
    uint32_t n = check_pieces(w);
    if (w->l->files != NULL)
        assert_int_equal(last,
                         n > 0 && nk_log_pieces(w->l, p, PIECES) == n ? p[n - 1].last_lsn : 0);
    int rc = nk_recover_finish(w->l, NOW, &err);
    if (rc == NITRO_OK) rc = nk_recover_clean(w->l, &err);
    if (rc != NITRO_OK) fail_msg("finish: code %d: %s", rc, err.msg);
    (void)check_pieces(w);
    if (w->l->files != NULL) settle(w);
    check_folder(w);
    w->last = last;
}

static inline void start(struct world *w) {
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    int rc = open_as(w, &o);
    if (rc != NITRO_OK) fail_msg("start: code %d: %s", rc, w->said);
    finish(w);
}

static inline void restart(struct world *w) {
    nk_log_close(&w->l);
    assert_int_equal(w->rig.handles, 0);
    start(w);
}

/* ---- what is done ------------------------------------------------------------------------------*/

/* Steps of a script: the first that fails ends it. */
static inline int write_out(struct world *w) { return nk_log_write(w->l, NOW, &w->err); }

static inline int sync_all(struct world *w) {
    int rc = write_out(w);
    if (rc == NITRO_OK) rc = nk_log_sync(w->l, &w->err);
    for (unsigned i = 0; i < w->records && rc == NITRO_OK; i++)
        if (w->fate[i] == MAYBE && w->lsn[i] <= nk_log_durable(w->l)) w->fate[i] = PRESENT;
    return rc;
}

static inline int append(struct world *w) {
    char key[32], value[1024];
    struct nk_record r = record_of(w->l->next_lsn, key, value);
    uint64_t bytes = nk_record_max(r.key_bytes, r.value_bytes);
    int rc;
    while ((rc = nk_log_begin(w->l, bytes, bytes, 0, false)) == NK_ROOM) {
        rc = write_out(w);
        if (rc == NITRO_OK) rc = nk_log_fill(w->l, bytes, &w->err);
        if (rc != NITRO_OK) return rc;
    }
    if (rc != NITRO_OK) return rc;
    nk_log_append(w->l, &r, nk_record_body_crc(&r), NULL);
    nk_log_end(w->l);
    assert_true(w->records < LSNS);
    w->fate[w->records] = MAYBE;
    w->lsn[w->records++] = w->last = r.lsn;
    assert_int_equal(nk_loc_slot(r.loc), w->l->cur->slot);
    return NITRO_OK;
}

static inline int append_some(struct world *w, unsigned count) {
    int rc = NITRO_OK;
    for (unsigned i = 0; i < count && rc == NITRO_OK; i++) {
        rc = append(w);
        if (rc == NITRO_OK && i % 16 == 15) rc = sync_all(w);
    }
    return rc == NITRO_OK ? sync_all(w) : rc;
}

/* What is durable is known to be so on the disk, too: so a start has no tail to write anew. */
static inline int note(struct world *w) { return nk_log_note(w->l, &w->err); }

/* Seals what can be. */
static inline int seal_all(struct world *w, unsigned *count) {
    uint32_t slot = 0;
    int rc;
    *count = 0;
    while ((rc = nk_log_seal(w->l, &slot, &w->err)) == NITRO_OK && slot != 0) {
        const struct nk_file *s = nk_file_at(w->l->files, slot);
        assert_int_equal(nk_folder_find(w->l, s->number)->size, s->end);
        ++*count;
    }
    return rc;
}

static inline int roll_and_seal(struct world *w, unsigned *count) {
    int rc = nk_log_roll(w->l, NULL, &w->err);
    if (rc == NITRO_OK) rc = sync_all(w);
    return rc == NITRO_OK ? seal_all(w, count) : rc;
}

static inline int make_hint(struct world *w, uint64_t number, const char *text) {
    int fd = -1;
    int rc = nk_log_hint_create(w->l, number, &fd, &w->err);
    if (rc != NITRO_OK) return rc;
    int sys = nk_vfs_write(&w->rig.vfs, fd, text, strlen(text), 0, "test: hint");
    (void)w->rig.vfs.close(w->rig.vfs.ctx, fd);
    rc = sys == 0 ? nk_log_hint_install(w->l, number, &w->err) : NITRO_EIO;
    if (rc != NITRO_OK) nk_log_hint_discard(w->l, number);
    return rc;
}

/* A merged file in the making. */
struct making {
    struct world *w;
    struct nk_data_header h;
    int fd, sys;
};

static inline void copy_record(struct making *m, uint64_t lsn) {
    char key[32], value[1024];
    uint8_t buf[NK_REC_HEAD_MAX + 32 + 1024];
    struct nk_record r = record_of(lsn, key, value);
    uint32_t n =
        nk_record_head(&r, nk_record_body_crc(&r), m->h.first_lsn, m->h.end, m->h.salt, buf);
    memcpy(buf + n, key, r.key_bytes);
    memcpy(buf + n + r.key_bytes, value, r.value_bytes);
    size_t bytes = n + r.key_bytes + r.value_bytes;
    if (m->sys == 0)
        m->sys = nk_vfs_write(&m->w->rig.vfs, m->fd, buf, bytes, m->h.end, "test: record");
    m->h.end += bytes;
    m->h.records++;
}

/* Writes a file that stands for p[0 .. n), without every `nth` record. Those are DROPPED when it counts. */
static inline int write_data(struct making *m, const struct nk_piece *p, uint32_t n, unsigned nth) {
    struct world *w = m->w;
    uint8_t sector[NK_SECTOR];
    memcpy(m->h.store, w->l->store, sizeof m->h.store);
    m->h.first_lsn = p[0].first_lsn;
    m->h.last_lsn = p[n - 1].last_lsn;
    m->h.prev_last_lsn = p[0].prev_last_lsn;
    m->h.end = NK_SECTOR;
    m->h.time_ms = NOW;
    m->h.cut_lsn = m->h.last_lsn;
    for (unsigned i = 0; i < w->records; i++) {
        if (w->lsn[i] < m->h.first_lsn || w->lsn[i] > m->h.last_lsn) continue;
        if (w->fate[i] == PRESENT && (nth == 0 || w->lsn[i] % nth != 0)) copy_record(m, w->lsn[i]);
    }
    nk_data_header_encode(&m->h, sector);
    if (m->sys == 0)
        m->sys = nk_vfs_write(&w->rig.vfs, m->fd, sector, sizeof sector, 0, "test: header");
    if (m->sys == 0) m->sys = nk_vfs_sync(&w->rig.vfs, m->fd, "test: sync");
    (void)w->rig.vfs.close(w->rig.vfs.ctx, m->fd);
    return m->sys == 0 ? NITRO_OK : NITRO_EIO;
}

static inline void set_dropped(struct world *w, const struct nk_data_header *h, unsigned nth,
                               enum fate fate) {
    for (unsigned i = 0; i < w->records && nth != 0; i++)
        if (w->lsn[i] >= h->first_lsn && w->lsn[i] <= h->last_lsn && w->lsn[i] % nth == 0 &&
            w->fate[i] != NEVER && w->fate[i] != DROPPED)
            w->fate[i] = (uint8_t)fate;
}

/* Merges pieces from .. from + n - 1; the inputs are still there afterwards. *h is the output's header. */
static inline int merge(struct world *w, uint32_t from, uint32_t n, unsigned nth,
                        struct nk_data_header *h, struct nk_piece *in) {
    struct making m = {.w = w};
    struct nk_piece p[PIECES];
    uint32_t slot = 0, count = nk_log_pieces(w->l, p, PIECES);
    assert_true(from + n <= count);
    memcpy(in, p + from, n * sizeof *in);
    int rc = nk_log_data_create(w->l, &m.h.number, &m.h.salt, &m.fd, &w->err);
    if (rc != NITRO_OK) return rc;
    rc = write_data(&m, in, n, nth);
    set_dropped(w, &m.h, nth, MAYBE); /* from when MANIFEST may list it */
    if (rc == NITRO_OK) rc = nk_log_data_install(w->l, &m.h, &slot, &w->err);
    if (rc != NITRO_OK) {
        nk_log_data_discard(w->l, m.h.number);
        return rc;
    }
    set_dropped(w, &m.h, nth, DROPPED);
    assert_int_equal(nk_log_pieces(w->l, p, PIECES), count - n + 1);
    assert_true(p[from].slot == slot && p[from].number == m.h.number);
    *h = m.h;
    return NITRO_OK;
}

static inline int remove_inputs(struct world *w, const struct nk_piece *in, uint32_t n) {
    int rc = NITRO_OK;
    for (uint32_t i = 0; i < n && rc == NITRO_OK; i++)
        rc = nk_log_piece_remove(w->l, in[i].slot, 0, &w->err);
    return rc;
}

/* Merges, with a hint, and removes the inputs. */
static inline int merge_all(struct world *w, uint32_t from, uint32_t n, unsigned nth) {
    struct nk_data_header h;
    struct nk_piece in[PIECES];
    int rc = merge(w, from, n, nth, &h, in);
    if (rc != NITRO_OK) return rc;
    rc = make_hint(w, h.number, "a hint");
    if (rc != NITRO_OK && nk_log_check(w->l, NULL) != NITRO_OK)
        return rc; /* else it is not needed */
    return remove_inputs(w, in, n);
}

static inline void must(struct world *w, int rc) {
    if (rc != NITRO_OK) fail_msg("code %d: %s", rc, w->err.msg);
}

/* A life with so many sealed files. */
static inline void fill_files(struct world *w, unsigned files) {
    unsigned count;
    for (unsigned i = 0; i < files; i++) {
        must(w, append_some(w, 20));
        must(w, roll_and_seal(w, &count));
        assert_int_equal(count, 1);
    }
}

static inline int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    test_mem_init(&w->mem);
    rig_init(&w->rig);
    strcpy(w->dir, "/tmp/nitro-test-logdata-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    for (unsigned i = 0; i < NITRO_SEED_BYTES; i++) w->seed[i] = (uint8_t)(i * 7 + 3);
    *state = w;
    return 0;
}

static inline int teardown(void **state) {
    struct world *w = *state;
    nk_log_close(&w->l);
    test_mem_check_empty(&w->mem);
    assert_int_equal(w->rig.handles, 0);
    image_free(&w->image);
    folder_empty(w->dir);
    assert_int_equal(rmdir(w->dir), 0);
    free(w->kept);
    free(w);
    return 0;
}

/* Forgets everything, for the next round of a sweep. */
static inline void reset(struct world *w) {
    nk_log_close(&w->l);
    folder_empty(w->dir);
    memset(w->fate, 0, sizeof w->fate);
    w->records = 0;
    w->last = 0;
}

/* The closed folder is what every round of a sweep begins with. */
static inline void keep(struct world *w) {
    nk_log_close(&w->l);
    image_load(&w->image, w->dir);
    w->kept = malloc(sizeof *w->kept);
    assert_non_null(w->kept);
    *w->kept = *w;
}
static inline void go_back(struct world *w) {
    nk_log_close(&w->l);
    image_store(&w->image, w->dir);
    memcpy(w->fate, w->kept->fate, sizeof w->fate);
    memcpy(w->lsn, w->kept->lsn, sizeof w->lsn);
    w->records = w->kept->records;
    w->last = w->kept->last;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
