#include "proto/imap_tree.h"

#include <errno.h>

#include "proto/mutf7.h"
#include "proto/record.h"

static int fail(struct imap_tree *t, const char *text)
{
	t->error = text;
	return E_INVALID;
}

/* An octet of a tag (RFC 3501 tag: ASTRING-CHAR except "+"). */
static bool is_tag_char(uint8_t c)
{
	return c > ' ' && c < 0x7f && !strchr("(){%*\"\\+", c);
}

const char *imap_tree_tag(struct slice line, struct arena *a)
{
	size_t n = 0;

	while (n < line.n && is_tag_char(line.p[n]))
		n++;
	if (n == 0 || (n < line.n && !strchr(" \r\n", line.p[n])))
		return NULL;
	return arena_strndup(a, line.p, n);
}

/* A word of letters, upper-cased; empty if there is none. */
static const char *take_word(struct slice text, size_t *at, struct arena *a)
{
	size_t from = *at, i;
	char *word;

	while (*at < text.n && text.p[*at] > ' ' && text.p[*at] < 0x7f &&
	       !strchr("(){\"", text.p[*at]))
		(*at)++;
	word = arena_strndup(a, text.p + from, *at - from);
	for (i = 0; word[i]; i++)
		if (word[i] >= 'a' && word[i] <= 'z')
			word[i] = (char)(word[i] - 'a' + 'A');
	return word;
}

static size_t skip_blanks(struct slice text, size_t at)
{
	while (at < text.n && text.p[at] == ' ')
		at++;
	return at;
}

static bool has_uid_form(const char *name)
{
	static const char *const names[] = {
		"COPY", "EXPUNGE", "FETCH", "MOVE", "SEARCH", "SORT", "STORE",
		"THREAD",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

/* Tag and name; *at is then behind the name. */
static int begin_command(struct imap_tree *t, struct slice text, size_t *at,
			 unsigned depth_max, struct arena *a)
{
	struct imap_command *c;
	const char *tag;

	tag = imap_tree_tag(text, a);
	if (!tag)
		return fail(t, "A command begins with a tag");
	c = ARENA_NEW(a, struct imap_command);
	c->tag = tag;
	c->name = "";
	t->cmd = c;
	t->levels = arena_alloc(a, (depth_max + 1) * sizeof(*t->levels));
	t->levels[0] = (struct imap_level){&c->args, NULL};

	*at = skip_blanks(text, strlen(tag));
	c->name = take_word(text, at, a);
	if (!c->name[0])
		return fail(t, "No command after the tag");
	if (!strcmp(c->name, "UID")) {
		*at = skip_blanks(text, *at);
		c->uid = true;
		c->name = take_word(text, at, a);
		if (!has_uid_form(c->name))
			return fail(t, "Unknown UID command");
	}
	t->append = !strcmp(c->name, "APPEND");
	t->fetch = !strcmp(c->name, "FETCH");
	t->need_sep = true;
	return 0;
}

static struct imap_arg *add_arg(struct imap_tree *t, enum imap_arg_type type,
				struct arena *a)
{
	struct imap_arg *arg = ARENA_NEW(a, struct imap_arg);
	struct imap_level *l = &t->levels[t->depth];

	arg->type = type;
	*l->tail = arg;
	l->tail = &arg->next;
	if (t->depth == 0)
		t->n_top++;
	t->need_sep = true;
	return arg;
}

static int open_level(struct imap_tree *t, struct imap_arg *arg,
		      unsigned depth_max)
{
	if (t->depth >= depth_max)
		return fail(t, "Lists are nested too deeply");
	t->depth++;
	t->levels[t->depth] = (struct imap_level){&arg->child, arg};
	t->need_sep = false;
	return 0;
}

static int take_quoted(struct imap_tree *t, struct slice text, size_t *at,
		       struct arena *a)
{
	size_t from = *at + 1, end = from, n = 0;
	bool escaped = false;
	struct imap_arg *arg;
	uint8_t *copy;

	while (end < text.n && text.p[end] != '"') {
		if (text.p[end] == '\\') {
			escaped = true;
			end++;
		}
		end++;
	}
	if (end >= text.n)
		return fail(t, "Quoted string does not end");
	arg = add_arg(t, IMAP_ARG_QUOTED, a);
	*at = end + 1;
	arg->text = slice_of(text.p + from, end - from);
	if (!escaped)
		return 0;
	copy = arena_alloc(a, end - from);
	while (from < end) {
		if (text.p[from] == '\\')
			from++;
		copy[n++] = text.p[from++];
	}
	arg->text = slice_of(copy, n);
	return 0;
}

/* "{N}" or "{N+}" at the very end of the segment. */
static int take_literal(struct imap_tree *t, struct slice text, size_t at,
			bool literal8, struct arena *a)
{
	size_t end = text.n;
	struct slice number;

	if (text.p[end - 1] != '}')
		return fail(t, "Bad literal");
	end--;
	t->literal_sync = text.p[end - 1] != '+';
	if (!t->literal_sync)
		end--;
	if (end <= at)
		return fail(t, "Bad literal");
	number = slice_sub(text, at + 1, end);
	if (slice_u64(number, &t->literal_size) < 0)
		return fail(t, "Bad literal");
	t->literal = add_arg(t, IMAP_ARG_LITERAL, a);
	t->literal->literal8 = literal8;
	return IMAP_TREE_LITERAL;
}

static bool in_section(const struct imap_tree *t)
{
	return t->depth && t->levels[t->depth].open->type == IMAP_ARG_SECTION;
}

/* The end of BODY[…]: "]" and perhaps "<0.100>". */
static int close_section(struct imap_tree *t, struct slice text, size_t *at)
{
	struct imap_arg *arg = t->levels[t->depth].open;
	ptrdiff_t end;

	t->depth--;
	t->need_sep = true;
	(*at)++;
	if (*at >= text.n || text.p[*at] != '<')
		return 0;
	end = slice_chr(slice_sub(text, *at, text.n), '>');
	if (end < 0)
		return fail(t, "\"<\" without \">\"");
	arg->suffix = slice_sub(text, *at + 1, *at + (size_t)end);
	if (arg->suffix.n == 0)
		return fail(t, "Empty partial");
	*at += (size_t)end + 1;
	return 0;
}

static int take_atom(struct imap_tree *t, struct slice text, size_t *at,
		     unsigned depth_max, struct arena *a)
{
	size_t from = *at, end = from;
	struct imap_arg *arg;
	bool section = in_section(t);

	while (end < text.n) {
		uint8_t c = text.p[end];

		if (c == ' ' || c == '(' || c == ')' ||
		    (section && c == ']') || (t->fetch && c == '['))
			break;
		if (c < ' ' || c == 0x7f || c == '"' || c == '{')
			return fail(t, "Invalid character in an atom");
		end++;
	}
	if (end == from)
		return fail(t, "Unexpected bracket");
	*at = end;
	if (t->fetch && !section && end < text.n && text.p[end] == '[') {
		arg = add_arg(t, IMAP_ARG_SECTION, a);
		arg->text = slice_sub(text, from, end);
		(*at)++;
		return open_level(t, arg, depth_max);
	}
	arg = add_arg(t, IMAP_ARG_ATOM, a);
	arg->text = slice_sub(text, from, end);
	return 0;
}

/* One token at a position that is not a blank. */
static int take_token(struct imap_tree *t, struct slice text, size_t *at,
		      unsigned depth_max, struct arena *a)
{
	uint8_t c = text.p[*at];

	if (c == ')') {
		if (t->depth == 0 || in_section(t))
			return fail(t, "\")\" without \"(\"");
		t->depth--;
		t->need_sep = true;
		(*at)++;
		return 0;
	}
	if (c == ']' && in_section(t))
		return close_section(t, text, at);
	if (t->need_sep)
		return fail(t, "Blank expected between arguments");
	if (c == '(') {
		(*at)++;
		return open_level(t, add_arg(t, IMAP_ARG_LIST, a), depth_max);
	}
	if (c == '"')
		return take_quoted(t, text, at, a);
	if (c == '{')
		return take_literal(t, text, *at, false, a);
	if (c == '~' && *at + 1 < text.n && text.p[*at + 1] == '{')
		return take_literal(t, text, *at + 1, true, a);
	return take_atom(t, text, at, depth_max, a);
}

int imap_tree_segment(struct imap_tree *t, struct slice text,
		      unsigned depth_max, struct arena *a)
{
	size_t at = 0;
	int rc;

	if (text.n && memchr(text.p, 0, text.n))
		return fail(t, "NUL in a command");
	if (!t->cmd) {
		rc = begin_command(t, text, &at, depth_max, a);
		if (rc < 0)
			return rc;
	}
	while (at < text.n) {
		if (text.p[at] == ' ') {
			at++;
			t->need_sep = false;
			continue;
		}
		rc = take_token(t, text, &at, depth_max, a);
		if (rc != 0)
			return rc;
	}
	if (t->depth)
		return fail(t, in_section(t) ? "\"[\" without \"]\""
					     : "\"(\" without \")\"");
	return IMAP_TREE_END;
}

/* --- what commands ask of the tree --- */

int imap_arg_astring(const struct imap_arg *arg, struct slice *out)
{
	if (!arg || (arg->type != IMAP_ARG_ATOM &&
		     arg->type != IMAP_ARG_QUOTED &&
		     arg->type != IMAP_ARG_LITERAL))
		return -EINVAL;
	if (arg->type == IMAP_ARG_LITERAL &&
	    slice_chr(arg->text, 0) >= 0)
		return -EINVAL;
	*out = arg->text;
	return 0;
}

int imap_arg_nstring(const struct imap_arg *arg, struct slice *out)
{
	if (imap_arg_is(arg, "NIL")) {
		*out = SLICE_NONE;
		return 0;
	}
	if (!arg || arg->type == IMAP_ARG_ATOM)
		return -EINVAL;
	return imap_arg_astring(arg, out);
}

int imap_arg_number64(const struct imap_arg *arg, uint64_t *out)
{
	if (!arg || arg->type != IMAP_ARG_ATOM)
		return -EINVAL;
	return slice_u64(arg->text, out);
}

int imap_arg_number(const struct imap_arg *arg, uint32_t *out)
{
	if (!arg || arg->type != IMAP_ARG_ATOM)
		return -EINVAL;
	return slice_u32(arg->text, out);
}

bool imap_arg_is(const struct imap_arg *arg, const char *word)
{
	return arg && arg->type == IMAP_ARG_ATOM &&
	       slice_is_ci(arg->text, word);
}

size_t imap_arg_count(const struct imap_arg *first)
{
	size_t n = 0;

	for (; first; first = first->next)
		n++;
	return n;
}

int imap_arg_mailbox(const struct imap_arg *arg, struct arena *a,
		     struct slice *out)
{
	struct slice raw;
	struct buf name;
	int rc;

	if (imap_arg_astring(arg, &raw) < 0)
		return E_INVALID;
	if (slice_is_ci(raw, "INBOX")) {
		*out = SLICE_LIT("INBOX");
		return 0;
	}
	buf_init(&name, MBOX_NAME_MAX);
	rc = mutf7_to_utf8(raw, &name);
	if (rc < 0 || name.failed)
		rc = E_INVALID;
	else
		*out = arena_dup(a, buf_all(&name));
	buf_fini(&name);
	return rc;
}

int imap_bad(struct err *e, const char *text)
{
	err_set(e, E_INVALID, "%s", text);
	err_client(e, "%s", text);
	return E_INVALID;
}
