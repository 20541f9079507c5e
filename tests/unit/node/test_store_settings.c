#include "node/base/arena.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "node/store/store_role.h"
#include "storage/account_root.h"
#include "storage/store_private.h"
#include "sync/engine_private.h"
#include "tests/lib/cu.h"
#include "tests/lib/simclock.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Settings on their way from the configuration into a real store. */

#define DEADLINE 15
#define DAY (86400ull * USEC_PER_SEC)

static struct role role;
static struct store_node *n;
static char dir[CU_DIR_SIZE];
static struct simtime *sim;

static void on_message(void *arg, struct ipc_msg *m)
{
	(void)arg;
	(void)m;
}

static void on_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static void on_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

/* A configuration becomes the one in force, as at a reload. */
static void settings(const char *keep, const char *log_keep, const char *size)
{
	struct conf_opts opts = {.flags = CONF_NO_TREATMENT};
	struct conf *c = NULL;
	struct err e = ERR_NONE;
	char text[1000];

	snprintf(text, sizeof(text), "state_dir = %s/state\n"
		 "mail_location = sdbox:%s/mail/%%u\n"
		 "pair_journal_size = 1 M\npair_reserve = 0\n"
		 "pair_expunged_keep = %s\npair_log_keep = %s\n"
		 "pair_log_size = %s\nreplication_max_conns = 7\n", dir, dir,
		 keep, log_keep, size);
	CU_OK(conf_load_text("t.conf", slice_str(text), &opts, &c, &e), &e);
	CU_OK(role.ops->prepare(&role, c, role.started, &e), &e);
	role.conf = c;
	role.ops->commit(&role);
	n = role.impl;
}

static void make(const char *name)
{
	char path[CU_DIR_SIZE + 40];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	CU_EQ_INT(mkdir(path, 0700), 0);
}

static void start(const char *keep, const char *log_keep, const char *size)
{
	static const struct ipc_ops none = {.message = on_message,
					    .closed = on_closed};
	static struct simclock clock;
	struct log_opts log = {.ident = "duet", .role = "store",
			       .log_path = "/dev/stderr"};
	struct err e = ERR_NONE;
	static char path[CU_DIR_SIZE + 40];	/* role.mail_root */
	int fd[2];

	cu_dir(dir, sizeof(dir));
	make("state");
	make("state/journal");
	make("mail");
	snprintf(path, sizeof(path), "%s/mail", dir);
	sim = simtime_new();
	simclock_init(&clock, sim, 1600000000ull * USEC_PER_SEC);
	role = (struct role){.kind = ROLE_STORE, .n_store = 1, .n_front = 1,
			     .ops = store_role(), .mail_root = path};
	CU_EQ_INT(loop_new(&role.loop), 0);
	role.sys.fs = fsio_system(role.loop);
	role.sys.clock = &clock.clock;
	role.sys.rng = rng_system();
	role.identity.has = role.identity.trusted = true;
	role.identity.pair_time = 1500000000;
	memset(role.identity.pair_id.b, 7, 16);
	CU_OK(node_mark_write(role.sys.fs, path,
			      slice_of(role.identity.pair_id.b, 16), 0, &e),
	      &e);
	role.log = log_new(&log);
	log_capture(role.log, on_log, NULL);
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
			     SOCK_NONBLOCK, 0, fd), 0);
	role.super = ipc_new(role.loop, fd[0], &none, NULL);
	settings(keep, log_keep, size);
	role.started = true;
	CU_OK(role.ops->go(&role, &e), &e);
	close(fd[1]);
}

static int rm(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

/* The process ends with its store open, as processes may. */
static void end(void)
{
	CU_EQ_INT(nftw(dir, rm, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void the_settings_of_keeping_reach_the_store(void)
{
	start("3 days", "5 days", "2 M");
	CU_NEED(n->store);
	CU_EQ_U64(n->store->policy.expunged_keep_usec, 3 * DAY);
	CU_EQ_U64(n->store->policy.log_keep_usec, 5 * DAY);
	CU_EQ_U64(n->store->policy.log_size, 2u << 20);
	CU_CLAIM(!n->store->policy.partner, "alone");
	CU_EQ_INT(n->engine->o.max_conns, 7);
	settings("4 days", "6 days", "3 M");
	CU_EQ_U64(n->store->policy.expunged_keep_usec, 4 * DAY);
	CU_EQ_U64(n->store->policy.log_keep_usec, 6 * DAY);
	CU_EQ_U64(n->store->policy.log_size, 3u << 20);
	/* A partner joins: what it has not acked is kept. */
	role.identity.member = true;
	role.ops->identity(&role);
	CU_CLAIM(n->store->policy.partner, "it is known");
	end();
}

/* --- what they do ------------------------------------------------------------ */

struct waited {
	bool done;
	int result;
	struct account *a;
};

static void on_answer(void *arg, enum engine_verdict v, struct account *a,
		      const struct err *err)
{
	struct waited *w = arg;

	CU_CLAIM(v == ENGINE_SERVE, "%s", err ? err->op : "proxy");
	*w = (struct waited){true, v == ENGINE_SERVE ? 0 : -1, a};
}

static void on_done(void *arg, struct write *w, int result, bool unknown,
		    const struct err *err)
{
	(void)w;
	(void)unknown;
	(void)err;
	*(struct waited *)arg = (struct waited){true, result, NULL};
}

static void on_checkpoint(void *arg)
{
	((struct waited *)arg)->done = true;
}

static bool until(const struct waited *w)
{
	time_t late = time(NULL) + DEADLINE;

	while (!w->done && time(NULL) < late)
		loop_turn(role.loop, 20000);
	return CU_CLAIM(w->done && w->result == 0, "result %d", w->result);
}

static bool written(struct account *a, struct write *w)
{
	struct waited done = {0};

	engine_write(n->engine, a, w, on_done, &done);
	return until(&done);
}

static unsigned found;

static int count(const char *path, const struct stat *st, int kind,
		 struct FTW *f)
{
	(void)st;
	(void)f;
	found += kind == FTW_F && strstr(path, "/.expunged/");
	return 0;
}

static unsigned expunged_files(void)
{
	found = 0;
	nftw(dir, count, 16, FTW_PHYS);
	return found;
}

static void an_expunged_file_goes_when_the_setting_says_so(void)
{
	struct arena *ar = arena_new(4096);
	struct write_msg wm = {.internaldate = 1600000000};
	struct write add = {.kind = WRITE_DELIVER, .arena = ar,
			    .autocreate = true,
			    .name = SLICE_LIT("INBOX"), .msgs = &wm,
			    .n_msgs = 1};
	struct uid_range all = {1, UINT32_MAX};
	struct write expunge = {.kind = WRITE_EXPUNGE, .arena = ar,
				.name = SLICE_LIT("INBOX"), .uids = &all,
				.n_uids = 1};
	struct waited w = {0};
	char root[CU_DIR_SIZE + 40];
	struct account *a;

	start("3 days", "5 days", "2 M");
	CU_NEED(n->store);
	snprintf(root, sizeof(root), "%s/mail/u", dir);
	engine_ask(n->engine, account_id_of(slice_of(role.identity.pair_id.b, 16),
					    SLICE_LIT("u")), "u", root, true,
		   false, on_answer, &w);
	CU_NEED(until(&w));
	a = w.a;
	wm.body.data = SLICE_LIT("Subject: x\r\n\r\n");
	wm.body.size = wm.body.data.n;
	sha256(wm.body.data, wm.body.hash);
	CU_NEED(written(a, &add));
	expunge.mbox = add.result_mbox;
	CU_NEED(written(a, &expunge));
	w = (struct waited){0};
	store_checkpoint(n->store, on_checkpoint, &w);
	CU_NEED(until(&w));
	CU_EQ_INT(expunged_files(), 1);
	simtime_run(sim, simtime_now(sim) + 2 * DAY);
	store_periodic(n->store);
	CU_EQ_INT(expunged_files(), 1);
	settings("1 days", "5 days", "2 M");
	store_periodic(n->store);
	CU_EQ_INT(expunged_files(), 0);
	arena_free(ar);
	end();
}

CU_TESTS(CU_CASE(the_settings_of_keeping_reach_the_store),
	 CU_CASE(an_expunged_file_goes_when_the_setting_says_so))
