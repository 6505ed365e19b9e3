/* SPDX-License-Identifier: MIT
 *
 * exec_key.c - operations on one key as such: deleting, expiry, existence, description.
 *
 * DESIGN
 *   Each looks under the lock, decides, makes at most one effect, unlocks, then replies.
 *
 * NOT HERE  values (exec_string.c), several keys (exec_multi.c, exec_batch.c).
 */
#include "exec.h"

int nk_exec_effect(struct nk_exec *x, struct nk_req *r, struct nk_seg *s, const struct nk_item *it,
                   const struct nk_effect *e, int *code) {
    uint64_t version, bytes = e->big != NULL ? e->big->bytes : e->bytes;
    *code = nk_seg_put(s, &r->key, it, e, x->now, &version);
    if (*code == NITRO_OK) nk_exec_wrote(x, version);
    if (*code == NITRO_ELOGFULL) return nk_exec_no_room(x, nk_db_log_need(r->key.n, bytes));
    return *code == NITRO_EBUSY ? NITRO_STOP_BUSY : NITRO_STOP_DONE;
}

/* reply_number: an integer for RESP, a status without a body for the binary protocol. */
static int reply_number(struct nk_exec *x, const struct nk_req *r, int64_t v, int status) {
    nk_exec_missed(x, status);
    if (x->binary)
        nk_reply_status(x, r, status);
    else
        nk_reply_int(x, v);
    return NITRO_STOP_DONE;
}

int nk_exec_del(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    if ((r->flags & NK_F_CAS) != 0 && !nk_exec_load(x, r, s, &it, false, &stop)) return stop;
    if (!it.found)
        code = NITRO_ENOTFOUND;
    else if ((r->flags & NK_F_CAS) != 0 && r->num != it.version)
        code = NITRO_EVERSION;
    if (code == NITRO_OK) {
        struct nk_effect e = {.kind = NK_EFFECT_DELETE};
        stop = nk_exec_effect(x, r, s, &it, &e, &code);
    }
    nk_exec_leave(x, 0);
    if (stop != NITRO_STOP_DONE) return stop;
    if (code >= 0x20)
        nk_reply_error(x, r, code);
    else if ((r->flags & NK_F_OK) == 0)
        reply_number(x, r, code == NITRO_OK, code);
    else {
        nk_exec_missed(x, code);
        nk_reply_ok(x, r);
    }
    return NITRO_STOP_DONE;
}

int nk_exec_exists(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    nk_exec_leave(x, 0);
    return reply_number(x, r, it.found, it.found ? NITRO_OK : NITRO_ENOTFOUND);
}

/* expire_allowed: what NX, XX, GT and LT say; no expiry counts as an infinite one. */
static bool expire_allowed(const struct nk_req *r, int64_t old) {
    if ((r->flags & NK_F_NX) != 0 && old != 0) return false;
    if ((r->flags & NK_F_XX) != 0 && old == 0) return false;
    if ((r->flags & NK_F_GT) != 0 && (old == 0 || r->expire_ms <= old)) return false;
    if ((r->flags & NK_F_LT) != 0 && old != 0 && r->expire_ms >= old) return false;
    return true;
}

int nk_exec_expire(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    bool set = it.found && expire_allowed(r, it.expire_ms);
    if (set) {
        struct nk_effect e = {
            .kind = r->expire_ms > x->now ? NK_EFFECT_EXPIRE : NK_EFFECT_DELETE,
            .expire_ms = r->expire_ms,
        };
        if (e.kind == NK_EFFECT_EXPIRE && !nk_exec_expiry(x, r, s, &it, false, &e, &stop))
            return stop;
        stop = nk_exec_effect(x, r, s, &it, &e, &code);
    }
    nk_exec_leave(x, it.found ? it.bytes : 0);
    if (stop != NITRO_STOP_DONE) return stop;
    if (code != NITRO_OK)
        nk_reply_error(x, r, code);
    else
        reply_number(x, r, set, set ? NITRO_OK : it.found ? NITRO_ENOTSTORED : NITRO_ENOTFOUND);
    return NITRO_STOP_DONE;
}

int nk_exec_ttl(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    nk_exec_leave(x, 0);
    int64_t base = (r->flags & NK_F_ABSOLUTE) != 0 ? 0 : x->now;
    int64_t left = !it.found ? -2 : it.expire_ms == 0 ? -1 : it.expire_ms - base;
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (!x->binary) {
        bool round = left >= 0 && (r->flags & NK_F_MS) == 0;
        nk_reply_int(x, round ? left / 1000 + (left % 1000 >= 500) : left);
    } else if (it.found) {
        nk_frame_plain(x, r, NITRO_OK, &left, sizeof left);
    } else {
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    }
    return NITRO_STOP_DONE;
}

int nk_exec_persist(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    int code = NITRO_OK, stop = NITRO_STOP_DONE;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    uint8_t removed = it.found && it.expire_ms != 0;
    if (removed) {
        struct nk_effect e = {.kind = NK_EFFECT_EXPIRE, .expire_ms = 0};
        if (!nk_exec_expiry(x, r, s, &it, false, &e, &stop)) return stop;
        stop = nk_exec_effect(x, r, s, &it, &e, &code);
    }
    nk_exec_leave(x, it.found ? it.bytes : 0);
    if (stop != NITRO_STOP_DONE) return stop;
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (code != NITRO_OK)
        nk_reply_error(x, r, code);
    else if (!x->binary)
        nk_reply_int(x, removed);
    else if (it.found)
        nk_frame_plain(x, r, NITRO_OK, &removed, 1);
    else
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    return NITRO_STOP_DONE;
}

int nk_exec_type(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, true, &it);
    nk_exec_show(x, it.shown);
    nk_exec_leave(x, 0);
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (it.found)
        nk_out_text(x, "+string\r\n");
    else
        nk_out_text(x, "+none\r\n");
    return NITRO_STOP_DONE;
}

/* encoding_of: the names that Redis has for how it would keep such a value. */
static const char *encoding_of(const struct nk_item *it) {
    int64_t number;
    if (it->bytes <= NK_NUM_MAX && nk_num_i64(it->val, it->bytes, &number)) return "int";
    return it->bytes <= 44 ? "embstr" : "raw";
}

int nk_exec_object(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    int stop;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    if (r->code == NK_FACT_ENCODING && !nk_exec_load(x, r, s, &it, false, &stop)) return stop;
    const char *encoding = it.found && r->code == NK_FACT_ENCODING ? encoding_of(&it) : "";
    nk_exec_leave(x, 0);
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (!it.found)
        nk_reply_null(x);
    else if (r->code == NK_FACT_ENCODING)
        nk_reply_value(x, r, (const uint8_t *)encoding, strlen(encoding));
    else if (r->code == NK_FACT_REFCOUNT)
        nk_reply_int(x, 1);
    else
        nk_reply_fault(x, r, r->code == NK_FACT_FREQ ? NK_FAULT_FREQ : NK_FAULT_IDLETIME, NULL, 0);
    return NITRO_STOP_DONE;
}

int nk_exec_usage(struct nk_exec *x, struct nk_req *r) {
    struct nk_seg *s = nk_exec_enter(x, &r->key);
    if (s == NULL) return NITRO_STOP_BUSY;
    struct nk_item it;
    nk_seg_find(s, &r->key, x->now, false, &it);
    nk_exec_show(x, it.shown);
    uint64_t bytes = it.found ? nk_seg_usage(s, &it) : 0;
    nk_exec_leave(x, 0);
    if (!it.found) nk_exec_missed(x, NITRO_ENOTFOUND);
    if (!it.found && x->binary)
        nk_reply_status(x, r, NITRO_ENOTFOUND);
    else if (!it.found)
        nk_reply_null(x);
    else if (x->binary)
        nk_frame_plain(x, r, NITRO_OK, &bytes, sizeof bytes);
    else
        nk_reply_int(x, (int64_t)bytes);
    return NITRO_STOP_DONE;
}
