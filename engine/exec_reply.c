/* SPDX-License-Identifier: MIT
 *
 * exec_reply.c - encodes replies straight into the chunk's output buffer.
 *
 * DESIGN
 *   RESP is written as bytes; a binary frame is opened (room for its header), filled, and closed
 *   (header and checksums, when its length is known). Large values never pass through out: a tail
 *   describes where they lie, the host writes them from there, and nk_tail_resume writes what
 *   follows: a CRLF, or the header of the next frame.
 *
 * NOT HERE  what is replied (exec_*.c).
 */
#include "crc32c.h"
#include "exec.h"

#define FAULT_MIDDLE_MAX 128u /* bytes of the client's own words in an error */

/* ---- frames -----------------------------------------------------------------------------------*/

NK_INLINE uint64_t header_word(int status, uint16_t id, uint32_t flags, uint64_t n) {
    return NK_NBP_REPLY | (uint64_t)(uint8_t)status << 8 | (uint64_t)id << 16 |
           (uint64_t)flags << 32 | n << 40;
}

void nk_frame_open(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f) {
    f->at = x->c->pub.out_len;
    f->flags = r->wire & NK_NBP_INTEGRITY;
    x->c->pub.out_len += NK_NBP_HEADER + (f->flags != 0 ? NK_NBP_INTEGRITY_BYTES : 0);
}

void nk_frame_version(struct nk_exec *x, struct nk_frame *f, uint64_t version) {
    f->flags |= NK_NBP_VERSION;
    nk_out_bytes(x, &version, sizeof version);
}

void nk_frame_expiry(struct nk_exec *x, struct nk_frame *f, int64_t expire_ms) {
    f->flags |= NK_NBP_EXPIRY;
    nk_out_bytes(x, &expire_ms, sizeof expire_ms);
}

void nk_frame_close(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f, int status,
                    bool more, const uint8_t *tail, uint64_t tail_n) {
    uint8_t *head = x->c->pub.out + f->at;
    uint64_t here = x->c->pub.out_len - f->at - NK_NBP_HEADER;
    bool sums = (f->flags & NK_NBP_INTEGRITY) != 0;
    x->status = (uint8_t)status;
    if ((r->wire & NK_NBP_QUIET) != 0 && status < 0x20 && !more && tail_n == 0 &&
        (f->flags & ~NK_NBP_INTEGRITY) == 0 && here == (sums ? NK_NBP_INTEGRITY_BYTES : 0)) {
        x->c->pub.out_len = f->at;
        return;
    }
    uint32_t flags = f->flags | (more ? NK_NBP_MORE : 0);
    nk_store64(head, header_word(status, r->id, flags, here + tail_n));
    if (!sums) return;
    uint32_t crc =
        nk_crc32c(0, head + NK_NBP_HEADER + NK_NBP_INTEGRITY_BYTES, here - NK_NBP_INTEGRITY_BYTES);
    nk_store32(head + NK_NBP_HEADER, nk_crc32c(0, head, NK_NBP_HEADER));
    nk_store32(head + NK_NBP_HEADER + 4, nk_crc32c(crc, tail, tail_n));
}

void nk_frame_plain(struct nk_exec *x, const struct nk_req *r, int status, const void *body,
                    size_t n) {
    struct nk_frame f;
    nk_frame_open(x, r, &f);
    if (n > 0) nk_out_bytes(x, body, n);
    nk_frame_close(x, r, &f, status, false, NULL, 0);
}

/* ---- ordinary replies -------------------------------------------------------------------------*/

void nk_reply_value(struct nk_exec *x, const struct nk_req *r, const uint8_t *p, uint64_t n) {
    if (x->binary) {
        if (NK_UNLIKELY((r->wire & (NK_NBP_INTEGRITY | NK_NBP_QUIET)) != 0)) {
            nk_frame_plain(x, r, NITRO_OK, p, n);
            return;
        }
        uint8_t *w = nk_out(x);
        nk_store64(w, header_word(NITRO_OK, r->id, 0, n));
        if (n > 0) memcpy(w + NK_NBP_HEADER, p, n);
        nk_out_to(x, w + NK_NBP_HEADER + n);
        return;
    }
    nk_out_head(x, '$', n);
    uint8_t *w = nk_out(x);
    if (n > 0) memcpy(w, p, n);
    w[n] = '\r';
    w[n + 1] = '\n';
    nk_out_to(x, w + n + 2);
}

void nk_reply_ok(struct nk_exec *x, const struct nk_req *r) {
    if (x->binary)
        nk_reply_status(x, r, NITRO_OK);
    else
        nk_out_text(x, "+OK\r\n");
}

void nk_reply_null(struct nk_exec *x) {
    if (x->ss->proto == NITRO_PROTO_RESP3)
        nk_out_text(x, "_\r\n");
    else
        nk_out_text(x, "$-1\r\n");
}

void nk_reply_int(struct nk_exec *x, int64_t v) {
    uint8_t *w = nk_out(x);
    *w = ':';
    w = nk_num_put_i64(w + 1, v);
    w[0] = '\r';
    w[1] = '\n';
    nk_out_to(x, w + 2);
}

void nk_reply_status(struct nk_exec *x, const struct nk_req *r, int status) {
    if (NK_LIKELY((r->wire & (NK_NBP_INTEGRITY | NK_NBP_QUIET)) == 0)) {
        x->status = (uint8_t)status;
        nk_store64(nk_out(x), header_word(status, r->id, 0, 0));
        x->c->pub.out_len += NK_NBP_HEADER;
        return;
    }
    nk_frame_plain(x, r, status, NULL, 0);
}

/* ---- errors -----------------------------------------------------------------------------------*/

struct fault_text {
    int code;
    const char *prefix, *before, *after;
};

static const struct fault_text faults[NK_FAULT_COUNT] = {
#define NK_X(name, code, prefix, before, after) {NITRO_##code, prefix, before, after},
    NK_FAULTS(NK_X)
#undef NK_X
};

void nk_req_fault(struct nk_req *r, enum nk_fault fault, const void *middle, size_t n) {
    r->op = NK_OP_ERROR;
    r->code = (uint8_t)fault;
    r->val = middle;
    r->val_len = (uint32_t)nk_min_u64(n, FAULT_MIDDLE_MAX);
}

enum nk_fault nk_fault_of(int code) {
    switch (code) {
    case NITRO_ENOMEM:
        return NK_FAULT_NO_MEMORY;
    case NITRO_EMAXMEMORY:
        return NK_FAULT_MAX_MEMORY;
    case NITRO_ENOTNUMBER:
        return NK_FAULT_NOT_INTEGER;
    case NITRO_EOVERFLOW:
        return NK_FAULT_OVERFLOW;
    case NITRO_EKEYSIZE:
        return NK_FAULT_KEY_SIZE;
    case NITRO_EVALUESIZE:
        return NK_FAULT_VALUE_SIZE;
    case NITRO_EAUTHREQUIRED:
        return NK_FAULT_AUTH_REQUIRED;
    case NITRO_ELOADING:
        return NK_FAULT_LOADING;
    case NITRO_ELOGFULL:
        return NK_FAULT_LOG_FULL;
    case NITRO_EREADONLY:
        return NK_FAULT_READ_ONLY;
    case NITRO_ENOTDURABLE:
        return NK_FAULT_NOT_DURABLE;
    case NITRO_EUNKNOWNOUTCOME:
        return NK_FAULT_UNKNOWN_OUTCOME;
    case NITRO_EIO:
        return NK_FAULT_READ;
    case NITRO_ECORRUPT:
        return NK_FAULT_DAMAGED;
    default:
        return NK_FAULT_INTERNAL;
    }
}

static void out_string(struct nk_exec *x, const char *s) { nk_out_bytes(x, s, strlen(s)); }

/* out_line: bytes of the client in a RESP line, where a line break would end the reply. */
static void out_line(struct nk_exec *x, const uint8_t *p, size_t n) {
    uint8_t *w = nk_out(x);
    for (size_t i = 0; i < n; i++) w[i] = p[i] == '\r' || p[i] == '\n' ? ' ' : p[i];
    x->c->pub.out_len += n;
}

/* printable: how much of an argument a C string would show, as Redis prints it. */
static size_t printable(struct nitro_slice s, size_t max) {
    size_t n = nk_min_u64(s.n, max);
    const uint8_t *nul = memchr(s.p, 0, n);
    return nul != NULL ? (size_t)(nul - s.p) : n;
}

void nk_reply_fault(struct nk_exec *x, const struct nk_req *r, enum nk_fault fault,
                    const uint8_t *middle, size_t n) {
    const struct fault_text *t = &faults[fault];
    struct nk_frame f;
    if (n > 0) n = printable((struct nitro_slice){middle, n}, n);
    while (*t->after == 0 && n > 0 && (middle[n - 1] == '\r' || middle[n - 1] == '\n')) n--;
    if (x->binary) {
        nk_frame_open(x, r, &f);
        out_string(x, t->before);
        out_line(x, middle, n);
        out_string(x, t->after);
        nk_frame_close(x, r, &f, t->code, false, NULL, 0);
        return;
    }
    x->status = (uint8_t)t->code;
    nk_out_text(x, "-");
    out_string(x, t->prefix);
    out_string(x, t->before);
    out_line(x, middle, n);
    out_string(x, t->after);
    nk_out_text(x, "\r\n");
}

/* What the log lacks at this moment. */
static enum nk_fault full_fault(const struct nk_exec *x) {
    switch (__atomic_load_n(&nk_db_view(x->db)->full, __ATOMIC_RELAXED)) {
    case NITRO_LACK_HANDLES:
        return NK_FAULT_LOG_HANDLES;
    case NITRO_LACK_FILES:
        return NK_FAULT_LOG_FILES;
    default:
        return NK_FAULT_LOG_FULL;
    }
}

void nk_reply_error(struct nk_exec *x, const struct nk_req *r, int code) {
    enum nk_fault fault = code == NITRO_ELOGFULL ? full_fault(x) : nk_fault_of(code);
    nk_reply_fault(x, r, fault, NULL, 0);
}

void nk_reply_unknown(struct nk_exec *x, const struct nk_req *r) {
    const struct nitro_slice *a = x->c->slices + r->arg_at;
    x->status = NITRO_EARGUMENT;
    nk_out_text(x, "-ERR unknown command '");
    out_line(x, a[0].p, printable(a[0], FAULT_MIDDLE_MAX));
    nk_out_text(x, "', with args beginning with: ");
    size_t shown = 0;
    for (uint32_t i = 1; i < r->arg_count && shown < FAULT_MIDDLE_MAX; i++) {
        size_t n = printable(a[i], FAULT_MIDDLE_MAX - shown);
        nk_out_text(x, "'");
        out_line(x, a[i].p, n);
        nk_out_text(x, "' ");
        shown += n + 3;
    }
    nk_out_text(x, "\r\n");
}

/* ---- tails ------------------------------------------------------------------------------------*/

/* tail_piece: hands out the next part, at most a frame's worth in the binary protocol. */
static int tail_piece(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f,
                      const uint8_t *p, uint64_t n) {
    struct nk_tail *t = &x->c->tail;
    uint64_t piece = x->binary ? nk_min_u64(n, NK_FRAME_BODY_MAX) : n;
    t->p = p;
    t->left = n - piece;
    x->c->pub.big = p;
    x->c->pub.big_len = piece;
    if (x->binary) nk_frame_close(x, r, f, t->status, t->left > 0 || !t->finishes, p, piece);
    t->p = p + piece;
    return NITRO_STOP_BIG;
}

int nk_tail_start(struct nk_exec *x, const struct nk_req *r, struct nk_frame *f, int status,
                  const uint8_t *p, uint64_t n, struct nk_big *ref, bool finishes) {
    x->c->tail = (struct nk_tail){
        .ref = ref, .active = true, .finishes = finishes, .status = (uint8_t)status};
    return tail_piece(x, r, f, p, n);
}

int nk_tail_resume(struct nk_exec *x) {
    struct nk_tail *t = &x->c->tail;
    const struct nk_req *r = &x->c->reqs[x->c->pub.next];
    x->c->pub.big = NULL;
    x->c->pub.big_len = 0;
    if (t->left > 0) {
        struct nk_frame f;
        if (x->c->pub.out_len >= NK_OUT_SOFT) return NITRO_STOP_OUT;
        nk_frame_open(x, r, &f);
        return tail_piece(x, r, &f, t->p, t->left);
    }
    if (!x->binary) nk_out_text(x, "\r\n");
    if (t->ref != NULL) nk_big_release(x->db, t->ref);
    memset(t, 0, sizeof *t);
    return NITRO_STOP_DONE;
}
