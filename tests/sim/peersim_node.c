/* A node of the model: log, journal, actions of the peer, messages. */

#include "tests/sim/peersim.h"

uint64_t peersim_rnd(struct sim *s, uint64_t n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return (s->rng * 0x2545f4914f6cdd1dull >> 11) % n;
}

void peersim_bad(struct sim *s, const char *what)
{
	if (!s->bad)
		s->bad = what;
}

/* --- folds --------------------------------------------------------------- */

uint64_t peersim_up_to(uint64_t uid, unsigned parity)
{
	return (uid & 1) == parity ? uid : uid + 1;
}

uint64_t peersim_uidnext(const struct node *x, uint64_t seq)
{
	uint64_t next = 1;

	for (uint64_t i = 0; i < seq; i++) {
		const struct rec *r = &x->log[i];

		for (unsigned k = 0; r->kind == R_ADD && k < r->n; k++)
			if (r->uid[k] >= next)
				next = r->uid[k] + 1;
		if (r->kind == R_BEGIN && r->jump)
			next = peersim_up_to(next + r->jump, r->node);
	}
	return next;
}

int peersim_holder_of(const struct node *x, uint64_t seq)
{
	for (uint64_t i = seq; i-- > 0;)
		if (x->log[i].kind != R_ADD)
			return x->log[i].node;
	return -1;
}

static void lineage(struct node *x)
{
	x->n_lin = 0;
	for (uint64_t i = 0; i < x->end; i++) {
		struct rec *r = &x->log[i];

		if (r->kind == R_BEGIN && x->n_lin < 256)
			x->lin[x->n_lin++] = (struct lineage_entry){
				r->epoch, r->nonce, r->seq, r->seq, 0, r->node};
		if (x->n_lin)
			x->lin[x->n_lin - 1].last_seq = r->seq;
	}
}

static struct position pos_at(const struct node *x, uint64_t seq)
{
	if (!seq)
		return (struct position){0};
	return (struct position){x->log[seq - 1].epoch, x->log[seq - 1].nonce,
				 seq, x->log[seq - 1].chain};
}

struct peer_facts peersim_facts(struct node *x)
{
	lineage(x);
	return (struct peer_facts){
		.end = pos_at(x, x->end), .durable = pos_at(x, x->durable),
		.published = pos_at(x, x->published),
		.holder = peersim_holder_of(x, x->end), .first_holder = 0,
		.lineage = x->lin, .n_lineage = x->n_lin, .mark = x->mark,
		.partner_known = pos_at(x, x->known < x->end ? x->known :
					     x->end),
		.wanted = x->wanted, .writing = x->writing,
		.busy = x->wanted || x->writing, .retried = x->retried,
		.replayed = true,
	};
}

/* --- link ---------------------------------------------------------------- */

void peersim_send(struct sim *s, struct node *x, struct msg m)
{
	unsigned to = 1 - x->i;

	if (!x->env.link || !s->link || s->nq[to] == QUEUE_MAX) {
		free(m.lineage);
		return;
	}
	s->q[to][s->nq[to]++] = m;
}

void peersim_drop_queue(struct sim *s, unsigned i)
{
	for (size_t k = 0; k < s->nq[i]; k++)
		free(s->q[i][k].lineage);
	s->nq[i] = 0;
}

static void push(struct sim *s, struct node *x)
{
	struct peer_facts f = peersim_facts(x);
	uint64_t to = peer_sendable(&x->peer, &f);

	if (!x->send_from)
		return;
	for (; x->send_from <= to; x->send_from++)
		peersim_send(s, x, (struct msg){
			.type = M_RECORD, .gen = x->peer.gen,
			.rec = x->log[x->send_from - 1],
			.published = x->published});
}

/* --- actions ------------------------------------------------------------- */

static void remember(struct sim *s, const struct rec *r)
{
	for (size_t i = 0; i < s->n_all; i++) {
		const struct rec *o = &s->all[i];

		if (o->epoch == r->epoch && o->nonce == r->nonce &&
		    o->seq == r->seq) {
			if (o->chain != r->chain)
				peersim_bad(s, "ID");
			return;
		}
	}
	if (s->n_all < LOG_MAX * 4)
		s->all[s->n_all++] = *r;
}

void peersim_append(struct sim *s, struct node *x, struct rec r)
{
	if (x->end == LOG_MAX) {
		peersim_bad(s, "log full");
		return;
	}
	r.seq = x->end + 1;
	r.chain = peersim_rnd(s, UINT64_MAX);
	if (r.kind == R_BEGIN && x->end && r.epoch <= x->log[x->end - 1].epoch)
		peersim_bad(s, "an epoch that does not rise");
	if (r.kind != R_BEGIN) {
		r.epoch = x->log[x->end - 1].epoch;
		r.nonce = x->log[x->end - 1].nonce;
	}
	remember(s, &r);
	x->log[x->end++] = r;
	x->j[x->nj++] = (struct jentry){J_REC, r.seq, 0, 0};
}

/* The last mark asked for is LONE, and durable. */
bool peersim_lone_on_disk(const struct node *x)
{
	for (size_t i = x->synced; i < x->nj; i++)
		if (x->j[i].kind == J_MARK)
			return false;
	return x->mark == MARK_LONE;
}

static void publish(struct sim *s, struct node *x, uint64_t seq)
{
	if (seq > x->durable)
		peersim_bad(s, "published before durable");
	for (uint64_t i = x->published; i < seq; i++) {
		const struct rec *r = &x->log[i];

		/* Invariant 3: with one copy only after the mark. */
		if (peer_holds(&x->peer) && !x->env.single &&
		    i + 1 > x->peer.acked && !peersim_lone_on_disk(x))
			peersim_bad(s, "lone publish without mark");
		if (r->kind == R_ADD && peersim_holder_of(x, i) == (int)x->i)
			for (unsigned k = 0; k < r->n; k++)
				s->acked_body[r->body[k]] = 1;
	}
	if (seq > x->published)
		x->published = seq;
	if (x->published > x->seen_pub)
		x->seen_pub = x->published;
}

static void send_position(struct sim *s, struct node *x, enum mtype t,
			  uint64_t gen)
{
	struct msg m = {.type = t, .gen = gen};

	lineage(x);
	m.lineage = malloc((x->n_lin + 1) * sizeof(*m.lineage));
	memcpy(m.lineage, x->lin, x->n_lin * sizeof(*m.lineage));
	m.pos = (struct link_position){
		.end = pos_at(x, x->end),
		.acked = pos_at(x, x->peer.own_acked),
		.published = x->published, .mark = x->peer.own_mark,
		.copy = COPY_WHOLE, .regressed = x->env.regressed,
		.trusted = x->env.trusted,
		.holder = (int8_t)peersim_holder_of(x, x->end),
		.lineage = m.lineage, .n_lineage = x->n_lin};
	if (x->durable != x->end)
		peersim_bad(s, "position before durable");
	peersim_send(s, x, m);
}

static void scan(struct sim *s, struct node *x, uint64_t fork)
{
	struct peer_event ev = {.kind = EV_FORK_FACTS, .known = true};
	int h = peersim_holder_of(x, fork);

	if (h < 0)
		h = 0;
	for (uint64_t i = fork; i < x->end; i++) {
		if (x->log[i].kind == R_BEGIN)
			h = x->log[i].node;
		if (h == (int)x->i)
			ev.wrote = true;
		if (x->log[i].kind == R_HANDOVER)
			h = x->log[i].node;
		if (x->log[i].kind == R_ADD)
			ev.changes = true;
	}
	peersim_step(s, x, ev);
}

/* What goes to the partner. */
static void run_message(struct sim *s, struct node *x,
			const struct peer_action *a)
{
	struct msg m = {.gen = x->peer.gen};

	switch (a->kind) {
	case ACT_SEND_REQ:
		m.type = M_REQ;
		m.gen = a->gen;
		break;
	case ACT_ASK_REPLY:
		m.type = M_ASK_REPLY;
		m.verdict = a->verdict;
		break;
	default:
		m.type = M_FORKINFO;
		m.seq = a->seq;
		m.wrote = a->wrote;
		m.changes = a->changes;
		m.known = a->known;
		m.shown = a->shown;
		break;
	}
	peersim_send(s, x, m);
}

static void run_append(struct sim *s, struct node *x,
		       const struct peer_action *a)
{
	struct rec r = {.kind = R_HANDOVER, .node = (uint8_t)(1 - x->i)};

	if (a->kind == ACT_HANDOVER)
		s->handovers++;
	else if (a->reason == EPOCH_TAKEOVER || a->reason == EPOCH_RESIGN)
		s->takeovers++;
	if (a->kind == ACT_BEGIN)
		r = (struct rec){.epoch = a->epoch,
				 .nonce = (uint32_t)peersim_rnd(s, UINT32_MAX),
				 .kind = R_BEGIN, .node = (uint8_t)x->i,
				 .jump = a->jump};
	peersim_append(s, x, r);
	peersim_step(s, x, (struct peer_event){.kind = EV_APPENDED,
					       .seq = x->end, .lineage = true});
}

static void run_cut(struct sim *s, struct node *x, uint64_t seq)
{
	if (x->published > seq)
		peersim_bad(s, "cut of what was published");
	for (uint64_t i = seq; i < x->end; i++)
		if (x->log[i].kind == R_ADD && x->seen_pub > i)
			peersim_bad(s, "cut of what was shown in an earlier "
				    "life");
	x->end = seq;
	if (x->durable > x->end)
		x->durable = x->end;
	/* RESET is a batch of its own and durable. */
	x->synced = x->nj = 0;
	if (x->known > x->end)
		x->known = x->end;
	peersim_simple(s, x, EV_CUT_DONE);
}

static void run_event(struct sim *s, const struct node *x,
		      const struct peer_action *a)
{
	s->lones += !strcmp(a->text, "account_lone");
	s->syncs += !strcmp(a->text, "account_sync");
	if (s->trace)
		printf("      node %u: %s %u\n", x->i, a->text, a->reason);
}

static void run_action(struct sim *s, struct node *x,
		       const struct peer_action *a)
{
	switch (a->kind) {
	case ACT_SEND_REQ: case ACT_ASK_REPLY: case ACT_SEND_FORKINFO:
		run_message(s, x, a);
		break;
	case ACT_SEND_POSITION:
		send_position(s, x, M_POSITION, a->gen);
		break;
	case ACT_SEND_FROM:
		if (a->seq)
			x->send_from = a->seq;
		break;
	case ACT_STOP_SENDING:
		x->send_from = 0;
		break;
	case ACT_ACK:
		x->want_ack = true;
		break;
	case ACT_BEGIN: case ACT_HANDOVER:
		run_append(s, x, a);
		break;
	case ACT_CHECK_HANDOVER:
		publish(s, x, a->seq);
		peersim_step(s, x, (struct peer_event){
			.kind = EV_HANDOVER_CHECKED});
		break;
	case ACT_PUBLISH:
		publish(s, x, a->seq);
		break;
	case ACT_MARK:
		x->j[x->nj++] = (struct jentry){J_MARK, 0, a->mark, a->seq};
		break;
	case ACT_ACKED:
		x->j[x->nj++] = (struct jentry){J_KNOWN, a->seq, 0, 0};
		break;
	case ACT_SCAN_FORK:
		scan(s, x, a->seq);
		break;
	case ACT_CUT:
		run_cut(s, x, a->seq);
		break;
	case ACT_SEED:
		peersim_bad(s, "seed asked");
		break;
	case ACT_EVENT:
		run_event(s, x, a);
		break;
	default:
		break;
	}
}

void peersim_step(struct sim *s, struct node *x, struct peer_event ev)
{
	struct peer_actions out = {.n = 0};
	struct peer_facts f = peersim_facts(x);
	enum peer_state was = x->peer.state;

	peer_step(&x->peer, &x->env, &f, &ev, &out);
	if (s->trace && x->peer.state != was)
		printf("      node %u: %s -> %s (end %" PRIu64 " dur %" PRIu64
		       " pub %" PRIu64 " acked %" PRIu64 " gate %d)\n", x->i,
		       peer_state_name(was), peer_state_name(x->peer.state),
		       x->end, x->durable, x->published, x->peer.acked,
		       x->peer.gate);
	if (x->peer.state == PEER_FORKED && was != PEER_FORKED) {
		s->forked = true;
		s->forks++;
	}
	for (size_t i = 0; i < out.n; i++)
		run_action(s, x, &out.a[i]);
	push(s, x);
}

void peersim_simple(struct sim *s, struct node *x, enum peer_event_kind k)
{
	peersim_step(s, x, (struct peer_event){
		.kind = k, .random = peersim_rnd(s, UINT64_MAX)});
}

/* --- input --------------------------------------------------------------- */

static void got_record(struct sim *s, struct node *x, const struct msg *m)
{
	struct peer_event ev = {.kind = EV_ACCEPTED, .seq = m->rec.seq,
				.published = m->published, .handover = -1};

	if (!peer_accepts(&x->peer, m->gen))
		return;
	if (m->rec.seq <= x->end) {
		if (x->log[m->rec.seq - 1].chain != m->rec.chain)
			peersim_bad(s, "duplicate differs");
		x->want_ack = true;
		return;
	}
	if (m->rec.seq != x->end + 1) {
		peersim_send(s, x, (struct msg){.type = M_NACK, .gen = m->gen,
					.seq = x->end + 1});
		return;
	}
	x->log[x->end++] = m->rec;
	x->j[x->nj++] = (struct jentry){J_REC, m->rec.seq, 0, 0};
	if (m->rec.kind == R_HANDOVER) {
		ev.handover = m->rec.node;
		ev.handover_seq = m->rec.seq;
	}
	peersim_step(s, x, ev);
}

void peersim_deliver(struct sim *s, unsigned i)
{
	struct node *x = &s->n[i];
	struct msg m = s->q[i][0];
	struct peer_event ev = {.gen = m.gen, .seq = m.seq,
				.random = peersim_rnd(s, UINT64_MAX)};

	memmove(&s->q[i][0], &s->q[i][1], --s->nq[i] * sizeof(m));
	if (!x->env.link) {
		free(m.lineage);
		return;
	}
	x->env.silent = 0;
	m.pos.lineage = m.lineage;
	switch (m.type) {
	case M_REQ:
		ev.kind = EV_POSITION_REQ;
		peersim_step(s, x, ev);
		break;
	case M_POSITION:
		ev.kind = EV_POSITION;
		ev.position = &m.pos;
		peersim_step(s, x, ev);
		break;
	case M_RECORD:
		got_record(s, x, &m);
		break;
	case M_ACK:
		ev.kind = EV_ACK;
		if (m.gen == x->peer.gen && x->peer.gate == GATE_OPEN)
			peersim_step(s, x, ev);
		break;
	case M_NACK:
		ev.kind = EV_NACK;
		if (m.gen == x->peer.gen)
			peersim_step(s, x, ev);
		break;
	case M_PUBLISHED:
		ev.kind = EV_PUBLISHED;
		if (m.gen == x->peer.gen)
			peersim_step(s, x, ev);
		break;
	case M_FORKINFO:
		ev.kind = EV_FORKINFO;
		ev.wrote = m.wrote;
		ev.changes = m.changes;
		ev.known = m.known;
		ev.shown = m.shown;
		peersim_step(s, x, ev);
		break;
	case M_ASK:
		ev.kind = EV_ASKED;
		if (m.gen == x->peer.gen)
			peersim_step(s, x, ev);
		break;
	case M_ASK_REPLY:
		x->asked = false;
		if (m.verdict == ASK_PROXY)
			x->wanted = x->writing = false;
		break;
	case M_HEARTBEAT:
		break;
	}
	free(m.lineage);
}

void peersim_turn(struct sim *s, struct node *x)
{
	if (x->want_ack && x->peer.gate == GATE_OPEN)
		peersim_send(s, x, (struct msg){
			.type = M_ACK, .gen = x->peer.gen,
			.seq = x->durable});
	x->want_ack = false;
	if (x->peer.gate == GATE_OPEN && peer_holds(&x->peer) &&
	    x->told != x->published) {
		x->told = x->published;
		peersim_send(s, x, (struct msg){
			.type = M_PUBLISHED, .gen = x->peer.gen,
			.seq = x->published});
	}
}
