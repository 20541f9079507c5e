/* The dialog of IMAP before login. */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "proto/imap_args.h"
#include "proto/imap_parse.h"

#include <stdarg.h>
#include <stdio.h>

/* A tagged reply, and the end of the command. */
static void tagged(struct login *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void tagged(struct login *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	login_reply(l, "%s %s", l->tag, text);
	login_continue(l);
}

static const char *capabilities(struct login *l, struct arena *a)
{
	const struct front_conf *c = l->conf;
	bool plain = login_plaintext_allowed(l);
	struct buf b;
	const char *p, *text;

	buf_init(&b, 1024);
	buf_printf(&b, "IMAP4rev1 SASL-IR ID ENABLE IDLE %s",
		   conf_bool(c->conf, NULL, "imap_literal_minus") ? "LITERAL-"
								  : "LITERAL+");
	if (c->tls && !l->tls)
		buf_str(&b, " STARTTLS");
	if (!plain)
		buf_str(&b, " LOGINDISABLED");
	for (p = c->mechanisms; plain && *p;) {
		size_t n = strcspn(p, " \t");

		buf_printf(&b, " AUTH=%.*s", (int)n, p);
		p += n;
		p += strspn(p, " \t");
	}
	text = arena_strndup(a, b.p, b.n);
	buf_fini(&b);
	return text;
}

static void imap_init(struct login *l)
{
	struct imap_limits limits = {
		.line_max = 8192, .literal_inline = 4096,
		.literal_total = 16384, .literal_max = 0, .depth_max = 2,
	};

	l->reader = imap_reader_new(&limits);
}

static void imap_fini(struct login *l)
{
	imap_reader_free(l->reader);
}

static void imap_greet(struct login *l)
{
	login_reply(l, "* OK [CAPABILITY %s] %s", capabilities(l, l->arena),
		    l->conf->greeting);
}

/* ---- the core's words ------------------------------------------------------- */

static void imap_challenge(struct login *l, struct slice base64)
{
	/* RFC 3501 7.5: the blank is there even before nothing. */
	buf_str(stream_out(l->stream), "+ ");
	buf_slice(stream_out(l->stream), base64);
	login_reply(l, "%s", "");
	imap_reader_want_line(l->reader);
}

static const char *failure_text(enum login_failure why)
{
	switch (why) {
	case LOGIN_DISABLED:
		return "NO [AUTHORIZATIONFAILED] This account may not log in.";
	case LOGIN_PLAINTEXT:
		return "NO [PRIVACYREQUIRED] Plaintext authentication "
		       "disallowed on non-secure (SSL/TLS) connections.";
	case LOGIN_MECHANISM:
		return "NO Unsupported authentication mechanism.";
	case LOGIN_BAD_INITIAL:
		return "BAD Invalid base64 data in initial response.";
	case LOGIN_BAD_RESPONSE:
		return "BAD Invalid base64 data in response.";
	case LOGIN_ABORTED:
		return "BAD Authentication aborted by client.";
	case LOGIN_WRONG:
	case LOGIN_TEMPORARY:
		break;
	}
	return "NO [AUTHENTICATIONFAILED] Authentication failed.";
}

static void imap_fail(struct login *l, enum login_failure why,
		      const char *text)
{
	if (why == LOGIN_TEMPORARY) {
		login_reply(l, "%s NO [UNAVAILABLE] %s", l->tag, text);
		return;
	}
	if (why == LOGIN_PLAINTEXT)
		login_reply(l, "* BAD [ALERT] Plaintext authentication not "
			    "allowed without SSL/TLS, but your client did it "
			    "anyway. If anyone was listening, the password "
			    "was exposed.");
	login_reply(l, "%s %s", l->tag, failure_text(why));
}

static void imap_bye(struct login *l, enum login_end why)
{
	static const char *const texts[] = {
		[LOGIN_END_SILENT] = "",
		[LOGIN_END_BAD] = "Too many invalid IMAP commands.",
		[LOGIN_END_ATTEMPTS] = "Too many failed logins.",
		[LOGIN_END_IDLE] = "Disconnected for inactivity.",
		[LOGIN_END_SHUTDOWN] = "[UNAVAILABLE] Server is going down, "
				       "connect again.",
	};

	login_reply(l, "* BYE %s", texts[why]);
}

/* ---- commands ---------------------------------------------------------------- */

static void cmd_login(struct login *l, const struct imap_command *cmd)
{
	struct err e = ERR_NONE;
	struct slice user, password;

	if (imap_login_parse(cmd, &user, &password, &e) < 0)
		tagged(l, "BAD %s", e.client);
	else if (!login_plaintext_refused(l))
		login_password(l, user, password);
}

static void cmd_authenticate(struct login *l, const struct imap_command *cmd)
{
	struct imap_authenticate au;
	struct err e = ERR_NONE;

	if (imap_authenticate_parse(cmd, &au, &e) < 0)
		tagged(l, "BAD %s", e.client);
	else
		login_sasl(l, au.mechanism,
			   au.has_initial ? &au.initial : NULL);
}

static void cmd_starttls(struct login *l, const struct imap_command *cmd)
{
	if (cmd->args || l->tls || !l->conf->tls) {
		tagged(l, "BAD %s", l->tls ? "TLS is already active."
					   : "TLS support isn't enabled.");
		return;
	}
	login_reply(l, "%s OK Begin TLS negotiation now.", l->tag);
	login_starttls(l);
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
		tagged(l, "BAD %s", e.client);
		return;
	}
	buf_init(&b, 2048);
	id_reply(l, &b);
	login_reply(l, "* ID (%.*s)", (int)b.n, (const char *)b.p);
	buf_fini(&b);
	tagged(l, "OK ID completed.");
}

static void command(struct login *l, const struct imap_command *cmd)
{
	if (strcmp(cmd->name, "CAPABILITY") == 0) {
		login_reply(l, "* CAPABILITY %s",
			    capabilities(l, l->arena));
		tagged(l, "OK Pre-login capabilities listed, post-login "
			     "capabilities have more.");
	} else if (strcmp(cmd->name, "NOOP") == 0) {
		tagged(l, "OK NOOP completed.");
	} else if (strcmp(cmd->name, "LOGOUT") == 0) {
		login_reply(l, "* BYE Logging out");
		login_reply(l, "%s OK Logout completed.", l->tag);
		login_close(l, LOGIN_END_SILENT, "Logged out");
	} else if (strcmp(cmd->name, "ID") == 0) {
		cmd_id(l, cmd);
	} else if (strcmp(cmd->name, "STARTTLS") == 0) {
		cmd_starttls(l, cmd);
	} else if (strcmp(cmd->name, "LOGIN") == 0) {
		cmd_login(l, cmd);
	} else if (strcmp(cmd->name, "AUTHENTICATE") == 0) {
		cmd_authenticate(l, cmd);
	} else {
		login_reply(l, "%s BAD Please log in first, or unknown "
			    "command.", l->tag);
		if (!login_bad(l))
			login_continue(l);
	}
}

/* ---- input --------------------------------------------------------------------- */

static void bad(struct login *l, const struct imap_event *ev)
{
	login_reply(l, "%s BAD %s", ev->tag ? ev->tag : "*", ev->text);
	if (ev->fatal)
		login_close(l, LOGIN_END_BAD, "Too many invalid commands");
	else if (!login_bad(l))
		login_continue(l);
}

static enum login_input event(struct login *l, enum imap_event_type t,
			      const struct imap_event *ev)
{
	switch (t) {
	case IMAP_COMMAND:
		free(l->tag);
		l->tag = xstrdup(ev->cmd->tag);
		command(l, ev->cmd);
		return LOGIN_WAIT;
	case IMAP_LINE:
		login_sasl_line(l, ev->data);
		return LOGIN_WAIT;
	case IMAP_BAD:
		bad(l, ev);
		return LOGIN_WAIT;
	case IMAP_CONTINUE:
		login_reply(l, "+ OK");
		return LOGIN_NEXT;
	case IMAP_LITERAL:
		/* APPEND before login. */
		imap_reader_refuse(l->reader);
		login_reply(l, "%s NO Please log in first.", ev->cmd->tag);
		return LOGIN_NEXT;
	case IMAP_DATA:
	case IMAP_DATA_END:
		return LOGIN_NEXT;
	case IMAP_MORE:
		break;
	}
	return LOGIN_NEED_MORE;
}

static enum login_input imap_input(struct login *l)
{
	struct slice in = stream_in(l->stream), before = in;
	struct imap_event ev = {0};
	enum imap_event_type t;

	t = imap_reader_next(l->reader, &in, l->arena, &ev);
	/* The line lies in the input, which goes before the answer. */
	if (t == IMAP_LINE)
		ev.data = arena_dup(l->arena, ev.data);
	stream_consume(l->stream, before.n - in.n);
	return event(l, t, &ev);
}

const struct login_dialog login_imap = {
	.kind = LOGIN_IMAP, .service = "imap", .log_name = "imap-login",
	.busy = "* BYE [UNAVAILABLE] Too many connections, try again later."
		"\r\n",
	.init = imap_init, .fini = imap_fini, .greet = imap_greet,
	.input = imap_input, .challenge = imap_challenge, .fail = imap_fail,
	.bye = imap_bye,
};
