/* SPDX-License-Identifier: MIT
 *
 * model.h - what a store must hold: every effect by its LSN, and the contents as of any LSN.
 *
 * WHAT
 *   The model is an origin (the empty store, or what a restore has made) and all effects since then
 *   in order, so it knows the contents as of any LSN. sim_model_cut says that a recovery serves
 *   what the first so many effects have made, the *base* from then on, and forgets the others; what
 *   was forgotten stays known as *lost* versions, because none of them may ever be given out again.
 *   Effects of one batch have the same `last`: an LSN between its first and last one is a torn
 *   batch.
 * WITHOUT A LOG  versions of different segments have no order, and no effect is known to a recovery
 *   before a snapshot has it: until then its `last` is SIM_NEVER, then the LSN of that snapshot.
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
    bool repeats; /* itself, so that it can be compressed */
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
    int64_t made_ms;  /* when it happened */
    int64_t frame_ms; /* the frame that holds it is not younger; 0 = it may not be in one yet */
};
#define SIM_NEVER UINT64_MAX

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
    struct sim_cell origin[SIM_KEYS], now[SIM_KEYS];
    uint64_t origin_lsn;
    uint64_t base_lsn;         /* what the last recovery served */
    size_t base_count;         /* and the number of effects that made it */
    struct sim_effect *effect; /* after origin_lsn */
    size_t count, cap;
    uint64_t newest;                    /* LSN ever seen, lost ones too */
    uint64_t floor;                     /* newest, when this life of the store began */
    struct sim_lost lost[SIM_LOST_MAX]; /* a ring of puts that a crash took */
    uint64_t lost_count;
};

void sim_model_init(struct sim_model *m);
void sim_model_fini(struct sim_model *m);
/* sim_model_copy: to's own effects. */
void sim_model_copy(struct sim_model *to, const struct sim_model *from);
/* sim_model_add: the newest effect. */
void sim_model_add(struct sim_model *m, const struct sim_effect *e);
/* sim_cell_live: whether a look at that time finds the key. */
bool sim_cell_live(const struct sim_cell *c, int64_t now_ms);
/* sim_model_torn: the effect whose batch LSN p would tear, or NULL. */
const struct sim_effect *sim_model_torn(const struct sim_model *m, uint64_t p);
/* sim_model_first_after: the first effect later than p, or NULL. */
const struct sim_effect *sim_model_first_after(const struct sim_model *m, uint64_t p);
/* sim_model_prefix: the number of effects that the contents as of p are made of. */
size_t sim_model_prefix(const struct sim_model *m, uint64_t p);
/* sim_model_at: the contents that the first `count` effects make. */
void sim_model_at(const struct sim_model *m, size_t count, struct sim_cell out[SIM_KEYS]);
/* sim_model_cut: a recovery serves these effects, and calls that LSN p. */
void sim_model_cut(struct sim_model *m, size_t count, uint64_t p);
/* sim_model_covered: a snapshot of LSN s has the first `count` effects. */
void sim_model_covered(struct sim_model *m, size_t count, uint64_t s, int64_t time_ms);
/* sim_model_framed: effects up to LSN p are in frames of that time or earlier; those after LSN
 * `from` may have been put into new ones. */
void sim_model_framed(struct sim_model *m, uint64_t from, uint64_t p, int64_t now_ms);
/* sim_model_root: what is there now has no history any more. */
void sim_model_root(struct sim_model *m);
uint32_t sim_model_live(const struct sim_cell cells[SIM_KEYS], int64_t now_ms);

#endif
