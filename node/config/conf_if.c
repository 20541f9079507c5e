/* %{if;A;OP;B;YES;NO}, and MD5 for %M and %N. */

#include "node/base/buf.h"
#include "node/config/conf_vars_int.h"

#include <fnmatch.h>
#include <regex.h>

/* The next part up to a ';' outside braces; "\;" and "\\" lose the '\'. */
static char *next_part(struct arena *a, struct slice *rest, bool *ended)
{
	char *out = arena_alloc(a, rest->n + 1), *to = out;
	unsigned depth = 0;
	size_t i = 0;

	for (; i < rest->n; i++) {
		char c = (char)rest->p[i];

		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
		if (c == ';' && depth == 0)
			break;
		if (c == '\\' && depth == 0 && i + 1 < rest->n)
			c = (char)rest->p[++i];
		*to++ = c;
	}
	*to = '\0';
	*ended = i >= rest->n;
	*rest = slice_sub(*rest, i + !*ended, rest->n);
	return out;
}

static int compare_numbers(struct expansion *x, const char *a, const char *op,
			   const char *b)
{
	uint64_t m, n;

	if (slice_u64(slice_str(a), &m) < 0)
		return err_set(x->e, E_CONFIG, "if: %s (lhs) is not a number",
			       a);
	if (slice_u64(slice_str(b), &n) < 0)
		return err_set(x->e, E_CONFIG, "if: %s (rhs) is not a number",
			       b);
	if (strcmp(op, "==") == 0)
		return m == n;
	if (strcmp(op, "!=") == 0)
		return m != n;
	if (strcmp(op, "<") == 0)
		return m < n;
	if (strcmp(op, "<=") == 0)
		return m <= n;
	if (strcmp(op, ">") == 0)
		return m > n;
	return m >= n;
}

static int compare_regex(struct expansion *x, const char *a, const char *b)
{
	regex_t re;
	int r = regcomp(&re, b, REG_EXTENDED | REG_NOSUB);

	if (r != 0)
		return err_set(x->e, E_CONFIG,
			       "if: %s is not a regular expression", b);
	r = regexec(&re, a, 0, NULL, 0);
	regfree(&re);
	return r == 0;
}

/* 1, 0, or an error. */
static int compare(struct expansion *x, const char *a, const char *op,
		   const char *b)
{
	static const char *const numeric[] = {"==", "!=", "<",
					      "<=", ">",  ">="};
	int c = strcmp(a, b), r;

	for (size_t i = 0; i < ARRAY_LEN(numeric); i++)
		if (strcmp(op, numeric[i]) == 0)
			return compare_numbers(x, a, op, b);
	if (strcmp(op, "eq") == 0)
		return c == 0;
	if (strcmp(op, "ne") == 0)
		return c != 0;
	if (strcmp(op, "lt") == 0)
		return c < 0;
	if (strcmp(op, "le") == 0)
		return c <= 0;
	if (strcmp(op, "gt") == 0)
		return c > 0;
	if (strcmp(op, "ge") == 0)
		return c >= 0;
	if (strcmp(op, "*") == 0)
		return fnmatch(b, a, FNM_NOESCAPE) == 0;
	if (strcmp(op, "!*") == 0)
		return fnmatch(b, a, FNM_NOESCAPE) != 0;
	if (strcmp(op, "~") == 0)
		return compare_regex(x, a, b);
	if (strcmp(op, "!~") == 0) {
		r = compare_regex(x, a, b);
		return r < 0 ? r : !r;
	}
	return err_set(x->e, E_CONFIG, "if: Unsupported comparator '%s'", op);
}

/* flags: what the text will be part of. */
static int expand_part(struct expansion *x, const char *text, unsigned flags,
		       char **out)
{
	struct buf b;
	struct expansion inner = *x;
	int r;

	buf_init(&b, CONF_VARS_MAX);
	inner.out = &b;
	inner.flags = flags;
	inner.depth++;
	r = conf_expand_in(&inner, text);
	if (r == 0 && b.failed)
		r = err_set(x->e, E_LIMIT, "expanded text is too long");
	if (r == 0)
		*out = arena_strndup(x->arena, b.n ? (void *)b.p : (void *)"",
				     b.n);
	buf_fini(&b);
	return r;
}

int conf_if(struct expansion *x, struct slice body, char **out)
{
	char *part[5] = {"", "", "", "", ""}, *a, *b;
	bool ended = false;
	size_t n = 0;
	int r;

	if (x->depth >= CONF_VARS_DEPTH)
		return err_set(x->e, E_CONFIG, "if: nested too deeply");
	while (n < 5 && !ended)
		part[n++] = next_part(x->arena, &body, &ended);
	if (n < 4)
		return err_set(x->e, E_CONFIG,
			       "if: needs value;comparator;value;yes[;no]");
	/* Compared values are no part of a path; the branch is. */
	if (expand_part(x, part[0], 0, &a) < 0 ||
	    expand_part(x, part[2], 0, &b) < 0)
		return x->e ? x->e->code : E_CONFIG;
	r = compare(x, a, part[1], b);
	if (r < 0)
		return r;
	return expand_part(x, part[r ? 3 : 4], x->flags, out);
}

/* ---- MD5 --------------------------------------------------------------- */

static uint32_t rotl(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void md5_block(uint32_t s[4], const uint8_t *p)
{
	/* floor(2^32 * |sin(i + 1)|), RFC 1321 3.4 */
	static const uint32_t k[64] = {
		0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf,
		0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af,
		0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e,
		0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
		0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6,
		0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
		0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122,
		0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
		0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039,
		0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97,
		0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
		0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
		0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
	};
	static const uint8_t turn[4][4] = {
		{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
	uint32_t a = s[0], b = s[1], c = s[2], d = s[3], m[16];

	for (unsigned i = 0; i < 16; i++)
		m[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
		       (uint32_t)p[4 * i + 2] << 16 |
		       (uint32_t)p[4 * i + 3] << 24;
	for (unsigned i = 0; i < 64; i++) {
		uint32_t f, t;
		unsigned g;

		if (i < 16) {
			f = (b & c) | (~b & d);
			g = i;
		} else if (i < 32) {
			f = (d & b) | (~d & c);
			g = (5 * i + 1) % 16;
		} else if (i < 48) {
			f = b ^ c ^ d;
			g = (3 * i + 5) % 16;
		} else {
			f = c ^ (b | ~d);
			g = (7 * i) % 16;
		}
		t = d;
		d = c;
		c = b;
		b += rotl(a + f + k[i] + m[g], turn[i / 16][i % 4]);
		a = t;
	}
	s[0] += a;
	s[1] += b;
	s[2] += c;
	s[3] += d;
}

void conf_md5(struct slice data, uint8_t out[16])
{
	uint32_t s[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	uint8_t last[128] = {0};
	size_t whole = data.n / 64 * 64, rest = data.n - whole;
	size_t end = rest < 56 ? 64 : 128;

	for (size_t i = 0; i < whole; i += 64)
		md5_block(s, data.p + i);
	if (rest)
		memcpy(last, data.p + whole, rest);
	last[rest] = 0x80;
	for (unsigned i = 0; i < 8; i++)
		last[end - 8 + i] = (uint8_t)(((uint64_t)data.n * 8) >> (8 * i));
	for (size_t i = 0; i < end; i += 64)
		md5_block(s, last + i);
	for (unsigned i = 0; i < 16; i++)
		out[i] = (uint8_t)(s[i / 4] >> (8 * (i % 4)));
}
