#include "tests/unit/sync/peer_rig.h"

/* The exchange of positions, and a partner that is not well. */

/* --- a partner that is connected and does not answer --- */

static void a_live_link_lets_no_holder_start_alone(void)
{
	setup(0, 10, MARK_SYNC);
	link_is_up();
	f.wanted = f.writing = true;
	linked_ticks(4 * env.takeover_delay);
	CU_CLAIM(!began, "the partner may hold it by now");
	CU_EQ_INT(p.gate, GATE_ASKING);
	step((struct peer_event){.kind = EV_PARKED_THERE,
				 .result = E_NOTFOUND});
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_START_ALONE);
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP);
}

static void a_live_link_lets_no_holder_go_on_alone(void)
{
	const char *why;

	writing_holder();
	append(false);
	env.link = false;
	simple(EV_LINK_DOWN);
	link_is_up();
	linked_ticks(4 * env.takeover_delay);
	CU_EQ_INT(p.state, PEER_SYNC);
	CU_EQ_INT(p.mark_asked, MARK_SYNC);	/* and shows nothing alone */
	CU_CLAIM(!peer_may_append(&p, &env, &f), "nor does it write");
	CU_EQ_INT(peer_verdict(&p, &env, &f, &why), VERDICT_WAIT);
	step((struct peer_event){.kind = EV_RESIGN, .seq = 11});
	CU_EQ_INT(p.state, PEER_LONE);
	CU_CLAIM(peer_may_append(&p, &env, &f), "after RESIGN it does");
}

static void a_park_of_an_earlier_link_frees_nobody(void)
{
	setup(0, 10, MARK_SYNC);
	link_is_up();
	step((struct peer_event){.kind = EV_PARKED_THERE, .result = E_TEMP});
	env.link = false;
	simple(EV_LINK_DOWN);
	link_is_up();
	f.wanted = f.writing = true;
	linked_ticks(4 * env.takeover_delay);
	CU_CLAIM(!began, "it may be well again");
}

static void resign_said_again_does_not_begin_its_time_anew(void)
{
	unsigned n = 0;

	setup(1, 10, MARK_SYNC);
	link_is_up();
	f.wanted = true;
	while (n++ < 3 * env.takeover_delay && !did(ACT_BEGIN)) {
		linked_ticks(1);
		if (p.gate == GATE_ASKING)
			step((struct peer_event){.kind = EV_RESIGN,
						 .seq = UINT64_MAX});
	}
	CU_CLAIM(did(ACT_BEGIN), "taken over although each question is answered so");
}

static void a_lost_position_is_said_again(void)
{
	writing_holder();
	step((struct peer_event){.kind = EV_POSITION_REQ, .gen = p.gen,
				 .random = 5});
	CU_NEED(did(ACT_SEND_REQ));		/* the log has grown */
	CU_EQ_U64(p.gen, 5);
	step((struct peer_event){.kind = EV_POSITION_REQ, .gen = 9});
	CU_CLAIM(did(ACT_SEND_POSITION), "answered");
	step((struct peer_event){.kind = EV_POSITION_REQ, .gen = 9});
	CU_CLAIM(did(ACT_SEND_POSITION), "and again");
	CU_EQ_U64(p.gen, 9);
	/* Whoever asked has lost its own. */
	linked_ticks(env.ack_timeout);
	CU_CLAIM(did(ACT_SEND_REQ), "asks by itself then");
}

/* --- a partner whose copy is not whole --- */

/* The partner's log: common up to 8, then its own epoch up to `end'. */
static void fork_position(uint8_t copy, uint64_t end)
{
	struct lineage_entry l[] = {{2, 7, 1, 8, 0, 0}, {3, 9, 9, end, 0, 1}};
	struct link_position pos = {
		.end = {3, 9, end, 5}, .mark = MARK_SYNC, .copy = copy,
		.trusted = true, .holder = 1, .lineage = l, .n_lineage = 2};

	step((struct peer_event){.kind = EV_POSITION, .gen = p.gen,
				 .position = &pos});
}

static void a_fork_with_a_copy_in_quarantine_is_not_judged(void)
{
	static const uint8_t copies[] = {COPY_PARKED, COPY_NEEDS_SEED,
					 COPY_SEEDING};

	for (size_t i = 0; i < 3; i++) {
		setup(0, 10, MARK_SYNC);
		f.published.seq = 8;
		link_is_up();
		fork_position(copies[i], 12);
		CU_EQ_INT(p.state, PEER_LONE);
		CU_EQ_INT(p.reason, copies[i] == COPY_PARKED ? LONE_VERSION :
			  LONE_SEEDING);
		CU_EQ_U64(p.acked, 8);		/* not what its branch has */
		CU_EQ_U64(peer_sendable(&p, &f), 0);
		f.writing = true;
		simple(EV_WANTED);
		begun();
		CU_CLAIM(peer_may_append(&p, &env, &f), "served here");
	}
}

static void judging_ends_when_the_partner_parks(void)
{
	setup(0, 10, MARK_SYNC);
	f.published.seq = 8;
	link_is_up();
	fork_position(COPY_WHOLE, 12);
	CU_EQ_INT(p.state, PEER_JUDGING);
	step((struct peer_event){.kind = EV_PARKED_THERE, .result = E_TEMP});
	CU_EQ_INT(p.state, PEER_LONE);
	CU_EQ_U64(p.acked, 8);
}

static void judging_asks_again_for_what_it_did_not_hear(void)
{
	setup(0, 10, MARK_SYNC);
	f.published.seq = 8;
	link_is_up();
	fork_position(COPY_WHOLE, 12);
	step((struct peer_event){.kind = EV_FORK_FACTS, .wrote = true,
				 .known = true});
	CU_CLAIM(did(ACT_SEND_FORKINFO), "says what it knows");
	linked_ticks(env.ack_timeout);
	CU_CLAIM(did(ACT_SEND_REQ), "theirs was lost: positions again");
	CU_EQ_INT(p.gate, GATE_ASKING);
}

static void nothing_waits_for_a_copy_that_is_being_seeded(void)
{
	writing_holder();
	append(false);
	simple(EV_SEEDING_THERE);
	CU_EQ_INT(p.state, PEER_LONE);
	CU_EQ_INT(p.reason, LONE_SEEDING);
	CU_EQ_U64(peer_sendable(&p, &f), 0);
	step((struct peer_event){.kind = EV_MARKED, .seq = p.mark_serial});
	CU_NEED(did(ACT_PUBLISH));
	CU_EQ_U64(did(ACT_PUBLISH)->seq, 12);
	linked_ticks(3);
	CU_EQ_INT(p.state, PEER_LONE);		/* until positions say whole */
}

/* Its log ends at `end' of the line that writing_holder() began. */
static void behind_position(uint64_t end)
{
	struct lineage_entry l[2] = {lin[0], lin[1]};
	struct link_position pos = {
		.end = {lin[1].epoch, 8, end, 5}, .mark = MARK_SYNC,
		.copy = COPY_WHOLE, .trusted = true, .holder = 0,
		.lineage = l, .n_lineage = 2};

	l[1].last_seq = end;
	step((struct peer_event){.kind = EV_POSITION, .gen = p.gen,
				 .position = &pos});
}

static void an_ack_of_a_partner_that_lost_it_counts_no_more(void)
{
	writing_holder();
	append(false);
	lin[1].last_seq = 12;
	step((struct peer_event){.kind = EV_ACK, .seq = 12});
	published();
	CU_EQ_U64(f.published.seq, 12);
	simple(EV_GATE);
	behind_position(11);
	CU_EQ_U64(p.acked, 11);
	CU_EQ_INT(p.mark_asked, MARK_LONE);	/* one copy of what was shown */
	CU_CLAIM(p.state != PEER_SYNC, "state %s", peer_state_name(p.state));
	CU_EQ_INT(p.reason, LONE_REGRESSED);
	step((struct peer_event){.kind = EV_ACK, .seq = 12});
	CU_EQ_INT(p.state, PEER_SYNC);
	CU_EQ_INT(p.mark_asked, MARK_SYNC);
}

static void a_mark_lone_of_this_life_makes_the_next_epoch_jump(void)
{
	writing_holder();
	append(false);
	env.link = false;
	simple(EV_LINK_DOWN);
	env.silent = 4;
	env.tick++;
	simple(EV_TICK);
	CU_EQ_INT(p.mark_asked, MARK_LONE);
	step((struct peer_event){.kind = EV_MARKED, .seq = p.mark_serial});
	published();
	/* Its trust was lost for a while, and with it the epoch. */
	p.may_write = false;
	link_is_up();
	behind_position(11);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_START);
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP);
}

/* Leaves SYNC by time-out three times; gives how long it stays LONE then. */
static unsigned three_time_outs(void)
{
	for (unsigned k = 0; k < 3; k++) {
		append(false);
		while (p.state == PEER_SYNC || p.state == PEER_CATCHUP)
			linked_ticks(1);
		step((struct peer_event){.kind = EV_ACK, .seq = f.end.seq});
		published();
		while (k < 2 && p.state != PEER_SYNC) {
			linked_ticks(1);
			published();
		}
	}
	return p.backoff;
}

static void a_back_off_is_forgotten_after_a_good_minute(void)
{
	unsigned k;

	writing_holder();
	CU_EQ_INT(three_time_outs(), PEER_BACKOFF_MIN);
	for (k = 0; k < 200 && p.state != PEER_SYNC; k++) {
		linked_ticks(1);
		published();
	}
	linked_ticks(3 * PEER_LEAVES_TICKS);
	CU_EQ_INT(p.state, PEER_SYNC);
	CU_EQ_INT(three_time_outs(), PEER_BACKOFF_MIN);
}

/* --- what may be lost or come at the wrong time --- */

static void an_epoch_that_does_not_fit_into_the_journal_is_begun_later(void)
{
	struct peer_event full = {.kind = EV_APPENDED, .lineage = true,
				  .result = E_TEMP};

	setup(1, 10, MARK_SYNC);
	gate(8, false, true);			/* regressed: jumps R */
	CU_NEED(did(ACT_BEGIN));
	step(full);
	CU_CLAIM(!did(ACT_BEGIN), "not in the same breath");
	CU_CLAIM(p.state != PEER_PARKED && !p.hold_seq, "nothing is left of it");
	linked_ticks(1);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_U64(did(ACT_BEGIN)->jump, UID_JUMP_STALE);
	begun();
	CU_EQ_INT(p.may_write, 1);
}

static void a_hand_over_that_does_not_fit_is_taken_back(void)
{
	writing_holder();
	f.writing = false;
	simple(EV_ASKED);
	CU_NEED(did(ACT_HANDOVER));
	step((struct peer_event){.kind = EV_APPENDED, .lineage = true,
				 .result = E_TEMP});
	CU_EQ_INT(p.state, PEER_SYNC);
	CU_CLAIM(peer_may_append(&p, &env, &f), "it holds as before");
}

static void nothing_is_accepted_where_an_own_epoch_is_under_way(void)
{
	setup(1, 10, MARK_SYNC);
	gate(10, true, false);
	CU_CLAIM(peer_accepts(&p, p.gen), "a replica accepts");
	f.wanted = true;
	step((struct peer_event){.kind = EV_RESIGN, .seq = 10});
	CU_NEED(did(ACT_BEGIN));
	CU_CLAIM(!peer_accepts(&p, p.gen), "its place is taken");
}

static void who_pulls_asks_again_for_what_was_dropped(void)
{
	unsigned nacks = 0;

	setup(0, 10, MARK_SYNC);
	gate(14, true, false);
	CU_EQ_INT(p.state, PEER_PULLING);
	for (unsigned i = 0; i < 3 * PEER_RESEND_TICKS; i++) {
		linked_ticks(1);
		if (!did(ACT_NACK))
			continue;
		CU_EQ_U64(did(ACT_NACK)->seq, 11);
		nacks++;
	}
	CU_CLAIM(nacks >= 2, "%u times", nacks);
}

static void a_silent_partner_at_an_open_gate_stays_left(void)
{
	writing_holder();
	append(false);
	env.silent = PEER_SUSPECT_TICKS;	/* sync hangs: no LINK_DOWN */
	env.tick++;
	simple(EV_TICK);
	CU_EQ_INT(p.state, PEER_LONE);
	CU_EQ_INT(p.reason, LONE_DISCONNECT);
	for (unsigned i = 0; i < 10; i++) {
		env.tick++;
		env.silent++;
		simple(EV_TICK);
		CU_EQ_INT(p.state, PEER_LONE);
	}
	step((struct peer_event){.kind = EV_MARKED, .seq = p.mark_serial});
	CU_NEED(did(ACT_PUBLISH));		/* what waited is shown */
}

static void the_operator_s_word_counts_once(void)
{
	setup(1, 10, MARK_SYNC);
	env.manual = true;
	f.wanted = true;
	ticks(30);
	CU_CLAIM(!did(ACT_BEGIN), "not by itself in `manual'");
	simple(EV_TAKEOVER);
	CU_NEED(did(ACT_BEGIN));
	CU_EQ_INT(did(ACT_BEGIN)->reason, EPOCH_OPERATOR);
	CU_CLAIM(!p.accept_stale, "used up");
	/* Nor does one that was not used live on over the next link. */
	setup(1, 10, MARK_SYNC);
	env.manual = true;
	simple(EV_TAKEOVER);
	gate(10, true, false);
	env.link = false;
	simple(EV_LINK_DOWN);
	f.wanted = true;
	ticks(60);
	CU_CLAIM(!did(ACT_BEGIN), "a later silence is another matter");
}

/* --- two logs --- */

static void the_common_part_of_two_lineages(void)
{
	struct lineage_entry a[] = {{1, 5, 1, 10, 0, 1}, {2, 6, 11, 20, 0, 0}};
	struct lineage_entry b[] = {{1, 5, 1, 10, 0, 1}, {2, 6, 11, 15, 0, 0}};
	struct lineage_entry c[] = {{1, 5, 1, 10, 0, 1}, {2, 7, 11, 15, 0, 0}};
	struct lineage_entry d[] = {{1, 5, 1, 7, 0, 1}, {3, 8, 8, 9, 0, 1}};

	CU_EQ_U64(peer_common(a, 2, a, 2), 20);
	CU_EQ_U64(peer_common(a, 2, b, 2), 15);	/* b is behind */
	CU_EQ_U64(peer_common(a, 2, c, 2), 10);	/* one number, two nonces */
	CU_EQ_U64(peer_common(a, 2, d, 2), 7);
	CU_EQ_U64(peer_common(a, 2, NULL, 0), 0);
	CU_EQ_U64(peer_common(a + 1, 1, b, 2), 15);	/* old entries are cut */
}

static void of_crossing_requests_the_greater_wins(void)
{
	setup(0, 10, MARK_SYNC);
	env.link = true;
	simple(EV_LINK_UP);
	simple(EV_GATE);			/* generation 77 */
	step((struct peer_event){.kind = EV_POSITION_REQ, .gen = 76});
	CU_EQ_U64(p.gen, 77);
	step((struct peer_event){.kind = EV_POSITION_REQ, .gen = 78});
	CU_EQ_U64(p.gen, 78);
	CU_CLAIM(did(ACT_SEND_POSITION), "answers it");
	CU_CLAIM(!peer_accepts(&p, 77), "drops what belongs to another");
}

CU_TESTS(CU_CASE(a_live_link_lets_no_holder_start_alone),
	 CU_CASE(a_live_link_lets_no_holder_go_on_alone),
	 CU_CASE(a_park_of_an_earlier_link_frees_nobody),
	 CU_CASE(resign_said_again_does_not_begin_its_time_anew),
	 CU_CASE(a_lost_position_is_said_again),
	 CU_CASE(a_fork_with_a_copy_in_quarantine_is_not_judged),
	 CU_CASE(judging_ends_when_the_partner_parks),
	 CU_CASE(judging_asks_again_for_what_it_did_not_hear),
	 CU_CASE(nothing_waits_for_a_copy_that_is_being_seeded),
	 CU_CASE(an_ack_of_a_partner_that_lost_it_counts_no_more),
	 CU_CASE(a_mark_lone_of_this_life_makes_the_next_epoch_jump),
	 CU_CASE(a_back_off_is_forgotten_after_a_good_minute),
	 CU_CASE(an_epoch_that_does_not_fit_into_the_journal_is_begun_later),
	 CU_CASE(a_hand_over_that_does_not_fit_is_taken_back),
	 CU_CASE(nothing_is_accepted_where_an_own_epoch_is_under_way),
	 CU_CASE(who_pulls_asks_again_for_what_was_dropped),
	 CU_CASE(a_silent_partner_at_an_open_gate_stays_left),
	 CU_CASE(the_operator_s_word_counts_once),
	 CU_CASE(the_common_part_of_two_lineages),
	 CU_CASE(of_crossing_requests_the_greater_wins))
