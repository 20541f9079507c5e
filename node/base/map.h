#ifndef DUET_BASE_MAP_H
#define DUET_BASE_MAP_H

/*
 * Hash table from byte strings to pointers (SipHash-like seeded hash, open
 * addressing).  Keys are copied; values stay the caller's.
 */

#include "node/base/slice.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m);   /* values are not freed */
size_t map_size(const struct map *m);
void *map_get(const struct map *m, struct slice key);   /* NULL if absent */
/* Gives the value that was there before, or NULL.  value must not be NULL. */
void *map_put(struct map *m, struct slice key, void *value);
void *map_remove(struct map *m, struct slice key);

/* for (size_t i = 0; map_each(m, &i, &key, &value);) … in order of
 * insertion; nothing may be inserted meanwhile, the current may be removed. */
bool map_each(const struct map *m, size_t *i, struct slice *key, void **value);

#endif
