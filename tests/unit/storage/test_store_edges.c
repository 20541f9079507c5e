/* The store at its edges: work that overlaps, disks that are full or damaged,
 * steps that a crash leaves half done. */

#include "tests/lib/cu.h"

#include "node/base/digest.h"
#include "storage/view.h"
#include "tests/lib/store_rig.h"

#include <errno.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

static void begin(uint64_t journal)
{
	struct err e = ERR_NONE;

	rig_init(g, 11, journal);
	CU_OK(rig_open(g, &e), &e);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	rig_publish_all(g);
}

static void end_checkpoint(void)
{
	rig_checkpoint(g);
	rig_turn(g);
}

static void reopen(void)
{
	struct err e = ERR_NONE;

	rig_die(g);
	CU_OK(rig_open(g, &e), &e);
}

/* --- a checkpoint that begins inside a durable callback ---------------------- */

static void checkpoint_at_once(void *arg, struct account *a,
			       struct position pos)
{
	(void)a;
	(void)pos;
	store_checkpoint(arg, NULL, NULL);
}

static void a_mark_outlives_a_checkpoint_begun_by_its_own_batch(void)
{
	enum lone_reason reason;
	uint64_t time;

	begin(256 * 1024);
	rig_mark(g, 0, MARK_SYNC);
	rig_turn(g);
	end_checkpoint();
	store_on_durable(g->store, checkpoint_at_once, g->store);
	rig_noop(g, 0);
	rig_mark(g, 0, MARK_LONE);
	rig_turn(g);
	CU_EQ_INT(g->acct[0].mark_durable, MARK_LONE);
	reopen();
	CU_EQ_INT(store_last_mark(rig_account(g, 0), &reason, &time),
		  MARK_LONE);
	CU_EQ_INT(reason, LONE_TIMEOUT);
	rig_fini(g);
}

static void a_cut_outlives_a_checkpoint_begun_by_its_own_batch(void)
{
	begin(256 * 1024);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	end_checkpoint();
	store_on_durable(g->store, checkpoint_at_once, g->store);
	rig_epoch(g, 1);
	rig_cut(g, 0, 2);
	rig_turn(g);
	CU_CLAIM(g->acct[0].cut_done, "the cut is not done");
	reopen();
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

/* --- seeds ---------------------------------------------------------------------- */

static void on_reset(void *arg, struct account *a, int result)
{
	(void)a;
	*(int *)arg = result;
}

static void snapshot_of(struct buf *b)
{
	struct err e = ERR_NONE;

	buf_init(b, 1 << 20);
	CU_OK(store_snapshot(g->store, rig_account(g, 0), b, &e), &e);
}

static bool ignore(void *arg, const uint8_t hash[32], uint64_t size)
{
	(void)arg;
	(void)hash;
	(void)size;
	return true;
}

static void a_seed_that_was_installed_leaves_the_next_one_alone(void)
{
	struct err e = ERR_NONE;
	int result = 1;
	struct buf b;

	begin(256 * 1024);
	snapshot_of(&b);
	store_seed_install(g->store, rig_account(g, 0), buf_all(&b), on_reset,
			   &result);
	rig_turn(g);
	CU_EQ_INT(result, 0);
	/* The next one waits for its bodies when the process dies. */
	CU_OK(store_seed_missing(g->store, rig_account(g, 0), buf_all(&b),
				 ignore, NULL, &e), &e);
	reopen();
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	/* Or in the middle of building its tree. */
	fsio_remove_tree(g->fs, RIG_MAIL "/user0/.duet/seed.tmp");
	fsio_mkdirs(g->fs, RIG_MAIL "/user0/.duet/seed.tmp", 0700);
	reopen();
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	buf_fini(&b);
	rig_fini(g);
}

static void a_seed_is_not_built_over_one_being_installed(void)
{
	struct err e = ERR_NONE;
	int result = 1;
	struct buf b;

	begin(256 * 1024);
	snapshot_of(&b);
	store_seed_install(g->store, rig_account(g, 0), buf_all(&b), on_reset,
			   &result);
	CU_EQ_INT(store_seed_missing(g->store, rig_account(g, 0), buf_all(&b),
				     ignore, NULL, &e), E_TEMP);
	rig_turn(g);
	CU_EQ_INT(result, 0);
	buf_fini(&b);
	rig_fini(g);
}

struct watcher {
	struct mailbox_watch watch;
	bool told;
};

static void note(struct mailbox_watch *w)
{
	CONTAINER_OF(w, struct watcher, watch)->told = true;
}

static void a_session_outlives_the_tree_a_seed_replaced(void)
{
	struct watcher w = {.watch = {.changed = note}};
	struct view v, again;
	struct mailbox *m;
	int result = 1;
	struct buf b;

	begin(256 * 1024);
	m = account_mailbox(rig_account(g, 0), SLICE_LIT("INBOX"));
	view_init(&v, m);
	view_init(&again, m);
	list_init(&w.watch.node);
	mailbox_watch_add(m, &w.watch);
	snapshot_of(&b);
	store_seed_install(g->store, rig_account(g, 0), buf_all(&b), on_reset,
			   &result);
	rig_turn(g);
	CU_EQ_INT(result, 0);
	CU_CLAIM(mailbox_gone(m) && w.told, "not told");
	CU_EQ_INT(view_count(&v), 1);
	CU_CLAIM(account_mailbox(rig_account(g, 0), SLICE_LIT("INBOX")) != m,
		 "the old mailbox is still served");
	mailbox_watch_remove(&w.watch);
	view_fini(&v);
	CU_EQ_INT(view_count(&again), 1);
	view_fini(&again);
	buf_fini(&b);
	rig_fini(g);
}

/* The checkpoint wrote the views of the tree that went. */
static void a_checkpoint_does_not_vouch_for_a_tree_seeded_meanwhile(void)
{
	int result = 1;
	struct buf b;

	begin(256 * 1024);
	snapshot_of(&b);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	rig_publish_all(g);
	store_seed_install(g->store, rig_account(g, 0), buf_all(&b), on_reset,
			   &result);
	simdisk_complete(g->disk, 1);		/* of the seed's tree */
	rig_checkpoint(g);
	simdisk_complete(g->disk, 1);		/* of the RESET */
	CU_EQ_INT(result, 0);
	rig_turn(g);
	CU_EQ_U64(account_published(rig_account(g, 0)).seq, 2);
	CU_EQ_U64(rig_account(g, 0)->snap_seq, 2);
	buf_fini(&b);
	rig_fini(g);
}

/* --- sick disks --------------------------------------------------------------------- */

static void a_journal_full_of_marks_is_recovered_more_than_once(void)
{
	begin(64 * 1024);
	end_checkpoint();
	simdisk_fail(g->disk, SIM_RENAME, "0.mark", 1, 1000, ENOSPC);
	for (int i = 0; i < 100 && !g->failed; i++) {
		rig_mark(g, 0, i % 2 ? MARK_SYNC : MARK_LONE);
		if (!g->failed)
			rig_turn(g);
	}
	CU_CLAIM(g->failed, "the journal is not full");
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	reopen();
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	reopen();
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

static void a_damaged_snapshot_does_not_make_an_account_empty(void)
{
	static const char *const log = RIG_MAIL
		"/user0/.duet/state/log/00000001";
	struct err e = ERR_NONE;
	struct rig_account *x;
	struct account *a = NULL;

	begin(256 * 1024);
	end_checkpoint();
	rig_mark(g, 0, MARK_LONE);	/* the journal names it, without frames */
	rig_turn(g);
	CU_EQ_INT(simdisk_flip(g->disk, RIG_MAIL "/user0/.duet/state/snap/"
			       "snap.1", 100, 1), 0);
	rig_die(g);
	CU_OK(rig_open(g, &e), &e);
	x = &g->acct[0];
	/* Its log has all of it: made again from there. */
	CU_OK(store_account_open(g->store, x->id, x->name, x->root, false,
				 &a, &e), &e);
	CU_NEED(a != NULL);
	CU_EQ_U64(account_end(a).seq, 2);
	CU_EQ_INT(g->news[STORE_HEALED], 1);
	CU_CLAIM(fsio_exists(g->fs, log), "the log is gone");
	rig_fini(g);
}

/* Publishing stopped in the middle of a record: what is in memory is no state
 * that could be saved. */
static void a_half_applied_record_is_not_checkpointed(void)
{
	struct op op = {.kind = OP_MBOX_RENUMBER,
			.mbox_renumber = {rig_mbox(0, "INBOX"), 1600000100}};
	struct record r = {.ops = &op, .n_ops = 1};
	struct err e = ERR_NONE;
	struct account *a;

	begin(256 * 1024);
	end_checkpoint();
	a = rig_account(g, 0);
	r.modseq = (uint64_t)a->end.epoch << 36 | (account_counter(a) + 1);
	rig_append(g, 0, &r, NULL);
	rig_turn(g);
	simdisk_fail(g->disk, SIM_MKDIR, "tmp/m.", 1, 1, EIO);
	CU_CLAIM(store_publish(g->store, a, 3, &e) < 0, "no error was met");
	end_checkpoint();
	reopen();
	a = rig_account(g, 0);
	CU_NEED(a != NULL);
	e = ERR_NONE;
	CU_OK(store_publish(g->store, a, 3, &e), &e);
	CU_EQ_U64(mailbox_uidvalidity(account_mailbox(a, SLICE_LIT("INBOX"))),
		  1600000100);
	rig_fini(g);
}

static void sums_are_right_after_a_checkpoint_amid_a_replay(void)
{
	struct account *a;
	struct mailbox *m;

	begin(256 * 1024);
	end_checkpoint();
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_noop(g, 0);
	rig_turn(g);
	reopen();
	/* The replay stops short of its end, as while the partner is awaited. */
	a = rig_account(g, 0);
	rig_publish(g, 0, a->end.seq - 1);
	CU_CLAIM(a->replaying, "the replay is over already");
	end_checkpoint();
	reopen();
	a = rig_account(g, 0);
	rig_publish(g, 0, a->end.seq);
	m = account_mailbox(a, SLICE_LIT("INBOX"));
	CU_EQ_U64(mailbox_messages(m), mailbox_records(m));
	CU_CLAIM(mailbox_messages(m) >= 2, "the messages are gone");
	CU_EQ_U64(mailbox_unseen(m), mailbox_records(m));
	rig_fini(g);
}

/* --- bodies that wait ---------------------------------------------------------------- */

static void large_inline_bodies_outlive_their_batch(void)
{
	size_t n = 1536 * 1024;
	char *text = xmalloc(n + 1);
	struct err e = ERR_NONE;
	struct mailbox *m;
	struct body b = {0};

	memset(text, 'x', n);
	text[n] = '\0';
	begin(64 << 20);
	rig_add(g, 0, "INBOX", text);
	rig_turn(g);
	end_checkpoint();
	reopen();
	rig_publish(g, 0, 3);
	m = account_mailbox(rig_account(g, 0), SLICE_LIT("INBOX"));
	CU_OK(mailbox_body_open(m, 1, &b, &e), &e);
	CU_EQ_U64(b.data.n, n);
	mailbox_body_close(m, &b);
	free(text);
	rig_fini(g);
}

/* A body that lies beside the log under the number of a frame that was cut. */
static void a_frame_gets_no_body_of_one_that_was_cut(void)
{
	static const char *const spilled = RIG_MAIL "/user0/.duet/tmp/b.3.0";
	struct err e = ERR_NONE;
	struct mailbox *m;
	struct body b = {0};
	int fd;

	begin(256 * 1024);
	rig_add(g, 0, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	end_checkpoint();
	rig_die(g);
	fd = g->fs->ops->open(g->fs, spilled, 2 /* O_RDWR */, 0);
	CU_CLAIM(fd >= 0, "%s is not there", spilled);
	CU_EQ_INT(fsio_pwrite_all(g->fs, fd, "subject", 7, 0), 0);
	g->fs->ops->close(g->fs, fd);
	CU_OK(rig_open(g, &e), &e);
	rig_publish(g, 0, 3);
	m = account_mailbox(rig_account(g, 0), SLICE_LIT("INBOX"));
	/* Missing, so that it is asked from the partner: not another one. */
	CU_EQ_INT(mailbox_body_open(m, 1, &b, &e), E_GONE);
	rig_fini(g);
}

CU_TESTS(CU_CASE(a_mark_outlives_a_checkpoint_begun_by_its_own_batch),
	 CU_CASE(a_cut_outlives_a_checkpoint_begun_by_its_own_batch),
	 CU_CASE(a_seed_that_was_installed_leaves_the_next_one_alone),
	 CU_CASE(a_seed_is_not_built_over_one_being_installed),
	 CU_CASE(a_session_outlives_the_tree_a_seed_replaced),
	 CU_CASE(a_checkpoint_does_not_vouch_for_a_tree_seeded_meanwhile),
	 CU_CASE(a_journal_full_of_marks_is_recovered_more_than_once),
	 CU_CASE(a_damaged_snapshot_does_not_make_an_account_empty),
	 CU_CASE(a_half_applied_record_is_not_checkpointed),
	 CU_CASE(sums_are_right_after_a_checkpoint_amid_a_replay),
	 CU_CASE(large_inline_bodies_outlive_their_batch),
	 CU_CASE(a_frame_gets_no_body_of_one_that_was_cut))
