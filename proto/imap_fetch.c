#include "proto/imap_fetch.h"

#include "proto/mime.h"
#include "proto/record.h"

static const struct {
	const char *name;
	uint32_t items;
} fetch_items[] = {
	{"FLAGS", IMAP_FETCH_FLAGS},
	{"INTERNALDATE", IMAP_FETCH_INTERNALDATE},
	{"RFC822.SIZE", IMAP_FETCH_RFC822_SIZE},
	{"ENVELOPE", IMAP_FETCH_ENVELOPE},
	{"BODY", IMAP_FETCH_BODY},
	{"BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE},
	{"UID", IMAP_FETCH_UID},
	{"MODSEQ", IMAP_FETCH_MODSEQ},
	{"EMAILID", IMAP_FETCH_EMAILID},
	{"THREADID", IMAP_FETCH_THREADID},
};

#define FETCH_FAST (IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | \
		    IMAP_FETCH_RFC822_SIZE)
#define FETCH_ALL (FETCH_FAST | IMAP_FETCH_ENVELOPE)
#define FETCH_FULL (FETCH_ALL | IMAP_FETCH_BODY)

static const struct {
	const char *name;
	uint32_t items;
} fetch_macros[] = {
	{"ALL", FETCH_ALL},
	{"FAST", FETCH_FAST},
	{"FULL", FETCH_FULL},
};

static const struct {
	const char *name;
	enum mime_section_kind kind;
	bool peek;
} fetch_rfc822[] = {
	{"RFC822", MIME_SECTION_ALL, false},
	{"RFC822.HEADER", MIME_SECTION_HEADER, true},
	{"RFC822.TEXT", MIME_SECTION_TEXT, false},
};

static const struct {
	const char *name;
	enum mime_section_kind kind;
	bool has_fields;
} section_kinds[] = {
	{"HEADER", MIME_SECTION_HEADER, false},
	{"HEADER.FIELDS", MIME_SECTION_HEADER_FIELDS, true},
	{"HEADER.FIELDS.NOT", MIME_SECTION_HEADER_FIELDS_NOT, true},
	{"TEXT", MIME_SECTION_TEXT, false},
	{"MIME", MIME_SECTION_MIME, false},
};

/* The digits up to a dot or the end; 0 if there is no nz-number. */
static uint32_t take_part_number(struct slice *s)
{
	size_t n = 0;
	uint32_t v;

	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (n == 0 || s->p[0] == '0' || (n < s->n && s->p[n] != '.') ||
	    n + 1 == s->n || slice_u32(slice_sub(*s, 0, n), &v) < 0)
		return 0;
	*s = slice_sub(*s, n + 1, s->n);
	return v;
}

/* "1.2.HEADER.FIELDS": the part numbers, then the rest is in *spec. */
static int parse_path(struct slice *spec, struct arena *a,
		      struct mime_section *out, struct err *e)
{
	size_t i, n = 0;

	for (i = 0; i < spec->n; i++)
		n += spec->p[i] == '.';
	if (n + 1 > MIME_SECTION_DEPTH_MAX)
		return imap_bad(e, "Part number is too deep");
	out->path = arena_alloc(a, (n + 1) * sizeof(*out->path));
	while (spec->n && spec->p[0] >= '0' && spec->p[0] <= '9') {
		uint32_t v = take_part_number(spec);

		if (v == 0)
			return imap_bad(e, "Bad part number");
		out->path[out->n_path++] = v;
	}
	return 0;
}

static int parse_fields(const struct imap_arg *list, struct arena *a,
			struct mime_section *out, struct err *e)
{
	const struct imap_arg *f;

	if (!list || list->type != IMAP_ARG_LIST || !list->child || list->next)
		return imap_bad(e, "List of header fields expected");
	if (imap_arg_count(list->child) > IMAP_FETCH_FIELDS_MAX)
		return imap_bad(e, "Too many header fields");
	out->fields = arena_alloc(a, imap_arg_count(list->child) *
					     sizeof(*out->fields));
	for (f = list->child; f; f = f->next)
		if (imap_arg_astring(f, &out->fields[out->n_fields++]) < 0)
			return imap_bad(e, "Bad header field name");
	return 0;
}

/* What stands between the brackets of BODY[…]. */
static int parse_section(const struct imap_arg *arg, struct arena *a,
			 struct mime_section *out, struct err *e)
{
	const struct imap_arg *first = arg->child;
	struct slice spec;
	size_t i;
	int rc;

	if (!first)
		return 0;
	if (first->type != IMAP_ARG_ATOM)
		return imap_bad(e, "Bad section");
	spec = first->text;
	rc = parse_path(&spec, a, out, e);
	if (rc < 0)
		return rc;
	if (spec.n == 0)
		return first->next ? imap_bad(e, "Bad section") : 0;
	for (i = 0; i < ARRAY_LEN(section_kinds); i++)
		if (slice_is_ci(spec, section_kinds[i].name))
			break;
	if (i == ARRAY_LEN(section_kinds))
		return imap_bad(e, "Unknown section");
	out->kind = section_kinds[i].kind;
	if (out->kind == MIME_SECTION_MIME && out->n_path == 0)
		return imap_bad(e, "MIME needs a part number");
	if (section_kinds[i].has_fields)
		return parse_fields(first->next, a, out, e);
	return first->next ? imap_bad(e, "Bad section") : 0;
}

static int parse_partial(struct slice s, struct imap_fetch_section *out,
			 struct err *e)
{
	ptrdiff_t dot = slice_chr(s, '.');

	if (dot < 0 ||
	    slice_u32(slice_sub(s, 0, (size_t)dot), &out->offset) < 0 ||
	    slice_u32(slice_sub(s, (size_t)dot + 1, s.n), &out->length) < 0 ||
	    out->length == 0)
		return imap_bad(e, "Bad partial");
	out->partial = true;
	return 0;
}

static bool is_atom(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f ||
		    strchr("(){%*\"\\]", s.p[i]))
			return false;
	return s.n > 0;
}

/* Field names come back as they were sent; as a quoted string where an atom
 * cannot be.  What not even that can carry names no field and matches none,
 * but is shown with '?' so that the reply stays well formed. */
static void put_field_name(struct buf *to, struct slice s)
{
	size_t i;

	if (is_atom(s)) {
		buf_slice(to, s);
		return;
	}
	buf_char(to, '"');
	for (i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '"' || c == '\\')
			buf_char(to, '\\');
		buf_char(to, c < ' ' || c >= 0x7f ? '?' : c);
	}
	buf_char(to, '"');
}

static struct slice section_label(const struct imap_fetch_section *s,
				  struct arena *a)
{
	struct slice label;
	struct buf to;
	size_t i;

	/* Bounded by what was sent: every octet at most doubled. */
	buf_init(&to, 1u << 20);
	buf_str(&to, "BODY[");
	for (i = 0; i < s->section.n_path; i++) {
		if (i)
			buf_char(&to, '.');
		buf_u64(&to, s->section.path[i]);
	}
	for (i = 0; i < ARRAY_LEN(section_kinds); i++) {
		if (s->section.kind != section_kinds[i].kind)
			continue;
		if (s->section.n_path)
			buf_char(&to, '.');
		buf_str(&to, section_kinds[i].name);
	}
	for (i = 0; i < s->section.n_fields; i++) {
		buf_str(&to, i ? " " : " (");
		put_field_name(&to, s->section.fields[i]);
	}
	buf_str(&to, s->section.n_fields ? ")]" : "]");
	if (s->partial)
		buf_printf(&to, "<%u>", (unsigned)s->offset);
	label = arena_dup(a, buf_all(&to));
	buf_fini(&to);
	return label;
}

/* NULL if there are too many. */
static struct imap_fetch_section *add_section(struct imap_fetch *f,
					      struct arena *a)
{
	struct imap_fetch_section **at = &f->sections;
	unsigned n = 0;

	for (; *at; n++)
		at = &(*at)->next;
	if (n >= IMAP_FETCH_SECTIONS_MAX)
		return NULL;
	*at = ARENA_NEW(a, struct imap_fetch_section);
	return *at;
}

static int parse_body_item(const struct imap_arg *arg, struct arena *a,
			   struct imap_fetch *f, struct err *e)
{
	struct imap_fetch_section *s;
	bool peek = slice_is_ci(arg->text, "BODY.PEEK");
	int rc;

	if (!peek && !slice_is_ci(arg->text, "BODY"))
		return imap_bad(e, "Unknown FETCH item");
	s = add_section(f, a);
	if (!s)
		return imap_bad(e, "Too many sections");
	s->peek = peek;
	rc = parse_section(arg, a, &s->section, e);
	if (rc == 0 && arg->suffix.n)
		rc = parse_partial(arg->suffix, s, e);
	if (rc < 0)
		return rc;
	s->label = section_label(s, a);
	s->kept = mime_section_is_kept(&s->section);
	return 0;
}

static int parse_item(const struct imap_arg *arg, struct arena *a,
		      struct imap_fetch *f, struct err *e)
{
	struct imap_fetch_section *s;
	size_t i;

	if (arg->type == IMAP_ARG_SECTION)
		return parse_body_item(arg, a, f, e);
	if (arg->type != IMAP_ARG_ATOM)
		return imap_bad(e, "Bad FETCH item");
	for (i = 0; i < ARRAY_LEN(fetch_items); i++) {
		if (slice_is_ci(arg->text, fetch_items[i].name)) {
			f->items |= fetch_items[i].items;
			return 0;
		}
	}
	for (i = 0; i < ARRAY_LEN(fetch_rfc822); i++) {
		if (!slice_is_ci(arg->text, fetch_rfc822[i].name))
			continue;
		s = add_section(f, a);
		if (!s)
			return imap_bad(e, "Too many sections");
		s->section.kind = fetch_rfc822[i].kind;
		s->peek = fetch_rfc822[i].peek;
		s->label = slice_str(fetch_rfc822[i].name);
		return 0;
	}
	return imap_bad(e, "Unknown FETCH item");
}

static int parse_items(const struct imap_arg *arg, struct arena *a,
		       struct imap_fetch *f, struct err *e)
{
	const struct imap_arg *item;
	size_t i;
	int rc;

	/* Macros stand alone; some clients put them in a list, where they
	 * mean the same. */
	for (i = 0; i < ARRAY_LEN(fetch_macros); i++) {
		item = arg->type == IMAP_ARG_LIST ? arg->child : arg;
		if (imap_arg_is(item, fetch_macros[i].name) &&
		    (item == arg || !item->next)) {
			f->items |= fetch_macros[i].items;
			return 0;
		}
	}
	if (arg->type != IMAP_ARG_LIST)
		return parse_item(arg, a, f, e);
	if (!arg->child)
		return imap_bad(e, "Empty list of FETCH items");
	for (item = arg->child; item; item = item->next) {
		rc = parse_item(item, a, f, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_fetch_modifiers(const struct imap_arg *arg, bool uid,
				 struct imap_fetch *f, struct err *e)
{
	const struct imap_arg *m;

	if (arg->type != IMAP_ARG_LIST || !arg->child || arg->next)
		return imap_bad(e, "Bad FETCH modifiers");
	for (m = arg->child; m; m = m->next) {
		if (imap_arg_is(m, "CHANGEDSINCE") && !f->has_changedsince) {
			m = m->next;
			if (imap_arg_number64(m, &f->changedsince) < 0 ||
			    f->changedsince > INT64_MAX)
				return imap_bad(e, "Bad CHANGEDSINCE value");
			f->has_changedsince = true;
			f->items |= IMAP_FETCH_MODSEQ;
		} else if (imap_arg_is(m, "VANISHED") && !f->vanished) {
			f->vanished = true;
		} else {
			return imap_bad(e, "Unknown FETCH modifier");
		}
	}
	if (f->vanished && (!uid || !f->has_changedsince))
		return imap_bad(e, "VANISHED needs UID FETCH and CHANGEDSINCE");
	return 0;
}

int imap_arg_set(const struct imap_arg *arg, struct arena *a,
		 struct imap_set *out, struct err *e)
{
	if (!arg || arg->type != IMAP_ARG_ATOM ||
	    imap_set_parse(arg->text, a, out) < 0)
		return imap_bad(e, "Bad message set");
	return 0;
}

int imap_fetch_parse(const struct imap_command *cmd, struct arena *a,
		     struct imap_fetch *out, struct err *e)
{
	struct imap_fetch f = {.items = cmd->uid ? IMAP_FETCH_UID : 0};
	const struct imap_arg *arg = cmd->args;
	int rc;

	rc = imap_arg_set(arg, a, &f.set, e);
	if (rc < 0)
		return rc;
	arg = arg->next;
	if (!arg)
		return imap_bad(e, "FETCH items expected");
	rc = parse_items(arg, a, &f, e);
	if (rc == 0 && arg->next)
		rc = parse_fetch_modifiers(arg->next, cmd->uid, &f, e);
	if (rc == 0)
		*out = f;
	return rc;
}

bool imap_fetch_marks_seen(const struct imap_fetch *f)
{
	const struct imap_fetch_section *s;

	for (s = f->sections; s; s = s->next)
		if (!s->peek)
			return true;
	return false;
}

/* --- flags and STORE --- */

static const struct {
	const char *name;
	uint32_t flag;
} system_flags[] = {
	{"\\Seen", MSG_SEEN},
	{"\\Answered", MSG_ANSWERED},
	{"\\Flagged", MSG_FLAGGED},
	{"\\Deleted", MSG_DELETED},
	{"\\Draft", MSG_DRAFT},
	{"\\Recent", 0},	/* the server's own; clients copy it back */
};

static int add_keyword(struct imap_flags *f, struct slice k, struct err *e)
{
	size_t i;

	if (!is_atom(k))
		return imap_bad(e, "Bad keyword");
	if (k.n > KEYWORD_MAX)
		return imap_bad(e, "Keyword is too long");
	for (i = 0; i < f->n_keywords; i++)
		if (slice_eq_ci(f->keywords[i], k))
			return 0;
	f->keywords[f->n_keywords++] = k;
	return 0;
}

static int add_flag(struct imap_flags *f, const struct imap_arg *arg,
		    struct err *e)
{
	size_t i;

	if (arg->type != IMAP_ARG_ATOM)
		return imap_bad(e, "Bad flag");
	if (arg->text.p[0] != '\\')
		return add_keyword(f, arg->text, e);
	for (i = 0; i < ARRAY_LEN(system_flags); i++) {
		if (slice_is_ci(arg->text, system_flags[i].name)) {
			f->system |= system_flags[i].flag;
			return 0;
		}
	}
	return imap_bad(e, "Unknown system flag");
}

int imap_flags_parse(const struct imap_arg *first, bool loose, struct arena *a,
		     struct imap_flags *out, struct err *e)
{
	struct imap_flags f = {.system = 0};
	const struct imap_arg *arg = first;
	size_t n;
	int rc;

	if (first && first->type == IMAP_ARG_LIST) {
		if (loose && first->next)
			return imap_bad(e, "Unexpected argument behind the flags");
		arg = first->child;
	} else if (!loose || !first) {
		return imap_bad(e, "List of flags expected");
	}
	n = imap_arg_count(arg);
	if (n > IMAP_FLAGS_MAX)
		return imap_bad(e, "Too many flags");
	f.keywords = arena_alloc(a, n * sizeof(*f.keywords));
	for (; arg; arg = arg->next) {
		rc = add_flag(&f, arg, e);
		if (rc < 0)
			return rc;
	}
	*out = f;
	return 0;
}

static int parse_store_item(const struct imap_arg *arg, struct imap_store *s,
			    struct err *e)
{
	struct slice name;

	if (!arg || arg->type != IMAP_ARG_ATOM)
		return imap_bad(e, "STORE item expected");
	name = arg->text;
	s->mode = IMAP_STORE_REPLACE;
	if (name.p[0] == '+' || name.p[0] == '-') {
		s->mode = name.p[0] == '+' ? IMAP_STORE_ADD
					   : IMAP_STORE_REMOVE;
		name = slice_sub(name, 1, name.n);
	}
	s->silent = slice_is_ci(name, "FLAGS.SILENT");
	if (!s->silent && !slice_is_ci(name, "FLAGS"))
		return imap_bad(e, "Unknown STORE item");
	return 0;
}

int imap_store_parse(const struct imap_command *cmd, struct arena *a,
		     struct imap_store *out, struct err *e)
{
	struct imap_store s = {.silent = false};
	const struct imap_arg *arg = cmd->args, *m;
	int rc;

	rc = imap_arg_set(arg, a, &s.set, e);
	if (rc < 0)
		return rc;
	arg = arg->next;
	if (arg && arg->type == IMAP_ARG_LIST) {
		m = arg->child;
		if (!imap_arg_is(m, "UNCHANGEDSINCE") ||
		    imap_arg_number64(m->next, &s.unchangedsince) < 0 ||
		    s.unchangedsince > INT64_MAX || m->next->next)
			return imap_bad(e, "Bad STORE modifiers");
		s.has_unchangedsince = true;
		arg = arg->next;
	}
	rc = parse_store_item(arg, &s, e);
	if (rc < 0)
		return rc;
	if (!arg->next)
		return imap_bad(e, "Flags expected");
	rc = imap_flags_parse(arg->next, true, a, &s.flags, e);
	if (rc == 0)
		*out = s;
	return rc;
}
