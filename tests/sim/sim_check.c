/* The oracle: what must be true of what clients see, and at the end. */

#include "tests/sim/sim.h"

#include "storage/state.h"

#include <stdio.h>
#include <inttypes.h>
#include <stdlib.h>

void sim_check_init(struct sim *s)
{
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
		s->acc[i].uids = map_new();
		for (unsigned c = 0; c < SIM_CLIENTS; c++)
			s->acc[i].clients[c].style = (enum client_style)c;
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
		for (unsigned c = 0; c < SIM_CLIENTS; c++)
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

void sim_check_look(struct sim *s, unsigned account, struct account *a,
		    unsigned client)
{
	struct saccount *acc = &s->acc[account];
	void *args[2] = {s, acc};

	account_mailboxes(a, look_box, args);
	sim_cache_look(s, acc, a, client);
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
	for (unsigned c = 0; c < 2 * SIM_CLIENTS; c++)
		sim_check_look(s, k, a[c % 2], c / 2);
}

void sim_check_end(struct sim *s)
{
	for (unsigned k = 0; k < SIM_ACCOUNTS && !s->bad[0]; k++)
		if (!s->acc[k].forked)
			check_account(s, k);
}
