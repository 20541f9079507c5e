#include "node/imap/imap.h"
#include "node/config/conf_vars.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * The life of a session: input to commands, commands to replies, and the end.
 */

static void session_end_now(struct imap *im, enum session_end how,
			    const char *text);
static void evict_now(struct imap *im);

struct buf *imap_out(struct imap *im)
{
	return stream_out(im->stream);
}

bool imap_out_full(struct imap *im)
{
	/* Nobody reads any more: what was asked for is done, not told. */
	if (im->unread)
		buf_reset(imap_out(im));
	return stream_out_pending(im->stream) >= IMAP_OUT_HIGH;
}

void imap_untagged(struct imap *im, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_str(imap_out(im), "* ");
	buf_str(imap_out(im), line);
	buf_str(imap_out(im), "\r\n");
}

void imap_enter(struct imap *im)
{
	if (im->inside++ == 0)
		im->out_mark = stream_out_pending(im->stream);
}

static void count_output(struct imap *im)
{
	size_t n = stream_out_pending(im->stream);

	if (n > im->out_mark)
		im->s->out_bytes += n - im->out_mark;
	im->out_mark = n;
}

void imap_leave(struct imap *im)
{
	if (--im->inside)
		return;
	if (im->state == IMAP_ENDED) {
		free(im);
		return;
	}
	count_output(im);
	(void)imap_out_full(im);
}

static void arm_timer(struct imap *im)
{
	uint64_t usec = IMAP_INACTIVE_USEC;

	if (im->idling && im->s->conf->imap_idle_notify_usec)
		usec = im->s->conf->imap_idle_notify_usec;
	loop_timer_set(im->timer, usec);
}

/* ---- the end --------------------------------------------------------------- */

static void logout_stats(struct imap *im, struct buf *to)
{
	char num[11][24];
	const uint64_t v[11] = {
		im->s->in_bytes, im->s->out_bytes, im->n.deleted,
		im->n.expunged, im->n.trashed, im->n.autoexpunged,
		im->n.appended, im->n.hdr_count, im->n.hdr_bytes,
		im->n.body_count, im->n.body_bytes,
	};
	static const struct conf_var names[11] = {
		{'i', "input", NULL}, {'o', "output", NULL},
		{0, "deleted", NULL}, {0, "expunged", NULL},
		{0, "trashed", NULL}, {0, "autoexpunged", NULL},
		{0, "appended", NULL}, {0, "fetch_hdr_count", NULL},
		{0, "fetch_hdr_bytes", NULL}, {0, "fetch_body_count", NULL},
		{0, "fetch_body_bytes", NULL},
	};
	struct conf_var extra[11];
	struct conf_vars vars = {.user = im->s->user, .service = "imap",
				 .lip = im->s->lip, .rip = im->s->rip,
				 .session = im->s->id, .uid = (unsigned)-1,
				 .extra = extra, .n_extra = ARRAY_LEN(extra)};

	for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
		snprintf(num[i], sizeof(num[i]), "%llu",
			 (unsigned long long)v[i]);
		extra[i] = names[i];
		extra[i].value = num[i];
	}
	/* The format was checked at load. */
	(void)conf_expand(im->s->conf->imap_logout_format, &vars, 0, to, NULL);
	buf_char(to, 0);
}

static void session_end_now(struct imap *im, enum session_end how,
			    const char *text)
{
	struct session *s = im->s;
	struct buf stats;

	if (im->state == IMAP_ENDED)
		return;
	im->state = IMAP_ENDED;
	imap_append_abort(im);
	if (im->cmd_fini)
		im->cmd_fini(im);
	if (im->write) {
		im->write->im = NULL;
		im->write = NULL;
	}
	session_repair_forget(s, im);
	imap_close_mailbox(im);
	count_output(im);
	buf_init(&stats, 4096);
	logout_stats(im, &stats);
	if (im->scheduled)
		loop_undefer(s->host->loop, imap_input, im);
	im->scheduled = false;
	if (how == SESSION_ERROR || how == SESSION_KICKED ||
	    how == SESSION_IDLE || how == SESSION_LOGOUT || im->eof)
		stream_finish(im->stream);
	else
		stream_free(im->stream);
	imap_reader_free(im->reader);
	loop_timer_free(im->timer);
	arena_free(im->arena);
	buf_fini(&im->left);
	/* im itself goes with the last imap_leave(). */
	session_ended(s, how, text, stats.failed ? "" : (const char *)stats.p);
	buf_fini(&stats);
}

void imap_end(struct imap *im, enum session_end how, const char *text)
{
	session_end_now(im, how, text);
}

void imap_bye(struct imap *im, const char *code, const char *text,
	      enum session_end how)
{
	if (im->state == IMAP_ENDED)
		return;
	if (code)
		imap_untagged(im, "BYE [%s] %s", code, text);
	else
		imap_untagged(im, "BYE %s", text);
	session_end_now(im, how, text);
}

/* ---- replies ------------------------------------------------------------- */

static bool in_command(const struct imap *im)
{
	return im->tag != NULL;
}

/* Nothing runs: give the arena back, an idle session is small. */
static void command_over(struct imap *im)
{
	if (im->cmd_fini)
		im->cmd_fini(im);
	im->cmd_fini = NULL;
	im->cmd = NULL;
	im->cmd_data = NULL;
	im->step = NULL;
	im->tag = NULL;
	im->uid = false;
	im->waiting = false;
	im->silent_modseq = 0;
	im->answered_modseq = 0;
	arena_free(im->arena);
	im->arena = NULL;
}

void imap_reply_sent(struct imap *im)
{
	command_over(im);
	if (imap_out(im)->failed) {
		session_end_now(im, SESSION_ERROR,
				"Output limit of one reply exceeded");
		return;
	}
	stream_flush(im->stream);
	if (im->evict) {
		evict_now(im);
		return;
	}
	arm_timer(im);
	if (!im->working)
		imap_schedule(im);
}

/* RFC 3501 9: TEXT-CHAR is what a line of US-ASCII may hold. */
static void plain_text(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
}

void imap_reply(struct imap *im, const char *status, const char *code,
		const char *fmt, ...)
{
	char text[512];
	va_list ap;
	bool expunges = im->cmd && (!(im->cmd->flags & CMD_KEEP_SEQS) ||
				    im->uid);
	struct buf *out;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	plain_text(text);
	if (strcmp(status, "BAD") != 0) {
		im->bad = 0;
	} else if (++im->bad >= IMAP_BAD_MAX) {
		imap_bye(im, NULL, "Too many invalid IMAP commands.",
			 SESSION_ERROR);
		return;
	}
	/* RFC 3501 7.4.1: no EXPUNGE if the client may think that FETCH, STORE
	 * or SEARCH runs. */
	if (im->state == IMAP_SELECTED && im->tag)
		imap_tell(im, expunges);
	if (im->state == IMAP_ENDED)
		return;
	out = imap_out(im);
	buf_str(out, im->tag ? im->tag : "*");
	buf_char(out, ' ');
	buf_str(out, status);
	if (code)
		buf_printf(out, " [%s]", code);
	buf_char(out, ' ');
	buf_str(out, text);
	buf_str(out, "\r\n");
	imap_reply_sent(im);
}

void imap_reply_bad(struct imap *im, const struct err *e)
{
	imap_reply(im, "BAD", NULL, "%s", e->client);
}

void imap_reply_no(struct imap *im, const struct err *e, const char *code)
{
	if (!code)
		code = imap_code_of(e->code);
	imap_reply(im, "NO", code, "%s",
		   e->client[0] ? e->client : err_client_text(e->code));
}

/* ---- steps --------------------------------------------------------------- */

/* One piece; the rest when the loop comes round and the client has read. */
static void run_step(struct imap *im)
{
	if (imap_out_full(im))
		stream_flush(im->stream);
	else if (!im->step(im) && im->state != IMAP_ENDED && !im->working)
		imap_schedule(im);
}

void imap_run(struct imap *im, imap_step *step, void *data,
	      void (*fini)(struct imap *im))
{
	im->step = step;
	im->cmd_data = data;
	im->cmd_fini = fini;
	run_step(im);
}

void imap_resume(struct imap *im)
{
	im->waiting = false;
	imap_schedule(im);
}

void imap_park(struct imap *im)
{
	command_over(im);
	stream_flush(im->stream);
	arm_timer(im);
}

/* ---- input ------------------------------------------------------------------ */

static void run_command(struct imap *im, const struct imap_command *cmd)
{
	const struct imap_cmd *c = imap_command_find(cmd->name);

	im->tag = cmd->tag;
	im->uid = cmd->uid;
	im->cmd = c;
	if (!c || (cmd->uid && !(c->flags & CMD_UID)) ||
	    (!cmd->uid && (c->flags & CMD_ONLY_UID))) {
		im->cmd = NULL;
		imap_reply(im, "BAD", NULL,
			   "Error in IMAP command %s%s: Unknown command.",
			   cmd->uid ? "UID " : "", cmd->name);
		return;
	}
	if ((c->flags & CMD_SELECTED) && im->state != IMAP_SELECTED) {
		imap_reply(im, "BAD", NULL, "No mailbox selected.");
		return;
	}
	if ((c->flags & CMD_WRITES) && im->examined) {
		imap_reply(im, "NO", NULL, "Mailbox is read-only.");
		return;
	}
	c->run(im, cmd);
}

static void bad_input(struct imap *im, const struct imap_event *ev)
{
	imap_append_abort(im);
	im->cmd = NULL;
	im->tag = im->idling ? im->idle_tag : ev->tag;
	/* DONE was expected and something endless came. */
	im->idling = false;
	if (ev->fatal) {
		im->tag = NULL;
		imap_bye(im, NULL, ev->text, SESSION_ERROR);
		return;
	}
	imap_reply(im, "BAD", NULL, "%s", ev->text);
}

/* Handles one event; false if there is none now. */
static bool next_event(struct imap *im, struct slice *in)
{
	enum imap_event_type type;
	struct imap_event ev;
	size_t n = in->n;

	if (!im->arena)
		im->arena = arena_new(1024);
	type = imap_reader_next(im->reader, in, im->arena, &ev);
	im->s->in_bytes += n - in->n;
	switch (type) {
	case IMAP_MORE:
		if (imap_reader_idle(im->reader) && !im->append &&
		    !in_command(im)) {
			arena_free(im->arena);
			im->arena = NULL;
		}
		return false;
	case IMAP_COMMAND:
		run_command(im, ev.cmd);
		return true;
	case IMAP_CONTINUE:
		buf_str(imap_out(im), "+ OK\r\n");
		stream_flush(im->stream);
		return true;
	case IMAP_LITERAL:
		imap_append_literal(im, &ev);
		return true;
	case IMAP_DATA:
		imap_append_data(im, ev.data);
		return true;
	case IMAP_DATA_END:
		imap_append_data_end(im);
		return true;
	case IMAP_LINE:
		imap_idle_line(im, ev.data);
		return true;
	case IMAP_BAD:
		bad_input(im, &ev);
		return true;
	}
	return false;
}

/* Feeds the next octets; false if no event came of them. */
static bool use_some(struct imap *im)
{
	bool left = im->left.n > 0, more;
	struct slice all = left ? buf_all(&im->left) : stream_in(im->stream);
	struct slice in = all;

	if (all.n == 0 && imap_reader_idle(im->reader))
		return false;
	more = next_event(im, &in);
	if (im->state == IMAP_ENDED)
		return false;
	if (!left) {
		stream_consume(im->stream, all.n - in.n);
		return more;
	}
	buf_consume(&im->left, all.n - in.n);
	if (im->left.n == 0) {
		buf_fini(&im->left);
		buf_init(&im->left, SESSION_LEFTOVER_MAX);
		more = true;
	}
	return more;
}

/* No new command while one runs, or while the client does not read. */
static bool may_use(struct imap *im)
{
	return im->state != IMAP_ENDED && !in_command(im) && !im->waiting &&
	       !imap_out_full(im);
}

static void use_input(struct imap *im)
{
	unsigned commands = 0;

	while (may_use(im)) {
		if (!use_some(im))
			return;
		if (im->state != IMAP_ENDED && !im->append &&
		    ++commands >= IMAP_TURN_COMMANDS) {
			im->again = true;
			return;
		}
	}
}

/* The client sends no more and all it asked for is done. */
static bool all_done(struct imap *im)
{
	return im->eof && !in_command(im) && !im->waiting && !im->again &&
	       !imap_out_full(im);
}

static void work(struct imap *im)
{
	im->again = false;
	im->working = true;
	if (im->step && !im->waiting)
		run_step(im);
	if (im->state == IMAP_SELECTED && im->idling && !imap_out_full(im) &&
	    view_pending(&im->view))
		imap_tell(im, true);
	use_input(im);
	im->working = false;
	if (im->state == IMAP_ENDED)
		return;
	if (all_done(im)) {
		session_end_now(im, SESSION_DISCONNECTED, im->eof_text[0] ?
				im->eof_text : "Connection closed");
		return;
	}
	stream_flush(im->stream);
	if (im->again || (im->step && !im->waiting && !imap_out_full(im)))
		imap_schedule(im);
}

void imap_input(void *arg)
{
	struct imap *im = arg;

	im->scheduled = false;
	imap_enter(im);
	work(im);
	imap_leave(im);
}

void imap_schedule(struct imap *im)
{
	if (im->scheduled || im->state == IMAP_ENDED)
		return;
	im->scheduled = true;
	loop_defer(im->s->host->loop, imap_input, im);
}

static void on_readable(void *arg)
{
	struct imap *im = arg;

	if (!im->idling)
		arm_timer(im);
	imap_schedule(im);
}

static void on_writable(void *arg)
{
	struct imap *im = arg;

	/* A client that reads is alive. */
	if (!im->idling)
		arm_timer(im);
	if (im->step || im->idling || im->eof || im->left.n ||
	    stream_in(im->stream).n)
		imap_schedule(im);
}

/* What the client sent before is still done, LOGOUT as a rule; and told, while
 * it reads. */
static void on_closed(void *arg, const struct err *e)
{
	struct imap *im = arg;

	imap_enter(im);
	im->eof = true;
	im->unread = e->code < 0;
	if (e->code)
		snprintf(im->eof_text, sizeof(im->eof_text),
			 "Connection closed: %.100s", e->op);
	imap_schedule(im);
	imap_leave(im);
}

static const struct stream_ops stream_events = {
	.readable = on_readable, .writable = on_writable, .closed = on_closed,
};

static void on_timer(void *arg)
{
	struct imap *im = arg;

	imap_enter(im);
	if (im->idling) {
		/* TCP finds out about dead clients by this. */
		if (im->s->conf->imap_idle_notify_usec && !imap_out_full(im))
			imap_untagged(im, "OK Still here");
		stream_flush(im->stream);
		arm_timer(im);
	} else if (in_command(im) && !imap_out_full(im)) {
		arm_timer(im);		/* we are the slow ones */
	} else if (in_command(im)) {
		session_end_now(im, SESSION_DISCONNECTED,
				"Disconnected for inactivity in reading our "
				"output");
	} else {
		imap_bye(im, NULL, "Disconnected for inactivity.",
			 SESSION_IDLE);
	}
	imap_leave(im);
}

/* ---- the host's side ----------------------------------------------------- */

static void evict_now(struct imap *im)
{
	imap_bye(im, im->evict_code[0] ? im->evict_code : NULL, im->evict_text,
		 SESSION_KICKED);
}

static void on_evict(struct session *s, const char *code, const char *text,
		     bool holder_lost)
{
	struct imap *im = s->impl;

	s->evicting = true;
	imap_enter(im);
	if (code)
		snprintf(im->evict_code, sizeof(im->evict_code), "%s", code);
	snprintf(im->evict_text, sizeof(im->evict_text), "%s", text);
	/* With the holder gone a running change ends without a tagged reply:
	 * its outcome is not known here (D4). */
	if ((!in_command(im) && !im->append) || (holder_lost && im->waiting))
		evict_now(im);
	else
		im->evict = true;
	imap_leave(im);
}

static void on_kill(struct session *s)
{
	struct imap *im = s->impl;

	imap_enter(im);
	session_end_now(im, SESSION_KICKED, "Killed");
	imap_leave(im);
}

static bool on_idle(const struct session *s)
{
	const struct imap *im = s->impl;

	return !in_command(im) && !im->append;
}

static const struct session_ops imap_session_ops = {
	.evict = on_evict, .kill = on_kill, .idle = on_idle,
};

int imap_session_start(struct session *s, struct err *e)
{
	struct imap *im = NEW(struct imap);
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;
	struct buf *out;

	(void)e;
	im->s = s;
	s->impl = im;
	s->ops = &imap_session_ops;
	limits.line_max = s->conf->imap_max_line_length;
	limits.literal_max = IMAP_APPEND_MAX;
	if (s->conf->imap_literal_minus)
		limits.nonsync_max = IMAP_LITERAL_MINUS_MAX;
	im->reader = imap_reader_new(&limits);
	im->stream = stream_new(s->host->loop, s->fd, IMAP_IN_MAX, IMAP_OUT_MAX,
				&stream_events, im);
	im->timer = loop_timer_new(s->host->loop, IMAP_INACTIVE_USEC, on_timer,
				   im);
	im->watch.changed = imap_watch_changed;
	list_init(&im->watch.node);
	buf_init(&im->left, SESSION_LEFTOVER_MAX);
	buf_slice(&im->left, s->leftover);
	imap_enter(im);
	out = imap_out(im);
	buf_printf(out, "%s OK [CAPABILITY ", s->login_tag);
	imap_put_capability(im, out);
	buf_str(out, "] Logged in\r\n");
	stream_flush(im->stream);
	imap_schedule(im);
	imap_leave(im);
	return 0;
}
