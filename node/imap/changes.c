#include "node/imap/imap.h"

#include <stdlib.h>

/* What changed since a modseq, for clients that resynchronise (RFC 7162).
 * Work is proportional to the changes and the ranges asked for. */

static bool in_ranges(const struct uid_range *r, size_t n, uint32_t uid)
{
	const struct imap_set set = {(struct uid_range *)(uintptr_t)r, n};

	return imap_set_has(&set, uid);
}

struct changed {
	struct imap *im;
	struct imap_msgs among;
	uint32_t *uids;
	size_t n, cap;
};

static void add_changed(void *arg, uint32_t rec)
{
	struct changed *c = arg;
	struct view *v = &c->im->view;
	uint32_t uid = mailbox_rec(v->mbox, rec)->uid;

	if (rec >= v->seen || !in_ranges(c->among.ranges, c->among.n, uid))
		return;
	GROW(c->uids, c->n, c->cap);
	c->uids[c->n++] = uid;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct imap_msgs imap_changed_since(struct imap *im, uint64_t modseq,
				    struct imap_msgs among, struct arena *a)
{
	struct changed c = {.im = im, .among = among};
	struct imap_msgs out = {NULL, 0};

	mailbox_changed_since(im->view.mbox, modseq, add_changed, &c);
	if (c.n)
		qsort(c.uids, c.n, sizeof(*c.uids), by_number);
	out.ranges = arena_alloc(a, (c.n + 1) * sizeof(*out.ranges));
	for (size_t i = 0; i < c.n; i++) {
		struct uid_range *last = out.ranges + out.n - 1;

		if (out.n && last->last == c.uids[i])
			continue;
		if (out.n && last->last + 1 == c.uids[i])
			last->last++;
		else
			out.ranges[out.n++] =
				(struct uid_range){c.uids[i], c.uids[i]};
	}
	free(c.uids);
	return out;
}

/* ---- VANISHED (EARLIER) (RFC 7162 3.2.10) --------------------------------- */

struct earlier {
	struct imap *im;
	struct imap_set known;		/* resolved */
	size_t at;			/* ranges before are below what comes */
	struct uid_range last;		/* not written yet, 0 = none */
	bool any;
	struct uid_range *ranges;
	size_t n, cap;
};

static void write_last(struct earlier *v)
{
	struct buf *out = imap_out(v->im);

	if (v->last.first == 0)
		return;
	buf_str(out, v->any ? "," : "* VANISHED (EARLIER) ");
	v->any = true;
	buf_u64(out, v->last.first);
	if (v->last.first == v->last.last)
		return;
	buf_char(out, ':');
	buf_u64(out, v->last.last);
}

/* Rising. */
static void put_range(struct earlier *v, uint32_t first, uint32_t last)
{
	if (v->last.first && first <= v->last.last + 1) {
		if (last > v->last.last)
			v->last.last = last;
		return;
	}
	write_last(v);
	v->last = (struct uid_range){first, last};
}

/* A range that vanished, cut to what the client asked about. */
static void put_known(struct earlier *v, uint32_t first, uint32_t last)
{
	while (v->at < v->known.n && v->known.ranges[v->at].last < first)
		v->at++;
	for (size_t i = v->at; i < v->known.n; i++) {
		struct uid_range k = v->known.ranges[i];

		if (k.first > last)
			return;
		put_range(v, k.first > first ? k.first : first,
			  k.last < last ? k.last : last);
	}
}

static void keep_range(void *arg, struct uid_range r)
{
	struct earlier *v = arg;

	GROW(v->ranges, v->n, v->cap);
	v->ranges[v->n++] = r;
}

static int by_first(const void *a, const void *b)
{
	return by_number(&((const struct uid_range *)a)->first,
			 &((const struct uid_range *)b)->first);
}

/* The memory does not reach back far enough: every UID below end that does not
 * exist is reported (M4), the holes between the messages. */
static void put_holes(struct earlier *v, uint64_t end)
{
	struct imap_walk w;
	uint64_t next = 1;

	imap_walk_start(&w, v->im, imap_all_msgs(v->im, v->im->arena));
	while (imap_walk_next(&w)) {
		if (w.r->uid > next)
			put_known(v, (uint32_t)next, w.r->uid - 1);
		next = (uint64_t)w.r->uid + 1;
	}
	if (end > (uint64_t)UINT32_MAX + 1)
		end = (uint64_t)UINT32_MAX + 1;
	if (next < end)
		put_known(v, (uint32_t)next, (uint32_t)(end - 1));
}

void imap_vanished_earlier(struct imap *im, uint64_t modseq,
			   const struct imap_set *known)
{
	struct earlier v = {.im = im};
	struct mailbox *m = im->view.mbox;
	uint64_t since = account_answer_modseq(im->s->account, modseq);
	uint64_t end = mailbox_uidnext(m);

	v.known.n = known ? known->n : 1;
	v.known.ranges = arena_alloc(im->arena, v.known.n *
				     sizeof(*v.known.ranges));
	if (known)
		memcpy(v.known.ranges, known->ranges,
		       known->n * sizeof(*v.known.ranges));
	else
		v.known.ranges[0] = (struct uid_range){1, UINT32_MAX};
	imap_set_resolve(&v.known, UINT32_MAX);
	/* What is remembered is this lineage's; one the modseq is not of may
	 * have shown any number.  An epoch of 0 was never told to anybody. */
	if (since == 0 && modseq >> 36)
		end += IMAP_LOST_UIDS;
	if (since == 0 || mailbox_vanished_since(m, since, keep_range, &v) < 0) {
		put_holes(&v, end);
	} else if (v.n) {
		qsort(v.ranges, v.n, sizeof(*v.ranges), by_first);
		for (size_t i = 0; i < v.n; i++)
			put_known(&v, v.ranges[i].first, v.ranges[i].last);
	}
	free(v.ranges);
	write_last(&v);
	if (v.any)
		buf_str(imap_out(im), "\r\n");
}
