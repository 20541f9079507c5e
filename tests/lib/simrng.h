#ifndef DUET_TESTS_SIMRNG_H
#define DUET_TESTS_SIMRNG_H

/* Random numbers that follow from a seed (xoshiro256**). */

#include "node/base/rng.h"

struct simrng {
	struct rng rng;		/* first: pass &r.rng to the code under test */
	uint64_t s[4];
};

void simrng_init(struct simrng *r, uint64_t seed);
uint64_t simrng_u64(struct simrng *r);
/* 0 … n-1; n > 0. */
uint64_t simrng_below(struct simrng *r, uint64_t n);
/* True once in `one_in` calls on average; 0 = never. */
int simrng_chance(struct simrng *r, uint64_t one_in);

#endif
