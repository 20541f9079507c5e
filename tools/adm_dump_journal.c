/* dump of a journal: every batch found in the ring, in order of numbers. */

#include "tools/adm_dump.h"
#include "node/base/arena.h"
#include "node/base/cursor.h"
#include "storage/ckmark.h"
#include "storage/frame.h"
#include "storage/journal.h"

#include <inttypes.h>
#include <stdlib.h>

struct place {
	uint64_t number;
	size_t at;
};

static int by_number(const void *x, const void *y)
{
	const struct place *a = x, *b = y;

	return a->number < b->number ? -1 : a->number > b->number;
}

static struct id128 take_id(struct cursor *c)
{
	struct id128 id;

	cursor_copy(c, id.b, sizeof(id.b));
	return id;
}

static void put_entry(struct dump *d, const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	char t[DUMP_TEXT], p[DUMP_TEXT];
	struct id128 id;
	uint16_t kind, reason;
	uint64_t when;

	switch (en->type) {
	case JOURNAL_FRAME:
		id = take_id(&c);
		fprintf(d->out, "  frame of %s, %u bodies: ", dump_id(id, t),
			cursor_le32(&c));
		dump_frame(d, slice_sub(en->data, 24, en->data.n));
		return;
	case JOURNAL_MARK:
		id = take_id(&c);
		kind = cursor_le16(&c);
		reason = cursor_le16(&c);
		cursor_le32(&c);
		when = cursor_le64(&c);
		fprintf(d->out, "  mark %s of %s, reason %u", kind == MARK_SYNC
			? "SYNC" : "LONE", dump_id(id, t), reason);
		fprintf(d->out, ", %s", dump_time(when, t));
		fprintf(d->out, ", partner at %s\n",
			dump_position(get_position(&c), p));
		return;
	case JOURNAL_ACKED:
		id = take_id(&c);
		fprintf(d->out, "  partner has of %s: %s\n", dump_id(id, t),
			dump_position(get_position(&c), p));
		return;
	case JOURNAL_RESET:
		id = take_id(&c);
		kind = cursor_le16(&c);
		cursor_le16(&c);
		cursor_le32(&c);
		when = cursor_le64(&c);
		fprintf(d->out, "  reset of %s, %s, token %016" PRIx64 ", to "
			"%s\n", dump_id(id, t), kind == 1 ? "cut" : "replaced",
			when, dump_position(get_position(&c), p));
		return;
	case JOURNAL_JOURNALS:
		fprintf(d->out, "  the partner's journals, %zu bytes\n",
			en->data.n);
		return;
	case JOURNAL_ACCOUNT:
		fprintf(d->out, "  account %s is made\n",
			dump_id(take_id(&c), t));
		return;
	case JOURNAL_TIME:
		fputs("  time\n", d->out);
		return;
	default:
		fprintf(d->out, "  entry of unknown type %u, %zu bytes\n",
			en->type, en->data.n);
	}
}

static void put_batch(struct dump *d, uint64_t id, size_t at)
{
	struct slice in = slice_sub(d->in, at, d->in.n), body;
	struct journal_batch b;
	struct journal_entry en;
	char when[DUMP_TEXT];
	uint32_t n = 0;
	bool whole;

	journal_batch_get(in, id, &b, &whole);
	fprintf(d->out, "batch %" PRIu64 " at %zu: %u bytes, %u entries, %s%s\n",
		b.number, at, b.bytes, b.entries, dump_time(b.time, when),
		whole ? "" : " TORN OR OLD");
	if (!whole)
		return;
	body = slice_sub(in, JOURNAL_BATCH_HEADER, b.bytes);
	while (n < b.entries && journal_entry_get(&body, &en)) {
		put_entry(d, &en);
		n++;
	}
	if (n < b.entries) {
		d->damage++;
		fprintf(d->out, "DAMAGED: entry %u cannot be read\n", n);
	}
}

void dump_journal(struct dump *d)
{
	struct journal_head h;
	struct err e = ERR_NONE;
	struct place *v = NULL;
	size_t n = 0, cap = 0;

	if (journal_head_get(slice_sub(d->in, 0, JOURNAL_BLOCK), &h, &e) < 0) {
		d->damage++;
		fprintf(d->out, "DAMAGED: %s\n", e.op);
		return;
	}
	fprintf(d->out, "journal %016" PRIx64 ", ring of %" PRIu64 " bytes\n",
		h.id, h.size - JOURNAL_BLOCK);
	for (size_t at = JOURNAL_BLOCK; at < d->in.n; at += JOURNAL_BLOCK) {
		struct journal_batch b;
		bool whole;

		if (!journal_batch_get(slice_sub(d->in, at, d->in.n), h.id, &b,
				       &whole))
			continue;
		GROW(v, n, cap);
		v[n++] = (struct place){b.number, at};
	}
	if (n)
		qsort(v, n, sizeof(*v), by_number);
	for (size_t i = 0; i < n; i++)
		put_batch(d, h.id, v[i].at);
	free(v);
}
