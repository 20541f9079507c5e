/* The oracle: what must be true of what clients see, and at the end. */

#include "tests/sim/sim.h"

#include "storage/state.h"

#include <errno.h>
#include <stdio.h>
#include <inttypes.h>
#include <stdlib.h>

void sim_check_init(struct sim *s)
{
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
		s->acc[i].uids = map_new();
		for (unsigned c = 0; c < 3; c++)
			s->acc[i].clients[c].style = c;
	}
}

void sim_check_free(struct sim *s)
{
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
		size_t k = 0;
		void *v;

		while (map_each(s->acc[i].uids, &k, NULL, &v))
			free(v);
		map_free(s->acc[i].uids);
		for (unsigned c = 0; c < 3; c++)
			free(s->acc[i].clients[c].msgs);
	}
}

/* --- I1: a name, UIDVALIDITY and UID never denote another message --------------- */

static void check_uid(struct sim *s, struct saccount *acc, struct mailbox *m,
		      const struct mrec *r)
{
	char key[300];
	struct mrec *old;
	int n = snprintf(key, sizeof(key), "%u %u %s", mailbox_uidvalidity(m),
			 r->uid, mailbox_name(m));
	struct slice k = slice_of(key, (size_t)n);

	old = map_get(acc->uids, k);
	if (!old) {
		old = NEW(struct mrec);
		*old = *r;
		map_put(acc->uids, k, old);
		return;
	}
	if (!id128_eq(old->emailid, r->emailid) ||
	    memcmp(old->body_hash, r->body_hash, 32) || old->size != r->size ||
	    old->internaldate != r->internaldate)
		SIM_BAD(s, "I1: %s %s UID %u (UIDVALIDITY %u) was another "
			"message", acc->name, mailbox_name(m), r->uid,
			mailbox_uidvalidity(m));
}

static bool look_box(void *arg, struct mailbox *m)
{
	struct sim *s = ((void **)arg)[0];
	struct saccount *acc = ((void **)arg)[1];
	uint32_t n = mailbox_records(m), live = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct mrec *r = mailbox_rec(m, i);
		struct token *t;

		if (r->flags & MREC_EXPUNGED)
			continue;
		live++;
		check_uid(s, acc, m, r);
		if (r->uid >= mailbox_uidnext(m))
			SIM_BAD(s, "I6: %s %s UID %u >= UIDNEXT", acc->name,
				mailbox_name(m), r->uid);
		if (r->modseq > mailbox_highestmodseq(m))
			SIM_BAD(s, "M1: %s %s modseq of UID %u above "
				"HIGHESTMODSEQ", acc->name, mailbox_name(m),
				r->uid);
		t = sim_token(s, r->body_hash);
		if (t)
			t->seen = true;
	}
	if (live != mailbox_messages(m))
		SIM_BAD(s, "S5: %s %s counts %u messages, has %u", acc->name,
			mailbox_name(m), mailbox_messages(m), live);
	return true;
}

/* --- P3: an incremental resync equals a fresh download ---------------------------- */

static struct cache_msg *cached(struct ccache *c, uint32_t uid)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->msgs[i].uid == uid)
			return &c->msgs[i];
	return NULL;
}

static void put(struct ccache *c, const struct mrec *r)
{
	struct cache_msg *m = cached(c, r->uid);

	if (!m) {
		GROW(c->msgs, c->n, c->cap);
		m = &c->msgs[c->n++];
	}
	*m = (struct cache_msg){r->uid, r->emailid, r->flags};
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

static bool live(struct mailbox *m, uint32_t uid)
{
	uint32_t i = mailbox_lower(m, uid);

	return i < mailbox_records(m) && mailbox_rec(m, i)->uid == uid &&
	       !(mailbox_rec(m, i)->flags & MREC_EXPUNGED);
}

/* All that is missing, as UID SEARCH ALL would tell. */
static void drop_missing(struct ccache *c, struct mailbox *m)
{
	size_t k = 0;

	for (size_t i = 0; i < c->n; i++)
		if (live(m, c->msgs[i].uid))
			c->msgs[k++] = c->msgs[i];
	c->n = k;
}

struct changed {
	struct ccache *c;
	struct mailbox *m;
};

static void one_changed(void *arg, uint32_t rec)
{
	struct changed *x = arg;
	const struct mrec *r = mailbox_rec(x->m, rec);

	if (!(r->flags & MREC_EXPUNGED))
		put(x->c, r);
}

static void resync(struct ccache *c, struct mailbox *m, struct account *a)
{
	struct changed x = {c, m};
	uint64_t since = account_answer_modseq(a, c->modseq);

	if (c->style == 0) {
		drop_missing(c, m);
		for (uint32_t i = 0; i < mailbox_records(m); i++) {
			const struct mrec *r = mailbox_rec(m, i);

			if (r->flags & MREC_EXPUNGED)
				continue;
			/* Downloads only what is new, then all flags. */
			if (r->uid >= c->uidnext || cached(c, r->uid))
				put(c, r);
		}
		return;
	}
	mailbox_changed_since(m, since, one_changed, &x);
	if (c->style == 1) {
		drop_missing(c, m);
		return;
	}
	/* A modseq that means nothing here counts as below the floor (M4, M5). */
	if (since == 0 || mailbox_vanished_since(m, since, drop_range, c) ==
				  -ENOENT)
		drop_missing(c, m);
}

static void fresh(struct ccache *c, struct mailbox *m)
{
	c->n = 0;
	for (uint32_t i = 0; i < mailbox_records(m); i++)
		if (!(mailbox_rec(m, i)->flags & MREC_EXPUNGED))
			put(c, mailbox_rec(m, i));
}

static void compare(struct sim *s, struct saccount *acc, struct ccache *c,
		    struct mailbox *m)
{
	static const char *const style[] = {"poller", "CONDSTORE", "QRESYNC"};
	uint32_t n = 0;

	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);
		struct cache_msg *k;

		if (r->flags & MREC_EXPUNGED)
			continue;
		n++;
		k = cached(c, r->uid);
		if (!k)
			SIM_BAD(s, "P3: %s client of %s %s misses UID %u",
				style[c->style], acc->name, mailbox_name(m),
				r->uid);
		else if (!id128_eq(k->emailid, r->emailid))
			SIM_BAD(s, "P3: %s client of %s %s has another UID %u",
				style[c->style], acc->name, mailbox_name(m),
				r->uid);
		else if (k->flags != r->flags)
			SIM_BAD(s, "P3: %s client of %s %s has old flags of "
				"UID %u (%x, is %x)", style[c->style],
				acc->name, mailbox_name(m), r->uid, k->flags,
				r->flags);
	}
	if (n < c->n)
		SIM_BAD(s, "P3: %s client of %s %s keeps %zu messages of %u",
			style[c->style], acc->name, mailbox_name(m), c->n, n);
}

static bool pick(void *arg, struct mailbox *m)
{
	struct mailbox **out = arg;

	*out = m;
	return strcmp(mailbox_name(m), "INBOX") != 0;
}

void sim_check_look(struct sim *s, unsigned account, struct account *a,
		    unsigned client)
{
	struct saccount *acc = &s->acc[account];
	struct ccache *c = &acc->clients[client];
	void *args[2] = {s, acc};
	struct mailbox *m = NULL;
	/* Those marked (l) hold along one line of holders only. */
	bool whole = !acc->tainted && !acc->forked && s->rule_kept;

	account_mailboxes(a, look_box, args);
	if (c->valid)
		m = account_mailbox_id(a, c->mbox);
	if (!m) {
		account_mailboxes(a, pick, &m);
		c->valid = false;
	}
	if (!m)
		return;
	if (c->valid && c->uidvalidity == mailbox_uidvalidity(m)) {
		if (whole && c->uidnext > mailbox_uidnext(m))
			SIM_BAD(s, "I6: UIDNEXT of %s %s fell", acc->name,
				mailbox_name(m));
		if (whole && c->modseq > mailbox_highestmodseq(m))
			SIM_BAD(s, "M1: HIGHESTMODSEQ of %s %s fell from %"
				PRIx64 " to %" PRIx64, acc->name,
				mailbox_name(m), c->modseq,
				mailbox_highestmodseq(m));
		resync(c, m, a);
		/* A poller relies on I2, which holds along one line only. */
		if (whole || c->style)
			compare(s, acc, c, m);
	}
	fresh(c, m);
	c->valid = true;
	c->mbox = mailbox_id(m);
	c->uidvalidity = mailbox_uidvalidity(m);
	c->uidnext = mailbox_uidnext(m);
	c->modseq = mailbox_highestmodseq(m);
}

/* --- disks that were destroyed -------------------------------------------------------- */

static bool note_hash(void *arg, struct mailbox *m)
{
	struct map *have = arg;

	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);

		if (!(r->flags & MREC_EXPUNGED))
			map_put(have, slice_of(r->body_hash, 32), have);
	}
	return true;
}

/* What the other node does not show now may be lost with this disk. */
void sim_check_destroyed(struct sim *s, struct snode *n)
{
	struct snode *o = &s->n[1 - n->i];

	for (unsigned k = 0; k < SIM_ACCOUNTS; k++) {
		struct sstore *st = sim_store_of(o, k);
		struct account *a = st->alive && !st->failed ?
			store_account(st->store, s->acc[k].id) : NULL;
		struct map *have = map_new();

		if (a)
			account_mailboxes(a, note_hash, have);
		for (size_t i = 0; i < s->n_tokens; i++) {
			struct token *t = &s->tokens[i];

			if (t->account == k &&
			    !map_get(have, slice_of(t->hash, 32)))
				t->destroyed = true;
		}
		if (!s->rule_kept)
			s->acc[k].tainted = true;
		map_free(have);
	}
}

/* --- at the end ------------------------------------------------------------------------ */

struct found {
	struct sim *s;
	struct saccount *acc;
	unsigned *count;
	uint8_t *flag;
};

static bool find_box(void *arg, struct mailbox *m)
{
	struct found *f = arg;

	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);
		struct token *t;
		struct body b;
		struct err err = ERR_NONE;

		if (r->flags & MREC_EXPUNGED)
			continue;
		t = sim_token(f->s, r->body_hash);
		if (!t) {
			SIM_BAD(f->s, "a message nobody sent in %s %s",
				f->acc->name, mailbox_name(m));
			continue;
		}
		f->count[t - f->s->tokens]++;
		f->flag[t - f->s->tokens] = r->flags & MSG_FLAGGED;
		if (mailbox_body_open(m, i, &b, &err) < 0) {
			SIM_BAD(f->s, "no body of UID %u in %s %s: %s", r->uid,
				f->acc->name, mailbox_name(m), err.op);
			continue;
		}
		if (b.data.n != r->size)
			SIM_BAD(f->s, "body of UID %u in %s %s has %zu bytes",
				r->uid, f->acc->name, mailbox_name(m), b.data.n);
		mailbox_body_close(m, &b);
	}
	return true;
}

static void check_tokens(struct sim *s, unsigned k, const struct found *f)
{
	for (size_t i = 0; i < s->n_tokens; i++) {
		struct token *t = &s->tokens[i];
		unsigned n = f->count[i];

		if (t->account != k || t->destroyed)
			continue;
		if ((t->acked || t->seen) && !t->removal_tried && !n)
			SIM_BAD(s, "D5: %s lost message %s (%s)",
				s->acc[k].name, t->text,
				t->acked ? "acknowledged" : "seen");
		if (t->removal_acked && !t->copied && n)
			SIM_BAD(s, "P5: %s: message %s is back after its "
				"expunge", s->acc[k].name, t->text);
		if (t->lmtp && !t->copied && n > 1)
			SIM_BAD(s, "D6: %s has message %s %u times",
				s->acc[k].name, t->text, n);
		if (t->acked && t->flag_known && !t->removal_tried &&
		    !t->copied && n && !t->flag != !f->flag[i])
			SIM_BAD(s, "P4: %s: \\Flagged of %s is %d", 
				s->acc[k].name, t->text, f->flag[i] != 0);
	}
}

static void check_account(struct sim *s, unsigned k)
{
	struct saccount *acc = &s->acc[k];
	struct account *a[2];
	uint8_t digest[2][16], again[16];
	struct err err = ERR_NONE;
	struct found f = {s, acc, NULL, NULL};

	for (unsigned i = 0; i < 2; i++) {
		struct sstore *st = sim_store_of(&s->n[i], k);

		a[i] = store_account(st->store, acc->id);
		if (!a[i])
			return;		/* never used */
		account_digest(a[i], digest[i]);
		if (state_digest_recomputed(a[i]->state, again, &err) < 0)
			SIM_BAD(s, "P8: %s: %s", acc->name, err.op);
		else if (memcmp(digest[i], again, 16))
			SIM_BAD(s, "P8: digest of %s at node %u is not what is "
				"recomputed", acc->name, i);
		f.count = xzalloc((s->n_tokens + 1) * sizeof(*f.count));
		f.flag = xzalloc(s->n_tokens + 1);
		account_mailboxes(a[i], find_box, &f);
		check_tokens(s, k, &f);
		free(f.count);
		free(f.flag);
	}
	if (!position_eq(account_end(a[0]), account_end(a[1])))
		SIM_BAD(s, "P1: logs of %s differ at rest: %" PRIu64 " and %"
			PRIu64, acc->name, account_end(a[0]).seq,
			account_end(a[1]).seq);
	else if (memcmp(digest[0], digest[1], 16))
		SIM_BAD(s, "P1: digests of %s differ at an equal position",
			acc->name);
	for (unsigned c = 0; c < 6; c++)
		sim_check_look(s, k, a[c % 2], c % 3);
}

void sim_check_end(struct sim *s)
{
	for (unsigned k = 0; k < SIM_ACCOUNTS && !s->bad[0]; k++)
		if (!s->acc[k].forked)
			check_account(s, k);
}
