/* SPDX-License-Identifier: MIT
 *
 * model.h - what a store must hold: every effect by its LSN, and the contents as of any LSN.
 *
 * WHAT
 *   The model is a base (the contents that the last recovery served, all of it durable) and the
 *   effects since then in the order of their LSNs. sim_model_cut moves the base to an LSN p and
 *   forgets what came after it; what was forgotten stays known as *lost* versions, because none of
 *   them may ever be given out again. Effects of one batch have the same `last`: a p between its
 *   first and last LSN is a torn batch.
 * VALUES  are described, not stored: a number, or so many bytes drawn from a seed.
 * THREADS  One.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "support.h"

#define SIM_KEYS 40u
#define SIM_KEY_BYTES_MAX 700u
#define SIM_VALUE_MAX 262144u

/* sim_key: key number k (0 is the empty key, some are long); returns its length. */
size_t sim_key(unsigned k, uint8_t out[SIM_KEY_BYTES_MAX]);

struct sim_value {
    bool is_number;
    int64_t number;
    uint64_t seed;
    uint32_t bytes;
};
/* sim_value_fill: writes the value to out[SIM_VALUE_MAX]; returns its length. */
size_t sim_value_fill(const struct sim_value *v, uint8_t *out);
/* sim_value_is: whether n bytes at p are this value. */
bool sim_value_is(const struct sim_value *v, const uint8_t *p, size_t n);

enum sim_effect_kind { SIM_PUT, SIM_DELETE, SIM_EXPIRE, SIM_FLUSH };
struct sim_effect {
    enum sim_effect_kind kind;
    unsigned key;
    uint64_t lsn;  /* the version of the key by it */
    uint64_t last; /* of its batch; lsn if it stands alone */
    struct sim_value value;
    int64_t expire_ms;
};

/* One key as of some LSN. */
struct sim_cell {
    bool present;
    struct sim_value value;
    int64_t expire_ms;
    uint64_t version; /* of the entry, also when it has expired */
    uint64_t shown;   /* LSN of the newest effect that a look at the key depends on; 0 = none */
};

struct sim_lost {
    unsigned key;
    uint64_t version;
};
#define SIM_LOST_MAX 64u

struct sim_model {
    struct sim_cell base[SIM_KEYS], now[SIM_KEYS];
    uint64_t base_lsn;
    struct sim_effect *effect; /* after base_lsn */
    size_t count, cap;
    uint64_t newest;                    /* LSN ever seen, lost ones too */
    struct sim_lost lost[SIM_LOST_MAX]; /* a ring of puts that a power cut took */
    uint64_t lost_count;
};

void sim_model_init(struct sim_model *m);
void sim_model_fini(struct sim_model *m);
/* sim_model_add: the newest effect. */
void sim_model_add(struct sim_model *m, const struct sim_effect *e);
/* sim_cell_live: whether a look at that time finds the key. */
bool sim_cell_live(const struct sim_cell *c, int64_t now_ms);
/* sim_model_torn: the effect whose batch LSN p would tear, or NULL. */
const struct sim_effect *sim_model_torn(const struct sim_model *m, uint64_t p);
/* sim_model_first_after: the first effect later than p, or NULL. */
const struct sim_effect *sim_model_first_after(const struct sim_model *m, uint64_t p);
/* sim_model_cut: p is what a recovery serves: base and now are the contents as of p. */
void sim_model_cut(struct sim_model *m, uint64_t p);
/* sim_model_at: the contents as of p (not before the base). */
void sim_model_at(const struct sim_model *m, uint64_t p, struct sim_cell out[SIM_KEYS]);
uint32_t sim_model_live(const struct sim_cell cells[SIM_KEYS], int64_t now_ms);

#endif
