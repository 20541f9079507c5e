#include "node/imap/imap.h"

#include "node/base/cleanup.h"
#include <stdlib.h>

/*
 * FETCH answers (RFC 3501 6.4.5 and 7.4.2, RFC 7162, RFC 8474), as a step:
 * some messages at a time, and of a large body some octets at a time, as the
 * client reads.
 *
 * A message whose body is missing or damaged is asked of the partner first
 * (read-repair); only if that fails the command ends with NO.
 */

/* Pieces in which a body goes to the output. */
#define FETCH_PIECE (64u * 1024)
/* A header that is filtered must be made whole. */
#define FETCH_HEADER_MAX (8u * 1024 * 1024)

struct fetching {
	const struct imap_fetch *f;
	const uint32_t *recs;
	size_t n, at;
	void (*end)(struct imap *im, bool expunged);
	struct arena *arena;		/* of the message being answered */

	/* the message being answered */
	bool open;			/* "* n FETCH (" is out */
	bool any;			/* an item is out */
	struct imap_fetch_section *section;	/* the next one */
	struct body body;
	bool has_body;
	struct mime_message *mime;
	bool repaired;
	struct slice rest;		/* of the piece being sent */
	struct buf filtered;		/* HEADER.FIELDS */

	bool expunged;			/* some were gone */
	struct err failed;
};

static void close_body(struct imap *im, struct fetching *g)
{
	if (g->has_body)
		mailbox_body_close(im->view.mbox, &g->body);
	g->has_body = false;
	g->mime = NULL;
}

static void fetch_fini(struct imap *im)
{
	struct fetching *g = im->cmd_data;

	close_body(im, g);
	buf_fini(&g->filtered);
	arena_free(g->arena);
	g->arena = NULL;
}

/* ---- reading the message ---------------------------------------------------- */

/* The parsed form: from the cache; valid in this turn only, so decoded into
 * the message's arena. */
static int need_mime(struct imap *im, struct fetching *g, uint32_t rec,
		     struct err *e)
{
	struct slice bytes;
	int r;

	if (g->mime)
		return 0;
	r = mailbox_cached(im->view.mbox, rec, &bytes, e);
	if (r < 0)
		return r;
	r = mime_decode(arena_dup(g->arena, bytes), g->arena, &g->mime);
	return r < 0 ? err_set(e, r, "cached structure cannot be read") : 0;
}

static int need_body(struct imap *im, struct fetching *g, uint32_t rec,
		     struct err *e)
{
	int r;

	if (g->has_body)
		return 0;
	r = mailbox_body_open(im->view.mbox, rec, &g->body, e);
	if (r < 0)
		return r;
	g->has_body = true;
	im->n.body_count++;
	return 0;
}

static bool wants_mime(const struct imap_fetch *f)
{
	return f->items & (IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY |
			   IMAP_FETCH_BODYSTRUCTURE);
}

/* Everything this message's answer needs, before its first octet is sent. */
static int need_all(struct imap *im, struct fetching *g, uint32_t rec,
		    struct err *e)
{
	int r = 0;

	if (g->f->sections)
		r = need_body(im, g, rec, e);
	if (r >= 0 && (wants_mime(g->f) || g->f->sections))
		r = need_mime(im, g, rec, e);
	return r;
}

static void repair_done(void *arg, int result)
{
	struct imap *im = arg;
	struct fetching *g = im->cmd_data;

	g->repaired = true;
	if (result < 0 && !g->failed.code) {
		err_set(&g->failed, E_TEMP, "message file could not be repaired");
		err_client(&g->failed, "The message can't be read here now.");
	}
	imap_resume(im);
}

/* ---- items --------------------------------------------------------------------- */

static void item(struct imap *im, struct fetching *g, const char *name)
{
	struct buf *out = imap_out(im);

	if (g->any)
		buf_char(out, ' ');
	g->any = true;
	buf_str(out, name);
}

static void put_objectid(struct imap *im, struct fetching *g, const char *name,
			 struct id128 id)
{
	char hex[33];

	hex_of(id.b, sizeof(id.b), hex);
	item(im, g, name);
	buf_printf(imap_out(im), " (%s)", hex);
}

static void put_items(struct imap *im, struct fetching *g, uint32_t rec)
{
	const struct mrec *r = mailbox_rec(im->view.mbox, rec);
	uint32_t items = g->f->items;
	struct buf *out = imap_out(im);

	if (items & IMAP_FETCH_UID) {
		item(im, g, "UID ");
		buf_u64(out, r->uid);
	}
	if (items & IMAP_FETCH_FLAGS) {
		item(im, g, "FLAGS ");
		imap_put_rec_flags(out, im->view.mbox, rec);
	}
	if (items & IMAP_FETCH_INTERNALDATE) {
		item(im, g, "INTERNALDATE ");
		imap_put_internaldate(out, r->internaldate,
				      r->internaldate_zone);
	}
	if (items & IMAP_FETCH_RFC822_SIZE) {
		item(im, g, "RFC822.SIZE ");
		buf_u64(out, r->size);
	}
	if (items & IMAP_FETCH_MODSEQ) {
		item(im, g, "MODSEQ (");
		buf_u64(out, r->modseq);
		buf_char(out, ')');
	}
	if (items & IMAP_FETCH_EMAILID)
		put_objectid(im, g, "EMAILID", r->emailid);
	if (items & IMAP_FETCH_THREADID)
		put_objectid(im, g, "THREADID", r->threadid);
	if (items & IMAP_FETCH_ENVELOPE) {
		item(im, g, "ENVELOPE ");
		imap_put_envelope(out, &g->mime->envelope);
	}
	if (items & IMAP_FETCH_BODY) {
		item(im, g, "BODY ");
		imap_put_body(out, g->mime->root);
	}
	if (items & IMAP_FETCH_BODYSTRUCTURE) {
		item(im, g, "BODYSTRUCTURE ");
		imap_put_bodystructure(out, g->mime->root);
	}
}

/* ---- sections --------------------------------------------------------------------- */

/* The octets of a section, before <partial> is cut out of them. */
static int section_octets(struct imap *im, struct fetching *g,
			  const struct imap_fetch_section *s, struct slice *out)
{
	struct mime_range range;
	struct slice whole;
	int r = mime_section_find(g->mime, &s->section, &range);

	if (r < 0)
		return r;
	whole = slice_sub(g->body.data, range.at, range.at + range.size);
	switch (s->section.kind) {
	case MIME_SECTION_HEADER_FIELDS:
	case MIME_SECTION_HEADER_FIELDS_NOT:
		buf_fini(&g->filtered);
		buf_init(&g->filtered, FETCH_HEADER_MAX);
		mime_header_filter(whole, &s->section, &g->filtered);
		*out = buf_all(&g->filtered);
		im->n.hdr_count++;
		im->n.hdr_bytes += out->n;
		break;
	default:
		*out = whole;
		im->n.body_bytes += out->n;
	}
	return 0;
}

/* Name and literal size; the octets follow from g->rest. */
static void begin_section(struct imap *im, struct fetching *g)
{
	struct imap_fetch_section *s = g->section;
	struct buf *out = imap_out(im);
	struct slice octets = SLICE_NONE;
	bool nil;

	g->section = s->next;
	nil = section_octets(im, g, s, &octets) < 0;
	if (s->partial && !nil)
		octets = slice_sub(octets, s->offset,
				   (size_t)s->offset + s->length);
	item(im, g, "");
	buf_slice(out, s->label);
	if (nil) {
		buf_str(out, " NIL");
		return;
	}
	buf_printf(out, " {%zu}\r\n", octets.n);
	g->rest = octets;
}

/* ---- the step ------------------------------------------------------------------------ */

enum answer { ANSWER_DONE, ANSWER_MORE, ANSWER_WAIT };

static enum answer begin_message(struct imap *im, struct fetching *g,
				 uint32_t rec)
{
	struct view *v = &im->view;
	const struct mrec *r = mailbox_rec(v->mbox, rec);
	struct err e;
	int res;

	arena_reset(g->arena);
	res = need_all(im, g, rec, &e);
	if (res < 0) {
		close_body(im, g);
		if (view_gone(v, rec)) {
			g->expunged = true;
			return ANSWER_DONE;
		}
		if (g->repaired) {
			g->failed = e;
			return ANSWER_DONE;
		}
		(void)r;
		im->waiting = true;
		session_repair(im->s, v->mbox, rec, repair_done, im);
		return ANSWER_WAIT;
	}
	g->repaired = false;
	buf_str(imap_out(im), "* ");
	buf_u64(imap_out(im), view_seq(v, rec));
	buf_str(imap_out(im), " FETCH (");
	g->open = true;
	g->any = false;
	g->section = g->f->sections;
	put_items(im, g, rec);
	return ANSWER_MORE;
}

static enum answer answer(struct imap *im, struct fetching *g, uint32_t rec)
{
	enum answer a;

	if (!g->open) {
		a = begin_message(im, g, rec);
		if (!g->open)
			return a;
	}
	for (;;) {
		while (g->rest.n) {
			size_t n = g->rest.n < FETCH_PIECE ? g->rest.n
							   : FETCH_PIECE;

			buf_slice(imap_out(im), slice_sub(g->rest, 0, n));
			g->rest = slice_sub(g->rest, n, g->rest.n);
			if (g->rest.n && imap_out_full(im))
				return ANSWER_MORE;
		}
		if (!g->section)
			break;
		begin_section(im, g);
	}
	buf_str(imap_out(im), ")\r\n");
	g->open = false;
	close_body(im, g);
	return ANSWER_DONE;
}

static bool fetch_step(struct imap *im)
{
	struct fetching *g = im->cmd_data;
	unsigned budget = IMAP_STEP_MESSAGES;

	/* A compaction of the index moved the records: nothing was lost, but
	 * our numbers are of the old generation. */
	while (g->at < g->n && !g->failed.code) {
		if (imap_out_full(im) || budget-- == 0)
			return false;
		switch (answer(im, g, g->recs[g->at])) {
		case ANSWER_DONE:
			g->at++;
			break;
		case ANSWER_MORE:
			return false;
		case ANSWER_WAIT:
			return true;
		}
	}
	if (g->failed.code) {
		imap_reply_no(im, &g->failed, "UNAVAILABLE");
		return true;
	}
	g->end(im, g->expunged);
	return true;
}

struct since {
	const uint32_t *recs;
	size_t n;
	uint32_t *out;
	size_t n_out;
	uint64_t modseq;
	struct mailbox *m;
};

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void add_changed(void *arg, uint32_t rec)
{
	struct since *s = arg;

	if (s->n && bsearch(&rec, s->recs, s->n, sizeof(rec), by_number))
		s->out[s->n_out++] = rec;
}

/* CHANGEDSINCE: of the records those with a greater modseq, each once. */
static const uint32_t *changed_since(struct imap *im, uint64_t modseq,
				     const uint32_t *recs, size_t *n)
{
	struct since s = {.recs = recs, .n = *n, .modseq = modseq,
			  .m = im->view.mbox};
	size_t k = 0;

	s.out = arena_alloc(im->arena, (mailbox_records(s.m) + 1u) *
			    sizeof(*s.out));
	mailbox_changed_since(s.m, modseq, add_changed, &s);
	qsort(s.out, s.n_out, sizeof(*s.out), by_number);
	for (size_t i = 0; i < s.n_out; i++)
		if (k == 0 || s.out[k - 1] != s.out[i])
			s.out[k++] = s.out[i];
	*n = k;
	return s.out;
}

void imap_fetch_start(struct imap *im, const struct imap_fetch *f,
		      const uint32_t *recs, size_t n,
		      void (*end)(struct imap *im, bool expunged))
{
	struct fetching *g = ARENA_NEW(im->arena, struct fetching);

	if (f->has_changedsince)
		recs = changed_since(im, f->changedsince, recs, &n);
	g->f = f;
	g->recs = recs;
	g->n = n;
	g->end = end;
	g->arena = arena_new(4096);
	buf_init(&g->filtered, FETCH_HEADER_MAX);
	imap_run(im, fetch_step, g, fetch_fini);
}

/* ---- VANISHED (EARLIER) (RFC 7162 3.2.10) -------------------------------------------- */

struct earlier {
	struct imap *im;
	const struct imap_set *known;	/* resolved, or NULL */
	struct imap_set_writer set;
	bool any;
};

static void put_vanished(struct earlier *v, uint32_t uid)
{
	if (v->known && !imap_set_has(v->known, uid))
		return;
	if (!v->any)
		buf_str(v->set.to, "* VANISHED (EARLIER) ");
	v->any = true;
	imap_set_writer_add(&v->set, uid);
}

static void vanished_range(void *arg, struct uid_range r)
{
	struct earlier *v = arg;

	for (uint32_t uid = r.first; uid <= r.last && uid; uid++)
		put_vanished(v, uid);
}

static int by_first(const void *a, const void *b)
{
	return by_number(&((const struct uid_range *)a)->first,
			 &((const struct uid_range *)b)->first);
}

struct ranges {
	struct uid_range *r;
	size_t n, cap;
};

static void keep_range(void *arg, struct uid_range r)
{
	struct ranges *k = arg;

	GROW(k->r, k->n, k->cap);
	k->r[k->n++] = r;
}

/* Every UID below UIDNEXT that does not exist: the memory does not reach back
 * far enough, so all that is missing is reported (M4). */
static void vanished_all(struct earlier *v)
{
	struct view *view = &v->im->view;
	uint32_t rec = view_lower(view, 1), next = 1;
	uint64_t end = mailbox_uidnext(view->mbox);

	if (v->known) {
		/* Only what the client asks about. */
		for (size_t i = 0; i < v->known->n; i++) {
			struct uid_range r = v->known->ranges[i];

			if (r.first >= end)
				break;
			if (r.last >= end)
				r.last = (uint32_t)(end - 1);
			for (uint32_t uid = r.first; uid <= r.last; uid++) {
				uint32_t at;

				if (view_uid(view, uid, &at) < 0)
					put_vanished(v, uid);
			}
		}
		return;
	}
	for (;; rec = view_next(view, rec)) {
		uint64_t uid = rec < view->seen ?
			mailbox_rec(view->mbox, rec)->uid : end;

		for (; next < uid; next++)
			put_vanished(v, next);
		if (rec >= view->seen)
			return;
		next = (uint32_t)uid + 1;
	}
}

void imap_vanished_earlier(struct imap *im, uint64_t since,
			   const struct imap_set *known)
{
	struct earlier v = {.im = im, .set = {.to = imap_out(im)}};
	struct imap_set set;
	struct ranges k = {0};

	if (known) {
		set.n = known->n;
		set.ranges = arena_alloc(im->arena, (known->n + 1) *
					 sizeof(*set.ranges));
		memcpy(set.ranges, known->ranges,
		       known->n * sizeof(*set.ranges));
		imap_set_resolve(&set, UINT32_MAX);
		v.known = &set;
	}
	if (mailbox_vanished_since(im->view.mbox, since, keep_range, &k) < 0) {
		vanished_all(&v);
	} else {
		if (k.n)
			qsort(k.r, k.n, sizeof(*k.r), by_first);
		for (size_t i = 0; i < k.n; i++)
			vanished_range(&v, k.r[i]);
	}
	free(k.r);
	if (v.any) {
		imap_set_writer_end(&v.set);
		buf_str(v.set.to, "\r\n");
	}
}
