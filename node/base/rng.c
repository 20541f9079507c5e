#include "node/base/rng.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

static void system_bytes(struct rng *r, void *to, size_t n)
{
	uint8_t *p = to;

	(void)r;
	while (n > 0) {
		int part = n > 65536 ? 65536 : (int)n;

		if (RAND_bytes(p, part) != 1) {
			/* Ids and keys from guessable bytes would be worse. */
			fputs("duet: no random bytes from OpenSSL\n", stderr);
			abort();
		}
		p += part;
		n -= (size_t)part;
	}
}

struct rng *rng_system(void)
{
	static struct rng system = {system_bytes};

	return &system;
}

uint64_t rng_u64(struct rng *r)
{
	uint8_t b[8];
	uint64_t v = 0;

	/* Byte by byte, so that a seed gives the same on every machine. */
	r->bytes(r, b, sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++)
		v |= (uint64_t)b[i] << (8 * i);
	return v;
}

uint32_t rng_u32(struct rng *r)
{
	uint8_t b[4];

	r->bytes(r, b, sizeof(b));
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}
