#ifndef DUET_TESTS_CRASH_H
#define DUET_TESTS_CRASH_H

/*
 * Crash-point enumeration (replication-cases.md).  A scenario is run once to
 * count its calls that change or sync something; then again for each of them,
 * with a crash right before and right after it.  What power loss leaves is
 * tried in all the ways that simdisk.h names: nothing pending, all of it, each
 * operation alone, all but each, the last write torn, random subsets, and the
 * death of the process alone.  Each disk is recovered and judged:
 *
 *  - every position reported durable is there, and none that was not accepted;
 *  - what the state shows was being published at the crash, or less;
 *  - a last mark is one that was reported, or a later one that was asked for;
 *  - recovery twice gives what recovery once gave;
 *  - published to its end, every account shows what the reference model
 *    (rig_model.h) shows at that record and nothing else, has the digest it has
 *    without a crash, equal to the one recomputed from disk, and every message
 *    its body; there are no other message files;
 *  - the store goes on: more records, a clean stop, and all is there again.
 *
 * Depth 2 crashes again at every call of some of those recoveries.
 *
 * How much of that is done is said by the environment, DUET_CRASH=EVERY/DEPTH2:
 * every EVERY-th crash (1 = all), and of those every DEPTH2-th again at depth 2
 * (1 = all, 0 = none).  Without it: 1, and what the scenario says.
 */

#include "tests/lib/store_rig.h"

struct crash_scenario {
	const char *name;
	void (*run)(struct rig *g);	/* from an empty disk; opens it itself */
	uint64_t journal;		/* bytes; 0 = 256 KiB */
	unsigned depth2;		/* every n-th crash; 0 = CRASH_DEPTH2 */
	/* More that must hold on a recovered disk; NULL = nothing.  Gives what
	 * does not, or NULL. */
	const char *(*check)(struct rig *g);
};

#define CRASH_DEPTH2 50

struct crash_result {
	uint64_t points;		/* calls of the scenario */
	uint64_t crashes;		/* disks recovered and judged */
	uint64_t deep;			/* of them at depth 2 */
	uint64_t modelled;		/* states compared with the model */
	uint64_t failures;		/* each told on stderr, the first few */
};

void crash_enumerate(const struct crash_scenario *s, struct crash_result *out);
/* The same as one test case: prints the numbers, claims that something was
 * tried and nothing failed. */
void crash_test(const struct crash_scenario *s);
/* A case `fn` of that name; more fields may follow. */
#define CRASH(fn, ...)                                                        \
	static void fn(void)                                                  \
	{                                                                     \
		static const struct crash_scenario s = {                      \
			.name = #fn, .run = run_##fn, __VA_ARGS__};           \
		crash_test(&s);                                               \
	}

/* Is what an open store has what the ledger promised?  For scenarios that do
 * their own crashes; gives the number of broken promises. */
unsigned crash_judge(struct rig *g, const struct rig *reference,
		     const char *where);

#endif
