/*
 * Records on their way to the partner.  Everything that is sent is read from
 * the log, new or old: catching up and keeping up are one path.  What is sent
 * and not acked is bounded; the rest stays in the log.
 */

#include "sync/engine_private.h"

#include <assert.h>

struct pusher {
	struct eacct *ea;
	struct buf body;
	uint64_t to;		/* last seq that may go */
	uint64_t first, count;
	uint32_t nonce;
	bool full, sent_part;
};

static void flush(struct pusher *p)
{
	struct eacct *ea = p->ea;
	struct link_msg m = {.type = LINK_RECORDS, .account = ea->id,
			     .gen = ea->peer.gen};

	if (!p->count)
		return;
	m.records.first_seq = p->first;
	m.records.count = p->count;
	m.records.first_nonce = p->nonce;
	m.records.published = account_published(ea->a).seq;
	m.body = buf_all(&p->body);
	ea->told_published = m.records.published;
	engine_send(ea->e, &m);
	buf_reset(&p->body);
	p->count = 0;
}

/* A record that fits into no message goes in pieces. */
static void send_parts(struct pusher *p, const struct store_frame *f)
{
	struct eacct *ea = p->ea;
	struct link_msg m = {.type = LINK_RECORDS, .account = ea->id,
			     .gen = ea->peer.gen};
	size_t n = f->bodies ? f->bodies->n : 0, at = 0;
	struct buf all;

	flush(p);
	buf_init(&all, LINK_RECORD_WIRE_MAX);
	link_record_put(&all, f->bytes, n ? f->bodies->data : NULL, n);
	assert(!all.failed);
	m.records.first_seq = f->pos.seq;
	m.records.count = 1;
	m.records.first_nonce = f->pos.nonce;
	m.records.published = account_published(ea->a).seq;
	m.records.parts = (uint32_t)((all.n + LINK_RECORDS_MAX - 1) /
				     LINK_RECORDS_MAX);
	while (at < all.n) {
		size_t k = all.n - at < LINK_RECORDS_MAX ? all.n - at :
			   LINK_RECORDS_MAX;

		m.records.part++;
		m.body = slice_of(all.p + at, k);
		engine_send(ea->e, &m);
		at += k;
	}
	buf_fini(&all);
}

static size_t wire_size(const struct store_frame *f)
{
	size_t n = 8 + f->bytes.n;

	for (size_t i = 0; f->bodies && i < f->bodies->n; i++)
		n += 4 + f->bodies->data[i].n;
	return n;
}

static bool one(void *arg, const struct store_frame *f)
{
	struct pusher *p = arg;
	struct eacct *ea = p->ea;
	size_t size = wire_size(f), n = f->bodies ? f->bodies->n : 0;

	if (f->pos.seq > p->to || ea->sent_bytes > ENGINE_INFLIGHT_MAX) {
		p->full = true;
		return false;
	}
	ea->sent_bytes += size;
	ea->send_next = f->pos.seq + 1;
	if (size > LINK_RECORDS_MAX) {
		send_parts(p, f);
		return true;
	}
	if (p->body.n + size > LINK_RECORDS_MAX)
		flush(p);
	if (!p->count) {
		p->first = f->pos.seq;
		p->nonce = f->pos.nonce;
	}
	link_record_put(&p->body, f->bytes, n ? f->bodies->data : NULL, n);
	p->count++;
	return true;
}

void engine_push(struct eacct *ea)
{
	struct engine *e = ea->e;
	struct peer_facts f;
	struct pusher p = {.ea = ea};
	struct err err = ERR_NONE;
	int r = 0;

	if (!ea->send_next || ea->peer.gate != GATE_OPEN)
		return;
	engine_facts(ea, &f);
	p.to = peer_sendable(&ea->peer, &f);
	if (ea->send_next > p.to)
		return;
	buf_init(&p.body, IPC_MESSAGE_MAX);
	while (ea->send_next <= p.to && !p.full) {
		uint64_t before = ea->send_next;

		r = store_read(e->store, ea->a, before - 1, LINK_RECORDS_MAX,
			       one, &p, &err);
		if (r < 0 || ea->send_next == before)
			break;
	}
	flush(&p);
	buf_fini(&p.body);
	if (r < 0) {
		/* What the partner needs cannot be read here: below the floor
		 * its copy is seeded, else this log is damaged. */
		ea->send_next = 0;
		if (r == E_NOTFOUND) {
			ea->floor_known = false;
			engine_floor(ea);
			engine_step_simple(ea, EV_GATE);
		} else {
			engine_park(ea, err.op);
		}
	}
}

/* What gathered in the turn: acks, records, the published position. */
void engine_turn_account(struct eacct *ea)
{
	struct engine *e = ea->e;
	struct link_msg m = {.account = ea->id};
	bool holds;

	if (!ea->a)
		return;
	engine_pump(ea);
	engine_push(ea);
	m.gen = ea->peer.gen;
	holds = peer_holds(&ea->peer) || ea->peer.state == PEER_GIVING;
	if (ea->ack_due && ea->peer.gate == GATE_OPEN) {
		m.type = LINK_ACK;
		m.ack = account_durable(ea->a);
		engine_send(e, &m);
		ea->ack_due = false;
	}
	if (holds && ea->peer.gate == GATE_OPEN &&
	    ea->told_published != account_published(ea->a).seq) {
		m.type = LINK_PUBLISHED;
		m.published = account_published(ea->a).seq;
		ea->told_published = m.published;
		engine_send(e, &m);
	}
	engine_asks_settle(ea);
}
