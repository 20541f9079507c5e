/*
 * A segment of an account log, or frames from anywhere: what is read and
 * written again is the same.  Checksums are made right for as far as the
 * lengths lead, or nothing would get beyond them.
 */

#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/alog.h"
#include "tests/fuzz/fuzz_disk.h"

#define DIR "/log"

static const struct id128 account = {"0123456789abcde"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames(struct slice in)
{
	struct frame f;
	struct buf again;
	uint32_t crc;
	int n;

	while ((n = frame_get(in, &f, &crc)) > 0) {
		if ((size_t)n > in.n)
			abort();
		fuzz_use(f.payload);
		buf_init(&again, 2 * FRAME_PAYLOAD_MAX);
		frame_put(&again, &f, crc);
		/* The padding is ours to choose. */
		if (again.n != (size_t)n ||
		    memcmp(again.p, in.p, FRAME_HEADER_SIZE + f.payload.n) != 0)
			abort();
		buf_fini(&again);
		in = slice_sub(in, (size_t)n, in.n);
	}
}

static size_t seal(uint8_t *p, size_t size)
{
	size_t at = ALOG_HEADER_SIZE;

	memcpy(p, "DUETLOG1", 8);
	p[8] = 1;
	p[9] = 0;
	le32_to(p + 12, 1);
	memcpy(p + 16, account.b, 16);
	le32_to(p + 60, crc32c(0, p, 60));
	for (;;) {
		struct frame f;
		int n = frame_get(slice_of(p + at, size - at), &f, NULL);

		if (n <= 0)
			return at;
		le32_to(p + at + 4,
			frame_crc(account, 1, at,
				  slice_of(p + at + 8, FRAME_HEADER_SIZE - 8 +
							       f.payload.n)));
		at += (size_t)n;
	}
}

static bool seen(void *arg, struct slice frame, struct position pos)
{
	fuzz_use(frame);
	*(uint64_t *)arg = pos.seq;
	return true;
}

static void read_all(struct alog *l)
{
	struct err e = ERR_NONE;
	struct position pos;
	uint64_t last = 0;

	if (alog_read(l, alog_floor(l), seen, &last, &e) < 0)
		return;
	if (last && alog_position(l, last, &pos, &e) == 0 &&
	    alog_position(l, last - 1, &pos, &e) == 0)
		(void)alog_cut(l, pos, &e);
	alog_trim(l, last, 0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct alog_opts o = {.dir = DIR, .account = account,
			      .pair_id = SLICE_LIT("0123456789abcdef")};
	struct alog_end end = {.segment = 1};
	struct simdisk *disk;
	struct err e = ERR_NONE;
	uint8_t *file;
	int cut;

	frames(slice_of(data, size));
	if (size < ALOG_HEADER_SIZE || size > 1u << 20)
		return 0;
	disk = simdisk_new(NULL);
	o.fs = simdisk_fs(disk);
	file = malloc(size);
	if (!file)
		abort();
	memcpy(file, data, size);
	end.offset = seal(file, size);
	fuzz_file(o.fs, DIR, DIR "/00000001", slice_of(file, size));
	free(file);
	for (cut = 0; cut < 2; cut++) {
		struct alog *l;

		/* As its snapshot tells: the last frame, at its end. */
		end.pos.seq = le64_at(data + 40);
		o.cut = cut;
		if (alog_open(&o, &end, &l, &e) < 0)
			continue;
		read_all(l);
		alog_free(l);
	}
	simdisk_free(disk);
	return 0;
}
