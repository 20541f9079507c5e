/*
 * The ring of a journal as recovery finds it.  The input is the ring, from the
 * first batch on; head and checksums are made right, or nothing would get
 * beyond them.  What is found is walked, and frames are taken apart.
 */

#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "node/base/rng.h"
#include "proto/record.h"
#include "storage/frame.h"
#include "storage/journal.h"
#include "tests/fuzz/fuzz_disk.h"

#define ID 0x1122334455667788u
#define PATH "/j/0"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_head(uint8_t *p, uint64_t size)
{
	memcpy(p, "DUETJRN1", 8);
	p[8] = 1;
	p[9] = 0;
	le32_to(p + 12, JOURNAL_BLOCK);
	le64_to(p + 16, ID);
	le64_to(p + 24, size);
	le32_to(p + 32, crc32c(0, p, 32));
}

/* Batches from block 1 on get the checksum of what they say they are. */
static void seal(uint8_t *p, size_t size)
{
	uint8_t id[8];
	uint32_t seed;

	le64_to(id, ID);
	seed = crc32c(0, id, 8);
	for (size_t at = JOURNAL_BLOCK; at < size; at += JOURNAL_BLOCK) {
		uint32_t bytes = le32_at(p + at + 16);

		if (bytes >= JOURNAL_BATCH_HEADER && bytes <= size - at)
			le32_to(p + at + 4,
				crc32c(seed, p + at + 8, bytes - 8));
	}
}

static int entry(void *arg, const struct journal_entry *en)
{
	struct arena *a = arg;
	struct record r;
	struct frame f;

	fuzz_use(en->data);
	if (en->type != JOURNAL_FRAME || en->data.n < 24)
		return 0;
	if (frame_get(slice_sub(en->data, 24, en->data.n), &f, NULL) > 0)
		(void)record_decode(f.payload, a, &r, NULL);
	arena_reset(a);
	return 0;
}

static void failed(void *arg, const struct err *e)
{
	(void)arg, (void)e;
}

static void durable(void *arg, uint64_t batch)
{
	(void)arg, (void)batch;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct simdisk *disk = simdisk_new(NULL);
	struct sys sys = {.fs = simdisk_fs(disk), .rng = rng_system()};
	struct journal_opts o = {.sys = &sys, .path = PATH,
				 .durable = durable, .failed = failed};
	struct arena *a = arena_new(4096);
	struct journal *j = NULL;
	struct err e = ERR_NONE;
	uint8_t *file;
	size_t n;

	if (size > 1u << 20)
		size = 1u << 20;
	n = JOURNAL_BLOCK + (size + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK *
				    JOURNAL_BLOCK;
	if (n < JOURNAL_SIZE_MIN)
		n = JOURNAL_SIZE_MIN;
	file = calloc(1, n);
	if (!file)
		abort();
	if (size)
		memcpy(file + JOURNAL_BLOCK, data, size);
	put_head(file, n);
	seal(file, n);
	o.size = n;
	fuzz_file(sys.fs, "/j", PATH, slice_of(file, n));
	free(file);
	/* A head that we made is taken. */
	if (journal_open(&o, &j, NULL, &e) < 0)
		abort();
	if (journal_scan(j, 0, 0, &e) == 0)
		(void)journal_each(j, entry, a, &e);
	journal_free(j);
	arena_free(a);
	simdisk_free(disk);
	return 0;
}
