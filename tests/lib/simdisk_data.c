/* Pages, pending operations, crashes: see simdisk_private.h. */

#include "tests/lib/simdisk_private.h"

#include <assert.h>
#include <stdlib.h>

/* --- pages ----------------------------------------------------------------- */

static void page_unref(struct sim_page *p)
{
	if (p && --p->refs == 0)
		free(p);
}

void sim_pages_copy(struct sim_pages *to, const struct sim_pages *from)
{
	to->size = from->size;
	to->n = from->n;
	to->p = from->n ? xmalloc(from->n * sizeof(*to->p)) : NULL;
	for (size_t i = 0; i < from->n; i++) {
		to->p[i] = from->p[i];
		if (to->p[i])
			to->p[i]->refs++;
	}
}

void sim_pages_fini(struct sim_pages *p)
{
	for (size_t i = 0; i < p->n; i++)
		page_unref(p->p[i]);
	free(p->p);
	*p = (struct sim_pages){0};
}

/* A page that may be written. */
static struct sim_page *page_own(struct sim_pages *p, size_t i)
{
	struct sim_page *old;

	if (i >= p->n) {
		size_t n = p->n ? p->n * 2 : 4;

		if (n <= i)
			n = i + 1;
		p->p = xrealloc(p->p, n * sizeof(*p->p));
		memset(p->p + p->n, 0, (n - p->n) * sizeof(*p->p));
		p->n = n;
	}
	old = p->p[i];
	if (old && old->refs == 1)
		return old;
	p->p[i] = old ? xmalloc(sizeof(*old)) : xzalloc(sizeof(*old));
	if (old) {
		memcpy(p->p[i]->b, old->b, SIM_PAGE);
		old->refs--;
	}
	p->p[i]->refs = 1;
	return p->p[i];
}

static const uint8_t zero_page[SIM_PAGE];

/* A page that was never written reads as zeros. */
static bool stays_hole(const struct sim_pages *p, const uint8_t *from,
		       size_t n, uint64_t off)
{
	return (off / SIM_PAGE >= p->n || !p->p[off / SIM_PAGE]) &&
	       memcmp(from, zero_page, n) == 0;
}

void sim_pages_write(struct sim_pages *p, const void *data, size_t n,
		     uint64_t off)
{
	const uint8_t *from = data;

	if (off + n > p->size)
		p->size = off + n;
	while (n > 0) {
		size_t at = off % SIM_PAGE, k = SIM_PAGE - at;

		if (k > n)
			k = n;
		if (!stays_hole(p, from, k, off))
			memcpy(page_own(p, off / SIM_PAGE)->b + at, from, k);
		from += k;
		off += k;
		n -= k;
	}
}

void sim_pages_size(struct sim_pages *p, uint64_t size)
{
	if (size < p->size) {
		size_t keep = (size_t)((size + SIM_PAGE - 1) / SIM_PAGE);
		size_t at = size % SIM_PAGE;

		if (at && keep <= p->n && p->p[keep - 1])
			memset(page_own(p, keep - 1)->b + at, 0, SIM_PAGE - at);
		for (size_t i = keep; i < p->n; i++) {
			page_unref(p->p[i]);
			p->p[i] = NULL;
		}
	}
	p->size = size;
}

void sim_pages_read(const struct sim_pages *p, void *to, size_t n, uint64_t off)
{
	uint8_t *out = to;

	while (n > 0) {
		size_t i = (size_t)(off / SIM_PAGE), at = off % SIM_PAGE;
		size_t k = SIM_PAGE - at;

		if (k > n)
			k = n;
		if (i < p->n && p->p[i])
			memcpy(out, p->p[i]->b + at, k);
		else
			memset(out, 0, k);
		out += k;
		off += k;
		n -= k;
	}
}

/* --- nodes and entries ---------------------------------------------------- */

struct sim_node *sim_node_new(struct simdisk *d, uint32_t mode)
{
	struct sim_node *n = NEW(struct sim_node);

	n->disk = d;
	n->ino = ++d->last_ino;
	n->mode = mode;
	n->mtime = d->clock ? (int64_t)clock_real(d->clock) : 0;
	list_init(&n->ops);
	list_init(&n->mapped);
	return n;
}

struct sim_node *sim_node_ref(struct sim_node *n)
{
	if (n)
		n->refs++;
	return n;
}

void sim_node_unref(struct sim_node *n)
{
	if (!n || --n->refs > 0)
		return;
	assert(list_empty(&n->ops) && n->maps == 0);
	for (size_t i = 0; i < n->n_entries; i++) {
		struct sim_entry *e = &n->entries[i];

		sim_node_unref(e->cur);
		sim_node_unref(e->dur);
		free(e->name);
	}
	free(n->entries);
	n->disk->used -= n->reserved;
	sim_pages_fini(&n->cur);
	sim_pages_fini(&n->dur);
	free(n);
}

struct sim_entry *sim_entry_of(struct sim_node *dir, const char *name, bool add)
{
	size_t lo = 0, hi = dir->n_entries;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(dir->entries[mid].name, name);

		if (c == 0)
			return &dir->entries[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!add)
		return NULL;
	GROW(dir->entries, dir->n_entries, dir->cap_entries);
	memmove(dir->entries + lo + 1, dir->entries + lo,
		(dir->n_entries - lo) * sizeof(*dir->entries));
	dir->n_entries++;
	dir->entries[lo] = (struct sim_entry){.name = xstrdup(name)};
	return &dir->entries[lo];
}

static void entry_set(struct sim_node *dir, const char *name,
		      struct sim_node *to, bool durable)
{
	struct sim_entry *e = sim_entry_of(dir, name, true);
	struct sim_node **slot = durable ? &e->dur : &e->cur, *old = *slot;

	*slot = sim_node_ref(to);
	if (!durable) {
		if (to)
			to->nlink++;
		if (old)
			old->nlink--;
	}
	if (!e->cur && !e->dur) {
		size_t i = (size_t)(e - dir->entries);

		free(e->name);
		memmove(e, e + 1,
			(dir->n_entries - i - 1) * sizeof(*dir->entries));
		dir->n_entries--;
	}
	sim_node_unref(old);
}

/* --- pending operations --------------------------------------------------- */

static struct sim_op *op_new(struct simdisk *d, enum sim_op_kind kind)
{
	struct sim_op *op = NEW(struct sim_op);

	op->kind = kind;
	op->number = ++d->last_op;
	list_append(&d->pending, &op->all);
	d->n_pending++;
	return op;
}

static void op_key(struct sim_op *op, struct sim_node *on, const char *name,
		   struct sim_node *to)
{
	struct sim_key *k = &op->key[op->n_keys++];

	k->op = op;
	k->on = sim_node_ref(on);
	k->name = name ? xstrdup(name) : NULL;
	k->to = sim_node_ref(to);
	list_append(&on->ops, &k->node);
}

static void op_free(struct simdisk *d, struct sim_op *op)
{
	list_remove(&op->all);
	d->n_pending--;
	for (unsigned i = 0; i < op->n_keys; i++)
		list_remove(&op->key[i].node);
	for (unsigned i = 0; i < op->n_keys; i++) {
		sim_node_unref(op->key[i].to);
		sim_node_unref(op->key[i].on);
		free(op->key[i].name);
	}
	free(op->data);
	free(op);
}

static void charge(struct sim_node *n)
{
	uint64_t need = (n->cur.size + SIM_PAGE - 1) / SIM_PAGE * SIM_PAGE;

	if (need > n->reserved) {
		n->disk->used += need - n->reserved;
		n->reserved = need;
	}
}

static void touch(struct sim_node *n)
{
	if (n->disk->clock)
		n->mtime = (int64_t)clock_real(n->disk->clock);
}

uint64_t sim_mapped_size(const struct sim_node *n)
{
	return n->cur.size < n->region_size ? n->cur.size : n->region_size;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (; n > SIM_PAGE; p += SIM_PAGE, n -= SIM_PAGE)
		if (memcmp(p, zero_page, SIM_PAGE) != 0)
			return false;
	return memcmp(p, zero_page, n) == 0;
}

void sim_write(struct sim_node *n, const void *data, size_t len, uint64_t off)
{
	struct sim_op *op;

	if (n->region) {
		sim_capture(n);
		if (off < n->region_size)
			memcpy(n->region + off, data,
			       len < n->region_size - off ?
				       len : (size_t)(n->region_size - off));
	}
	sim_pages_write(&n->cur, data, len, off);
	op = op_new(n->disk, SIM_OP_WRITE);
	op->off = off;
	op->n = len;
	if (!all_zero(data, len)) {
		op->data = xmalloc(len);
		memcpy(op->data, data, len);
	}
	op_key(op, n, NULL, NULL);
	charge(n);
	touch(n);
}

void sim_size(struct sim_node *n, uint64_t size)
{
	struct sim_op *op;

	if (n->region) {
		sim_capture(n);
		if (size < sim_mapped_size(n))
			memset(n->region + size, 0, sim_mapped_size(n) - size);
	}
	sim_pages_size(&n->cur, size);
	op = op_new(n->disk, SIM_OP_SIZE);
	op->off = size;
	op_key(op, n, NULL, NULL);
	charge(n);
	touch(n);
}

void sim_entries(struct simdisk *d, const struct sim_set *set, unsigned n)
{
	struct sim_op *op = op_new(d, SIM_OP_ENTRIES);

	for (unsigned i = 0; i < n; i++)
		op_key(op, set[i].dir, set[i].name, set[i].to);
	for (unsigned i = 0; i < n; i++) {
		entry_set(set[i].dir, set[i].name, set[i].to, false);
		touch(set[i].dir);
	}
}

void sim_capture(struct sim_node *n)
{
	uint8_t *region = n->region;

	if (!region)
		return;
	n->region = NULL;	/* sim_write() must not look at it */
	for (uint64_t off = 0; off < sim_mapped_size(n); off += SIM_PAGE) {
		size_t i = (size_t)(off / SIM_PAGE), len = SIM_PAGE;
		const uint8_t *was = i < n->cur.n && n->cur.p[i] ?
					     n->cur.p[i]->b : zero_page;

		if (off + len > sim_mapped_size(n))
			len = (size_t)(sim_mapped_size(n) - off);
		if (memcmp(was, region + off, len) != 0)
			sim_write(n, region + off, len, off);
	}
	n->region = region;
}

void sim_capture_all(struct simdisk *d)
{
	for (struct list *l = d->mapped.next; l != &d->mapped; l = l->next)
		sim_capture(CONTAINER_OF(l, struct sim_node, mapped));
}

/* Octets [at, at + n) of a write become durable. */
static void op_put(struct sim_op *op, size_t at, size_t n)
{
	struct sim_pages *to = &op->key[0].on->dur;

	if (op->data) {
		sim_pages_write(to, op->data + at, n, op->off + at);
		return;
	}
	for (size_t k; n > 0; at += k, n -= k) {
		k = n < SIM_PAGE ? n : SIM_PAGE;
		sim_pages_write(to, zero_page, k, op->off + at);
	}
}

/* Puts op, or some sectors of it, into the durable form. */
static void op_apply(struct sim_op *op, struct simrng *torn)
{
	if (op->kind == SIM_OP_SIZE) {
		sim_pages_size(&op->key[0].on->dur, op->off);
	} else if (op->kind == SIM_OP_ENTRIES) {
		for (unsigned i = 0; i < op->n_keys; i++)
			entry_set(op->key[i].on, op->key[i].name,
				  op->key[i].to, true);
	} else if (!torn) {
		op_put(op, 0, op->n);
	} else {
		for (size_t at = 0; at < op->n;) {
			size_t k = SIM_SECTOR - (op->off + at) % SIM_SECTOR;

			if (k > op->n - at)
				k = op->n - at;
			if (simrng_chance(torn, 2))
				op_put(op, at, k);
			at += k;
		}
	}
}

/* An entry cannot get its newer value durably without the older ones. */
static void op_commit(struct simdisk *d, struct sim_op *op)
{
	if (op->kind == SIM_OP_ENTRIES)
		for (unsigned i = 0; i < op->n_keys; i++) {
			struct sim_key *k = &op->key[i];
			struct list *l = k->on->ops.next;

			while (l != &k->node) {
				struct sim_key *older =
					CONTAINER_OF(l, struct sim_key, node);

				if (older->name &&
				    strcmp(older->name, k->name) == 0) {
					op_commit(d, older->op);
					l = k->on->ops.next;
				} else {
					l = l->next;
				}
			}
		}
	op_apply(op, NULL);
	op_free(d, op);
}

void sim_commit(struct simdisk *d, struct sim_node *node, uint64_t upto)
{
	if (!node) {
		while (!list_empty(&d->pending)) {
			struct sim_op *op = CONTAINER_OF(d->pending.next,
							 struct sim_op, all);

			if (op->number > upto)
				break;
			op_commit(d, op);
		}
		return;
	}
	sim_node_ref(node);
	while (!list_empty(&node->ops)) {
		struct sim_op *op = CONTAINER_OF(node->ops.next, struct sim_key,
						 node)->op;

		if (op->number > upto)
			break;
		op_commit(d, op);
	}
	sim_node_unref(node);
}

/* --- crashes ----------------------------------------------------------------- */

size_t simdisk_pending(struct simdisk *d)
{
	sim_capture_all(d);
	return d->n_pending;
}

/* The current form of everything that op touched falls back to the durable;
 * of a file, all its operations go at once. */
static void revert(struct simdisk *d, struct sim_op *op)
{
	struct sim_node *n = op->key[0].on;

	if (op->kind == SIM_OP_ENTRIES) {
		for (unsigned i = 0; i < op->n_keys; i++) {
			struct sim_key *k = &op->key[i];
			struct sim_entry *e = sim_entry_of(k->on, k->name, false);

			entry_set(k->on, k->name, e ? e->dur : NULL, false);
		}
		op_free(d, op);
		return;
	}
	sim_node_ref(n);
	sim_pages_fini(&n->cur);
	sim_pages_copy(&n->cur, &n->dur);
	while (!list_empty(&n->ops))
		op_free(d, CONTAINER_OF(n->ops.next, struct sim_key, node)->op);
	sim_node_unref(n);
}

/* The memory stays until unmap or simdisk_free(). */
static void drop_region(struct sim_region *g)
{
	struct sim_node *n = g->node;

	if (!n)
		return;
	n->maps = 0;
	n->region = NULL;
	list_remove(&n->mapped);
	g->node = NULL;
	sim_node_unref(n);
}

static bool kept(struct simdisk_keep keep, size_t i, struct simrng *r)
{
	switch (keep.kind) {
	case KEEP_NONE: return false;
	case KEEP_ALL: case KEEP_LAST_TORN: return true;
	case KEEP_PREFIX: return i < keep.i;
	case KEEP_ONLY: return i == keep.i;
	case KEEP_ALL_BUT: return i != keep.i;
	case KEEP_RANDOM: return simrng_chance(r, 2);
	}
	return false;
}

void simdisk_power_loss(struct simdisk *d, struct simdisk_keep keep)
{
	struct sim_op *last = NULL;
	struct simrng r;
	size_t i = 0;

	simrng_init(&r, keep.seed);
	sim_capture_all(d);
	for (struct list *l = d->pending.next; l != &d->pending; l = l->next) {
		struct sim_op *op = CONTAINER_OF(l, struct sim_op, all);

		if (op->kind == SIM_OP_WRITE)
			last = op;
	}
	for (struct list *l = d->pending.next; l != &d->pending;
	     l = l->next, i++) {
		struct sim_op *op = CONTAINER_OF(l, struct sim_op, all);
		bool torn = keep.kind == KEEP_LAST_TORN ? op == last :
			    keep.kind == KEEP_RANDOM && simrng_chance(&r, 2);

		if (kept(keep, i, &r))
			op_apply(op, torn ? &r : NULL);
	}
	for (i = 0; i < d->n_regions; i++)
		drop_region(&d->regions[i]);
	while (!list_empty(&d->pending)) {
		struct sim_op *op = CONTAINER_OF(d->pending.next, struct sim_op,
						 all);

		revert(d, op);
	}
}

void simdisk_writeback(struct simdisk *d, uint64_t seed, uint64_t one_in)
{
	struct simrng r;
	struct list *l;

	simrng_init(&r, seed);
	sim_capture_all(d);
	for (l = d->pending.next; l != &d->pending;) {
		struct sim_op *op = CONTAINER_OF(l, struct sim_op, all);

		l = l->next;
		/* An older write to the same file must not come later. */
		if (op->kind == SIM_OP_WRITE && simrng_chance(&r, one_in) &&
		    op->key[0].node.prev == &op->key[0].on->ops)
			op_commit(d, op);
	}
}

void simdisk_revive(struct simdisk *d)
{
	sim_drop_syncs(d);
	sim_capture_all(d);	/* the kernel still has those pages */
	for (size_t i = 0; i < d->n_regions; i++)
		drop_region(&d->regions[i]);
	for (size_t i = 0; i < d->n_handles; i++)
		if (d->handles[i].node) {
			d->handles[i].node->locked_by = 0;
			sim_node_unref(d->handles[i].node);
			free(d->handles[i].path);
			d->handles[i].path = NULL;
			d->handles[i].node = NULL;
		}
	d->dead = false;
	d->crash_at = 0;
	d->fault.calls = 0;
}

void simdisk_print_pending(struct simdisk *d, struct buf *to)
{
	size_t i = 0;

	sim_capture_all(d);
	for (struct list *l = d->pending.next; l != &d->pending; l = l->next) {
		struct sim_op *op = CONTAINER_OF(l, struct sim_op, all);

		buf_printf(to, "%zu ", i++);
		if (op->kind == SIM_OP_WRITE)
			buf_printf(to, "write ino %ju at %ju, %zu bytes\n",
				   (uintmax_t)op->key[0].on->ino,
				   (uintmax_t)op->off, op->n);
		else if (op->kind == SIM_OP_SIZE)
			buf_printf(to, "size ino %ju = %ju\n",
				   (uintmax_t)op->key[0].on->ino,
				   (uintmax_t)op->off);
		else
			for (unsigned k = 0; k < op->n_keys; k++)
				buf_printf(to, "%sentry %s of ino %ju -> %ju\n",
					   k ? "  with " : "", op->key[k].name,
					   (uintmax_t)op->key[k].on->ino,
					   (uintmax_t)(op->key[k].to ?
						       op->key[k].to->ino : 0));
	}
}
