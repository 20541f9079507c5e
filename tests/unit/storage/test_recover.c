/* Recovery: all journals, damage, accounts that moved, sick disks. */

#include "tests/lib/cu.h"

#include "tests/lib/store_rig.h"

#include <errno.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

static void begin(void)
{
	struct err e = ERR_NONE;

	rig_init(g, 9, 256 * 1024);
	CU_OK(rig_open(g, &e), &e);
}

static void fill(unsigned accounts)
{
	for (unsigned i = 0; i < accounts; i++) {
		rig_epoch(g, i);
		rig_add(g, i, "INBOX", TEXT);
	}
	rig_turn(g);
	rig_publish_all(g);
}

static void power_loss(void)
{
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	simdisk_power_loss(g->disk, (struct simdisk_keep){.kind = KEEP_NONE});
	simdisk_revive(g->disk);
}

static void note(void *arg, const char *text)
{
	++*(unsigned *)arg;
	CU_CLAIM(strstr(text, "journal") != NULL, "%s", text);
}

static void all_journals_are_replayed_whatever_their_number(void)
{
	struct err e = ERR_NONE;
	unsigned told = 0;

	begin();
	fill(2);
	power_loss();
	/* A second process with accounts of its own. */
	g->opts.process = 1;
	g->opts.processes = 2;
	CU_OK(rig_open(g, &e), &e);
	rig_epoch(g, 2);
	rig_add(g, 2, "INBOX", TEXT);
	rig_turn(g);
	power_loss();
	CU_OK(store_recover_all(&g->opts, note, &told, &e), &e);
	CU_EQ_INT(told, 2);
	/* One process now serves all, from views alone. */
	g->opts.process = 0;
	g->opts.processes = 1;
	CU_OK(rig_open(g, &e), &e);
	for (unsigned i = 0; i < 3; i++) {
		struct account *a = rig_account(g, i);

		CU_NEED(a != NULL);
		CU_EQ_U64(account_end(a).seq, 2);
		CU_OK(store_publish(g->store, a, 2, &e), &e);
		CU_EQ_INT(mailbox_messages(account_mailbox(
				  a, SLICE_LIT("INBOX"))), 1);
	}
	rig_fini(g);
}

/* A checkpoint of account 0 never ends; in the next life only account 1 moves
 * the mark past it. */
static void try_unended(size_t lost)
{
	struct rig *x = NEW(struct rig);
	struct err e = ERR_NONE;
	struct account *a;
	struct body b;

	rig_fork(x, g, simdisk_clone(g->disk));
	simdisk_power_loss(x->disk, (struct simdisk_keep){KEEP_ALL_BUT, lost,
							  0});
	simdisk_revive(x->disk);
	CU_OK(rig_open(x, &e), &e);
	x->acct[0].wanted = false;
	for (int i = 0; i < 3; i++)
		rig_noop(x, 1);
	rig_turn(x);
	rig_publish_all(x);
	rig_checkpoint(x);
	rig_turn(x);
	a = rig_account(x, 0);
	CU_NEED(a != NULL);
	rig_publish(x, 0, account_end(a).seq);
	CU_CLAIM(mailbox_body_open(account_mailbox(a, SLICE_LIT("INBOX")), 0,
				   &b, &e) == 0, "without %zu: %s", lost, e.op);
	mailbox_body_close(account_mailbox(a, SLICE_LIT("INBOX")), &b);
	rig_fini(x);
	free(x);
}

static void unended_checkpoints_never_count(void)
{
	size_t n;

	begin();
	rig_epoch(g, 0);
	rig_epoch(g, 1);
	rig_turn(g);
	rig_publish_all(g);
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_publish_all(g);		/* leaves no trace in the journal */
	rig_noop(g, 1);
	rig_turn(g);
	simdisk_set_hang(g->disk, true);
	rig_checkpoint(g);
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	n = simdisk_pending(g->disk);
	CU_CLAIM(n > 4, "only %zu pending", n);
	for (size_t i = 0; i < n; i++)
		try_unended(i);
	rig_fini(g);
}

static void recovery_of_nothing_is_fine(void)
{
	struct err e = ERR_NONE;

	rig_init(g, 9, 256 * 1024);
	CU_OK(store_recover_all(&g->opts, NULL, NULL, &e), &e);
	CU_OK(rig_open(g, &e), &e);
	rig_fini(g);
}

static void a_damaged_synced_batch_is_corruption(void)
{
	struct err e = ERR_NONE;

	begin();
	fill(1);
	rig_noop(g, 0);
	rig_turn(g);
	power_loss();
	CU_EQ_INT(simdisk_flip(g->disk, "/state/journal/0", 4096 + 100, 1), 0);
	CU_EQ_INT(rig_open(g, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "/state/journal/0") != NULL, "%s", e.op);
	rig_fini(g);
}

static void a_lost_journal_is_not_started_anew(void)
{
	struct err e = ERR_NONE;

	begin();
	fill(1);
	rig_close(g);
	g->fs->ops->unlink(g->fs, "/state/journal/0");
	CU_EQ_INT(rig_open(g, &e), E_CORRUPT);
	CU_EQ_INT(rig_open(g, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "0.mark") != NULL, "%s", e.op);
	rig_fini(g);
}

static void a_corrupt_journal_can_be_set_aside(void)
{
	struct journal_id before, after;
	struct err e = ERR_NONE;
	struct account *a;

	begin();
	fill(1);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	store_journals(g->store, &before);
	rig_noop(g, 0);
	rig_turn(g);
	rig_noop(g, 0);
	rig_turn(g);
	power_loss();
	/* The batch of the first record after the mark. */
	for (uint64_t at = 4096; at < 10 * 4096; at += 4096)
		simdisk_flip(g->disk, "/state/journal/0", at + 20, 0);
	CU_EQ_INT(simdisk_flip(g->disk, "/state/journal/0", 4 * 4096 + 20, 0),
		  0);
	CU_EQ_INT(rig_open(g, &e), E_CORRUPT);
	CU_OK(store_set_aside(&g->opts, 0, &e), &e);
	e = ERR_NONE;
	CU_OK(rig_open(g, &e), &e);
	store_journals(g->store, &after);
	CU_CLAIM(after.id != before.id, "the same journal");
	a = rig_account(g, 0);
	CU_NEED(a != NULL);
	CU_EQ_U64(account_end(a).seq, 2);	/* as the last mark left it */
	rig_fini(g);
}

static void count_text(void *arg, const char *text)
{
	if (strstr(text, "set aside"))
		++*(unsigned *)arg;
}

/* Every batch since the mark but one is broken. */
static void break_journal(void)
{
	for (uint64_t at = 4096; at < 10 * 4096; at += 4096)
		simdisk_flip(g->disk, "/state/journal/0", at + 20, 0);
	CU_EQ_INT(simdisk_flip(g->disk, "/state/journal/0", 4 * 4096 + 20, 0),
		  0);
}

static void refused_without_the_operators_word(unsigned *told)
{
	struct err e = ERR_NONE;

	CU_EQ_INT(store_recover_all(&g->opts, count_text, told, &e), E_CORRUPT);
	CU_EQ_INT(*told, 0);
	g->opts.accept_loss = true;
	e = ERR_NONE;
	CU_OK(store_recover_all(&g->opts, count_text, told, &e), &e);
	CU_EQ_INT(*told, 1);
	/* There is nothing more to lose the next time. */
	CU_OK(store_recover_all(&g->opts, count_text, told, &e), &e);
	CU_EQ_INT(*told, 1);
	CU_OK(rig_open(g, &e), &e);
}

static void a_corrupt_journal_is_left_with_the_operators_word(void)
{
	struct err e = ERR_NONE;
	unsigned told = 0;

	begin();
	fill(1);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	for (int n = 0; n < 4; n++) {
		rig_noop(g, 0);
		rig_turn(g);
	}
	power_loss();
	break_journal();
	refused_without_the_operators_word(&told);
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

/* What the log has beyond the last checkpoint was durable: it is used. */
static void a_log_ahead_of_a_lost_journal_is_used(void)
{
	struct err e = ERR_NONE;
	unsigned told = 0;

	begin();
	fill(1);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	for (int n = 0; n < 4; n++) {
		rig_noop(g, 0);
		rig_turn(g);
	}
	CU_OK(alog_flush(rig_account(g, 0)->log, &e), &e);
	rig_die(g);
	break_journal();
	refused_without_the_operators_word(&told);
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 6);
	CU_EQ_INT(g->news[STORE_HEALED], 1);
	rig_fini(g);
}

static void a_lost_journal_is_left_with_the_operators_word(void)
{
	struct err e = ERR_NONE;
	unsigned told = 0;

	begin();
	fill(1);
	rig_close(g);
	g->fs->ops->unlink(g->fs, "/state/journal/0");
	g->opts.accept_loss = true;
	CU_OK(store_recover_all(&g->opts, count_text, &told, &e), &e);
	CU_EQ_INT(told, 1);
	CU_OK(rig_open(g, &e), &e);
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

static void a_damaged_mark_is_corruption(void)
{
	struct err e = ERR_NONE;

	begin();
	fill(1);
	rig_close(g);
	CU_EQ_INT(simdisk_flip(g->disk, "/state/journal/0.mark", 30, 0), 0);
	CU_EQ_INT(rig_open(g, &e), E_CORRUPT);
	rig_fini(g);
}

static void a_damaged_snapshot_is_not_an_empty_account(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin();
	fill(2);
	rig_close(g);
	CU_EQ_INT(simdisk_flip(g->disk, "/mail/user0/.duet/state/snap/snap.1",
			       90, 0), 0);
	CU_OK(rig_open(g, &e), &e);
	/* The log is damaged too: it cannot be made again from there. */
	CU_EQ_INT(simdisk_flip(g->disk, "/mail/user0/.duet/state/log/00000001",
			       70, 0), 0);
	CU_EQ_INT(store_account_open(g->store, g->acct[0].id, NULL, NULL, false,
				     &a, &e), E_CORRUPT);
	CU_CLAIM(fsio_exists(g->fs, "/mail/user0/.duet/state/log/00000001"),
		 "the log was cut away");
	/* Nobody else suffers. */
	CU_CLAIM(rig_account(g, 1) != NULL, "another account");
	rig_fini(g);
}

static void one_process_at_a_time(void)
{
	struct store *second = NULL;
	struct err e = ERR_NONE;

	begin();
	CU_EQ_INT(store_open(&g->opts, &second, &e), E_TEMP);
	CU_CLAIM(strstr(e.op, "locked") != NULL, "%s", e.op);
	rig_fini(g);
}

static void replay_fails_cleanly_at_any_failing_call(void)
{
	struct err e = ERR_NONE;
	unsigned failed = 0;

	begin();
	fill(2);
	rig_checkpoint(g);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	power_loss();
	for (uint64_t n = 1; n < 200; n++) {
		struct simdisk *copy = simdisk_clone(g->disk);
		struct rig *x = NEW(struct rig);

		rig_fork(x, g, copy);
		simdisk_fail(copy, ~0u, NULL, n, 1, EIO);
		e = ERR_NONE;
		if (rig_open(x, &e) < 0) {
			failed++;
			CU_CLAIM(e.code < 0 && e.op[0], "no error text");
			CU_OK(rig_open(x, &e), &e);
		} else if (map_size(x->store->parked) > 0) {
			failed++;
		}
		simdisk_fail(copy, 0, NULL, 0, 0, 0);
		CU_NEED(x->store && rig_account(x, 0));
		CU_EQ_U64(account_end(rig_account(x, 0)).seq, 3);
		rig_fini(x);
		free(x);
	}
	CU_CLAIM(failed > 20, "only %u failures", failed);
	rig_fini(g);
}

CU_TESTS(CU_CASE(all_journals_are_replayed_whatever_their_number),
	 CU_CASE(unended_checkpoints_never_count),
	 CU_CASE(recovery_of_nothing_is_fine),
	 CU_CASE(a_damaged_synced_batch_is_corruption),
	 CU_CASE(a_lost_journal_is_not_started_anew),
	 CU_CASE(a_corrupt_journal_can_be_set_aside),
	 CU_CASE(a_corrupt_journal_is_left_with_the_operators_word),
	 CU_CASE(a_log_ahead_of_a_lost_journal_is_used),
	 CU_CASE(a_lost_journal_is_left_with_the_operators_word),
	 CU_CASE(a_damaged_mark_is_corruption),
	 CU_CASE(a_damaged_snapshot_is_not_an_empty_account),
	 CU_CASE(one_process_at_a_time),
	 CU_CASE(replay_fails_cleanly_at_any_failing_call))
