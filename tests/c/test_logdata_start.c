/* SPDX-License-Identifier: MIT
 *
 * test_logdata_start.c - what a start makes of a folder whose log is its data: its mode, files that are not listed, files
 * that are missing, damaged, or of another store.
 */
#include "logdata_rig.h"

/* ---- modes -------------------------------------------------------------------------------------*/

/* A folder has the mode that it was made with; who asks for none gets it. */
static void mode__of_the_folder__is_kept(void **state) {
    struct world *w = *state;
    for (uint32_t made = 0; made <= NK_MODE_BITCASK; made++) {
        struct nk_log_options o = options_of(w, made), any = options_of(w, 0);
        o.file_bytes = any.file_bytes = 0;
        assert_int_equal(open_as(w, &o), NITRO_OK);
        finish(w);
        nk_log_close(&w->l);
        for (unsigned life = 0; life < 2; life++) {
            assert_int_equal(open_as(w, &any), NITRO_OK);
            assert_int_equal(w->l->mode, made == 0 ? NK_MODE_MEMORY : made);
            assert_int_equal(w->l->files != NULL, made == NK_MODE_BITCASK);
            assert_int_equal(w->l->file_bytes,
                             made == NK_MODE_BITCASK ? NK_DATA_FILE_DEFAULT : NK_LOG_FILE_DEFAULT);
            finish(w); /* which writes MANIFEST anew */
            nk_log_close(&w->l);
        }
        reset(w);
    }
}

/* Another mode than that of the folder is refused, with both names and what to do; nothing changes. */
static void mode__another_one__refused_with_what_to_do(void **state) {
    struct world *w = *state;
    static const char *names[] = {"", "memory", "bitcask"};
    for (uint32_t made = NK_MODE_MEMORY; made <= NK_MODE_BITCASK; made++) {
        char text[64];
        uint32_t other = NK_MODE_MEMORY + NK_MODE_BITCASK - made;
        struct nk_log_options o = options_of(w, made), wrong = options_of(w, other);
        assert_int_equal(open_as(w, &o), NITRO_OK);
        finish(w);
        reset(w);
        assert_int_equal(open_as(w, &o), NITRO_OK);
        finish(w);
        nk_log_close(&w->l);
        image_load(&w->image, w->dir);
        assert_int_equal(open_as(w, &wrong), NITRO_EFORMAT);
        snprintf(text, sizeof text, "for mode %s, not for mode %s", names[made], names[other]);
        if (strstr(w->said, text) == NULL) fail_msg("%s", w->said);
        snprintf(text, sizeof text, "nitrokv serve --mode %s", names[made]);
        if (strstr(w->said, text) == NULL) fail_msg("%s", w->said);
        struct image after;
        image_load(&after, w->dir);
        assert_true(image_same(&w->image, &after));
        image_free(&after);
        image_free(&w->image);
        reset(w);
    }
}

/* A folder of a mode that is to come is for a newer program, whatever is asked for. */
static void mode__not_served__refused(void **state) {
    struct world *w = *state;
    start(w);
    nk_log_close(&w->l);
    image_load(&w->image, w->dir);
    struct file *f = image_find(&w->image, NK_PATH_MANIFEST);
    struct nk_manifest_head h;
    assert_int_equal(nk_manifest_head_decode(f->p, &h), NITRO_OK);
    h.mode = NK_MODE_LSM;
    nk_manifest_head_encode(&h, f->p);
    image_store(&w->image, w->dir);
    for (uint32_t mode = 0; mode <= NK_MODE_BITCASK; mode++) {
        struct nk_log_options o = options_of(w, mode);
        assert_int_equal(open_as(w, &o), NITRO_EFORMAT);
        assert_true(strstr(w->said, "mode lsm") != NULL && strstr(w->said, "newer") != NULL);
    }
    for (uint32_t mode = NK_MODE_LSM; mode < 6; mode++) {
        struct nk_log_options o = options_of(w, mode);
        assert_int_equal(open_as(w, &o), NITRO_EARGUMENT);
    }
}

/* Locations have 32 bits for an offset: larger files are refused, also when only the folder says the mode. */
static void file_bytes__beyond_a_location__refused(void **state) {
    struct world *w = *state;
    static const struct {
        uint64_t bytes;
        int code;
    } cases[] = {{NK_DATA_FILE_MAX, NITRO_OK},
                 {NK_DATA_FILE_MAX + 1, NITRO_EARGUMENT},
                 {NK_LOG_FILE_MIN - 1, NITRO_EARGUMENT},
                 {NK_LOG_FILE_MIN, NITRO_OK}};
    start(w);
    nk_log_close(&w->l);
    for (uint32_t mode = 0; mode <= NK_MODE_BITCASK; mode += 2)
        for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct nk_log_options o = options_of(w, mode);
            o.file_bytes = cases[i].bytes;
            assert_int_equal(open_as(w, &o), cases[i].code);
            if (cases[i].code != NITRO_OK) assert_true(strstr(w->said, "4092 MiB") || mode == 0);
            nk_log_close(&w->l);
        }
}

/* ---- what is not listed, or not there ----------------------------------------------------------*/

static void put_file(struct world *w, const char *name) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("rest of something", f);
    fclose(f);
}

/* A merged file that is not listed, a hint of nothing, one that was not finished: all go; a hint of a listed file stays. */
static void start__unlisted__removed(void **state) {
    struct world *w = *state;
    start(w);
    fill_files(w, 2);
    must(w, make_hint(w, 1, "stays"));
    nk_log_close(&w->l);
    put_file(w, "0000000777.data");
    put_file(w, "0000000778.hint");
    put_file(w, "0000000001.hint.tmp");
    put_file(w, "0000000779.hint.tmp");
    start(w); /* which looks what is left */
    int fd;
    uint64_t size = 0;
    assert_int_equal(nk_log_hint_open(w->l, 1, &fd, &size), NITRO_OK);
    assert_int_equal(size, strlen("stays"));
    (void)w->rig.vfs.close(w->rig.vfs.ctx, fd);
    assert_int_equal(nk_log_hint_open(w->l, 2, &fd, &size), NITRO_ENOTFOUND);
    assert_true(w->l->next_number > 779);
}

/* Merged files may be all that is left of a store: without MANIFEST nothing is made new. */
static void start__merged_file_without_manifest__refused(void **state) {
    struct world *w = *state;
    put_file(w, "0000000002.data");
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    assert_int_equal(open_as(w, &o), NITRO_ECORRUPT);
    assert_true(strstr(w->said, "0000000002.data") != NULL);
}

/* A folder with three pieces, the one in the middle merged; not open. Its name. */
static void merged_folder(struct world *w, char name[NK_PATH_MAX]) {
    start(w);
    fill_files(w, 4);
    must(w, merge_all(w, 1, 2, 0));
    must(w, append_some(w, 2));
    nk_path_data(w->l->data[0].number, name);
    nk_log_close(&w->l);
    image_load(&w->image, w->dir);
}

/* A merged file that is listed has to be there, with the header that it was written with: any byte of it counts. */
static void start__listed_file_missing_or_changed__refused(void **state) {
    struct world *w = *state;
    char name[NK_PATH_MAX];
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    merged_folder(w, name);
    struct file *f = image_find(&w->image, name);
    for (size_t at = 0; at < NK_SECTOR; at++) {
        f->p[at] ^= 1;
        image_store(&w->image, w->dir);
        int rc = open_as(w, &o);
        if (rc != NITRO_ECORRUPT || strstr(w->said, name) == NULL)
            fail_msg("byte %zu: code %d: %s", at, rc, w->said);
        f->p[at] ^= 1;
    }
    size_t n = f->n;
    f->n = n - 1;
    image_store(&w->image, w->dir);
    assert_int_equal(open_as(w, &o), NITRO_ECORRUPT);
    f->n = n;
    image_drop(&w->image, name);
    image_store(&w->image, w->dir);
    assert_int_equal(open_as(w, &o), NITRO_ECORRUPT);
    assert_true(strstr(w->said, name) != NULL && strstr(w->said, "not there") != NULL);
}

/* A header that is right, of another file: its store, number, salt and interval have to be those that are listed. */
static void start__another_merged_file__refused(void **state) {
    struct world *w = *state;
    char name[NK_PATH_MAX];
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    merged_folder(w, name);
    struct file *f = image_find(&w->image, name);
    struct nk_data_header h;
    assert_int_equal(nk_data_header_decode(f->p, &h), NITRO_OK);
    struct nk_data_header forged[5] = {h, h, h, h, h};
    forged[0].store[3] ^= 1;
    forged[1].number++;
    forged[2].salt++;
    forged[3].first_lsn++;
    forged[4].last_lsn++;
    forged[4].cut_lsn++;
    for (unsigned i = 0; i < 5; i++) {
        nk_data_header_encode(&forged[i], f->p);
        image_store(&w->image, w->dir);
        assert_int_equal(open_as(w, &o), NITRO_ECORRUPT);
    }
    nk_data_header_encode(&h, f->p);
    image_store(&w->image, w->dir);
    start(w);
}

/* MANIFEST without one of its edits, as a careless hand would leave it. */
static void drop_edit(struct file *f, enum nk_manifest_kind kind, uint64_t number) {
    struct nk_manifest_head h;
    struct nk_manifest_edit e;
    size_t to = NK_MANIFEST_HEADER;
    assert_int_equal(nk_manifest_head_decode(f->p, &h), NITRO_OK);
    for (size_t at = to; at + NK_MANIFEST_EDIT <= f->n; at += NK_MANIFEST_EDIT) {
        if (!nk_manifest_edit_decode(f->p + at, at, h.salt, &e)) break;
        if (e.kind == kind && e.number == number) continue;
        e.sequence = to / NK_MANIFEST_EDIT;
        nk_manifest_edit_encode(&e, to, h.salt, f->p + to);
        to += NK_MANIFEST_EDIT;
    }
    f->n = to;
}

/* Whether who reads the pieces finds that one of them does not hold what it has to. */
static bool is_short(struct world *w) {
    struct nk_piece p[PIECES];
    uint32_t n = nk_log_pieces(w->l, p, PIECES);
    bool missing = false;
    for (uint32_t i = 0; i < n; i++) {
        struct seen seen = {.w = w};
        if (p[i].kind != NK_FILE_LOG) continue;
        (void)read_log(w, &p[i], &seen);
        missing |= seen.newest != p[i].last_lsn;
    }
    return missing;
}

/* A piece that nobody lists leaves a gap in the LSNs, wherever it was, and whatever was merged. It is damage at once; but a
 * log in front of a gap that a merged file follows is believed to reach as far as that says, until it is read. */
static void start__gap_between_pieces__noticed(void **state) {
    struct world *w = *state;
    struct nk_piece p[PIECES];
    start(w);
    fill_files(w, 6);
    must(w, merge_all(w, 1, 1, 0));
    must(w, merge_all(w, 2, 2, 0));
    must(w, merge_all(w, 3, 1, 0));
    must(w, append_some(w, 2));
    uint32_t n = nk_log_pieces(w->l, p, PIECES);
    assert_int_equal(n, 5);
    nk_log_close(&w->l);
    image_load(&w->image, w->dir);
    for (uint32_t i = 0; i < n; i++) {
        char name[NK_PATH_MAX];
        struct image m = image_copy(&w->image);
        struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
        drop_edit(image_find(&m, NK_PATH_MANIFEST), p[i].kind, p[i].number);
        nk_path_log(p[i].number, name);
        if (p[i].kind == NK_FILE_LOG) image_drop(&m, name); /* or it would be seen as unlisted */
        image_store(&m, w->dir);
        int rc = open_as(w, &o);
        if (rc != NITRO_ECORRUPT && (i != 1 || !is_short(w)))
            fail_msg("nobody notices that piece %u is missing", i);
        nk_log_close(&w->l);
        image_free(&m);
    }
}

/* A merged file in a folder of mode memory, or a snapshot in one of mode bitcask, is none of ours. */
static void manifest__kind_of_another_mode__refused(void **state) {
    struct world *w = *state;
    for (uint32_t mode = NK_MODE_MEMORY; mode <= NK_MODE_BITCASK; mode++) {
        struct nk_log_options o = options_of(w, mode);
        assert_int_equal(open_as(w, &o), NITRO_OK);
        finish(w);
        struct nk_manifest_edit e = {.op = NK_MANIFEST_ADD,
                                     .kind = mode == NK_MODE_MEMORY ? NK_FILE_DATA : NK_FILE_SNAP,
                                     .number = 900,
                                     .first_lsn = 1,
                                     .last_lsn = 5};
        assert_int_equal(nk_folder_edit(w->l, &e), NITRO_ECORRUPT);
        e.kind = mode == NK_MODE_MEMORY ? NK_FILE_SNAP : NK_FILE_DATA;
        assert_int_equal(nk_folder_edit(w->l, &e), NITRO_OK);
        assert_int_equal(nk_folder_edit(w->l, &e), NITRO_ECORRUPT); /* its number is taken */
        e.op = NK_MANIFEST_REMOVE;
        assert_int_equal(nk_folder_edit(w->l, &e), NITRO_OK);
        assert_int_equal(nk_folder_edit(w->l, &e), NITRO_ECORRUPT);
        reset(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(mode__of_the_folder__is_kept),
        TEST(mode__another_one__refused_with_what_to_do),
        TEST(mode__not_served__refused),
        TEST(file_bytes__beyond_a_location__refused),
        TEST(start__unlisted__removed),
        TEST(start__merged_file_without_manifest__refused),
        TEST(start__listed_file_missing_or_changed__refused),
        TEST(start__another_merged_file__refused),
        TEST(start__gap_between_pieces__noticed),
        TEST(manifest__kind_of_another_mode__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
