/* The five formatters, byte for byte. */

#include "tests/lib/cu.h"
#include "tools/adm_print.h"

#include <stdlib.h>

static const struct print_column who[] = {
	{"username", NULL, 0, 0}, {"connections", "#", 0, 0},
	{"service", "proto", 0, 0},
};
static const struct print_column field[] = {
	{"field", NULL, 10, PRINT_HIDE_TITLE},
	{"value", NULL, 0, PRINT_HIDE_TITLE},
};

struct text {
	char *p;
	size_t n;
	FILE *f;
};

static void open_text(struct text *t)
{
	t->f = open_memstream(&t->p, &t->n);
}

static void eq_close(struct text *t, const char *want)
{
	fclose(t->f);
	CU_EQ_STR(t->p, want);
	free(t->p);
}

static void print_as(const char *form, const char *want)
{
	struct text t;
	struct print *p;

	open_text(&t);
	p = print_new(form, who, 3, 1, t.f);
	print_row(p, (const char *[]){"alice", "2", "imap"});
	print_row(p, (const char *[]){"bartholomew", "10", "imap"});
	print_end(p);
	eq_close(&t, want);
}

static void table_aligns_and_ends_lines_without_blanks(void)
{
	print_as("table", "username    #  proto\n"
			  "alice       2  imap\n"
			  "bartholomew 10 imap\n");
}

static void tab_has_a_header(void)
{
	print_as("tab", "username\t#\tproto\nalice\t2\timap\n"
			"bartholomew\t10\timap\n");
}

static void flow_has_keys(void)
{
	print_as("flow", "username=alice #=2 proto=imap\n"
			 "username=bartholomew #=10 proto=imap\n");
}

static void pager_separates_with_form_feeds(void)
{
	print_as("pager", "username: alice\n#: 2\nproto: imap\n\f\n"
			  "username: bartholomew\n#: 10\nproto: imap\n");
}

static void json_uses_keys_of_its_own(void)
{
	print_as("json", "[{\"username\":\"alice\",\"connections\":\"2\","
			 "\"service\":\"imap\"},{\"username\":\"bartholomew\","
			 "\"connections\":\"10\",\"service\":\"imap\"}]\n");
}

static void hidden(const char *form, const char *want)
{
	struct text t;
	struct print *p;

	open_text(&t);
	p = print_new(form, field, 2, 1, t.f);
	print_row(p, (const char *[]){"Queued", "0"});
	print_end(p);
	eq_close(&t, want);
}

static void hidden_titles_are_shown_to_machines_only(void)
{
	hidden("table", "Queued     0\n");
	hidden("flow", "Queued 0\n");
	hidden("pager", "Queued\n0\n");
	hidden("tab", "field\tvalue\nQueued\t0\n");
	hidden("json", "[{\"field\":\"Queued\",\"value\":\"0\"}]\n");
}

static void empty(const char *form, const char *want)
{
	struct text t;

	open_text(&t);
	print_end(print_new(form, who, 3, 1, t.f));
	eq_close(&t, want);
}

static void nothing_is_still_a_table(void)
{
	empty("table", "username # proto\n");
	empty("tab", "username\t#\tproto\n");
	empty("flow", "");
	empty("pager", "");
	empty("json", "[]\n");
}

static void odd(const char *form, const char *value, const char *want)
{
	static const struct print_column one[] = {{"v", NULL, 0, 0}};
	struct text t;
	struct print *p;

	open_text(&t);
	p = print_new(form, one, 1, 1, t.f);
	print_row(p, &value);
	print_end(p);
	eq_close(&t, want);
}

static void control_characters_reach_no_terminal(void)
{
	odd("table", "a\033[2Jb", "v\na?[2Jb\n");
	odd("flow", "a\nb", "v=a?b\n");
	odd("pager", "a\rb", "v: a?b\n");
	odd("tab", "a\tb\nc\\", "v\na\\tb\\nc\\\\\n");
	odd("json", "a\"\\\001\n", "[{\"v\":\"a\\\"\\\\\\u0001\\u000a\"}]\n");
}

static void json_is_utf8_whatever_comes(void)
{
	odd("json", "\xc3\xa9\xff", "[{\"v\":\"\xc3\xa9\\ufffd\"}]\n");
	odd("json", "\xed\xa0\x80", "[{\"v\":\"\\ufffd\\ufffd\\ufffd\"}]\n");
	odd("json", "\xf0\x9f\x98\x80", "[{\"v\":\"\xf0\x9f\x98\x80\"}]\n");
	odd("json", "\xc3", "[{\"v\":\"\\ufffd\"}]\n");
	odd("json", NULL, "[{\"v\":\"\"}]\n");
}

static void table_counts_characters_not_bytes(void)
{
	struct text t;
	struct print *p;

	open_text(&t);
	p = print_new("table", who, 3, 2, t.f);
	print_row(p, (const char *[]){"j\xc3\xbcrgen", "1", "imap"});
	print_end(p);
	eq_close(&t, "username  #  proto\nj\xc3\xbcrgen    1  imap\n");
}

static void long_tables_are_not_kept(void)
{
	struct text t;
	struct print *p;
	size_t n = 0;

	open_text(&t);
	p = print_new("table", who, 3, 1, t.f);
	for (unsigned i = 0; i < PRINT_TABLE_ROWS; i++)
		print_row(p, (const char *[]){"a", "1", "imap"});
	fflush(t.f);
	CU_CLAIM(t.n > PRINT_TABLE_ROWS, "only %zu bytes came", t.n);
	/* Wider than all before: the line is whole all the same. */
	print_row(p, (const char *[]){"wider than the title", "1", "imap"});
	print_end(p);
	fclose(t.f);
	for (const char *s = t.p; *s; s++)
		n += *s == '\n';
	CU_EQ_INT(n, PRINT_TABLE_ROWS + 2);
	CU_CLAIM(strstr(t.p, "\nwider than the title 1 imap\n") != NULL,
		 "the wide line is not there");
	free(t.p);
}

static void only_five_are_known(void)
{
	CU_CLAIM(print_known("table") && print_known("json"), "known");
	CU_CLAIM(!print_known("xml") && !print_known(""), "unknown");
}

CU_TESTS(CU_CASE(table_aligns_and_ends_lines_without_blanks),
	 CU_CASE(tab_has_a_header), CU_CASE(flow_has_keys),
	 CU_CASE(pager_separates_with_form_feeds),
	 CU_CASE(json_uses_keys_of_its_own),
	 CU_CASE(hidden_titles_are_shown_to_machines_only),
	 CU_CASE(nothing_is_still_a_table),
	 CU_CASE(control_characters_reach_no_terminal),
	 CU_CASE(json_is_utf8_whatever_comes),
	 CU_CASE(table_counts_characters_not_bytes),
	 CU_CASE(long_tables_are_not_kept), CU_CASE(only_five_are_known))
