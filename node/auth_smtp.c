/*
 * Dovecot's authentication protocol, client side of it served on auth-client
 * sockets: what Postfix speaks with smtpd_sasl_type = dovecot.  Lines of
 * tab-separated words; \001t, \001n … escape.
 *
 *   S: VERSION 1 2 | MECH PLAIN plaintext … | SPID | CUID | COOKIE | DONE
 *   C: VERSION 1 1 | CPID pid | AUTH id MECH service=smtp … resp=BASE64
 *   S: OK id user=… | FAIL id user=… [temp] | CONT id BASE64
 *   C: CONT id BASE64 | CANCEL id
 */

#include "node/auth_role.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "node/base/rng.h"
#include "node/base/stream.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMTP_LINE_MAX 12288u	/* a base64 response and its words */
#define SMTP_OUT_MAX 65536u
#define SMTP_ASKS_MAX 100u	/* dialogs of one connection */
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
	struct list asks;
	unsigned n_asks;
	bool closing;
};

struct smtp_ask {
	struct list node;
	struct smtp_conn *conn;
	uint32_t id;
	struct auth_req *req;
	struct loop_timer *late;	/* a failure that waits */
	struct buf reply;
};

static void ask_free(struct smtp_ask *q)
{
	list_remove(&q->node);
	q->conn->n_asks--;
	auth_req_free(q->req);
	loop_timer_free(q->late);
	buf_fini(&q->reply);
	free(q);
}

static void conn_free(struct smtp_conn *c)
{
	while (!list_empty(&c->asks))
		ask_free(CONTAINER_OF(c->asks.next, struct smtp_ask, node));
	list_remove(&c->node);
	c->listener->n_conns--;
	stream_free(c->stream);
	free(c);
}

static void put_word(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\t')
			buf_str(b, "\001t");
		else if (*s == '\n')
			buf_str(b, "\001n");
		else if (*s == '\r')
			buf_str(b, "\001r");
		else if (*s == '\001')
			buf_str(b, "\0011");
		else
			buf_char(b, (uint8_t)*s);
	}
}

static void send_line(struct smtp_conn *c, struct slice line)
{
	struct buf *out = stream_out(c->stream);

	buf_slice(out, line);
	buf_char(out, '\n');
	stream_flush(c->stream);
}

static void on_challenge(void *arg, struct slice text)
{
	struct smtp_ask *q = arg;
	struct buf b;

	buf_init(&b, SMTP_OUT_MAX);
	buf_printf(&b, "CONT\t%u\t", q->id);
	base64_put(&b, text);
	send_line(q->conn, buf_all(&b));
	buf_fini(&b);
}

static void on_late(void *arg)
{
	struct smtp_ask *q = arg;

	send_line(q->conn, buf_all(&q->reply));
	ask_free(q);
}

static void on_done(void *arg, const struct auth_result *r)
{
	struct smtp_ask *q = arg;
	struct role *role = q->conn->listener->st->role;
	uint64_t delay = conf_time(role->conf, NULL, "auth_failure_delay");

	q->req = NULL;
	if (r->verdict == AUTH_OK) {
		buf_printf(&q->reply, "OK\t%u\tuser=", q->id);
		put_word(&q->reply, r->user);
		send_line(q->conn, buf_all(&q->reply));
		ask_free(q);
		return;
	}
	if (r->verdict == AUTH_TEMPFAIL ||
	    conf_bool(role->conf, NULL, "auth_verbose"))
		log_event(role->log,
			  r->verdict == AUTH_TEMPFAIL ? LOG_ERR : LOG_INF,
			  "auth_failed", NULL, "%s", r->e.op);
	buf_printf(&q->reply, "FAIL\t%u", q->id);
	if (r->user && *r->user) {
		buf_str(&q->reply, "\tuser=");
		put_word(&q->reply, r->user);
	}
	if (r->verdict == AUTH_TEMPFAIL)
		buf_str(&q->reply, "\ttemp");
	q->late = loop_timer_new(role->loop, delay, on_late, q);
}

static const struct auth_req_ops ask_ops = {
	.challenge = on_challenge, .done = on_done,
};

static struct slice word(struct slice *rest)
{
	ptrdiff_t tab = slice_chr(*rest, '\t');
	size_t n = tab < 0 ? rest->n : (size_t)tab;
	struct slice w = slice_sub(*rest, 0, n);

	*rest = slice_sub(*rest, tab < 0 ? n : n + 1, rest->n);
	return w;
}

static struct smtp_ask *ask_of(struct smtp_conn *c, uint32_t id)
{
	for (struct list *i = c->asks.next; i != &c->asks; i = i->next) {
		struct smtp_ask *q = CONTAINER_OF(i, struct smtp_ask, node);

		if (q->id == id)
			return q;
	}
	return NULL;
}

static bool value_of(struct slice w, const char *key, struct slice *out)
{
	size_t n = strlen(key);

	if (w.n < n || memcmp(w.p, key, n) != 0)
		return false;
	*out = slice_sub(w, n, w.n);
	return true;
}

static void cmd_auth(struct smtp_conn *c, struct slice rest, struct arena *a)
{
	struct auth_state *st = c->listener->st;
	struct slice mech, v, resp = SLICE_NONE;
	struct auth_peer peer = {.service = "smtp", .rip = "", .lip = "",
				 .session = ""};
	bool has_resp = false;
	struct smtp_ask *q;
	uint8_t *raw = NULL;
	uint32_t id;
	int n = 0;

	if (slice_u32(word(&rest), &id) < 0 || ask_of(c, id) ||
	    c->n_asks >= SMTP_ASKS_MAX) {
		c->closing = true;
		return;
	}
	mech = word(&rest);
	while (rest.n) {
		struct slice w = word(&rest);

		if (value_of(w, "service=", &v))
			peer.service = arena_strndup(a, v.p, v.n);
		else if (value_of(w, "rip=", &v))
			peer.rip = arena_strndup(a, v.p, v.n);
		else if (value_of(w, "lip=", &v))
			peer.lip = arena_strndup(a, v.p, v.n);
		else if (value_of(w, "secured", &v))
			peer.secured = true;
		else if (value_of(w, "resp=", &v)) {
			has_resp = true;
			raw = arena_alloc(a, v.n + 4);
			n = base64_get(v, raw, v.n + 4);
			if (n < 0) {
				c->closing = true;
				return;
			}
			resp = slice_of(raw, (size_t)n);
		}
	}
	q = NEW(struct smtp_ask);
	q->conn = c;
	q->id = id;
	buf_init(&q->reply, 4096);
	list_append(&c->asks, &q->node);
	c->n_asks++;
	q->req = auth_sasl(st->pool, &peer, mech, has_resp ? &resp : NULL,
			   &ask_ops, q);
}

static void cmd_cont(struct smtp_conn *c, struct slice rest, struct arena *a)
{
	struct smtp_ask *q;
	uint8_t *raw;
	uint32_t id;
	int n;

	if (slice_u32(word(&rest), &id) < 0) {
		c->closing = true;
		return;
	}
	q = ask_of(c, id);
	raw = arena_alloc(a, rest.n + 4);
	n = base64_get(rest, raw, rest.n + 4);
	if (!q || !q->req || n < 0)
		return;
	auth_sasl_answer(q->req, slice_of(raw, (size_t)n));
}

static void command(struct smtp_conn *c, struct slice line)
{
	struct arena *a = arena_new(1024);
	struct slice name = word(&line);
	struct smtp_ask *q;
	uint32_t n;

	if (slice_is(name, "AUTH")) {
		cmd_auth(c, line, a);
	} else if (slice_is(name, "CONT")) {
		cmd_cont(c, line, a);
	} else if (slice_is(name, "CANCEL")) {
		if (slice_u32(word(&line), &n) == 0 && (q = ask_of(c, n)))
			ask_free(q);
	} else if (slice_is(name, "VERSION")) {
		/* Minor versions are compatible, major ones are not. */
		c->closing = slice_u32(word(&line), &n) < 0 || n != 1;
	} else if (!slice_is(name, "CPID")) {
		c->closing = true;
	}
	arena_free(a);
}

static void on_readable(void *arg)
{
	struct smtp_conn *c = arg;

	for (;;) {
		struct slice in = stream_in(c->stream);
		ptrdiff_t nl = slice_chr(in, '\n');

		if (nl < 0) {
			if (stream_in_full(c->stream))
				conn_free(c);
			return;
		}
		command(c, slice_sub(in, 0, (size_t)nl));
		stream_consume(c->stream, (size_t)nl + 1);
		if (c->closing) {
			conn_free(c);
			return;
		}
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
	const char *mechs = auth_mechanisms(auth_pool_auth(st->pool));
	struct buf *out = stream_out(c->stream);
	uint8_t cookie[16];
	char hex[33];

	buf_str(out, "VERSION\t1\t2\n");
	while (*mechs) {
		size_t n = strcspn(mechs, " ");

		buf_printf(out, "MECH\t%.*s\tplaintext\n", (int)n, mechs);
		mechs += n;
		mechs += strspn(mechs, " ");
	}
	st->role->sys.rng->bytes(st->role->sys.rng, cookie, sizeof(cookie));
	hex_of(cookie, sizeof(cookie), hex);
	buf_printf(out, "SPID\t%d\nCUID\t%d\nCOOKIE\t%s\nDONE\n",
		   (int)getpid(), stream_fd(c->stream), hex);
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
	list_init(&c->asks);
	list_append(&l->conns, &c->node);
	l->n_conns++;
	c->stream = stream_new(l->st->role->loop, fd, SMTP_LINE_MAX,
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
