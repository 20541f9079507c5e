#include "proto/imap_parse.h"

#include <stdio.h>

#include "tests/lib/cu.h"

/*
 * Commands as text go through a reader in pieces of every size; what came of
 * them is written down in one line per event:
 *	command tag NAME args | continue | literal N sync | data TEXT | …
 */

static void put_args(struct buf *to, const struct imap_arg *arg)
{
	for (; arg; arg = arg->next) {
		buf_char(to, ' ');
		switch (arg->type) {
		case IMAP_ARG_ATOM:
			buf_slice(to, arg->text);
			break;
		case IMAP_ARG_QUOTED:
			buf_char(to, '"');
			buf_slice(to, arg->text);
			buf_char(to, '"');
			break;
		case IMAP_ARG_LITERAL:
			buf_char(to, '{');
			buf_slice(to, arg->text);
			buf_char(to, '}');
			break;
		case IMAP_ARG_STREAM:
			buf_printf(to, "<%u>", (unsigned)arg->size);
			break;
		case IMAP_ARG_LIST:
			buf_char(to, '(');
			put_args(to, arg->child);
			buf_str(to, " )");
			break;
		case IMAP_ARG_SECTION:
			buf_slice(to, arg->text);
			buf_char(to, '[');
			put_args(to, arg->child);
			buf_str(to, " ]");
			buf_slice(to, arg->suffix);
			break;
		}
	}
}

enum { REFUSE = 1, WANT_LINE = 2 };

static void put_event(struct buf *to, enum imap_event_type type,
		      const struct imap_event *ev)
{
	switch (type) {
	case IMAP_COMMAND:
		buf_printf(to, "command %s %s%s", ev->cmd->tag,
			   ev->cmd->uid ? "UID " : "", ev->cmd->name);
		put_args(to, ev->cmd->args);
		break;
	case IMAP_CONTINUE:
		buf_str(to, "continue");
		break;
	case IMAP_LITERAL:
		buf_printf(to, "literal %u %s",
			   (unsigned)ev->literal.size,
			   ev->literal.sync ? "sync" : "nonsync");
		put_args(to, ev->cmd->args);
		break;
	case IMAP_DATA_END:
		buf_str(to, "end");
		break;
	case IMAP_LINE:
		buf_str(to, "line ");
		buf_slice(to, ev->data);
		break;
	case IMAP_BAD:
		buf_printf(to, "bad %s %s%s", ev->tag ? ev->tag : "*",
			   ev->text, ev->fatal ? " fatal" : "");
		break;
	case IMAP_DATA:
	case IMAP_MORE:
		return;
	}
	buf_char(to, '\n');
}

static void feed(const char *input, size_t n, size_t piece,
		 const struct imap_limits *limits, int how, struct buf *to)
{
	struct imap_reader *r = imap_reader_new(limits);
	struct arena *a = arena_new(512);
	struct imap_event ev;
	enum imap_event_type type;
	size_t at = 0;
	bool in_data = false;

	if (how & WANT_LINE)
		imap_reader_want_line(r);
	while (at < n) {
		size_t end = n - at > piece ? at + piece : n;
		struct slice in = slice_of(input + at, end - at);

		while ((type = imap_reader_next(r, &in, a, &ev)) !=
		       IMAP_MORE) {
			if (type == IMAP_DATA) {
				if (!in_data)
					buf_str(to, "data ");
				in_data = true;
				buf_slice(to, ev.data);
				continue;
			}
			if (in_data)
				buf_char(to, '\n');
			in_data = false;
			put_event(to, type, &ev);
			if (type == IMAP_LITERAL && (how & REFUSE))
				imap_reader_refuse(r);
			else if (type == IMAP_LITERAL)
				imap_reader_accept(r);
			if (type == IMAP_COMMAND)
				arena_reset(a);
		}
		at = end;
	}
	imap_reader_free(r);
	arena_free(a);
}

static void check_how(const char *input, const char *want,
		      const struct imap_limits *limits, int how)
{
	static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7, 16};
	struct buf got;
	size_t i;

	buf_init(&got, 1u << 20);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		buf_reset(&got);
		feed(input, strlen(input), pieces[i], limits, how, &got);
		if (!CU_EQ_TEXT(buf_all(&got), want)) {
			printf("  input %s, pieces of %zu\n", input,
			       pieces[i]);
			break;
		}
	}
	buf_fini(&got);
}

static void check(const char *input, const char *want)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;

	check_how(input, want, &limits, 0);
}

static void rfc3501_section_8_session_is_read(void)
{
	check("a001 login mrc secret\r\n"
	      "a002 select inbox\r\n"
	      "a003 fetch 12 full\r\n"
	      "a004 fetch 12 body[header]\r\n"
	      "a005 store 12 +flags \\deleted\r\n"
	      "a006 logout\r\n",
	      "command a001 LOGIN mrc secret\n"
	      "command a002 SELECT inbox\n"
	      "command a003 FETCH 12 full\n"
	      "command a004 FETCH 12 body[ header ]\n"
	      "command a005 STORE 12 +flags \\deleted\n"
	      "command a006 LOGOUT\n");
}

static void small_literals_are_kept(void)
{
	check("A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n",
	      "continue\ncontinue\n"
	      "command A001 LOGIN {FRED FOOBAR} {fat man}\n");
	check("a LOGIN {0}\r\n {0+}\r\n\r\n",
	      "continue\ncommand a LOGIN {} {}\n");
	check("a LOGIN {4+}\r\n\r\n\"( {3+}\r\nabc\r\nb NOOP\r\n",
	      "command a LOGIN {\r\n\"(} {abc}\ncommand b NOOP\n");
	check("a SEARCH (BODY {3+}\r\nabc) SEEN\r\n",
	      "command a SEARCH ( BODY {abc} ) SEEN\n");
}

static void messages_of_append_are_streamed(void)
{
	check("A003 APPEND saved-messages (\\Seen) {12}\r\n"
	      "Date: Mon, 7\r\nb NOOP\r\n",
	      "literal 12 sync saved-messages ( \\Seen ) <12>\n"
	      "data Date: Mon, 7\nend\n"
	      "command A003 APPEND saved-messages ( \\Seen ) <12>\n"
	      "command b NOOP\n");
	check("A APPEND {5+}\r\nInbox {0+}\r\n\r\n",
	      "literal 0 nonsync {Inbox} <0>\nend\n"
	      "command A APPEND {Inbox} <0>\n");
	check("A003 APPEND saved (\\Seen) {3}\r\nabc (\\Seen) "
	      "\" 7-Feb-1994 22:43:04 -0800\" {2+}\r\nxy\r\n",
	      "literal 3 sync saved ( \\Seen ) <3>\ndata abc\nend\n"
	      "literal 2 nonsync saved ( \\Seen ) <3> ( \\Seen ) "
	      "\" 7-Feb-1994 22:43:04 -0800\" <2>\ndata xy\nend\n"
	      "command A003 APPEND saved ( \\Seen ) <3> ( \\Seen ) "
	      "\" 7-Feb-1994 22:43:04 -0800\" <2>\n");
}

static void refused_literals_are_skipped(void)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;

	/* The client of a synchronising literal gives the command up. */
	check_how("A APPEND x {3}\r\nb NOOP\r\n",
		  "literal 3 sync x <3>\ncommand b NOOP\n", &limits, REFUSE);
	check_how("A APPEND x {3+}\r\na\r\n (\\Seen) {6+}\r\nc NOOP\r\n"
		  "b NOOP\r\n",
		  "literal 3 nonsync x <3>\ncommand b NOOP\n", &limits,
		  REFUSE);
}

static void errors_name_the_tag_and_end_with_the_line(void)
{
	check("a FOO )\r\nb NOOP\r\n",
	      "bad a \")\" without \"(\"\ncommand b NOOP\n");
	check("a FOO (x\r\nb NOOP\r\n",
	      "bad a \"(\" without \")\"\ncommand b NOOP\n");
	check("a FOO \"x\r\nb NOOP\r\n",
	      "bad a Quoted string does not end\ncommand b NOOP\n");
	check("a FOO \"x\\\r\n", "bad a Quoted string does not end\n");
	check("a FOO x\"y\r\n", "bad a Invalid character in an atom\n");
	check("a FOO \"x\"\"y\"\r\n",
	      "bad a Blank expected between arguments\n");
	check("\r\n", "bad * A command begins with a tag\n");
	check("+ x\r\n", "bad * A command begins with a tag\n");
	check("a\r\n", "bad a No command after the tag\n");
	check("a UID NOOP\r\n", "bad a Unknown UID command\n");
	check("a UID LOGIN a b\r\n", "bad a Unknown UID command\n");
	check("a FOO {x}\r\nb NOOP\r\n", "bad a Bad literal\ncommand b NOOP\n");
	check("a {3+}\r\nabc\r\nb NOOP\r\n",
	      "bad a No command after the tag\ncommand b NOOP\n");
	/* What follows unasked is skipped with the command. */
	check("a FOO ) {9+}\r\nb LOGOUT\n{3+}\r\nabc\r\nc NOOP\r\n",
	      "bad a \")\" without \"(\"\ncommand c NOOP\n");
	check("a FOO {99999999999999999999+}\r\n", "bad a Bad literal fatal\n");
	check("a FETCH 1 BODY[TEXT\r\n", "bad a \"[\" without \"]\"\n");
	check("a FETCH 1 (BODY[TEXT)\r\n", "bad a \")\" without \"(\"\n");
}

static void nul_is_refused(void)
{
	static const char input[] = "a FOO x\0y\r\n";
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;
	struct buf got;

	buf_init(&got, 4096);
	feed(input, sizeof(input) - 1, SIZE_MAX, &limits, 0, &got);
	CU_EQ_TEXT(buf_all(&got), "bad a NUL in a command\n");
	buf_fini(&got);
}

static void limits_hold(void)
{
	struct imap_limits limits = {
		.line_max = 30, .literal_inline = 8, .literal_total = 10,
		.literal_max = 20, .depth_max = 2,
	};

	check_how("a X 89012345678901234567890\r\nb NOOP\r\n",
		  "command a X 89012345678901234567890\ncommand b NOOP\n",
		  &limits, 0);
	check_how("a X 8901234567890123456789012345\r\nb NOOP\r\n",
		  "bad a Command line is too long\ncommand b NOOP\n", &limits,
		  0);
	check_how("a X 8901234567890123456789012345678901234 {6+}\r\n"
		  "12\r\n34 {2+}\r\n12\r\nb NOOP\r\n",
		  "bad a Command line is too long\ncommand b NOOP\n", &limits,
		  0);
	/* The limit is of the command, not of each of its lines. */
	check_how("a X 456789 {1+}\r\nx 456789 {1+}\r\nb NOOP\r\nb NOOP\r\n",
		  "bad a Command line is too long\ncommand b NOOP\n", &limits,
		  0);
	check_how("a X {9}\r\nb NOOP\r\n",
		  "bad a Literal is too large\ncommand b NOOP\n", &limits, 0);
	check_how("a X {9+}\r\n123456789\r\nb NOOP\r\n",
		  "bad a Literal is too large\ncommand b NOOP\n", &limits, 0);
	check_how("a X {8+}\r\n12345678 {3+}\r\nabc\r\nb NOOP\r\n",
		  "bad a Literal is too large\ncommand b NOOP\n", &limits, 0);
	check_how("a APPEND x {21}\r\nb NOOP\r\n",
		  "bad a Literal is too large\ncommand b NOOP\n", &limits, 0);
	check_how("a X ((x))\r\nb X (((x)))\r\n",
		  "command a X ( ( x ) )\n"
		  "bad b Lists are nested too deeply\n", &limits, 0);
}

/* LITERAL-: what comes unasked is small, what is asked for as large as ever. */
static void unasked_literals_are_small_with_literal_minus(void)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;

	limits.nonsync_max = 4;
	check_how("a X {5+}\r\n12345\r\nb NOOP\r\n",
		  "bad a [TOOBIG] Literal is too large to come unasked\n"
		  "command b NOOP\n", &limits, 0);
	check_how("a APPEND x {5+}\r\n12345\r\nb NOOP\r\n",
		  "bad a [TOOBIG] Literal is too large to come unasked\n"
		  "command b NOOP\n", &limits, 0);
	check_how("a NOOP {4+}\r\n1234\r\n", "command a NOOP {1234}\n",
		  &limits, 0);
}

static void raw_lines_come_as_they_are(void)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;

	check_how("DONE\r\nb NOOP\r\n", "line DONE\ncommand b NOOP\n",
		  &limits, WANT_LINE);
	check_how("AGZy {3+}\n*\r\n", "line AGZy {3+}\nbad * A command begins "
				      "with a tag\n", &limits, WANT_LINE);
	limits.line_max = 5;
	check_how("1234567890\r\nb X\r\n", "bad * Line is too long\n"
					    "command b X\n", &limits,
		  WANT_LINE);
}

static void sections_of_fetch_are_trees(void)
{
	check("a FETCH 1 BODY[HEADER.FIELDS (a \"b\" {1+}\r\nc)]<0.100>\r\n",
	      "command a FETCH 1 BODY[ HEADER.FIELDS ( a \"b\" {c} ) ]"
	      "0.100\n");
	check("a UID FETCH 1 (BODY.PEEK[] UID)\r\n",
	      "command a UID FETCH 1 ( BODY.PEEK[ ] UID )\n");
	check("a SELECT [Gmail]/x\r\n", "command a SELECT [Gmail]/x\n");
	check("a FETCH 1 BODY[]<1.2\r\n", "bad a \"<\" without \">\"\n");
}

static void quoted_strings_are_unescaped(void)
{
	check("a X \"\" \"a\\\"b\\\\\" nil \"NIL\" x]y \xc3\xa4\r\n",
	      "command a X \"\" \"a\"b\\\" nil \"NIL\" x]y \xc3\xa4\n");
}

static void an_idle_reader_says_so(void)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;
	struct imap_reader *r = imap_reader_new(&limits);
	struct arena *a = arena_new(512);
	struct imap_event ev;
	struct slice in = SLICE_LIT("a NO");

	CU_ASSERT(imap_reader_idle(r));
	CU_EQ_INT(imap_reader_next(r, &in, a, &ev), IMAP_MORE);
	CU_ASSERT(!imap_reader_idle(r));
	in = SLICE_LIT("OP\r\nb X {5}\r\n");
	CU_EQ_INT(imap_reader_next(r, &in, a, &ev), IMAP_COMMAND);
	CU_ASSERT(imap_reader_idle(r));
	CU_EQ_TEXT(in, "b X {5}\r\n");
	CU_EQ_INT(imap_reader_next(r, &in, a, &ev), IMAP_CONTINUE);
	CU_ASSERT(!imap_reader_idle(r));
	imap_reader_free(r);
	arena_free(a);
}

static void getters_know_their_types(void)
{
	struct imap_arg atom = {.type = IMAP_ARG_ATOM,
				.text = SLICE_LIT("17")};
	struct imap_arg nil = {.type = IMAP_ARG_ATOM,
			       .text = SLICE_LIT("nil")};
	struct imap_arg list = {.type = IMAP_ARG_LIST};
	struct arena *a = arena_new(512);
	struct slice s;
	uint32_t n;

	CU_ASSERT(imap_arg_astring(NULL, &s) < 0);
	CU_ASSERT(imap_arg_astring(&list, &s) < 0);
	CU_EQ_INT(imap_arg_number(&atom, &n), 0);
	CU_EQ_U64(n, 17);
	CU_ASSERT(imap_arg_nstring(&atom, &s) < 0);
	CU_EQ_INT(imap_arg_nstring(&nil, &s), 0);
	CU_ASSERT(s.p == NULL);
	CU_ASSERT(!imap_arg_is(NULL, "x"));
	atom.type = IMAP_ARG_LITERAL;
	atom.text = SLICE_LIT("a\0b");
	CU_ASSERT(imap_arg_astring(&atom, &s) < 0);
	CU_ASSERT(imap_arg_mailbox(&atom, a, &s) < 0);
	atom.type = IMAP_ARG_ATOM;
	atom.text = SLICE_LIT("iNbOx");
	CU_EQ_INT(imap_arg_mailbox(&atom, a, &s), 0);
	CU_EQ_TEXT(s, "INBOX");
	atom.text = SLICE_LIT("&ZeVnLIqe-");
	CU_EQ_INT(imap_arg_mailbox(&atom, a, &s), 0);
	CU_EQ_TEXT(s, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	atom.text = SLICE_LIT("a&b");
	CU_EQ_INT(imap_arg_mailbox(&atom, a, &s), E_INVALID);
	arena_free(a);
}

CU_TESTS(CU_CASE(rfc3501_section_8_session_is_read),
	 CU_CASE(small_literals_are_kept),
	 CU_CASE(messages_of_append_are_streamed),
	 CU_CASE(refused_literals_are_skipped),
	 CU_CASE(errors_name_the_tag_and_end_with_the_line),
	 CU_CASE(nul_is_refused),
	 CU_CASE(limits_hold),
	 CU_CASE(unasked_literals_are_small_with_literal_minus),
	 CU_CASE(raw_lines_come_as_they_are),
	 CU_CASE(sections_of_fetch_are_trees),
	 CU_CASE(quoted_strings_are_unescaped),
	 CU_CASE(an_idle_reader_says_so),
	 CU_CASE(getters_know_their_types))
