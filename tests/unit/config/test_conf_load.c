/* Grammar, includes, filters, variables, errors. */

#include "tests/unit/config/conf_test.h"
#include "node/base/map.h"
#include "node/config/conf_int.h"

#define AT "Error in configuration file t.conf line "

static const struct {
	const char *text, *error;
} errors[] = {
	{"service lmtp { unix_listener x {\n}\n}\n",
	 AT "1: Garbage after '{'"},
	{"premier_uid_valide = 1\n",
	 AT "1: Unknown setting: premier_uid_valide (did you mean "
	    "first_valid_uid?)"},
	{"protocoles = imap\n",
	 AT "1: Unknown setting: protocoles (did you mean protocols?)"},
	{"qqqq = 1\n", AT "1: Unknown setting: qqqq"},
	{"replication_sync_timeout = 2\n",
	 AT "1: Unknown setting: replication_sync_timeout (it belongs inside "
	    "of plugin {})"},
	{"passdb {\n drivers = x\n}\n",
	 AT "2: Unknown setting: passdb { drivers (did you mean driver?)"},
	{"foo {\n}\n", AT "1: Unknown setting: foo { foo"},
	{"service lmtp {\n",
	 "Error in configuration file t.conf: Missing '}' (section started at "
	 "t.conf:1)"},
	{"\n}\n", AT "2: Unexpected '}'"},
	{"mail_debug yes\n", AT "1: Expecting '{'"},
	{"mail_debug\n", AT "1: Expecting '{'"},
	{"service lmtp{\n}\n", AT "1: Expecting '{'"},
	{"service lmtp {\n} foo\n", AT "2: Expecting '{'"},
	{"namespace a b {\n}\n", AT "1: Expecting '{'"},
	{"= x\n", AT "1: Missing key name ('=' at the beginning of line)"},
	{"mail_debug = true\n",
	 AT "1: Invalid boolean value: true (use yes or no)"},
	{"auth_failure_delay = 5\n",
	 AT "1: Time interval '5' is missing units (add e.g. 's' for "
	    "seconds)"},
	{"service lmtp {\n unix_listener lmtp {\n  mode = 600\n }\n}\n",
	 AT "3: Invalid mode 600: without a leading 0 it is a decimal number "
	    "(did you mean 0600?)"},
	{"mail_plugins = $foo notify\n", AT "1: Unknown variable: $foo"},
	{"plugin {\n a = 1\n b = $a\n}\n", AT "3: Unknown variable: $a"},
	{"!include nothing-here.conf\n", AT "1: No matches"},
	{"!include nothing-*.conf\n", AT "1: No matches"},
	{"!includ x\n", AT "1: Expecting '{'"},
	{"protocol imap {\n protocol lmtp {\n }\n}\n",
	 AT "2: Nested protocol { protocol { .. } } block not allowed"},
	{"protocol imap {\n local 10.0.0.0/8 {\n }\n}\n",
	 AT "2: protocol { local { .. } } not allowed (use local { protocol { "
	    ".. } } instead)"},
	{"remote 1.2.3.4 {\n local 1.2.3.5 {\n }\n}\n",
	 AT "2: remote { local { .. } } not allowed (use local { remote { .. "
	    "} } instead)"},
	{"remote 10.0.0.0/33 {\n}\n", AT "1: Invalid network mask: 33"},
	{"local 1.2.3.5 {\n local 1.2.3.0/24 {\n }\n}\n",
	 AT "2: local net1 { local net2 { .. } } requires net2 to be inside "
	    "net1"},
	{"ssl_cert = </nonexistent\nssl_key = </nonexistent\n",
	 AT "1: ssl_cert: Can't open file /nonexistent: No such file or "
	    "directory"},
	{"plugin {\n a {\n }\n}\n", AT "2: Section not allowed here"},
	{"service {\n}\n", AT "1: Service is missing name"},
};

static void errors_have_file_line_and_text(void)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		claim_error(errors[i].text, errors[i].error);
}

static void claim_value(const char *text, const char *name, const char *want)
{
	struct conf *c = load_ok(text);

	if (c)
		CU_EQ_STR(conf_str(c, NULL, name), want);
	conf_unref(c);
}

static void values_are_cut_out_of_lines(void)
{
	static const struct {
		const char *line, *value;
	} t[] = {
		{"login_greeting=a\n", "a"},
		{"login_greeting = a b # c\n", "a b"},
		{"login_greeting = # c\n", ""},
		{"login_greeting = \"a # b  \"\n", "a # b  "},
		{"login_greeting = 'a \"b'\n", "a \"b"},
		{"login_greeting = \"a \\\"b\"\n", "a \"b"},
		{"login_greeting = \"a\" b\n", "\"a\" b"},
		{"login_greeting = \"a\n", "\"a"},
		{"login_greeting = it's # b\n", "it's # b"},
		{"login_greeting = a = b\n", "a = b"},
		{"login_greeting = a \\\n   b\n", "a b"},
		{"login_greeting = a\\\nb\n", "a b"},
		{"# c \\\nlogin_greeting = x\n", "x"},
		{"login_greeting = x\r\n", "x"},
		{"\t login_greeting\t=\tx", "x"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		claim_value(t[i].line, "login_greeting", t[i].value);
}

static void a_sign_without_blank_is_a_comment_and_a_warning(void)
{
	claim_value("login_greeting = a b#c\n", "login_greeting", "a b");
	claim_note("login_greeting = a b#c\n", CONF_WARNING,
		   "Ambiguous '#' character");
}

static void later_values_replace_earlier_ones(void)
{
	claim_value("login_greeting = a\nlogin_greeting = b\n",
		    "login_greeting", "b");
}

static void variables_hold_the_value_so_far(void)
{
	claim_value("protocols = $protocols sieve\n", "protocols",
		    "imap pop3 lmtp sieve");
	claim_value("mail_plugins = notify\n"
		    "mail_plugins = $mail_plugins replication\n",
		    "mail_plugins", "notify replication");
	claim_value("login_greeting = \"$mail_plugins x\"\n", "login_greeting",
		    "$mail_plugins x");
	claim_value("login_greeting = a$mail_plugins\n", "login_greeting",
		    "a$mail_plugins");
	claim_value("service imap {\n process_limit = $default_process_limit\n"
		    "}\n",
		    "service/imap/process_limit", "100");
	setenv("DUET_TEST_WORD", "w", 1);
	claim_value("login_greeting = a $ENV:DUET_TEST_WORD b\n",
		    "login_greeting", "a w b");
}

static void filters_inherit_what_stood_before_them(void)
{
	struct conf *c = load_ok(CLEAN "mail_plugins = notify\n"
				       "protocol imap {\n"
				       " mail_plugins = $mail_plugins "
				       "replication\n}\n"
				       "protocol imap {\n"
				       " mail_plugins = $mail_plugins acl\n}\n");
	struct conf_ctx imap = {.protocol = "imap"},
			lmtp = {.protocol = "lmtp"};

	CU_NEED(c != NULL);
	CU_EQ_STR(conf_str(c, &imap, "mail_plugins"),
		  "notify replication acl");
	CU_EQ_STR(conf_str(c, &lmtp, "mail_plugins"), "notify");
	CU_EQ_STR(conf_str(c, NULL, "mail_plugins"), "notify");
	conf_unref(c);
}

static void a_global_value_does_not_change_an_earlier_filter(void)
{
	static const char text[] = "protocol imap {\n"
				   " mail_plugins = notify\n"
				   "}\n"
				   "mail_plugins = replication\n";
	struct conf *c = load_ok(text);
	struct conf_ctx imap = {.protocol = "imap"};

	CU_NEED(c != NULL);
	CU_EQ_STR(conf_str(c, &imap, "mail_plugins"), "notify");
	conf_unref(c);
	claim_note(text, CONF_WARNING,
		   "Global setting mail_plugins won't change the setting "
		   "inside an earlier filter at t.conf line 2 (if this is "
		   "intentional, avoid this warning by moving the global "
		   "setting before t.conf line 2)");
}

static void filters_match_their_context(void)
{
	static const char text[] =
		"protocol !imap {\n mail_max_userip_connections = 2\n}\n"
		"remote 10.0.0.0/8 {\n login_greeting = net\n}\n"
		"remote 10.1.2.3 {\n login_greeting = host\n}\n"
		"local 192.0.2.1 {\n protocol lmtp {\n"
		"  recipient_delimiter = -\n }\n}\n"
		"local_name \"a.example *.b.example\" {\n"
		" login_greeting = name\n}\n";
	struct conf *c = load_ok(text);
	struct conf_ctx x = {.protocol = "imap"};

	CU_NEED(c != NULL);
	CU_EQ_U64(conf_u64(c, &x, "mail_max_userip_connections"), 10);
	CU_EQ_U64(conf_u64(c, NULL, "mail_max_userip_connections"), 10);
	x.protocol = "pop3";
	CU_EQ_U64(conf_u64(c, &x, "mail_max_userip_connections"), 2);
	x.remote_ip = "10.9.9.9";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "net");
	x.remote_ip = "10.1.2.3";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "host");
	x.remote_ip = "::ffff:10.9.9.9";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "net");
	x.remote_ip = "11.0.0.1";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "Duet ready.");
	x.local_name = "x.b.example";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "name");
	x.local_name = "y.x.b.example";
	CU_EQ_STR(conf_str(c, &x, "login_greeting"), "Duet ready.");
	x.local_ip = "192.0.2.1";
	CU_EQ_STR(conf_str(c, &x, "recipient_delimiter"), "+");
	x.protocol = "lmtp";
	CU_EQ_STR(conf_str(c, &x, "recipient_delimiter"), "-");
	conf_unref(c);
}

static void sections_of_one_name_merge(void)
{
	struct conf *c = load_ok("service lmtp {\n user = vmail\n}\n"
				 "service \"lmtp\" {\n group = mail\n"
				 " user = other\n}\n");

	CU_NEED(c != NULL);
	CU_EQ_STR(conf_str(c, NULL, "service/lmtp/user"), "other");
	CU_EQ_STR(conf_str(c, NULL, "service/lmtp/group"), "mail");
	conf_unref(c);
}

static void paths_at_the_top_mean_the_block(void)
{
	claim_value("service/lmtp/user = x\n", "service/lmtp/user", "x");
	claim_value("plugin/foo = x\n", "plugin/foo", "x");
}

static void includes_are_relative_sorted_and_maybe_absent(void)
{
	char *dir = tree_new();
	AUTO_FREE char *main = tree_write(dir, "duet.conf",
					  CLEAN "!include conf.d/*.conf\n"
						"!include_try local.conf\n",
					  0644);
	AUTO_FREE char *b = tree_write(dir, "conf.d/b.conf",
				       "login_greeting = b\n", 0644);
	AUTO_FREE char *a = tree_write(dir, "conf.d/a.conf",
				       "login_greeting = a\n"
				       "!include ../conf.d/sub.ext\n",
				       0644);
	AUTO_FREE char *sub = tree_write(dir, "conf.d/sub.ext",
					 "hostname = sub\n", 0644);
	struct err e = ERR_NONE;
	struct conf *c = tree_load(main, &e);
	const char *const *files;

	CU_CLAIM(c != NULL, "%s", e.op);
	if (c) {
		CU_EQ_STR(conf_str(c, NULL, "login_greeting"), "b");
		CU_EQ_STR(conf_str(c, NULL, "hostname"), "sub");
		CU_EQ_INT(conf_files(c, &files), 4);
		CU_EQ_STR(files[1], a);
	}
	conf_unref(c);
	tree_free(dir);
}

static void an_error_in_an_included_file_names_it(void)
{
	char *dir = tree_new();
	AUTO_FREE char *main = tree_write(dir, "duet.conf",
					  "!include conf.d/*.conf\n", 0644);
	AUTO_FREE char *mail = tree_write(
		dir, "conf.d/10-mail.conf",
		"\n\n\npremier_uid_valide = 1000\n", 0644);
	AUTO_FREE char *want = xprintf(
		"Error in configuration file %s line 4: Unknown setting: "
		"premier_uid_valide (did you mean first_valid_uid?)",
		mail);
	struct err e = ERR_NONE;

	CU_ASSERT_PTR_NULL(tree_load(main, &e));
	CU_EQ_STR(e.op, want);
	tree_free(dir);
}

static void a_brace_must_close_in_its_own_file(void)
{
	char *dir = tree_new();
	AUTO_FREE char *main = tree_write(
		dir, "duet.conf", "plugin {\n!include x.ext\n}\n", 0644);
	AUTO_FREE char *x = tree_write(dir, "x.ext", "}\n", 0644);
	struct err e = ERR_NONE;

	CU_ASSERT_PTR_NULL(tree_load(main, &e));
	CU_CLAIM(strstr(e.op, "x.ext line 1: Unexpected '}'") != NULL, "%s",
		 e.op);
	tree_free(dir);
}

static void a_file_that_includes_itself_is_an_error(void)
{
	char *dir = tree_new();
	AUTO_FREE char *main = tree_write(dir, "duet.conf",
					  "!include duet.conf\n", 0644);
	struct err e = ERR_NONE;

	CU_ASSERT_PTR_NULL(tree_load(main, &e));
	CU_CLAIM(strstr(e.op, "Recursive include file") != NULL, "%s", e.op);
	tree_free(dir);
}

static void a_missing_file_is_an_error(void)
{
	struct err e = ERR_NONE;

	CU_ASSERT_PTR_NULL(tree_load("/nonexistent/duet.conf", &e));
	CU_EQ_STR(e.op,
		  "open(/nonexistent/duet.conf) failed: No such file or "
		  "directory");
	CU_ASSERT_PTR_NULL(tree_load("/tmp", &e));
}

static void files_behind_a_sign_are_read_at_load(void)
{
	char *dir = tree_new();
	AUTO_FREE char *pw = tree_write(dir, "pw", "geheim\n", 0600);
	AUTO_FREE char *text = xprintf("%sdoveadm_password = <%s\n", CLEAN,
				       pw);
	AUTO_FREE char *quoted =
		xprintf("%sdoveadm_password = \"<%s\"\n", CLEAN, pw);
	struct conf *c = load_ok(text);
	struct err e = ERR_NONE;
	const char *path;

	CU_NEED(c != NULL);
	CU_EQ_STR(conf_str(c, NULL, "doveadm_password"), "geheim");
	CU_EQ_TEXT(conf_content(c, NULL, "doveadm_password", &path),
		   "geheim\n");
	CU_EQ_STR(path, pw);
	conf_unref(c);
	c = load_flags(text, CONF_NO_FILES, &e);
	CU_NEED(c != NULL);
	CU_CLAIM(conf_str(c, NULL, "doveadm_password")[0] == '<',
		 "the file was read");
	conf_unref(c);
	c = load_ok(quoted);
	CU_NEED(c != NULL);
	CU_CLAIM(conf_str(c, NULL, "doveadm_password")[0] == '<',
		 "a quoted value was read as a file");
	conf_unref(c);
	tree_free(dir);
}

static void a_secret_that_others_can_read_is_a_warning(void)
{
	char *dir = tree_new();
	AUTO_FREE char *pw = tree_write(dir, "pw", "geheim12\n", 0644);
	AUTO_FREE char *text = xprintf("%sdoveadm_password = <%s\n", CLEAN,
				       pw);

	claim_note(text, CONF_WARNING, "is readable by others (mode 0644)");
	tree_free(dir);
}

static void a_file_of_settings_with_a_secret_is_for_its_owner(void)
{
	char *dir = tree_new();
	AUTO_FREE char *path = tree_write(
		dir, "x.conf", CLEAN "doveadm_password = geheim12\n", 0644);
	struct err e = ERR_NONE;
	struct conf *c = tree_load(path, &e);

	CU_NEED(c != NULL);
	CU_ASSERT(has_note(c, CONF_WARNING, "x.conf holds a secret and is "
					    "readable by others (mode 0644)"));
	conf_unref(c);
	chmod(path, 0600);
	c = tree_load(path, &e);
	CU_NEED(c != NULL);
	CU_ASSERT(!has_note(c, CONF_WARNING, "holds a secret"));
	conf_unref(c);
	tree_free(dir);
}

static void paths_of_no_block_are_unknown(void)
{
	claim_error("passdb/0/driver = x\n",
		    AT "1: Unknown setting: passdb/0/driver");
	claim_refused("service/3/user = x\n", "Unknown setting");
	claim_refused("service/imap = x\n", "Unknown setting");
	claim_refused("plugin/ = x\n", "Unknown setting");
	claim_refused("nonsense/x = x\n", "Unknown setting");
}

static void limits_hold(void)
{
	struct buf b;

	buf_init(&b, 8u << 20);
	buf_str(&b, "login_greeting = ");
	buf_fill(&b, 'x', CONF_LINE_MAX);
	buf_str(&b, "\n");
	buf_char(&b, 0);
	claim_refused((const char *)b.p, "Line is too long");
	buf_reset(&b);
	for (unsigned i = 0; i < CONF_SECTION_DEPTH + 2; i++)
		buf_str(&b, "service x {\n foo {\n");
	buf_char(&b, 0);
	claim_refused((const char *)b.p, "Sections are nested too deeply");
	buf_reset(&b);
	for (unsigned i = 0; i <= CONF_ENTRIES_MAX; i++)
		buf_printf(&b, "plugin/a%u = 1\n", i);
	buf_char(&b, 0);
	claim_refused((const char *)b.p, "Too many settings");
	buf_fini(&b);
}

static void overrides_of_a_tool_win(void)
{
	struct conf_override over[] = {{"login_greeting", "o"},
				       {"plugin/quota", "x"}};
	struct conf_opts o = {.over = over, .n_over = 2};
	struct err e = ERR_NONE;
	struct conf *c = NULL;

	struct conf_ctx imap = {.protocol = "imap"};

	CU_OK(conf_load_text("t.conf",
			     slice_str("login_greeting = f\n"
				       "protocol imap {\n"
				       " login_greeting = g\n}\n"),
			     &o, &c, &e),
	      &e);
	CU_NEED(c != NULL);
	CU_EQ_STR(conf_str(c, NULL, "login_greeting"), "o");
	CU_EQ_STR(conf_str(c, &imap, "login_greeting"), "o");
	CU_EQ_STR(conf_plugin(c, NULL, "quota"), "x");
	conf_unref(c);
	over[0].name = "nonsense";
	CU_ASSERT(conf_load_text("t.conf", SLICE_NONE, &o, &c, &e) < 0);
}

static void fields_of_a_user_win_over_everything(void)
{
	struct conf *c = load_ok(CLEAN "protocol imap {\n"
				       " mail_debug = yes\n}\n");
	struct conf_override over[] = {{"mail_debug", "no"},
				       {"mail", "sdbox:/x/%n"},
				       {"quota_rule", "*:storage=1G"},
				       {"mail_max_userip_connections", "zz"}};
	struct conf_ctx x = {.protocol = "imap", .over = over, .n_over = 4};

	CU_NEED(c != NULL);
	CU_EQ_INT(conf_bool(c, &x, "mail_debug"), false);
	CU_EQ_STR(conf_str(c, &x, "mail_location"), "sdbox:/x/%n");
	CU_EQ_STR(conf_plugin(c, &x, "quota_rule"), "*:storage=1G");
	CU_EQ_U64(conf_u64(c, &x, "mail_max_userip_connections"), 10);
	CU_ASSERT(conf_check_value("mail_max_userip_connections", "zz", NULL) <
		  0);
	conf_unref(c);
}

static void a_row_is_found_the_same_by_map_and_by_search(void)
{
	struct conf *c = conf_new("t.conf");
	static const char *const free_names[] = {
		"plugin/whatever", "service/lmtp/user", "no_such_setting",
		"service/x/unix_listener/y/mode", "*", "",
	};
	size_t plain = 0;

	for (size_t i = 0; conf_row_at(i); i++) {
		const char *name = conf_row_at(i)->name;

		CU_CLAIM(conf_row_of(c, name) == conf_row_find(name), "%s",
			 name);
		plain += map_get(c->rows, slice_str(name)) != NULL;
	}
	CU_CLAIM(plain > 300, "only %zu rows are in the map", plain);
	for (size_t i = 0; i < ARRAY_LEN(free_names); i++)
		CU_CLAIM(conf_row_of(c, free_names[i]) ==
				 conf_row_find(free_names[i]), "%s",
			 free_names[i]);
	conf_unref(c);
}

CU_TESTS(CU_CASE(errors_have_file_line_and_text),
	 CU_CASE(values_are_cut_out_of_lines),
	 CU_CASE(a_sign_without_blank_is_a_comment_and_a_warning),
	 CU_CASE(later_values_replace_earlier_ones),
	 CU_CASE(variables_hold_the_value_so_far),
	 CU_CASE(filters_inherit_what_stood_before_them),
	 CU_CASE(a_global_value_does_not_change_an_earlier_filter),
	 CU_CASE(filters_match_their_context),
	 CU_CASE(sections_of_one_name_merge),
	 CU_CASE(paths_at_the_top_mean_the_block),
	 CU_CASE(includes_are_relative_sorted_and_maybe_absent),
	 CU_CASE(an_error_in_an_included_file_names_it),
	 CU_CASE(a_brace_must_close_in_its_own_file),
	 CU_CASE(a_file_that_includes_itself_is_an_error),
	 CU_CASE(a_missing_file_is_an_error),
	 CU_CASE(files_behind_a_sign_are_read_at_load),
	 CU_CASE(a_secret_that_others_can_read_is_a_warning),
	 CU_CASE(a_file_of_settings_with_a_secret_is_for_its_owner),
	 CU_CASE(paths_of_no_block_are_unknown), CU_CASE(limits_hold), CU_CASE(overrides_of_a_tool_win),
	 CU_CASE(a_row_is_found_the_same_by_map_and_by_search),
	 CU_CASE(fields_of_a_user_win_over_everything))
