#include "node/pop3/pop3.h"
#include "node/config/conf_vars.h"
#include "storage/account.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * The life of a session: INBOX taken down, input to commands, and the end.
 */

static void work_later(void *arg);

struct buf *pop3_out(struct pop3 *p)
{
	return stream_out(p->stream);
}

void pop3_say(struct pop3 *p, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_str(pop3_out(p), line);
	buf_str(pop3_out(p), "\r\n");
}

static void count_output(struct pop3 *p)
{
	size_t n = stream_out_pending(p->stream);

	if (n > p->out_mark)
		p->s->out_bytes += n - p->out_mark;
	p->out_mark = n;
}

void pop3_enter(struct pop3 *p)
{
	if (p->inside++ == 0)
		p->out_mark = stream_out_pending(p->stream);
}

void pop3_leave(struct pop3 *p)
{
	if (--p->inside)
		return;
	if (p->ended)
		free(p);
	else
		count_output(p);
}

static bool out_full(struct pop3 *p)
{
	return stream_out_pending(p->stream) >= POP3_OUT_HIGH;
}

static void arm_timer(struct pop3 *p)
{
	loop_timer_set(p->timer, POP3_INACTIVE_USEC);
}

static void schedule(struct pop3 *p)
{
	if (p->scheduled || p->ended)
		return;
	p->scheduled = true;
	loop_defer(p->s->host->loop, work_later, p);
}

void pop3_resume(struct pop3 *p)
{
	p->waiting = false;
	schedule(p);
}

/* ---- INBOX ------------------------------------------------------------------- */

/* Numbers, sizes and UIDs as they will stay for this session. */
static int take_down(struct pop3 *p, struct err *e)
{
	struct mailbox *m = account_mailbox(p->s->account,
					    SLICE_LIT("INBOX"));
	bool guids = pop3_uidl_needs_guid(p->s->conf->pop3_uidl_format);
	uint32_t records, live;

	if (!m)
		return err_set(e, E_TEMP, "INBOX is missing");
	if (mailbox_open(m, e) < 0)
		return e->code;
	mailbox_ref(m);
	p->inbox = m;
	records = mailbox_records(m);
	live = mailbox_messages(m);
	p->msgs = xzalloc(((size_t)live + 1) * sizeof(*p->msgs));
	if (guids)
		p->guids = xzalloc(((size_t)live + 1) * sizeof(*p->guids));
	for (uint32_t i = 0; i < records && p->n_msgs < live; i++) {
		const struct mrec *r = mailbox_rec(m, i);

		if (r->flags & MREC_EXPUNGED)
			continue;
		p->msgs[p->n_msgs].uid = r->uid;
		p->msgs[p->n_msgs].size = r->size;
		if (guids)
			p->guids[p->n_msgs] = r->emailid;
		p->n.size += r->size;
		p->n_msgs++;
	}
	return 0;
}

int pop3_rec(struct pop3 *p, uint32_t i, uint32_t *rec)
{
	uint32_t uid = p->msgs[i].uid, n;

	if (mailbox_gone(p->inbox))
		return -ENOENT;
	n = mailbox_lower(p->inbox, uid);
	if (n >= mailbox_records(p->inbox) ||
	    mailbox_rec(p->inbox, n)->uid != uid ||
	    (mailbox_rec(p->inbox, n)->flags & MREC_EXPUNGED))
		return -ENOENT;
	*rec = n;
	return 0;
}

/* ---- the end --------------------------------------------------------------- */

static void logout_stats(struct pop3 *p, struct buf *to)
{
	const uint64_t v[] = {
		p->s->in_bytes, p->s->out_bytes, p->n.top_count,
		p->n.top_bytes, p->n.retr_count, p->n.retr_bytes,
		p->n.deleted, p->n.deleted_bytes, p->n_msgs, p->n.size,
	};
	static const struct conf_var names[ARRAY_LEN(v)] = {
		{'i', "input", NULL}, {'o', "output", NULL},
		{'t', "top_count", NULL}, {'p', "top_bytes", NULL},
		{'r', "retr_count", NULL}, {'b', "retr_bytes", NULL},
		{'d', "deleted_count", NULL}, {0, "deleted_bytes", NULL},
		{'m', "message_count", NULL}, {'s', "message_bytes", NULL},
	};
	char num[ARRAY_LEN(v)][24];
	struct conf_var extra[ARRAY_LEN(v)];
	struct conf_vars vars = {.user = p->s->user, .service = "pop3",
				 .lip = p->s->lip, .rip = p->s->rip,
				 .session = p->s->id, .uid = (unsigned)-1,
				 .extra = extra, .n_extra = ARRAY_LEN(extra)};

	for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
		snprintf(num[i], sizeof(num[i]), "%llu",
			 (unsigned long long)v[i]);
		extra[i] = names[i];
		extra[i].value = num[i];
	}
	/* The format was checked at load. */
	(void)conf_expand(p->s->conf->pop3_logout_format, &vars, 0, to, NULL);
	buf_char(to, 0);
}

void pop3_end(struct pop3 *p, enum session_end how, const char *text)
{
	struct session *s = p->s;
	struct buf stats;

	if (p->ended)
		return;
	p->ended = true;
	pop3_close_body(p);
	pop3_forget_write(p);
	session_repair_forget(s, p);
	if (p->inbox)
		mailbox_unref(p->inbox);
	count_output(p);
	buf_init(&stats, 4096);
	logout_stats(p, &stats);
	if (p->scheduled)
		loop_undefer(s->host->loop, work_later, p);
	if (how == SESSION_DISCONNECTED && !p->eof)
		stream_free(p->stream);
	else
		stream_finish(p->stream);
	loop_timer_free(p->timer);
	buf_fini(&p->left);
	free(p->msgs);
	free(p->guids);
	/* p itself goes with the last pop3_leave(). */
	session_ended(s, how, text, stats.failed ? "" : (const char *)stats.p);
	buf_fini(&stats);
}

/* Said at a moment when the client may be sending a command: its reply. */
static void evict_now(struct pop3 *p)
{
	pop3_say(p, "-ERR [SYS/TEMP] %s", p->evict_text);
	pop3_end(p, SESSION_KICKED, p->evict_text);
}

void pop3_bad(struct pop3 *p, const char *text)
{
	if (++p->bad >= POP3_BAD_MAX) {
		pop3_say(p, "-ERR Too many bad commands.");
		pop3_end(p, SESSION_ERROR, "Too many bad commands");
		return;
	}
	pop3_say(p, "-ERR %s", text);
}

void pop3_step_over(struct pop3 *p)
{
	p->step = NULL;
	arm_timer(p);
}

/* ---- input ------------------------------------------------------------------ */

static bool busy(const struct pop3 *p)
{
	return p->step || p->waiting;
}

/* One line; false if there is none now. */
static bool next_line(struct pop3 *p)
{
	bool left = p->left.n > 0;
	struct slice in, line;
	size_t used;
	int r;

	if (left) {
		/* Its last line may go on in what came since. */
		if (slice_chr(buf_all(&p->left), '\n') < 0) {
			struct slice more = stream_in(p->stream);

			buf_slice(&p->left, more);
			stream_consume(p->stream, more.n);
		}
		in = buf_all(&p->left);
	} else {
		in = stream_in(p->stream);
	}
	r = pop3_line(&p->lines, in, &line, &used);
	p->s->in_bytes += used;
	if (r > 0)
		pop3_command(p, line);
	else if (r < 0)
		pop3_bad(p, "Too long command line.");
	if (p->ended)
		return false;
	if (left)
		buf_consume(&p->left, used);
	else
		stream_consume(p->stream, used);
	return r != 0;
}

static void work(struct pop3 *p)
{
	unsigned turn = POP3_TURN;
	bool more = true;

	if (p->refusal) {
		pop3_say(p, "-ERR %s", p->refusal);
		pop3_end(p, SESSION_ERROR, p->refusal);
		return;
	}
	while (more && !p->waiting && turn && !out_full(p)) {
		if (p->evict && !busy(p)) {
			evict_now(p);
			return;
		}
		turn--;
		if (p->step)
			p->step(p);
		else
			more = next_line(p);
		if (p->ended)
			return;
	}
	if (pop3_out(p)->failed) {
		pop3_end(p, SESSION_ERROR, "Output limit exceeded");
		return;
	}
	/* All that a client sent before it ended its side is answered. */
	if (p->eof && !more && !busy(p)) {
		pop3_end(p, SESSION_DISCONNECTED, "Connection closed");
		return;
	}
	stream_flush(p->stream);
	if (more && !p->waiting && turn == 0)
		schedule(p);
}

static void work_later(void *arg)
{
	struct pop3 *p = arg;

	p->scheduled = false;
	pop3_enter(p);
	work(p);
	pop3_leave(p);
}

static void on_readable(void *arg)
{
	arm_timer(arg);
	schedule(arg);
}

static void on_writable(void *arg)
{
	/* A client that reads is alive. */
	arm_timer(arg);
	schedule(arg);
}

static void on_closed(void *arg, const struct err *e)
{
	struct pop3 *p = arg;
	char text[160];

	pop3_enter(p);
	p->eof = true;
	if (e->code == 0) {
		schedule(p);
	} else if (!p->quitting) {
		/* Cut before QUIT: nothing is deleted.  A QUIT that began goes
		 * on, with nobody to tell. */
		snprintf(text, sizeof(text), "Connection closed: %.100s",
			 e->op);
		pop3_end(p, SESSION_DISCONNECTED, text);
	}
	pop3_leave(p);
}

static const struct stream_ops stream_events = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
};

static void on_timer(void *arg)
{
	struct pop3 *p = arg;

	if (busy(p) && !out_full(p)) {
		arm_timer(p);		/* we are the slow ones */
		return;
	}
	pop3_enter(p);
	/* RFC 1939 3: without removing any messages or any response. */
	pop3_end(p, SESSION_IDLE, "Disconnected for inactivity");
	pop3_leave(p);
}

/* ---- the host's side ----------------------------------------------------- */

static void on_evict(struct session *s, const char *code, const char *text,
		     bool holder_lost)
{
	struct pop3 *p = s->impl;

	(void)code;		/* it is IMAP's; here it is [SYS/TEMP] */
	s->evicting = true;
	pop3_enter(p);
	snprintf(p->evict_text, sizeof(p->evict_text), "%s", text);
	if (p->quitting && holder_lost)
		/* The outcome is not known here (D4): neither +OK nor -ERR. */
		pop3_end(p, SESSION_KICKED, text);
	else if (!busy(p))
		evict_now(p);
	else
		p->evict = true;
	pop3_leave(p);
}

static void on_kill(struct session *s)
{
	struct pop3 *p = s->impl;

	pop3_enter(p);
	pop3_end(p, SESSION_KICKED, "Killed");
	pop3_leave(p);
}

static bool on_idle(const struct session *s)
{
	return !busy(s->impl);
}

static const struct session_ops pop3_session_ops = {
	.evict = on_evict, .kill = on_kill, .idle = on_idle,
};

int pop3_session_start(struct session *s, struct err *e)
{
	struct pop3 *p = NEW(struct pop3);
	struct err why = ERR_NONE;

	(void)e;
	p->s = s;
	s->impl = p;
	s->ops = &pop3_session_ops;
	p->stream = stream_new(s->host->loop, s->fd, POP3_IN_MAX, POP3_OUT_MAX,
			       &stream_events, p);
	p->timer = loop_timer_new(s->host->loop, POP3_INACTIVE_USEC, on_timer,
				  p);
	buf_init(&p->left, SESSION_LEFTOVER_MAX + POP3_IN_MAX);
	buf_slice(&p->left, s->leftover);
	pop3_enter(p);
	if (s->conf->pop3_lock_session && session_has_sibling(s)) {
		p->refusal = "[IN-USE] The mailbox is used by another POP3 "
			     "session.";
	} else if (take_down(p, &why) < 0) {
		session_log(s, LOG_ERR, "mailbox_open_failed", "INBOX: %s",
			    why.op);
		p->refusal = "[SYS/TEMP] The mailbox can't be opened now.";
	} else {
		pop3_say(p, "+OK Logged in.");
		stream_flush(p->stream);
	}
	/* The host looks at s once more: a refusal ends it from the loop. */
	schedule(p);
	pop3_leave(p);
	return 0;
}
