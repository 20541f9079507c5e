#ifndef DUET_BASE_FSIO_H
#define DUET_BASE_FSIO_H

/*
 * All file access of storage/ goes through here, so that tests can fail,
 * tear, lose and reorder every call.  Calls return 0 or a count, or -errno.
 * Paths are absolute or relative to the process's directory; there is no
 * openat: a mail tree is owned by one uid.
 *
 * Twins: fsio_system() (real files) and tests/lib/simdisk (memory, crashes).
 */

#include "node/base/slice.h"
#include <sys/types.h>

struct fsio_stat {
	uint64_t size;
	int64_t mtime_usec;
	uint64_t dev;		/* file system, for one syncfs each */
	uint64_t ino;
	uint32_t mode;		/* S_IFMT bits and permissions */
	uint32_t nlink;
};

typedef void fsio_done(void *arg, int result);
typedef bool fsio_list_cb(void *arg, const char *name);   /* false stops */

struct fsio {
	const struct fsio_ops *ops;
};

struct fsio_ops {
	/* flags as in open(2), always with O_CLOEXEC | O_NOFOLLOW. */
	int (*open)(struct fsio *, const char *path, int flags, mode_t mode);
	int (*close)(struct fsio *, int fd);
	ssize_t (*pread)(struct fsio *, int fd, void *to, size_t n, uint64_t off);
	/* May write less than asked, as pwrite(2). */
	ssize_t (*pwrite)(struct fsio *, int fd, const void *p, size_t n,
			  uint64_t off);
	int (*truncate)(struct fsio *, int fd, uint64_t size);
	/* Bytes allocated and size at least off + n; -EOPNOTSUPP is possible. */
	int (*allocate)(struct fsio *, int fd, uint64_t off, uint64_t n);
	int (*fsync)(struct fsio *, int fd);
	/* Starts an fdatasync; done is called later from the loop (never from
	 * inside this call), in the order of submission for one fd. */
	int (*fdatasync_start)(struct fsio *, int fd, fsio_done *done, void *arg);
	/* Everything written so far to the file system of path, in the
	 * background like fdatasync_start. */
	int (*syncfs_start)(struct fsio *, const char *path, fsio_done *done,
			    void *arg);
	int (*syncfs)(struct fsio *, const char *path);
	int (*fsync_dir)(struct fsio *, const char *path);
	/* Of what a symbolic link leads to: the mail root may be one. */
	int (*stat)(struct fsio *, const char *path, struct fsio_stat *out);
	int (*fstat)(struct fsio *, int fd, struct fsio_stat *out);
	int (*rename)(struct fsio *, const char *from, const char *to);
	/* RENAME_EXCHANGE; -EINVAL or -ENOSYS where the file system lacks it. */
	int (*exchange)(struct fsio *, const char *a, const char *b);
	int (*link)(struct fsio *, const char *from, const char *to);
	int (*unlink)(struct fsio *, const char *path);
	int (*mkdir)(struct fsio *, const char *path, mode_t mode);
	int (*rmdir)(struct fsio *, const char *path);
	/* Every entry but . and .., in no order. */
	int (*list)(struct fsio *, const char *dir, fsio_list_cb *cb, void *arg);
	/* Exclusive OFD lock on the whole file; -EAGAIN if another holds it. */
	int (*lock)(struct fsio *, int fd);
	/* Shared writable mapping of [0, n); the file is that long already.
	 * Pages may reach the disk at any moment and in any order. */
	int (*map)(struct fsio *, int fd, size_t n, void **out);
	int (*unmap)(struct fsio *, void *p, size_t n);
	int (*msync)(struct fsio *, void *p, size_t n);
	/* Free and total bytes of the file system of path. */
	int (*space)(struct fsio *, const char *path, uint64_t *free_out,
		     uint64_t *total_out);
};

struct loop;
/* Real files.  loop may be NULL (tools, recovery): then *_start run at once
 * and call done from fsio_poll(). */
struct fsio *fsio_system(struct loop *loop);
/* Syncs that still run are waited for; their callbacks are not called. */
void fsio_system_free(struct fsio *);
/* Without a loop: runs the callbacks that are due. */
void fsio_poll(struct fsio *);

/* What most callers want, on top of the vtable. */
int fsio_pread_all(struct fsio *, int fd, void *to, size_t n, uint64_t off);
int fsio_pwrite_all(struct fsio *, int fd, const void *p, size_t n,
		    uint64_t off);
struct buf;
/* Appends the file's content; -EFBIG beyond max bytes. */
int fsio_read_file(struct fsio *, const char *path, size_t max, struct buf *to);
/* Temporary file, fsync, rename over path, fsync of the directory: after a
 * crash either the old or the new content is there, never a mixture. */
int fsio_replace_file(struct fsio *, const char *path, struct slice content,
		      mode_t mode);
/* mkdir -p below an existing directory. */
int fsio_mkdirs(struct fsio *, const char *path, mode_t mode);
/* rm -r; missing is fine. */
int fsio_remove_tree(struct fsio *, const char *path);
bool fsio_exists(struct fsio *, const char *path);

/* What a module needs from the outside world. */
struct clock;
struct rng;
struct sys {
	struct fsio *fs;
	struct clock *clock;
	struct rng *rng;
};

#endif
