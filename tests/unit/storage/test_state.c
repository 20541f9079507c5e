#include "tests/unit/storage/fold_model.h"

/* replication-cases.md: P8 incremental digest = recomputed, P9 replay(log) =
 * live state; snapshot + suffix = full replay; recovery twice = once. */

static struct rig rig;
static struct model model;

static void begin(uint64_t seed)
{
	memset(&model, 0, sizeof(model));
	rig_init(&rig, seed);
	rig_begin(&rig, 0, 0);
}

static void sync_disk(void)
{
	CU_EQ_INT(rig.sys.fs->ops->syncfs(rig.sys.fs, "/"), 0);
}

/* Another fold of the whole log gives the same digest. */
static void replay_equals(const char *root, bool replay)
{
	struct state_opts o = rig_opts(&rig, root, NULL);
	struct state *s = state_new(&o);
	uint8_t live[16], again[16];
	struct err e = ERR_NONE;

	CU_EQ_INT(state_dirs(s, NULL), 0);
	for (size_t i = 0; i < rig.n_log; i++)
		if (!CU_OK(rig_fold(&rig, s, i, replay, &e), &e))
			break;
	CU_OK(state_replayed(s, &e), &e);
	state_digest(rig.acc.state, live);
	state_digest(s, again);
	CU_EQ_MEM(again, live, 16);
	CU_EQ_INT(state_missing(s), 0);
	model_holds(&model, s, true);
	rig_digest_holds(s);
	state_free(s);
}

static void random_commands_agree_with_a_plain_model(void)
{
	cu_timeout(60);
	for (uint64_t seed = 1; seed <= 25; seed++) {
		begin(seed);
		for (int i = 0; i < 120; i++) {
			model_step(&rig, &model);
			if (!model_holds(&model, rig.acc.state, i % 30 == 0))
				break;
			if (i % 10 == 0)
				rig_digest_holds(rig.acc.state);
		}
		if (!CU_CLAIM(model_holds(&model, rig.acc.state, true),
			      "seed %llu", (unsigned long long)seed))
			break;
		rig_digest_holds(rig.acc.state);
		replay_equals("/b", false);
		rig_fini(&rig);
	}
}

/* Loads the snapshot and folds the rest of the log as recovery does. */
static struct state *recover(struct slice snapshot, size_t upto, struct err *e)
{
	struct state_opts o = rig_opts(&rig, "/a", NULL);
	struct state *s = NULL;

	if (!CU_OK(state_load(&o, snapshot, false, &s, e), e))
		return NULL;
	while (state_position(s).seq < upto)
		if (!CU_OK(rig_fold(&rig, s, (size_t)state_position(s).seq,
				    true, e), e))
			break;
	return s;
}

static void crash(uint64_t seed)
{
	struct simdisk_keep keep = {KEEP_RANDOM, 0, seed};

	simdisk_kill(rig.disk);
	simdisk_power_loss(rig.disk, keep);
	simdisk_revive(rig.disk);
}

static void snapshot_and_suffix_survive_power_loss(void)
{
	struct err e = ERR_NONE;
	struct buf snap;

	cu_timeout(60);
	buf_init(&snap, 1 << 24);
	for (uint64_t seed = 100; seed < 140; seed++) {
		uint8_t live[16], is[16];
		struct state *s;
		bool ok = false;

		begin(seed);
		for (int i = 0; i < 50; i++)
			model_step(&rig, &model);
		buf_reset(&snap);
		state_save(rig.acc.state, &snap);
		sync_disk();
		state_checkpointed(rig.acc.state);
		for (int i = 0; i < 40; i++)
			model_step(&rig, &model);
		state_digest(rig.acc.state, live);
		if (simrng_chance(&rig.rng, 2))
			simdisk_writeback(rig.disk, seed, 3);
		crash(seed);
		/* Recovery dies half way through once. */
		s = recover(buf_all(&snap), rig.n_log - 5, &e);
		if (s)
			crash(seed + 1);
		state_free(s);
		s = recover(buf_all(&snap), rig.n_log, &e);
		if (s) {
			CU_OK(state_replayed(s, &e), &e);
			state_digest(s, is);
			CU_EQ_MEM(is, live, 16);
			CU_EQ_INT(state_missing(s), 0);
			ok = CU_CLAIM(model_holds(&model, s, true),
				      "seed %llu", (unsigned long long)seed);
			rig_digest_holds(s);
		}
		state_free(s);
		rig_fini(&rig);
		if (!ok)
			break;
	}
	buf_fini(&snap);
}

static void a_process_that_dies_alone_loses_nothing(void)
{
	struct err e = ERR_NONE;
	struct buf snap;

	buf_init(&snap, 1 << 24);
	for (uint64_t seed = 200; seed < 215; seed++) {
		uint8_t live[16], is[16];
		struct state *s;

		begin(seed);
		for (int i = 0; i < 30; i++)
			model_step(&rig, &model);
		buf_reset(&snap);
		state_save(rig.acc.state, &snap);
		for (int i = 0; i < 60; i++)
			model_step(&rig, &model);
		state_digest(rig.acc.state, live);
		/* Everything that was written is there. */
		s = recover(buf_all(&snap), rig.n_log, &e);
		if (s) {
			CU_OK(state_replayed(s, &e), &e);
			state_digest(s, is);
			CU_EQ_MEM(is, live, 16);
			model_holds(&model, s, true);
			state_free(s);
		}
		rig_fini(&rig);
	}
	buf_fini(&snap);
}

static void a_clean_snapshot_needs_no_replay(void)
{
	struct state_opts o;
	struct state *s = NULL;
	struct err e = ERR_NONE;
	uint8_t live[16], is[16];
	struct buf snap;

	begin(300);
	for (int i = 0; i < 120; i++)
		model_step(&rig, &model);
	buf_init(&snap, 1 << 24);
	state_save(rig.acc.state, &snap);
	o = rig_opts(&rig, "/a", NULL);
	CU_OK(state_load(&o, buf_all(&snap), true, &s, &e), &e);
	CU_NEED(s != NULL);
	state_digest(rig.acc.state, live);
	state_digest(s, is);
	CU_EQ_MEM(is, live, 16);
	model_holds(&model, s, true);
	rig_digest_holds(s);
	state_free(s);
	/* Every damaged byte is found. */
	for (size_t i = 0; i < snap.n; i += 7) {
		snap.p[i] ^= 0x20;
		CU_EQ_INT(state_load(&o, buf_all(&snap), true, &s, &e),
			  E_CORRUPT);
		snap.p[i] ^= 0x20;
	}
	for (size_t n = 0; n < snap.n; n += 101)
		CU_EQ_INT(state_load(&o, slice_of(snap.p, n), true, &s, &e),
			  E_CORRUPT);
	buf_fini(&snap);
	rig_fini(&rig);
}

struct placing {
	struct state *to;
	size_t placed;
};

static bool place(void *arg, struct mailbox *m, const struct mrec *rec)
{
	struct placing *p = arg;
	struct err e = ERR_NONE;
	struct buf path;
	int r;

	buf_init(&path, 4096);
	r = state_body_find(rig.acc.state, rec->body_hash, &path);
	buf_char(&path, 0);
	if (CU_CLAIM(r == 0, "body of UID %u", rec->uid)) {
		r = state_place_body(p->to, m, rec, (char *)path.p, 46, &e);
		CU_OK(r, &e);
		p->placed++;
	}
	buf_fini(&path);
	return true;
}

static void a_seed_is_equal_and_goes_on_equal(void)
{
	struct state_opts o;
	struct placing p = {0};
	struct err e = ERR_NONE;
	uint8_t live[16], is[16];
	struct buf seed;
	size_t at;

	begin(400);
	for (int i = 0; i < 150; i++)
		model_step(&rig, &model);
	buf_init(&seed, 1 << 24);
	CU_OK(state_export(rig.acc.state, &seed, &e), &e);
	at = rig.n_log;
	o = rig_opts(&rig, "/b", NULL);
	CU_OK(state_import(&o, buf_all(&seed), &p.to, &e), &e);
	CU_NEED(p.to != NULL);
	state_digest(rig.acc.state, live);
	state_digest(p.to, is);
	CU_EQ_MEM(is, live, 16);
	CU_OK(state_bodies(p.to, place, &p, &e), &e);
	CU_CLAIM(p.placed > 10, "%zu bodies", p.placed);
	model_holds(&model, p.to, true);
	for (int i = 0; i < 60; i++)
		model_step(&rig, &model);
	for (; at < rig.n_log; at++)
		CU_OK(rig_fold(&rig, p.to, at, false, &e), &e);
	state_digest(rig.acc.state, live);
	state_digest(p.to, is);
	CU_EQ_MEM(is, live, 16);
	model_holds(&model, p.to, true);
	state_free(p.to);
	/* Damage in a seed is found. */
	for (size_t i = 0; i < seed.n; i += 97) {
		struct state *s = NULL;

		seed.p[i] ^= 4;
		CU_EQ_INT(state_import(&o, buf_all(&seed), &s, &e), E_CORRUPT);
		seed.p[i] ^= 4;
	}
	buf_fini(&seed);
	rig_fini(&rig);
}

static void an_index_damaged_on_disk_is_found(void)
{
	struct state_opts o;
	struct state *s = NULL;
	struct err e = ERR_NONE;
	struct buf snap, path;
	uint8_t disk[16];
	struct mailbox *m;

	begin(500);
	for (int i = 0; i < 60; i++)
		rig_deliver(&rig, "INBOX", "x");
	buf_init(&snap, 1 << 24);
	buf_init(&path, 4096);
	state_save(rig.acc.state, &snap);
	sync_disk();
	m = rig_box(&rig, "INBOX");
	index_path(&path, "/a", m->id, m->index.gen);
	buf_char(&path, 0);
	/* In a record: its sum tells, when all are read again. */
	CU_EQ_INT(simdisk_flip(rig.disk, (char *)path.p, 128 * 7 + 80, 1), 0);
	o = rig_opts(&rig, "/a", NULL);
	CU_OK(state_load(&o, buf_all(&snap), true, &s, &e), &e);
	CU_NEED(s != NULL);
	CU_EQ_INT(state_digest_recomputed(s, disk, &e), E_CORRUPT);
	CU_CLAIM(strstr(e.op, "INBOX") != NULL, "%s", e.op);
	state_free(s);
	/* In the header, or cut: loading fails. */
	simdisk_flip(rig.disk, (char *)path.p, 20, 1);
	CU_EQ_INT(state_load(&o, buf_all(&snap), true, &s, &e), E_CORRUPT);
	buf_fini(&path);
	buf_fini(&snap);
	rig_fini(&rig);
}

static void a_body_that_is_gone_is_missed_only_while_needed(void)
{
	struct state_opts o;
	struct state *s;
	struct err e = ERR_NONE;

	begin(700);
	rig_deliver(&rig, "INBOX", "one");
	rig_deliver(&rig, "INBOX", "two");
	rig_expunge(&rig, "INBOX", 1, 1);
	o = rig_opts(&rig, "/b", NULL);
	s = state_new(&o);
	CU_EQ_INT(state_dirs(s, NULL), 0);
	for (size_t i = 0; i < rig.n_log; i++) {
		size_t n = rig.log[i].n_bodies;

		rig.log[i].n_bodies = 0;
		CU_OK(rig_fold(&rig, s, i, true, &e), &e);
		rig.log[i].n_bodies = n;
	}
	CU_EQ_INT(state_missing(s), 2);
	CU_OK(state_replayed(s, &e), &e);
	CU_EQ_INT(state_missing(s), 1);
	state_missing_found(s, mailbox_rec(rig_box(&rig, "INBOX"), 1)
					->body_hash);
	CU_EQ_INT(state_missing(s), 0);
	state_free(s);
	rig_fini(&rig);
}

static void a_full_disk_refuses_and_later_goes_on(void)
{
	struct state *s;
	struct err e = ERR_NONE;
	struct state_opts o;
	size_t i = 0, refusals = 0;

	begin(600);
	for (int k = 0; k < 60; k++)
		model_step(&rig, &model);
	o = rig_opts(&rig, "/b", NULL);
	s = state_new(&o);
	CU_EQ_INT(state_dirs(s, NULL), 0);
	/* Each call that changes something fails once. */
	for (uint64_t n = 1; i < rig.n_log && n < 3000;) {
		simdisk_fail(rig.disk, SIM_CREATE | SIM_PWRITE | SIM_ALLOCATE |
			     SIM_MKDIR, "/b/", n, 1, 28);
		int rc = rig_fold(&rig, s, i, false, &e);

		simdisk_fail(rig.disk, 0, NULL, 0, 0, 0);
		refusals += rc < 0;
		n = rc < 0 ? n + 1 : 1;
		if (state_position(s).seq == i + 1)
			i++;
	}
	CU_CLAIM(refusals > 10, "%zu", refusals);
	CU_EQ_INT(i, rig.n_log);
	uint8_t live[16], is[16];

	state_digest(rig.acc.state, live);
	state_digest(s, is);
	CU_EQ_MEM(is, live, 16);
	model_holds(&model, s, true);
	state_free(s);
	rig_fini(&rig);
}

CU_TESTS(CU_CASE(random_commands_agree_with_a_plain_model),
	 CU_CASE(snapshot_and_suffix_survive_power_loss),
	 CU_CASE(a_process_that_dies_alone_loses_nothing),
	 CU_CASE(a_clean_snapshot_needs_no_replay),
	 CU_CASE(a_seed_is_equal_and_goes_on_equal),
	 CU_CASE(an_index_damaged_on_disk_is_found),
	 CU_CASE(a_body_that_is_gone_is_missed_only_while_needed),
	 CU_CASE(a_full_disk_refuses_and_later_goes_on))
