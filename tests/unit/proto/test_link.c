#include "proto/link.h"
#include "tests/lib/cu.h"

#include <stdio.h>
#include <stdlib.h>

/* Every type goes out and comes back; what breaks a bound does not. */

static const uint16_t types[] = {
	LINK_HELLO, LINK_IDENTITY, LINK_REFUSE, LINK_HEARTBEAT,
	LINK_POSITION_REQ, LINK_POSITION, LINK_RECORDS, LINK_ACK, LINK_NACK,
	LINK_PUBLISHED, LINK_PARK, LINK_FORKINFO, LINK_TAIL_REQ, LINK_TAIL_DATA,
	LINK_ASK, LINK_ASK_REPLY, LINK_HANDOVER, LINK_NOT_HOLDER, LINK_RESIGN,
	LINK_PRESSURE, LINK_BLOB_OFFER, LINK_BLOB_WANT, LINK_BLOB_DATA,
	LINK_BLOB_DONE, LINK_SEED_OFFER, LINK_SEED_WANT, LINK_SEED_DIFF,
	LINK_SEED_DONE, LINK_DIGEST_REQ, LINK_DIGEST_REPLY, LINK_DELIVER,
	LINK_DELIVERED, LINK_STREAM_OPEN, LINK_STREAM_DATA, LINK_STREAM_CREDIT,
	LINK_STREAM_CLOSE, LINK_UP, LINK_DOWN, LINK_TICK, LINK_REPORT,
};

static const struct position pos = {7, 0x11223344, 99, 0x8877665544332211};

static void id_fill(struct id128 *id, uint8_t v)
{
	memset(id->b, v, 16);
}

/* A message of the type with every field set. */
static struct link_msg sample(uint16_t type, struct arena *a)
{
	static struct link_journal j[2] = {{1, 2}, {UINT64_MAX, 4}};
	struct link_msg m = {.type = type, .gen = 0xfedcba9876543210, .id = 5};
	struct lineage_entry *l = arena_zalloc(a, 2 * sizeof(*l));
	struct link_resigned *r = arena_zalloc(a, sizeof(*r));
	struct link_digest *d = arena_zalloc(a, sizeof(*d));

	id_fill(&m.account, 9);
	l[0] = (struct lineage_entry){1, 11, 1, 5, 4, 1};
	l[1] = (struct lineage_entry){2, 12, 6, 9, 3, 0};
	id_fill(&r->account, 3);
	r->end = pos;
	id_fill(&d->account, 4);
	d->seq = 8;
	switch (type) {
	case LINK_HELLO:
		m.hello = (struct link_hello){
			.channel = CHANNEL_BULK, .has_identity = true,
			.trusted = true, .pair_time = 5, .index = 1, .boot = 77,
			.major = 1, .features = 3, .clock_usec = 123456789,
			.limits = {4096, 65536, 4096, 1u << 20},
			.journals = j, .n_journals = 2, .accounts = 3,
			.partial = true};
		id_fill(&m.hello.pair_id, 1);
		id_fill(&m.hello.node_id, 2);
		break;
	case LINK_IDENTITY:
		m.identity.pair_time = 6;
		m.identity.index = 1;
		break;
	case LINK_HEARTBEAT:
		m.heartbeat = (struct link_heartbeat){
			.heard_ticks = 3, .you_regressed = true,
			.journals = j, .n_journals = 2, .lone = 4};
		break;
	case LINK_POSITION_REQ:
	case LINK_POSITION:
		m.position = (struct link_position){
			.name = SLICE_LIT("a@b"), .end = pos, .acked = pos,
			.published = 98, .floor = 3, .mark = 2,
			.copy = COPY_WHOLE, .holder = -1, .lineage = l,
			.n_lineage = 2};
		break;
	case LINK_RECORDS:
	case LINK_TAIL_DATA:
		m.records = (struct link_records){10, 2, 9, 0xabc, 2, 3};
		break;
	case LINK_NACK:
		m.nack = (struct link_nack){12, 1};
		break;
	case LINK_PUBLISHED:
		m.published = 1ull << 40;
		break;
	case LINK_TICK:
		m.tick_heard = 1;
		break;
	case LINK_FORKINFO:
		m.forkinfo = (struct link_forkinfo){pos, true, false, true, true};
		break;
	case LINK_ASK:
		m.ask = (struct link_ask){SLICE_LIT("x"), true, true, false};
		break;
	case LINK_ASK_REPLY:
		m.ask_reply = (struct link_ask_reply){ASK_HANDOVER, -5, pos};
		break;
	case LINK_RESIGN:
		m.resign = (struct link_resign){.nonce = 4, .cause = 1,
						.process = 1, .processes = 2,
						.items = r, .n_items = 1};
		break;
	case LINK_BLOB_OFFER: case LINK_BLOB_WANT: case LINK_BLOB_DATA:
	case LINK_BLOB_DONE:
		m.blob = (struct link_blob){.size = 1ull << 33, .offset = 4,
					    .credit = 5, .result = E_NOTFOUND};
		memset(m.blob.hash, 6, 32);
		break;
	case LINK_SEED_OFFER: case LINK_SEED_WANT: case LINK_SEED_DIFF:
	case LINK_SEED_DONE: case LINK_TAIL_REQ:
		m.seed = (struct link_seed){.pos = pos, .size = 4, .offset = 2,
					    .credit = 1, .result = -3};
		break;
	case LINK_DIGEST_REQ: case LINK_DIGEST_REPLY:
		m.digests = (struct link_digests){d, 1};
		break;
	case LINK_DELIVER:
		m.deliver = (struct link_deliver){
			.name = SLICE_LIT("n"), .mailbox = SLICE_LIT("INBOX"),
			.autocreate = true, .body_size = 3, .internaldate = -4,
			.internaldate_zone = -60, .flags = MSG_SEEN,
			.keywords = arena_zalloc(a, sizeof(struct slice)),
			.n_keywords = 1};
		m.deliver.keywords[0] = SLICE_LIT("$x");
		break;
	case LINK_DELIVERED:
		m.delivered = (struct link_delivered){
			E_TEMP, true, true, true, 6, 7, SLICE_LIT("t"), pos};
		break;
	case LINK_STREAM_OPEN: case LINK_STREAM_CREDIT:
		m.stream = (struct link_stream){
			SLICE_LIT("n"), SLICE_LIT("imap"), SLICE_LIT("::1"),
			SLICE_LIT("e"), pos, 9};
		break;
	case LINK_REFUSE: case LINK_PARK: case LINK_PRESSURE:
	case LINK_STREAM_CLOSE:
		m.text = (struct link_text){REFUSE_CLOCK, SLICE_LIT("set it")};
		break;
	case LINK_UP:
		m.up = (struct link_up){.partner_lost = true, .trusted = true,
					.partner_boot = 3, .link = 4,
					.serial = 5, .journals = j,
					.n_journals = 1};
		break;
	case LINK_DOWN:
		m.down = (struct link_down){4, 3, true, false, true, 6};
		break;
	case LINK_REPORT:
		m.report = (struct link_report){.journals = j, .n_journals = 1,
						.partner = j, .n_partner = 2,
						.lone = 4, .failed = true,
						.serial = 7};
		break;
	default:
		m.ack = pos;
		break;
	}
	m.body = SLICE_LIT("raw \0 body");
	return m;
}

static int reread(const struct link_msg *m, struct arena *a,
		  struct link_msg *out, struct err *e)
{
	struct ipc_msg env;
	struct buf b;
	int n;

	buf_init(&b, 2 * IPC_MESSAGE_MAX);
	n = link_encode(&b, m);
	if (n == 0) {
		struct slice s = arena_dup(a, buf_all(&b));

		n = ipc_decode(s, &env, e) > 0 ? link_decode(&env, a, out, e) :
		    E_PROTO;
	}
	buf_fini(&b);
	return n;
}

static void every_type_comes_back_the_same(void)
{
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_msg m = sample(types[i], a), out;
		struct buf one, two;
		struct err e = ERR_NONE;

		CU_CLAIM(strcmp(link_type_name(types[i]), "?"), "%u has a name",
			 types[i]);
		if (!CU_OK(reread(&m, a, &out, &e), &e))
			continue;
		buf_init(&one, IPC_MESSAGE_MAX);
		buf_init(&two, IPC_MESSAGE_MAX);
		CU_EQ_INT(link_encode(&one, &m), 0);
		CU_EQ_INT(link_encode(&two, &out), 0);
		CU_CLAIM(slice_eq(buf_all(&one), buf_all(&two)),
			 "%s comes back", link_type_name(types[i]));
		CU_EQ_U64(out.gen, m.gen);
		CU_EQ_U64(out.id, m.id);
		CU_CLAIM(id128_eq(out.account, m.account), "account");
		CU_EQ_SLICE(out.body, m.body);
		buf_fini(&one);
		buf_fini(&two);
	}
	arena_free(a);
}

static void fields_keep_their_values(void)
{
	struct arena *a = arena_new(4096);
	struct link_msg m = sample(LINK_POSITION, a), out;
	struct err e = ERR_NONE;

	CU_NEED(CU_OK(reread(&m, a, &out, &e), &e));
	CU_EQ_U64(out.position.end.chain, pos.chain);
	CU_EQ_U64(out.position.end.nonce, pos.nonce);
	CU_EQ_INT(out.position.holder, -1);
	CU_EQ_U64(out.position.n_lineage, 2);
	CU_EQ_U64(out.position.lineage[1].first_seq, 6);
	CU_EQ_TEXT(out.position.name, "a@b");
	m = sample(LINK_DELIVER, a);
	CU_NEED(CU_OK(reread(&m, a, &out, &e), &e));
	CU_EQ_INT(out.deliver.internaldate, -4);
	CU_EQ_INT(out.deliver.internaldate_zone, -60);
	CU_EQ_TEXT(out.deliver.keywords[0], "$x");
	m = sample(LINK_BLOB_DATA, a);
	CU_NEED(CU_OK(reread(&m, a, &out, &e), &e));
	CU_EQ_INT(out.blob.result, E_NOTFOUND);
	CU_EQ_U64(out.blob.size, 1ull << 33);
	arena_free(a);
}

static void what_breaks_a_bound_is_refused(void)
{
	struct arena *a = arena_new(4096);
	struct link_msg m, out;
	struct err e = ERR_NONE;
	char *name = arena_alloc(a, ACCOUNT_NAME_MAX + 2);

	memset(name, 'x', ACCOUNT_NAME_MAX + 1);
	m = sample(LINK_POSITION, a);
	m.position.name = slice_of(name, ACCOUNT_NAME_MAX);
	CU_EQ_INT(reread(&m, a, &out, &e), 0);
	m.position.name = slice_of(name, ACCOUNT_NAME_MAX + 1);
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_POSITION, a);
	m.position.lineage[1].first_seq = 5;	/* overlaps the first */
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_POSITION, a);
	m.position.holder = 2;
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_HELLO, a);
	m.hello.index = 2;
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_RECORDS, a);
	m.records.part = 4;			/* of 3 */
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_DELIVER, a);
	m.deliver.flags = 64;
	CU_EQ_INT(reread(&m, a, &out, &e), E_PROTO);
	m = sample(LINK_ACK, a);
	m.body.n = IPC_MESSAGE_MAX;		/* never read */
	CU_EQ_INT(reread(&m, a, &out, &e), E_LIMIT);
	arena_free(a);
}

static void unknown_and_empty_messages_are_refused(void)
{
	struct arena *a = arena_new(4096);
	struct ipc_msg env = {.type = LINK_TYPE_END, .fd = -1};
	struct link_msg out;
	struct err e = ERR_NONE;

	CU_EQ_INT(link_decode(&env, a, &out, &e), E_PROTO);
	env.type = LINK_HELLO;			/* its fields are missing */
	CU_EQ_INT(link_decode(&env, a, &out, &e), E_PROTO);
	env.type = LINK_ACK;			/* genesis: all zero */
	CU_EQ_INT(link_decode(&env, a, &out, &e), 0);
	CU_EQ_U64(out.ack.seq, 0);
	env.head = SLICE_LIT("\xff\xff\xff");
	CU_EQ_INT(link_decode(&env, a, &out, &e), E_PROTO);
	arena_free(a);
}

static void records_are_taken_apart_as_put_together(void)
{
	struct arena *a = arena_new(4096);
	struct slice bodies[3] = {SLICE_LIT("one"), SLICE_NONE, SLICE_LIT("")};
	struct link_record r;
	struct buf b;
	int n;

	buf_init(&b, 4096);
	link_record_put(&b, SLICE_LIT("FRAME"), bodies, 3);
	link_record_put(&b, SLICE_LIT("NEXT"), NULL, 0);
	n = link_record_get(buf_all(&b), a, &r);
	CU_NEED(n > 0);
	CU_EQ_TEXT(r.frame, "FRAME");
	CU_EQ_U64(r.n_bodies, 3);
	CU_EQ_TEXT(r.bodies[0], "one");
	CU_CLAIM(r.bodies[1].p == NULL, "one that does not come along");
	CU_CLAIM(r.bodies[2].p && !r.bodies[2].n, "an empty one does");
	n = link_record_get(slice_sub(buf_all(&b), (size_t)n, b.n), a, &r);
	CU_NEED(n > 0);
	CU_EQ_TEXT(r.frame, "NEXT");
	for (size_t cut = 1; cut < b.n; cut++) {
		n = link_record_get(slice_of(b.p, cut), a, &r);
		CU_CLAIM(n == E_PROTO || (n > 0 && (size_t)n <= cut),
			 "cut at %zu: %d", cut, n);
	}
	CU_EQ_INT(link_record_get(SLICE_NONE, a, &r), 0);
	buf_fini(&b);
	arena_free(a);
}

/* With a directory as argument: the corpus of the fuzz target. */
static int write_corpus(const char *dir)
{
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct link_msg m = sample(types[i], a);
		char path[4200];
		struct buf b;
		FILE *f;

		buf_init(&b, IPC_MESSAGE_MAX);
		if (types[i] == LINK_RECORDS) {
			m.records.part = m.records.parts = 0;
			m.body = SLICE_LIT("\1\0\0\0\2\0\0\0FR\3\0\0\0abc");
		}
		link_encode(&b, &m);
		snprintf(path, sizeof(path), "%s/%s", dir,
			 link_type_name(types[i]));
		f = fopen(path, "wb");
		if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f))
			return 1;
		buf_fini(&b);
	}
	arena_free(a);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct cu_case cases[] = {
		CU_CASE(every_type_comes_back_the_same),
		CU_CASE(fields_keep_their_values),
		CU_CASE(what_breaks_a_bound_is_refused),
		CU_CASE(unknown_and_empty_messages_are_refused),
		CU_CASE(records_are_taken_apart_as_put_together),
	};

	if (argc == 3 && !strcmp(argv[1], "--corpus"))
		return write_corpus(argv[2]);
	return cu_main(argc, argv, __FILE__, cases, ARRAY_LEN(cases));
}
