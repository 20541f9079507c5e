/* Before login, in all protocols: who is it, and who serves the account? */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "auth/auth.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void on_auth(void *arg, struct ipc_msg *m, const struct ipc_head *h);

/* ---- failures ---------------------------------------------------------------- */

static void fail(struct login *l, enum login_failure why)
{
	l->dialog->fail(l, why, NULL);
	login_continue(l);
}

static void fail_late(struct login *l, enum login_failure why)
{
	l->failure = why;
	l->failure_bye = l->attempts >= LOGIN_ATTEMPTS_MAX;
	l->state = LOGIN_DELAYED;
	loop_timer_set(l->timer, l->conf->failure_delay_usec);
}

void login_late(struct login *l)
{
	l->dialog->fail(l, l->failure, NULL);
	if (l->failure_bye)
		login_close(l, LOGIN_END_ATTEMPTS, "Too many failed logins");
	else
		login_continue(l);
}

static void uncount(struct login *l)
{
	if (l->counted)
		front_req_say(l->counted, IPC_LOGIN_GONE, NULL, SLICE_NONE,
			      -1);
	front_req_free(TAKE(l->counted));
}

static void fail_temporary(struct login *l, const char *client)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S",
		 localtime_r(&now, &tm));
	uncount(l);
	l->unavailable = true;
	l->attempts--;
	l->dialog->fail(l, LOGIN_TEMPORARY,
			arena_printf(l->arena, "%s [%s:%s]",
				     client && *client ? client
				     : "Temporary authentication failure.",
				     l->conf->hostname, when));
	login_continue(l);
}

/* ---- after login: who serves the account? --------------------------------------- */

/* The socket as it is, where nothing stands between; else a relay. */
static int client_fd(struct login *l, struct buf *left)
{
	int pair[2], fd = stream_take_fd(l->stream, left);

	if (fd >= 0) {
		l->stream = NULL;
		return fd;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair) < 0)
		return -1;
	buf_slice(left, stream_in(l->stream));
	stream_consume(l->stream, left->n);
	relay_new(l->front, TAKE(l->stream), pair[0]);
	return pair[1];
}

static void pass_on(struct login *l, const struct ipc_head *served)
{
	char mpid[24];
	struct buf left;
	int fd;

	snprintf(mpid, sizeof(mpid), "%llu", (unsigned long long)served->value);
	buf_init(&left, LOGIN_IN_MAX);
	fd = client_fd(l, &left);
	if (fd < 0) {
		buf_fini(&left);
		fail_temporary(l, NULL);
		return;
	}
	login_log_success(l, mpid);
	front_req_say(l->req, IPC_LOGIN_FD, NULL, buf_all(&left), fd);
	buf_fini(&left);
	if (l->counted)
		proxied_new(TAKE(l->counted), TAKE(l->req));
	front_req_free(TAKE(l->req));
	login_free(l);
}

static void on_asked(void *arg, struct ipc_msg *m, const struct ipc_head *h);

/* The partner holds the account: its session runs there. */
static void proxy(struct login *l, const struct ipc_head *h)
{
	l->counted = TAKE(l->req);
	l->ask.data = arena_dup(l->ask_arena, h->data);
	l->req = front_ask(l->front, &l->front->sync, IPC_LOGIN_ASK, &l->ask,
			   on_asked, l);
}

/* Whoever said that the partner holds it may know better soon: the account
 * is on its way here, or the link is. */
static bool worth_asking_again(const struct login *l, int code)
{
	return l->counted &&
	       (code == E_TEMP || code == E_NOTHOLDER) &&
	       clock_mono(l->front->role->sys.clock) - l->asked_usec <
		       FRONT_HOLD_USEC;
}

static void again_later(struct login *l)
{
	uncount(l);
	l->state = LOGIN_AGAIN;
	loop_timer_set(l->timer, LOGIN_AGAIN_USEC);
}

static void on_asked(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	struct login *l = arg;

	if (!m) {
		front_req_free(TAKE(l->req));
		if (worth_asking_again(l, E_TEMP)) {
			again_later(l);
			return;
		}
		fail_temporary(l, "Temporary internal error, try again.");
		return;
	}
	switch (m->type) {
	case IPC_LOGIN_SERVE:
		pass_on(l, h);
		break;
	case IPC_LOGIN_PROXY:
		proxy(l, h);
		break;
	case IPC_LOGIN_REFUSE:
		front_req_free(TAKE(l->req));
		if (worth_asking_again(l, h->code)) {
			again_later(l);
			break;
		}
		log_event(l->front->role->log, LOG_ERR, "login_refused",
			  l->user, "Login of %s refused: %s", l->user, h->text);
		fail_temporary(l, h->client);
		break;
	}
}

void login_ask_again(struct login *l)
{
	struct front_peer *store;
	struct id128 id;

	store = front_store(l->front, l->ask.user, &id);
	if (!store) {
		fail_temporary(l, "This node has not met its partner yet.");
		return;
	}
	l->ask.id = arena_dup(l->ask_arena, slice_of(id.b, 16));
	l->ask.data = SLICE_NONE;
	l->state = LOGIN_ASKING;
	l->req = front_ask(l->front, store, IPC_LOGIN_ASK, &l->ask, on_asked,
			   l);
}

static void ask_store(struct login *l, const struct ipc_head *h)
{
	struct arena *a = arena_new(1024);
	struct ipc_field *f = arena_alloc(a, (h->n_fields + 1) * sizeof(*f));

	arena_free(l->ask_arena);
	l->ask_arena = a;
	for (size_t i = 0; i < h->n_fields; i++)
		f[i] = (struct ipc_field){arena_strdup(a, h->fields[i].name),
					  arena_strdup(a, h->fields[i].value)};
	l->ask = (struct ipc_head){
		.user = arena_strdup(a, h->user),
		.login = arena_strdup(a, h->login),
		.home = arena_strdup(a, h->home),
		.service = l->dialog->service, .session = l->sid,
		.tag = l->tag,
		.mech = arena_strdup(a, h->mech),
		.rip = l->addr.rip, .lip = l->addr.lip,
		.rport = l->addr.rport, .lport = l->addr.lport,
		.fields = f, .n_fields = h->n_fields,
		.flags = (l->secured ? LOGIN_SECURED : 0) |
			 (l->tls ? LOGIN_TLS : 0),
	};
	l->asked_usec = clock_mono(l->front->role->sys.clock);
	login_ask_again(l);
}

/* ---- authentication ---------------------------------------------------------------- */

static void on_result(struct login *l, const struct ipc_head *h)
{
	front_req_free(TAKE(l->req));
	free(l->user);
	l->user = xstrdup(*h->user ? h->user : h->login);
	if (*h->mech) {
		free(l->mech);
		l->mech = xstrdup(h->mech);
	}
	switch ((enum auth_verdict)h->code) {
	case AUTH_OK:
		ask_store(l, h);
		break;
	case AUTH_TEMPFAIL:
		fail_temporary(l, NULL);
		break;
	case AUTH_DISABLED:
		fail_late(l, LOGIN_DISABLED);
		break;
	case AUTH_UNKNOWN:
	case AUTH_MISMATCH:
		fail_late(l, LOGIN_WRONG);
		break;
	}
}

static void on_auth(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	struct login *l = arg;
	struct buf b;

	if (!m) {
		front_req_free(TAKE(l->req));
		fail_temporary(l, NULL);
		return;
	}
	if (m->type == IPC_AUTH_RESULT) {
		on_result(l, h);
		return;
	}
	if (m->type != IPC_AUTH_CHALLENGE)
		return;
	buf_init(&b, 16384);
	base64_put(&b, h->data);
	l->state = LOGIN_SASL;
	l->dialog->challenge(l, buf_all(&b));
	buf_fini(&b);
	stream_more(l->stream);
}

static void ask_auth(struct login *l, enum ipc_type type, struct ipc_head *h)
{
	l->attempts++;
	l->state = LOGIN_AUTH;
	h->service = l->dialog->service;
	h->session = l->sid;
	h->rip = l->addr.rip;
	h->lip = l->addr.lip;
	h->rport = l->addr.rport;
	h->lport = l->addr.lport;
	h->flags |= AUTH_USERDB | (l->secured ? AUTH_SECURED : 0);
	l->req = front_ask(l->front, &l->front->auth, type, h, on_auth, l);
}

/* Plaintext needs a secure connection (guide G2); said, not only advertised. */
bool login_plaintext_refused(struct login *l)
{
	if (login_plaintext_allowed(l))
		return false;
	l->tried_plaintext = true;
	fail(l, LOGIN_PLAINTEXT);
	return true;
}

void login_password(struct login *l, struct slice user, struct slice password)
{
	struct ipc_head h = {0};

	h.login = arena_strndup(l->arena, user.p, user.n);
	h.data = password;
	h.mech = "PLAIN";
	free(l->mech);
	l->mech = xstrdup("PLAIN");
	free(l->user);
	l->user = xstrdup(h.login);
	ask_auth(l, IPC_AUTH_PASSWORD, &h);
}

static bool offers(struct login *l, struct slice mech)
{
	const char *p = l->conf->mechanisms;

	while (*p) {
		size_t n = strcspn(p, " \t");

		if (slice_eq_ci(mech, slice_of(p, n)))
			return true;
		p += n;
		p += strspn(p, " \t");
	}
	return false;
}

void login_sasl(struct login *l, struct slice mechanism,
		const struct slice *initial)
{
	struct ipc_head h = {0};

	if (!offers(l, mechanism)) {
		fail(l, LOGIN_MECHANISM);
		return;
	}
	/* Both mechanisms of this build send the password itself. */
	if (login_plaintext_refused(l))
		return;
	if (initial) {
		uint8_t *raw = arena_alloc(l->arena, initial->n + 4);
		int n = slice_is(*initial, "=") ? 0 :
			base64_get(*initial, raw, initial->n + 4);

		if (n < 0) {
			fail(l, LOGIN_BAD_INITIAL);
			return;
		}
		h.data = slice_of(raw, (size_t)n);
		h.flags = AUTH_INITIAL;
	}
	h.mech = arena_strndup(l->arena, mechanism.p, mechanism.n);
	free(l->mech);
	l->mech = xstrdup(h.mech);
	free(TAKE(l->user));
	ask_auth(l, IPC_AUTH_SASL, &h);
}

static void give_up(struct login *l, enum login_failure why)
{
	front_req_say(l->req, IPC_AUTH_CANCEL, NULL, SLICE_NONE, -1);
	front_req_free(TAKE(l->req));
	fail(l, why);
}

void login_sasl_line(struct login *l, struct slice line)
{
	struct ipc_head h = {0};
	uint8_t *raw = arena_alloc(l->arena, line.n + 4);
	int n;

	if (slice_is(line, "*")) {
		give_up(l, LOGIN_ABORTED);
		return;
	}
	n = base64_get(line, raw, line.n + 4);
	if (n < 0) {
		give_up(l, LOGIN_BAD_RESPONSE);
		return;
	}
	h.data = slice_of(raw, (size_t)n);
	l->state = LOGIN_AUTH;
	if (front_req_say(l->req, IPC_AUTH_ANSWER, &h, SLICE_NONE, -1) < 0) {
		front_req_free(TAKE(l->req));
		fail_temporary(l, NULL);
	}
}

void login_starttls(struct login *l)
{
	struct err e = ERR_NONE;

	/* What was pipelined behind STARTTLS came from who knows whom. */
	stream_consume(l->stream, stream_in(l->stream).n);
	l->state = LOGIN_TLS_START;
	loop_timer_set(l->timer, LOGIN_HANDSHAKE_USEC);
	if (stream_start_tls(l->stream, l->conf->tls, true, NULL, &e) < 0)
		login_close(l, LOGIN_END_SILENT, e.op);
}
