#include "node/base/digest.h"
#include "storage/prepare_private.h"

/* DELIVER and APPEND: messages with bodies, all in one record, so that the
 * command is done whole or not at all (RFC 3502). */

#define NO_ID ((struct id128){{0}})

/* THREADID is a function of the EMAILID (I8). */
static struct id128 thread_of(struct id128 emailid)
{
	uint8_t hash[SHA256_SIZE];
	struct id128 t;

	sha256(slice_of(emailid.b, 16), hash);
	memcpy(t.b, hash, 16);
	return t;
}

/* The mailbox to add to: there, or made by this record. */
static int find_target(struct draft *d)
{
	struct write *w = d->w;
	struct mailbox *m;
	struct slice name;
	bool inbox;
	int r;

	r = draft_mailbox(d, w->mbox, w->name, &m);
	if (r == 0) {
		r = prepare_uids_left(d, m);
		if (r != PREPARE_DONE)
			return r;
		d->target = m->id;
		d->target_box = m;
		d->uidnext = head_uidnext(d->h, m->id);
		w->uidvalidity = m->uidvalidity;
		return 0;
	}
	if (w->kind != WRITE_DELIVER || w->name.n == 0)
		return r;
	if (draft_name(d, w->name, &name) < 0)
		return E_INVALID;
	inbox = slice_is(name, "INBOX");
	if (!inbox && !w->autocreate)
		return r;
	if (!draft_quiet(d))
		return PREPARE_WAIT;
	draft_create(d, name, 0, inbox, &d->target, &w->uidvalidity);
	d->uidnext = d->ops[d->n - 1].mbox_create.derived ?
			     state_uidnext_since_genesis(d->s) : 1;
	if (w->autosubscribe) {
		struct op *o = draft_op(d, OP_SUBSCRIBE, 8 + name.n);

		o->subscribe.name = name;
		o->subscribe.on = true;
	}
	return 0;
}

static void add_body(struct draft *d, const struct write_msg *m,
		     struct op_msg_add *o)
{
	/* A body of no octets is inline too. */
	if (m->body.tmp_path)
		return;
	o->inline_body = true;
	if (!d->bodies)
		d->bodies = arena_alloc(d->a, d->w->n_msgs *
						      sizeof(*d->bodies));
	d->bodies[d->n_bodies++] = m->body.data;
}

static int add_one(struct draft *d, struct write_msg *m)
{
	struct slice *keywords;
	size_t n_keywords;
	struct op_msg_add *o;
	uint64_t uid;
	int r;

	r = draft_keywords(d, m->keywords, m->n_keywords, &keywords,
			   &n_keywords);
	if (r < 0)
		return r;
	uid = head_number(d->h, d->target, d->uidnext, d->ctx->node,
			  d->ctx->dense);
	if (uid > UINT32_MAX)
		return err_set(d->e, E_LIMIT, "no UID is left");
	d->uidnext = uid + 1;
	m->uid = (uint32_t)uid;
	o = &draft_op(d, OP_MSG_ADD, 220)->msg_add;
	o->mbox = d->target;
	o->uid = (uint32_t)uid;
	d->ctx->rng->bytes(d->ctx->rng, o->emailid.b, 16);
	o->threadid = thread_of(o->emailid);
	memcpy(o->body_hash, m->body.hash, 32);
	o->size = m->body.size;
	memcpy(o->traceless, m->traceless, 16);
	o->internaldate = m->internaldate;
	o->internaldate_zone = m->internaldate_zone;
	o->savedate = d->ctx->now;
	o->flags = m->flags & MSG_FLAGS_MASK;
	o->keywords = keywords;
	o->n_keywords = n_keywords;
	o->source = d->w->kind == WRITE_DELIVER ? SOURCE_LMTP : SOURCE_APPEND;
	add_body(d, m, o);
	return 0;
}

/* Was this delivery made before?  (replication.md, Delivery ids) */
static int duplicate(struct draft *d)
{
	struct write *w = d->w;
	const struct delivery *was;
	const struct mailbox *m;

	if (!w->has_delivery_id)
		return 0;
	if (head_delivery(d->h, w->delivery_id))
		return PREPARE_WAIT;
	was = state_delivery(d->s, w->delivery_id);
	if (!was)
		return 0;
	w->duplicate = true;
	w->result_mbox = was->mbox;
	m = state_mailbox(d->s, was->mbox);
	w->uidvalidity = m ? m->uidvalidity : 0;
	if (w->n_msgs)
		w->msgs[0].uid = was->uid;
	return PREPARE_DONE;
}

static void add_delivery(struct draft *d)
{
	struct write *w = d->w;
	struct op_delivery *o;

	if (!w->has_delivery_id)
		return;
	o = &draft_op(d, OP_DELIVERY, 80)->delivery;
	memcpy(o->id, w->delivery_id, 32);
	o->time = d->ctx->now;
	if (w->n_msgs) {
		o->mbox = d->target;
		o->uid = w->msgs[0].uid;
	}
}

static bool has_keywords(const struct write *w)
{
	for (size_t i = 0; i < w->n_msgs; i++)
		if (w->msgs[i].n_keywords)
			return true;
	return false;
}

int prepare_add(struct draft *d)
{
	struct write *w = d->w;
	int r = duplicate(d);

	if (r != 0)
		return r;
	if (w->next_item)
		return PREPARE_DONE;
	if (w->n_msgs > RECORD_UIDS_MAX) {
		err_set(d->e, E_LIMIT, "%zu messages in one command",
			w->n_msgs);
		err_client(d->e, "Too many messages in one command.");
		return E_LIMIT;
	}
	r = find_target(d);
	if (r != 0)
		return r;
	if (head_full(d->h, d->target) ||
	    (has_keywords(w) && head_keyword(d->h, d->target)))
		return PREPARE_WAIT;
	for (size_t i = 0; i < w->n_msgs; i++) {
		r = add_one(d, &w->msgs[i]);
		if (r < 0)
			return r;
	}
	add_delivery(d);
	if (d->size > RECORD_SIZE_MAX)
		return err_set(d->e, E_LIMIT, "command of more than %u bytes "
			       "of flags", RECORD_SIZE_MAX);
	w->result_mbox = d->target;
	w->next_item = w->n_msgs + 1;
	w->prepared_all = true;
	return d->n ? PREPARE_RECORD : PREPARE_DONE;
}

/* --- COPY, MOVE -------------------------------------------------------------------- */

struct copy {
	struct draft *d;
	struct mailbox *src;
	struct ranges from, to;
	struct expunged *gone;
	size_t n;
	uint64_t next_uid;		/* of the source, after this record */
};

static int copy_one(struct copy *c, uint32_t rec)
{
	struct draft *d = c->d;
	const struct mrec *r = index_rec(&c->src->index, rec);
	struct slice *spelt = NULL, *keywords;
	size_t n_spelt = 0, n_keywords;
	struct op_msg_add *o;
	uint64_t uid;
	int rc;

	for (size_t i = 0; i < c->src->n_keywords; i++) {
		if (!mailbox_has_keyword(c->src, rec, i))
			continue;
		if (!spelt)
			spelt = arena_alloc(d->a, c->src->n_keywords *
							  sizeof(*spelt));
		spelt[n_spelt++] = slice_str(c->src->keywords[i].spelling);
	}
	rc = draft_keywords(d, spelt, n_spelt, &keywords, &n_keywords);
	if (rc < 0)
		return rc;
	uid = head_number(d->h, d->target, d->uidnext, d->ctx->node,
			  d->ctx->dense);
	if (uid > UINT32_MAX)
		return err_set(d->e, E_LIMIT, "no UID is left");
	d->uidnext = uid + 1;
	o = &draft_op(d, OP_MSG_ADD, 220)->msg_add;
	o->mbox = d->target;
	o->uid = (uint32_t)uid;
	o->emailid = r->emailid;
	o->threadid = r->threadid;
	memcpy(o->body_hash, r->body_hash, 32);
	o->size = r->size;
	o->internaldate = r->internaldate;
	o->internaldate_zone = r->internaldate_zone;
	o->savedate = d->ctx->now;
	o->flags = r->flags & MSG_FLAGS_MASK;
	o->keywords = keywords;
	o->n_keywords = n_keywords;
	o->source = SOURCE_COPY;
	o->src_mbox = c->src->id;
	o->src_uid = r->uid;
	ranges_add(&c->from, d->a, r->uid);
	ranges_add(&c->to, d->a, o->uid);
	c->gone[c->n++] = (struct expunged){r->uid, r->emailid};
	d->size += 24;
	return 0;
}

static bool room(const struct copy *c)
{
	return c->n < RECORD_UIDS_MAX && c->d->size < PREPARE_SIZE_MAX;
}

/* Records of the wanted UIDs from next_item on, until the record is full. */
static int copy_some(struct copy *c)
{
	struct write *w = c->d->w;
	uint32_t uid;
	int r;

	for (size_t k = 0; k < w->n_uids; k++) {
		uint64_t first = w->uids[k].first;
		uint32_t i;

		if (first < w->next_item)
			first = w->next_item;
		if (first > w->uids[k].last)
			continue;
		i = index_lower(&c->src->index, (uint32_t)first);
		for (; i < c->src->index.n && room(c); i++) {
			const struct mrec *rec = index_rec(&c->src->index, i);

			uid = rec->uid;
			if (uid > w->uids[k].last)
				break;
			c->next_uid = (uint64_t)uid + 1;
			if ((rec->flags & MREC_EXPUNGED) ||
			    head_expunged(c->d->h, c->src->id, uid))
				continue;
			r = copy_one(c, i);
			if (r < 0)
				return r;
		}
		if (!room(c))
			return 0;
	}
	c->next_uid = (uint64_t)UINT32_MAX + 1;
	return 0;
}

/* Copies into the source itself are not copied again. */
static void clip(struct draft *d, uint64_t uidnext)
{
	struct write *w = d->w;
	struct uid_range *r = arena_alloc(d->a, (w->n_uids + 1) * sizeof(*r));
	size_t n = 0;

	for (size_t i = 0; i < w->n_uids; i++) {
		if (w->uids[i].first >= uidnext)
			continue;
		r[n] = w->uids[i];
		if (r[n].last >= uidnext)
			r[n].last = (uint32_t)(uidnext - 1);
		n++;
	}
	w->uids = r;
	w->n_uids = n;
}

int prepare_copy(struct draft *d)
{
	bool move = d->w->kind != WRITE_COPY;
	struct write *w = d->w;
	struct copy c = {.d = d};
	struct mailbox *target;
	struct op_msg_expunge *x;
	int r;

	r = draft_mailbox(d, w->mbox, SLICE_NONE, &c.src);
	if (r == 0)
		r = draft_mailbox(d, w->target, w->new_name, &target);
	if (r == 0)
		r = mailbox_index(c.src, d->e);
	if (r < 0)
		return r;
	r = prepare_uids_left(d, target);
	if (r != PREPARE_DONE)
		return r;
	if (w->next_item == 0) {
		clip(d, mailbox_uidnext(c.src));
		w->next_item = 1;
	}
	/* Flags are copied as they are at the end of the log. */
	if (head_flags(d->h, c.src->id) || head_keyword(d->h, target->id) ||
	    head_full(d->h, target->id))
		return PREPARE_WAIT;
	d->target = target->id;
	d->target_box = target;
	d->uidnext = head_uidnext(d->h, target->id);
	c.gone = arena_alloc(d->a, RECORD_UIDS_MAX * sizeof(*c.gone));
	r = c.src->index.gen ? copy_some(&c) : 0;
	if (r < 0)
		return r;
	if (c.next_uid == 0)
		c.next_uid = (uint64_t)UINT32_MAX + 1;
	w->next_item = (size_t)c.next_uid;
	w->prepared_all = w->next_item > UINT32_MAX;
	w->result_mbox = target->id;
	w->uidvalidity = target->uidvalidity;
	if (c.n == 0)
		return PREPARE_DONE;
	if (move) {
		x = &draft_op(d, OP_MSG_EXPUNGE, 0)->msg_expunge;
		x->mbox = c.src->id;
		x->items = c.gone;
		x->n_items = c.n;
	}
	ranges_append(&w->src_uids, &w->n_src_uids, &c.from, d->a);
	ranges_append(&w->dst_uids, &w->n_dst_uids, &c.to, d->a);
	return PREPARE_RECORD;
}
