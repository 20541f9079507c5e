/*
 * Small files that say where a store stands: mark file, snapshot file,
 * identity, and the text marks.  The first byte chooses; checksums are made
 * right.
 */

#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "node/super/identity.h"
#include "storage/account_root.h"
#include "storage/snapfile.h"
#include "tests/fuzz/fuzz_disk.h"

#define PAIR SLICE_LIT("0123456789abcdef")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken gives the same bytes again, but for what this version does
 * not know. */
static void mark(uint8_t *p, size_t n)
{
	struct err e = ERR_NONE;
	struct ckmark m = {0}, m2 = {0};
	struct buf one, two;

	if (n >= 16)
		le32_to(p + 12, crc32c(0, p + 16, n - 16));
	buf_init(&one, 64u << 20);
	buf_init(&two, 64u << 20);
	if (ckmark_decode(slice_of(p, n), &m, &e) == 0) {
		ckmark_encode(&m, &one);
		if (ckmark_decode(buf_all(&one), &m2, &e) < 0)
			abort();
		ckmark_encode(&m2, &two);
		if (!slice_eq(buf_all(&one), buf_all(&two)))
			abort();
		ckmark_counts(&m, (struct ckmark_no){m.batch, m.sub});
		ckmark_fini(&m2);
		ckmark_fini(&m);
	}
	buf_fini(&one);
	buf_fini(&two);
}

static void snapshot(uint8_t *p, size_t n)
{
	struct err e = ERR_NONE;
	struct snapfile f;

	if (n >= 16)
		le32_to(p + 12, crc32c(0, p + 16, n - 16));
	if (snapfile_decode(slice_of(p, n), &f, &e) < 0)
		return;
	fuzz_use(f.state);
	fuzz_use(f.parked);
}

static void identity(uint8_t *p, size_t n)
{
	struct err e = ERR_NONE;
	struct node_identity id, again;
	uint8_t out[IDENTITY_SIZE];

	if (n == IDENTITY_SIZE)
		le32_to(p + n - 4, crc32c(0, p, n - 4));
	if (identity_decode(slice_of(p, n), &id, &e) < 0)
		return;
	identity_encode(&id, out);
	if (identity_decode(slice_of(out, sizeof(out)), &again, &e) < 0)
		abort();
	(void)identity_check_change(&id, &again, &e);
}

static bool known(void *arg, const struct account_root *a)
{
	(void)arg;
	if (strnlen(a->name, sizeof(a->name)) == sizeof(a->name) ||
	    strnlen(a->root, sizeof(a->root)) == sizeof(a->root))
		abort();
	return true;
}

static void text(struct slice in)
{
	struct simdisk *disk = simdisk_new(NULL);
	struct fsio *fs = simdisk_fs(disk);
	struct account_root a = {.name = "alice", .root = "/m/alice"};
	struct err e = ERR_NONE;

	fuzz_file(fs, "/m", "/m/.duet-node", in);
	(void)node_mark_check(fs, "/m", PAIR, 0, &e);
	fuzz_file(fs, "/m/alice/.duet", "/m/alice/.duet/owner", in);
	(void)account_root_check(fs, PAIR, &a, &e);
	fuzz_file(fs, "/s/accounts/00",
		  "/s/accounts/00/00000000000000000000000000000000", in);
	if (account_root_get(fs, "/s", (struct id128){{0}}, &a, &e) == 0)
		known(NULL, &a);
	(void)account_root_each(fs, "/s", known, NULL, &e);
	simdisk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p;

	if (size < 1 || size > 1u << 20)
		return 0;
	p = malloc(size);
	if (!p)
		abort();
	memcpy(p, data + 1, size - 1);
	switch (data[0] % 4) {
	case 0: mark(p, size - 1); break;
	case 1: snapshot(p, size - 1); break;
	case 2: identity(p, size - 1); break;
	case 3: text(slice_of(p, size - 1)); break;
	}
	free(p);
	return 0;
}
