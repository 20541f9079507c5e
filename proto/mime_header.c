#include "proto/mime_header.h"

#include "proto/address.h"
#include "proto/rfc5322.h"

struct header_parser {
	struct arena *a;
	struct mime_budget *budget;
	struct mime_part *part;
	struct mime_envelope *env;
	bool has_type;
};

/* ";name=value" as often as it comes. */
static struct mime_param *take_params(struct header_parser *h, struct words *w)
{
	struct mime_param *first = NULL, **tail = &first, *p;
	unsigned n = 0;

	for (;;) {
		struct slice name, value;

		/* What is no parameter is passed over. */
		while (w->at < w->s.n && words_peek(w) != ';') {
			if (words_peek(w) == '"')
				words_quoted(w);
			else if (words_peek(w) == '(')
				words_skip(w, NULL);
			else
				w->at++;
		}
		if (w->at == w->s.n)
			return first;
		w->at++;
		words_skip(w, NULL);
		name = words_token(w);
		words_skip(w, NULL);
		if (name.n == 0 || words_peek(w) != '=')
			continue;
		w->at++;
		words_skip(w, NULL);
		if (words_peek(w) == '"') {
			value = words_unescape(words_quoted(w), h->a);
		} else {
			/* Tokens end at a blank or ';': unquoted boundaries
			 * with '=' and the like are common. */
			size_t from = w->at;

			while (w->at < w->s.n && words_peek(w) != ';' &&
			       words_peek(w) > ' ')
				w->at++;
			value = slice_sub(w->s, from, w->at);
		}
		if (++n > MIME_PARAMS_MAX || h->budget->params == 0)
			return first;
		h->budget->params--;
		p = ARENA_NEW(h->a, struct mime_param);
		p->name = name;
		p->value = value.p ? value : SLICE_LIT("");
		*tail = p;
		tail = &p->next;
	}
}

static void content_type(struct header_parser *h, struct slice value)
{
	struct words w = {value, 0};
	struct slice whole, type, subtype;
	ptrdiff_t slash;

	words_skip(&w, NULL);
	whole = words_token(&w);
	slash = slice_chr(whole, '/');
	if (slash <= 0)
		return;
	type = slice_sub(whole, 0, (size_t)slash);
	subtype = slice_sub(whole, (size_t)slash + 1, whole.n);
	if (subtype.n == 0)
		return;
	h->part->type = type;
	h->part->subtype = subtype;
	h->part->params = take_params(h, &w);
	h->has_type = true;
}

static void content_disposition(struct header_parser *h, struct slice value)
{
	struct words w = {value, 0};
	struct slice token;

	words_skip(&w, NULL);
	token = words_token(&w);
	if (token.n == 0)
		return;
	h->part->disposition = token;
	h->part->disposition_params = take_params(h, &w);
}

static void content_encoding(struct header_parser *h, struct slice value)
{
	struct words w = {value, 0};
	struct slice token;

	words_skip(&w, NULL);
	token = words_token(&w);
	if (token.n)
		h->part->encoding = token;
}

static void content_language(struct header_parser *h, struct slice value)
{
	struct mime_param **tail = &h->part->languages;
	struct words w = {value, 0};
	unsigned n = 0;

	for (;;) {
		struct slice token;

		words_skip(&w, NULL);
		token = words_token(&w);
		if (token.n && n++ < MIME_PARAMS_MAX && h->budget->params) {
			h->budget->params--;
			*tail = ARENA_NEW(h->a, struct mime_param);
			(*tail)->value = token;
			tail = &(*tail)->next;
		}
		if (w.at == w.s.n)
			return;
		if (token.n == 0)
			w.at++;
	}
}

enum field_kind { F_TYPE, F_DISPOSITION, F_ENCODING, F_LANGUAGE, F_ID,
		  F_DESCRIPTION, F_MD5, F_LOCATION,
		  F_DATE, F_SUBJECT, F_IN_REPLY_TO, F_MESSAGE_ID,
		  F_FROM, F_SENDER, F_REPLY_TO, F_TO, F_CC, F_BCC };

#define F_FIRST_OF_ENVELOPE F_DATE

static const struct {
	struct slice name;
	enum field_kind kind;
} fields[] = {
#define NAME(s) {(const uint8_t *)(s), sizeof(s) - 1}
	{NAME("Content-Type"), F_TYPE},
	{NAME("Content-Disposition"), F_DISPOSITION},
	{NAME("Content-Transfer-Encoding"), F_ENCODING},
	{NAME("Content-Language"), F_LANGUAGE},
	{NAME("Content-ID"), F_ID},
	{NAME("Content-Description"), F_DESCRIPTION},
	{NAME("Content-MD5"), F_MD5},
	{NAME("Content-Location"), F_LOCATION},
	{NAME("Date"), F_DATE},
	{NAME("Subject"), F_SUBJECT},
	{NAME("In-Reply-To"), F_IN_REPLY_TO},
	{NAME("Message-ID"), F_MESSAGE_ID},
	{NAME("From"), F_FROM},
	{NAME("Sender"), F_SENDER},
	{NAME("Reply-To"), F_REPLY_TO},
	{NAME("To"), F_TO},
	{NAME("Cc"), F_CC},
	{NAME("Bcc"), F_BCC},
#undef NAME
};

/* The first of doubled fields counts. */
static void set_once(struct slice *to, struct slice value)
{
	if (!to->p)
		*to = value.p ? value : SLICE_LIT("");
}

static void set_addresses(struct header_parser *h, struct mime_address **to,
			  struct slice value)
{
	if (!*to)
		*to = address_list_budget(value, h->a, &h->budget->addresses);
}

static void take_content(struct header_parser *h, enum field_kind kind,
			 struct slice value)
{
	switch (kind) {
	case F_TYPE:
		if (!h->has_type)
			content_type(h, value);
		break;
	case F_DISPOSITION:
		if (!h->part->disposition.p)
			content_disposition(h, value);
		break;
	case F_ENCODING:
		if (!h->part->encoding.p)
			content_encoding(h, value);
		break;
	case F_LANGUAGE:
		if (!h->part->languages)
			content_language(h, value);
		break;
	case F_ID:
		set_once(&h->part->id, value);
		break;
	case F_DESCRIPTION:
		set_once(&h->part->description, value);
		break;
	case F_MD5:
		set_once(&h->part->md5, value);
		break;
	case F_LOCATION:
		set_once(&h->part->location, value);
		break;
	default:
		break;
	}
}

static void take_envelope(struct header_parser *h, enum field_kind kind,
			  struct slice value)
{
	struct mime_envelope *env = h->env;

	switch (kind) {
	case F_DATE:
		set_once(&env->date, value);
		break;
	case F_SUBJECT:
		set_once(&env->subject, value);
		break;
	case F_IN_REPLY_TO:
		set_once(&env->in_reply_to, value);
		break;
	case F_MESSAGE_ID:
		set_once(&env->message_id, value);
		break;
	case F_FROM:
		set_addresses(h, &env->from, value);
		break;
	case F_SENDER:
		set_addresses(h, &env->sender, value);
		break;
	case F_REPLY_TO:
		set_addresses(h, &env->reply_to, value);
		break;
	case F_TO:
		set_addresses(h, &env->to, value);
		break;
	case F_CC:
		set_addresses(h, &env->cc, value);
		break;
	case F_BCC:
		set_addresses(h, &env->bcc, value);
		break;
	default:
		break;
	}
}

static void take_field(struct header_parser *h, const struct mime_field *f)
{
	struct slice value;
	size_t i;

	for (i = 0; i < ARRAY_LEN(fields); i++)
		if (fields[i].name.n == f->name.n &&
		    slice_eq_ci(fields[i].name, f->name))
			break;
	if (i == ARRAY_LEN(fields))
		return;
	if (fields[i].kind >= F_FIRST_OF_ENVELOPE && !h->env)
		return;
	value = mime_unfold(f->raw, h->a);
	if (fields[i].kind >= F_FIRST_OF_ENVELOPE)
		take_envelope(h, fields[i].kind, value);
	else
		take_content(h, fields[i].kind, value);
}

/* RFC 2045 5.2: text/plain in US-ASCII; RFC 2046 5.1.5 in a digest. */
static void default_type(struct header_parser *h, bool digest)
{
	static struct mime_param const us_ascii = {
		NULL, {(const uint8_t *)"CHARSET", 7},
		{(const uint8_t *)"US-ASCII", 8},
	};
	struct mime_param *p;

	if (digest) {
		h->part->type = SLICE_LIT("MESSAGE");
		h->part->subtype = SLICE_LIT("RFC822");
		return;
	}
	h->part->type = SLICE_LIT("TEXT");
	h->part->subtype = SLICE_LIT("PLAIN");
	p = arena_alloc(h->a, sizeof(*p));
	*p = us_ascii;
	h->part->params = p;
}

void mime_header_parse(struct slice header, bool digest,
		       struct mime_budget *budget, struct arena *a,
		       struct mime_part *part, struct mime_envelope *env,
		       struct slice *boundary)
{
	struct header_parser h = {a, budget, part, env, false};
	struct mime_param *p;
	struct mime_field f;
	size_t pos = 0;

	*boundary = SLICE_NONE;
	while (mime_field_next(header, &pos, &f))
		take_field(&h, &f);
	if (!h.has_type)
		default_type(&h, digest);
	if (!slice_is_ci(part->type, "multipart"))
		return;
	for (p = part->params; p && !boundary->n; p = p->next)
		if (slice_is_ci(p->name, "boundary"))
			*boundary = p->value;
	/* Trailing blanks are no part of it (RFC 2046 5.1.1). */
	while (boundary->n && boundary->p[boundary->n - 1] == ' ')
		boundary->n--;
	if (boundary->n == 0) {
		part->params = NULL;
		default_type(&h, false);
	}
}
