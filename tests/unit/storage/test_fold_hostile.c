#include "tests/unit/storage/fold_rig.h"

/* Records that are well formed and cannot come from a holder without a bug:
 * they park the account, and neither sums nor tables nor memory suffer. */

static struct rig rig;

static void refused(struct op *ops, size_t n)
{
	struct record rec = {(uint64_t)rig.epoch << 36 |
				     (head_counter(rig.acc.head) + 1), ops, n};
	struct frame f = {.type = FRAME_RECORD, .epoch = rig.epoch,
			  .seq = rig.acc.end.seq + 1};
	uint8_t before[16], after[16];
	struct err e = ERR_NONE;

	state_digest(rig.acc.state, before);
	CU_EQ_INT(state_apply(rig.acc.state, &f, rig.nonce, &rec, NULL, false,
			      &e), E_CORRUPT);
	state_digest(rig.acc.state, after);
	CU_EQ_MEM(after, before, 16);
	rig_digest_holds(rig.acc.state);
}

static void begin(void)
{
	rig_init(&rig, 41);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "one");
	rig_deliver(&rig, "INBOX", "two");
}

static void a_message_goes_once_in_a_record(void)
{
	struct op o[3] = {{0}};
	struct expunged x = {.uid = 1};
	struct mailbox *m;

	begin();
	m = rig_box(&rig, "INBOX");
	o[0].kind = o[1].kind = OP_MSG_RETIRE;
	o[0].msg_retire.mbox = o[1].msg_retire.mbox = mailbox_id(m);
	o[0].msg_retire.uid = o[1].msg_retire.uid = 1;
	refused(o, 2);
	x.emailid = rig_rec(m, 1)->emailid;
	o[1] = (struct op){.kind = OP_MSG_EXPUNGE,
			   .msg_expunge = {mailbox_id(m), &x, 1}};
	refused(o, 2);
	/* Not next to each other. */
	o[2] = o[1];
	o[1].kind = OP_NOOP;
	refused(o, 3);
	CU_EQ_INT(mailbox_messages(m), 2);
	rig_fini(&rig);
}

static void a_record_never_gives_one_name_to_two_mailboxes(void)
{
	struct mbox_rename a, b;
	struct op o[2] = {{0}};
	struct err e = ERR_NONE;

	begin();
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, "a", NULL, &e), &e);
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, "b", NULL, &e), &e);
	a = (struct mbox_rename){mailbox_id(rig_box(&rig, "a")),
				 SLICE_LIT("c"), 1800000101};
	b = (struct mbox_rename){mailbox_id(rig_box(&rig, "b")),
				 SLICE_LIT("c"), 1800000103};
	o[0] = (struct op){.kind = OP_MBOX_RENAME, .mbox_rename = {&a, 1}};
	o[1] = (struct op){.kind = OP_MBOX_RENAME, .mbox_rename = {&b, 1}};
	refused(o, 2);
	o[1] = (struct op){.kind = OP_MBOX_CREATE,
			   .mbox_create = {{{7}}, SLICE_LIT("c"), 1800000105,
					   0, 0}};
	refused(o, 2);
	/* A name that has just become free is free. */
	b.name = SLICE_LIT("a");
	o[1] = (struct op){.kind = OP_MBOX_RENAME, .mbox_rename = {&b, 1}};
	struct record rec = {(uint64_t)rig.epoch << 36 |
				     (head_counter(rig.acc.head) + 1), o, 2};

	rig_append(&rig, &rec, NULL);
	CU_CLAIM(id128_eq(mailbox_id(rig_box(&rig, "a")), b.id), "a is b");
	CU_CLAIM(id128_eq(mailbox_id(rig_box(&rig, "c")), a.id), "c is a");
	CU_ASSERT_PTR_NULL(rig_box(&rig, "b"));
	rig_digest_holds(rig.acc.state);
	rig_fini(&rig);
}

static void uids_of_before_a_renumbering_are_not_used_after_it(void)
{
	struct uid_range last = {31, 31};
	struct expunged x = {.uid = 31};
	struct op o[2] = {{0}};
	struct id128 id;

	begin();
	for (int i = 0; i < 29; i++)
		rig_deliver(&rig, "INBOX", "more");
	rig_expunge(&rig, "INBOX", 1, 1);
	id = mailbox_id(rig_box(&rig, "INBOX"));
	o[0] = (struct op){.kind = OP_MBOX_RENUMBER,
			   .mbox_renumber = {id, 1800000201}};
	o[1] = (struct op){.kind = OP_MSG_FLAGS,
			   .msg_flags = {.mbox = id, .uids = &last,
					 .n_uids = 1, .add = MSG_SEEN}};
	refused(o, 2);
	x.emailid = rig_rec(rig_box(&rig, "INBOX"), 31)->emailid;
	o[1] = (struct op){.kind = OP_MSG_EXPUNGE, .msg_expunge = {id, &x, 1}};
	refused(o, 2);
	o[1] = o[0];
	refused(o, 2);
	rig_fini(&rig);
}

/* Its numbering names the directory of the new files, and the place of the old
 * ones: with the same number they are one. */
static void a_renumbering_never_repeats_a_uidvalidity(void)
{
	struct mailbox *m;
	struct op o = {.kind = OP_MBOX_RENUMBER};
	uint32_t v, n;

	begin();
	rig_mbox_write(&rig, WRITE_CREATE, "a", NULL, NULL);
	m = rig_box(&rig, "INBOX");
	v = mailbox_uidvalidity(m);
	o.mbox_renumber = (struct op_mbox_renumber){mailbox_id(m), v};
	refused(&o, 1);
	o.mbox_renumber.uidvalidity = v - 1;
	refused(&o, 1);
	o.mbox_renumber.uidvalidity = UINT32_MAX;
	refused(&o, 1);
	o.mbox_renumber.uidvalidity = v + 2;
	struct record rec = {(uint64_t)rig.epoch << 36 |
				     (head_counter(rig.acc.head) + 1), &o, 1};

	rig_append(&rig, &rec, NULL);
	/* Nor that of a numbering before. */
	o.mbox_renumber.uidvalidity = v;
	refused(&o, 1);
	m = rig_box(&rig, "INBOX");
	n = mailbox_messages(m);
	CU_EQ_INT(n, 2);
	for (uint32_t i = 0; i < n; i++) {
		struct err e = ERR_NONE;
		struct body b;

		CU_OK(mailbox_body_open(m, i, &b, &e), &e);
		mailbox_body_close(m, &b);
	}
	rig_fini(&rig);
}

static void a_rename_names_a_mailbox_once(void)
{
	struct mbox_rename a[2];
	struct op o = {.kind = OP_MBOX_RENAME, .mbox_rename = {a, 2}};
	struct err e = ERR_NONE;

	begin();
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, "a", NULL, &e), &e);
	a[0] = (struct mbox_rename){mailbox_id(rig_box(&rig, "a")),
				    SLICE_LIT("c"), 1800000101};
	a[1] = a[0];
	a[1].name = SLICE_LIT("d");
	refused(&o, 1);
	rig_fini(&rig);
}

/* The files of the one that is gone lie in .expunged under that id. */
static void the_id_of_a_deleted_mailbox_is_not_used_again(void)
{
	struct err e = ERR_NONE;
	struct op o[3] = {{0}};
	struct id128 id;

	begin();
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, "a", NULL, &e), &e);
	id = mailbox_id(rig_box(&rig, "a"));
	o[0] = (struct op){.kind = OP_ACCOUNT_DELETE};
	o[1] = (struct op){.kind = OP_MBOX_CREATE,
			   .mbox_create = {id, SLICE_LIT("b"), 1800000105, 0,
					   0}};
	refused(o, 2);
	CU_OK(rig_mbox_write(&rig, WRITE_DELETE, "a", NULL, &e), &e);
	refused(o + 1, 1);
	rig_fini(&rig);
}

/* Else the next ones would begin again at 0. */
static void numbers_keep_room_above_them(void)
{
	struct mbox_floor floor = {.uidnext = UINT64_MAX - 5};
	struct op o = {.kind = OP_UIDVALIDITY_HWM};
	struct mailbox *m;

	begin();
	o.uidvalidity_hwm = UINT32_MAX;
	refused(&o, 1);
	m = rig_box(&rig, "INBOX");
	o = (struct op){.kind = OP_MBOX_CREATE,
			.mbox_create = {{{9}}, SLICE_LIT("z"), UINT32_MAX, 0,
					0}};
	refused(&o, 1);
	floor.mbox = mailbox_id(m);
	o = (struct op){.kind = OP_EPOCH_BEGIN,
			.epoch_begin = {.epoch = rig.epoch, .nonce = rig.nonce,
					.floors = &floor, .n_floors = 1}};
	rig.epoch += 2;
	o.epoch_begin.epoch = rig.epoch;
	refused(&o, 1);
	floor.uidnext = 5;
	o.epoch_begin.uidvalidity_base = mailbox_uidvalidity(m);
	refused(&o, 1);
	rig_fini(&rig);
}

CU_TESTS(CU_CASE(a_message_goes_once_in_a_record),
	 CU_CASE(a_record_never_gives_one_name_to_two_mailboxes),
	 CU_CASE(uids_of_before_a_renumbering_are_not_used_after_it),
	 CU_CASE(a_renumbering_never_repeats_a_uidvalidity),
	 CU_CASE(a_rename_names_a_mailbox_once),
	 CU_CASE(the_id_of_a_deleted_mailbox_is_not_used_again),
	 CU_CASE(numbers_keep_room_above_them))
