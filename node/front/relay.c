/*
 * After login, a client with TLS: the front deciphers, the session works on
 * the other end of a socket pair.  Two streams with small buffers; while both
 * are idle they hold no memory but themselves.
 */

#include "node/front/front.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#define RELAY_BUF 16384u

struct relay {
	struct list node;
	struct front *front;
	struct stream *client, *inner;
	bool ended;			/* the session was told of the end */
};

static void relay_free(struct relay *r)
{
	list_remove(&r->node);
	if (r->client)
		stream_finish(r->client);
	if (r->inner)
		stream_finish(r->inner);
	free(r);
}

/* What fits; the rest stays in `from`, which then reads no further. */
static void copy(struct stream *from, struct stream *to)
{
	struct slice in = stream_in(from);
	size_t room, pending = stream_out_pending(to);

	room = pending < RELAY_BUF ? RELAY_BUF - pending : 0;
	if (in.n == 0 || room == 0)
		return;
	if (in.n > room)
		in.n = room;
	buf_slice(stream_out(to), in);
	stream_consume(from, in.n);
	stream_flush(to);
}

/* From the client to the session, and then that no more follows. */
static void copy_in(struct relay *r)
{
	copy(r->client, r->inner);
	if (!r->ended && stream_ended(r->client) &&
	    stream_in(r->client).n == 0) {
		r->ended = true;
		stream_end(r->inner);
	}
}

static void client_readable(void *arg)
{
	copy_in(arg);
}

/* The session's last words go out before the connection ends. */
static void copy_out(struct relay *r)
{
	copy(r->inner, r->client);
	if (stream_ended(r->inner) && stream_in(r->inner).n == 0)
		relay_free(r);
}

static void inner_readable(void *arg)
{
	copy_out(arg);
}

static void client_writable(void *arg)
{
	copy_out(arg);
}

static void inner_writable(void *arg)
{
	copy_in(arg);
}

static void client_closed(void *arg, const struct err *e)
{
	struct relay *r = arg;

	copy_in(r);
	if (e->code == 0)
		return;		/* it may still read */
	stream_free(TAKE(r->client));
	relay_free(r);
}

static void inner_closed(void *arg, const struct err *e)
{
	(void)e;
	copy_out(arg);
}

static const struct stream_ops client_ops = {
	.readable = client_readable, .writable = client_writable,
	.closed = client_closed,
};
static const struct stream_ops inner_ops = {
	.readable = inner_readable, .writable = inner_writable,
	.closed = inner_closed,
};

void relay_new(struct front *f, struct stream *client, int inner)
{
	struct relay *r = NEW(struct relay);

	r->front = f;
	r->client = client;
	list_append(&f->relays, &r->node);
	stream_set_ops(client, &client_ops, r);
	r->inner = stream_new(f->role->loop, inner, RELAY_BUF, 2 * RELAY_BUF,
			      &inner_ops, r);
	copy_in(r);
}

void relay_finish_all(struct front *f)
{
	while (!list_empty(&f->relays)) {
		struct relay *r = CONTAINER_OF(f->relays.next, struct relay,
					       node);

		copy(r->inner, r->client);
		relay_free(r);
	}
}
