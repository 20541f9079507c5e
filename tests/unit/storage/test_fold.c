#include "tests/unit/storage/fold_rig.h"

static struct rig rig;

static void a_delivery_makes_inbox_with_derived_ids(void)
{
	struct rig *r = &rig;
	struct mailbox *m;
	uint32_t uid;

	rig_init(r, 1);
	rig_begin(r, 0, 0);
	uid = rig_deliver(r, "inbox", "one");
	CU_EQ_INT(uid, 1);
	m = rig_box(r, "Inbox");
	CU_NEED(m != NULL);
	CU_EQ_STR(mailbox_name(m), "INBOX");
	CU_EQ_INT(mailbox_uidvalidity(m), RIG_PAIR_TIME);
	CU_EQ_INT(mailbox_uidnext(m), 2);
	CU_EQ_INT(mailbox_messages(m), 1);
	CU_EQ_INT(mailbox_unseen(m), 1);
	CU_EQ_U64(mailbox_highestmodseq(m), 2ull << 36 | 2);
	rig_has(m, 1, "one");
	CU_CLAIM(fsio_exists(r->sys.fs,
			     "/a/mailboxes/INBOX/dbox-Mails/u.1"), "file");
	CU_CLAIM(fsio_exists(r->sys.fs,
			     "/a/mailboxes/INBOX/dbox-Mails/duet-id"), "id");
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void flags_and_keywords_are_folded(void)
{
	struct rig *r = &rig;
	struct mailbox *m;

	rig_init(r, 2);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "one");
	rig_deliver(r, "INBOX", "two");
	m = rig_box(r, "INBOX");
	rig_flags(r, "INBOX", 1, 2, FLAGS_ADD, MSG_SEEN | MSG_FLAGGED,
		  "$Label1");
	CU_EQ_INT(mailbox_unseen(m), 0);
	CU_EQ_INT(rig_rec(m, 1)->flags, MSG_SEEN | MSG_FLAGGED);
	CU_EQ_STR(mailbox_keyword(m, 0), "$Label1");
	CU_CLAIM(mailbox_has_keyword(m, 1, 0), "keyword");
	/* Another spelling is the same keyword. */
	rig_flags(r, "INBOX", 1, 1, FLAGS_REMOVE, MSG_SEEN, "$LABEL1");
	CU_CLAIM(!mailbox_has_keyword(m, 0, 0), "keyword gone");
	CU_EQ_INT(mailbox_keywords(m), 1);
	CU_EQ_INT(mailbox_unseen(m), 1);
	rig_flags(r, "INBOX", 2, 2, FLAGS_REPLACE, MSG_DRAFT, "other");
	CU_EQ_INT(rig_rec(m, 2)->flags, MSG_DRAFT);
	CU_CLAIM(!mailbox_has_keyword(m, 1, 0), "replaced");
	CU_CLAIM(mailbox_has_keyword(m, 1, 1), "other");
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void checkpoint(struct rig *r)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	state_save(r->acc.state, &b);
	state_checkpointed(r->acc.state);
	buf_fini(&b);
}

static void an_expunge_leaves_its_file_and_a_range(void)
{
	struct rig *r = &rig;
	struct mailbox *m;

	rig_init(r, 3);
	rig_begin(r, 0, 0);
	for (int i = 0; i < 5; i++)
		rig_deliver(r, "INBOX", "x");
	m = rig_box(r, "INBOX");
	rig_expunge(r, "INBOX", 2, 4);
	CU_EQ_INT(mailbox_messages(m), 2);
	CU_EQ_INT(mailbox_records(m), 5);
	CU_EQ_INT(mailbox_expunged_below(m, 5), 3);
	CU_EQ_INT(mailbox_select_live(m, 1), 4);
	CU_ASSERT_PTR_NULL(rig_rec(m, 3));
	CU_CLAIM(!fsio_exists(r->sys.fs, "/a/mailboxes/INBOX/dbox-Mails/u.3"),
		 "moved");
	/* A session that was not told yet still reads it. */
	rig_has(m, 3, "x");
	state_sweep(r->acc.state, RIG_NOW + 1, r->acc.end.seq - 1);
	rig_has(m, 3, "x");
	/* Not before a snapshot with the expunge is durable. */
	state_sweep(r->acc.state, RIG_NOW + 1, r->acc.end.seq);
	rig_has(m, 3, "x");
	checkpoint(r);
	state_sweep(r->acc.state, RIG_NOW + 1, r->acc.end.seq);
	struct body b;
	struct err e = ERR_NONE;

	CU_EQ_INT(mailbox_body_open(m, 2, &b, &e), E_GONE);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void copies_are_links_and_keep_emailid(void)
{
	struct rig *r = &rig;
	struct mailbox *m, *t;
	struct fsio_stat a, b;
	struct err e = ERR_NONE;

	rig_init(r, 4);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "one");
	rig_deliver(r, "INBOX", "two");
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "Arch/2026", NULL, &e), &e);
	m = rig_box(r, "INBOX");
	t = rig_box(r, "Arch/2026");
	CU_NEED(t != NULL);
	CU_NEED(rig_box(r, "Arch") != NULL);
	rig_flags(r, "INBOX", 1, 1, FLAGS_ADD, MSG_SEEN, "kw");
	rig_copy(r, WRITE_COPY, "INBOX", "Arch/2026", 1, 1);
	rig_copy(r, WRITE_MOVE, "INBOX", "Arch/2026", 2, 9);
	CU_EQ_INT(mailbox_messages(m), 1);
	CU_EQ_INT(mailbox_messages(t), 2);
	rig_has(t, 1, "one");
	rig_has(t, 2, "two");
	CU_CLAIM(id128_eq(rig_rec(t, 1)->emailid, rig_rec(m, 1)->emailid),
		 "emailid");
	CU_EQ_INT(rig_rec(t, 1)->flags, MSG_SEEN);
	CU_CLAIM(mailbox_has_keyword(t, 0, 0), "keyword copied");
	CU_EQ_INT(r->sys.fs->ops->stat(
			  r->sys.fs, "/a/mailboxes/INBOX/dbox-Mails/u.1", &a),
		  0);
	CU_EQ_INT(r->sys.fs->ops->stat(
			  r->sys.fs,
			  "/a/mailboxes/Arch/2026/dbox-Mails/u.1", &b), 0);
	CU_EQ_U64(a.ino, b.ino);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void renames_move_directories_and_uidvalidity_never_falls(void)
{
	struct rig *r = &rig;
	struct err e = ERR_NONE;
	struct mailbox *m;
	uint32_t first, second;

	rig_init(r, 5);
	rig_begin(r, 0, 0);
	rig_deliver(r, "a", "in a");
	rig_deliver(r, "a/b", "in b");
	first = mailbox_uidvalidity(rig_box(r, "a"));
	CU_OK(rig_mbox_write(r, WRITE_RENAME, "a", "x/y", &e), &e);
	CU_ASSERT_PTR_NULL(rig_box(r, "a"));
	CU_ASSERT_PTR_NULL(rig_box(r, "a/b"));
	m = rig_box(r, "x/y");
	CU_NEED(m && rig_box(r, "x/y/b") && rig_box(r, "x"));
	CU_EQ_INT(mailbox_uidvalidity(m), first);
	rig_has(m, 1, "in a");
	rig_has(rig_box(r, "x/y/b"), 1, "in b");
	CU_CLAIM(!fsio_exists(r->sys.fs, "/a/mailboxes/a"), "old tree gone");
	/* The name "a" showed `first`: what comes there is higher. */
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "a", NULL, &e), &e);
	second = mailbox_uidvalidity(rig_box(r, "a"));
	CU_CLAIM(second > first, "%u > %u", second, first);
	CU_OK(rig_mbox_write(r, WRITE_DELETE, "a", NULL, &e), &e);
	CU_OK(rig_mbox_write(r, WRITE_RENAME, "x/y", "a", &e), &e);
	CU_CLAIM(mailbox_uidvalidity(rig_box(r, "a")) > second,
		 "rename back gets a fresh one");
	rig_has(rig_box(r, "a"), 1, "in a");
	CU_EQ_INT(rig_mbox_write(r, WRITE_RENAME, "a", "a/c", &e), E_INVALID);
	CU_EQ_INT(rig_mbox_write(r, WRITE_RENAME, "a", "x", &e), E_EXISTS);
	CU_EQ_INT(rig_mbox_write(r, WRITE_RENAME, "zz", "q", &e), E_NOTFOUND);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void rename_of_inbox_moves_its_messages(void)
{
	struct rig *r = &rig;
	struct err e = ERR_NONE;

	rig_init(r, 6);
	rig_begin(r, 0, 0);
	for (int i = 0; i < 7; i++)
		rig_deliver(r, "INBOX", "m");
	CU_OK(rig_mbox_write(r, WRITE_RENAME, "INBOX", "old/mail", &e), &e);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 0);
	CU_EQ_INT(mailbox_messages(rig_box(r, "old/mail")), 7);
	rig_has(rig_box(r, "old/mail"), 7, "m");
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void delete_leaves_children_and_an_undo(void)
{
	struct rig *r = &rig;
	struct err e = ERR_NONE;
	struct mailbox *m;
	char hex[33], *path;

	rig_init(r, 7);
	rig_begin(r, 0, 0);
	rig_deliver(r, "a", "in a");
	rig_deliver(r, "a/b", "in b");
	m = rig_box(r, "a");
	mailbox_ref(m);
	hex_of(mailbox_id(m).b, 16, hex);
	CU_OK(rig_mbox_write(r, WRITE_DELETE, "a", NULL, &e), &e);
	CU_CLAIM(mailbox_gone(m), "gone");
	CU_ASSERT_PTR_NULL(rig_box(r, "a"));
	rig_has(rig_box(r, "a/b"), 1, "in b");
	/* A session that has it open still reads. */
	rig_has(m, 1, "in a");
	mailbox_unref(m);
	path = xprintf("/a/.duet/.expunged/%s/u.1", hex);
	CU_CLAIM(fsio_exists(r->sys.fs, path), "%s", path);
	checkpoint(r);
	state_sweep(r->acc.state, RIG_NOW + 1, r->acc.end.seq);
	CU_CLAIM(!fsio_exists(r->sys.fs, path), "swept");
	free(path);
	CU_EQ_INT(rig_mbox_write(r, WRITE_DELETE, "a", NULL, &e), E_NOTFOUND);
	CU_EQ_INT(rig_mbox_write(r, WRITE_DELETE, "INBOX", NULL, &e),
		  E_NOTFOUND);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

/* --- contradictions --------------------------------------------------------------- */

/* Applies a record that must be refused; the state stays as it was. */
static void contradicts(struct rig *r, struct op *ops, size_t n)
{
	struct buf before, after;
	struct record rec = {(uint64_t)r->epoch << 36 |
				     (head_counter(r->acc.head) + 1), ops, n};
	struct frame f = {.type = FRAME_RECORD, .epoch = r->epoch,
			  .seq = r->acc.end.seq + 1};
	struct err e = ERR_NONE;

	buf_init(&before, 1 << 20);
	buf_init(&after, 1 << 20);
	state_save(r->acc.state, &before);
	CU_EQ_INT(state_apply(r->acc.state, &f, r->nonce, &rec, NULL, false,
			      &e), E_CORRUPT);
	state_save(r->acc.state, &after);
	CU_EQ_SLICE(buf_all(&after), buf_all(&before));
	buf_fini(&before);
	buf_fini(&after);
}

static void contradictions_change_nothing(void)
{
	struct rig *r = &rig;
	struct id128 box, none = {{1}};
	struct uid_range one = {1, 1}, nine = {1, 9};
	struct expunged ex[2];
	struct slice kw = SLICE_LIT("never");
	struct op o[2];

	rig_init(r, 8);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "one");
	rig_deliver(r, "INBOX", "two");
	rig_expunge(r, "INBOX", 2, 2);
	box = mailbox_id(rig_box(r, "INBOX"));

	o[0] = (struct op){.kind = OP_MSG_FLAGS,
			   .msg_flags = {box, &nine, 1, 1, 0, 0, 0, 0, 0}};
	contradicts(r, o, 1);
	/* A good op before a bad one is not applied either. */
	o[1] = o[0];
	o[0] = (struct op){.kind = OP_MSG_FLAGS,
			   .msg_flags = {box, &one, 1, 1, 0, 0, 0, 0, 0}};
	contradicts(r, o, 2);
	o[0].msg_flags.kw_add = &kw;
	o[0].msg_flags.n_kw_add = 1;
	contradicts(r, o, 1);
	o[0].msg_flags.mbox = none;
	contradicts(r, o, 1);
	ex[0] = (struct expunged){1, none};
	o[0] = (struct op){.kind = OP_MSG_EXPUNGE,
			   .msg_expunge = {box, ex, 1}};
	contradicts(r, o, 1);
	ex[0].emailid = rig_rec(rig_box(r, "INBOX"), 1)->emailid;
	o[1] = o[0];
	contradicts(r, o, 2);
	ex[0].uid = 2;
	contradicts(r, o, 1);
	o[0] = (struct op){.kind = OP_MSG_ADD,
			   .msg_add = {.mbox = box, .uid = 2,
				       .source = SOURCE_APPEND}};
	contradicts(r, o, 1);
	o[0] = (struct op){.kind = OP_MBOX_CREATE,
			   .mbox_create = {none, SLICE_LIT("INBOX"), 9, 0, 0}};
	contradicts(r, o, 1);
	o[0].mbox_create.name = SLICE_LIT("../../etc");
	contradicts(r, o, 1);
	o[0].mbox_create.name = SLICE_LIT("a/dbox-Mails");
	contradicts(r, o, 1);
	o[0].mbox_create = (struct op_mbox_create){box, SLICE_LIT("x"), 9, 0,
						   0};
	contradicts(r, o, 1);
	o[0] = (struct op){.kind = OP_MBOX_DELETE, .mbox_delete = {.id = none}};
	contradicts(r, o, 1);
	o[0] = (struct op){.kind = OP_EPOCH_BEGIN,
			   .epoch_begin = {.epoch = r->epoch}};
	contradicts(r, o, 1);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void an_op_of_a_later_version_stops_unless_ignorable(void)
{
	struct rig *r = &rig;
	struct op o = {.kind = OP_SIEVE_PUT,
		       .raw = {OP_SIEVE_PUT, SLICE_LIT("")}};
	struct record rec = {0, &o, 1};
	struct frame f = {.type = FRAME_RECORD, .seq = 2};
	struct err e = ERR_NONE;

	rig_init(r, 9);
	rig_begin(r, 0, 0);
	f.epoch = r->epoch;
	CU_EQ_INT(state_apply(r->acc.state, &f, r->nonce, &rec, NULL, false,
			      &e), E_VERSION);
	o.ignorable = true;
	CU_OK(state_apply(r->acc.state, &f, r->nonce, &rec, NULL, false, &e),
	      &e);
	rig_fini(r);
}

/* --- epochs -------------------------------------------------------------------------- */

static void a_jump_raises_every_uidnext_at_read_time(void)
{
	struct rig *r = &rig;
	struct err e = ERR_NONE;

	rig_init(r, 10);
	rig_begin(r, 0, 0);
	rig_deliver(r, "a", "1");
	rig_deliver(r, "a", "2");
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "b", NULL, &e), &e);
	rig_begin(r, 1, UID_JUMP);
	CU_EQ_U64(mailbox_uidnext(rig_box(r, "a")),
		  uid_parity(3 + UID_JUMP, 1));
	CU_EQ_U64(mailbox_uidnext(rig_box(r, "b")),
		  uid_parity(1 + UID_JUMP, 1));
	CU_EQ_U64(mailbox_highestmodseq(rig_box(r, "a")),
		  (uint64_t)r->epoch << 36 | 1);
	CU_EQ_INT(rig_deliver(r, "a", "3"), 3 + UID_JUMP);
	rig_begin(r, 0, UID_JUMP);
	rig_begin(r, 1, 7);
	/* One after the other, as the rule says. */
	uint64_t a = uid_parity(4 + UID_JUMP + UID_JUMP, 0);
	uint64_t b = uid_parity(uid_parity(1 + UID_JUMP, 1) + UID_JUMP, 0);

	CU_EQ_U64(mailbox_uidnext(rig_box(r, "a")), uid_parity(a + 7, 1));
	CU_EQ_U64(mailbox_uidnext(rig_box(r, "b")), uid_parity(b + 7, 1));
	/* INBOX begins where it would be had it existed since genesis. */
	uint64_t c = uid_parity(uid_parity(uid_parity(1 + UID_JUMP, 1) +
						   UID_JUMP, 0) + 7, 1);

	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), c);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void many_jumps_equal_applying_them_one_by_one(void)
{
	struct jump j[20];
	struct simrng rng;

	simrng_init(&rng, 3);
	for (int round = 0; round < 200; round++) {
		size_t n = (size_t)simrng_below(&rng, 20);

		for (size_t i = 0; i < n; i++) {
			j[i] = (struct jump){.by = simrng_below(&rng, 100),
					     .node = (uint8_t)simrng_below(
						     &rng, 2)};
			if (i)
				j[i].total = j[i - 1].total +
					     uid_parity(j[i - 1].node + j[i].by,
							j[i].node) -
					     j[i - 1].node;
		}
		for (size_t from = 0; from <= n; from++) {
			uint64_t u = simrng_below(&rng, 50), want = u;

			for (size_t i = from; i < n; i++)
				want = uid_parity(want + j[i].by, j[i].node);
			CU_EQ_U64(jumps_apply(j, n, from, u), want);
		}
	}
}

static void the_answer_rule_knows_its_lineage(void)
{
	struct rig *r = &rig;
	uint64_t e1, old;

	rig_init(r, 11);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "1");
	e1 = (uint64_t)r->epoch << 36;
	old = mailbox_highestmodseq(rig_box(r, "INBOX"));
	rig_begin(r, 1, 0);
	CU_EQ_U64(account_answer_modseq(&r->acc, old), old);
	CU_EQ_U64(account_answer_modseq(&r->acc, e1 | 999), 0);
	CU_EQ_U64(account_answer_modseq(&r->acc, 77ull << 36 | 1), 0);
	CU_EQ_U64(account_answer_modseq(&r->acc, 0), 0);
	CU_EQ_U64(account_answer_modseq(&r->acc, (uint64_t)r->epoch << 36 | 1),
		  (uint64_t)r->epoch << 36 | 1);
	rig_fini(r);
}

static void a_checkpoint_that_differs_is_counted(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(1024);
	struct op o = {.kind = OP_CHECKPOINT};

	rig_init(r, 12);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "1");
	account_checkpoint_op(&r->acc, a, &o.checkpoint);
	CU_EQ_INT(o.checkpoint.n_mboxes, 1);
	rig_op(r, o);
	CU_EQ_INT(state_mismatches(r->acc.state), 0);
	account_checkpoint_op(&r->acc, a, &o.checkpoint);
	CU_EQ_INT(o.checkpoint.n_mboxes, 0);
	o.checkpoint.account_digest[3] ^= 1;
	rig_op(r, o);
	CU_EQ_INT(state_mismatches(r->acc.state), 1);
	arena_free(a);
	rig_fini(r);
}

static void renumbering_keeps_messages_under_new_uids(void)
{
	struct rig *r = &rig;
	struct mailbox *m;
	struct op o = {.kind = OP_MBOX_RENUMBER};
	uint64_t since = 0;

	rig_init(r, 13);
	rig_begin(r, 0, 0);
	for (int i = 0; i < 6; i++) {
		char text[16];

		snprintf(text, sizeof(text), "m%d", i + 1);
		rig_deliver(r, "INBOX", text);
	}
	rig_expunge(r, "INBOX", 2, 3);
	m = rig_box(r, "INBOX");
	o.mbox_renumber.id = mailbox_id(m);
	o.mbox_renumber.uidvalidity = 1900000000;
	rig_op(r, o);
	CU_EQ_INT(mailbox_uidvalidity(m), 1900000000);
	CU_EQ_INT(mailbox_uidnext(m), 5);
	CU_EQ_INT(mailbox_messages(m), 4);
	rig_has(m, 1, "m1");
	rig_has(m, 2, "m4");
	rig_has(m, 4, "m6");
	CU_CLAIM(mailbox_vanished_since(m, since, NULL, NULL) == -2,
		 "memory begins anew");
	CU_EQ_INT(rig_deliver(r, "INBOX", "m7"), 5);
	rig_has(m, 5, "m7");
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void epoch_wrap_renews_every_uidvalidity(void)
{
	struct rig *r = &rig;
	struct op o = {.kind = OP_EPOCH_BEGIN,
		       .epoch_begin = {.reason = EPOCH_START, .node = 0,
				       .uidvalidity_base = 1950000000}};
	struct record rec = {0, &o, 1};
	struct mailbox *m;

	rig_init(r, 14);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "1");
	rig_deliver(r, "INBOX", "2");
	rig_expunge(r, "INBOX", 1, 1);
	r->epoch = 65536;
	o.epoch_begin.epoch = r->epoch;
	o.epoch_begin.nonce = r->nonce;
	rig_append(r, &rec, NULL);
	m = rig_box(r, "INBOX");
	CU_EQ_INT(mailbox_uidvalidity(m), 1950000000);
	CU_EQ_U64(mailbox_highestmodseq(m), 1);
	CU_EQ_U64(rig_rec(m, 2)->modseq, 1);
	CU_EQ_INT(mailbox_messages(m), 1);
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

static void account_delete_empties_and_may_be_created_again(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct id128 id;

	rig_init(r, 15);
	rig_begin(r, 0, 0);
	rig_deliver(r, "INBOX", "1");
	id = mailbox_id(rig_box(r, "INBOX"));
	CU_OK(rig_write(r, rig_new(a, WRITE_ACCOUNT_DELETE), &e), &e);
	CU_CLAIM(!account_exists(&r->acc), "gone");
	CU_ASSERT_PTR_NULL(rig_box(r, "INBOX"));
	rig_op(r, (struct op){.kind = OP_ACCOUNT_CREATE,
			      .account_name = SLICE_LIT("bob")});
	rig_deliver(r, "INBOX", "2");
	CU_CLAIM(!id128_eq(mailbox_id(rig_box(r, "INBOX")), id),
		 "an INBOX after a delete has another id");
	CU_CLAIM(mailbox_uidvalidity(rig_box(r, "INBOX")) > RIG_PAIR_TIME,
		 "and UIDVALIDITY");
	rig_digest_holds(r->acc.state);
	arena_free(a);
	rig_fini(r);
}

CU_TESTS(CU_CASE(a_delivery_makes_inbox_with_derived_ids),
	 CU_CASE(flags_and_keywords_are_folded),
	 CU_CASE(an_expunge_leaves_its_file_and_a_range),
	 CU_CASE(copies_are_links_and_keep_emailid),
	 CU_CASE(renames_move_directories_and_uidvalidity_never_falls),
	 CU_CASE(rename_of_inbox_moves_its_messages),
	 CU_CASE(delete_leaves_children_and_an_undo),
	 CU_CASE(contradictions_change_nothing),
	 CU_CASE(an_op_of_a_later_version_stops_unless_ignorable),
	 CU_CASE(a_jump_raises_every_uidnext_at_read_time),
	 CU_CASE(many_jumps_equal_applying_them_one_by_one),
	 CU_CASE(the_answer_rule_knows_its_lineage),
	 CU_CASE(a_checkpoint_that_differs_is_counted),
	 CU_CASE(renumbering_keeps_messages_under_new_uids),
	 CU_CASE(epoch_wrap_renews_every_uidvalidity),
	 CU_CASE(account_delete_empties_and_may_be_created_again))
