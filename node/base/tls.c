#include "node/base/tls.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/digest.h"
#include "node/base/tls_conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

struct tls_ctx {
	unsigned refs;
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	bool verify, request;
};

struct tls_conn {
	struct tls_ctx *ctx;
	SSL *ssl;
	bool secured, broken;
	char *text;
};

/* Takes OpenSSL's explanation, first reason first. */
static int fail(struct err *e, int code, const char *what)
{
	char why[200] = "no further reason";
	unsigned long n = ERR_peek_error();

	if (n)
		ERR_error_string_n(n, why, sizeof(why));
	ERR_clear_error();
	return err_set(e, code, "TLS: %s: %s", what, why);
}

static BIO *bio_of(struct slice pem)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)pem.n);

	if (!b)
		abort();
	return b;
}

/* A key with a passphrase must not make the daemon ask its terminal. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return -1;
}

/* ------------------------------------------------------------- contexts */

static int use_cert(SSL_CTX *ssl, struct slice pem, struct err *e)
{
	BIO *b = bio_of(pem);
	X509 *x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL);
	int r = 0;

	if (!x || SSL_CTX_use_certificate(ssl, x) != 1)
		r = fail(e, E_CONFIG, "the certificate is unusable");
	X509_free(x);
	while (r == 0 && (x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)))
		if (SSL_CTX_add0_chain_cert(ssl, x) != 1) {
			X509_free(x);
			r = fail(e, E_CONFIG, "the certificate chain is unusable");
		}
	BIO_free(b);
	ERR_clear_error();   /* the end of the file is one */
	return r;
}

static int use_key(SSL_CTX *ssl, struct slice pem, struct err *e)
{
	BIO *b = bio_of(pem);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
	int r = 0;

	BIO_free(b);
	if (!k)
		r = fail(e, E_CONFIG, "the private key is unusable (a key with "
				      "a passphrase is not supported)");
	else if (SSL_CTX_use_PrivateKey(ssl, k) != 1 ||
		 SSL_CTX_check_private_key(ssl) != 1)
		r = fail(e, E_CONFIG, "the private key does not belong to the "
				      "certificate");
	EVP_PKEY_free(k);
	return r;
}

static int use_ca(SSL_CTX *ssl, struct slice pem, struct err *e)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	BIO *b = bio_of(pem);
	unsigned n = 0;
	X509 *x;

	while ((x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL))) {
		if (X509_STORE_add_cert(store, x) == 1)
			n++;
		X509_free(x);
	}
	BIO_free(b);
	if (n == 0)
		return fail(e, E_CONFIG, "no certificate in the CA file");
	ERR_clear_error();
	return 0;
}

static int use_dh(SSL_CTX *ssl, struct slice pem, struct err *e)
{
	EVP_PKEY *k = NULL;
	OSSL_DECODER_CTX *d;
	BIO *b;
	int ok;

	if (pem.n == 0)
		return SSL_CTX_set_dh_auto(ssl, 1) == 1 ? 0 :
			fail(e, E_CONFIG, "automatic DH parameters");
	b = bio_of(pem);
	d = OSSL_DECODER_CTX_new_for_pkey(&k, "PEM", NULL, NULL,
					  OSSL_KEYMGMT_SELECT_ALL_PARAMETERS,
					  NULL, NULL);
	ok = d && OSSL_DECODER_from_bio(d, b) == 1;
	OSSL_DECODER_CTX_free(d);
	BIO_free(b);
	if (ok && SSL_CTX_set0_tmp_dh_pkey(ssl, k) == 1) {
		ERR_clear_error();
		return 0;
	}
	EVP_PKEY_free(k);
	return fail(e, E_CONFIG, "the DH parameters are unusable");
}

static const struct {
	const char *name;
	int version;
} protocols[] = {
	{"ANY", TLS1_VERSION},	    {"TLSv1", TLS1_VERSION},
	{"TLSv1.1", TLS1_1_VERSION}, {"TLSv1.2", TLS1_2_VERSION},
	{"TLSv1.3", TLS1_3_VERSION}, {"LATEST", TLS1_3_VERSION},
};

static int use_protocol(SSL_CTX *ssl, const char *name, struct err *e)
{
	if (!name || !*name)
		name = "TLSv1.2";
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (strcasecmp(name, protocols[i].name) == 0)
			return SSL_CTX_set_min_proto_version(
				       ssl, protocols[i].version) == 1 ? 0 :
				fail(e, E_CONFIG, "minimum protocol");
	return err_set(e, E_CONFIG, "TLS: unknown protocol '%s' (TLSv1.2, "
				    "TLSv1.3, LATEST, ANY)", name);
}

static bool set(const char *s)
{
	return s && *s;
}

static int use_lists(SSL_CTX *ssl, const struct tls_opts *o, struct err *e)
{
	if (set(o->cipher_list) && SSL_CTX_set_cipher_list(ssl, o->cipher_list) != 1)
		return fail(e, E_CONFIG, "the cipher list is unusable");
	if (set(o->cipher_suites) &&
	    SSL_CTX_set_ciphersuites(ssl, o->cipher_suites) != 1)
		return fail(e, E_CONFIG, "the TLS 1.3 cipher suites are unusable");
	if (set(o->curve_list) && SSL_CTX_set1_groups_list(ssl, o->curve_list) != 1)
		return fail(e, E_CONFIG, "the curve list is unusable");
	return 0;
}

/* With request_peer alone any certificate will do: the link proves itself by
 * SCRAM and may pin the hash. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int set_up(SSL_CTX *ssl, const struct tls_opts *o, struct err *e)
{
	uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_SSLv3 |
			   SSL_OP_IGNORE_UNEXPECTED_EOF;
	int r = 0;

	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	/* No state between connections: tickets, where allowed, hold it. */
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	if (o->prefer_server_ciphers)
		options |= SSL_OP_CIPHER_SERVER_PREFERENCE;
	if (o->no_ticket) {
		options |= SSL_OP_NO_TICKET;
		SSL_CTX_set_num_tickets(ssl, 0);
	}
	if (o->no_compression)
		options |= SSL_OP_NO_COMPRESSION;
	SSL_CTX_set_options(ssl, options);
	if ((o->cert.n == 0) != (o->key.n == 0))
		return err_set(e, E_CONFIG, "TLS: a certificate needs its key, "
					    "and a key its certificate");
	if (o->cert.n)
		r = use_cert(ssl, o->cert, e);
	if (r == 0 && o->key.n)
		r = use_key(ssl, o->key, e);
	if (r == 0 && o->ca.n)
		r = use_ca(ssl, o->ca, e);
	if (r == 0 && set(o->ca_dir) && SSL_CTX_load_verify_dir(ssl, o->ca_dir) != 1)
		r = fail(e, E_CONFIG, "the CA directory is unusable");
	if (r == 0)
		r = use_dh(ssl, o->dh, e);
	if (r == 0)
		r = use_protocol(ssl, o->min_protocol, e);
	return r < 0 ? r : use_lists(ssl, o, e);
}

/* ------------------------------------------------------------ the socket */

static int bio_fd(BIO *b)
{
	return (int)(intptr_t)BIO_get_data(b);
}

/* As OpenSSL's socket BIO, but a closed peer raises no SIGPIPE. */
static int bio_write(BIO *b, const char *p, int n)
{
	ssize_t r = send(bio_fd(b), p, (size_t)n, MSG_NOSIGNAL);

	BIO_clear_retry_flags(b);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(b);
	return (int)r;
}

static int bio_read(BIO *b, char *p, int n)
{
	ssize_t r = recv(bio_fd(b), p, (size_t)n, 0);

	BIO_clear_retry_flags(b);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(b);
	return (int)r;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

int tls_ctx_new(const struct tls_opts *o, struct tls_ctx **out, struct err *e)
{
	struct tls_ctx *c = NEW(struct tls_ctx);
	int r;

	c->refs = 1;
	c->verify = o->verify_peer;
	c->request = o->request_peer;
	c->ssl = SSL_CTX_new(TLS_method());
	/* The type needs no number of its own: nobody looks for it. */
	c->bio = BIO_meth_new(BIO_TYPE_SOCKET, "duet socket");
	if (!c->ssl || !c->bio) {
		tls_ctx_unref(c);
		return fail(e, E_TEMP, "no context");
	}
	BIO_meth_set_write(c->bio, bio_write);
	BIO_meth_set_read(c->bio, bio_read);
	BIO_meth_set_ctrl(c->bio, bio_ctrl);
	r = set_up(c->ssl, o, e);
	if (r < 0) {
		tls_ctx_unref(c);
		return r;
	}
	*out = c;
	return 0;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
	c->refs++;
	return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
	if (!c || --c->refs > 0)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	free(c);
}

/* ----------------------------------------------------------- connections */

static int set_peer(struct tls_conn *c, bool server, const char *hostname)
{
	struct in6_addr ip;
	bool literal = hostname && (inet_pton(AF_INET, hostname, &ip) == 1 ||
				    inet_pton(AF_INET6, hostname, &ip) == 1);
	int mode = c->ctx->verify ? SSL_VERIFY_PEER |
				    (server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0) :
				    SSL_VERIFY_NONE;

	if (server) {
		if (c->ctx->request && !c->ctx->verify)
			SSL_set_verify(c->ssl, SSL_VERIFY_PEER, accept_any);
		else
			SSL_set_verify(c->ssl, mode, NULL);
		SSL_set_accept_state(c->ssl);
		return 1;
	}
	SSL_set_verify(c->ssl, mode, NULL);
	SSL_set_connect_state(c->ssl);
	if (!hostname)
		return 1;
	if (literal)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl),
						     hostname);
	return SSL_set_tlsext_host_name(c->ssl, hostname) == 1 &&
	       SSL_set1_host(c->ssl, hostname) == 1;
}

int tls_conn_new(struct tls_ctx *ctx, int fd, bool server, const char *hostname,
		 struct tls_conn **out, struct err *e)
{
	struct tls_conn *c = NEW(struct tls_conn);
	BIO *b = BIO_new(ctx->bio);

	c->ctx = tls_ctx_ref(ctx);
	c->ssl = SSL_new(ctx->ssl);
	if (!c->ssl || !b) {
		BIO_free(b);
		tls_conn_free(c);
		return fail(e, E_TEMP, "no connection");
	}
	BIO_set_data(b, (void *)(intptr_t)fd);
	BIO_set_init(b, 1);
	SSL_set_bio(c->ssl, b, b);
	if (!set_peer(c, server, hostname)) {
		tls_conn_free(c);
		return fail(e, E_INVALID, "the name of the other end");
	}
	*out = c;
	return 0;
}

void tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return;
	if (c->secured && !c->broken) {
		SSL_shutdown(c->ssl);
		ERR_clear_error();
	}
	SSL_free(c->ssl);
	tls_ctx_unref(c->ctx);
	free(c->text);
	free(c);
}

/* Turns the result of an SSL_ call into ours; 0 = end of the peer. */
/* The first octets of TLS tell that the connect before them failed. */
static bool never_connected(int err)
{
	return err == ECONNREFUSED || err == EHOSTUNREACH ||
	       err == ENETUNREACH;
}

static int outcome(struct tls_conn *c, int r, const char *what,
		   enum tls_want *want, struct err *e)
{
	int saved = errno;
	long verify;

	switch (SSL_get_error(c->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		*want = TLS_WANT_IN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*want = TLS_WANT_OUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		c->broken = true;
		ERR_clear_error();
		if (saved == 0)
			return err_set(e, E_PROTO, "TLS: %s: the other end went "
						   "away", what);
		if (never_connected(saved))
			return err_set(e, -saved, "no connection: %s",
				       strerrordesc_np(saved));
		return err_set(e, -saved, "TLS: %s: %s", what,
			       strerrordesc_np(saved));
	default:
		c->broken = true;
		verify = SSL_get_verify_result(c->ssl);
		if (c->ctx->verify && verify != X509_V_OK) {
			ERR_clear_error();
			return err_set(e, E_AUTH, "TLS: the certificate of the "
						  "other end is refused: %s",
				       X509_verify_cert_error_string(verify));
		}
		return fail(e, E_PROTO, what);
	}
}

int tls_conn_handshake(struct tls_conn *c, enum tls_want *want, struct err *e)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(c->ssl);
	if (r == 1) {
		c->secured = true;
		return 0;
	}
	r = outcome(c, r, "handshake", want, e);
	if (r == 0) {
		c->broken = true;
		return err_set(e, E_PROTO, "TLS: the other end went away in the "
					   "handshake");
	}
	return r;
}

ssize_t tls_conn_read(struct tls_conn *c, void *to, size_t n,
		      enum tls_want *want, struct err *e)
{
	size_t got;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read_ex(c->ssl, to, n, &got);
	return r == 1 ? (ssize_t)got : outcome(c, r, "read", want, e);
}

ssize_t tls_conn_write(struct tls_conn *c, const void *p, size_t n,
		       enum tls_want *want, struct err *e)
{
	size_t put;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write_ex(c->ssl, p, n, &put);
	if (r == 1)
		return (ssize_t)put;
	r = outcome(c, r, "write", want, e);
	/* The peer said goodbye; what we still had to say is lost. */
	return r == 0 ? err_set(e, -EPIPE, "TLS: write: the other end has "
					   "closed") : r;
}

const char *tls_conn_text(struct tls_conn *c)
{
	const SSL_CIPHER *cipher;
	int bits, alg_bits;

	if (!c->secured)
		return "";
	if (c->text)
		return c->text;
	cipher = SSL_get_current_cipher(c->ssl);
	bits = SSL_CIPHER_get_bits(cipher, &alg_bits);
	c->text = xprintf("%s with cipher %s (%d/%d bits)", SSL_get_version(c->ssl),
			  SSL_CIPHER_get_name(cipher), bits, alg_bits);
	return c->text;
}

int tls_conn_exporter(struct tls_conn *c, uint8_t out[32])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (!c->secured)
		return -ENOTCONN;
	/* RFC 9266 2: 32 bytes, empty context, given as one. */
	if (SSL_export_keying_material(c->ssl, out, 32, label, sizeof(label) - 1,
				       (const unsigned char *)"", 0, 1) == 1)
		return 0;
	ERR_clear_error();
	return -EIO;
}

int tls_conn_peer(struct tls_conn *c, uint8_t out[32])
{
	X509 *x = c->secured ? SSL_get0_peer_certificate(c->ssl) : NULL;
	unsigned char *der = NULL;
	int n = x ? i2d_X509(x, &der) : 0;

	if (n <= 0) {
		ERR_clear_error();
		return -ENOENT;
	}
	sha256(slice_of(der, (size_t)n), out);
	OPENSSL_free(der);
	return 0;
}

/* ----------------------------------------------------------- self-signed */

static bool add_ext(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool fill_in(X509 *x, EVP_PKEY *key, const char *name, unsigned days)
{
	struct in6_addr ip;
	bool literal = inet_pton(AF_INET, name, &ip) == 1 ||
		       inet_pton(AF_INET6, name, &ip) == 1;
	char *san = xprintf("%s:%s", literal ? "IP" : "DNS", name);
	X509_NAME *subject = X509_get_subject_name(x);
	uint8_t serial[16];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(serial, sizeof(serial)) != 1)
		abort();
	serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40);
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	ok = X509_set_version(x, X509_VERSION_3) == 1 && number &&
	     BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) &&
	     /* A day back: clocks of two machines differ. */
	     X509_gmtime_adj(X509_getm_notBefore(x), -86400) &&
	     X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL) &&
	     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					(const unsigned char *)name, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(x, subject) == 1 &&
	     X509_set_pubkey(x, key) == 1 &&
	     add_ext(x, NID_subject_alt_name, san) &&
	     add_ext(x, NID_basic_constraints, "critical,CA:TRUE") &&
	     add_ext(x, NID_subject_key_identifier, "hash") &&
	     X509_sign(x, key, EVP_sha256()) > 0;
	BN_free(number);
	free(san);
	return ok;
}

static void take(BIO *from, struct buf *to)
{
	char *p;
	long n = BIO_get_mem_data(from, &p);

	if (n > 0)
		buf_put(to, p, (size_t)n);
}

int tls_self_signed(const char *name, unsigned days, struct buf *cert,
		    struct buf *key, struct err *e)
{
	EVP_PKEY *k = NULL;
	X509 *x = X509_new();
	BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	int r = 0;

	/* The name goes into an extension's little language. */
	if (!*name || strlen(name) > 64 || strpbrk(name, ",;=\n\r\t ")) {
		r = err_set(e, E_INVALID, "TLS: '%.64s' is no name for a "
					  "certificate (1 to 64 characters)", name);
		goto out;
	}
	k = EVP_EC_gen("P-256");
	if (!x || !k || !cert_pem || !key_pem || !fill_in(x, k, name, days) ||
	    PEM_write_bio_X509(cert_pem, x) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, k, NULL, NULL, 0, NULL, NULL) != 1) {
		r = fail(e, E_TEMP, "making a certificate");
		goto out;
	}
	take(cert_pem, cert);
	take(key_pem, key);
	if (cert->failed || key->failed)
		r = err_set(e, E_LIMIT, "TLS: no room for the certificate");
out:
	/* The key's copy in here is overwritten by OpenSSL when freed. */
	BIO_free(cert_pem);
	BIO_free(key_pem);
	X509_free(x);
	EVP_PKEY_free(k);
	return r;
}
