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
	struct imap_walk walk;
	struct needle *needles;
	size_t n_needles;
	struct arena *arena;		/* of the message being looked at */

	/* the message being looked at */
	struct body body;
	bool has_body;
	struct mime_message *mime;
	bool unreadable;		/* it is, and a key wanted it */

	bool repaired;			/* asked for already */
	bool incomplete;		/* some could not be read */
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

static size_t keyword_bit(const struct mailbox *m, struct slice word)
{
	for (size_t i = 0; i < mailbox_keywords(m); i++)
		if (mailbox_keyword(m, i) &&
		    slice_eq_ci(slice_str(mailbox_keyword(m, i)), word))
			return i;
	return SIZE_MAX;
}

/* Texts are folded, keywords become bits, modseqs pass the answer rule. */
static void compile(struct imap *im, struct searching *s,
		    struct imap_search_key *k)
{
	for (; k; k = k->next) {
		if (k->type == IMAP_SEARCH_HEADER ||
		    k->type == IMAP_SEARCH_BODY || k->type == IMAP_SEARCH_TEXT)
			s->needles[s->n_needles++] = (struct needle){
				k, textsearch_new(k->text)};
		else if (k->type == IMAP_SEARCH_KEYWORD)
			k->number = keyword_bit(im->view.mbox, k->text);
		else if (k->type == IMAP_SEARCH_MODSEQ)
			k->number = account_answer_modseq(im->s->account,
							  k->number);
		compile(im, s, k->child);
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

/* The message's octets; false if it cannot be read. */
static bool message(struct imap *im, struct searching *s)
{
	struct err e;

	if (s->unreadable)
		return false;
	if (!s->has_body)
		s->has_body = mailbox_body_open(im->view.mbox, s->walk.rec,
						&s->body, &e) >= 0;
	s->unreadable = !s->has_body;
	return s->has_body;
}

static bool structure(struct imap *im, struct searching *s)
{
	struct slice bytes;
	struct err e;

	if (!s->mime && !s->unreadable &&
	    (mailbox_cached(im->view.mbox, s->walk.rec, &bytes, &e) < 0 ||
	     mime_decode(arena_dup(s->arena, bytes), s->arena, &s->mime) < 0))
		s->unreadable = true;
	return s->mime && !s->unreadable;
}

static struct slice header_of(const struct searching *s)
{
	return slice_sub(s->body.data, 0, s->mime->root->header_size);
}

static bool sent_day(struct imap *im, struct searching *s, int64_t *day)
{
	struct date d;

	if (!structure(im, s) || !s->mime->envelope.date.p ||
	    date_parse_rfc5322(s->mime->envelope.date, &d) < 0)
		return false;
	*day = date_day(&d);
	return true;
}

static bool id_is(struct id128 id, struct slice text)
{
	char hex[33];

	hex_of(id.b, sizeof(id.b), hex);
	return slice_is_ci(text, hex);
}

/* The kept header fields from the cache, valid in this turn. */
static bool kept(struct imap *im, struct searching *s, struct slice *out)
{
	struct slice bytes;
	struct err e;

	return !s->unreadable &&
	       mailbox_cached(im->view.mbox, s->walk.rec, &bytes, &e) == 0 &&
	       mime_decode_kept(bytes, out) == 0;
}

static bool text_matches(struct imap *im, struct searching *s,
			 const struct imap_search_key *k)
{
	struct textsearch *t = needle_of(s, k);
	struct slice fields;

	if (!t)
		return false;
	if (k->type == IMAP_SEARCH_HEADER && mime_field_is_kept(k->field) &&
	    kept(im, s, &fields))
		return textsearch_in_field(t, fields, k->field);
	if (!message(im, s) || !structure(im, s))
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

static bool matches(struct imap *im, struct searching *s,
		    const struct imap_search_key *k)
{
	const struct mrec *r = s->walk.r;
	const struct imap_search_key *c;
	struct date d = {r->internaldate, r->internaldate_zone};
	int64_t day;

	switch (k->type) {
	case IMAP_SEARCH_ALL:
		return true;
	case IMAP_SEARCH_AND:
		for (c = k->child; c; c = c->next)
			if (!matches(im, s, c))
				return false;
		return true;
	case IMAP_SEARCH_OR:
		for (c = k->child; c; c = c->next)
			if (matches(im, s, c))
				return true;
		return false;
	case IMAP_SEARCH_NOT:
		return !matches(im, s, k->child);
	case IMAP_SEARCH_SEQ:
		return imap_set_has(&k->set, s->walk.seq);
	case IMAP_SEARCH_UID:
		return imap_set_has(&k->set, r->uid);
	case IMAP_SEARCH_FLAG:
		return (r->flags & k->flag) != 0;
	case IMAP_SEARCH_KEYWORD:
		return mailbox_has_keyword(im->view.mbox, s->walk.rec,
					   (size_t)k->number);
	case IMAP_SEARCH_NEW:
		return !(r->flags & MSG_SEEN) && imap_recent_is(im, r->uid);
	case IMAP_SEARCH_RECENT:
		return imap_recent_is(im, r->uid);
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
		return sent_day(im, s, &day) &&
		       day_matches(k->type, day, k->day);
	case IMAP_SEARCH_HEADER:
	case IMAP_SEARCH_BODY:
	case IMAP_SEARCH_TEXT:
		return text_matches(im, s, k);
	case IMAP_SEARCH_MODSEQ:
		return r->modseq >= k->number;
	case IMAP_SEARCH_EMAILID:
		return id_is(r->emailid, k->text);
	case IMAP_SEARCH_THREADID:
		return id_is(r->threadid, k->text);
	}
	return false;
}

static void message_over(struct imap *im, struct searching *s)
{
	if (s->has_body)
		mailbox_body_close(im->view.mbox, &s->body);
	s->has_body = s->unreadable = false;
	if (s->mime)
		arena_reset(s->arena);
	s->mime = NULL;
}

static void repair_done(void *arg, int result)
{
	struct imap *im = arg;

	(void)result;		/* reading it again tells */
	imap_enter(im);
	imap_resume(im);
	imap_leave(im);
}

/* True: ask the partner for the message first. */
static bool wants_repair(struct imap *im, struct searching *s)
{
	if (!s->unreadable || mailbox_gone(im->view.mbox))
		return false;
	if (s->repaired) {
		s->repaired = false;
		s->incomplete = true;
		return false;
	}
	return true;
}

/* False: to be looked at again after read-repair. */
static bool look_at(struct imap *im, struct searching *s)
{
	struct buf *out = imap_out(im);
	const struct mrec *r = s->walk.r;
	bool found;

	/* Gone: it matches nothing any more. */
	if (r->flags & MREC_EXPUNGED)
		return true;
	found = matches(im, s, s->q.root);
	if (wants_repair(im, s)) {
		message_over(im, s);
		s->repaired = im->waiting = true;
		imap_walk_again(&s->walk);
		session_repair(im->s, im->view.mbox, s->walk.rec, repair_done,
			       im);
		return false;
	}
	if (found) {
		s->any = true;
		if (r->modseq > s->modseq)
			s->modseq = r->modseq;
		buf_char(out, ' ');
		buf_u64(out, im->uid ? r->uid : s->walk.seq);
	}
	message_over(im, s);
	return true;
}

static bool search_step(struct imap *im)
{
	struct searching *s = im->cmd_data;
	/* Text costs far more than flags. */
	unsigned budget = s->q.needs_body ? IMAP_STEP_MESSAGES / 16 :
			  s->q.needs_header ? IMAP_STEP_MESSAGES :
					      IMAP_STEP_MESSAGES * 16;

	/* The line grows in the output, where nobody else writes while a
	 * command runs. */
	imap_walk_turn(&s->walk);
	while (imap_walk_next(&s->walk)) {
		if (!look_at(im, s))
			return true;
		if (imap_out_full(im) || --budget == 0)
			return false;
	}
	if (s->q.modseq && s->any)
		buf_printf(imap_out(im), " (MODSEQ %llu)",
			   (unsigned long long)s->modseq);
	buf_str(imap_out(im), "\r\n");
	if (s->incomplete)
		imap_reply(im, "NO", "UNAVAILABLE",
			   "Some messages can't be read here now.");
	else
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
	compile(im, s, s->q.root);
	s->arena = arena_new(4096);
	imap_walk_start(&s->walk, im, imap_all_msgs(im, im->arena));
	buf_str(imap_out(im), "* SEARCH");
	imap_run(im, search_step, s, search_fini);
}
