#include "node/base/digest.h"
#include "node/base/arena.h"
#include "node/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Fetching an algorithm costs more than hashing a record, so it happens once
 * per process.  Written once under pthread_once, constant afterwards.
 */
static struct {
	EVP_MAC *blake2b;
	EVP_MD *sha256;
} fetched;

static _Noreturn void broken(const char *what)
{
	fprintf(stderr, "duet: OpenSSL failed: %s\n", what);
	abort();
}

static void need(bool ok, const char *what)
{
	if (!ok)
		broken(what);
}

static void fetch(void)
{
	fetched.blake2b = EVP_MAC_fetch(NULL, "BLAKE2BMAC", NULL);
	need(fetched.blake2b != NULL, "BLAKE2BMAC is not available");
	fetched.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	need(fetched.sha256 != NULL, "SHA256 is not available");
}

static void fetch_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch);
}

struct digest_sha256 {
	EVP_MD_CTX *ctx;
};

struct digest_sha256 *digest_sha256_new(void)
{
	struct digest_sha256 *d = NEW(struct digest_sha256);

	fetch_once();
	d->ctx = EVP_MD_CTX_new();
	need(d->ctx && EVP_DigestInit_ex2(d->ctx, fetched.sha256, NULL) == 1,
	     "SHA256");
	return d;
}

void digest_sha256_add(struct digest_sha256 *d, struct slice s)
{
	need(EVP_DigestUpdate(d->ctx, s.p, s.n) == 1, "SHA256");
}

void digest_sha256_end(struct digest_sha256 *d, uint8_t out[SHA256_SIZE])
{
	need(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1, "SHA256");
	digest_sha256_free(d);
}

void digest_sha256_free(struct digest_sha256 *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void sha256(struct slice data, uint8_t out[SHA256_SIZE])
{
	fetch_once();
	need(EVP_Digest(data.p, data.n, out, NULL, fetched.sha256, NULL) == 1,
	     "SHA256");
}

void blake2b_mac(struct slice key, const struct slice *parts, size_t n_parts,
		 uint8_t *out, size_t out_n)
{
	size_t size = out_n, made = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx;

	assert(key.n >= 1 && key.n <= 64 && out_n >= 1 && out_n <= 64);
	fetch_once();
	ctx = EVP_MAC_CTX_new(fetched.blake2b);
	need(ctx && EVP_MAC_init(ctx, key.p, key.n, params) == 1, "BLAKE2BMAC");
	for (size_t i = 0; i < n_parts; i++)
		need(parts[i].n == 0 ||
		     EVP_MAC_update(ctx, parts[i].p, parts[i].n) == 1,
		     "BLAKE2BMAC");
	need(EVP_MAC_final(ctx, out, &made, out_n) == 1 && made == out_n,
	     "BLAKE2BMAC");
	EVP_MAC_CTX_free(ctx);
}

int digest_hash(const char *name, const struct slice *parts, size_t n_parts,
		uint8_t *out, size_t out_max)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	EVP_MD_CTX *ctx;
	unsigned n = 0;

	if (!md) {
		ERR_clear_error();
		return -ENOENT;
	}
	if ((size_t)EVP_MD_get_size(md) > out_max) {
		EVP_MD_free(md);
		return -ENOBUFS;
	}
	ctx = EVP_MD_CTX_new();
	need(ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1, name);
	for (size_t i = 0; i < n_parts; i++)
		need(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1, name);
	need(EVP_DigestFinal_ex(ctx, out, &n) == 1, name);
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	return (int)n;
}

int digest_hmac(const char *name, struct slice key, struct slice data,
		uint8_t *out, size_t out_max)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	unsigned n = 0;
	int r = -ENOENT;

	/* HMAC() takes NULL for "the key of last time". */
	if (md && (size_t)EVP_MD_get_size(md) > out_max)
		r = -ENOBUFS;
	else if (md && key.n <= INT32_MAX &&
		 HMAC(md, key.n ? key.p : (const uint8_t *)"", (int)key.n,
		      data.p, data.n, out, &n))
		r = (int)n;
	EVP_MD_free(md);
	ERR_clear_error();
	return r;
}

int digest_pbkdf2(const char *name, struct slice password, struct slice salt,
		  unsigned iterations, uint8_t *out, size_t out_n)
{
	EVP_MD *md;
	int r = -EINVAL;

	if (iterations == 0 || iterations > INT32_MAX || out_n > INT32_MAX ||
	    password.n > INT32_MAX || salt.n > INT32_MAX)
		return -EINVAL;
	md = EVP_MD_fetch(NULL, name, NULL);
	if (!md)
		r = -ENOENT;
	else if (PKCS5_PBKDF2_HMAC(password.n ? (const char *)password.p : "",
				   (int)password.n, salt.p, (int)salt.n,
				   (int)iterations, md, (int)out_n, out) == 1)
		r = 0;
	EVP_MD_free(md);
	ERR_clear_error();
	return r;
}

bool digest_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

void hex_of(const void *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[b[i] >> 4];
		out[2 * i + 1] = digits[b[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_to(struct slice hex, void *out, size_t n)
{
	uint8_t *to = out;

	if (hex.n != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < hex.n; i++)
		if (hex_digit(hex.p[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(hex_digit(hex.p[2 * i]) << 4 |
				  hex_digit(hex.p[2 * i + 1]));
	return 0;
}

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *to, struct slice data)
{
	for (size_t i = 0; i < data.n; i += 3) {
		size_t left = data.n - i;
		uint32_t v = (uint32_t)data.p[i] << 16 |
			     (left > 1 ? (uint32_t)data.p[i + 1] << 8 : 0) |
			     (left > 2 ? data.p[i + 2] : 0u);
		char four[4] = {
			base64_digits[v >> 18],
			base64_digits[v >> 12 & 63],
			left > 1 ? base64_digits[v >> 6 & 63] : '=',
			left > 2 ? base64_digits[v & 63] : '=',
		};

		buf_put(to, four, 4);
	}
}

static int base64_digit(uint8_t c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

int base64_get(struct slice text, uint8_t *out, size_t out_max)
{
	size_t pad = 0, n;

	if (text.n % 4 != 0 || text.n / 4 > INT32_MAX / 3)
		return -EINVAL;
	while (pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=')
		pad++;
	n = text.n / 4 * 3 - pad;
	if (n > out_max)
		return -EINVAL;
	for (size_t i = 0, o = 0; i < text.n; i += 4) {
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			bool padding = i + k >= text.n - pad;
			int d = padding ? 0 : base64_digit(text.p[i + k]);

			if (d < 0)
				return -EINVAL;
			v = v << 6 | (uint32_t)d;
		}
		/* Bits behind the last byte must be zero (RFC 4648 3.5): one
		 * text for one value. */
		if (i + 4 == text.n && (v & (pad == 2 ? 0xffff : pad ? 0xff : 0)))
			return -EINVAL;
		for (size_t k = 0; k < 3 && o < n; k++)
			out[o++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return (int)n;
}
