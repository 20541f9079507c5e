#ifndef DUET_NODE_LMTP_H
#define DUET_NODE_LMTP_H

/*
 * An LMTP connection (RFC 2033).
 *
 *   COMMAND ─ RCPT ─► LOOKUP (userdb) ─► COMMAND ─ DATA ─► DATA ─► REPLIES
 *      ▲                                                             │
 *      └─────────────────────────────────────────────────────────────┘
 *
 * Commands are answered strictly in order, so pipelined ones wait in the input
 * while a lookup or the replies of DATA are on their way.  Nothing is written
 * anywhere before DATA: a probe of an address leaves nothing behind.
 *
 * An orderly stop lets running transactions end, and lets an idle connection
 * do one more: its MAIL may be on the way.  The 421 comes right behind the
 * replies of that one, or after a silence, so that an MTA that looks before it
 * speaks is never answered 4xx because of a restart.
 */

#include "node/front/front.h"
#include "proto/lmtp_parse.h"

#define LMTP_IN_MAX 65536u
#define LMTP_OUT_MAX 65536u
#define LMTP_TIMEOUT_USEC (300ull * 1000 * 1000)
/* So many octets of a message are progress: who sends fewer within the time
 * above is as good as silent. */
#define LMTP_PROGRESS 1024u
#define LMTP_HANDSHAKE_USEC (30u * 1000 * 1000)		/* all of TLS */
/* Silence, at an orderly stop, of a connection that may still do one mail. */
#define LMTP_DRAIN_USEC (2u * 1000 * 1000)
#define LMTP_REFUSED_LOG_USEC (60ull * 1000 * 1000)
#define LMTP_RCPTS_MAX 200u		/* of one transaction */
#define LMTP_BAD_MAX 20u
#define LMTP_CHUNK 16384u		/* of DATA, decoded at a time */
#define LMTP_CREDIT (256u * 1024)	/* bytes in flight to the store */

enum lmtp_state { LMTP_COMMAND, LMTP_TLS, LMTP_LOOKUP, LMTP_IN_DATA,
		  LMTP_REPLIES };

struct lmtp_rcpt {
	const char *address;	/* as the MTA wrote it, without brackets */
	const char *detail;
	const char *user, *home;
	const struct ipc_field *fields;
	size_t n_fields;
	char *reply;		/* of the end of DATA, once known */
};

struct lmtp {
	struct list node;
	struct front *front;
	struct front_conf *conf;
	struct stream *stream;
	struct loop_timer *timer;
	struct front_addr addr;
	char sid[17];
	bool tls, unix_socket;
	bool had_mail;		/* MAIL was accepted; while draining: since then */
	enum lmtp_state state;
	bool skipping;		/* of lmtp_line() */
	bool group;		/* replies wait for those behind (RFC 2920 3.2) */
	unsigned bad;
	char *name;		/* LHLO; NULL before */

	/* The transaction, all in arena. */
	struct arena *arena;
	bool in_mail;
	const char *sender;	/* "" = <> */
	uint64_t size;
	struct lmtp_rcpt *rcpts;
	size_t n_rcpts, cap_rcpts, replied;
	const char *pending_address, *pending_detail;
	struct front_req *req;
	struct front_req *seen;	/* answered; not yet known to be read */
	struct lmtp_data data;
	uint64_t credit, progress;
	bool discard;		/* rest of DATA is read and dropped */
	const char *data_failure;
};

/* lmtp.c */
void lmtp_say(struct lmtp *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void lmtp_close(struct lmtp *l, const char *last_words);
void lmtp_next(struct lmtp *l);		/* the next command may come */

/* lmtp_mail.c */
void lmtp_reset(struct lmtp *l);
/* The client goes on, so it has read the replies; or it never will. */
void lmtp_seen(struct lmtp *l, bool read);
void lmtp_mail(struct lmtp *l, const struct lmtp_command *c);
void lmtp_rcpt(struct lmtp *l, const struct lmtp_command *c);
void lmtp_begin_data(struct lmtp *l);
/* Some of the message is there; true if the end of it was found. */
bool lmtp_take_data(struct lmtp *l);

#endif
