/* Crashes at every call: appending, publishing, checkpoints, restarts. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static void start(struct rig *g, unsigned accounts)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	for (unsigned i = 0; i < accounts; i++)
		rig_epoch(g, i);
	rig_turn(g);
	rig_publish_all(g);
}

static void restart(struct rig *g)
{
	struct err e = ERR_NONE;

	if (simdisk_dead(g->disk))
		return;
	rig_close(g);
	rig_open(g, &e);
}

static void run_append(struct rig *g)
{
	start(g, 1);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_publish_all(g);
}

static void run_two_accounts(struct rig *g)
{
	start(g, 2);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_add(g, 1, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_add(g, 1, "INBOX", TEXT "3\r\n");
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_add(g, 0, "INBOX", TEXT "4\r\n");
	rig_turn(g);
	rig_publish_all(g);
}

static void run_checkpoint(struct rig *g)
{
	start(g, 1);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	/* While it runs. */
	rig_flags(g, 0, "INBOX", 1, MSG_SEEN);
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

/* A checkpoint while frames are durable but not published: their batches go,
 * their bodies must not. */
static void run_unpublished(struct rig *g)
{
	start(g, 1);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_publish(g, 0, 2);
	rig_checkpoint(g);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_turn(g);
}

static void run_clean_stop(struct rig *g)
{
	start(g, 2);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_turn(g);
	rig_publish_all(g);
	restart(g);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_publish_all(g);
	rig_add(g, 1, "INBOX", TEXT "3\r\n");
	rig_turn(g);		/* durable, not published */
	restart(g);
	rig_publish_all(g);
}

static void run_marks(struct rig *g)
{
	start(g, 2);
	rig_mark(g, 0, MARK_SYNC);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_mark(g, 0, MARK_LONE);
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);	/* recycles the batch of the mark */
	rig_turn(g);
	rig_mark(g, 1, MARK_LONE);
	rig_checkpoint(g);
	rig_turn(g);
	rig_mark(g, 0, MARK_SYNC);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
}

/* The ring goes round several times. */
static void run_wrap(struct rig *g)
{
	start(g, 1);
	for (int i = 0; i < 24; i++) {
		rig_noop(g, 0);
		rig_turn(g);
		rig_publish_all(g);
	}
}

/* What the partner acked is not a reason to lose anything. */
static void run_acked(struct rig *g)
{
	struct account *a;

	start(g, 1);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_turn(g);
	a = rig_account(g, 0);
	if (a)
		store_partner_acked(g->store, a, account_end(a));
	rig_publish_all(g);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	if (!simdisk_dead(g->disk))
		store_periodic(g->store);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_segments(struct rig *g)
{
	g->opts.log_segment = 512;
	start(g, 1);
	for (int i = 0; i < 6; i++) {
		rig_add(g, 0, "INBOX", TEXT "x\r\n");
		rig_turn(g);
		rig_publish_all(g);
		if (i % 2) {
			rig_checkpoint(g);
			rig_turn(g);
		}
	}
}

/* The process dies and starts again, more than once, in mid-course. */
static void run_lives(struct rig *g)
{
	struct err e = ERR_NONE;

	start(g, 1);
	for (int life = 0; life < 2; life++) {
		rig_add(g, 0, "INBOX", TEXT "1\r\n");
		rig_turn(g);
		rig_publish_all(g);
		rig_checkpoint(g);	/* never ended */
		if (simdisk_dead(g->disk))
			return;
		store_drop(g->store);
		simdisk_revive(g->disk);
		if (rig_open(g, &e) < 0)
			return;
		rig_publish_all(g);
		rig_epoch(g, 0);
		rig_turn(g);
		rig_publish_all(g);
	}
	rig_checkpoint(g);
	rig_turn(g);
}

CRASH(append, .depth2 = 20)
CRASH(two_accounts)
CRASH(checkpoint, .depth2 = 60)
CRASH(unpublished, .depth2 = 60)
CRASH(clean_stop)
CRASH(marks)
CRASH(wrap, .journal = 16 * 4096)
CRASH(acked)
CRASH(segments, .depth2 = 60)
CRASH(lives)

CU_TESTS(CU_CASE(append), CU_CASE(two_accounts), CU_CASE(checkpoint),
	 CU_CASE(unpublished), CU_CASE(clean_stop), CU_CASE(marks),
	 CU_CASE(wrap), CU_CASE(acked), CU_CASE(segments), CU_CASE(lives))
