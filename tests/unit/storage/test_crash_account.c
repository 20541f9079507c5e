/* Crashes at every call: whole mailboxes and accounts, another holder. */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

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

/* Two messages and a subtree with one each, checkpointed. */
static void start(struct rig *g)
{
	struct err e = ERR_NONE;

	rig_open(g, &e);
	rig_epoch(g, 0);
	all(g);
	rig_add(g, 0, "INBOX", TEXT "1\r\n");
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_create(g, 0, "A");
	rig_create(g, 0, "A/B");
	all(g);
	rig_add(g, 0, "A", TEXT "3\r\n");
	rig_add(g, 0, "A/B", TEXT "4\r\n");
	all(g);
	land(g);
}

/* UIDs 1..n again, in another directory; the old files wait for the sweep. */
static void run_renumber(struct rig *g)
{
	start(g);
	rig_expunge(g, 0, "INBOX", 1);
	rig_add(g, 0, "INBOX", TEXT "5\r\n");
	all(g);
	rig_renumber(g, 0, "INBOX");
	all(g);
	rig_add(g, 0, "INBOX", TEXT "6\r\n");
	rig_flags(g, 0, "INBOX", 1, MSG_SEEN);
	all(g);
	land(g);
	rig_renumber(g, 0, "INBOX");
	all(g);
	rig_expunge(g, 0, "INBOX", 2);
	all(g);
	land(g);
}

/* A subtree with mail moves below a new name and back, over a checkpoint. */
static void run_rename_tree(struct rig *g)
{
	start(g);
	rig_rename(g, 0, "A", "C/D");
	rig_rename(g, 0, "A/B", "C/D/B");
	all(g);
	rig_add(g, 0, "A/B", TEXT "5\r\n");
	all(g);
	land(g);
	rig_rename(g, 0, "A/B", "A");
	all(g);
	rig_rename(g, 0, "A", "A/B");
	rig_copy(g, 0, "A/B", 1, "A", true);
	all(g);
	land(g);
}

/* Names are used again while the directories of before are still there. */
static void run_delete_with_mail(struct rig *g)
{
	start(g);
	rig_copy(g, 0, "INBOX", 1, "A", false);
	all(g);
	rig_delete(g, 0, "A/B", "A/B");
	rig_delete(g, 0, "A", "A");
	all(g);
	rig_create(g, 0, "Other");
	rig_rename(g, 0, "Other", "A");
	all(g);
	rig_add(g, 0, "Other", TEXT "5\r\n");
	all(g);
	land(g);
	rig_delete(g, 0, "Other", "A");
	all(g);
	land(g);
}

static void run_account_deleted(struct rig *g)
{
	start(g);
	rig_account_delete(g, 0);
	all(g);
	land(g);
}

static void run_account_again(struct rig *g)
{
	start(g);
	rig_account_delete(g, 0);
	all(g);
	rig_account_create(g, 0);
	all(g);
	rig_add(g, 0, RIG_INBOX_2, TEXT "5\r\n");
	all(g);
	land(g);
	rig_add(g, 0, RIG_INBOX_2, TEXT "6\r\n");
	rig_epoch(g, 0);
	all(g);
	land(g);
}

/* Both in one batch, none of it published before the crash. */
static void run_account_again_at_once(struct rig *g)
{
	start(g);
	rig_account_delete(g, 0);
	rig_account_create(g, 0);
	rig_turn(g);
	land(g);
	rig_publish_all(g);
	rig_add(g, 0, RIG_INBOX_2, TEXT "5\r\n");
	all(g);
	land(g);
}

/*
 * A replica receives, in part unpublished, and takes over: another epoch, of
 * its own parity, with a jump; then an orderly start in one more epoch.
 */
static void run_takeover(struct rig *g)
{
	struct rig *partner = xmalloc(sizeof(*partner));
	struct err e = ERR_NONE;

	rig_init_partner(partner, 7, 256 * 1024);
	partner->model = g->model;
	start(partner);
	rig_open(g, &e);
	rig_receive(g, 0, partner);
	rig_turn(g);
	rig_publish(g, 0, 3);
	land(g);
	rig_flags(partner, 0, "INBOX", 1, MSG_SEEN);
	all(partner);
	rig_add(partner, 0, "INBOX", TEXT "5\r\n");
	all(partner);
	rig_receive(g, 0, partner);
	rig_turn(g);
	rig_takeover(g, 0, 65536);
	rig_turn(g);
	rig_publish_all(g);
	rig_add(g, 0, "INBOX", TEXT "6\r\n");
	rig_create(g, 0, "C");
	all(g);
	land(g);
	rig_epoch(g, 0);
	rig_add(g, 0, "C", TEXT "7\r\n");
	all(g);
	rig_fini(partner);
	free(partner);
}

CRASH(renumber)
CRASH(rename_tree)
CRASH(delete_with_mail)
CRASH(account_deleted)
CRASH(account_again)
CRASH(account_again_at_once)
CRASH(takeover)

CU_TESTS(CU_CASE(renumber), CU_CASE(rename_tree), CU_CASE(delete_with_mail),
	 CU_CASE(account_deleted), CU_CASE(account_again),
	 CU_CASE(account_again_at_once), CU_CASE(takeover))
