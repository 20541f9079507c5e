#ifndef DUET_AUTH_SASL_H
#define DUET_AUTH_SASL_H

/*
 * The server's side of SASL mechanisms, over GNU SASL: pure steps from
 * response to challenge, ending in what has to be checked.  One dialog is used
 * by one thread at a time; a context by any.
 */

#include "auth/auth.h"

struct sasl_ctx;
struct sasl;

#define SASL_STEPS_MAX 8	/* responses in one dialog */

enum sasl_step {
	SASL_CHALLENGE,		/* send it and wait for the response */
	SASL_CHECK,		/* is this password this user's? */
	SASL_FAILED,		/* e says why */
};

struct sasl_answer {
	struct slice authcid;	/* who logs in, as typed */
	struct slice authzid;	/* whose account; empty or equal = the same */
	struct slice password;
};

/* mechs: "plain login", blanks between, any case.  E_CONFIG names one that
 * is not in this build. */
int sasl_ctx_new(const char *mechs, struct sasl_ctx **out, struct err *e);
void sasl_ctx_free(struct sasl_ctx *c);	/* NULL is fine */
/* "PLAIN LOGIN", in the order given, each once. */
const char *sasl_ctx_mechs(const struct sasl_ctx *c);
/* The canonical spelling, NULL if not offered. */
const char *sasl_ctx_find(const struct sasl_ctx *c, struct slice name);

/* E_UNSUPPORTED: not offered.  The context must outlive the dialog. */
int sasl_new(struct sasl_ctx *c, struct slice mech, struct sasl **out,
	     struct err *e);
void sasl_free(struct sasl *s);		/* NULL is fine; wipes the password */
const char *sasl_mech(const struct sasl *s);
/*
 * in: the initial response, or NULL for none, first; then the response to
 * each challenge.  The challenge (maybe empty) is appended to out.  answer's
 * slices live as long as s.
 */
enum sasl_step sasl_step(struct sasl *s, const struct slice *in,
			 struct buf *out, struct sasl_answer *answer,
			 struct err *e);

#endif
