#include "proto/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>

#include "node/base/arena.h"
#include "node/base/err.h"
#include "proto/mutf7.h"

#define REPLACEMENT 0xfffdu
/* No charset here has longer sequences. */
#define PENDING_MAX 16

struct charset {
	iconv_t cd;
	bool utf8;		/* no iconv: only checked */
	bool strict;		/* stop at what is invalid */
	bool invalid;
	uint8_t pending[PENDING_MAX];	/* a sequence that was cut */
	size_t n_pending;
};

/*
 * Only charsets that occur in mail are handed to iconv: it knows hundreds
 * more, and names with options behind "//".  Widely used misnomers are read
 * as what they are in practice, a superset.
 */
static const struct {
	const char *name;	/* a '*' at the end: anything may follow */
	const char *iconv_name;	/* NULL: the name itself */
} charsets[] = {
	{"GB2312", "GB18030"},
	{"GBK", "GB18030"},
	{"GB18030", NULL},
	{"HZ-GB-2312", NULL},
	{"KS_C_5601-1987", "CP949"},
	{"KS_C_5601-1989", "CP949"},
	{"EUC-KR", "CP949"},
	{"SHIFT_JIS", "CP932"},
	{"SHIFT-JIS", "CP932"},
	{"SJIS", "CP932"},
	{"X-SJIS", "CP932"},
	{"MS_KANJI", "CP932"},
	{"ISO-8859-8-I", "ISO-8859-8"},
	{"ISO-8859-8-E", "ISO-8859-8"},
	{"ISO-8859-*", NULL},
	{"ISO8859-*", NULL},
	{"LATIN*", NULL},
	{"WINDOWS-125*", NULL},
	{"WINDOWS-874", "CP874"},
	{"WINDOWS-31J", "CP932"},
	{"CP125*", NULL},
	{"CP437", NULL},
	{"CP85*", NULL},
	{"CP86*", NULL},
	{"CP874", NULL},
	{"CP932", NULL},
	{"CP936", NULL},
	{"CP949", NULL},
	{"CP950", NULL},
	{"IBM437", NULL},
	{"IBM85*", NULL},
	{"IBM86*", NULL},
	{"KOI8-*", NULL},
	{"ISO-2022-JP*", NULL},
	{"ISO-2022-KR", NULL},
	{"ISO-2022-CN", NULL},
	{"EUC-JP", NULL},
	{"EUC-TW", NULL},
	{"EUC-CN", NULL},
	{"BIG5", NULL},
	{"BIG5-HKSCS", NULL},
	{"BIG5HKSCS", NULL},
	{"TIS-620", NULL},
	{"MACINTOSH", NULL},
	{"VISCII", NULL},
	{"TCVN", NULL},
	{"ARMSCII-8", NULL},
	{"GEORGIAN-PS", NULL},
	{"UTF-7", NULL},
	{"UTF-16", NULL},
	{"UTF-16BE", NULL},
	{"UTF-16LE", NULL},
	{"UTF-32", NULL},
	{"UTF-32BE", NULL},
	{"UTF-32LE", NULL},
};

static bool is_utf8_name(struct slice name)
{
	return name.n == 0 || slice_is_ci(name, "UTF-8") ||
	       slice_is_ci(name, "UTF8") || slice_is_ci(name, "US-ASCII") ||
	       slice_is_ci(name, "ASCII") ||
	       slice_is_ci(name, "ANSI_X3.4-1968");
}

static bool name_matches(struct slice name, const char *pattern)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] != '*')
		return slice_is_ci(name, pattern);
	return name.n >= n - 1 &&
	       slice_eq_ci(slice_sub(name, 0, n - 1), slice_of(pattern, n - 1));
}

/* The name for iconv in `out`; false if the charset is not in the table. */
static bool iconv_name(struct slice name, char out[CHARSET_NAME_MAX + 1])
{
	size_t i;

	if (name.n > CHARSET_NAME_MAX)
		return false;
	for (i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if (!((c >= '0' && c <= '9') || c == '-' || c == '_' ||
		      ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
			return false;
	}
	for (i = 0; i < ARRAY_LEN(charsets); i++)
		if (name_matches(name, charsets[i].name))
			break;
	if (i == ARRAY_LEN(charsets))
		return false;
	if (charsets[i].iconv_name)
		name = slice_str(charsets[i].iconv_name);
	memcpy(out, name.p, name.n);
	out[name.n] = 0;
	return true;
}

struct charset *charset_open(struct slice name)
{
	char to_open[CHARSET_NAME_MAX + 1];
	struct charset *c;
	iconv_t cd = (iconv_t)-1;

	if (!is_utf8_name(name)) {
		if (!iconv_name(name, to_open))
			return NULL;
		cd = iconv_open("UTF-8", to_open);
		if (cd == (iconv_t)-1)
			return NULL;
	}
	c = NEW(struct charset);
	c->cd = cd;
	c->utf8 = cd == (iconv_t)-1;
	return c;
}

void charset_close(struct charset *c)
{
	if (!c)
		return;
	if (!c->utf8)
		iconv_close(c->cd);
	free(c);
}

bool charset_known(struct slice name)
{
	struct charset *c = charset_open(name);

	charset_close(c);
	return c != NULL;
}

static void put_invalid(struct charset *c, struct buf *to)
{
	c->invalid = true;
	if (!c->strict)
		utf8_put(to, REPLACEMENT);
}

/* How much of in was used; less than all if it ends within a sequence. */
static size_t feed_utf8(struct charset *c, struct slice in, struct buf *to)
{
	size_t at = 0, good = 0;
	uint32_t cp;
	int n;

	while (at < in.n) {
		n = utf8_take(in.p + at, in.n - at, &cp);
		if (n > 0) {
			at += (size_t)n;
			continue;
		}
		buf_put(to, in.p + good, at - good);
		if (n == 0)
			return at;
		put_invalid(c, to);
		good = ++at;
	}
	buf_put(to, in.p + good, at - good);
	return at;
}

static size_t feed_iconv(struct charset *c, struct slice in, struct buf *to)
{
	char out[1024];
	char *from = (char *)(uintptr_t)in.p;
	size_t left = in.n;

	while (left && !to->failed) {
		char *at = out;
		size_t room = sizeof(out);
		size_t rc = iconv(c->cd, &from, &left, &at, &room);
		int err = errno;

		buf_put(to, out, sizeof(out) - room);
		if (rc != (size_t)-1 || err == E2BIG)
			continue;
		if (err == EINVAL)
			break;
		put_invalid(c, to);
		from++;
		left--;
	}
	return in.n - left;
}

static size_t feed(struct charset *c, struct slice in, struct buf *to)
{
	return c->utf8 ? feed_utf8(c, in, to) : feed_iconv(c, in, to);
}

/* Completes the sequence that was cut; how much of in that took. */
static size_t feed_pending(struct charset *c, struct slice in, struct buf *to)
{
	size_t old = c->n_pending, more = PENDING_MAX - old, used;

	if (more > in.n)
		more = in.n;
	memcpy(c->pending + old, in.p, more);
	c->n_pending += more;
	used = feed(c, slice_of(c->pending, c->n_pending), to);
	if (used == 0 && c->n_pending == PENDING_MAX) {
		put_invalid(c, to);
		used = old;
	}
	if (used >= old) {
		c->n_pending = 0;
		return used - old;
	}
	/* Still cut: then all of in was taken, or there is progress. */
	c->n_pending -= used;
	memmove(c->pending, c->pending + used, c->n_pending);
	return more;
}

static void flush(struct charset *c, struct buf *to)
{
	char out[64];
	char *at = out;
	size_t room = sizeof(out);

	if (c->n_pending)
		put_invalid(c, to);
	c->n_pending = 0;
	if (c->utf8)
		return;
	iconv(c->cd, NULL, NULL, &at, &room);
	buf_put(to, out, sizeof(out) - room);
}

void charset_put(struct charset *c, struct slice in, bool last,
		 struct buf *to)
{
	size_t used;

	while (c->n_pending && in.n && !to->failed) {
		used = feed_pending(c, in, to);
		in = slice_sub(in, used, in.n);
	}
	while (in.n) {
		used = feed(c, in, to);
		in = slice_sub(in, used, in.n);
		if (to->failed || in.n == 0)
			break;
		if (in.n < PENDING_MAX) {
			memcpy(c->pending, in.p, in.n);
			c->n_pending = in.n;
			break;
		}
		/* More than any sequence, yet "incomplete": skip one. */
		put_invalid(c, to);
		in = slice_sub(in, 1, in.n);
	}
	if (last)
		flush(c, to);
}

int charset_to_utf8(struct slice charset, struct slice in, struct buf *to)
{
	struct charset *c = charset_open(charset);
	bool invalid;

	if (!c)
		return E_UNSUPPORTED;
	c->strict = true;
	charset_put(c, in, true, to);
	invalid = c->invalid;
	charset_close(c);
	return invalid ? -EINVAL : to->failed ? E_LIMIT : 0;
}
