#include "proto/address.h"

#include <errno.h>

#include "node/base/err.h"
#include "proto/rfc5322.h"

/* --- header address lists --- */

struct list_parser {
	struct words w;
	struct arena *a;
	struct mime_address *first, **tail;
	unsigned *budget;
	bool in_group;
};

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* False if no more addresses are allowed. */
static bool add(struct list_parser *l, struct slice name, struct slice route,
		struct slice mailbox, struct slice host)
{
	struct mime_address *at;

	if (*l->budget == 0)
		return false;
	(*l->budget)--;
	at = ARENA_NEW(l->a, struct mime_address);
	*at = (struct mime_address){NULL, name, route, mailbox, host};
	*l->tail = at;
	l->tail = &at->next;
	return true;
}

/* An empty slice that is not NIL. */
static struct slice not_nil(struct slice s)
{
	return s.p ? s : SLICE_LIT("");
}

/* The slow way of text_of(): quotes and comments taken out, blanks of a
 * phrase made single, those of an address dropped. */
static struct slice clean(struct slice s, bool phrase, struct arena *a)
{
	struct words w = {s, 0};
	uint8_t *out = arena_alloc(a, s.n + 1);
	size_t n = 0;
	bool gap = false;

	while (w.at < s.n) {
		struct slice piece;

		if (is_blank(words_peek(&w)) || words_peek(&w) == '(') {
			words_skip(&w, NULL);
			gap = true;
			continue;
		}
		if (words_peek(&w) == '"') {
			piece = words_unescape(words_quoted(&w), a);
		} else {
			piece = slice_sub(s, w.at, w.at + 1);
			w.at++;
		}
		if (gap && phrase && n)
			out[n++] = ' ';
		gap = false;
		if (piece.n)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
	}
	return slice_of(out, n);
}

/* A phrase or a part of an address; p == NULL if there is nothing. */
static struct slice text_of(struct list_parser *l, size_t from, size_t to,
			    bool phrase)
{
	struct slice s = slice_trim(slice_sub(l->w.s, from, to));
	size_t i;

	if (s.n == 0)
		return SLICE_NONE;
	/* `"Name"` alone is the usual case of a quoted string. */
	if (phrase && s.n >= 2 && s.p[0] == '"' &&
	    slice_chr(slice_sub(s, 1, s.n), '"') == (ptrdiff_t)s.n - 2 &&
	    slice_chr(s, '\\') < 0)
		return slice_sub(s, 1, s.n - 1);
	for (i = 0; i < s.n; i++)
		if (s.p[i] == '"' || s.p[i] == '(' ||
		    (!phrase && is_blank(s.p[i])))
			return clean(s, phrase, l->a);
	return s;
}

/* Moves over words up to one of the stop octets (at depth 0 of quotes and
 * comments); returns it, 0 at the end. */
static uint8_t skip_words(struct words *w, const char *stops,
			  struct slice *comment)
{
	for (;;) {
		uint8_t c;

		words_skip(w, comment);
		if (w->at >= w->s.n)
			return 0;
		c = w->s.p[w->at];
		if (c && strchr(stops, c))
			return c;
		if (c == '"')
			words_quoted(w);
		else if (c == '[') {	/* domain literal */
			while (w->at < w->s.n && w->s.p[w->at] != ']')
				w->at++;
		} else {
			w->at++;
		}
	}
}

/* At the '<'. */
static bool take_angle(struct list_parser *l, struct slice name)
{
	struct slice route = SLICE_NONE, mailbox, host = SLICE_NONE;
	struct words *w = &l->w;
	size_t from;

	w->at++;
	words_skip(w, NULL);
	from = w->at;
	if (words_peek(w) == '@') {	/* obsolete route */
		/* '<' stops too: no octet is looked at once per address. */
		if (skip_words(w, ":><", NULL) == ':') {
			route = text_of(l, from, w->at, false);
			w->at++;
		} else {
			w->at = from;
		}
	}
	from = w->at;
	if (skip_words(w, "@>,", NULL) == '@') {
		mailbox = text_of(l, from, w->at, false);
		from = ++w->at;
		skip_words(w, ">,", NULL);
		host = text_of(l, from, w->at, false);
	} else {
		mailbox = text_of(l, from, w->at, false);
	}
	if (words_peek(w) == '>')
		w->at++;
	return add(l, name, route, not_nil(mailbox), not_nil(host));
}

/* One address, or the start or end of a group; false: no more. */
static bool take_one(struct list_parser *l)
{
	struct slice comment = SLICE_NONE, mailbox, host;
	struct words *w = &l->w;
	size_t from, name_end;
	uint8_t stop;

	words_skip(w, NULL);
	from = w->at;
	stop = skip_words(w, "<@:,;", &comment);
	name_end = w->at;
	switch (stop) {
	case '<':
		return take_angle(l, text_of(l, from, name_end, true));
	case ':':
		w->at++;
		if (l->in_group)	/* groups do not nest: noise */
			return true;
		l->in_group = true;
		mailbox = not_nil(text_of(l, from, name_end, true));
		return add(l, SLICE_NONE, SLICE_NONE, mailbox, SLICE_NONE);
	case '@':
		w->at++;
		stop = skip_words(w, "<,;", &comment);
		if (stop == '<')	/* "a@b <a@b>" */
			return take_angle(l, text_of(l, from, w->at, true));
		mailbox = text_of(l, from, name_end, false);
		host = text_of(l, name_end + 1, w->at, false);
		break;
	default:
		mailbox = text_of(l, from, name_end, false);
		host = SLICE_NONE;
		if (!mailbox.p && stop != ';')
			return w->at < w->s.n;
		break;
	}
	if (mailbox.p || host.p) {
		comment = words_unescape(slice_trim(comment), l->a);
		if (comment.n == 0)
			comment = SLICE_NONE;
		return add(l, comment, SLICE_NONE, not_nil(mailbox),
			   not_nil(host));
	}
	return true;
}

struct mime_address *address_list_budget(struct slice value, struct arena *a,
					 unsigned *budget)
{
	struct list_parser l = {.w = {value, 0}, .a = a, .budget = budget};

	l.tail = &l.first;
	while (l.w.at < value.n && take_one(&l)) {
		words_skip(&l.w, NULL);
		if (words_peek(&l.w) == ';' && l.in_group) {
			l.in_group = false;
			if (!add(&l, SLICE_NONE, SLICE_NONE, SLICE_NONE,
				 SLICE_NONE))
				break;
		}
		if (words_peek(&l.w) == ',' || words_peek(&l.w) == ';')
			l.w.at++;
	}
	/* A group that was not closed, by its writer or by the limit. */
	if (l.in_group) {
		*budget += *budget == 0;
		add(&l, SLICE_NONE, SLICE_NONE, SLICE_NONE, SLICE_NONE);
	}
	return l.first;
}

struct mime_address *address_list_parse(struct slice value, struct arena *a)
{
	unsigned budget = MIME_ADDRESSES_MAX;

	return address_list_budget(value, a, &budget);
}

/* --- envelope paths --- */

static bool is_atext(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' &&
					  (c | 0x20) <= 'z') ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* Dots anywhere: addresses like "a..b@" and "a.@" are in use. */
static int take_local(struct words *w, struct arena *a, struct slice *out)
{
	size_t from = w->at, i;

	if (words_peek(w) == '"') {
		*out = words_quoted(w);
		if (w->s.p[w->at - 1] != '"' || w->at - from < 2 ||
		    (out->n && w->at == from + 1 + out->n))
			return -EINVAL;
		*out = words_unescape(*out, a);
		for (i = 0; i < out->n; i++)
			if (out->p[i] < ' ' || out->p[i] >= 0x7f)
				return -EINVAL;
	} else {
		while (is_atext(words_peek(w)) || words_peek(w) == '.')
			w->at++;
		*out = slice_sub(w->s, from, w->at);
	}
	if (out->n == 0)
		return -EINVAL;
	return out->n > ADDRESS_LOCAL_MAX ? E_LIMIT : 0;
}

static int take_domain(struct words *w, struct slice *out)
{
	size_t from = w->at;
	uint8_t c;

	if (words_peek(w) == '[') {
		while ((c = words_peek(w)) != ']' && c > ' ' && c < 0x7f)
			w->at++;
		if (words_peek(w) != ']')
			return -EINVAL;
		w->at++;
	} else {
		while ((c = words_peek(w)) != 0 &&
		       ((c >= '0' && c <= '9') || c == '-' || c == '.' ||
			c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
			w->at++;
	}
	*out = slice_sub(w->s, from, w->at);
	if (out->n == 0 || out->p[0] == '.')
		return -EINVAL;
	return out->n > ADDRESS_DOMAIN_MAX ? E_LIMIT : 0;
}

/* "@a,@b:" is read and dropped (RFC 5321 4.1.1.3). */
static int skip_route(struct words *w)
{
	struct slice domain;
	int rc;

	if (words_peek(w) != '@')
		return 0;
	for (;;) {
		if (words_peek(w) != '@')
			return -EINVAL;
		w->at++;
		rc = take_domain(w, &domain);
		if (rc < 0)
			return rc;
		if (words_peek(w) == ':') {
			w->at++;
			return 0;
		}
		if (words_peek(w) != ',')
			return -EINVAL;
		w->at++;
	}
}

int address_path_parse(struct slice *in, bool bare, struct arena *a,
		       struct address_path *out)
{
	struct address_path p = {.null_sender = false};
	struct words w = {*in, 0};
	bool angle = words_peek(&w) == '<';
	int rc;

	if (!angle && !bare)
		return -EINVAL;
	w.at += angle;
	if (angle && words_peek(&w) == '>') {
		p.null_sender = true;
	} else {
		rc = skip_route(&w);
		if (rc == 0)
			rc = take_local(&w, a, &p.local);
		if (rc == 0 && words_peek(&w) == '@') {
			w.at++;
			rc = take_domain(&w, &p.domain);
		}
		if (rc < 0)
			return rc;
	}
	if (angle && words_peek(&w) != '>')
		return -EINVAL;
	w.at += angle;
	if (w.at < w.s.n && words_peek(&w) != ' ')
		return -EINVAL;
	*in = slice_sub(*in, w.at, in->n);
	*out = p;
	return 0;
}

void address_put(struct buf *to, const struct address_path *p)
{
	bool quote = false;
	size_t i;

	if (p->null_sender)
		return;
	for (i = 0; i < p->local.n; i++)
		quote |= !is_atext(p->local.p[i]) && p->local.p[i] != '.';
	if (quote)
		buf_char(to, '"');
	for (i = 0; i < p->local.n; i++) {
		if (p->local.p[i] == '"' || p->local.p[i] == '\\')
			buf_char(to, '\\');
		buf_char(to, p->local.p[i]);
	}
	if (quote)
		buf_char(to, '"');
	if (p->domain.n) {
		buf_char(to, '@');
		buf_slice(to, p->domain);
	}
}
