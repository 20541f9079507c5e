#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/loop.h"
#include "node/front/front.h"
#include "node/auth_role.h"
#include "node/front/login.h"
#include "tests/lib/cu.h"
#include "tests/lib/simclock.h"
#include "tests/lib/simrng.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * A login whose account moves while it is asked for, in a real front: the test
 * is the auth, store and sync process, and the client.
 */

#define DEADLINE 10			/* seconds */

static struct role role;
static struct front *f;
static struct simtime *sim;
static int client = -1;
static char heard[4096];		/* by the client */

struct end {
	struct ipc *ipc;
	unsigned n;
	uint16_t type;
	uint64_t stream;
	int fd;
};
static struct end super, auth, store, sync_end;

static void on_message(void *arg, struct ipc_msg *m)
{
	struct end *end = arg;

	end->n++;
	end->type = m->type;
	end->stream = m->stream;
	end->fd = m->fd;
}

static void on_closed(void *arg, const struct err *e)
{
	(void)arg;
	(void)e;
}

static const struct ipc_ops end_ops = {.message = on_message,
				       .closed = on_closed};

static int pair(struct end *end)
{
	int fd[2];

	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
			     SOCK_NONBLOCK, 0, fd), 0);
	*end = (struct end){.fd = -1};
	end->ipc = ipc_new(role.loop, fd[0], &end_ops, end);
	return fd[1];
}

static void on_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void listen_to_client(void)
{
	size_t at = strlen(heard);
	ssize_t n = read(client, heard + at, sizeof(heard) - 1 - at);

	if (n > 0)
		heard[at + (size_t)n] = 0;
}

/* Until this end has heard n messages, or the time is up. */
static bool until(const struct end *end, unsigned n)
{
	time_t late = time(NULL) + DEADLINE;

	while (end->n < n && time(NULL) < late)
		loop_turn(role.loop, 20000);
	return CU_CLAIM(end->n == n, "%u messages, not %u", end->n, n);
}

static bool until_heard(const char *text)
{
	time_t late = time(NULL) + DEADLINE;

	while (!strstr(heard, text) && time(NULL) < late) {
		loop_turn(role.loop, 20000);
		listen_to_client();
	}
	return CU_CLAIM(strstr(heard, text), "not heard: %s in %s", text,
			heard);
}

static void start_role(void)
{
	static struct simrng rng;
	static struct simclock clock;
	struct log_opts log = {.ident = "duet", .role = "imap-login",
			       .log_path = "/dev/stderr"};
	struct conf_opts opts = {.flags = CONF_NO_TREATMENT};
	struct err e = ERR_NONE;

	simrng_init(&rng, 1);
	sim = simtime_new();
	simclock_init(&clock, sim, 1600000000ull * USEC_PER_SEC);
	role = (struct role){.kind = ROLE_FRONT, .n_store = 1, .n_front = 1,
			     .ops = front_role(),
			     .sys = {.clock = &clock.clock, .rng = &rng.rng}};
	role.identity.has = true;
	role.log = log_new(&log);
	log_capture(role.log, on_log, NULL);
	CU_EQ_INT(loop_new(&role.loop), 0);
	CU_OK(conf_load_text("t.conf", SLICE_LIT("ssl = no\n"
			     "disable_plaintext_auth = no\n"), &opts,
			     &role.conf, &e), &e);
	role.super = ipc_new(role.loop, pair(&super), &end_ops, &super);
	CU_OK(role.ops->prepare(&role, role.conf, false, &e), &e);
	role.ops->commit(&role);
	f = role.impl;
	role.ops->peer(&role, ROLE_AUTH, 0, pair(&auth));
	role.ops->peer(&role, ROLE_STORE, 0, pair(&store));
	role.ops->peer(&role, ROLE_SYNC, 0, pair(&sync_end));
	CU_OK(role.ops->go(&role, &e), &e);
}

static void say(struct end *from, enum ipc_type type, int code)
{
	struct ipc_head h = {.user = "u", .login = "u", .code = code,
			     .text = "test", .client = "Not here."};

	CU_EQ_INT(ipc_say(from->ipc, type, from->stream, &h, SLICE_NONE, -1),
		  0);
}

/* A client has proved who it is; its store says that the partner holds. */
static bool asks_the_partner(void)
{
	static const char line[] = "a login u secret\r\n";
	int fd[2];

	if (!f)
		start_role();
	/* What is still on its way belongs to the one before. */
	for (int i = 0; i < 20; i++)
		while (loop_turn(role.loop, 0) > 0)
			continue;
	auth.n = store.n = sync_end.n = 0;
	heard[0] = 0;
	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC |
			     SOCK_NONBLOCK, 0, fd), 0);
	client = fd[0];
	login_accept(f, f->conf, &login_imap, fd[1], false);
	CU_EQ_INT(write(client, line, sizeof(line) - 1), sizeof(line) - 1);
	if (!until(&auth, 1))
		return false;
	say(&auth, IPC_AUTH_RESULT, AUTH_OK);
	if (!until(&store, 1))
		return false;
	CU_EQ_INT(store.type, IPC_LOGIN_ASK);
	say(&store, IPC_LOGIN_PROXY, 0);
	if (!until(&sync_end, 1))
		return false;
	CU_EQ_INT(sync_end.type, IPC_LOGIN_ASK);
	return true;
}

static void a_login_at_a_node_that_is_no_holder_asks_once_more(void)
{
	CU_NEED(asks_the_partner());
	say(&sync_end, IPC_LOGIN_REFUSE, E_NOTHOLDER);
	/* The place it was counted at is given back, then it asks anew. */
	CU_NEED(until(&store, 3));
	CU_EQ_INT(store.type, IPC_LOGIN_ASK);
	CU_CLAIM(!strstr(heard, "a NO"), "the client waits: %s", heard);
	/* It has come here meanwhile. */
	say(&store, IPC_LOGIN_SERVE, 0);
	CU_NEED(until(&store, 4));
	CU_EQ_INT(store.type, IPC_LOGIN_FD);
	CU_CLAIM(store.fd >= 0, "the client is passed on");
	listen_to_client();
	CU_CLAIM(!strstr(heard, "a NO"), "%s", heard);
	close(store.fd);
	close(client);
}

/* No node has it: not for ever. */
static void it_ends_with_no_when_nobody_holds_it(void)
{
	CU_NEED(asks_the_partner());
	simtime_run(sim, simtime_now(sim) + FRONT_HOLD_USEC);
	say(&sync_end, IPC_LOGIN_REFUSE, E_NOTHOLDER);
	CU_CLAIM(until_heard("a NO [UNAVAILABLE]"), "and says so");
	CU_EQ_INT(sync_end.n, 1);
	close(client);
}

/* Anything else is an answer. */
static void another_refusal_is_not_asked_again(void)
{
	CU_NEED(asks_the_partner());
	say(&sync_end, IPC_LOGIN_REFUSE, E_LIMIT);
	CU_CLAIM(until_heard("a NO"), "at once");
	close(client);
}

CU_TESTS(CU_CASE(a_login_at_a_node_that_is_no_holder_asks_once_more),
	 CU_CASE(it_ends_with_no_when_nobody_holds_it),
	 CU_CASE(another_refusal_is_not_asked_again))
