#include "node/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16
#define BLOCK_MIN 256
#define BLOCK_MAX (64u * 1024)
/* What one allocation may ask for; more is a bug of a missing limit. */
#define ALLOC_MAX ((size_t)1 << 40)

/* Header of a block; its bytes follow at the next multiple of ALIGN. */
struct block {
	struct block *next;
	size_t size, used;
};

#define HEAD ((sizeof(struct block) + ALIGN - 1) & ~(size_t)(ALIGN - 1))

/*
 * Invariants: `first` is the oldest block and never goes before the arena
 * does; `now` is the block that serves small requests; all others hang on
 * first->next in no order.
 */
struct arena {
	struct block *first, *now;
	size_t next_size;
};

static _Noreturn void out_of_memory(size_t n)
{
	fprintf(stderr, "duet: out of memory (%zu bytes wanted)\n", n);
	abort();
}

static struct block *block_new(size_t size)
{
	struct block *b = xmalloc(HEAD + size);

	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

struct arena *arena_new(size_t first)
{
	struct arena *a = xmalloc(sizeof(*a));

	if (first < BLOCK_MIN)
		first = BLOCK_MIN;
	first = (first + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	a->first = a->now = block_new(first);
	a->next_size = first * 2 < BLOCK_MAX ? first * 2 : BLOCK_MAX;
	return a;
}

void arena_reset(struct arena *a)
{
	for (struct block *b = a->first->next, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	a->first->next = NULL;
	a->first->used = 0;
	a->now = a->first;
	a->next_size = a->first->size * 2 < BLOCK_MAX ? a->first->size * 2 :
							BLOCK_MAX;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	arena_reset(a);
	free(a->first);
	free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct block *b = a->now;
	void *p;

	if (n > ALLOC_MAX)
		out_of_memory(n);
	n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (n == 0)
		n = ALIGN;
	if (b->size - b->used < n) {
		/* A big request gets a block of its own and leaves `now`, so
		 * that the rest of it is not lost. */
		bool own = n > a->next_size / 4;

		b = block_new(own ? n : a->next_size);
		b->next = a->first->next;
		a->first->next = b;
		if (!own) {
			a->now = b;
			if (a->next_size < BLOCK_MAX)
				a->next_size *= 2;
		}
	}
	p = (char *)b + HEAD + b->used;
	b->used += n;
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

char *arena_strndup(struct arena *a, const void *p, size_t n)
{
	char *s = arena_alloc(a, n + 1);

	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	return slice_of(arena_strndup(a, s.p, s.n), s.n);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	int n;
	char *s;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		out_of_memory(0);
	s = arena_alloc(a, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *xzalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		out_of_memory(n);
	return p;
}

void *xrealloc(void *p, size_t n)
{
	p = realloc(p, n ? n : 1);
	if (!p)
		out_of_memory(n);
	return p;
}

char *xstrndup(const void *p, size_t n)
{
	char *s = xmalloc(n + 1);

	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

char *xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *xprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		out_of_memory(0);
	va_end(ap);
	return s;
}
