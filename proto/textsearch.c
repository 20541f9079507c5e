#include "proto/textsearch.h"

#include <errno.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "proto/charset.h"
#include "proto/mutf7.h"
#include "proto/rfc2047.h"
#include "proto/transfer.h"

/* One piece of a body on its way through the stages. */
#define PIECE 4096
/* No character folds to more code points (U+FDFA: 18). */
#define FOLDED_MAX 32

/*
 * Knuth, Morris, Pratt over folded octets: `at` octets of the needle are
 * matched, `fail` says where to go on after a mismatch.
 */
struct textsearch {
	uint8_t *needle;
	uint32_t *fail;
	size_t n, at;
	bool found;
	uint8_t cut[4];		/* a character that was cut between pieces */
	size_t n_cut;
	struct buf raw, text;	/* of the stages */
};

static void fold_char(uint32_t cp, struct buf *to)
{
	utf8proc_int32_t out[FOLDED_MAX];
	utf8proc_ssize_t i, n;
	int boundclass = UTF8PROC_BOUNDCLASS_START;

	if (cp < 0x80) {
		buf_char(to, cp >= 'A' && cp <= 'Z' ? (uint8_t)(cp | 0x20)
						    : (uint8_t)cp);
		return;
	}
	n = utf8proc_decompose_char((utf8proc_int32_t)cp, out, FOLDED_MAX,
				    UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE |
					    UTF8PROC_CASEFOLD,
				    &boundclass);
	if (n < 0 || n > FOLDED_MAX) {
		utf8_put(to, cp);
		return;
	}
	for (i = 0; i < n; i++)
		utf8_put(to, (uint32_t)out[i]);
}

int textsearch_fold(struct slice s, struct buf *to)
{
	size_t at = 0;
	uint32_t cp;
	int n;

	while (at < s.n) {
		n = utf8_take(s.p + at, s.n - at, &cp);
		if (n <= 0)
			return -EINVAL;
		at += (size_t)n;
		fold_char(cp, to);
	}
	return 0;
}

struct textsearch *textsearch_new(struct slice utf8)
{
	struct textsearch *t;
	struct buf folded;
	size_t i, k = 0;

	/* No character of n octets folds to more than 12 n. */
	buf_init(&folded, (size_t)TEXTSEARCH_NEEDLE_MAX * 12);
	if (utf8.n > TEXTSEARCH_NEEDLE_MAX ||
	    textsearch_fold(utf8, &folded) < 0 || folded.failed) {
		buf_fini(&folded);
		return NULL;
	}
	t = NEW(struct textsearch);
	t->n = folded.n;
	t->needle = xmalloc(folded.n + 1);
	if (folded.n)
		memcpy(t->needle, folded.p, folded.n);
	t->fail = xzalloc((folded.n + 1) * sizeof(*t->fail));
	buf_fini(&folded);
	for (i = 1; i < t->n; i++) {
		while (k && t->needle[i] != t->needle[k])
			k = t->fail[k];
		if (t->needle[i] == t->needle[k])
			k++;
		t->fail[i + 1] = (uint32_t)k;
	}
	buf_init(&t->raw, PIECE + 16);
	buf_init(&t->text, MIME_VALUE_MAX * 8);
	return t;
}

void textsearch_free(struct textsearch *t)
{
	if (!t)
		return;
	buf_fini(&t->raw);
	buf_fini(&t->text);
	free(t->needle);
	free(t->fail);
	free(t);
}

static void begin(struct textsearch *t)
{
	t->at = 0;
	t->n_cut = 0;
	t->found = t->n == 0;
}

static void match_octet(struct textsearch *t, uint8_t c)
{
	while (t->at && t->needle[t->at] != c)
		t->at = t->fail[t->at];
	if (t->needle[t->at] == c && ++t->at == t->n)
		t->found = true;
}

static void match_char(struct textsearch *t, uint32_t cp)
{
	uint8_t room[FOLDED_MAX * 4];
	struct buf folded = {.p = room, .cap = sizeof(room),
			     .max = sizeof(room)};
	size_t i;

	if (cp < 0x80) {
		match_octet(t, cp >= 'A' && cp <= 'Z' ? (uint8_t)(cp | 0x20)
						      : (uint8_t)cp);
		return;
	}
	fold_char(cp, &folded);
	for (i = 0; i < folded.n && !t->found; i++)
		match_octet(t, folded.p[i]);
}

/* Completes a character that was cut; how much of s that took. */
static size_t match_cut(struct textsearch *t, struct slice s)
{
	size_t old = t->n_cut;
	uint32_t cp;
	int n;

	while (t->n_cut < sizeof(t->cut) && t->n_cut - old < s.n) {
		t->cut[t->n_cut] = s.p[t->n_cut - old];
		t->n_cut++;
		n = utf8_take(t->cut, t->n_cut, &cp);
		if (n == 0)
			continue;
		if (n < 0) {	/* not UTF-8: matches nothing */
			t->at = 0;
			t->n_cut = 0;
			return 0;
		}
		match_char(t, cp);
		n = (int)(t->n_cut - old);
		t->n_cut = 0;
		return (size_t)n;
	}
	return s.n;
}

static void match_piece(struct textsearch *t, struct slice s)
{
	size_t at = 0;
	uint32_t cp;
	int n;

	if (t->n_cut)
		at = match_cut(t, s);
	while (at < s.n && !t->found) {
		if (s.p[at] < 0x80) {
			match_char(t, s.p[at++]);
			continue;
		}
		n = utf8_take(s.p + at, s.n - at, &cp);
		if (n == 0) {
			t->n_cut = s.n - at;
			memcpy(t->cut, s.p + at, t->n_cut);
			return;
		}
		if (n > 0)
			match_char(t, cp);
		else
			t->at = 0;
		at += n > 0 ? (size_t)n : 1;
	}
}

bool textsearch_in(struct textsearch *t, struct slice utf8)
{
	begin(t);
	match_piece(t, utf8);
	return t->found;
}

/* Value of a field, "Name: " before it if asked for. */
static bool in_field(struct textsearch *t, const struct mime_field *f,
		     bool with_name)
{
	struct slice raw = slice_trim(f->raw);

	if (raw.n > MIME_VALUE_MAX)
		raw.n = MIME_VALUE_MAX;
	buf_reset(&t->text);
	if (with_name) {
		buf_slice(&t->text, f->name);
		buf_str(&t->text, ": ");
	}
	rfc2047_decode(raw, &t->text);
	return textsearch_in(t, buf_all(&t->text));
}

bool textsearch_in_field(struct textsearch *t, struct slice header,
			 struct slice name)
{
	struct mime_field f;
	size_t pos = 0;

	while (mime_field_next(header, &pos, &f))
		if (slice_eq_ci(f.name, name) && in_field(t, &f, false))
			return true;
	return false;
}

bool textsearch_in_header(struct textsearch *t, struct slice header)
{
	struct mime_field f;
	size_t pos = 0;

	if (t->n == 0)
		return true;
	while (mime_field_next(header, &pos, &f))
		if (in_field(t, &f, true))
			return true;
	return false;
}

static struct charset *charset_of(const struct mime_part *part)
{
	struct charset *c = NULL;
	struct mime_param *p;

	for (p = part->params; p; p = p->next) {
		if (!slice_is_ci(p->name, "charset"))
			continue;
		c = charset_open(p->value);
		break;
	}
	/* Of an unknown charset at least the ASCII in it can be found. */
	return c ? c : charset_open(SLICE_NONE);
}

static bool in_text(struct textsearch *t, struct slice body,
		    const struct mime_part *part)
{
	struct transfer transfer = transfer_of(part->encoding);
	struct charset *charset = charset_of(part);
	size_t at = 0, to;
	bool last;

	begin(t);
	do {
		to = at + PIECE < body.n ? at + PIECE : body.n;
		last = to == body.n;
		buf_reset(&t->raw);
		buf_reset(&t->text);
		transfer_put(&transfer, slice_sub(body, at, to), last,
			     &t->raw);
		charset_put(charset, buf_all(&t->raw), last, &t->text);
		match_piece(t, buf_all(&t->text));
		at = to;
	} while (!last && !t->found);
	charset_close(charset);
	return t->found;
}

/* Recursion is bounded by MIME_DEPTH_MAX. */
static bool in_part(struct textsearch *t, struct slice msg,
		    const struct mime_part *part, bool with_header)
{
	const struct mime_part *child;

	if (with_header &&
	    textsearch_in_header(t, slice_sub(msg, part->header_at,
					      part->body_at)))
		return true;
	if (part->kind == MIME_LEAF)
		return slice_is_ci(part->type, "text") &&
		       in_text(t, slice_sub(msg, part->body_at,
					    part->body_at + part->body_size),
			       part);
	for (child = part->child; child; child = child->next)
		if (in_part(t, msg, child, true))
			return true;
	return false;
}

bool textsearch_in_message(struct textsearch *t, struct slice msg,
			   const struct mime_message *m, bool with_header)
{
	if (t->n == 0)
		return true;
	if (!msg.p)
		return false;
	return in_part(t, msg, m->root, with_header);
}
