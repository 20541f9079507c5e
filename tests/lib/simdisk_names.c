/* Names: see simdisk_private.h. */

#include "tests/lib/simdisk_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct simdisk *disk_of(struct fsio *fs)
{
	return (struct simdisk *)(void *)fs;
}

/* --- names ------------------------------------------------------------------------ */

int sim_op_rename(struct fsio *fs, const char *from, const char *to)
{
	struct simdisk *d = disk_of(fs);
	char a[SIM_NAME_MAX + 1], b[SIM_NAME_MAX + 1];
	struct sim_node *da, *db, *n, *old;
	int r = sim_enter(d, SIM_RENAME, from);

	if (r == 0)
		r = sim_place(d, from, &da, a);
	if (r == 0)
		r = sim_place(d, to, &db, b);
	if (r < 0)
		return r;
	n = sim_child(da, a);
	old = sim_child(db, b);
	if (!n)
		return -ENOENT;
	if (n == old)
		return sim_leave(d, 0);
	if (old && S_ISDIR(old->mode) != S_ISDIR(n->mode))
		return S_ISDIR(old->mode) ? -EISDIR : -ENOTDIR;
	if (old && S_ISDIR(old->mode))
		for (size_t i = 0; i < old->n_entries; i++)
			if (old->entries[i].cur)
				return -ENOTEMPTY;
	if (n == db)
		return -EINVAL;
	sim_entries(d, (struct sim_set[]){{da, a, NULL}, {db, b, n}}, 2);
	return sim_leave(d, 0);
}

int sim_op_exchange(struct fsio *fs, const char *from, const char *to)
{
	struct simdisk *d = disk_of(fs);
	char a[SIM_NAME_MAX + 1], b[SIM_NAME_MAX + 1];
	struct sim_node *da, *db, *na, *nb;
	int r = sim_enter(d, SIM_EXCHANGE, from);

	if (r == 0 && d->no_exchange)
		r = -EINVAL;
	if (r == 0)
		r = sim_place(d, from, &da, a);
	if (r == 0)
		r = sim_place(d, to, &db, b);
	if (r < 0)
		return r;
	na = sim_child(da, a);
	nb = sim_child(db, b);
	if (!na || !nb)
		return -ENOENT;
	sim_node_ref(na);
	sim_entries(d, (struct sim_set[]){{da, a, nb}, {db, b, na}}, 2);
	sim_node_unref(na);
	return sim_leave(d, 0);
}

int sim_op_link(struct fsio *fs, const char *from, const char *to)
{
	struct simdisk *d = disk_of(fs);
	char b[SIM_NAME_MAX + 1];
	struct sim_node *db, *n;
	int r = sim_enter(d, SIM_LINK, to);

	if (r == 0)
		r = sim_find(d, from, &n);
	if (r == 0)
		r = sim_place(d, to, &db, b);
	if (r < 0)
		return r;
	if (S_ISDIR(n->mode))
		return -EPERM;
	if (sim_child(db, b))
		return -EEXIST;
	sim_entries(d, &(struct sim_set){db, b, n}, 1);
	return sim_leave(d, 0);
}

int sim_op_unlink(struct fsio *fs, const char *path)
{
	struct simdisk *d = disk_of(fs);
	char a[SIM_NAME_MAX + 1];
	struct sim_node *da, *n;
	int r = sim_enter(d, SIM_UNLINK, path);

	if (r == 0)
		r = sim_place(d, path, &da, a);
	if (r < 0)
		return r;
	n = sim_child(da, a);
	if (!n)
		return -ENOENT;
	if (S_ISDIR(n->mode))
		return -EISDIR;
	sim_entries(d, &(struct sim_set){da, a, NULL}, 1);
	return sim_leave(d, 0);
}

int sim_op_mkdir(struct fsio *fs, const char *path, mode_t mode)
{
	struct simdisk *d = disk_of(fs);
	char a[SIM_NAME_MAX + 1];
	struct sim_node *da;
	int r = sim_enter(d, SIM_MKDIR, path);

	if (r == 0)
		r = sim_place(d, path, &da, a);
	if (r < 0)
		return r;
	if (sim_child(da, a))
		return -EEXIST;
	sim_entries(d, &(struct sim_set){da, a,
			sim_node_new(d, S_IFDIR | (mode & 07777))}, 1);
	return sim_leave(d, 0);
}

int sim_op_rmdir(struct fsio *fs, const char *path)
{
	struct simdisk *d = disk_of(fs);
	char a[SIM_NAME_MAX + 1];
	struct sim_node *da, *n;
	int r = sim_enter(d, SIM_RMDIR, path);

	if (r == 0)
		r = sim_place(d, path, &da, a);
	if (r < 0)
		return r;
	n = sim_child(da, a);
	if (!n)
		return -ENOENT;
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	for (size_t i = 0; i < n->n_entries; i++)
		if (n->entries[i].cur)
			return -ENOTEMPTY;
	sim_entries(d, &(struct sim_set){da, a, NULL}, 1);
	return sim_leave(d, 0);
}

int sim_op_list(struct fsio *fs, const char *path, fsio_list_cb *cb,
		    void *arg)
{
	struct simdisk *d = disk_of(fs);
	struct sim_node *n;
	char **names;
	size_t n_names = 0;
	bool on = true;
	int r = sim_enter(d, SIM_LIST, path);

	if (r == 0)
		r = sim_find(d, path, &n);
	if (r < 0)
		return r;
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	/* The callback may change the directory. */
	names = xmalloc((n->n_entries + 1) * sizeof(*names));
	for (size_t i = 0; i < n->n_entries; i++)
		if (n->entries[i].cur)
			names[n_names++] = xstrdup(n->entries[i].name);
	for (size_t i = 0; i < n_names; i++) {
		if (on)
			on = cb(arg, names[i]);
		free(names[i]);
	}
	free(names);
	return 0;
}

void sim_stat_of(const struct sim_node *n, struct fsio_stat *out)
{
	*out = (struct fsio_stat){.size = n->cur.size, .mtime_usec = n->mtime,
				  .dev = 1, .ino = n->ino, .mode = n->mode,
				  .nlink = n->nlink};
}

int sim_op_stat(struct fsio *fs, const char *path, struct fsio_stat *out)
{
	struct simdisk *d = disk_of(fs);
	struct sim_node *n;
	int r = sim_enter(d, SIM_STAT, path);

	if (r == 0)
		r = sim_find(d, path, &n);
	if (r < 0)
		return r;
	sim_stat_of(n, out);
	return 0;
}

/* --- copies ------------------------------------------------------------------------ */

/* of: by inode number, what was copied already. */
static struct sim_node *copy_node(struct simdisk *to, struct sim_node *n,
				  struct sim_node **of)
{
	struct sim_node *c;

	if (!n)
		return NULL;
	c = of[n->ino];
	if (c)
		return c;
	c = of[n->ino] = NEW(struct sim_node);
	c->disk = to;
	c->ino = n->ino;
	c->mode = n->mode;
	c->nlink = n->nlink;
	c->mtime = n->mtime;
	c->reserved = n->reserved;
	to->used += n->reserved;
	list_init(&c->ops);
	list_init(&c->mapped);
	sim_pages_copy(&c->cur, &n->cur);
	sim_pages_copy(&c->dur, &n->dur);
	c->n_entries = c->cap_entries = n->n_entries;
	if (n->n_entries)
		c->entries = xmalloc(n->n_entries * sizeof(*c->entries));
	for (size_t i = 0; i < n->n_entries; i++)
		c->entries[i] = (struct sim_entry){
			xstrdup(n->entries[i].name),
			sim_node_ref(copy_node(to, n->entries[i].cur, of)),
			sim_node_ref(copy_node(to, n->entries[i].dur, of))};
	return c;
}

static void copy_op(struct simdisk *to, const struct sim_op *op,
		    struct sim_node **of)
{
	struct sim_op *c = NEW(struct sim_op);

	c->number = op->number;
	c->kind = op->kind;
	c->off = op->off;
	c->n = op->n;
	if (op->data) {
		c->data = xmalloc(op->n);
		memcpy(c->data, op->data, op->n);
	}
	list_append(&to->pending, &c->all);
	to->n_pending++;
	for (; c->n_keys < op->n_keys; c->n_keys++) {
		const struct sim_key *k = &op->key[c->n_keys];
		struct sim_key *ck = &c->key[c->n_keys];

		ck->op = c;
		ck->name = k->name ? xstrdup(k->name) : NULL;
		ck->on = sim_node_ref(copy_node(to, k->on, of));
		ck->to = sim_node_ref(copy_node(to, k->to, of));
		list_append(&ck->on->ops, &ck->node);
	}
}

struct simdisk *simdisk_clone(struct simdisk *d)
{
	struct simdisk *c = NEW(struct simdisk);
	struct sim_node **of = xzalloc((size_t)(d->last_ino + 1) * sizeof(*of));

	sim_capture_all(d);
	c->fs.ops = d->fs.ops;
	c->time = d->time;
	c->clock = d->clock;
	c->latency = d->latency;
	c->capacity = d->capacity;
	c->no_exchange = d->no_exchange;
	c->last_ino = d->last_ino;
	c->last_op = d->last_op;
	list_init(&c->pending);
	list_init(&c->mapped);
	list_init(&c->syncs);
	c->root = sim_node_ref(copy_node(c, d->root, of));
	for (struct list *l = d->pending.next; l != &d->pending; l = l->next)
		copy_op(c, CONTAINER_OF(l, struct sim_op, all), of);
	free(of);
	return c;
}
