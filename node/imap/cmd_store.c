#include "node/imap/imap.h"

/* STORE (RFC 3501 6.4.6, RFC 7162 3.1.3). */

struct storing {
	struct imap_store st;
	uint64_t watch_calls;
};

/* What MODIFIED names: UIDs, or sequence numbers of the view. */
static void put_modified(struct imap *im, const struct write *w, struct buf *to)
{
	struct imap_msgs msgs = {w->modified, w->n_modified};
	struct imap_set_writer set = {.to = to};
	struct imap_walk walk;

	if (im->uid) {
		imap_put_set(to, w->modified, w->n_modified);
		return;
	}
	imap_walk_start(&walk, im, msgs);
	while (imap_walk_next(&walk))
		imap_set_writer_add(&set, walk.seq);
	imap_set_writer_end(&set);
}

bool imap_keywords_check(struct imap *im, const struct imap_flags *f)
{
	unsigned max = im->s->conf->mail_max_keyword_length;

	for (size_t i = 0; i < f->n_keywords; i++)
		if (f->keywords[i].n > max) {
			imap_reply(im, "NO", "LIMIT", "A keyword is longer "
				   "than %u characters.", max);
			return false;
		}
	return true;
}

struct slice *imap_keywords_copy(const struct imap_flags *f, struct arena *a)
{
	struct slice *out = arena_alloc(a, (f->n_keywords + 1) * sizeof(*out));

	for (size_t i = 0; i < f->n_keywords; i++)
		out[i] = arena_dup(a, f->keywords[i]);
	return out;
}

static void stored(struct imap *im, struct write *w, int result,
		   const struct err *e)
{
	struct storing *s = im->cmd_data;
	struct buf *out = imap_out(im);

	if (result < 0) {
		imap_reply_no(im, e, NULL);
		return;
	}
	if ((s->st.flags.system & MSG_DELETED) &&
	    s->st.mode != IMAP_STORE_REMOVE)
		for (size_t i = 0; i < w->n_uids; i++)
			im->n.deleted += w->uids[i].last - w->uids[i].first + 1;
	/* .SILENT holds back only what this command did itself: if another
	 * record came in between, everything is told. */
	if (s->st.silent && im->watch_calls - s->watch_calls <= 1)
		im->silent_modseq = w->modseq;
	im->silent_with_modseq = s->st.has_unchangedsince;
	imap_tell(im, im->uid);
	im->silent_with_modseq = false;
	im->silent_modseq = 0;
	if (im->state == IMAP_ENDED)
		return;
	if (w->n_modified == 0) {
		imap_reply(im, "OK", NULL, "Store completed.");
		return;
	}
	buf_printf(out, "%s OK [MODIFIED ", im->tag);
	put_modified(im, w, out);
	buf_str(out, "] Conditional store failed for some messages.\r\n");
	imap_reply_sent(im);
}

void cmd_store(struct imap *im, const struct imap_command *cmd)
{
	struct storing *s = ARENA_NEW(im->arena, struct storing);
	static const uint8_t modes[] = {
		[IMAP_STORE_REPLACE] = FLAGS_REPLACE,
		[IMAP_STORE_ADD] = FLAGS_ADD,
		[IMAP_STORE_REMOVE] = FLAGS_REMOVE,
	};
	struct imap_write *w;
	struct imap_msgs msgs;
	size_t gone;
	struct err e;

	if (imap_store_parse(cmd, im->arena, &s->st, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (s->st.has_unchangedsince)
		imap_condstore_on(im);
	if (!imap_set_msgs(im, &s->st.set, im->uid, im->arena, &msgs) ||
	    !imap_keywords_check(im, &s->st.flags))
		return;
	w = imap_write_new(im, WRITE_FLAGS);
	w->w.mbox = mailbox_id(im->view.mbox);
	w->w.uids = imap_uid_ranges(im, msgs, 0, 0, w->arena, &w->w.n_uids,
				    &gone);
	w->w.flags_mode = modes[s->st.mode];
	w->w.flags = s->st.flags.system;
	w->w.keywords = imap_keywords_copy(&s->st.flags, w->arena);
	w->w.n_keywords = s->st.flags.n_keywords;
	w->w.has_unchangedsince = s->st.has_unchangedsince;
	w->w.unchangedsince = account_answer_modseq(im->s->account,
						    s->st.unchangedsince);
	if (w->w.n_uids == 0) {
		imap_write_drop(w);
		imap_reply(im, gone ? "NO" : "OK",
			   gone ? "EXPUNGEISSUED" : NULL, "%s", gone ?
			   "The messages no longer exist." :
			   "Store completed.");
		return;
	}
	/* What others did until now is told with its flags, before our own
	 * change covers it. */
	imap_tell(im, im->uid);
	if (im->state == IMAP_ENDED) {
		imap_write_drop(w);
		return;
	}
	im->cmd_data = s;
	s->watch_calls = im->watch_calls;
	imap_write_start(im, w, stored);
}
