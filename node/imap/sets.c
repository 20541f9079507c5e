#include "node/imap/imap.h"

/* Sequence and UID sets against the session's view. */

/* Records of one range of UIDs. */
static void add_uids(struct view *v, struct uid_range r, uint32_t *recs,
		     size_t *n)
{
	for (uint32_t rec = view_lower(v, r.first); rec < v->seen;
	     rec = view_next(v, rec)) {
		if (mailbox_rec(v->mbox, rec)->uid > r.last)
			return;
		recs[(*n)++] = rec;
	}
}

static void add_seqs(struct view *v, struct uid_range r, uint32_t *recs,
		     size_t *n)
{
	uint32_t rec;

	if (view_rec(v, r.first, &rec) < 0)
		return;
	for (uint32_t seq = r.first; seq <= r.last && rec < v->seen;
	     seq++, rec = view_next(v, rec))
		recs[(*n)++] = rec;
}

bool imap_set_records(struct imap *im, struct imap_set *set, bool uid,
		      struct arena *a, uint32_t **recs_out, size_t *n_out)
{
	struct view *v = &im->view;
	uint32_t count = view_count(v), last = view_last_uid(v);
	uint64_t want;
	uint32_t *recs;
	size_t n = 0;

	imap_set_resolve(set, uid ? last : count);
	if (!uid && set->n > 0 && set->ranges[set->n - 1].last > count) {
		imap_reply(im, "BAD", NULL, "Invalid messageset");
		return false;
	}
	want = imap_set_count(set);
	if (want > count)
		want = count;
	recs = arena_alloc(a, (want ? want : 1) * sizeof(*recs));
	for (size_t i = 0; i < set->n && n < want; i++) {
		struct uid_range r = set->ranges[i];

		if (r.last > (uid ? last : count))
			r.last = uid ? last : count;
		if (r.first > r.last)
			continue;
		if (uid)
			add_uids(v, r, recs, &n);
		else
			add_seqs(v, r, recs, &n);
	}
	*recs_out = recs;
	*n_out = n;
	return true;
}

struct uid_range *imap_uid_ranges(struct imap *im, const uint32_t *recs,
				  size_t n, struct arena *a, size_t *n_out)
{
	struct view *v = &im->view;
	struct uid_range *out = arena_alloc(a, (n ? n : 1) * sizeof(*out));
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t uid = mailbox_rec(v->mbox, recs[i])->uid;

		if (view_gone(v, recs[i]))
			continue;
		if (k && out[k - 1].last + 1 == uid)
			out[k - 1].last = uid;
		else
			out[k++] = (struct uid_range){uid, uid};
	}
	*n_out = k;
	return out;
}
