#include "node/imap/imap.h"

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
	struct imap_walk walk;
	bool needs_body, needs_mime, needs_kept;
	void (*end)(struct imap *im, bool expunged);
	struct arena *arena;		/* of the message being answered */

	/* the message being answered */
	bool open;			/* "* n FETCH (" is out */
	bool any;			/* an item is out */
	struct imap_fetch_section *section;	/* the next one */
	struct body body;
	bool has_body;
	struct mime_message *mime;
	struct slice kept;		/* header fields from the cache */
	bool repaired;			/* asked for already */
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
	g->kept = SLICE_NONE;
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
	if (r < 0)
		return err_set(e, r, "cached structure cannot be read");
	g->kept = g->mime->kept;
	return 0;
}

/* The kept header fields, without the structure.  None, if there are too many
 * of them: then the message itself is needed. */
static int need_kept(struct imap *im, struct fetching *g, uint32_t rec,
		     struct err *e)
{
	struct slice bytes, kept;
	int r;

	if (g->kept.p)
		return 0;
	r = mailbox_cached(im->view.mbox, rec, &bytes, e);
	if (r < 0)
		return r;
	r = mime_decode_kept(bytes, &kept);
	if (r == 0)
		g->kept = arena_dup(g->arena, kept);
	return r == E_CORRUPT ?
		err_set(e, r, "cached header fields cannot be read") : 0;
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
	return 0;
}

/* All of a message is found without its structure. */
static bool is_whole(const struct mime_section *s)
{
	return s->kind == MIME_SECTION_ALL && s->n_path == 0;
}

static void find_needs(struct fetching *g)
{
	const struct imap_fetch_section *s;

	g->needs_mime = (g->f->items &
			 (IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY |
			  IMAP_FETCH_BODYSTRUCTURE)) != 0;
	for (s = g->f->sections; s; s = s->next) {
		if (s->kept) {
			g->needs_kept = true;
			continue;
		}
		g->needs_body = true;
		if (!is_whole(&s->section))
			g->needs_mime = true;
	}
}

static bool needs_file(const struct fetching *g)
{
	return g->needs_body || g->needs_mime || g->needs_kept;
}

/* Everything this message's answer needs, before its first octet is sent. */
static int need_all(struct imap *im, struct fetching *g, uint32_t rec,
		    struct err *e)
{
	bool body = g->needs_body, mime = g->needs_mime;
	int r = 0;

	if (mime)
		r = need_mime(im, g, rec, e);
	if (r >= 0 && g->needs_kept)
		r = need_kept(im, g, rec, e);
	if (r >= 0 && g->needs_kept && !g->kept.p)
		body = mime = true;
	if (r >= 0 && mime)
		r = need_mime(im, g, rec, e);
	if (r >= 0 && body)
		r = need_body(im, g, rec, e);
	return r;
}

static void repair_done(void *arg, int result)
{
	struct imap *im = arg;

	(void)result;		/* reading it again tells */
	imap_enter(im);
	imap_resume(im);
	imap_leave(im);
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

static void put_items(struct imap *im, struct fetching *g)
{
	const struct mrec *r = g->walk.r;
	uint32_t items = g->f->items;
	struct buf *out = imap_out(im);

	if (im->answered_modseq && r->modseq > im->view.told_modseq)
		items |= IMAP_FETCH_FLAGS |
			 (im->condstore ? IMAP_FETCH_MODSEQ : 0) |
			 (im->qresync ? IMAP_FETCH_UID : 0);
	if (items & IMAP_FETCH_UID) {
		item(im, g, "UID ");
		buf_u64(out, r->uid);
	}
	if (items & IMAP_FETCH_FLAGS) {
		item(im, g, "FLAGS ");
		imap_put_rec_flags(im, g->walk.rec, r);
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
	struct slice whole = g->body.data;

	if (s->kept && g->kept.p) {
		whole = g->kept;
	} else if (!is_whole(&s->section)) {
		int r = mime_section_find(g->mime, &s->section, &range);

		if (r < 0)
			return r;
		whole = slice_sub(whole, range.at, range.at + range.size);
	}
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
		if (s->section.kind == MIME_SECTION_HEADER) {
			im->n.hdr_count++;
			im->n.hdr_bytes += out->n;
		} else {
			im->n.body_count++;
			im->n.body_bytes += out->n;
		}
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

/* Cannot be read: gone, or to be asked of the partner, or given up. */
static enum answer unreadable(struct imap *im, struct fetching *g,
			      const struct err *e)
{
	struct view *v = &im->view;

	close_body(im, g);
	if ((g->walk.r->flags & MREC_EXPUNGED) || mailbox_gone(v->mbox)) {
		g->expunged = true;
		return ANSWER_DONE;
	}
	if (!g->repaired) {
		g->repaired = true;
		imap_walk_again(&g->walk);
		im->waiting = true;
		session_repair(im->s, v->mbox, g->walk.rec, repair_done, im);
		return ANSWER_WAIT;
	}
	/* The others are still answered. */
	g->repaired = false;
	if (!g->failed.code) {
		g->failed = *e;
		g->failed.code = E_TEMP;
		err_client(&g->failed, "Some messages can't be read here now.");
	}
	return ANSWER_DONE;
}

static enum answer begin_message(struct imap *im, struct fetching *g)
{
	struct err e = ERR_NONE;

	if (needs_file(g)) {
		arena_reset(g->arena);
		if (need_all(im, g, g->walk.rec, &e) < 0)
			return unreadable(im, g, &e);
	}
	g->repaired = false;
	buf_str(imap_out(im), "* ");
	buf_u64(imap_out(im), g->walk.seq);
	buf_str(imap_out(im), " FETCH (");
	g->open = true;
	g->any = false;
	g->section = g->f->sections;
	put_items(im, g);
	return ANSWER_MORE;
}

static enum answer answer(struct imap *im, struct fetching *g)
{
	enum answer a;

	if (!g->open) {
		a = begin_message(im, g);
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
	unsigned budget = needs_file(g) ? IMAP_STEP_MESSAGES :
					  IMAP_STEP_MESSAGES * 16;

	imap_walk_turn(&g->walk);
	if (!g->open)
		imap_tell_keywords(im, false);
	while (g->open || imap_walk_next(&g->walk)) {
		switch (answer(im, g)) {
		case ANSWER_DONE:
			break;
		case ANSWER_MORE:
			return false;
		case ANSWER_WAIT:
			return true;
		}
		if (imap_out_full(im) || --budget == 0)
			return false;
	}
	if (g->failed.code) {
		im->answered_modseq = 0;
		imap_reply_no(im, &g->failed, "UNAVAILABLE");
		return true;
	}
	g->end(im, g->expunged);
	return true;
}

void imap_fetch_start(struct imap *im, const struct imap_fetch *f,
		      struct imap_msgs msgs,
		      void (*end)(struct imap *im, bool expunged))
{
	struct fetching *g = ARENA_NEW(im->arena, struct fetching);

	g->f = f;
	g->end = end;
	find_needs(g);
	imap_walk_start(&g->walk, im, msgs);
	g->arena = arena_new(4096);
	buf_init(&g->filtered, FETCH_HEADER_MAX);
	imap_run(im, fetch_step, g, fetch_fini);
}
