/* Requests against a node made of one thread: answers, silence, garbage. */

#include "tests/lib/cu.h"
#include "node/base/buf.h"
#include "node/base/ipc.h"
#include "tools/adm_cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What the node sends to whoever connects; it closes then. */
struct node {
	char dir[64], path[96];
	int fd;
	pthread_t thread;
	struct buf out;
	uint8_t head[ADMIN_HEAD_SIZE];
	struct buf in;			/* the request */
};

static void put(struct buf *b, enum ipc_type type, const struct ipc_head *h)
{
	struct ipc_msg m = {.type = (uint16_t)type, .fd = -1};
	struct buf head;

	buf_init(&head, 65536);
	ipc_head_encode(h, &head);
	m.head = buf_all(&head);
	ipc_encode(b, &m);
	buf_fini(&head);
}

static void *serve(void *arg)
{
	struct node *n = arg;
	int fd = accept(n->fd, NULL, NULL);
	uint8_t b[4096];
	ssize_t got;
	size_t sent = 0;
	struct ipc_msg m;
	struct err e = ERR_NONE;

	if (fd < 0)
		return NULL;
	if (recv(fd, n->head, sizeof(n->head), MSG_WAITALL) > 0)
		while (ipc_decode(buf_all(&n->in), &m, &e) == 0 &&
		       (got = read(fd, b, sizeof(b))) > 0)
			buf_put(&n->in, b, (size_t)got);
	while (sent < n->out.n &&
	       (got = send(fd, n->out.p + sent, n->out.n - sent,
			   MSG_NOSIGNAL)) > 0)
		sent += (size_t)got;
	close(fd);
	return NULL;
}

static void node_begin(struct node *n)
{
	*n = (struct node){.fd = -1};
	buf_init(&n->out, 1 << 20);
	buf_init(&n->in, 1 << 20);
	cu_dir(n->dir, sizeof(n->dir));
	snprintf(n->path, sizeof(n->path), "%s/s", n->dir);
}

static void node_start(struct node *n)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	memcpy(sun.sun_path, n->path, strlen(n->path) + 1);
	n->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CU_NEED(bind(n->fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	CU_NEED(listen(n->fd, 1) == 0);
	pthread_create(&n->thread, NULL, serve, n);
}

static void node_end(struct node *n)
{
	if (n->fd >= 0) {
		shutdown(n->fd, SHUT_RDWR);
		pthread_join(n->thread, NULL);
		close(n->fd);
		unlink(n->path);
	}
	rmdir(n->dir);
	buf_fini(&n->out);
	buf_fini(&n->in);
}

struct seen {
	char text[256];
};

static void on_row(void *arg, const char *const *cells, size_t n)
{
	struct seen *s = arg;

	for (size_t i = 0; i < n; i++) {
		strncat(s->text, cells[i],
			sizeof(s->text) - strlen(s->text) - 1);
		strncat(s->text, i + 1 < n ? "," : ";",
			sizeof(s->text) - strlen(s->text) - 1);
	}
}

static void on_text(void *arg, const char *line)
{
	on_row(arg, (const char *[]){"text", line}, 2);
}

static int call(struct node *n, struct seen *s)
{
	struct adm_cli c = {.program = "duetadm", .socket = n->path,
			    .arena = arena_new(256), .out = stdout};
	struct adm_ops ops = {on_row, on_text, s};
	static const char *const args[] = {"al*"};
	struct adm_request q = {.role = ROLE_STORE, .index = 3, .name = "who",
				.args = args, .n_args = 1};
	int r;

	*s = (struct seen){""};
	r = adm_call(&c, &q, &ops);
	arena_free(c.arena);
	return r;
}

static void rows_lines_and_status_arrive(void)
{
	const char *cells[] = {"alice", "imap"};
	struct ipc_head row = {.args = cells, .n_args = 2};
	struct ipc_head line = {.text = "a line"};
	struct ipc_head end = {.code = 67, .text = "no such user"};
	struct admin_head to;
	struct ipc_head asked;
	struct arena *a = arena_new(256);
	struct err e = ERR_NONE;
	struct ipc_msg m;
	struct node n;
	struct seen s;

	node_begin(&n);
	put(&n.out, IPC_ADM_ROW, &row);
	put(&n.out, IPC_ADM_TEXT, &line);
	put(&n.out, IPC_ADM_END, &end);
	node_start(&n);
	CU_EQ_INT(call(&n, &s), 67);
	CU_EQ_STR(s.text, "alice,imap;text,a line;");
	CU_EQ_INT(admin_head_get(n.head, &to), 0);
	CU_EQ_INT(to.role, ROLE_STORE);
	CU_EQ_INT(to.index, 3);
	CU_NEED(ipc_decode(buf_all(&n.in), &m, &e) > 0);
	CU_EQ_INT(m.type, IPC_ADM_REQUEST);
	CU_OK(ipc_head_decode(m.head, a, &asked, &e), &e);
	CU_EQ_STR(asked.name, "who");
	CU_EQ_INT(asked.n_args, 1);
	CU_EQ_STR(asked.args[0], "al*");
	arena_free(a);
	node_end(&n);
}

static void an_end_before_the_answer_is_temporary(void)
{
	struct node n;
	struct seen s;

	node_begin(&n);
	node_start(&n);
	CU_EQ_INT(call(&n, &s), EX_TEMPFAIL);
	node_end(&n);
}

static void garbage_is_no_answer(void)
{
	struct node n;
	struct seen s;

	node_begin(&n);
	buf_str(&n.out, "* OK this is an IMAP server, whatever you want\r\n");
	node_start(&n);
	CU_EQ_INT(call(&n, &s), EX_PROTOCOL);
	node_end(&n);
}

static void a_status_that_is_none_is_an_error(void)
{
	struct ipc_head end = {.code = -5};
	struct node n;
	struct seen s;

	node_begin(&n);
	put(&n.out, IPC_ADM_END, &end);
	node_start(&n);
	CU_EQ_INT(call(&n, &s), EX_SOFTWARE);
	node_end(&n);
}

static void nobody_listening_is_temporary(void)
{
	struct node n;
	struct seen s;

	node_begin(&n);
	CU_EQ_INT(call(&n, &s), EX_TEMPFAIL);
	node_end(&n);
}

CU_TESTS(CU_CASE(rows_lines_and_status_arrive),
	 CU_CASE(an_end_before_the_answer_is_temporary),
	 CU_CASE(garbage_is_no_answer),
	 CU_CASE(a_status_that_is_none_is_an_error),
	 CU_CASE(nobody_listening_is_temporary))
