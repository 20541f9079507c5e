#include "node/imap/imap.h"

#include <stdlib.h>

/* What the client is told about the selected mailbox. */

#define SYSTEM_FLAGS "\\Answered \\Flagged \\Deleted \\Seen \\Draft"

/* Bits of a record's own word; wider tables have more behind it. */
#define WORD_BITS 64u

void imap_put_rec_flags(struct imap *im, uint32_t rec, const struct mrec *r)
{
	struct mailbox *m = im->view.mbox;
	bool recent = im->n_recent && imap_recent_is(im, r->uid);
	size_t n = mailbox_keywords(m), k = 0;
	struct slice words[WORD_BITS], *w = words;
	const char *text;

	if (n > ARRAY_LEN(words))
		w = xmalloc(n * sizeof(*w));
	for (uint64_t bits = r->keywords; bits; bits &= bits - 1) {
		text = mailbox_keyword(m, (size_t)__builtin_ctzll(bits));
		if (text)
			w[k++] = slice_str(text);
	}
	for (size_t i = WORD_BITS; i < n; i++)
		if (mailbox_has_keyword(m, rec, i))
			w[k++] = slice_str(mailbox_keyword(m, i));
	imap_put_flags(imap_out(im), r->flags & MSG_FLAGS_MASK, recent, w, k);
	if (w != words)
		free(w);
}

static void put_keywords(struct buf *out, const struct mailbox *m)
{
	for (size_t i = 0; i < mailbox_keywords(m); i++) {
		if (!mailbox_keyword(m, i))
			continue;
		buf_char(out, ' ');
		buf_str(out, mailbox_keyword(m, i));
	}
}

void imap_tell_keywords(struct imap *im, bool always)
{
	struct mailbox *m = im->view.mbox;
	size_t n = mailbox_keywords(m);
	struct buf *out = imap_out(im);

	if (!always && n == im->told_keywords)
		return;
	buf_str(out, "* FLAGS (" SYSTEM_FLAGS);
	put_keywords(out, m);
	buf_str(out, ")\r\n* OK [PERMANENTFLAGS (");
	if (!im->examined) {
		buf_str(out, SYSTEM_FLAGS);
		put_keywords(out, m);
		buf_str(out, " \\*");
	}
	buf_str(out, im->examined ? ")] Read-only mailbox.\r\n" :
		")] Flags permitted.\r\n");
	im->told_keywords = n;
}

struct teller {
	struct imap *im;
	uint32_t *vanished;		/* falling */
	size_t n_vanished, cap_vanished;
};

/* With QRESYNC one line names all (RFC 7162 3.2.10). */
static void end_vanished(struct teller *t)
{
	struct imap_set_writer set = {.to = imap_out(t->im)};

	if (t->n_vanished == 0)
		return;
	buf_str(set.to, "* VANISHED ");
	while (t->n_vanished)
		imap_set_writer_add(&set, t->vanished[--t->n_vanished]);
	imap_set_writer_end(&set);
	buf_str(set.to, "\r\n");
}

static void tell_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct teller *t = arg;
	struct buf *out = imap_out(t->im);

	if (t->im->qresync) {
		GROW(t->vanished, t->n_vanished, t->cap_vanished);
		t->vanished[t->n_vanished++] = uid;
		return;
	}
	buf_str(out, "* ");
	buf_u64(out, seq);
	buf_str(out, " EXPUNGE\r\n");
}

/* RECENT may have fallen by expunges too. */
static void tell_recent(struct imap *im)
{
	uint32_t n = im->n_recent ? imap_recent_count(im) : 0;

	if (n == im->told_recent)
		return;
	im->told_recent = n;
	imap_untagged(im, "%u RECENT", n);
}

static void tell_exists(void *arg, uint32_t count)
{
	struct teller *t = arg;

	end_vanished(t);
	imap_untagged(t->im, "%u EXISTS", count);
	imap_recent_added(t->im);
}

static void tell_changed(void *arg, uint32_t seq, uint32_t rec)
{
	struct teller *t = arg;
	struct imap *im = t->im;
	const struct mrec *r = mailbox_rec(im->view.mbox, rec);
	struct buf *out = imap_out(im);
	bool silent = im->silent_modseq && r->modseq == im->silent_modseq;

	end_vanished(t);
	if (im->answered_modseq && r->modseq == im->answered_modseq)
		return;
	if (silent && !im->condstore && !im->silent_with_modseq)
		return;
	imap_tell_keywords(im, false);
	buf_str(out, "* ");
	buf_u64(out, seq);
	buf_str(out, " FETCH (");
	/* RFC 3501: UID in replies to UID STORE; RFC 7162 3.2.4 with QRESYNC. */
	if (im->qresync || im->uid) {
		buf_str(out, "UID ");
		buf_u64(out, r->uid);
		buf_char(out, ' ');
	}
	if (im->condstore || im->silent_with_modseq) {
		buf_str(out, "MODSEQ (");
		buf_u64(out, r->modseq);
		buf_str(out, silent ? ")" : ") ");
	}
	if (!silent) {
		buf_str(out, "FLAGS ");
		imap_put_rec_flags(im, rec, r);
	}
	buf_str(out, ")\r\n");
}

void imap_tell(struct imap *im, bool expunges)
{
	static const struct view_ops ops = {
		.expunged = tell_expunged, .exists = tell_exists,
		.changed = tell_changed,
	};
	struct teller t = {.im = im};

	if (mailbox_gone(im->view.mbox)) {
		/* RFC 2180 3.4: the session may be ended. */
		imap_bye(im, NULL, "The selected mailbox was deleted.",
			 SESSION_KICKED);
		return;
	}
	if (!view_pending(&im->view))
		return;
	view_sync(&im->view, expunges, &ops, &t);
	end_vanished(&t);
	free(t.vanished);
	tell_recent(im);
}

void imap_watch_changed(struct mailbox_watch *w)
{
	struct imap *im = CONTAINER_OF(w, struct imap, watch);

	im->watch_calls++;
	if (im->idling)
		imap_schedule(im);
}

void imap_close_mailbox(struct imap *im)
{
	if (!im->view.mbox)
		return;
	mailbox_watch_remove(&im->watch);
	view_fini(&im->view);
	im->view = (struct view){0};
	im->examined = false;
	free(im->recent);
	im->recent = NULL;
	im->n_recent = im->cap_recent = 0;
	if (im->state == IMAP_SELECTED)
		im->state = IMAP_AUTHENTICATED;
}

/*
 * M7: up to which modseq the client knows everything.  Expunges that had to
 * wait (S1) hold it back.
 */
uint64_t imap_told_modseq(struct imap *im)
{
	struct view *v = &im->view;
	uint64_t told = v->told_modseq;

	for (size_t i = 0; i < v->n_untold; i++) {
		uint64_t gone = mailbox_rec(v->mbox, v->untold[i])->modseq;

		if (gone && gone - 1 < told)
			told = gone - 1;
	}
	return told;
}

/* RFC 7162 3.1: the first CONDSTORE-enabling command in the session. */
void imap_condstore_on(struct imap *im)
{
	if (im->condstore)
		return;
	im->condstore = true;
	if (im->state == IMAP_SELECTED && im->view.mbox)
		imap_untagged(im, "OK [HIGHESTMODSEQ %llu] Highest",
			      (unsigned long long)imap_told_modseq(im));
}
