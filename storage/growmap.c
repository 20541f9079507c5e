#include "storage/growmap.h"
#include "node/base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define GROWMAP_FIRST 4096u

void growmap_init(struct growmap *g, struct fsio *fs)
{
	*g = (struct growmap){.fs = fs};
}

/* Maps `size` bytes of the file, which is made that long first. */
static int map_file(struct growmap *g, int fd, size_t have, size_t size)
{
	struct fsio *fs = g->fs;
	void *p;
	int r = 0;

	if (size > have) {
		r = fs->ops->allocate(fs, fd, have, size - have);
		if (r == -EOPNOTSUPP)
			r = fs->ops->truncate(fs, fd, size);
	}
	if (r < 0)
		return r;
	r = fs->ops->map(fs, fd, size, &p);
	if (r < 0)
		return r;
	if (g->p) {
		GROW(g->old, g->n_old, g->cap_old);
		g->old[g->n_old++] = (struct growmap_old){g->p, g->n};
	}
	g->p = p;
	g->n = size;
	return 0;
}

int growmap_open(struct growmap *g, const char *path, size_t size, bool create)
{
	struct fsio *fs = g->fs;
	struct fsio_stat st;
	int fd, r;

	fd = fs->ops->open(fs, path, O_RDWR | (create ? O_CREAT : 0), 0600);
	if (fd < 0)
		return fd;
	r = fs->ops->fstat(fs, fd, &st);
	if (r == 0 && !create && st.size == 0)
		r = -ENOENT;
	if (r == 0) {
		size_t want = (size_t)st.size;

		if (want < size)
			want = size < GROWMAP_FIRST ? GROWMAP_FIRST : size;
		r = create || st.size >= size ?
			    map_file(g, fd, (size_t)st.size, want) :
			    -ENOENT;
	}
	fs->ops->close(fs, fd);
	if (r == 0) {
		free(g->path);
		g->path = xstrdup(path);
	}
	return r;
}

int growmap_need(struct growmap *g, size_t size)
{
	size_t want = g->n;
	int fd, r;

	if (size <= g->n)
		return 0;
	while (want < size)
		want *= 2;
	fd = g->fs->ops->open(g->fs, g->path, O_RDWR, 0600);
	if (fd < 0)
		return fd;
	r = map_file(g, fd, g->n, want);
	g->fs->ops->close(g->fs, fd);
	return r;
}

void growmap_settle(struct growmap *g)
{
	for (size_t i = 0; i < g->n_old; i++)
		g->fs->ops->unmap(g->fs, g->old[i].p, g->old[i].n);
	free(g->old);
	g->old = NULL;
	g->n_old = g->cap_old = 0;
}

void growmap_close(struct growmap *g)
{
	growmap_settle(g);
	if (g->p)
		g->fs->ops->unmap(g->fs, g->p, g->n);
	free(g->path);
	growmap_init(g, g->fs);
}
