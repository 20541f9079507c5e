#include "tests/lib/cu.h"
#include "storage/store_private.h"
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>

/*
 * The regression scenarios of the pair that need no heal, on two whole nodes
 * of the simulator.  Names as in the design's list.  A is the node that holds
 * the account at first, B the other one; times: partner given up after 5 s,
 * start window 12 s, hand-over interval 20 s, time-out of an ack 4 s.
 */

#define SEC USEC_PER_SEC

static struct sim *S;

static void wait_ms(unsigned ms)
{
	sim_run_for(S, ms * SIM_MS);
}

static void begin(bool strict)
{
	S = xzalloc(sizeof(*S));
	S->seed = 1;
	simrng_init(&S->rng, 1);
	S->rule_kept = true;
	S->strict = strict;
	S->latency = 3 * SIM_MS;
	S->delay = 1 * SIM_MS;
	S->trace = getenv("SIM_TRACE") != NULL;
	for (unsigned k = 0; k < W_KINDS; k++)
		S->weight[k] = 1;
	sim_begin(S);
	CU_CLAIM(!S->bad[0], "%s", S->bad);
}

/* Comes to rest, asks the oracle, frees everything. */
static void finish(void)
{
	if (!S->bad[0])
		sim_settle(S);
	if (!S->bad[0])
		sim_check_end(S);
	CU_CLAIM(!S->bad[0], "%s", S->bad);
	CU_CLAIM(!S->counts[0], "nothing FORKED");
	sim_end(S);
	free(S);
}

static struct outcome op(enum op_kind_sim k, unsigned account, unsigned at,
			 unsigned ms)
{
	/* One that does not end in time is told to a place that stays. */
	static struct outcome places[256];
	static unsigned next;
	struct outcome *o = &places[next++ % ARRAY_LEN(places)];

	sim_op(S, k, account, at, o);
	for (unsigned t = 0; t < ms && !o->done; t += 10)
		wait_ms(10);
	return *o;
}

static void ok(enum op_kind_sim k, unsigned account, unsigned at)
{
	struct outcome o = op(k, account, at, 20000);

	CU_CLAIM(o.done && o.result == 0, "op %d at node %u: done %d, %d", k,
		 at, o.done, o.result);
}

static struct account *acc(unsigned node, unsigned account)
{
	struct sstore *st = sim_store_of(&S->n[node], account);

	return st->alive ? store_account(st->store, S->acc[account].id) : NULL;
}

static uint64_t end_of(unsigned node, unsigned account)
{
	struct account *a = acc(node, account);

	return a ? account_end(a).seq : 0;
}

static uint32_t inbox(unsigned node, unsigned account)
{
	struct account *a = acc(node, account);
	struct mailbox *m = a ? account_mailbox(a, SLICE_LIT("INBOX")) : NULL;

	return m ? mailbox_messages(m) : 0;
}

struct find {
	unsigned account;
	enum account_sync state;
	bool found;
};

static bool find_state(void *arg, const struct engine_account_status *st)
{
	struct find *f = arg;

	if (id128_eq(account_id(st->account), S->acc[f->account].id)) {
		f->state = st->state;
		f->found = true;
	}
	return true;
}

static enum account_sync state(unsigned node, unsigned account)
{
	struct find f = {account, ACCT_PARKED, false};
	struct sstore *st = sim_store_of(&S->n[node], account);

	if (st->alive)
		engine_status(st->engine, find_state, &f);
	return f.state;
}

/* The node that holds the account, by the longer log. */
static unsigned holder(unsigned account)
{
	unsigned i = end_of(1, account) > end_of(0, account);
	struct account *a = acc(i, account);

	return a ? (unsigned)account_holder(a) : 2;
}

/* Some mail in the account; gives A. */
static unsigned filled(unsigned account)
{
	for (unsigned i = 0; i < 4; i++)
		ok(W_DELIVER, account, i % 2);
	wait_ms(1500);
	CU_CLAIM(sim_in_sync(S), "SYNC at first");
	return holder(account);
}

/* --- policies and outcomes ------------------------------------------------------- */

static void refusal_before_write(void)
{
	unsigned a;
	uint64_t end;
	struct outcome o;

	begin(true);
	a = filled(0);
	sim_cut(S, true, false);
	wait_ms(4000);				/* A has left SYNC */
	end = end_of(a, 0);
	o = op(W_APPEND, 0, a, 3000);
	CU_CLAIM(o.done && o.result == E_TEMP && !o.unknown,
		 "refused: %d %d", o.result, o.unknown);
	CU_EQ_U64(end_of(a, 0), end);		/* nothing in the log */
	sim_cut(S, false, false);
	finish();
}

static void tempfail_waiting_imap(void)
{
	unsigned a;
	struct outcome o = {0};

	begin(true);
	a = filled(0);
	sim_node_stop(&S->n[1 - a], 30 * SEC);
	sim_op(S, W_APPEND, 0, a, &o);
	wait_ms(1000);
	CU_CLAIM(!o.done, "it waits for the partner");
	wait_ms(6000);
	CU_CLAIM(o.done && o.result < 0 && o.unknown,
		 "closed without an answer: %d %d %d", o.done, o.result,
		 o.unknown);
	finish();				/* once or not at all */
}

static void refused_then_retried(void)
{
	unsigned a;
	struct outcome o = {0}, again;

	begin(true);
	a = filled(0);
	sim_op(S, W_DELIVER, 0, a, &o);
	wait_ms(3);				/* on its way to B */
	sim_cut(S, true, false);		/* the ack is lost */
	wait_ms(4500);
	CU_CLAIM(o.done && o.result == E_TEMP, "451: %d", o.result);
	sim_node_power_off(&S->n[a], true);
	sim_cut(S, false, false);
	wait_ms(9000);				/* B takes over when asked */
	sim_redeliver(S, S->n_tokens - 1, 1 - a, &again);
	wait_ms(9000);
	sim_node_start(&S->n[a]);
	wait_ms(5000);
	if (!again.done || again.result < 0) {	/* strict: B was alone */
		sim_redeliver(S, S->n_tokens - 1, a, &again);
		wait_ms(3000);
	}
	CU_CLAIM(again.done && again.result == 0, "250: %d", again.result);
	finish();				/* D6: one copy */
}

static void dedup_before_durable(void)
{
	unsigned a;
	struct outcome o = {0}, again = {0};

	begin(false);
	a = filled(0);
	sim_node_stop(&S->n[1 - a], 3 * SEC);
	sim_op(S, W_DELIVER, 0, a, &o);
	wait_ms(500);
	sim_redeliver(S, S->n_tokens - 1, a, &again);
	wait_ms(500);
	CU_CLAIM(!o.done && !again.done, "both wait for the second copy");
	wait_ms(8000);
	CU_CLAIM(o.done && again.done && !o.result && !again.result,
		 "both are told the same");
	CU_CLAIM(again.duplicate, "and it is one message");
	finish();
}

/* --- what is visible ------------------------------------------------------------------ */

static void append_in_sync_partner_paused(void)
{
	unsigned a;
	uint32_t n;
	struct outcome o = {0};

	begin(false);
	a = filled(0);
	n = inbox(a, 0);
	sim_node_stop(&S->n[1 - a], 30 * SEC);
	sim_op(S, W_DELIVER, 0, a, &o);
	wait_ms(1200);
	CU_CLAIM(!o.done, "no answer with one copy in SYNC");
	CU_EQ_U64(inbox(a, 0), n);		/* no session sees it */
	wait_ms(4000);
	CU_CLAIM(o.done && o.result == 0 && o.single_copy,
		 "alone after the mark, and it says so");
	CU_EQ_U64(inbox(a, 0), n + 1);
	CU_EQ_INT(state(a, 0), ACCT_LONE);
	finish();
}

static void restart_shows_pending(void)
{
	unsigned a;
	uint32_t n;

	begin(false);
	a = filled(0);
	n = inbox(a, 0);
	sim_node_stop(&S->n[1 - a], 6 * SEC);
	sim_op(S, W_DELIVER, 0, a, NULL);
	wait_ms(300);				/* durable here only */
	sim_store_kill(sim_store_of(&S->n[a], 0));
	wait_ms(600);
	CU_CLAIM(inbox(a, 0) <= n, "not visible before the partner has it");
	finish();
}

/* --- holders that die, sleep, come back ------------------------------------------------ */

static void kill_in_flight_takeover(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	for (unsigned i = 0; i < 6; i++)
		sim_op(S, W_DELIVER, 0, a, NULL);
	wait_ms(2);
	sim_node_power_off(&S->n[a], true);
	wait_ms(9000);
	ok(W_DELIVER, 0, 1 - a);
	CU_EQ_INT(holder(0), 1 - a);
	sim_node_start(&S->n[a]);
	wait_ms(5000);
	CU_CLAIM(sim_in_sync(S), "SYNC by itself");
	finish();
}

static void holder_woken(void)
{
	unsigned a;
	struct outcome o = {0};

	begin(false);
	a = filled(0);
	sim_cut(S, true, false);
	sim_op(S, W_DELIVER, 0, a, &o);		/* waits at A */
	wait_ms(100);
	sim_node_stop(&S->n[a], 30 * SEC);
	sim_cut(S, false, false);
	wait_ms(12000);
	ok(W_DELIVER, 0, 1 - a);		/* B took over */
	CU_CLAIM(!o.done, "nothing was said meanwhile");
	wait_ms(20000);
	CU_CLAIM(!o.done || o.result < 0, "no lone ack of the woken one");
	CU_EQ_INT(holder(0), 1 - a);
	finish();
}

static void replica_woken(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	sim_node_stop(&S->n[1 - a], 30 * SEC);
	wait_ms(1000);
	ok(W_DELIVER, 0, a);
	wait_ms(28000);
	ok(W_DELIVER, 0, 1 - a);		/* waits at B when it wakes */
	CU_EQ_U64(S->counts[1], 0);		/* no takeover */
	finish();
}

static void suspend_both(void)
{
	begin(false);
	filled(0);
	simclock_jump(&S->n[0].clock, 3600 * (int64_t)SEC);
	wait_ms(5000);
	simclock_jump(&S->n[1].clock, -3600 * (int64_t)SEC);
	wait_ms(5000);
	CU_CLAIM(sim_in_sync(S), "no state changes");
	CU_EQ_U64(S->counts[1] + S->counts[3], 0);
	ok(W_DELIVER, 0, 0);
	ok(W_FLAGS, 0, 1);
	finish();
}

static void partner_stopped_under_load(void)
{
	begin(false);
	filled(0);
	for (unsigned i = 0; i < 300; i++) {
		if (i == 50)
			sim_node_stop(&S->n[1], 30 * SEC);
		if (sim_work_queued(S) < 30)
			sim_work_step(S);
		wait_ms(150);
	}
	finish();				/* no fork, SYNC by itself */
}

static void killed_under_load(void)
{
	begin(false);
	filled(0);
	for (unsigned i = 0; i < 300; i++) {
		if (i == 50)
			sim_node_power_off(&S->n[0], true);
		if (i == 180)
			sim_node_start(&S->n[0]);
		if (sim_work_queued(S) < 30)
			sim_work_step(S);
		wait_ms(100);
	}
	finish();
}

static void read_only_takeover(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	sim_node_power_off(&S->n[a], true);
	wait_ms(9000);
	ok(W_LOOK, 0, 1 - a);
	sim_node_start(&S->n[a]);
	finish();				/* digests equal on both */
}

static void cold_start_both(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	sim_node_power_off(&S->n[0], true);
	sim_node_power_off(&S->n[1], true);
	sim_cut(S, true, false);
	sim_node_start(&S->n[0]);
	sim_node_start(&S->n[1]);
	wait_ms(7000);
	ok(W_DELIVER, 0, a);			/* served alone by its holder */
	CU_EQ_U64(S->counts[1], 0);		/* the other takes nothing yet */
	sim_cut(S, false, false);
	finish();
}

/* --- hand-over -------------------------------------------------------------------------- */

static void webmail_ping_pong(void)
{
	uint64_t before;

	begin(false);
	filled(0);
	wait_ms(21000);
	before = S->counts[2];
	for (unsigned i = 0; i < 18; i++) {
		ok(W_LOOK, 0, i % 2);
		wait_ms(900);
	}
	CU_CLAIM(S->counts[2] - before <= 1, "%" PRIu64 " hand-overs in 18 s",
		 S->counts[2] - before);
	finish();
}

static void handover_with_idle(void)
{
	unsigned a;
	struct outcome idle = {0};
	uint64_t before;

	begin(false);
	a = filled(0);
	wait_ms(21000);
	before = S->counts[2];
	sim_op(S, W_IDLE, 0, a, &idle);		/* a session at the holder */
	wait_ms(200);
	ok(W_LOOK, 0, 1 - a);			/* is proxied */
	CU_EQ_INT(holder(0), a);
	CU_EQ_U64(S->counts[2], before);
	finish();
}

static void handover_lost(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	wait_ms(21000);
	sim_op(S, W_LOOK, 0, 1 - a, NULL);
	wait_ms(6);				/* A has written HANDOVER */
	sim_cut(S, true, true);
	wait_ms(1500);
	sim_cut(S, false, false);
	wait_ms(4000);
	ok(W_LOOK, 0, a);			/* shipped at the gate, no loop */
	ok(W_DELIVER, 0, a);
	finish();
}

/* --- parts that fail -------------------------------------------------------------------- */

static void sync_dies_in_loop(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	for (unsigned i = 0; i < 12; i++) {
		sim_sync_kill(&S->n[a]);
		wait_ms(300);
	}
	ok(W_DELIVER, 0, a);			/* service goes on */
	finish();
}

static void fsync_fails_holder(void)
{
	unsigned a, other = 1;
	struct sstore *st;

	begin(false);
	a = filled(0);
	/* An account of the other process of A. */
	while (other < SIM_ACCOUNTS && sim_store_of(&S->n[a], other) ==
					       sim_store_of(&S->n[a], 0))
		other++;
	st = sim_store_of(&S->n[a], 0);
	simdisk_fail(st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
	sim_op(S, W_DELIVER, 0, a, NULL);
	wait_ms(500);
	CU_CLAIM(st->failed, "the process has resigned");
	ok(W_DELIVER, 0, 1 - a);		/* the partner serves at once */
	CU_EQ_INT(holder(0), 1 - a);
	if (other < SIM_ACCOUNTS)
		ok(W_DELIVER, other, a);	/* others do not notice */
	finish();
}

static void resign_without_partner(void)
{
	unsigned a;
	struct outcome o;
	struct sstore *st;

	begin(false);
	a = filled(0);
	sim_node_power_off(&S->n[1 - a], true);
	wait_ms(3000);
	st = sim_store_of(&S->n[a], 0);
	simdisk_fail(st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
	o = op(W_APPEND, 0, a, 2000);
	CU_CLAIM(o.done && o.result < 0, "nothing acknowledged: %d", o.result);
	o = op(W_APPEND, 0, a, 2000);
	CU_CLAIM(o.done && o.result < 0 && !o.unknown, "refused from then on");
	sim_node_start(&S->n[1 - a]);
	finish();
}

static void queue_of_one_store(void)
{
	unsigned a, other = 1;

	begin(false);
	a = filled(0);
	while (other < SIM_ACCOUNTS && sim_store_of(&S->n[a], other) ==
					       sim_store_of(&S->n[a], 0))
		other++;
	if (other < SIM_ACCOUNTS) {
		filled(other);
		/* One disk of B hangs: only its accounts leave SYNC. */
		simdisk_set_hang(sim_store_of(&S->n[1 - a], 0)->disk, true);
		sim_op(S, W_DELIVER, 0, a, NULL);
		sim_op(S, W_DELIVER, other, holder(other), NULL);
		wait_ms(6000);
		CU_EQ_INT(state(a, 0), ACCT_LONE);
		CU_EQ_INT(state(holder(other), other), ACCT_SYNC);
		simdisk_set_hang(sim_store_of(&S->n[1 - a], 0)->disk, false);
	}
	finish();
}

/* --- disks ------------------------------------------------------------------------------------ */

static void empty_node_takes_delivery(void)
{
	unsigned a;
	struct outcome o;

	begin(false);
	a = filled(0);
	sim_node_wipe(&S->n[1 - a]);
	wait_ms(25);
	sim_node_power_off(&S->n[a], true);	/* before it was seeded */
	wait_ms(9000);
	o = op(W_DELIVER, 0, 1 - a, 12000);
	CU_CLAIM(!o.done || o.result < 0, "451: %d", o.result);
	CU_CLAIM(!end_of(1 - a, 0), "no account was begun");
	sim_node_start(&S->n[a]);
	wait_ms(6000);
	CU_EQ_U64(inbox(1 - a, 0), 4);		/* all of it came over */
	finish();
}

static void wiped_node_is_seeded(void)
{
	unsigned a;

	begin(false);
	S->seed_records = 5;
	sim_store_kill(&S->n[0].stores[0]);	/* with the new setting */
	sim_store_kill(&S->n[0].stores[1]);
	sim_store_kill(&S->n[1].stores[0]);
	sim_store_kill(&S->n[1].stores[1]);
	wait_ms(2000);
	a = filled(0);
	ok(W_CREATE, 0, a);
	ok(W_FLAGS, 0, a);
	sim_node_wipe(&S->n[1 - a]);
	for (unsigned i = 0; i < 10; i++)
		ok(W_DELIVER, 0, a);		/* while A serves */
	wait_ms(6000);
	CU_CLAIM(S->counts[6] > 0, "it was seeded");
	CU_CLAIM(sim_in_sync(S), "and is in SYNC");
	finish();
}

static void cold_copy_restored(void)
{
	unsigned a;
	uint32_t n;

	begin(false);
	a = filled(0);
	wait_ms(3000);
	sim_node_copy(&S->n[a]);
	for (unsigned i = 0; i < 8; i++)
		ok(W_DELIVER, 0, a);
	ok(W_EXPUNGE, 0, a);
	wait_ms(12000);				/* B has written A's numbers */
	ok(W_DELIVER, 0, a);
	wait_ms(1500);
	n = inbox(1 - a, 0);
	sim_node_restore(&S->n[a]);
	wait_ms(3000);
	CU_CLAIM(S->counts[7] > 0, "REGRESSED was found out");
	CU_EQ_INT(holder(0), 1 - a);		/* it holds nothing */
	CU_EQ_U64(inbox(1 - a, 0), n);		/* and deletes nothing */
	finish();
}

static void replica_without_space(void)
{
	unsigned a;
	struct sstore *b;
	struct outcome o;

	begin(false);
	a = filled(0);
	b = sim_store_of(&S->n[1 - a], 0);
	b->store->low_space = true;
	wait_ms(1200);
	o = op(W_APPEND, 0, a, 3000);
	CU_CLAIM(o.done && !o.result && o.single_copy, "the holder goes alone");
	CU_EQ_INT(state(a, 0), ACCT_LONE);
	b->store->low_space = false;
	wait_ms(2500);
	CU_EQ_INT(state(a, 0), ACCT_SYNC);	/* and comes back */
	finish();
}

/* --- slow links --------------------------------------------------------------------------- */

/* Two accounts that share a process. */
static void neighbours(unsigned *x, unsigned *y)
{
	*x = 0;
	*y = 1;
	if (sim_store_of(&S->n[0], 0) != sim_store_of(&S->n[0], 1)) {
		*x = sim_store_of(&S->n[0], 1) == sim_store_of(&S->n[0], 2);
		*y = 2;
	}
	CU_NEED(sim_store_of(&S->n[0], *x) == sim_store_of(&S->n[0], *y));
}

/* 1 Mbit/s, some megabytes to catch up with: the link stays, and what the
 * clients of another account do is on both nodes in time all the while. */
static void slow_link_catches_up(void)
{
	unsigned a, late = 0, x, other;
	uint64_t downs, until;

	begin(false);
	neighbours(&x, &other);
	a = filled(x);
	filled(other);
	S->pad = 30000;
	sim_cut(S, true, true);
	wait_ms(3000);
	for (unsigned i = 0; i < 100; i++)
		ok(W_APPEND, x, a);
	S->pad = 0;
	S->rate = 125000;
	sim_cut(S, false, false);
	for (unsigned i = 0; i < 500 && state(a, x) == ACCT_LONE; i++)
		wait_ms(10);
	CU_EQ_INT(state(a, x), ACCT_CATCHUP);
	downs = S->counts[8];
	until = simtime_now(S->time) + 90 * SEC;
	while (state(a, x) != ACCT_SYNC && simtime_now(S->time) < until) {
		struct outcome o = op(W_DELIVER, other, holder(other), 8000);

		late += !o.done || o.result || o.single_copy;
		wait_ms(300);
	}
	CU_EQ_INT(state(a, x), ACCT_SYNC);
	CU_EQ_U64(S->counts[8], downs);
	CU_EQ_INT(late, 0);
	S->rate = 0;
	finish();
}

/* Two accounts with more to catch up with than the channel to sync holds: no
 * message of theirs, nor of anybody else, is dropped there. */
static void channel_is_never_full(void)
{
	unsigned a, x, y;

	begin(false);
	neighbours(&x, &y);
	a = filled(x);
	filled(y);
	S->pad = 60000;
	sim_cut(S, true, true);
	wait_ms(6000);
	for (unsigned i = 0; i < 70; i++) {
		ok(W_APPEND, x, a);
		ok(W_APPEND, y, holder(y));
	}
	S->pad = 0;
	sim_cut(S, false, false);
	for (unsigned i = 0; i < 3000 && !sim_in_sync(S); i++)
		wait_ms(10);
	CU_CLAIM(sim_in_sync(S), "SYNC again");
	CU_EQ_U64(S->counts[9], 0);
	finish();
}

/* A record of some megabytes crosses in parts, each credited for itself, and
 * the command that waits for it is answered by both. */
static void large_record_crosses_in_parts(void)
{
	unsigned a;

	begin(false);
	a = filled(0);
	S->pad = 700000;
	S->rate = 1000000;
	for (unsigned i = 0; i < 4; i++) {
		struct outcome o = op(W_APPEND, 0, a, 10000);

		CU_CLAIM(o.done && !o.result && !o.single_copy,
			 "%d: done %d, %d, single copy %d", i, o.done, o.result,
			 o.single_copy);
	}
	CU_EQ_INT(state(a, 0), ACCT_SYNC);
	S->rate = 0;
	finish();
}

/* The node that is left begins every account anew, far above what the other
 * may have shown; it does so once, and serves alone. */
static void partner_forgotten(void)
{
	unsigned a, b;
	uint32_t epoch;
	struct outcome o;

	begin(false);
	a = filled(0);
	b = 1 - a;
	sim_node_power_off(&S->n[a], true);
	wait_ms(9000);
	node_link_forget_peer(S->n[b].link);
	wait_ms(1000);
	CU_EQ_INT(account_holder(acc(b, 0)), b);
	epoch = account_end(acc(b, 0)).epoch;
	o = op(W_APPEND, 0, b, 3000);
	CU_CLAIM(o.done && o.result == 0, "served alone: %d", o.result);
	CU_CLAIM(o.uid > UID_JUMP_STALE, "UID %u", o.uid);
	CU_EQ_INT(account_end(acc(b, 0)).epoch, epoch);
	sim_store_kill(sim_store_of(&S->n[b], 0));
	wait_ms(1500);
	o = op(W_APPEND, 0, b, 3000);
	CU_CLAIM(o.done && o.result == 0 && o.uid < 2 * UID_JUMP_STALE,
		 "no second jump: UID %u", o.uid);
	CU_CLAIM(!S->bad[0], "%s", S->bad);
	sim_end(S);
	free(S);
}

/* --- cost ------------------------------------------------------------------------------------- */

static void a_flag_costs_little_on_the_wire(void)
{
	unsigned a;
	uint64_t quiet, busy;

	begin(false);
	a = filled(0);
	for (unsigned i = 0; i < 60; i++)
		ok(W_DELIVER, 0, a);
	wait_ms(3000);
	quiet = S->wire_bytes;
	wait_ms(2000);
	quiet = S->wire_bytes - quiet;		/* heartbeats of 2 s */
	busy = S->wire_bytes;
	ok(W_FLAGS, 0, a);
	wait_ms(1900);
	busy = S->wire_bytes - busy;
	CU_CLAIM(busy < quiet + 1024, "%" PRIu64 " bytes, %" PRIu64 " without",
		 busy, quiet);
	finish();
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
	 CU_CASE(slow_link_catches_up), CU_CASE(channel_is_never_full),
	 CU_CASE(large_record_crosses_in_parts),
	 CU_CASE(partner_forgotten),
	 CU_CASE(a_flag_costs_little_on_the_wire))
