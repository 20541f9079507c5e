#include "node/base/cursor.h"
#include "storage/dbox.h"
#include "storage/state_private.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Which record has a body of that hash: needed for seeds, read-repair and
 * bodies asked for by the partner, so it is made when first asked for and
 * kept up to date from then on.  Open addressing over 8 bytes of the hash;
 * equal bodies stand in it several times.
 */

struct entry {
	struct mailbox *m;	/* NULL: free */
	uint32_t rec;
};

struct body_table {
	struct entry *slots;
	size_t cap, n;		/* cap is a power of two, n <= cap / 2 */
};

void body_table_free(struct body_table *t)
{
	if (!t)
		return;
	free(t->slots);
	free(t);
}

static size_t home(const struct body_table *t, const uint8_t hash[32])
{
	return (size_t)le64_at(hash) & (t->cap - 1);
}

static void put(struct body_table *t, struct entry x)
{
	size_t i = home(t, index_rec(&x.m->index, x.rec)->body_hash);

	while (t->slots[i].m)
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = x;
	t->n++;
}

static void resize(struct body_table *t, size_t cap)
{
	struct entry *old = t->slots;
	size_t n = t->cap;

	t->slots = xzalloc(cap * sizeof(*t->slots));
	t->cap = cap;
	t->n = 0;
	for (size_t i = 0; i < n; i++)
		if (old[i].m)
			put(t, old[i]);
	free(old);
}

void body_table_add(struct body_table *t, struct mailbox *m, uint32_t rec)
{
	if (2 * (t->n + 1) > t->cap)
		resize(t, t->cap * 2);
	put(t, (struct entry){m, rec});
}

static struct body_table *build(struct state *s)
{
	struct body_table *t = NEW(struct body_table);

	resize(t, 1024);
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];

		if (m->index.gen == 0 || mailbox_index(m, NULL) < 0)
			continue;
		for (uint32_t r = 0; r < m->index.n; r++)
			body_table_add(t, m, r);
	}
	return t;
}

static bool usable(struct mailbox *m, const struct mrec *rec, struct buf *path)
{
	struct dbox_file f;
	int r = -ENOENT;

	if (!(rec->flags & MREC_EXPUNGED)) {
		dbox_path(m, rec->uid, path);
		r = dbox_open(m->state->fs, (char *)path->p, &f);
	}
	if (r < 0) {
		buf_reset(path);
		dbox_expunged_path(m, rec->uid, path);
		r = dbox_open(m->state->fs, (char *)path->p, &f);
	}
	if (r < 0)
		return false;
	m->state->fs->ops->close(m->state->fs, f.fd);
	return f.size == rec->size;
}

int state_body_find(struct state *s, const uint8_t hash[32],
		    struct buf *path_out)
{
	struct body_table *t = s->bodies;
	struct buf path;
	size_t i;
	int r = E_NOTFOUND;

	if (!t)
		t = s->bodies = build(s);
	buf_init(&path, 8192);
	for (i = home(t, hash); t->slots[i].m; i = (i + 1) & (t->cap - 1)) {
		struct mailbox *m = t->slots[i].m;
		const struct mrec *rec = index_rec(&m->index, t->slots[i].rec);

		if (memcmp(rec->body_hash, hash, 32) != 0)
			continue;
		buf_reset(&path);
		if (usable(m, rec, &path)) {
			buf_put(path_out, path.p, path.n);
			r = 0;
			break;
		}
	}
	buf_fini(&path);
	return r;
}
