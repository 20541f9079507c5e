/* The partner's messages about one account. */

#include "sync/engine_private.h"
#include "storage/frame.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void engine_send_position(struct eacct *ea, uint16_t type, uint64_t gen)
{
	struct engine *e = ea->e;
	struct link_msg m = {.type = type, .account = ea->id, .gen = gen};
	struct link_position *p = &m.position;
	const struct lineage_entry *l;
	size_t n, cut = 0;

	p->copy = engine_copy(ea);
	p->trusted = e->env.trusted;
	p->regressed = e->env.regressed;
	p->holder = (int8_t)account_holder(ea->a);
	if (type == LINK_POSITION_REQ) {
		/* The name, so that the partner can make the account. */
		p->name = slice_str(ea->name);
		engine_send(e, &m);
		return;
	}
	p->end = account_end(ea->a);
	p->mark = ea->peer.own_mark;
	p->published = account_published(ea->a).seq;
	p->floor = engine_floor(ea);
	store_position_at(e->store, ea->a, ea->peer.own_acked, &p->acked);
	l = account_lineage(ea->a, &n);
	if (n > LINK_LINEAGE_MAX)
		cut = n - LINK_LINEAGE_MAX;
	/* Only read. */
	p->lineage = (struct lineage_entry *)(uintptr_t)(l + cut);
	p->n_lineage = n - cut;
	engine_send(e, &m);
	if (e->low_space)
		engine_send_pressure(ea);
}

/* The journal or the logs of this node have no room: the partner goes alone
 * with what it holds, until there is. */
void engine_send_pressure(struct eacct *ea)
{
	struct link_msg m = {.type = LINK_PRESSURE, .account = ea->id};

	m.text.code = ea->e->low_space ? PRESSURE_SPACE : PRESSURE_NONE;
	m.text.text = SLICE_LIT("less than pair_reserve is free");
	engine_send(ea->e, &m);
}

/* Equal (epoch, nonce, seq) with another chain is no fork but damage or a
 * fault of ours: nothing is followed, nothing dropped. */
static bool diverged(struct eacct *ea, const struct link_position *p)
{
	struct position own;

	if (!p->end.seq || p->end.seq > account_end(ea->a).seq ||
	    store_position_at(ea->e->store, ea->a, p->end.seq, &own) < 0)
		return false;
	return own.epoch == p->end.epoch && own.nonce == p->end.nonce &&
	       own.chain != p->end.chain;
}

static void position(struct eacct *ea, const struct link_msg *m)
{
	if (m->gen != ea->peer.gen)
		return;
	engine_floor(ea);
	if (diverged(ea, &m->position)) {
		engine_park(ea, "the two logs differ at an equal position: "
			    "compare with `duetadm replicator verify'");
		return;
	}
	engine_step(ea, &(struct peer_event){
		.kind = EV_POSITION, .gen = m->gen, .position = &m->position,
		.random = engine_random(ea->e)});
	engine_dirty(ea);
}

static void nack(struct eacct *ea, bool lagging)
{
	struct link_msg m = {.type = LINK_NACK, .account = ea->id,
			     .gen = ea->peer.gen};

	if (ea->nacked)
		return;
	ea->nacked = true;
	m.nack.expected = account_end(ea->a).seq + 1;
	m.nack.lagging = lagging;
	engine_send(ea->e, &m);
}

/* One record; false: the rest of the message is of no use. */
static bool accept_one(struct eacct *ea, const struct link_record *r,
		       uint64_t published)
{
	struct engine *e = ea->e;
	struct frame_bodies bodies = {r->bodies, r->n_bodies};
	struct peer_event ev = {.kind = EV_ACCEPTED, .published = published,
				.handover = -1};
	struct position before = account_end(ea->a), now;
	struct err err = ERR_NONE;
	uint8_t missing[32];
	int was = account_holder(ea->a);
	int n = store_accept(e->store, ea->a, r->frame, &bodies, missing, &err);

	switch (n) {
	case 0:
		break;
	case E_EXISTS:
		ea->ack_due = true;
		engine_dirty(ea);
		return true;
	case -ERANGE:
		nack(ea, false);
		return false;
	case E_NOTFOUND:
		/* Bodies come first; the frame is read again then. */
		if (ea->missing_set && memcmp(ea->missing, missing, 32))
			engine_blob_unwant(ea, ea->missing, TRANSFER_RECORD);
		memcpy(ea->missing, missing, 32);
		ea->missing_set = true;
		engine_blob_want(ea, missing, 0, TRANSFER_RECORD);
		return false;
	case E_TEMP:
	case E_LIMIT:
		ea->retry_work = true;	/* asked for again at the next tick */
		return false;
	default:
		engine_park(ea, err.op);
		return false;
	}
	ea->nacked = ea->missing_set = false;
	now = account_end(ea->a);
	ev.seq = now.seq;
	/* The partner has what it sent: it need not come back. */
	if (ea->send_next && ea->send_next <= now.seq)
		ea->send_next = now.seq + 1;
	/* A new holder without a new epoch: that was a HANDOVER. */
	if (account_holder(ea->a) != was && now.epoch == before.epoch &&
	    now.nonce == before.nonce) {
		ev.handover = account_holder(ea->a);
		ev.handover_seq = now.seq;
	}
	engine_step(ea, &ev);
	return peer_accepts(&ea->peer, ea->peer.gen);
}

static void take_records(struct eacct *ea, struct slice in, uint64_t published)
{
	struct arena *a = arena_new(1024);
	struct link_record r;
	int n;

	while ((n = link_record_get(in, a, &r)) > 0) {
		if (!accept_one(ea, &r, published))
			break;
		in = slice_sub(in, (size_t)n, in.n);
		arena_reset(a);
	}
	if (n < 0)
		engine_park(ea, "the partner sent a record that is not "
			    "readable");
	arena_free(a);
}

/* The partner goes by another generation than this node, and both believe
 * theirs to be agreed (connections changed quickly): ask anew. */
static void other_generation(struct eacct *ea, const struct link_msg *m)
{
	if (m->gen != ea->peer.gen && ea->peer.gate == GATE_OPEN &&
	    ea->e->env.tick - ea->peer.asked_tick >= PEER_ASK_TICKS)
		engine_step_simple(ea, EV_GATE);
}

/* Positions again, but not at every message. */
static void ask_anew(struct eacct *ea)
{
	if (ea->e->env.tick - ea->peer.asked_tick >= PEER_ASK_TICKS)
		engine_step_simple(ea, EV_GATE);
}

/* A frame of the present generation that is new here, and this node holds:
 * both do.  The exchange finds the fork before either has been alone for long
 * enough to acknowledge with one copy. */
static void both_hold(struct eacct *ea, const struct link_msg *m)
{
	const struct link_records *r = &m->records;

	if (m->gen == ea->peer.gen && ea->peer.gate == GATE_OPEN &&
	    (peer_holds(&ea->peer) || ea->peer.begun_seq) &&
	    r->first_seq + r->count > ea->peer.their_end.seq + 1)
		ask_anew(ea);
}

void engine_parts_drop(struct eacct *ea)
{
	ea->e->parts_bytes -= ea->part.n;
	ea->part_next = 0;
	buf_shrink(&ea->part, 0);
}

/* The next part of a large record. */
static void take_part(struct eacct *ea, const struct link_msg *m)
{
	const struct link_records *r = &m->records;
	struct engine *e = ea->e;

	if (r->part == 1)
		engine_parts_drop(ea);
	/* Each part is credited, or no more would come. */
	ea->parts_in++;
	ea->ack_due = true;
	engine_dirty(ea);
	if (e->parts_bytes > ea->part.n &&
	    e->parts_bytes + m->body.n > e->parts_room) {
		/* Beside those of others there is no room: later. */
		engine_parts_drop(ea);
		ea->retry_work = true;
		return;
	}
	ea->part_seq = r->first_seq;
	e->parts_bytes -= ea->part.n;
	buf_slice(&ea->part, m->body);
	e->parts_bytes += ea->part.n;
	ea->part_next = r->part + 1;
	if (ea->part.failed) {
		engine_parts_drop(ea);
		engine_park(ea, "the partner sent a record that is too large");
	} else if (r->part == r->parts) {
		ea->part_next = 0;
		take_records(ea, buf_all(&ea->part), r->published);
		engine_parts_drop(ea);
	}
}

static void records(struct eacct *ea, const struct link_msg *m)
{
	const struct link_records *r = &m->records;

	other_generation(ea, m);

	if (!peer_accepts(&ea->peer, m->gen)) {
		both_hold(ea, m);
		return;
	}
	if (!r->parts) {
		engine_parts_drop(ea);
		take_records(ea, m->body, r->published);
	} else if (r->part == 1 || (r->part == ea->part_next &&
				    r->first_seq == ea->part_seq)) {
		take_part(ea, m);
	} else {
		engine_parts_drop(ea);
		nack(ea, false);
	}
	engine_step(ea, &(struct peer_event){.kind = EV_PUBLISHED,
					     .seq = r->published});
}

void engine_accept_again(struct eacct *ea)
{
	if (!ea->missing_set)
		return;
	ea->missing_set = ea->nacked = false;
	if (peer_accepts(&ea->peer, ea->peer.gen))
		nack(ea, false);
}

/* The partner need not wait for this node's Position: none will come. */
static void refuse(struct engine *e, struct id128 id, const char *text)
{
	struct link_msg m = {.type = LINK_PARK, .account = id};

	m.text.code = E_NOTFOUND;
	m.text.text = slice_sub(slice_str(text), 0, LINK_TEXT_MAX);
	engine_send(e, &m);
}

/* PositionReq for an account that is not known or not open here. */
static bool opened(struct engine *e, struct eacct **ea, const struct link_msg *m)
{
	struct err err = ERR_NONE;
	char *name;

	if (*ea) {
		if ((*ea)->a)
			return true;
		if (engine_open(*ea, NULL, false, &err) == 0)
			return true;
		engine_event(e, *ea, "account_not_opened", err.op);
		refuse(e, m->account, err.op);
		return false;
	}
	if (m->type != LINK_POSITION_REQ)
		return false;
	name = xstrndup(m->position.name.p, m->position.name.n);
	if (e->out.locate && name[0] &&
	    strlen(name) == m->position.name.n &&
	    id128_eq(account_id_of(slice_of(e->pair_id, 16),
				   m->position.name), m->account))
		/* The request is repeated; by then it may be known. */
		e->out.locate(e->out.arg, m->account, name);
	else
		refuse(e, m->account, "unknown account");
	free(name);
	return false;
}

void engine_located(struct engine *e, struct id128 id, const char *name,
		    const char *root, const struct err *why)
{
	struct eacct *ea = NULL;
	struct err err = ERR_NONE;
	const char *text = why && why->op[0] ? why->op :
			   "unknown user on this node";

	if (root) {
		if (engine_open_new(e, id, name, root, true, &ea, &err) == 0)
			return;
		text = err.op;
		engine_event(e, ea, "account_not_opened", text);
	}
	refuse(e, id, text);
}

/* Is what the partner has at this seq what this log has?  Numbers alone say
 * nothing: two histories have the same ones. */
static bool ack_fits(struct eacct *ea, const struct position *ack)
{
	struct position own;

	if (ack->seq <= ea->peer.acked)
		return true;
	return store_position_at(ea->e->store, ea->a, ack->seq, &own) == 0 &&
	       position_eq(own, *ack);
}

static void other(struct eacct *ea, const struct link_msg *m)
{
	struct peer_event ev = {.gen = m->gen, .random = engine_random(ea->e)};
	bool open = m->gen == ea->peer.gen && ea->peer.gate == GATE_OPEN;

	if (m->type == LINK_ACK || m->type == LINK_PUBLISHED ||
	    m->type == LINK_ASK)
		other_generation(ea, m);
	switch (m->type) {
	case LINK_POSITION_REQ:
		engine_floor(ea);
		ev.kind = EV_POSITION_REQ;
		break;
	case LINK_ACK:
		if (!open)
			return;
		if (!ack_fits(ea, &m->ack)) {
			ask_anew(ea);
			return;
		}
		ev.kind = EV_ACK;
		ev.seq = m->ack.seq;
		if (m->ack.seq >= account_end(ea->a).seq)
			ea->body_out = false;
		engine_sent_acked(ea, m->ack.seq, m->id);
		engine_dirty(ea);
		break;
	case LINK_NACK:
		if (!open)
			return;
		ev.kind = EV_NACK;
		ev.seq = m->nack.expected;
		engine_unsend(ea);
		ea->send_next = ea->told_published = 0;
		ea->body_out = false;
		break;
	case LINK_PUBLISHED:
		if (!open)
			return;
		ev.kind = EV_PUBLISHED;
		ev.seq = m->published;
		break;
	case LINK_FORKINFO:
		ev.kind = EV_FORKINFO;
		ev.wrote = m->forkinfo.wrote;
		ev.changes = m->forkinfo.changes;
		ev.known = m->forkinfo.known;
		ev.shown = m->forkinfo.shown;
		break;
	case LINK_ASK:
		if (!open)
			return;
		ev.kind = EV_ASKED;
		ev.switchover = m->ask.switchover;
		/* A delivery moves nothing. */
		ev.result = m->ask.login || m->ask.switchover ? 0 : 1;
		break;
	case LINK_PARK:
		ev.kind = EV_PARKED_THERE;
		ev.result = m->text.code;
		break;
	case LINK_PRESSURE:
		ev.kind = EV_PRESSURE;
		ev.result = m->text.code != PRESSURE_NONE;
		break;
	default:
		return;
	}
	engine_step(ea, &ev);
	engine_dirty(ea);
}

void engine_account_message(struct engine *e, const struct link_msg *m)
{
	struct eacct *ea = engine_known(e, m->account);

	if (m->type == LINK_DELIVER) {
		engine_deliver(e, m);
		return;
	}
	if (m->type == LINK_DELIVERED) {
		engine_delivered(e, m);
		return;
	}
	if (m->type == LINK_DIGEST_REQ || m->type == LINK_DIGEST_REPLY) {
		engine_digest_message(e, m);
		return;
	}
	if (!e->env.link || !opened(e, &ea, m))
		return;
	switch (m->type) {
	case LINK_POSITION:
		position(ea, m);
		break;
	case LINK_RECORDS:
		records(ea, m);
		break;
	case LINK_ASK_REPLY:
	case LINK_NOT_HOLDER:
		engine_ask_reply(e, m);
		break;
	case LINK_BLOB_OFFER: case LINK_BLOB_WANT: case LINK_BLOB_DATA:
	case LINK_BLOB_DONE:
		engine_blob_message(ea, m);
		break;
	case LINK_SEED_OFFER: case LINK_SEED_WANT: case LINK_SEED_DIFF:
	case LINK_SEED_DONE:
		engine_seed_message(ea, m);
		break;
	default:
		other(ea, m);
		break;
	}
}
