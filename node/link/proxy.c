/*
 * Client sessions over the link.  One STREAM each:
 *
 *   near node (the client's)                 far node (the holder)
 *   front LOGIN_ASK ─► OPEN ───────────────► LOGIN_ASK to the store
 *   LOGIN_SERVE ◄───── CREDIT ◄───────────── LOGIN_SERVE: a socket pair
 *   LOGIN_FD: bytes ◄─ DATA, CREDIT ───────► bytes of the session
 *   LOGIN_ENDED ◄───── CLOSE ◄─────────────► end
 *
 * OPEN's `extra` is the LOGIN_ASK head as it is.  Each direction has a window
 * of LINK_CREDIT bytes: without credit nothing is read from that side.  A
 * stream that breaks these rules ends, and nothing else does.
 *
 * Numbers of streams: the lowest bit is the index of the node that opened it.
 *
 * An admin connection (docs/admin-protocol.md) goes the same way: service
 * "doveadm", `extra` its 16-byte head, name "status" if only the status may be
 * asked.  There is no asking before: CREDIT comes at once, errors come as
 * answers.
 */

#include "node/link/sync_role.h"
#include "node/adm.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"
#include "node/base/map.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROXY_BUF 65536u
/* Credit goes back in pieces of this size, not for each byte. */
#define PROXY_CREDIT_STEP (LINK_CREDIT / 4)

struct proxy {
	struct list node;
	struct sync_node *sn;
	uint64_t id;			/* of the stream; lowest bit: opener */
	struct id128 account;
	bool near;			/* the client is at this node */
	struct sync_peer *peer;		/* front (near) or store (far); NULL:
					 * gone, or an administrator's */
	bool admin;
	int admin_fd;			/* near, until the bytes flow; or -1 */
	uint64_t request;		/* stream of LOGIN_* on that channel */
	bool served;			/* SERVE was said */
	struct stream *stream;		/* NULL until the bytes flow */
	uint64_t credit;		/* that we may send */
	uint64_t taken;			/* received, not yet credited back */
	bool line_end;			/* the client has whole lines only */
	bool told;			/* the far end: no more follows */
};

static struct proxy *find(struct sync_node *sn, uint64_t id)
{
	return map_get(sn->proxy_of, slice_of(&id, sizeof(id)));
}

static bool room(const struct sync_node *sn)
{
	return map_size(sn->proxy_of) < sn->proxies_max;
}

static struct proxy *find_request(struct sync_peer *peer, uint64_t request)
{
	struct list *all = &peer->node->proxies;

	for (struct list *i = all->next; i != all; i = i->next) {
		struct proxy *p = CONTAINER_OF(i, struct proxy, node);

		if (p->peer == peer && p->request == request)
			return p;
	}
	return NULL;
}

static struct proxy *proxy_new(struct sync_node *sn, uint64_t id, bool near)
{
	struct proxy *p = NEW(struct proxy);

	p->sn = sn;
	p->id = id;
	p->near = near;
	p->line_end = true;
	p->admin_fd = -1;
	list_append(&sn->proxies, &p->node);
	map_put(sn->proxy_of, slice_of(&p->id, sizeof(p->id)), p);
	return p;
}

static void say(struct proxy *p, enum ipc_type type, const struct ipc_head *h,
		struct slice body, int fd)
{
	if (!p->peer || !p->peer->ipc ||
	    ipc_say(p->peer->ipc, type, p->request, h, body, fd) < 0) {
		if (fd >= 0)
			close(fd);
	}
}

static void proxy_free(struct proxy *p)
{
	list_remove(&p->node);
	map_remove(p->sn->proxy_of, slice_of(&p->id, sizeof(p->id)));
	if (p->stream)
		stream_finish(p->stream);
	if (p->admin_fd >= 0)
		close(p->admin_fd);
	free(p);
}

static bool send_msg(struct proxy *p, uint16_t type, struct link_msg *m)
{
	m->type = type;
	m->id = p->id;
	m->account = p->account;
	return node_link_send_stream(p->sn->link, m);
}

static void send_close(struct proxy *p, int code, const char *text)
{
	struct link_msg m = {.text = {code, slice_str(text)}};

	send_msg(p, LINK_STREAM_CLOSE, &m);
}

static void send_credit(struct proxy *p, uint64_t n)
{
	struct link_msg m = {.stream = {.credit = n}};

	send_msg(p, LINK_STREAM_CREDIT, &m);
}

static void refuse_front(struct proxy *p, int code, const char *text)
{
	struct ipc_head h = {.code = code, .text = text,
			     .client = "The partner, which holds this account, "
				       "cannot serve it now."};

	say(p, IPC_LOGIN_REFUSE, &h, SLICE_NONE, -1);
}

/* ---- bytes ------------------------------------------------------------------ */

/* The client sends no more, but may still read: DATA without octets. */
static void tell_end(struct proxy *p)
{
	struct link_msg m = {0};

	p->told = send_msg(p, LINK_STREAM_DATA, &m);
}

/* The session is over and its last words are on their way. */
static void end_far(struct proxy *p)
{
	send_close(p, 0, "");
	stream_free(TAKE(p->stream));
	proxy_free(p);
}

/* From our side to the link, as far as the credit goes.  May free p. */
static void pump(struct proxy *p)
{
	while (p->stream && p->credit && stream_in(p->stream).n) {
		struct slice in = stream_in(p->stream);
		struct link_msg m = {0};

		if (in.n > LINK_CHUNK)
			in.n = LINK_CHUNK;
		if (in.n > p->credit)
			in.n = (size_t)p->credit;
		m.body = in;
		if (!send_msg(p, LINK_STREAM_DATA, &m))
			return;
		p->credit -= in.n;
		stream_consume(p->stream, in.n);
	}
	if (!p->stream || !stream_ended(p->stream) || stream_in(p->stream).n)
		return;
	if (!p->near)
		end_far(p);
	else if (!p->told)
		tell_end(p);
}

static void give_credit(struct proxy *p)
{
	if (p->taken >= PROXY_CREDIT_STEP &&
	    stream_out_pending(p->stream) < PROXY_BUF) {
		send_credit(p, p->taken);
		p->taken = 0;
	}
}

static void on_readable(void *arg)
{
	pump(arg);
}

static void on_writable(void *arg)
{
	give_credit(arg);
}

static void on_closed(void *arg, const struct err *e)
{
	struct proxy *p = arg;

	if (p->near && e->code < 0) {
		send_close(p, 0, "");
		say(p, IPC_LOGIN_ENDED, NULL, SLICE_NONE, -1);
		stream_free(TAKE(p->stream));
		proxy_free(p);
		return;
	}
	pump(p);
}

static const struct stream_ops byte_ops = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
};

static void attach(struct proxy *p, int fd)
{
	p->stream = stream_new(p->sn->role->loop, fd, PROXY_BUF,
			       LINK_CREDIT + PROXY_BUF, &byte_ops, p);
}

/* ---- the near end --------------------------------------------------------------- */

static void open_stream(struct sync_peer *front, uint64_t request,
			const struct ipc_head *h, struct slice raw)
{
	struct sync_node *sn = front->node;
	struct link_msg m = {0};
	struct proxy *p;
	uint64_t id;

	id = ++sn->last_stream << 1 | sn->role->identity.index;
	p = proxy_new(sn, id, true);
	p->peer = front;
	p->request = request;
	if (h->id.n == 16)
		memcpy(p->account.b, h->id.p, 16);
	m.stream.name = slice_str(h->user);
	m.stream.service = slice_str(h->service);
	m.stream.remote = slice_str(h->rip);
	m.stream.extra = raw;
	if (map_size(sn->proxy_of) > sn->proxies_max) {
		refuse_front(p, E_LIMIT, "too many sessions are carried over "
			     "the link to the partner");
		proxy_free(p);
	} else if (!sn->link || !send_msg(p, LINK_STREAM_OPEN, &m)) {
		refuse_front(p, E_TEMP, "the link to the partner is down");
		proxy_free(p);
	}
}

void proxy_from_front(struct sync_peer *front, struct ipc_msg *m,
		      const struct ipc_head *h)
{
	struct proxy *p = find_request(front, m->stream);

	switch (m->type) {
	case IPC_LOGIN_ASK:
		open_stream(front, m->stream, h, m->head);
		break;
	case IPC_LOGIN_CANCEL:
		if (p) {
			send_close(p, 0, "");
			proxy_free(p);
		}
		break;
	case IPC_LOGIN_FD:
		if (!p || m->fd < 0 || p->stream)
			break;
		attach(p, m->fd);
		m->fd = -1;
		/* What the client had sent already goes first, within the
		 * window that CREDIT gave. */
		if (m->body.n) {
			struct link_msg d = {.body = m->body};

			p->credit -= m->body.n < p->credit ? m->body.n
							   : p->credit;
			send_msg(p, LINK_STREAM_DATA, &d);
		}
		/* Now the far end may send. */
		send_credit(p, LINK_CREDIT);
		break;
	}
}

static void near_credit(struct proxy *p)
{
	struct ipc_head h = {.value = (uint64_t)getpid()};

	if (p->admin && p->admin_fd >= 0) {
		attach(p, p->admin_fd);
		p->admin_fd = -1;
		p->served = true;
		send_credit(p, LINK_CREDIT);
	} else if (!p->served) {
		p->served = true;
		say(p, IPC_LOGIN_SERVE, &h, SLICE_NONE, -1);
	}
}

/* ---- administrators ------------------------------------------------------------- */

#define ADMIN_SERVICE "doveadm"

/* Answers whatever is asked on this connection; arg is why. */
static void refuse_request(void *arg, struct adm *q, const struct ipc_head *h)
{
	(void)h;
	adm_end(q, ADM_TEMPFAIL, "%s", (const char *)arg);
}

static void refuse_admin(struct sync_node *sn, int fd, const char *why)
{
	adm_new(sn->role, fd, refuse_request, (void *)(uintptr_t)why);
}

void proxy_admin(struct sync_node *sn, int fd, const struct admin_head *to,
		 unsigned flags)
{
	uint8_t head[ADMIN_HEAD_SIZE];
	struct admin_head there = *to;
	struct link_msg m = {0};
	struct proxy *p;

	if (!sn->link) {
		refuse_admin(sn, fd, "this node has no partner");
		return;
	}
	if (!room(sn)) {
		refuse_admin(sn, fd, "too many sessions are carried over the "
			     "link to the partner");
		return;
	}
	there.partner = false;
	admin_head_put(&there, head);
	p = proxy_new(sn, ++sn->last_stream << 1 | sn->role->identity.index,
		      true);
	p->admin = true;
	m.stream.name = slice_str(flags & ADMIN_REPLICATOR ? "status" : "all");
	m.stream.service = SLICE_LIT(ADMIN_SERVICE);
	m.stream.extra = slice_of(head, sizeof(head));
	if (send_msg(p, LINK_STREAM_OPEN, &m)) {
		p->admin_fd = fd;
		return;
	}
	proxy_free(p);
	refuse_admin(sn, fd, "the partner cannot be asked: the link to it is "
		     "down");
}

/* To the role that the head names; this end of the pair is its connection. */
static void admin_dispatch(struct sync_node *sn, const struct admin_head *to,
			   int fd, unsigned flags)
{
	struct ipc_head h = {.flags = flags};
	unsigned n = sn->role->n_store;
	unsigned i = to->index == ADMIN_BY_KEY ? (unsigned)(to->key % n)
					       : to->index;

	if (to->role == ROLE_SYNC)
		sync_admin(sn, fd, flags);
	else if (to->role != ROLE_STORE || i >= n)
		refuse_admin(sn, fd, "the partner does not answer this for "
			     "others: type the command there");
	else if (!sn->stores[i].ipc ||
		 ipc_say(sn->stores[i].ipc, IPC_ADMIN, 0, &h, SLICE_NONE,
			 fd) < 0)
		refuse_admin(sn, fd, "the store process of the partner is "
			     "being restarted; try again");
}

static void on_open_admin(struct sync_node *sn, const struct link_msg *m)
{
	struct proxy *p = proxy_new(sn, m->id, false);
	struct admin_head to;
	unsigned flags = ADMIN_FROM_PARTNER;
	int fd[2];

	p->admin = true;
	if (m->stream.extra.n != ADMIN_HEAD_SIZE ||
	    admin_head_get(m->stream.extra.p, &to) < 0 || to.partner ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       fd) < 0) {
		send_close(p, E_TEMP, "no such admin connection");
		proxy_free(p);
		return;
	}
	if (!slice_is(m->stream.name, "all"))
		flags |= ADMIN_REPLICATOR;
	attach(p, fd[0]);
	p->served = true;
	send_credit(p, LINK_CREDIT);
	admin_dispatch(sn, &to, fd[1], flags);
}

/* ---- the far end -------------------------------------------------------------------- */

static void on_open(struct sync_node *sn, const struct link_msg *m)
{
	struct arena *a = arena_new(2048);
	struct err e = ERR_NONE;
	struct sync_peer *store;
	struct ipc_head h;
	struct proxy *p;

	p = proxy_new(sn, m->id, false);
	p->account = m->account;
	store = &sn->stores[node_link_process_of(m->account,
						 sn->role->n_store)];
	if (ipc_head_decode(m->stream.extra, a, &h, &e) < 0 || !store->ipc) {
		send_close(p, E_TEMP, "the store process is away");
		proxy_free(p);
		arena_free(a);
		return;
	}
	/* Our own numbers towards the store; ids of streams are the link's. */
	p->peer = store;
	p->request = ++sn->last_stream;
	h.flags |= LOGIN_FROM_PARTNER;
	h.user = arena_strndup(a, m->stream.name.p, m->stream.name.n);
	say(p, IPC_LOGIN_ASK, &h, SLICE_NONE, -1);
	arena_free(a);
}

static void far_serve(struct proxy *p)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       fd) < 0) {
		say(p, IPC_LOGIN_CANCEL, NULL, SLICE_NONE, -1);
		send_close(p, E_TEMP, "no socket pair");
		proxy_free(p);
		return;
	}
	attach(p, fd[0]);
	p->served = true;
	say(p, IPC_LOGIN_FD, NULL, SLICE_NONE, fd[1]);
	send_credit(p, LINK_CREDIT);
}

void proxy_from_store(struct sync_peer *store, struct ipc_msg *m,
		      const struct ipc_head *h)
{
	struct proxy *p = find_request(store, m->stream);

	if (!p)
		return;
	switch (m->type) {
	case IPC_LOGIN_SERVE:
		far_serve(p);
		break;
	case IPC_LOGIN_PROXY:
		send_close(p, E_NOTHOLDER, "this node is not the holder");
		proxy_free(p);
		break;
	case IPC_LOGIN_REFUSE:
		send_close(p, h->code, h->text);
		proxy_free(p);
		break;
	case IPC_LOGIN_ENDED:
		/* Its last words come through the pair before its end. */
		break;
	}
}

/* ---- the link ---------------------------------------------------------------------------- */

/* This end's process hears that the stream is over. */
static void tell_over(struct proxy *p, int code, const char *text)
{
	if (p->admin && p->admin_fd >= 0) {
		refuse_admin(p->sn, p->admin_fd, "the partner refuses the "
			     "question; its log says more");
		p->admin_fd = -1;
	} else if (p->near && !p->served) {
		refuse_front(p, code ? code : E_TEMP, text);
	} else if (p->near) {
		say(p, IPC_LOGIN_ENDED, NULL, SLICE_NONE, -1);
	} else if (!p->served) {
		say(p, IPC_LOGIN_CANCEL, NULL, SLICE_NONE, -1);
	}
}

/* The other end is at fault: this stream is over. */
static void broken(struct proxy *p, const char *why)
{
	send_close(p, E_PROTO, why);
	tell_over(p, E_PROTO, why);
	proxy_free(p);
}

static void on_data(struct proxy *p, const struct link_msg *m)
{
	if (!p->stream || stream_out_pending(p->stream) + m->body.n >
				  LINK_CREDIT + PROXY_BUF) {
		broken(p, "more bytes than credit");
		return;
	}
	if (m->body.n)
		p->line_end = m->body.p[m->body.n - 1] == '\n';
	if (m->body.n == 0 && !p->near) {
		stream_end(p->stream);
		return;
	}
	buf_slice(stream_out(p->stream), m->body);
	p->taken += m->body.n;
	stream_flush(p->stream);
	give_credit(p);
}

static void on_far_close(struct proxy *p, const struct link_msg *m)
{
	char text[LINK_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)m->text.text.n,
		 (const char *)m->text.text.p);
	tell_over(p, m->text.code, text);
	proxy_free(p);
}

static void on_credit(struct proxy *p, uint64_t n)
{
	if (n > LINK_CREDIT - p->credit) {
		broken(p, "more credit than the window");
		return;
	}
	p->credit += n;
	if (p->near)
		near_credit(p);
	pump(p);
}

/* What the partner may not open, or not now. */
static const char *not_opened(const struct sync_node *sn, uint64_t id)
{
	if ((id & 1) == sn->role->identity.index)
		return "the number of a stream of this node";
	if (!room(sn))
		return "too many sessions are carried over the link";
	return NULL;
}

static void opened_there(struct sync_node *sn, const struct link_msg *m)
{
	const char *why = not_opened(sn, m->id);
	struct link_msg no = {.type = LINK_STREAM_CLOSE, .id = m->id};

	if (why) {
		no.text.code = E_LIMIT;
		no.text.text = slice_str(why);
		node_link_send_stream(sn->link, &no);
	} else if (slice_is(m->stream.service, ADMIN_SERVICE)) {
		on_open_admin(sn, m);
	} else {
		on_open(sn, m);
	}
}

void proxy_from_link(struct sync_node *sn, const struct link_msg *m)
{
	struct proxy *p = find(sn, m->id);

	if (m->type == LINK_STREAM_OPEN) {
		if (!p)
			opened_there(sn, m);
		return;
	}
	if (!p)
		return;
	switch (m->type) {
	case LINK_STREAM_DATA:
		on_data(p, m);
		break;
	case LINK_STREAM_CREDIT:
		on_credit(p, m->stream.credit);
		break;
	case LINK_STREAM_CLOSE:
		on_far_close(p, m);
		break;
	}
}

/* ---- ends --------------------------------------------------------------------------------- */

void proxy_peer_gone(struct sync_peer *peer)
{
	struct list *all = &peer->node->proxies, *i = all->next;

	while (i != all) {
		struct proxy *p = CONTAINER_OF(i, struct proxy, node);

		i = i->next;
		if (p->peer != peer)
			continue;
		/* Bytes that flow go on: a session ends by its socket. */
		if (p->stream) {
			p->peer = NULL;
			continue;
		}
		send_close(p, E_TEMP, "the process went away");
		proxy_free(p);
	}
}

void proxy_link_lost(struct sync_node *sn)
{
	static const char bye[] =
		"* BYE [UNAVAILABLE] Connection to the partner lost, connect "
		"again.\r\n";

	while (!list_empty(&sn->proxies)) {
		struct proxy *p = CONTAINER_OF(sn->proxies.next, struct proxy,
					       node);

		if (p->near && p->stream && p->line_end && !p->admin) {
			buf_put(stream_out(p->stream), bye, sizeof(bye) - 1);
			stream_flush(p->stream);
		}
		if (p->admin && p->admin_fd >= 0) {
			refuse_admin(sn, p->admin_fd, "the link to the partner "
				     "broke");
			p->admin_fd = -1;
		} else if (p->near && !p->served)
			refuse_front(p, E_TEMP, "the link to the partner broke");
		else if (p->near)
			say(p, IPC_LOGIN_ENDED, NULL, SLICE_NONE, -1);
		else if (!p->served)
			say(p, IPC_LOGIN_CANCEL, NULL, SLICE_NONE, -1);
		proxy_free(p);
	}
}
