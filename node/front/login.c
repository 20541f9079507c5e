/* A connection before login: input, output, end. */

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
	l->front->n_logins[l->dialog->kind]--;
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
	l->dialog->fini(l);
	arena_free(l->arena);
	arena_free(l->ask_arena);
	free(l->tag);
	free(l->user);
	free(l->mech);
	front_conf_unref(l->conf);
	if (l->stream)
		stream_finish(l->stream);
	free(l);
}

void login_reply(struct login *l, const char *fmt, ...)
{
	char text[LOGIN_REPLY_MAX];
	struct buf *out = stream_out(l->stream);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_str(out, text);
	buf_str(out, "\r\n");
	stream_flush(l->stream);
}

void login_continue(struct login *l)
{
	l->state = LOGIN_READY;
	free(TAKE(l->tag));
	arena_reset(l->arena);
	loop_timer_set(l->timer, LOGIN_TIMEOUT_USEC);
	stream_more(l->stream);
}

void login_close(struct login *l, enum login_end why, const char *reason)
{
	if (why != LOGIN_END_SILENT)
		l->dialog->bye(l, why);
	login_log_end(l, reason);
	login_free(l);
}

bool login_bad(struct login *l)
{
	if (++l->bad < LOGIN_BAD_MAX)
		return false;
	login_close(l, LOGIN_END_BAD, "Too many invalid commands");
	return true;
}

bool login_plaintext_allowed(const struct login *l)
{
	return l->secured ||
	       (!l->conf->plaintext_disabled && !l->conf->ssl_required);
}

static void greet(struct login *l)
{
	l->dialog->greet(l);
	arena_reset(l->arena);
}

static bool reads(const struct login *l)
{
	return l->state == LOGIN_READY || l->state == LOGIN_SASL;
}

static void on_readable(void *arg)
{
	struct login *l = arg;

	while (reads(l) && stream_in(l->stream).n) {
		enum login_input i = l->dialog->input(l);

		if (i == LOGIN_WAIT)
			return;
		if (i == LOGIN_NEED_MORE)
			break;
	}
	/* All that a client sent before it ended its side is answered. */
	if (reads(l) && stream_ended(l->stream))
		login_close(l, LOGIN_END_SILENT, "Connection closed");
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
	login_close(l, LOGIN_END_SILENT, reason);
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
		login_late(l);
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
	login_close(l, LOGIN_END_IDLE, "Inactivity");
}

void login_accept(struct front *f, struct front_conf *c,
		  const struct login_dialog *d, int fd, bool tls)
{
	struct err e = ERR_NONE;
	struct login *l;

	if (f->n_logins[d->kind] >= c->unauth_max[d->kind] || f->draining || (tls && !c->tls)) {
		if (!tls)
			(void)!write(fd, d->busy, strlen(d->busy));
		close(fd);
		return;
	}
	l = NEW(struct login);
	l->dialog = d;
	l->front = f;
	l->conf = front_conf_ref(c);
	l->arena = arena_new(1024);
	d->init(l);
	l->started_usec = clock_mono(f->role->sys.clock);
	front_addr_of(fd, &l->addr);
	l->secured = front_secured(c, &l->addr, false);
	front_session_id(f, l->sid);
	list_append(&f->logins, &l->node);
	f->n_logins[d->kind]++;
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
		login_close(l, LOGIN_END_SILENT, e.op);
}

void login_drain(struct front *f)
{
	struct list *i = f->logins.next;

	while (i != &f->logins) {
		struct login *l = CONTAINER_OF(i, struct login, node);

		i = i->next;
		/* One that is being passed on ends with its session. */
		login_close(l, LOGIN_END_SHUTDOWN, "Shutdown");
	}
}
