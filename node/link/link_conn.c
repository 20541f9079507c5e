/*
 * One connection of the pair link.
 *
 *   TCP ─► TLS 1.3 ─► preface and SCRAM, both ways ─► envelopes of link.h
 *
 * Preface of the one who dialled, 9 bytes: "DUETLNK1", channel u8.  SCRAM
 * messages: length u16 little-endian, then the bytes.  A length of 0 from the
 * one who was dialled means “no”, and the connection ends.
 */

#include "node/link/sync_role.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"

#include <stdio.h>
#include <unistd.h>

#define PREFACE "DUETLNK1"
#define PREFACE_SIZE 9u

enum conn_state { CONN_TLS, CONN_PREFACE, CONN_SCRAM, CONN_READY };

struct link_conn {
	struct list node;
	struct sync_node *sn;
	struct stream *stream;
	enum conn_state state;
	enum link_channel channel;
	bool ours;
	struct scram *scram;
	struct loop_timer *timer;
	link_dialed *done;
	void *arg;
	char ip[48];
};

static void conn_free(struct link_conn *c)
{
	list_remove(&c->node);
	if (c->sn->taking == c)
		c->sn->taking = NULL;
	if (c->state != CONN_READY)
		c->sn->n_handshakes--;
	loop_timer_free(c->timer);
	scram_free(c->scram);
	/* What was queued, a Refuse with its text, still goes out. */
	stream_finish(c->stream);
	free(c);
}

/* A handshake that fails. */
static void fail(struct link_conn *c, const char *why)
{
	struct sync_node *sn = c->sn;
	link_dialed *done = c->done;
	void *arg = c->arg;

	sync_trouble(sn, "Pair link %s %s: %s", c->ours ? "to" : "from",
		     c->ip, why);
	conn_free(c);
	if (done)
		done(arg, why);
}

/* The link's brain has let it go. */
void link_conn_close(struct link_conn *c, const char *why)
{
	(void)why;
	if (c->channel == CHANNEL_PROXY)
		proxy_link_lost(c->sn);
	conn_free(c);
}

/* The connection broke. */
static void lost(struct link_conn *c, const char *why)
{
	struct sync_node *sn = c->sn;

	log_event(sn->role->log, LOG_INF, "link_closed", NULL,
		  "Pair link %s %s closed: %s", c->ours ? "to" : "from", c->ip,
		  why);
	if (c->channel == CHANNEL_PROXY)
		proxy_link_lost(sn);
	node_link_closed(sn->link, c);
	conn_free(c);
}

/* ---- SCRAM ------------------------------------------------------------------- */

static struct slice secret(const struct link_conn *c)
{
	return slice_str(conf_str(c->sn->role->conf, NULL,
				  "doveadm_password"));
}

static void send_scram(struct link_conn *c, const struct buf *b)
{
	struct buf *out = stream_out(c->stream);

	buf_le16(out, (uint16_t)b->n);
	buf_slice(out, buf_all(b));
	stream_flush(c->stream);
}

static void connected(struct link_conn *c)
{
	struct sync_node *sn = c->sn;
	link_dialed *done = c->done;

	c->state = CONN_READY;
	sn->n_handshakes--;
	loop_timer_free(TAKE(c->timer));
	scram_free(TAKE(c->scram));
	memset(sn->trouble, 0, sizeof(sn->trouble));
	c->done = NULL;
	if (done)
		done(c->arg, NULL);
	node_link_connected(sn->link, c, c->channel, c->ours);
}

static void refuse(struct link_conn *c, const struct err *e)
{
	struct buf none;
	char why[600];

	if (!c->ours && e->code == E_AUTH) {
		buf_init(&none, 1);
		send_scram(c, &none);
	}
	snprintf(why, sizeof(why), "%.400s%s", e->op,
		 e->code == E_AUTH ? ": is doveadm_password the same on both "
				     "nodes?" : "");
	fail(c, why);
}

/* One SCRAM message in; false: c is gone or waits. */
static bool step(struct link_conn *c, struct slice in)
{
	struct err e = ERR_NONE;
	struct buf b;
	int r;

	buf_init(&b, SCRAM_MESSAGE_MAX);
	r = scram_step(c->scram, in, &b, &e);
	if (r < 0) {
		buf_fini(&b);
		refuse(c, &e);
		return false;
	}
	if (b.n)
		send_scram(c, &b);
	buf_fini(&b);
	if (r == 1)
		connected(c);
	return true;
}

static bool scram_begin(struct link_conn *c)
{
	uint8_t binding[SCRAM_BINDING_SIZE];
	struct err e = ERR_NONE;

	if (stream_tls_exporter(c->stream, binding) < 0) {
		fail(c, "no TLS channel to bind to");
		return false;
	}
	if (scram_start(c->ours ? SCRAM_CLIENT : SCRAM_SERVER, secret(c),
			binding, &c->scram, &e) < 0) {
		refuse(c, &e);
		return false;
	}
	c->state = CONN_SCRAM;
	return true;
}

static bool take_preface(struct link_conn *c)
{
	struct slice in = stream_in(c->stream);
	uint8_t ch;

	if (in.n < PREFACE_SIZE)
		return false;
	ch = in.p[8];
	if (memcmp(in.p, PREFACE, 8) != 0 || ch >= CHANNELS) {
		fail(c, "the other end does not speak Duet's pair protocol");
		return false;
	}
	stream_consume(c->stream, PREFACE_SIZE);
	c->channel = (enum link_channel)ch;
	return scram_begin(c);
}

static bool take_scram(struct link_conn *c)
{
	struct sync_node *sn = c->sn;
	bool more;
	struct slice in = stream_in(c->stream), text;
	uint8_t copy[SCRAM_MESSAGE_MAX];
	size_t n;

	if (in.n < 2)
		return false;
	n = (size_t)(in.p[0] | in.p[1] << 8);
	if (n == 0 && c->ours) {
		fail(c, "the partner refuses this node: is doveadm_password "
		     "the same on both nodes?");
		return false;
	}
	if (n > SCRAM_MESSAGE_MAX) {
		fail(c, "the other end does not speak Duet's pair protocol");
		return false;
	}
	if (in.n < 2 + n)
		return false;
	memcpy(copy, in.p + 2, n);
	text = slice_of(copy, n);
	stream_consume(c->stream, 2 + n);
	/* When it is connected the brain may close it at once. */
	sn->taking = c;
	more = step(c, text) && sn->taking == c;
	if (more)
		sn->taking = NULL;
	return more;
}

/* ---- messages --------------------------------------------------------------------- */

/* One message; false: c is gone, or more bytes are needed. */
static bool take_message(struct link_conn *c)
{
	struct slice in = stream_in(c->stream);
	struct err e = ERR_NONE;
	struct ipc_msg env;
	struct link_msg m;
	struct arena *a;
	int n = ipc_decode(in, &env, &e);

	if (n == 0)
		return false;
	if (n < 0) {
		lost(c, e.op);
		return false;
	}
	env.fd = -1;
	a = arena_new(4096);
	if (link_decode(&env, a, &m, &e) < 0 || m.type >= LINK_LOCAL) {
		arena_free(a);
		lost(c, e.code ? e.op : "a message that never leaves a node");
		return false;
	}
	/* The brain may close c from inside: the stream keeps its bytes until
	 * this callback is over, but c is not to be touched then. */
	c->sn->taking = c;
	node_link_message(c->sn->link, c, &m);
	arena_free(a);
	if (c->sn->taking != c)
		return false;
	c->sn->taking = NULL;
	stream_consume(c->stream, (size_t)n);
	return true;
}

static void on_readable(void *arg)
{
	struct link_conn *c = arg;
	bool more = true;

	if (c->state == CONN_READY)
		node_link_input(c->sn->link, c);
	while (more) {
		switch (c->state) {
		case CONN_TLS:
			return;
		case CONN_PREFACE:
			more = take_preface(c);
			break;
		case CONN_SCRAM:
			more = take_scram(c);
			break;
		case CONN_READY:
			more = take_message(c);
			break;
		}
	}
}

static void on_writable(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg, const struct err *e)
{
	struct link_conn *c = arg;
	const char *why = e->code ? e->op : "closed by the partner";

	if (c->state == CONN_READY)
		lost(c, why);
	else
		fail(c, why);
}

static void on_secured(void *arg)
{
	struct link_conn *c = arg;
	struct buf *out = stream_out(c->stream);

	if (!c->ours) {
		c->state = CONN_PREFACE;
		return;
	}
	buf_put(out, PREFACE, 8);
	buf_char(out, (uint8_t)c->channel);
	if (scram_begin(c))
		step(c, SLICE_NONE);
}

static const struct stream_ops conn_ops = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
	.secured = on_secured,
};

static void on_late(void *arg)
{
	fail(arg, "no answer");
}

static struct link_conn *conn_new(struct sync_node *sn, int fd, bool ours)
{
	struct link_conn *c = NEW(struct link_conn);

	c->sn = sn;
	c->ours = ours;
	list_append(&sn->conns, &c->node);
	sn->n_handshakes++;
	c->stream = stream_new(sn->role->loop, fd, LINK_IN_MAX, LINK_OUT_MAX,
			       &conn_ops, c);
	c->timer = loop_timer_new(sn->role->loop, LINK_HANDSHAKE_USEC, on_late,
				  c);
	return c;
}

void link_accept(struct sync_node *sn, int fd)
{
	struct err e = ERR_NONE;
	struct link_conn *c;
	unsigned port;

	if (!sn->link || sn->n_handshakes >= LINK_ACCEPTED_MAX) {
		close(fd);
		return;
	}
	c = conn_new(sn, fd, false);
	stream_peer_text(fd, c->ip, sizeof(c->ip), &port);
	if (stream_start_tls(c->stream, sn->server_tls, true, NULL, &e) < 0)
		fail(c, e.op);
}

struct link_conn *link_dial_on(struct sync_node *sn, int fd, const char *ip,
			       enum link_channel ch, link_dialed *done,
			       void *arg)
{
	struct link_conn *c = conn_new(sn, fd, true);
	struct err e = ERR_NONE;

	snprintf(c->ip, sizeof(c->ip), "%s", ip);
	c->channel = ch;
	c->done = done;
	c->arg = arg;
	if (stream_start_tls(c->stream, sn->client_tls, false, NULL, &e) < 0) {
		fail(c, e.op);
		return NULL;
	}
	return c;
}

void link_conn_send(struct link_conn *c, const struct link_msg *m)
{
	struct buf *out = stream_out(c->stream);

	/* It is asked for again; the connection lives. */
	if (link_is_bulky(m->type) &&
	    stream_out_pending(c->stream) > LINK_OUT_MAX / 2)
		return;
	if (link_encode(out, m) < 0) {
		log_event(c->sn->role->log, LOG_ERR, "link_overflow", NULL,
			  "Pair link %s: %s cannot be sent", c->ip,
			  link_type_name(m->type));
		return;
	}
	stream_flush(c->stream);
}

void link_conns_close_all(struct sync_node *sn)
{
	while (!list_empty(&sn->conns))
		conn_free(CONTAINER_OF(sn->conns.next, struct link_conn,
				       node));
}
