#include "proto/record_private.h"

/*
 * Bytes to structs and back.  protobuf-c allocates from the caller's arena,
 * so a decoded record is a handful of bumps of a pointer and goes at once;
 * nothing is copied a second time.
 */

/* Bounds of lists that are not already bounded by RECORD_SIZE_MAX. */
#define LINEAGE_MAX 65536u
#define RENAME_MAX 16384u
/* Keeps the structs of a hostile megabyte of empty ops small. */
#define OPS_MAX 16384u

struct reader {
	struct arena *a;
	struct err *e;
	int result;
	size_t uids;		/* new UIDs in this record */
};

static int bad(struct reader *r, const char *what)
{
	if (!r->result)
		r->result = err_set(r->e, E_CORRUPT, "record: %s", what);
	return r->result;
}

static void take_bytes(struct reader *r, ProtobufCBinaryData b, void *to,
		       size_t n, const char *what)
{
	if (b.len != n)
		bad(r, what);
	else
		memcpy(to, b.data, n);
}

static void take_id(struct reader *r, ProtobufCBinaryData b, struct id128 *to)
{
	take_bytes(r, b, to->b, 16, "an id that is not 16 octets");
}

/* Empty = none, all zero. */
static void take_optional_id(struct reader *r, ProtobufCBinaryData b,
			     struct id128 *to)
{
	memset(to, 0, sizeof(*to));
	if (b.len)
		take_id(r, b, to);
}

static struct slice take_text(struct reader *r, ProtobufCBinaryData b,
			      size_t max, const char *what)
{
	if (b.len == 0 || b.len > max || memchr(b.data, 0, b.len))
		bad(r, what);
	return slice_of(b.data, b.len);
}

static struct slice *take_keywords(struct reader *r, size_t n,
				   const ProtobufCBinaryData *b)
{
	struct slice *out = n ? arena_alloc(r->a, n * sizeof(*out)) : NULL;

	for (size_t i = 0; i < n; i++) {
		out[i] = take_text(r, b[i], KEYWORD_MAX, "keyword length");
		for (size_t k = 0; k < out[i].n; k++)
			if (out[i].p[k] >= 'A' && out[i].p[k] <= 'Z')
				bad(r, "keyword that is not folded");
	}
	return out;
}

static void take_position(struct reader *r, const Duet__Record__Position *m,
			  struct position *to)
{
	memset(to, 0, sizeof(*to));
	if (!m) {
		bad(r, "position missing");
		return;
	}
	*to = (struct position){m->epoch, m->nonce, m->seq, m->chain};
}

static void take_epoch_begin(struct reader *r,
			     const Duet__Record__EpochBegin *m,
			     struct op_epoch_begin *o)
{
	o->epoch = m->epoch;
	o->nonce = m->nonce;
	o->node = (uint8_t)m->node;
	o->reason = (uint8_t)m->reason;
	o->jump = m->jump;
	o->uidvalidity_base = m->uidvalidity_base;
	take_position(r, m->parent, &o->parent);
	if (m->node > 1 || m->epoch == 0)
		bad(r, "EPOCH_BEGIN without a node or number");
	if (m->reason < EPOCH_START || m->reason > 255)
		bad(r, "EPOCH_BEGIN without a reason");
	if (m->jump > UINT32_MAX)
		bad(r, "EPOCH_BEGIN with an impossible jump");
	if (m->n_joined > LINEAGE_MAX || m->n_ambiguous > LINEAGE_MAX ||
	    m->n_joined != m->n_joined_fork_modseq) {
		bad(r, "EPOCH_BEGIN with impossible lists");
		return;
	}
	o->floors = arena_alloc(r->a, (m->n_floors + 1) * sizeof(*o->floors));
	o->n_floors = m->n_floors;
	for (size_t i = 0; i < m->n_floors; i++) {
		take_id(r, m->floors[i]->mbox, &o->floors[i].mbox);
		o->floors[i].uidnext = m->floors[i]->uidnext;
	}
	o->joined = arena_alloc(r->a, (m->n_joined + 1) * sizeof(*o->joined));
	o->n_joined = m->n_joined;
	for (size_t i = 0; i < m->n_joined; i++) {
		const Duet__Record__Lineage *l = m->joined[i];

		if (l->node > 1 || l->first_seq > l->last_seq)
			bad(r, "lineage entry");
		o->joined[i] = (struct lineage_entry){
			l->epoch, l->nonce, l->first_seq, l->last_seq,
			l->last_counter, (uint8_t)l->node,
		};
	}
	o->joined_fork_modseq = m->joined_fork_modseq;
	o->ambiguous = m->ambiguous;
	o->n_ambiguous = m->n_ambiguous;
}

static void take_checkpoint(struct reader *r,
			    const Duet__Record__Checkpoint *m,
			    struct op_checkpoint *o)
{
	take_bytes(r, m->account_digest, o->account_digest, 16, "digest");
	o->mboxes = arena_alloc(r->a, (m->n_mboxes + 1) * sizeof(*o->mboxes));
	o->n_mboxes = m->n_mboxes;
	for (size_t i = 0; i < m->n_mboxes; i++) {
		take_id(r, m->mboxes[i]->mbox, &o->mboxes[i].mbox);
		take_bytes(r, m->mboxes[i]->digest, o->mboxes[i].digest, 16,
			   "digest");
	}
}

static void take_rename(struct reader *r, const Duet__Record__MboxRename *m,
			struct op_mbox_rename *o)
{
	if (m->n_items == 0 || m->n_items > RENAME_MAX) {
		bad(r, "MBOX_RENAME of nothing or too much");
		return;
	}
	o->n_items = m->n_items;
	o->items = arena_alloc(r->a, m->n_items * sizeof(*o->items));
	for (size_t i = 0; i < m->n_items; i++) {
		take_id(r, m->items[i]->id, &o->items[i].id);
		o->items[i].name = take_text(r, m->items[i]->name,
					     MBOX_NAME_MAX, "mailbox name");
		o->items[i].uidvalidity = m->items[i]->uidvalidity;
		if (!m->items[i]->uidvalidity)
			bad(r, "UIDVALIDITY 0");
	}
}

static void take_msg_add(struct reader *r, const Duet__Record__MsgAdd *m,
			 struct op_msg_add *o)
{
	take_id(r, m->mbox, &o->mbox);
	take_id(r, m->emailid, &o->emailid);
	take_id(r, m->threadid, &o->threadid);
	take_bytes(r, m->body_hash, o->body_hash, 32, "body hash");
	memset(o->traceless, 0, 16);
	if (m->traceless.len)
		take_bytes(r, m->traceless, o->traceless, 16, "traceless hash");
	o->uid = m->uid;
	o->size = m->size;
	o->internaldate = m->internaldate;
	o->internaldate_zone = (int16_t)m->internaldate_zone;
	o->savedate = m->savedate;
	o->flags = m->flags;
	o->n_keywords = m->n_keywords;
	o->keywords = take_keywords(r, m->n_keywords, m->keywords);
	o->source = (uint8_t)m->source;
	take_optional_id(r, m->src_mbox, &o->src_mbox);
	o->src_uid = m->src_uid;
	o->inline_body = m->inline_body;
	o->has_origin = m->origin != NULL;
	if (m->origin)
		o->origin = (struct origin){m->origin->epoch, m->origin->nonce,
					    m->origin->seq, m->origin->index};
	if (o->uid == 0 || (o->flags & ~(uint32_t)MSG_FLAGS_MASK))
		bad(r, "MSG_ADD with an impossible UID or flag");
	if (m->source < SOURCE_LMTP || m->source > 255 ||
	    m->internaldate_zone < -24 * 60 || m->internaldate_zone > 24 * 60)
		bad(r, "MSG_ADD with an impossible source or zone");
	if (m->size > (uint64_t)1 << 40)
		bad(r, "MSG_ADD with an impossible size");
	if (++r->uids > RECORD_UIDS_MAX)
		bad(r, "more new UIDs than a record may have");
}

static void take_msg_flags(struct reader *r, const Duet__Record__MsgFlags *m,
			   struct op_msg_flags *o)
{
	uint64_t before = 0;

	take_id(r, m->mbox, &o->mbox);
	o->add = m->add;
	o->remove = m->remove;
	if ((o->add | o->remove) & ~(uint32_t)MSG_FLAGS_MASK)
		bad(r, "MSG_FLAGS with an unknown flag");
	o->n_kw_add = m->n_kw_add;
	o->kw_add = take_keywords(r, m->n_kw_add, m->kw_add);
	o->n_kw_remove = m->n_kw_remove;
	o->kw_remove = take_keywords(r, m->n_kw_remove, m->kw_remove);
	if (m->n_uids == 0 || m->n_uids % 2) {
		bad(r, "MSG_FLAGS of nothing");
		return;
	}
	o->n_uids = m->n_uids / 2;
	o->uids = arena_alloc(r->a, o->n_uids * sizeof(*o->uids));
	for (size_t i = 0; i < o->n_uids; i++) {
		uint64_t first = m->uids[2 * i];
		uint64_t last = first + m->uids[2 * i + 1];

		if (first <= before || last > UINT32_MAX) {
			bad(r, "UID ranges that do not rise");
			return;
		}
		o->uids[i] = (struct uid_range){(uint32_t)first,
						(uint32_t)last};
		before = last;
	}
}

static void take_msg_expunge(struct reader *r,
			     const Duet__Record__MsgExpunge *m,
			     struct op_msg_expunge *o)
{
	take_id(r, m->mbox, &o->mbox);
	if (m->n_uids == 0 || m->emailids.len != m->n_uids * 16) {
		bad(r, "MSG_EXPUNGE without an EMAILID for each UID");
		return;
	}
	o->n_items = m->n_uids;
	o->items = arena_alloc(r->a, o->n_items * sizeof(*o->items));
	for (size_t i = 0; i < o->n_items; i++) {
		o->items[i].uid = m->uids[i];
		memcpy(o->items[i].emailid.b, m->emailids.data + 16 * i, 16);
		if (m->uids[i] <= (i ? m->uids[i - 1] : 0))
			bad(r, "UIDs that do not rise");
	}
}

static void take_delivery(struct reader *r, const Duet__Record__Delivery *m,
			  struct op_delivery *o)
{
	take_bytes(r, m->id, o->id, 32, "delivery id");
	o->time = m->time;
	take_optional_id(r, m->mbox, &o->mbox);
	o->uid = m->uid;
}

static void take_trim(struct reader *r, const Duet__Record__Trim *m,
		      struct op_trim *o)
{
	if (m->what == 0 || m->what > 255)
		bad(r, "TRIM of nothing");
	o->what = (uint8_t)m->what;
	take_optional_id(r, m->mbox, &o->mbox);
	o->floor = m->floor;
	o->name = slice_of(m->name.data, m->name.len);
	if (m->name.len > MBOX_NAME_MAX)
		bad(r, "TRIM of an impossible name");
}

static void take_mbox_create(struct reader *r,
			     const Duet__Record__MboxCreate *m,
			     struct op_mbox_create *o)
{
	take_id(r, m->id, &o->id);
	o->name = take_text(r, m->name, MBOX_NAME_MAX, "mailbox name");
	o->uidvalidity = m->uidvalidity;
	o->derived = m->derived;
	o->special_use = m->special_use;
	if (!o->uidvalidity)
		bad(r, "UIDVALIDITY 0");
}

static void take_mbox_delete(struct reader *r,
			     const Duet__Record__MboxDelete *m,
			     struct op_mbox_delete *o)
{
	take_id(r, m->id, &o->id);
	o->name = take_text(r, m->name, MBOX_NAME_MAX, "mailbox name");
	o->uidnext = m->uidnext;
	take_bytes(r, m->digest, o->digest, 16, "digest");
}

/* Ops of later areas: their bytes as protobuf has them. */
static void take_later(struct reader *r, const pb_op *m, struct op *o)
{
	/* All members of the union are pointers to messages. */
	const ProtobufCMessage *sub = &m->noop->base;
	size_t n = protobuf_c_message_get_packed_size(sub);
	uint8_t *p = arena_alloc(r->a, n + 1);

	protobuf_c_message_pack(sub, p);
	o->raw.field = (uint32_t)m->op_case;
	o->raw.bytes = slice_of(p, n);
}

static void take_small(struct reader *r, const pb_op *m, struct op *o)
{
	switch (m->op_case) {
	case DUET__RECORD__OP__OP_NOOP:
		break;
	case DUET__RECORD__OP__OP_HANDOVER:
		o->handover.to = (uint8_t)m->handover->to;
		o->handover.counter = m->handover->counter;
		take_bytes(r, m->handover->account_digest,
			   o->handover.account_digest, 16, "digest");
		if (m->handover->to > 1)
			bad(r, "HANDOVER to no node");
		break;
	case DUET__RECORD__OP__OP_ACCOUNT_CREATE:
		o->account_name = take_text(r, m->account_create->name,
					    ACCOUNT_NAME_MAX, "account name");
		break;
	case DUET__RECORD__OP__OP_ACCOUNT_DELETE:
		take_id(r, m->account_delete->op_id, &o->delete_op);
		break;
	case DUET__RECORD__OP__OP_UIDVALIDITY_HWM:
		o->uidvalidity_hwm = m->uidvalidity_hwm->value;
		break;
	case DUET__RECORD__OP__OP_MBOX_RENUMBER:
		take_id(r, m->mbox_renumber->id, &o->mbox_renumber.id);
		o->mbox_renumber.uidvalidity = m->mbox_renumber->uidvalidity;
		if (!o->mbox_renumber.uidvalidity)
			bad(r, "UIDVALIDITY 0");
		break;
	case DUET__RECORD__OP__OP_SUBSCRIBE:
		o->subscribe.name = take_text(r, m->subscribe->name,
					      MBOX_NAME_MAX, "mailbox name");
		o->subscribe.on = m->subscribe->on;
		break;
	case DUET__RECORD__OP__OP_SPECIALUSE:
		take_id(r, m->specialuse->id, &o->specialuse.id);
		o->specialuse.set = m->specialuse->set;
		break;
	case DUET__RECORD__OP__OP_KEYWORD:
		take_id(r, m->keyword->mbox, &o->keyword.mbox);
		o->keyword.spelling = take_text(r, m->keyword->spelling,
						KEYWORD_MAX, "keyword length");
		break;
	case DUET__RECORD__OP__OP_MSG_RETIRE:
		take_id(r, m->msg_retire->mbox, &o->msg_retire.mbox);
		o->msg_retire.uid = m->msg_retire->uid;
		o->msg_retire.new_uid = m->msg_retire->new_uid;
		if (o->msg_retire.uid == 0)
			bad(r, "MSG_RETIRE of UID 0");
		break;
	default:
		take_later(r, m, o);
		break;
	}
}

static void take_op(struct reader *r, const pb_op *m, struct op *o)
{
	o->ignorable = m->ignorable;
	o->kind = (uint8_t)m->op_case;
	switch (m->op_case) {
	case DUET__RECORD__OP__OP_EPOCH_BEGIN:
		take_epoch_begin(r, m->epoch_begin, &o->epoch_begin);
		break;
	case DUET__RECORD__OP__OP_CHECKPOINT:
		take_checkpoint(r, m->checkpoint, &o->checkpoint);
		break;
	case DUET__RECORD__OP__OP_TRIM:
		take_trim(r, m->trim, &o->trim);
		break;
	case DUET__RECORD__OP__OP_MBOX_CREATE:
		take_mbox_create(r, m->mbox_create, &o->mbox_create);
		break;
	case DUET__RECORD__OP__OP_MBOX_RENAME:
		take_rename(r, m->mbox_rename, &o->mbox_rename);
		break;
	case DUET__RECORD__OP__OP_MBOX_DELETE:
		take_mbox_delete(r, m->mbox_delete, &o->mbox_delete);
		break;
	case DUET__RECORD__OP__OP_MSG_ADD:
		take_msg_add(r, m->msg_add, &o->msg_add);
		break;
	case DUET__RECORD__OP__OP_MSG_FLAGS:
		take_msg_flags(r, m->msg_flags, &o->msg_flags);
		break;
	case DUET__RECORD__OP__OP_MSG_EXPUNGE:
		take_msg_expunge(r, m->msg_expunge, &o->msg_expunge);
		break;
	case DUET__RECORD__OP__OP_DELIVERY:
		take_delivery(r, m->delivery, &o->delivery);
		break;
	default:
		take_small(r, m, o);
		break;
	}
}

/* An op that a later version has made longer means more than we understand. */
static void check_whole(struct reader *r, const pb_op *m)
{
	/* All members of the union are pointers to messages. */
	const ProtobufCMessage *sub = &m->noop->base;

	if ((m->base.n_unknown_fields || sub->n_unknown_fields) &&
	    !m->ignorable && !r->result)
		r->result = err_set(r->e, E_VERSION,
				    "record: op %u has fields that are not "
				    "known here", (unsigned)m->op_case);
}

/* A field that this version has no name for: kept as it came. */
static void take_unknown(struct reader *r, const pb_op *m, struct op *o)
{
	const ProtobufCMessageUnknownField *u = m->base.unknown_fields;
	size_t head = 0;

	o->ignorable = m->ignorable;
	if (m->base.n_unknown_fields != 1 || u->tag < OP_EPOCH_BEGIN ||
	    u->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
		bad(r, "an op that is empty or no message");
		return;
	}
	while (head < u->len && (u->data[head] & 0x80))
		head++;
	if (head >= u->len) {
		bad(r, "an op without a length");
		return;
	}
	o->kind = 0;
	o->raw.field = u->tag;
	o->raw.bytes = slice_of(u->data + head + 1, u->len - head - 1);
	if (!m->ignorable && !r->result)
		r->result = err_set(r->e, E_VERSION,
				    "record: op %u is not known here; this "
				    "node is older than its partner",
				    (unsigned)u->tag);
}

static void *pb_alloc(void *a, size_t n)
{
	return arena_alloc(a, n);
}

static void pb_free(void *a, void *p)
{
	(void)a;
	(void)p;
}

int record_decode(struct slice payload, struct arena *a, struct record *out,
		  struct err *e)
{
	ProtobufCAllocator alloc = {pb_alloc, pb_free, a};
	struct reader r = {a, e, 0, 0};
	struct record rec = {0};
	pb_record *m;

	if (payload.n > RECORD_SIZE_MAX)
		return err_set(e, E_CORRUPT, "record: longer than %u bytes",
			       RECORD_SIZE_MAX);
	m = duet__record__record__unpack(&alloc, payload.n, payload.p);
	if (!m)
		return err_set(e, E_CORRUPT, "record: not a record");
	if (m->n_ops > OPS_MAX)
		return err_set(e, E_CORRUPT, "record: more than %u ops",
			       OPS_MAX);
	if (m->base.n_unknown_fields)
		bad(&r, "unknown fields beside the ops");
	if (m->modseq >> 52)
		bad(&r, "modseq over 52 bits");
	rec.modseq = m->modseq;
	rec.n_ops = m->n_ops;
	rec.ops = arena_zalloc(a, (m->n_ops + 1) * sizeof(*rec.ops));
	for (size_t i = 0; i < m->n_ops && !r.result; i++) {
		if (m->ops[i]->op_case == DUET__RECORD__OP__OP__NOT_SET)
			take_unknown(&r, m->ops[i], &rec.ops[i]);
		else
			take_op(&r, m->ops[i], &rec.ops[i]);
		if (m->ops[i]->op_case != DUET__RECORD__OP__OP__NOT_SET)
			check_whole(&r, m->ops[i]);
	}
	if (r.result)
		return r.result;
	*out = rec;
	return 0;
}

int record_encode(const struct record *r, struct buf *to)
{
	struct arena *a = arena_new(1024);
	pb_record m = DUET__RECORD__RECORD__INIT;
	pb_op *ops = arena_alloc(a, (r->n_ops + 1) * sizeof(*ops));
	size_t n;
	uint8_t *p;
	int rc = 0;

	m.modseq = r->modseq;
	m.n_ops = r->n_ops;
	m.ops = arena_alloc(a, (r->n_ops + 1) * sizeof(*m.ops));
	for (size_t i = 0; i < r->n_ops; i++) {
		duet__record__op__init(&ops[i]);
		record_pack_op(&r->ops[i], &ops[i], a);
		m.ops[i] = &ops[i];
	}
	n = duet__record__record__get_packed_size(&m);
	p = n <= RECORD_SIZE_MAX ? buf_room(to, n) : NULL;
	if (p)
		buf_commit(to, duet__record__record__pack(&m, p));
	else
		rc = E_LIMIT;
	arena_free(a);
	return rc;
}
