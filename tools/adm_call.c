/*
 * Requests to the roles of a node (docs/admin-protocol.md), one connection
 * each: 16 bytes say which role is meant, then one request; rows and lines
 * come back as they are found, then the end with an exit status.
 */

#include "tools/adm_cli.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/ipc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MSEC 120000	/* silence after which a node is given up */
#define STATUS_SOCKET "replicator-doveadm"

struct call {
	const struct adm_cli *cli;
	const struct adm_request *q;
	const struct adm_ops *ops;
	const char *socket;
	int fd, status;
	bool ended;
	struct buf in;
};

/* ---- connecting ------------------------------------------------------------ */

static int connect_to(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int not_connected(const struct call *k, const struct adm_place *p, int r)
{
	const struct adm_cli *c = k->cli;

	if (r == -EACCES || r == -EPERM)
		return adm_error(c, EX_NOPERM, "%s: Permission denied: only "
				 "root and the socket's owner may ask this "
				 "node%s", k->socket,
				 k->q->flags & CALL_STATUS ? "; service "
				 "replicator { unix_listener "
				 STATUS_SOCKET " } gives others the status"
							    : "");
	if (r == -ENOENT || r == -ECONNREFUSED)
		return adm_error(c, EX_TEMPFAIL, "duetd is not running at %s "
				 "(%s). Start it with `systemctl start duet' "
				 "or `duetd%s%s'; another node of this "
				 "machine is named by -c, -i or -S",
				 k->socket, strerror(-r),
				 *p->config ? " -c " : "", p->config);
	return adm_error(c, EX_TEMPFAIL, "%s: %s", k->socket, strerror(-r));
}

/* Who may not use doveadm-server may have replicator-doveadm. */
static int open_call(struct call *k)
{
	struct adm_place p;
	int r = adm_place(k->cli, &p), first;

	if (r)
		return r;
	k->socket = p.socket;
	k->fd = first = connect_to(p.socket);
	if ((first == -EACCES || first == -ENOENT) &&
	    (k->q->flags & CALL_STATUS) && *p.base_dir) {
		k->socket = arena_printf(k->cli->arena, "%s/" STATUS_SOCKET,
					 p.base_dir);
		adm_debug(k->cli, "socket: %s", k->socket);
		k->fd = connect_to(k->socket);
		if (k->fd < 0) {
			k->socket = p.socket;
			k->fd = first;
		}
	}
	return k->fd < 0 ? not_connected(k, &p, k->fd) : 0;
}

/* ---- talking -------------------------------------------------------------------- */

static int write_all(int fd, struct slice data)
{
	while (data.n) {
		ssize_t n = send(fd, data.p, data.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -errno;
		data = slice_sub(data, (size_t)n, data.n);
	}
	return 0;
}

static int send_request(struct call *k)
{
	const struct adm_request *q = k->q;
	struct admin_head to = {.partner = q->flags & CALL_PARTNER,
				.role = (uint8_t)q->role,
				.index = (uint16_t)q->index};
	struct ipc_head h = {.name = q->name, .args = q->args,
			     .n_args = q->n_args, .fields = q->fields,
			     .n_fields = q->n_fields, .login = q->login,
			     .data = q->data};
	struct ipc_msg m = {.type = IPC_ADM_REQUEST, .fd = -1};
	uint8_t first[ADMIN_HEAD_SIZE];
	struct buf head, all;
	int r;

	buf_init(&head, IPC_MESSAGE_MAX - IPC_HEADER_SIZE);
	buf_init(&all, IPC_MESSAGE_MAX + ADMIN_HEAD_SIZE);
	admin_head_put(&to, first);
	buf_put(&all, first, sizeof(first));
	ipc_head_encode(&h, &head);
	m.head = buf_all(&head);
	if (head.failed)
		r = -EMSGSIZE;
	else {
		ipc_encode(&all, &m);
		r = all.failed ? -EMSGSIZE : write_all(k->fd, buf_all(&all));
	}
	buf_fini(&head);
	buf_fini(&all);
	return r;
}

static void on_message(struct call *k, const struct ipc_msg *m)
{
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (ipc_head_decode(m->head, a, &h, &e) < 0) {
		k->status = adm_error(k->cli, EX_PROTOCOL, "%s: %s", k->socket,
				      e.op);
		k->ended = true;
	} else if (m->type == IPC_ADM_ROW && k->ops->row) {
		k->ops->row(k->ops->arg, h.args, h.n_args);
	} else if (m->type == IPC_ADM_TEXT && k->ops->text) {
		k->ops->text(k->ops->arg, h.text);
	} else if (m->type == IPC_ADM_TEXT) {
		fprintf(k->cli->out, "%s\n", h.text);
	} else if (m->type == IPC_ADM_END) {
		k->ended = true;
		k->status = h.code < 0 || h.code > 255 ? EX_SOFTWARE : h.code;
		if (k->status && *h.text && !(k->q->flags & CALL_QUIET))
			adm_error(k->cli, k->status, "%s", h.text);
	}
	arena_free(a);
}

/* Every whole message of what has come. */
static int take_messages(struct call *k)
{
	struct err e = ERR_NONE;

	while (!k->ended) {
		struct ipc_msg m;
		int n = ipc_decode(buf_all(&k->in), &m, &e);

		if (n < 0) {
			k->ended = true;
			k->status = adm_error(k->cli, EX_PROTOCOL,
					      "%s does not speak as a node of "
					      "this version: %s", k->socket,
					      e.op);
		}
		if (n <= 0)
			return n;
		on_message(k, &m);
		buf_consume(&k->in, (size_t)n);
	}
	return 0;
}

static ssize_t read_some(struct call *k)
{
	struct pollfd p = {.fd = k->fd, .events = POLLIN};
	uint8_t *room;
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, ANSWER_MSEC);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	room = buf_room(&k->in, 65536);
	if (!room)
		return -EMSGSIZE;
	n = read(k->fd, room, 65536);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	buf_commit(&k->in, (size_t)n);
	return n;
}

static int no_answer(const struct call *k, ssize_t n)
{
	const char *role = ipc_role_name(k->q->role);

	if (k->q->flags & CALL_QUIET)
		return EX_TEMPFAIL;
	if (k->q->flags & CALL_PARTNER)
		return adm_error(k->cli, EX_TEMPFAIL, "the link to the "
				 "partner broke, or its %s process ended, "
				 "before the answer came: it is not known "
				 "whether the partner did it; see `%s pair "
				 "status' and try again", role,
				 k->cli->program);
	if (n == -ETIMEDOUT)
		return adm_error(k->cli, EX_TEMPFAIL, "the %s process does "
				 "not answer; its log says what it does", role);
	return adm_error(k->cli, EX_TEMPFAIL, "the %s process is not there or "
			 "ended before it answered (it is being restarted, or "
			 "this socket may not reach it); try again, and see "
			 "the log", role);
}

static int talk(struct call *k)
{
	ssize_t n = send_request(k);

	if (n == -EMSGSIZE)
		return adm_error(k->cli, EX_USAGE, "the arguments are too "
				 "long for one request");
	while (n >= 0 && !k->ended) {
		n = read_some(k);
		if (n == 0)
			n = -ECONNRESET;
		if (n > 0)
			take_messages(k);
	}
	if (!k->ended)
		return no_answer(k, n);
	/* Nothing comes any more but the end of the process. */
	if (k->status == 0 && (k->q->flags & CALL_UNTIL_GONE)) {
		while ((n = read_some(k)) > 0)
			buf_reset(&k->in);
		if (n == -ETIMEDOUT)
			return adm_error(k->cli, EX_TEMPFAIL, "it is still "
					 "stopping; its log says what it "
					 "waits for");
	}
	return k->status;
}

int adm_call(const struct adm_cli *c, const struct adm_request *q,
	     const struct adm_ops *ops)
{
	static const struct adm_ops none = {.row = NULL};
	struct call k = {.cli = c, .q = q, .ops = ops ? ops : &none, .fd = -1};
	int r = open_call(&k);

	if (r == 0) {
		adm_debug(c, "%s%s %u: %s", q->flags & CALL_PARTNER
			  ? "the partner's " : "", ipc_role_name(q->role),
			  q->index, q->name);
		buf_init(&k.in, 2u * IPC_MESSAGE_MAX);
		r = talk(&k);
		buf_fini(&k.in);
	}
	if (k.fd >= 0)
		close(k.fd);
	return r;
}

/* ---- topology ---------------------------------------------------------------------- */

struct topology_reader {
	struct arena *arena;
	struct adm_topology *to;
};

static void on_topology(void *arg, const char *const *cells, size_t n)
{
	struct topology_reader *r = arg;
	struct adm_topology *t = r->to;
	struct slice v;

	if (n != 2)
		return;
	v = slice_str(cells[1]);
	if (!strcmp(cells[0], "stores"))
		slice_u32(v, &t->stores);
	else if (!strcmp(cells[0], "fronts"))
		slice_u32(v, &t->fronts);
	else if (!strcmp(cells[0], "index"))
		slice_u32(v, &t->index);
	else if (!strcmp(cells[0], "member"))
		t->member = slice_is(v, "yes");
	else if (!strcmp(cells[0], "pair_id"))
		t->pair_id = arena_strdup(r->arena, cells[1]);
	else if (!strcmp(cells[0], "config"))
		t->config = arena_strdup(r->arena, cells[1]);
	else if (!strcmp(cells[0], "version"))
		t->version = arena_strdup(r->arena, cells[1]);
}

int adm_topology(const struct adm_cli *c, unsigned flags,
		 struct adm_topology *out)
{
	struct topology_reader r = {c->arena, out};
	struct adm_ops ops = {.row = on_topology, .arg = &r};
	struct adm_request q = {.role = flags & CALL_PARTNER ? ROLE_SYNC
							     : ROLE_SUPER,
				.name = "topology", .flags = flags};

	*out = (struct adm_topology){.pair_id = "", .config = "",
				     .version = ""};
	return adm_call(c, &q, &ops);
}

int adm_partner(const struct adm_cli *c, unsigned flags,
		const struct adm_topology *here, struct adm_topology *out)
{
	int r;

	*out = (struct adm_topology){.pair_id = "", .config = "",
				     .version = ""};
	if (!here->member)
		return EX_UNAVAILABLE;
	r = adm_topology(c, (flags & CALL_STATUS) | CALL_PARTNER | CALL_QUIET,
			 out);
	/* Another pair's node cannot be: the link would not stand. */
	return r ? EX_TEMPFAIL : 0;
}

int adm_each_store(const struct adm_cli *c, const struct adm_topology *t,
		   const struct adm_request *q, const struct adm_ops *ops)
{
	struct adm_request one = *q;
	int r = 0;

	one.role = ROLE_STORE;
	for (one.index = 0; r == 0 && one.index < t->stores; one.index++)
		r = adm_call(c, &one, ops);
	return r;
}
