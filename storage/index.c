#include "storage/index.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#define MAGIC "DUETIDX1"

static_assert(sizeof(struct mrec) == 128, "layout of the index file");
static_assert(offsetof(struct mrec, keywords) == 120, "keyword bits");

uint32_t index_rec_size(size_t keywords)
{
	size_t words = (keywords + 63) / 64;

	return (uint32_t)(120 + 8 * (words ? words : 1));
}

void index_path(struct buf *to, const char *root, struct id128 id, uint64_t gen)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	buf_printf(to, "%s/.duet/state/index/%s.%llu", root, hex,
		   (unsigned long long)gen);
}

void index_init(struct index *x, struct fsio *fs)
{
	*x = (struct index){.rec_size = index_rec_size(0)};
	growmap_init(&x->map, fs);
}

static void header_write(struct index *x, struct id128 id)
{
	uint8_t *h = x->map.p;

	memset(h, 0, INDEX_HEADER_SIZE);
	memcpy(h, MAGIC, 8);
	le32_to(h + 8, INDEX_VERSION);
	le32_to(h + 12, x->rec_size);
	memcpy(h + 16, id.b, 16);
	le64_to(h + 32, x->gen);
	le32_to(h + 40, crc32c(0, h, 40));
}

int index_create(struct index *x, const char *path, struct id128 id,
		 uint64_t gen, uint32_t rec_size, struct err *e)
{
	struct fsio *fs = x->map.fs;
	int r;

	r = fs->ops->unlink(fs, path);
	if (r < 0 && r != -ENOENT)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	r = growmap_open(&x->map, path, INDEX_HEADER_SIZE, true);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	x->gen = gen;
	x->rec_size = rec_size;
	x->n = 0;
	header_write(x, id);
	return 0;
}

int index_open(struct index *x, const char *path, struct id128 id, uint64_t gen,
	       uint32_t rec_size, uint32_t n, struct err *e)
{
	const uint8_t *h;
	int r;

	r = growmap_open(&x->map, path,
			 INDEX_HEADER_SIZE + (size_t)n * rec_size, false);
	if (r == -ENOENT)
		return err_set(e, E_CORRUPT, "%s: missing or shorter than its "
			       "%u records", path, n);
	if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	h = x->map.p;
	if (memcmp(h, MAGIC, 8) != 0 || le32_at(h + 8) != INDEX_VERSION ||
	    le32_at(h + 12) != rec_size || memcmp(h + 16, id.b, 16) != 0 ||
	    le64_at(h + 32) != gen || le32_at(h + 40) != crc32c(0, h, 40)) {
		growmap_close(&x->map);
		return err_set(e, E_CORRUPT, "%s: damaged header", path);
	}
	x->gen = gen;
	x->rec_size = rec_size;
	x->n = n;
	return 0;
}

int index_open_any(struct index *x, const char *path, struct id128 id)
{
	struct fsio *fs = x->map.fs;
	uint8_t h[INDEX_HEADER_SIZE];
	int fd = fs->ops->open(fs, path, O_RDONLY, 0);
	int r = fd < 0 ? fd : fsio_pread_all(fs, fd, h, sizeof(h), 0);
	uint32_t size;

	if (fd >= 0)
		fs->ops->close(fs, fd);
	if (r < 0)
		return r;
	size = le32_at(h + 12);
	if (size < index_rec_size(0) || size % 8)
		return E_CORRUPT;
	return index_open(x, path, id, le64_at(h + 32), size, le32_at(h + 44),
			  NULL);
}

bool index_is_open(const struct index *x)
{
	return x->map.p != NULL;
}

int index_reserve(struct index *x, size_t more)
{
	return growmap_need(&x->map, INDEX_HEADER_SIZE +
					     (x->n + more) * x->rec_size);
}

void index_note(struct index *x, uint64_t seq)
{
	le32_to(x->map.p + 44, x->n);
	le64_to(x->map.p + 48, seq);
}

void index_close(struct index *x)
{
	growmap_close(&x->map);
}

uint32_t index_lower(const struct index *x, uint32_t uid)
{
	uint32_t lo = 0, hi = x->n;

	/* Without gaps a UID stands near its number. */
	if (hi && index_rec(x, hi - 1)->uid < uid)
		return hi;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (index_rec(x, mid)->uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool index_keyword(const struct index *x, const struct mrec *m, size_t bit)
{
	if (bit >= INDEX_KEYWORDS(x->rec_size))
		return false;
	return (&m->keywords)[bit / 64] >> bit % 64 & 1;
}

void index_keyword_set(const struct index *x, struct mrec *m, size_t bit,
		       bool on)
{
	uint64_t one = 1ull << bit % 64;

	assert(bit < INDEX_KEYWORDS(x->rec_size));
	if (on)
		(&m->keywords)[bit / 64] |= one;
	else
		(&m->keywords)[bit / 64] &= ~one;
}
