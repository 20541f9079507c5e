/* Journals, trust, heartbeats, sums and status of the node. */

#include "sync/node_link_private.h"

#include <stdlib.h>

#define CLOCK_ALARM_USEC USEC_PER_SEC
#define CLOCK_ALARM_TICKS 600u

size_t trust_journals(const struct node_link *n, struct link_journal *out,
		      size_t max, bool *partial_out)
{
	size_t k = 0;

	*partial_out = false;
	for (unsigned i = 0; i < n->n_stores; i++) {
		const struct store_slot *s = &n->stores[i];

		if (!s->reported || !s->report.n_journals)
			*partial_out = true;
		for (size_t j = 0; s->reported && j < s->report.n_journals &&
		     k < max; j++)
			out[k++] = s->journals[j];
	}
	return k;
}

/* Does it say less than its last heartbeat, of some journal? */
static bool less_than_heard(const struct node_link *n,
			    const struct link_journal *j, size_t n_j)
{
	const struct link_journal *heard = n->heard_journals;

	for (size_t i = 0; i < n->n_heard_journals; i++)
		for (size_t x = 0; x < n_j; x++)
			if (j[x].id == heard[i].id &&
			    j[x].last_batch < heard[i].last_batch)
				return true;
	return false;
}

bool trust_regressed(const struct node_link *n, const struct link_journal *j,
		     size_t n_j, bool partial)
{
	if (less_than_heard(n, j, n_j))
		return true;
	/* The stores still remember those of its old disk. */
	if (n->partner_new)
		return false;
	for (unsigned i = 0; i < n->n_stores; i++) {
		const struct store_slot *s = &n->stores[i];

		for (size_t k = 0; s->reported && k < s->report.n_partner; k++) {
			bool found = false;

			for (size_t x = 0; x < n_j; x++) {
				if (j[x].id != s->partner[k].id)
					continue;
				found = true;
				if (j[x].last_batch < s->partner[k].last_batch)
					return true;
			}
			if (!found && !partial)
				return true;
		}
	}
	return false;
}

static void id_add(struct id128 *sum, const struct id128 *x)
{
	unsigned carry = 0;

	for (size_t i = 0; i < 16; i++) {
		carry += sum->b[i] + x->b[i];
		sum->b[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void trust_sum(const struct node_link *n, struct link_report *sum)
{
	*sum = (struct link_report){.accounts = 0};
	for (unsigned i = 0; i < n->n_stores; i++) {
		const struct link_report *r = &n->stores[i].report;

		if (!n->stores[i].reported) {
			sum->incomplete++;
			continue;
		}
		id_add(&sum->set_digest, &r->set_digest);
		id_add(&sum->node_digest, &r->node_digest);
		sum->accounts += r->accounts;
		sum->incomplete += r->incomplete;
		sum->lone += r->lone;
		sum->catchup += r->catchup;
		sum->forked += r->forked;
		sum->parked += r->parked;
		sum->needs_seed += r->needs_seed;
		sum->records_behind += r->records_behind;
		sum->failed |= r->failed;
	}
}

void trust_send_heartbeat(struct node_link *n, struct conn *c)
{
	struct link_journal journals[LINK_JOURNALS_MAX];
	struct link_msg m = {.type = LINK_HEARTBEAT};
	struct link_heartbeat *b = &m.heartbeat;
	struct link_report sum;

	trust_sum(n, &sum);
	b->heard_ticks = n->silent;
	b->trusted = n->id.trusted;
	b->regressed = n->regressed;
	b->you_regressed = n->partner_regressed;
	b->clock_usec = clock_real(n->clock);
	b->journals = journals;
	b->n_journals = trust_journals(n, journals, LINK_JOURNALS_MAX,
				       &b->partial);
	b->set_digest = sum.set_digest;
	b->node_digest = sum.node_digest;
	b->accounts = sum.accounts;
	b->lone = sum.lone;
	b->records_behind = sum.records_behind;
	n->out.send(n->out.arg, c->handle, &m);
}

static void look_at_clock(struct node_link *n, uint64_t there)
{
	uint64_t off;

	n->clock_diff = (int64_t)(there - clock_real(n->clock));
	off = (uint64_t)(n->clock_diff < 0 ? -n->clock_diff : n->clock_diff);
	if (off <= CLOCK_ALARM_USEC ||
	    (n->clock_warned && n->tick - n->clock_warned < CLOCK_ALARM_TICKS))
		return;
	n->clock_warned = n->tick ? n->tick : 1;
	node_link_event(n, "pair_clock", "the partner's clock is %lld ms off: "
			"service goes on, but set the clocks",
			(long long)(n->clock_diff / 1000));
}

/* This node is behind what it once said was durable: it may not hold until
 * the partner's accounts were compared with it. */
static void lose_trust(struct node_link *n)
{
	if (n->regressed)
		return;
	n->regressed = true;
	n->id.trusted = false;
	node_link_event(n, "pair_regressed", "this node's disk went back in "
			"time: it follows the partner until every account was "
			"compared");
	node_link_write_identity(n);
}

bool trust_settling(const struct node_link *n)
{
	return n->settled_tick &&
	       n->tick - n->settled_tick < NODE_LINK_SETTLE_TICKS;
}

void trust_heartbeat(struct node_link *n, const struct link_heartbeat *b)
{
	bool trusted, regressed, changed;
	struct conn *c = n->control;

	n->beat = *b;
	n->beat.journals = NULL;
	n->beat.n_journals = 0;
	look_at_clock(n, b->clock_usec);
	if (b->you_regressed && !n->regressed && !trust_settling(n)) {
		lose_trust(n);
		if (c)
			node_link_tell_up(n, -1);
	}
	if (!c)
		return;
	if (c->n_journals != b->n_journals ||
	    (b->n_journals && memcmp(c->journals, b->journals,
				     b->n_journals * sizeof(*b->journals))))
		n->journals_moved = true;
	c->n_journals = b->n_journals;
	if (b->n_journals)
		memcpy(c->journals, b->journals,
		       b->n_journals * sizeof(*b->journals));
	regressed = n->partner_regressed;
	if (regressed && b->regressed)
		n->regress_heard = true;
	if (!regressed && !trust_settling(n) &&
	    trust_regressed(n, b->journals, b->n_journals, b->partial)) {
		regressed = true;
		n->regress_heard = false;
	} else if (regressed && n->regress_heard && b->trusted && !b->regressed) {
		/* Every account was compared. */
		regressed = false;
		n->settled_tick = n->tick;
	}
	trusted = b->trusted && !regressed;
	changed = trusted != n->partner_trusted ||
		  regressed != n->partner_regressed;
	if (trusted)
		n->partner_new = false;
	n->partner_trusted = trusted;
	n->partner_regressed = regressed;
	/* What it lost is no longer expected once all was compared. */
	if (!regressed && !b->partial) {
		n->n_heard_journals = b->n_journals;
		if (b->n_journals)
			memcpy(n->heard_journals, b->journals,
			       b->n_journals * sizeof(*b->journals));
	}
	if (changed || (n->journals_moved && n->tick - n->told_tick >=
					     NODE_LINK_JOURNALS_TICKS))
		node_link_tell_up(n, -1);
}

/* Trusted is a node whose account set is complete in this incarnation. */
void trust_tick(struct node_link *n)
{
	struct link_report sum;

	if (n->id.trusted || n->writing) {
		n->equal_ticks = 0;
		return;
	}
	trust_sum(n, &sum);
	if (!n->partner_trusted || sum.incomplete || sum.needs_seed ||
	    sum.forked || sum.accounts != n->beat.accounts ||
	    !id128_eq(sum.set_digest, n->beat.set_digest) ||
	    (n->regressed &&
	     !id128_eq(sum.node_digest, n->beat.node_digest))) {
		n->equal_ticks = 0;
		return;
	}
	if (++n->equal_ticks < NODE_LINK_EQUAL_TICKS)
		return;
	n->id.trusted = true;
	if (n->regressed)
		n->settled_tick = n->tick;
	n->regressed = false;
	node_link_event(n, "pair_trusted", "every account of the partner is "
			"here and complete");
	node_link_write_identity(n);
	node_link_tell_up(n, -1);
}

/* --- status -------------------------------------------------------------------- */

static const char *const state_names[] = {
	"SINGLE", "SYNC", "CATCHUP", "DEGRADED", "FORKED", "REGRESSED",
	"EMPTY", "REFUSED",
};

const char *node_state_name(enum node_state s)
{
	return state_names[s];
}

static enum node_state state_of(const struct node_link *n,
				const struct link_report *sum)
{
	if (!n->id.member)
		return n->refused && !n->id.n_retired ? NODE_REFUSED :
		       NODE_SINGLE;
	if (n->regressed || (n->control && n->partner_regressed))
		return NODE_REGRESSED;
	if (sum->forked)
		return NODE_FORKED;
	/* Written off by the partner it waits for nobody's accounts. */
	if (n->id.has && !n->id.trusted)
		return n->refused && !n->control ? NODE_REFUSED : NODE_EMPTY;
	if (sum->lone ||
	    (!n->control && n->silent >= NODE_LINK_SUSPECT_TICKS))
		return NODE_DEGRADED;
	/* The last word on the partner counts while the link flaps, too. */
	if (sum->catchup || sum->needs_seed || !n->partner_trusted)
		return NODE_CATCHUP;
	return NODE_SYNC;
}

void node_link_status(const struct node_link *n, struct node_link_status *out)
{
	*out = (struct node_link_status){
		.up = n->control != NULL,
		.suspect = n->silent >= NODE_LINK_SUSPECT_TICKS,
		.member = n->id.member, .trusted = n->id.trusted,
		.regressed = n->regressed,
		.partner_trusted = n->partner_trusted,
		.partner_regressed = n->partner_regressed,
		.silent_ticks = n->silent, .failed_dials = n->failed,
		.since_usec = n->since_usec, .heard_usec = n->heard_usec,
		.clock_diff_usec = n->clock_diff, .partner = n->beat,
		.identity = &n->id, .refused = n->refused};
	trust_sum(n, &out->sum);
	out->state = state_of(n, &out->sum);
}
