#include "proto/mailbox_name.h"
#include "storage/prepare_private.h"

/* Mailboxes, subscriptions, special-use, the account itself.  All of these
 * but SUBSCRIBE see a quiet account. */

#define RENAME_ITEMS_MAX 16000u

static int exists(struct draft *d, const char *what)
{
	err_set(d->e, E_EXISTS, "%s", what);
	err_client(d->e, "Mailbox already exists.");
	return E_EXISTS;
}

static int refused(struct draft *d, const char *text)
{
	err_set(d->e, E_INVALID, "%s", text);
	err_client(d->e, "%s", text);
	return E_INVALID;
}

int prepare_create(struct draft *d)
{
	struct write *w = d->w;
	struct slice name;

	if (draft_name(d, w->name, &name) < 0)
		return E_INVALID;
	if (state_mailbox_named(d->s, name))
		return exists(d, "CREATE of a mailbox that is there");
	draft_create(d, name, w->special_use, slice_is(name, "INBOX"),
		     &w->result_mbox, &w->uidvalidity);
	if (w->autosubscribe) {
		struct op *o = draft_op(d, OP_SUBSCRIBE, 8 + name.n);

		o->subscribe.name = name;
		o->subscribe.on = true;
	}
	w->prepared_all = true;
	return PREPARE_RECORD;
}

int prepare_delete(struct draft *d)
{
	struct write *w = d->w;
	struct op_mbox_delete *o;
	struct mailbox *m;
	int r;

	r = draft_mailbox(d, w->mbox, w->name, &m);
	if (r < 0)
		return r;
	if (slice_is(slice_str(m->name), "INBOX"))
		return refused(d, "INBOX can't be deleted.");
	o = &draft_op(d, OP_MBOX_DELETE, 128)->mbox_delete;
	o->id = m->id;
	o->name = arena_dup(d->a, slice_str(m->name));
	o->uidnext = mailbox_uidnext(m);
	mailbox_digest_of(m, o->digest);
	w->result_mbox = m->id;
	w->prepared_all = true;
	return PREPARE_RECORD;
}

/* --- RENAME ---------------------------------------------------------------------- */

/* Is `name` that name or below it? */
static bool below_or_same(struct slice name, struct slice top)
{
	return name.n >= top.n &&
	       slice_eq(slice_sub(name, 0, top.n), top) &&
	       (name.n == top.n || name.p[top.n] == '/');
}

static struct slice moved_name(struct draft *d, struct slice name,
			       struct slice from, struct slice to)
{
	return slice_str(arena_printf(
		d->a, "%.*s%.*s", (int)to.n, (const char *)to.p,
		(int)(name.n - from.n), (const char *)name.p + from.n));
}

static int rename_items(struct draft *d, struct slice from, struct slice to,
			struct op_mbox_rename *o)
{
	size_t n = 0;

	o->items = arena_alloc(d->a, (d->s->n_mboxes + 1) * sizeof(*o->items));
	for (size_t i = 0; i < d->s->n_mboxes; i++) {
		struct mailbox *m = d->s->mboxes[i];
		const struct tombstone *t;
		struct mbox_rename *item = &o->items[n];
		struct slice name;

		if (!below_or_same(slice_str(m->name), from))
			continue;
		name = moved_name(d, slice_str(m->name), from, to);
		if (draft_name(d, name, &item->name) < 0)
			return E_INVALID;
		if (state_mailbox_named(d->s, item->name) &&
		    !below_or_same(item->name, from))
			return exists(d, "RENAME onto a mailbox");
		item->id = m->id;
		item->uidvalidity = m->uidvalidity;
		t = state_tombstone(d->s, item->name);
		/* I5: the name has shown an equal or higher one. */
		if (t && t->uidvalidity >= m->uidvalidity)
			item->uidvalidity = draft_uidvalidity(d);
		d->size += 32 + item->name.n;
		n++;
	}
	o->n_items = n;
	return 0;
}

/* Parents of the new name that are missing. */
static void make_parents(struct draft *d, struct slice to)
{
	struct slice parent = mailbox_name_parent(to, '/');
	uint32_t uidvalidity;
	struct id128 id;

	if (parent.n && !state_mailbox_named(d->s, parent))
		draft_create(d, parent, 0, false, &id, &uidvalidity);
}

struct follow {
	struct draft *d;
	struct slice from, to;
};

/* Subscriptions follow (replication-cases.md, 75). */
static bool follow_one(void *arg, struct slice name)
{
	struct follow *f = arg;
	struct op *o;

	if (!below_or_same(name, f->from))
		return true;
	o = draft_op(f->d, OP_SUBSCRIBE, 8 + name.n);
	o->subscribe.name = arena_dup(f->d->a, name);
	o = draft_op(f->d, OP_SUBSCRIBE, 8 + name.n + f->to.n);
	o->subscribe.name = moved_name(f->d, name, f->from, f->to);
	o->subscribe.on = true;
	return true;
}

/* RFC 3501 6.3.5: INBOX stays, its messages go to a new mailbox.  The first
 * record makes it, the next ones move. */
static int rename_inbox(struct draft *d, struct slice to)
{
	struct write *w = d->w;
	struct mailbox *inbox = state_mailbox_named(d->s, SLICE_LIT("INBOX"));

	if (!inbox)
		return draft_mailbox(d, (struct id128){{0}},
				     SLICE_LIT("INBOX"), &inbox);
	draft_create(d, to, 0, false, &w->target, &w->uidvalidity);
	w->result_mbox = w->target;
	w->mbox = inbox->id;
	w->uids = arena_alloc(d->a, sizeof(*w->uids));
	w->uids[0] = (struct uid_range){1, UINT32_MAX};
	w->n_uids = 1;
	w->next_item = 0;
	return PREPARE_RECORD;
}

int prepare_rename(struct draft *d)
{
	static const struct id128 none;
	struct write *w = d->w;
	struct slice from, to;
	struct follow f;
	struct op o = {.kind = OP_MBOX_RENAME};
	int r;

	if (!id128_eq(w->target, none))
		return prepare_copy(d);
	if (draft_name(d, w->name, &from) < 0 ||
	    draft_name(d, w->new_name, &to) < 0)
		return E_INVALID;
	if (state_mailbox_named(d->s, to) || slice_is(to, "INBOX"))
		return exists(d, "RENAME onto a mailbox");
	if (slice_is(from, "INBOX"))
		return rename_inbox(d, to);
	if (below_or_same(to, from))
		return refused(d, "A mailbox can't be moved below itself.");
	r = rename_items(d, from, to, &o.mbox_rename);
	if (r < 0)
		return r;
	if (o.mbox_rename.n_items == 0)
		return draft_mailbox(d, none, from, &(struct mailbox *){NULL});
	make_parents(d, to);
	*draft_op(d, OP_MBOX_RENAME, 0) = o;
	f = (struct follow){d, from, to};
	account_subscriptions(d->acc, follow_one, &f);
	if (o.mbox_rename.n_items > RENAME_ITEMS_MAX ||
	    d->size > RECORD_SIZE_MAX)
		return err_set(d->e, E_LIMIT, "RENAME of %zu mailboxes at once",
			       o.mbox_rename.n_items);
	w->result_mbox = o.mbox_rename.items[0].id;
	w->uidvalidity = o.mbox_rename.items[0].uidvalidity;
	w->prepared_all = true;
	return PREPARE_RECORD;
}

/* --- the rest ----------------------------------------------------------------------- */

int prepare_subscribe(struct draft *d)
{
	struct write *w = d->w;
	struct slice name;
	struct op *o;

	if (draft_name(d, w->name, &name) < 0)
		return E_INVALID;
	w->prepared_all = true;
	if (draft_quiet(d) && account_subscribed(d->acc, name) == w->on)
		return PREPARE_DONE;
	o = draft_op(d, OP_SUBSCRIBE, 8 + name.n);
	o->subscribe.name = name;
	o->subscribe.on = w->on;
	return PREPARE_RECORD;
}

int prepare_specialuse(struct draft *d)
{
	struct write *w = d->w;
	struct mailbox *m;
	struct op *o;
	int r;

	r = draft_mailbox(d, w->mbox, w->name, &m);
	if (r < 0)
		return r;
	w->prepared_all = true;
	w->result_mbox = m->id;
	w->uidvalidity = m->uidvalidity;
	if (m->special_use == w->special_use)
		return PREPARE_DONE;
	o = draft_op(d, OP_SPECIALUSE, 32);
	o->specialuse.id = m->id;
	o->specialuse.set = w->special_use;
	return PREPARE_RECORD;
}

static int auto_one(struct draft *d, const struct auto_mailbox *b)
{
	uint32_t uidvalidity;
	struct mailbox *m;
	struct id128 id;
	struct slice name;
	struct op *o;

	if (draft_name(d, slice_str(b->name), &name) < 0)
		return E_INVALID;
	m = state_mailbox_named(d->s, name);
	if (m && (m->special_use & b->special_use) == b->special_use)
		return 0;
	if (m) {
		o = draft_op(d, OP_SPECIALUSE, 32);
		o->specialuse.id = m->id;
		o->specialuse.set = m->special_use | b->special_use;
		return 0;
	}
	/* Named twice in the configuration, or the parent of an earlier one. */
	for (size_t i = 0; i < d->n; i++) {
		if (d->ops[i].kind == OP_MBOX_CREATE &&
		    slice_eq(d->ops[i].mbox_create.name, name)) {
			d->ops[i].mbox_create.special_use |= b->special_use;
			return 0;
		}
	}
	draft_create(d, name, b->special_use, true, &id, &uidvalidity);
	if (b->subscribe && !account_subscribed(d->acc, name)) {
		o = draft_op(d, OP_SUBSCRIBE, 8 + name.n);
		o->subscribe.name = name;
		o->subscribe.on = true;
	}
	return 0;
}

int prepare_autocreate(struct draft *d)
{
	static const struct auto_mailbox inbox = {.name = "INBOX"};
	struct write *w = d->w;
	int r = auto_one(d, &inbox);

	for (size_t i = 0; i < w->n_autos && r == 0; i++)
		r = auto_one(d, &w->autos[i]);
	if (r < 0)
		return r;
	if (d->size > RECORD_SIZE_MAX)
		return err_set(d->e, E_LIMIT, "%zu automatic mailboxes",
			       w->n_autos);
	w->prepared_all = true;
	return d->n ? PREPARE_RECORD : PREPARE_DONE;
}

int prepare_account_delete(struct draft *d)
{
	struct op *o;

	d->w->prepared_all = true;
	if (!d->s->exists)
		return PREPARE_DONE;
	o = draft_op(d, OP_ACCOUNT_DELETE, 24);
	d->ctx->rng->bytes(d->ctx->rng, o->delete_op.b, 16);
	return PREPARE_RECORD;
}
