#ifndef DUET_AUTH_AUTH_CLIENT_H
#define DUET_AUTH_AUTH_CLIENT_H

/*
 * The server's side of Dovecot's auth-client protocol 1.2, as Postfix and
 * others speak it (guide G10): lines of tab-separated words.  Pure: bytes in,
 * messages and bytes out.
 *
 *	server	VERSION 1 2, MECH PLAIN plaintext …, SPID, CUID, COOKIE, DONE
 *	client	VERSION 1 x, CPID pid
 *	client	AUTH id mech service=smtp [param…] [resp=base64]
 *	server	CONT id base64		client	CONT id base64
 *	server	OK id user=NAME		or	FAIL id [user=NAME] [temp] …
 *	client	CANCEL id
 *
 * Answers may come in any order; ids are the client's.
 */

#include "auth/auth.h"

#define AUTH_CLIENT_LINE_MAX 16384	/* bytes of one line, LF included */
#define AUTH_CLIENT_PENDING_MAX 64	/* dialogs at once on one connection */
#define AUTH_CLIENT_PARAMS_MAX 64	/* of one AUTH */

enum auth_client_what {
	AUTH_CLIENT_AUTH,	/* begin a dialog */
	AUTH_CLIENT_CONT,	/* a response to our challenge */
	AUTH_CLIENT_CANCEL,	/* give the dialog up; no answer */
};

struct auth_client_msg {
	enum auth_client_what what;
	uint32_t id;
	/* AUTH */
	struct slice mech;
	struct auth_peer peer;
	/* AUTH with resp=, and CONT: decoded. */
	bool has_response;
	struct slice response;
};

/*
 * One connection.
 *  1. ids[0..n) are unique: the dialogs begun and neither answered by
 *     auth_client_ok/fail nor cancelled;
 *  2. a dialog is challenged between our CONT and the client's.
 */
struct auth_client {
	bool version, pid;	/* of the handshake */
	bool broken;
	uint32_t client_pid;
	struct {
		uint32_t id;
		bool challenged;
	} ids[AUTH_CLIENT_PENDING_MAX];
	size_t n;
	struct arena *arena;	/* of the last message */
};

void auth_client_init(struct auth_client *c);
void auth_client_fini(struct auth_client *c);
/* What the server says first.  mechs: auth_mechanisms(). */
void auth_client_hello(const char *mechs, uint32_t server_pid,
		       uint32_t connection, const uint8_t cookie[16],
		       struct buf *out);
/*
 * Looks at the input; *used_out bytes of it are done with.
 *   1   msg is filled; its texts live until the next call;
 *   0   more input is needed (out may have grown all the same: requests that
 *       cannot be served are answered here);
 *   <0  E_PROTO or E_LIMIT with text: close the connection, and give up
 *       (auth_req_free) the dialogs that c->ids still names.
 */
int auth_client_read(struct auth_client *c, struct slice in, size_t *used_out,
		     struct auth_client_msg *msg, struct buf *out,
		     struct err *e);
/* Answers; id is one of c->ids. */
void auth_client_challenge(struct auth_client *c, uint32_t id,
			   struct slice text, struct buf *out);
void auth_client_ok(struct auth_client *c, uint32_t id, const char *user,
		    struct buf *out);
/* Any verdict but AUTH_OK.  user and reason (for the end user) may be ""; a
 * temporary failure is not to be counted as a wrong password. */
void auth_client_fail(struct auth_client *c, uint32_t id, const char *user,
		      enum auth_verdict v, const char *reason,
		      struct buf *out);

#endif
