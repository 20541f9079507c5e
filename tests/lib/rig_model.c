/* See rig_model.h. */

#include "tests/lib/rig_model.h"

#include "storage/mailbox.h"

#include <stdlib.h>

#define RIG_MODEL_BOXES 8
#define RIG_MODEL_MSGS 64
#define RIG_MODEL_JUMPS 8

struct model_msg {
	uint32_t uid, flags;
	struct id128 emailid;
	uint8_t hash[4];
};

struct model_box {
	char name[32];			/* "": free */
	struct id128 id;
	uint32_t uidvalidity;
	uint64_t uidnext;
	struct model_msg msgs[RIG_MODEL_MSGS];
	size_t n;
};

struct rig_model {
	bool exists;
	struct model_box box[RIG_MODEL_BOXES];
	struct {
		uint64_t by;
		uint8_t node;
	} jump[RIG_MODEL_JUMPS];
	size_t n_jumps;
};

/* --- records -------------------------------------------------------------------- */

static struct model_box *find(struct rig_model *m, struct id128 id)
{
	for (size_t i = 0; i < RIG_MODEL_BOXES; i++)
		if (m->box[i].name[0] && id128_eq(m->box[i].id, id))
			return &m->box[i];
	abort();
}

static void set_name(struct model_box *b, struct slice name)
{
	if (name.n >= sizeof(b->name))
		abort();
	memcpy(b->name, name.p, name.n);
	b->name[name.n] = 0;
}

/* The smallest UID of the node's parity that is at least `by` beyond. */
static uint64_t jumped(uint64_t uid, uint64_t by, uint8_t node)
{
	uid += by;
	while (uid % 2 != node % 2)
		uid++;
	return uid;
}

static void begin(struct rig_model *m, const struct op_epoch_begin *o)
{
	if (o->jump == 0)
		return;
	for (size_t i = 0; i < RIG_MODEL_BOXES; i++)
		m->box[i].uidnext =
			jumped(m->box[i].uidnext, o->jump, o->node);
	if (m->n_jumps == RIG_MODEL_JUMPS)
		abort();
	m->jump[m->n_jumps].by = o->jump;
	m->jump[m->n_jumps++].node = o->node;
}

static void create(struct rig_model *m, const struct op_mbox_create *o)
{
	for (size_t i = 0; i < RIG_MODEL_BOXES; i++) {
		struct model_box *b = &m->box[i];

		if (b->name[0])
			continue;
		memset(b, 0, sizeof(*b));
		set_name(b, o->name);
		b->id = o->id;
		b->uidvalidity = o->uidvalidity;
		b->uidnext = 1;
		for (size_t k = 0; o->derived && k < m->n_jumps; k++)
			b->uidnext = jumped(b->uidnext, m->jump[k].by,
					    m->jump[k].node);
		return;
	}
	abort();
}

static void add(struct rig_model *m, const struct op_msg_add *o)
{
	struct model_box *b = find(m, o->mbox);
	struct model_msg *x;

	if (b->n == RIG_MODEL_MSGS)
		abort();
	x = &b->msgs[b->n++];
	*x = (struct model_msg){.uid = o->uid, .flags = o->flags,
				.emailid = o->emailid};
	memcpy(x->hash, o->body_hash, sizeof(x->hash));
	b->uidnext = (uint64_t)o->uid + 1;
}

static void change(struct rig_model *m, const struct op_msg_flags *o)
{
	struct model_box *b = find(m, o->mbox);

	for (size_t k = 0; k < o->n_uids; k++)
		for (size_t i = 0; i < b->n; i++)
			if (b->msgs[i].uid >= o->uids[k].first &&
			    b->msgs[i].uid <= o->uids[k].last)
				b->msgs[i].flags = (b->msgs[i].flags | o->add) &
						   ~o->remove;
}

static void expunge(struct rig_model *m, const struct op_msg_expunge *o)
{
	struct model_box *b = find(m, o->mbox);

	for (size_t k = 0; k < o->n_items; k++)
		for (size_t i = 0; i < b->n; i++)
			if (b->msgs[i].uid == o->items[k].uid) {
				memmove(&b->msgs[i], &b->msgs[i + 1],
					(--b->n - i) * sizeof(b->msgs[0]));
				break;
			}
}

static void renumber(struct rig_model *m, const struct op_mbox_renumber *o)
{
	struct model_box *b = find(m, o->id);

	b->uidvalidity = o->uidvalidity;
	for (size_t i = 0; i < b->n; i++)
		b->msgs[i].uid = (uint32_t)i + 1;
	b->uidnext = b->n + 1;
}

static void rename_all(struct rig_model *m, const struct op_mbox_rename *o)
{
	for (size_t i = 0; i < o->n_items; i++) {
		struct model_box *b = find(m, o->items[i].id);

		set_name(b, o->items[i].name);
		b->uidvalidity = o->items[i].uidvalidity;
	}
}

static void fold(struct rig_model *m, const struct op *o)
{
	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		begin(m, &o->epoch_begin);
		break;
	case OP_ACCOUNT_CREATE:
		m->exists = true;
		break;
	case OP_ACCOUNT_DELETE:
		m->exists = false;
		memset(m->box, 0, sizeof(m->box));
		break;
	case OP_MBOX_CREATE:
		create(m, &o->mbox_create);
		break;
	case OP_MBOX_RENAME:
		rename_all(m, &o->mbox_rename);
		break;
	case OP_MBOX_DELETE:
		find(m, o->mbox_delete.id)->name[0] = 0;
		break;
	case OP_MBOX_RENUMBER:
		renumber(m, &o->mbox_renumber);
		break;
	case OP_MSG_ADD:
		add(m, &o->msg_add);
		break;
	case OP_MSG_FLAGS:
		change(m, &o->msg_flags);
		break;
	case OP_MSG_EXPUNGE:
		expunge(m, &o->msg_expunge);
		break;
	case OP_TRIM: case OP_NOOP: case OP_HANDOVER: case OP_CHECKPOINT:
		break;
	default:	/* a scenario with it needs its rule here */
		abort();
	}
}

struct rig_model *rig_model_copy(const struct rig_model *m)
{
	struct rig_model *c = xmalloc(sizeof(*c));

	*c = *m;
	return c;
}

struct rig_model *rig_model_next(const struct rig_model *before,
				 const struct record *r)
{
	struct rig_model *m = before ? rig_model_copy(before) :
				       xzalloc(sizeof(*m));

	for (size_t i = 0; i < r->n_ops; i++)
		fold(m, &r->ops[i]);
	return m;
}

/* --- for people, and for comparing ------------------------------------------------ */

static void print_id(struct buf *to, struct id128 id)
{
	for (int i = 0; i < 4; i++)
		buf_printf(to, "%02x", id.b[i]);
}

static void print_box(struct buf *to, struct id128 id, const char *name,
		      uint32_t uidvalidity, uint64_t uidnext)
{
	print_id(to, id);
	buf_printf(to, " %s %u next %llu:", name, uidvalidity,
		   (unsigned long long)uidnext);
}

static void print_msg(struct buf *to, uint32_t uid, uint32_t flags,
		      struct id128 emailid, const uint8_t *hash)
{
	buf_printf(to, " %u/%x/", uid, flags);
	print_id(to, emailid);
	buf_printf(to, "/%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
}

static int by_name(const void *a, const void *b)
{
	const struct model_box *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void rig_model_print(const struct rig_model *m, struct buf *to)
{
	const struct model_box *box[RIG_MODEL_BOXES];
	size_t n = 0;

	for (size_t i = 0; i < RIG_MODEL_BOXES; i++)
		if (m->box[i].name[0])
			box[n++] = &m->box[i];
	qsort(box, n, sizeof(box[0]), by_name);
	buf_printf(to, "%s\n", m->exists ? "account" : "no account");
	for (size_t i = 0; i < n; i++) {
		print_box(to, box[i]->id, box[i]->name, box[i]->uidvalidity,
			  box[i]->uidnext);
		for (size_t k = 0; k < box[i]->n; k++)
			print_msg(to, box[i]->msgs[k].uid,
				  box[i]->msgs[k].flags,
				  box[i]->msgs[k].emailid,
				  box[i]->msgs[k].hash);
		buf_char(to, '\n');
	}
}

static bool print_mailbox(void *arg, struct mailbox *m)
{
	struct buf *to = arg;

	print_box(to, mailbox_id(m), mailbox_name(m), mailbox_uidvalidity(m),
		  mailbox_uidnext(m));
	for (uint32_t i = 0; i < mailbox_records(m); i++) {
		const struct mrec *r = mailbox_rec(m, i);

		if (!(r->flags & MREC_EXPUNGED))
			print_msg(to, r->uid, r->flags, r->emailid,
				  r->body_hash);
	}
	buf_char(to, '\n');
	return true;
}

void rig_model_print_account(struct account *a, struct buf *to)
{
	buf_printf(to, "%s\n", account_exists(a) ? "account" : "no account");
	account_mailboxes(a, print_mailbox, to);
}
