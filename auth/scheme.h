#ifndef DUET_AUTH_SCHEME_H
#define DUET_AUTH_SCHEME_H

/*
 * Stored passwords: "{SCHEME}data", "{SCHEME.HEX}data", "{SCHEME.B64}data",
 * or bare data of a default scheme.  Names in any case.
 *
 * Everything here may take long (that is what hashes are for), keeps no state
 * and may run in any thread.  Comparisons take the same time wherever the
 * first difference is.  No text of an error holds a password or a hash.
 */

#include "node/base/buf.h"
#include "node/base/err.h"

struct rng;

#define SCHEME_DATA_MAX 1024	/* bytes of stored data */
#define SCHEME_PASSWORD_MAX 1024
#define SCHEME_PBKDF2_ROUNDS_MAX 10000000

/*
 * 1 = it is this password, 0 = it is not; a locked entry ("!…", "*…" of the
 * crypt family, or empty data) and a password with NUL are nobody's.
 * E_UNSUPPORTED: no such scheme here; E_CORRUPT: data the scheme cannot have
 * written.
 */
int scheme_verify(struct slice stored, const char *default_scheme,
		  struct slice password, struct err *e);

/* Appends "{SCHEME}data", or with a suffix in the name the data so encoded.
 * rounds 0 = the scheme's default; E_INVALID for rounds out of its range or
 * for a scheme without rounds. */
int scheme_make(const char *scheme, struct slice password, unsigned rounds,
		struct rng *rng, struct buf *out, struct err *e);

/* Is "SCHEME" or "SCHEME.HEX" one of ours? */
bool scheme_known(struct slice name);
/* The i-th name, NULL behind the last: `pw -l`. */
const char *scheme_name(size_t i);
/* Splits "{SCHEME}data"; without a prefix *name is empty and data is all. */
void scheme_split(struct slice stored, struct slice *name, struct slice *data);

#endif
