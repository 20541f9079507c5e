#include "node/imap/imap.h"

/* EXPUNGE and UID EXPUNGE (RFC 3501 6.4.3, RFC 4315). */

struct imap_write *imap_expunge_write(struct imap *im, struct imap_set *only)
{
	struct view *v = &im->view;
	struct imap_write *w;
	uint32_t *recs;
	size_t n = 0;

	if (only) {
		size_t all;

		if (!imap_set_records(im, only, true, im->arena, &recs, &all))
			return NULL;
		for (size_t i = 0; i < all; i++)
			if (mailbox_rec(v->mbox, recs[i])->flags & MSG_DELETED)
				recs[n++] = recs[i];
	} else {
		recs = arena_alloc(im->arena, (view_count(v) + 1) *
				   sizeof(*recs));
		for (uint32_t i = view_lower(v, 1); i < v->seen;
		     i = view_next(v, i))
			if (mailbox_rec(v->mbox, i)->flags & MSG_DELETED)
				recs[n++] = i;
	}
	if (n == 0)
		return NULL;
	w = imap_write_new(im, WRITE_EXPUNGE);
	w->w.mbox = mailbox_id(v->mbox);
	w->w.only_deleted = true;
	w->w.uids = imap_uid_ranges(im, recs, n, w->arena, &w->w.n_uids);
	if (w->w.n_uids == 0) {
		imap_write_drop(w);
		return NULL;
	}
	im->n.expunged += n;
	return w;
}

static void expunged(struct imap *im, struct write *w, int result,
		     const struct err *e)
{
	char code[64];

	(void)w;
	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	/* Told first, so that the number covers only what was sent (M7). */
	imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	snprintf(code, sizeof(code), "HIGHESTMODSEQ %llu",
		 (unsigned long long)im->view.told_modseq);
	imap_reply(im, "OK", im->condstore ? code : NULL,
		   "Expunge completed.");
}

void cmd_expunge(struct imap *im, const struct imap_command *cmd)
{
	struct imap_set set;
	struct imap_write *w;
	struct err e;

	if ((im->uid ? imap_one_set(cmd, im->arena, &set, &e)
		     : imap_no_args(cmd, &e)) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	w = imap_expunge_write(im, im->uid ? &set : NULL);
	if (!w)
		imap_reply(im, "OK", NULL, "Expunge completed.");
	else
		imap_write_start(im, w, expunged);
}
