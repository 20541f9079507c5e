/* %variables. The expected texts were taken from Dovecot 2.3.19. */

#include "node/config/conf_vars.h"
#include "tests/unit/config/conf_test.h"

static const char *field(void *arg, const char *kind, const char *name)
{
	(void)arg;
	if (strcmp(kind, "userdb") == 0 && strcmp(name, "shard") == 0)
		return "s7";
	return NULL;
}

static const struct conf_var extra[] = {
	{'m', "mech", "PLAIN"},
	{0, "deleted", "3"},
};

static struct conf_vars vars_of(const char *user)
{
	return (struct conf_vars){
		.user = user,
		.home = "/tmp/c/home",
		.service = "imap",
		.rip = "192.0.2.7",
		.rport = 1234,
		.session = "sess",
		.uid = 65534,
		.hostname = "vm",
		.extra = extra,
		.n_extra = ARRAY_LEN(extra),
		.field = field,
	};
}

static void claim_expands(const char *user, const char *text, const char *want)
{
	struct conf_vars v = vars_of(user);
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, CONF_VARS_MAX);
	CU_CLAIM(conf_expand(text, &v, 0, &b, &e) == 0, "%s: %s", text, e.op);
	if (!slice_is(buf_all(&b), want))
		CU_CLAIM(false, "%s for %s is '%.*s', want '%s'", text, user,
			 (int)b.n, (const char *)b.p, want);
	buf_fini(&b);
}

static void expansion_is_that_of_2_3(void)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"%u", "alice@sub.example.com"},
		{"%n", "alice"},
		{"%d", "sub.example.com"},
		{"%Lu", "alice@sub.example.com"},
		{"%Uu", "ALICE@SUB.EXAMPLE.COM"},
		{"%2n", "al"},
		{"%-2n", "al"},
		{"%2.2n", "ic"},
		{"%1.3n", "lic"},
		{"%-3.2n", "ic"},
		{"%05n", "alice"},
		{"%010n", "00000alice"},
		{"%Ru", "moc.elpmaxe.bus@ecila"},
		{"%Hu", "bf3c08d"},
		{"%256Hu", "8d"},
		{"%2.256Hu", "8d"},
		{"%Nu", "9949c551"},
		{"%256Nu", "51"},
		{"%2.256Nu", "51"},
		{"%3.256Nu", "051"},
		{"%2.16Nn", "05"},
		{"%5Nn", "2"},
		{"%Mu", "ba3e34449949c551ea8a1174e02a3b71"},
		{"%Xi", "fffe"},
		{"%i", "65534"},
		{"%Dd", "sub,dc=example,dc=com"},
		{"%{user}", "alice@sub.example.com"},
		{"%{username}", "alice"},
		{"%{domain}", "sub.example.com"},
		{"%L{username}", "alice"},
		{"%2{username}", "al"},
		{"%{hostname}", "vm"},
		{"%%u", "%u"},
		{"%{if;%d;eq;sub.example.com;YES;NO}", "YES"},
		{"%{if;%n;~;al*;Y;N}", "Y"},
		{"%{if;3;<;10;Y;N}", "Y"},
		{"%h", "/tmp/c/home"},
		{"%{home}", "/tmp/c/home"},
		{"%s", "imap"},
		{"%{service}", "imap"},
		{"%l", ""},
		{"%r", "192.0.2.7"},
		{"%{rip}", "192.0.2.7"},
		{"%{session}", "sess"},
		{"%3RHu", "1"},
		{"%LUu", "ALICE@SUB.EXAMPLE.COM"},
		{"%{if;a;eq;a;%{if;b;eq;c;X;Z};N}", "Z"},
		{"%{if;%d;ne;;%d;nod}", "sub.example.com"},
		{"%5.2n", ""},
		{"%20n", "alice"},
		{"%-20n", "alice"},
		{"%020n", "000000000000000alice"},
		{"%Mn", "6384e2b2184bcbf58eccf10ca7a6563c"},
		{"%{if;a;eq;a;Y}", "Y"},
		{"%{if;2;*;*;Y;N}", "Y"},
		{"%{if;abc;!~;a*;Y;N}", "N"},
		{"%{if;abc;*;a*;Y;N}", "Y"},
		{"%{if;abc;!*;a?c;Y;N}", "N"},
		{"%{if;1;>=;1;Y;N}", "Y"},
		{"%{if;02;eq;2;Y;N}", "N"},
		{"%{if;02;==;2;Y;N}", "Y"},
		{"%{if;b;gt;a;Y;N}", "Y"},
		{"%-5n", "alice"},
		{"%-8.3n", "ali"},
		{"%10.2n", ""},
		{"%2.0n", "ice"},
		{"%LRn", "ecila"},
		{"%X{username}", "0"},
		{"%0.3n", "ali"},
		{"%05.3n", ""},
		{"%1Mn", "6"},
		{"%N{user}", "9949c551"},
		{"%2.2N{user}", "01"},
		{"%m/%{mech}/%{deleted}", "PLAIN/PLAIN/3"},
		{"%{userdb:shard}", "s7"},
		{"%{userdb:none}", ""},
		{"%{userdb:none:x}", "x"},
		{"%{if;a\\;b;eq;a\\;b;Y;N}", "Y"},
		{"/var/mail/%d/%n/", "/var/mail/sub.example.com/alice/"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		claim_expands("alice@sub.example.com", t[i].text, t[i].want);
	claim_expands("Bob@EX.org", "%Lu", "bob@ex.org");
	claim_expands("o'neil x ", "%Eu", "o\\'neil x ");
	claim_expands("o'neil x ", "%Tu", "o'neil x");
	claim_expands("12@x", "%Xn", "c");
	claim_expands("255", "%Xu", "ff");
	claim_expands("255", "%d", "");
	setenv("DUET_TEST_WORD", "w", 1);
	claim_expands("a", "%{env:DUET_TEST_WORD}", "w");
}

static void unknown_variables_and_bad_grammar_are_errors(void)
{
	static const struct {
		const char *text, *part;
	} t[] = {
		{"%q", "Unknown variable '%q'"},
		{"%{foo}", "Unknown variable '%{foo}'"},
		{"%{foo:bar}", "Unknown variable '%{foo:bar}'"},
		{"%{user", "missing '}'"},
		{"a%", "'%' at the end"},
		{"%{if;%d;==;;Y;N}", "(lhs) is not a number"},
		{"%{if;1;==;x;Y;N}", "(rhs) is not a number"},
		{"%{if;a;like;x;Y;N}", "Unsupported comparator 'like'"},
		{"%{if;a;eq}", "needs value;comparator"},
		{"%{if;a;~;(;Y;N}", "not a regular expression"},
	};
	struct conf_vars v = vars_of("alice@x");

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct err e = ERR_NONE;
		struct buf b;

		buf_init(&b, CONF_VARS_MAX);
		CU_CLAIM(conf_expand(t[i].text, &v, 0, &b, &e) < 0,
			 "%s expands", t[i].text);
		CU_CLAIM(strstr(e.op, t[i].part) != NULL, "%s: %s", t[i].text,
			 e.op);
		buf_fini(&b);
	}
}

static void depth_and_length_are_limited(void)
{
	struct conf_vars v = vars_of("alice@x");
	struct err e = ERR_NONE;
	struct buf b, text;

	buf_init(&text, 1 << 20);
	buf_init(&b, CONF_VARS_MAX);
	for (unsigned i = 0; i < CONF_VARS_DEPTH + 2; i++)
		buf_str(&text, "%{if;a;eq;a;");
	buf_str(&text, "x");
	for (unsigned i = 0; i < CONF_VARS_DEPTH + 2; i++)
		buf_str(&text, ";y}");
	buf_char(&text, 0);
	CU_ASSERT(conf_expand((const char *)text.p, &v, 0, &b, &e) < 0);
	CU_CLAIM(strstr(e.op, "too deeply") != NULL, "%s", e.op);
	buf_reset(&text);
	for (unsigned i = 0; i < 20; i++)
		buf_str(&text, "%099999n");
	buf_char(&text, 0);
	buf_reset(&b);
	CU_EQ_INT(conf_expand((const char *)text.p, &v, 0, &b, &e), E_LIMIT);
	buf_fini(&b);
	buf_fini(&text);
}

static void paths_hold_no_unsafe_value(void)
{
	static const char *const bad[] = {"",	  ".",	 "..", ".hidden",
					  "a/b",  "/",	 "../x"};
	static const char *const good[] = {"a", "a.b", "a..b", "-", "~", "ä"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CU_CLAIM(!conf_vars_path_safe(slice_str(bad[i])), "'%s'",
			 bad[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CU_CLAIM(conf_vars_path_safe(slice_str(good[i])), "'%s'",
			 good[i]);
	CU_ASSERT(!conf_vars_path_safe(slice_of("a\0b", 3)));
}

static void claim_path(const char *user, const char *home, const char *text,
		       const char *want)
{
	struct conf_vars v = {.user = user, .home = home, .uid = 1};
	struct arena *a = arena_new(256);
	struct err e = ERR_NONE;
	char *out = NULL;
	int r = conf_expand_path(text, &v, a, &out, &e);

	CU_CLAIM((r == 0) == (want != NULL), "%s for %s: %s%s", text, user,
		 e.op, out ? out : "");
	if (r == 0)
		CU_EQ_STR(out, want);
	arena_free(a);
}

static void paths_are_absolute_tidy_and_inside(void)
{
	claim_path("a@x", "/h", "/var/mail/%n/", "/var/mail/a");
	claim_path("a@x", "/h", "/var//mail/%d//%n", "/var/mail/x/a");
	claim_path("a", "/h", "/var/mail/%d/%n", "/var/mail/a");
	claim_path("a", "/h/x/", "~/mail", "/h/x/mail");
	claim_path("a", "/h", "%h/mail", "/h/mail");
	claim_path("a", "/h", "~", "/h");
	claim_path("a", NULL, "~/mail", NULL);
	claim_path("a", NULL, "%h/mail", NULL);
	claim_path("a", "", "%h/mail", NULL);
	claim_path("a", "/h", "mail/%n", NULL);
	claim_path("..", "/h", "/var/mail/%n", NULL);
	claim_path("../../etc", "/h", "/var/mail/%n", NULL);
	claim_path(".a", "/h", "/var/mail/%n", NULL);
	claim_path("a/b", "/h", "/var/mail/%n", NULL);
	claim_path("@x", "/h", "/var/mail/%n", NULL);
	claim_path("a@..", "/h", "/var/mail/%d/%n", NULL);
	claim_path("a.b", "/h", "/var/mail/%1.1n/%n", NULL);
	claim_path("a", "/h", "/var/mail/%1.1n/%n", "/var/mail/a");
	claim_path("a", "/h", "/var/../mail/%n", NULL);
	claim_path("a", "/h/./x", "~/mail", NULL);
	claim_path("a@x", "/h", "/m/%{if;%d;eq;x;in;out}/%n", "/m/in/a");
	claim_path("../x", "/h", "/m/%{if;a;eq;a;%u;no}", NULL);
}

static void used_variables_are_found(void)
{
	CU_ASSERT(conf_vars_used("/var/%n", 'n', "username"));
	CU_ASSERT(conf_vars_used("/var/%{username}", 'n', "username"));
	CU_ASSERT(conf_vars_used("/var/%2.1Ln", 'n', "username"));
	CU_ASSERT(conf_vars_used("%{if;%h;eq;;a;b}", 'h', "home"));
	CU_ASSERT(!conf_vars_used("/var/%%n", 'n', "username"));
	CU_ASSERT(!conf_vars_used("/var/n", 'n', "username"));
}

static void mail_root_is_the_literal_part(void)
{
	static const struct {
		const char *path, *root;
	} t[] = {
		{"/var/mail/%n", "/var/mail"},
		{"/var/mail/x%n", "/var/mail"},
		{"/var/mail/%d/%n", "/var/mail"},
		{"/srv/a//%n", "/srv/a"},
		{"~/mail", ""},
		{"%h/mail", ""},
		{"/%n", ""},
	};
	struct arena *a = arena_new(256);

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		CU_EQ_STR(conf_mail_root(t[i].path, a), t[i].root);
	arena_free(a);
}

CU_TESTS(CU_CASE(expansion_is_that_of_2_3),
	 CU_CASE(unknown_variables_and_bad_grammar_are_errors),
	 CU_CASE(depth_and_length_are_limited),
	 CU_CASE(paths_hold_no_unsafe_value),
	 CU_CASE(paths_are_absolute_tidy_and_inside),
	 CU_CASE(used_variables_are_found),
	 CU_CASE(mail_root_is_the_literal_part))
