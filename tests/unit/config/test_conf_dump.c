/* duetconf's output: form, round trip, and beside doveconf where it is. */

#include "node/config/conf_dump.h"
#include "tests/unit/config/conf_test.h"

#include <sys/wait.h>

static char *dump(const struct conf *c, const struct conf_dump *o)
{
	struct buf b;
	char *s;

	buf_init(&b, 8u << 20);
	conf_dump(c, o, &b);
	s = xstrndup(b.n ? (void *)b.p : "", b.n);
	buf_fini(&b);
	return s;
}

static char *dump_text(const char *text, const struct conf_dump *o)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags(text, CONF_NO_TREATMENT, &e);
	char *s;

	CU_CLAIM(c != NULL, "%s", e.op);
	if (!c)
		return xstrdup("");
	s = dump(c, o);
	conf_unref(c);
	return s;
}

static const char sample[] =
	"service lmtp {\n user = x\n inet_listener {\n  port = 25\n }\n"
	" inet_listener lmtp {\n  port = 24\n }\n"
	" unix_listener lmtp {\n  mode = 0660\n  user = \n }\n}\n"
	"mail_debug = yes\n"
	"doveadm_password = geheim\n"
	"auth_failure_delay = 60s\n"
	"login_greeting = \"a # b \"\n"
	"mail_plugins = $mail_plugins notify\n"
	"mail_max_userip_connections = 10\n"
	"namespace inbox {\n inbox = yes\n mailbox \"Sent M\" {\n"
	"  special_use = \\Sent\n }\n mailbox Sent {\n"
	"  special_use = \\Sent\n }\n}\n"
	"passdb {\n driver = static\n args = password=geheim user=x\n}\n"
	"plugin {\n b = 1\n a =\n}\n"
	"local 10.0.0.1/8 {\n protocol imap {\n  verbose_ssl = yes\n }\n}\n"
	"protocol imap {\n mail_debug = no\n}\n";

static void the_form_is_that_of_doveconf(void)
{
	struct conf_dump o = {.what = CONF_DUMP_SET};
	AUTO_FREE char *s = dump_text(sample, &o);

	CU_EQ_STR(s,
		  "auth_failure_delay = 1 mins\n"
		  "doveadm_password = # hidden, use -P to show it\n"
		  "login_greeting = \"a # b \"\n"
		  "mail_debug = yes\n"
		  "mail_plugins = \" notify\"\n"
		  "namespace inbox {\n"
		  "  inbox = yes\n"
		  "  location = \n"
		  "  mailbox Sent {\n"
		  "    special_use = \\Sent\n"
		  "  }\n"
		  "  mailbox \"Sent M\" {\n"
		  "    special_use = \\Sent\n"
		  "  }\n"
		  "  prefix = \n"
		  "}\n"
		  "passdb {\n"
		  "  args = password=#hidden_use-P_to_show# user=x\n"
		  "  driver = static\n"
		  "}\n"
		  "plugin {\n"
		  "  a = \n"
		  "  b = 1\n"
		  "}\n"
		  "service lmtp {\n"
		  "  inet_listener {\n"
		  "    port = 25\n"
		  "  }\n"
		  "  inet_listener lmtp {\n"
		  "    port = 24\n"
		  "  }\n"
		  "  unix_listener lmtp {\n"
		  "    mode = 0660\n"
		  "  }\n"
		  "  user = x\n"
		  "}\n"
		  "local 10.0.0.1/8 {\n"
		  "  protocol imap {\n"
		  "    verbose_ssl = yes\n"
		  "  }\n"
		  "}\n"
		  "protocol imap {\n"
		  "  mail_debug = no\n"
		  "}\n");
}

static void explicit_defaults_are_shown_on_request(void)
{
	struct conf_dump o = {.what = CONF_DUMP_EXPLICIT};
	AUTO_FREE char *s = dump_text(sample, &o);

	CU_ASSERT(strstr(s, "\nmail_max_userip_connections = 10\n") != NULL);
}

static void secrets_are_shown_on_request(void)
{
	struct conf_dump o = {.what = CONF_DUMP_SET, .passwords = true};
	AUTO_FREE char *s = dump_text(sample, &o);

	CU_ASSERT(strstr(s, "doveadm_password = geheim\n") != NULL);
	CU_ASSERT(strstr(s, "args = password=geheim user=x\n") != NULL);
}

/* Dump, load, dump: the same text, and a configuration without difference. */
static void claim_round_trip(const char *text, const char *what)
{
	struct conf_dump o = {.what = CONF_DUMP_SET, .passwords = true};
	struct err e = ERR_NONE;
	struct conf *a = load_flags(text, CONF_NO_TREATMENT, &e), *b;
	struct arena *arena = arena_new(1024);
	struct conf_change *v;
	AUTO_FREE char *one = NULL;
	AUTO_FREE char *two = NULL;
	size_t n;

	CU_CLAIM(a != NULL, "%s: %s", what, e.op);
	if (!a)
		return;
	one = dump(a, &o);
	b = load_flags(one, CONF_NO_TREATMENT, &e);
	CU_CLAIM(b != NULL, "%s: %s in\n%s", what, e.op, one);
	if (b) {
		two = dump(b, &o);
		CU_EQ_STR(two, one);
		n = conf_diff(a, b, arena, &v);
		CU_CLAIM(n == 0, "%s: %zu differ, first %s", what, n,
			 n ? v[0].name : "");
	}
	arena_free(arena);
	conf_unref(a);
	conf_unref(b);
}

static void output_is_a_configuration_of_the_same_meaning(void)
{
	static const char *const texts[] = {
		sample,
		"login_greeting = \"</etc/passwd\"\n",
		"login_greeting = \"$mail_plugins\"\n",
		"login_greeting = \"a $mail_plugins\"\n",
		"login_greeting = 'x # \"y\" \\\\ z'\n",
		"login_greeting = '\"quoted\"'\n",
		"login_greeting = it's\n",
		"login_greeting = \"al = $mail_plugins x # y\n",
		"login_greeting = it's # more\n",
		"login_greeting = \"ends with \\\\\\\\\"\n",
		"login_greeting = \" blanks \"\n",
		"login_greeting = $mail_plugins x\n",
		"local_name \"a b\" {\n ssl = no\n}\n",
		"namespace \"a b\" {\n mailbox c/d {\n  auto = create\n }\n}\n",
		"namespace {\n prefix = a/\n}\nnamespace {\n prefix = b/\n"
		" inbox = yes\n}\n",
		"namespace 7 {\n inbox = yes\n}\n",
		"passdb {\n driver = a\n}\npassdb x {\n driver = b\n}\n",
		"service \"x y\" {\n foo = bar\n}\n",
		"doveadm_password = </dev/null\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		claim_round_trip(texts[i], texts[i]);
}

static void a_split_tree_equals_its_output_in_one_file(void)
{
	char *dir = tree_new();
	AUTO_FREE char *main = tree_write(dir, "duet.conf",
					  "!include conf.d/*.conf\n"
					  "mail_plugins = $mail_plugins acl\n",
					  0644);
	AUTO_FREE char *x = tree_write(dir, "conf.d/10.conf",
				       "mail_plugins = notify\n"
				       "protocol imap {\n"
				       " mail_plugins = $mail_plugins quota\n"
				       "}\n"
				       "namespace inbox {\n inbox = yes\n}\n",
				       0644);
	AUTO_FREE char *y = tree_write(
		dir, "conf.d/15.conf",
		"namespace inbox {\n mailbox a {\n  auto = create\n }\n}\n",
		0644);
	struct conf_dump o = {.what = CONF_DUMP_SET, .passwords = true};
	struct conf_opts opts = {.flags = CONF_NO_TREATMENT};
	struct conf *a = NULL, *b = NULL;
	struct err e = ERR_NONE;
	AUTO_FREE char *one = NULL;
	AUTO_FREE char *two = NULL;
	AUTO_FREE char *single = NULL;

	CU_OK(conf_load(main, &opts, &a, &e), &e);
	CU_NEED(a != NULL);
	one = dump(a, &o);
	single = tree_write(dir, "single.conf", one, 0644);
	CU_OK(conf_load(single, &opts, &b, &e), &e);
	CU_NEED(b != NULL);
	two = dump(b, &o);
	CU_EQ_STR(two, one);
	conf_unref(a);
	conf_unref(b);
	tree_free(dir);
}

static void claim_name(const char *text, const struct conf_dump *o,
		       const char *name, const char *want)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags(text, CONF_NO_TREATMENT, &e);
	struct buf b;
	int r;

	CU_NEED(c != NULL);
	buf_init(&b, 1 << 20);
	r = conf_dump_name(c, o, name, &b, &e);
	CU_CLAIM((r == 0) == (want != NULL), "%s: %s", name, e.op);
	if (want)
		CU_EQ_TEXT(buf_all(&b), want);
	buf_fini(&b);
	conf_unref(c);
}

static void single_names_and_paths_can_be_asked_for(void)
{
	struct conf_dump o = {.what = CONF_DUMP_ALL};
	struct conf_dump h = {.what = CONF_DUMP_ALL, .values_only = true};
	struct conf_ctx imap = {.protocol = "imap"};
	struct conf_dump f = {.what = CONF_DUMP_ALL, .ctx = &imap};

	claim_name(sample, &o, "mail_debug", "mail_debug = yes\n");
	claim_name(sample, &f, "mail_debug", "mail_debug = no\n");
	claim_name(sample, &h, "mail_debug", "yes\n");
	claim_name(sample, &h, "login_greeting", "a # b \n");
	claim_name(sample, &o, "ssl", "ssl = yes\n");
	claim_name(sample, &o, "plugin/b", "plugin/b = 1\n");
	claim_name(sample, &o, "plugin", "plugin {\n  a = \n  b = 1\n}\n");
	claim_name(sample, &o, "service/imap/executable",
		   "service/imap/executable = imap\n");
	claim_name(sample, &o, "namespace/inbox/mailbox/Sent M/special_use",
		   "namespace/inbox/mailbox/Sent M/special_use = \\Sent\n");
	claim_name(sample, &o, "service/imap-login/inet_listener/imap",
		   "service imap-login {\n"
		   "  inet_listener imap {\n"
		   "    address = \n"
		   "    haproxy = no\n"
		   "    port = 143\n"
		   "    reuse_port = no\n"
		   "    ssl = no\n"
		   "  }\n"
		   "}\n");
	claim_name(sample, &o, "dict", "");
	claim_name(sample, &o, "mail_debugg", NULL);
	claim_name("mail_location = sdbox:/var/mail/%n/\n", &h,
		   "mail_location", "sdbox:/var/mail/%n/\n");
}

static void modules_and_machine_form(void)
{
	struct conf_dump o = {.what = CONF_DUMP_SET, .module = "auth"};
	struct conf_dump m = {.what = CONF_DUMP_SET, .machine = true};
	AUTO_FREE char *s = dump_text("auth_failure_delay = 1s\n"
				      "mail_debug = yes\n",
				      &o);
	AUTO_FREE char *t = dump_text("service lmtp {\n user = x\n}\n", &m);

	CU_EQ_STR(s, "auth_failure_delay = 1 secs\n");
	CU_EQ_STR(t, "service/lmtp/user=x\n");
}

/* ---- beside doveconf --------------------------------------------------- */

/* Its output without the lines that begin with '#'; NULL if it fails. */
static char *doveconf(const char *path, const char *option)
{
	AUTO_FREE char *cmd = NULL;
	int fds[2];
	pid_t pid;
	struct buf b;
	uint8_t *room;
	ssize_t n;
	int status;
	char *s, *to;

	if (pipe(fds) < 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(fds[1], 1);
		dup2(null, 2);
		close(fds[0]);
		execlp("doveconf", "doveconf", "-c", path, option,
		       (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	buf_init(&b, 8u << 20);
	while ((room = buf_room(&b, 4096)) &&
	       (n = read(fds[0], room, 4096)) > 0)
		buf_commit(&b, (size_t)n);
	close(fds[0]);
	if (waitpid(pid, &status, 0) < 0 || status != 0) {
		buf_fini(&b);
		return NULL;
	}
	s = to = xmalloc(b.n + 1);
	for (size_t i = 0; i < b.n;) {
		const char *p = (const char *)b.p + i;
		const char *nl = memchr(p, '\n', b.n - i);
		size_t len = nl ? (size_t)(nl - p) + 1 : b.n - i;

		if (*p != '#') {
			memcpy(to, p, len);
			to += len;
		}
		i += len;
	}
	*to = '\0';
	buf_fini(&b);
	return s;
}

static bool have_doveconf(void)
{
	AUTO_FREE char *s = doveconf("/dev/null", "-d");

	return s && strstr(s, "auth_mechanisms = plain\n");
}

static void shared_inputs_print_as_doveconf_prints_them(void)
{
	static const char *const texts[] = {
		"mail_debug = Y\nauth_failure_delay = 60s\n"
		"mdbox_rotate_size = 1024\nfirst_valid_uid = 005\n",
		"login_greeting = \"a # b  \"\nlogin_log_format = a b # c\n",
		"login_greeting = a \"b # c\" d\n",
		"login_greeting = it's # b\n",
		"mail_plugins = a\nmail_plugins = $mail_plugins b\n"
		"protocol imap {\n mail_plugins = $mail_plugins c\n}\n",
		"login_greeting = x $mail_debug\n",
		"login_greeting = a\nlogin_greeting = $login_greeting "
		"$mail_debug\n",
		"plugin {\n quota = a\n}\nplugin {\n quota = b\n c = "
		"</etc/hostname\n}\n",
		"passdb {\n driver = a\n args = password=x\n}\nuserdb {\n"
		" driver=b\n}\npassdb x {\n driver = c\n}\n",
		"namespace inbox {\n inbox = yes\n mailbox \"Important "
		"Emails\" {\n auto = create\n}\n}\nnamespace inbox {\n prefix "
		"= INBOX/\n}\n",
		"namespace {\n prefix = a/\n inbox = yes\n}\n"
		"namespace {\n prefix = b/\n}\n",
		"service lmtp {\n inet_listener lmtp {\n port = 24\n}\n"
		" inet_listener {\n port = 25\n}\n inet_listener {\n"
		" port = 26\n}\n}\n",
		"service auth {\n unix_listener /var/spool/postfix/private/auth"
		" {\n mode = 0660\n user = postfix\n group = postfix\n}\n}\n",
		"local 10.0.0.1 {\n protocol imap {\n mail_debug = yes\n}\n"
		" verbose_ssl = yes\n}\n",
		"doveadm_password = foo\nssl_key = </etc/passwd\n",
		"dict {\n quota = mysql:/etc/x\n}\n",
		"service/lmtp/user = x\nplugin/foo = x\n",
	};
	char *dir;

	if (!have_doveconf()) {
		fprintf(stderr, "SKIPPED: doveconf 2.3 is not installed, "
				"nothing was compared with it\n");
		return;
	}
	dir = tree_new();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_FREE char *path =
			tree_write(dir, "x.conf", texts[i], 0644);
		AUTO_FREE char *theirs = doveconf(path, "-n");
		struct conf_dump o = {.what = CONF_DUMP_SET};
		AUTO_FREE char *ours = dump_text(texts[i], &o);

		CU_CLAIM(theirs != NULL, "doveconf fails with %s", texts[i]);
		if (theirs)
			CU_EQ_STR(ours, theirs);
	}
	tree_free(dir);
}

/* Each line of `doveconf -d` is one of ours, but for names and paths that are
 * Duet's own. */
static void defaults_are_those_of_doveconf(void)
{
	static const char *const own[] = {
		"base_dir = ", "state_dir = ", "instance_name = ",
		"default_internal_user = ", "default_internal_group = ",
		"default_login_user = ", "libexec_dir = ", "login_greeting = ",
		"login_plugin_dir = ", "mail_plugin_dir = ", "protocols = ",
		"managesieve_implementation_string = "};
	struct conf_dump o = {.what = CONF_DUMP_DEFAULTS};
	AUTO_FREE char *ours = dump_text("", &o);
	AUTO_FREE char *theirs = NULL;
	size_t n = 0;

	if (!have_doveconf()) {
		fprintf(stderr, "SKIPPED: doveconf 2.3 is not installed, "
				"defaults were not compared\n");
		return;
	}
	theirs = doveconf("/dev/null", "-d");
	CU_NEED(theirs != NULL);
	for (char *p = strtok(theirs, "\n"); p; p = strtok(NULL, "\n")) {
		AUTO_FREE char *line = xprintf("%s\n", p);
		bool mine = false;

		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			mine |= strncmp(p, own[i], strlen(own[i])) == 0;
		CU_CLAIM(mine || strstr(ours, line) != NULL,
			 "not ours: %s", p);
		n++;
	}
	CU_CLAIM(n > 800, "only %zu lines", n);
}

static void the_document_is_up_to_date(void)
{
	AUTO_FREE char *path = xprintf("%s/docs/settings.md", source_dir());
	AUTO_FREE char *text = read_all(path);
	struct buf b;

	if (strcmp(DUET_RUNSTATEDIR, "/run") != 0 ||
	    strcmp(DUET_LOCALSTATEDIR, "/var") != 0)
		return;		/* other defaults than the document's */
	CU_NEED(text != NULL);
	buf_init(&b, 8u << 20);
	conf_doc(&b);
	CU_CLAIM(slice_is(buf_all(&b), text),
		 "docs/settings.md differs: run tools/gen-settings");
	buf_fini(&b);
}

CU_TESTS(CU_CASE(the_form_is_that_of_doveconf),
	 CU_CASE(explicit_defaults_are_shown_on_request),
	 CU_CASE(secrets_are_shown_on_request),
	 CU_CASE(output_is_a_configuration_of_the_same_meaning),
	 CU_CASE(a_split_tree_equals_its_output_in_one_file),
	 CU_CASE(single_names_and_paths_can_be_asked_for),
	 CU_CASE(modules_and_machine_form),
	 CU_CASE(shared_inputs_print_as_doveconf_prints_them),
	 CU_CASE(defaults_are_those_of_doveconf),
	 CU_CASE(the_document_is_up_to_date))
