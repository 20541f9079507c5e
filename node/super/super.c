/* The supervisor: start, signals, end. */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "node/base/rng.h"
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_BUSY_TRIES 20
#define START_BUSY_USEC 100000

static unsigned count_of(const struct conf *c, const char *name,
			 unsigned otherwise, unsigned max)
{
	uint64_t n = conf_u64(c, NULL, name);

	if (n == 0)
		n = otherwise;
	return n > max ? max : (unsigned)n;
}

static void count_processes(struct super *s)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = cores < 1 ? 1 : cores > 4 ? 4 : (unsigned)cores;

	s->n_store = count_of(s->conf, "pair_store_processes", n,
			      SUPER_STORES_MAX);
	s->n_front = count_of(s->conf, "pair_front_processes",
			      s->n_store / 2 ? s->n_store / 2 : 1,
			      SUPER_FRONTS_MAX);
}

static int load(struct super *s, const struct super_opts *o, struct err *e)
{
	struct conf_opts co = {.over = o->over, .n_over = o->n_over};
	struct conf_location loc;
	struct arena *a;
	int r;

	s->over = o->over;
	s->n_over = o->n_over;
	s->path = realpath(o->conf_path, NULL);
	if (!s->path)
		return err_set(e, -errno, "%s: %s", o->conf_path,
			       strerror(errno));
	if (conf_load(s->path, &co, &s->conf, e) < 0)
		return e->code;
	s->base_dir = xstrdup(conf_base_dir(s->conf));
	s->state_dir = xstrdup(conf_str(s->conf, NULL, "state_dir"));
	a = arena_new(1024);
	r = conf_location_parse(conf_str(s->conf, NULL, "mail_location"), a,
				&loc, e);
	if (r == 0 && !loc.format[0])
		r = err_set(e, E_CONFIG, "mail_location is not set: set for "
			    "example mail_location = sdbox:/var/mail/%%n/");
	if (r == 0)
		s->mail_root = xstrdup(conf_mail_root(loc.path, a));
	arena_free(a);
	if (r < 0)
		return r;
	count_processes(s);
	return owner_find(s->conf, &s->owner, e);
}

static void say_notes(struct super *s)
{
	const struct conf_note *notes;
	size_t n = conf_notes(s->conf, &notes);

	for (size_t i = 0; i < n; i++) {
		bool warn = notes[i].severity == CONF_WARNING;

		if (notes[i].file[0])
			log_event(s->log, warn ? LOG_WARN : LOG_INF,
				  "config_note", NULL, "%s line %u: %s",
				  notes[i].file, notes[i].line, notes[i].text);
		else
			log_event(s->log, warn ? LOG_WARN : LOG_INF,
				  "config_note", NULL, "%s", notes[i].text);
	}
}

/* ---- recovery ------------------------------------------------------------ */

/* Accounts that are told of one by one; the rest are counted. */
#define RECOVER_LINES_MAX 50u

static void recover_news(void *arg, enum store_news what, struct id128 id,
			 const char *name, const char *text)
{
	struct super *s = arg;
	char hex[33];

	if (s->recover_news++ >= RECOVER_LINES_MAX)
		return;
	hex_of(id.b, 16, hex);
	if (what == STORE_HEALED)
		log_event(s->log, LOG_WARN, "account_healed",
			  *name ? name : hex, "%s", text);
	else
		log_event(s->log, LOG_ERR, "account_parked",
			  *name ? name : hex, "parked, the others go on: %s",
			  text);
}

static void recover_progress(void *arg, const char *text)
{
	struct super *s = arg;
	char status[300];

	log_event(s->log, s->accept_loss ? LOG_WARN : LOG_INF, "recovered",
		  NULL, "%s", text);
	if (s->accept_loss)
		fprintf(stderr, "duetd: %s\n", text);
	snprintf(status, sizeof(status), "STATUS=recovering: %s", text);
	loop_notify(status);
}

static int recover_as_owner(struct super *s, struct err *e)
{
	int r;
	struct store_opts o = {
		.sys = &s->sys,
		.pair_id = slice_of(s->identity.pair_id.b, 16),
		.pair_time = s->identity.pair_time,
		.node = s->identity.index,
		.state_dir = s->state_dir,
		.mail_root = s->mail_root,
		.processes = s->n_store,
		.journal_size = conf_size(s->conf, NULL, "pair_journal_size"),
		.journal_inline =
			(uint32_t)conf_size(s->conf, NULL,
					    "pair_journal_inline"),
		.reserve = conf_size(s->conf, NULL, "pair_reserve"),
		.accept_loss = s->accept_loss,
		.news = recover_news, .arg = s,
	};

	r = store_recover_all(&o, recover_progress, s, e);
	if (s->recover_news > RECOVER_LINES_MAX)
		log_event(s->log, LOG_ERR, "account_parked", NULL,
			  "and %u more accounts",
			  s->recover_news - RECOVER_LINES_MAX);
	return r;
}

/* Journals of an identity-less node cannot exist. */
static int recover(struct super *s, struct err *e)
{
	if (!s->identity.has)
		return 0;
	loop_notify("STATUS=recovering: journals are replayed");
	if (super_as_owner(s, recover_as_owner, e) < 0) {
		err_prefix(e, "recovery");
		if (e->code == E_CORRUPT && !s->accept_loss)
			fprintf(stderr, "duetd: 'duetd --recover --accept-loss' "
				"sets a corrupt journal aside; duetd(8) says "
				"what that costs\n");
		return e->code;
	}
	return 0;
}

/* ---- signals ---------------------------------------------------------------*/

static void on_term(void *arg)
{
	super_stop(arg, 0);
}

static void on_hup(void *arg)
{
	super_reload(arg, NULL, NULL);
}

static void on_usr1(void *arg)
{
	super_reopen_logs(arg);
}

static void on_ping(void *arg)
{
	struct super *s = arg;

	child_ping_all(s);
	loop_timer_set(s->ping, SUPER_PING_USEC);
}

void super_serving(struct super *s)
{
	char text[300];

	if (!s->serving) {
		s->serving = true;
		loop_notify("READY=1");
		log_event(s->log, LOG_INF, "started", NULL,
			  "Duet %s (%s) started: %u store, %u front processes",
			  DUET_VERSION, DUET_REVISION, s->n_store, s->n_front);
		if (s->ready_fd >= 0) {
			(void)!write(s->ready_fd, "1", 1);
			close(s->ready_fd);
			s->ready_fd = -1;
		}
	}
	snprintf(text, sizeof(text), "STATUS=%s",
		 s->status[0] ? s->status : "serving");
	loop_notify(text);
}

void super_ended(struct super *s, int code)
{
	s->exit_code = code;
	loop_stop(s->loop, code);
}

/* Every client is a descriptor, in front and store. */
static void raise_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int prepare(struct super *s, const struct super_opts *o, struct err *e)
{
	struct log_opts lo;

	s->lock_fd = -1;
	for (unsigned i = 0; i < ROLE_LOGS; i++)
		s->log_fds[i] = -1;
	list_init(&s->admins);
	s->sys = (struct sys){.fs = fsio_system(NULL), .clock = clock_system(),
			      .rng = rng_system()};
	s->foreground = o->foreground;
	s->accept_loss = o->accept_loss;
	s->ready_fd = o->ready_fd;
	s->also_stderr = o->foreground && isatty(STDERR_FILENO);
	if (load(s, o, e) < 0)
		return e->code;
	s->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (s->exe_fd < 0)
		return err_set(e, -errno, "/proc/self/exe: %s",
			       strerror(errno));
	role_log_opts(s->conf, "master", false, s->also_stderr, &lo);
	s->log = log_new(&lo);
	super_open_logs(s);
	raise_limits();
	if (super_dirs_make(s, e) < 0 || super_identity_load(s, e) < 0 ||
	    super_mail_root(s, false, e) < 0 || recover(s, e) < 0)
		return e->code;
	return 0;
}

/* After a supervisor was killed its children need a moment to die and to let
 * go of their sockets. */
static int open_listeners(struct super *s, struct listen_change *ch,
			  struct err *e)
{
	for (int i = 0; super_listen_prepare(s, s->conf, ch, e) < 0; i++) {
		if (e->code != -EADDRINUSE || i == START_BUSY_TRIES)
			return e->code;
		*e = ERR_NONE;
		usleep(START_BUSY_USEC);
	}
	return 0;
}

static int start(struct super *s, struct err *e)
{
	struct listen_change ch;

	loop_signal(s->loop, SIGTERM, on_term, s);
	loop_signal(s->loop, SIGINT, on_term, s);
	loop_signal(s->loop, SIGHUP, on_hup, s);
	loop_signal(s->loop, SIGUSR1, on_usr1, s);
	if (open_listeners(s, &ch, e) < 0)
		return e->code;
	child_init(s);
	super_listen_commit(s, &ch);
	for (unsigned i = 0; i < s->n_children; i++)
		if (child_start(&s->children[i], e) < 0)
			return e->code;
	s->ping = loop_timer_new(s->loop, SUPER_PING_USEC, on_ping, s);
	loop_watchdog(s->loop);
	return 0;
}

static void fini(struct super *s)
{
	for (unsigned i = 0; i < s->n_children; i++) {
		ipc_free(s->children[i].ipc);
		ipc_free(s->children[i].files);
		loop_timer_free(s->children[i].restart);
	}
	loop_timer_free(s->ping);
	super_admin_end_all(s);
	if (s->stop)
		super_stop_free(s->stop);
	if (s->conf)
		super_listen_close_all(s);
	if (s->base_dir)
		super_dirs_clean(s);
	if (s->loop)
		loop_free(s->loop);
	log_free(s->log);
	conf_unref(s->conf);
	if (s->sys.fs)
		fsio_system_free(s->sys.fs);
	free(s->base_dir);
	free(s->state_dir);
	free(s->empty_dir);
	free(s->mail_root);
	free((char *)(uintptr_t)s->path);
}

int super_main(const struct super_opts *o)
{
	struct super s = {0};
	struct err e = ERR_NONE;

	signal(SIGPIPE, SIG_IGN);
	/* Directories on the way to ours are for everybody to pass; what is
	 * private says so itself. */
	umask(022);
	if (prepare(&s, o, &e) < 0)
		goto failed;
	say_notes(&s);
	if (loop_new(&s.loop) < 0) {
		err_set(&e, E_TEMP, "no event loop");
		goto failed;
	}
	if (start(&s, &e) < 0)
		goto failed;
	loop_run(s.loop);
	log_event(s.log, LOG_INF, "stopped", NULL, "Stopped");
	fini(&s);
	return s.exit_code;
failed:
	fprintf(stderr, "duetd: Fatal: %s\n", e.op);
	if (s.log && !s.also_stderr)
		log_event(s.log, LOG_FATAL, "start_failed", NULL, "%s", e.op);
	fini(&s);
	return e.code == E_CONFIG ? 89 : 1;
}

int super_recover(const struct super_opts *o)
{
	struct super s = {0};
	struct err e = ERR_NONE;

	umask(022);
	if (prepare(&s, o, &e) < 0) {
		fprintf(stderr, "duetd: Fatal: %s\n", e.op);
		fini(&s);
		return 1;
	}
	fini(&s);
	printf("all journals are replayed\n");
	return 0;
}
