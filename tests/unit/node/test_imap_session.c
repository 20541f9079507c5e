#include "tests/unit/node/imap_rig.h"

#include <malloc.h>

/*
 * The life of sessions: how they end, what they cost, what happens when
 * clients do not read, when messages are damaged, when others change the
 * mailbox meanwhile.
 */

static const struct rig_message messages[] = {
	{"a", "From: Ann <ann@example.org>\r\nSubject: one\r\n\r\nhello\r\n"},
	{"b", "From: bob@example.org\r\nSubject: two\r\n\r\nbye\r\n"},
};

static bool begin(struct rig *g)
{
	rig_init(g);
	g->messages = messages;
	g->n_messages = ARRAY_LEN(messages);
	return rig_open(g);
}

static const char path[] = "/mail/alice/mailboxes/INBOX/dbox-Mails/u.1";
static const char away[] = "/mail/alice/away";

static void put_back(struct rig *g)
{
	g->sys.fs->ops->rename(g->sys.fs, away, path);
}

static void a_damaged_message_is_asked_for_once(void)
{
	struct rig g;

	if (begin(&g) &&
	    rig_dialog(&g, "C: a APPEND INBOX {#a} {#b}\n"
			   "S: a OK <*>\n"
			   "C: b SELECT INBOX\n"
			   "S~ b OK <*>\n")) {
		CU_EQ_INT(g.sys.fs->ops->rename(g.sys.fs, path, away), 0);
		rig_dialog(&g, "C: c FETCH 1:2 BODY.PEEK[TEXT]\n"
			       "S: * 2 FETCH (BODY[TEXT] {5}\n"
			       "S: bye\n"
			       "S: )\n"
			       "S: c NO [UNAVAILABLE] <*>\n"
			       "C: d SEARCH TEXT e\n"
			       "S: * SEARCH 2\n"
			       "S: d NO [UNAVAILABLE] <*>\n"
			       "C: e FETCH 1 (UID FLAGS RFC822.SIZE ENVELOPE)\n"
			       "S: * 1 FETCH (UID 1 <*>)\n"
			       "S: e OK <*>\n");
		CU_EQ_INT(g.repairs, 2);
		g.repair = put_back;
		rig_dialog(&g, "C: f FETCH 1:2 BODY.PEEK[TEXT]\n"
			       "S: * 1 FETCH (BODY[TEXT] {7}\n"
			       "S: hello\n"
			       "S: )\n"
			       "S: * 2 FETCH (BODY[TEXT] {5}\n"
			       "S: bye\n"
			       "S: )\n"
			       "S: f OK <*>\n");
		CU_EQ_INT(g.repairs, 3);
		g.sys.fs->ops->rename(g.sys.fs, path, away);
		rig_dialog(&g, "C: g SEARCH TEXT e\n"
			       "S: * SEARCH 1 2\n"
			       "S: g OK <*>\n");
		CU_EQ_INT(g.repairs, 4);
	}
	rig_fini(&g);
}

static void header_fields_that_are_kept_need_no_message_file(void)
{
	struct rig_message three[3] = {messages[0], messages[1]};
	struct buf big;
	struct rig g;

	/* The third has more header than is kept: it is read from its file. */
	buf_init(&big, 1u << 20);
	buf_str(&big, "Subject: three\r\n");
	for (int i = 0; i < 1000; i++)
		buf_str(&big, "Received: by someone, somewhere\r\n");
	buf_str(&big, "\r\nlong\r\n");
	buf_char(&big, 0);
	three[2] = (struct rig_message){"big", (char *)big.p};
	if (begin(&g)) {
		g.messages = three;
		g.n_messages = ARRAY_LEN(three);
		rig_dialog(&g, "C: a APPEND INBOX {#a} {#b} {#big}\n"
			       "S: a OK <*>\n"
			       "C: b SELECT INBOX\n"
			       "S~ b OK <*>\n");
		CU_EQ_INT(g.sys.fs->ops->rename(g.sys.fs, path, away), 0);
		rig_dialog(&g,
			   "C: c FETCH 1:3 BODY.PEEK[HEADER.FIELDS (SUBJECT)]\n"
			   "S: * 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {16}\n"
			   "S: Subject: one\n"
			   "S: \n"
			   "S: )\n"
			   "S: * 2 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {16}\n"
			   "S: Subject: two\n"
			   "S: \n"
			   "S: )\n"
			   "S: * 3 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {18}\n"
			   "S: Subject: three\n"
			   "S: \n"
			   "S: )\n"
			   "S: c OK <*>\n"
			   "C: d SEARCH HEADER SUBJECT e\n"
			   "S: * SEARCH 1 3\n"
			   "S: d OK <*>\n"
			   "C: e FETCH 1 (ENVELOPE BODY.PEEK[HEADER.FIELDS "
			   "(From X-Priority)])\n"
			   "S: * 1 FETCH (ENVELOPE (NIL \"one\" <*>) "
			   "BODY[HEADER.FIELDS (From X-Priority)] {31}\n"
			   "S: From: Ann <ann@example.org>\n"
			   "S: \n"
			   "S: )\n"
			   "S: e OK <*>\n");
		CU_EQ_INT(g.repairs, 0);
		/* Whether it has such a field is not known without it. */
		rig_dialog(&g, "C: f SEARCH HEADER X-Foo \"\"\n"
			       "S: * SEARCH\n"
			       "S: f NO [UNAVAILABLE] <*>\n");
		CU_EQ_INT(g.repairs, 1);
		g.repair = put_back;
		rig_dialog(&g,
			   "C: g FETCH 1 BODY.PEEK[HEADER.FIELDS (From DKIM-"
			   "Signature)]\n"
			   "S: * 1 FETCH (BODY[HEADER.FIELDS (From DKIM-"
			   "Signature)] {31}\n"
			   "S: From: Ann <ann@example.org>\n"
			   "S: \n"
			   "S: )\n"
			   "S: g OK <*>\n");
		CU_EQ_INT(g.repairs, 2);
	}
	rig_fini(&g);
	buf_fini(&big);
}

static void what_a_client_sent_before_it_closed_is_done(void)
{
	struct rig g;
	struct buf b;
	struct mailbox *m;

	if (begin(&g) && rig_start(&g, &g.t[0])) {
		buf_init(&b, 10000);
		rig_expand(&g, "a APPEND INBOX {#a}", &b);
		buf_str(&b, "b CREATE x\r\nc SELECT INBOX\r\n"
			"d STORE 1 +FLAGS \\Deleted\r\ne APPEND x {5+}\r\nab");
		rig_send(&g, &g.t[0], buf_all(&b));
		close(g.t[0].fd);
		g.t[0].fd = -1;
		rig_pump(&g, 100);
		m = account_mailbox(g.account, SLICE_LIT("INBOX"));
		CU_EQ_INT(mailbox_messages(m), 1);
		CU_CLAIM(mailbox_rec(m, 0)->flags & MSG_DELETED, "STORE done");
		m = account_mailbox(g.account, SLICE_LIT("x"));
		CU_NEED(m);
		CU_EQ_INT(mailbox_messages(m), 0);
		CU_CLAIM(g.t[0].ended, "ended");
		CU_EQ_INT(g.t[0].how, SESSION_DISCONNECTED);
		buf_fini(&b);
	}
	rig_fini(&g);
}

static void logout_is_seen_although_the_connection_is_gone(void)
{
	struct rig g;

	if (begin(&g) && rig_start(&g, &g.t[0])) {
		rig_send(&g, &g.t[0], SLICE_LIT("a NOOP\r\nb LOGOUT\r\n"));
		close(g.t[0].fd);
		g.t[0].fd = -1;
		rig_pump(&g, 20);
		CU_CLAIM(g.t[0].ended, "ended");
		CU_EQ_INT(g.t[0].how, SESSION_LOGOUT);
		CU_EQ_STR(g.t[0].text, "Logged out");
	}
	rig_fini(&g);
}

static void counters_of_the_logout_line(void)
{
	struct rig g;

	if (begin(&g) &&
	    rig_dialog(&g, "C: a APPEND INBOX {#a} {#b}\n"
			   "S: a OK <*>\n"
			   "C: b SELECT INBOX\n"
			   "S~ b OK <*>\n"
			   "C: c STORE 1:2 +FLAGS.SILENT (\\Deleted)\n"
			   "S: c OK <*>\n"
			   "C: d UID EXPUNGE 1\n"
			   "S~ d OK <*>\n"
			   "C: e LOGOUT\n"
			   "S~ e OK <*>\n"
			   "E:\n")) {
		unsigned in = 0, out = 0, del = 0, exp = 0;

		CU_EQ_INT(sscanf(g.t[0].stats, "in=%u out=%u deleted=%u "
				 "expunged=%u", &in, &out, &del, &exp), 4);
		CU_EQ_INT(in, 209);
		CU_CLAIM(out > 700 && out < 1000, "out=%u", out);
		CU_EQ_INT(del, 2);
		CU_EQ_INT(exp, 1);
	}
	rig_fini(&g);
}

static void input_that_came_with_the_login(void)
{
	struct rig g;

	if (begin(&g)) {
		snprintf(g.t[0].left, sizeof(g.t[0].left),
			 "a NOOP\r\nb APPEND INBOX {3}\r\nabc\r\nc NO");
		rig_dialog(&g, "C: OP\n"
			       "S: a OK <*>\n"
			       "S: + OK\n"
			       "S: b OK <*>\n"
			       "S: c OK <*>\n");
	}
	rig_fini(&g);
}

static void evicted_between_commands_and_in_idle(void)
{
	struct rig g;

	if (begin(&g)) {
		rig_dialog(&g, "C: a NOOP\nS: a OK <*>\n"
			       "C2: a IDLE\nS2: + idling\n");
		for (int i = 0; i < 2; i++)
			g.t[i].s.ops->evict(&g.t[i].s, "UNAVAILABLE", "moved",
					    false);
		rig_dialog(&g, "S: * BYE [UNAVAILABLE] moved\nE:\n"
			       "S2: * BYE [UNAVAILABLE] moved\nE2:\n");
		CU_EQ_INT(g.t[0].how, SESSION_KICKED);
	}
	rig_fini(&g);
}

static void evicted_in_a_command_after_its_reply(void)
{
	struct rig g;

	if (begin(&g)) {
		rig_dialog(&g, "C: a APPEND INBOX {5}\nS: + OK\n");
		g.t[0].s.ops->evict(&g.t[0].s, NULL, "bye", false);
		rig_dialog(&g, "C: abc\nC: \nS: a OK <*>\nS: * BYE bye\nE:\n");
	}
	rig_fini(&g);
}

/* D4: neither OK nor NO would be true. */
static void a_lost_holder_ends_a_waiting_change_without_a_reply(void)
{
	struct rig g;

	if (begin(&g)) {
		rig_dialog(&g, "C: a NOOP\nS: a OK <*>\n");
		g.hang = true;
		rig_dialog(&g, "C: b CREATE x\nC2: a LIST \"\" x\n"
			       "S2: a OK <*>\n");
		CU_CLAIM(!g.t[0].s.ops->idle(&g.t[0].s), "busy");
		g.t[0].s.ops->evict(&g.t[0].s, "UNAVAILABLE", "lost", true);
		rig_dialog(&g, "S: * BYE [UNAVAILABLE] lost\nE:\n");
		g.hang = false;
		rig_pump(&g, 20);
	}
	rig_fini(&g);
}

/* D2: neither the others nor the own reply see it before publication. */
static void an_unpublished_change_is_seen_by_nobody(void)
{
	struct rig g;

	if (begin(&g)) {
		rig_dialog(&g, "C: a APPEND INBOX {#a}\nS: a OK <*>\n"
			       "C: b SELECT INBOX\nS~ b OK <*>\n"
			       "C2: a SELECT INBOX\nS2~ a OK <*>\n");
		g.hang = true;
		rig_dialog(&g, "C: c STORE 1 +FLAGS \\Flagged\n"
			       "C2: b FETCH 1 FLAGS\n"
			       "S2: * 1 FETCH (FLAGS ())\nS2: b OK <*>\n");
		g.hang = false;
		rig_dialog(&g, "S: * 1 FETCH (FLAGS (\\Flagged \\Recent))\n"
			       "S: c OK <*>\n"
			       "C2: c NOOP\n"
			       "S2: * 1 FETCH (FLAGS (\\Flagged))\n"
			       "S2: c OK <*>\n");
	}
	rig_fini(&g);
}

/* M7 */
static void expunges_that_wait_hold_highestmodseq_back(void)
{
	struct rig g;
	char line[500];
	unsigned long long told = 0, all;

	if (begin(&g) &&
	    rig_dialog(&g, "C: a APPEND INBOX {#a} {#b} {#a}\nS: a OK <*>\n"
			   "C: b SELECT INBOX\nS~ b OK <*>\n"
			   "C2: a SELECT INBOX\nS2~ a OK <*>\n"
			   "C2: b STORE 2 +FLAGS.SILENT \\Deleted\n"
			   "S2: b OK <*>\nC2: c EXPUNGE\nS2~ c OK <*>\n"
			   "C2: d STORE 1 +FLAGS.SILENT \\Flagged\n"
			   "S2: d OK <*>\n"
			   "C: c FETCH 1 UID\nS~ c OK <*>\n")) {
		rig_send(&g, &g.t[0], SLICE_LIT("d FETCH 1 MODSEQ\r\n"));
		CU_NEED(rig_line(&g, &g.t[0], line, sizeof(line)));
		CU_EQ_INT(sscanf(line, "* OK [HIGHESTMODSEQ %llu]", &told), 1);
		all = mailbox_highestmodseq(
			account_mailbox(g.account, SLICE_LIT("INBOX")));
		CU_CLAIM(told + 2 <= all, "told %llu of %llu", told, all);
		rig_dialog(&g, "S~ d OK <*>\n"
			       "C: e NOOP\nS: * 2 EXPUNGE\nS: * 2 RECENT\n"
			       "S: e OK <*>\n");
	}
	rig_fini(&g);
}

/* The index gets wider: another generation, with an expunge not yet told. */
static void more_keywords_than_a_word_has_bits(void)
{
	struct rig g;
	struct buf b;

	if (begin(&g) &&
	    rig_dialog(&g, "C: a APPEND INBOX {#a} {#b} {#a}\nS: a OK <*>\n"
			   "C: b SELECT INBOX\nS~ b OK <*>\n"
			   "C2: a SELECT INBOX\nS2~ a OK <*>\n"
			   "C2: b STORE 1 +FLAGS.SILENT \\Deleted\n"
			   "S2: b OK <*>\nC2: c EXPUNGE\nS2~ c OK <*>\n"
			   "C: c FETCH 1:3 UID\nS~ c OK <*>\n")) {
		buf_init(&b, 100000);
		for (int i = 0; i < 80; i++)
			buf_printf(&b, "C2: k%d STORE 2 +FLAGS.SILENT (kw%d)\n"
				   "S2~ k%d OK <*>\n", i, i, i);
		buf_str(&b, "C: d FETCH 1:3 UID\n"
			"S: * FLAGS (<*> kw79)\n"
			"S: * OK [PERMANENTFLAGS (<*>)] Flags permitted.\n"
			"S: * 1 FETCH (UID 1)\nS: * 2 FETCH (UID 2)\n"
			"S: * 3 FETCH (UID 3)\n"
			"S: * 3 FETCH (FLAGS (\\Recent kw0 <*> kw63 kw64 <*>"
			" kw79))\nS: d OK <*>\n"
			"C: e NOOP\nS: * 1 EXPUNGE\nS: * 2 RECENT\n"
			"S: e OK <*>\n"
			"C: f SEARCH KEYWORD kw79\nS: * SEARCH 2\n"
			"S: f OK <*>\n");
		buf_char(&b, 0);
		rig_dialog(&g, (const char *)b.p);
		buf_fini(&b);
	}
	rig_fini(&g);
}

static void large_messages_go_by_files(void)
{
	enum { SIZE = 300000 };
	struct rig g;
	struct buf b;

	if (begin(&g) && rig_dialog(&g, "C: a NOOP\nS: a OK <*>\n")) {
		buf_init(&b, 1u << 20);
		buf_printf(&b, "b APPEND INBOX {%d+}\r\nS: x\r\n\r\n", SIZE);
		for (int i = 0; i < (SIZE - 8) / 4; i++)
			buf_str(&b, "ab\r\n");
		buf_str(&b, " (\\Flagged) {5+}\r\nab\ncd\r\n");
		rig_send(&g, &g.t[0], buf_all(&b));
		rig_dialog(&g, "S: b OK [APPENDUID <n> 1:2] <*>\n"
			       "C: c SELECT INBOX\nS~ c OK <*>\n"
			       "C: d FETCH 1:2 (RFC822.SIZE BODY.PEEK[]<299996."
			       "100>)\n"
			       "S: * 1 FETCH (RFC822.SIZE 300000 BODY[]<299996> "
			       "{4}\nS: ab\nS: )\n"
			       "S: * 2 FETCH (RFC822.SIZE 6 BODY[]<299996> {0}\n"
			       "S: )\nS: d OK <*>\n"
			       /* given up in the middle: nothing stays */
			       "C: e APPEND INBOX {400000}\nS: + OK\n");
		buf_reset(&b);
		buf_fill(&b, 'x', 200000);
		rig_send(&g, &g.t[0], buf_all(&b));
		rig_end_session(&g, &g.t[0]);
		rig_pump(&g, 50);
		CU_EQ_INT(mailbox_messages(account_mailbox(
				  g.account, SLICE_LIT("INBOX"))), 2);
		buf_fini(&b);
	}
	rig_fini(&g);
}

static void other_separators_and_a_prefix(void)
{
	struct rig g;
	static const struct session_box boxes[] = {
		{.name = "INBOX/Sent", .special_use = SPECIALUSE_SENT},
	};

	rig_init(&g);
	g.conf.separator = '.';
	g.conf.prefix = "INBOX.";
	g.conf.boxes = boxes;
	g.conf.n_boxes = 1;
	if (rig_open(&g))
		rig_dialog(&g,
			   "C: a NAMESPACE\n"
			   "S: * NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\n"
			   "S: a OK <*>\n"
			   "C: b CREATE Sent\n"
			   "S: b NO [CANNOT] <*> INBOX.\n"
			   "C: c CREATE inbox.Sent\n"
			   "S: c OK <*>\n"
			   "C: d CREATE INBOX.a.b\n"
			   "S: d OK <*>\n"
			   "C: e LIST \"\" *\n"
			   "S: * LIST (\\HasChildren) \".\" INBOX\n"
			   "S: * LIST (\\HasNoChildren \\Sent) \".\" INBOX.Sent\n"
			   "S: * LIST (\\HasChildren) \".\" INBOX.a\n"
			   "S: * LIST (\\HasNoChildren) \".\" INBOX.a.b\n"
			   "S: e OK <*>\n"
			   "C: f LIST inbox. %\n"
			   "S: * LIST (\\HasNoChildren \\Sent) \".\" INBOX.Sent\n"
			   "S: * LIST (\\HasChildren) \".\" INBOX.a\n"
			   "S: f OK <*>\n"
			   "C: g SELECT INBOX.a.b\n"
			   "S~ g OK <*>\n"
			   "C: h SELECT INBOX/a/b\n"
			   "S~ h NO [NONEXISTENT] <*>\n"
			   "C: i LIST \"\" \"\"\n"
			   "S: * LIST (\\Noselect) \".\" \"\"\n"
			   "S: i OK <*>\n"
			   "C: j RENAME INBOX.a Other\n"
			   "S: j NO [CANNOT] <*>\n");
	rig_fini(&g);
}

static void many_mailboxes_to_a_client_that_does_not_read(void)
{
	enum { N = 1200, LISTS = 40 };
	struct rig g;
	struct buf b;
	char line[300];
	size_t most = 0;
	int seen = 0;

	cu_timeout(60);
	if (begin(&g) && rig_dialog(&g, "C: a NOOP\nS: a OK <*>\n")) {
		buf_init(&b, 1u << 20);
		for (int i = 0; i < N; i++)
			buf_printf(&b, "c%d CREATE box%d\r\n", i, i);
		rig_send(&g, &g.t[0], buf_all(&b));
		for (int i = 0; i < N; i++)
			rig_line(&g, &g.t[0], line, sizeof(line));
		/* 64 KiB of commands; some MB of answers. */
		buf_reset(&b);
		for (int i = 0; i < LISTS; i++)
			buf_printf(&b, "l%d LIST \"\" * RETURN (STATUS (MESSAGES "
				   "UIDNEXT))\r\n", i);
		rig_send(&g, &g.t[0], buf_all(&b));
		for (int i = 0; i < 300; i++) {
			struct imap *im = g.t[0].s.impl;

			rig_turn(&g);
			if (stream_out_pending(im->stream) > most)
				most = stream_out_pending(im->stream);
		}
		CU_CLAIM(most > IMAP_OUT_HIGH && most < IMAP_OUT_HIGH + 8192,
			 "most output pending: %zu", most);
		while (seen < LISTS * (N + 1) &&
		       rig_line(&g, &g.t[0], line, sizeof(line)))
			seen += strncmp(line, "* LIST ", 7) == 0;
		CU_EQ_INT(seen, LISTS * (N + 1));
		rig_dialog(&g, "S~ l39 OK <*>\n");
		buf_fini(&b);
	}
	rig_fini(&g);
}

static void an_idle_session_is_small(void)
{
	enum { N = 64 };
	struct rig g;
	struct rig_session *t = xzalloc(N * sizeof(*t));
	size_t before;
	char line[500];

	cu_timeout(60);
	if (begin(&g) && rig_dialog(&g, "C: a APPEND INBOX {#a}\nS: a OK <*>\n"
					"C: b SELECT INBOX\nS~ b OK <*>\n")) {
		rig_pump(&g, 10);
		before = mallinfo2().uordblks;
		for (int i = 0; i < N; i++) {
			buf_init(&t[i].in, 65536);
			if (!rig_start(&g, &t[i]))
				break;
			rig_send(&g, &t[i], SLICE_LIT("a SELECT INBOX\r\n"
				 "b FETCH 1 (ENVELOPE BODY.PEEK[])\r\nc IDLE\r\n"));
			while (rig_line(&g, &t[i], line, sizeof(line)) &&
			       line[0] != '+')
				;
			CU_EQ_STR(line, "+ idling");
			buf_fini(&t[i].in);
		}
		rig_pump(&g, 10);
		before = (mallinfo2().uordblks - before) / N;
		CU_CLAIM(before < 4096, "an idle session: %zu bytes", before);
		printf("an idle session: %zu bytes\n", before);
		for (int i = 0; i < N; i++)
			rig_end_session(&g, &t[i]);
	}
	rig_fini(&g);
	free(t);
}

static void inbox_that_could_not_be_made(void)
{
	struct rig g;

	rig_init(&g);
	g.no_inbox = true;
	if (rig_open(&g))
		rig_dialog(&g, "C: a LIST \"\" *\n"
			       "S: * LIST (\\HasNoChildren) \"/\" INBOX\n"
			       "S: a OK <*>\n"
			       "C: b SELECT INBOX\n"
			       "S: b NO [UNAVAILABLE] <*>\n"
			       "C: c APPEND INBOX {3+}\n"
			       "C: abc\n"
			       "S: c NO [UNAVAILABLE] <*>\n");
	rig_fini(&g);
}

CU_TESTS(CU_CASE(a_damaged_message_is_asked_for_once),
	 CU_CASE(header_fields_that_are_kept_need_no_message_file),
	 CU_CASE(what_a_client_sent_before_it_closed_is_done),
	 CU_CASE(logout_is_seen_although_the_connection_is_gone),
	 CU_CASE(counters_of_the_logout_line),
	 CU_CASE(input_that_came_with_the_login),
	 CU_CASE(evicted_between_commands_and_in_idle),
	 CU_CASE(evicted_in_a_command_after_its_reply),
	 CU_CASE(a_lost_holder_ends_a_waiting_change_without_a_reply),
	 CU_CASE(an_unpublished_change_is_seen_by_nobody),
	 CU_CASE(expunges_that_wait_hold_highestmodseq_back),
	 CU_CASE(more_keywords_than_a_word_has_bits),
	 CU_CASE(large_messages_go_by_files),
	 CU_CASE(other_separators_and_a_prefix),
	 CU_CASE(many_mailboxes_to_a_client_that_does_not_read),
	 CU_CASE(an_idle_session_is_small),
	 CU_CASE(inbox_that_could_not_be_made))
