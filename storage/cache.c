#include "storage/cache.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"

#include <errno.h>

#define MAGIC "DUETCCH1"
#define HEADER 16u
#define ENTRY 24u

void cache_path(struct buf *to, const char *root, struct id128 id, uint64_t gen)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	buf_printf(to, "%s/.duet/state/cache/%s.%llu", root, hex,
		   (unsigned long long)gen);
}

void cache_init(struct cache *c, struct fsio *fs)
{
	growmap_init(&c->map, fs);
}

void cache_close(struct cache *c)
{
	growmap_close(&c->map);
}

static uint64_t used(const struct cache *c)
{
	uint64_t n = le64_at(c->map.p + 8);

	return n < HEADER || n > c->map.n || n % 8 ? HEADER : n;
}

int cache_open(struct cache *c, const char *path)
{
	int r = growmap_open(&c->map, path, HEADER, true);

	if (r == 0 && memcmp(c->map.p, MAGIC, 8) != 0) {
		memcpy(c->map.p, MAGIC, 8);
		le64_to(c->map.p + 8, HEADER);
	}
	return r;
}

int cache_get(struct cache *c, uint64_t at, struct id128 emailid,
	      struct slice *out)
{
	const uint8_t *p = c->map.p;
	uint32_t n;

	if (!p || at < HEADER || at % 8 || at > c->map.n ||
	    c->map.n - at < ENTRY)
		return -ENOENT;
	p += at;
	n = le32_at(p);
	if (n > CACHE_ENTRY_MAX || c->map.n - at - ENTRY < n ||
	    memcmp(p + 8, emailid.b, 16) != 0 ||
	    crc32c(0, p + 8, 16 + (size_t)n) != le32_at(p + 4))
		return -ENOENT;
	*out = slice_of(p + ENTRY, n);
	return 0;
}

int64_t cache_put(struct cache *c, struct id128 emailid, struct slice data)
{
	uint64_t at = used(c), end;
	uint8_t *p;
	int r;

	if (data.n > CACHE_ENTRY_MAX)
		return -EFBIG;
	end = at + ((ENTRY + data.n + 7) & ~(uint64_t)7);
	r = growmap_need(&c->map, end);
	if (r < 0)
		return r;
	p = c->map.p + at;
	le32_to(p, (uint32_t)data.n);
	memcpy(p + 8, emailid.b, 16);
	memcpy(p + ENTRY, data.p, data.n);
	le32_to(p + 4, crc32c(0, p + 8, 16 + data.n));
	le64_to(c->map.p + 8, end);
	return (int64_t)at;
}
