#ifndef DUET_TESTS_ENGINE_RIG_H
#define DUET_TESTS_ENGINE_RIG_H

/*
 * The engine of one store process over a store on a simulated disk; the test
 * speaks for the partner and for sync.  What needs two whole nodes is in
 * tests/scenario.  Not every program uses all of it.
 */

#include "sync/engine_private.h"
#include "tests/lib/cu.h"
#include "tests/lib/store_rig.h"

#include <stdio.h>

#define RIG static __attribute__((unused))

static struct rig g;
static struct engine *e;
static struct eacct *ea;

/* What was sent last, by type; without its slices. */
static struct link_msg last[LINK_LOCAL + 32];
static unsigned sent[LINK_LOCAL + 32];
static char happened_last[64];
static struct link_journal reported[1 + STORE_RETIRED_MAX];
static void (*watch)(const struct link_msg *m);	/* or NULL */

RIG void on_send(void *arg, const struct link_msg *m)
{
	(void)arg;
	last[m->type] = *m;
	sent[m->type]++;
	if (watch)
		watch(m);
	if (m->type == LINK_REPORT)
		memcpy(reported, m->report.journals,
		       m->report.n_journals * sizeof(*reported));
}

RIG void on_event(void *arg, const char *event, struct account *a,
		     const char *text)
{
	(void)arg;
	(void)a;
	(void)text;
	snprintf(happened_last, sizeof(happened_last), "%s", event);
}

RIG void start_engine(unsigned node)
{
	struct engine_out out = {.send = on_send, .event = on_event};
	struct engine_opts o = {
		.sys = &g.sys, .store = g.store, .pair_id = g.opts.pair_id,
		.pair_time = g.opts.pair_time, .node = node, .trusted = true,
		.partner_member = true, .ack_timeout = 10,
		.takeover_delay = 20, .start_window = 180,
		.handover_interval_usec = 600 * USEC_PER_SEC};
	struct err err = ERR_NONE;

	memset(sent, 0, sizeof(sent));
	happened_last[0] = 0;
	CU_EQ_INT(engine_new(&o, &out, &e, &err), 0);
	CU_EQ_INT(engine_open_new(e, g.acct[0].id, g.acct[0].name,
				  g.acct[0].root, true, &ea, &err), 0);
}

/* A store with one account of `records' records behind its first, all durable,
 * that node 0 holds; an engine of this node over it. */
RIG void setup(unsigned node, unsigned records)
{
	struct err err = ERR_NONE;

	rig_init(&g, 1, 8u << 20);
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_epoch(&g, 0);
	for (unsigned i = 0; i < records; i++)
		rig_add(&g, 0, "INBOX", "text");
	rig_turn(&g);
	start_engine(node);
}

RIG void teardown(void)
{
	engine_free(e);
	rig_close(&g);
	rig_fini(&g);
}

RIG void turn(void)
{
	engine_turn(e);
	rig_turn(&g);
	engine_turn(e);
}

RIG void link_up(bool trusted)
{
	struct link_msg m = {.type = LINK_UP};

	m.up.trusted = trusted;
	m.up.partner_trusted = true;
	m.up.partner_boot = 1;
	engine_message(e, &m);
}

RIG struct link_msg msg(uint16_t type)
{
	struct link_msg m = {.type = type, .account = ea->id,
			     .gen = ea->peer.gen};

	return m;
}

/* The partner's log is this one, as far as `seq' (and may go on). */
RIG void position(uint64_t seq, uint64_t published, uint8_t copy)
{
	struct link_msg m = msg(LINK_POSITION);
	const struct lineage_entry *l;
	struct lineage_entry one;
	size_t n;

	l = account_lineage(ea->a, &n);
	CU_EQ_INT(n, 1);
	one = l[0];
	one.last_seq = seq;
	if (store_position_at(g.store, ea->a, seq, &m.position.end) < 0)
		m.position.end = (struct position){one.epoch, one.nonce, seq,
						   4711};
	m.position.mark = MARK_SYNC;
	m.position.copy = copy;
	m.position.trusted = true;
	m.position.holder = 0;
	m.position.published = published;
	m.position.lineage = &one;
	m.position.n_lineage = 1;
	engine_message(e, &m);
	CU_EQ_INT(ea->peer.gate, GATE_OPEN);
	turn();
}

struct told {
	unsigned n;
	bool done;
	int result;
	bool unknown;
};

RIG void write_done(void *arg, struct write *w, int result, bool unknown,
		       const struct err *err)
{
	struct told *t = arg;

	(void)w;
	(void)err;
	*t = (struct told){t->n + 1, true, result, unknown};
}

RIG void attempt_failed(uint32_t failed, uint32_t lasted)
{
	struct link_msg m = {.type = LINK_DOWN};

	m.down.failed = failed;
	m.down.lasted = lasted;
	m.down.member = m.down.trusted = true;
	engine_message(e, &m);
	turn();
}

RIG void link_down(uint32_t failed)
{
	attempt_failed(failed, 0);
}

RIG void on_answer(void *arg, enum engine_verdict v, struct account *a,
		      const struct err *err)
{
	(void)v;
	(void)a;
	(void)err;
	*(bool *)arg = true;
}

/* This node's engine holds and has begun its epoch: seq 5. */
RIG void holder(void)
{
	setup(0, 3);
	rig_mark(&g, 0, MARK_SYNC);
	rig_publish_all(&g);
	rig_turn(&g);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	engine_step_simple(ea, EV_SWITCHOVER);	/* begins an epoch for it */
	turn();
	CU_EQ_U64(account_end(ea->a).seq, 5);
	CU_CLAIM(peer_in_sync(&ea->peer), "state %s",
		 peer_state_name(ea->peer.state));
}

RIG void later(unsigned ticks)
{
	while (ticks--) {
		engine_tick(e, true);
		turn();
	}
}

#endif
