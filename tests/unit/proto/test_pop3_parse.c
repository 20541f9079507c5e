#include "proto/pop3_parse.h"

#include <stdlib.h>

#include "node/base/arena.h"
#include "node/base/err.h"
#include "tests/lib/cu.h"

static void commands_are_read(void)
{
	struct pop3_command c;
	uint32_t n[2];

	CU_EQ_INT(pop3_parse(SLICE_LIT("retr 12"), &c), 0);
	CU_EQ_STR(c.name, "RETR");
	CU_EQ_INT(pop3_numbers(c.args, 1, 1, n), 1);
	CU_EQ_U64(n[0], 12);
	CU_EQ_INT(pop3_parse(SLICE_LIT("QUIT"), &c), 0);
	CU_EQ_INT(c.args.n, 0);
	/* Blanks of a password are its own. */
	CU_EQ_INT(pop3_parse(SLICE_LIT("PASS  two  words "), &c), 0);
	CU_EQ_TEXT(c.args, " two  words ");
	CU_EQ_INT(pop3_parse(SLICE_LIT(""), &c), E_INVALID);
	CU_EQ_INT(pop3_parse(SLICE_LIT(" STAT"), &c), E_INVALID);
	CU_EQ_INT(pop3_parse(SLICE_LIT("ST\0T"), &c), E_INVALID);
	CU_EQ_INT(pop3_parse(SLICE_LIT("PASS a\0b"), &c), E_INVALID);
	CU_EQ_INT(pop3_parse(SLICE_LIT("ABCDEFGHIJKLMNOP"), &c), E_INVALID);
}

static void numbers_are_decimal_and_bounded(void)
{
	uint32_t n[2];

	CU_EQ_INT(pop3_numbers(SLICE_LIT("1  2"), 2, 2, n), 2);
	CU_EQ_INT(pop3_numbers(SLICE_LIT(""), 0, 1, n), 0);
	CU_EQ_INT(pop3_numbers(SLICE_LIT(""), 1, 1, n), E_INVALID);
	CU_EQ_INT(pop3_numbers(SLICE_LIT("1 2 3"), 2, 2, n), E_INVALID);
	CU_EQ_INT(pop3_numbers(SLICE_LIT("-1"), 1, 1, n), E_INVALID);
	CU_EQ_INT(pop3_numbers(SLICE_LIT("0x1"), 1, 1, n), E_INVALID);
	CU_EQ_INT(pop3_numbers(SLICE_LIT("99999999999"), 1, 1, n), 1);
	CU_EQ_U64(n[0], UINT32_MAX);
}

static void lines_are_cut_from_the_input(void)
{
	struct pop3_lines st = {0};
	struct slice line, in = SLICE_LIT("STAT\r\nLIST\nQU");
	size_t used;

	CU_EQ_INT(pop3_line(&st, in, &line, &used), 1);
	CU_EQ_TEXT(line, "STAT");
	in = slice_sub(in, used, in.n);
	CU_EQ_INT(pop3_line(&st, in, &line, &used), 1);
	CU_EQ_TEXT(line, "LIST");
	in = slice_sub(in, used, in.n);
	CU_EQ_INT(pop3_line(&st, in, &line, &used), 0);
	CU_EQ_INT(used, 0);
}

static void a_long_line_is_refused_once(void)
{
	size_t n = POP3_LINE_MAX + 2, used;
	struct pop3_lines st = {0};
	struct slice line;
	char *text = malloc(n + 2);

	memset(text, 'a', n + 2);
	/* Exactly the limit is one. */
	text[POP3_LINE_MAX] = '\r';
	text[POP3_LINE_MAX + 1] = '\n';
	CU_EQ_INT(pop3_line(&st, slice_of(text, n), &line, &used), 1);
	CU_EQ_INT(line.n, POP3_LINE_MAX);
	memset(text, 'a', n + 2);
	CU_EQ_INT(pop3_line(&st, slice_of(text, n), &line, &used), E_LIMIT);
	CU_EQ_INT(used, n);
	CU_EQ_INT(pop3_line(&st, SLICE_LIT("more"), &line, &used), 0);
	CU_EQ_INT(used, 4);
	CU_EQ_INT(pop3_line(&st, SLICE_LIT("end\nNO"), &line, &used), 0);
	CU_EQ_INT(used, 4);
	CU_EQ_INT(pop3_line(&st, SLICE_LIT("NOOP\n"), &line, &used), 1);
	CU_EQ_TEXT(line, "NOOP");
	free(text);
}

static void top_shows_header_and_lines(void)
{
	struct slice m = SLICE_LIT("A: b\r\nC: d\r\n\r\none\r\ntwo\r\nend");

	CU_EQ_INT(pop3_top(m, 0), 14);
	CU_EQ_INT(pop3_top(m, 1), 19);
	CU_EQ_INT(pop3_top(m, 2), 24);
	CU_EQ_INT(pop3_top(m, 3), m.n);
	CU_EQ_INT(pop3_top(m, UINT32_MAX), m.n);
	CU_EQ_INT(pop3_top(SLICE_LIT("A: b\r\n"), 0), 6);
	CU_EQ_INT(pop3_top(SLICE_LIT("\r\nbody\r\n"), 0), 2);
	CU_EQ_INT(pop3_top(SLICE_NONE, 5), 0);
}

static void stuffed(const char *msg, const char *want)
{
	struct slice m = slice_str(msg);

	for (size_t piece = 1; piece <= m.n + 1; piece++) {
		struct pop3_stuffing st = {0};
		struct buf out;

		buf_init(&out, 1024);
		for (size_t at = 0; at < m.n; at += piece)
			pop3_stuff(&st, slice_sub(m, at, at + piece), &out);
		pop3_stuff_end(&st, &out);
		CU_EQ_TEXT(buf_all(&out), want);
		buf_fini(&out);
	}
}

static void dots_are_stuffed_wherever_it_is_cut(void)
{
	stuffed(".\r\n..a\r\nb.c\r\n", "..\r\n...a\r\nb.c\r\n.\r\n");
	stuffed("no end", "no end\r\n.\r\n");
	stuffed("half an end\r", "half an end\r\n.\r\n");
	stuffed("bare\n.\n", "bare\n..\n.\r\n");
	stuffed("", ".\r\n");
}

CU_TESTS(CU_CASE(commands_are_read),
	 CU_CASE(numbers_are_decimal_and_bounded),
	 CU_CASE(lines_are_cut_from_the_input),
	 CU_CASE(a_long_line_is_refused_once),
	 CU_CASE(top_shows_header_and_lines),
	 CU_CASE(dots_are_stuffed_wherever_it_is_cut))
