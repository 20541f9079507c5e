/* See crash.h. */

#include "tests/lib/crash.h"

#include "node/base/digest.h"
#include "tests/lib/cu.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SEED 42
#define TOLD_MAX 8
/* A case that hangs ends at last; all of depth 2 takes hours. */
#define CRASH_SECONDS (10 * 3600)
/* With more pending operations than this only as many are singled out. */
#define SINGLES_MAX 12

struct judge {
	struct rig *g;
	const struct rig *ref;
	const char *where;
	const char *(*check)(struct rig *g);
	unsigned failures;
	uint64_t modelled;
};

static void claim(struct judge *j, bool ok, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void claim(struct judge *j, bool ok, const char *fmt, ...)
{
	va_list ap;

	if (ok)
		return;
	if (j->failures++ > 3)
		return;
	fprintf(stderr, "crash: %s: ", j->where);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- one account -------------------------------------------------------------------- */

static void judge_log(struct judge *j, unsigned i, struct account *a)
{
	struct rig_account *x = &j->g->acct[i];
	uint64_t least = x->durable.seq, end = account_end(a).seq;

	if (x->cut_to != UINT64_MAX && least > x->cut_to)
		least = x->cut_to;
	claim(j, end >= least, "%s ends at %" PRIu64 ", %" PRIu64 " was "
	      "reported durable", x->name, end, least);
	claim(j, end <= x->accepted || x->cut_to != UINT64_MAX,
	      "%s ends at %" PRIu64 ", only %" PRIu64 " were accepted",
	      x->name, end, x->accepted);
	/* A seeded or trimmed log begins later. */
	claim(j, x->replaced || j->ref->trims || alog_floor(a->log) == 0,
	      "%s: the log begins behind %" PRIu64, x->name,
	      alog_floor(a->log));
	for (uint64_t seq = alog_floor(a->log) + 1;
	     seq <= end && seq < RIG_SEQS; seq++) {
		struct position is;
		int r = store_position_at(j->g->store, a, seq, &is);

		claim(j, r == 0, "%s: no position %" PRIu64 " (%d)", x->name,
		      seq, r);
		claim(j, r < 0 || position_eq(is, x->chain[seq]) ||
			 (x->cut_to != UINT64_MAX && seq > x->cut_to),
		      "%s: position %" PRIu64 " is another", x->name, seq);
	}
	claim(j, account_published(a).seq <= x->publishing,
	      "%s shows %" PRIu64 ", only %" PRIu64 " was ever published",
	      x->name, account_published(a).seq, x->publishing);
}

static void judge_mark(struct judge *j, unsigned i, struct account *a)
{
	struct rig_account *x = &j->g->acct[i];
	uint8_t is = (uint8_t)store_last_mark(a, NULL, NULL);
	uint8_t was = x->mark_durable ? x->mark_durable : MARK_LONE;

	if (x->cut_to != UINT64_MAX || x->replaced)
		return;		/* RESET takes the marks along */
	claim(j, is == was || is == x->mark_asked,
	      "%s has mark %u, reported was %u, asked %u", x->name, is, was,
	      x->mark_asked);
}

static bool judge_mailbox(void *arg, struct mailbox *m)
{
	struct judge *j = arg;

	for (uint32_t k = 0; k < mailbox_records(m); k++) {
		const struct mrec *rec = mailbox_rec(m, k);
		struct err e = ERR_NONE;
		struct body b;
		uint8_t hash[32];
		int r;

		if (rec->flags & MREC_EXPUNGED)
			continue;
		r = mailbox_body_open(m, k, &b, &e);
		claim(j, r == 0, "no body of %s UID %u: %s", mailbox_name(m),
		      rec->uid, e.op);
		if (r < 0)
			continue;
		sha256(b.data, hash);
		claim(j, b.data.n == rec->size &&
			 memcmp(hash, rec->body_hash, 32) == 0,
		      "another body of %s UID %u", mailbox_name(m), rec->uid);
		mailbox_body_close(m, &b);
	}
	return true;
}

/* What it shows is what the records up to there say. */
static void judge_model(struct judge *j, unsigned i, struct account *a)
{
	const struct rig_account *ref = &j->ref->acct[i];
	uint64_t seq = account_published(a).seq;
	struct buf is, want;

	if (seq == 0 || seq >= RIG_SEQS || !ref->model[seq] ||
	    !position_eq(ref->chain[seq], account_published(a)))
		return;
	j->modelled++;
	buf_init(&is, 1 << 20);
	buf_init(&want, 1 << 20);
	rig_model_print_account(a, &is);
	rig_model_print(ref->model[seq], &want);
	claim(j, slice_eq(buf_all(&is), buf_all(&want)),
	      "user%u at %" PRIu64 " shows\n%.*s  the model\n%.*s", i, seq,
	      (int)is.n, (char *)is.p, (int)want.n, (char *)want.p);
	buf_fini(&is);
	buf_fini(&want);
}

struct walk {
	struct fsio *fs;
	const char *dir;
	uint64_t files;
};

static bool count_file(void *arg, const char *name)
{
	struct walk *w = arg;
	char path[512];
	struct walk below = {.fs = w->fs, .dir = path};

	size_t n = strlen(w->dir);

	/* A mailbox may have such a name too. */
	if (strncmp(name, "u.", 2) == 0 && n > 11 &&
	    strcmp(w->dir + n - 11, "/dbox-Mails") == 0) {
		w->files++;
		return true;
	}
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	w->fs->ops->list(w->fs, path, count_file, &below);
	w->files += below.files;
	return true;
}

/* A message file for each message, and none besides. */
static void judge_files(struct judge *j, unsigned i, struct account *a)
{
	char path[64];
	struct walk w = {.fs = j->g->fs, .dir = path};
	uint64_t messages = 0;

	account_usage(a, &messages);
	snprintf(path, sizeof(path), "%s/mailboxes", j->g->acct[i].root);
	w.fs->ops->list(w.fs, path, count_file, &w);
	claim(j, w.files == messages ||
	      (j->g->leftovers && w.files > messages), "%s has %" PRIu64 " message files, %"
	      PRIu64 " messages", path, w.files, messages);
}

static void judge_state(struct judge *j, unsigned i, struct account *a)
{
	struct rig_account *x = &j->g->acct[i];
	const struct rig_account *ref = &j->ref->acct[i];
	uint64_t seq = account_published(a).seq;
	uint8_t is[16], again[16];
	struct err e = ERR_NONE;

	claim(j, !a->replaying, "%s is still replaying at %" PRIu64, x->name,
	      seq);
	account_digest(a, is);
	if (state_digest_recomputed(a->state, again, &e) < 0)
		claim(j, false, "%s: recompute: %s", x->name, e.op);
	else
		claim(j, memcmp(is, again, 16) == 0,
		      "%s: digest from disk differs at %" PRIu64, x->name, seq);
	if (seq < RIG_SEQS && ref->has_digest[seq] &&
	    position_eq(ref->chain[seq], account_published(a)))
		claim(j, memcmp(is, ref->digest[seq], 16) == 0,
		      "%s: digest differs from the one without a crash at "
		      "%" PRIu64, x->name, seq);
	claim(j, state_mismatches(a->state) == 0, "%s: mismatches", x->name);
	judge_model(j, i, a);
	judge_files(j, i, a);
	account_mailboxes(a, judge_mailbox, j);
}

static void judge_all(struct judge *j, bool marks)
{
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
		struct account *a;

		if (!j->g->acct[i].wanted)
			continue;
		a = rig_account(j->g, i);
		claim(j, a != NULL, "%s cannot be opened",
		      j->g->acct[i].name);
		if (!a)
			continue;
		judge_log(j, i, a);
		if (marks)
			judge_mark(j, i, a);
	}
}

static bool reopen(struct judge *j, const char *when)
{
	struct err e = ERR_NONE;
	int r = rig_open(j->g, &e);

	claim(j, r == 0, "%s: %s", when, e.op);
	return r == 0;
}

/* --- a whole disk ------------------------------------------------------------------------ */

struct seen {
	struct position end[RIG_ACCOUNTS], published[RIG_ACCOUNTS];
	uint8_t digest[RIG_ACCOUNTS][16];
};

static void look(struct rig *g, struct seen *s, bool digests)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
		struct account *a = g->acct[i].wanted ? rig_account(g, i) : NULL;

		if (!a)
			continue;
		s->end[i] = account_end(a);
		s->published[i] = account_published(a);
		if (digests)
			account_digest(a, s->digest[i]);
	}
}

static void publish_and_judge(struct judge *j)
{
	struct rig *g = j->g;

	for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
		struct account *a = g->acct[i].wanted ? rig_account(g, i) : NULL;

		if (!a)
			continue;
		rig_publish(g, i, account_end(a).seq);
		claim(j, account_quiet(a), "%s: not all could be published",
		      g->acct[i].name);
		judge_state(j, i, a);
	}
}

/* More records after the recovery, then a clean stop. */
static void go_on(struct judge *j)
{
	struct rig *g = j->g;

	for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
		const char *inbox = "INBOX";
		struct account *a;

		if (!g->acct[i].wanted || !(a = rig_account(g, i)))
			continue;
		g->acct[i].cut_to = UINT64_MAX;
		g->acct[i].accepted = account_end(a).seq;
		rig_epoch(g, i);
		if (g->acct[i].accepted > 1 &&
		    !account_mailbox_id(a, rig_mbox(i, "INBOX"))) {
			inbox = RIG_INBOX_2;
			if (!account_exists(a))
				rig_account_create(g, i);
		}
		rig_add(g, i, inbox, "After the recovery\r\n\r\nGood.\r\n");
	}
	rig_turn(g);
	rig_publish_all(g);
}

static void judge_disk(struct judge *j)
{
	struct rig *g = j->g;
	struct seen first, second;
	const char *wrong;

	if (!reopen(j, "recovery"))
		return;
	judge_all(j, true);
	look(g, &first, false);
	rig_die(g);
	if (!reopen(j, "second recovery"))
		return;
	look(g, &second, false);
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++)
		claim(j, position_eq(first.end[i], second.end[i]) &&
			 position_eq(first.published[i], second.published[i]),
		      "user%u: the second recovery gives another position", i);
	publish_and_judge(j);
	wrong = j->check ? j->check(g) : NULL;
	claim(j, !wrong, "%s", wrong);
	go_on(j);
	publish_and_judge(j);
	look(g, &first, true);
	rig_close(g);
	if (!reopen(j, "after a clean stop"))
		return;
	look(g, &second, true);
	claim(j, memcmp(&first, &second, sizeof(first)) == 0,
	      "a clean stop changed something");
	publish_and_judge(j);
	claim(j, !g->failed, "the store failed: %s", g->failed_why);
}

unsigned crash_judge(struct rig *g, const struct rig *ref, const char *where)
{
	struct judge j = {.g = g, .ref = ref, .where = where};

	judge_disk(&j);
	return j.failures;
}

/* --- enumeration --------------------------------------------------------------------------- */

struct enumeration {
	const struct crash_scenario *s;
	struct rig ref;
	struct crash_result *out;
	unsigned every, depth2;
	uint64_t number;
};

static const char *keep_text(struct simdisk_keep k)
{
	static const char *const names[] = {"none", "all", "prefix", "only",
					    "all but", "torn", "random"};

	return names[k.kind];
}

/* Recovers a copy of the disk as power loss left it. */
static void try_one(struct enumeration *x, struct rig *dead, uint64_t k,
		    bool after, const struct simdisk_keep *keep)
{
	struct simdisk *disk = simdisk_clone(dead->disk);
	struct rig *g = xmalloc(sizeof(*g));
	char where[200];
	struct judge j = {.g = g, .ref = &x->ref, .where = where,
			  .check = x->s->check};

	if (keep)
		simdisk_power_loss(disk, *keep);
	simdisk_revive(disk);
	rig_fork(g, dead, disk);
	snprintf(where, sizeof(where), "%s, %s call %" PRIu64 ", keep %s %zu",
		 x->s->name, after ? "after" : "before", k,
		 keep ? keep_text(*keep) : "everything (process died)",
		 keep ? keep->i : 0);
	judge_disk(&j);
	if (j.failures && x->out->failures < TOLD_MAX) {
		struct buf b;

		buf_init(&b, 1 << 20);
		simdisk_print_pending(dead->disk, &b);
		fprintf(stderr, "%.*s", (int)b.n, (char *)b.p);
		buf_fini(&b);
	}
	x->out->failures += j.failures != 0;
	x->out->modelled += j.modelled;
	x->out->crashes++;
	rig_fini(g);
	free(g);
}

/* Crashes again at every call of the recovery of one such disk. */
static void try_depth2(struct enumeration *x, struct rig *dead, uint64_t k,
		       struct simdisk_keep first)
{
	for (uint64_t n = 1;; n++) {
		struct simdisk *disk = simdisk_clone(dead->disk);
		struct rig *g = xmalloc(sizeof(*g));
		struct err e = ERR_NONE;
		bool crashed;
		static const struct simdisk_keep keeps[] = {
			{KEEP_NONE, 0, 0}, {KEEP_ALL, 0, 0},
			{KEEP_RANDOM, 0, 7}};

		simdisk_power_loss(disk, first);
		simdisk_revive(disk);
		rig_fork(g, dead, disk);
		simdisk_crash_at(disk, simdisk_calls(disk) + n, n & 1);
		if (rig_open(g, &e) == 0) {
			struct rig_account saved[RIG_ACCOUNTS];

			memcpy(saved, g->acct, sizeof(saved));
			publish_and_judge(&(struct judge){
				.g = g, .ref = &x->ref, .failures = 99});
			rig_checkpoint(g);
			rig_turn(g);
			/* What it published may be seen. */
			for (unsigned i = 0; i < RIG_ACCOUNTS; i++)
				saved[i].publishing = g->acct[i].publishing;
			memcpy(g->acct, saved, sizeof(saved));
		}
		crashed = simdisk_dead(disk);
		simdisk_kill(disk);
		store_drop(g->store);
		g->store = NULL;
		for (size_t i = 0; crashed && i < ARRAY_LEN(keeps); i++) {
			x->out->deep++;
			try_one(x, g, k * 1000 + n, n & 1, &keeps[i]);
		}
		rig_fini(g);
		free(g);
		if (!crashed)
			return;
	}
}

static void try_keeps(struct enumeration *x, struct rig *dead, uint64_t k,
		      bool after)
{
	size_t n = simdisk_pending(dead->disk);
	struct simdisk_keep keep = {.kind = KEEP_NONE};
	size_t step = n > SINGLES_MAX ? n / SINGLES_MAX : 1;

	try_one(x, dead, k, after, NULL);
	try_one(x, dead, k, after, &keep);
	if (n == 0)
		return;
	keep.kind = KEEP_ALL;
	try_one(x, dead, k, after, &keep);
	for (size_t i = k % step; n > 1 && i < n; i += step) {
		keep = (struct simdisk_keep){.kind = KEEP_ONLY, .i = i};
		try_one(x, dead, k, after, &keep);
		keep.kind = KEEP_ALL_BUT;
		try_one(x, dead, k, after, &keep);
	}
	for (uint64_t seed = 1; seed <= 2; seed++) {
		keep = (struct simdisk_keep){KEEP_LAST_TORN, 0, seed + k};
		try_one(x, dead, k, after, &keep);
		keep.kind = KEEP_RANDOM;
		try_one(x, dead, k, after, &keep);
	}
	if (x->depth2 && ++x->number % x->depth2 == 0)
		for (int kind = 0; kind < 3; kind++)
			try_depth2(x, dead, k,
				   (struct simdisk_keep){
					   kind == 0 ? KEEP_NONE :
					   kind == 1 ? KEEP_ALL : KEEP_RANDOM,
					   0, k});
}

/* DUET_CRASH=EVERY/DEPTH2 */
static void read_options(struct enumeration *x)
{
	const char *text = getenv("DUET_CRASH");
	char *end;

	x->every = 1;
	x->depth2 = x->s->depth2 ? x->s->depth2 : CRASH_DEPTH2;
	if (!text || !*text)
		return;
	x->every = (unsigned)strtoul(text, &end, 10);
	if (*end == '/')
		x->depth2 = (unsigned)strtoul(end + 1, &end, 10);
	if (*end || x->every == 0) {
		fprintf(stderr, "crash: DUET_CRASH='%s' is not EVERY/DEPTH2\n",
			text);
		exit(1);
	}
}

/* Others in each scenario, but always the first and the last. */
static bool is_sampled(const struct enumeration *x, uint64_t k, uint64_t first,
		       uint64_t last)
{
	return k == first || k == last + 1 ||
	       (k + strlen(x->s->name)) % x->every == 0;
}

void crash_enumerate(const struct crash_scenario *s, struct crash_result *out)
{
	struct enumeration *x = xzalloc(sizeof(*x));
	uint64_t journal = s->journal ? s->journal : 256 * 1024, first, last;

	*out = (struct crash_result){0};
	x->s = s;
	x->out = out;
	read_options(x);
	rig_init(&x->ref, SEED, journal);
	x->ref.model = true;
	first = simdisk_calls(x->ref.disk) + 1;
	s->run(&x->ref);
	last = simdisk_calls(x->ref.disk);
	out->points = last - first + 1;
	for (uint64_t k = first; k <= last + 1; k++)
		for (int after = 0; after < (k > last ? 1 : 2); after++) {
			struct rig *g;

			if (!is_sampled(x, k, first, last))
				continue;
			g = xmalloc(sizeof(*g));

			rig_init(g, SEED, journal);
			simdisk_crash_at(g->disk, k, after);
			s->run(g);
			simdisk_kill(g->disk);
			store_drop(g->store);
			g->store = NULL;
			try_keeps(x, g, k, after);
			rig_fini(g);
			free(g);
		}
	rig_fini(&x->ref);
	free(x);
}

void crash_test(const struct crash_scenario *s)
{
	struct crash_result r;

	cu_timeout(CRASH_SECONDS);
	/* Disks come and go by the thousand: keep their memory. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	crash_enumerate(s, &r);
	printf("%s: %" PRIu64 " calls, %" PRIu64 " crashes, %" PRIu64
	       " of them in a recovery, %" PRIu64 " compared\n", s->name,
	       r.points, r.crashes, r.deep, r.modelled);
	CU_CLAIM(r.points > 5 && r.crashes > 4 && r.modelled > 0,
		 "nothing was tried");
	CU_EQ_INT(r.failures, 0);
}
