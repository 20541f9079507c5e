/* LMTP: transactions.  Recipients are looked up at RCPT; at DATA the message
 * streams once to the store process of the first of them. */

#include "node/front/lmtp.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"
#include "auth/auth.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

void lmtp_seen(struct lmtp *l, bool read)
{
	if (l->seen)
		front_req_say(l->seen, read ? IPC_DELIVER_SEEN
					    : IPC_DELIVER_CANCEL,
			      NULL, SLICE_NONE, -1);
	front_req_free(TAKE(l->seen));
}

void lmtp_reset(struct lmtp *l)
{
	if (l->req && (l->state == LMTP_IN_DATA || l->state == LMTP_REPLIES))
		front_req_say(l->req, IPC_DELIVER_CANCEL, NULL, SLICE_NONE,
			      -1);
	front_req_free(TAKE(l->req));
	for (size_t i = 0; i < l->n_rcpts; i++)
		free(l->rcpts[i].reply);
	free(TAKE(l->rcpts));
	l->n_rcpts = l->cap_rcpts = l->replied = 0;
	l->in_mail = l->discard = false;
	l->sender = NULL;
	l->data_failure = NULL;
	if (l->arena)
		arena_reset(l->arena);
}

void lmtp_mail(struct lmtp *l, const struct lmtp_command *c)
{
	struct buf b;

	if (!l->name) {
		lmtp_say(l, "503 5.5.1 LHLO first");
		return;
	}
	if (l->in_mail) {
		lmtp_say(l, "503 5.5.1 Sender already given");
		return;
	}
	buf_init(&b, 2048);
	if (!c->path.null_sender)
		address_put(&b, &c->path);
	l->sender = arena_strndup(l->arena, b.n ? (const void *)b.p : "", b.n);
	buf_fini(&b);
	l->size = c->has_size ? c->size : 0;
	l->in_mail = l->had_mail = true;
	front_session_id(l->front, l->sid);
	lmtp_say(l, "250 2.1.0 OK");
}

/* ---- RCPT ------------------------------------------------------------------- */

static void hint_format(struct lmtp *l)
{
	const char *format = conf_str(l->conf->conf, NULL,
				      "auth_username_format");

	if (strchr(l->pending_address, '@') && !strchr(format, 'n'))
		log_event(l->front->role->log, LOG_INF, "rcpt_unknown", NULL,
			  "No user %s; if accounts are named without their "
			  "domain, set auth_username_format = %%Ln",
			  l->pending_address);
}

static struct lmtp_rcpt *rcpt_add(struct lmtp *l, const struct ipc_head *h)
{
	struct ipc_field *f = arena_alloc(l->arena,
					  (h->n_fields + 1) * sizeof(*f));
	struct lmtp_rcpt *r;

	for (size_t i = 0; i < h->n_fields; i++)
		f[i] = (struct ipc_field){
			arena_strdup(l->arena, h->fields[i].name),
			arena_strdup(l->arena, h->fields[i].value)};
	GROW(l->rcpts, l->n_rcpts, l->cap_rcpts);
	r = &l->rcpts[l->n_rcpts++];
	*r = (struct lmtp_rcpt){
		.address = l->pending_address, .detail = l->pending_detail,
		.user = arena_strdup(l->arena, h->user),
		.home = arena_strdup(l->arena, h->home),
		.fields = f, .n_fields = h->n_fields,
	};
	return r;
}

static void on_userdb(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	struct lmtp *l = arg;
	const char *to = l->pending_address;

	front_req_free(TAKE(l->req));
	if (!m) {
		lmtp_say(l, "451 4.3.0 <%s> Temporary user lookup failure", to);
	} else {
		switch ((enum auth_verdict)h->code) {
		case AUTH_OK:
			rcpt_add(l, h);
			lmtp_say(l, "250 2.1.5 OK");
			break;
		case AUTH_UNKNOWN:
			hint_format(l);
			lmtp_say(l, "550 5.1.1 <%s> User doesn't exist: %s",
				 to, to);
			break;
		default:
			lmtp_say(l, "451 4.3.0 <%s> Temporary user lookup "
				 "failure", to);
			break;
		}
	}
	lmtp_next(l);
}

/* user+detail@domain → user@domain, detail; the first delimiter counts. */
static char *without_detail(struct lmtp *l, const struct address_path *p,
			    const char **detail)
{
	const char *delim = conf_str(l->conf->conf, NULL,
				     "recipient_delimiter");
	size_t n = 0;

	while (n < p->local.n && !(p->local.p[n] &&
				   strchr(delim, p->local.p[n])))
		n++;
	*detail = n < p->local.n && n > 0
			  ? arena_strndup(l->arena, p->local.p + n + 1,
					  p->local.n - n - 1)
			  : "";
	if (n == 0)
		n = p->local.n;
	return p->domain.n ? arena_printf(l->arena, "%.*s@%.*s", (int)n,
					  (const char *)p->local.p,
					  (int)p->domain.n,
					  (const char *)p->domain.p)
			   : arena_strndup(l->arena, p->local.p, n);
}

void lmtp_rcpt(struct lmtp *l, const struct lmtp_command *c)
{
	struct ipc_head h = {.service = "lmtp", .session = l->sid,
			     .rip = l->addr.rip, .lip = l->addr.lip,
			     .rport = l->addr.rport, .lport = l->addr.lport,
			     .flags = AUTH_SECURED};
	struct buf b;

	if (!l->in_mail) {
		lmtp_say(l, "503 5.5.1 MAIL needed first");
		return;
	}
	if (l->n_rcpts >= LMTP_RCPTS_MAX) {
		lmtp_say(l, "452 4.5.3 Too many recipients");
		return;
	}
	if (memchr(c->path.local.p, 0, c->path.local.n)) {
		lmtp_say(l, "553 5.1.3 Invalid address");
		return;
	}
	buf_init(&b, 2048);
	address_put(&b, &c->path);
	l->pending_address = arena_strndup(l->arena, b.p, b.n);
	buf_fini(&b);
	h.login = without_detail(l, &c->path, &l->pending_detail);
	l->state = LMTP_LOOKUP;
	l->req = front_ask(l->front, &l->front->auth, IPC_AUTH_USERDB_GET, &h,
			   on_userdb, l);
}

/* ---- DATA ---------------------------------------------------------------------- */

/* Replies in order of RCPT, as they become known. */
static void send_replies(struct lmtp *l)
{
	while (l->replied < l->n_rcpts && l->rcpts[l->replied].reply)
		lmtp_say(l, "%s", l->rcpts[l->replied++].reply);
	if (l->replied == l->n_rcpts) {
		l->seen = TAKE(l->req);
		lmtp_reset(l);
		lmtp_next(l);
	}
}

static void fail_rest(struct lmtp *l, const char *code, const char *text)
{
	for (size_t i = 0; i < l->n_rcpts; i++)
		if (!l->rcpts[i].reply)
			l->rcpts[i].reply = xprintf("%s <%s> %s", code,
						    l->rcpts[i].address, text);
}

/* The store cannot take it any more: the client's data is still to be read. */
static void give_up(struct lmtp *l, const char *code, const char *text)
{
	fail_rest(l, code, text);
	if (l->state == LMTP_REPLIES) {
		send_replies(l);
		return;
	}
	l->discard = true;
	stream_more(l->stream);
}

static void on_deliver(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	struct lmtp *l = arg;

	if (!l->req) {
		front_req_free(TAKE(l->seen));
		return;
	}
	if (!m) {
		front_req_free(TAKE(l->req));
		give_up(l, "451 4.3.0", "Temporary internal error");
		return;
	}
	switch (m->type) {
	case IPC_DELIVER_CREDIT:
		l->credit += h->value;
		stream_more(l->stream);
		break;
	case IPC_DELIVER_REPLY:
		if (h->index >= l->n_rcpts || l->rcpts[h->index].reply)
			break;
		l->rcpts[h->index].reply = xstrdup(h->text);
		if (l->state == LMTP_REPLIES)
			send_replies(l);
		break;
	}
}

static const char *received_line(struct lmtp *l)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S %z", &tm);
	if (l->unix_socket)
		return arena_printf(l->arena, "Received: from %s\r\n"
				    "\tby %s with LMTP\r\n\tid %s\r\n",
				    l->name, l->conf->hostname, l->sid);
	return arena_printf(l->arena,
			    "Received: from %s ([%s])\r\n"
			    "\t%sby %s with LMTP%s\r\n\tid %s\r\n",
			    l->name, l->addr.rip,
			    l->tls ? arena_printf(l->arena, "(using %s)\r\n\t",
						  stream_tls_text(l->stream))
				   : "",
			    l->conf->hostname, l->tls ? "S" : "", l->sid);
}

void lmtp_begin_data(struct lmtp *l)
{
	struct ipc_head h = {
		.sender = l->sender, .session = l->sid, .rip = l->addr.rip,
		.lip = l->addr.lip, .name = l->name, .value = l->size,
		.mech = l->tls ? "LMTPS" : "LMTP",
	};
	struct ipc_rcpt *r;
	struct front_peer *store;
	struct id128 id;

	if (!l->in_mail || l->n_rcpts == 0) {
		lmtp_say(l, l->in_mail ? "503 5.5.1 No valid recipients"
				       : "503 5.5.1 MAIL needed first");
		return;
	}
	r = arena_zalloc(l->arena, l->n_rcpts * sizeof(*r));
	for (size_t i = 0; i < l->n_rcpts; i++)
		r[i] = (struct ipc_rcpt){
			.index = (uint32_t)i, .address = l->rcpts[i].address,
			.user = l->rcpts[i].user, .home = l->rcpts[i].home,
			.detail = l->rcpts[i].detail,
			.fields = l->rcpts[i].fields,
			.n_fields = l->rcpts[i].n_fields,
		};
	h.rcpts = r;
	h.n_rcpts = l->n_rcpts;
	h.data = slice_str(received_line(l));
	store = front_store(l->front, l->rcpts[0].user, &id);
	if (!store) {
		lmtp_say(l, "451 4.3.2 This node has not met its partner yet");
		return;
	}
	l->credit = 0;		/* the store gives the first, too */
	l->data = LMTP_DATA_START;
	l->req = front_ask(l->front, store, IPC_DELIVER, &h, on_deliver, l);
	l->state = LMTP_IN_DATA;
	lmtp_say(l, "354 OK");
}

static void end_of_data(struct lmtp *l)
{
	struct ipc_head h = {.value = l->data.size,
			     .flags = l->data.eight_bit};

	l->state = LMTP_REPLIES;
	if (!l->discard && l->data.nul) {
		front_req_say(l->req, IPC_DELIVER_CANCEL, NULL, SLICE_NONE,
			      -1);
		fail_rest(l, "550 5.6.0", "Message contains NUL characters");
		l->discard = true;
	}
	if (!l->discard && front_req_say(l->req, IPC_DELIVER_END, &h,
					 SLICE_NONE, -1) < 0)
		fail_rest(l, "451 4.3.0", "Temporary internal error");
	send_replies(l);
}

bool lmtp_take_data(struct lmtp *l)
{
	struct slice in = stream_in(l->stream);
	size_t used = 0, limit = LMTP_CHUNK;
	struct buf b;
	int r;

	/* The store gives credit as it writes; without, the MTA waits. */
	if (!l->discard && l->credit < 2 * LMTP_CHUNK + 2)
		return false;
	buf_init(&b, 2 * LMTP_CHUNK + 2);
	r = lmtp_data_put(&l->data, slice_sub(in, 0, limit), &used, &b);
	stream_consume(l->stream, used);
	l->progress += used;
	if (l->progress >= LMTP_PROGRESS || r == 1) {
		l->progress = 0;
		loop_timer_set(l->timer, LMTP_TIMEOUT_USEC);
	}
	if (!l->discard && b.n) {
		l->credit -= b.n;
		if (front_req_say(l->req, IPC_DELIVER_DATA, NULL, buf_all(&b),
				  -1) < 0) {
			fail_rest(l, "451 4.3.0", "Temporary internal error");
			l->discard = true;
		}
	}
	buf_fini(&b);
	if (r == 1) {
		end_of_data(l);
		return false;
	}
	return true;
}
