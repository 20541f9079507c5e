#include "node/imap/imap.h"
#include <stdlib.h>

/* What the client is told about the selected mailbox. */

void imap_put_rec_flags(struct buf *to, struct mailbox *m, uint32_t rec)
{
	const struct mrec *r = mailbox_rec(m, rec);
	size_t n = mailbox_keywords(m), k = 0;
	struct slice words[64], *w = words;

	if (n > ARRAY_LEN(words))
		w = xmalloc(n * sizeof(*w));
	for (size_t i = 0; i < n; i++)
		if (mailbox_has_keyword(m, rec, i))
			w[k++] = slice_str(mailbox_keyword(m, i));
	imap_put_flags(to, r->flags & MSG_FLAGS_MASK, false, w, k);
	if (w != words)
		free(w);
}

void imap_tell_keywords(struct imap *im, bool always)
{
	struct mailbox *m = im->view.mbox;
	size_t n = mailbox_keywords(m);
	struct buf *out = imap_out(im);

	if (!always && n == im->told_keywords)
		return;
	buf_str(out, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft");
	for (size_t i = 0; i < n; i++) {
		buf_char(out, ' ');
		buf_str(out, mailbox_keyword(m, i));
	}
	buf_str(out, ")\r\n* OK [PERMANENTFLAGS (");
	if (!im->examined) {
		buf_str(out, "\\Answered \\Flagged \\Deleted \\Seen \\Draft");
		for (size_t i = 0; i < n; i++) {
			buf_char(out, ' ');
			buf_str(out, mailbox_keyword(m, i));
		}
		buf_str(out, " \\*");
	}
	buf_str(out, im->examined ? ")] Read-only mailbox.\r\n" :
		")] Flags permitted.\r\n");
	im->told_keywords = n;
}

struct teller {
	struct imap *im;
	struct imap_set_writer vanished;
	bool any_vanished;
};

/* VANISHED goes out before anything else once all ranges are known. */
static void end_vanished(struct teller *t)
{
	if (!t->any_vanished)
		return;
	imap_set_writer_end(&t->vanished);
	buf_str(imap_out(t->im), "\r\n");
	t->any_vanished = false;
}

static void tell_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct teller *t = arg;
	struct buf *out = imap_out(t->im);

	if (!t->im->qresync) {
		buf_str(out, "* ");
		buf_u64(out, seq);
		buf_str(out, " EXPUNGE\r\n");
		return;
	}
	if (!t->any_vanished) {
		buf_str(out, "* VANISHED ");
		t->vanished = (struct imap_set_writer){.to = out};
		t->any_vanished = true;
	}
	imap_set_writer_add(&t->vanished, uid);
}

static void tell_exists(void *arg, uint32_t count)
{
	struct teller *t = arg;

	end_vanished(t);
	imap_untagged(t->im, "%u EXISTS", count);
}

static void tell_changed(void *arg, uint32_t seq, uint32_t rec)
{
	struct teller *t = arg;
	struct imap *im = t->im;
	struct mailbox *m = im->view.mbox;
	const struct mrec *r = mailbox_rec(m, rec);
	struct buf *out = imap_out(im);
	bool silent = im->silent_modseq && r->modseq == im->silent_modseq;

	end_vanished(t);
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
		imap_put_rec_flags(out, m, rec);
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
	view_sync(&im->view, expunges, &ops, &t);
	end_vanished(&t);
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
	if (im->state == IMAP_SELECTED)
		im->state = IMAP_AUTHENTICATED;
}

/* RFC 7162 3.1: the first CONDSTORE-enabling command in the session. */
void imap_condstore_on(struct imap *im)
{
	if (im->condstore)
		return;
	im->condstore = true;
	if (im->state == IMAP_SELECTED && im->view.mbox)
		imap_untagged(im, "OK [HIGHESTMODSEQ %llu] Highest",
			      (unsigned long long)im->view.told_modseq);
}
