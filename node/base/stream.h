#ifndef DUET_BASE_STREAM_H
#define DUET_BASE_STREAM_H

/*
 * Bytes in, bytes out, over a non-blocking socket, with or without TLS.
 *
 * Input gathers in `in` up to its limit; the owner consumes.  Output gathers
 * in `out` and is written when the loop comes round (or by stream_flush);
 * the owner looks at stream_out_pending() before producing more.
 * All callbacks come from the loop, never from inside a call below.
 */

#include "node/base/buf.h"
#include "node/base/err.h"

struct loop;
struct stream;
struct tls_ctx;

struct stream_ops {
	/* New input, or input that is still there and was not consumed after
	 * stream_more().  Look at stream_in(). */
	void (*readable)(void *arg);
	/* Pending output fell below the low-water mark (in_max / 4). */
	void (*writable)(void *arg);
	/*
	 * The end.  e->code 0: the peer sends no more; it may still read, so
	 * output goes out until stream_free() or stream_finish().  Else why
	 * the connection is of no use any more; that may still follow a clean
	 * end.  Input not consumed can be read in both cases.  Nothing is
	 * called after an error.
	 */
	void (*closed)(void *arg, const struct err *e);
	/* TLS handshake finished; may be NULL. */
	void (*secured)(void *arg);
};

/* Takes fd (makes it non-blocking, closes it at stream_free). */
struct stream *stream_new(struct loop *l, int fd, size_t in_max, size_t out_max,
			  const struct stream_ops *ops, void *arg);
/* Output not yet written is dropped; see stream_finish.  From inside a
 * callback stream_in() stays readable until that callback returns. */
void stream_free(struct stream *s);
/* Writes what is pending, then frees; gives up after 10 s. */
void stream_finish(struct stream *s);
/* Writes what is pending, then tells the peer that no more follows; input is
 * still read.  Not with TLS. */
void stream_end(struct stream *s);
bool stream_ended(const struct stream *s);	/* by the peer, or closed */
void stream_set_ops(struct stream *s, const struct stream_ops *ops, void *arg);

struct slice stream_in(const struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* True if the input buffer is full (a line or message beyond the limit). */
bool stream_in_full(const struct stream *s);
/* Call readable again in the next turn although nothing new came. */
void stream_more(struct stream *s);
/* Stop reading from the socket, and start again. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

struct buf *stream_out(struct stream *s);   /* append here */
/* Say that output was appended. */
void stream_flush(struct stream *s);
size_t stream_out_pending(const struct stream *s);

/* TLS from here on.  Server side: input already received in clear must have
 * been consumed (RFC 3501 6.2.1: a pipelined command after STARTTLS is
 * refused by dropping it).  Output appended before this call goes in clear,
 * what comes after it in TLS.  hostname: for clients, SNI and check, or NULL. */
int stream_start_tls(struct stream *s, struct tls_ctx *ctx, bool server,
		     const char *hostname, struct err *e);
bool stream_secured(const struct stream *s);
/* "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)" or "". */
const char *stream_tls_text(const struct stream *s);
/* RFC 9266 tls-exporter channel binding: 32 bytes. */
int stream_tls_exporter(const struct stream *s, uint8_t out[32]);
/* SHA-256 of the peer's certificate (DER), or -ENOENT. */
int stream_tls_peer(const struct stream *s, uint8_t out[32]);
int stream_fd(const struct stream *s);
/* Gives the bare socket away and frees the stream; -EBUSY with TLS on it or
 * with output pending.  Input not consumed is copied to left. */
int stream_take_fd(struct stream *s, struct buf *left);

/* Sockets. */
struct sockaddr;
int stream_listen_inet(const char *address, unsigned port, int *fd_out,
		       struct err *e);
/* mode, uid, gid set before the name appears; an old socket nobody listens
 * on is replaced, a live one is -EADDRINUSE. uid or gid -1 = leave. */
int stream_listen_unix(const char *path, unsigned mode, int uid, int gid,
		       int *fd_out, struct err *e);
/* Non-blocking connect; the stream reports failure through closed. */
int stream_connect_inet(const char *ip, unsigned port, int *fd_out,
			struct err *e);
int stream_connect_unix(const char *path, int *fd_out, struct err *e);
/* "192.0.2.1", "2001:db8::1"; v4-mapped addresses as v4; "" for UNIX. */
void stream_peer_text(int fd, char *ip, size_t n, unsigned *port_out);
void stream_local_text(int fd, char *ip, size_t n, unsigned *port_out);

#endif
