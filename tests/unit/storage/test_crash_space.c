/* Crashes at every call: where room is made. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"
#define DAY (86400 * USEC_PER_SEC)

static void all(struct rig *g)
{
	rig_turn(g);
	rig_publish_all(g);
}

static void land(struct rig *g)
{
	rig_checkpoint(g);
	rig_turn(g);
}

static void start(struct rig *g)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	rig_epoch(g, 0);
	all(g);
}

/* Frames until the ring takes no more; a checkpoint lets them go on.  Twice,
 * for the second ring's worth lies over the first. */
static void run_journal_full(struct rig *g)
{
	char text[6000];
	unsigned refused = 0;

	rig_octets((uint8_t *)text, sizeof(text) - 1, 1);
	text[sizeof(text) - 1] = 0;
	start(g);
	for (int i = 0; i < 24; i++) {
		int r;

		text[0] = (char)('a' + i);
		r = rig_add(g, 0, "INBOX", text);
		if (r == 0 || simdisk_dead(g->disk))
			continue;
		/* What waits is durable only now, in the middle of it the
		 * checkpoint begins. */
		refused++;
		CU_EQ_INT(r, E_TEMP);
		all(g);
		land(g);
		CU_CLAIM(g->spaces > 0 || simdisk_dead(g->disk),
			 "nobody was told of the room");
		r = rig_add(g, 0, "INBOX", text);
		CU_CLAIM(r == 0 || simdisk_dead(g->disk), "refused again");
	}
	all(g);
	if (!simdisk_dead(g->disk))
		CU_CLAIM(refused > 1, "the journal was never full");
}

/* Segments that no recovery needs go; the partner has acked only some. */
static void run_trim(struct rig *g)
{
	struct store_policy keep = {.expunged_keep_usec = 30 * DAY,
				    .log_keep_usec = DAY, .log_size = 1024,
				    .partner = true};
	struct account *a;

	g->opts.log_segment = 512;
	g->trims = true;
	start(g);
	for (int i = 0; i < 8; i++) {
		rig_add(g, 0, "INBOX", TEXT "x\r\n");
		all(g);
	}
	land(g);
	if (g->store)
		store_set_policy(g->store, &keep);
	a = rig_account(g, 0);
	if (a) {
		struct position p;

		store_position_at(g->store, a, 5, &p);
		store_partner_acked(g->store, a, p);
	}
	rig_later(g, 2 * DAY);
	a = rig_account(g, 0);
	if (a && !simdisk_dead(g->disk))
		CU_CLAIM(alog_floor(a->log) > 0 && alog_floor(a->log) <= 5,
			 "the log begins behind %ju",
			 (uintmax_t)alog_floor(a->log));
	rig_add(g, 0, "INBOX", TEXT "y\r\n");
	all(g);
	if (a && !simdisk_dead(g->disk))
		store_partner_acked(g->store, a, account_end(a));
	land(g);
	rig_later(g, 2 * DAY);
	rig_add(g, 0, "INBOX", TEXT "z\r\n");
	all(g);
	land(g);
}

static void run_vanished(struct rig *g)
{
	start(g);
	for (int i = 0; i < 4; i++)
		rig_add(g, 0, "INBOX", TEXT "x\r\n");
	all(g);
	rig_expunge(g, 0, "INBOX", 2);
	rig_expunge(g, 0, "INBOX", 3);
	all(g);
	land(g);
	rig_trim_vanished(g, 0, "INBOX");
	all(g);
	rig_expunge(g, 0, "INBOX", 1);
	all(g);
	land(g);
}

static bool count(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return true;
}

/* The time to undo is over: files, mailboxes and numberings of before go, and
 * the records of what was expunged with the next index. */
static void run_sweep(struct rig *g)
{
	struct store_policy keep = {.expunged_keep_usec = DAY,
				    .log_keep_usec = 30 * DAY,
				    .log_size = 1 << 20};
	unsigned n = 0;

	start(g);
	rig_create(g, 0, "Work");
	for (int i = 0; i < 4; i++)
		rig_add(g, 0, "INBOX", TEXT "x\r\n");
	all(g);
	rig_copy(g, 0, "INBOX", 1, "Work", false);
	rig_copy(g, 0, "INBOX", 2, "Work", true);
	all(g);
	land(g);
	rig_expunge(g, 0, "INBOX", 3);
	all(g);
	rig_delete(g, 0, "Work", "Work");
	rig_renumber(g, 0, "INBOX");
	all(g);
	if (g->store)
		store_set_policy(g->store, &keep);
	/* Not yet checkpointed: nothing may go. */
	rig_later(g, 2 * DAY);
	land(g);
	land(g);
	rig_later(g, DAY);
	g->fs->ops->list(g->fs, RIG_MAIL "/user0/.duet/.expunged", count, &n);
	CU_CLAIM(n == 0 || simdisk_dead(g->disk), "%u files were not swept", n);
	rig_add(g, 0, "INBOX", TEXT "y\r\n");
	all(g);
	land(g);
	rig_later(g, DAY);
	land(g);
}

CRASH(journal_full, .journal = 16 * 4096)
CRASH(trim)
CRASH(vanished)
CRASH(sweep)

CU_TESTS(CU_CASE(journal_full), CU_CASE(trim), CU_CASE(vanished),
	 CU_CASE(sweep))
