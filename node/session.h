#ifndef DUET_NODE_SESSION_H
#define DUET_NODE_SESSION_H

/*
 * A client session after login, inside the store process that owns the
 * account.  The host (node/store/) makes it and keeps the list of sessions;
 * the protocol (node/imap/, node/pop3/) talks to the client.
 *
 *   front ── accept ─► host: engine_ask ─► automatic mailboxes ─►
 *        imap_session_start() … dialog … session_ended()
 *
 * One thread, one loop; every call below comes from it.
 *
 * Ownership.  struct session and all its texts belong to the host and stay
 * until session_ended(); the protocol owns `fd` and what it hangs at `impl`.
 * The host holds the engine's session count and a reference to the account:
 * both end with session_ended(), so the protocol must have let go of its
 * mailboxes, watches and writes (engine_write_forget) before it calls that.
 */

#include "node/base/buf.h"
#include "node/base/list.h"
#include "node/base/log.h"
#include "storage/store.h"
#include "storage/write.h"
#include "sync/engine.h"

struct loop;
struct session;
struct session_host;

/* Input that may come along with the login: what the client pipelined. */
#define SESSION_LEFTOVER_MAX (64u * 1024)
/* After evict() a session may finish its command or literal for so long;
 * then kill() ends it. */
#define SESSION_EVICT_USEC (30u * 1000 * 1000)

/*
 * One mailbox { } rule of a namespace.  Names are whole (namespace prefix
 * included), UTF-8, with '/' between levels as everywhere in storage/.
 */
struct session_box {
	const char *name;
	uint32_t special_use;		/* SPECIALUSE_* bits, 0 = none */
	bool create, subscribe;		/* auto = create | subscribe */
};

/*
 * The settings a session looks at, as one immutable, counted struct: a reload
 * makes a new one for later sessions.  Texts are never NULL.
 */
struct session_conf {
	unsigned refs;
	char separator;			/* what clients see between levels */
	/* Of the namespace with INBOX, as clients see it: "INBOX.", mostly ""
	 * (NULL is the same). */
	const char *prefix;
	const struct session_box *boxes;
	size_t n_boxes;
	const struct auto_mailbox *autos;	/* of them: auto = create … */
	size_t n_autos;

	const char *hostname;
	const char *mail_log_prefix;
	const char *imap_capability;	/* "" = built in, "+X Y" = added */
	const char *imap_client_workarounds;
	const char *imap_id_send;
	const char *imap_id_log;
	const char *imap_logout_format;
	uint64_t imap_idle_notify_usec;	/* 0 = no "* OK Still here" */
	size_t imap_max_line_length;
	bool imap_literal_minus;
	const char *pop3_log_prefix;	/* mail_log_prefix of protocol pop3 */
	const char *pop3_logout_format;
	const char *pop3_uidl_format;
	bool pop3_lock_session;		/* one session of an account at once */
	bool pop3_no_flag_updates;	/* RETR does not set \Seen */
	unsigned mail_max_keyword_length;
	uint64_t quota_max_mail_size;	/* 0 = no limit of one message */
};

/* Services of the process, the same for all sessions. */
struct session_host {
	struct loop *loop;
	struct sys *sys;		/* fs, clock, rng */
	struct log *log;
	struct store *store;
	struct engine *engine;
	const char *version;		/* "1.0.0" */
	bool single;			/* no partner */
	/* When the process started (wall clock); 0: at the first session. */
	int64_t started_seconds;
	/* What IMAP sessions of this process share (node/imap/recent.c): NULL
	 * at first; imap_shared_free() after the last session. */
	void *imap_shared;
};

enum session_end {
	SESSION_LOGOUT,			/* the client said so */
	SESSION_DISCONNECTED,		/* the connection broke or was closed */
	SESSION_IDLE,			/* inactivity time-out */
	SESSION_KICKED,			/* evicted or killed by the host */
	SESSION_ERROR,			/* protocol abuse, internal error */
};

/* What a session is asked to do by its host. */
struct session_ops {
	/*
	 * End soon: at once between commands and in IDLE, after the tagged
	 * reply in a command or literal, with "* BYE [code] text" (code NULL:
	 * no response code).  The account may not be written any more if
	 * `holder_lost`: then running commands end without a tagged reply.
	 * May call session_ended() from inside.
	 */
	void (*evict)(struct session *s, const char *code, const char *text,
		      bool holder_lost);
	/* End now, unfinished output is dropped.  Must call session_ended()
	 * before it returns. */
	void (*kill)(struct session *s);
	/* True between commands or in IDLE (orderly stop looks at it). */
	bool (*idle)(const struct session *s);
};

struct session {
	struct list node;		/* host's list */
	struct session_host *host;
	const struct session_conf *conf;	/* a reference is held */
	const struct session_ops *ops;	/* set by *_session_start() */
	void *impl;			/* the protocol's own */

	const char *service;		/* "imap", "pop3" */
	int fd;				/* bare socket, or a relay's pair: both
					 * plain bytes, SOCK_STREAM; the
					 * protocol takes it */
	struct slice leftover;		/* valid during *_session_start() */
	/* The tag of LOGIN or AUTHENTICATE: the session's first output is
	 * "TAG OK [CAPABILITY …] Logged in".  POP3 has none. */
	const char *login_tag;

	struct account *account;
	const char *user;		/* canonical name */
	const char *home;		/* "" = none */
	const char *rip, *lip;		/* remote and local address, maybe "" */
	unsigned rport, lport;
	const char *id;			/* session id of log lines */
	bool secured;			/* TLS (or as good) to the client */
	bool tls;			/* TLS to the client */
	bool proxied;			/* its client is at the partner */
	/* userdb fields, NAME VALUE pairs in order of the backend. */
	const struct session_field {
		const char *name, *value;
	} *fields;
	size_t n_fields;
	uint64_t started_usec;		/* monotonic */

	/* Accounting, kept up by the protocol for `who` and the log. */
	uint64_t in_bytes, out_bytes;
	bool evicting;			/* evict() was called */
	struct loop_timer *evict_timer;	/* host's */
	void *host_data;		/* host's */
};

/* NULL if userdb gave no such field. */
const char *session_field(const struct session *s, const char *name);

/*
 * Called by the host for a session that may be served: sets ops and impl,
 * sends the tagged OK and goes on from the loop.  Negative: nothing was sent,
 * fd is closed, the host frees s.  Neither calls session_ended() itself.
 * Defined in node/imap/ and node/pop3/.
 */
int imap_session_start(struct session *s, struct err *e);
int pop3_session_start(struct session *s, struct err *e);
void imap_shared_free(struct session_host *h);

/*
 * The protocol is done: fd is closed, nothing of it refers to s, its account
 * or mailboxes.  `stats` is the expanded *_logout_format, may be "".  The
 * host logs "imap(USER)<PID><ID>: Disconnected: TEXT STATS" and frees s.
 */
void session_ended(struct session *s, enum session_end how, const char *text,
		   const char *stats);

/* Another session of this account and service is there. */
bool session_has_sibling(const struct session *s);

/* A log line with mail_log_prefix before it. */
void session_log(const struct session *s, enum log_level level,
		 const char *event, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Read-repair: a body was found missing or damaged at record rec of m.  done
 * gets 0 when a sound copy of the partner's is in place (open it again), or
 * E_*.  Not called after session_repair_forget(arg).
 */
typedef void session_repair_done(void *arg, int result);
void session_repair(struct session *s, struct mailbox *m, uint32_t rec,
		    session_repair_done *done, void *arg);
void session_repair_forget(struct session *s, void *arg);

#endif
