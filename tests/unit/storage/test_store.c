/* What the store promises (store.h), without crashes. */

#include "tests/lib/cu.h"

#include "node/base/digest.h"
#include "tests/lib/store_rig.h"

#include <errno.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

static void begin(uint64_t journal)
{
	struct err e = ERR_NONE;

	rig_init(g, 5, journal ? journal : 256 * 1024);
	CU_OK(rig_open(g, &e), &e);
}

static void all(void)
{
	rig_turn(g);
	rig_publish_all(g);
}

static void a_batch_serves_all_accounts(void)
{
	struct simdisk_counts before, after;

	begin(0);
	for (unsigned i = 0; i < 4; i++)
		rig_epoch(g, i);
	all();
	before = simdisk_counts(g->disk);
	for (unsigned i = 0; i < 4; i++)
		for (int k = 0; k < 5; k++)
			rig_add(g, i, "INBOX", TEXT);
	store_turn(g->store);
	after = simdisk_counts(g->disk);
	CU_EQ_U64(after.writes - before.writes, 1);
	CU_EQ_U64(after.syncs - before.syncs, 1);
	CU_EQ_U64(g->acct[0].durable.seq, 1);
	simdisk_complete(g->disk, 1);
	for (unsigned i = 0; i < 4; i++)
		CU_EQ_U64(g->acct[i].durable.seq, 6);
	rig_fini(g);
}

static void nothing_is_durable_before_its_sync(void)
{
	struct err e = ERR_NONE;
	struct account *a;

	begin(0);
	rig_epoch(g, 0);
	all();
	a = rig_account(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	CU_EQ_U64(account_end(a).seq, 2);
	CU_EQ_U64(account_durable(a).seq, 1);
	CU_EQ_INT(store_publish(g->store, a, 2, &e), E_INVALID);
	rig_turn(g);
	e = ERR_NONE;
	CU_OK(store_publish(g->store, a, 2, &e), &e);
	CU_EQ_INT(mailbox_messages(account_mailbox(a, SLICE_LIT("INBOX"))), 1);
	rig_fini(g);
}

struct got {
	uint64_t last;
	unsigned n, bodies;
};

static bool count(void *arg, const struct store_frame *f)
{
	struct got *x = arg;

	x->n++;
	x->last = f->pos.seq;
	for (size_t i = 0; f->bodies && i < f->bodies->n; i++)
		x->bodies += f->bodies->data[i].n == strlen(TEXT);
	return true;
}

static void read_gives_frames_wherever_they_are(void)
{
	struct err e = ERR_NONE;
	struct got x = {0};
	struct account *a;

	begin(0);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);	/* published and checkpointed */
	all();
	rig_checkpoint(g);
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT);	/* published, in the log's memory */
	all();
	rig_add(g, 0, "INBOX", TEXT);	/* durable */
	rig_turn(g);
	rig_add(g, 0, "INBOX", TEXT);	/* accepted */
	a = rig_account(g, 0);
	CU_OK(store_read(g->store, a, 0, 1 << 20, count, &x, &e), &e);
	CU_EQ_INT(x.n, 5);
	CU_EQ_INT(x.bodies, 4);
	CU_EQ_U64(x.last, 5);
	x = (struct got){0};
	CU_OK(store_read(g->store, a, 3, 1 << 20, count, &x, &e), &e);
	CU_EQ_INT(x.n, 2);
	x = (struct got){0};
	CU_OK(store_read(g->store, a, 0, 10, count, &x, &e), &e);
	CU_EQ_INT(x.n, 1);
	rig_fini(g);
}

/* Copies frames of account 0 here to the same account of another store. */
static bool feed(void *arg, const struct store_frame *f)
{
	struct rig *to = arg;
	struct account *a = rig_account(to, 0);
	struct err e = ERR_NONE;

	CU_OK(store_accept(to->store, a, f->bytes, f->bodies, NULL, &e), &e);
	return true;
}

static bool without_body(void *arg, const struct store_frame *f)
{
	struct rig *to = arg;
	uint8_t missing[32] = {0}, want[32];
	struct account *a = rig_account(to, 0);
	struct err e = ERR_NONE;

	sha256(slice_str(TEXT), want);
	CU_EQ_INT(store_accept(to->store, a, f->bytes, NULL, missing, &e),
		  E_NOTFOUND);
	CU_EQ_MEM(missing, want, 32);
	return false;
}

static void a_replica_accepts_only_what_continues(void)
{
	static struct rig other;
	struct err e = ERR_NONE;
	struct account *a, *b;
	uint8_t da[16], db[16];
	struct buf bytes;

	begin(0);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_add(g, 0, "INBOX", TEXT);
	all();
	rig_init(&other, 6, 256 * 1024);
	CU_OK(rig_open(&other, &e), &e);
	a = rig_account(g, 0);
	b = rig_account(&other, 0);
	CU_OK(store_read(g->store, a, 0, 1, feed, &other, &e), &e);
	CU_OK(store_read(g->store, a, 1, 1, without_body, &other, &e), &e);
	CU_OK(store_read(g->store, a, 1, 1 << 20, feed, &other, &e), &e);
	CU_CLAIM(position_eq(account_end(a), account_end(b)), "positions");
	rig_turn(&other);
	other.acct[0].accepted = 3;
	rig_publish_all(&other);
	account_digest(a, da);
	account_digest(b, db);
	CU_EQ_MEM(da, db, 16);
	/* Duplicate, gap, another branch. */
	buf_init(&bytes, 1 << 20);
	rig_noop(g, 0);
	struct pending_frame *p = CONTAINER_OF(a->pending.prev,
					       struct pending_frame, node);
	buf_slice(&bytes, p->bytes);
	CU_OK(store_accept(other.store, b, buf_all(&bytes), NULL, NULL, &e), &e);
	CU_EQ_INT(store_accept(other.store, b, buf_all(&bytes), NULL, NULL, &e),
		  E_EXISTS);
	rig_noop(g, 0);
	rig_noop(g, 0);
	p = CONTAINER_OF(a->pending.prev, struct pending_frame, node);
	CU_EQ_INT(store_accept(other.store, b, p->bytes, NULL, NULL, &e),
		  -ERANGE);
	p = CONTAINER_OF(a->pending.prev->prev, struct pending_frame, node);
	buf_reset(&bytes);
	buf_slice(&bytes, p->bytes);
	bytes.p[FRAME_HEADER_SIZE - 1] ^= 1;
	CU_EQ_INT(store_accept(other.store, b, buf_all(&bytes), NULL, NULL, &e),
		  E_CORRUPT);
	buf_fini(&bytes);
	rig_fini(&other);
	rig_fini(g);
}

static void a_full_journal_waits_for_a_checkpoint(void)
{
	unsigned refused = 0;
	struct err e = ERR_NONE;

	begin(16 * 4096);
	rig_epoch(g, 0);
	all();
	simdisk_set_hang(g->disk, true);
	for (int i = 0; i < 4000 && !refused; i++)
		refused = rig_noop(g, 0) == E_TEMP;
	CU_CLAIM(refused, "never full");
	CU_EQ_INT(g->spaces, 0);
	simdisk_set_hang(g->disk, false);
	all();
	CU_CLAIM(g->spaces > 0, "nobody was told of the room");
	CU_EQ_INT(rig_noop(g, 0), 0);
	all();
	CU_CLAIM(!g->failed, "%s", g->failed_why);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, g->acct[0].accepted);
	rig_fini(g);
}

static void a_failed_sync_ends_the_process(void)
{
	struct err e = ERR_NONE;

	begin(0);
	rig_epoch(g, 0);
	all();
	rig_add(g, 0, "INBOX", TEXT);
	simdisk_fail(g->disk, SIM_FDATASYNC, "journal", 1, 1, EIO);
	rig_turn(g);
	CU_CLAIM(g->failed, "nobody was told");
	CU_EQ_U64(g->acct[0].durable.seq, 1);
	CU_CLAIM(strstr(g->failed_why, "journal") != NULL, "%s", g->failed_why);
	struct account *a = store_account(g->store, g->acct[0].id);
	struct op op = {.kind = OP_NOOP};
	struct record r = {.ops = &op, .n_ops = 1};
	CU_EQ_INT(store_append(g->store, a, &r, NULL, NULL, &e), E_TEMP);
	rig_fini(g);
}

static void a_failed_syncfs_ends_the_process(void)
{
	begin(0);
	rig_epoch(g, 0);
	all();
	simdisk_fail(g->disk, SIM_SYNCFS, NULL, 1, 1, EIO);
	rig_checkpoint(g);
	rig_turn(g);
	CU_CLAIM(g->failed, "nobody was told");
	rig_fini(g);
}

static void a_full_disk_only_delays_checkpoints(void)
{
	struct err e = ERR_NONE;

	begin(0);
	rig_epoch(g, 0);
	all();
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	simdisk_fail(g->disk, SIM_PWRITE, "/state/log", 1, 5, ENOSPC);
	rig_checkpoint(g);
	rig_turn(g);
	CU_CLAIM(!g->failed, "%s", g->failed_why);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	simtime_run(g->time, 10 * USEC_PER_SEC);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 2);
	CU_EQ_U64(account_published(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

static void marks_outlive_their_batches(void)
{
	struct err e = ERR_NONE;
	enum lone_reason why;
	uint64_t when;

	begin(0);
	rig_epoch(g, 0);
	rig_epoch(g, 1);
	all();
	CU_EQ_INT(store_last_mark(rig_account(g, 0), &why, &when), MARK_LONE);
	rig_mark(g, 0, MARK_SYNC);
	rig_mark(g, 1, MARK_LONE);
	rig_turn(g);
	CU_EQ_INT(g->acct[1].mark_durable, MARK_LONE);
	for (int i = 0; i < 3; i++) {
		rig_checkpoint(g);
		rig_turn(g);
		rig_close(g);
		CU_OK(rig_open(g, &e), &e);
	}
	CU_EQ_INT(store_last_mark(rig_account(g, 0), &why, &when), MARK_SYNC);
	CU_EQ_INT(store_last_mark(rig_account(g, 1), &why, &when), MARK_LONE);
	CU_EQ_INT(why, LONE_TIMEOUT);
	CU_CLAIM(when > 0, "no time");
	rig_fini(g);
}

static void the_partner_is_remembered(void)
{
	struct journal_id ids[3] = {{11, 1}, {22, 2}, {33, 3}}, got[4];
	struct position pos;
	struct err e = ERR_NONE;

	begin(0);
	rig_epoch(g, 0);
	all();
	pos = account_end(rig_account(g, 0));
	store_partner_journals(g->store, ids, 3);
	store_partner_acked(g->store, rig_account(g, 0), pos);
	store_periodic(g->store);
	rig_turn(g);
	rig_die(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(store_partner_journals_known(g->store, got, 4), 3);
	CU_EQ_U64(got[2].last_batch, 3);
	CU_CLAIM(position_eq(store_partner_known(rig_account(g, 0)), pos),
		 "acked position");
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(store_partner_journals_known(g->store, got, 4), 3);
	CU_CLAIM(position_eq(store_partner_known(rig_account(g, 0)), pos),
		 "acked position after a clean stop");
	rig_fini(g);
}

static void batch_numbers_never_go_back(void)
{
	struct journal_id before, after;
	struct err e = ERR_NONE;

	begin(0);
	rig_epoch(g, 0);
	all();
	for (int i = 0; i < 4; i++) {
		store_journals(g->store, &before);
		if (i % 2)
			rig_close(g);
		else
			rig_die(g);
		CU_OK(rig_open(g, &e), &e);
		store_journals(g->store, &after);
		CU_EQ_U64(after.id, before.id);
		CU_CLAIM(after.last_batch >= before.last_batch, "went back");
		CU_CLAIM(store_last_batch_time(g->store) > 0, "no time");
	}
	rig_fini(g);
}

static void roots_are_guarded(void)
{
	struct rig_account *x;
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin(0);
	x = &g->acct[0];
	CU_EQ_INT(store_account_open(g->store, x->id, x->name, x->root, false,
				     &a, &e), E_NOTFOUND);
	rig_epoch(g, 0);
	all();
	/* A second name that leads to the same root. */
	CU_EQ_INT(store_account_open(g->store, g->acct[1].id, "user1", x->root,
				     true, &a, &e), E_EXISTS);
	CU_CLAIM(strstr(e.op, "user0") && strstr(e.op, "user1"), "%s", e.op);
	/* Foreign mail. */
	fsio_mkdirs(g->fs, "/mail/user2/cur", 0700);
	CU_EQ_INT(store_account_open(g->store, g->acct[2].id, "user2",
				     "/mail/user2", true, &a, &e), E_FOREIGN);
	CU_CLAIM(!fsio_exists(g->fs, "/mail/user2/.duet"), "changed it");
	/* A later answer with another root. */
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(store_account_open(g->store, x->id, x->name, "/mail/else",
				     true, &a, &e), E_TEMP);
	CU_CLAIM(strstr(e.op, "/mail/else") && strstr(e.op, x->root), "%s",
		 e.op);
	/* Damaged, and not mounted. */
	g->fs->ops->unlink(g->fs, "/mail/user0/.duet/owner");
	CU_EQ_INT(store_account_open(g->store, x->id, NULL, NULL, false, &a,
				     &e), E_FOREIGN);
	fsio_remove_tree(g->fs, "/mail/user0");
	CU_EQ_INT(store_account_open(g->store, x->id, x->name, x->root, true,
				     &a, &e), E_TEMP);
	CU_CLAIM(!fsio_exists(g->fs, "/mail/user0"), "made an empty tree");
	g->fs->ops->unlink(g->fs, "/mail/.duet-node");
	CU_EQ_INT(store_account_open(g->store, x->id, NULL, NULL, false, &a,
				     &e), E_TEMP);
	CU_CLAIM(strstr(e.op, "mounted") != NULL, "%s", e.op);
	rig_fini(g);
}

static void bodies_are_found_by_hash_and_repaired(void)
{
	struct err e = ERR_NONE;
	uint64_t offset, size;
	struct account *a;
	struct mailbox *m;
	struct body b;
	struct buf path;
	uint8_t hash[32];

	begin(0);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_add(g, 0, "INBOX", TEXT);
	CU_EQ_INT(rig_add_large(g, 0, "INBOX", 100000), 0);
	all();
	a = rig_account(g, 0);
	m = account_mailbox(a, SLICE_LIT("INBOX"));
	CU_EQ_INT(mailbox_messages(m), 3);
	sha256(slice_str(TEXT), hash);
	buf_init(&path, 4096);
	CU_EQ_INT(store_body_find(g->store, a, hash, &path, &offset, &size), 0);
	CU_EQ_U64(size, strlen(TEXT));
	g->fs->ops->unlink(g->fs, RIG_MAIL
			   "/user0/mailboxes/INBOX/dbox-Mails/u.1");
	CU_EQ_INT(mailbox_body_open(m, 0, &b, &e), E_GONE);
	CU_EQ_INT(store_body_repair(g->store, a, hash, SLICE_LIT("other"), &e),
		  E_CORRUPT);
	e = ERR_NONE;
	CU_OK(store_body_repair(g->store, a, hash, slice_str(TEXT), &e), &e);
	for (uint32_t i = 0; i < 2; i++) {
		CU_OK(mailbox_body_open(m, i, &b, &e), &e);
		CU_EQ_TEXT(b.data, TEXT);
		mailbox_body_close(m, &b);
	}
	CU_EQ_INT(mailbox_body_open(m, 2, &b, &e), 0);
	CU_EQ_INT(b.data.n, 100000);
	mailbox_body_close(m, &b);
	buf_fini(&path);
	rig_fini(g);
}

static void seeded(void *arg, struct account *a, int result)
{
	(void)a;
	*(int *)arg = result;
}

static bool want(void *arg, const uint8_t hash[32], uint64_t size)
{
	(void)hash;
	(void)size;
	++*(unsigned *)arg;
	return true;
}

static void an_empty_account_is_seeded(void)
{
	static struct rig other;
	struct err e = ERR_NONE;
	struct account *a, *b;
	unsigned missing = 0;
	uint8_t da[16], db[16];
	struct body_stage *st;
	struct buf snap;
	int result = 1;

	begin(0);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_create(g, 0, "Work");
	all();
	rig_copy(g, 0, "INBOX", 1, "Work", false);
	all();
	a = rig_account(g, 0);
	buf_init(&snap, 1 << 20);
	CU_OK(store_snapshot(g->store, a, &snap, &e), &e);
	rig_init(&other, 6, 256 * 1024);
	CU_OK(rig_open(&other, &e), &e);
	b = rig_account(&other, 0);
	CU_OK(store_seed_missing(other.store, b, buf_all(&snap), want, &missing,
				 &e), &e);
	CU_EQ_INT(missing, 1);
	store_seed_install(other.store, b, buf_all(&snap), seeded, &result);
	CU_EQ_INT(result, E_NOTFOUND);
	CU_OK(store_stage_begin(other.store, b, strlen(TEXT), &st, &e), &e);
	CU_OK(store_stage_add(st, slice_str(TEXT), &e), &e);
	store_stage_end(st, NULL, NULL);
	simdisk_complete(other.disk, 1);
	result = 1;
	store_seed_install(other.store, b, buf_all(&snap), seeded, &result);
	rig_turn(&other);
	CU_EQ_INT(result, 0);
	CU_CLAIM(position_eq(account_published(a), account_published(b)),
		 "positions");
	account_digest(a, da);
	account_digest(b, db);
	CU_EQ_MEM(da, db, 16);
	/* It goes on from there, and after a restart too. */
	rig_noop(g, 0);
	rig_turn(g);
	CU_OK(store_read(g->store, a, account_end(b).seq, 1 << 20, feed, &other,
			 &e), &e);
	rig_turn(&other);
	other.acct[0].accepted = account_end(b).seq;
	rig_publish_all(&other);
	rig_close(&other);
	CU_OK(rig_open(&other, &e), &e);
	b = rig_account(&other, 0);
	CU_CLAIM(position_eq(account_end(a), account_published(b)), "later");
	buf_fini(&snap);
	rig_fini(&other);
	rig_fini(g);
}

static void a_cut_keeps_the_tail_in_orphans(void)
{
	char *found = NULL;

	begin(0);
	rig_epoch(g, 0);
	all();
	rig_add(g, 0, "INBOX", TEXT);
	rig_add(g, 0, "INBOX", TEXT);
	rig_cut(g, 0, 1);
	rig_turn(g);
	CU_EQ_INT(g->resets, 1);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, 1);
	CU_CLAIM(account_quiet(rig_account(g, 0)), "something waits");
	found = xprintf("%s/.duet/orphans/tail.2.%016jx", g->acct[0].root,
			(uintmax_t)g->acct[0].chain[3].chain);
	CU_CLAIM(fsio_exists(g->fs, found), "%s", found);
	free(found);
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT), 0);
	all();
	CU_EQ_U64(account_published(rig_account(g, 0)).seq, 2);
	rig_fini(g);
}

static void staged_bodies_nobody_names_are_swept(void)
{
	struct body_stage *st;
	struct err e = ERR_NONE;
	uint64_t offset, size;
	struct buf path;
	uint8_t hash[32];

	begin(0);
	simdisk_set_clock(g->disk, &g->clock.clock);
	rig_epoch(g, 0);
	all();
	CU_OK(store_stage_begin(g->store, rig_account(g, 0), 0, &st, &e), &e);
	CU_OK(store_stage_add(st, slice_str(TEXT), &e), &e);
	store_stage_end(st, NULL, NULL);
	simdisk_complete(g->disk, 1);
	sha256(slice_str(TEXT), hash);
	buf_init(&path, 4096);
	for (int i = 0; i < 2; i++) {
		CU_EQ_INT(body_stage_find(g->fs, g->acct[0].root, hash, &path,
					  &offset, &size), i ? -ENOENT : 0);
		simtime_run(g->time, simtime_now(g->time) +
					     700 * USEC_PER_SEC);
		rig_noop(g, 0);
		all();
		rig_checkpoint(g);
		rig_turn(g);
	}
	buf_fini(&path);
	rig_fini(g);
}

CU_TESTS(CU_CASE(a_batch_serves_all_accounts),
	 CU_CASE(nothing_is_durable_before_its_sync),
	 CU_CASE(read_gives_frames_wherever_they_are),
	 CU_CASE(a_replica_accepts_only_what_continues),
	 CU_CASE(a_full_journal_waits_for_a_checkpoint),
	 CU_CASE(a_failed_sync_ends_the_process),
	 CU_CASE(a_failed_syncfs_ends_the_process),
	 CU_CASE(a_full_disk_only_delays_checkpoints),
	 CU_CASE(marks_outlive_their_batches),
	 CU_CASE(the_partner_is_remembered),
	 CU_CASE(batch_numbers_never_go_back), CU_CASE(roots_are_guarded),
	 CU_CASE(bodies_are_found_by_hash_and_repaired),
	 CU_CASE(an_empty_account_is_seeded),
	 CU_CASE(a_cut_keeps_the_tail_in_orphans),
	 CU_CASE(staged_bodies_nobody_names_are_swept))
