#include "tests/lib/cu.h"
#include "sync/engine_private.h"
#include "tests/scenario/scn.h"

#include <inttypes.h>

/*
 * What the link and the channels between the processes of a node do to an
 * account: too slow, too full, a message lost.
 */

/* --- slow links ---------------------------------------------------------- */

/* Two accounts that share a process. */
static void neighbours(unsigned *x, unsigned *y)
{
	*x = 0;
	*y = 1;
	if (sim_store_of(&scn->n[0], 0) != sim_store_of(&scn->n[0], 1)) {
		*x = sim_store_of(&scn->n[0], 1) == sim_store_of(&scn->n[0], 2);
		*y = 2;
	}
	CU_NEED(sim_store_of(&scn->n[0], *x) == sim_store_of(&scn->n[0], *y));
}

/* 1 Mbit/s, some megabytes to catch up with: the link stays, and what the
 * clients of another account do is on both nodes in time all the while. */
static void slow_link_catches_up(void)
{
	unsigned a, late = 0, x, other;
	uint64_t downs, until;

	scn_begin(false);
	neighbours(&x, &other);
	a = scn_filled(x);
	scn_filled(other);
	scn->pad = 30000;
	sim_cut(scn, true, true);
	scn_ms(3000);
	for (unsigned i = 0; i < 100; i++)
		scn_ok(W_APPEND, x, a);
	scn->pad = 0;
	scn->rate = 125000;
	sim_cut(scn, false, false);
	for (unsigned i = 0; i < 500 && scn_state(a, x) == ACCT_LONE; i++)
		scn_ms(10);
	CU_EQ_INT(scn_state(a, x), ACCT_CATCHUP);
	downs = scn->counts[8];
	until = simtime_now(scn->time) + 90 * SEC;
	while (scn_state(a, x) != ACCT_SYNC && simtime_now(scn->time) < until) {
		struct outcome o = scn_op(W_DELIVER, other,
					  scn_holder(other), 8000);

		late += !o.done || o.result || o.single_copy;
		scn_ms(300);
	}
	CU_EQ_INT(scn_state(a, x), ACCT_SYNC);
	CU_EQ_U64(scn->counts[8], downs);
	CU_EQ_INT(late, 0);
	scn->rate = 0;
	scn_finish();
}

/* Two accounts with more to catch up with than the channel to sync holds: no
 * message of theirs, nor of anybody else, is dropped there. */
static void channel_is_never_full(void)
{
	unsigned a, x, y;

	scn_begin(false);
	neighbours(&x, &y);
	a = scn_filled(x);
	scn_filled(y);
	scn->pad = 60000;
	sim_cut(scn, true, true);
	scn_ms(6000);
	for (unsigned i = 0; i < 70; i++) {
		scn_ok(W_APPEND, x, a);
		scn_ok(W_APPEND, y, scn_holder(y));
	}
	scn->pad = 0;
	sim_cut(scn, false, false);
	for (unsigned i = 0; i < 3000 && !sim_in_sync(scn); i++)
		scn_ms(10);
	CU_CLAIM(sim_in_sync(scn), "SYNC again");
	scn_finish();			/* asks whether it was ever full */
}

/* A record of some megabytes crosses in parts, each credited for itself, and
 * the command that waits for it is answered by both. */
static void large_record_crosses_in_parts(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	scn->pad = 700000;
	scn->rate = 1000000;
	for (unsigned i = 0; i < 4; i++) {
		struct outcome o = scn_op(W_APPEND, 0, a, 10000);

		CU_CLAIM(o.done && !o.result && !o.single_copy,
			 "%d: done %d, %d, single copy %d", i, o.done, o.result,
			 o.single_copy);
	}
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);
	scn->rate = 0;
	scn_finish();
}

/* --- lost between store and sync ----------------------------------------- */

static void drop(uint16_t type, uint64_t mask)
{
	scn->drop_type = type;
	scn->drop_mask = mask;
}

static bool published(unsigned account)
{
	struct account *a = scn_account(0, account);
	struct account *b = scn_account(1, account);

	return a && b &&
	       position_eq(account_published(a), account_published(b));
}

/* A store process that does not hear that the link is up would go alone, and
 * take over what the partner holds. */
static void lost_link_up(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	sim_cut(scn, true, true);
	scn_ms(600);
	/* Of every store process of both nodes. */
	drop(LINK_UP, 0xf);
	sim_cut(scn, false, false);
	for (unsigned i = 0; i < 40 && (scn->drop_mask || !sim_in_sync(scn));
	     i++)
		scn_ms(100);
	CU_CLAIM(sim_in_sync(scn), "told again within four ticks");
	CU_EQ_U64(scn->drop_mask, 0);
	CU_EQ_INT(scn->counts[1], 0);		/* no takeover */
	scn_ok(W_APPEND, 0, a);
	scn_finish();
}

/* The link breaks and comes back, and the store processes hear of the second
 * only: what the old connection carried is lost all the same. */
static void lost_link_down(void)
{
	struct outcome o = {.done = false};
	unsigned b;

	scn_begin(false);
	b = 1 - scn_filled(0);
	scn_ms(1000);
	drop(LINK_DELIVER, 0x1);
	sim_redeliver(scn, 0, b, &o);
	scn_ms(50);
	CU_EQ_U64(scn->drop_mask, 0);		/* it is lost on its way */
	sim_cut(scn, true, true);
	drop(LINK_DOWN, UINT64_MAX);
	sim_cut(scn, false, false);
	for (unsigned i = 0; i < 40 && !o.done; i++)
		scn_ms(100);
	CU_CLAIM(scn->drop_mask != UINT64_MAX, "no DOWN was lost");
	CU_CLAIM(o.done && o.result < 0, "4xx in time: %d", o.done);
	scn->drop_mask = 0;
	scn_finish();
}

/* The replica shows what the holder showed, also when nothing follows. */
static void lost_published(void)
{
	unsigned a;

	scn_begin(false);
	a = scn_filled(0);
	scn_ok(W_APPEND, 0, a);
	scn_ms(2500);
	drop(LINK_PUBLISHED, 0x1);
	scn_ok(W_APPEND, 0, a);
	for (unsigned i = 0; i < 80 && !published(0); i++)
		scn_ms(100);
	CU_EQ_U64(scn->drop_mask, 0);
	CU_CLAIM(published(0), "said again");
	scn_finish();
}

/* The end of one record in parts and the beginning of the next are lost: what
 * is left of both is no record. */
static void lost_parts_of_two_records(void)
{
	unsigned a, h;

	scn_begin(false);
	a = scn_filled(0);
	h = scn_holder(0);
	scn->pad = 135000;		/* three parts each */
	/* Each crosses two channels: X X X, X X -, Y Y Y, - - Y. */
	drop(LINK_RECORDS, 0x620);
	sim_op(scn, W_DELIVER, 0, h, NULL);
	scn_ms(10);
	sim_op(scn, W_DELIVER, 0, h, NULL);
	scn_ms(3000);
	CU_EQ_U64(scn->drop_mask, 0);
	CU_EQ_INT(scn_state(a, 0), ACCT_SYNC);
	scn_finish();
}

/* --- seeds ------------------------------------------------------------------ */

static unsigned pinned(const struct sstore *st)
{
	unsigned n = 0;
	size_t i = 0;
	void *v;

	while (st->alive && map_each(st->engine->accounts, &i, NULL, &v))
		n += ((struct eacct *)v)->seed_out.n > 0;
	return n;
}

/* Room for one snapshot: the other account waits, and has its turn. */
static void seeds_take_turns(void)
{
	unsigned a, x, y, most = 0;
	struct sstore *st;

	scn_begin(false);
	scn->seed_records = 5;
	for (unsigned i = 0; i < 4; i++)
		sim_store_kill(&scn->n[i / 2].stores[i % 2]);
	scn_ms(2000);
	neighbours(&x, &y);
	a = scn_filled(x);
	scn_filled(y);
	/* One node is to have both, and more than what is not seeded. */
	for (unsigned i = 0; i < 6; i++) {
		scn_ok(W_DELIVER, x, a);
		scn_ok(W_DELIVER, y, a);
	}
	st = sim_store_of(&scn->n[a], x);
	st->engine->seed_room = 1;
	sim_node_wipe(&scn->n[1 - a]);
	for (unsigned i = 0; i < 25000 && !(i > 5000 && sim_in_sync(scn));
	     i++) {
		scn_ms(1);
		most = pinned(st) > most ? pinned(st) : most;
	}
	CU_EQ_INT(most, 1);
	CU_CLAIM(scn->counts[6] >= 2, "both were seeded: %" PRIu64,
		 scn->counts[6]);
	CU_CLAIM(sim_in_sync(scn), "and are in SYNC");
	scn_finish();
}

CU_TESTS(CU_CASE(slow_link_catches_up),
	 CU_CASE(channel_is_never_full),
	 CU_CASE(large_record_crosses_in_parts),
	 CU_CASE(lost_link_up),
	 CU_CASE(lost_link_down),
	 CU_CASE(lost_published),
	 CU_CASE(lost_parts_of_two_records),
	 CU_CASE(seeds_take_turns))
