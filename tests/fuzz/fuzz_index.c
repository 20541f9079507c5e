/*
 * The index of a mailbox and its cache of parsed messages.  The first byte
 * chooses; the index gets its header's checksum made right.
 */

#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/cache.h"
#include "storage/index.h"
#include "tests/fuzz/fuzz_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct id128 id = {"0123456789abcde"};

static void walk(struct index *x)
{
	for (uint32_t i = 0; i < x->n; i++) {
		struct mrec *m = index_rec(x, i);

		fuzz_use(slice_of((uint8_t *)m, x->rec_size));
		for (size_t bit = 0; bit < INDEX_KEYWORDS(x->rec_size);
		     bit += 61)
			(void)index_keyword(x, m, bit);
		if (index_lower(x, m->uid) > x->n)
			abort();
	}
}

static void an_index(struct fsio *fs, struct slice in)
{
	uint8_t *file = malloc(in.n ? in.n : 1);
	struct err e = ERR_NONE;
	struct index x;

	if (!file)
		abort();
	memcpy(file, in.p, in.n);
	if (in.n >= INDEX_HEADER_SIZE) {
		memcpy(file, "DUETIDX1", 8);
		memcpy(file + 16, id.b, 16);
		le32_to(file + 40, crc32c(0, file, 40));
	}
	fuzz_file(fs, "/i", "/i/x", slice_of(file, in.n));
	index_init(&x, fs);
	if (index_open_any(&x, "/i/x", id) == 0)
		walk(&x);
	index_close(&x);
	index_init(&x, fs);
	if (in.n >= INDEX_HEADER_SIZE &&
	    /* Of a size that a snapshot may name. */
	    index_open(&x, "/i/x", id, le64_at(file + 32),
		       index_rec_size(file[12]), le32_at(file + 44), &e) == 0)
		walk(&x);
	index_close(&x);
	free(file);
}

static void a_cache(struct fsio *fs, struct slice in)
{
	struct cache c;
	struct slice out;

	fuzz_file(fs, "/i", "/i/c", in);
	cache_init(&c, fs);
	if (cache_open(&c, "/i/c") == 0)
		for (size_t at = 0; at < in.n + 64; at += 4) {
			struct id128 of = id;

			if (at + 24 <= in.n)
				memcpy(of.b, in.p + at + 8, 16);
			if (cache_get(&c, at, of, &out) == 0)
				fuzz_use(out);
		}
	cache_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct simdisk *disk;

	if (size < 1 || size > 1u << 18)
		return 0;
	disk = simdisk_new(NULL);
	if (data[0] & 1)
		an_index(simdisk_fs(disk), slice_of(data + 1, size - 1));
	else
		a_cache(simdisk_fs(disk), slice_of(data + 1, size - 1));
	simdisk_free(disk);
	return 0;
}
