#include "proto/rfc2047.h"

#include "proto/charset.h"
#include "proto/transfer.h"

/* RFC 2047 says 75; some writers fold later. */
#define WORD_MAX 1000

struct word {
	struct slice charset, text;
	bool q;
	size_t end;		/* offset behind it */
};

struct decoder {
	struct buf *to;
	struct charset *cs;	/* NULL: plain text */
	struct slice name;	/* of cs */
};

/* A "?"-delimited piece; *at then is behind the '?'. */
static bool take_piece(struct slice s, size_t *at, struct slice *out)
{
	size_t from = *at;

	while (*at < s.n && s.p[*at] != '?') {
		if (s.p[*at] <= ' ')
			return false;
		(*at)++;
	}
	if (*at == s.n || *at == from)
		return false;
	*out = slice_sub(s, from, (*at)++);
	return true;
}

/* "=?charset*language?Q?text?=" at s[at] */
static bool take_word(struct slice s, size_t at, struct word *w)
{
	size_t from;
	struct slice encoding;
	ptrdiff_t star;

	if (s.n - at < 8 || s.p[at] != '=' || s.p[at + 1] != '?')
		return false;
	if (s.n > at + WORD_MAX)
		s.n = at + WORD_MAX;
	at += 2;
	if (!take_piece(s, &at, &w->charset) ||
	    !take_piece(s, &at, &encoding))
		return false;
	star = slice_chr(w->charset, '*');
	if (star >= 0)
		w->charset.n = (size_t)star;
	w->q = slice_is_ci(encoding, "Q");
	if (!w->q && !slice_is_ci(encoding, "B"))
		return false;
	/* Blanks within the text are forbidden and yet common in Q. */
	from = at;
	while (at < s.n && s.p[at] != '?' && s.p[at] != '\n')
		at++;
	if (at + 1 >= s.n || s.p[at] != '?' || s.p[at + 1] != '=')
		return false;
	w->text = slice_sub(s, from, at);
	w->end = at + 2;
	return charset_known(w->charset);
}

static void close_charset(struct decoder *d)
{
	if (!d->cs)
		return;
	charset_put(d->cs, SLICE_NONE, true, d->to);
	charset_close(d->cs);
	d->cs = NULL;
}

/* Octets of the text, still in its charset. */
static void undo_encoding(const struct word *w, struct buf *octets)
{
	struct transfer t = {.kind = w->q ? TRANSFER_QP : TRANSFER_BASE64};
	size_t i, from = 0;

	if (!w->q) {
		transfer_put(&t, w->text, true, octets);
		return;
	}
	/* '_' is a blank; a true underscore is written "=5F". */
	for (i = 0; i < w->text.n; i++) {
		if (w->text.p[i] != '_')
			continue;
		transfer_put(&t, slice_sub(w->text, from, i), true, octets);
		buf_char(octets, ' ');
		from = i + 1;
	}
	transfer_put(&t, slice_sub(w->text, from, i), true, octets);
}

static void put_word(struct decoder *d, const struct word *w)
{
	struct buf octets;

	/* Words of one charset share its state: characters may be cut between
	 * them (RFC 2047 forbids it, mailers do it). */
	if (d->cs && !slice_eq_ci(d->name, w->charset))
		close_charset(d);
	if (!d->cs) {
		d->cs = charset_open(w->charset);
		d->name = w->charset;
	}
	buf_init(&octets, WORD_MAX + 16);
	undo_encoding(w, &octets);
	charset_put(d->cs, buf_all(&octets), false, d->to);
	buf_fini(&octets);
}

static void put_plain(struct decoder *d, struct slice s, struct charset *utf8)
{
	size_t i, from = 0;

	/* Line ends of folds go; the blank behind them stays. */
	for (i = 0; i < s.n; i++) {
		if (s.p[i] != '\r' && s.p[i] != '\n')
			continue;
		charset_put(utf8, slice_sub(s, from, i), false, d->to);
		from = i + 1;
	}
	charset_put(utf8, slice_sub(s, from, s.n), true, d->to);
}

static bool is_all_blank(struct slice s)
{
	return slice_trim(s).n == 0;
}

void rfc2047_decode(struct slice value, struct buf *to)
{
	struct decoder d = {.to = to};
	struct charset *utf8 = charset_open(SLICE_NONE);
	size_t at = 0, plain = 0;
	bool after_word = false;
	struct word w;

	while (at < value.n) {
		if (value.p[at] != '=' || !take_word(value, at, &w)) {
			at++;
			continue;
		}
		/* Blanks between two words are no text. */
		if (plain < at &&
		    !(after_word &&
		      is_all_blank(slice_sub(value, plain, at)))) {
			close_charset(&d);
			put_plain(&d, slice_sub(value, plain, at), utf8);
		}
		put_word(&d, &w);
		at = plain = w.end;
		after_word = true;
	}
	close_charset(&d);
	if (plain < value.n)
		put_plain(&d, slice_sub(value, plain, value.n), utf8);
	charset_close(utf8);
}
