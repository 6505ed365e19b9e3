/* SPDX-License-Identifier: MIT
 *
 * session.c - sessions and their half-sent requests.
 *
 * DESIGN
 *   A session is a few words as long as no request is sent in several frames. The first such
 *   request allocates a table of NK_HALVES slots; a body grows by doubling with what arrives and
 *   becomes the chunk's (a loan) with its last frame. The table goes when its last request is
 *   complete. Bodies and table are counted as chunk bytes.
 */
#include "session.h"

struct halves {
    uint32_t count;
    struct nk_half half[NK_HALVES];
};

static void *counted_alloc(struct nk_db *db, size_t bytes) {
    void *p = nk_db_alloc(db, bytes);
    if (p != NULL) nk_db_count_chunk(db, (int64_t)bytes);
    return p;
}

static void counted_free(struct nk_db *db, void *p, size_t bytes) {
    nk_db_free(db, p, bytes);
    nk_db_count_chunk(db, -(int64_t)bytes);
}

nitro_session *nitro_session_open(nitro_store *s) {
    nitro_session *ss = counted_alloc(nk_front_db(s), sizeof *ss);
    if (ss != NULL) memset(ss, 0, sizeof *ss);
    return ss;
}

void nitro_session_close(nitro_store *s, nitro_session **ss) {
    if (ss == NULL || *ss == NULL) return;
    struct nk_db *db = nk_front_db(s);
    struct halves *all = (*ss)->priv;
    if (all != NULL) {
        for (uint32_t i = 0; i < NK_HALVES; i++) {
            struct nk_half *h = &all->half[i];
            if (h->used && h->body != NULL) counted_free(db, h->body, h->body->bytes);
        }
        counted_free(db, all, sizeof *all);
    }
    counted_free(db, *ss, sizeof **ss);
    *ss = NULL;
}

struct nk_half *nk_half_find(nitro_session *ss, uint16_t id) {
    struct halves *all = ss->priv;
    for (uint32_t i = 0; all != NULL && i < NK_HALVES; i++) {
        if (all->half[i].used && all->half[i].head.id == id) return &all->half[i];
    }
    return NULL;
}

int nk_half_begin(struct nk_db *db, nitro_session *ss, const struct nk_head *head,
                  struct nk_half **out) {
    struct halves *all = ss->priv;
    if (all == NULL) {
        all = counted_alloc(db, sizeof *all);
        if (all == NULL) return NITRO_ENOMEM;
        memset(all, 0, sizeof *all);
        ss->priv = all;
    }
    uint32_t i = 0;
    while (i < NK_HALVES && all->half[i].used) i++;
    if (i == NK_HALVES) return NITRO_ELIMIT;
    all->half[i] = (struct nk_half){.used = true, .head = *head};
    all->count++;
    *out = &all->half[i];
    return NITRO_OK;
}

int nk_half_append(struct nk_db *db, struct nk_half *h, const uint8_t *p, size_t n) {
    uint64_t limit = (uint64_t)nk_db_max_value(db) + NITRO_KEY_MAX + 65536;
    if (n == 0) return NITRO_OK;
    if (h->body_bytes + n > limit) return NITRO_EVALUESIZE;
    size_t have = h->body != NULL ? h->body->bytes : 0;
    size_t need = sizeof *h->body + h->body_bytes + n;
    if (need > have) {
        size_t want = nk_max_u64(need, nk_min_u64(have * 2, sizeof *h->body + limit));
        if (!nk_db_room(db, want - have)) return NITRO_EMAXMEMORY;
        struct nk_loan *l =
            h->body != NULL ? nk_db_resize(db, h->body, have, want) : nk_db_alloc(db, want);
        if (l == NULL) return NITRO_ENOMEM;
        nk_db_count_chunk(db, (int64_t)(want - have));
        l->bytes = want;
        l->next = NULL;
        h->body = l;
    }
    memcpy(h->body->data + h->body_bytes, p, n);
    h->body_bytes += n;
    return NITRO_OK;
}

struct nk_loan *nk_half_take(struct nk_db *db, nitro_session *ss, struct nk_half *h) {
    struct halves *all = ss->priv;
    struct nk_loan *l = h->body;
    h->used = false;
    h->body = NULL;
    if (--all->count == 0) {
        counted_free(db, all, sizeof *all);
        ss->priv = NULL;
    }
    return l;
}
