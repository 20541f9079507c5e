#ifndef DUET_BASE_SLICE_H
#define DUET_BASE_SLICE_H

/*
 * Borrowed bytes.  A slice never owns what it points to; whoever hands one
 * out says how long it stays valid.  It may hold NUL and is not terminated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *p;
	size_t n;
};

#define SLICE_NONE ((struct slice){NULL, 0})
/* A slice of a string literal, without its NUL. */
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){p, n};
}

static inline struct slice slice_str(const char *s)
{
	return s ? slice_of(s, strlen(s)) : SLICE_NONE;
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

/* [from, to) of a; both are cut to its length. */
static inline struct slice slice_sub(struct slice a, size_t from, size_t to)
{
	if (to > a.n)
		to = a.n;
	if (from > to)
		from = to;
	return slice_of(a.p + from, to - from);
}

/* ASCII case is ignored, other bytes must be equal. */
bool slice_eq_ci(struct slice a, struct slice b);
bool slice_is_ci(struct slice a, const char *s);
bool slice_starts_ci(struct slice a, const char *prefix);
/* Index of the first c, or -1. */
ptrdiff_t slice_chr(struct slice a, uint8_t c);
/* Blanks (SP HT CR LF) cut off both ends. */
struct slice slice_trim(struct slice a);
/* Decimal digits only, whole slice, no sign; -EINVAL or -ERANGE. */
int slice_u64(struct slice a, uint64_t *out);
int slice_u32(struct slice a, uint32_t *out);
/* memcmp order, shorter first. */
int slice_cmp(struct slice a, struct slice b);

#endif
