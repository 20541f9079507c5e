#include "node/base/digest.h"
#include "tests/unit/sync/engine_rig.h"

#include <stdlib.h>

/* What one engine does with single messages and failures. */

/* --- seeds ---------------------------------------------------------------------- */

static void offer(struct position pos)
{
	struct link_msg m = msg(LINK_SEED_OFFER);

	m.seed.pos = pos;
	m.seed.size = 1000;
	engine_message(e, &m);
	turn();
}

static void a_seed_older_than_this_log_is_refused(void)
{
	struct position older, end;

	setup(1, 5);
	link_up(true);
	turn();
	position(6, 6, COPY_WHOLE);
	CU_EQ_INT(ea->peer.state, PEER_REPLICA);
	engine_step_simple(ea, EV_NEEDS_SEED);
	turn();
	CU_EQ_INT(sent[LINK_SEED_WANT], 1);
	CU_EQ_INT(store_position_at(g.store, ea->a, 4, &older), 0);
	offer(older);
	CU_EQ_INT(sent[LINK_SEED_DONE], 1);
	CU_CLAIM(last[LINK_SEED_DONE].seed.result < 0, "not installed");
	CU_EQ_STR(happened_last, "seed_refused");
	CU_EQ_U64(account_end(ea->a).seq, 6);
	/* Of the same length, and of another line. */
	engine_seed_start(ea);
	end = account_end(ea->a);
	end.chain ^= 1;
	offer(end);
	CU_EQ_INT(sent[LINK_SEED_DONE], 2);
	engine_seed_start(ea);
	offer(account_end(ea->a));
	CU_EQ_INT(sent[LINK_SEED_DONE], 2);
	CU_EQ_U64(ea->seed_size, 1000);		/* that one is taken */
	teardown();
}

static void a_node_that_is_not_trusted_gives_no_seed(void)
{
	struct link_msg m;

	for (int trusted = 0; trusted < 2; trusted++) {
		setup(0, 3);
		link_up(trusted);
		turn();
		position(4, 4, COPY_WHOLE);
		m = msg(LINK_SEED_WANT);
		m.seed.credit = LINK_CREDIT;
		engine_message(e, &m);
		turn();
		CU_EQ_INT(sent[LINK_SEED_OFFER], trusted);
		teardown();
	}
}

/* --- journals ----------------------------------------------------------------- */

/* A start with fewer processes must not look as if a disk had gone back. */
static void journals_of_processes_that_are_no_more_are_listed(void)
{
	struct journal_id old;
	struct err err = ERR_NONE;

	rig_init(&g, 1, 8u << 20);
	g.opts.processes = 2;
	g.opts.process = 1;
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_epoch(&g, 0);
	rig_turn(&g);
	store_journals(g.store, &old);
	rig_close(&g);
	g.opts.processes = 1;
	g.opts.process = 0;
	CU_EQ_INT(store_recover_all(&g.opts, NULL, NULL, &err), 0);
	CU_EQ_INT(rig_open(&g, &err), 0);
	start_engine(0);
	engine_tick(e, true);
	CU_EQ_INT(last[LINK_REPORT].report.n_journals, 2);
	CU_EQ_U64(reported[1].id, old.id);
	CU_CLAIM(reported[1].last_batch >= old.last_batch, "not behind");
	teardown();
	/* A process that has a number of its own is none of them. */
	rig_init(&g, 1, 8u << 20);
	g.opts.processes = 2;
	g.opts.process = 1;
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_close(&g);
	g.opts.process = 0;
	CU_EQ_INT(rig_open(&g, &err), 0);
	start_engine(0);
	engine_tick(e, true);
	CU_EQ_INT(last[LINK_REPORT].report.n_journals, 1);
	teardown();
}

/* --- checkpoints ------------------------------------------------------------------ */

static void checkpoint(bool right)
{
	struct op op = {.kind = OP_CHECKPOINT};
	struct record r = {.ops = &op, .n_ops = 1};

	rig_publish_all(&g);
	account_digest(rig_account(&g, 0), op.checkpoint.account_digest);
	if (!right)
		op.checkpoint.account_digest[3] ^= 1;
	rig_append(&g, 0, &r, NULL);
	rig_turn(&g);
}

static void a_checkpoint_of_another_digest_makes_a_replica_seed(void)
{
	struct err err = ERR_NONE;

	for (int right = 0; right < 2; right++) {
		rig_init(&g, 1, 8u << 20);
		CU_EQ_INT(rig_open(&g, &err), 0);
		rig_epoch(&g, 0);
		rig_add(&g, 0, "INBOX", "text");
		rig_turn(&g);
		checkpoint(right);
		start_engine(1);
		link_up(true);
		turn();
		position(3, 3, COPY_WHOLE);
		CU_EQ_U64(account_published(ea->a).seq, 3);
		CU_EQ_INT(sent[LINK_SEED_WANT], right ? 0 : 1);
		CU_EQ_INT(ea->peer.state, right ? PEER_REPLICA :
			  PEER_NEEDS_SEED);
		teardown();
	}
}

static void a_holder_serves_on_after_such_a_checkpoint(void)
{
	struct err err = ERR_NONE;

	rig_init(&g, 1, 8u << 20);
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_epoch(&g, 0);
	rig_add(&g, 0, "INBOX", "text");
	rig_mark(&g, 0, MARK_SYNC);
	rig_turn(&g);
	checkpoint(false);
	start_engine(0);
	link_up(true);
	turn();
	position(3, 3, COPY_WHOLE);
	CU_EQ_U64(account_published(ea->a).seq, 3);
	CU_CLAIM(peer_holds(&ea->peer), "state %s",
		 peer_state_name(ea->peer.state));
	CU_EQ_INT(sent[LINK_SEED_WANT], 0);
	teardown();
}

/* --- deliveries ---------------------------------------------------------------------- */

/* The holder it was carried to says that it is none; meanwhile this node
 * serves its own branch, and answers at once. */
static void a_delivery_that_comes_back_to_a_forked_account(void)
{
	struct arena *a = arena_new(4096);
	struct write_msg wm = {.internaldate = 1600000000};
	struct write w = {.kind = WRITE_DELIVER, .arena = a,
			  .name = SLICE_LIT("INBOX"), .msgs = &wm, .n_msgs = 1,
			  .has_delivery_id = true};
	struct told told = {0};
	struct link_msg m;

	setup(0, 3);
	rig_publish_all(&g);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	wm.body.data = SLICE_LIT("Subject: x\r\n\r\n");
	wm.body.size = wm.body.data.n;
	sha256(wm.body.data, wm.body.hash);
	engine_forward(e, ea->id, ea->name, &w, write_done, &told);
	turn();
	CU_EQ_INT(sent[LINK_DELIVER], 1);
	ea->peer.state = PEER_FORKED;
	ea->peer.may_write = true;
	m = msg(LINK_DELIVERED);
	m.id = last[LINK_DELIVER].id;
	m.delivered.result = E_NOTHOLDER;
	engine_message(e, &m);
	CU_EQ_INT(e->forwards_n, 0);
	CU_CLAIM(!list_empty(&ea->queue), "it is written here");
	CU_EQ_INT(told.n, 0);
	later(10);
	/* Written here, once: 250, and it is said that there is one copy. */
	CU_EQ_INT(told.n, 1);
	CU_CLAIM(told.result == 0 && !told.unknown, "result %d", told.result);
	CU_CLAIM(w.single_copy && !w.duplicate, "of one copy");
	CU_EQ_U64(account_published(ea->a).seq, account_end(ea->a).seq);
	CU_EQ_INT(sent[LINK_DELIVER], 1);
	CU_CLAIM(list_empty(&ea->queue) && list_empty(&ea->waiting),
		 "nothing is left of it");
	/* A late answer of the partner is no second one. */
	engine_message(e, &m);
	later(10);
	CU_EQ_INT(told.n, 1);
	CU_EQ_INT(sent[LINK_DELIVER], 1);
	teardown();
	arena_free(a);
}

/* --- takeover ------------------------------------------------------------------------- */

/* An attempt to connect that began before somebody asked proves nothing. */
static void a_takeover_waits_for_an_attempt_that_was_made_for_it(void)
{
	bool answered = false;
	struct peer_facts f;

	setup(1, 3);
	for (int i = 0; i < 5; i++)
		engine_tick(e, false);
	link_down(7);
	engine_tick(e, false);
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_answer,
		   &answered);
	engine_facts(ea, &f);
	CU_CLAIM(f.wanted && !f.retried, "none yet");
	engine_tick(e, false);
	engine_tick(e, false);
	attempt_failed(8, 3);
	engine_facts(ea, &f);
	CU_CLAIM(!f.retried, "that one began before");
	attempt_failed(8, 0);
	engine_facts(ea, &f);
	CU_CLAIM(!f.retried, "and this is not another");
	link_down(0);				/* a sync that was restarted */
	engine_facts(ea, &f);
	CU_CLAIM(!f.retried, "nor is this one");
	attempt_failed(1, 1);
	engine_facts(ea, &f);
	CU_CLAIM(f.retried, "one was made for it");
	teardown();
}

/* A login where the partner's changes are not known makes no mailboxes. */
static void auto_mailboxes_stale(void)
{
	struct auto_mailbox box = {"Drafts", 0, false};
	struct arena *a = arena_new(4096);
	struct write w = {.kind = WRITE_AUTOCREATE, .arena = a,
			  .autos = &box, .n_autos = 1};
	struct told told = {0};
	bool answered = false;
	uint64_t end;

	setup(1, 3);
	link_down(0);
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_answer,
		   &answered);
	link_down(2);
	for (unsigned i = 0; i < 200; i++) {
		engine_tick(e, false);
		/* Somebody asks again and again. */
		if (answered) {
			answered = false;
			engine_ask(e, ea->id, ea->name, NULL, false, false,
				   on_answer, &answered);
			link_down(4 + 2 * i);
		}
		turn();
	}
	CU_CLAIM(peer_holds(&ea->peer) && ea->peer.maybe_stale,
		 "taken over alone: %s", peer_state_name(ea->peer.state));
	end = account_end(ea->a).seq;
	engine_write(e, ea->a, &w, write_done, &told);
	turn();
	CU_CLAIM(told.done && told.result == 0, "the login goes on");
	CU_EQ_U64(account_end(ea->a).seq, end);
	ea->peer.maybe_stale = false;		/* the partner was heard */
	told = (struct told){0};
	engine_write(e, ea->a, &w, write_done, &told);
	for (unsigned i = 0; i < 10 && !told.done; i++) {
		engine_tick(e, false);
		turn();
	}
	CU_CLAIM(told.done && account_end(ea->a).seq > end, "made then");
	teardown();
	arena_free(a);
}

/* --- what the partner says ------------------------------------------------------------ */

static void an_ack_of_another_history_is_none(void)
{
	struct link_msg m;

	holder();
	later(PEER_ASK_TICKS);
	m = msg(LINK_ACK);
	m.ack = account_end(ea->a);
	m.ack.nonce ^= 4;
	sent[LINK_POSITION_REQ] = 0;
	engine_message(e, &m);
	CU_EQ_U64(ea->peer.acked, 4);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);	/* finds the fork out */
	turn();
	CU_EQ_U64(account_published(ea->a).seq, 4);
	teardown();
	holder();
	m = msg(LINK_ACK);
	m.ack = account_end(ea->a);
	engine_message(e, &m);
	CU_EQ_U64(ea->peer.acked, 5);
	teardown();
}

static void records_for_a_holder_ask_for_positions(void)
{
	struct link_msg m;

	holder();
	later(PEER_ASK_TICKS);
	sent[LINK_POSITION_REQ] = 0;
	m = msg(LINK_RECORDS);
	m.records.first_seq = 5;
	m.records.count = 1;
	engine_message(e, &m);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);
	CU_EQ_U64(account_end(ea->a).seq, 5);
	engine_message(e, &m);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);	/* not at every one */
	teardown();
}

static void no_ack_comes_behind_resign(void)
{
	struct err err = ERR_NONE;

	setup(1, 3);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	ea->ack_due = true;
	engine_dirty(ea);
	engine_failed(e, &err);
	sent[LINK_ACK] = 0;
	engine_turn(e);
	CU_EQ_INT(sent[LINK_RESIGN], 1);
	CU_EQ_INT(sent[LINK_ACK], 0);
	engine_free(e);
	rig_die(&g);
	rig_fini(&g);
}

/* What nobody asks for waits for its turn after the link came up; what is
 * asked for does not. */
static void who_is_asked_for_does_not_wait_in_the_background(void)
{
	bool answered = false;

	setup(1, 3);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	engine_step_simple(ea, EV_LINK_UP);	/* closes the gate again … */
	ea->background = true;			/* … behind many others */
	sent[LINK_POSITION_REQ] = 0;
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_answer,
		   &answered);
	CU_EQ_INT(sent[LINK_POSITION_REQ], 1);
	CU_EQ_INT(ea->background, 0);
	teardown();
}

static void a_failed_process_resigns_on_every_link(void)
{
	struct err err = ERR_NONE;
	struct link_msg m;

	setup(0, 3);
	turn();
	engine_failed(e, &err);
	CU_EQ_INT(sent[LINK_RESIGN], 0);	/* nobody to tell */
	link_up(true);
	CU_EQ_INT(sent[LINK_RESIGN], 1);
	link_down(0);
	link_up(true);
	CU_EQ_INT(sent[LINK_RESIGN], 2);
	/* Also for what it had not open then. */
	m = msg(LINK_POSITION_REQ);
	m.account.b[3] ^= 1;
	m.gen = 99;
	engine_message(e, &m);
	CU_EQ_INT(sent[LINK_RESIGN], 3);
	CU_EQ_INT(sent[LINK_POSITION], 0);
	engine_free(e);
	rig_die(&g);
	rig_fini(&g);
}

static void on_verdict(void *arg, enum engine_verdict v, struct account *a,
		       const struct err *err)
{
	(void)a;
	(void)err;
	*(int *)arg = (int)v;
}

/* Who asks at a node whose disk failed is sent to the partner while that is
 * there; its questions for accounts it resigned count as somebody's wish. */
static void a_failed_process_sends_its_clients_to_the_partner(void)
{
	struct err err = ERR_NONE;
	int before = -1, mine = -1, theirs = -1, alone = -1;

	setup(1, 3);
	link_up(true);
	turn();
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_verdict, &before);
	CU_EQ_INT(before, -1);			/* the gate is not open */
	engine_failed(e, &err);
	engine_dirty(ea);
	engine_turn(e);
	CU_EQ_INT(before, ENGINE_PROXY);
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_verdict, &mine);
	CU_EQ_INT(mine, ENGINE_PROXY);
	engine_ask(e, ea->id, ea->name, NULL, false, true, on_verdict, &theirs);
	engine_turn(e);
	CU_EQ_INT(theirs, ENGINE_REFUSE);
	link_down(0);
	engine_ask(e, ea->id, ea->name, NULL, false, false, on_verdict, &alone);
	engine_turn(e);
	CU_EQ_INT(alone, ENGINE_REFUSE);
	engine_free(e);
	rig_die(&g);
	rig_fini(&g);
}

static void what_the_partner_resigned_it_may_ask_for(void)
{
	struct link_resigned item = {.account = {{0}}};
	struct link_msg m;
	int v = -1;

	setup(0, 3);
	m = msg(LINK_RESIGN);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	item.account = ea->id;
	item.end = account_durable(ea->a);
	m.resign.items = &item;
	m.resign.n_items = 1;
	engine_message(e, &m);
	engine_ask(e, ea->id, ea->name, NULL, false, true, on_verdict, &v);
	for (int i = 0; i < 5 && v < 0; i++)
		turn();
	CU_EQ_INT(v, ENGINE_SERVE);
	teardown();
}

/* Some of its records are in the log, and the account moves away. */
static void a_command_that_was_half_written_ends_when_the_account_moves(void)
{
	struct arena *a = arena_new(4096);
	struct write w = {.kind = WRITE_SUBSCRIBE, .arena = a,
			  .name = SLICE_LIT("INBOX")};
	struct told told = {0};

	setup(0, 3);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	ea->peer.state = PEER_REPLICA;
	engine_write(e, ea->a, &w, write_done, &told);
	CONTAINER_OF(ea->queue.next, struct ewrite, node)->appended = true;
	ea->peer.state = PEER_REPLICA;
	ea->peer.may_write = false;
	for (unsigned i = 0; i < 60 && !told.done; i++) {
		ea->peer.state = PEER_REPLICA;
		engine_tick(e, true);
		engine_turn(e);
	}
	CU_CLAIM(told.done && told.result < 0, "it ends");
	CU_CLAIM(told.unknown, "without saying that nothing was done");
	CU_CLAIM(list_empty(&ea->queue), "and is forgotten");
	teardown();
	arena_free(a);
}

/* A journal without room for an EPOCH_BEGIN is no reason for quarantine. */
static void journal_full_one(void)
{
	struct err err = ERR_NONE;
	struct arena *a = arena_new(4096);
	struct write w = {.kind = WRITE_SUBSCRIBE, .arena = a, .on = true,
			  .name = SLICE_LIT("INBOX")};
	struct told told = {0};
	char big[9000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	rig_init(&g, 1, 16 * 4096);
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_epoch(&g, 0);
	rig_mark(&g, 0, MARK_SYNC);
	rig_turn(&g);
	rig_publish_all(&g);
	start_engine(0);
	link_up(true);
	engine_turn(e);
	position(1, 1, COPY_WHOLE);
	/* Filled up by another account of the process. */
	rig_epoch(&g, 1);
	for (unsigned i = 0; i < 100 && rig_add(&g, 1, "INBOX", big) == 0; i++)
		continue;
	for (unsigned i = 0; i < 1000 && rig_noop(&g, 1) == 0; i++)
		continue;
	engine_write(e, ea->a, &w, write_done, &told);
	engine_turn(e);
	CU_CLAIM(ea->peer.state != PEER_PARKED, "state %s",
		 peer_state_name(ea->peer.state));
	for (unsigned i = 0; i < 40 && account_end(ea->a).seq < 3; i++) {
		engine_tick(e, true);
		turn();
	}
	CU_CLAIM(account_end(ea->a).seq >= 3, "written when there is room");
	engine_write_forget(e, &w);
	teardown();
	arena_free(a);
}

/* --- what is told with one copy ------------------------------------------------------- */

static void a_change_on_a_branch_of_a_fork_counts_as_one_copy(void)
{
	struct arena *a = arena_new(4096);
	struct write_msg wm = {.internaldate = 1600000000};
	struct write w = {.kind = WRITE_APPEND, .arena = a,
			  .name = SLICE_LIT("INBOX"), .msgs = &wm, .n_msgs = 1};
	struct told told = {0};

	setup(0, 3);
	rig_publish_all(&g);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	wm.body.data = SLICE_LIT("Subject: x\r\n\r\n");
	wm.body.size = wm.body.data.n;
	sha256(wm.body.data, wm.body.hash);
	ea->peer.state = PEER_FORKED;
	ea->peer.may_write = true;
	engine_write(e, ea->a, &w, write_done, &told);
	for (unsigned i = 0; i < 10 && !told.done; i++) {
		engine_tick(e, true);
		turn();
	}
	CU_CLAIM(told.done && told.result == 0, "done %d, %d", told.done,
		 told.result);
	CU_CLAIM(w.single_copy, "and it is said so");
	CU_EQ_U64(ea->unsafe_acks, 1);
	teardown();
	arena_free(a);
}

CU_TESTS(CU_CASE(a_seed_older_than_this_log_is_refused),
	 CU_CASE(a_node_that_is_not_trusted_gives_no_seed),
	 CU_CASE(journals_of_processes_that_are_no_more_are_listed),
	 CU_CASE(a_checkpoint_of_another_digest_makes_a_replica_seed),
	 CU_CASE(a_holder_serves_on_after_such_a_checkpoint),
	 CU_CASE(a_delivery_that_comes_back_to_a_forked_account),
	 CU_CASE(a_takeover_waits_for_an_attempt_that_was_made_for_it),
	 CU_CASE(auto_mailboxes_stale), CU_CASE(journal_full_one),
	 CU_CASE(an_ack_of_another_history_is_none),
	 CU_CASE(records_for_a_holder_ask_for_positions),
	 CU_CASE(who_is_asked_for_does_not_wait_in_the_background),
	 CU_CASE(no_ack_comes_behind_resign),
	 CU_CASE(a_failed_process_resigns_on_every_link),
	 CU_CASE(a_failed_process_sends_its_clients_to_the_partner),
	 CU_CASE(what_the_partner_resigned_it_may_ask_for),
	 CU_CASE(a_command_that_was_half_written_ends_when_the_account_moves),
	 CU_CASE(a_change_on_a_branch_of_a_fork_counts_as_one_copy))
