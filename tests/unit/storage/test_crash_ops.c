/* Crashes at every call: what commands do to messages and mailboxes. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static void all(struct rig *g)
{
	rig_turn(g);
	rig_publish_all(g);
}

/* Two messages, checkpointed. */
static void start(struct rig *g)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	rig_epoch(g, 0);
	all(g);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_expunge(struct rig *g)
{
	start(g);
	rig_flags(g, 0, "INBOX", 1, MSG_DELETED);
	all(g);
	rig_expunge(g, 0, "INBOX", 1);
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_move(struct rig *g)
{
	start(g);
	rig_create(g, 0, "Archive");
	all(g);
	rig_copy(g, 0, "INBOX", 1, "Archive", false);
	all(g);
	rig_copy(g, 0, "INBOX", 2, "Archive", true);
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_rename_chain(struct rig *g)
{
	start(g);
	rig_create(g, 0, "A");
	rig_create(g, 0, "B");
	all(g);
	rig_copy(g, 0, "INBOX", 1, "A", false);
	all(g);
	rig_rename(g, 0, "A", "C");
	rig_rename(g, 0, "B", "A");
	rig_rename(g, 0, "A", "B");	/* the one now named C */
	all(g);
	rig_add(g, 0, "A", TEXT "3\r\n");
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_delete(struct rig *g)
{
	start(g);
	rig_create(g, 0, "Work");
	all(g);
	rig_copy(g, 0, "INBOX", 2, "Work", true);
	all(g);
	rig_delete(g, 0, "Work", "Work");
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void run_large(struct rig *g)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	rig_epoch(g, 0);
	all(g);
	rig_add_large(g, 0, "INBOX", 9000);
	rig_turn(g);
	rig_checkpoint(g);	/* before it is published */
	rig_turn(g);
	rig_publish_all(g);
	rig_add_large(g, 0, "INBOX", 9000);	/* the same octets */
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

/* Mailboxes whose directories are named as message files are. */
static void run_named_as_a_file(struct rig *g)
{
	start(g);
	rig_create(g, 0, "u.1");
	rig_create(g, 0, "u.1/u.2");
	all(g);
	rig_copy(g, 0, "INBOX", 1, "u.1", false);
	rig_add(g, 0, "u.1/u.2", TEXT "3\r\n");
	all(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_add(g, 0, "u.1", TEXT "4\r\n");
	all(g);
}

CRASH(expunge)
CRASH(move)
CRASH(rename_chain)
CRASH(delete)
CRASH(large)
CRASH(named_as_a_file)

CU_TESTS(CU_CASE(expunge), CU_CASE(move), CU_CASE(rename_chain),
	 CU_CASE(delete), CU_CASE(large), CU_CASE(named_as_a_file))
