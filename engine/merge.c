/* SPDX-License-Identifier: MIT
 *
 * merge.c - nitro_merge_step: what is done next, and what becomes of it when it fails (L5).
 *
 * The states and their order stand in merge.h. Here are the table of what each needs, the state in which nothing is
 * under way, and the way back to it.
 */
#include "merge.h"

#define SEALS 16u /* files that one step seals */

/* ---- errors ----------------------------------------------------------------------------------------*/

static void name_of(const struct nk_piece *p, char out[NK_PATH_MAX]) {
    if (p->kind == NK_FILE_DATA)
        nk_path_data(p->number, out);
    else
        nk_path_log(p->number, out);
}

int nk_merge_unreadable(struct nk_merge *m, const struct nk_merge_in *in, int rc,
                        struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_files *files = m->l->files;
    name_of(in->piece, name);
    if (rc == NITRO_ENOMEM)
        return nk_err_set(err, rc, 0, "merge: read %s/%s: out of memory; it is tried again",
                          m->l->dir, name);
    /* the new file is asked for again; of the others there is only the choice to leave them alone */
    if (rc == NITRO_ECORRUPT || m->state != NK_MERGE_READ) {
        __atomic_store_n(&nk_file_at(files, in->piece->slot)->damaged, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&files->damaged, 1, __ATOMIC_RELAXED);
    }
    const char *why = rc == NITRO_EIO ? strerror(in->sys) : "no valid record of this file";
    return nk_err_set(
        err, rc, rc == NITRO_EIO ? in->sys : 0,
        "merge: read %s/%s at offset %llu, LSN %llu: %s; the file stays as it is, and is not "
        "merged: nitrokv check says what is damaged, when the store is stopped",
        m->l->dir, name, (unsigned long long)in->bad_at, (unsigned long long)in->want, why);
}

int nk_merge_cannot(const struct nk_merge *m, int rc, const char *what, uint64_t number,
                    struct nitro_err *err) {
    bool full = nk_log_is_full(rc);
    return nk_err_set(err, full ? NITRO_ELOGFULL : NITRO_EIO, -rc,
                      "merge: %s file %llu in %s: %s; all data is as it was%s", what,
                      (unsigned long long)number, m->l->dir, strerror(-rc),
                      full ? ": make room for one more data file" : "");
}

/* ---- nothing is under way --------------------------------------------------------------------------*/

/* Files that were given up. */
static void tidy(struct nk_merge *m) {
    if (m->hint_made != 0) nk_log_hint_discard(m->l, m->hint_made);
    if (m->out.made) nk_log_data_discard(m->l, m->out.piece.number);
    m->hint_made = 0;
    m->out.made = false;
}

static int no_memory(const struct nk_merge *m, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0,
                      "merge: look at the files of %s: out of memory; it is tried again",
                      m->l->dir);
}

/* The sealed pieces in *out (nk_mem_free, *count of them). */
static int list_pieces(struct nk_merge *m, struct nk_piece **out, uint32_t *count,
                       struct nitro_err *err) {
    *count = nk_log_pieces(m->l, NULL, 0);
    *out = nk_mem_alloc(m->l->mem, (*count + 1) * sizeof **out);
    if (*out == NULL) return no_memory(m, err);
    (void)nk_log_pieces(m->l, *out, *count);
    return NITRO_OK;
}

/* Whether the caller wants it left alone. */
static bool is_left(const struct nk_merge_call *c, const struct nk_piece *p) {
    return c->o->upto != 0 && p->number > c->o->upto;
}

/* Begins the hint of the oldest piece that lacks one. */
static int make_hint(struct nk_merge *m, struct nk_merge_call *c, const struct nk_piece *p,
                     uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const struct nk_file *f = nk_file_at(m->l->files, p[i].slot);
        if (f->hinted || NK_GET(f->damaged) != 0 || is_left(c, &p[i])) continue;
        int rc = nk_merge_hint_begin(m, c, &p[i]);
        m->hints_rest = rc != NITRO_OK;
        return rc;
    }
    return NITRO_OK;
}

static struct nk_merge_piece account(const struct nk_merge *m, const struct nk_merge_call *c,
                                     const struct nk_piece *p, uint64_t prev_last_lsn) {
    const struct nk_file *f = nk_file_at(m->l->files, p->slot);
    struct nk_merge_piece a = {.live_bytes = NK_GET(f->live_bytes),
                               .put_bytes = NK_GET(f->put_bytes),
                               .gone_bytes = NK_GET(f->gone_bytes),
                               .fit = NK_GET(f->damaged) == 0 && !is_left(c, p),
                               .follows = p->prev_last_lsn == prev_last_lsn};
    if (c->o->dead_age_ms == 0 || a.put_bytes == a.live_bytes) return a;
    int64_t made = nk_merge_piece_time(m->l, p);
    if (made != 0 && made < c->now_ms) a.age_ms = c->now_ms - made;
    return a;
}

/* Notes inputs first .. first + count, and what may pin deletes in them. */
static int choose(struct nk_merge *m, struct nk_merge_call *c, const struct nk_piece *p,
                  const struct nk_merge_piece *a, uint32_t first, uint32_t count) {
    m->older = nk_mem_alloc(m->l->mem, (first + 1) * sizeof *m->older);
    if (m->older == NULL) return no_memory(m, c->err);
    m->older_count = first;
    m->pinned = !a[first].follows;
    for (uint32_t i = 0; i < first; i++) {
        m->older[i] = p[i].slot;
        m->pinned |= !a[i].follows;
    }
    for (uint32_t i = 0; i < count; i++) m->input[i] = p[first + i];
    m->inputs = count;
    return nk_merge_begin(m, c);
}

/* Begins the merge that is worth most, if one is. */
static int make_merge(struct nk_merge *m, struct nk_merge_call *c, const struct nk_piece *p,
                      uint32_t n) {
    struct nk_merge_limits max = {m->l->file_bytes, m->narrow ? 1 : NK_MERGE_INPUTS};
    struct nk_merge_piece *a = nk_mem_alloc(m->l->mem, (n + 1) * sizeof *a);
    uint32_t first, count;
    if (a == NULL) return no_memory(m, c->err);
    for (uint32_t i = 0; i < n; i++) a[i] = account(m, c, &p[i], i == 0 ? 0 : p[i - 1].last_lsn);
    int rc = NITRO_OK;
    if (nk_merge_plan(a, n, c->o, &max, &first, &count)) rc = choose(m, c, p, a, first, count);
    nk_mem_free(m->l->mem, a, (n + 1) * sizeof *a);
    return rc;
}

/* Looks for something to do among the sealed pieces. After a hint comes a merge, if one is worth it, so that many new files
 * do not keep old ones from being merged. */
static int look(struct nk_merge *m, struct nk_merge_call *c) {
    struct nk_piece *p;
    uint32_t n;
    bool merge = c->o->allow != 0, merge_first = merge && m->hint_last;
    int rc = list_pieces(m, &p, &n, c->err);
    if (rc != NITRO_OK) return rc;
    if (merge_first) rc = make_merge(m, c, p, n);
    if (rc == NITRO_OK && m->state == NK_MERGE_REST && !m->hints_rest) rc = make_hint(m, c, p, n);
    m->hint_last = m->state == NK_MERGE_HINT;
    if (rc == NITRO_OK && m->state == NK_MERGE_REST && merge && !merge_first)
        rc = make_merge(m, c, p, n);
    nk_mem_free(m->l->mem, p, (n + 1) * sizeof *p);
    return rc;
}

/* The file that is written to can't be merged: once it is so old that what is dead in it has to go, appends go on in the
 * next one. */
static int leave_old(struct nk_merge *m, struct nk_merge_call *c) {
    if (c->o->allow == 0 || c->o->dead_age_ms == 0) return NITRO_OK;
    uint32_t slot = nk_log_current(m->l);
    const struct nk_file *f = nk_file_at(m->l->files, slot);
    if (NK_GET(f->put_bytes) == NK_GET(f->live_bytes)) return NITRO_OK;
    struct nk_piece p = {.kind = NK_FILE_LOG, .number = f->number, .salt = f->salt, .slot = slot};
    int64_t made = nk_merge_piece_time(m->l, &p);
    if (made == 0 || c->now_ms - made < c->o->dead_age_ms) return NITRO_OK;
    int rc = nk_log_roll(m->l, NULL, c->err);
    return rc == NITRO_ELOGFULL ? NITRO_OK : rc; /* no room for another one: later */
}

static int rest(struct nk_merge *m, struct nk_merge_call *c) {
    uint32_t sealed = 0;
    nk_files_sweep(m->l->files);
    tidy(m);
    if (m->resume != NK_MERGE_REST) {
        m->state = m->resume;
        return NITRO_OK;
    }
    int rc = leave_old(m, c);
    if (rc == NITRO_OK) rc = nk_log_seal(m->l, &sealed, c->err);
    for (uint32_t i = 1; i < SEALS && rc == NITRO_OK && sealed != 0; i++)
        rc = nk_log_seal(m->l, &sealed, c->err);
    if (rc != NITRO_OK) return rc;
    rc = look(m, c); /* also while more are to be sealed: files may be written faster than that */
    if (rc != NITRO_OK || m->state != NK_MERGE_REST || sealed != 0) return rc;
    c->idle = true;
    m->hints_rest = m->narrow = false;
    return NITRO_OK;
}

/* ---- the machine -----------------------------------------------------------------------------------*/

static const struct {
    uint32_t need; /* enum nitro_merge_need */
    nk_merge_fn *run;
} states[NK_MERGE_STATES] = {
    [NK_MERGE_REST] = {NITRO_MERGE_FOLDER, rest},
    [NK_MERGE_HINT] = {NITRO_MERGE_IO, nk_merge_hint},
    [NK_MERGE_NAME] = {NITRO_MERGE_FOLDER, nk_merge_name},
    [NK_MERGE_COPY] = {NITRO_MERGE_IO, nk_merge_copy},
    [NK_MERGE_DECIDE] = {NITRO_MERGE_SHARED, nk_merge_decide},
    [NK_MERGE_FINISH] = {NITRO_MERGE_IO, nk_merge_finish},
    [NK_MERGE_DURABLE] = {NITRO_MERGE_SYNC, nk_merge_durable},
    [NK_MERGE_LIST] = {NITRO_MERGE_FOLDER, nk_merge_list},
    [NK_MERGE_READ] = {NITRO_MERGE_IO, nk_merge_read},
    [NK_MERGE_SWITCH] = {NITRO_MERGE_SHARED, nk_merge_switch},
    [NK_MERGE_REMOVE] = {NITRO_MERGE_FOLDER, nk_merge_remove},
};

static bool has_failed(const struct nk_log *l) {
    return __atomic_load_n(&l->view.status, __ATOMIC_ACQUIRE) == NITRO_LOG_FAILED;
}

/* Gives up what is under way, or comes back to it later. `rc` is why. */
static void give_up(struct nk_merge *m, int rc) {
    if (m->state == NK_MERGE_HINT || m->state == NK_MERGE_NAME) m->hints_rest = true;
    nk_merge_hint_close(m);
    /* MANIFEST may list the file, if the log has failed while that was written: a start finds out */
    if (m->state == NK_MERGE_LIST && has_failed(m->l)) m->out.made = false;
    /* the inputs serve what has not moved, until the end of this process */
    if (m->state == NK_MERGE_READ && rc == NITRO_ECORRUPT) m->resume = NK_MERGE_REST;
    if (m->resume == NK_MERGE_READ) {
        nk_merge_in_close(&m->in);
        nk_merge_close_switch(m);
    } else {
        nk_merge_drop(m);
    }
    m->state = NK_MERGE_REST;
}

static struct nk_merge *machine(struct nk_db *db) {
    if (db->merge != NULL) return db->merge;
    struct nk_merge *m = nk_mem_zalloc(db->mem, sizeof *m);
    if (m == NULL) return NULL;
    m->db = db;
    m->l = db->folder;
    m->hint_fd = m->switch_fd = m->out.fd = -1;
    db->merge = m;
    return m;
}

void nk_merge_free(struct nk_db *db) {
    struct nk_merge *m = db->merge;
    if (m == NULL) return;
    nk_merge_hint_close(m);
    nk_merge_drop(m);
    nk_mem_free(db->mem, m, sizeof *m);
    db->merge = NULL;
}

static bool has_files(const struct nk_db *db) {
    return db->folder != NULL && db->folder->files != NULL && !nk_db_loading(db);
}

int nitro_merge_abandon(nitro_store *s) {
    struct nk_merge *m = has_files(&s->db) ? s->db.merge : NULL;
    if (m == NULL || m->state < NK_MERGE_COPY || m->state > NK_MERGE_FINISH) return 0;
    give_up(m, NITRO_OK); /* as after a failure: the unlisted file goes with the next step */
    return 1;
}

static int failed(const struct nk_log *l, struct nitro_err *err) {
    struct nitro_err why;
    nk_log_error(l, &why);
    if (err != NULL) *err = why;
    return NITRO_EIO;
}

int nitro_merge_step(nitro_store *s, int64_t now_ms, const struct nitro_merge_options *o,
                     struct nitro_merge_result *out, struct nitro_err *err) {
    struct nk_db *db = &s->db;
    struct nitro_merge_result result = {.need = NITRO_MERGE_IDLE};
    if (!has_files(db)) {
        *out = result;
        return NITRO_OK;
    }
    struct nk_merge *m = machine(db);
    if (m == NULL)
        return nk_err_set(err, NITRO_ENOMEM, 0, "merge in %s: out of memory; it is tried again",
                          db->folder->dir);
    struct nk_merge_call c = {.now_ms = now_ms, .o = o, .out = &result, .err = err};
    int rc = has_failed(m->l) ? failed(m->l, err) : states[m->state].run(m, &c);
    if (rc != NITRO_OK) {
        give_up(m, rc);
        return rc;
    }
    if (!c.idle) result.need = states[m->state].need;
    result.lsn = result.need == NITRO_MERGE_SYNC ? m->lsn : 0;
    *out = result;
    return NITRO_OK;
}

int nitro_merge_roll(nitro_store *s, uint64_t *upto, struct nitro_err *err) {
    if (!has_files(&s->db)) {
        if (upto != NULL) *upto = 0;
        return NITRO_OK;
    }
    int rc = nk_log_roll(s->db.folder, NULL, err);
    /* logs and merged files share their numbers: the file that is written to may be older than what was merged since it was made */
    if ((rc == NITRO_OK || rc == NITRO_ELOGFULL) && upto != NULL)
        *upto = s->db.folder->next_number - 1;
    return rc;
}

/* ---- what there is ---------------------------------------------------------------------------------*/

static void add_file(const struct nk_file *f, struct nitro_data_files *out) {
    uint64_t end = f->sealed ? f->end : NK_GET(f->written);
    out->files++;
    out->merged_files += f->kind == NK_FILE_DATA;
    if (end > NK_SECTOR && end != UINT64_MAX) out->bytes += end - NK_SECTOR;
    out->live_bytes += NK_GET(f->live_bytes);
    out->put_bytes += NK_GET(f->put_bytes);
    out->gone_bytes += NK_GET(f->gone_bytes);
    out->hints += f->hinted;
    out->damaged_files += NK_GET(f->damaged) != 0;
}

static void add_cache(const struct nk_db *db, struct nitro_data_files *out) {
    out->cache_bytes = NK_GET(db->cached_bytes);
    for (uint32_t i = 0; i < db->segments; i++) {
        const struct nk_seg *s = &db->seg[i];
        out->cache_values += NK_GET(s->cache.values);
        out->cache_hits += NK_GET(s->cache.hits);
        out->cache_misses += NK_GET(s->cache.misses);
        out->cache_evictions += NK_GET(s->cache.evictions);
    }
}

void nitro_data_files_of(nitro_store *s, struct nitro_data_files *out) {
    const struct nk_db *db = &s->db;
    *out = (struct nitro_data_files){0};
    if (!has_files(db)) return;
    const struct nk_files *files = db->folder->files;
    for (uint32_t i = 1; i < files->top; i++) {
        const struct nk_file *f = nk_file_at(files, i);
        if (f->number != 0 && !f->leaving) add_file(f, out);
    }
    add_cache(db, out);
    out->damaged_reads = NK_GET(files->damaged);
    out->hints_loaded = NK_GET(db->data_start.hints_loaded);
    out->hints_rebuilt = NK_GET(db->data_start.hints_rebuilt);
    const struct nk_merge *m = db->merge;
    if (m == NULL) return;
    out->merges = NK_GET(m->done.merges);
    out->merge_read_bytes = NK_GET(m->done.read_bytes);
    out->merge_written_bytes = NK_GET(m->done.written_bytes);
    out->merge_dropped_bytes = NK_GET(m->done.dropped_bytes);
}
