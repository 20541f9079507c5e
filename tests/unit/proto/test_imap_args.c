#include "proto/imap_args.h"

#include "tests/lib/cu.h"
#include "tests/unit/proto/imap_command.h"

#define JAPANESE "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"

static struct arena *a;

/* 0 on success; `call` uses cmd and e. */
#define TRY(text, call)                                                       \
	({                                                                    \
		const struct imap_command *cmd = command_of(a, (text));       \
		struct err e = ERR_NONE;                                      \
		cmd ? (call) : -1;                                            \
	})

static void status_items_are_known(void)
{
	struct imap_status s;

	a = arena_new(1024);
	CU_EQ_INT(TRY("STATUS blurdybloop (UIDNEXT MESSAGES)",
		      imap_status_parse(cmd, a, &s, &e)), 0);
	CU_EQ_TEXT(s.mailbox, "blurdybloop");
	CU_EQ_U64(s.items, IMAP_STATUS_UIDNEXT | IMAP_STATUS_MESSAGES);
	CU_EQ_INT(TRY("STATUS inbox (messages recent uidnext uidvalidity "
		      "unseen size highestmodseq mailboxid)",
		      imap_status_parse(cmd, a, &s, &e)), 0);
	CU_EQ_TEXT(s.mailbox, "INBOX");
	CU_EQ_U64(s.items, 0xff);
	CU_EQ_INT(TRY("STATUS x", imap_status_parse(cmd, a, &s, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("STATUS x ()", imap_status_parse(cmd, a, &s, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("STATUS x (FOO)", imap_status_parse(cmd, a, &s, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("STATUS x (UNSEEN) y",
		      imap_status_parse(cmd, a, &s, &e)), E_INVALID);
	CU_EQ_INT(TRY("STATUS", imap_status_parse(cmd, a, &s, &e)),
		  E_INVALID);
	arena_free(a);
}

static void lists_are_read(void)
{
	struct imap_list l;

	a = arena_new(1024);
	CU_EQ_INT(TRY("LIST \"\" %", imap_list_parse(cmd, a, &l, &e)), 0);
	CU_EQ_TEXT(l.reference, "");
	CU_EQ_U64(l.n_patterns, 1);
	CU_EQ_TEXT(l.patterns[0], "%");
	CU_ASSERT(!l.extended && !l.select && !l.ret);

	CU_EQ_INT(TRY("LIST (SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) \"\" "
		      "(\"inbox\" \"~/&ZeVnLIqe-/*\") RETURN (CHILDREN "
		      "SUBSCRIBED SPECIAL-USE STATUS (MESSAGES SIZE))",
		      imap_list_parse(cmd, a, &l, &e)), 0);
	CU_ASSERT(l.extended);
	CU_EQ_U64(l.select, IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE |
				    IMAP_LIST_RECURSIVEMATCH);
	CU_EQ_U64(l.ret, IMAP_LIST_SUBSCRIBED | IMAP_LIST_SPECIAL_USE |
				 IMAP_LIST_CHILDREN | IMAP_LIST_STATUS);
	CU_EQ_U64(l.status_items, IMAP_STATUS_MESSAGES | IMAP_STATUS_SIZE);
	CU_EQ_U64(l.n_patterns, 2);
	CU_EQ_TEXT(l.patterns[0], "INBOX");
	CU_EQ_TEXT(l.patterns[1], "~/" JAPANESE "/*");

	CU_EQ_INT(TRY("LIST () \"\" x RETURN ()",
		      imap_list_parse(cmd, a, &l, &e)), 0);
	CU_ASSERT(l.extended);
	CU_EQ_INT(TRY("LSUB \"#news.\" \"comp.mail.*\"",
		      imap_list_parse(cmd, a, &l, &e)), 0);
	CU_EQ_TEXT(l.reference, "#news.");
	arena_free(a);
}

static void bad_lists_are_refused(void)
{
	static const char *const t[] = {
		"LIST", "LIST \"\"", "LIST (FOO) \"\" %", "LIST \"\" ()",
		"LIST (RECURSIVEMATCH) \"\" %", "LIST \"\" % RETURN",
		"LIST \"\" % RETURN (FOO)", "LIST \"\" % x",
		"LIST \"\" % RETURN (STATUS)", "LIST \"\" % RETURN (STATUS ())",
		"LIST \"\" % RETURN () x", "LIST (STATUS) \"\" %",
		"LSUB (SUBSCRIBED) \"\" %", "LSUB \"\" % RETURN ()",
		"LIST \"\" ((x))",
	};
	struct imap_list l;
	size_t i;

	a = arena_new(1024);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(TRY(t[i], imap_list_parse(cmd, a, &l, &e)) ==
				 E_INVALID, "taken: %s", t[i]);
	arena_free(a);
}

static void select_parameters_are_read(void)
{
	struct imap_select s;

	a = arena_new(1024);
	CU_EQ_INT(TRY("SELECT &ZeVnLIqe-", imap_select_parse(cmd, a, &s, &e)),
		  0);
	CU_EQ_TEXT(s.mailbox, JAPANESE);
	CU_ASSERT(!s.condstore && !s.qresync);
	CU_EQ_INT(TRY("EXAMINE x (CONDSTORE)",
		      imap_select_parse(cmd, a, &s, &e)), 0);
	CU_ASSERT(s.condstore && !s.qresync);
	/* RFC 7162 3.2.5 */
	CU_EQ_INT(TRY("SELECT INBOX (QRESYNC (67890007 20050715194045000 "
		      "41,43:211,214:541 (1:3,5 41:43,50)))",
		      imap_select_parse(cmd, a, &s, &e)), 0);
	CU_ASSERT(s.condstore && s.qresync && s.has_known_uids &&
		  s.has_match);
	CU_EQ_U64(s.uidvalidity, 67890007);
	CU_EQ_U64(s.modseq, 20050715194045000);
	CU_EQ_U64(s.known_uids.n, 3);
	CU_EQ_U64(s.match_seqs.n, 2);
	CU_EQ_U64(s.match_uids.ranges[0].last, 43);
	CU_EQ_INT(TRY("SELECT x (QRESYNC (1 2 (1 2)))",
		      imap_select_parse(cmd, a, &s, &e)), 0);
	CU_ASSERT(!s.has_known_uids && s.has_match);
	arena_free(a);
}

static void bad_selects_are_refused(void)
{
	static const char *const t[] = {
		"SELECT", "SELECT a b", "SELECT a ()", "SELECT a (FOO)",
		"SELECT a (QRESYNC)", "SELECT a (QRESYNC ())",
		"SELECT a (QRESYNC (1))", "SELECT a (QRESYNC (0 1))",
		"SELECT a (QRESYNC (1 0))", "SELECT a (QRESYNC (1 1 x))",
		"SELECT a (QRESYNC (1 1 1 (1)))",
		"SELECT a (QRESYNC (1 1 1 (1 2) 3))", "SELECT a&b",
		"SELECT a (CONDSTORE) x", "SELECT (a)",
	};
	struct imap_select s;
	size_t i;

	a = arena_new(1024);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(TRY(t[i], imap_select_parse(cmd, a, &s, &e)) ==
				 E_INVALID, "taken: %s", t[i]);
	arena_free(a);
}

static void appends_are_read(void)
{
	struct imap_append_msg m;
	struct slice box;

	a = arena_new(1024);
	CU_EQ_INT(TRY("APPEND saved (\\Seen $x) \" 7-Feb-1994 21:52:25 "
		      "-0800\" {3+}\r\nabc",
		      imap_append_last(cmd, a, &m, &e)), 0);
	CU_EQ_U64(m.flags.system, MSG_SEEN);
	CU_EQ_U64(m.flags.n_keywords, 1);
	CU_ASSERT(m.has_date);
	CU_EQ_INT(m.date.zone, -480);
	CU_EQ_INT(m.date.seconds, 760686745);
	CU_EQ_U64(m.size, 3);
	/* RFC 3502: the second message has its own flags. */
	CU_EQ_INT(TRY("APPEND saved (\\Seen) {3+}\r\nabc (\\Draft) {2+}\r\nxy",
		      imap_append_last(cmd, a, &m, &e)), 0);
	CU_EQ_U64(m.flags.system, MSG_DRAFT);
	CU_EQ_U64(m.size, 2);
	CU_EQ_INT(TRY("APPEND {5+}\r\ninbox {2+}\r\nxy {4+}\r\nabcd",
		      imap_append_last(cmd, a, &m, &e)), 0);
	CU_EQ_U64(m.size, 4);
	CU_EQ_INT(TRY("APPEND {5+}\r\ninbox {2+}\r\nxy",
		      imap_append_mailbox(cmd, a, &box, &e)), 0);
	CU_EQ_TEXT(box, "INBOX");
	CU_EQ_INT(TRY("APPEND x {2+}\r\nxy", imap_append_end(cmd, &e)), 0);
	CU_EQ_INT(TRY("APPEND x {2+}\r\nxy (\\Seen)",
		      imap_append_end(cmd, &e)), E_INVALID);
	CU_EQ_INT(TRY("APPEND x", imap_append_end(cmd, &e)), E_INVALID);
	CU_EQ_INT(TRY("APPEND", imap_append_end(cmd, &e)), E_INVALID);
	CU_EQ_INT(TRY("APPEND x (\\Foo) {2+}\r\nxy",
		      imap_append_last(cmd, a, &m, &e)), E_INVALID);
	CU_EQ_INT(TRY("APPEND x \"yesterday\" {2+}\r\nxy",
		      imap_append_last(cmd, a, &m, &e)), E_INVALID);
	CU_EQ_INT(TRY("APPEND x y {2+}\r\nxy",
		      imap_append_last(cmd, a, &m, &e)), E_INVALID);
	arena_free(a);
}

static void enable_skips_what_it_does_not_know(void)
{
	uint32_t bits;

	a = arena_new(1024);
	CU_EQ_INT(TRY("ENABLE X-GOOD-IDEA condstore",
		      imap_enable_parse(cmd, &bits, &e)), 0);
	CU_EQ_U64(bits, IMAP_ENABLE_CONDSTORE);
	CU_EQ_INT(TRY("ENABLE QRESYNC", imap_enable_parse(cmd, &bits, &e)),
		  0);
	CU_EQ_U64(bits, IMAP_ENABLE_QRESYNC);
	CU_EQ_INT(TRY("ENABLE", imap_enable_parse(cmd, &bits, &e)),
		  E_INVALID);
	arena_free(a);
}

static void ids_are_read(void)
{
	struct imap_id id;

	a = arena_new(1024);
	CU_EQ_INT(TRY("ID (\"name\" \"sodr\" \"version\" NIL)",
		      imap_id_parse(cmd, &id, &e)), 0);
	CU_EQ_U64(id.n, 2);
	CU_EQ_TEXT(id.key[1], "version");
	CU_EQ_TEXT(id.value[0], "sodr");
	CU_ASSERT(id.value[1].p == NULL);
	CU_EQ_INT(TRY("ID NIL", imap_id_parse(cmd, &id, &e)), 0);
	CU_EQ_U64(id.n, 0);
	CU_EQ_INT(TRY("ID (\"name\")", imap_id_parse(cmd, &id, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("ID (NIL NIL)", imap_id_parse(cmd, &id, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("ID", imap_id_parse(cmd, &id, &e)), E_INVALID);
	CU_EQ_INT(TRY("ID (\"1234567890123456789012345678901\" NIL)",
		      imap_id_parse(cmd, &id, &e)), E_INVALID);
	arena_free(a);
}

static void create_knows_special_uses(void)
{
	struct imap_create c;

	a = arena_new(1024);
	CU_EQ_INT(TRY("CREATE owatagusiam/",
		      imap_create_parse(cmd, a, '/', &c, &e)), 0);
	CU_EQ_TEXT(c.mailbox, "owatagusiam");
	CU_ASSERT(c.trailing_separator);
	CU_EQ_INT(TRY("CREATE MySpecial (USE (\\Drafts \\sent))",
		      imap_create_parse(cmd, a, '/', &c, &e)), 0);
	CU_EQ_U64(c.special_use, SPECIALUSE_DRAFTS | SPECIALUSE_SENT);
	CU_EQ_INT(TRY("CREATE x (USE (\\Foo))",
		      imap_create_parse(cmd, a, '/', &c, &e)), E_INVALID);
	CU_EQ_INT(TRY("CREATE x (FOO)",
		      imap_create_parse(cmd, a, '/', &c, &e)), E_INVALID);
	CU_EQ_INT(TRY("CREATE x y",
		      imap_create_parse(cmd, a, '/', &c, &e)), E_INVALID);
	arena_free(a);
}

static void simple_shapes_count_their_arguments(void)
{
	struct slice x, y;
	struct imap_set set;
	struct imap_authenticate auth;

	a = arena_new(1024);
	CU_EQ_INT(TRY("DELETE x", imap_one_mailbox(cmd, a, &x, &e)), 0);
	CU_EQ_INT(TRY("DELETE x y", imap_one_mailbox(cmd, a, &x, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("RENAME x \"y z\"",
		      imap_two_mailboxes(cmd, a, &x, &y, &e)), 0);
	CU_EQ_TEXT(y, "y z");
	CU_EQ_INT(TRY("RENAME x", imap_two_mailboxes(cmd, a, &x, &y, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("COPY 2:4 MEETING",
		      imap_set_and_mailbox(cmd, a, &set, &x, &e)), 0);
	CU_EQ_TEXT(x, "MEETING");
	CU_EQ_INT(TRY("UID EXPUNGE 3000:3002",
		      imap_one_set(cmd, a, &set, &e)), 0);
	CU_EQ_INT(TRY("NOOP", imap_no_args(cmd, &e)), 0);
	CU_EQ_INT(TRY("NOOP x", imap_no_args(cmd, &e)), E_INVALID);
	CU_EQ_INT(TRY("LOGIN SMITH \"SE SAME\"",
		      imap_login_parse(cmd, &x, &y, &e)), 0);
	CU_EQ_TEXT(y, "SE SAME");
	CU_EQ_INT(TRY("LOGIN a (b)", imap_login_parse(cmd, &x, &y, &e)),
		  E_INVALID);
	CU_EQ_INT(TRY("AUTHENTICATE PLAIN",
		      imap_authenticate_parse(cmd, &auth, &e)), 0);
	CU_ASSERT(!auth.has_initial);
	CU_EQ_INT(TRY("AUTHENTICATE EXTERNAL =",
		      imap_authenticate_parse(cmd, &auth, &e)), 0);
	CU_ASSERT(auth.has_initial && auth.initial.n == 0);
	CU_EQ_INT(TRY("AUTHENTICATE PLAIN AGEAYg==",
		      imap_authenticate_parse(cmd, &auth, &e)), 0);
	CU_EQ_TEXT(auth.initial, "AGEAYg==");
	arena_free(a);
}

CU_TESTS(CU_CASE(status_items_are_known),
	 CU_CASE(lists_are_read),
	 CU_CASE(bad_lists_are_refused),
	 CU_CASE(select_parameters_are_read),
	 CU_CASE(bad_selects_are_refused),
	 CU_CASE(appends_are_read),
	 CU_CASE(enable_skips_what_it_does_not_know),
	 CU_CASE(ids_are_read),
	 CU_CASE(create_knows_special_uses),
	 CU_CASE(simple_shapes_count_their_arguments))
