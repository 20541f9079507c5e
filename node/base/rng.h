#ifndef DUET_BASE_RNG_H
#define DUET_BASE_RNG_H

/* Random bytes through a vtable; the system's are unpredictable, a test's
 * follow from its seed. */

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*bytes)(struct rng *, void *to, size_t n);
};

struct rng *rng_system(void);
uint32_t rng_u32(struct rng *);
uint64_t rng_u64(struct rng *);

#endif
