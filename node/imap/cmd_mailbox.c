#include "node/imap/imap.h"
#include "proto/mailbox_name.h"

/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 3501 6.3.3-6.3.7,
 * RFC 6154 for USE). */

static void put_id_code(struct id128 id, char code[64])
{
	char hex[33];

	hex_of(id.b, sizeof(id.b), hex);
	snprintf(code, 64, "MAILBOXID (%s)", hex);
}

static void created(struct imap *im, struct write *w, int result,
		    const struct err *e)
{
	char code[64];

	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	put_id_code(w->result_mbox, code);
	imap_reply(im, "OK", code, "Create completed.");
}

void cmd_create(struct imap *im, const struct imap_command *cmd)
{
	struct imap_create c;
	struct imap_write *w;
	struct slice name;
	struct err e;

	if (imap_create_parse(cmd, im->arena, im->s->conf->separator, &c,
			      &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	name = imap_name_in(im, c.mailbox);
	if (mailbox_name_is_inbox(name) && slice_chr(name, '/') < 0) {
		imap_reply(im, "NO", "ALREADYEXISTS",
			   "INBOX exists always.");
		return;
	}
	if (mailbox_name_check(name, '/') < 0) {
		imap_reply(im, "NO", "CANNOT", "Invalid mailbox name.");
		return;
	}
	w = imap_write_new(im, WRITE_CREATE);
	w->w.name = arena_dup(w->arena, name);
	w->w.special_use = c.special_use;
	imap_write_start(im, w, created);
}

static void deleted(struct imap *im, struct write *w, int result,
		    const struct err *e)
{
	(void)w;
	if (result < 0)
		imap_reply_no(im, e, NULL);
	else
		imap_reply(im, "OK", NULL, "Delete completed.");
}

void cmd_delete(struct imap *im, const struct imap_command *cmd)
{
	struct slice client, name;
	struct imap_write *w;
	struct mailbox *m;
	struct err e;

	if (imap_one_mailbox(cmd, im->arena, &client, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	name = imap_name_in(im, client);
	if (slice_is(name, "INBOX")) {
		imap_reply(im, "NO", "CANNOT", "INBOX can't be deleted.");
		return;
	}
	m = imap_mailbox(im, client, "NONEXISTENT");
	if (!m)
		return;
	/* Deleting the selected mailbox closes it first, as 2.3 does. */
	if (im->view.mbox == m)
		imap_close_mailbox(im);
	w = imap_write_new(im, WRITE_DELETE);
	w->w.name = arena_dup(w->arena, name);
	imap_write_start(im, w, deleted);
}

static void renamed(struct imap *im, struct write *w, int result,
		    const struct err *e)
{
	(void)w;
	if (result < 0)
		imap_reply_no(im, e, NULL);
	else
		imap_reply(im, "OK", NULL, "Rename completed.");
}

void cmd_rename(struct imap *im, const struct imap_command *cmd)
{
	struct slice from, to;
	struct imap_write *w;
	struct err e;

	if (imap_two_mailboxes(cmd, im->arena, &from, &to, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	to = imap_name_in(im, to);
	if (mailbox_name_check(to, '/') < 0) {
		imap_reply(im, "NO", "CANNOT", "Invalid mailbox name.");
		return;
	}
	w = imap_write_new(im, WRITE_RENAME);
	w->w.name = arena_dup(w->arena, imap_name_in(im, from));
	w->w.new_name = arena_dup(w->arena, to);
	imap_write_start(im, w, renamed);
}

static void subscribed(struct imap *im, struct write *w, int result,
		       const struct err *e)
{
	if (result < 0)
		imap_reply_no(im, e, NULL);
	else
		imap_reply(im, "OK", NULL, "%s completed.",
			   w->on ? "Subscribe" : "Unsubscribe");
}

static void subscribe(struct imap *im, const struct imap_command *cmd, bool on)
{
	struct slice client, name;
	struct imap_write *w;
	struct err e;

	if (imap_one_mailbox(cmd, im->arena, &client, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	name = imap_name_in(im, client);
	/* RFC 3501 6.3.6 allows the check; 2.3 makes it. */
	if (on && !imap_mailbox(im, client, "NONEXISTENT"))
		return;
	if (account_subscribed(im->s->account, name) == on) {
		imap_reply(im, "OK", NULL, "%s completed.",
			   on ? "Subscribe" : "Unsubscribe");
		return;
	}
	w = imap_write_new(im, WRITE_SUBSCRIBE);
	w->w.name = arena_dup(w->arena, name);
	w->w.on = on;
	imap_write_start(im, w, subscribed);
}

void cmd_subscribe(struct imap *im, const struct imap_command *cmd)
{
	subscribe(im, cmd, true);
}

void cmd_unsubscribe(struct imap *im, const struct imap_command *cmd)
{
	subscribe(im, cmd, false);
}
