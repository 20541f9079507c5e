#include "node/base/slice.h"

#include <errno.h>

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

bool slice_eq_ci(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool slice_is_ci(struct slice a, const char *s)
{
	return slice_eq_ci(a, slice_str(s));
}

bool slice_starts_ci(struct slice a, const char *prefix)
{
	struct slice s = slice_str(prefix);

	return a.n >= s.n && slice_eq_ci(slice_sub(a, 0, s.n), s);
}

ptrdiff_t slice_chr(struct slice a, uint8_t c)
{
	const uint8_t *at = a.n ? memchr(a.p, c, a.n) : NULL;

	return at ? at - a.p : -1;
}

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice a)
{
	while (a.n > 0 && blank(a.p[a.n - 1]))
		a.n--;
	while (a.n > 0 && blank(a.p[0])) {
		a.p++;
		a.n--;
	}
	return a;
}

int slice_u64(struct slice a, uint64_t *out)
{
	uint64_t v = 0;

	if (a.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] < '0' || a.p[i] > '9')
			return -EINVAL;
	for (size_t i = 0; i < a.n; i++) {
		uint64_t d = (uint64_t)(a.p[i] - '0');

		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	*out = v;
	return 0;
}

int slice_u32(struct slice a, uint32_t *out)
{
	uint64_t v;
	int r = slice_u64(a, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*out = (uint32_t)v;
	return 0;
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	if (r != 0)
		return r < 0 ? -1 : 1;
	return a.n < b.n ? -1 : a.n > b.n;
}
