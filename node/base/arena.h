#ifndef DUET_BASE_ARENA_H
#define DUET_BASE_ARENA_H

/*
 * Memory by lifetime: one arena per session, command or message; everything
 * in it goes at once.  Allocation failure aborts the process; sizes that come
 * from outside are checked against a named limit before they get here.
 */

#include "node/base/slice.h"

struct arena;

/* first: bytes of the first block; later ones double up to 64 KiB. */
struct arena *arena_new(size_t first);
void arena_free(struct arena *a);   /* NULL is fine */
/* Everything in it is gone, the first block is kept. */
void arena_reset(struct arena *a);

void *arena_alloc(struct arena *a, size_t n);   /* aligned to 16, not zeroed */
void *arena_zalloc(struct arena *a, size_t n);
char *arena_strdup(struct arena *a, const char *s);
/* A NUL is added behind the copy. */
char *arena_strndup(struct arena *a, const void *p, size_t n);
struct slice arena_dup(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Heap allocation that never returns NULL. */
void *xmalloc(size_t n);
void *xzalloc(size_t n);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xstrndup(const void *p, size_t n);
char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define NEW(T) ((T *)xzalloc(sizeof(T)))
#define ARENA_NEW(a, T) ((T *)arena_zalloc((a), sizeof(T)))
#define ARRAY_LEN(x) (sizeof(x) / sizeof((x)[0]))
#define CONTAINER_OF(ptr, T, member) \
	((T *)(void *)((char *)(ptr) - offsetof(T, member)))

/*
 * Room for one more element of a growing array:
 *	GROW(x->items, x->n_items, x->cap_items);
 *	x->items[x->n_items++] = item;
 */
#define GROW(items, n, cap)                                                   \
	do {                                                                  \
		if ((n) == (cap)) {                                           \
			(cap) = (cap) ? (cap) * 2 : 8;                        \
			(items) = xrealloc((items), (cap) * sizeof(*(items))); \
		}                                                             \
	} while (0)

#endif
