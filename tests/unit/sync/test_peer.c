#include "tests/unit/sync/peer_rig.h"

/*
 * The step function, event by event.  Its interplay over random histories is
 * tests/sim/peersim.c; here stand the tables: jumps of the start rule, common
 * part of two logs, publication by class, back-off.
 */

/* --- the table of jumps --- */

static void a_start_in_sync_with_the_partner_jumps_nothing(void)
{
	setup(0, 10, MARK_SYNC);
	gate(10, true, false);
	CU_EQ_INT(p.state, PEER_SYNC);
	f.writing = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, 0);
	CU_EQ_INT(did(ACT_BEGIN)->epoch, 4);	/* own parity, above all */
	begun();
	CU_CLAIM(peer_may_append(&p, &env, &f), "writes now");
}

static void a_start_after_lone_jumps(void)
{
	setup(0, 10, MARK_LONE);
	gate(10, true, false);
	f.writing = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP);
}

static void a_start_alone_waits_and_jumps(void)
{
	setup(0, 10, MARK_SYNC);
	f.wanted = true;
	ticks(19);
	CU_CLAIM(!did(ACT_BEGIN), "not before the delay");
	ticks(2);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP);
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_START_ALONE);
}

static void an_old_copy_alone_jumps_further_and_skips_epochs(void)
{
	setup(0, 10, MARK_SYNC);
	env.stale = true;
	f.wanted = true;
	ticks(22);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	CU_CLAIM(did(ACT_BEGIN)->epoch > 2 + PEER_EPOCH_SKIP, "epochs skipped");
	CU_CLAIM(p.maybe_stale, "and shown");
}

static void a_takeover_needs_silence_a_window_and_a_failed_attempt(void)
{
	setup(1, 10, MARK_SYNC);
	f.wanted = true;
	ticks(200);
	CU_CLAIM(!did(ACT_BEGIN), "no attempt has failed since");
	f.retried = true;
	env.manual = true;
	ticks(1);
	CU_CLAIM(!did(ACT_BEGIN), "not by itself in `manual'");
	env.manual = false;
	env.trusted = false;
	ticks(1);
	CU_CLAIM(!did(ACT_BEGIN), "not by an incomplete node");
	env.trusted = true;
	env.start_window = 1000;
	ticks(1);
	CU_CLAIM(!did(ACT_BEGIN), "not so soon after the own start");
	env.start_window = 180;
	ticks(1);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_TAKEOVER);
	CU_EQ_INT(did(ACT_BEGIN)->epoch, 3);
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP);
}

static void a_regressed_partner_is_taken_over_at_the_gate(void)
{
	setup(1, 10, MARK_SYNC);
	gate(8, false, true);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_REGRESSED);
}

static void a_partner_that_says_trusted_is_not_taken_over(void)
{
	setup(1, 10, MARK_SYNC);
	gate(10, true, false);
	CU_EQ_INT(p.state, PEER_REPLICA);
	env.partner_regressed = true;		/* found out meanwhile */
	env.partner_trusted = false;
	f.wanted = true;
	ticks(3);
	CU_CLAIM(!did(ACT_BEGIN), "not before its own Position says so");
}

static void resign_lets_the_partner_in_at_once(void)
{
	setup(1, 10, MARK_SYNC);
	gate(10, true, false);
	step((struct peer_event){.kind = EV_RESIGN, .seq = 10});
	CU_CLAIM(!did(ACT_BEGIN), "only when somebody asks");
	f.wanted = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_RESIGN);
}

static void a_pair_without_a_member_numbers_as_one_node(void)
{
	setup(0, 0, MARK_LONE);
	env.single = true;
	env.member = false;
	f.writing = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, 0);
	CU_EQ_INT(did(ACT_BEGIN)->epoch, 2);	/* node 0 begins with 2 */
	setup(1, 0, MARK_LONE);
	env.single = true;
	f.writing = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->epoch, 1);	/* node 1 with 1 */
}

static void a_forgotten_partner_s_numbers_are_jumped_over(void)
{
	setup(0, 10, MARK_SYNC);
	f.holder = 1;				/* the partner held it */
	gate(10, true, false);
	CU_EQ_INT(p.state, PEER_REPLICA);
	env.link = env.member = false;
	env.single = env.forgotten = true;
	simple(EV_LINK_DOWN);
	simple(EV_FORGOTTEN);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_FORGOTTEN);
	begun();
	CU_CLAIM(peer_may_append(&p, &env, &f), "and written then");
	CU_CLAIM(!p.jump_stale, "once");
}

static void a_start_after_forget_peer_jumps_until_it_was_done(void)
{
	for (int done = 0; done < 2; done++) {
		setup(0, 10, MARK_LONE);
		env.member = false;
		env.single = env.forgotten = true;
		f.written_off = done;
		f.writing = true;
		simple(EV_WANTED);
		CU_NEED(did(ACT_BEGIN));
		CU_EQ_U64(did(ACT_BEGIN)->jump, done ? 0 : UID_JUMP_STALE);
		/* Else every second start would jump. */
		CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_FORGOTTEN);
	}
	setup(0, 0, MARK_LONE);
	env.member = false;
	env.single = env.forgotten = true;
	simple(EV_WANTED);
	CU_CLAIM(!did(ACT_BEGIN), "an empty log is not begun unasked");
	f.writing = true;
	simple(EV_WANTED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
}

static void a_restored_disk_is_jumped_over_at_once(void)
{
	/* A node alone: between two changes, nobody asks. */
	setup(0, 10, MARK_LONE);
	env.member = false;
	env.single = true;
	f.writing = true;
	simple(EV_WANTED);
	begun();
	f.writing = false;
	simple(EV_RESTORED);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	CU_EQ_INT(did(ACT_BEGIN)->epoch, 4 + 2 + PEER_EPOCH_SKIP);
	begun();
	CU_CLAIM(!p.jump_stale && !p.restored && !p.maybe_stale, "once");
	/* With a partner that is away: as soon as it may start alone. */
	setup(0, 10, MARK_SYNC);
	simple(EV_RESTORED);
	CU_CLAIM(!did(ACT_BEGIN), "the partner may still be there");
	env.silent = 20;
	simple(EV_TICK);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	/* With one that is there: at the gate; a replica begins nothing. */
	for (int holder = 0; holder < 2; holder++) {
		setup(0, 10, MARK_SYNC);
		f.holder = holder;
		gate(10, true, false);
		simple(EV_RESTORED);
		CU_EQ_INT(did(ACT_BEGIN) != NULL, holder == 0);
	}
}

/* --- SYNC and LONE --- */

static void nothing_is_shown_before_the_ack(void)
{
	writing_holder();
	append(false);
	CU_CLAIM(!did(ACT_PUBLISH), "one copy is not enough");
	step((struct peer_event){.kind = EV_ACK, .seq = 12});
	CU_NEED(did(ACT_PUBLISH));
	CU_EQ_U64(did(ACT_PUBLISH)->seq, 12);
}

static void the_mark_comes_before_the_first_lone_publish(void)
{
	const struct peer_action *m;
	uint64_t serial;

	writing_holder();
	append(false);
	env.link = false;
	simple(EV_LINK_DOWN);
	env.silent = 3;
	env.tick++;
	simple(EV_TICK);
	CU_EQ_INT(p.state, PEER_SYNC);		/* repaired within 4 ticks … */
	env.silent = 4;
	env.tick++;
	simple(EV_TICK);
	CU_EQ_INT(p.state, PEER_LONE);
	m = did(ACT_MARK);
	CU_NEED(m);
	CU_EQ_INT(m->mark, MARK_LONE);
	CU_CLAIM(!did(ACT_PUBLISH), "not before it is durable");
	CU_CLAIM(did(ACT_UNKNOWN), "what may not go alone ends");
	serial = m->seq;
	step((struct peer_event){.kind = EV_MARKED, .seq = serial - 1});
	CU_CLAIM(!did(ACT_PUBLISH), "nor by an older one");
	step((struct peer_event){.kind = EV_MARKED, .seq = serial});
	CU_NEED(did(ACT_PUBLISH));
	CU_EQ_U64(did(ACT_PUBLISH)->seq, 12);
}

static void what_may_not_go_alone_waits_for_one_that_may(void)
{
	writing_holder();
	env.link = false;
	simple(EV_LINK_DOWN);
	env.silent = 4;
	env.tick++;
	simple(EV_TICK);
	append(true);				/* class tempfail */
	CU_CLAIM(!did(ACT_MARK) && !did(ACT_PUBLISH), "it stays");
	append(false);
	CU_NEED(did(ACT_MARK) || p.mark_asked == MARK_LONE);
	step((struct peer_event){.kind = EV_MARKED, .seq = p.mark_serial});
	CU_NEED(did(ACT_PUBLISH));
	CU_EQ_U64(did(ACT_PUBLISH)->seq, 13);	/* both, in order */
}

static void a_silent_partner_is_believed_again_after_an_ack(void)
{
	writing_holder();
	append(false);
	for (unsigned i = 0; i < 10; i++) {
		env.tick++;
		env.silent = 0;			/* heartbeats flow */
		simple(EV_TICK);
	}
	CU_EQ_INT(p.state, PEER_LONE);
	for (unsigned i = 0; i < 20; i++) {
		env.tick++;
		simple(EV_TICK);
		CU_EQ_INT(p.state, PEER_LONE);
	}
	step((struct peer_event){.kind = EV_ACK, .seq = 12});
	CU_EQ_INT(p.state, PEER_SYNC);
}

static void three_time_outs_in_a_minute_back_off(void)
{
	unsigned stayed = 0;

	writing_holder();
	for (unsigned k = 0; k < 3; k++) {
		append(false);
		while (p.state == PEER_SYNC) {
			env.tick++;
			simple(EV_TICK);
		}
		step((struct peer_event){.kind = EV_ACK, .seq = f.end.seq});
		published();
		stayed = 0;
		while (p.state != PEER_SYNC && stayed < 100) {
			env.tick++;
			stayed++;
			simple(EV_TICK);
			published();
		}
	}
	CU_CLAIM(stayed >= PEER_BACKOFF_MIN - 1 && stayed < 20,
		 "stays LONE for 5 s, not %u ticks", stayed);
}

/* --- hand-over --- */

static void a_hand_over_needs_rest_and_an_interval(void)
{
	writing_holder();
	f.writing = false;
	f.busy = true;
	simple(EV_ASKED);
	CU_EQ_INT(did(ACT_ASK_REPLY)->verdict, ASK_PROXY);
	f.busy = false;
	step((struct peer_event){.kind = EV_ASKED, .result = 1});
	CU_EQ_INT(did(ACT_ASK_REPLY)->verdict, ASK_PROXY);	/* a delivery */
	simple(EV_ASKED);
	CU_EQ_INT(did(ACT_ASK_REPLY)->verdict, ASK_HANDOVER);
	CU_CLAIM(did(ACT_HANDOVER) && !peer_may_append(&p, &env, &f),
		 "nothing is appended behind it");
	f.end.seq++;
	f.holder = 1;
	step((struct peer_event){.kind = EV_APPENDED, .seq = f.end.seq,
				 .lineage = true});
	CU_EQ_U64(peer_sendable(&p, &f), f.end.seq - 1);
	f.durable = f.end;
	simple(EV_DURABLE);
	CU_EQ_INT(p.state, PEER_REPLICA);
	CU_EQ_U64(peer_sendable(&p, &f), f.end.seq);
}

static void a_hand_over_with_other_values_is_seeded_first(void)
{
	setup(1, 10, MARK_SYNC);
	gate(10, true, false);
	f.end.seq = f.durable.seq = 11;
	lin[0].last_seq = 11;
	f.holder = 1;
	step((struct peer_event){.kind = EV_ACCEPTED, .seq = 11, .handover = 1,
				 .handover_seq = 11, .published = 10});
	CU_NEED(did(ACT_CHECK_HANDOVER));
	CU_CLAIM(!peer_holds(&p), "not a holder before it is checked");
	step((struct peer_event){.kind = EV_HANDOVER_CHECKED,
				 .result = E_TEMP});
	CU_EQ_INT(p.state, PEER_REPLICA);	/* no room for the answer yet */
	linked_ticks(1);
	CU_NEED(did(ACT_CHECK_HANDOVER));
	step((struct peer_event){.kind = EV_HANDOVER_CHECKED,
				 .result = E_CORRUPT});
	CU_EQ_INT(p.state, PEER_NEEDS_SEED);
	CU_CLAIM(did(ACT_SEED), "asks for a copy");
}

static void a_hand_over_is_compared_in_the_next_generation_too(void)
{
	struct lineage_entry l = {2, 7, 1, 11, 0, 0};
	struct link_position pos = {
		.end = {2, 7, 11, 99}, .mark = MARK_SYNC, .copy = COPY_WHOLE,
		.trusted = true, .holder = 1, .lineage = &l, .n_lineage = 1};

	for (int equal = 0; equal < 2; equal++) {
		setup(1, 10, MARK_SYNC);
		gate(10, true, false);
		f.end.seq = 11;			/* not durable yet */
		lin[0].last_seq = 11;
		f.holder = 1;
		step((struct peer_event){.kind = EV_ACCEPTED, .seq = 11,
					 .handover = 1, .handover_seq = 11,
					 .published = 10});
		CU_CLAIM(!did(ACT_CHECK_HANDOVER), "not yet");
		env.link = false;
		simple(EV_LINK_DOWN);
		f.durable = f.end;
		simple(EV_DURABLE);
		CU_NEED(did(ACT_CHECK_HANDOVER));
		CU_CLAIM(!peer_holds(&p), "before anything else");
		link_is_up();
		step((struct peer_event){.kind = EV_POSITION, .gen = p.gen,
					 .position = &pos});
		CU_CLAIM(!peer_holds(&p), "whatever the log says");
		step((struct peer_event){.kind = EV_HANDOVER_CHECKED,
					 .result = equal ? 0 : E_CORRUPT});
		CU_EQ_INT(p.state, equal ? PEER_SYNC : PEER_NEEDS_SEED);
		CU_CLAIM(!p.may_write, "that epoch ended with the link");
	}
}

CU_TESTS(CU_CASE(a_start_in_sync_with_the_partner_jumps_nothing),
	 CU_CASE(a_start_after_lone_jumps),
	 CU_CASE(a_start_alone_waits_and_jumps),
	 CU_CASE(an_old_copy_alone_jumps_further_and_skips_epochs),
	 CU_CASE(a_takeover_needs_silence_a_window_and_a_failed_attempt),
	 CU_CASE(a_regressed_partner_is_taken_over_at_the_gate),
	 CU_CASE(a_partner_that_says_trusted_is_not_taken_over),
	 CU_CASE(resign_lets_the_partner_in_at_once),
	 CU_CASE(a_pair_without_a_member_numbers_as_one_node),
	 CU_CASE(a_forgotten_partner_s_numbers_are_jumped_over),
	 CU_CASE(a_start_after_forget_peer_jumps_until_it_was_done),
	 CU_CASE(a_restored_disk_is_jumped_over_at_once),
	 CU_CASE(nothing_is_shown_before_the_ack),
	 CU_CASE(the_mark_comes_before_the_first_lone_publish),
	 CU_CASE(what_may_not_go_alone_waits_for_one_that_may),
	 CU_CASE(a_silent_partner_is_believed_again_after_an_ack),
	 CU_CASE(three_time_outs_in_a_minute_back_off),
	 CU_CASE(a_hand_over_needs_rest_and_an_interval),
	 CU_CASE(a_hand_over_with_other_values_is_seeded_first),
	 CU_CASE(a_hand_over_is_compared_in_the_next_generation_too))
