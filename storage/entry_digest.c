#include "storage/entry_digest.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/state_private.h"

#include <stdlib.h>

#define PARTS_MAX 8u

void sum128_put(struct sum128 s, uint8_t out[16])
{
	le64_to(out, (uint64_t)s.v);
	le64_to(out + 8, (uint64_t)(s.v >> 64));
}

struct sum128 sum128_of(const uint8_t in[16])
{
	return (struct sum128){le64_at(in) |
			       (unsigned __int128)le64_at(in + 8) << 64};
}

struct sum128 entry_digest(struct slice key, enum digest_kind kind,
			   const struct slice *parts, size_t n_parts)
{
	uint8_t k = (uint8_t)kind, out[16];
	struct slice all[PARTS_MAX + 1] = {{&k, 1}};

	for (size_t i = 0; i < n_parts && i < PARTS_MAX; i++)
		all[i + 1] = parts[i];
	blake2b_mac(key, all, n_parts + 1, out, sizeof(out));
	return sum128_of(out);
}

static int by_bytes(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* The folded keywords of a record, sorted, each with its length before it. */
static void put_keywords(const struct mailbox *m, const struct mrec *rec,
			 struct buf *to)
{
	const char **names = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < m->n_keywords; i++) {
		if (!m->keywords[i].folded ||
		    !index_keyword(&m->index, rec, i))
			continue;
		GROW(names, n, cap);
		names[n++] = m->keywords[i].folded;
	}
	if (n > 1)
		qsort(names, n, sizeof(*names), by_bytes);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		buf_char(to, (uint8_t)len);
		buf_put(to, names[i], len);
	}
	free(names);
}

struct sum128 entry_digest_message(const struct mailbox *m,
				   const struct mrec *rec)
{
	struct buf *b = &m->state->scratch;
	uint8_t fixed[4 + 16 + 32 + 8 + 8 + 2 + 8 + 1 + 8];
	uint8_t *p = fixed;
	struct slice parts[2];

	le32_to(p, rec->uid);
	memcpy(p += 4, rec->emailid.b, 16);
	memcpy(p += 16, rec->body_hash, 32);
	le64_to(p += 32, rec->size);
	le64_to(p += 8, (uint64_t)rec->internaldate);
	p += 8;
	p[0] = (uint8_t)rec->internaldate_zone;
	p[1] = (uint8_t)((uint16_t)rec->internaldate_zone >> 8);
	le64_to(p += 2, (uint64_t)rec->savedate);
	p[8] = rec->flags & MSG_FLAGS_MASK;
	le64_to(p + 9, rec->modseq);
	buf_reset(b);
	if (m->n_keywords)
		put_keywords(m, rec, b);
	parts[0] = slice_of(fixed, sizeof(fixed));
	parts[1] = buf_all(b);
	return entry_digest(m->state->key, DIGEST_MESSAGE, parts, 2);
}

struct sum128 entry_digest_keyword(struct slice key, struct slice spelling)
{
	return entry_digest(key, DIGEST_KEYWORD, &spelling, 1);
}

struct sum128 entry_digest_vanished(struct slice key, struct uid_range r,
				    uint64_t modseq)
{
	uint8_t b[16];
	struct slice part = slice_of(b, sizeof(b));

	le32_to(b, r.first);
	le32_to(b + 4, r.last);
	le64_to(b + 8, modseq);
	return entry_digest(key, DIGEST_VANISHED, &part, 1);
}
