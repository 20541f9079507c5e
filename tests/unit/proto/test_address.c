#include "proto/address.h"

#include "node/base/err.h"
#include "tests/lib/cu.h"

static void put(struct buf *to, struct slice s)
{
	if (!s.p)
		buf_char(to, '-');
	else if (s.n == 0)
		buf_str(to, "''");
	else
		buf_slice(to, s);
}

/* "name|route|mailbox|host;" for each, '-' for NIL. */
static void list_gives(const char *text, const char *want)
{
	struct arena *a = arena_new(1024);
	struct mime_address *at;
	struct buf out;

	buf_init(&out, 4096);
	for (at = address_list_parse(slice_str(text), a); at; at = at->next) {
		put(&out, at->name);
		buf_char(&out, '|');
		put(&out, at->route);
		buf_char(&out, '|');
		put(&out, at->mailbox);
		buf_char(&out, '|');
		put(&out, at->host);
		buf_char(&out, ';');
	}
	CU_EQ_TEXT(buf_all(&out), want);
	buf_fini(&out);
	arena_free(a);
}

static void rfc5322_examples_are_read(void)
{
	list_gives("John Doe <jdoe@machine.example>",
		   "John Doe|-|jdoe|machine.example;");
	list_gives("Mary Smith <mary@x.test>, jdoe@example.org, "
		   "Who? <one@y.test>",
		   "Mary Smith|-|mary|x.test;-|-|jdoe|example.org;"
		   "Who?|-|one|y.test;");
	list_gives("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" "
		   "<sysservices@example.net>",
		   "-|-|boss|nil.test;"
		   "Giant; \"Big\" Box|-|sysservices|example.net;");
	list_gives("\"Joe Q. Public\" <john.q.public@example.com>",
		   "Joe Q. Public|-|john.q.public|example.com;");
	list_gives("A Group:Ed Jones <c@a.test>,joe@where.test,John "
		   "<jdoe@one.test>;",
		   "-|-|A Group|-;Ed Jones|-|c|a.test;-|-|joe|where.test;"
		   "John|-|jdoe|one.test;-|-|-|-;");
	list_gives("Undisclosed recipients:;",
		   "-|-|Undisclosed recipients|-;-|-|-|-;");
	list_gives("Pete(A nice \\) chap) <pete(his account)@silly.test(his "
		   "host)>", "Pete|-|pete|silly.test;");
	list_gives("A Group(Some people)\r\n     :Chris Jones "
		   "<c@(Chris's host.)public.example>,\r\n"
		   "     joe@example.org,\r\n  John <jdoe@one.test> (my dear "
		   "friend); (the end of the group)",
		   "-|-|A Group|-;Chris Jones|-|c|public.example;"
		   "-|-|joe|example.org;John|-|jdoe|one.test;-|-|-|-;");
	list_gives("(Empty list)(start)Hidden recipients  :(nobody(that I "
		   "know))  ;", "-|-|Hidden recipients|-;-|-|-|-;");
	list_gives("Joe Q. Public <john . q . public@example . com>",
		   "Joe Q. Public|-|john.q.public|example.com;");
	list_gives("Mary Smith <@node.test:mary@example.net>, , "
		   "jdoe@test  . example",
		   "Mary Smith|@node.test|mary|example.net;"
		   "-|-|jdoe|test.example;");
}

static void comments_give_names_to_bare_addresses(void)
{
	list_gives("ned@innosoft.com (Ned Freed)",
		   "Ned Freed|-|ned|innosoft.com;");
	list_gives("a@b ()", "-|-|a|b;");
}

static void broken_lists_give_what_can_be_understood(void)
{
	list_gives("", "");
	list_gives(" , ;, ", "");
	list_gives("root", "-|-|root|'';");
	list_gives("a@b <c@d>", "a@b|-|c|d;");
	list_gives("a <b@c, d@e", "a|-|b|c;-|-|d|e;");
	list_gives("a: b@c", "-|-|a|-;-|-|b|c;-|-|-|-;");
	list_gives("a: b: c@d;", "-|-|a|-;-|-|c|d;-|-|-|-;");
	list_gives("<>", "-|-|''|'';");
	list_gives("\"open <a@b>", "-|-|open <a@b>|'';");
	list_gives("@", "");
	/* An open route ends at the next address at the latest. */
	list_gives("<@a,<b@c:d@e>", "-|-|''|a;-|-|b|c:d@e;");
	list_gives("\"a\"@b", "-|-|a|b;");
	list_gives("=?utf-8?q?a?= =?utf-8?q?b?= <a@b>",
		   "=?utf-8?q?a?= =?utf-8?q?b?=|-|a|b;");
}

static void the_number_of_addresses_is_limited(void)
{
	struct arena *a = arena_new(1024);
	struct mime_address *at;
	struct buf text;
	unsigned i, n = 0;

	buf_init(&text, 1u << 20);
	buf_str(&text, "g:");
	for (i = 0; i < MIME_ADDRESSES_MAX + 10; i++)
		buf_str(&text, "a@b,");
	for (at = address_list_parse(buf_all(&text), a); at; at = at->next) {
		n++;
		if (!at->next)	/* the group is closed nevertheless */
			CU_ASSERT(!at->host.p && !at->mailbox.p);
	}
	CU_EQ_INT(n, MIME_ADDRESSES_MAX + 1);
	buf_fini(&text);
	arena_free(a);
}

static void paths_are_read(void)
{
	static const struct {
		const char *in, *local, *domain, *rest, *out;
	} t[] = {
		{"<a@b.example>", "a", "b.example", "", "a@b.example"},
		{"<a@b> SIZE=1", "a", "b", " SIZE=1", "a@b"},
		{"<@x.test,@y.test:u+d@z>", "u+d", "z", "", "u+d@z"},
		{"<\"a b\\\"c\"@d>", "a b\"c", "d", "", "\"a b\\\"c\"@d"},
		{"<\"a\"@d>", "a", "d", "", "a@d"},
		{"<postmaster>", "postmaster", "", "", "postmaster"},
		{"<a@[127.0.0.1]>", "a", "[127.0.0.1]", "", "a@[127.0.0.1]"},
		{"<a@[IPv6:::1]>", "a", "[IPv6:::1]", "", "a@[IPv6:::1]"},
		{"<a..b.@c>", "a..b.", "c", "", "a..b.@c"},
		{"<\"a@b\"@c>", "a@b", "c", "", "\"a@b\"@c"},
	};
	struct arena *a = arena_new(1024);
	struct address_path p;
	struct slice in;
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		in = slice_str(t[i].in);
		CU_CLAIM(address_path_parse(&in, false, a, &p) == 0,
			 "refused: %s", t[i].in);
		CU_EQ_TEXT(p.local, t[i].local);
		CU_EQ_TEXT(p.domain, t[i].domain);
		CU_EQ_TEXT(in, t[i].rest);
		buf_reset(&out);
		address_put(&out, &p);
		CU_EQ_TEXT(buf_all(&out), t[i].out);
	}
	in = SLICE_LIT("<> x");
	CU_EQ_INT(address_path_parse(&in, false, a, &p), 0);
	CU_ASSERT(p.null_sender);
	in = SLICE_LIT("a@b x");
	CU_EQ_INT(address_path_parse(&in, true, a, &p), 0);
	CU_EQ_TEXT(in, " x");
	buf_fini(&out);
	arena_free(a);
}

static void bad_paths_are_refused(void)
{
	static const char *const t[] = {
		"", "a@b", "<a@b", "<a@>", "<@b>", "<a b@c>", "<a@b>x",
		"<\"\"@b>", "<\"a@b>", "<\"a\\\"@b>", "<a@b@c>", "<@a:>",
		"<@a b@c>", "<@a,b:c@d>", "<a@b c>", "<a@[1.2.3.4>", "<a@.b>",
		"<\xc3\xa4@b>", "<a@\xc3\xa4>", "< a@b>", "<a@b >",
		"<\"a\x01\"@b>",
	};
	struct arena *a = arena_new(1024);
	struct address_path p;
	struct slice in;
	struct buf big;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		in = slice_str(t[i]);
		CU_CLAIM(address_path_parse(&in, false, a, &p) < 0,
			 "taken: %s", t[i]);
	}
	buf_init(&big, 4096);
	buf_char(&big, '<');
	buf_fill(&big, 'x', ADDRESS_LOCAL_MAX + 1);
	buf_str(&big, "@b>");
	in = buf_all(&big);
	CU_EQ_INT(address_path_parse(&in, false, a, &p), E_LIMIT);
	buf_reset(&big);
	buf_str(&big, "<a@");
	buf_fill(&big, 'x', ADDRESS_DOMAIN_MAX + 1);
	buf_str(&big, ">");
	in = buf_all(&big);
	CU_EQ_INT(address_path_parse(&in, false, a, &p), E_LIMIT);
	buf_fini(&big);
	arena_free(a);
}

CU_TESTS(CU_CASE(rfc5322_examples_are_read),
	 CU_CASE(comments_give_names_to_bare_addresses),
	 CU_CASE(broken_lists_give_what_can_be_understood),
	 CU_CASE(the_number_of_addresses_is_limited),
	 CU_CASE(paths_are_read),
	 CU_CASE(bad_paths_are_refused))
