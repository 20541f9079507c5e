#ifndef DUET_BASE_DIGEST_H
#define DUET_BASE_DIGEST_H

/* Hashes: the door to OpenSSL's digests, and CRC-32C. */

#include "node/base/slice.h"

#define SHA256_SIZE 32

struct digest_sha256;   /* a running SHA-256 */

void sha256(struct slice data, uint8_t out[SHA256_SIZE]);
struct digest_sha256 *digest_sha256_new(void);
void digest_sha256_add(struct digest_sha256 *, struct slice);
/* Gives the hash and frees the state. */
void digest_sha256_end(struct digest_sha256 *, uint8_t out[SHA256_SIZE]);
void digest_sha256_free(struct digest_sha256 *);   /* NULL is fine */

/*
 * BLAKE2b-MAC (RFC 7693) with a key of `key.n` bytes (1..64), cut to `out_n`
 * bytes (8 or 16: the output length is a parameter of the hash).  Parts are
 * hashed one after the other.
 */
void blake2b_mac(struct slice key, const struct slice *parts, size_t n_parts,
		 uint8_t *out, size_t out_n);

/*
 * Any hash that OpenSSL has, by its name there ("MD5", "SHA1", "SHA512"), for
 * password schemes: not for speed.  Give the size of the hash, -ENOENT if the
 * name is unknown, -ENOBUFS if out is too small (DIGEST_MAX always suffices).
 */
#define DIGEST_MAX 64
int digest_hash(const char *name, const struct slice *parts, size_t n_parts,
		uint8_t *out, size_t out_max);
int digest_hmac(const char *name, struct slice key, struct slice data,
		uint8_t *out, size_t out_max);
/* RFC 8018 PBKDF2 with HMAC; fills out_n bytes; 0 or -ENOENT, -EINVAL. */
int digest_pbkdf2(const char *name, struct slice password, struct slice salt,
		  unsigned iterations, uint8_t *out, size_t out_n);

/* CRC-32C (Castagnoli); start with seed 0 or a previous result. */
uint32_t crc32c(uint32_t seed, const void *p, size_t n);
/* The same without the processor's instruction; for tests. */
uint32_t crc32c_portable(uint32_t seed, const void *p, size_t n);

/* Constant time. */
bool digest_equal(const void *a, const void *b, size_t n);

/* Lower case, 2 n characters and a NUL. */
void hex_of(const void *p, size_t n, char *out);
/* Exactly 2 n hex digits, either case; -EINVAL. */
int hex_to(struct slice hex, void *out, size_t n);
/* Standard base64 (RFC 4648): encode appends to a buffer of buf.h; decode
 * gives the number of bytes or -EINVAL. */
struct buf;
void base64_put(struct buf *to, struct slice data);
int base64_get(struct slice text, uint8_t *out, size_t out_max);

#endif
