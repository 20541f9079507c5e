#include "node/imap/imap.h"

/* FETCH and UID FETCH: arguments, \Seen, and the answers of fetch.c. */

struct reading {
	struct imap_fetch f;
	struct imap_msgs msgs;
};

static void fetch_end(struct imap *im, bool expunged)
{
	if (expunged) {
		im->answered_modseq = 0;
		imap_reply(im, "NO", "EXPUNGEISSUED",
			   "Some of the requested messages no longer exist.");
	} else {
		imap_reply(im, "OK", NULL, "Fetch completed.");
	}
}

static void begin(struct imap *im, struct reading *r)
{
	imap_fetch_start(im, &r->f, r->msgs, fetch_end);
}

/*
 * \Seen is set before the answers, and they show the new flags: one FETCH for
 * a message, as clients (curl) expect.
 */
static void seen(struct imap *im, struct write *w, int result,
		 const struct err *e)
{
	struct reading *r = im->cmd_data;

	im->cmd_data = NULL;
	/* Without \Seen the messages can still be read; a session that may
	 * not write now says so once. */
	if (result < 0)
		imap_untagged(im, "NO %s", e->client[0] ? e->client :
			      err_client_text(result));
	else
		im->answered_modseq = w->modseq;
	begin(im, r);
}

static struct imap_write *seen_write(struct imap *im, const struct reading *r)
{
	struct imap_write *w = imap_write_new(im, WRITE_FLAGS);

	w->w.mbox = mailbox_id(im->view.mbox);
	w->w.flags_mode = FLAGS_ADD;
	w->w.flags = MSG_SEEN;
	w->w.uids = imap_uid_ranges(im, r->msgs, 0, MSG_SEEN, w->arena,
				    &w->w.n_uids, NULL);
	if (w->w.n_uids)
		return w;
	imap_write_drop(w);
	return NULL;
}

void cmd_fetch(struct imap *im, const struct imap_command *cmd)
{
	struct reading *r = ARENA_NEW(im->arena, struct reading);
	struct imap_fetch *f = &r->f;
	struct imap_write *w = NULL;
	uint64_t told;
	struct err e;

	if (imap_fetch_parse(cmd, im->arena, f, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (f->vanished && !im->qresync) {
		imap_reply(im, "BAD", NULL, "QRESYNC is not enabled.");
		return;
	}
	if (im->uid)
		f->items |= IMAP_FETCH_UID;
	told = f->changedsince;
	if (f->has_changedsince) {
		f->items |= IMAP_FETCH_MODSEQ;
		f->changedsince = account_answer_modseq(im->s->account,
							f->changedsince);
	}
	if (f->items & IMAP_FETCH_MODSEQ)
		imap_condstore_on(im);
	/* First: here "*" means all the client may know, not the last one that
	 * is left. */
	if (f->vanished)
		imap_vanished_earlier(im, told, &f->set);
	if (!imap_set_msgs(im, &f->set, im->uid, im->arena, &r->msgs))
		return;
	if (f->has_changedsince)
		r->msgs = imap_changed_since(im, f->changedsince, r->msgs,
					     im->arena);
	if (imap_fetch_marks_seen(f) && !im->examined)
		w = seen_write(im, r);
	if (!w) {
		begin(im, r);
		return;
	}
	im->cmd_data = r;
	imap_write_start(im, w, seen);
}
