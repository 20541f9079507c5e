/* See simrng.h. */

#include "tests/lib/simrng.h"

#include <string.h>

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t simrng_u64(struct simrng *r)
{
	uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return out;
}

static void simrng_bytes(struct rng *rng, void *to, size_t n)
{
	struct simrng *r = (struct simrng *)(void *)rng;
	uint8_t *p = to;

	while (n > 0) {
		uint64_t v = simrng_u64(r);
		size_t k = n < 8 ? n : 8;

		memcpy(p, &v, k);
		p += k;
		n -= k;
	}
}

void simrng_init(struct simrng *r, uint64_t seed)
{
	r->rng.bytes = simrng_bytes;
	for (int i = 0; i < 4; i++) {	/* splitmix64 fills the state */
		uint64_t z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t simrng_below(struct simrng *r, uint64_t n)
{
	return simrng_u64(r) % n;
}

int simrng_chance(struct simrng *r, uint64_t one_in)
{
	return one_in != 0 && simrng_below(r, one_in) == 0;
}
