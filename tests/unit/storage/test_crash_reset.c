/* Crashes at every call: dropped tails, installed seeds. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

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
static void install(struct rig *g)
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
	install(g);
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

struct tail {
	struct rig *g;
	bool found;
};

static bool look_into(void *arg, const char *name)
{
	static const char text[] = TEXT "3\r\n";
	struct tail *t = arg;
	char path[200];
	struct buf b;

	if (strncmp(name, "tail.", 5) != 0)
		return true;
	snprintf(path, sizeof(path), RIG_MAIL "/user0/.duet/orphans/%s", name);
	buf_init(&b, 1 << 20);
	if (fsio_read_file(t->g->fs, path, 1 << 20, &b) == 0 && b.n &&
	    memmem(b.p, b.n, text, sizeof(text) - 1))
		t->found = true;
	buf_fini(&b);
	return true;
}

/* Once the cut was reported, what it dropped lies in orphans/. */
static const char *tail_is_kept(struct rig *g)
{
	struct tail t = {.g = g};

	if (!g->acct[0].cut_done)
		return NULL;
	g->fs->ops->list(g->fs, RIG_MAIL "/user0/.duet/orphans", look_into, &t);
	return t.found ? NULL : "the tail that was dropped is not in orphans/";
}

CRASH(cut, .check = tail_is_kept)
CRASH(cut_after_checkpoint, .check = tail_is_kept)
CRASH(seed)
CRASH(seed_without_exchange)

CU_TESTS(CU_CASE(cut), CU_CASE(cut_after_checkpoint), CU_CASE(seed),
	 CU_CASE(seed_without_exchange))
