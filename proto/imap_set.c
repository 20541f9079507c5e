#include "proto/imap_set.h"

#include <errno.h>
#include <stdlib.h>

#include "node/base/err.h"

/* nz-number or "*" at *at. */
static int take_number(struct slice s, size_t *at, uint32_t *out)
{
	uint64_t v = 0;
	size_t from = *at;

	if (*at < s.n && s.p[*at] == '*') {
		(*at)++;
		*out = 0;
		return 0;
	}
	while (*at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9') {
		v = v * 10 + (uint64_t)(s.p[*at] - '0');
		if (v > UINT32_MAX)
			return -EINVAL;
		(*at)++;
	}
	if (*at == from || v == 0)
		return -EINVAL;
	*out = (uint32_t)v;
	return 0;
}

int imap_set_parse(struct slice text, struct arena *a, struct imap_set *out)
{
	struct imap_set set = {NULL, 0};
	size_t at = 0, i, n = 1;

	for (i = 0; i < text.n; i++)
		n += text.p[i] == ',';
	if (text.n == 0)
		return -EINVAL;
	if (n > IMAP_SET_RANGES_MAX)
		return E_LIMIT;
	set.ranges = arena_alloc(a, n * sizeof(*set.ranges));
	for (;;) {
		struct uid_range r;

		if (take_number(text, &at, &r.first) < 0)
			return -EINVAL;
		r.last = r.first;
		if (at < text.n && text.p[at] == ':') {
			at++;
			if (take_number(text, &at, &r.last) < 0)
				return -EINVAL;
		}
		set.ranges[set.n++] = r;
		if (at == text.n)
			break;
		if (text.p[at++] != ',')
			return -EINVAL;
	}
	*out = set;
	return 0;
}

static int by_first(const void *x, const void *y)
{
	const struct uid_range *a = x, *b = y;

	return a->first < b->first ? -1 : a->first > b->first;
}

void imap_set_resolve(struct imap_set *s, uint32_t star)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++) {
		struct uid_range r = s->ranges[i];

		if (star == 0 && (r.first == 0 || r.last == 0))
			continue;
		if (r.first == 0)
			r.first = star;
		if (r.last == 0)
			r.last = star;
		if (r.first > r.last)
			r = (struct uid_range){r.last, r.first};
		s->ranges[n++] = r;
	}
	s->n = n;
	if (n == 0)
		return;
	qsort(s->ranges, n, sizeof(*s->ranges), by_first);
	for (i = 1, n = 0; i < s->n; i++) {
		struct uid_range *last = &s->ranges[n], r = s->ranges[i];

		/* r.first > 0, so that there is no overflow. */
		if (r.first - 1 <= last->last) {
			if (r.last > last->last)
				last->last = r.last;
		} else {
			s->ranges[++n] = r;
		}
	}
	s->n = n + 1;
}

bool imap_set_has(const struct imap_set *s, uint32_t v)
{
	size_t from = 0, to = s->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (v < s->ranges[mid].first)
			to = mid;
		else if (v > s->ranges[mid].last)
			from = mid + 1;
		else
			return true;
	}
	return false;
}

uint64_t imap_set_count(const struct imap_set *s)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s->n; i++)
		n += (uint64_t)s->ranges[i].last - s->ranges[i].first + 1;
	return n;
}
