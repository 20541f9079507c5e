#include "node/base/stream.h"
#include "node/base/arena.h"
#include "node/base/loop.h"
#include "node/base/tls_conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes taken from the socket at once: a TLS record holds so many. */
#define READ_CHUNK 16384
/* Bytes read before others have their turn. */
#define READ_TURN_MAX (128u * 1024)
#define FINISH_USEC (10u * 1000 * 1000)

/*
 * Invariants:
 *  1. in.p[in_at .. in.n) is what the owner has not consumed.  Memory of an
 *     empty buffer is given back at the end of each event: idle is small.
 *  2. `busy` counts our frames on the stack; after stream_free() (dead) the
 *     last of them frees the structure and the buffers, so that an owner may
 *     free the stream while it still looks at a line of it.
 *  3. With tls_next set, plain_left bytes of output are still to be written in
 *     clear and nothing is read; then it becomes tls and the handshake runs.
 *  4. The owner hears `closed` without an error at most once (ended), with one
 *     at most once (closed), and nothing after that; nothing at all after
 *     stream_finish().
 */
struct stream {
	struct loop *loop;
	struct loop_io *io;
	int fd;
	struct buf in, out;
	size_t in_at;
	size_t plain_left;	/* of out, while tls_next waits */
	const struct stream_ops *ops;
	void *arg;

	struct tls_conn *tls, *tls_next;
	struct loop_timer *finish;

	unsigned busy;
	bool dead, finishing, closed, eof, ended, paused;
	bool ending;		/* stream_end() */
	bool deferred, want_flush, want_more;
	bool handshaking, secured;
	/* TLS has its own view of what an operation waits for. */
	bool read_wants_out, write_wants_in, out_blocked;
	/* Reading stopped although TLS may hold decrypted bytes. */
	bool in_blocked;
};

static void on_deferred(void *arg);

static size_t in_left(const struct stream *s)
{
	return s->in.n - s->in_at;
}

static void defer(struct stream *s)
{
	if (s->deferred || s->dead)
		return;
	s->deferred = true;
	loop_defer(s->loop, on_deferred, s);
}

static void destroy(struct stream *s)
{
	buf_fini(&s->in);
	buf_fini(&s->out);
	free(s);
}

static void leave(struct stream *s)
{
	assert(s->busy > 0);
	if (--s->busy == 0 && s->dead)
		destroy(s);
}

static bool may_read(const struct stream *s)
{
	return !s->paused && !s->eof && !s->closed && !s->finishing &&
	       !s->tls_next && in_left(s) < s->in.max;
}

static void update(struct stream *s)
{
	unsigned events = 0;

	if (s->dead || !s->io)
		return;
	if (!s->closed || s->finishing) {
		if (s->handshaking) {
			events = s->out_blocked ? LOOP_OUT : LOOP_IN;
		} else {
			if (may_read(s) || s->write_wants_in)
				events |= LOOP_IN;
			if (s->out_blocked || s->read_wants_out)
				events |= LOOP_OUT;
		}
	}
	loop_io_events(s->io, events);
}

/*
 * Closing a TCP socket with unread input resets the connection, and the reset
 * may overtake our last words.  What is here by now is read and dropped.
 */
static void drop_input(int fd)
{
	char waste[4096];
	unsigned rounds = 16;

	shutdown(fd, SHUT_WR);
	while (rounds-- && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
}

static void release(struct stream *s)
{
	if (s->deferred)
		loop_undefer(s->loop, on_deferred, s);
	s->deferred = false;
	loop_io_free(s->io);
	s->io = NULL;
	loop_timer_free(s->finish);
	s->finish = NULL;
	tls_conn_free(s->tls);
	tls_conn_free(s->tls_next);
	s->tls = s->tls_next = NULL;
	if (s->fd >= 0) {
		if (s->finishing && !s->closed)
			drop_input(s->fd);
		close(s->fd);
	}
	s->fd = -1;
}

void stream_free(struct stream *s)
{
	if (!s || s->dead)
		return;
	s->dead = true;
	release(s);
	if (s->busy == 0)
		destroy(s);
}

static void report_closed(struct stream *s, const struct err *e)
{
	if (s->closed || s->dead)
		return;
	s->closed = true;
	s->out_blocked = s->read_wants_out = s->write_wants_in = false;
	s->handshaking = false;
	update(s);
	if (s->finishing)
		stream_free(s);
	else
		s->ops->closed(s->arg, e);
}

/* The peer sends no more.  In the middle of a handshake that is the end. */
static void report_eof(struct stream *s, struct err *e)
{
	if (e->code >= 0 && (s->handshaking || s->tls_next))
		err_set(e, -ECONNRESET, "the peer left before TLS began");
	if (e->code < 0) {
		report_closed(s, e);
		return;
	}
	if (s->ended)
		return;
	s->ended = true;
	/* The owner is gone; what it left goes out all the same. */
	if (s->finishing)
		return;
	update(s);
	s->ops->closed(s->arg, e);
}

/* One read; bytes, 0 at the end, -EAGAIN or an error with e set. */
static ssize_t read_once(struct stream *s, void *to, size_t n, struct err *e)
{
	enum tls_want want;
	ssize_t r;

	if (s->tls) {
		r = tls_conn_read(s->tls, to, n, &want, e);
		s->read_wants_out = r == -EAGAIN && want == TLS_WANT_OUT;
		return r;
	}
	do
		r = read(s->fd, to, n);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN)
		return err_set(e, -errno, "reading from the connection: %s",
			       strerrordesc_np(errno));
	return r < 0 ? -EAGAIN : r;
}

static ssize_t write_once(struct stream *s, const void *p, size_t n, struct err *e)
{
	enum tls_want want;
	ssize_t r;

	if (s->tls) {
		r = tls_conn_write(s->tls, p, n, &want, e);
		s->write_wants_in = r == -EAGAIN && want == TLS_WANT_IN;
		return r;
	}
	do {
		r = send(s->fd, p, n, MSG_NOSIGNAL);
		if (r < 0 && errno == ENOTSOCK)
			r = write(s->fd, p, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && errno != EAGAIN)
		return err_set(e, -errno, "writing to the connection: %s",
			       strerrordesc_np(errno));
	return r < 0 ? -EAGAIN : r;
}

/* The owner's bytes move to the front of the buffer. */
static void pack_in(struct stream *s)
{
	if (s->in_at == 0)
		return;
	buf_consume(&s->in, s->in_at);
	s->in_at = 0;
}

/* Reads what is there into `in`; true if anything came. */
static bool fill(struct stream *s, struct err *e)
{
	size_t got = 0;

	s->in_blocked = false;
	while (may_read(s)) {
		size_t n;
		uint8_t *to;
		ssize_t r;

		if (got >= READ_TURN_MAX) {
			s->in_blocked = s->tls != NULL;
			break;
		}
		pack_in(s);
		n = s->in.max - s->in.n;
		if (n > READ_CHUNK)
			n = READ_CHUNK;
		to = buf_room(&s->in, n);
		r = read_once(s, to, n, e);
		if (r == -EAGAIN)
			break;
		if (r <= 0) {
			s->eof = true;
			break;
		}
		buf_commit(&s->in, (size_t)r);
		got += (size_t)r;
		/* A plain socket tells by epoll whether there is more. */
		if (!s->tls && (size_t)r < n)
			break;
	}
	if (in_left(s) == s->in.max)
		s->in_blocked = true;
	return got > 0;
}

static void begin_tls(struct stream *s)
{
	s->tls = s->tls_next;
	s->tls_next = NULL;
	s->handshaking = true;
	s->out_blocked = false;
	defer(s);
	/* What came in clear behind STARTTLS is not part of the session. */
	buf_reset(&s->in);
	s->in_at = 0;
}

/* Writes what is pending; an error is in e. */
static int write_out(struct stream *s, struct err *e)
{
	size_t at = 0, end = s->tls_next ? s->plain_left : s->out.n;
	int result = 0;

	s->out_blocked = false;
	while (at < end) {
		ssize_t r = write_once(s, s->out.p + at, end - at, e);

		if (r == -EAGAIN) {
			s->out_blocked = !s->write_wants_in;
			break;
		}
		if (r < 0) {
			result = (int)r;
			break;
		}
		at += (size_t)r;
	}
	buf_consume(&s->out, at);
	if (s->tls_next)
		s->plain_left -= at;
	return result;
}

/* The other end is gone for writing; its last words may still be here. */
static void write_failed(struct stream *s, const struct err *e)
{
	struct err ignored;

	buf_reset(&s->out);
	if (!s->finishing && fill(s, &ignored))
		s->ops->readable(s->arg);
	report_closed(s, e);
}

static void flush_now(struct stream *s)
{
	struct err e = ERR_NONE;
	size_t before = s->out.n, low = s->in.max / 4;
	int r;

	s->want_flush = false;
	if (s->dead || s->handshaking || (s->closed && !s->finishing))
		return;
	if (s->out.failed) {
		/* Something was left out: what follows would be nonsense. */
		err_set(&e, E_LIMIT, "output beyond %zu bytes", s->out.max);
		report_closed(s, &e);
		return;
	}
	r = write_out(s, &e);
	if (r < 0) {
		write_failed(s, &e);
		return;
	}
	if (s->tls_next) {
		if (s->plain_left == 0)
			begin_tls(s);
		return;
	}
	if (s->out.n == 0) {
		buf_shrink(&s->out, 0);
		if (s->finishing) {
			stream_free(s);
			return;
		}
		if (s->ending)
			shutdown(s->fd, SHUT_WR);
	}
	if (s->ops->writable && !s->finishing && before && s->out.n < low &&
	    (before >= low || s->out.n == 0))
		s->ops->writable(s->arg);
}

static void handshake(struct stream *s)
{
	struct err e = ERR_NONE;
	enum tls_want want = TLS_WANT_IN;
	int r = tls_conn_handshake(s->tls, &want, &e);

	s->out_blocked = r == -EAGAIN && want == TLS_WANT_OUT;
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		report_closed(s, &e);
		return;
	}
	s->handshaking = false;
	s->secured = true;
	s->want_flush = s->out.n > 0;
	/* The last flight of the peer may have brought data with it. */
	s->in_blocked = true;
	defer(s);
	if (s->ops->secured && !s->finishing)
		s->ops->secured(s->arg);
}

/* Everything that may be possible now.  The caller holds busy. */
static void pump_in(struct stream *s)
{
	struct err e = ERR_NONE;
	bool more = s->want_more;

	s->want_more = false;
	if (s->finishing || s->closed)
		return;
	if ((fill(s, &e) || more) && (in_left(s) > 0 || s->ended))
		s->ops->readable(s->arg);
	if (!s->dead && s->eof)
		report_eof(s, &e);
	/* Bytes inside TLS raise no event: come back for them. */
	if (!s->dead && s->in_blocked && may_read(s))
		defer(s);
}

static void settle(struct stream *s)
{
	if (s->dead)
		return;
	if (in_left(s) == 0) {
		s->in_at = 0;
		buf_shrink(&s->in, 0);
	}
	update(s);
}

static void on_io(void *arg, unsigned events)
{
	struct stream *s = arg;

	s->busy++;
	if (s->handshaking)
		handshake(s);
	if (!s->dead && !s->handshaking &&
	    (events & LOOP_OUT || s->write_wants_in))
		flush_now(s);
	if (!s->dead && !s->handshaking &&
	    (events & (LOOP_IN | LOOP_HUP) || s->read_wants_out))
		pump_in(s);
	settle(s);
	leave(s);
}

static void on_deferred(void *arg)
{
	struct stream *s = arg;

	s->deferred = false;
	s->busy++;
	if (s->want_flush)
		flush_now(s);
	if (!s->dead && s->handshaking)
		handshake(s);
	if (!s->dead && !s->handshaking && !s->tls_next &&
	    (s->want_more || s->in_blocked))
		pump_in(s);
	settle(s);
	leave(s);
}

struct stream *stream_new(struct loop *l, int fd, size_t in_max, size_t out_max,
			  const struct stream_ops *ops, void *arg)
{
	struct stream *s = NEW(struct stream);
	int flags = fcntl(fd, F_GETFL), one = 1;

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	/* Output is gathered by us; no effect on UNIX sockets. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->loop = l;
	s->fd = fd;
	buf_init(&s->in, in_max);
	buf_init(&s->out, out_max);
	s->ops = ops;
	s->arg = arg;
	s->io = loop_io_new(l, fd, LOOP_IN, on_io, s);
	return s;
}

static void give_up(void *arg)
{
	stream_free(arg);
}

void stream_finish(struct stream *s)
{
	if (!s || s->dead || s->finishing)
		return;
	s->finishing = true;
	/* Unwritten words of a handshake that never ended go nowhere. */
	if (s->closed || s->handshaking || (s->out.n == 0 && !s->tls_next)) {
		stream_free(s);
		return;
	}
	s->finish = loop_timer_new(s->loop, FINISH_USEC, give_up, s);
	stream_flush(s);
	update(s);
}

void stream_end(struct stream *s)
{
	assert(!s->tls && !s->tls_next);
	s->ending = true;
	stream_flush(s);
}

bool stream_ended(const struct stream *s)
{
	return s->ended || s->closed;
}

void stream_set_ops(struct stream *s, const struct stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
}

struct slice stream_in(const struct stream *s)
{
	return slice_of(s->in.p + s->in_at, in_left(s));
}

void stream_consume(struct stream *s, size_t n)
{
	assert(n <= in_left(s));
	s->in_at += n;
	if (s->in_at == s->in.n) {
		s->in_at = 0;
		buf_reset(&s->in);
	}
	if (n && s->in_blocked && !s->dead)
		defer(s);
}

bool stream_in_full(const struct stream *s)
{
	return in_left(s) >= s->in.max;
}

void stream_more(struct stream *s)
{
	s->want_more = true;
	defer(s);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
	update(s);
}

void stream_resume(struct stream *s)
{
	s->paused = false;
	if (s->tls || s->eof) {
		s->in_blocked = true;
		defer(s);
	}
	update(s);
}

struct buf *stream_out(struct stream *s)
{
	return &s->out;
}

void stream_flush(struct stream *s)
{
	s->want_flush = true;
	defer(s);
}

size_t stream_out_pending(const struct stream *s)
{
	return s->out.n;
}

int stream_start_tls(struct stream *s, struct tls_ctx *ctx, bool server,
		     const char *hostname, struct err *e)
{
	int r;

	if (s->tls || s->tls_next)
		return err_set(e, -EALREADY, "TLS is on already");
	if (s->closed)
		return err_set(e, -ENOTCONN, "the connection is closed");
	r = tls_conn_new(ctx, s->fd, server, hostname, &s->tls_next, e);
	if (r < 0)
		return r;
	s->plain_left = s->out.n;
	if (s->plain_left == 0)
		begin_tls(s);
	else
		stream_flush(s);
	update(s);
	return 0;
}

bool stream_secured(const struct stream *s)
{
	return s->secured;
}

const char *stream_tls_text(const struct stream *s)
{
	return s->tls ? tls_conn_text(s->tls) : "";
}

int stream_tls_exporter(const struct stream *s, uint8_t out[32])
{
	return s->tls ? tls_conn_exporter(s->tls, out) : -ENOTCONN;
}

int stream_tls_peer(const struct stream *s, uint8_t out[32])
{
	return s->tls ? tls_conn_peer(s->tls, out) : -ENOENT;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

int stream_take_fd(struct stream *s, struct buf *left)
{
	int fd = s->fd;

	if (s->tls || s->tls_next || s->out.n)
		return -EBUSY;
	buf_slice(left, stream_in(s));
	s->fd = -1;
	stream_free(s);
	return fd;
}
