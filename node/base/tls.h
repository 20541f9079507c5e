#ifndef DUET_BASE_TLS_H
#define DUET_BASE_TLS_H

/*
 * TLS contexts: the one door to OpenSSL's TLS.  Content comes as bytes, never
 * as paths: the supervisor reads keys as root and passes them on.
 * SSL_MODE_RELEASE_BUFFERS is on: an idle session must stay small.
 */

#include "node/base/err.h"
#include "node/base/slice.h"

struct tls_ctx;

struct tls_opts {
	struct slice cert, key;		/* PEM; server: both or neither */
	struct slice ca;		/* PEM, to check the other end */
	struct slice dh;		/* PEM parameters or empty = automatic */
	const char *ca_dir;
	const char *min_protocol;	/* "TLSv1.2", "TLSv1.3", "LATEST", "ANY" */
	const char *cipher_list;	/* NULL or "" = library default */
	const char *cipher_suites;
	const char *curve_list;
	bool prefer_server_ciphers;
	bool no_ticket, no_compression;
	bool verify_peer;		/* fail the handshake on a bad chain, and a
					 * server's without a certificate */
	bool request_peer;		/* server: ask for a certificate, take any
					 * or none; see stream_tls_peer() */
};

int tls_ctx_new(const struct tls_opts *o, struct tls_ctx **out, struct err *e);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c);
/* A self-signed certificate (P-256, name in CN and SAN, `days` long), as the
 * link and the demo use; appended as PEM. */
struct buf;
int tls_self_signed(const char *name, unsigned days, struct buf *cert,
		    struct buf *key, struct err *e);

#endif
