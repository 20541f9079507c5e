/* The guide's own files over the shipped tree; Debian's tree. */

#include "tests/unit/config/conf_test.h"

#include <dirent.h>

static char *root_new(void)
{
	char *root = tree_new();
	static const char *const dirs[] = {
		"/etc", "/etc/duet", "/etc/duet/conf.d", "/etc/duet/private",
		"/etc/pki", "/etc/pki/duet", "/etc/pki/duet/certs",
		"/etc/pki/duet/private", "/usr", "/usr/share",
		"/usr/share/duet", "/usr/share/duet/protocols.d"};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		AUTO_FREE char *d = xprintf("%s%s", root, dirs[i]);

		mkdir(d, 0755);
	}
	return root;
}

/* Every regular file of a directory, its text through `edit`. */
static size_t copy_dir(const char *from, const char *root, const char *to,
		       char *(*edit)(char *text))
{
	DIR *d = opendir(from);
	struct dirent *x;
	size_t n = 0;

	while (d && (x = readdir(d)) != NULL) {
		AUTO_FREE char *src = xprintf("%s/%s", from, x->d_name);
		AUTO_FREE char *dst = xprintf("%s/%s", to + 1, x->d_name);
		struct stat st;
		char *text;

		if (stat(src, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		text = read_all(src);
		if (text && edit)
			text = edit(text);
		if (text)
			free(tree_write(root, dst, text, 0644));
		free(text);
		n++;
	}
	if (d)
		closedir(d);
	return n;
}

static char *shipped(void)
{
	char *root = root_new();
	AUTO_FREE char *main = xprintf("%s/docs/example-config", source_dir());
	AUTO_FREE char *sub = xprintf("%s/conf.d", main);
	AUTO_FREE char *prot = xprintf("%s/protocols.d", main);

	CU_CLAIM(copy_dir(main, root, "/etc/duet", NULL) > 0, "no tree in %s",
		 main);
	copy_dir(sub, root, "/etc/duet/conf.d", NULL);
	copy_dir(prot, root, "/usr/share/duet/protocols.d", NULL);
	return root;
}

static void append(const char *root, const char *name, const char *text)
{
	AUTO_FREE char *path = xprintf("%s/etc/duet/%s", root, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	CU_CLAIM(fd >= 0 && write(fd, text, strlen(text)) ==
				     (ssize_t)strlen(text),
		 "cannot write %s", path);
	close(fd);
}

static struct conf *start(const char *root, struct err *e)
{
	struct conf_opts o = {.root = root};
	struct conf *c = NULL;

	return conf_load("/etc/duet/duet.conf", &o, &c, e) < 0 ? NULL : c;
}

static void the_shipped_tree_starts(void)
{
	char *root = shipped();
	struct err e = ERR_NONE;
	struct conf *c = start(root, &e);

	CU_CLAIM(c != NULL, "%s", e.op);
	if (c) {
		CU_EQ_U64(conf_u64(c, NULL, "first_valid_uid"), 1000);
		CU_EQ_STR(conf_str(c, NULL, "protocols"), "imap pop3 lmtp");
	}
	conf_unref(c);
	tree_free(root);
}

static void guide_tls(const char *root)
{
	free(tree_write(root, "etc/pki/duet/certs/server.example.com.crt",
			"-----BEGIN CERTIFICATE-----\n", 0644));
	free(tree_write(root, "etc/pki/duet/certs/ca.crt",
			"-----BEGIN CERTIFICATE-----\n", 0644));
	free(tree_write(root, "etc/pki/duet/private/server.example.com.key",
			"-----BEGIN PRIVATE KEY-----\n", 0600));
	free(tree_write(root, "etc/duet/dh.pem", "-----BEGIN DH\n", 0644));
	append(root, "conf.d/10-ssl.conf",
	       "ssl_cert = </etc/pki/duet/certs/server.example.com.crt\n"
	       "ssl_key = </etc/pki/duet/private/server.example.com.key\n"
	       "ssl_ca = </etc/pki/duet/certs/ca.crt\n"
	       "ssl_dh = </etc/duet/dh.pem\n");
}

static void guide_users(const char *root)
{
	append(root, "conf.d/10-mail.conf",
	       "mail_location = sdbox:/var/mail/%n/\n");
}

static void guide_protocols(const char *root)
{
	append(root, "duet.conf", "protocols = imap lmtp\n");
}

static void guide_pair(const char *root)
{
	AUTO_FREE char *file =
		xprintf("%s/etc/duet/conf.d/10-replication.conf", root);

	CU_EQ_INT(chmod(file, 0600), 0);
	append(root, "conf.d/10-replication.conf",
	       "mail_plugins = $mail_plugins notify replication\n"
	       "service replicator {\n"
	       "  process_min_avail = 1\n"
	       "  unix_listener replicator-doveadm {\n"
	       "    mode = 0600\n"
	       "    user = vmail\n"
	       "  }\n"
	       "}\n"
	       "service aggregator {\n"
	       "  fifo_listener replication-notify-fifo {\n"
	       "    user = vmail\n"
	       "  }\n"
	       "  unix_listener replication-notify {\n"
	       "    user = vmail\n"
	       "  }\n"
	       "}\n"
	       "service doveadm {\n"
	       "  inet_listener {\n"
	       "    port = 12345\n"
	       "  }\n"
	       "}\n"
	       "doveadm_password = replication_password\n"
	       "plugin {\n"
	       "  mail_replica = tcp:server2.example.com:12345\n"
	       "}\n"
	       "replication_max_conns = 20\n");
}

static void guide_mailboxes(const char *root)
{
	append(root, "conf.d/15-mailboxes.conf",
	       "namespace inbox {\n"
	       "  mailbox Drafts {\n"
	       "    special_use = \\Drafts\n"
	       "    auto = subscribe\n"
	       "  }\n"
	       "  mailbox Junk {\n"
	       "    special_use = \\Junk\n"
	       "    auto = subscribe\n"
	       "  }\n"
	       "  mailbox Trash {\n"
	       "    special_use = \\Trash\n"
	       "    auto = subscribe\n"
	       "  }\n"
	       "  mailbox Sent {\n"
	       "    special_use = \\Sent\n"
	       "    auto = subscribe\n"
	       "  }\n"
	       "  mailbox \"Important Emails\" {\n"
	       "    auto = create\n"
	       "  }\n"
	       "}\n");
}

static void guide_lmtp(const char *root)
{
	append(root, "conf.d/10-master.conf",
	       "service lmtp {\n"
	       "  unix_listener lmtp {\n"
	       "    mode = 0600\n"
	       "    user = postfix\n"
	       "    group = postfix\n"
	       "  }\n"
	       "  inet_listener lmtp {\n"
	       "    port = 24\n"
	       "  }\n"
	       "  inet_listener lmtps {\n"
	       "    port = 1024\n"
	       "    ssl = yes\n"
	       "  }\n"
	       "}\n"
	       "service auth {\n"
	       "  unix_listener /var/spool/postfix/private/auth {\n"
	       "    mode = 0660\n"
	       "    user = postfix\n"
	       "    group = postfix\n"
	       "  }\n"
	       "}\n");
}

static void check_guide_values(const struct conf *c)
{
	struct arena *a = arena_new(1024);
	struct conf_namespace *ns;
	struct conf_replica r;
	const char *path;
	size_t n;

	conf_replica(c, NULL, a, &r);
	CU_EQ_STR(r.host, "server2.example.com");
	CU_EQ_INT(r.port, 12345);
	CU_EQ_STR(conf_str(c, NULL, "doveadm_password"),
		  "replication_password");
	CU_EQ_U64(conf_u64(c, NULL, "replication_max_conns"), 20);
	CU_EQ_STR(conf_str(c, NULL, "mail_location"), "sdbox:/var/mail/%n/");
	CU_EQ_TEXT(conf_content(c, NULL, "ssl_key", &path),
		   "-----BEGIN PRIVATE KEY-----\n");
	CU_EQ_STR(path, "/etc/pki/duet/private/server.example.com.key");
	conf_namespaces(c, NULL, a, &ns, &n);
	CU_EQ_INT(n, 1);
	CU_EQ_INT(ns[0].n_mailboxes, 6);
	for (size_t i = 0; i < ns[0].n_mailboxes; i++) {
		const struct conf_mailbox *m = &ns[0].mailboxes[i];

		if (strcmp(m->name, "Sent") == 0)
			CU_EQ_INT(m->autocreate, CONF_AUTO_SUBSCRIBE);
		if (strcmp(m->name, "Sent Messages") == 0)
			CU_EQ_STR(m->special_use, "\\Sent");
		if (strcmp(m->name, "Important Emails") == 0)
			CU_EQ_INT(m->autocreate, CONF_AUTO_CREATE);
	}
	arena_free(a);
}

static void the_guides_files_start(void)
{
	static void (*const steps[])(const char *) = {
		guide_tls, guide_users, guide_protocols,
		guide_pair, guide_mailboxes, guide_lmtp};
	char *root = shipped();
	struct err e = ERR_NONE;
	struct conf *c = NULL;

	/* After each step: an administrator reloads each time. */
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		steps[i](root);
		conf_unref(c);
		c = start(root, &e);
		CU_CLAIM(c != NULL, "step %zu: %s", i, e.op);
		if (!c)
			break;
	}
	if (c) {
		const struct conf_note *v;
		size_t n = conf_notes(c, &v), warnings = 0;

		check_guide_values(c);
		for (size_t i = 0; i < n; i++)
			warnings += v[i].severity == CONF_WARNING;
		CU_CLAIM(warnings == 0, "%zu warnings, first note: %s",
			 warnings, v[0].text);
		CU_ASSERT(has_note(c, CONF_NOTE, "process_min_avail"));
		CU_ASSERT(has_note(c, CONF_NOTE, "service aggregator"));
	}
	conf_unref(c);
	tree_free(root);
}

static void a_missing_key_names_file_line_and_setting(void)
{
	char *root = shipped();
	struct err e = ERR_NONE;

	append(root, "local.conf",
	       "\nssl_cert = </etc/pki/duet/certs/none.crt\n");
	CU_ASSERT_PTR_NULL(start(root, &e));
	CU_EQ_STR(e.op, "Error in configuration file /etc/duet/local.conf line "
			"2: ssl_cert: Can't open file "
			"/etc/pki/duet/certs/none.crt: No such file or "
			"directory");
	tree_free(root);
}

/* ---- Debian's Dovecot files -------------------------------------------- */

static char *replace(char *text, const char *from, const char *to)
{
	struct buf b;
	char *out;

	buf_init(&b, 8u << 20);
	for (const char *p = text; *p;) {
		if (strncmp(p, from, strlen(from)) == 0) {
			buf_str(&b, to);
			p += strlen(from);
		} else {
			buf_char(&b, (uint8_t)*p++);
		}
	}
	out = xstrndup(b.n ? (void *)b.p : "", b.n);
	buf_fini(&b);
	free(text);
	return out;
}

/* Rule 1 of the guide: exactly six prefixes. */
static char *take_over(char *text)
{
	static const char *const prefixes[][2] = {
		{"/etc/dovecot", "/etc/duet"},
		{"/var/run/dovecot", "/var/run/duet"},
		{"/run/dovecot", "/run/duet"},
		{"/var/lib/dovecot", "/var/lib/duet"},
		{"/usr/lib/dovecot", "/usr/lib/duet"},
		{"/usr/share/dovecot", "/usr/share/duet"},
	};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		text = replace(text, prefixes[i][0], prefixes[i][1]);
	return text;
}

/* NULL if Dovecot's files are not here. */
static char *debian(void)
{
	char *root = root_new();

	if (copy_dir("/etc/dovecot/conf.d", root, "/etc/duet/conf.d",
		     take_over) < 10 ||
	    copy_dir("/etc/dovecot", root, "/etc/duet", take_over) == 0) {
		fprintf(stderr, "SKIPPED: Dovecot's files are not in "
				"/etc/dovecot, taking them over was not "
				"tried\n");
		tree_free(root);
		return NULL;
	}
	copy_dir("/usr/share/dovecot/protocols.d", root,
		 "/usr/share/duet/protocols.d", take_over);
	{
		AUTO_FREE char *a = xprintf("%s/etc/duet/dovecot.conf", root);
		AUTO_FREE char *b = xprintf("%s/etc/duet/duet.conf", root);

		rename(a, b);
	}
	/* Links that only Dovecot's packages make. */
	free(tree_write(root, "etc/duet/private/dovecot.pem", "-----BEGIN\n",
			0644));
	free(tree_write(root, "etc/duet/private/dovecot.key", "-----BEGIN\n",
			0600));
	free(tree_write(root, "usr/share/duet/dh.pem", "-----BEGIN\n", 0644));
	return root;
}

static void edit_file(const char *root, const char *name, const char *from,
		      const char *to)
{
	AUTO_FREE char *rel = xprintf("etc/duet/%s", name);
	AUTO_FREE char *path = xprintf("%s/%s", root, rel);
	char *text = read_all(path);

	CU_NEED(text != NULL);
	CU_CLAIM(strstr(text, from) != NULL, "no '%s' in %s", from, name);
	text = replace(text, from, to);
	free(tree_write(root, rel, text, 0644));
	free(text);
}

static void debians_tree_is_refused_at_three_lines(void)
{
	static const struct {
		const char *file, *text;
	} want[] = {
		{"conf.d/auth-system.conf.ext", "passdb driver pam is not"},
		{"conf.d/auth-system.conf.ext", "userdb driver passwd is not"},
		{"conf.d/10-mail.conf", "the format mbox is not"},
	};
	char *root = debian();
	struct conf_opts o = {.root = root, .flags = CONF_NO_TREATMENT};
	struct conf *c = NULL;
	const struct conf_note *v;
	struct err e = ERR_NONE;
	size_t n, k = 0;

	if (!root)
		return;
	CU_OK(conf_load("/etc/duet/duet.conf", &o, &c, &e), &e);
	if (c) {
		CU_ASSERT(conf_check(c, &e) < 0);
		n = conf_notes(c, &v);
		for (size_t i = 0; i < n; i++) {
			if (v[i].severity != CONF_REFUSED)
				continue;
			CU_CLAIM(k < ARRAY_LEN(want), "refused too: %s line "
				 "%u: %s", v[i].file, v[i].line, v[i].text);
			if (k < ARRAY_LEN(want)) {
				CU_CLAIM(strstr(v[i].file, want[k].file) &&
						 strstr(v[i].text,
							want[k].text),
					 "%s: %s", v[i].file, v[i].text);
				CU_CLAIM(v[i].line > 0, "no line");
			}
			k++;
		}
		CU_EQ_INT(k, ARRAY_LEN(want));
	}
	conf_unref(c);
	tree_free(root);
}

static void debians_tree_starts_with_sdbox_and_a_passwd_file(void)
{
	char *root = debian();
	struct err e = ERR_NONE;
	struct conf *c;

	if (!root)
		return;
	edit_file(root, "conf.d/10-mail.conf",
		  "\nmail_location = mbox:~/mail:INBOX=/var/mail/%u",
		  "\nmail_location = sdbox:/var/mail/%n/");
	edit_file(root, "conf.d/10-auth.conf",
		  "\n!include auth-system.conf.ext",
		  "\n!include auth-passwdfile.conf.ext");
	c = start(root, &e);
	CU_CLAIM(c != NULL, "%s", e.op);
	if (c)
		CU_ASSERT(conf_has_word(c, NULL, "protocols", "imap"));
	conf_unref(c);
	tree_free(root);
}

CU_TESTS(CU_CASE(the_shipped_tree_starts), CU_CASE(the_guides_files_start),
	 CU_CASE(a_missing_key_names_file_line_and_setting),
	 CU_CASE(debians_tree_is_refused_at_three_lines),
	 CU_CASE(debians_tree_starts_with_sdbox_and_a_passwd_file))
