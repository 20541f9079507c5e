#include "proto/mime.h"

#include "node/base/err.h"
#include "proto/mime_header.h"

/*
 * The body is read line by line, once.  A line that is a boundary of any open
 * multipart stops the reader (`stopped`, `hit`); parts then end from the
 * inside out until the multipart that owns the boundary takes it over.
 */
struct bound {
	struct bound *up;
	struct slice text;
};

struct hit {
	struct bound *bound;	/* NULL: the end of the message */
	bool closing;		/* "--boundary--" */
	size_t line_at;
	uint64_t lines;		/* before that line */
};

struct mime_parser {
	struct slice s;
	struct arena *a;
	size_t at;
	uint64_t lines;		/* line ends before `at` */
	bool stopped;
	struct hit hit;
	struct mime_budget budget;
	struct mime_message *m;
};

static size_t here(const struct mime_parser *p)
{
	return p->stopped ? p->hit.line_at : p->at;
}

static uint64_t lines_here(const struct mime_parser *p)
{
	return p->stopped ? p->hit.lines : p->lines;
}

/* Blanks, "--" and line end behind a boundary: more is no boundary line, so
 * that a line is not read once for every open multipart. */
#define PADDING_MAX 1000

/* Is the rest of the line blank? */
static bool only_blanks(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r' &&
		    s.p[i] != '\n')
			return false;
	return true;
}

/* line begins with "--" */
static struct bound *match_bound(struct bound *b, struct slice line,
				 bool *closing)
{
	for (; b; b = b->up) {
		struct slice rest;

		if (line.n < 2 + b->text.n ||
		    line.n > 2 + b->text.n + PADDING_MAX ||
		    memcmp(line.p + 2, b->text.p, b->text.n) != 0)
			continue;
		rest = slice_sub(line, 2 + b->text.n, line.n);
		*closing = rest.n >= 2 && rest.p[0] == '-' &&
			   rest.p[1] == '-';
		if (only_blanks(slice_sub(rest, *closing ? 2 : 0, rest.n)))
			return b;
	}
	return NULL;
}

/* Reads one line; false if it stopped. */
static bool read_line(struct mime_parser *p, struct bound *bound,
		      struct slice *line)
{
	const uint8_t *lf;
	size_t from = p->at;
	struct bound *b = NULL;
	bool closing = false;

	if (p->stopped)
		return false;
	if (from == p->s.n) {
		p->stopped = true;
		p->hit = (struct hit){NULL, false, from, p->lines};
		return false;
	}
	lf = memchr(p->s.p + from, '\n', p->s.n - from);
	p->at = lf ? (size_t)(lf - p->s.p) + 1 : p->s.n;
	*line = slice_sub(p->s, from, p->at);
	if (bound && line->n >= 2 && line->p[0] == '-' && line->p[1] == '-')
		b = match_bound(bound, *line, &closing);
	if (b) {
		p->stopped = true;
		p->hit = (struct hit){b, closing, from, p->lines};
	}
	p->lines += lf != NULL;
	return b == NULL;
}

static void read_to_stop(struct mime_parser *p, struct bound *bound)
{
	struct slice line;

	while (read_line(p, bound, &line))
		;
}

/* Where something that began at `from` ends now: the line end before a
 * boundary belongs to the boundary (RFC 2046 5.1.1). */
static size_t end_from(const struct mime_parser *p, size_t from, bool *cut)
{
	size_t end = p->hit.line_at;

	*cut = false;
	if (!p->hit.bound || end <= from)
		return end < from ? from : end;
	if (p->s.p[end - 1] == '\n') {
		*cut = true;
		end--;
		if (end > from && p->s.p[end - 1] == '\r')
			end--;
	}
	return end;
}

/* Keeps a part within its parent, whose last line end went to a boundary. */
static void clamp(struct mime_part *part, uint64_t end)
{
	for (; part; part = part->child) {
		while (part->next)
			part = part->next;
		if (part->body_at + part->body_size <= end)
			return;
		if (part->header_at > end) {
			part->header_at = end;
			part->header_size = 0;
		}
		if (part->body_at > end) {
			part->header_size = end - part->header_at;
			part->header_lines -= part->header_lines > 0;
			part->body_at = end;
			part->body_size = 0;
		}
		if (part->body_at + part->body_size > end) {
			part->body_size = end - part->body_at;
			part->body_lines -= part->body_lines > 0;
		}
		if (part->body_size == 0)
			part->body_lines = 0;
		if (part->header_size == 0)
			part->header_lines = 0;
	}
}

static void parse_part(struct mime_parser *p, struct mime_part *part,
		       struct bound *bound, struct mime_envelope *env,
		       bool digest, unsigned depth);

static struct mime_part *new_part(struct mime_parser *p,
				  struct mime_part *parent,
				  struct mime_part **tail)
{
	struct mime_part *part = ARENA_NEW(p->a, struct mime_part);

	part->parent = parent;
	*tail = part;
	p->m->n_parts++;
	return part;
}

/* Header lines, up to the blank one. */
static struct slice read_header(struct mime_parser *p, struct mime_part *part,
				struct bound *bound)
{
	size_t from = here(p), end;
	uint64_t lines = lines_here(p);
	struct slice line;
	bool cut = false;

	part->header_at = from;
	for (;;) {
		if (!read_line(p, bound, &line)) {
			end = end_from(p, from, &cut);
			break;
		}
		if (slice_is(line, "\r\n") || slice_is(line, "\n")) {
			end = p->at;
			break;
		}
	}
	part->header_size = end - from;
	part->header_lines = lines_here(p) - lines - cut;
	return slice_sub(p->s, from, end);
}

/* Any more parts would pass the limit: up to another's boundary. */
static void skip_parts(struct mime_parser *p, struct bound *own)
{
	p->m->truncated = true;
	while (p->hit.bound == own) {
		bool closing = p->hit.closing;

		p->stopped = false;
		read_to_stop(p, closing ? own->up : own);
		if (closing)
			return;
	}
}

static void parse_multipart(struct mime_parser *p, struct mime_part *part,
			    struct slice boundary, struct bound *up,
			    unsigned depth)
{
	struct bound own = {up, boundary};
	struct mime_part **tail = &part->child, *child;
	bool digest = slice_is_ci(part->subtype, "digest");

	part->kind = MIME_MULTIPART;
	read_to_stop(p, &own);		/* preamble */
	while (p->hit.bound == &own && !p->hit.closing) {
		if (p->m->n_parts >= MIME_PARTS_MAX) {
			skip_parts(p, &own);
			break;
		}
		p->stopped = false;
		child = new_part(p, part, tail);
		parse_part(p, child, &own, NULL, digest, depth + 1);
		tail = &child->next;
	}
	if (p->hit.bound == &own) {	/* epilogue */
		p->stopped = false;
		read_to_stop(p, up);
	}
	if (!part->child) {
		child = new_part(p, part, &part->child);
		child->type = SLICE_LIT("TEXT");
		child->subtype = SLICE_LIT("PLAIN");
		child->header_at = child->body_at = p->hit.line_at;
	}
}

static bool is_plain_encoding(struct slice encoding)
{
	return !encoding.p || slice_is_ci(encoding, "7bit") ||
	       slice_is_ci(encoding, "8bit") ||
	       slice_is_ci(encoding, "binary");
}

static bool is_message(const struct mime_part *part)
{
	return slice_is_ci(part->type, "message") &&
	       (slice_is_ci(part->subtype, "rfc822") ||
		slice_is_ci(part->subtype, "global")) &&
	       is_plain_encoding(part->encoding);
}

static void parse_body(struct mime_parser *p, struct mime_part *part,
		       struct slice boundary, struct bound *bound,
		       unsigned depth)
{
	bool message = is_message(part);
	struct mime_part *child;

	if (!message && !boundary.n) {
		read_to_stop(p, bound);
		return;
	}
	if (depth >= MIME_DEPTH_MAX || p->m->n_parts >= MIME_PARTS_MAX) {
		p->m->truncated = true;
		read_to_stop(p, bound);
		return;
	}
	if (!message) {
		parse_multipart(p, part, boundary, bound, depth);
		return;
	}
	part->kind = MIME_MESSAGE;
	part->envelope = ARENA_NEW(p->a, struct mime_envelope);
	child = new_part(p, part, &part->child);
	parse_part(p, child, bound, part->envelope, false, depth + 1);
}

static void parse_part(struct mime_parser *p, struct mime_part *part,
		       struct bound *bound, struct mime_envelope *env,
		       bool digest, unsigned depth)
{
	struct slice header, boundary;
	uint64_t lines;
	size_t end;
	bool cut;

	header = read_header(p, part, bound);
	mime_header_parse(header, digest, &p->budget, p->a, part, env,
			  &boundary);
	part->body_at = part->header_at + part->header_size;
	lines = lines_here(p);
	parse_body(p, part, boundary, bound, depth);
	end = end_from(p, part->body_at, &cut);
	part->body_size = end - part->body_at;
	part->body_lines = lines_here(p) - lines;
	if (cut && part->body_lines)
		part->body_lines--;
	clamp(part->child, end);
}

struct mime_message *mime_parse(struct slice msg, struct arena *a)
{
	struct mime_parser p = {
		.s = msg.p ? msg : SLICE_LIT(""),
		.a = a,
		.budget = {MIME_ADDRESSES_MAX, MIME_PARAMS_TOTAL_MAX},
	};

	p.m = ARENA_NEW(a, struct mime_message);
	p.m->size = msg.n;
	new_part(&p, NULL, &p.m->root);
	parse_part(&p, p.m->root, NULL, &p.m->envelope, false, 0);
	p.m->kept = mime_kept(slice_sub(p.s, 0, p.m->root->header_size), a);
	return p.m;
}

/* --- sections --- */

static const struct mime_part *nth(const struct mime_part *first, uint32_t n)
{
	while (first && n > 1) {
		first = first->next;
		n--;
	}
	return first;
}

/* The n-th part of a message whose body is `body`. */
static const struct mime_part *nth_of_body(const struct mime_part *body,
					   uint32_t n)
{
	if (body->kind == MIME_MULTIPART)
		return nth(body->child, n);
	return n == 1 ? body : NULL;
}

const struct mime_part *mime_part_at(const struct mime_message *m,
				     const uint32_t *path, size_t n_path)
{
	const struct mime_part *part;
	size_t i;

	if (n_path == 0)
		return m->root;
	part = nth_of_body(m->root, path[0]);
	for (i = 1; part && i < n_path; i++) {
		if (part->kind == MIME_MULTIPART)
			part = nth(part->child, path[i]);
		else if (part->kind == MIME_MESSAGE)
			part = nth_of_body(part->child, path[i]);
		else
			part = NULL;
	}
	return part;
}

int mime_section_find(const struct mime_message *m,
		      const struct mime_section *s, struct mime_range *out)
{
	const struct mime_part *part = mime_part_at(m, s->path, s->n_path);

	if (!part)
		return E_NOTFOUND;
	if (s->kind == MIME_SECTION_ALL && s->n_path == 0) {
		*out = (struct mime_range){0, m->size};
		return 0;
	}
	if (s->kind == MIME_SECTION_ALL) {
		*out = (struct mime_range){part->body_at, part->body_size};
		return 0;
	}
	if (s->kind == MIME_SECTION_MIME) {
		if (s->n_path == 0)
			return E_NOTFOUND;
		*out = (struct mime_range){part->header_at,
					   part->header_size};
		return 0;
	}
	if (s->n_path) {
		if (part->kind != MIME_MESSAGE)
			return E_NOTFOUND;
		part = part->child;
	}
	if (s->kind == MIME_SECTION_TEXT)
		*out = (struct mime_range){part->body_at, part->body_size};
	else
		*out = (struct mime_range){part->header_at,
					   part->header_size};
	return 0;
}
