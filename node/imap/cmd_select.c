#include "node/imap/imap.h"

/*
 * SELECT, EXAMINE, CLOSE, UNSELECT (RFC 3501 6.3.1, 6.3.2, 6.4.2, RFC 3691),
 * with CONDSTORE and QRESYNC parameters (RFC 7162 3.2.5).
 */

static void put_unseen(struct imap *im)
{
	struct imap_walk w;

	/* RFC 3501 7.1: the first unseen message; all of them are counted, so
	 * the search ends at once when there is none. */
	if (mailbox_unseen(im->view.mbox) == 0)
		return;
	imap_walk_start(&w, im, imap_all_msgs(im, im->arena));
	while (imap_walk_next(&w)) {
		if (w.r->flags & MSG_SEEN)
			continue;
		imap_untagged(im, "OK [UNSEEN %u] First unseen.", w.seq);
		return;
	}
}

static void put_mailbox_data(struct imap *im)
{
	struct mailbox *m = im->view.mbox;
	struct id128 id = mailbox_id(m);
	char hex[33];

	imap_tell_keywords(im, true);
	imap_untagged(im, "%u EXISTS", view_count(&im->view));
	imap_untagged(im, "%u RECENT", im->told_recent);
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
	struct imap_msgs msgs;

	imap_vanished_earlier(im, sel->modseq,
			      sel->has_known_uids ? &sel->known_uids : NULL);
	f->items = IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_MODSEQ;
	f->has_changedsince = true;
	f->changedsince = since;
	if (!sel->has_known_uids)
		msgs = imap_all_msgs(im, im->arena);
	else if (!imap_set_msgs(im, (struct imap_set[]){sel->known_uids}, true,
				im->arena, &msgs))
		return;
	imap_fetch_start(im, f, imap_changed_since(im, since, msgs, im->arena),
			 select_end);
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
	if (had)
		imap_untagged(im, "OK [CLOSED] Previous mailbox closed.");
	m = imap_mailbox(im, sel.mailbox, "NONEXISTENT");
	if (!m)
		return;
	if (mailbox_open(m, &e) < 0) {
		session_log(im->s, LOG_ERR, "mailbox_open_failed", "%s",
			    e.op);
		imap_reply_no(im, &e, "UNAVAILABLE");
		return;
	}
	view_init(&im->view, m);
	mailbox_watch_add(m, &im->watch);
	im->examined = examine;
	if (sel.condstore || sel.qresync)
		im->condstore = true;
	imap_recent_select(im);
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
	/* NO means no effect (D4): it stays selected then. */
	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	imap_close_mailbox(im);
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
	w = im->examined ? NULL : imap_expunge_write(im, imap_all_msgs(im, im->arena));
	if (!w) {
		imap_close_mailbox(im);
		imap_reply(im, "OK", NULL, "Close completed.");
		return;
	}
	imap_write_start(im, w, close_done);
}
