/* SPDX-License-Identifier: MIT
 *
 * wire_resp.h - the text protocol: RESP2, RESP3 and inline commands, mixed (L6).
 *
 * FORMAT
 *   multibulk  "*" count CRLF, then count times "$" bytes CRLF data CRLF
 *   inline     words up to LF or CRLF, with quotes as redis-cli has them
 *   The first byte of each request decides. Both kinds give a list of arguments, the verb first.
 */
#ifndef NK_WIRE_RESP_H
#define NK_WIRE_RESP_H

#include "cmd.h"
#include "req.h"

/* nk_resp_next: parses the request at in_pos (there is at least one byte). */
enum nk_parsed nk_resp_next(struct nk_parser *f);

/* nk_resp_decode: makes a request of c->spans[0 .. argc), which are relative to `base`. The request
 * stands in the slot; the caller counts it. Failures become a fault there. */
void nk_resp_decode(struct nk_parser *f, const uint8_t *base, uint32_t argc);

#endif
