/*
 * Clients that keep a copy (P3): after an incremental resync at either node the
 * copy equals a full download.  Each style asks for its own part of what changed
 * and believes it, as RFC 4549, 7162 and 1939 have it.
 */

#include "tests/sim/sim.h"

#include "node/imap/imap.h"
#include "storage/mailbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const styles[SIM_CLIENTS] = {
	"poller", "CONDSTORE", "QRESYNC", "QRESYNC with UIDs", "POP3", "IDLE",
};

/* --- the copy -------------------------------------------------------------------- */

static struct cache_msg *cached(struct ccache *c, uint32_t uidvalidity,
				uint32_t uid)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->msgs[i].uid == uid &&
		    c->msgs[i].uidvalidity == uidvalidity)
			return &c->msgs[i];
	return NULL;
}

static void put(struct ccache *c, const struct mailbox *m, const struct mrec *r)
{
	uint32_t v = mailbox_uidvalidity(m);
	struct cache_msg *k = cached(c, v, r->uid);

	if (!k) {
		GROW(c->msgs, c->n, c->cap);
		k = &c->msgs[c->n++];
	}
	*k = (struct cache_msg){v, r->uid, r->emailid, r->flags};
}

static void drop_range(void *arg, struct uid_range r)
{
	struct ccache *c = arg;
	size_t k = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->msgs[i].uid < r.first || c->msgs[i].uid > r.last)
			c->msgs[k++] = c->msgs[i];
	c->n = k;
}

static bool live(struct mailbox *m, const struct cache_msg *k)
{
	uint32_t i = mailbox_lower(m, k->uid);

	return k->uidvalidity == mailbox_uidvalidity(m) &&
	       i < mailbox_records(m) && mailbox_rec(m, i)->uid == k->uid &&
	       !(mailbox_rec(m, i)->flags & MREC_EXPUNGED);
}

/* What is not there any more: of all, as UID SEARCH ALL or UIDL tells, or of
 * those below a UID, as VANISHED (EARLIER) tells when it cannot remember. */
static void drop_missing(struct ccache *c, struct mailbox *m, uint64_t below)
{
	size_t k = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->msgs[i].uid >= below || live(m, &c->msgs[i]))
			c->msgs[k++] = c->msgs[i];
	c->n = k;
}

static void download(struct ccache *c, struct mailbox *m, uint64_t from_uid,
		     bool known_too)
{
	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);

		if (r->flags & MREC_EXPUNGED)
			continue;
		if (r->uid >= from_uid ||
		    (known_too && cached(c, mailbox_uidvalidity(m), r->uid)))
			put(c, m, r);
	}
}

/* --- one resync of each style --------------------------------------------------- */

struct changed {
	struct ccache *c;
	struct mailbox *m;
};

static void one_changed(void *arg, uint32_t rec)
{
	struct changed *x = arg;
	const struct mrec *r = mailbox_rec(x->m, rec);

	if (r->flags & MREC_EXPUNGED)
		return;
	/* SELECT with known UIDs tells of these only. */
	if (x->c->style == CLIENT_QRESYNC_UIDS &&
	    !cached(x->c, mailbox_uidvalidity(x->m), r->uid))
		return;
	put(x->c, x->m, r);
}

static void resync_modseq(struct ccache *c, struct mailbox *m,
			  struct account *a)
{
	struct changed x = {c, m};
	uint64_t since = account_answer_modseq(a, c->modseq);

	mailbox_changed_since(m, since, one_changed, &x);
	if (c->style == CLIENT_CONDSTORE)
		drop_missing(c, m, UINT64_MAX);
	else if (since == 0)				/* M5 */
		drop_missing(c, m, mailbox_uidnext(m) + IMAP_LOST_UIDS);
	else if (mailbox_vanished_since(m, since, drop_range, c) == -ENOENT)
		drop_missing(c, m, mailbox_uidnext(m));	/* M4 */
	if (c->style == CLIENT_QRESYNC_UIDS)
		download(c, m, c->uidnext, false);
}

/* Its key outlives a change of UIDVALIDITY: what it does not know is new. */
static void resync_pop3(struct sim *s, struct saccount *acc, struct ccache *c,
			struct mailbox *m)
{
	drop_missing(c, m, UINT64_MAX);
	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);
		const struct cache_msg *k;

		if (r->flags & MREC_EXPUNGED)
			continue;
		k = cached(c, mailbox_uidvalidity(m), r->uid);
		if (!k)
			put(c, m, r);
		else if (!id128_eq(k->emailid, r->emailid))
			SIM_BAD(s, "P3: POP3 client of %s has another message "
				"as UIDL %u.%u", acc->name,
				mailbox_uidvalidity(m), r->uid);
	}
	/* It keeps no flags. */
	download(c, m, UINT64_MAX, true);
}

static void compare(struct sim *s, struct saccount *acc, struct ccache *c,
		    struct mailbox *m)
{
	const char *style = styles[c->style];
	uint32_t n = 0;

	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);
		struct cache_msg *k;

		if (r->flags & MREC_EXPUNGED)
			continue;
		n++;
		k = cached(c, mailbox_uidvalidity(m), r->uid);
		if (!k)
			SIM_BAD(s, "P3: %s client of %s %s misses UID %u",
				style, acc->name, mailbox_name(m), r->uid);
		else if (!id128_eq(k->emailid, r->emailid))
			SIM_BAD(s, "P3: %s client of %s %s has another UID %u",
				style, acc->name, mailbox_name(m), r->uid);
		else if (k->flags != r->flags)
			SIM_BAD(s, "P3: %s client of %s %s has old flags of "
				"UID %u (%x, is %x)", style, acc->name,
				mailbox_name(m), r->uid, k->flags, r->flags);
	}
	if (n < c->n)
		SIM_BAD(s, "P3: %s client of %s %s keeps %zu messages of %u",
			style, acc->name, mailbox_name(m), c->n, n);
}

/* --- a visit ---------------------------------------------------------------------- */

static bool pick(void *arg, struct mailbox *m)
{
	struct mailbox **out = arg;

	*out = m;
	return strcmp(mailbox_name(m), "INBOX") != 0;
}

/* The mailbox it has a copy of, else one to begin with. */
static struct mailbox *visited(struct ccache *c, struct account *a)
{
	struct mailbox *m = NULL;

	if (c->style == CLIENT_POP3)
		return account_mailbox(a, SLICE_LIT("INBOX"));
	if (c->valid)
		m = account_mailbox_id(a, c->mbox);
	if (m)
		return m;
	c->valid = false;
	account_mailboxes(a, pick, &m);
	return m;
}

/* Those marked (l) hold along one line of holders only. */
static bool one_line(const struct sim *s, const struct saccount *acc)
{
	return !acc->tainted && !acc->forked && s->rule_kept;
}

static void check_numbers(struct sim *s, const struct saccount *acc,
			  const struct ccache *c, const struct mailbox *m)
{
	if (c->uidnext > mailbox_uidnext(m))
		SIM_BAD(s, "I6: UIDNEXT of %s %s fell", acc->name,
			mailbox_name(m));
	if (c->modseq > mailbox_highestmodseq(m))
		SIM_BAD(s, "M1: HIGHESTMODSEQ of %s %s fell from %" PRIx64
			" to %" PRIx64, acc->name, mailbox_name(m), c->modseq,
			mailbox_highestmodseq(m));
}

static void resync(struct sim *s, struct saccount *acc, struct ccache *c,
		   struct mailbox *m, struct account *a)
{
	bool whole = one_line(s, acc);

	if (whole)
		check_numbers(s, acc, c, m);
	if (c->style == CLIENT_POLLER) {
		drop_missing(c, m, UINT64_MAX);
		/* Bodies of what is new only, then all flags. */
		download(c, m, c->uidnext, true);
	} else {
		resync_modseq(c, m, a);
	}
	/* These two rely on I2, which holds along one line only. */
	if (whole || (c->style != CLIENT_POLLER &&
		      c->style != CLIENT_QRESYNC_UIDS))
		compare(s, acc, c, m);
}

static void remember(struct ccache *c, struct mailbox *m)
{
	c->valid = true;
	c->mbox = mailbox_id(m);
	c->uidvalidity = mailbox_uidvalidity(m);
	c->uidnext = mailbox_uidnext(m);
	c->modseq = mailbox_highestmodseq(m);
}

static struct mailbox *visit(struct sim *s, struct saccount *acc,
			     struct account *a, struct ccache *c)
{
	struct mailbox *m = visited(c, a);

	if (!m)
		return NULL;
	s->cache_looks[c->style]++;
	if (c->style == CLIENT_POP3) {
		resync_pop3(s, acc, c, m);
		compare(s, acc, c, m);
		return m;
	}
	if (c->valid && c->uidvalidity == mailbox_uidvalidity(m))
		resync(s, acc, c, m, a);
	/* Whatever was wrong is reported; the next one is a new finding. */
	c->n = 0;
	download(c, m, 0, false);
	remember(c, m);
	return m;
}

void sim_cache_look(struct sim *s, struct saccount *acc, struct account *a,
		    unsigned client)
{
	struct ccache *c = &acc->clients[client];

	if (!c->open)
		visit(s, acc, a, c);
}

/* --- IDLE: what a session is told is the whole truth (M7) -------------------------- */

/* The client's own view: UIDs in the order of sequence numbers. */
struct sim_idle {
	struct sim *s;
	struct saccount *acc;
	struct ccache *c;
	struct view view;
	struct mailbox_watch watch;
	bool due, closed;		/* both: the event frees it */
};

static void idle_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct sim_idle *d = arg;
	struct ccache *c = d->c;

	if (!seq || seq > c->n || c->msgs[seq - 1].uid != uid) {
		SIM_BAD(d->s, "P3: IDLE of %s: EXPUNGE %u is not UID %u",
			d->acc->name, seq, uid);
		return;
	}
	memmove(c->msgs + seq - 1, c->msgs + seq,
		(c->n - seq) * sizeof(*c->msgs));
	c->n--;
}

static void idle_fetch(struct sim_idle *d, uint32_t seq)
{
	uint32_t rec;

	if (view_rec(&d->view, seq, &rec) < 0)
		SIM_BAD(d->s, "P3: IDLE of %s: no message %u", d->acc->name,
			seq);
	else
		put(d->c, d->view.mbox, mailbox_rec(d->view.mbox, rec));
}

static void idle_exists(void *arg, uint32_t count)
{
	struct sim_idle *d = arg;

	while (d->c->n < count) {
		size_t was = d->c->n;

		idle_fetch(d, (uint32_t)was + 1);
		if (d->c->n != was + 1) {
			SIM_BAD(d->s, "P3: IDLE of %s: message %zu was told "
				"before", d->acc->name, was + 1);
			return;
		}
	}
}

static void idle_changed(void *arg, uint32_t seq, uint32_t rec)
{
	struct sim_idle *d = arg;
	const struct mrec *r = mailbox_rec(d->view.mbox, rec);

	if (!seq || seq > d->c->n || d->c->msgs[seq - 1].uid != r->uid)
		SIM_BAD(d->s, "P3: IDLE of %s: FETCH %u is not UID %u",
			d->acc->name, seq, r->uid);
	else
		put(d->c, d->view.mbox, r);
}

static void tell(struct sim_idle *d)
{
	static const struct view_ops ops = {
		.expunged = idle_expunged, .exists = idle_exists,
		.changed = idle_changed,
	};
	struct mailbox *m = d->view.mbox;

	if (mailbox_gone(m) || d->s->bad[0])
		return;
	view_sync(&d->view, true, &ops, d);
	d->s->idle_told++;
	compare(d->s, d->acc, d->c, m);
	d->c->uidnext = mailbox_uidnext(m);
	d->c->modseq = d->view.told_modseq;
}

static void idle_turn(void *arg)
{
	struct sim_idle *d = arg;

	d->due = false;
	if (d->closed)
		free(d);
	else if (!d->s->ended)
		tell(d);
}

static void idle_noticed(struct mailbox_watch *w)
{
	struct sim_idle *d = CONTAINER_OF(w, struct sim_idle, watch);

	if (d->due)
		return;
	d->due = true;
	simtime_at(d->s->time, sim_below(d->s, 300 * SIM_MS), idle_turn, d);
}

void sim_idle_open(struct sim *s, struct saccount *acc, struct account *a,
		   struct sim_idle **out)
{
	struct ccache *c = &acc->clients[CLIENT_IDLE];
	struct mailbox *m = c->open ? NULL : visit(s, acc, a, c);
	struct sim_idle *d;

	*out = NULL;
	if (!m)
		return;
	d = NEW(struct sim_idle);
	*d = (struct sim_idle){.s = s, .acc = acc, .c = c};
	*out = d;
	c->open = true;
	view_init(&d->view, m);
	list_init(&d->watch.node);
	d->watch.changed = idle_noticed;
	mailbox_watch_add(m, &d->watch);
}

/* lost: the connection was cut, nothing more is told. */
void sim_idle_close(struct sim_idle **idle, bool lost)
{
	struct sim_idle *d = *idle;

	if (!d)
		return;
	if (!lost)
		tell(d);
	mailbox_watch_remove(&d->watch);
	view_fini(&d->view);
	d->c->open = false;
	*idle = NULL;
	d->closed = true;
	if (!d->due)
		free(d);
}
