#include "node/imap/imap.h"

/* FETCH and UID FETCH: arguments, \Seen, and the answers of fetch.c. */

struct reading {
	struct imap_fetch f;
	uint32_t *recs;
	size_t n;
};

static void fetch_end(struct imap *im, bool expunged)
{
	if (expunged)
		imap_reply(im, "NO", "EXPUNGEISSUED",
			   "Some of the requested messages no longer exist.");
	else
		imap_reply(im, "OK", NULL, "Fetch completed.");
}

static void begin(struct imap *im, struct reading *r)
{
	imap_fetch_start(im, &r->f, r->recs, r->n, fetch_end);
}

/* \Seen is set before the answers, so that they show it. */
static void seen(struct imap *im, struct write *w, int result,
		 const struct err *e)
{
	struct reading *r = im->cmd_data;

	(void)w;
	im->cmd_data = NULL;
	/* Without \Seen the messages can still be read; a session that may
	 * not write now says so once. */
	if (result < 0)
		imap_untagged(im, "NO %s", e->client[0] ? e->client :
			      err_client_text(result));
	imap_tell(im, false);
	if (im->state != IMAP_ENDED)
		begin(im, r);
}

static struct imap_write *seen_write(struct imap *im, const struct reading *r)
{
	struct view *v = &im->view;
	uint32_t *unseen = arena_alloc(im->arena, (r->n + 1) * sizeof(*unseen));
	struct imap_write *w;
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (!(mailbox_rec(v->mbox, r->recs[i])->flags & MSG_SEEN))
			unseen[n++] = r->recs[i];
	if (n == 0)
		return NULL;
	w = imap_write_new(im, WRITE_FLAGS);
	w->w.mbox = mailbox_id(v->mbox);
	w->w.flags_mode = FLAGS_ADD;
	w->w.flags = MSG_SEEN;
	w->w.uids = imap_uid_ranges(im, unseen, n, w->arena, &w->w.n_uids);
	if (w->w.n_uids)
		return w;
	imap_write_drop(w);
	return NULL;
}

void cmd_fetch(struct imap *im, const struct imap_command *cmd)
{
	struct reading *r = ARENA_NEW(im->arena, struct reading);
	struct imap_write *w = NULL;
	struct err e;

	if (imap_fetch_parse(cmd, im->arena, &r->f, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (r->f.vanished && !im->qresync) {
		imap_reply(im, "BAD", NULL, "QRESYNC is not enabled.");
		return;
	}
	if (im->uid)
		r->f.items |= IMAP_FETCH_UID;
	if (r->f.has_changedsince) {
		r->f.items |= IMAP_FETCH_MODSEQ;
		r->f.changedsince = account_answer_modseq(im->s->account,
							  r->f.changedsince);
	}
	if (r->f.items & IMAP_FETCH_MODSEQ)
		imap_condstore_on(im);
	if (!imap_set_records(im, &r->f.set, im->uid, im->arena, &r->recs,
			      &r->n))
		return;
	if (r->f.vanished)
		imap_vanished_earlier(im, r->f.changedsince, &r->f.set);
	if (imap_fetch_marks_seen(&r->f) && !im->examined)
		w = seen_write(im, r);
	if (!w) {
		begin(im, r);
		return;
	}
	im->cmd_data = r;
	imap_write_start(im, w, seen);
}
