#include "storage/frame.h"
#include "tests/unit/sync/engine_rig.h"

#include <stdlib.h>

/* A login where the partner held the account a moment ago. */

struct answer {
	unsigned n;
	enum engine_verdict verdict;
};

static void on_verdict(void *arg, enum engine_verdict v, struct account *a,
		       const struct err *err)
{
	struct answer *to = arg;

	(void)a;
	(void)err;
	to->n++;
	to->verdict = v;
}

static bool put_frame(void *arg, const struct store_frame *f)
{
	link_record_put(arg, f->bytes, NULL, 0);
	return true;
}

/* What node 0 appends to the log of setup(): a HANDOVER to this node. */
static void handover(struct buf *to)
{
	static struct rig there;
	struct op op = {.kind = OP_HANDOVER};
	struct record r = {.ops = &op, .n_ops = 1};
	struct err err = ERR_NONE;
	struct account *a;

	rig_init(&there, 1, 8u << 20);
	CU_EQ_INT(rig_open(&there, &err), 0);
	rig_epoch(&there, 0);
	for (unsigned i = 0; i < 3; i++)
		rig_add(&there, 0, "INBOX", "text");
	rig_turn(&there);
	rig_publish_all(&there);
	a = rig_account(&there, 0);
	op.handover.to = 1;
	op.handover.counter = account_counter(a);
	account_digest(a, op.handover.account_digest);
	rig_append(&there, 0, &r, NULL);
	rig_turn(&there);
	CU_CLAIM(store_read(there.store, a, 4, 1u << 20, put_frame, to,
			    &err) >= 0, "%s", err.op);
	rig_close(&there);
	rig_fini(&there);
}

/* A login here; the partner, asked, says that it does not hold. */
static void ask(struct answer *to)
{
	struct link_msg m;

	setup(1, 3);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	later(1);
	*to = (struct answer){0};
	engine_ask(e, ea->id, ea->name, NULL, true, false, on_verdict, to);
	turn();
	CU_EQ_INT(sent[LINK_ASK], 1);
	sent[LINK_POSITION_REQ] = 0;
	m = msg(LINK_ASK_REPLY);
	m.ask_reply.verdict = ASK_NOT_HOLDER;
	m.ask_reply.end = account_end(ea->a);
	engine_message(e, &m);
	turn();
}

/* Another generation would drop the HANDOVER, and cost an epoch. */
static void a_handover_that_crosses_a_not_holder_begins_no_epoch(void)
{
	struct answer answer;
	struct link_msg m;
	struct buf b;
	uint64_t gen;

	ask(&answer);
	gen = ea->peer.gen;
	later(1);
	CU_EQ_INT(answer.n, 0);
	buf_init(&b, 1u << 20);
	handover(&b);
	m = msg(LINK_RECORDS);
	m.records.first_seq = 5;
	m.records.count = 1;
	m.records.published = 4;
	m.body = buf_all(&b);
	engine_message(e, &m);
	turn();
	buf_fini(&b);
	later(8);
	CU_EQ_INT(answer.n, 1);
	CU_EQ_INT(answer.verdict, ENGINE_SERVE);
	CU_EQ_U64(account_end(ea->a).seq, 5);		/* and no more */
	CU_EQ_INT(account_holder(ea->a), 1);
	CU_CLAIM(ea->peer.may_write, "goes on in the same epoch");
	CU_EQ_INT(sent[LINK_POSITION_REQ], 0);
	CU_EQ_U64(ea->peer.gen, gen);
	teardown();
}

/* It was lost: the exchange ships it, and the partner is asked once more. */
static void a_not_holder_without_a_handover_asks_for_positions(void)
{
	struct answer answer;
	struct link_msg m;

	ask(&answer);
	later(3);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);
	position(4, 4, COPY_WHOLE);
	later(1);
	CU_EQ_INT(sent[LINK_ASK], 2);
	CU_EQ_INT(answer.n, 0);
	m = msg(LINK_ASK_REPLY);
	m.ask_reply.verdict = ASK_NOT_HOLDER;
	m.ask_reply.end = account_end(ea->a);
	engine_message(e, &m);
	turn();
	CU_EQ_INT(answer.n, 1);			/* no node holds it: no loop */
	CU_EQ_INT(answer.verdict, ENGINE_REFUSE);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);
	teardown();
}

CU_TESTS(CU_CASE(a_handover_that_crosses_a_not_holder_begins_no_epoch),
	 CU_CASE(a_not_holder_without_a_handover_asks_for_positions))
