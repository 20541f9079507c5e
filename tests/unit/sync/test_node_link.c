#include "tests/unit/sync/node_rig.h"

/* Identity, refusals, which connection stays, silence. */

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

CU_TESTS(CU_CASE(two_fresh_nodes_find_one_identity),
	 CU_CASE(a_fresh_node_joins_the_other_index),
	 CU_CASE(a_provisional_identity_is_dropped),
	 CU_CASE(two_pairs_are_refused),
	 CU_CASE(one_index_twice_is_refused),
	 CU_CASE(the_own_address_is_refused),
	 CU_CASE(clocks_are_checked_at_a_join_only),
	 CU_CASE(another_version_is_refused),
	 CU_CASE(a_test_build_is_refused),
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
	 CU_CASE(a_local_message_ends_the_connection))
