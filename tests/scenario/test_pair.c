#include "tests/lib/cu.h"
#include "storage/store_private.h"
#include "tests/scenario/scn.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * The regression scenarios of the pair that need no heal, on two whole nodes
 * of the simulator.  Names as in the design's list.  A is the node that holds
 * the account at first, B the other one; times: partner given up after 5 s,
 * start window 12 s, hand-over interval 20 s, time-out of an ack 4 s.
 */

/* --- policies and outcomes ------------------------------------------------------- */

static void refusal_before_write(void)
{
	unsigned a;
	uint64_t end;
	struct outcome o;

	scn_begin(true);
	a = scn_filled(0);
	sim_cut(scn, true, false);
	scn_ms(4000);				/* A has left SYNC */
	end = scn_end(a, 0);
	o = scn_op(W_APPEND, 0, a, 3000);
	CU_CLAIM(o.done && o.result == E_TEMP && !o.unknown,
		 "refused: %d %d", o.result, o.unknown);
	CU_EQ_U64(scn_end(a, 0), end);		/* nothing in the log */
	sim_cut(scn, false, false);
	scn_finish();
}

static void tempfail_waiting_imap(void)
{
	unsigned a;
	struct outcome o = {0};

	scn_begin(true);
	a = scn_filled(0);
	sim_node_stop(&scn->n[1 - a], 30 * SEC);
	sim_op(scn, W_APPEND, 0, a, &o);
	scn_ms(1000);
	CU_CLAIM(!o.done, "it waits for the partner");
	scn_ms(6000);
	CU_CLAIM(o.done && o.result < 0 && o.unknown,
		 "closed without an answer: %d %d %d", o.done, o.result,
		 o.unknown);
	scn_finish();				/* once or not at all */
}

static void refused_then_retried(void)
{
	unsigned a;
	struct outcome o = {0}, again;

	scn_begin(true);
	a = scn_filled(0);
	sim_op(scn, W_DELIVER, 0, a, &o);
	scn_ms(3);				/* on its way to B */
	sim_cut(scn, true, false);		/* the ack is lost */
	scn_ms(4500);
	CU_CLAIM(o.done && o.result == E_TEMP, "451: %d", o.result);
	sim_node_power_off(&scn->n[a], true);
	sim_cut(scn, false, false);
	scn_ms(9000);				/* B takes over when asked */
	sim_redeliver(scn, scn->n_tokens - 1, 1 - a, &again);
	scn_ms(9000);
	sim_node_start(&scn->n[a]);
	scn_ms(5000);
	if (!again.done || again.result < 0) {	/* strict: B was alone */
		sim_redeliver(scn, scn->n_tokens - 1, a, &again);
		scn_ms(3000);
	}
	CU_CLAIM(again.done && again.result == 0, "250: %d", again.result);
	scn_finish();				/* D6: one copy */
}

static void dedup_before_durable(void)
{
	unsigned a;
	struct outcome o = {0}, again = {0};

	scn_begin(false);
	a = scn_filled(0);
	sim_node_stop(&scn->n[1 - a], 3 * SEC);
	sim_op(scn, W_DELIVER, 0, a, &o);
	scn_ms(500);
	sim_redeliver(scn, scn->n_tokens - 1, a, &again);
	scn_ms(500);
	CU_CLAIM(!o.done && !again.done, "both wait for the second copy");
	scn_ms(8000);
	CU_CLAIM(o.done && again.done && !o.result && !again.result,
		 "both are told the same");
	CU_CLAIM(again.duplicate, "and it is one message");
	scn_finish();
}

/* --- what is visible ------------------------------------------------------------------ */

static void append_in_sync_partner_paused(void)
{
	unsigned a;
	uint32_t n;
	struct outcome o = {0};

	scn_begin(false);
	a = scn_filled(0);
	n = scn_inbox(a, 0);
	sim_node_stop(&scn->n[1 - a], 30 * SEC);
	sim_op(scn, W_DELIVER, 0, a, &o);
	scn_ms(1200);
	CU_CLAIM(!o.done, "no answer with one copy in SYNC");
	CU_EQ_U64(scn_inbox(a, 0), n);		/* no session sees it */
	scn_ms(4000);
	CU_CLAIM(o.done && o.result == 0 && o.single_copy,
		 "alone after the mark, and it says so");
	CU_EQ_U64(scn_inbox(a, 0), n + 1);
	CU_EQ_INT(scn_state(a, 0), ACCT_LONE);
	scn_finish();
}

static void restart_shows_pending(void)
{
	unsigned a;
	uint32_t n;

	scn_begin(false);
	a = scn_filled(0);
	n = scn_inbox(a, 0);
	sim_node_stop(&scn->n[1 - a], 6 * SEC);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(300);				/* durable here only */
	sim_store_kill(sim_store_of(&scn->n[a], 0));
	scn_ms(600);
	CU_CLAIM(scn_inbox(a, 0) <= n, "not visible before the partner has it");
	scn_finish();
}

/* --- holders that die, sleep, come back ------------------------------------------------ */

static void kill_in_flight_takeover(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	for (unsigned i = 0; i < 6; i++)
		sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(2);
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	scn_ok(W_DELIVER, 0, 1 - a);
	CU_EQ_INT(scn_holder(0), 1 - a);
	sim_node_start(&scn->n[a]);
	scn_ms(5000);
	CU_CLAIM(sim_in_sync(scn), "SYNC by itself");
	scn_finish();
}

static void holder_woken(void)
{
	unsigned a;
	struct outcome o = {0};

	scn_begin(false);
	a = scn_filled(0);
	sim_cut(scn, true, false);
	sim_op(scn, W_DELIVER, 0, a, &o);		/* waits at A */
	scn_ms(100);
	sim_node_stop(&scn->n[a], 30 * SEC);
	sim_cut(scn, false, false);
	scn_ms(12000);
	scn_ok(W_DELIVER, 0, 1 - a);		/* B took over */
	CU_CLAIM(!o.done, "nothing was said meanwhile");
	scn_ms(20000);
	CU_CLAIM(!o.done || o.result < 0, "no lone ack of the woken one");
	CU_EQ_INT(scn_holder(0), 1 - a);
	scn_finish();
}

static void replica_woken(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_stop(&scn->n[1 - a], 30 * SEC);
	scn_ms(1000);
	scn_ok(W_DELIVER, 0, a);
	scn_ms(28000);
	scn_ok(W_DELIVER, 0, 1 - a);		/* waits at B when it wakes */
	CU_EQ_U64(scn->counts[1], 0);		/* no takeover */
	scn_finish();
}

static void suspend_both(void)
{
	scn_begin(false);
	scn_filled(0);
	simclock_jump(&scn->n[0].clock, 3600 * (int64_t)SEC);
	scn_ms(5000);
	simclock_jump(&scn->n[1].clock, -3600 * (int64_t)SEC);
	scn_ms(5000);
	CU_CLAIM(sim_in_sync(scn), "no state changes");
	CU_EQ_U64(scn->counts[1] + scn->counts[3], 0);
	scn_ok(W_DELIVER, 0, 0);
	scn_ok(W_FLAGS, 0, 1);
	scn_finish();
}

static void partner_stopped_under_load(void)
{
	scn_begin(false);
	scn_filled(0);
	for (unsigned i = 0; i < 300; i++) {
		if (i == 50)
			sim_node_stop(&scn->n[1], 30 * SEC);
		if (sim_work_queued(scn) < 30)
			sim_work_step(scn);
		scn_ms(150);
	}
	scn_finish();				/* no fork, SYNC by itself */
}

static void killed_under_load(void)
{
	scn_begin(false);
	scn_filled(0);
	for (unsigned i = 0; i < 300; i++) {
		if (i == 50)
			sim_node_power_off(&scn->n[0], true);
		if (i == 180)
			sim_node_start(&scn->n[0]);
		if (sim_work_queued(scn) < 30)
			sim_work_step(scn);
		scn_ms(100);
	}
	scn_finish();
}

static void read_only_takeover(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	scn_ok(W_LOOK, 0, 1 - a);
	sim_node_start(&scn->n[a]);
	scn_finish();				/* digests equal on both */
}

static void cold_start_both(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_power_off(&scn->n[0], true);
	sim_node_power_off(&scn->n[1], true);
	sim_cut(scn, true, false);
	sim_node_start(&scn->n[0]);
	sim_node_start(&scn->n[1]);
	scn_ms(7000);
	scn_ok(W_DELIVER, 0, a);			/* served alone by its holder */
	CU_EQ_U64(scn->counts[1], 0);		/* the other takes nothing yet */
	sim_cut(scn, false, false);
	scn_finish();
}

/* --- hand-over -------------------------------------------------------------------------- */

static void webmail_ping_pong(void)
{
	uint64_t before;

	scn_begin(false);
	scn_filled(0);
	scn_ms(21000);
	before = scn->counts[2];
	for (unsigned i = 0; i < 18; i++) {
		scn_ok(W_LOOK, 0, i % 2);
		scn_ms(900);
	}
	CU_CLAIM(scn->counts[2] - before <= 1, "%" PRIu64 " hand-overs in 18 s",
		 scn->counts[2] - before);
	scn_finish();
}

static void handover_with_idle(void)
{
	unsigned a;
	struct outcome idle = {0};
	uint64_t before;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(21000);
	before = scn->counts[2];
	sim_op(scn, W_IDLE, 0, a, &idle);		/* a session at the holder */
	scn_ms(200);
	scn_ok(W_LOOK, 0, 1 - a);			/* is proxied */
	CU_EQ_INT(scn_holder(0), a);
	CU_EQ_U64(scn->counts[2], before);
	scn_finish();
}

static void handover_lost(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(21000);
	sim_op(scn, W_LOOK, 0, 1 - a, NULL);
	scn_ms(6);				/* A has written HANDOVER */
	sim_cut(scn, true, true);
	scn_ms(1500);
	sim_cut(scn, false, false);
	scn_ms(4000);
	scn_ok(W_LOOK, 0, a);			/* shipped at the gate, no loop */
	scn_ok(W_DELIVER, 0, a);
	scn_finish();
}

/* --- parts that fail -------------------------------------------------------------------- */

static void sync_dies_in_loop(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	for (unsigned i = 0; i < 12; i++) {
		sim_sync_kill(&scn->n[a]);
		scn_ms(300);
	}
	scn_ok(W_DELIVER, 0, a);			/* service goes on */
	scn_finish();
}

static void fsync_fails_holder(void)
{
	unsigned a, other = scn_begin_apart(false);
	struct sstore *st;

	a = scn_filled(0);
	st = sim_store_of(&scn->n[a], 0);
	simdisk_fail(st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(500);
	CU_CLAIM(st->failed, "the process has resigned");
	scn_ok(W_DELIVER, 0, 1 - a);		/* the partner serves at once */
	CU_EQ_INT(scn_holder(0), 1 - a);
	scn_ok(W_DELIVER, other, a);		/* others do not notice */
	scn_finish();
}

static void resign_without_partner(void)
{
	unsigned a;
	struct outcome o;
	struct sstore *st;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_power_off(&scn->n[1 - a], true);
	scn_ms(3000);
	st = sim_store_of(&scn->n[a], 0);
	simdisk_fail(st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
	o = scn_op(W_APPEND, 0, a, 2000);
	CU_CLAIM(o.done && o.result < 0, "nothing acknowledged: %d", o.result);
	o = scn_op(W_APPEND, 0, a, 2000);
	CU_CLAIM(o.done && o.result < 0 && !o.unknown, "refused from then on");
	sim_node_start(&scn->n[1 - a]);
	scn_finish();
}

static void queue_of_one_store(void)
{
	unsigned a, other = scn_begin_apart(false);
	struct simdisk *d;

	a = scn_filled(0);
	scn_filled(other);
	/* One disk of B hangs: only its accounts leave SYNC. */
	d = sim_store_of(&scn->n[1 - a], 0)->disk;
	simdisk_set_hang(d, true);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	sim_op(scn, W_DELIVER, other, scn_holder(other), NULL);
	scn_ms(6000);
	CU_EQ_INT(scn_state(a, 0), ACCT_LONE);
	CU_EQ_INT(scn_state(scn_holder(other), other), ACCT_SYNC);
	simdisk_set_hang(d, false);
	scn_finish();
}

/* --- disks ------------------------------------------------------------------------------------ */

static void empty_node_takes_delivery(void)
{
	unsigned a;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_wipe(&scn->n[1 - a]);
	scn_ms(25);
	sim_node_power_off(&scn->n[a], true);	/* before it was seeded */
	scn_ms(9000);
	o = scn_op(W_DELIVER, 0, 1 - a, 12000);
	CU_CLAIM(!o.done || o.result < 0, "451: %d", o.result);
	CU_CLAIM(!scn_end(1 - a, 0), "no account was begun");
	sim_node_start(&scn->n[a]);
	scn_ms(6000);
	CU_EQ_U64(scn_inbox(1 - a, 0), 4);		/* all of it came over */
	scn_finish();
}

static void wiped_node_is_seeded(void)
{
	unsigned a;

	scn_begin(false);
	scn->seed_records = 5;
	sim_store_kill(&scn->n[0].stores[0]);	/* with the new setting */
	sim_store_kill(&scn->n[0].stores[1]);
	sim_store_kill(&scn->n[1].stores[0]);
	sim_store_kill(&scn->n[1].stores[1]);
	scn_ms(2000);
	a = scn_filled(0);
	scn_ok(W_CREATE, 0, a);
	scn_ok(W_FLAGS, 0, a);
	sim_node_wipe(&scn->n[1 - a]);
	for (unsigned i = 0; i < 10; i++)
		scn_ok(W_DELIVER, 0, a);		/* while A serves */
	scn_ms(6000);
	CU_CLAIM(scn->counts[6] > 0, "it was seeded");
	CU_CLAIM(sim_in_sync(scn), "and is in SYNC");
	scn_finish();
}

static void cold_copy_restored(void)
{
	unsigned a;
	uint32_t n;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(3000);
	sim_node_copy(&scn->n[a]);
	for (unsigned i = 0; i < 8; i++)
		scn_ok(W_DELIVER, 0, a);
	scn_ok(W_EXPUNGE, 0, a);
	scn_ms(12000);				/* B has written A's numbers */
	scn_ok(W_DELIVER, 0, a);
	scn_ms(1500);
	n = scn_inbox(1 - a, 0);
	sim_node_restore(&scn->n[a]);
	scn_ms(3000);
	CU_CLAIM(scn->counts[7] > 0, "REGRESSED was found out");
	CU_EQ_INT(scn_holder(0), 1 - a);		/* it holds nothing */
	CU_EQ_U64(scn_inbox(1 - a, 0), n);		/* and deletes nothing */
	scn_finish();
}

static void replica_without_space(void)
{
	unsigned a;
	struct sstore *b;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	b = sim_store_of(&scn->n[1 - a], 0);
	b->store->low_space = true;
	scn_ms(1200);
	o = scn_op(W_APPEND, 0, a, 3000);
	CU_CLAIM(o.done && !o.result && o.single_copy, "the holder goes alone");
	CU_EQ_INT(scn_state(a, 0), ACCT_LONE);
	b->store->low_space = false;
	scn_ms(2500);
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);	/* and comes back */
	scn_finish();
}

/* The node that is left begins every account anew, far above what the other
 * may have shown; it does so once, and serves alone. */
static void partner_forgotten(void)
{
	unsigned a, b;
	uint32_t epoch;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	b = 1 - a;
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	node_link_forget_peer(scn->n[b].link);
	scn_ms(1000);
	CU_EQ_INT(account_holder(scn_account(b, 0)), b);
	epoch = account_end(scn_account(b, 0)).epoch;
	o = scn_op(W_APPEND, 0, b, 3000);
	CU_CLAIM(o.done && o.result == 0, "served alone: %d", o.result);
	CU_CLAIM(o.uid > UID_JUMP_STALE, "UID %u", o.uid);
	CU_EQ_INT(account_end(scn_account(b, 0)).epoch, epoch);
	sim_store_kill(sim_store_of(&scn->n[b], 0));
	scn_ms(1500);
	o = scn_op(W_APPEND, 0, b, 3000);
	CU_CLAIM(o.done && o.result == 0 && o.uid < 2 * UID_JUMP_STALE,
		 "no second jump: UID %u", o.uid);
	CU_CLAIM(!scn->bad[0], "%s", scn->bad);
	sim_end(scn);
	free(scn);
}

/* --- cost ------------------------------------------------------------------------------------- */

static void a_flag_costs_little_on_the_wire(void)
{
	unsigned a;
	uint64_t quiet, busy;

	scn_begin(false);
	a = scn_filled(0);
	for (unsigned i = 0; i < 60; i++)
		scn_ok(W_DELIVER, 0, a);
	scn_ms(3000);
	quiet = scn->wire_bytes;
	scn_ms(2000);
	quiet = scn->wire_bytes - quiet;		/* heartbeats of 2 s */
	busy = scn->wire_bytes;
	scn_ok(W_FLAGS, 0, a);
	scn_ms(1900);
	busy = scn->wire_bytes - busy;
	CU_CLAIM(busy < quiet + 1024, "%" PRIu64 " bytes, %" PRIu64 " without",
		 busy, quiet);
	scn_finish();
}

CU_TESTS(CU_CASE(refusal_before_write), CU_CASE(tempfail_waiting_imap),
	 CU_CASE(refused_then_retried), CU_CASE(dedup_before_durable),
	 CU_CASE(append_in_sync_partner_paused), CU_CASE(restart_shows_pending),
	 CU_CASE(kill_in_flight_takeover), CU_CASE(holder_woken),
	 CU_CASE(replica_woken), CU_CASE(suspend_both),
	 CU_CASE(partner_stopped_under_load), CU_CASE(killed_under_load),
	 CU_CASE(read_only_takeover), CU_CASE(cold_start_both),
	 CU_CASE(webmail_ping_pong), CU_CASE(handover_with_idle),
	 CU_CASE(handover_lost), CU_CASE(sync_dies_in_loop),
	 CU_CASE(fsync_fails_holder), CU_CASE(resign_without_partner),
	 CU_CASE(queue_of_one_store), CU_CASE(empty_node_takes_delivery),
	 CU_CASE(wiped_node_is_seeded), CU_CASE(cold_copy_restored), CU_CASE(replica_without_space),
	 CU_CASE(partner_forgotten),
	 CU_CASE(a_flag_costs_little_on_the_wire))
