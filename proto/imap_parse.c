#include "proto/imap_parse.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proto/imap_tree.h"

/*
 * A command is a row of segments, each ending in CRLF; all but the last end
 * in a literal announcement.  Segments are collected here and parsed by
 * imap_tree when whole, so at most one segment is ever held twice.
 */
enum reader_state {
	S_LINE,		/* collecting a segment */
	S_INLINE,	/* filling a kept literal */
	S_OFFERED,	/* IMAP_LITERAL was returned, no answer yet */
	S_STREAM,	/* passing a literal through */
	S_SKIP_LINE,	/* after an error: to the end of the line, which may
			 * announce a literal again */
	S_SKIP_LITERAL,
	S_RAW,		/* one raw line is wanted */
	S_SKIP_RAW,
};

/* Enough for "{18446744073709551615+}\r\n". */
#define TAIL_MAX 32

struct imap_reader {
	struct imap_limits lim;
	enum reader_state state;
	struct buf line;	/* segment or raw line, not complete */
	bool line_stale;	/* its content was handed out and is done with */
	size_t line_total;	/* of the finished segments of this command */
	size_t literal_total;
	uint64_t left;		/* of the literal in S_INLINE … S_SKIP_LITERAL */
	bool sync;		/* S_OFFERED */
	uint8_t *fill;		/* S_INLINE */
	struct imap_tree tree;
	uint8_t tail[TAIL_MAX];	/* S_SKIP_LINE: the last octets */
	size_t n_tail;
};

struct imap_reader *imap_reader_new(const struct imap_limits *limits)
{
	struct imap_reader *r = NEW(struct imap_reader);

	r->lim = *limits;
	/* One more than allowed, so that the check is ours. */
	buf_init(&r->line, limits->line_max + 1);
	return r;
}

void imap_reader_free(struct imap_reader *r)
{
	if (!r)
		return;
	buf_fini(&r->line);
	free(r);
}

static void command_over(struct imap_reader *r)
{
	memset(&r->tree, 0, sizeof(r->tree));
	r->line_total = 0;
	r->literal_total = 0;
	r->state = S_LINE;
	r->line_stale = true;
}

void imap_reader_accept(struct imap_reader *r)
{
	assert(r->state == S_OFFERED);
	r->state = S_STREAM;
}

void imap_reader_refuse(struct imap_reader *r)
{
	bool sync = r->sync;

	assert(r->state == S_OFFERED);
	command_over(r);
	if (!sync) {
		r->state = S_SKIP_LITERAL;
		r->n_tail = 0;
	}
}

void imap_reader_want_line(struct imap_reader *r)
{
	assert(imap_reader_idle(r));
	r->state = S_RAW;
}

bool imap_reader_idle(const struct imap_reader *r)
{
	return r->state == S_LINE && !r->tree.cmd &&
	       (r->line.n == 0 || r->line_stale);
}

/* Does the text end in {N}, {N+}?  False if not; *huge: N does not fit. */
static bool announces_literal(struct slice text, uint64_t *size, bool *sync,
			      bool *huge)
{
	size_t end = text.n, at;

	if (end < 3 || text.p[end - 1] != '}')
		return false;
	end--;
	*sync = text.p[end - 1] != '+';
	if (!*sync)
		end--;
	at = end;
	while (at > 0 && text.p[at - 1] >= '0' && text.p[at - 1] <= '9')
		at--;
	/* The tail of a skipped line may be cut within a number that is
	 * longer than any valid one. */
	*huge = at == 0 && end - at > 20;
	if (*huge)
		return true;
	if (at == end || at == 0 || text.p[at - 1] != '{')
		return false;
	*huge = slice_u64(slice_sub(text, at, end), size) < 0;
	return true;
}

static struct slice cut_line_end(struct slice s)
{
	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	return s;
}

static void advance(struct slice *in, size_t n)
{
	if (n)
		*in = slice_sub(*in, n, in->n);
}

static void tail_add(struct imap_reader *r, struct slice s)
{
	size_t keep;

	if (s.n >= TAIL_MAX) {
		memcpy(r->tail, s.p + s.n - TAIL_MAX, TAIL_MAX);
		r->n_tail = TAIL_MAX;
		return;
	}
	keep = r->n_tail;
	if (keep + s.n > TAIL_MAX)
		keep = TAIL_MAX - s.n;
	memmove(r->tail, r->tail + r->n_tail - keep, keep);
	if (s.n)
		memcpy(r->tail + keep, s.p, s.n);
	r->n_tail = keep + s.n;
}

/*
 * After an error in a complete line: what follows is the next command, unless
 * the line announced a literal that comes unasked.  False if nobody can know.
 */
static bool resync(struct imap_reader *r, struct slice text)
{
	uint64_t size = 0;
	bool sync, huge;

	command_over(r);
	if (!announces_literal(text, &size, &sync, &huge) || sync)
		return true;
	if (huge)
		return false;
	r->left = size;
	r->n_tail = 0;
	r->state = S_SKIP_LITERAL;
	return true;
}

static enum imap_event_type bad(struct imap_event *ev, const char *tag,
				const char *text)
{
	ev->tag = tag;
	ev->text = text;
	return IMAP_BAD;
}

/* The segment is longer than allowed and goes on. */
static enum imap_event_type line_too_long(struct imap_reader *r,
					  struct arena *a,
					  struct imap_event *ev)
{
	const char *tag = r->tree.cmd ? r->tree.cmd->tag
				      : imap_tree_tag(buf_all(&r->line), a);

	r->n_tail = 0;
	tail_add(r, buf_all(&r->line));
	command_over(r);
	r->state = S_SKIP_LINE;
	return bad(ev, tag, "Command line is too long");
}

/* The tree stands at an announced literal. */
static enum imap_event_type begin_literal(struct imap_reader *r,
					  struct slice text, struct arena *a,
					  struct imap_event *ev)
{
	struct imap_tree *t = &r->tree;
	uint64_t size = t->literal_size;
	bool stream = t->append && t->depth == 0 && t->n_top > 1;
	const char *tag = t->cmd->tag;

	if (!t->literal_sync && r->lim.nonsync_max &&
	    size > r->lim.nonsync_max) {
		ev->fatal = !resync(r, text);
		return bad(ev, tag, "[TOOBIG] Literal is too large to come "
			   "unasked");
	}
	if (stream && size <= r->lim.literal_max) {
		t->literal->type = IMAP_ARG_STREAM;
		t->literal->size = size;
		r->left = size;
		r->sync = t->literal_sync;
		r->state = S_OFFERED;
		ev->cmd = t->cmd;
		ev->literal.size = size;
		ev->literal.sync = r->sync;
		return IMAP_LITERAL;
	}
	if (stream || size > r->lim.literal_inline ||
	    size > r->lim.literal_total - r->literal_total) {
		ev->fatal = !resync(r, text);
		return bad(ev, tag, "Literal is too large");
	}
	r->literal_total += size;
	r->fill = arena_alloc(a, size + 1);
	t->literal->text = slice_of(r->fill, size);
	r->left = size;
	r->state = S_INLINE;
	return t->literal_sync ? IMAP_CONTINUE : IMAP_MORE;
}

/* A whole segment is here.  IMAP_MORE: no event, go on. */
static enum imap_event_type segment_done(struct imap_reader *r,
					 struct slice raw, struct arena *a,
					 struct imap_event *ev)
{
	struct slice text = arena_dup(a, cut_line_end(raw));
	const char *tag;
	int rc;

	r->line_total += raw.n;
	r->line_stale = true;
	rc = imap_tree_segment(&r->tree, text, r->lim.depth_max, a);
	if (rc < 0) {
		tag = r->tree.cmd ? r->tree.cmd->tag : imap_tree_tag(text, a);
		ev->text = r->tree.error;
		ev->fatal = !resync(r, text);
		return bad(ev, tag, ev->text);
	}
	if (rc == IMAP_TREE_LITERAL)
		return begin_literal(r, text, a, ev);
	ev->cmd = r->tree.cmd;
	command_over(r);
	return IMAP_COMMAND;
}

/* Takes input up to a line end.  True if *line is whole. */
static bool take_line(struct imap_reader *r, struct slice *in,
		      struct slice *line)
{
	const uint8_t *lf = in->n ? memchr(in->p, '\n', in->n) : NULL;
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;

	if (lf && r->line.n == 0) {
		*line = slice_sub(*in, 0, n);
	} else {
		buf_slice(&r->line, slice_sub(*in, 0, n));
		*line = buf_all(&r->line);
	}
	advance(in, n);
	return lf != NULL;
}

static enum imap_event_type step_line(struct imap_reader *r, struct slice *in,
				      struct arena *a, struct imap_event *ev)
{
	size_t room = r->lim.line_max - r->line_total;
	struct slice part = *in, line;
	bool whole;

	/* Never take more than the limit and one octet. */
	if (part.n > room - r->line.n + 1)
		part.n = room - r->line.n + 1;
	line = part;
	whole = take_line(r, &part, &line);
	advance(in, (size_t)(part.p - in->p));
	if (line.n > room) {
		if (!whole)
			return line_too_long(r, a, ev);
		ev->tag = r->tree.cmd ? r->tree.cmd->tag
				      : imap_tree_tag(line, a);
		ev->fatal = !resync(r, cut_line_end(line));
		return bad(ev, ev->tag, "Command line is too long");
	}
	return whole ? segment_done(r, line, a, ev) : IMAP_MORE;
}

static enum imap_event_type step_inline(struct imap_reader *r,
					struct slice *in)
{
	size_t n = in->n < r->left ? in->n : (size_t)r->left;

	if (n)
		memcpy(r->fill, in->p, n);
	r->fill += n;
	r->left -= n;
	advance(in, n);
	if (r->left == 0)
		r->state = S_LINE;
	return IMAP_MORE;
}

static enum imap_event_type step_stream(struct imap_reader *r,
					struct slice *in,
					struct imap_event *ev)
{
	size_t n = in->n < r->left ? in->n : (size_t)r->left;

	if (r->left == 0) {
		r->state = S_LINE;
		return IMAP_DATA_END;
	}
	if (n == 0)
		return IMAP_MORE;
	ev->data = slice_sub(*in, 0, n);
	r->left -= n;
	advance(in, n);
	return IMAP_DATA;
}

static enum imap_event_type step_skip_line(struct imap_reader *r,
					   struct slice *in,
					   struct imap_event *ev)
{
	const uint8_t *lf = in->n ? memchr(in->p, '\n', in->n) : NULL;
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;

	tail_add(r, slice_sub(*in, 0, n));
	advance(in, n);
	if (!lf)
		return IMAP_MORE;
	if (resync(r, cut_line_end(slice_of(r->tail, r->n_tail))))
		return IMAP_MORE;
	ev->fatal = true;
	return bad(ev, NULL, "Literal is too large");
}

static enum imap_event_type step_skip_literal(struct imap_reader *r,
					      struct slice *in)
{
	size_t n = in->n < r->left ? in->n : (size_t)r->left;

	r->left -= n;
	advance(in, n);
	if (r->left == 0) {
		r->n_tail = 0;
		r->state = S_SKIP_LINE;
	}
	return IMAP_MORE;
}

static enum imap_event_type step_raw(struct imap_reader *r, struct slice *in,
				     struct imap_event *ev)
{
	struct slice part = *in, line;
	size_t room = r->lim.line_max - r->line.n + 1;
	bool whole;

	if (part.n > room)
		part.n = room;
	line = part;
	whole = take_line(r, &part, &line);
	advance(in, (size_t)(part.p - in->p));
	if (line.n > r->lim.line_max) {
		r->line_stale = true;
		r->state = whole ? S_LINE : S_SKIP_RAW;
		return bad(ev, NULL, "Line is too long");
	}
	if (!whole)
		return IMAP_MORE;
	r->line_stale = true;
	r->state = S_LINE;
	ev->data = cut_line_end(line);
	return IMAP_LINE;
}

static enum imap_event_type step_skip_raw(struct imap_reader *r,
					  struct slice *in)
{
	const uint8_t *lf = in->n ? memchr(in->p, '\n', in->n) : NULL;
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;

	advance(in, n);
	if (lf)
		r->state = S_LINE;
	return IMAP_MORE;
}

static enum imap_event_type step(struct imap_reader *r, struct slice *in,
				 struct arena *a, struct imap_event *ev)
{
	switch (r->state) {
	case S_LINE:
		return step_line(r, in, a, ev);
	case S_INLINE:
		return step_inline(r, in);
	case S_STREAM:
		return step_stream(r, in, ev);
	case S_SKIP_LINE:
		return step_skip_line(r, in, ev);
	case S_SKIP_LITERAL:
		return step_skip_literal(r, in);
	case S_RAW:
		return step_raw(r, in, ev);
	case S_SKIP_RAW:
		return step_skip_raw(r, in);
	case S_OFFERED:
		break;
	}
	assert(!"imap_reader_accept() or _refuse() was not called");
	return IMAP_MORE;
}

/* States that can move on, or report something, without input. */
static bool moves_alone(const struct imap_reader *r)
{
	return r->left == 0 && (r->state == S_STREAM ||
				r->state == S_INLINE ||
				r->state == S_SKIP_LITERAL);
}

enum imap_event_type imap_reader_next(struct imap_reader *r, struct slice *in,
				      struct arena *a, struct imap_event *ev)
{
	enum imap_event_type type;

	memset(ev, 0, sizeof(*ev));
	do {
		if (r->line_stale) {
			buf_shrink(&r->line, 0);
			r->line_stale = false;
		}
		if (in->n == 0 && !moves_alone(r))
			return IMAP_MORE;
		type = step(r, in, a, ev);
	} while (type == IMAP_MORE);
	return type;
}
