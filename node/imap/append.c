#include "node/imap/imap.h"

#include "node/base/cleanup.h"
#include <stdlib.h>

/*
 * APPEND and MULTIAPPEND (RFC 3501 6.3.11, RFC 3502, RFC 4315).
 *
 * Literals go by as pieces.  Each message is brought to the stored form while
 * it comes in (CRLF line ends, no NUL), kept in memory up to the journal's
 * inline limit and beyond that in a staged file, so that a session's memory is
 * bounded whatever the client sends.
 */

#define APPEND_INLINE_MAX (64u * 1024)
/* Messages in memory of one MULTIAPPEND together; more go to files. */
#define APPEND_MEMORY_MAX (1024u * 1024)

struct imap_append {
	struct imap_write *w;
	struct id128 target;
	size_t cap;			/* of w->w.msgs */
	size_t memory;			/* octets held in memory */

	/* the message that is coming in */
	struct write_msg msg;
	struct buf data;		/* while it is small */
	struct body_stage *stage;	/* once it is not */
	struct digest_sha256 *hash;
	bool last_cr;

	size_t staging;			/* files whose fsync is under way */
	const struct imap_command *finish;	/* waits for them */
	struct err failed;		/* first failure, told at the end */
	bool nul;
};

/* A staged file comes back, maybe when the session is gone. */
struct staged {
	struct imap_write *w;
	size_t index;
	struct imap_append *append;	/* NULL: gone */
};

static void append_free(struct imap_append *ap)
{
	buf_fini(&ap->data);
	digest_sha256_free(ap->hash);
	if (ap->stage)
		store_stage_abort(ap->stage);
	imap_write_drop(ap->w);
	free(ap);
}

void imap_append_abort(struct imap *im)
{
	struct imap_append *ap = im->append;

	im->append = NULL;
	if (!ap)
		return;
	if (ap->staging) {
		/* The last file that comes back frees it. */
		ap->w->im = NULL;
		return;
	}
	append_free(ap);
}

/* ---- one message ---------------------------------------------------------- */

static void to_stage(struct imap *im, struct imap_append *ap)
{
	struct err e;

	if (store_stage_begin(im->s->host->store, im->s->account, ap->msg.body.size,
			      &ap->stage, &e) < 0 ||
	    store_stage_add(ap->stage, buf_all(&ap->data), &e) < 0)
		ap->failed = e;
	buf_fini(&ap->data);
	buf_init(&ap->data, APPEND_INLINE_MAX);
}

static void put_octets(struct imap *im, struct imap_append *ap, struct slice s)
{
	struct err e;

	if (ap->failed.code || s.n == 0)
		return;
	digest_sha256_add(ap->hash, s);
	ap->msg.body.size += s.n;
	if (!ap->stage && ap->data.n + s.n <= APPEND_INLINE_MAX &&
	    ap->memory + ap->data.n + s.n <= APPEND_MEMORY_MAX) {
		buf_slice(&ap->data, s);
		return;
	}
	if (!ap->stage)
		to_stage(im, ap);
	if (!ap->failed.code && store_stage_add(ap->stage, s, &e) < 0)
		ap->failed = e;
}

void imap_append_data(struct imap *im, struct slice data)
{
	struct imap_append *ap = im->append;
	size_t from = 0, at = 0;
	const uint8_t *lf;

	if (!ap)
		return;
	if (data.n && memchr(data.p, 0, data.n))
		ap->nul = true;
	/* Bare LF becomes CRLF; everything between goes on as it came. */
	while (at < data.n && (lf = memchr(data.p + at, '\n', data.n - at))) {
		size_t i = (size_t)(lf - data.p);

		at = i + 1;
		if (i > 0 ? data.p[i - 1] == '\r' : ap->last_cr)
			continue;
		put_octets(im, ap, slice_sub(data, from, i));
		put_octets(im, ap, SLICE_LIT("\r\n"));
		from = i + 1;
	}
	put_octets(im, ap, slice_sub(data, from, data.n));
	if (data.n)
		ap->last_cr = data.p[data.n - 1] == '\r';
}

static void append_write(struct imap *im);

static void stage_done(void *arg, int result, const uint8_t hash[32],
		       uint64_t size, const char *tmp_path)
{
	struct staged *st = arg;
	struct imap_append *ap = st->append;
	struct write_msg *m = &st->w->w.msgs[st->index];
	struct imap *im = st->w->im;

	(void)hash;
	(void)size;
	if (result < 0 && !ap->failed.code)
		err_set(&ap->failed, result, "APPEND: staging a body failed");
	if (result >= 0)
		m->body.tmp_path = arena_strdup(st->w->arena, tmp_path);
	ap->staging--;
	free(st);
	if (ap->staging)
		return;
	if (!im) {
		append_free(ap);
	} else if (ap->finish) {
		imap_enter(im);
		append_write(im);
		imap_leave(im);
	}
}

void imap_append_data_end(struct imap *im)
{
	struct imap_append *ap = im->append;
	struct write *w;
	struct staged *st;

	if (!ap)
		return;
	w = &ap->w->w;
	digest_sha256_end(TAKE(ap->hash), ap->msg.body.hash);
	if (w->n_msgs == ap->cap) {
		struct write_msg *grown;

		ap->cap = ap->cap ? ap->cap * 2 : 4;
		grown = arena_alloc(w->arena, ap->cap * sizeof(*grown));
		if (w->n_msgs)
			memcpy(grown, w->msgs, w->n_msgs * sizeof(*grown));
		w->msgs = grown;
	}
	if (!ap->stage) {
		ap->memory += ap->data.n;
		ap->msg.body.data = arena_dup(w->arena, buf_all(&ap->data));
	}
	w->msgs[w->n_msgs++] = ap->msg;
	buf_reset(&ap->data);
	if (ap->stage) {
		st = NEW(struct staged);
		st->w = ap->w;
		st->index = w->n_msgs - 1;
		st->append = ap;
		ap->staging++;
		store_stage_end(TAKE(ap->stage), stage_done, st);
	}
}

/* ---- the command ------------------------------------------------------------ */

static void refuse(struct imap *im, const struct imap_event *ev,
		   const char *status, const char *code, const char *text)
{
	imap_append_abort(im);
	imap_reader_refuse(im->reader);
	im->tag = ev->cmd->tag;
	im->cmd = imap_command_find("APPEND");
	imap_reply(im, status, code, "%s", text);
}

/* Why a mailbox that is not there cannot be appended to. */
static void refuse_target(struct imap *im, const struct imap_event *ev,
			  struct slice name)
{
	if (slice_is(name, "INBOX"))
		refuse(im, ev, "NO", "UNAVAILABLE",
		       "INBOX can't be made here at the moment.");
	else
		refuse(im, ev, "NO", "TRYCREATE", "Mailbox doesn't exist.");
}

static bool append_begin(struct imap *im, const struct imap_event *ev)
{
	struct imap_append *ap;
	struct slice name;
	struct mailbox *m;
	struct err e;

	if (imap_append_mailbox(ev->cmd, im->arena, &name, &e) < 0) {
		refuse(im, ev, "BAD", NULL, e.client);
		return false;
	}
	name = imap_name_in(im, name);
	m = account_mailbox(im->s->account, name);
	if (!m) {
		refuse_target(im, ev, name);
		return false;
	}
	ap = im->append = NEW(struct imap_append);
	ap->w = imap_write_new(im, WRITE_APPEND);
	ap->w->w.mbox = ap->target = mailbox_id(m);
	buf_init(&ap->data, APPEND_INLINE_MAX);
	return true;
}

static bool keywords_too_long(const struct imap *im, const struct imap_flags *f)
{
	for (size_t i = 0; i < f->n_keywords; i++)
		if (f->keywords[i].n > im->s->conf->mail_max_keyword_length)
			return true;
	return false;
}

void imap_append_literal(struct imap *im, const struct imap_event *ev)
{
	struct imap_append_msg am;
	struct imap_append *ap;
	uint64_t max = im->s->conf->quota_max_mail_size;
	struct err e;

	if (!im->append && !append_begin(im, ev))
		return;
	ap = im->append;
	if (imap_append_last(ev->cmd, im->arena, &am, &e) < 0) {
		refuse(im, ev, "BAD", NULL, e.client);
		return;
	}
	if (ev->literal.size == 0) {
		refuse(im, ev, "NO", NULL, "Can't save a zero byte message.");
		return;
	}
	if ((max && ev->literal.size > max) ||
	    ev->literal.size > IMAP_APPEND_MAX) {
		refuse(im, ev, "NO", "LIMIT", "The message is too large.");
		return;
	}
	if (ap->w->w.n_msgs >= IMAP_APPEND_MESSAGES_MAX) {
		refuse(im, ev, "NO", "LIMIT", "Too many messages.");
		return;
	}
	if (keywords_too_long(im, &am.flags)) {
		refuse(im, ev, "NO", "LIMIT", "A keyword is too long.");
		return;
	}
	memset(&ap->msg, 0, sizeof(ap->msg));
	ap->msg.flags = am.flags.system;
	ap->msg.n_keywords = am.flags.n_keywords;
	ap->msg.keywords = imap_keywords_copy(&am.flags, ap->w->arena);
	ap->msg.internaldate = am.has_date ? am.date.seconds :
		(int64_t)(clock_real(im->s->host->sys->clock) / USEC_PER_SEC);
	ap->msg.internaldate_zone = am.has_date ? (int16_t)am.date.zone : 0;
	ap->last_cr = false;
	ap->hash = digest_sha256_new();
	imap_reader_accept(im->reader);
	if (ev->literal.sync) {
		buf_str(imap_out(im), "+ OK\r\n");
		stream_flush(im->stream);
	}
}

static void appended(struct imap *im, struct write *w, int result,
		     const struct err *e)
{
	struct buf *out = imap_out(im);
	struct imap_set_writer set = {.to = out};

	if (result < 0) {
		imap_reply_no(im, e, result == E_NOTFOUND ? "TRYCREATE" : NULL);
		return;
	}
	im->n.appended += w->n_msgs;
	if (im->state == IMAP_SELECTED)
		imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	buf_printf(out, "%s OK [APPENDUID %u ", im->tag, w->uidvalidity);
	for (size_t i = 0; i < w->n_msgs; i++)
		imap_set_writer_add(&set, w->msgs[i].uid);
	imap_set_writer_end(&set);
	buf_str(out, "] Append completed.\r\n");
	imap_reply_sent(im);
}

static void append_write(struct imap *im)
{
	struct imap_append *ap = im->append;
	struct imap_write *w = ap->w;
	struct err e = ap->failed;
	bool nul = ap->nul;

	im->append = NULL;
	im->waiting = false;
	if (e.code || nul)
		imap_write_drop(w);
	ap->w = NULL;
	append_free(ap);
	if (nul)
		imap_reply(im, "NO", "CANNOT", "The message contains NUL.");
	else if (e.code)
		imap_reply_no(im, &e, NULL);
	else
		imap_write_start(im, w, appended);
}

void cmd_append(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	err_set(&e, E_INVALID, "APPEND without a message");
	err_client(&e, "Missing message in APPEND.");
	if (!im->append || imap_append_end(cmd, &e) < 0) {
		imap_append_abort(im);
		imap_reply_bad(im, &e);
		return;
	}
	im->append->finish = cmd;
	if (im->append->staging)
		im->waiting = true;
	else
		append_write(im);
}
