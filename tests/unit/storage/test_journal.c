/* The journal: batches, group commit, ring, torn against corrupt. */

#include "tests/lib/cu.h"

#include "storage/journal.h"
#include "tests/lib/simclock.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "node/base/arena.h"

static struct simdisk *disk;
static struct simtime *now;
static struct simclock wall;
static struct simrng rng;
static struct sys sys;
static struct journal *jrn;
static uint64_t durable_to;
static unsigned failures;

static void on_durable(void *arg, uint64_t batch)
{
	(void)arg;
	durable_to = batch;
}

static void on_failed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
	failures++;
}

static int open_it(struct err *e)
{
	struct journal_opts o = {.sys = &sys, .path = "/j",
				 .size = 32 * JOURNAL_BLOCK,
				 .durable = on_durable, .failed = on_failed};

	return journal_open(&o, &jrn, NULL, e);
}

static void begin(void)
{
	struct err e = ERR_NONE;

	disk = simdisk_new(NULL);
	now = simtime_new();
	simclock_init(&wall, now, 1700000000000000ull);
	simrng_init(&rng, 1);
	sys = (struct sys){simdisk_fs(disk), &wall.clock, &rng.rng};
	durable_to = failures = 0;
	CU_OK(open_it(&e), &e);
	CU_OK(journal_scan(jrn, 0, 0, &e), &e);
}

static void end(void)
{
	journal_free(jrn);
	jrn = NULL;
	simdisk_free(disk);
	simtime_free(now);
}

static int put(const char *text, unsigned how)
{
	struct slice part = slice_str(text);

	return journal_put(jrn, JOURNAL_FRAME, &part, 1, how, NULL);
}

static void put_and_wait(const char *text)
{
	CU_EQ_INT(put(text, 0), 0);
	journal_flush(jrn, false);
	simdisk_complete(disk, 10);
}

static int collect(void *arg, const struct journal_entry *en)
{
	struct buf *b = arg;

	if (en->type == JOURNAL_FRAME)
		buf_slice(b, en->data);
	buf_char(b, ';');
	return 0;
}

static const char *content(void)
{
	static struct buf b;
	struct err e = ERR_NONE;

	buf_fini(&b);
	buf_init(&b, 1 << 20);
	CU_OK(journal_each(jrn, collect, &b, &e), &e);
	buf_char(&b, 0);
	return (char *)b.p;
}

/* Restart from a mark (0, 0: none). */
static int reopen(struct simdisk_keep keep, uint64_t batch, uint64_t offset,
		  struct err *e)
{
	int r;

	simdisk_kill(disk);
	journal_free(jrn);
	jrn = NULL;
	simdisk_power_loss(disk, keep);
	simdisk_revive(disk);
	r = open_it(e);
	return r < 0 ? r : journal_scan(jrn, batch, offset, e);
}

#define NONE ((struct simdisk_keep){.kind = KEEP_NONE})

static void synced_batches_survive(void)
{
	struct err e = ERR_NONE;

	begin();
	put_and_wait("one");
	put("two", 0);
	put("three", 0);
	journal_flush(jrn, false);
	CU_EQ_U64(durable_to, 1);
	simdisk_complete(disk, 1);
	CU_EQ_U64(durable_to, 2);
	put("lost", 0);
	journal_flush(jrn, false);
	CU_OK(reopen(NONE, 0, 0, &e), &e);
	CU_EQ_STR(content(), "one;two;three;");
	CU_EQ_U64(journal_last(jrn), 2);
	put_and_wait("four");
	CU_EQ_U64(durable_to, 3);
	CU_OK(reopen(NONE, 0, 0, &e), &e);
	CU_EQ_STR(content(), "one;two;three;four;");
	end();
}

static void entries_gather_while_a_batch_is_in_flight(void)
{
	struct simdisk_counts before, after;

	begin();
	put("a", 0);
	journal_flush(jrn, false);
	before = simdisk_counts(disk);
	for (int i = 0; i < 50; i++) {
		put("b", 0);
		journal_flush(jrn, false);
	}
	after = simdisk_counts(disk);
	CU_EQ_U64(after.writes, before.writes);	/* nothing written yet */
	CU_EQ_INT(simdisk_complete(disk, 1), 1);
	CU_EQ_U64(durable_to, 1);
	CU_EQ_INT(simdisk_complete(disk, 1), 1);
	CU_EQ_U64(durable_to, 2);
	after = simdisk_counts(disk);
	CU_EQ_U64(after.writes - before.writes, 1);
	CU_EQ_U64(after.syncs - before.syncs, 1);
	end();
}

static void lazy_entries_wait_for_company(void)
{
	begin();
	put("lazy", JOURNAL_LAZY);
	journal_flush(jrn, false);
	CU_EQ_INT(simdisk_started(disk), 0);
	put_and_wait("urgent");
	CU_EQ_STR(content(), "lazy;urgent;");
	put("alone", JOURNAL_LAZY);
	journal_flush(jrn, true);
	simdisk_complete(disk, 1);
	CU_EQ_U64(durable_to, 2);
	end();
}

static void the_ring_goes_round_and_fills_up(void)
{
	struct err e = ERR_NONE;
	uint64_t offset = 0, batch = 0;
	int n = 0;

	begin();
	for (int round = 0; round < 200; round++) {
		int r = put("entry", 0);

		if (r == -ENOSPC) {
			n++;
			CU_EQ_INT(put("mark", JOURNAL_RESERVED), 0);
			journal_flush(jrn, false);
			simdisk_complete(disk, 1);
			batch = journal_last(jrn);
			offset = journal_offset_after(jrn, batch);
			journal_recycle(jrn, batch);
			CU_EQ_U64(journal_used(jrn), 0);
			continue;
		}
		CU_EQ_INT(r, 0);
		journal_flush(jrn, false);
		simdisk_complete(disk, 1);
	}
	CU_CLAIM(n > 4, "never full");
	n = (int)(journal_last(jrn) - batch);
	CU_OK(reopen(NONE, batch, offset, &e), &e);
	CU_EQ_INT(strlen(content()), 6 * n);
	end();
}

static void a_torn_tail_is_dropped(void)
{
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct err e = ERR_NONE;
		char *big = xzalloc(20001);

		memset(big, 'x', 20000);
		begin();
		put_and_wait("one");
		put(big, 0);
		journal_flush(jrn, false);
		CU_OK(reopen((struct simdisk_keep){KEEP_RANDOM, 0, seed}, 0, 0,
			     &e), &e);
		CU_CLAIM(journal_last(jrn) == 1 || journal_last(jrn) == 2,
			 "lost a synced batch");
		put_and_wait("after");
		CU_OK(reopen(NONE, 0, 0, &e), &e);
		CU_CLAIM(strstr(content(), "after;") != NULL, "%s", content());
		free(big);
		end();
	}
}

static void damage_before_a_valid_batch_is_corruption(void)
{
	struct err e = ERR_NONE;

	begin();
	put_and_wait("one");
	put_and_wait("two");
	put_and_wait("three");
	/* In the middle: it had been synced. */
	CU_EQ_INT(simdisk_flip(disk, "/j", 2 * JOURNAL_BLOCK + 40, 1), 0);
	CU_EQ_INT(reopen(NONE, 0, 0, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "batch 2 is damaged") != NULL, "%s", e.op);
	end();
	/* The last one: cannot be told from a torn tail. */
	begin();
	put_and_wait("one");
	put_and_wait("two");
	CU_EQ_INT(simdisk_flip(disk, "/j", 2 * JOURNAL_BLOCK + 40, 1), 0);
	e = ERR_NONE;
	CU_OK(reopen(NONE, 0, 0, &e), &e);
	CU_EQ_U64(journal_last(jrn), 1);
	end();
}

static void a_failed_sync_is_final(void)
{
	begin();
	put("one", 0);
	simdisk_fail(disk, SIM_FDATASYNC, NULL, 1, 1, EIO);
	journal_flush(jrn, false);
	simdisk_complete(disk, 1);
	CU_EQ_INT(failures, 1);
	CU_EQ_U64(durable_to, 0);
	CU_EQ_INT(put("two", 0), -EIO);
	journal_flush(jrn, true);
	CU_EQ_INT(simdisk_complete(disk, 9), 0);
	CU_EQ_INT(journal_sync(jrn), -EIO);
	CU_EQ_INT(failures, 1);
	end();
}

static void a_failed_write_is_final(void)
{
	begin();
	simdisk_fail(disk, SIM_PWRITE, NULL, 1, 1, EIO);
	put("one", 0);
	journal_flush(jrn, false);
	CU_EQ_INT(failures, 1);
	CU_EQ_INT(put("two", 0), -EIO);
	end();
}

static void short_writes_are_completed(void)
{
	struct err e = ERR_NONE;

	begin();
	simdisk_short_writes(disk, 1);
	put_and_wait("one");
	CU_OK(reopen(NONE, 0, 0, &e), &e);
	CU_EQ_STR(content(), "one;");
	end();
}

static void one_process_holds_it(void)
{
	struct journal *first;
	struct err e = ERR_NONE;

	begin();
	first = jrn;
	CU_EQ_INT(open_it(&e), E_TEMP);
	jrn = first;
	end();
}

static void closing_with_a_sync_in_flight_is_harmless(void)
{
	begin();
	put("one", 0);
	journal_flush(jrn, false);
	journal_free(jrn);
	jrn = NULL;
	simdisk_complete(disk, 1);
	CU_EQ_U64(durable_to, 0);
	end();
}

static void sync_waits_for_the_batch_in_flight_first(void)
{
	begin();
	put("one", 0);
	journal_flush(jrn, false);
	put("two", 0);
	CU_EQ_INT(journal_sync(jrn), 0);
	CU_EQ_U64(durable_to, 2);
	simdisk_complete(disk, 9);
	CU_EQ_U64(durable_to, 2);
	CU_EQ_STR(content(), "one;two;");
	end();
}

static void too_large_entries_are_refused(void)
{
	char *big = xzalloc(40001);

	begin();
	memset(big, 'x', 40000);
	CU_EQ_INT(put(big, 0), E_LIMIT);
	put_and_wait("still works");
	CU_EQ_U64(durable_to, 1);
	free(big);
	end();
}

static void other_files_are_refused(void)
{
	struct err e = ERR_NONE;
	int fd;

	begin();
	fd = sys.fs->ops->open(sys.fs, "/j", O_RDWR, 0);
	sys.fs->ops->pwrite(sys.fs, fd, "garbage", 7, 0);
	sys.fs->ops->fsync(sys.fs, fd);
	CU_EQ_INT(reopen(NONE, 0, 0, &e), E_CORRUPT);
	end();
}

CU_TESTS(CU_CASE(synced_batches_survive),
	 CU_CASE(entries_gather_while_a_batch_is_in_flight),
	 CU_CASE(lazy_entries_wait_for_company),
	 CU_CASE(the_ring_goes_round_and_fills_up),
	 CU_CASE(a_torn_tail_is_dropped),
	 CU_CASE(damage_before_a_valid_batch_is_corruption),
	 CU_CASE(a_failed_sync_is_final), CU_CASE(a_failed_write_is_final),
	 CU_CASE(short_writes_are_completed), CU_CASE(one_process_holds_it),
	 CU_CASE(closing_with_a_sync_in_flight_is_harmless),
	 CU_CASE(sync_waits_for_the_batch_in_flight_first),
	 CU_CASE(too_large_entries_are_refused),
	 CU_CASE(other_files_are_refused))
