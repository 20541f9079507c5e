#ifndef DUET_NODE_LOGIN_H
#define DUET_NODE_LOGIN_H

/*
 * An IMAP connection before login.
 *
 *   READY ─ LOGIN, AUTHENTICATE ─► AUTH ─► (SASL) ─► ASKING store ─► passed on
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
#include "proto/imap_parse.h"

#define LOGIN_IN_MAX 16384u
#define LOGIN_OUT_MAX 32768u		/* a relay's too */
#define LOGIN_TIMEOUT_USEC (180u * 1000 * 1000)
#define LOGIN_HANDSHAKE_USEC (30u * 1000 * 1000)	/* all of TLS */
#define LOGIN_BAD_MAX 10u		/* BAD commands before BYE */
#define LOGIN_AGAIN_USEC (200u * 1000)
#define LOGIN_ATTEMPTS_MAX 10u		/* failed logins before BYE */

enum login_state {
	LOGIN_READY,		/* reads commands */
	LOGIN_TLS_START,	/* STARTTLS handshake */
	LOGIN_AUTH,		/* auth works */
	LOGIN_SASL,		/* waits for the client's response line */
	LOGIN_ASKING,		/* may the account be served here? */
	LOGIN_AGAIN,		/* will be asked again */
	LOGIN_DELAYED,		/* a failure that is answered late */
};

struct login {
	struct list node;
	struct front *front;
	struct front_conf *conf;
	struct stream *stream;
	struct imap_reader *reader;
	struct arena *arena;		/* of the running command */
	struct loop_timer *timer;	/* inactivity, delayed failure, AGAIN */
	enum login_state state;
	struct front_addr addr;
	char sid[17];
	char cipher[96];		/* of the TLS connection */
	bool tls, secured;
	bool used_sasl;			/* AUTHENTICATE, not LOGIN */
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
	char *failure;			/* reply of LOGIN_DELAYED */
	bool failure_bye;
};

/* login.c */
void login_reply(struct login *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Tagged reply to the running command; reads on. */
void login_tagged(struct login *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Says BYE (text may be NULL), logs, frees. */
void login_close(struct login *l, const char *bye, const char *reason);
void login_free(struct login *l);
/* The next command may come. */
void login_continue(struct login *l);
const char *login_capabilities(struct login *l, struct arena *a);

/* login_cmd.c */
void login_command(struct login *l, const struct imap_command *cmd);
void login_sasl_line(struct login *l, struct slice line);
/* LOGIN_AGAIN: asks anew who serves the account. */
void login_ask_again(struct login *l);

/* login_log.c */
void login_log_success(struct login *l, const char *mpid);
void login_log_end(struct login *l, const char *reason);

#endif
