/* SPDX-License-Identifier: MIT
 *
 * wire_nbp.c - splits bytes into binary frames, checks their blocks, joins requests sent in pieces.
 *
 * DESIGN
 *   A whole frame is parsed where it lies. A frame with MORE is copied to the session, and so are
 *   its continuations; the last one turns the joined body into a loan of the chunk, and the request
 *   goes the way of any other. What is wrong with one whole frame is answered with its id and the
 *   connection goes on; what loses the framing (kind, header checksum) or breaks a sequence of
 *   frames ends it, because what follows could be taken for requests.
 *
 * NOT HERE  bodies (wire_nbp_body.c), replies (exec_reply.c).
 */
#include "wire_nbp.h"

#include "crc32c.h"
#include "session.h"

#define BLOCK_FLAGS (NK_NBP_INTEGRITY | NK_NBP_EXT | NK_NBP_VERSION | NK_NBP_EXPIRY)

/* A frame whose blocks have been taken off. */
struct frame {
    struct nk_head head;
    const uint8_t *p, *end; /* what is left of it: the body in the end */
};

/* refuse: a request that is answered by a fault. Id 0 if the header can't be trusted. */
static NK_NOINLINE enum nk_parsed refuse(struct nk_parser *f, const struct frame *fr,
                                         enum nk_fault fault, bool last) {
    struct nk_req *r = nk_parser_slot(f);
    memset(r, 0, sizeof *r);
    if (fr != NULL) {
        r->id = fr->head.id;
        r->wire = fr->head.flags & (NK_NBP_INTEGRITY | NK_NBP_QUIET);
    }
    nk_req_fault(r, fault, NULL, 0);
    f->c->pub.count++;
    return last ? NK_PARSED_LAST : NK_PARSED;
}

/* check_extensions: every one is skipped; none is known, so a critical one is refused.
 * NK_FAULT_NONE or the fault. */
static NK_NOINLINE enum nk_fault check_extensions(struct frame *fr) {
    if (fr->end - fr->p < 2) return NK_FAULT_FRAME_BLOCKS;
    size_t left = nk_load16(fr->p);
    fr->p += 2;
    if ((size_t)(fr->end - fr->p) < left) return NK_FAULT_FRAME_BLOCKS;
    const uint8_t *p = fr->p;
    bool critical = false;
    fr->p += left;
    while (left > 0) {
        if (left < 4 || left - 4 < nk_load16(p + 2)) return NK_FAULT_FRAME_BLOCKS;
        critical |= (nk_load16(p) & 0x8000u) != 0;
        size_t used = 4u + nk_load16(p + 2);
        p += used;
        left -= used;
    }
    return critical ? NK_FAULT_EXTENSION : NK_FAULT_NONE;
}

/* take_integrity: verifies the body's checksum, if the frame has one, and takes the block off. (The
 * header's checksum was verified before its length was believed.) */
static NK_NOINLINE enum nk_fault take_integrity(struct frame *fr) {
    if ((fr->head.flags & NK_NBP_INTEGRITY) == 0) return NK_FAULT_NONE;
    if (fr->end - fr->p < NK_NBP_INTEGRITY_BYTES) return NK_FAULT_FRAME_BLOCKS;
    fr->p += NK_NBP_INTEGRITY_BYTES;
    if (nk_crc32c(0, fr->p, (size_t)(fr->end - fr->p)) != nk_load32(fr->p - 4))
        return NK_FAULT_CHECKSUM_BODY;
    return NK_FAULT_NONE;
}

/* take_blocks: verifies and takes off all blocks. NK_FAULT_NONE or the fault, in the order of the
 * specification. */
static NK_NOINLINE enum nk_fault take_blocks(struct frame *fr) {
    struct nk_head *h = &fr->head;
    enum nk_fault bad = take_integrity(fr);
    if (bad != NK_FAULT_NONE) return bad;
    if (h->flags & NK_NBP_EXT) bad = check_extensions(fr);
    if (bad == NK_FAULT_FRAME_BLOCKS) return bad;
    size_t need = (h->flags & NK_NBP_VERSION ? 8u : 0u) + (h->flags & NK_NBP_EXPIRY ? 8u : 0u);
    if ((size_t)(fr->end - fr->p) < need) return NK_FAULT_FRAME_BLOCKS;
    if (h->flags & NK_NBP_VERSION) {
        h->version = nk_load64(fr->p);
        fr->p += 8;
    }
    if (h->flags & NK_NBP_EXPIRY) {
        h->expiry = (int64_t)nk_load64(fr->p);
        fr->p += 8;
        if (h->expiry == 0) return NK_FAULT_FRAME_EXPIRY;
    }
    return bad;
}

/* check_head: opcode and flags of a first frame. NK_FAULT_NONE or the fault. */
NK_INLINE enum nk_fault check_head(const struct nk_head *h) {
    int allowed = nk_nbp_flags_allowed(h->opcode);
    if (NK_UNLIKELY(allowed < 0)) return NK_FAULT_OPCODE;
    uint32_t blocks = h->flags & (NK_NBP_VERSION | NK_NBP_EXPIRY);
    if (NK_UNLIKELY((blocks & ~(uint32_t)allowed) != 0)) return NK_FAULT_FLAG;
    if (NK_UNLIKELY((h->opcode == NK_NBP_EXPIRE || h->opcode == NK_NBP_EXPIREX) && blocks == 0))
        return NK_FAULT_FRAME_NO_EXPIRY;
    return NK_FAULT_NONE;
}

/* half_fault: why a piece of a request could not be kept. */
static enum nk_fault half_fault(int code) {
    if (code == NITRO_ELIMIT) return NK_FAULT_CHUNK_IDS;
    if (code == NITRO_EVALUESIZE) return NK_FAULT_CHUNK_SIZE;
    return nk_fault_of(code);
}

/* begin_half: the first of several frames. */
static NK_NOINLINE enum nk_parsed begin_half(struct nk_parser *f, const struct frame *fr) {
    struct nk_half *h = NULL;
    int rc = nk_half_begin(f->db, f->ss, &fr->head, &h);
    if (rc == NITRO_OK) rc = nk_half_append(f->db, h, fr->p, (size_t)(fr->end - fr->p));
    if (rc != NITRO_OK) return refuse(f, fr, half_fault(rc), true);
    return NK_PARSED;
}

/* check_continuation: a further frame of h. NK_FAULT_NONE or the fault; the checksum comes
 * before the flags. */
static enum nk_fault check_continuation(const struct nk_half *h, struct frame *fr) {
    enum nk_fault bad = take_integrity(fr);
    if (bad != NK_FAULT_NONE) return bad;
    if (fr->head.flags & (uint8_t) ~(NK_NBP_INTEGRITY | NK_NBP_MORE))
        return NK_FAULT_CONTINUATION_FLAG;
    if (fr->head.opcode != h->head.opcode) return NK_FAULT_CHUNK_OPCODE;
    return NK_FAULT_NONE;
}

/* go_on_half: a continuation, perhaps the last. */
static NK_NOINLINE enum nk_parsed go_on_half(struct nk_parser *f, struct nk_half *h,
                                             struct frame *fr) {
    enum nk_fault bad = check_continuation(h, fr);
    if (bad != NK_FAULT_NONE) return refuse(f, fr, bad, true);
    int rc = nk_half_append(f->db, h, fr->p, (size_t)(fr->end - fr->p));
    if (rc != NITRO_OK) return refuse(f, fr, half_fault(rc), true);
    if (fr->head.flags & NK_NBP_MORE) return NK_PARSED;

    struct nk_head head = h->head;
    size_t n = h->body_bytes;
    struct nk_loan *l = nk_half_take(f->db, f->ss, h);
    if (l != NULL) {
        l->next = f->c->loans;
        f->c->loans = l;
    }
    nk_nbp_decode(f, &head, l != NULL ? l->data : fr->p, n);
    nk_parser_slot(f)->joined = true;
    f->c->pub.count++;
    return NK_PARSED;
}

enum nk_parsed nk_nbp_next(struct nk_parser *f) {
    nitro_chunk *c = &f->c->pub;
    const uint8_t *from = c->in + c->in_pos;
    size_t have = c->in_len - c->in_pos;
    if (NK_UNLIKELY(*from != NK_NBP_REQUEST)) return refuse(f, NULL, NK_FAULT_FRAME_KIND, true);
    if (NK_UNLIKELY(have < NK_NBP_HEADER)) return nk_parser_need(f, c->in_pos + NK_NBP_HEADER);
    uint64_t word = nk_load64(from);
    size_t n = word >> 40;
    struct frame fr = {{(uint8_t)(word >> 8), (uint8_t)(word >> 32), (uint16_t)(word >> 16), 0, 0},
                       from + NK_NBP_HEADER,
                       from + NK_NBP_HEADER + n};
    if (NK_UNLIKELY(f->locked) &&
        (NK_NBP_HEADER + n > NITRO_LOCKED_BYTES || (fr.head.flags & NK_NBP_MORE) != 0))
        return refuse(f, &fr, NK_FAULT_LOCKED_FRAME, true);
    if (NK_UNLIKELY((fr.head.flags & NK_NBP_INTEGRITY) != 0 && n >= NK_NBP_INTEGRITY_BYTES)) {
        if (have < NK_NBP_HEADER + 4) return nk_parser_need(f, c->in_pos + NK_NBP_HEADER + 4);
        if (nk_crc32c(0, from, NK_NBP_HEADER) != nk_load32(from + NK_NBP_HEADER))
            return refuse(f, NULL, NK_FAULT_CHECKSUM_HEADER, true);
    }
    if (NK_UNLIKELY(have < NK_NBP_HEADER + n))
        return nk_parser_need(f, c->in_pos + NK_NBP_HEADER + n);
    c->in_pos += NK_NBP_HEADER + n;

    if (NK_UNLIKELY(f->ss->priv != NULL)) {
        struct nk_half *h = nk_half_find(f->ss, fr.head.id);
        if (h != NULL) return go_on_half(f, h, &fr);
    }
    enum nk_fault bad = NK_FAULT_NONE;
    if (NK_UNLIKELY((fr.head.flags & BLOCK_FLAGS) != 0)) bad = take_blocks(&fr);
    if (bad == NK_FAULT_NONE) bad = check_head(&fr.head);
    bool more = (fr.head.flags & NK_NBP_MORE) != 0;
    if (NK_UNLIKELY(bad != NK_FAULT_NONE)) return refuse(f, &fr, bad, more);
    if (NK_UNLIKELY(more)) return begin_half(f, &fr);
    nk_nbp_decode(f, &fr.head, fr.p, (size_t)(fr.end - fr.p));
    c->count++;
    return NK_PARSED;
}
