/* Real files. */

#include "node/base/fsio.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Threads for fdatasync.  A descriptor always uses the same one, which keeps
 * its order; different ones do not wait for each other. */
#define SYNC_QUEUES 4

struct due {
	fsio_done *done;
	void *arg;
	int result;
};

struct system_fsio {
	struct fsio fsio;
	struct loop *loop;
	bool closing;		/* nobody wants results any more */
	struct loop_queue *sync[SYNC_QUEUES], *syncfs;
	/* Without a loop: results that fsio_poll() hands out. */
	struct due *due;
	size_t n_due, cap_due;
};

struct job {
	struct system_fsio *s;
	fsio_done *done;
	void *arg;
	char *path;		/* syncfs, else NULL */
	int fd;
};

static struct system_fsio *of(struct fsio *f)
{
	return CONTAINER_OF(f, struct system_fsio, fsio);
}

/* 0 or a count stays, -1 becomes -errno. */
static int ret(int r)
{
	return r < 0 ? -errno : r;
}

static int sys_open(struct fsio *f, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)f;
	do
		fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	while (fd < 0 && errno == EINTR);
	return ret(fd);
}

static int sys_close(struct fsio *f, int fd)
{
	(void)f;
	/* After EINTR the descriptor is closed on Linux. */
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static ssize_t sys_pread(struct fsio *f, int fd, void *to, size_t n,
			 uint64_t off)
{
	ssize_t r;

	(void)f;
	do
		r = pread(fd, to, n, (off_t)off);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static ssize_t sys_pwrite(struct fsio *f, int fd, const void *p, size_t n,
			  uint64_t off)
{
	ssize_t r;

	(void)f;
	do
		r = pwrite(fd, p, n, (off_t)off);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int sys_truncate(struct fsio *f, int fd, uint64_t size)
{
	(void)f;
	return ret(ftruncate(fd, (off_t)size));
}

static int sys_allocate(struct fsio *f, int fd, uint64_t off, uint64_t n)
{
	int r;

	(void)f;
	do
		r = fallocate(fd, 0, (off_t)off, (off_t)n);
	while (r < 0 && errno == EINTR);
	return ret(r);
}

static int sys_fsync(struct fsio *f, int fd)
{
	(void)f;
	return ret(fsync(fd));
}

/* Flushes what dir's file system holds; also serves fsync_dir. */
static int with_dir(const char *path, int (*fn)(int))
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : ret(fn(fd));
}

static int sys_syncfs(struct fsio *f, const char *path)
{
	(void)f;
	return with_dir(path, syncfs);
}

static int sys_fsync_dir(struct fsio *f, const char *path)
{
	(void)f;
	return with_dir(path, fsync);
}

/* In a worker thread; touches nothing but its job. */
static int job_run(void *arg)
{
	struct job *j = arg;

	return j->path ? with_dir(j->path, syncfs) : ret(fdatasync(j->fd));
}

static void job_done(void *arg, int result)
{
	struct job *j = arg;

	if (!j->s->closing)
		j->done(j->arg, result);
	free(j->path);
	free(j);
}

static void start(struct system_fsio *s, struct loop_queue **q, int fd,
		  const char *path, fsio_done *done, void *arg)
{
	struct job *j = NEW(struct job);

	*j = (struct job){s, done, arg, path ? xstrdup(path) : NULL, fd};
	if (s->loop) {
		if (!*q)
			*q = loop_queue_new(s->loop, 1);
		loop_worker(*q, job_run, job_done, j);
		return;
	}
	GROW(s->due, s->n_due, s->cap_due);
	s->due[s->n_due++] = (struct due){done, arg, job_run(j)};
	free(j->path);
	free(j);
}

static int sys_fdatasync_start(struct fsio *f, int fd, fsio_done *done,
			       void *arg)
{
	struct system_fsio *s = of(f);

	if (fd < 0)
		return -EBADF;
	start(s, &s->sync[fd % SYNC_QUEUES], fd, NULL, done, arg);
	return 0;
}

static int sys_syncfs_start(struct fsio *f, const char *path, fsio_done *done,
			    void *arg)
{
	struct system_fsio *s = of(f);

	start(s, &s->syncfs, -1, path, done, arg);
	return 0;
}

static void to_stat(const struct stat *st, struct fsio_stat *out)
{
	*out = (struct fsio_stat){
		.size = (uint64_t)st->st_size,
		.mtime_usec = (int64_t)st->st_mtim.tv_sec * 1000000 +
			      st->st_mtim.tv_nsec / 1000,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
	};
}

static int sys_stat(struct fsio *f, const char *path, struct fsio_stat *out)
{
	struct stat st;

	(void)f;
	if (stat(path, &st) < 0)
		return -errno;
	to_stat(&st, out);
	return 0;
}

static int sys_fstat(struct fsio *f, int fd, struct fsio_stat *out)
{
	struct stat st;

	(void)f;
	if (fstat(fd, &st) < 0)
		return -errno;
	to_stat(&st, out);
	return 0;
}

static int sys_rename(struct fsio *f, const char *from, const char *to)
{
	(void)f;
	return ret(rename(from, to));
}

static int sys_exchange(struct fsio *f, const char *a, const char *b)
{
	(void)f;
	return ret(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE));
}

static int sys_link(struct fsio *f, const char *from, const char *to)
{
	(void)f;
	return ret(link(from, to));
}

static int sys_unlink(struct fsio *f, const char *path)
{
	(void)f;
	return ret(unlink(path));
}

static int sys_mkdir(struct fsio *f, const char *path, mode_t mode)
{
	(void)f;
	return ret(mkdir(path, mode));
}

static int sys_rmdir(struct fsio *f, const char *path)
{
	(void)f;
	return ret(rmdir(path));
}

static int sys_list(struct fsio *f, const char *dir, fsio_list_cb *cb, void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	(void)f;
	if (!d)
		return -errno;
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			r = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!cb(arg, e->d_name))
			break;
	}
	closedir(d);
	return r;
}

static int sys_lock(struct fsio *f, int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	(void)f;
	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int sys_map(struct fsio *f, int fd, size_t n, void **out)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	(void)f;
	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

static int sys_unmap(struct fsio *f, void *p, size_t n)
{
	(void)f;
	return ret(munmap(p, n));
}

static int sys_msync(struct fsio *f, void *p, size_t n)
{
	(void)f;
	return ret(msync(p, n, MS_SYNC));
}

static int sys_space(struct fsio *f, const char *path, uint64_t *free_out,
		     uint64_t *total_out)
{
	struct statvfs v;

	(void)f;
	if (statvfs(path, &v) < 0)
		return -errno;
	*free_out = (uint64_t)v.f_bavail * v.f_frsize;
	*total_out = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}

static const struct fsio_ops system_ops = {
	.open = sys_open,
	.close = sys_close,
	.pread = sys_pread,
	.pwrite = sys_pwrite,
	.truncate = sys_truncate,
	.allocate = sys_allocate,
	.fsync = sys_fsync,
	.fdatasync_start = sys_fdatasync_start,
	.syncfs_start = sys_syncfs_start,
	.syncfs = sys_syncfs,
	.fsync_dir = sys_fsync_dir,
	.stat = sys_stat,
	.fstat = sys_fstat,
	.rename = sys_rename,
	.exchange = sys_exchange,
	.link = sys_link,
	.unlink = sys_unlink,
	.mkdir = sys_mkdir,
	.rmdir = sys_rmdir,
	.list = sys_list,
	.lock = sys_lock,
	.map = sys_map,
	.unmap = sys_unmap,
	.msync = sys_msync,
	.space = sys_space,
};

struct fsio *fsio_system(struct loop *loop)
{
	struct system_fsio *s = NEW(struct system_fsio);

	s->fsio.ops = &system_ops;
	s->loop = loop;
	return &s->fsio;
}

void fsio_system_free(struct fsio *f)
{
	struct system_fsio *s;

	if (!f)
		return;
	s = of(f);
	s->closing = true;
	for (size_t i = 0; i < SYNC_QUEUES; i++)
		loop_queue_free(s->sync[i]);
	loop_queue_free(s->syncfs);
	free(s->due);
	free(s);
}

void fsio_poll(struct fsio *f)
{
	struct system_fsio *s;

	/* Only real files without a loop have anything due here; a twin runs
	 * its callbacks by its own means. */
	if (f->ops != &system_ops)
		return;
	s = of(f);
	/* Callbacks may start more; one round is what was due now. */
	struct due *due = TAKE(s->due);
	size_t n = s->n_due;

	s->n_due = s->cap_due = 0;
	for (size_t i = 0; i < n; i++)
		due[i].done(due[i].arg, due[i].result);
	free(due);
}
