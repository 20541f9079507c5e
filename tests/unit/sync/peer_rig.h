#ifndef DUET_TESTS_PEER_RIG_H
#define DUET_TESTS_PEER_RIG_H

/*
 * One peer of sync/peer.h, with the node and the log around it as plain
 * variables: a test sets what is true, gives an event, and looks at what the
 * step did.  Not every program uses all of it.
 */

#include "storage/prepare.h"
#include "sync/peer.h"
#include "tests/lib/cu.h"

#include <string.h>

#define RIG static __attribute__((unused))

static struct peer p;
static struct peer_env env;
static struct peer_facts f;
static struct peer_actions out;
static struct lineage_entry lin[2];
static bool began;			/* during the last linked_ticks() */

RIG void setup(unsigned node, uint64_t end, enum mark_kind mark)
{
	peer_init(&p);
	env = (struct peer_env){
		.node = node, .member = true, .trusted = true,
		.ack_timeout = 10, .takeover_delay = 20, .start_window = 180,
		.handover_interval = 1200};
	lin[0] = (struct lineage_entry){2, 7, 1, end, 0, 0};
	f = (struct peer_facts){.holder = end ? 0 : -1, .first_holder = 0,
				.mark = mark, .replayed = true};
	if (end) {
		f.end = (struct position){2, 7, end, 99};
		f.durable = f.published = f.end;
		f.lineage = lin;
		f.n_lineage = 1;
	}
	f.partner_known = f.end;
}

RIG const struct peer_action *
did(enum peer_action_kind k)
{
	for (size_t i = 0; i < out.n; i++)
		if (out.a[i].kind == k)
			return &out.a[i];
	return NULL;
}

RIG void step(struct peer_event ev)
{
	out.n = 0;
	peer_step(&p, &env, &f, &ev, &out);
}

RIG void simple(enum peer_event_kind k)
{
	step((struct peer_event){.kind = k, .random = 77});
}

/* The partner's log ends at `end` of the same lineage. */
RIG void gate(uint64_t end, bool trusted, bool regressed)
{
	struct lineage_entry l = {2, 7, 1, end, 0, 0};
	struct link_position pos = {
		.end = {2, 7, end, 99}, .mark = MARK_SYNC, .copy = COPY_WHOLE,
		.trusted = trusted, .regressed = regressed, .holder = 0,
		.lineage = &l, .n_lineage = end ? 1 : 0};

	if (!end)
		pos.end = (struct position){0};
	env.link = true;
	env.silent = 0;
	env.partner_trusted = trusted;
	env.partner_regressed = regressed;
	env.partner_seen |= trusted;
	simple(EV_LINK_UP);
	simple(EV_GATE);
	CU_CLAIM(did(ACT_SEND_REQ) && did(ACT_SEND_POSITION), "asks and says");
	step((struct peer_event){.kind = EV_POSITION, .gen = p.gen,
				 .position = &pos});
	CU_EQ_INT(p.gate, GATE_OPEN);
}

RIG void ticks(unsigned n)
{
	while (n--) {
		env.tick++;
		env.silent++;
		simple(EV_TICK);
		if (did(ACT_BEGIN))
			return;
	}
}

/* EPOCH_BEGIN was appended and is durable. */
RIG void begun(void)
{
	f.end.seq++;
	lin[1] = (struct lineage_entry){p.epoch_seen, 8, f.end.seq, f.end.seq,
					0, (uint8_t)env.node};
	f.lineage = lin;
	f.n_lineage = 2;
	if (f.end.seq == 1) {
		lin[0] = lin[1];
		f.n_lineage = 1;
	}
	f.holder = (int)env.node;
	step((struct peer_event){.kind = EV_APPENDED, .seq = f.end.seq,
				 .lineage = true});
	CU_CLAIM(!peer_may_append(&p, &env, &f), "not before it is durable");
	CU_CLAIM(peer_sendable(&p, &f) < f.end.seq, "nor sent");
	f.durable = f.end;
	simple(EV_DURABLE);
}

RIG void published(void)
{
	const struct peer_action *a = did(ACT_PUBLISH);

	if (a)
		f.published.seq = a->seq;
}

RIG void writing_holder(void)
{
	setup(0, 10, MARK_SYNC);
	gate(10, true, false);
	f.writing = true;
	simple(EV_WANTED);
	begun();
	step((struct peer_event){.kind = EV_ACK, .seq = 11});
	published();
	CU_EQ_INT(p.state, PEER_SYNC);
	CU_EQ_U64(f.published.seq, 11);
}

RIG void append(bool tempfail)
{
	f.end.seq++;
	step((struct peer_event){.kind = EV_APPENDED, .seq = f.end.seq,
				 .tempfail = tempfail});
	f.durable = f.end;
	simple(EV_DURABLE);
}

/* Heartbeats flow all the while. */
RIG void linked_ticks(unsigned n)
{
	for (began = false; n--; began |= did(ACT_BEGIN) != NULL) {
		env.tick++;
		env.silent = 0;
		simple(EV_TICK);
	}
}

RIG void link_is_up(void)
{
	env.link = env.partner_trusted = env.partner_seen = true;
	env.silent = 0;
	simple(EV_LINK_UP);
	simple(EV_GATE);
}

#endif
