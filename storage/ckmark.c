/* See ckmark.h. */

#include "storage/ckmark.h"

#include "node/base/digest.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC "DUETMRK1"
#define FORMAT_MAJOR 1u
/* 100,000 accounts written between two checkpoints, and then some. */
#define SIZE_MAX_ (64u * 1024 * 1024)

void put_position(struct buf *to, struct position p)
{
	buf_le32(to, p.epoch);
	buf_le32(to, p.nonce);
	buf_le64(to, p.seq);
	buf_le64(to, p.chain);
}

struct position get_position(struct cursor *c)
{
	struct position p;

	p.epoch = cursor_le32(c);
	p.nonce = cursor_le32(c);
	p.seq = cursor_le64(c);
	p.chain = cursor_le64(c);
	return p;
}

void ckmark_fini(struct ckmark *m)
{
	free(m->lone);
	free(m->ends);
	free(m->partner);
	free(m->dead);
	*m = (struct ckmark){0};
}

static bool after(struct ckmark_no a, struct ckmark_no b)
{
	return a.batch != b.batch ? a.batch > b.batch : a.sub > b.sub;
}

bool ckmark_counts(const struct ckmark *m, struct ckmark_no no)
{
	if (after(no, (struct ckmark_no){m->batch, m->sub}))
		return false;
	for (size_t i = 0; i < m->n_dead; i++)
		if (after(no, m->dead[i].from) &&
		    !after(no, (struct ckmark_no){m->dead[i].to,
						  m->dead[i].to_sub}))
			return false;
	return true;
}

void ckmark_encode(const struct ckmark *m, struct buf *to)
{
	size_t from = to->n;

	buf_str(to, MAGIC);
	buf_le16(to, FORMAT_MAJOR);
	buf_le16(to, 0);
	buf_le32(to, 0);	/* CRC-32C of what follows */
	buf_le64(to, m->journal);
	buf_le64(to, m->batch);
	buf_le32(to, m->sub);
	buf_le32(to, m->clean);
	buf_le64(to, m->offset);
	buf_le64(to, m->time);
	buf_le32(to, (uint32_t)m->n_lone);
	buf_le32(to, (uint32_t)m->n_ends);
	buf_le32(to, (uint32_t)m->n_partner);
	buf_le32(to, (uint32_t)m->n_dead);
	for (size_t i = 0; i < m->n_lone; i++) {
		buf_put(to, m->lone[i].account.b, 16);
		buf_le32(to, m->lone[i].reason);
		buf_le64(to, m->lone[i].time);
		put_position(to, m->lone[i].partner);
	}
	for (size_t i = 0; i < m->n_ends; i++) {
		buf_put(to, m->ends[i].account.b, 16);
		buf_le32(to, m->ends[i].end.segment);
		buf_le64(to, m->ends[i].end.offset);
		put_position(to, m->ends[i].end.pos);
	}
	for (size_t i = 0; i < m->n_partner; i++) {
		buf_le64(to, m->partner[i].id);
		buf_le64(to, m->partner[i].last_batch);
	}
	for (size_t i = 0; i < m->n_dead; i++) {
		buf_le64(to, m->dead[i].from.batch);
		buf_le32(to, m->dead[i].from.sub);
		buf_le32(to, m->dead[i].to_sub);
		buf_le64(to, m->dead[i].to);
	}
	if (!to->failed)
		le32_to(to->p + from + 12,
			crc32c(0, to->p + from + 16, to->n - from - 16));
}

static void get_lists(struct cursor *c, struct ckmark *m)
{
	size_t n_lone = cursor_le32(c), n_ends = cursor_le32(c);
	size_t n_partner = cursor_le32(c), n_dead = cursor_le32(c);

	for (; n_lone > 0 && !c->bad; n_lone--) {
		struct ckmark_lone l;

		cursor_copy(c, l.account.b, 16);
		l.reason = (uint8_t)cursor_le32(c);
		l.time = cursor_le64(c);
		l.partner = get_position(c);
		GROW(m->lone, m->n_lone, m->cap_lone);
		m->lone[m->n_lone++] = l;
	}
	for (; n_ends > 0 && !c->bad; n_ends--) {
		struct ckmark_end en;

		cursor_copy(c, en.account.b, 16);
		en.end.segment = cursor_le32(c);
		en.end.offset = cursor_le64(c);
		en.end.pos = get_position(c);
		GROW(m->ends, m->n_ends, m->cap_ends);
		m->ends[m->n_ends++] = en;
	}
	for (; n_partner > 0 && !c->bad; n_partner--) {
		struct journal_id j;

		j.id = cursor_le64(c);
		j.last_batch = cursor_le64(c);
		GROW(m->partner, m->n_partner, m->cap_partner);
		m->partner[m->n_partner++] = j;
	}
	for (; n_dead > 0 && !c->bad; n_dead--) {
		struct ckmark_dead d;

		d.from.batch = cursor_le64(c);
		d.from.sub = cursor_le32(c);
		d.to_sub = cursor_le32(c);
		d.to = cursor_le64(c);
		GROW(m->dead, m->n_dead, m->cap_dead);
		m->dead[m->n_dead++] = d;
	}
}

int ckmark_decode(struct slice in, struct ckmark *out, struct err *e)
{
	struct cursor c = cursor_of(in);
	struct slice magic = cursor_bytes(&c, 8);
	uint16_t major = cursor_le16(&c);
	struct ckmark m = {0};
	uint32_t crc;

	cursor_le16(&c);
	crc = cursor_le32(&c);
	if (c.bad || !slice_is(magic, MAGIC) ||
	    crc != crc32c(0, c.p, cursor_left(&c)))
		return err_set(e, E_CORRUPT, "damaged mark file");
	if (major != FORMAT_MAJOR)
		return err_set(e, E_VERSION, "mark file format %u, this "
			       "program reads %u", major, FORMAT_MAJOR);
	m.journal = cursor_le64(&c);
	m.batch = cursor_le64(&c);
	m.sub = cursor_le32(&c);
	m.clean = cursor_le32(&c) & 1;
	m.offset = cursor_le64(&c);
	m.time = cursor_le64(&c);
	get_lists(&c, &m);
	if (!cursor_done(&c)) {
		ckmark_fini(&m);
		return err_set(e, E_CORRUPT, "damaged mark file");
	}
	*out = m;
	return 0;
}

int ckmark_load(struct fsio *fs, const char *path, struct ckmark *out,
		struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, SIZE_MAX_);
	r = fsio_read_file(fs, path, SIZE_MAX_, &b);
	if (r < 0 && r != -ENOENT)
		err_set(e, r, "%s: %s", path, err_name(r));
	if (r >= 0) {
		r = ckmark_decode(buf_all(&b), out, e);
		if (r < 0)
			err_prefix(e, "%s", path);
	}
	buf_fini(&b);
	return r < 0 ? r : 0;
}

int ckmark_store(struct fsio *fs, const char *path, const struct ckmark *m,
		 struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, SIZE_MAX_);
	ckmark_encode(m, &b);
	r = b.failed ? E_LIMIT :
		       fsio_replace_file(fs, path, buf_all(&b), 0600);
	buf_fini(&b);
	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}
