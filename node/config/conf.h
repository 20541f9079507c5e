#ifndef DUET_NODE_CONF_H
#define DUET_NODE_CONF_H

/*
 * The administrator's configuration, read once, checked whole, then
 * immutable.  Grammar, names, defaults and value forms are Dovecot 2.3's;
 * docs/settings.md says what each setting does here.
 *
 *   conf_load()     files -> struct conf, or one error with file and line
 *   conf_str() …    typed values by name in a context (filters applied)
 *   conf_listeners(), conf_namespaces(), conf_dbs() …   the blocks
 *   conf_encode()   bytes for the child processes, secrets by role
 *   conf_diff()     what a reload changes and what needs a restart
 *
 * A struct conf is counted and safe to read from any thread.  Every text it
 * hands out lives as long as the conf, unless an arena is named.
 */

#include "node/base/arena.h"
#include "node/base/err.h"
#include "node/base/slice.h"

#include <sys/types.h>

struct buf;
struct conf;

#define CONF_FILE_MAX (1u << 20)	/* bytes of one file of settings */
#define CONF_VALUE_FILE_MAX (4u << 20)	/* bytes of a file behind "<" */
#define CONF_TOTAL_MAX (64u << 20)	/* bytes of everything together */
#define CONF_LINE_MAX 65536		/* bytes of a line, joined by "\" */
#define CONF_INCLUDE_DEPTH 16
#define CONF_FILES_MAX 1000		/* files read in one load */
#define CONF_SECTION_DEPTH 16
#define CONF_ENTRIES_MAX 50000		/* lines that set something */

/* ---- loading ----------------------------------------------------------- */

enum {
	/* Keep "<file" values unread (tools, other users than root): the text
	 * stays "</path".  Otherwise a file that cannot be read is an error
	 * with file, line and setting. */
	CONF_NO_FILES = 1,
	/* Grammar, names and value forms only (duetconf -n of a foreign tree):
	 * no refusals, no "not in this build". */
	CONF_NO_TREATMENT = 2,
};

struct conf_override {		/* -o name=value */
	const char *name, *value;
};

struct conf_opts {
	unsigned flags;
	const struct conf_override *over;
	size_t n_over;
	/* The path prefix of "<" and include files in tests; NULL = none. */
	const char *root;
};

/*
 * path: normally DUET_SYSCONFDIR "/duet.conf".  opts may be NULL.
 * On failure e->op is one line of 2.3's shape, without a program name:
 *	Error in configuration file /etc/duet/duet.conf line 3: Unknown
 *	setting: premier (did you mean …?)
 */
int conf_load(const char *path, const struct conf_opts *opts,
	      struct conf **out, struct err *e);
/* The same from bytes (tests, fuzzing); includes are relative to path. */
int conf_load_text(const char *path, struct slice text,
		   const struct conf_opts *opts, struct conf **out,
		   struct err *e);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c);	/* NULL is fine */
const char *conf_path(const struct conf *c);

/* What the administrator should know although the configuration starts. */
enum conf_severity { CONF_NOTE, CONF_WARNING, CONF_REFUSED };

struct conf_note {
	enum conf_severity severity;
	const char *text;	/* one line, names the setting */
	const char *file;	/* "" if it belongs to no line */
	unsigned line;
};

size_t conf_notes(const struct conf *c, const struct conf_note **out);
/*
 * The treatment that CONF_NO_TREATMENT left out, for tools that show a whole
 * configuration and then what is wrong with it.  Every refusal becomes a note
 * CONF_REFUSED, the first one the error.  Once for a conf, before it is
 * shared.
 */
int conf_check(struct conf *c, struct err *e);
/* Files of settings that were read, in order. */
size_t conf_files(const struct conf *c, const char *const **out);

/* ---- values ------------------------------------------------------------ */

/* Which filters apply, and whose values win.  NULL or "" = not known: then
 * a filter of that kind does not match. */
struct conf_ctx {
	const char *protocol;	/* "imap", "lmtp", "pop3", "lda", "doveadm" */
	const char *local_ip, *remote_ip;
	const char *local_name;	/* TLS server name (SNI) */
	/* Fields of userdb and -o of tools: win over everything.  Names as in
	 * files; "quota_rule" is tried as a plugin setting too. */
	const struct conf_override *over;
	size_t n_over;
};

/*
 * ctx may be NULL: the global values.  name is a setting that has a row in
 * the table ("mail_location"), or a path below a block
 * ("service/imap/process_limit", "plugin/quota").  An unknown name, or a
 * getter of another type than the row's, is our own bug: assert.
 * Values were checked at load; overrides of a ctx that do not parse are
 * ignored in favour of the configuration: check them with conf_check_value.
 */
const char *conf_str(const struct conf *c, const struct conf_ctx *ctx,
		     const char *name);	/* never NULL, "" = empty */
bool conf_bool(const struct conf *c, const struct conf_ctx *ctx,
	       const char *name);
/* Numbers, ports, octal modes, percentages. */
uint64_t conf_u64(const struct conf *c, const struct conf_ctx *ctx,
		  const char *name);
/* Microseconds; UINT64_MAX for "infinite". */
uint64_t conf_time(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name);
/* Bytes; UINT64_MAX for "unlimited". */
uint64_t conf_size(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name);
/* Was it set in any file to something else than the default? */
bool conf_is_set(const struct conf *c, const struct conf_ctx *ctx,
		 const char *name);
/* A value that came from "<file": its bytes and path.  For a value that was
 * written in place path is "" and the bytes are the value. */
struct slice conf_content(const struct conf *c, const struct conf_ctx *ctx,
			  const char *name, const char **path_out);
/* File and line that set it; "" and 0 for a default. */
const char *conf_where(const struct conf *c, const struct conf_ctx *ctx,
		       const char *name, unsigned *line_out);
/* E_INVALID with the accepted form in e->op. */
int conf_check_value(const char *name, const char *value, struct err *e);

/* plugin {} values: NULL if not set. */
const char *conf_plugin(const struct conf *c, const struct conf_ctx *ctx,
			const char *name);
typedef void conf_plugin_cb(void *arg, const char *name, const char *value);
void conf_plugin_each(const struct conf *c, const struct conf_ctx *ctx,
		      conf_plugin_cb *cb, void *arg);

/* Is the word in a list setting (protocols, mail_plugins, auth_mechanisms,
 * *_client_workarounds)?  ASCII case is ignored. */
bool conf_has_word(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name, const char *word);
/* Is ip in one of the networks of this setting (login_trusted_networks)? */
bool conf_in_networks(const struct conf *c, const struct conf_ctx *ctx,
		      const char *name, const char *ip);

/* The TLS blocks: every local_name or local filter that sets a certificate,
 * besides the global one.  For servers that must load them all at start. */
struct conf_tls_name {
	const char *pattern;	/* "mail.example.com", "*.example.com" */
	struct conf_ctx ctx;	/* to ask for its ssl_cert, ssl_key … */
};
size_t conf_tls_names(const struct conf *c, struct arena *a,
		      struct conf_tls_name **out);

/* ---- services and listeners -------------------------------------------- */

enum conf_purpose {
	CONF_FOR_IMAP,
	CONF_FOR_POP3,
	CONF_FOR_LMTP,
	CONF_FOR_LINK,		/* inet_listener of service doveadm */
	CONF_FOR_ADMIN,		/* doveadm-server */
	CONF_FOR_REPLICATOR,	/* replicator-doveadm */
	CONF_FOR_AUTH_CLIENT,	/* SASL for Postfix */
	CONF_FOR_AUTH_USERDB,	/* auth-userdb, auth-master: Duet's own tools */
};

struct conf_listener {
	enum conf_purpose purpose;
	const char *service;	/* "imap-login", "lmtp", "doveadm", … */
	const char *name;	/* "imaps"; "" for an unnamed one */
	bool is_unix;
	/* UNIX */
	const char *path;	/* absolute */
	mode_t mode;
	uid_t uid;		/* (uid_t)-1 = whoever starts the node */
	gid_t gid;
	/* TCP: one listener for each address */
	const char *address;	/* "0.0.0.0", "::", "192.0.2.1" */
	uint16_t port;
	bool ssl;		/* TLS from the first byte */
	const char *file;	/* where its settings stand, "" = built in */
	unsigned line;
};

/*
 * Everything that has to be open with this configuration: protocols,
 * listen, address, port 0, mode 0 applied, equal ones once.  Names of users
 * and groups are looked up now (may block); E_CONFIG names file and line of
 * one that does not exist.
 */
int conf_listeners(const struct conf *c, struct arena *a,
		   struct conf_listener **out, size_t *n_out, struct err *e);

/* The user or group behind a name or a number.  dovecot, dovenull read as
 * duet, duetnull where they do not exist.  "" gives -1.  E_NOTFOUND. */
int conf_uid(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *e);
int conf_gid(const char *name, gid_t *gid_out, struct err *e);
/* mail_uid and mail_gid; -1 if not set.  A mail_uid that is
 * default_internal_user or default_login_user is E_CONFIG, and so is 0. */
int conf_mail_owner(const struct conf *c, uid_t *uid_out, gid_t *gid_out,
		    struct err *e);
/* Most sessions at once of a protocol ("imap") and connections before login
 * ("imap-login"); 0 = no limit. */
uint64_t conf_process_limit(const struct conf *c, const char *service);
/* base_dir with "/var/run" read as "/run", no trailing slash. */
const char *conf_base_dir(const struct conf *c);

/* ---- namespaces, mailboxes --------------------------------------------- */

enum conf_auto { CONF_AUTO_NO, CONF_AUTO_CREATE, CONF_AUTO_SUBSCRIBE };
enum conf_list { CONF_LIST_NO, CONF_LIST_YES, CONF_LIST_CHILDREN };

struct conf_mailbox {
	const char *name;	/* as written, UTF-8, without the prefix */
	enum conf_auto autocreate;
	const char *special_use;	/* "\Sent", several with blanks; "" */
	const char *comment;
	uint64_t autoexpunge_usec;	/* 0 = never */
	uint64_t autoexpunge_max_mails;
};

struct conf_namespace {
	const char *name;	/* "inbox"; "" if unnamed */
	const char *type;	/* "private" in this build */
	const char *prefix;
	char separator;		/* resolved: default of the format */
	bool inbox, hidden, subscriptions;
	enum conf_list list;
	uint64_t order;
	const struct conf_mailbox *mailboxes;
	size_t n_mailboxes;
};

/* In order of reading; disabled ones are left out.  Without any namespace
 * block there is one, with INBOX and no prefix.  Mailboxes are in order of
 * reading, each name once. */
void conf_namespaces(const struct conf *c, const struct conf_ctx *ctx,
		     struct arena *a, struct conf_namespace **out,
		     size_t *n_out);

/* ---- passdb, userdb ---------------------------------------------------- */

struct conf_db {
	const char *driver, *args, *default_fields, *override_fields;
	const char *skip, *result_success, *result_failure;
	const char *result_internalfail, *username_filter, *mechanisms, *name;
	bool deny, master, pass;
	const char *where;	/* "FILE line N" */
};

/* kind: "passdb" or "userdb". */
void conf_dbs(const struct conf *c, const char *kind, struct arena *a,
	      struct conf_db **out, size_t *n_out);

/* ---- mail location ----------------------------------------------------- */

struct conf_location {
	const char *format;	/* "sdbox" */
	const char *path;	/* with its variables, no trailing slash */
};

/* "" gives format "" (not configured).  Formats and keys that this build
 * does not handle are E_CONFIG by name.  Also for userdb's `mail`. */
int conf_location_parse(const char *text, struct arena *a,
			struct conf_location *out, struct err *e);
/* Mail root: the literal part of a location's path before its first
 * variable, cut at the last '/'.  "" if there is none ("~/…", "%h/…"). */
char *conf_mail_root(const char *path, struct arena *a);

/* ---- the partner ------------------------------------------------------- */

struct conf_replica {
	bool set;
	const char *host;	/* name or address, without brackets */
	uint16_t port;
};

/* From plugin { mail_replica } in this context.  Checked at load. */
void conf_replica(const struct conf *c, const struct conf_ctx *ctx,
		  struct arena *a, struct conf_replica *out);
/* "tcp:HOST[:PORT]", "tcps:…"; port 0 in default_port = must be given. */
int conf_replica_parse(const char *text, uint16_t default_port,
		       struct arena *a, struct conf_replica *out,
		       struct err *e);

/* ---- bytes for the children -------------------------------------------- */

/* Secrets by who needs them. */
enum {
	CONF_SECRET_TLS = 1,	/* keys of the client ports: front */
	CONF_SECRET_LINK = 2,	/* doveadm_password: sync */
	CONF_SECRET_AUTH = 4,	/* what backends need: auth */
	CONF_SECRET_ALL = 7,
};

/* Appends; secrets not asked for become empty.  E_LIMIT if `to` fails. */
int conf_encode(const struct conf *c, unsigned secrets, struct buf *to,
		struct err *e);
/* E_CORRUPT.  The result has values and blocks, not the notes. */
int conf_decode(struct slice from, struct conf **out, struct err *e);

/* ---- reload ------------------------------------------------------------ */

enum conf_reload {
	CONF_RELOAD_NOW,	/* in force at once */
	CONF_RELOAD_SESSIONS,	/* for new sessions and connections */
	CONF_RELOAD_RESTART,	/* only after a restart */
};

struct conf_change {
	const char *name;	/* path of the setting */
	const char *filter;	/* "" or "protocol imap" … */
	enum conf_reload reload;
};

/* In order of names; texts live in the arena.  Content of files behind "<"
 * counts. */
size_t conf_diff(const struct conf *from, const struct conf *to,
		 struct arena *a, struct conf_change **out);

#endif
