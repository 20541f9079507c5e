#include "proto/record_private.h"

/*
 * From plain structs to protobuf.  Memory comes from one arena for the whole
 * record; strings are borrowed from the caller's record.
 */

typedef ProtobufCBinaryData bytes_t;

/* NEW message of type T in the arena, initialised. */
#define PB_NEW(a, type, init)                                      \
	({                                                         \
		type *m_ = arena_alloc((a), sizeof(type));         \
		init(m_);                                          \
		m_;                                                \
	})

static bytes_t bytes_of(const void *p, size_t n)
{
	return (bytes_t){.len = n, .data = (uint8_t *)(uintptr_t)p};
}

static bytes_t bytes_slice(struct slice s)
{
	return bytes_of(s.p, s.n);
}

/* A mailbox id; all zero ("none") is left out. */
static bytes_t bytes_id(const struct id128 *id)
{
	static const struct id128 none;

	return id128_eq(*id, none) ? bytes_of(NULL, 0) : bytes_of(id->b, 16);
}

static Duet__Record__Position *pack_position(const struct position *p,
					     struct arena *a)
{
	Duet__Record__Position *m = PB_NEW(a, Duet__Record__Position,
					   duet__record__position__init);

	m->epoch = p->epoch;
	m->nonce = p->nonce;
	m->seq = p->seq;
	m->chain = p->chain;
	return m;
}

static Duet__Record__Lineage *pack_lineage(const struct lineage_entry *l,
					   struct arena *a)
{
	Duet__Record__Lineage *m = PB_NEW(a, Duet__Record__Lineage,
					  duet__record__lineage__init);

	m->epoch = l->epoch;
	m->nonce = l->nonce;
	m->first_seq = l->first_seq;
	m->last_seq = l->last_seq;
	m->last_counter = l->last_counter;
	m->node = l->node;
	return m;
}

static bytes_t *pack_strings(const struct slice *s, size_t n, struct arena *a)
{
	bytes_t *out = n ? arena_alloc(a, n * sizeof(*out)) : NULL;

	for (size_t i = 0; i < n; i++)
		out[i] = bytes_slice(s[i]);
	return out;
}

static void pack_epoch_begin(const struct op_epoch_begin *o, pb_op *to,
			     struct arena *a)
{
	Duet__Record__EpochBegin *m = PB_NEW(a, Duet__Record__EpochBegin,
					     duet__record__epoch_begin__init);

	m->epoch = o->epoch;
	m->nonce = o->nonce;
	m->node = o->node;
	m->parent = pack_position(&o->parent, a);
	m->reason = o->reason;
	m->jump = o->jump;
	m->uidvalidity_base = o->uidvalidity_base;
	m->n_floors = o->n_floors;
	m->floors = arena_alloc(a, (o->n_floors + 1) * sizeof(*m->floors));
	for (size_t i = 0; i < o->n_floors; i++) {
		m->floors[i] = PB_NEW(a, Duet__Record__Floor,
				      duet__record__floor__init);
		m->floors[i]->mbox = bytes_of(o->floors[i].mbox.b, 16);
		m->floors[i]->uidnext = o->floors[i].uidnext;
	}
	m->n_joined = o->n_joined;
	m->joined = arena_alloc(a, (o->n_joined + 1) * sizeof(*m->joined));
	for (size_t i = 0; i < o->n_joined; i++)
		m->joined[i] = pack_lineage(&o->joined[i], a);
	m->n_joined_fork_modseq = o->n_joined;
	m->joined_fork_modseq = o->joined_fork_modseq;
	m->n_ambiguous = o->n_ambiguous;
	m->ambiguous = o->ambiguous;
	to->epoch_begin = m;
}

static void pack_checkpoint(const struct op_checkpoint *o, pb_op *to,
			    struct arena *a)
{
	Duet__Record__Checkpoint *m = PB_NEW(a, Duet__Record__Checkpoint,
					     duet__record__checkpoint__init);

	m->account_digest = bytes_of(o->account_digest, 16);
	m->n_mboxes = o->n_mboxes;
	m->mboxes = arena_alloc(a, (o->n_mboxes + 1) * sizeof(*m->mboxes));
	for (size_t i = 0; i < o->n_mboxes; i++) {
		m->mboxes[i] = PB_NEW(a, Duet__Record__MboxDigest,
				      duet__record__mbox_digest__init);
		m->mboxes[i]->mbox = bytes_of(o->mboxes[i].mbox.b, 16);
		m->mboxes[i]->digest = bytes_of(o->mboxes[i].digest, 16);
	}
	to->checkpoint = m;
}

static void pack_rename(const struct op_mbox_rename *o, pb_op *to,
			struct arena *a)
{
	Duet__Record__MboxRename *m = PB_NEW(a, Duet__Record__MboxRename,
					     duet__record__mbox_rename__init);

	m->n_items = o->n_items;
	m->items = arena_alloc(a, (o->n_items + 1) * sizeof(*m->items));
	for (size_t i = 0; i < o->n_items; i++) {
		m->items[i] = PB_NEW(a, Duet__Record__MboxRename__Item,
				     duet__record__mbox_rename__item__init);
		m->items[i]->id = bytes_of(o->items[i].id.b, 16);
		m->items[i]->name = bytes_slice(o->items[i].name);
		m->items[i]->uidvalidity = o->items[i].uidvalidity;
	}
	to->mbox_rename = m;
}

static void pack_msg_add(const struct op_msg_add *o, pb_op *to,
			 struct arena *a)
{
	static const uint8_t none[16];
	Duet__Record__MsgAdd *m = PB_NEW(a, Duet__Record__MsgAdd,
					 duet__record__msg_add__init);

	m->mbox = bytes_of(o->mbox.b, 16);
	m->uid = o->uid;
	m->emailid = bytes_of(o->emailid.b, 16);
	m->threadid = bytes_of(o->threadid.b, 16);
	m->body_hash = bytes_of(o->body_hash, 32);
	m->size = o->size;
	if (memcmp(o->traceless, none, 16) != 0)
		m->traceless = bytes_of(o->traceless, 16);
	m->internaldate = o->internaldate;
	m->internaldate_zone = o->internaldate_zone;
	m->savedate = o->savedate;
	m->flags = o->flags;
	m->n_keywords = o->n_keywords;
	m->keywords = pack_strings(o->keywords, o->n_keywords, a);
	m->source = o->source;
	m->src_mbox = bytes_id(&o->src_mbox);
	m->src_uid = o->src_uid;
	m->inline_body = o->inline_body;
	if (o->has_origin) {
		m->origin = PB_NEW(a, Duet__Record__Origin,
				   duet__record__origin__init);
		m->origin->epoch = o->origin.epoch;
		m->origin->nonce = o->origin.nonce;
		m->origin->seq = o->origin.seq;
		m->origin->index = o->origin.index;
	}
	to->msg_add = m;
}

static void pack_msg_flags(const struct op_msg_flags *o, pb_op *to,
			   struct arena *a)
{
	Duet__Record__MsgFlags *m = PB_NEW(a, Duet__Record__MsgFlags,
					   duet__record__msg_flags__init);

	m->mbox = bytes_of(o->mbox.b, 16);
	m->n_uids = o->n_uids * 2;
	m->uids = arena_alloc(a, (m->n_uids + 1) * sizeof(*m->uids));
	for (size_t i = 0; i < o->n_uids; i++) {
		m->uids[2 * i] = o->uids[i].first;
		m->uids[2 * i + 1] = o->uids[i].last - o->uids[i].first;
	}
	m->add = o->add;
	m->remove = o->remove;
	m->n_kw_add = o->n_kw_add;
	m->kw_add = pack_strings(o->kw_add, o->n_kw_add, a);
	m->n_kw_remove = o->n_kw_remove;
	m->kw_remove = pack_strings(o->kw_remove, o->n_kw_remove, a);
	to->msg_flags = m;
}

static void pack_msg_expunge(const struct op_msg_expunge *o, pb_op *to,
			     struct arena *a)
{
	Duet__Record__MsgExpunge *m = PB_NEW(a, Duet__Record__MsgExpunge,
					     duet__record__msg_expunge__init);
	uint8_t *ids = arena_alloc(a, o->n_items * 16 + 1);

	m->mbox = bytes_of(o->mbox.b, 16);
	m->n_uids = o->n_items;
	m->uids = arena_alloc(a, (o->n_items + 1) * sizeof(*m->uids));
	for (size_t i = 0; i < o->n_items; i++) {
		m->uids[i] = o->items[i].uid;
		memcpy(ids + 16 * i, o->items[i].emailid.b, 16);
	}
	m->emailids = bytes_of(ids, o->n_items * 16);
	to->msg_expunge = m;
}

static void pack_delivery(const struct op_delivery *o, pb_op *to,
			  struct arena *a)
{
	Duet__Record__Delivery *m = PB_NEW(a, Duet__Record__Delivery,
					   duet__record__delivery__init);

	m->id = bytes_of(o->id, 32);
	m->time = o->time;
	m->mbox = bytes_id(&o->mbox);
	m->uid = o->uid;
	to->delivery = m;
}

static void pack_trim(const struct op_trim *o, pb_op *to, struct arena *a)
{
	Duet__Record__Trim *m =
		PB_NEW(a, Duet__Record__Trim, duet__record__trim__init);

	m->what = o->what;
	m->mbox = bytes_id(&o->mbox);
	m->floor = o->floor;
	m->name = bytes_slice(o->name);
	to->trim = m;
}

static void pack_mbox_create(const struct op_mbox_create *o, pb_op *to,
			     struct arena *a)
{
	Duet__Record__MboxCreate *m = PB_NEW(a, Duet__Record__MboxCreate,
					     duet__record__mbox_create__init);

	m->id = bytes_of(o->id.b, 16);
	m->name = bytes_slice(o->name);
	m->uidvalidity = o->uidvalidity;
	m->derived = o->derived;
	m->special_use = o->special_use;
	to->mbox_create = m;
}

static void pack_mbox_delete(const struct op_mbox_delete *o, pb_op *to,
			     struct arena *a)
{
	Duet__Record__MboxDelete *m = PB_NEW(a, Duet__Record__MboxDelete,
					     duet__record__mbox_delete__init);

	m->id = bytes_of(o->id.b, 16);
	m->name = bytes_slice(o->name);
	m->uidnext = o->uidnext;
	m->digest = bytes_of(o->digest, 16);
	to->mbox_delete = m;
}

/* An op of a later area, or one unknown to us, goes through as it came:
 * protobuf-c writes unknown fields as tag, length and bytes. */
static void pack_raw(const struct op_raw *o, pb_op *to, struct arena *a)
{
	ProtobufCMessageUnknownField *u = ARENA_NEW(a, __typeof__(*u));
	uint8_t head[10];
	size_t n = 0, v = o->bytes.n;
	uint8_t *data;

	do {
		head[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		v >>= 7;
	} while (v);
	data = arena_alloc(a, n + o->bytes.n);
	memcpy(data, head, n);
	if (o->bytes.n)
		memcpy(data + n, o->bytes.p, o->bytes.n);
	u->tag = o->field;
	u->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
	u->len = n + o->bytes.n;
	u->data = data;
	to->base.n_unknown_fields = 1;
	to->base.unknown_fields = u;
}

static bool pack_small(const struct op *o, pb_op *to, struct arena *a)
{
	switch (o->kind) {
	case OP_NOOP:
		to->noop = PB_NEW(a, Duet__Record__Noop,
				  duet__record__noop__init);
		return true;
	case OP_HANDOVER:
		to->handover = PB_NEW(a, Duet__Record__Handover,
				      duet__record__handover__init);
		to->handover->to = o->handover.to;
		to->handover->account_digest =
			bytes_of(o->handover.account_digest, 16);
		to->handover->counter = o->handover.counter;
		return true;
	case OP_ACCOUNT_CREATE:
		to->account_create = PB_NEW(a, Duet__Record__AccountCreate,
					    duet__record__account_create__init);
		to->account_create->name = bytes_slice(o->account_name);
		return true;
	case OP_ACCOUNT_DELETE:
		to->account_delete = PB_NEW(a, Duet__Record__AccountDelete,
					    duet__record__account_delete__init);
		to->account_delete->op_id = bytes_of(o->delete_op.b, 16);
		return true;
	case OP_UIDVALIDITY_HWM:
		to->uidvalidity_hwm =
			PB_NEW(a, Duet__Record__UidvalidityHwm,
			       duet__record__uidvalidity_hwm__init);
		to->uidvalidity_hwm->value = o->uidvalidity_hwm;
		return true;
	case OP_MBOX_RENUMBER:
		to->mbox_renumber = PB_NEW(a, Duet__Record__MboxRenumber,
					   duet__record__mbox_renumber__init);
		to->mbox_renumber->id = bytes_of(o->mbox_renumber.id.b, 16);
		to->mbox_renumber->uidvalidity = o->mbox_renumber.uidvalidity;
		return true;
	case OP_SUBSCRIBE:
		to->subscribe = PB_NEW(a, Duet__Record__Subscribe,
				       duet__record__subscribe__init);
		to->subscribe->name = bytes_slice(o->subscribe.name);
		to->subscribe->on = o->subscribe.on;
		return true;
	case OP_SPECIALUSE:
		to->specialuse = PB_NEW(a, Duet__Record__Specialuse,
					duet__record__specialuse__init);
		to->specialuse->id = bytes_of(o->specialuse.id.b, 16);
		to->specialuse->set = o->specialuse.set;
		return true;
	case OP_KEYWORD:
		to->keyword = PB_NEW(a, Duet__Record__Keyword,
				     duet__record__keyword__init);
		to->keyword->mbox = bytes_of(o->keyword.mbox.b, 16);
		to->keyword->spelling = bytes_slice(o->keyword.spelling);
		return true;
	case OP_MSG_RETIRE:
		to->msg_retire = PB_NEW(a, Duet__Record__MsgRetire,
					duet__record__msg_retire__init);
		to->msg_retire->mbox = bytes_of(o->msg_retire.mbox.b, 16);
		to->msg_retire->uid = o->msg_retire.uid;
		to->msg_retire->new_uid = o->msg_retire.new_uid;
		return true;
	default:
		return false;
	}
}

void record_pack_op(const struct op *o, pb_op *to, struct arena *a)
{
	to->ignorable = o->ignorable;
	to->op_case = (Duet__Record__Op__OpCase)o->kind;
	if (pack_small(o, to, a))
		return;
	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		pack_epoch_begin(&o->epoch_begin, to, a);
		break;
	case OP_CHECKPOINT:
		pack_checkpoint(&o->checkpoint, to, a);
		break;
	case OP_TRIM:
		pack_trim(&o->trim, to, a);
		break;
	case OP_MBOX_CREATE:
		pack_mbox_create(&o->mbox_create, to, a);
		break;
	case OP_MBOX_RENAME:
		pack_rename(&o->mbox_rename, to, a);
		break;
	case OP_MBOX_DELETE:
		pack_mbox_delete(&o->mbox_delete, to, a);
		break;
	case OP_MSG_ADD:
		pack_msg_add(&o->msg_add, to, a);
		break;
	case OP_MSG_FLAGS:
		pack_msg_flags(&o->msg_flags, to, a);
		break;
	case OP_MSG_EXPUNGE:
		pack_msg_expunge(&o->msg_expunge, to, a);
		break;
	case OP_DELIVERY:
		pack_delivery(&o->delivery, to, a);
		break;
	default:
		to->op_case = DUET__RECORD__OP__OP__NOT_SET;
		pack_raw(&o->raw, to, a);
		break;
	}
}
