/* What most callers want of files, on top of the vtable. */

#include "node/base/fsio.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define READ_CHUNK (64u * 1024)
/* A tree deeper than this is not ours; no call goes round in circles in it. */
#define TREE_DEPTH_MAX 256

int fsio_pread_all(struct fsio *f, int fd, void *to, size_t n, uint64_t off)
{
	uint8_t *p = to;

	while (n > 0) {
		ssize_t got = f->ops->pread(f, fd, p, n, off);

		if (got < 0)
			return (int)got;
		if (got == 0)
			return -ENODATA;
		p += got;
		n -= (size_t)got;
		off += (uint64_t)got;
	}
	return 0;
}

int fsio_pwrite_all(struct fsio *f, int fd, const void *p, size_t n,
		    uint64_t off)
{
	const uint8_t *from = p;

	while (n > 0) {
		ssize_t put = f->ops->pwrite(f, fd, from, n, off);

		if (put < 0)
			return (int)put;
		if (put == 0)
			return -EIO;
		from += put;
		n -= (size_t)put;
		off += (uint64_t)put;
	}
	return 0;
}

static int read_fd(struct fsio *f, int fd, size_t max, struct buf *to)
{
	uint64_t off = 0;

	for (;;) {
		uint8_t *room = buf_room(to, READ_CHUNK);
		size_t n = READ_CHUNK;
		uint8_t last;
		ssize_t got;

		if (!room) {
			/* The buffer's own limit; it may just be full. */
			to->failed = false;
			n = to->max - to->n;
			room = n ? buf_room(to, n) : &last;
			n = n ? n : 1;
		}
		got = f->ops->pread(f, fd, room, n, off);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return 0;
		if (room == &last || (size_t)got > max - off)
			return -EFBIG;
		buf_commit(to, (size_t)got);
		off += (uint64_t)got;
	}
}

int fsio_read_file(struct fsio *f, const char *path, size_t max, struct buf *to)
{
	int fd = f->ops->open(f, path, O_RDONLY, 0);
	size_t before = to->n;
	int r;

	if (fd < 0)
		return fd;
	r = read_fd(f, fd, max, to);
	if (r < 0)
		buf_truncate(to, before);
	f->ops->close(f, fd);
	return r;
}

static int write_new(struct fsio *f, const char *path, struct slice content,
		     mode_t mode)
{
	int fd = f->ops->open(f, path, O_WRONLY | O_CREAT | O_EXCL, mode);
	int r, closed;

	if (fd < 0)
		return fd;
	r = fsio_pwrite_all(f, fd, content.p, content.n, 0);
	if (r == 0)
		r = f->ops->fsync(f, fd);
	closed = f->ops->close(f, fd);
	return r < 0 ? r : closed;
}

/* The directory part; "." without one. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return xstrdup(".");
	return slash == path ? xstrdup("/") :
			       xstrndup(path, (size_t)(slash - path));
}

int fsio_replace_file(struct fsio *f, const char *path, struct slice content,
		      mode_t mode)
{
	AUTO_FREE char *tmp = xprintf("%s.new", path);
	AUTO_FREE char *dir = parent_of(path);
	int r;

	/* A crash may have left one of an earlier attempt. */
	r = f->ops->unlink(f, tmp);
	if (r < 0 && r != -ENOENT)
		return r;
	r = write_new(f, tmp, content, mode);
	if (r == 0)
		r = f->ops->rename(f, tmp, path);
	if (r < 0) {
		f->ops->unlink(f, tmp);
		return r;
	}
	return f->ops->fsync_dir(f, dir);
}

static int make_dir(struct fsio *f, const char *path, mode_t mode)
{
	struct fsio_stat st;
	int r = f->ops->mkdir(f, path, mode);

	if (r != -EEXIST)
		return r;
	r = f->ops->stat(f, path, &st);
	if (r == 0 && !S_ISDIR(st.mode))
		r = -ENOTDIR;
	return r;
}

int fsio_mkdirs(struct fsio *f, const char *path, mode_t mode)
{
	AUTO_FREE char *copy = xstrdup(path);
	int r = make_dir(f, path, mode);

	/* The usual case is one level or none missing. */
	if (r != -ENOENT)
		return r;
	for (char *at = copy + 1; *at; at++) {
		if (*at != '/' || at[-1] == '/')
			continue;
		*at = '\0';
		r = make_dir(f, copy, mode);
		*at = '/';
		if (r < 0)
			return r;
	}
	return make_dir(f, path, mode);
}

struct names {
	char **items;
	size_t n, cap;
};

static bool add_name(void *arg, const char *name)
{
	struct names *l = arg;

	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = xstrdup(name);
	return true;
}

static int remove_at(struct fsio *f, const char *path, unsigned depth)
{
	struct names l = {0};
	int r = f->ops->unlink(f, path);

	if (r == 0 || r == -ENOENT)
		return 0;
	if (r != -EISDIR && r != -EPERM)
		return r;
	if (depth == 0)
		return -ELOOP;
	r = f->ops->list(f, path, add_name, &l);
	for (size_t i = 0; i < l.n; i++) {
		if (r == 0) {
			AUTO_FREE char *sub = xprintf("%s/%s", path, l.items[i]);

			r = remove_at(f, sub, depth - 1);
		}
		free(l.items[i]);
	}
	free(l.items);
	return r < 0 ? r : f->ops->rmdir(f, path);
}

int fsio_remove_tree(struct fsio *f, const char *path)
{
	return remove_at(f, path, TREE_DEPTH_MAX);
}

bool fsio_exists(struct fsio *f, const char *path)
{
	struct fsio_stat st;

	return f->ops->stat(f, path, &st) == 0;
}
