#include "storage/prepare_private.h"
#include "tests/unit/storage/fold_rig.h"

static struct rig rig;

static void begin(uint64_t seed)
{
	rig_init(&rig, seed);
	rig_begin(&rig, 0, 0);
}

/* --- numbering (U1, U2) ------------------------------------------------------------ */

static void uids_are_dense_up_to_the_window_then_of_own_parity(void)
{
	struct rig *r = &rig;
	uint64_t before = 0;
	unsigned odd = 0;

	begin(1);
	r->dense = false;
	head_acked(r->acc.head, r->acc.end.seq);
	/* Nothing more is acked: W dense ones, then even ones. */
	for (unsigned i = 0; i < UID_WINDOW + 20; i++) {
		uint32_t uid = rig_deliver(r, "INBOX", "x");

		if (i < UID_WINDOW)
			CU_EQ_INT(uid, i + 1);
		else
			odd += uid & 1;
		if (!CU_CLAIM(uid > before, "rises"))
			break;
		before = uid;
	}
	CU_EQ_INT(odd, 0);
	/* An ack makes them dense again. */
	head_acked(r->acc.head, r->acc.end.seq);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), before + 1);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), before + 2);
	rig_fini(r);
}

static void a_partner_that_never_acked_means_own_parity_from_the_start(void)
{
	struct rig *r = &rig;
	struct head *again;

	begin(2);
	rig_deliver(r, "INBOX", "x");
	/* A restart: what the partner has acked is not known. */
	again = head_new(r->acc.state);
	head_free(r->acc.head);
	r->acc.head = again;
	r->dense = false;
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), 2);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), 4);
	head_acked(r->acc.head, r->acc.end.seq - 2);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), 5);
	rig_fini(r);
}

static void a_jump_the_partner_did_not_ack_means_own_parity(void)
{
	struct rig *r = &rig;
	uint32_t first;

	begin(3);
	r->dense = false;
	rig_deliver(r, "INBOX", "x");
	head_acked(r->acc.head, r->acc.end.seq);
	rig_begin(r, 1, UID_JUMP);
	first = rig_deliver(r, "INBOX", "x");
	CU_EQ_INT(first & 1, 1);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), first + 2);
	/* Acked up to the jump itself: dense from there. */
	head_acked(r->acc.head, r->acc.end.seq - 2);
	CU_EQ_INT(rig_deliver(r, "INBOX", "x"), first + 3);
	rig_fini(r);
}

static void numbering_waits_for_the_own_disk(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct write *w;
	struct err e = ERR_NONE;
	unsigned n = 0;

	begin(4);
	rig_deliver(r, "INBOX", "x");
	r->hold = true;
	for (;;) {
		w = rig_message(a, WRITE_DELIVER, "INBOX", "x");
		if (rig_write(r, w, &e) == PREPARE_WAIT)
			break;
		if (!CU_CLAIM(n++ < 2 * UID_WINDOW, "waits"))
			break;
	}
	CU_EQ_INT(n, UID_WINDOW);
	CU_CLAIM(head_full(r->acc.head, mailbox_id(rig_box(r, "INBOX"))),
		 "full");
	head_durable(r->acc.head, r->acc.end.seq);
	CU_EQ_INT(rig_write(r, w, &e), 0);
	CU_EQ_INT(w->msgs[0].uid, n + 2);
	arena_free(a);
	rig_fini(r);
}

static void nothing_is_numbered_after_a_begin_that_is_not_durable(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct write *w = rig_message(a, WRITE_DELIVER, "INBOX", "x");
	struct err e = ERR_NONE;

	begin(5);
	rig_deliver(r, "INBOX", "x");
	r->hold = true;
	rig_begin(r, 0, 0);
	CU_EQ_INT(rig_write(r, w, &e), PREPARE_WAIT);
	head_durable(r->acc.head, r->acc.end.seq);
	CU_EQ_INT(rig_write(r, w, &e), 0);
	arena_free(a);
	rig_fini(r);
}

static void a_cut_takes_numbers_back(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct id128 id;
	uint64_t counter;
	int holder;

	begin(6);
	rig_deliver(r, "INBOX", "x");
	id = mailbox_id(rig_box(r, "INBOX"));
	counter = head_counter(r->acc.head);
	holder = head_holder(r->acc.head);
	r->hold = true;
	rig_write(r, rig_message(a, WRITE_DELIVER, "INBOX", "y"), &e);
	rig_write(r, rig_message(a, WRITE_DELIVER, "INBOX", "y"), &e);
	rig_begin(r, 1, UID_JUMP);
	CU_CLAIM(head_uidnext(r->acc.head, id) > UID_JUMP, "jumped");
	CU_EQ_INT(head_holder(r->acc.head), 1);
	head_cut(r->acc.head, 2 + 1);
	CU_EQ_U64(head_uidnext(r->acc.head, id), 3);
	CU_EQ_INT(head_holder(r->acc.head), holder);
	CU_EQ_U64(head_counter(r->acc.head), counter + 1);
	head_cut(r->acc.head, 2);
	CU_EQ_U64(head_uidnext(r->acc.head, id), 2);
	CU_EQ_U64(head_counter(r->acc.head), counter);
	CU_CLAIM(head_quiet(r->acc.head), "quiet");
	arena_free(a);
	rig_fini(r);
}

static void long_lone_times_stay_cautious_with_bounded_memory(void)
{
	struct rig *r = &rig;
	struct id128 id;

	begin(7);
	rig_deliver(r, "INBOX", "x");
	id = mailbox_id(rig_box(r, "INBOX"));
	head_acked(r->acc.head, r->acc.end.seq);
	uint64_t at = r->acc.end.seq;

	for (int i = 0; i < 2000; i++)
		rig_deliver(r, "INBOX", "x");
	/* N* may be too low after merging, never too high: a UID beyond
	 * N* + W has the own parity. */
	for (uint64_t k = at; k < at + 2000; k += 37) {
		uint64_t star = 2 + (k - at);

		head_acked(r->acc.head, k);
		for (uint64_t u = star + UID_WINDOW; u < star + UID_WINDOW + 4;
		     u++)
			if (!CU_EQ_U64(head_number(r->acc.head, id, u, 0,
						   false), uid_parity(u, 0)))
				goto out;
	}
	head_acked(r->acc.head, r->acc.end.seq);
	CU_EQ_U64(head_number(r->acc.head, id, 2003, 0, false), 2003);
out:
	rig_fini(r);
}

/* --- deliveries ------------------------------------------------------------------------ */

static void a_delivery_is_recognised_by_its_id(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct write *w = rig_message(a, WRITE_DELIVER, "INBOX", "x");
	struct write *w2 = rig_message(a, WRITE_DELIVER, "INBOX", "x");
	struct err e = ERR_NONE;

	begin(8);
	w->has_delivery_id = w2->has_delivery_id = true;
	w->delivery_id[0] = w2->delivery_id[0] = 7;
	CU_OK(rig_write(r, w, &e), &e);
	CU_CLAIM(!w->duplicate, "first");
	CU_OK(rig_write(r, w2, &e), &e);
	CU_CLAIM(w2->duplicate, "second");
	CU_EQ_INT(w2->msgs[0].uid, w->msgs[0].uid);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 1);
	/* Forgotten by TRIM only. */
	rig_op(r, (struct op){.kind = OP_TRIM,
			      .trim = {TRIM_DELIVERY, {{0}}, RIG_NOW,
				       SLICE_NONE}});
	w2->prepared_all = w2->duplicate = false;
	CU_OK(rig_write(r, w2, &e), &e);
	CU_CLAIM(w2->duplicate, "still");
	rig_op(r, (struct op){.kind = OP_TRIM,
			      .trim = {TRIM_DELIVERY, {{0}}, RIG_NOW + 1,
				       SLICE_NONE}});
	w2->prepared_all = w2->duplicate = false;
	CU_OK(rig_write(r, w2, &e), &e);
	CU_CLAIM(!w2->duplicate, "new");
	rig_digest_holds(r->acc.state);
	/* One in flight is waited for. */
	r->hold = true;
	w->delivery_id[0] = w2->delivery_id[0] = 8;
	w->next_item = w2->next_item = 0;
	w->prepared_all = w2->prepared_all = false;
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_INT(rig_write(r, w2, &e), PREPARE_WAIT);
	arena_free(a);
	rig_fini(r);
}

static void refused_writes_have_no_effect(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct write *w;
	uint64_t at;

	begin(9);
	rig_deliver(r, "INBOX", "x");
	at = r->acc.end.seq;
	w = rig_message(a, WRITE_APPEND, "nowhere", "x");
	CU_EQ_INT(rig_write(r, w, &e), E_NOTFOUND);
	w = rig_message(a, WRITE_DELIVER, "nowhere", "x");
	CU_EQ_INT(rig_write(r, w, &e), E_NOTFOUND);
	w = rig_message(a, WRITE_DELIVER, "no/../where", "x");
	w->autocreate = true;
	CU_EQ_INT(rig_write(r, w, &e), E_INVALID);
	CU_EQ_INT(rig_mbox_write(r, WRITE_CREATE, "INBOX", NULL, &e),
		  E_EXISTS);
	CU_EQ_INT(rig_mbox_write(r, WRITE_CREATE, "inbox", NULL, &e),
		  E_EXISTS);
	CU_EQ_INT(rig_mbox_write(r, WRITE_CREATE, "a/dbox-Mails", NULL, &e),
		  E_INVALID);
	CU_EQ_INT(rig_mbox_write(r, WRITE_DELETE, "INBOX", NULL, &e),
		  E_INVALID);
	CU_EQ_U64(r->acc.end.seq, at);
	arena_free(a);
	rig_fini(r);
}

/* --- STORE ------------------------------------------------------------------------------- */

static void unchangedsince_reports_what_changed_since(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct write *w;
	uint64_t since;

	begin(10);
	for (int i = 0; i < 5; i++)
		rig_deliver(r, "INBOX", "x");
	since = mailbox_highestmodseq(rig_box(r, "INBOX"));
	rig_flags(r, "INBOX", 2, 3, FLAGS_ADD, MSG_FLAGGED, NULL);
	w = rig_change(r, a, WRITE_FLAGS, "INBOX", 1, 5);
	w->flags_mode = FLAGS_ADD;
	w->flags = MSG_SEEN;
	w->has_unchangedsince = true;
	w->unchangedsince = since;
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_INT(w->n_modified, 1);
	CU_EQ_INT(w->modified[0].first, 2);
	CU_EQ_INT(w->modified[0].last, 3);
	CU_EQ_INT(mailbox_unseen(rig_box(r, "INBOX")), 2);
	arena_free(a);
	rig_fini(r);
}

static void a_store_without_effect_is_no_record(void)
{
	struct rig *r = &rig;
	uint64_t at;

	begin(11);
	rig_deliver(r, "INBOX", "x");
	rig_flags(r, "INBOX", 1, 1, FLAGS_ADD, MSG_SEEN, "kw");
	at = r->acc.end.seq;
	rig_flags(r, "INBOX", 1, 1, FLAGS_ADD, MSG_SEEN, "KW");
	rig_flags(r, "INBOX", 1, 1, FLAGS_REPLACE, MSG_SEEN, "kw");
	rig_flags(r, "INBOX", 1, 1, FLAGS_REMOVE, MSG_DRAFT, "unknown");
	CU_EQ_U64(r->acc.end.seq, at);
	rig_fini(r);
}

static void keywords_have_a_limit_and_widen_the_index(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct mailbox *m;
	struct write *w;
	struct slice kw;

	begin(12);
	rig_deliver(r, "INBOX", "x");
	m = rig_box(r, "INBOX");
	for (unsigned i = 0; i < PREPARE_KEYWORDS_MAX; i++) {
		char text[16];

		snprintf(text, sizeof(text), "kw%u", i);
		rig_flags(r, "INBOX", 1, 1, FLAGS_ADD, 0, text);
	}
	CU_EQ_INT(mailbox_keywords(m), PREPARE_KEYWORDS_MAX);
	CU_CLAIM(mailbox_has_keyword(m, 0, 0) &&
		 mailbox_has_keyword(m, 0, 63) &&
		 mailbox_has_keyword(m, 0, 64) &&
		 mailbox_has_keyword(m, 0, PREPARE_KEYWORDS_MAX - 1), "all");
	rig_digest_holds(r->acc.state);
	w = rig_change(r, a, WRITE_FLAGS, "INBOX", 1, 1);
	kw = SLICE_LIT("one-more");
	w->keywords = &kw;
	w->n_keywords = 1;
	CU_EQ_INT(rig_write(r, w, &e), E_LIMIT);
	/* Trimmed ones are gone for good. */
	rig_op(r, (struct op){.kind = OP_TRIM,
			      .trim = {TRIM_KEYWORD, mailbox_id(m), 0,
				       SLICE_LIT("kw64")}});
	CU_CLAIM(!mailbox_has_keyword(m, 0, 64), "trimmed");
	CU_ASSERT_PTR_NULL(mailbox_keyword(m, 64));
	rig_digest_holds(r->acc.state);
	arena_free(a);
	rig_fini(r);
}

static void writes_wait_for_what_is_in_flight(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct write *w;
	struct slice kw = SLICE_LIT("kw");

	begin(13);
	for (int i = 0; i < 3; i++)
		rig_deliver(r, "INBOX", "x");
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "t", NULL, &e), &e);
	r->hold = true;
	w = rig_change(r, a, WRITE_FLAGS, "INBOX", 1, 1);
	w->flags = MSG_DELETED;
	w->keywords = &kw;
	w->n_keywords = 1;
	CU_OK(rig_write(r, w, &e), &e);
	/* EXPUNGE and COPY depend on flags, CREATE on everything. */
	w = rig_change(r, a, WRITE_EXPUNGE, "INBOX", 1, 3);
	w->only_deleted = true;
	CU_EQ_INT(rig_write(r, w, &e), PREPARE_WAIT);
	w = rig_change(r, a, WRITE_COPY, "INBOX", 1, 3);
	w->target = mailbox_id(rig_box(r, "t"));
	CU_EQ_INT(rig_write(r, w, &e), PREPARE_WAIT);
	CU_EQ_INT(rig_mbox_write(r, WRITE_CREATE, "u", NULL, &e),
		  PREPARE_WAIT);
	/* A delivery does not. */
	w = rig_message(a, WRITE_DELIVER, "INBOX", "y");
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_INT(w->msgs[0].uid, 4);
	/* What is expunged in flight is not expunged twice. */
	w = rig_change(r, a, WRITE_EXPUNGE, "INBOX", 2, 3);
	CU_OK(rig_write(r, w, &e), &e);
	w = rig_change(r, a, WRITE_EXPUNGE, "INBOX", 2, 3);
	uint64_t at = r->acc.end.seq;

	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_U64(r->acc.end.seq, at);
	head_durable(r->acc.head, r->acc.end.seq);
	rig_publish(r);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 2);
	rig_digest_holds(r->acc.state);
	arena_free(a);
	rig_fini(r);
}

/* --- commands of several records --------------------------------------------------------- */

static void a_large_move_is_several_records_each_complete(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct write *w;
	unsigned n = 2 * RECORD_UIDS_MAX + 5, total = 0;
	uint64_t at;

	begin(14);
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "t", NULL, &e), &e);
	for (unsigned i = 0; i < n; i++)
		rig_deliver(r, "INBOX", "x");
	at = r->acc.end.seq;
	w = rig_change(r, a, WRITE_MOVE, "INBOX", 1, UINT32_MAX);
	w->target = mailbox_id(rig_box(r, "t"));
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_U64(r->acc.end.seq - at,
		  (n + RECORD_UIDS_MAX - 1) / RECORD_UIDS_MAX);
	CU_EQ_INT(mailbox_messages(rig_box(r, "t")), n);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 0);
	for (size_t i = 0; i < w->n_dst_uids; i++)
		total += w->dst_uids[i].last - w->dst_uids[i].first + 1;
	CU_EQ_INT(total, n);
	CU_EQ_INT(w->uidvalidity, mailbox_uidvalidity(rig_box(r, "t")));
	/* A copy into itself ends. */
	w = rig_change(r, a, WRITE_COPY, "t", n - RECORD_UIDS_MAX - 1,
		       UINT32_MAX);
	w->target = w->mbox;
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_INT(mailbox_messages(rig_box(r, "t")),
		  n + RECORD_UIDS_MAX + 2);
	rig_digest_holds(r->acc.state);
	arena_free(a);
	rig_fini(r);
}

static void too_many_messages_in_one_append_are_refused_whole(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct write *w;
	struct write_msg one;

	begin(15);
	rig_deliver(r, "INBOX", "x");
	w = rig_message(a, WRITE_APPEND, "INBOX", "x");
	one = w->msgs[0];
	w->n_msgs = RECORD_UIDS_MAX + 1;
	w->msgs = arena_alloc(a, w->n_msgs * sizeof(*w->msgs));
	for (size_t i = 0; i < w->n_msgs; i++)
		w->msgs[i] = one;
	CU_EQ_INT(rig_write(r, w, &e), E_LIMIT);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 1);
	w->n_msgs = 3;
	CU_OK(rig_write(r, w, &e), &e);
	CU_EQ_INT(w->msgs[2].uid, 4);
	CU_EQ_INT(mailbox_messages(rig_box(r, "INBOX")), 4);
	arena_free(a);
	rig_fini(r);
}

/* --- mailboxes ------------------------------------------------------------------------------ */

static void automatic_mailboxes_are_equal_on_both_nodes(void)
{
	static const struct auto_mailbox autos[] = {
		{"Sent", SPECIALUSE_SENT, true},
		{"Lists/Work", 0, false},
		{"Lists", SPECIALUSE_ARCHIVE, false},
	};
	uint8_t digest[2][16];
	struct err e = ERR_NONE;

	/* Another node, seed and time of day. */
	for (unsigned k = 0; k < 2; k++) {
		struct rig *r = &rig;
		struct arena *a = arena_new(1024);
		struct write *w = rig_new(a, WRITE_AUTOCREATE);
		uint64_t at;

		rig_init(r, 77 + k);
		r->now += k * 1000;
		rig_begin(r, 0, 0);
		w->autos = autos;
		w->n_autos = 3;
		CU_OK(rig_write(r, w, &e), &e);
		CU_EQ_INT(mailbox_uidvalidity(rig_box(r, "Sent")),
			  RIG_PAIR_TIME);
		CU_EQ_INT(mailbox_special_use(rig_box(r, "Lists")),
			  SPECIALUSE_ARCHIVE);
		CU_CLAIM(account_subscribed(&r->acc, SLICE_LIT("Sent")),
			 "subscribed");
		CU_NEED(rig_box(r, "INBOX") && rig_box(r, "Lists/Work"));
		state_digest(r->acc.state, digest[k]);
		at = r->acc.end.seq;
		w->prepared_all = false;
		CU_OK(rig_write(r, w, &e), &e);
		CU_EQ_U64(r->acc.end.seq, at);
		arena_free(a);
		rig_fini(r);
	}
	CU_EQ_MEM(digest[0], digest[1], 16);
}

static void uidvalidity_follows_mark_clock_and_node(void)
{
	struct rig *r = &rig;
	struct err e = ERR_NONE;
	uint32_t v;

	begin(16);
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "a", NULL, &e), &e);
	v = mailbox_uidvalidity(rig_box(r, "a"));
	CU_EQ_INT(v, RIG_NOW + 2);
	/* A clock in the far future, or before this was written: ignored. */
	r->now = 4000000000;
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "b", NULL, &e), &e);
	CU_EQ_INT(mailbox_uidvalidity(rig_box(r, "b")), v + 2);
	r->now = 5;
	rig_begin(r, 1, 0);
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "c", NULL, &e), &e);
	CU_EQ_INT(mailbox_uidvalidity(rig_box(r, "c")), v + 3);
	rig_fini(r);
}

static void subscriptions_follow_a_rename(void)
{
	struct rig *r = &rig;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct write *w;

	begin(17);
	CU_OK(rig_mbox_write(r, WRITE_CREATE, "a/b", NULL, &e), &e);
	w = rig_new(a, WRITE_SUBSCRIBE);
	w->name = SLICE_LIT("a/b");
	w->on = true;
	CU_OK(rig_write(r, w, &e), &e);
	CU_OK(rig_mbox_write(r, WRITE_RENAME, "a", "z", &e), &e);
	CU_CLAIM(account_subscribed(&r->acc, SLICE_LIT("z/b")), "new");
	CU_CLAIM(!account_subscribed(&r->acc, SLICE_LIT("a/b")), "old");
	/* DELETE leaves it (RFC 3501 6.3.6). */
	CU_OK(rig_mbox_write(r, WRITE_DELETE, "z/b", NULL, &e), &e);
	CU_CLAIM(account_subscribed(&r->acc, SLICE_LIT("z/b")), "stays");
	rig_digest_holds(r->acc.state);
	arena_free(a);
	rig_fini(r);
}

static void a_mailbox_without_uids_left_is_renumbered_first(void)
{
	struct rig *r = &rig;
	struct mailbox *m;
	uint32_t v;

	begin(18);
	rig_deliver(r, "INBOX", "one");
	m = rig_box(r, "INBOX");
	v = mailbox_uidvalidity(m);
	rig_begin(r, 0, PREPARE_UIDS_END);
	rig_deliver(r, "INBOX", "two");
	CU_CLAIM(mailbox_uidvalidity(m) > v, "new UIDVALIDITY");
	CU_EQ_INT(mailbox_messages(m), 2);
	CU_EQ_INT(mailbox_uidnext(m), 3);
	rig_has(m, 1, "one");
	rig_has(m, 2, "two");
	rig_digest_holds(r->acc.state);
	rig_fini(r);
}

CU_TESTS(CU_CASE(uids_are_dense_up_to_the_window_then_of_own_parity),
	 CU_CASE(a_partner_that_never_acked_means_own_parity_from_the_start),
	 CU_CASE(a_jump_the_partner_did_not_ack_means_own_parity),
	 CU_CASE(numbering_waits_for_the_own_disk),
	 CU_CASE(nothing_is_numbered_after_a_begin_that_is_not_durable),
	 CU_CASE(a_cut_takes_numbers_back),
	 CU_CASE(long_lone_times_stay_cautious_with_bounded_memory),
	 CU_CASE(a_delivery_is_recognised_by_its_id),
	 CU_CASE(refused_writes_have_no_effect),
	 CU_CASE(unchangedsince_reports_what_changed_since),
	 CU_CASE(a_store_without_effect_is_no_record),
	 CU_CASE(keywords_have_a_limit_and_widen_the_index),
	 CU_CASE(writes_wait_for_what_is_in_flight),
	 CU_CASE(a_large_move_is_several_records_each_complete),
	 CU_CASE(too_many_messages_in_one_append_are_refused_whole),
	 CU_CASE(automatic_mailboxes_are_equal_on_both_nodes),
	 CU_CASE(uidvalidity_follows_mark_clock_and_node),
	 CU_CASE(subscriptions_follow_a_rename),
	 CU_CASE(a_mailbox_without_uids_left_is_renumbered_first))
