#include "proto/mime.h"
#include "storage/fold.h"
#include "tests/unit/storage/fold_rig.h"

static struct rig rig;

static void what_was_put_is_found(void)
{
	struct simdisk *d = simdisk_new(NULL);
	struct id128 a = {{1}}, b = {{2}};
	struct cache c;
	struct slice out;
	int64_t at[300];
	uint8_t data[5000];

	cache_init(&c, simdisk_fs(d));
	CU_EQ_INT(cache_open(&c, "/c.1"), 0);
	for (size_t i = 0; i < 300; i++) {
		memset(data, (int)i, sizeof(data));
		at[i] = cache_put(&c, i % 2 ? a : b,
				  slice_of(data, i * 16 % 5000));
		CU_CLAIM(at[i] > 0, "%lld", (long long)at[i]);
	}
	cache_close(&c);
	CU_EQ_INT(cache_open(&c, "/c.1"), 0);
	for (size_t i = 0; i < 300; i++) {
		memset(data, (int)i, sizeof(data));
		CU_EQ_INT(cache_get(&c, (uint64_t)at[i], i % 2 ? a : b, &out),
			  0);
		CU_EQ_SLICE(out, slice_of(data, i * 16 % 5000));
		/* Another message's entry is a miss. */
		CU_EQ_INT(cache_get(&c, (uint64_t)at[i], i % 2 ? b : a, &out),
			  -2);
	}
	cache_close(&c);
	simdisk_free(d);
}

static void any_offset_and_any_damage_is_a_miss(void)
{
	struct simdisk *d = simdisk_new(NULL);
	struct id128 a = {{1}};
	struct cache c;
	struct slice out;
	uint64_t at;

	cache_init(&c, simdisk_fs(d));
	CU_EQ_INT(cache_open(&c, "/c.1"), 0);
	at = (uint64_t)cache_put(&c, a, SLICE_LIT("parsed form"));
	for (uint64_t i = 0; i < 5000; i++)
		if (i != at)
			CU_EQ_INT(cache_get(&c, i, a, &out), -2);
	CU_EQ_INT(cache_get(&c, UINT64_MAX - 7, a, &out), -2);
	for (unsigned i = 0; i < (24 + 11) * 8; i++) {
		c.map.p[at + i / 8] ^= (uint8_t)(1 << i % 8);
		CU_EQ_INT(cache_get(&c, at, a, &out), -2);
		c.map.p[at + i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CU_EQ_INT(cache_get(&c, at, a, &out), 0);
	cache_close(&c);
	simdisk_free(d);
}

static void subject_is(struct mailbox *m, uint32_t rec, const char *want)
{
	struct arena *a = arena_new(4096);
	struct mime_message *msg;
	struct err e = ERR_NONE;
	struct slice s;

	if (CU_OK(mailbox_cached(m, rec, &s, &e), &e) &&
	    CU_EQ_INT(mime_decode(s, a, &msg), 0))
		CU_EQ_TEXT(msg->envelope.subject, want);
	arena_free(a);
}

static void a_delivery_is_parsed_once(void)
{
	struct mailbox *m;
	struct simdisk_counts before;

	rig_init(&rig, 1);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "one");
	rig_deliver(&rig, "INBOX", "two");
	m = rig_box(&rig, "INBOX");
	CU_CLAIM(mailbox_rec(m, 0)->cache_at != 0, "filled at delivery");
	before = simdisk_counts(rig.disk);
	subject_is(m, 0, "one");
	subject_is(m, 1, "two");
	CU_EQ_U64(simdisk_counts(rig.disk).reads, before.reads);
	rig_fini(&rig);
}

static void a_lost_cache_is_made_again(void)
{
	struct mailbox *m;

	rig_init(&rig, 2);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "one");
	m = rig_box(&rig, "INBOX");
	cache_close(&m->cache);
	struct buf path;

	buf_init(&path, 4096);
	cache_path(&path, "/a", m->id, m->cache_gen);
	buf_char(&path, 0);
	CU_EQ_INT(rig.sys.fs->ops->unlink(rig.sys.fs, (char *)path.p), 0);
	buf_fini(&path);
	subject_is(m, 0, "one");
	subject_is(m, 0, "one");
	rig_fini(&rig);
}

static void slices_stay_while_the_cache_grows(void)
{
	enum { N = 300 };
	static struct slice s[N];
	struct mailbox *m;
	struct err e = ERR_NONE;

	rig_init(&rig, 3);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < N; i++)
		rig_deliver(&rig, "INBOX", i % 2 ? "odd" : "even");
	m = rig_box(&rig, "INBOX");
	for (uint32_t i = 0; i < N; i++)
		index_rec(&m->index, i)->cache_at = 0;
	cache_close(&m->cache);
	for (uint32_t i = 0; i < N; i++)
		CU_OK(mailbox_cached(m, i, &s[i], &e), &e);
	for (uint32_t i = 0; i < N; i++) {
		struct arena *a = arena_new(4096);
		struct mime_message *msg;

		if (CU_EQ_INT(mime_decode(s[i], a, &msg), 0))
			CU_EQ_TEXT(msg->envelope.subject,
				   i % 2 ? "odd" : "even");
		arena_free(a);
	}
	rig_fini(&rig);
}

static void compaction_keeps_records_cache_and_digest(void)
{
	struct mailbox *m;
	uint8_t before[16], after[16];
	struct err e = ERR_NONE;
	struct buf snap;
	uint64_t gen;

	rig_init(&rig, 4);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < 50; i++)
		rig_deliver(&rig, "INBOX", "x");
	rig_deliver(&rig, "INBOX", "last");
	rig_expunge(&rig, "INBOX", 2, 40);
	m = rig_box(&rig, "INBOX");
	/* Until their files are swept, expunged records stay: they say where
	 * the bodies lie. */
	buf_init(&snap, 1 << 20);
	state_save(rig.acc.state, &snap);
	state_checkpointed(rig.acc.state);
	state_sweep(rig.acc.state, RIG_NOW + 1, rig.acc.end.seq);
	buf_fini(&snap);
	gen = mailbox_generation(m);
	state_digest(rig.acc.state, before);
	CU_OK(mailbox_compact(m, &e), &e);
	state_digest(rig.acc.state, after);
	CU_EQ_MEM(after, before, 16);
	CU_CLAIM(mailbox_generation(m) > gen, "generation");
	CU_EQ_INT(mailbox_records(m), 12);
	CU_EQ_INT(mailbox_expunged_below(m, 12), 0);
	CU_CLAIM(mailbox_rec(m, 11)->cache_at != 0, "cache kept");
	subject_is(m, 11, "last");
	rig_digest_holds(rig.acc.state);
	rig_expunge(&rig, "INBOX", 45, 45);
	rig_deliver(&rig, "INBOX", "more");
	subject_is(m, 12, "more");
	rig_digest_holds(rig.acc.state);
	rig_fini(&rig);
}

CU_TESTS(CU_CASE(what_was_put_is_found),
	 CU_CASE(any_offset_and_any_damage_is_a_miss),
	 CU_CASE(a_delivery_is_parsed_once),
	 CU_CASE(a_lost_cache_is_made_again),
	 CU_CASE(slices_stay_while_the_cache_grows),
	 CU_CASE(compaction_keeps_records_cache_and_digest))
