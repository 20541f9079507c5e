#include "node/base/rng.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* One page: what is asked for in small pieces is made in large ones. */
#define POOL_BYTES 4080u

/*
 * Bytes made and not handed out, one pool a thread.  The page reads as zeros
 * in a child after fork(), so `left` is 0 there and nothing comes out twice.
 */
struct pool {
	size_t left;
	uint8_t bytes[POOL_BYTES];
};

static void openssl_bytes(uint8_t *p, size_t n)
{
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

/* NULL if the system cannot empty the page in a child. */
static struct pool *pool_new(void)
{
	void *p = mmap(NULL, sizeof(struct pool), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, sizeof(struct pool), MADV_WIPEONFORK) < 0) {
		munmap(p, sizeof(struct pool));
		return NULL;
	}
	return p;
}

static void system_bytes(struct rng *r, void *to, size_t n)
{
	static _Thread_local struct pool *pool;
	uint8_t *from;

	(void)r;
	if (n <= 64 && !pool)
		pool = pool_new();
	if (n > 64 || !pool) {
		openssl_bytes(to, n);
		return;
	}
	if (pool->left < n) {
		openssl_bytes(pool->bytes, POOL_BYTES);
		pool->left = POOL_BYTES;
	}
	pool->left -= n;
	from = pool->bytes + pool->left;
	memcpy(to, from, n);
	explicit_bzero(from, n);
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
