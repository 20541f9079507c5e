#include "storage/prepare_private.h"

/* STORE and EXPUNGE. */

struct change_set {
	struct draft *d;
	struct mailbox *m;
	bool pending;			/* flags of the mailbox are in flight */
	struct ranges uids, modified;
	size_t n;
	uint64_t next_uid;
	/* STORE */
	uint32_t add, remove;
	struct slice *kw_add;
	size_t n_kw_add;
	bool *drop;			/* by bit: take it away where it is set */
	/* EXPUNGE */
	struct expunged *gone;
};

/* Calls `one` for each record of the wanted UIDs from next_item on that is
 * there at the end of the log, until the record is full. */
static void each(struct change_set *c,
		 void (*one)(struct change_set *, uint32_t rec))
{
	struct write *w = c->d->w;

	for (size_t k = 0; k < w->n_uids; k++) {
		uint64_t first = w->uids[k].first;

		if (first < w->next_item)
			first = w->next_item;
		if (first > w->uids[k].last)
			continue;
		for (uint32_t i = index_lower(&c->m->index, (uint32_t)first);
		     i < c->m->index.n && c->n < PREPARE_CHANGES_MAX; i++) {
			const struct mrec *rec = index_rec(&c->m->index, i);

			if (rec->uid > w->uids[k].last)
				break;
			c->next_uid = (uint64_t)rec->uid + 1;
			if (!(rec->flags & MREC_EXPUNGED) &&
			    !head_expunged(c->d->h, c->m->id, rec->uid))
				one(c, i);
		}
		if (c->n >= PREPARE_CHANGES_MAX)
			return;
	}
	c->next_uid = (uint64_t)UINT32_MAX + 1;
}

/* Would the masks change anything of it? */
static bool changes(const struct change_set *c, uint32_t rec)
{
	const struct mrec *r = index_rec(&c->m->index, rec);
	uint32_t after = (r->flags & ~c->remove) | c->add;

	if (after != r->flags)
		return true;
	for (size_t i = 0; i < c->n_kw_add; i++) {
		int bit = keyword_find(c->m, c->kw_add[i]);

		if (bit < 0 || !mailbox_has_keyword(c->m, rec, (size_t)bit))
			return true;
	}
	for (size_t i = 0; i < c->m->n_keywords; i++)
		if (c->drop[i] && mailbox_has_keyword(c->m, rec, i))
			return true;
	return false;
}

static void store_one(struct change_set *c, uint32_t rec)
{
	const struct mrec *r = index_rec(&c->m->index, rec);
	struct write *w = c->d->w;

	if (w->has_unchangedsince && r->modseq > w->unchangedsince) {
		ranges_add(&c->modified, c->d->a, r->uid);
		return;
	}
	if (!c->pending && !changes(c, rec))
		return;
	ranges_add(&c->uids, c->d->a, r->uid);
	c->n++;
}

/* Which keywords go: those named, or for REPLACE all others. */
static void choose_drop(struct change_set *c)
{
	struct write *w = c->d->w;

	c->drop = arena_zalloc(c->d->a, c->m->n_keywords + 1);
	for (size_t i = 0; i < c->m->n_keywords; i++) {
		const char *k = c->m->keywords[i].folded;
		bool named = false;

		if (!k)
			continue;
		for (size_t j = 0; j < w->n_keywords && !named; j++)
			named = slice_is_ci(w->keywords[j], k);
		c->drop[i] = w->flags_mode == FLAGS_REMOVE ? named :
			     w->flags_mode == FLAGS_REPLACE && !named;
	}
}

static int choose(struct change_set *c)
{
	struct draft *d = c->d;
	struct write *w = d->w;
	uint32_t flags = w->flags & MSG_FLAGS_MASK;

	choose_drop(c);
	if (w->flags_mode == FLAGS_REMOVE) {
		c->remove = flags;
		return 0;
	}
	c->add = flags;
	if (w->flags_mode == FLAGS_REPLACE)
		c->remove = MSG_FLAGS_MASK & ~flags;
	return draft_keywords(d, w->keywords, w->n_keywords, &c->kw_add,
			      &c->n_kw_add);
}

static void put_flags(struct change_set *c)
{
	struct draft *d = c->d;
	struct op_msg_flags *o = &draft_op(d, OP_MSG_FLAGS, 64)->msg_flags;

	o->mbox = c->m->id;
	o->uids = c->uids.r;
	o->n_uids = c->uids.n;
	o->add = c->add;
	o->remove = c->remove;
	o->kw_add = c->kw_add;
	o->n_kw_add = c->n_kw_add;
	o->kw_remove = arena_alloc(d->a, (c->m->n_keywords + 1) *
						 sizeof(*o->kw_remove));
	for (size_t i = 0; i < c->m->n_keywords; i++)
		if (c->drop[i])
			o->kw_remove[o->n_kw_remove++] = arena_dup(
				d->a, slice_str(c->m->keywords[i].folded));
}

static void put_progress(struct change_set *c)
{
	struct write *w = c->d->w;

	w->next_item = (size_t)c->next_uid;
	w->prepared_all = c->next_uid > UINT32_MAX;
}

int prepare_flags(struct draft *d)
{
	struct write *w = d->w;
	struct change_set c = {.d = d,
			       .next_uid = (uint64_t)UINT32_MAX + 1};
	int r;

	r = draft_mailbox(d, w->mbox, w->name, &c.m);
	if (r == 0)
		r = mailbox_index(c.m, d->e);
	if (r < 0)
		return r;
	/* M6: judged by the state at the end of the log. */
	if (w->has_unchangedsince && !draft_quiet(d))
		return PREPARE_WAIT;
	if (head_keyword(d->h, c.m->id))
		return PREPARE_WAIT;
	c.pending = head_flags(d->h, c.m->id);
	d->target = c.m->id;
	d->target_box = c.m;
	w->result_mbox = c.m->id;
	w->uidvalidity = c.m->uidvalidity;
	r = choose(&c);
	if (r < 0)
		return r;
	if (c.m->index.gen)
		each(&c, store_one);
	ranges_append(&w->modified, &w->n_modified, &c.modified, d->a);
	put_progress(&c);
	if (c.n == 0)
		return PREPARE_DONE;
	put_flags(&c);
	return PREPARE_RECORD;
}

static void expunge_one(struct change_set *c, uint32_t rec)
{
	const struct mrec *r = index_rec(&c->m->index, rec);

	if (c->d->w->only_deleted && !(r->flags & MSG_DELETED))
		return;
	c->gone[c->n++] = (struct expunged){r->uid, r->emailid};
}

int prepare_expunge(struct draft *d)
{
	struct write *w = d->w;
	struct change_set c = {.d = d,
			       .next_uid = (uint64_t)UINT32_MAX + 1};
	struct op_msg_expunge *o;
	int r;

	r = draft_mailbox(d, w->mbox, w->name, &c.m);
	if (r == 0)
		r = mailbox_index(c.m, d->e);
	if (r < 0)
		return r;
	if (w->only_deleted && head_flags(d->h, c.m->id))
		return PREPARE_WAIT;
	w->result_mbox = c.m->id;
	w->uidvalidity = c.m->uidvalidity;
	c.gone = arena_alloc(d->a, PREPARE_CHANGES_MAX * sizeof(*c.gone));
	if (c.m->index.gen)
		each(&c, expunge_one);
	put_progress(&c);
	if (c.n == 0)
		return PREPARE_DONE;
	o = &draft_op(d, OP_MSG_EXPUNGE, 32 + 24 * c.n)->msg_expunge;
	o->mbox = c.m->id;
	o->items = c.gone;
	o->n_items = c.n;
	return PREPARE_RECORD;
}
