#include "proto/lmtp_parse.h"

#include <stdio.h>

#include "node/base/err.h"
#include "tests/lib/cu.h"

static void commands_are_read(void)
{
	struct arena *a = arena_new(1024);
	struct lmtp_command c;
	const char *reply = NULL;
#define PARSE(s) CU_EQ_INT(lmtp_parse(SLICE_LIT(s), a, &c, &reply), 0)

	PARSE("LHLO foo.edu");
	CU_EQ_INT(c.verb, LMTP_LHLO);
	CU_EQ_TEXT(c.text, "foo.edu");
	PARSE("mail from:<chris@bar.com> size=123 body=8bitmime");
	CU_EQ_INT(c.verb, LMTP_MAIL);
	CU_EQ_TEXT(c.path.local, "chris");
	CU_ASSERT(c.has_size);
	CU_EQ_U64(c.size, 123);
	CU_EQ_INT(c.body, LMTP_BODY_8BITMIME);
	PARSE("MAIL FROM:<>");
	CU_ASSERT(c.path.null_sender && !c.has_size);
	PARSE("RCPT TO:<@a.test:pat@foo.edu>");
	CU_EQ_INT(c.verb, LMTP_RCPT);
	CU_EQ_TEXT(c.path.domain, "foo.edu");
	PARSE("DATA");
	CU_EQ_INT(c.verb, LMTP_DATA);
	PARSE("QUIT ");
	CU_EQ_INT(c.verb, LMTP_QUIT);
	PARSE("NOOP whatever");
	CU_EQ_INT(c.verb, LMTP_NOOP);
	PARSE("EHLO x");
	CU_EQ_INT(c.verb, LMTP_HELO);
	PARSE("XCLIENT x");
	CU_EQ_INT(c.verb, LMTP_UNKNOWN);
	PARSE("");
	CU_EQ_INT(c.verb, LMTP_UNKNOWN);
	arena_free(a);
#undef PARSE
}

static void bad_commands_have_replies(void)
{
	static const struct {
		const char *line, *code;
	} t[] = {
		{"LHLO", "501 5.5.4"},
		{"MAIL", "501 5.5.4"},
		{"MAIL TO:<a@b>", "501 5.5.4"},
		{"MAIL FROM:a@b", "501 5.1.7"},
		{"MAIL FROM: <a@b>", "501 5.1.7"},
		{"MAIL FROM:<a b>", "501 5.1.7"},
		{"MAIL FROM:<a@b> SIZE=x", "501 5.5.4"},
		{"MAIL FROM:<a@b> SIZE", "501 5.5.4"},
		{"MAIL FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4"},
		{"MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.5.4"},
		{"MAIL FROM:<a@b> RET=HDRS", "555 5.5.4"},
		{"MAIL FROM:<a@b> SMTPUTF8", "555 5.5.4"},
		{"RCPT TO:<>", "501 5.1.3"},
		{"RCPT TO:<a@b> NOTIFY=NEVER", "555 5.5.4"},
		{"DATA x", "501 5.5.4"},
		{"STARTTLS x", "501 5.5.4"},
		{"NOOP \x01", "500 5.5.2"},
	};
	struct arena *a = arena_new(1024);
	struct lmtp_command c;
	const char *reply;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		reply = NULL;
		CU_CLAIM(lmtp_parse(slice_str(t[i].line), a, &c, &reply) < 0,
			 "taken: %s", t[i].line);
		CU_NEED(reply != NULL);
		CU_CLAIM(!strncmp(reply, t[i].code, 9), "%s: %s", t[i].line,
			 reply);
	}
	arena_free(a);
}

static void lines_are_cut_from_the_input(void)
{
	struct slice in = SLICE_LIT("NOOP\r\nRSET\nQU"), line;
	bool skipping = false;
	size_t used;

	CU_EQ_INT(lmtp_line(in, &skipping, &line, &used), 1);
	CU_EQ_TEXT(line, "NOOP");
	in = slice_sub(in, used, in.n);
	CU_EQ_INT(lmtp_line(in, &skipping, &line, &used), 1);
	CU_EQ_TEXT(line, "RSET");
	in = slice_sub(in, used, in.n);
	CU_EQ_INT(lmtp_line(in, &skipping, &line, &used), 0);
	CU_EQ_U64(used, 0);
}

static void long_lines_are_refused_once(void)
{
	struct slice line;
	struct buf in;
	bool skipping = false;
	size_t used;

	buf_init(&in, 1u << 20);
	buf_fill(&in, 'x', LMTP_LINE_MAX - 2);
	buf_str(&in, "\r\n");
	CU_EQ_INT(lmtp_line(buf_all(&in), &skipping, &line, &used), 1);
	buf_reset(&in);
	buf_fill(&in, 'x', LMTP_LINE_MAX + 1);
	CU_EQ_INT(lmtp_line(buf_all(&in), &skipping, &line, &used), E_LIMIT);
	CU_EQ_U64(used, in.n);
	CU_EQ_INT(lmtp_line(buf_all(&in), &skipping, &line, &used), 0);
	CU_EQ_U64(used, in.n);
	CU_EQ_INT(lmtp_line(SLICE_LIT("xx\r\nNOOP\r\n"), &skipping, &line,
			    &used), 1);
	CU_EQ_TEXT(line, "NOOP");
	CU_EQ_U64(used, 10);
	/* The same when the whole line is there. */
	buf_str(&in, "\r\nNOOP\r\n");
	CU_EQ_INT(lmtp_line(buf_all(&in), &skipping, &line, &used), E_LIMIT);
	CU_EQ_U64(used, LMTP_LINE_MAX + 3);
	CU_ASSERT(!skipping);
	buf_fini(&in);
}

/* In pieces of every size, and with the next command behind it. */
static void data_is(const char *in, size_t n, const char *want, bool done,
		    bool bare, bool nul)
{
	struct buf out;
	size_t piece;

	buf_init(&out, 4096);
	for (piece = 1; piece <= n; piece++) {
		struct lmtp_data d = LMTP_DATA_START;
		size_t at = 0, used = 0;
		int rc = 0;

		buf_reset(&out);
		while (at < n && rc == 0) {
			rc = lmtp_data_put(&d,
					   slice_of(in + at,
						    n - at < piece ? n - at
								   : piece),
					   &used, &out);
			at += used;
		}
		CU_EQ_INT(rc, done);
		if (!CU_EQ_TEXT(buf_all(&out), want)) {
			printf("  of %s in pieces of %zu\n", in, piece);
			break;
		}
		CU_EQ_INT(d.bare_newline, bare);
		CU_EQ_INT(d.nul, nul);
		CU_EQ_U64(d.size, strlen(want));
		if (done)
			CU_CLAIM(!strcmp(in + at, "QUIT\r\n"), "rest: %s",
				 in + at);
	}
	buf_fini(&out);
}

#define DATA_IS(in, want, done, bare, nul)                                    \
	data_is((in), sizeof(in) - 1, (want), (done), (bare), (nul))

static void data_ends_at_its_dot(void)
{
	DATA_IS(".\r\nQUIT\r\n", "", true, false, false);
	DATA_IS("a\r\n.\r\nQUIT\r\n", "a\r\n", true, false, false);
	DATA_IS("a\r\n..\r\n.b\r\n...c\r\n.\r\nQUIT\r\n",
		"a\r\n.\r\nb\r\n..c\r\n", true, false, false);
	DATA_IS("a\r\n.", "a\r\n", false, false, false);
	DATA_IS("\xff\r\n", "\xff\r\n", false, false, false);
}

static void nothing_else_ends_data(void)
{
	DATA_IS("a\n.\nb\r\n.\r\nQUIT\r\n", "a\r\n.\r\nb\r\n", true, true,
		false);
	DATA_IS("a\n.\r\nb\r\n.\r\nQUIT\r\n", "a\r\n.\r\nb\r\n", true, true,
		false);
	DATA_IS("a\r\n.\nb\r\n.\r\nQUIT\r\n", "a\r\n\r\nb\r\n", true, true,
		false);
	DATA_IS("a\r.\r\nb\r\n.\r\nQUIT\r\n", "a\r\n.\r\nb\r\n", true, true,
		false);
	DATA_IS("a\r\n.\rb\r\n.\r\nQUIT\r\n", "a\r\n\r\nb\r\n", true, true,
		false);
	DATA_IS("a\r\n.\r\r\nb\r\n.\r\nQUIT\r\n", "a\r\n\r\n\r\nb\r\n", true,
		true, false);
	DATA_IS("a .\r\nb\r\n.\r\nQUIT\r\n", "a .\r\nb\r\n", true, false,
		false);
}

static void odd_octets_are_noted(void)
{
	struct lmtp_data d = LMTP_DATA_START;
	struct buf out;
	size_t used;

	DATA_IS("a\0b\r\n.\r\nQUIT\r\n", "ab\r\n", true, false, true);
	DATA_IS("a\r\r\nb\r\n", "a\r\n\r\nb\r\n", false, true, false);
	buf_init(&out, 8);
	CU_EQ_INT(lmtp_data_put(&d, SLICE_LIT("ab\xe4\r\n"), &used, &out), 0);
	CU_ASSERT(d.eight_bit);
	CU_EQ_INT(lmtp_data_put(&d, SLICE_LIT("more than fits\r\n"), &used,
				&out), E_LIMIT);
	buf_fini(&out);
}

CU_TESTS(CU_CASE(commands_are_read),
	 CU_CASE(bad_commands_have_replies),
	 CU_CASE(lines_are_cut_from_the_input),
	 CU_CASE(long_lines_are_refused_once),
	 CU_CASE(data_ends_at_its_dot),
	 CU_CASE(nothing_else_ends_data),
	 CU_CASE(odd_octets_are_noted))
