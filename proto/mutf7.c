#include "proto/mutf7.h"

#include <errno.h>

int utf8_take(const uint8_t *p, size_t n, uint32_t *cp)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t v;
	int len, i;

	if (n == 0)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	v = p[0] & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((size_t)i == n)
			return 0;
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		v = v << 6 | (p[i] & 0x3fu);
		/* Too long a form, a surrogate or beyond the last plane shows
		 * at the second octet: no need to wait for the rest. */
		if (i == 1 && ((p[0] == 0xe0 && p[1] < 0xa0) ||
			       (p[0] == 0xed && p[1] > 0x9f) ||
			       (p[0] == 0xf0 && p[1] < 0x90) ||
			       (p[0] == 0xf4 && p[1] > 0x8f)))
			return -1;
	}
	if (v < smallest[len])
		return -1;
	*cp = v;
	return len;
}

void utf8_put(struct buf *to, uint32_t cp)
{
	uint8_t o[4];
	size_t n;

	if (cp < 0x80) {
		o[0] = (uint8_t)cp;
		n = 1;
	} else if (cp < 0x800) {
		o[0] = (uint8_t)(0xc0 | cp >> 6);
		o[1] = (uint8_t)(0x80 | (cp & 0x3f));
		n = 2;
	} else if (cp < 0x10000) {
		o[0] = (uint8_t)(0xe0 | cp >> 12);
		o[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		o[2] = (uint8_t)(0x80 | (cp & 0x3f));
		n = 3;
	} else {
		o[0] = (uint8_t)(0xf0 | cp >> 18);
		o[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
		o[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		o[3] = (uint8_t)(0x80 | (cp & 0x3f));
		n = 4;
	}
	buf_put(to, o, n);
}

bool utf8_valid(struct slice s)
{
	uint32_t cp;
	size_t at = 0;
	int n;

	while (at < s.n) {
		n = utf8_take(s.p + at, s.n - at, &cp);
		if (n <= 0 || cp == 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static const char base64[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int base64_value(uint8_t c)
{
	const char *at = c ? strchr(base64, c) : NULL;

	return at ? (int)(at - base64) : -1;
}

static bool is_direct(uint32_t cp)
{
	return cp >= 0x20 && cp <= 0x7e;
}

/* One UTF-16 unit of a run; *high is a surrogate that waits for its other
 * half, or 0. */
static int put_unit(struct buf *to, uint32_t unit, uint32_t *high)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (is_low != (*high != 0))
		return -EINVAL;
	if (is_low) {
		utf8_put(to, 0x10000 + ((*high - 0xd800) << 10) +
				     (unit - 0xdc00));
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
	} else if (unit == 0 || is_direct(unit)) {
		return -EINVAL;
	} else {
		utf8_put(to, unit);
	}
	return 0;
}

/* From behind the '&' to behind the '-'. */
static int decode_run(struct slice in, size_t *at, struct buf *to)
{
	uint32_t bits = 0, high = 0;
	unsigned n_bits = 0;
	int v;

	for (; *at < in.n && in.p[*at] != '-'; (*at)++) {
		v = base64_value(in.p[*at]);
		if (v < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)v;
		n_bits += 6;
		if (n_bits < 16)
			continue;
		n_bits -= 16;
		if (put_unit(to, bits >> n_bits & 0xffff, &high) < 0)
			return -EINVAL;
		bits &= (1u << n_bits) - 1;
	}
	if (*at == in.n || high || n_bits >= 6 || bits)
		return -EINVAL;
	(*at)++;
	return 0;
}

int mutf7_to_utf8(struct slice in, struct buf *to)
{
	bool after_run = false;
	size_t at = 0;

	while (at < in.n) {
		uint8_t c = in.p[at++];

		if (c != '&') {
			if (!is_direct(c))
				return -EINVAL;
			buf_char(to, c);
			after_run = false;
		} else if (at < in.n && in.p[at] == '-') {
			buf_char(to, '&');
			at++;
			after_run = false;
		} else {
			if (after_run || decode_run(in, &at, to) < 0)
				return -EINVAL;
			after_run = true;
		}
	}
	return 0;
}

struct encoder {
	struct buf *to;
	uint32_t bits;
	unsigned n_bits;
	bool in_run;
};

static void encode_unit(struct encoder *e, uint32_t unit)
{
	if (!e->in_run) {
		buf_char(e->to, '&');
		e->in_run = true;
	}
	e->bits = e->bits << 16 | unit;
	e->n_bits += 16;
	while (e->n_bits >= 6) {
		e->n_bits -= 6;
		buf_char(e->to, (uint8_t)base64[e->bits >> e->n_bits & 63]);
	}
	e->bits &= (1u << e->n_bits) - 1;
}

static void encode_end(struct encoder *e)
{
	if (!e->in_run)
		return;
	if (e->n_bits)
		buf_char(e->to,
			 (uint8_t)base64[e->bits << (6 - e->n_bits) & 63]);
	buf_char(e->to, '-');
	*e = (struct encoder){.to = e->to};
}

int utf8_to_mutf7(struct slice in, struct buf *to)
{
	struct encoder e = {.to = to};
	size_t at = 0;
	uint32_t cp;
	int n;

	while (at < in.n) {
		n = utf8_take(in.p + at, in.n - at, &cp);
		if (n <= 0 || cp == 0)
			return -EINVAL;
		at += (size_t)n;
		if (is_direct(cp)) {
			encode_end(&e);
			buf_char(to, (uint8_t)cp);
			if (cp == '&')
				buf_char(to, '-');
		} else if (cp < 0x10000) {
			encode_unit(&e, cp);
		} else {
			cp -= 0x10000;
			encode_unit(&e, 0xd800 + (cp >> 10));
			encode_unit(&e, 0xdc00 + (cp & 0x3ff));
		}
	}
	encode_end(&e);
	return 0;
}
