#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/loop.h"
#include "node/base/map.h"
#include "node/link/sync_role.h"
#include "sync/node_link_private.h"
#include "tests/lib/cu.h"
#include "tests/lib/simclock.h"
#include "tests/lib/simrng.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * Sessions that the link carries, in a real sync role with real channels: the
 * test is the front and the store of this node, and the partner.  Only a
 * control connection is there; it has no socket, what is sent on it is kept.
 */

static struct role role;
static struct sync_node *sn;
static struct node_link *nl;

/* The ends of the other roles, and what came to them last. */
struct end {
	struct ipc *ipc;
	unsigned n;
	uint16_t type;
	uint64_t stream;
	int code, fd;
};
static struct end super, front, store;

/* To the partner. */
static unsigned sent, sent_type[LINK_TYPE_END];
static struct link_msg last;
static char last_text[LINK_TEXT_MAX + 1];

static void on_send(void *arg, void *conn, const struct link_msg *m)
{
	(void)arg;
	(void)conn;
	if (m->type < LINK_STREAM_OPEN || m->type > LINK_STREAM_CLOSE)
		return;
	sent++;
	sent_type[m->type]++;
	last = *m;
	if (m->type == LINK_STREAM_CLOSE)
		snprintf(last_text, sizeof(last_text), "%.*s",
			 (int)m->text.text.n, (const char *)m->text.text.p);
}

static void on_close(void *arg, void *conn, const char *why)
{
	(void)arg;
	(void)conn;
	(void)why;
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct end *end = arg;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct ipc_head h = {0};

	/* The messages of proto/link.h have heads of another kind. */
	if (m->type >= IPC_LOGIN_ASK)
		ipc_head_decode(m->head, a, &h, &e);
	if (m->type < LINK_HELLO || m->type >= LINK_TYPE_END) {
		end->n++;
		end->type = m->type;
		end->stream = m->stream;
		end->code = h.code;
		if (m->fd >= 0)
			end->fd = m->fd;
	}
	arena_free(a);
}

static void on_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static const struct ipc_ops end_ops = {.message = on_message,
				       .closed = on_closed};

/* One end for the test, the other for the role. */
static int pair(struct end *end)
{
	int fd[2];

	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
			     SOCK_NONBLOCK, 0, fd), 0);
	end->fd = -1;
	end->ipc = ipc_new(role.loop, fd[0], &end_ops, end);
	return fd[1];
}

static void on_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void link_up(void)
{
	nl->conns[0] = (struct conn){.handle = &nl->conns[0]};
	nl->control = nl->channel[CHANNEL_CONTROL] = &nl->conns[0];
}

/* Everything that was said has arrived. */
static void run(void)
{
	for (int i = 0; i < 20; i++)
		while (loop_turn(role.loop, 0) > 0)
			continue;
}

/* Like the process, it is never taken down. */
static void setup(void)
{
	static struct simrng rng;
	static struct simtime *time;
	static struct simclock clock;
	static const struct ipc_ops none = {.message = on_message,
					    .closed = on_closed};
	struct log_opts log = {.ident = "duet", .role = "sync",
			       .log_path = "/dev/stderr"};
	struct conf_opts opts = {.flags = CONF_NO_TREATMENT};
	struct err e = ERR_NONE;

	sent = 0;
	memset(sent_type, 0, sizeof(sent_type));
	front.n = store.n = 0;
	if (sn) {
		proxy_link_lost(sn);
		sn->proxies_max = PROXIES_MAX;
		link_up();
		run();
		front.n = store.n = sent = 0;
		memset(sent_type, 0, sizeof(sent_type));
		return;
	}
	simrng_init(&rng, 1);
	time = simtime_new();
	simclock_init(&clock, time, 1600000000ull * USEC_PER_SEC);
	role = (struct role){.kind = ROLE_SYNC, .n_store = 1, .n_front = 1,
			     .ops = sync_role(),
			     .sys = {.clock = &clock.clock, .rng = &rng.rng}};
	role.identity.has = role.identity.trusted = role.identity.member = true;
	role.log = log_new(&log);
	log_capture(role.log, on_log, NULL);
	CU_EQ_INT(loop_new(&role.loop), 0);
	CU_OK(conf_load_text("t.conf", SLICE_LIT("doveadm_password = x\n"
			     "plugin {\n mail_replica = tcp:192.0.2.1:1\n}\n"),
			     &opts, &role.conf, &e), &e);
	role.super = ipc_new(role.loop, pair(&super), &none, &super);
	CU_OK(role.ops->prepare(&role, role.conf, false, &e), &e);
	sn = role.impl;
	role.ops->peer(&role, ROLE_FRONT, 0, pair(&front));
	role.ops->peer(&role, ROLE_STORE, 0, pair(&store));
	CU_OK(role.ops->go(&role, &e), &e);
	loop_timer_off(sn->timer);
	nl = sn->link;
	nl->out.send = on_send;
	nl->out.close = on_close;
	link_up();
	run();
	store.n = front.n = 0;
}

/* The partner's message. */
static void from_partner(uint16_t type, uint64_t id, uint64_t credit,
			 const char *text)
{
	struct arena *a = arena_new(1024);
	struct ipc_head h = {.user = "u", .service = "imap"};
	struct link_msg m = {.type = type, .id = id};
	struct buf head;

	buf_init(&head, 65536);
	ipc_head_encode(&h, &head);
	if (type == LINK_STREAM_OPEN) {
		m.stream.name = SLICE_LIT("u");
		m.stream.service = SLICE_LIT("imap");
		m.stream.extra = buf_all(&head);
	}
	if (type == LINK_STREAM_CREDIT)
		m.stream.credit = credit;
	if (type == LINK_STREAM_DATA)
		m.body = slice_str(text);
	proxy_from_link(sn, &m);
	buf_fini(&head);
	arena_free(a);
	run();
}

static void say(struct end *from, enum ipc_type type, uint64_t stream, int fd)
{
	struct ipc_head h = {.user = "u", .service = "imap"};

	ipc_say(from->ipc, type, stream, &h, SLICE_NONE, fd);
	run();
}

/* --- what the partner may ----------------------------------------------------- */

static void the_partner_opens_no_more_than_the_limit(void)
{
	setup();
	CU_EQ_U64(sn->proxies_max, PROXIES_MAX);
	sn->proxies_max = 2;
	from_partner(LINK_STREAM_OPEN, 1, 0, "");
	from_partner(LINK_STREAM_OPEN, 3, 0, "");
	CU_EQ_INT(store.n, 2);
	CU_EQ_INT(sent, 0);
	from_partner(LINK_STREAM_OPEN, 5, 0, "");
	CU_EQ_INT(store.n, 2);
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 1);
	CU_EQ_U64(last.id, 5);
	CU_EQ_INT(last.text.code, E_LIMIT);
	CU_CLAIM(strstr(last_text, "too many"), "%s", last_text);
	/* Nor does this node. */
	say(&front, IPC_LOGIN_ASK, 7, -1);
	CU_EQ_INT(front.type, IPC_LOGIN_REFUSE);
	CU_EQ_INT(front.code, E_LIMIT);
	CU_EQ_INT(sent_type[LINK_STREAM_OPEN], 0);
	/* One that ends makes room. */
	from_partner(LINK_STREAM_CLOSE, 3, 0, "");
	CU_EQ_INT(store.type, IPC_LOGIN_CANCEL);
	from_partner(LINK_STREAM_OPEN, 5, 0, "");
	CU_EQ_INT(store.type, IPC_LOGIN_ASK);
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 1);
}

static void the_partner_opens_none_of_our_numbers(void)
{
	setup();
	from_partner(LINK_STREAM_OPEN, 8, 0, "");	/* this is node 0 */
	CU_EQ_INT(store.n, 0);
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 1);
}

static void more_credit_than_the_window_ends_the_stream(void)
{
	setup();
	from_partner(LINK_STREAM_OPEN, 1, 0, "");
	say(&store, IPC_LOGIN_SERVE, store.stream, -1);
	CU_EQ_INT(store.type, IPC_LOGIN_FD);
	from_partner(LINK_STREAM_CREDIT, 1, LINK_CREDIT, "");
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 0);
	from_partner(LINK_STREAM_CREDIT, 1, 1, "");
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 1);
	CU_EQ_INT(last.text.code, E_PROTO);
	CU_EQ_U64(map_size(sn->proxy_of), 0);
	close(store.fd);
}

/* The store must not count a session for ever that can never begin. */
static void bytes_before_their_time_take_the_login_back(void)
{
	setup();
	from_partner(LINK_STREAM_OPEN, 1, 0, "");
	CU_EQ_INT(store.type, IPC_LOGIN_ASK);
	from_partner(LINK_STREAM_DATA, 1, 0, "a noop\r\n");
	CU_EQ_INT(store.type, IPC_LOGIN_CANCEL);
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 1);
	CU_EQ_U64(map_size(sn->proxy_of), 0);
}

/* --- moves and breaks --------------------------------------------------------- */

/* The code is what the front asks its store again for (node/front/login.h). */
static void not_holder_reaches_the_front_as_such(void)
{
	struct link_msg m = {.type = LINK_STREAM_CLOSE};

	setup();
	say(&front, IPC_LOGIN_ASK, 7, -1);
	CU_EQ_INT(sent_type[LINK_STREAM_OPEN], 1);
	m.id = last.id;
	m.text.code = E_NOTHOLDER;
	proxy_from_link(sn, &m);
	run();
	CU_EQ_INT(front.type, IPC_LOGIN_REFUSE);
	CU_EQ_U64(front.stream, 7);
	CU_EQ_INT(front.code, E_NOTHOLDER);
	/* And at the other end: the store is not the holder. */
	from_partner(LINK_STREAM_OPEN, 1, 0, "");
	say(&store, IPC_LOGIN_PROXY, store.stream, -1);
	CU_EQ_INT(last.text.code, E_NOTHOLDER);
}

/* There is no proxy connection: all bytes go over control. */
static void sessions_over_control_end_with_the_link(void)
{
	char text[200];
	int client[2];
	ssize_t n;

	setup();
	say(&front, IPC_LOGIN_ASK, 7, -1);
	from_partner(LINK_STREAM_CREDIT, last.id, LINK_CREDIT, "");
	CU_EQ_INT(front.type, IPC_LOGIN_SERVE);
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, client),
		  0);
	say(&front, IPC_LOGIN_FD, 7, client[1]);
	CU_EQ_INT(sent_type[LINK_STREAM_CREDIT], 1);
	CU_CLAIM(nl->streams_on_control, "there is no other connection");
	from_partner(LINK_STREAM_OPEN, 1, 0, "");	/* and one from there */
	node_link_closed(nl, &nl->conns[0]);
	run();
	CU_EQ_INT(front.type, IPC_LOGIN_ENDED);
	CU_EQ_INT(store.type, IPC_LOGIN_CANCEL);
	CU_EQ_U64(map_size(sn->proxy_of), 0);
	n = read(client[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	CU_CLAIM(strstr(text, "* BYE [UNAVAILABLE]"), "%s", text);
	CU_EQ_INT(read(client[0], text, 1), 0);		/* and closed */
	close(client[0]);
	/* What comes of it over the next link belongs to nobody. */
	link_up();
	from_partner(LINK_STREAM_DATA, 1, 0, "late");
	CU_EQ_INT(sent_type[LINK_STREAM_CLOSE], 0);
	CU_CLAIM(!nl->streams_on_control, "the next link chooses anew");
}

/* --- before it is a link ----------------------------------------------------- */

static void a_handshake_has_three_seconds(void)
{
	struct timespec from, now;
	time_t late = time(NULL) + 15;
	char text[16];
	int fd[2];

	setup();
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	link_accept(sn, fd[1]);
	CU_EQ_INT(sn->n_handshakes, 1);
	while (sn->n_handshakes && time(NULL) < late)
		loop_turn(role.loop, 50000);
	clock_gettime(CLOCK_MONOTONIC, &now);
	CU_EQ_INT(sn->n_handshakes, 0);
	/* Not before: 3 s is what a slow link may need. */
	CU_CLAIM((now.tv_sec - from.tv_sec) * 1000 +
		 (now.tv_nsec - from.tv_nsec) / 1000000 >= 2900, "too soon");
	run();
	CU_EQ_INT(read(fd[0], text, sizeof(text)), 0);	/* closed */
	close(fd[0]);
	/* Nor are there more of them than the limit. */
	for (unsigned i = 0; i <= LINK_ACCEPTED_MAX; i++) {
		CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				     fd), 0);
		link_accept(sn, fd[1]);
		close(fd[0]);
	}
	CU_EQ_INT(sn->n_handshakes, LINK_ACCEPTED_MAX);
	run();
	CU_EQ_INT(sn->n_handshakes, 0);
}

CU_TESTS(CU_CASE(a_handshake_has_three_seconds),
	 CU_CASE(the_partner_opens_no_more_than_the_limit),
	 CU_CASE(the_partner_opens_none_of_our_numbers),
	 CU_CASE(more_credit_than_the_window_ends_the_stream),
	 CU_CASE(bytes_before_their_time_take_the_login_back),
	 CU_CASE(not_holder_reaches_the_front_as_such),
	 CU_CASE(sessions_over_control_end_with_the_link))
