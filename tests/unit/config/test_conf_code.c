/* Bytes for the children, and what a reload changes. */

#include "tests/unit/config/conf_test.h"

static const char sample[] =
	CLEAN "base_dir = /var/run/duet\n"
	      "doveadm_password = geheim-link\n"
	      "doveadm_port = 12345\n"
	      "mail_plugins = notify replication\n"
	      "plugin {\n mail_replica = tcp:b\n}\n"
	      "passdb {\n driver = static\n args = password=geheim-auth\n}\n"
	      "namespace inbox {\n inbox = yes\n"
	      " mailbox \"a b\" {\n  auto = create\n }\n}\n"
	      "local 10.0.0.0/8 {\n remote 10.1.0.0/16 {\n"
	      "  protocol imap {\n   mail_max_userip_connections = 3\n  }\n }\n"
	      "}\n"
	      "protocol !lmtp {\n login_greeting = hello\n}\n";

static struct conf *through(const struct conf *c, unsigned secrets,
			    struct buf *bytes)
{
	struct conf *out = NULL;
	struct err e = ERR_NONE;

	CU_OK(conf_encode(c, secrets, bytes, &e), &e);
	CU_OK(conf_decode(buf_all(bytes), &out, &e), &e);
	return out;
}

static bool holds(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static void a_child_sees_the_same_values(void)
{
	struct conf *c = load_ok(sample), *d;
	struct arena *a = arena_new(1024);
	struct conf_ctx imap = {.protocol = "imap",
				.local_ip = "10.9.9.9",
				.remote_ip = "10.1.2.3"};
	struct conf_namespace *ns;
	struct conf_change *diff;
	struct conf_replica r;
	struct buf b;
	size_t n;

	CU_NEED(c != NULL);
	buf_init(&b, CONF_TOTAL_MAX);
	d = through(c, CONF_SECRET_ALL, &b);
	CU_NEED(d != NULL);
	CU_EQ_STR(conf_path(d), "t.conf");
	CU_EQ_STR(conf_base_dir(d), "/run/duet");
	CU_EQ_STR(conf_str(d, NULL, "doveadm_password"), "geheim-link");
	CU_EQ_U64(conf_u64(d, &imap, "mail_max_userip_connections"), 3);
	CU_EQ_STR(conf_str(d, &imap, "login_greeting"), "hello");
	CU_EQ_U64(conf_u64(d, NULL, "mail_max_userip_connections"), 10);
	conf_namespaces(d, NULL, a, &ns, &n);
	CU_EQ_INT(n, 1);
	CU_EQ_STR(ns[0].mailboxes[0].name, "a b");
	conf_replica(d, NULL, a, &r);
	CU_EQ_STR(r.host, "b");
	CU_EQ_INT(conf_diff(c, d, a, &diff), 0);
	buf_fini(&b);
	conf_unref(c);
	conf_unref(d);
	arena_free(a);
}

static void secrets_go_only_where_they_are_asked_for(void)
{
	char *dir = tree_new();
	AUTO_FREE char *key = tree_write(dir, "key", "geheim-key\n", 0600);
	AUTO_FREE char *cert = tree_write(dir, "cert", "offen\n", 0644);
	AUTO_FREE char *text =
		xprintf("%sssl_cert = <%s\nssl_key = <%s\n", sample, cert, key);
	struct conf *c = load_ok(text), *d;
	static const struct {
		unsigned secrets;
		bool link, tls, auth;
	} t[] = {
		{0, false, false, false},
		{CONF_SECRET_LINK, true, false, false},
		{CONF_SECRET_TLS, false, true, false},
		{CONF_SECRET_AUTH, false, false, true},
		{CONF_SECRET_ALL, true, true, true},
	};

	CU_NEED(c != NULL);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct buf b;

		buf_init(&b, CONF_TOTAL_MAX);
		d = through(c, t[i].secrets, &b);
		CU_EQ_INT(holds(&b, "geheim-link"), t[i].link);
		CU_EQ_INT(holds(&b, "geheim-key"), t[i].tls);
		CU_EQ_INT(holds(&b, "geheim-auth"), t[i].auth);
		CU_ASSERT(holds(&b, "offen"));
		CU_NEED(d != NULL);
		CU_EQ_STR(conf_str(d, NULL, "doveadm_password"),
			  t[i].link ? "geheim-link" : "");
		CU_EQ_TEXT(conf_content(d, NULL, "ssl_key", NULL),
			   t[i].tls ? "geheim-key\n" : "");
		conf_unref(d);
		buf_fini(&b);
	}
	conf_unref(c);
	tree_free(dir);
}

static void damaged_bytes_are_refused(void)
{
	struct conf *c = load_ok(sample), *d;
	struct err e = ERR_NONE;
	struct buf b;
	size_t good = 0;

	CU_NEED(c != NULL);
	buf_init(&b, CONF_TOTAL_MAX);
	CU_OK(conf_encode(c, CONF_SECRET_ALL, &b, &e), &e);
	for (size_t n = 0; n < b.n; n++) {
		d = NULL;
		CU_EQ_INT(conf_decode(slice_of(b.p, n), &d, &e), E_CORRUPT);
	}
	/* A flipped bit may make another text, but nothing worse. */
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 0x40;
		d = NULL;
		if (conf_decode(buf_all(&b), &d, &e) == 0)
			good++;
		conf_unref(d);
		b.p[i] ^= 0x40;
	}
	CU_CLAIM(good < b.n, "every damage was accepted");
	buf_char(&b, 0);
	CU_EQ_INT(conf_decode(buf_all(&b), &d, &e), E_CORRUPT);
	buf_fini(&b);
	conf_unref(c);
}

/* "name [filter] class" of each change, one a line. */
static char *diff_of(const char *from, const char *to)
{
	static const char *const class[] = {"now", "sessions", "restart"};
	struct conf *a = load_ok(from), *b = load_ok(to);
	struct arena *arena = arena_new(1024);
	struct conf_change *v;
	struct buf out;
	size_t n;
	char *s;

	buf_init(&out, 65536);
	n = conf_diff(a, b, arena, &v);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s [%s] %s\n", v[i].name, v[i].filter,
			   class[v[i].reload]);
	s = xstrndup(out.n ? (void *)out.p : "", out.n);
	buf_fini(&out);
	arena_free(arena);
	conf_unref(a);
	conf_unref(b);
	return s;
}

static void claim_diff(const char *from, const char *to, const char *want)
{
	AUTO_FREE char *s = diff_of(from, to);

	CU_EQ_STR(s, want);
}

static void changes_name_setting_filter_and_class(void)
{
	claim_diff("mail_debug = no\n", "mail_debug = yes\n",
		   "mail_debug [] sessions\n");
	claim_diff("", "base_dir = /x\n", "base_dir [] restart\n");
	claim_diff("base_dir = /x\n", "", "base_dir [] restart\n");
	claim_diff("pair_store_processes = 2\n", "pair_store_processes = 3\n",
		   "pair_store_processes [] restart\n");
	claim_diff("listen = *\nprotocols = imap\n",
		   "listen = ::\nprotocols = lmtp\n",
		   "listen [] now\nprotocols [] now\n");
	claim_diff("", "protocol imap {\n mail_debug = no\n}\n",
		   "mail_debug [protocol imap] sessions\n");
	claim_diff("", "plugin {\n x = 1\n}\n", "plugin/x [] sessions\n");
	claim_diff("plugin {\n x = 1\n}\n", "plugin {\n x = 2\n}\n",
		   "plugin/x [] sessions\n");
	claim_diff("", "service lmtp {\n inet_listener {\n  port = 24\n }\n}\n",
		   "service/lmtp/inet_listener/0/port [] now\n");
}

static void the_same_in_other_words_is_no_change(void)
{
	claim_diff("auth_failure_delay = 60 s\n", "auth_failure_delay = 1 min\n",
		   "");
	claim_diff("", "mail_debug = no\nprotocols = imap pop3 lmtp\n", "");
	claim_diff("service lmtp {\n}\n", "", "");
	claim_diff("# a\nlogin_greeting = x\n", "login_greeting = x # b\n", "");
}

static void new_content_of_a_file_is_a_change(void)
{
	char *dir = tree_new();
	AUTO_FREE char *f = tree_write(dir, "f", "one\n", 0600);
	AUTO_FREE char *text = xprintf("login_greeting = <%s\n", f);
	struct conf *a = load_ok(text), *b;
	struct arena *arena = arena_new(1024);
	struct conf_change *v;

	free(tree_write(dir, "f", "two\n", 0600));
	b = load_ok(text);
	CU_EQ_INT(conf_diff(a, b, arena, &v), 1);
	CU_EQ_STR(v[0].name, "login_greeting");
	conf_unref(a);
	conf_unref(b);
	arena_free(arena);
	tree_free(dir);
}

static void a_configuration_is_counted(void)
{
	struct conf *c = load_ok(CLEAN);

	CU_NEED(c != NULL);
	CU_ASSERT_PTR_EQUAL(conf_ref(c), c);
	conf_unref(c);
	CU_EQ_STR(conf_str(c, NULL, "ssl"), "no");
	conf_unref(c);
	conf_unref(NULL);
}

CU_TESTS(CU_CASE(a_child_sees_the_same_values),
	 CU_CASE(secrets_go_only_where_they_are_asked_for),
	 CU_CASE(damaged_bytes_are_refused),
	 CU_CASE(changes_name_setting_filter_and_class),
	 CU_CASE(the_same_in_other_words_is_no_change),
	 CU_CASE(new_content_of_a_file_is_a_change),
	 CU_CASE(a_configuration_is_counted))
