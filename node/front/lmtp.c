/* LMTP: the dialog. */

#include "node/front/lmtp.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void lmtp_say(struct lmtp *l, const char *fmt, ...)
{
	struct buf *out = stream_out(l->stream);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_str(out, text);
	buf_str(out, "\r\n");
	/* The command behind is here already, and its reply comes soon. */
	if (!l->group || stream_in(l->stream).n == 0)
		stream_flush(l->stream);
}

static const char going_down[] = "421 4.3.2 Server is going down, try again";

void lmtp_close(struct lmtp *l, const char *last_words)
{
	struct front *f = l->front;

	if (last_words)
		lmtp_say(l, "%s", last_words);
	lmtp_seen(l, false);
	lmtp_reset(l);
	list_remove(&l->node);
	f->n_lmtps--;
	loop_timer_free(l->timer);
	front_conf_unref(l->conf);
	arena_free(l->arena);
	free(l->name);
	stream_finish(l->stream);
	free(l);
	front_maybe_drained(f);
}

static void greet(struct lmtp *l)
{
	lmtp_say(l, "220 %s %s", l->conf->hostname, l->conf->greeting);
}

static void cmd_lhlo(struct lmtp *l, const struct lmtp_command *c)
{
	lmtp_reset(l);
	free(l->name);
	l->name = xstrndup(c->text.p, c->text.n);
	lmtp_say(l, "250-%s", l->conf->hostname);
	if (l->conf->tls && !l->tls && !l->unix_socket)
		lmtp_say(l, "250-STARTTLS");
	lmtp_say(l, "250-8BITMIME");
	lmtp_say(l, "250-ENHANCEDSTATUSCODES");
	lmtp_say(l, "250-PIPELINING");
	lmtp_say(l, "250 SIZE");
}

static void cmd_starttls(struct lmtp *l)
{
	struct err e = ERR_NONE;

	if (!l->conf->tls || l->tls || l->unix_socket) {
		lmtp_say(l, l->tls ? "443 5.5.1 TLS is already active."
				   : "502 5.5.1 TLS support isn't enabled.");
		return;
	}
	/* RFC 3207: what came in clear behind STARTTLS is dropped. */
	stream_consume(l->stream, stream_in(l->stream).n);
	lmtp_say(l, "220 2.0.0 Begin TLS negotiation now.");
	l->state = LMTP_TLS;
	loop_timer_set(l->timer, LMTP_HANDSHAKE_USEC);
	if (stream_start_tls(l->stream, l->conf->tls, true, NULL, &e) < 0)
		lmtp_close(l, NULL);
}

/* false: l is gone. */
static bool command(struct lmtp *l, struct slice line)
{
	struct lmtp_command c = {0};
	const char *reply = NULL;

	lmtp_seen(l, true);
	if (!l->arena)
		l->arena = arena_new(2048);
	if (lmtp_parse(line, l->arena, &c, &reply) < 0) {
		lmtp_say(l, "%s", reply);
		if (++l->bad >= LMTP_BAD_MAX) {
			lmtp_close(l, "421 4.7.0 Too many bad commands");
			return false;
		}
		return true;
	}
	l->group = c.verb == LMTP_MAIL || c.verb == LMTP_RCPT ||
		   c.verb == LMTP_RSET;
	switch (c.verb) {
	case LMTP_LHLO:
		cmd_lhlo(l, &c);
		break;
	case LMTP_HELO:
		lmtp_say(l, "500 5.5.1 This is LMTP: use LHLO");
		break;
	case LMTP_MAIL:
		lmtp_mail(l, &c);
		break;
	case LMTP_RCPT:
		lmtp_rcpt(l, &c);
		break;
	case LMTP_DATA:
		lmtp_begin_data(l);
		break;
	case LMTP_RSET:
		lmtp_reset(l);
		lmtp_say(l, "250 2.0.0 OK");
		break;
	case LMTP_NOOP:
		lmtp_say(l, "250 2.0.0 OK");
		break;
	case LMTP_QUIT:
		lmtp_close(l, "221 2.0.0 Bye");
		return false;
	case LMTP_VRFY:
		lmtp_say(l, "252 2.3.3 Try RCPT instead");
		break;
	case LMTP_STARTTLS:
		if (!l->conf->tls || l->tls || l->unix_socket) {
			cmd_starttls(l);
			break;
		}
		cmd_starttls(l);
		return false;
	case LMTP_UNKNOWN:
		lmtp_say(l, "502 5.5.2 Unknown command");
		if (++l->bad >= LMTP_BAD_MAX) {
			lmtp_close(l, "421 4.7.0 Too many bad commands");
			return false;
		}
		break;
	}
	return true;
}

/* One line; false: nothing more can be done now. */
static bool take_line(struct lmtp *l)
{
	struct slice line;
	size_t used = 0;
	int r = lmtp_line(stream_in(l->stream), &l->skipping, &line, &used);
	char copy[LMTP_LINE_MAX + 1];

	if (r == E_LIMIT) {
		stream_consume(l->stream, used);
		lmtp_say(l, "500 5.5.2 Line too long");
		return true;
	}
	if (r <= 0) {
		stream_consume(l->stream, used);
		stream_flush(l->stream);	/* it was only a part of one */
		return used > 0;
	}
	if (line.n > LMTP_LINE_MAX)
		line.n = LMTP_LINE_MAX;
	memcpy(copy, line.p, line.n);
	stream_consume(l->stream, used);
	loop_timer_set(l->timer, LMTP_TIMEOUT_USEC);
	/* STARTTLS drops the rest of the input and the state changes: so the
	 * loop in on_readable looks at both again. */
	return command(l, slice_of(copy, line.n));
}

static void on_readable(void *arg)
{
	struct lmtp *l = arg;

	for (;;) {
		if (l->state == LMTP_COMMAND) {
			if (stream_in(l->stream).n == 0 || !take_line(l))
				return;
		} else if (l->state == LMTP_IN_DATA) {
			if (stream_in(l->stream).n == 0 || !lmtp_take_data(l))
				return;
		} else {
			return;
		}
	}
}

static void on_writable(void *arg)
{
	(void)arg;
}

static void on_closed(void *arg, const struct err *e)
{
	struct lmtp *l = arg;

	(void)e;
	lmtp_close(l, NULL);
}

void lmtp_next(struct lmtp *l)
{
	bool draining = l->front->draining;

	l->state = LMTP_COMMAND;
	if (draining && !l->in_mail && l->had_mail) {
		lmtp_close(l, going_down);
		return;
	}
	loop_timer_set(l->timer, draining && !l->had_mail ? LMTP_DRAIN_USEC
							  : LMTP_TIMEOUT_USEC);
	stream_more(l->stream);
}

static void on_secured(void *arg)
{
	struct lmtp *l = arg;
	bool starttls = l->state == LMTP_TLS;

	l->tls = true;
	free(TAKE(l->name));
	lmtp_reset(l);
	if (!starttls)
		greet(l);
	lmtp_next(l);
}

static const struct stream_ops lmtp_ops = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
	.secured = on_secured,
};

static void on_timer(void *arg)
{
	struct lmtp *l = arg;

	/* Replies come by themselves: the store has its own time-outs. */
	if (l->state == LMTP_REPLIES || l->state == LMTP_LOOKUP) {
		loop_timer_set(l->timer, LMTP_TIMEOUT_USEC);
		return;
	}
	lmtp_close(l, l->front->draining && !l->in_mail
			      ? going_down
			      : "421 4.4.2 Disconnected for inactivity");
}

static size_t from_address(const struct front *f, const char *rip)
{
	size_t n = 0;

	for (const struct list *i = f->lmtps.next; i != &f->lmtps; i = i->next)
		n += strcmp(CONTAINER_OF(i, const struct lmtp, node)->addr.rip,
			    rip) == 0;
	return n;
}

/* Why not, or NULL.  One host that opens connections and says nothing leaves
 * places to the others; who may use the UNIX socket is the socket's mode. */
static const char *refusal(const struct front *f, const struct front_conf *c,
			   const struct front_addr *addr, bool tls)
{
	if (f->draining || (tls && !c->tls))
		return "421 4.3.2 Not available now, try again\r\n";
	if (f->n_lmtps >= FRONT_LMTP_MAX)
		return "421 4.3.2 Too many connections, try again\r\n";
	if (addr->rip[0] &&
	    from_address(f, addr->rip) >= FRONT_LMTP_PER_ADDRESS)
		return "421 4.7.0 Too many connections from your address\r\n";
	return NULL;
}

/* One line a minute: what refuses a thousand connections is not told a
 * thousand times. */
static void log_refusal(struct front *f, const struct front_addr *addr,
			const char *why)
{
	uint64_t now = clock_mono(f->role->sys.clock);

	if (f->draining ||
	    (f->refused_usec && now - f->refused_usec < LMTP_REFUSED_LOG_USEC))
		return;
	f->refused_usec = now;
	log_event(f->role->log, LOG_WARN, "lmtp_refused", NULL, "LMTP "
		  "connection refused: %.*s: rip=%s, %zu connections",
		  (int)strcspn(why + 10, ",\r"), why + 10, addr->rip,
		  f->n_lmtps);
}

void lmtp_accept(struct front *f, struct front_conf *c, int fd, bool tls)
{
	struct err e = ERR_NONE;
	struct front_addr addr;
	const char *why;
	struct lmtp *l;

	front_addr_of(fd, &addr);
	why = refusal(f, c, &addr, tls);
	if (why) {
		log_refusal(f, &addr, why);
		if (!tls)
			(void)!write(fd, why, strlen(why));
		close(fd);
		return;
	}
	l = NEW(struct lmtp);
	l->front = f;
	l->conf = front_conf_ref(c);
	l->addr = addr;
	l->unix_socket = !l->addr.rip[0];
	front_session_id(f, l->sid);
	list_append(&f->lmtps, &l->node);
	f->n_lmtps++;
	l->stream = stream_new(f->role->loop, fd, LMTP_IN_MAX, LMTP_OUT_MAX,
			       &lmtp_ops, l);
	l->timer = loop_timer_new(f->role->loop, LMTP_TIMEOUT_USEC, on_timer,
				  l);
	if (tls)
		loop_timer_set(l->timer, LMTP_HANDSHAKE_USEC);
	if (!tls)
		greet(l);
	else if (stream_start_tls(l->stream, c->tls, true, NULL, &e) < 0)
		lmtp_close(l, NULL);
}

void lmtp_drain(struct front *f)
{
	struct list *i = f->lmtps.next;

	while (i != &f->lmtps) {
		struct lmtp *l = CONTAINER_OF(i, struct lmtp, node);

		i = i->next;
		if (l->in_mail || l->state != LMTP_COMMAND)
			continue;
		/* MAIL may be on its way already: a 421 now would be taken
		 * for the answer to it. */
		l->had_mail = false;
		loop_timer_set(l->timer, LMTP_DRAIN_USEC);
	}
}

bool lmtp_idle(const struct front *f)
{
	return list_empty(&f->lmtps);
}
