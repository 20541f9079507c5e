/* What is shown: status, reports to sync, checkpoints and digests. */

#include "node/base/digest.h"
#include "sync/engine_private.h"

#include <stdlib.h>

#define REPORT_TICKS 20u	/* also when nothing changed: heartbeats live on it */

uint8_t engine_copy(const struct eacct *ea)
{
	switch (ea->peer.state) {
	case PEER_NEEDS_SEED:
		return COPY_NEEDS_SEED;
	case PEER_SEEDING:
		return COPY_SEEDING;
	case PEER_PARKED:
	case PEER_RESIGNED:
		return COPY_PARKED;
	case PEER_FORKED:
		return COPY_FORKED;
	default:
		return COPY_WHOLE;
	}
}

static enum account_sync sync_of(const struct eacct *ea)
{
	if (ea->e->env.single)
		return ACCT_SINGLE;
	switch (ea->peer.state) {
	case PEER_SYNC:
	case PEER_GIVING:
		return ACCT_SYNC;
	case PEER_CATCHUP:
	case PEER_PULLING:
		return ACCT_CATCHUP;
	case PEER_LONE:
		return ACCT_LONE;
	case PEER_JUDGING:
	case PEER_CUTTING:
	case PEER_IDLE:
		return ea->peer.gate == GATE_OPEN ? ACCT_CATCHUP : ACCT_LONE;
	case PEER_FORKED:
		return ACCT_FORKED;
	case PEER_NEEDS_SEED:
		return ACCT_NEEDS_SEED;
	case PEER_SEEDING:
		return ACCT_SEEDING;
	case PEER_PARKED:
	case PEER_RESIGNED:
		return ACCT_PARKED;
	default:
		/* A replica is in SYNC as far as it can know. */
		return ea->peer.gate == GATE_OPEN ? ACCT_SYNC : ACCT_LONE;
	}
}

static void status_of(struct eacct *ea, struct engine_account_status *s)
{
	const struct peer *p = &ea->peer;
	uint64_t end = account_end(ea->a).seq;
	struct list *l;

	*s = (struct engine_account_status){
		.account = ea->a, .state = sync_of(ea), .reason = p->reason,
		.since_usec = ea->state_since_usec,
		.holder = account_holder(ea->a),
		.epoch = account_end(ea->a).epoch,
		.unsafe_acks = ea->unsafe_acks,
		.unsafe_bytes = ea->unsafe_bytes,
		.last_ack_usec = ea->last_ack_usec,
		.last_full_usec = ea->last_full_usec,
		.last_equal_usec = ea->last_equal_usec,
		.maybe_stale = p->maybe_stale, .parked_why = p->parked_why};
	s->unequal = ea->unequal;
	if (peer_holds(p) && !ea->e->env.single) {
		s->mail = ea->mail_seq > p->acked;
		s->unacked_records = end - p->acked;
		s->unacked_bytes = ea->sent_bytes;
		s->oldest_unacked_usec = s->unacked_records ?
					 ea->oldest_unacked_usec : 0;
	} else if (p->state == PEER_PULLING && p->their_end.seq > end) {
		s->unacked_records = p->their_end.seq - end;
	}
	for (l = ea->waiting.next; l != &ea->waiting; l = l->next)
		s->waiting++;
}

void engine_status(struct engine *e, engine_status_cb *cb, void *arg)
{
	struct engine_account_status s;
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (!ea->a)
			continue;
		status_of(ea, &s);
		if (!cb(arg, &s))
			return;
	}
}

void engine_transfers(struct engine *e, engine_transfer_cb *cb, void *arg)
{
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;
		struct engine_transfer t = {.name = ea->name, .full = true};

		if (ea->seed_running) {
			t.receiving = true;
			t.installing = ea->seed_installing;
			t.done = ea->seed_in.n;
			t.size = ea->seed_size;
			t.bodies = ea->seed_whole ? ea->seed_missing : 0;
		} else if (ea->seed_pinned) {
			t.size = ea->seed_out.n;
		} else {
			continue;
		}
		if (!cb(arg, &t))
			return;
	}
	engine_blob_transfers(e, cb, arg);
}

/* --- digests ---------------------------------------------------------------- */

/* Of the published position; remembered while that does not move. */
static void digest_of(struct eacct *ea)
{
	uint64_t at = account_published(ea->a).seq;

	if (ea->last_digest_seq == at && at)
		return;
	account_digest(ea->a, ea->last_digest);
	ea->last_digest_seq = at;
}

static bool quiet(const struct eacct *ea)
{
	return ea->a && account_quiet(ea->a) && account_end(ea->a).seq &&
	       ea->e->env.tick - ea->changed_tick >= 4;
}

/* sum += H(account id, epoch, nonce, seq, digest), mod 2^128. */
static void node_digest_add(struct eacct *ea, struct id128 *sum)
{
	struct position p = account_published(ea->a);
	uint8_t head[32], out[16];
	struct slice parts[2];
	unsigned carry = 0;

	memcpy(head, ea->id.b, 16);
	memcpy(head + 16, &p.epoch, 4);
	memcpy(head + 20, &p.nonce, 4);
	memcpy(head + 24, &p.seq, 8);
	parts[0] = slice_of(head, 32);
	parts[1] = slice_of(ea->last_digest, 16);
	blake2b_mac(slice_of(ea->e->pair_id, 16), parts, 2, out, 16);
	for (size_t i = 0; i < 16; i++) {
		carry += sum->b[i] + out[i];
		sum->b[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

/* One account a message: they are routed by its id. */
static void digest_ask(struct eacct *ea)
{
	struct link_digest item = {.account = ea->id,
				   .seq = account_published(ea->a).seq};
	struct link_msg m = {.type = LINK_DIGEST_REQ, .account = ea->id};

	ea->compare_due = false;
	digest_of(ea);
	memcpy(item.digest, ea->last_digest, 16);
	m.digests.items = &item;
	m.digests.n_items = 1;
	engine_send(ea->e, &m);
}

static void digest_request(struct engine *e)
{
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (quiet(ea) && ea->peer.gate == GATE_OPEN &&
		    ea->peer.state == PEER_REPLICA)
			digest_ask(ea);
	}
}

int engine_compare(struct engine *e, struct id128 id, struct err *err)
{
	struct eacct *ea = engine_known(e, id);

	if (!ea || !ea->a)
		return err_set(err, E_NOTFOUND, "no such account here");
	/* Not from memory. */
	ea->last_digest_seq = 0;
	ea->compare_due = !e->env.single;
	return 0;
}

/* The replica sends what it has; the holder answers with its own.  Equal
 * positions must have equal digests. */
void engine_digest_message(struct engine *e, const struct link_msg *m)
{
	struct eacct *ea = engine_known(e, m->account);
	struct link_msg reply = {.type = LINK_DIGEST_REPLY,
				 .account = m->account};
	struct link_digest own;

	if (!ea || !ea->a || m->digests.n_items != 1 ||
	    account_published(ea->a).seq != m->digests.items[0].seq)
		return;
	digest_of(ea);
	if (memcmp(ea->last_digest, m->digests.items[0].digest, 16) == 0) {
		ea->last_equal_usec = engine_now(e);
		ea->unequal = false;
	} else {
		ea->unequal = true;
		engine_event(e, ea, "digest_mismatch", "the two copies differ at "
			     "an equal position; the replica is seeded");
		if (ea->peer.state == PEER_REPLICA) {
			engine_step_simple(ea, EV_NEEDS_SEED);
			return;
		}
	}
	if (m->type != LINK_DIGEST_REQ)
		return;
	own.account = ea->id;
	own.seq = account_published(ea->a).seq;
	memcpy(own.digest, ea->last_digest, 16);
	reply.digests.items = &own;
	reply.digests.n_items = 1;
	engine_send(e, &reply);
}

/* CHECKPOINT: every 1,000 ops, or a while after the last change, only when
 * everything before it is published. */
void engine_checkpoint_tick(struct eacct *ea)
{
	struct op op = {.kind = OP_CHECKPOINT};
	struct peer_facts f;
	struct err err = ERR_NONE;

	if (!ea->ops_since || !account_quiet(ea->a) ||
	    !list_empty(&ea->queue) || ea->e->env.stopping ||
	    (ea->ops_since < ENGINE_CHECKPOINT_OPS &&
	     ea->e->env.tick - ea->changed_tick < ENGINE_CHECKPOINT_TICKS))
		return;
	engine_facts(ea, &f);
	if (!peer_may_append(&ea->peer, &ea->e->env, &f))
		return;
	ea->ops_since = 0;
	account_digest(ea->a, op.checkpoint.account_digest);
	engine_append_op(ea, &op, 0, &err);
}

/* --- the report to sync -------------------------------------------------------- */

static void count(struct eacct *ea, struct link_report *r)
{
	if (!ea->a) {
		r->incomplete++;
		return;
	}
	if (peer_holds(&ea->peer) && !ea->e->env.single)
		r->records_behind += account_end(ea->a).seq - ea->peer.acked;
	if (ea->peer.gate != GATE_OPEN ||
	    (ea->peer.state != PEER_REPLICA && !peer_holds(&ea->peer)))
		r->incomplete++;
	switch (sync_of(ea)) {
	case ACCT_LONE:
		/* A replica without a gate says nothing about its holder. */
		r->lone += ea->peer.state == PEER_LONE;
		break;
	case ACCT_CATCHUP:
		r->catchup++;
		break;
	case ACCT_FORKED:
		r->forked++;
		break;
	case ACCT_PARKED:
		r->parked++;
		break;
	case ACCT_NEEDS_SEED:
	case ACCT_SEEDING:
		r->needs_seed++;
		break;
	default:
		break;
	}
}

static size_t own_journals(struct engine *e,
			   struct link_journal out[1 + STORE_RETIRED_MAX])
{
	struct journal_id j[1 + STORE_RETIRED_MAX];
	size_t n;

	store_journals(e->store, j);
	n = 1 + store_journals_retired(e->store, j + 1, STORE_RETIRED_MAX);
	for (size_t k = 0; k < n; k++)
		out[k] = (struct link_journal){j[k].id, j[k].last_batch};
	return n;
}

static size_t partner_journals(struct engine *e,
			       struct link_journal out[LINK_JOURNALS_MAX])
{
	struct journal_id j[LINK_JOURNALS_MAX];
	size_t n = store_partner_journals_known(e->store, j, LINK_JOURNALS_MAX);

	for (size_t k = 0; k < n; k++)
		out[k] = (struct link_journal){j[k].id, j[k].last_batch};
	return n;
}

void engine_report(struct engine *e)
{
	struct link_msg m = {.type = LINK_REPORT};
	struct link_journal own[1 + STORE_RETIRED_MAX];
	struct link_journal partner[LINK_JOURNALS_MAX];
	struct buf b;
	size_t i = 0;
	void *v;

	if (!e->failed) {
		m.report.journals = own;
		m.report.n_journals = own_journals(e, own);
		m.report.partner = partner;
		m.report.n_partner = partner_journals(e, partner);
	}
	m.report.set_digest = e->set_digest;
	m.report.accounts = e->n_accounts;
	m.report.failed = e->failed;
	m.report.serial = e->link_serial;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->compare_due && quiet(ea) &&
		    ea->peer.gate == GATE_OPEN &&
		    (ea->peer.state == PEER_REPLICA || peer_holds(&ea->peer)))
			digest_ask(ea);
		count(ea, &m.report);
		if (quiet(ea)) {
			digest_of(ea);
			node_digest_add(ea, &m.report.node_digest);
		}
	}
	buf_init(&b, IPC_MESSAGE_MAX);
	if (link_encode(&b, &m) == 0 &&
	    (!slice_eq(buf_all(&b), buf_all(&e->report_last)) ||
	     e->env.tick - e->report_tick >= REPORT_TICKS)) {
		e->report_tick = e->env.tick;
		e->out.send(e->out.arg, &m);
		buf_reset(&e->report_last);
		buf_slice(&e->report_last, buf_all(&b));
	}
	buf_fini(&b);
	/* Once in 5 minutes a replica compares every quiet account. */
	if (e->env.link && e->env.tick % 600 == 300 + e->env.node)
		digest_request(e);
}
