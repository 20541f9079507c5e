#include "node/imap/imap.h"

#include <stdlib.h>

/* Sequence and UID sets against the session's view. */

/* Records that are skipped one by one before the rank table is asked. */
#define WALK_SKIP_MAX 32u

static struct uid_range seqs_to_uids(struct view *v, struct uid_range r)
{
	uint32_t first, last;

	if (view_rec(v, r.first, &first) < 0 || view_rec(v, r.last, &last) < 0)
		return (struct uid_range){1, 0};
	return (struct uid_range){mailbox_rec(v->mbox, first)->uid,
				  mailbox_rec(v->mbox, last)->uid};
}

bool imap_set_msgs(struct imap *im, struct imap_set *set, bool uid,
		   struct arena *a, struct imap_msgs *out)
{
	struct view *v = &im->view;
	uint32_t last = uid ? view_last_uid(v) : view_count(v);

	imap_set_resolve(set, last);
	if (!uid && set->n > 0 && set->ranges[set->n - 1].last > last) {
		imap_reply(im, "BAD", NULL, "Invalid messageset");
		return false;
	}
	out->ranges = arena_alloc(a, (set->n + 1) * sizeof(*out->ranges));
	out->n = 0;
	for (size_t i = 0; i < set->n; i++) {
		struct uid_range r = set->ranges[i];

		if (r.last > last)
			r.last = last;
		if (!uid)
			r = seqs_to_uids(v, r);
		if (r.first <= r.last)
			out->ranges[out->n++] = r;
	}
	return true;
}

struct imap_msgs imap_all_msgs(struct imap *im, struct arena *a)
{
	struct imap_msgs all = {arena_alloc(a, sizeof(*all.ranges)), 0};
	uint32_t last = view_last_uid(&im->view);

	if (last)
		all.ranges[all.n++] = (struct uid_range){1, last};
	return all;
}

/* ---- walking -------------------------------------------------------------- */

void imap_walk_start(struct imap_walk *w, struct imap *im,
		     struct imap_msgs msgs)
{
	*w = (struct imap_walk){.v = &im->view, .msgs = msgs, .from = 1};
}

void imap_walk_turn(struct imap_walk *w)
{
	w->placed = false;
}

void imap_walk_again(struct imap_walk *w)
{
	if (w->from)
		w->from--;
	else
		w->from = UINT32_MAX;
	w->placed = false;
}

/* By the rank table. */
static void place(struct imap_walk *w, uint32_t uid)
{
	w->rec = view_lower(w->v, uid);
	w->seq = w->rec < w->v->seen ? view_seq(w->v, w->rec) : 0;
	w->placed = true;
}

/* The next record of the view.  Within a turn nothing is published, so that
 * numbers can be counted on. */
static void step(struct imap_walk *w)
{
	struct view *v = w->v;
	uint32_t rec = w->rec + 1;

	for (unsigned i = 0; rec < v->seen; rec++, i++) {
		const struct mrec *r = mailbox_rec(v->mbox, rec);

		if (!(r->flags & MREC_EXPUNGED) ||
		    (v->n_untold && view_gone(v, rec)))
			break;
		if (i == WALK_SKIP_MAX) {
			rec = view_next(v, rec);
			break;
		}
	}
	w->rec = rec;
	w->seq++;
}

bool imap_walk_next(struct imap_walk *w)
{
	/* from 0: the highest UID of all was the last one. */
	if (w->from == 0)
		return false;
	if (w->placed)
		step(w);
	else
		place(w, w->from);
	while (w->at < w->msgs.n && w->rec < w->v->seen) {
		struct uid_range range = w->msgs.ranges[w->at];

		w->r = mailbox_rec(w->v->mbox, w->rec);
		if (w->r->uid > range.last) {
			w->at++;
		} else if (w->r->uid < range.first) {
			place(w, range.first);
		} else {
			w->from = w->r->uid + 1;
			return true;
		}
	}
	return false;
}

struct uid_range *imap_uid_ranges(struct imap *im, struct imap_msgs msgs,
				  uint32_t with, uint32_t without,
				  struct arena *a, size_t *n_out, size_t *gone)
{
	struct uid_range *out = NULL, *kept;
	struct imap_walk w;
	size_t n = 0, cap = 0, lost = 0;

	imap_walk_start(&w, im, msgs);
	while (imap_walk_next(&w)) {
		uint32_t uid = w.r->uid;

		if ((w.r->flags & with) != with || (w.r->flags & without))
			continue;
		if (w.r->flags & MREC_EXPUNGED) {
			lost++;
		} else if (n && out[n - 1].last + 1 == uid) {
			out[n - 1].last = uid;
		} else {
			GROW(out, n, cap);
			out[n++] = (struct uid_range){uid, uid};
		}
	}
	kept = arena_alloc(a, (n ? n : 1) * sizeof(*kept));
	if (n)
		memcpy(kept, out, n * sizeof(*kept));
	free(out);
	*n_out = n;
	if (gone)
		*gone = lost;
	return kept;
}
