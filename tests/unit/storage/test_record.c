#include "proto/record.h"
#include "tests/lib/cu.h"

#include <stdlib.h>

static struct id128 id_of(uint8_t c)
{
	struct id128 id;

	memset(id.b, c, 16);
	return id;
}

static struct arena *arena;
static struct buf bytes;

static void begin(void)
{
	if (!arena) {
		arena = arena_new(4096);
		buf_init(&bytes, RECORD_SIZE_MAX + 1024);
	}
	arena_reset(arena);
	buf_reset(&bytes);
}

/* Encodes, decodes, encodes again: equal bytes, equal print. */
static struct record again(const struct record *r)
{
	struct record out = {0};
	struct err e = ERR_NONE;
	struct buf second, p1, p2;

	CU_EQ_INT(record_encode(r, &bytes), 0);
	CU_OK(record_decode(buf_all(&bytes), arena, &out, &e), &e);
	buf_init(&second, RECORD_SIZE_MAX);
	buf_init(&p1, 1 << 20);
	buf_init(&p2, 1 << 20);
	CU_EQ_INT(record_encode(&out, &second), 0);
	CU_EQ_SLICE(buf_all(&second), buf_all(&bytes));
	record_print(r, &p1);
	record_print(&out, &p2);
	CU_EQ_SLICE(buf_all(&p2), buf_all(&p1));
	buf_fini(&second);
	buf_fini(&p1);
	buf_fini(&p2);
	return out;
}

static void every_small_op_survives(void)
{
	struct op ops[16] = {0};
	size_t n = 0;
	struct mbox_rename items[2] = {
		{id_of(1), SLICE_LIT("Work/\xc3\xa4"), 77},
		{id_of(2), SLICE_LIT("b"), UINT32_MAX},
	};

	begin();
	ops[n++] = (struct op){.kind = OP_NOOP, .ignorable = true};
	ops[n++] = (struct op){.kind = OP_HANDOVER,
			       .handover = {1, {1, 2, 3}, 1ull << 35}};
	ops[n++] = (struct op){.kind = OP_ACCOUNT_CREATE,
			       .account_name = SLICE_LIT("bob@example.org")};
	ops[n++] = (struct op){.kind = OP_ACCOUNT_DELETE,
			       .delete_op = id_of(9)};
	ops[n++] = (struct op){.kind = OP_UIDVALIDITY_HWM,
			       .uidvalidity_hwm = 1234567};
	ops[n++] = (struct op){.kind = OP_MBOX_CREATE,
			       .mbox_create = {id_of(1), SLICE_LIT("INBOX"), 5,
					       true, SPECIALUSE_SENT}};
	ops[n++] = (struct op){.kind = OP_MBOX_RENAME,
			       .mbox_rename = {items, 2}};
	ops[n++] = (struct op){.kind = OP_MBOX_DELETE,
			       .mbox_delete = {id_of(1), SLICE_LIT("x"),
					       1ull << 33, {7}}};
	ops[n++] = (struct op){.kind = OP_MBOX_RENUMBER,
			       .mbox_renumber = {id_of(3), 8}};
	ops[n++] = (struct op){.kind = OP_SUBSCRIBE,
			       .subscribe = {SLICE_LIT("x"), true}};
	ops[n++] = (struct op){.kind = OP_SPECIALUSE,
			       .specialuse = {id_of(3), SPECIALUSE_JUNK}};
	ops[n++] = (struct op){.kind = OP_KEYWORD,
			       .keyword = {id_of(3), SLICE_LIT("$Label1")}};
	ops[n++] = (struct op){.kind = OP_MSG_RETIRE,
			       .msg_retire = {id_of(3), 4, 90}};
	ops[n++] = (struct op){.kind = OP_DELIVERY,
			       .delivery = {{1, 2}, -5, id_of(3), 90}};
	ops[n++] = (struct op){.kind = OP_TRIM,
			       .trim = {TRIM_VANISHED, id_of(3), 1ull << 50,
					SLICE_NONE}};
	struct record r = {(1ull << 36) | 7, ops, n};
	struct record out = again(&r);

	CU_EQ_U64(out.modseq, r.modseq);
	CU_EQ_INT(out.n_ops, n);
	CU_EQ_INT(out.ops[0].kind, OP_NOOP);
	CU_CLAIM(out.ops[0].ignorable && !out.ops[1].ignorable, "ignorable");
	CU_EQ_U64(out.ops[1].handover.counter, 1ull << 35);
	CU_EQ_TEXT(out.ops[2].account_name, "bob@example.org");
	CU_EQ_TEXT(out.ops[6].mbox_rename.items[0].name, "Work/\xc3\xa4");
	CU_EQ_U64(out.ops[7].mbox_delete.uidnext, 1ull << 33);
	CU_EQ_INT(out.ops[13].delivery.time, -5);
}

static void epoch_begin_and_checkpoint_survive(void)
{
	struct mbox_floor floors[1] = {{id_of(4), 1ull << 32}};
	struct lineage_entry joined[2] = {{3, 0xdeadbeef, 1, 9, 12, 1},
					  {5, 1, 10, 11, 1, 1}};
	uint64_t fork[2] = {(2ull << 36) | 5, (2ull << 36) | 5};
	uint32_t amb[1] = {3};
	struct mbox_digest md[1] = {{id_of(4), {8}}};
	struct op ops[2] = {
		{.kind = OP_EPOCH_BEGIN,
		 .epoch_begin = {6, 0xffffffff, 0, {2, 7, 100, ~0ull},
				 EPOCH_HEAL, 65536, 0, floors, 1, joined, 2,
				 fork, amb, 1}},
		{.kind = OP_CHECKPOINT, .checkpoint = {{5}, md, 1}},
	};
	struct record r = {0, ops, 2};
	struct record out;

	begin();
	out = again(&r);
	CU_EQ_U64(out.ops[0].epoch_begin.parent.chain, ~0ull);
	CU_EQ_U64(out.ops[0].epoch_begin.nonce, 0xffffffff);
	CU_EQ_U64(out.ops[0].epoch_begin.joined[0].nonce, 0xdeadbeef);
	CU_EQ_U64(out.ops[0].epoch_begin.joined_fork_modseq[1], fork[1]);
	CU_EQ_U64(out.ops[0].epoch_begin.floors[0].uidnext, 1ull << 32);
	CU_EQ_INT(out.ops[1].checkpoint.n_mboxes, 1);
}

static struct op add_op(void)
{
	static struct slice kw[2] = {{(const uint8_t *)"$junk", 5},
				     {(const uint8_t *)"abc", 3}};
	struct op o = {.kind = OP_MSG_ADD};

	o.msg_add.mbox = id_of(1);
	o.msg_add.uid = UINT32_MAX;
	o.msg_add.emailid = id_of(2);
	o.msg_add.threadid = id_of(3);
	memset(o.msg_add.body_hash, 0xaa, 32);
	o.msg_add.size = 1ull << 33;
	o.msg_add.internaldate = -1;
	o.msg_add.internaldate_zone = -720;
	o.msg_add.savedate = 1ll << 40;
	o.msg_add.flags = MSG_SEEN | MSG_DRAFT;
	o.msg_add.keywords = kw;
	o.msg_add.n_keywords = 2;
	o.msg_add.source = SOURCE_COPY;
	o.msg_add.src_mbox = id_of(5);
	o.msg_add.src_uid = 6;
	o.msg_add.has_origin = true;
	o.msg_add.origin = (struct origin){1, 2, 3, 4};
	o.msg_add.inline_body = true;
	return o;
}

static void message_ops_survive(void)
{
	struct uid_range uids[3] = {{1, 1}, {3, 9}, {11, UINT32_MAX}};
	struct slice kw = SLICE_LIT("x");
	struct expunged ex[2] = {{5, id_of(1)}, {9, id_of(2)}};
	struct op ops[3] = {
		add_op(),
		{.kind = OP_MSG_FLAGS,
		 .msg_flags = {id_of(1), uids, 3, MSG_SEEN, MSG_DELETED, &kw,
			       &kw, 1, 1}},
		{.kind = OP_MSG_EXPUNGE, .msg_expunge = {id_of(1), ex, 2}},
	};
	struct record r = {9, ops, 3};
	struct record out;

	begin();
	out = again(&r);
	const struct op_msg_add *a = &out.ops[0].msg_add;
	CU_EQ_INT(a->internaldate, -1);
	CU_EQ_INT(a->internaldate_zone, -720);
	CU_EQ_INT(a->savedate, 1ll << 40);
	CU_EQ_U64(a->size, 1ull << 33);
	CU_EQ_TEXT(a->keywords[0], "$junk");
	CU_CLAIM(a->inline_body && a->has_origin, "booleans");
	CU_EQ_INT(out.ops[1].msg_flags.n_uids, 3);
	CU_EQ_U64(out.ops[1].msg_flags.uids[2].last, UINT32_MAX);
	CU_EQ_INT(out.ops[2].msg_expunge.items[1].uid, 9);
	CU_CLAIM(id128_eq(out.ops[2].msg_expunge.items[1].emailid, id_of(2)),
		 "emailid");
}

/* Encodes what the API would never write and expects a refusal. */
static int refused(struct op o)
{
	struct record r = {1, &o, 1}, out;
	struct err e = ERR_NONE;
	int rc;

	buf_reset(&bytes);
	CU_EQ_INT(record_encode(&r, &bytes), 0);
	rc = record_decode(buf_all(&bytes), arena, &out, &e);
	CU_EQ_INT(e.code, rc);
	return rc;
}

static void bounds_are_refused(void)
{
	struct op o;
	char *long_name = xzalloc(MBOX_NAME_MAX + 2);
	struct uid_range falling[2] = {{5, 9}, {9, 10}};
	struct slice upper = SLICE_LIT("Upper");

	begin();
	memset(long_name, 'a', MBOX_NAME_MAX + 1);
	o = (struct op){.kind = OP_SUBSCRIBE,
			.subscribe = {slice_str(long_name), true}};
	CU_EQ_INT(refused(o), E_CORRUPT);
	o.subscribe.name = slice_of(long_name, MBOX_NAME_MAX);
	CU_EQ_INT(refused(o), 0);
	o.subscribe.name = slice_of("a\0b", 3);
	CU_EQ_INT(refused(o), E_CORRUPT);
	free(long_name);

	o = add_op();
	o.msg_add.uid = 0;
	CU_EQ_INT(refused(o), E_CORRUPT);
	o = add_op();
	o.msg_add.flags = 32;
	CU_EQ_INT(refused(o), E_CORRUPT);
	o = add_op();
	o.msg_add.keywords = &upper;
	o.msg_add.n_keywords = 1;
	CU_EQ_INT(refused(o), E_CORRUPT);
	o = add_op();
	o.msg_add.internaldate_zone = 24 * 60 + 1;
	CU_EQ_INT(refused(o), E_CORRUPT);

	o = (struct op){.kind = OP_MSG_FLAGS,
			.msg_flags = {.uids = falling, .n_uids = 2}};
	CU_EQ_INT(refused(o), E_CORRUPT);
	falling[1].first = 10;
	CU_EQ_INT(refused(o), 0);
	o = (struct op){.kind = OP_MBOX_CREATE,
			.mbox_create = {id_of(1), SLICE_LIT("x"), 0, false, 0}};
	CU_EQ_INT(refused(o), E_CORRUPT);
	o = (struct op){.kind = OP_EPOCH_BEGIN,
			.epoch_begin = {.epoch = 1, .node = 2,
					.reason = EPOCH_START}};
	CU_EQ_INT(refused(o), E_CORRUPT);
}

static void more_uids_than_a_record_has_are_refused(void)
{
	size_t n = RECORD_UIDS_MAX + 1;
	struct op *ops = xzalloc(n * sizeof(*ops));
	struct record r = {1, ops, n}, out;
	struct err e = ERR_NONE;

	begin();
	for (size_t i = 0; i < n; i++) {
		ops[i] = add_op();
		ops[i].msg_add.n_keywords = 0;
		ops[i].msg_add.uid = (uint32_t)i + 1;
	}
	CU_EQ_INT(record_encode(&r, &bytes), 0);
	CU_EQ_INT(record_decode(buf_all(&bytes), arena, &out, &e), E_CORRUPT);
	buf_reset(&bytes);
	r.n_ops--;
	CU_EQ_INT(record_encode(&r, &bytes), 0);
	CU_OK(record_decode(buf_all(&bytes), arena, &out, &e), &e);
	free(ops);
}

static void a_record_over_the_size_limit_is_not_written(void)
{
	static char big[RECORD_SIZE_MAX];
	struct op o = {.kind = 0, .ignorable = true,
		       .raw = {1000, slice_of(big, sizeof(big))}};
	struct record r = {1, &o, 1};

	begin();
	CU_EQ_INT(record_encode(&r, &bytes), E_LIMIT);
	CU_EQ_INT(bytes.n, 0);
	o.raw.bytes.n = sizeof(big) - 64;
	CU_EQ_INT(record_encode(&r, &bytes), 0);
}

static void unknown_ops_stop_unless_ignorable(void)
{
	struct op o = {.kind = 0, .raw = {1000, SLICE_LIT("abc")}};
	struct record r = {1, &o, 1}, out;
	struct err e = ERR_NONE;

	begin();
	CU_EQ_INT(refused(o), E_VERSION);
	o.ignorable = true;
	buf_reset(&bytes);
	out = again(&r);
	CU_EQ_INT(out.ops[0].kind, 0);
	CU_EQ_INT(out.ops[0].raw.field, 1000);
	CU_EQ_TEXT(out.ops[0].raw.bytes, "abc");
	(void)e;
}

static void an_op_that_became_longer_stops_unless_ignorable(void)
{
	/* Subscribe{name "x", on, and a field 9}, written as raw bytes */
	struct op o = {.kind = 0,
		       .raw = {OP_SUBSCRIBE,
			       SLICE_LIT("\x0a\x01x\x10\x01\x48\x01")}};

	begin();
	CU_EQ_INT(refused(o), E_VERSION);
	o.ignorable = true;
	CU_EQ_INT(refused(o), 0);
	o.ignorable = false;
	o.raw.bytes.n -= 2;
	CU_EQ_INT(refused(o), 0);
	/* Numbers below 16 are no ops. */
	o.raw.field = 3;
	o.ignorable = true;
	CU_EQ_INT(refused(o), E_CORRUPT);
}

static void ops_of_later_areas_keep_their_bytes(void)
{
	/* SievePut{name "n", text "t"} */
	struct op o = {.kind = OP_SIEVE_PUT,
		       .raw = {OP_SIEVE_PUT, SLICE_LIT("\x0a\x01n\x12\x01t")}};
	struct record r = {1, &o, 1}, out;

	begin();
	out = again(&r);
	CU_EQ_INT(out.ops[0].kind, OP_SIEVE_PUT);
	CU_EQ_SLICE(out.ops[0].raw.bytes, o.raw.bytes);
}

static void damaged_bytes_never_pass_unseen_or_crash(void)
{
	struct op ops[2] = {add_op(), {.kind = OP_NOOP}};
	struct record r = {1, ops, 2}, out;
	struct err e = ERR_NONE;
	struct slice all;

	begin();
	CU_EQ_INT(record_encode(&r, &bytes), 0);
	all = buf_all(&bytes);
	for (size_t n = 0; n < all.n; n++) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, all.p, n);
		arena_reset(arena);
		record_decode(slice_of(cut, n), arena, &out, &e);
		free(cut);
	}
	for (size_t i = 0; i < all.n * 8; i++) {
		bytes.p[i / 8] ^= (uint8_t)(1 << i % 8);
		arena_reset(arena);
		record_decode(all, arena, &out, &e);
		bytes.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CU_EQ_INT(record_decode(SLICE_LIT("\xff\xff"), arena, &out, &e),
		  E_CORRUPT);
}

CU_TESTS(CU_CASE(every_small_op_survives),
	 CU_CASE(epoch_begin_and_checkpoint_survive),
	 CU_CASE(message_ops_survive), CU_CASE(bounds_are_refused),
	 CU_CASE(more_uids_than_a_record_has_are_refused),
	 CU_CASE(a_record_over_the_size_limit_is_not_written),
	 CU_CASE(unknown_ops_stop_unless_ignorable),
	 CU_CASE(an_op_that_became_longer_stops_unless_ignorable),
	 CU_CASE(ops_of_later_areas_keep_their_bytes),
	 CU_CASE(damaged_bytes_never_pass_unseen_or_crash))
