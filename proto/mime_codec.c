#include "proto/mime.h"

#include "node/base/cursor.h"
#include "node/base/err.h"

/*
 * The cached form of a struct mime_message, all integers base-128 with the
 * low groups first:
 *
 *	version, kept header fields (string), flags (1: truncated), size,
 *	          envelope, part
 *	envelope: date, subject, 6 address lists, in-reply-to, message-id
 *	string:   0 for NIL, else length + 1, octets
 *	list:     count, elements
 *	part:     kind, header_at - body_at of the parent (0 for the root),
 *	          header_size, body_size, header_lines, body_lines, type,
 *	          subtype, params, id, description, encoding, md5,
 *	          disposition, its params, languages, location,
 *	          MIME_MESSAGE: envelope; list of parts
 *
 * A change of this layout is a new MIME_FORMAT_VERSION: caches are derived,
 * an unknown version is read as "not cached".
 */

enum { FLAG_TRUNCATED = 1 };

/* --- encoding --- */

static void put_int(struct buf *to, uint64_t v)
{
	while (v >= 0x80) {
		buf_char(to, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_char(to, (uint8_t)v);
}

static void put_str(struct buf *to, struct slice s)
{
	if (!s.p) {
		put_int(to, 0);
		return;
	}
	put_int(to, (uint64_t)s.n + 1);
	buf_slice(to, s);
}

static void put_params(struct buf *to, const struct mime_param *first)
{
	const struct mime_param *p;
	uint64_t n = 0;

	for (p = first; p; p = p->next)
		n++;
	put_int(to, n);
	for (p = first; p; p = p->next) {
		put_str(to, p->name);
		put_str(to, p->value);
	}
}

static void put_addresses(struct buf *to, const struct mime_address *first)
{
	const struct mime_address *at;
	uint64_t n = 0;

	for (at = first; at; at = at->next)
		n++;
	put_int(to, n);
	for (at = first; at; at = at->next) {
		put_str(to, at->name);
		put_str(to, at->route);
		put_str(to, at->mailbox);
		put_str(to, at->host);
	}
}

static void put_envelope(struct buf *to, const struct mime_envelope *env)
{
	put_str(to, env->date);
	put_str(to, env->subject);
	put_addresses(to, env->from);
	put_addresses(to, env->sender);
	put_addresses(to, env->reply_to);
	put_addresses(to, env->to);
	put_addresses(to, env->cc);
	put_addresses(to, env->bcc);
	put_str(to, env->in_reply_to);
	put_str(to, env->message_id);
}

static void put_part(struct buf *to, const struct mime_part *part)
{
	const struct mime_part *child;
	uint64_t n = 0;

	put_int(to, part->kind);
	put_int(to, part->header_at -
			    (part->parent ? part->parent->body_at : 0));
	put_int(to, part->header_size);
	put_int(to, part->body_size);
	put_int(to, part->header_lines);
	put_int(to, part->body_lines);
	put_str(to, part->type);
	put_str(to, part->subtype);
	put_params(to, part->params);
	put_str(to, part->id);
	put_str(to, part->description);
	put_str(to, part->encoding);
	put_str(to, part->md5);
	put_str(to, part->disposition);
	put_params(to, part->disposition_params);
	put_params(to, part->languages);
	put_str(to, part->location);
	if (part->kind == MIME_MESSAGE)
		put_envelope(to, part->envelope);
	for (child = part->child; child; child = child->next)
		n++;
	put_int(to, n);
	for (child = part->child; child; child = child->next)
		put_part(to, child);
}

int mime_encode(const struct mime_message *m, struct buf *to)
{
	put_int(to, MIME_FORMAT_VERSION);
	put_str(to, m->kept);
	put_int(to, m->truncated ? FLAG_TRUNCATED : 0);
	put_int(to, m->size);
	put_envelope(to, &m->envelope);
	put_part(to, m->root);
	return to->failed ? E_LIMIT : 0;
}

/* --- decoding --- */

struct decoder {
	struct cursor c;
	struct arena *a;
	struct mime_message *m;
	size_t n_addresses, n_params;
};

/* Nothing more is read after `bad`. */
static void broken(struct decoder *d)
{
	d->c.bad = true;
}

static uint64_t get_int(struct decoder *d)
{
	uint64_t v = 0;
	unsigned shift;

	for (shift = 0; shift < 64; shift += 7) {
		uint8_t b = cursor_u8(&d->c);

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			/* One form for each number, and 64 bits at most. */
			if ((shift && !b) || (shift == 63 && b > 1))
				break;
			return d->c.bad ? 0 : v;
		}
	}
	broken(d);
	return 0;
}

static struct slice get_str(struct decoder *d)
{
	uint64_t n = get_int(d);

	if (n == 0)
		return SLICE_NONE;
	if (n - 1 > cursor_left(&d->c)) {
		broken(d);
		return SLICE_NONE;
	}
	return cursor_bytes(&d->c, (size_t)n - 1);
}

static struct slice get_some_str(struct decoder *d)
{
	struct slice s = get_str(d);

	if (!s.p)
		broken(d);
	return s;
}

/* `language`: elements have a value only. */
static struct mime_param *get_params(struct decoder *d, bool language)
{
	struct mime_param *first = NULL, **tail = &first;
	uint64_t n = get_int(d);

	if (n > MIME_PARAMS_MAX)
		broken(d);
	for (; n && !d->c.bad; n--) {
		struct mime_param *p;

		if (++d->n_params > MIME_PARAMS_TOTAL_MAX + MIME_PARTS_MAX) {
			broken(d);
			break;
		}
		p = ARENA_NEW(d->a, struct mime_param);
		p->name = get_str(d);
		p->value = get_some_str(d);
		if ((p->name.p == NULL) != language)
			broken(d);
		*tail = p;
		tail = &p->next;
	}
	return first;
}

static struct mime_address *get_addresses(struct decoder *d)
{
	struct mime_address *first = NULL, **tail = &first;
	uint64_t n = get_int(d);

	for (; n && !d->c.bad; n--) {
		struct mime_address *at;

		/* Ends of groups may come beyond the limit, one a field. */
		if (++d->n_addresses > MIME_ADDRESSES_MAX +
					       6 * (size_t)MIME_PARTS_MAX) {
			broken(d);
			break;
		}
		at = ARENA_NEW(d->a, struct mime_address);
		at->name = get_str(d);
		at->route = get_str(d);
		at->mailbox = get_str(d);
		at->host = get_str(d);
		*tail = at;
		tail = &at->next;
	}
	return first;
}

static void get_envelope(struct decoder *d, struct mime_envelope *env)
{
	env->date = get_str(d);
	env->subject = get_str(d);
	env->from = get_addresses(d);
	env->sender = get_addresses(d);
	env->reply_to = get_addresses(d);
	env->to = get_addresses(d);
	env->cc = get_addresses(d);
	env->bcc = get_addresses(d);
	env->in_reply_to = get_str(d);
	env->message_id = get_str(d);
}

/* The range of a part: within [from, end), invariants 1 and 2. */
static void get_range(struct decoder *d, struct mime_part *part,
		      uint64_t base, uint64_t from, uint64_t end)
{
	uint64_t at = get_int(d);

	part->header_size = get_int(d);
	part->body_size = get_int(d);
	part->header_lines = get_int(d);
	part->body_lines = get_int(d);
	if (at > end - base || base + at < from ||
	    part->header_size > end - base - at ||
	    part->body_size > end - base - at - part->header_size) {
		broken(d);
		return;
	}
	part->header_at = base + at;
	part->body_at = part->header_at + part->header_size;
	if (part->header_lines > part->header_size ||
	    part->body_lines > part->body_size)
		broken(d);
}

static struct mime_part *get_part(struct decoder *d, struct mime_part *parent,
				  uint64_t from, uint64_t end,
				  unsigned depth);

static void get_children(struct decoder *d, struct mime_part *part,
			 unsigned depth)
{
	struct mime_part **tail = &part->child;
	uint64_t from = part->body_at, n = get_int(d);

	if ((part->kind == MIME_LEAF) != (n == 0) ||
	    (part->kind == MIME_MESSAGE && n != 1))
		broken(d);
	for (; n && !d->c.bad; n--) {
		*tail = get_part(d, part, from, part->body_at +
				 part->body_size, depth + 1);
		if (!*tail)
			return;
		from = (*tail)->body_at + (*tail)->body_size;
		tail = &(*tail)->next;
	}
}

static struct mime_part *get_part(struct decoder *d, struct mime_part *parent,
				  uint64_t from, uint64_t end, unsigned depth)
{
	struct mime_part *part;
	uint64_t kind = get_int(d);

	if (kind > MIME_MESSAGE || depth > MIME_DEPTH_MAX ||
	    ++d->m->n_parts > MIME_PARTS_MAX)
		broken(d);
	if (d->c.bad)
		return NULL;
	part = ARENA_NEW(d->a, struct mime_part);
	part->parent = parent;
	part->kind = (enum mime_kind)kind;
	get_range(d, part, parent ? parent->body_at : 0, from, end);
	part->type = get_some_str(d);
	part->subtype = get_some_str(d);
	part->params = get_params(d, false);
	part->id = get_str(d);
	part->description = get_str(d);
	part->encoding = get_str(d);
	part->md5 = get_str(d);
	part->disposition = get_str(d);
	part->disposition_params = get_params(d, false);
	part->languages = get_params(d, true);
	part->location = get_str(d);
	if (part->kind == MIME_MESSAGE && !d->c.bad) {
		part->envelope = ARENA_NEW(d->a, struct mime_envelope);
		get_envelope(d, part->envelope);
	}
	if (!d->c.bad)
		get_children(d, part, depth);
	return part;
}

static struct slice get_kept(struct decoder *d)
{
	struct slice kept = get_str(d);

	if (kept.n > MIME_KEPT_MAX)
		broken(d);
	return kept;
}

bool mime_encoded_now(struct slice in)
{
	return in.n && in.p[0] == MIME_FORMAT_VERSION;
}

int mime_decode_kept(struct slice in, struct slice *out)
{
	struct decoder d = {.c = cursor_of(in)};
	struct slice kept;

	if (get_int(&d) != MIME_FORMAT_VERSION)
		return E_CORRUPT;
	kept = get_kept(&d);
	if (d.c.bad)
		return E_CORRUPT;
	if (!kept.p)
		return E_NOTFOUND;
	*out = kept;
	return 0;
}

int mime_decode(struct slice in, struct arena *a, struct mime_message **out)
{
	struct decoder d = {.c = cursor_of(in), .a = a};
	uint64_t flags;

	d.m = ARENA_NEW(a, struct mime_message);
	if (get_int(&d) != MIME_FORMAT_VERSION)
		return E_CORRUPT;
	d.m->kept = get_kept(&d);
	flags = get_int(&d);
	if (flags > FLAG_TRUNCATED)
		return E_CORRUPT;
	d.m->truncated = flags == FLAG_TRUNCATED;
	d.m->size = get_int(&d);
	get_envelope(&d, &d.m->envelope);
	d.m->root = get_part(&d, NULL, 0, d.m->size, 0);
	if (!cursor_done(&d.c))
		return E_CORRUPT;
	*out = d.m;
	return 0;
}
