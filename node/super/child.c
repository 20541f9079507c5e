/*
 * Child processes: fork and exec of ourselves, channels between them, restart
 * with back-off, the watch over those that must answer.
 */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_restart(void *arg);

bool child_alive(const struct child *c)
{
	return c->ipc && c->pid > 0 &&
	       (c->state == CHILD_STARTING || c->state == CHILD_READY ||
		c->state == CHILD_STOPPING);
}

struct child *child_find(struct super *s, enum ipc_role kind, unsigned index)
{
	for (unsigned i = 0; i < s->n_children; i++)
		if (s->children[i].kind == kind && s->children[i].index == index)
			return &s->children[i];
	return NULL;
}

void child_tell(struct child *c, enum ipc_type type, uint64_t stream,
		const struct ipc_head *h, int fd)
{
	if (!c->ipc || ipc_say(c->ipc, type, stream, h, SLICE_NONE, fd) < 0) {
		if (fd >= 0)
			close(fd);
	}
}

static void child_add(struct super *s, enum ipc_role kind, unsigned index)
{
	struct child *c = &s->children[s->n_children++];

	*c = (struct child){.super = s, .kind = kind, .index = index};
}

void child_init(struct super *s)
{
	s->n_children = 0;
	child_add(s, ROLE_AUTH, 0);
	child_add(s, ROLE_SYNC, 0);
	for (unsigned i = 0; i < s->n_store; i++)
		child_add(s, ROLE_STORE, i);
	for (unsigned i = 0; i < s->n_front; i++)
		child_add(s, ROLE_FRONT, i);
}

/* design.md section 9, IPC: who talks to whom. */
static bool related(const struct child *a, const struct child *b)
{
	unsigned both = 1u << a->kind | 1u << b->kind;

	if (a == b)
		return false;
	return both == (1u << ROLE_FRONT | 1u << ROLE_AUTH) ||
	       both == (1u << ROLE_FRONT | 1u << ROLE_STORE) ||
	       both == (1u << ROLE_FRONT | 1u << ROLE_SYNC) ||
	       both == (1u << ROLE_STORE | 1u << ROLE_AUTH) ||
	       both == (1u << ROLE_STORE | 1u << ROLE_SYNC) ||
	       both == 1u << ROLE_STORE;
}

static void connect_pair(struct child *a, struct child *b)
{
	struct ipc_head to_a = {.role = b->kind, .index = b->index};
	struct ipc_head to_b = {.role = a->kind, .index = a->index};
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0) {
		log_event(a->super->log, LOG_ERR, "socketpair_failed", NULL,
			  "socketpair: %s", strerror(errno));
		return;
	}
	child_tell(a, IPC_PEER, 0, &to_a, fd[0]);
	child_tell(b, IPC_PEER, 0, &to_b, fd[1]);
}

static unsigned secrets_of(enum ipc_role kind)
{
	switch (kind) {
	case ROLE_FRONT:
		return CONF_SECRET_TLS;
	case ROLE_AUTH:
		return CONF_SECRET_AUTH;
	case ROLE_SYNC:
		return CONF_SECRET_LINK;
	default:
		return 0;
	}
}

static int memory_file(struct slice s, struct err *e)
{
	int fd = memfd_create("duet-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t at = 0;

	if (fd < 0)
		return err_set(e, -errno, "memfd_create: %s", strerror(errno));
	while (at < s.n) {
		ssize_t n = write(fd, s.p + at, s.n - at);

		if (n <= 0) {
			int r = err_set(e, n < 0 ? -errno : -EIO,
					"memory file: %s", strerror(errno));
			close(fd);
			return r;
		}
		at += (size_t)n;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

/* uid, gid and root directory of a role: the table of privs.h. */
static void config_head(struct child *c, struct arena *a, struct ipc_head *h,
			struct ipc_field *f)
{
	struct super *s = c->super;
	const struct owner *o = &s->owner;
	bool jail = (c->kind == ROLE_FRONT || c->kind == ROLE_SYNC) &&
		    conf_bool(s->conf, NULL, "pair_chroot");

	h->index = s->n_store | s->n_front << 16;
	h->value = c->kind == ROLE_FRONT ? o->login_uid :
		   c->kind == ROLE_AUTH ? o->internal_uid : o->mail_uid;
	h->value2 = c->kind == ROLE_FRONT ? o->login_gid :
		    c->kind == ROLE_AUTH ? o->internal_gid : o->mail_gid;
	h->fields = f;
	if (o->root) {
		f[h->n_fields++] = (struct ipc_field){"root", "1"};
		if (jail)
			f[h->n_fields++] =
				(struct ipc_field){"chroot", s->empty_dir};
	}
	if (c->kind == ROLE_SYNC && super_has_accounts(s))
		f[h->n_fields++] = (struct ipc_field){"accounts", "1"};
	if (s->also_stderr)
		f[h->n_fields++] = (struct ipc_field){"stderr", "1"};
	f[h->n_fields++] = (struct ipc_field){"mail_root", s->mail_root};
	f[h->n_fields++] = (struct ipc_field){
		"mail_uid", arena_printf(a, "%lu", (unsigned long)o->mail_uid)};
	f[h->n_fields++] = (struct ipc_field){
		"mail_gid", arena_printf(a, "%lu", (unsigned long)o->mail_gid)};
}

int child_send_config(struct child *c, struct conf *conf, bool reload,
		      struct err *e)
{
	struct ipc_head h = {.flags = reload};
	struct ipc_field f[8];
	struct arena *a;
	struct buf b;
	int fd;

	buf_init(&b, 2ull * CONF_TOTAL_MAX);
	if (conf_encode(conf, secrets_of(c->kind), &b, e) < 0) {
		buf_fini(&b);
		return e->code;
	}
	fd = memory_file(buf_all(&b), e);
	buf_fini(&b);
	if (fd < 0)
		return fd;
	a = arena_new(256);
	config_head(c, a, &h, f);
	child_tell(c, IPC_CONFIG, 0, &h, fd);
	arena_free(a);
	return 0;
}

void child_go(struct child *c)
{
	struct super *s = c->super;

	for (size_t i = 0; i < s->n_listeners; i++)
		if (super_listener_for(s->listeners[i], c->kind))
			super_listen_send(s, c, s->listeners[i]);
	child_tell(c, IPC_GO, 0, NULL, -1);
}

static bool all_ready(struct super *s, bool with_fronts)
{
	for (unsigned i = 0; i < s->n_children; i++)
		if (s->children[i].state != CHILD_READY &&
		    (with_fronts || s->children[i].kind != ROLE_FRONT))
			return false;
	return true;
}

static void on_ready(struct child *c)
{
	struct super *s = c->super;

	c->state = CHILD_READY;
	c->missed = 0;
	if (c->kind != ROLE_FRONT && all_ready(s, false))
		for (unsigned i = 0; i < s->n_children; i++)
			if (s->children[i].kind == ROLE_FRONT &&
			    s->children[i].state == CHILD_STARTING)
				child_go(&s->children[i]);
	if (all_ready(s, true))
		super_serving(s);
}

static void on_identity_write(struct child *c, struct ipc_msg *m,
			      const struct ipc_head *h)
{
	struct super *s = c->super;
	struct node_identity id;
	struct err e = ERR_NONE;
	bool other_pair;

	(void)m;
	if (c->kind != ROLE_SYNC || identity_decode(h->data, &id, &e) < 0 ||
	    identity_check_change(&s->identity, &id, &e) < 0) {
		log_event(s->log, LOG_ERR, "identity_refused", NULL,
			  "Identity from %s is refused: %s",
			  ipc_role_name(c->kind), e.op);
		return;
	}
	other_pair = !id128_eq(id.pair_id, s->identity.pair_id) ||
		     id.index != s->identity.index;
	if (identity_write(&s->sys, s->state_dir, &id, &e) < 0) {
		log_event(s->log, LOG_ERR, "identity_not_written", NULL, "%s",
			  e.op);
		return;
	}
	s->identity = id;
	/* The provisional identity that is dropped had marked the mail root. */
	if (other_pair && super_mail_root(s, true, &e) < 0)
		log_event(s->log, LOG_ERR, "mail_root_not_marked", NULL, "%s",
			  e.op);
	for (unsigned i = 0; i < s->n_children; i++)
		child_tell(&s->children[i], IPC_IDENTITY, 0, h, -1);
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct child *c = arg;
	struct super *s = c->super;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (ipc_head_decode(m->head, a, &h, &e) < 0) {
		log_event(s->log, LOG_ERR, "ipc_broken", NULL,
			  "%s process %u: %s", ipc_role_name(c->kind),
			  c->index, e.op);
		kill(c->pid, SIGKILL);
		goto out;
	}
	switch (m->type) {
	case IPC_CONFIG_OK:
	case IPC_CONFIG_BAD:
		reload_answer(s, c, m->type == IPC_CONFIG_OK, h.text);
		break;
	case IPC_READY:
		on_ready(c);
		break;
	case IPC_PONG:
		c->missed = 0;
		break;
	case IPC_STOPPED:
		c->drained = true;
		stop_child_done(s, c);
		break;
	case IPC_FATAL:
		log_event(s->log, LOG_ERR, "child_failed", NULL,
			  "%s process: %s", ipc_role_name(c->kind), h.text);
		if (!s->serving)
			fprintf(stderr, "duetd: Fatal: %s\n", h.text);
		break;
	case IPC_IDENTITY_WRITE:
		on_identity_write(c, m, &h);
		break;
	case IPC_STATUS:
		snprintf(s->status, sizeof(s->status), "%s", h.text);
		super_serving(s);
		break;
	case IPC_RESOLVE:
		child_tell(child_find(s, ROLE_AUTH, 0), IPC_RESOLVE, m->stream,
			   &h, -1);
		break;
	case IPC_RESOLVED:
		child_tell(child_find(s, ROLE_SYNC, 0), IPC_RESOLVED, m->stream,
			   &h, -1);
		break;
	}
out:
	if (m->fd >= 0)
		close(m->fd);
	arena_free(a);
}

static void on_closed(void *arg, const struct err *e)
{
	struct child *c = arg;

	(void)e;
	/* Its end is reported by SIGCHLD; a child that only closed its channel
	 * is of no use any more. */
	ipc_free(TAKE(c->ipc));
	if (c->pid > 0 && c->state != CHILD_STOPPING)
		kill(c->pid, SIGKILL);
}

static const struct ipc_ops child_ops = {
	.message = on_message, .closed = on_closed,
};

static void describe(int status, char *out, size_t n)
{
	if (WIFSIGNALED(status))
		snprintf(out, n, "killed with signal %d%s", WTERMSIG(status),
			 WCOREDUMP(status) ? " (core dumped)" : "");
	else
		snprintf(out, n, "returned error %d", WEXITSTATUS(status));
}

/* Three ends within a minute: somebody else should serve these accounts. */
static bool crashes_often(struct child *c, uint64_t now)
{
	c->crashes[2] = c->crashes[1];
	c->crashes[1] = c->crashes[0];
	c->crashes[0] = now;
	return c->crashes[2] && now - c->crashes[2] < 60 * USEC_PER_SEC;
}

static void plan_restart(struct child *c)
{
	struct super *s = c->super;
	uint64_t now = clock_mono(s->sys.clock), wait = 0;

	if (now - c->started_usec > SUPER_RAN_WELL_USEC)
		c->quick = 0;
	if (c->quick > 0) {
		wait = USEC_PER_SEC << (c->quick < 7 ? c->quick - 1 : 6);
		if (wait > SUPER_BACKOFF_MAX_USEC)
			wait = SUPER_BACKOFF_MAX_USEC;
	}
	c->quick++;
	c->restarts++;
	if (c->restart)
		loop_timer_set(c->restart, wait);
	else
		c->restart = loop_timer_new(s->loop, wait, child_restart, c);
}

static void on_exit_of(void *arg, pid_t pid, int status)
{
	struct child *c = arg;
	struct super *s = c->super;
	char how[64];

	if (pid != c->pid)
		return;
	c->pid = 0;
	ipc_free(TAKE(c->ipc));
	ipc_free(TAKE(c->files));
	describe(status, how, sizeof(how));
	if (s->stopping) {
		if (status != 0 && !c->drained)
			log_event(s->log, LOG_ERR, "child_died", NULL,
				  "%s process %u %s while stopping",
				  ipc_role_name(c->kind), c->index, how);
		c->state = CHILD_NONE;
		c->drained = true;
		stop_child_done(s, c);
		return;
	}
	c->state = CHILD_NONE;
	log_event(s->log, LOG_ERR, "child_died", NULL,
		  "%s process %u (pid %d) %s%s", ipc_role_name(c->kind),
		  c->index, (int)pid, how,
		  c->killed_silent ? " because it did not answer" : "");
	reload_child_gone(s, c);
	if (!s->serving && s->status[0] == 0 && c->restarts >= 2) {
		/* It never came up: the start has failed. */
		super_ended(s, 1);
		return;
	}
	if (c->kind == ROLE_STORE &&
	    (crashes_often(c, clock_mono(s->sys.clock)) || c->killed_silent)) {
		struct ipc_head h = {.index = c->index, .value = 1};

		child_tell(child_find(s, ROLE_SYNC, 0), IPC_RESIGN, 0, &h, -1);
	}
	c->killed_silent = false;
	plan_restart(c);
}

static void exec_role(struct super *s, struct child *c, int fd, char **envp)
{
	char index[16], fd_text[16];
	char *argv[] = {
		(char *)(uintptr_t)"duetd", (char *)(uintptr_t)"--role",
		(char *)(uintptr_t)ipc_role_name(c->kind),
		(char *)(uintptr_t)"--index", index,
		(char *)(uintptr_t)"--fd", fd_text, NULL,
	};
	sigset_t none;
	int exe;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Above the descriptors of the logs, which have fixed numbers. */
	fd = fcntl(fd, F_DUPFD, ROLE_LOG_FD + ROLE_LOGS);
	exe = fcntl(s->exe_fd, F_DUPFD_CLOEXEC, ROLE_LOG_FD + ROLE_LOGS);
	for (int i = 0; i < ROLE_LOGS; i++)
		if (s->log_fds[i] >= 0)
			dup2(s->log_fds[i], ROLE_LOG_FD + i);
	snprintf(index, sizeof(index), "%u", c->index);
	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	fexecve(exe, argv, envp);
	_exit(127);
}

/* import_environment: NAME or NAME=VALUE. */
static char **environment(struct super *s, struct arena *a)
{
	const char *p = conf_str(s->conf, NULL, "import_environment");
	char **v = arena_zalloc(a, 66 * sizeof(*v));
	size_t n = 0;

	while (*p && n < 64) {
		size_t len = strcspn(p, " \t");
		char *w = arena_strndup(a, p, len);

		if (len && strchr(w, '='))
			v[n++] = w;
		else if (len && getenv(w))
			v[n++] = arena_printf(a, "%s=%s", w, getenv(w));
		p += len;
		p += strspn(p, " \t");
	}
	return v;
}

/* Questions for files come over a channel of their own: they are asked in
 * threads that block. */
static void files_closed(void *arg, const struct err *e)
{
	struct child *c = arg;

	(void)e;
	ipc_free(TAKE(c->files));
}

static void files_message(void *arg, struct ipc_msg *m)
{
	struct child *c = arg;
	struct arena *a = arena_new(512);
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (m->fd >= 0)
		close(m->fd);
	if (m->type == IPC_READ && ipc_head_decode(m->head, a, &h, &e) == 0)
		super_rootfile(c->super, c->files, &h);
	arena_free(a);
}

static const struct ipc_ops files_ops = {
	.message = files_message, .closed = files_closed,
};

static void open_files_channel(struct child *c)
{
	struct ipc_head h = {.role = ROLE_SUPER};
	int fd[2];

	ipc_free(TAKE(c->files));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return;
	c->files = ipc_new(c->super->loop, fd[0], &files_ops, c);
	child_tell(c, IPC_PEER, 0, &h, fd[1]);
}

int child_start(struct child *c, struct err *e)
{
	struct super *s = c->super;
	struct arena *a;
	uint8_t id[IDENTITY_SIZE];
	struct ipc_head h = {0};
	char **envp;
	int fd[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return err_set(e, -errno, "socketpair: %s", strerror(errno));
	a = arena_new(4096);
	envp = environment(s, a);
	pid = fork();
	if (pid == 0)
		exec_role(s, c, fd[1], envp);
	arena_free(a);
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		return err_set(e, -errno, "fork: %s", strerror(errno));
	}
	c->pid = pid;
	c->state = CHILD_STARTING;
	c->started_usec = clock_mono(s->sys.clock);
	c->missed = 0;
	c->ipc = ipc_new(s->loop, fd[0], &child_ops, c);
	loop_child(s->loop, pid, on_exit_of, c);
	if (child_send_config(c, s->conf, false, e) < 0)
		return e->code;
	if (c->kind == ROLE_AUTH && s->owner.root)
		open_files_channel(c);
	child_tell(c, IPC_COMMIT, 0, NULL, -1);
	identity_encode(&s->identity, id);
	h.data = slice_of(id, sizeof(id));
	child_tell(c, IPC_IDENTITY, 0, &h, -1);
	for (unsigned i = 0; i < s->n_children; i++)
		if (related(c, &s->children[i]) && child_alive(&s->children[i]))
			connect_pair(c, &s->children[i]);
	if (c->kind != ROLE_FRONT || s->serving)
		child_go(c);
	return 0;
}

static void child_restart(void *arg)
{
	struct child *c = arg;
	struct err e = ERR_NONE;

	if (c->super->stopping || c->pid > 0)
		return;
	if (child_start(c, &e) < 0) {
		log_event(c->super->log, LOG_ERR, "child_not_started", NULL,
			  "%s process %u: %s", ipc_role_name(c->kind),
			  c->index, e.op);
		if (c->pid <= 0)
			plan_restart(c);
	}
}

static unsigned missed_max(const struct child *c)
{
	return c->kind == ROLE_STORE ? SUPER_STORE_MISSED :
	       c->kind == ROLE_SYNC ? SUPER_SYNC_MISSED : SUPER_OTHER_MISSED;
}

void child_ping_all(struct super *s)
{
	struct ipc_msg m = {.type = IPC_PING, .seq = ++s->ping_seq, .fd = -1};

	for (unsigned i = 0; i < s->n_children; i++) {
		struct child *c = &s->children[i];

		if (c->state != CHILD_READY || !c->ipc)
			continue;
		/* Counted in our own turns: a supervisor that slept finds no
		 * silence when it wakes. */
		if (++c->missed > missed_max(c)) {
			log_event(s->log, LOG_ERR, "child_silent", NULL,
				  "%s process %u (pid %d) does not answer, "
				  "killing it", ipc_role_name(c->kind),
				  c->index, (int)c->pid);
			c->killed_silent = true;
			c->missed = 0;
			kill(c->pid, SIGKILL);
			continue;
		}
		ipc_send(c->ipc, &m);
	}
}
