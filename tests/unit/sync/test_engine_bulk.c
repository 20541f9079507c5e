#include "node/base/digest.h"
#include "storage/body_stage.h"
#include "tests/unit/sync/engine_rig.h"

#include <stdlib.h>

/* Bodies, parts of records and seeds: what the partner may make this node
 * keep, and how long a slow link may take. */

static uint8_t h1[32] = {1}, h2[32] = {2}, h3[32] = {3};
static struct eacct *other;

/* Another account of the process, with its gate open too. */
static void open_other(unsigned node)
{
	struct eacct *first = ea;
	struct err err = ERR_NONE;

	(void)node;
	rig_epoch(&g, 1);
	rig_turn(&g);
	CU_EQ_INT(engine_open_new(e, g.acct[1].id, g.acct[1].name,
				  g.acct[1].root, true, &ea, &err), 0);
	turn();
	position(1, 1, COPY_WHOLE);
	other = ea;
	ea = first;
}

/* This node follows. */
static void replica(void)
{
	setup(1, 3);
	link_up(true);
	turn();
	position(4, 4, COPY_WHOLE);
	CU_EQ_INT(ea->peer.state, PEER_REPLICA);
}

static void blob(struct eacct *to, uint16_t type, const uint8_t hash[32],
		 uint64_t size)
{
	struct link_msg m = {.type = type, .account = to->id};

	memcpy(m.blob.hash, hash, 32);
	m.blob.size = size;
	m.blob.credit = LINK_CREDIT;
	engine_message(e, &m);
	turn();
}

static void data(const uint8_t hash[32], uint64_t offset, uint64_t size,
		 size_t n)
{
	struct link_msg m = {.type = LINK_BLOB_DATA, .account = ea->id};
	uint8_t *octets = xzalloc(n + 1);

	memcpy(m.blob.hash, hash, 32);
	m.blob.offset = offset;
	m.blob.size = size;
	m.body = slice_of(octets, n);
	engine_message(e, &m);
	turn();
	free(octets);
}

/* --- how much -------------------------------------------------------------------- */

static void what_is_offered_beyond_the_limit_waits(void)
{
	replica();
	CU_EQ_U64(e->offers_max, ENGINE_OFFERS_IN_MAX);
	e->offers_max = 2;
	blob(ea, LINK_BLOB_OFFER, h1, 100000);
	blob(ea, LINK_BLOB_OFFER, h2, 100000);
	blob(ea, LINK_BLOB_OFFER, h2, 100000);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 2);
	blob(ea, LINK_BLOB_OFFER, h3, 100000);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 2);
	CU_EQ_INT(sent[LINK_BLOB_DONE], 0);	/* not refused either */
	data(h1, 0, 100000, 100000);		/* not what it says it is */
	CU_EQ_INT(sent[LINK_BLOB_DONE], 1);
	blob(ea, LINK_BLOB_OFFER, h3, 100000);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 3);
	/* A link that breaks frees the places. */
	link_down(0);
	CU_EQ_U64(e->offers_in, 0);
	CU_EQ_U64(e->transfers_active, 0);
	teardown();
}

static void as_many_bodies_come_at_a_time_as_the_setting_says(void)
{
	struct engine_opts o;

	replica();
	CU_EQ_INT(e->o.max_conns, ENGINE_CONNS_DEFAULT);
	o = e->o;
	o.max_conns = 1000000;
	engine_reconfigure(e, &o);
	CU_EQ_INT(e->o.max_conns, ENGINE_CONNS_MAX);
	o.max_conns = 2;
	engine_reconfigure(e, &o);
	blob(ea, LINK_BLOB_OFFER, h1, 100000);
	blob(ea, LINK_BLOB_OFFER, h2, 100000);
	blob(ea, LINK_BLOB_OFFER, h3, 100000);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 2);
	o.max_conns = 3;
	engine_reconfigure(e, &o);
	blob(ea, LINK_BLOB_OFFER, h3, 100000);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 3);
	teardown();
}

static void an_offer_of_more_than_a_body_can_be_is_refused(void)
{
	replica();
	blob(ea, LINK_BLOB_OFFER, h1, BODY_SIZE_MAX + 1);
	CU_EQ_INT(sent[LINK_BLOB_WANT], 0);
	CU_EQ_INT(last[LINK_BLOB_DONE].blob.result, E_LIMIT);
	teardown();
}

static void a_body_that_nobody_wants_any_more_is_let_go(void)
{
	replica();
	engine_blob_want(ea, h1, 0, TRANSFER_RECORD);
	engine_blob_want(ea, h1, 100, TRANSFER_OFFER);
	engine_blob_unwant(ea, h1, TRANSFER_RECORD);
	CU_CLAIM(!list_empty(&e->transfers), "it was offered too");
	engine_blob_unwant(ea, h1, TRANSFER_OFFER);
	CU_CLAIM(list_empty(&e->transfers), "nobody waits");
	CU_EQ_U64(e->transfers_active, 0);
	CU_EQ_U64(e->offers_in, 0);
	teardown();
}

static void part(struct eacct *to, uint32_t number, size_t n)
{
	struct link_msg m = {.type = LINK_RECORDS, .account = to->id,
			     .gen = to->peer.gen};
	uint8_t *octets = xzalloc(n);

	m.records.first_seq = account_end(to->a).seq + 1;
	m.records.count = 1;
	m.records.part = number;
	m.records.parts = 3;
	m.body = slice_of(octets, n);
	engine_message(e, &m);
	turn();
	free(octets);
}

static void parts_of_many_records_have_one_room(void)
{
	replica();
	open_other(1);
	CU_EQ_U64(e->parts_room, ENGINE_PARTS_ROOM);
	e->parts_room = 1000;
	part(ea, 1, 700);
	part(ea, 2, 700);			/* alone it may */
	CU_EQ_U64(e->parts_bytes, 1400);
	sent[LINK_ACK] = 0;
	part(other, 1, 10);
	CU_EQ_U64(other->part.n, 0);
	CU_EQ_U64(e->parts_bytes, 1400);
	CU_EQ_INT(sent[LINK_ACK], 1);		/* credited all the same */
	sent[LINK_NACK] = 0;
	later(1);
	CU_EQ_INT(sent[LINK_NACK], 1);		/* and asked for again */
	CU_CLAIM(id128_eq(last[LINK_NACK].account, other->id), "this one");
	part(ea, 1, 5);				/* begun anew */
	CU_EQ_U64(e->parts_bytes, 5);
	teardown();
}

/* A snapshot at seq n + 1 of the log that a rig makes. */
static void snapshot(unsigned n, struct buf *to, struct position *pos,
		     uint8_t digest[16])
{
	struct err err = ERR_NONE;
	char text[16];

	rig_init(&g, 1, 8u << 20);
	CU_EQ_INT(rig_open(&g, &err), 0);
	rig_epoch(&g, 0);
	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "text %u", i);
		rig_add(&g, 0, "INBOX", text);
	}
	rig_turn(&g);
	rig_publish_all(&g);
	CU_EQ_INT(store_snapshot(g.store, rig_account(&g, 0), to, &err), 0);
	*pos = account_published(rig_account(&g, 0));
	account_digest(rig_account(&g, 0), digest);
	rig_close(&g);
	rig_fini(&g);
}

static size_t coming_in(void)
{
	size_t n = 0;

	for (struct list *l = e->transfers.next; l != &e->transfers; l = l->next)
		n++;
	return n;
}

static void a_seed_waits_for_so_many_bodies_at_a_time(void)
{
	struct link_msg m;
	struct position pos;
	uint8_t digest[16], hash[32];
	struct buf all;
	char text[16];

	buf_init(&all, 1u << 20);
	snapshot(5, &all, &pos, digest);
	setup(1, 0);
	CU_EQ_U64(e->seed_bodies_max, ENGINE_SEED_BODIES_MAX);
	e->seed_bodies_max = 2;
	link_up(true);
	turn();
	position(6, 6, COPY_WHOLE);
	engine_step_simple(ea, EV_NEEDS_SEED);
	engine_seed_start(ea);
	turn();
	m = msg(LINK_SEED_OFFER);
	m.seed.pos = pos;
	m.seed.size = all.n;
	memcpy(m.seed.digest, digest, 16);
	engine_message(e, &m);
	m.type = LINK_SEED_DIFF;
	m.body = buf_all(&all);
	engine_message(e, &m);
	turn();
	for (unsigned i = 0; i < 5; i++) {
		CU_EQ_U64(coming_in(), i == 4 ? 1 : 2 - i % 2);
		snprintf(text, sizeof(text), "text %u", i);
		sha256(slice_str(text), hash);
		m = msg(LINK_BLOB_DATA);
		memcpy(m.blob.hash, hash, 32);
		m.body = slice_str(text);
		m.blob.size = m.body.n;
		engine_message(e, &m);
		turn();
	}
	later(2);
	CU_EQ_INT(sent[LINK_SEED_DONE], 1);
	CU_EQ_INT(last[LINK_SEED_DONE].seed.result, 0);
	CU_EQ_U64(account_end(ea->a).seq, 6);
	teardown();
	buf_fini(&all);
}

/* --- how long ---------------------------------------------------------------------- */

static void an_offer_lives_while_the_partner_takes_other_bodies(void)
{
	holder();
	open_other(0);
	engine_blob_offer(ea, h1, 1000000, NULL, NULL);
	turn();
	for (unsigned i = 0; i < 40; i++) {
		later(1);
		if (i % 4 == 0)
			blob(other, LINK_BLOB_WANT, h2, 0);
	}
	CU_CLAIM(!list_empty(&ea->offers), "its turn comes");
	/* It was said again: the first one may have been lost. */
	CU_CLAIM(sent[LINK_BLOB_OFFER] >= 3, "offered %u times",
		 sent[LINK_BLOB_OFFER]);
	later(11);
	CU_CLAIM(list_empty(&ea->offers), "nobody takes anything");
	teardown();
}

/* The record waits there for its body, which comes behind those of others. */
static void an_account_whose_body_is_behind_others_stays_in_sync(void)
{
	holder();
	open_other(0);
	CU_CLAIM(ea->peer.acked < account_end(ea->a).seq, "one waits");
	blob(ea, LINK_BLOB_WANT, h1, 0);
	for (unsigned i = 0; i < 60; i++) {
		later(1);
		if (i % 5 == 0)
			blob(other, LINK_BLOB_WANT, h2, 0);
	}
	CU_CLAIM(peer_in_sync(&ea->peer), "state %s",
		 peer_state_name(ea->peer.state));
	/* It is there, and still there is no ack: that is no slow link. */
	blob(ea, LINK_BLOB_DONE, h1, 0);
	for (unsigned i = 0; i < 15; i++) {
		later(1);
		if (i % 5 == 0)
			blob(other, LINK_BLOB_WANT, h2, 0);
	}
	CU_EQ_INT(ea->peer.state, PEER_LONE);
	teardown();
}

static unsigned wants_2;

static void count_wants(const struct link_msg *m)
{
	if (m->type == LINK_BLOB_WANT && !memcmp(m->blob.hash, h2, 32))
		wants_2++;
}

static void a_transfer_behind_others_is_not_asked_for_again(void)
{
	const uint64_t size = 8 * LINK_CHUNK;

	replica();
	wants_2 = 0;
	watch = count_wants;
	blob(ea, LINK_BLOB_OFFER, h1, size);
	blob(ea, LINK_BLOB_OFFER, h2, size);
	CU_EQ_INT(wants_2, 1);
	for (unsigned i = 0; i < 7; i++) {
		later(9);
		data(h1, i * LINK_CHUNK, size, LINK_CHUNK);
	}
	CU_EQ_INT(wants_2, 1);
	CU_EQ_INT(sent[LINK_BLOB_DONE], 0);
	/* Silence says that it was lost; in the end it is given up. */
	later(12);
	CU_EQ_INT(wants_2, 2);
	later(10 * ENGINE_TRANSFER_TRIES);
	CU_EQ_INT(sent[LINK_BLOB_DONE], 2);
	teardown();
	/* Alone it is not forgotten for ever. */
	replica();
	blob(ea, LINK_BLOB_OFFER, h1, 200 * LINK_CHUNK);
	blob(ea, LINK_BLOB_OFFER, h2, size);
	wants_2 = 0;
	for (unsigned i = 0; i < 12; i++) {
		later(9);
		data(h1, i * LINK_CHUNK, 200 * LINK_CHUNK, LINK_CHUNK);
	}
	CU_EQ_INT(wants_2, 1);
	watch = NULL;
	teardown();
}

CU_TESTS(CU_CASE(what_is_offered_beyond_the_limit_waits),
	 CU_CASE(as_many_bodies_come_at_a_time_as_the_setting_says),
	 CU_CASE(an_offer_of_more_than_a_body_can_be_is_refused),
	 CU_CASE(a_body_that_nobody_wants_any_more_is_let_go),
	 CU_CASE(parts_of_many_records_have_one_room),
	 CU_CASE(a_seed_waits_for_so_many_bodies_at_a_time),
	 CU_CASE(an_offer_lives_while_the_partner_takes_other_bodies),
	 CU_CASE(an_account_whose_body_is_behind_others_stays_in_sync),
	 CU_CASE(a_transfer_behind_others_is_not_asked_for_again))
