/* Listeners, namespaces, mailboxes, backends, locations, the partner. */

#include "node/base/clock.h"
#include "tests/unit/config/conf_test.h"

/* "imap-login imap 0.0.0.0:143" …, one a line, in order. */
static char *listeners_of(const char *text, struct err *e)
{
	struct conf *c = load_ok(text);
	struct arena *a = arena_new(1024);
	struct conf_listener *v;
	size_t n;
	struct buf b;
	char *s = NULL;

	buf_init(&b, 65536);
	if (c && conf_listeners(c, a, &v, &n, e) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (v[i].is_unix)
				buf_printf(&b, "%s %s 0%o\n", v[i].service,
					   v[i].path, (unsigned)v[i].mode);
			else
				buf_printf(&b, "%s %s %s %u%s\n", v[i].service,
					   *v[i].name ? v[i].name : "-",
					   v[i].address, v[i].port,
					   v[i].ssl ? " ssl" : "");
		}
		s = xstrndup(b.n ? (void *)b.p : "", b.n);
	}
	buf_fini(&b);
	arena_free(a);
	conf_unref(c);
	return s;
}

#define SOCKETS                                                       \
	"doveadm /run/duet/doveadm-server 0600\n"                     \
	"auth /run/duet/auth-client 0600\n"                           \
	"auth /run/duet/auth-master 0600\n"                           \
	"auth /run/duet/auth-userdb 0666\n"

static void claim_listeners(const char *text, const char *want)
{
	struct err e = ERR_NONE;
	AUTO_FREE char *s = listeners_of(text, &e);

	CU_CLAIM(s != NULL, "%s", e.op);
	if (s)
		CU_EQ_STR(s, want);
}

#define BASE "base_dir = /run/duet\nmail_location = sdbox:/x/%n\n"

static void default_listeners(void)
{
	claim_listeners(BASE, "imap-login imap 0.0.0.0 143\n"
			      "imap-login imap :: 143\n"
			      "imap-login imaps 0.0.0.0 993 ssl\n"
			      "imap-login imaps :: 993 ssl\n"
			      "pop3-login pop3 0.0.0.0 110\n"
			      "pop3-login pop3 :: 110\n"
			      "pop3-login pop3s 0.0.0.0 995 ssl\n"
			      "pop3-login pop3s :: 995 ssl\n"
			      "lmtp /run/duet/lmtp 0666\n" SOCKETS);
}

static void protocols_left_out_open_nothing(void)
{
	claim_listeners(BASE "protocols = lmtp\n",
			"lmtp /run/duet/lmtp 0666\n" SOCKETS);
	claim_listeners(BASE "protocols = none\n", SOCKETS);
	claim_listeners(BASE "protocols = pop3\nlisten = 127.0.0.1\n",
			"pop3-login pop3 127.0.0.1 110\n"
			"pop3-login pop3s 127.0.0.1 995 ssl\n" SOCKETS);
}

static void ssl_no_opens_no_tls_port(void)
{
	claim_listeners(BASE "ssl = no\nlisten = 127.0.0.1\n",
			"imap-login imap 127.0.0.1 143\n"
			"pop3-login pop3 127.0.0.1 110\n"
			"lmtp /run/duet/lmtp 0666\n" SOCKETS);
}

static void listeners_follow_their_settings(void)
{
	claim_listeners(
		BASE "listen = 127.0.0.1 [::1]\nprotocols = imap lmtp\n"
		     "service imap-login {\n"
		     " inet_listener imap {\n  port = 0\n }\n"
		     " inet_listener imaps {\n  address = 192.0.2.1\n }\n"
		     " inet_listener extra {\n  port = 10143\n }\n"
		     " inet_listener {\n  port = 10144\n }\n"
		     " inet_listener {\n  port = 10145\n  ssl = yes\n }\n}\n"
		     "service lmtp {\n unix_listener lmtp {\n  mode = 0\n }\n"
		     " inet_listener lmtp {\n  port = 24\n }\n}\n"
		     "service doveadm {\n inet_listener {\n  port = 12345\n }\n"
		     "}\n",
		"imap-login imaps 192.0.2.1 993 ssl\n"
		"imap-login extra 127.0.0.1 10143\n"
		"imap-login extra ::1 10143\n"
		"imap-login - 127.0.0.1 10144\n"
		"imap-login - ::1 10144\n"
		"imap-login - 127.0.0.1 10145 ssl\n"
		"imap-login - ::1 10145 ssl\n"
		"lmtp lmtp 127.0.0.1 24\n"
		"lmtp lmtp ::1 24\n"
		"doveadm - 127.0.0.1 12345\n"
		"doveadm - ::1 12345\n" SOCKETS);
}

static void replicator_status_has_a_socket_only_with_a_mode(void)
{
	claim_listeners(BASE "protocols = none\nservice replicator {\n"
			     " unix_listener replicator-doveadm {\n"
			     "  mode = 0600\n }\n}\n",
			"doveadm /run/duet/doveadm-server 0600\n"
			"replicator /run/duet/replicator-doveadm 0600\n"
			"auth /run/duet/auth-client 0600\n"
			"auth /run/duet/auth-master 0600\n"
			"auth /run/duet/auth-userdb 0666\n");
}

static void sockets_may_lie_anywhere(void)
{
	struct err e = ERR_NONE;
	AUTO_FREE char *s = listeners_of(
		BASE "protocols = none\nservice auth {\n"
		     " unix_listener /var/spool/postfix/private/auth {\n"
		     "  mode = 0660\n }\n}\n",
		&e);

	CU_NEED(s != NULL);
	CU_CLAIM(strstr(s, "auth /var/spool/postfix/private/auth 0660\n") !=
			 NULL,
		 "%s", s);
}

static void purposes_are_told_apart(void)
{
	struct conf *c = load_ok(BASE "service auth {\n"
				      " unix_listener x/foo-userdb {\n }\n"
				      " unix_listener foo {\n }\n}\n");
	struct arena *a = arena_new(1024);
	struct conf_listener *v;
	size_t n, seen = 0;
	struct err e = ERR_NONE;

	CU_NEED(c != NULL);
	CU_NEED(conf_listeners(c, a, &v, &n, &e) == 0);
	for (size_t i = 0; i < n; i++) {
		if (!v[i].is_unix) {
			CU_EQ_INT(v[i].purpose,
				  strcmp(v[i].service, "imap-login") == 0
					  ? CONF_FOR_IMAP : CONF_FOR_POP3);
			continue;
		}
		if (strstr(v[i].path, "-userdb") || strstr(v[i].path, "-mast"))
			CU_EQ_INT(v[i].purpose, CONF_FOR_AUTH_USERDB);
		if (strstr(v[i].path, "foo-userdb")) {
			CU_EQ_STR(v[i].path, "/run/duet/x/foo-userdb");
			seen++;
		}
		if (strcmp(v[i].path, "/run/duet/foo") == 0) {
			CU_EQ_INT(v[i].purpose, CONF_FOR_AUTH_CLIENT);
			CU_EQ_STR(v[i].file, "t.conf");
			seen++;
		}
	}
	CU_EQ_INT(seen, 2);
	arena_free(a);
	conf_unref(c);
}

static void two_listeners_on_one_port_are_an_error(void)
{
	struct err e = ERR_NONE;
	AUTO_FREE char *s = listeners_of(
		BASE "service doveadm {\n inet_listener {\n  port = 143\n }\n"
		     "}\n",
		&e);

	CU_ASSERT_PTR_NULL(s);
	CU_EQ_STR(e.op,
		  "Error in configuration file t.conf line 4: 0.0.0.0 port 143 "
		  "is a listener of service imap-login too");
}

static void an_unknown_owner_names_its_line(void)
{
	struct err e = ERR_NONE;
	AUTO_FREE char *s = listeners_of(
		BASE "service lmtp {\n unix_listener lmtp {\n"
		     "  user = nosuchuserhere\n }\n}\n",
		&e);

	if (geteuid() != 0) {
		/* Nobody but root can give a socket away. */
		CU_ASSERT_PTR_NOT_NULL(s);
		return;
	}
	CU_ASSERT_PTR_NULL(s);
	CU_EQ_STR(e.op, "Error in configuration file t.conf line 5: User "
			"doesn't exist: nosuchuserhere");
}

static void owners_are_names_or_numbers(void)
{
	uid_t uid;
	gid_t gid;
	struct err e = ERR_NONE;

	CU_OK(conf_uid("root", &uid, &gid, &e), &e);
	CU_EQ_INT(uid, 0);
	CU_EQ_INT(gid, 0);
	CU_OK(conf_uid("4711", &uid, NULL, &e), &e);
	CU_EQ_INT(uid, 4711);
	CU_OK(conf_uid("", &uid, NULL, &e), &e);
	CU_EQ_INT(uid, (uid_t)-1);
	CU_OK(conf_gid("0", &gid, &e), &e);
	CU_EQ_INT(gid, 0);
	CU_EQ_INT(conf_uid("nosuchuserhere", &uid, NULL, &e), E_NOTFOUND);
	CU_EQ_INT(conf_gid("nosuchgrouphere", &gid, &e), E_NOTFOUND);
}

static void base_dir_has_one_name(void)
{
	struct conf *c = load_ok("base_dir = /var/run/x/\n");

	CU_NEED(c != NULL);
	CU_EQ_STR(conf_base_dir(c), "/run/x");
	conf_unref(c);
}

static void mailboxes_are_in_order_and_merged(void)
{
	struct conf *c = load_ok(
		CLEAN "namespace inbox {\n inbox = yes\n"
		      " mailbox Drafts {\n  special_use = \\Drafts\n }\n"
		      " mailbox \"Important Emails\" {\n  auto = create\n }\n"
		      "}\n"
		      "namespace inbox {\n"
		      " mailbox Sent {\n  special_use = \\Sent\n"
		      "  auto = subscribe\n }\n"
		      " mailbox a/b {\n  auto = create\n }\n"
		      " mailbox 7 {\n  auto = create\n }\n"
		      " mailbox Drafts {\n  auto = subscribe\n"
		      "  comment = c\n }\n}\n");
	struct arena *a = arena_new(1024);
	struct conf_namespace *ns;
	size_t n;

	CU_NEED(c != NULL);
	conf_namespaces(c, NULL, a, &ns, &n);
	CU_EQ_INT(n, 1);
	CU_EQ_STR(ns[0].name, "inbox");
	CU_EQ_INT(ns[0].inbox, true);
	CU_EQ_INT(ns[0].separator, '/');
	CU_EQ_INT(ns[0].list, CONF_LIST_YES);
	CU_NEED(ns[0].n_mailboxes == 5);
	CU_EQ_STR(ns[0].mailboxes[0].name, "Drafts");
	CU_EQ_STR(ns[0].mailboxes[0].special_use, "\\Drafts");
	CU_EQ_INT(ns[0].mailboxes[0].autocreate, CONF_AUTO_SUBSCRIBE);
	CU_EQ_STR(ns[0].mailboxes[0].comment, "c");
	CU_EQ_STR(ns[0].mailboxes[1].name, "Important Emails");
	CU_EQ_INT(ns[0].mailboxes[1].autocreate, CONF_AUTO_CREATE);
	CU_EQ_STR(ns[0].mailboxes[2].name, "Sent");
	CU_EQ_STR(ns[0].mailboxes[3].name, "a/b");
	CU_EQ_STR(ns[0].mailboxes[4].name, "7");
	arena_free(a);
	conf_unref(c);
}

static void namespaces_have_defaults_and_may_be_disabled(void)
{
	struct conf *c = load_ok(CLEAN);
	struct arena *a = arena_new(1024);
	struct conf_namespace *ns;
	size_t n;

	CU_NEED(c != NULL);
	conf_namespaces(c, NULL, a, &ns, &n);
	CU_EQ_INT(n, 1);
	CU_EQ_INT(ns[0].inbox, true);
	CU_EQ_STR(ns[0].prefix, "");
	conf_unref(c);
	c = load_ok(CLEAN "namespace {\n inbox = yes\n prefix = INBOX.\n"
			  " separator = .\n}\nnamespace {\n prefix = b.\n"
			  " separator = .\n hidden = yes\n list = children\n"
			  " subscriptions = no\n order = 3\n}\n"
			  "namespace x {\n prefix = c.\n disabled = yes\n"
			  " separator = .\n}\n");
	CU_NEED(c != NULL);
	conf_namespaces(c, NULL, a, &ns, &n);
	CU_EQ_INT(n, 2);
	CU_EQ_STR(ns[0].name, "");
	CU_EQ_STR(ns[0].prefix, "INBOX.");
	CU_EQ_INT(ns[0].separator, '.');
	CU_EQ_INT(ns[1].hidden, true);
	CU_EQ_INT(ns[1].list, CONF_LIST_CHILDREN);
	CU_EQ_INT(ns[1].subscriptions, false);
	CU_EQ_U64(ns[1].order, 3);
	conf_unref(c);
	arena_free(a);
}

static void backends_are_in_order_with_their_place(void)
{
	struct conf *c = load_ok(
		CLEAN "passdb {\n driver = static\n args = password=x\n}\n"
		      "userdb {\n driver = static\n}\n"
		      "passdb {\n driver = passwd-file\n args = /x\n"
		      " override_fields = a=b\n}\n");
	struct arena *a = arena_new(1024);
	struct conf_db *db;
	size_t n;

	CU_NEED(c != NULL);
	conf_dbs(c, "passdb", a, &db, &n);
	CU_EQ_INT(n, 2);
	CU_EQ_STR(db[0].driver, "static");
	CU_EQ_STR(db[0].args, "password=x");
	CU_EQ_STR(db[0].where, "t.conf line 4");
	CU_EQ_STR(db[0].result_success, "return-ok");
	CU_EQ_STR(db[1].driver, "passwd-file");
	CU_EQ_STR(db[1].override_fields, "a=b");
	conf_dbs(c, "userdb", a, &db, &n);
	CU_EQ_INT(n, 1);
	CU_EQ_STR(db[0].driver, "static");
	arena_free(a);
	conf_unref(c);
}

static void locations_are_parsed(void)
{
	struct arena *a = arena_new(1024);
	struct conf_location loc;
	struct err e = ERR_NONE;

	CU_OK(conf_location_parse("sdbox:/var/mail/%n/", a, &loc, &e), &e);
	CU_EQ_STR(loc.format, "sdbox");
	CU_EQ_STR(loc.path, "/var/mail/%n");
	CU_OK(conf_location_parse("sdbox:/m/%{if;%d;eq;a:b;x;y}/%n", a, &loc,
				  &e),
	      &e);
	CU_EQ_STR(loc.path, "/m/%{if;%d;eq;a:b;x;y}/%n");
	CU_OK(conf_location_parse("", a, &loc, &e), &e);
	CU_EQ_STR(loc.format, "");
	CU_EQ_INT(conf_location_parse("sdbox:/m/%{x", a, &loc, &e), 0);
	arena_free(a);
}

static void the_partner_is_parsed(void)
{
	struct arena *a = arena_new(1024);
	struct conf_replica r;
	struct err e = ERR_NONE;
	struct conf *c;

	CU_OK(conf_replica_parse("tcp:b.example:12345", 0, a, &r, &e), &e);
	CU_EQ_STR(r.host, "b.example");
	CU_EQ_INT(r.port, 12345);
	CU_OK(conf_replica_parse("tcps:b.example", 4711, a, &r, &e), &e);
	CU_EQ_INT(r.port, 4711);
	CU_OK(conf_replica_parse("tcp:[2001:db8::1]:99", 0, a, &r, &e), &e);
	CU_EQ_STR(r.host, "2001:db8::1");
	CU_EQ_INT(r.port, 99);
	CU_OK(conf_replica_parse("tcp:[::1]", 98, a, &r, &e), &e);
	CU_EQ_INT(r.port, 98);
	CU_OK(conf_replica_parse("", 0, a, &r, &e), &e);
	CU_EQ_INT(r.set, false);
	CU_ASSERT(conf_replica_parse("tcp:[::1", 1, a, &r, &e) < 0);
	CU_ASSERT(conf_replica_parse("tcp:", 1, a, &r, &e) < 0);
	c = load_ok(CLEAN "doveadm_port = 77\ndoveadm_password = 12345678\n"
			  "mail_plugins = notify replication\n"
			  "plugin {\n mail_replica = tcp:b\n}\n");
	CU_NEED(c != NULL);
	conf_replica(c, NULL, a, &r);
	CU_EQ_INT(r.set, true);
	CU_EQ_INT(r.port, 77);
	conf_unref(c);
	arena_free(a);
}

static void the_old_name_of_the_ack_timeout_works(void)
{
	struct conf *c = load_ok(
		CLEAN "plugin {\n replication_sync_timeout = 2\n}\n");

	CU_NEED(c != NULL);
	CU_EQ_U64(conf_time(c, NULL, "pair_ack_timeout"), 2 * USEC_PER_SEC);
	conf_unref(c);
	c = load_ok(CLEAN "pair_ack_timeout = 7 s\n"
			  "plugin {\n replication_sync_timeout = 2\n}\n");
	CU_NEED(c != NULL);
	CU_EQ_U64(conf_time(c, NULL, "pair_ack_timeout"), 7 * USEC_PER_SEC);
	conf_unref(c);
	claim_refused("plugin {\n replication_sync_timeout = x\n}\n",
		      "line 2: replication_sync_timeout: Invalid time");
}

static void tls_names_are_listed(void)
{
	struct conf *c = load_ok(
		CLEAN "local_name \"a.example *.b.example\" {\n"
		      " ssl_cert = </dev/null\n ssl_key = </dev/null\n}\n"
		      "local 10.0.0.0/8 {\n ssl_cert = </dev/null\n}\n"
		      "local_name c.example {\n verbose_ssl = yes\n}\n");
	struct arena *a = arena_new(1024);
	struct conf_tls_name *v;
	const char *path;

	CU_NEED(c != NULL);
	CU_EQ_INT(conf_tls_names(c, a, &v), 3);
	CU_EQ_STR(v[0].pattern, "a.example");
	CU_EQ_STR(v[1].pattern, "*.b.example");
	CU_EQ_STR(v[2].pattern, "10.0.0.0");
	for (size_t i = 0; i < 3; i++) {
		conf_content(c, &v[i].ctx, "ssl_cert", &path);
		CU_EQ_STR(path, "/dev/null");
	}
	arena_free(a);
	conf_unref(c);
}

static void lists_and_networks_are_searched(void)
{
	struct conf *c = load_ok(
		CLEAN "login_trusted_networks = 10.0.0.0/8, ::1 192.0.2.1\n"
		      "auth_mechanisms = PLAIN login\n");

	CU_NEED(c != NULL);
	CU_ASSERT(conf_has_word(c, NULL, "auth_mechanisms", "plain"));
	CU_ASSERT(!conf_has_word(c, NULL, "auth_mechanisms", "plai"));
	CU_ASSERT(conf_in_networks(c, NULL, "login_trusted_networks",
				   "10.200.0.1"));
	CU_ASSERT(conf_in_networks(c, NULL, "login_trusted_networks", "::1"));
	CU_ASSERT(!conf_in_networks(c, NULL, "login_trusted_networks",
				    "192.0.2.2"));
	CU_ASSERT(!conf_in_networks(c, NULL, "login_trusted_networks", ""));
	CU_EQ_U64(conf_process_limit(c, "imap"), 1024);
	conf_unref(c);
}

CU_TESTS(CU_CASE(default_listeners), CU_CASE(protocols_left_out_open_nothing),
	 CU_CASE(ssl_no_opens_no_tls_port),
	 CU_CASE(listeners_follow_their_settings),
	 CU_CASE(replicator_status_has_a_socket_only_with_a_mode),
	 CU_CASE(sockets_may_lie_anywhere), CU_CASE(purposes_are_told_apart),
	 CU_CASE(two_listeners_on_one_port_are_an_error),
	 CU_CASE(an_unknown_owner_names_its_line),
	 CU_CASE(owners_are_names_or_numbers), CU_CASE(base_dir_has_one_name),
	 CU_CASE(mailboxes_are_in_order_and_merged),
	 CU_CASE(namespaces_have_defaults_and_may_be_disabled),
	 CU_CASE(backends_are_in_order_with_their_place),
	 CU_CASE(locations_are_parsed), CU_CASE(the_partner_is_parsed),
	 CU_CASE(the_old_name_of_the_ack_timeout_works),
	 CU_CASE(tls_names_are_listed),
	 CU_CASE(lists_and_networks_are_searched))
