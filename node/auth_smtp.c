/* auth-client sockets: what Postfix asks (the language: auth/auth_client.h).
 */

#include "node/auth_role.h"
#include "auth/auth_client.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"
#include "node/base/rng.h"
#include "node/base/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#define SMTP_OUT_MAX 65536u
#define SMTP_CONNS_MAX 500u

struct smtp_listener {
	struct list node;
	struct auth_state *st;
	uint64_t number;
	int fd;
	struct loop_io *io;
	struct list conns;
	unsigned n_conns;
};

struct smtp_conn {
	struct list node;
	struct smtp_listener *listener;
	struct stream *stream;
	struct auth_client proto;
	struct list asks;
};

struct smtp_ask {
	struct list node;
	struct smtp_conn *conn;
	uint32_t id;
	struct auth_req *req;
	struct loop_timer *late;	/* a failure that waits */
	enum auth_verdict verdict;
	char *user;
};

static void ask_free(struct smtp_ask *q)
{
	list_remove(&q->node);
	auth_req_free(q->req);
	loop_timer_free(q->late);
	free(q->user);
	free(q);
}

static void conn_free(struct smtp_conn *c)
{
	while (!list_empty(&c->asks))
		ask_free(CONTAINER_OF(c->asks.next, struct smtp_ask, node));
	list_remove(&c->node);
	c->listener->n_conns--;
	auth_client_fini(&c->proto);
	stream_free(c->stream);
	free(c);
}

static void on_challenge(void *arg, struct slice text)
{
	struct smtp_ask *q = arg;

	auth_client_challenge(&q->conn->proto, q->id, text,
			      stream_out(q->conn->stream));
	stream_flush(q->conn->stream);
}

static void on_late(void *arg)
{
	struct smtp_ask *q = arg;

	auth_client_fail(&q->conn->proto, q->id, q->user, q->verdict, "",
			 stream_out(q->conn->stream));
	stream_flush(q->conn->stream);
	ask_free(q);
}

static void on_done(void *arg, const struct auth_result *r)
{
	struct smtp_ask *q = arg;
	struct role *role = q->conn->listener->st->role;

	q->req = NULL;
	if (r->verdict == AUTH_OK) {
		auth_client_ok(&q->conn->proto, q->id, r->user,
			       stream_out(q->conn->stream));
		stream_flush(q->conn->stream);
		ask_free(q);
		return;
	}
	if (r->verdict == AUTH_TEMPFAIL ||
	    conf_bool(role->conf, NULL, "auth_verbose"))
		log_event(role->log,
			  r->verdict == AUTH_TEMPFAIL ? LOG_ERR : LOG_INF,
			  "auth_failed", NULL, "%s", r->e.op);
	q->verdict = r->verdict;
	q->user = xstrdup(r->user ? r->user : "");
	q->late = loop_timer_new(role->loop,
				 conf_time(role->conf, NULL,
					   "auth_failure_delay"),
				 on_late, q);
}

static const struct auth_req_ops ask_ops = {
	.challenge = on_challenge, .done = on_done,
};

static struct smtp_ask *ask_of(struct smtp_conn *c, uint32_t id)
{
	for (struct list *i = c->asks.next; i != &c->asks; i = i->next) {
		struct smtp_ask *q = CONTAINER_OF(i, struct smtp_ask, node);

		if (q->id == id)
			return q;
	}
	return NULL;
}

static void begin(struct smtp_conn *c, const struct auth_client_msg *m)
{
	struct auth_state *st = c->listener->st;
	struct smtp_ask *q = NEW(struct smtp_ask);

	q->conn = c;
	q->id = m->id;
	list_append(&c->asks, &q->node);
	q->req = auth_sasl(st->pool, &m->peer, m->mech,
			   m->has_response ? &m->response : NULL, &ask_ops, q);
}

static void take(struct smtp_conn *c, const struct auth_client_msg *m)
{
	struct smtp_ask *q = ask_of(c, m->id);

	switch (m->what) {
	case AUTH_CLIENT_AUTH:
		begin(c, m);
		break;
	case AUTH_CLIENT_CONT:
		if (q && q->req)
			auth_sasl_answer(q->req, m->response);
		break;
	case AUTH_CLIENT_CANCEL:
		if (q)
			ask_free(q);
		break;
	}
}

static void on_readable(void *arg)
{
	struct smtp_conn *c = arg;
	struct auth_client_msg m;
	struct err e = ERR_NONE;
	size_t used;
	int r;

	do {
		used = 0;
		r = auth_client_read(&c->proto, stream_in(c->stream), &used,
				     &m, stream_out(c->stream), &e);
		if (r == 1)
			take(c, &m);
		stream_consume(c->stream, used);
	} while (r == 1);
	stream_flush(c->stream);
	if (r < 0) {
		log_event(c->listener->st->role->log, LOG_WARN,
			  "auth_client_broken", NULL,
			  "auth-client connection closed: %s", e.op);
		conn_free(c);
	}
}

static void on_writable(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg, const struct err *e)
{
	(void)e;
	conn_free(arg);
}

static const struct stream_ops conn_ops = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
};

static void greet(struct smtp_conn *c)
{
	struct auth_state *st = c->listener->st;
	uint8_t cookie[16];

	st->role->sys.rng->bytes(st->role->sys.rng, cookie, sizeof(cookie));
	auth_client_hello(auth_mechanisms(auth_pool_auth(st->pool)),
			  (uint32_t)getpid(),
			  (uint32_t)stream_fd(c->stream), cookie,
			  stream_out(c->stream));
	stream_flush(c->stream);
}

static void on_accept(void *arg, unsigned events)
{
	struct smtp_listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct smtp_conn *c;

	(void)events;
	if (fd < 0)
		return;
	if (l->n_conns >= SMTP_CONNS_MAX) {
		close(fd);
		return;
	}
	c = NEW(struct smtp_conn);
	c->listener = l;
	auth_client_init(&c->proto);
	list_init(&c->asks);
	list_append(&l->conns, &c->node);
	l->n_conns++;
	c->stream = stream_new(l->st->role->loop, fd,
			       AUTH_CLIENT_LINE_MAX,
			       SMTP_OUT_MAX, &conn_ops, c);
	greet(c);
}

void auth_smtp_listen(struct auth_state *st, const struct ipc_head *h, int fd)
{
	struct smtp_listener *l;

	/* auth-userdb and auth-master have their own protocol and no client
	 * here yet: duetadm uses the admin socket. */
	if (h->code != CONF_FOR_AUTH_CLIENT) {
		close(fd);
		return;
	}
	l = NEW(struct smtp_listener);
	l->st = st;
	l->number = h->value;
	l->fd = fd;
	list_init(&l->conns);
	list_append(&st->listeners, &l->node);
	l->io = loop_io_new(st->role->loop, fd, LOOP_IN, on_accept, l);
}

void auth_smtp_unlisten(struct auth_state *st, uint64_t number)
{
	for (struct list *i = st->listeners.next; i != &st->listeners;
	     i = i->next) {
		struct smtp_listener *l =
			CONTAINER_OF(i, struct smtp_listener, node);

		if (l->number != number)
			continue;
		while (!list_empty(&l->conns))
			conn_free(CONTAINER_OF(l->conns.next, struct smtp_conn,
					       node));
		list_remove(&l->node);
		loop_io_free(l->io);
		close(l->fd);
		free(l);
		return;
	}
}
