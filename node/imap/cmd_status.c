#include "node/imap/imap.h"

/* STATUS (RFC 3501 6.3.10, RFC 7162, RFC 8438, RFC 8474), also for
 * LIST RETURN (STATUS …) (RFC 5819). */

void imap_put_status(struct imap *im, struct mailbox *m, uint32_t items)
{
	struct buf *out = imap_out(im);
	struct id128 id = mailbox_id(m);
	char hex[33];
	const struct {
		uint32_t item;
		const char *name;
		uint64_t value;
	} rows[] = {
		{IMAP_STATUS_MESSAGES, "MESSAGES", mailbox_messages(m)},
		{IMAP_STATUS_RECENT, "RECENT",
		 items & IMAP_STATUS_RECENT ? imap_recent_status(im, m) : 0},
		{IMAP_STATUS_UIDNEXT, "UIDNEXT", mailbox_uidnext(m)},
		{IMAP_STATUS_UIDVALIDITY, "UIDVALIDITY", mailbox_uidvalidity(m)},
		{IMAP_STATUS_UNSEEN, "UNSEEN", mailbox_unseen(m)},
		{IMAP_STATUS_SIZE, "SIZE", mailbox_size(m)},
		/* M7: of the selected one no more than was told. */
		{IMAP_STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ",
		 m == im->view.mbox ? imap_told_modseq(im) :
		 mailbox_highestmodseq(m)},
	};
	bool first = true;

	buf_str(out, "* STATUS ");
	imap_put_name(im, out, slice_str(mailbox_name(m)));
	buf_str(out, " (");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!(items & rows[i].item))
			continue;
		buf_printf(out, "%s%s %llu", first ? "" : " ", rows[i].name,
			   (unsigned long long)rows[i].value);
		first = false;
	}
	if (items & IMAP_STATUS_MAILBOXID) {
		hex_of(id.b, sizeof(id.b), hex);
		buf_printf(out, "%sMAILBOXID (%s)", first ? "" : " ", hex);
	}
	buf_str(out, ")\r\n");
}

void cmd_status(struct imap *im, const struct imap_command *cmd)
{
	struct imap_status st;
	struct mailbox *m;
	struct err e;

	if (imap_status_parse(cmd, im->arena, &st, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	m = imap_mailbox(im, st.mailbox, "NONEXISTENT");
	if (!m)
		return;
	if (st.items & IMAP_STATUS_HIGHESTMODSEQ)
		imap_condstore_on(im);
	/* Of the selected mailbox nothing may be counted that was not told
	 * (M7). */
	if (im->state == IMAP_SELECTED && im->view.mbox == m)
		imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	imap_put_status(im, m, st.items);
	imap_reply(im, "OK", NULL, "Status completed.");
}
