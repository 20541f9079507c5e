#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/snapshot.h"

#include <errno.h>
#include <stdlib.h>

/*
 * The seed that a partner sends (state_import), and a snapshot file: damaged
 * bytes are refused, what is taken can be exported again.  The checksum is
 * made right, or nothing would get beyond it.  Files are imagined: all is
 * missing at first, writes vanish, mappings are memory.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int f_open(struct fsio *f, const char *path, int flags, mode_t mode)
{
	(void)f, (void)path, (void)flags, (void)mode;
	return 7;
}

static int f_fd(struct fsio *f, int fd)
{
	(void)f, (void)fd;
	return 0;
}

static ssize_t f_pread(struct fsio *f, int fd, void *to, size_t n, uint64_t off)
{
	(void)f, (void)fd, (void)to, (void)n, (void)off;
	return 0;
}

static ssize_t f_pwrite(struct fsio *f, int fd, const void *p, size_t n,
			uint64_t off)
{
	(void)f, (void)fd, (void)p, (void)off;
	return (ssize_t)n;
}

static int f_allocate(struct fsio *f, int fd, uint64_t off, uint64_t n)
{
	(void)f, (void)fd, (void)off, (void)n;
	return 0;
}

static int f_stat(struct fsio *f, const char *path, struct fsio_stat *out)
{
	(void)f, (void)path, (void)out;
	return -ENOENT;
}

static int f_fstat(struct fsio *f, int fd, struct fsio_stat *out)
{
	(void)f, (void)fd;
	*out = (struct fsio_stat){0};
	return 0;
}

static int f_two(struct fsio *f, const char *a, const char *b)
{
	(void)f, (void)a, (void)b;
	return 0;
}

static int f_one(struct fsio *f, const char *path)
{
	(void)f, (void)path;
	return 0;
}

static int f_mkdir(struct fsio *f, const char *path, mode_t mode)
{
	(void)f, (void)path, (void)mode;
	return 0;
}

static int f_list(struct fsio *f, const char *dir, fsio_list_cb *cb, void *arg)
{
	(void)f, (void)dir, (void)cb, (void)arg;
	return 0;
}

static int f_map(struct fsio *f, int fd, size_t n, void **out)
{
	(void)f, (void)fd;
	*out = calloc(1, n);
	return *out ? 0 : -ENOMEM;
}

static int f_unmap(struct fsio *f, void *p, size_t n)
{
	(void)f, (void)n;
	free(p);
	return 0;
}

static const struct fsio_ops ops = {
	.open = f_open, .close = f_fd, .pread = f_pread, .pwrite = f_pwrite,
	.allocate = f_allocate, .stat = f_stat, .fstat = f_fstat,
	.rename = f_two, .link = f_two, .unlink = f_one, .mkdir = f_mkdir,
	.rmdir = f_one, .fsync_dir = f_one, .list = f_list, .map = f_map,
	.unmap = f_unmap,
};

static void take(struct state_opts *o, struct slice in, bool records)
{
	struct state *s = state_new(o);
	struct buf again;
	struct err e;

	buf_init(&again, 64u << 20);
	if (snapshot_get(s, in, records, &e) == 0) {
		uint8_t digest[16];

		if (snapshot_put(s, &again, records, &e) < 0)
			abort();
		state_digest(s, digest);
	}
	buf_fini(&again);
	state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fsio fs = {&ops};
	struct sys sys = {.fs = &fs};
	struct state_opts o = {.sys = &sys, .root = "/r", .pair_time = 5,
			       .pair_id = SLICE_LIT("0123456789abcdef")};
	uint8_t *in = malloc(size + 4);

	if (!in)
		return 0;
	memcpy(in, data, size);
	le32_to(in + size, crc32c(0, in, size));
	if (size >= 28)
		memcpy(o.id.b, data + 12, 16);
	take(&o, slice_of(in, size + 4), true);
	take(&o, slice_of(in, size + 4), false);
	free(in);
	return 0;
}
