/* SPDX-License-Identifier: MIT
 *
 * model.c - what a store must hold (see model.h).
 */
#include "model.h"
#include "image.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys and values ---------------------------------------------------------------------------*/

size_t sim_key(unsigned k, uint8_t out[SIM_KEY_BYTES_MAX]) {
    if (k == 0) return 0;
    size_t n = (size_t)snprintf((char *)out, SIM_KEY_BYTES_MAX, "key%02u", k);
    size_t want = k % 13 == 12 ? SIM_KEY_BYTES_MAX : k % 7 == 6 ? 130 : n;
    for (; n < want; n++) out[n] = (uint8_t)(k * 31 + n); /* zeros and line ends among them */
    return n;
}

static uint64_t word_of(uint64_t seed, size_t i) {
    uint64_t z = (seed + i) * 0x9e3779b97f4a7c15u;
    return z ^ (z >> 29);
}

size_t sim_value_fill(const struct sim_value *v, uint8_t *out) {
    if (v->is_number) return (size_t)sprintf((char *)out, "%" PRId64, v->number);
    size_t period = !v->repeats ? SIZE_MAX : v->bytes > 1000 ? 2048 : 32;
    for (size_t i = 0; i < v->bytes; i += 8) {
        uint64_t w = word_of(v->seed, i % period);
        memcpy(out + i, &w, v->bytes - i < 8 ? v->bytes - i : 8);
    }
    if (v->bytes > 0) out[0] = 'v'; /* never a number */
    return v->bytes;
}

bool sim_value_is(const struct sim_value *v, const uint8_t *p, size_t n) {
    static uint8_t want[SIM_VALUE_MAX];
    return sim_value_fill(v, want) == n && memcmp(want, p, n) == 0;
}

/* ---- effects -----------------------------------------------------------------------------------*/

void sim_model_init(struct sim_model *m) { *m = (struct sim_model){0}; }

void sim_model_fini(struct sim_model *m) {
    free(m->effect);
    *m = (struct sim_model){0};
}

bool sim_cell_live(const struct sim_cell *c, int64_t now_ms) {
    return c->present && (c->expire_ms == 0 || c->expire_ms > now_ms);
}

void sim_model_copy(struct sim_model *to, const struct sim_model *from) {
    *to = *from;
    to->cap = from->count + 1;
    to->effect = sim_need(malloc(to->cap * sizeof *to->effect));
    if (from->count > 0) memcpy(to->effect, from->effect, from->count * sizeof *to->effect);
}

static void apply(struct sim_cell cells[SIM_KEYS], const struct sim_effect *e) {
    struct sim_cell *c = &cells[e->key];
    switch (e->kind) {
    case SIM_PUT:
        *c = (struct sim_cell){true, e->value, e->expire_ms, e->lsn, e->lsn};
        break;
    case SIM_DELETE:
        *c = (struct sim_cell){.shown = e->lsn};
        break;
    case SIM_EXPIRE:
        c->expire_ms = e->expire_ms;
        c->version = c->shown = e->lsn;
        break;
    case SIM_FLUSH:
        for (unsigned k = 0; k < SIM_KEYS; k++) cells[k] = (struct sim_cell){.shown = e->lsn};
        break;
    }
}

void sim_model_add(struct sim_model *m, const struct sim_effect *e) {
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 64 : m->cap * 2;
        m->effect = sim_need(realloc(m->effect, m->cap * sizeof *m->effect));
    }
    m->effect[m->count++] = *e;
    uint64_t newest = e->last == SIM_NEVER ? e->lsn : e->last;
    if (newest > m->newest) m->newest = newest;
    apply(m->now, e);
}

const struct sim_effect *sim_model_torn(const struct sim_model *m, uint64_t p) {
    for (size_t i = 0; i < m->count; i++)
        if (m->effect[i].lsn <= p && m->effect[i].last > p) return &m->effect[i];
    return NULL;
}

const struct sim_effect *sim_model_first_after(const struct sim_model *m, uint64_t p) {
    for (size_t i = 0; i < m->count; i++)
        if (m->effect[i].last > p) return &m->effect[i];
    return NULL;
}

size_t sim_model_prefix(const struct sim_model *m, uint64_t p) {
    size_t n = 0;
    while (n < m->count && m->effect[n].last <= p) n++;
    return n;
}

void sim_model_at(const struct sim_model *m, size_t count, struct sim_cell out[SIM_KEYS]) {
    memcpy(out, m->origin, sizeof m->origin);
    for (size_t i = 0; i < count; i++) apply(out, &m->effect[i]);
}

void sim_model_cut(struct sim_model *m, size_t count, uint64_t p) {
    sim_model_at(m, count, m->now);
    for (size_t i = count; i < m->count; i++) {
        const struct sim_effect *e = &m->effect[i];
        if (e->kind == SIM_DELETE || e->kind == SIM_FLUSH) continue;
        m->lost[m->lost_count++ % SIM_LOST_MAX] = (struct sim_lost){e->key, e->lsn};
    }
    m->count = m->base_count = count;
    m->base_lsn = p;
    m->floor = m->newest;
}

void sim_model_covered(struct sim_model *m, size_t count, uint64_t s, int64_t time_ms) {
    for (size_t i = 0; i < count; i++)
        if (m->effect[i].last == SIM_NEVER) {
            m->effect[i].last = s;
            m->effect[i].frame_ms = time_ms;
        }
    if (s > m->newest) m->newest = s;
}

void sim_model_framed(struct sim_model *m, uint64_t from, uint64_t p, int64_t now_ms) {
    for (size_t i = m->count; i > 0 && m->effect[i - 1].last > from; i--) {
        struct sim_effect *e = &m->effect[i - 1];
        if (e->last <= p) e->frame_ms = now_ms;
    }
}

void sim_model_root(struct sim_model *m) {
    memcpy(m->origin, m->now, sizeof m->origin);
    m->origin_lsn = m->base_lsn;
    m->count = m->base_count = 0;
}

uint32_t sim_model_live(const struct sim_cell cells[SIM_KEYS], int64_t now_ms) {
    uint32_t n = 0;
    for (unsigned k = 0; k < SIM_KEYS; k++) n += sim_cell_live(&cells[k], now_ms);
    return n;
}
