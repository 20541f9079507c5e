/*
 * The dialog of POP3 before login: the AUTHORIZATION state of RFC 1939 with
 * CAPA (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034) and the response codes of
 * RFC 2449 and 3206.  “+OK Logged in.” is the session's first word: INBOX is
 * open then.
 */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/err.h"
#include "proto/pop3_parse.h"

#include <stdlib.h>

struct pop3_login {
	struct pop3_lines lines;
	char *user;			/* of USER, until PASS */
};

static void pop3_init(struct login *l)
{
	l->reader = NEW(struct pop3_login);
}

static void pop3_fini(struct login *l)
{
	struct pop3_login *p = l->reader;

	free(p->user);
	free(p);
}

static void pop3_greet(struct login *l)
{
	login_reply(l, "+OK %s", l->conf->greeting);
}

/* ---- the core's words ------------------------------------------------------- */

static void pop3_challenge(struct login *l, struct slice base64)
{
	/* RFC 5034 4: the blank is there even before nothing. */
	buf_str(stream_out(l->stream), "+ ");
	buf_slice(stream_out(l->stream), base64);
	login_reply(l, "%s", "");
}

static const char *failure_text(enum login_failure why)
{
	switch (why) {
	case LOGIN_DISABLED:
		return "[AUTH] This account may not log in.";
	case LOGIN_PLAINTEXT:
		return "[AUTH] Plaintext authentication disallowed on "
		       "non-secure (SSL/TLS) connections.";
	case LOGIN_MECHANISM:
		return "Unsupported authentication mechanism.";
	case LOGIN_BAD_INITIAL:
		return "Invalid base64 data in initial response.";
	case LOGIN_BAD_RESPONSE:
		return "Invalid base64 data in response.";
	case LOGIN_ABORTED:
		return "Authentication aborted by client.";
	case LOGIN_WRONG:
	case LOGIN_TEMPORARY:
		break;
	}
	return "[AUTH] Authentication failed.";
}

static void pop3_fail(struct login *l, enum login_failure why,
		      const char *text)
{
	if (why == LOGIN_TEMPORARY)
		login_reply(l, "-ERR [SYS/TEMP] %s", text);
	else
		login_reply(l, "-ERR %s", failure_text(why));
}

/* RFC 1939 3: nothing is said after inactivity.  What is said is the reply to
 * a command that the client may be sending. */
static void pop3_bye(struct login *l, enum login_end why)
{
	static const char *const texts[] = {
		[LOGIN_END_BAD] = "Too many invalid POP3 commands.",
		[LOGIN_END_SHUTDOWN] = "[SYS/TEMP] Server is going down, "
				       "connect again.",
		[LOGIN_END_ATTEMPTS] = NULL, [LOGIN_END_IDLE] = NULL,
		[LOGIN_END_SILENT] = NULL,
	};

	if (texts[why])
		login_reply(l, "-ERR %s", texts[why]);
}

/* ---- commands ---------------------------------------------------------------- */

/* The reply and the end of the command. */
static enum login_input done(struct login *l, const char *line)
{
	login_reply(l, "%s", line);
	login_continue(l);
	return LOGIN_WAIT;
}

static enum login_input bad(struct login *l, const char *line)
{
	login_reply(l, "%s", line);
	if (!login_bad(l))
		login_continue(l);
	return LOGIN_WAIT;
}

static enum login_input cmd_capa(struct login *l)
{
	const struct front_conf *c = l->conf;
	bool plain = login_plaintext_allowed(l);

	login_reply(l, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\n"
		    "PIPELINING\r\nAUTH-RESP-CODE%s%s\r\n"
		    "IMPLEMENTATION Duet",
		    c->tls && !l->tls ? "\r\nSTLS" : "",
		    plain ? "\r\nUSER" : "");
	if (plain && *c->mechanisms)
		login_reply(l, "SASL %s", c->mechanisms);
	return done(l, ".");
}

static enum login_input cmd_user(struct login *l, struct slice name)
{
	struct pop3_login *p = l->reader;

	if (name.n == 0)
		return bad(l, "-ERR No username given.");
	if (login_plaintext_refused(l))
		return LOGIN_WAIT;
	free(p->user);
	p->user = xstrndup(name.p, name.n);
	return done(l, "+OK");
}

static enum login_input cmd_pass(struct login *l, struct slice password)
{
	struct pop3_login *p = l->reader;
	struct slice user;

	if (!p->user)
		return bad(l, "-ERR No username given.");
	user = arena_dup(l->arena, slice_str(p->user));
	free(TAKE(p->user));
	login_password(l, user, password);
	return LOGIN_WAIT;
}

static enum login_input cmd_auth(struct login *l, struct slice args)
{
	struct slice mechanism, initial, more;
	bool has_initial;

	if (!pop3_word(&args, &mechanism)) {
		/* An old way to ask what there is. */
		login_reply(l, "+OK");
		for (const char *p = l->conf->mechanisms;
		     login_plaintext_allowed(l) && *p;) {
			size_t n = strcspn(p, " \t");

			login_reply(l, "%.*s", (int)n, p);
			p += n;
			p += strspn(p, " \t");
		}
		return done(l, ".");
	}
	has_initial = pop3_word(&args, &initial);
	if (pop3_word(&args, &more))
		return bad(l, "-ERR Too many arguments.");
	login_sasl(l, mechanism, has_initial ? &initial : NULL);
	return LOGIN_WAIT;
}

static enum login_input cmd_stls(struct login *l, struct slice args)
{
	struct pop3_login *p = l->reader;

	if (args.n)
		return bad(l, "-ERR Unexpected arguments.");
	if (l->tls)
		return bad(l, "-ERR TLS is already active.");
	if (!l->conf->tls)
		return bad(l, "-ERR TLS support isn't enabled.");
	/* Nothing learnt in clear counts any more (RFC 2595 4). */
	free(TAKE(p->user));
	login_reply(l, "+OK Begin TLS negotiation now.");
	login_starttls(l);
	return LOGIN_WAIT;
}

static enum login_input command(struct login *l, struct slice line)
{
	struct pop3_command cmd;

	if (pop3_parse(line, &cmd) < 0)
		return bad(l, "-ERR Unknown command.");
	if (strcmp(cmd.name, "CAPA") == 0)
		return cmd_capa(l);
	if (strcmp(cmd.name, "USER") == 0)
		return cmd_user(l, cmd.args);
	if (strcmp(cmd.name, "PASS") == 0)
		return cmd_pass(l, cmd.args);
	if (strcmp(cmd.name, "AUTH") == 0)
		return cmd_auth(l, cmd.args);
	if (strcmp(cmd.name, "STLS") == 0)
		return cmd_stls(l, cmd.args);
	if (strcmp(cmd.name, "NOOP") == 0)
		return done(l, "+OK");
	if (strcmp(cmd.name, "QUIT") == 0) {
		login_reply(l, "+OK Logging out");
		login_close(l, LOGIN_END_SILENT, "Logged out");
		return LOGIN_WAIT;
	}
	return bad(l, "-ERR Unknown command.");
}

static enum login_input pop3_input(struct login *l)
{
	struct pop3_login *p = l->reader;
	bool sasl = l->state == LOGIN_SASL;
	struct slice line;
	size_t used;
	int r = pop3_line(&p->lines, stream_in(l->stream), &line, &used);

	/* The line lies in the input, which goes before the answer. */
	line = arena_dup(l->arena, line);
	stream_consume(l->stream, used);
	if (r == 0)
		return LOGIN_NEED_MORE;
	if (r < 0 && sasl) {
		/* No base64: ends the exchange as any other nonsense does. */
		login_sasl_line(l, SLICE_LIT("!"));
		return LOGIN_WAIT;
	}
	if (r < 0)
		return bad(l, "-ERR Too long command line.");
	if (!sasl)
		return command(l, line);
	login_sasl_line(l, line);
	return LOGIN_WAIT;
}

const struct login_dialog login_pop3 = {
	.kind = LOGIN_POP3, .service = "pop3", .log_name = "pop3-login",
	.busy = "-ERR [SYS/TEMP] Too many connections, try again later.\r\n",
	.init = pop3_init, .fini = pop3_fini, .greet = pop3_greet,
	.input = pop3_input, .challenge = pop3_challenge, .fail = pop3_fail,
	.bye = pop3_bye,
};
