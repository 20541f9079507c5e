#include "storage/prepare.h"
#include "node/base/digest.h"
#include "proto/mailbox_name.h"
#include "storage/dbox.h"
#include "storage/prepare_private.h"

/* --- the record being made ------------------------------------------------------ */

struct op *draft_op(struct draft *d, enum op_kind kind, size_t size)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 4;
		struct op *ops = arena_alloc(d->a, cap * sizeof(*ops));

		if (d->n)
			memcpy(ops, d->ops, d->n * sizeof(*ops));
		d->ops = ops;
		d->cap = cap;
	}
	memset(&d->ops[d->n], 0, sizeof(*d->ops));
	d->ops[d->n].kind = (uint8_t)kind;
	d->size += size + 16;
	return &d->ops[d->n++];
}

bool draft_quiet(const struct draft *d)
{
	return head_quiet(d->h);
}

int draft_end(struct draft *d, struct record *out, struct frame_bodies *bodies)
{
	*out = (struct record){d->ctx->modseq, d->ops, d->n};
	*bodies = (struct frame_bodies){d->bodies, d->n_bodies};
	d->w->modseq = d->ctx->modseq;
	return PREPARE_RECORD;
}

/* --- ranges ---------------------------------------------------------------------- */

void ranges_add(struct ranges *l, struct arena *a, uint32_t uid)
{
	if (l->n && l->r[l->n - 1].last + 1 == uid && uid) {
		l->r[l->n - 1].last = uid;
		return;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct uid_range *r = arena_alloc(a, cap * sizeof(*r));

		if (l->n)
			memcpy(r, l->r, l->n * sizeof(*r));
		l->r = r;
		l->cap = cap;
	}
	l->r[l->n++] = (struct uid_range){uid, uid};
}

void ranges_append(struct uid_range **list, size_t *n, const struct ranges *more,
		   struct arena *a)
{
	struct uid_range *all;

	if (more->n == 0)
		return;
	all = arena_alloc(a, (*n + more->n) * sizeof(*all));
	if (*n)
		memcpy(all, *list, *n * sizeof(*all));
	memcpy(all + *n, more->r, more->n * sizeof(*all));
	*list = all;
	*n += more->n;
}

/* --- mailboxes ---------------------------------------------------------------------- */

int draft_name(struct draft *d, struct slice in, struct slice *out)
{
	uint8_t b[MBOX_NAME_MAX];
	size_t n = mailbox_name_canonical(in, b);

	if (n == 0 || dbox_name_check(d->s, slice_of(b, n)) < 0) {
		err_set(d->e, E_INVALID, "mailbox name that cannot be stored");
		err_client(d->e, "Invalid mailbox name.");
		return E_INVALID;
	}
	*out = arena_dup(d->a, slice_of(b, n));
	return 0;
}

static bool id_is_none(struct id128 id)
{
	static const struct id128 none;

	return id128_eq(id, none);
}

int draft_mailbox(struct draft *d, struct id128 id, struct slice name,
		  struct mailbox **out)
{
	struct mailbox *m = id_is_none(id) ? account_mailbox(d->acc, name) :
					     state_mailbox(d->s, id);

	if (!m) {
		err_set(d->e, E_NOTFOUND, "no such mailbox");
		err_client(d->e, "Mailbox doesn't exist.");
		return E_NOTFOUND;
	}
	*out = m;
	return 0;
}

/* When this code was written: a clock before that is wrong. */
#define CLOCK_FLOOR 1767225600u
#define TEN_YEARS (10u * 366 * 86400)

/* replication.md, Numbering: the smallest value > max(mark, now) whose low bit
 * is the node index; a clock that cannot be right does not count. */
uint32_t draft_uidvalidity(struct draft *d)
{
	uint64_t v = d->uidvalidity_hwm;
	int64_t now = d->ctx->now;

	if (now >= CLOCK_FLOOR && (uint64_t)now > v &&
	    (uint64_t)now <= v + TEN_YEARS)
		v = (uint64_t)now;
	v++;
	if ((v & 1) != (d->ctx->node & 1))
		v++;
	if (v > UIDVALIDITY_MAX)
		d->exhausted = true;
	d->uidvalidity_hwm = (uint32_t)v;
	return (uint32_t)v;
}

static struct id128 derived_id(const struct state *s, struct slice name)
{
	struct digest_sha256 *h = digest_sha256_new();
	uint8_t hash[SHA256_SIZE];
	struct id128 id;

	digest_sha256_add(h, slice_of(s->id.b, 16));
	digest_sha256_add(h, name);
	digest_sha256_end(h, hash);
	memcpy(id.b, hash, 16);
	return id;
}

static bool in_draft(const struct draft *d, struct slice name)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->ops[i].kind == OP_MBOX_CREATE &&
		    slice_eq(d->ops[i].mbox_create.name, name))
			return true;
	return false;
}

static struct op *create_one(struct draft *d, struct slice name, bool derived)
{
	struct op *o = draft_op(d, OP_MBOX_CREATE, 64 + name.n);
	const struct tombstone *t = state_tombstone(d->s, name);
	struct op_mbox_create *c = &o->mbox_create;

	c->name = name;
	c->derived = derived && !t &&
		     !state_mailbox(d->s, derived_id(d->s, name));
	if (c->derived) {
		c->id = derived_id(d->s, name);
		c->uidvalidity = d->ctx->pair_time;
		return o;
	}
	d->ctx->rng->bytes(d->ctx->rng, c->id.b, 16);
	c->uidvalidity = draft_uidvalidity(d);
	return o;
}

int draft_create(struct draft *d, struct slice name, uint32_t special_use,
		 bool derived, struct id128 *id_out, uint32_t *uidvalidity_out)
{
	size_t at[MBOX_NAME_MAX / 2], n = 0;
	struct op *o;

	/* Missing parents up to the nearest that is there, highest first. */
	for (size_t i = name.n; i-- > 1;) {
		struct slice parent = slice_sub(name, 0, i);

		if (name.p[i] != '/')
			continue;
		if (state_mailbox_named(d->s, parent) || in_draft(d, parent))
			break;
		at[n++] = i;
	}
	while (n > 0) {
		struct slice parent = slice_sub(name, 0, at[--n]);

		create_one(d, parent, derived || slice_is(parent, "INBOX"));
	}
	o = create_one(d, name, derived);
	o->mbox_create.special_use = special_use;
	*id_out = o->mbox_create.id;
	*uidvalidity_out = o->mbox_create.uidvalidity;
	return 0;
}

/* --- keywords -------------------------------------------------------------------------- */

static struct slice fold(struct draft *d, struct slice spelt)
{
	struct slice f = arena_dup(d->a, spelt);
	uint8_t *p = (uint8_t *)(uintptr_t)f.p;

	for (size_t i = 0; i < f.n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (uint8_t)(p[i] - 'A' + 'a');
	return f;
}

static bool among(const struct slice *list, size_t n, struct slice x)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(list[i], x))
			return true;
	return false;
}

static void remember_keyword(struct draft *d, struct slice folded)
{
	if (d->n_new_keywords == d->cap_new_keywords) {
		size_t cap = d->cap_new_keywords ? d->cap_new_keywords * 2 : 8;
		struct slice *l = arena_alloc(d->a, cap * sizeof(*l));

		if (d->n_new_keywords)
			memcpy(l, d->new_keywords,
			       d->n_new_keywords * sizeof(*l));
		d->new_keywords = l;
		d->cap_new_keywords = cap;
	}
	d->new_keywords[d->n_new_keywords++] = folded;
}

int draft_keywords(struct draft *d, const struct slice *spelt, size_t n,
		   struct slice **out, size_t *n_out)
{
	const struct mailbox *m = d->target_box;
	struct slice *list = arena_alloc(d->a, (n + 1) * sizeof(*list));
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		struct slice f = fold(d, spelt[i]);
		struct op *o;

		if (f.n == 0 || f.n > KEYWORD_MAX)
			return err_set(d->e, E_LIMIT, "keyword of %zu octets",
				       f.n);
		if (memchr(f.p, 0, f.n))
			return err_set(d->e, E_INVALID, "keyword with NUL");
		if (among(list, k, f))
			continue;
		list[k++] = f;
		d->size += f.n + 3;
		if ((m && keyword_find(m, f) >= 0) ||
		    among(d->new_keywords, d->n_new_keywords, f))
			continue;
		if ((m ? m->n_keywords : 0) + d->n_new_keywords >=
		    PREPARE_KEYWORDS_MAX) {
			err_set(d->e, E_LIMIT, "mailbox has %u keywords",
				PREPARE_KEYWORDS_MAX);
			err_client(d->e, "Too many keywords in the mailbox.");
			return E_LIMIT;
		}
		remember_keyword(d, f);
		o = draft_op(d, OP_KEYWORD, 24 + f.n);
		o->keyword.mbox = d->target;
		o->keyword.spelling = arena_dup(d->a, spelt[i]);
	}
	*out = list;
	*n_out = k;
	return 0;
}

int prepare_uids_left(struct draft *d, const struct mailbox *m)
{
	struct op *o;

	if (head_uidnext(d->h, m->id) < PREPARE_UIDS_END)
		return PREPARE_DONE;
	if (!draft_quiet(d))
		return PREPARE_WAIT;
	o = draft_op(d, OP_MBOX_RENUMBER, 32);
	o->mbox_renumber.id = m->id;
	o->mbox_renumber.uidvalidity = draft_uidvalidity(d);
	return PREPARE_RECORD;
}

/* --- entry -------------------------------------------------------------------------------- */

enum write_class write_class_of(const struct write *w)
{
	switch (w->kind) {
	case WRITE_DELIVER:
		return CLASS_DELIVERY;
	case WRITE_APPEND: case WRITE_COPY: case WRITE_MOVE:
		return CLASS_APPEND;
	case WRITE_FLAGS: case WRITE_EXPUNGE: case WRITE_SUBSCRIBE:
		return CLASS_FLAGS;
	default:
		return CLASS_MAILBOX;
	}
}

static int dispatch(struct draft *d)
{
	switch (d->w->kind) {
	case WRITE_DELIVER: case WRITE_APPEND:
		return prepare_add(d);
	case WRITE_COPY: case WRITE_MOVE:
		return prepare_copy(d);
	case WRITE_FLAGS:
		return prepare_flags(d);
	case WRITE_EXPUNGE:
		return prepare_expunge(d);
	case WRITE_SUBSCRIBE:
		return prepare_subscribe(d);
	default:
		break;
	}
	/* The rest changes the list of mailboxes: alone. */
	if (!draft_quiet(d))
		return PREPARE_WAIT;
	switch (d->w->kind) {
	case WRITE_CREATE:
		return prepare_create(d);
	case WRITE_DELETE:
		return prepare_delete(d);
	case WRITE_RENAME:
		return prepare_rename(d);
	case WRITE_SPECIALUSE:
		return prepare_specialuse(d);
	case WRITE_AUTOCREATE:
		return prepare_autocreate(d);
	case WRITE_ACCOUNT_DELETE:
		return prepare_account_delete(d);
	default:
		return err_set(d->e, E_INVALID, "unknown write %d",
			       (int)d->w->kind);
	}
}

int prepare_next(const struct prepare_ctx *ctx, struct write *w,
		 struct record *out, struct frame_bodies *bodies,
		 struct err *e)
{
	struct account *acc = ctx->account;
	struct draft d = {.ctx = ctx, .w = w, .acc = acc, .s = acc->state,
			  .h = acc->head, .a = w->arena, .e = e,
			  .uidvalidity_hwm = acc->state->uidvalidity_hwm};
	int r;

	if (w->prepared_all)
		return PREPARE_DONE;
	/* U2: nothing is numbered after an EPOCH_BEGIN that is not durable
	 * here; and outcomes need the list of mailboxes at the end of the
	 * log. */
	if (head_begin_waits(d.h) || head_structural(d.h))
		return PREPARE_WAIT;
	r = dispatch(&d);
	if (d.exhausted)
		return err_set(e, E_LIMIT, "no UIDVALIDITY is left above %u",
			       acc->state->uidvalidity_hwm);
	if (r == PREPARE_DONE)
		w->prepared_all = true;
	return r == PREPARE_RECORD ? draft_end(&d, out, bodies) : r;
}
