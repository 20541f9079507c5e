#include "node/imap/imap.h"
#include "proto/textsearch.h"

#include <stdlib.h>

/*
 * SEARCH (RFC 3501 6.4.4, RFC 7162 3.1.5), as a step over the view's messages.
 * A message's header and body are read only if a key needs them, once.
 */

struct needle {			/* compiled text of one key */
	const struct imap_search_key *key;
	struct textsearch *t;
};

struct searching {
	struct imap_search q;
	uint32_t rec;			/* the next record of the view */
	struct needle *needles;
	size_t n_needles;
	struct arena *arena;		/* of the message being looked at */

	/* the message being looked at */
	struct body body;
	bool has_body, no_body;
	struct mime_message *mime;

	bool any;
	uint64_t modseq;		/* highest of those found */
};

static void search_fini(struct imap *im)
{
	struct searching *s = im->cmd_data;

	if (s->has_body)
		mailbox_body_close(im->view.mbox, &s->body);
	for (size_t i = 0; i < s->n_needles; i++)
		textsearch_free(s->needles[i].t);
	arena_free(s->arena);
}

static size_t count_keys(const struct imap_search_key *k)
{
	size_t n = 0;

	for (; k; k = k->next)
		n += 1 + count_keys(k->child);
	return n;
}

static void compile(struct searching *s, const struct imap_search_key *k)
{
	for (; k; k = k->next) {
		if (k->type == IMAP_SEARCH_HEADER ||
		    k->type == IMAP_SEARCH_BODY || k->type == IMAP_SEARCH_TEXT)
			s->needles[s->n_needles++] = (struct needle){
				k, textsearch_new(k->text)};
		compile(s, k->child);
	}
}

static struct textsearch *needle_of(const struct searching *s,
				    const struct imap_search_key *k)
{
	for (size_t i = 0; i < s->n_needles; i++)
		if (s->needles[i].key == k)
			return s->needles[i].t;
	return NULL;
}

/* The message's octets; false if it cannot be read (it was expunged, or is
 * damaged: then text keys do not match it). */
static bool message(struct imap *im, struct searching *s, uint32_t rec)
{
	struct err e;

	if (!s->has_body && !s->no_body) {
		s->has_body = mailbox_body_open(im->view.mbox, rec, &s->body,
						&e) >= 0;
		s->no_body = !s->has_body;
	}
	return s->has_body;
}

static bool structure(struct imap *im, struct searching *s, uint32_t rec)
{
	struct slice bytes;
	struct err e;

	if (s->mime)
		return true;
	return mailbox_cached(im->view.mbox, rec, &bytes, &e) >= 0 &&
	       mime_decode(arena_dup(s->arena, bytes), s->arena, &s->mime) >= 0;
}

static struct slice header_of(const struct searching *s)
{
	return slice_sub(s->body.data, 0, s->mime->root->header_size);
}

static bool sent_day(struct imap *im, struct searching *s, uint32_t rec,
		     int64_t *day)
{
	struct date d;

	if (!structure(im, s, rec) || !s->mime->envelope.date.p ||
	    date_parse_rfc5322(s->mime->envelope.date, &d) < 0)
		return false;
	*day = date_day(&d);
	return true;
}

static bool has_word(struct mailbox *m, uint32_t rec, struct slice word)
{
	for (size_t i = 0; i < mailbox_keywords(m); i++)
		if (slice_eq_ci(slice_str(mailbox_keyword(m, i)), word))
			return mailbox_has_keyword(m, rec, i);
	return false;
}

static bool id_is(struct id128 id, struct slice text)
{
	char hex[33];

	hex_of(id.b, sizeof(id.b), hex);
	return slice_is_ci(text, hex);
}

static bool text_matches(struct imap *im, struct searching *s, uint32_t rec,
			 const struct imap_search_key *k)
{
	struct textsearch *t = needle_of(s, k);

	if (!t || !message(im, s, rec) || !structure(im, s, rec))
		return false;
	switch (k->type) {
	case IMAP_SEARCH_HEADER:
		return textsearch_in_field(t, header_of(s), k->field);
	case IMAP_SEARCH_BODY:
		return textsearch_in_message(t, s->body.data, s->mime, false);
	default:
		return textsearch_in_message(t, s->body.data, s->mime, true);
	}
}

static bool day_matches(enum imap_search_type type, int64_t day, int64_t want)
{
	switch (type) {
	case IMAP_SEARCH_BEFORE: case IMAP_SEARCH_SENTBEFORE:
		return day < want;
	case IMAP_SEARCH_ON: case IMAP_SEARCH_SENTON:
		return day == want;
	default:
		return day >= want;
	}
}

static bool matches(struct imap *im, struct searching *s, uint32_t rec,
		    const struct imap_search_key *k)
{
	const struct mrec *r = mailbox_rec(im->view.mbox, rec);
	const struct imap_search_key *c;
	struct date d = {r->internaldate, r->internaldate_zone};
	int64_t day;

	switch (k->type) {
	case IMAP_SEARCH_ALL:
		return true;
	case IMAP_SEARCH_AND:
		for (c = k->child; c; c = c->next)
			if (!matches(im, s, rec, c))
				return false;
		return true;
	case IMAP_SEARCH_OR:
		for (c = k->child; c; c = c->next)
			if (matches(im, s, rec, c))
				return true;
		return false;
	case IMAP_SEARCH_NOT:
		return !matches(im, s, rec, k->child);
	case IMAP_SEARCH_SEQ:
		return imap_set_has(&k->set, view_seq(&im->view, rec));
	case IMAP_SEARCH_UID:
		return imap_set_has(&k->set, r->uid);
	case IMAP_SEARCH_FLAG:
		return (r->flags & k->flag) != 0;
	case IMAP_SEARCH_KEYWORD:
		return has_word(im->view.mbox, rec, k->text);
	case IMAP_SEARCH_NEW:
	case IMAP_SEARCH_RECENT:
		return false;	/* docs/differences.md: \Recent */
	case IMAP_SEARCH_LARGER:
		return r->size > k->number;
	case IMAP_SEARCH_SMALLER:
		return r->size < k->number;
	case IMAP_SEARCH_BEFORE:
	case IMAP_SEARCH_ON:
	case IMAP_SEARCH_SINCE:
		return day_matches(k->type, date_day(&d), k->day);
	case IMAP_SEARCH_SENTBEFORE:
	case IMAP_SEARCH_SENTON:
	case IMAP_SEARCH_SENTSINCE:
		return sent_day(im, s, rec, &day) &&
		       day_matches(k->type, day, k->day);
	case IMAP_SEARCH_HEADER:
	case IMAP_SEARCH_BODY:
	case IMAP_SEARCH_TEXT:
		return text_matches(im, s, rec, k);
	case IMAP_SEARCH_MODSEQ:
		return r->modseq >= k->number;
	case IMAP_SEARCH_EMAILID:
		return id_is(r->emailid, k->text);
	case IMAP_SEARCH_THREADID:
		return id_is(r->threadid, k->text);
	}
	return false;
}

static void look_at(struct imap *im, struct searching *s)
{
	struct buf *out = imap_out(im);
	const struct mrec *r = mailbox_rec(im->view.mbox, s->rec);

	if (matches(im, s, s->rec, s->q.root)) {
		s->any = true;
		if (r->modseq > s->modseq)
			s->modseq = r->modseq;
		buf_char(out, ' ');
		buf_u64(out, im->uid ? r->uid : view_seq(&im->view, s->rec));
	}
	if (s->has_body)
		mailbox_body_close(im->view.mbox, &s->body);
	s->has_body = s->no_body = false;
	if (s->mime)
		arena_reset(s->arena);
	s->mime = NULL;
}

static bool search_step(struct imap *im)
{
	struct searching *s = im->cmd_data;
	/* Text costs far more than flags. */
	unsigned budget = s->q.needs_body || s->q.needs_header ?
		IMAP_STEP_MESSAGES / 16 : IMAP_STEP_MESSAGES * 16;

	/* The line grows in the output, where nobody else writes while a
	 * command runs. */
	for (; s->rec < im->view.seen;
	     s->rec = view_next(&im->view, s->rec)) {
		if (budget-- == 0)
			return false;
		look_at(im, s);
	}
	if (s->q.modseq && s->any)
		buf_printf(imap_out(im), " (MODSEQ %llu)",
			   (unsigned long long)s->modseq);
	buf_str(imap_out(im), "\r\n");
	imap_reply(im, "OK", NULL, "Search completed.");
	return true;
}

void cmd_search(struct imap *im, const struct imap_command *cmd)
{
	struct searching *s = ARENA_NEW(im->arena, struct searching);
	struct err e;
	int r = imap_search_parse(cmd, im->arena, &s->q, &e);

	if (r == E_UNSUPPORTED) {
		imap_reply(im, "NO", "BADCHARSET (US-ASCII UTF-8)",
			   "Unknown charset");
		return;
	}
	if (r == E_LIMIT) {
		imap_reply(im, "NO", "LIMIT", "%s", e.client);
		return;
	}
	if (r < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (s->q.modseq)
		imap_condstore_on(im);
	imap_search_resolve(&s->q, view_count(&im->view),
			    view_last_uid(&im->view));
	s->needles = arena_alloc(im->arena, (count_keys(s->q.root) + 1) *
				 sizeof(*s->needles));
	compile(s, s->q.root);
	s->arena = arena_new(4096);
	s->rec = view_lower(&im->view, 1);
	buf_str(imap_out(im), "* SEARCH");
	imap_run(im, search_step, s, search_fini);
}
