/*
 * The step function of sync/peer.c alone: two nodes, one account, one
 * mailbox, logs in memory.  The C twin of the design's uid_model.py, with the
 * real peer in place of the model's rules: cuts, crashes with loss of what was
 * not durable, late notice of a dead link, takeover, start alone, hand-over,
 * one disk restored from an old copy while its partner is present.
 *
 * usage: peersim [--seeds N] [--first S] [--steps M] [--trace]
 *
 * Checked: ID  one (epoch, nonce, seq) never has two contents
 *          I1  a UID that was shown never denotes another body
 *          I2  no client of a joined state misses a message below its UIDNEXT
 *          D5  what was acknowledged is there after the faults have ended
 *          P10 both nodes come to rest: equal logs, or an honest fork
 *          F   a fork is honest: both branches were shown beyond it
 */

#ifndef DUET_TEST_LIMITS
#define DUET_TEST_LIMITS
#endif
#include "sync/peer.c"
#include "sync/peer_gate.c"
#include "sync/peer_hold.c"
#include "sync/peer_start.c"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_MAX 4096
#define UIDS 4
#define SHOWN_MAX (1u << 20)
#define QUEUE_MAX 512

struct rec {
	uint32_t epoch, nonce;
	uint64_t seq, chain;
	enum { R_ADD, R_BEGIN, R_HANDOVER } kind;
	unsigned n;
	uint64_t uid[UIDS];
	uint32_t body[UIDS];
	uint8_t node;
	uint64_t jump;
};

struct jentry {			/* of the journal: a record's end or a mark */
	enum { J_REC, J_MARK, J_KNOWN } kind;
	uint64_t seq;
	enum mark_kind mark;
	uint64_t serial;
};

enum mtype { M_REQ, M_POSITION, M_RECORD, M_ACK, M_NACK, M_PUBLISHED,
	     M_FORKINFO, M_ASK, M_ASK_REPLY, M_HEARTBEAT };
struct msg {
	enum mtype type;
	uint64_t gen, seq, published;
	struct rec rec;
	struct link_position pos;
	struct lineage_entry *lineage;
	bool wrote, changes, known, shown;
	uint8_t verdict;
};

struct node {
	unsigned i;
	struct rec log[LOG_MAX];
	uint64_t end, durable, published;
	struct jentry j[LOG_MAX * 4];
	size_t nj, synced;
	enum mark_kind mark;		/* on disk */
	uint64_t known;			/* on disk */
	struct peer peer;
	struct peer_env env;
	bool wanted, writing, want_ack, retried;
	uint64_t send_from;		/* 0 = not sending */
	bool old;			/* restored from a copy */
	struct lineage_entry lin[256];
	size_t n_lin;
	uint64_t seen_pub;		/* highest seq ever published here */
	bool asked;
	uint64_t told;
};

struct sim {
	uint64_t rng;
	uint64_t seed;
	uint64_t p_cut;		/* swarm: how often the link breaks */
	struct node n[2];
	struct msg q[2][QUEUE_MAX];	/* to node i */
	size_t nq[2];
	bool link;			/* bytes flow */
	struct { uint32_t body; } shown[2];
	uint32_t bodies;
	bool trace, forked, restored;
	const char *bad;
	/* oracle */
	uint32_t *shown_body;		/* by uid */
	uint8_t *acked_body;		/* by body: acknowledged */
	uint8_t *lost_body;
	struct rec (*contents)[1];
	uint64_t cl_next[3];
	struct rec copy[LOG_MAX];
	uint64_t copy_end, copy_known;
	enum mark_kind copy_mark;
	int copy_of;
	uint64_t forks, handovers, takeovers, lones, syncs;
	struct rec all[LOG_MAX * 4];
	size_t n_all;
};

static uint64_t rnd(struct sim *s, uint64_t n)
{
	s->rng ^= s->rng << 13;
	s->rng ^= s->rng >> 7;
	s->rng ^= s->rng << 17;
	return (s->rng * 0x2545f4914f6cdd1dull >> 11) % n;
}

static void bad(struct sim *s, const char *what)
{
	if (!s->bad)
		s->bad = what;
}

static void step(struct sim *s, struct node *x, struct peer_event ev);

/* --- folds ----------------------------------------------------------------- */

static uint64_t up_to(uint64_t uid, unsigned parity)
{
	return (uid & 1) == parity ? uid : uid + 1;
}

static uint64_t uidnext(const struct node *x, uint64_t seq)
{
	uint64_t next = 1;

	for (uint64_t i = 0; i < seq; i++) {
		const struct rec *r = &x->log[i];

		if (r->kind == R_ADD)
			for (unsigned k = 0; k < r->n; k++)
				next = r->uid[k] + 1 > next ? r->uid[k] + 1 : next;
		else if (r->kind == R_BEGIN && r->jump)
			next = up_to(next + r->jump, r->node);
	}
	return next;
}

static int holder_of(const struct node *x, uint64_t seq)
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

static struct peer_facts facts(struct node *x)
{
	lineage(x);
	return (struct peer_facts){
		.end = pos_at(x, x->end), .durable = pos_at(x, x->durable),
		.published = pos_at(x, x->published),
		.holder = holder_of(x, x->end), .first_holder = 0,
		.lineage = x->lin, .n_lineage = x->n_lin, .mark = x->mark,
		.partner_known = pos_at(x, x->known < x->end ? x->known : x->end),
		.wanted = x->wanted, .writing = x->writing,
		.busy = x->wanted || x->writing, .retried = x->retried,
		.replayed = true,
	};
}

/* --- link ------------------------------------------------------------------ */

static void send(struct sim *s, struct node *x, struct msg m)
{
	unsigned to = 1 - x->i;

	if (!x->env.link || !s->link || s->nq[to] == QUEUE_MAX) {
		free(m.lineage);
		return;
	}
	s->q[to][s->nq[to]++] = m;
}

static void drop_queue(struct sim *s, unsigned i)
{
	for (size_t k = 0; k < s->nq[i]; k++)
		free(s->q[i][k].lineage);
	s->nq[i] = 0;
}

static void push(struct sim *s, struct node *x)
{
	struct peer_facts f = facts(x);
	uint64_t to = peer_sendable(&x->peer, &f);

	if (!x->send_from)
		return;
	for (; x->send_from <= to; x->send_from++)
		send(s, x, (struct msg){.type = M_RECORD, .gen = x->peer.gen,
					.rec = x->log[x->send_from - 1],
					.published = x->published});
}

/* --- actions ------------------------------------------------------------------ */

static void remember(struct sim *s, const struct rec *r)
{
	for (size_t i = 0; i < s->n_all; i++) {
		const struct rec *o = &s->all[i];

		if (o->epoch == r->epoch && o->nonce == r->nonce &&
		    o->seq == r->seq) {
			if (o->chain != r->chain)
				bad(s, "ID");
			return;
		}
	}
	if (s->n_all < LOG_MAX * 4)
		s->all[s->n_all++] = *r;
}

static void append(struct sim *s, struct node *x, struct rec r)
{
	if (x->end == LOG_MAX) {
		bad(s, "log full");
		return;
	}
	r.seq = x->end + 1;
	r.chain = rnd(s, UINT64_MAX);
	if (r.kind == R_BEGIN && x->end && r.epoch <= x->log[x->end - 1].epoch)
		bad(s, "an epoch that does not rise");
	if (r.kind != R_BEGIN) {
		r.epoch = x->log[x->end - 1].epoch;
		r.nonce = x->log[x->end - 1].nonce;
	}
	remember(s, &r);
	x->log[x->end++] = r;
	x->j[x->nj++] = (struct jentry){J_REC, r.seq, 0, 0};
}

/* The last mark asked for is LONE, and durable. */
static bool lone_on_disk(const struct node *x)
{
	for (size_t i = x->synced; i < x->nj; i++)
		if (x->j[i].kind == J_MARK)
			return false;
	return x->mark == MARK_LONE;
}

static void publish(struct sim *s, struct node *x, uint64_t seq)
{
	if (seq > x->durable)
		bad(s, "published before durable");
	for (uint64_t i = x->published; i < seq; i++) {
		const struct rec *r = &x->log[i];

		/* Invariant 3: with one copy only after the mark. */
		if (peer_holds(&x->peer) && !x->env.single &&
		    i + 1 > x->peer.acked && !lone_on_disk(x))
			bad(s, "lone publish without mark");
		if (r->kind == R_ADD && holder_of(x, i) == (int)x->i)
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
		.holder = (int8_t)holder_of(x, x->end),
		.lineage = m.lineage, .n_lineage = x->n_lin};
	if (x->durable != x->end)
		bad(s, "position before durable");
	send(s, x, m);
}

static void scan(struct sim *s, struct node *x, uint64_t fork)
{
	struct peer_event ev = {.kind = EV_FORK_FACTS, .known = true};
	int h = holder_of(x, fork);

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
	step(s, x, ev);
}

static void run_action(struct sim *s, struct node *x, struct peer_action *a)
{
	struct peer_event ev = {0};

	switch (a->kind) {
	case ACT_SEND_REQ:
		send(s, x, (struct msg){.type = M_REQ, .gen = a->gen});
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
	case ACT_BEGIN:
		if (a->reason == EPOCH_TAKEOVER || a->reason == EPOCH_RESIGN)
			s->takeovers++;
		append(s, x, (struct rec){.epoch = a->epoch,
					  .nonce = (uint32_t)rnd(s, UINT32_MAX),
					  .kind = R_BEGIN, .node = (uint8_t)x->i,
					  .jump = a->jump});
		ev.kind = EV_APPENDED;
		ev.seq = x->end;
		ev.lineage = true;
		step(s, x, ev);
		break;
	case ACT_HANDOVER:
		s->handovers++;
		append(s, x, (struct rec){.kind = R_HANDOVER,
					  .node = (uint8_t)(1 - x->i)});
		ev.kind = EV_APPENDED;
		ev.seq = x->end;
		ev.lineage = true;
		step(s, x, ev);
		break;
	case ACT_CHECK_HANDOVER:
		publish(s, x, a->seq);
		ev.kind = EV_HANDOVER_CHECKED;
		step(s, x, ev);
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
	case ACT_ASK_REPLY:
		send(s, x, (struct msg){.type = M_ASK_REPLY, .gen = x->peer.gen,
					.verdict = a->verdict});
		break;
	case ACT_SCAN_FORK:
		scan(s, x, a->seq);
		break;
	case ACT_SEND_FORKINFO:
		send(s, x, (struct msg){.type = M_FORKINFO, .gen = x->peer.gen,
					.seq = a->seq, .wrote = a->wrote,
					.changes = a->changes,
					.known = a->known,
					.shown = a->shown});
		break;
	case ACT_CUT:
		if (x->published > a->seq)
			bad(s, "cut of what was published");
		for (uint64_t i = a->seq; i < x->end; i++)
			if (x->log[i].kind == R_ADD && x->seen_pub > i)
				bad(s, "cut of what was shown in an earlier life");
		x->end = a->seq;
		if (x->durable > x->end)
			x->durable = x->end;
		/* RESET is a batch of its own and durable. */
		x->synced = x->nj = 0;
		if (x->known > x->end)
			x->known = x->end;
		ev.kind = EV_CUT_DONE;
		ev.random = rnd(s, UINT64_MAX);
		step(s, x, ev);
		break;
	case ACT_SEED:
		bad(s, "seed asked");
		break;
	case ACT_EVENT:
		s->lones += !strcmp(a->text, "account_lone");
		s->syncs += !strcmp(a->text, "account_sync");
		if (s->trace)
			printf("      node %u: %s %u\n", x->i, a->text,
			       a->reason);
		break;
	default:
		break;
	}
}

static void step(struct sim *s, struct node *x, struct peer_event ev)
{
	struct peer_actions out = {.n = 0};
	struct peer_facts f = facts(x);
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

static void simple(struct sim *s, struct node *x, enum peer_event_kind k)
{
	step(s, x, (struct peer_event){.kind = k, .random = rnd(s, UINT64_MAX)});
}

/* --- input ----------------------------------------------------------------- */

static void got_record(struct sim *s, struct node *x, const struct msg *m)
{
	struct peer_event ev = {.kind = EV_ACCEPTED, .seq = m->rec.seq,
				.published = m->published, .handover = -1};

	if (!peer_accepts(&x->peer, m->gen))
		return;
	if (m->rec.seq <= x->end) {
		if (x->log[m->rec.seq - 1].chain != m->rec.chain)
			bad(s, "duplicate differs");
		x->want_ack = true;
		return;
	}
	if (m->rec.seq != x->end + 1) {
		send(s, x, (struct msg){.type = M_NACK, .gen = m->gen,
					.seq = x->end + 1});
		return;
	}
	x->log[x->end++] = m->rec;
	x->j[x->nj++] = (struct jentry){J_REC, m->rec.seq, 0, 0};
	if (m->rec.kind == R_HANDOVER) {
		ev.handover = m->rec.node;
		ev.handover_seq = m->rec.seq;
	}
	step(s, x, ev);
}

static void deliver(struct sim *s, unsigned i)
{
	struct node *x = &s->n[i];
	struct msg m = s->q[i][0];
	struct peer_event ev = {.gen = m.gen, .seq = m.seq,
				.random = rnd(s, UINT64_MAX)};

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
		step(s, x, ev);
		break;
	case M_POSITION:
		ev.kind = EV_POSITION;
		ev.position = &m.pos;
		step(s, x, ev);
		break;
	case M_RECORD:
		got_record(s, x, &m);
		break;
	case M_ACK:
		ev.kind = EV_ACK;
		if (m.gen == x->peer.gen && x->peer.gate == GATE_OPEN)
			step(s, x, ev);
		break;
	case M_NACK:
		ev.kind = EV_NACK;
		if (m.gen == x->peer.gen)
			step(s, x, ev);
		break;
	case M_PUBLISHED:
		ev.kind = EV_PUBLISHED;
		if (m.gen == x->peer.gen)
			step(s, x, ev);
		break;
	case M_FORKINFO:
		ev.kind = EV_FORKINFO;
		ev.wrote = m.wrote;
		ev.changes = m.changes;
		ev.known = m.known;
		ev.shown = m.shown;
		step(s, x, ev);
		break;
	case M_ASK:
		ev.kind = EV_ASKED;
		if (m.gen == x->peer.gen)
			step(s, x, ev);
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

static void turn(struct sim *s, struct node *x)
{
	if (x->want_ack && x->peer.gate == GATE_OPEN)
		send(s, x, (struct msg){.type = M_ACK, .gen = x->peer.gen,
					.seq = x->durable});
	x->want_ack = false;
	if (x->peer.gate == GATE_OPEN && peer_holds(&x->peer) &&
	    x->told != x->published) {
		x->told = x->published;
		send(s, x, (struct msg){.type = M_PUBLISHED, .gen = x->peer.gen,
					.seq = x->published});
	}
}

/* --- events ------------------------------------------------------------------ */

static void fsync_some(struct sim *s, struct node *x)
{
	size_t to = x->synced + rnd(s, x->nj - x->synced + 1);

	while (x->synced < to) {
		struct jentry *e = &x->j[x->synced++];

		if (e->kind == J_REC) {
			if (e->seq > x->durable && e->seq <= x->end)
				x->durable = e->seq;
		} else if (e->kind == J_MARK) {
			x->mark = e->mark;
			if (e->mark == MARK_LONE) {
				uint64_t serial = e->serial;

				step(s, x, (struct peer_event){
					.kind = EV_MARKED, .seq = serial});
			}
		} else {
			x->known = e->seq;
		}
	}
	if (x->synced == x->nj && x->nj > LOG_MAX * 3)
		x->synced = x->nj = 0;
	simple(s, x, EV_DURABLE);
}

static void begin_life(struct sim *s, struct node *x)
{
	bool trusted = x->env.trusted, regressed = x->env.regressed;
	(void)s;

	peer_init(&x->peer);
	x->env = (struct peer_env){
		.node = x->i, .member = true, .trusted = trusted,
		.regressed = regressed, .ack_timeout = 10,
		.takeover_delay = 20, .start_window = 20,
		.handover_interval = 30};
	x->wanted = x->writing = x->want_ack = x->asked = false;
	x->send_from = 0;
	x->nj = x->synced = 0;
}

/* keep_link: only the store process dies; the sync processes and what they
 * carry live on. */
static void crash_of(struct sim *s, struct node *x, bool keep_link)
{
	struct peer_env env = x->env;

	/* A prefix of what was not synced may be on disk all the same. */
	size_t keep = x->synced + rnd(s, x->nj - x->synced + 1);
	uint64_t end = x->durable;

	for (size_t i = x->synced; i < keep; i++) {
		if (x->j[i].kind == J_REC && x->j[i].seq <= x->end)
			end = x->j[i].seq > end ? x->j[i].seq : end;
		else if (x->j[i].kind == J_MARK)
			x->mark = x->j[i].mark;
		else if (x->j[i].kind == J_KNOWN)
			x->known = x->j[i].seq;
	}
	if (s->trace)
		printf("  crash %u: end %" PRIu64 " -> %" PRIu64 "\n", x->i,
		       x->end, end);
	x->end = x->durable = end;
	/* Indexes may show less than was shown. */
	x->published = x->published ? x->published - rnd(s, x->published + 1) : 0;
	if (x->published > end)
		x->published = end;
	begin_life(s, x);
	if (keep_link && env.link) {
		x->env.link = true;
		x->env.partner_seen = env.partner_trusted;
		x->env.partner_trusted = env.partner_trusted;
		x->env.partner_regressed = env.partner_regressed;
		x->told = 0;
		simple(s, x, EV_LINK_UP);
		simple(s, x, EV_GATE);
		return;
	}
	/* Its messages that are on the wire still arrive; what was sent to it
	 * is lost with the connection. */
	s->link = false;
	drop_queue(s, x->i);
	step(s, x, (struct peer_event){.kind = EV_LINK_DOWN});
}

static void crash(struct sim *s, struct node *x)
{
	crash_of(s, x, false);
}

static void notice_down(struct sim *s, struct node *x)
{
	if (!x->env.link)
		return;
	x->env.link = false;
	drop_queue(s, x->i);
	step(s, x, (struct peer_event){.kind = EV_LINK_DOWN});
}

static void connect_nodes(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		notice_down(s, &s->n[i]);
		drop_queue(s, i);
	}
	s->link = true;
	for (unsigned i = 0; i < 2; i++) {
		struct node *x = &s->n[i], *o = &s->n[1 - i];

		if (x->old) {
			x->env.trusted = false;
			x->env.regressed = true;
		}
		x->env.link = true;
		x->told = 0;
		x->env.silent = 0;
		x->env.partner_seen = true;
		x->env.partner_regressed = o->old;
		x->env.partner_trusted = !o->old;
	}
	for (unsigned i = 0; i < 2; i++)
		simple(s, &s->n[i], EV_LINK_UP);
	for (unsigned i = 0; i < 2; i++)
		if (rnd(s, 2))
			simple(s, &s->n[i], EV_GATE);
	if (s->n[0].peer.gate == GATE_CLOSED && s->n[1].peer.gate == GATE_CLOSED)
		simple(s, &s->n[rnd(s, 2)], EV_GATE);
}

static void tick(struct sim *s, struct node *x)
{
	x->env.tick++;
	x->env.silent++;
	x->retried = !s->link && x->wanted && rnd(s, 3) == 0 ? true : x->retried;
	send(s, x, (struct msg){.type = M_HEARTBEAT});
	if (x->env.link && x->env.silent >= PEER_SUSPECT_TICKS) {
		s->link = false;
		notice_down(s, x);
	}
	simple(s, x, EV_TICK);
}

/* A client looks at what a node shows. */
static void look(struct sim *s, struct node *x)
{
	unsigned c = (unsigned)rnd(s, 3);
	uint64_t next = uidnext(x, x->published);

	for (uint64_t i = 0; i < x->published; i++) {
		const struct rec *r = &x->log[i];

		for (unsigned k = 0; r->kind == R_ADD && k < r->n; k++) {
			if (r->uid[k] >= SHOWN_MAX) {
				bad(s, "uid too large for the model");
				return;
			}
			if (s->shown_body[r->uid[k]] &&
			    s->shown_body[r->uid[k]] != r->body[k])
				bad(s, "I1");
			s->shown_body[r->uid[k]] = r->body[k];
		}
	}
	if (next > s->cl_next[c])
		s->cl_next[c] = next;
}

static void write_one(struct sim *s, struct node *x)
{
	struct peer_facts f = facts(x);
	struct rec r = {.kind = R_ADD};
	uint64_t next = uidnext(x, x->end), safe, own;

	if (!peer_may_append(&x->peer, &x->env, &f))
		return;
	if (!x->end)
		return;
	safe = uidnext(x, x->peer.acked) + UID_WINDOW;
	own = uidnext(x, x->durable);
	if (next >= own + UID_WINDOW && x->durable < x->end)
		return;				/* U2 */
	r.n = 1 + (unsigned)rnd(s, UIDS);
	for (unsigned k = 0; k < r.n; k++) {
		r.uid[k] = next < safe ? next : up_to(next, x->i);
		next = r.uid[k] + 1;
		r.body[k] = ++s->bodies;
	}
	append(s, x, r);
	step(s, x, (struct peer_event){.kind = EV_APPENDED, .seq = x->end});
	x->writing = rnd(s, 3) == 0;
}

static void client(struct sim *s, struct node *x)
{
	struct peer_facts f;
	const char *why;

	if (!x->wanted) {
		x->wanted = true;
		x->retried = false;
		x->writing = rnd(s, 2);
		simple(s, x, EV_WANTED);
	}
	f = facts(x);
	switch (peer_verdict(&x->peer, &x->env, &f, &why)) {
	case VERDICT_SERVE:
		look(s, x);
		if (x->writing || rnd(s, 2)) {
			x->writing = true;
			simple(s, x, EV_WANTED);
			write_one(s, x);
		}
		if (rnd(s, 3) == 0) {
			x->wanted = x->writing = false;
			simple(s, x, EV_WANTED);
		}
		break;
	case VERDICT_ASK:
		if (!x->asked) {
			x->asked = true;
			send(s, x, (struct msg){.type = M_ASK,
						.gen = x->peer.gen});
		}
		break;
	case VERDICT_REFUSE:
		x->wanted = x->writing = false;
		break;
	case VERDICT_WAIT:
		break;
	}
}

static void restore(struct sim *s)
{
	struct node *x = &s->n[s->copy_of], *o = &s->n[1 - s->copy_of];
	uint8_t *have;

	/* What only this disk had is lost, and that is allowed. */
	have = calloc(1, s->bodies + 1);
	for (uint64_t i = 0; i < s->copy_end; i++)
		for (unsigned k = 0; s->copy[i].kind == R_ADD &&
		     k < s->copy[i].n; k++)
			have[s->copy[i].body[k]] = 1;
	for (uint64_t i = 0; i < o->durable; i++)
		for (unsigned k = 0; o->log[i].kind == R_ADD &&
		     k < o->log[i].n; k++)
			have[o->log[i].body[k]] = 1;
	for (uint32_t b = 1; b <= s->bodies; b++)
		if (!have[b])
			s->lost_body[b] = 1;
	free(have);
	crash(s, x);
	memcpy(x->log, s->copy, s->copy_end * sizeof(*x->log));
	x->end = x->durable = s->copy_end;
	x->published = 0;
	x->seen_pub = s->copy_end;
	x->mark = s->copy_mark;
	x->known = s->copy_known;
	x->old = true;
	s->restored = true;
	begin_life(s, x);
	/* The partner is there and notices at once (Hello). */
	connect_nodes(s);
	if (s->trace)
		printf("  restore %u: end %" PRIu64 "\n", x->i, x->end);
}

static bool same_logs(const struct sim *s)
{
	const struct node *a = &s->n[0], *b = &s->n[1];

	if (a->end != b->end)
		return false;
	return !a->end || a->log[a->end - 1].chain == b->log[b->end - 1].chain;
}

static void one_step(struct sim *s)
{
	struct node *x = &s->n[rnd(s, 2)];
	uint64_t p = rnd(s, 1000);

	if (p < 300) {
		for (uint64_t k = 1 + rnd(s, 8); k && s->nq[x->i]; k--)
			deliver(s, x->i);
	} else if (p < 480) {
		fsync_some(s, x);
	} else if (p < 700) {
		client(s, x);
	} else if (p < 900) {
		tick(s, x);
	} else if (p < 902) {
		for (int i = 0; i < 6; i++)
			tick(s, x);
	} else if (p < 900 + s->p_cut) {
		s->link = false;
		if (s->trace)
			printf("  cut\n");
	} else if (p < 950) {
		if (!s->link)
			notice_down(s, x);
	} else if (p < 980) {
		if (!s->link) {
			if (s->trace)
				printf("  connect\n");
			connect_nodes(s);
		}
	} else if (p < 980 + s->p_cut / 4) {
		crash(s, x);
	} else if (p < 983 + s->p_cut / 4) {
		crash_of(s, x, true);
	} else if (p < 994 && rnd(s, 4)) {
		if (x->env.link && rnd(s, 3) == 0)
			simple(s, x, EV_GATE);
	} else if (p < 995) {
		if (!s->restored) {
			memcpy(s->copy, x->log, x->durable * sizeof(*x->log));
			s->copy_end = x->durable;
			s->copy_mark = x->mark;
			s->copy_known = x->known < x->durable ? x->known :
					x->durable;
			s->copy_of = (int)x->i;
		}
	} else if (p < 996) {
		if (s->copy_of >= 0 && !s->restored)
			restore(s);
	} else {
		simple(s, x, EV_SWITCHOVER);
	}
	turn(s, x);
	/* Digest-checked: trusted again. */
	for (unsigned i = 0; i < 2; i++)
		if (s->n[i].old && s->link && same_logs(s) &&
		    s->n[i].peer.gate == GATE_OPEN &&
		    s->n[1 - i].peer.gate == GATE_OPEN &&
		    !s->n[1 - i].peer.jump_stale &&
		    holder_of(&s->n[i], s->n[i].end) == (int)(1 - i)) {
			s->n[i].old = s->n[i].env.regressed = false;
			s->n[i].env.trusted = true;
			s->n[1 - i].env.partner_regressed = false;
			s->n[1 - i].env.partner_trusted = true;
			simple(s, &s->n[i], EV_GATE);
		}
}

static void check_fork(struct sim *s)
{
	struct node *a = &s->n[0], *b = &s->n[1];
	uint64_t f = 0;

	while (f < a->end && f < b->end && a->log[f].chain == b->log[f].chain)
		f++;
	if (a->old || b->old || s->restored)
		return;
	/* A mark LONE counts as shown: a crash may come before the use. */
	if ((a->seen_pub <= f && !lone_on_disk(a)) ||
	    (b->seen_pub <= f && !lone_on_disk(b)))
		bad(s, "fork although one branch was never shown");
}

static void settle(struct sim *s)
{
	bool acked;

	if (s->trace)
		printf("settle\n");
	s->n[0].wanted = s->n[1].wanted = false;
	s->n[0].writing = s->n[1].writing = false;
	connect_nodes(s);
	for (int k = 0; k < 400 && !s->bad && !s->forked; k++) {
		for (unsigned i = 0; i < 2; i++) {
			struct node *x = &s->n[i];

			while (s->nq[i])
				deliver(s, i);
			for (int r = 0; r < 3; r++)
				fsync_some(s, x);
			while (x->synced < x->nj)
				fsync_some(s, x);
			turn(s, x);
			if (k % 4 == 0)
				tick(s, x);
			if (!s->link)
				connect_nodes(s);
		}
	}
	if (s->bad || s->forked)
		return;
	if (!same_logs(s)) {
		bad(s, "P10 logs differ at rest");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct node *x = &s->n[i];

		if (x->published != x->end && x->end)
			bad(s, "P10 not published at rest");
		if (x->peer.state != PEER_SYNC && x->peer.state != PEER_REPLICA &&
		    x->end)
			bad(s, "P10 state at rest");
		look(s, x);
	}
	for (uint32_t b = 1; b <= s->bodies; b++) {
		acked = false;
		if (!s->acked_body[b] || s->lost_body[b])
			continue;
		for (uint64_t i = 0; i < s->n[0].end && !acked; i++)
			for (unsigned k = 0; s->n[0].log[i].kind == R_ADD &&
			     k < s->n[0].log[i].n; k++)
				acked |= s->n[0].log[i].body[k] == b;
		if (!acked)
			bad(s, "D5 lost");
	}
}

static const char *run(struct sim *s, uint64_t seed, unsigned steps)
{
	s->seed = seed;
	s->rng = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	s->copy_of = -1;
	s->p_cut = 3 + rnd(s, 8) * rnd(s, 4);
	s->n[0].i = 0;
	s->n[1].i = 1;
	for (unsigned i = 0; i < 2; i++) {
		s->n[i].mark = MARK_LONE;
		s->n[i].env.trusted = true;
		begin_life(s, &s->n[i]);
	}
	connect_nodes(s);
	for (unsigned i = 0; i < steps && !s->bad && !s->forked; i++)
		one_step(s);
	if (!s->bad && !s->forked)
		settle(s);
	if (!s->bad && s->forked)
		check_fork(s);
	drop_queue(s, 0);
	drop_queue(s, 1);
	return s->bad;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 2000, first = 0, failed = 0;
	uint64_t forks = 0, hand = 0, take = 0, lones = 0, syncs = 0;
	unsigned steps = 1000;
	bool trace = false;
	uint32_t *shown = malloc(SHOWN_MAX * sizeof(*shown));
	uint8_t *acked = malloc(LOG_MAX * UIDS), *lost = malloc(LOG_MAX * UIDS);
	struct sim *s = malloc(sizeof(*s));

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			trace = true;
		else if (i + 1 < argc && !strcmp(argv[i], "--seeds"))
			seeds = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && !strcmp(argv[i], "--first"))
			first = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && !strcmp(argv[i], "--steps"))
			steps = (unsigned)strtoul(argv[++i], NULL, 10);
	}
	for (uint64_t k = first; k < first + seeds; k++) {
		const char *why;

		memset(s, 0, sizeof(*s));
		memset(shown, 0, SHOWN_MAX * sizeof(*shown));
		memset(acked, 0, LOG_MAX * UIDS);
		memset(lost, 0, LOG_MAX * UIDS);
		s->shown_body = shown;
		s->acked_body = acked;
		s->lost_body = lost;
		s->trace = trace;
		why = run(s, k, steps);
		if (why) {
			printf("peersim: seed %" PRIu64 ": %s\n", k, why);
			if (++failed >= 10)
				break;
		}
		forks += s->forked;
		hand += s->handovers;
		take += s->takeovers;
		lones += s->lones;
		syncs += s->syncs;
	}
	printf("seeds of %u steps: %" PRIu64 " forks, %" PRIu64 " hand-overs, %"
	       PRIu64 " takeovers, %" PRIu64 " lone, %" PRIu64 " sync\n", steps,
	       forks, hand, take, lones, syncs);
	/* A run that never came to these proves nothing. */
	if (seeds >= 1000 && (!forks || !hand || !take || !lones || !syncs)) {
		printf("peersim: something that must happen never did\n");
		failed++;
	}
	printf("peersim: %" PRIu64 " passed, %" PRIu64 " failed\n",
	       seeds - failed, failed);
	free(s);
	free(shown);
	free(acked);
	free(lost);
	return failed != 0;
}
