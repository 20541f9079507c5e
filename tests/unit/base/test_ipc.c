#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/cursor.h"
#include "node/base/ipc.h"
#include "node/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct end {
	struct ipc *c;
	struct buf story;	/* what came, as text */
	unsigned n, n_fds, closed;
	uint64_t bytes;
	struct err why;
	bool free_in_message;
};

struct pair {
	struct loop *l;
	struct end a, b;
};

static void on_message(void *arg, struct ipc_msg *m)
{
	struct end *t = arg;
	char c = '-';

	t->n++;
	t->bytes += m->body.n;
	if (t->free_in_message) {
		ipc_free(t->c);
		t->c = NULL;
	}
	if (m->fd >= 0) {
		t->n_fds++;
		/* The descriptor is a pipe that holds its message's letter. */
		if (read(m->fd, &c, 1) != 1)
			c = '!';
		close(m->fd);
	}
	if (t->story.n < 4000)
		buf_printf(&t->story, "%u.%u.%ju.%ju:%.*s:%.*s%c ", m->type, m->flags,
			   (uintmax_t)m->stream, (uintmax_t)m->seq,
			   (int)m->head.n, (const char *)m->head.p,
			   (int)(m->body.n > 8 ? 8 : m->body.n),
			   (const char *)m->body.p, c);
}

static void on_closed(void *arg, const struct err *e)
{
	struct end *t = arg;

	t->closed++;
	t->why = *e;
}

static const struct ipc_ops ops = {on_message, on_closed};

static void setup(struct pair *p)
{
	int fd[2];

	memset(p, 0, sizeof(*p));
	CU_EQ_INT(loop_new(&p->l), 0);
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	p->a.c = ipc_new(p->l, fd[0], &ops, &p->a);
	p->b.c = ipc_new(p->l, fd[1], &ops, &p->b);
	buf_init(&p->a.story, 8192);
	buf_init(&p->b.story, 8192);
}

static void teardown(struct pair *p)
{
	ipc_free(p->a.c);
	ipc_free(p->b.c);
	buf_fini(&p->a.story);
	buf_fini(&p->b.story);
	loop_free(p->l);
}

static void settle(struct pair *p)
{
	for (int i = 0; i < 10000 && loop_turn(p->l, 0) > 0; i++)
		;
}

static int letter(char c)
{
	int fd[2];

	CU_EQ_INT(pipe(fd), 0);
	CU_EQ_INT(write(fd[1], &c, 1), 1);
	close(fd[1]);
	return fd[0];
}

static void what_is_encoded_is_decoded_at_every_cut(void)
{
	struct ipc_msg m = {7, 3, 1ull << 60, 42, SLICE_LIT("head"),
			    SLICE_LIT("body of it"), -1}, got;
	struct buf b;

	buf_init(&b, 1000);
	ipc_encode(&b, &m);
	ipc_encode(&b, &(struct ipc_msg){.type = 1, .fd = -1});
	CU_EQ_INT(b.n, 2 * IPC_HEADER_SIZE + 14);
	for (size_t n = 0; n < IPC_HEADER_SIZE + 14; n++)
		CU_EQ_INT(ipc_decode(slice_sub(buf_all(&b), 0, n), &got, NULL), 0);
	CU_EQ_INT(ipc_decode(buf_all(&b), &got, NULL), IPC_HEADER_SIZE + 14);
	CU_EQ_INT(got.type, 7);
	CU_EQ_INT(got.flags, 3);
	CU_EQ_U64(got.stream, 1ull << 60);
	CU_EQ_U64(got.seq, 42);
	CU_EQ_TEXT(got.head, "head");
	CU_EQ_TEXT(got.body, "body of it");
	CU_EQ_INT(got.fd, -1);
	CU_EQ_INT(ipc_decode(slice_sub(buf_all(&b), IPC_HEADER_SIZE + 14, b.n),
			     &got, NULL), IPC_HEADER_SIZE);
	buf_fini(&b);
}

static void impossible_lengths_are_refused_as_soon_as_they_are_seen(void)
{
	static const struct {
		uint32_t len, head_n;
		size_t have;
		int r;
	} t[] = {
		{0, 0, 4, E_PROTO},
		{23, 0, 4, E_PROTO},
		{24, 0, 4, 0},
		{24, 0, 28, 28},
		{24, 1, 28, E_PROTO},
		{25, 1, 29, 29},
		{25, UINT32_MAX, 29, E_PROTO},
		{IPC_MESSAGE_MAX - 4, 0, 4, 0},
		{IPC_MESSAGE_MAX - 3, 0, 4, E_PROTO},
		{UINT32_MAX, 0, 4, E_PROTO},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint8_t b[32] = {0};
		struct ipc_msg m;
		int r;

		le32_to(b, t[i].len);
		le32_to(b + 24, t[i].head_n);
		r = ipc_decode(slice_of(b, t[i].have), &m, NULL);
		CU_CLAIM(r == t[i].r, "row %zu gives %d", i, r);
	}
}

static void an_encoding_that_does_not_fit_leaves_nothing(void)
{
	struct ipc_msg m = {.body = SLICE_LIT("0123456789"), .fd = -1};
	struct buf b;

	buf_init(&b, IPC_HEADER_SIZE + 9);
	ipc_encode(&b, &m);
	CU_ASSERT(b.failed);
	CU_EQ_INT(b.n, 0);
	buf_fini(&b);
}

static void messages_arrive_in_order_both_ways(void)
{
	struct pair p;

	setup(&p);
	for (unsigned i = 0; i < 3; i++) {
		struct ipc_msg m = {.type = (uint16_t)(i + 1), .stream = i,
				    .head = SLICE_LIT("h"), .fd = -1};

		CU_EQ_INT(ipc_send(p.a.c, &m), 0);
	}
	CU_EQ_INT(ipc_send(p.b.c, &(struct ipc_msg){.type = 9, .seq = 5,
						    .body = SLICE_LIT("back"),
						    .fd = -1}), 0);
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.b.story), "1.0.0.0:h:- 2.0.1.0:h:- 3.0.2.0:h:- ");
	CU_EQ_TEXT(buf_all(&p.a.story), "9.0.0.5::back- ");
	CU_EQ_INT(ipc_queued(p.a.c), 0);
	teardown(&p);
}

static void a_descriptor_arrives_with_its_own_message(void)
{
	/* Where the letters go, among messages without. */
	static const char *const plans[] = {
		"a", ".a", "a.", "ab", "a.b", ".a..b.", "abc", "..abc..", "......a",
		"abcdefgh", "a.b.c.d.e.f.g.h.",
	};
	static char big[200000];

	memset(big, 'x', sizeof(big));
	for (size_t k = 0; k < 2 * ARRAY_LEN(plans); k++) {
		const char *plan = plans[k / 2];
		struct slice body = slice_of(big, k & 1 ? sizeof(big) : 3);
		struct pair p;
		struct buf want;

		setup(&p);
		buf_init(&want, 8192);
		for (size_t i = 0; plan[i]; i++) {
			struct ipc_msg m = {.type = 1, .seq = i, .body = body,
					    .fd = -1};

			if (plan[i] != '.')
				m.fd = letter(plan[i]);
			CU_EQ_INT(ipc_send(p.a.c, &m), 0);
			buf_printf(&want, "1.0.0.%zu::%.*s%c ", i,
				   (int)(body.n > 8 ? 8 : body.n), big,
				   plan[i] == '.' ? '-' : plan[i]);
		}
		settle(&p);
		CU_EQ_SLICE(buf_all(&p.b.story), buf_all(&want));
		buf_fini(&want);
		teardown(&p);
	}
}

static void a_full_queue_takes_nothing_and_drains(void)
{
	static char big[1 << 20];
	struct pair p;
	unsigned sent = 0;
	int r;

	setup(&p);
	for (;;) {
		struct ipc_msg m = {.body = slice_of(big, sizeof(big)),
				    .seq = sent, .fd = -1};

		r = ipc_send(p.a.c, &m);
		if (r < 0)
			break;
		sent++;
	}
	CU_EQ_INT(r, E_LIMIT);
	CU_CLAIM(sent >= 7 && sent <= 9, "%u", sent);
	settle(&p);
	CU_EQ_INT(p.b.n, sent);
	CU_EQ_U64(p.b.bytes, (uint64_t)sent << 20);
	CU_EQ_INT(ipc_send(p.a.c, &(struct ipc_msg){.fd = -1}), 0);
	CU_EQ_INT(ipc_send(p.a.c, &(struct ipc_msg){
		.body = slice_of(big, IPC_MESSAGE_MAX), .fd = -1}), -EMSGSIZE);
	settle(&p);
	CU_EQ_INT(p.b.n, sent + 1);
	teardown(&p);
}

static void what_was_sent_before_the_end_is_read(void)
{
	struct pair p;
	struct stat st;
	int fd = letter('z');

	setup(&p);
	CU_EQ_INT(ipc_send(p.a.c, &(struct ipc_msg){.type = 1, .fd = fd}), 0);
	ipc_free(p.a.c);
	p.a.c = NULL;
	/* Sent in the same turn, to one who is gone. */
	fd = letter('y');
	CU_EQ_INT(ipc_send(p.b.c, &(struct ipc_msg){.type = 2, .fd = fd}), 0);
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.b.story), "1.0.0.0::z ");
	CU_EQ_INT(p.b.closed, 1);
	CU_EQ_INT(p.b.why.code, 0);
	CU_EQ_INT(fstat(fd, &st), -1);
	CU_EQ_INT(ipc_send(p.b.c, &(struct ipc_msg){.fd = -1}), -EPIPE);
	teardown(&p);
}

static void a_broken_message_ends_the_channel(void)
{
	static const struct {
		struct slice bytes;
		int code;
	} t[] = {
		{SLICE_LIT("\0\0\0\0"), E_PROTO},
		{SLICE_LIT("\xff\xff\xff\xff"), E_PROTO},
		{SLICE_LIT("\x18\0\0"), E_PROTO},	/* cut */
		{SLICE_LIT("\x18\0\0\0abc"), E_PROTO},
		{SLICE_LIT(""), 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct loop *l;
		struct end b = {0};
		int fd[2];

		CU_EQ_INT(loop_new(&l), 0);
		CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		b.c = ipc_new(l, fd[1], &ops, &b);
		CU_EQ_INT(write(fd[0], t[i].bytes.p, t[i].bytes.n), t[i].bytes.n);
		close(fd[0]);
		while (!b.closed)
			loop_turn(l, UINT64_MAX);
		loop_turn(l, 0);
		CU_EQ_INT(b.closed, 1);
		CU_EQ_INT(b.n, 0);
		CU_CLAIM(b.why.code == t[i].code, "row %zu gives %d", i, b.why.code);
		ipc_free(b.c);
		loop_free(l);
	}
}

static void a_channel_may_be_freed_inside_a_message(void)
{
	struct pair p;

	setup(&p);
	p.b.free_in_message = true;
	for (int i = 0; i < 3; i++)
		CU_EQ_INT(ipc_send(p.a.c, &(struct ipc_msg){
			.type = 1, .head = SLICE_LIT("h"), .fd = letter('f')}), 0);
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.b.story), "1.0.0.0:h:f ");
	CU_EQ_INT(p.a.closed, 1);
	teardown(&p);
}

CU_TESTS(CU_CASE(what_is_encoded_is_decoded_at_every_cut),
	 CU_CASE(impossible_lengths_are_refused_as_soon_as_they_are_seen),
	 CU_CASE(an_encoding_that_does_not_fit_leaves_nothing),
	 CU_CASE(messages_arrive_in_order_both_ways),
	 CU_CASE(a_descriptor_arrives_with_its_own_message),
	 CU_CASE(a_full_queue_takes_nothing_and_drains),
	 CU_CASE(what_was_sent_before_the_end_is_read),
	 CU_CASE(a_broken_message_ends_the_channel),
	 CU_CASE(a_channel_may_be_freed_inside_a_message))
