#include "storage/head.h"
#include "storage/state_private.h"

#include <stdlib.h>

/* Steps of one mailbox before older ones are merged: while an account is LONE
 * for days its memory stays bounded. */
#define STEPS_MAX 256u

struct mbox_uid {
	struct id128 mbox;
	uint32_t uid;
};

/* A record beyond the published state. */
struct pend {
	struct list node;
	uint64_t seq;
	/* Values before it, for head_cut(). */
	struct position pos;
	int holder;
	uint64_t counter, jump_seq;
	size_t n_lineage;
	struct lineage_entry last_lineage;
	/* What it does. */
	bool begins, structural, raises;
	uint64_t jump;
	uint8_t jump_node;
	struct mbox_floor *floors;
	size_t n_floors;
	struct mbox_uid *gone;		/* rising within a mailbox */
	size_t n_gone, cap_gone;
	struct id128 *flags, *keywords;	/* mailboxes */
	size_t n_flags, cap_flags, n_keywords, cap_keywords;
	struct id128 *dropped;		/* deleted or renumbered */
	size_t n_dropped, cap_dropped;
	uint8_t (*deliveries)[32];
	size_t n_deliveries, cap_deliveries;
};

/* UIDNEXT of a mailbox after the record seq, which added `adds` messages. */
struct step {
	uint64_t seq, next;
	uint32_t adds;
};

/*
 * Invariants:
 *  1. steps rise in seq and next; all with seq > min(acked, durable,
 *     published), or merged.
 *  2. start = UIDNEXT before the first step; end = after the last.
 */
struct hbox {
	struct id128 id;
	uint64_t start, end;
	struct step *steps;
	size_t n, cap;
};

struct head {
	struct state *state;
	struct position pos;
	int holder;
	uint64_t counter;
	uint64_t base_seq;		/* published when this head was made */
	uint64_t jump_seq;		/* last record that raised UIDNEXTs */
	uint64_t durable, acked, published;
	struct list pending;
	struct map *boxes;
	struct lineage_entry *lineage;
	size_t n_lineage, cap_lineage;
};

struct head *head_new(struct state *published)
{
	struct head *h = NEW(struct head);

	h->state = published;
	h->pos = published->pos;
	h->holder = published->holder;
	h->counter = published->counter;
	h->base_seq = h->published = h->durable = published->pos.seq;
	list_init(&h->pending);
	h->boxes = map_new();
	for (size_t i = 0; i < published->n_lineage; i++) {
		GROW(h->lineage, h->n_lineage, h->cap_lineage);
		h->lineage[h->n_lineage++] = published->lineage[i];
	}
	return h;
}

static void pend_free(struct pend *p)
{
	list_remove(&p->node);
	free(p->floors);
	free(p->gone);
	free(p->flags);
	free(p->keywords);
	free(p->dropped);
	free(p->deliveries);
	free(p);
}

static void hbox_free(struct hbox *b)
{
	if (b)
		free(b->steps);
	free(b);
}

void head_free(struct head *h)
{
	struct slice key;
	void *v;

	if (!h)
		return;
	while (!list_empty(&h->pending))
		pend_free(CONTAINER_OF(h->pending.next, struct pend, node));
	for (size_t i = 0; map_each(h->boxes, &i, &key, &v);)
		hbox_free(v);
	map_free(h->boxes);
	free(h->lineage);
	free(h);
}

/* --- UIDNEXT at the end ---------------------------------------------------------- */

static struct hbox *box_get(const struct head *h, struct id128 id)
{
	return map_get(h->boxes, slice_of(id.b, 16));
}

static uint64_t raise_for(const struct pend *p, struct id128 mbox, uint64_t u)
{
	for (size_t i = 0; i < p->n_floors; i++)
		if (id128_eq(p->floors[i].mbox, mbox) &&
		    u < p->floors[i].uidnext)
			u = p->floors[i].uidnext;
	return p->jump ? uid_parity(u + p->jump, p->jump_node) : u;
}

uint64_t head_uidnext(const struct head *h, struct id128 mbox)
{
	const struct hbox *b = box_get(h, mbox);
	const struct mailbox *m;
	uint64_t u;

	if (b)
		return b->end;
	m = state_mailbox(h->state, mbox);
	u = m ? mailbox_uidnext(m) : 1;
	for (struct list *l = h->pending.next; l != &h->pending; l = l->next) {
		const struct pend *p = CONTAINER_OF(l, struct pend, node);

		if (p->raises)
			u = raise_for(p, mbox, u);
	}
	return u;
}

static void box_drop(struct head *h, struct id128 id)
{
	hbox_free(map_remove(h->boxes, slice_of(id.b, 16)));
}

/* Merges older steps in pairs; what they tell about the acked UIDNEXT becomes
 * a little pessimistic, never wrong. */
static void merge_steps(const struct head *h, struct hbox *b)
{
	size_t k = 0, i = 0;

	while (i < b->n) {
		struct step s = b->steps[i++];

		if (i < b->n && b->steps[i].seq <= h->published) {
			b->steps[i].adds += s.adds;
			s = b->steps[i++];
		}
		b->steps[k++] = s;
	}
	b->n = k;
}

static void step_add(struct head *h, struct hbox *b, uint64_t seq,
		     uint64_t next, uint32_t adds)
{
	struct step *last = b->n ? &b->steps[b->n - 1] : NULL;

	b->end = next;
	if (last && last->seq == seq) {
		last->next = next;
		last->adds += adds;
		return;
	}
	if (b->n >= STEPS_MAX)
		merge_steps(h, b);
	GROW(b->steps, b->n, b->cap);
	b->steps[b->n++] = (struct step){seq, next, adds};
}

static void add_message(struct head *h, uint64_t seq, struct id128 mbox,
			uint32_t uid)
{
	struct hbox *b = box_get(h, mbox);

	if (!b) {
		uint64_t u = head_uidnext(h, mbox);

		b = NEW(struct hbox);
		b->id = mbox;
		b->start = b->end = u;
		map_put(h->boxes, slice_of(mbox.b, 16), b);
	}
	step_add(h, b, seq, (uint64_t)uid + 1, 1);
}

/* --- records ------------------------------------------------------------------------ */

static void note_mbox(struct id128 **list, size_t *n, size_t *cap,
		      struct id128 id)
{
	for (size_t i = 0; i < *n; i++)
		if (id128_eq((*list)[i], id))
			return;
	GROW(*list, *n, *cap);
	(*list)[(*n)++] = id;
}

static void note_gone(struct pend *p, struct id128 mbox, uint32_t uid)
{
	GROW(p->gone, p->n_gone, p->cap_gone);
	p->gone[p->n_gone++] = (struct mbox_uid){mbox, uid};
}

static void add_begin(struct head *h, struct pend *p,
		      const struct op_epoch_begin *o)
{
	struct lineage_entry l = {o->epoch, o->nonce, p->seq, p->seq, 1,
				  o->node};
	struct slice key;
	void *v;

	p->begins = true;
	h->holder = o->node;
	h->counter = 1;
	h->pos.epoch = o->epoch;
	h->pos.nonce = o->nonce;
	GROW(h->lineage, h->n_lineage, h->cap_lineage);
	h->lineage[h->n_lineage++] = l;
	if (!o->jump && !o->n_floors)
		return;
	p->raises = true;
	p->jump = o->jump;
	p->jump_node = o->node;
	p->floors = xmalloc((o->n_floors + 1) * sizeof(*p->floors));
	if (o->n_floors)
		memcpy(p->floors, o->floors, o->n_floors * sizeof(*p->floors));
	p->n_floors = o->n_floors;
	h->jump_seq = p->seq;
	for (size_t i = 0; map_each(h->boxes, &i, &key, &v);) {
		struct hbox *b = v;

		step_add(h, b, p->seq, raise_for(p, b->id, b->end), 0);
	}
}

static void add_op(struct head *h, struct pend *p, const struct op *o)
{
	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		add_begin(h, p, &o->epoch_begin);
		break;
	case OP_HANDOVER:
		h->holder = o->handover.to;
		break;
	case OP_MBOX_DELETE:
		note_mbox(&p->dropped, &p->n_dropped, &p->cap_dropped,
			  o->mbox_delete.id);
		p->structural = true;
		break;
	case OP_MBOX_RENUMBER:
		note_mbox(&p->dropped, &p->n_dropped, &p->cap_dropped,
			  o->mbox_renumber.id);
		p->structural = true;
		break;
	case OP_ACCOUNT_CREATE: case OP_ACCOUNT_DELETE: case OP_MBOX_CREATE:
	case OP_MBOX_RENAME: case OP_SPECIALUSE:
		p->structural = true;
		break;
	case OP_KEYWORD:
		note_mbox(&p->keywords, &p->n_keywords, &p->cap_keywords,
			  o->keyword.mbox);
		break;
	case OP_MSG_ADD:
		add_message(h, p->seq, o->msg_add.mbox, o->msg_add.uid);
		break;
	case OP_MSG_FLAGS:
		note_mbox(&p->flags, &p->n_flags, &p->cap_flags,
			  o->msg_flags.mbox);
		break;
	case OP_MSG_EXPUNGE:
		for (size_t i = 0; i < o->msg_expunge.n_items; i++)
			note_gone(p, o->msg_expunge.mbox,
				  o->msg_expunge.items[i].uid);
		break;
	case OP_MSG_RETIRE:
		note_gone(p, o->msg_retire.mbox, o->msg_retire.uid);
		break;
	case OP_DELIVERY:
		GROW(p->deliveries, p->n_deliveries, p->cap_deliveries);
		memcpy(p->deliveries[p->n_deliveries++], o->delivery.id, 32);
		break;
	default:
		break;
	}
}

void head_add(struct head *h, struct position pos, const struct record *r)
{
	struct pend *p = NEW(struct pend);

	p->seq = pos.seq;
	p->pos = h->pos;
	p->holder = h->holder;
	p->counter = h->counter;
	p->jump_seq = h->jump_seq;
	p->n_lineage = h->n_lineage;
	if (h->n_lineage)
		p->last_lineage = h->lineage[h->n_lineage - 1];
	for (size_t i = 0; i < r->n_ops; i++)
		add_op(h, p, &r->ops[i]);
	if (r->modseq)
		h->counter = r->modseq & ((1ull << 36) - 1);
	h->pos = pos;
	if (h->n_lineage) {
		h->lineage[h->n_lineage - 1].last_seq = pos.seq;
		h->lineage[h->n_lineage - 1].last_counter = h->counter;
	}
	list_append(&h->pending, &p->node);
}

/* Forgets steps that no question needs any more. */
static void forget(struct head *h)
{
	uint64_t upto = h->published;
	struct slice key;
	void *v;

	if (h->durable < upto)
		upto = h->durable;
	if (h->acked < upto)
		upto = h->acked;
	for (size_t i = 0; map_each(h->boxes, &i, &key, &v);) {
		struct hbox *b = v;
		struct id128 id = b->id;
		size_t k = 0;

		while (k < b->n && b->steps[k].seq <= upto)
			b->start = b->steps[k++].next;
		memmove(b->steps, b->steps + k, (b->n - k) * sizeof(*b->steps));
		b->n -= k;
		if (b->n == 0 || (!state_mailbox(h->state, id) &&
				  list_empty(&h->pending))) {
			box_drop(h, id);
		}
	}
}

void head_durable(struct head *h, uint64_t seq)
{
	if (seq > h->durable)
		h->durable = seq;
	forget(h);
}

void head_acked(struct head *h, uint64_t seq)
{
	if (seq > h->acked)
		h->acked = seq;
	forget(h);
}

void head_published(struct head *h, uint64_t seq)
{
	if (seq > h->published)
		h->published = seq;
	while (!list_empty(&h->pending)) {
		struct pend *p = CONTAINER_OF(h->pending.next, struct pend,
					      node);

		if (p->seq > seq)
			break;
		/* Numbers of a mailbox that was renumbered or is gone mean
		 * nothing now; nothing was added since (prepare waits). */
		for (size_t i = 0; i < p->n_dropped; i++)
			box_drop(h, p->dropped[i]);
		pend_free(p);
	}
	forget(h);
}

static void cut_boxes(struct head *h, uint64_t seq)
{
	struct slice key;
	void *v;

	for (size_t i = 0; map_each(h->boxes, &i, &key, &v);) {
		struct hbox *b = v;
		struct id128 id = b->id;

		while (b->n && b->steps[b->n - 1].seq > seq)
			b->n--;
		if (b->n) {
			b->end = b->steps[b->n - 1].next;
			continue;
		}
		box_drop(h, id);
	}
}

void head_cut(struct head *h, uint64_t seq)
{
	while (!list_empty(&h->pending)) {
		struct pend *p = CONTAINER_OF(h->pending.prev, struct pend,
					      node);

		if (p->seq <= seq)
			break;
		h->pos = p->pos;
		h->holder = p->holder;
		h->counter = p->counter;
		h->jump_seq = p->jump_seq;
		h->n_lineage = p->n_lineage;
		if (h->n_lineage)
			h->lineage[h->n_lineage - 1] = p->last_lineage;
		pend_free(p);
	}
	cut_boxes(h, seq);
	if (h->durable > seq)
		h->durable = seq;
	if (h->acked > seq)
		h->acked = seq;
}

/* --- questions --------------------------------------------------------------------- */

struct position head_position(const struct head *h)
{
	return h->pos;
}

int head_holder(const struct head *h)
{
	return h->holder;
}

uint64_t head_counter(const struct head *h)
{
	return h->counter;
}

bool head_quiet(const struct head *h)
{
	return list_empty(&h->pending);
}

const struct lineage_entry *head_lineage(const struct head *h, size_t *n)
{
	*n = h->n_lineage;
	return h->lineage;
}

bool head_expunged(const struct head *h, struct id128 mbox, uint32_t uid)
{
	for (struct list *l = h->pending.next; l != &h->pending; l = l->next) {
		const struct pend *p = CONTAINER_OF(l, struct pend, node);

		for (size_t i = 0; i < p->n_gone; i++)
			if (p->gone[i].uid == uid &&
			    id128_eq(p->gone[i].mbox, mbox))
				return true;
	}
	return false;
}

static bool has_mbox(const struct id128 *list, size_t n, struct id128 id)
{
	for (size_t i = 0; i < n; i++)
		if (id128_eq(list[i], id))
			return true;
	return false;
}

#define ANY_PENDING(h, p, cond)                                               \
	({                                                                    \
		bool any_ = false;                                            \
		for (struct list *l_ = (h)->pending.next;                     \
		     l_ != &(h)->pending && !any_; l_ = l_->next) {           \
			const struct pend *p = CONTAINER_OF(l_, struct pend,  \
							    node);            \
			any_ = (cond);                                        \
		}                                                             \
		any_;                                                         \
	})

bool head_structural(const struct head *h)
{
	return ANY_PENDING(h, p, p->structural);
}

bool head_flags(const struct head *h, struct id128 mbox)
{
	return ANY_PENDING(h, p, has_mbox(p->flags, p->n_flags, mbox));
}

bool head_keyword(const struct head *h, struct id128 mbox)
{
	return ANY_PENDING(h, p, has_mbox(p->keywords, p->n_keywords, mbox));
}

bool head_begin_waits(const struct head *h)
{
	return ANY_PENDING(h, p, p->begins && p->seq > h->durable);
}

bool head_delivery(const struct head *h, const uint8_t id[32])
{
	for (struct list *l = h->pending.next; l != &h->pending; l = l->next) {
		const struct pend *p = CONTAINER_OF(l, struct pend, node);

		for (size_t i = 0; i < p->n_deliveries; i++)
			if (memcmp(p->deliveries[i], id, 32) == 0)
				return true;
	}
	return false;
}

/* --- numbering ---------------------------------------------------------------------- */

/* N*: the mailbox's UIDNEXT at the position the partner acked; 0 if that lies
 * before what this head knows, or before a jump. */
static uint64_t acked_uidnext(const struct head *h, struct id128 mbox,
			      uint64_t now)
{
	const struct hbox *b = box_get(h, mbox);
	uint64_t n;

	if (h->acked < h->base_seq || h->acked < h->jump_seq)
		return 0;
	if (!b)
		return now;
	n = b->start;
	for (size_t i = 0; i < b->n && b->steps[i].seq <= h->acked; i++)
		n = b->steps[i].next;
	return n;
}

uint64_t head_number(const struct head *h, struct id128 mbox, uint64_t uidnext,
		     unsigned node, bool dense)
{
	uint64_t n;

	if (dense)
		return uidnext;
	n = acked_uidnext(h, mbox, head_uidnext(h, mbox));
	return n && uidnext < n + UID_WINDOW ? uidnext :
					       uid_parity(uidnext, node);
}

bool head_full(const struct head *h, struct id128 mbox)
{
	const struct hbox *b = box_get(h, mbox);
	uint64_t adds = 0;

	for (size_t i = b ? b->n : 0; i-- > 0 && b->steps[i].seq > h->durable;)
		adds += b->steps[i].adds;
	return adds >= UID_WINDOW;
}
