#ifndef DUET_TESTS_SCN_H
#define DUET_TESTS_SCN_H

/*
 * Named scenarios of the pair: two whole nodes of the simulator, one run at a
 * time.  Times: partner given up after 5 s, start window 12 s, hand-over
 * interval 20 s, time-out of an ack 4 s.
 */

#include "tests/sim/sim.h"

#define SEC USEC_PER_SEC

extern struct sim *scn;			/* the present run */

void scn_begin(bool strict);		/* strict: pair_degraded_* = tempfail */
/* The same with two processes in use; gives an account that account 0 does not
 * share its process with. */
unsigned scn_begin_apart(bool strict);
/* Comes to rest, asks the oracle, frees everything.  Nothing may be FORKED. */
void scn_finish(void);
void scn_ms(unsigned ms);		/* lets time pass */
/* One op of a client at node `at'; waits up to ms for its end. */
struct outcome scn_op(enum op_kind_sim k, unsigned account, unsigned at,
		      unsigned ms);
void scn_ok(enum op_kind_sim k, unsigned account, unsigned at);
struct account *scn_account(unsigned node, unsigned account);	/* or NULL */
uint64_t scn_end(unsigned node, unsigned account);	/* of its log */
uint32_t scn_inbox(unsigned node, unsigned account);	/* messages there */
enum account_sync scn_state(unsigned node, unsigned account);
/* The node that holds the account, by the longer log; 2: none. */
unsigned scn_holder(unsigned account);
/* Some mail in the account; gives its holder. */
unsigned scn_filled(unsigned account);

#endif
