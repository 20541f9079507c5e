#include "node/base/digest.h"
#include "proto/record.h"

/* Records for people: one line per op, `name key=value …`. */

static const char *op_name(unsigned kind)
{
	static const struct {
		uint8_t kind;
		const char *name;
	} names[] = {
		{OP_EPOCH_BEGIN, "EPOCH_BEGIN"},
		{OP_HANDOVER, "HANDOVER"},
		{OP_REBASE_END, "REBASE_END"},
		{OP_CHECKPOINT, "CHECKPOINT"},
		{OP_TRIM, "TRIM"},
		{OP_NOOP, "NOOP"},
		{OP_ACCOUNT_CREATE, "ACCOUNT_CREATE"},
		{OP_ACCOUNT_DELETE, "ACCOUNT_DELETE"},
		{OP_QUOTA_LIMIT, "QUOTA_LIMIT"},
		{OP_UIDVALIDITY_HWM, "UIDVALIDITY_HWM"},
		{OP_MBOX_CREATE, "MBOX_CREATE"},
		{OP_MBOX_RENAME, "MBOX_RENAME"},
		{OP_MBOX_DELETE, "MBOX_DELETE"},
		{OP_MBOX_RENUMBER, "MBOX_RENUMBER"},
		{OP_SUBSCRIBE, "SUBSCRIBE"},
		{OP_SPECIALUSE, "SPECIALUSE"},
		{OP_ACL_SET, "ACL_SET"},
		{OP_METADATA_SET, "METADATA_SET"},
		{OP_KEYWORD, "KEYWORD"},
		{OP_MSG_ADD, "MSG_ADD"},
		{OP_MSG_FLAGS, "MSG_FLAGS"},
		{OP_MSG_EXPUNGE, "MSG_EXPUNGE"},
		{OP_MSG_RETIRE, "MSG_RETIRE"},
		{OP_PVT_FLAGS, "PVT_FLAGS"},
		{OP_DELIVERY, "DELIVERY"},
		{OP_SIEVE_PUT, "SIEVE_PUT"},
		{OP_SIEVE_DELETE, "SIEVE_DELETE"},
		{OP_SIEVE_RENAME, "SIEVE_RENAME"},
		{OP_SIEVE_ACTIVE, "SIEVE_ACTIVE"},
		{OP_SIEVE_STATE, "SIEVE_STATE"},
		{OP_OUTBOX_ADD, "OUTBOX_ADD"},
		{OP_OUTBOX_DONE, "OUTBOX_DONE"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].kind == kind)
			return names[i].name;
	return "UNKNOWN";
}

static void put_hex(struct buf *to, const char *key, const void *p, size_t n)
{
	char hex[2 * 32 + 1];

	hex_of(p, n < 32 ? n : 32, hex);
	buf_printf(to, " %s=%s", key, hex);
}

static void put_id(struct buf *to, const char *key, struct id128 id)
{
	put_hex(to, key, id.b, 16);
}

/* Quoted; control characters and quotes as \xNN, UTF-8 as it is. */
static void put_text(struct buf *to, const char *key, struct slice s)
{
	buf_printf(to, " %s=\"", key);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 32 || s.p[i] == 127 || s.p[i] == '"' ||
		    s.p[i] == '\\')
			buf_printf(to, "\\x%02x", s.p[i]);
		else
			buf_char(to, s.p[i]);
	}
	buf_char(to, '"');
}

static void put_u64(struct buf *to, const char *key, uint64_t v)
{
	buf_printf(to, " %s=", key);
	buf_u64(to, v);
}

static void put_flags(struct buf *to, const char *key, uint32_t flags)
{
	static const char *const names[] = {"Seen", "Answered", "Flagged",
					    "Deleted", "Draft"};
	const char *sep = "";

	buf_printf(to, " %s=", key);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (!(flags & (1u << i)))
			continue;
		buf_str(to, sep);
		buf_str(to, names[i]);
		sep = ",";
	}
}

static void put_keywords(struct buf *to, const char *key,
			 const struct slice *kw, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_text(to, key, kw[i]);
}

static void put_position(struct buf *to, const char *key,
			 const struct position *p)
{
	buf_printf(to, " %s=%u.%08x.%llu.%016llx", key, p->epoch, p->nonce,
		   (unsigned long long)p->seq, (unsigned long long)p->chain);
}

static void print_epoch_begin(const struct op_epoch_begin *o, struct buf *to)
{
	buf_printf(to, " epoch=%u nonce=%08x node=%u reason=%u jump=%llu",
		   o->epoch, o->nonce, o->node, o->reason,
		   (unsigned long long)o->jump);
	put_position(to, "parent", &o->parent);
	if (o->uidvalidity_base)
		put_u64(to, "uidvalidity", o->uidvalidity_base);
	for (size_t i = 0; i < o->n_floors; i++) {
		put_id(to, "floor", o->floors[i].mbox);
		put_u64(to, "uidnext", o->floors[i].uidnext);
	}
	for (size_t i = 0; i < o->n_joined; i++)
		buf_printf(to, " joined=%u.%08x.%llu-%llu", o->joined[i].epoch,
			   o->joined[i].nonce,
			   (unsigned long long)o->joined[i].first_seq,
			   (unsigned long long)o->joined[i].last_seq);
	for (size_t i = 0; i < o->n_ambiguous; i++)
		put_u64(to, "ambiguous", o->ambiguous[i]);
}

static void print_msg_add(const struct op_msg_add *o, struct buf *to)
{
	put_id(to, "mbox", o->mbox);
	put_u64(to, "uid", o->uid);
	put_id(to, "emailid", o->emailid);
	put_id(to, "threadid", o->threadid);
	put_hex(to, "body", o->body_hash, 32);
	put_u64(to, "size", o->size);
	buf_printf(to, " internaldate=%lld%+d savedate=%lld source=%u",
		   (long long)o->internaldate, o->internaldate_zone,
		   (long long)o->savedate, o->source);
	put_flags(to, "flags", o->flags);
	put_keywords(to, "keyword", o->keywords, o->n_keywords);
	if (o->src_uid) {
		put_id(to, "from", o->src_mbox);
		put_u64(to, "from_uid", o->src_uid);
	}
	if (o->has_origin)
		buf_printf(to, " origin=%u.%08x.%llu.%u", o->origin.epoch,
			   o->origin.nonce, (unsigned long long)o->origin.seq,
			   o->origin.index);
	if (o->inline_body)
		buf_str(to, " inline");
}

static void print_msg_flags(const struct op_msg_flags *o, struct buf *to)
{
	put_id(to, "mbox", o->mbox);
	for (size_t i = 0; i < o->n_uids; i++)
		buf_printf(to, "%s%u:%u", i ? "," : " uids=", o->uids[i].first,
			   o->uids[i].last);
	put_flags(to, "add", o->add);
	put_flags(to, "remove", o->remove);
	put_keywords(to, "add_keyword", o->kw_add, o->n_kw_add);
	put_keywords(to, "remove_keyword", o->kw_remove, o->n_kw_remove);
}

static void print_message_op(const struct op *o, struct buf *to)
{
	switch (o->kind) {
	case OP_MSG_ADD:
		print_msg_add(&o->msg_add, to);
		break;
	case OP_MSG_FLAGS:
		print_msg_flags(&o->msg_flags, to);
		break;
	case OP_MSG_EXPUNGE:
		put_id(to, "mbox", o->msg_expunge.mbox);
		for (size_t i = 0; i < o->msg_expunge.n_items; i++) {
			put_u64(to, "uid", o->msg_expunge.items[i].uid);
			put_id(to, "emailid", o->msg_expunge.items[i].emailid);
		}
		break;
	case OP_MSG_RETIRE:
		put_id(to, "mbox", o->msg_retire.mbox);
		put_u64(to, "uid", o->msg_retire.uid);
		put_u64(to, "new_uid", o->msg_retire.new_uid);
		break;
	case OP_DELIVERY:
		put_hex(to, "id", o->delivery.id, 32);
		buf_printf(to, " time=%lld", (long long)o->delivery.time);
		if (o->delivery.uid) {
			put_id(to, "mbox", o->delivery.mbox);
			put_u64(to, "uid", o->delivery.uid);
		}
		break;
	default:
		put_u64(to, "field", o->raw.field);
		put_u64(to, "bytes", o->raw.bytes.n);
		put_hex(to, "begins", o->raw.bytes.p, o->raw.bytes.n);
		break;
	}
}

static void print_mailbox_op(const struct op *o, struct buf *to)
{
	switch (o->kind) {
	case OP_MBOX_CREATE:
		put_id(to, "id", o->mbox_create.id);
		put_text(to, "name", o->mbox_create.name);
		put_u64(to, "uidvalidity", o->mbox_create.uidvalidity);
		put_u64(to, "special_use", o->mbox_create.special_use);
		if (o->mbox_create.derived)
			buf_str(to, " derived");
		break;
	case OP_MBOX_RENAME:
		for (size_t i = 0; i < o->mbox_rename.n_items; i++) {
			const struct mbox_rename *r = &o->mbox_rename.items[i];

			put_id(to, "id", r->id);
			put_text(to, "name", r->name);
			put_u64(to, "uidvalidity", r->uidvalidity);
		}
		break;
	case OP_MBOX_DELETE:
		put_id(to, "id", o->mbox_delete.id);
		put_text(to, "name", o->mbox_delete.name);
		put_u64(to, "uidnext", o->mbox_delete.uidnext);
		put_hex(to, "digest", o->mbox_delete.digest, 16);
		break;
	case OP_MBOX_RENUMBER:
		put_id(to, "id", o->mbox_renumber.id);
		put_u64(to, "uidvalidity", o->mbox_renumber.uidvalidity);
		break;
	case OP_SUBSCRIBE:
		put_text(to, "name", o->subscribe.name);
		buf_str(to, o->subscribe.on ? " on" : " off");
		break;
	case OP_SPECIALUSE:
		put_id(to, "id", o->specialuse.id);
		put_u64(to, "set", o->specialuse.set);
		break;
	case OP_KEYWORD:
		put_id(to, "mbox", o->keyword.mbox);
		put_text(to, "spelling", o->keyword.spelling);
		break;
	default:
		print_message_op(o, to);
		break;
	}
}

static void print_op(const struct op *o, struct buf *to)
{
	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		print_epoch_begin(&o->epoch_begin, to);
		break;
	case OP_HANDOVER:
		put_u64(to, "to", o->handover.to);
		put_u64(to, "counter", o->handover.counter);
		put_hex(to, "digest", o->handover.account_digest, 16);
		break;
	case OP_CHECKPOINT:
		put_hex(to, "digest", o->checkpoint.account_digest, 16);
		for (size_t i = 0; i < o->checkpoint.n_mboxes; i++) {
			put_id(to, "mbox", o->checkpoint.mboxes[i].mbox);
			put_hex(to, "is", o->checkpoint.mboxes[i].digest, 16);
		}
		break;
	case OP_TRIM:
		put_u64(to, "what", o->trim.what);
		put_u64(to, "floor", o->trim.floor);
		put_id(to, "mbox", o->trim.mbox);
		put_text(to, "name", o->trim.name);
		break;
	case OP_NOOP:
		break;
	case OP_ACCOUNT_CREATE:
		put_text(to, "name", o->account_name);
		break;
	case OP_ACCOUNT_DELETE:
		put_id(to, "op", o->delete_op);
		break;
	case OP_UIDVALIDITY_HWM:
		put_u64(to, "value", o->uidvalidity_hwm);
		break;
	default:
		print_mailbox_op(o, to);
		break;
	}
}

void record_print(const struct record *r, struct buf *to)
{
	for (size_t i = 0; i < r->n_ops; i++) {
		const struct op *o = &r->ops[i];

		buf_printf(to, "modseq=%llu %s", (unsigned long long)r->modseq,
			   op_name(o->kind));
		if (o->ignorable)
			buf_str(to, " ignorable");
		print_op(o, to);
		buf_char(to, '\n');
	}
}
