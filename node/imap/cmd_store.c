#include "node/imap/imap.h"

/* STORE (RFC 3501 6.4.6, RFC 7162 3.1.3). */

struct storing {
	struct imap_store st;
	uint64_t watch_calls;
};

/* What MODIFIED names: UIDs, or sequence numbers of the view. */
static void put_modified(struct imap *im, const struct write *w, struct buf *to)
{
	struct imap_set_writer set = {.to = to};

	if (im->uid) {
		imap_put_set(to, w->modified, w->n_modified);
		return;
	}
	for (size_t i = 0; i < w->n_modified; i++) {
		struct uid_range r = w->modified[i];
		uint32_t rec = view_lower(&im->view, r.first);

		for (; rec < im->view.seen; rec = view_next(&im->view, rec)) {
			if (mailbox_rec(im->view.mbox, rec)->uid > r.last)
				break;
			imap_set_writer_add(&set, view_seq(&im->view, rec));
		}
	}
	imap_set_writer_end(&set);
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
	uint32_t *recs;
	size_t n;
	struct err e;

	if (imap_store_parse(cmd, im->arena, &s->st, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (s->st.has_unchangedsince)
		imap_condstore_on(im);
	if (!imap_set_records(im, &s->st.set, im->uid, im->arena, &recs, &n))
		return;
	for (size_t i = 0; i < s->st.flags.n_keywords; i++) {
		if (s->st.flags.keywords[i].n >
		    im->s->conf->mail_max_keyword_length) {
			imap_reply(im, "NO", "LIMIT", "A keyword is longer "
				   "than %u characters.",
				   im->s->conf->mail_max_keyword_length);
			return;
		}
	}
	w = imap_write_new(im, WRITE_FLAGS);
	w->w.mbox = mailbox_id(im->view.mbox);
	w->w.uids = imap_uid_ranges(im, recs, n, w->arena, &w->w.n_uids);
	w->w.flags_mode = modes[s->st.mode];
	w->w.flags = s->st.flags.system;
	w->w.n_keywords = s->st.flags.n_keywords;
	w->w.keywords = arena_alloc(w->arena, (w->w.n_keywords + 1) *
				    sizeof(*w->w.keywords));
	for (size_t i = 0; i < w->w.n_keywords; i++)
		w->w.keywords[i] = arena_dup(w->arena,
					     s->st.flags.keywords[i]);
	w->w.has_unchangedsince = s->st.has_unchangedsince;
	w->w.unchangedsince = account_answer_modseq(im->s->account,
						    s->st.unchangedsince);
	if (w->w.n_uids == 0) {
		imap_write_drop(w);
		imap_reply(im, n ? "NO" : "OK", n ? "EXPUNGEISSUED" : NULL,
			   "%s", n ? "The messages no longer exist." :
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
	if (s->st.flags.system & MSG_DELETED)
		im->n.deleted += n;
	imap_write_start(im, w, stored);
}
