#include "storage/view.h"
#include "node/base/arena.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Live records below i, by the mailbox, plus those that are gone but not told.
 * What was expunged since is learnt from the VANISHED memory, so an idle view
 * costs nothing while others work.
 */

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void note_gone(void *arg, struct uid_range r)
{
	struct view *v = arg;
	uint32_t i = mailbox_lower(v->mbox, r.first);

	for (; i < v->seen && mailbox_rec(v->mbox, i)->uid <= r.last; i++) {
		GROW(v->untold, v->n_untold, v->cap_untold);
		v->untold[v->n_untold++] = i;
	}
}

/* The memory does not reach back (it was trimmed): all expunged records with
 * a later modseq. */
static void scan_gone(struct view *v)
{
	for (uint32_t i = 0; i < v->seen; i++) {
		const struct mrec *r = mailbox_rec(v->mbox, i);

		if (!(r->flags & MREC_EXPUNGED) || r->modseq <= v->known_modseq)
			continue;
		GROW(v->untold, v->n_untold, v->cap_untold);
		v->untold[v->n_untold++] = i;
	}
}

/* Brings `untold` up to what is published. */
static void learn(struct view *v)
{
	uint64_t now = mailbox_highestmodseq(v->mbox);
	size_t before = v->n_untold;

	if (now == v->known_modseq)
		return;
	if (mailbox_vanished_since(v->mbox, v->known_modseq, note_gone, v) < 0)
		scan_gone(v);
	v->known_modseq = now;
	if (v->n_untold > before && v->n_untold > 1)
		qsort(v->untold, v->n_untold, sizeof(*v->untold), by_number);
}

void view_init(struct view *v, struct mailbox *m)
{
	*v = (struct view){.mbox = m};
	mailbox_ref(m);
	v->generation = mailbox_generation(m);
	v->seen = mailbox_records(m);
	v->known_modseq = v->told_modseq = mailbox_highestmodseq(m);
}

void view_fini(struct view *v)
{
	if (v->mbox)
		mailbox_unref(v->mbox);
	free(v->untold);
	*v = (struct view){0};
}

/* Untold record numbers below rec. */
static uint32_t untold_below(const struct view *v, uint32_t rec)
{
	size_t lo = 0, hi = v->n_untold;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v->untold[mid] < rec)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

static bool is_untold(const struct view *v, uint32_t rec)
{
	uint32_t k = untold_below(v, rec);

	return k < v->n_untold && v->untold[k] == rec;
}

/* Messages of the view among the records [0, rec). */
static uint32_t count_below(const struct view *v, uint32_t rec)
{
	return rec - mailbox_expunged_below(v->mbox, rec) +
	       untold_below(v, rec);
}

static bool contains(const struct view *v, uint32_t rec)
{
	return rec < v->seen &&
	       (!(mailbox_rec(v->mbox, rec)->flags & MREC_EXPUNGED) ||
		is_untold(v, rec));
}

uint32_t view_count(struct view *v)
{
	learn(v);
	return count_below(v, v->seen);
}

/* The smallest rec with count_below(rec + 1) == seq + 1. */
static uint32_t find(const struct view *v, uint32_t seq)
{
	uint32_t lo = 0, hi = v->seen;

	if (v->n_untold == 0)
		return mailbox_select_live(v->mbox, seq);
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (count_below(v, mid + 1) > seq)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

int view_rec(struct view *v, uint32_t seq, uint32_t *rec_out)
{
	if (seq == 0 || seq > view_count(v))
		return -ENOENT;
	*rec_out = find(v, seq - 1);
	return 0;
}

uint32_t view_seq(struct view *v, uint32_t rec)
{
	learn(v);
	return contains(v, rec) ? count_below(v, rec) + 1 : 0;
}

int view_uid(struct view *v, uint32_t uid, uint32_t *rec_out)
{
	uint32_t rec = mailbox_lower(v->mbox, uid);

	learn(v);
	if (!contains(v, rec) || mailbox_rec(v->mbox, rec)->uid != uid)
		return -ENOENT;
	*rec_out = rec;
	return 0;
}

uint32_t view_last_uid(struct view *v)
{
	uint32_t rec;

	if (view_rec(v, view_count(v), &rec) < 0)
		return 0;
	return mailbox_rec(v->mbox, rec)->uid;
}

/* First record of the view at or after rec. */
static uint32_t at_or_after(struct view *v, uint32_t rec)
{
	uint32_t k;

	learn(v);
	if (rec >= v->seen)
		return v->seen;
	if (contains(v, rec))
		return rec;
	k = count_below(v, rec);
	return k < count_below(v, v->seen) ? find(v, k) : v->seen;
}

uint32_t view_lower(struct view *v, uint32_t uid)
{
	return at_or_after(v, mailbox_lower(v->mbox, uid));
}

uint32_t view_next(struct view *v, uint32_t rec)
{
	return at_or_after(v, rec + 1);
}

bool view_gone(struct view *v, uint32_t rec)
{
	learn(v);
	return is_untold(v, rec);
}

bool view_pending(struct view *v)
{
	learn(v);
	return v->n_untold || v->seen != mailbox_records(v->mbox) ||
	       v->told_modseq != mailbox_highestmodseq(v->mbox);
}

/* --- telling ------------------------------------------------------------------- */

static void tell_expunges(struct view *v, const struct view_ops *ops, void *arg)
{
	/* From the end: the numbers before stay as they are. */
	while (v->n_untold) {
		uint32_t rec = v->untold[v->n_untold - 1];
		uint32_t seq = count_below(v, rec) + 1;

		v->n_untold--;
		if (ops->expunged)
			ops->expunged(arg, seq,
				      mailbox_rec(v->mbox, rec)->uid);
	}
	free(v->untold);
	v->untold = NULL;
	v->cap_untold = 0;
}

struct changes {
	struct view *v;
	const struct view_ops *ops;
	void *arg;
	uint32_t known;		/* records told of before */
};

static void tell_change(void *arg, uint32_t rec)
{
	struct changes *c = arg;
	uint32_t seq;

	if (rec >= c->known)
		return;
	seq = view_seq(c->v, rec);
	if (seq && c->ops->changed)
		c->ops->changed(c->arg, seq, rec);
}

void view_sync(struct view *v, bool expunges, const struct view_ops *ops,
	       void *arg)
{
	struct changes c = {v, ops, arg, v->seen};
	uint64_t since = v->told_modseq;
	uint32_t n;

	learn(v);
	if (expunges)
		tell_expunges(v, ops, arg);
	n = mailbox_records(v->mbox);
	if (n != v->seen) {
		v->seen = n;
		if (ops->exists)
			ops->exists(arg, count_below(v, n));
	}
	v->told_modseq = v->known_modseq;
	v->generation = mailbox_generation(v->mbox);
	if (since != v->told_modseq)
		mailbox_changed_since(v->mbox, since, tell_change, &c);
}
