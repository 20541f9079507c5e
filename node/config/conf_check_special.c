/* Treatment of settings whose value needs a look of its own. */

#include "node/config/conf_int.h"
#include "node/config/conf_vars.h"
#include "node/base/cleanup.h"

#include <strings.h>

/* for (…; word_next(&p, &w, a);) … words are separated by blanks or commas. */
static bool word_next(const char **p, const char **word, struct arena *a)
{
	size_t n;

	*p += strspn(*p, " ,\t");
	n = strcspn(*p, " ,\t");
	if (n == 0)
		return false;
	*word = arena_strndup(a, *p, n);
	*p += n;
	return true;
}

static bool in(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(word, list[i]) == 0)
			return true;
	return false;
}
#define IN(word, list) in(word, list, ARRAY_LEN(list))

static void check_protocols(struct conf_checking *k, const struct conf_entry *x)
{
	const char *p = x->text, *w;

	while (word_next(&p, &w, k->c->arena)) {
		if (strcmp(w, "submission") == 0)
			conf_refuse(k, x,
				    "protocols: submission is not in Duet; "
				    "your MTA does it, with service auth for "
				    "the passwords");
		else if (strcmp(w, "imap") != 0 && strcmp(w, "lmtp") != 0 &&
			 strcmp(w, "pop3") != 0 && strcmp(w, "sieve") != 0 &&
			 strcmp(w, "none") != 0 && strcmp(w, "imaps") != 0 &&
			 strcmp(w, "pop3s") != 0)
			conf_refuse(k, x, "protocols: Unknown protocol: %s",
				    w);
	}
}

static void check_listen(struct conf_checking *k, const struct conf_entry *x)
{
	const char *p = x->text, *w;
	struct conf_net net;
	struct err why = ERR_NONE;

	while (word_next(&p, &w, k->c->arena))
		if (strcmp(w, "*") != 0 && conf_net_parse(w, &net, &why) < 0)
			conf_refuse(k, x, "listen: %s", why.op);
}

static void check_networks(struct conf_checking *k, const struct conf_entry *x)
{
	const char *p = x->text, *w;
	struct conf_net net;
	struct err why = ERR_NONE;

	while (word_next(&p, &w, k->c->arena)) {
		if (w[strspn(w, "0123456789abcdefABCDEF:./[]")] ||
		    conf_net_parse(w, &net, &why) < 0)
			conf_refuse(k, x, "%s: Invalid network: %s", x->path,
				    w);
	}
}

static void check_plugins(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const here[] = {"notify", "replication"};
	static const char *const later[] = {
		"quota",     "imap_quota", "acl",	 "imap_acl",
		"sieve",     "imap_sieve", "zlib",	 "imap_zlib",
		"mail_log",  "last_login", "notify_status", "fts",
		"imap_filter_sieve", "lazy_expunge"};
	static const char *const never[] = {
		"old_stats",  "imap_old_stats", "stats",	"imap_stats",
		"push_notification", "welcome", "charset_alias", "apparmor",
		"autocreate", "var_expand_crypt", "expire",	"quota_clone"};
	static const char *const harmful[] = {
		"mail_crypt",	 "mail_crypt_acl", "virtual", "listescape",
		"mailbox_alias", "trash", "pop3_migration", "fs_compress"};
	const char *p = x->text, *w;

	while (word_next(&p, &w, k->c->arena)) {
		if (IN(w, here))
			continue;
		if (IN(w, later) || strncmp(w, "fts_", 4) == 0)
			conf_remark(k, CONF_WARNING, x,
				    "mail_plugins: %s is not in force in this "
				    "build",
				    w);
		else if (IN(w, never))
			conf_remark(k, CONF_NOTE, x,
				    "mail_plugins: %s has no counterpart in "
				    "Duet",
				    w);
		else if (IN(w, harmful))
			conf_refuse(k, x,
				    "mail_plugins: %s is not in this build: "
				    "users would see other mailboxes or "
				    "contents",
				    w);
		else
			conf_refuse(k, x, "mail_plugins: Unknown plugin: %s",
				    w);
	}
}

static void check_mechanisms(struct conf_checking *k,
			     const struct conf_entry *x)
{
	static const char *const later[] = {
		"cram-md5", "scram-sha-1", "scram-sha-256", "external",
		"anonymous", "gssapi", "oauthbearer", "xoauth2", "apop"};
	static const char *const never[] = {"digest-md5", "ntlm", "gss-spnego",
					    "rpa", "skey", "otp"};
	const char *p = x->text, *w;

	while (word_next(&p, &w, k->c->arena)) {
		if (strcasecmp(w, "plain") == 0 || strcasecmp(w, "login") == 0)
			continue;
		if (IN(w, later))
			conf_refuse(k, x,
				    "auth_mechanisms: %s is not in this build "
				    "(comes with accounts)",
				    w);
		else if (IN(w, never))
			conf_refuse(k, x,
				    "auth_mechanisms: %s is not in Duet; use "
				    "plain and login over TLS",
				    w);
		else
			conf_refuse(k, x,
				    "auth_mechanisms: Unknown mechanism: %s",
				    w);
	}
}

static void check_driver(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const later[] = {"pam",  "passwd", "shadow",
					    "ldap", "sql",    "prefetch",
					    "oauth2"};
	static const char *const never[] = {"bsdauth", "checkpassword", "dict",
					    "imap", "lua", "vpopmail", "nss"};
	const char *w = x->text;

	if (strcmp(w, "passwd-file") == 0 || strcmp(w, "static") == 0)
		return;
	if (IN(w, later))
		conf_refuse(k, x,
			    "%.6s driver %s is not in this build (comes with "
			    "accounts); use passwd-file or static",
			    x->path, w);
	else if (IN(w, never))
		conf_refuse(k, x,
			    "%.6s driver %s is not in Duet; use sql or ldap "
			    "when they are built, passwd-file until then",
			    x->path, w);
	else
		conf_refuse(k, x, "Unknown %.6s driver '%s'", x->path, w);
}

/* Certificates and keys are files, written with '<'. */
static void check_pem(struct conf_checking *k, const struct conf_entry *x)
{
	if (!*x->text || x->from_file || strstr(x->text, "-----BEGIN"))
		return;
	conf_refuse(k, x,
		    "%s: the value is not read from a file; write %s = <%s",
		    x->path, x->path,
		    x->row->flags & CONF_F_TLS ? "/PATH" : x->text);
}

static void check_min_protocol(struct conf_checking *k,
			       const struct conf_entry *x)
{
	static const char *const good[] = {"TLSv1.2", "TLSv1.3", "LATEST"};
	static const char *const low[] = {"ANY", "SSLv3", "TLSv1", "TLSv1.1"};

	if (IN(x->text, low))
		conf_remark(k, CONF_WARNING, x,
			    "ssl_min_protocol = %s: Duet does not go below "
			    "TLSv1.2",
			    x->text);
	else if (!IN(x->text, good))
		conf_refuse(k, x,
			    "ssl_min_protocol: Unknown protocol: %s (use "
			    "TLSv1.2, TLSv1.3 or LATEST)",
			    x->text);
}

static void check_words(struct conf_checking *k, const struct conf_entry *x,
			const char *const *known, size_t n)
{
	const char *p = x->text, *w;

	while (word_next(&p, &w, k->c->arena))
		if (!in(w, known, n))
			conf_refuse(k, x, "%s: Unknown option: %s", x->path,
				    w);
}
#define WORDS(k, x, list) check_words(k, x, list, ARRAY_LEN(list))

static void check_special_use(struct conf_checking *k,
			      const struct conf_entry *x)
{
	static const char *const known[] = {
		"\\All",     "\\Archive",   "\\Drafts", "\\Flagged",
		"\\Important", "\\Junk", "\\Sent",   "\\Trash"};
	const char *p = x->text, *w;

	while (word_next(&p, &w, k->c->arena))
		if (!IN(w, known))
			conf_refuse(k, x, "%s: unknown special_use: %s",
				    conf_entry_name(k, x), w);
}

static void check_separator(struct conf_checking *k,
			    const struct conf_entry *x)
{
	if (!x->text[0])
		return;
	if (x->text[1] || (unsigned char)x->text[0] < 0x21 ||
	    (unsigned char)x->text[0] > 0x7e || strchr("\"\\*%", x->text[0]))
		conf_refuse(k, x,
			    "%s: Hierarchy separator must be only one "
			    "character, none of \" \\ * %%",
			    conf_entry_name(k, x));
}

static void check_dsync(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const restricts[] = {"-n", "-x", "-m", "-g",
						"-t", "-S", "-O"};
	const char *p = x->text, *w;

	if (strcmp(x->text, x->row->def) == 0)
		return;
	while (word_next(&p, &w, k->c->arena)) {
		for (size_t i = 0; i < ARRAY_LEN(restricts); i++) {
			/* -N and -n are different things. */
			if (strcmp(w, restricts[i]) != 0)
				continue;
			conf_remark(k, CONF_WARNING, x,
				    "replication_dsync_parameters: %s would "
				    "leave mail out; Duet replicates "
				    "everything",
				    w);
			return;
		}
	}
	conf_remark(k, CONF_NOTE, x,
		    "replication_dsync_parameters has no effect");
}

static void check_location(struct conf_checking *k, const struct conf_entry *x)
{
	struct conf_location loc;
	struct err why = ERR_NONE;

	if (conf_location_parse(x->text, k->c->arena, &loc, &why) < 0)
		conf_refuse(k, x, "%s", why.op);
}

static void check_absolute(struct conf_checking *k, const struct conf_entry *x)
{
	if (x->text[0] != '/')
		conf_refuse(k, x, "%s: '%s' is not an absolute path", x->path,
			    x->text);
}

static void check_mail_uid(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const roles[] = {"default_internal_user",
					    "default_login_user"};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (*x->text &&
		    strcmp(x->text, conf_text(k->c, NULL, roles[i])) == 0)
			conf_refuse(k, x,
				    "mail_uid = %s: the account that owns mail "
				    "must not be %s",
				    x->text, roles[i]);
	if (strcmp(x->text, "root") == 0 || strcmp(x->text, "0") == 0)
		conf_refuse(k, x, "mail_uid = %s: mail is never owned by root",
			    x->text);
}

static void check_replica(struct conf_checking *k, size_t layer,
			  const struct conf_entry *x)
{
	struct conf_replica rep;
	struct err why = ERR_NONE;
	uint64_t port = conf_u64(k->c, NULL, "doveadm_port");

	if (layer > 0) {
		conf_refuse(k, x,
			    "mail_replica inside of a filter: the node has one "
			    "partner, whatever the protocol");
		return;
	}
	if (conf_replica_parse(x->text, (uint16_t)port, k->c->arena, &rep,
			       &why) < 0)
		conf_refuse(k, x, "%s", why.op);
}

static void check_uidl(struct conf_checking *k, const struct conf_entry *x)
{
	for (const char *p = x->text; (p = strchr(p, '%')) != NULL;) {
		p++;
		p += strspn(p, "0123456789.LUXR");
		if (*p == '%') {
			p++;
			continue;
		}
		if (!strchr("uvg", *p) || !*p)
			conf_refuse(k, x,
				    "pop3_uidl_format: %%%c is not in this "
				    "build: every client would download all "
				    "mail again",
				    *p ? *p : ' ');
		if (*p)
			p++;
	}
	if (!conf_vars_used(x->text, 'u', "uid") &&
	    !conf_vars_used(x->text, 'g', "guid"))
		conf_refuse(k, x,
			    "pop3_uidl_format: without %%u or %%g all messages "
			    "would have one UIDL");
	for (const char *p = x->text; *p; p++)
		if (*p <= ' ' || *p > '~') {
			conf_refuse(k, x, "pop3_uidl_format: a UIDL may hold "
				    "no blanks (RFC 1939)");
			break;
		}
}

static void check_verbose_passwords(struct conf_checking *k,
				    const struct conf_entry *x)
{
	if (strncmp(x->text, "plain", 5) == 0)
		conf_refuse(k, x,
			    "auth_verbose_passwords = %s: passwords are never "
			    "logged",
			    x->text);
	else if (strcmp(x->text, "no") != 0 &&
		 strncmp(x->text, "sha1", 4) != 0 && strcmp(x->text, "yes"))
		conf_refuse(k, x, "auth_verbose_passwords: Invalid value: %s",
			    x->text);
	else if (strcmp(x->text, "no") != 0)
		conf_remark(k, CONF_NOTE, x,
			    "auth_verbose_passwords is not in force in this "
			    "build (comes with accounts)");
}

static bool workarounds(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const imap[] = {"delay-newmail",
					   "tb-extra-mailbox-sep",
					   "tb-lsub-flags"};
	static const char *const pop3[] = {"outlook-no-nuls", "oe-ns-eoh"};
	static const char *const lmtp[] = {"whitespace-before-path",
					   "mailbox-for-path"};
	static const char *const ssl[] = {"no_compression", "no_ticket",
					  "compression"};

	if (strcmp(x->path, "imap_client_workarounds") == 0)
		WORDS(k, x, imap);
	else if (strcmp(x->path, "pop3_client_workarounds") == 0)
		WORDS(k, x, pop3);
	else if (strcmp(x->path, "lmtp_client_workarounds") == 0)
		WORDS(k, x, lmtp);
	else if (strcmp(x->path, "ssl_options") == 0)
		WORDS(k, x, ssl);
	return false;	/* the row's own treatment follows */
}

static const char *last(const char *path)
{
	const char *s = strrchr(path, '/');

	return s ? s + 1 : path;
}

static bool check_block_setting(struct conf_checking *k,
				const struct conf_entry *x)
{
	const char *key = last(x->path);

	if (strncmp(x->path, "passdb/", 7) == 0 ||
	    strncmp(x->path, "userdb/", 7) == 0) {
		if (strcmp(key, "driver") != 0)
			return false;
		check_driver(k, x);
		return true;
	}
	if (strncmp(x->path, "namespace/", 10) != 0)
		return false;
	if (strcmp(key, "special_use") == 0)
		check_special_use(k, x);
	else if (strcmp(key, "separator") == 0)
		check_separator(k, x);
	else if (strcmp(key, "type") == 0 && strcmp(x->text, "private") != 0)
		conf_refuse(k, x,
			    "%s = %s: only private namespaces are in this "
			    "build (the others come with protocols)",
			    conf_entry_name(k, x), x->text);
	return false;
}

bool conf_check_special(struct conf_checking *k, size_t layer,
			const struct conf_entry *x)
{
	static const struct {
		const char *path;
		void (*check)(struct conf_checking *,
			      const struct conf_entry *);
	} table[] = {
		{"protocols", check_protocols},
		{"listen", check_listen},
		{"login_trusted_networks", check_networks},
		{"mail_plugins", check_plugins},
		{"auth_mechanisms", check_mechanisms},
		{"auth_verbose_passwords", check_verbose_passwords},
		{"ssl_cert", check_pem},
		{"ssl_key", check_pem},
		{"ssl_ca", check_pem},
		{"ssl_dh", check_pem},
		{"ssl_min_protocol", check_min_protocol},
		{"replication_dsync_parameters", check_dsync},
		{"mail_location", check_location},
		{"base_dir", check_absolute},
		{"state_dir", check_absolute},
		{"mail_uid", check_mail_uid},
		{"pop3_uidl_format", check_uidl},
	};

	if (strcmp(x->path, "plugin/mail_replica") == 0) {
		check_replica(k, layer, x);
		return true;
	}
	if (strcmp(x->path, "haproxy_trusted_networks") == 0)
		check_networks(k, x);
	if (strcmp(x->path, "pair_partition") == 0 &&
	    strcmp(x->text, "witness") == 0)
		conf_refuse(k, x,
			    "pair_partition = witness is not in this build; "
			    "use available or manual");
	if (strcmp(x->path, "auth_socket_path") == 0 &&
	    strcmp(last(x->text), "director-userdb") == 0)
		conf_refuse(k, x,
			    "auth_socket_path = %s: a pair has no director",
			    x->text);
	if (strcmp(x->path, "mail_attachment_fs") == 0 &&
	    strstr(x->text, "crypt:"))
		conf_refuse(k, x,
			    "mail_attachment_fs = %s: encrypted attachments "
			    "could not be read",
			    x->text);
	if (strncmp(x->path, "plugin/quota", 12) == 0 &&
	    strncmp(x->text, "imapc:", 6) == 0)
		conf_refuse(k, x, "%s = %s: no such backend in Duet",
			    conf_entry_name(k, x), x->text);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(table[i].path, x->path) == 0) {
			table[i].check(k, x);
			return true;
		}
	}
	return check_block_setting(k, x) || workarounds(k, x);
}
