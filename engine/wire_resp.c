/* SPDX-License-Identifier: MIT
 *
 * wire_resp.c - splits text into requests: multibulk and inline framing.
 *
 * DESIGN
 *   The arguments of the request at in_pos are collected as spans, offsets from in_pos, in the
 *   chunk. When input runs out, the spans stay, so a request of a million arguments that arrives in
 *   small pieces is parsed once. A bulk's announced length goes into in_need, but memory is taken
 *   only as bytes arrive (nitro_chunk_grow), and the span array grows with arguments that are
 *   there. Quoted words of an inline command are unescaped where they lie, which is safe because a
 *   line is decoded only when it is complete, and all that can fail for lack of memory happens
 *   before.
 *
 * NOT HERE  what the verbs mean (wire_resp_args.c), replies (exec_reply.c).
 */
#include "wire_resp.h"

#include "num.h"

#define CRLF 0x0A0Du        /* as a little-endian word */
#define LENGTH_LINE_MAX 32u /* more digits than any number has */
#define INLINE_LINE_MAX 65536u
#define TLS_HANDSHAKE 0x16

/* fail: the framing is lost; the fault is the last request of this connection. */
static NK_NOINLINE enum nk_parsed fail(struct nk_parser *f, enum nk_fault fault, const uint8_t *mid,
                                       size_t n) {
    struct nk_req *r = nk_parser_slot(f);
    memset(r, 0, sizeof *r);
    nk_req_fault(r, fault, mid, n);
    f->c->pub.count++;
    return NK_PARSED_LAST;
}

/* ---- multibulk --------------------------------------------------------------------------------*/

enum line { LINE_OK, LINE_PART, LINE_LONG, LINE_BAD };

/* read_length: the number between the type byte at *p and CRLF; moves *p behind the line. */
static enum line read_length(const uint8_t **p, const uint8_t *end, int64_t *out) {
    const uint8_t *from = *p + 1;
    size_t have = (size_t)(end - from);
    const uint8_t *cr = memchr(from, '\r', have < LENGTH_LINE_MAX ? have : LENGTH_LINE_MAX);
    if (cr == NULL) return have < LENGTH_LINE_MAX ? LINE_PART : LINE_LONG;
    if (cr + 1 == end) return LINE_PART;
    if (cr[1] != '\n' || !nk_num_i64(from, (size_t)(cr - from), out)) return LINE_BAD;
    *p = cr + 2;
    return LINE_OK;
}

/* suspend: remembers how far the request has been parsed and asks for input up to `upto`. */
static NK_NOINLINE enum nk_parsed suspend(struct nk_parser *f, size_t at, size_t upto) {
    nitro_chunk *c = &f->c->pub;
    if (upto - c->in_pos > NK_IN_BYTES_MAX) return fail(f, NK_FAULT_REQUEST_SIZE, NULL, 0);
    f->c->parse_at = (uint32_t)(at - c->in_pos);
    return nk_parser_need(f, upto);
}

/* begin_multibulk: reads "*count", one digit as a rule; leaves span_total 0 if the request is
 * empty. */
static enum nk_parsed begin_multibulk(struct nk_parser *f) {
    struct nk_chunk *c = f->c;
    const uint8_t *from = c->pub.in + c->pub.in_pos, *p = from;
    int64_t n = 0;
    if (NK_LIKELY(c->pub.in_len - c->pub.in_pos >= 4 && from[1] >= '1' && from[1] <= '9' &&
                  nk_load16(from + 2) == CRLF)) {
        c->span_count = 0;
        c->span_total = from[1] - (uint32_t)'0';
        c->parse_at = 4;
        return NK_PARSED;
    }
    switch (read_length(&p, c->pub.in + c->pub.in_len, &n)) {
    case LINE_OK:
        break;
    case LINE_PART:
        return nk_parser_need(f, c->pub.in_len + 1);
    case LINE_LONG:
        return fail(f, NK_FAULT_MBULK_LINE, NULL, 0);
    default:
        return fail(f, NK_FAULT_MBULK_LENGTH, NULL, 0);
    }
    if (n > (int64_t)nk_db_max_args(f->db)) return fail(f, NK_FAULT_MBULK_LENGTH, NULL, 0);
    if (f->locked && n > NITRO_LOCKED_ARGS) return fail(f, NK_FAULT_LOCKED_ARGS, NULL, 0);
    c->span_count = 0;
    c->span_total = n > 0 ? (uint32_t)n : 0;
    c->parse_at = (uint32_t)(p - from);
    return NK_PARSED;
}

/* read_bulk: the argument at *p. NK_PARSED with *p behind it, or what to return. */
static NK_NOINLINE enum nk_parsed read_bulk(struct nk_parser *f, const uint8_t **p,
                                            struct nk_span *out) {
    nitro_chunk *c = &f->c->pub;
    const uint8_t *start = *p, *end = c->in + c->in_len, *from = c->in + c->in_pos;
    size_t at = (size_t)(start - c->in);
    if (NK_UNLIKELY(start == end)) return suspend(f, at, at + 1);
    if (NK_UNLIKELY(*start != '$')) return fail(f, NK_FAULT_BULK_TYPE, start, 1);
    int64_t n = 0;
    const uint8_t *q = start;
    enum line line = read_length(&q, end, &n);
    if (NK_UNLIKELY(line != LINE_OK)) {
        if (line == LINE_PART) return suspend(f, at, c->in_len + 1);
        return fail(f, line == LINE_LONG ? NK_FAULT_BULK_LINE : NK_FAULT_BULK_LENGTH, NULL, 0);
    }
    if (NK_UNLIKELY(n < 0 || n > (int64_t)f->max_value))
        return fail(f, NK_FAULT_BULK_LENGTH, NULL, 0);
    if (NK_UNLIKELY(f->locked) && (q - from) + n > NITRO_LOCKED_BYTES)
        return fail(f, NK_FAULT_LOCKED_BULK, NULL, 0);
    if (NK_UNLIKELY(end - q < n + 2)) return suspend(f, at, (size_t)(q - c->in) + (size_t)n + 2);
    if (NK_UNLIKELY(q[n] != '\r' || q[n + 1] != '\n')) return fail(f, NK_FAULT_BULK_END, NULL, 0);
    out->at = (uint32_t)(q - from);
    out->n = (uint32_t)n;
    *p = q + n + 2;
    return NK_PARSED;
}

/* is_http: words that only a browser sends first. Such a connection ends before anything runs, or a
 * web page could write to a server on its reader's machine. */
static bool is_http(const struct nk_chunk *c, const uint8_t *base, uint32_t argc, bool line) {
    const struct nk_span *s = c->spans;
    const uint8_t *w = base + s[0].at;
    if (s[0].n == 4 && (nk_load32(w) & 0xDFDFDFDFu) == ('P' | 'O' << 8 | 'S' << 16 | 'T' << 24))
        return true;
    if (s[0].n == 5 && w[4] == ':' &&
        (nk_load32(w) & 0xDFDFDFDFu) == ('H' | 'O' << 8 | 'S' << 16 | 'T' << 24))
        return true;
    return line && argc == 3 && s[0].n == 3 && s[2].n >= 5 && memcmp(w, "GET", 3) == 0 &&
           memcmp(base + s[2].at, "HTTP/", 5) == 0;
}

/* finish: all arguments are there; the request ends at `end` (an offset in the buffer). */
NK_INLINE enum nk_parsed finish(struct nk_parser *f, uint32_t argc, size_t end, bool line) {
    struct nk_chunk *c = f->c;
    const uint8_t *base = c->pub.in + c->pub.in_pos;
    c->pub.in_pos = end;
    c->span_total = 0;
    c->parse_at = 0;
    if (NK_UNLIKELY((c->spans[0].n == 4 || c->spans[0].n == 5 || line) &&
                    is_http(c, base, argc, line))) {
        struct nk_req *r = nk_parser_slot(f);
        memset(r, 0, sizeof *r);
        r->op = NK_OP_CLOSE;
        c->pub.count++;
        return NK_PARSED_LAST;
    }
    nk_resp_decode(f, base, argc);
    c->pub.count++;
    return NK_PARSED;
}

/* room_for_spans: makes room for one more argument. */
static NK_NOINLINE bool room_for_spans(struct nk_parser *f) {
    struct nk_chunk *c = f->c;
    void *spans = c->spans;
    int rc = nk_chunk_room(f->db, &spans, &c->span_cap, c->span_count + 1, sizeof *c->spans);
    c->spans = spans;
    return rc == NITRO_OK;
}

/* short_bulk: the end of the argument at p, if it is shorter than 100 bytes, whole, and in order;
 * else NULL, and read_bulk finds out. Reads nothing behind `end`. */
NK_INLINE const uint8_t *short_bulk(const uint8_t *p, const uint8_t *end, const uint8_t *from,
                                    struct nk_span *out) {
    if (NK_UNLIKELY(end - p < 6 || p[0] != '$')) return NULL;
    uint32_t n = (uint32_t)p[1] - '0', d2 = (uint32_t)p[2] - '0';
    if (NK_UNLIKELY(n > 9)) return NULL;
    p += 2;
    if (d2 <= 9) {
        if (NK_UNLIKELY(n == 0)) return NULL;
        n = n * 10 + d2;
        p++;
    }
    if (NK_UNLIKELY(nk_load16(p) != CRLF || end - p < (int64_t)n + 4)) return NULL;
    if (NK_UNLIKELY(nk_load16(p + 2 + n) != CRLF)) return NULL;
    out->at = (uint32_t)(p + 2 - from);
    out->n = n;
    return p + 4 + n;
}

static enum nk_parsed next_multibulk(struct nk_parser *f) {
    struct nk_chunk *c = f->c;
    if (c->span_total == 0) {
        enum nk_parsed rc = begin_multibulk(f);
        if (NK_UNLIKELY(rc != NK_PARSED)) return rc;
        if (NK_UNLIKELY(c->span_total == 0)) {
            c->pub.in_pos += c->parse_at;
            c->parse_at = 0;
            return NK_PARSED;
        }
    }
    /* It may have begun before the session was locked. */
    if (NK_UNLIKELY(f->locked) && c->span_total > NITRO_LOCKED_ARGS)
        return fail(f, NK_FAULT_LOCKED_ARGS, NULL, 0);
    const uint8_t *in = c->pub.in, *from = in + c->pub.in_pos, *end = in + c->pub.in_len;
    const uint8_t *p = from + c->parse_at, *next;
    for (uint32_t total = c->span_total; c->span_count < total; c->span_count++, p = next) {
        if (NK_UNLIKELY(c->span_count == c->span_cap) && !room_for_spans(f)) {
            c->parse_at = (uint32_t)(p - from);
            return NK_PARSE_MEMORY;
        }
        struct nk_span *span = &c->spans[c->span_count];
        next = short_bulk(p, end, from, span);
        if (NK_LIKELY(next != NULL && span->n <= f->max_value)) continue;
        next = p;
        enum nk_parsed rc = read_bulk(f, &next, span);
        if (rc != NK_PARSED) return rc;
    }
    return finish(f, c->span_total, (size_t)(p - in), false);
}

/* ---- inline -----------------------------------------------------------------------------------*/

static bool is_blank(uint8_t b) { return b == ' ' || (b >= '\t' && b <= '\r') || b == 0; }

static int hex_digit(uint8_t b) {
    if (b >= '0' && b <= '9') return b - '0';
    b |= 0x20;
    return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

/* escape: the byte that "\..." at p (inside double quotes) stands for; returns how long it is. */
static size_t escape(const uint8_t *p, const uint8_t *end, uint8_t *out) {
    if (end - p >= 4 && p[1] == 'x' && hex_digit(p[2]) >= 0 && hex_digit(p[3]) >= 0) {
        *out = (uint8_t)(hex_digit(p[2]) << 4 | hex_digit(p[3]));
        return 4;
    }
    switch (p[1]) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = p[1];
    }
    return 2;
}

/* quoted: reads a quoted part from behind its opening quote; writes to *w if `w` is not NULL.
 * Returns the end, or NULL if the quote is not closed or not followed by a blank. */
static const uint8_t *quoted(const uint8_t *p, const uint8_t *end, uint8_t quote, uint8_t **w) {
    for (; p < end;) {
        uint8_t b = *p;
        size_t used = 1;
        if (b == quote) return p + 1 == end || is_blank(p[1]) ? p + 1 : NULL;
        if (b == '\\' && end - p >= 2) {
            if (quote == '"')
                used = escape(p, end, &b);
            else if (p[1] == '\'')
                b = '\'', used = 2;
        }
        p += used;
        if (w != NULL) *(*w)++ = b;
    }
    return NULL;
}

/* word: reads the word at p, writing it to *w if `w` is not NULL. Its end, or NULL for bad
 * quotes. */
static const uint8_t *word(const uint8_t *p, const uint8_t *end, uint8_t **w) {
    while (p < end && !is_blank(*p)) {
        if (*p == '"' || *p == '\'') return quoted(p + 1, end, *p, w);
        if (w != NULL) *(*w)++ = *p;
        p++;
    }
    return p;
}

/* count_words: how many words the line has, or -1 for unbalanced quotes. Changes nothing. */
static int64_t count_words(const uint8_t *p, const uint8_t *end) {
    for (int64_t n = 0;; n++) {
        while (p < end && is_blank(*p)) p++;
        if (p == end) return n;
        p = word(p, end, NULL);
        if (p == NULL) return -1;
    }
}

/* split_words: unescapes the words in place, and notes where they lie. */
static void split_words(struct nk_chunk *c, uint8_t *line, const uint8_t *end) {
    const uint8_t *p = line;
    for (uint32_t n = 0;; n++) {
        while (p < end && is_blank(*p)) p++;
        if (p == end) return;
        uint8_t *from = line + (p - line), *w = from;
        p = word(p, end, &w);
        NK_ASSERT(p != NULL);
        /* for nitro_chunk_request: nothing is left of the quotes */
        memset(w, ' ', (size_t)(p - w));
        c->spans[n] = (struct nk_span){(uint32_t)(from - line), (uint32_t)(w - from)};
    }
}

static NK_NOINLINE enum nk_parsed next_inline(struct nk_parser *f) {
    struct nk_chunk *c = f->c;
    uint8_t *line = c->pub.in + c->pub.in_pos;
    size_t have = c->pub.in_len - c->pub.in_pos, seen = c->parse_at;
    size_t most = f->locked ? NITRO_LOCKED_BYTES : INLINE_LINE_MAX;
    uint8_t *lf = memchr(line + seen, '\n', have - seen);
    if (lf == NULL ? have > most : (size_t)(lf - line) > most)
        return fail(f, NK_FAULT_INLINE_LINE, NULL, 0);
    if (lf == NULL) {
        c->parse_at = (uint32_t)have; /* already searched */
        return nk_parser_need(f, c->pub.in_len + 1);
    }
    size_t next = c->pub.in_pos + (size_t)(lf - line) + 1;
    const uint8_t *end = lf > line && lf[-1] == '\r' ? lf - 1 : lf;
    int64_t n = count_words(line, end);
    if (n < 0) return fail(f, NK_FAULT_INLINE_QUOTES, NULL, 0);
    if (f->locked && n > NITRO_LOCKED_ARGS) return fail(f, NK_FAULT_LOCKED_ARGS, NULL, 0);
    if (n == 0) {
        c->pub.in_pos = next;
        c->parse_at = 0;
        return NK_PARSED;
    }
    void *spans = c->spans;
    int rc = nk_chunk_room(f->db, &spans, &c->span_cap, (uint32_t)n, sizeof *c->spans);
    c->spans = spans;
    if (rc != NITRO_OK) return NK_PARSE_MEMORY;
    split_words(c, line, end);
    return finish(f, (uint32_t)n, next, true);
}

enum nk_parsed nk_resp_next(struct nk_parser *f) {
    const struct nk_chunk *c = f->c;
    uint8_t first = c->pub.in[c->pub.in_pos];
    if (NK_LIKELY(first == '*')) return next_multibulk(f);
    if (first == TLS_HANDSHAKE) return fail(f, NK_FAULT_TLS, NULL, 0);
    return next_inline(f);
}
