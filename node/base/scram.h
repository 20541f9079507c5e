#ifndef DUET_BASE_SCRAM_H
#define DUET_BASE_SCRAM_H

/*
 * Two ends of a TLS connection prove to each other that they know one secret:
 * SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) over GNU SASL, bound to the
 * connection by tls-exporter (RFC 9266).  Nobody in the middle, with however
 * many certificates, can pass it on or learn anything but a hash to guess
 * against.  One run proves both directions.
 *
 *	client                         server
 *	step("")          -> A
 *	                      A ->     step(A)       -> B
 *	step(B)           -> C
 *	                      C ->     step(C)       -> D, done: client proved
 *	step(D)           done: server proved
 *
 * Pure: bytes in, bytes out.  A step costs some milliseconds (4096 rounds).
 */

#include <stdbool.h>

#include "node/base/buf.h"
#include "node/base/err.h"

#define SCRAM_MESSAGE_MAX 2048	/* bytes of one message; more is refused */
#define SCRAM_ROUNDS 4096	/* that the server asks for */
#define SCRAM_ROUNDS_MAX 100000	/* that the client is willing to do */
#define SCRAM_BINDING_SIZE 32

enum scram_role { SCRAM_CLIENT, SCRAM_SERVER };

struct scram;

/* The secret is UTF-8 text, not empty, without NUL (E_CONFIG).  binding: what
 * stream_tls_exporter() gives at this end. */
int scram_start(enum scram_role role, struct slice secret,
		const uint8_t binding[SCRAM_BINDING_SIZE], struct scram **out,
		struct err *e);
/*
 * Appends the message to send, if there is one.  1 = done, the other end has
 * proved itself; send what was appended all the same.  0 = go on.
 * E_AUTH: another secret, or another TLS connection; E_PROTO: not SCRAM;
 * nothing is to be sent then, and no further step is allowed.
 */
int scram_step(struct scram *s, struct slice in, struct buf *out,
	       struct err *e);
void scram_free(struct scram *s);	/* NULL is fine */

#endif
