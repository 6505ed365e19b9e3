/* SPDX-License-Identifier: MIT
 *
 * log.c - appending to the write-ahead log, writing and syncing it (L4).
 *
 * DESIGN
 *   Records are appended, ready to be written, to a ring in memory; offset, LSN and CRC are final from then
 *   on. They gather in an open frame. The writer closes it and writes everything up to there; what is
 *   appended meanwhile begins a new frame behind it. Values from 64 KiB on, and batches larger than the
 *   ring allows, are spliced: the frame continues with bytes that lie elsewhere, held by a reference
 *   until they are written.
 *
 *     ring     | frame 7 | frame 8 … open |           positions ring_head .. ring_tail
 *     file     … | frame 7 | frame 8 … | reserved zeros … window_end
 *
 *   Room is checked before anything is decided to happen: in the ring, in the table of frames, and in the
 *   file, where only [.. window_end) is allocated and synced (logfill.c). When the file is full and the
 *   next one prepared, appends go on there: a change of a pointer.
 *
 * INVARIANTS (under the lock)
 *   (1) Frames frame_head .. frame_tail - 1 lie in the ring in that order and cover ring_head .. ring_tail.
 *   (2) Only the newest frame may be open; its file is `cur` and it ends at `at`.
 *   (3) at <= window_end of cur - NK_LOG_FOOTER_ROOM.
 *   (4) durable <= written <= appended = next_lsn - 1. The writer moves ring_head, frame_head, splice_head,
 *       `writing` and `written` without the lock: they only grow, and an old value only means less room.
 *
 * FAILURE  A write or sync that failed is final (Rebello et al., "Can Applications Recover from fsync
 *   Failures?", USENIX ATC 2020): the kernel may have dropped the data and call the pages clean.
 *
 * NOT HERE  room and files (logfill.c), reading (logscan.c, recover.c).
 */
#include "log.h"
#include "frame.h"
#include "mutant.h"

#include <stdio.h>

#define RING_MASK ((uint64_t)NK_RING_BYTES - 1)

static void set64(uint64_t *word, uint64_t v) { __atomic_store_n(word, v, __ATOMIC_RELEASE); }

/* Counters have one writer at a time, and are read by nitro_stats without a lock. */
static void count(uint64_t *counter, uint64_t n) {
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* ---- failure -----------------------------------------------------------------------------------*/

int nk_log_fail(struct nk_log *l, struct nitro_err *err, int sys, const char *what,
                uint64_t number) {
    char name[NK_PATH_MAX] = NK_PATH_MANIFEST;
    if (number != 0) nk_path_log(number, name);
    nk_spin_lock(&l->lock);
    if (l->view.status != NITRO_LOG_FAILED) {
        nk_err_set(&l->err, NITRO_EIO, -sys,
                   "%s %s/%s: %s; nothing more is written to this folder: restart when the disk is "
                   "sound",
                   what, l->dir, name, strerror(-sys));
        __atomic_store_n(&l->view.status, NITRO_LOG_FAILED, __ATOMIC_RELEASE);
    }
    if (err != NULL) *err = l->err;
    nk_spin_unlock(&l->lock);
    __atomic_fetch_add(&l->view.room_seq, 1, __ATOMIC_RELEASE);
    return NITRO_EIO;
}

void nk_log_error(const struct nk_log *cl, struct nitro_err *err) {
    struct nk_log *l = (struct nk_log *)(uintptr_t)cl;
    nk_spin_lock(&l->lock);
    *err = l->err;
    nk_spin_unlock(&l->lock);
}

static uint32_t status(const struct nk_log *l) {
    return __atomic_load_n(&l->view.status, __ATOMIC_ACQUIRE);
}

static int failed(struct nk_log *l, struct nitro_err *err) {
    if (err != NULL) nk_log_error(l, err);
    return NITRO_EIO;
}

/* ---- the ring ----------------------------------------------------------------------------------*/

/* Puts n bytes at a position; they may go around the end. */
static void ring_poke(struct nk_log *l, uint64_t at, const void *p, uint64_t n) {
    if (n == 0) return;
    uint64_t from = at & RING_MASK, first = nk_min_u64(n, NK_RING_BYTES - from);
    memcpy(l->ring + from, p, first);
    if (n > first) memcpy(l->ring, (const uint8_t *)p + first, n - first);
}

/* The next n bytes of the open frame. */
static void put(struct nk_log *l, const void *p, uint64_t n) {
    if (NK_UNLIKELY(l->block != NULL)) {
        if (n > 0) memcpy(l->block + l->block_bytes, p, n);
        l->block_bytes += n;
        return;
    }
    ring_poke(l, l->ring_tail, p, n);
    l->ring_tail += n;
    l->frames[(l->frame_tail - 1) % NK_LOG_FRAMES].ring_bytes += n;
}

/* The open frame continues with p[0 .. bytes). */
static void splice(struct nk_log *l, const uint8_t *p, uint64_t bytes, void *object) {
    struct nk_log_frame *f = &l->frames[(l->frame_tail - 1) % NK_LOG_FRAMES];
    l->splices[l->splice_tail++ % NK_LOG_SPLICES] =
        (struct nk_splice){.ring_at = l->ring_tail, .p = p, .bytes = bytes, .object = object};
    f->splices++;
}

/* ---- room --------------------------------------------------------------------------------------*/

/* Where frames in a file must end. */
static uint64_t usable(const struct nk_log_file *f, bool is_delete) {
    uint64_t keep = NK_LOG_FOOTER_ROOM + (is_delete ? 0 : NK_LOG_RESERVE);
    return f->window_end > keep ? f->window_end - keep : 0;
}

/* ---- files that are the data -------------------------------------------------------------------*/

/* What is written of a file, or durable, is known to be so up to there. Under the lock. */
static void note_durable(struct nk_file *s, uint64_t upto) {
    bool all = s->end != 0 && upto >= s->end;
    __atomic_store_n(&s->durable, all ? UINT64_MAX : upto, __ATOMIC_RELEASE);
}

/* Nothing more is appended to the current file. Under the lock. */
static void note_end(struct nk_log *l) {
    if (l->files == NULL) return;
    struct nk_file *s = nk_file_at(l->files, l->cur->slot);
    s->end = l->at;
    s->last_lsn = l->next_lsn - 1;
    note_durable(s, s->durable);
}

void nk_log_go_on(struct nk_log *l) {
    note_end(l);
    l->cur->next = l->prepared;
    l->cur = l->prepared;
    l->prepared = NULL;
    l->at = NK_SECTOR;
    l->fill_at = 0;
    l->frame_open = false;
}

/* Goes on in the next file if this one has no room and the next one has. (That one is prepared when this one's
 * window is complete, or when something is wanted that this one can't hold.) */
static bool file_room(struct nk_log *l, uint64_t bytes, bool is_delete) {
    uint64_t end = l->at + (l->frame_open ? 0 : NK_FRAME_HEADER) + bytes;
    uint64_t begin = NK_SECTOR + NK_FRAME_HEADER + bytes;
    bool here = end <= usable(l->cur, is_delete);
    bool next = l->prepared != NULL && begin <= usable(l->prepared, is_delete);
    if (here && (end <= l->cur->limit || !next)) return true;
    if (!next) return false;
    nk_log_go_on(l);
    return true;
}

static bool ring_room(const struct nk_log *l, uint64_t copied, uint32_t splices) {
    uint64_t used = l->ring_tail - __atomic_load_n(&l->ring_head, __ATOMIC_ACQUIRE);
    uint32_t frames = l->frame_tail - __atomic_load_n(&l->frame_head, __ATOMIC_ACQUIRE);
    uint32_t spliced = l->splice_tail - __atomic_load_n(&l->splice_head, __ATOMIC_ACQUIRE);
    return used + NK_FRAME_HEADER + copied <= NK_RING_BYTES && frames < NK_LOG_FRAMES &&
           spliced + splices <= NK_LOG_SPLICES;
}

static void open_frame(struct nk_log *l) {
    struct nk_log_file *file = l->cur;
    struct nk_log_frame *f = &l->frames[l->frame_tail++ % NK_LOG_FRAMES];
    *f = (struct nk_log_frame){.file = file,
                               .offset = l->at,
                               .ring_at = l->ring_tail,
                               .ring_bytes = NK_FRAME_HEADER,
                               .first_lsn = l->next_lsn};
    if (file->first_lsn == 0) {
        file->first_lsn = l->next_lsn;
        file->prev_number = l->used_number;
        file->prev_last_lsn = l->used_lsn;
        f->opens_file = true;
        if (l->files != NULL)
            __atomic_store_n(&nk_file_at(l->files, file->slot)->first_lsn, l->next_lsn,
                             __ATOMIC_RELEASE);
    }
    l->used_number = file->number;
    l->ring_tail += NK_FRAME_HEADER;
    l->at += NK_FRAME_HEADER;
    l->frame_open = true;
}

/* Whether there may be a room later; never under the lock. */
static int no_room(struct nk_log *l) {
    __atomic_store_n(&l->view.fill, 1, __ATOMIC_RELEASE);
    return status(l) == NITRO_LOG_FULL ? NITRO_ELOGFULL : NK_ROOM;
}

int nk_log_begin(struct nk_log *l, uint64_t bytes, uint64_t copied, uint32_t splices,
                 bool is_delete) {
    if (NK_UNLIKELY(status(l) == NITRO_LOG_FAILED)) return NITRO_EREADONLY;
    if (NK_UNLIKELY(!nk_spin_try(&l->lock, NK_LOCK_SPINS))) return NITRO_EBUSY;
    if (NK_UNLIKELY(l->stopped)) {
        nk_spin_unlock(&l->lock);
        return NITRO_ESHUTDOWN;
    }
    if (l->frame_open) {
        const struct nk_log_frame *f = &l->frames[(l->frame_tail - 1) % NK_LOG_FRAMES];
        l->frame_open = f->bytes + bytes <= NK_FRAME_BYTES_MAX;
    }
    bool ring = ring_room(l, copied, splices);
    if (NK_UNLIKELY(!ring || !file_room(l, bytes, is_delete))) {
        nk_spin_unlock(&l->lock);
        return ring ? no_room(l) : NK_ROOM;
    }
    if (!l->frame_open) open_frame(l);
    return NITRO_OK;
}

int nk_log_begin_block(struct nk_log *l, uint64_t bytes, uint8_t *block, void *object,
                       bool is_delete) {
    int rc = nk_log_begin(l, bytes, 0, 1, is_delete);
    if (rc != NITRO_OK) return rc;
    l->block = block;
    l->block_bytes = 0;
    l->block_object = object;
    return NITRO_OK;
}

void nk_log_append(struct nk_log *l, struct nk_record *r, uint32_t body_crc, void *object) {
    uint8_t head[NK_REC_HEAD_MAX];
    struct nk_log_frame *f = &l->frames[(l->frame_tail - 1) % NK_LOG_FRAMES];
    NK_DCHECK(body_crc == nk_record_body_crc(r)); /* it may have been computed long before */
    r->lsn = l->next_lsn++;
    uint32_t n = nk_record_head(r, body_crc, l->cur->first_lsn, l->at, l->cur->salt, head);
    put(l, head, n);
    put(l, r->key, r->key_bytes);
    if (object != NULL)
        splice(l, r->value, r->value_bytes, object);
    else
        put(l, r->value, r->value_bytes);
    uint64_t bytes = (uint64_t)n + r->key_bytes + r->value_bytes;
    r->loc = 0;
    if (l->files != NULL) {
        NK_ASSERT(l->at <= NK_LOC_OFFSET_MAX);
        r->loc = nk_loc(l->cur->slot, l->at, bytes);
    }
    l->at += bytes;
    f->bytes += bytes;
    f->count++;
}

void nk_log_end(struct nk_log *l) {
    if (NK_UNLIKELY(l->block != NULL)) {
        splice(l, l->block, l->block_bytes, l->block_object);
        l->block = NULL;
    }
    l->used_lsn = l->next_lsn - 1;
    count(&l->records, 1);
    set64(NK_MUTATE(6, &l->view.written, &l->view.appended), l->next_lsn - 1);
    if (NK_UNLIKELY(l->at > l->fill_at)) __atomic_store_n(&l->view.fill, 1, __ATOMIC_RELEASE);
    nk_spin_unlock(&l->lock);
}

/* ---- writing -----------------------------------------------------------------------------------*/

/* Bytes of a frame that go out in a row: from the ring, or of one splice. */
struct out {
    struct nk_log *l;
    int fd;
    uint64_t offset;
    int rc;
};

static void out_bytes(struct out *o, const uint8_t *p, uint64_t n) {
    if (o->rc != 0 || n == 0) return;
    o->rc = nk_vfs_write(o->l->vfs, o->fd, p, n, o->offset, "log: frame");
    o->offset += n;
}

static void out_ring(struct out *o, uint64_t at, uint64_t n) {
    uint64_t from = at & RING_MASK, first = nk_min_u64(n, NK_RING_BYTES - from);
    out_bytes(o, o->l->ring + from, first);
    out_bytes(o, o->l->ring, n - first);
}

/* Fills in the header of a closed frame and writes it. 0, or -errno. */
static int write_frame(struct nk_log *l, const struct nk_log_frame *f, uint32_t first_splice,
                       uint64_t durable, int64_t now_ms) {
    uint8_t head[NK_FRAME_HEADER];
    struct nk_frame_head h = {.bytes = (uint32_t)f->bytes,
                              .count = f->count,
                              .first_lsn = f->first_lsn,
                              .durable_lsn = durable,
                              .time_ms = now_ms};
    nk_frame_encode(&h, f->offset, f->file->salt, head);
    ring_poke(l, f->ring_at, head, sizeof head);
    if (NK_MUTATE(8, false, f->opens_file)) {
        int rc = nk_log_header_write(l, f->file, durable, now_ms);
        if (rc != 0) return rc;
    }
    struct out o = {.l = l, .fd = f->file->fd, .offset = f->offset};
    uint64_t at = f->ring_at, end = f->ring_at + f->ring_bytes;
    for (uint32_t i = 0; i < f->splices; i++) {
        const struct nk_splice *s = &l->splices[(first_splice + i) % NK_LOG_SPLICES];
        out_ring(&o, at, s->ring_at - at);
        out_bytes(&o, s->p, s->bytes);
        at = s->ring_at;
    }
    out_ring(&o, at, end - at);
    return o.rc;
}

/* Says how far the files of the frames up to `tail` are written. Under the lock. */
static void note_written(struct nk_log *l, uint32_t tail) {
    if (l->files == NULL) return;
    for (uint32_t i = l->frame_head; i != tail; i++) {
        const struct nk_log_frame *f = &l->frames[i % NK_LOG_FRAMES];
        struct nk_file *s = nk_file_at(l->files, f->file->slot);
        __atomic_store_n(&s->written, f->offset + NK_FRAME_HEADER + f->bytes, __ATOMIC_RELEASE);
    }
}

/* Gives back what the frames up to `tail` occupied, and says that they are written. Under the lock, because somebody may be
 * looking at them (nk_log_peek); what is spliced goes afterwards. */
static void written(struct nk_log *l, uint32_t tail, uint32_t splices, uint64_t upto) {
    uint64_t bytes = 0;
    uint32_t first = l->splice_head;
    void *objects[NK_LOG_SPLICES];
    for (uint32_t i = 0; i < splices; i++)
        objects[i] = l->splices[(first + i) % NK_LOG_SPLICES].object;
    for (uint32_t i = l->frame_head; i != tail; i++)
        bytes += NK_FRAME_HEADER + l->frames[i % NK_LOG_FRAMES].bytes;
    count(&l->written_bytes, bytes);
    count(&l->frames_written, tail - l->frame_head);
    /* what is appended next may use the room from here on, and must not reach the readers before */
    const struct nk_log_frame *last = &l->frames[(tail - 1) % NK_LOG_FRAMES];
    struct nk_log_file *file = last->file;
    uint64_t ring_head = last->ring_at + last->ring_bytes;
    nk_spin_lock(&l->lock);
    note_written(l, tail);
    __atomic_store_n(&l->splice_head, first + splices, __ATOMIC_RELEASE);
    __atomic_store_n(&l->frame_head, tail, __ATOMIC_RELEASE);
    set64(&l->ring_head, ring_head);
    nk_spin_unlock(&l->lock);
    __atomic_store_n(&l->writing, file, __ATOMIC_RELEASE);
    set64(&l->view.written, upto);
    __atomic_fetch_add(&l->view.room_seq, 1, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < splices; i++) l->release(l->release_ctx, objects[i]);
}

int nk_log_write(struct nk_log *l, int64_t now_ms, struct nitro_err *err) {
    if (status(l) == NITRO_LOG_FAILED) return failed(l, err);
    if (now_ms < 1) now_ms = 1; /* frames know no time before */
    if (!nk_spin_try(&l->lock, NK_LOCK_SPINS)) return NITRO_EBUSY;
    uint32_t head = l->frame_head, tail = l->frame_tail, splices = 0;
    uint64_t upto = l->next_lsn - 1, durable = nk_log_durable(l);
    durable = NK_MUTATE(9, l->view.written, durable);
    l->frame_open = NK_MUTATE(7, l->frame_open, false);
    nk_spin_unlock(&l->lock);
    if (head == tail) return NITRO_OK;
    for (uint32_t i = head; i != tail; i++) {
        const struct nk_log_frame *f = &l->frames[i % NK_LOG_FRAMES];
        int rc = write_frame(l, f, l->splice_head + splices, durable, now_ms);
        if (rc != 0 && NK_MUTATE(5, false, true))
            return nk_log_fail(l, err, rc, "cannot write to", f->file->number);
        splices += f->splices;
    }
    count(&l->writes, 1);
    written(l, tail, splices, upto);
    return NITRO_OK;
}

/* ---- reading what is not written yet -----------------------------------------------------------*/

/* The frame that holds the record at loc, and the number of splices before its own; NULL: it is written. */
static const struct nk_log_frame *frame_of(const struct nk_log *l, uint64_t loc,
                                           uint32_t *splices) {
    uint64_t offset = nk_loc_offset(loc);
    *splices = 0;
    for (uint32_t i = l->frame_head; i != l->frame_tail; i++) {
        const struct nk_log_frame *f = &l->frames[i % NK_LOG_FRAMES];
        if (f->file->slot == nk_loc_slot(loc) && offset >= f->offset &&
            offset < f->offset + NK_FRAME_HEADER + f->bytes)
            return f;
        *splices += f->splices;
    }
    return NULL;
}

static void ring_peek(const struct nk_log *l, uint64_t at, uint8_t *out, uint64_t n) {
    uint64_t from = at & RING_MASK, first = nk_min_u64(n, NK_RING_BYTES - from);
    memcpy(out, l->ring + from, first);
    if (n > first) memcpy(out + first, l->ring, n - first);
}

/* The record that begins `skip` bytes behind the begin of a frame, spliced bytes counted. */
static void peek_frame(struct nk_log *l, const struct nk_log_frame *f, uint32_t splices,
                       uint64_t skip, uint64_t want, uint8_t *buf, struct nk_peeked *out) {
    uint64_t at = f->ring_at, cap = nk_min_u64(want, NK_PEEK_MAX);
    for (uint32_t i = 0; i <= f->splices; i++) {
        const struct nk_splice *s =
            i < f->splices ? &l->splices[(l->splice_head + splices + i) % NK_LOG_SPLICES] : NULL;
        uint64_t piece = (s != NULL ? s->ring_at : f->ring_at + f->ring_bytes) - at;
        bool here = skip < piece;
        if (here) {
            out->bytes = nk_min_u64(cap, piece - skip);
            ring_peek(l, at + skip, buf, out->bytes);
            skip = piece;
            if (out->bytes == cap) return;
        }
        if (s == NULL) return;
        skip -= piece;
        if (here || skip < s->bytes) {
            out->rest = s->p + skip;
            out->rest_bytes = nk_min_u64(want - out->bytes, s->bytes - skip);
            out->object = s->object;
            l->retain(l->release_ctx, s->object);
            return;
        }
        skip -= s->bytes;
        at = s->ring_at;
    }
}

int nk_log_peek(struct nk_log *l, uint64_t loc, uint8_t *buf, struct nk_peeked *out) {
    const struct nk_file *file = nk_file_at(l->files, nk_loc_slot(loc));
    uint32_t splices;
    if (nk_loc_offset(loc) < __atomic_load_n(&file->written, __ATOMIC_ACQUIRE))
        return NITRO_ENOTFOUND;
    if (!nk_spin_try(&l->lock, NK_LOCK_SPINS)) return NITRO_EBUSY;
    const struct nk_log_frame *f = frame_of(l, loc, &splices);
    if (f != NULL) {
        *out = (struct nk_peeked){0};
        peek_frame(l, f, splices, nk_loc_offset(loc) - f->offset, nk_loc_bytes(loc), buf, out);
    }
    nk_spin_unlock(&l->lock);
    return f != NULL ? NITRO_OK : NITRO_ENOTFOUND;
}

/* ---- syncing -----------------------------------------------------------------------------------*/

/* Says how far the files up to `last` are durable: that one up to `to`. Under the lock. */
static void note_synced(struct nk_log *l, const struct nk_log_file *last, uint64_t to) {
    const struct nk_log_file *f = l->unsynced;
    for (; f != last; f = f->next) note_durable(nk_file_at(l->files, f->slot), UINT64_MAX);
    note_durable(nk_file_at(l->files, f->slot), to);
}

/* Takes out of the list what is durable to its end and nobody uses any more. `to`: how far `last` is durable. */
static struct nk_log_file *retire(struct nk_log *l, struct nk_log_file *last, uint64_t upto,
                                  uint64_t to) {
    struct nk_log_file *first = l->unsynced;
    if (NK_LIKELY(first == last && l->files == NULL)) {
        set64(&l->view.durable, upto);
        return NULL;
    }
    nk_spin_lock(&l->lock);
    if (l->files != NULL) note_synced(l, last, to);
    struct nk_log_file **end = &first;
    while (l->unsynced != last && l->unsynced != l->filling) {
        end = &l->unsynced->next;
        l->unsynced = l->unsynced->next;
    }
    set64(&l->view.durable, upto);
    nk_spin_unlock(&l->lock);
    if (end == &first) return NULL;
    *end = NULL;
    return first;
}

int nk_log_sync(struct nk_log *l, struct nitro_err *err) {
    if (status(l) == NITRO_LOG_FAILED) return failed(l, err);
    /* in this order: the file may be newer than the LSN, never older */
    uint64_t upto = nk_log_written(l), bytes = __atomic_load_n(&l->written_bytes, __ATOMIC_RELAXED);
    struct nk_log_file *last = __atomic_load_n(&l->writing, __ATOMIC_ACQUIRE);
    struct nk_log_file *f = NK_MUTATE(3, last, l->unsynced);
    if (upto == nk_log_durable(l)) return NITRO_OK;
    uint64_t to = UINT64_MAX; /* of the records in that file */
    if (l->files != NULL)
        to = __atomic_load_n(&nk_file_at(l->files, last->slot)->written, __ATOMIC_ACQUIRE);
    for (;; f = f->next) {
        const char *why = f == last ? "log: sync" : "log: sync older file";
        int rc = NK_MUTATE(1, 0, nk_vfs_sync(l->vfs, f->fd, why));
        if (rc != 0)
            return NK_MUTATE(4, NITRO_EIO, nk_log_fail(l, err, rc, "cannot sync", f->number));
        if (f == last) break;
    }
    count(&l->syncs, 1);
    uint64_t mean = l->group_bytes - l->group_bytes / 8 + (bytes - l->synced_bytes) / 8;
    __atomic_store_n(&l->group_bytes, mean, __ATOMIC_RELAXED);
    l->synced_bytes = bytes;
    struct nk_log_file *done = retire(l, last, NK_MUTATE(2, nk_log_written(l), upto), to);
    while (done != NULL) {
        struct nk_log_file *next = done->next;
        nk_log_file_free(l, &done);
        done = next;
    }
    return NITRO_OK;
}
