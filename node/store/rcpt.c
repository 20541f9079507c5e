/*
 * One recipient of a message: asks whether its account may be written here,
 * makes the body with its own trace headers, writes it, replies.  Held, with
 * the MTA waiting, as long as engine_ask() takes.
 */

#include "node/store/delivery.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/config/conf_vars.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define RCPT_CHUNK (256u * 1024)

struct rcpt {
	struct delivery *d;
	const struct ipc_rcpt *r;
	struct arena *arena;
	struct place place;
	struct id128 id;
	struct account *account;
	struct write write;
	struct write_msg msg;
	uint8_t base_id[32];
	const char *mailbox;
	bool forward;			/* the partner holds it */
	bool fell_back;			/* to INBOX: the detail box is missing */
};

static struct conf *conf_of(const struct rcpt *q)
{
	return store_conf_of(q->d->sn->conf);
}

static struct conf_ctx ctx_of(void)
{
	return (struct conf_ctx){.protocol = "lmtp"};
}

/* ---- the log line ----------------------------------------------------------- */

static void log_line(struct rcpt *q, const char *what, bool failed)
{
	struct store_node *n = q->d->sn;
	const struct trace *t = &q->d->trace;
	struct conf_ctx ctx = ctx_of();
	char size[24], pid[16];
	struct conf_var extra[] = {
		{'$', NULL, what}, {'m', "msgid", t->message_id},
		{'s', "subject", t->subject}, {'f', "from", t->from},
		{'e', "from_envelope", q->d->head.sender},
		{'p', "size", size}, {'w', "vsize", size},
	};
	struct conf_var prefix_extra[] = {{'p', "pid", pid}};
	struct conf_vars v = {
		.user = q->r->user, .home = q->place.home, .service = "lmtp",
		.rip = q->d->head.rip, .lip = q->d->head.lip,
		.session = q->d->head.session, .uid = (unsigned)-1,
		.extra = prefix_extra, .n_extra = 1,
	};
	struct buf b;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)q->d->size);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	buf_init(&b, 8192);
	if (conf_expand(conf_str(conf_of(q), &ctx, "mail_log_prefix"), &v, 0,
			&b, NULL) < 0)
		buf_printf(&b, "lmtp(%s): ", q->r->user);
	buf_str(&b, failed ? "Error: " : "Info: ");
	v.extra = extra;
	v.n_extra = ARRAY_LEN(extra);
	if (conf_expand(conf_str(conf_of(q), &ctx, "deliver_log_format"), &v,
			0, &b, NULL) < 0)
		buf_str(&b, what);
	buf_char(&b, 0);
	log_raw(n->role->log, failed ? LOG_ERR : LOG_INF, "delivery",
		q->r->user, (const char *)b.p);
	buf_fini(&b);
}

/* ---- the end ------------------------------------------------------------------ */

static void finish(struct rcpt *q, const char *text)
{
	struct delivery *d = q->d;
	struct store_node *n = d->sn;
	struct account *a = q->account;
	uint32_t index = q->r->index;
	bool forward = q->forward;
	char copy[600];

	snprintf(copy, sizeof(copy), "%s", text);
	arena_free(q->arena);
	if (a && forward)
		store_account_unref(a);
	else if (a)
		engine_leave(n->engine, a);
	delivery_reply(d, index, copy);
}

static const char *code_of(const struct err *e)
{
	switch (e->code) {
	case E_LIMIT:
		return "552 5.2.3";
	case E_INVALID:
		return "550 5.1.3";
	case E_NOSPACE:
	case -ENOSPC:
	case -EDQUOT:
		return "452 4.3.1";
	case E_FOREIGN:
	case E_EXISTS:
	case E_CONFIG:
		return "451 4.3.5";
	default:
		return "451 4.3.0";
	}
}

static void fail(struct rcpt *q, const struct err *e)
{
	char text[600], what[600];

	snprintf(what, sizeof(what), "save failed: %.500s", e->op);
	log_line(q, what, true);
	snprintf(text, sizeof(text), "%s <%.200s> %s", code_of(e),
		 q->r->address,
		 e->client[0] ? e->client : err_client_text(e->code));
	finish(q, text);
}

/* ---- the write ------------------------------------------------------------------ */

static void start_write(struct rcpt *q);

static void saved(struct rcpt *q)
{
	struct delivery *d = q->d;
	struct write *w = &q->write;
	char text[600], what[400];

	memcpy(d->seen_ids[d->n_seen_ids++], q->base_id, 32);
	if (w->duplicate) {
		char hex[65];

		hex_of(w->delivery_id, 32, hex);
		snprintf(what, sizeof(what), "stored already (delivery %.16s, "
			 "session %.40s): repeated after a lost reply", hex,
			 d->head.session);
	} else {
		snprintf(what, sizeof(what), "saved mail to %.300s",
			 q->mailbox);
	}
	log_line(q, what, false);
	snprintf(text, sizeof(text), "250 2.0.0 <%.200s> %s Saved%s",
		 q->r->address, d->head.session,
		 w->single_copy ? " (single copy)" : "");
	finish(q, text);
}

static void on_written(void *arg, struct write *w, int result, bool unknown,
		       const struct err *err)
{
	struct rcpt *q = arg;

	(void)w;
	if (result == E_NOTFOUND && !unknown && !q->fell_back &&
	    strcmp(q->mailbox, "INBOX") != 0) {
		/* No such detail mailbox, and none may be made. */
		q->fell_back = true;
		q->mailbox = "INBOX";
		start_write(q);
		return;
	}
	if (result < 0)
		fail(q, err);
	else
		saved(q);
}

static void start_write(struct rcpt *q)
{
	struct store_node *n = q->d->sn;
	struct conf_ctx ctx = ctx_of();

	q->write = (struct write){
		.kind = WRITE_DELIVER, .arena = q->arena,
		.name = slice_str(q->mailbox),
		.autocreate = conf_bool(conf_of(q), &ctx,
					"lda_mailbox_autocreate") ||
			      strcmp(q->mailbox, "INBOX") == 0,
		.autosubscribe = conf_bool(conf_of(q), &ctx,
					   "lda_mailbox_autosubscribe"),
		.autos = n->conf->autos, .n_autos = n->conf->n_autos,
		.msgs = &q->msg, .n_msgs = 1,
		.has_delivery_id = true,
	};
	trace_delivery_id(q->id.b, q->d->head.sender, q->r->address,
			  q->d->message,
			  q->d->trace.queue_id ? 0
					       : delivery_again(n, q->base_id),
			  q->write.delivery_id);
	if (q->forward)
		engine_forward(n->engine, q->id, q->r->user, &q->write,
			       on_written, q);
	else
		engine_write(n->engine, q->account, &q->write, on_written, q);
}

/* ---- the body ---------------------------------------------------------------------- */

static void on_staged(void *arg, int result, const uint8_t hash[32],
		      uint64_t size, const char *tmp_path)
{
	struct rcpt *q = arg;
	struct err e = ERR_NONE;

	if (result < 0) {
		err_set(&e, result, "body cannot be written: %s",
			err_name(result));
		fail(q, &e);
		return;
	}
	memcpy(q->msg.body.hash, hash, 32);
	q->msg.body.size = size;
	q->msg.body.tmp_path = arena_strdup(q->arena, tmp_path);
	start_write(q);
}

/* A body for the partner is staged in its account's tree here: the record
 * that names it comes back that way. */
static int open_replica(struct rcpt *q, struct err *e)
{
	struct store_node *n = q->d->sn;

	if (store_account_open(n->store, q->id, q->r->user, q->place.root,
			       true, &q->account, e) < 0)
		return e->code;
	store_account_ref(q->account);
	return 0;
}

static void stage(struct rcpt *q, struct slice head)
{
	struct store_node *n = q->d->sn;
	struct body_stage *b = NULL;
	struct slice m = q->d->message;
	struct err e = ERR_NONE;
	int r = 0;

	if (q->forward && !q->account)
		r = open_replica(q, &e);
	if (r == 0)
		r = store_stage_begin(n->store, q->account, head.n + m.n, &b,
				      &e);
	if (r == 0)
		r = store_stage_add(b, head, &e);
	for (size_t at = 0; r == 0 && at < m.n; at += RCPT_CHUNK)
		r = store_stage_add(b, slice_sub(m, at, at + RCPT_CHUNK), &e);
	if (r < 0) {
		if (b)
			store_stage_abort(b);
		fail(q, &e);
		return;
	}
	store_stage_end(b, on_staged, q);
}

/* "Received: … id X\r\n" of the front, with recipient and date. */
static const char *received(struct rcpt *q)
{
	const struct slice line = q->d->head.data;
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	size_t n = line.n;

	if (!conf_bool(conf_of(q), NULL, "lmtp_add_received_header"))
		return "";
	while (n && (line.p[n - 1] == '\n' || line.p[n - 1] == '\r'))
		n--;
	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S %z", &tm);
	return arena_printf(q->arena, "%.*s\r\n\tfor <%s>; %s\r\n", (int)n,
			    (const char *)line.p, q->r->address, date);
}

static void make_body(struct rcpt *q)
{
	struct store_node *n = q->d->sn;
	struct conf_ctx ctx = ctx_of();
	struct trace_rcpt tr = {
		.sender = q->d->head.sender, .final = q->r->user,
		.original = q->r->address,
		.delivered_to = conf_str(conf_of(q), &ctx,
					 "lmtp_hdr_delivery_address"),
	};
	uint64_t inline_max = conf_size(conf_of(q), NULL,
					"pair_journal_inline");
	int64_t now = (int64_t)(clock_real(n->role->sys.clock) / USEC_PER_SEC);
	time_t t = (time_t)now;
	struct tm tm;
	struct buf b;

	tr.final = q->r->address;
	tr.received = received(q);
	localtime_r(&t, &tm);
	q->msg.internaldate = now;
	q->msg.internaldate_zone = (int16_t)(tm.tm_gmtoff / 60);
	trace_less(q->d->message, &q->d->trace, q->msg.traceless);
	buf_init(&b, 16384 + DELIVERY_MEMORY);
	trace_put(&b, &tr);
	if (b.n + q->d->size > inline_max ||
	    b.n + q->d->size > DELIVERY_MEMORY) {
		stage(q, buf_all(&b));
		buf_fini(&b);
		return;
	}
	buf_slice(&b, q->d->message);
	q->msg.body.data = arena_dup(q->arena, buf_all(&b));
	q->msg.body.size = b.n;
	sha256(q->msg.body.data, q->msg.body.hash);
	buf_fini(&b);
	start_write(q);
}

/* ---- asking ------------------------------------------------------------------------- */

static void choose_mailbox(struct rcpt *q)
{
	struct conf_ctx ctx = ctx_of();

	q->mailbox = "INBOX";
	if (*q->r->detail && conf_bool(conf_of(q), &ctx,
				       "lmtp_save_to_detail_mailbox"))
		q->mailbox = arena_strdup(q->arena, q->r->detail);
}

static void on_answer(void *arg, enum engine_verdict v, struct account *a,
		      const struct err *err)
{
	struct rcpt *q = arg;

	switch (v) {
	case ENGINE_SERVE:
		q->account = a;
		make_body(q);
		break;
	case ENGINE_PROXY:
		q->forward = true;
		make_body(q);
		break;
	case ENGINE_REFUSE:
		fail(q, err);
		break;
	}
}

void rcpt_deliver(struct delivery *d, const struct ipc_rcpt *r)
{
	struct store_node *n = d->sn;
	struct arena *a = arena_new(4096);
	struct rcpt *q = ARENA_NEW(a, struct rcpt);
	struct err e = ERR_NONE;

	q->arena = a;
	q->d = d;
	q->r = r;
	q->id = account_id_of(slice_of(n->role->identity.pair_id.b, 16),
			      slice_str(r->user));
	trace_delivery_id(q->id.b, d->head.sender, r->address, d->message, 0,
			  q->base_id);
	choose_mailbox(q);
	if (locate(n, r->user, r->home, r->fields, r->n_fields, a, &q->place,
		   &e) < 0) {
		fail(q, &e);
		return;
	}
	engine_ask_delivery(n->engine, q->id, r->user, q->place.root, true,
			    false, on_answer, q);
}
