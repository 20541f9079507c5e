#ifndef DUET_BASE_TLS_CONN_H
#define DUET_BASE_TLS_CONN_H

/*
 * One TLS connection over a non-blocking socket, for stream.c alone.  The
 * socket stays the caller's.
 */

#include "node/base/tls.h"

#include <sys/types.h>

struct tls_conn;

/* What a call waits for when it gives -EAGAIN. */
enum tls_want { TLS_WANT_IN, TLS_WANT_OUT };

int tls_conn_new(struct tls_ctx *ctx, int fd, bool server, const char *hostname,
		 struct tls_conn **out, struct err *e);
/* Says goodbye to the other end (without waiting) if that makes sense. */
void tls_conn_free(struct tls_conn *c);

/* 0 when done; -EAGAIN; else an error. */
int tls_conn_handshake(struct tls_conn *c, enum tls_want *want, struct err *e);
/* Bytes, 0 at the end of the peer, -EAGAIN, or an error. */
ssize_t tls_conn_read(struct tls_conn *c, void *to, size_t n,
		      enum tls_want *want, struct err *e);
/* After -EAGAIN the same bytes must come again, possibly moved and more. */
ssize_t tls_conn_write(struct tls_conn *c, const void *p, size_t n,
		       enum tls_want *want, struct err *e);

const char *tls_conn_text(struct tls_conn *c);
int tls_conn_exporter(struct tls_conn *c, uint8_t out[32]);
int tls_conn_peer(struct tls_conn *c, uint8_t out[32]);

#endif
