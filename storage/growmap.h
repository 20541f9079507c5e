#ifndef DUET_STORAGE_GROWMAP_H
#define DUET_STORAGE_GROWMAP_H

/*
 * A file mapped as a whole and grown by doubling: index and cache files.
 * Space is allocated before it is written, so that a full disk is an error
 * here and not a SIGBUS later.  No descriptor stays open.
 *
 * Growing moves the mapping.  The old one stays until growmap_settle(), so
 * pointers taken before stay readable until control goes back to the loop.
 */

#include "node/base/err.h"
#include "node/base/fsio.h"

struct growmap {
	struct fsio *fs;
	char *path;
	uint8_t *p;		/* NULL: not mapped */
	size_t n;		/* bytes mapped = size of the file */
	struct growmap_old {
		void *p;
		size_t n;
	} *old;
	size_t n_old, cap_old;
};

void growmap_init(struct growmap *g, struct fsio *fs);
/* Maps the file at path, making it with `size` bytes if it is missing and
 * create is set.  -ENOENT, -errno. */
int growmap_open(struct growmap *g, const char *path, size_t size, bool create);
/* At least `size` bytes.  -ENOSPC, -errno: nothing changed. */
int growmap_need(struct growmap *g, size_t size);
void growmap_settle(struct growmap *g);
void growmap_close(struct growmap *g);

#endif
