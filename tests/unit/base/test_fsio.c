#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/fsio.h"
#include "node/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir {
	struct fsio *f;
	char root[64];
	char path[128];
};

static void setup(struct dir *d, struct loop *l)
{
	cu_dir(d->root, sizeof(d->root));
	d->f = fsio_system(l);
}

static void teardown(struct dir *d)
{
	CU_EQ_INT(fsio_remove_tree(d->f, d->root), 0);
	CU_ASSERT(!fsio_exists(d->f, d->root));
	fsio_system_free(d->f);
}

static const char *at(struct dir *d, const char *name)
{
	snprintf(d->path, sizeof(d->path), "%s/%s", d->root, name);
	return d->path;
}

static void replaced_files_are_whole_and_leave_nothing_behind(void)
{
	struct dir d;
	struct buf b;
	struct fsio_stat st;

	setup(&d, NULL);
	buf_init(&b, 1000);
	/* What an earlier crash left is in nobody's way. */
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "x.new"), SLICE_LIT("junk"), 0600), 0);
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "x"), SLICE_LIT("one"), 0600), 0);
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "x"), SLICE_LIT("other"), 0600), 0);
	CU_EQ_INT(fsio_read_file(d.f, at(&d, "x"), 100, &b), 0);
	CU_EQ_TEXT(buf_all(&b), "other");
	CU_ASSERT(!fsio_exists(d.f, at(&d, "x.new")));
	CU_EQ_INT(d.f->ops->stat(d.f, at(&d, "x"), &st), 0);
	CU_EQ_INT(st.size, 5);
	CU_EQ_INT(st.mode, S_IFREG | 0600);
	CU_EQ_INT(st.nlink, 1);
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "no/x"), SLICE_NONE, 0600), -ENOENT);
	buf_fini(&b);
	teardown(&d);
}

static void files_beyond_the_limit_are_not_read(void)
{
	static const struct {
		size_t size, max, room;
		int r;
	} t[] = {
		{0, 0, 100, 0},		  {5, 5, 100, 0},
		{6, 5, 100, -EFBIG},	  {5, 100, 5, 0},
		{6, 100, 5, -EFBIG},	  {70000, 70000, 80000, 0},
		{70001, 70000, 80000, -EFBIG}, {70000, 70000, 70000, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct dir d;
		struct buf content, b;
		int r;

		setup(&d, NULL);
		buf_init(&content, 100000);
		buf_fill(&content, 'c', t[i].size);
		CU_EQ_INT(fsio_replace_file(d.f, at(&d, "x"), buf_all(&content),
					    0600), 0);
		buf_init(&b, t[i].room);
		r = fsio_read_file(d.f, at(&d, "x"), t[i].max, &b);
		CU_CLAIM(r == t[i].r, "row %zu gives %d", i, r);
		CU_EQ_INT(b.n, r == 0 ? t[i].size : 0);
		CU_ASSERT(!b.failed);
		buf_fini(&b);
		buf_fini(&content);
		teardown(&d);
	}
}

static void trees_are_made_and_removed_whole(void)
{
	struct dir d;

	setup(&d, NULL);
	CU_EQ_INT(fsio_mkdirs(d.f, at(&d, "a//b/c"), 0700), 0);
	CU_EQ_INT(fsio_mkdirs(d.f, at(&d, "a/b/c"), 0700), 0);
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "a/b/f"), SLICE_NONE, 0600), 0);
	CU_EQ_INT(fsio_mkdirs(d.f, at(&d, "a/b/f"), 0700), -ENOTDIR);
	CU_EQ_INT(fsio_mkdirs(d.f, at(&d, "a/b/f/g"), 0700), -ENOTDIR);
	/* A link to elsewhere is removed, not followed. */
	CU_EQ_INT(mkdir(at(&d, "kept"), 0700), 0);
	CU_EQ_INT(symlink("../kept", at(&d, "a/link")), 0);
	CU_EQ_INT(fsio_replace_file(d.f, at(&d, "kept/f"), SLICE_NONE, 0600), 0);
	CU_EQ_INT(fsio_remove_tree(d.f, at(&d, "a")), 0);
	CU_ASSERT(!fsio_exists(d.f, at(&d, "a")));
	CU_ASSERT(fsio_exists(d.f, at(&d, "kept/f")));
	CU_EQ_INT(fsio_remove_tree(d.f, at(&d, "a")), 0);
	teardown(&d);
}

static void errors_are_those_of_the_system(void)
{
	struct dir d;
	const struct fsio_ops *o;
	uint64_t n, total;
	char from[128];
	int fd, fd2;
	void *p;

	setup(&d, NULL);
	o = d.f->ops;
	CU_EQ_INT(o->open(d.f, at(&d, "no"), O_RDONLY, 0), -ENOENT);
	CU_EQ_INT(o->unlink(d.f, at(&d, "no")), -ENOENT);
	CU_EQ_INT(o->rmdir(d.f, at(&d, "no")), -ENOENT);
	CU_EQ_INT(o->list(d.f, at(&d, "no"), NULL, NULL), -ENOENT);
	CU_EQ_INT(o->close(d.f, -1), -EBADF);
	CU_EQ_INT(o->fdatasync_start(d.f, -1, NULL, NULL), -EBADF);
	CU_EQ_INT(symlink("x", at(&d, "link")), 0);
	CU_EQ_INT(o->open(d.f, at(&d, "link"), O_RDWR | O_CREAT, 0600), -ELOOP);
	fd = o->open(d.f, at(&d, "x"), O_RDWR | O_CREAT, 0600);
	CU_NEED(fd >= 0);
	CU_EQ_INT(o->pwrite(d.f, fd, "abcdef", 6, 10), 6);
	CU_EQ_INT(o->pread(d.f, fd, from, 100, 12), 4);
	CU_EQ_INT(fsio_pread_all(d.f, fd, from, 7, 10), -ENODATA);
	CU_EQ_INT(o->truncate(d.f, fd, 4096), 0);
	CU_EQ_INT(o->fsync(d.f, fd), 0);
	CU_EQ_INT(o->lock(d.f, fd), 0);
	fd2 = o->open(d.f, at(&d, "x"), O_RDWR, 0);
	CU_EQ_INT(o->lock(d.f, fd2), -EAGAIN);
	CU_EQ_INT(o->close(d.f, fd), 0);
	CU_EQ_INT(o->lock(d.f, fd2), 0);
	CU_EQ_INT(o->map(d.f, fd2, 4096, &p), 0);
	memcpy(p, "mapped", 6);
	CU_EQ_INT(o->msync(d.f, p, 4096), 0);
	CU_EQ_INT(o->unmap(d.f, p, 4096), 0);
	CU_EQ_INT(fsio_pread_all(d.f, fd2, from, 6, 0), 0);
	CU_EQ_MEM(from, "mapped", 6);
	CU_EQ_INT(o->close(d.f, fd2), 0);
	CU_EQ_INT(o->space(d.f, d.root, &n, &total), 0);
	CU_ASSERT(total > 0 && n <= total);
	CU_EQ_INT(o->syncfs(d.f, at(&d, "no")), -ENOENT);
	CU_EQ_INT(o->fsync_dir(d.f, d.root), 0);
	snprintf(from, sizeof(from), "%s/x", d.root);
	CU_EQ_INT(o->link(d.f, from, at(&d, "y")), 0);
	CU_EQ_INT(o->link(d.f, from, at(&d, "y")), -EEXIST);
	CU_EQ_INT(o->mkdir(d.f, at(&d, "z"), 0700), 0);
	CU_EQ_INT(o->exchange(d.f, from, at(&d, "z")), 0);
	CU_EQ_INT(o->rmdir(d.f, from), 0);
	CU_EQ_INT(o->rename(d.f, at(&d, "z"), from), 0);
	teardown(&d);
}

struct seen {
	int done[20];
	size_t n;
};

struct sync {
	struct seen *seen;
	int number;
};

static void synced(void *arg, int result)
{
	struct sync *s = arg;

	CU_EQ_INT(result, 0);
	s->seen->done[s->seen->n++] = s->number;
}

static void syncs_finish_in_order_of_one_file_and_never_at_once(void)
{
	struct loop *loops[2] = {NULL, NULL};

	CU_EQ_INT(loop_new(&loops[1]), 0);
	for (size_t k = 0; k < 2; k++) {
		struct dir d;
		struct seen seen = {.n = 0};
		struct sync syncs[20];
		int fd;

		setup(&d, loops[k]);
		fd = d.f->ops->open(d.f, at(&d, "x"), O_RDWR | O_CREAT, 0600);
		for (int i = 0; i < 19; i++) {
			syncs[i] = (struct sync){&seen, i};
			CU_EQ_INT(d.f->ops->pwrite(d.f, fd, "x", 1, (uint64_t)i), 1);
			CU_EQ_INT(d.f->ops->fdatasync_start(d.f, fd, synced,
							    &syncs[i]), 0);
		}
		CU_EQ_INT(seen.n, 0);
		while (k == 1 && seen.n < 19)
			loop_turn(loops[1], UINT64_MAX);
		fsio_poll(d.f);
		CU_EQ_INT(seen.n, 19);
		for (int i = 0; i < 19; i++)
			CU_EQ_INT(seen.done[i], i);
		d.f->ops->close(d.f, fd);
		teardown(&d);
	}
	loop_free(loops[1]);
}

static void nobody_is_called_after_the_end(void)
{
	struct loop *l;
	struct dir d;
	struct seen seen = {.n = 0};
	struct sync s = {&seen, 0};
	int fd;

	CU_EQ_INT(loop_new(&l), 0);
	setup(&d, l);
	fd = d.f->ops->open(d.f, at(&d, "x"), O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < 5; i++)
		CU_EQ_INT(d.f->ops->fdatasync_start(d.f, fd, synced, &s), 0);
	CU_EQ_INT(d.f->ops->unlink(d.f, at(&d, "x")), 0);
	CU_EQ_INT(fsio_remove_tree(d.f, d.root), 0);
	fsio_system_free(d.f);
	loop_turn(l, 0);
	CU_EQ_INT(seen.n, 0);
	close(fd);
	loop_free(l);
}

CU_TESTS(CU_CASE(replaced_files_are_whole_and_leave_nothing_behind),
	 CU_CASE(files_beyond_the_limit_are_not_read),
	 CU_CASE(trees_are_made_and_removed_whole),
	 CU_CASE(errors_are_those_of_the_system),
	 CU_CASE(syncs_finish_in_order_of_one_file_and_never_at_once),
	 CU_CASE(nobody_is_called_after_the_end))
