#include "node/imap/imap.h"

/* COPY and MOVE (RFC 3501 6.4.7, RFC 6851), with COPYUID (RFC 4315). */

static void put_copyuid(struct imap *im, const struct write *w, struct buf *to)
{
	(void)im;
	buf_printf(to, "COPYUID %u ", w->uidvalidity);
	imap_put_set(to, w->src_uids, w->n_src_uids);
	buf_char(to, ' ');
	imap_put_set(to, w->dst_uids, w->n_dst_uids);
}

static void copied(struct imap *im, struct write *w, int result,
		   const struct err *e)
{
	bool move = w->kind == WRITE_MOVE;
	struct buf *out = imap_out(im);
	char code[64];

	if (result < 0) {
		imap_reply_no(im, e, result == E_NOTFOUND ? "TRYCREATE" : NULL);
		return;
	}
	if (w->n_dst_uids == 0) {
		imap_reply(im, "OK", NULL, "%s completed.",
			   move ? "Move" : "Copy");
		return;
	}
	/* The code may be longer than a reply line is built for: both forms
	 * are written here.  RFC 6851 4.3: for MOVE it comes untagged, before
	 * the expunges. */
	if (move) {
		buf_str(out, "* OK [");
		put_copyuid(im, w, out);
		buf_str(out, "] Moved UIDs.\r\n");
	}
	imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	if (move) {
		snprintf(code, sizeof(code), "HIGHESTMODSEQ %llu",
			 (unsigned long long)imap_told_modseq(im));
		imap_reply(im, "OK", im->condstore ? code : NULL,
			   "Move completed.");
		return;
	}
	buf_printf(out, "%s OK [", im->tag);
	put_copyuid(im, w, out);
	buf_str(out, "] Copy completed.\r\n");
	imap_reply_sent(im);
}

static void copy(struct imap *im, const struct imap_command *cmd,
		 enum write_kind kind)
{
	struct imap_set set;
	struct slice name;
	struct mailbox *target;
	struct imap_write *w;
	struct imap_msgs msgs;
	size_t gone;
	struct err e;

	if (imap_set_and_mailbox(cmd, im->arena, &set, &name, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (!imap_set_msgs(im, &set, im->uid, im->arena, &msgs))
		return;
	target = imap_mailbox(im, name, "TRYCREATE");
	if (!target)
		return;
	w = imap_write_new(im, kind);
	w->w.mbox = mailbox_id(im->view.mbox);
	w->w.target = mailbox_id(target);
	w->w.uids = imap_uid_ranges(im, msgs, 0, 0, w->arena, &w->w.n_uids,
				    &gone);
	/* RFC 2180 4.4.1: all or nothing; the client asks again when it knows
	 * what is there. */
	if (gone || w->w.n_uids == 0) {
		imap_write_drop(w);
		imap_reply(im, gone ? "NO" : "OK",
			   gone ? "EXPUNGEISSUED" : NULL, "%s", gone ?
			   "Some of the requested messages no longer exist." :
			   "No messages found.");
		return;
	}
	imap_write_start(im, w, copied);
}

void cmd_copy(struct imap *im, const struct imap_command *cmd)
{
	copy(im, cmd, WRITE_COPY);
}

void cmd_move(struct imap *im, const struct imap_command *cmd)
{
	copy(im, cmd, WRITE_MOVE);
}
