#include "proto/imap_write.h"

#include "proto/mutf7.h"
#include "proto/record.h"

/* Longer strings are literals: clients then need not look for quotes. */
#define QUOTED_MAX 1000

void imap_put_string(struct buf *to, struct slice s)
{
	bool quoted = s.n <= QUOTED_MAX, escape = false;
	size_t i;

	for (i = 0; i < s.n && quoted; i++) {
		uint8_t c = s.p[i];

		if (c == 0 || c == '\r' || c == '\n' || c >= 0x80)
			quoted = false;
		escape |= c == '"' || c == '\\';
	}
	if (quoted && !escape) {
		buf_char(to, '"');
		buf_slice(to, s);
		buf_char(to, '"');
		return;
	}
	if (!quoted) {
		buf_char(to, '{');
		buf_u64(to, s.n);
		buf_str(to, "}\r\n");
		/* NUL may not even stand in a literal. */
		i = to->n;
		buf_slice(to, s);
		for (; i < to->n; i++)
			if (to->p[i] == 0)
				to->p[i] = '?';
		return;
	}
	buf_char(to, '"');
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_char(to, '\\');
		buf_char(to, s.p[i]);
	}
	buf_char(to, '"');
}

void imap_put_nstring(struct buf *to, struct slice s)
{
	if (s.p)
		imap_put_string(to, s);
	else
		buf_str(to, "NIL");
}

void imap_put_astring(struct buf *to, struct slice s)
{
	bool atom = s.n > 0 && s.n <= QUOTED_MAX && !slice_is_ci(s, "NIL");
	size_t i;

	for (i = 0; i < s.n && atom; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f ||
		    strchr("(){%*\"\\", s.p[i]))
			atom = false;
	if (atom)
		buf_slice(to, s);
	else
		imap_put_string(to, s);
}

void imap_put_mailbox(struct buf *to, struct slice utf8)
{
	struct buf name;

	/* Every octet grows to at most 4 ("&AIA-" for two octets …). */
	buf_init(&name, utf8.n * 4 + 16);
	/* Names in the store are UTF-8; if one is not, its octets are shown
	 * rather than nothing. */
	if (utf8_to_mutf7(utf8, &name) < 0 || name.failed)
		imap_put_astring(to, utf8);
	else
		imap_put_astring(to, buf_all(&name));
	buf_fini(&name);
}

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {
	{MSG_ANSWERED, "\\Answered"},
	{MSG_FLAGGED, "\\Flagged"},
	{MSG_DELETED, "\\Deleted"},
	{MSG_SEEN, "\\Seen"},
	{MSG_DRAFT, "\\Draft"},
};

static void put_word(struct buf *to, struct slice word, bool *any)
{
	if (*any)
		buf_char(to, ' ');
	buf_slice(to, word);
	*any = true;
}

void imap_put_flag_names(struct buf *to, uint32_t system, bool recent,
			 const struct slice *keywords, size_t n_keywords)
{
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_LEN(flag_names); i++)
		if (system & flag_names[i].flag)
			put_word(to, slice_str(flag_names[i].name), &any);
	if (recent)
		put_word(to, SLICE_LIT("\\Recent"), &any);
	for (i = 0; i < n_keywords; i++)
		put_word(to, keywords[i], &any);
}

void imap_put_flags(struct buf *to, uint32_t system, bool recent,
		    const struct slice *keywords, size_t n_keywords)
{
	buf_char(to, '(');
	imap_put_flag_names(to, system, recent, keywords, n_keywords);
	buf_char(to, ')');
}

void imap_put_internaldate(struct buf *to, int64_t seconds, int zone_minutes)
{
	struct date d = {seconds, zone_minutes};

	buf_char(to, '"');
	date_put_imap(to, &d);
	buf_char(to, '"');
}

static void put_range(struct buf *to, uint32_t first, uint32_t last)
{
	buf_u64(to, first);
	if (last != first) {
		buf_char(to, ':');
		buf_u64(to, last);
	}
}

void imap_put_set(struct buf *to, const struct uid_range *ranges, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (i)
			buf_char(to, ',');
		put_range(to, ranges[i].first, ranges[i].last);
	}
}

void imap_set_writer_add(struct imap_set_writer *w, uint32_t v)
{
	if (w->first && v == w->last + 1) {
		w->last = v;
		return;
	}
	imap_set_writer_end(w);
	w->first = w->last = v;
}

void imap_set_writer_end(struct imap_set_writer *w)
{
	if (!w->first)
		return;
	if (w->any)
		buf_char(w->to, ',');
	put_range(w->to, w->first, w->last);
	w->any = true;
	w->first = 0;
}

void imap_put_special_use(struct buf *to, uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} uses[] = {
		{SPECIALUSE_ALL, "\\All"},
		{SPECIALUSE_ARCHIVE, "\\Archive"},
		{SPECIALUSE_DRAFTS, "\\Drafts"},
		{SPECIALUSE_FLAGGED, "\\Flagged"},
		{SPECIALUSE_IMPORTANT, "\\Important"},
		{SPECIALUSE_JUNK, "\\Junk"},
		{SPECIALUSE_SENT, "\\Sent"},
		{SPECIALUSE_TRASH, "\\Trash"},
	};
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_LEN(uses); i++)
		if (bits & uses[i].bit)
			put_word(to, slice_str(uses[i].name), &any);
}

/* --- ENVELOPE --- */

static void put_addresses(struct buf *to, const struct mime_address *at)
{
	if (!at) {
		buf_str(to, "NIL");
		return;
	}
	buf_char(to, '(');
	for (; at; at = at->next) {
		buf_char(to, '(');
		imap_put_nstring(to, at->name);
		buf_char(to, ' ');
		imap_put_nstring(to, at->route);
		buf_char(to, ' ');
		imap_put_nstring(to, at->mailbox);
		buf_char(to, ' ');
		imap_put_nstring(to, at->host);
		buf_char(to, ')');
	}
	buf_char(to, ')');
}

void imap_put_envelope(struct buf *to, const struct mime_envelope *env)
{
	/* RFC 3501 7.4.2: Sender and Reply-To default to From. */
	const struct mime_address *lists[] = {
		env->from, env->sender ? env->sender : env->from,
		env->reply_to ? env->reply_to : env->from,
		env->to, env->cc, env->bcc,
	};
	size_t i;

	buf_char(to, '(');
	imap_put_nstring(to, env->date);
	buf_char(to, ' ');
	imap_put_nstring(to, env->subject);
	for (i = 0; i < ARRAY_LEN(lists); i++) {
		buf_char(to, ' ');
		put_addresses(to, lists[i]);
	}
	buf_char(to, ' ');
	imap_put_nstring(to, env->in_reply_to);
	buf_char(to, ' ');
	imap_put_nstring(to, env->message_id);
	buf_char(to, ')');
}

/* --- BODY and BODYSTRUCTURE --- */

static void put_params(struct buf *to, const struct mime_param *p)
{
	const struct mime_param *first = p;

	if (!p) {
		buf_str(to, "NIL");
		return;
	}
	for (; p; p = p->next) {
		buf_char(to, p == first ? '(' : ' ');
		imap_put_string(to, p->name);
		buf_char(to, ' ');
		imap_put_string(to, p->value);
	}
	buf_char(to, ')');
}

static void put_disposition(struct buf *to, const struct mime_part *part)
{
	if (!part->disposition.p) {
		buf_str(to, "NIL");
		return;
	}
	buf_char(to, '(');
	imap_put_string(to, part->disposition);
	buf_char(to, ' ');
	put_params(to, part->disposition_params);
	buf_char(to, ')');
}

static void put_languages(struct buf *to, const struct mime_param *l)
{
	const struct mime_param *first = l;

	if (!l || !l->next) {
		imap_put_nstring(to, l ? l->value : SLICE_NONE);
		return;
	}
	for (; l; l = l->next) {
		buf_char(to, l == first ? '(' : ' ');
		imap_put_string(to, l->value);
	}
	buf_char(to, ')');
}

/* What multiparts and leaves have in common at the end. */
static void put_extension(struct buf *to, const struct mime_part *part)
{
	buf_char(to, ' ');
	put_disposition(to, part);
	buf_char(to, ' ');
	put_languages(to, part->languages);
	buf_char(to, ' ');
	imap_put_nstring(to, part->location);
}

static void put_structure(struct buf *to, const struct mime_part *part,
			  bool extended);

static void put_multipart(struct buf *to, const struct mime_part *part,
			  bool extended)
{
	const struct mime_part *child;

	for (child = part->child; child; child = child->next)
		put_structure(to, child, extended);
	buf_char(to, ' ');
	imap_put_string(to, part->subtype);
	if (!extended)
		return;
	buf_char(to, ' ');
	put_params(to, part->params);
	put_extension(to, part);
}

/* A leaf under these types has no parts we could show: encoded against the
 * rules, or beyond a limit. */
static bool is_opaque(const struct mime_part *part)
{
	return part->kind == MIME_LEAF &&
	       (slice_is_ci(part->type, "multipart") ||
		(slice_is_ci(part->type, "message") &&
		 (slice_is_ci(part->subtype, "rfc822") ||
		  slice_is_ci(part->subtype, "global"))));
}

static void put_single(struct buf *to, const struct mime_part *part,
		       bool extended)
{
	bool opaque = is_opaque(part);

	imap_put_string(to, opaque ? SLICE_LIT("APPLICATION") : part->type);
	buf_char(to, ' ');
	imap_put_string(to, opaque ? SLICE_LIT("OCTET-STREAM")
				   : part->subtype);
	buf_char(to, ' ');
	put_params(to, part->params);
	buf_char(to, ' ');
	imap_put_nstring(to, part->id);
	buf_char(to, ' ');
	imap_put_nstring(to, part->description);
	buf_char(to, ' ');
	imap_put_string(to, part->encoding.p ? part->encoding
					     : SLICE_LIT("7BIT"));
	buf_char(to, ' ');
	buf_u64(to, part->body_size);
	if (part->kind == MIME_MESSAGE) {
		buf_char(to, ' ');
		imap_put_envelope(to, part->envelope);
		buf_char(to, ' ');
		put_structure(to, part->child, extended);
	}
	if (part->kind == MIME_MESSAGE ||
	    (!opaque && slice_is_ci(part->type, "text"))) {
		buf_char(to, ' ');
		buf_u64(to, part->body_lines);
	}
	if (!extended)
		return;
	buf_char(to, ' ');
	imap_put_nstring(to, part->md5);
	put_extension(to, part);
}

/* Recursion is bounded by MIME_DEPTH_MAX. */
static void put_structure(struct buf *to, const struct mime_part *part,
			  bool extended)
{
	buf_char(to, '(');
	if (part->kind == MIME_MULTIPART)
		put_multipart(to, part, extended);
	else
		put_single(to, part, extended);
	buf_char(to, ')');
}

void imap_put_body(struct buf *to, const struct mime_part *part)
{
	put_structure(to, part, false);
}

void imap_put_bodystructure(struct buf *to, const struct mime_part *part)
{
	put_structure(to, part, true);
}
