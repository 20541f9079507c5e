#include "node/base/arena.h"
#include "storage/prepare.h"
#include "sync/node_link.h"
#include "tests/lib/cu.h"
#include "tests/lib/simrng.h"

#include <stdio.h>
#include <stdlib.h>

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

static uint64_t clock_of(struct clock *c)
{
	return CONTAINER_OF(c, struct side, clock)->now;
}

/* A handle is the wire and the end. */
static void *handle(struct wire *w, unsigned i)
{
	return (char *)w + i;
}

static struct wire *wire_of(void *h, unsigned *i)
{
	size_t off = (size_t)((char *)h - (char *)W->wires);

	*i = off % sizeof(struct wire) != 0;
	return &W->wires[off / sizeof(struct wire)];
}

static void put(struct wire *w, unsigned to, const struct link_msg *m)
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

static void out_send(void *arg, void *conn, const struct link_msg *m)
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

static void out_close(void *arg, void *conn, const char *why)
{
	struct side *s = arg;
	unsigned i;
	struct wire *w = wire_of(conn, &i);

	snprintf(s->why, sizeof(s->why), "%s", why);
	w->open[i] = false;
	put(w, 1 - i, NULL);
}

static void out_dial(void *arg, enum link_channel ch)
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

static void out_store(void *arg, int process, const struct link_msg *m)
{
	struct side *s = arg;

	(void)process;
	if (m->type == LINK_UP) {
		s->ups += !s->up;
		s->up = true;
		s->last_up = m->up;
		s->trusted_up = m->up.trusted;
		/* What a store remembers of the partner. */
		for (size_t i = 0; i < m->up.n_journals && i < 4; i++)
			s->partner[i] = m->up.journals[i];
		if (m->up.n_journals)
			s->report.n_partner = m->up.n_journals;
	} else if (m->type == LINK_DOWN) {
		s->downs += s->up;
		s->up = false;
	} else if (m->type == LINK_RESIGN) {
		s->resigned++;
	}
}

static void out_stream(void *arg, const struct link_msg *m)
{
	(void)arg;
	(void)m;
}

static void out_identity(void *arg, const struct node_identity *id)
{
	struct side *s = arg;

	s->id = *id;
	s->writes = true;
}

static void out_event(void *arg, const char *event, const char *text)
{
	struct side *s = arg;

	if (!strcmp(event, "pair_refused")) {
		s->refused++;
		snprintf(s->why, sizeof(s->why), "%s", text);
	}
}

static void report(struct side *s)
{
	struct link_msg m = {.type = LINK_REPORT};

	s->report.journals = &s->journal;
	s->report.n_journals = 1;
	s->report.partner = s->partner;
	m.report = s->report;
	node_link_from_store(s->nl, 0, &m);
}

static void start(struct side *s)
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

static void stop(struct side *s)
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

static void setup(void)
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

static void deliver(struct packet *p)
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
static void run(void)
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

static void tick(unsigned n)
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

static void teardown(void)
{
	for (unsigned i = 0; i < 2; i++)
		node_link_free(W->s[i].nl);
	for (size_t i = 0; i < W->n_q; i++)
		free(W->q[i].p);
	free(W);
}

/* A pair that has been one for a while. */
static void married(void)
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

static enum node_state state(unsigned i)
{
	struct node_link_status st;

	node_link_status(W->s[i].nl, &st);
	return st.state;
}

/* Every connection ends; the next tick dials again. */
static void lose_link(void)
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

/* --- identity --- */

static void two_fresh_nodes_find_one_identity(void)
{
	setup();
	start(&W->s[0]);
	start(&W->s[1]);
	tick(8);
	CU_CLAIM(W->s[0].up && W->s[1].up, "both are up");
	CU_CLAIM(W->s[0].id.has && W->s[1].id.has, "both have an identity");
	CU_EQ_MEM(W->s[0].id.pair_id.b, W->s[1].id.pair_id.b, 16);
	CU_EQ_U64(W->s[0].id.pair_time, W->s[1].id.pair_time);
	CU_EQ_INT(W->s[0].id.index, 0);		/* the smaller node id */
	CU_EQ_INT(W->s[1].id.index, 1);
	CU_CLAIM(W->s[0].id.trusted, "the first is trusted at once");
	tick(6);
	CU_CLAIM(W->s[1].id.trusted, "an empty list is complete");
	teardown();
}

static void a_fresh_node_joins_the_other_index(void)
{
	setup();
	W->s[1].id.has = W->s[1].id.trusted = true;
	memset(W->s[1].id.pair_id.b, 9, 16);
	W->s[1].id.pair_time = 1500000000;
	W->s[1].id.index = 0;
	W->s[1].has_accounts = true;
	W->s[1].report.accounts = 2;
	W->s[1].report.set_digest.b[3] = 5;
	start(&W->s[0]);
	start(&W->s[1]);
	tick(8);
	CU_CLAIM(W->s[0].up && W->s[1].up, "both are up");
	CU_EQ_INT(W->s[0].id.index, 1);
	CU_EQ_U64(W->s[0].id.pair_time, 1500000000);
	CU_CLAIM(W->s[1].last_up.partner_empty, "it is EMPTY");
	tick(10);
	CU_CLAIM(!W->s[0].id.trusted, "not trusted without the accounts");
	CU_EQ_INT(state(0), NODE_EMPTY);
	CU_EQ_INT(state(1), NODE_CATCHUP);
	lose_link();
	CU_EQ_INT(state(1), NODE_CATCHUP);	/* not SYNC for a moment */
	tick(8);
	CU_CLAIM(!W->s[0].id.trusted, "nor with another link");
	W->s[0].report = W->s[1].report;	/* all are here now */
	W->s[0].report.n_partner = 0;
	tick(8);
	CU_CLAIM(W->s[0].id.trusted, "trusted with a complete set");
	CU_CLAIM(!W->s[1].last_up.partner_empty, "and the partner knows");
	teardown();
}

static void a_provisional_identity_is_dropped(void)
{
	setup();
	W->s[0].id.has = W->s[0].id.provisional = W->s[0].id.trusted = true;
	memset(W->s[0].id.pair_id.b, 1, 16);
	W->s[1].id.has = W->s[1].id.trusted = true;
	memset(W->s[1].id.pair_id.b, 2, 16);
	W->s[1].has_accounts = true;
	start(&W->s[0]);
	start(&W->s[1]);
	tick(8);
	CU_CLAIM(W->s[0].up, "they are a pair");
	CU_EQ_MEM(W->s[0].id.pair_id.b, W->s[1].id.pair_id.b, 16);
	CU_CLAIM(!W->s[0].id.provisional, "a member's identity");
	teardown();
}

/* --- refusals --- */

static void refused(const char *what)
{
	tick(8);
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "no link");
	CU_CLAIM(W->s[0].refused + W->s[1].refused > 0, "somebody says why");
	CU_CLAIM(strstr(W->s[0].why, what) || strstr(W->s[1].why, what),
		 "'%s' in '%s' / '%s'", what, W->s[0].why, W->s[1].why);
	teardown();
}

static void two_pairs_are_refused(void)
{
	married();
	stop(&W->s[1]);
	memset(W->s[1].id.pair_id.b, 8, 16);
	start(&W->s[1]);
	refused("two pairs");
}

static void one_index_twice_is_refused(void)
{
	married();
	stop(&W->s[1]);
	W->s[1].id.index = 0;
	start(&W->s[1]);
	refused("index 0");
}

static void the_own_address_is_refused(void)
{
	setup();
	W->s[1].id.node_id = W->s[0].id.node_id;
	start(&W->s[0]);
	start(&W->s[1]);
	refused("this node itself");
}

static void clocks_are_checked_at_a_join_only(void)
{
	setup();
	W->s[1].now += 3600 * USEC_PER_SEC;
	start(&W->s[0]);
	start(&W->s[1]);
	refused("clocks");
	married();
	W->s[1].now += 3600 * USEC_PER_SEC;
	tick(4);
	CU_CLAIM(W->s[0].up && W->s[1].up, "in service a clock stops nothing");
	teardown();
}

static void other_version(struct link_msg *m)
{
	if (m->type == LINK_HELLO)
		m->hello.major++;
}

static void another_version_is_refused(void)
{
	married();
	W->meddle = other_version;
	refused("upgrade");
}

static void other_limits(struct link_msg *m)
{
	if (m->type == LINK_HELLO)
		m->hello.limits.window++;
}

static void a_test_build_is_refused(void)
{
	married();
	W->meddle = other_limits;
	refused("test build");
}

static void an_unknown_disk_with_accounts_is_refused(void)
{
	married();
	stop(&W->s[1]);
	memset(W->s[1].id.incarnation.b, 0x55, 16);
	start(&W->s[1]);
	refused("pair replace");
}

static void a_forgotten_partner_is_refused_and_does_not_serve(void)
{
	married();
	tick(4);
	CU_NEED(W->s[0].up);
	node_link_forget_peer(W->s[0].nl);
	tick(8);
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "no link");
	CU_CLAIM(strstr(W->s[1].why, "written off") != NULL, "%s", W->s[1].why);
	CU_EQ_INT(state(0), NODE_SINGLE);
	CU_EQ_INT(state(1), NODE_REFUSED);	/* serves nothing alone */
	teardown();
}

/* --- connections and silence --- */

static void one_control_connection_stays(void)
{
	unsigned control = 0;

	married();
	tick(6);
	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
		control += W->wires[k].used &&
			   W->wires[k].ch == CHANNEL_CONTROL;
	CU_EQ_INT(control, 1);
	CU_EQ_INT(state(0), NODE_SYNC);
	CU_EQ_INT(state(1), NODE_SYNC);
	teardown();
}

/* The connect() of a side ends; all that follows from it happens. */
static void connected(unsigned i)
{
	CU_CLAIM(W->waits[i], "node %u dials", i);
	W->waits[i] = false;
	W->slow = false;
	out_dial(&W->s[i], CHANNEL_CONTROL);
	W->slow = true;
	run();
}

static void both_dial_and_the_link_comes_up_once(void)
{
	for (unsigned first = 0; first < 2; first++) {
		married();
		W->slow = true;
		tick(1);
		connected(first);
		CU_CLAIM(!first || !W->s[0].up, "it waits for the own one");
		connected(1 - first);
		tick(8);
		for (unsigned i = 0; i < 2; i++) {
			CU_EQ_INT(W->s[i].ups, 1);
			CU_EQ_INT(W->s[i].downs, 0);
			CU_EQ_INT(state(i), NODE_SYNC);
		}
		teardown();
	}
}

static void an_own_dial_that_fails_holds_nothing_up(void)
{
	married();
	W->slow = true;
	tick(1);
	connected(1);
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "it waits");
	node_link_dial_failed(W->s[0].nl, CHANNEL_CONTROL);
	run();
	CU_CLAIM(W->s[0].up && W->s[1].up, "up at once");
	teardown();
}

static void an_own_dial_without_end_holds_up_for_two_seconds(void)
{
	married();
	W->slow = true;
	tick(1);
	connected(1);
	tick(3);
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "it waits");
	tick(1);
	CU_CLAIM(W->s[0].up && W->s[1].up, "up");
	teardown();
}

static void silence_of_four_ticks_closes_the_link(void)
{
	married();
	tick(4);
	CU_NEED(W->s[0].up);
	W->cut = true;
	tick(3);
	CU_CLAIM(W->s[0].up, "three ticks are not enough");
	tick(3);
	CU_CLAIM(!W->s[0].up && !W->s[1].up, "suspect: closed");
	CU_EQ_INT(state(0), NODE_DEGRADED);
	W->cut = false;
	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
		W->wires[k].open[0] = W->wires[k].open[1] =
			W->wires[k].used = false;
	tick(8);
	CU_CLAIM(W->s[0].up && W->s[1].up, "back by itself");
	CU_EQ_INT(state(0), NODE_SYNC);
	teardown();
}

/* One message of a megabyte takes eight seconds at 1 Mbit/s: its bytes come
 * all the time, the message does not. */
static void bytes_of_a_long_message_are_a_sign_of_life(void)
{
	struct wire *control = NULL, *fresh;

	married();
	tick(4);
	CU_NEED(W->s[0].up);
	fresh = &W->wires[31];
	for (size_t k = 0; k < 31; k++)
		if (W->wires[k].used && W->wires[k].open[0] &&
		    W->wires[k].ch == CHANNEL_CONTROL)
			control = &W->wires[k];
	CU_NEED(control);
	W->cut = true;
	for (unsigned k = 0; k < 16; k++) {
		node_link_input(W->s[0].nl, handle(control, 0));
		tick(1);
	}
	CU_CLAIM(W->s[0].up, "silent although bytes came");
	/* Those of a connection that has not said who it is prove nothing. */
	*fresh = (struct wire){.used = true, .ch = CHANNEL_CONTROL,
			       .open = {true, true}};
	node_link_connected(W->s[0].nl, handle(fresh, 0), CHANNEL_CONTROL,
			    false);
	for (unsigned k = 0; k < 6; k++) {
		node_link_input(W->s[0].nl, handle(fresh, 0));
		tick(1);
	}
	CU_CLAIM(!W->s[0].up, "a stranger's bytes kept the link up");
	teardown();
}

static void a_stalled_loop_counts_one_tick(void)
{
	married();
	tick(4);
	CU_NEED(W->s[0].up);
	/* Node 1 stands for an hour; its input is there when it wakes. */
	W->s[1].now += 3600 * USEC_PER_SEC;
	for (int i = 0; i < 3; i++)
		node_link_tick(W->s[0].nl);
	run();
	node_link_tick(W->s[1].nl);
	CU_CLAIM(W->s[1].up, "no silence was invented");
	teardown();
}

static void a_restarted_sync_is_back_within_four_ticks(void)
{
	married();
	tick(6);
	CU_NEED(W->s[0].up);
	stop(&W->s[1]);
	run();
	start(&W->s[1]);
	tick(3);
	CU_CLAIM(W->s[0].up && W->s[1].up, "both are up again");
	teardown();
}

static void local_messages_never_come_from_the_link(struct link_msg *m)
{
	if (m->type == LINK_HEARTBEAT)
		*m = (struct link_msg){.type = LINK_DOWN};
}

static void a_local_message_ends_the_connection(void)
{
	married();
	tick(4);
	CU_NEED(W->s[1].up);
	W->meddle = local_messages_never_come_from_the_link;
	tick(1);
	CU_CLAIM(W->s[1].downs > 0, "it was closed");
	CU_CLAIM(strstr(W->s[1].why, "never leaves") || W->s[1].refused,
		 "%s", W->s[1].why);
	teardown();
}

/* --- trust --- */

static void a_disk_that_went_back_is_found_out(void)
{
	married();
	W->s[0].journal.last_batch = W->s[1].journal.last_batch = 50;
	tick(24);			/* written down by the other */
	CU_EQ_U64(W->s[0].partner[0].last_batch, 50);
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 40;	/* restored */
	W->s[1].report.incomplete = 1;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "the partner sees it");
	CU_CLAIM(W->s[1].last_up.regressed && !W->s[1].id.trusted,
		 "it knows itself, and lost its trust");
	CU_EQ_INT(state(0), NODE_REGRESSED);
	W->s[1].report.incomplete = 0;	/* every account was compared */
	tick(10);
	CU_CLAIM(W->s[1].id.trusted, "trusted again");
	CU_CLAIM(!W->s[0].last_up.partner_regressed, "and the partner agrees");
	tick(40);
	CU_CLAIM(W->s[1].id.trusted && W->s[0].up && W->s[1].up,
		 "it stays so");
	CU_EQ_INT(state(0), NODE_SYNC);
	teardown();
}

/* Long before anything of the batches was written down. */
static void a_disk_that_went_back_by_a_second_is_found_out(void)
{
	married();
	W->s[0].journal.last_batch = W->s[1].journal.last_batch = 50;
	tick(24);
	W->s[1].journal.last_batch = 60;
	tick(3);
	W->s[0].partner[0].last_batch = 50;	/* not written down yet */
	report(&W->s[0]);
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 55;	/* restored */
	W->s[1].report.incomplete = 1;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "the partner sees it");
	CU_CLAIM(!W->s[1].id.trusted, "it lost its trust");
	W->s[1].report.incomplete = 0;
	tick(10);
	CU_CLAIM(W->s[1].id.trusted, "trusted again");
	CU_CLAIM(!W->s[0].last_up.partner_regressed, "and the partner agrees");
	/* A link that breaks then finds nothing amiss. */
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 56;
	start(&W->s[1]);
	tick(40);
	CU_CLAIM(W->s[1].id.trusted, "it stays so");
	CU_EQ_INT(state(0), NODE_SYNC);
	teardown();
}

static void a_missing_journal_is_a_regression_too(void)
{
	married();
	tick(24);
	stop(&W->s[1]);
	run();
	W->s[1].journal.id = 999;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "its journal is gone");
	teardown();
}

static void a_lost_disk_is_told_from_a_first_join(void)
{
	married();
	tick(4);
	stop(&W->s[1]);
	run();
	W->s[1].id = (struct node_identity){.node_id = W->s[1].id.node_id};
	memset(W->s[1].id.incarnation.b, 0x77, 16);
	W->s[1].has_accounts = false;
	W->s[1].report = (struct link_report){.accounts = 0};
	W->s[1].journal = (struct link_journal){555, 1};
	start(&W->s[1]);
	tick(8);
	CU_CLAIM(W->s[0].up && W->s[1].up, "it joins");
	CU_EQ_INT(W->s[1].id.index, 1);
	CU_CLAIM(W->s[0].last_up.partner_lost, "its old disk is lost");
	teardown();
}

static void accounts_go_to_the_process_of_their_id(void)
{
	struct id128 id = {{3}};

	CU_EQ_INT(node_link_process_of(id, 1), 0);
	CU_EQ_INT(node_link_process_of(id, 2), 1);
	id.b[15] = 1;			/* the holder's bit is another one */
	CU_EQ_INT(node_link_process_of(id, 2), 1);
	id.b[7] = 1;
	CU_EQ_INT(node_link_process_of(id, 4), 3);
}

static void who_resigned_is_said_again_on_the_next_link(void)
{
	struct link_resign r = {.cause = 1};

	married();
	tick(4);
	node_link_store_detached(W->s[0].nl, 0);
	node_link_resign(W->s[0].nl, 0, &r);
	run();
	CU_EQ_INT(W->s[1].resigned, 1);
	W->cut = true;
	tick(6);
	CU_CLAIM(!W->s[1].up, "the link broke");
	W->cut = false;
	tick(8);
	CU_CLAIM(W->s[1].up, "and is back");
	CU_CLAIM(W->s[1].resigned >= 2, "the partner hears it again");
	teardown();
}

static unsigned streams_on(enum link_channel ch)
{
	unsigned n = 0;

	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
		if (W->wires[k].used && W->wires[k].ch == ch)
			n += W->wires[k].streams;
	return n;
}

static void streams_that_began_on_control_stay_there(void)
{
	struct link_msg m = {.type = LINK_STREAM_DATA, .id = 2};

	married();
	/* Up before anybody dialled the other connections. */
	for (unsigned k = 0; k < 20 && !(W->s[0].up && W->s[1].up); k++)
		tick(1);
	CU_CLAIM(W->s[0].up, "the link is up");
	CU_CLAIM(node_link_send_stream(W->s[0].nl, &m), "sent");
	CU_EQ_INT(streams_on(CHANNEL_CONTROL), 1);
	tick(6);
	CU_CLAIM(node_link_send_stream(W->s[0].nl, &m), "sent");
	CU_EQ_INT(streams_on(CHANNEL_CONTROL), 2);
	CU_EQ_INT(streams_on(CHANNEL_PROXY), 0);
	teardown();
}

CU_TESTS(CU_CASE(who_resigned_is_said_again_on_the_next_link),
	 CU_CASE(streams_that_began_on_control_stay_there),
	 CU_CASE(two_fresh_nodes_find_one_identity),
	 CU_CASE(a_fresh_node_joins_the_other_index),
	 CU_CASE(a_provisional_identity_is_dropped),
	 CU_CASE(two_pairs_are_refused), CU_CASE(one_index_twice_is_refused),
	 CU_CASE(the_own_address_is_refused),
	 CU_CASE(clocks_are_checked_at_a_join_only),
	 CU_CASE(another_version_is_refused), CU_CASE(a_test_build_is_refused),
	 CU_CASE(an_unknown_disk_with_accounts_is_refused),
	 CU_CASE(a_forgotten_partner_is_refused_and_does_not_serve),
	 CU_CASE(one_control_connection_stays),
	 CU_CASE(both_dial_and_the_link_comes_up_once),
	 CU_CASE(an_own_dial_that_fails_holds_nothing_up),
	 CU_CASE(an_own_dial_without_end_holds_up_for_two_seconds),
	 CU_CASE(silence_of_four_ticks_closes_the_link),
	 CU_CASE(bytes_of_a_long_message_are_a_sign_of_life),
	 CU_CASE(a_stalled_loop_counts_one_tick),
	 CU_CASE(a_restarted_sync_is_back_within_four_ticks),
	 CU_CASE(a_local_message_ends_the_connection),
	 CU_CASE(a_disk_that_went_back_is_found_out),
	 CU_CASE(a_disk_that_went_back_by_a_second_is_found_out),
	 CU_CASE(a_missing_journal_is_a_regression_too),
	 CU_CASE(a_lost_disk_is_told_from_a_first_join),
	 CU_CASE(accounts_go_to_the_process_of_their_id))
