/*
 * Who is the other, and may the two be a pair?  (replication.md, Identity.)
 *
 * Both send Hello at once.  A node without an identity waits for IDENTITY, or
 * makes one if neither has any and its node id is the smaller one; then it
 * sends Hello again.  A connection is ready when the other's Hello fits the
 * own identity and what it says about the other is written down.
 */

#include "sync/node_link_private.h"
#include "storage/prepare.h"

#include <stdio.h>
#include <stdlib.h>

static const struct link_limits own_limits = {
	.window = UID_WINDOW, .jump = UID_JUMP, .uids = RECORD_UIDS_MAX,
	.jump_stale = UID_JUMP_STALE,
};

static bool zero(struct id128 id)
{
	return id128_eq(id, (struct id128){{0}});
}

/* A provisional identity without accounts is dropped when a partner is met. */
static bool counts(const struct node_link *n)
{
	return n->id.has && !(n->id.provisional && !n->has_accounts);
}

static bool hello_counts(const struct link_hello *h)
{
	return h->has_identity && !(h->provisional && !h->has_accounts);
}

bool hello_may_send(const struct node_link *n)
{
	/* The stores know the journals; one that cannot start must not keep
	 * the others from the partner. */
	if (n->writing)
		return false;
	/* Without an identity no store runs yet. */
	if (!n->id.has || n->tick >= NODE_LINK_REPORT_TICKS)
		return true;
	for (unsigned i = 0; i < n->n_stores; i++)
		if (!n->stores[i].reported)
			return false;
	return true;
}

void hello_send(struct node_link *n, struct conn *c)
{
	struct link_journal journals[LINK_JOURNALS_MAX];
	struct link_msg m = {.type = LINK_HELLO};
	struct link_hello *h = &m.hello;
	struct link_report sum;

	trust_sum(n, &sum);
	h->channel = (uint8_t)c->ch;
	h->has_identity = n->id.has;
	h->provisional = n->id.provisional;
	h->trusted = n->id.trusted;
	h->has_accounts = n->has_accounts;
	h->regressed = n->regressed;
	h->pair_id = n->id.pair_id;
	h->pair_time = n->id.pair_time;
	h->index = n->id.index;
	h->node_id = n->id.node_id;
	h->incarnation = n->id.incarnation;
	h->partner_node_id = n->id.partner_node_id;
	h->partner_incarnation = n->id.partner_incarnation;
	h->boot = n->boot;
	h->major = LINK_FORMAT_MAJOR;
	h->minor = LINK_FORMAT_MINOR;
	h->features = LINK_FEATURE_BASE;
	h->clock_usec = clock_real(n->clock);
	h->limits = own_limits;
	h->journals = journals;
	h->n_journals = trust_journals(n, journals, LINK_JOURNALS_MAX,
				       &h->partial);
	h->set_digest = sum.set_digest;
	h->accounts = sum.accounts;
	c->hello_sent = true;
	n->out.send(n->out.arg, c->handle, &m);
}

/* --- identity ------------------------------------------------------------------ */

static void send_identity(struct node_link *n, struct conn *c)
{
	struct link_msg m = {.type = LINK_IDENTITY};

	m.identity.pair_id = n->id.pair_id;
	m.identity.pair_time = n->id.pair_time;
	m.identity.index = (uint8_t)(1 - n->id.index);
	n->out.send(n->out.arg, c->handle, &m);
}

/* The first identity of a pair. */
static void make_identity(struct node_link *n)
{
	if (!n->id.has) {
		n->rng->bytes(n->rng, n->id.pair_id.b, 16);
		n->id.pair_time = (uint32_t)(clock_real(n->clock) /
					     USEC_PER_SEC);
		n->id.index = 0;
	}
	n->id.has = true;
	n->id.trusted = true;
	n->id.provisional = false;
	node_link_event(n, "pair_identity_made", "this node begins the pair, "
			"index %u", n->id.index);
	node_link_write_identity(n);
}

void hello_identity(struct node_link *n, struct conn *c,
		    const struct link_identity *i)
{
	if (n->writing || !c->hello_in)
		return;
	if (counts(n)) {
		if (!id128_eq(n->id.pair_id, i->pair_id) ||
		    n->id.index != i->index)
			node_link_refuse(n, c, REFUSE_OTHER_PAIR, "this node "
					 "has an identity already");
		return;
	}
	if (n->refuse_join) {
		node_link_refuse(n, c, REFUSE_NO_IDENTITY, "%s", n->refuse_why);
		return;
	}
	n->id.has = true;
	n->id.provisional = false;
	n->id.trusted = false;		/* EMPTY until the set is complete */
	n->id.pair_id = i->pair_id;
	n->id.pair_time = i->pair_time;
	n->id.index = i->index;
	n->id.member = true;
	n->id.partner_node_id = c->hello.node_id;
	n->id.partner_incarnation = c->hello.incarnation;
	node_link_event(n, "pair_joined", "joined the pair as index %u",
			n->id.index);
	node_link_write_identity(n);
}

/* --- checks ---------------------------------------------------------------------- */

static bool retired(const struct node_link *n, struct id128 incarnation)
{
	for (size_t i = 0; i < n->id.n_retired; i++)
		if (id128_eq(n->id.retired[i], incarnation))
			return true;
	return false;
}

/* What makes any two nodes no pair, whatever their identities. */
static bool basics(struct node_link *n, struct conn *c)
{
	const struct link_hello *h = &c->hello;

	if (id128_eq(h->node_id, n->id.node_id)) {
		node_link_refuse(n, c, REFUSE_OWN_NODE, "mail_replica names "
				 "this node itself");
		return false;
	}
	if (h->major != LINK_FORMAT_MAJOR ||
	    !(h->features & LINK_FEATURE_BASE)) {
		node_link_refuse(n, c, REFUSE_VERSION, "link format %u.%u here, "
				 "%u.%u there: upgrade the older node",
				 LINK_FORMAT_MAJOR, LINK_FORMAT_MINOR,
				 h->major, h->minor);
		return false;
	}
	if (h->limits.window != own_limits.window ||
	    h->limits.jump != own_limits.jump ||
	    h->limits.uids != own_limits.uids ||
	    h->limits.jump_stale != own_limits.jump_stale) {
		node_link_refuse(n, c, REFUSE_LIMITS, "one node is a test build "
				 "with other limits");
		return false;
	}
	return true;
}

static bool clock_fits(struct node_link *n, struct conn *c)
{
	uint64_t now = clock_real(n->clock), there = c->hello.clock_usec;
	uint64_t off = now > there ? now - there : there - now;

	if (off <= n->skew_usec)
		return true;
	node_link_refuse(n, c, REFUSE_CLOCK, "the clocks are %llu s apart: set "
			 "them (pair_clock_skew allows %llu s at a join)",
			 (unsigned long long)(off / USEC_PER_SEC),
			 (unsigned long long)(n->skew_usec / USEC_PER_SEC));
	return false;
}

/* Writes down who the partner is now; true if that is known already. */
static bool remembered(struct node_link *n, const struct link_hello *h)
{
	if (n->id.member && id128_eq(n->id.partner_node_id, h->node_id) &&
	    id128_eq(n->id.partner_incarnation, h->incarnation))
		return true;
	if (!zero(n->id.partner_incarnation) &&
	    !id128_eq(n->id.partner_incarnation, h->incarnation) &&
	    n->id.n_retired < ARRAY_LEN(n->id.retired))
		n->id.retired[n->id.n_retired++] = n->id.partner_incarnation;
	n->partner_new = true;
	n->n_heard_journals = 0;
	n->id.member = true;
	n->id.partner_node_id = h->node_id;
	n->id.partner_incarnation = h->incarnation;
	node_link_event(n, "pair_member", "the partner's disk is new to this "
			"node: it is written down");
	node_link_write_identity(n);
	return false;
}

/* Both belong to the same pair. */
static void same_pair(struct node_link *n, struct conn *c)
{
	const struct link_hello *h = &c->hello;
	bool is_new = zero(n->id.partner_incarnation) ||
		      !id128_eq(n->id.partner_incarnation, h->incarnation);

	if (h->index == n->id.index) {
		node_link_refuse(n, c, REFUSE_SAME_INDEX, "two nodes with index "
				 "%u: decide which one stays (`duetadm pair "
				 "replace' on the other)", h->index);
		return;
	}
	if (retired(n, h->incarnation)) {
		node_link_refuse(n, c, REFUSE_FORGOTTEN, "this disk was written "
				 "off: `duetadm pair replace' makes it empty");
		return;
	}
	if (is_new && !zero(n->id.partner_incarnation) && h->has_accounts &&
	    h->trusted) {
		node_link_refuse(n, c, REFUSE_INCARNATION, "accounts on a disk "
				 "that this node does not know under index %u: "
				 "`duetadm pair replace' makes it empty",
				 h->index);
		return;
	}
	if (is_new && !clock_fits(n, c))
		return;
	if (!remembered(n, h))
		return;
	n->partner_regressed = h->regressed ||
			       (!trust_settling(n) &&
				trust_regressed(n, c->journals, c->n_journals,
						h->partial));
	n->regress_heard = h->regressed;
	n->partner_trusted = h->trusted && !n->partner_regressed;
	node_link_ready(n, c);
}

static void check(struct node_link *n, struct conn *c)
{
	const struct link_hello *h = &c->hello;
	bool mine = counts(n), theirs = hello_counts(h);

	if (n->writing || !basics(n, c))
		return;
	if (n->refuse_join && !mine) {
		node_link_refuse(n, c, REFUSE_NO_IDENTITY, "%s", n->refuse_why);
		return;
	}
	if (mine && theirs) {
		if (id128_eq(n->id.pair_id, h->pair_id))
			same_pair(n, c);
		else
			node_link_refuse(n, c, REFUSE_OTHER_PAIR, "the nodes "
					 "belong to two pairs: import with "
					 "UIDs kept is the way");
	} else if (mine) {
		if (h->has_accounts)
			node_link_refuse(n, c, REFUSE_NO_IDENTITY, "accounts "
					 "without an identity on the other node");
		else if (clock_fits(n, c))
			send_identity(n, c);
	} else if (!theirs && memcmp(n->id.node_id.b, h->node_id.b, 16) < 0) {
		if (clock_fits(n, c))
			make_identity(n);
	}
	/* Else the other makes it, or has it, and sends IDENTITY. */
}

void hello_received(struct node_link *n, struct conn *c,
		    const struct link_hello *h)
{
	if (c == n->control || h->channel != c->ch)
		return;
	c->hello = *h;
	c->hello.journals = NULL;
	c->n_journals = h->n_journals;
	if (h->n_journals)
		memcpy(c->journals, h->journals,
		       h->n_journals * sizeof(*h->journals));
	c->hello_in = true;
	if (c->ch != CHANNEL_CONTROL) {
		node_link_ready(n, c);
		return;
	}
	check(n, c);
}

/* After the identity was written: say it, and look at the others again. */
void hello_again(struct node_link *n)
{
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++) {
		struct conn *c = &n->conns[i];

		if (!c->handle || c->ch != CHANNEL_CONTROL || c == n->control ||
		    n->writing)
			continue;
		c->hello_sent = false;	/* the old one says nothing now */
		if (hello_may_send(n))
			hello_send(n, c);
		if (c->handle && c->hello_in && !c->fits)
			check(n, c);
	}
}
