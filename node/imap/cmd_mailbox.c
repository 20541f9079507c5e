#include "node/imap/imap.h"

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
	if (slice_is(name, "INBOX")) {
		imap_reply(im, "NO", "ALREADYEXISTS",
			   "Mailbox already exists.");
		return;
	}
	if (!imap_name_check(im, name))
		return;
	w = imap_write_new(im, WRITE_CREATE);
	w->w.name = arena_dup(w->arena, name);
	w->w.special_use = c.special_use;
	imap_write_start(im, w, created);
}

static void deleted(struct imap *im, struct write *w, int result,
		    const struct err *e)
{
	(void)w;
	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	/* The own selected mailbox: closed, and said so. */
	if (im->view.mbox && mailbox_gone(im->view.mbox)) {
		imap_close_mailbox(im);
		imap_untagged(im, "OK [CLOSED] Selected mailbox deleted.");
	}
	imap_reply(im, "OK", NULL, "Delete completed.");
}

void cmd_delete(struct imap *im, const struct imap_command *cmd)
{
	struct slice client, name;
	struct imap_write *w;
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
	if (!imap_mailbox(im, client, "NONEXISTENT"))
		return;
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
	if (!imap_name_check(im, to))
		return;
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
