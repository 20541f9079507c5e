#ifndef DUET_TESTS_FUZZ_DISK_H
#define DUET_TESTS_FUZZ_DISK_H

/* One file on a simulated disk, for readers that take a path. */

#include "tests/lib/simdisk.h"

#include <fcntl.h>
#include <stdlib.h>

/* Directories are made. */
static inline void fuzz_file(struct fsio *fs, const char *dir, const char *path,
			     struct slice bytes)
{
	int fd;

	if (fsio_mkdirs(fs, dir, 0700) < 0)
		abort();
	fd = fs->ops->open(fs, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fsio_pwrite_all(fs, fd, bytes.p, bytes.n, 0) < 0)
		abort();
	fs->ops->close(fs, fd);
}

/* The compiler must not leave the reading out. */
static inline void fuzz_use(struct slice s)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (uint8_t)(sum + s.p[i]);
}

#endif
