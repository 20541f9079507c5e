/* Crashes at every call: dropped tails, installed seeds. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static void enumerate(const char *name, void (*run)(struct rig *),
		      unsigned depth2)
{
	struct crash_scenario s = {name, run, 0, depth2};
	struct crash_result r;

	cu_timeout(300);
	crash_enumerate(&s, &r);
	printf("%s: %ju calls, %ju crashes\n", name, (uintmax_t)r.points,
	       (uintmax_t)r.crashes);
	CU_CLAIM(r.points > 5 && r.crashes > 50, "nothing was tried");
	CU_EQ_INT(r.failures, 0);
}

static void start(struct rig *g)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	rig_epoch(g, 0);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_turn(g);
	rig_publish_all(g);
}

static void run_cut(struct rig *g)
{
	start(g);
	rig_mark(g, 0, MARK_SYNC);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_turn(g);
	rig_cut(g, 0, 3);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
}

/* The tail is in the log file and its bodies beside it. */
static void run_cut_after_checkpoint(struct rig *g)
{
	start(g);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_cut(g, 0, 2);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void on_seeded(void *arg, struct account *a, int result)
{
	(void)a;
	*(int *)arg = result;
}

/* The account's own state as a seed of itself: position and digest are those
 * of before, so the judge can compare. */
static void seed(struct rig *g)
{
	struct account *a = rig_account(g, 0);
	struct err e = ERR_NONE;
	struct buf b;
	int result = 1;

	if (!a)
		return;
	buf_init(&b, 1 << 20);
	if (store_snapshot(g->store, a, &b, &e) == 0) {
		g->acct[0].replaced = true;
		store_seed_install(g->store, a, buf_all(&b), on_seeded, &result);
		rig_turn(g);
		if (!simdisk_dead(g->disk))
			CU_EQ_INT(result, 0);
	}
	buf_fini(&b);
}

static void run_seed(struct rig *g)
{
	start(g);
	rig_checkpoint(g);
	rig_turn(g);
	seed(g);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT "4\r\n");
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_seed_without_exchange(struct rig *g)
{
	simdisk_set_no_exchange(g->disk, true);
	run_seed(g);
}

static void cut(void) { enumerate("cut", run_cut, 0); }
static void cut_late(void) { enumerate("cut after a checkpoint", run_cut_after_checkpoint, 0); }
static void seeded(void) { enumerate("seed", run_seed, 0); }
static void seeded_2(void) { enumerate("seed without exchange", run_seed_without_exchange, 0); }

CU_TESTS(CU_CASE(cut), CU_CASE(cut_late), CU_CASE(seeded), CU_CASE(seeded_2))
