#include <stdlib.h>

#include "proto/imap_write.h"
#include "proto/message_fields.h"
#include "proto/mime.h"
#include "proto/textsearch.h"

/*
 * A message: the tree keeps its invariants, survives encode and decode, and
 * prints the same afterwards.  The same octets are also taken as a cached
 * structure: what decodes must encode to itself.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (64u << 20)

static void need(bool ok)
{
	if (!ok)
		abort();
}

static size_t check_part(const struct mime_part *p, uint64_t from,
			 uint64_t end)
{
	const struct mime_part *c;
	uint64_t at = p->body_at;
	size_t n = 1;

	need(p->header_at >= from && p->header_at <= end);
	need(p->body_at == p->header_at + p->header_size);
	need(p->body_at + p->body_size <= end);
	need((p->kind == MIME_LEAF) == (p->child == NULL));
	need((p->kind == MIME_MESSAGE) == (p->envelope != NULL));
	for (c = p->child; c; c = c->next) {
		need(c->parent == p);
		n += check_part(c, at, p->body_at + p->body_size);
		at = c->body_at + c->body_size;
	}
	return n;
}

static void print(const struct mime_message *m, struct buf *to)
{
	imap_put_envelope(to, &m->envelope);
	imap_put_body(to, m->root);
	imap_put_bodystructure(to, m->root);
}

static void check_sections(struct slice msg, const struct mime_message *m)
{
	uint32_t path[3] = {1, 1, 1};
	struct mime_section s = {.path = path};
	struct mime_range r;
	int kind;

	for (s.n_path = 0; s.n_path <= 3; s.n_path++) {
		for (kind = 0; kind <= MIME_SECTION_MIME; kind++) {
			s.kind = (enum mime_section_kind)kind;
			if (mime_section_find(m, &s, &r) == 0)
				need(r.at <= msg.n && r.size <= msg.n - r.at);
		}
	}
}

static void check_message(struct slice msg, struct arena *a)
{
	struct mime_message *m = mime_parse(msg, a), *again = NULL;
	struct textsearch *t = textsearch_new(SLICE_LIT("A\xc3\x84z"));
	struct message_fields fields;
	struct slice kept = SLICE_NONE;
	struct buf one, two;
	uint8_t hash[32];

	buf_init(&one, OUT_MAX);
	buf_init(&two, OUT_MAX);
	need(check_part(m->root, 0, msg.n) == m->n_parts);
	check_sections(msg, m);
	if (mime_encode(m, &one) == 0) {
		need(mime_decode(buf_all(&one), a, &again) == 0);
		need(mime_encoded_now(buf_all(&one)));
		need(mime_decode_kept(buf_all(&one), &kept) ==
		     (m->kept.p ? 0 : E_NOTFOUND));
		need(slice_eq(kept, m->kept));
		need(again->n_parts == m->n_parts && again->size == m->size);
		need(mime_encode(again, &two) == 0);
		need(slice_eq(buf_all(&one), buf_all(&two)));
		buf_reset(&two);
		print(again, &two);
		/* A copy: `again` points into `one`. */
		struct slice printed = arena_dup(a, buf_all(&two));
		buf_reset(&two);
		print(m, &two);
		need(slice_eq(printed, buf_all(&two)));
	}
	textsearch_in_message(t, msg, m, true);
	message_fields_get(msg, a, &fields);
	need(fields.header_size <= msg.n);
	need(message_trace_end(msg) <= msg.n);
	message_traceless_hash(msg, hash);
	textsearch_free(t);
	buf_fini(&one);
	buf_fini(&two);
}

static void check_cached(struct slice in, struct arena *a)
{
	struct mime_message *m;
	struct slice kept = SLICE_NONE;
	struct buf out;

	/* Reading the fields alone promises nothing of the rest. */
	mime_decode_kept(in, &kept);
	need(kept.n <= MIME_KEPT_MAX);
	if (mime_decode(in, a, &m) < 0)
		return;
	need(slice_eq(kept, m->kept));
	check_part(m->root, 0, m->size);
	buf_init(&out, OUT_MAX);
	print(m, &out);
	buf_reset(&out);
	need(mime_encode(m, &out) == 0);
	need(slice_eq(buf_all(&out), in));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4096);

	check_message(slice_of(data, size), a);
	check_cached(slice_of(data, size), a);
	arena_free(a);
	return 0;
}
