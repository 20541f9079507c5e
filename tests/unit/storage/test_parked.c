/* One bad user never stops another: accounts that cannot be replayed. */

#include "tests/lib/cu.h"

#include "node/base/digest.h"
#include "tests/lib/crash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

/* elsewhere: no mark of a mail root tells whether they are mounted. */
static void begin_in(bool elsewhere, unsigned accounts)
{
	struct err e = ERR_NONE;

	rig_init(g, 9, 256 * 1024);
	if (elsewhere)
		g->opts.mail_root = "";
	CU_OK(rig_open(g, &e), &e);
	for (unsigned i = 0; i < accounts; i++) {
		rig_epoch(g, i);
		rig_add(g, i, "INBOX", TEXT);
	}
	rig_turn(g);
	rig_publish_all(g);
}

static void begin(unsigned accounts)
{
	begin_in(false, accounts);
}

static void power_loss(void)
{
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	simdisk_power_loss(g->disk, (struct simdisk_keep){.kind = KEEP_NONE});
	simdisk_revive(g->disk);
}

static int try_open(unsigned i, struct account **a, struct err *e)
{
	struct rig_account *x = &g->acct[i];

	return store_account_open(g->store, x->id, NULL, NULL, false, a, e);
}

static char *parked_dir(unsigned i)
{
	char hex[33];

	hex_of(g->acct[i].id.b, 16, hex);
	return xprintf("/state/parked/%s", hex);
}

static bool has_parked(unsigned i)
{
	char *dir = parked_dir(i);
	bool has = fsio_exists(g->fs, dir);

	free(dir);
	return has;
}

static void checkpoint(void)
{
	rig_checkpoint(g);
	rig_turn(g);
	CU_CLAIM(!g->failed, "%s", g->failed_why);
}

static void holds_all(unsigned i, uint64_t end, uint32_t messages)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;
	struct mailbox *m;
	struct body b;

	CU_OK(try_open(i, &a, &e), &e);
	CU_NEED(a != NULL);
	CU_EQ_U64(account_end(a).seq, end);
	CU_OK(store_publish(g->store, a, end, &e), &e);
	m = account_mailbox(a, SLICE_LIT("INBOX"));
	CU_NEED(m != NULL);
	CU_EQ_INT(mailbox_messages(m), messages);
	for (uint32_t k = 0; k < messages; k++) {
		CU_OK(mailbox_body_open(m, k, &b, &e), &e);
		mailbox_body_close(m, &b);
	}
}

static void an_unmounted_account_waits_while_others_go_on(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin(2);
	checkpoint();
	for (unsigned i = 0; i < 2; i++)
		rig_add(g, i, "INBOX", TEXT "2\r\n");
	rig_mark(g, 0, MARK_LONE);
	rig_turn(g);
	power_loss();
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"), 0);
	CU_OK(store_recover_all(&g->opts, NULL, NULL, &e), &e);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
	CU_CLAIM(strstr(e.op, "mounted") != NULL, "%s", e.op);
	holds_all(1, 3, 2);
	/* The journal goes on, round and round. */
	g->acct[0].wanted = false;
	for (int n = 0; n < 100; n++) {
		rig_noop(g, 1);
		rig_turn(g);
		rig_publish_all(g);
	}
	checkpoint();
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
	CU_CLAIM(has_parked(0), "nothing was kept");
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"), 0);
	holds_all(0, 3, 2);
	CU_EQ_INT(store_last_mark(store_account(g->store, g->acct[0].id), NULL,
				  NULL), MARK_LONE);
	CU_CLAIM(has_parked(0), "gone before a checkpoint");
	checkpoint();
	CU_CLAIM(!has_parked(0), "kept for nothing");
	rig_add(g, 0, "INBOX", TEXT "3\r\n");
	rig_turn(g);
	power_loss();
	CU_OK(rig_open(g, &e), &e);
	holds_all(0, 4, 3);
	rig_fini(g);
}

/* Before its first checkpoint an account has nothing but the journal. */
static void a_new_account_can_be_parked(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin_in(true, 1);
	power_loss();
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"), 0);
	g->fs->ops->syncfs(g->fs, "/");
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
	checkpoint();
	power_loss();
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"), 0);
	holds_all(0, 2, 1);
	rig_fini(g);
}

/* Its tree was not durable: it is made again where the mail root is, and
 * nowhere else. */
static void a_new_account_waits_for_its_mail_root(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin(1);
	power_loss();
	CU_CLAIM(!fsio_exists(g->fs, "/mail/user0"), "it is there");
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail", "/elsewhere"), 0);
	g->fs->ops->mkdir(g->fs, "/mail", 0700);
	g->fs->ops->syncfs(g->fs, "/");
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(g->news[STORE_PARKED], 1);
	CU_CLAIM(strstr(g->last_news, "user0") != NULL, "%s", g->last_news);
	CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
	checkpoint();
	power_loss();
	CU_CLAIM(!fsio_exists(g->fs, "/mail/user0"), "made at a bare mount");
	CU_OK(rig_open(g, &e), &e);
	g->fs->ops->rmdir(g->fs, "/mail");
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/elsewhere", "/mail"), 0);
	holds_all(0, 2, 1);
	rig_fini(g);
}

static void what_was_parked_twice_is_applied_in_order(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin_in(true, 1);
	power_loss();
	for (int n = 0; n < 3; n++) {
		CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"),
			  0);
		CU_OK(rig_open(g, &e), &e);
		CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
		checkpoint();
		CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"),
			  0);
		holds_all(0, 2 + (uint64_t)n, 1 + (uint32_t)n);
		rig_add(g, 0, "INBOX", TEXT "more\r\n");
		rig_turn(g);
		/* No checkpoint: both the parked and the new are needed. */
		power_loss();
	}
	CU_OK(rig_open(g, &e), &e);
	holds_all(0, 5, 4);
	rig_fini(g);
}

static void a_damaged_log_parks_one_account(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin(2);
	rig_noop(g, 0);
	rig_turn(g);		/* durable, unpublished: read at the start */
	checkpoint();
	for (unsigned i = 0; i < 2; i++)
		rig_add(g, i, "INBOX", TEXT "2\r\n");
	rig_turn(g);
	power_loss();
	CU_EQ_INT(simdisk_flip(g->disk, "/mail/user0/.duet/state/log/00000001",
			       80, 1), 0);
	CU_OK(rig_open(g, &e), &e);
	holds_all(1, 3, 2);
	CU_EQ_INT(try_open(0, &a, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "00000001") != NULL, "%s", e.op);
	checkpoint();
	rig_close(g);
	CU_CLAIM(has_parked(0), "its entries were not kept");
	rig_fini(g);
}

struct listed {
	unsigned n;
	char name[32], why[480];
};

static bool list_one(void *arg, struct id128 id, const char *name,
		     const char *why)
{
	struct listed *l = arg;

	CU_CLAIM(id128_eq(id, g->acct[0].id), "another account");
	l->n++;
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->why, sizeof(l->why), "%s", why);
	return true;
}

/* Told once, listed until it can be opened. */
static void parked_accounts_are_told_and_listed(void)
{
	struct listed l = {0};
	struct account *a = NULL;
	struct err e = ERR_NONE;

	begin_in(true, 2);
	power_loss();
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"), 0);
	CU_OK(store_recover_all(&g->opts, NULL, NULL, &e), &e);
	CU_EQ_INT(g->news[STORE_PARKED], 1);
	CU_CLAIM(strstr(g->last_news, "user0: ") == g->last_news &&
		 strstr(g->last_news, "mounted"), "%s", g->last_news);
	CU_OK(rig_open(g, &e), &e);
	/* The recovery left nothing for this process to replay: it is listed
	 * from the first attempt on. */
	CU_EQ_INT(try_open(0, &a, &e), E_TEMP);
	CU_EQ_INT(g->news[STORE_PARKED], 2);
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"), 0);
	simdisk_fail(g->disk, SIM_LIST, "/user0/", 1, 1u << 30, EIO);
	CU_CLAIM(try_open(0, &a, &e) < 0, "opened without its files");
	CU_CLAIM(try_open(0, &a, &e) < 0, "opened without its files");
	CU_EQ_INT(g->news[STORE_PARKED], 3);
	store_parked(g->store, list_one, &l);
	CU_EQ_INT(l.n, 1);
	CU_EQ_STR(l.name, "user0");
	CU_CLAIM(strstr(l.why, "/user0/") != NULL, "%s", l.why);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	holds_all(0, 2, 1);
	l.n = 0;
	store_parked(g->store, list_one, &l);
	CU_EQ_INT(l.n, 0);
	rig_fini(g);
}

static void a_damaged_parked_file_is_told(void)
{
	struct account *a = NULL;
	struct err e = ERR_NONE;
	struct parked_file *f = NULL;
	size_t n = 0;
	char *dir, *path;

	begin_in(true, 2);
	power_loss();
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"), 0);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"), 0);
	CU_OK(store_parked_list(g->store, g->acct[0].id, &f, &n, &e), &e);
	CU_EQ_INT(n, 1);
	dir = parked_dir(0);
	path = xprintf("%s/%08x.%016jx.%016jx", dir, f[0].order,
		       (uintmax_t)f[0].journal, (uintmax_t)f[0].batch);
	CU_EQ_INT(simdisk_flip(g->disk, path, 100, 3), 0);
	CU_EQ_INT(try_open(0, &a, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, path) != NULL, "%s", e.op);
	holds_all(1, 2, 1);
	free(f);
	free(dir);
	free(path);
	rig_fini(g);
}

/* Nothing may be recycled that could not be kept elsewhere. */
static void what_cannot_be_kept_refuses_the_start(void)
{
	struct err e = ERR_NONE;

	begin_in(true, 2);
	power_loss();
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/user0", "/mail/x"), 0);
	simdisk_fail(g->disk, SIM_CREATE, "/parked/", 1, 1000, ENOSPC);
	CU_EQ_INT(rig_open(g, &e), -ENOSPC);
	CU_CLAIM(strstr(e.op, "/parked/") != NULL, "%s", e.op);
	simdisk_fail(g->disk, 0, NULL, 0, 0, 0);
	CU_EQ_INT(g->fs->ops->rename(g->fs, "/mail/x", "/mail/user0"), 0);
	CU_OK(rig_open(g, &e), &e);
	holds_all(0, 2, 1);
	holds_all(1, 2, 1);
	rig_fini(g);
}

/* --- crashes --------------------------------------------------------------------- */

/* A restart during which the mail of account 0 cannot be read. */
static bool restart_without(struct rig *r)
{
	struct err e = ERR_NONE;
	bool ok;

	if (simdisk_dead(r->disk))
		return false;
	store_drop(r->store);
	r->store = NULL;
	simdisk_revive(r->disk);
	simdisk_fail(r->disk, SIM_OPEN, "/user0/", 1, 1u << 30, EIO);
	ok = rig_open(r, &e) == 0;
	simdisk_fail(r->disk, 0, NULL, 0, 0, 0);
	return ok;
}

static void run_crashes_lose_nothing_parked(struct rig *r)
{
	struct err e = ERR_NONE;

	rig_open(r, &e);
	rig_epoch(r, 0);
	rig_epoch(r, 1);
	rig_add(r, 0, "INBOX", TEXT "1\r\n");
	rig_mark(r, 0, MARK_SYNC);
	rig_turn(r);
	rig_publish_all(r);
	if (!restart_without(r))
		return;
	rig_noop(r, 1);
	rig_turn(r);
	rig_checkpoint(r);
	rig_turn(r);
	/* Opened again. */
	rig_publish_all(r);
	rig_add(r, 0, "INBOX", TEXT "2\r\n");
	rig_turn(r);
	rig_checkpoint(r);
	rig_turn(r);
	rig_add(r, 0, "INBOX", TEXT "3\r\n");
	rig_turn(r);
	if (!restart_without(r))
		return;
	rig_mark(r, 0, MARK_LONE);
	rig_turn(r);
	rig_publish_all(r);
	rig_checkpoint(r);
	rig_turn(r);
}

static void run_crashes_around_a_parked_cut(struct rig *r)
{
	struct err e = ERR_NONE;

	rig_open(r, &e);
	rig_epoch(r, 0);
	rig_add(r, 0, "INBOX", TEXT "1\r\n");
	rig_turn(r);
	rig_publish_all(r);
	rig_checkpoint(r);
	rig_turn(r);
	rig_add(r, 0, "INBOX", TEXT "2\r\n");
	rig_add(r, 0, "INBOX", TEXT "3\r\n");
	rig_turn(r);
	rig_cut(r, 0, 3);
	rig_turn(r);
	if (!restart_without(r))
		return;
	rig_checkpoint(r);
	rig_turn(r);
	rig_publish_all(r);
	rig_checkpoint(r);
	rig_turn(r);
}

CRASH(crashes_lose_nothing_parked)
CRASH(crashes_around_a_parked_cut)

CU_TESTS(CU_CASE(an_unmounted_account_waits_while_others_go_on),
	 CU_CASE(a_new_account_can_be_parked),
	 CU_CASE(a_new_account_waits_for_its_mail_root),
	 CU_CASE(what_was_parked_twice_is_applied_in_order),
	 CU_CASE(a_damaged_log_parks_one_account),
	 CU_CASE(parked_accounts_are_told_and_listed),
	 CU_CASE(a_damaged_parked_file_is_told),
	 CU_CASE(what_cannot_be_kept_refuses_the_start),
	 CU_CASE(crashes_lose_nothing_parked),
	 CU_CASE(crashes_around_a_parked_cut))
