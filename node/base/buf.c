#include "node/base/buf.h"
#include "node/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAP_MIN 64

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

void buf_shrink(struct buf *b, size_t keep)
{
	buf_reset(b);
	if (b->cap <= keep)
		return;
	if (keep == 0) {
		free(b->p);
		b->p = NULL;
	} else {
		b->p = xrealloc(b->p, keep);
	}
	b->cap = keep;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n -= n;
	if (b->n && n)
		memmove(b->p, b->p + n, b->n);
}

void buf_truncate(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->n = n;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	if (b->failed || n > b->max - b->n) {
		b->failed = true;
		return NULL;
	}
	if (n > b->cap - b->n || !b->p) {
		size_t cap = b->cap ? b->cap : CAP_MIN;

		while (cap < b->n + n)
			cap = cap > b->max / 2 ? b->max : cap * 2;
		if (cap > b->max)
			cap = b->max;
		b->p = xrealloc(b->p, cap);
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->n);
	b->n += n;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *to = buf_room(b, n);

	if (!to || n == 0)
		return;
	memcpy(to, p, n);
	b->n += n;
}

void buf_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.p, s.n);
}

void buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_char(struct buf *b, uint8_t c)
{
	buf_put(b, &c, 1);
}

void buf_fill(struct buf *b, uint8_t c, size_t n)
{
	uint8_t *to = buf_room(b, n);

	if (!to)
		return;
	memset(to, c, n);
	b->n += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
	} else if (n > 0 && b->max - b->n == (size_t)n) {
		/* It fits, but the NUL that vsnprintf adds does not. */
		char *s = xmalloc((size_t)n + 1);

		vsnprintf(s, (size_t)n + 1, fmt, again);
		buf_put(b, s, (size_t)n);
		free(s);
	} else if (n > 0 && (to = buf_room(b, (size_t)n + 1)) != NULL) {
		vsnprintf((char *)to, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void buf_u64(struct buf *b, uint64_t v)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + v % 10);
		v /= 10;
	} while (v);
	buf_put(b, digits + at, sizeof(digits) - at);
}

static void put_le(struct buf *b, uint64_t v, size_t n)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, bytes, n);
}

void buf_le16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void buf_le32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void buf_le64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}
