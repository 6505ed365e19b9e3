/* SPDX-License-Identifier: MIT
 *
 * merge_read.c - the records of one piece, a log file or a merged one, each checked (L5).
 *
 * A log has records behind the last one that counts, if a recovery has written a tail anew: LSNs say where it ends, and
 * the size of the file only how far may be read.
 */
#include "merge.h"

/* The first sector of the piece's file. NITRO_OK, NITRO_ECORRUPT: it is not that of this piece; NITRO_EIO (*sys). */
static int read_header(const struct nk_log *l, const struct nk_piece *p, int64_t *time_ms,
                       uint64_t *records, int *sys) {
    uint8_t sector[NK_SECTOR];
    int64_t got = nk_vfs_read(l->vfs, nk_file_at(l->files, p->slot)->fd, sector, sizeof sector, 0);
    *sys = got < 0 ? (int)-got : EIO;
    if (got != (int64_t)sizeof sector) return NITRO_EIO;
    if (p->kind == NK_FILE_DATA) {
        struct nk_data_header h;
        bool ours = nk_data_header_decode(sector, &h) == NITRO_OK && h.number == p->number &&
                    h.salt == p->salt && h.end == p->size;
        if (!ours) return NITRO_ECORRUPT;
        *time_ms = h.time_ms;
        *records = h.records;
        return NITRO_OK;
    }
    struct nk_log_header h;
    if (nk_log_header_decode(sector, &h) != NITRO_OK || h.number != p->number ||
        h.salt != p->salt || !h.used)
        return NITRO_ECORRUPT;
    *time_ms = h.time_ms;
    return NITRO_OK;
}

int64_t nk_merge_piece_time(const struct nk_log *l, const struct nk_piece *p) {
    int64_t time_ms;
    uint64_t records;
    int sys;
    return read_header(l, p, &time_ms, &records, &sys) == NITRO_OK ? time_ms : 0;
}

int nk_merge_in_open(struct nk_merge_in *in, const struct nk_log *l, const struct nk_piece *p) {
    *in = (struct nk_merge_in){.piece = p, .want = p->first_lsn, .end = NK_SECTOR};
    uint64_t records = 0;
    int rc = read_header(l, p, &in->time_ms, &records, &in->sys);
    int fd = nk_file_at(l->files, p->slot)->fd;
    struct nk_data_header h = {.end = p->size,
                               .records = records,
                               .salt = p->salt,
                               .first_lsn = p->first_lsn,
                               .last_lsn = p->last_lsn};
    if (p->kind == NK_FILE_DATA)
        nk_datascan_init(&in->data, l->vfs, l->mem, fd, &h);
    else
        nk_logscan_init(&in->log, l->vfs, l->mem, fd, p->size, p->salt, p->first_lsn);
    return rc;
}

void nk_merge_in_close(struct nk_merge_in *in) {
    if (in->piece == NULL) return;
    if (in->piece->kind == NK_FILE_DATA)
        nk_datascan_fini(&in->data);
    else
        nk_logscan_fini(&in->log);
    in->piece = NULL;
}

uint64_t nk_merge_in_at(const struct nk_merge_in *in) {
    return in->piece->kind == NK_FILE_DATA ? in->data.at : in->log.at;
}

/* Records of a log have all LSNs, whatever frames they are in. */
static int next_of_log(struct nk_merge_in *in, bool hold, struct nk_placed *out) {
    struct nk_logscan *s = &in->log;
    if (in->want > in->piece->last_lsn) return NITRO_ENOTFOUND;
    s->hold = hold;
    for (;;) {
        int rc = s->frame_end != 0 ? nk_logscan_record(s, true, out) : NITRO_ENOTFOUND;
        if (rc != NITRO_ENOTFOUND) return rc;
        rc = nk_logscan_frame(s);
        if (rc == NITRO_ENOTFOUND || (rc == NITRO_OK && s->lsn != in->want)) return NITRO_ECORRUPT;
        if (rc != NITRO_OK) return rc;
        if (s->frame.time_ms > in->time_ms) in->time_ms = s->frame.time_ms;
    }
}

int nk_merge_in_next(struct nk_merge_in *in, bool hold, struct nk_placed *out) {
    bool data = in->piece->kind == NK_FILE_DATA;
    in->bad_at = nk_merge_in_at(in);
    in->data.hold = hold;
    int rc = data ? nk_datascan_record(&in->data, true, out) : next_of_log(in, hold, out);
    if (rc == NITRO_EIO) in->sys = data ? in->data.sys : in->log.sys;
    if (rc != NITRO_OK) return rc;
    if (out->r.kind == NK_REC_EXPIRE) return NITRO_ECORRUPT; /* a new expiry is a put here */
    in->want = out->r.lsn + 1;
    in->end = out->offset + out->bytes;
    return NITRO_OK;
}
