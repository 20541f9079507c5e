/* Steps of an account's peer, and what its actions do to storage. */

#include "sync/engine_private.h"
#include "storage/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void engine_step_simple(struct eacct *ea, enum peer_event_kind k)
{
	engine_step(ea, &(struct peer_event){.kind = k,
					     .random = engine_random(ea->e)});
}

void engine_park(struct eacct *ea, const char *why)
{
	free(ea->parked_why);
	ea->parked_why = xstrdup(why);
	engine_step(ea, &(struct peer_event){.kind = EV_PARK,
					     .text = ea->parked_why});
}

/* Appends a record with this one op, no bodies. */
int engine_append_op(struct eacct *ea, const struct op *op, uint64_t modseq,
		     struct err *err)
{
	struct record r = {.modseq = modseq, .ops = (struct op *)(uintptr_t)op,
			   .n_ops = 1};
	int n = store_append(ea->e->store, ea->a, &r, NULL, NULL, err);

	if (n < 0)
		return n;
	engine_step(ea, &(struct peer_event){.kind = EV_APPENDED,
					     .seq = account_end(ea->a).seq,
					     .lineage = true});
	engine_dirty(ea);
	return 0;
}

/* --- lineage records -------------------------------------------------------------- */

static bool highest(void *arg, struct mailbox *m)
{
	uint32_t *high = arg;

	if (mailbox_uidvalidity(m) > *high)
		*high = mailbox_uidvalidity(m);
	return true;
}

/* The low 16 bits of the epoch begin anew: every mailbox is renewed. */
static uint32_t wrap_base(struct eacct *ea, uint32_t epoch)
{
	struct engine *e = ea->e;
	uint32_t high = (uint32_t)(engine_now(e) / USEC_PER_SEC);

	if (account_end(ea->a).epoch >> 16 == epoch >> 16)
		return 0;
	account_mailboxes(ea->a, highest, &high);
	high++;
	return (high & 1) == e->env.node ? high : high + 1;
}

/* A journal that is full for a moment is no reason for quarantine: the peer
 * takes its decision back, and comes to it again. */
static void not_appended(struct eacct *ea, int result, const struct err *err)
{
	if (result >= 0)
		return;
	if (result != E_TEMP && result != E_NOSPACE) {
		engine_park(ea, err->op);
		return;
	}
	engine_step(ea, &(struct peer_event){.kind = EV_APPENDED,
					     .lineage = true, .result = result});
	/* Room comes, or the next tick does. */
	engine_dirty(ea);
}

static void begin(struct eacct *ea, const struct peer_action *act)
{
	struct engine *e = ea->e;
	struct err err = ERR_NONE;
	struct op op = {.kind = OP_EPOCH_BEGIN};

	op.epoch_begin = (struct op_epoch_begin){
		.epoch = act->epoch,
		.nonce = (uint32_t)engine_random(e) | 1,
		.node = (uint8_t)e->env.node,
		.parent = account_end(ea->a),
		.reason = act->reason,
		.jump = act->jump,
		.uidvalidity_base = wrap_base(ea, act->epoch),
	};
	not_appended(ea, engine_append_op(ea, &op, 0, &err), &err);
}

static void hand_over(struct eacct *ea)
{
	struct err err = ERR_NONE;
	struct op op = {.kind = OP_HANDOVER};

	op.handover.to = (uint8_t)(1 - ea->e->env.node);
	op.handover.counter = account_counter(ea->a);
	account_digest(ea->a, op.handover.account_digest);
	not_appended(ea, engine_append_op(ea, &op, 0, &err), &err);
}

struct one_op {
	struct arena *arena;
	struct op op;
	bool found;
};

static bool first_op(void *arg, const struct store_frame *sf)
{
	struct one_op *o = arg;
	struct frame f;
	struct record r;

	if (frame_get(sf->bytes, &f, NULL) > 0 &&
	    record_decode(f.payload, o->arena, &r, NULL) == 0 && r.n_ops) {
		o->op = r.ops[0];
		o->found = true;
	}
	return false;
}

/* Was the last epoch begun because the partner was written off? */
bool engine_written_off(struct eacct *ea)
{
	struct one_op o = {arena_new(4096), {0}, false};
	const struct lineage_entry *l;
	bool yes = false;
	size_t n;

	l = account_lineage(ea->a, &n);
	if (n && account_holder(ea->a) == (int)ea->e->env.node &&
	    store_read(ea->e->store, ea->a, l[n - 1].first_seq - 1, 1, first_op,
		       &o, NULL) == 0)
		yes = o.found && o.op.kind == OP_EPOCH_BEGIN &&
		      o.op.epoch_begin.reason == EPOCH_FORGOTTEN;
	arena_free(o.arena);
	return yes;
}

/* A CHECKPOINT told another digest than this copy has: a fault of ours.  The
 * holder serves on, the other copy is seeded. */
static void checkpoints(struct eacct *ea, unsigned before)
{
	if (account_mismatches(ea->a) == before)
		return;
	engine_event(ea->e, ea, "digest_mismatch", "this copy does not have the "
		     "digest of a checkpoint in its log");
	ea->unequal = true;
	engine_step_simple(ea, EV_NEEDS_SEED);
}

/* What is durable waits for room or for a disk that can be written; whoever
 * waits for it is told that its outcome is not known.  The peer asks for the
 * same again at its next step, at the latest a tick. */
static void publish_later(struct eacct *ea, const struct err *err)
{
	char text[480];

	if (!ea->publish_waits) {
		snprintf(text, sizeof(text), "%.400s: changes wait until that "
			 "is over", err->op);
		engine_event(ea->e, ea, "publish_waits", text);
	}
	ea->publish_waits = true;
	engine_published(ea);		/* those before it */
	engine_unknown_code(ea, err->code, err->op);
}

static int publish(struct eacct *ea, uint64_t seq)
{
	struct err err = ERR_NONE;
	unsigned before = account_mismatches(ea->a);
	int r;

	if (seq <= account_published(ea->a).seq)
		return 0;
	r = store_publish(ea->e->store, ea->a, seq, &err);
	if (r == E_NOSPACE || r == E_TEMP) {
		publish_later(ea, &err);
		return r;
	}
	if (r < 0) {
		engine_park(ea, err.op);
		return r;
	}
	if (ea->publish_waits)
		engine_event(ea->e, ea, "publish_goes_on", "what waited is "
			     "written");
	ea->publish_waits = false;
	checkpoints(ea, before);
	ea->changed_tick = ea->e->env.tick;
	engine_published(ea);
	engine_dirty(ea);
	return 0;
}

/* The receiver of a HANDOVER: does its copy equal the giver's? */
static void check_handover(struct eacct *ea, uint64_t seq)
{
	struct one_op o = {arena_new(4096), {0}, false};
	uint8_t digest[16];
	int result = E_CORRUPT;

	if (publish(ea, seq - 1) < 0)
		result = E_TEMP;
	else if (store_read(ea->e->store, ea->a, seq - 1, 1, first_op, &o,
			    NULL) == 0 &&
		 o.found && o.op.kind == OP_HANDOVER) {
		account_digest(ea->a, digest);
		if (memcmp(digest, o.op.handover.account_digest, 16) == 0)
			result = 0;
	}
	arena_free(o.arena);
	if (result == 0 && publish(ea, seq) < 0)
		result = E_TEMP;
	engine_step(ea, &(struct peer_event){.kind = EV_HANDOVER_CHECKED,
					     .result = result});
}

/* --- forks --------------------------------------------------------------------------- */

struct scan {
	struct arena *arena;
	uint64_t fork;
	unsigned node;
	int holder;
	bool wrote, changes, bad;
	uint64_t at;
};

static bool scan_frame(void *arg, const struct store_frame *sf)
{
	struct scan *c = arg;
	struct frame f;
	struct record r;
	bool tail = sf->pos.seq > c->fork;

	arena_reset(c->arena);
	if (frame_get(sf->bytes, &f, NULL) <= 0 ||
	    record_decode(f.payload, c->arena, &r, NULL) != 0) {
		c->bad = true;
		return false;
	}
	c->at = sf->pos.seq;
	for (size_t i = 0; i < r.n_ops; i++) {
		const struct op *op = &r.ops[i];

		if (op->kind == OP_EPOCH_BEGIN)
			c->holder = op->epoch_begin.node;
		/* The giver writes the HANDOVER. */
		if (tail && c->holder == (int)c->node)
			c->wrote = true;
		if (op->kind == OP_HANDOVER)
			c->holder = op->handover.to;
		else if (op->kind != OP_EPOCH_BEGIN &&
			 op->kind != OP_CHECKPOINT && op->kind != OP_NOOP && tail)
			c->changes = true;
	}
	return true;
}

/* Who wrote the tail behind the common part, and is there more than lineage
 * in it?  Read from the begin of the epoch that the fork lies in. */
static void scan_fork(struct eacct *ea, uint64_t fork)
{
	struct scan c = {.arena = arena_new(65536), .fork = fork,
			 .node = ea->e->env.node,
			 .holder = ea->id.b[15] & 1};
	uint64_t from = 0, end = account_end(ea->a).seq;
	const struct lineage_entry *l;
	size_t n;

	l = account_lineage(ea->a, &n);
	for (size_t i = 0; i < n; i++)
		if (l[i].first_seq <= fork)
			from = l[i].first_seq - 1;
	c.at = from;
	while (c.at < end && !c.bad) {
		uint64_t before = c.at;

		if (store_read(ea->e->store, ea->a, c.at, SIZE_MAX, scan_frame,
			       &c, NULL) < 0 || c.at == before)
			c.bad = true;
	}
	arena_free(c.arena);
	engine_step(ea, &(struct peer_event){
		.kind = EV_FORK_FACTS, .wrote = c.wrote, .changes = c.changes,
		.known = !c.bad});
}

void engine_token_put(struct engine_token *t)
{
	t->refs--;
	if (!t->e && !t->refs)
		free(t);
}

static void cut_done(void *arg, struct account *a, int result)
{
	struct engine_token *t = arg;
	struct engine *e = t->e;
	struct eacct *ea = e ? engine_known(e, account_id(a)) : NULL;

	engine_token_put(t);
	if (!ea || !ea->a)
		return;
	ea->floor_known = false;
	engine_step(ea, &(struct peer_event){.kind = EV_CUT_DONE,
					     .result = result,
					     .random = engine_random(e)});
	engine_dirty(ea);
}

/* --- marks ----------------------------------------------------------------------------- */

struct marked {
	struct list node;		/* engine_token.marks */
	struct engine_token *token;
	struct id128 id;
	uint64_t serial;
};

static void marked(void *arg, struct account *a)
{
	struct marked *m = arg;
	struct engine *e = m->token->e;
	struct eacct *ea = e ? engine_known(e, m->id) : NULL;
	uint64_t serial = m->serial;

	(void)a;
	list_remove(&m->node);
	engine_token_put(m->token);
	free(m);
	if (!ea)
		return;
	if (ea->a)
		engine_step(ea, &(struct peer_event){.kind = EV_MARKED,
						     .seq = serial});
	engine_dirty(ea);
}

static void mark(struct eacct *ea, const struct peer_action *act)
{
	struct position known = store_partner_known(ea->a);
	struct marked *m;

	if (act->mark == MARK_SYNC) {
		store_mark(ea->e->store, ea->a, MARK_SYNC, LONE_NONE, known,
			   NULL, NULL);
		return;
	}
	m = NEW(struct marked);
	*m = (struct marked){.token = ea->e->token, .id = ea->id,
			     .serial = act->seq};
	list_init(&m->node);
	list_append(&m->token->marks, &m->node);
	m->token->refs++;
	store_mark(ea->e->store, ea->a, MARK_LONE,
		   (enum lone_reason)act->reason, known, marked, m);
}

static void acked(struct eacct *ea, uint64_t seq)
{
	struct position p;

	ea->last_ack_usec = engine_now(ea->e);
	if (store_position_at(ea->e->store, ea->a, seq, &p) == 0)
		store_partner_acked(ea->e->store, ea->a, p);
	if (seq >= account_end(ea->a).seq) {
		ea->oldest_unacked_usec = 0;
		ea->last_full_usec = ea->last_ack_usec;
	}
	engine_dirty(ea);
}

/* --- actions ----------------------------------------------------------------------------- */

static void send_text(struct eacct *ea, uint16_t type, const char *text)
{
	struct link_msg m = {.type = type, .account = ea->id};

	m.text.code = E_TEMP;
	m.text.text = slice_sub(slice_str(text), 0, LINK_TEXT_MAX);
	engine_send(ea->e, &m);
}

static void happened(struct eacct *ea, const struct peer_action *act)
{
	struct engine *e = ea->e;
	char text[480];

	if (!strcmp(act->text, "account_sync") && ea->unsafe_acks) {
		snprintf(text, sizeof(text), "in SYNC: %" PRIu64
			 " changes acknowledged with one copy are safe now",
			 ea->unsafe_acks);
		ea->unsafe_acks = ea->unsafe_bytes = 0;
	} else if (ea->peer.state == PEER_PARKED && ea->peer.parked_why) {
		snprintf(text, sizeof(text), "%s", ea->peer.parked_why);
	} else {
		snprintf(text, sizeof(text), "%s",
			 peer_state_name(ea->peer.state));
	}
	if (!strcmp(act->text, "account_lone"))
		ea->oldest_unacked_usec = engine_now(e);
	ea->state_since_usec = engine_now(e);
	engine_event(e, ea, act->text, text);
}

/* What is only said to the partner. */
static bool said(struct eacct *ea, const struct peer_action *act)
{
	struct engine *e = ea->e;
	struct link_msg m = {.account = ea->id, .gen = ea->peer.gen};

	switch (act->kind) {
	case ACT_SEND_REQ:
		engine_send_position(ea, LINK_POSITION_REQ, act->gen);
		return true;
	case ACT_SEND_POSITION:
		engine_send_position(ea, LINK_POSITION, act->gen);
		return true;
	case ACT_NACK:
		if (ea->missing_set)
			return true;	/* asked for when its body is here */
		m.type = LINK_NACK;
		m.nack.expected = act->seq;
		break;
	case ACT_ASK_REPLY:
		m.type = LINK_ASK_REPLY;
		m.ask_reply.verdict = act->verdict;
		m.ask_reply.end = account_end(ea->a);
		break;
	case ACT_SEND_FORKINFO:
		m.type = LINK_FORKINFO;
		store_position_at(e->store, ea->a, act->seq, &m.forkinfo.fork);
		m.forkinfo.wrote = act->wrote;
		m.forkinfo.changes = act->changes;
		m.forkinfo.known = act->known;
		m.forkinfo.shown = act->shown;
		break;
	case ACT_SEND_PARK:
		send_text(ea, LINK_PARK, act->text ? act->text : "");
		return true;
	default:
		return false;
	}
	engine_send(e, &m);
	return true;
}

static void send_from(struct eacct *ea, uint64_t seq)
{
	if (seq && seq != ea->send_next && !engine_on_its_way(ea, seq)) {
		engine_unsend(ea);
		ea->send_next = seq;
	}
	engine_dirty(ea);
}

static void stop_sending(struct eacct *ea)
{
	engine_unsend(ea);
	ea->send_next = ea->told_published = 0;
	ea->parts_in = 0;
	ea->nacked = ea->body_out = false;
	engine_parts_drop(ea);
}

static void run(struct eacct *ea, const struct peer_action *act)
{
	struct engine *e = ea->e;

	if (said(ea, act))
		return;
	switch (act->kind) {
	case ACT_SEND_FROM:
		send_from(ea, act->seq);
		break;
	case ACT_STOP_SENDING:
		stop_sending(ea);
		break;
	case ACT_ACK:
		ea->ack_due = true;
		engine_dirty(ea);
		break;
	case ACT_BEGIN:
		begin(ea, act);
		break;
	case ACT_HANDOVER:
		hand_over(ea);
		break;
	case ACT_CHECK_HANDOVER:
		check_handover(ea, act->seq);
		break;
	case ACT_PUBLISH:
		publish(ea, act->seq);
		break;
	case ACT_MARK:
		mark(ea, act);
		break;
	case ACT_ACKED:
		acked(ea, act->seq);
		break;
	case ACT_EVICT:
		if (e->out.evict && ea->sessions)
			e->out.evict(e->out.arg, ea->a, act->text);
		break;
	case ACT_UNKNOWN:
		engine_unknown(ea, act->all, act->seq);
		break;
	case ACT_SCAN_FORK:
		scan_fork(ea, act->seq);
		break;
	case ACT_CUT:
		e->token->refs++;
		store_cut(e->store, ea->a, act->seq, cut_done, e->token);
		break;
	case ACT_SEED:
		engine_seed_start(ea);
		break;
	case ACT_EVENT:
		happened(ea, act);
		break;
	default:			/* ACT_WORK, ACT_TELL_PUBLISHED */
		engine_dirty(ea);
		break;
	}
}

void engine_step(struct eacct *ea, const struct peer_event *ev)
{
	struct peer_actions out = {.n = 0};
	struct peer_facts f;

	engine_facts(ea, &f);
	peer_step(&ea->peer, &ea->e->env, &f, ev, &out);
	for (size_t i = 0; i < out.n; i++)
		run(ea, &out.a[i]);
	if (!list_empty(&ea->asks))
		engine_dirty(ea);
}
