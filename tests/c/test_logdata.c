/* SPDX-License-Identifier: MIT
 *
 * test_logdata.c - a log that is the data: sealing, merged files in the place of others, tails; a stop or a fault at every
 * call.
 */
#include "logdata_rig.h"

/* ---- sealing -----------------------------------------------------------------------------------*/

/* A file that appends have left becomes a piece when it is durable: cut behind its last record, and not before. */
static void seal__left_and_durable__is_cut(void **state) {
    struct world *w = *state;
    uint32_t slot;
    unsigned count;
    start(w);
    must(w, append_some(w, 10));
    uint64_t number = w->l->cur->number, end = w->l->at;
    must(w, seal_all(w, &count));
    assert_int_equal(count, 0); /* it is appended to */
    must(w, append(w));
    end = w->l->at;
    must(w, nk_log_roll(w->l, NULL, &w->err));
    assert_true(w->l->cur->number != number);
    assert_int_equal(nk_log_seal(w->l, &slot, &w->err), NITRO_OK);
    assert_int_equal(slot, 0); /* the last record is not durable */
    must(w, sync_all(w));
    must(w, seal_all(w, &count));
    assert_int_equal(count, 1);
    assert_int_equal(nk_folder_find(w->l, number)->size, end);
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/%010" PRIu64 ".log", w->dir, number);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, end);
    assert_int_equal(check_pieces(w), 1);
    must(w, append_some(w, 5));
    restart(w);
    assert_int_equal(check_pieces(w), 2);
}

/* A file that holds nothing stays the one that is appended to. */
static void roll__nothing_in_the_file__stays(void **state) {
    struct world *w = *state;
    start(w);
    uint64_t number = w->l->cur->number;
    must(w, nk_log_roll(w->l, NULL, &w->err));
    assert_int_equal(w->l->cur->number, number);
    must(w, append_some(w, 1));
    must(w, nk_log_roll(w->l, NULL, &w->err));
    assert_true(w->l->cur->number > number);
    number = w->l->cur->number;
    must(w, nk_log_roll(w->l, NULL, &w->err));
    assert_int_equal(w->l->cur->number, number);
}

/* Nothing was appended since the roll: a clean stop is one, and a crash loses nothing. */
static void roll__nothing_since__stops_cleanly_and_crashes(void **state) {
    struct world *w = *state;
    unsigned count;
    for (unsigned clean = 0; clean < 2; clean++) {
        start(w);
        must(w, append_some(w, 30));
        must(w, roll_and_seal(w, &count));
        assert_int_equal(count, 1);
        if (clean) must(w, nk_log_stop(w->l, NOW, &w->err));
        nk_log_close(&w->l);
        struct nk_log_options o = options_of(w, 0);
        assert_int_equal(open_as(w, &o), NITRO_OK);
        assert_int_equal(w->l->found.clean, clean);
        assert_int_equal(w->l->last_lsn, w->last);
        finish(w);
        must(w, append_some(w, 3));
        restart(w);
        reset(w);
    }
}

/* Appends pass a file that has no room for what comes: it never held anything, and goes. */
static void seal__file_that_was_passed__is_removed(void **state) {
    struct world *w = *state;
    unsigned count;
    static char value[60000];
    struct nk_record r = {.kind = NK_REC_PUT, .key = (const uint8_t *)"k", .key_bytes = 1};
    start(w);
    must(w, append_some(w, 3));
    must(w, nk_log_roll(w->l, NULL, &w->err));
    uint64_t blank = w->l->cur->number, bytes = NK_RING_BYTES / 2;
    must(w, sync_all(w));
    must(w, nk_log_fill(w->l, bytes, &w->err));
    assert_int_equal(nk_log_begin(w->l, bytes, bytes, 0, false), NITRO_OK);
    assert_true(w->l->cur->number > blank);
    r.value = (const uint8_t *)value;
    r.value_bytes = sizeof value;
    nk_log_append(w->l, &r, nk_record_body_crc(&r), NULL);
    nk_log_end(w->l);
    must(w, sync_all(w));
    must(w, seal_all(w, &count));
    assert_int_equal(count, 1);
    assert_null(nk_folder_find(w->l, blank));
    check_folder(w);
}

/* Files that fill up are sealed one by one, in any number; lives follow one another. */
static void seal__files_that_fill_up__all_are_pieces(void **state) {
    struct world *w = *state;
    unsigned count, sealed = 0;
    start(w);
    for (unsigned life = 0; life < 3; life++) {
        must(w, append_some(w, 500));
        must(w, seal_all(w, &count));
        assert_true(count >= 3);
        assert_int_equal(check_pieces(w), sealed + count);
        restart(w);
        sealed = check_pieces(w);
    }
}

/* A crash may come before files are sealed: the next start knows where they end, and cuts them. */
static void seal__crash_before__start_cuts(void **state) {
    struct world *w = *state;
    start(w);
    must(w, append_some(w, 500));
    restart(w);
    uint64_t room = 0;
    for (uint32_t i = 0; i < w->l->live_count; i++) {
        const struct nk_live *f = &w->l->live[i];
        if (f->slot == w->l->cur->slot) continue;
        assert_int_equal(f->size, nk_file_at(w->l->files, f->slot)->end);
        room += f->size;
    }
    assert_true(room > 3 * NK_LOG_FILE_MIN);
}

/* ---- merged files ------------------------------------------------------------------------------*/

/* The output stands for its inputs as soon as it is listed; they go, and nothing else changes. */
static void merge__neighbours__replaced(void **state) {
    struct world *w = *state;
    struct nk_piece in[PIECES];
    struct nk_data_header h;
    start(w);
    fill_files(w, 5);
    must(w, append_some(w, 7));
    must(w, merge(w, 1, 3, 3, &h, in));
    assert_int_equal(check_pieces(w), 3);
    must(w, make_hint(w, h.number, "a hint"));
    must(w, remove_inputs(w, in, 3));
    check_folder(w);
    restart(w);
    assert_int_equal(check_pieces(w), 4);
    assert_int_equal(nk_file_at(w->l->files, nk_files_find(w->l->files, h.number))->end, h.end);
}

/* Outputs are merged again, with logs and with each other, over lives. */
static void merge__again_and_again__all_is_there(void **state) {
    struct world *w = *state;
    start(w);
    for (unsigned life = 0; life < 4; life++) {
        fill_files(w, 4);
        uint32_t n = check_pieces(w);
        must(w, merge_all(w, n - 2, 2, 5 + life));
        must(w, merge_all(w, 0, 2, 0));
        must(w, merge_all(w, 0, n - 2, 11 + life));
        assert_int_equal(check_pieces(w), 1);
        if (life % 2 == 0) must(w, append_some(w, 9));
        restart(w);
    }
    assert_int_equal(w->l->data_count, 1);
}

/* Everything was merged, and nothing appended since: the log ends in the merged file. */
static void merge__everything__log_goes_on_behind(void **state) {
    struct world *w = *state;
    start(w);
    fill_files(w, 3);
    must(w, merge_all(w, 0, 3, 4));
    uint64_t last = w->last, number = w->l->data[0].number;
    for (unsigned life = 0; life < 2; life++) {
        restart(w);
        assert_int_equal(w->l->last_lsn, last);
        assert_int_equal(w->l->found.durable_lsn, last);
        assert_int_equal(nk_folder_find(w->l, w->l->cur->number)->head.prev_number, number);
    }
    must(w, append_some(w, 4));
    restart(w);
    assert_int_equal(check_pieces(w), 2);
    must(w, nk_log_stop(w->l, NOW, &w->err));
    restart(w);
    assert_true(w->l->found.clean);
}

/* Nothing of the inputs was worth keeping: the output is empty, and stands for their LSNs. */
static void merge__nothing_kept__interval_stays(void **state) {
    struct world *w = *state;
    start(w);
    fill_files(w, 3);
    must(w, merge_all(w, 1, 1, 1));
    must(w, note(w));
    restart(w);
    assert_int_equal(check_pieces(w), 3);
    must(w, merge_all(w, 0, 3, 1));
    restart(w);
    assert_int_equal(check_pieces(w), 1);
    assert_int_equal(w->l->data[0].head.records, 0);
    must(w, append_some(w, 2));
    restart(w);
}

/* A crash before inputs are removed: they are not read, and go. */
static void merge__inputs_left__not_read_and_removed(void **state) {
    struct world *w = *state;
    struct nk_piece in[PIECES];
    struct nk_data_header h[3];
    for (uint32_t gone = 0; gone <= 3; gone++) {
        start(w);
        fill_files(w, 5);
        must(w, merge(w, 2, 1, 7, &h[0], in));
        must(w, make_hint(w, in[0].number, "of an input"));
        must(w, make_hint(w, h[0].number, "of a merged input"));
        must(w, merge(w, 1, 3, 2, &h[1], in));
        must(w, remove_inputs(w, in, gone));
        must(w, note(w));
        restart(w);
        assert_int_equal(w->l->data_count, 1);
        assert_int_equal(w->l->data[0].number, h[1].number);
        assert_int_equal(check_pieces(w), 3);
        reset(w);
    }
}

/* The syncer has a file in its list until it has synced a newer one, though that was sealed, merged and removed: it must
 * not take the slot's next owner for it. */
static void merge__file_that_the_syncer_knows__slot_is_its_next_owners(void **state) {
    struct world *w = *state;
    start(w);
    fill_files(w, 1);
    uint32_t slot = w->l->unsynced->slot, old = nk_files_find(w->l->files, 1);
    assert_true(slot == 0 && old != 0);
    must(w, merge_all(w, 0, 1, 0));
    must(w, append(w));
    must(w, nk_log_fill(w->l, NK_LOG_FILE_MIN * 4, &w->err));
    assert_non_null(w->l->prepared);
    assert_int_equal(w->l->prepared->slot, old);
    must(w, sync_all(w));
    assert_int_equal(nk_file_at(w->l->files, old)->durable, 0);
    assert_int_equal(nk_file_at(w->l->files, old)->first_lsn, 0);
}

/* MANIFEST does not grow with the files that came and went. */
static void merge__hundreds__manifest_stays_short(void **state) {
    struct world *w = *state;
    unsigned count;
    start(w);
    for (unsigned i = 0; i < 700; i++) {
        must(w, append_some(w, 1));
        must(w, roll_and_seal(w, &count));
        must(w, merge_all(w, 0, i == 0 ? 1 : 2, 1));
        assert_true(w->l->manifest_at < 80 * 1024);
    }
    restart(w);
    assert_int_equal(check_pieces(w), 1);
}

/* MANIFEST anew fails in one step of it: -errno of the calls with that `why`, which is "open" for making the file. */
static struct {
    const char *why;
    int rc;
    unsigned failed;
} anew;
static bool anew_fails(const char *why) {
    bool yes = anew.why != NULL && strcmp(anew.why, why) == 0;
    anew.failed += yes;
    return yes;
}
static int anew_open(void *ctx, int dir, const char *name, unsigned flags) {
    bool fails = strcmp(name, NK_PATH_MANIFEST_TMP) == 0 && anew_fails("open");
    return fails ? anew.rc : rig_open(ctx, dir, name, flags);
}
static int64_t anew_write(void *ctx, int file, const void *p, size_t n, uint64_t offset,
                          const char *why) {
    return anew_fails(why) ? anew.rc : rig_write(ctx, file, p, n, offset, why);
}
static int anew_truncate(void *ctx, int file, uint64_t bytes, const char *why) {
    return anew_fails(why) ? anew.rc : rig_truncate(ctx, file, bytes, why);
}
static int anew_sync(void *ctx, int handle, const char *why) {
    return anew_fails(why) ? anew.rc : rig_sync(ctx, handle, why);
}
static int anew_rename(void *ctx, int dir, const char *from, const char *to, const char *why) {
    return anew_fails(why) ? anew.rc : rig_rename(ctx, dir, from, to, why);
}

/* A file comes and goes: two edits each, and MANIFEST is written anew if it is long by now. */
static int come_and_go(struct world *w, unsigned i) {
    unsigned count;
    must(w, append_some(w, 1));
    must(w, roll_and_seal(w, &count));
    return merge_all(w, 0, i == 0 ? 1 : 2, 1);
}

/* The list has become long, and there is no room to write it anew: the old one is valid and goes on being written to.
 * When there is room again, it becomes short. */
static void shorten__no_room__old_list_is_kept_until_there_is(void **state) {
    struct world *w = *state;
    static const struct {
        const char *why;
        int rc;
    } steps[] = {{"open", -ENOSPC},          {"open", -EMFILE},
                 {"create: write", -ENOSPC}, {"create: truncate", -EFBIG},
                 {"create: sync", -EDQUOT},  {"create: rename", -ENOSPC}};
    struct image m;
    unsigned i = 0;
    memset(&anew, 0, sizeof anew);
    w->rig.vfs.open = anew_open;
    w->rig.vfs.write = anew_write;
    w->rig.vfs.truncate = anew_truncate;
    w->rig.vfs.sync = anew_sync;
    w->rig.vfs.rename = anew_rename;
    start(w);
    anew.why = steps[0].why;
    anew.rc = steps[0].rc;
    while (anew.failed == 0) must(w, come_and_go(w, i++));
    int handles = w->rig.handles;
    for (unsigned s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        anew.why = steps[s].why;
        anew.rc = steps[s].rc;
        anew.failed = 0;
        uint64_t at = w->l->manifest_at;
        must(w, come_and_go(w, i++));
        assert_true(anew.failed > 0 && w->l->manifest_at > at);
        assert_int_equal(nk_log_check(w->l, NULL), NITRO_OK);
        assert_int_equal(w->rig.handles, handles);
        image_load(&m, w->dir);
        for (unsigned f = 0; f < m.count; f++)
            assert_int_not_equal(strcmp(m.file[f].name, NK_PATH_MANIFEST_TMP), 0);
        image_free(&m);
    }
    anew.why = NULL;
    must(w, come_and_go(w, i++));
    assert_true(w->l->manifest_at < 4096);
    restart(w);
    assert_int_equal(check_pieces(w), 1);
}

/* A start has to write it anew, because what is there may not be on the disk: it says what it lacks. */
static void relist__no_room_at_a_start__is_told(void **state) {
    struct world *w = *state;
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    struct nitro_err err = {0};
    start(w);
    must(w, append_some(w, 3));
    nk_log_close(&w->l);
    memset(&anew, 0, sizeof anew);
    w->rig.vfs.write = anew_write;
    assert_int_equal(open_as(w, &o), NITRO_OK);
    anew.why = "create: write";
    anew.rc = -ENOSPC;
    assert_int_equal(nk_recover_finish(w->l, NOW, &err), NITRO_ELOGFULL);
    assert_true(strstr(err.msg, "MANIFEST") != NULL && err.sys == ENOSPC);
    anew.why = NULL;
    restart(w);
}

/* From the rename on nobody knows which list a power cut would leave: that is a failure of the log, for whatever reason. */
static void shorten__fails_after_the_rename__log_has_failed(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    unsigned i = 0;
    memset(&anew, 0, sizeof anew);
    w->rig.vfs.dir_sync = anew_sync;
    start(w);
    while (w->l->manifest_seq < 1010) must(w, come_and_go(w, i++));
    anew.why = "create: sync folder";
    anew.rc = -ENOSPC;
    int rc = NITRO_OK;
    while (rc == NITRO_OK && anew.failed == 0) rc = come_and_go(w, i++);
    assert_int_equal(rc, NITRO_EIO);
    assert_int_equal(nk_log_check(w->l, &err), NITRO_EIO);
    anew.why = NULL;
    restart(w);
}

/* ---- tails -------------------------------------------------------------------------------------*/

/* The pieces p[0 .. n) that the tail lies in now: none is larger than a log file may be, each is used, says which one
 * came before, and knows that nothing of it was durable. */
static void check_tail(struct world *w, const struct nk_piece *p, uint32_t n, uint64_t before,
                       uint64_t durable) {
    struct nitro_err err = {0};
    assert_int_equal(p[0].number, w->l->tail_number);
    for (uint32_t i = 0; i < n; i++) {
        struct nk_log_header h;
        uint64_t size = 0;
        assert_int_equal(p[i].kind, NK_FILE_LOG);
        assert_true(p[i].size <= NK_LOG_FILE_MIN);
        assert_int_equal(p[i].size, nk_file_at(w->l->files, p[i].slot)->end);
        assert_int_equal(nk_folder_header(w->l, p[i].number, &h, &size, &err), NITRO_OK);
        assert_true(h.used && h.first_lsn == p[i].first_lsn && size == p[i].size);
        assert_int_equal(h.prev_number, i > 0 ? p[i - 1].number : before);
        assert_int_equal(h.prev_last_lsn, i > 0 ? p[i - 1].last_lsn : durable);
        assert_int_equal(h.durable_lsn, durable);
    }
    assert_int_equal(nk_folder_find(w->l, w->l->cur->number)->head.prev_number, p[n - 1].number);
}

/* Records that were written and not synced: they are served, from new files, and the old one ends at W. */
static void tail__written_not_synced__lies_in_new_files(void **state) {
    struct world *w = *state;
    for (unsigned before = 0; before < 2; before++) {
        start(w);
        if (before) must(w, append_some(w, 20));
        uint64_t durable = nk_log_durable(w->l), old = w->l->cur->number;
        for (unsigned i = 0; i < 400; i++) must(w, append(w));
        must(w, write_out(w));
        uint64_t last = w->last;
        nk_log_close(&w->l);
        struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
        assert_int_equal(open_as(w, &o), NITRO_OK);
        assert_int_equal(w->l->last_lsn, last);
        assert_int_equal(w->l->found.tail_records, 400);
        (void)check_pieces(w);
        uint32_t slot = nk_files_find(w->l->files, old);
        assert_true(slot != 0);
        finish(w);
        assert_true(w->l->tail_number > old);
        assert_int_equal(nk_files_find(w->l->files, old), before ? slot : 0);
        if (before) assert_int_equal(nk_file_at(w->l->files, slot)->last_lsn, durable);
        struct nk_piece p[PIECES];
        uint32_t n = nk_log_pieces(w->l, p, PIECES);
        assert_true(n >= before + 3 && n <= before + 6); /* 180 KiB, in files of 64 KiB */
        check_tail(w, p + before, n - before, before ? old : 0, durable);
        must(w, merge_all(w, 0, n - 1, 6));
        must(w, merge_all(w, 0, 2, 5));
        restart(w);
        reset(w);
    }
}

/* A frame is not divided, so one that is larger than a file may be (by now) has a file of its own. */
static void tail__frame_larger_than_a_file__has_one_of_its_own(void **state) {
    struct world *w = *state;
    struct nk_piece p[PIECES];
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    o.file_bytes = 4 * NK_LOG_FILE_MIN;
    assert_int_equal(open_as(w, &o), NITRO_OK);
    finish(w);
    must(w, nk_log_fill(w->l, 3 * NK_LOG_FILE_MIN, &w->err));
    for (unsigned i = 0; i < 300; i++) {
        must(w, append(w));
        if (i == 10 || i == 280) must(w, write_out(w));
    }
    must(w, write_out(w));
    restart(w); /* with files of NK_LOG_FILE_MIN */
    assert_int_equal(nk_log_pieces(w->l, p, PIECES), 3);
    assert_true(p[1].size > NK_LOG_FILE_MIN);
    assert_true(p[0].size < NK_LOG_FILE_MIN && p[2].size < NK_LOG_FILE_MIN);
    restart(w);
    assert_int_equal(check_pieces(w), 3);
}

/* ---- limits ------------------------------------------------------------------------------------*/

/* Only slots are left that merges and a start may use: there is no next file, and the text says what helps; when more are free, it goes on. */
static void slots__none_left__log_is_full(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    start(w);
    must(w, append_some(w, 3));
    uint32_t count = w->l->files->count;
    w->l->files->count = NK_LOC_SLOTS - NK_FILES_RESERVE;
    assert_int_equal(nk_log_fill(w->l, NK_LOG_FILE_MIN, &err), NITRO_ELOGFULL);
    assert_true(w->l->view.status == NITRO_LOG_FULL && w->l->view.full == NITRO_LACK_FILES);
    assert_int_equal(nk_log_roll(w->l, NULL, &err), NITRO_ELOGFULL);
    assert_true(strstr(err.msg, "merge") != NULL && strstr(err.msg, "--max-file-size") != NULL);
    uint64_t number, salt;
    int fd;
    must(w, nk_log_data_create(w->l, &number, &salt, &fd, &err)); /* what a merge begins with */
    assert_int_equal(w->rig.vfs.close(w->rig.vfs.ctx, fd), 0);
    w->l->files->count = count;
    must(w, nk_log_roll(w->l, NULL, &err));
    must(w, append_some(w, 3));
    restart(w);
}

/* The system gives no more handles: likewise, and the log has not failed. */
static int open_nothing(void *ctx, int dir, const char *name, unsigned flags) {
    (void)ctx, (void)dir, (void)name, (void)flags;
    return -EMFILE;
}
static void handles__none_left__log_is_full(void **state) {
    struct world *w = *state;
    struct nitro_err err = {0};
    uint64_t number, salt;
    int fd;
    start(w);
    must(w, append_some(w, 3));
    w->rig.vfs.open = open_nothing;
    assert_int_equal(nk_log_roll(w->l, NULL, &err), NITRO_ELOGFULL);
    assert_true(strstr(err.msg, "open files") != NULL && strstr(err.msg, "LimitNOFILE") != NULL);
    assert_null(strstr(err.msg, "no room"));
    assert_int_equal(nk_log_fill(w->l, NK_LOG_FILE_MIN, &err), NITRO_ELOGFULL);
    assert_true(w->l->view.status == NITRO_LOG_FULL && w->l->view.full == NITRO_LACK_HANDLES);
    assert_int_equal(nk_log_data_create(w->l, &number, &salt, &fd, &err), NITRO_ELOGFULL);
    w->rig.vfs.open = rig_open;
    must(w, nk_log_roll(w->l, NULL, &err));
    must(w, append_some(w, 3));
    restart(w);
}

/* In mode memory a log that gets no handle has not failed either: it goes on when there is one. */
static void handles__none_left_in_mode_memory__log_is_full(void **state) {
    struct world *w = *state;
    struct nk_log_options o = options_of(w, NK_MODE_MEMORY);
    struct nitro_err err = {0};
    assert_int_equal(open_as(w, &o), NITRO_OK);
    assert_int_equal(nk_recover_finish(w->l, NOW, &err), NITRO_OK);
    w->rig.vfs.open = open_nothing;
    assert_int_equal(nk_log_fill(w->l, NK_LOG_FILE_MIN, &err), NITRO_ELOGFULL);
    assert_true(strstr(err.msg, "LimitNOFILE") != NULL && w->l->view.full == NITRO_LACK_HANDLES);
    w->rig.vfs.open = rig_open;
    must(w, nk_log_fill(w->l, NK_LOG_FILE_MIN, &err));
    assert_int_equal(w->l->view.status, NITRO_LOG_OK);
}

/* ---- faults ------------------------------------------------------------------------------------*/

/* A life in which everything happens once; ends at the first step that fails. */
static int script(struct world *w) {
    unsigned count;
    int rc = append_some(w, 6);
    for (unsigned i = 0; i < 2 && rc == NITRO_OK; i++) {
        rc = roll_and_seal(w, &count);
        if (rc == NITRO_OK) rc = append_some(w, 6);
    }
    if (rc == NITRO_OK) rc = merge_all(w, 0, 1, 5);
    if (rc == NITRO_OK) rc = merge_all(w, 0, 2, 7);
    if (rc == NITRO_OK) rc = append(w);
    return rc == NITRO_OK ? write_out(w) : rc;
}

/* A folder that has been through it already, and has a tail. */
static void old_folder(struct world *w) {
    start(w);
    must(w, script(w));
    keep(w);
}

/* A start that may fail at any call, and then the script. */
static int live(struct world *w) {
    struct nk_log_options o = options_of(w, NK_MODE_BITCASK);
    int rc = open_as(w, &o);
    if (rc == NITRO_OK) rc = nk_recover_finish(w->l, NOW, &w->err);
    if (rc == NITRO_OK) rc = nk_recover_clean(w->l, &w->err);
    return rc == NITRO_OK ? script(w) : rc;
}

/* Whether the log has got through its start, and has not failed. */
static bool goes_on(const struct world *w) {
    return w->l != NULL && w->l->cur != NULL && nk_log_check(w->l, NULL) == NITRO_OK;
}

/* Every call that changes something fails, once or from then on (which is a process that is killed there), in a start, and in
 * all that can be done: what is durable is there after the next start, what was dropped stays so, and nothing is left that
 * is not listed. */
static void life__every_change_fails__nothing_is_lost(void **state) {
    struct world *w = *state;
    unsigned failed = 0, went_on = 0;
    old_folder(w);
    for (unsigned once = 0; once < 2; once++) {
        for (uint64_t n = 1;; n++) {
            go_back(w);
            w->rig.once = once != 0;
            w->rig.changes = 0;
            w->rig.fail_change = n;
            int rc = live(w);
            bool reached = w->rig.changes >= n;
            w->rig.fail_change = 0;
            if (rc != NITRO_OK && goes_on(w)) {
                must(w, append_some(w, 4)); /* what failed was not the log */
                went_on++;
            }
            restart(w);
            must(w, append_some(w, 2));
            if (!reached) {
                assert_int_equal(rc, NITRO_OK);
                break;
            }
            failed++;
        }
    }
    assert_true(failed > 100 && went_on > 5);
}

/* Every call that reads fails once: the same. */
static void life__every_read_fails__nothing_is_lost(void **state) {
    struct world *w = *state;
    unsigned refused = 0;
    old_folder(w);
    for (uint64_t n = 1;; n++) {
        go_back(w);
        w->rig.once = true;
        w->rig.reads = 0;
        w->rig.fail_read = n;
        int rc = live(w);
        bool reached = w->rig.reads >= n;
        w->rig.fail_read = 0;
        refused += w->l == NULL;
        restart(w);
        if (!reached) {
            assert_int_equal(rc, NITRO_OK);
            break;
        }
    }
    assert_true(refused > 20);
}

/* Every allocation fails once: out of memory, and the next try gets through. */
static void life__every_allocation_fails__out_of_memory(void **state) {
    struct world *w = *state;
    unsigned failed = 0;
    old_folder(w);
    for (uint64_t n = 1;; n++) {
        go_back(w);
        test_mem_fail(&w->mem, n, n);
        int rc = live(w);
        bool reached = w->mem.failed > 0;
        test_mem_fail(&w->mem, 0, 0);
        if (rc != NITRO_OK) assert_int_equal(rc, NITRO_ENOMEM);
        restart(w);
        if (!reached) {
            assert_int_equal(rc, NITRO_OK);
            break;
        }
        failed++;
    }
    assert_true(failed > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(seal__left_and_durable__is_cut),
        TEST(roll__nothing_in_the_file__stays),
        TEST(roll__nothing_since__stops_cleanly_and_crashes),
        TEST(seal__file_that_was_passed__is_removed),
        TEST(seal__files_that_fill_up__all_are_pieces),
        TEST(seal__crash_before__start_cuts),
        TEST(merge__neighbours__replaced),
        TEST(merge__again_and_again__all_is_there),
        TEST(merge__everything__log_goes_on_behind),
        TEST(merge__nothing_kept__interval_stays),
        TEST(merge__inputs_left__not_read_and_removed),
        TEST(merge__file_that_the_syncer_knows__slot_is_its_next_owners),
        TEST(merge__hundreds__manifest_stays_short),
        TEST(shorten__no_room__old_list_is_kept_until_there_is),
        TEST(relist__no_room_at_a_start__is_told),
        TEST(shorten__fails_after_the_rename__log_has_failed),
        TEST(tail__written_not_synced__lies_in_new_files),
        TEST(tail__frame_larger_than_a_file__has_one_of_its_own),
        TEST(slots__none_left__log_is_full),
        TEST(handles__none_left__log_is_full),
        TEST(handles__none_left_in_mode_memory__log_is_full),
        TEST(life__every_change_fails__nothing_is_lost),
        TEST(life__every_read_fails__nothing_is_lost),
        TEST(life__every_allocation_fails__out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
