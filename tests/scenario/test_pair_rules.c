#include "storage/store_private.h"
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

CU_TESTS(CU_CASE(slow_partner_is_waited_for),
	 CU_CASE(ruined_replica_is_seeded),
	 CU_CASE(ruined_holder_is_seeded))
