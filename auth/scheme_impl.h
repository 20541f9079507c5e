#ifndef DUET_AUTH_SCHEME_IMPL_H
#define DUET_AUTH_SCHEME_IMPL_H

/* Between scheme.c and the files that know one family each. */

#include "auth/scheme.h"

enum scheme_kind {
	SCHEME_PLAIN,
	SCHEME_CRYPT,		/* whatever libcrypt knows */
	SCHEME_MD5,		/* "$1$…" or hex: the name has meant both */
	SCHEME_HASH,		/* digest(password) */
	SCHEME_SALTED,		/* digest(password salt) salt */
	SCHEME_PBKDF2,		/* "$1$salt$rounds$hex" */
	SCHEME_SCRAM,		/* "rounds,salt,StoredKey,ServerKey" */
};

enum scheme_encoding { SCHEME_TEXT, SCHEME_HEX, SCHEME_B64 };

struct scheme {
	const char *name;
	enum scheme_kind kind;
	enum scheme_encoding encoding;
	const char *param;	/* digest's name, or crypt prefix */
	unsigned size;		/* of the digest */
	unsigned rounds, rounds_min, rounds_max;   /* max 0 = no rounds */
};

#define SCHEME_DIGEST_MAX 64
#define SCHEME_SALT_SIZE 16

/* Verify: data is decoded.  1, 0, or negative with text.  Make: appends data,
 * not yet encoded; rounds are in range. */
int scheme_crypt_verify(struct slice data, struct slice password,
			struct err *e);
int scheme_crypt_make(const struct scheme *s, struct slice password,
		      unsigned rounds, struct rng *rng, struct buf *out,
		      struct err *e);

int scheme_hash_verify(const struct scheme *s, struct slice data,
		       struct slice password, struct err *e);
int scheme_hash_make(const struct scheme *s, struct slice password,
		     struct rng *rng, struct buf *out, struct err *e);
int scheme_pbkdf2_verify(const struct scheme *s, struct slice data,
			 struct slice password, struct err *e);
int scheme_pbkdf2_make(const struct scheme *s, struct slice password,
		       unsigned rounds, struct rng *rng, struct buf *out,
		       struct err *e);
int scheme_scram_verify(const struct scheme *s, struct slice data,
			struct slice password, struct err *e);
int scheme_scram_make(const struct scheme *s, struct slice password,
		      unsigned rounds, struct rng *rng, struct buf *out,
		      struct err *e);

#endif
