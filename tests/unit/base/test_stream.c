#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/loop.h"
#include "node/base/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One stream and, at the other end, a bare descriptor. */
struct end {
	struct loop *l;
	struct stream *s;
	int fd;
	struct buf got;
	size_t take_max;	/* consumed per call */
	unsigned readable, writable, closed;
	struct err why;
	bool free_when_read, finish_when_read;
};

static void on_readable(void *arg)
{
	struct end *t = arg;
	struct slice in = stream_in(t->s);

	t->readable++;
	if (t->free_when_read) {
		stream_free(t->s);
		t->s = NULL;
		/* Still there until this callback returns. */
		buf_slice(&t->got, in);
		return;
	}
	if (t->finish_when_read) {
		buf_fill(stream_out(t->s), 'x', t->take_max);
		stream_finish(t->s);
		t->s = NULL;
	}
	in = slice_sub(in, 0, t->take_max);
	buf_slice(&t->got, in);
	if (t->s)
		stream_consume(t->s, in.n);
}

static void on_writable(void *arg)
{
	((struct end *)arg)->writable++;
}

static void on_closed(void *arg, const struct err *e)
{
	struct end *t = arg;

	t->closed++;
	t->why = *e;
}

static const struct stream_ops ops = {on_readable, on_writable, on_closed, NULL};

static void setup(struct end *t, size_t in_max, size_t out_max)
{
	int fd[2];

	memset(t, 0, sizeof(*t));
	CU_EQ_INT(loop_new(&t->l), 0);
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	t->s = stream_new(t->l, fd[0], in_max, out_max, &ops, t);
	t->fd = fd[1];
	t->take_max = SIZE_MAX;
	buf_init(&t->got, 1 << 20);
}

static void teardown(struct end *t)
{
	stream_free(t->s);
	if (t->fd >= 0)
		close(t->fd);
	loop_free(t->l);
	buf_fini(&t->got);
}

static void put(struct end *t, const char *s)
{
	CU_EQ_INT(write(t->fd, s, strlen(s)), strlen(s));
}

/* Turns until nothing happens any more. */
static void settle(struct end *t)
{
	for (int i = 0; i < 1000 && loop_turn(t->l, 0) > 0; i++)
		;
}

static void bytes_go_in_and_out(void)
{
	struct end t;
	char text[10] = "";

	setup(&t, 100, 100);
	put(&t, "hello");
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "hello");
	buf_str(stream_out(t.s), "answer");
	stream_flush(t.s);
	CU_EQ_INT(stream_out_pending(t.s), 6);
	CU_EQ_INT(recv(t.fd, text, 10, MSG_DONTWAIT), -1);
	settle(&t);
	CU_EQ_INT(stream_out_pending(t.s), 0);
	CU_EQ_INT(recv(t.fd, text, 10, MSG_DONTWAIT), 6);
	CU_EQ_STR(text, "answer");
	teardown(&t);
}

static void input_waits_in_the_socket_when_the_buffer_is_full(void)
{
	struct end t;

	setup(&t, 8, 100);
	t.take_max = 0;
	put(&t, "0123456789abcdef");
	settle(&t);
	CU_ASSERT(stream_in_full(t.s));
	CU_EQ_TEXT(stream_in(t.s), "01234567");
	CU_EQ_INT(t.readable, 1);
	/* Consuming makes room, and what waits comes by itself. */
	t.take_max = SIZE_MAX;
	stream_consume(t.s, 8);
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "89abcdef");
	teardown(&t);
}

static void unconsumed_input_comes_again_only_when_asked_for(void)
{
	struct end t;

	setup(&t, 100, 100);
	t.take_max = 1;
	put(&t, "abc");
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "a");
	CU_EQ_INT(t.readable, 1);
	stream_more(t.s);
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "ab");
	put(&t, "d");
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "abc");
	CU_EQ_TEXT(stream_in(t.s), "d");
	teardown(&t);
}

static void the_end_comes_once_and_after_the_input(void)
{
	struct end t;

	setup(&t, 100, 100);
	t.take_max = 2;
	put(&t, "last");
	close(t.fd);
	t.fd = -1;
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "la");
	CU_EQ_INT(t.closed, 1);
	CU_EQ_INT(t.why.code, 0);
	CU_EQ_TEXT(stream_in(t.s), "st");
	CU_ASSERT(stream_ended(t.s));
	/* What was not consumed can be asked for again, to the last. */
	stream_more(t.s);
	stream_flush(t.s);
	settle(&t);
	CU_EQ_INT(t.closed, 1);
	CU_EQ_INT(t.readable, 2);
	CU_EQ_TEXT(buf_all(&t.got), "last");
	teardown(&t);
}

static void a_peer_that_only_ended_its_side_gets_its_answer(void)
{
	char text[10] = "";
	struct end t;

	setup(&t, 100, 100);
	put(&t, "QUIT");
	CU_EQ_INT(shutdown(t.fd, SHUT_WR), 0);
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "QUIT");
	CU_EQ_INT(t.closed, 1);
	CU_EQ_INT(t.why.code, 0);
	buf_str(stream_out(t.s), "answer");
	stream_flush(t.s);
	settle(&t);
	CU_EQ_INT(recv(t.fd, text, 10, MSG_DONTWAIT), 6);
	CU_EQ_STR(text, "answer");
	CU_EQ_INT(t.closed, 1);
	/* Then it goes, and the next word finds nobody. */
	close(t.fd);
	t.fd = -1;
	buf_str(stream_out(t.s), "more");
	stream_flush(t.s);
	settle(&t);
	CU_EQ_INT(t.closed, 2);
	CU_ASSERT(t.why.code < 0);
	stream_flush(t.s);
	settle(&t);
	CU_EQ_INT(t.closed, 2);
	teardown(&t);
}

static void an_ended_side_is_seen_after_the_output_and_still_read(void)
{
	char text[10] = "";
	struct end t;

	setup(&t, 100, 100);
	buf_str(stream_out(t.s), "last");
	stream_end(t.s);
	settle(&t);
	CU_EQ_INT(recv(t.fd, text, 10, MSG_DONTWAIT), 4);
	CU_EQ_STR(text, "last");
	CU_EQ_INT(recv(t.fd, text, 10, MSG_DONTWAIT), 0);
	put(&t, "answer");
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "answer");
	CU_EQ_INT(t.closed, 0);
	teardown(&t);
}

static void last_words_are_read_although_writing_failed(void)
{
	struct end t;

	setup(&t, 100, 100);
	put(&t, "QUIT");
	close(t.fd);
	t.fd = -1;
	buf_str(stream_out(t.s), "answer");
	stream_flush(t.s);
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "QUIT");
	CU_ASSERT(t.closed > 0);
	CU_ASSERT(t.why.code < 0);
	teardown(&t);
}

static void a_paused_stream_reads_nothing(void)
{
	struct end t;

	setup(&t, 100, 100);
	stream_pause(t.s);
	put(&t, "x");
	settle(&t);
	CU_EQ_INT(t.readable, 0);
	stream_resume(t.s);
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "x");
	teardown(&t);
}

static size_t drain(struct end *t)
{
	static char waste[1 << 16];
	size_t n = 0;
	ssize_t r;

	while ((r = recv(t->fd, waste, sizeof(waste), MSG_DONTWAIT)) > 0)
		n += (size_t)r;
	return n;
}

static void the_owner_is_told_when_output_has_drained(void)
{
	struct end t;
	size_t n = 1 << 20, got = 0;

	setup(&t, 4096, 1 << 20);
	buf_fill(stream_out(t.s), 'x', n);
	stream_flush(t.s);
	settle(&t);
	CU_ASSERT(stream_out_pending(t.s) > 4096);
	CU_EQ_INT(t.writable, 0);
	for (int i = 0; i < 1000 && got < n; i++) {
		got += drain(&t);
		settle(&t);
	}
	CU_EQ_INT(got, n);
	CU_CLAIM(t.writable >= 1, "never told");
	CU_EQ_INT(stream_out_pending(t.s), 0);
	teardown(&t);
}

static void output_beyond_the_limit_ends_the_stream(void)
{
	struct end t;

	setup(&t, 100, 10);
	buf_str(stream_out(t.s), "0123456789");
	buf_str(stream_out(t.s), "!");
	stream_flush(t.s);
	settle(&t);
	CU_EQ_INT(t.closed, 1);
	CU_EQ_INT(t.why.code, E_LIMIT);
	CU_EQ_INT(drain(&t), 0);
	teardown(&t);
}

static void finishing_writes_everything_first(void)
{
	struct end t;
	size_t n = 1 << 20, got = 0;

	setup(&t, 4096, 1 << 20);
	put(&t, "unread input does not reset the connection");
	buf_fill(stream_out(t.s), 'x', n);
	stream_finish(t.s);
	t.s = NULL;
	for (int i = 0; i < 1000 && got < n; i++) {
		settle(&t);
		got += drain(&t);
	}
	CU_EQ_INT(got, n);
	settle(&t);
	CU_EQ_INT(recv(t.fd, &n, 1, MSG_DONTWAIT), 0);
	CU_EQ_INT(t.closed + t.readable + t.writable, 0);
	teardown(&t);
}

/* Whoever finishes a stream is gone: not a word to it any more, whether the
 * peer ended its side with its last message or the output drains slowly. */
static void a_finished_stream_calls_nobody(void)
{
	/* As much as is read at once, so that the end is met with it. */
	static char last[16385];
	static int small = 1;
	size_t n = 1 << 20, got = 0;
	struct end t;

	setup(&t, 1 << 20, n);
	setsockopt(t.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	t.finish_when_read = true;
	t.take_max = n;
	memset(last, 'l', sizeof(last) - 1);
	put(&t, last);
	CU_EQ_INT(shutdown(t.fd, SHUT_WR), 0);
	for (int i = 0; i < 10000 && got < n; i++) {
		char some[4096];
		ssize_t r;

		settle(&t);
		r = recv(t.fd, some, sizeof(some), MSG_DONTWAIT);
		got += r > 0 ? (size_t)r : 0;
	}
	CU_EQ_INT(got, n);
	settle(&t);
	CU_EQ_INT(t.readable, 1);
	CU_EQ_INT(t.closed, 0);
	CU_EQ_INT(t.writable, 0);
	teardown(&t);
}

static void a_stream_may_be_freed_while_its_line_is_read(void)
{
	struct end t;

	setup(&t, 100, 100);
	t.free_when_read = true;
	put(&t, "logout");
	settle(&t);
	CU_EQ_TEXT(buf_all(&t.got), "logout");
	CU_EQ_INT(recv(t.fd, &t, 0, MSG_DONTWAIT), 0);
	teardown(&t);
}

static void a_stream_may_go_with_a_flush_waiting(void)
{
	struct end t;

	setup(&t, 100, 100);
	buf_str(stream_out(t.s), "x");
	stream_flush(t.s);
	stream_free(t.s);
	t.s = NULL;
	settle(&t);
	CU_EQ_INT(t.closed + t.writable, 0);
	teardown(&t);
}

static void the_bare_socket_can_be_given_away(void)
{
	struct end t;
	struct buf left;
	char c;
	int fd;

	setup(&t, 100, 100);
	buf_init(&left, 100);
	t.take_max = 3;
	put(&t, "abcde");
	settle(&t);
	buf_str(stream_out(t.s), "x");
	CU_EQ_INT(stream_take_fd(t.s, &left), -EBUSY);
	stream_flush(t.s);
	settle(&t);
	fd = stream_take_fd(t.s, &left);
	t.s = NULL;
	CU_NEED(fd >= 0);
	CU_EQ_TEXT(buf_all(&left), "de");
	put(&t, "f");
	CU_EQ_INT(read(fd, &c, 1), 1);
	CU_EQ_INT(c, 'f');
	close(fd);
	buf_fini(&left);
	teardown(&t);
}

static void a_clear_stream_knows_nothing_of_tls(void)
{
	struct end t;
	uint8_t out[32];

	setup(&t, 100, 100);
	CU_ASSERT(!stream_secured(t.s));
	CU_EQ_STR(stream_tls_text(t.s), "");
	CU_EQ_INT(stream_tls_exporter(t.s, out), -ENOTCONN);
	CU_EQ_INT(stream_tls_peer(t.s, out), -ENOENT);
	teardown(&t);
}

CU_TESTS(CU_CASE(bytes_go_in_and_out),
	 CU_CASE(input_waits_in_the_socket_when_the_buffer_is_full),
	 CU_CASE(unconsumed_input_comes_again_only_when_asked_for),
	 CU_CASE(the_end_comes_once_and_after_the_input),
	 CU_CASE(last_words_are_read_although_writing_failed),
	 CU_CASE(a_peer_that_only_ended_its_side_gets_its_answer),
	 CU_CASE(an_ended_side_is_seen_after_the_output_and_still_read),
	 CU_CASE(a_paused_stream_reads_nothing),
	 CU_CASE(the_owner_is_told_when_output_has_drained),
	 CU_CASE(output_beyond_the_limit_ends_the_stream),
	 CU_CASE(finishing_writes_everything_first),
	 CU_CASE(a_finished_stream_calls_nobody),
	 CU_CASE(a_stream_may_be_freed_while_its_line_is_read),
	 CU_CASE(a_stream_may_go_with_a_flush_waiting),
	 CU_CASE(the_bare_socket_can_be_given_away),
	 CU_CASE(a_clear_stream_knows_nothing_of_tls))
