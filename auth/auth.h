#ifndef DUET_AUTH_AUTH_H
#define DUET_AUTH_AUTH_H

/*
 * One question: who is this?
 *
 *   struct auth       backends and rules of one configuration.  Immutable,
 *                     counted, safe in any thread; a reload makes a new one.
 *   auth_*_now()      the blocking answers (hashes and files take time).
 *   struct auth_pool  threads that ask them for the loop, with callbacks.
 *   struct auth_req   one question under way, SASL dialogs included.
 *
 * Nothing is logged and no failure is delayed here: the caller does both,
 * with the verdict and the text of the result.
 */

#include "auth/fields.h"
#include "node/base/arena.h"
#include "node/base/err.h"
#include "node/base/slice.h"

struct buf;
struct clock;

#define AUTH_NAME_MAX 255	/* bytes of a user name, before and after format */
#define AUTH_PASSWORD_MAX 1024	/* bytes of a password; more is refused unread */
#define AUTH_SASL_MAX 8192	/* bytes of one decoded SASL response */
#define AUTH_PENDING_MAX 1000	/* questions waiting for a thread */
#define AUTH_DBS_MAX 32		/* passdbs, and userdbs */

enum auth_verdict {
	AUTH_OK,
	AUTH_UNKNOWN,		/* no backend knows the name (LMTP: 550) */
	AUTH_MISMATCH,		/* wrong password, allow_nets, bad dialog */
	AUTH_TEMPFAIL,		/* a backend did not answer; try again later */
	AUTH_DISABLED,		/* the account may not log in (nologin) */
};

const char *auth_verdict_name(enum auth_verdict v);

/* Where the question comes from.  Unknown texts are NULL or "". */
struct auth_peer {
	const char *service;	/* "imap", "lmtp", "smtp", … */
	const char *rip, *lip;	/* remote and local address, as text */
	unsigned rport, lport;
	const char *session;	/* session id for log lines */
	bool secured;		/* TLS, or as good as (for `secured=`) */
};

/* What templates are expanded with: %u %n %d from user, %s %r %l from peer,
 * %{userdb:x} or %{passdb:x} from fields (may be NULL), %h from home. */
struct auth_vars {
	const char *user;
	const char *home;
	const struct auth_peer *peer;
	const struct auth_fields *fields;
};

/* Dovecot's variables: appends the expanded text.  Called in any thread; must
 * not block.  An unknown variable is a failure with text; with `path`, a
 * value that is not safe as a level of a path is E_INVALID. */
struct auth_expand {
	int (*expand)(void *arg, const char *text, const struct auth_vars *v,
		      bool path, struct buf *out, struct err *e);
	void *arg;
};

/* What is known about a file's content. */
struct auth_stamp {
	int64_t mtime_nsec;
	uint64_t size, ino;
};

/*
 * Files that maybe only root can read.  Called in any thread, may block; at
 * most once a second for one path.
 *   1   the file differs from *stamp (all zero at first): content appended to
 *       `to`, stamp renewed;
 *   0   it does not;
 *   <0  failure with text naming the path; -ENOENT if there is none.
 */
struct auth_reader {
	int (*read)(void *arg, const char *path, struct auth_stamp *stamp,
		    struct buf *to, struct err *e);
	void *arg;
};

/* A reader that opens the path itself (arg unused). */
int auth_read_file(void *arg, const char *path, struct auth_stamp *stamp,
		   struct buf *to, struct err *e);

/* One passdb {} or userdb {} block; NULL texts mean empty. */
struct auth_db_settings {
	const char *driver;		/* "passwd-file", "static" */
	const char *args;
	const char *default_fields;	/* "uid=vmail home=/x/%n" */
	const char *override_fields;
	const char *where;		/* "FILE line N", for errors */
};

/* Who may own mail: guide rule 10.  Names are resolved by the caller. */
struct auth_uid_rules {
	uint32_t first_valid_uid, last_valid_uid;	/* last 0 = no limit */
	uint32_t first_valid_gid, last_valid_gid;
	/* The node's one owner of mail, (uint32_t)-1 = not fixed by mail_uid:
	 * then own_uid, of the store processes, is compared. */
	uint32_t mail_uid, mail_gid;
	uint32_t own_uid;		/* (uint32_t)-1 = not known */
};

#define AUTH_NO_UID ((uint32_t)-1)

struct auth_settings {
	const char *mechanisms;		/* "plain login", any case */
	const char *username_format;	/* auth_username_format, "%Lu" */
	const char *username_chars;	/* "" = all but controls */
	const char *default_scheme;	/* of passwd-file, normally "CRYPT" */
	const struct auth_db_settings *passdbs;
	size_t n_passdbs;
	const struct auth_db_settings *userdbs;
	size_t n_userdbs;
	struct auth_uid_rules uid;
	struct auth_expand expand;
	struct auth_reader reader;
	struct clock *clock;		/* NULL = the system's */
};

struct auth;

/* All texts are copied.  E_CONFIG names driver, setting, place. */
int auth_new(const struct auth_settings *s, struct auth **out, struct err *e);
struct auth *auth_ref(struct auth *a);
void auth_unref(struct auth *a);	/* NULL is fine */
/* "PLAIN LOGIN": what may be advertised, upper case, in settings' order. */
const char *auth_mechanisms(const struct auth *a);
bool auth_has_mechanism(const struct auth *a, struct slice name);

/* The answer.  All pointers live in the arena it was made with (blocking
 * calls) or until the callback returns (requests). */
struct auth_result {
	enum auth_verdict verdict;
	const char *login;	/* as typed (authcid), maybe "" */
	const char *user;	/* canonical name; of failures: as far as known */
	const char *mech;	/* "PLAIN", …; "" for lookups */
	/* passdb answers: its fields, `user` included; userdb_ fields keep
	 * their prefix.  userdb answers: its fields, uid and gid numeric. */
	struct auth_fields fields;
	/* userdb answers only. */
	uint32_t uid, gid;
	const char *home;	/* "" if there is none */
	/* On failure.  Operator text has 2.3's shape:
	 * "passwd-file(alice,192.0.2.7): Password mismatch". */
	struct err e;
};

/* Canonical name of what a client or MTA typed: username_chars, then
 * username_format.  Backends may still change it by their field `user`. */
int auth_canonical(const struct auth *a, const struct auth_peer *peer,
		   struct slice typed, struct arena *arena, const char **out,
		   struct err *e);

/* Blocking, thread safe. `typed` is not yet canonical. */
void auth_password_now(struct auth *a, const struct auth_peer *peer,
		       struct slice typed, struct slice password,
		       struct arena *arena, struct auth_result *out);
/* passdb fields without a password (`auth lookup`); the field `password` is
 * among them, with its scheme in braces. */
void auth_passdb_now(struct auth *a, const struct auth_peer *peer,
		     struct slice typed, struct arena *arena,
		     struct auth_result *out);
/* Where the account lives.  After a login `typed` is the result's user and
 * `authenticated` is true (userdb static then asks no passdb whether the
 * user exists). */
void auth_userdb_now(struct auth *a, const struct auth_peer *peer,
		     struct slice typed, bool authenticated,
		     struct arena *arena, struct auth_result *out);
/* Every name that the userdbs can list, each once, canonical, sorted.  A
 * userdb that cannot list is a failure after the others' names are in. */
int auth_iterate_now(struct auth *a, struct arena *arena,
		     const char ***names_out, size_t *n_out, struct err *e);

/* The uid and gid that mail of this user would have; fails with the setting,
 * its value and the uid in the text.  uid or gid AUTH_NO_UID in *uid, *gid =
 * userdb gave none: the node's own is put in.  Userdb answers have passed
 * this; a failure is AUTH_TEMPFAIL there. */
int auth_check_uid(const struct auth_uid_rules *r, const char *user,
		   uint32_t *uid, uint32_t *gid, struct err *e);

/* ---- asynchronous ------------------------------------------------------ */

struct loop;
struct auth_pool;
struct auth_req;

/* Uses `threads` worker threads.  Freed only when no request is left. */
struct auth_pool *auth_pool_new(struct loop *l, unsigned threads);
void auth_pool_free(struct auth_pool *p);
/* From now on; requests under way keep theirs.  Takes a reference. */
void auth_pool_use(struct auth_pool *p, struct auth *a);
struct auth *auth_pool_auth(struct auth_pool *p);
size_t auth_pool_pending(const struct auth_pool *p);

struct auth_req_ops {
	/* SASL only: send this challenge (decoded, maybe empty), then call
	 * auth_sasl_answer or auth_req_free.  May be NULL for lookups. */
	void (*challenge)(void *arg, struct slice text);
	/* The end.  The request is freed after this returns. */
	void (*done)(void *arg, const struct auth_result *r);
};

/*
 * Every call below copies its arguments and calls back from the loop, never
 * from inside the call.  The handle is valid until `done` returns.
 */

/* A SASL dialog.  initial: the initial response, or NULL if the client sent
 * none ("=" is an empty one). */
struct auth_req *auth_sasl(struct auth_pool *p, const struct auth_peer *peer,
			   struct slice mech, const struct slice *initial,
			   const struct auth_req_ops *ops, void *arg);
/* The client's decoded response to the last challenge.  Longer than
 * AUTH_SASL_MAX fails the dialog. */
void auth_sasl_answer(struct auth_req *r, struct slice response);
/* The client sent "*": ends with AUTH_MISMATCH "aborted by client". */
void auth_sasl_abort(struct auth_req *r);

/* LOGIN, USER/PASS, `auth test`. */
struct auth_req *auth_password(struct auth_pool *p,
			       const struct auth_peer *peer, struct slice user,
			       struct slice password,
			       const struct auth_req_ops *ops, void *arg);
struct auth_req *auth_passdb(struct auth_pool *p, const struct auth_peer *peer,
			     struct slice user, const struct auth_req_ops *ops,
			     void *arg);
struct auth_req *auth_userdb(struct auth_pool *p, const struct auth_peer *peer,
			     struct slice user, bool authenticated,
			     const struct auth_req_ops *ops, void *arg);
/* Gives it up: no callback comes any more.  Work already running ends by
 * itself.  NULL is fine. */
void auth_req_free(struct auth_req *r);

/* names is valid during the call; e is NULL or says what is missing. */
typedef void auth_names_cb(void *arg, const char *const *names, size_t n,
			   const struct err *e);
/* Cannot be given up. */
void auth_iterate(struct auth_pool *p, auth_names_cb *cb, void *arg);

#endif
