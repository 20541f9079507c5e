#include "sync/engine_private.h"
#include "tests/lib/cu.h"
#include "tests/scenario/scn.h"

/*
 * Scenarios that a fork ends, or that must not end in one.  While forks are not
 * healed both branches are kept whole and shown as FORKED, nothing in them is
 * lost or doubled, and no number has two meanings.
 */

/* Ends a run that is FORKED; the oracle looked at each step. */
static void finish_forked(void)
{
	CU_CLAIM(!scn->bad[0], "%s", scn->bad);
	sim_end(scn);
	free(scn);
}

/* Every client model at both nodes: I1 holds over both branches. */
static void look_at_both(unsigned account)
{
	for (unsigned i = 0; i < 24; i++)
		scn_ok(W_LOOK, account, i % 2);
}

static void wait_forked(unsigned account)
{
	for (unsigned i = 0; i < 100; i++) {
		if (scn_state(0, account) == ACCT_FORKED &&
		    scn_state(1, account) == ACCT_FORKED)
			break;
		scn_ms(100);
	}
	CU_EQ_INT(scn_state(0, account), ACCT_FORKED);
	CU_EQ_INT(scn_state(1, account), ACCT_FORKED);
}

/* Both serve the account, n messages each; a is who held it.  The link is back
 * at the end. */
static void fork_it(unsigned account, unsigned a, unsigned n)
{
	scn->may_fork = true;
	sim_cut(scn, true, false);
	scn_ms(14000);
	for (unsigned i = 0; i < n; i++) {
		scn_ok(W_DELIVER, account, a);
		scn_ok(W_DELIVER, account, 1 - a);
	}
	sim_cut(scn, false, false);
	wait_forked(account);
}

/* --- forks that stay ------------------------------------------------------ */

static void forked_in_wait(void)
{
	unsigned a;
	uint32_t n;

	scn_begin(false);
	a = scn_filled(0);
	n = scn_inbox(a, 0);
	fork_it(0, a, 5);
	CU_EQ_U64(scn_inbox(a, 0), n + 5);
	CU_EQ_U64(scn_inbox(1 - a, 0), n + 5);
	/* Each node serves its own branch: nothing is proxied or forwarded. */
	scn_ok(W_DELIVER, 0, a);
	scn_ok(W_DELIVER, 0, 1 - a);
	scn_ms(3000);
	CU_EQ_U64(scn_inbox(a, 0), n + 6);
	CU_EQ_U64(scn_inbox(1 - a, 0), n + 6);
	look_at_both(0);
	/* And keeps it over a crash of both. */
	for (unsigned i = 0; i < 2; i++)
		sim_node_power_off(&scn->n[i], true);
	for (unsigned i = 0; i < 2; i++)
		sim_node_start(&scn->n[i]);
	wait_forked(0);
	CU_EQ_U64(scn_inbox(a, 0), n + 6);
	CU_EQ_U64(scn_inbox(1 - a, 0), n + 6);
	look_at_both(0);
	finish_forked();
}

static struct node_link_status status_of(unsigned node)
{
	struct node_link_status st;

	node_link_status(scn->n[node].link, &st);
	return st;
}

/* One parked account leaves the node in SYNC; with a FORKED one it shows that.
 * Both are counted, none as LONE, and the others have two copies as ever. */
static void parked_does_not_hold(void)
{
	struct node_link_status st;
	struct sstore *ps;
	unsigned a, i;

	scn_begin(false);
	scn_filled(0);
	scn_filled(2);
	a = scn_filled(1);
	ps = sim_store_of(&scn->n[a], 1);
	engine_park(engine_known(ps->engine, scn->acc[1].id), "for the test");
	sim_turn(ps);
	for (i = 0; i < 100 && !status_of(a).sum.parked; i++)
		scn_ms(100);
	scn_ms(2000);
	st = status_of(a);
	CU_EQ_INT(st.state, NODE_SYNC);
	CU_EQ_INT(st.sum.parked, 1);
	/* What comes now the oracle would object to: somebody parked. */
	scn->bad[0] = '\0';
	fork_it(0, scn_holder(0), 1);
	for (i = 0; i < 100 && (status_of(a).state != NODE_FORKED ||
				status_of(a).sum.lone); i++)
		scn_ms(100);
	st = status_of(a);
	CU_EQ_INT(st.state, NODE_FORKED);
	CU_EQ_INT(st.sum.parked, 1);
	CU_EQ_INT(st.sum.forked, 1);
	CU_EQ_INT(st.sum.lone + st.sum.catchup, 0);
	for (i = 0; i < 2; i++) {
		struct outcome o = scn_op(W_DELIVER, 2, i, 5000);

		CU_CLAIM(o.done && !o.result && !o.single_copy,
			 "two copies: %d %d", o.result, o.single_copy);
	}
	sim_end(scn);
	free(scn);
}

/* LONE with the link up, more than is caught up with when it is cut again. */
static void dense_in_catch_up(void)
{
	unsigned a, i;

	scn_begin(false);
	a = scn_filled(0);
	scn->may_fork = true;
	sim_cut(scn, true, false);
	scn_ms(3000);
	scn->pad = 20000;
	for (i = 0; i < 120; i++)
		scn_ok(W_APPEND, 0, a);
	scn->pad = 0;
	scn->rate = 100000;
	sim_cut(scn, false, false);
	for (i = 0; i < 1000 && scn_state(a, 0) != ACCT_CATCHUP; i++)
		scn_ms(10);
	scn_ms(1000);
	CU_EQ_INT(scn_state(a, 0), ACCT_CATCHUP);
	for (i = 0; i < 20; i++)
		sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(100);
	sim_cut(scn, true, false);
	scn->rate = 0;
	scn_ms(14000);
	scn_ok(W_DELIVER, 0, 1 - a);
	scn_ok(W_DELIVER, 0, a);
	sim_cut(scn, false, false);
	wait_forked(0);
	look_at_both(0);
	finish_forked();
}

/* Both take mail for an account that neither had: one INBOX with one
 * UIDVALIDITY, and no UID of one is a UID of the other. */
static void born_twice(void)
{
	struct mailbox *m[2];

	scn_begin(false);
	scn->may_fork = true;
	sim_cut(scn, true, false);
	scn_ms(14000);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_DELIVER, 1, i % 2);
	for (unsigned i = 0; i < 2; i++)
		m[i] = account_mailbox(scn_account(i, 1), SLICE_LIT("INBOX"));
	CU_NEED(m[0] && m[1]);
	CU_CLAIM(id128_eq(mailbox_id(m[0]), mailbox_id(m[1])), "one MAILBOXID");
	CU_EQ_INT(mailbox_uidvalidity(m[0]), mailbox_uidvalidity(m[1]));
	for (uint32_t i = 0; i < mailbox_records(m[0]); i++)
		for (uint32_t k = 0; k < mailbox_records(m[1]); k++)
			CU_CLAIM(mailbox_rec(m[0], i)->uid !=
				 mailbox_rec(m[1], k)->uid, "UID %u twice",
				 mailbox_rec(m[0], i)->uid);
	sim_cut(scn, false, false);
	wait_forked(1);
	CU_EQ_U64(scn_inbox(0, 1), 3);
	CU_EQ_U64(scn_inbox(1, 1), 3);
	look_at_both(1);
	finish_forked();
}

/* --- no fork ------------------------------------------------------------------ */

/* A holds the account, a delivery at it is durable there and nowhere else, it
 * dies, B takes over and writes; A is back, and its tail goes. */
static void die_with_a_tail(unsigned a)
{
	sim_cut(scn, true, false);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(100);
	sim_node_power_off(&scn->n[a], false);
	sim_cut(scn, false, false);
	scn_ms(14000);
	scn_ok(W_DELIVER, 0, 1 - a);
	sim_node_start(&scn->n[a]);
	scn_ms(6000);
	CU_EQ_INT(scn_state(1 - a, 0), ACCT_SYNC);
}

/* Dropping a tail drops the marks of the account.  SYNC is written again, or the
 * next crash would find none, and the next tail would count as shown. */
static void a_second_tail_is_dropped_too(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	die_with_a_tail(a);
	CU_CLAIM(scn->counts[5] >= 1, "the first tail was dropped");
	scn_ms(21000);
	scn_ok(W_LOOK, 0, a);
	CU_EQ_INT(scn_holder(0), a);		/* handed over again */
	die_with_a_tail(a);
	CU_CLAIM(scn->counts[5] >= 2, "the second one too");
	scn_finish();
}

/* Two accounts, each held by the node that the other's mail comes to, and more
 * deliveries than either works on at once: nobody waits for the other. */
static void two_holders_one_mail(void)
{
	static struct outcome o[80];
	unsigned x = 0, y, hx, left = ARRAY_LEN(o);

	scn_begin(false);
	hx = scn_filled(0);
	for (y = 1; y < SIM_ACCOUNTS; y++) {
		scn_filled(y);
		scn_ms(21000);
		scn_ok(W_LOOK, y, 1 - hx);
		if (scn_holder(y) != hx)
			break;
	}
	CU_NEED(y < SIM_ACCOUNTS && scn_holder(x) == hx);
	for (unsigned i = 0; i < ARRAY_LEN(o); i++)
		sim_op(scn, W_DELIVER, i % 2 ? x : y, i % 2 ? 1 - hx : hx,
		       &o[i]);
	for (unsigned t = 0; t < 1500 && left; t++) {
		scn_ms(10);
		left = 0;
		for (unsigned i = 0; i < ARRAY_LEN(o); i++)
			left += !o[i].done || o[i].result;
	}
	CU_EQ_INT(left, 0);
	scn_finish();
}

CU_TESTS(CU_CASE(forked_in_wait), CU_CASE(parked_does_not_hold),
	 CU_CASE(dense_in_catch_up), CU_CASE(born_twice),
	 CU_CASE(a_second_tail_is_dropped_too), CU_CASE(two_holders_one_mail))
