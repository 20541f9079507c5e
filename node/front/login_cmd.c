/* The commands of an IMAP connection before login. */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "auth/auth.h"
#include "proto/imap_args.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void on_auth(void *arg, struct ipc_msg *m, const struct ipc_head *h);

/* ---- failures ---------------------------------------------------------------- */

static void fail_late(struct login *l, char *reply)
{
	free(l->failure);
	l->failure = reply;
	l->failure_bye = l->attempts >= LOGIN_ATTEMPTS_MAX;
	l->state = LOGIN_DELAYED;
	loop_timer_set(l->timer, l->conf->failure_delay_usec);
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
	login_tagged(l, "NO [UNAVAILABLE] %s [%s:%s]",
		     client && *client ? client
				       : "Temporary authentication failure.",
		     l->conf->hostname, when);
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
		.service = "imap", .session = l->sid, .tag = l->tag,
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
		fail_late(l, xstrdup("NO [AUTHORIZATIONFAILED] This account "
				     "may not log in."));
		break;
	case AUTH_UNKNOWN:
	case AUTH_MISMATCH:
		fail_late(l, xstrdup("NO [AUTHENTICATIONFAILED] Authentication "
				     "failed."));
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
	login_reply(l, "+ %.*s", (int)b.n, b.n ? (const char *)b.p : "");
	buf_fini(&b);
	l->state = LOGIN_SASL;
	imap_reader_want_line(l->reader);
	stream_more(l->stream);
}

static void ask_auth(struct login *l, enum ipc_type type, struct ipc_head *h)
{
	l->attempts++;
	l->state = LOGIN_AUTH;
	h->service = "imap";
	h->session = l->sid;
	h->rip = l->addr.rip;
	h->lip = l->addr.lip;
	h->rport = l->addr.rport;
	h->lport = l->addr.lport;
	h->flags |= AUTH_USERDB | (l->secured ? AUTH_SECURED : 0);
	l->req = front_ask(l->front, &l->front->auth, type, h, on_auth, l);
}

/* Plaintext needs a secure connection (guide G2); said, not only advertised. */
static bool plaintext_refused(struct login *l)
{
	if (l->secured ||
	    (!l->conf->plaintext_disabled && !l->conf->ssl_required))
		return false;
	l->tried_plaintext = true;
	login_reply(l, "* BAD [ALERT] Plaintext authentication not allowed "
		    "without SSL/TLS, but your client did it anyway. If anyone "
		    "was listening, the password was exposed.");
	login_tagged(l, "NO [PRIVACYREQUIRED] Plaintext authentication "
		     "disallowed on non-secure (SSL/TLS) connections.");
	return true;
}

static void cmd_login(struct login *l, const struct imap_command *cmd)
{
	struct err e = ERR_NONE;
	struct slice user, password;
	struct ipc_head h = {0};

	if (imap_login_parse(cmd, &user, &password, &e) < 0) {
		login_tagged(l, "BAD %s", e.client);
		return;
	}
	if (plaintext_refused(l))
		return;
	h.login = arena_strndup(l->arena, user.p, user.n);
	h.data = password;
	h.mech = "PLAIN";
	free(l->mech);
	l->mech = xstrdup("PLAIN");
	free(l->user);
	l->user = xstrdup(h.login);
	l->used_sasl = false;
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

static void cmd_authenticate(struct login *l, const struct imap_command *cmd)
{
	struct imap_authenticate au;
	struct err e = ERR_NONE;
	struct ipc_head h = {0};
	uint8_t *raw;
	int n = 0;

	if (imap_authenticate_parse(cmd, &au, &e) < 0) {
		login_tagged(l, "BAD %s", e.client);
		return;
	}
	if (!offers(l, au.mechanism)) {
		login_tagged(l, "NO Unsupported authentication mechanism.");
		return;
	}
	/* Both mechanisms of this build send the password itself. */
	if (plaintext_refused(l))
		return;
	if (au.has_initial) {
		raw = arena_alloc(l->arena, au.initial.n + 4);
		n = slice_is(au.initial, "=") ? 0 :
			base64_get(au.initial, raw, au.initial.n + 4);
		if (n < 0) {
			login_tagged(l, "BAD Invalid base64 data in initial "
				     "response.");
			return;
		}
		h.data = slice_of(raw, (size_t)n);
		h.flags = AUTH_INITIAL;
	}
	h.mech = arena_strndup(l->arena, au.mechanism.p, au.mechanism.n);
	free(l->mech);
	l->mech = xstrdup(h.mech);
	free(TAKE(l->user));
	l->used_sasl = true;
	ask_auth(l, IPC_AUTH_SASL, &h);
}

void login_sasl_line(struct login *l, struct slice line)
{
	struct ipc_head h = {0};
	uint8_t *raw = arena_alloc(l->arena, line.n + 4);
	int n;

	if (slice_is(line, "*")) {
		front_req_say(l->req, IPC_AUTH_CANCEL, NULL, SLICE_NONE, -1);
		front_req_free(TAKE(l->req));
		login_tagged(l, "BAD Authentication aborted by client.");
		return;
	}
	n = base64_get(line, raw, line.n + 4);
	if (n < 0) {
		front_req_say(l->req, IPC_AUTH_CANCEL, NULL, SLICE_NONE, -1);
		front_req_free(TAKE(l->req));
		login_tagged(l, "BAD Invalid base64 data in response.");
		return;
	}
	h.data = slice_of(raw, (size_t)n);
	l->state = LOGIN_AUTH;
	if (front_req_say(l->req, IPC_AUTH_ANSWER, &h, SLICE_NONE, -1) < 0) {
		front_req_free(TAKE(l->req));
		fail_temporary(l, NULL);
	}
}

/* ---- the others ------------------------------------------------------------------------ */

static void cmd_starttls(struct login *l, const struct imap_command *cmd)
{
	struct err e = ERR_NONE;

	if (cmd->args || l->tls || !l->conf->tls) {
		login_tagged(l, "BAD %s", l->tls ? "TLS is already active."
						 : "TLS support isn't enabled.");
		return;
	}
	/* What was pipelined behind STARTTLS came from who knows whom. */
	stream_consume(l->stream, stream_in(l->stream).n);
	login_reply(l, "%s OK Begin TLS negotiation now.", l->tag);
	l->state = LOGIN_TLS_START;
	loop_timer_set(l->timer, LOGIN_HANDSHAKE_USEC);
	if (stream_start_tls(l->stream, l->conf->tls, true, NULL, &e) < 0)
		login_close(l, NULL, e.op);
}

static void id_value(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "%s\"%s\" \"%s\"", b->n ? " " : "", key, value);
}

/* imap_id_send: words KEY VALUE, “*” as VALUE = the built-in one. */
static void id_reply(struct login *l, struct buf *b)
{
	const char *p = conf_str(l->conf->conf, NULL, "imap_id_send");
	struct arena *a = l->arena;

	while (*p) {
		size_t n = strcspn(p, " ");
		const char *key = arena_strndup(a, p, n), *value;

		p += n;
		p += strspn(p, " ");
		n = strcspn(p, " ");
		value = arena_strndup(a, p, n);
		p += n;
		p += strspn(p, " ");
		if (strcmp(value, "*") == 0)
			value = strcmp(key, "name") == 0 ? "Duet" :
				strcmp(key, "version") == 0 ? DUET_VERSION : "";
		if (*value)
			id_value(b, key, value);
	}
	if (!b->n)
		id_value(b, "name", "Duet");
}

static void cmd_id(struct login *l, const struct imap_command *cmd)
{
	struct err e = ERR_NONE;
	struct imap_id id;
	struct buf b;

	if (imap_id_parse(cmd, &id, &e) < 0) {
		login_tagged(l, "BAD %s", e.client);
		return;
	}
	buf_init(&b, 2048);
	id_reply(l, &b);
	login_reply(l, "* ID (%.*s)", (int)b.n, (const char *)b.p);
	buf_fini(&b);
	login_tagged(l, "OK ID completed.");
}

void login_command(struct login *l, const struct imap_command *cmd)
{
	if (strcmp(cmd->name, "CAPABILITY") == 0) {
		login_reply(l, "* CAPABILITY %s",
			    login_capabilities(l, l->arena));
		login_tagged(l, "OK Pre-login capabilities listed, post-login "
			     "capabilities have more.");
	} else if (strcmp(cmd->name, "NOOP") == 0) {
		login_tagged(l, "OK NOOP completed.");
	} else if (strcmp(cmd->name, "LOGOUT") == 0) {
		login_reply(l, "* BYE Logging out");
		login_reply(l, "%s OK Logout completed.", l->tag);
		login_close(l, NULL, "Logged out");
	} else if (strcmp(cmd->name, "ID") == 0) {
		cmd_id(l, cmd);
	} else if (strcmp(cmd->name, "STARTTLS") == 0) {
		cmd_starttls(l, cmd);
	} else if (strcmp(cmd->name, "LOGIN") == 0) {
		cmd_login(l, cmd);
	} else if (strcmp(cmd->name, "AUTHENTICATE") == 0) {
		cmd_authenticate(l, cmd);
	} else if (++l->bad >= LOGIN_BAD_MAX) {
		login_reply(l, "%s BAD Please log in first.", l->tag);
		login_close(l, "Too many invalid IMAP commands.",
			    "Too many invalid commands");
	} else {
		login_tagged(l, "BAD Please log in first, or unknown command.");
	}
}
