#include "proto/imap_search.h"

#include "proto/charset.h"
#include "proto/date.h"
#include "proto/record.h"

enum key_args { ARGS_NONE, ARGS_TEXT, ARGS_KEYWORD, ARGS_DAY, ARGS_NUMBER,
		ARGS_SET, ARGS_HEADER, ARGS_MODSEQ, ARGS_KEY, ARGS_KEYS,
		ARGS_ID };

/* One row per key of RFC 3501 6.4.4 and its extensions. */
static const struct search_word {
	const char *name;
	enum imap_search_type type;
	enum key_args args;
	bool negated;
	uint32_t flag;
	const char *field;	/* HEADER keys with a fixed field */
} words[] = {
	{"ALL", IMAP_SEARCH_ALL, ARGS_NONE, false, 0, NULL},
	{"ANSWERED", IMAP_SEARCH_FLAG, ARGS_NONE, false, MSG_ANSWERED, NULL},
	{"BCC", IMAP_SEARCH_HEADER, ARGS_TEXT, false, 0, "Bcc"},
	{"BEFORE", IMAP_SEARCH_BEFORE, ARGS_DAY, false, 0, NULL},
	{"BODY", IMAP_SEARCH_BODY, ARGS_TEXT, false, 0, NULL},
	{"CC", IMAP_SEARCH_HEADER, ARGS_TEXT, false, 0, "Cc"},
	{"DELETED", IMAP_SEARCH_FLAG, ARGS_NONE, false, MSG_DELETED, NULL},
	{"DRAFT", IMAP_SEARCH_FLAG, ARGS_NONE, false, MSG_DRAFT, NULL},
	{"EMAILID", IMAP_SEARCH_EMAILID, ARGS_ID, false, 0, NULL},
	{"FLAGGED", IMAP_SEARCH_FLAG, ARGS_NONE, false, MSG_FLAGGED, NULL},
	{"FROM", IMAP_SEARCH_HEADER, ARGS_TEXT, false, 0, "From"},
	{"HEADER", IMAP_SEARCH_HEADER, ARGS_HEADER, false, 0, NULL},
	{"KEYWORD", IMAP_SEARCH_KEYWORD, ARGS_KEYWORD, false, 0, NULL},
	{"LARGER", IMAP_SEARCH_LARGER, ARGS_NUMBER, false, 0, NULL},
	{"MODSEQ", IMAP_SEARCH_MODSEQ, ARGS_MODSEQ, false, 0, NULL},
	{"NEW", IMAP_SEARCH_NEW, ARGS_NONE, false, 0, NULL},
	{"NOT", IMAP_SEARCH_NOT, ARGS_KEY, false, 0, NULL},
	{"OLD", IMAP_SEARCH_RECENT, ARGS_NONE, true, 0, NULL},
	{"ON", IMAP_SEARCH_ON, ARGS_DAY, false, 0, NULL},
	{"OR", IMAP_SEARCH_OR, ARGS_KEYS, false, 0, NULL},
	{"RECENT", IMAP_SEARCH_RECENT, ARGS_NONE, false, 0, NULL},
	{"SEEN", IMAP_SEARCH_FLAG, ARGS_NONE, false, MSG_SEEN, NULL},
	{"SENTBEFORE", IMAP_SEARCH_SENTBEFORE, ARGS_DAY, false, 0, NULL},
	{"SENTON", IMAP_SEARCH_SENTON, ARGS_DAY, false, 0, NULL},
	{"SENTSINCE", IMAP_SEARCH_SENTSINCE, ARGS_DAY, false, 0, NULL},
	{"SINCE", IMAP_SEARCH_SINCE, ARGS_DAY, false, 0, NULL},
	{"SMALLER", IMAP_SEARCH_SMALLER, ARGS_NUMBER, false, 0, NULL},
	{"SUBJECT", IMAP_SEARCH_HEADER, ARGS_TEXT, false, 0, "Subject"},
	{"TEXT", IMAP_SEARCH_TEXT, ARGS_TEXT, false, 0, NULL},
	{"THREADID", IMAP_SEARCH_THREADID, ARGS_ID, false, 0, NULL},
	{"TO", IMAP_SEARCH_HEADER, ARGS_TEXT, false, 0, "To"},
	{"UID", IMAP_SEARCH_UID, ARGS_SET, false, 0, NULL},
	{"UNANSWERED", IMAP_SEARCH_FLAG, ARGS_NONE, true, MSG_ANSWERED, NULL},
	{"UNDELETED", IMAP_SEARCH_FLAG, ARGS_NONE, true, MSG_DELETED, NULL},
	{"UNDRAFT", IMAP_SEARCH_FLAG, ARGS_NONE, true, MSG_DRAFT, NULL},
	{"UNFLAGGED", IMAP_SEARCH_FLAG, ARGS_NONE, true, MSG_FLAGGED, NULL},
	{"UNKEYWORD", IMAP_SEARCH_KEYWORD, ARGS_KEYWORD, true, 0, NULL},
	{"UNSEEN", IMAP_SEARCH_FLAG, ARGS_NONE, true, MSG_SEEN, NULL},
};

struct search_parser {
	struct arena *a;
	struct imap_search *out;
	struct err *e;
	struct slice charset;
	const struct imap_arg *at;	/* the next argument of this list */
	unsigned n_keys, depth;
};

static int parse_key(struct search_parser *p, struct imap_search_key **out);

static struct imap_search_key *new_key(struct search_parser *p,
				       enum imap_search_type type)
{
	struct imap_search_key *k = ARENA_NEW(p->a, struct imap_search_key);

	k->type = type;
	return k;
}

static int too_many(struct search_parser *p)
{
	err_set(p->e, E_LIMIT, "SEARCH has more than %u keys",
		IMAP_SEARCH_KEYS_MAX);
	err_client(p->e, "Too many search keys");
	return E_LIMIT;
}

/* Takes an astring and makes UTF-8 of it. */
static int take_text(struct search_parser *p, struct slice *out)
{
	struct slice raw;
	struct buf to;
	int rc;

	if (imap_arg_astring(p->at, &raw) < 0)
		return imap_bad(p->e, "Search text expected");
	p->at = p->at->next;
	/* No charset makes more than 4 octets of UTF-8 out of one. */
	buf_init(&to, raw.n * 4 + 16);
	rc = charset_to_utf8(p->charset, raw, &to);
	if (rc < 0)
		rc = imap_bad(p->e, "Search text is not valid in its charset");
	else
		*out = arena_dup(p->a, buf_all(&to));
	buf_fini(&to);
	return rc;
}

static int take_header(struct search_parser *p, struct imap_search_key *k)
{
	if (imap_arg_astring(p->at, &k->field) < 0 || k->field.n == 0)
		return imap_bad(p->e, "Header field name expected");
	p->at = p->at->next;
	return take_text(p, &k->text);
}

static int take_day(struct search_parser *p, struct imap_search_key *k)
{
	struct slice text;

	if (imap_arg_astring(p->at, &text) < 0 ||
	    date_parse_imap_day(text, &k->day) < 0)
		return imap_bad(p->e, "Date expected, as 1-Feb-1994");
	p->at = p->at->next;
	return 0;
}

/* MODSEQ ["/flags/name" all|shared|priv] value: the entry is checked for its
 * form; we keep one mod-sequence for all of a message's metadata. */
static int take_modseq(struct search_parser *p, struct imap_search_key *k)
{
	if (p->at && p->at->type == IMAP_ARG_QUOTED) {
		if (!slice_starts_ci(p->at->text, "/flags/"))
			return imap_bad(p->e, "Unknown MODSEQ entry");
		p->at = p->at->next;
		if (!imap_arg_is(p->at, "all") &&
		    !imap_arg_is(p->at, "shared") &&
		    !imap_arg_is(p->at, "priv"))
			return imap_bad(p->e, "Bad MODSEQ entry type");
		p->at = p->at->next;
	}
	if (imap_arg_number64(p->at, &k->number) < 0 ||
	    k->number > INT64_MAX)
		return imap_bad(p->e, "Bad MODSEQ value");
	p->at = p->at->next;
	p->out->modseq = true;
	return 0;
}

static int take_id(struct search_parser *p, struct imap_search_key *k)
{
	if (imap_arg_astring(p->at, &k->text) < 0 || k->text.n == 0)
		return imap_bad(p->e, "Object id expected");
	p->at = p->at->next;
	return 0;
}

static int take_keyword(struct search_parser *p, struct imap_search_key *k)
{
	if (!p->at || p->at->type != IMAP_ARG_ATOM)
		return imap_bad(p->e, "Keyword expected");
	k->text = p->at->text;
	p->at = p->at->next;
	return 0;
}

static int take_key_args(struct search_parser *p, enum key_args args,
			 struct imap_search_key *k)
{
	int rc;

	switch (args) {
	case ARGS_NONE:
		return 0;
	case ARGS_TEXT:
		return take_text(p, &k->text);
	case ARGS_HEADER:
		return take_header(p, k);
	case ARGS_KEYWORD:
		return take_keyword(p, k);
	case ARGS_DAY:
		return take_day(p, k);
	case ARGS_MODSEQ:
		return take_modseq(p, k);
	case ARGS_ID:
		return take_id(p, k);
	case ARGS_NUMBER:
		if (imap_arg_number64(p->at, &k->number) < 0)
			return imap_bad(p->e, "Number expected");
		p->at = p->at->next;
		return 0;
	case ARGS_SET:
		rc = imap_arg_set(p->at, p->a, &k->set, p->e);
		if (rc == 0)
			p->at = p->at->next;
		return rc;
	case ARGS_KEY:
		return parse_key(p, &k->child);
	case ARGS_KEYS:
		rc = parse_key(p, &k->child);
		return rc < 0 ? rc : parse_key(p, &k->child->next);
	}
	return 0;
}

static void note_needs(struct imap_search *s, enum imap_search_type type)
{
	switch (type) {
	case IMAP_SEARCH_HEADER:
	case IMAP_SEARCH_SENTBEFORE:
	case IMAP_SEARCH_SENTON:
	case IMAP_SEARCH_SENTSINCE:
		s->needs_header = true;
		break;
	case IMAP_SEARCH_BODY:
	case IMAP_SEARCH_TEXT:
		s->needs_body = true;
		break;
	default:
		break;
	}
}

static int parse_word(struct search_parser *p, struct slice name,
		      struct imap_search_key **out)
{
	struct imap_search_key *k, *not;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_LEN(words); i++)
		if (slice_is_ci(name, words[i].name))
			break;
	if (i == ARRAY_LEN(words))
		return imap_bad(p->e, "Unknown search key");
	k = new_key(p, words[i].type);
	k->flag = words[i].flag;
	k->field = slice_str(words[i].field);
	note_needs(p->out, k->type);
	rc = take_key_args(p, words[i].args, k);
	if (rc < 0)
		return rc;
	*out = k;
	if (words[i].negated) {
		not = new_key(p, IMAP_SEARCH_NOT);
		not->child = k;
		*out = not;
	}
	return 0;
}

/* All keys up to the end of a list, as the children of an AND. */
static int parse_keys(struct search_parser *p, struct imap_search_key **out)
{
	struct imap_search_key *and = new_key(p, IMAP_SEARCH_AND);
	struct imap_search_key **tail = &and->child;
	int rc;

	while (p->at) {
		rc = parse_key(p, tail);
		if (rc < 0)
			return rc;
		tail = &(*tail)->next;
	}
	*out = and;
	return 0;
}

static int parse_list(struct search_parser *p, struct imap_search_key **out)
{
	const struct imap_arg *list = p->at;
	int rc;

	if (!list->child)
		return imap_bad(p->e, "Empty list of search keys");
	p->at = list->child;
	rc = parse_keys(p, out);
	p->at = list->next;
	return rc;
}

static int parse_one(struct search_parser *p, struct imap_search_key **out)
{
	const struct imap_arg *arg = p->at;
	struct imap_search_key *k;

	if (arg->type == IMAP_ARG_LIST)
		return parse_list(p, out);
	if (arg->type != IMAP_ARG_ATOM)
		return imap_bad(p->e, "Search key expected");
	p->at = arg->next;
	if (arg->text.p[0] != '*' &&
	    (arg->text.p[0] < '0' || arg->text.p[0] > '9'))
		return parse_word(p, arg->text, out);
	k = new_key(p, IMAP_SEARCH_SEQ);
	*out = k;
	return imap_arg_set(arg, p->a, &k->set, p->e);
}

static int parse_key(struct search_parser *p, struct imap_search_key **out)
{
	int rc;

	if (!p->at)
		return imap_bad(p->e, "Search key expected");
	/* NOT NOT NOT … nests without brackets. */
	if (++p->n_keys > IMAP_SEARCH_KEYS_MAX ||
	    p->depth >= IMAP_SEARCH_DEPTH_MAX)
		return too_many(p);
	p->depth++;
	rc = parse_one(p, out);
	p->depth--;
	return rc;
}

static int parse_charset(struct search_parser *p)
{
	if (imap_arg_is(p->at, "RETURN"))
		return imap_bad(p->e, "SEARCH RETURN is not supported");
	if (!imap_arg_is(p->at, "CHARSET"))
		return 0;
	p->at = p->at->next;
	if (imap_arg_astring(p->at, &p->charset) < 0 || p->charset.n == 0)
		return imap_bad(p->e, "Charset expected");
	p->at = p->at->next;
	if (charset_known(p->charset))
		return 0;
	err_set(p->e, E_UNSUPPORTED, "SEARCH in an unknown charset");
	err_client(p->e, "Unknown charset");
	return E_UNSUPPORTED;
}

int imap_search_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_search *out, struct err *e)
{
	struct imap_search s = {.root = NULL};
	struct search_parser p = {.a = a, .out = &s, .e = e, .at = cmd->args};
	int rc;

	rc = parse_charset(&p);
	if (rc < 0)
		return rc;
	if (!p.at)
		return imap_bad(e, "Search key expected");
	rc = parse_keys(&p, &s.root);
	if (rc == 0)
		*out = s;
	return rc;
}

static void resolve_keys(struct imap_search_key *k, uint32_t max_seq,
			 uint32_t max_uid)
{
	for (; k; k = k->next) {
		if (k->type == IMAP_SEARCH_SEQ)
			imap_set_resolve(&k->set, max_seq);
		else if (k->type == IMAP_SEARCH_UID)
			imap_set_resolve(&k->set, max_uid);
		resolve_keys(k->child, max_seq, max_uid);
	}
}

void imap_search_resolve(struct imap_search *s, uint32_t max_seq,
			 uint32_t max_uid)
{
	resolve_keys(s->root, max_seq, max_uid);
}
