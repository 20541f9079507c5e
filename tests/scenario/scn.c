/* What the scenarios share: one pair at a time, ops that wait, looks at logs. */

#include "tests/scenario/scn.h"
#include "storage/store_private.h"
#include "tests/lib/cu.h"

#include <stdlib.h>

struct sim *scn;

void scn_ms(unsigned ms)
{
	sim_run_for(scn, ms * SIM_MS);
}

static void begin_seed(uint64_t seed, bool strict)
{
	scn = xzalloc(sizeof(*scn));
	scn->seed = seed;
	simrng_init(&scn->rng, seed);
	scn->rule_kept = true;
	scn->strict = strict;
	scn->latency = 3 * SIM_MS;
	scn->delay = 1 * SIM_MS;
	scn->trace = getenv("SIM_TRACE") != NULL;
	for (unsigned k = 0; k < W_KINDS; k++)
		scn->weight[k] = 1;
	sim_begin(scn);
	CU_CLAIM(!scn->bad[0], "%s", scn->bad);
}

void scn_begin(bool strict)
{
	begin_seed(1, strict);
}

unsigned scn_begin_apart(bool strict)
{
	for (uint64_t seed = 1;; seed++) {
		begin_seed(seed, strict);
		/* The helpers take nodes by their index in the pair. */
		for (unsigned i = 1; i < SIM_ACCOUNTS &&
		     !scn->n[0].identity.index; i++)
			if (sim_store_of(&scn->n[0], i) !=
			    sim_store_of(&scn->n[0], 0))
				return i;
		sim_end(scn);
		free(scn);
	}
}

/* Comes to rest, asks the oracle, frees everything. */
void scn_finish(void)
{
	if (!scn->bad[0])
		sim_settle(scn);
	if (!scn->bad[0])
		sim_check_end(scn);
	CU_CLAIM(!scn->bad[0], "%s", scn->bad);
	CU_CLAIM(!scn->counts[0], "nothing FORKED");
	sim_end(scn);
	free(scn);
}

struct outcome scn_op(enum op_kind_sim k, unsigned account, unsigned at,
			 unsigned ms)
{
	/* One that does not end in time is told to a place that stays. */
	static struct outcome places[256];
	static unsigned next;
	struct outcome *o = &places[next++ % ARRAY_LEN(places)];

	sim_op(scn, k, account, at, o);
	for (unsigned t = 0; t < ms && !o->done; t += 10)
		scn_ms(10);
	return *o;
}

void scn_ok(enum op_kind_sim k, unsigned account, unsigned at)
{
	struct outcome o = scn_op(k, account, at, 20000);

	CU_CLAIM(o.done && o.result == 0, "op %d at node %u: done %d, %d", k,
		 at, o.done, o.result);
}

struct account *scn_account(unsigned node, unsigned account)
{
	struct sstore *st = sim_store_of(&scn->n[node], account);

	return st->alive ? store_account(st->store, scn->acc[account].id) : NULL;
}

uint64_t scn_end(unsigned node, unsigned account)
{
	struct account *a = scn_account(node, account);

	return a ? account_end(a).seq : 0;
}

uint32_t scn_inbox(unsigned node, unsigned account)
{
	struct account *a = scn_account(node, account);
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

	if (id128_eq(account_id(st->account), scn->acc[f->account].id)) {
		f->state = st->state;
		f->found = true;
	}
	return true;
}

enum account_sync scn_state(unsigned node, unsigned account)
{
	struct find f = {account, ACCT_PARKED, false};
	struct sstore *st = sim_store_of(&scn->n[node], account);

	if (st->alive)
		engine_status(st->engine, find_state, &f);
	return f.state;
}

/* The node that holds the account, by the longer log. */
unsigned scn_holder(unsigned account)
{
	unsigned i = scn_end(1, account) > scn_end(0, account);
	struct account *a = scn_account(i, account);

	return a ? (unsigned)account_holder(a) : 2;
}

/* Some mail in the account; gives A. */
unsigned scn_filled(unsigned account)
{
	for (unsigned i = 0; i < 4; i++)
		scn_ok(W_DELIVER, account, i % 2);
	scn_ms(1500);
	CU_CLAIM(sim_in_sync(scn), "SYNC at first");
	return scn_holder(account);
}
