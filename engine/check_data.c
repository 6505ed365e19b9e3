/* SPDX-License-Identifier: MIT
 *
 * check_data.c - the merged files of a folder that is checked, and the chain that they and the logs make (L5).
 *
 * DESIGN
 *   Where the log is the data, each used log and each merged file is a piece: it stands for an interval of
 *   LSNs, and begins where the one before it ends (docs/design/0006, 3). The chain is walked from the
 *   newest log back. Before a piece comes the merged file that ends there, if there is one; else a log:
 *   that which the header of a log names, or, before a merged file, the newest one that begins before it. A
 *   piece is superseded if a merged file with a greater number stands for its LSNs. Those are the rules of
 *   folder_chain.c, but the walk goes on behind a gap.
 *
 *   A merged file gets its entry in MANIFEST when it is complete, and what it was made of goes later. So
 *   one that is not listed holds nothing that is not elsewhere. Where MANIFEST is damaged, those with a
 *   valid header are believed, for the look; a repair does not go by that (check_repair.c).
 *
 * NOT HERE  records and hints (check_piece.c).
 */
#include "check.h"

static int out_of_memory(const struct nk_check *c, struct nitro_err *err) {
    return nk_err_set(err, NITRO_ENOMEM, 0, "check %s: out of memory", c->opt->dir);
}

/* ---- lists -------------------------------------------------------------------------------------*/

/* Makes room for one more element in an array of `size`-byte elements. */
static bool grow(const struct nk_check *c, void **p, uint32_t count, uint32_t *cap, size_t size) {
    if (count < *cap) return true;
    uint32_t want = *cap == 0 ? 16 : *cap * 2;
    void *q = nk_mem_resize(c->mem, *p, *cap * size, want * size);
    if (q == NULL) return false;
    *p = q;
    *cap = want;
    return true;
}

struct nk_check_data *nk_check_find_data(const struct nk_check *c, uint64_t number) {
    for (uint32_t i = 0; i < c->data_count; i++)
        if (c->data[i].number == number) return &c->data[i];
    return NULL;
}

/* The file with this number, put into its place in the list if it is new; NULL without memory. */
static struct nk_check_data *add_data(struct nk_check *c, uint64_t number) {
    struct nk_check_data *d = nk_check_find_data(c, number);
    if (d != NULL) return d;
    void *list = c->data;
    if (!grow(c, &list, c->data_count, &c->data_cap, sizeof *c->data)) return NULL;
    c->data = list;
    uint32_t at = c->data_count++;
    for (; at > 0 && c->data[at - 1].number > number; at--) c->data[at] = c->data[at - 1];
    c->data[at] = (struct nk_check_data){.number = number};
    c->next_number = nk_max_u64(c->next_number, number + 1);
    return &c->data[at];
}

bool nk_check_note_data(struct nk_check *c, uint64_t number) {
    struct nk_check_data *d = add_data(c, number);
    if (d != NULL) d->there = true;
    return d != NULL;
}

bool nk_check_note_hint(struct nk_check *c, uint64_t number, bool tmp) {
    void *list = c->hint;
    if (!grow(c, &list, c->hint_count, &c->hint_cap, sizeof *c->hint)) return false;
    c->hint = list;
    c->hint[c->hint_count++] = (struct nk_check_hint){.number = number, .tmp = tmp};
    return true;
}

bool nk_check_edit_data(struct nk_check *c, const struct nk_manifest_edit *e) {
    struct nk_check_data *d = nk_check_find_data(c, e->number);
    bool listed = d != NULL && d->listed;
    if (listed != (e->op == NK_MANIFEST_REMOVE)) return false;
    d = add_data(c, e->number);
    c->out_of_memory |= d == NULL;
    if (d == NULL) return true;
    d->listed = !listed;
    d->salt = e->salt;
    d->first_lsn = e->first_lsn;
    d->last_lsn = e->last_lsn;
    return true;
}

void nk_check_data_fini(struct nk_check *c) {
    nk_mem_free(c->mem, c->data, c->data_cap * sizeof *c->data);
    nk_mem_free(c->mem, c->hint, c->hint_cap * sizeof *c->hint);
    nk_mem_free(c->mem, c->piece, c->piece_cap * sizeof *c->piece);
    c->data = NULL;
    c->hint = NULL;
    c->piece = NULL;
    c->data_count = c->data_cap = c->hint_count = c->hint_cap = 0;
    c->piece_count = c->piece_cap = 0;
}

/* ---- headers -----------------------------------------------------------------------------------*/

static void found(struct nk_check *c, enum nitro_severity severity, const struct nk_check_data *d,
                  const char *text) {
    char name[NK_PATH_MAX];
    nk_path_data(d->number, name);
    nk_check_found(c, severity, name, 0, 0, "%s", text);
}

/* What is wrong with a valid header in this place; NULL = nothing. */
static const char *misplaced(struct nk_check *c, const struct nk_check_data *d) {
    const struct nk_data_header *h = &d->head;
    if (!c->store_known) {
        memcpy(c->store, h->store, sizeof c->store);
        c->store_known = true;
    }
    if (memcmp(h->store, c->store, sizeof c->store) != 0) return "it belongs to another store";
    if (h->number != d->number) return "its header is that of another file";
    if (d->listed &&
        (h->salt != d->salt || h->first_lsn != d->first_lsn || h->last_lsn != d->last_lsn))
        return "it is not the file that MANIFEST lists";
    return h->end > d->size ? "it is shorter than its header says" : NULL;
}

/* A file that MANIFEST does not list. */
static void take_unlisted(struct nk_check *c, const struct nk_check_data *d) {
    if (d->number >= NK_PATH_LOG_MAX)
        found(c, NITRO_CHECK_DAMAGE, d, "no file of the store can have this number; move it away");
    else if (c->manifest_whole)
        found(c, NITRO_CHECK_NOTE, d,
              "MANIFEST does not list it (any more); the next start removes it");
}

static int read_header(struct nk_check *c, struct nk_check_data *d, struct nitro_err *err) {
    uint8_t sector[NK_SECTOR];
    char name[NK_PATH_MAX];
    bool whole = false;
    nk_path_data(d->number, name);
    int rc = nk_check_sector(c, name, sector, &d->size, &whole, err);
    if (rc != NITRO_OK) return rc;
    rc = whole ? nk_data_header_decode(sector, &d->head) : NITRO_ECORRUPT;
    if (rc == NITRO_EFORMAT && d->listed) return nk_check_newer(c, err, name, d->head.version);
    const char *wrong = rc == NITRO_OK ? misplaced(c, d) : "its header is not valid";
    d->valid = wrong == NULL;
    if (!d->listed)
        take_unlisted(c, d);
    else if (wrong != NULL)
        found(c, NITRO_CHECK_DAMAGE, d, wrong);
    return NITRO_OK;
}

/* Whether the file counts. */
static bool counts(const struct nk_check *c, const struct nk_check_data *d) {
    return d->valid && (d->listed || !c->manifest_whole) && d->number < NK_PATH_LOG_MAX;
}

/* Up to where it says that all was durable; see recover.c. */
static uint64_t durable_by(const struct nk_check *c, const struct nk_check_data *d) {
    if (!d->valid) return d->last_lsn;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct nk_check_file *f = &c->file[i];
        if (f->state == NK_FILE_USED && f->head.prev_last_lsn < d->head.cut_lsn &&
            d->head.cut_lsn < f->head.first_lsn)
            return d->last_lsn;
    }
    return d->head.cut_lsn;
}

int nk_check_data_headers(struct nk_check *c, struct nitro_err *err) {
    for (uint32_t i = 0; i < c->data_count; i++) {
        struct nk_check_data *d = &c->data[i];
        if (d->there) {
            int rc = read_header(c, d, err);
            if (rc != NITRO_OK) return rc;
        } else if (d->listed) {
            found(c, NITRO_CHECK_DAMAGE, d, "MANIFEST lists it, but it is not there");
        }
        if (d->listed) c->sum.durable_lsn = nk_max_u64(c->sum.durable_lsn, durable_by(c, d));
        if (d->listed && !d->valid)
            nk_check_inner(c, d->first_lsn, d->number, 0, "the file is lost");
        if (counts(c, d) && d->head.time_ms > c->newest_ms) c->newest_ms = d->head.time_ms;
    }
    return NITRO_OK;
}

/* ---- the chain ---------------------------------------------------------------------------------*/

/* Whether a newer merged file stands for what begins at this LSN. */
static bool is_superseded(const struct nk_check *c, uint64_t number, uint64_t first_lsn) {
    for (uint32_t i = 0; i < c->data_count; i++) {
        const struct nk_check_data *d = &c->data[i];
        if (counts(c, d) && d->number > number && d->head.first_lsn <= first_lsn &&
            first_lsn <= d->head.last_lsn)
            return true;
    }
    return false;
}

static bool is_log(const struct nk_check *c, const struct nk_check_file *f) {
    return f->state == NK_FILE_USED && !is_superseded(c, f->number, f->head.first_lsn);
}

static bool is_data(const struct nk_check *c, const struct nk_check_data *d) {
    return counts(c, d) && !is_superseded(c, d->number, d->head.first_lsn);
}

static struct nk_check_piece log_piece(struct nk_check_file *f, uint64_t last_lsn) {
    return (struct nk_check_piece){.log = f,
                                   .p = {.kind = NK_FILE_LOG,
                                         .number = f->number,
                                         .salt = f->head.salt,
                                         .first_lsn = f->head.first_lsn,
                                         .last_lsn = last_lsn,
                                         .prev_last_lsn = f->head.prev_last_lsn,
                                         .size = f->size}};
}

static struct nk_check_piece data_piece(struct nk_check_data *d) {
    return (struct nk_check_piece){.data = d,
                                   .p = {.kind = NK_FILE_DATA,
                                         .number = d->number,
                                         .salt = d->head.salt,
                                         .first_lsn = d->head.first_lsn,
                                         .last_lsn = d->head.last_lsn,
                                         .prev_last_lsn = d->head.prev_last_lsn,
                                         .size = d->head.end}};
}

static bool is_piece(const struct nk_check_piece *p) { return p->log != NULL || p->data != NULL; }

static void mark(struct nk_check_piece *p) {
    if (p->data != NULL) {
        p->data->on_chain = true;
    } else {
        p->log->on_chain = true;
        p->log->last_lsn = p->p.last_lsn;
    }
}

static const struct nk_check_piece no_piece;

/* The log that an LSN from before a merged file lies in. */
static struct nk_check_piece log_with(struct nk_check *c, uint64_t lsn) {
    struct nk_check_file *f = NULL;
    for (uint32_t i = 0; i < c->count; i++)
        if (is_log(c, &c->file[i]) && c->file[i].head.first_lsn <= lsn) f = &c->file[i];
    return f != NULL && !f->on_chain ? log_piece(f, lsn) : no_piece;
}

/* The newest piece that begins before this LSN: where the walk begins, or goes on behind a gap. */
static struct nk_check_piece newest_below(struct nk_check *c, uint64_t lsn) {
    struct nk_check_piece p = no_piece;
    for (uint32_t i = 0; i < c->count; i++) {
        struct nk_check_file *f = &c->file[i];
        if (is_log(c, f) && !f->on_chain && f->head.first_lsn < lsn) p = log_piece(f, UINT64_MAX);
    }
    for (uint32_t i = 0; i < c->data_count; i++) {
        struct nk_check_data *d = &c->data[i];
        bool newer = !is_piece(&p) || d->head.first_lsn > p.p.first_lsn;
        if (newer && d->head.first_lsn < lsn && is_data(c, d)) p = data_piece(d);
    }
    return p;
}

/* The piece that ends where this one begins; or none. */
static struct nk_check_piece piece_before(struct nk_check *c, const struct nk_check_piece *at) {
    uint64_t last = at->p.prev_last_lsn;
    for (uint32_t i = 0; i < c->data_count; i++)
        if (c->data[i].head.last_lsn == last && is_data(c, &c->data[i]))
            return data_piece(&c->data[i]);
    if (at->data != NULL) return log_with(c, last);
    struct nk_check_file *f = nk_check_find(c, at->log->head.prev_number);
    return f != NULL && is_log(c, f) && !f->on_chain ? log_piece(f, last) : no_piece;
}

/* Whether nothing came before a piece. A file that its header names, and that is blank, is another matter: see
 * folder_chain.c. */
static bool is_first(const struct nk_check *c, const struct nk_check_piece *at) {
    const struct nk_check_file *f =
        at->log != NULL ? nk_check_find(c, at->log->head.prev_number) : NULL;
    bool blank = f != NULL && f->listed && f->state == NK_FILE_BLANK;
    return at->p.prev_last_lsn == 0 && !blank;
}

/* What a piece says came before it is lost. */
static void lose_before(struct nk_check *c, struct nk_check_piece *at) {
    static const char text[] = "what came before it is in no file that MANIFEST lists";
    at->gap = true;
    if (at->data != NULL)
        found(c, NITRO_CHECK_DAMAGE, at->data, text);
    else if (at->log->head.prev_number == 0)
        nk_check_file_found(c, NITRO_CHECK_DAMAGE, at->p.number, text);
    else
        nk_check_lose(c, at->log->head.prev_number);
}

/* Puts the pieces into c->piece, the newest first. */
static int walk(struct nk_check *c, struct nitro_err *err) {
    struct nk_check_piece at = newest_below(c, UINT64_MAX);
    while (is_piece(&at)) {
        void *list = c->piece;
        if (!grow(c, &list, c->piece_count, &c->piece_cap, sizeof *c->piece))
            return out_of_memory(c, err);
        c->piece = list;
        struct nk_check_piece *p = &c->piece[c->piece_count++];
        *p = at;
        mark(p);
        at = piece_before(c, p);
        if (is_piece(&at)) continue;
        if (is_first(c, p)) break;
        lose_before(c, p);
        at = newest_below(c, p->p.first_lsn);
    }
    return NITRO_OK;
}

static void tell_superseded(struct nk_check *c) {
    static const char text[] = "a merged file stands for what is in it; the next start removes it";
    for (uint32_t i = 0; i < c->count; i++) {
        struct nk_check_file *f = &c->file[i];
        if (f->listed && f->state == NK_FILE_USED && !is_log(c, f))
            nk_check_file_found(c, NITRO_CHECK_NOTE, f->number, text);
    }
    for (uint32_t i = 0; i < c->data_count; i++)
        if (c->data[i].listed && c->data[i].valid && !is_data(c, &c->data[i]))
            found(c, NITRO_CHECK_NOTE, &c->data[i], text);
}

int nk_check_pieces(struct nk_check *c, struct nitro_err *err) {
    int rc = walk(c, err);
    if (rc != NITRO_OK) return rc;
    for (uint32_t i = 0, k = c->piece_count; i < k; i++) { /* the oldest first from now on */
        struct nk_check_piece p = c->piece[i];
        c->piece[i] = c->piece[--k];
        c->piece[k] = p;
    }
    tell_superseded(c);
    return NITRO_OK;
}
