#ifndef DUET_NODE_FRONT_H
#define DUET_NODE_FRONT_H

/*
 * The front process: every client socket, TLS, the dialogs before login, LMTP.
 * It holds no mail and no account secret; it asks auth who somebody is and the
 * store process of the account whether it may be served here.
 *
 *   front.c     life, listeners, channels, questions to the other roles
 *   login.c     a connection before login      login_auth.c who it is
 *   login_imap.c  its dialog in IMAP         login_pop3.c  in POP3
 *   login_log.c log lines that log readers know      relay.c  TLS after login
 *   lmtp.c      LMTP dialog                          lmtp_mail.c transactions
 */

#include "node/base/arena.h"
#include "node/base/list.h"
#include "node/base/map.h"
#include "node/base/stream.h"
#include "node/base/tls.h"
#include "node/role.h"

#define FRONT_UNAUTH_DEFAULT 1000u	/* connections before login */
#define FRONT_LMTP_MAX 500u		/* connections of MTAs, per process */
#define FRONT_LMTP_PER_ADDRESS 100u	/* those of one remote address */
#define FRONT_HOLD_USEC (10u * 1000 * 1000)	/* wait for a role to return */
#define FRONT_IP_MAX 48

struct loop_io;
struct loop_timer;
struct front;

/* Protocols with a login: what is counted for each of them. */
enum login_service { LOGIN_IMAP, LOGIN_POP3, LOGIN_SERVICES };

/* Values of the configuration that every connection needs. */
struct front_conf {
	unsigned refs;
	struct conf *conf;
	struct tls_ctx *tls;		/* NULL: ssl = no, or no certificate */
	bool ssl_required, plaintext_disabled;
	uint64_t failure_delay_usec;
	size_t unauth_max[LOGIN_SERVICES];	/* for this process */
	const char *mechanisms;		/* "PLAIN LOGIN" */
	char *greeting, *hostname;
	struct arena *arena;
};
struct front_conf *front_conf_new(struct role *r, struct conf *c,
				  struct err *e);
struct front_conf *front_conf_ref(struct front_conf *c);
void front_conf_unref(struct front_conf *c);

struct front_listener {
	struct list node;
	struct front *front;
	uint64_t number;
	int fd;
	enum conf_purpose purpose;
	bool tls;
	struct loop_io *io;
};

/* A channel to another role, or its place while that restarts. */
struct front_peer {
	struct front *front;
	enum ipc_role kind;
	unsigned index;
	struct ipc *ipc;
};

struct front {
	struct role *role;
	struct front_conf *conf, *next;
	struct list listeners;
	struct front_peer auth, sync, stores[64];
	struct map *reqs;		/* by id */
	struct list waiting;		/* questions to a role that is away */
	uint64_t last_id;
	struct list logins, lmtps, relays;
	size_t n_logins[LOGIN_SERVICES], n_lmtps;
	uint64_t refused_usec;		/* a refused MTA was last logged */
	bool accepting, draining, stopped;
};

/* ---- questions ---------------------------------------------------------- */

struct front_req;
/* m NULL: the role went away; h is NULL then too.  The request stays until
 * front_req_free(), several answers may come. */
typedef void front_answer(void *arg, struct ipc_msg *m,
			  const struct ipc_head *h);
/* Sends h; if the role is away, waits for it up to FRONT_HOLD_USEC. */
struct front_req *front_ask(struct front *f, struct front_peer *to,
			    enum ipc_type type, const struct ipc_head *h,
			    front_answer *cb, void *arg);
/* A further message of the same request.  fd is taken, if any. */
int front_req_say(struct front_req *q, enum ipc_type type,
		  const struct ipc_head *h, struct slice body, int fd);
/* Bytes queued towards that role. */
size_t front_req_queued(const struct front_req *q);
void front_req_free(struct front_req *q);	/* NULL is fine */
/* Further answers go to somebody else. */
void front_req_retarget(struct front_req *q, front_answer *cb, void *arg);

/* The store process of an account, or NULL while the node has no identity. */
struct front_peer *front_store(struct front *f, const char *user,
			       struct id128 *id_out);

/* ---- connections ---------------------------------------------------------- */

struct front_addr {
	char rip[FRONT_IP_MAX], lip[FRONT_IP_MAX];
	unsigned rport, lport;
};
void front_addr_of(int fd, struct front_addr *a);
/* TLS, the same address, or a trusted network. */
bool front_secured(const struct front_conf *c, const struct front_addr *a,
		   bool tls);
/* 16 characters and a NUL. */
void front_session_id(struct front *f, char out[17]);

/* login.c */
struct login_dialog;
void login_accept(struct front *f, struct front_conf *c,
		  const struct login_dialog *d, int fd, bool tls);
void login_drain(struct front *f);	/* BYE to all */
/* lmtp.c */
void lmtp_accept(struct front *f, struct front_conf *c, int fd, bool tls);
/* No further transactions; lmtp_idle() says when the last is over. */
void lmtp_drain(struct front *f);
bool lmtp_idle(const struct front *f);
/* Something ended: a stop that waits may be complete. */
void front_maybe_drained(struct front *f);
/* proxied.c: takes both; they end by themselves. */
void proxied_new(struct front_req *counted, struct front_req *session);
/* relay.c: client with TLS on one side, a socket pair on the other.  Takes
 * both. */
void relay_new(struct front *f, struct stream *client, int inner);
void relay_finish_all(struct front *f);

#endif
