#ifndef DUET_AUTH_PW_H
#define DUET_AUTH_PW_H

/* What `duetadm pw` does, without terminal and exit codes. */

#include "node/base/buf.h"
#include "node/base/err.h"

struct rng;

#define PW_DEFAULT_SCHEME "CRYPT"

/* pw -l: the names, a blank between, a newline at the end. */
void pw_list(struct buf *out);
/* pw [-s SCHEME] [-r ROUNDS] -p PASS: the line to print, without newline.
 * scheme NULL = PW_DEFAULT_SCHEME, rounds 0 = its default.  What was made is
 * verified before it is given out. */
int pw_make(const char *scheme, unsigned rounds, struct slice password,
	    struct rng *rng, struct buf *out, struct err *e);
/* pw -t HASH -p PASS: "HASH (verified)", or E_AUTH and 2.3's texts. */
int pw_test(struct slice hash, struct slice password, struct buf *out,
	    struct err *e);

#endif
