/*
 * Records on their way to the partner.  Everything that is sent is read from
 * the log, new or old: catching up and keeping up are one path.
 *
 * What is sent and not acked is bounded, the rest stays in the log:
 *  - an account that clients wait for sends at once, up to ENGINE_LIVE_MAX;
 *  - everything else takes turns, a piece at a time, within a window that all
 *    accounts of the process share.  It shrinks while acks are slow, so that a
 *    slow link never has much more than a second of records queued before it:
 *    what another account, or the heartbeat, has to say waits behind that.
 *  - half of the channel to sync is left to acks, positions and answers.
 * A record that is larger than a piece goes in parts, one such record at a
 * time; the partner credits each part with an ack that moves nothing.
 */

#include "sync/engine_private.h"

#include <assert.h>
#include <stdlib.h>

struct pusher {
	struct eacct *ea;
	struct buf body;
	uint64_t to;		/* last seq that may go */
	uint64_t first, count, last;
	uint32_t nonce;
	size_t left;		/* bytes that may go in this turn */
	bool fair, any, stop;
};

/* --- what is under way ------------------------------------------------------ */

static void note(struct eacct *ea, uint64_t seq, size_t bytes, bool fair,
		 bool part)
{
	struct engine *e = ea->e;
	struct sent *s = ea->n_sent ? &ea->sent[ea->n_sent - 1] : NULL;

	ea->sent_bytes += bytes;
	if (fair)
		e->in_flight += bytes;
	/* One entry for what was sent together.  They are few: each stands for
	 * a piece, or for a tick in which an ack may still come. */
	if (s && !part && !s->part && s->fair == fair &&
	    s->tick == e->env.tick && s->bytes < ENGINE_PIECE) {
		s->seq = seq;
		s->bytes += bytes;
		return;
	}
	if (ea->n_sent == ea->cap_sent) {
		ea->cap_sent = ea->cap_sent ? ea->cap_sent * 2 : 8;
		ea->sent = xrealloc(ea->sent,
				    ea->cap_sent * sizeof(*ea->sent));
	}
	ea->sent[ea->n_sent++] = (struct sent){seq, bytes, e->env.tick, fair,
					       part};
}

static void drop(struct eacct *ea, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		ea->sent_bytes -= ea->sent[i].bytes;
		if (ea->sent[i].fair)
			ea->e->in_flight -= ea->sent[i].bytes;
	}
	ea->n_sent -= n;
	if (!ea->n_sent) {
		free(ea->sent);
		ea->sent = NULL;
		ea->cap_sent = 0;
		return;
	}
	memmove(ea->sent + from, ea->sent + from + n,
		(ea->n_sent - from) * sizeof(*ea->sent));
}

static void big_end(struct engine *e)
{
	buf_fini(&e->big.all);
	e->big.ea = NULL;
}

void engine_unsend(struct eacct *ea)
{
	if (ea->n_sent)
		drop(ea, 0, ea->n_sent);
	if (ea->e->big.ea == ea)
		big_end(ea->e);
}

/* How long this ack took says whether more may be under way. */
static void adapt(struct engine *e, const struct sent *s)
{
	uint64_t age = e->env.tick - s->tick;

	if (age * 8 > e->rtt8)
		e->rtt8 = age * 8;
	else
		e->rtt8 -= e->rtt8 / 8 - age;
	if (!s->fair)
		return;
	e->credit_tick = e->env.tick;
	if (age >= ENGINE_SLOW_TICKS) {
		/* Not for what was sent before the last change. */
		if (s->tick < e->shrunk_tick)
			return;
		e->shrunk_tick = e->env.tick;
		e->window = e->window / 2 > ENGINE_WINDOW_MIN ? e->window / 2 :
			    ENGINE_WINDOW_MIN;
		e->round = 0;
		return;
	}
	e->round += s->bytes;
	if (age > 1 || !e->limited || e->round < e->window)
		return;
	e->round = 0;
	e->limited = false;
	e->window = e->window * 2 < ENGINE_WINDOW_MAX ? e->window * 2 :
		    ENGINE_WINDOW_MAX;
}

void engine_sent_acked(struct eacct *ea, uint64_t seq, uint64_t parts)
{
	bool came = parts > 0;
	size_t n = 0;

	for (; n < ea->n_sent && ea->sent[n].seq <= seq; n++)
		adapt(ea->e, &ea->sent[n]);
	if (n)
		drop(ea, 0, n);
	for (n = 0; parts && n < ea->n_sent;) {
		if (!ea->sent[n].part) {
			n++;
			continue;
		}
		adapt(ea->e, &ea->sent[n]);
		drop(ea, n, 1);
		parts--;
	}
	if (ea->e->big.ea == ea && ea->e->big.r.first_seq <= seq)
		big_end(ea->e);
	if (came)
		engine_step_simple(ea, EV_PROGRESS);
}

bool engine_on_its_way(const struct eacct *ea, uint64_t seq)
{
	const struct engine *e = ea->e;
	uint64_t patience = e->rtt8 / 4 > PEER_RESEND_TICKS ? e->rtt8 / 4 :
			    PEER_RESEND_TICKS;

	return ea->n_sent && seq < ea->send_next &&
	       e->env.tick - ea->sent[0].tick < patience;
}

/* Acks can get lost: what they would have credited must not block for ever. */
void engine_send_tick(struct engine *e)
{
	size_t i = 0;
	void *v;

	if (!e->in_flight || e->env.tick - e->credit_tick < ENGINE_CREDIT_TICKS)
		return;
	e->credit_tick = e->env.tick;
	e->in_flight = 0;
	e->window = ENGINE_WINDOW_MIN;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		for (size_t k = 0; k < ea->n_sent; k++)
			ea->sent[k].fair = false;
	}
}

bool engine_waits_its_turn(const struct eacct *ea)
{
	return !list_empty(&ea->push_node) && !ea->n_sent &&
	       ea->peer.state == PEER_CATCHUP && !ea->peer.converging;
}

/* --- records ---------------------------------------------------------------------- */

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
	note(ea, p->last, m.body.n, p->fair, false);
	buf_reset(&p->body);
	p->count = 0;
}

static size_t wire_size(const struct store_frame *f)
{
	size_t n = 8 + f->bytes.n;

	for (size_t i = 0; f->bodies && i < f->bodies->n; i++)
		n += 4 + f->bodies->data[i].n;
	return n;
}

static void big_begin(struct pusher *p, const struct store_frame *f)
{
	struct big *b = &p->ea->e->big;
	size_t n = f->bodies ? f->bodies->n : 0;

	buf_init(&b->all, LINK_RECORD_WIRE_MAX);
	link_record_put(&b->all, f->bytes, n ? f->bodies->data : NULL, n);
	assert(!b->all.failed);
	b->ea = p->ea;
	b->at = 0;
	b->r = (struct link_records){
		.first_seq = f->pos.seq, .count = 1,
		.first_nonce = f->pos.nonce,
		.parts = (uint32_t)((b->all.n + ENGINE_PIECE - 1) /
				    ENGINE_PIECE)};
}

/* The next parts of the large record. */
static void big_push(struct pusher *p)
{
	struct eacct *ea = p->ea;
	struct engine *e = ea->e;
	struct big *b = &e->big;
	struct link_msg m = {.type = LINK_RECORDS, .account = ea->id,
			     .gen = ea->peer.gen};

	while (b->at < b->all.n && p->left) {
		size_t k = b->all.n - b->at < ENGINE_PIECE ?
			   b->all.n - b->at : ENGINE_PIECE;

		b->r.part++;
		b->r.published = account_published(ea->a).seq;
		m.records = b->r;
		m.body = slice_of(b->all.p + b->at, k);
		engine_send(e, &m);
		note(ea, b->r.first_seq, k, true, true);
		b->at += k;
		p->left -= k < p->left ? k : p->left;
		p->any = true;
	}
	if (b->at == b->all.n)
		big_end(e);
}

static bool one(void *arg, const struct store_frame *f)
{
	struct pusher *p = arg;
	struct eacct *ea = p->ea;
	size_t size = wire_size(f), n = f->bodies ? f->bodies->n : 0;

	if (f->pos.seq > p->to || !p->left ||
	    (size > ENGINE_WHOLE_MAX && (ea->e->big.ea || !p->fair))) {
		p->stop = true;
		return false;
	}
	ea->send_next = f->pos.seq + 1;
	if (size > ENGINE_WHOLE_MAX) {
		flush(p);
		big_begin(p, f);
		big_push(p);
		return ea->e->big.ea == NULL;
	}
	if (p->count && p->body.n + size > ENGINE_PIECE)
		flush(p);
	if (!p->count) {
		p->first = f->pos.seq;
		p->nonce = f->pos.nonce;
	}
	link_record_put(&p->body, f->bytes, n ? f->bodies->data : NULL, n);
	p->count++;
	p->last = f->pos.seq;
	p->left -= size < p->left ? size : p->left;
	p->any = true;
	return true;
}

/* What the partner needs cannot be read here: below the floor its copy is
 * seeded, else this log is damaged. */
static void not_readable(struct eacct *ea, int r, const struct err *err)
{
	engine_unsend(ea);
	ea->send_next = 0;
	if (r != E_NOTFOUND) {
		engine_park(ea, err->op);
		return;
	}
	ea->floor_known = false;
	engine_floor(ea);
	engine_step_simple(ea, EV_GATE);
}

/* The last seq that may go now, or 0: nothing waits. */
static uint64_t waits(struct eacct *ea)
{
	struct peer_facts f;
	uint64_t to;

	if (!ea->a || !ea->send_next || ea->peer.gate != GATE_OPEN)
		return 0;
	if (ea->e->big.ea == ea)
		return ea->e->big.r.first_seq;
	engine_facts(ea, &f);
	to = peer_sendable(&ea->peer, &f);
	return ea->send_next <= to ? to : 0;
}

/* Sends max bytes or a little more; false: nothing could go. */
static bool push(struct eacct *ea, uint64_t to, size_t max, bool fair)
{
	struct engine *e = ea->e;
	struct pusher p = {.ea = ea, .to = to, .left = max, .fair = fair};
	struct err err = ERR_NONE;
	int r = 0;

	if (e->big.ea == ea) {
		if (fair)
			big_push(&p);
		return p.any;
	}
	buf_init(&p.body, IPC_MESSAGE_MAX);
	while (ea->send_next <= p.to && p.left && !p.stop) {
		uint64_t before = ea->send_next;

		r = store_read(e->store, ea->a, before - 1, LINK_RECORDS_MAX,
			       one, &p, &err);
		if (r < 0 || ea->send_next == before || e->big.ea == ea)
			break;
	}
	flush(&p);
	buf_fini(&p.body);
	if (r < 0)
		not_readable(ea, r, &err);
	return p.any;
}

bool engine_channel_free(const struct engine *e)
{
	return !e->out.queued ||
	       e->out.queued(e->out.arg) < IPC_QUEUE_MAX / 2;
}

/* Clients wait for it; a partner that catches up does not count. */
static bool live(const struct eacct *ea)
{
	return ea->peer.state != PEER_LONE &&
	       (ea->peer.state != PEER_CATCHUP || ea->peer.converging);
}

void engine_push(struct eacct *ea)
{
	uint64_t to = waits(ea), max = ea->e->window < ENGINE_LIVE_MAX ?
				       ea->e->window : ENGINE_LIVE_MAX;

	if (to && live(ea) && ea->sent_bytes < max &&
	    engine_channel_free(ea->e)) {
		push(ea, to, (size_t)(max - ea->sent_bytes), false);
		to = waits(ea);
	}
	if (to && list_empty(&ea->push_node))
		list_append(&ea->e->pushing, &ea->push_node);
}

void engine_push_fair(struct engine *e)
{
	const struct eacct *stuck = NULL;

	e->limited |= !list_empty(&e->pushing) && e->in_flight >= e->window;
	while (!list_empty(&e->pushing) && e->in_flight < e->window &&
	       engine_channel_free(e)) {
		struct eacct *ea = CONTAINER_OF(e->pushing.next, struct eacct,
						push_node);
		size_t share = (size_t)(e->window - e->in_flight);
		uint64_t to = waits(ea);

		list_remove(&ea->push_node);
		if (!to)
			continue;
		if (share > ENGINE_PIECE && share > e->window / 8)
			share = e->window / 8 > ENGINE_PIECE ?
				(size_t)(e->window / 8) : ENGINE_PIECE;
		if (push(ea, to, share, true))
			stuck = NULL;
		else if (!stuck)
			stuck = ea;
		else if (stuck == ea)
			to = 0;		/* all others were tried */
		if (waits(ea) && list_empty(&ea->push_node))
			list_append(&e->pushing, &ea->push_node);
		if (!to)
			break;
		e->limited |= e->in_flight >= e->window;
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
	if (e->failed) {
		/* RESIGN was said: no ack comes behind it. */
		engine_asks_settle(ea);
		return;
	}
	engine_pump(ea);
	engine_push(ea);
	m.gen = ea->peer.gen;
	holds = peer_holds(&ea->peer) || ea->peer.state == PEER_GIVING;
	if (ea->ack_due && ea->peer.gate == GATE_OPEN) {
		m.type = LINK_ACK;
		m.ack = account_durable(ea->a);
		m.id = ea->parts_in;
		engine_send(e, &m);
		m.id = ea->parts_in = 0;
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
