/* An IMAP connection before login: input, output, end. */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void login_free(struct login *l)
{
	list_remove(&l->node);
	l->front->n_logins--;
	if (l->req)
		front_req_say(l->req, l->state == LOGIN_ASKING
					      ? IPC_LOGIN_CANCEL
					      : IPC_AUTH_CANCEL,
			      NULL, SLICE_NONE, -1);
	front_req_free(l->req);
	if (l->counted)
		front_req_say(l->counted, IPC_LOGIN_GONE, NULL, SLICE_NONE,
			      -1);
	front_req_free(l->counted);
	loop_timer_free(l->timer);
	imap_reader_free(l->reader);
	arena_free(l->arena);
	arena_free(l->ask_arena);
	free(l->tag);
	free(l->user);
	free(l->mech);
	free(l->failure);
	front_conf_unref(l->conf);
	if (l->stream)
		stream_finish(l->stream);
	free(l);
}

static void reply_va(struct login *l, const char *tag, const char *fmt,
		     va_list ap)
{
	char text[2048];
	struct buf *out = stream_out(l->stream);

	vsnprintf(text, sizeof(text), fmt, ap);
	if (tag)
		buf_printf(out, "%s ", tag);
	buf_str(out, text);
	buf_str(out, "\r\n");
	stream_flush(l->stream);
}

void login_reply(struct login *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_va(l, NULL, fmt, ap);
	va_end(ap);
}

void login_continue(struct login *l)
{
	l->state = LOGIN_READY;
	free(TAKE(l->tag));
	arena_reset(l->arena);
	loop_timer_set(l->timer, LOGIN_TIMEOUT_USEC);
	stream_more(l->stream);
}

void login_tagged(struct login *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	reply_va(l, l->tag, fmt, ap);
	va_end(ap);
	login_continue(l);
}

void login_close(struct login *l, const char *bye, const char *reason)
{
	if (bye)
		login_reply(l, "* BYE %s", bye);
	login_log_end(l, reason);
	login_free(l);
}

const char *login_capabilities(struct login *l, struct arena *a)
{
	const struct front_conf *c = l->conf;
	bool plain = l->secured || (!c->plaintext_disabled && !c->ssl_required);
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

static void greet(struct login *l)
{
	login_reply(l, "* OK [CAPABILITY %s] %s",
		    login_capabilities(l, l->arena), l->conf->greeting);
	arena_reset(l->arena);
}

static void bad(struct login *l, const struct imap_event *ev)
{
	login_reply(l, "%s BAD %s", ev->tag ? ev->tag : "*", ev->text);
	if (ev->fatal || ++l->bad >= LOGIN_BAD_MAX) {
		login_close(l, "Too many invalid IMAP commands.",
			    "Too many invalid commands");
		return;
	}
	login_continue(l);
}

/* One event of the reader; false when the rest of the input must wait. */
static bool event(struct login *l, enum imap_event_type t,
		  const struct imap_event *ev)
{
	switch (t) {
	case IMAP_COMMAND:
		free(l->tag);
		l->tag = xstrdup(ev->cmd->tag);
		login_command(l, ev->cmd);
		return false;
	case IMAP_LINE:
		login_sasl_line(l, ev->data);
		return false;
	case IMAP_BAD:
		bad(l, ev);
		return false;
	case IMAP_CONTINUE:
		login_reply(l, "+ OK");
		return true;
	case IMAP_LITERAL:
		/* APPEND before login. */
		imap_reader_refuse(l->reader);
		login_reply(l, "%s NO Please log in first.", ev->cmd->tag);
		return true;
	case IMAP_DATA:
	case IMAP_DATA_END:
		return true;
	case IMAP_MORE:
		break;
	}
	return false;
}

static void on_readable(void *arg)
{
	struct login *l = arg;

	while (l->state == LOGIN_READY || l->state == LOGIN_SASL) {
		struct slice in = stream_in(l->stream), before = in;
		struct imap_event ev = {0};
		enum imap_event_type t;

		if (in.n == 0)
			break;
		t = imap_reader_next(l->reader, &in, l->arena, &ev);
		/* The event may point into the input: consume it afterwards,
		 * unless the connection is gone or given away by then. */
		if (t == IMAP_COMMAND || t == IMAP_BAD || t == IMAP_MORE ||
		    t == IMAP_CONTINUE) {
			stream_consume(l->stream, before.n - in.n);
			if (t == IMAP_MORE)
				break;
			if (!event(l, t, &ev))
				return;
			continue;
		}
		if (t == IMAP_LINE) {
			struct slice line = arena_dup(l->arena, ev.data);

			stream_consume(l->stream, before.n - in.n);
			login_sasl_line(l, line);
			return;
		}
		stream_consume(l->stream, before.n - in.n);
		if (!event(l, t, &ev))
			return;
	}
	/* All that a client sent before it ended its side is answered. */
	if ((l->state == LOGIN_READY || l->state == LOGIN_SASL) &&
	    stream_ended(l->stream))
		login_close(l, NULL, "Connection closed");
}

static void on_writable(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg, const struct err *e)
{
	struct login *l = arg;
	char reason[160];

	if (e->code == 0) {
		on_readable(l);
		return;
	}
	snprintf(reason, sizeof(reason), "Connection closed: %.120s", e->op);
	login_close(l, NULL, reason);
}

static void on_secured(void *arg)
{
	struct login *l = arg;
	bool starttls = l->state == LOGIN_TLS_START;

	l->tls = l->secured = true;
	snprintf(l->cipher, sizeof(l->cipher), "%s",
		 stream_tls_text(l->stream));
	if (conf_bool(l->conf->conf, NULL, "verbose_ssl"))
		log_event(l->front->role->log, LOG_INF, "tls", NULL,
			  "TLS handshake: %s, rip=%s, session=<%s>",
			  l->cipher, l->addr.rip, l->sid);
	loop_timer_set(l->timer, LOGIN_TIMEOUT_USEC);
	if (starttls)
		login_continue(l);
	else
		greet(l);
}

static const struct stream_ops login_ops = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
	.secured = on_secured,
};

static void on_timer(void *arg)
{
	struct login *l = arg;

	if (l->state == LOGIN_DELAYED) {
		char *text = TAKE(l->failure);

		if (l->failure_bye) {
			login_reply(l, "%s %s", l->tag, text);
			login_close(l, "Too many failed logins.",
				    "Too many failed logins");
		} else {
			login_tagged(l, "%s", text);
		}
		free(text);
		return;
	}
	if (l->state == LOGIN_AGAIN) {
		login_ask_again(l);
		return;
	}
	/* The account is held: that has its own time-outs. */
	if (l->state == LOGIN_ASKING || l->state == LOGIN_AUTH) {
		loop_timer_set(l->timer, LOGIN_TIMEOUT_USEC);
		return;
	}
	login_close(l, "Disconnected for inactivity.", "Inactivity");
}

void login_accept(struct front *f, struct front_conf *c, int fd, bool tls)
{
	struct imap_limits limits = {
		.line_max = 8192, .literal_inline = 4096,
		.literal_total = 16384, .literal_max = 0, .depth_max = 2,
	};
	struct err e = ERR_NONE;
	struct login *l;

	if (f->n_logins >= c->unauth_max || f->draining || (tls && !c->tls)) {
		static const char bye[] =
			"* BYE [UNAVAILABLE] Too many connections, try again "
			"later.\r\n";

		if (!tls)
			(void)!write(fd, bye, sizeof(bye) - 1);
		close(fd);
		return;
	}
	l = NEW(struct login);
	l->front = f;
	l->conf = front_conf_ref(c);
	l->arena = arena_new(1024);
	l->reader = imap_reader_new(&limits);
	l->started_usec = clock_mono(f->role->sys.clock);
	front_addr_of(fd, &l->addr);
	l->secured = front_secured(c, &l->addr, false);
	front_session_id(f, l->sid);
	list_append(&f->logins, &l->node);
	f->n_logins++;
	l->stream = stream_new(f->role->loop, fd, LOGIN_IN_MAX, LOGIN_OUT_MAX,
			       &login_ops, l);
	l->timer = loop_timer_new(f->role->loop, LOGIN_TIMEOUT_USEC, on_timer,
				  l);
	if (!tls) {
		greet(l);
		return;
	}
	/* However slowly its octets come. */
	loop_timer_set(l->timer, LOGIN_HANDSHAKE_USEC);
	if (stream_start_tls(l->stream, c->tls, true, NULL, &e) < 0)
		login_close(l, NULL, e.op);
}

void login_drain(struct front *f)
{
	struct list *i = f->logins.next;

	while (i != &f->logins) {
		struct login *l = CONTAINER_OF(i, struct login, node);

		i = i->next;
		/* One that is being passed on ends with its session. */
		login_close(l, "[UNAVAILABLE] Server is going down, connect "
			    "again.", "Shutdown");
	}
}
