/* Treatment: what is refused, noted, warned about. */

#include "tests/unit/config/conf_test.h"

#define NS "namespace inbox {\n inbox = yes\n"

static const struct {
	const char *text, *part;
} refusals[] = {
	/* where mail lies */
	{"mail_location = maildir:~/Maildir\n",
	 "line 1: mail_location: the format maildir is not in this build"},
	{"mail_location = mdbox:/x/%u\n", "the format mdbox"},
	{"mail_location = mbox:~/mail:INBOX=/var/mail/%u\n",
	 "the format mbox"},
	{"mail_location = virtual:/x\n", "the format virtual"},
	{"mail_location = imapc:/x\n", "the format imapc"},
	{"mail_location = sdbox:/x/%u:INDEX=/y/%u\n",
	 "the key INDEX is not in this build"},
	{"mail_location = sdbox:/x/%u:ALT=/y\n", "the key ALT"},
	{"mail_location = /x/%u\n", "expected sdbox:/PATH/"},
	{"mail_location = sdbox:\n", "the path is missing"},
	{"mail_location = sdbox:mail/%u\n", "is not absolute"},
	{"mail_location = sdbox:/x/%q\n", "Unknown variable '%q'"},
	{"mail_location = sdbox:/x/%{user\n", "missing '}'"},
	{"mail_attachment_dir = /x\n", "messages would be incomplete"},
	{"mail_attachment_fs = crypt:x:y\n", "encrypted attachments"},
	{"mail_chroot = /x\n", "mail_chroot = /x is refused"},
	{"valid_chroot_dirs = /x\n", "valid_chroot_dirs = /x is refused"},
	{"mail_nfs_storage = yes\n", "on a local disk"},
	{"mail_nfs_index = yes\n", "on a local disk"},
	{"mail_full_filesystem_access = yes\n", "is refused"},
	{"mail_uid = duet\n",
	 "the account that owns mail must not be default_internal_user"},
	{"mail_uid = duetnull\n", "must not be default_login_user"},
	{"mail_uid = root\n", "never owned by root"},
	/* who may read it */
	{"passdb {\n driver = pam\n}\n",
	 "line 2: passdb driver pam is not in this build"},
	{"userdb {\n driver = passwd\n}\n", "userdb driver passwd"},
	{"passdb {\n driver = ldap\n}\n", "passdb driver ldap"},
	{"userdb {\n driver = sql\n}\n", "userdb driver sql"},
	{"passdb {\n driver = lua\n}\n", "passdb driver lua is not in Duet"},
	{"passdb {\n driver = checkpassword\n}\n", "driver checkpassword"},
	{"passdb {\n driver = bsdauth\n}\n", "driver bsdauth"},
	{"passdb {\n driver = foo\n}\n", "Unknown passdb driver 'foo'"},
	{"passdb {\n args = x\n}\n", "passdb is missing driver"},
	{"passdb {\n driver = static\n deny = yes\n}\n",
	 "passdb { deny = yes is refused"},
	{"passdb {\n driver = static\n master = yes\n}\n",
	 "passdb { master = yes is refused"},
	{"passdb {\n driver = static\n pass = yes\n}\n", "pass = yes"},
	{"protocol imap {\n passdb {\n  driver = static\n }\n}\n",
	 "passdb inside of protocol imap {} is not in this build"},
	{"auth_mechanisms = plain cram-md5\n",
	 "cram-md5 is not in this build"},
	{"auth_mechanisms = plain DIGEST-MD5\n", "DIGEST-MD5 is not in Duet"},
	{"auth_mechanisms = foo\n", "Unknown mechanism: foo"},
	{"auth_ssl_require_client_cert = yes\n", "logins without one"},
	{"ssl_verify_client_cert = yes\n", "client certificates"},
	{"auth_default_realm = x\n", "mail would go to other accounts"},
	{"auth_username_translation = x\n", "mail would go to"},
	{"auth_policy_server_url = http://x\n", "no policy server"},
	{"auth_verbose_passwords = plain\n", "passwords are never logged"},
	{"login_access_sockets = tcpwrap\n", "nftables"},
	{"login_trusted_networks = foo\n", "Invalid network: foo"},
	{"login_trusted_networks = 10.0.0.0/99\n", "Invalid network"},
	{"service imap-login {\n inet_listener x {\n  haproxy = yes\n }\n}\n",
	 "PROXY header"},
	/* whether it is delivered */
	{"protocols = imap submission\n", "submission is not in Duet"},
	{"protocols = imap foo\n", "Unknown protocol: foo"},
	{"lmtp_proxy = yes\n", "lmtp_proxy = yes is refused"},
	{"director_servers = x\n", "needs no director"},
	/* what users see */
	{"mail_plugins = virtual\n", "virtual is not in this build"},
	{"mail_plugins = mail_crypt\n", "mail_crypt is not in this build"},
	{"mail_plugins = mailbox_alias\n", "mailbox_alias"},
	{"mail_plugins = trash\n", "trash"},
	{"mail_plugins = listescape\n", "listescape"},
	{"mail_plugins = foo\n", "Unknown plugin: foo"},
	{"protocol imap {\n mail_plugins = foo\n}\n", "line 2: mail_plugins"},
	{"plugin {\n mail_crypt_save_version = 2\n}\n",
	 "plugin { mail_crypt_save_version = 2 is refused"},
	{"plugin {\n mailbox_alias_old = a\n}\n", "aliases of mailboxes"},
	{"plugin {\n listescape_char = x\n}\n", "names that clients see"},
	{"plugin {\n quota = imapc:x\n}\n", "no such backend"},
	{NS " location = sdbox:/y\n}\n", "all namespaces lie in"},
	{NS " type = shared\n}\n", "only private namespaces"},
	{NS " separator = ab\n}\n", "only one character"},
	{NS " separator = %\n}\n", "only one character"},
	{NS " alias_for = x\n}\n", "shown twice"},
	{NS " mailbox a {\n  driver = mdbox\n }\n}\n", "one format"},
	{NS " mailbox a {\n  special_use = \\Foo\n }\n}\n",
	 "unknown special_use: \\Foo"},
	{"namespace a {\n prefix = a/\n}\n", "inbox=yes is missing"},
	{NS "}\nnamespace b {\n inbox = yes\n prefix = b/\n}\n",
	 "only one with inbox=yes"},
	{NS "}\nnamespace b {\n}\n", "the same prefix ''"},
	{NS "}\nnamespace b {\n prefix = b.\n separator = .\n}\n",
	 "the same separator"},
	{"pop3_uidl_format = %f\n", "download all mail again"},
	{"pop3_uidl_format = %m\n", "download all mail again"},
	{"pop3_uidl_format = %v\n", "all messages would have one UIDL"},
	{"pop3_uidl_format = %u %v\n", "may hold no blanks"},
	/* TLS */
	{"ssl_cert = /x.pem\nssl_key = </dev/null\n",
	 "ssl_cert: the value is not read from a file; write ssl_cert = "
	 "</x.pem"},
	{"ssl_cert = </dev/zero0\n", "Can't open file"},
	{"ssl_min_protocol = TLSv9\n", "Unknown protocol: TLSv9"},
	{"ssl_options = foo\n", "Unknown option: foo"},
	{"ssl_key_password = x\n", "ssl_key_password is refused"},
	{"imap_client_workarounds = foo\n", "Unknown option: foo"},
	{"pop3_client_workarounds = foo\n", "Unknown option: foo"},
	/* the pair */
	{"plugin {\n mail_replica = tcp:b:1\n}\n", "doveadm_password is empty"},
	{"doveadm_password = x\nplugin {\n mail_replica = tcp:b\n}\n",
	 "names no port, and doveadm_port is not set"},
	{"doveadm_password = x\nplugin {\n mail_replica = remote:b\n}\n",
	 "remote starts a program"},
	{"doveadm_password = x\nplugin {\n mail_replica = "
	 "remoteprefix:b\n}\n",
	 "remoteprefix starts a program"},
	{"doveadm_password = x\nplugin {\n mail_replica = tcp:b:1 tcp:c:1\n}\n",
	 "more than one partner"},
	{"doveadm_password = x\nplugin {\n mail_replica = b:1\n}\n",
	 "is not understood"},
	{"doveadm_password = x\nplugin {\n mail_replica = tcp:::1:1\n}\n",
	 "in brackets"},
	{"doveadm_password = x\nplugin {\n mail_replica = tcp:b:x\n}\n",
	 "Invalid port number x"},
	{"protocol imap {\n plugin {\n  mail_replica = tcp:b:1\n }\n}\n",
	 "one partner"},
	{"pair_partition = witness\n", "witness is not in this build"},
	{"pair_witness = x\n", "pair_witness = x is refused"},
	{"pair_fence_command = x\n", "without it"},
	{"auth_socket_path = director-userdb\n", "no director"},
	{"listen = no.such.host.invalid\n", "listen: "},
	{"base_dir = run\n", "not an absolute path"},
};

static void values_that_would_hide_or_lose_mail_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		claim_refused(refusals[i].text, refusals[i].part);
}

static void defaults_of_refused_settings_are_fine(void)
{
	struct conf *c = load_ok(CLEAN "mail_nfs_storage = no\n"
				       "lmtp_proxy = no\nmail_chroot =\n"
				       "director_servers =\n"
				       "pair_witness =\n");
	const struct conf_note *v;

	CU_NEED(c != NULL);
	CU_EQ_INT(conf_notes(c, &v), 0);
	conf_unref(c);
}

static void several_refusals_are_counted(void)
{
	claim_error("mail_nfs_index = yes\nlmtp_proxy = yes\n"
		    "mail_chroot = /x\n",
		    "Error in configuration file t.conf line 1: "
		    "mail_nfs_index = yes is refused: each of the two nodes "
		    "keeps its mail on a local disk (and 2 more: see duetconf "
		    "check)");
}

static const struct {
	const char *text;
	enum conf_severity severity;
	const char *part;
} notes[] = {
	{"protocols = imap sieve\n", CONF_NOTE, "sieve is not in this build"},
	{"", CONF_WARNING, "mail_location is not set"},
	{"", CONF_WARNING, "ssl_cert is not set"},
	{"mail_fsync = never\n", CONF_WARNING,
	 "mail_fsync = never has no effect: Duet always syncs"},
	{"mmap_disable = yes\n", CONF_NOTE, "mmap_disable = yes has no effect"},
	{"default_vsz_limit = 1G\n", CONF_NOTE, "default_vsz_limit = 1G"},
	{"mail_privileged_group = mail\n", CONF_NOTE, "mail_privileged_group"},
	{"auth_cache_size = 10M\n", CONF_NOTE,
	 "is not in force in this build (comes with accounts)"},
	{"imap_metadata = yes\n", CONF_NOTE, "comes with protocols"},
	{"service imap {\n vsz_limit = 1G\n}\n", CONF_NOTE,
	 "service imap { vsz_limit = 1G has no effect"},
	{"service lmtp {\n executable = lmtp -L\n}\n", CONF_NOTE,
	 "every role is duetd"},
	{"service imap {\n executable = imap postlogin\n}\n", CONF_WARNING,
	 "post-login script"},
	{"service lmtp {\n process_limit = 5\n}\n", CONF_NOTE,
	 "caps sessions of imap"},
	{"service dict {\n unix_listener dict {\n  mode = 0666\n }\n}\n",
	 CONF_NOTE, "service dict comes with protocols"},
	{"service auth {\n inet_listener {\n  port = 12345\n }\n}\n",
	 CONF_WARNING, "over TCP is not in this build"},
	{"service foo {\n}\n", CONF_NOTE, "service foo: not known to Duet"},
	{"service foo {\n executable = script /x\n}\n", CONF_NOTE,
	 "programs are not run"},
	{"service lmtp {\n nonsense = 1\n}\n", CONF_NOTE,
	 "service lmtp { nonsense: not known to Duet"},
	{"service lmtp {\n nonsense x {\n  a = 1\n  b {\n  }\n }\n}\n",
	 CONF_NOTE, "a block not known to Duet"},
	{"service stats {\n unix_listener stats-reader {\n  mode = 0666\n }\n"
	 "}\nservice anvil {\n chroot =\n}\n",
	 CONF_NOTE, "service anvil, stats: Duet has no need"},
	{"service lmtp {\n fifo_listener x {\n  mode = 0600\n }\n}\n",
	 CONF_NOTE, "fifo_listener x: Duet does not need it"},
	{"protocol imap {\n service lmtp {\n  user = x\n }\n}\n", CONF_NOTE,
	 "inside of a filter has no effect"},
	{"plugin {\n anything = goes\n}\n", CONF_NOTE,
	 "plugin { anything: not known to Duet"},
	{"plugin {\n sieve = file:~/sieve\n}\n", CONF_NOTE,
	 "comes with sieve"},
	{"plugin {\n fts = solr\n}\n", CONF_NOTE, "Duet's own index"},
	{"mail_plugins = quota\n", CONF_WARNING,
	 "quota is not in force in this build"},
	{"mail_plugins = old_stats\n", CONF_NOTE, "no counterpart"},
	{"ssl_min_protocol = TLSv1\n", CONF_WARNING,
	 "does not go below TLSv1.2"},
	{"replication_dsync_parameters = -d -n inbox\n", CONF_WARNING,
	 "-n would leave mail out"},
	{"replication_dsync_parameters = -d -N -l 60 -U\n", CONF_NOTE,
	 "has no effect"},
	{"doveadm_password = longenough\nplugin {\n mail_replica = tcp:b:1\n}\n",
	 CONF_WARNING, "replication is not in mail_plugins"},
	{"doveadm_password = x\nplugin {\n mail_replica = tcp:b:1\n}\n",
	 CONF_WARNING, "doveadm_password is short"},
	{"metric a {\n filter = event=x\n}\n", CONF_NOTE,
	 "metric a { filter"},
	{"dict {\n quota = mysql:/x\n}\n", CONF_NOTE, "dict { quota"},
	{"auth_verbose_passwords = sha1:6\n", CONF_NOTE,
	 "auth_verbose_passwords is not in force"},
};

static void what_is_ignored_gets_a_note(void)
{
	for (size_t i = 0; i < ARRAY_LEN(notes); i++)
		claim_note(notes[i].text, notes[i].severity, notes[i].part);
}

static void a_clean_configuration_has_no_note(void)
{
	struct conf *c = load_ok(
		CLEAN "protocol imap {\n}\nservice imap-login {\n"
		      " inet_listener imap {\n  port = 10143\n }\n}\n"
		      "service imap {\n process_limit = 10\n}\n"
		      "mail_plugins = notify replication\n"
		      "mmap_disable = no\ndefault_vsz_limit = 256 M\n");
	const struct conf_note *v;
	size_t n;

	CU_NEED(c != NULL);
	n = conf_notes(c, &v);
	CU_CLAIM(n == 0, "%zu notes, first: %s", n, n ? v[0].text : "");
	conf_unref(c);
}

static void secrets_are_not_in_messages(void)
{
	struct err e = ERR_NONE;

	CU_ASSERT_PTR_NULL(load_flags("ssl_key_password = geheim\n", 0, &e));
	CU_CLAIM(!strstr(e.op, "geheim"), "%s", e.op);
}

static void the_grammar_alone_can_be_asked_for(void)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags("mail_nfs_storage = yes\n"
				    "lmtp_proxy = yes\n",
				    CONF_NO_TREATMENT, &e);
	const struct conf_note *v;

	CU_NEED(c != NULL);
	CU_EQ_INT(conf_notes(c, &v), 0);
	CU_ASSERT(conf_check(c, &e) < 0);
	CU_ASSERT(has_note(c, CONF_REFUSED, "mail_nfs_storage"));
	CU_ASSERT(has_note(c, CONF_REFUSED, "lmtp_proxy"));
	conf_unref(c);
}

CU_TESTS(CU_CASE(values_that_would_hide_or_lose_mail_are_refused),
	 CU_CASE(defaults_of_refused_settings_are_fine),
	 CU_CASE(several_refusals_are_counted),
	 CU_CASE(what_is_ignored_gets_a_note),
	 CU_CASE(a_clean_configuration_has_no_note),
	 CU_CASE(secrets_are_not_in_messages),
	 CU_CASE(the_grammar_alone_can_be_asked_for))
