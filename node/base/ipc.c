#include "node/base/ipc.h"
#include "node/base/arena.h"
#include "node/base/cursor.h"
#include "node/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_CHUNK (64u * 1024)
#define READ_TURN_MAX (2u * 1024 * 1024)
/* Descriptors that came and whose message is not whole yet; see `take_fd`. */
#define FDS_MAX 4

void ipc_encode(struct buf *to, const struct ipc_msg *m)
{
	size_t n = IPC_HEADER_SIZE + m->head.n + m->body.n;

	assert(n <= IPC_MESSAGE_MAX);
	/* All or nothing: half a message would break the channel. */
	if (!buf_room(to, n))
		return;
	buf_le32(to, (uint32_t)(n - 4));
	buf_le16(to, m->type);
	buf_le16(to, m->flags);
	buf_le64(to, m->stream);
	buf_le64(to, m->seq);
	buf_le32(to, (uint32_t)m->head.n);
	buf_slice(to, m->head);
	buf_slice(to, m->body);
}

int ipc_decode(struct slice in, struct ipc_msg *out, struct err *e)
{
	struct cursor c = cursor_of(in);
	uint32_t len, head_n;
	struct ipc_msg m = {.fd = -1};

	if (in.n < 4)
		return 0;
	len = cursor_le32(&c);
	if (len < IPC_HEADER_SIZE - 4 || len > IPC_MESSAGE_MAX - 4)
		return err_set(e, E_PROTO, "message of %u bytes (limits are %u "
					   "and %u)", len, IPC_HEADER_SIZE - 4,
			       IPC_MESSAGE_MAX - 4);
	if (in.n - 4 < len)
		return 0;
	m.type = cursor_le16(&c);
	m.flags = cursor_le16(&c);
	m.stream = cursor_le64(&c);
	m.seq = cursor_le64(&c);
	head_n = cursor_le32(&c);
	if (head_n > len - (IPC_HEADER_SIZE - 4))
		return err_set(e, E_PROTO, "message head of %u bytes in a message "
					   "of %u", head_n, len);
	m.head = cursor_bytes(&c, head_n);
	m.body = cursor_bytes(&c, len - (IPC_HEADER_SIZE - 4) - head_n);
	*out = m;
	return (int)(len + 4);
}

/* A descriptor of the output queue: goes along with the byte at `at`, which
 * begins a message of n bytes. */
struct passing {
	uint64_t at;
	size_t n;
	int fd;
};

/* A descriptor that came with bytes up to `end`. */
struct arrived {
	uint64_t end;
	int fd;
};

/*
 * Positions are counted in bytes since the channel was made.  Invariants:
 *  1. out.p[out_at ..) begins at position out_pos.
 *  2. in.p[0 ..) begins at position in_pos.
 *  3. as in stream.c: `busy` and `dead`; a message stays readable in its
 *     callback even if that frees the channel.
 */
struct ipc {
	struct loop *loop;
	struct loop_io *io;
	int fd;
	const struct ipc_ops *ops;
	void *arg;

	struct buf out;
	size_t out_at;
	uint64_t out_pos;
	struct passing *passing;
	size_t n_passing, cap_passing;

	struct buf in;
	uint64_t in_pos;
	struct arrived arrived[FDS_MAX];
	size_t n_arrived;

	unsigned busy;
	bool dead, closed, deferred;
};

static void destroy(struct ipc *c)
{
	buf_fini(&c->out);
	buf_fini(&c->in);
	free(c);
}

static void leave(struct ipc *c)
{
	if (--c->busy == 0 && c->dead)
		destroy(c);
}

static void passed(struct ipc *c)
{
	close(c->passing[0].fd);
	c->n_passing--;
	memmove(c->passing, c->passing + 1, c->n_passing * sizeof(*c->passing));
}

static void drop_out(struct ipc *c)
{
	while (c->n_passing)
		passed(c);
	buf_shrink(&c->out, 0);
	c->out_at = 0;
}

static void close_with(struct ipc *c, const struct err *e)
{
	if (c->dead || c->closed)
		return;
	c->closed = true;
	loop_io_events(c->io, 0);
	drop_out(c);
	c->ops->closed(c->arg, e);
}

/* ------------------------------------------------------------------ out */

/* How much may go in one call, and the descriptor that goes with it.  A call
 * with a descriptor holds bytes of its message only: the receiver relies on
 * that to tell whose it is. */
static size_t next_part(struct ipc *c, int *fd)
{
	size_t n = c->out.n - c->out_at;

	*fd = -1;
	if (c->n_passing == 0)
		return n;
	if (c->passing[0].at == c->out_pos) {
		*fd = c->passing[0].fd;
		return c->passing[0].n;
	}
	if (c->passing[0].at - c->out_pos < n)
		n = (size_t)(c->passing[0].at - c->out_pos);
	return n;
}

static ssize_t send_part(struct ipc *c, size_t n, int fd)
{
	struct iovec iov = {c->out.p + c->out_at, n};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t r;

	if (fd >= 0) {
		struct cmsghdr *h;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	do
		r = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int flush_out(struct ipc *c)
{
	while (c->out_at < c->out.n) {
		int fd;
		size_t n = next_part(c, &fd);
		ssize_t r = send_part(c, n, fd);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			return (int)r;
		if (fd >= 0)
			passed(c);
		c->out_at += (size_t)r;
		c->out_pos += (uint64_t)r;
	}
	if (c->out_at == c->out.n) {
		buf_shrink(&c->out, 0);
		c->out_at = 0;
	} else if (c->out_at > c->out.n / 2) {
		buf_consume(&c->out, c->out_at);
		c->out_at = 0;
	}
	return 0;
}

static void flush_or_close(struct ipc *c)
{
	struct err e = ERR_NONE;
	int r = flush_out(c);

	if (r < 0) {
		/* The end that is gone says so once, by the reading side, when
		 * all it sent before has been read. */
		if (r == -EPIPE || r == -ECONNRESET) {
			drop_out(c);
			loop_io_events(c->io, LOOP_IN);
			return;
		}
		err_set(&e, r, "writing to the channel: %s", err_name(r));
		close_with(c, &e);
		return;
	}
	loop_io_events(c->io, LOOP_IN | (c->out.n ? LOOP_OUT : 0u));
}

static void on_deferred(void *arg)
{
	struct ipc *c = arg;

	c->deferred = false;
	c->busy++;
	if (!c->closed)
		flush_or_close(c);
	leave(c);
}

size_t ipc_queued(const struct ipc *c)
{
	return c->out.n - c->out_at;
}

int ipc_send(struct ipc *c, const struct ipc_msg *m)
{
	size_t before = c->out.n;

	if (c->closed || c->dead)
		return -EPIPE;
	if (ipc_queued(c) >= IPC_QUEUE_MAX)
		return E_LIMIT;
	if (IPC_HEADER_SIZE + m->head.n + m->body.n > IPC_MESSAGE_MAX)
		return -EMSGSIZE;
	ipc_encode(&c->out, m);
	if (c->out.failed) {
		c->out.failed = false;
		return E_LIMIT;
	}
	if (m->fd >= 0) {
		GROW(c->passing, c->n_passing, c->cap_passing);
		c->passing[c->n_passing++] = (struct passing){
			.at = c->out_pos + (before - c->out_at),
			.n = c->out.n - before,
			.fd = m->fd,
		};
	}
	if (!c->deferred) {
		c->deferred = true;
		loop_defer(c->loop, on_deferred, c);
	}
	return 0;
}

/* ------------------------------------------------------------------- in */

/* Keeps the descriptors of one recvmsg; more than one, or too many waiting,
 * is not what our sender does. */
static int keep_fds(struct ipc *c, struct msghdr *msg, uint64_t end)
{
	int r = msg->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
	struct cmsghdr *h;

	for (h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (i > 0 || c->n_arrived == FDS_MAX) {
				close(fd);
				r = E_PROTO;
				continue;
			}
			c->arrived[c->n_arrived++] = (struct arrived){end, fd};
		}
	}
	return r;
}

static ssize_t receive(struct ipc *c, struct err *e)
{
	uint8_t *to = buf_room(&c->in, READ_CHUNK);
	struct iovec iov = {to, READ_CHUNK};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	ssize_t n;
	int r;

	/* in.max leaves room behind the largest message. */
	assert(to);
	do
		n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (n < 0 && errno == ECONNRESET)
		n = 0;
	if (n < 0)
		return err_set(e, -errno, "reading from the channel: %s",
			       strerrordesc_np(errno));
	if (n == 0)
		return 0;
	buf_commit(&c->in, (size_t)n);
	r = keep_fds(c, &msg, c->in_pos + c->in.n);
	if (r < 0)
		return err_set(e, r, "receiving a descriptor: %s", err_name(r));
	return n;
}

/*
 * The descriptor of the message at [from, to), or -1.  What was received with
 * a descriptor ends inside its message or with it, so the message is the one
 * that holds the last byte received then.
 */
static int take_fd(struct ipc *c, uint64_t from, uint64_t to)
{
	int fd;

	if (c->n_arrived == 0 || c->arrived[0].end <= from ||
	    c->arrived[0].end > to)
		return -1;
	fd = c->arrived[0].fd;
	c->n_arrived--;
	memmove(c->arrived, c->arrived + 1, c->n_arrived * sizeof(c->arrived[0]));
	return fd;
}

/* Gives out the whole messages in `in`. */
static int deliver(struct ipc *c, struct err *e)
{
	size_t at = 0;
	int r = 0;

	while (!c->dead && !c->closed) {
		struct ipc_msg m;

		r = ipc_decode(slice_sub(buf_all(&c->in), at, c->in.n), &m, e);
		if (r <= 0)
			break;
		m.fd = take_fd(c, c->in_pos + at, c->in_pos + at + (size_t)r);
		at += (size_t)r;
		c->ops->message(c->arg, &m);
	}
	if (c->dead)
		return 0;
	buf_consume(&c->in, at);
	c->in_pos += at;
	return r < 0 ? r : 0;
}

static void read_in(struct ipc *c)
{
	struct err e = ERR_NONE;
	size_t got = 0;

	while (!c->dead && !c->closed && got < READ_TURN_MAX) {
		ssize_t n = receive(c, &e);

		if (n == -EAGAIN)
			break;
		if (n == 0 && c->in.n)
			err_set(&e, E_PROTO, "the channel ended inside a message");
		if (n <= 0 || deliver(c, &e) < 0) {
			close_with(c, &e);
			break;
		}
		got += (size_t)n;
		/* All that was there; more comes by epoll. */
		if (n < READ_CHUNK)
			break;
	}
	if (!c->dead && c->in.n == 0)
		buf_shrink(&c->in, 0);
}

static void on_io(void *arg, unsigned events)
{
	struct ipc *c = arg;

	c->busy++;
	if (events & (LOOP_IN | LOOP_HUP))
		read_in(c);
	if (!c->dead && !c->closed && events & LOOP_OUT)
		flush_or_close(c);
	leave(c);
}

struct ipc *ipc_new(struct loop *l, int fd, const struct ipc_ops *ops, void *arg)
{
	struct ipc *c = NEW(struct ipc);
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	c->loop = l;
	c->fd = fd;
	c->ops = ops;
	c->arg = arg;
	/* The queue's limit is checked before a message is added, and what was
	 * sent of the front may still stand there. */
	buf_init(&c->out, 2 * (IPC_QUEUE_MAX + IPC_MESSAGE_MAX));
	buf_init(&c->in, IPC_MESSAGE_MAX + READ_CHUNK);
	c->io = loop_io_new(l, fd, LOOP_IN, on_io, c);
	return c;
}

void ipc_free(struct ipc *c)
{
	if (!c || c->dead)
		return;
	/* What was queued in this turn leaves if the socket takes it. */
	if (!c->closed)
		(void)flush_out(c);
	c->dead = true;
	if (c->deferred)
		loop_undefer(c->loop, on_deferred, c);
	loop_io_free(c->io);
	close(c->fd);
	drop_out(c);
	free(c->passing);
	for (size_t i = 0; i < c->n_arrived; i++)
		close(c->arrived[i].fd);
	if (c->busy == 0)
		destroy(c);
}
