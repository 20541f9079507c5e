#include "node/imap/imap.h"

/*
 * SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2, RFC 3691),
 * with CONDSTORE and QRESYNC parameters (RFC 7162 3.2.5).
 */

static void put_unseen(struct imap *im)
{
	struct mailbox *m = im->view.mbox;

	/* RFC 3501 7.1: the first unseen message; all of them are counted, so
	 * the search ends at once when there is none. */
	if (mailbox_unseen(m) == 0)
		return;
	for (uint32_t i = view_lower(&im->view, 1); i < im->view.seen;
	     i = view_next(&im->view, i)) {
		if (!(mailbox_rec(m, i)->flags & MSG_SEEN)) {
			imap_untagged(im, "OK [UNSEEN %u] First unseen.",
				      view_seq(&im->view, i));
			return;
		}
	}
}

static void put_mailbox_data(struct imap *im)
{
	struct mailbox *m = im->view.mbox;
	struct id128 id = mailbox_id(m);
	char hex[33];

	imap_tell_keywords(im, true);
	imap_untagged(im, "%u EXISTS", view_count(&im->view));
	imap_untagged(im, "0 RECENT");
	put_unseen(im);
	imap_untagged(im, "OK [UIDVALIDITY %u] UIDs valid",
		      mailbox_uidvalidity(m));
	imap_untagged(im, "OK [UIDNEXT %llu] Predicted next UID",
		      (unsigned long long)mailbox_uidnext(m));
	imap_untagged(im, "OK [HIGHESTMODSEQ %llu] Highest",
		      (unsigned long long)im->view.told_modseq);
	hex_of(id.b, sizeof(id.b), hex);
	imap_untagged(im, "OK [MAILBOXID (%s)] Ok", hex);
}

static void select_end(struct imap *im, bool expunged)
{
	(void)expunged;
	imap_reply(im, "OK", im->examined ? "READ-ONLY" : "READ-WRITE", "%s",
		   im->examined ? "Examine completed." : "Select completed.");
}

/* Everything the client's cache lacks since its modseq. */
static void resync(struct imap *im, const struct imap_select *sel)
{
	struct imap_fetch *f = ARENA_NEW(im->arena, struct imap_fetch);
	uint64_t since = account_answer_modseq(im->s->account, sel->modseq);
	uint32_t *recs;
	size_t n;
	struct imap_set all;

	imap_vanished_earlier(im, since,
			      sel->has_known_uids ? &sel->known_uids : NULL);
	f->items = IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_MODSEQ;
	f->has_changedsince = true;
	f->changedsince = since;
	if (sel->has_known_uids) {
		all = sel->known_uids;
	} else {
		all.ranges = arena_alloc(im->arena, sizeof(*all.ranges));
		all.ranges[0] = (struct uid_range){1, UINT32_MAX};
		all.n = 1;
	}
	if (!imap_set_records(im, &all, true, im->arena, &recs, &n))
		return;
	imap_fetch_start(im, f, recs, n, select_end);
}

static void do_select(struct imap *im, const struct imap_command *cmd,
		      bool examine)
{
	struct imap_select sel;
	struct mailbox *m;
	struct err e;
	bool had = im->view.mbox != NULL;

	if (imap_select_parse(cmd, im->arena, &sel, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (sel.qresync && !im->qresync) {
		imap_reply(im, "BAD", NULL, "QRESYNC is not enabled.");
		return;
	}
	/* RFC 3501 6.3.1: a SELECT that fails leaves nothing selected. */
	imap_close_mailbox(im);
	m = imap_mailbox(im, sel.mailbox, "NONEXISTENT");
	if (!m)
		return;
	if (had && im->qresync)
		imap_untagged(im, "OK [CLOSED] Previous mailbox was closed");
	view_init(&im->view, m);
	mailbox_watch_add(m, &im->watch);
	im->examined = examine;
	if (sel.condstore || sel.qresync)
		im->condstore = true;
	put_mailbox_data(im);
	/* Told as part of the select: what follows is news. */
	im->state = IMAP_SELECTED;
	if (sel.qresync && sel.uidvalidity == mailbox_uidvalidity(m))
		resync(im, &sel);
	else
		select_end(im, false);
}

void cmd_select(struct imap *im, const struct imap_command *cmd)
{
	do_select(im, cmd, false);
}

void cmd_examine(struct imap *im, const struct imap_command *cmd)
{
	do_select(im, cmd, true);
}

void cmd_unselect(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	imap_close_mailbox(im);
	imap_reply(im, "OK", NULL, "Unselect completed.");
}

static void close_done(struct imap *im, struct write *w, int result,
		       const struct err *e)
{
	(void)w;
	imap_close_mailbox(im);
	if (result < 0)
		imap_reply_no(im, e, NULL);
	else
		imap_reply(im, "OK", NULL, "Close completed.");
}

/* CLOSE expunges without telling. */
void cmd_close(struct imap *im, const struct imap_command *cmd)
{
	struct imap_write *w;
	struct err e;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	w = im->examined ? NULL : imap_expunge_write(im, NULL);
	if (!w) {
		imap_close_mailbox(im);
		imap_reply(im, "OK", NULL, "Close completed.");
		return;
	}
	imap_write_start(im, w, close_done);
}
