#ifndef DUET_TESTS_NODE_RIG_H
#define DUET_TESTS_NODE_RIG_H

#include "node/base/arena.h"
#include "storage/prepare.h"
#include "sync/node_link_private.h"
#include "tests/lib/cu.h"
#include "tests/lib/simrng.h"
#include <stdio.h>
#include <stdlib.h>

#define RIG static __attribute__((unused))

/*
 * Two node levels without sockets or stores: identity, checks, which
 * connection stays, silence, trust.  Messages are queued as bytes and
 * delivered by run(); a tick is given by tick().
 */

struct wire {
	bool used;
	enum link_channel ch;
	unsigned streams;		/* messages of sessions on it */
	bool open[2];
	struct side *side[2];
};

struct packet {
	struct wire *w;
	unsigned to;
	bool eof;
	uint8_t *p;
	size_t n;
};

struct side {
	unsigned i;
	struct clock clock;
	uint64_t now;
	struct simrng rng;
	struct node_link *nl;
	struct node_identity id;
	bool has_accounts, writes, up, trusted_up;
	struct link_report report;
	struct link_journal journal, partner[4];
	unsigned ups, downs, dials, refused, resigned;
	struct link_up last_up;
	char why[400];
	struct node_link_opts opts;
};

struct world {
	struct side s[2];
	struct wire wires[32];
	struct packet q[512];
	size_t n_q;
	bool cut;
	bool slow;			/* connect() ends when the test says */
	bool waits[2];			/* such a one, for control */
	void (*meddle)(struct link_msg *m);	/* in what node 0 sends */
};

static struct world *W;

RIG uint64_t clock_of(struct clock *c)
{
	return CONTAINER_OF(c, struct side, clock)->now;
}

/* A handle is the wire and the end. */
RIG void *handle(struct wire *w, unsigned i)
{
	return (char *)w + i;
}

RIG struct wire *wire_of(void *h, unsigned *i)
{
	size_t off = (size_t)((char *)h - (char *)W->wires);

	*i = off % sizeof(struct wire) != 0;
	return &W->wires[off / sizeof(struct wire)];
}

RIG void put(struct wire *w, unsigned to, const struct link_msg *m)
{
	struct packet *p = &W->q[W->n_q];
	struct buf b;

	if (W->cut || W->n_q == ARRAY_LEN(W->q))
		return;
	buf_init(&b, IPC_MESSAGE_MAX);
	if (m)
		link_encode(&b, m);
	*p = (struct packet){w, to, !m, b.p, b.n};
	W->n_q++;
}

RIG void out_send(void *arg, void *conn, const struct link_msg *m)
{
	struct side *s = arg;
	struct link_msg copy = *m;
	unsigned i;
	struct wire *w = wire_of(conn, &i);

	w->streams += m->type == LINK_STREAM_DATA;
	if (s->i == 0 && W->meddle)
		W->meddle(&copy);
	put(w, 1 - i, &copy);
}

RIG void out_close(void *arg, void *conn, const char *why)
{
	struct side *s = arg;
	unsigned i;
	struct wire *w = wire_of(conn, &i);

	snprintf(s->why, sizeof(s->why), "%s", why);
	w->open[i] = false;
	put(w, 1 - i, NULL);
}

RIG void out_dial(void *arg, enum link_channel ch)
{
	struct side *s = arg, *o = &W->s[1 - s->i];
	size_t k = 0;

	s->dials++;
	if (W->slow && ch == CHANNEL_CONTROL) {
		W->waits[s->i] = true;
		return;
	}
	while (k < ARRAY_LEN(W->wires) && W->wires[k].used)
		k++;
	if (W->cut || k == ARRAY_LEN(W->wires) || !o->nl) {
		node_link_dial_failed(s->nl, ch);
		return;
	}
	W->wires[k] = (struct wire){.used = true, .ch = ch,
				    .open = {true, true}};
	node_link_connected(o->nl, handle(&W->wires[k], o->i), ch, false);
	node_link_connected(s->nl, handle(&W->wires[k], s->i), ch, true);
}

RIG void out_store(void *arg, int process, const struct link_msg *m)
{
	struct side *s = arg;

	(void)process;
	if (m->type == LINK_UP) {
		s->ups += !s->up;
		s->up = true;
		s->last_up = m->up;
		s->report.serial = m->up.serial;
		s->trusted_up = m->up.trusted;
		/* What a store remembers of the partner. */
		for (size_t i = 0; i < m->up.n_journals && i < 4; i++)
			s->partner[i] = m->up.journals[i];
		if (m->up.n_journals)
			s->report.n_partner = m->up.n_journals;
	} else if (m->type == LINK_DOWN) {
		s->downs += s->up;
		s->up = false;
		s->report.serial = m->down.serial;
	} else if (m->type == LINK_RESIGN) {
		s->resigned++;
	}
}

RIG void out_stream(void *arg, const struct link_msg *m)
{
	(void)arg;
	(void)m;
}

RIG void out_identity(void *arg, const struct node_identity *id)
{
	struct side *s = arg;

	s->id = *id;
	s->writes = true;
}

RIG void out_event(void *arg, const char *event, const char *text)
{
	struct side *s = arg;

	if (!strcmp(event, "pair_refused")) {
		s->refused++;
		snprintf(s->why, sizeof(s->why), "%s", text);
	}
}

RIG void report(struct side *s)
{
	struct link_msg m = {.type = LINK_REPORT};

	s->report.journals = &s->journal;
	s->report.n_journals = 1;
	s->report.partner = s->partner;
	m.report = s->report;
	node_link_from_store(s->nl, 0, &m);
}

RIG void start(struct side *s)
{
	struct node_link_out out = {out_send, out_close, out_dial, out_store,
				    out_stream, out_identity, out_event, s};

	s->opts.clock = &s->clock;
	s->opts.rng = &s->rng.rng;
	s->opts.identity = s->id;
	s->opts.has_accounts = s->has_accounts;
	s->opts.clock_skew_usec = 60 * USEC_PER_SEC;
	s->opts.stores = 1;
	s->nl = node_link_new(&s->opts, &out);
	node_link_store_attached(s->nl, 0);
	report(s);
}

RIG void stop(struct side *s)
{
	node_link_free(s->nl);
	s->nl = NULL;
	s->up = false;
	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++) {
		struct wire *w = &W->wires[k];

		if (w->used && w->open[s->i]) {
			w->open[s->i] = false;
			put(w, 1 - s->i, NULL);
		}
	}
}

RIG void setup(void)
{
	W = NEW(struct world);
	for (unsigned i = 0; i < 2; i++) {
		struct side *s = &W->s[i];

		s->i = i;
		s->clock = (struct clock){clock_of, clock_of};
		s->now = 1700000000ull * USEC_PER_SEC;
		simrng_init(&s->rng, i + 1);
		memset(s->id.node_id.b, 0x10 + (int)i, 16);
		memset(s->id.incarnation.b, 0x20 + (int)i, 16);
		s->journal = (struct link_journal){100 + i, 5};
	}
}

RIG void deliver(struct packet *p)
{
	struct side *s = &W->s[p->to];
	struct arena *a = arena_new(4096);
	struct ipc_msg env;
	struct link_msg m;
	struct err e = ERR_NONE;

	if (s->nl && p->w->open[p->to]) {
		if (p->eof) {
			p->w->open[p->to] = false;
			node_link_closed(s->nl, handle(p->w, p->to));
		} else if (ipc_decode(slice_of(p->p, p->n), &env, &e) > 0 &&
			   CU_OK(link_decode(&env, a, &m, &e), &e)) {
			node_link_message(s->nl, handle(p->w, p->to), &m);
		}
	}
	arena_free(a);
	free(p->p);
}

/* Everything that is on its way arrives. */
RIG void run(void)
{
	for (unsigned n = 0; n < 2000; n++) {
		struct packet p;

		for (unsigned i = 0; i < 2; i++)
			if (W->s[i].nl && W->s[i].writes) {
				W->s[i].writes = false;
				node_link_identity_written(W->s[i].nl);
			}
		if (!W->n_q)
			return;
		p = W->q[0];
		memmove(W->q, W->q + 1, --W->n_q * sizeof(p));
		deliver(&p);
	}
	CU_CLAIM(false, "messages without end");
}

RIG void tick(unsigned n)
{
	while (n--) {
		for (unsigned i = 0; i < 2; i++) {
			struct side *s = &W->s[i];

			s->now += 500 * USEC_PER_MSEC;
			if (!s->nl)
				continue;
			report(s);
			node_link_tick(s->nl);
		}
		run();
		for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
			if (!W->wires[k].open[0] && !W->wires[k].open[1])
				W->wires[k].used = false;
	}
}

RIG void teardown(void)
{
	for (unsigned i = 0; i < 2; i++)
		node_link_free(W->s[i].nl);
	for (size_t i = 0; i < W->n_q; i++)
		free(W->q[i].p);
	free(W);
}

/* A pair that has been one for a while. */
RIG void married(void)
{
	setup();
	for (unsigned i = 0; i < 2; i++) {
		struct node_identity *id = &W->s[i].id;

		id->has = id->trusted = id->member = true;
		memset(id->pair_id.b, 7, 16);
		id->pair_time = 1600000000;
		id->index = (uint8_t)i;
		memset(id->partner_node_id.b, 0x10 + (int)(1 - i), 16);
		memset(id->partner_incarnation.b, 0x20 + (int)(1 - i), 16);
		W->s[i].has_accounts = true;
		W->s[i].report.accounts = 1;
		W->s[i].report.set_digest.b[0] = 1;
	}
	start(&W->s[0]);
	start(&W->s[1]);
}

RIG enum node_state state(unsigned i)
{
	struct node_link_status st;

	node_link_status(W->s[i].nl, &st);
	return st.state;
}

/* Every connection ends; the next tick dials again. */
RIG void lose_link(void)
{
	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
		for (unsigned i = 0; i < 2; i++)
			if (W->wires[k].used && W->wires[k].open[i]) {
				W->wires[k].open[i] = false;
				node_link_closed(W->s[i].nl,
						 handle(&W->wires[k], i));
			}
	run();
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "no link");
}

#endif
