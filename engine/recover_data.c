/* SPDX-License-Identifier: MIT
 *
 * recover_data.c - a start where the log is the data: slots for its pieces, and what is left of merges (L4).
 *
 * DESIGN
 *   What was there before is not written to again, so every piece is sealed from the begin on, and all of its records
 *   count as written and durable: those of the tail, too, though they are not, because until it has been written anew
 *   nobody is told of them. Where the records of a file end, the scan knows of the files that it has walked; of the others
 *   who loads them says so. What lies behind is cut off at the end, when entries refer to the tail in its new place.
 *
 * NOT HERE  which files are pieces (folder_chain.c), the order of the steps (recover_finish.c), loading (keydir_load.c).
 */
#include "recover.h"

/* ---- slots -------------------------------------------------------------------------------------*/

/* A slot for a piece, with a handle for reading. */
static int add_slot(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number, uint64_t salt,
                    int64_t old_ms, uint32_t *slot, struct nitro_err *err) {
    int fd = nk_recover_open(l, kind, number, old_ms, err);
    if (fd == -EMFILE || fd == -ENFILE) return nk_log_no_handle(l, fd, err);
    if (fd < 0) return NITRO_EIO;
    *slot = nk_files_add(l->files, number, kind, salt, fd);
    if (*slot != 0) return NITRO_OK;
    (void)l->vfs->close(l->vfs->ctx, fd); /* only read */
    return nk_log_no_slot(l, err);
}

int nk_recover_slots(struct nk_log *l, struct nitro_err *err) {
    int rc = NITRO_OK;
    if (l->files == NULL) return NITRO_OK;
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK; i++) {
        struct nk_live *f = &l->live[i];
        if (nk_live_last(l, i) == 0) continue;
        rc = add_slot(l, NK_FILE_LOG, f->number, f->salt, f->old_ms, &f->slot, err);
        if (rc == NITRO_OK)
            nk_log_slot_seal(l, f->slot, f->head.first_lsn, nk_live_last(l, i), f->end);
    }
    for (uint32_t i = 0; i < l->data_count && rc == NITRO_OK; i++) {
        struct nk_log_data *d = &l->data[i];
        if (!d->on_chain) continue;
        rc = add_slot(l, NK_FILE_DATA, d->number, d->salt, d->old_ms, &d->slot, err);
        if (rc == NITRO_OK)
            nk_log_slot_seal(l, d->slot, d->head.first_lsn, d->head.last_lsn, d->head.end);
    }
    return rc;
}

void nk_recover_tail(struct nk_log *l, struct nk_live *f) {
    if (l->files == NULL) return;
    f->on_chain = true;
    nk_log_slot_seal(l, f->slot, f->head.first_lsn, f->last_lsn, f->end);
}

/* ---- cleaning up -------------------------------------------------------------------------------*/

/* The log ends where its records end, or at W, if the rest of them is the tail. */
static int seal_log(struct nk_log *l, uint32_t i, struct nitro_err *err) {
    struct nk_live *f = &l->live[i];
    struct nk_file *s = nk_file_at(l->files, f->slot);
    bool old = l->tail_number == 0 || f->number < l->tail_number;
    if (old && nk_live_last(l, i) > l->durable) {
        f->last_lsn = s->last_lsn = l->durable;
        f->end = f->keep_end;
    }
    if (f->end != 0) s->end = f->end;
    if (s->end == 0 || s->end >= f->size || nk_log_is_shared(l, f)) return NITRO_OK;
    int rc = nk_live_cut(l, f, s->end, "recovery: seal");
    return rc == 0 ? NITRO_OK : nk_log_fail(l, err, rc, "cannot cut the unused room of", f->number);
}

bool nk_recover_keep(struct nk_log *l, enum nk_manifest_kind kind, uint64_t number) {
    if (l->old_dirfd < 0) return true;
    return nk_log_old_keep(l, kind, number, l->newest_ms, NULL) == NITRO_OK;
}

/* *dropped: the next one has moved to its place in the list. One that can't be kept for the past stays until the next start. */
static int drop_data(struct nk_log *l, const struct nk_log_data *d, bool *dropped,
                     struct nitro_err *err) {
    char name[NK_PATH_MAX];
    struct nk_manifest_edit e = nk_data_edit(NK_MANIFEST_REMOVE, d);
    nk_path_data(d->number, name);
    *dropped = nk_recover_keep(l, NK_FILE_DATA, d->number);
    if (!*dropped) return NITRO_OK;
    int rc = nk_log_edit(l, &e, err);
    if (rc != NITRO_OK) return rc;
    nk_log_hint_remove(l, e.number);
    /* one that stays is found unlisted at the next start, and removed then */
    (void)l->vfs->unlink(l->vfs->ctx, l->dirfd, name, "recovery: remove merged");
    return NITRO_OK;
}

int nk_recover_seal(struct nk_log *l, struct nitro_err *err) {
    int rc = NITRO_OK;
    if (l->files == NULL) return NITRO_OK;
    for (uint32_t i = 0; i < l->live_count && rc == NITRO_OK; i++)
        if (l->live[i].slot != 0 && l->live[i].slot != l->cur->slot) rc = seal_log(l, i, err);
    for (uint32_t i = 0; i < l->data_count && rc == NITRO_OK;) {
        bool dropped = false;
        if (!l->data[i].on_chain) rc = drop_data(l, &l->data[i], &dropped, err);
        i += !dropped;
    }
    /* files have the ends by now that they keep */
    for (uint32_t i = 1; i < l->files->top && rc == NITRO_OK; i++)
        if (l->files->slot[i].number != 0 && l->files->slot[i].sealed) nk_files_map(l->files, i);
    return rc;
}
