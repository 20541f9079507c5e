/*
 * Files that maybe only root can read.  Backends read in worker threads and
 * may block there, so this has a channel of its own to the supervisor, used
 * synchronously under a lock; the supervisor answers in one turn of its loop.
 */

#include "node/auth_role.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/base/cleanup.h"
#include "node/base/cursor.h"
#include "node/base/map.h"

#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES_WAIT_MSEC 5000

struct auth_files {
	pthread_mutex_t lock;
	int fd;
};

struct auth_files *auth_files_new(void)
{
	struct auth_files *f = NEW(struct auth_files);

	pthread_mutex_init(&f->lock, NULL);
	f->fd = -1;
	return f;
}

void auth_files_use(struct auth_files *f, int fd)
{
	pthread_mutex_lock(&f->lock);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	pthread_mutex_unlock(&f->lock);
}

static int send_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		s = slice_sub(s, (size_t)n, s.n);
	}
	return 0;
}

/* Some bytes, and a descriptor if one comes along. */
static ssize_t receive(int fd, struct buf *to, int *passed)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	uint8_t *room = buf_room(to, 4096);
	struct iovec io = {room, 4096};
	struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (!room || poll(&p, 1, FILES_WAIT_MSEC) <= 0)
		return -1;
	n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	if (n > 0)
		buf_commit(to, (size_t)n);
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c;
	     c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(passed, CMSG_DATA(c), sizeof(int));
	return n;
}

/* One question, one answer. */
static int ask(int fd, const char *path, const struct auth_stamp *stamp,
	       struct arena *a, struct ipc_head *reply, int *passed,
	       struct err *e)
{
	struct ipc_head h = {.name = path,
			     .data = slice_of(stamp, sizeof(*stamp))};
	struct ipc_msg m = {.type = IPC_READ, .fd = -1}, in;
	struct buf head, b;
	int r;

	buf_init(&head, 65536);
	buf_init(&b, IPC_MESSAGE_MAX);
	ipc_head_encode(&h, &head);
	m.head = buf_all(&head);
	ipc_encode(&b, &m);
	r = send_all(fd, buf_all(&b));
	buf_reset(&b);
	while (r == 0) {
		int n = ipc_decode(buf_all(&b), &in, e);

		if (n < 0) {
			r = n;
		} else if (n > 0) {
			r = ipc_head_decode(in.head, a, reply, e);
			break;
		} else if (receive(fd, &b, passed) <= 0) {
			r = -EPIPE;
		}
	}
	buf_fini(&head);
	buf_fini(&b);
	if (r < 0)
		return err_set(e, E_TEMP, "%s: the supervisor did not answer",
			       path);
	return 0;
}

static int take(int fd, const char *path, struct buf *to, struct err *e)
{
	off_t at = 0;

	for (;;) {
		uint8_t *room = buf_room(to, 65536);
		ssize_t n = room ? pread(fd, room, 65536, at) : -1;

		if (n < 0)
			return err_set(e, room ? -errno : E_LIMIT,
				       "%s: too large or not readable", path);
		if (n == 0)
			return 0;
		buf_commit(to, (size_t)n);
		at += n;
	}
}

static int read_through(struct auth_files *f, const char *path,
			struct auth_stamp *stamp, struct buf *to,
			struct err *e)
{
	struct arena *a = arena_new(1024);
	struct ipc_head reply = {0};
	AUTO_CLOSE int passed = -1;
	int r = ask(f->fd, path, stamp, a, &reply, &passed, e);

	if (r < 0) {
		/* Out of step with the other end: never use it again. */
		close(f->fd);
		f->fd = -1;
	} else if (reply.code < 0) {
		r = err_set(e, reply.code, "%s", reply.text);
	} else if (reply.code == 1) {
		r = passed < 0 ? err_set(e, E_TEMP, "%s: no descriptor came",
					 path)
			       : take(passed, path, to, e);
		if (r == 0 && reply.data.n == sizeof(*stamp)) {
			memcpy(stamp, reply.data.p, sizeof(*stamp));
			r = 1;
		}
	}
	arena_free(a);
	return r;
}

int auth_files_read(void *arg, const char *path, struct auth_stamp *stamp,
		    struct buf *to, struct err *e)
{
	struct auth_files *f = arg;
	int r;

	pthread_mutex_lock(&f->lock);
	if (f->fd < 0) {
		pthread_mutex_unlock(&f->lock);
		return auth_read_file(NULL, path, stamp, to, e);
	}
	r = read_through(f, path, stamp, to, e);
	pthread_mutex_unlock(&f->lock);
	return r;
}
