#ifndef DUET_BASE_CLEANUP_H
#define DUET_BASE_CLEANUP_H

/* AUTO_FREE char *s = …;  AUTO_CLOSE int fd = …;  gone at the end of the
 * block.  TAKE(p) gives a pointer away and leaves NULL behind. */

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))
#define TAKE(p)                        \
	({                             \
		__typeof__(p) p_ = (p); \
		(p) = NULL;            \
		p_;                    \
	})
#define MUST_USE __attribute__((warn_unused_result))

#endif
