/*
 * Admin sockets.  The supervisor accepts, reads the fixed head, passes the
 * connection to the role that it names, and answers itself what concerns the
 * node as a whole: topology, reload, stop, log reopen, process status.
 */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/clock.h"
#include "node/base/cleanup.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "node/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADMIN_HEAD_USEC (5u * 1000 * 1000)
#define ADMIN_MAX 200u		/* connections that wait for their head */

/* A connection until its head is read, and while it talks to us. */
struct admin {
	struct list node;
	struct super *super;
	int fd;
	bool replicator;	/* from replicator-doveadm: status only */
	uint8_t head[ADMIN_HEAD_SIZE];
	size_t got;
	struct loop_io *io;
	struct loop_timer *timer;
	struct ipc *ipc;
	bool busy;		/* an answer is to come */
	bool gone;		/* the client left meanwhile */
};

static void admin_free(struct admin *a)
{
	list_remove(&a->node);
	loop_io_free(a->io);
	loop_timer_free(a->timer);
	ipc_free(a->ipc);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

static void reply_end(struct admin *a, int code, const char *text)
{
	struct ipc_head h = {.code = code, .text = text};

	if (!a->gone)
		ipc_say(a->ipc, IPC_ADM_END, 0, &h, SLICE_NONE, -1);
}

static void reply_field(struct admin *a, const char *name, const char *value)
{
	const char *args[] = {name, value};
	struct ipc_head h = {.args = args, .n_args = 2};

	ipc_say(a->ipc, IPC_ADM_ROW, 0, &h, SLICE_NONE, -1);
}

static void cmd_topology(struct admin *a)
{
	struct super *s = a->super;
	char text[64];

	snprintf(text, sizeof(text), "%u", s->n_store);
	reply_field(a, "stores", text);
	snprintf(text, sizeof(text), "%u", s->n_front);
	reply_field(a, "fronts", text);
	hex_of(s->identity.pair_id.b, 16, text);
	reply_field(a, "pair_id", s->identity.has ? text : "");
	snprintf(text, sizeof(text), "%u", s->identity.index);
	reply_field(a, "index", text);
	reply_field(a, "member", s->identity.member ? "yes" : "no");
	reply_field(a, "config", s->path);
	reply_field(a, "version", DUET_VERSION);
	reply_end(a, 0, "");
}

static const char *state_name(const struct child *c)
{
	static const char *const names[] = {
		[CHILD_NONE] = "down", [CHILD_STARTING] = "starting",
		[CHILD_READY] = "ready", [CHILD_STOPPING] = "stopping",
	};

	return names[c->state];
}

static void cmd_processes(struct admin *a)
{
	struct super *s = a->super;

	for (unsigned i = 0; i < s->n_children; i++) {
		const struct child *c = &s->children[i];
		char index[16], pid[16], restarts[16];
		const char *args[] = {ipc_role_name(c->kind), index, pid,
				      state_name(c), restarts};
		struct ipc_head h = {.args = args, .n_args = ARRAY_LEN(args)};

		snprintf(index, sizeof(index), "%u", c->index);
		snprintf(pid, sizeof(pid), "%d", (int)c->pid);
		snprintf(restarts, sizeof(restarts), "%u", c->restarts);
		ipc_say(a->ipc, IPC_ADM_ROW, 0, &h, SLICE_NONE, -1);
	}
	reply_end(a, 0, "");
}

static void reloaded(void *arg, const struct err *e, const char *notes)
{
	struct admin *a = arg;

	a->busy = false;
	if (!a->gone && *notes) {
		struct ipc_head h = {.text = notes};

		ipc_say(a->ipc, IPC_ADM_TEXT, 0, &h, SLICE_NONE, -1);
	}
	reply_end(a, e->code < 0 ? 1 : 0, e->code < 0 ? e->op : "");
	if (a->gone)
		admin_free(a);
}

static void run(struct admin *a, const struct ipc_head *h)
{
	struct super *s = a->super;

	if (strcmp(h->name, "topology") == 0) {
		cmd_topology(a);
	} else if (a->replicator) {
		reply_end(a, 77, "this socket gives the replicator's status "
			  "only");
	} else if (strcmp(h->name, "processes") == 0) {
		cmd_processes(a);
	} else if (strcmp(h->name, "reload") == 0) {
		a->busy = true;
		super_reload(s, reloaded, a);
	} else if (strcmp(h->name, "stop") == 0) {
		reply_end(a, 0, "");
		super_stop(s, 0);
	} else if (strcmp(h->name, "reopen") == 0) {
		super_reopen_logs(s);
		reply_end(a, 0, "");
	} else {
		reply_end(a, 64, "the supervisor knows no such command");
	}
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct admin *a = arg;
	struct arena *ar = arena_new(512);
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (m->fd >= 0)
		close(m->fd);
	if (m->type != IPC_ADM_REQUEST || a->busy ||
	    ipc_head_decode(m->head, ar, &h, &e) < 0)
		reply_end(a, 64, "not a request");
	else
		run(a, &h);
	arena_free(ar);
}

static void on_closed(void *arg, const struct err *e)
{
	struct admin *a = arg;

	(void)e;
	a->gone = true;
	if (!a->busy)
		admin_free(a);
}

static const struct ipc_ops admin_ops = {
	.message = on_message, .closed = on_closed,
};

static void dispatch(struct admin *a)
{
	struct super *s = a->super;
	struct admin_head head;
	struct ipc_head h = {.data = slice_of(a->head, sizeof(a->head)),
			     .flags = a->replicator ? ADMIN_REPLICATOR : 0};
	struct child *c;

	if (admin_head_get(a->head, &head) < 0) {
		admin_free(a);
		return;
	}
	loop_io_free(TAKE(a->io));
	loop_timer_free(TAKE(a->timer));
	if (head.partner) {
		head.role = ROLE_SYNC;
		head.index = 0;
	}
	if (head.role == ROLE_SUPER) {
		a->ipc = ipc_new(s->loop, a->fd, &admin_ops, a);
		a->fd = -1;
		return;
	}
	if (head.index == ADMIN_BY_KEY)
		head.index = (uint16_t)(head.key % s->n_store);
	c = child_find(s, head.role, head.index);
	if (c && child_alive(c)) {
		child_tell(c, IPC_ADMIN, 0, &h, a->fd);
		a->fd = -1;
	}
	admin_free(a);
}

static void on_head(void *arg, unsigned events)
{
	struct admin *a = arg;
	ssize_t n;

	(void)events;
	/* Not a byte more than the head: the rest is for somebody else. */
	n = read(a->fd, a->head + a->got, ADMIN_HEAD_SIZE - a->got);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		admin_free(a);
		return;
	}
	a->got += (size_t)n;
	if (a->got == ADMIN_HEAD_SIZE)
		dispatch(a);
}

static void on_timeout(void *arg)
{
	admin_free(arg);
}

void super_admin_accept(struct super *s, struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct admin *a;
	size_t n = 0;

	if (fd < 0)
		return;
	for (struct list *i = s->admins.next; i != &s->admins; i = i->next)
		n++;
	if (n >= ADMIN_MAX) {
		close(fd);
		return;
	}
	a = NEW(struct admin);
	a->super = s;
	a->fd = fd;
	a->replicator = l->conf.purpose == CONF_FOR_REPLICATOR;
	list_append(&s->admins, &a->node);
	a->io = loop_io_new(s->loop, fd, LOOP_IN, on_head, a);
	a->timer = loop_timer_new(s->loop, ADMIN_HEAD_USEC, on_timeout, a);
}

void super_admin_end_all(struct super *s)
{
	/* Before list_init() there can be none. */
	while (s->admins.next && !list_empty(&s->admins))
		admin_free(CONTAINER_OF(s->admins.next, struct admin, node));
}
