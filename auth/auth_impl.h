#ifndef DUET_AUTH_AUTH_IMPL_H
#define DUET_AUTH_AUTH_IMPL_H

/* Between auth.c, auth_lookup.c and auth_pool.c. */

#include <stdatomic.h>

#include "auth/auth_env.h"
#include "auth/passdb.h"
#include "auth/sasl.h"
#include "auth/userdb.h"

/* Nothing here changes after auth_new() but refs and what the backends lock
 * for themselves. */
struct auth {
	atomic_uint refs;
	struct auth_env env;
	char *username_format, *default_scheme;
	bool any_char;			/* username_chars is empty */
	bool allowed[256];
	struct passdb *passdbs[AUTH_DBS_MAX];
	size_t n_passdbs;
	struct userdb *userdbs[AUTH_DBS_MAX];
	size_t n_userdbs;
	struct auth_uid_rules uid;
	struct sasl_ctx *sasl;
};

/* A name that a backend gave: the checks of auth_canonical() but format. */
int auth_check_name(struct slice name, struct err *e);
/* A copy for log lines: cut, control characters as '?'. */
const char *auth_printable(struct arena *a, struct slice text);
/* The end of a SASL dialog: authzid must be authcid's own name. */
void auth_sasl_check_now(struct auth *a, const struct auth_peer *peer,
			 const struct sasl_answer *answer,
			 struct arena *arena, struct auth_result *out);

#endif
