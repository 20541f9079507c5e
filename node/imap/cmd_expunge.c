#include "node/imap/imap.h"

/* EXPUNGE and UID EXPUNGE (RFC 3501 6.4.3, RFC 4315). */

struct imap_write *imap_expunge_write(struct imap *im, struct imap_msgs among)
{
	struct imap_write *w = imap_write_new(im, WRITE_EXPUNGE);

	w->w.mbox = mailbox_id(im->view.mbox);
	w->w.only_deleted = true;
	w->w.uids = imap_uid_ranges(im, among, MSG_DELETED, 0, w->arena,
				    &w->w.n_uids, NULL);
	if (w->w.n_uids)
		return w;
	imap_write_drop(w);
	return NULL;
}

static void expunged(struct imap *im, struct write *w, int result,
		     const struct err *e)
{
	char code[64];

	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	for (size_t i = 0; i < w->n_uids; i++)
		im->n.expunged += w->uids[i].last - w->uids[i].first + 1;
	/* Told first, so that the number covers only what was sent (M7). */
	imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	snprintf(code, sizeof(code), "HIGHESTMODSEQ %llu",
		 (unsigned long long)imap_told_modseq(im));
	imap_reply(im, "OK", im->condstore ? code : NULL,
		   "Expunge completed.");
}

void cmd_expunge(struct imap *im, const struct imap_command *cmd)
{
	struct imap_msgs msgs;
	struct imap_set set;
	struct imap_write *w;
	struct err e;

	if ((im->uid ? imap_one_set(cmd, im->arena, &set, &e)
		     : imap_no_args(cmd, &e)) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (!im->uid)
		msgs = imap_all_msgs(im, im->arena);
	else if (!imap_set_msgs(im, &set, true, im->arena, &msgs))
		return;
	w = imap_expunge_write(im, msgs);
	if (!w)
		imap_reply(im, "OK", NULL, "Expunge completed.");
	else
		imap_write_start(im, w, expunged);
}
