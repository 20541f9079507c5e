#include "storage/store_private.h"
#include "tests/lib/cu.h"
#include "tests/scenario/scn.h"

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

CU_TESTS(CU_CASE(slow_partner_is_waited_for))
