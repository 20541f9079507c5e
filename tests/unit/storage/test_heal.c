/* What is damaged on disk is made again from the log, or left to a seed; it is
 * never served wrong. */

#include "tests/lib/cu.h"

#include "node/base/digest.h"
#include "tests/lib/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"
#define ROOT RIG_MAIL "/user0"
#define STATE ROOT "/.duet/state"
#define LOG STATE "/log/00000001"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;
static uint8_t digest[16];
static uint64_t end;

static void begin(uint64_t segment)
{
	struct err e = ERR_NONE;

	rig_init(g, 11, 256 * 1024);
	g->opts.log_segment = segment;
	CU_OK(rig_open(g, &e), &e);
}

static void step(struct rig *r)
{
	rig_turn(r);
	rig_publish_all(r);
}

static void checkpoint(void)
{
	rig_checkpoint(g);
	rig_turn(g);
	CU_CLAIM(!g->failed, "%s", g->failed_why);
}

/* A bit of everything: the log is the only thing that has it all. */
static void live(struct rig *r)
{
	rig_epoch(r, 0);
	rig_epoch(r, 1);
	for (int i = 0; i < 3; i++)
		rig_add(r, 0, "INBOX", TEXT);
	rig_add(r, 1, "INBOX", TEXT);
	rig_add_large(r, 0, "INBOX", 70000);
	rig_create(r, 0, "Work");
	step(r);
	rig_flags(r, 0, "INBOX", 2, MSG_SEEN | MSG_FLAGGED);
	rig_copy(r, 0, "INBOX", 1, "Work", false);
	rig_copy(r, 0, "INBOX", 3, "Work", true);
	rig_create(r, 0, "Gone");
	step(r);
	rig_rename(r, 0, "Work", "Play");
	rig_delete(r, 0, "Gone", "Gone");
	rig_expunge(r, 0, "INBOX", 1);
	step(r);
}

static void remember(void)
{
	account_digest(rig_account(g, 0), digest);
	end = account_end(rig_account(g, 0)).seq;
}

static struct account *open_it(struct err *e)
{
	struct account *a = NULL;

	return store_account_open(g->store, g->acct[0].id, NULL, NULL, false,
				  &a, e) == 0 ? a : NULL;
}

static bool count_one(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return true;
}

static unsigned quarantined(void)
{
	unsigned n = 0;

	g->fs->ops->list(g->fs, ROOT "/.duet/quarantine", count_one, &n);
	return n;
}

/* Everything is as it was, by both digests, and every message has its body. */
static void is_whole(const char *when)
{
	struct err e = ERR_NONE;
	struct account *a = open_it(&e);
	uint8_t is[16];
	struct body b;

	CU_CLAIM(a != NULL, "%s: %s", when, e.op);
	CU_NEED(a != NULL);
	CU_EQ_U64(account_end(a).seq, end);
	CU_OK(store_publish(g->store, a, end, &e), &e);
	CU_CLAIM(!a->replaying, "%s: still replaying", when);
	account_digest(a, is);
	CU_CLAIM(memcmp(is, digest, 16) == 0, "%s: another digest", when);
	CU_OK(state_digest_recomputed(a->state, is, &e), &e);
	CU_CLAIM(memcmp(is, digest, 16) == 0, "%s: recomputed: another", when);
	CU_EQ_INT(state_missing(a->state), 0);
	for (int i = 0; i < 2; i++) {
		struct mailbox *m = account_mailbox(
			a, i ? SLICE_LIT("Play") : SLICE_LIT("INBOX"));

		CU_NEED(m != NULL);
		for (uint32_t k = 0; k < mailbox_records(m); k++) {
			if (mailbox_rec(m, k)->flags & MREC_EXPUNGED)
				continue;
			CU_OK(mailbox_body_open(m, k, &b, &e), &e);
			mailbox_body_close(m, &b);
		}
	}
}

/* --- damage ---------------------------------------------------------------------- */

static char first_name[300];

static bool name_it(void *arg, const char *name)
{
	const char *begins = arg;

	if (strncmp(name, begins, strlen(begins)) != 0)
		return true;
	snprintf(first_name, sizeof(first_name), "%s", name);
	return false;
}

static char *file_in(const char *dir, const char *begins)
{
	first_name[0] = '\0';
	g->fs->ops->list(g->fs, dir, name_it, (void *)(uintptr_t)begins);
	CU_CLAIM(first_name[0], "%s is empty", dir);
	return xprintf("%s/%s", dir, first_name);
}

static char *index_of(const char *mailbox)
{
	char hex[33];
	struct id128 id = rig_mbox(0, mailbox);

	hex_of(id.b, 16, hex);
	return file_in(STATE "/index", hex);
}

enum damage { DELETED, TRUNCATED, EMPTY, FLIPPED_HEAD, FLIPPED_BODY, DAMAGES };

static void damage(const char *path, enum damage how)
{
	int fd;

	switch (how) {
	case DELETED:
		CU_EQ_INT(g->fs->ops->unlink(g->fs, path), 0);
		return;
	case FLIPPED_HEAD:
		CU_EQ_INT(simdisk_flip(g->disk, path, 13, 2), 0);
		return;
	case FLIPPED_BODY:
		CU_EQ_INT(simdisk_flip(g->disk, path, 256, 0), 0);
		return;
	default:
		fd = g->fs->ops->open(g->fs, path, O_RDWR, 0);
		CU_CLAIM(fd >= 0, "%s", path);
		CU_EQ_INT(g->fs->ops->truncate(g->fs, fd, how == EMPTY ? 0 :
					       100), 0);
		g->fs->ops->close(g->fs, fd);
	}
}

/* --- index ------------------------------------------------------------------------- */

static void a_damaged_index_is_made_again(void)
{
	static const char *const boxes[] = {"INBOX", "Work"};
	struct err e = ERR_NONE;

	for (int how = 0; how < FLIPPED_BODY; how++) {
		for (int box = 0; box < 2; box++) {
			begin(0);
			live(g);
			remember();
			rig_close(g);
			char *path = index_of(boxes[box]);

			damage(path, (enum damage)how);
			free(path);
			CU_OK(rig_open(g, &e), &e);
			is_whole("made again");
			CU_EQ_INT(g->news[STORE_HEALED], 1);
			CU_EQ_INT(g->news[STORE_PARKED], 0);
			CU_CLAIM(strstr(g->last_news, "/index/") &&
				 strstr(g->last_news, "records of its log"),
				 "%s", g->last_news);
			CU_CLAIM(quarantined() >= (how == DELETED ? 1u : 2u),
				 "nothing was kept aside");
			/* Its own snapshot counts from now on. */
			rig_close(g);
			CU_OK(rig_open(g, &e), &e);
			is_whole("the next time");
			CU_EQ_INT(g->news[STORE_HEALED], 1);
			rig_fini(g);
		}
	}
}

/* A record that changed under its head is found when it is first used. */
static void a_flipped_record_is_found_and_never_served(void)
{
	struct err e = ERR_NONE;
	struct account *a;
	struct mailbox *m;
	char *path;

	begin(0);
	live(g);
	remember();
	rig_close(g);
	path = index_of("INBOX");
	damage(path, FLIPPED_BODY);
	CU_OK(rig_open(g, &e), &e);
	a = open_it(&e);
	CU_NEED(a != NULL);
	m = account_mailbox(a, SLICE_LIT("INBOX"));
	mailbox_ref(m);
	CU_EQ_INT(mailbox_open(m, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, path) != NULL, "%s", e.op);
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT), E_TEMP);
	CU_EQ_INT(g->news[STORE_HEALED], 0);
	rig_turn(g);
	CU_EQ_INT(g->news[STORE_HEALED], 1);
	/* The session is told to leave; a new one finds all there is. */
	CU_CLAIM(mailbox_gone(m), "the session goes on with a dead state");
	mailbox_unref(m);
	is_whole("found while it is served");
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT), 0);
	step(g);
	CU_EQ_U64(account_published(rig_account(g, 0)).seq, end + 1);
	free(path);
	rig_fini(g);
}

/* Durable frames that are not shown yet are neither lost nor shown. */
static void what_waits_is_kept_while_an_index_is_made_again(void)
{
	struct err e = ERR_NONE;
	struct account *a;
	char *path;

	begin(0);
	live(g);
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	path = index_of("INBOX");
	damage(path, FLIPPED_BODY);
	a = rig_account(g, 0);
	CU_NEED(a != NULL);
	uint64_t shown = account_published(a).seq;

	rig_add(g, 0, "INBOX", TEXT "waits\r\n");
	rig_turn(g);
	CU_EQ_INT(mailbox_open(account_mailbox(a, SLICE_LIT("INBOX")), &e),
		  E_CORRUPT);
	CU_EQ_INT(store_publish(g->store, a, shown + 1, &e), E_TEMP);
	rig_turn(g);
	CU_EQ_INT(g->news[STORE_HEALED], 1);
	CU_EQ_U64(account_published(a).seq, shown);
	CU_EQ_U64(account_end(a).seq, shown + 1);
	CU_OK(store_publish(g->store, a, shown + 1, &e), &e);
	remember();
	is_whole("with a frame that waited");
	free(path);
	rig_fini(g);
}

/* --- snapshot ------------------------------------------------------------------------ */

static void a_damaged_snapshot_is_made_again(void)
{
	struct err e = ERR_NONE;

	for (int how = 0; how < DAMAGES; how++) {
		for (int clean = 0; clean < 2; clean++) {
			begin(0);
			live(g);
			checkpoint();
			rig_add(g, 0, "INBOX", TEXT "later\r\n");
			step(g);
			remember();
			if (clean)
				rig_close(g);
			else
				rig_die(g);
			char *path = file_in(STATE "/snap", "snap.");

			damage(path, (enum damage)how);
			free(path);
			CU_OK(rig_open(g, &e), &e);
			is_whole(clean ? "clean" : "after a crash");
			CU_EQ_INT(g->news[STORE_HEALED], 1);
			CU_EQ_INT(g->news[STORE_PARKED], 0);
			rig_close(g);
			CU_OK(rig_open(g, &e), &e);
			is_whole("the next time");
			CU_EQ_INT(g->news[STORE_HEALED], 1);
			rig_fini(g);
		}
	}
}

static void a_lost_state_directory_is_made_again(void)
{
	static const char *const dirs[] = {STATE "/snap", STATE "/index",
					   STATE "/cache"};
	struct err e = ERR_NONE;

	begin(0);
	live(g);
	remember();
	rig_close(g);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		CU_EQ_INT(fsio_remove_tree(g->fs, dirs[i]), 0);
	CU_OK(rig_open(g, &e), &e);
	is_whole("without directories");
	rig_fini(g);
}

/* --- log --------------------------------------------------------------------------------- */

static void go_on_behind(uint64_t floor)
{
	struct err e = ERR_NONE;
	struct account *a = rig_account(g, 0);

	CU_NEED(a != NULL);
	CU_CLAIM(alog_floor(a->log) >= floor, "floor %ju",
		 (uintmax_t)alog_floor(a->log));
	is_whole("the state does not need its history");
	CU_EQ_INT(rig_add(g, 0, "INBOX", TEXT "more\r\n"), 0);
	step(g);
	remember();
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	is_whole("gone on");
}

static void a_damaged_segment_below_the_state_is_given_up(void)
{
	struct err e = ERR_NONE;

	static const enum damage ways[] = {DELETED, EMPTY, FLIPPED_HEAD};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		enum damage how = ways[i];

		begin(600);
		live(g);
		remember();
		rig_close(g);
		damage(STATE "/log/00000002", how);
		CU_OK(rig_open(g, &e), &e);
		go_on_behind(2);
		CU_EQ_INT(g->news[STORE_HEALED], 1);
		CU_CLAIM(strstr(g->last_news, "no mail is lost") != NULL, "%s",
			 g->last_news);
		CU_CLAIM(quarantined() >= 1, "nothing was kept aside");
		rig_fini(g);
	}
}

static bool take(void *arg, const struct store_frame *f)
{
	*(uint64_t *)arg = f->pos.seq;
	return true;
}

/* Found when the partner asks: it gets what is whole, then a seed. */
static void a_damaged_frame_below_the_state_is_given_up(void)
{
	struct err e = ERR_NONE;
	uint64_t seen = 0;

	begin(600);
	live(g);
	remember();
	rig_close(g);
	CU_EQ_INT(simdisk_flip(g->disk, STATE "/log/00000002", 80, 1), 0);
	CU_OK(rig_open(g, &e), &e);
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_INT(store_read(g->store, rig_account(g, 0), 0, SIZE_MAX, take,
			     &seen, &e), E_NOTFOUND);
	CU_CLAIM(seen > 0 && seen < end, "frames up to %ju", (uintmax_t)seen);
	CU_OK(store_read(g->store, rig_account(g, 0),
			 alog_floor(rig_account(g, 0)->log), SIZE_MAX, take,
			 &seen, &e), &e);
	CU_EQ_U64(seen, end);
	go_on_behind(2);
	CU_EQ_INT(g->news[STORE_HEALED], 1);
	rig_fini(g);
}

static void a_lost_log_of_a_quiet_account_begins_anew(void)
{
	struct err e = ERR_NONE;

	begin(600);
	live(g);
	remember();
	rig_close(g);
	CU_EQ_INT(fsio_remove_tree(g->fs, STATE "/log"), 0);
	CU_EQ_INT(g->fs->ops->mkdir(g->fs, STATE "/log", 0700), 0);
	CU_OK(rig_open(g, &e), &e);
	go_on_behind(end);
	rig_fini(g);
}

/* Frames that were reported durable and cannot be read: nothing is changed,
 * nothing is served. */
static void a_damaged_tail_is_not_healed_by_forgetting_it(void)
{
	struct err e = ERR_NONE;
	struct account *a;
	unsigned before;

	begin(0);
	live(g);
	rig_add(g, 0, "INBOX", TEXT "durable\r\n");
	rig_turn(g);
	remember();
	rig_close(g);
	CU_EQ_INT(simdisk_flip(g->disk, LOG, 0, 0), 0);
	for (int n = 0; n < 2; n++) {
		CU_OK(rig_open(g, &e), &e);
		CU_EQ_INT(store_account_open(g->store, g->acct[0].id, NULL,
					     NULL, false, &a, &e), E_CORRUPT);
		CU_CLAIM(strstr(e.op, LOG) != NULL, "%s", e.op);
		CU_EQ_INT(g->news[STORE_HEALED], 0);
		CU_CLAIM(g->news[STORE_PARKED] > 0, "nobody was told");
		before = quarantined();
		CU_EQ_INT(before, 0);
		rig_die(g);
	}
	CU_EQ_INT(simdisk_flip(g->disk, LOG, 0, 0), 0);
	CU_OK(rig_open(g, &e), &e);
	CU_NEED(rig_account(g, 0) != NULL);
	CU_EQ_U64(account_end(rig_account(g, 0)).seq, end);
	rig_fini(g);
}

/* --- what only a seed can mend --------------------------------------------------------------- */

static void on_reset(void *arg, struct account *a, int result)
{
	(void)a;
	*(int *)arg = result;
}

struct wanted {
	unsigned n;
};

static bool want(void *arg, const uint8_t hash[32], uint64_t size)
{
	(void)hash;
	(void)size;
	((struct wanted *)arg)->n++;
	return true;
}

static void on_staged(void *arg, int result, const uint8_t hash[32],
		      uint64_t size, const char *path)
{
	(void)hash;
	(void)size;
	(void)path;
	*(int *)arg = result;
}

static void stage(struct account *a, struct slice body)
{
	struct body_stage *b;
	struct err e = ERR_NONE;
	int result = 1;

	CU_OK(store_stage_begin(g->store, a, 0, &b, &e), &e);
	CU_OK(store_stage_add(b, body, &e), &e);
	store_stage_end(b, on_staged, &result);
	while (result == 1 && simdisk_complete(g->disk, 1) > 0)
		;
	CU_EQ_INT(result, 0);
}

/* A trimmed log does not reach back far enough: the account can be opened for
 * a seed, and for nothing else. */
static void a_damaged_account_takes_a_seed(void)
{
	static uint8_t large[70000];
	struct wanted missing = {0};
	struct err e = ERR_NONE;
	struct account *a;
	struct buf seed;
	char *path;
	int result = 1;

	begin(600);
	live(g);
	remember();
	buf_init(&seed, 1 << 20);
	CU_OK(store_snapshot(g->store, rig_account(g, 0), &seed, &e), &e);
	checkpoint();
	alog_trim(rig_account(g, 0)->log, end, INT64_MAX, 0);
	CU_CLAIM(alog_floor(rig_account(g, 0)->log) > 0, "nothing trimmed");
	rig_close(g);
	path = index_of("INBOX");
	damage(path, DELETED);
	free(path);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(store_account_open(g->store, g->acct[0].id, NULL, NULL, false,
				     &a, &e), E_CORRUPT);
	CU_EQ_INT(quarantined(), 0);
	CU_OK(store_account_open_damaged(g->store, g->acct[0].id, &a, &e), &e);
	CU_CLAIM(account_needs_seed(a), "it says that it is whole");
	CU_EQ_U64(account_end(a).seq, 0);
	g->acct[0].wanted = false;
	CU_EQ_INT(rig_epoch(g, 0), E_TEMP);
	CU_EQ_INT(store_snapshot(g->store, a, &seed, &e), E_TEMP);
	/* Neither a checkpoint nor a restart takes it for an empty account. */
	checkpoint();
	rig_close(g);
	CU_OK(rig_open(g, &e), &e);
	CU_EQ_INT(store_account_open(g->store, g->acct[0].id, NULL, NULL, false,
				     &a, &e), E_CORRUPT);
	CU_OK(store_account_open_damaged(g->store, g->acct[0].id, &a, &e), &e);
	stage(a, SLICE_LIT(TEXT));
	rig_octets(large, sizeof(large), sizeof(large));
	stage(a, slice_of(large, sizeof(large)));
	CU_OK(store_seed_missing(g->store, a, buf_all(&seed), want, &missing,
				 &e), &e);
	CU_EQ_INT(missing.n, 0);
	store_seed_install(g->store, a, buf_all(&seed), on_reset, &result);
	rig_turn(g);
	CU_EQ_INT(result, 0);
	CU_CLAIM(!account_needs_seed(a), "it still wants a seed");
	is_whole("seeded");
	rig_die(g);
	CU_OK(rig_open(g, &e), &e);
	is_whole("after a crash");
	buf_fini(&seed);
	rig_fini(g);
}

static void hurt(void *arg, struct account *a, const char *why)
{
	(void)why;
	*(struct account **)arg = a;
}

/* The same while it is served: the one who serves is told. */
static void a_served_account_may_come_to_need_a_seed(void)
{
	struct account *a, *told = NULL;
	struct err e = ERR_NONE;
	char *path;

	begin(600);
	live(g);
	remember();
	checkpoint();
	alog_trim(rig_account(g, 0)->log, end, INT64_MAX, 0);
	rig_close(g);
	path = index_of("INBOX");
	damage(path, FLIPPED_BODY);
	free(path);
	CU_OK(rig_open(g, &e), &e);
	store_on_damaged(g->store, hurt, &told);
	a = open_it(&e);
	CU_NEED(a != NULL);
	CU_EQ_INT(mailbox_open(account_mailbox(a, SLICE_LIT("INBOX")), &e),
		  E_CORRUPT);
	rig_turn(g);
	CU_CLAIM(told == a && account_needs_seed(a), "nobody was told");
	CU_EQ_INT(g->news[STORE_DAMAGED], 1);
	CU_EQ_INT(account_mailbox(a, SLICE_LIT("INBOX")) != NULL, 0);
	rig_fini(g);
}

/* --- bounds, crashes ----------------------------------------------------------------------------- */

static void quarantine_is_bounded(void)
{
	struct err e = ERR_NONE;

	begin(0);
	live(g);
	remember();
	for (int n = 0; n < 20; n++) {
		rig_close(g);
		char *path = index_of("INBOX");

		damage(path, TRUNCATED);
		free(path);
		CU_OK(rig_open(g, &e), &e);
		is_whole("again and again");
	}
	CU_EQ_INT(g->news[STORE_HEALED], 20);
	CU_CLAIM(quarantined() >= 4 && quarantined() <= 16, "%u files",
		 quarantined());
	rig_fini(g);
}

static void run_heal(struct rig *r, const char *dir)
{
	struct err e = ERR_NONE;

	rig_open(r, &e);
	rig_epoch(r, 0);
	rig_add(r, 0, "INBOX", TEXT "1\r\n");
	rig_create(r, 0, "Work");
	step(r);
	rig_copy(r, 0, "INBOX", 1, "Work", true);
	step(r);
	rig_checkpoint(r);
	step(r);
	rig_add(r, 0, "INBOX", TEXT "4\r\n");
	step(r);
	if (simdisk_dead(r->disk))
		return;
	/* Not a clean stop: frames wait in the journal. */
	store_drop(r->store);
	r->store = NULL;
	simdisk_revive(r->disk);
	fsio_remove_tree(r->fs, dir);
	r->fs->ops->syncfs(r->fs, "/");
	if (rig_open(r, &e) < 0)
		return;
	step(r);
	rig_checkpoint(r);
	step(r);
	rig_add(r, 0, "INBOX", TEXT "5\r\n");
	step(r);
}

static void run_heal_index(struct rig *r) { run_heal(r, STATE "/index"); }
static void run_heal_snap(struct rig *r) { run_heal(r, STATE "/snap"); }

static void enumerate(const char *name, void (*run)(struct rig *))
{
	struct crash_scenario s = {.name = name, .run = run,
				   .depth2 = 2000};
	struct crash_result r;

	cu_timeout(300);
	crash_enumerate(&s, &r);
	printf("%s: %ju calls, %ju crashes\n", name, (uintmax_t)r.points,
	       (uintmax_t)r.crashes);
	CU_CLAIM(r.points > 5 && r.crashes > 50, "nothing was tried");
	CU_EQ_INT(r.failures, 0);
}

static void crashes_while_indexes_are_made_again(void)
{
	enumerate("heal index", run_heal_index);
}

static void crashes_while_a_snapshot_is_made_again(void)
{
	enumerate("heal snapshot", run_heal_snap);
}

CU_TESTS(CU_CASE(a_damaged_index_is_made_again),
	 CU_CASE(a_flipped_record_is_found_and_never_served),
	 CU_CASE(what_waits_is_kept_while_an_index_is_made_again),
	 CU_CASE(a_damaged_snapshot_is_made_again),
	 CU_CASE(a_lost_state_directory_is_made_again),
	 CU_CASE(a_damaged_segment_below_the_state_is_given_up),
	 CU_CASE(a_damaged_frame_below_the_state_is_given_up),
	 CU_CASE(a_lost_log_of_a_quiet_account_begins_anew),
	 CU_CASE(a_damaged_tail_is_not_healed_by_forgetting_it),
	 CU_CASE(a_damaged_account_takes_a_seed),
	 CU_CASE(a_served_account_may_come_to_need_a_seed),
	 CU_CASE(quarantine_is_bounded),
	 CU_CASE(crashes_while_indexes_are_made_again),
	 CU_CASE(crashes_while_a_snapshot_is_made_again))
