/* SPDX-License-Identifier: MIT
 *
 * model.h - the simplest thing that a store should behave like: an array with one slot for every key
 * that a test uses.
 *
 * WHAT   Key number i has fixed bytes (model_key_bytes). Each model_* operation changes the array and
 *        returns the code that the engine must return; model_check compares everything.
 * VERSIONS are the engine's choice: the model demands that they grow with every write of a key, also
 *        across delete and re-create, and that no two keys share one.
 */
#ifndef MODEL_H
#define MODEL_H

#include "support.h"

enum model_touch {
    MODEL_SAME,   /* not written since the version was seen: it must be the same */
    MODEL_EXPIRE, /* a new expiry: it may have grown */
    MODEL_WRITTEN /* a new value: it must have grown */
};
struct model_entry {
    bool live;
    enum model_touch touch;
    uint8_t *value; /* owned */
    size_t bytes;
    int64_t expire_ms;
    uint64_t version;
    uint64_t version_floor; /* the largest version seen of this key; survives deletes */
};
struct model {
    struct model_entry *entries;
    uint32_t count;
    unsigned collide_bits; /* > 0: the keys are those of collide.h */
    const uint8_t *seed;
    int64_t now_ms;
};

#define MODEL_KEY_MAX 65535u

void model_init(struct model *m, uint32_t count, unsigned collide_bits, const uint8_t *seed);
void model_fini(struct model *m);
/* model_key_bytes: writes key i to out[MODEL_KEY_MAX], returns its length. Key 0 is empty, key 1 has the
 * largest length allowed (unless the keys collide). */
size_t model_key_bytes(const struct model *m, uint32_t i, uint8_t *out);
/* model_find: the live entry of key i, or NULL; an entry whose time has come is dropped. */
struct model_entry *model_find(struct model *m, uint32_t i);

int model_set(struct model *m, uint32_t i, const void *value, size_t bytes, unsigned flags,
              uint64_t expected, int64_t expire_ms);
int model_delete(struct model *m, uint32_t i);
int model_incr(struct model *m, uint32_t i, int64_t delta, int64_t *result);
int model_expire(struct model *m, uint32_t i, int64_t expire_ms);
void model_flush(struct model *m);

/* model_note_version: the engine says that the entry has this version. */
void model_note_version(struct model *m, uint32_t i, uint64_t version);
/* model_check_key: the engine's entry of key i is the model's. */
void model_check_key(struct model *m, nitro_store *s, uint32_t i);
/* model_check: every key, the scan, the count, and the versions. */
void model_check(struct model *m, nitro_store *s);

#endif
