/* SPDX-License-Identifier: MIT
 *
 * folder_chain.c - how the files of the log follow one another (L4).
 *
 * DESIGN
 *   The chain: the newest used file, the one that its header says came before, and so on, back to the one of
 *   which the file before is not needed: what it held is in the snapshot. A used file that is not on it
 *   was superseded by a recovery that wrote its tail anew.
 *
 *   Where the log is the data no start begins with a snapshot, and the chain goes back to the first LSN; but what lay in
 *   neighbouring files may have been merged into one. That one says which LSNs it stands for and which one came
 *   before them, and no longer which file: so from there, and to there, the way goes by LSNs. Each LSN that counts lies
 *   in the interval of one piece alone, so that there is no choice:
 *     - a merged file in whose interval that of another one with a smaller number lies has replaced it;
 *     - a log that begins in the interval of a merged file with a greater number has been replaced by that;
 *     - of what is left the piece before is the merged file that ends with the LSN that came before, or else a log:
 *       the one that the header names, or the one that LSN lies in: behind a merged file, whose header names none, and where a
 *       log names a merged file that does not count in the past.
 *   Files that have been replaced are left from a crash before they were removed. Or they are there for a look at the past,
 *   which takes merged files alone that leave out nothing that was live then (l->past); the rules are the same.
 *
 * NOT HERE  where in a file its records end (recover.c).
 */
#include "recover.h"

#include "mutant.h"

/* ---- what has been replaced --------------------------------------------------------------------*/

/* A look at the past passes over what was merged later. */
static bool counts(const struct nk_log *l, const struct nk_log_data *d) {
    return NK_MUTATE(88, l != NULL, d->head.cut_lsn <= l->past);
}

/* Whether a merge has put the file that begins with LSN first_lsn into another one, with a greater number. */
static bool is_replaced(const struct nk_log *l, uint64_t number, uint64_t first_lsn) {
    for (uint32_t i = l->data_count; i-- > 0 && l->data[i].number > number;)
        if (counts(l, &l->data[i]) && nk_data_holds(&l->data[i].head, first_lsn)) return true;
    return false;
}

static bool is_log(const struct nk_log *l, const struct nk_live *f) {
    return f->head.used && !is_replaced(l, f->number, f->head.first_lsn);
}

bool nk_folder_merged(const struct nk_log *l, const struct nk_live *f) {
    return f->head.used && is_replaced(l, f->number, f->head.first_lsn);
}

static bool is_data(const struct nk_log *l, const struct nk_log_data *d) {
    return counts(l, d) && !is_replaced(l, d->number, d->head.first_lsn);
}

/* ---- pieces ------------------------------------------------------------------------------------*/

/* The newest used log with a number below `below`. */
static struct nk_live *newest_log(struct nk_log *l, uint64_t below) {
    for (uint32_t i = l->live_count; i-- > 0;)
        if (l->live[i].number < below && is_log(l, &l->live[i])) return &l->live[i];
    return NULL;
}

/* The merged file with the greatest LSNs. */
static struct nk_log_data *newest_data(struct nk_log *l) {
    struct nk_log_data *newest = NULL;
    for (uint32_t i = 0; i < l->data_count; i++) {
        struct nk_log_data *d = &l->data[i];
        if (is_data(l, d) && (newest == NULL || d->head.last_lsn > newest->head.last_lsn))
            newest = d;
    }
    return newest;
}

/* The merged file whose last LSN this is. */
static struct nk_log_data *data_to(struct nk_log *l, uint64_t lsn) {
    for (uint32_t i = 0; i < l->data_count; i++)
        if (l->data[i].head.last_lsn == lsn && is_data(l, &l->data[i])) return &l->data[i];
    return NULL;
}

/* The log that an LSN from before a merged file lies in. A log that a recovery has superseded begins behind all that
 * was merged in its time. */
static struct nk_live *log_with(struct nk_log *l, uint64_t lsn) {
    struct nk_live *f = NULL;
    for (uint32_t i = 0; i < l->live_count; i++)
        if (is_log(l, &l->live[i]) && l->live[i].head.first_lsn <= lsn) f = &l->live[i];
    return f;
}

/* ---- the chain ---------------------------------------------------------------------------------*/

/* What a piece says of the one before. */
struct before {
    bool named;      /* it is a log that says it, or nothing is known yet: */
    uint64_t number; /* of the file, 0 = there was none */
    uint64_t last_lsn;
};

/* What came before a piece is neither in a file that is listed nor in the snapshot. */
static int beheaded(const struct nk_log *l, const struct before *b, uint64_t number,
                    struct nitro_err *err) {
    char name[NK_PATH_MAX];
    bool named = b->named && b->number != 0;
    if (!b->named)
        nk_path_data(number, name);
    else
        nk_path_log(named ? b->number : number, name);
    if (named)
        return nk_folder_damage(l, err, name,
                                "a newer file follows it, but MANIFEST does not list it");
    return nk_folder_damage(l, err, name,
                            nk_mode_info(l->mode)->log_is_data
                                ? "what came before it is in no file that MANIFEST lists"
                                : "what came before it is in no snapshot");
}

/* Marks the pieces from `b` back. NITRO_ENOTFOUND with *blank: a file that was used then has a header that says that
 * it is blank. */
static int mark_back(struct nk_log *l, struct before b, uint64_t number, uint64_t *blank,
                     struct nitro_err *err) {
    bool whole = nk_mode_info(l->mode)->log_is_data; /* there is no snapshot to begin with */
    for (;;) {
        struct nk_log_data *d = data_to(l, b.last_lsn);
        if (d != NULL) {
            d->on_chain = true;
            number = d->number;
            b = (struct before){.last_lsn = d->head.prev_last_lsn};
            continue;
        }
        bool by_name = b.named && (NK_MUTATE(93, true, nk_folder_find_data(l, b.number) == NULL));
        struct nk_live *f = by_name ? nk_folder_find(l, b.number) : log_with(l, b.last_lsn);
        if (f != NULL && (f->on_chain || is_replaced(l, f->number, f->head.first_lsn)))
            f = NULL; /* the headers contradict each other */
        if (f == NULL && ((l->read_only && !whole) || b.last_lsn <= NK_MUTATE(40, 0, l->base.lsn)))
            return NITRO_OK; /* what came before is in the snapshot */
        if (f == NULL) return beheaded(l, &b, number, err);
        if (!f->head.used) {
            *blank = f->number;
            return NITRO_ENOTFOUND;
        }
        f->on_chain = true;
        f->by_lsn = !by_name;
        f->last_lsn = b.last_lsn;
        number = f->number;
        b = (struct before){true, f->head.prev_number, f->head.prev_last_lsn};
    }
}

/* Marks the pieces from the newest log below `below` back, or from the merged file behind it. */
static int mark_chain(struct nk_log *l, uint64_t below, uint64_t *blank, struct nitro_err *err) {
    struct nk_live *f = newest_log(l, below);
    struct nk_log_data *d = newest_data(l);
    for (uint32_t i = 0; i < l->live_count; i++) l->live[i].on_chain = l->live[i].by_lsn = false;
    for (uint32_t i = 0; i < l->data_count; i++) l->data[i].on_chain = false;
    if (d != NULL && (f == NULL || f->head.first_lsn < d->head.first_lsn))
        return mark_back(l, (struct before){.last_lsn = d->head.last_lsn}, d->number, blank, err);
    if (f == NULL) return NITRO_OK;
    f->on_chain = true;
    struct before b = {true, f->head.prev_number, f->head.prev_last_lsn};
    return mark_back(l, b, f->number, blank, err);
}

/* A merged file that has not been replaced holds LSNs that count: so it is on the chain, or the chain has a gap. */
static int check_data(const struct nk_log *l, struct nitro_err *err) {
    char name[NK_PATH_MAX];
    for (uint32_t i = 0; i < l->data_count; i++) {
        const struct nk_log_data *d = &l->data[i];
        if (d->on_chain || !is_data(l, d)) continue;
        nk_path_data(d->number, name);
        return nk_folder_damage(l, err, name, "what follows it is in no file that MANIFEST lists");
    }
    return NITRO_OK;
}

/* A power cut may have kept a newer file's header and lost an older one's, if neither was synced: then the newer file is
 * behind the end of the tail. (If it was synced, W says so, and the missing records are damage.) */
int nk_folder_chain(struct nk_log *l, struct nitro_err *err) {
    uint64_t below = UINT64_MAX;
    int rc = NITRO_ENOTFOUND;
    while (rc == NITRO_ENOTFOUND) rc = mark_chain(l, below, &below, err);
    return rc == NITRO_OK ? check_data(l, err) : rc;
}

uint64_t nk_live_begin(const struct nk_log *l) {
    uint64_t begin = UINT64_MAX;
    for (uint32_t i = 0; i < l->live_count && begin == UINT64_MAX; i++)
        if (l->live[i].on_chain) begin = l->live[i].head.prev_last_lsn;
    /* what a life without a log has done up to its snapshot is in that alone */
    for (uint32_t i = 0; i < l->snap_count && begin != UINT64_MAX; i++)
        if (l->snaps[i].bytes != 0 && l->snaps[i].wal_off)
            begin = nk_max_u64(begin, l->snaps[i].lsn);
    return begin;
}
