/* Account logs: segments, reading, cutting, damage. */

#include "tests/lib/cu.h"

#include "storage/alog.h"
#include "tests/lib/simdisk.h"

#include <errno.h>

#define PAIR SLICE_LIT("0123456789abcdef")
static const struct id128 acct = {{7}};

static struct simdisk *disk;
static struct fsio *fs;
static struct alog *lg;
static struct position at[200];
static uint64_t now_msec;	/* of the frames */

static int open_at(const struct alog_end *end, bool cut, struct err *e)
{
	struct alog_opts o = {fs, "/log", acct, PAIR, 0, cut, 600, 0};

	lg = NULL;
	return alog_open(&o, end, &lg, e);
}

static void begin(void)
{
	struct alog_end end = {.pos = frame_genesis(PAIR, acct)};
	struct err e = ERR_NONE;

	now_msec = 0;
	disk = simdisk_new(NULL);
	fs = simdisk_fs(disk);
	fs->ops->mkdir(fs, "/log", 0700);
	at[0] = end.pos;
	CU_OK(open_at(&end, false, &e), &e);
}

static void finish(void)
{
	alog_free(lg);
	simdisk_free(disk);
}

/* Frame number seq; the first of each ten begins an epoch. */
static void add(uint64_t seq)
{
	struct op op = {.kind = OP_NOOP};
	struct record r = {.ops = &op, .n_ops = 1};
	struct frame f = {.type = FRAME_RECORD, .seq = seq, .hlc = now_msec << 16 | seq};
	struct position pos = at[seq - 1];
	struct buf payload, bytes;

	if (seq % 10 == 1) {
		op.kind = OP_EPOCH_BEGIN;
		pos.epoch = (uint32_t)(seq / 10 * 2 + 2);
		pos.nonce = (uint32_t)(seq * 77);
		op.epoch_begin = (struct op_epoch_begin){
			.epoch = pos.epoch, .nonce = pos.nonce,
			.parent = at[seq - 1], .reason = EPOCH_START};
	}
	buf_init(&payload, 4096);
	buf_init(&bytes, 8192);
	record_encode(&r, &payload);
	f.epoch = pos.epoch;
	f.payload = buf_all(&payload);
	f.chain = frame_chain(PAIR, acct, at[seq - 1].chain, &f);
	pos.seq = seq;
	pos.chain = f.chain;
	frame_put(&bytes, &f, 0);
	alog_append(lg, buf_all(&bytes), pos);
	at[seq] = pos;
	buf_fini(&payload);
	buf_fini(&bytes);
}

static void add_to(uint64_t last)
{
	struct alog_end end;

	alog_end(lg, &end);
	for (uint64_t seq = end.pos.seq + 1; seq <= last; seq++)
		add(seq);
}

struct walk {
	uint64_t next, stop;
	unsigned bad;
};

static bool step(void *arg, struct slice bytes, struct position pos)
{
	struct walk *w = arg;
	struct frame f;
	uint32_t crc = 1;

	w->bad += frame_get(bytes, &f, &crc) != (int)bytes.n || crc != 0 ||
		  pos.seq != w->next || !position_eq(pos, at[pos.seq]);
	w->next++;
	return w->next <= w->stop;
}

static void read_all(uint64_t after, uint64_t last)
{
	struct walk w = {after + 1, UINT64_MAX, 0};
	struct err e = ERR_NONE;

	CU_OK(alog_read(lg, after, step, &w, &e), &e);
	CU_EQ_INT(w.bad, 0);
	CU_EQ_U64(w.next, last + 1);
}

static void reads_from_memory_and_files_alike(void)
{
	struct err e = ERR_NONE;

	begin();
	add_to(5);
	read_all(0, 5);
	CU_OK(alog_flush(lg, &e), &e);
	CU_EQ_INT(alog_waiting(lg), 0);
	read_all(0, 5);
	add_to(60);
	read_all(0, 60);
	read_all(37, 60);
	CU_OK(alog_flush(lg, &e), &e);
	add_to(65);
	for (uint64_t seq = 0; seq <= 65; seq++) {
		struct position pos;

		read_all(seq, 65);
		CU_OK(alog_position(lg, seq, &pos, &e), &e);
		CU_CLAIM(position_eq(pos, at[seq]), "position %ju",
			 (uintmax_t)seq);
	}
	finish();
}

static void reopens_at_its_end(void)
{
	struct alog_end end, is;
	struct err e = ERR_NONE;

	begin();
	add_to(40);
	alog_flush(lg, &e);
	alog_end(lg, &end);
	alog_free(lg);
	CU_OK(open_at(&end, false, &e), &e);
	alog_end(lg, &is);
	CU_CLAIM(position_eq(end.pos, is.pos) && end.offset == is.offset &&
		 end.segment == is.segment, "another end");
	add_to(50);
	read_all(0, 50);
	finish();
}

static void opening_earlier_cuts_or_refuses(void)
{
	struct alog_end end;
	struct err e = ERR_NONE;

	begin();
	add_to(23);
	alog_flush(lg, &e);
	alog_end(lg, &end);
	add_to(60);
	alog_flush(lg, &e);
	alog_free(lg);
	CU_EQ_INT(open_at(&end, false, &e), E_CORRUPT);
	e = ERR_NONE;
	CU_OK(open_at(&end, true, &e), &e);
	read_all(0, 23);
	add_to(60);
	read_all(0, 60);
	finish();
}

static void a_log_shorter_than_its_end_is_corrupt(void)
{
	struct alog_end end;
	struct err e = ERR_NONE;

	begin();
	add_to(23);
	alog_end(lg, &end);	/* not flushed */
	alog_free(lg);
	CU_EQ_INT(open_at(&end, true, &e), E_CORRUPT);
	finish();
}

static void cutting_works_in_memory_and_files(void)
{
	for (uint64_t to = 0; to <= 44; to++)
		for (int flush = 0; flush < 3; flush++) {
			struct alog_end end;
			struct err e = ERR_NONE;

			begin();
			add_to(22);
			if (flush > 0)
				alog_flush(lg, &e);
			add_to(44);
			if (flush > 1)
				alog_flush(lg, &e);
			CU_OK(alog_cut(lg, at[to], &e), &e);
			read_all(0, to);
			add_to(50);
			read_all(0, 50);
			CU_OK(alog_flush(lg, &e), &e);
			alog_end(lg, &end);
			alog_free(lg);
			CU_OK(open_at(&end, false, &e), &e);
			read_all(0, 50);
			finish();
		}
}

static void a_cut_to_another_branch_is_refused(void)
{
	struct position other;
	struct err e = ERR_NONE;

	begin();
	add_to(9);
	other = at[5];
	other.chain ^= 1;
	CU_EQ_INT(alog_cut(lg, other, &e), E_CORRUPT);
	read_all(0, 9);
	finish();
}

static void a_flipped_bit_is_found(void)
{
	struct walk w = {1, UINT64_MAX, 0};
	struct err e = ERR_NONE;

	begin();
	add_to(60);
	alog_flush(lg, &e);
	CU_EQ_INT(simdisk_flip(disk, "/log/00000002", 200, 3), 0);
	CU_EQ_INT(alog_read(lg, 0, step, &w, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "00000002") != NULL, "%s", e.op);
	CU_CLAIM(w.next > 1, "nothing of the whole segment was read");
	finish();
}

static void a_segment_of_another_place_is_refused(void)
{
	struct alog_end end;
	struct err e = ERR_NONE;

	begin();
	add_to(60);
	alog_flush(lg, &e);
	alog_end(lg, &end);
	alog_free(lg);
	CU_EQ_INT(fs->ops->exchange(fs, "/log/00000001", "/log/00000002"), 0);
	CU_EQ_INT(open_at(&end, true, &e), E_CORRUPT);
	finish();
}

static void trimming_keeps_what_is_needed(void)
{
	struct walk w = {1, UINT64_MAX, 0};
	struct position pos;
	struct err e = ERR_NONE;
	uint64_t floor;

	begin();
	add_to(80);
	alog_flush(lg, &e);
	CU_EQ_U64(alog_floor(lg), 0);
	alog_trim(lg, 45, 0, UINT64_MAX);	/* neither old nor large */
	CU_EQ_U64(alog_floor(lg), 0);
	alog_trim(lg, 45, 1, UINT64_MAX);
	floor = alog_floor(lg);
	CU_CLAIM(floor > 0 && floor <= 45, "floor %ju", (uintmax_t)floor);
	CU_EQ_INT(alog_read(lg, floor - 1, step, &w, &e), E_NOTFOUND);
	read_all(floor, 80);
	CU_OK(alog_position(lg, floor, &pos, &e), &e);
	CU_CLAIM(position_eq(pos, at[floor]), "position at the floor");
	alog_trim(lg, 80, 1, UINT64_MAX);
	add_to(90);
	read_all(alog_floor(lg), 90);
	finish();
}

static void what_was_written_lately_is_not_old(void)
{
	struct err e = ERR_NONE;

	begin();
	now_msec = 5000;
	add_to(40);
	CU_OK(alog_flush(lg, &e), &e);
	now_msec = 9000;
	add_to(80);
	CU_OK(alog_flush(lg, &e), &e);
	alog_trim(lg, 80, 5000000, UINT64_MAX);
	CU_EQ_U64(alog_floor(lg), 0);
	alog_trim(lg, 80, 8000000, UINT64_MAX);
	CU_CLAIM(alog_floor(lg) > 0 && alog_floor(lg) <= 40, "floor %ju",
		 (uintmax_t)alog_floor(lg));
	finish();
}

static void a_log_may_begin_at_a_seed(void)
{
	struct alog_end end = {0};
	struct position pos;
	struct err e = ERR_NONE;

	begin();
	add_to(25);
	alog_free(lg);
	end.pos = at[25];
	CU_OK(open_at(&end, true, &e), &e);
	CU_EQ_U64(alog_floor(lg), 25);
	add_to(40);
	read_all(25, 40);
	CU_OK(alog_position(lg, 25, &pos, &e), &e);
	CU_CLAIM(position_eq(pos, at[25]), "the seed's own position");
	CU_OK(alog_cut(lg, at[25], &e), &e);
	read_all(25, 25);
	add_to(30);
	read_all(25, 30);
	finish();
}

static void what_cannot_be_written_stays(void)
{
	struct err e = ERR_NONE;

	begin();
	add_to(30);
	simdisk_fail(disk, SIM_PWRITE, "/log/00000002", 1, 1, ENOSPC);
	CU_EQ_INT(alog_flush(lg, &e), -ENOSPC);
	CU_CLAIM(alog_waiting(lg) > 0, "nothing waits");
	read_all(0, 30);
	e = ERR_NONE;
	CU_OK(alog_flush(lg, &e), &e);
	read_all(0, 30);
	finish();
}

CU_TESTS(CU_CASE(reads_from_memory_and_files_alike),
	 CU_CASE(reopens_at_its_end), CU_CASE(opening_earlier_cuts_or_refuses),
	 CU_CASE(a_log_shorter_than_its_end_is_corrupt),
	 CU_CASE(cutting_works_in_memory_and_files),
	 CU_CASE(a_cut_to_another_branch_is_refused),
	 CU_CASE(a_flipped_bit_is_found),
	 CU_CASE(a_segment_of_another_place_is_refused),
	 CU_CASE(trimming_keeps_what_is_needed),
	 CU_CASE(what_was_written_lately_is_not_old),
	 CU_CASE(a_log_may_begin_at_a_seed),
	 CU_CASE(what_cannot_be_written_stays))
