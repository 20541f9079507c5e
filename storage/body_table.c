#include "node/base/cursor.h"
#include "storage/dbox.h"
#include "storage/state_private.h"

#include <stdlib.h>

/*
 * Which record has a body of that hash: needed for seeds, read-repair and
 * bodies asked for by the partner, so it is made when first asked for and
 * kept up to date from then on.  Open addressing over 8 bytes of the hash;
 * equal bodies stand in it several times.
 *
 * Deleted mailboxes count as long as their files are in .expunged: their
 * last index lies there too (dbox_expunged_index()).
 */

/* A record of a deleted mailbox. */
struct lost {
	uint8_t hash[32];
	uint64_t size;
	uint32_t uid;
	bool expunged;		/* before the mailbox was deleted */
};

/* A mailbox that is there, or a deleted one. */
struct table_box {
	struct mailbox *m;	/* NULL: deleted */
	struct id128 id;
	struct lost *lost;
};

struct entry {
	uint32_t box;		/* number + 1; 0: free */
	uint32_t rec;
};

struct body_table {
	struct entry *slots;
	size_t cap, n;		/* cap is a power of two, n <= cap / 2 */
	struct table_box *boxes;
	size_t n_boxes, cap_boxes;
};

void body_table_free(struct body_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_boxes; i++)
		free(t->boxes[i].lost);
	free(t->boxes);
	free(t->slots);
	free(t);
}

static const uint8_t *hash_of(const struct body_table *t, struct entry x)
{
	const struct table_box *b = &t->boxes[x.box - 1];

	return b->m ? index_rec(&b->m->index, x.rec)->body_hash :
		      b->lost[x.rec].hash;
}

static size_t home(const struct body_table *t, const uint8_t hash[32])
{
	return (size_t)le64_at(hash) & (t->cap - 1);
}

static void put(struct body_table *t, struct entry x)
{
	size_t i = home(t, hash_of(t, x));

	while (t->slots[i].box)
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
		if (old[i].box)
			put(t, old[i]);
	free(old);
}

static void add(struct body_table *t, size_t box, uint32_t rec)
{
	if (2 * (t->n + 1) > t->cap)
		resize(t, t->cap * 2);
	put(t, (struct entry){(uint32_t)box + 1, rec});
}

static size_t add_box(struct body_table *t, struct table_box b)
{
	GROW(t->boxes, t->n_boxes, t->cap_boxes);
	t->boxes[t->n_boxes] = b;
	return t->n_boxes++;
}

void body_table_add(struct body_table *t, struct mailbox *m, uint32_t rec)
{
	size_t box = 0;

	while (box < t->n_boxes && t->boxes[box].m != m)
		box++;
	if (box == t->n_boxes)
		add_box(t, (struct table_box){.m = m});
	add(t, box, rec);
}

/* The last index of a deleted mailbox; without it (an older version deleted
 * it, or the disk was full) its bodies are not found. */
static void add_deleted(struct body_table *t, struct state *s, struct id128 id)
{
	struct table_box b = {.id = id};
	struct index x;
	struct buf path;
	size_t box;

	buf_init(&path, 8192);
	dbox_expunged_index(s, id, &path);
	index_init(&x, s->fs);
	if (index_open_any(&x, (char *)path.p, id) == 0 && x.n > 0) {
		b.lost = xmalloc(x.n * sizeof(*b.lost));
		for (uint32_t i = 0; i < x.n; i++) {
			const struct mrec *rec = index_rec(&x, i);

			b.lost[i].size = rec->size;
			b.lost[i].uid = rec->uid;
			b.lost[i].expunged = rec->flags & MREC_EXPUNGED;
			memcpy(b.lost[i].hash, rec->body_hash, 32);
		}
		box = add_box(t, b);
		for (uint32_t i = 0; i < x.n; i++)
			add(t, box, i);
	}
	index_close(&x);
	buf_fini(&path);
}

static struct body_table *build(struct state *s)
{
	struct body_table *t = NEW(struct body_table);

	resize(t, 1024);
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];
		size_t box = add_box(t, (struct table_box){.m = m});

		if (m->index.gen == 0 || mailbox_index(m, NULL) < 0)
			continue;
		for (uint32_t r = 0; r < m->index.n; r++)
			add(t, box, r);
	}
	for (size_t i = 0; i < s->n_expunged; i++)
		if (s->expunged[i].uid == 0 &&
		    !state_mailbox(s, s->expunged[i].mbox))
			add_deleted(t, s, s->expunged[i].mbox);
	return t;
}

static bool is_whole(struct state *s, struct buf *path, uint64_t size)
{
	struct dbox_file f;

	if (dbox_open(s->fs, (char *)path->p, &f) < 0)
		return false;
	s->fs->ops->close(s->fs, f.fd);
	return f.size == size;
}

static bool usable_lost(struct state *s, struct id128 id, const struct lost *l,
			struct buf *path)
{
	dbox_deleted_path(s, id, l->uid, l->expunged, path);
	return is_whole(s, path, l->size);
}

static bool usable(struct mailbox *m, const struct mrec *rec, struct buf *path)
{
	if (!(rec->flags & MREC_EXPUNGED)) {
		dbox_path(m, rec->uid, path);
		if (is_whole(m->state, path, rec->size))
			return true;
		buf_reset(path);
	}
	dbox_expunged_path(m, rec->uid, path);
	return is_whole(m->state, path, rec->size);
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
	for (i = home(t, hash); t->slots[i].box && r < 0;
	     i = (i + 1) & (t->cap - 1)) {
		struct entry x = t->slots[i];
		struct table_box *b = &t->boxes[x.box - 1];

		if (memcmp(hash_of(t, x), hash, 32) != 0)
			continue;
		buf_reset(&path);
		if (b->m ? usable(b->m, index_rec(&b->m->index, x.rec), &path) :
			   usable_lost(s, b->id, &b->lost[x.rec], &path)) {
			buf_put(path_out, path.p, path.n);
			r = 0;
		}
	}
	buf_fini(&path);
	return r;
}
