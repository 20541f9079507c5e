/* See snapfile.h. */

#include "storage/snapfile.h"

#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "storage/ckmark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define MAGIC "DUETSNF1"
#define FORMAT_MAJOR 1u

void snapfile_encode(const struct snapfile *f, struct buf *to)
{
	size_t from = to->n;

	buf_str(to, MAGIC);
	buf_le16(to, FORMAT_MAJOR);
	buf_le16(to, 0);
	buf_le32(to, 0);	/* CRC-32C of what follows */
	buf_put(to, f->account.b, 16);
	buf_le64(to, f->journal);
	buf_le64(to, f->no.batch);
	buf_le32(to, f->no.sub);
	put_position(to, f->pos);
	buf_le32(to, f->end.segment);
	buf_le64(to, f->end.offset);
	put_position(to, f->end.pos);
	buf_le64(to, f->unclean_until);
	buf_le16(to, f->mark);
	buf_le16(to, f->mark_reason);
	buf_le32(to, 0);
	buf_le64(to, f->mark_time);
	put_position(to, f->acked);
	buf_le64(to, f->token);
	buf_le64(to, f->state.n);
	buf_slice(to, f->state);
	buf_le32(to, (uint32_t)(f->parked.n / 16));
	buf_le32(to, 0);
	buf_slice(to, f->parked);
	if (!to->failed)
		le32_to(to->p + from + 12,
			crc32c(0, to->p + from + 16, to->n - from - 16));
}

int snapfile_decode(struct slice in, struct snapfile *out, struct err *e)
{
	struct cursor c = cursor_of(in);
	struct slice magic = cursor_bytes(&c, 8);
	uint16_t major = cursor_le16(&c);
	struct snapfile f;
	uint32_t crc;
	uint64_t n;
	size_t n_parked;

	cursor_le16(&c);
	crc = cursor_le32(&c);
	if (c.bad || !slice_is(magic, MAGIC) ||
	    crc != crc32c(0, c.p, cursor_left(&c)))
		return err_set(e, E_CORRUPT, "damaged snapshot");
	if (major != FORMAT_MAJOR)
		return err_set(e, E_VERSION, "snapshot format %u, this program "
			       "reads %u", major, FORMAT_MAJOR);
	cursor_copy(&c, f.account.b, 16);
	f.journal = cursor_le64(&c);
	f.no.batch = cursor_le64(&c);
	f.no.sub = cursor_le32(&c);
	f.pos = get_position(&c);
	f.end.segment = cursor_le32(&c);
	f.end.offset = cursor_le64(&c);
	f.end.pos = get_position(&c);
	f.unclean_until = cursor_le64(&c);
	f.mark = (uint8_t)cursor_le16(&c);
	f.mark_reason = (uint8_t)cursor_le16(&c);
	cursor_le32(&c);
	f.mark_time = cursor_le64(&c);
	f.acked = get_position(&c);
	f.token = cursor_le64(&c);
	n = cursor_le64(&c);
	f.state = cursor_bytes(&c, n > SIZE_MAX ? SIZE_MAX : (size_t)n);
	n_parked = cursor_le32(&c);
	cursor_le32(&c);
	f.parked = cursor_bytes(&c, 16 * n_parked);
	if (!cursor_done(&c) || f.end.pos.seq < f.pos.seq)
		return err_set(e, E_CORRUPT, "damaged snapshot");
	*out = f;
	return 0;
}

struct numbers {
	uint64_t *items;
	size_t n, cap;
};

static bool add_number(void *arg, const char *name)
{
	struct numbers *l = arg;
	uint64_t v;

	if (strncmp(name, "snap.", 5) != 0 ||
	    slice_u64(slice_str(name + 5), &v) < 0 || v == 0)
		return true;
	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = v;
	return true;
}

static int rising(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int snapfile_list(struct fsio *fs, const char *dir, uint64_t **out, size_t *n)
{
	struct numbers l = {0};
	int r = fs->ops->list(fs, dir, add_number, &l);

	if (r < 0) {
		free(l.items);
		return r;
	}
	if (l.n)
		qsort(l.items, l.n, sizeof(*l.items), rising);
	*out = l.items;
	*n = l.n;
	return 0;
}

static char *path_of(const char *dir, uint64_t number)
{
	return xprintf("%s/snap.%" PRIu64, dir, number);
}

int snapfile_remove(struct fsio *fs, const char *dir, uint64_t number)
{
	AUTO_FREE char *path = path_of(dir, number);

	return fs->ops->unlink(fs, path);
}

int snapfile_write(struct fsio *fs, const char *dir, uint64_t number,
		   const struct snapfile *f, struct err *e)
{
	AUTO_FREE char *path = path_of(dir, number);
	struct buf b;
	int fd, r;

	buf_init(&b, SNAPFILE_MAX);
	snapfile_encode(f, &b);
	fd = b.failed ? E_LIMIT :
			fs->ops->open(fs, path, O_WRONLY | O_CREAT | O_TRUNC,
				      0600);
	r = fd < 0 ? fd : fsio_pwrite_all(fs, fd, b.p, b.n, 0);
	if (fd >= 0)
		fs->ops->close(fs, fd);
	buf_fini(&b);
	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}

int snapfile_read(struct fsio *fs, const char *dir, uint64_t number,
		  struct buf *to, struct snapfile *out, struct err *e)
{
	AUTO_FREE char *path = path_of(dir, number);
	int r = fsio_read_file(fs, path, SNAPFILE_MAX, to);

	if (r < 0)
		return err_set(e, r, "%s: %s", path, err_name(r));
	r = snapfile_decode(buf_all(to), out, e);
	if (r < 0)
		err_prefix(e, "%s", path);
	return r;
}
