#include "node/imap/imap.h"
#include "node/base/map.h"
#include "storage/account.h"

#include <stdlib.h>

/*
 * \Recent (RFC 3501 2.3.2): the first session that is told of a message and
 * has not just examined the mailbox shows it.  Who was first is remembered for
 * the life of the store process and not in the account: a mere look at a
 * mailbox makes no history (docs/imap.md).
 *
 * For each mailbox that a session has seen: the lowest UID that is still
 * nobody's.  For others that is the first message saved since the process
 * started.
 */

/* Mailboxes remembered; beyond that all are forgotten. */
#define RECENT_BOXES_MAX 100000u

struct imap_shared {
	struct map *first;		/* account id, mailbox id → UID */
	int64_t since;			/* seconds */
};

struct key {
	struct id128 account, mbox;
};

static struct imap_shared *shared(struct imap *im)
{
	struct session_host *h = im->s->host;
	struct imap_shared *sh = h->imap_shared;

	if (sh)
		return sh;
	sh = h->imap_shared = NEW(struct imap_shared);
	sh->first = map_new();
	sh->since = h->started_seconds ? h->started_seconds :
		(int64_t)(clock_real(h->sys->clock) / USEC_PER_SEC);
	return sh;
}

void imap_shared_free(struct session_host *h)
{
	struct imap_shared *sh = h->imap_shared;

	if (sh)
		map_free(sh->first);
	free(sh);
	h->imap_shared = NULL;
}

static struct slice key_of(struct mailbox *m, struct key *k)
{
	*k = (struct key){account_id(mailbox_account(m)), mailbox_id(m)};
	return slice_of(k, sizeof(*k));
}

static uint32_t end_of(const struct mailbox *m)
{
	uint64_t next = mailbox_uidnext(m);

	return next > UINT32_MAX ? UINT32_MAX : (uint32_t)next;
}

/* The lowest UID that is nobody's yet. */
static uint32_t first_free(struct imap *im, struct mailbox *m)
{
	struct imap_shared *sh = shared(im);
	struct key k;
	uint32_t n, end = end_of(m);
	uintptr_t known = (uintptr_t)map_get(sh->first, key_of(m, &k));

	if (known)	/* above the end after a renumbering */
		return known < end ? (uint32_t)known : end;
	for (n = mailbox_records(m); n > 0; n--) {
		const struct mrec *r = mailbox_rec(m, n - 1);

		if (r->savedate < sh->since)
			return n < mailbox_records(m) ?
				mailbox_rec(m, n)->uid : end;
	}
	return 1;
}

static void claim(struct imap *im, struct mailbox *m)
{
	struct imap_shared *sh = shared(im);
	struct key k;

	if (map_size(sh->first) >= RECENT_BOXES_MAX) {
		map_free(sh->first);
		sh->first = map_new();
		sh->since = (int64_t)(clock_real(im->s->host->sys->clock) /
				      USEC_PER_SEC);
	}
	map_put(sh->first, key_of(m, &k), (void *)(uintptr_t)end_of(m));
}

static void take(struct imap *im, uint32_t above)
{
	struct mailbox *m = im->view.mbox;
	uint32_t from = first_free(im, m), last = view_last_uid(&im->view);

	if (from <= above)
		from = above + 1;
	if (from <= last) {
		GROW(im->recent, im->n_recent, im->cap_recent);
		im->recent[im->n_recent++] = (struct uid_range){from, last};
	}
	if (!im->examined)
		claim(im, m);
}

void imap_recent_select(struct imap *im)
{
	im->n_recent = 0;
	take(im, 0);
	im->told_recent = imap_recent_count(im);
}

void imap_recent_added(struct imap *im)
{
	/* A session that examines claims nothing: what it has shown as recent
	 * it has listed already. */
	take(im, im->n_recent ? im->recent[im->n_recent - 1].last : 0);
}

bool imap_recent_is(const struct imap *im, uint32_t uid)
{
	for (size_t i = im->n_recent; i > 0; i--)
		if (uid >= im->recent[i - 1].first)
			return uid <= im->recent[i - 1].last;
	return false;
}

/* Messages of the view with a lower UID. */
static uint32_t below(struct view *v, uint32_t uid)
{
	uint32_t rec = view_lower(v, uid);

	return rec < v->seen ? view_seq(v, rec) - 1 : view_count(v);
}

uint32_t imap_recent_count(struct imap *im)
{
	uint32_t n = 0;

	for (size_t i = 0; i < im->n_recent; i++)
		n += below(&im->view, im->recent[i].last + 1) -
		     below(&im->view, im->recent[i].first);
	return n;
}

uint32_t imap_recent_status(struct imap *im, struct mailbox *m)
{
	uint32_t rec;

	if (m == im->view.mbox)
		return imap_recent_count(im);
	rec = mailbox_lower(m, first_free(im, m));
	return mailbox_messages(m) - (rec - mailbox_expunged_below(m, rec));
}
