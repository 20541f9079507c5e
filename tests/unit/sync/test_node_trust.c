#include "tests/unit/sync/node_rig.h"

/* Journals and trust, resigned processes, where messages go. */

/* --- trust --- */

static void a_disk_that_went_back_is_found_out(void)
{
	married();
	W->s[0].journal.last_batch = W->s[1].journal.last_batch = 50;
	tick(24);			/* written down by the other */
	CU_EQ_U64(W->s[0].partner[0].last_batch, 50);
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 40;	/* restored */
	W->s[1].report.incomplete = 1;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "the partner sees it");
	CU_CLAIM(W->s[1].last_up.regressed && !W->s[1].id.trusted,
		 "it knows itself, and lost its trust");
	CU_EQ_INT(state(0), NODE_REGRESSED);
	W->s[1].report.incomplete = 0;	/* every account was compared */
	tick(10);
	CU_CLAIM(W->s[1].id.trusted, "trusted again");
	CU_CLAIM(!W->s[0].last_up.partner_regressed, "and the partner agrees");
	tick(40);
	CU_CLAIM(W->s[1].id.trusted && W->s[0].up && W->s[1].up,
		 "it stays so");
	CU_EQ_INT(state(0), NODE_SYNC);
	teardown();
}

/* Long before anything of the batches was written down. */
static void a_disk_that_went_back_by_a_second_is_found_out(void)
{
	married();
	W->s[0].journal.last_batch = W->s[1].journal.last_batch = 50;
	tick(24);
	W->s[1].journal.last_batch = 60;
	tick(3);
	W->s[0].partner[0].last_batch = 50;	/* not written down yet */
	report(&W->s[0]);
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 55;	/* restored */
	W->s[1].report.incomplete = 1;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "the partner sees it");
	CU_CLAIM(!W->s[1].id.trusted, "it lost its trust");
	W->s[1].report.incomplete = 0;
	tick(10);
	CU_CLAIM(W->s[1].id.trusted, "trusted again");
	CU_CLAIM(!W->s[0].last_up.partner_regressed, "and the partner agrees");
	/* A link that breaks then finds nothing amiss. */
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 56;
	start(&W->s[1]);
	tick(40);
	CU_CLAIM(W->s[1].id.trusted, "it stays so");
	CU_EQ_INT(state(0), NODE_SYNC);
	teardown();
}

/* The stores are told soon, so that a sync that starts anew hears it of them. */
static void it_is_found_out_by_a_sync_that_was_restarted_too(void)
{
	married();
	W->s[0].journal.last_batch = W->s[1].journal.last_batch = 50;
	tick(24);
	/* Not by chance. */
	while (W->s[0].nl->tick % 20 != 1)
		tick(1);
	W->s[1].journal.last_batch = 60;
	tick(1 + NODE_LINK_JOURNALS_TICKS);
	CU_EQ_U64(W->s[0].partner[0].last_batch, 60);
	stop(&W->s[0]);
	stop(&W->s[1]);
	run();
	W->s[1].journal.last_batch = 55;	/* restored */
	W->s[1].report.incomplete = 1;
	start(&W->s[0]);
	start(&W->s[1]);
	tick(6);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "the partner sees it");
	CU_CLAIM(!W->s[1].id.trusted, "it lost its trust");
	teardown();
}

static void the_stores_are_not_told_what_they_know(void)
{
	uint64_t serial;

	married();
	tick(24);
	serial = W->s[0].last_up.serial;
	tick(60);
	CU_EQ_U64(W->s[0].last_up.serial, serial);
	W->s[1].journal.last_batch++;
	tick(1 + NODE_LINK_JOURNALS_TICKS);
	CU_EQ_U64(W->s[0].last_up.serial, serial + 1);
	teardown();
}

static void a_missing_journal_is_a_regression_too(void)
{
	married();
	tick(24);
	stop(&W->s[1]);
	run();
	W->s[1].journal.id = 999;
	start(&W->s[1]);
	tick(4);
	CU_CLAIM(W->s[0].last_up.partner_regressed, "its journal is gone");
	teardown();
}

static void a_lost_disk_is_told_from_a_first_join(void)
{
	married();
	tick(4);
	stop(&W->s[1]);
	run();
	W->s[1].id = (struct node_identity){.node_id = W->s[1].id.node_id};
	memset(W->s[1].id.incarnation.b, 0x77, 16);
	W->s[1].has_accounts = false;
	W->s[1].report = (struct link_report){.accounts = 0};
	W->s[1].journal = (struct link_journal){555, 1};
	start(&W->s[1]);
	tick(8);
	CU_CLAIM(W->s[0].up && W->s[1].up, "it joins");
	CU_EQ_INT(W->s[1].id.index, 1);
	CU_CLAIM(W->s[0].last_up.partner_lost, "its old disk is lost");
	teardown();
}

static void accounts_go_to_the_process_of_their_id(void)
{
	struct id128 id = {{3}};

	CU_EQ_INT(node_link_process_of(id, 1), 0);
	CU_EQ_INT(node_link_process_of(id, 2), 1);
	id.b[15] = 1;			/* the holder's bit is another one */
	CU_EQ_INT(node_link_process_of(id, 2), 1);
	id.b[7] = 1;
	CU_EQ_INT(node_link_process_of(id, 4), 3);
}

static void who_resigned_is_said_again_on_the_next_link(void)
{
	struct link_resign r = {.cause = 1};

	married();
	tick(4);
	node_link_store_detached(W->s[0].nl, 0);
	node_link_resign(W->s[0].nl, 0, &r);
	run();
	CU_EQ_INT(W->s[1].resigned, 1);
	W->cut = true;
	tick(6);
	CU_CLAIM(!W->s[1].up, "the link broke");
	W->cut = false;
	tick(8);
	CU_CLAIM(W->s[1].up, "and is back");
	CU_CLAIM(W->s[1].resigned >= 2, "the partner hears it again");
	teardown();
}

/* It may have met a store that was just starting, or a full queue. */
static void who_resigned_is_said_again_every_five_seconds(void)
{
	struct link_resign r = {.cause = 1};
	unsigned before;

	married();
	tick(4);
	node_link_store_detached(W->s[0].nl, 0);
	node_link_resign(W->s[0].nl, 0, &r);
	run();
	before = W->s[1].resigned;
	tick(4 * NODE_LINK_RESIGN_TICKS);
	CU_EQ_INT(W->s[1].resigned, before + 4);
	/* Until it writes again. */
	node_link_store_attached(W->s[0].nl, 0);
	tick(2 * NODE_LINK_RESIGN_TICKS);
	CU_EQ_INT(W->s[1].resigned, before + 4);
	teardown();
}

static unsigned streams_on(enum link_channel ch)
{
	unsigned n = 0;

	for (size_t k = 0; k < ARRAY_LEN(W->wires); k++)
		if (W->wires[k].used && W->wires[k].ch == ch)
			n += W->wires[k].streams;
	return n;
}

static void streams_that_began_on_control_stay_there(void)
{
	struct link_msg m = {.type = LINK_STREAM_DATA, .id = 2};

	married();
	/* Up before anybody dialled the other connections. */
	for (unsigned k = 0; k < 20 && !(W->s[0].up && W->s[1].up); k++)
		tick(1);
	CU_CLAIM(W->s[0].up, "the link is up");
	CU_CLAIM(node_link_send_stream(W->s[0].nl, &m), "sent");
	CU_EQ_INT(streams_on(CHANNEL_CONTROL), 1);
	tick(6);
	CU_CLAIM(node_link_send_stream(W->s[0].nl, &m), "sent");
	CU_EQ_INT(streams_on(CHANNEL_CONTROL), 2);
	CU_EQ_INT(streams_on(CHANNEL_PROXY), 0);
	teardown();
}

CU_TESTS(CU_CASE(who_resigned_is_said_again_on_the_next_link),
	 CU_CASE(who_resigned_is_said_again_every_five_seconds),
	 CU_CASE(it_is_found_out_by_a_sync_that_was_restarted_too),
	 CU_CASE(the_stores_are_not_told_what_they_know),
	 CU_CASE(streams_that_began_on_control_stay_there),
	 CU_CASE(a_disk_that_went_back_is_found_out),
	 CU_CASE(a_disk_that_went_back_by_a_second_is_found_out),
	 CU_CASE(a_missing_journal_is_a_regression_too),
	 CU_CASE(a_lost_disk_is_told_from_a_first_join),
	 CU_CASE(accounts_go_to_the_process_of_their_id))
