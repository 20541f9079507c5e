#include "storage/store_private.h"
#include "sync/engine_private.h"
#include "tests/lib/cu.h"
#include "tests/scenario/scn.h"

#include <stdlib.h>

/*
 * Scenarios of single rules of the pair, each made for a way to break it.  A
 * holds the account at first, B is the other node.
 */

/* --- the gate -------------------------------------------------------------------- */

/* B took over while A was off, and its disk is too busy for an answer: A, the
 * holder by its own old log, neither starts nor goes on alone. */
static void slow_partner_is_waited_for(void)
{
	unsigned a, b;
	uint64_t end;
	struct simdisk *d;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	b = 1 - a;
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	scn_ok(W_DELIVER, 0, b);
	d = sim_store_of(&scn->n[b], 0)->disk;
	simdisk_set_hang(d, true);
	sim_op(scn, W_DELIVER, 0, b, NULL);
	scn_ms(100);
	sim_node_start(&scn->n[a]);
	scn_ms(1000);
	end = scn_end(a, 0);
	o = scn_op(W_APPEND, 0, a, 15000);
	CU_CLAIM(!o.done || o.result < 0, "not alone: %d", o.result);
	CU_EQ_U64(scn_end(a, 0), end);
	simdisk_set_hang(d, false);
	scn_ms(3000);
	CU_EQ_INT(scn_holder(0), b);
	scn_finish();
}

/* --- damage ----------------------------------------------------------------------- */

/* Neither snapshot nor log can be read any more on that node. */
static void ruin(unsigned node, unsigned account)
{
	struct simdisk *d = sim_store_of(&scn->n[node], account)->disk;
	struct fsio *fs = simdisk_fs(d);
	char *root = xstrdup(account_root(scn_account(node, account)));
	char *snap = xprintf("%s/.duet/state/snap", root);
	char *log = xprintf("%s/.duet/state/log/00000001", root);

	sim_node_power_off(&scn->n[node], true);
	CU_EQ_INT(fsio_remove_tree(fs, snap), 0);
	CU_EQ_INT(simdisk_flip(d, log, 0, 0), 0);
	fs->ops->syncfs(fs, "/");
	sim_node_start(&scn->n[node]);
	free(root);
	free(snap);
	free(log);
}

static void settle(unsigned node)
{
	bool there = false;

	for (int i = 0; i < 120 && !there; i++) {
		scn_ms(500);
		there = scn_account(node, 0) &&
			!account_needs_seed(scn_account(node, 0)) &&
			scn_end(0, 0) == scn_end(1, 0) &&
			scn_state(node, 0) == ACCT_SYNC;
	}
	CU_CLAIM(there, "the damaged copy is not whole: state %u, ends %ju "
		 "and %ju", scn_state(node, 0), (uintmax_t)scn_end(0, 0),
		 (uintmax_t)scn_end(1, 0));
}

static void ruined(bool holder)
{
	unsigned a, bad;

	scn_begin(false);
	a = scn_filled(0);
	bad = holder ? a : 1 - a;
	scn_ms(20000);		/* checkpoints: the journal has it no more */
	uint32_t mails = scn_inbox(a, 0);

	CU_NEED(mails > 0);
	for (int n = 0; n < 2; n++) {
		struct store *s = sim_store_of(&scn->n[n], 0)->store;

		store_checkpoint(s, NULL, NULL);
	}
	scn_ms(1000);
	ruin(bad, 0);
	settle(bad);
	CU_EQ_INT(scn_inbox(bad, 0), mails);
	scn_ok(W_DELIVER, 0, bad);
	scn_ok(W_DELIVER, 0, 1 - bad);
	settle(bad);
	CU_EQ_INT(scn_inbox(bad, 0), mails + 2);
	scn_finish();
}

static void ruined_replica_is_seeded(void) { ruined(false); }
static void ruined_holder_is_seeded(void) { ruined(true); }

/* This copy turns out not to be whole, at an open gate. */
static void damaged(unsigned node, unsigned account)
{
	struct sstore *st = sim_store_of(&scn->n[node], account);
	struct eacct *ea = engine_known(st->engine, scn->acc[account].id);

	engine_step_simple(ea, EV_NEEDS_SEED);
	sim_turn(st);
}

/* The disk below B hangs while its copy is replaced: nobody waits for it. */
static void seeding_replica_holds_no_writes(void)
{
	unsigned a;
	struct simdisk *d;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	damaged(1 - a, 0);
	scn_ms(3);
	d = sim_store_of(&scn->n[1 - a], 0)->disk;
	simdisk_set_hang(d, true);
	scn_ms(100);
	for (unsigned i = 0; i < 3; i++) {
		o = scn_op(W_APPEND, 0, a, 1500);
		CU_CLAIM(o.done && !o.result && o.single_copy,
			 "done %d, %d, single copy %d", o.done, o.result,
			 o.single_copy);
	}
	simdisk_set_hang(d, false);
	scn_ms(4000);
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);
	scn_finish();
}

/* --- numbers and lines ------------------------------------------------------------ */

/* A has written a HANDOVER that never leaves it, and dies; B takes over before
 * it.  A's tail is a record nobody was shown. */
static void handover_crossed(void)
{
	unsigned a;
	uint64_t end;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(21000);
	end = scn_end(a, 0);
	sim_op(scn, W_LOOK, 0, 1 - a, NULL);
	for (unsigned i = 0; i < 100 && scn_end(a, 0) == end; i++)
		scn_ms(1);
	CU_EQ_U64(scn_end(a, 0), end + 1);
	sim_cut(scn, true, false);
	scn_ms(50);				/* durable at A */
	sim_node_power_off(&scn->n[a], false);
	sim_cut(scn, false, false);
	scn_ms(9000);
	scn_ok(W_DELIVER, 0, 1 - a);
	sim_node_start(&scn->n[a]);
	scn_ms(5000);
	CU_EQ_INT(scn_holder(0), 1 - a);
	CU_CLAIM(sim_in_sync(scn), "SYNC by itself");
	scn_finish();
}

/* B has a record that A lost with its power; A starts alone.  When B is back,
 * its tail is dropped: nobody was shown it. */
static void replica_ahead_start_alone(void)
{
	unsigned a;
	uint64_t dropped;
	struct simdisk *d;

	scn_begin(false);
	a = scn_filled(0);
	d = sim_store_of(&scn->n[a], 0)->disk;
	simdisk_set_hang(d, true);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	for (unsigned i = 0; i < 200 && scn_end(1 - a, 0) < scn_end(a, 0); i++)
		scn_ms(1);
	scn_ms(20);				/* durable at B */
	sim_node_power_off(&scn->n[1 - a], false);
	sim_node_power_off(&scn->n[a], true);
	scn_ms(200);
	sim_node_start(&scn->n[a]);
	scn_ms(7000);
	scn_ok(W_APPEND, 0, a);			/* alone */
	dropped = scn->counts[5];
	sim_node_start(&scn->n[1 - a]);
	scn_ms(6000);
	CU_CLAIM(sim_in_sync(scn), "SYNC by itself");
	CU_CLAIM(scn->counts[5] >= dropped, "its tail may have been there");
	scn_finish();
}

/* Modseqs and UIDNEXT that clients were shown at A do not go back at B, and
 * their caches are sound: the oracle looks with three of them. */
static void modseq_at_takeover(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	for (unsigned i = 0; i < 6; i++) {
		scn_ok(W_FLAGS, 0, a);
		scn_ok(W_LOOK, 0, a);
	}
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, 1 - a);
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* Removed in SYNC, and the node that said so is gone. */
static void expunged_then_taken_over(void)
{
	unsigned a;

	scn_begin(false);
	scn_filled(0);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, i % 2);
	a = scn_holder(0);			/* a login may have moved it */
	scn_ok(W_EXPUNGE, 0, a);
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, 1 - a);	/* VANISHED, P3 */
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* What A showed alone is lost with its disk: clients that saw it are told. */
static void lone_tail_lost_for_ever(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, a);
	sim_cut(scn, true, false);
	scn_ms(3000);
	scn_ok(W_DELIVER, 0, a);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, a);
	sim_node_wipe(&scn->n[a]);
	sim_cut(scn, false, false);
	scn_ms(15000);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, 1 - a);	/* M5 */
	scn_ok(W_DELIVER, 0, 1 - a);
	scn_finish();
}

/* A node that was seeded knows what was removed before. */
static void reseeded_replica_answers_old_modseqs(void)
{
	unsigned a;

	scn_begin(false);
	scn_filled(0);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, i % 2);
	a = scn_holder(0);			/* a login may have moved it */
	scn_ok(W_EXPUNGE, 0, a);
	damaged(1 - a, 0);
	scn_ms(3000);
	CU_CLAIM(scn->counts[6] > 0 && sim_in_sync(scn), "it was seeded");
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	for (unsigned i = 0; i < 6; i++)
		scn_ok(W_LOOK, 0, 1 - a);	/* M4 */
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* A's disk of an hour ago comes back while B is away: A cannot know what it
 * has shown since, and numbers far above it. */
static void restored_alone(void)
{
	unsigned a;
	struct outcome o, before;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(3000);
	sim_node_copy(&scn->n[a]);
	for (unsigned i = 0; i < 8; i++)
		before = scn_op(W_APPEND, 0, a, 3000);
	CU_CLAIM(before.done && before.uid, "UID %u", before.uid);
	sim_node_power_off(&scn->n[1 - a], false);
	simclock_jump(&scn->n[a].clock, 3600 * (int64_t)SEC);
	scn->may_fork = true;
	sim_node_restore(&scn->n[a]);
	scn_ms(8000);
	o = scn_op(W_APPEND, 0, a, 5000);
	CU_CLAIM(o.done && !o.result, "served: %d", o.result);
	CU_CLAIM(o.uid >= UID_JUMP_STALE, "UID %u", o.uid);
	CU_CLAIM(!scn->bad[0], "%s", scn->bad);
	/* What follows is a fork, and wants a heal. */
	sim_end(scn);
	free(scn);
}

/* --- kills --------------------------------------------------------------------------- */

/* The dead process's frames are still on their way, in its own sync and in the
 * partner's, when the next one begins. */
static void late_frames_of_a_dead_process(void)
{
	unsigned a;

	scn_begin(false);
	scn_filled(0);
	for (unsigned i = 0; i < 12; i++) {
		a = scn_holder(0);
		for (unsigned k = 0; k < 3; k++)
			sim_op(scn, W_DELIVER, 0, a, NULL);
		scn_ms(1 + i % 6);
		sim_store_kill(sim_store_of(&scn->n[a], 0));
		scn_ms(1500);
	}
	scn_finish();
}

/* At about every call of a MOVE, on either node. */
static void killed_in_a_move(void)
{
	unsigned a;

	scn_begin(false);
	scn_filled(0);
	scn_ok(W_CREATE, 0, scn_holder(0));
	for (unsigned i = 0; i < 24; i++) {
		a = scn_holder(0);
		scn_ok(W_DELIVER, 0, a);
		sim_op(scn, W_MOVE, 0, a, NULL);
		scn_ms(i / 2);
		sim_store_kill(sim_store_of(&scn->n[i % 2 ? a : 1 - a], 0));
		for (unsigned k = 0; k < 60 && !sim_in_sync(scn); k++)
			scn_ms(100);
	}
	scn_finish();
}

/* --- outcomes -------------------------------------------------------------------------- */

/* Delivered at B, done at A, and the answer is lost: 451, and the MTA's next
 * try is the same delivery. */
static void forward_answer_lost(void)
{
	unsigned a;
	struct outcome o = {0}, again;
	uint64_t end;

	scn_begin(false);
	a = scn_filled(0);
	end = scn_end(a, 0);
	sim_op(scn, W_DELIVER, 0, 1 - a, &o);
	for (unsigned i = 0; i < 200 && scn_end(a, 0) == end; i++)
		scn_ms(1);
	CU_CLAIM(scn_end(a, 0) > end && !o.done, "under way");
	sim_cut(scn, true, false);
	scn_ms(1500);
	sim_cut(scn, false, false);
	for (unsigned i = 0; i < 400 && !o.done; i++)
		scn_ms(100);
	sim_redeliver(scn, scn->n_tokens - 1, 1 - a, &again);
	for (unsigned i = 0; i < 100 && !again.done; i++)
		scn_ms(100);
	CU_CLAIM(again.done && !again.result && again.duplicate,
		 "done %d, %d, duplicate %d", again.done, again.result,
		 again.duplicate);
	scn_finish();				/* D6 */
}

/* Deliveries are carried to A while it hands the account over. */
static void forward_moves(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(21000);
	for (unsigned i = 0; i < 6; i++) {
		sim_op(scn, W_DELIVER, 0, 1 - a, NULL);
		if (i == 1)
			sim_op(scn, W_LOOK, 0, 1 - a, NULL);
		scn_ms(1);
	}
	scn_ms(3000);
	CU_CLAIM(!sim_work_queued(scn), "%zu ops wait", sim_work_queued(scn));
	scn_finish();
}

/* A copy that was seeded knows the deliveries that its source knew. */
static void dedup_after_seed(void)
{
	unsigned a;
	size_t token;
	struct outcome again;

	scn_begin(false);
	a = scn_filled(0);
	scn_ok(W_DELIVER, 0, a);
	token = scn->n_tokens - 1;
	damaged(1 - a, 0);
	scn_ms(3000);
	CU_CLAIM(scn->counts[6] > 0 && sim_in_sync(scn), "it was seeded");
	sim_node_power_off(&scn->n[a], true);
	scn_ms(9000);
	sim_redeliver(scn, token, 1 - a, &again);
	for (unsigned i = 0; i < 100 && !again.done; i++)
		scn_ms(100);
	CU_CLAIM(again.done && !again.result && again.duplicate,
		 "done %d, %d, duplicate %d", again.done, again.result,
		 again.duplicate);
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* Within the start window nobody is taken over: held, then refused. */
static void held_then_451(void)
{
	unsigned a;
	struct outcome o = {0};
	uint64_t took;

	scn_begin(false);
	a = scn_filled(0);
	sim_node_power_off(&scn->n[a], true);
	sim_node_power_off(&scn->n[1 - a], true);
	sim_node_start(&scn->n[1 - a]);
	scn_ms(500);
	took = scn->counts[1];
	sim_op(scn, W_APPEND, 0, 1 - a, &o);
	scn_ms(8000);
	CU_CLAIM(!o.done, "held: %d", o.result);
	scn_ms(3200);
	CU_CLAIM(o.done && o.result == E_TEMP && !o.unknown,
		 "then NO: done %d, %d", o.done, o.result);
	CU_EQ_U64(scn->counts[1], took);
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* --- seeds and empty disks ------------------------------------------------------------- */

/* B's copy of one account is not whole when A dies: that one is refused, the
 * others are taken over. */
static void half_seeded_takeover(void)
{
	unsigned a, other = 1;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	scn_ok(W_DELIVER, other, 0);
	scn_ms(1500);
	damaged(1 - a, 0);
	sim_node_power_off(&scn->n[a], true);
	scn_ms(13000);
	o = scn_op(W_APPEND, 0, 1 - a, 2000);
	CU_CLAIM(o.done && o.result < 0, "refused: done %d, %d", o.done,
		 o.result);
	scn_ok(W_DELIVER, other, 1 - a);
	sim_node_start(&scn->n[a]);
	scn_finish();
}

/* A wiped node that cannot reach its partner serves nobody and makes no
 * identity of its own. */
static void wiped_alone(void)
{
	unsigned a;
	struct outcome o;

	scn_begin(false);
	a = scn_filled(0);
	sim_cut(scn, true, false);
	sim_node_wipe(&scn->n[1 - a]);
	scn_ms(12000);
	o = scn_op(W_APPEND, 0, 1 - a, 4000);
	CU_CLAIM(!o.done || o.result < 0, "%d", o.result);
	CU_CLAIM(!scn->n[1 - a].identity.has, "no identity");
	sim_cut(scn, false, false);
	scn_ms(6000);
	CU_CLAIM(sim_in_sync(scn), "seeded");
	scn_finish();
}

/* --- load ------------------------------------------------------------------------------ */

/* Writes go on all the while: SYNC is reached, and nobody starves. */
static void catch_up_under_load(void)
{
	unsigned a, k;

	scn_begin(false);
	a = scn_filled(0);
	sim_cut(scn, true, false);
	scn_ms(3000);
	for (unsigned i = 0; i < 150; i++)
		scn_ok(W_DELIVER, 0, a);
	sim_cut(scn, false, false);
	for (k = 0; k < 400 && scn_state(a, 0) != ACCT_SYNC; k++) {
		sim_op(scn, W_DELIVER, 0, a, NULL);
		scn_ms(25);
	}
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);
	scn_finish();
}

/* One process of A is lone when the link comes back, the other is not: each
 * says SYNC for itself. */
static void sync_while_queued(void)
{
	unsigned a, other = scn_begin_apart(false);
	struct simdisk *d;

	a = scn_filled(0);
	scn_filled(other);
	d = sim_store_of(&scn->n[1 - a], 0)->disk;
	sim_cut(scn, true, false);
	scn_ms(3000);
	scn_ok(W_DELIVER, 0, a);
	CU_EQ_INT(scn_state(a, 0), ACCT_LONE);
	simdisk_set_hang(d, true);
	sim_cut(scn, false, false);
	scn_ms(4000);
	CU_EQ_INT(scn_state(scn_holder(other), other), ACCT_SYNC);
	CU_CLAIM(scn_state(a, 0) != ACCT_SYNC, "not before its own is there");
	simdisk_set_hang(d, false);
	scn_ms(3000);
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);
	scn_finish();
}

/* No ack comes while a login at B would move the account: A keeps it. */
static void drain_stalls(void)
{
	unsigned a;
	struct simdisk *d;
	uint64_t moved;

	scn_begin(false);
	a = scn_filled(0);
	scn_ms(21000);
	moved = scn->counts[2];
	d = sim_store_of(&scn->n[1 - a], 0)->disk;
	simdisk_set_hang(d, true);
	sim_op(scn, W_DELIVER, 0, a, NULL);
	scn_ms(20);
	sim_op(scn, W_LOOK, 0, 1 - a, NULL);
	scn_ms(1500);
	CU_EQ_INT(scn_holder(0), a);
	CU_EQ_U64(scn->counts[2], moved);
	simdisk_set_hang(d, false);
	scn_finish();
}

CU_TESTS(CU_CASE(slow_partner_is_waited_for),
	 CU_CASE(ruined_replica_is_seeded),
	 CU_CASE(ruined_holder_is_seeded),
	 CU_CASE(seeding_replica_holds_no_writes), CU_CASE(handover_crossed),
	 CU_CASE(replica_ahead_start_alone), CU_CASE(modseq_at_takeover),
	 CU_CASE(expunged_then_taken_over), CU_CASE(lone_tail_lost_for_ever),
	 CU_CASE(reseeded_replica_answers_old_modseqs),
	 CU_CASE(restored_alone), CU_CASE(late_frames_of_a_dead_process),
	 CU_CASE(killed_in_a_move), CU_CASE(forward_answer_lost),
	 CU_CASE(forward_moves), CU_CASE(dedup_after_seed),
	 CU_CASE(held_then_451), CU_CASE(half_seeded_takeover),
	 CU_CASE(wiped_alone), CU_CASE(catch_up_under_load),
	 CU_CASE(sync_while_queued), CU_CASE(drain_stalls))
