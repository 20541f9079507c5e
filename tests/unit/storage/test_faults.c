/*
 * Sick disks: a full, read-only or failing one at each call in turn.  What was
 * reported durable stays, nothing that failed is taken for done, other accounts
 * go on, and when the fault is gone the store goes on or has said that only a
 * new process can.
 */

#include "tests/lib/cu.h"

#include "tests/lib/crash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"
#define ANY (SIM_CHANGES | SIM_SYNCS)

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

static void begin(void)
{
	struct err e = ERR_NONE;

	rig_init(g, 3, 256 * 1024);
	CU_OK(rig_open(g, &e), &e);
	for (unsigned i = 0; i < 2; i++) {
		rig_epoch(g, i);
		rig_add(g, i, "INBOX", TEXT);
	}
	rig_turn(g);
	rig_publish_all(g);
}

/* --- by name -------------------------------------------------------------------- */

/* Durable and not shown: it waits, and nobody is parked. */
static void a_full_disk_delays_publishing_and_no_more(void)
{
	struct account *a;
	struct err e = ERR_NONE;

	begin();
	a = rig_account(g, 0);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_add(g, 1, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	for (int error = 0; error < 3; error++) {
		static const int errors[] = {ENOSPC, EDQUOT, EROFS};

		simdisk_fail(g->disk, SIM_CREATE | SIM_PWRITE, "/user0/", 1,
			     1u << 30, errors[error]);
		CU_EQ_INT(store_publish(g->store, a, 3, &e),
			  errors[error] == EROFS ? E_TEMP : E_NOSPACE);
		CU_EQ_U64(account_published(a).seq, 2);
	}
	CU_EQ_INT(mailbox_messages(account_mailbox(a, SLICE_LIT("INBOX"))), 1);
	rig_publish(g, 1, 3);
	CU_EQ_U64(account_published(rig_account(g, 1)).seq, 3);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	CU_OK(store_publish(g->store, a, 3, &e), &e);
	CU_EQ_INT(mailbox_messages(account_mailbox(a, SLICE_LIT("INBOX"))), 2);
	CU_CLAIM(!g->failed, "%s", g->failed_why);
	rig_fini(g);
}

/* Also the journal may find no room: on a file system that copies on write. */
static void a_batch_without_room_is_written_when_there_is(void)
{
	begin();
	simdisk_fail(g->disk, SIM_PWRITE, "/journal/0", 1, 1u << 30, ENOSPC);
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT "2\r\n"), 0);
	rig_turn(g);
	CU_EQ_INT(rig_add(g, 1, "INBOX", TEXT "2\r\n"), 0);
	rig_turn(g);
	CU_CLAIM(!g->failed, "%s", g->failed_why);
	CU_EQ_U64(account_durable(rig_account(g, 0)).seq, 2);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	rig_turn(g);
	CU_EQ_U64(account_durable(rig_account(g, 0)).seq, 3);
	CU_EQ_U64(account_durable(rig_account(g, 1)).seq, 3);
	rig_publish_all(g);
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	simdisk_power_loss(g->disk, (struct simdisk_keep){.kind = KEEP_NONE});
	simdisk_revive(g->disk);
	CU_EQ_INT(crash_judge(g, g, "after a batch without room"), 0);
	rig_fini(g);
}

/* Mail is refused where the room is short, and taken elsewhere. */
static void a_full_file_system_refuses_its_own_mail_only(void)
{
	struct err e = ERR_NONE;

	begin();
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	simdisk_fail(g->disk, SIM_CREATE, "/user0/", 1, 1u << 30, ENOSPC);
	CU_EQ_INT(store_publish(g->store, rig_account(g, 0), 3, &e), E_NOSPACE);
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT "3\r\n"), E_NOSPACE);
	CU_EQ_INT(rig_add(g, 1, "INBOX", TEXT "3\r\n"), 0);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	store_periodic(g->store);
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT "3\r\n"), 0);
	rig_turn(g);
	rig_publish_all(g);
	rig_fini(g);
}

/* The next sync would say "fine" about pages that are gone. */
static void a_failed_sync_is_final_for_the_process(void)
{
	static const unsigned calls[] = {SIM_FDATASYNC, SIM_SYNCFS};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		begin();
		simdisk_fail(g->disk, calls[i], NULL, 1, 1, EIO);
		rig_add(g, 0, "INBOX", TEXT "2\r\n");
		rig_turn(g);
		rig_checkpoint(g);
		rig_turn(g);
		CU_CLAIM(g->failed, "it goes on after a failed sync");
		CU_CLAIM(strstr(g->failed_why, "nothing more is written") !=
				 NULL, "%s", g->failed_why);
		CU_CLAIM(rig_add(g, 1, "INBOX", TEXT "3\r\n") < 0,
			 "it takes mail after a failed sync");
		rig_fini(g);
	}
}

/* The event loop waits for no disk in the ordinary life of an account. */
static void a_new_log_segment_costs_no_sync_of_its_own(void)
{
	struct simdisk_counts before, after;

	rig_init(g, 3, 4 << 20);
	g->opts.log_segment = 4096;
	struct err e = ERR_NONE;
	CU_OK(rig_open(g, &e), &e);
	rig_epoch(g, 0);
	rig_turn(g);
	rig_publish_all(g);
	for (int n = 0; n < 200; n++)
		rig_noop(g, 0);
	rig_turn(g);
	before = simdisk_counts(g->disk);
	CU_OK(alog_flush(rig_account(g, 0)->log, &e), &e);
	after = simdisk_counts(g->disk);
	CU_CLAIM(after.writes - before.writes >= 4, "one segment only");
	CU_EQ_U64(after.syncs - before.syncs, 0);
	rig_fini(g);
}

/* Nor for the first mail of a user: the journal knows how to make it again. */
static void a_new_account_costs_no_sync_of_its_own(void)
{
	struct simdisk_counts before, after;
	struct err e = ERR_NONE;

	rig_init(g, 3, 4 << 20);
	CU_OK(rig_open(g, &e), &e);
	before = simdisk_counts(g->disk);
	CU_CLAIM(rig_account(g, 0) != NULL, "not made");
	after = simdisk_counts(g->disk);
	CU_EQ_U64(after.syncs - before.syncs, 0);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	rig_publish_all(g);
	after = simdisk_counts(g->disk);
	CU_EQ_U64(after.syncs - before.syncs, 1);
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	simdisk_power_loss(g->disk, (struct simdisk_keep){.kind = KEEP_NONE});
	simdisk_revive(g->disk);
	CU_CLAIM(!fsio_exists(g->fs, "/mail/user0"), "its tree was durable");
	CU_EQ_INT(crash_judge(g, g, "after a new account"), 0);
	rig_fini(g);
}

static void on_cut(void *arg, struct account *a, int result)
{
	(void)a;
	*(int *)arg = result;
}

/* The tail is in memory and in the log: it goes when it is saved. */
static void a_cut_without_room_for_its_tail_waits(void)
{
	static const int errors[] = {ENOSPC, EDQUOT, EIO, EROFS};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct account *a;
		int first = 1, second = 1;

		begin();
		a = rig_account(g, 0);
		rig_add(g, 0, "INBOX", TEXT "2\r\n");
		rig_add(g, 0, "INBOX", TEXT "3\r\n");
		rig_turn(g);
		g->acct[0].cut_to = 2;
		simdisk_fail(g->disk, SIM_CREATE | SIM_PWRITE, "/orphans/", 1,
			     1u << 30, errors[i]);
		store_cut(g->store, a, 3, on_cut, &first);
		rig_turn(g);
		CU_CLAIM(!g->failed, "%s", g->failed_why);
		CU_EQ_INT(first, 1);
		CU_EQ_INT(g->news[STORE_WAITS], 1);
		CU_EQ_U64(account_end(a).seq, 4);
		/* It takes nothing meanwhile, and others go on. */
		CU_CLAIM(rig_add(g, 0, "INBOX", TEXT "4\r\n") < 0, "taken");
		CU_EQ_INT(rig_add(g, 1, "INBOX", TEXT "4\r\n"), 0);
		rig_checkpoint(g);
		rig_turn(g);
		store_cut(g->store, a, 2, on_cut, &second);
		simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
		rig_later(g, 2 * USEC_PER_SEC);
		rig_turn(g);
		CU_EQ_INT(first, 0);
		CU_EQ_INT(second, 0);
		CU_EQ_U64(account_end(a).seq, 2);
		g->acct[0].cut_done = true;
		g->acct[0].accepted = g->acct[0].durable.seq = 2;
		g->acct[0].durable = account_durable(a);
		CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT "5\r\n"), 0);
		rig_turn(g);
		rig_publish_all(g);
		simdisk_kill(g->disk);
		store_drop(g->store);
		g->store = NULL;
		simdisk_power_loss(g->disk,
				   (struct simdisk_keep){.kind = KEEP_NONE});
		simdisk_revive(g->disk);
		CU_EQ_INT(crash_judge(g, g, "after a cut that waited"), 0);
		rig_fini(g);
	}
}

/* The old numbering is there and whole until the new one is. */
static void a_renumbering_without_room_waits(void)
{
	static const int errors[] = {ENOSPC, EDQUOT, EROFS};
	static const unsigned calls[] = {SIM_CREATE, SIM_PWRITE, SIM_MKDIR,
					 SIM_LINK, SIM_ALLOCATE};
	struct err e = ERR_NONE;
	unsigned waited = 0;

	for (size_t k = 0; k < ARRAY_LEN(calls); k++) {
		for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
			struct account *a;
			struct mailbox *m;
			struct body body;
			uint8_t is[16], sum[16];
			int r;

			begin();
			rig_add(g, 0, "INBOX", TEXT "2\r\n");
			rig_turn(g);
			rig_publish_all(g);
			rig_expunge(g, 0, "INBOX", 1);
			rig_turn(g);
			rig_publish_all(g);
			a = rig_account(g, 0);
			CU_EQ_INT(rig_renumber(g, 0, "INBOX"), 0);
			rig_turn(g);
			simdisk_fail(g->disk, calls[k], "/user0/", 1, 1u << 30,
				     errors[i]);
			r = store_publish(g->store, a, account_durable(a).seq,
					  &e);
			waited += r < 0;
			CU_CLAIM(r == 0 || r == E_NOSPACE || r == E_TEMP,
				 "%s", e.op);
			if (r < 0)
				CU_EQ_U64(account_published(a).seq,
					  account_durable(a).seq - 1);
			CU_CLAIM(!state_broken(a->state), "half applied");
			simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
			CU_OK(store_publish(g->store, a,
					    account_durable(a).seq, &e), &e);
			m = account_mailbox(a, SLICE_LIT("INBOX"));
			CU_EQ_INT(mailbox_messages(m), 1);
			CU_EQ_INT(mailbox_rec(m, 0)->uid, 1);
			CU_OK(mailbox_body_open(m, 0, &body, &e), &e);
			mailbox_body_close(m, &body);
			account_digest(a, is);
			CU_OK(state_digest_recomputed(a->state, sum, &e), &e);
			CU_EQ_MEM(is, sum, 16);
			CU_CLAIM(!g->failed, "%s", g->failed_why);
			rig_fini(g);
		}
	}
	CU_CLAIM(waited >= 9, "only %u waited", waited);
}

/* A file system on which a file can have no second name. */
static void a_renumbering_copies_where_links_end(void)
{
	static const int errors[] = {EMLINK, EPERM};
	struct err e = ERR_NONE;

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct mailbox *m;
		struct body body;

		begin();
		CU_EQ_INT(rig_renumber(g, 0, "INBOX"), 0);
		rig_turn(g);
		simdisk_fail(g->disk, SIM_LINK, "/user0/", 1, 1u << 30,
			     errors[i]);
		rig_publish_all(g);
		simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
		m = account_mailbox(rig_account(g, 0), SLICE_LIT("INBOX"));
		CU_OK(mailbox_body_open(m, 0, &body, &e), &e);
		mailbox_body_close(m, &body);
		rig_fini(g);
	}
}

/* --- at every call ----------------------------------------------------------------- */

static void step(struct rig *r)
{
	rig_turn(r);
	rig_publish_all(r);
}

static void run_mail(struct rig *r)
{
	bool added, made, renamed = false;
	struct err e = ERR_NONE;

	if (!r->store && rig_open(r, &e) < 0)
		return;
	rig_epoch(r, 0);
	rig_epoch(r, 1);
	step(r);
	added = rig_add(r, 0, "INBOX", TEXT "1\r\n") == 0;
	rig_add_large(r, 1, "INBOX", 100000);
	step(r);
	/* What was refused is not there: no record may speak of it. */
	if (added)
		rig_flags(r, 0, "INBOX", 1, MSG_SEEN);
	rig_mark(r, 0, MARK_LONE);
	step(r);
	rig_checkpoint(r);
	step(r);
	made = rig_create(r, 0, "Work") == 0;
	step(r);
	if (made) {
		rig_copy(r, 0, "INBOX", 1, "Work", true);
		renamed = rig_rename(r, 0, "Work", "Play") == 0;
	}
	step(r);
	rig_add(r, 1, "INBOX", TEXT "2\r\n");
	step(r);
	if (renamed)
		rig_delete(r, 0, "Work", "Play");
	step(r);
	rig_checkpoint(r);
	step(r);
}

static void run_reset(struct rig *r)
{
	struct err e = ERR_NONE;

	if (!r->store && rig_open(r, &e) < 0)
		return;
	rig_epoch(r, 0);
	rig_epoch(r, 1);
	step(r);
	rig_add(r, 0, "INBOX", TEXT "1\r\n");
	rig_add(r, 1, "INBOX", TEXT "1\r\n");
	rig_turn(r);
	rig_publish(r, 0, 1);
	rig_cut(r, 0, 1);
	rig_turn(r);
	/* What found no room is tried again. */
	rig_later(r, 2 * USEC_PER_SEC);
	rig_turn(r);
	rig_checkpoint(r);
	step(r);
	rig_add(r, 0, "INBOX", TEXT "2\r\n");
	step(r);
}

struct loop_result {
	unsigned runs, hits, failures, ended;
};

/* One call fails, or all from there on until the fault is taken away. */
static void fault_at(const char *name, void (*run)(struct rig *), uint64_t k,
		     int error, bool lasting, struct loop_result *out)
{
	struct rig *r = xmalloc(sizeof(*r));
	char where[120];
	struct rig_account saved[RIG_ACCOUNTS];

	rig_init(r, 5, 256 * 1024);
	r->leftovers = true;
	simdisk_fail(r->disk, ANY, NULL, k, lasting ? 1u << 30 : 1, error);
	run(r);
	simdisk_fail(r->disk, 0, NULL, 0, 0, 0);
	/* It goes on where it is, or it has said that it cannot. */
	if (r->store && !r->failed) {
		rig_publish_all(r);
		for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
			struct account *a = r->acct[i].wanted ?
					    rig_account(r, i) : NULL;

			if (a && !account_quiet(a) && !r->failed)
				step(r);
			/* What failed is tried again with the next record. */
			if (a && account_end(a).seq > 0 && !r->failed)
				rig_noop(r, i);
		}
	}
	step(r);
	out->ended += r->failed;
	snprintf(where, sizeof(where), "%s, call %ju, %s%s", name,
		 (uintmax_t)k, err_name(-error), lasting ? ", lasting" : "");
	if (r->store) {
		simdisk_kill(r->disk);
		store_drop(r->store);
		r->store = NULL;
		if (k % 2)
			simdisk_power_loss(r->disk, (struct simdisk_keep){
				.kind = k % 4 == 1 ? KEEP_NONE : KEEP_RANDOM,
				.seed = k});
		simdisk_revive(r->disk);
	}
	memcpy(saved, r->acct, sizeof(saved));
	out->runs++;
	if (crash_judge(r, r, where)) {
		out->failures++;
		fprintf(stderr, "failed: %s\n", where);
	}
	rig_fini(r);
	free(r);
}

static void faults(const char *name, void (*run)(struct rig *))
{
	static const int errors[] = {ENOSPC, EIO, EROFS};
	struct loop_result out = {0};
	struct rig *r = xmalloc(sizeof(*r));
	uint64_t calls;

	cu_timeout(300);
	rig_init(r, 5, 256 * 1024);
	calls = simdisk_calls(r->disk);
	run(r);
	calls = simdisk_calls(r->disk) - calls;
	rig_fini(r);
	free(r);
	for (uint64_t k = 1; k <= calls; k++)
		for (size_t i = 0; i < ARRAY_LEN(errors); i++)
			for (int lasting = 0; lasting < 2; lasting++)
				fault_at(name, run, k, errors[i], lasting,
					 &out);
	printf("%s: %ju calls, %u faults, %u ended their process\n", name,
	       (uintmax_t)calls, out.runs, out.ended);
	CU_CLAIM(calls > 30 && out.runs >= 6 * calls, "nothing was tried");
	CU_EQ_INT(out.failures, 0);
}

static void run_renumber(struct rig *r)
{
	struct err e = ERR_NONE;

	if (!r->store && rig_open(r, &e) < 0)
		return;
	rig_epoch(r, 0);
	rig_epoch(r, 1);
	step(r);
	if (rig_add(r, 0, "INBOX", TEXT "1\r\n") == 0 &&
	    rig_add(r, 0, "INBOX", TEXT "2\r\n") == 0) {
		step(r);
		rig_checkpoint(r);
		step(r);
		rig_renumber(r, 0, "INBOX");
		step(r);
		rig_add(r, 0, "INBOX", TEXT "3\r\n");
	}
	step(r);
	rig_checkpoint(r);
	step(r);
}

static void faults_while_mail_comes(void) { faults("mail", run_mail); }
static void faults_around_a_cut(void) { faults("cut", run_reset); }
static void faults_around_a_renumbering(void)
{
	faults("renumber", run_renumber);
}

CU_TESTS(CU_CASE(a_full_disk_delays_publishing_and_no_more),
	 CU_CASE(a_batch_without_room_is_written_when_there_is),
	 CU_CASE(a_full_file_system_refuses_its_own_mail_only),
	 CU_CASE(a_failed_sync_is_final_for_the_process),
	 CU_CASE(a_new_log_segment_costs_no_sync_of_its_own),
	 CU_CASE(a_new_account_costs_no_sync_of_its_own),
	 CU_CASE(a_cut_without_room_for_its_tail_waits),
	 CU_CASE(a_renumbering_without_room_waits),
	 CU_CASE(a_renumbering_copies_where_links_end),
	 CU_CASE(faults_while_mail_comes),
	 CU_CASE(faults_around_a_cut),
	 CU_CASE(faults_around_a_renumbering))
