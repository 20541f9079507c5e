/* The common life of the child processes. */

#include "node/role.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"
#include "node/base/rng.h"
#include "node/super/privs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

unsigned role_store_of(const struct role *r, struct id128 account)
{
	return node_link_process_of(account, r->n_store ? r->n_store : 1);
}

const char *role_log_path(const struct conf *c, unsigned which)
{
	static const char *const names[ROLE_LOGS] = {
		"log_path", "info_log_path", "debug_log_path",
	};

	return conf_str(c, NULL, names[which]);
}

bool role_log_is_file(const char *path)
{
	return path[0] == '/' && strcmp(path, "/dev/stderr") != 0;
}

void role_log_opts(const struct conf *c, const char *role, bool child,
		   bool also_stderr, struct log_opts *o)
{
	static const char *const passed[ROLE_LOGS] = {"fd:10", "fd:11",
						      "fd:12"};
	const char *path[ROLE_LOGS];

	for (unsigned i = 0; i < ROLE_LOGS; i++) {
		path[i] = role_log_path(c, i);
		if (child && role_log_is_file(path[i]))
			path[i] = passed[i];
	}
	*o = (struct log_opts){
		.ident = conf_str(c, NULL, "instance_name"),
		.role = role,
		.log_path = path[0],
		.info_log_path = path[1],
		.debug_log_path = path[2],
		.timestamp = conf_str(c, NULL, "log_timestamp"),
		.facility = conf_str(c, NULL, "syslog_facility"),
		.also_stderr = also_stderr,
		.debug = conf_bool(c, NULL, "mail_debug") ||
			 conf_bool(c, NULL, "auth_debug"),
	};
}

void role_tell(struct role *r, enum ipc_type type, uint64_t stream,
	       const struct ipc_head *h)
{
	ipc_say(r->super, type, stream, h, SLICE_NONE, -1);
}

void role_fatal(struct role *r, const struct err *e)
{
	struct ipc_head h = {.text = e->op, .code = e->code};

	if (r->log)
		log_event(r->log, LOG_FATAL, "process_failed", NULL, "%s",
			  e->op);
	role_tell(r, IPC_FATAL, 0, &h);
	loop_stop(r->loop, 1);
}

void role_stopped(struct role *r)
{
	ipc_note(r->super, IPC_STOPPED, 0);
}

/* conf_encode() bytes from the memory file. */
static int conf_from(int fd, struct conf **out, struct err *e)
{
	struct stat st;
	uint8_t *p;
	size_t got = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "configuration: fstat: %s",
			       strerror(errno));
	if (st.st_size < 0 || (uint64_t)st.st_size > 2ull * CONF_TOTAL_MAX)
		return err_set(e, E_LIMIT, "configuration has %lld bytes",
			       (long long)st.st_size);
	p = xmalloc((size_t)st.st_size + 1);
	while (got < (size_t)st.st_size) {
		ssize_t n = pread(fd, p + got, (size_t)st.st_size - got,
				  (off_t)got);

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	r = conf_decode(slice_of(p, got), out, e);
	free(p);
	return r;
}

static unsigned long number_field(const struct ipc_head *h, const char *name)
{
	const char *v = ipc_field_get(h, name);

	return v ? strtoul(v, NULL, 10) : (unsigned long)-1;
}

/* Before the first look at anything that came from outside. */
static int settle(struct role *r, const struct ipc_head *h, struct err *e)
{
	const char *dir = ipc_field_get(h, "chroot");
	struct log_opts o;
	struct privs p = {
		.uid = (uid_t)h->value, .gid = (gid_t)h->value2,
		.chroot_dir = dir && *dir ? dir : NULL,
	};

	r->n_store = h->index & 0xffff;
	r->n_front = h->index >> 16;
	r->root_start = ipc_field_get(h, "root") != NULL;
	r->mail_uid = (uid_t)number_field(h, "mail_uid");
	r->mail_gid = (gid_t)number_field(h, "mail_gid");
	r->mail_root = xstrdup(ipc_field_get(h, "mail_root"));
	r->also_stderr = ipc_field_get(h, "stderr") != NULL;
	r->had_accounts = ipc_field_get(h, "accounts") != NULL;
	role_log_opts(r->next, ipc_role_name(r->kind), true, r->also_stderr,
		      &o);
	r->log = log_new(&o);
	return r->root_start ? privs_drop(&p, e) : privs_harden(e);
}

static void on_config(struct role *r, struct ipc_msg *m,
		      const struct ipc_head *h)
{
	struct err e = ERR_NONE;
	struct ipc_head reply = {0};
	bool first = !r->conf;
	int fd = m->fd, rc;

	m->fd = -1;
	conf_unref(TAKE(r->next));
	rc = fd < 0 ? err_set(&e, E_PROTO, "CONFIG without descriptor")
		    : conf_from(fd, &r->next, &e);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && first)
		rc = settle(r, h, &e);
	if (rc == 0)
		rc = r->ops->prepare(r, r->next, h->flags & 1, &e);
	if (rc < 0) {
		conf_unref(TAKE(r->next));
		if (first) {
			role_fatal(r, &e);
			return;
		}
		reply.text = e.op;
		role_tell(r, IPC_CONFIG_BAD, m->stream, &reply);
		return;
	}
	role_tell(r, IPC_CONFIG_OK, m->stream, NULL);
}

static void on_commit(struct role *r)
{
	struct conf *old = r->conf;

	if (!r->next)
		return;
	r->conf = TAKE(r->next);
	r->ops->commit(r);
	conf_unref(old);
}

static void on_identity(struct role *r, const struct ipc_head *h)
{
	struct err e = ERR_NONE;

	if (identity_decode(h->data, &r->identity, &e) < 0) {
		role_fatal(r, &e);
		return;
	}
	if (r->started && r->ops->identity)
		r->ops->identity(r);
}

static void on_go(struct role *r)
{
	struct err e = ERR_NONE;

	if (r->ops->identity)
		r->ops->identity(r);
	r->started = true;
	if (r->ops->go(r, &e) < 0)
		role_fatal(r, &e);
}

static void on_reopen(struct role *r, struct ipc_msg *m,
		      const struct ipc_head *h)
{
	if (m->fd >= 0 && h->index < ROLE_LOGS)
		dup3(m->fd, ROLE_LOG_FD + (int)h->index, O_CLOEXEC);
	else
		log_reopen(r->log);
}

/* The callee owns the descriptor now. */
static int take_fd(struct ipc_msg *m)
{
	int fd = m->fd;

	m->fd = -1;
	return fd;
}

static void dispatch(struct role *r, struct ipc_msg *m,
		     const struct ipc_head *h, struct arena *a)
{
	switch (m->type) {
	case IPC_CONFIG:
		on_config(r, m, h);
		break;
	case IPC_COMMIT:
		on_commit(r);
		break;
	case IPC_ABORT:
		conf_unref(TAKE(r->next));
		r->ops->abort(r);
		break;
	case IPC_PEER:
		r->ops->peer(r, h->role, h->index, take_fd(m));
		break;
	case IPC_LISTEN:
		if (r->ops->listen)
			r->ops->listen(r, h, take_fd(m));
		break;
	case IPC_UNLISTEN:
		if (r->ops->unlisten)
			r->ops->unlisten(r, h->value);
		break;
	case IPC_GO:
		on_go(r);
		break;
	case IPC_PING: {
		struct ipc_msg pong = {.type = IPC_PONG, .seq = m->seq,
				       .fd = -1};

		ipc_send(r->super, &pong);
		break;
	}
	case IPC_REOPEN:
		on_reopen(r, m, h);
		break;
	case IPC_IDENTITY:
		on_identity(r, h);
		break;
	case IPC_STOP:
		r->stopping = true;
		r->ops->stop(r, h->flags);
		break;
	case IPC_ADMIN:
		r->ops->admin(r, take_fd(m), h);
		break;
	default:
		if (r->ops->message)
			r->ops->message(r, m, h, a);
		break;
	}
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct role *r = arg;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (ipc_head_decode(m->head, a, &h, &e) < 0)
		role_fatal(r, &e);
	else
		dispatch(r, m, &h, a);
	if (m->fd >= 0)
		close(m->fd);
	arena_free(a);
}

static void on_closed(void *arg, const struct err *e)
{
	struct role *r = arg;

	(void)e;
	/* The supervisor is gone, or has let this process go. */
	loop_stop(r->loop, r->stopping ? 0 : 1);
}

static const struct ipc_ops super_ops = {
	.message = on_message, .closed = on_closed,
};

int role_main(enum ipc_role kind, unsigned index, int fd,
	      const struct role_ops *ops)
{
	struct role r = {.kind = kind, .index = index, .ops = ops};
	int code;

	/* The supervisor decides when a child ends: a terminal's Ctrl-C and
	 * a dead peer are not for us. */
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, "duetd");
	if (loop_new(&r.loop) < 0)
		return 1;
	r.sys.fs = fsio_system(r.loop);
	r.sys.clock = clock_system();
	r.sys.rng = rng_system();
	r.super = ipc_new(r.loop, fd, &super_ops, &r);
	code = loop_run(r.loop);
	/* What a process holds goes with it; the orderly end was STOP.  Threads
	 * of a pool may still be at work: nothing is freed under them. */
	_exit(code);
}
