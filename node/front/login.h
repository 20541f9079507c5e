#ifndef DUET_NODE_LOGIN_H
#define DUET_NODE_LOGIN_H

/*
 * A connection before login: what all protocols share, and behind `dialog`
 * what the language of one is.
 *
 *   login.c       life: input, output, time-outs, end
 *   login_auth.c  who is it, who serves the account, passing the socket on
 *   login_log.c   lines of the log
 *   login_imap.c, login_pop3.c  the dialogs
 *
 *   READY ─ a login command ─────► AUTH ─► (SASL) ─► ASKING store ─► passed on
 *     ▲                             │ failure: after auth_failure_delay │
 *     └─────────────────────────────┴───────────── NO ◄─────────────────┘
 *
 * A partner that was said to hold the account and then cannot serve it (it
 * stops, it gave the account away, the link broke) does not end a login: who
 * serves is asked again each LOGIN_AGAIN_USEC, up to FRONT_HOLD_USEC.
 *
 * While a command runs no further input is read: what a client pipelines
 * after LOGIN belongs to the session and goes along.
 */

#include "node/front/front.h"

#define LOGIN_IN_MAX 16384u
#define LOGIN_OUT_MAX 32768u		/* a relay's too */
#define LOGIN_REPLY_MAX 10240u		/* a tag is as long as a line */
#define LOGIN_TIMEOUT_USEC (180u * 1000 * 1000)
#define LOGIN_HANDSHAKE_USEC (30u * 1000 * 1000)	/* all of TLS */
#define LOGIN_BAD_MAX 10u		/* bad commands before the end */
#define LOGIN_AGAIN_USEC (200u * 1000)
#define LOGIN_ATTEMPTS_MAX 10u		/* failed logins before the end */

enum login_state {
	LOGIN_READY,		/* reads commands */
	LOGIN_TLS_START,	/* STARTTLS handshake */
	LOGIN_AUTH,		/* auth works */
	LOGIN_SASL,		/* waits for the client's response line */
	LOGIN_ASKING,		/* may the account be served here? */
	LOGIN_AGAIN,		/* will be asked again */
	LOGIN_DELAYED,		/* a failure that is answered late */
};

/* Why a login failed: each dialog has its words for it. */
enum login_failure {
	LOGIN_WRONG,		/* name or password */
	LOGIN_DISABLED,		/* this account may not log in */
	LOGIN_TEMPORARY,	/* try again; with a text */
	LOGIN_PLAINTEXT,	/* the connection is not secure enough */
	LOGIN_MECHANISM,	/* is not offered */
	LOGIN_BAD_INITIAL,	/* initial response is no base64 */
	LOGIN_BAD_RESPONSE,	/* nor a later one */
	LOGIN_ABORTED,		/* by the client */
};

/* Why a connection ends, as the client is told. */
enum login_end {
	LOGIN_END_SILENT,	/* nothing is said, or was said already */
	LOGIN_END_BAD,		/* too many bad commands */
	LOGIN_END_ATTEMPTS,	/* too many failed logins */
	LOGIN_END_IDLE,
	LOGIN_END_SHUTDOWN,
};

/* What became of input. */
enum login_input {
	LOGIN_NEED_MORE,	/* nothing whole is there yet */
	LOGIN_NEXT,		/* handled, the next may follow now */
	LOGIN_WAIT,		/* a command began or ended, or l is gone */
};

struct login;

/* One protocol's dialog.  Calls without a result only say something; state
 * and the end are the core's. */
struct login_dialog {
	enum login_service kind;
	const char *service;	/* "imap": for auth, store and limits */
	const char *log_name;	/* "imap-login" */
	const char *busy;	/* one whole line for a connection too many */
	void (*init)(struct login *l);
	void (*fini)(struct login *l);
	void (*greet)(struct login *l);
	/* Takes one command or line from the stream, in LOGIN_READY and
	 * LOGIN_SASL. */
	enum login_input (*input)(struct login *l);
	/* A challenge of SASL, in base64; a response line is wanted. */
	void (*challenge)(struct login *l, struct slice base64);
	/* The reply to the command that runs; text: of LOGIN_TEMPORARY. */
	void (*fail)(struct login *l, enum login_failure why,
		     const char *text);
	void (*bye)(struct login *l, enum login_end why);
};

struct login {
	struct list node;
	const struct login_dialog *dialog;
	struct front *front;
	struct front_conf *conf;
	struct stream *stream;
	void *reader;			/* the dialog's own */
	struct arena *arena;		/* of the running command */
	struct loop_timer *timer;	/* inactivity, delayed failure, AGAIN */
	enum login_state state;
	struct front_addr addr;
	char sid[17];
	char cipher[96];		/* of the TLS connection */
	bool tls, secured;
	uint64_t started_usec;
	unsigned attempts, bad;
	bool tried_plaintext, unavailable;
	char *tag;			/* of the command that runs */
	char *user;			/* of the last attempt, for the log */
	char *mech;
	struct front_req *req;

	/* After a successful login, in ask_arena. */
	struct arena *ask_arena;
	struct ipc_head ask;
	struct front_req *counted;	/* at our store, of a proxied one */
	uint64_t asked_usec;		/* the first time */
	enum login_failure failure;	/* of LOGIN_DELAYED */
	bool failure_bye;
};

/* login.c */
/* One line, with its end. */
void login_reply(struct login *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Says why, logs, frees. */
void login_close(struct login *l, enum login_end why, const char *reason);
void login_free(struct login *l);
/* The command is over, the next may come. */
void login_continue(struct login *l);
/* One bad command more: true if that was too many, and l is gone. */
bool login_bad(struct login *l);
/* May a password be sent in clear here? */
bool login_plaintext_allowed(const struct login *l);

/* login_auth.c: each ends the running command, now or later. */
/* True after the reply: plaintext is not allowed here. */
bool login_plaintext_refused(struct login *l);
void login_password(struct login *l, struct slice user, struct slice password);
/* initial: in base64, NULL if there was none. */
void login_sasl(struct login *l, struct slice mechanism,
		const struct slice *initial);
void login_sasl_line(struct login *l, struct slice line);
/* After the reply that says so; input in clear is dropped. */
void login_starttls(struct login *l);
void login_late(struct login *l);
/* LOGIN_AGAIN: asks anew who serves the account. */
void login_ask_again(struct login *l);

/* login_log.c */
void login_log_success(struct login *l, const char *mpid);
void login_log_end(struct login *l, const char *reason);

/* login_imap.c */
extern const struct login_dialog login_imap;
/* login_pop3.c */
extern const struct login_dialog login_pop3;

#endif
