#include "proto/rfc5322.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* At a '(': moves behind its ')'. */
static struct slice take_comment(struct words *w)
{
	size_t from = ++w->at;
	unsigned depth = 1;

	for (; w->at < w->s.n; w->at++) {
		uint8_t c = w->s.p[w->at];

		if (c == '\\' && w->at + 1 < w->s.n)
			w->at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return slice_sub(w->s, from, w->at++);
	}
	return slice_sub(w->s, from, w->at);
}

void words_skip(struct words *w, struct slice *comment)
{
	while (w->at < w->s.n) {
		uint8_t c = w->s.p[w->at];
		struct slice inside;

		if (is_blank(c)) {
			w->at++;
		} else if (c == '(') {
			inside = take_comment(w);
			if (comment)
				*comment = inside;
		} else {
			return;
		}
	}
}

struct slice words_quoted(struct words *w)
{
	size_t from = ++w->at;

	for (; w->at < w->s.n; w->at++) {
		uint8_t c = w->s.p[w->at];

		if (c == '\\' && w->at + 1 < w->s.n)
			w->at++;
		else if (c == '"')
			return slice_sub(w->s, from, w->at++);
	}
	return slice_sub(w->s, from, w->at);
}

struct slice words_unescape(struct slice s, struct arena *a)
{
	uint8_t *copy;
	size_t i, n = 0;

	if (slice_chr(s, '\\') < 0)
		return s;
	copy = arena_alloc(a, s.n);
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		copy[n++] = s.p[i];
	}
	return slice_of(copy, n);
}

struct slice words_token(struct words *w)
{
	size_t from = w->at;

	while (w->at < w->s.n) {
		uint8_t c = w->s.p[w->at];

		if (is_blank(c) || c == ';' || c == '=' || c == '"' ||
		    c == '(' || c == ')' || c == ',')
			break;
		w->at++;
	}
	return slice_sub(w->s, from, w->at);
}
