#include "node/base/cleanup.h"
#include "storage/dbox.h"
#include "storage/fold.h"

#include <stdlib.h>

/*
 * New generations of an index file.  The old file is not written any more and
 * goes when no snapshot names it; a crash before the next snapshot is durable
 * finds it as it was.
 */

static void swap_in(struct mailbox *m, struct index *next)
{
	struct buf path;

	if (m->index.gen) {
		buf_init(&path, 8192);
		index_path(&path, m->state->root, m->id, m->index.gen);
		buf_char(&path, 0);
		garbage_add(m->state, (char *)path.p);
		buf_fini(&path);
	}
	index_close(&m->index);
	m->index = *next;
	m->last_gen = next->gen;
	/* Record numbers may mean others now. */
	rank_fini(&m->rank);
	m->rank_built = false;
	m->n_changes = 0;
	m->changes_floor = m->highestmodseq;
	body_table_free(m->state->bodies);
	m->state->bodies = NULL;
}

static int begin(struct mailbox *m, struct index *next, uint32_t rec_size,
		 size_t records, struct err *e)
{
	struct buf path;
	int r;

	index_init(next, m->state->fs);
	buf_init(&path, 8192);
	index_path(&path, m->state->root, m->id, m->last_gen + 1);
	buf_char(&path, 0);
	r = index_create(next, (char *)path.p, m->id, m->last_gen + 1,
			 rec_size, e);
	if (r == 0) {
		r = index_reserve(next, records);
		if (r < 0) {
			err_set(e, r, "%s: %s", (char *)path.p, strerror(-r));
			index_close(next);
			m->state->fs->ops->unlink(m->state->fs,
						  (char *)path.p);
		}
	}
	buf_fini(&path);
	return r;
}

static struct mrec *copy_rec(struct index *to, const struct index *from,
			     uint32_t i)
{
	struct mrec *rec = index_rec(to, to->n++);
	size_t n = from->rec_size < to->rec_size ? from->rec_size :
						   to->rec_size;

	memcpy(rec, index_rec(from, i), n);
	memset((uint8_t *)rec + n, 0, to->rec_size - n);
	return rec;
}

int mailbox_index_room(struct mailbox *m, size_t keywords, size_t more,
		       struct err *e)
{
	uint32_t want = index_rec_size(keywords);
	struct index next;
	int r = mailbox_index(m, e);

	if (r < 0)
		return r;
	if (m->index.gen && m->index.rec_size >= want) {
		r = index_reserve(&m->index, more);
		return r < 0 ? err_set(e, r, "index of %s: %s", m->name,
				       strerror(-r)) : 0;
	}
	r = begin(m, &next, want, m->index.n + more, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < m->index.n; i++)
		copy_rec(&next, &m->index, i);
	swap_in(m, &next);
	return 0;
}

/* The parsed forms of what stays, into a cache of the new generation. */
static void copy_cache(struct mailbox *m, struct index *next)
{
	struct cache fresh;
	struct buf path;

	cache_init(&fresh, m->state->fs);
	buf_init(&path, 8192);
	cache_path(&path, m->state->root, m->id, next->gen);
	buf_char(&path, 0);
	bool ok = mailbox_cache(m) == 0 &&
		  cache_open(&fresh, (char *)path.p) == 0;

	for (uint32_t i = 0; i < next->n; i++) {
		struct mrec *rec = index_rec(next, i);
		struct slice data;
		int64_t at = 0;

		if (ok && rec->cache_at &&
		    cache_get(&m->cache, rec->cache_at, rec->emailid,
			      &data) == 0)
			at = cache_put(&fresh, rec->emailid, data);
		rec->cache_at = at > 0 ? (uint64_t)at : 0;
	}
	buf_reset(&path);
	cache_path(&path, m->state->root, m->id, m->cache_gen);
	buf_char(&path, 0);
	cache_close(&m->cache);
	m->state->fs->ops->unlink(m->state->fs, (char *)path.p);
	m->cache = fresh;
	m->cache_gen = next->gen;
	buf_fini(&path);
}

static int rising(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* UIDs of expunged messages whose files were not swept yet. */
static uint32_t *unswept(const struct mailbox *m, size_t *n)
{
	const struct state *s = m->state;
	uint32_t *uids = xmalloc((s->n_expunged + 1) * sizeof(*uids));

	*n = 0;
	for (size_t i = 0; i < s->n_expunged; i++)
		if (s->expunged[i].uid && id128_eq(s->expunged[i].mbox, m->id))
			uids[(*n)++] = s->expunged[i].uid;
	qsort(uids, *n, sizeof(*uids), rising);
	return uids;
}

int mailbox_compact(struct mailbox *m, struct err *e)
{
	struct index next;
	uint32_t *keep;
	size_t n;
	int r = mailbox_index(m, e);

	if (r < 0 || m->index.gen == 0)
		return r;
	keep = unswept(m, &n);
	r = begin(m, &next, index_rec_size(m->n_keywords), m->messages + n, e);
	for (uint32_t i = 0; r == 0 && i < m->index.n; i++) {
		const struct mrec *rec = index_rec(&m->index, i);

		if (!(rec->flags & MREC_EXPUNGED) ||
		    bsearch(&rec->uid, keep, n, sizeof(*keep), rising))
			copy_rec(&next, &m->index, i);
	}
	free(keep);
	if (r < 0)
		return r;
	copy_cache(m, &next);
	swap_in(m, &next);
	return 0;
}

static void drop_next(struct mailbox *m, struct index *next)
{
	struct buf path;

	index_close(next);
	buf_init(&path, 8192);
	index_path(&path, m->state->root, m->id, m->last_gen + 1);
	buf_char(&path, 0);
	m->state->fs->ops->unlink(m->state->fs, (char *)path.p);
	buf_fini(&path);
}

int mailbox_renumber_begin(struct mailbox *m, uint32_t uidvalidity,
			   uint64_t modseq, struct renumbering *out,
			   struct err *e)
{
	struct dbox_renumber *map = NULL;
	struct index *next = &out->next;
	int r = mailbox_index(m, e);

	if (r < 0)
		return r;
	r = begin(m, next, m->index.rec_size, m->index.n, e);
	if (r < 0)
		return r;
	map = xmalloc(((size_t)m->index.n + 1) * sizeof(*map));
	for (uint32_t i = 0; i < m->index.n; i++) {
		struct mrec *rec;

		if (index_rec(&m->index, i)->flags & MREC_EXPUNGED)
			continue;
		rec = copy_rec(next, &m->index, i);
		map[next->n - 1] = (struct dbox_renumber){rec->uid, next->n};
		rec->uid = next->n;
		rec->modseq = modseq;
	}
	r = dbox_renumber_begin(m, uidvalidity, map, next->n, &out->dir, e);
	free(map);
	if (r < 0)
		drop_next(m, next);
	else
		out->begun = true;
	return r;
}

void mailbox_renumber_end(struct mailbox *m, uint32_t uidvalidity,
			  uint64_t modseq, struct renumbering *r)
{
	dbox_renumber_end(m, uidvalidity, TAKE(r->dir));
	mailbox_vanished_trim(m, UINT64_MAX);
	m->vanished_floor = modseq;
	m->uidvalidity = uidvalidity;
	mailbox_set_uidnext(m, (uint64_t)r->next.n + 1);
	swap_in(m, &r->next);
	r->begun = false;
}

void mailbox_renumber_drop(struct mailbox *m, struct renumbering *r)
{
	if (!r->begun)
		return;
	drop_next(m, &r->next);
	free(TAKE(r->dir));
	r->begun = false;
}
